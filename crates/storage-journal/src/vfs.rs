//! The file operations of the engine, behind a trait so that a simulated disk can stand in.
//!
//! A [`Vfs`] is one data folder. Names are relative to it, with `/` between a folder and its
//! entries; the folder itself is `""`. Nothing here buffers: what `pwrite` returns has been handed
//! to the operating system, and only `fdatasync` and `fsync_dir` make it last.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is known of the disk under a data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that this process may still take.
    pub available: u64,
    /// Blocks are written again where they stand, on a lasting disk. False where every write takes
    /// new blocks (copy on write) and in memory: there, files gain nothing from being used again.
    pub rewrites: bool,
}

/// One data folder.
pub trait Vfs: Debug + Send + Sync {
    /// Creates an empty file that must not exist yet.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`, or what the disk says.
    fn create(&self, name: &str) -> io::Result<Arc<dyn VfsFile>>;

    /// Opens a file that exists, for reading and writing.
    ///
    /// # Errors
    ///
    /// `NotFound`, or what the disk says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn VfsFile>>;

    /// Creates a folder; one that exists already is fine.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn create_dir(&self, name: &str) -> io::Result<()>;

    /// Renames a file within one folder, replacing the target.
    ///
    /// # Errors
    ///
    /// `NotFound`, `InvalidInput` across folders, or what the disk says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; who holds it open can still read it.
    ///
    /// # Errors
    ///
    /// `NotFound`, or what the disk says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names of the files in a folder, sorted, without the folder's own name.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Makes the entries of a folder durable: files created, renamed and removed.
    ///
    /// # Errors
    ///
    /// What the disk says; as with `fdatasync`, a failure is final.
    fn fsync_dir(&self, dir: &str) -> io::Result<()>;

    /// Takes an exclusive lock that ends with the returned value or with the process.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when another process holds it; `NotFound` where its file cannot be made.
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>>;

    /// The space under the folder, where it can be told.
    fn space(&self) -> Option<Space> {
        None
    }
}

/// An open file; all positions are explicit, so it can be shared between threads.
pub trait VfsFile: Debug + Send + Sync {
    /// Reads up to `buffer.len()` bytes; fewer only at the end of the file.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn pread(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Writes some of `bytes` and says how many; see [`write_all`].
    ///
    /// # Errors
    ///
    /// `StorageFull`, or what the disk says.
    fn pwrite(&self, bytes: &[u8], position: u64) -> io::Result<usize>;

    /// Makes what was written durable, with the length that reading it back needs.
    ///
    /// # Errors
    ///
    /// Final: the kernel may have dropped the pages, so a second call proves nothing.
    fn fdatasync(&self) -> io::Result<()>;

    /// Extends the file to `length` with zeros, with its space reserved where the disk can.
    ///
    /// # Errors
    ///
    /// `StorageFull`, or what the disk says.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn length(&self) -> io::Result<u64>;

    /// Gives the space behind `length` back, where the disk can; nobody needs what stood there.
    ///
    /// # Errors
    ///
    /// What the disk says.
    fn truncate(&self, length: u64) -> io::Result<()> {
        let _ = length;
        Ok(())
    }

    /// Tells that what is durable of the file will hardly be read soon: memory that caches it is
    /// free for something else.
    fn forget(&self) {}
}

/// A lock that is held as long as the value lives.
pub trait Lock: Debug + Send + Sync {}

/// Writes all of `bytes`, however often the disk takes only a part.
///
/// # Errors
///
/// The first error of the file, or `WriteZero`.
pub fn write_all(file: &dyn VfsFile, bytes: &[u8], position: u64) -> io::Result<()> {
    write_counted(file, bytes, position).map_err(|(_, error)| error)
}

/// As [`write_all`]; a failure tells how much the disk said it had taken before.
///
/// # Errors
///
/// The first error of the file, or `WriteZero`.
pub fn write_counted(
    file: &dyn VfsFile,
    bytes: &[u8],
    position: u64,
) -> Result<(), (usize, io::Error)> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match file.pwrite(rest, position + done as u64) {
            Ok(0) => return Err((done, io::ErrorKind::WriteZero.into())),
            Ok(written) => done += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((done, error)),
        }
    }
    Ok(())
}

/// Removes a file unless there is none.
pub(crate) fn remove_if_there(vfs: &dyn Vfs, name: &str) -> io::Result<()> {
    match vfs.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Whether an operation has failed for want of space.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether an operation was refused because nothing may be written there; then nothing was.
pub(crate) fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// Reads until `buffer` is full or the file ends, and says how much it read.
///
/// # Errors
///
/// The first error of the file.
pub fn read_full(file: &dyn VfsFile, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.pread(rest, position + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// A folder of the operating system's file system.
#[derive(Debug)]
pub struct RealFs {
    root: PathBuf,
    writable: bool,
}

impl RealFs {
    /// The folder at `root`, created with its parents when it is missing.
    ///
    /// # Errors
    ///
    /// When the folder cannot be created, or is not a folder.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        Ok(Self { root, writable: true })
    }

    /// The folder at `root` as it is: nothing in it is ever changed or made.
    ///
    /// # Errors
    ///
    /// `NotFound`, or `NotADirectory`.
    pub fn read_only(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        if !fs::metadata(&root)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { root, writable: false })
    }

    fn to_write(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::ErrorKind::ReadOnlyFilesystem.into()) }
    }

    /// Where the folder is.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Vfs for RealFs {
    fn create(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        self.to_write()?;
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.root.join(name))?;
        Ok(Arc::new(RealFile { file }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(self.writable).open(self.root.join(name))?;
        Ok(Arc::new(RealFile { file }))
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.to_write()?;
        fs::create_dir_all(self.root.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.to_write()?;
        if Path::new(from).parent() != Path::new(to).parent() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.to_write()?;
        fs::remove_file(self.root.join(name))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(dir))? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn fsync_dir(&self, dir: &str) -> io::Result<()> {
        self.to_write()?;
        fs::File::open(self.root.join(dir))?.sync_all()
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(self.writable)
            .create(self.writable)
            .truncate(false)
            .open(self.root.join(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn space(&self) -> Option<Space> {
        // btrfs, zfs, bcachefs; tmpfs and ramfs.
        const NEW_BLOCKS: [u64; 5] =
            [0x9123_683e, 0x2fc1_2fc1, 0xca45_1a4e, 0x0102_1994, 0x8584_58f6];
        let found = rustix::fs::statfs(&self.root).ok()?;
        let block = u64::try_from(found.f_bsize).ok()?;
        let kind = u64::try_from(found.f_type).ok()?;
        Some(Space {
            total: found.f_blocks.saturating_mul(block),
            available: found.f_bavail.saturating_mul(block),
            rewrites: !NEW_BLOCKS.contains(&kind),
        })
    }
}

#[derive(Debug)]
struct RealFile {
    file: fs::File,
}

impl VfsFile for RealFile {
    fn pread(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn pwrite(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        self.file.write_at(bytes, position)
    }

    fn fdatasync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(&self.file, FallocateFlags::empty(), 0, length) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) if self.length()? < length => {
                self.file.set_len(length)
            }
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn forget(&self) {
        use rustix::fs::{Advice, fadvise};
        // Where that is not known nothing is lost.
        let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
    }
}

/// The lock ends when the file is closed.
#[derive(Debug)]
struct RealLock {
    _file: fs::File,
}

impl Lock for RealLock {}
