//! A disk whose syncs do nothing: what an engine that forgot them would be.

use std::io;
use std::sync::Arc;

use storage_journal::vfs::{Lock, Vfs, VfsFile};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct NoSync<V>(pub(crate) V);

impl<V: Vfs> Vfs for NoSync<V> {
    fn create(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        Ok(Arc::new(NoSyncFile(self.0.create(name)?)))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        Ok(Arc::new(NoSyncFile(self.0.open(name)?)))
    }
    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.0.create_dir(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }
    fn fsync_dir(&self, dir: &str) -> io::Result<()> {
        self.0.fsync_dir(dir)
    }
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        self.0.lock(name)
    }
}

#[derive(Debug)]
struct NoSyncFile(Arc<dyn VfsFile>);

impl VfsFile for NoSyncFile {
    fn pread(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.pread(buffer, position)
    }
    fn pwrite(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        self.0.pwrite(bytes, position)
    }
    fn fdatasync(&self) -> io::Result<()> {
        Ok(())
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.0.allocate(length)
    }
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
}
