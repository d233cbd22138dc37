//! Opening gigabytes after the process was killed in the midst of writing.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use storage::{Engine, LogId, ReadLimits};

use crate::Outcome;
use crate::bench::{Bench, Scratch, create, open as open_journal};
use crate::load::{Landing, Records};
use crate::options::{Options, Part};
use crate::proc;
use crate::report::{Figure, median};

const LOGS: u64 = 200;
const RECORD: u64 = 1024;
const IN_FLIGHT: u64 = 4096;
/// How often it is opened, with its files in the page cache and without.
const TIMES: usize = 3;
const TO_FIRST_READ_MAX_MS: f64 = 2000.0;

/// What an opening process saw.
#[derive(Debug, Serialize, Deserialize)]
struct Opened {
    open_ms: f64,
    first_read_ms: f64,
    records: u64,
    rss_bytes: u64,
}

/// Fills, kills, opens.
pub(crate) fn restart(bench: &mut Bench) -> Outcome<()> {
    let bytes = bench.scale().restart_bytes;
    let folder = Scratch::new(bench.folder(), "restart")?;
    let free = proc::free_bytes(folder.path())?;
    if free < bytes * 5 / 2 + (2 << 30) && !bench.options().test {
        let text = format!("{} MB are free, too few to store {} MB", free >> 20, bytes >> 20);
        return Err(text.into());
    }
    let began = Instant::now();
    let said = proc::child(bench.options(), &Part::Fill, folder.path())?;
    let took = began.elapsed();
    let acknowledged: u64 = said.first().ok_or("the writer said nothing")?.parse()?;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        proc::drop_page_cache(folder.path())?;
        cold.push(opened(bench, &folder, acknowledged)?);
        warm.push(opened(bench, &folder, acknowledged)?);
    }
    for (name, found) in [("page cache dropped", &cold), ("warm", &warm)] {
        let of = |pick: fn(&Opened) -> f64| median(found.iter().map(pick).collect());
        bench.add(Figure::alone(&format!("open, {name}"), "ms", of(|found| found.open_ms)));
        let first = of(|found| found.first_read_ms);
        let first = Figure::alone(&format!("to first read, {name}"), "ms", first);
        bench.add(first.at_most(TO_FIRST_READ_MAX_MS));
    }
    let memory = median(cold.iter().map(|found| found.rss_bytes as f64).collect());
    bench.add(Figure::alone("memory after opening", "MB", memory / 1e6));
    let stored = (acknowledged * RECORD) as f64;
    bench.add(Figure::alone("stored", "GB", stored / 1e9));
    bench.add(Figure::alone("written at", "MB/s", stored / 1e6 / took.as_secs_f64()));
    Ok(())
}

fn opened(bench: &Bench, folder: &Scratch, acknowledged: u64) -> Outcome<Opened> {
    let said = proc::child(bench.options(), &Part::Open, folder.path())?;
    let found: Opened = serde_json::from_str(said.first().ok_or("the opener said nothing")?)?;
    if found.records < acknowledged {
        let text = format!("{acknowledged} were acknowledged, {} are there", found.records);
        return Err(text.into());
    }
    Ok(found)
}

/// Writes, says how much was acknowledged, and dies while more is under way.
pub(crate) fn fill(options: &Options) -> Outcome<()> {
    let engine = open_journal(&options.dir, options.scale)?;
    create(&engine, 1..1 + LOGS)?;
    let wanted = options.scale.restart_bytes / RECORD;
    let mut records = Records::new(usize::try_from(RECORD)?);
    let landing = Landing::new();
    let (mut sent, mut landed) = (0_u64, 0);
    loop {
        if sent - landed >= IN_FLIGHT {
            landed = landing.wait(sent + 1 - IN_FLIGHT)?;
        }
        if landed >= wanted {
            crate::print(&format!("{landed}\n"))?;
            return proc::die();
        }
        let (theirs, handed_in) = (landing.clone(), Instant::now());
        let done = Box::new(move |result: Result<_, _>| theirs.land(&result, handed_in));
        // Not in turn: a log's records come in small runs, as those of many publishers do.
        engine.submit(records.write(LogId(1 + (sent / 7) % LOGS)), done);
        sent += 1;
    }
}

/// Opens what was filled, reads, says how long it took, and dies.
pub(crate) fn open(options: &Options) -> Outcome<()> {
    let began = Instant::now();
    let engine = open_journal(&options.dir, options.scale)?;
    let open = began.elapsed();
    let limits = ReadLimits { max_bytes: 1, held: false };
    let read = engine.read(LogId(LOGS / 2), 0, limits)?;
    let first_read = began.elapsed();
    if read.first().is_none_or(|batch| batch.base != 0) {
        return Err("the first record is not there".into());
    }
    let records = (1..=LOGS).filter_map(|id| engine.bounds(LogId(id))).map(|b| b.end).sum();
    let rss_bytes = proc::rss_bytes()?;
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let found = Opened { open_ms: ms(open), first_read_ms: ms(first_read), records, rss_bytes };
    crate::print(&format!("{}\n", serde_json::to_string(&found)?))?;
    proc::die()
}
