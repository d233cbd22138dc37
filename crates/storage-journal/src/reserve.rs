//! Space that is kept for what frees space: a file that holds nothing (storage rule 7).
//!
//! ```text
//!  there     nobody uses it, its blocks are taken
//!  given up  a drain, a merge or a checkpoint has found no space: the file is gone, and until it
//!            is back nothing new is stored, so that nobody else takes what it has left
//! ```
//!
//! Only a file that was there is waited for: on a disk that never had room for it the engine does
//! without.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::vfs::{self, Space, Vfs};

/// Its name.
pub(crate) const NAME: &str = "maintenance.reserve";
/// Beside what is copied: headers, indexes, a manifest.
const MARGIN: u64 = 64 << 10;
/// It takes at most this, or a twentieth of the disk if that is more.
const BYTES_MAX: u64 = 256 << 20;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Reserve {
    vfs: Arc<dyn Vfs>,
    /// Length of the file; 0 while there is none.
    bytes: AtomicU64,
    /// Length that it had when it was given up; 0 unless it was.
    owed: AtomicU64,
}

/// What the largest step of maintenance may write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// Segments that are drained at once, in bytes.
    pub(crate) drain: u64,
    /// The largest resting file.
    pub(crate) unit: u64,
    /// The state tables.
    pub(crate) state: u64,
}

impl Need {
    /// The reserve for it, on this disk.
    fn bytes(&self, space: Option<Space>) -> u64 {
        // A file is written anew when less than half of it is needed, tables also as a whole.
        let needed = self.drain.max(self.unit / 2) + 2 * self.state + MARGIN;
        let most =
            space.map_or(u64::MAX, |space| (space.total / 20).max(BYTES_MAX).min(space.total / 16));
        needed.min(most) & !4095
    }
}

impl Reserve {
    /// The reserve of a folder, as it was left.
    pub(crate) fn open(vfs: Arc<dyn Vfs>) -> Self {
        let length = vfs.open(NAME).and_then(|file| file.length()).unwrap_or_default();
        Self { vfs, bytes: AtomicU64::new(length), owed: AtomicU64::new(0) }
    }

    /// Bytes that it takes now.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// Whether its space is in use, or not back yet.
    pub(crate) fn is_given_up(&self) -> bool {
        self.owed.load(Ordering::Acquire) > 0
    }

    /// Gives the space up; false when there is none to give.
    pub(crate) fn give_up(&self) -> bool {
        let bytes = self.bytes();
        if bytes == 0 {
            return false;
        }
        // First of all nobody else may take it.
        self.owed.store(bytes, Ordering::Release);
        self.bytes.store(0, Ordering::Release);
        if let Err(error) = self.vfs.remove(NAME) {
            tracing::warn!(%error, "the reserve could not be given up");
        }
        true
    }

    /// Makes what is owed again.
    ///
    /// # Errors
    ///
    /// What the disk says; it is then owed still.
    pub(crate) fn restore(&self) -> io::Result<()> {
        let owed = self.owed.load(Ordering::Acquire);
        if owed > 0 {
            self.make(owed)?;
            self.owed.store(0, Ordering::Release);
        }
        Ok(())
    }

    /// Makes it large enough, where that leaves most of the space to others.
    ///
    /// # Errors
    ///
    /// What the disk says; it is then as it was.
    pub(crate) fn suit(&self, need: Need) -> io::Result<()> {
        let space = self.vfs.space();
        let (wanted, bytes) = (need.bytes(space), self.bytes());
        let more = wanted.saturating_sub(bytes);
        let fits = space.is_none_or(|space| space.available / 4 >= more);
        if self.is_given_up() || !fits || more <= bytes / 4 {
            return Ok(());
        }
        self.make(wanted)
    }

    fn make(&self, length: u64) -> io::Result<()> {
        let (file, is_new) = match self.vfs.open(NAME) {
            Ok(file) => (file, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (self.vfs.create(NAME)?, true),
            Err(error) => return Err(error),
        };
        if let Err(error) = file.allocate(length) {
            if is_new {
                vfs::remove_if_there(self.vfs.as_ref(), NAME)?;
            }
            return Err(error);
        }
        self.bytes.store(length, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimFs;

    const NEED: Need = Need { drain: 100 << 10, unit: 0, state: 0 };

    #[test]
    fn what_is_given_up_is_owed_until_there_is_space_again() {
        let sim = SimFs::new(1);
        let reserve = Reserve::open(Arc::new(sim.clone()));
        assert!(!reserve.give_up() && !reserve.is_given_up(), "there was none");
        reserve.suit(NEED).expect("space");
        let bytes = reserve.bytes();
        assert_eq!((bytes, sim.taken_bytes() as u64), (164 << 10, 164 << 10));
        assert_eq!(Reserve::open(Arc::new(sim.clone())).bytes(), bytes, "found again");
        assert!(reserve.give_up() && reserve.is_given_up());
        assert_eq!((reserve.bytes(), sim.taken_bytes()), (0, 0));
        sim.set_capacity(Some(100 << 10));
        reserve.restore().expect_err("no space");
        reserve.suit(NEED).expect("that waits");
        assert!(reserve.is_given_up() && sim.taken_bytes() == 0);
        sim.set_capacity(None);
        reserve.restore().expect("space");
        assert_eq!((reserve.is_given_up(), reserve.bytes()), (false, bytes));
    }

    #[test]
    fn it_suits_the_need_and_the_disk() {
        let on = |total| Some(Space { total, available: total, rewrites: true });
        let need = Need { drain: 256 << 20, unit: 4 << 30, state: 10 << 20 };
        let exact = (2 << 30) + (20 << 20) + MARGIN;
        assert_eq!(need.bytes(None), exact);
        assert_eq!(need.bytes(on(1 << 40)), exact);
        assert_eq!(need.bytes(on(20 << 30)), 1 << 30, "a twentieth");
        assert_eq!(need.bytes(on(1 << 30)), 64 << 20);
        assert_eq!(need.bytes(on(64 << 20)), 4 << 20, "a sixteenth");
    }
}
