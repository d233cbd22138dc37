//! The promises of the contract about logs and rows, one by one.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use model::filter::Filter;

use super::commit;
use super::generate::{client_batch, subject, tail};
use crate::{
    Append, Appended, Body, Bounds, Committed, Engine, LogId, Mode, Op, Producer, ReadError,
    ReadLimits, StoredRecord, SubmitError, Target, Write, batch,
};

pub(super) type Case = fn(&dyn Engine);

pub(super) const ALL: &[Case] = &[
    appended_records_are_read_back_with_their_subjects,
    a_clients_batch_stays_as_it_was_but_for_its_place,
    a_write_is_done_wholly_or_not_at_all,
    offsets_are_never_given_again,
    a_repeat_of_a_producer_gets_the_first_answer,
    a_producer_out_of_order_or_fenced_is_refused,
    deleted_records_are_in_no_batch_that_is_read,
    reads_give_at_least_one_batch_and_stop_at_their_limit,
    rows_are_found_by_key_and_in_order,
    bounds_of_operations_are_told,
    what_no_log_has_is_refused_by_its_id,
];

pub(super) const LOG: LogId = LogId(7);

pub(super) fn write(ops: impl Into<Vec<Op>>) -> Write {
    Write { ops: ops.into(), mode: Mode::Durable }
}

pub(super) fn create(log: LogId) -> Op {
    Op::CreateLog { log, mode: Mode::Durable, first: 0 }
}

/// The range of one offset.
pub(super) fn one(offset: u64) -> Vec<std::ops::Range<u64>> {
    std::iter::once(offset..offset + 1).collect()
}

pub(super) fn record(log: LogId, name: &str, value: &str) -> Append {
    let record =
        StoredRecord { subject: subject(name), timestamp_ms: 1_000, tail: tail(value.as_bytes()) };
    Append { log, body: Body::Record(record), targets: Vec::new(), once: None }
}

fn client(values: &[&[u8]], producer: Option<Producer>) -> Op {
    let body = Body::Batch { bytes: client_batch(values), subject: subject("k"), producer };
    Op::Append(Append { log: LOG, body, targets: Vec::new(), once: None })
}

pub(super) fn done(engine: &dyn Engine, ops: impl Into<Vec<Op>>) -> Committed {
    commit(engine, write(ops)).expect("the write is good")
}

fn appended(base: u64, last: u64) -> Appended {
    Appended { base, last, ..Appended::default() }
}

pub(super) const READ: ReadLimits = ReadLimits { max_bytes: 1 << 20, held: false };
pub(super) const HELD: ReadLimits = ReadLimits { max_bytes: 1 << 20, held: true };

/// Offsets and values that a read gives.
pub(super) fn values(
    engine: &dyn Engine,
    log: LogId,
    from: u64,
    limits: ReadLimits,
) -> Vec<(u64, Bytes)> {
    let batches = engine.read(log, from, limits).expect("the range is good");
    let records = batches.iter().flat_map(|found| batch::records(&found.bytes).expect("readable"));
    records.map(|record| (record.offset, record.value.unwrap_or_default())).collect()
}

fn appended_records_are_read_back_with_their_subjects(engine: &dyn Engine) {
    done(engine, [create(LOG)]);
    let ops = ["a/b", "c", "a/b"].map(|name| Op::Append(record(LOG, name, name)));
    let committed = done(engine, ops);
    assert_eq!(committed.appended, [appended(0, 0), appended(1, 1), appended(2, 2)]);
    let batches = engine.read(LOG, 0, READ).expect("in range");
    let mut seen = Vec::new();
    for found in &batches {
        assert!(batch::is_gathered(&found.bytes), "single records are gathered here");
        for record in batch::records(&found.bytes).expect("readable") {
            let index = usize::try_from(record.offset - found.base).expect("small");
            assert_eq!(record.timestamp_ms, 1_000);
            let name = found.subjects.of(index).expect("one for each record").clone();
            seen.push((record.offset, name, record.value.unwrap_or_default()));
        }
    }
    let wanted = ["a/b", "c", "a/b"].map(|name| (subject(name), Bytes::from(name)));
    let wanted: Vec<_> = (0..).zip(wanted).map(|(at, (name, value))| (at, name, value)).collect();
    assert_eq!(seen, wanted);
    assert_eq!(engine.last(LOG, &Filter::literal(&subject("c"))), Ok(Some(1)));
    let span = engine.subject(LOG, &subject("a/b"));
    assert_eq!(span.map(|span| span.map(|span| span.last)), Ok(Some(2)));
    assert_eq!(engine.subject(LOG, &subject("a")), Ok(None));
}

fn a_clients_batch_stays_as_it_was_but_for_its_place(engine: &dyn Engine) {
    done(engine, [Op::CreateLog { log: LOG, mode: Mode::Durable, first: 40 }]);
    let sent = client_batch(&[b"one", b"two"]);
    let committed = done(engine, [client(&[b"one", b"two"], None)]);
    assert_eq!(committed.appended, [appended(40, 41)]);
    let batches = engine.read(LOG, 41, READ).expect("in range");
    let [found] = batches.as_slice() else { panic!("one batch, not {batches:?}") };
    assert_eq!((found.base, found.last), (40, 41));
    assert_eq!(found.bytes, batch::patched(&sent, 40, 0), "opaque from the magic on");
    assert!(!batch::is_gathered(&found.bytes));
}

fn a_write_is_done_wholly_or_not_at_all(engine: &dyn Engine) {
    done(engine, [create(LOG)]);
    let key = Bytes::from_static(b"k");
    let put = Op::Put { table: "one", key: key.clone(), value: key.clone() };
    let refused = [
        put.clone(),
        create(LogId(8)),
        Op::Append(record(LOG, "a", "x")),
        Op::Append(record(LogId(9), "a", "x")),
    ];
    assert_eq!(commit(engine, write(refused)), Err(SubmitError::NoLog(LogId(9))));
    assert_eq!(engine.get("one", &key), None);
    assert_eq!(engine.bounds(LogId(8)), None);
    assert_eq!(engine.bounds(LOG), Some(Bounds::default()));
    let all = [put, create(LogId(9)), Op::Append(record(LogId(9), "a", "x"))];
    assert_eq!(done(engine, all).appended, [appended(0, 0)], "a log made in the same write");
    assert_eq!(engine.get("one", &key), Some(key));
}

fn offsets_are_never_given_again(engine: &dyn Engine) {
    for mode in [Mode::Memory, Mode::Async, Mode::Durable] {
        let log = LogId(100 + mode as u64);
        done(engine, [Op::CreateLog { log, mode, first: 5 }]);
        let one = || Write { ops: vec![Op::Append(record(log, "a", "x"))], mode: Mode::Memory };
        for wanted in 5..8 {
            assert_eq!(commit(engine, one()).expect("good").appended, [appended(wanted, wanted)]);
        }
        done(engine, [Op::Trim { log, first: 100 }]);
        assert_eq!(engine.bounds(log), Some(Bounds { first: 8, end: 8, ..Bounds::default() }));
        done(engine, [Op::Trim { log, first: 2 }, create(log)]);
        assert_eq!(commit(engine, one()).expect("good").appended, [appended(8, 8)]);
        assert_eq!(values(engine, log, 8, READ).len(), 1);
        let below = engine.read(log, 7, READ).map(|batches| batches.len());
        assert_eq!(below, Err(ReadError::OutOfRange { first: 8, end: 9 }));
        assert_eq!(engine.read(log, 9, READ).map(|batches| batches.len()), Ok(0), "the end");
    }
}

fn producer(epoch: i16, first_sequence: i32) -> Option<Producer> {
    Some(Producer { id: 3, epoch, first_sequence, count: 2 })
}

fn a_repeat_of_a_producer_gets_the_first_answer(engine: &dyn Engine) {
    done(engine, [create(LOG)]);
    for sequence in [0, 2, 4] {
        done(engine, [client(&[b"x", b"y"], producer(0, sequence))]);
    }
    let repeat = done(engine, [client(&[b"x", b"y"], producer(0, 2))]);
    let first = Appended { base: 2, last: 3, duplicate: true, places: Vec::new() };
    assert_eq!(repeat.appended, vec![first]);
    assert_eq!(engine.bounds(LOG).map(|bounds| bounds.end), Some(6), "nothing was appended");
    let both = [client(&[b"x", b"y"], producer(0, 6)), client(&[b"x", b"y"], producer(0, 6))];
    let committed = done(engine, both);
    let second = Appended { base: 6, last: 7, duplicate: true, places: Vec::new() };
    assert_eq!(committed.appended, [appended(6, 7), second], "also within one write");
}

fn a_producer_out_of_order_or_fenced_is_refused(engine: &dyn Engine) {
    done(engine, [create(LOG)]);
    done(engine, [client(&[b"x", b"y"], producer(1, 0))]);
    let result =
        |epoch, sequence| commit(engine, write([client(&[b"x", b"y"], producer(epoch, sequence))]));
    assert_eq!(result(1, 4), Err(SubmitError::OutOfOrder));
    assert_eq!(result(2, 2), Err(SubmitError::OutOfOrder), "a new epoch begins at 0");
    assert_eq!(result(0, 2), Err(SubmitError::Fenced));
    assert_eq!(result(1, 2).expect("follows").appended, [appended(2, 3)]);
    assert_eq!(result(2, 0).expect("a new epoch").appended, [appended(4, 5)]);
}

fn deleted_records_are_in_no_batch_that_is_read(engine: &dyn Engine) {
    done(engine, [create(LOG), client(&[b"zero", b"one", b"two"], None), client(&[b"3"], None)]);
    done(engine, [Op::Delete { log: LOG, ranges: vec![1..2, 3..4, 99..100] }]);
    let shown = values(engine, LOG, 0, READ);
    assert_eq!(shown, [(0, Bytes::from("zero")), (2, Bytes::from("two"))]);
    let batches = engine.read(LOG, 0, READ).expect("in range");
    assert_eq!(batches.iter().map(|found| (found.base, found.last)).collect::<Vec<_>>(), [(0, 2)]);
    assert_eq!(engine.last(LOG, &Filter::literal(&subject("k"))), Ok(Some(2)));
    assert_eq!(engine.next(LOG, &Filter::literal(&subject("k")), 1), Ok(Some(2)));
    done(engine, [Op::Delete { log: LOG, ranges: vec![0..1, 2..3] }]);
    assert_eq!(engine.bounds(LOG), Some(Bounds { first: 4, end: 4, ..Bounds::default() }));
    assert_eq!(engine.subject(LOG, &subject("k")), Ok(None));
}

fn reads_give_at_least_one_batch_and_stop_at_their_limit(engine: &dyn Engine) {
    done(engine, [create(LOG)]);
    let value = vec![7; 1_000];
    for _ in 0..10 {
        done(engine, [client(&[&value, &value], None)]);
    }
    let read =
        |max_bytes| engine.read(LOG, 5, ReadLimits { max_bytes, held: false }).expect("in range");
    assert_eq!(read(0).iter().map(|found| found.base).collect::<Vec<_>>(), [4]);
    assert_eq!(read(5_000).iter().map(|found| found.base).collect::<Vec<_>>(), [4, 6]);
    assert_eq!(read(usize::MAX).len(), 8);
}

fn rows_are_found_by_key_and_in_order(engine: &dyn Engine) {
    let put = |key: &'static str, value: &'static str| Op::Put {
        table: "t",
        key: Bytes::from(key),
        value: Bytes::from(value),
    };
    done(engine, [put("b", "1"), put("a", "2"), put("c", "3"), put("b", "4")]);
    done(engine, [Op::Remove { table: "t", key: Bytes::from("c") }, put("", "5")]);
    let row = |(key, value): (&'static str, &'static str)| (Bytes::from(key), Bytes::from(value));
    assert_eq!(engine.scan("t", b"", 10), [("", "5"), ("a", "2"), ("b", "4")].map(row));
    assert_eq!(engine.scan("t", b"a\0", 1), [("b", "4")].map(row));
    assert_eq!(engine.scan("other", b"", 10), []);
    assert_eq!(engine.get("t", b"c"), None);
}

fn bounds_of_operations_are_told(engine: &dyn Engine) {
    done(engine, [create(LOG)]);
    let put = |key, value| Op::Put {
        table: "t",
        key: Bytes::from(vec![0; key]),
        value: Bytes::from(vec![0; value]),
    };
    done(engine, [put(64 << 10, 1 << 20)]);
    let refused = |op| match commit(engine, write([op])) {
        Err(SubmitError::Bound(_)) => {}
        other => panic!("not told as a bound: {other:?}"),
    };
    refused(put((64 << 10) + 1, 0));
    refused(put(0, (1 << 20) + 1));
    let mut long = record(LOG, "a", "");
    if let Body::Record(record) = &mut long.body {
        record.tail = Bytes::from(vec![0; 16 << 20]);
    }
    refused(Op::Append(long));
    let mut stray = record(LOG, "a", "x");
    stray.targets = vec![Target { record: 1, queue: LOG, priority: 0 }];
    refused(Op::Append(stray));
    let body = Body::Batch { bytes: Bytes::new(), subject: subject("a"), producer: None };
    refused(Op::Append(Append { log: LOG, body, targets: Vec::new(), once: None }));
    let many = (0..20).map(|_| put(0, 1 << 20)).collect::<Vec<_>>();
    assert!(matches!(commit(engine, write(many)), Err(SubmitError::Bound(_))));
}

fn what_no_log_has_is_refused_by_its_id(engine: &dyn Engine) {
    let none = |op| assert_eq!(commit(engine, write([op])), Err(SubmitError::NoLog(LOG)));
    none(Op::Append(record(LOG, "a", "x")));
    none(Op::Trim { log: LOG, first: 1 });
    none(Op::Delete { log: LOG, ranges: one(1) });
    none(Op::Settle { queue: LOG, places: vec![1] });
    none(Op::DropLog(LOG));
    none(Op::Cursor { name: Bytes::from("c"), log: LOG, state: Some(Default::default()) });
    assert_eq!(engine.bounds(LOG), None);
    assert_eq!(engine.read(LOG, 0, READ).map(|batches| batches.len()), Err(ReadError::NoLog));
    assert_eq!(engine.seek(LOG, 0), Err(ReadError::NoLog));
}

/// Completions of one log come in the order of its offsets, whoever submits.
pub(super) fn completions_come_in_order_from_many_threads(engine: &Arc<dyn Engine>) {
    const WRITES: usize = 200;
    done(engine.as_ref(), [create(LOG)]);
    let order = Arc::new(Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..WRITES {
                    let order = order.clone();
                    let one = write([Op::Append(record(LOG, "a", "x"))]);
                    let told: crate::Done = Box::new(move |result| {
                        let base = result.ok().and_then(|done| done.appended.first().cloned());
                        let mut order = order.lock().unwrap_or_else(PoisonError::into_inner);
                        order.push(base.map(|appended| appended.base));
                    });
                    engine.submit(one, told);
                }
            });
        }
    });
    engine.close();
    let order = order.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted: Vec<_> = (0..4 * WRITES as u64).map(Some).collect();
    assert_eq!(*order, wanted);
    assert_eq!(values(engine.as_ref(), LOG, 0, HELD).len(), wanted.len());
}

/// After a close reads go on and writes are refused.
pub(super) fn a_closed_engine_reads_and_takes_nothing(engine: &Arc<dyn Engine>) {
    done(engine.as_ref(), [create(LOG), Op::Append(record(LOG, "a", "x"))]);
    engine.close();
    engine.close();
    assert!(commit(engine.as_ref(), write([create(LogId(8))])).is_err());
    assert_eq!(values(engine.as_ref(), LOG, 0, READ), [(0, Bytes::from("x"))]);
}
