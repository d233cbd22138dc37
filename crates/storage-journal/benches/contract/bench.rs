//! What a case works with: its folder, probes around a measurement, its figures.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use storage::{Engine, EngineStats, LogId, Mode, Op, Write};
use storage_journal::vfs::RealFs;
use storage_journal::{Journal, Options as JournalOptions};

use crate::Outcome;
use crate::load::{Records, submit_all};
use crate::options::{Options, Scale};
use crate::probe::{Probe, Probed};
use crate::proc;
use crate::report::{Figure, Probes};

/// One run of one case.
#[derive(Debug)]
pub(crate) struct Bench {
    options: Options,
    folder: Scratch,
    case: &'static str,
    probe: Probe,
    figures: Vec<Figure>,
}

/// A folder that goes when the value does.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes a folder with a name of its own.
    pub(crate) fn new(parent: &Path, name: &str) -> Outcome<Self> {
        let folder = parent.join(format!("contract-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder)
            .map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is in a folder for such things; there is nobody to tell.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A journal in a folder that goes with it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) journal: Journal,
    folder: Scratch,
}

impl Stored {
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Segments after which one is a used one: four before a drain, and what it leaves.
const USED_SEGMENTS: u64 = 9;
/// So often in a row nothing has changed when the engine has come to rest.
const CALM: u32 = 10;
/// Between two looks at the engine.
const GLANCE: Duration = Duration::from_millis(150);
/// Less of the processor than this between two looks is no work.
const IDLE_SECONDS: f64 = 0.015;

/// The write probe before and after.
pub(crate) type Around = [Probed; 2];

impl Bench {
    pub(crate) fn new(options: &Options, case: &'static str) -> Outcome<Self> {
        let folder = Scratch::new(&options.dir, case)?;
        let probe = Probe::new(folder.path())?;
        Ok(Self { options: options.clone(), folder, case, probe, figures: Vec::new() })
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn scale(&self) -> Scale {
        self.options.scale
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How long one measurement takes.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.scale().seconds)
    }

    /// How long the same work is done before it counts.
    pub(crate) fn warm_up(&self) -> Duration {
        self.duration().mul_f64(0.2).min(Duration::from_secs(2))
    }

    /// How long a probe takes.
    pub(crate) fn glance(&self) -> Duration {
        self.duration().mul_f64(0.3).min(Duration::from_secs(3))
    }

    /// A fresh journal.
    pub(crate) fn journal(&self, name: &str) -> Outcome<Stored> {
        let folder = Scratch::new(self.folder.path(), name)?;
        Ok(Stored { journal: open(folder.path(), self.scale())?, folder })
    }

    /// Writes to these logs until a drain has let go of segments, so that all that come are used
    /// ones: what a server that has run for a while writes to.
    pub(crate) fn use_segments(&self, engine: &dyn Engine, ids: Range<u64>) -> Outcome<()> {
        fill(engine, ids, USED_SEGMENTS * self.scale().segment_bytes, 256)?;
        settle(engine, Duration::from_secs(60));
        Ok(())
    }

    /// Runs `work` between two runs of the probe that writes `bytes` with each sync.
    pub(crate) fn between<T>(
        &mut self,
        bytes: usize,
        work: impl FnOnce(&Self) -> Outcome<T>,
    ) -> Outcome<(T, Around)> {
        self.between_probes(|probe, glance| probe.sync(bytes, glance), work)
    }

    /// As [`Self::between`], with a probe of the caller's.
    pub(crate) fn between_probes<P, T>(
        &mut self,
        probe: impl Fn(&mut Probe, Duration) -> Outcome<P>,
        work: impl FnOnce(&Self) -> Outcome<T>,
    ) -> Outcome<(T, [P; 2])> {
        let glance = self.glance();
        let before = probe(&mut self.probe, glance)?;
        let done = work(self)?;
        let after = probe(&mut self.probe, glance)?;
        Ok((done, [before, after]))
    }

    /// Takes in a figure.
    pub(crate) fn add(&mut self, figure: Figure) {
        self.figures.push(Figure { case: self.case.to_owned(), ..figure });
    }

    pub(crate) fn figures(&self) -> &[Figure] {
        &self.figures
    }
}

/// One number of two probes.
pub(crate) fn both<P>(around: &[P; 2], pick: impl Fn(&P) -> f64) -> Probes {
    let [before, after] = around;
    Probes { before: pick(before), after: pick(after) }
}

/// Opens the journal in a folder as a server does.
pub(crate) fn open(folder: &Path, scale: Scale) -> Outcome<Journal> {
    let mut seed = [0; 16];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut seed)?;
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let options = JournalOptions {
        segment_bytes: scale.segment_bytes,
        seed: u128::from_be_bytes(seed),
        wall_ms: i64::try_from(unix.as_millis()).unwrap_or(i64::MAX),
        ..JournalOptions::default()
    };
    Ok(Journal::open(Arc::new(RealFs::open(folder)?), options)?)
}

/// Makes durable logs with these ids.
pub(crate) fn create(engine: &dyn Engine, ids: Range<u64>) -> Outcome<()> {
    let ids: Vec<u64> = ids.collect();
    let writes = ids.chunks(1000).map(|some| {
        let make = |id: &u64| Op::CreateLog { log: LogId(*id), mode: Mode::Durable, first: 0 };
        Write { ops: some.iter().map(make).collect(), mode: Mode::Durable }
    });
    submit_all(engine, 4, writes).map(drop)
}

/// Appends `bytes` in records of 1 KiB to these logs in turn, many in flight.
pub(crate) fn fill(
    engine: &dyn Engine,
    ids: Range<u64>,
    bytes: u64,
    in_flight: u64,
) -> Outcome<u64> {
    let mut records = Records::new(1024);
    let count = bytes / 1024;
    let logs = ids.end - ids.start;
    let writes = (0..count).map(|at| records.write(LogId(ids.start + at % logs)));
    submit_all(engine, in_flight, writes)?;
    Ok(count)
}

/// Waits until the engine has nothing more to do by itself, as far as its counters and the
/// processor tell.
pub(crate) fn settle(engine: &dyn Engine, patience: Duration) -> EngineStats {
    let end = Instant::now() + patience;
    let mut before = engine.stats();
    // What a drain does before it writes is in no counter of the engine.
    let mut used_before = proc::cpu_seconds().unwrap_or_default();
    let mut calm = 0;
    while calm < CALM && Instant::now() < end {
        thread::sleep(GLANCE);
        let now = engine.stats();
        let used = proc::cpu_seconds().unwrap_or_default();
        // One empty group follows the last one.
        let same = used - used_before < IDLE_SECONDS
            && now.written_bytes <= before.written_bytes + 8192
            && now.rested_bytes == before.rested_bytes
            && now.disk_bytes.abs_diff(before.disk_bytes) <= 8192;
        calm = if same { calm + 1 } else { 0 };
        (before, used_before) = (now, used);
    }
    before
}
