//! The debt of the drain: segments that wait longer than they should, and what that costs writers.
//!
//! A start replays the segments that wait for a drain, and they take space, so there must not be
//! too many (storage rule 5). Beyond an allowance each segment halves the rate at which data is
//! taken: whatever a drain gets done in a second, somewhere writers are slower than that. They
//! feel it as latency first, then the queue is full. Data is never stopped, and what frees space
//! is not slowed down.

use std::time::Duration;

/// What a drain copies in a second when it may be as fast as it can, about.
const RATE: u64 = 512 << 20;
/// With one segment too many data is taken so many times as fast as a drain copies: first it is
/// to feel latency, and the drain, which gets faster as well, is to win.
const HEADROOM: u64 = 4;
/// A group is followed by a pause of this length at most.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How many segments may wait, and what happens beyond.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Full segments that may wait.
    pub(crate) segments: u64,
    /// Length of one.
    pub(crate) segment_bytes: u64,
    /// Bytes of data a second that are taken with the first segment too many.
    pub(crate) bytes_per_second: u64,
}

impl Allowance {
    /// Any number may wait: nothing is written.
    pub(crate) const ANY: Self = Self { segments: u64::MAX, segment_bytes: 0, bytes_per_second: 0 };

    /// Twice what starts a drain: a drain that keeps up never lets so many wait.
    pub(crate) fn of(drain_segments: usize, segment_bytes: u64, drain_rate: u64) -> Self {
        let drain_rate = if drain_rate == 0 { RATE } else { drain_rate };
        let bytes_per_second = drain_rate.saturating_mul(HEADROOM);
        Self { segments: 2 * drain_segments as u64, segment_bytes, bytes_per_second }
    }

    /// Segments too many, when so many wait.
    pub(crate) fn debt(&self, waiting: u64) -> u64 {
        waiting.saturating_sub(self.segments)
    }

    /// How long data waits after a group with so many bytes of it.
    pub(crate) fn pause(&self, waiting: u64, bytes: usize) -> Duration {
        let Some(halvings) = self.debt(waiting).checked_sub(1) else { return Duration::ZERO };
        let halvings = u32::try_from(halvings).unwrap_or(u32::MAX);
        let rate = self.bytes_per_second.checked_shr(halvings).unwrap_or_default();
        let seconds = bytes as f64 / rate.max(1) as f64;
        Duration::from_secs_f64(seconds.min(PAUSE_MAX.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_segment_too_many_halves_the_rate_and_nothing_stops_it() {
        let allowance = Allowance::of(4, 64 << 20, 256 << 10);
        assert_eq!(allowance.pause(8, 1 << 20), Duration::ZERO);
        assert_eq!(allowance.pause(9, 100 << 10), Duration::from_secs_f64(100.0 / 1024.0));
        assert_eq!(allowance.pause(10, 100 << 10), Duration::from_secs_f64(200.0 / 1024.0));
        for waiting in [20, 40, 100, u64::MAX] {
            assert_eq!(allowance.pause(waiting, 1 << 20), PAUSE_MAX);
        }
        assert_eq!((allowance.debt(7), allowance.debt(11)), (0, 3));
    }
}
