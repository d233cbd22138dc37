//! Random reads by offset, and reads by subject in a log of very many.

use std::time::{Duration, Instant};

use bytes::Bytes;
use model::filter::Filter;
use storage::{Body, Engine, LogId, Mode, Offset, ReadLimits, StoredBatch, Write};
use storage_journal::random::Random;

use crate::Outcome;
use crate::bench::{Bench, Stored, both, create, fill, settle};
use crate::load::{Records, append_op, subject, submit_all};
use crate::probe::{Probed, Timed};
use crate::proc;
use crate::report::Figure;

const LOG: LogId = LogId(1);
/// Bytes of a record that has a subject of its own.
const SMALL: usize = 128;
/// Records of one write while the subjects are made.
const TOGETHER: u64 = 50;
/// Subjects are `fleet/<row>/<column>`, row by row at the same column.
const ROWS_MAX: u64 = 1_000;

/// One record at a random offset, of a log whose batches hold what was in flight together.
pub(crate) fn random(bench: &mut Bench) -> Outcome<()> {
    let stored = bench.journal("random")?;
    let engine = &stored.journal;
    create(engine, 1..2)?;
    let count = fill(engine, 1..2, bench.scale().data_bytes / 4, 64)?;
    settle(engine, Duration::from_secs(60));
    let mut random = Random::new(11);
    let bytes = batch_bytes(engine, count, &mut random)?;
    for (name, cached) in [("in the page cache", true), ("not in the page cache", false)] {
        let (read, around) = bench.between_probes(
            |probe, glance| probe.read_random(bytes, cached, glance),
            |bench| read_random(bench, &stored, count, cached),
        )?;
        let rate = both(&around, |probed| probed.per_second);
        let p50 = both(&around, |probed| probed.p50_us);
        let p99 = both(&around, |probed| probed.p99_us);
        bench.add(Figure::over(&format!("reads/s, {name}"), "/s", read.per_second, rate));
        bench.add(Figure::over(&format!("p50, {name}"), "us", read.p50_us, p50));
        bench.add(Figure::over(&format!("p99, {name}"), "us", read.p99_us, p99));
    }
    bench.add(Figure::alone("bytes of a batch", "bytes", bytes as f64));
    Ok(())
}

/// How many bytes a read of one record brings, on average.
fn batch_bytes(engine: &dyn Engine, count: u64, random: &mut Random) -> Outcome<usize> {
    let mut bytes = 0;
    for _ in 0..100 {
        bytes += batch_at(engine, random.below(count))?.bytes.len();
    }
    Ok(bytes / 100)
}

fn batch_at(engine: &dyn Engine, offset: Offset) -> Outcome<StoredBatch> {
    let found = engine.read(LOG, offset, ReadLimits { max_bytes: 1, held: false })?;
    let batch = found.into_iter().next().ok_or("nothing is at an offset below the end")?;
    if (batch.base..=batch.last).contains(&offset) {
        Ok(batch)
    } else {
        Err(format!("asked for {offset}, got {} to {}", batch.base, batch.last).into())
    }
}

fn read_random(bench: &Bench, stored: &Stored, count: u64, cached: bool) -> Outcome<Probed> {
    let engine = &stored.journal;
    let mut random = Random::new(13);
    let mut from = 0;
    while cached && from < count {
        from = batch_at(engine, from)?.last + 1;
    }
    let mut timed = Timed::new();
    let mut until_evicted = 0;
    let duration = bench.duration();
    while timed.start.elapsed() < duration {
        if !cached && until_evicted <= 0 {
            until_evicted = i64::try_from(bench.scale().data_bytes / 16)?;
            timed.aside(|| proc::evict(stored.folder()))?;
        }
        let offset = random.below(count);
        let begin = Instant::now();
        let batch = batch_at(engine, offset)?;
        timed.add(begin);
        until_evicted -= i64::try_from(batch.bytes.len())?;
    }
    Ok(timed.finish(1))
}

/// Questions by subject to a log in which each record has its own.
pub(crate) fn subjects(bench: &mut Bench) -> Outcome<()> {
    let count = bench.scale().subjects;
    let rows = ROWS_MAX.min(count / 50).max(1);
    let columns = count / rows;
    let stored = bench.journal("subjects")?;
    let engine = &stored.journal;
    create(engine, 1..2)?;
    let before = proc::rss_bytes()?;
    write_subjects(engine, rows, columns)?;
    settle(engine, Duration::from_secs(60));
    let grown = proc::rss_bytes()?.saturating_sub(before);
    let asked = Asked { engine, rows, columns, time: bench.duration() / 3 };
    let (last, around) = bench.between_probes(
        |probe, glance| probe.read_random(8 << 10, true, glance / 2),
        |_| asked.last(),
    )?;
    let pick = both(&around, |probed| probed.p50_us);
    bench.add(Figure::over("last value of a subject, p50", "us", last.p50_us, pick));
    bench.add(Figure::alone("last value of a subject, p99", "us", last.p99_us));
    bench.add(Figure::alone("last values/s", "/s", last.per_second));
    for (what, timed) in [
        ("last(literal)", asked.last_only()?),
        ("next(literal)", asked.next_literal()?),
        ("next(one row, any column)", asked.next_in_row()?),
        ("next(any row, one column)", asked.next_in_column()?),
        ("count(one row, any column)", asked.count_in_row()?),
    ] {
        bench.add(Figure::alone(&format!("{what}, p50"), "us", timed.p50_us));
        bench.add(Figure::alone(&format!("{what}, p99"), "us", timed.p99_us));
    }
    let each = grown as f64 / (rows * columns) as f64;
    bench.add(Figure::alone("memory of a subject with one record", "bytes", each));
    Ok(())
}

fn name(row: u64, column: u64) -> String {
    format!("fleet/{row}/{column}")
}

/// The subject of row `r` and column `c` gets offset `c * rows + r`.
fn write_subjects(engine: &dyn Engine, rows: u64, columns: u64) -> Outcome<()> {
    let mut records = Records::new(SMALL);
    let total = rows * columns;
    let writes = (0..total).step_by(TOGETHER as usize).map(|first| {
        let ops = (first..(first + TOGETHER).min(total)).map(|offset| {
            let subject = subject(&name(offset % rows, offset / rows));
            let body = Body::Record(records.record_of(subject));
            append_op(LOG, body)
        });
        Write { ops: ops.collect(), mode: Mode::Durable }
    });
    submit_all(engine, 16, writes).map(drop)
}

/// What is asked, and the answers that must come.
struct Asked<'a> {
    engine: &'a dyn Engine,
    rows: u64,
    columns: u64,
    time: Duration,
}

impl Asked<'_> {
    /// Runs questions one after the other; each is made outside of the measured time.
    fn ask<Q>(
        &self,
        make: impl Fn(u64, u64, &mut Random) -> Outcome<(Q, Option<Offset>)>,
        answer: impl Fn(&Q) -> Outcome<Option<Offset>>,
    ) -> Outcome<Probed> {
        let mut random = Random::new(17);
        let mut timed = Timed::new();
        while timed.start.elapsed() < self.time {
            let (row, column) = (random.below(self.rows), random.below(self.columns));
            let (question, expected) = timed.aside(|| make(row, column, &mut random))?;
            let begin = Instant::now();
            let found = answer(&question)?;
            timed.add(begin);
            if found != expected {
                let text = format!("{}: {found:?} instead of {expected:?}", name(row, column));
                return Err(text.into());
            }
        }
        Ok(timed.finish(1))
    }

    fn literal(&self, row: u64, column: u64) -> Outcome<(Filter, Option<Offset>)> {
        Ok((filter(&name(row, column))?, Some(column * self.rows + row)))
    }

    /// The last record of a subject, with its bytes.
    fn last(&self) -> Outcome<Probed> {
        self.ask(
            |row, column, _| self.literal(row, column),
            |filter| {
                let Some(offset) = self.engine.last(LOG, filter)? else { return Ok(None) };
                let batch = batch_at(self.engine, offset)?;
                let index = usize::try_from(offset - batch.base)?;
                let fits = batch.subjects.of(index).is_some_and(|s| filter.matches(s));
                Ok(fits.then_some(offset))
            },
        )
    }

    fn last_only(&self) -> Outcome<Probed> {
        self.ask(
            |row, column, _| self.literal(row, column),
            |filter| Ok(self.engine.last(LOG, filter)?),
        )
    }

    fn next_literal(&self) -> Outcome<Probed> {
        self.ask(
            |row, column, _| self.literal(row, column),
            |filter| Ok(self.engine.next(LOG, filter, 0)?),
        )
    }

    /// The matches lie as far apart as there are rows.
    fn next_in_row(&self) -> Outcome<Probed> {
        self.ask(
            |row, column, _| {
                let from = column * self.rows;
                Ok(((filter(&format!("fleet/{row}/+"))?, from), Some(from + row)))
            },
            |(filter, from)| Ok(self.engine.next(LOG, filter, *from)?),
        )
    }

    /// The matches lie together, far from where the search begins.
    fn next_in_column(&self) -> Outcome<Probed> {
        self.ask(
            |_, column, random| {
                let first = column * self.rows;
                Ok(((filter(&format!("fleet/+/{column}"))?, random.below(first + 1)), Some(first)))
            },
            |(filter, from)| Ok(self.engine.next(LOG, filter, *from)?),
        )
    }

    /// All matches of a row; the answer is a count.
    fn count_in_row(&self) -> Outcome<Probed> {
        self.ask(
            |row, _, _| Ok((filter(&format!("fleet/{row}/+"))?, Some(self.columns))),
            |filter| Ok(Some(self.engine.count(LOG, filter, 0..self.rows * self.columns)?)),
        )
    }
}

fn filter(text: &str) -> Outcome<Filter> {
    Ok(Filter::mqtt(&Bytes::copy_from_slice(text.as_bytes()))?)
}
