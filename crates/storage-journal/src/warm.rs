//! The memory in which the operating system caches resting files.
//!
//! Those who lag behind read what was drained just now, so the newest of it stays cached. What is
//! older than that would only push out what is hot, and each file would take memory of its own:
//! a server that stores much would fill the machine with copies of its disk.

use std::collections::VecDeque;

use crate::drain::Written;
use crate::rest::unit;
use crate::vfs::Vfs;

/// Bytes of written units that stay cached.
const WARM_BYTES: u64 = 256 << 20;

/// The newest units.
#[derive(Debug, Default)]
pub(crate) struct Warm {
    /// Names of the files with the data, and their lengths.
    files: VecDeque<(String, u64)>,
    bytes: u64,
}

impl Warm {
    /// A unit was written: lets the oldest go.
    pub(crate) fn add(&mut self, vfs: &dyn Vfs, unit: &Written) {
        self.files.extend(unit::names(unit.id, unit.kind).take(1).map(|name| (name, unit.bytes)));
        self.bytes += unit.bytes;
        while self.bytes > WARM_BYTES
            && let Some((name, bytes)) = self.files.pop_front()
        {
            self.bytes -= bytes;
            // It may be gone: merged into another.
            if let Ok(file) = vfs.open(&name) {
                file.forget();
            }
        }
    }
}
