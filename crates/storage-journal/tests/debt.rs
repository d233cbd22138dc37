//! A drain that lags behind: writers are slowed down, what frees is not, and the log stays short.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use model::subject::Subject;
use storage::{Append, Body, Engine, LogId, Mode, Op, StoredRecord, SubmitError, Write, suite};
use storage_journal::sim::{CrashModel, SimFs};
use storage_journal::{Journal, Options};

const LOG: LogId = LogId(1);
const QUEUE: LogId = LogId(2);
const SEGMENT: u64 = 256 << 10;
const PATIENCE: Duration = Duration::from_secs(30);

fn record(bytes: usize) -> Write {
    let mut tail = BytesMut::new();
    storage::batch::put_varint(&mut tail, -1);
    storage::batch::put_varint(&mut tail, i32::try_from(bytes).expect("short"));
    tail.extend_from_slice(&vec![7; bytes]);
    storage::batch::put_varint(&mut tail, 0);
    let subject = Subject::from_canonical(bytes::Bytes::from_static(b"a")).expect("valid");
    let body = Body::Record(StoredRecord { subject, timestamp_ms: 1, tail: tail.freeze() });
    let append = Append { log: LOG, body, targets: Vec::new(), once: None };
    Write { ops: vec![Op::Append(append)], mode: Mode::Durable }
}

fn open(sim: &SimFs, drain_bytes_per_second: u64, pending_bytes: usize) -> Journal {
    let options = Options {
        seed: u128::from(sim.operations()),
        segment_bytes: SEGMENT,
        spare_segments: 1,
        pending_bytes,
        drain_segments: 2,
        drain_bytes_per_second,
        ..Options::default()
    };
    let journal = Journal::open(Arc::new(sim.clone()), options).expect("a good disk");
    let create = |log| Op::CreateLog { log, mode: Mode::Durable, first: 0 };
    let ops = vec![create(LOG), create(QUEUE)];
    suite::commit(&journal, Write { ops, mode: Mode::Durable }).expect("space");
    journal
}

fn figure(journal: &Journal, name: &str) -> u64 {
    let figures = journal.stats().figures;
    figures.iter().find(|figure| figure.name == name).expect("the engine has it").value as u64
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_log_stays_short_under_a_writer_that_is_faster_than_the_drain() {
    let sim = SimFs::new(1);
    let journal = open(&sim, 16 << 20, 64 << 10);
    let (told, answers) = mpsc::channel();
    let started = Instant::now();
    let (mut taken, mut most, mut owed) = (0, 0, 0);
    while taken < 2_000 {
        let sender = told.clone();
        journal.submit(record(16 << 10), Box::new(move |result| drop(sender.send(result))));
        match answers.try_recv() {
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(SubmitError::Busy)) => {
                taken -= 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(Err(error)) => panic!("{error:?}"),
        }
        taken += 1;
        most = most.max(figure(&journal, "wal_bytes"));
        owed = owed.max(figure(&journal, "drain_debt_segments"));
        assert!(started.elapsed() < PATIENCE, "data is never stopped: {taken}");
    }
    assert!(owed > 0, "the drain has lagged behind");
    assert!(journal.readings().paused_groups > 0, "and writers have felt it");
    // Some 32 MiB went through it; free segments are among the bytes that are left.
    assert!(most <= 18 * SEGMENT, "{most} bytes in a log of segments of {SEGMENT}");
    until("the drain has caught up", || figure(&journal, "drain_debt_bytes") == 0);
    assert!(figure(&journal, "drains_total") > 4);
    until("all is told", || journal.readings().queued.data_bytes == 0);
    let end = journal.bounds(LOG).expect("exists").end;
    assert_eq!(end, taken, "what was taken is there");
    drop(journal);
    let journal = open(&sim.crash(CrashModel::Kill), 0, 1 << 20);
    assert_eq!(journal.bounds(LOG).expect("exists").end, end);
}

#[test]
fn what_frees_is_not_slowed_down_while_data_waits_for_the_drain() {
    let sim = SimFs::new(1);
    let journal = open(&sim, 32 << 10, 1 << 20);
    until("there is a debt, and a pause", || {
        suite::commit(&journal, record(200 << 10)).expect("space");
        journal.readings().paused_groups > 0
    });
    let (told, answers) = mpsc::channel();
    let submit = |name: &'static str, write| {
        let told = told.clone();
        let told = move |result: Result<_, _>| {
            let _ = told.send((name, result.is_ok()));
        };
        journal.submit(write, Box::new(told));
    };
    let started = Instant::now();
    submit("data", record(10));
    for place in 0..5 {
        let ops = vec![Op::Settle { queue: QUEUE, places: vec![place] }];
        submit("settle", Write { ops, mode: Mode::Durable });
    }
    let mut order = Vec::new();
    for _ in 0..6 {
        order.push(answers.recv_timeout(PATIENCE).expect("each is told"));
    }
    assert_eq!(order.pop(), Some(("data", true)), "in a second at most");
    assert_eq!(order, [("settle", true); 5]);
    assert!(started.elapsed() >= Duration::from_millis(500), "it had to wait");
    // What only waits for what is before it does not overtake that.
    suite::commit(&journal, Write { ops: Vec::new(), mode: Mode::Durable }).expect("good");
    assert_eq!(journal.readings().queued.data_writes, 0);
}
