//! Group cursors opened and left; records handed to members, and what becomes of them.

use std::time::Duration;

use protocol::{
    CloseCursor, ConnId, Delivery, Matched, Notice, OpenCursor, PullCursor, Refusal, Reply,
    Settlement, Tag, Token,
};
use storage::{LogId, Op, ReadError, ReadLimits};

use super::window::Window;
use super::{
    AHEAD_BYTES, CURSORS_MAX, Group, MEMBERS_MAX, Member, PENDING_MAX, after, cursor_name,
};
use crate::completion::{Completion, Step};
use crate::queues::{Loaded, load_at};
use crate::read::{Source, find_position, refusal_of_read};
use crate::state::{Core, table};
use crate::stats::add;
use crate::timers::Due;
use crate::turn::Turn;

/// Records of one cursor that are handed out in one turn.
const HAND_MAX: usize = 256;
/// Bytes that are read of its log at a time, and how often in one turn.
const READ_BYTES: usize = 256 * 1024;
const READS_MAX: usize = 8;
/// When a log is read again that could not be read.
const UNREADABLE: Duration = Duration::from_secs(1);
/// The longest wait of one timer.
const WAIT_MAX_MS: i64 = 3_600_000;

/// What there is for a member.
enum Found {
    Record(u64, std::sync::Arc<protocol::Message>),
    /// Nothing, until the log or the cursor changes.
    Nothing,
    /// There may be something: so much was looked at in vain that others come first.
    Later,
    /// Storage cannot say now.
    Unreadable,
}

impl Core {
    /// Joins a cursor, made if there is none.
    pub(crate) fn open_cursor(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        mut open: OpenCursor,
    ) {
        open.policy.max_pending =
            open.policy.max_pending.clamp(1, u32::try_from(PENDING_MAX).unwrap_or(u32::MAX));
        let rare = self.conns.rare(conn);
        if rare.cursors.contains_key(&open.number) || rare.consumers.contains_key(&open.number) {
            return turn.refuse(conn, token, Refusal::InUse);
        }
        let mut ops = Vec::new();
        let number = match self.cursors.by_name.get(&open.name) {
            Some(number) => *number,
            None => match self.make_cursor(turn, &open, &mut ops) {
                Ok(number) => number,
                Err(refusal) => return turn.refuse(conn, token, refusal),
            },
        };
        let group = self.cursors.map.get_mut(&number).expect("an id of the index");
        if group.members.len() >= MEMBERS_MAX {
            return turn.refuse(conn, token, Refusal::Limit("members of a cursor"));
        }
        self.conns.rare(conn).cursors.insert(open.number, number);
        group.members.push(Member { conn, number: open.number, credit: 0 });
        self.answer_rows(turn, conn, token, ops, Reply::Subscribed);
    }

    fn make_cursor(
        &mut self,
        turn: &Turn<'_>,
        open: &OpenCursor,
        ops: &mut Vec<Op>,
    ) -> Result<u64, Refusal> {
        if self.cursors.map.len() >= CURSORS_MAX {
            return Err(Refusal::Limit("cursors"));
        }
        if let Some(refusal) = turn.shared.pressure.refuses_storing() {
            return Err(refusal);
        }
        let source = self.source(&open.stream, open.partition).ok_or(Refusal::NotFound)?;
        let engine = &*turn.shared.engine;
        let start = find_position(engine, &source, open.start).map_err(|e| refusal_of_read(&e))?;
        let mut policy = open.policy.clone();
        let log = match source {
            Source::Log(log) | Source::Promoted { log, .. } => log,
            Source::View { log, subject } => {
                policy.filter = Some(model::filter::Filter::literal(&subject));
                log
            }
        };
        let next = match start {
            Some(found) => found.offset,
            None => engine.bounds(log).map_or(0, |bounds| bounds.end),
        };
        let number = self.take_log(ops).0;
        let name = bytes::Bytes::copy_from_slice(&open.name);
        let group = Group::new(name, log, policy, Window::at(next));
        ops.push(group.row(number));
        ops.push(group.image(number, None));
        self.cursors.insert(number, group);
        Ok(number)
    }

    /// More records for a member, or none any more.
    pub(crate) fn pull_cursor(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        pull: PullCursor,
    ) {
        let number = self.conns.rare_of(conn).and_then(|r| r.cursors.get(&pull.number).copied());
        let group = number.and_then(|number| self.cursors.map.get_mut(&number));
        let member = group.and_then(|group| {
            let his = |member: &&mut Member| (member.conn, member.number) == (conn, pull.number);
            group.members.iter_mut().find(his)
        });
        let (Some(number), Some(member)) = (number, member) else {
            return turn.refuse(conn, token, Refusal::NotFound);
        };
        member.credit = match pull.records {
            0 => 0,
            more => member.credit.saturating_add(more),
        };
        self.hand_out_records(turn, number);
        turn.reply(conn, token, Reply::Done);
    }

    /// Leaves a cursor, or removes it for all.
    pub(crate) fn close_cursor(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        close: CloseCursor,
    ) {
        let Some(number) =
            self.conns.rare_of(conn).and_then(|rare| rare.cursors.remove(&close.number))
        else {
            return turn.refuse(conn, token, Refusal::NotFound);
        };
        self.leave_cursor(turn, number, |member| member == (conn, close.number));
        let mut ops = Vec::new();
        if close.forget {
            self.forget_cursor(turn, number, &mut ops);
        }
        self.answer_rows(turn, conn, token, ops, Reply::Done);
    }

    /// A cursor goes with all that it knows; the log stays.
    fn forget_cursor(&mut self, turn: &mut Turn<'_>, number: u64, ops: &mut Vec<Op>) {
        let Some(group) = self.cursors.remove(number) else { return };
        ops.push(Op::Remove { table: table::CURSORS, key: group.name.clone() });
        ops.push(Op::Cursor { name: cursor_name(number), log: group.log, state: None });
        if let Some(timer) = group.timer {
            self.timers.cancel(timer);
        }
        for member in &group.members {
            if let Some(rare) = self.conns.rare_of(member.conn) {
                rare.cursors.remove(&member.number);
            }
            turn.port.notice(member.conn, Notice::ConsumerGone(member.number));
        }
    }

    /// The logs of a stream are dropped: so are the cursors on them.
    pub(crate) fn forget_cursors_on(
        &mut self,
        turn: &mut Turn<'_>,
        logs: &[u64],
        ops: &mut Vec<Op>,
    ) {
        for log in logs {
            for number in self.cursors.by_log.get(&LogId(*log)).cloned().unwrap_or_default() {
                self.forget_cursor(turn, number, ops);
            }
        }
    }

    /// A connection is gone: what it had of cursors comes back at once.
    pub(crate) fn forget_members(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        let Some(rare) = self.conns.rare_of(conn) else { return };
        let mut numbers: Vec<u64> = rare.cursors.drain().map(|(_, number)| number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            self.leave_cursor(turn, number, |(his, _)| his == conn);
        }
    }

    fn leave_cursor(
        &mut self,
        turn: &mut Turn<'_>,
        number: u64,
        gone: impl Fn((ConnId, u32)) -> bool,
    ) {
        let clock = turn.shared.engine.clock_ms().max(1);
        let Some(group) = self.cursors.map.get_mut(&number) else { return };
        group.members.retain(|member| !gone((member.conn, member.number)));
        group.turn = 0;
        for offset in group.window.held_by(&gone) {
            group.window.release(offset, clock);
        }
        if group.members.is_empty() {
            group.forget_ahead();
        }
        self.changed(turn, number);
        self.cursor_due(turn, number);
    }

    /// What becomes of records that a connection has; whether it had them all.
    pub(crate) fn settle_records(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        tags: &[Tag],
        how: Settlement,
    ) -> bool {
        let clock = turn.shared.engine.clock_ms().max(1);
        let mut all = true;
        let mut touched: Vec<u64> = tags.iter().map(|tag| tag.source).collect();
        touched.dedup();
        for tag in tags {
            let Some(group) = self.cursors.map.get_mut(&tag.source) else { continue };
            if !group.window.may_settle(tag.place, conn, how == Settlement::Ack) {
                all = false;
                continue;
            }
            match how {
                Settlement::Ack => group.window.done(tag.place),
                Settlement::Reject => group.give_up(tag.place, model::record::Cause::Rejected),
                Settlement::Requeue => group.window.release(tag.place, clock),
                Settlement::RequeueAfter(ms) => {
                    group.window.release(tag.place, after(clock, ms));
                }
                Settlement::Unseen => {
                    group.window.unseen(tag.place);
                    group.window.release(tag.place, clock);
                }
                Settlement::Extend(ms) => group.window.extend(tag.place, after(clock, ms)),
            }
        }
        for number in touched {
            self.changed(turn, number);
            self.cursor_due(turn, number);
        }
        all
    }

    /// Records come back whose time has come, and are handed out.
    pub(crate) fn cursor_due(&mut self, turn: &mut Turn<'_>, number: u64) {
        let clock = turn.shared.engine.clock_ms();
        let Some(group) = self.cursors.map.get_mut(&number) else { return };
        if group.timer.is_some_and(|(at, _)| at <= turn.now.instant) {
            group.timer = None;
        }
        let mut any = false;
        while let Some(offset) = group.window.take_due(clock) {
            any = true;
            let limit = group.policy.max_deliveries;
            if limit.is_some_and(|limit| group.window.deliveries(offset) >= limit) {
                group.give_up(offset, model::record::Cause::DeliveryLimit);
                add(&turn.shared.counters.queue_delivery_limited, 1);
            } else {
                group.window.bring_back(offset);
            }
        }
        if any {
            self.changed(turn, number);
        }
        self.bury_soon(turn, number);
        self.hand_out_records(turn, number);
    }

    /// A log has new records.
    pub(crate) fn wake_cursors(&mut self, turn: &mut Turn<'_>, log: LogId) {
        let Some(numbers) = self.cursors.by_log.get(&log) else { return };
        for number in numbers.clone() {
            self.hand_out_records(turn, number);
        }
    }

    /// A connection takes deliveries again.
    pub(crate) fn open_members(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        let Some(rare) = self.conns.rare_of(conn) else { return };
        for number in rare.cursors.values().copied().collect::<Vec<_>>() {
            self.hand_out_records(turn, number);
        }
    }

    /// Hands records to members that have credit, in order.
    pub(crate) fn hand_out_records(&mut self, turn: &mut Turn<'_>, number: u64) {
        for _ in 0..HAND_MAX {
            let Some(group) = self.cursors.map.get_mut(&number) else { return };
            let Some(at) = group.next_member(&self.conns) else { return self.rest(turn, number) };
            let Member { conn, number: his, .. } = group.members[at];
            if conn.worker != turn.worker {
                // Two ways to one connection would overtake each other.
                turn.shared.mail.post(conn.worker, Completion(Step::Records(number)));
                return self.rest(turn, number);
            }
            let (offset, message) = match group.find(turn) {
                Found::Record(offset, message) => (offset, message),
                Found::Nothing => return self.rest(turn, number),
                Found::Later => break,
                Found::Unreadable => {
                    self.timer(turn, turn.now.instant + UNREADABLE, Due::Records(number));
                    return self.rest(turn, number);
                }
            };
            let until = group.deadline(turn.shared.engine.clock_ms());
            let before = group.window.give(offset, (conn, his), until);
            group.members[at].credit -= 1;
            group.turn = at + 1;
            turn.port.deliver(
                conn,
                Delivery {
                    message,
                    matched: Matched::One(his),
                    tag: Some(Tag { source: number, place: offset }),
                    redelivered: before > 0,
                    deliveries: Some(before),
                    last_value: false,
                },
            );
            add(&turn.shared.counters.deliveries, 1);
            self.changed(turn, number);
        }
        turn.shared.mail.post(turn.worker, Completion(Step::Records(number)));
        self.rest(turn, number);
    }

    /// Nothing more is handed out in this turn: sets the timer for what comes back first.
    fn rest(&mut self, turn: &Turn<'_>, number: u64) {
        let Some(group) = self.cursors.map.get_mut(&number) else { return };
        if group.ahead_bytes > AHEAD_BYTES {
            group.forget_ahead();
        }
        let Some(due) = group.window.next_due() else { return };
        let wait = due.saturating_sub(turn.shared.engine.clock_ms()).clamp(0, WAIT_MAX_MS);
        let at = turn.now.instant + Duration::from_millis(wait.unsigned_abs());
        let armed = group.timer;
        if armed.is_some_and(|(armed, _)| armed <= at) {
            return;
        }
        if let Some(armed) = armed {
            self.timers.cancel(armed);
        }
        let timer = self.timer(turn, at, Due::Records(number));
        if let Some(group) = self.cursors.map.get_mut(&number) {
            group.timer = Some(timer);
        }
    }

    /// After a start, what was in the hands of members comes back.
    pub(crate) fn await_records(&mut self, turn: &Turn<'_>) {
        for number in self.cursors.map.keys().copied().collect::<Vec<_>>() {
            self.rest(turn, number);
        }
    }

    /// Cursors do not wait for what went out of sight.
    pub(crate) fn trim_cursors(&mut self, turn: &Turn<'_>) {
        for (number, group) in &mut self.cursors.map {
            let first = turn.shared.engine.bounds(group.log).map_or(0, |bounds| bounds.first);
            if group.window.trim(first) || group.kept != group.window.next() {
                self.cursors.dirty.insert(*number);
            }
        }
    }

    /// The state of a cursor is to be written soon.
    pub(super) fn changed(&mut self, turn: &Turn<'_>, number: u64) {
        if self.cursors.has(number) {
            self.cursors.dirty.insert(number);
            self.flush_soon(turn);
        }
    }
}

impl Group {
    /// The next record: one that came back, else a new one.
    fn find(&mut self, turn: &Turn<'_>) -> Found {
        while let Some(offset) = self.window.returned() {
            match load_at(turn, self.log, offset, false) {
                Loaded::Here(message, _) => return Found::Record(offset, message),
                Loaded::Lost => self.window.done(offset),
                Loaded::Unreadable => return Found::Unreadable,
            }
        }
        if self.window.pending() >= self.policy.max_pending as usize {
            return Found::Nothing;
        }
        for _ in 0..READS_MAX {
            while let Some((offset, message)) = self.ahead.pop_front() {
                self.ahead_bytes = self.ahead_bytes.saturating_sub(message.record.size());
                if offset >= self.window.next() {
                    return Found::Record(offset, message);
                }
            }
            // Whatever else was read is not wanted.
            self.window.skip(self.read_to);
            match self.read_ahead(turn) {
                Ok(true) => {}
                Ok(false) => return Found::Nothing,
                Err(()) => return Found::Unreadable,
            }
        }
        Found::Later
    }

    /// Reads on in the log; whether there was something.
    fn read_ahead(&mut self, turn: &Turn<'_>) -> Result<bool, ()> {
        let from = self.window.next();
        let limits = ReadLimits { max_bytes: READ_BYTES, held: false };
        let batches = match turn.shared.engine.read(self.log, from, limits) {
            Ok(batches) => batches,
            Err(ReadError::OutOfRange { first, .. }) if first > from => {
                self.window.trim(first);
                self.read_to = first;
                return Ok(true);
            }
            Err(ReadError::OutOfRange { .. } | ReadError::NoLog) => return Ok(false),
            Err(ReadError::Unreadable(_)) => return Err(()),
        };
        for batch in &batches {
            for (offset, message) in crate::message::of_batch(batch, from) {
                let wanted = match (&self.policy.filter, message.subject()) {
                    (None, _) => true,
                    (Some(filter), Some(subject)) => filter.matches(subject),
                    (Some(_), None) => false,
                };
                if wanted && !message.record.is_expired(turn.now.unix_ms) {
                    self.ahead_bytes += message.record.size();
                    self.ahead.push_back((offset, message));
                }
            }
            self.read_to = self.read_to.max(batch.last + 1);
        }
        Ok(!batches.is_empty())
    }

    /// A record is not handed out any more: it is buried, or done with where that leads nowhere.
    fn give_up(&mut self, offset: u64, cause: model::record::Cause) {
        if self.policy.dead_letter.is_none() {
            return self.window.done(offset);
        }
        self.window.lay_out(offset);
        self.dead.push_back((offset, cause));
    }
}
