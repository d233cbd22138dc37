//! Durable sessions: one cursor for each log that their filters reach, one owner at a time.
//!
//! A session whose owner is away costs its cursors, not copies. A cursor *follows* when it has seen
//! all that was committed: then matching records are handed over as they are committed; otherwise
//! the session reads its log until it has caught up. Either way each record comes once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use model::filter::Filter;
use model::record::{Assurance, Space};
use protocol::{
    Claim, Claimed, ConnId, Delivery, DurableSubscription, Expiry, Handover, Matched, Message,
    Notice, Publish, Refusal, Release, Remember, Reply, Settlement, Tag, Token,
};
use storage::{CursorState, LogId, Mode, Op, ReadLimits};

use crate::completion::{Completion, Step};
use crate::deadlines::{Deadline, Kind};
use crate::publish::memory_key;
use crate::router::{Route, Target, matched};
use crate::state::{Core, table};
use crate::stats::add;
use crate::turn::{Turn, refusal_of};

/// Most sessions of a node.
pub(crate) const SESSIONS_MAX: usize = 5_000_000;
/// Messages that wait for a window beside the log; beyond them the session reads the log again.
const PENDING_MAX: usize = 256;
/// The same, in bytes.
const PENDING_BYTES: usize = 256 * 1024;
/// Bytes that a session reads of a log in one turn.
const SCAN_BYTES: usize = 256 * 1024;
/// Ranges above the floor that the engine keeps; what is beyond is delivered again after a crash.
const DONE_RANGES_MAX: usize = 4096;
/// Most rows of a session's memory.
const MEMORY_ROWS_MAX: usize = 200_000;

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) name: Bytes,
    pub(crate) expiry: Expiry,
    pub(crate) owner: Option<ConnId>,
    waiting: Option<(ConnId, Option<Token>, Claim)>,
    window: u32,
    outstanding: u32,
    pub(crate) subscriptions: BTreeMap<u32, Durable>,
    pub(crate) cursors: BTreeMap<LogId, Cursor>,
    handover: Option<Handover>,
    /// When it ends unless it is claimed before, on the engine's clock.
    ends_ms: Option<i64>,
    /// What is published unless it is claimed before, and when.
    will: Option<(Publish, i64)>,
    /// It has been durable, so that rows of it may be there.
    kept: bool,
}

/// A durable subscription.
#[derive(Debug)]
pub(crate) struct Durable {
    pub(crate) space: Space,
    pub(crate) filter: Filter,
    /// A shared one is a consumer of the share's queue.
    pub(crate) group: Option<Bytes>,
    pub(crate) memo: Bytes,
    /// Messages of the session's own connection are not for it, while they are handed over live.
    pub(crate) skip_own: bool,
    /// It counts for records from these offsets on.
    pub(crate) since: Vec<(LogId, u64)>,
}

impl Durable {
    fn wants(&self, log: LogId, offset: u64) -> bool {
        self.group.is_none()
            && self.since.iter().find(|(l, _)| *l == log).is_none_or(|(_, since)| *since <= offset)
    }
}

/// Where a session stands in one log.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    next: u64,
    following: bool,
    pending: VecDeque<(u64, Arc<Message>, Matched)>,
    pending_bytes: usize,
    /// As it was last kept.
    kept: Option<CursorState>,
    inflight: BTreeSet<u64>,
    done: BTreeSet<u64>,
    /// Delivered to an earlier owner and not settled.
    returned: BTreeSet<u64>,
}

impl Cursor {
    pub(crate) fn at(next: u64) -> Self {
        Self { next, following: true, ..Self::default() }
    }

    pub(crate) fn restored(state: &CursorState) -> Self {
        Self {
            next: state.floor,
            done: state.done.iter().flat_map(|range| range.clone()).collect(),
            ..Self::default()
        }
    }

    /// The after-image that is kept.
    pub(crate) fn state(&mut self, processed: u64) -> CursorState {
        let position = if self.following { self.next.max(processed) } else { self.next };
        let floor = [
            self.inflight.first().copied(),
            self.returned.first().copied(),
            self.pending.front().map(|(offset, ..)| *offset),
            Some(position),
        ]
        .into_iter()
        .flatten()
        .min()
        .expect("the position is always there");
        self.done = self.done.split_off(&floor);
        let mut done: Vec<std::ops::Range<u64>> = Vec::new();
        for offset in &self.done {
            if let Some(range) = done.last_mut().filter(|range| range.end == *offset) {
                range.end += 1;
            } else if done.len() < DONE_RANGES_MAX {
                done.push(*offset..*offset + 1);
            } else {
                break;
            }
        }
        CursorState { floor, done, pending: Vec::new() }
    }

    /// The first record that it holds.
    pub(crate) fn floor(&self, processed: u64) -> u64 {
        let position = if self.following { self.next.max(processed) } else { self.next };
        let others = [
            self.inflight.first().copied(),
            self.returned.first().copied(),
            self.pending.front().map(|(offset, ..)| *offset),
        ];
        others.into_iter().flatten().fold(position, u64::min)
    }

    /// Lets go of everything below an offset; how many records it was not done with, and how many
    /// of these were with the owner.
    fn lose(&mut self, to: u64, processed: u64) -> (u64, u32) {
        let floor = self.floor(processed);
        if to <= floor {
            return (0, 0);
        }
        let lost = (to - floor).saturating_sub(self.done.range(floor..to).count() as u64);
        let before = self.inflight.len();
        self.inflight = self.inflight.split_off(&to);
        let with_owner = u32::try_from(before - self.inflight.len()).unwrap_or(u32::MAX);
        self.returned = self.returned.split_off(&to);
        self.pending.retain(|(offset, ..)| *offset >= to);
        self.pending_bytes = self.pending.iter().map(|(_, m, _)| m.record.size()).sum();
        self.next = self.next.max(to);
        (lost, with_owner)
    }

    /// Whether the session has yet to come to an offset.
    fn is_ahead(&self, offset: u64) -> bool {
        !self.following && self.next <= offset
    }

    fn clear_pending(&mut self) {
        self.pending.clear();
        self.pending_bytes = 0;
    }

    fn take_pending(&mut self) -> Option<(u64, Arc<Message>, Matched)> {
        let first = self.pending.pop_front()?;
        self.pending_bytes = self.pending_bytes.saturating_sub(first.1.record.size());
        Some(first)
    }

    /// The owner is gone: the next one begins at the oldest that is not settled.
    fn rewind(&mut self, processed: u64) {
        let floor = self.state(processed).floor;
        self.returned.append(&mut self.inflight);
        self.clear_pending();
        self.next = floor;
        self.following = false;
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_name: HashMap<Bytes, u64>,
    map: HashMap<u64, Box<Session>>,
    next: u64,
    dirty: HashSet<u64>,
    wills: Vec<Publish>,
    /// Durable subscriptions of each share, by the name of its queue.
    shares: HashMap<Bytes, usize>,
    /// Members of live groups.
    pub(crate) live_members: HashMap<Bytes, Vec<(ConnId, u32)>>,
}

impl Sessions {
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn any_cursor(&self) -> bool {
        !self.dirty.is_empty()
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Session> {
        self.map.get_mut(&id).map(Box::as_mut)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Session)> {
        self.map.iter().map(|(id, session)| (*id, session.as_ref()))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut Session)> {
        self.map.iter_mut().map(|(id, session)| (*id, session.as_mut()))
    }

    pub(crate) fn take_wills(&mut self) -> Vec<Publish> {
        std::mem::take(&mut self.wills)
    }

    pub(crate) fn mark_dirty(&mut self, id: u64) {
        self.dirty.insert(id);
    }

    /// A connection that waited for a session is gone.
    pub(crate) fn forget_waiting(&mut self, id: u64, conn: ConnId) {
        if let Some(session) = self.map.get_mut(&id)
            && session.waiting.as_ref().is_some_and(|(waiting, ..)| *waiting == conn)
        {
            session.waiting = None;
        }
    }

    /// Durable subscriptions of a session.
    pub(crate) fn subscriptions(&self, id: u64) -> usize {
        self.map.get(&id).map_or(0, |session| session.subscriptions.len())
    }

    /// Whether a share has durable subscriptions.
    pub(crate) fn is_shared(&self, share: &Bytes) -> bool {
        self.shares.contains_key(share)
    }

    /// One more durable subscription of a share.
    pub(crate) fn join_share(&mut self, share: &Bytes) {
        *self.shares.entry_ref(share).or_default() += 1;
    }

    /// One less; whether it was the last.
    pub(crate) fn leave_share(&mut self, share: &Bytes) -> bool {
        let Some(members) = self.shares.get_mut(share) else { return true };
        *members -= 1;
        let last = *members == 0;
        if last {
            self.shares.remove(share);
        }
        last
    }

    /// Marks the sessions whose owner is there, so that their cursors do not hold the past.
    pub(crate) fn mark_followers(&mut self) {
        let owned = self.map.iter().filter(|(_, s)| s.owner.is_some() && !s.cursors.is_empty());
        self.dirty.extend(owned.map(|(id, _)| *id));
    }

    /// Cursors that changed, as operations.
    pub(crate) fn take_cursors(&mut self, processed: &HashMap<LogId, u64>, ops: &mut Vec<Op>) {
        for id in std::mem::take(&mut self.dirty) {
            self.put_cursors(id, processed, ops);
        }
    }

    /// The same for one session.
    fn take_cursors_of(&mut self, id: u64, processed: &HashMap<LogId, u64>, ops: &mut Vec<Op>) {
        if self.dirty.remove(&id) {
            self.put_cursors(id, processed, ops);
        }
    }

    fn put_cursors(&mut self, id: u64, processed: &HashMap<LogId, u64>, ops: &mut Vec<Op>) {
        let Some(session) = self.map.get_mut(&id) else { return };
        for (log, cursor) in &mut session.cursors {
            let state = cursor.state(processed.get(log).copied().unwrap_or_default());
            if cursor.kept.as_ref() == Some(&state) {
                continue;
            }
            cursor.kept = Some(state.clone());
            ops.push(Op::Cursor { name: cursor_name(id), log: *log, state: Some(state) });
        }
    }

    /// Takes back a session that was kept.
    pub(crate) fn restore(&mut self, id: u64, kept: KeptSession) {
        self.next = self.next.max(id);
        self.by_name.insert(kept.name.clone(), id);
        let session = Session { ends_ms: kept.ends_ms, ..Session::new(kept.name, kept.expiry) };
        self.map.insert(id, Box::new(session));
    }

    fn id_of(&mut self, name: &Bytes) -> u64 {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        self.next += 1;
        self.by_name.insert(Bytes::copy_from_slice(name), self.next);
        self.next
    }
}

impl Session {
    fn new(name: Bytes, expiry: Expiry) -> Self {
        Self {
            name,
            expiry,
            owner: None,
            waiting: None,
            window: 0,
            outstanding: 0,
            subscriptions: BTreeMap::new(),
            cursors: BTreeMap::new(),
            handover: None,
            ends_ms: None,
            will: None,
            kept: expiry.is_durable(),
        }
    }

    pub(crate) fn window(&self) -> u32 {
        self.window
    }

    /// The owner leaves: from when on it counts when the session ends.
    pub(crate) fn begin_leave(&mut self, clock_ms: i64) {
        self.ends_ms = match self.expiry {
            Expiry::After(ms) => Some(after(clock_ms, ms)),
            Expiry::Never => None,
        };
    }

    /// Whether it must end some time and nothing says when: its owner was there when the server
    /// stopped.
    pub(crate) fn lacks_end(&self) -> bool {
        self.ends_ms.is_none() && self.expiry != Expiry::Never
    }

    /// What is due while nobody claims it.
    pub(crate) fn deadlines(&self, id: u64) -> impl Iterator<Item = Deadline> {
        let of = move |kind| move |at_ms| Deadline { at_ms, kind, object: id };
        let end = self.ends_ms.map(of(Kind::SessionEnd));
        let will = self.will.as_ref().map(|(_, at_ms)| *at_ms).map(of(Kind::Will));
        end.into_iter().chain(will)
    }

    /// Nothing of that is due any more.
    fn take_deadlines(&mut self, id: u64, ops: &mut Vec<Op>) {
        ops.extend(self.deadlines(id).map(Deadline::remove));
        self.ends_ms = None;
    }

    /// What keeps it.
    pub(crate) fn row(&self, id: u64) -> Op {
        session_row(id, &self.name, self.expiry, self.ends_ms)
    }

    /// Of the subscriptions that match, those that want this message from whom it comes.
    fn others(&self, numbers: &Matched, message: &Message) -> Option<Matched> {
        if message.publisher.is_none() || message.publisher != self.owner {
            return Some(numbers.clone());
        }
        let wants = |n: &&u32| self.subscriptions.get(*n).is_none_or(|s| !s.skip_own);
        matched(numbers.as_slice().iter().filter(wants).copied().collect())
    }

    /// Lets go of what it awaits of a log below an offset; how many records that were.
    pub(crate) fn lose(&mut self, log: LogId, to: u64, processed: u64) -> u64 {
        let Some(cursor) = self.cursors.get_mut(&log) else { return 0 };
        let (lost, with_owner) = cursor.lose(to, processed);
        self.outstanding = self.outstanding.saturating_sub(with_owner);
        lost
    }

    /// What it takes in memory, with what waits for it, about.
    pub(crate) fn memory(&self) -> usize {
        /// Its place by name and by number; a subscription here and in the router; an offset in a set.
        const SESSION: usize = size_of::<Session>() + 120;
        const SUBSCRIPTION: usize = size_of::<Durable>() + 400;
        const OFFSET: usize = 16;
        let of = |cursor: &Cursor| {
            let offsets = cursor.inflight.len() + cursor.done.len() + cursor.returned.len();
            let ranges = cursor.kept.as_ref().map_or(0, |kept| kept.done.len() * 16);
            size_of::<Cursor>() + offsets * OFFSET + ranges + cursor.pending_bytes
        };
        let cursors: usize = self.cursors.values().map(of).sum();
        SESSION + 2 * self.name.len() + self.subscriptions.len() * SUBSCRIPTION + cursors
    }

    fn has_room(&self) -> bool {
        self.outstanding < self.window
    }
}

pub(crate) fn cursor_name(session: u64) -> Bytes {
    Bytes::copy_from_slice(&session.to_be_bytes())
}

impl Core {
    pub(crate) fn claim(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        claim: Claim,
    ) {
        if self.sessions.len() >= SESSIONS_MAX && !self.sessions.by_name.contains_key(&claim.name) {
            return turn.refuse(conn, token, Refusal::Limit("sessions"));
        }
        let id = self.sessions.id_of(&claim.name);
        if let Some(session) = self.sessions.map.get_mut(&id)
            && let Some(owner) = session.owner
        {
            turn.port.notice(owner, Notice::Displaced);
            if let Some((waiting, ..)) = session.waiting.replace((conn, token, claim)) {
                turn.port.notice(waiting, Notice::Displaced);
            }
            self.conns.entry(conn).claiming = Some(id);
            return;
        }
        self.grant(turn, id, conn, token, &claim);
    }

    fn grant(
        &mut self,
        turn: &mut Turn<'_>,
        id: u64,
        conn: ConnId,
        token: Option<Token>,
        claim: &Claim,
    ) {
        let mut ops = Vec::new();
        let known = self.sessions.map.contains_key(&id);
        if known && claim.clean {
            self.forget_state(turn, id, &mut ops);
        }
        let name = Bytes::copy_from_slice(&claim.name);
        let session = self
            .sessions
            .map
            .entry(id)
            .or_insert_with(|| Box::new(Session::new(name, claim.expiry)));
        let was_durable = known && session.expiry.is_durable();
        let present = was_durable && !claim.clean;
        session.kept |= claim.expiry.is_durable();
        session.expiry = claim.expiry;
        session.window = claim.window;
        session.owner = Some(conn);
        session.take_deadlines(id, &mut ops);
        // The will of a session that ends here is due now; that of one that goes on is not due at all.
        let due = session.will.take().filter(|_| claim.clean).map(|(will, _)| will);
        session.outstanding = 0;
        let subscriptions: Vec<DurableSubscription> = session
            .subscriptions
            .iter()
            .map(|(number, s)| DurableSubscription {
                number: *number,
                filter: s.filter.clone(),
                group: s.group.clone(),
                memo: s.memo.clone(),
            })
            .collect();
        self.sessions.wills.extend(due);
        let Some(session) = self.sessions.map.get_mut(&id) else { return };
        let handover = if claim.clean { None } else { session.handover.take() };
        let memory = if present { memory_of(turn, id) } else { Vec::new() };
        let state = self.conns.entry(conn);
        state.session = Some(id);
        state.claiming = None;
        let reply = Reply::Claimed(Box::new(Claimed { present, subscriptions, memory, handover }));
        if claim.expiry.is_durable() {
            ops.push(session_row(id, &claim.name, claim.expiry, None));
        } else if was_durable {
            ops.push(Op::Remove { table: table::SESSIONS, key: cursor_name(id) });
        }
        if ops.is_empty() {
            turn.reply(conn, token, reply);
            self.resume(turn, id);
        } else {
            turn.shared.submit(ops, Mode::Durable, turn.worker, move |result| match result {
                Ok(_) => Step::Claimed { conn, token, reply, session: id },
                Err(error) => {
                    Step::Reply { conn, token, reply: Reply::Refused(refusal_of(&error)) }
                }
            });
        }
    }

    /// The owner knows what it owns: what waits for it begins to come.
    pub(crate) fn resume(&mut self, turn: &mut Turn<'_>, id: u64) {
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
            self.grant(turn, id, conn, token, &claim);
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
        let (row, deadlines) = (session.row(id), session.deadlines(id).collect());
        self.keep_deadlines(turn, vec![row], deadlines);
    }

    /// A will is due, unless the session was claimed since.
    pub(crate) fn will_due(&mut self, due: Deadline) {
        let Some(session) = self.sessions.map.get_mut(&due.object) else { return };
        let stands = session.will.as_ref().is_some_and(|(_, at_ms)| *at_ms == due.at_ms);
        if stands && let Some((will, _)) = session.will.take() {
            self.sessions.wills.push(will);
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
        self.forget_state(turn, id, &mut ops);
        let Some(mut session) = self.sessions.map.remove(&id) else { return };
        session.take_deadlines(id, &mut ops);
        self.sessions.wills.extend(session.will.take().map(|(will, _)| will));
        self.sessions.by_name.remove(&session.name);
        ops.push(Op::Remove { table: table::SESSIONS, key: cursor_name(id) });
        turn.shared.submit(ops, Mode::Async, turn.worker, |_| Step::Flushed);
    }

    /// Subscriptions, cursors and memory of a session go.
    fn forget_state(&mut self, turn: &mut Turn<'_>, id: u64, ops: &mut Vec<Op>) {
        let Some(session) = self.sessions.map.get_mut(&id) else { return };
        session.handover = None;
        let cursors = std::mem::take(&mut session.cursors);
        let subscriptions = std::mem::take(&mut session.subscriptions);
        if session.kept {
            for (key, _) in memory_of(turn, id) {
                ops.push(Op::Remove { table: table::MEMORY, key: memory_key(id, &key) });
            }
        }
        for log in cursors.keys() {
            ops.push(Op::Cursor { name: cursor_name(id), log: *log, state: None });
        }
        for (number, subscription) in subscriptions {
            self.drop_durable(turn, id, number, &subscription, ops);
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

    pub(crate) fn remember(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        remember: &Remember,
    ) {
        let Some(id) = self.session_of(conn) else {
            return turn.refuse(conn, token, Refusal::NotFound);
        };
        let mut ops = Vec::new();
        // A row that vouches for a delivery goes in the same write that settles the delivery: a crash
        // between two writes would send the message again as a new one.
        if remember.rows.iter().any(|(_, value)| value.is_none()) {
            self.sessions.take_cursors_of(id, &self.processed, &mut ops);
        }
        ops.extend(remember.rows.iter().map(|(key, value)| {
            let key = memory_key(id, key);
            match value {
                Some(value) => {
                    let value = Bytes::copy_from_slice(value);
                    Op::Put { table: table::MEMORY, key, value }
                }
                None => Op::Remove { table: table::MEMORY, key },
            }
        }));
        turn.reply_after(ops, conn, token, Reply::Done);
    }

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
            let Some((log, offset)) = stored.filter(|_| lasting) else {
                if let (Some(owner), Some(numbers)) = (session.owner, numbers) {
                    turn.port.deliver(owner, delivery(message, numbers, None, false));
                }
                continue;
            };
            let cursor = session.cursors.entry(log).or_insert_with(|| Cursor::at(offset));
            self.sessions.dirty.insert(*id);
            if !cursor.following || offset < cursor.next {
                continue;
            }
            let Some(owner) = session.owner else {
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
        let Some(owner) = session.owner else { return };
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

/// How the names of such queues begin; the name of the live group follows.
pub(crate) const SHARE: &[u8] = b"$share/";

/// The name of the queue behind a durable shared subscription.
pub(crate) fn share_name(group: &[u8], filter: &Filter) -> Bytes {
    let mut name = SHARE.to_vec();
    name.extend_from_slice(group);
    name.push(b'/');
    name.extend_from_slice(&filter.to_bytes());
    Bytes::from(name)
}

fn after(clock_ms: i64, ms: u64) -> i64 {
    clock_ms.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// What the row of a session says.
pub(crate) struct KeptSession {
    name: Bytes,
    expiry: Expiry,
    ends_ms: Option<i64>,
}

impl KeptSession {
    pub(crate) fn read(row: Bytes) -> Option<Self> {
        let mut row = meta::row::Reader::new(row).ok()?;
        Some(Self {
            name: row.bytes().ok()?,
            expiry: row.maybe().ok()?.map_or(Expiry::Never, Expiry::After),
            ends_ms: row.maybe().ok()?.map(u64::cast_signed),
        })
    }
}

fn session_row(id: u64, name: &[u8], expiry: Expiry, ends_ms: Option<i64>) -> Op {
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

fn memory_of(turn: &Turn<'_>, id: u64) -> Vec<(Bytes, Bytes)> {
    let prefix = id.to_be_bytes();
    turn.shared
        .engine
        .scan(table::MEMORY, &prefix, MEMORY_ROWS_MAX)
        .into_iter()
        .take_while(|(key, _)| key.starts_with(&prefix))
        .map(|(key, value)| (key.slice(prefix.len()..), value))
        .collect()
}
