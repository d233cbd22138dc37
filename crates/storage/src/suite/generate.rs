//! Random writes that fit a model: mostly valid, sometimes not.

use bytes::{Bytes, BytesMut};
use model::subject::Subject;

use super::model::Model;
use crate::{
    Append, Body, CursorState, LogId, Mode, Op, Pending, Policy, Producer, Released, StoredRecord,
    Table, Target, WhenFull, Write, batch,
};

/// A seeded source of writes.
#[derive(Clone, Debug)]
pub struct Generator {
    state: u64,
    value: u64,
}

const SUBJECTS: [&str; 6] = ["a", "a/b", "a/b/c", "b/b", "b", "$SYS/x"];
const TABLES: [Table; 2] = ["one", "two"];

/// The tail of a record with this value, and nothing else.
pub(super) fn tail(value: &[u8]) -> Bytes {
    let mut tail = BytesMut::new();
    batch::put_varint(&mut tail, -1);
    batch::put_varint(&mut tail, i32::try_from(value.len()).unwrap_or_default());
    tail.extend_from_slice(value);
    batch::put_varint(&mut tail, 0);
    tail.freeze()
}

/// A subject from its MQTT form.
pub(super) fn subject(text: &str) -> Subject {
    Subject::from_canonical(Bytes::copy_from_slice(text.as_bytes())).unwrap_or_default()
}

/// A client's batch with these values, at the time of their index.
pub(super) fn client_batch(values: &[&[u8]]) -> Bytes {
    let records = values.iter().zip(0_u64..);
    batch::build(records.map(|(value, at)| (at, at.cast_signed(), tail(value))), false)
}

impl Generator {
    /// A generator whose whole future follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), value: seed << 32 }
    }

    /// A number in `0..bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(usize::try_from(self.below(from.len() as u64)).ok()?).copied()
    }

    fn subject(&mut self) -> Subject {
        self.pick(&SUBJECTS).map(subject).unwrap_or_default()
    }

    /// A value that no other call gives.
    fn value(&mut self) -> Bytes {
        self.value += 1;
        let mut value = self.value.to_le_bytes().to_vec();
        let length = if self.below(20) == 0 { 5_000 } else { 8 + self.below(30) };
        value.resize(usize::try_from(length).unwrap_or(8), 7);
        value.into()
    }

    /// The next write for a model in this state.
    pub fn write(&mut self, model: &Model) -> Write {
        let count = 1 + self.below(4) * self.below(2);
        let ops = (0..count).map(|_| self.op(model)).collect();
        let mode = self.pick(&[Mode::Memory, Mode::Async, Mode::Durable, Mode::Durable]);
        Write { ops, mode: mode.unwrap_or(Mode::Durable) }
    }

    fn op(&mut self, model: &Model) -> Op {
        let logs = model.logs();
        let log = self.pick(&logs);
        let Some(log) = log.filter(|_| logs.len() > 3 && self.below(30) > 0) else {
            let mode = self.pick(&[Mode::Memory, Mode::Async, Mode::Durable, Mode::Durable]);
            return Op::CreateLog {
                log: LogId(model.fresh_id() + self.below(2)),
                mode: mode.unwrap_or(Mode::Durable),
                first: self.below(3) * 10,
            };
        };
        let (first, end) = model.range(log);
        let between = first + self.below(end - first + 2);
        match self.below(100) {
            0..45 => self.append(log, &logs, end),
            45..53 => Op::Trim { log, first: between },
            53..63 => {
                let one = |from: u64, length: u64| from..from + length;
                let ranges = (0..=self.below(3))
                    .map(|_| one(between + self.below(3), 1 + self.below(2) * self.below(4)))
                    .collect();
                Op::Delete { log, ranges }
            }
            63..73 => {
                let name = self.pick(&["c", "d", "e"]).unwrap_or_default();
                let floor = between;
                let done = vec![floor + 2..floor + 4, floor + 6..floor + 7];
                let pending = vec![Pending {
                    offset: floor + self.below(3),
                    deliveries: u32::try_from(self.below(5)).unwrap_or_default(),
                    deadline_ms: self.below(3).cast_signed(),
                }];
                let state = (self.below(4) > 0).then_some(CursorState { floor, done, pending });
                Op::Cursor { name: Bytes::from_static(name.as_bytes()), log, state }
            }
            73..80 => {
                let places = model.places(log);
                let some = |_| self.pick(&places).unwrap_or(3);
                Op::Settle { queue: log, places: (0..3).map(some).collect() }
            }
            80..83 => {
                let places = model.places(log);
                let state = Released {
                    place: self.pick(&places).unwrap_or(5),
                    deliveries: u32::try_from(self.below(9)).unwrap_or_default(),
                    not_before_ms: self.below(1_000).cast_signed(),
                };
                Op::Release { queue: log, states: vec![state] }
            }
            83 => Op::Policy { log, policy: self.policy() },
            84..92 => {
                let value = self.value();
                Op::Put { table: self.table(), key: self.key(), value }
            }
            92..97 => Op::Remove { table: self.table(), key: self.key() },
            97 => Op::DropLog(log),
            _ => Op::Trim { log, first: end },
        }
    }

    fn policy(&mut self) -> Policy {
        let mut some =
            |percent: u64, upto: u64| (self.below(100) < percent).then(|| 1 + self.below(upto));
        let max_records = some(50, 12);
        let max_per_subject = some(40, 3).and_then(|max| u32::try_from(max).ok());
        let until_consumed = some(30, 1).is_some();
        let once_ms = some(30, 1).map_or(0, |_| u64::MAX >> 2);
        // What a cursor lets go of in the same group is not counted by a refusing log.
        let refuse = !until_consumed && some(30, 1).is_some();
        let when_full = if refuse { WhenFull::Refuse } else { WhenFull::DropOldest };
        Policy { max_records, max_bytes: None, max_per_subject, when_full, until_consumed, once_ms }
    }

    fn table(&mut self) -> Table {
        self.pick(&TABLES).unwrap_or("one")
    }

    fn key(&mut self) -> Bytes {
        Bytes::from(vec![b'k', u8::try_from(self.below(8)).unwrap_or_default()])
    }

    fn append(&mut self, log: LogId, logs: &[LogId], end: u64) -> Op {
        let (body, count) = if self.below(3) > 0 {
            let record = StoredRecord {
                subject: self.subject(),
                timestamp_ms: (end * 10 + self.below(30)).cast_signed(),
                tail: tail(&self.value()),
            };
            (Body::Record(record), 1)
        } else {
            let values: Vec<_> = (0..=self.below(4)).map(|_| self.value()).collect();
            let slices: Vec<_> = values.iter().map(|value| &value[..]).collect();
            let count = values.len() as u64;
            let producer = (self.below(3) == 0).then(|| Producer {
                id: 5,
                epoch: 0,
                first_sequence: i32::try_from(self.below(4)).unwrap_or_default(),
                count: i32::try_from(count).unwrap_or_default(),
            });
            let bytes = client_batch(&slices);
            (Body::Batch { bytes, subject: self.subject(), producer }, count)
        };
        let targets = (0..self.below(3))
            .filter_map(|_| {
                let record = u32::try_from(self.below(count)).ok()?;
                let priority = u8::try_from(self.below(3)).ok()?;
                Some(Target { record, queue: self.pick(logs)?, priority })
            })
            .collect();
        let single = matches!(body, Body::Record(_));
        let once = (single && self.below(5) == 0).then(|| u128::from(self.below(6)));
        Op::Append(Append { log, body, targets, once })
    }
}
