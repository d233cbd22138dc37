//! Durable sessions: one cursor for each log that their filters reach, one owner at a time.
//!
//! A session whose owner is away costs its cursors, not copies. A cursor *follows* when it has seen
//! all that was committed: then matching records are handed over as they are committed; otherwise
//! the session reads its log until it has caught up. Either way each record comes once.

//!
//! ```text
//! life         claimed, let go, ended; restoring: after a start
//! cursor       where a session stands in one log
//! delivering   messages as they are committed
//! catching_up  messages from the log, for those that are behind
//! wills        what is published when an owner is gone, over a restart too
//! ```
//!
//! Every life of a session has a number of its own, which its rows and cursors are kept under: a
//! clean start begins another life, so that what is still being written for the one before cannot
//! become a part of it. A number is not given again while anything is kept under it.

use std::collections::BTreeMap;

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use model::filter::Filter;
use model::record::Space;
use protocol::{
    Claim, ConnId, Expiry, Handover, Matched, Message, Publish, Refusal, Remember, Reply, Token,
};
use storage::{LogId, Op};

use crate::deadlines::{Deadline, Kind};
use crate::publish::memory_key;
use crate::router::matched;
use crate::state::{Core, table};
use crate::turn::Turn;

mod catching_up;
mod cursor;
mod delivering;
mod life;
mod restoring;
pub(crate) mod wills;

pub(crate) use cursor::Cursor;

use life::{after, session_row};
use restoring::KeptSession;
use wills::DueWill;

/// Most sessions of a node.
pub(crate) const SESSIONS_MAX: usize = 5_000_000;

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) name: Bytes,
    pub(crate) expiry: Expiry,
    pub(crate) owner: Option<ConnId>,
    /// The owner has been told: nothing is handed over before.
    granted: bool,
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

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_name: HashMap<Bytes, u64>,
    map: HashMap<u64, Box<Session>>,
    next: u64,
    dirty: HashSet<u64>,
    /// Writes of cursors so far.
    flushes: u64,
    wills: Vec<DueWill>,
    /// Wills for which there was no room.
    refused_wills: Vec<(Publish, u64)>,
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

    /// Cursors that changed, as operations of this flush.
    pub(crate) fn take_cursors(&mut self, processed: &HashMap<LogId, u64>, ops: &mut Vec<Op>) {
        self.flushes += 1;
        let flush = self.flushes;
        for id in std::mem::take(&mut self.dirty) {
            let Some(session) = self.map.get_mut(&id) else { continue };
            for (log, cursor) in &mut session.cursors {
                let state = cursor.state(processed.get(log).copied().unwrap_or_default());
                if cursor.kept.as_ref() != Some(&state) {
                    cursor.kept = Some(state.clone());
                    cursor.flush = flush;
                    ops.push(Op::Cursor { name: cursor_name(id), log: *log, state: Some(state) });
                }
            }
        }
    }

    /// Cursors of one session that are not known to be kept as they are.
    fn take_cursors_of(&mut self, id: u64, processed: &HashMap<LogId, u64>, ops: &mut Vec<Op>) {
        let Some(session) = self.map.get_mut(&id) else { return };
        for (log, cursor) in &mut session.cursors {
            let state = cursor.state(processed.get(log).copied().unwrap_or_default());
            if cursor.flush != 0 || cursor.kept.as_ref() != Some(&state) {
                ops.push(Op::Cursor { name: cursor_name(id), log: *log, state: Some(state) });
            }
        }
    }

    /// The last flush, with what became of its cursors of these sessions.
    fn flushed(&mut self, flush: u64, ids: &[u64], taken: bool) {
        for id in ids {
            let Some(session) = self.map.get_mut(id) else { continue };
            for cursor in session.cursors.values_mut().filter(|cursor| cursor.flush == flush) {
                cursor.flush = 0;
                if !taken {
                    cursor.kept = None;
                    self.dirty.insert(*id);
                }
            }
        }
    }

    /// Takes back a session that was kept; the life of the same name that it follows, if the end of
    /// that one was not kept.
    fn restore(&mut self, id: u64, kept: KeptSession) -> Option<u64> {
        self.see(id);
        let before = self.by_name.insert(kept.name.clone(), id);
        if let Some(before) = before {
            self.map.remove(&before);
        }
        let session = Session { ends_ms: kept.ends_ms, ..Session::new(kept.name, kept.expiry) };
        self.map.insert(id, Box::new(session));
        before
    }

    /// Something is kept under this number: it is not given again.
    fn see(&mut self, id: u64) {
        self.next = self.next.max(id);
    }

    /// A new life under this name.
    fn begin(&mut self, name: &Bytes, expiry: Expiry) -> u64 {
        self.next += 1;
        let name = Bytes::copy_from_slice(name);
        self.by_name.insert(name.clone(), self.next);
        self.map.insert(self.next, Box::new(Session::new(name, expiry)));
        self.next
    }
}

impl Session {
    fn new(name: Bytes, expiry: Expiry) -> Self {
        Self {
            name,
            expiry,
            owner: None,
            granted: false,
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

/// A write of cursors that is under way.
#[derive(Debug)]
pub(crate) struct Flushed {
    flush: u64,
    sessions: Vec<u64>,
}

pub(crate) fn cursor_name(session: u64) -> Bytes {
    Bytes::copy_from_slice(&session.to_be_bytes())
}

impl Core {
    /// What a flush has put, for when it is known what became of it.
    pub(crate) fn flushing(&self, ops: &[Op]) -> Flushed {
        let id = |op: &Op| match op {
            Op::Cursor { name, .. } => name[..].try_into().map(u64::from_be_bytes).ok(),
            Op::CreateLog { .. }
            | Op::Policy { .. }
            | Op::DropLog(_)
            | Op::Append(_)
            | Op::Trim { .. }
            | Op::Delete { .. }
            | Op::Settle { .. }
            | Op::Release { .. }
            | Op::Put { .. }
            | Op::Remove { .. } => None,
        };
        let mut sessions: Vec<u64> = ops.iter().filter_map(id).collect();
        sessions.dedup();
        Flushed { flush: self.sessions.flushes, sessions }
    }

    /// Cursors are kept, or are not.
    pub(crate) fn flushed(&mut self, flushed: &Flushed, taken: bool) {
        self.sessions.flushed(flushed.flush, &flushed.sessions, taken);
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
        // A row that vouches for a delivery goes in a write that settles the delivery, though another
        // one that does may be under way: a crash between two writes would send the message again
        // as a new one.
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
