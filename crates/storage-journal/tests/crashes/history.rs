//! One history: actions at random on one folder, with the oracle beside them.
//!
//! Every action may end at any operation of the disk (`DieSoon` arms that), and every start may
//! fail and is then tried again. What an action means for the oracle stands here; what is true
//! afterwards only there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use storage::Engine;
use storage::suite::{Generator, Model};
use storage_journal::random::Random;
use storage_journal::rest::FileId;
use storage_journal::sim::{CrashModel, Fault, SimFs};
use storage_journal::vfs::Vfs;
use storage_journal::{Journal, OpenError, Options};

use crate::chain::Chain;
use crate::nosync::NoSync;
use crate::oracle::{Excuse, Oracle, Outcome, Told, Verdict, copy};
use crate::seeds;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Some writes are submitted together.
    Write,
    /// Everything that is visible is compared.
    Check,
    /// Nothing happens for a while.
    Idle,
    /// One step of what the engine does in the background.
    Maintain,
    /// The server is stopped.
    Close,
    /// The machine loses power.
    PowerCut,
    /// The process ends.
    Kill,
    /// The process will end in the middle of an operation.
    DieSoon,
    /// An operation will fail.
    Fails(Fault),
    /// Little space is left.
    Fill,
    /// There is space again.
    Free,
    /// The process ends, and the next one finds a bit of something proven flipped.
    FlipProven,
    /// The process ends, and the next one cannot read something.
    Unreadable,
    /// The next start finds another wall clock.
    ClockJump,
    /// The process ends, and the pages whose sync has failed leave the cache.
    Evict,
}

/// How often each of them happens.
const WEIGHTS: &[(Action, u64)] = &[
    (Action::Write, 100),
    (Action::Check, 16),
    (Action::Idle, 12),
    (Action::Maintain, 34),
    (Action::Close, 5),
    (Action::PowerCut, 12),
    (Action::Kill, 8),
    (Action::DieSoon, 14),
    (Action::Fails(Fault::SyncFails), 4),
    (Action::Fails(Fault::ShortWrite), 6),
    (Action::Fails(Fault::NoSpace), 4),
    (Action::Fill, 4),
    (Action::Free, 6),
    (Action::FlipProven, 3),
    (Action::Unreadable, 2),
    (Action::ClockJump, 4),
    (Action::Evict, 3),
];

const HOUR_MS: i64 = 3600 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;
const YEAR_MS: i64 = 365 * DAY_MS;

/// See the module's text.
pub(crate) struct History {
    seed: u64,
    random: Random,
    generator: Generator,
    /// The disk, as the present process sees it.
    pub(crate) sim: SimFs,
    /// The judge.
    pub(crate) oracle: Oracle,
    journal: Option<Journal>,
    /// The engine's syncs reach the disk.
    syncs: bool,
    starts: u64,
    options: Options,
    /// The last run has ended cleanly.
    clean: bool,
    trace: Vec<Action>,
    /// All resting files that a manifest has ever named, as they were then.
    files: BTreeMap<FileId, String>,
    /// What the processes that have ended did in the background.
    pub(crate) background: Background,
}

/// A figure of the engine.
pub(crate) fn figure(journal: &Journal, name: &str) -> u64 {
    let figures = journal.stats().figures;
    let found = figures.iter().find(|figure| figure.name == name);
    found.expect("the engine has it").value as u64
}

/// What was done in the background.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Background {
    pub(crate) drains: u64,
    pub(crate) merges: u64,
    pub(crate) checkpoints: u64,
}

impl Background {
    /// What this process has done.
    pub(crate) fn of(journal: &Journal) -> Self {
        Self {
            drains: figure(journal, "drains_total"),
            merges: figure(journal, "merges_total"),
            checkpoints: figure(journal, "checkpoints_total"),
        }
    }

    /// What two have done.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            drains: self.drains + other.drains,
            merges: self.merges + other.merges,
            checkpoints: self.checkpoints + other.checkpoints,
        }
    }
}

impl History {
    /// A history whose whole course follows from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed.into());
        let sim = SimFs::new(seed);
        sim.poison_tails(random.chance(50));
        if random.chance(50) {
            sim.poison_free(&[".free"]);
        }
        let options = Options {
            segment_bytes: (16 + random.below(32)) << 10,
            cache_bytes: [0, 8 << 10, 1 << 20][random.below(3) as usize],
            wall_ms: 40 * YEAR_MS,
            drain_segments: 2 + random.below(3) as usize,
            hot_bytes: [2, 30, 1_000][random.below(3) as usize] << 10,
            drain_bytes_per_second: 0,
            checkpoint_rows: [1, 30, 1_000][random.below(3) as usize],
            ..Options::default()
        };
        Self {
            seed,
            random,
            generator: Generator::new(seed),
            sim,
            oracle: Oracle::new(),
            journal: None,
            syncs: true,
            starts: 0,
            options,
            clean: false,
            trace: Vec::new(),
            files: BTreeMap::new(),
            background: Background::default(),
        }
    }

    /// The same history with an engine whose syncs do nothing.
    pub(crate) fn without_syncs(seed: u64) -> Self {
        Self { syncs: false, ..Self::new(seed) }
    }

    /// Goes on with another seed on a copy of the disk. The present process must have ended.
    pub(crate) fn fork(&self, seed: u64) -> Self {
        assert!(self.journal.is_none(), "a process cannot be copied");
        Self {
            seed,
            random: Random::new(u128::from(self.seed) << 64 | u128::from(seed)),
            generator: self.generator.clone(),
            sim: self.sim.fork(seed),
            oracle: self.oracle.clone(),
            journal: None,
            syncs: self.syncs,
            starts: self.starts + 1_000 * (seed + 1),
            options: self.options,
            clean: self.clean,
            trace: self.trace.clone(),
            files: self.files.clone(),
            background: self.background,
        }
    }

    /// Runs the history: so many actions at random, and then a start that must succeed.
    pub(crate) fn run(&mut self, actions: u64) -> Told {
        for _ in 0..actions {
            let action = self.choose();
            self.act(action)?;
        }
        self.finish()
    }

    /// Whatever has happened: on a good disk the next start succeeds and shows what it must.
    pub(crate) fn finish(&mut self) -> Told {
        let model = self.crash_model();
        self.end(model);
        self.sim.set_capacity(None);
        self.start().map_err(|told| self.tell(&told))?;
        match self.journal {
            Some(_) => Ok(()),
            None => Err(self.tell("not opened on a good disk")),
        }
    }

    fn choose(&mut self) -> Action {
        let all: u64 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut at = self.random.below(all);
        for (action, weight) in WEIGHTS {
            if at < *weight {
                return *action;
            }
            at -= weight;
        }
        Action::Write
    }

    /// Lets one thing happen, in a process that lives if it needs one.
    pub(crate) fn act(&mut self, action: Action) -> Told {
        self.trace.push(action);
        seeds::tell(|| format!("{action:?}"));
        self.perform(action).map_err(|told| self.tell(&told))?;
        if self.sim.is_dead() {
            let model = self.crash_model();
            self.end(model);
        }
        Ok(())
    }

    fn perform(&mut self, action: Action) -> Told {
        match action {
            Action::Write => self.write(),
            Action::Check => self.check(),
            Action::Idle => self.idle(),
            Action::Maintain => self.maintain(),
            Action::Close => self.close(),
            Action::PowerCut => self.end_with(CrashModel::Power),
            Action::Kill => self.end_with(CrashModel::Kill),
            Action::DieSoon => {
                // Close enough that most strike in the next action, and starts are hit as well.
                let far = [4, 20, 60][self.random.below(3) as usize];
                self.sim.die_after(self.random.below(far));
                Ok(())
            }
            Action::Fails(fault) => {
                self.sim.inject(fault, self.random.below(12));
                Ok(())
            }
            Action::Fill => {
                let left = self.random.below(64 << 10) as usize;
                self.sim.set_capacity(Some(self.sim.taken_bytes() + left));
                Ok(())
            }
            Action::Free => {
                self.sim.set_capacity(None);
                Ok(())
            }
            Action::FlipProven => self.flip_proven(),
            Action::Unreadable => self.unreadable(),
            Action::ClockJump => {
                let years = [-10, -1, 0, 1, 10][self.random.below(5) as usize];
                self.options.wall_ms += years * YEAR_MS + self.random.below(90) as i64 * DAY_MS;
                Ok(())
            }
            Action::Evict => {
                self.end(CrashModel::Kill);
                self.sim.evict();
                self.oracle.lose();
                Ok(())
            }
        }
    }

    fn tell(&self, told: &str) -> String {
        let mut text = format!("seed {} after {} actions", self.seed, self.trace.len());
        let _ = write!(text, ", at last {:?}", &self.trace[self.trace.len().saturating_sub(9)..]);
        let _ = write!(text, ": {told}");
        text
    }

    fn crash_model(&mut self) -> CrashModel {
        if self.random.chance(60) { CrashModel::Power } else { CrashModel::Kill }
    }

    /// Ends the process.
    pub(crate) fn end(&mut self, model: CrashModel) {
        if let Some(journal) = self.journal.take() {
            self.background = self.background.and(Background::of(&journal));
        }
        if model == CrashModel::Power {
            self.oracle.lose();
        }
        self.sim = self.sim.crash(model);
    }

    fn end_with(&mut self, model: CrashModel) -> Told {
        self.end(model);
        Ok(())
    }

    /// Opens the engine, whatever it shows.
    pub(crate) fn open(&mut self) -> Result<Journal, OpenError> {
        self.starts += 1;
        self.options.seed = u128::from(self.seed) << 64 | u128::from(self.starts);
        self.options.wall_ms += self.random.below(100_000).cast_signed();
        let vfs: Arc<dyn Vfs> = match self.syncs {
            true => Arc::new(self.sim.clone()),
            false => Arc::new(NoSync(self.sim.clone())),
        };
        Journal::open_inline(vfs, self.options)
    }

    /// Opens the engine and lets it run, whatever it shows.
    pub(crate) fn open_and_keep(&mut self) -> Result<(), OpenError> {
        self.journal = Some(self.open()?);
        Ok(())
    }

    /// As after a start: the engine must show a state that is allowed.
    pub(crate) fn check_again(&mut self) -> Told {
        let Some(journal) = &self.journal else { return Err("it does not run".into()) };
        self.oracle.recognise(journal, self.clean)
    }

    /// Opens the engine and judges what it shows; without a failure it must open.
    pub(crate) fn start(&mut self) -> Told {
        let before = Chain::read(&self.sim);
        self.check_files(&before)?;
        match self.open() {
            Ok(_) if self.sim.is_dead() => Ok(()),
            Ok(journal) => {
                let counts = self.sim.counts_since_start();
                let syncs = counts.all_syncs();
                // What has failed is tried once more, on a segment of the reserve.
                if syncs > 4 + counts.failures {
                    return Err(format!("{syncs} syncs before it was ready"));
                }
                self.check_clock(&before)?;
                self.oracle.recognise(&journal, self.clean)?;
                self.clean = false;
                self.journal = Some(journal);
                Ok(())
            }
            Err(error) if !self.may_fail() => Err(format!("not opened: {error}")),
            Err(error) if error.is_damage() => Err(format!("not opened: {error}")),
            Err(_) => self.give_up(),
        }
    }

    /// The start has failed for a good reason; the next one comes after it.
    fn give_up(&mut self) -> Told {
        if !self.sim.is_dead() {
            self.end(CrashModel::Kill);
            self.sim.set_capacity(None);
        }
        Ok(())
    }

    /// What one id names stays the same file for ever (storage rule 26).
    fn check_files(&mut self, before: &Chain) -> Told {
        let Some(content) = &before.rested else { return Ok(()) };
        let units = content.units.iter().map(|(id, unit)| (*id, format!("{unit:?}")));
        let tables = content.state.iter().map(|file| (file.id, format!("{file:?}")));
        for (id, now) in units.chain(tables) {
            let known = self.files.entry(id).or_insert_with(|| now.clone());
            if *known != now {
                return Err(format!("{id} was {known} and is {now}"));
            }
        }
        Ok(())
    }

    /// The engine clock goes on from the last that is known, by no more than it believes.
    fn check_clock(&self, before: &Chain) -> Told {
        let Some(header) = Chain::read(&self.sim).newest else { return Ok(()) };
        let passed = header.clock_ms - before.clock_ms;
        match before.newest {
            Some(_) if !(0..=30 * DAY_MS).contains(&passed) => {
                Err(format!("the engine clock has gone by {passed} ms"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn may_fail(&self) -> bool {
        self.sim.is_dead() || self.sim.counts_since_start().failures > 0
    }

    /// The running engine, started if need be; none if the start has failed.
    fn running(&mut self) -> Result<Option<&Journal>, String> {
        if self.journal.is_none() {
            self.start()?;
        }
        Ok(self.journal.as_ref())
    }

    /// The engine, while it runs.
    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    fn write(&mut self) -> Told {
        if self.running()?.is_none() {
            return Ok(());
        }
        let count = 1 + self.random.below(3);
        for _ in 0..count {
            // A busy engine writes groups before the one in front of them is synced.
            let groups = if self.random.chance(30) { 2 + self.random.below(2) } else { 1 };
            let mut grown = self.oracle.model();
            let groups = (0..groups).map(|_| self.group(&mut grown)).collect();
            if self.submit_groups(groups)?.0 == Verdict::Poisoned {
                break;
            }
        }
        Ok(())
    }

    /// Writes for one group, and what they make of the model.
    fn group(&mut self, grown: &mut Model) -> Vec<storage::Write> {
        let mut writes = Vec::new();
        for _ in 0..=self.random.below(3) {
            let write = self.generator.write(grown);
            let _ = grown.apply(&write);
            writes.push(write);
        }
        writes
    }

    /// Submits writes as one group and judges the answers.
    pub(crate) fn submit(&mut self, writes: Vec<storage::Write>) -> Result<Verdict, String> {
        self.submit_group(writes).map(|(verdict, _)| verdict)
    }

    /// Submits a write, judges the answer and gives it on.
    pub(crate) fn submit_one(&mut self, write: storage::Write) -> Result<Outcome, String> {
        let (_, mut results) = self.submit_group(vec![write])?;
        results.pop().ok_or_else(|| "no answer".into())
    }

    fn submit_group(
        &mut self,
        writes: Vec<storage::Write>,
    ) -> Result<(Verdict, Vec<Outcome>), String> {
        let (verdict, mut results) = self.submit_groups(vec![writes])?;
        Ok((verdict, results.pop().unwrap_or_default()))
    }

    /// Submits groups, each written before the one in front of it is synced, and judges the
    /// answers; the verdict is that of the last.
    pub(crate) fn submit_groups(
        &mut self,
        groups: Vec<Vec<storage::Write>>,
    ) -> Result<(Verdict, Vec<Vec<Outcome>>), String> {
        let Some(journal) = &self.journal else { return Err("it does not run".into()) };
        let full = self.sim.counts().full;
        let again = groups.iter().map(|group| group.iter().map(copy).collect());
        let results = journal.commit_overlapped(again.collect());
        for told in groups.iter().zip(&results) {
            seeds::tell(|| format!("{told:?}"));
        }
        let excuse = Excuse { full: self.sim.counts().full > full, failed: self.may_fail() };
        let mut verdict = Verdict::Done;
        for (writes, results) in groups.iter().zip(&results) {
            verdict = self.oracle.judge_next(writes, results, (verdict, excuse))?;
        }
        if verdict == Verdict::Poisoned && !self.sim.is_dead() {
            // Nothing of what may get lost is shown, and the rest stays readable.
            self.check().map_err(|told| format!("poisoned: {told}"))?;
        }
        Ok((verdict, results))
    }

    /// The engine shows what it must.
    pub(crate) fn check(&mut self) -> Told {
        match &self.journal {
            Some(journal) if !self.sim.is_dead() => self.oracle.check(journal),
            Some(_) | None => Ok(()),
        }
    }

    fn idle(&mut self) -> Told {
        if let Some(journal) = self.running()? {
            journal.idle();
            if !journal.stats().is_poisoned() {
                self.oracle.durable();
            }
        }
        Ok(())
    }

    fn maintain(&mut self) -> Told {
        if let Some(journal) = self.running()? {
            maintain(journal);
        }
        Ok(())
    }

    fn close(&mut self) -> Told {
        let failures = self.sim.counts().failures;
        let Some(journal) = self.running()? else { return Ok(()) };
        journal.close();
        let poisoned = journal.stats().is_poisoned();
        self.clean = !poisoned && !self.sim.is_dead() && self.sim.counts().failures == failures;
        if self.clean {
            self.oracle.durable();
        }
        if !self.sim.is_dead() {
            let model = self.crash_model();
            self.end(model);
        }
        Ok(())
    }

    fn flip_proven(&mut self) -> Told {
        self.end(CrashModel::Kill);
        let chosen = Chain::read(&self.sim).pick_proven(&mut self.random);
        let Some((name, byte)) = chosen else { return Ok(()) };
        let bit = self.random.below(8) as u8;
        assert!(self.sim.flip_bit(&name, byte, bit), "the byte exists");
        let before = data_files(&self.sim);
        let opened = self.open();
        let changed = data_files(&self.sim) != before;
        let _ = self.sim.flip_bit(&name, byte, bit);
        let place = format!("bit {bit} of byte {byte} of {name}");
        match opened {
            Ok(_) => Err(format!("{place} was flipped, and it opens")),
            Err(error) if error.is_damage() && !changed => self.end_with(CrashModel::Kill),
            Err(error) => {
                let names = |files: &[(String, Option<Vec<u8>>)]| {
                    files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>().join(" ")
                };
                let now = data_files(&self.sim);
                let what = now.iter().zip(&before).find(|(one, other)| one != other);
                let what = what.map(|(one, _)| one.0.clone());
                let (now, before) = (names(&now), names(&before));
                Err(format!(
                    "{place} was flipped: {error}, changed: {changed}: {what:?}: {before} -> {now}"
                ))
            }
        }
    }

    fn unreadable(&mut self) -> Told {
        self.end(CrashModel::Kill);
        self.sim.inject(Fault::ReadFails, self.random.below(20));
        let opened = self.open();
        let struck = self.may_fail();
        self.clean = false;
        match opened {
            Ok(_) => self.end_with(CrashModel::Kill),
            Err(error) if struck && !error.is_damage() => self.end_with(CrashModel::Kill),
            Err(error) => Err(format!("a read failed, and it says: {error}")),
        }
    }
}

/// What stands in the files but for the manifest, whose tail a start proves in any case.
fn data_files(sim: &SimFs) -> Vec<(String, Option<Vec<u8>>)> {
    let names = sim.list("").unwrap_or_default().into_iter();
    let names = names.filter(|name| !name.ends_with(".manifest") && !name.starts_with("CURRENT"));
    names.map(|name| (name.clone(), sim.contents(&name))).collect()
}

/// The one place that drives what the engine does in the background: a step of it, which shows
/// nothing new and takes nothing away. Returns whether there is more to do.
pub(crate) fn maintain(journal: &Journal) -> bool {
    journal.maintain()
}
