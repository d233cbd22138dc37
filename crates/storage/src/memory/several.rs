//! The subjects of a log that has had more than one.

use std::borrow::Cow;
use std::collections::VecDeque;

use model::filter::Filter;
use model::subject::Subject;
use model::tree::SubjectTree;

use super::log::Hidden;
use super::subjects::Slot;
use crate::Offset;

/// Up to so many are searched one by one.
const FEW: usize = 8;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Several {
    entries: Vec<Entry>,
    /// Which slot a subject has; only when there are many.
    by_name: Option<SubjectTree<u32>>,
    free: Vec<u32>,
    /// How many were left after the last sweep.
    swept: usize,
}

/// A subject in its slot.
#[derive(Debug)]
pub(super) struct Entry {
    subject: Subject,
    /// See [`Slot::first`].
    pub(super) first: Offset,
    /// See [`Slot::last`].
    pub(super) last: Option<Offset>,
    /// Records in batches that name this slot.
    pub(super) named: u32,
    /// Its row is to be written.
    pub(super) dirty: bool,
    /// See [`Slot::newest`].
    #[expect(clippy::box_collection, reason = "few slots have it, and all would pay for it")]
    pub(super) newest: Option<Box<VecDeque<Offset>>>,
}

impl Entry {
    fn of(subject: &Subject) -> Self {
        let (subject, first, last, named) = (subject.detached(), 0, None, 0);
        Self { subject, first, last, named, dirty: false, newest: None }
    }

    fn slot(&self) -> Slot<'_> {
        let subject = Cow::Borrowed(&self.subject);
        Slot { subject, first: self.first, last: self.last, newest: self.newest.as_deref() }
    }

    /// No batch names it, and nothing of it is visible.
    fn is_idle(&self, first: Offset) -> bool {
        self.named == 0 && self.last.is_none_or(|last| last < first)
    }

    fn clear(&mut self) -> Subject {
        (self.last, self.newest, self.dirty) = (None, None, false);
        std::mem::take(&mut self.subject)
    }
}

impl Several {
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// A slot has no subject any more.
    fn vacate(&mut self, slot: u32, subject: &Subject) {
        if let Some(tree) = &mut self.by_name {
            tree.remove(subject);
        }
        self.free.push(slot);
    }

    /// See [`SubjectTable::find`](super::subjects::SubjectTable::find).
    pub(super) fn find(&self, subject: &Subject) -> Option<u32> {
        if let Some(tree) = &self.by_name {
            return tree.get(subject).copied();
        }
        let mut entries = self.entries.iter().zip(0_u32..);
        let found =
            entries.find(|(entry, slot)| entry.subject == *subject && !self.free.contains(slot))?;
        Some(found.1)
    }

    /// The slot of a subject, made if it has none.
    pub(super) fn slot_for(&mut self, subject: &Subject) -> u32 {
        if let Some(slot) = self.find(subject) {
            return slot;
        }
        let entry = Entry::of(subject);
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.entries.get_mut(slot as usize) {
                    *place = entry;
                }
                slot
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).expect("fewer subjects than 2^32")
            }
        };
        match &mut self.by_name {
            Some(tree) => drop(tree.insert(subject, slot)),
            None if self.entries.len() > FEW => self.by_name = Some(self.tree()),
            None => {}
        }
        slot
    }

    /// All subjects in order.
    fn tree(&self) -> SubjectTree<u32> {
        let mut tree = SubjectTree::new();
        for (entry, slot) in self.entries.iter().zip(0_u32..) {
            if !self.free.contains(&slot) {
                tree.insert(&entry.subject, slot);
            }
        }
        tree
    }

    pub(super) fn get(&self, slot: u32) -> Option<Slot<'_>> {
        self.entries.get(slot as usize).map(Entry::slot)
    }

    pub(super) fn change(&mut self, slot: u32, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            change(entry);
        }
    }

    /// See [`SubjectTable::show`](super::subjects::SubjectTable::show).
    pub(super) fn show(&mut self, slot: u32, offset: Offset, limit: u32, hidden: &Hidden) -> bool {
        let Some(entry) = self.entries.get_mut(slot as usize) else { return false };
        if entry.last.is_none() {
            entry.first = offset;
        }
        if limit > 1 {
            let newest = entry.newest.get_or_insert_default();
            newest.push_back(offset);
            if newest.len() > limit as usize {
                newest.retain(|offset| !hidden.hides(*offset));
            }
            while newest.len() > limit as usize {
                newest.pop_front();
            }
        }
        entry.last = entry.last.max(Some(offset));
        !std::mem::replace(&mut entry.dirty, true)
    }

    /// See [`SubjectTable::forget`](super::subjects::SubjectTable::forget).
    pub(super) fn forget(&mut self, slot: u32, first: Offset) {
        if self.free.contains(&slot) {
            return;
        }
        let entry = self.entries.get_mut(slot as usize).filter(|entry| entry.is_idle(first));
        if let Some(subject) = entry.map(Entry::clear) {
            self.vacate(slot, &subject);
        }
    }

    /// See [`SubjectTable::sweep`](super::subjects::SubjectTable::sweep).
    pub(super) fn sweep(&mut self, first: Offset) -> Vec<Subject> {
        if self.len() < 2 * self.swept + 64 {
            return Vec::new();
        }
        let free: hashbrown::HashSet<u32> = self.free.iter().copied().collect();
        let entries = self.entries.iter_mut().zip(0_u32..);
        let idle = entries.filter(|(entry, slot)| entry.is_idle(first) && !free.contains(slot));
        let gone: Vec<_> = idle.map(|(entry, slot)| (slot, entry.clear())).collect();
        for (slot, subject) in &gone {
            self.vacate(*slot, subject);
        }
        self.swept = self.len();
        gone.into_iter().map(|(_, subject)| subject).collect()
    }

    /// See [`SubjectTable::matching`](super::subjects::SubjectTable::matching).
    pub(super) fn matching<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<&Subject>,
    ) -> Box<dyn Iterator<Item = (u32, Slot<'a>)> + 'a> {
        if let Some(tree) = &self.by_name {
            let found = tree.matching(filter, after);
            return Box::new(found.filter_map(|(_, slot)| Some((*slot, self.get(*slot)?))));
        }
        let found: Vec<u32> = self.tree().matching(filter, after).map(|(_, slot)| *slot).collect();
        Box::new(found.into_iter().filter_map(|slot| Some((slot, self.get(slot)?))))
    }

    /// See [`SubjectTable::forget_newest`](super::subjects::SubjectTable::forget_newest).
    pub(super) fn forget_newest(&mut self) -> Vec<Subject> {
        let counted = |entry: &mut Entry| entry.newest.take().map(|_| entry.subject.clone());
        self.entries.iter_mut().filter_map(counted).collect()
    }

    /// All slots.
    pub(super) fn all(&self) -> impl Iterator<Item = Slot<'_>> {
        self.entries.iter().map(Entry::slot)
    }
}
