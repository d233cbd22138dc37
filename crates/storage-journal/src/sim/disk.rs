//! The simulated disk itself: files, names, and what of both would survive.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::Counts;
use super::Fault;
use super::chunks::{BLOCK, Chunks};
use super::inode::{Inode, Loss};
use super::poison::Poison;
use crate::random::Random;

#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) random: Random,
    pub(super) generation: u64,
    /// Operations that change something, so far.
    pub(super) operations: u64,
    /// The process ends in the middle of this operation.
    pub(super) dies_at: Option<u64>,
    pub(super) dead: bool,
    pub(super) faults: Vec<(Fault, u64)>,
    pub(super) read_only: bool,
    /// The folder itself was removed.
    pub(super) gone: bool,
    /// Bytes that all files together may take.
    pub(super) capacity: Option<usize>,
    pub(super) poison: Poison,
    /// Files with such a name hold nothing that means anything.
    pub(super) free_names: Vec<String>,
    /// New space whose writes are lost with the power holds garbage.
    pub(super) poisoned_tails: bool,
    pub(super) counts: Counts,
    /// The counts when the present process began.
    pub(super) counts_before: Counts,
    pub(super) files: BTreeMap<u64, Inode>,
    pub(super) next_inode: u64,
    pub(super) names: Names,
    pub(super) durable_names: Names,
    pub(super) pending_names: Vec<NameChange>,
    pub(super) locks: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) files: BTreeMap<String, u64>,
    pub(super) dirs: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Create { name: String, inode: u64 },
    MakeDir { name: String },
    Rename { from: String, to: String, inode: u64 },
    Remove { name: String },
}

pub(super) fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(dir, _)| dir)
}

impl NameChange {
    pub(super) fn dir(&self) -> &str {
        match self {
            Self::Create { name, .. } | Self::MakeDir { name } | Self::Remove { name } => {
                parent(name)
            }
            Self::Rename { from, .. } => parent(from),
        }
    }
}

impl Names {
    pub(super) fn apply(&mut self, change: &NameChange) {
        match change {
            NameChange::Create { name, inode } => {
                self.files.insert(name.clone(), *inode);
            }
            NameChange::MakeDir { name } => {
                self.dirs.insert(name.clone());
            }
            NameChange::Rename { from, to, inode } => {
                self.files.remove(from);
                self.files.insert(to.clone(), *inode);
            }
            NameChange::Remove { name } => {
                self.files.remove(name);
            }
        }
    }
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(u128::from(seed)),
            generation: 0,
            operations: 0,
            dies_at: None,
            dead: false,
            faults: Vec::new(),
            read_only: false,
            gone: false,
            capacity: None,
            poison: Poison::new(seed),
            free_names: Vec::new(),
            poisoned_tails: false,
            counts: Counts::default(),
            counts_before: Counts::default(),
            files: BTreeMap::new(),
            next_inode: 1,
            names: Names::default(),
            durable_names: Names::default(),
            pending_names: Vec::new(),
            locks: BTreeSet::new(),
        }
    }

    /// The next process begins: nothing of the one before it counts any more.
    pub(super) fn begin(&mut self) {
        self.generation += 1;
        self.dead = false;
        self.dies_at = None;
        self.gone = false;
        self.faults.clear();
        self.locks.clear();
        self.counts_before = self.counts;
        for file in self.files.values_mut() {
            file.handles = 0;
        }
        self.reap();
    }

    /// True when the fault strikes this time.
    pub(super) fn strikes(&mut self, fault: Fault) -> bool {
        let Some(index) = self.faults.iter().position(|(armed, _)| *armed == fault) else {
            return false;
        };
        match self.faults.get_mut(index) {
            Some((_, 0)) | None => {
                self.faults.remove(index);
                true
            }
            Some((_, left)) => {
                *left -= 1;
                false
            }
        }
    }

    pub(super) fn named(&self, name: &str) -> io::Result<u64> {
        self.names.files.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn file(&self, inode: u64) -> io::Result<&Inode> {
        self.files.get(&inode).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn file_mut(&mut self, inode: u64) -> io::Result<&mut Inode> {
        self.files.get_mut(&inode).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Bytes that files take: those with a name, and those that are still open.
    pub(super) fn taken_bytes(&self) -> usize {
        let named: BTreeSet<_> = self.names.files.values().collect();
        let files = self.files.iter();
        let counted = files.filter(|(inode, file)| file.handles > 0 || named.contains(inode));
        counted.map(|(_, file)| file.volatile().taken_bytes()).sum()
    }

    /// Bytes that are left.
    pub(super) fn free_bytes(&self) -> usize {
        let capacity = self.capacity.unwrap_or(usize::MAX);
        if capacity == usize::MAX { capacity } else { capacity.saturating_sub(self.taken_bytes()) }
    }

    /// Forgets the files that nothing leads to, whatever crash may come.
    pub(super) fn reap(&mut self) {
        if self.files.len() <= self.names.files.len() {
            return;
        }
        let mut known: BTreeSet<u64> = self.names.files.values().copied().collect();
        known.extend(self.durable_names.files.values());
        known.extend(self.pending_names.iter().filter_map(|change| match change {
            NameChange::Create { inode, .. } | NameChange::Rename { inode, .. } => Some(*inode),
            NameChange::MakeDir { .. } | NameChange::Remove { .. } => None,
        }));
        let Self { files, poison, .. } = self;
        files.retain(|inode, file| {
            let kept = file.handles > 0 || known.contains(inode);
            if !kept {
                poison.keep(file.volatile().blocks(0, 64 * BLOCK));
            }
            kept
        });
    }

    /// A file has come to a name for good: if that says free, its content goes. Before, a loss of
    /// power may bring its old name back.
    pub(super) fn poison_if_free(&mut self, name: &str, inode: u64) {
        if !self.is_free_name(name) {
            return;
        }
        let Some(file) = self.files.get_mut(&inode) else { return };
        let length = file.volatile().length();
        self.poison.keep(file.volatile().blocks(0, length));
        let taken = file.volatile().taken_bytes();
        let mut garbage: Chunks = self.poison.file(length);
        garbage.reserve(0, length.min(taken));
        file.replace_with(garbage);
    }

    pub(super) fn is_free_name(&self, name: &str) -> bool {
        self.free_names.iter().any(|free| name.contains(free.as_str()))
    }

    pub(super) fn lose_power(&mut self) {
        let percent = [0, 10, 50, 90, 100][self.random.below(5) as usize];
        for change in std::mem::take(&mut self.pending_names) {
            if self.random.chance(percent) {
                self.durable_names.apply(&change);
            }
        }
        let dirs = self.durable_names.dirs.clone();
        self.durable_names.files.retain(|name, _| {
            let dir = parent(name);
            dir.is_empty() || dirs.contains(dir)
        });
        self.names = self.durable_names.clone();
        let named: BTreeSet<_> = self.names.files.values().copied().collect();
        let sector = if self.random.chance(50) { 512 } else { BLOCK };
        let Self { files, random, poison, poisoned_tails, .. } = self;
        files.retain(|inode, _| named.contains(inode));
        for file in files.values_mut() {
            let poison = poisoned_tails.then_some(&mut *poison);
            file.lose_power(&mut Loss { sector, percent, random, poison });
        }
    }
}
