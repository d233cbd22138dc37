//! What the state takes in memory, about: counted as it changes, so that asking for it costs nothing.

use super::state::{Place, State};

/// What things take beside their bytes: the slot in a map, names, and what an allocator adds.
const LOG: u64 = 200;
const RUN: u64 = 56;
const CURSOR: u64 = 240;
const ROW: u64 = 160;
const REF: u64 = 100;
const SUBJECT: u64 = 140;
const PRODUCER: u64 = 360;
const ONCE: u64 = 80;

/// Numbers of what there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// Rows of tables, and bytes of their keys and values.
    pub(super) rows: (u64, u64),
    /// References of queues.
    pub(super) refs: u64,
    /// Those with memory of their own: not the short only ones of their logs.
    pub(super) subjects: u64,
    /// Windows of producers.
    pub(super) producers: u64,
    /// Ids of messages.
    pub(super) once: u64,
    /// Runs in resting files.
    pub(super) runs: u64,
}

impl Weight {
    /// A row came.
    pub(super) fn row(&mut self, key: usize, value: usize) {
        self.rows.0 += 1;
        self.rows.1 += (key + value) as u64;
    }

    /// A row went.
    pub(super) fn no_row(&mut self, key: usize, value: usize) {
        self.rows.0 -= 1;
        self.rows.1 -= (key + value) as u64;
    }
}

/// A number that was `before` and is `after` now, in a sum.
pub(super) fn adjust(sum: &mut u64, before: usize, after: usize) {
    *sum = (*sum + after as u64) - before as u64;
}

impl<P: Place> State<P> {
    /// Bytes that it takes in memory, about: what is in tables, logs without their records, cursors,
    /// references, subjects, and what is remembered of producers and messages.
    pub fn memory_bytes(&self) -> u64 {
        let Weight { rows, refs, subjects, producers, once, runs } = self.weight;
        self.logs.len() as u64 * LOG
            + self.cursors.len() as u64 * CURSOR
            + rows.0 * ROW
            + rows.1
            + refs * REF
            + subjects * SUBJECT
            + producers * PRODUCER
            + once * ONCE
            + runs * RUN
    }

    /// The same numbers, counted anew.
    pub(super) fn weigh(&self) -> Weight {
        let mut weight = Weight { runs: self.weight.runs, ..Weight::default() };
        for (key, row) in self.tables.values().flatten() {
            weight.row(key.len(), row.value.len());
        }
        for log in self.logs.iter() {
            let extra = log.extra();
            weight.refs += extra.refs.len() as u64;
            weight.subjects += log.subjects.weight() as u64;
            weight.producers += extra.producers.len() as u64;
            weight.once += extra.once.seen.len() as u64;
        }
        weight
    }
}
