//! Crashes of the whole engine on the simulated disk, judged by the suite's model.
//!
//! ```text
//!  history   actions at random: writes, stops, crashes, faults, damage     one seed, one history
//!  oracle    what must be true after them
//!  chain     the segments as they stand on the disk, read without the engine
//!  seeds     many histories, and how one is repeated
//!  audit     what is said of the folders that they leave
//!
//!  damage, space, upkeep, answers, poisoned, costs     what has a name, each case on purpose
//! ```

#[path = "crashes/answers.rs"]
mod answers;
#[path = "crashes/audit.rs"]
mod audit;
#[path = "crashes/chain.rs"]
mod chain;
#[path = "crashes/costs.rs"]
mod costs;
#[path = "crashes/damage.rs"]
mod damage;
#[path = "crashes/history.rs"]
mod history;
#[path = "crashes/nosync.rs"]
mod nosync;
#[path = "crashes/oracle.rs"]
mod oracle;
#[path = "crashes/poisoned.rs"]
mod poisoned;
#[path = "crashes/seeds.rs"]
mod seeds;
#[path = "crashes/space.rs"]
mod space;
#[path = "crashes/upkeep.rs"]
mod upkeep;
#[path = "crashes/writes.rs"]
mod writes;

use history::{Action, History};
use storage_journal::sim::CrashModel;

#[test]
fn what_was_promised_survives_every_crash_and_offsets_are_never_given_again() {
    let name = "what_was_promised_survives_every_crash_and_offsets_are_never_given_again";
    seeds::each(name, |seed| History::new(seed).run(30 + seed % 90));
}

#[test]
fn an_engine_that_does_not_sync_is_found_out() {
    let caught = (0..20).filter(|seed| History::without_syncs(*seed).run(60).is_err()).count();
    assert!(caught > 15, "{caught} of 20 histories without a sync were found out");
}

/// What a process does between its start and its end.
const LIVES: &[&[Action]] = &[
    &[Action::Write, Action::Write, Action::Idle],
    &[Action::Maintain, Action::Maintain, Action::Maintain, Action::Maintain, Action::Write],
    &[Action::Idle, Action::Close],
    &[Action::Fill, Action::Write, Action::Maintain, Action::Write, Action::Close],
];

#[test]
fn every_action_may_end_at_every_operation_of_the_disk() {
    let mut background = history::Background::default();
    // Each of them ends hundreds of times, so there are few, unless the run is a long one.
    for seed in 0..2 + seeds::count() / 500 {
        let mut before = History::new(seed);
        for round in 0..40 {
            before.act(Action::Write).expect("a good disk");
            // Behind the last of these there is enough to do.
            if round % 4 == 0 && round < 30 {
                before.act(Action::Maintain).expect("a good disk");
            }
        }
        before.end(CrashModel::Kill);
        let deaths = before.sim.counts().deaths;
        for (index, life) in LIVES.iter().enumerate() {
            for step in 0.. {
                let mut history = before.fork(index as u64 * 1_000 + step);
                history.sim.die_after(step);
                let told = life.iter().try_for_each(|action| history.act(*action));
                let told = told.and_then(|()| history.finish());
                assert_eq!(told, Ok(()), "seed {seed} {life:?} ended at {step}");
                if history.sim.counts().deaths == deaths {
                    background.drains += history.background.drains - before.background.drains;
                    background.merges += history.background.merges - before.background.merges;
                    break;
                }
            }
        }
    }
    assert!(background.drains >= 2 && background.merges >= 1, "too little: {background:?}");
}

#[test]
fn histories_drain_merge_and_make_checkpoints() {
    let mut all = history::Background::default();
    for seed in 0..40 {
        let mut history = History::new(seed);
        history.run(100).expect("a good history");
        history.end(CrashModel::Kill);
        all = all.and(history.background);
    }
    assert!(all.drains > 80 && all.merges > 20 && all.checkpoints > 150, "too little: {all:?}");
}

#[test]
fn starts_may_end_anywhere_again_and_again_before_the_power_goes() {
    for seed in 0..3 {
        let mut before = History::new(seed);
        for action in [Action::Write, Action::Write, Action::Kill] {
            before.act(action).expect("a good disk");
        }
        let steps = (0..10).flat_map(|first| (0..10).map(move |second| [first, second]));
        for (at, steps) in steps.enumerate() {
            let mut twice = before.fork(at as u64);
            for step in steps {
                twice.sim.die_after(step);
                twice.start().expect("it may end, but says nothing wrong");
                twice.end(CrashModel::Kill);
            }
            // What the loss of power takes is a matter of luck: try it several times.
            for luck in 0..16 {
                let mut history = twice.fork(at as u64 * 1_000 + luck);
                history.end(CrashModel::Power);
                let told = history.finish();
                assert_eq!(told, Ok(()), "seed {seed}, ended at {steps:?}, luck {luck}");
            }
        }
    }
}

#[test]
fn a_start_that_ends_at_once_changes_nothing() {
    for seed in 0..40 {
        let mut history = History::new(seed);
        history.run(40).expect("a good history");
        let shown = history.oracle.model();
        for _ in 0..3 {
            history.end(CrashModel::Kill);
            history.start().expect("opens");
            let mut shown = shown.clone();
            let journal = history.journal().expect("runs");
            shown.stop(journal, false);
            assert_eq!(shown.difference(journal), None, "seed {seed}: replaying twice is once");
        }
    }
}

#[test]
fn clock_steps_of_ten_years_either_way_move_the_engine_clock_by_a_month_at_most() {
    for seed in 0..30 {
        let mut history = History::new(seed);
        for _ in 0..8 {
            for action in [Action::Write, Action::Idle, Action::ClockJump, Action::Kill] {
                history.act(action).expect("the engine clock goes on");
            }
        }
        history.finish().expect("the engine clock goes on");
    }
}
