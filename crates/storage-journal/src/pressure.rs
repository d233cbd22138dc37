//! Whether the lane takes writes, and since when: good, full, or poisoned.
//!
//! Full is left when space returns, poisoned never. Each change is logged once, with what to do.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};

use storage::Health;

use crate::vfs;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    health: AtomicU8,
    since_ms: AtomicI64,
    /// Not even writes that free space find any.
    exhausted: AtomicBool,
}

impl Pressure {
    pub(crate) fn health(&self) -> Health {
        match self.health.load(Ordering::Acquire) {
            0 => Health::Good,
            1 => Health::Full,
            2.. => Health::Poisoned,
        }
    }

    /// Wall clock at the last change of health; 0 before the first.
    pub(crate) fn since_ms(&self) -> i64 {
        self.since_ms.load(Ordering::Relaxed)
    }

    fn change(&self, health: u8, wall_ms: i64) -> bool {
        let before = self.health.fetch_max(health, Ordering::AcqRel);
        if before < health {
            self.since_ms.store(wall_ms, Ordering::Relaxed);
        }
        before < health
    }

    /// The disk has refused a write.
    pub(crate) fn fill(&self, error: &io::Error, wall_ms: i64) {
        if !self.change(1, wall_ms) {
            return;
        }
        if vfs::is_full(error) {
            tracing::error!(
                %error,
                "no space left for the data folder: nothing new is stored until there is; remove \
                 other files or enlarge the disk; reading and acknowledging go on"
            );
        } else {
            tracing::error!(
                %error,
                "the data folder takes no writes: nothing new is stored until it does; look at \
                 its mount, its permissions and its disk; reading goes on"
            );
        }
    }

    /// Nor is there any for a write that frees.
    pub(crate) fn exhaust(&self, error: &io::Error) {
        if !self.exhausted.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "not even acknowledgements find space in the data folder");
        }
    }

    /// Space has returned.
    pub(crate) fn relieve(&self, wall_ms: i64) {
        let full = self.health.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Acquire);
        if full.is_ok() {
            self.since_ms.store(wall_ms, Ordering::Relaxed);
            self.exhausted.store(false, Ordering::Relaxed);
            tracing::info!("the data folder takes writes again");
        }
    }

    /// A sync has failed.
    pub(crate) fn poison(&self, wall_ms: i64) {
        if self.change(2, wall_ms) {
            tracing::error!(
                "the journal takes no more writes until the server is started again: a sync has \
                 failed, so nobody knows what the disk holds; reading goes on"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_comes_and_goes_and_poisoned_stays() {
        let pressure = Pressure::default();
        let full = io::ErrorKind::StorageFull.into();
        assert_eq!((pressure.health(), pressure.since_ms()), (Health::Good, 0));
        pressure.fill(&full, 1);
        pressure.fill(&full, 2);
        assert_eq!((pressure.health(), pressure.since_ms()), (Health::Full, 1));
        pressure.relieve(3);
        assert_eq!((pressure.health(), pressure.since_ms()), (Health::Good, 3));
        pressure.fill(&full, 4);
        pressure.poison(5);
        pressure.relieve(6);
        pressure.fill(&full, 7);
        assert_eq!((pressure.health(), pressure.since_ms()), (Health::Poisoned, 5));
    }
}
