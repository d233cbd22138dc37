//! Durable sessions: each record once, whoever was there when it came.

use std::time::Duration;

use crate::world::{World, conn, message, payload, subscription};
use bytes::Bytes;
use model::record::{Assurance, Record};
use protocol::{
    Claim, Expiry, Handover, Notice, Release, Remember, Reply, Request, Settle, Settlement, Tag,
    Will,
};

use Assurance::{AtLeastOnce, AtMostOnce};

fn ack(world: &mut World, number: u32, tags: Vec<Tag>) {
    let reply = world.ask(conn(number), Request::Settle(Settle { tags, how: Settlement::Ack }));
    assert!(matches!(reply, Some(Reply::Done)), "{reply:?}");
}

fn ack_all(world: &mut World, number: u32) -> Vec<String> {
    let deliveries = world.take_deliveries(conn(number));
    let values = deliveries.iter().map(payload).collect();
    ack(world, number, deliveries.iter().filter_map(|d| d.tag).collect());
    values
}

#[test]
fn what_came_while_the_owner_was_away_comes_once_at_its_return_in_order() {
    let mut world = World::new();
    world.claim(conn(1), "s", true, 10);
    world.subscribe(conn(1), 1, "a/#", true);
    world.publish(conn(2), "a/1", "online", AtLeastOnce);
    assert_eq!(ack_all(&mut world, 1), ["online"]);
    world.gone(conn(1));
    for n in 0..25 {
        world.publish(conn(2), "a/1", &n.to_string(), AtLeastOnce);
    }
    world.publish(conn(2), "a/1", "not promised", AtMostOnce);
    world.publish(conn(2), "b", "not for it", AtLeastOnce);
    let claimed = world.claim(conn(3), "s", false, 10);
    assert!(claimed.present);
    assert_eq!(claimed.subscriptions[0].memo, "memo");
    let mut values = Vec::new();
    loop {
        let more = ack_all(&mut world, 3);
        if more.is_empty() {
            break;
        }
        assert!(more.len() <= 10, "never more than the window");
        values.extend(more);
    }
    assert_eq!(values, (0..25).map(|n| n.to_string()).collect::<Vec<_>>());
    world.publish(conn(2), "a/1", "live again", AtLeastOnce);
    assert_eq!(ack_all(&mut world, 3), ["live again"]);
}

#[test]
fn what_was_not_settled_comes_again_and_says_so_after_a_restart_too() {
    let mut world = World::new();
    world.claim(conn(1), "s", true, 10);
    world.subscribe(conn(1), 1, "a", true);
    for n in 0..3 {
        world.publish(conn(2), "a", &n.to_string(), AtLeastOnce);
    }
    let first = world.take_deliveries(conn(1));
    ack(&mut world, 1, vec![first[1].tag.unwrap()]);
    world.gone(conn(1));
    world.claim(conn(3), "s", false, 10);
    let again = world.take_deliveries(conn(3));
    assert_eq!(again.iter().map(payload).collect::<Vec<_>>(), ["0", "2"]);
    assert!(again.iter().all(|d| d.redelivered));
    assert_eq!(again[0].tag, first[0].tag, "the same name");
    ack(&mut world, 3, vec![again[0].tag.unwrap()]);
    world.pass(Duration::from_millis(50));
    let mut world = world.restarted();
    assert!(world.claim(conn(4), "s", false, 10).present);
    assert_eq!(world.take(conn(4)), ["2"]);
}

#[test]
fn a_message_published_between_runs_of_the_owner_reaches_overlapping_filters_once() {
    let mut world = World::new();
    world.claim(conn(1), "s", true, 10);
    world.subscribe(conn(1), 1, "a/#", true);
    world.subscribe(conn(1), 2, "a/+", true);
    world.publish(conn(2), "a/x", "live", AtLeastOnce);
    let live = world.take_deliveries(conn(1));
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].matched.as_slice(), [1, 2]);
    world.gone(conn(1));
    world.publish(conn(2), "a/x", "stored", AtLeastOnce);
    world.claim(conn(3), "s", false, 10);
    let stored = world.take_deliveries(conn(3));
    assert_eq!(stored.iter().map(payload).collect::<Vec<_>>(), ["live", "stored"]);
    assert_eq!(stored[1].matched.as_slice(), [1, 2]);
}

#[test]
fn a_new_filter_does_not_bring_back_what_was_there_before_it() {
    let mut world = World::new();
    world.claim(conn(1), "s", true, 10);
    world.subscribe(conn(1), 1, "a/1", true);
    world.publish(conn(2), "a/2", "before", AtLeastOnce);
    world.subscribe(conn(1), 2, "a/#", true);
    world.gone(conn(1));
    world.publish(conn(2), "a/2", "after", AtLeastOnce);
    world.claim(conn(3), "s", false, 10);
    assert_eq!(world.take(conn(3)), ["after"]);
}

#[test]
fn a_full_window_holds_back_and_neither_loses_nor_repeats() {
    let mut world = World::new();
    world.claim(conn(1), "s", true, 2);
    world.subscribe(conn(1), 1, "a", true);
    for n in 0..600 {
        world.publish(conn(2), "a", &n.to_string(), AtLeastOnce);
    }
    let mut values = Vec::new();
    loop {
        let more = ack_all(&mut world, 1);
        if more.is_empty() {
            break;
        }
        values.extend(more);
    }
    assert_eq!(values, (0..600).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_claim_displaces_the_owner_and_gets_what_it_leaves() {
    let mut world = World::new();
    world.claim(conn(1), "s", true, 10);
    let claim =
        Claim { name: Bytes::from_static(b"s"), clean: false, expiry: Expiry::Never, window: 10 };
    let token = world.start(conn(2), Request::Claim(claim));
    assert_eq!(world.got.notices.pop(), Some((conn(1), Notice::Displaced)));
    world.settle_down();
    assert!(!world.got.replies.contains_key(&token), "first the owner lets go");
    let handover = Some(Handover(Box::new(42_u8)));
    let release = Release { expiry: None, will: None, handover };
    world.ask(conn(1), Request::Release(release));
    let Some(Reply::Claimed(claimed)) = world.got.replies.remove(&token) else { panic!() };
    let left = claimed.handover.unwrap().0.downcast::<u8>().unwrap();
    assert_eq!((claimed.present, *left), (true, 42));
}

#[test]
fn a_clean_claim_forgets_subscriptions_and_memory() {
    let mut world = World::new();
    world.claim(conn(1), "s", true, 10);
    world.subscribe(conn(1), 1, "a", true);
    let rows = vec![(Bytes::from_static(b"in/1"), Some(Bytes::from_static(b"x")))];
    world.ask(conn(1), Request::Remember(Remember { rows }));
    world.gone(conn(1));
    let claimed = world.claim(conn(2), "s", false, 10);
    assert_eq!(claimed.memory, [(Bytes::from_static(b"in/1"), Bytes::from_static(b"x"))]);
    world.gone(conn(2));
    let claimed = world.claim(conn(3), "s", true, 10);
    assert!(!claimed.present && claimed.memory.is_empty() && claimed.subscriptions.is_empty());
    world.publish(conn(2), "a", "x", AtLeastOnce);
    assert!(world.take(conn(3)).is_empty());
}

#[test]
fn a_receipt_is_kept_with_its_message() {
    let mut world = World::new();
    world.claim(conn(1), "s", true, 10);
    let mut publish = message("q2", "x", Assurance::ExactlyOnce);
    publish.remember = Some(Bytes::from_static(b"in/7"));
    world.ask(conn(1), Request::Publish(publish));
    let mut world = world.restarted();
    let claimed = world.claim(conn(2), "s", false, 10);
    assert_eq!(claimed.memory, [(Bytes::from_static(b"in/7"), Bytes::new())]);
}

#[test]
fn a_session_ends_when_its_time_is_over_and_its_will_is_published_first_if_it_is_due() {
    let mut world = World::new();
    world.subscribe(conn(9), 1, "will", false);
    let claim = Claim {
        name: Bytes::from_static(b"s"),
        clean: true,
        expiry: Expiry::After(5_000),
        window: 10,
    };
    world.ask(conn(1), Request::Claim(claim));
    let publish = message("will", "farewell", AtMostOnce);
    let will = Some(Box::new(Will { delay_ms: 60_000, publish }));
    world.ask(conn(1), Request::Release(Release { expiry: None, will, handover: None }));
    world.pass(Duration::from_secs(4));
    assert!(world.take(conn(9)).is_empty());
    world.pass(Duration::from_secs(2));
    assert_eq!(world.take(conn(9)), ["farewell"], "the session's end comes before the delay");
    assert!(!world.claim(conn(2), "s", false, 10).present);
}

#[test]
fn a_will_is_not_published_if_the_session_is_claimed_in_time() {
    let mut world = World::new();
    world.subscribe(conn(9), 1, "will", false);
    world.claim(conn(1), "s", true, 10);
    let publish = message("will", "farewell", AtMostOnce);
    let will = Some(Box::new(Will { delay_ms: 1_000, publish }));
    world.ask(conn(1), Request::Release(Release { expiry: None, will, handover: None }));
    world.claim(conn(2), "s", false, 10);
    world.pass(Duration::from_secs(2));
    assert!(world.take(conn(9)).is_empty());
}

#[test]
fn a_durable_share_keeps_messages_while_all_members_are_away_and_each_goes_to_one() {
    let mut world = World::new();
    for (number, name) in [(1, "m1"), (2, "m2")] {
        world.claim(conn(number), name, true, 2);
        let mut subscribe = subscription(1, "jobs", true);
        subscribe.group = Some(Bytes::from_static(b"g"));
        world.ask(conn(number), Request::Subscribe(subscribe));
    }
    world.gone(conn(1));
    world.gone(conn(2));
    for n in 0..6 {
        world.publish(conn(9), "jobs", &n.to_string(), AtLeastOnce);
    }
    let mut world = world.restarted();
    world.claim(conn(3), "m1", false, 2);
    assert_eq!(world.take(conn(3)), ["0", "1"], "its window");
    world.gone(conn(3));
    world.claim(conn(4), "m2", false, 100);
    let all = world.take_deliveries(conn(4));
    assert_eq!(all.iter().map(payload).collect::<Vec<_>>(), ["0", "1", "2", "3", "4", "5"]);
    assert!(all[0].redelivered);
}

#[test]
fn live_and_durable_members_of_a_share_share_each_message() {
    let mut world = World::new();
    let share = |durable| {
        let mut subscribe = subscription(1, "jobs", durable);
        let filter = subscribe.filter.to_bytes();
        let live = Bytes::from([b"g/", &filter[..]].concat());
        subscribe.group = Some(if durable { Bytes::from_static(b"g") } else { live });
        Request::Subscribe(subscribe)
    };
    let claim = Claim {
        name: Bytes::from_static(b"live"),
        clean: true,
        expiry: Expiry::After(0),
        window: 100,
    };
    world.ask(conn(1), Request::Claim(claim));
    world.ask(conn(1), share(false));
    world.claim(conn(2), "durable", true, 100);
    world.ask(conn(2), share(true));
    let given = |world: &mut World| {
        for n in 0..4 {
            world.publish(conn(9), "jobs", &n.to_string(), AtLeastOnce);
        }
        (ack_all(world, 1).len(), ack_all(world, 2).len())
    };
    assert_eq!(given(&mut world), (2, 2));
    world.ask(conn(2), Request::Unsubscribe(1));
    assert_eq!(given(&mut world), (4, 0));
    world.gone(conn(1));
    let mut world = world.restarted();
    world.claim(conn(3), "durable", false, 100);
    world.ask(conn(3), share(true));
    assert!(world.take(conn(3)).is_empty(), "the share went with its last member");
}

#[test]
fn a_durable_session_gets_unstored_messages_while_it_is_there() {
    let mut world = World::new();
    world.claim(conn(1), "s", true, 10);
    world.subscribe(conn(1), 1, "a", true);
    world.publish(conn(2), "a", "now", AtMostOnce);
    let got = world.take_deliveries(conn(1));
    assert_eq!((got.len(), got[0].tag), (1, None));
    let _: &Record = &got[0].message.record;
}
