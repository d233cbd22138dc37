//! What durability costs: syncs before the start is done, syncs and bytes for what is written.

use std::sync::Arc;

use storage::{Engine, LogId, Mode, Op, ReadLimits, batch, suite};
use storage_journal::sim::{CrashModel, SimFs};
use storage_journal::vfs::Vfs;
use storage_journal::{Journal, Options};

use crate::history::{Background, figure, maintain};
use crate::writes::{create, durable, lazy, put, record};

const LOG: LogId = LogId(1);
const SEGMENT: u64 = 256 << 10;

fn open(sim: &SimFs, seed: u128) -> Journal {
    let options = Options { seed, segment_bytes: SEGMENT, ..Options::default() };
    Journal::open_inline(Arc::new(sim.clone()), options).expect("a good disk")
}

#[test]
fn a_start_is_ready_after_at_most_four_syncs() {
    let mut sim = SimFs::new(1);
    for start in 0..8 {
        let journal = open(&sim, start);
        let syncs = sim.counts_since_start().all_syncs();
        assert!(syncs <= 4, "{syncs} syncs at start {start}");
        suite::commit(&journal, durable([create(LOG, Mode::Durable)])).expect("space");
        for _ in 0..start * 20 {
            suite::commit(&journal, durable([record(LOG, (1, 3_000), &[])])).expect("space");
        }
        // Some of it is unproven at the next start.
        suite::commit(&journal, lazy([put("k", 9_000)])).expect("space");
        if start % 3 == 0 {
            journal.close();
        }
        sim = sim.crash(if start % 2 == 0 { CrashModel::Kill } else { CrashModel::Power });
    }
}

#[test]
fn a_start_after_one_that_ended_while_it_made_the_manifest_is_ready_after_four_syncs_too() {
    for model in [CrashModel::Kill, CrashModel::Power] {
        for step in 0.. {
            let sim = SimFs::new(step);
            let journal = open(&sim, 1);
            suite::commit(&journal, durable([create(LOG, Mode::Durable)])).expect("space");
            for _ in 0..50 {
                suite::commit(&journal, durable([record(LOG, (1, 3_000), &[])])).expect("space");
            }
            let names = || sim.list("").unwrap_or_default();
            assert!(!names().contains(&"CURRENT".into()), "there is no manifest yet");
            sim.die_after(step);
            maintain(&journal);
            let finished = !sim.is_dead();
            assert!(!finished || names().contains(&"CURRENT".into()), "now there is");
            drop(journal);
            let sim = sim.crash(model);
            let journal = open(&sim, 2);
            let syncs = sim.counts_since_start().all_syncs();
            assert!(syncs <= 4, "{syncs} syncs after {model:?} at {step}");
            assert_eq!(journal.bounds(LOG).map(|bounds| bounds.end), Some(50));
            if finished {
                assert!(step > 10, "it takes more than that");
                break;
            }
        }
    }
}

#[test]
fn a_group_costs_one_write_and_one_sync() {
    let sim = SimFs::new(1);
    let journal = open(&sim, 1);
    suite::commit(&journal, durable([create(LOG, Mode::Durable)])).expect("space");
    let before = sim.counts();
    for _ in 0..20 {
        let writes = (0..50).map(|byte| durable([record(LOG, (byte, 40), &[])])).collect();
        assert!(journal.commit_together(writes).iter().all(Result::is_ok));
    }
    let cost = sim.counts() - before;
    assert_eq!((cost.writes, cost.all_syncs()), (20, 20));
    assert!(cost.bytes_written <= 20 * 8 * 1024, "{} bytes", cost.bytes_written);
}

#[test]
fn bytes_written_and_bytes_kept_stay_within_a_factor_of_what_lives() {
    let sim = SimFs::new(1);
    let journal = open(&sim, 1);
    let (kept, length) = (200, 3_000);
    let mut most = 0;
    suite::commit(&journal, durable([create(LOG, Mode::Durable)])).expect("space");
    suite::commit(&journal, durable([create(LogId(2), Mode::Durable)])).expect("space");
    let before = sim.counts();
    let count = 3_000;
    for at in 0..count {
        let end = journal.bounds(LOG).expect("exists").end;
        let trim = Op::Trim { log: LOG, first: end.saturating_sub(kept) };
        let mut ops = vec![record(LOG, (at as u8, length), &[]), trim];
        if at % 100 == 0 {
            ops.push(record(LogId(2), (1, 1_000), &[]));
        }
        suite::commit(&journal, durable(ops)).expect("space");
        maintain(&journal);
        most = most.max(sim.taken_bytes() as u64);
    }
    // Each group takes a whole block, whatever is in it.
    let live = kept * 4096;
    let most = most - figure(&journal, "reserve_bytes");
    assert!(most <= 2 * live + 8 * SEGMENT, "{most} bytes for {live} that live");
    let cost = sim.counts() - before;
    let useful = count * 4096;
    assert!(cost.bytes_written <= 2 * useful, "{} bytes for {useful}", cost.bytes_written);
    // One for each group, two for a new segment, and a few for what goes on in the background: of
    // units, of the folder, of a table, of the folder, of the manifest.
    let done = Background::of(&journal);
    let segments = cost.bytes_written / SEGMENT;
    let others = cost.all_syncs() - count - 2 * segments;
    assert!(done.drains > 2 && others <= 8 * done.checkpoints, "{others} syncs for {done:?}");
}

#[test]
fn a_reference_that_nobody_settles_pins_its_own_record_and_no_more() {
    const QUEUE: LogId = LogId(2);
    let sim = SimFs::new(1);
    let journal = open(&sim, 1);
    suite::commit(&journal, durable([create(LOG, Mode::Durable)])).expect("space");
    suite::commit(&journal, durable([create(QUEUE, Mode::Durable)])).expect("space");
    let (count, every, kept, length) = (2_000_u64, 40, 50, 3_000);
    let mut most = 0;
    for at in 0..count {
        let queues = if at.is_multiple_of(every) { &[QUEUE][..] } else { &[] };
        let trim = Op::Trim { log: LOG, first: at.saturating_sub(kept) };
        let ops = [record(LOG, (at as u8, length), queues), trim];
        suite::commit(&journal, durable(ops)).expect("space");
        maintain(&journal);
        most = most.max(sim.taken_bytes() as u64);
    }
    // Four segments before a drain, the current one, five free ones and one on its way; the space
    // of the manifest.
    let constant = 11 * SEGMENT + (1 << 20);
    let live = (kept + count / every) * 4096;
    let most = most - figure(&journal, "reserve_bytes");
    assert!(most <= 2 * live + constant, "{most} bytes for {live} that live");
    let stuck = journal.refs(QUEUE, 0, usize::MAX);
    assert_eq!(stuck.len() as u64, count / every);
    for reference in &stuck {
        let limits = ReadLimits { max_bytes: 1, held: true };
        let read = journal.read(LOG, reference.offset, limits).expect("held").remove(0);
        let found = batch::records(&read.bytes).expect("valid").remove(0);
        assert_eq!(found.offset, reference.offset);
        assert_eq!(found.value, Some(vec![reference.offset as u8; length].into()));
    }
    let places = stuck.iter().map(|reference| reference.place).collect();
    suite::commit(&journal, durable([Op::Settle { queue: QUEUE, places }])).expect("space");
    while maintain(&journal) {}
    let left = sim.taken_bytes() as u64;
    assert!(left <= 2 * kept * 4096 + constant, "{left} bytes when nobody awaits anything");
    assert!(most < count * 4096, "so much was never kept");
}
