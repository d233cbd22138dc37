//! The deadlines of all groups in one ordered set.
//!
//! Most deadlines only ever move away: each heartbeat moves its member's. So moving one later is
//! noted in the [`Timer`] alone, and the set learns of it when the old deadline rings.

use std::collections::BTreeSet;
use std::time::Instant;

use kafka_codec::Text;

/// What a deadline is about; within one group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// The member was silent for its session timeout.
    Session(Text),
    /// The member id that was given out was not used.
    Pending(Text),
    /// Members that have not joined yet are not waited for any longer.
    Join,
    /// Members that have not synced yet are not waited for any longer.
    Sync,
    /// The group's offsets are looked through.
    Sweep,
}

/// One deadline, kept by its owner.
#[derive(Debug, Default)]
pub(super) struct Timer {
    wanted: Option<Instant>,
    /// What stands in the set: never later than `wanted`.
    armed: Option<Instant>,
}

/// The deadlines of all groups.
#[derive(Debug, Default)]
pub(super) struct Timers {
    set: BTreeSet<(Instant, Text, Due)>,
}

impl Timers {
    /// No deadlines.
    pub(super) const fn new() -> Self {
        Self { set: BTreeSet::new() }
    }

    /// The next deadline; it may turn out to have moved.
    pub(super) fn next(&self) -> Option<Instant> {
        self.set.first().map(|(at, _, _)| *at)
    }

    /// Sets or moves a deadline.
    pub(super) fn set(&mut self, timer: &mut Timer, at: Instant, group: &Text, due: &Due) {
        timer.wanted = Some(at);
        if timer.armed.is_none_or(|armed| armed > at) {
            self.disarm(timer, group, due);
            timer.armed = Some(at);
            self.set.insert((at, group.clone(), due.clone()));
        }
    }

    /// Sets a deadline, or moves it if it is later than `at`.
    pub(super) fn set_by(&mut self, timer: &mut Timer, at: Instant, group: &Text, due: &Due) {
        if timer.wanted.is_none_or(|wanted| wanted > at) {
            self.set(timer, at, group, due);
        }
    }

    /// Takes a deadline back.
    pub(super) fn clear(&mut self, timer: &mut Timer, group: &Text, due: &Due) {
        timer.wanted = None;
        self.disarm(timer, group, due);
    }

    fn disarm(&mut self, timer: &mut Timer, group: &Text, due: &Due) {
        if let Some(armed) = timer.armed.take() {
            self.set.remove(&(armed, group.clone(), due.clone()));
        }
    }

    /// Takes out the first deadline that has passed. Its owner must be asked with [`Timers::ring`].
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Text, Due)> {
        if self.next()? > now {
            return None;
        }
        self.set.pop_first().map(|(_, group, due)| (group, due))
    }

    /// Whether the deadline that was taken out has really passed; else it is armed again.
    pub(super) fn ring(
        &mut self,
        timer: &mut Timer,
        now: Instant,
        group: &Text,
        due: &Due,
    ) -> bool {
        timer.armed = None;
        match timer.wanted {
            Some(wanted) if wanted > now => {
                self.set(timer, wanted, group, due);
                false
            }
            Some(_) => {
                timer.wanted = None;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_deadline_that_moves_away_rings_at_its_last_place_only() {
        let start = Instant::now();
        let group = Text::from("g");
        let mut timers = Timers::default();
        let mut timer = Timer::default();
        timers.set(&mut timer, at(start, 10), &group, &Due::Join);
        for second in 11..1000 {
            timers.set(&mut timer, at(start, second), &group, &Due::Join);
        }
        assert_eq!((timers.set.len(), timers.next()), (1, Some(at(start, 10))));
        assert_eq!(timers.pop(at(start, 9)), None);
        assert_eq!(timers.pop(at(start, 10)), Some((group.clone(), Due::Join)));
        assert!(!timers.ring(&mut timer, at(start, 10), &group, &Due::Join));
        assert_eq!(timers.next(), Some(at(start, 999)));
        assert!(timers.pop(at(start, 999)).is_some());
        assert!(timers.ring(&mut timer, at(start, 999), &group, &Due::Join));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_deadline_that_comes_nearer_rings_there() {
        let start = Instant::now();
        let group = Text::from("g");
        let mut timers = Timers::default();
        let mut timer = Timer::default();
        timers.set(&mut timer, at(start, 10), &group, &Due::Sync);
        timers.set(&mut timer, at(start, 5), &group, &Due::Sync);
        assert_eq!((timers.set.len(), timers.next()), (1, Some(at(start, 5))));
        timers.set_by(&mut timer, at(start, 7), &group, &Due::Sync);
        assert_eq!(timers.next(), Some(at(start, 5)), "7 is no later than wanted");
        timers.clear(&mut timer, &group, &Due::Sync);
        assert_eq!(timers.next(), None);
    }
}
