//! After a failed sync: nothing unsynced is shown, the rest stays readable, a restart decides.

use storage::{LogId, Mode};
use storage_journal::sim::{CrashModel, Fault};

use crate::history::History;
use crate::oracle::Verdict;
use crate::writes::{create, durable, put, record};

const LOG: LogId = LogId(1);

fn poisoned(seed: u64) -> History {
    let mut history = History::new(seed);
    history.start().expect("an empty folder");
    history.submit(vec![durable([create(LOG, Mode::Durable), put("k", 100)])]).expect("good");
    for byte in 0..=seed % 5 {
        let one = durable([record(LOG, (byte as u8, 1_000), &[])]);
        assert_eq!(history.submit(vec![one]), Ok(Verdict::Done));
    }
    // A sync of a segment that does not exist yet loses nothing: that write is only refused.
    for syncs_before in [0, 2] {
        history.sim.inject(Fault::SyncFails, syncs_before);
        let lost = durable([record(LOG, (99, 1_000), &[]), put("k", 200)]);
        match history.submit(vec![lost]).expect("as the oracle says") {
            Verdict::Poisoned => return history,
            Verdict::Full => history.sim.disarm(),
            Verdict::Done => panic!("it did not sync"),
        }
    }
    panic!("it always syncs something else");
}

#[test]
fn a_poisoned_lane_shows_nothing_unsynced_and_stays_readable() {
    for seed in 0..60 {
        let mut history = poisoned(seed);
        history.check().expect("what was synced, and nothing else");
        history.sim.evict();
        history.check().expect("also when the cache has lost what was not");
        let again = durable([record(LOG, (98, 10), &[])]);
        assert_eq!(history.submit(vec![again]), Ok(Verdict::Poisoned), "never again");
        history.check().expect("still the same");
    }
}

#[test]
fn after_a_failed_sync_the_next_start_finds_the_write_whole_or_not_at_all() {
    for seed in 0..60 {
        for (evicted, model) in [
            (false, CrashModel::Kill),
            (true, CrashModel::Kill),
            (false, CrashModel::Power),
            (true, CrashModel::Power),
        ] {
            let mut history = poisoned(seed);
            if evicted {
                history.sim.evict();
                history.oracle.lose();
            }
            history.end(model);
            history.start().expect("good");
            let more = durable([record(LOG, (97, 10), &[])]);
            assert_eq!(history.submit(vec![more]), Ok(Verdict::Done), "the lane is well again");
            history.finish().expect("as it was left");
        }
    }
}
