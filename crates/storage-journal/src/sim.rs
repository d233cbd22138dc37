//! A simulated disk that crashes: what was not synced is lost, kept or torn at random.
//!
//! A [`SimFs`] value is one process that has the disk mounted. [`SimFs::crash`] ends that process
//! and returns the next one; operations of the old one fail from then on, so threads that outlive
//! their crash do no harm. Everything random follows from the seed.
//!
//! ```text
//!  per file     durable bytes + the writes since the last sync, in order = volatile bytes
//!  per folder   durable names + the changes since the last fsync_dir     = volatile names
//!  Kill         the process ends: volatile state stays, and stays unsynced
//!  Power        per sector some prefix of the unsynced writes survives; names change one by one
//!
//!  faults       a sync, a write or a read fails when told; a process dies in any operation
//!  space        a capacity in bytes, given out in blocks of 4 KiB, preallocated ones included
//!  folder       read-only, emptied, removed
//!  poison       garbage where the content means nothing: free files, lost sectors of new space
//! ```

use std::ops::Sub;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

mod chunks;
mod disk;
mod inode;
mod operations;
mod poison;
#[cfg(test)]
mod tests;

use disk::Disk;

/// What a crash takes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashModel {
    /// The machine loses power: any subset of the unsynced sectors and names survives.
    Power,
    /// The process ends: all that was written survives.
    Kill,
}

/// A failure of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `fdatasync` or `fsync_dir` fails; the pages count as clean and stay readable until evicted.
    SyncFails,
    /// A write, a creation or an allocation finds no space; a write may have taken a part.
    NoSpace,
    /// A write takes only a part and says so.
    ShortWrite,
    /// A read fails.
    ReadFails,
}

/// What the disk has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of `pwrite`.
    pub writes: u64,
    /// Bytes that they took.
    pub bytes_written: u64,
    /// Calls of `pread`.
    pub reads: u64,
    /// Bytes that they gave.
    pub bytes_read: u64,
    /// Calls of `fdatasync`.
    pub syncs: u64,
    /// Calls of `fsync_dir`.
    pub folder_syncs: u64,
    /// Files created.
    pub creates: u64,
    /// Files renamed.
    pub renames: u64,
    /// Files removed.
    pub removes: u64,
    /// Operations that found no space.
    pub full: u64,
    /// Operations that failed, for want of space or else; what a dead process tries is not one.
    pub failures: u64,
    /// Processes that have ended in the middle of an operation.
    pub deaths: u64,
}

impl Counts {
    /// Syncs of files and folders.
    pub fn all_syncs(&self) -> u64 {
        self.syncs + self.folder_syncs
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            writes: self.writes - before.writes,
            bytes_written: self.bytes_written - before.bytes_written,
            reads: self.reads - before.reads,
            bytes_read: self.bytes_read - before.bytes_read,
            syncs: self.syncs - before.syncs,
            folder_syncs: self.folder_syncs - before.folder_syncs,
            creates: self.creates - before.creates,
            renames: self.renames - before.renames,
            removes: self.removes - before.removes,
            full: self.full - before.full,
            failures: self.failures - before.failures,
            deaths: self.deaths - before.deaths,
        }
    }
}

/// One process on a simulated disk.
#[derive(Clone, Debug)]
pub struct SimFs {
    disk: Arc<Mutex<Disk>>,
    generation: u64,
}

/// The course of time: processes that come and go.
impl SimFs {
    /// A first process on an empty disk.
    pub fn new(seed: u64) -> Self {
        Self { disk: Arc::new(Mutex::new(Disk::new(seed))), generation: 0 }
    }

    /// Ends this process and returns the one that starts after it.
    #[must_use]
    pub fn crash(&self, model: CrashModel) -> Self {
        let mut disk = self.disk();
        match model {
            CrashModel::Power => disk.lose_power(),
            CrashModel::Kill => {}
        }
        disk.begin();
        Self { disk: self.disk.clone(), generation: disk.generation }
    }

    /// A first process on a copy of the disk, with the choices of another seed from here on.
    ///
    /// Processes of the copied disk do not exist on the copy.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let mut disk = self.disk().clone();
        disk.random = crate::random::Random::new(u128::from(seed) << 64 | 1);
        disk.begin();
        let generation = disk.generation;
        Self { disk: Arc::new(Mutex::new(disk)), generation }
    }

    /// Lets the process end in the middle of the operation after `operations` more.
    pub fn die_after(&self, operations: u64) {
        let mut disk = self.disk();
        disk.dies_at = Some(disk.operations + operations);
    }

    /// True when [`Self::die_after`] has struck, or the process was ended by a crash.
    pub fn is_dead(&self) -> bool {
        let disk = self.disk();
        disk.dead || disk.generation != self.generation
    }

    /// Operations that changed something, so far: writes, syncs, allocations and names.
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What goes wrong. Faults that are armed end with the process, the rest stays as set.
impl SimFs {
    /// Lets the fault strike after it could have struck `after` times.
    pub fn inject(&self, fault: Fault, after: u64) {
        self.disk().faults.push((fault, after));
    }

    /// Forgets the faults that have not struck yet.
    pub fn disarm(&self) {
        self.disk().faults.clear();
    }

    /// Lets every operation that changes something fail with `ReadOnlyFilesystem`, or no longer.
    pub fn set_read_only(&self, read_only: bool) {
        self.disk().read_only = read_only;
    }

    /// Lets all files together take so many bytes and no more; `None` for any number.
    ///
    /// A removed file gives its space back once nobody has it open.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.disk().capacity = bytes;
    }

    /// Bytes that are taken, in whole blocks, by files that have a name or are open.
    pub fn taken_bytes(&self) -> usize {
        self.disk().taken_bytes()
    }

    /// Removes all files and folders for good, as somebody who cleans up too much.
    ///
    /// Files that are open stay readable and writable and vanish with the process.
    pub fn empty_folder(&self) {
        let mut disk = self.disk();
        disk.names = disk::Names::default();
        disk.durable_names = disk::Names::default();
        disk.pending_names.clear();
    }

    /// As [`Self::empty_folder`], and the folder is gone until the next process makes it again.
    pub fn remove_folder(&self) {
        self.empty_folder();
        self.disk().gone = true;
    }

    /// Lets reads of these bytes of a file fail; false when there is no such file.
    pub fn spoil(&self, name: &str, from: usize, to: usize) -> bool {
        let mut disk = self.disk();
        let Ok(inode) = disk.named(name) else { return false };
        disk.file_mut(inode).map(|file| file.bad.push((from, to))).is_ok()
    }

    /// Flips one bit of a file, on the disk and in the cache.
    ///
    /// Returns false when the file has no such byte.
    pub fn flip_bit(&self, name: &str, byte: usize, bit: u8) -> bool {
        self.tamper(name, |bytes| bytes.flip(byte, bit))
    }

    /// Puts bytes into a file, on the disk and in the cache, as no process has written them.
    ///
    /// Returns false when there is no such file.
    pub fn plant(&self, name: &str, position: usize, bytes: &[u8]) -> bool {
        self.tamper(name, |file| {
            file.write(position, bytes);
            true
        })
    }

    fn tamper(&self, name: &str, change: impl Fn(&mut chunks::Chunks) -> bool) -> bool {
        let mut disk = self.disk();
        let Ok(inode) = disk.named(name) else { return false };
        disk.file_mut(inode).is_ok_and(|file| file.tamper(change))
    }

    /// Drops the cached pages whose sync has failed.
    pub fn evict(&self) {
        for file in self.disk().files.values_mut() {
            file.evict();
        }
    }

    /// Says that files whose name contains one of `names` hold nothing that means anything.
    ///
    /// They are filled with garbage, now and whenever a file comes to such a name; what
    /// `allocate` adds to them is garbage too. Garbage is random bytes and blocks that were valid
    /// once. For names of files in a pool, or of files that are recycled but not yet written.
    pub fn poison_free(&self, names: &[&str]) {
        let mut disk = self.disk();
        disk.free_names = names.iter().map(|name| (*name).to_owned()).collect();
        let files: Vec<_> = disk.names.files.iter().map(|(name, id)| (name.clone(), *id)).collect();
        for (name, inode) in files {
            disk.poison_if_free(&name, inode);
        }
    }

    /// Lets a loss of power leave garbage, and not zeros, in space that was new since the last
    /// sync and whose writes are lost.
    pub fn poison_tails(&self, poisoned: bool) {
        self.disk().poisoned_tails = poisoned;
    }
}

/// What there is to see.
impl SimFs {
    /// What was done so far, by all processes.
    pub fn counts(&self) -> Counts {
        self.disk().counts
    }

    /// What was done since this process began.
    pub fn counts_since_start(&self) -> Counts {
        let disk = self.disk();
        disk.counts - disk.counts_before
    }

    /// The bytes of a file as the process sees them.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let disk = self.disk();
        let inode = disk.named(name).ok()?;
        Some(disk.file(inode).ok()?.volatile().to_vec())
    }

    /// Bytes of all files that have a name.
    pub fn bytes(&self) -> usize {
        let disk = self.disk();
        let files = disk.names.files.values().filter_map(|inode| disk.files.get(inode));
        files.map(|file| file.volatile().length()).sum()
    }
}
