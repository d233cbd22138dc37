//! What a log knows of its subjects, and the side column of its newest batches.
//!
//! Batches in the write-ahead log name slots, so that a column costs four bytes a record, and
//! nothing at all for a batch of one subject; resting files have columns of their own. The only
//! subject of a log stands in the log itself, the others in [`Several`]. A slot
//! knows an upper bound of the last visible record: when that one was deleted, a query finds the
//! one before it and tells the slot. Nothing here is touched by a trim.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use model::filter::Filter;
use model::subject::Subject;

use super::log::Hidden;
use super::several::Several;
use super::sole::Name;
use crate::{Offset, Subjects};

/// The subjects of the records of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
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
pub(super) struct SubjectTable(Form);

#[derive(Debug, Default)]
enum Form {
    #[default]
    Nothing,
    /// The only one, in slot 0.
    Sole {
        dirty: bool,
        named: u32,
        first: Offset,
        /// Behind the last one, 0 when there never was one.
        end: Offset,
        name: Name,
    },
    Several(Box<Several>),
}

impl Form {
    fn into_several(self) -> Box<Several> {
        let mut several = Box::<Several>::default();
        match self {
            Self::Nothing => {}
            Self::Sole { dirty, named, first, end, name } => {
                let slot = several.slot_for(&name.subject());
                several.change(slot, |entry| {
                    (entry.dirty, entry.named) = (dirty, named);
                    (entry.first, entry.last) = (first, end.checked_sub(1));
                });
            }
            Self::Several(several) => return several,
        }
        several
    }
}

/// What is known of a subject, as somebody sees it.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    pub(super) subject: Cow<'a, Subject>,
    /// A lower bound of the first visible record.
    pub(super) first: Offset,
    /// An upper bound of the last one, `None` when there never was one.
    pub(super) last: Option<Offset>,
    /// The newest records, oldest first, while the log limits them.
    pub(super) newest: Option<&'a VecDeque<Offset>>,
}

impl SubjectTable {
    /// How many take memory beside that of the log.
    pub(super) fn weight(&self) -> usize {
        match &self.0 {
            Form::Nothing => 0,
            Form::Sole { name, .. } => usize::from(name.is_long()),
            Form::Several(several) => several.len(),
        }
    }

    fn several(&self) -> Option<&Several> {
        match &self.0 {
            Form::Several(several) => Some(several),
            Form::Nothing | Form::Sole { .. } => None,
        }
    }

    fn sole(&self) -> Option<Slot<'_>> {
        let Form::Sole { first, end, name, .. } = &self.0 else { return None };
        let (subject, last) = (name.subject(), end.checked_sub(1));
        Some(Slot { subject, first: *first, last, newest: None })
    }

    fn several_mut(&mut self) -> &mut Several {
        if self.several().is_none() {
            self.0 = Form::Several(std::mem::take(&mut self.0).into_several());
        }
        match &mut self.0 {
            Form::Several(several) => several,
            Form::Nothing | Form::Sole { .. } => unreachable!("it was made so just now"),
        }
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
        let slot = self.slot_for(subject);
        match &mut self.0 {
            Form::Nothing => {}
            Form::Sole { named, .. } => *named = named.saturating_add(records),
            Form::Several(several) => {
                several.change(slot, |entry| entry.named = entry.named.saturating_add(records));
            }
        }
        slot
    }

    /// The slot of a subject.
    pub(super) fn find(&self, subject: &Subject) -> Option<u32> {
        match &self.0 {
            Form::Nothing => None,
            Form::Sole { name, .. } => (name.as_bytes() == subject.as_bytes()).then_some(0),
            Form::Several(several) => several.find(subject),
        }
    }

    /// The slot of a subject, made if it has none.
    fn slot_for(&mut self, subject: &Subject) -> u32 {
        if let Some(slot) = self.find(subject) {
            return slot;
        }
        if let Form::Nothing = self.0 {
            let name = Name::of(subject);
            self.0 = Form::Sole { dirty: false, named: 0, first: 0, end: 0, name };
            return 0;
        }
        self.several_mut().slot_for(subject)
    }

    pub(super) fn get(&self, slot: u32) -> Option<Slot<'_>> {
        match self.several() {
            Some(several) => several.get(slot),
            None => self.sole().filter(|_| slot == 0),
        }
    }

    /// Takes back what a row says of a subject.
    pub(super) fn load(&mut self, subject: &Subject, ends: (Offset, Offset), newest: Vec<Offset>) {
        let slot = self.slot_for(subject);
        if let Form::Sole { first, end, .. } = &mut self.0
            && newest.is_empty()
        {
            (*first, *end) = (ends.0, ends.1.saturating_add(1));
            return;
        }
        self.several_mut().change(slot, |entry| {
            (entry.first, entry.last) = (ends.0, Some(ends.1));
            entry.newest = (!newest.is_empty()).then(|| Box::new(newest.into()));
        });
    }

    /// The row of a slot was taken.
    pub(super) fn mark_clean(&mut self, slot: u32) {
        match &mut self.0 {
            Form::Nothing => {}
            Form::Sole { dirty, .. } => *dirty = false,
            Form::Several(several) => several.change(slot, |entry| entry.dirty = false),
        }
    }

    /// The last record of a slot is not the one that it knew.
    pub(super) fn correct_last(&mut self, slot: u32, last: Option<Offset>) {
        match &mut self.0 {
            Form::Nothing => {}
            Form::Sole { dirty, end, .. } => {
                *end = last.map_or(0, |last| last.saturating_add(1));
                *dirty = true;
            }
            Form::Several(several) => {
                several.change(slot, |entry| (entry.last, entry.dirty) = (last, true));
            }
        }
    }

    /// A record of that slot is visible at `offset`; true when its row was clean before. With a
    /// `limit` above 1 the slot keeps the newest offsets that are not hidden.
    pub(super) fn show(&mut self, slot: u32, offset: Offset, limit: u32, hidden: &Hidden) -> bool {
        if let Form::Sole { dirty, first, end, .. } = &mut self.0
            && limit <= 1
        {
            if *end == 0 {
                *first = offset;
            }
            *end = offset.saturating_add(1).max(*end);
            return !std::mem::replace(dirty, true);
        }
        self.several_mut().show(slot, offset, limit, hidden)
    }

    /// Records of a column are in no batch of the write-ahead log any more.
    pub(super) fn release(&mut self, column: &Column, count: u64) {
        let mut release = |slot: u32, records: u32| match &mut self.0 {
            Form::Nothing => {}
            Form::Sole { named, .. } => *named = named.saturating_sub(records),
            Form::Several(several) => {
                several.change(slot, |entry| entry.named = entry.named.saturating_sub(records));
            }
        };
        match column {
            Column::One(slot) => release(*slot, u32::try_from(count).unwrap_or(u32::MAX)),
            Column::Each(slots) => slots.iter().for_each(|slot| release(*slot, 1)),
        }
    }

    /// Forgets the subject of a slot if no batch names it and it has nothing visible.
    pub(super) fn forget(&mut self, slot: u32, first: Offset) {
        match &mut self.0 {
            Form::Nothing => {}
            Form::Sole { named, end, .. } => {
                if *named == 0 && *end <= first {
                    self.0 = Form::Nothing;
                }
            }
            Form::Several(several) => several.forget(slot, first),
        }
    }

    /// Forgets all subjects without a record in sight, if there may be many of them; `first` is
    /// the log's first offset.
    pub(super) fn sweep(&mut self, first: Offset) -> Vec<Subject> {
        match &mut self.0 {
            Form::Nothing | Form::Sole { .. } => Vec::new(),
            Form::Several(several) => several.sweep(first),
        }
    }

    /// The subjects of a column.
    pub(super) fn subjects(&self, column: &Column) -> Subjects {
        let name =
            |slot: &u32| self.get(*slot).map_or(Subject::NONE, |slot| slot.subject.into_owned());
        match column {
            Column::One(slot) => Subjects::One(name(slot)),
            Column::Each(slots) => Subjects::Each(slots.iter().map(name).collect::<Arc<[_]>>()),
        }
    }

    /// Slots in use that match, in the order of subjects, behind `after`.
    pub(super) fn matching<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<&Subject>,
    ) -> Box<dyn Iterator<Item = (u32, Slot<'a>)> + 'a> {
        if let Some(several) = self.several() {
            return several.matching(filter, after);
        }
        let behind = |slot: &Slot<'_>| after.is_none_or(|after| *slot.subject > *after);
        let sole = self.sole().filter(|slot| behind(slot) && filter.matches(&slot.subject));
        Box::new(sole.into_iter().map(|slot| (0, slot)))
    }

    /// The limit of a subject's records has changed: they are counted anew.
    pub(super) fn forget_newest(&mut self) -> Vec<Subject> {
        match &mut self.0 {
            Form::Nothing | Form::Sole { .. } => Vec::new(),
            Form::Several(several) => several.forget_newest(),
        }
    }

    /// All subjects that had a visible record.
    pub(super) fn all(&self) -> impl Iterator<Item = Slot<'_>> {
        let all = self.sole().into_iter().chain(self.several().into_iter().flat_map(Several::all));
        all.filter(|slot| slot.last.is_some())
    }

    /// Which slots match and may have a visible record at or after `from`.
    pub(super) fn candidates(&self, filter: &Filter, from: Offset) -> Candidates {
        let mut candidates = Candidates { nearest: Offset::MAX, slots: Slots::None };
        let mut found = Vec::new();
        let mut look = |index: u32, slot: &Slot<'_>| {
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
                    look(index, &slot);
                }
            }
            None => self.matching(filter, None).for_each(|(index, slot)| look(index, &slot)),
        }
        candidates.slots = match found.as_slice() {
            [] => Slots::None,
            [one] => Slots::One(*one),
            several => {
                let most = several.iter().max().map_or(0, |slot| *slot as usize + 1);
                let mut bits = vec![0_u64; most.div_ceil(64)];
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

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &'static str) -> Subject {
        Subject::from_canonical(name.as_bytes().into()).unwrap()
    }

    /// What a table says of a subject.
    fn told(table: &SubjectTable, name: &'static str) -> Option<(Offset, Option<Offset>)> {
        let slot = table.get(table.find(&subject(name))?)?;
        assert_eq!(*slot.subject, subject(name));
        Some((slot.first, slot.last))
    }

    #[test]
    fn the_only_subject_is_known_as_well_as_one_of_several() {
        let (mut table, hidden) = (SubjectTable::default(), Hidden::default());
        let column = table.intern(&Subjects::One(subject("a")), 2);
        assert!(table.show(0, 5, 0, &hidden), "its row was clean");
        assert!(!table.show(0, 6, 0, &hidden));
        assert!(matches!(table.0, Form::Sole { .. }) && table.weight() == 0);
        for weight in [2, 2] {
            assert_eq!(told(&table, "a"), Some((5, Some(6))));
            let matching = |filter: &[u8]| {
                let filter = Filter::mqtt(&filter.to_vec().into()).unwrap();
                table.matching(&filter, None).map(|(slot, _)| slot).collect::<Vec<_>>()
            };
            assert_eq!((matching(b"+")[0], matching(b"a")), (0, vec![0]));
            table.intern(&Subjects::One(subject("b")), 1);
            assert_eq!(table.weight(), weight);
        }
        assert!(!table.show(0, 7, 0, &hidden), "its row is still to be written");
        table.forget(0, 100);
        assert!(told(&table, "a").is_some(), "a batch names it");
        table.release(&column, 2);
        table.forget(0, 100);
        assert_eq!(told(&table, "a"), None);
    }

    #[test]
    fn the_only_subject_is_forgotten_once_no_batch_names_it_and_nothing_of_it_is_visible() {
        let mut table = SubjectTable::default();
        let column = table.intern(&Subjects::One(subject("a")), 1);
        table.show(0, 5, 0, &Hidden::default());
        table.forget(0, 6);
        assert!(told(&table, "a").is_some());
        table.release(&column, 1);
        table.forget(0, 5);
        assert!(told(&table, "a").is_some());
        table.forget(0, 6);
        assert!(matches!(table.0, Form::Nothing));
    }

    #[test]
    fn a_subject_whose_newest_records_are_kept_is_one_of_several() {
        let (mut table, hidden) = (SubjectTable::default(), Hidden::default());
        table.intern(&Subjects::One(subject("a")), 3);
        for offset in 0..3 {
            table.show(0, offset, 2, &hidden);
        }
        let newest = table.get(0).and_then(|slot| slot.newest.cloned());
        assert_eq!(newest, Some([1, 2].into()));
        assert_eq!(told(&table, "a"), Some((0, Some(2))));
    }
}
