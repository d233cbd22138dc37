//! What a write is to the queue: how heavy, whether it only frees, and what it touches.
//!
//! Writes that only free space (settles, trims, deletes, cursors, drops, removals) may overtake
//! data that waits (storage rule 8), unless something that waits touches the same thing: then the
//! order in which both came decides what is left in the end. What waits is kept as counts by hash;
//! two things with one hash cost an overtaking, nothing else.

use bytes::Bytes;
use storage::{Body, LogId, Mode, Op, Write};

/// A write as the queue sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assay {
    /// Bytes that it takes while it waits, about.
    pub(crate) bytes: usize,
    /// It only frees.
    pub(crate) control: bool,
    /// Nobody waits for it: it may be written a little later (storage rule 23).
    pub(crate) lazy: bool,
}

impl Assay {
    pub(crate) fn of(write: &Write) -> Self {
        let lazy = write.mode != Mode::Durable;
        // A write without operations only waits for what is before it.
        let mut assay = Self { bytes: 256, control: true, lazy };
        for op in &write.ops {
            let (bytes, control, lazy) = match op {
                Op::Append(append) => {
                    let body = match &append.body {
                        Body::Record(record) => record.tail.len(),
                        Body::Batch { bytes, .. } => Bytes::len(bytes),
                    };
                    (body + 24 * append.targets.len(), false, false)
                }
                Op::CreateLog { .. } => (0, false, false),
                Op::Policy { .. } => (0, false, true),
                Op::Put { key, value, .. } => (key.len() + value.len(), false, true),
                Op::Remove { key, .. } => (key.len(), true, true),
                Op::Delete { ranges, .. } => (16 * ranges.len(), true, true),
                Op::Settle { places, .. } => (8 * places.len(), true, true),
                Op::Release { states, .. } => (24 * states.len(), true, true),
                Op::Cursor { state, .. } => {
                    (state.as_ref().map_or(0, |state| 16 * state.done.len()), true, true)
                }
                Op::DropLog(_) | Op::Trim { .. } => (0, true, true),
            };
            assay.bytes += 128 + bytes;
            assay.control &= control;
            assay.lazy &= lazy;
        }
        assay
    }
}

const SLOTS: usize = 2048;

/// What writes that wait touch, as counts by hash.
#[derive(Debug)]
pub(crate) struct Touched {
    counts: Box<[u32; SLOTS]>,
}

impl Default for Touched {
    fn default() -> Self {
        Self { counts: Box::new([0; SLOTS]) }
    }
}

/// Something that the order of two writes matters for.
#[derive(Clone, Copy, Debug)]
enum Thing<'a> {
    /// Anything about a log.
    Log(LogId),
    /// Whether a log exists and what of it is in sight.
    Extent(LogId),
    /// The states of references.
    References(LogId),
    /// A cursor.
    Cursor(&'a Bytes, LogId),
    /// A row.
    Row(&'a str, &'a Bytes),
}

impl Thing<'_> {
    fn slot(self) -> usize {
        let (salt, number) = match self {
            Self::Log(log) => (1, log.0),
            Self::Extent(log) => (2, log.0),
            Self::References(log) => (3, log.0),
            Self::Cursor(name, log) => (4, log.0 ^ u64::from(crc32c::crc32c(name)) << 32),
            Self::Row(table, key) => {
                let hash = crc32c::crc32c_append(crc32c::crc32c(table.as_bytes()), key);
                (5, hash.into())
            }
        };
        let mixed = (number ^ salt << 59).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from(mixed >> 53).unwrap_or_default() % SLOTS
    }
}

impl Touched {
    /// Takes note of a write that waits.
    pub(crate) fn add(&mut self, write: &Write) {
        touches(write, |thing| {
            if let Some(count) = self.counts.get_mut(thing.slot()) {
                *count += 1;
            }
        });
    }

    /// The write does not wait any more.
    pub(crate) fn take(&mut self, write: &Write) {
        touches(write, |thing| {
            if let Some(count) = self.counts.get_mut(thing.slot()) {
                *count = count.saturating_sub(1);
            }
        });
    }

    /// Nothing waits any more.
    pub(crate) fn clear(&mut self) {
        self.counts.fill(0);
    }

    /// Whether a write that only frees must stay behind what waits.
    pub(crate) fn holds_back(&self, write: &Write) -> bool {
        let is_touched =
            |thing: Thing<'_>| self.counts.get(thing.slot()).is_none_or(|count| *count > 0);
        // One without operations waits for what is before it, and for nothing else.
        write.ops.is_empty()
            || write.ops.iter().any(|op| match op {
                // What is appended before must be appended before.
                Op::DropLog(log) | Op::Trim { log, .. } | Op::Delete { log, .. } => {
                    is_touched(Thing::Log(*log))
                }
                Op::Settle { queue, .. } => is_touched(Thing::Extent(*queue)),
                Op::Release { queue, .. } => {
                    is_touched(Thing::Extent(*queue)) || is_touched(Thing::References(*queue))
                }
                Op::Cursor { name, log, .. } => {
                    is_touched(Thing::Extent(*log)) || is_touched(Thing::Cursor(name, *log))
                }
                Op::Remove { table, key } => is_touched(Thing::Row(table, key)),
                Op::CreateLog { .. } | Op::Policy { .. } | Op::Append(_) | Op::Put { .. } => true,
            })
    }
}

fn touches(write: &Write, mut touch: impl FnMut(Thing<'_>)) {
    for op in &write.ops {
        match op {
            Op::Append(append) => {
                touch(Thing::Log(append.log));
                append.targets.iter().for_each(|target| touch(Thing::Log(target.queue)));
            }
            Op::CreateLog { log, .. }
            | Op::Policy { log, .. }
            | Op::DropLog(log)
            | Op::Trim { log, .. }
            | Op::Delete { log, .. } => {
                touch(Thing::Log(*log));
                touch(Thing::Extent(*log));
            }
            Op::Settle { queue, .. } => touch(Thing::Log(*queue)),
            Op::Release { queue, .. } => {
                touch(Thing::Log(*queue));
                touch(Thing::References(*queue));
            }
            Op::Cursor { name, log, .. } => {
                touch(Thing::Log(*log));
                touch(Thing::Cursor(name, *log));
            }
            Op::Put { table, key, .. } | Op::Remove { table, key } => {
                touch(Thing::Row(table, key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use storage::CursorState;

    use super::*;

    fn write(ops: Vec<Op>) -> Write {
        Write { ops, mode: Mode::Async }
    }

    fn put(key: &'static [u8]) -> Op {
        Op::Put { table: "t", key: Bytes::from_static(key), value: Bytes::new() }
    }

    fn remove(key: &'static [u8]) -> Op {
        Op::Remove { table: "t", key: Bytes::from_static(key) }
    }

    fn cursor(floor: u64) -> Op {
        let state = CursorState { floor, ..CursorState::default() };
        Op::Cursor { name: Bytes::from_static(b"c"), log: LogId(1), state: Some(state) }
    }

    fn settle(queue: u64) -> Op {
        Op::Settle { queue: LogId(queue), places: vec![1] }
    }

    #[test]
    fn only_writes_that_free_are_control() {
        assert!(Assay::of(&write(vec![remove(b"a"), cursor(1), settle(2)])).control);
        assert!(!Assay::of(&write(vec![remove(b"a"), put(b"b")])).control);
        assert!(Assay::of(&write(vec![put(b"a")])).lazy);
        assert!(!Assay::of(&Write { ops: vec![put(b"a")], mode: Mode::Durable }).lazy);
    }

    #[test]
    fn nothing_overtakes_what_touches_the_same_thing() {
        let mut touched = Touched::default();
        let first = write(vec![put(b"a"), cursor(1), Op::DropLog(LogId(7))]);
        touched.add(&first);
        for op in [remove(b"a"), cursor(2), settle(7)] {
            assert!(touched.holds_back(&write(vec![op.clone()])), "{op:?}");
        }
        for op in [remove(b"b"), settle(8)] {
            assert!(!touched.holds_back(&write(vec![op.clone()])), "{op:?}");
        }
        touched.take(&first);
        assert!(!touched.holds_back(&write(vec![remove(b"a"), cursor(2), settle(7)])));
    }
}
