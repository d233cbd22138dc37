//! The journal keeps every promise of the storage contract, with and without a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use storage::{Engine, LogId, Mode, Op, SubmitError, Write, suite};
use storage_journal::sim::{CrashModel, Fault, SimFs};
use storage_journal::vfs::{RealFs, Vfs};
use storage_journal::{Journal, OpenError, Options};

static SEED: AtomicU64 = AtomicU64::new(1);

fn options() -> Options {
    let seed = SEED.fetch_add(1, Ordering::Relaxed).into();
    Options { seed, segment_bytes: 128 << 10, ..Options::default() }
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
