//! Bytes written for each byte appended, and syncs.
//!
//! Counted until the engine has come to rest, so what it moves by itself is in it.

use std::time::{Duration, Instant};

use storage::{Engine, LogId, Mode, Op, Write};

use crate::Outcome;
use crate::bench::{Bench, create, settle};
use crate::load::{Records, submit_all};
use crate::proc;
use crate::report::Figure;

const RECORD: u64 = 1024;
/// Records that a log keeps where old ones are trimmed.
const KEPT: u64 = 10_000;
/// A trim goes with one write of so many.
const TRIM_EVERY: u64 = 1_000;

/// What is appended, and how.
struct Work {
    name: &'static str,
    logs: u64,
    in_flight: u64,
    /// Part of the data that is written.
    share: f64,
    trimmed: bool,
}

const WORKS: &[Work] = &[
    Work { name: "one log, 1 in flight", logs: 1, in_flight: 1, share: 0.01, trimmed: false },
    Work { name: "one log, 64 in flight", logs: 1, in_flight: 64, share: 1.0, trimmed: false },
    Work {
        name: "many logs, 1,024 in flight",
        logs: 0,
        in_flight: 1024,
        share: 1.0,
        trimmed: false,
    },
    Work {
        name: "one log, old records trimmed",
        logs: 1,
        in_flight: 64,
        share: 1.0,
        trimmed: true,
    },
];

/// Each kind of work on a journal of its own.
pub(crate) fn wear(bench: &mut Bench) -> Outcome<()> {
    for work in WORKS {
        one(bench, work)?;
    }
    Ok(())
}

fn one(bench: &mut Bench, work: &Work) -> Outcome<()> {
    let stored = bench.journal("wear")?;
    let engine = &stored.journal;
    let logs = if work.logs == 0 { bench.scale().cold_logs } else { work.logs };
    create(engine, 1..1 + logs)?;
    let before = (settle(engine, Duration::from_secs(10)), proc::disk_written()?);
    let count = (bench.scale().data_bytes as f64 * work.share) as u64 / RECORD;
    let began = Instant::now();
    append(engine, work, logs, count.max(1))?;
    let took = began.elapsed();
    let stats = settle(engine, Duration::from_secs(120));
    let after = (stats, proc::disk_written()?);
    let appended = (count.max(1) * RECORD) as f64;
    let written = (after.0.written_bytes - before.0.written_bytes) as f64;
    let padding = (after.0.padding_bytes - before.0.padding_bytes) as f64;
    let syncs = (after.0.syncs - before.0.syncs) as f64;
    let name = work.name;
    let mut add = |what: &str, unit: &str, value: f64| {
        bench.add(Figure::alone(&format!("{name}: {what}"), unit, value));
    };
    add("written / appended", "times", written / appended);
    add("by the kernel's count", "times", (after.1 - before.1) as f64 / appended);
    add("padding / written", "", padding / written.max(1.0));
    add("records for each sync", "", count as f64 / syncs.max(1.0));
    add("on disk / appended", "times", stats.disk_bytes as f64 / appended);
    add("appended", "MB/s", appended / 1e6 / took.as_secs_f64());
    Ok(())
}

fn append(engine: &dyn Engine, work: &Work, logs: u64, count: u64) -> Outcome<()> {
    let mut records = Records::new(usize::try_from(RECORD)?);
    let writes = (0..count).map(|at| {
        let mut write: Write = records.write(LogId(1 + at % logs));
        if work.trimmed && at % TRIM_EVERY == 0 {
            let first = at.saturating_sub(KEPT);
            write.ops.push(Op::Trim { log: LogId(1), first });
        }
        debug_assert_eq!(write.mode, Mode::Durable, "what is appended is synced");
        write
    });
    submit_all(engine, work.in_flight, writes).map(drop)
}
