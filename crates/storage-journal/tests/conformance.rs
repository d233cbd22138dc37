//! The journal keeps every promise of the storage contract, with and without a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use storage::{Engine, LogId, Mode, Op, SubmitError, Write, suite};
use storage_journal::sim::{CrashModel, Fault, SimFs};
use storage_journal::vfs::{RealFs, Vfs};
use storage_journal::{Journal, OpenError, Options};

static SEED: AtomicU64 = AtomicU64::new(1);

fn options() -> Options {
    let seed = SEED.fetch_add(1, Ordering::Relaxed).into();
    Options { seed, segment_bytes: 128 << 10, lazy_interval: Duration::ZERO, ..Options::default() }
}

fn threaded(vfs: Arc<dyn Vfs>) -> Arc<dyn Engine> {
    Arc::new(Journal::open(vfs, options()).expect("opens"))
}

/// A folder of its own, removed at the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("journal-{}-{}", std::process::id(), options().seed);
        Self(std::env::temp_dir().join(name))
    }

    fn vfs(&self) -> Arc<dyn Vfs> {
        Arc::new(RealFs::open(&self.0).expect("a folder"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_journal_passes_the_suite() {
    suite::run(|| threaded(Arc::new(SimFs::new(1))));
}

#[test]
fn the_journal_passes_the_suite_without_a_thread() {
    suite::run(|| {
        let vfs = Arc::new(SimFs::new(1));
        Arc::new(Journal::open_inline(vfs, options()).expect("opens"))
    });
}

#[test]
fn nothing_changes_over_a_clean_restart() {
    let disks: Vec<_> = (0..10).map(SimFs::new).collect();
    suite::restart(|n| threaded(Arc::new(disks[n as usize].clone())));
}

#[test]
fn nothing_changes_over_a_clean_restart_on_a_real_disk() {
    let folders: Vec<_> = (0..10).map(|_| Folder::new()).collect();
    suite::restart(|n| threaded(folders[n as usize].vfs()));
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let folder = Folder::new();
    let first = threaded(folder.vfs());
    let second = Journal::open(folder.vfs(), options());
    let error = second.expect_err("in use");
    assert!(matches!(error, OpenError::InUse), "{error:?}");
    assert_eq!(error.to_string(), "the data folder is in use by another server");
    drop(first);
    threaded(folder.vfs());
}

#[test]
fn a_folder_that_cannot_be_made_is_refused() {
    let folder = Folder::new();
    std::fs::write(&folder.0, b"a file").expect("a temporary file");
    let error = RealFs::open(folder.0.join("data")).expect_err("not a folder");
    assert_eq!(error.kind(), std::io::ErrorKind::NotADirectory);
    std::fs::remove_file(&folder.0).expect("exists");
}

#[test]
fn a_start_without_data_syncs_little_and_is_ready_at_once() {
    let sim = SimFs::new(1);
    let before = sim.operations();
    let journal = Journal::open_inline(Arc::new(sim.clone()), options()).expect("opens");
    // Create, header, groups, sync, rename, folder sync: two of them syncs.
    assert!(sim.operations() - before <= 6, "{} operations", sim.operations() - before);
    drop(journal);
    let folder = Folder::new();
    let vfs = folder.vfs();
    let started = Instant::now();
    let engine = threaded(vfs);
    assert_eq!(engine.bounds(LogId(1)), None);
    assert!(started.elapsed() < Duration::from_millis(100), "{:?}", started.elapsed());
}

fn put(value: usize) -> Write {
    let value = Bytes::from(vec![7; value]);
    Write {
        ops: vec![Op::Put { table: "one", key: Bytes::from_static(b"k"), value }],
        mode: Mode::Durable,
    }
}

#[test]
fn more_than_the_queue_holds_is_refused_as_busy() {
    let sim = Arc::new(SimFs::new(1));
    let options = Options { pending_bytes: 1 << 20, ..options() };
    let journal = Journal::open(sim, options).expect("opens");
    let (sender, receiver) = std::sync::mpsc::channel();
    let count = 2_000;
    for _ in 0..count {
        let sender = sender.clone();
        let told = Box::new(move |result| drop(sender.send(result)));
        journal.submit(put(600 << 10), told);
        assert!(journal.stats().pending_bytes <= 2 << 20);
    }
    journal.close();
    let results: Vec<_> = receiver.try_iter().collect();
    assert_eq!(results.len(), count, "each is told once");
    assert!(results.iter().any(Result::is_ok));
    let busy = Err(SubmitError::Busy);
    assert!(results.contains(&busy));
    assert!(results.iter().all(|result| result.is_ok() || *result == busy));
}

#[test]
fn an_asynchronous_write_is_answered_before_its_sync_and_synced_soon_after() {
    let sim = Arc::new(SimFs::new(1));
    let journal = Journal::open(sim, options()).expect("opens");
    let write = || Write { mode: Mode::Async, ..put(10) };
    suite::commit(&journal, write()).expect("good");
    let deadline = Instant::now() + Duration::from_secs(10);
    while journal.stats().syncs == 0 {
        assert!(Instant::now() < deadline, "never synced");
        std::thread::yield_now();
    }
}

#[test]
fn one_sync_serves_all_writes_that_wait_for_it() {
    let sim = Arc::new(SimFs::new(1));
    let journal = Journal::open_inline(sim, options()).expect("opens");
    let results = journal.commit_together((0..100).map(put).collect());
    assert!(results.len() == 100 && results.iter().all(Result::is_ok));
    assert_eq!((journal.stats().commits, journal.stats().syncs), (1, 1));
}

fn append(log: u64, value: &[u8]) -> Op {
    use storage::{Append, Body, StoredRecord};
    let mut tail = bytes::BytesMut::new();
    storage::batch::put_varint(&mut tail, -1);
    storage::batch::put_varint(&mut tail, value.len() as i32);
    tail.extend_from_slice(value);
    storage::batch::put_varint(&mut tail, 0);
    let subject = model::subject::Subject::from_canonical(Bytes::from_static(b"a")).expect("valid");
    let record = StoredRecord { subject, timestamp_ms: 1, tail: tail.freeze() };
    Op::Append(Append {
        log: LogId(log),
        body: Body::Record(record),
        targets: Vec::new(),
        once: None,
    })
}

fn durable(ops: Vec<Op>) -> Write {
    Write { ops, mode: Mode::Durable }
}

#[test]
fn dead_segments_are_reclaimed_although_old_rows_and_records_live_on() {
    let sim = SimFs::new(1);
    let mut model = suite::Model::default();
    let mut most = 0;
    for restart in 0..3 {
        let vfs = Arc::new(sim.clone());
        let options = Options { drain_segments: 3, ..options() };
        let journal = Journal::open_inline(vfs, options).expect("opens");
        model.stop(&journal, true);
        let commit = |model: &mut suite::Model, write: Write| {
            let expected = model.apply(&write);
            assert_eq!(suite::commit(&journal, write), expected);
        };
        let put = |key: String| Op::Put { table: "one", key: key.into(), value: Bytes::from("v") };
        let create = |log| Op::CreateLog { log: LogId(log), mode: Mode::Durable, first: 0 };
        commit(&mut model, durable(vec![create(1), create(2), put(format!("row {restart}"))]));
        commit(&mut model, durable(vec![append(1, b"kept for ever")]));
        for at in 0..1_500_u64 {
            let end = journal.bounds(LogId(2)).expect("exists").end;
            let trim = Op::Trim { log: LogId(2), first: end.saturating_sub(5) };
            let mut ops = vec![append(2, &[at as u8; 3_000]), trim];
            if at % 500 == 0 {
                ops.push(append(1, b"kept as well"));
            }
            commit(&mut model, durable(ops));
            while journal.maintain() {}
            most = most.max(sim.bytes());
        }
        assert_eq!(model.difference(&journal), None);
        journal.close();
    }
    // Segments of 128 KiB: three sealed, the current one, free ones, the manifest and what rests.
    assert!(most < (8 + 7 + 2) * (128 << 10) + (1 << 20), "{most} bytes at most");
    let journal = Journal::open_inline(Arc::new(sim.clone()), options()).expect("opens");
    model.stop(&journal, true);
    assert_eq!(model.difference(&journal), None);
}

#[test]
fn random_writes_survive_much_draining_and_many_restarts() {
    let seeds = std::env::var("DRAIN_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(2) {
        let sim = SimFs::new(seed);
        let mut model = suite::Model::default();
        let mut generator = suite::Generator::new(seed);
        let mut drains = 0;
        for round in 0..6 {
            let options = Options {
                segment_bytes: 24 << 10,
                drain_segments: 2,
                hot_bytes: 6 << 10,
                checkpoint_rows: 60,
                ..options()
            };
            let journal = Journal::open_inline(Arc::new(sim.clone()), options).expect("opens");
            model.stop(&journal, true);
            assert_eq!(model.difference(&journal), None, "seed {seed} round {round}: opened");
            for step in 0..150 {
                let write = generator.write(&model);
                let told = format!("seed {seed} round {round} step {step}: {write:?}");
                let expected = model.apply(&write);
                assert_eq!(suite::commit(&journal, write), expected, "{told}");
                if generator.below(3) == 0 && journal.maintain() {
                    drains += 1;
                    assert_eq!(model.difference(&journal), None, "{told}");
                }
            }
            while journal.maintain() {}
            assert_eq!(model.difference(&journal), None, "seed {seed} round {round}");
            journal.close();
        }
        assert!(drains > 20, "{drains} steps of maintenance");
    }
}

#[test]
fn readers_find_everything_while_files_are_made_merged_and_removed() {
    let options = Options {
        segment_bytes: 64 << 10,
        drain_segments: 2,
        hot_bytes: 24 << 10,
        checkpoint_rows: 50,
        cache_bytes: 0,
        index_bytes: 4 << 10,
        drain_bytes_per_second: 0,
        ..options()
    };
    let journal = Journal::open(Arc::new(SimFs::new(1)), options).expect("opens");
    let create = |log| Op::CreateLog { log: LogId(log), mode: Mode::Async, first: 0 };
    suite::commit(&journal, durable(vec![create(1), create(2)])).expect("good");
    let figure = |name| {
        let figures = journal.stats().figures;
        figures.iter().find(|figure| figure.name == name).expect("counted").value
    };
    let enough = || figure("drains_total") > 6.0 && figure("merges_total") > 4.0;
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 1..=2 {
            let (journal, ended) = (&journal, &ended);
            scope.spawn(move || {
                let mut generator = suite::Generator::new(reader);
                while !ended.load(Ordering::Relaxed) {
                    read_somewhere(journal, LogId(1 + generator.below(2)), &mut generator);
                }
            });
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        // Every value is its offset; of all but the newest, three in four are deleted.
        for at in 0_u64.. {
            let mut ops = vec![append(1, &at.to_be_bytes().repeat(60))];
            ops.push(append(2, &at.to_be_bytes().repeat(10)));
            if let Some(old) = at.checked_sub(100).filter(|old| old % 4 > 0) {
                let ranges = || std::iter::once(old..old + 1).collect();
                ops.push(Op::Delete { log: LogId(1), ranges: ranges() });
                ops.push(Op::Delete { log: LogId(2), ranges: ranges() });
            }
            if at.is_multiple_of(64) {
                ops.push(Op::Trim { log: LogId(1), first: at.saturating_sub(2_000) });
            }
            suite::commit(&journal, Write { ops, mode: Mode::Async }).expect("good");
            if at.is_multiple_of(200) && (at > 3_000 && enough() || Instant::now() > deadline) {
                break;
            }
        }
        ended.store(true, Ordering::Relaxed);
    });
    assert!(enough(), "{} drains, {} merges", figure("drains_total"), figure("merges_total"));
}

/// Reads at an offset that nobody deletes, unless it is trimmed meanwhile.
fn read_somewhere(journal: &Journal, log: LogId, generator: &mut suite::Generator) {
    let bounds = journal.bounds(log).expect("exists");
    if bounds.end < 8 {
        return;
    }
    let from = bounds.first.next_multiple_of(4);
    let at = from + generator.below((bounds.end - from) / 4) * 4;
    let limits = storage::ReadLimits { max_bytes: 4_000, held: false };
    let batches = match journal.read(log, at, limits) {
        Ok(batches) => batches,
        Err(storage::ReadError::OutOfRange { first, .. }) if first > at => return,
        Err(error) => panic!("{log:?} {at}: {error}"),
    };
    let records = batches
        .iter()
        .flat_map(|found| storage::batch::records(&found.bytes).expect("valid").into_iter());
    let records: Vec<_> = records.filter(|record| record.offset >= at).collect();
    let trimmed = journal.bounds(log).expect("exists").first > at;
    assert!(trimmed || records.first().is_some_and(|record| record.offset == at), "{log:?} {at}");
    for record in records {
        let value = record.value.expect("has one");
        assert_eq!(value[..8], record.offset.to_be_bytes(), "{log:?}");
    }
}

#[test]
fn a_full_disk_refuses_the_write_and_takes_the_next_that_fits() {
    let sim = SimFs::new(1);
    let journal = Journal::open_inline(Arc::new(sim.clone()), options()).expect("opens");
    suite::commit(&journal, put(1)).expect("space");
    sim.inject(Fault::NoSpace, 0);
    assert_eq!(suite::commit(&journal, put(2)), Err(SubmitError::Full));
    assert_eq!(journal.get("one", b"k").map(|value| value.len()), Some(1));
    suite::commit(&journal, put(3)).expect("space again");
    assert_eq!(journal.get("one", b"k").map(|value| value.len()), Some(3));
}

#[test]
fn a_failed_sync_stops_the_writes_and_leaves_the_reads() {
    let sim = SimFs::new(1);
    let journal = Journal::open_inline(Arc::new(sim.clone()), options()).expect("opens");
    suite::commit(&journal, put(1)).expect("syncs");
    sim.inject(Fault::SyncFails, 0);
    assert_eq!(suite::commit(&journal, put(2)), Err(SubmitError::Poisoned));
    assert_eq!(suite::commit(&journal, put(3)), Err(SubmitError::Poisoned), "never again");
    assert!(journal.stats().is_poisoned());
    assert_eq!(journal.get("one", b"k").map(|value| value.len()), Some(1), "what was durable");
}

#[test]
fn damage_of_the_last_group_is_refused_once_it_is_witnessed() {
    for bit in 0..8 {
        let sim = SimFs::new(1);
        let journal = Journal::open_inline(Arc::new(sim.clone()), options()).expect("opens");
        suite::commit(&journal, put(100)).expect("good");
        journal.idle();
        drop(journal);
        assert!(sim.flip_bit("00000000000000000001.seg", 8192 + 150, bit));
        let sim = sim.crash(CrashModel::Kill);
        let error = Journal::open_inline(Arc::new(sim), options()).expect_err("damaged");
        let told = error.to_string();
        assert!(told.starts_with("the journal is damaged: segment 1 at 8192: "), "{told}");
        assert!(!told.contains('\n'), "one line for the operator");
    }
}
