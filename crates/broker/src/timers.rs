//! What is due, and when. One ordered map: timers are few (waits, one for each queue, background work).
//! What there is much of has rows instead ([`crate::deadlines`]).

use std::collections::BTreeMap;
use std::time::Instant;

use crate::deadlines::Deadline;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// A waiting read answers with what there is.
    Read(u64),
    /// The first of the rows of deadlines.
    Deadlines,
    /// A deadline that has no row.
    Lost(Deadline),
    /// Something of a queue: a message expires or comes back, or nobody used it.
    Queue(u64),
    /// Something of a group cursor: a record comes back, or storage is asked again.
    Records(u64),
    /// Storage is asked again to take dead letters.
    Burials,
    /// A module asked for it.
    Module(usize),
    /// Cursors and settles are written.
    Flush,
    /// Retention is applied, leases and aliases are swept.
    Sweep,
    /// The compaction that is under way goes on.
    Compact,
}

/// A timer, to cancel it by.
pub(crate) type TimerId = (Instant, u64);

#[derive(Debug, Default)]
pub(crate) struct Timers {
    next: u64,
    due: BTreeMap<TimerId, Due>,
}

impl Timers {
    pub(crate) fn add(&mut self, at: Instant, due: Due) -> TimerId {
        self.next += 1;
        self.due.insert((at, self.next), due);
        (at, self.next)
    }

    pub(crate) fn cancel(&mut self, timer: TimerId) {
        self.due.remove(&timer);
    }

    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next that is due at `now`.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Due> {
        let entry = self.due.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}
