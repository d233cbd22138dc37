//! Dead letters: what queues give up goes where they send it, once, with its history.

use std::time::Duration;

use bytes::Bytes;
use model::filter::{Filter, Reach};
use model::record::{Address, Assurance, Cause, Death, Header, Space};
use model::render;
use protocol::{
    Binding, DeadLetter, Declare, Delivery, HeaderMatch, HeaderMatchMode, Overflow,
    QueueDeclaration, QueueOptions, Request, Settlement,
};

use crate::queueing::{
    binding, declare, drain, make, offer, pull, queue, ready, send, settle, space, take, with,
};
use crate::world::{World, conn, message, payload};

use Assurance::{AtLeastOnce, AtMostOnce};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn named(name: &'static str) -> DeadLetter {
    DeadLetter::To(Address::Queue(Bytes::from_static(name.as_bytes())))
}

fn to(name: &'static str) -> QueueOptions {
    QueueOptions { dead_letter: Some(named(name)), ..QueueOptions::default() }
}

fn within(name: &'static str) -> DeadLetter {
    DeadLetter::Within {
        space: Space::named(&format!("exchange/{name}")),
        private: Space::named("elsewhere"),
    }
}

fn reject(world: &mut World, queue: &'static str) {
    let got = take(world, 1, queue).unwrap();
    settle(world, 1, &[got], Settlement::Reject);
}

fn deaths(delivery: &Delivery) -> Vec<(&str, Cause, u64)> {
    let all = &delivery.message.record.properties.as_ref().unwrap().deaths;
    all.iter().map(|d| (std::str::from_utf8(&d.queue).unwrap(), d.cause, d.count)).collect()
}

#[test]
fn each_cause_leads_to_the_dead_letters() {
    for durable in [true, false] {
        let assurance = if durable { AtLeastOnce } else { AtMostOnce };
        let mut world = World::new();
        declare(&mut world, 1, queue("dead", durable));
        let options = QueueOptions {
            message_ttl_ms: Some(1000),
            max_messages: Some(2),
            delivery_limit: Some(0),
            ..to("dead")
        };
        declare(&mut world, 1, QueueDeclaration { durable, ..with("q", options) });
        for body in ["full", "rejected", "often"] {
            send(&mut world, "q", body, assurance);
        }
        reject(&mut world, "q");
        let got = take(&mut world, 1, "q").unwrap();
        settle(&mut world, 1, &[got], Settlement::Requeue);
        send(&mut world, "q", "expired", assurance);
        world.pass(ms(1000));
        let expected = [
            ("full", Cause::MaxLength),
            ("rejected", Cause::Rejected),
            ("often", Cause::DeliveryLimit),
            ("expired", Cause::Expired),
        ];
        for (body, cause) in expected {
            let got = take(&mut world, 1, "dead").unwrap();
            assert_eq!(payload(&got), body);
            assert_eq!(deaths(&got), [("q", cause, 1)]);
            assert!(!got.redelivered, "a copy is new");
            assert_eq!(got.message.address, Address::Queue(Bytes::from_static(b"dead")));
        }
        assert_eq!(world.stats().dead_lettered, 4);
        assert_eq!(ready(&mut world, "q"), Some(0));
    }
}

#[test]
fn a_dead_letter_is_in_one_queue_whatever_of_it_was_written() {
    let mut world = World::new();
    declare(&mut world, 1, queue("dead", true));
    make(&mut world, "q", to("dead"));
    for body in ["1", "2"] {
        send(&mut world, "q", body, AtLeastOnce);
    }
    reject(&mut world, "q");
    // Nothing but the burial's own write reaches the engine.
    let mut world = world.restarted();
    assert_eq!(drain(&mut world, "dead"), ["1"]);
    assert_eq!(drain(&mut world, "q"), ["2"]);
}

#[test]
fn a_dead_letter_keeps_its_own_subject_unless_it_is_given_one() {
    let mut world = World::new();
    world.ask(conn(1), Request::Declare(Declare::Space(space("dlx"))));
    for (name, key) in [("own", "own.key"), ("given", "given.key")] {
        declare(&mut world, 1, queue(name, true));
        let source = Space::named("exchange/dlx");
        let filter = Filter::amqp(key.as_bytes()).unwrap();
        world.ask(conn(1), Request::Bind(binding(source, name, filter)));
    }
    let keeps = QueueOptions { dead_letter: Some(within("dlx")), ..QueueOptions::default() };
    let subject = render::queue_name::parse(b"given.key").unwrap();
    let given = DeadLetter::To(Address::Subject(Space::named("exchange/dlx"), subject));
    let gives = QueueOptions { dead_letter: Some(given), ..QueueOptions::default() };
    make(&mut world, "own.key", keeps);
    make(&mut world, "q", gives);
    send(&mut world, "own.key", "1", AtLeastOnce);
    send(&mut world, "q", "2", AtLeastOnce);
    reject(&mut world, "own.key");
    reject(&mut world, "q");
    let got = take(&mut world, 1, "own").unwrap();
    assert_eq!(payload(&got), "1");
    let Address::Subject(space, subject) = &got.message.address else { panic!("a subject") };
    assert_eq!((space.name(), subject.as_bytes()), (Some("exchange/dlx"), &b"own/key"[..]));
    assert_eq!(drain(&mut world, "given"), ["2"]);
}

#[test]
fn without_a_place_to_go_to_it_is_dropped_and_counted() {
    let mut world = World::new();
    make(&mut world, "nowhere", to("nobody"));
    let missing = QueueOptions { dead_letter: Some(within("missing")), ..QueueOptions::default() };
    make(&mut world, "missing", missing);
    for queue in ["nowhere", "missing"] {
        send(&mut world, queue, "x", AtLeastOnce);
        reject(&mut world, queue);
    }
    assert_eq!((world.stats().dead_letters_lost, world.stats().dead_lettered), (2, 0));
    world.pass(ms(50));
    let mut world = world.restarted();
    assert_eq!((ready(&mut world, "nowhere"), ready(&mut world, "missing")), (Some(0), Some(0)));
}

#[test]
fn the_history_counts_by_queue_and_cause_the_latest_first() {
    let mut world = World::new();
    make(&mut world, "work", to("later"));
    make(&mut world, "later", QueueOptions { message_ttl_ms: Some(100), ..to("work") });
    let mut publish = message("unused", "x", AtLeastOnce);
    publish.to = Address::Queue(Bytes::from_static(b"work"));
    publish.record.properties_mut().expires_at_ms = Some(world.now.unix_ms + 5000);
    let started = world.now.unix_ms;
    world.ask(conn(9), Request::Publish(publish));
    for round in 1..4 {
        reject(&mut world, "work");
        world.pass(ms(100));
        let got = take(&mut world, 1, "work").unwrap();
        let expected = [("later", Cause::Expired, round), ("work", Cause::Rejected, round)];
        assert_eq!(deaths(&got), expected);
        let properties = got.message.record.properties.as_ref().unwrap();
        let first = &properties.deaths[1];
        let expected = Death {
            queue: Bytes::from_static(b"work"),
            cause: Cause::Rejected,
            count: round,
            time_ms: started,
            address: Address::Queue(Bytes::from_static(b"work")),
            ttl_ms: Some(5000),
            first: true,
        };
        assert_eq!(first, &expected);
        assert_eq!(properties.expires_at_ms, None, "the first death takes its own limit");
        settle(&mut world, 1, &[got], Settlement::Requeue);
        // The history is in storage.
        world.pass(ms(50));
        world = world.restarted();
        let got = take(&mut world, 1, "work").unwrap();
        assert_eq!(deaths(&got)[1], ("work", Cause::Rejected, round));
        settle(&mut world, 1, &[got], Settlement::Requeue);
    }
}

#[test]
fn what_goes_round_by_itself_is_dropped() {
    let mut world = World::new();
    make(&mut world, "a", QueueOptions { message_ttl_ms: Some(10), ..to("b") });
    make(&mut world, "b", QueueOptions { message_ttl_ms: Some(10), ..to("a") });
    make(&mut world, "self", QueueOptions { max_messages: Some(0), ..to("self") });
    send(&mut world, "a", "x", AtLeastOnce);
    assert!(offer(&mut world, "self", "x", AtLeastOnce));
    world.pass(ms(10));
    assert_eq!((ready(&mut world, "a"), ready(&mut world, "b")), (Some(0), Some(1)));
    world.pass(ms(10));
    assert_eq!((ready(&mut world, "a"), ready(&mut world, "b")), (Some(0), Some(0)));
    assert_eq!(ready(&mut world, "self"), Some(0));
    assert_eq!(world.stats().dead_letters_lost, 2);
}

#[test]
fn a_queue_that_refuses_may_give_up_what_it_refuses() {
    let mut world = World::new();
    declare(&mut world, 1, queue("dead", true));
    let options =
        QueueOptions { max_messages: Some(1), overflow: Overflow::RefuseAndGiveUp, ..to("dead") };
    make(&mut world, "q", options);
    let taken = ["1", "2", "3"].map(|body| offer(&mut world, "q", body, AtLeastOnce));
    assert_eq!(taken, [true, false, false]);
    let mut world = world.restarted();
    assert_eq!(drain(&mut world, "q"), ["1"]);
    let got = take(&mut world, 1, "dead").unwrap();
    assert_eq!((payload(&got).as_str(), deaths(&got)), ("2", vec![("q", Cause::MaxLength, 1)]));
    assert_eq!(drain(&mut world, "dead"), ["3"]);
}

#[test]
fn dead_letters_meet_the_limits_of_where_they_go() {
    let mut world = World::new();
    let full = QueueOptions {
        max_messages: Some(1),
        overflow: Overflow::Refuse,
        ..QueueOptions::default()
    };
    make(&mut world, "full", full);
    make(&mut world, "q", to("full"));
    for body in ["1", "2"] {
        send(&mut world, "q", body, AtLeastOnce);
        reject(&mut world, "q");
    }
    assert_eq!(drain(&mut world, "full"), ["1"]);
    assert_eq!(ready(&mut world, "q"), Some(0));
}

#[test]
fn header_bindings_of_the_dead_letters_space_see_the_message() {
    let mut world = World::new();
    world.ask(conn(1), Request::Declare(Declare::Space(space("dlx"))));
    declare(&mut world, 1, queue("dead", true));
    let all = Filter::everything(Reach::All);
    let conditional = Binding {
        headers: Some(HeaderMatch {
            mode: HeaderMatchMode::All,
            wanted: vec![(Bytes::from_static(b"k"), Some(Bytes::from_static(b"v")))],
        }),
        ..binding(Space::named("exchange/dlx"), "dead", all)
    };
    world.ask(conn(1), Request::Bind(conditional));
    make(
        &mut world,
        "q",
        QueueOptions { dead_letter: Some(within("dlx")), ..QueueOptions::default() },
    );
    for (body, value) in [("other", &b"w"[..]), ("wanted", b"v")] {
        let mut publish = message("unused", body, AtLeastOnce);
        publish.to = Address::Queue(Bytes::from_static(b"q"));
        let value = Some(Bytes::from_static(value));
        publish.record.headers.push(Header { name: Bytes::from_static(b"k"), value });
        world.ask(conn(9), Request::Publish(publish));
        reject(&mut world, "q");
    }
    assert_eq!(drain(&mut world, "dead"), ["wanted"]);
}

#[test]
fn dead_letters_of_a_long_queue_all_arrive_in_order() {
    let mut world = World::new();
    declare(&mut world, 1, queue("dead", true));
    make(&mut world, "q", QueueOptions { message_ttl_ms: Some(1000), ..to("dead") });
    for n in 0..3000 {
        send(&mut world, "q", &n.to_string(), AtLeastOnce);
    }
    world.pass(ms(1000));
    for _ in 0..20 {
        world.pass(ms(10));
    }
    let expected: Vec<String> = (0..3000).map(|n| n.to_string()).collect();
    assert_eq!(drain(&mut world, "dead"), expected);
    assert_eq!(pull(&mut world, 1, "q"), None);
    assert_eq!(world.stats().dead_lettered, 3000);
}
