//! The pool: free segment files, zero-filled or used before, ready for the log.
//!
//! ```text
//!  released segment --nobody reads it--> <number>.free --new header, new name--> next segment
//!                   --else, or the pool is full--> removed
//!  new file, space reserved, zeros written a chunk at a time --> <number>.free
//! ```
//!
//! Syncs of a file whose blocks were written before move no metadata, which makes them much
//! cheaper. The work is done in steps beside the lane, by a thread or by whoever calls
//! [`Pool::step`]; the lane only takes what is ready and never waits. The last two files are for
//! groups that free space (storage rule 7); the log's data does not get them. While the reserve of
//! maintenance is given up there are no others.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::reserve::Reserve;
use crate::segment::{self, Segment};
use crate::vfs::{self, Vfs, VfsFile};

/// Files that only groups without data may take.
pub(crate) const RESERVE: usize = 2;
/// Zeros that one step writes and syncs.
const CHUNK_BYTES: u64 = 512 << 10;
/// Pause after a disk has refused to give space.
const RETRY: Duration = Duration::from_secs(1);

/// Who takes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A group with data: the reserve is not for it.
    Data,
    /// A group that only frees: it may take the last file.
    Control,
}

/// Sizes of the pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Length of its files.
    pub(crate) file_bytes: u64,
    /// Files beside the reserve.
    pub(crate) spare: usize,
    /// Files gain from being written before they are used, and from being used again.
    pub(crate) rewrites: bool,
}

/// A free file.
#[derive(Debug)]
pub(crate) struct Free {
    pub(crate) name: String,
    pub(crate) file: Arc<dyn VfsFile>,
    pub(crate) length: u64,
    /// How much of it was ever written.
    pub(crate) filled: u64,
}

/// What a step has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many zeros were written.
    Zeroed(u64),
    /// A file was recycled, removed or made.
    Done,
    /// There is nothing to do; or not before that time.
    Nothing(Option<Instant>),
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Pool {
    vfs: Arc<dyn Vfs>,
    sizes: Sizes,
    shelf: Mutex<Shelf>,
    wake: Condvar,
    /// Space for maintenance.
    pub(crate) reserve: Reserve,
    /// Groups written so far: zeroing slows down while it grows.
    pub(crate) groups: AtomicU64,
    /// Zeros are being written now.
    pub(crate) zeroing: AtomicBool,
}

#[derive(Debug, Default)]
struct Shelf {
    free: Vec<Free>,
    released: Vec<Arc<Segment>>,
    /// The log has seen real use: files may be made.
    wanted: bool,
    /// Segments are released: from now on only the reserve is made anew, the rest is used again.
    recycling: bool,
    next_number: u64,
    /// No new file is tried before this.
    not_before: Option<Instant>,
    /// Something has changed since the last look.
    news: bool,
    closed: bool,
}

impl Pool {
    /// A pool that begins with the free files of these names; returns the names of those that are
    /// of no use.
    pub(crate) fn open(vfs: Arc<dyn Vfs>, sizes: Sizes, names: Vec<String>) -> (Self, Vec<String>) {
        let mut shelf = Shelf::default();
        let mut useless = Vec::new();
        for name in names {
            let number = name.split('.').next().and_then(|number| number.parse::<u64>().ok());
            shelf.next_number = shelf.next_number.max(number.unwrap_or_default() + 1);
            let opened = vfs.open(&name).and_then(|file| Ok((file.length()?, file)));
            match opened {
                Ok((length, file)) if sizes.fits(length) && shelf.free.len() < sizes.most() => {
                    // What a crash has left may have holes: that costs time, nothing else.
                    let filled = length;
                    shelf.free.push(Free { name, file, length, filled });
                }
                Ok(_) | Err(_) => useless.push(name),
            }
        }
        shelf.wanted = !shelf.free.is_empty();
        let pool = Self {
            reserve: Reserve::open(vfs.clone()),
            vfs,
            sizes,
            shelf: Mutex::new(shelf),
            wake: Condvar::new(),
            groups: AtomicU64::new(0),
            zeroing: AtomicBool::new(false),
        };
        (pool, useless)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file for the next segment, if one is ready; with `hard` also one that is not filled yet.
    pub(crate) fn take(&self, claim: Claim, hard: bool) -> Option<Free> {
        let mut shelf = self.shelf();
        let kept = match claim {
            Claim::Data => RESERVE,
            Claim::Control => 0,
        };
        if shelf.free.len() <= kept {
            return None;
        }
        let best = shelf.free.iter().enumerate().max_by_key(|(_, free)| free.filled);
        let (index, free) = best?;
        if !hard && claim == Claim::Data && self.sizes.rewrites && !self.sizes.is_filled(free) {
            return None;
        }
        let taken = shelf.free.swap_remove(index);
        self.tell(&mut shelf);
        Some(taken)
    }

    /// Whether files gain from being written before they are used.
    pub(crate) fn rewrites(&self) -> bool {
        self.sizes.rewrites
    }

    /// Takes a file back that was not used after all.
    pub(crate) fn give_back(&self, free: Free) {
        self.shelf().free.push(free);
    }

    /// A file that could not be used: it goes.
    pub(crate) fn discard(&self, free: Free) {
        remove(self.vfs.as_ref(), &free.name);
    }

    /// Segments that no header needs any more; they must be out of the readers' sight.
    pub(crate) fn release(&self, segments: Vec<Arc<Segment>>) {
        if !segments.is_empty() {
            let mut shelf = self.shelf();
            shelf.released.extend(segments);
            shelf.recycling = true;
            shelf.not_before = None;
            self.tell(&mut shelf);
        }
    }

    /// The log is in real use: from now on files are made ahead.
    pub(crate) fn want(&self) {
        let mut shelf = self.shelf();
        if !shelf.wanted {
            shelf.wanted = true;
            self.tell(&mut shelf);
        }
    }

    /// Whether the log has seen real use.
    pub(crate) fn is_wanted(&self) -> bool {
        self.shelf().wanted
    }

    /// Gives the reserve up, and the files that are not for groups which free; false when there is
    /// no reserve.
    pub(crate) fn give_way(&self) -> bool {
        let given = self.reserve.give_up();
        if given {
            self.tell(&mut self.shelf());
        }
        given
    }

    /// Files that may be in it now.
    fn most(&self) -> usize {
        if self.reserve.is_given_up() { RESERVE } else { self.sizes.most() }
    }

    fn tell(&self, shelf: &mut Shelf) {
        shelf.news = true;
        self.wake.notify_one();
    }

    /// Bytes of the files in it, and of segments that wait to be recycled or removed.
    pub(crate) fn bytes(&self) -> u64 {
        let shelf = self.shelf();
        shelf.free.iter().map(|free| free.length).sum::<u64>()
            + shelf.released.iter().map(|segment| segment.length()).sum::<u64>()
    }

    /// Number of files in it.
    pub(crate) fn len(&self) -> usize {
        self.shelf().free.len()
    }

    /// Whether the reserve is there, as far as it is wanted; tries to make it if it is not.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub(crate) fn restore_reserve(&self) -> io::Result<()> {
        while self.shelf().wanted && self.len() < RESERVE {
            self.make()?;
        }
        Ok(())
    }

    /// Does one piece of work.
    pub(crate) fn step(&self) -> Step {
        let released = self.shelf().released.pop();
        if let Some(segment) = released {
            self.recycle(segment);
            return Step::Done;
        }
        let surplus = {
            let most = self.most();
            let mut shelf = self.shelf();
            if shelf.free.len() > most { shelf.free.pop() } else { None }
        };
        if let Some(free) = surplus {
            self.discard(free);
            return Step::Done;
        }
        let now = Instant::now();
        let most = self.most();
        let (missing, unfilled) = {
            let mut shelf = self.shelf();
            if !shelf.wanted || shelf.closed {
                return Step::Nothing(None);
            }
            if let Some(time) = shelf.not_before.filter(|time| *time > now) {
                return Step::Nothing(Some(time));
            }
            let filled = shelf.free.iter().filter(|free| self.sizes.is_filled(free)).count();
            // The reserve needs space, but no zeros.
            let wanted = self.sizes.rewrites && filled < self.sizes.spare;
            let unfilled = shelf.free.iter().position(|free| !self.sizes.is_filled(free));
            let unfilled = unfilled.filter(|_| wanted && shelf.free.len() > RESERVE);
            let more = shelf.free.len() < most && !shelf.recycling;
            let missing = shelf.free.len() < RESERVE || unfilled.is_none() && more;
            (missing, unfilled.filter(|_| !missing).map(|index| shelf.free.swap_remove(index)))
        };
        if let Some(free) = unfilled {
            return self.fill(free);
        }
        if !missing || self.len() >= RESERVE && !self.has_plenty() {
            return Step::Nothing(missing.then(|| now + RETRY));
        }
        match self.make() {
            Ok(()) => Step::Done,
            Err(error) => {
                tracing::debug!(%error, "no free segment can be made");
                self.shelf().not_before = Some(now + RETRY);
                Step::Nothing(Some(now + RETRY))
            }
        }
    }

    /// Files beyond the reserve are made only where they do not take the last space.
    fn has_plenty(&self) -> bool {
        let enough = |space: vfs::Space| {
            space.available > (space.total / 20).saturating_add(self.sizes.file_bytes)
        };
        self.vfs.space().is_none_or(enough)
    }

    /// Makes a file with its space reserved, and nothing written.
    fn make(&self) -> io::Result<()> {
        let name = self.next_name();
        let file = self.vfs.create(&name)?;
        let length = self.sizes.file_bytes;
        if let Err(error) = file.allocate(length) {
            remove(self.vfs.as_ref(), &name);
            return Err(error);
        }
        self.shelf().free.push(Free { name, file, length, filled: 0 });
        Ok(())
    }

    fn next_name(&self) -> String {
        let mut shelf = self.shelf();
        let number = shelf.next_number;
        shelf.next_number += 1;
        format!("{number:020}.free")
    }

    /// Writes some zeros behind what was written; the file is back in the pool afterwards.
    fn fill(&self, mut free: Free) -> Step {
        let end = (free.filled + CHUNK_BYTES).min(self.sizes.file_bytes);
        let zeros = vec![0; usize::try_from(end - free.filled).unwrap_or_default()];
        self.zeroing.store(true, Ordering::Relaxed);
        // A commit on the same disk waits for what is dirty: never leave much of it.
        let written = vfs::write_all(free.file.as_ref(), &zeros, free.filled)
            .and_then(|()| free.file.fdatasync());
        self.zeroing.store(false, Ordering::Relaxed);
        match written {
            Ok(()) => {
                free.filled = end;
                free.length = free.length.max(end);
                self.shelf().free.push(free);
                Step::Zeroed(zeros.len() as u64)
            }
            Err(error) => {
                tracing::warn!(%error, name = free.name, "a free segment could not be filled");
                self.discard(free);
                let later = Instant::now() + RETRY;
                self.shelf().not_before = Some(later);
                Step::Nothing(Some(later))
            }
        }
    }

    /// A released segment becomes a free file, or goes.
    fn recycle(&self, segment: Arc<Segment>) {
        let name = segment::name(segment.header.sequence);
        let (length, filled) = (segment.length(), segment.filled());
        let room = self.len() < self.most();
        let useful = self.sizes.rewrites && self.sizes.fits(length);
        // Whoever still reads the segment keeps its file; the new header must not reach them.
        let alone = Arc::into_inner(segment);
        let Some(segment) = alone.filter(|_| room && useful) else {
            return remove(self.vfs.as_ref(), &name);
        };
        let free = self.next_name();
        // The old name must be gone for good before the file is written again: a loss of power
        // could otherwise bring two names for one file back.
        let renamed = self.vfs.rename(&name, &free).and_then(|()| self.vfs.fsync_dir(""));
        match renamed {
            Ok(()) => {
                let file = segment.share_file();
                self.shelf().free.push(Free { name: free, file, length, filled });
            }
            Err(error) => tracing::warn!(%error, name, "a segment could not be recycled"),
        }
    }

    /// Waits until there may be something to do; false once the pool is closed.
    pub(crate) fn wait(&self, until: Option<Instant>) -> bool {
        let shelf = self.shelf();
        let idle = |shelf: &mut Shelf| !shelf.news && !shelf.closed;
        let mut shelf = match until {
            None => self.wake.wait_while(shelf, idle).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                let waited = self.wake.wait_timeout_while(shelf, left, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        shelf.news = false;
        !shelf.closed
    }

    /// Ends the work of whoever waits.
    pub(crate) fn close(&self) {
        self.shelf().closed = true;
        self.wake.notify_all();
    }
}

impl Sizes {
    fn most(&self) -> usize {
        self.spare + RESERVE
    }

    /// Whether a file of that length is worth keeping.
    fn fits(&self, length: u64) -> bool {
        (self.file_bytes / 2..=self.file_bytes + self.file_bytes / 4).contains(&length)
    }

    fn is_filled(&self, free: &Free) -> bool {
        free.filled >= self.file_bytes
    }
}

fn remove(vfs: &dyn Vfs, name: &str) {
    if let Err(error) = vfs.remove(name)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, name, "an unneeded file could not be removed");
    }
}
