//! What a group cursor knows of its log: what was handed out, what came back, what comes next.
//!
//! Below `next`, whatever is not pending is done with. So the cursor's durable form needs no more
//! than the pending records: the ranges that are done are the gaps between them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use protocol::ConnId;
use storage::{CursorState, Pending};

/// A member of a group: its connection, and the number that the connection gave.
pub(super) type Holder = (ConnId, u32);

/// A record that was handed out and not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    deliveries: u32,
    /// When it comes back by itself, on the engine's clock; 0 = it does not.
    until_ms: i64,
    holder: Option<Holder>,
}

/// The records of one cursor.
#[derive(Debug, Default)]
pub(super) struct Window {
    next: u64,
    pending: BTreeMap<u64, Held>,
    /// Pending ones that may be handed out.
    back: BTreeSet<u64>,
    /// Pending ones that come back by themselves.
    due: BTreeSet<(i64, u64)>,
}

impl Window {
    /// A cursor that begins at `next`.
    pub(super) fn at(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// A cursor as it was kept. Its members are gone: what they had comes back at its deadline.
    pub(super) fn restored(state: &CursorState) -> Self {
        let done = state.done.last().map_or(0, |range| range.end);
        let pending = state.pending.last().map_or(0, |pending| pending.offset + 1);
        let mut window = Self::at(state.floor.max(done).max(pending));
        for Pending { offset, deliveries, deadline_ms } in state.pending.iter().copied() {
            // Without one it is due at once.
            let until_ms = deadline_ms.max(1);
            window.pending.insert(offset, Held { deliveries, until_ms, holder: None });
            window.due.insert((until_ms, offset));
        }
        window
    }

    /// The after-image that is kept.
    pub(super) fn state(&self, without: Option<u64>) -> CursorState {
        let pending: Vec<Pending> = self
            .pending
            .iter()
            .filter(|(offset, _)| Some(**offset) != without)
            .map(|(offset, held)| Pending {
                offset: *offset,
                deliveries: held.deliveries,
                deadline_ms: held.until_ms,
            })
            .collect();
        let floor = pending.first().map_or(self.next, |first| first.offset);
        let starts = pending.iter().map(|pending| pending.offset + 1);
        let ends = pending.iter().skip(1).map(|pending| pending.offset).chain([self.next]);
        let done: Vec<Range<u64>> = starts.zip(ends).map(|(a, b)| a..b).collect();
        CursorState { floor, done: done.into_iter().filter(|r| !r.is_empty()).collect(), pending }
    }

    /// The first record that was not handed out yet.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Records that are not settled.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The first one that came back.
    pub(super) fn returned(&self) -> Option<u64> {
        self.back.first().copied()
    }

    /// When the first one comes back by itself.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Records below `to` that were not handed out are not wanted.
    pub(super) fn skip(&mut self, to: u64) {
        self.next = self.next.max(to);
    }

    /// A record is handed out, new or again; how often it was before.
    pub(super) fn give(&mut self, offset: u64, holder: Holder, until_ms: i64) -> u32 {
        self.skip(offset + 1);
        self.back.remove(&offset);
        let held = Held { deliveries: 0, until_ms, holder: Some(holder) };
        let held = self.pending.entry(offset).or_insert(held);
        let before = held.deliveries;
        *held = Held { deliveries: before.saturating_add(1), until_ms, holder: Some(holder) };
        if until_ms > 0 {
            self.due.insert((until_ms, offset));
        }
        before
    }

    /// Whether a connection may say what becomes of a record: it has it, or nobody has and it only
    /// says that it is done with.
    pub(super) fn may_settle(&self, offset: u64, conn: ConnId, done: bool) -> bool {
        let Some(held) = self.pending.get(&offset) else { return false };
        let waits = || self.back.contains(&offset) || self.due.contains(&(held.until_ms, offset));
        match held.holder {
            Some((holder, _)) => holder == conn,
            None => done && waits(),
        }
    }

    /// How often a record was handed out.
    pub(super) fn deliveries(&self, offset: u64) -> u32 {
        self.pending.get(&offset).map_or(0, |held| held.deliveries)
    }

    /// A record is done with.
    pub(super) fn done(&mut self, offset: u64) {
        if let Some(held) = self.pending.remove(&offset) {
            self.due.remove(&(held.until_ms, offset));
            self.back.remove(&offset);
        }
    }

    /// One that was handed out counts as if it had not been.
    pub(super) fn unseen(&mut self, offset: u64) {
        if let Some(held) = self.pending.get_mut(&offset) {
            held.deliveries = held.deliveries.saturating_sub(1);
        }
    }

    /// The holder of a record keeps it until then.
    pub(super) fn extend(&mut self, offset: u64, until_ms: i64) {
        let Some(held) = self.pending.get_mut(&offset).filter(|held| held.holder.is_some()) else {
            return;
        };
        self.due.remove(&(held.until_ms, offset));
        held.until_ms = until_ms;
        self.due.insert((until_ms, offset));
    }

    /// Nobody has a record any more; it comes back at that time.
    pub(super) fn release(&mut self, offset: u64, until_ms: i64) {
        let Some(held) = self.pending.get_mut(&offset) else { return };
        self.due.remove(&(held.until_ms, offset));
        (held.holder, held.until_ms) = (None, until_ms);
        self.back.remove(&offset);
        self.due.insert((until_ms, offset));
    }

    /// A record stays pending, but nobody has it and it does not come back.
    pub(super) fn lay_out(&mut self, offset: u64) {
        let Some(held) = self.pending.get_mut(&offset) else { return };
        self.due.remove(&(held.until_ms, offset));
        held.holder = None;
        self.back.remove(&offset);
    }

    /// A record may be handed out again, at its place.
    pub(super) fn bring_back(&mut self, offset: u64) {
        if self.pending.contains_key(&offset) {
            self.back.insert(offset);
        }
    }

    /// The next one whose time has come; nobody has it any more.
    pub(super) fn take_due(&mut self, clock_ms: i64) -> Option<u64> {
        let (at, offset) = self.due.first().copied().filter(|(at, _)| *at <= clock_ms)?;
        self.due.remove(&(at, offset));
        if let Some(held) = self.pending.get_mut(&offset) {
            held.holder = None;
        }
        Some(offset)
    }

    /// What a member has.
    pub(super) fn held_by(&self, gone: impl Fn(Holder) -> bool) -> Vec<u64> {
        let his = self.pending.iter().filter(|(_, held)| held.holder.is_some_and(&gone));
        his.map(|(offset, _)| *offset).collect()
    }

    /// Records below `first` are out of sight: they are not waited for. Whether any was.
    pub(super) fn trim(&mut self, first: u64) -> bool {
        let gone: Vec<u64> = self.pending.range(..first).map(|(offset, _)| *offset).collect();
        let moved = !gone.is_empty() || self.next < first;
        for offset in gone {
            self.done(offset);
        }
        self.skip(first);
        moved
    }
}
