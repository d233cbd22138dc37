//! Damage: what was proven and is not as written refuses the start, and is never shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use storage::{Engine, LogId, Mode, ReadError, ReadLimits};
use storage_journal::random::Random;
use storage_journal::segment::FIRST_GROUP;
use storage_journal::sim::{CrashModel, Fault, SimFs};
use storage_journal::vfs::Vfs;
use storage_journal::{Journal, OpenError, Options, recovery};

use crate::chain::Chain;
use crate::history::{Action, History};
use crate::writes::{create, durable, put, record};

const LOG: LogId = LogId(1);
const ALL: ReadLimits = ReadLimits { max_bytes: 1 << 20, held: true };

fn open(sim: &SimFs, seed: u128) -> Result<Journal, OpenError> {
    let options = Options { seed, cache_bytes: 0, ..Options::default() };
    Journal::open_inline(Arc::new(sim.clone()), options)
}

/// Two small groups of data, each synced, and the witness of the second.
pub(crate) fn small_log() -> SimFs {
    let sim = SimFs::new(1);
    let journal = open(&sim, 1).expect("empty");
    for ops in [vec![create(LOG, Mode::Durable), put("k", 20)], vec![record(LOG, (5, 60), &[])]] {
        storage::suite::commit(&journal, durable(ops)).expect("space");
    }
    journal.idle();
    drop(journal);
    sim.crash(CrashModel::Kill)
}

fn is_damage(opened: &Result<Journal, OpenError>) -> bool {
    opened.as_ref().is_err_and(OpenError::is_damage)
}

#[test]
fn every_bit_of_a_small_log_that_is_proven_must_be_right() {
    let sim = small_log();
    let chain = Chain::read(&sim);
    let proven: Vec<_> = chain.proven().collect();
    assert_eq!(proven.len(), 2, "{chain:?}");
    for group in proven {
        let padding = group.range.start + group.header.length;
        for byte in group.range.clone() {
            // In the padding every byte is the same: one bit of each will do.
            let bits = if byte < padding { 0..8 } else { byte as u8 % 8..byte as u8 % 8 + 1 };
            for bit in bits {
                assert!(sim.flip_bit(&group.name, byte, bit));
                let opened = open(&sim, 2);
                assert!(is_damage(&opened), "bit {bit} of byte {byte}: {opened:?}");
                assert!(sim.flip_bit(&group.name, byte, bit));
            }
        }
    }
    assert_eq!(sim.counts_since_start().writes, 0, "a refused start changes nothing");
    open(&sim, 2).expect("all is as it was");
}

#[test]
fn a_checkpoint_proves_the_groups_that_it_holds() {
    let sim = SimFs::new(1);
    let options = Options { seed: 1, checkpoint_rows: 0, ..Options::default() };
    let journal = Journal::open_inline(Arc::new(sim.clone()), options).expect("empty");
    for number in 0..3 {
        storage::suite::commit(&journal, durable([put("k", number)])).expect("space");
    }
    let last = Chain::read(&sim).groups.pop().expect("just written");
    let damaged = |sim: &SimFs| {
        assert!(sim.flip_bit(&last.name, last.range.start + 80, 3));
        open(sim, 2)
    };
    let before = damaged(&sim.fork(1));
    before.expect("without a witness it cannot be told from a torn tail");
    assert!(journal.maintain(), "a checkpoint is made");
    let after = damaged(&sim.fork(1));
    assert!(is_damage(&after), "{after:?}");
    // Nor may the log be gone altogether.
    let sim = sim.crash(CrashModel::Kill);
    for name in sim.list("").expect("alive").iter().filter(|name| name.ends_with(".seg")) {
        sim.remove(name).expect("alive");
    }
    assert!(is_damage(&open(&sim, 2)), "the log is missing");
}

#[test]
fn a_segment_header_stands_twice_and_one_copy_may_be_damaged() {
    let mut random = Random::new(1);
    let name = small_log().list("").expect("alive").remove(0);
    for seed in 0..200 {
        let sim = small_log();
        let (byte, bit) = (random.below(FIRST_GROUP / 2) as usize, seed as u8);
        let other = byte + FIRST_GROUP as usize / 2;
        assert!(sim.flip_bit(&name, if seed % 2 == 0 { byte } else { other }, bit));
        drop(open(&sim.fork(1), 2).expect("the other copy is good"));
        assert!(sim.flip_bit(&name, if seed % 2 == 0 { other } else { byte }, bit));
        let opened = open(&sim, 2);
        assert!(is_damage(&opened), "byte {byte}: {opened:?}");
    }
}

#[test]
fn a_running_engine_shows_damaged_records_to_nobody() {
    let mut unreadable = 0;
    for byte in 0..400 {
        let sim = SimFs::new(1);
        let journal = open(&sim, 1).expect("empty");
        let ops = [create(LOG, Mode::Durable), record(LOG, (5, 100), &[])];
        storage::suite::commit(&journal, durable(ops)).expect("space");
        let name = sim.list("").expect("alive").remove(0);
        let good = journal.read(LOG, 0, ALL).expect("good").remove(0);
        assert!(sim.flip_bit(&name, FIRST_GROUP as usize + byte, byte as u8));
        match journal.read(LOG, 0, ALL) {
            Ok(read) => assert_eq!(read.first().map(|read| &read.bytes), Some(&good.bytes)),
            Err(ReadError::Unreadable(_)) => unreadable += 1,
            Err(error) => panic!("{error}"),
        }
        storage::suite::commit(&journal, durable([put("k", 20)])).expect("writes go on");
    }
    assert!(unreadable > 100, "{unreadable} of 400 bytes belong to the record");
}

#[test]
fn a_group_of_another_life_of_the_disk_is_never_believed() {
    // Both lives go on from the same log; the one writes a group, the other crashes before it.
    let sim = small_log();
    let (this, other) = (sim.fork(1), sim.fork(2));
    let journal = open(&other, 2).expect("good");
    storage::suite::commit(&journal, durable([put("stale", 20)])).expect("space");
    let stale = Chain::read(&other).groups.pop().expect("just written");
    let bytes = other.contents(&stale.name).expect("exists");
    let journal = open(&this, 3).expect("good");
    assert!(this.plant(&stale.name, stale.range.start, &bytes[stale.range.clone()]));
    drop(journal);
    let this = this.crash(CrashModel::Kill);
    let journal = open(&this, 4).expect("what stands there is a torn tail");
    assert_eq!(journal.get("one", b"stale"), None, "nobody has written it in this life");
    assert!(journal.get("one", b"k").is_some());
}

#[test]
fn a_start_that_cannot_read_says_so_and_changes_nothing() {
    let names = small_log().list("").expect("alive");
    for at in 0..40 {
        let sim = small_log();
        sim.inject(Fault::ReadFails, at);
        match open(&sim, 2) {
            Ok(_) => {
                assert!(at > 4, "several reads are needed");
                return;
            }
            Err(OpenError::Recovery(recovery::OpenError::Io { .. })) => {}
            Err(error) => panic!("a failed read is no damage: {error}"),
        }
        assert_eq!(sim.list("").expect("alive"), names);
        assert_eq!(sim.counts_since_start().writes, 0);
        open(&sim, 3).expect("it was only once");
    }
    panic!("it never opens");
}

#[test]
fn a_bad_sector_is_told_to_its_reader_and_the_rest_goes_on() {
    let sim = SimFs::new(1);
    let journal = open(&sim, 1).expect("empty");
    storage::suite::commit(&journal, durable([create(LOG, Mode::Durable)])).expect("space");
    for byte in 0..3 {
        let write = durable([record(LOG, (byte, 100), &[])]);
        storage::suite::commit(&journal, write).expect("space");
    }
    let second = Chain::read(&sim).groups.remove(2);
    assert!(sim.spoil(&second.name, second.range.start, second.range.end));
    let read = |offset| journal.read(LOG, offset, ReadLimits { max_bytes: 1, held: false });
    assert!(read(0).is_ok() && read(2).is_ok());
    assert!(matches!(read(1), Err(ReadError::Unreadable(_))), "{:?}", read(1));
    storage::suite::commit(&journal, durable([record(LOG, (9, 100), &[])])).expect("space");
}

/// A folder with resting files of every kind, and what is in its logs. The process has ended.
pub(crate) fn rested(seed: u64) -> (History, Shown) {
    let mut history = History::new(seed);
    for round in 0..60 {
        history.act(Action::Write).expect("a good disk");
        if round % 4 == 0 {
            history.act(Action::Maintain).expect("a good disk");
        }
    }
    history.end(CrashModel::Kill);
    let mut clean = history.fork(1);
    clean.start().expect("a good disk");
    let (shown, failed) = show(&clean);
    assert_eq!(failed, 0);
    (history, shown)
}

/// The batches of all logs.
pub(crate) type Shown = BTreeMap<(LogId, u64), Vec<u8>>;

/// Reads all logs, around what cannot be read; says how often something could not.
pub(crate) fn show(history: &History) -> (Shown, u64) {
    let journal = history.journal().expect("runs");
    let (mut shown, mut failed) = (Shown::new(), 0);
    for log in history.oracle.model().logs() {
        let Some(bounds) = journal.bounds(log) else { continue };
        let mut from = bounds.first;
        while from < bounds.end {
            match journal.read(log, from, ReadLimits { max_bytes: 1, held: false }) {
                Ok(batches) => {
                    let next = batches.last().map_or(bounds.end, |batch| batch.last + 1);
                    let each = batches.into_iter();
                    shown.extend(each.map(|batch| ((log, batch.base), batch.bytes.to_vec())));
                    from = next;
                }
                Err(ReadError::Unreadable(_)) => {
                    failed += 1;
                    from += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    (shown, failed)
}

#[test]
fn a_flipped_bit_in_a_resting_file_is_refused_or_told_and_never_shown() {
    let (mut refused, mut told, mut harmless) = (0, 0, 0);
    for seed in 0..4 {
        let (before, clean) = rested(seed);
        let mut random = Random::new(seed.into());
        let names = before.sim.list("").expect("alive").into_iter();
        for name in names.filter(|name| !name.ends_with(".seg") && name != "lock") {
            let length = before.sim.contents(&name).expect("exists").len();
            for luck in 0..12 {
                let mut history = before.fork(luck);
                let (byte, bit) = (random.below(length as u64) as usize, luck as u8);
                assert!(history.sim.flip_bit(&name, byte, bit));
                let place = format!("seed {seed}: bit {bit} of byte {byte} of {name}");
                match history.open_and_keep() {
                    Err(error) if error.is_damage() => refused += 1,
                    Err(error) => panic!("{place}: {error}"),
                    Ok(()) => {
                        let (shown, failed) = show(&history);
                        for (at, bytes) in &shown {
                            assert_eq!(clean.get(at), Some(bytes), "{place}: {at:?}");
                        }
                        assert!(failed > 0 || shown.len() == clean.len(), "{place}: silence");
                        told += u64::from(failed > 0);
                        harmless += u64::from(failed == 0);
                    }
                }
            }
        }
    }
    assert!(refused > 20 && told > 20, "{refused} refused, {told} told, {harmless} harmless");
}

#[test]
fn a_file_that_the_manifest_names_and_that_is_gone_refuses_the_start() {
    let (before, _) = rested(1);
    let names = before.sim.list("").expect("alive");
    // Nothing names the newest segment: without it the folder is as it was before that one.
    let newest = names.iter().filter(|name| name.ends_with(".seg")).max().cloned();
    let mut refused = 0;
    for name in names.into_iter().filter(|name| Some(name) != newest.as_ref()) {
        let mut history = before.fork(1);
        history.sim.remove(&name).expect("exists");
        history.sim.fsync_dir("").expect("syncs");
        match history.open_and_keep() {
            Ok(()) => history.check_again().expect("nobody needed it"),
            Err(error) => {
                assert!(error.is_damage(), "{name}: {error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 5, "{refused} files were missed");
}

#[test]
fn a_folder_that_has_lost_all_segments_and_not_its_manifest_is_refused() {
    let (before, _) = rested(1);
    let mut history = before.fork(1);
    for name in history.sim.list("").expect("alive") {
        if name.ends_with(".seg") {
            history.sim.remove(&name).expect("exists");
        }
    }
    history.sim.fsync_dir("").expect("syncs");
    let error = history.open_and_keep().expect_err("the manifest knows better");
    assert!(error.is_damage(), "{error}");
}
