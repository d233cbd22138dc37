//! The simulated disk loses what it should and keeps what it must.

use std::io;
use std::sync::Arc;

use super::{Counts, CrashModel, Fault, SimFs};
use crate::vfs::{Vfs, VfsFile, write_all};

fn disk_with_file(seed: u64) -> (SimFs, Arc<dyn VfsFile>) {
    let sim = SimFs::new(seed);
    let file = sim.create("a").expect("new");
    sim.fsync_dir("").expect("syncs");
    (sim, file)
}

#[test]
fn what_was_synced_survives_any_crash() {
    for seed in 0..50 {
        let (sim, file) = disk_with_file(seed);
        file.pwrite(&[1; 9000], 0).expect("writes");
        file.fdatasync().expect("syncs");
        let sim = sim.crash(CrashModel::Kill).crash(CrashModel::Power);
        assert_eq!(sim.contents("a"), Some(vec![1; 9000]));
    }
}

#[test]
fn unsynced_bytes_survive_a_kill_and_only_some_of_them_a_power_cut() {
    let (mut all, mut none, mut torn) = (0, 0, 0);
    for seed in 0..200 {
        let (sim, file) = disk_with_file(seed);
        file.pwrite(&[1; 9000], 0).expect("writes");
        let sim = sim.crash(CrashModel::Kill);
        assert_eq!(sim.contents("a"), Some(vec![1; 9000]));
        let left = sim.crash(CrashModel::Power).contents("a").expect("its name was synced");
        match left.iter().filter(|byte| **byte == 1).count() {
            0 => none += 1,
            9000 => all += 1,
            _ => torn += 1,
        }
    }
    assert!(all > 10 && none > 10 && torn > 10, "{all} {none} {torn}");
}

#[test]
fn an_unsynced_name_may_be_lost_and_may_be_kept() {
    let mut kept = 0;
    for seed in 0..100 {
        let (sim, _file) = disk_with_file(seed);
        sim.rename("a", "b").expect("exists");
        let sim = sim.crash(CrashModel::Power);
        let names = sim.list("").expect("alive");
        assert!(names == ["a"] || names == ["b"]);
        kept += usize::from(names == ["b"]);
    }
    assert!((10..90).contains(&kept), "{kept}");
}

#[test]
fn a_failed_sync_stays_readable_until_evicted_and_is_never_repaired() {
    let (sim, file) = disk_with_file(1);
    file.pwrite(b"old", 0).expect("writes");
    file.fdatasync().expect("syncs");
    file.pwrite(b"new", 0).expect("writes");
    sim.inject(Fault::SyncFails, 0);
    assert!(file.fdatasync().is_err());
    file.fdatasync().expect("the kernel forgets the failure");
    assert_eq!(sim.contents("a"), Some(b"new".to_vec()));
    sim.evict();
    assert_eq!(sim.contents("a"), Some(b"old".to_vec()));
}

#[test]
fn a_page_that_is_written_again_takes_what_a_failed_sync_left_in_it_along() {
    let (sim, file) = disk_with_file(1);
    file.pwrite(&[1; 2 * 4096], 0).expect("writes");
    file.fdatasync().expect("syncs");
    file.pwrite(&[2; 2 * 4096], 0).expect("writes");
    sim.inject(Fault::SyncFails, 0);
    assert!(file.fdatasync().is_err());
    file.pwrite(&[3; 10], 100).expect("writes into the first page");
    file.fdatasync().expect("the kernel forgets the failure");
    sim.evict();
    let mut wanted = vec![2; 4096];
    wanted[100..110].fill(3);
    wanted.extend([1; 4096]);
    assert_eq!(sim.contents("a"), Some(wanted));
}

#[test]
fn a_process_that_has_ended_can_do_nothing() {
    let (sim, file) = disk_with_file(1);
    let _lock = sim.lock("lock").expect("free");
    assert!(sim.lock("lock").is_err(), "held");
    let next = sim.crash(CrashModel::Kill);
    assert!(file.pwrite(b"x", 0).is_err() && sim.list("").is_err() && sim.is_dead());
    next.lock("lock").expect("the lock ended with its holder");
}

#[test]
fn full_disks_and_short_writes_strike_when_told() {
    let (sim, file) = disk_with_file(1);
    sim.inject(Fault::NoSpace, 1);
    sim.inject(Fault::ShortWrite, 0);
    write_all(file.as_ref(), &[7; 100], 0).expect_err("second part finds no space");
    write_all(file.as_ref(), &[7; 100], 0).expect("the faults are spent");
    assert_eq!(sim.contents("a"), Some(vec![7; 100]));
}

#[test]
fn space_is_given_out_in_blocks_and_comes_back_with_the_file() {
    let (sim, file) = disk_with_file(1);
    sim.set_capacity(Some(4 * 4096));
    file.allocate(2 * 4096).expect("space");
    assert_eq!(sim.taken_bytes(), 2 * 4096, "what is allocated is taken");
    assert_eq!(file.pwrite(&[1; 5 * 4096], 0).expect("a part"), 4 * 4096);
    let error = file.pwrite(&[1; 10], 4 * 4096).expect_err("full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(sim.create("b").is_err(), "no space for a file");
    file.pwrite(&[2; 4 * 4096], 0).expect("what is taken can be written again");
    assert_eq!((sim.counts().full, sim.counts().failures), (2, 2));
    sim.remove("a").expect("exists");
    assert_eq!(sim.taken_bytes(), 4 * 4096, "it is still open");
    drop(file);
    assert_eq!(sim.taken_bytes(), 0);
    let file = sim.create("b").expect("space again");
    assert!(file.allocate(5 * 4096).is_err());
    file.allocate(4 * 4096).expect("as much as there is");
}

#[test]
fn a_read_only_folder_takes_no_change_and_can_be_read() {
    let (sim, file) = disk_with_file(1);
    file.pwrite(b"old", 0).expect("writes");
    file.fdatasync().expect("syncs");
    sim.set_read_only(true);
    let refused = [
        file.pwrite(b"new", 0).map(drop),
        file.allocate(9).map(drop),
        sim.create("b").map(drop),
        sim.rename("a", "b"),
        sim.remove("a"),
        sim.create_dir("d"),
        sim.fsync_dir(""),
        sim.lock("lock").map(drop),
    ];
    for result in refused {
        let kind = result.expect_err("read-only").kind();
        assert_eq!(kind, io::ErrorKind::ReadOnlyFilesystem);
    }
    file.fdatasync().expect("nothing to sync");
    assert_eq!(sim.contents("a"), Some(b"old".to_vec()));
    sim.set_read_only(false);
    file.pwrite(b"new", 0).expect("writable again");
}

#[test]
fn an_emptied_or_removed_folder_is_empty_at_the_next_start() {
    let (sim, file) = disk_with_file(1);
    sim.empty_folder();
    file.pwrite(b"into nothing", 0).expect("the file is still open");
    file.fdatasync().expect("and syncs");
    assert!(sim.list("").expect("there").is_empty());
    sim.create("b").expect("there");
    sim.remove_folder();
    assert!(sim.create("c").is_err() && sim.list("").is_err() && sim.fsync_dir("").is_err());
    let next = sim.crash(CrashModel::Kill);
    assert!(next.list("").expect("made again").is_empty());
    next.create("c").expect("made again");
}

#[test]
fn reads_fail_once_or_for_good() {
    let (sim, file) = disk_with_file(1);
    file.pwrite(&[1; 100], 0).expect("writes");
    let mut buffer = [0; 10];
    sim.inject(Fault::ReadFails, 1);
    file.pread(&mut buffer, 0).expect("not yet");
    assert!(file.pread(&mut buffer, 0).is_err());
    file.pread(&mut buffer, 0).expect("only once");
    assert!(sim.spoil("a", 50, 51));
    assert!(file.pread(&mut buffer, 45).is_err() && file.pread(&mut buffer, 50).is_err());
    assert_eq!(file.pread(&mut buffer, 51).expect("behind it"), 10);
}

#[test]
fn a_file_that_comes_to_a_free_name_is_full_of_garbage_and_old_blocks() {
    let (sim, file) = disk_with_file(3);
    let old: Vec<u8> = (0..4096_u32).map(|at| at as u8).collect();
    file.pwrite(&old.repeat(20), 0).expect("writes");
    file.fdatasync().expect("syncs");
    sim.poison_free(&["free"]);
    assert_eq!(sim.contents("a"), Some(old.repeat(20)), "its name says that it is used");
    sim.rename("a", "1.free").expect("exists");
    assert_eq!(sim.contents("1.free"), Some(old.repeat(20)), "the old name may come back");
    sim.fsync_dir("").expect("syncs");
    let garbage = sim.contents("1.free").expect("exists");
    let blocks = garbage.chunks(4096).filter(|block| *block == old).count();
    assert!(garbage.len() == 20 * 4096 && (2..19).contains(&blocks), "{blocks} old blocks");
    let fresh = sim.create("2.free").expect("new");
    fresh.allocate(3 * 4096).expect("space");
    assert!(sim.contents("2.free").is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0)));
}

#[test]
fn poisoned_tails_hold_garbage_where_writes_were_lost() {
    let mut found = 0;
    for seed in 0..100 {
        let (sim, file) = disk_with_file(seed);
        file.pwrite(&[1; 4096], 0).expect("writes");
        file.fdatasync().expect("syncs");
        file.pwrite(&[2; 8 * 4096], 4096).expect("writes");
        sim.poison_tails(true);
        let left = sim.crash(CrashModel::Power).contents("a").expect("its name was synced");
        let (synced, new) = left.split_at(4096);
        assert!(synced.iter().all(|byte| *byte == 1), "only new space is at stake");
        assert!(new.iter().filter(|byte| **byte == 0).count() < 4096, "no zeros");
        found += usize::from(new.iter().any(|byte| *byte > 2));
    }
    assert!(found > 20, "{found} times garbage");
}

#[test]
fn a_fork_goes_its_own_way() {
    let (sim, file) = disk_with_file(1);
    file.pwrite(&[1; 9000], 0).expect("writes");
    let fork = sim.fork(2);
    file.pwrite(&[2; 9000], 0).expect("the first goes on");
    fork.open("a").expect("exists").pwrite(&[3; 10], 0).expect("and the second");
    assert_eq!(sim.contents("a"), Some(vec![2; 9000]));
    assert_eq!(fork.contents("a").map(|bytes| (bytes[9], bytes[10])), Some((3, 1)));
}

#[test]
fn what_is_done_is_counted() {
    let (sim, file) = disk_with_file(1);
    file.pwrite(&[1; 100], 0).expect("writes");
    file.fdatasync().expect("syncs");
    let counts = sim.counts_since_start();
    let wanted = (1, 100, 1, 1, 2, 1);
    let (writes, bytes, all) = (counts.writes, counts.bytes_written, counts.all_syncs());
    assert_eq!((writes, bytes, counts.syncs, counts.folder_syncs, all, counts.creates), wanted);
    let next = sim.crash(CrashModel::Kill);
    assert_eq!(next.counts_since_start(), Counts::default());
    assert_eq!(next.counts(), counts);
    next.die_after(0);
    assert!(next.open("a").expect("exists").pwrite(&[1], 0).is_err());
    assert_eq!(next.counts().deaths, 1);
}
