//! What a log knows of its subjects, and the side column of its batches.
//!
//! A subject has a slot as long as a record of it is in the index. Batches name slots, so that a
//! column costs four bytes a record, and nothing at all for a batch of one subject.

use std::sync::Arc;

use model::filter::Filter;
use model::subject::Subject;
use model::tree::SubjectTree;

use crate::{Offset, SubjectSpan, Subjects};

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
    by_name: SubjectTree<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    subject: Subject,
    /// A lower bound of the first visible record.
    first: Offset,
    last: Offset,
    /// Visible records.
    visible: u64,
    /// Records in the index.
    records: u64,
}

impl SubjectTable {
    /// The column for the subjects of a batch of `count` records.
    pub(super) fn intern(&mut self, subjects: &Subjects, count: usize) -> Column {
        match subjects {
            Subjects::One(subject) => Column::One(self.slot(subject, count as u64)),
            Subjects::Each(subjects) => {
                let mut slots = Vec::with_capacity(count);
                for index in 0..count {
                    let subject = subjects.get(index).cloned().unwrap_or(Subject::NONE);
                    slots.push(self.slot(&subject, 1));
                }
                match slots.first() {
                    Some(first) if slots.iter().all(|slot| slot == first) => Column::One(*first),
                    _ => Column::Each(slots.into()),
                }
            }
        }
    }

    fn slot(&mut self, subject: &Subject, records: u64) -> u32 {
        if let Some(index) = self.by_name.get(subject).copied() {
            if let Some(slot) = self.slots.get_mut(index as usize) {
                slot.records += records;
            }
            return index;
        }
        let slot = Slot { subject: subject.detached(), first: 0, last: 0, visible: 0, records };
        let index = match self.free.pop() {
            Some(index) => {
                if let Some(place) = self.slots.get_mut(index as usize) {
                    *place = slot;
                }
                index
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).expect("fewer subjects than 2^32")
            }
        };
        self.by_name.insert(subject, index);
        index
    }

    /// A record of that slot is visible at `offset`.
    pub(super) fn show(&mut self, slot: u32, offset: Offset) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            if slot.visible == 0 {
                slot.first = offset;
                slot.last = offset;
            }
            slot.visible += 1;
            slot.first = slot.first.min(offset);
            slot.last = slot.last.max(offset);
        }
    }

    /// A record of that slot is not visible any more; true when the last one has to be found anew.
    pub(super) fn hide(&mut self, slot: u32, offset: Offset) -> bool {
        let Some(slot) = self.slots.get_mut(slot as usize) else { return false };
        slot.visible = slot.visible.saturating_sub(1);
        if offset == slot.first {
            slot.first = offset + 1;
        }
        slot.visible > 0 && offset == slot.last
    }

    /// The last visible record of that slot was found anew.
    pub(super) fn set_last(&mut self, slot: u32, last: Offset) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.last = last;
        }
    }

    /// Records of that slot are not in the index any more.
    pub(super) fn release(&mut self, index: u32, records: u64) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        slot.records = slot.records.saturating_sub(records);
        if slot.records == 0 {
            let subject = std::mem::take(&mut slot.subject);
            self.by_name.remove(&subject);
            self.free.push(index);
        }
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

    /// What is known of one subject, with first offsets below `first` out of sight.
    pub(super) fn span(&self, subject: &Subject, first: Offset) -> Option<SubjectSpan> {
        let slot = self.slots.get(*self.by_name.get(subject)? as usize)?;
        (slot.visible > 0).then(|| SubjectSpan {
            first: slot.first.max(first),
            last: slot.last,
            count: slot.visible,
        })
    }

    /// The last visible record that matches.
    pub(super) fn last(&self, filter: &Filter) -> Option<Offset> {
        let slots = self.by_name.matching(filter, None);
        let visible = slots.filter_map(|(_, slot)| self.slots.get(*slot as usize));
        visible.filter(|slot| slot.visible > 0).map(|slot| slot.last).max()
    }

    /// Which slots match and have a visible record at or after `from`.
    pub(super) fn matching(&self, filter: &Filter, from: Offset) -> Matching {
        let mut matching = Matching { nearest: Offset::MAX, slots: Slots::None };
        let mut found = Vec::new();
        for (_, index) in self.by_name.matching(filter, None) {
            let Some(slot) = self.slots.get(*index as usize) else { continue };
            if slot.visible > 0 && slot.last >= from {
                matching.nearest = matching.nearest.min(slot.first.max(from));
                found.push(*index);
            }
        }
        matching.slots = match found.as_slice() {
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
        matching
    }
}

/// A set of slots.
#[derive(Debug)]
pub(super) struct Matching {
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

impl Matching {
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
