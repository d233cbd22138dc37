//! One simulated file: what was synced, what was written, and the writes between the two.

use std::collections::{BTreeMap, BTreeSet};

use super::chunks::{BLOCK, Chunks};
use super::poison::Poison;
use crate::random::Random;

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    volatile: Chunks,
    durable: Chunks,
    /// Since the last sync, in order.
    pending: Vec<Pending>,
    /// Some of the pending writes are lost.
    damaged: bool,
    /// Open handles of the present process.
    pub(super) handles: u32,
    /// Bytes that cannot be read.
    pub(super) bad: Vec<(usize, usize)>,
}

#[derive(Clone, Debug)]
struct Pending {
    position: usize,
    end: usize,
    /// `None` for space that was taken and not written.
    bytes: Option<Vec<u8>>,
    /// Its sync has failed: a later sync does not bring it back.
    lost: bool,
}

/// How a loss of power goes.
pub(super) struct Loss<'a> {
    pub(super) sector: usize,
    /// How likely what was not synced survives.
    pub(super) percent: u64,
    pub(super) random: &'a mut Random,
    /// What stands in new space whose writes are lost; zeros without.
    pub(super) poison: Option<&'a mut Poison>,
}

impl Inode {
    pub(super) fn volatile(&self) -> &Chunks {
        &self.volatile
    }

    pub(super) fn write(&mut self, position: usize, bytes: &[u8]) {
        self.volatile.write(position, bytes);
        let end = position + bytes.len();
        self.pending.push(Pending { position, end, bytes: Some(bytes.to_vec()), lost: false });
    }

    /// Extends the file to `length` and takes the space.
    pub(super) fn allocate(&mut self, length: usize) {
        let position = self.volatile.length();
        if position < length {
            self.pending.push(Pending { position, end: length, bytes: None, lost: false });
        }
        self.volatile.reserve(0, length);
    }

    /// True when there is something to sync.
    pub(super) fn is_dirty(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Pages are written whole: a good write takes what else stands in its pages along, also what a
    /// failed sync has left there.
    pub(super) fn sync(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let (lost, good): (Vec<_>, Vec<_>) = pending.into_iter().partition(|write| write.lost);
        let mut pages = BTreeSet::new();
        for write in good {
            if write.bytes.is_none() {
                self.durable.reserve(write.position, write.end);
                continue;
            }
            self.durable.take_over(&self.volatile, write.position, write.end);
            if self.damaged {
                pages.extend(write.position / BLOCK..write.end.div_ceil(BLOCK));
            }
        }
        self.pending = lost.iter().flat_map(|write| write.outside(&pages)).collect();
        self.damaged = !self.pending.is_empty();
    }

    /// The pages count as clean from now on, and stay readable until they are evicted.
    pub(super) fn fail_sync(&mut self) {
        for write in &mut self.pending {
            write.lost = true;
            self.damaged = true;
        }
    }

    /// Drops the pages whose sync has failed.
    pub(super) fn evict(&mut self) {
        if !self.damaged {
            return;
        }
        self.damaged = false;
        self.pending.retain(|write| !write.lost);
        self.volatile = self.durable.clone();
        for write in &self.pending {
            write.put(&mut self.volatile);
        }
    }

    /// Changes the bytes themselves, whatever was synced.
    pub(super) fn tamper(&mut self, change: impl Fn(&mut Chunks) -> bool) -> bool {
        let volatile = change(&mut self.volatile);
        change(&mut self.durable) || volatile
    }

    /// From now on holds what it is given, as if it had always been there.
    pub(super) fn replace_with(&mut self, bytes: Chunks) {
        self.durable = bytes.clone();
        self.volatile = bytes;
        self.pending.clear();
        self.damaged = false;
    }

    /// What of the unsynced writes survives, sector by sector, and which length.
    pub(super) fn lose_power(&mut self, loss: &mut Loss<'_>) {
        let pending = std::mem::take(&mut self.pending);
        self.damaged = false;
        self.handles = 0;
        if pending.is_empty() {
            self.volatile = self.durable.clone();
            return;
        }
        let synced = self.durable.length();
        if let Some(poison) = &mut loss.poison {
            for write in &pending {
                poison.keep(self.volatile.blocks(write.position, write.end));
            }
        }
        let length = chosen_length(&pending, synced, loss);
        let mut touched: BTreeMap<usize, Vec<&Pending>> = BTreeMap::new();
        for write in pending.iter().filter(|write| write.bytes.is_some() || loss.poison.is_some()) {
            for index in write.position / loss.sector..write.end.div_ceil(loss.sector) {
                touched.entry(index).or_default().push(write);
            }
        }
        for write in pending.iter().filter(|write| write.bytes.is_none()) {
            self.durable.reserve(write.position.min(length), write.end.min(length));
        }
        for (index, writes) in touched {
            let all = writes.len();
            let kept = loss.random.chance(loss.percent);
            let count = if kept { all } else { loss.random.below(all as u64) as usize };
            let sector = (index * loss.sector, (index + 1) * loss.sector);
            let written = writes.iter().take(count).any(|write| write.bytes.is_some());
            if let Some(poison) = loss.poison.as_mut().filter(|_| sector.0 >= synced && !written) {
                self.durable.write(sector.0, &poison.sector(sector.0, loss.sector));
            }
            for write in writes.iter().take(count) {
                write.put_within(&mut self.durable, sector);
            }
        }
        self.durable.resize(length);
        self.volatile = self.durable.clone();
    }
}

/// One of the lengths that the file has had since its last sync, by preference the longest.
fn chosen_length(pending: &[Pending], synced: usize, loss: &mut Loss<'_>) -> usize {
    let mut lengths = vec![synced];
    lengths.extend(pending.iter().map(|write| write.end.max(synced)));
    let longest = lengths.iter().copied().max().unwrap_or_default();
    let chosen = lengths[loss.random.below(lengths.len() as u64) as usize];
    if loss.random.chance(loss.percent) { longest } else { chosen }
}

impl Pending {
    fn put(&self, into: &mut Chunks) {
        match &self.bytes {
            Some(bytes) => into.write(self.position, bytes),
            None => into.reserve(self.position, self.end),
        }
    }

    /// The parts of it that are in none of these pages.
    fn outside(&self, pages: &BTreeSet<usize>) -> Vec<Self> {
        let mut parts = Vec::new();
        for page in self.position / BLOCK..self.end.div_ceil(BLOCK) {
            let (start, end) = (page * BLOCK, (page + 1) * BLOCK);
            let (position, end) = (start.max(self.position), end.min(self.end));
            if pages.contains(&page) {
                continue;
            }
            let part = position - self.position..end - self.position;
            let bytes = self.bytes.as_ref().map(|bytes| bytes[part].to_vec());
            parts.push(Self { position, end, bytes, lost: self.lost });
        }
        parts
    }

    fn put_within(&self, into: &mut Chunks, (start, end): (usize, usize)) {
        let Some(bytes) = &self.bytes else { return };
        let (from, to) = (start.max(self.position), end.min(self.end));
        if from < to {
            into.write(from, &bytes[from - self.position..to - self.position]);
        }
    }
}
