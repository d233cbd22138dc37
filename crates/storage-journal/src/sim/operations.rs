//! What a process does with the simulated disk.

use std::io;
use std::sync::{Arc, MutexGuard};

use super::disk::{Disk, NameChange, parent};
use super::{Fault, SimFs};
use crate::vfs::{Lock, Vfs, VfsFile};

fn dead() -> io::Error {
    io::Error::other("the simulated process has ended")
}

impl Disk {
    /// Counts an error that the disk gives.
    fn fail(&mut self, kind: io::ErrorKind) -> io::Error {
        self.counts.failures += 1;
        if kind == io::ErrorKind::StorageFull {
            self.counts.full += 1;
        }
        kind.into()
    }

    fn fail_sync(&mut self) -> io::Error {
        self.counts.failures += 1;
        io::Error::other("simulated sync failure")
    }
}

impl SimFs {
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
        disk.counts.deaths += u64::from(dies);
        disk.operations += 1;
        if disk.read_only && !dies {
            return Err(disk.fail(io::ErrorKind::ReadOnlyFilesystem));
        }
        Ok((disk, dies))
    }

    /// As [`Self::changing`], for an operation on a name in a folder that must be there.
    fn changing_names(&self, name: &str) -> io::Result<(MutexGuard<'_, Disk>, bool)> {
        let (mut disk, dies) = self.changing()?;
        if dies && disk.random.chance(50) {
            return Err(dead());
        }
        let dir = parent(name);
        if disk.gone || !dir.is_empty() && !disk.names.dirs.contains(dir) {
            return Err(disk.fail(io::ErrorKind::NotFound));
        }
        Ok((disk, dies))
    }

    fn handle(&self, disk: &mut Disk, inode: u64) -> io::Result<Arc<dyn VfsFile>> {
        disk.file_mut(inode)?.handles += 1;
        Ok(Arc::new(SimFile { process: self.clone(), inode }))
    }
}

fn change(disk: &mut Disk, change: NameChange, dies: bool) -> io::Result<()> {
    disk.names.apply(&change);
    disk.pending_names.push(change);
    if dies { Err(dead()) } else { Ok(()) }
}

impl Vfs for SimFs {
    fn create(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        if self.alive()?.names.files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (mut disk, dies) = self.changing_names(name)?;
        if !dies && (disk.strikes(Fault::NoSpace) || disk.free_bytes() == 0) {
            return Err(disk.fail(io::ErrorKind::StorageFull));
        }
        let inode = disk.next_inode;
        disk.next_inode += 1;
        disk.files.insert(inode, super::inode::Inode::default());
        disk.counts.creates += 1;
        change(&mut disk, NameChange::Create { name: name.into(), inode }, dies)?;
        self.handle(&mut disk, inode)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        let mut disk = self.alive()?;
        let inode = disk.named(name)?;
        self.handle(&mut disk, inode)
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        if self.alive()?.names.dirs.contains(name) {
            return Ok(());
        }
        let (mut disk, dies) = self.changing_names(name)?;
        change(&mut disk, NameChange::MakeDir { name: name.into() }, dies)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if parent(from) != parent(to) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let inode = self.alive()?.named(from)?;
        let (mut disk, dies) = self.changing_names(to)?;
        disk.counts.renames += 1;
        let renamed = NameChange::Rename { from: from.into(), to: to.into(), inode };
        change(&mut disk, renamed, dies)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.alive()?.named(name)?;
        let (mut disk, dies) = self.changing_names(name)?;
        disk.counts.removes += 1;
        change(&mut disk, NameChange::Remove { name: name.into() }, dies)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let disk = self.alive()?;
        if disk.gone {
            return Err(io::ErrorKind::NotFound.into());
        }
        let names = disk.names.files.keys().filter(|name| parent(name) == dir);
        Ok(names.map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()).collect())
    }

    fn fsync_dir(&self, dir: &str) -> io::Result<()> {
        let (mut disk, dies) = self.changing_names(format!("{dir}/").trim_start_matches('/'))?;
        disk.counts.folder_syncs += 1;
        if !dies && disk.strikes(Fault::SyncFails) {
            return Err(disk.fail_sync());
        }
        let (done, open): (Vec<_>, Vec<_>) = std::mem::take(&mut disk.pending_names)
            .into_iter()
            .partition(|change| change.dir() == dir);
        disk.pending_names = open;
        for change in done {
            disk.durable_names.apply(&change);
            if let NameChange::Rename { to, inode, .. } = change
                && disk.names.files.get(&to) == Some(&inode)
            {
                disk.poison_if_free(&to, inode);
            }
        }
        disk.reap();
        if dies { Err(dead()) } else { Ok(()) }
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        let mut disk = self.alive()?;
        if disk.read_only {
            return Err(disk.fail(io::ErrorKind::ReadOnlyFilesystem));
        }
        if disk.gone {
            return Err(disk.fail(io::ErrorKind::NotFound));
        }
        if !disk.locks.insert(name.to_owned()) {
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

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut disk = self.process.disk();
        if disk.generation == self.process.generation
            && let Ok(file) = disk.file_mut(self.inode)
        {
            file.handles = file.handles.saturating_sub(1);
        }
    }
}

fn index(position: u64) -> io::Result<usize> {
    usize::try_from(position).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl VfsFile for SimFile {
    fn pread(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut disk = self.process.alive()?;
        let position = index(position)?;
        if disk.strikes(Fault::ReadFails) {
            disk.counts.failures += 1;
            return Err(io::Error::other("simulated read failure"));
        }
        let file = disk.file(self.inode)?;
        let end = position.saturating_add(buffer.len());
        if file.bad.iter().any(|(from, to)| position < *to && *from < end) {
            disk.counts.failures += 1;
            return Err(io::Error::other("simulated bad sector"));
        }
        let count = file.volatile().read(position, buffer);
        disk.counts.reads += 1;
        disk.counts.bytes_read += count as u64;
        Ok(count)
    }

    fn pwrite(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        let position = index(position)?;
        let (mut disk, dies) = self.process.changing()?;
        // An error says nothing of what was written before it: a part, nothing, or all.
        let part = |disk: &mut Disk| match disk.random.chance(15) {
            true => bytes.len(),
            false => disk.random.below(bytes.len() as u64) as usize,
        };
        let free = disk.free_bytes();
        let fitting = disk.file(self.inode)?.volatile().fitting(position, bytes.len(), free);
        let (taken, result) = if dies {
            (part(&mut disk).min(fitting), Err(dead()))
        } else if disk.strikes(Fault::NoSpace) {
            (part(&mut disk).min(fitting), Err(disk.fail(io::ErrorKind::StorageFull)))
        } else if fitting == 0 && !bytes.is_empty() {
            (0, Err(disk.fail(io::ErrorKind::StorageFull)))
        } else if disk.strikes(Fault::ShortWrite) {
            let taken = part(&mut disk).clamp(1, fitting);
            (taken, Ok(taken))
        } else {
            (fitting, Ok(fitting))
        };
        disk.counts.writes += 1;
        disk.counts.bytes_written += taken as u64;
        let file = disk.file_mut(self.inode)?;
        if let Some(bytes) = bytes.get(..taken).filter(|bytes| !bytes.is_empty()) {
            file.write(position, bytes);
        }
        result
    }

    fn fdatasync(&self) -> io::Result<()> {
        {
            let disk = self.process.alive()?;
            if disk.read_only && !disk.file(self.inode)?.is_dirty() {
                return Ok(());
            }
        }
        let (mut disk, dies) = self.process.changing()?;
        disk.counts.syncs += 1;
        let fails = !dies && disk.strikes(Fault::SyncFails);
        let finishes = !dies || disk.random.chance(50);
        let file = disk.file_mut(self.inode)?;
        if fails {
            file.fail_sync();
            return Err(disk.fail_sync());
        }
        if finishes {
            file.sync();
        }
        if dies { Err(dead()) } else { Ok(()) }
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let length = index(length)?;
        let (mut disk, dies) = self.process.changing()?;
        if dies && disk.random.chance(50) {
            return Err(dead());
        }
        let free = disk.free_bytes();
        let fits = disk.file(self.inode)?.volatile().fitting(0, length, free) == length;
        if !dies && (disk.strikes(Fault::NoSpace) || !fits) {
            return Err(disk.fail(io::ErrorKind::StorageFull));
        }
        disk.allocate(self.inode, length)?;
        if dies { Err(dead()) } else { Ok(()) }
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.process.alive()?.file(self.inode)?.volatile().length() as u64)
    }
}

impl Disk {
    fn allocate(&mut self, inode: u64, length: usize) -> io::Result<()> {
        let before = self.file(inode)?.volatile().length();
        self.file_mut(inode)?.allocate(length);
        let names = self.names.files.iter();
        let name = names.filter(|(_, of)| **of == inode).map(|(name, _)| name).next();
        if name.is_some_and(|name| self.is_free_name(name)) && before < length {
            let mut garbage = super::chunks::Chunks::default();
            self.poison.fill(&mut garbage, before, length);
            let mut bytes = vec![0; length - before];
            garbage.read(before, &mut bytes);
            self.file_mut(inode)?.write(before, &bytes);
        }
        Ok(())
    }
}
