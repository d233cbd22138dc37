//! Readers far behind while writing goes on: what they get, and what it costs the writers.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use storage::{Engine, LogId, ReadLimits};

use crate::Outcome;
use crate::bench::{Bench, both, create, fill, settle};
use crate::load::{Driven, Loop, Records, drive};
use crate::proc;
use crate::report::Figure;

const RECORD: usize = 1024;
const IN_FLIGHT: u64 = 64;
/// The log that is written to meanwhile.
const WRITTEN: LogId = LogId(1_000_000);
const READ_BYTES: usize = 1 << 20;

/// One log with much in it, as a consumer reads one that was away for a while.
pub(crate) fn hot(bench: &mut Bench) -> Outcome<()> {
    catch_up(bench, 1)
}

/// Many small logs, one after the other.
pub(crate) fn cold(bench: &mut Bench) -> Outcome<()> {
    let logs = bench.scale().cold_logs;
    catch_up(bench, logs)
}

fn catch_up(bench: &mut Bench, logs: u64) -> Outcome<()> {
    let stored = bench.journal("catch-up")?;
    let engine = &stored.journal;
    create(engine, 1..1 + logs)?;
    create(engine, WRITTEN.0..WRITTEN.0 + 1)?;
    fill(engine, 1..1 + logs, bench.scale().data_bytes, 1024)?;
    settle(engine, Duration::from_secs(60));
    let (found, probes) = bench.between_probes(
        |probe, glance| {
            Ok((probe.sync(RECORD * IN_FLIGHT as usize, glance)?, probe.read_through(glance)?))
        },
        |bench| measure(bench, engine, stored.folder(), logs),
    )?;
    let (quiet, busy) = (&found.quiet, &found.busy);
    let p50 = both(&probes, |(sync, _)| sync.p50_us);
    let p99 = both(&probes, |(sync, _)| sync.p99_us);
    for (what, quiet, busy, probe) in [
        ("commit p50", quiet.p50_us(), busy.p50_us(), p50),
        ("commit p99", quiet.p99_us(), busy.p99_us(), p99),
    ] {
        bench.add(Figure::over(&format!("{what}, nobody reads"), "us", quiet, probe));
        bench.add(Figure::over(&format!("{what}, with a reader"), "us", busy, probe));
        let times = Figure::alone(&format!("{what}, with / without"), "times", busy / quiet);
        bench.add(times.at_most(2.0));
    }
    let rate = both(&probes, |(sync, _)| sync.per_second * IN_FLIGHT as f64);
    bench.add(Figure::over("records/s, nobody reads", "/s", quiet.per_second(), rate));
    bench.add(Figure::over("records/s, with a reader", "/s", busy.per_second(), rate));
    let read = found.read.bytes as f64 / found.read.elapsed.as_secs_f64() / 1e6;
    let through = both(&probes, |(_, read)| read.bytes_per_second / 1e6);
    bench.add(Figure::over("read meanwhile", "MB/s", read, through));
    Ok(())
}

struct Found {
    quiet: Driven,
    busy: Driven,
    read: Read,
}

/// Half of the writing alone, all of it with the reader, the other half alone.
fn measure(bench: &Bench, engine: &dyn Engine, folder: &Path, logs: u64) -> Outcome<Found> {
    let mut records = Records::new(RECORD);
    let mut write = |duration: Duration, warm_up: Duration| {
        let plan = Loop { in_flight: IN_FLIGHT, warm_up, duration };
        drive(engine, plan, || records.write(WRITTEN))
    };
    let mut quiet = write(bench.duration() / 2, bench.warm_up())?;
    let stop = AtomicBool::new(false);
    let (busy, read) = thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(engine, folder, logs, &stop));
        let busy = write(bench.duration(), bench.warm_up() / 2);
        stop.store(true, Ordering::Relaxed);
        let read = reader.join().map_err(|_| "the reader panicked")??;
        busy.map(|busy| (busy, read))
    })?;
    quiet.join(&write(bench.duration() / 2, bench.warm_up() / 2)?)?;
    Ok(Found { quiet, busy, read })
}

struct Read {
    bytes: u64,
    elapsed: Duration,
}

/// Reads every log from its beginning to its end, not from the page cache, again and again.
fn read_all(engine: &dyn Engine, folder: &Path, logs: u64, stop: &AtomicBool) -> Outcome<Read> {
    let mut read = Read { bytes: 0, elapsed: Duration::ZERO };
    let limits = ReadLimits { max_bytes: READ_BYTES, held: false };
    while !stop.load(Ordering::Relaxed) {
        proc::evict(folder)?;
        let begin = Instant::now();
        for log in (1..=logs).map(LogId) {
            let end = engine.bounds(log).ok_or("a log is gone")?.end;
            let mut from = 0;
            while from < end && !stop.load(Ordering::Relaxed) {
                let batches = engine.read(log, from, limits)?;
                let before = from;
                for batch in &batches {
                    if batch.base != from {
                        return Err(format!("after {from} came {}", batch.base).into());
                    }
                    from = batch.last + 1;
                    read.bytes += batch.bytes.len() as u64;
                }
                if from == before {
                    return Err(format!("{log:?} ends at {end}, nothing is at {from}").into());
                }
            }
        }
        read.elapsed += begin.elapsed();
    }
    Ok(read)
}
