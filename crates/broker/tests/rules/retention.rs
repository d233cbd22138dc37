//! What goes out of sight, by which limit.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::filter::Filter;
use model::record::Assurance;
use protocol::{
    Alter, Declare, Declared, Durability, Published, Refusal, Reply, Request, Retention,
    StreamDeclaration, StreamRef,
};
use storage::memory::Memory;

use crate::publish::{name, read_from, records};
use crate::world::{World, conn};

use Assurance::AtLeastOnce;

thread_local! {
    /// Each test has a thread of its own, and so a clock.
    static CLOCK: Cell<i64> = const { Cell::new(0) };
}

/// A world whose engine's clock goes with it.
pub(crate) fn world() -> World {
    CLOCK.set(1_000_000);
    World::on(Arc::new(Memory::with_clock(|| CLOCK.get())))
}

/// Lets so many seconds pass, on both clocks.
pub(crate) fn pass(world: &mut World, seconds: u64) {
    CLOCK.set(CLOCK.get() + i64::try_from(seconds).unwrap() * 1_000);
    world.pass(Duration::from_secs(seconds));
}

pub(crate) fn declaration(stream: &str, filter: &str, retention: Retention) -> StreamDeclaration {
    StreamDeclaration {
        name: Bytes::copy_from_slice(stream.as_bytes()),
        filters: vec![Filter::mqtt(&Bytes::copy_from_slice(filter.as_bytes())).unwrap()],
        partitions: 1,
        retention,
        durability: Durability::Durable,
        dry_run: false,
    }
}

pub(crate) fn declare(world: &mut World, stream: &str, filter: &str, retention: Retention) {
    let declare = Declare::Stream(declaration(stream, filter, retention));
    let reply = world.ask(conn(9), Request::Declare(declare));
    assert!(matches!(reply, Some(Reply::Declared(Declared::Stream(_)))), "{reply:?}");
}

/// The values that a stream shows from its start.
pub(crate) fn shown(world: &mut World, stream: &str) -> Vec<String> {
    let first =
        match world.ask(conn(9), Request::Locate(name(stream), 0, protocol::Position::Earliest)) {
            Some(Reply::Located(Some(found))) => found.offset,
            other => panic!("{other:?}"),
        };
    let mut all = Vec::new();
    let mut at = first;
    loop {
        let page = records(world.ask(conn(9), read_from(name(stream), at, 0)));
        let Some((last, _)) = page.last() else { return all };
        at = last + 1;
        all.extend(page.into_iter().map(|(_, value)| value));
    }
}

fn publish_all(world: &mut World, subject: &str, values: &[&str]) {
    for value in values {
        let reply = world.publish(conn(1), subject, value, AtLeastOnce);
        assert!(matches!(reply, Reply::Published(_)), "{reply:?}");
    }
}

#[test]
fn age_counts_from_the_append_on_the_engines_clock_and_nothing_goes_early() {
    let mut world = world();
    declare(&mut world, "t", "t/#", Retention { max_age_ms: Some(60_000), ..Retention::default() });
    publish_all(&mut world, "t/a", &["old"]);
    pass(&mut world, 30);
    publish_all(&mut world, "t/a", &["young"]);
    pass(&mut world, 29);
    assert_eq!(shown(&mut world, "t"), ["old", "young"]);
    pass(&mut world, 2);
    assert_eq!(shown(&mut world, "t"), ["young"]);
    pass(&mut world, 60);
    assert!(shown(&mut world, "t").is_empty());
}

#[test]
fn counts_and_limits_per_subject_hold_at_the_append() {
    let mut world = world();
    declare(&mut world, "t", "t/#", Retention { max_records: Some(3), ..Retention::default() });
    publish_all(&mut world, "t/a", &["1", "2", "3", "4", "5"]);
    assert_eq!(shown(&mut world, "t"), ["3", "4", "5"]);
    let retention = Retention { max_per_subject: Some(2), ..Retention::default() };
    declare(&mut world, "k", "k/#", retention);
    for n in 1..=3 {
        publish_all(&mut world, "k/a", &[&format!("a{n}")]);
        publish_all(&mut world, "k/b", &[&format!("b{n}")]);
    }
    assert_eq!(shown(&mut world, "k"), ["a2", "b2", "a3", "b3"]);
}

#[test]
fn a_stream_that_refuses_when_full_keeps_its_oldest() {
    let mut world = world();
    let retention =
        Retention { max_records: Some(2), refuse_when_full: true, ..Retention::default() };
    declare(&mut world, "t", "t/#", retention);
    publish_all(&mut world, "t/a", &["1", "2"]);
    let reply = world.publish(conn(1), "t/a", "3", AtLeastOnce);
    assert!(matches!(reply, Reply::Refused(Refusal::Limit(_))), "{reply:?}");
    assert_eq!(shown(&mut world, "t"), ["1", "2"]);
}

#[test]
fn records_that_are_kept_until_consumed_go_when_every_session_is_done_with_them() {
    let mut world = world();
    declare(&mut world, "t", "t/#", Retention { until_consumed: true, ..Retention::default() });
    for n in 1..=2 {
        world.claim(conn(n), if n == 1 { "one" } else { "two" }, false, 10);
        world.subscribe(conn(n), 1, "t/#", true);
    }
    publish_all(&mut world, "t/a", &["x"]);
    for n in 1..=2 {
        assert_eq!(shown(&mut world, "t"), ["x"], "someone still awaits it");
        let tags = world.take_deliveries(conn(n)).iter().filter_map(|d| d.tag).collect();
        let how = protocol::Settlement::Ack;
        world.ask(conn(n), Request::Settle(protocol::Settle { tags, how }));
        pass(&mut world, 1);
    }
    assert!(shown(&mut world, "t").is_empty());
}

#[test]
fn an_altered_limit_holds_from_the_next_append_and_after_a_restart() {
    let mut world = world();
    declare(&mut world, "t", "t/#", Retention::default());
    publish_all(&mut world, "t/a", &["1", "2", "3"]);
    let retention = Retention { max_records: Some(1), ..Retention::default() };
    let alter = Alter { stream: name("t"), retention: retention.clone(), dry_run: false };
    match world.ask(conn(9), Request::Alter(alter)) {
        Some(Reply::Declared(Declared::Stream(status))) => assert_eq!(status.retention, retention),
        other => panic!("{other:?}"),
    }
    publish_all(&mut world, "t/a", &["4"]);
    assert_eq!(shown(&mut world, "t"), ["4"]);
    let mut world = world.restarted();
    publish_all(&mut world, "t/a", &["5"]);
    assert_eq!(shown(&mut world, "t"), ["5"]);
    let impossible = Retention { max_per_subject: Some(0), ..Retention::default() };
    for (stream, refusal) in [("t", Refusal::InvalidNumber), ("_default", Refusal::Reserved)] {
        let alter = Alter {
            stream: StreamRef::Name(Bytes::copy_from_slice(stream.as_bytes())),
            retention: impossible.clone(),
            dry_run: false,
        };
        match world.ask(conn(9), Request::Alter(alter)) {
            Some(Reply::Refused(refused)) => assert_eq!(refused, refusal),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_stream_may_take_smaller_messages_than_the_node() {
    let mut world = world();
    declare(
        &mut world,
        "t",
        "t/#",
        Retention { max_message_bytes: Some(4), ..Retention::default() },
    );
    let reply = world.publish(conn(1), "t/a", "12345", AtLeastOnce);
    assert!(matches!(reply, Reply::Refused(Refusal::TooLarge(4))), "{reply:?}");
    assert!(matches!(
        world.publish(conn(1), "t/a", "1234", AtLeastOnce),
        Reply::Published(Published { .. })
    ));
}

#[test]
fn what_only_queues_held_is_gone_from_the_spool_once_they_are_done_with_it() {
    let mut world = world();
    let spools: Vec<_> = (1..40)
        .map(storage::LogId)
        .filter(|log| world.engine.policy(*log).is_some_and(|policy| policy.max_records == Some(0)))
        .collect();
    assert!(!spools.is_empty(), "the spool shows nothing");
    let declare = protocol::QueueDeclaration {
        name: Bytes::from_static(b"q"),
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments: Bytes::new(),
        options: None,
    };
    world.ask(conn(1), Request::Declare(Declare::Queue(declare)));
    let mut publish = crate::world::message("x", "held", AtLeastOnce);
    publish.to = model::record::Address::Queue(Bytes::from_static(b"q"));
    world.ask(conn(1), Request::Publish(publish));
    let held = |world: &World| -> u64 {
        spools
            .iter()
            .filter_map(|log| world.engine.bounds(*log))
            .map(|b| b.held_bytes + b.bytes)
            .sum()
    };
    assert!(held(&world) > 0);
    let pull = protocol::Pull { queue: Bytes::from_static(b"q"), no_ack: true };
    match world.ask(conn(1), Request::Pull(pull)) {
        Some(Reply::Pulled(Some(pulled))) => {
            assert_eq!(pulled.delivery.message.record.payload(), "held");
        }
        other => panic!("{other:?}"),
    }
    pass(&mut world, 1);
    assert_eq!(held(&world), 0);
}
