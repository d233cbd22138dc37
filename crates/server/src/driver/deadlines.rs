//! When sessions want to be woken: at most one entry per connection, in an ordered set.
//!
//! An entry is moved only when a deadline comes nearer. One that moves away (each packet moves a
//! keep-alive) is left where it is: when it fires, the connection is asked for its deadline again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The deadlines of one worker, in milliseconds since its start.
#[derive(Debug)]
pub(super) struct Deadlines {
    start: Instant,
    entries: BTreeSet<(u64, u32)>,
}

impl Deadlines {
    /// No deadlines; `start` is before any that will be given.
    pub(super) fn new(start: Instant) -> Self {
        Self { start, entries: BTreeSet::new() }
    }

    /// Replaces the entry of a connection.
    pub(super) fn set(&mut self, slot: u32, old: Option<Instant>, new: Option<Instant>) {
        if let Some(old) = old {
            self.entries.remove(&(self.tick(old), slot));
        }
        if let Some(new) = new {
            self.entries.insert((self.tick(new), slot));
        }
    }

    /// The next connection whose entry is due; the entry is gone then.
    pub(super) fn take(&mut self, now: Instant) -> Option<u32> {
        let &(tick, slot) = self.entries.first()?;
        if self.instant(tick) > now {
            return None;
        }
        self.entries.pop_first();
        Some(slot)
    }

    /// When the next entry is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.entries.first().map(|&(tick, _)| self.instant(tick))
    }

    /// Rounded up: an entry never fires before its deadline.
    fn tick(&self, deadline: Instant) -> u64 {
        let since = deadline.saturating_duration_since(self.start);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn instant(&self, tick: u64) -> Instant {
        self.start + Duration::from_millis(tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_fire_in_order_and_only_once_due() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut deadlines = Deadlines::new(start);
        deadlines.set(1, None, Some(at(50)));
        deadlines.set(2, None, Some(at(20)));
        deadlines.set(3, None, Some(at(20)));
        deadlines.set(1, Some(at(50)), Some(at(10)));
        assert_eq!(deadlines.take(at(9)), None);
        assert_eq!(deadlines.take(at(11)), Some(1));
        assert_eq!(deadlines.take(at(11)), None);
        deadlines.set(2, Some(at(20)), None);
        assert_eq!(deadlines.take(at(30)), Some(3));
        assert_eq!(deadlines.next(), None);
    }
}
