//! What the lane measures: histograms and counters that it writes and anybody reads, without locks.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of each power of two.
const STEPS: u64 = 8;
/// Powers of two that are told apart; what is larger counts as the largest.
const POWERS: u64 = 44;
const BUCKETS: usize = (STEPS * (POWERS + 1)) as usize;

/// A histogram on a logarithmic scale: quantiles are right to an eighth.
pub(crate) struct Histogram {
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
    max: AtomicU64,
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, sum: AtomicU64::new(0), max: AtomicU64::new(0) }
    }
}

/// A histogram as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// Half of them are at most this, to an eighth.
    pub p50: u64,
    /// All but one in a hundred are at most this, to an eighth.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

impl Histogram {
    /// Takes in a value; by one thread at a time for each histogram, or some sums are missed.
    pub(crate) fn record(&self, value: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(value)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
        self.max.fetch_max(value, Ordering::Relaxed);
    }

    /// Takes in a duration, in nanoseconds.
    pub(crate) fn record_time(&self, time: Duration) {
        self.record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn read(&self) -> Spread {
        let counts: Vec<u64> =
            self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        let max = self.max.load(Ordering::Relaxed);
        let quantile = |part: u64, of: u64| {
            let rank = (count * part).div_ceil(of).max(1);
            let mut seen = 0;
            let found = counts.iter().position(|bucket| {
                seen += bucket;
                seen >= rank
            });
            found.map_or(0, |bucket| end_of(bucket).min(max))
        };
        let sum = self.sum.load(Ordering::Relaxed);
        Spread { count, sum, p50: quantile(1, 2), p99: quantile(99, 100), max }
    }
}

impl Histogram {
    /// How many values are at most each of these powers of two, to an eighth; then how many there
    /// are, and their sum.
    pub(crate) fn below(&self, powers: Range<u32>) -> (Vec<u64>, u64, u64) {
        let counts: Vec<u64> =
            self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let below = |power: u32| counts.iter().take(bucket_of(1_u64 << power) + 1).sum();
        let below = powers.map(below).collect();
        (below, counts.iter().sum(), self.sum.load(Ordering::Relaxed))
    }
}

fn bucket_of(value: u64) -> usize {
    let power = u64::from(value.max(1).ilog2());
    let bucket = if power < 3 {
        value
    } else if power < POWERS {
        let step = (value >> (power - 3)) - STEPS;
        (power - 2) * STEPS + step
    } else {
        return BUCKETS - 1;
    };
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn end_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let (power, step) = (bucket / STEPS + 2, bucket % STEPS);
    if power >= POWERS { u64::MAX } else { ((STEPS + step + 1) << (power - 3)) - 1 }
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    /// Bytes of each group, padding included.
    pub(crate) group_bytes: Histogram,
    last_group_bytes: AtomicU64,
    /// Writes of each group.
    pub(crate) group_writes: Histogram,
    /// From the arrival of a group's first write to its completion.
    pub(crate) commits: Histogram,
    /// Syncs of groups.
    pub(crate) syncs: Histogram,
    /// Groups that were planned and written while the one before was synced.
    pub(crate) overlapped: AtomicU64,
    /// Groups that waited for more writes because syncs are slow.
    pub(crate) lingered: AtomicU64,
    /// Groups after which data had to wait because too many segments wait for a drain.
    pub(crate) paused: AtomicU64,
    /// Syncs that took unusually long.
    pub(crate) slow_syncs: AtomicU64,
    /// Writes refused because the disk is full.
    pub(crate) refused_full: AtomicU64,
    /// Writes refused because too much waits.
    pub(crate) refused_busy: AtomicU64,
    /// Something else writes much to the same disk now: named when a sync is slow.
    pub(crate) draining: AtomicBool,
}

/// What waits before the lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// Writes with data, and those that must not overtake them.
    pub data_writes: usize,
    /// Their bytes, with those being committed.
    pub data_bytes: usize,
    /// Writes that only free.
    pub control_writes: usize,
    /// Their bytes, with those being committed.
    pub control_bytes: usize,
}

/// All that the lane has measured since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Readings {
    /// Bytes of each group, padding included.
    pub group_bytes: Spread,
    /// Writes of each group.
    pub group_writes: Spread,
    /// From the arrival of a group's first write to its completion, in nanoseconds.
    pub commit_ns: Spread,
    /// Syncs of groups, in nanoseconds.
    pub sync_ns: Spread,
    /// Padding bytes written.
    pub padding_bytes: u64,
    /// Groups that were planned and written while the one before was synced.
    pub overlapped_groups: u64,
    /// Groups that waited for more writes because syncs are slow.
    pub lingered_groups: u64,
    /// Groups after which data had to wait because too many segments wait for a drain.
    pub paused_groups: u64,
    /// Syncs that took unusually long.
    pub slow_syncs: u64,
    /// Writes refused because the disk is full.
    pub refused_full: u64,
    /// Writes refused because too much waits.
    pub refused_busy: u64,
    /// Free segments in the pool.
    pub pool_segments: usize,
    /// Bytes of the pool.
    pub pool_bytes: u64,
    /// What waits now.
    pub queued: Queued,
}

impl Meters {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn last_group_bytes(&self) -> u64 {
        self.last_group_bytes.load(Ordering::Relaxed)
    }

    /// A group was written.
    pub(crate) fn note_group(&self, bytes: u64) {
        self.group_bytes.record(bytes);
        self.last_group_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Readings {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Readings {
            group_bytes: self.group_bytes.read(),
            group_writes: self.group_writes.read(),
            commit_ns: self.commits.read(),
            sync_ns: self.syncs.read(),
            overlapped_groups: count(&self.overlapped),
            lingered_groups: count(&self.lingered),
            paused_groups: count(&self.paused),
            slow_syncs: count(&self.slow_syncs),
            refused_full: count(&self.refused_full),
            refused_busy: count(&self.refused_busy),
            ..Readings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_ends_at_most_an_eighth_above_it() {
        let mut last = 0;
        for power in 0..44 {
            for value in [1_u64 << power, (1 << power) + (1 << power) / 3, (2 << power) - 1] {
                let end = end_of(bucket_of(value));
                assert!(value <= end && end <= value + value / 8, "{value} in one up to {end}");
                assert!(bucket_of(value) >= last);
                last = bucket_of(value);
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(end_of(bucket_of(0)), 0);
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let histogram = Histogram::default();
        assert_eq!(histogram.read(), Spread::default());
        for value in 1..=1_000 {
            histogram.record(value);
        }
        let spread = histogram.read();
        assert_eq!((spread.count, spread.sum, spread.max), (1_000, 500_500, 1_000));
        assert!((500..=563).contains(&spread.p50), "{}", spread.p50);
        assert!((990..=1_000).contains(&spread.p99), "{}", spread.p99);
    }

    #[test]
    fn values_below_a_power_of_two_are_counted_to_an_eighth() {
        let histogram = Histogram::default();
        for value in [1, 2, 3, 8, 9, 1_000] {
            histogram.record(value);
        }
        assert_eq!(histogram.below(0..5), (vec![1, 2, 3, 4, 5], 6, 1_023));
        assert_eq!(histogram.below(9..11), (vec![5, 6], 6, 1_023));
    }
}
