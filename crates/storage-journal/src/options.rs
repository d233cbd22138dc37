//! How a journal works.

use std::time::Duration;

use crate::maintenance::Policy;

/// How a journal works; the server's configuration in the terms of this crate.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Length at which a segment is followed by the next one, at most 1 GiB; less on a small disk.
    pub segment_bytes: u64,
    /// Free segments that are kept ready, beside two that are for groups without data; fewer on a
    /// small disk.
    pub spare_segments: usize,
    /// Bytes that may wait to be written.
    pub pending_bytes: usize,
    /// Bytes of the newest batches that are kept for readers.
    pub cache_bytes: usize,
    /// Bytes of indexes of resting files that are kept for readers.
    pub index_bytes: usize,
    /// Full segments beyond which the oldest are drained to resting files, down to half of that.
    pub drain_segments: usize,
    /// A log of which so many bytes are drained at once gets a file of its own.
    pub hot_bytes: u64,
    /// Bytes that draining and merging copy in a second, at most; 0 for as fast as it goes.
    pub drain_bytes_per_second: u64,
    /// Changed rows of the state that are worth a checkpoint of their own.
    pub checkpoint_rows: usize,
    /// After this time what was appended asynchronously is synced.
    pub sync_interval: Duration,
    /// Writes that nobody waits for, and that append nothing, are written after this time.
    pub lazy_interval: Duration,
    /// They are synced with the next group that is, or after this time.
    pub lazy_sync_interval: Duration,
    /// After this time without a write an empty group witnesses the last one.
    pub witness_interval: Duration,
    /// While the disk is full, or has failed what goes on in the background, it is tried again
    /// after this time.
    pub full_retry_interval: Duration,
    /// From the operating system's randomness, never the same in two starts.
    pub seed: u128,
    /// Milliseconds since 1970.
    pub wall_ms: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            // As many as a drain lets go of at once: the log then runs on used segments only.
            spare_segments: 3,
            pending_bytes: 64 << 20,
            cache_bytes: 16 << 20,
            index_bytes: 16 << 20,
            drain_segments: 4,
            hot_bytes: 4 << 20,
            drain_bytes_per_second: 256 << 20,
            checkpoint_rows: 100_000,
            sync_interval: Duration::from_millis(50),
            lazy_interval: Duration::from_millis(50),
            lazy_sync_interval: Duration::from_secs(1),
            witness_interval: Duration::from_secs(1),
            full_retry_interval: Duration::from_secs(1),
            seed: 0,
            wall_ms: 0,
        }
    }
}

impl Options {
    /// How maintenance works.
    pub(crate) fn maintenance(&self) -> Policy {
        Policy {
            segments: self.drain_segments.max(2),
            hot_bytes: self.hot_bytes,
            bytes_per_second: self.drain_bytes_per_second,
            changed_rows: self.checkpoint_rows,
            retry: self.full_retry_interval,
        }
    }
}
