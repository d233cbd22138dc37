//! What the engine measures, as figures and distributions of the contract.

use storage::{Distribution, Figure};

use crate::meters::{Histogram, Meters, Queued};

/// Nanoseconds of a second.
const SECOND: f64 = 1e9;

/// Figures of the lane: what waits before it, what it met, and how many free segments it has.
pub(crate) fn of_lane(meters: &Meters, queued: &Queued, pool: usize) -> Vec<Figure> {
    let readings = meters.read();
    let figure = |name, about, value: u64| Figure { name, about, value: value as f64 };
    vec![
        figure("queued_data_writes", "Writes with data that wait.", queued.data_writes as u64),
        figure(
            "queued_data_bytes",
            "Bytes of writes with data that wait.",
            queued.data_bytes as u64,
        ),
        figure(
            "queued_control_writes",
            "Writes that only free and wait.",
            queued.control_writes as u64,
        ),
        figure(
            "queued_control_bytes",
            "Bytes of writes that only free and wait.",
            queued.control_bytes as u64,
        ),
        figure(
            "overlapped_groups_total",
            "Groups that were written while the one before was synced.",
            readings.overlapped_groups,
        ),
        figure(
            "lingered_groups_total",
            "Groups that waited for more writes because syncs are slow.",
            readings.lingered_groups,
        ),
        figure("pool_segments", "Free segments.", pool as u64),
        figure("slow_syncs_total", "Syncs that took unusually long.", readings.slow_syncs),
        figure(
            "refused_full_total",
            "Writes refused because the disk is full.",
            readings.refused_full,
        ),
        figure(
            "refused_busy_total",
            "Writes refused because too much waits.",
            readings.refused_busy,
        ),
    ]
}

/// How the lane's groups are distributed.
pub(crate) fn distributions(meters: &Meters) -> Vec<Distribution> {
    let of = |histogram: &Histogram, name, about, (unit, powers): (f64, std::ops::Range<u32>)| {
        let (below, count, sum) = histogram.below(powers.clone());
        let ends = powers.map(|power| (1_u64 << power) as f64 / unit);
        let buckets = ends.zip(below).collect();
        Distribution { name, about, buckets, count, sum: sum as f64 / unit }
    };
    vec![
        of(
            &meters.commits,
            "commit_seconds",
            "From the arrival of a group's first write to its completion.",
            (SECOND, 14..34),
        ),
        of(&meters.syncs, "sync_seconds", "Syncs of groups.", (SECOND, 14..34)),
        of(
            &meters.group_bytes,
            "commit_bytes",
            "Bytes of each group, padding included.",
            (1.0, 12..24),
        ),
        of(&meters.group_writes, "commit_writes", "Writes of each group.", (1.0, 0..14)),
    ]
}
