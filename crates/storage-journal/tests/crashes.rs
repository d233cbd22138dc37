//! Crashes of the whole engine on the simulated disk, judged by the suite's model.
//!
//! After a crash the engine must show what some prefix of the submitted writes leaves, and this
//! prefix must contain every write that was promised. What was ever shown at an offset stays the
//! only thing that is ever shown there.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use storage::suite::{Generator, Model};
use storage::{Committed, Engine, LogId, Offset, SubmitError, Write};
use storage_journal::random::Random;
use storage_journal::sim::{CrashModel, Fault, SimFs};
use storage_journal::vfs::{Lock, Vfs, VfsFile};
use storage_journal::{Journal, OpenError, Options, recovery};

/// A disk whose syncs do nothing: what an engine that forgot them would be.
#[derive(Debug)]
struct NoSync<V>(V);

impl<V: Vfs> Vfs for NoSync<V> {
    fn create(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        Ok(Arc::new(NoSyncFile(self.0.create(name)?)))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        Ok(Arc::new(NoSyncFile(self.0.open(name)?)))
    }
    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.0.create_dir(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }
    fn fsync_dir(&self, dir: &str) -> io::Result<()> {
        self.0.fsync_dir(dir)
    }
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        self.0.lock(name)
    }
}

#[derive(Debug)]
struct NoSyncFile(Arc<dyn VfsFile>);

impl VfsFile for NoSyncFile {
    fn pread(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.pread(buffer, position)
    }
    fn pwrite(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        self.0.pwrite(bytes, position)
    }
    fn fdatasync(&self) -> io::Result<()> {
        Ok(())
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.0.allocate(length)
    }
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
}

/// What one history has promised and shown.
struct History {
    seed: u64,
    random: Random,
    generator: Generator,
    sim: SimFs,
    sync: bool,
    restarts: u64,
    /// What may be true: the last state that was durable, then the state after each group since.
    /// States that show the same are one candidate: they may still differ in what a producer's
    /// next batch will be answered.
    candidates: Vec<Vec<Model>>,
    /// The last candidate that was promised; a kill may not go back behind it.
    promised: usize,
    /// Unsynced bytes were lost since the engine was open for the last time.
    lossy: bool,
    /// Everything that was ever visible.
    shown: BTreeMap<(LogId, Offset), Option<Bytes>>,
    /// The highest end that was ever told of each log.
    ends: BTreeMap<LogId, Offset>,
}

/// An empty answer, or what is wrong.
type Told = Result<(), String>;

impl History {
    fn new(seed: u64, sync: bool) -> Self {
        Self {
            seed,
            random: Random::new(seed.into()),
            generator: Generator::new(seed),
            sim: SimFs::new(seed),
            sync,
            restarts: 0,
            candidates: vec![vec![Model::default()]],
            promised: 0,
            lossy: false,
            shown: BTreeMap::new(),
            ends: BTreeMap::new(),
        }
    }

    fn open(&mut self) -> Result<Journal, OpenError> {
        self.restarts += 1;
        let options = Options {
            segment_bytes: 48 << 10,
            seed: u128::from(self.seed) << 64 | u128::from(self.restarts),
            ..Options::default()
        };
        let vfs: Arc<dyn Vfs> = match self.sync {
            true => Arc::new(self.sim.clone()),
            false => Arc::new(NoSync(self.sim.clone())),
        };
        Journal::open_inline(vfs, options)
    }

    /// One run of the process: check what it finds, write, and crash.
    fn round(&mut self) -> Told {
        if self.random.chance(40) {
            self.sim.die_after(self.random.below(50));
        }
        for (fault, percent) in
            [(Fault::NoSpace, 15), (Fault::ShortWrite, 20), (Fault::SyncFails, 10)]
        {
            if self.random.chance(percent) {
                self.sim.inject(fault, self.random.below(15));
            }
        }
        match self.open() {
            Ok(journal) if !self.sim.is_dead() => {
                self.recognise(&journal)?;
                self.write(&journal)?;
            }
            Ok(_) => {}
            Err(OpenError::Recovery(error)) => {
                if !matches!(error, recovery::OpenError::Io { .. }) {
                    return Err(format!("not opened: {error}"));
                }
            }
            Err(error) => assert!(self.sim.is_dead(), "{error}"),
        }
        let model = if self.random.chance(60) { CrashModel::Power } else { CrashModel::Kill };
        self.lossy |= model == CrashModel::Power;
        if self.random.chance(10) {
            self.sim.evict();
            self.lossy = true;
        }
        self.sim = self.sim.crash(model);
        Ok(())
    }

    /// The engine must be in one of the states that are allowed, and goes on from there.
    fn recognise(&mut self, journal: &Journal) -> Told {
        let first = if self.lossy { 0 } else { self.promised };
        let mut told = None;
        let mut found = Vec::new();
        for mut model in self.candidates.iter().skip(first).flatten().rev().cloned() {
            model.stop(journal, false);
            match model.difference(journal) {
                None => found.push(model),
                Some(difference) => told = Some(difference),
            }
        }
        let count = self.candidates.len() - first;
        let told = told.unwrap_or_default();
        let model =
            found.first().ok_or(format!("none of {count} states fits, the first not: {told}"))?;
        let model = model.clone();
        for log in model.logs() {
            let end = journal.bounds(log).map_or(0, |bounds| bounds.end);
            let told = self.ends.get(&log).copied().unwrap_or_default();
            if end < told {
                return Err(format!("{log:?} goes on at {end}, although {told} was given"));
            }
        }
        self.note(&model)?;
        self.candidates = vec![found];
        self.promised = 0;
        self.lossy = false;
        Ok(())
    }

    /// Takes note of what is visible, which must not contradict what was visible before.
    fn note(&mut self, model: &Model) -> Told {
        for (log, offset, value) in model.records() {
            let before = self.shown.entry((log, offset)).or_insert_with(|| value.clone());
            if *before != value {
                return Err(format!("{log:?} {offset} was {before:?} and is {value:?}"));
            }
        }
        for (log, end) in model.ends() {
            let told = self.ends.entry(log).or_default();
            *told = (*told).max(end);
        }
        Ok(())
    }

    fn now(&self) -> Vec<Model> {
        self.candidates.last().cloned().expect("there is always a state")
    }

    fn durable(&mut self) {
        self.candidates = vec![self.now()];
        self.promised = 0;
    }

    fn write(&mut self, journal: &Journal) -> Told {
        for _ in 0..self.random.below(25) {
            let models = self.now();
            let mut grown = models.first().cloned().expect("there is always a state");
            let mut writes = Vec::new();
            for _ in 0..=self.random.below(3) {
                let write = self.generator.write(&grown);
                let _ = grown.apply(&write);
                writes.push(write);
            }
            let outcomes: Vec<_> =
                models.into_iter().map(|model| Expected::of(model, &writes)).collect();
            let results = journal.commit_together(writes);
            let after =
                |outcomes: Vec<Expected>| outcomes.into_iter().map(|one| one.model).collect();
            let fits = |one: &Expected| one.results == results;
            if outcomes.iter().any(fits) {
                let outcomes: Vec<_> = outcomes.into_iter().filter(fits).collect();
                let waits = outcomes.iter().any(|one| one.waits);
                self.candidates.push(after(outcomes));
                self.promised = self.candidates.len() - 1;
                for model in self.now() {
                    self.note(&model)?;
                }
                if waits {
                    self.durable();
                }
            } else if journal.stats().is_poisoned() {
                // Nobody knows what became of it: it is there after the crash, or it is not. Until
                // then it is not shown, and the rest stays readable.
                let shown = self.now().iter().filter_map(|one| one.difference(journal)).next();
                if let Some(told) = shown.filter(|_| !self.sim.is_dead()) {
                    return Err(format!("poisoned, and shows what may be lost: {told}"));
                }
                self.candidates.push(after(outcomes));
                return Ok(());
            } else if !outcomes.iter().any(|one| one.full() == results) {
                let wanted = outcomes.first().map(|one| &one.results);
                return Err(format!("told {results:?}, wanted {wanted:?}"));
            }
            if self.random.chance(15) {
                journal.idle();
                if !journal.stats().is_poisoned() {
                    self.durable();
                }
            }
            if self.random.chance(20) && !self.sim.is_dead() {
                let mut models = self.now();
                let told: Vec<_> =
                    models.iter().filter_map(|one| one.difference(journal)).collect();
                models.retain(|model| model.difference(journal).is_none());
                if models.is_empty() {
                    return Err(format!("before the crash: {told:?}"));
                }
                *self.candidates.last_mut().expect("there is always a state") = models;
            }
        }
        Ok(())
    }
}

/// What a group of writes does to a state, and what each of them is told.
struct Expected {
    model: Model,
    results: Vec<Result<Committed, SubmitError>>,
    /// One of them is answered only when it is synced.
    waits: bool,
}

impl Expected {
    fn of(mut model: Model, writes: &[Write]) -> Self {
        let results = model.apply_together(writes);
        let told = writes.iter().zip(&results);
        let waits = told.into_iter().any(|(write, told)| told.is_ok() && model.waits(write));
        Self { model, results, waits }
    }

    /// What they are told when the disk is full.
    fn full(&self) -> Vec<Result<Committed, SubmitError>> {
        let each = self.results.iter().cloned();
        each.map(|result| result.and(Err(SubmitError::Full))).collect()
    }
}

fn live_through(seed: u64, sync: bool) -> Told {
    let mut history = History::new(seed, sync);
    for round in 0..6 {
        history.round().map_err(|told| format!("seed {seed} round {round}: {told}"))?;
    }
    let journal = history.open().map_err(|error| format!("seed {seed}: not opened: {error}"))?;
    history.recognise(&journal).map_err(|told| format!("seed {seed} at the end: {told}"))
}

#[test]
fn what_was_promised_survives_every_crash_and_offsets_are_never_given_again() {
    let seeds = std::env::var("CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(150) {
        assert_eq!(live_through(seed, true), Ok(()));
    }
}

#[test]
fn an_engine_that_does_not_sync_is_found_out() {
    let caught = (0..20).filter(|seed| live_through(*seed, false).is_err()).count();
    assert!(caught > 15, "{caught} of 20 histories without a sync were found out");
}
