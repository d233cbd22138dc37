//! No space, no writing, no folder: what is refused is refused as a whole, and service resumes.

use storage::{Engine, Health, LogId, Mode, Op, Write};
use storage_journal::OpenError;
use storage_journal::sim::{CrashModel, Fault};

use crate::history::{History, figure, maintain};
use crate::oracle::Verdict;
use crate::writes::{create, durable, freeing, put, record};

const LOG: LogId = LogId(1);
const QUEUE: LogId = LogId(2);

/// A folder with a log, a queue that refers to it, a cursor and a row; the process has ended.
fn prepared(seed: u64) -> History {
    let mut history = History::new(seed);
    history.start().expect("an empty folder");
    let ops = [create(LOG, Mode::Durable), create(QUEUE, Mode::Durable), put("k", 100)];
    history.submit(vec![durable(ops)]).expect("good");
    for byte in 0..10 {
        let one = durable([record(LOG, (byte, 3_000), &[QUEUE])]);
        assert_eq!(history.submit(vec![one]), Ok(Verdict::Done));
    }
    history.end(CrashModel::Kill);
    history
}

fn all() -> Vec<Write> {
    let mut writes = freeing(LOG, QUEUE);
    writes.push(durable([record(LOG, (77, 9_000), &[QUEUE]), put("k", 50)]));
    writes
}

#[test]
fn a_disk_that_is_full_at_any_call_refuses_writes_as_a_whole_and_serves_again() {
    let prepared = prepared(1);
    for at in 0..100 {
        let mut history = prepared.fork(at);
        history.start().expect("space");
        let before = history.sim.counts();
        history.sim.inject(Fault::NoSpace, at);
        for write in all() {
            let verdict = history.submit(vec![write]).expect("as the oracle says");
            assert_ne!(verdict, Verdict::Poisoned, "no space is no failed sync");
        }
        let struck = history.sim.counts().full > before.full;
        history.sim.disarm();
        for write in all() {
            assert_eq!(history.submit(vec![write]), Ok(Verdict::Done), "there is space again");
        }
        history.finish().expect("as it was left");
        if !struck {
            assert!(at > 3, "each of them writes");
            return;
        }
    }
    panic!("it writes without end");
}

#[test]
fn a_start_on_a_disk_that_is_full_at_any_call_is_refused_or_goes_on() {
    let prepared = prepared(2);
    for at in 0..100 {
        let mut history = prepared.fork(at);
        history.sim.inject(Fault::NoSpace, at);
        history.start().expect("opened, or refused for this reason");
        let struck = history.sim.counts().full > 0;
        history.finish().expect("nothing is lost");
        if !struck {
            assert!(at > 1, "a start writes");
            return;
        }
    }
    panic!("it writes without end");
}

#[test]
fn a_full_disk_stays_readable_and_takes_everything_again_when_there_is_space() {
    for seed in 0..10 {
        let mut history = prepared(seed);
        history.start().expect("good");
        history.sim.set_capacity(Some(history.sim.taken_bytes() + (64 << 10)));
        let mut written = 0;
        let large = || durable([record(LOG, (8, 9_000), &[QUEUE])]);
        while history.submit(vec![large()]) == Ok(Verdict::Done) {
            written += 1;
            assert!(written < 100, "there is no space for that");
        }
        assert!(written > 2, "it was not full from the start");
        for write in all() {
            let verdict = history.submit(vec![write]).expect("done or refused as a whole");
            assert_ne!(verdict, Verdict::Poisoned);
        }
        history.check().expect("what was there is there");
        history.sim.set_capacity(None);
        for write in all() {
            assert_eq!(history.submit(vec![write]), Ok(Verdict::Done));
        }
        history.finish().expect("as it was left");
    }
}

/// As [`prepared`], in real use: much that was deleted waits to be drained, merged and forgotten.
fn used(seed: u64) -> History {
    let mut history = prepared(seed);
    history.start().expect("good");
    for round in 0..4 {
        for byte in 0..40 {
            let one = durable([record(LOG, (byte, 3_000), &[])]);
            assert_eq!(history.submit(vec![one]), Ok(Verdict::Done));
        }
        let end = history.journal().expect("runs").bounds(LOG).expect("exists").end;
        let ranges = std::iter::once(end - 35..end - 5).collect();
        let delete = durable([Op::Delete { log: LOG, ranges }]);
        assert_eq!(history.submit(vec![delete]), Ok(Verdict::Done));
        // Behind the last of these there is something to do.
        for _ in 0..if round == 3 { 0 } else { 20 } {
            maintain(history.journal().expect("runs"));
        }
    }
    assert!(history.sim.contents("maintenance.reserve").is_some(), "the log is in use");
    history.end(CrashModel::Kill);
    history
}

fn rest(history: &History) {
    let journal = history.journal().expect("runs");
    for _ in 0..100 {
        maintain(journal);
    }
}

#[test]
fn maintenance_that_finds_no_space_at_any_call_takes_the_reserve_and_brings_it_back() {
    let used = used(3);
    let mut given_up = 0;
    for at in 0..1_000 {
        let mut history = used.fork(at);
        history.start().expect("space");
        let full = history.sim.counts().full;
        history.sim.inject(Fault::NoSpace, at);
        let mut steps = 0;
        while history.sim.counts().full == full && steps < 100 {
            maintain(history.journal().expect("runs"));
            steps += 1;
        }
        if steps == 100 {
            assert!(at > 10, "{at} calls in all");
            assert!(given_up > 5, "the reserve was needed {given_up} times");
            return;
        }
        let journal = history.journal().expect("runs");
        let (health, _) = journal.health();
        assert_eq!(figure(journal, "reserve_bytes") == 0, health == Health::Full);
        if health == Health::Full {
            given_up += 1;
            let data = durable([record(LOG, (1, 100), &[])]);
            assert_eq!(history.submit(vec![data]), Ok(Verdict::Full), "that space is not for it");
        }
        for write in freeing(LOG, QUEUE) {
            assert_eq!(history.submit(vec![write]), Ok(Verdict::Done), "what frees goes on");
        }
        rest(&history);
        assert!(figure(history.journal().expect("runs"), "reserve_bytes") > 0, "it is back");
        for write in all() {
            assert_eq!(history.submit(vec![write]), Ok(Verdict::Done));
        }
        history.finish().expect("as it was left");
    }
    panic!("it writes without end");
}

#[test]
fn a_full_disk_serves_again_once_enough_was_settled_and_trimmed() {
    for seed in 0..10 {
        let mut history = used(seed);
        history.start().expect("good");
        rest(&history);
        history.sim.set_capacity(Some(history.sim.taken_bytes() + (128 << 10)));
        let mut written = 0;
        while history.submit(vec![durable([record(LOG, (8, 3_000), &[])])]) == Ok(Verdict::Done) {
            maintain(history.journal().expect("runs"));
            written += 1;
            assert!(written < 1_000, "there is no space for that");
        }
        rest(&history);
        for write in freeing(LOG, QUEUE) {
            assert_eq!(history.submit(vec![write]), Ok(Verdict::Done), "what frees goes on");
        }
        let end = history.journal().expect("runs").bounds(LOG).expect("exists").end;
        let places = (0..10).collect();
        let cursor = Op::Cursor { name: "c".into(), log: LOG, state: None };
        let ops = [Op::Trim { log: LOG, first: end }, Op::Settle { queue: QUEUE, places }, cursor];
        assert_eq!(history.submit(vec![durable(ops)]), Ok(Verdict::Done));
        rest(&history);
        for _ in 0..20 {
            let data = durable([record(LOG, (9, 3_000), &[])]);
            assert_eq!(history.submit(vec![data]), Ok(Verdict::Done), "there is space again");
        }
        history.finish().expect("as it was left");
    }
}

#[test]
fn a_folder_that_turns_read_only_stays_readable_and_loses_nothing() {
    for seed in 0..10 {
        let mut history = prepared(seed);
        history.start().expect("good");
        history.sim.set_read_only(true);
        for write in all() {
            assert_ne!(history.submit(vec![write]), Ok(Verdict::Done), "nothing can be written");
        }
        history.check().expect("what was there can be read");
        history.end(CrashModel::Kill);
        let error = history.open().expect_err("read-only");
        assert!(matches!(error, OpenError::NotWritable(_)), "{error:?}");
        history.sim.set_read_only(false);
        history.finish().expect("as it was left");
    }
}

/// Writes until nothing is taken any more, at most so many records of 3,000 bytes.
fn write_on(history: &mut History, records: usize) -> Verdict {
    let mut verdict = Verdict::Done;
    for _ in 0..records {
        verdict = history.submit(vec![durable([record(LOG, (9, 3_000), &[])])]).expect("answers");
        if verdict == Verdict::Poisoned {
            break;
        }
    }
    verdict
}

#[test]
fn a_folder_that_is_removed_under_a_running_engine_is_noticed_at_the_next_segment() {
    let mut history = prepared(1);
    history.start().expect("good");
    history.sim.remove_folder();
    assert_eq!(write_on(&mut history, 100), Verdict::Poisoned, "segments are shorter than that");
    let journal = history.journal().expect("runs");
    assert!(journal.stats().is_poisoned() && journal.bounds(LOG).is_some(), "reads go on");
}

#[test]
fn a_folder_that_was_emptied_and_written_into_is_refused_at_the_next_start() {
    let mut history = prepared(1);
    history.start().expect("good");
    history.sim.empty_folder();
    write_on(&mut history, 100);
    history.end(CrashModel::Kill);
    let error = history.open().expect_err("the log has no beginning");
    assert!(error.to_string().starts_with("the journal is damaged: segment "), "{error}");
}

#[test]
fn a_folder_that_was_emptied_between_two_runs_is_a_new_one() {
    let mut history = prepared(1);
    history.sim.empty_folder();
    let journal = history.open().expect("as the first time");
    assert_eq!(journal.bounds(LOG), None, "there is nothing that could say more");
}
