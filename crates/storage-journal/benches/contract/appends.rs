//! Durable appends: records in flight on one log, on many logs, and large batches of clients.

use storage::{Body, Engine, LogId};

use storage_journal::Journal;

use crate::Outcome;
use crate::bench::{Around, Bench, both, create};
use crate::load::{Driven, Loop, Records, append, drive, subject};
use crate::proc;
use crate::report::Figure;

const RECORD: usize = 1024;
/// Records of one client's batch, so that it has 1 MiB.
const BATCH_RECORDS: u64 = 1015;
/// Batches that differ from each other.
const BATCHES: usize = 4;

/// Records of 1 KiB on one log, always so many of them in flight.
pub(crate) fn in_flight(bench: &mut Bench, in_flight: u64) -> Outcome<()> {
    let (driven, around) = records(bench, in_flight, 1, true)?;
    let p50 = both(&around, |probed| probed.p50_us);
    let rate = rate(&driven, &around, in_flight);
    bench.add(if in_flight == 64 { rate.at_least(0.5) } else { rate });
    bench.add(if in_flight == 1 {
        Figure::above("p50", "us", driven.p50_us(), p50).at_most(150.0)
    } else {
        Figure::over("p50", "us", driven.p50_us(), p50)
    });
    let p99 = both(&around, |probed| probed.p99_us);
    bench.add(Figure::over("p99", "us", driven.p99_us(), p99));
    Ok(())
}

/// The same in the first segments of a new folder, which were not written before.
pub(crate) fn first(bench: &mut Bench, in_flight: u64) -> Outcome<()> {
    let (driven, around) = records(bench, in_flight, 1, false)?;
    bench.add(rate(&driven, &around, in_flight));
    Ok(())
}

/// The same, spread over many logs.
pub(crate) fn many_logs(bench: &mut Bench, in_flight: u64) -> Outcome<()> {
    let logs = bench.scale().logs;
    let (driven, around) = records(bench, in_flight, logs, true)?;
    bench.add(rate(&driven, &around, in_flight));
    let p50 = both(&around, |probed| probed.p50_us);
    bench.add(Figure::over("p50", "us", driven.p50_us(), p50));
    let p99 = both(&around, |probed| probed.p99_us);
    bench.add(Figure::over("p99", "us", driven.p99_us(), p99));
    Ok(())
}

fn rate(driven: &Driven, around: &Around, in_flight: u64) -> Figure {
    let probe = both(around, |probed| probed.per_second * in_flight as f64);
    Figure::over("records/s", "/s", driven.per_second(), probe)
}

/// Appends in a closed loop; `used` in a journal whose segments are used ones.
fn records(bench: &mut Bench, in_flight: u64, logs: u64, used: bool) -> Outcome<(Driven, Around)> {
    let plan = Loop { in_flight, warm_up: bench.warm_up(), duration: bench.duration() };
    let probed = RECORD * usize::try_from(in_flight)?;
    let stored = bench.journal("records")?;
    let engine = &stored.journal;
    create(engine, 1..1 + logs)?;
    if used {
        bench.use_segments(engine, 1..1 + logs)?;
    }
    let ends = || (1..=logs).filter_map(|id| engine.bounds(LogId(id))).map(|b| b.end).sum::<u64>();
    let before = ends();
    let mut records = Records::new(RECORD);
    let mut turn = 0;
    let ((driven, cost), around) = bench.between(probed, |_| {
        Cost::of(engine, || {
            drive(engine, plan, || {
                turn += 1;
                records.write(LogId(1 + turn % logs))
            })
        })
    })?;
    let stored = ends() - before;
    if stored != turn || driven.writes == 0 {
        return Err(format!("{turn} records were appended, {stored} are there").into());
    }
    bench.add(Figure::alone("processor for a record", "us", cost.seconds * 1e6 / turn as f64));
    bench.add(Figure::alone("records in a group", "records", turn as f64 / cost.groups));
    Ok((driven, around))
}

/// What work has cost, with all that the engine did beside it.
struct Cost {
    seconds: f64,
    groups: f64,
}

impl Cost {
    fn of<T>(engine: &Journal, work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, Self)> {
        let (seconds, groups) = (proc::cpu_seconds()?, engine.stats().commits);
        let done = work()?;
        let groups = (engine.stats().commits - groups) as f64;
        Ok((done, Self { seconds: proc::cpu_seconds()? - seconds, groups }))
    }
}

/// Batches of 1 MiB as a client builds them; `used` in a journal whose segments are used ones.
pub(crate) fn batches(bench: &mut Bench, in_flight: u64, used: bool) -> Outcome<()> {
    let plan = Loop { in_flight, warm_up: bench.warm_up(), duration: bench.duration() };
    let mut records = Records::new(RECORD);
    let batches: Vec<_> = (0..BATCHES).map(|_| records.batch(BATCH_RECORDS)).collect();
    let bytes = batches.first().map_or(0, bytes::Bytes::len);
    let stored = bench.journal("batches")?;
    let engine = &stored.journal;
    create(engine, 1..2)?;
    if used {
        bench.use_segments(engine, 1..2)?;
    }
    let end = || engine.bounds(LogId(1)).map_or(0, |bounds| bounds.end);
    let before = end();
    let mut turn = 0;
    let ((driven, cost), around) = bench.between(1 << 20, |_| {
        Cost::of(engine, || {
            drive(engine, plan, || {
                turn += 1;
                let bytes = batches.get(turn % BATCHES).cloned().unwrap_or_default();
                let subject = subject("bench/batches");
                append(LogId(1), Body::Batch { bytes, subject, producer: None })
            })
        })
    })?;
    let stored = end() - before;
    if stored != turn as u64 * BATCH_RECORDS {
        return Err(format!("{turn} batches were appended, {stored} records are there").into());
    }
    bench.add(Figure::alone("processor for a batch", "us", cost.seconds * 1e6 / turn as f64));
    let engine = driven.per_second() * bytes as f64 / 1e6;
    let probe = both(&around, |probed| probed.bytes_per_second / 1e6);
    let rate = Figure::over("MB/s", "MB/s", engine, probe);
    bench.add(if used { rate.at_least(0.85) } else { rate });
    let p50 = both(&around, |probed| probed.p50_us);
    bench.add(Figure::over("p50", "us", driven.p50_us(), p50));
    Ok(())
}
