//! Crashes of the bare log on the simulated disk, checked against what was written and promised.

use std::collections::BTreeMap;
use std::sync::Arc;

use storage_journal::frame::FrameKind;
use storage_journal::group::GroupBuilder;
use storage_journal::random::Random;
use storage_journal::recovery::{self, OpenError, Start};
use storage_journal::sim::{CrashModel, Fault, SimFs};
use storage_journal::wal::{Claim, Clocks, Wal, WalOptions, WriteError};

/// Groups by number, each the list of its bodies.
type Groups = BTreeMap<u64, Vec<Vec<u8>>>;

fn open(sim: &SimFs, random: &mut Random) -> Result<(Wal, Groups), OpenError> {
    let start = Start {
        options: WalOptions { segment_bytes: 64 << 10, ..WalOptions::default() },
        uuids: Random::new(u128::from(random.next_u64())),
        wall_ms: 1_000,
        oldest: 0,
        proven: 0,
    };
    let mut groups = Groups::new();
    let (wal, _) = recovery::open(Arc::new(sim.clone()), start, &mut |group| {
        let bodies = group.frames.iter().map(|frame| frame.body.to_vec()).collect();
        assert_eq!(groups.insert(group.lsn, bodies), None, "a group is shown once");
        Ok(())
    })?;
    Ok((wal, groups))
}

/// What the log has promised.
#[derive(Default)]
struct Oracle {
    /// Contents of every group that was ever written, by number: several after dropped tails.
    written: BTreeMap<u64, Vec<Vec<Vec<u8>>>>,
    /// Groups that were promised, or shown by a recovery: fixed for ever.
    fixed: Groups,
}

impl Oracle {
    fn check(&mut self, shown: Groups, oldest_kept: u64) {
        for (lsn, group) in self.fixed.range(oldest_kept..) {
            assert_eq!(shown.get(lsn), Some(group), "promised group {lsn}");
        }
        for (lsn, group) in &shown {
            let written = self.written.get(lsn).is_some_and(|all| all.contains(group));
            assert!(written, "group {lsn} was never written");
        }
        let last = shown.last_key_value().map_or(0, |(lsn, _)| *lsn);
        assert_eq!(shown.range(oldest_kept..).count() as u64, last + 1 - oldest_kept.min(last + 1));
        // What was dropped can never return.
        for (lsn, all) in self.written.iter_mut().filter(|(lsn, _)| **lsn > last) {
            assert!(!self.fixed.contains_key(lsn));
            all.clear();
        }
        self.fixed = shown;
    }
}

fn random_group(random: &mut Random) -> (GroupBuilder, Vec<Vec<u8>>) {
    let mut group = GroupBuilder::new();
    let mut bodies = Vec::new();
    for _ in 0..random.below(4) {
        let mut body = random.next_u64().to_le_bytes().to_vec();
        body.resize(8 + random.below(6000) as usize, body[0]);
        group
            .push((FrameKind::Data, 0, 1), |_| {}, |out| out.extend_from_slice(&body))
            .expect("short");
        bodies.push(body);
    }
    (group, bodies)
}

/// Writes until the disk dies or enough was written; true while the process lives.
fn write_some(wal: &mut Wal, random: &mut Random, oracle: &mut Oracle) -> bool {
    let mut unsynced = Groups::new();
    for _ in 0..random.below(20) {
        let (mut group, bodies) = random_group(random);
        if wal.wants_roll(group.length()) {
            match wal.roll(0, Clocks::default(), Claim::Data) {
                Ok(()) => oracle.fixed.append(&mut unsynced),
                Err(WriteError::Refused(_)) => continue,
                Err(_) => return false,
            }
        }
        let lsn = wal.written_lsn() + 1;
        oracle.written.entry(lsn).or_default().push(bodies.clone());
        match wal.append(&mut group, Clocks::default()) {
            Ok(placed) => {
                assert_eq!(placed.lsn, lsn, "numbers are dense");
                unsynced.insert(lsn, bodies);
            }
            Err(WriteError::Refused(_)) => continue,
            Err(_) => return false,
        }
        if random.chance(60) {
            match wal.sync() {
                Ok(()) => oracle.fixed.append(&mut unsynced),
                Err(_) => return false,
            }
        }
    }
    true
}

fn crash_model(random: &mut Random) -> CrashModel {
    if random.chance(60) { CrashModel::Power } else { CrashModel::Kill }
}

#[test]
fn promised_groups_survive_and_dropped_ones_never_return() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let mut sim = SimFs::new(seed as u64);
        let mut oracle = Oracle::default();
        for _ in 0..8 {
            if random.chance(50) {
                sim.die_after(random.below(60));
            }
            for fault in [Fault::NoSpace, Fault::ShortWrite, Fault::SyncFails] {
                if random.chance(10) {
                    sim.inject(fault, random.below(20));
                }
            }
            match open(&sim, &mut random) {
                Ok((mut wal, shown)) => {
                    oracle.check(shown, 1);
                    write_some(&mut wal, &mut random, &mut oracle);
                }
                Err(OpenError::Io { .. }) => {}
                Err(error) => panic!("seed {seed}: {error:?}"),
            }
            if random.chance(10) {
                sim.evict();
            }
            sim = sim.crash(crash_model(&mut random));
        }
        let (_, shown) = open(&sim, &mut random).expect("a crash never damages the log");
        oracle.check(shown, 1);
    }
}

#[test]
fn recovery_may_crash_at_every_operation_and_still_finds_the_same() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let sim = SimFs::new(seed as u64);
        let mut oracle = Oracle::default();
        let (mut wal, _) = open(&sim, &mut random).expect("empty");
        assert!(write_some(&mut wal, &mut random, &mut oracle));
        let mut sim = sim.crash(CrashModel::Kill);
        let written = oracle.written.last_key_value().map_or(0, |(lsn, _)| *lsn);
        for step in 0.. {
            sim.die_after(step);
            let died = open(&sim, &mut random).is_err();
            // A kill keeps all that was written, so nothing at all may get lost.
            sim = sim.crash(CrashModel::Kill);
            let (_, shown) = open(&sim, &mut random).expect("recovers");
            assert_eq!(shown.len() as u64, written, "seed {seed} step {step}");
            oracle.check(shown, 1);
            sim = sim.crash(crash_model(&mut random));
            if !died {
                break;
            }
        }
    }
}

#[test]
fn a_start_may_end_anywhere_twice_before_the_power_goes() {
    for seed in 0..8 {
        for (first, second) in (0..9).flat_map(|first| (0..9).map(move |second| (first, second))) {
            let (mut sim, mut random) = synced_log(seed);
            for step in [first, second] {
                sim = sim.crash(CrashModel::Kill);
                sim.die_after(step);
                let _ = open(&sim, &mut random);
            }
            sim = sim.crash(CrashModel::Power);
            let (_, shown) = open(&sim, &mut random).expect("a crash never damages the log");
            assert_eq!(shown.len(), 3, "seed {seed}, ended at {first} and {second}");
        }
    }
}

fn synced_log(seed: u64) -> (SimFs, Random) {
    let mut random = Random::new(u128::from(seed));
    let sim = SimFs::new(seed);
    let (mut wal, _) = open(&sim, &mut random).expect("empty");
    for _ in 0..3 {
        let (mut group, _) = random_group(&mut random);
        wal.append(&mut group, Clocks::default()).expect("space");
        wal.sync().expect("syncs");
    }
    (sim, random)
}

#[test]
fn a_flipped_bit_below_the_durable_mark_is_refused() {
    let name = "00000000000000000001.seg";
    let (sim, mut random) = synced_log(11);
    let image = sim.contents(name).expect("the first segment");
    // The last group is not witnessed by a later one: it is outside of what can be proven.
    let last = (8192..image.len()).step_by(4096).rfind(|at| image[*at..].starts_with(b"RQGP"));
    for _ in 0..300 {
        let (sim, _) = synced_log(11);
        let byte = 8192 + random.below(last.expect("three groups") as u64 - 8192) as usize;
        assert!(sim.flip_bit(name, byte, random.below(8) as u8));
        let sim = sim.crash(CrashModel::Kill);
        let error = open(&sim, &mut random).expect_err("damaged");
        assert!(matches!(error, OpenError::Corrupt { segment: 1, .. }), "{error:?}");
        assert!(error.to_string().contains("damaged"));
    }
}

#[test]
fn a_missing_segment_is_corruption_and_never_a_fresh_start() {
    use storage_journal::vfs::Vfs;
    let (sim, mut random) = synced_log(5);
    let sim = sim.crash(CrashModel::Kill);
    open(&sim, &mut random).expect("whole");
    sim.remove("00000000000000000001.seg").expect("exists");
    let sim = sim.crash(CrashModel::Kill);
    let error = open(&sim, &mut random).expect_err("the chain has no beginning");
    assert!(matches!(error, OpenError::Corrupt { segment: 2, .. }), "{error:?}");
}

#[test]
fn removed_segments_stay_away_whatever_the_crash_does_to_their_names() {
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let mut sim = SimFs::new(seed as u64);
        let mut oracle = Oracle::default();
        let mut oldest_lsn = 1;
        for _ in 0..5 {
            let (mut wal, shown) = open(&sim, &mut random).expect("recovers");
            oracle.check(shown, oldest_lsn);
            assert!(write_some(&mut wal, &mut random, &mut oracle));
            if random.chance(60) {
                wal.keep();
            }
            if random.chance(50) {
                let next = wal.segment() + 1;
                wal.roll(next, Clocks::default(), Claim::Data).expect("space");
                assert_eq!(wal.segments().range(), Some((next, next)));
                oldest_lsn = wal.written_lsn() + 1;
                oracle.fixed.clear();
                oracle.written.clear();
                if random.chance(50) {
                    sim.die_after(random.below(12));
                    wal.keep();
                }
            }
            sim = sim.crash(crash_model(&mut random));
        }
    }
}

#[test]
fn the_engine_clock_counts_downtime_up_to_thirty_days_and_never_goes_back() {
    let sim = SimFs::new(1);
    let at = |wall_ms| Start {
        options: WalOptions::default(),
        uuids: Random::new(7),
        wall_ms,
        oldest: 0,
        proven: 0,
    };
    let day = 24 * 3600 * 1000;
    let run = |wall_ms: i64, uuid| {
        let mut start = at(wall_ms);
        start.uuids = Random::new(uuid);
        recovery::open(Arc::new(sim.clone()), start, &mut |_| Ok(())).expect("opens").1.engine_ms
    };
    let first = run(1_000, 1);
    assert_eq!(run(1_000 + day, 2), first + day);
    assert_eq!(run(1_000 - 3650 * day, 3), first + day, "the wall clock went back");
    assert_eq!(run(1_000 + 3650 * day, 4), first + 31 * day);
}
