//! Messages for sessions as they are committed.

use std::sync::Arc;

use model::record::Assurance;
use protocol::{ConnId, Delivery, Matched, Message, Settlement, Tag};
use storage::LogId;

use super::{Cursor, Session};
use crate::completion::{Completion, Step};
use crate::router::Route;
use crate::state::Core;
use crate::stats::add;
use crate::turn::Turn;

/// Messages that wait for a window beside the log; beyond them the session reads the log again.
const PENDING_MAX: usize = 256;
/// The same, in bytes.
const PENDING_BYTES: usize = 256 * 1024;

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

    /// Goes on handing a session what waits for it, as far as its window goes; what it has to read
    /// for that is read at the end of the turn.
    pub(crate) fn scan(&mut self, turn: &mut Turn<'_>, id: u64) {
        let Some(session) = self.sessions.map.get_mut(&id) else { return };
        let Some(owner) = session.owner.filter(|_| session.granted) else { return };
        if owner.worker != turn.worker {
            return turn.shared.mail.post(owner.worker, Completion(Step::Scan(id)));
        }
        if !self.conns.is_open(owner) {
            return;
        }
        let logs: Vec<LogId> = session
            .cursors
            .iter()
            .filter(|(_, cursor)| !cursor.pending.is_empty())
            .map(|(log, _)| *log)
            .collect();
        for log in logs {
            while session.has_room() {
                let cursor = session.cursors.get_mut(&log).expect("listed above");
                let Some((offset, message, numbers)) = cursor.take_pending() else { break };
                hand_over(turn, session, owner, log, (offset, message, numbers));
            }
        }
        if session.has_room() && session.cursors.values().any(Cursor::is_behind) {
            turn.behind.push(id);
        }
    }
}

pub(super) fn hand_over(
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
