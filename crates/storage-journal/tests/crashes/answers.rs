//! Answers hold in what is durable: after a crash they would be given again.

use storage::{Appended, Committed, LogId, Mode, Op, SubmitError, Write};
use storage_journal::sim::CrashModel;

use crate::history::History;
use crate::oracle::{Outcome, Verdict};
use crate::writes::{create, durable, lazy, produced, record};

const LOG: LogId = LogId(1);
const OTHER: LogId = LogId(2);
const CRASHES: [CrashModel; 2] = [CrashModel::Power, CrashModel::Kill];

/// Submits one write; the oracle judges it, and the answer is given on.
fn answer(history: &mut History, write: Write) -> Outcome {
    history.submit_one(write).expect("as the oracle says")
}

#[test]
fn a_repeat_gets_its_first_answer_after_any_crash() {
    for seed in 0..60 {
        for model in CRASHES {
            let mut history = History::new(seed);
            history.start().expect("an empty folder");
            let made = durable([create(LOG, Mode::Durable), record(LOG, (1, 10), &[])]);
            answer(&mut history, made).expect("good");
            for sequence in 0..4 {
                let first = answer(&mut history, durable([produced(LOG, 0, sequence)]));
                let base = first.expect("in order").appended.remove(0).base;
                if seed % 3 == 0 {
                    answer(&mut history, durable([record(LOG, (2, 10), &[])])).expect("good");
                }
                history.end(model);
                history.start().expect("good");
                let again = answer(&mut history, durable([produced(LOG, 0, sequence)]));
                let same = Appended { base, last: base, duplicate: true, places: Vec::new() };
                assert_eq!(again, Ok(Committed { appended: vec![same] }));
            }
        }
    }
}

/// What makes the answer true, what is asked, and the answer.
type Case = (Vec<Op>, Op, SubmitError);

fn cases() -> Vec<Case> {
    vec![
        (vec![produced(LOG, 0, 0)], produced(LOG, 0, 2), SubmitError::OutOfOrder),
        (vec![produced(LOG, 1, 0)], produced(LOG, 0, 1), SubmitError::Fenced),
        (vec![Op::DropLog(OTHER)], record(OTHER, (1, 10), &[]), SubmitError::NoLog(OTHER)),
    ]
}

#[test]
fn a_negative_answer_would_be_given_again_after_any_crash() {
    // Whatever made the answer true may have waited for the disk or not.
    let waits: &[bool] = &[true, false];
    for seed in 0..60 {
        for (wait, model) in waits.iter().flat_map(|wait| CRASHES.map(|model| (wait, model))) {
            for (made_true, asked, told) in cases() {
                let mut history = History::new(seed);
                history.start().expect("an empty folder");
                let logs = [create(LOG, Mode::Async), create(OTHER, Mode::Async)];
                answer(&mut history, durable(logs)).expect("good");
                let made_true = if *wait { durable(made_true) } else { lazy(made_true) };
                answer(&mut history, made_true).expect("good");
                assert_eq!(answer(&mut history, durable([asked.clone()])), Err(told.clone()));
                history.end(model);
                history.start().expect("good");
                assert_eq!(answer(&mut history, durable([asked])), Err(told), "seed {seed}");
            }
        }
    }
}

#[test]
fn an_offset_that_was_told_is_never_given_again_in_any_mode() {
    for seed in 0..60 {
        for (mode, model) in [Mode::Memory, Mode::Async, Mode::Durable]
            .into_iter()
            .flat_map(|mode| CRASHES.map(|model| (mode, model)))
        {
            let mut history = History::new(seed);
            history.start().expect("an empty folder");
            answer(&mut history, durable([create(LOG, mode)])).expect("good");
            let mut end = 0;
            for round in 0..4 {
                for _ in 0..=seed % 4 {
                    let write = Write { ops: vec![record(LOG, (round, 10), &[])], mode };
                    let given = answer(&mut history, write).expect("good").appended.remove(0);
                    assert!(given.base >= end, "{} was given before {end}", given.base);
                    end = given.last + 1;
                }
                history.end(model);
                history.start().expect("good");
            }
            assert_eq!(history.submit(Vec::new()), Ok(Verdict::Done));
        }
    }
}
