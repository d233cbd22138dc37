//! Writes by hand, for the cases that have a name.

use bytes::{Bytes, BytesMut};
use model::subject::Subject;
use storage::{
    Append, Body, CursorState, LogId, Mode, Op, Producer, StoredRecord, Target, Write, batch,
};

/// A write of these operations that waits for the disk.
pub(crate) fn durable(ops: impl Into<Vec<Op>>) -> Write {
    Write { ops: ops.into(), mode: Mode::Durable }
}

/// A write of these operations that waits for no disk, if its logs do not either.
pub(crate) fn lazy(ops: impl Into<Vec<Op>>) -> Write {
    Write { ops: ops.into(), mode: Mode::Async }
}

pub(crate) fn create(log: LogId, mode: Mode) -> Op {
    Op::CreateLog { log, mode, first: 0 }
}

fn tail(value: &[u8]) -> Bytes {
    let mut tail = BytesMut::new();
    batch::put_varint(&mut tail, -1);
    batch::put_varint(&mut tail, i32::try_from(value.len()).expect("short"));
    tail.extend_from_slice(value);
    batch::put_varint(&mut tail, 0);
    tail.freeze()
}

fn subject() -> Subject {
    Subject::from_canonical(Bytes::from_static(b"a")).expect("valid")
}

/// A record of so many bytes, with a reference in each of the queues.
pub(crate) fn record(log: LogId, (byte, length): (u8, usize), queues: &[LogId]) -> Op {
    let tail = tail(&vec![byte; length]);
    let record = StoredRecord { subject: subject(), timestamp_ms: 1, tail };
    let targets =
        queues.iter().map(|queue| Target { record: 0, queue: *queue, priority: 0 }).collect();
    Op::Append(Append { log, body: Body::Record(record), targets, once: None })
}

/// A batch of one record by an idempotent producer.
pub(crate) fn produced(log: LogId, epoch: i16, first_sequence: i32) -> Op {
    let bytes = batch::build([(0, 1, tail(&first_sequence.to_le_bytes()))], false);
    let producer = Some(Producer { id: 3, epoch, first_sequence, count: 1 });
    let body = Body::Batch { bytes, subject: subject(), producer };
    Op::Append(Append { log, body, targets: Vec::new(), once: None })
}

pub(crate) fn cursor(log: LogId, floor: u64) -> Op {
    let state = Some(CursorState { floor, ..CursorState::default() });
    Op::Cursor { name: Bytes::from_static(b"c"), log, state }
}

pub(crate) fn put(key: &'static str, length: usize) -> Op {
    Op::Put { table: "one", key: Bytes::from(key), value: Bytes::from(vec![7; length]) }
}

/// What frees space: everything that must be possible on a disk that is full.
pub(crate) fn freeing(log: LogId, queue: LogId) -> Vec<Write> {
    vec![
        durable([Op::Settle { queue, places: vec![0, 1] }]),
        durable([cursor(log, 5)]),
        durable([Op::Delete { log, ranges: std::iter::once(6..8).collect() }]),
        durable([Op::Trim { log, first: 4 }]),
        durable([Op::Remove { table: "one", key: Bytes::from_static(b"k") }]),
    ]
}
