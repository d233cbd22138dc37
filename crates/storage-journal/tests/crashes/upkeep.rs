//! What goes on in the background while the disk fails it: nothing is lost, and it is made good.

use storage_journal::sim::{CrashModel, Fault};

use crate::history::{Action, Background, History};

/// A folder in which there is much to drain and to merge. The process has ended.
fn busy(seed: u64) -> History {
    let mut history = History::new(seed);
    for round in 0..36 {
        history.act(Action::Write).expect("a good disk");
        if round % 4 == 0 && round < 24 {
            history.act(Action::Maintain).expect("a good disk");
        }
    }
    history.end(CrashModel::Kill);
    history
}

fn steps(history: &mut History, count: usize) {
    for _ in 0..count {
        history.act(Action::Maintain).expect("nothing is shown or taken away");
    }
}

/// Lets a fault strike at one call of the background's work; says whether there was such a call.
fn strike(before: &History, fault: Fault, at: u64) -> bool {
    let mut history = before.fork(at);
    history.start().expect("a good disk");
    let failures = history.sim.counts().failures;
    history.sim.inject(fault, at);
    steps(&mut history, 5);
    let struck = history.sim.counts().failures > failures;
    history.sim.disarm();
    history.check().expect("what was there is there");
    let poisoned = fault == Fault::SyncFails;
    if !poisoned {
        // It was not for good: what was not done is done now.
        steps(&mut history, 8);
        let journal = history.journal().expect("runs");
        let done = Background::of(journal);
        assert!(done.checkpoints > 0, "{fault:?} at {at}: {done:?}");
        history.check().expect("still there");
    }
    history.act(Action::Write).expect("as the oracle says");
    let model = if at.is_multiple_of(2) { CrashModel::Power } else { CrashModel::Kill };
    history.end(model);
    let told = history.finish();
    assert_eq!(told, Ok(()), "{fault:?} at {at}");
    struck
}

fn strike_everywhere(fault: Fault, seed: u64) {
    let before = busy(seed);
    let struck = (0..).take_while(|at| strike(&before, fault, *at)).count();
    assert!(struck > 8, "{struck} calls");
}

#[test]
fn a_full_disk_at_any_call_of_maintenance_loses_nothing_and_is_made_good_later() {
    strike_everywhere(Fault::NoSpace, 1);
}

#[test]
fn a_failed_sync_at_any_call_of_maintenance_loses_nothing() {
    strike_everywhere(Fault::SyncFails, 2);
}

#[test]
fn a_failed_read_at_any_call_of_maintenance_loses_nothing_and_is_made_good_later() {
    strike_everywhere(Fault::ReadFails, 3);
}
