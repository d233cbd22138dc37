//! Memory of logs that do nothing.

use std::time::Duration;

use storage::{Body, Engine, LogId, Mode, Op, Write};

use crate::Outcome;
use crate::bench::{Bench, Scratch, create, fill, open, settle};
use crate::load::{Records, append_op, submit_all};
use crate::options::{Options, Part};
use crate::proc;
use crate::report::Figure;

/// Logs that are there before it counts, so that buffers and caches have their size.
const FIRST: u64 = 1_000;
/// What is appended to one log before it counts.
const FILL_BYTES: u64 = 32 << 20;
const RECORD: usize = 64;
const PER_LOG_MAX: f64 = 200.0;

/// The memory of a log, with so many records in each: as made, and after opening again.
pub(crate) fn logs(bench: &mut Bench, records: u64) -> Outcome<()> {
    let logs = bench.scale().idle_logs;
    let folder = Scratch::new(bench.folder(), "logs")?;
    let journal = open(folder.path(), bench.scale())?;
    let engine = &journal;
    create(engine, 1..1 + FIRST)?;
    fill(engine, 1..2, FILL_BYTES.min(bench.scale().data_bytes), 1024)?;
    trim(engine, 1)?;
    settle(engine, Duration::from_secs(20));
    let before = proc::rss_bytes()?;
    let ids = FIRST + 1..FIRST + 1 + logs;
    create(engine, ids.clone())?;
    for _ in 0..records {
        append_each(engine, ids.clone())?;
    }
    settle(engine, Duration::from_secs(120));
    let each = proc::rss_bytes()?.saturating_sub(before) as f64 / logs as f64;
    let there = ids.filter(|id| engine.bounds(LogId(*id)).is_some_and(|b| b.end == records));
    if there.count() as u64 != logs {
        return Err("a log is missing, or its record is".into());
    }
    engine.close();
    drop(journal);
    bench.add(Figure::alone("memory of a log", "bytes", each).at_most(PER_LOG_MAX));
    let lines = proc::child(bench.options(), &Part::Reopen, folder.path())?;
    let grown: u64 = lines.first().ok_or("the child said nothing")?.parse()?;
    let each = grown as f64 / (logs + FIRST) as f64;
    let after = Figure::alone("memory of a log after a restart", "bytes", each);
    bench.add(after.at_most(PER_LOG_MAX));
    Ok(())
}

/// Opens the folder and says how much memory that took.
pub(crate) fn reopen(options: &Options) -> Outcome<()> {
    let before = proc::rss_bytes()?;
    let engine = open(&options.dir, options.scale)?;
    settle(&engine, Duration::from_secs(60));
    let grown = proc::rss_bytes()?.saturating_sub(before);
    crate::print(&format!("{grown}\n"))
}

fn trim(engine: &dyn Engine, log: u64) -> Outcome<()> {
    let log = LogId(log);
    let first = engine.bounds(log).ok_or("the log is gone")?.end;
    let write = Write { ops: vec![Op::Trim { log, first }], mode: Mode::Durable };
    submit_all(engine, 1, [write]).map(drop)
}

fn append_each(engine: &dyn Engine, ids: std::ops::Range<u64>) -> Outcome<()> {
    let mut records = Records::new(RECORD);
    let ids: Vec<u64> = ids.collect();
    let writes = ids.chunks(1000).map(|some| {
        let append = |id: &u64| {
            let body = Body::Record(records.record());
            append_op(LogId(*id), body)
        };
        Write { ops: some.iter().map(append).collect(), mode: Mode::Durable }
    });
    submit_all(engine, 4, writes).map(drop)
}
