//! Spreads copying over time and leaves the disk to commits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::view::View;

/// See the module's text.
pub(crate) struct Throttle {
    bytes_per_second: u64,
    view: Arc<View>,
    since: Instant,
    bytes: u64,
}

impl Throttle {
    /// At most so many bytes a second; 0 for as fast as it goes.
    pub(crate) fn new(bytes_per_second: u64, view: &Arc<View>) -> Self {
        Self { bytes_per_second, view: view.clone(), since: Instant::now(), bytes: 0 }
    }

    /// So many bytes were copied: waits if that was too fast.
    pub(crate) fn take(&mut self, bytes: usize) {
        if self.bytes_per_second == 0 {
            return;
        }
        self.bytes += bytes as u64;
        // About ten milliseconds of work; nothing holds a server up that ends.
        let portion = (self.bytes_per_second / 100).clamp(64 << 10, 1 << 20);
        if self.bytes < portion || self.view.wake.is_ended() {
            return;
        }
        let busy = self.view.counters.pending_bytes.load(Ordering::Relaxed) > 0;
        let rate = match self.view.drain_debt() {
            0 if busy => self.bytes_per_second / 2,
            // Writers are slowed down by now: what helps them is a drain that is not.
            debt => self.bytes_per_second.saturating_mul(1 << debt.min(16)),
        };
        let due = Duration::from_secs_f64(self.bytes as f64 / rate.max(1) as f64);
        std::thread::sleep(due.saturating_sub(self.since.elapsed()));
        self.since = Instant::now();
        self.bytes = 0;
    }
}
