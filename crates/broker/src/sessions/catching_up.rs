//! Messages from the log, for sessions that are behind.
//!
//! ```text
//!  under the lock     a session has room and is behind: where it reads next
//!  without it         the log is read, which may take as long as a disk takes
//!  under it again     what was read is handed over, as far as the session still wants it
//! ```
//!
//! In between anything may happen to the session. What counts is where its cursor stands then: what
//! is below that was handed over or lost meanwhile, and if it has gone back, the log is read anew.

use std::ops::Bound;
use std::sync::Arc;

use model::record::Assurance;
use protocol::{ConnId, Matched, Message};
use storage::{LogId, ReadLimits};

use super::Session;
use super::delivering::hand_over;
use crate::completion::{Completion, Step};
use crate::desk::Desk;
use crate::router::matched;
use crate::state::Core;
use crate::turn::Turn;

/// Bytes that are read in one look.
const LOOK_BYTES: usize = 256 * 1024;
/// Looks of a session in one turn come to about so many bytes: others wait for the worker.
const TURN_BYTES: usize = 1 << 20;

/// What a session that is behind reads next.
#[derive(Clone, Copy, Debug)]
struct Look {
    owner: ConnId,
    log: LogId,
    from: u64,
}

/// What a look has found: messages in order, and where the log goes on behind them.
struct Read {
    messages: Vec<(u64, Arc<Message>)>,
    next: u64,
    bytes: usize,
}

impl Desk {
    /// Reads what sessions wait for, and hands it over.
    pub(crate) fn catch_up(&self, turn: &mut Turn<'_>) {
        for id in std::mem::take(&mut turn.behind) {
            if self.catch_up_session(turn, id) {
                turn.shared.mail.post(turn.worker, Completion(Step::Scan(id)));
            }
        }
    }

    /// Looks once into each log in which a session is behind; whether there is more to read.
    fn catch_up_session(&self, turn: &mut Turn<'_>, id: u64) -> bool {
        let (mut after, mut bytes, mut more) = (None, 0, false);
        loop {
            let look = self.broker.lock().look(turn.worker, id, after);
            let Some(look) = look else { return more };
            if bytes >= TURN_BYTES {
                return true;
            }
            after = Some(look.log);
            let Some(read) = look.read(turn) else { continue };
            bytes += read.bytes;
            more |= self.broker.lock().caught_up(turn, id, look, read);
        }
    }
}

impl Look {
    /// `None` when the log cannot be read.
    fn read(&self, turn: &Turn<'_>) -> Option<Read> {
        let engine = &turn.shared.engine;
        let limits = ReadLimits { max_bytes: LOOK_BYTES, held: true };
        let end = engine.bounds(self.log).map_or(self.from, |bounds| bounds.end);
        let batches = engine.read(self.log, self.from, limits).ok()?;
        let messages =
            batches.iter().flat_map(|batch| crate::message::of_batch(batch, self.from)).collect();
        // Where nothing was found, nothing is left of what was committed before.
        let next = batches.last().map_or(end.max(self.from), |batch| batch.last + 1);
        Some(Read { messages, next, bytes: batches.iter().map(|batch| batch.bytes.len()).sum() })
    }
}

impl Core {
    /// Where a session reads next, in the logs behind this one.
    fn look(&self, worker: u16, id: u64, after: Option<LogId>) -> Option<Look> {
        let session = self.sessions.map.get(&id)?;
        let owner = session.owner.filter(|_| session.granted && session.has_room())?;
        if owner.worker != worker || !self.conns.is_open(owner) {
            return None;
        }
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut logs = session.cursors.range((start, Bound::Unbounded));
        let (log, cursor) = logs.find(|(_, cursor)| cursor.is_behind())?;
        Some(Look { owner, log: *log, from: cursor.next })
    }

    /// Hands over what a session has read; whether there is more to read.
    fn caught_up(&mut self, turn: &mut Turn<'_>, id: u64, look: Look, read: Read) -> bool {
        let Some(session) = self.sessions.map.get_mut(&id) else { return false };
        let owns = session.owner == Some(look.owner) && session.granted;
        if !owns || !self.conns.is_open(look.owner) {
            return false;
        }
        let Some(cursor) = session.cursors.get(&look.log) else { return false };
        if !cursor.is_behind() {
            return false;
        }
        // It has gone back when something was returned: that comes first.
        cursor.next < look.from || go_on(turn, session, look, read)
    }
}

/// Hands over what was read from the cursor on; whether there is more to read.
fn go_on(turn: &mut Turn<'_>, session: &mut Session, look: Look, read: Read) -> bool {
    let Look { owner, log, .. } = look;
    for (offset, message) in read.messages {
        let cursor = &session.cursors[&log];
        if offset < cursor.next {
            continue;
        }
        let skip = message.record.assurance == Assurance::AtMostOnce
            || message.record.is_expired(turn.now.unix_ms)
            || cursor.done.contains(&offset)
            || cursor.inflight.contains(&offset);
        let guard = &turn.shared.guard;
        let may = |message: &Message| {
            message.subject().is_none_or(|subject| guard.may_receive(owner, subject))
        };
        let skip = skip || !may(&message);
        let numbers = if skip { None } else { wanted(session, &message, log, offset) };
        if numbers.is_some() && !session.has_room() {
            return false;
        }
        let cursor = session.cursors.get_mut(&log).expect("the caller has it");
        cursor.next = offset + 1;
        if let Some(numbers) = numbers {
            hand_over(turn, session, owner, log, (offset, message, numbers));
        } else {
            cursor.returned.remove(&offset);
        }
    }
    let cursor = session.cursors.get_mut(&log).expect("the caller has it");
    cursor.next = cursor.next.max(read.next);
    // Seen under the lock: what is committed from here on is handed over by its commit, which comes
    // after this.
    let end = turn.shared.engine.bounds(log).map_or(cursor.next, |bounds| bounds.end);
    cursor.following = end <= cursor.next;
    !cursor.following
}

/// The session's subscriptions that want a record.
fn wanted(session: &Session, message: &Message, log: LogId, offset: u64) -> Option<Matched> {
    let subject = message.subject()?;
    let numbers = session
        .subscriptions
        .iter()
        .filter(|(_, s)| s.space.is_shared() && s.wants(log, offset) && s.filter.matches(subject))
        .map(|(number, _)| *number)
        .collect();
    matched(numbers)
}
