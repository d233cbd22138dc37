//! Maintenance: draining, merging and checkpoints, one step at a time.
//!
//! ```text
//!  drain   live batches of the oldest segments -> units, synced, folder synced
//!          -> the index names them -> checkpoint -> one edit of the manifest
//!          -> the segments are not needed any more
//!  merge   the same from units to units
//! ```
//!
//! The edit is the moment that counts (storage rule 4): before it a start finds the old files and
//! the segments, after it the new ones. Files that no manifest names are removed by the next start.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};

use crate::checkpoint::Checkpoint;
use crate::drain::{self, Written};
use crate::manifest::{ApplyError, Content, Edit, Manifest, UnitFile, UnitKind};
use crate::merge::{self, Present};
use crate::rest::{FileId, table, unit};
use crate::vfs::Vfs;
use crate::view::{Counters, View};
use crate::wal::Segments;

/// How maintenance works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Sealed segments beyond which the oldest are drained, down to half of that.
    pub(crate) segments: usize,
    /// A run of this length has a unit of its own.
    pub(crate) hot_bytes: u64,
    /// Bytes that are copied in a second at most; 0 for as fast as it goes.
    pub(crate) bytes_per_second: u64,
    /// Changed rows that are worth a checkpoint of their own.
    pub(crate) changed_rows: usize,
    /// After a failure it is tried again after this time.
    pub(crate) retry: Duration,
}

/// Units of their own that one drain makes, at most.
const HOT_MAX: usize = 64;
/// A unit of which less than this is needed is written anew.
const NEEDED_PERCENT_MIN: u64 = 50;

/// Waits until all that is applied is durable; false when that cannot be.
pub(crate) type Settle<'a> = &'a dyn Fn() -> bool;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Maintenance {
    vfs: Arc<dyn Vfs>,
    view: Arc<View>,
    segments: Segments,
    policy: Policy,
    /// Made with the first resting file.
    manifest: Option<Manifest>,
    folder: [u8; 16],
    checkpoint: Checkpoint,
    /// Numbers of this boot; 0 until the boot is in the manifest.
    boot: u32,
    sequence: u32,
    /// In the index, and not in the manifest yet.
    unlisted: BTreeMap<FileId, UnitFile>,
    /// Not in the index, and to be taken out of the manifest.
    dead: HashSet<FileId>,
    /// Records that were needed when a merge wrote a unit: it may hold fewer than it has offsets.
    held: HashMap<FileId, u64>,
    /// Packs that merging with others does not make fewer.
    apart: HashSet<FileId>,
    /// Of these something may have died.
    touched: HashSet<FileId>,
    /// Nothing more is done until the next start.
    failed: bool,
    /// Not before this, after the disk was full.
    not_before: Option<Instant>,
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// The disk; the step may be tried again.
    #[error("{0}")]
    Disk(#[from] io::Error),
    /// The manifest did not take the edit.
    #[error("{0}")]
    Manifest(#[from] ApplyError),
    /// The log cannot be synced.
    #[error("the log takes no more syncs")]
    Lane,
}

/// What the manifest and its files say at a start.
#[derive(Debug)]
pub(crate) struct Rested {
    pub(crate) manifest: Option<Manifest>,
    pub(crate) checkpoint: Checkpoint,
}

impl Maintenance {
    pub(crate) fn new(
        vfs: Arc<dyn Vfs>,
        view: Arc<View>,
        segments: Segments,
        policy: Policy,
        (rested, folder): (Rested, [u8; 16]),
    ) -> Self {
        if let Some(manifest) = &rested.manifest {
            note_bytes(manifest.content(), &view.counters);
        }
        Self {
            vfs,
            view,
            segments,
            policy,
            manifest: rested.manifest,
            folder,
            checkpoint: rested.checkpoint,
            boot: 0,
            sequence: 0,
            unlisted: BTreeMap::new(),
            dead: HashSet::new(),
            held: HashMap::new(),
            apart: HashSet::new(),
            touched: HashSet::new(),
            failed: false,
            not_before: None,
        }
    }

    /// Does the most urgent thing, if there is one; says whether it did something.
    pub(crate) fn step(&mut self, settle: Settle<'_>) -> bool {
        if self.failed || self.not_before.is_some_and(|time| Instant::now() < time) {
            return false;
        }
        self.not_before = None;
        match self.next_step(settle) {
            Ok(did) => did,
            Err(error) => {
                self.give_up_or_wait(&error);
                false
            }
        }
    }

    fn next_step(&mut self, settle: Settle<'_>) -> Result<bool, Failed> {
        if let Some(last) = self.drainable() {
            self.drain(last, settle)?;
            return Ok(true);
        }
        {
            let mut state = self.view.state_mut();
            self.dead.extend(state.take_dead_files().into_iter().map(FileId));
            self.touched.extend(state.take_touched_files().into_iter().map(FileId));
        }
        if !self.dead.is_empty() || self.view.state().changed_rows() > self.policy.changed_rows {
            self.save(None, settle)?;
            return Ok(true);
        }
        let Some(units) = self.mergeable()? else { return Ok(false) };
        self.merge(&units, settle)?;
        Ok(true)
    }

    fn give_up_or_wait(&mut self, error: &Failed) {
        let poisoned = self.manifest.as_ref().is_some_and(Manifest::is_poisoned);
        if poisoned {
            self.failed = true;
            tracing::error!(
                %error,
                "resting files cannot be made any more: the log grows until the server is started \
                 again"
            );
        } else {
            tracing::warn!(%error, "resting files could not be written; tried again in a while");
            self.not_before = Some(Instant::now() + self.policy.retry);
        }
    }

    /// The last of the segments that should be drained now.
    fn drainable(&self) -> Option<u64> {
        let (_, current) = self.segments.range()?;
        let sealed = self.view.waiting_segments();
        let allowed = self.policy.segments as u64;
        if sealed <= allowed {
            return None;
        }
        let applied = self.view.state().applied();
        // What waits is let go of part by part, so that a drain that lags behind frees soon.
        let count = (sealed - allowed / 2).min(2 * allowed);
        let last = current - sealed + count - 1;
        // All its groups are applied.
        let next = self.segments.get(last + 1)?;
        (next.header.first_lsn <= applied + 1).then_some(last)
    }

    fn drain(&mut self, last: u64, settle: Settle<'_>) -> Result<(), Failed> {
        let home = u32::try_from(last).unwrap_or(u32::MAX);
        let stretches = drain::stretches(&self.view, home);
        let units = drain::divide(stretches, (self.policy.hot_bytes, HOT_MAX), drain::measure);
        let mut written = Vec::new();
        let mut pace = Pace::new(self.policy.bytes_per_second, &self.view);
        for (kind, stretches) in units {
            let id = self.next_id()?;
            let both = (&self.vfs, self.view.as_ref());
            match drain::write(both, (id, kind), &stretches, &mut |bytes| pace.take(bytes)) {
                Ok(unit) => written.push(unit),
                Err(error) => {
                    self.discard(&written);
                    return Err(error.into());
                }
            }
        }
        self.install(written)?;
        self.save(Some(last + 1), settle)?;
        Counters::add(&self.view.counters.drains, 1);
        Ok(())
    }

    /// Takes written units into the index.
    fn install(&mut self, written: Vec<Written>) -> Result<(), Failed> {
        if written.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.vfs.fsync_dir("") {
            self.discard(&written);
            return Err(error.into());
        }
        let mut runs = Vec::new();
        for unit in &written {
            self.view.units.add(unit.id, unit.kind);
            self.unlisted.insert(unit.id, unit.unit_file());
            Counters::add(&self.view.counters.rested_bytes, unit.bytes);
            let of_unit = |holding| (unit.id, holding);
            runs.extend(unit.runs.iter().map(of_unit));
        }
        // In the order of offsets, those of one log at once: readers look for what rests first.
        runs.sort_unstable_by_key(|(_, holding)| (holding.log, holding.base));
        let by_log = runs.chunk_by(|(_, one), (_, other)| one.log == other.log);
        for of_log in by_log {
            let mut state = self.view.state_mut();
            for (file, holding) in of_log {
                state.rest(holding.log, drain::run_of(*file, holding));
            }
        }
        let state = self.view.state();
        let unused = written.iter().filter(|unit| !state.uses_file(unit.id.0));
        self.dead.extend(unused.map(|unit| unit.id));
        Ok(())
    }

    fn discard(&self, written: &[Written]) {
        for unit in written {
            drain::remove(self.vfs.as_ref(), unit.id, unit.kind);
        }
    }

    /// Makes a checkpoint and one edit of the manifest with all that has changed; with
    /// `wal_oldest` the segments below it are let go of.
    fn save(&mut self, wal_oldest: Option<u64>, settle: Settle<'_>) -> Result<(), Failed> {
        let (rows, lsn) = {
            let mut state = self.view.state_mut();
            self.dead.extend(state.take_dead_files().into_iter().map(FileId));
            (state.take_rows(), state.applied())
        };
        let done = self.save_rows(&rows, (lsn, wal_oldest), settle);
        if done.is_err() {
            let keys = rows.into_iter().map(|(key, _)| key);
            self.view.state_mut().give_rows_back(keys);
        }
        done
    }

    fn save_rows(
        &mut self,
        rows: &crate::checkpoint::Rows,
        (lsn, wal_oldest): (u64, Option<u64>),
        settle: Settle<'_>,
    ) -> Result<(), Failed> {
        // What the tables say must not be ahead of what a crash leaves of the log.
        if !settle() {
            return Err(Failed::Lane);
        }
        self.start_boot()?;
        let (boot, sequence) = (self.boot, &mut self.sequence);
        let next_id = || {
            *sequence += 1;
            FileId::new(boot, *sequence)
        };
        let old: Vec<FileId> = self.checkpoint.files().iter().map(|file| file.id).collect();
        let (checkpoint, spent) = self.checkpoint.with(self.vfs.as_ref(), rows, next_id)?;
        self.vfs.fsync_dir("")?;
        let files = checkpoint.files();
        let kept = |id: &FileId| files.iter().any(|file| file.id == *id);
        let gone: Vec<FileId> = old.into_iter().chain(spent).filter(|id| !kept(id)).collect();
        let manifest = self.manifest.as_mut().ok_or(Failed::Lane)?;
        let listed = &manifest.content().units;
        let (dead, never): (Vec<FileId>, Vec<FileId>) =
            self.dead.iter().partition(|id| listed.contains_key(id));
        let mut add_units = self.unlisted.clone();
        add_units.retain(|id, _| !never.contains(id));
        let kinds: Vec<_> = dead
            .iter()
            .chain(&never)
            .filter_map(|id| Some((*id, listed.get(id).or_else(|| self.unlisted.get(id))?)))
            .map(|(id, unit)| (id, drain::kind_of(unit)))
            .collect();
        let edit = Edit {
            add_units,
            remove_units: dead,
            state: Some(files.clone()),
            lsn: Some(lsn),
            wal_oldest,
            boot: None,
        };
        manifest.apply(&edit)?;
        note_bytes(manifest.content(), &self.view.counters);
        if let Some(newest) = files.last() {
            Counters::add(&self.view.counters.rested_bytes, newest.bytes);
        }
        Counters::add(&self.view.counters.checkpoints, 1);
        self.checkpoint = checkpoint;
        self.unlisted.clear();
        self.dead.clear();
        for (id, kind) in kinds {
            self.view.units.remove(id);
            drain::remove(self.vfs.as_ref(), id, kind);
        }
        for id in gone {
            if let Err(error) = self.vfs.remove(&table::name(id)) {
                tracing::warn!(%error, %id, "a state table could not be removed");
            }
        }
        if let Some(oldest) = wal_oldest {
            self.view.needed_from.store(oldest, Ordering::Release);
            let home = u32::try_from(oldest - 1).unwrap_or(u32::MAX);
            self.view.state_mut().forget_homes(home);
        }
        Ok(())
    }

    /// Units that are worth a merge.
    fn mergeable(&mut self) -> Result<Option<Vec<Present>>, Failed> {
        let Some(manifest) = &self.manifest else { return Ok(None) };
        let units: Vec<_> = manifest
            .content()
            .units
            .iter()
            .map(|(id, unit)| Present { id: *id, kind: drain::kind_of(unit), bytes: unit.bytes })
            .collect();
        while let Some(id) = self.touched.iter().next().copied() {
            self.touched.remove(&id);
            let Some(unit) = units.iter().find(|unit| unit.id == id) else { continue };
            match merge::needed_records(&self.view, unit) {
                Ok((needed, all)) => {
                    let held = self.held.get(&id).copied().unwrap_or(all);
                    if needed * 100 < held * NEEDED_PERCENT_MIN {
                        return Ok(Some(vec![*unit]));
                    }
                }
                Err(error) => {
                    tracing::warn!(?error, %id, "a resting file cannot be looked at");
                }
            }
        }
        let mut units = units;
        units.retain(|unit| !self.apart.contains(&unit.id));
        Ok(merge::tier(&units))
    }

    fn merge(&mut self, units: &[Present], settle: Settle<'_>) -> Result<(), Failed> {
        let Ok(sources) = merge::sources(&self.view, units) else { return Ok(()) };
        let replaced: Vec<_> = sources
            .iter()
            .flat_map(|source| source.runs.iter().map(|run| (source.log, *run)))
            .collect();
        let parts = drain::divide(sources, (self.policy.hot_bytes, HOT_MAX), merge::measure);
        if units.len() > 1 && parts.len() * 2 > units.len() {
            // What is between their runs keeps them apart: they would be as many as before.
            self.apart.extend(units.iter().map(|unit| unit.id));
            return Ok(());
        }
        let mut written = Vec::new();
        let mut pace = Pace::new(self.policy.bytes_per_second, &self.view);
        for (kind, sources) in parts {
            let id = self.next_id()?;
            let both = (&self.vfs, self.view.as_ref());
            match merge::write(both, (id, kind), &sources, &mut |bytes| pace.take(bytes)) {
                Ok(unit) => written.extend(unit),
                Err(error) => {
                    self.discard(&written);
                    return Err(error.into());
                }
            }
        }
        if let Err(error) = self.vfs.fsync_dir("") {
            self.discard(&written);
            return Err(error.into());
        }
        let new: Vec<_> = written
            .iter()
            .map(|unit| Present { id: unit.id, kind: unit.kind, bytes: unit.bytes })
            .collect();
        self.replace(&replaced, written);
        for unit in new {
            if let Ok((needed, _)) = merge::needed_records(&self.view, &unit) {
                self.held.insert(unit.id, needed);
            }
        }
        for unit in units {
            self.held.remove(&unit.id);
            self.apart.remove(&unit.id);
        }
        self.save(None, settle)?;
        Counters::add(&self.view.counters.merges, 1);
        Ok(())
    }

    /// Puts the runs of new units in the place of those that they were made of.
    fn replace(
        &mut self,
        replaced: &[(storage::LogId, storage::memory::state::Run)],
        written: Vec<Written>,
    ) {
        let mut state = self.view.state_mut();
        for unit in &written {
            self.view.units.add(unit.id, unit.kind);
            self.unlisted.insert(unit.id, unit.unit_file());
            Counters::add(&self.view.counters.rested_bytes, unit.bytes);
        }
        for (log, run) in replaced {
            state.unrest(*log, run);
        }
        for unit in &written {
            for holding in &unit.runs {
                state.rest(holding.log, drain::run_of(unit.id, holding));
            }
            if !state.uses_file(unit.id.0) {
                self.dead.insert(unit.id);
            }
        }
    }

    /// An id for a file.
    fn next_id(&mut self) -> Result<FileId, Failed> {
        self.start_boot()?;
        self.sequence += 1;
        Ok(FileId::new(self.boot, self.sequence))
    }

    /// Makes sure that ids of this boot were never given before (storage rule 26).
    fn start_boot(&mut self) -> Result<(), Failed> {
        if self.boot > 0 {
            return Ok(());
        }
        let manifest = match &mut self.manifest {
            Some(manifest) => manifest,
            None => {
                let content = Content::new(self.folder);
                let (manifest, _) = Manifest::create(self.vfs.clone(), content)?;
                self.manifest.insert(manifest)
            }
        };
        let boot = manifest.content().boot + 1;
        manifest.apply(&Edit { boot: Some(boot), ..Edit::default() })?;
        self.boot = boot;
        Ok(())
    }
}

/// Removes resting files that the manifest does not name; all are of earlier boots (storage
/// rule 26).
pub(crate) fn remove_orphans(vfs: &dyn Vfs, content: Option<&Content>) {
    let Ok(names) = vfs.list("") else { return };
    for name in names {
        let unit = unit::parse_name(&name).map(|(id, _)| id);
        let is_table = name.ends_with(".state");
        let named = match (unit, content) {
            (Some(id), Some(content)) => content.units.contains_key(&id),
            (None, Some(content)) => content.state.iter().any(|file| table::name(file.id) == name),
            (_, None) => false,
        };
        if (unit.is_some() || is_table)
            && !named
            && let Err(error) = vfs.remove(&name)
        {
            tracing::warn!(%error, name, "an unneeded file could not be removed");
        }
    }
}

/// The first file that the manifest names and that is not there.
pub(crate) fn missing(vfs: &dyn Vfs, content: &Content) -> io::Result<Option<String>> {
    let names: HashSet<String> = vfs.list("")?.into_iter().collect();
    let units = content.units.iter();
    let units = units.flat_map(|(id, unit)| unit::names(*id, drain::kind_of(unit)));
    let tables = content.state.iter().map(|file| table::name(file.id));
    Ok(units.chain(tables).find(|name| !names.contains(name)))
}

/// Counts the bytes of the files that a manifest names.
fn note_bytes(content: &Content, counters: &Counters) {
    let units = content.units.values();
    let hot = units.clone().filter(|unit| unit.kind != UnitKind::Pack);
    let state = content.state.iter().map(|file| file.bytes).sum();
    counters.unit_bytes.store(units.map(|unit| unit.bytes).sum(), Ordering::Relaxed);
    counters.hot_unit_bytes.store(hot.map(|unit| unit.bytes).sum(), Ordering::Relaxed);
    counters.state_bytes.store(state, Ordering::Relaxed);
}

/// Spreads copying over time and leaves the disk to commits.
struct Pace {
    bytes_per_second: u64,
    view: Arc<View>,
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn new(bytes_per_second: u64, view: &Arc<View>) -> Self {
        Self { bytes_per_second, view: view.clone(), since: Instant::now(), bytes: 0 }
    }

    fn take(&mut self, bytes: usize) {
        if self.bytes_per_second == 0 {
            return;
        }
        self.bytes += bytes as u64;
        // About ten milliseconds of work; nothing holds a server up that ends.
        let portion = (self.bytes_per_second / 100).clamp(64 << 10, 1 << 20);
        if self.bytes < portion || self.view.wake.is_ended() {
            return;
        }
        let busy = self.view.counters.pending_bytes.load(Ordering::Relaxed) > 0;
        let rate = if busy { self.bytes_per_second / 2 } else { self.bytes_per_second };
        let due = Duration::from_secs_f64(self.bytes as f64 / rate.max(1) as f64);
        std::thread::sleep(due.saturating_sub(self.since.elapsed()));
        self.since = Instant::now();
        self.bytes = 0;
    }
}
