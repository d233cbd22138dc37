//! Time in queues, by the engine's clock: messages expire, come back later, queues go unused.

use std::time::Duration;

use bytes::Bytes;
use model::record::{Address, Assurance};
use protocol::{Destroy, QueueDeclaration, QueueOptions, Request, Settlement};

use crate::queueing::{
    consume, declare, drain, make, pull, queue, ready, send, settle, take, with,
};
use crate::world::{World, conn, message, payload};

use Assurance::{AtLeastOnce, AtMostOnce};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn expiring(ttl: u64) -> QueueOptions {
    QueueOptions { message_ttl_ms: Some(ttl), ..QueueOptions::default() }
}

/// A message with a limit of its own, as a protocol says it: by the wall clock.
fn send_for(world: &mut World, queue: &'static str, body: &str, ttl: i64) {
    let mut publish = message("unused", body, AtLeastOnce);
    publish.to = Address::Queue(Bytes::from_static(queue.as_bytes()));
    publish.record.properties_mut().expires_at_ms = Some(world.now.unix_ms + ttl);
    world.ask(conn(9), Request::Publish(publish));
}

#[test]
fn messages_expire_after_the_queues_time_or_their_own_if_that_is_less() {
    for durable in [true, false] {
        let mut world = World::new();
        declare(&mut world, 1, QueueDeclaration { durable, ..with("q", expiring(1000)) });
        let assurance = if durable { AtLeastOnce } else { AtMostOnce };
        send_for(&mut world, "q", "short", 300);
        send_for(&mut world, "q", "long", 60_000);
        send(&mut world, "q", "plain", assurance);
        assert_eq!(ready(&mut world, "q"), Some(3));
        world.pass(ms(299));
        assert_eq!(ready(&mut world, "q"), Some(3));
        world.pass(ms(1));
        assert_eq!(ready(&mut world, "q"), Some(2));
        world.pass(ms(699));
        assert_eq!(ready(&mut world, "q"), Some(2));
        world.pass(ms(1));
        assert_eq!(ready(&mut world, "q"), Some(0));
        assert_eq!(world.stats().queue_expired, 3);
    }
}

#[test]
fn a_message_expires_once_it_is_the_next_of_its_priority() {
    let mut world = World::new();
    declare(&mut world, 1, queue("q", true));
    send_for(&mut world, "q", "long", 60_000);
    send_for(&mut world, "q", "short", 100);
    world.pass(ms(1000));
    assert_eq!(ready(&mut world, "q"), Some(2), "as in other brokers it waits for its turn");
    assert_eq!(pull(&mut world, 1, "q").unwrap().0, "long");
    assert_eq!(ready(&mut world, "q"), Some(0));
}

#[test]
fn a_time_of_zero_is_for_who_waits_already() {
    let mut world = World::new();
    make(&mut world, "q", expiring(0));
    send(&mut world, "q", "nobody", AtLeastOnce);
    assert_eq!(ready(&mut world, "q"), Some(0));
    consume(&mut world, 2, "q", 9);
    send(&mut world, "q", "waiting", AtLeastOnce);
    assert_eq!(world.take(conn(2)), ["waiting"]);
}

#[test]
fn a_message_keeps_its_time_when_it_is_returned() {
    let mut world = World::new();
    make(&mut world, "q", expiring(400));
    send(&mut world, "q", "x", AtLeastOnce);
    let got = take(&mut world, 1, "q").unwrap();
    world.pass(ms(250));
    settle(&mut world, 1, &[got], Settlement::Requeue);
    assert_eq!(ready(&mut world, "q"), Some(1));
    world.pass(ms(150));
    assert_eq!(ready(&mut world, "q"), Some(0));
}

#[test]
fn time_goes_on_over_a_restart_and_the_wall_clock_has_no_say_in_it() {
    let mut world = World::new();
    make(&mut world, "q", expiring(1000));
    declare(&mut world, 1, queue("own", true));
    send(&mut world, "q", "queue", AtLeastOnce);
    send_for(&mut world, "own", "own", 1000);
    world.pass(ms(600));
    let mut world = world.restarted();
    world.now.unix_ms += 3600 * 1000 * 24 * 3650;
    world.pass(ms(399));
    assert_eq!((ready(&mut world, "q"), ready(&mut world, "own")), (Some(1), Some(1)));
    world.now.unix_ms -= 3600 * 1000 * 24 * 7300;
    world.pass(ms(1));
    assert_eq!((ready(&mut world, "q"), ready(&mut world, "own")), (Some(0), Some(0)));
}

#[test]
fn many_messages_expire_in_many_turns() {
    let mut world = World::new();
    make(&mut world, "q", expiring(100));
    for n in 0..2000 {
        send(&mut world, "q", &n.to_string(), AtLeastOnce);
    }
    world.pass(ms(100));
    assert_eq!(ready(&mut world, "q"), Some(0));
    assert_eq!(world.stats().queue_expired, 2000);
    world.pass(ms(50));
    let mut world = world.restarted();
    assert_eq!(ready(&mut world, "q"), Some(0));
}

#[test]
fn a_message_that_is_put_off_comes_back_at_its_place_when_its_time_has_come() {
    let mut world = World::new();
    declare(&mut world, 1, queue("q", true));
    for body in ["1", "2"] {
        send(&mut world, "q", body, AtLeastOnce);
    }
    let first = take(&mut world, 1, "q").unwrap();
    settle(&mut world, 1, &[first], Settlement::RequeueAfter(500));
    consume(&mut world, 2, "q", 9);
    assert_eq!(world.take(conn(2)), ["2"]);
    assert_eq!(ready(&mut world, "q"), Some(0));
    world.pass(ms(499));
    assert!(world.take(conn(2)).is_empty());
    world.pass(ms(1));
    let got = world.take_deliveries(conn(2));
    assert_eq!(got.iter().map(payload).collect::<Vec<_>>(), ["1"]);
    assert!(got[0].redelivered);
    settle(&mut world, 2, &got, Settlement::RequeueAfter(500));
    world.pass(ms(50));
    let mut world = world.restarted();
    assert_eq!(pull(&mut world, 1, "q").unwrap().0, "2");
    assert_eq!(pull(&mut world, 1, "q"), None, "the delay outlives a restart");
    world.pass(ms(450));
    assert_eq!(pull(&mut world, 1, "q"), Some(("1".to_owned(), true, 0)));
}

#[test]
fn what_is_put_off_is_there_to_be_removed() {
    let mut world = World::new();
    declare(&mut world, 1, queue("q", true));
    send(&mut world, "q", "1", AtLeastOnce);
    let first = take(&mut world, 1, "q").unwrap();
    settle(&mut world, 1, &[first], Settlement::RequeueAfter(500));
    let name = Bytes::from_static(b"q");
    let destroy = Destroy::Queue { name: name.clone(), if_unused: false, if_empty: true };
    let reply = world.ask(conn(1), Request::Destroy(destroy));
    assert!(matches!(reply, Some(protocol::Reply::Refused(protocol::Refusal::NotEmpty))));
    world.ask(conn(1), Request::Purge(name));
    world.pass(ms(1000));
    let mut world = world.restarted();
    world.pass(ms(1000));
    assert_eq!(drain(&mut world, "q"), [""; 0]);
}

#[test]
fn a_queue_that_nobody_uses_goes() {
    let mut world = World::new();
    make(&mut world, "q", QueueOptions { unused_ms: Some(1000), ..QueueOptions::default() });
    let used: [&dyn Fn(&mut World); 3] = [
        &|world| assert_eq!(ready(world, "q"), Some(0)),
        &|world| assert_eq!(pull(world, 1, "q"), None),
        &|world| {
            consume(world, 2, "q", 1);
            world.pass(ms(5000));
            world.gone(conn(2));
        },
    ];
    for use_it in used {
        world.pass(ms(999));
        use_it(&mut world);
    }
    world.pass(ms(999));
    let mut world = world.restarted();
    world.pass(ms(999));
    assert_eq!(ready(&mut world, "q"), Some(0), "a restart begins anew");
    world.pass(ms(1000));
    assert_eq!(ready(&mut world, "q"), None);
    let mut world = world.restarted();
    assert_eq!(ready(&mut world, "q"), None);
}

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// Puts the next messages of `q` off, each for so long.
fn put_off(world: &mut World, times: impl IntoIterator<Item = u64>) {
    for after_ms in times {
        let got = take(world, 1, "q").unwrap();
        settle(world, 1, &[got], Settlement::RequeueAfter(after_ms));
    }
}

fn filled(world: &mut World, count: u64) {
    declare(world, 1, queue("q", true));
    for n in 0..count {
        send(world, "q", &n.to_string(), AtLeastOnce);
    }
}

#[test]
fn thousands_of_messages_that_are_put_off_for_a_day_take_no_memory_of_queues() {
    let budget = std::sync::Arc::new(model::budget::Budget::default());
    let setting = crate::world::Setting { budget: budget.clone(), ..Default::default() };
    let mut world = World::with(World::new().engine, setting);
    filled(&mut world, 3_000);
    put_off(&mut world, (0..3_000).map(|n| DAY_MS + n * 10));
    let before = budget.used_by(model::budget::Class::Queues);
    world.pass(ms(50));
    assert!(before >= 3_000 * 64, "{before}");
    assert_eq!(budget.used_by(model::budget::Class::Queues), 0);
    assert!(world.engine.scan("deadlines", &[], 100).len() <= 3, "a row for each minute");
    let mut world = world.restarted();
    world.pass(ms(DAY_MS - 50 - 1));
    assert_eq!(ready(&mut world, "q"), Some(0));
    world.pass(ms(1 + 15_000));
    assert_eq!(ready(&mut world, "q"), Some(1_501));
    world.pass(ms(15_000));
    assert_eq!(drain(&mut world, "q").len(), 3_000);
    world.pass(ms(DAY_MS));
    assert!(world.engine.scan("deadlines", &[], 100).is_empty());
}

#[test]
fn what_is_put_off_for_long_is_there_to_be_removed() {
    let mut world = World::new();
    filled(&mut world, 2);
    put_off(&mut world, [DAY_MS]);
    world.pass(ms(50));
    let name = Bytes::from_static(b"q");
    take(&mut world, 2, "q").unwrap();
    let destroy = Destroy::Queue { name: name.clone(), if_unused: false, if_empty: true };
    let reply = world.ask(conn(1), Request::Destroy(destroy));
    assert!(matches!(reply, Some(protocol::Reply::Refused(protocol::Refusal::NotEmpty))));
    world.ask(conn(1), Request::Purge(name));
    world.pass(ms(DAY_MS));
    assert_eq!(ready(&mut world, "q"), Some(0));
    let mut world = world.restarted();
    world.pass(ms(DAY_MS));
    assert_eq!(drain(&mut world, "q"), ["1"], "what somebody had is not purged");
}

#[test]
fn whatever_messages_are_put_off_for_each_comes_once_and_not_before_its_time() {
    for seed in 1..40_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut world = World::new();
        filled(&mut world, 40);
        let mut clock = 0;
        let mut due: std::collections::BTreeMap<String, u64> =
            (0..40).map(|n| (n.to_string(), 0)).collect();
        for _ in 0..60 {
            while let Some(got) = take(&mut world, 1, "q") {
                let body = payload(&got);
                assert!(due[&body] <= clock, "seed {seed}: {body} is early");
                let after = match next(4) {
                    0 => next(MINUTE_MS),
                    1 => next(20 * MINUTE_MS),
                    2 => 10 * MINUTE_MS + next(3) * MINUTE_MS,
                    _ => next(5 * 60 * MINUTE_MS),
                };
                settle(&mut world, 1, &[got], Settlement::RequeueAfter(after.max(1)));
                due.insert(body, clock + after.max(1));
            }
            let ready: Vec<_> = due.values().filter(|at| **at <= clock).collect();
            assert!(ready.is_empty(), "seed {seed}: {ready:?} did not come");
            // Many turns, so that what is due on the way is seen to.
            let steps = next(30);
            for _ in 0..steps {
                world.pass(ms(MINUTE_MS));
                clock += MINUTE_MS;
            }
            let rest = next(MINUTE_MS) + 50;
            world.pass(ms(rest));
            clock += rest;
            if next(5) == 0 {
                world.pass(ms(50));
                clock += 50;
                world = world.restarted();
            }
            // What was looked for late is set a timer for at once.
            for _ in 0..4 {
                world.pass(ms(0));
            }
        }
    }
}
