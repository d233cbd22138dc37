//! What becomes of deliveries: acknowledged, rejected, returned. And of what waits: purged.

use model::record::Cause;
use protocol::{ConnId, Refusal, Reply, Settle, Settlement, Tag, Token};

use crate::conns::Unsettled;
use crate::state::Core;
use crate::turn::Turn;

impl Core {
    /// Settles deliveries of queues and of the claimed session.
    pub(crate) fn settle(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        settle: Settle,
    ) {
        let mut touched = Vec::new();
        let mut unknown = false;
        let mut session_tags = Vec::new();
        let (records, tags): (Vec<Tag>, Vec<Tag>) =
            settle.tags.into_iter().partition(|tag| self.cursors.has(tag.source));
        if !records.is_empty() {
            unknown = !self.settle_records(turn, conn, &records, settle.how);
        }
        if let Settlement::Extend(_) = settle.how {
            unknown |= !tags.is_empty();
            return match unknown {
                true => turn.refuse(conn, token, Refusal::NotFound),
                false => turn.reply(conn, token, Reply::Done),
            };
        }
        for tag in tags {
            let found = self.conns.rare_of(conn).and_then(|rare| {
                let unsettled = rare.unsettled.remove(&tag)?;
                for window in &unsettled.windows {
                    if let Some(window) = rare.windows.get_mut(window) {
                        window.used = window.used.saturating_sub(1);
                    }
                }
                Some(unsettled)
            });
            match found {
                Some(unsettled) => {
                    touched.push(unsettled.queue);
                    self.settle_one(turn, unsettled, settle.how);
                }
                None => session_tags.push(tag),
            }
        }
        if !session_tags.is_empty() {
            unknown |= !self.settle_session(turn, conn, &session_tags, settle.how);
        }
        if settle.how != Settlement::Ack {
            touched.sort_unstable();
            touched.dedup();
            for queue in std::mem::take(&mut touched) {
                self.settled_back(turn, queue);
            }
        }
        // A window that opened may belong to any queue that this connection consumes.
        if let Some(rare) = self.conns.rare_of(conn) {
            touched.extend(rare.consumers.values());
        }
        touched.sort_unstable();
        touched.dedup();
        for queue in touched {
            self.dispatch(turn, queue);
        }
        if unknown {
            turn.refuse(conn, token, Refusal::NotFound);
        } else {
            turn.reply(conn, token, Reply::Done);
        }
    }

    pub(super) fn settle_one(
        &mut self,
        turn: &mut Turn<'_>,
        unsettled: Unsettled,
        how: Settlement,
    ) {
        let Unsettled { queue: id, mut item, .. } = unsettled;
        let after_ms = match how {
            Settlement::Ack => {
                self.queues.done(id, &item);
                return self.flush_soon(turn);
            }
            Settlement::Reject => return self.give_up(turn, id, item, Cause::Rejected),
            Settlement::Unseen => {
                item.deliveries = item.deliveries.saturating_sub(1);
                self.queues.note(id, &item, 0);
                0
            }
            Settlement::Requeue => {
                item.redelivered = true;
                0
            }
            Settlement::RequeueAfter(after_ms) => {
                item.redelivered = true;
                after_ms
            }
            Settlement::Extend(_) => unreachable!("what has no deadline is not extended"),
        };
        let Some(queue) = self.queues.get_mut(id) else {
            return self.queues.done(id, &item);
        };
        let limit = queue.declaration.options().delivery_limit;
        if how != Settlement::Unseen && limit.is_some_and(|limit| item.deliveries > limit) {
            return self.give_up(turn, id, item, Cause::DeliveryLimit);
        }
        if after_ms == 0 {
            return queue.backlog.put_back(item);
        }
        let clock = turn.shared.engine.clock_ms();
        let not_before = clock.saturating_add(i64::try_from(after_ms).unwrap_or(i64::MAX));
        let key = (not_before, item.order);
        self.queues.note(id, &item, not_before);
        self.flush_soon(turn);
        if let Some(queue) = self.queues.get_mut(id)
            && queue.put_off(item, not_before, clock)
        {
            self.queues.leaving.entry(id).or_default().push(key);
        }
        self.schedule(turn, id);
    }

    /// Messages came back to a queue: consumers get them, and its limits hold.
    pub(super) fn settled_back(&mut self, turn: &mut Turn<'_>, id: u64) {
        self.dispatch(turn, id);
        self.tend(turn, id);
    }

    /// Removes the messages that wait, delayed ones too; how many were ready.
    pub(crate) fn purge(&mut self, turn: &Turn<'_>, id: u64) -> u64 {
        let Some(queue) = self.queues.get_mut(id) else { return 0 };
        let count = queue.len() as u64;
        let gone = queue.backlog.take_all();
        for item in &gone {
            self.queues.done(id, item);
        }
        self.purge_aside(turn, id);
        if self.queues.settled.contains_key(&id) {
            self.flush_soon(turn);
        }
        count
    }

    pub(crate) fn flow(&mut self, turn: &mut Turn<'_>, conn: ConnId, stopped: bool) {
        let Some(state) = self.conns.get_mut(conn) else { return };
        state.stopped = stopped;
        if stopped {
            return;
        }
        let session = state.session;
        let replays = state.rare.as_mut().map(|r| std::mem::take(&mut r.replays));
        let queues: Vec<u64> =
            state.rare.iter().flat_map(|rare| rare.consumers.values().copied()).collect();
        for queue in queues {
            self.dispatch(turn, queue);
        }
        self.open_members(turn, conn);
        for replay in replays.into_iter().flatten() {
            self.replay(turn, Box::new(replay));
        }
        if let Some(session) = session {
            self.scan(turn, session);
        }
    }
}
