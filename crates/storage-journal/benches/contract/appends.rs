//! Durable appends: records in flight on one log, on many logs, and large batches of clients.

use storage::{Body, Engine, LogId};

use crate::Outcome;
use crate::bench::{Around, Bench, both, create};
use crate::load::{Driven, Loop, Records, append, drive, subject};
use crate::report::Figure;

const RECORD: usize = 1024;
/// Records of one client's batch, so that it has 1 MiB.
const BATCH_RECORDS: u64 = 1015;
/// Batches that differ from each other.
const BATCHES: usize = 4;

/// Records of 1 KiB on one log, always so many of them in flight.
pub(crate) fn in_flight(bench: &mut Bench, in_flight: u64) -> Outcome<()> {
    let (driven, around) = records(bench, in_flight, 1)?;
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

/// The same, spread over many logs.
pub(crate) fn many_logs(bench: &mut Bench, in_flight: u64) -> Outcome<()> {
    let logs = bench.scale().logs;
    let (driven, around) = records(bench, in_flight, logs)?;
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

fn records(bench: &mut Bench, in_flight: u64, logs: u64) -> Outcome<(Driven, Around)> {
    let plan = Loop { in_flight, warm_up: bench.warm_up(), duration: bench.duration() };
    let probed = RECORD * usize::try_from(in_flight)?;
    let stored = bench.journal("records")?;
    let engine = &stored.journal;
    create(engine, 1..1 + logs)?;
    let mut records = Records::new(RECORD);
    let mut turn = 0;
    let (driven, around) = bench.between(probed, |_| {
        drive(engine, plan, || {
            turn += 1;
            records.write(LogId(1 + turn % logs))
        })
    })?;
    let stored: u64 = (1..=logs).filter_map(|id| engine.bounds(LogId(id))).map(|b| b.end).sum();
    if stored != turn || driven.writes == 0 {
        return Err(format!("{turn} records were appended, {stored} are there").into());
    }
    Ok((driven, around))
}

/// Batches of 1 MiB as a client builds them.
pub(crate) fn batches(bench: &mut Bench, in_flight: u64) -> Outcome<()> {
    let plan = Loop { in_flight, warm_up: bench.warm_up(), duration: bench.duration() };
    let mut records = Records::new(RECORD);
    let batches: Vec<_> = (0..BATCHES).map(|_| records.batch(BATCH_RECORDS)).collect();
    let bytes = batches.first().map_or(0, bytes::Bytes::len);
    let stored = bench.journal("batches")?;
    let engine = &stored.journal;
    create(engine, 1..2)?;
    let mut turn = 0;
    let (driven, around) = bench.between(1 << 20, |_| {
        drive(engine, plan, || {
            turn += 1;
            let bytes = batches.get(turn % BATCHES).cloned().unwrap_or_default();
            let subject = subject("bench/batches");
            append(LogId(1), Body::Batch { bytes, subject, producer: None })
        })
    })?;
    let end = engine.bounds(LogId(1)).map_or(0, |bounds| bounds.end);
    if end != turn as u64 * BATCH_RECORDS {
        return Err(format!("{turn} batches were appended, the log ends at {end}").into());
    }
    let engine = driven.per_second() * bytes as f64 / 1e6;
    let probe = both(&around, |probed| probed.bytes_per_second / 1e6);
    bench.add(Figure::over("MB/s", "MB/s", engine, probe).at_least(0.85));
    let p50 = both(&around, |probed| probed.p50_us);
    bench.add(Figure::over("p50", "us", driven.p50_us(), p50));
    Ok(())
}
