//! Limits of queues: how often, how many, how large, who first, who alone.

use bytes::Bytes;
use model::record::{Address, Assurance};
use protocol::{
    Consume, Overflow, QueueDeclaration, QueueOptions, Refusal, Reply, Request, Settlement,
};

use crate::queueing::{
    consume, declare, drain, make, offer, pull, queue, ready, send, settle, take, with,
};
use crate::world::{World, conn, message, payload};
use std::time::Duration;

use Assurance::{AtLeastOnce, AtMostOnce};

/// Longer than it takes until settlements and deliveries are written.
const WRITTEN: Duration = Duration::from_millis(50);

fn limited(limit: u32) -> QueueOptions {
    QueueOptions { delivery_limit: Some(limit), tells_deliveries: true, ..QueueOptions::default() }
}

#[test]
fn a_message_that_comes_back_too_often_is_dropped() {
    let mut world = World::new();
    make(&mut world, "q", limited(2));
    send(&mut world, "q", "x", AtLeastOnce);
    send(&mut world, "q", "y", AtLeastOnce);
    for (before, redelivered) in [(0, false), (1, true), (2, true)] {
        let got = take(&mut world, 1, "q").unwrap();
        assert_eq!((payload(&got).as_str(), got.deliveries), ("x", Some(before)));
        assert_eq!(got.redelivered, redelivered);
        settle(&mut world, 1, &[got], Settlement::Requeue);
    }
    assert_eq!(pull(&mut world, 1, "q"), Some(("y".to_owned(), false, 0)));
    assert_eq!(world.stats().queue_delivery_limited, 1);
    world.pass(WRITTEN);
    let mut world = world.restarted();
    assert_eq!(ready(&mut world, "q"), Some(0), "it is gone for good");
}

#[test]
fn deliveries_are_counted_across_restarts_and_what_nobody_saw_does_not_count() {
    let mut world = World::new();
    make(&mut world, "q", limited(2));
    send(&mut world, "q", "x", AtLeastOnce);
    let got = take(&mut world, 1, "q").unwrap();
    settle(&mut world, 1, &[got], Settlement::Unseen);
    let got = take(&mut world, 1, "q").unwrap();
    assert_eq!((got.deliveries, got.redelivered), (Some(0), false));
    world.pass(WRITTEN);
    let mut world = world.restarted();
    let got = take(&mut world, 1, "q").unwrap();
    assert_eq!((got.deliveries, got.redelivered), (Some(1), true));
    // One that the crash kept from being written counts as before.
    let mut world = world.restarted();
    let got = take(&mut world, 1, "q").unwrap();
    assert_eq!((got.deliveries, got.redelivered), (Some(1), true));
    world.pass(WRITTEN);
    world.gone(conn(1));
    let got = take(&mut world, 2, "q").unwrap();
    assert_eq!(got.deliveries, Some(2));
    world.pass(WRITTEN);
    let mut world = world.restarted();
    assert_eq!(take(&mut world, 1, "q").map(|got| payload(&got)), None, "it was the third time");
}

#[test]
fn queues_that_do_not_tell_keep_deliveries_to_themselves() {
    let mut world = World::new();
    declare(&mut world, 1, queue("q", true));
    send(&mut world, "q", "x", AtLeastOnce);
    assert_eq!(take(&mut world, 1, "q").unwrap().deliveries, None);
}

#[test]
fn a_full_queue_drops_what_is_next() {
    let mut world = World::new();
    make(&mut world, "n", QueueOptions { max_messages: Some(2), ..QueueOptions::default() });
    make(&mut world, "b", QueueOptions { max_bytes: Some(5), ..QueueOptions::default() });
    make(&mut world, "0", QueueOptions { max_messages: Some(0), ..QueueOptions::default() });
    for body in ["aa", "bb", "cc"] {
        for queue in ["n", "b", "0"] {
            assert!(offer(&mut world, queue, body, AtLeastOnce));
        }
    }
    assert_eq!(ready(&mut world, "n"), Some(2));
    let mut world = world.restarted();
    world.pass(WRITTEN);
    assert_eq!(ready(&mut world, "n"), Some(2), "whatever of it was written before");
    assert_eq!(drain(&mut world, "n"), ["bb", "cc"]);
    assert_eq!(drain(&mut world, "b"), ["bb", "cc"]);
    assert_eq!(drain(&mut world, "0"), [""; 0]);
    assert!(offer(&mut world, "b", "longer", AtLeastOnce));
    assert_eq!(drain(&mut world, "b"), [""; 0], "alone it is too long");
    assert!(world.stats().queue_length_dropped >= 1);
}

#[test]
fn what_comes_back_to_a_full_queue_is_the_first_to_go() {
    let mut world = World::new();
    make(&mut world, "q", QueueOptions { max_messages: Some(2), ..QueueOptions::default() });
    for body in ["1", "2"] {
        send(&mut world, "q", body, AtLeastOnce);
    }
    let first = take(&mut world, 1, "q").unwrap();
    send(&mut world, "q", "3", AtLeastOnce);
    settle(&mut world, 1, &[first], Settlement::Requeue);
    assert_eq!(drain(&mut world, "q"), ["2", "3"]);
}

#[test]
fn a_full_queue_refuses_what_is_new_and_others_get_it() {
    for durable in [true, false] {
        let mut world = World::new();
        let options = QueueOptions {
            max_messages: Some(2),
            overflow: Overflow::Refuse,
            ..QueueOptions::default()
        };
        declare(&mut world, 1, QueueDeclaration { durable, ..with("q", options) });
        let assurance = if durable { AtLeastOnce } else { AtMostOnce };
        let taken = ["1", "2", "3", "4"].map(|body| offer(&mut world, "q", body, assurance));
        assert_eq!(taken, [true, true, false, false]);
        assert_eq!(ready(&mut world, "q"), Some(2));
        assert_eq!(pull(&mut world, 1, "q").unwrap().0, "1");
        assert!(offer(&mut world, "q", "5", assurance));
        assert_eq!(drain(&mut world, "q"), ["2", "5"]);
    }
}

#[test]
fn publishes_in_flight_do_not_overshoot_a_queue_that_refuses() {
    let mut world = World::new();
    let options = QueueOptions {
        max_messages: Some(2),
        overflow: Overflow::Refuse,
        ..QueueOptions::default()
    };
    make(&mut world, "q", options);
    let publish = |body: &str| {
        let mut publish = message("unused", body, AtLeastOnce);
        publish.to = Address::Queue(Bytes::from_static(b"q"));
        Request::Publish(publish)
    };
    let tokens = ["1", "2", "3", "4"].map(|body| world.start(conn(9), publish(body)));
    world.settle_down();
    let taken = tokens.map(|token| match world.got.replies.remove(&token) {
        Some(Reply::Published(_)) => true,
        Some(Reply::Refused(Refusal::Limit(_))) => false,
        other => panic!("{other:?}"),
    });
    assert_eq!(taken, [true, true, false, false]);
    world.pass(WRITTEN);
    let mut world = world.restarted();
    assert_eq!(drain(&mut world, "q"), ["1", "2"]);
}

#[test]
fn higher_priorities_come_first_in_their_order_and_keep_it_over_a_restart() {
    let mut world = World::new();
    make(&mut world, "q", QueueOptions { max_priority: Some(5), ..QueueOptions::default() });
    for (body, priority) in [
        ("none", None),
        ("0", Some(0)),
        ("1", Some(1)),
        ("5", Some(5)),
        ("9", Some(9)),
        ("3", Some(3)),
    ] {
        let mut publish = message("unused", body, AtLeastOnce);
        publish.to = Address::Queue(Bytes::from_static(b"q"));
        publish.record.properties_mut().priority = priority;
        world.ask(conn(9), Request::Publish(publish));
    }
    let first = take(&mut world, 1, "q").unwrap();
    assert_eq!(payload(&first), "5");
    settle(&mut world, 1, &[first], Settlement::Requeue);
    assert_eq!(pull(&mut world, 1, "q").unwrap(), ("5".to_owned(), true, 5));
    world.pass(WRITTEN);
    let mut world = world.restarted();
    assert_eq!(drain(&mut world, "q"), ["9", "3", "1", "none", "0"]);
}

#[test]
fn one_consumer_is_active_and_the_next_one_follows_when_it_goes() {
    let mut world = World::new();
    make(&mut world, "q", QueueOptions { single_active: true, ..QueueOptions::default() });
    consume(&mut world, 2, "q", 2);
    consume(&mut world, 3, "q", 9);
    for body in ["1", "2", "3"] {
        send(&mut world, "q", body, AtLeastOnce);
    }
    let got = world.take_deliveries(conn(2));
    assert_eq!(got.iter().map(payload).collect::<Vec<_>>(), ["1", "2"]);
    assert!(world.take(conn(3)).is_empty(), "it waits even while the active one is full");
    // What the active one gives back in the same turn comes before what was never handed out.
    world.start(conn(2), Request::Cancel(1));
    settle(&mut world, 2, &got, Settlement::Requeue);
    assert_eq!(world.take(conn(3)), ["1", "2", "3"]);
    world.gone(conn(3));
    consume(&mut world, 4, "q", 9);
    assert_eq!(world.take(conn(4)), ["1", "2", "3"]);
}

#[test]
fn an_exclusive_consumer_and_a_single_active_one_do_not_go_together() {
    let mut world = World::new();
    make(
        &mut world,
        "q",
        QueueOptions { single_active: true, no_pull: true, ..QueueOptions::default() },
    );
    let exclusive = Consume {
        number: 1,
        queue: Bytes::from_static(b"q"),
        no_ack: false,
        exclusive: true,
        priority: 0,
        windows: Vec::new(),
    };
    let reply = world.ask(conn(2), Request::Consume(exclusive));
    assert!(matches!(reply, Some(Reply::Refused(Refusal::InUse))), "{reply:?}");
    let pull = protocol::Pull { queue: Bytes::from_static(b"q"), no_ack: true };
    let reply = world.ask(conn(2), Request::Pull(pull));
    assert!(matches!(reply, Some(Reply::Refused(Refusal::InUse))), "{reply:?}");
}

#[test]
fn a_backlog_that_is_only_in_the_log_is_read_batch_by_batch() {
    let mut world = World::new();
    declare(&mut world, 1, queue("q", true));
    let body = "x".repeat(10_000);
    for n in 0..500 {
        send(&mut world, "q", &format!("{n} {body}"), AtLeastOnce);
    }
    let mut world = world.restarted();
    let expected: Vec<String> = (0..500).map(|n| format!("{n} {body}")).collect();
    assert_eq!(drain(&mut world, "q"), expected);
}

#[test]
fn acknowledgements_for_a_removed_queue_do_not_stop_those_of_others() {
    let mut world = World::new();
    for name in ["gone", "stays"] {
        declare(&mut world, 1, queue(name, true));
        send(&mut world, name, "x", AtLeastOnce);
    }
    let gone = take(&mut world, 2, "gone").unwrap();
    let stays = take(&mut world, 2, "stays").unwrap();
    let destroy = protocol::Destroy::Queue {
        name: Bytes::from_static(b"gone"),
        if_unused: false,
        if_empty: false,
    };
    world.ask(conn(1), Request::Destroy(destroy));
    settle(&mut world, 2, &[gone, stays], Settlement::Ack);
    world.pass(WRITTEN);
    let mut world = world.restarted();
    assert_eq!(ready(&mut world, "stays"), Some(0));
}
