//! Deadlines of what there is much of: sessions that end, wills, messages that are put off.
//!
//! ```text
//! row = [time: u64 BE, ms of the engine's clock][kind: u8][object: u64 BE] -> nothing
//! ```
//!
//! Each is a row of a table, written together with what it belongs to, so that a restart finds it
//! and what lies far ahead takes no memory here. The one timer is for the first row; what is due is
//! read a page at a time, and the next page only once the rows of the last one are removed.
//!
//! An object knows its own deadline, and a row that names another time is stale. So a row that is
//! met twice, as after a crash between its effect and its removal, does nothing the second time.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use storage::{Engine, Mode, Op};

use crate::completion::Step;
use crate::state::{Core, table};
use crate::timers::{Due, TimerId};
use crate::turn::Turn;

/// Rows that are met at a time.
const PAGE: usize = 1000;
/// The longest wait of the timer.
const WAIT_MAX_MS: i64 = 3_600_000;
/// When rows are tried again that could not be removed.
const AGAIN: Duration = Duration::from_secs(1);

/// What is due then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A session without an owner ends.
    SessionEnd,
    /// A session's will is published.
    Will,
    /// Messages of a queue come back that were put off to a minute.
    PutOff,
}

impl Kind {
    const ALL: [(Self, u8); 3] = [(Self::SessionEnd, 1), (Self::Will, 2), (Self::PutOff, 3)];

    fn code(self) -> u8 {
        let found = Self::ALL.into_iter().find(|(kind, _)| *kind == self);
        found.map_or(0, |(_, code)| code)
    }
}

/// One deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// On the engine's clock.
    pub(crate) at_ms: i64,
    pub(crate) kind: Kind,
    /// The number of the session or queue.
    pub(crate) object: u64,
}

impl Deadline {
    fn key(self) -> Bytes {
        let mut key = BytesMut::with_capacity(17);
        key.put_u64(u64::try_from(self.at_ms).unwrap_or(0));
        key.put_u8(self.kind.code());
        key.put_u64(self.object);
        key.freeze()
    }

    fn read(key: &[u8]) -> Option<Self> {
        let (at_ms, rest) = key.split_first_chunk()?;
        let (code, object) = rest.split_first()?;
        let (kind, _) = Kind::ALL.into_iter().find(|(_, of)| of == code)?;
        Some(Self {
            at_ms: i64::try_from(u64::from_be_bytes(*at_ms)).unwrap_or(i64::MAX),
            kind,
            object: u64::from_be_bytes(object.try_into().ok()?),
        })
    }

    /// What keeps it; the write that holds this must end in [`Core::deadlines_kept`].
    pub(crate) fn put(self) -> Op {
        Op::Put { table: table::DEADLINES, key: self.key(), value: Bytes::new() }
    }

    /// What forgets it.
    pub(crate) fn remove(self) -> Op {
        Op::Remove { table: table::DEADLINES, key: self.key() }
    }
}

/// What is known of them in memory.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    timer: Option<TimerId>,
    /// Rows that were met are being removed.
    removing: bool,
    /// Those that the start found no rows of.
    missing: Vec<Deadline>,
}

impl Deadlines {
    /// At the start: these must have rows.
    pub(crate) fn expect(
        &mut self,
        engine: &Arc<dyn Engine>,
        kind: Kind,
        object: u64,
        times: impl IntoIterator<Item = i64>,
    ) {
        let deadlines = times.into_iter().map(|at_ms| Deadline { at_ms, kind, object });
        let lacks = |d: &Deadline| engine.get(table::DEADLINES, &d.key()).is_none();
        self.missing.extend(deadlines.filter(lacks));
    }

    /// Those that have none.
    pub(crate) fn take_missing(&mut self) -> Vec<Deadline> {
        std::mem::take(&mut self.missing)
    }
}

impl Core {
    /// Writes deadlines, with what else belongs into the same write.
    pub(crate) fn keep_deadlines(
        &self,
        turn: &Turn<'_>,
        mut ops: Vec<Op>,
        deadlines: Vec<Deadline>,
    ) {
        ops.extend(deadlines.iter().map(|deadline| deadline.put()));
        turn.shared.submit(ops, Mode::Async, turn.worker, move |result| match result {
            Ok(_) => Step::Deadlines { kept: deadlines, lost: Vec::new() },
            Err(_) => Step::Deadlines { kept: Vec::new(), lost: deadlines },
        });
    }

    /// Rows of deadlines are there. Those that storage did not take are timers instead, for this
    /// run.
    pub(crate) fn deadlines_kept(
        &mut self,
        turn: &Turn<'_>,
        kept: &[Deadline],
        lost: Vec<Deadline>,
    ) {
        if let Some(first) = kept.iter().map(|deadline| deadline.at_ms).min() {
            self.await_deadline(turn, first);
        }
        for deadline in lost {
            let at = turn.now.instant + until(turn, deadline.at_ms);
            self.timer(turn, at, Due::Lost(deadline));
        }
    }

    /// Does what is due, and sets the timer for what comes next.
    pub(crate) fn deadlines_due(&mut self, turn: &mut Turn<'_>) {
        if let Some(timer) = self.deadlines.timer.take() {
            self.timers.cancel(timer);
        }
        if self.deadlines.removing {
            return;
        }
        let clock = turn.shared.engine.clock_ms();
        let mut ops = Vec::new();
        let mut next = None;
        for (key, _) in turn.shared.engine.scan(table::DEADLINES, &[], PAGE) {
            let deadline = Deadline::read(&key);
            if let Some(deadline) = deadline.filter(|deadline| deadline.at_ms > clock) {
                next = Some(deadline.at_ms);
                break;
            }
            if let Some(deadline) = deadline {
                self.meet(turn, deadline);
            }
            ops.push(Op::Remove { table: table::DEADLINES, key });
        }
        if ops.is_empty() {
            if let Some(next) = next {
                self.await_deadline(turn, next);
            }
            return;
        }
        self.deadlines.removing = true;
        turn.shared.submit(ops, Mode::Async, turn.worker, |result| Step::DeadlinesMet {
            removed: result.is_ok(),
        });
    }

    /// Rows that were met are gone, or storage did not take that: they are met again later.
    pub(crate) fn deadlines_met(&mut self, turn: &mut Turn<'_>, removed: bool) {
        self.deadlines.removing = false;
        if removed {
            self.deadlines_due(turn);
        } else {
            let at = turn.now.instant + AGAIN;
            self.deadlines.timer = Some(self.timer(turn, at, Due::Deadlines));
        }
    }

    /// One is due.
    pub(crate) fn meet(&mut self, turn: &mut Turn<'_>, deadline: Deadline) {
        match deadline.kind {
            Kind::SessionEnd => self.session_due(turn, deadline),
            Kind::Will => self.will_due(deadline),
            Kind::PutOff => self.recall(turn, deadline),
        }
    }

    /// Sets the timer, unless it goes off before that.
    pub(crate) fn await_deadline(&mut self, turn: &Turn<'_>, at_ms: i64) {
        let at = turn.now.instant + until(turn, at_ms);
        let armed = self.deadlines.timer;
        if self.deadlines.removing || armed.is_some_and(|(armed, _)| armed <= at) {
            return;
        }
        if let Some(armed) = armed {
            self.timers.cancel(armed);
        }
        self.deadlines.timer = Some(self.timer(turn, at, Due::Deadlines));
    }
}

fn until(turn: &Turn<'_>, at_ms: i64) -> Duration {
    let wait = at_ms.saturating_sub(turn.shared.engine.clock_ms()).clamp(0, WAIT_MAX_MS);
    Duration::from_millis(wait.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_time_and_say_what_was_put() {
        let deadline = |at_ms, (kind, _)| Deadline { at_ms, kind, object: 7 };
        let times = [0, 1, 255, 256, 1 << 40, i64::MAX];
        for kind in Kind::ALL {
            for pair in times.windows(2) {
                assert!(deadline(pair[0], kind).key() < deadline(pair[1], kind).key());
                let read = Deadline::read(&deadline(pair[1], kind).key());
                assert_eq!(read, Some(deadline(pair[1], kind)));
            }
        }
        assert_eq!(Deadline::read(b"short"), None);
    }
}
