//! No room on the disk or in memory: who is refused, who waits, and that it ends by itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::budget::{Budget, Class};
use model::record::Assurance;
use protocol::{
    Append, Position, Publish, Published, Refusal, Release, Remember, Reply, Request, Retention,
    Settle, Settlement, StreamRef, Wait, Will,
};
use storage::Engine;

use crate::choked::Choked;
use crate::retention::declare;
use crate::world::{Setting, World, conn, message, payload};

use Assurance::{AtLeastOnce, AtMostOnce};

const TICK: Duration = Duration::from_secs(1);

fn choked() -> (Arc<Choked>, World) {
    let engine = Arc::new(Choked::new());
    (engine.clone(), World::on(engine))
}

fn parking(subject: &str, body: &str) -> Request {
    Request::Publish(Publish { parks: true, ..message(subject, body, AtLeastOnce) })
}

fn is_no_room(reply: &Reply) -> bool {
    matches!(reply, Reply::Refused(Refusal::NoRoom))
}

#[test]
fn a_full_disk_refuses_what_is_to_be_stored_and_nothing_else_and_ends_by_itself() {
    let (engine, mut world) = choked();
    world.claim(conn(1), "s", false, 10);
    world.subscribe(conn(1), 1, "a/#", true);
    world.subscribe(conn(2), 1, "a/#", false);
    world.publish(conn(3), "a/x", "before", AtLeastOnce);
    let waiting = world.take_deliveries(conn(1));
    assert_eq!(world.take(conn(2)), ["before"]);
    engine.set_full(true);
    assert!(is_no_room(&world.publish(conn(3), "a/x", "lost", AtLeastOnce)));
    assert!(world.is_pressed(0) && world.is_pressed(1), "told at the first refused write");
    assert!(world.broker.refuses_because().is_some_and(|why| why.contains("disk")));
    let live = world.publish(conn(3), "a/x", "live", AtMostOnce);
    assert!(matches!(live, Reply::Published(Published { matched: 2, .. })), "{live:?}");
    assert_eq!(world.take(conn(2)), ["live"], "what was promised to nobody goes on");
    let tags = waiting.iter().filter_map(|d| d.tag).collect();
    let settled = world.ask(conn(1), Request::Settle(Settle { tags, how: Settlement::Ack }));
    assert!(matches!(settled, Some(Reply::Done)), "{settled:?}");
    let stream = StreamRef::Name(Bytes::from_static(b"a.x"));
    world.ask(
        conn(4),
        Request::DescribeStreams { streams: Some(vec![stream.clone()]), create: false },
    );
    let located = world.ask(conn(4), Request::Locate(stream, 0, Position::Latest));
    assert!(located.is_some(), "reading goes on");
    world.pass(TICK);
    assert!(world.is_pressed(0), "still full");
    engine.set_full(false);
    world.pass(TICK);
    world.pass(TICK);
    assert!(!world.is_pressed(0) && !world.is_pressed(1));
    assert_eq!(world.broker.refuses_because(), None);
    world.publish(conn(3), "a/x", "after", AtLeastOnce);
    assert_eq!(world.take(conn(2)), ["after"]);
}

#[test]
fn a_full_disk_refuses_batches_with_what_is_tried_again() {
    let (engine, mut world) = choked();
    let name = StreamRef::Name(Bytes::from_static(b"t"));
    world
        .ask(conn(1), Request::DescribeStreams { streams: Some(vec![name.clone()]), create: true });
    engine.set_full(true);
    world.pass(TICK);
    let tail = Bytes::from_static(&[1, 2, b'x', 0]);
    let batch = storage::batch::build([(0, 0, &tail)], false);
    let append = Append { stream: name, partition: 0, batch, wait: Wait::Stored };
    let reply = world.ask(conn(1), Request::Append(append)).unwrap();
    assert!(is_no_room(&reply), "{reply:?}");
}

#[test]
fn publishes_that_cannot_be_refused_wait_in_order_and_are_answered_when_there_is_room() {
    let (engine, mut world) = choked();
    world.subscribe(conn(2), 1, "a", false);
    engine.set_full(true);
    let tokens: Vec<u64> =
        (0..5).map(|n| world.start(conn(1), parking("a", &format!("m{n}")))).collect();
    world.settle_down();
    assert!(tokens.iter().all(|token| !world.got.replies.contains_key(token)), "they wait");
    assert_eq!(world.broker.stats().parked, 5);
    assert!(is_no_room(&world.publish(conn(1), "a", "refused", AtLeastOnce)), "it can be told");
    engine.set_full(false);
    world.pass(TICK);
    world.pass(TICK);
    assert_eq!(world.take(conn(2)), ["m0", "m1", "m2", "m3", "m4"]);
    for token in tokens {
        assert!(matches!(world.got.replies.remove(&token), Some(Reply::Published(_))));
    }
    assert_eq!(world.broker.stats().parked, 0);
}

#[test]
fn a_write_under_way_when_the_disk_fills_waits_too() {
    let (engine, mut world) = choked();
    world.subscribe(conn(2), 1, "a", false);
    engine.set_slow(true);
    let first = world.start(conn(1), parking("a", "m0"));
    let second = world.start(conn(1), parking("a", "m1"));
    engine.set_full(true);
    engine.set_slow(false);
    engine.let_go();
    world.settle_down();
    assert!(!world.got.replies.contains_key(&first));
    let third = world.start(conn(1), parking("a", "m2"));
    world.settle_down();
    engine.set_full(false);
    world.pass(TICK);
    world.pass(TICK);
    assert_eq!(world.take(conn(2)), ["m0", "m1", "m2"]);
    for token in [first, second, third] {
        assert!(matches!(world.got.replies.remove(&token), Some(Reply::Published(_))));
    }
}

#[test]
fn a_connection_has_64_kib_of_waiting_publishes_and_they_go_with_it() {
    let (engine, mut world) = choked();
    world.subscribe(conn(2), 1, "a", false);
    engine.set_full(true);
    world.pass(TICK);
    let body = "x".repeat(20_000);
    let tokens: Vec<u64> = (0..4).map(|_| world.start(conn(1), parking("a", &body))).collect();
    world.settle_down();
    let refused: Vec<bool> =
        tokens.iter().map(|token| world.got.replies.contains_key(token)).collect();
    assert_eq!(refused, [false, false, false, true], "beyond its part it is refused after all");
    world.gone(conn(1));
    assert_eq!(world.broker.stats().parked, 0);
    engine.set_full(false);
    world.pass(TICK);
    world.pass(TICK);
    assert!(world.take(conn(2)).is_empty(), "its publisher sends them again");
}

#[test]
fn with_no_room_a_backlog_reaches_zero_also_where_its_reader_publishes() {
    let (engine, mut world) = choked();
    world.claim(conn(1), "s", false, 4);
    world.subscribe(conn(1), 1, "a", true);
    let sent: Vec<String> = (0..20).map(|n| format!("m{n}")).collect();
    for body in &sent {
        world.publish(conn(3), "a", body, AtLeastOnce);
    }
    engine.set_full(true);
    world.pass(TICK);
    let waits = world.start(conn(1), parking("b", "waits"));
    world.settle_down();
    let mut got = Vec::new();
    while got.len() < sent.len() {
        let deliveries = world.take_deliveries(conn(1));
        assert!(!deliveries.is_empty(), "nothing more after {got:?}");
        got.extend(deliveries.iter().map(payload));
        let tags = deliveries.iter().filter_map(|delivery| delivery.tag).collect();
        let settled = world.ask(conn(1), Request::Settle(Settle { tags, how: Settlement::Ack }));
        assert!(matches!(settled, Some(Reply::Done)), "{settled:?}");
    }
    assert_eq!(got, sent);
    assert!(!world.got.replies.contains_key(&waits), "there is still no room");
    engine.set_full(false);
    world.pass(TICK);
    world.pass(TICK);
    assert!(matches!(world.got.replies.remove(&waits), Some(Reply::Published(_))));
}

#[test]
fn what_a_session_is_to_remember_is_answered_once_it_is_durable() {
    let (engine, mut world) = choked();
    world.claim(conn(1), "s", false, 4);
    engine.set_slow(true);
    let rows = vec![(Bytes::from_static(b"o\0\x01"), Some(Bytes::from_static(b"row")))];
    let token = world.start(conn(1), Request::Remember(Remember { rows }));
    world.settle_down();
    assert!(!world.got.replies.contains_key(&token), "it is not on the disk yet");
    engine.set_slow(false);
    engine.let_go();
    world.settle_down();
    assert!(matches!(world.got.replies.remove(&token), Some(Reply::Done)));
}

#[test]
fn a_failed_sync_refuses_until_the_next_start() {
    let (engine, mut world) = choked();
    engine.poison();
    let token = world.start(conn(1), parking("a", "x"));
    world.settle_down();
    let reply = world.got.replies.remove(&token);
    assert!(matches!(reply, Some(Reply::Refused(Refusal::StorageUnavailable))), "{reply:?}");
    for _ in 0..5 {
        world.pass(TICK);
    }
    assert!(world.is_pressed(0));
}

#[test]
fn scarce_memory_refuses_by_level_and_ends_below_80_percent() {
    let budget = Arc::new(Budget::new(1_000_000));
    let setting = Setting { budget: budget.clone(), ..Setting::default() };
    let mut world = World::with(Arc::new(storage::memory::Memory::new()), setting);
    world.subscribe(conn(2), 1, "a", false);
    budget.set(Class::Connections, 920_000);
    assert!(is_no_room(&world.publish(conn(1), "a", "x", AtLeastOnce)));
    world.pass(TICK);
    assert!(world.is_pressed(0));
    assert!(world.broker.refuses_because().is_some_and(|why| why.contains("memory")));
    budget.set(Class::Connections, 850_000);
    world.pass(TICK);
    assert!(is_no_room(&world.publish(conn(1), "a", "x", AtLeastOnce)), "not yet below the mark");
    budget.set(Class::Connections, 700_000);
    world.pass(TICK);
    assert!(!world.is_pressed(0));
    world.publish(conn(1), "a", "y", AtLeastOnce);
    assert_eq!(world.take(conn(2)), ["y"]);
}

#[test]
fn what_grows_is_accounted_for_by_its_class() {
    let budget = Arc::new(Budget::default());
    let setting = Setting { budget: budget.clone(), ..Setting::default() };
    let mut world = World::with(World::new().engine, setting);
    let look = |world: &mut World| {
        for _ in 0..11 {
            world.pass(Duration::from_secs(1));
        }
        [Class::State, Class::Cursors, Class::Names, Class::LastValues].map(|c| budget.used_by(c))
    };
    let before = look(&mut world);
    for n in 0..200_u32 {
        let name: &'static str = Box::leak(format!("s{n}").into_boxed_str());
        world.claim(conn(n), name, false, 10);
        world.subscribe(conn(n), 1, &format!("a/{n}"), true);
        world.subscribe(conn(n), 2, &format!("b/{n}"), false);
        let mut publish = message(&format!("a/{n}"), "stored", AtLeastOnce);
        publish.record.retain = true;
        world.ask(conn(n), Request::Publish(publish));
    }
    let after = look(&mut world);
    for (index, least) in [200 * 600, 200 * 800, 200 * 400, 200 * 6].into_iter().enumerate() {
        assert!(after[index] >= before[index] + least, "{index}: {before:?} {after:?}");
    }
}

/// Leaves a will of session `s`, which is due after a second.
fn leave_will(world: &mut World, body: &str) {
    world.claim(conn(1), "s", false, 10);
    let publish = message("will", body, AtLeastOnce);
    let will = Some(Box::new(Will { delay_ms: 1_000, publish }));
    world.ask(conn(1), Request::Release(Release { expiry: None, will, handover: None }));
}

#[test]
fn a_will_that_is_due_while_there_is_no_room_is_published_once_there_is() {
    let (engine, mut world) = choked();
    world.subscribe(conn(9), 1, "will", false);
    leave_will(&mut world, "farewell");
    engine.set_full(true);
    world.pass(Duration::from_secs(5));
    assert!(world.take(conn(9)).is_empty());
    assert_eq!(engine.scan("wills", &[], 9).len(), 1, "a restart would find it");
    engine.set_full(false);
    for _ in 0..3 {
        world.pass(TICK);
    }
    assert_eq!(world.take(conn(9)), ["farewell"]);
    assert_eq!(engine.scan("wills", &[], 9).len(), 0);
    world.pass(Duration::from_secs(5));
    assert!(world.take(conn(9)).is_empty(), "once");
}

#[test]
fn a_will_that_nobody_will_ever_take_is_given_up_with_its_row() {
    let (engine, mut world) = choked();
    let short = Retention { max_message_bytes: Some(4), ..Retention::default() };
    declare(&mut world, "wills", "will", short);
    leave_will(&mut world, "farewell");
    assert_eq!(engine.scan("wills", &[], 9).len(), 1);
    world.pass(Duration::from_secs(5));
    assert_eq!(engine.scan("wills", &[], 9).len(), 0);
    assert_eq!(world.stats().refused, 1);
}
