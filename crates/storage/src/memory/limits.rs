//! What a log keeps in sight: its policy, held against what a group does to it.
//!
//! A log that refuses is asked before each write, with the appends of all groups before it. The
//! other limits are put through once at the end of a group: one trim and one deletion for each
//! log, so that records still gather into batches.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

use bytes::Bytes;
use hashbrown::HashMap;
use model::subject::Subject;

use super::image::Image;
use super::plan::{Draft, Planner};
use super::state::{Place, State, refuses};
use crate::{CursorState, LogId, Offset, Policy, SubmitError};

/// What a group does to a log that has a policy.
#[derive(Debug)]
pub(super) struct Limits {
    policy: Policy,
    /// Records from here on count for the limit of their subject.
    counted_from: Offset,
    /// The newest records of the subjects that were appended to.
    newest: HashMap<Subject, VecDeque<Offset>>,
    /// Ids of messages that were appended.
    once: HashMap<u128, Offset>,
}

impl Limits {
    /// The limits of a log as it is, if it has any.
    pub(super) fn of<P: Place>(state: &State<P>, log: LogId) -> Option<Box<Self>> {
        let extra = state.existing(log)?.extra();
        let limits = || Self::new(extra.policy.clone(), extra.counted_from);
        (extra.policy != Policy::default()).then(|| Box::new(limits()))
    }

    /// The same log, as a later group begins with it.
    pub(super) fn later(&self) -> Box<Self> {
        Box::new(Self::new(self.policy.clone(), self.counted_from))
    }

    fn new(policy: Policy, counted_from: Offset) -> Self {
        Self { policy, counted_from, newest: HashMap::new(), once: HashMap::new() }
    }
}

/// What a group does to the records of a log.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Deleted: ascending, apart.
    deleted: Vec<Range<Offset>>,
    /// Appended: first and last record, and about how many bytes.
    appended: Vec<(Offset, Offset, u64)>,
}

impl Changes {
    /// Records were appended; with `apart` their bytes are told apart from those before.
    fn note_appended(&mut self, base: Offset, last: Offset, bytes: u64, apart: bool) {
        match self.appended.last_mut() {
            Some((_, end, sum)) if *end + 1 == base && !apart => {
                *end = last;
                *sum += bytes;
            }
            Some(_) | None => self.appended.push((base, last, bytes)),
        }
    }

    fn deletes(&self, offset: Offset) -> bool {
        let at = self.deleted.partition_point(|range| range.end <= offset);
        self.deleted.get(at).is_some_and(|range| range.contains(&offset))
    }

    fn note_deleted(&mut self, range: Range<Offset>) {
        let start = self.deleted.partition_point(|old| old.end < range.start);
        let end = self.deleted.partition_point(|old| old.start <= range.end);
        let touching = self.deleted.get(start..end).unwrap_or_default();
        let from = touching.first().map_or(range.start, |old| old.start.min(range.start));
        let to = touching.last().map_or(range.end, |old| old.end.max(range.end));
        self.deleted.splice(start..end, std::iter::once(from..to));
    }
}

impl<P: Place> Planner<'_, P> {
    /// The newest image of what a log keeps in sight.
    pub(super) fn set_policy(&mut self, log: LogId, policy: Policy) {
        self.flush(log);
        let draft = self.draft(log);
        let next = draft.row.next;
        let limits =
            draft.limits.get_or_insert_with(|| Box::new(Limits::new(Policy::default(), 0)));
        if limits.policy.max_per_subject != policy.max_per_subject {
            limits.counted_from = next;
            limits.newest.clear();
        }
        limits.policy = policy.clone();
        if policy.until_consumed {
            self.consume(log, &[]);
        }
        self.image(Image::Policy { log, policy });
    }

    /// A cursor moves, or goes.
    pub(super) fn note_cursor(&mut self, log: LogId, name: &Bytes, state: Option<&CursorState>) {
        let limits = self.draft(log).limits.as_ref();
        let consumes = limits.is_some_and(|limits| limits.policy.until_consumed);
        let before = if consumes { self.cursor(log, name) } else { None };
        self.draft(log).cursors.insert(name.clone(), state.cloned());
        let Some(state) = state.filter(|_| consumes) else { return };
        // What was appended before it may be consumed by it.
        self.flush(log);
        self.flush_referred(log);
        let known = before.map(|before| before.done).unwrap_or_default();
        let new = state.done.iter().filter(|range| !known.contains(range));
        let new: Vec<_> = new.cloned().collect();
        self.consume(log, &new);
    }

    /// Where a cursor will stand.
    fn cursor(&self, log: LogId, name: &Bytes) -> Option<CursorState> {
        match self.both(log).find_map(|draft| draft.cursors.get(name)) {
            Some(planned) => planned.clone(),
            None => self.state.cursors.get(&(name.clone(), log)).cloned(),
        }
    }

    /// The cursors on a log, those that groups before and this one have moved among them.
    fn readers(&self, log: LogId) -> BTreeSet<Bytes> {
        let stored = self.state.existing(log).map(|log| log.extra());
        let mut names = match stored.filter(|extra| extra.policy.until_consumed) {
            Some(extra) => extra.readers.clone(),
            // The policy is on its way: nobody has gathered them yet.
            None => {
                let cursors = self.state.cursors.keys().filter(|(_, of)| *of == log);
                cursors.map(|(name, _)| name.clone()).collect()
            }
        };
        let moved = self.both(log).flat_map(|draft| draft.cursors.keys());
        names.extend(moved.cloned());
        names
    }

    /// What goes out of sight because all cursors are done with it, as [`State::apply`] will have
    /// it. `new` is what one of them has just settled above its floor.
    fn consume(&mut self, log: LogId, new: &[Range<Offset>]) {
        let names = self.readers(log);
        let states: Vec<_> = names.iter().filter_map(|name| self.cursor(log, name)).collect();
        let Some(floor) = states.iter().map(|state| state.floor).min() else { return };
        let done = |at: &Offset| {
            let by = |state: &CursorState| {
                state.floor > *at || state.done.iter().any(|range| range.contains(at))
            };
            states.iter().all(by)
        };
        let gone = new.iter().flat_map(Clone::clone).filter(done);
        let gone: Vec<_> = gone.map(|at| at..at + 1).collect();
        self.note_delete(log, &gone);
        // In an image of its own: where the log ends may be known otherwise at a replay.
        self.trim(log, floor);
    }

    /// Records were appended.
    pub(super) fn note_append(
        &mut self,
        log: LogId,
        (base, last): (Offset, Offset),
        bytes: u64,
        subject: &Subject,
    ) {
        let (state, earlier) = (self.state, self.before);
        let draft = self.draft(log);
        let first = draft.row.first;
        let apart = draft.limits.as_ref().is_some_and(|limits| limits.policy.max_bytes.is_some());
        draft.changes.note_appended(base, last, bytes, apart);
        let changes = &draft.changes;
        let Some(limits) = &mut draft.limits else { return };
        if limits.policy.max_per_subject.is_none() {
            return;
        }
        let earlier = earlier.and_then(|earlier| earlier.logs.get(&log));
        let stored = state.existing(log);
        let mut newest = match limits.newest.remove(subject) {
            Some(newest) => newest,
            None => {
                let before =
                    earlier.and_then(|earlier| earlier.limits.as_ref()?.newest.get(subject));
                let before = before.cloned();
                let stored = || Some(stored?.newest(subject));
                before.or_else(stored).unwrap_or_default()
            }
        };
        let hidden = stored.map(|log| log.hidden(false)).unwrap_or_default();
        newest.retain(|offset| {
            let counts = *offset >= limits.counted_from.max(first) && !hidden.is_deleted(*offset);
            let before = earlier.is_some_and(|earlier| earlier.changes.deletes(*offset));
            counts && !changes.deletes(*offset) && !before
        });
        newest.extend(base..=last);
        limits.newest.insert(subject.clone(), newest);
    }

    pub(super) fn note_delete(&mut self, log: LogId, ranges: &[Range<Offset>]) {
        let draft = self.draft(log);
        let next = draft.row.next;
        for range in ranges {
            let range = range.start..range.end.min(next);
            if !range.is_empty() {
                draft.changes.note_deleted(range);
            }
        }
    }

    pub(super) fn note_once(&mut self, log: LogId, id: u128, offset: Offset) {
        if let Some(limits) = &mut self.draft(log).limits {
            limits.once.insert(id, offset);
        }
    }

    /// Whether a log remembers the ids of messages.
    pub(super) fn remembers(&mut self, log: LogId) -> bool {
        self.draft(log).limits.as_ref().is_some_and(|limits| limits.policy.once_ms > 0)
    }

    /// Where a message with this id was appended before.
    pub(super) fn seen(&self, log: LogId, id: u128) -> Option<Offset> {
        if let Some(offset) = self.limits(log).find_map(|limits| limits.once.get(&id)) {
            return Some(*offset);
        }
        let extra = self.state.existing(log)?.extra();
        let oldest = self.clock_ms().saturating_sub_unsigned(extra.policy.once_ms);
        let (offset, at_ms) = extra.once.seen.get(&id)?;
        (*at_ms >= oldest).then_some(*offset)
    }

    /// Whether a log refuses what is beyond its limits.
    pub(super) fn may_refuse(&self, log: LogId) -> bool {
        let policy = match self.drafted(log) {
            Some(draft) => draft.limits.as_ref().map(|limits| &limits.policy),
            None => self.state.existing(log).map(|log| &log.extra().policy),
        };
        policy.is_some_and(refuses)
    }

    /// Whether a log that refuses what is beyond its limits takes so many records and bytes more.
    pub(super) fn check_room(
        &self,
        log: LogId,
        (records, bytes): (u64, u64),
    ) -> Result<(), SubmitError> {
        let policy = self.limits(log).next().map(|limits| &limits.policy);
        let stored = || self.state.existing(log).map(|log| &log.extra().policy);
        let Some(policy) = policy.or_else(stored).filter(|policy| refuses(policy)) else {
            return Ok(());
        };
        let crowded = policy.max_records.is_some_and(|max| self.records(log) + records > max);
        let heavy = policy.max_bytes.is_some_and(|max| self.bytes(log) + bytes > max);
        if crowded || heavy { Err(SubmitError::Limit(log)) } else { Ok(()) }
    }

    /// What this group and the one before it do to a log that has a policy; this one first.
    fn limits(&self, log: LogId) -> impl Iterator<Item = &Limits> {
        self.both(log).filter_map(|draft| draft.limits.as_deref())
    }

    /// A log as this group leaves it and as the one before it does.
    fn both(&self, log: LogId) -> impl Iterator<Item = &Draft> {
        let both = [Some(&self.drafts), self.before].into_iter().flatten();
        both.filter_map(move |drafts| drafts.logs.get(&log))
    }

    /// What both delete.
    fn deleted(&self, log: LogId) -> Vec<Range<Offset>> {
        let mut all = Changes::default();
        for draft in self.both(log) {
            draft.changes.deleted.iter().cloned().for_each(|range| all.note_deleted(range));
        }
        all.deleted
    }

    /// What both append.
    fn appended(&self, log: LogId) -> impl Iterator<Item = (Offset, Offset, u64)> {
        self.both(log).flat_map(|draft| draft.changes.appended.iter().copied())
    }

    /// The first visible offset, the end of what is applied, and the next offset.
    fn marks(&self, log: LogId) -> (Offset, Offset, Offset) {
        let applied = self.state.row(log).unwrap_or(crate::memory::image::LogRow::none(log));
        let row = self.drafted(log).map_or(applied, |draft| draft.row);
        (row.first, applied.next, row.next)
    }

    /// Visible records, with what all groups before will have done.
    fn records(&self, id: LogId) -> u64 {
        let (first, applied, next) = self.marks(id);
        let stored = self.state.existing(id).map_or(0, |log| {
            let trimmed = log.row.first..first.min(applied);
            log.visible - if trimmed.is_empty() { 0 } else { log.live_in(&trimmed) }
        });
        let planned = self.planned(id, &(applied.max(first)..next));
        let deleted = self.deleted(id);
        let deleted = deleted.iter().map(|range| self.live(id, range.start.max(first)..range.end));
        let deleted = deleted.sum();
        (stored + planned).saturating_sub(deleted)
    }

    /// Records of a range that are visible but for what is planned to be deleted.
    fn live(&self, id: LogId, range: Range<Offset>) -> u64 {
        let (_, applied, next) = self.marks(id);
        let stored = range.start..range.end.min(applied);
        let planned = range.start.max(applied)..range.end.min(next);
        let stored = match self.state.existing(id) {
            Some(log) if !stored.is_empty() => log.live_in(&stored),
            Some(_) | None => 0,
        };
        stored + self.planned(id, &planned)
    }

    /// Records of a range that groups before and this one append.
    fn planned(&self, id: LogId, range: &Range<Offset>) -> u64 {
        let parts = self
            .appended(id)
            .map(|(base, last, _)| (last + 1).min(range.end).saturating_sub(base.max(range.start)));
        parts.sum()
    }

    /// Visible bytes, about, with what all groups before will have done.
    fn bytes(&self, id: LogId) -> u64 {
        let (first, applied, _) = self.marks(id);
        let stored = self.state.existing(id).map_or(0, |log| {
            log.visible_bytes.saturating_sub(log.bytes_between(log.row.first, first))
        });
        let planned =
            self.appended(id).filter(|(base, last, _)| *base >= applied && *last >= first);
        stored + planned.map(|(.., bytes)| bytes).sum::<u64>()
    }

    /// Puts out of sight what is beyond the limits of the logs that this group has changed.
    pub(super) fn enforce_limits(&mut self) {
        let limited = self.drafts.logs.iter().filter(|(_, draft)| draft.limits.is_some());
        let mut logs: Vec<_> = limited.map(|(log, _)| *log).collect();
        logs.sort_unstable();
        for log in logs {
            self.enforce_per_subject(log);
            let (policy, first) = match self.drafts.logs.get(&log) {
                Some(draft) if !draft.row.dropped => match &draft.limits {
                    Some(limits) => (limits.policy.clone(), draft.row.first),
                    None => continue,
                },
                Some(_) | None => continue,
            };
            let mut to = first;
            if let Some(max) = policy.max_records {
                let excess = self.records(log).saturating_sub(max);
                to = to.max(self.behind(log, excess));
            }
            if let Some(max) = policy.max_bytes {
                let excess = self.bytes(log).saturating_sub(max);
                to = to.max(self.behind_bytes(log, excess));
            }
            if to > first {
                self.trim(log, to);
            }
        }
    }

    fn enforce_per_subject(&mut self, log: LogId) {
        let Some(limits) = self.drafts.logs.get_mut(&log).and_then(|d| d.limits.as_mut()) else {
            return;
        };
        let Some(max) = limits.policy.max_per_subject else { return };
        let mut gone = Vec::new();
        for newest in limits.newest.values_mut() {
            while newest.len() > max as usize {
                gone.extend(newest.pop_front());
            }
        }
        gone.sort_unstable();
        let mut ranges: Vec<Range<Offset>> = Vec::new();
        for offset in gone {
            match ranges.last_mut() {
                Some(range) if range.end == offset => range.end += 1,
                Some(_) | None => ranges.push(offset..offset + 1),
            }
        }
        if !ranges.is_empty() {
            self.note_delete(log, &ranges);
            self.image(Image::Delete { log, ranges });
        }
    }

    /// The offset behind the first `excess` visible records.
    fn behind(&self, id: LogId, mut excess: u64) -> Offset {
        let (first, applied, next) = self.marks(id);
        if excess == 0 {
            return first;
        }
        let deleted = self.deleted(id);
        // Between two planned deletions the state knows best.
        let mut from = first;
        let ends = deleted.iter().cloned().chain(std::iter::once(next..next));
        for gap in ends {
            let part = from..gap.start.max(from);
            let live = if part.is_empty() { 0 } else { self.live(id, part.clone()) };
            if live < excess {
                excess -= live;
                from = from.max(gap.end);
                continue;
            }
            let stored = part.start..part.end.min(applied);
            if let Some(log) = self.state.existing(id)
                && !stored.is_empty()
            {
                let here = log.live_in(&stored);
                if here >= excess {
                    return log.behind(stored.start, excess);
                }
                excess -= here;
            }
            let rest = part.start.max(applied)..part.end;
            let mut appended: Vec<_> = self.appended(id).collect();
            appended.sort_unstable();
            for (base, last, _) in appended {
                let (base, end) = (base.max(rest.start), (last + 1).min(rest.end));
                let here = end.saturating_sub(base);
                if here >= excess {
                    return base + excess;
                }
                excess -= here;
            }
        }
        next
    }

    /// The first offset such that about `excess` bytes lie before it, never behind the newest
    /// batch.
    fn behind_bytes(&self, id: LogId, mut excess: u64) -> Offset {
        let (first, applied, next) = self.marks(id);
        if excess == 0 {
            return first;
        }
        let mut planned: Vec<_> =
            self.appended(id).filter(|(base, ..)| *base >= applied && *base >= first).collect();
        planned.sort_unstable();
        if let Some(log) = self.state.existing(id)
            && first < applied
        {
            let stored = log.visible_bytes.saturating_sub(log.bytes_between(log.row.first, first));
            if stored > excess || planned.is_empty() {
                let newest = if planned.is_empty() { log.newest_base() } else { applied };
                return log.behind_bytes(first, excess).min(newest);
            }
            excess -= stored;
        }
        let mut to = applied.max(first);
        for (base, last, bytes) in planned {
            if excess == 0 || last + 1 >= next {
                return to.max(base);
            }
            excess = excess.saturating_sub(bytes);
            to = last + 1;
        }
        to
    }
}
