//! The state as rows: what a checkpoint keeps of it.
//!
//! Everything but the batches in the write-ahead log is a row: a key that orders, and a value that
//! says all about it. The state remembers which rows have changed, [`State::take_rows`] gives them,
//! and [`State::load`] takes them back.

use std::sync::Arc;

use bytes::Bytes;
use model::subject::Subject;

use super::image::{LogRow, Window};
use super::log::{Known, Log, Ref, Run};
use super::state::{Place, State};
use super::weight::adjust;
use crate::{CursorState, LogId, Mode, Offset, Policy};

/// How many places of a queue are one row, as a power of two.
const REFS_SHIFT: u32 = 8;

/// Names a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowKey {
    /// A log without its records.
    Log(LogId),
    /// A cursor.
    Cursor(Bytes, LogId),
    /// A producer's window on a log.
    Producer(LogId, i64),
    /// A row of a table.
    Row(Arc<str>, Bytes),
    /// A subject of a log.
    Subject(LogId, Subject),
    /// Some references of a queue: those whose place has this number of a block.
    Refs(LogId, u64),
    /// Some deleted records: those whose offset has this number of a block of 65,536.
    Deleted(LogId, u64),
    /// An id of a message.
    Once(LogId, u128),
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowValue {
    /// Of a log.
    Log(LogValue),
    /// Of a cursor.
    Cursor(CursorState),
    /// Of a producer.
    Producer(Window),
    /// Of a table's row.
    Row(Bytes),
    /// Of a subject.
    Subject {
        /// A lower bound of its first visible record.
        first: Offset,
        /// An upper bound of its last.
        last: Offset,
        /// The newest records, where the log limits them.
        newest: Vec<Offset>,
    },
    /// References with their places.
    Refs(Vec<(u64, Ref)>),
    /// The lower 16 bits of offsets.
    Deleted(Vec<u16>),
    /// The record of an id, and when it was appended.
    Once(Offset, i64),
}

/// What the row of a log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogValue {
    /// The log.
    pub row: LogRow,
    /// What it keeps in sight, if that is not everything.
    pub policy: Option<Box<Policy>>,
    /// From which record on those of a subject are counted.
    pub counted_from: Offset,
    /// Visible records.
    pub visible: u64,
    /// Bytes of the visible batches.
    pub visible_bytes: u64,
    /// Bytes of all batches.
    pub bytes: u64,
    /// What of it rests.
    pub runs: Vec<Run>,
}

/// The block of a place in a queue.
pub(super) fn refs_block(place: u64) -> u64 {
    place >> REFS_SHIFT
}

impl<P: Place> State<P> {
    /// How many rows have changed since they were last taken.
    pub fn changed_rows(&self) -> usize {
        self.dirty.len()
    }

    /// The rows that have changed since the last time, as they are now: `None` for one that is
    /// gone. Together with the rows taken before they say what the state knew up to
    /// [`State::applied`].
    pub fn take_rows(&mut self) -> Vec<(RowKey, Option<RowValue>)> {
        debug_assert_eq!(self.weight, self.weigh(), "all changes are counted");
        let mut keys = self.dirty.take();
        keys.sort_unstable();
        keys.dedup();
        let mut rows = Vec::with_capacity(keys.len());
        for key in keys {
            let value = self.row_value(&key);
            self.mark_clean(&key);
            rows.push((key, value));
        }
        rows
    }

    /// Forgets which rows have changed, where nobody takes them.
    pub fn forget_changes(&mut self) {
        let counted = || self.weight == self.weigh();
        debug_assert!(!self.applied().is_multiple_of(256) || counted(), "all changes are counted");
        for key in self.dirty.take() {
            self.mark_clean(&key);
        }
    }

    /// Rows that were taken could not be kept: they count as changed again.
    pub fn give_rows_back(&mut self, keys: impl IntoIterator<Item = RowKey>) {
        self.dirty.extend(keys);
    }

    fn row_value(&self, key: &RowKey) -> Option<RowValue> {
        // Of a log in memory nothing lasts but where it goes on.
        let lasting = |id: &LogId| self.logs.get(*id).filter(|log| log.row.mode != Mode::Memory);
        match key {
            RowKey::Log(id) => {
                let log = self.logs.get(*id).filter(|log| log.row.known != Known::InPart)?;
                Some(RowValue::Log(log_value(log)))
            }
            RowKey::Cursor(name, log) => {
                self.cursors.get(&(name.clone(), *log)).cloned().map(RowValue::Cursor)
            }
            RowKey::Producer(log, id) => {
                lasting(log)?.extra().producers.get(id).cloned().map(RowValue::Producer)
            }
            RowKey::Row(table, key) => {
                let row = self.tables.get(table.as_ref())?.get(key)?;
                Some(RowValue::Row(row.value.clone()))
            }
            RowKey::Subject(log, subject) => {
                let subjects = &lasting(log)?.subjects;
                let slot = subjects.get(subjects.find(subject)?)?;
                let newest = slot.newest.iter().flat_map(|newest| newest.iter().copied()).collect();
                Some(RowValue::Subject { first: slot.first, last: slot.last?, newest })
            }
            RowKey::Refs(queue, block) => {
                let queue = lasting(queue)?;
                let range = block << REFS_SHIFT..(block + 1) << REFS_SHIFT;
                let refs: Vec<_> =
                    queue.extra().refs.range(range).map(|(place, held)| (*place, *held)).collect();
                (!refs.is_empty()).then_some(RowValue::Refs(refs))
            }
            RowKey::Deleted(log, block) => {
                let offsets = lasting(log)?.deleted_block(*block);
                (!offsets.is_empty()).then_some(RowValue::Deleted(offsets))
            }
            RowKey::Once(log, id) => {
                let (offset, at_ms) = lasting(log)?.extra().once.seen.get(id)?;
                Some(RowValue::Once(*offset, *at_ms))
            }
        }
    }

    fn mark_clean(&mut self, key: &RowKey) {
        match key {
            RowKey::Log(id) => {
                if let Some(log) = self.logs.get_mut(*id) {
                    log.row.dirty = false;
                }
            }
            RowKey::Subject(log, subject) => {
                let Some(log) = self.logs.get_mut(*log) else { return };
                if let Some(slot) = log.subjects.find(subject) {
                    log.subjects.mark_clean(slot);
                }
            }
            RowKey::Row(table, key) => {
                let row = self.tables.get_mut(table.as_ref()).and_then(|rows| rows.get_mut(key));
                if let Some(row) = row {
                    row.dirty = false;
                }
            }
            RowKey::Cursor(..)
            | RowKey::Producer(..)
            | RowKey::Refs(..)
            | RowKey::Deleted(..)
            | RowKey::Once(..) => {}
        }
    }

    /// Takes back a row; the rows of logs come first, and all before the first image.
    pub fn load(&mut self, key: RowKey, value: RowValue) {
        match (key, value) {
            (RowKey::Log(id), RowValue::Log(value)) => self.load_log(id, value),
            (RowKey::Cursor(name, log), RowValue::Cursor(state)) => {
                self.load_cursor(name, log, state);
            }
            (RowKey::Producer(log, id), RowValue::Producer(window)) => {
                let new = self.log_mut(log).extra_mut().producers.insert(id, window).is_none();
                self.weight.producers += u64::from(new);
            }
            (RowKey::Row(table, key), RowValue::Row(value)) => {
                self.load_table_row(&table, key, value);
            }
            (RowKey::Subject(log, subject), RowValue::Subject { first, last, newest }) => {
                let subjects = &mut self.log_mut(log).subjects;
                let before = subjects.weight();
                subjects.load(&subject, (first, last), newest);
                let after = subjects.weight();
                adjust(&mut self.weight.subjects, before, after);
            }
            (RowKey::Refs(queue, _), RowValue::Refs(refs)) => {
                for (place, held) in refs {
                    self.load_ref(queue, place, held);
                }
            }
            (RowKey::Deleted(log, block), RowValue::Deleted(offsets)) => {
                self.log_mut(log).load_deleted(block, &offsets);
            }
            (RowKey::Once(log, id), RowValue::Once(offset, at_ms)) => {
                let once = &mut self.log_mut(log).extra_mut().once;
                let before = once.seen.len();
                once.load(id, offset, at_ms);
                let after = once.seen.len();
                adjust(&mut self.weight.once, before, after);
            }
            (key, _) => debug_assert!(false, "the value of another kind of row: {key:?}"),
        }
    }

    fn load_log(&mut self, id: LogId, value: LogValue) {
        for run in &value.runs {
            self.count_run(run);
        }
        let log = self.log_mut(id);
        log.set_row(&value.row);
        log.visible = value.visible;
        log.visible_bytes = value.visible_bytes;
        log.bytes = value.bytes;
        value.runs.into_iter().for_each(|run| log.held.add_run(run));
        if let Some(policy) = value.policy {
            let extra = log.extra_mut();
            extra.policy = *policy;
            extra.counted_from = value.counted_from;
        }
    }
}

fn log_value<P: Place>(log: &Log<P>) -> LogValue {
    let policy = &log.extra().policy;
    let lasting = |count: u64| if log.row.mode == Mode::Memory { 0 } else { count };
    LogValue {
        row: log.row(),
        policy: Some(policy).filter(|policy| **policy != Policy::default()).cloned().map(Box::new),
        counted_from: log.extra().counted_from,
        visible: lasting(log.visible),
        visible_bytes: lasting(log.visible_bytes),
        bytes: lasting(log.bytes),
        runs: log.runs().collect(),
    }
}
