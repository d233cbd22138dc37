//! After-images: what a committed write did, in a form that can be applied twice.
//!
//! A plan turns a write into images; applying them to a [`State`](super::state::State) is the
//! commit, and applying those of all groups in order is the replay. Nothing is decided again when
//! an image is applied (storage rule 5).

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use bytes::{BufMut, Bytes};

use crate::{CursorState, LogId, Mode, Offset, Policy, Producer, Released, Subjects, batch};

/// What an image says.
#[derive(Clone, Debug)]
pub enum Image {
    /// A log as it is now.
    Log(LogRow),
    /// A batch and its references.
    Batch(BatchImage),
    /// Records out of sight.
    Delete {
        /// The log.
        log: LogId,
        /// Which.
        ranges: Vec<Range<Offset>>,
    },
    /// What a log keeps in sight.
    Policy {
        /// The log.
        log: LogId,
        /// The limits.
        policy: Policy,
    },
    /// A cursor as it is now.
    Cursor {
        /// Its name.
        name: Bytes,
        /// The log it reads.
        log: LogId,
        /// `None` when it is gone.
        state: Option<CursorState>,
    },
    /// References done with.
    Settle {
        /// The queue.
        queue: LogId,
        /// Their places.
        places: Vec<u64>,
    },
    /// References as they are now.
    Release {
        /// The queue.
        queue: LogId,
        /// Their states.
        states: Vec<Released>,
    },
    /// A row as it is now.
    Row {
        /// The table.
        table: Cow<'static, str>,
        /// The key.
        key: Bytes,
        /// `None` when it is gone.
        value: Option<Bytes>,
    },
    /// A producer's window as it is now.
    Producer {
        /// The log.
        log: LogId,
        /// The producer.
        id: i64,
        /// Its last batches.
        window: Window,
    },
}

/// A log without its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// Which.
    pub log: LogId,
    /// When its appends are acknowledged.
    pub mode: Mode,
    /// Records below are out of sight.
    pub first: Offset,
    /// The next offset.
    pub next: Offset,
    /// Offsets below this may have been given without a sync (storage rule 6); 0 when none were.
    pub lease: Offset,
    /// Leader epoch: raised when the log went on at the end of a lease.
    pub epoch: i32,
    /// Removed; what is left of it is held by queues.
    pub dropped: bool,
}

impl LogRow {
    /// The row of a log that is not there yet.
    pub(super) fn none(log: LogId) -> Self {
        let mode = Mode::Durable;
        Self { log, mode, first: 0, next: 0, lease: 0, epoch: 0, dropped: false }
    }
}

/// A batch without its bytes.
#[derive(Clone, Debug)]
pub struct BatchImage {
    /// The log.
    pub log: LogId,
    /// Offset of the first record.
    pub base: Offset,
    /// Offset of the last record; all between are records.
    pub last: Offset,
    /// The highest timestamp.
    pub max_timestamp_ms: i64,
    /// Engine clock when it was appended.
    pub appended_ms: i64,
    /// The subjects of the records.
    pub subjects: Subjects,
    /// References to its records.
    pub targets: Vec<Target>,
    /// The producer's mark.
    pub producer: Option<Producer>,
    /// Ids of messages, by the index of the record.
    pub once: Vec<(u32, u128)>,
}

impl BatchImage {
    /// Number of records.
    pub fn count(&self) -> usize {
        usize::try_from(self.last - self.base + 1).unwrap_or(usize::MAX)
    }
}

/// A reference of a queue to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The record's index in its batch.
    pub index: u32,
    /// The queue's log.
    pub queue: LogId,
    /// The reference's place in it.
    pub place: u64,
    /// Its lane.
    pub priority: u8,
}

/// The bytes of a batch, not yet put together.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A client's batch, to be patched.
    Client(Bytes),
    /// Single records: offset, timestamp and tail.
    Gathered(Vec<(Offset, i64, Bytes)>),
}

impl Payload {
    /// Appends the batch with base offset and leader epoch in place.
    pub fn write(&self, out: &mut Vec<u8>, base: Offset, epoch: i32) {
        let start = out.len();
        match self {
            Self::Client(bytes) => out.put_slice(bytes),
            Self::Gathered(records) => {
                batch::build_into(
                    out,
                    records.iter().map(|(at, time, tail)| (*at, *time, tail)),
                    true,
                );
            }
        }
        batch::patch(out.get_mut(start..).unwrap_or_default(), base, epoch);
    }

    /// The batch as bytes of its own.
    pub fn to_bytes(&self, base: Offset, epoch: i32) -> Bytes {
        let mut out = Vec::new();
        self.write(&mut out, base, epoch);
        out.into()
    }
}

/// The last batches of an idempotent producer on one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Its epoch.
    pub epoch: i16,
    /// At most [`WINDOW_BATCHES`], oldest first.
    pub batches: VecDeque<WindowBatch>,
}

/// How many batches a producer may have in flight (as Kafka's `max.in.flight`).
pub const WINDOW_BATCHES: usize = 5;

/// One batch of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowBatch {
    /// Sequence of its first record.
    pub first_sequence: i32,
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Offset of its first record.
    pub base: Offset,
    /// Offset of its last record.
    pub last: Offset,
}

/// What becomes of a producer's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It follows the last one.
    Append,
    /// It was appended before, at these offsets.
    Duplicate(Offset, Offset),
    /// A newer epoch has written.
    Fenced,
    /// Something is missing before it.
    OutOfOrder,
}

impl Window {
    /// Judges a batch by the window of its producer, `None` for one never seen: that one may
    /// begin anywhere.
    pub fn judge(window: Option<&Self>, producer: &Producer) -> Verdict {
        let Some(window) = window else { return Verdict::Append };
        if producer.epoch < window.epoch {
            return Verdict::Fenced;
        }
        if producer.epoch > window.epoch {
            return if producer.first_sequence == 0 {
                Verdict::Append
            } else {
                Verdict::OutOfOrder
            };
        }
        let last_sequence = last_sequence(producer);
        let same = |batch: &&WindowBatch| {
            batch.first_sequence == producer.first_sequence && batch.last_sequence == last_sequence
        };
        if let Some(before) = window.batches.iter().find(same) {
            return Verdict::Duplicate(before.base, before.last);
        }
        let follows = window
            .batches
            .back()
            .is_none_or(|newest| producer.first_sequence == wrapping(newest.last_sequence, 1));
        if follows { Verdict::Append } else { Verdict::OutOfOrder }
    }

    /// Takes in a batch that was appended.
    pub fn push(&mut self, producer: &Producer, base: Offset, last: Offset) {
        if producer.epoch != self.epoch {
            self.epoch = producer.epoch;
            self.batches.clear();
        }
        if self.batches.len() >= WINDOW_BATCHES {
            self.batches.pop_front();
        }
        self.batches.push_back(WindowBatch {
            first_sequence: producer.first_sequence,
            last_sequence: last_sequence(producer),
            base,
            last,
        });
    }
}

fn last_sequence(producer: &Producer) -> i32 {
    wrapping(producer.first_sequence, producer.count.saturating_sub(1))
}

/// Sequences go from `i32::MAX` to 0.
fn wrapping(sequence: i32, add: i32) -> i32 {
    sequence.wrapping_add(add) & i32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn producer(epoch: i16, first_sequence: i32, count: i32) -> Producer {
        Producer { id: 1, epoch, first_sequence, count }
    }

    #[test]
    fn a_window_takes_what_follows_and_knows_what_it_has_seen() {
        let mut window = Window::default();
        assert_eq!(Window::judge(None, &producer(3, 77, 2)), Verdict::Append);
        window.push(&producer(0, 0, 2), 10, 11);
        window.push(&producer(0, 2, 1), 12, 12);
        let judge = |epoch, sequence, count| {
            Window::judge(Some(&window), &producer(epoch, sequence, count))
        };
        assert_eq!(judge(0, 0, 2), Verdict::Duplicate(10, 11));
        assert_eq!(judge(0, 2, 1), Verdict::Duplicate(12, 12));
        assert_eq!(judge(0, 3, 5), Verdict::Append);
        assert_eq!(judge(0, 4, 1), Verdict::OutOfOrder);
        assert_eq!(judge(0, 0, 1), Verdict::OutOfOrder);
        assert_eq!(judge(1, 0, 1), Verdict::Append);
        assert_eq!(judge(1, 3, 1), Verdict::OutOfOrder);
        window.push(&producer(2, 0, 1), 13, 13);
        assert_eq!(Window::judge(Some(&window), &producer(0, 3, 5)), Verdict::Fenced);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let mut window = Window::default();
        window.push(&producer(0, i32::MAX - 1, 3), 0, 2);
        assert_eq!(Window::judge(Some(&window), &producer(0, 1, 1)), Verdict::Append);
    }

    #[test]
    fn a_window_remembers_five_batches() {
        let mut window = Window::default();
        for sequence in 0..6 {
            window.push(&producer(0, sequence, 1), sequence as u64, sequence as u64);
        }
        assert_eq!(Window::judge(Some(&window), &producer(0, 1, 1)), Verdict::Duplicate(1, 1));
        assert_eq!(Window::judge(Some(&window), &producer(0, 0, 1)), Verdict::OutOfOrder);
    }
}
