//! The life of a session: claimed, let go, at its end.

use bytes::Bytes;
use protocol::{
    Claim, Claimed, ConnId, DurableSubscription, Expiry, Notice, Refusal, Release, Reply, Token,
};
use storage::{Mode, Op};

use super::{Durable, SESSIONS_MAX, cursor_name, share_name};
use crate::completion::Step;
use crate::deadlines::Deadline;
use crate::publish::memory_key;
use crate::router::Target;
use crate::state::{Core, table};
use crate::turn::{Turn, refusal_of};

/// Rows of a session's memory that are read at first, and at most, at a time.
const MEMORY_PAGE: (usize, usize) = (16, 4096);

impl Core {
    pub(crate) fn claim(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        claim: Claim,
    ) {
        let known = self.sessions.by_name.get(&claim.name).copied();
        if self.sessions.len() >= SESSIONS_MAX && known.is_none() {
            return turn.refuse(conn, token, Refusal::Limit("sessions"));
        }
        if let Some(id) = known
            && let Some(session) = self.sessions.map.get_mut(&id)
            && let Some(owner) = session.owner
        {
            turn.port.notice(owner, Notice::Displaced);
            if let Some((waiting, ..)) = session.waiting.replace((conn, token, claim)) {
                turn.port.notice(waiting, Notice::Displaced);
            }
            self.conns.entry(conn).claiming = Some(id);
            return;
        }
        self.grant(turn, conn, token, &claim);
    }

    fn grant(&mut self, turn: &mut Turn<'_>, conn: ConnId, token: Option<Token>, claim: &Claim) {
        let mut ops = Vec::new();
        let known = self.sessions.by_name.get(&claim.name).copied();
        let lasts = |id: &u64| self.sessions.map.get(id).is_some_and(|s| s.expiry.is_durable());
        let resumed = known.filter(|id| !claim.clean && lasts(id));
        let ended = match (known, resumed) {
            (Some(id), None) => self.end_life(turn, id, &mut ops),
            (Some(_) | None, _) => None,
        };
        let id = resumed.unwrap_or_else(|| self.sessions.begin(&claim.name, claim.expiry));
        let Some(session) = self.sessions.map.get_mut(&id) else { return };
        session.kept |= claim.expiry.is_durable();
        session.expiry = claim.expiry;
        session.window = claim.window;
        session.owner = Some(conn);
        session.granted = false;
        session.take_deadlines(id, &mut ops);
        session.drop_will(id, &mut ops);
        session.outstanding = 0;
        if session.kept {
            // Also of one that is to last no longer: what is still being written for its last owner
            // comes before a row.
            ops.push(session_row(id, &claim.name, claim.expiry, None));
        }
        let subscriptions = session
            .subscriptions
            .iter()
            .map(|(number, s)| DurableSubscription {
                number: *number,
                filter: s.filter.clone(),
                group: s.group.clone(),
                memo: s.memo.clone(),
            })
            .collect();
        let (present, handover) = (resumed.is_some(), session.handover.take());
        let claimed = Box::new(Claimed { present, subscriptions, memory: Vec::new(), handover });
        if turn.shared.guard.owns(id, conn) {
            turn.shared.outdate_routes();
        }
        let state = self.conns.entry(conn);
        state.session = Some(id);
        state.claiming = None;
        if ops.is_empty() {
            self.claimed(turn, id, (conn, token), claimed);
        } else {
            turn.shared.submit(ops, Mode::Durable, turn.worker, move |result| match result {
                Ok(_) => Step::Claimed { conn, token, claimed, session: id },
                Err(error) => {
                    Step::Reply { conn, token, reply: Reply::Refused(refusal_of(&error)) }
                }
            });
        }
        if let Some(ended) = ended {
            forget_later(turn, ended);
        }
    }

    /// A session is owned durably. Everything that was being written for an earlier owner has been by
    /// now, so its memory is whole.
    pub(crate) fn claimed(
        &mut self,
        turn: &mut Turn<'_>,
        id: u64,
        (conn, token): (ConnId, Option<Token>),
        mut claimed: Box<Claimed>,
    ) {
        let Some(session) = self.sessions.map.get_mut(&id) else { return };
        if session.owner != Some(conn) {
            return; // It has gone meanwhile.
        }
        session.granted = true;
        if claimed.present {
            claimed.memory = memory_of(turn, id);
        }
        turn.reply(conn, token, Reply::Claimed(claimed));
        self.resume(turn, id);
    }

    /// The owner knows what it owns: what waits for it begins to come.
    fn resume(&mut self, turn: &mut Turn<'_>, id: u64) {
        let Some(session) = self.sessions.map.get(&id) else { return };
        let Some(conn) = session.owner else { return };
        let shares: Vec<(u32, Bytes)> = session
            .subscriptions
            .iter()
            .filter_map(|(n, s)| Some((*n, share_name(s.group.as_ref()?, &s.filter))))
            .collect();
        for (number, queue) in shares {
            self.join_share(turn, conn, number, queue);
        }
        self.scan(turn, id);
    }

    pub(crate) fn release(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        release: Release,
    ) {
        let Some(id) = self.conns.get_mut(conn).and_then(|c| c.session.take()) else {
            return turn.reply(conn, token, Reply::Done);
        };
        self.forget_consumers(turn, conn);
        // The client sends them again to its next connection.
        self.forget_parked(turn, conn);
        let Some(session) = self.sessions.map.get_mut(&id) else { return };
        if session.owner != Some(conn) {
            return;
        }
        session.owner = None;
        session.outstanding = 0;
        session.handover = release.handover;
        if let Some(expiry) = release.expiry {
            session.expiry = expiry;
        }
        for (log, cursor) in &mut session.cursors {
            cursor.rewind(self.processed.get(log).copied().unwrap_or_default());
        }
        self.sessions.dirty.insert(id);
        let session = self.sessions.map.get_mut(&id).expect("it was there");
        let clock = turn.shared.engine.clock_ms();
        session.will = release.will.map(|will| (will.publish, after(clock, will.delay_ms)));
        let waiting = session.waiting.take();
        if waiting.is_none() {
            self.leave(turn, id, clock);
        }
        turn.reply(conn, token, Reply::Done);
        if let Some((conn, token, claim)) = waiting {
            self.grant(turn, conn, token, &claim);
        } else {
            self.flush_soon(turn);
        }
    }

    /// A session has no owner from now on.
    fn leave(&mut self, turn: &mut Turn<'_>, id: u64, clock_ms: i64) {
        let Some(session) = self.sessions.map.get_mut(&id) else { return };
        if !session.expiry.is_durable() {
            return self.end(turn, id);
        }
        session.begin_leave(clock_ms);
        let rows = std::iter::once(session.row(id)).chain(session.will_row(id)).collect();
        let deadlines = session.deadlines(id).collect();
        self.keep_deadlines(turn, rows, deadlines);
    }

    /// A will is due, unless the session was claimed since.
    pub(crate) fn will_due(&mut self, due: Deadline) {
        let Some(session) = self.sessions.map.get_mut(&due.object) else { return };
        let stands = session.will.as_ref().is_some_and(|(_, at_ms)| *at_ms == due.at_ms);
        if stands {
            let will = session.take_will(due.object);
            self.sessions.wills.extend(will);
        }
    }

    /// A session ends, unless it was claimed since.
    pub(crate) fn session_due(&mut self, turn: &mut Turn<'_>, due: Deadline) {
        let session = self.sessions.map.get(&due.object);
        if session.is_some_and(|session| session.ends_ms == Some(due.at_ms)) {
            self.end(turn, due.object);
        }
    }

    /// A session ends for good.
    fn end(&mut self, turn: &mut Turn<'_>, id: u64) {
        let mut ops = Vec::new();
        let ended = self.end_life(turn, id, &mut ops);
        if !ops.is_empty() {
            turn.shared.submit(ops, Mode::Async, turn.worker, |_| Step::Flushed);
        }
        if let Some(ended) = ended {
            forget_later(turn, ended);
        }
    }

    /// A life of a session ends: its will is due, its subscriptions and cursors go. Its number, if
    /// rows of its memory may be left.
    fn end_life(&mut self, turn: &mut Turn<'_>, id: u64, ops: &mut Vec<Op>) -> Option<u64> {
        let mut session = self.sessions.map.remove(&id)?;
        self.sessions.by_name.remove(&session.name);
        session.take_deadlines(id, ops);
        self.sessions.wills.extend(session.take_will(id));
        for log in session.cursors.keys() {
            ops.push(Op::Cursor { name: cursor_name(id), log: *log, state: None });
        }
        for (number, subscription) in std::mem::take(&mut session.subscriptions) {
            self.drop_durable(turn, id, number, &subscription, ops);
        }
        if !session.kept {
            return None;
        }
        ops.push(Op::Remove { table: table::SESSIONS, key: cursor_name(id) });
        Some(id)
    }

    /// Nothing is written any more under the number of a life that has ended: its memory goes.
    pub(crate) fn forget_memory(&mut self, turn: &Turn<'_>, id: u64) {
        let rows = memory_of(turn, id).into_iter();
        let ops: Vec<Op> = rows
            .map(|(key, _)| Op::Remove { table: table::MEMORY, key: memory_key(id, &key) })
            .collect();
        if !ops.is_empty() {
            turn.shared.submit(ops, Mode::Async, turn.worker, |_| Step::Flushed);
        }
    }

    /// Takes a durable subscription out of the router and the tables.
    pub(crate) fn drop_durable(
        &mut self,
        turn: &mut Turn<'_>,
        id: u64,
        number: u32,
        subscription: &Durable,
        ops: &mut Vec<Op>,
    ) {
        ops.push(Op::Remove {
            table: table::SUBSCRIPTIONS,
            key: memory_key(id, &number.to_be_bytes()),
        });
        match &subscription.group {
            None => {
                let target = Target::Durable { session: id, number };
                turn.shared
                    .reroute(|r| r.remove(&subscription.space, &subscription.filter, &target));
            }
            Some(group) => self.leave_share(turn, group, &subscription.filter),
        }
    }
}

pub(super) fn session_row(id: u64, name: &[u8], expiry: Expiry, ends_ms: Option<i64>) -> Op {
    let ms = match expiry {
        Expiry::Never => None,
        Expiry::After(ms) => Some(ms),
    };
    let value = meta::row::Writer::default()
        .bytes(name)
        .maybe(ms)
        .maybe(ends_ms.map(i64::cast_unsigned))
        .finish();
    Op::Put { table: table::SESSIONS, key: cursor_name(id), value }
}

/// Has the memory of a life that has ended removed, behind everything that is still being written:
/// a write without operations overtakes nothing.
fn forget_later(turn: &Turn<'_>, id: u64) {
    turn.shared.submit(Vec::new(), Mode::Async, turn.worker, move |_| Step::Ended(id));
}

fn memory_of(turn: &Turn<'_>, id: u64) -> Vec<(Bytes, Bytes)> {
    let prefix = id.to_be_bytes();
    let (mut size, most) = MEMORY_PAGE;
    let mut from = prefix.to_vec();
    let mut memory = Vec::new();
    loop {
        let page = turn.shared.engine.scan(table::MEMORY, &from, size);
        let whole = page.len() < size;
        let last = page.last().map(|(key, _)| key.clone());
        let before = memory.len();
        let own = page.into_iter().take_while(|(key, _)| key.starts_with(&prefix));
        memory.extend(own.map(|(key, value)| (key.slice(prefix.len()..), value)));
        let Some(last) = last.filter(|_| !whole && memory.len() == before + size) else {
            return memory;
        };
        from = [&last[..], &[0]].concat();
        size = most.min(size * 16);
    }
}

pub(super) fn after(clock_ms: i64, ms: u64) -> i64 {
    clock_ms.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX))
}
