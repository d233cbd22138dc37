//! No space, no writing, no folder: what is refused is refused as a whole, and service resumes.

use storage::{Engine, LogId, Mode, Write};
use storage_journal::OpenError;
use storage_journal::sim::{CrashModel, Fault};

use crate::history::History;
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
