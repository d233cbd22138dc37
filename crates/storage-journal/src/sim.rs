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
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::random::Random;
use crate::vfs::{Lock, Vfs, VfsFile};

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
}

/// One process on a simulated disk.
#[derive(Clone, Debug)]
pub struct SimFs {
    disk: Arc<Mutex<Disk>>,
    generation: u64,
}

#[derive(Debug)]
struct Disk {
    random: Random,
    generation: u64,
    /// Operations that change something, so far.
    operations: u64,
    /// The process ends in the middle of this operation.
    dies_at: Option<u64>,
    dead: bool,
    faults: Vec<(Fault, u64)>,
    files: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: Names,
    durable_names: Names,
    pending_names: Vec<NameChange>,
    locks: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
struct Names {
    files: BTreeMap<String, u64>,
    dirs: BTreeSet<String>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Create { name: String, inode: u64 },
    MakeDir { name: String },
    Rename { from: String, to: String, inode: u64 },
    Remove { name: String },
}

#[derive(Clone, Debug, Default)]
struct Inode {
    volatile: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
struct Pending {
    position: usize,
    bytes: Vec<u8>,
    /// Its sync has failed: a later sync does not bring it back.
    lost: bool,
}

impl SimFs {
    /// A first process on an empty disk.
    pub fn new(seed: u64) -> Self {
        let disk = Disk {
            random: Random::new(u128::from(seed)),
            generation: 0,
            operations: 0,
            dies_at: None,
            dead: false,
            faults: Vec::new(),
            files: BTreeMap::new(),
            next_inode: 1,
            names: Names::default(),
            durable_names: Names::default(),
            pending_names: Vec::new(),
            locks: BTreeSet::new(),
        };
        Self { disk: Arc::new(Mutex::new(disk)), generation: 0 }
    }

    /// Ends this process and returns the one that starts after it.
    #[must_use]
    pub fn crash(&self, model: CrashModel) -> Self {
        let mut disk = self.disk();
        match model {
            CrashModel::Power => disk.lose_power(),
            CrashModel::Kill => {}
        }
        disk.generation += 1;
        disk.dead = false;
        disk.dies_at = None;
        disk.faults.clear();
        disk.locks.clear();
        Self { disk: self.disk.clone(), generation: disk.generation }
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

    /// Lets the fault strike after it could have struck `after` times.
    pub fn inject(&self, fault: Fault, after: u64) {
        self.disk().faults.push((fault, after));
    }

    /// Operations that changed something, so far: writes, syncs, allocations and names.
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// Flips one bit of a file, on the disk and in the cache.
    ///
    /// Returns false when the file has no such byte.
    pub fn flip_bit(&self, name: &str, byte: usize, bit: u8) -> bool {
        let mut disk = self.disk();
        let Some(inode) = disk.names.files.get(name).copied() else { return false };
        let Some(file) = disk.files.get_mut(&inode) else { return false };
        let mut flipped = false;
        for bytes in [&mut file.volatile, &mut file.durable] {
            if let Some(byte) = bytes.get_mut(byte) {
                *byte ^= 1 << (bit % 8);
                flipped = true;
            }
        }
        flipped
    }

    /// Drops the cached pages whose sync has failed.
    pub fn evict(&self) {
        for file in self.disk().files.values_mut() {
            if file.pending.iter().any(|write| write.lost) {
                file.pending.retain(|write| !write.lost);
                file.volatile = file.durable.clone();
                for write in &file.pending {
                    overlay(&mut file.volatile, write.position, &write.bytes);
                }
            }
        }
    }

    /// The bytes of a file as the process sees them.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let disk = self.disk();
        let inode = disk.names.files.get(name)?;
        Some(disk.files.get(inode)?.volatile.clone())
    }

    /// Bytes of all files that have a name.
    pub fn bytes(&self) -> usize {
        let disk = self.disk();
        let files = disk.names.files.values().filter_map(|inode| disk.files.get(inode));
        files.map(|file| file.volatile.len()).sum()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk, for an operation that only reads.
    fn alive(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.disk();
        if disk.dead || disk.generation != self.generation { Err(dead()) } else { Ok(disk) }
    }

    /// The disk, for an operation that changes something; true when the process dies in it.
    fn changing(&self) -> io::Result<(MutexGuard<'_, Disk>, bool)> {
        let mut disk = self.alive()?;
        let dies = disk.dies_at.is_some_and(|at| disk.operations >= at);
        disk.dead = dies;
        disk.operations += 1;
        Ok((disk, dies))
    }

    fn change_names(&self, change: NameChange) -> io::Result<()> {
        let (mut disk, dies) = self.changing()?;
        if dies && disk.random.chance(50) {
            return Err(dead());
        }
        disk.names.apply(&change);
        disk.pending_names.push(change);
        if dies { Err(dead()) } else { Ok(()) }
    }

    fn file(&self, inode: u64) -> Arc<dyn VfsFile> {
        Arc::new(SimFile { process: self.clone(), inode })
    }
}

fn dead() -> io::Error {
    io::Error::other("the simulated process has ended")
}

fn no_space() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(dir, _)| dir)
}

fn overlay(bytes: &mut Vec<u8>, position: usize, written: &[u8]) {
    let end = position + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(position..end) {
        place.copy_from_slice(written);
    }
}

impl NameChange {
    fn dir(&self) -> &str {
        match self {
            Self::Create { name, .. } | Self::MakeDir { name } | Self::Remove { name } => {
                parent(name)
            }
            Self::Rename { from, .. } => parent(from),
        }
    }
}

impl Names {
    fn apply(&mut self, change: &NameChange) {
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
    /// True when the fault strikes this time.
    fn strikes(&mut self, fault: Fault) -> bool {
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

    fn lose_power(&mut self) {
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
        self.files.retain(|inode, _| named.contains(inode));
        let sector = if self.random.chance(50) { 512 } else { 4096 };
        for file in self.files.values_mut() {
            file.lose_power(sector, percent, &mut self.random);
        }
    }
}

impl Inode {
    fn lose_power(&mut self, sector: usize, percent: u64, random: &mut Random) {
        let pending = std::mem::take(&mut self.pending);
        let mut touched: BTreeMap<usize, Vec<&Pending>> = BTreeMap::new();
        let mut lengths = vec![self.durable.len()];
        for write in &pending {
            let end = write.position + write.bytes.len();
            lengths.push(end.max(self.durable.len()));
            for index in write.position / sector..end.div_ceil(sector) {
                touched.entry(index).or_default().push(write);
            }
        }
        let longest = lengths.iter().copied().max().unwrap_or_default();
        let chosen = lengths[random.below(lengths.len() as u64) as usize];
        let length = if random.chance(percent) { longest } else { chosen };
        for (index, writes) in touched {
            let all = writes.len();
            let count =
                if random.chance(percent) { all } else { random.below(all as u64) as usize };
            let (start, end) = (index * sector, (index + 1) * sector);
            for write in writes.iter().take(count) {
                let from = start.max(write.position);
                let to = end.min(write.position + write.bytes.len());
                if from < to {
                    let bytes = &write.bytes[from - write.position..to - write.position];
                    overlay(&mut self.durable, from, bytes);
                }
            }
        }
        self.durable.resize(length.max(chosen), 0);
        self.volatile = self.durable.clone();
    }
}

impl Vfs for SimFs {
    fn create(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        let inode = {
            let mut disk = self.alive()?;
            if disk.names.files.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let dir = parent(name);
            if !dir.is_empty() && !disk.names.dirs.contains(dir) {
                return Err(io::ErrorKind::NotFound.into());
            }
            if disk.strikes(Fault::NoSpace) {
                return Err(no_space());
            }
            let inode = disk.next_inode;
            disk.next_inode += 1;
            disk.files.insert(inode, Inode::default());
            inode
        };
        self.change_names(NameChange::Create { name: name.into(), inode })?;
        Ok(self.file(inode))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        let inode = self.alive()?.names.files.get(name).copied();
        inode.map(|inode| self.file(inode)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        if self.alive()?.names.dirs.contains(name) {
            return Ok(());
        }
        self.change_names(NameChange::MakeDir { name: name.into() })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if parent(from) != parent(to) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let inode = self.alive()?.names.files.get(from).copied();
        let inode = inode.ok_or(io::ErrorKind::NotFound)?;
        self.change_names(NameChange::Rename { from: from.into(), to: to.into(), inode })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if !self.alive()?.names.files.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change_names(NameChange::Remove { name: name.into() })
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let disk = self.alive()?;
        let names = disk.names.files.keys().filter(|name| parent(name) == dir);
        Ok(names.map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()).collect())
    }

    fn fsync_dir(&self, dir: &str) -> io::Result<()> {
        let (mut disk, dies) = self.changing()?;
        if dies {
            return Err(dead());
        }
        if disk.strikes(Fault::SyncFails) {
            return Err(io::Error::other("simulated sync failure"));
        }
        let (done, open): (Vec<_>, Vec<_>) = std::mem::take(&mut disk.pending_names)
            .into_iter()
            .partition(|change| change.dir() == dir);
        for change in done {
            disk.durable_names.apply(&change);
        }
        disk.pending_names = open;
        Ok(())
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        if !self.alive()?.locks.insert(name.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock { process: self.clone(), name: name.to_owned() }))
    }
}

#[derive(Debug)]
struct SimLock {
    process: SimFs,
    name: String,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        if let Ok(mut disk) = self.process.alive() {
            disk.locks.remove(&self.name);
        }
    }
}

#[derive(Debug)]
struct SimFile {
    process: SimFs,
    inode: u64,
}

impl VfsFile for SimFile {
    fn pread(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let disk = self.process.alive()?;
        let file = disk.files.get(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        let rest = file.volatile.get(position..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn pwrite(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        let (mut disk, dies) = self.process.changing()?;
        let part = |random: &mut Random| random.below(bytes.len() as u64) as usize;
        let (taken, result) = if dies {
            (part(&mut disk.random), Err(dead()))
        } else if disk.strikes(Fault::NoSpace) {
            (part(&mut disk.random), Err(no_space()))
        } else if disk.strikes(Fault::ShortWrite) {
            let taken = part(&mut disk.random).max(1).min(bytes.len());
            (taken, Ok(taken))
        } else {
            (bytes.len(), Ok(bytes.len()))
        };
        let file = disk.files.get_mut(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        let position = usize::try_from(position).map_err(|_| io::ErrorKind::InvalidInput)?;
        if taken > 0 {
            overlay(&mut file.volatile, position, &bytes[..taken]);
            file.pending.push(Pending { position, bytes: bytes[..taken].to_vec(), lost: false });
        }
        result
    }

    fn fdatasync(&self) -> io::Result<()> {
        let (mut disk, dies) = self.process.changing()?;
        if dies {
            return Err(dead());
        }
        let fails = disk.strikes(Fault::SyncFails);
        let file = disk.files.get_mut(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        if fails {
            for write in &mut file.pending {
                write.lost = true;
            }
            return Err(io::Error::other("simulated sync failure"));
        }
        let pending = std::mem::take(&mut file.pending);
        for write in pending {
            if write.lost {
                file.pending.push(write);
            } else {
                overlay(&mut file.durable, write.position, &write.bytes);
            }
        }
        Ok(())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let (mut disk, dies) = self.process.changing()?;
        if dies {
            return Err(dead());
        }
        if disk.strikes(Fault::NoSpace) {
            return Err(no_space());
        }
        let file = disk.files.get_mut(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        if let Some(missing) = length.checked_sub(file.volatile.len()) {
            let position = file.volatile.len();
            file.volatile.resize(length, 0);
            file.pending.push(Pending { position, bytes: vec![0; missing], lost: false });
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let disk = self.process.alive()?;
        let file = disk.files.get(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        Ok(file.volatile.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_with_file(seed: u64) -> (SimFs, Arc<dyn VfsFile>) {
        let sim = SimFs::new(seed);
        let file = sim.create("a").expect("new");
        sim.fsync_dir("").expect("syncs");
        (sim, file)
    }

    #[test]
    fn what_was_synced_survives_any_crash() {
        for seed in 0..50 {
            let (sim, file) = disk_with_file(seed);
            file.pwrite(&[1; 9000], 0).expect("writes");
            file.fdatasync().expect("syncs");
            let sim = sim.crash(CrashModel::Kill).crash(CrashModel::Power);
            assert_eq!(sim.contents("a"), Some(vec![1; 9000]));
        }
    }

    #[test]
    fn unsynced_bytes_survive_a_kill_and_only_some_of_them_a_power_cut() {
        let (mut all, mut none, mut torn) = (0, 0, 0);
        for seed in 0..200 {
            let (sim, file) = disk_with_file(seed);
            file.pwrite(&[1; 9000], 0).expect("writes");
            let sim = sim.crash(CrashModel::Kill);
            assert_eq!(sim.contents("a"), Some(vec![1; 9000]));
            let left = sim.crash(CrashModel::Power).contents("a").expect("its name was synced");
            match left.iter().filter(|byte| **byte == 1).count() {
                0 => none += 1,
                9000 => all += 1,
                _ => torn += 1,
            }
        }
        assert!(all > 10 && none > 10 && torn > 10, "{all} {none} {torn}");
    }

    #[test]
    fn an_unsynced_name_may_be_lost_and_may_be_kept() {
        let mut kept = 0;
        for seed in 0..100 {
            let (sim, _file) = disk_with_file(seed);
            sim.rename("a", "b").expect("exists");
            let sim = sim.crash(CrashModel::Power);
            let names = sim.list("").expect("alive");
            assert!(names == ["a"] || names == ["b"]);
            kept += usize::from(names == ["b"]);
        }
        assert!((10..90).contains(&kept), "{kept}");
    }

    #[test]
    fn a_failed_sync_stays_readable_until_evicted_and_is_never_repaired() {
        let (sim, file) = disk_with_file(1);
        file.pwrite(b"old", 0).expect("writes");
        file.fdatasync().expect("syncs");
        file.pwrite(b"new", 0).expect("writes");
        sim.inject(Fault::SyncFails, 0);
        assert!(file.fdatasync().is_err());
        file.fdatasync().expect("the kernel forgets the failure");
        assert_eq!(sim.contents("a"), Some(b"new".to_vec()));
        sim.evict();
        assert_eq!(sim.contents("a"), Some(b"old".to_vec()));
    }

    #[test]
    fn a_process_that_has_ended_can_do_nothing() {
        let (sim, file) = disk_with_file(1);
        let _lock = sim.lock("lock").expect("free");
        assert!(sim.lock("lock").is_err(), "held");
        let next = sim.crash(CrashModel::Kill);
        assert!(file.pwrite(b"x", 0).is_err() && sim.list("").is_err() && sim.is_dead());
        next.lock("lock").expect("the lock ended with its holder");
    }

    #[test]
    fn full_disks_and_short_writes_strike_when_told() {
        let (sim, file) = disk_with_file(1);
        sim.inject(Fault::NoSpace, 1);
        sim.inject(Fault::ShortWrite, 0);
        crate::vfs::write_all(file.as_ref(), &[7; 100], 0).expect_err("second part finds no space");
        crate::vfs::write_all(file.as_ref(), &[7; 100], 0).expect("the faults are spent");
        assert_eq!(sim.contents("a"), Some(vec![7; 100]));
    }
}
