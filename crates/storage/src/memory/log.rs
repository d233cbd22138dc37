//! One log in the index: its batches, what of them is visible, and what is held.
//!
//! ```text
//!  offsets    |--- hidden, held ---|first --- visible --- next|lease
//!  a batch stays in the index while any of this is true:
//!     a record of it is visible     a queue refers to one     a cursor's floor is at or below it
//! ```

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;
use model::filter::Filter;

use super::image::{BatchImage, LogRow, Window};
use super::state::Place;
use super::subjects::{Column, SubjectTable};
use crate::{Bounds, LogId, Offset, Producer, Subjects};

/// The most producers that a log remembers; beyond, those that wrote longest ago are forgotten.
const PRODUCERS_MAX: usize = 4096;
/// Records that a search looks at one by one before it asks the subject table.
const NEAR_RECORDS: usize = 64;

#[derive(Debug)]
pub(super) struct Log<P> {
    pub(super) row: LogRow,
    /// False while only parts of it were seen in a replay.
    pub(super) known: bool,
    /// Where the newest image of the row is.
    pub(super) row_home: u32,
    pub(super) batches: BTreeMap<Offset, Batch<P>>,
    pub(super) subjects: SubjectTable,
    /// Unsettled references, if it is a queue: place to record.
    pub(super) refs: BTreeMap<u64, (LogId, Offset)>,
    pub(super) producers: HashMap<i64, Known>,
    /// Floors of the cursors on it, with their number.
    floors: BTreeMap<Offset, u32>,
    visible_bytes: u64,
}

/// A producer's window, and where the image of each of its batches is.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) window: Window,
    homes: VecDeque<u32>,
}

impl Known {
    /// The oldest home that the window needs.
    pub(super) fn home(&self) -> u32 {
        self.homes.iter().copied().min().unwrap_or_default()
    }

    /// A batch was appended.
    pub(super) fn push(&mut self, producer: &Producer, (base, last): (Offset, Offset), home: u32) {
        self.window.push(producer, base, last);
        self.homes.push_back(home);
        let kept = self.homes.len().saturating_sub(self.window.batches.len());
        self.homes.drain(..kept);
    }

    /// The whole window is stored in one place.
    pub(super) fn set(&mut self, window: &Window, home: u32) {
        self.window.clone_from(window);
        self.homes = std::iter::repeat_n(home, window.batches.len()).collect();
    }
}

#[derive(Debug)]
pub(super) struct Batch<P> {
    pub(super) last: Offset,
    pub(super) max_timestamp_ms: i64,
    pub(super) place: P,
    pub(super) column: Column,
    /// References to its records.
    pub(super) refs: u32,
    /// Indexes of deleted records, ascending.
    pub(super) deleted: Vec<u32>,
}

impl<P> Batch<P> {
    fn is_deleted(&self, index: u32) -> bool {
        self.deleted.binary_search(&index).is_ok()
    }

    fn all_deleted(&self, base: Offset) -> bool {
        self.deleted.len() as u64 > self.last - base
    }

    fn index(base: Offset, offset: Offset) -> u32 {
        u32::try_from(offset - base).unwrap_or(u32::MAX)
    }
}

/// A batch as a reader finds it.
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
    /// Indexes of records that must not be shown, ascending.
    pub deleted: Vec<u32>,
}

impl<P> Found<P> {
    /// Whether the record at an offset must not be shown.
    pub fn is_deleted(&self, offset: Offset) -> bool {
        let index = offset.checked_sub(self.base).and_then(|at| u32::try_from(at).ok());
        index.is_some_and(|index| self.deleted.binary_search(&index).is_ok())
    }
}

impl<P: Place> Log<P> {
    pub(super) fn new(row: LogRow) -> Self {
        Self {
            row,
            known: false,
            row_home: 0,
            batches: BTreeMap::new(),
            subjects: SubjectTable::default(),
            refs: BTreeMap::new(),
            producers: HashMap::new(),
            floors: BTreeMap::new(),
            visible_bytes: 0,
        }
    }

    pub(super) fn exists(&self) -> bool {
        self.known && !self.row.dropped
    }

    /// The base of the batch that holds `offset`.
    fn base_of(&self, offset: Offset) -> Option<Offset> {
        let (base, batch) = self.batches.range(..=offset).next_back()?;
        (offset <= batch.last).then_some(*base)
    }

    pub(super) fn batch_mut(&mut self, offset: Offset) -> Option<(Offset, &mut Batch<P>)> {
        let base = self.base_of(offset)?;
        Some((base, self.batches.get_mut(&base)?))
    }

    /// Takes in a batch; returns the place it had before.
    pub(super) fn insert(&mut self, image: &BatchImage, place: P) -> Option<P> {
        self.row.next = self.row.next.max(image.last.saturating_add(1));
        if let Some(batch) = self.batches.get_mut(&image.base) {
            let before = std::mem::replace(&mut batch.place, place);
            self.delete_all(image);
            return Some(before);
        }
        let column = self.subjects.intern(&image.subjects, image.count());
        for offset in image.base.max(self.row.first)..=image.last {
            self.subjects.show(column.of((offset - image.base) as usize), offset);
        }
        if image.last >= self.row.first {
            self.visible_bytes += place.bytes();
        }
        self.batches.insert(
            image.base,
            Batch {
                last: image.last,
                max_timestamp_ms: image.max_timestamp_ms,
                place,
                column,
                refs: 0,
                deleted: Vec::new(),
            },
        );
        self.delete_all(image);
        None
    }

    fn delete_all(&mut self, image: &BatchImage) {
        for index in &image.deleted {
            self.delete(image.base + u64::from(*index));
        }
    }

    /// Puts one record out of sight; returns the base of its batch.
    pub(super) fn delete(&mut self, offset: Offset) -> Option<Offset> {
        let first = self.row.first;
        let (base, batch) = self.batch_mut(offset)?;
        let index = Batch::<P>::index(base, offset);
        let at = batch.deleted.binary_search(&index).err()?;
        batch.deleted.insert(at, index);
        if offset < first {
            return Some(base);
        }
        let slot = batch.column.of(index as usize);
        let gone = if batch.all_deleted(base) { batch.place.bytes() } else { 0 };
        self.visible_bytes = self.visible_bytes.saturating_sub(gone);
        if self.subjects.hide(slot, offset) {
            let last = self.last_before(slot, offset).unwrap_or(offset);
            self.subjects.set_last(slot, last);
        }
        Some(base)
    }

    /// The last visible record of a slot before an offset.
    fn last_before(&self, slot: u32, before: Offset) -> Option<Offset> {
        for (base, batch) in self.batches.range(..before).rev() {
            let from = (*base).max(self.row.first);
            for offset in (from..=batch.last.min(before.saturating_sub(1))).rev() {
                let index = Batch::<P>::index(*base, offset);
                if batch.column.of(index as usize) == slot && !batch.is_deleted(index) {
                    return Some(offset);
                }
            }
            if *base < self.row.first {
                break;
            }
        }
        None
    }

    /// Moves the first offset up; returns the range of batches that may have to go.
    pub(super) fn trim(&mut self, first: Offset) -> Option<(Offset, Offset)> {
        let before = self.row.first;
        if first <= before {
            return None;
        }
        let start = self.base_of(before).unwrap_or(before);
        for (base, batch) in self.batches.range(start..first) {
            let deleted = batch.all_deleted(*base);
            for offset in (*base).max(before)..=batch.last.min(first - 1) {
                let index = Batch::<P>::index(*base, offset);
                if !batch.is_deleted(index) {
                    self.subjects.hide(batch.column.of(index as usize), offset);
                }
            }
            if batch.last < first && !deleted {
                self.visible_bytes = self.visible_bytes.saturating_sub(batch.place.bytes());
            }
        }
        self.row.first = first;
        Some((start, first))
    }

    /// Takes a batch out of the index if nothing needs it; returns its place.
    pub(super) fn free(&mut self, base: Offset) -> Option<P> {
        let batch = self.batches.get(&base)?;
        let visible = !self.row.dropped && batch.last >= self.row.first && !batch.all_deleted(base);
        let awaited = self.floors.first_key_value().is_some_and(|(floor, _)| *floor <= batch.last);
        if visible || awaited || batch.refs > 0 {
            return None;
        }
        let batch = self.batches.remove(&base)?;
        match &batch.column {
            Column::One(slot) => self.subjects.release(*slot, batch.last - base + 1),
            Column::Each(slots) => {
                for slot in slots {
                    self.subjects.release(*slot, 1);
                }
            }
        }
        Some(batch.place)
    }

    /// Bases of the batches in a range of offsets.
    pub(super) fn bases(&self, (from, to): (Offset, Offset)) -> Vec<Offset> {
        let start = self.base_of(from).unwrap_or(from);
        if start >= to {
            return Vec::new();
        }
        self.batches.range(start..to).map(|(base, _)| *base).collect()
    }

    /// A cursor moved; returns the range of batches that it was the last to hold.
    pub(super) fn move_floor(
        &mut self,
        before: Option<Offset>,
        after: Option<Offset>,
    ) -> Option<(Offset, Offset)> {
        let lowest = |floors: &BTreeMap<Offset, u32>| floors.first_key_value().map(|(f, _)| *f);
        let held_from = lowest(&self.floors);
        if let Some(after) = after {
            *self.floors.entry(after).or_default() += 1;
        }
        if let Some(before) = before
            && let Some(count) = self.floors.get_mut(&before)
        {
            *count -= 1;
            if *count == 0 {
                self.floors.remove(&before);
            }
        }
        let held_from = held_from?;
        let now = lowest(&self.floors).unwrap_or(Offset::MAX);
        (now > held_from).then_some((held_from, now))
    }

    /// No cursor holds anything any more.
    pub(super) fn forget_floors(&mut self) {
        self.floors.clear();
    }

    /// The window of a producer, to be changed; made if it is new.
    pub(super) fn producer(&mut self, id: i64) -> &mut Known {
        if self.producers.len() >= PRODUCERS_MAX && !self.producers.contains_key(&id) {
            let newest = |known: &Known| known.window.batches.back().map_or(0, |batch| batch.base);
            let mut all: Vec<_> = self.producers.values().map(newest).collect();
            all.sort_unstable();
            let limit = all.get(all.len() / 4).copied().unwrap_or_default();
            self.producers.retain(|_, known| newest(known) > limit);
        }
        self.producers.entry(id).or_default()
    }

    pub(super) fn bounds(&self) -> Bounds {
        let mut first = self.row.next;
        'found: for (base, batch) in self.batches.range(self.start()..) {
            if batch.all_deleted(*base) {
                continue;
            }
            for offset in (*base).max(self.row.first)..=batch.last {
                if !batch.is_deleted(Batch::<P>::index(*base, offset)) {
                    first = offset;
                    break 'found;
                }
            }
        }
        Bounds { first, end: self.row.next, bytes: self.visible_bytes }
    }

    /// Where a walk over the visible batches starts.
    fn start(&self) -> Offset {
        self.base_of(self.row.first).unwrap_or(self.row.first)
    }

    fn found(&self, base: Offset, batch: &Batch<P>, held: bool) -> Found<P> {
        Found {
            base,
            last: batch.last,
            max_timestamp_ms: batch.max_timestamp_ms,
            place: batch.place.clone(),
            subjects: self.subjects.subjects(&batch.column),
            deleted: if held { Vec::new() } else { batch.deleted.clone() },
        }
    }

    /// Batches from the one that holds `from` on, up to about `max_bytes`, at least one.
    pub(super) fn read(&self, from: Offset, max_bytes: usize, held: bool) -> Vec<Found<P>> {
        let start = self.base_of(from).unwrap_or(from);
        let mut found = Vec::new();
        let mut bytes = 0_u64;
        for (base, batch) in self.batches.range(start..) {
            if !held && batch.all_deleted(*base) {
                continue;
            }
            bytes += batch.place.bytes();
            if !found.is_empty() && bytes > max_bytes as u64 {
                break;
            }
            found.push(self.found(*base, batch, held));
        }
        found
    }

    /// The first visible batch from `from` on with a record at or after a time.
    pub(super) fn at_or_after(&self, from: Offset, timestamp_ms: i64) -> Option<Found<P>> {
        let start = self.base_of(from.max(self.row.first)).unwrap_or(from.max(self.row.first));
        let mut batches = self.batches.range(start..);
        let (base, batch) = batches.find(|(base, batch)| {
            batch.max_timestamp_ms >= timestamp_ms && !batch.all_deleted(**base)
        })?;
        Some(self.found(*base, batch, false))
    }

    pub(super) fn last(&self, filter: &Filter) -> Option<Offset> {
        match filter.as_literal() {
            Some(subject) => self.subjects.span(&subject, 0).map(|span| span.last),
            None => self.subjects.last(filter),
        }
    }

    pub(super) fn next(&self, filter: &Filter, from: Offset) -> Option<Offset> {
        let mut from = from.max(self.row.first);
        if !filter.is_literal() {
            let near = self.visible_from(from).take(NEAR_RECORDS).collect::<Vec<_>>();
            for (offset, slot) in &near {
                if let Subjects::One(subject) = self.subjects.subjects(&Column::One(*slot))
                    && filter.matches(&subject)
                {
                    return Some(*offset);
                }
            }
            match near.last() {
                Some((offset, _)) if near.len() == NEAR_RECORDS => from = offset + 1,
                Some(_) | None => return None,
            }
        }
        let matching = self.subjects.matching(filter, from);
        if matching.is_empty() {
            return None;
        }
        self.visible_from(from.max(matching.nearest))
            .find(|(_, slot)| matching.contains(*slot))
            .map(|(offset, _)| offset)
    }

    /// Visible records with their slots.
    fn visible_from(&self, from: Offset) -> impl Iterator<Item = (Offset, u32)> {
        let start = self.base_of(from).unwrap_or(from);
        self.batches.range(start..).flat_map(move |(base, batch)| {
            (from.max(*base)..=batch.last).filter_map(move |offset| {
                let index = Batch::<P>::index(*base, offset);
                (!batch.is_deleted(index)).then(|| (offset, batch.column.of(index as usize)))
            })
        })
    }
}
