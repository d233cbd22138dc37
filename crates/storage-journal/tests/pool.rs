//! Free segments: when they are made, what becomes of released ones, and that nothing that stood
//! in them is ever seen again.

use std::sync::Arc;

use storage_journal::frame::FrameKind;
use storage_journal::group::GroupBuilder;
use storage_journal::random::Random;
use storage_journal::recovery::{self, OpenError, Start};
use storage_journal::sim::{CrashModel, Fault, SimFs};
use storage_journal::vfs::Vfs;
use storage_journal::wal::{Claim, Clocks, Wal, WalOptions};

const SEGMENT: u64 = 64 << 10;

fn open(sim: &SimFs, seed: u128) -> Result<(Wal, Vec<Vec<u8>>), OpenError> {
    let start = Start {
        options: WalOptions { segment_bytes: SEGMENT, spare_segments: 3 },
        uuids: Random::new(seed),
        wall_ms: 1_000,
        oldest: 0,
        proven: 0,
    };
    let mut bodies = Vec::new();
    let (wal, _) = recovery::open(Arc::new(sim.clone()), start, &mut |group| {
        bodies.extend(group.frames.iter().map(|frame| frame.body.to_vec()));
        Ok(())
    })?;
    Ok((wal, bodies))
}

fn write(wal: &mut Wal, byte: u8, length: usize) {
    let mut group = GroupBuilder::new();
    let body = vec![byte; length];
    group.push((FrameKind::Data, 0, 1), |_| {}, |out| out.extend_from_slice(&body)).expect("short");
    wal.append(&mut group, Clocks::default()).expect("space");
    wal.sync().expect("syncs");
}

fn free(sim: &SimFs) -> Vec<String> {
    let names = sim.list("").expect("alive");
    names.into_iter().filter(|name| name.ends_with(".free")).collect()
}

#[test]
fn an_idle_folder_stays_small_and_a_busy_one_gets_free_segments() {
    let sim = SimFs::new(1);
    let (mut wal, _) = open(&sim, 1).expect("empty");
    write(&mut wal, 1, 10_000);
    wal.keep();
    assert_eq!(free(&sim).len(), 0, "no real use yet");
    write(&mut wal, 2, 30_000);
    wal.keep();
    assert_eq!(free(&sim).len(), 5, "three, and two for groups without data");
    for name in free(&sim) {
        assert_eq!(sim.contents(&name), Some(vec![0; SEGMENT as usize]));
    }
    assert_eq!(wal.disk_bytes() as usize, sim.bytes());
}

#[test]
fn the_log_takes_free_segments_but_for_the_last_two() {
    let sim = SimFs::new(1);
    let (mut wal, _) = open(&sim, 1).expect("empty");
    write(&mut wal, 1, 40_000);
    wal.keep();
    let left: Vec<_> = (0..4)
        .map(|_| {
            wal.roll(0, Clocks::default(), Claim::Data).expect("space");
            free(&sim).len()
        })
        .collect();
    assert_eq!(left, [4, 3, 2, 2]);
    wal.roll(0, Clocks::default(), Claim::Control).expect("space");
    assert_eq!(free(&sim).len(), 2, "there is space on the disk, so the reserve stays");
    sim.inject(Fault::NoSpace, 0);
    wal.roll(0, Clocks::default(), Claim::Data).expect_err("only the reserve is left");
    sim.inject(Fault::NoSpace, 0);
    wal.roll(0, Clocks::default(), Claim::Control).expect("the reserve");
    assert_eq!(free(&sim).len(), 1);
}

#[test]
fn what_a_recycled_segment_held_is_never_seen_again() {
    for model in [CrashModel::Kill, CrashModel::Power] {
        let sim = SimFs::new(1);
        let (mut wal, _) = open(&sim, 1).expect("empty");
        for byte in 0..20 {
            // Groups of one length: old ones stand exactly where new ones will.
            for _ in 0..6 {
                write(&mut wal, byte, 8_000);
            }
            wal.roll(wal.segment() + 1, Clocks::default(), Claim::Data).expect("space");
            wal.keep();
        }
        let names = sim.list("").expect("alive");
        assert_eq!(names.len(), 4, "one segment, the reserve, a released one: {names:?}");
        write(&mut wal, 99, 8_000);
        let sim = sim.crash(model);
        let (wal, bodies) = open(&sim, 2).expect("recovers");
        assert_eq!(bodies, [vec![99; 8_000]]);
        assert!(free(&sim).len() >= 2, "free files outlive a start");
        assert_eq!(wal.segment(), 22);
    }
}

#[test]
fn a_segment_that_somebody_reads_is_removed_and_not_written_again() {
    let sim = SimFs::new(1);
    let (mut wal, _) = open(&sim, 1).expect("empty");
    write(&mut wal, 7, 50_000);
    let reader = wal.segments().get(1).expect("exists");
    wal.roll(2, Clocks::default(), Claim::Data).expect("space");
    let before = free(&sim);
    wal.keep();
    assert!(sim.contents("00000000000000000001.seg").is_none());
    // A frame behind the group's header, as it was written.
    let frame = reader.read_frame(8192 + 64, 50_032).expect("still there");
    assert_eq!(frame.body.as_ref(), vec![7; 50_000]);
    assert_eq!((before.len(), free(&sim).len()), (0, 2), "the reserve, which is new");
    for name in free(&sim) {
        assert_eq!(sim.contents(&name), Some(vec![0; SEGMENT as usize]));
    }
}

#[test]
fn a_start_on_a_full_disk_takes_the_reserve() {
    let sim = SimFs::new(1);
    let (mut wal, _) = open(&sim, 1).expect("empty");
    write(&mut wal, 1, 40_000);
    wal.keep();
    for _ in 0..3 {
        wal.roll(0, Clocks::default(), Claim::Data).expect("space");
    }
    write(&mut wal, 2, 1_000);
    let sim = sim.crash(CrashModel::Kill);
    assert_eq!(free(&sim).len(), 2);
    sim.inject(Fault::NoSpace, 0);
    let (mut wal, bodies) = open(&sim, 2).expect("the reserve has space");
    assert_eq!(bodies.len(), 2);
    assert_eq!(free(&sim).len(), 1);
    wal.keep();
    assert_eq!(free(&sim).len(), 5, "made again");
    write(&mut wal, 3, 1_000);
}

#[test]
fn free_files_of_another_size_and_what_a_crash_has_left_go_away() {
    let sim = SimFs::new(1);
    let (wal, _) = open(&sim, 1).expect("empty");
    drop(wal);
    for (name, length) in [("00000000000000000003.free", 1_000), ("x.free", 60_000)] {
        sim.create(name).and_then(|file| file.allocate(length)).expect("space");
    }
    let sim = sim.crash(CrashModel::Kill);
    open(&sim, 2).expect("opens");
    assert_eq!(free(&sim), ["x.free"]);
}

#[test]
fn a_start_that_is_told_where_the_log_begins_looks_at_nothing_before() {
    let sim = SimFs::new(1);
    let (mut wal, _) = open(&sim, 1).expect("empty");
    for byte in 1..4 {
        write(&mut wal, byte, 1_000);
        wal.roll(0, Clocks::default(), Claim::Data).expect("space");
    }
    wal.release(3);
    wal.keep();
    let begin_at = |oldest: u64, sim: &SimFs| {
        let start = Start {
            options: WalOptions { segment_bytes: SEGMENT, spare_segments: 3 },
            uuids: Random::new(oldest.into()),
            wall_ms: 1_000,
            oldest,
            proven: 0,
        };
        recovery::open(Arc::new(sim.clone()), start, &mut |_| Ok(())).map(|(wal, _)| wal)
    };
    let sim = sim.crash(CrashModel::Kill);
    assert!(matches!(begin_at(0, &sim), Err(OpenError::Corrupt { segment: 3, .. })));
    assert!(matches!(begin_at(9, &sim), Err(OpenError::Corrupt { segment: 9, .. })));
    let wal = begin_at(3, &sim).expect("the chain begins at 3");
    assert_eq!(wal.segments().range(), Some((3, 5)));
}

#[test]
fn small_disks_get_short_segments_and_fewer_free_ones() {
    let on = |total| WalOptions::default().on_disk_of(total);
    let sizes = |total| (on(total).segment_bytes, on(total).spare_segments);
    assert_eq!(sizes(1 << 40), (64 << 20, 3));
    let (bytes, spare) = sizes(8 << 30);
    assert!(bytes < 64 << 20 && bytes * (spare as u64 + 2) <= (8 << 30) / 50, "{bytes} {spare}");
    assert_eq!(sizes(64 << 20), (1 << 20, 0));
    let tiny = WalOptions { segment_bytes: 16 << 10, ..WalOptions::default() };
    assert_eq!(tiny.on_disk_of(64 << 20).segment_bytes, 16 << 10);
}
