//! The promises of the contract about what is out of sight but held: queues, cursors, dropped logs.

use bytes::Bytes;

use super::cases::{Case, HELD, LOG, READ, create, done, one, record, values};
use crate::{Bounds, CursorState, Engine, LogId, Mode, Op, Policy, ReadError, Reference, Target};

pub(super) const ALL: &[Case] = &[
    references_hold_their_records_until_they_are_settled,
    a_queue_counts_its_places_and_never_again,
    references_hold_records_of_a_dropped_log,
    a_dropped_queue_holds_nothing,
    a_cursor_holds_from_its_floor_on,
    cursors_are_listed_by_name_and_log,
    a_log_of_memory_can_be_referred_to,
    what_one_write_appends_and_consumes_is_out_of_sight,
    a_limit_counts_what_cursors_have_left,
    all_cursors_count_from_the_write_that_keeps_records_until_they_are_consumed,
];

const QUEUE: LogId = LogId(20);
const OTHER: LogId = LogId(21);

fn reference(place: u64, offset: u64) -> Reference {
    Reference { place, log: LOG, offset, priority: 0, deliveries: 0, not_before_ms: 0 }
}

fn to(queues: &[LogId], value: &str) -> Op {
    let mut append = record(LOG, "a", value);
    append.targets =
        queues.iter().map(|queue| Target { record: 0, queue: *queue, priority: 0 }).collect();
    Op::Append(append)
}

fn held(engine: &dyn Engine, offset: u64) -> Option<Bytes> {
    let all = engine.read(LOG, offset, HELD).ok()?;
    let records = all.iter().flat_map(|found| crate::batch::records(&found.bytes).expect("valid"));
    let mut records = records.filter(|record| record.offset == offset);
    records.next().and_then(|record| record.value)
}

fn references_hold_their_records_until_they_are_settled(engine: &dyn Engine) {
    done(engine, [create(LOG), create(QUEUE), create(OTHER)]);
    let committed = done(engine, [to(&[QUEUE, OTHER], "zero")]);
    assert_eq!(committed.appended.first().map(|one| one.places.clone()), Some(vec![0, 0]));
    done(engine, [to(&[QUEUE], "one")]);
    done(engine, [Op::Append(record(LOG, "a", "two"))]);
    assert_eq!(engine.refs(QUEUE, 0, 10), [reference(0, 0), reference(1, 1)]);
    assert_eq!(engine.refs(QUEUE, 1, 10), [reference(1, 1)]);
    assert_eq!(engine.refs(OTHER, 0, 10), [reference(0, 0)]);

    done(engine, [Op::Delete { log: LOG, ranges: one(0) }, Op::Trim { log: LOG, first: 3 }]);
    assert_eq!(values(engine, LOG, 3, READ), []);
    assert_eq!(held(engine, 0), Some(Bytes::from("zero")));
    assert_eq!(held(engine, 1), Some(Bytes::from("one")));
    assert_eq!(held(engine, 2), None, "nobody awaits it");

    done(engine, [Op::Settle { queue: QUEUE, places: vec![0, 1, 77] }]);
    assert_eq!(engine.refs(QUEUE, 0, 10), []);
    assert_eq!(held(engine, 1), None);
    assert_eq!(held(engine, 0), Some(Bytes::from("zero")), "the other queue awaits it");
    done(engine, [Op::Settle { queue: OTHER, places: vec![0] }]);
    assert_eq!(held(engine, 0), None);
}

fn a_queue_counts_its_places_and_never_again(engine: &dyn Engine) {
    done(engine, [create(LOG), create(QUEUE)]);
    done(engine, [to(&[QUEUE], "x"), to(&[QUEUE], "y")]);
    done(engine, [Op::Settle { queue: QUEUE, places: vec![0, 1] }]);
    let committed = done(engine, [to(&[QUEUE], "z")]);
    assert_eq!(committed.appended.first().map(|one| one.places.clone()), Some(vec![2]));
    assert_eq!(engine.bounds(QUEUE).map(|bounds| bounds.end), Some(3));
}

fn references_hold_records_of_a_dropped_log(engine: &dyn Engine) {
    done(engine, [create(LOG), create(QUEUE)]);
    done(engine, [to(&[QUEUE], "x"), Op::Append(record(LOG, "a", "y"))]);
    done(engine, [Op::DropLog(LOG)]);
    assert_eq!(engine.bounds(LOG), None);
    assert_eq!(engine.read(LOG, 0, READ).map(|batches| batches.len()), Err(ReadError::NoLog));
    assert_eq!(held(engine, 0), Some(Bytes::from("x")));
    done(engine, [Op::Settle { queue: QUEUE, places: vec![0] }]);
    assert_eq!(held(engine, 0), None);
}

fn a_dropped_queue_holds_nothing(engine: &dyn Engine) {
    done(engine, [create(LOG), create(QUEUE)]);
    done(engine, [to(&[QUEUE], "x")]);
    done(engine, [Op::Trim { log: LOG, first: 1 }]);
    assert_eq!(held(engine, 0), Some(Bytes::from("x")));
    done(engine, [Op::DropLog(QUEUE)]);
    assert_eq!(held(engine, 0), None);
    assert_eq!(engine.refs(QUEUE, 0, 10), []);
}

fn cursor(name: &'static str, log: LogId, floor: Option<u64>) -> Op {
    let state = floor.map(|floor| CursorState {
        floor,
        done: std::iter::once(floor + 1..floor + 2).collect(),
        pending: Vec::new(),
    });
    Op::Cursor { name: Bytes::from(name), log, state }
}

fn a_cursor_holds_from_its_floor_on(engine: &dyn Engine) {
    done(engine, [create(LOG)]);
    for value in ["zero", "one", "two", "three"] {
        done(engine, [Op::Append(record(LOG, "a", value))]);
    }
    done(engine, [cursor("c", LOG, Some(1)), cursor("d", LOG, Some(2))]);
    done(engine, [Op::Delete { log: LOG, ranges: one(3) }, Op::Trim { log: LOG, first: 3 }]);
    let kept = || (0..4).filter(|at| held(engine, *at).is_some()).collect::<Vec<_>>();
    assert_eq!(kept(), [1, 2, 3]);
    done(engine, [cursor("c", LOG, Some(3))]);
    assert_eq!(kept(), [2, 3]);
    done(engine, [cursor("d", LOG, None)]);
    assert_eq!(kept(), [3]);
    done(engine, [cursor("c", LOG, Some(4))]);
    assert_eq!(kept(), []);
}

fn cursors_are_listed_by_name_and_log(engine: &dyn Engine) {
    done(engine, [create(LOG), create(QUEUE)]);
    done(
        engine,
        [cursor("b", LOG, Some(5)), cursor("a", QUEUE, Some(6)), cursor("a", LOG, Some(7))],
    );
    let listed = |from: &[u8], limit| {
        let cursors = engine.cursors(from, limit);
        cursors.into_iter().map(|(name, log, state)| (name, log, state.floor)).collect::<Vec<_>>()
    };
    let (a, b) = (Bytes::from("a"), Bytes::from("b"));
    assert_eq!(listed(b"", 9), [(a.clone(), LOG, 7), (a, QUEUE, 6), (b.clone(), LOG, 5)]);
    assert_eq!(listed(b"a\0", 9), [(b, LOG, 5)]);
    assert_eq!(listed(b"", 1).len(), 1);
    done(engine, [Op::DropLog(LOG)]);
    assert_eq!(listed(b"", 9).len(), 1, "cursors go with their log");
}

fn a_log_of_memory_can_be_referred_to(engine: &dyn Engine) {
    done(engine, [Op::CreateLog { log: LOG, mode: Mode::Memory, first: 0 }, create(QUEUE)]);
    done(engine, [to(&[QUEUE], "x"), Op::Trim { log: LOG, first: 1 }]);
    assert_eq!(engine.refs(QUEUE, 0, 10), [reference(0, 0)]);
    assert_eq!(held(engine, 0), Some(Bytes::from("x")));
    done(engine, [Op::Settle { queue: QUEUE, places: vec![0] }]);
    assert_eq!(held(engine, 0), None);
}

fn consumed(log: LogId, max_records: Option<u64>) -> Op {
    let policy = Policy { until_consumed: true, max_records, ..Policy::default() };
    Op::Policy { log, policy }
}

fn what_one_write_appends_and_consumes_is_out_of_sight(engine: &dyn Engine) {
    done(engine, [create(LOG), consumed(LOG, None), Op::Append(record(LOG, "a", "zero"))]);
    done(engine, [Op::Append(record(LOG, "a", "one")), cursor("c", LOG, Some(2))]);
    assert_eq!(engine.bounds(LOG), Some(Bounds { first: 2, end: 2, ..Bounds::default() }));
}

fn a_limit_counts_what_cursors_have_left(engine: &dyn Engine) {
    done(engine, [create(LOG), consumed(LOG, Some(3))]);
    for value in ["zero", "one", "two"] {
        done(engine, [Op::Append(record(LOG, "a", value))]);
    }
    // The cursor is done with record 1, so that there is room for one more.
    done(engine, [cursor("c", LOG, Some(0)), Op::Append(record(LOG, "a", "three"))]);
    let shown = values(engine, LOG, 0, READ).into_iter().map(|(at, _)| at);
    assert_eq!(shown.collect::<Vec<_>>(), [0, 2, 3]);
}

fn all_cursors_count_from_the_write_that_keeps_records_until_they_are_consumed(
    engine: &dyn Engine,
) {
    done(engine, [create(LOG)]);
    for value in ["zero", "one", "two"] {
        done(engine, [Op::Append(record(LOG, "a", value))]);
    }
    done(engine, [cursor("slow", LOG, Some(1))]);
    done(engine, [consumed(LOG, None), cursor("fast", LOG, Some(3))]);
    assert_eq!(engine.bounds(LOG).map(|bounds| bounds.first), Some(1), "one of them is behind");
}
