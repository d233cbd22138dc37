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
//!
//! What frees space must go on where there is none: then the [reserve](crate::reserve) is given up
//! for it, and is back before anything new is stored. A file that finds no space is discarded,
//! nothing else.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use storage::{Health, LogId};

use crate::checkpoint::Checkpoint;
use crate::drain::{self, Written};
use crate::lane::Signals;
use crate::manifest::{ApplyError, Content, Edit, Manifest, UnitFile, UnitKind};
use crate::merge::{self, Present};
use crate::pool::Pool;
use crate::reserve::Need;
use crate::rest::unit::Kind;
use crate::rest::{FileId, table, unit};
use crate::throttle::Throttle;
use crate::vfs::{self, Vfs};
use crate::view::{Counters, View};
use crate::wal::Segments;
use crate::warm::Warm;

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
/// Files are made fewer again this long after there was no space for that.
const TIERS_RETRY: Duration = Duration::from_secs(60);
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
    pool: Arc<Pool>,
    signals: Arc<Signals>,
    policy: Policy,
    /// Made once the log is in real use.
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
    /// The logs of files that hold one.
    logs: HashMap<FileId, LogId>,
    /// Of these something may have died.
    touched: HashSet<FileId>,
    warm: Warm,
    /// Nothing more is done until the next start.
    failed: bool,
    /// Not before this, after something has failed.
    not_before: Option<Instant>,
    /// Nothing is merged for its size before this, after the disk was full.
    no_tiers_before: Option<Instant>,
    /// What is done now only makes files fewer: it is not worth the reserve.
    optional: bool,
    /// It was told that steps fail.
    told: bool,
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

impl Failed {
    /// There was no space, and nothing of it was done.
    fn is_full(&self) -> bool {
        match self {
            Self::Disk(error) | Self::Manifest(ApplyError::NotWritten(error)) => {
                vfs::is_full(error)
            }
            Self::Manifest(
                ApplyError::Refused(_) | ApplyError::SyncFailed(_) | ApplyError::Poisoned,
            )
            | Self::Lane => false,
        }
    }
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
        (segments, pool, signals): (Segments, Arc<Pool>, Arc<Signals>),
        policy: Policy,
        (rested, folder): (Rested, [u8; 16]),
    ) -> Self {
        if let Some(manifest) = &rested.manifest {
            note_bytes(manifest.content(), &view.counters);
        }
        let maintenance = Self {
            vfs,
            view,
            segments,
            pool,
            signals,
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
            logs: HashMap::new(),
            touched: HashSet::new(),
            warm: Warm::default(),
            failed: false,
            not_before: None,
            no_tiers_before: None,
            optional: false,
            told: false,
        };
        maintenance.note_reserve();
        maintenance
    }

    /// Does the most urgent thing, if there is one; says whether it did something.
    pub(crate) fn step(&mut self, settle: Settle<'_>) -> bool {
        if self.failed || self.not_before.is_some_and(|time| Instant::now() < time) {
            return false;
        }
        self.not_before = None;
        let mut done = self.next_step(settle);
        if let Err(error) = &done
            && error.is_full()
            && self.takes_reserve(error)
        {
            done = self.next_step(settle);
        }
        if let Ok(false) = done {
            done = self.prepare().map(|()| false);
        }
        self.told &= done.is_err();
        done.unwrap_or_else(|error| {
            self.give_up_or_wait(&error);
            false
        })
    }

    /// Whether there is a reserve to go on with.
    fn takes_reserve(&mut self, error: &Failed) -> bool {
        if self.optional {
            self.no_tiers_before = Some(Instant::now() + TIERS_RETRY);
            return false;
        }
        let given = self.pool.give_way();
        if given {
            tracing::info!(%error, "the reserve is used to free space");
            let wall_ms = self.view.clocks().wall_ms;
            self.signals.pressure.fill(&io::ErrorKind::StorageFull.into(), wall_ms);
            self.note_reserve();
        }
        given
    }

    /// Nothing is to be done now: gets ready for when there is no space.
    fn prepare(&mut self) -> Result<(), Failed> {
        if !self.pool.is_wanted() {
            return Ok(());
        }
        if self.pool.reserve.is_given_up() {
            if let Err(error) = self.pool.reserve.restore() {
                tracing::debug!(%error, "no space yet for the reserve");
            }
            self.note_reserve();
            return Ok(());
        }
        if self.manifest.is_none() {
            self.start_boot()?;
        }
        let units = self.manifest.as_ref().map(|manifest| &manifest.content().units);
        let largest = units.into_iter().flatten().map(|(_, unit)| unit.bytes).max();
        let need = Need {
            drain: self.policy.segments as u64 * self.view.segment_bytes(),
            unit: largest.unwrap_or_default(),
            state: self.view.counters.state_bytes.load(Ordering::Relaxed),
        };
        if let Err(error) = self.pool.reserve.suit(need) {
            tracing::debug!(%error, "no space for a reserve");
        }
        self.note_reserve();
        Ok(())
    }

    fn note_reserve(&self) {
        let bytes = self.pool.reserve.bytes();
        self.view.counters.reserve_bytes.store(bytes, Ordering::Relaxed);
    }

    fn next_step(&mut self, settle: Settle<'_>) -> Result<bool, Failed> {
        self.optional = false;
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
            if !std::mem::replace(&mut self.told, true) {
                tracing::warn!(%error, "resting files could not be written; tried again and again");
            }
            self.not_before = Some(Instant::now() + self.policy.retry);
        }
    }

    /// The last of the segments that should be drained now.
    fn drainable(&self) -> Option<u64> {
        let (_, current) = self.segments.range()?;
        let sealed = self.view.waiting_segments();
        let allowed = self.policy.segments as u64;
        // Without space every segment may be worth something.
        let full = self.signals.pressure.health() == Health::Full;
        if sealed <= allowed && !(full && sealed > 0) {
            return None;
        }
        let applied = self.view.state().applied();
        // What waits is let go of part by part, so that a drain that lags behind frees soon.
        let kept = if full { 0 } else { allowed / 2 };
        let count = (sealed - kept).min(allowed);
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
        let mut pace = Throttle::new(self.policy.bytes_per_second, &self.view);
        for (kind, stretches) in units {
            let id = self.next_id()?;
            let both = (&self.vfs, self.view.as_ref());
            let from = (stretches.as_slice(), home);
            match drain::write(both, (id, kind), from, &mut |bytes| pace.take(bytes)) {
                Ok(unit) => {
                    self.warm.add(self.vfs.as_ref(), &unit);
                    written.push(unit);
                }
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
        let files = checkpoint.files();
        let kept = |id: &FileId| files.iter().any(|file| file.id == *id);
        let new = files.iter().map(|file| file.id).chain(spent.iter().copied());
        let new: Vec<FileId> = new.filter(|id| !old.contains(id)).collect();
        if let Err(error) = self.vfs.fsync_dir("") {
            self.remove_tables(&new);
            return Err(error.into());
        }
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
        if let Err(error) = manifest.apply(&edit) {
            if matches!(error, ApplyError::Refused(_) | ApplyError::NotWritten(_)) {
                self.remove_tables(&new);
            }
            return Err(error.into());
        }
        self.checkpoint = checkpoint;
        self.saved(&kinds, &gone);
        if let Some(oldest) = wal_oldest {
            self.view.needed_from.store(oldest, Ordering::Release);
            let home = u32::try_from(oldest - 1).unwrap_or(u32::MAX);
            self.view.state_mut().forget_homes(home);
        }
        Ok(())
    }

    /// The manifest has taken an edit: what it does not name any more goes.
    fn saved(&mut self, units: &[(FileId, Kind)], tables: &[FileId]) {
        if let Some(manifest) = &self.manifest {
            note_bytes(manifest.content(), &self.view.counters);
        }
        let files = self.checkpoint.files();
        if let Some(newest) = files.last() {
            Counters::add(&self.view.counters.rested_bytes, newest.bytes);
        }
        Counters::add(&self.view.counters.checkpoints, 1);
        self.unlisted.clear();
        self.dead.clear();
        for (id, kind) in units {
            self.logs.remove(id);
            self.view.units.remove(*id);
            drain::remove(self.vfs.as_ref(), *id, *kind);
        }
        self.remove_tables(tables);
    }

    fn remove_tables(&self, ids: &[FileId]) {
        for id in ids {
            if let Err(error) = self.vfs.remove(&table::name(*id)) {
                tracing::warn!(%error, %id, "a state table could not be removed");
            }
        }
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
        let full = self.pool.reserve.is_given_up();
        if full || self.no_tiers_before.is_some_and(|time| Instant::now() < time) {
            return Ok(None);
        }
        let mut units = units;
        units.retain(|unit| !self.apart.contains(&unit.id));
        self.optional = true;
        Ok(merge::tier(&units).or_else(|| self.hot_tier(&units)))
    }

    /// Files of one log that should become one.
    fn hot_tier(&mut self, units: &[Present]) -> Option<Vec<Present>> {
        let mut files = Vec::new();
        for unit in units.iter().filter(|unit| merge::grows(unit)) {
            let known = self.logs.get(&unit.id).copied();
            let log = known.or_else(|| merge::log_of(&self.view, unit));
            if let (Some(log), Kind::Hot { base }) = (log, unit.kind) {
                self.logs.insert(unit.id, log);
                files.push((log, base, *unit));
            }
        }
        merge::hot_tier(files)
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
        let mut pace = Throttle::new(self.policy.bytes_per_second, &self.view);
        for (kind, sources) in parts {
            let id = self.next_id()?;
            let both = (&self.vfs, self.view.as_ref());
            match merge::write(both, (id, kind), &sources, &mut |bytes| pace.take(bytes)) {
                Ok(unit) => {
                    unit.iter().for_each(|unit| self.warm.add(self.vfs.as_ref(), unit));
                    written.extend(unit);
                }
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
        replaced: &[(LogId, storage::memory::state::Run)],
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
