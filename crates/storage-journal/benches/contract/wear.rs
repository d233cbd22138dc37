//! Bytes written for each byte appended, and syncs.
//!
//! Counted until the engine has come to rest, so what it moves by itself is in it.

use std::time::{Duration, Instant};

use storage::{Engine, EngineStats, LogId, Mode, Op, Write};

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
    let after = (settle(engine, Duration::from_secs(120)), proc::disk_written()?);
    let appended = (count.max(1) * RECORD) as f64;
    let grown = |pick: fn(&EngineStats) -> u64| (pick(&after.0) - pick(&before.0)) as f64;
    let logged = grown(|stats| stats.written_bytes);
    let rested = grown(|stats| stats.rested_bytes);
    let padding = grown(|stats| stats.padding_bytes);
    let syncs = grown(|stats| stats.syncs);
    let name = work.name;
    let mut add = |what: &str, unit: &str, value: f64| {
        bench.add(Figure::alone(&format!("{name}: {what}"), unit, value));
    };
    add("written / appended", "times", (logged + rested) / appended);
    add("of it to resting files", "times", rested / appended);
    add("by the kernel's count", "times", (after.1 - before.1) as f64 / appended);
    add("padding / written to the log", "", padding / logged.max(1.0));
    add("records for each sync", "", count as f64 / syncs.max(1.0));
    add("on disk / appended", "times", after.0.disk_bytes as f64 / appended);
    add("appended", "MB/s", appended / 1e6 / took.as_secs_f64());
    // What it says of its drains is its own to name.
    for figure in after.0.figures.iter().filter(|figure| figure.name.contains("drain")) {
        let earlier = before.0.figures.iter().find(|other| other.name == figure.name);
        let total = figure.name.ends_with("_total");
        let from = earlier.filter(|_| total).map_or(0.0, |earlier| earlier.value);
        add(figure.name, "", figure.value - from);
    }
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
