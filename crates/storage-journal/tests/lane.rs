//! The lane at work: what overtakes what, what waits for what, and what a full disk leaves.

use std::io;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use model::subject::Subject;
use storage::{
    Append, Body, Committed, CursorState, Engine, Health, LogId, Mode, Op, StoredRecord,
    SubmitError, Target, Write, suite,
};
use storage_journal::sim::{Fault, SimFs};
use storage_journal::vfs::{Lock, Vfs, VfsFile};
use storage_journal::{Journal, Options};

const LOG: LogId = LogId(1);
const QUEUE: LogId = LogId(2);

/// A disk whose syncs wait until they are let through.
#[derive(Clone, Debug)]
struct Gate {
    sim: SimFs,
    /// Syncs that may pass, and those that wait.
    state: Arc<(Mutex<(u64, u64)>, Condvar)>,
    /// How long each takes.
    pause: Duration,
}

impl Gate {
    fn new(open: u64, pause: Duration) -> Self {
        let state = Arc::new((Mutex::new((open, 0)), Condvar::new()));
        Self { sim: SimFs::new(1), state, pause }
    }

    fn let_pass(&self, syncs: u64) {
        self.state.0.lock().expect("no panic").0 += syncs;
        self.state.1.notify_all();
    }

    fn close(&self) {
        self.state.0.lock().expect("no panic").0 = 0;
    }

    fn waiting(&self) -> u64 {
        self.state.0.lock().expect("no panic").1
    }

    fn pass(&self) {
        std::thread::sleep(self.pause);
        let mut state = self.state.0.lock().expect("no panic");
        state.1 += 1;
        state = self.state.1.wait_while(state, |(open, _)| *open == 0).expect("no panic");
        state.0 -= 1;
        state.1 -= 1;
    }
}

impl Vfs for Gate {
    fn create(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        Ok(Arc::new(GateFile(self.sim.create(name)?, self.clone())))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        Ok(Arc::new(GateFile(self.sim.open(name)?, self.clone())))
    }
    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.sim.create_dir(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.sim.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.sim.remove(name)
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.sim.list(dir)
    }
    fn fsync_dir(&self, dir: &str) -> io::Result<()> {
        self.sim.fsync_dir(dir)
    }
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        self.sim.lock(name)
    }
}

#[derive(Debug)]
struct GateFile(Arc<dyn VfsFile>, Gate);

impl VfsFile for GateFile {
    fn pread(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.pread(buffer, position)
    }
    fn pwrite(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        self.0.pwrite(bytes, position)
    }
    fn fdatasync(&self) -> io::Result<()> {
        self.1.pass();
        self.0.fdatasync()
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.0.allocate(length)
    }
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
}

fn record(value: usize, targets: &[LogId]) -> Op {
    let mut tail = BytesMut::new();
    storage::batch::put_varint(&mut tail, -1);
    storage::batch::put_varint(&mut tail, value as i32);
    tail.extend_from_slice(&vec![7; value]);
    storage::batch::put_varint(&mut tail, 0);
    let subject = Subject::from_canonical(Bytes::from_static(b"a")).expect("valid");
    let record = StoredRecord { subject, timestamp_ms: 1, tail: tail.freeze() };
    let targets = targets.iter().map(|queue| Target { record: 0, queue: *queue, priority: 0 });
    Op::Append(Append {
        log: LOG,
        body: Body::Record(record),
        targets: targets.collect(),
        once: None,
    })
}

fn durable(ops: impl Into<Vec<Op>>) -> Write {
    Write { ops: ops.into(), mode: Mode::Durable }
}

fn create(log: LogId) -> Op {
    Op::CreateLog { log, mode: Mode::Durable, first: 0 }
}

fn cursor(floor: u64) -> Op {
    let state = CursorState { floor, ..CursorState::default() };
    Op::Cursor { name: Bytes::from_static(b"c"), log: LOG, state: Some(state) }
}

fn settle(place: u64) -> Op {
    Op::Settle { queue: QUEUE, places: vec![place] }
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}

type Told = Result<Committed, SubmitError>;
type Tell = mpsc::Sender<(usize, Told)>;
type Answers = Receiver<(usize, Told)>;

/// Hands a write in; its number and answer come in the order of answers.
fn submit(journal: &Journal, number: usize, write: Write, told: &Tell) {
    let told = told.clone();
    journal.submit(write, Box::new(move |result| drop(told.send((number, result)))));
}

fn order(told: &Answers, count: usize) -> Vec<usize> {
    let next = || told.recv_timeout(Duration::from_secs(20)).expect("each is told");
    (0..count)
        .map(|_| next())
        .map(|(number, result)| result.map(|_| number).expect("good"))
        .collect()
}

fn options() -> Options {
    Options { seed: 5, ..Options::default() }
}

/// A journal with a log and a queue, whose lane hangs in the sync of a first write.
fn held_up(options: Options) -> (Gate, Journal, Tell, Answers) {
    let gate = Gate::new(1_000, Duration::ZERO);
    let journal = Journal::open(Arc::new(gate.clone()), options).expect("opens");
    suite::commit(&journal, durable([create(LOG), create(QUEUE)])).expect("space");
    gate.close();
    let (sender, told) = mpsc::channel();
    submit(&journal, 0, durable([record(10, &[QUEUE])]), &sender);
    until("the first write is being synced", || gate.waiting() == 1);
    (gate, journal, sender, told)
}

#[test]
fn what_frees_overtakes_data_that_waits_but_nothing_of_its_own_kind() {
    let (gate, journal, sender, told) = held_up(options());
    submit(&journal, 1, durable([record(10, &[])]), &sender);
    submit(&journal, 2, durable([cursor(1)]), &sender);
    submit(&journal, 3, durable([record(10, &[]), cursor(2)]), &sender);
    submit(&journal, 4, durable([settle(0)]), &sender);
    submit(&journal, 5, durable([cursor(3)]), &sender);
    submit(&journal, 6, durable([Op::Trim { log: LOG, first: 9 }]), &sender);
    gate.let_pass(1_000);
    assert_eq!(order(&told, 7), [0, 2, 4, 1, 3, 5, 6], "5 and 6 stay behind what they are about");
    assert_eq!(journal.bounds(LOG).map(|bounds| (bounds.first, bounds.end)), Some((3, 3)));
    let cursors = journal.cursors(b"", 9);
    assert_eq!(cursors.first().map(|(_, _, state)| state.floor), Some(3));
    assert_eq!(journal.refs(QUEUE, 0, 9).len(), 0);
}

#[test]
fn what_frees_is_taken_while_data_is_refused_as_busy() {
    let (gate, journal, sender, told) = held_up(Options { pending_bytes: 1 << 20, ..options() });
    let mut taken = 1;
    let (busy, refused) = mpsc::channel();
    for number in 1..100 {
        submit(&journal, number, durable([record(100_000, &[])]), &busy);
        match refused.try_recv() {
            Ok((_, Err(SubmitError::Busy))) => break,
            Ok(other) => panic!("{other:?}"),
            Err(_) => taken += 1,
        }
    }
    assert!((5..20).contains(&taken), "{taken} writes of 100 kB in 1 MiB");
    for number in 0..100 {
        submit(&journal, number, durable([settle(number as u64)]), &sender);
    }
    let queued = journal.readings().queued;
    assert_eq!(queued.control_writes, 100);
    gate.let_pass(1_000);
    assert_eq!(order(&told, 101).len(), 101);
    assert_eq!(journal.readings().refused_busy, 1);
    drop(journal);
    let told: Vec<_> = refused.try_iter().collect();
    assert_eq!(told.len(), taken - 1, "the data that was taken is done");
}

#[test]
fn a_group_is_written_while_the_one_before_it_is_synced_and_shown_after_its_own_sync() {
    let gate = Gate::new(1_000, Duration::ZERO);
    let journal = Journal::open(Arc::new(gate.clone()), options()).expect("opens");
    suite::commit(&journal, durable([create(LOG), create(QUEUE)])).expect("space");
    gate.close();
    let (sender, told) = mpsc::channel();
    submit(&journal, 0, durable([record(10, &[])]), &sender);
    until("the first is being synced", || gate.waiting() == 1);
    // More than one group holds: the next two do not wait for each other's sync to be written.
    for number in 1..=3 {
        submit(&journal, number, durable([record(900_000, &[])]), &sender);
    }
    let before = gate.sim.counts().bytes_written;
    gate.let_pass(1);
    until("two groups are written", || gate.sim.counts().bytes_written > before + 1_800_000);
    until("one of them is being synced", || gate.waiting() == 1);
    assert_eq!(order(&told, 1), [0]);
    assert!(told.try_recv().is_err(), "nothing is told before its sync");
    assert_eq!(journal.bounds(LOG).map(|bounds| bounds.end), Some(1), "nor shown");
    gate.let_pass(1);
    assert_eq!(order(&told, 1), [1]);
    assert!(told.try_recv().is_err(), "that sync was not the one of the next");
    gate.let_pass(1_000);
    assert_eq!(order(&told, 2), [2, 3]);
    assert_eq!(journal.bounds(LOG).map(|bounds| bounds.end), Some(4));
    assert!(journal.readings().overlapped_groups > 0);
}

#[test]
fn groups_beside_each_other_are_both_lost_when_the_first_sync_fails() {
    for after in 0..2 {
        let sim = SimFs::new(1);
        let options = Options { seed: 3, ..Options::default() };
        let journal = Journal::open_inline(Arc::new(sim.clone()), options).expect("opens");
        suite::commit(&journal, durable([create(LOG), create(QUEUE)])).expect("space");
        sim.inject(Fault::SyncFails, after);
        let groups = (0..3).map(|_| vec![durable([record(10, &[])])]).collect();
        let told = journal.commit_overlapped(groups);
        let good: Vec<_> = told.iter().flatten().map(Result::is_ok).collect();
        assert_eq!(good, if after == 0 { [false; 3] } else { [true, false, false] });
        assert!(
            told.iter()
                .flatten()
                .filter_map(|one| one.as_ref().err())
                .all(|error| { *error == SubmitError::Poisoned })
        );
        assert_eq!(journal.bounds(LOG).map(|bounds| bounds.end), Some(after));
        assert_eq!(journal.health().0, Health::Poisoned);
    }
}

#[test]
fn a_group_without_space_is_withdrawn_and_the_one_in_flight_goes_on() {
    let sim = SimFs::new(1);
    let options = Options { seed: 3, segment_bytes: 64 << 10, ..Options::default() };
    let journal = Journal::open_inline(Arc::new(sim.clone()), options).expect("opens");
    suite::commit(&journal, durable([create(LOG), create(QUEUE)])).expect("space");
    // The first write of the first group passes, that of the second finds no space.
    sim.inject(Fault::NoSpace, 1);
    let groups = (0..3).map(|_| vec![durable([record(10, &[])])]).collect();
    let told = journal.commit_overlapped(groups);
    let offsets: Vec<_> = told
        .iter()
        .flatten()
        .map(|told| told.as_ref().map(|done| done.appended[0].base).map_err(Clone::clone))
        .collect();
    assert_eq!(offsets, [Ok(0), Err(SubmitError::Full), Ok(1)]);
    assert_eq!(journal.health().0, Health::Good, "the third found space");
    let sim = sim.crash(storage_journal::sim::CrashModel::Power);
    let journal =
        Journal::open_inline(Arc::new(sim), Options { seed: 4, ..options }).expect("opens");
    assert_eq!(journal.bounds(LOG).map(|bounds| bounds.end), Some(2));
}

#[test]
fn writes_that_nobody_waits_for_gather_before_they_are_written() {
    let sim = SimFs::new(1);
    let options = Options { lazy_interval: Duration::from_millis(30), ..options() };
    let journal = Journal::open(Arc::new(sim), options).expect("opens");
    suite::commit(&journal, durable([create(LOG), create(QUEUE)])).expect("space");
    let before = journal.stats();
    let started = Instant::now();
    let (sender, told) = mpsc::channel();
    for number in 0..200 {
        let write = Write { ops: vec![cursor(number as u64)], mode: Mode::Async };
        submit(&journal, number, write, &sender);
    }
    assert_eq!(order(&told, 200), (0..200).collect::<Vec<_>>());
    assert!(started.elapsed() >= Duration::from_millis(30));
    let commits = journal.stats().commits - before.commits;
    assert!(commits <= 1 + started.elapsed().as_millis() as u64 / 30, "{commits} groups");
    assert_eq!(journal.stats().syncs, before.syncs, "and synced with the next that waits");
    submit(&journal, 0, Write { ops: vec![cursor(7)], mode: Mode::Async }, &sender);
    submit(&journal, 1, durable([record(10, &[])]), &sender);
    assert_eq!(order(&told, 2), [0, 1], "in one group");
    assert_eq!(journal.stats().commits - before.commits, commits + 1);
}

#[test]
fn a_group_waits_for_writers_that_were_told_only_where_there_are_several_and_syncs_take_time() {
    for (pause, writers) in [(3, 4), (3, 1), (0, 4)] {
        let gate = Gate::new(1 << 40, Duration::from_millis(pause));
        let journal = Journal::open(Arc::new(gate), options()).expect("opens");
        suite::commit(&journal, durable([create(LOG), create(QUEUE)])).expect("space");
        std::thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| {
                    for _ in 0..30 {
                        suite::commit(&journal, durable([record(10, &[])])).expect("space");
                    }
                });
            }
        });
        let lingered = journal.readings().lingered_groups;
        // A machine that is busy makes any sync slow, so the fast disk is not judged to the last.
        match (pause, writers) {
            (3, 4) => assert!(lingered > 0, "slow and busy"),
            (3, _) => assert_eq!(lingered, 0, "nobody else writes"),
            (_, _) => assert!(lingered < 30, "{lingered} on a fast disk"),
        }
    }
}

/// A journal with a reserve, and so little space left that the next segment finds none.
fn nearly_full(sim: &SimFs, inline: bool) -> Journal {
    let options = Options {
        segment_bytes: 256 << 10,
        full_retry_interval: Duration::from_millis(20),
        lazy_interval: Duration::ZERO,
        ..options()
    };
    let vfs = Arc::new(sim.clone());
    let journal = match inline {
        true => Journal::open_inline(vfs, options),
        false => Journal::open(vfs, options),
    };
    let journal = journal.expect("opens");
    suite::commit(&journal, durable([create(LOG), create(QUEUE)])).expect("space");
    for _ in 0..20 {
        suite::commit(&journal, durable([record(9_000, &[QUEUE])])).expect("space");
    }
    until("the pool is full", || journal.readings().pool_segments == 5);
    journal
}

#[test]
fn on_a_full_disk_data_is_refused_untried_and_what_frees_goes_on() {
    let sim = SimFs::new(1);
    let journal = nearly_full(&sim, false);
    sim.set_capacity(Some(sim.taken_bytes()));
    let mut taken = 0;
    while suite::commit(&journal, durable([record(9_000, &[])])).is_ok() {
        taken += 1;
        assert!(taken < 200, "the pool holds no more than that");
    }
    assert!(taken > 40, "free segments were used first: {taken}");
    let (health, since) = journal.health();
    assert_eq!((health, journal.stats().health), (Health::Full, Health::Full));
    for floor in 1..60 {
        suite::commit(&journal, durable([cursor(floor)])).expect("the reserve");
        suite::commit(&journal, durable([settle(floor)])).expect("the reserve");
        let told = suite::commit(&journal, durable([record(10, &[])]));
        assert_eq!(told, Err(SubmitError::Full));
    }
    assert_eq!(journal.health(), (Health::Full, since));
    let before = sim.counts();
    for _ in 0..1_000 {
        let told = suite::commit(&journal, durable([record(10, &[])]));
        assert_eq!(told, Err(SubmitError::Full));
    }
    let tried = sim.counts().full - before.full;
    assert!(tried < 500, "{tried} tries for 1,000 writes");
    assert!(journal.readings().refused_full >= 1_000);
    sim.set_capacity(None);
    until("service resumes by itself", || journal.health().0 == Health::Good);
    suite::commit(&journal, durable([record(10, &[])])).expect("space again");
}

#[test]
fn what_frees_succeeds_whichever_operation_finds_no_space() {
    let prepared = SimFs::new(1);
    drop(nearly_full(&prepared, true));
    let prepared = prepared.crash(storage_journal::sim::CrashModel::Kill);
    for at in 0.. {
        let sim = prepared.fork(at);
        let options = Options { segment_bytes: 24 << 10, seed: u128::from(at) + 9, ..options() };
        let journal = Journal::open_inline(Arc::new(sim.clone()), options).expect("space");
        // Two segments of reserve, which become three with those that the roll leaves behind.
        suite::commit(&journal, durable([record(9_000, &[])])).expect("space");
        journal.idle();
        let before = sim.counts().full;
        sim.inject(Fault::NoSpace, at);
        for floor in 1..12 {
            let groups = vec![
                vec![durable([cursor(floor)]), durable([record(3_000, &[])])],
                vec![durable([settle(floor)]), durable([record(10, &[])])],
            ];
            let told = journal.commit_overlapped(groups);
            for group in &told {
                assert!(group[0].is_ok(), "at {at}: {told:?}");
                assert!(matches!(group[1], Ok(_) | Err(SubmitError::Full)), "at {at}: {told:?}");
            }
        }
        assert_eq!(journal.cursors(b"", 1)[0].2.floor, 11);
        let struck = sim.counts().full > before;
        sim.disarm();
        suite::commit(&journal, durable([record(10, &[])])).expect("space again");
        if !struck {
            assert!(at > 10, "each of them writes");
            return;
        }
    }
}

#[test]
fn a_read_only_folder_refuses_everything_and_serves_again_when_it_is_not() {
    let sim = SimFs::new(1);
    let journal = nearly_full(&sim, false);
    sim.set_read_only(true);
    let told = suite::commit(&journal, durable([record(9_000, &[])]));
    assert_eq!(told, Err(SubmitError::Full));
    assert_eq!(suite::commit(&journal, durable([cursor(1)])), Err(SubmitError::Full));
    assert_eq!(journal.bounds(LOG).map(|bounds| bounds.end), Some(20), "reading goes on");
    sim.set_read_only(false);
    until("service resumes by itself", || journal.health().0 == Health::Good);
    suite::commit(&journal, durable([record(9_000, &[])])).expect("as before");
}
