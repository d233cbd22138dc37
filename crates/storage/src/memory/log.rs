//! One log in the index: its batches, what of them is visible, and what is held.
//!
//! ```text
//!  offsets    |--- hidden, held ---|first --- visible --- next|lease
//!             |-- runs: resting files --|-- fresh: write-ahead log --|
//!  a run or batch stays in the index while any of this is true:
//!     a record of it is visible     a queue refers to one     a cursor's floor is at or below it
//! ```
//!
//! Deleted records are a set beside the batches; offsets between batches were never records.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use model::subject::Subject;
use roaring::RoaringTreemap;

use super::fresh::Batch;
use super::held::{Held, Seen};
use super::image::{BatchImage, LogRow, Window};
use super::state::Place;
use super::subjects::SubjectTable;
use crate::{Bounds, LogId, Mode, Offset, Policy, Subjects};

/// The most producers that a log remembers; beyond, those that wrote longest ago are forgotten.
const PRODUCERS_MAX: usize = 4096;
/// The same while all logs together remember too many.
const PRODUCERS_CROWDED: usize = 64;

/// What a log has in one resting file: batches from `base` to `last`, without a gap between those
/// that are visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Offset of the first record.
    pub base: Offset,
    /// Offset of the last record.
    pub last: Offset,
    /// The file.
    pub file: u64,
    /// Where the run's index stands in it.
    pub section: (u64, u32),
    /// Bytes of its batches.
    pub bytes: u32,
    /// The highest timestamp.
    pub max_timestamp_ms: i64,
    /// Engine clock of the newest append.
    pub appended_ms: i64,
}

impl Run {
    /// About how many of its bytes lie below an offset.
    fn bytes_below(&self, offset: Offset) -> u64 {
        let span = u128::from(self.last - self.base) + 1;
        let below = u128::from(offset.clamp(self.base, self.last.saturating_add(1)) - self.base);
        u64::try_from(u128::from(self.bytes) * below / span).unwrap_or(u64::MAX)
    }
}

/// What somebody who asks for a batch finds.
#[derive(Clone, Debug)]
pub struct Found<P> {
    /// Offset of its first record.
    pub base: Offset,
    /// Offset of its last record.
    pub last: Offset,
    /// The highest timestamp.
    pub max_timestamp_ms: i64,
    /// Where its bytes are.
    pub place: P,
    /// The subjects of its records.
    pub subjects: Subjects,
    /// Which records must not be shown.
    pub hidden: Hidden,
}

/// Which records of a log must not be shown.
#[derive(Clone, Debug, Default)]
pub struct Hidden {
    /// Those below.
    pub first: Offset,
    deleted: Option<Arc<RoaringTreemap>>,
}

impl Hidden {
    /// Whether a record was deleted.
    pub fn is_deleted(&self, offset: Offset) -> bool {
        self.deleted.as_ref().is_some_and(|deleted| deleted.contains(offset))
    }

    /// Whether a record must not be shown.
    pub fn hides(&self, offset: Offset) -> bool {
        offset < self.first || self.is_deleted(offset)
    }

    /// Whether a record of these was deleted.
    pub fn any_deleted(&self, base: Offset, last: Offset) -> bool {
        self.deleted.as_ref().is_some_and(|deleted| {
            let mut from = deleted.iter();
            from.advance_to(base);
            from.next().is_some_and(|next| next <= last)
        })
    }
}

#[derive(Debug)]
pub(super) struct Log<P> {
    pub(super) row: Row,
    pub(super) held: Held<P>,
    pub(super) subjects: SubjectTable,
    /// Visible records.
    pub(super) visible: u64,
    pub(super) visible_bytes: u64,
    /// Bytes of all batches in the index.
    pub(super) bytes: u64,
    extra: Option<Box<Extra>>,
}

/// A [`LogRow`] and what is known of it, without a byte between.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) log: LogId,
    pub(super) first: Offset,
    pub(super) next: Offset,
    pub(super) lease: Offset,
    pub(super) epoch: i32,
    pub(super) mode: Mode,
    pub(super) dropped: bool,
    pub(super) known: Known,
    /// The row of the log is to be written.
    pub(super) dirty: bool,
}

/// What is known of a log's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Only parts of the log were seen in a replay.
    InPart,
    /// All.
    Whole,
    /// All, but the log went on at the end of a lease, and no image tells of it yet.
    Leapt,
}

impl Row {
    fn of(row: &LogRow, known: Known) -> Self {
        let LogRow { log, mode, first, next, lease, epoch, dropped } = *row;
        Self { log, first, next, lease, epoch, mode, dropped, known, dirty: false }
    }
}

/// What few logs have.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// Unsettled references, if it is a queue.
    pub(super) refs: BTreeMap<u64, Ref>,
    /// Its records that queues refer to, with the number of references.
    referred: BTreeMap<Offset, u32>,
    pub(super) producers: HashMap<i64, Window>,
    /// Floors of the cursors on it, with their number.
    floors: BTreeMap<Offset, u32>,
    deleted: Option<Arc<RoaringTreemap>>,
    /// No record below is visible.
    shown_from: Offset,
    pub(super) policy: Policy,
    /// Records from here on count for the limit of their subject.
    pub(super) counted_from: Offset,
    pub(super) once: Once,
    /// Names of the cursors on it, while the log keeps records until they are consumed.
    pub(super) readers: BTreeSet<bytes::Bytes>,
}

/// A reference of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ref {
    /// The log of the record.
    pub log: LogId,
    /// The record.
    pub offset: Offset,
    /// Its lane.
    pub priority: u8,
    /// How often it was handed out.
    pub deliveries: u32,
    /// Not to be handed out before.
    pub not_before_ms: i64,
}

/// Ids of messages that a log remembers.
#[derive(Debug, Default)]
pub(super) struct Once {
    pub(super) seen: HashMap<u128, (Offset, i64)>,
    order: VecDeque<(i64, u128)>,
}

/// The most ids that a log remembers; beyond, the oldest are forgotten.
const ONCE_MAX: usize = 1 << 20;
/// The same while all logs together remember too many.
const ONCE_CROWDED: usize = 1024;

impl Once {
    /// Takes in an id, and returns those that are too old.
    /// While there are too many in all logs, more go than come.
    pub(super) fn push(
        &mut self,
        (id, offset): (u128, Offset),
        at_ms: i64,
        for_ms: u64,
        crowded: bool,
    ) -> Vec<u128> {
        self.seen.insert(id, (offset, at_ms));
        self.order.push_back((at_ms, id));
        let oldest = at_ms.saturating_sub_unsigned(for_ms);
        let mut gone = Vec::new();
        while let Some((at, old)) = self.order.front().copied()
            && (at < oldest
                || self.order.len() > ONCE_MAX
                || (crowded && gone.len() < 2 && self.order.len() > ONCE_CROWDED))
        {
            self.order.pop_front();
            if self.seen.get(&old).is_some_and(|(_, seen)| *seen == at) {
                self.seen.remove(&old);
                gone.push(old);
            }
        }
        gone
    }

    /// Brings the ids into the order of their times, after they were loaded in another.
    pub(super) fn sort(&mut self) {
        self.order.make_contiguous().sort_unstable();
    }
}

static NO_EXTRA: std::sync::LazyLock<Extra> = std::sync::LazyLock::new(Extra::default);

/// A stretch of offsets that are records or were.
#[derive(Clone, Copy, Debug)]
struct Span {
    base: Offset,
    last: Offset,
}

impl<P: Place> Log<P> {
    pub(super) fn new(row: LogRow) -> Self {
        Self {
            row: Row::of(&row, Known::InPart),
            held: Held::default(),
            subjects: SubjectTable::default(),
            visible: 0,
            visible_bytes: 0,
            bytes: 0,
            extra: None,
        }
    }

    /// The log without its records.
    pub(super) fn row(&self) -> LogRow {
        let Row { log, first, next, lease, epoch, mode, dropped, .. } = self.row;
        LogRow { log, mode, first, next, lease, epoch, dropped }
    }

    /// All of it is known now.
    pub(super) fn set_row(&mut self, row: &LogRow) {
        self.row = Row { dirty: self.row.dirty, ..Row::of(row, Known::Whole) };
    }

    /// What of it rests, in order.
    pub(super) fn runs(&self) -> impl Iterator<Item = Run> {
        self.held.runs_from(0)
    }

    pub(super) fn exists(&self) -> bool {
        self.row.known != Known::InPart && !self.row.dropped
    }

    pub(super) fn extra(&self) -> &Extra {
        self.extra.as_deref().unwrap_or(&NO_EXTRA)
    }

    pub(super) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Nothing of it is in the index any more.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn hidden(&self, held: bool) -> Hidden {
        if held {
            return Hidden::default();
        }
        Hidden { first: self.row.first, deleted: self.extra().deleted.clone() }
    }

    /// Where records are, in order, from the stretch on that holds `from` or follows it.
    fn spans(&self, from: Offset) -> impl Iterator<Item = Span> {
        let runs = self.held.runs_from(from).map(|run| Span { base: run.base, last: run.last });
        let fresh = self.held.from(from);
        runs.chain(fresh.map(|batch| Span { base: batch.base, last: batch.last }))
    }

    /// Deleted records among `base..=last`.
    fn deleted_in(&self, base: Offset, last: Offset) -> u64 {
        let Some(deleted) = &self.extra().deleted else { return 0 };
        if base == last {
            return u64::from(deleted.contains(base));
        }
        let below = base.checked_sub(1).map_or(0, |below| deleted.rank(below));
        deleted.rank(last) - below
    }

    /// Records in a range that are not deleted.
    pub(super) fn live_in(&self, range: &Range<Offset>) -> u64 {
        let spans = self.spans(range.start).take_while(|span| span.base < range.end);
        spans
            .map(|span| {
                let base = span.base.max(range.start);
                let last = span.last.min(range.end - 1);
                last - base + 1 - self.deleted_in(base, last)
            })
            .sum()
    }

    /// The offset behind the first `count` visible records from `from` on.
    pub(super) fn behind(&self, from: Offset, mut count: u64) -> Offset {
        for span in self.spans(from) {
            let base = span.base.max(from);
            let live = span.last - base + 1 - self.deleted_in(base, span.last);
            if live < count {
                count -= live;
                continue;
            }
            if live == span.last - base + 1 {
                return base + count;
            }
            let hidden = self.hidden(false);
            let mut records = (base..=span.last).filter(|offset| !hidden.is_deleted(*offset));
            let nth = usize::try_from(count.saturating_sub(1)).unwrap_or(usize::MAX);
            return records.nth(nth).map_or(span.last + 1, |offset| offset + 1);
        }
        self.row.next
    }

    /// Visible bytes between two offsets, about.
    pub(super) fn bytes_between(&self, from: Offset, to: Offset) -> u64 {
        if to <= from {
            return 0;
        }
        let mut bytes = 0;
        for run in self.held.runs_from(from).take_while(|run| run.base < to) {
            bytes += run.bytes_below(to) - run.bytes_below(from);
        }
        let gone = self.held.from(from).take_while(|batch| batch.last < to);
        bytes + gone.filter(|batch| !batch.hidden).map(|batch| batch.place.bytes()).sum::<u64>()
    }

    /// The first record of the newest batch, which is the least that stays.
    pub(super) fn newest_base(&self) -> Offset {
        let newest = self.held.below(Offset::MAX).next_back().map(|batch| batch.base);
        newest.or_else(|| self.held.last_run().map(|run| run.last)).unwrap_or(self.row.first)
    }

    /// The newest visible records of a subject that the log knows by heart.
    pub(super) fn newest(&self, subject: &Subject) -> VecDeque<Offset> {
        let Some(slot) = self.subjects.find(subject).and_then(|slot| self.subjects.get(slot))
        else {
            return VecDeque::new();
        };
        let from = self.extra().counted_from;
        match &slot.newest {
            Some(newest) => newest.iter().copied().filter(|offset| *offset >= from).collect(),
            None => slot.last.into_iter().filter(|offset| *offset >= from).collect(),
        }
    }

    /// The first offset such that about `excess` bytes or a little more lie between it and `first`.
    pub(super) fn behind_bytes(&self, first: Offset, mut excess: u64) -> Offset {
        for run in self.held.runs_from(first) {
            let below = run.bytes_below(first);
            let bytes = u64::from(run.bytes) - below;
            if bytes > excess {
                let share = u128::from(excess) * (u128::from(run.last - run.base) + 1);
                let records = share.div_ceil(u128::from(run.bytes.max(1)));
                let records = u64::try_from(records).unwrap_or(u64::MAX);
                return first.max(run.base).saturating_add(records).min(run.last + 1);
            }
            excess -= bytes;
        }
        for batch in self.held.from(first).filter(|batch| !batch.hidden) {
            if excess == 0 {
                return batch.base;
            }
            excess = excess.saturating_sub(batch.place.bytes());
            if excess == 0 {
                return batch.last + 1;
            }
        }
        self.row.next
    }

    /// Takes in a batch. With `known` its effects on counts and subjects are in the state already.
    /// False when the log has it.
    pub(super) fn insert(&mut self, image: &BatchImage, place: P, known: bool) -> bool {
        if self.held.last_run().is_some_and(|run| run.last >= image.base) {
            return false;
        }
        let bytes = place.bytes();
        let times = (image.max_timestamp_ms, image.appended_ms);
        let column = self.subjects.intern(&image.subjects, image.count());
        let mut batch = Batch::new((image.base, image.last), times, column, place);
        batch.hidden = known && self.deleted_in(image.base, image.last) > image.last - image.base;
        let column = batch.column.clone();
        if !self.held.push(batch) {
            self.subjects.release(&column, image.last - image.base + 1);
            return false;
        }
        if known {
            return true;
        }
        self.row.next = self.row.next.max(image.last.saturating_add(1));
        self.bytes += bytes;
        if image.last >= self.row.first {
            self.visible_bytes += bytes;
            let base = image.base.max(self.row.first);
            self.visible += image.last - base + 1;
        }
        true
    }

    /// Tells the subjects of a batch that they have new records; returns the slots whose rows
    /// were clean before.
    pub(super) fn show(&mut self, image: &BatchImage) -> Vec<u32> {
        let limit = self.extra().policy.max_per_subject.unwrap_or(0);
        let mut dirty = Vec::new();
        let Some(batch) = self.held.at(image.base) else { return dirty };
        let column = batch.column.into_owned();
        let from = image.base.max(self.row.first);
        let hidden = if limit > 1 { self.hidden(false) } else { Hidden::default() };
        match &column {
            super::subjects::Column::One(slot) if limit <= 1 => {
                // Only the ends matter.
                let ends = if from <= image.last { [from, image.last] } else { return dirty };
                for offset in ends {
                    if self.subjects.show(*slot, offset, limit, &hidden) {
                        dirty.push(*slot);
                    }
                }
            }
            super::subjects::Column::One(_) | super::subjects::Column::Each(_) => {
                for offset in from..=image.last {
                    let index = usize::try_from(offset - image.base).unwrap_or(usize::MAX);
                    let slot = column.of(index);
                    if self.subjects.show(slot, offset, limit, &hidden) {
                        dirty.push(slot);
                    }
                }
            }
        }
        dirty
    }

    /// Puts records out of sight; returns the stretches that may have to go.
    pub(super) fn delete(&mut self, range: &Range<Offset>) -> Vec<(Offset, Offset)> {
        let range = range.start.max(self.row.first)..range.end.min(self.row.next);
        if range.is_empty() {
            return Vec::new();
        }
        let mut touched = Vec::new();
        let spans: Vec<_> =
            self.spans(range.start).take_while(|span| span.base < range.end).collect();
        for span in spans {
            let (base, last) = (span.base.max(range.start), span.last.min(range.end - 1));
            let deleted = self.extra_mut().deleted.get_or_insert_default();
            let new = Arc::make_mut(deleted).insert_range(base..=last);
            self.visible = self.visible.saturating_sub(new);
            let all = self.deleted_in(span.base, span.last) == span.last - span.base + 1;
            if all && let Some(place) = self.held.hide(span.base) {
                self.visible_bytes = self.visible_bytes.saturating_sub(place.bytes());
            }
            touched.push((span.base, span.last));
        }
        if let Some(deleted) = &self.extra().deleted {
            let mut from = self.extra().shown_from.max(self.row.first);
            while deleted.contains(from) {
                from += 1;
            }
            self.extra_mut().shown_from = from;
        }
        touched
    }

    /// Moves the first offset up; returns the range of batches that may have to go.
    pub(super) fn trim(&mut self, first: Offset) -> Option<(Offset, Offset)> {
        let before = self.row.first;
        if first <= before {
            return None;
        }
        self.visible = self.visible.saturating_sub(self.live_in(&(before..first)));
        let bytes = self.bytes_between(before, first);
        self.visible_bytes = self.visible_bytes.saturating_sub(bytes);
        self.row.first = first;
        if let Some(extra) = &mut self.extra
            && let Some(deleted) = &mut extra.deleted
        {
            let deleted = Arc::make_mut(deleted);
            deleted.remove_range(..first);
            if deleted.is_empty() {
                extra.deleted = None;
            }
        }
        Some((before, first))
    }

    /// Whether anybody needs a record of `base..=last`.
    fn is_needed(&self, base: Offset, last: Offset) -> bool {
        let from = base.max(self.row.first);
        let visible =
            !self.row.dropped && last >= from && self.deleted_in(from, last) <= last - from;
        let awaited = || {
            let lowest = self.extra().floors.first_key_value();
            lowest.is_some_and(|(floor, _)| *floor <= last)
        };
        visible || awaited() || self.extra().referred.range(base..=last).next().is_some()
    }

    /// Whether anybody needs this record.
    pub(super) fn is_record_needed(&self, offset: Offset) -> bool {
        self.is_needed(offset, offset)
    }

    /// Takes batches and runs of a range out of the index that nobody needs; returns the files of
    /// the runs.
    pub(super) fn free(&mut self, (from, to): (Offset, Offset)) -> Vec<Run> {
        let batches = self.held.from(from).take_while(|batch| batch.base < to);
        let gone: Vec<_> = batches
            .filter(|batch| !self.is_needed(batch.base, batch.last))
            .map(|batch| (batch.base, batch.last))
            .collect();
        for (base, last) in gone {
            if let Some((place, column)) = self.held.remove(base) {
                self.bytes = self.bytes.saturating_sub(place.bytes());
                self.subjects.release(&column, last - base + 1);
            }
        }
        let runs = self.held.runs_from(from).take_while(|run| run.base < to);
        let gone: Vec<_> = runs.filter(|run| !self.is_needed(run.base, run.last)).collect();
        if !gone.is_empty() {
            let bytes: u64 = gone.iter().map(|run| u64::from(run.bytes)).sum();
            self.bytes = self.bytes.saturating_sub(bytes);
            self.held.remove_runs(|run| gone.iter().any(|gone| gone.base == run.base));
        }
        gone
    }

    /// A queue refers to a record.
    pub(super) fn refer(&mut self, offset: Offset) {
        *self.extra_mut().referred.entry(offset).or_default() += 1;
    }

    /// A reference to a record is gone; returns whether it was the last.
    pub(super) fn unrefer(&mut self, offset: Offset) -> bool {
        let Some(extra) = &mut self.extra else { return false };
        let Some(count) = extra.referred.get_mut(&offset) else { return false };
        *count -= 1;
        if *count == 0 {
            extra.referred.remove(&offset);
            return true;
        }
        false
    }

    /// Records in a range that queues refer to.
    pub(super) fn referred(&self, base: Offset, last: Offset) -> impl Iterator<Item = Offset> {
        self.extra().referred.range(base..=last).map(|(offset, _)| *offset)
    }

    /// A cursor moved; returns the range of batches that it was the last to hold.
    pub(super) fn move_floor(
        &mut self,
        before: Option<Offset>,
        after: Option<Offset>,
    ) -> Option<(Offset, Offset)> {
        let floors = &mut self.extra_mut().floors;
        let lowest = |floors: &BTreeMap<Offset, u32>| floors.first_key_value().map(|(f, _)| *f);
        let held_from = lowest(floors);
        if let Some(after) = after {
            *floors.entry(after).or_default() += 1;
        }
        if let Some(before) = before
            && let Some(count) = floors.get_mut(&before)
        {
            *count -= 1;
            if *count == 0 {
                floors.remove(&before);
            }
        }
        let held_from = held_from?;
        let now = lowest(floors).unwrap_or(Offset::MAX);
        (now > held_from).then_some((held_from, now))
    }

    /// The lowest floor of the cursors on it.
    pub(super) fn floor(&self) -> Option<Offset> {
        self.extra().floors.first_key_value().map(|(floor, _)| *floor)
    }

    /// No cursor holds anything any more.
    pub(super) fn forget_floors(&mut self) {
        if let Some(extra) = &mut self.extra {
            extra.floors.clear();
        }
    }

    /// The window of a producer, to be changed; made if it is new. Says which were forgotten.
    pub(super) fn producer(&mut self, id: i64, crowded: bool) -> (&mut Window, Vec<i64>) {
        let producers = &mut self.extra_mut().producers;
        let mut gone = Vec::new();
        let most = if crowded { PRODUCERS_CROWDED } else { PRODUCERS_MAX };
        if producers.len() >= most && !producers.contains_key(&id) {
            let newest = |window: &Window| window.batches.back().map_or(0, |batch| batch.base);
            let mut all: Vec<_> = producers.values().map(newest).collect();
            all.sort_unstable();
            let quarter = all.len().saturating_sub(most - most / 4);
            let limit = all.get(quarter).copied().unwrap_or_default();
            producers.retain(|id, window| {
                let kept = newest(window) > limit;
                if !kept {
                    gone.push(*id);
                }
                kept
            });
        }
        (producers.entry(id).or_default(), gone)
    }

    pub(super) fn bounds(&self) -> Bounds {
        let end = self.row.next;
        let from = self.extra().shown_from.max(self.row.first);
        let mut first = end;
        for span in self.spans(from) {
            let base = span.base.max(from);
            if self.deleted_in(base, span.last) > span.last - base {
                continue;
            }
            let hidden = self.hidden(false);
            first = (base..=span.last).find(|at| !hidden.is_deleted(*at)).unwrap_or(end);
            break;
        }
        let held_bytes = self.bytes.saturating_sub(self.visible_bytes);
        Bounds { first, end, records: self.visible, bytes: self.visible_bytes, held_bytes }
    }

    /// The run that holds `offset`, or the first one behind it.
    pub(super) fn run_from(&self, offset: Offset) -> Option<Run> {
        self.held.runs_from(offset).next()
    }

    /// Takes a run out whose records are somewhere else from now on; false when it is gone.
    pub(super) fn unrest(&mut self, run: &Run) -> bool {
        let was_there = self.held.remove_runs(|old| (old.base, old.file) == (run.base, run.file));
        if was_there {
            let visible = u64::from(run.bytes) - run.bytes_below(self.row.first);
            self.bytes = self.bytes.saturating_sub(run.bytes.into());
            self.visible_bytes = self.visible_bytes.saturating_sub(visible);
        }
        was_there
    }

    /// Puts a run in the place of the batches of the write-ahead log that it covers. What they
    /// counted for is now counted for by the run.
    pub(super) fn rest(&mut self, run: Run) {
        let batches = self.held.from(run.base).take_while(|batch| batch.base <= run.last);
        let gone: Vec<_> = batches.map(|batch| (batch.base, batch.last)).collect();
        let (mut bytes, mut visible) = (0, 0);
        for (base, last) in gone {
            let shown = self
                .held
                .at(base)
                .is_some_and(|batch| !batch.hidden && last >= self.row.first && !self.row.dropped);
            if let Some((place, column)) = self.held.remove(base) {
                bytes += place.bytes();
                visible += if shown { place.bytes() } else { 0 };
                self.subjects.release(&column, last - base + 1);
            }
        }
        self.bytes = self.bytes.saturating_sub(bytes) + u64::from(run.bytes);
        let now = u64::from(run.bytes) - run.bytes_below(self.row.first);
        self.visible_bytes = self.visible_bytes.saturating_sub(visible) + now;
        self.held.add_run(run);
    }

    /// The deleted set, in the block of 65,536 offsets of that number.
    pub(super) fn deleted_block(&self, block: u64) -> Vec<u16> {
        let Some(deleted) = &self.extra().deleted else { return Vec::new() };
        let mut from = deleted.iter();
        from.advance_to(block << 16);
        from.take_while(|offset| offset >> 16 == block).map(|offset| offset as u16).collect()
    }

    /// Takes back a block of the deleted set.
    pub(super) fn load_deleted(&mut self, block: u64, offsets: &[u16]) {
        let deleted = self.extra_mut().deleted.get_or_insert_default();
        Arc::make_mut(deleted)
            .extend(offsets.iter().map(|offset| block << 16 | u64::from(*offset)));
    }

    /// After its rows were loaded: what follows from them.
    pub(super) fn loaded(&mut self) {
        let first = self.row.first;
        if let Some(extra) = &mut self.extra {
            extra.once.sort();
            extra.shown_from = first;
            if let Some(deleted) = &mut extra.deleted {
                Arc::make_mut(deleted).remove_range(..first);
            }
        }
    }
}

impl Once {
    /// Takes back an id.
    pub(super) fn load(&mut self, id: u128, offset: Offset, at_ms: i64) {
        self.seen.insert(id, (offset, at_ms));
        self.order.push_back((at_ms, id));
    }
}

/// The place of a found batch, and what readers see of it.
impl<P: Place> Log<P> {
    pub(super) fn found(&self, batch: &Seen<'_, P>, hidden: &Hidden) -> Found<P> {
        Found {
            base: batch.base,
            last: batch.last,
            max_timestamp_ms: batch.max_timestamp_ms,
            place: batch.place.clone(),
            subjects: self.subjects.subjects(&batch.column),
            hidden: hidden.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::memory::image::WindowBatch;

    #[test]
    fn a_log_remembers_few_producers_while_there_are_too_many_those_that_wrote_last() {
        let mut log = Log::<Bytes>::new(LogRow::none(LogId(1)));
        let write = |log: &mut Log<Bytes>, id: i64, base: u64, crowded| {
            let (window, gone) = log.producer(id, crowded);
            let batch = WindowBatch { first_sequence: 0, last_sequence: 0, base, last: base };
            window.batches.push_back(batch);
            gone.len()
        };
        for id in 0..1_000 {
            assert_eq!(write(&mut log, id, id.unsigned_abs(), false), 0);
        }
        let gone = write(&mut log, 1_000, 1_000, true);
        assert!(gone > 0);
        for id in 1_001..1_100 {
            write(&mut log, id, id.unsigned_abs(), true);
        }
        let producers = &log.extra().producers;
        assert!(producers.len() <= PRODUCERS_CROWDED, "{}", producers.len());
        assert!((1_090..1_100).all(|id| producers.contains_key(&id)));
    }

    #[test]
    fn more_ids_go_than_come_while_there_are_too_many_the_oldest_first() {
        let mut once = Once::default();
        for id in 0..5_000 {
            assert!(once.push((id, 0), 0, 1_000, false).is_empty());
        }
        for id in 5_000..6_000 {
            assert_eq!(once.push((id, 0), 1, 1_000, true).len(), 2);
        }
        assert_eq!(once.seen.len(), 4_000);
        assert!(!once.seen.contains_key(&1_999) && once.seen.contains_key(&2_000));
    }

    #[test]
    fn a_log_that_does_nothing_stays_small() {
        // Beside this it costs a place in a table. A place in the journal takes 16 bytes.
        assert_eq!(size_of::<Log<(u64, u64)>>(), 176);
    }
}
