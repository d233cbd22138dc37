//! What a log knows of its subjects, and the side column of its newest batches.
//!
//! Batches in the write-ahead log name slots, so that a column costs four bytes a record, and
//! nothing at all for a batch of one subject; resting files have columns of their own. A slot
//! knows an upper bound of the last visible record: when that one was deleted, a query finds the
//! one before it and tells the slot. Nothing here is touched by a trim.

use std::collections::VecDeque;
use std::sync::Arc;

use model::filter::Filter;
use model::subject::Subject;
use model::tree::SubjectTree;

use super::log::Hidden;
use crate::{Offset, Subjects};

/// Up to so many subjects are searched one by one.
const FEW: usize = 8;

/// The subjects of the records of one batch.
#[derive(Clone, Debug)]
pub(super) enum Column {
    /// All records have this one.
    One(u32),
    /// One for each.
    Each(Box<[u32]>),
}

impl Column {
    /// The slot of the record with this index.
    pub(super) fn of(&self, index: usize) -> u32 {
        match self {
            Self::One(slot) => *slot,
            Self::Each(slots) => slots.get(index).copied().unwrap_or(u32::MAX),
        }
    }
}

/// The subjects of one log.
#[derive(Debug, Default)]
pub(super) struct SubjectTable {
    slots: Vec<Slot>,
    /// What is only there with several subjects; most logs have one.
    several: Option<Box<Several>>,
}

#[derive(Debug, Default)]
struct Several {
    /// Which slot a subject has; only when there are many.
    by_name: Option<SubjectTree<u32>>,
    free: Vec<u32>,
    /// How many were left after the last sweep.
    swept: usize,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) subject: Subject,
    /// A lower bound of the first visible record.
    pub(super) first: Offset,
    /// An upper bound of the last one, `None` when there never was one.
    pub(super) last: Option<Offset>,
    /// Records in batches that name this slot.
    named: u32,
    /// Its row is to be written.
    pub(super) dirty: bool,
    /// The newest records, oldest first, while the log limits them.
    #[expect(clippy::box_collection, reason = "few slots have it, and all would pay for it")]
    pub(super) newest: Option<Box<VecDeque<Offset>>>,
}

impl Slot {
    /// No batch names it, and nothing of it is visible.
    fn is_idle(&self, first: Offset) -> bool {
        self.named == 0 && self.last.is_none_or(|last| last < first)
    }

    fn clear(&mut self) -> Subject {
        (self.last, self.newest, self.dirty) = (None, None, false);
        std::mem::take(&mut self.subject)
    }
}

impl SubjectTable {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free().len()
    }

    fn free(&self) -> &[u32] {
        self.several.as_ref().map_or(&[], |several| &several.free)
    }

    fn by_name(&self) -> Option<&SubjectTree<u32>> {
        self.several.as_ref()?.by_name.as_ref()
    }

    /// A slot has no subject any more.
    fn vacate(&mut self, index: u32, subject: &Subject) {
        let several = self.several.get_or_insert_default();
        if let Some(tree) = &mut several.by_name {
            tree.remove(subject);
        }
        several.free.push(index);
    }

    /// The column for the subjects of a batch of `count` records.
    pub(super) fn intern(&mut self, subjects: &Subjects, count: usize) -> Column {
        let records = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        match subjects {
            Subjects::One(subject) => Column::One(self.name(subject, records(count))),
            Subjects::Each(subjects) => {
                let mut slots = Vec::with_capacity(count);
                for index in 0..count {
                    let subject = subjects.get(index).cloned().unwrap_or(Subject::NONE);
                    slots.push(self.name(&subject, 1));
                }
                match slots.first() {
                    Some(first) if slots.iter().all(|slot| slot == first) => Column::One(*first),
                    _ => Column::Each(slots.into()),
                }
            }
        }
    }

    fn name(&mut self, subject: &Subject, records: u32) -> u32 {
        let index = self.slot_for(subject);
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.named = slot.named.saturating_add(records);
        }
        index
    }

    /// The slot of a subject.
    pub(super) fn find(&self, subject: &Subject) -> Option<u32> {
        match self.by_name() {
            Some(tree) => tree.get(subject).copied(),
            None => {
                let mut slots = self.slots.iter().zip(0_u32..);
                let found = slots
                    .find(|(slot, at)| slot.subject == *subject && !self.free().contains(at))?;
                Some(found.1)
            }
        }
    }

    /// The slot of a subject, made if it has none.
    pub(super) fn slot_for(&mut self, subject: &Subject) -> u32 {
        if let Some(index) = self.find(subject) {
            return index;
        }
        let slot = Slot {
            subject: subject.detached(),
            first: 0,
            last: None,
            named: 0,
            dirty: false,
            newest: None,
        };
        let free = self.several.as_mut().and_then(|several| several.free.pop());
        let index = match free {
            Some(index) => {
                if let Some(place) = self.slots.get_mut(index as usize) {
                    *place = slot;
                }
                index
            }
            None => {
                if self.slots.capacity() == 0 {
                    self.slots.reserve_exact(1);
                }
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).expect("fewer subjects than 2^32")
            }
        };
        let tree = self.several.as_mut().and_then(|several| several.by_name.as_mut());
        match tree {
            Some(tree) => drop(tree.insert(subject, index)),
            None if self.slots.len() > FEW => {
                let tree = self.tree();
                self.several.get_or_insert_default().by_name = Some(tree);
            }
            None => {}
        }
        index
    }

    /// All subjects in order.
    fn tree(&self) -> SubjectTree<u32> {
        let mut tree = SubjectTree::new();
        for (slot, index) in self.slots.iter().zip(0_u32..) {
            if !self.free().contains(&index) {
                tree.insert(&slot.subject, index);
            }
        }
        tree
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Slot> {
        self.slots.get(slot as usize)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.get_mut(slot as usize)
    }

    /// A record of that slot is visible at `offset`; true when its row was clean before. With a
    /// `limit` above 1 the slot keeps the newest offsets that are not hidden.
    pub(super) fn show(&mut self, slot: u32, offset: Offset, limit: u32, hidden: &Hidden) -> bool {
        let Some(slot) = self.slots.get_mut(slot as usize) else { return false };
        if slot.last.is_none() {
            slot.first = offset;
        }
        if limit > 1 {
            let newest = slot.newest.get_or_insert_default();
            newest.push_back(offset);
            if newest.len() > limit as usize {
                newest.retain(|offset| !hidden.hides(*offset));
            }
            while newest.len() > limit as usize {
                newest.pop_front();
            }
        }
        slot.last = slot.last.max(Some(offset));
        !std::mem::replace(&mut slot.dirty, true)
    }

    /// Records of a column are in no batch of the write-ahead log any more.
    pub(super) fn release(&mut self, column: &Column, count: u64) {
        let mut release = |slot: u32, records: u32| {
            if let Some(slot) = self.slots.get_mut(slot as usize) {
                slot.named = slot.named.saturating_sub(records);
            }
        };
        match column {
            Column::One(slot) => release(*slot, u32::try_from(count).unwrap_or(u32::MAX)),
            Column::Each(slots) => slots.iter().for_each(|slot| release(*slot, 1)),
        }
    }

    /// Forgets the subject of a slot if no batch names it and it has nothing visible.
    pub(super) fn forget(&mut self, index: u32, first: Offset) -> Option<Subject> {
        if self.free().contains(&index) {
            return None;
        }
        let slot = self.slots.get_mut(index as usize).filter(|slot| slot.is_idle(first))?;
        let subject = slot.clear();
        self.vacate(index, &subject);
        Some(subject)
    }

    /// Forgets all subjects without a record in sight, if there may be many of them; `first` is
    /// the log's first offset.
    pub(super) fn sweep(&mut self, first: Offset) -> Vec<Subject> {
        let swept = self.several.as_ref().map_or(0, |several| several.swept);
        if self.len() < 2 * swept + 64 {
            return Vec::new();
        }
        let free: hashbrown::HashSet<u32> = self.free().iter().copied().collect();
        let slots = self.slots.iter_mut().zip(0_u32..);
        let idle = slots.filter(|(slot, index)| slot.is_idle(first) && !free.contains(index));
        let gone: Vec<_> = idle.map(|(slot, index)| (index, slot.clear())).collect();
        for (index, subject) in &gone {
            self.vacate(*index, subject);
        }
        let left = self.len();
        self.several.get_or_insert_default().swept = left;
        gone.into_iter().map(|(_, subject)| subject).collect()
    }

    /// The subjects of a column.
    pub(super) fn subjects(&self, column: &Column) -> Subjects {
        let name = |slot: u32| {
            self.slots.get(slot as usize).map_or(Subject::NONE, |slot| slot.subject.clone())
        };
        match column {
            Column::One(slot) => Subjects::One(name(*slot)),
            Column::Each(slots) => {
                Subjects::Each(slots.iter().map(|slot| name(*slot)).collect::<Arc<[_]>>())
            }
        }
    }

    /// Slots in use that match, in the order of subjects, behind `after`.
    pub(super) fn matching<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<&Subject>,
    ) -> Box<dyn Iterator<Item = (u32, &'a Slot)> + 'a> {
        if let Some(tree) = self.by_name() {
            let found = tree.matching(filter, after);
            return Box::new(found.filter_map(|(_, slot)| Some((*slot, self.get(*slot)?))));
        }
        let found: Vec<u32> = self.tree().matching(filter, after).map(|(_, slot)| *slot).collect();
        Box::new(found.into_iter().filter_map(|slot| Some((slot, self.get(slot)?))))
    }

    /// The limit of a subject's records has changed: they are counted anew.
    pub(super) fn forget_newest(&mut self) -> Vec<Subject> {
        let counted =
            self.slots.iter_mut().filter_map(|slot| slot.newest.take().map(|_| &slot.subject));
        counted.cloned().collect()
    }

    /// All slots in use.
    pub(super) fn all(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.last.is_some())
    }

    /// Which slots match and may have a visible record at or after `from`.
    pub(super) fn candidates(&self, filter: &Filter, from: Offset) -> Candidates {
        let mut candidates = Candidates { nearest: Offset::MAX, slots: Slots::None };
        let mut found = Vec::new();
        let mut look = |index: u32, slot: &Slot| {
            if slot.last.is_some_and(|last| last >= from) {
                candidates.nearest = candidates.nearest.min(slot.first.max(from));
                found.push(index);
            }
        };
        match filter.as_literal() {
            Some(subject) => {
                if let Some((index, slot)) =
                    self.find(&subject).and_then(|index| Some((index, self.get(index)?)))
                {
                    look(index, slot);
                }
            }
            None => self.matching(filter, None).for_each(|(index, slot)| look(index, slot)),
        }
        candidates.slots = match found.as_slice() {
            [] => Slots::None,
            [one] => Slots::One(*one),
            several => {
                let mut bits = vec![0_u64; self.slots.len().div_ceil(64)];
                for slot in several {
                    if let Some(word) = bits.get_mut(*slot as usize / 64) {
                        *word |= 1 << (slot % 64);
                    }
                }
                Slots::Several(bits)
            }
        };
        candidates
    }
}

/// A set of slots.
#[derive(Debug)]
pub(super) struct Candidates {
    /// No record of them is visible between the asked offset and this one.
    pub(super) nearest: Offset,
    slots: Slots,
}

#[derive(Debug)]
enum Slots {
    None,
    One(u32),
    Several(Vec<u64>),
}

impl Candidates {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.slots, Slots::None)
    }

    pub(super) fn contains(&self, slot: u32) -> bool {
        match &self.slots {
            Slots::None => false,
            Slots::One(one) => *one == slot,
            Slots::Several(bits) => {
                bits.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
            }
        }
    }
}
