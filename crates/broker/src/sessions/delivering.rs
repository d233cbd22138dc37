//! Messages for sessions: as they are committed, and from the log for those that are behind.

use std::sync::Arc;

use model::record::Assurance;
use protocol::{ConnId, Delivery, Matched, Message, Settlement, Tag};
use storage::{LogId, ReadLimits};

use super::{Cursor, Session};
use crate::completion::{Completion, Step};
use crate::router::{Route, matched};
use crate::state::Core;
use crate::stats::add;
use crate::turn::Turn;

/// Messages that wait for a window beside the log; beyond them the session reads the log again.
const PENDING_MAX: usize = 256;
/// The same, in bytes.
const PENDING_BYTES: usize = 256 * 1024;
/// Bytes that a session reads of a log in one turn.
const SCAN_BYTES: usize = 256 * 1024;

impl Core {
    /// Gives a message to the durable sessions of its route: `stored` ones once, by their cursor;
    /// others live, to owners that are there. The number of sessions.
    pub(crate) fn deliver_to_sessions(
        &mut self,
        turn: &mut Turn<'_>,
        message: &Arc<Message>,
        route: &Route,
        stored: Option<(LogId, u64)>,
    ) -> u32 {
        let lasting = message.record.assurance > Assurance::AtMostOnce;
        for (id, numbers) in &route.sessions {
            let Some(session) = self.sessions.map.get_mut(id) else { continue };
            let numbers = session.others(numbers, message);
            let owner = session.owner.filter(|_| session.granted);
            let Some((log, offset)) = stored.filter(|_| lasting) else {
                if let (Some(owner), Some(numbers)) = (owner, numbers) {
                    turn.port.deliver(owner, delivery(message, numbers, None, false));
                }
                continue;
            };
            let cursor = session.cursors.entry(log).or_insert_with(|| Cursor::at(offset));
            self.sessions.dirty.insert(*id);
            if !cursor.following || offset < cursor.next {
                continue;
            }
            let Some(owner) = owner else {
                cursor.following = false;
                cursor.next = offset;
                continue;
            };
            let Some(numbers) = numbers else {
                cursor.next = offset + 1;
                continue;
            };
            // Whatever an owner gets by its cursor, it gets through its own worker: two ways to one
            // connection would overtake each other.
            let elsewhere = owner.worker != turn.worker;
            if !elsewhere
                && cursor.pending.is_empty()
                && session.outstanding < session.window
                && self.conns.is_open(owner)
            {
                cursor.next = offset + 1;
                cursor.inflight.insert(offset);
                session.outstanding += 1;
                let tag = Tag { source: log.0, place: offset };
                turn.port.deliver(owner, delivery(message, numbers, Some(tag), false));
                add(&turn.shared.counters.deliveries, 1);
            } else if cursor.pending.len() < PENDING_MAX && cursor.pending_bytes < PENDING_BYTES {
                cursor.next = offset + 1;
                cursor.pending_bytes += message.record.size();
                cursor.pending.push_back((offset, message.clone(), numbers));
            } else {
                cursor.following = false;
                cursor.next = offset;
            }
            if elsewhere {
                turn.shared.mail.post(owner.worker, Completion(Step::Scan(*id)));
            }
        }
        u32::try_from(route.sessions.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn settle_session(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        tags: &[Tag],
        how: Settlement,
    ) -> bool {
        let Some(id) = self.session_of(conn) else { return false };
        let Some(session) = self.sessions.map.get_mut(&id) else { return false };
        let mut all = true;
        for tag in tags {
            let Some(cursor) = session.cursors.get_mut(&LogId(tag.source)) else {
                all = false;
                continue;
            };
            let open = cursor.inflight.remove(&tag.place);
            session.outstanding = session.outstanding.saturating_sub(u32::from(open));
            match how {
                // What an earlier owner was given can be settled before it is its turn again.
                Settlement::Ack if !open && cursor.is_ahead(tag.place) => {
                    cursor.returned.remove(&tag.place);
                    cursor.done.insert(tag.place);
                }
                Settlement::Ack | Settlement::Reject | Settlement::Requeue if !open => all = false,
                Settlement::Ack | Settlement::Reject => {
                    cursor.done.insert(tag.place);
                }
                Settlement::Requeue | Settlement::RequeueAfter(_) | Settlement::Unseen => {
                    cursor.returned.insert(tag.place);
                    cursor.clear_pending();
                    cursor.following = false;
                    cursor.next = cursor.next.min(tag.place);
                }
                Settlement::Extend(_) => unreachable!("what has no deadline is not extended"),
            }
        }
        self.sessions.dirty.insert(id);
        self.flush_soon(turn);
        self.scan(turn, id);
        all
    }

    /// Goes on handing a session what waits for it, as far as its window goes.
    pub(crate) fn scan(&mut self, turn: &mut Turn<'_>, id: u64) {
        let Some(session) = self.sessions.map.get_mut(&id) else { return };
        let Some(owner) = session.owner.filter(|_| session.granted) else { return };
        if owner.worker != turn.worker {
            return turn.shared.mail.post(owner.worker, Completion(Step::Scan(id)));
        }
        if !self.conns.is_open(owner) {
            return;
        }
        let mut again = false;
        let logs: Vec<LogId> = session
            .cursors
            .iter()
            .filter(|(_, c)| !c.following || !c.pending.is_empty())
            .map(|(log, _)| *log)
            .collect();
        for log in logs {
            while session.has_room() {
                let cursor = session.cursors.get_mut(&log).expect("listed above");
                let Some((offset, message, numbers)) = cursor.take_pending() else { break };
                hand_over(turn, session, owner, log, (offset, message, numbers));
            }
            let cursor = session.cursors.get_mut(&log).expect("listed above");
            if session.outstanding < session.window
                && cursor.pending.is_empty()
                && !cursor.following
            {
                again |= catch_up(turn, session, owner, log);
            }
        }
        if again {
            turn.shared.mail.post(turn.worker, Completion(Step::Scan(id)));
        }
    }
}

/// Reads on in one log; whether there is more to read.
fn catch_up(turn: &mut Turn<'_>, session: &mut Session, owner: ConnId, log: LogId) -> bool {
    let from = session.cursors[&log].next;
    let limits = ReadLimits { max_bytes: SCAN_BYTES, held: true };
    let Ok(batches) = turn.shared.engine.read(log, from, limits) else {
        return false;
    };
    if batches.is_empty() {
        let end = turn.shared.engine.bounds(log).map_or(from, |bounds| bounds.end);
        let cursor = session.cursors.get_mut(&log).expect("the caller has it");
        // What is committed from here on is handed over by its commit, which comes after this.
        cursor.following = end <= from;
        return end > from;
    }
    for batch in &batches {
        let from = session.cursors[&log].next;
        for (offset, message) in crate::message::of_batch(batch, from) {
            let skip = message.record.assurance == Assurance::AtMostOnce
                || message.record.is_expired(turn.now.unix_ms)
                || session.cursors[&log].done.contains(&offset)
                || session.cursors[&log].inflight.contains(&offset);
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
        cursor.next = cursor.next.max(batch.last + 1);
    }
    true
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

fn hand_over(
    turn: &mut Turn<'_>,
    session: &mut Session,
    owner: ConnId,
    log: LogId,
    (offset, message, numbers): (u64, Arc<Message>, Matched),
) {
    let cursor = session.cursors.get_mut(&log).expect("the caller has it");
    let redelivered = cursor.returned.remove(&offset);
    cursor.inflight.insert(offset);
    session.outstanding += 1;
    let tag = Tag { source: log.0, place: offset };
    turn.port.deliver(owner, delivery(&message, numbers, Some(tag), redelivered));
    add(&turn.shared.counters.deliveries, 1);
}

fn delivery(
    message: &Arc<Message>,
    matched: Matched,
    tag: Option<Tag>,
    redelivered: bool,
) -> Delivery {
    Delivery {
        message: message.clone(),
        matched,
        tag,
        redelivered,
        deliveries: None,
        last_value: false,
    }
}
