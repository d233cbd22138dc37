//! The lane: the one writer of a data folder.
//!
//! ```text
//!  writes of a group -> plan -> frames -> room -> one write -> one sync, if any of them waits for it
//!                    -> images applied to the index -> completions
//! ```
//!
//! Nothing is applied before the group is as durable as its strictest write asks, so no reader
//! sees what a crash could take back. A group that finds no space is refused and leaves no trace;
//! after a failed sync the lane takes nothing more.
//!
//! Small groups are synced by the lane itself. The sync of a long one, or of one behind which more
//! waits, is handed over, and the next group is planned on top of the one in flight, and written,
//! meanwhile:
//!
//! ```text
//!  lane    plan 1, write 1 | plan 2, write 2      | apply 1, tell 1 | plan 3, write 3 | apply 2 ..
//!  syncer                  | sync 1 ............. | sync 2 ........................ | sync 3 ..
//! ```
//!
//! At most one group is written beyond the one that is synced, groups land in order, and when a
//! sync fails both are told so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use storage::memory::plan::{Planner, Step};
use storage::memory::state::State;
use storage::{Health, Mode, Op, SubmitError};

use crate::debt::Allowance;
use crate::entry;
use crate::feed::OVERLAP_BYTES;
use crate::flight::{Batch, Ended, Flight};
use crate::framing::{self, Framed};
use crate::group::{ALIGN, GroupBuilder};
use crate::meters::Meters;
pub(crate) use crate::options::Options;
use crate::pace::Pace;
use crate::pool::Pool;
use crate::pressure::Pressure;
use crate::random::Random;
use crate::recovery::{self, OpenError, Start};
use crate::replay::replay;
use crate::syncer::{self, Synced, Syncer};
use crate::units::Units;
use crate::vfs::Vfs;
use crate::view::{Counters, Spot, View};
use crate::wal::{Claim, Clocks, Placed, Segments, SyncJob, Wal, WalOptions, WriteError};

/// How many offsets a lease holds ahead (storage rule 6).
const LEASE: u64 = 1 << 20;
/// Memory that a group's buffer keeps between commits.
const BUFFER_BYTES: usize = 2 << 20;
/// A batch of this length that is most of its group is not copied for the readers: they get the
/// group's buffer.
const SHARED_BYTES: usize = 64 << 10;
/// Room that the disk must show before a full lane takes data again.
const REGAIN_BYTES: usize = 1 << 20;

/// What the lane tells those outside of its thread.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    pub(crate) pressure: Pressure,
    pub(crate) meters: Meters,
    /// Writes that wait before the lane.
    pub(crate) waiting: AtomicUsize,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Lane {
    wal: Wal,
    view: Arc<View>,
    signals: Arc<Signals>,
    options: Options,
    /// Written, and not yet durable: its sync was handed over.
    flight: Option<(Flight, SyncJob)>,
    syncer: Syncer,
    pace: Pace,
    /// Buffers between commits.
    spare: Vec<GroupBuilder>,
    /// When what was written without a sync is to be synced.
    sync_at: Option<Instant>,
    /// When the last group is to be witnessed.
    witness_at: Option<Instant>,
    /// When a full disk is tried again.
    retry_at: Option<Instant>,
    /// Length of the current file when the bytes on the disk were counted last.
    noted_length: u64,
    ended: Ended,
    closed: bool,
}

impl Lane {
    /// Opens the journal in a folder and reads its whole history.
    pub(crate) fn open(
        vfs: Arc<dyn Vfs>,
        options: &Options,
        (mut state, units): (State<Spot>, Units),
        (oldest, proven): (u64, u64),
    ) -> Result<(Self, Arc<View>), OpenError> {
        let start = Start {
            options: WalOptions {
                segment_bytes: options.segment_bytes.min(1 << 30),
                spare_segments: options.spare_segments,
            },
            uuids: Random::new(options.seed),
            wall_ms: options.wall_ms,
            oldest,
            proven,
        };
        let (wal, clocks) = recovery::open(vfs, start, &mut |group| replay(&mut state, &group))?;
        state.finish_replay();
        let allowance = Allowance::of(
            options.maintenance().segments,
            wal.options().segment_bytes,
            options.drain_bytes_per_second,
        );
        let limits = (options.cache_bytes, allowance);
        let view = Arc::new(View::new(state, (wal.segments(), units), limits, clocks));
        view.needed_from.store(oldest, Ordering::Relaxed);
        let lane = Self {
            wal,
            view: view.clone(),
            signals: Arc::default(),
            options: *options,
            flight: None,
            syncer: Syncer::inline(),
            pace: Pace::default(),
            spare: Vec::new(),
            sync_at: None,
            witness_at: None,
            retry_at: None,
            noted_length: 0,
            ended: Ended::default(),
            closed: false,
        };
        lane.note_disk_bytes();
        Ok((lane, view))
    }

    /// Hands syncs over to this from now on.
    pub(crate) fn set_syncer(&mut self, syncer: Syncer) {
        self.syncer = syncer;
    }

    pub(crate) fn signals(&self) -> Arc<Signals> {
        self.signals.clone()
    }

    /// What the keeper fills and recycles.
    pub(crate) fn pool(&self) -> Arc<Pool> {
        self.wal.pool.clone()
    }

    /// Does what the keeper does, where there is none.
    pub(crate) fn keep(&self) {
        self.wal.keep();
        self.note_disk_bytes();
    }

    /// The segments, for readers.
    pub(crate) fn segments(&self) -> Segments {
        self.wal.segments()
    }

    /// Whether a sync has failed.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.wal.poisoned()
    }

    fn note_disk_bytes(&self) {
        let pool = self.wal.pool.bytes();
        let segments = self.wal.disk_bytes().saturating_sub(pool);
        self.view.counters.disk_bytes.store(segments, Ordering::Relaxed);
        self.view.counters.pool_bytes.store(pool, Ordering::Relaxed);
    }

    fn clocks(&self) -> Clocks {
        self.view.clocks()
    }

    /// Commits writes as one group and tells each what became of it, in order: at once, or, when
    /// more waits, once its sync has returned.
    pub(crate) fn commit(&mut self, batch: Batch) {
        self.release();
        if self.flight.as_ref().is_some_and(|(before, _)| before.drafts.is_none()) {
            self.land();
        }
        if self.closed || self.wal.poisoned() {
            self.land();
            self.ended.data_bytes += batch.data_bytes;
            self.ended.control_bytes += batch.control_bytes;
            return batch.refuse(&SubmitError::Poisoned);
        }
        let batch = self.admit(batch);
        if batch.writes.is_empty() {
            self.ended.control_bytes += batch.control_bytes;
            return;
        }
        let more = batch.more;
        let (mut flight, steps) = self.plan(batch);
        if let Err(error) = self.put(&mut flight, steps) {
            self.land();
            // What it would say was seen on top of the group in front of it.
            let lost = self.wal.poisoned();
            return self.refuse(flight, if lost { &SubmitError::Poisoned } else { &error });
        }
        self.launch(flight, more);
    }

    /// Lets what needs space wait outside while there is none.
    fn admit(&mut self, mut batch: Batch) -> Batch {
        let is_given_up = self.wal.pool.reserve.is_given_up();
        let good = self.signals.pressure.health() == Health::Good && !is_given_up;
        if good || !batch.has_data() {
            return batch;
        }
        let now = Instant::now();
        if self.retry_at.is_none_or(|at| at <= now) && self.regain() {
            return batch;
        }
        let data = batch.writes.split_off(batch.controls);
        self.ended.data_bytes += std::mem::take(&mut batch.data_bytes);
        for (_, done) in data {
            Meters::count(&self.signals.meters.refused_full);
            done(Err(SubmitError::Full));
        }
        batch
    }

    /// Plans a group on top of the one in flight.
    fn plan(&mut self, batch: Batch) -> (Flight, Vec<Vec<Step>>) {
        let mut group = self.spare.pop().unwrap_or_default();
        group.reserve(batch.data_bytes + batch.control_bytes);
        let mut flight = Flight {
            results: Vec::with_capacity(batch.writes.len()),
            controls: batch.controls,
            group,
            urgent: batch.urgent,
            since: batch.since,
            bytes: (batch.data_bytes, batch.control_bytes),
            ..Flight::default()
        };
        let before = self.flight.as_ref().and_then(|(before, _)| before.drafts.as_ref());
        if before.is_some() {
            Meters::count(&self.signals.meters.overlapped);
        }
        let clock_ms = self.clocks().engine_ms;
        let state = self.view.state();
        let mut planner = Planner::after(&state, LEASE, clock_ms, before);
        planner.expect(batch.writes.iter().map(|(write, _)| write));
        let mut freeing = 0;
        let mut refused = false;
        for (index, (write, done)) in batch.writes.into_iter().enumerate() {
            let waits = write.mode == Mode::Durable || write.ops.iter().any(is_append);
            let planned = planner.submit(write);
            refused |= waits && planned.is_err();
            flight.results.push((planned, done));
            if index + 1 == batch.controls {
                freeing = planner.steps();
            }
        }
        let (plan, drafts) = planner.finish_with_drafts();
        // A refusal tells what was seen, so that must be durable as well (storage rule 3).
        flight.sync = plan.sync || refused;
        flight.drafts = Some(drafts);
        let mut steps = plan.steps;
        let data = steps.split_off(freeing.min(steps.len()));
        (flight, vec![steps, data])
    }

    /// Writes a group: all of it, or, where only that finds space, the part that frees.
    fn put(&mut self, flight: &mut Flight, parts: Vec<Vec<Step>>) -> Result<(), SubmitError> {
        let mut marks = Vec::with_capacity(parts.len());
        for steps in parts {
            framing::frame(&mut flight.group, steps, &mut flight.framed)
                .map_err(|_| SubmitError::Bound("a frame is too long"))?;
            marks.push((flight.group.mark(), flight.framed.len()));
        }
        let has_data = flight.controls < flight.results.len();
        let claim = if has_data { Claim::Data } else { Claim::Control };
        let error = match self.write(&mut flight.group, claim) {
            Ok(placed) => {
                flight.placed = Some(placed);
                if has_data && !self.wal.pool.reserve.is_given_up() {
                    self.signals.pressure.relieve(self.clocks().wall_ms);
                }
                return Ok(());
            }
            Err(error) if has_data => self.refused(&error),
            Err(error) => return Err(self.refused_all(&error)),
        };
        let Some((mark, framed)) = marks.first().copied() else { return Err(error) };
        if error != SubmitError::Full || flight.controls == 0 {
            return Err(error);
        }
        flight.group.rewind(mark);
        flight.framed.truncate(framed);
        // What the others would have done must not be built upon.
        flight.drafts = None;
        for (result, _) in flight.results.iter_mut().skip(flight.controls) {
            if result.is_ok() {
                *result = Err(SubmitError::Full);
            }
        }
        match self.write(&mut flight.group, Claim::Control) {
            Ok(placed) => {
                flight.placed = Some(placed);
                Ok(())
            }
            Err(error) => Err(self.refused_all(&error)),
        }
    }

    /// Writes the group, if there is anything in it.
    fn write(&mut self, group: &mut GroupBuilder, claim: Claim) -> Result<Placed, WriteError> {
        if group.frames() == 0 {
            let segment = self.wal.segment();
            return Ok(Placed { segment, position: 0, lsn: self.wal.written_lsn() });
        }
        let placed = match self.write_here(group, claim) {
            // A segment of the reserve may have what this one has not.
            Err(WriteError::Refused(error)) if claim == Claim::Control => {
                tracing::debug!(%error, "on to the reserve");
                self.roll(claim)?;
                self.write_here(group, claim)?
            }
            written => written?,
        };
        let length = group.length() as u64;
        let padded = length.next_multiple_of(ALIGN);
        let counters = &self.view.counters;
        Counters::add(&counters.commits, 1);
        Counters::add(&counters.written_bytes, padded);
        Counters::add(&counters.padding_bytes, padded - length);
        if self.noted_length != self.wal.file_length() {
            self.noted_length = self.wal.file_length();
            self.note_disk_bytes();
        }
        self.signals.meters.note_group(padded);
        self.witness_at = Some(Instant::now() + self.options.witness_interval);
        Ok(placed)
    }

    fn write_here(&mut self, group: &mut GroupBuilder, claim: Claim) -> Result<Placed, WriteError> {
        self.wal.fits(group)?;
        if self.wal.wants_roll(group.length()) {
            self.roll(claim)?;
        }
        self.wal.grow(group.length(), claim)?;
        let clocks = self.clocks();
        self.wal.write(group, clocks).map_err(|torn| {
            self.land();
            if self.wal.poisoned() { WriteError::Poisoned } else { self.wal.withdraw(torn) }
        })
    }

    /// Starts the next segment; what is in flight lands before.
    fn roll(&mut self, claim: Claim) -> Result<(), WriteError> {
        self.land();
        let clocks = self.clocks();
        let oldest = self.view.needed_from.load(Ordering::Relaxed);
        self.wal.roll(oldest, clocks, claim)?;
        self.view.wake.call();
        self.sync_at = None;
        Counters::add(&self.view.counters.syncs, 2);
        self.note_disk_bytes();
        Ok(())
    }

    /// Sees a written group to its end: lands the one before it, and syncs it, if it waits for
    /// that, or lets it be synced while the next one is made.
    fn launch(&mut self, flight: Flight, more: bool) {
        let mut before = None;
        if let Some((landing, job)) = self.flight.take() {
            let synced = self.syncer.wait();
            if self.synced(&job, synced).is_err() {
                self.refuse(landing, &SubmitError::Poisoned);
                return self.refuse(flight, &SubmitError::Poisoned);
            }
            before = Some(landing);
        }
        let wanted = flight.sync && self.wal.is_unsynced();
        let job = self.wal.sync_job();
        let long = flight.group.length() >= OVERLAP_BYTES;
        if wanted && (more || long || before.is_some()) {
            // The disk works while the lane tells, and while it writes the next one.
            self.syncer.start(job.file.clone());
            self.flight = Some((flight, job));
            if let Some(landed) = before {
                self.finish(landed);
            }
            return;
        }
        if let Some(landed) = before {
            self.finish(landed);
        }
        if wanted {
            let synced = syncer::sync(job.file.as_ref());
            if self.synced(&job, synced).is_err() {
                return self.refuse(flight, &SubmitError::Poisoned);
            }
        } else if self.wal.is_unsynced() {
            let patience = match flight.urgent {
                true => self.options.sync_interval,
                false => self.options.lazy_sync_interval,
            };
            let at = Instant::now() + patience;
            self.sync_at = Some(self.sync_at.map_or(at, |sooner| sooner.min(at)));
        }
        self.finish(flight);
    }

    /// Takes note of a sync.
    fn synced(&mut self, job: &SyncJob, (result, time): Synced) -> Result<(), ()> {
        Counters::add(&self.view.counters.syncs, 1);
        let zeroing = self.wal.pool.zeroing.load(Ordering::Relaxed);
        self.pace.note(time, &self.signals.meters, zeroing);
        if self.wal.synced(job.lsn, result).is_err() {
            self.poison();
            return Err(());
        }
        if !self.wal.is_unsynced() {
            self.sync_at = None;
        }
        Ok(())
    }

    /// Waits until the group in flight, if there is one, is durable, and sees it to its end.
    pub(crate) fn land(&mut self) {
        if let Some((flight, job)) = self.flight.take() {
            let synced = self.syncer.wait();
            match self.synced(&job, synced) {
                Ok(()) => self.finish(flight),
                Err(()) => self.refuse(flight, &SubmitError::Poisoned),
            }
        }
    }

    /// Applies a group that is as durable as it must be, and tells what it has done.
    fn finish(&mut self, mut flight: Flight) {
        let framed = std::mem::take(&mut flight.framed);
        if let Some(placed) = flight.placed {
            self.apply(&framed, placed, &mut flight.group);
        }
        self.end(flight, &Ok(()));
    }

    /// Tells that a group was not done.
    fn refuse(&mut self, flight: Flight, error: &SubmitError) {
        self.end(flight, &Err(error.clone()));
    }

    fn end(&mut self, flight: Flight, outcome: &Result<(), SubmitError>) {
        let Flight { results, mut group, since, bytes, sync, .. } = flight;
        let meters = &self.signals.meters;
        let writes = results.len();
        meters.group_writes.record(writes as u64);
        if sync && self.ended.synced == 0 {
            // Whoever is told may be back before the last of them is.
            self.ended.waiting = self.signals.waiting.load(Ordering::Relaxed);
        }
        for (planned, done) in results {
            done(match outcome {
                Ok(()) => planned,
                // What a refusal has seen may be lost as well (storage rule 3).
                Err(SubmitError::Poisoned) if planned != Err(SubmitError::Full) => {
                    Err(SubmitError::Poisoned)
                }
                // A refusal of the write itself says more than the failure of its group.
                Err(error) => planned.and_then(|_| Err(error.clone())),
            });
        }
        if let Some(since) = since {
            meters.commits.record_time(since.elapsed());
        }
        self.ended.data_bytes += bytes.0;
        self.ended.control_bytes += bytes.1;
        self.ended.synced += if sync { writes } else { 0 };
        group.clear(BUFFER_BYTES);
        if self.spare.len() < 2 {
            self.spare.push(group);
        }
    }

    /// Applies what was committed, batches with the places where they now are.
    fn apply(&self, framed: &[Framed], placed: Placed, group: &mut GroupBuilder) {
        let home = u32::try_from(placed.segment).expect("fewer segments than 2^32");
        let most = SHARED_BYTES.max(group.length() / 2);
        let shared = framed.iter().any(|one| one.length >= most).then(|| group.take_bytes());
        let bytes = |start: usize| match &shared {
            Some(shared) => shared.get(start..),
            None => group.frame(start),
        };
        let mut fresh = Vec::new();
        let mut batches = Vec::with_capacity(framed.len());
        for Framed { step, start, length } in framed {
            let Step::Batch { image, payload, epoch, volatile } = step else { continue };
            if *volatile {
                let bytes = payload.to_bytes(image.base, *epoch);
                batches.push(Spot::Memory(Arc::new(bytes)));
                continue;
            }
            let position = u32::try_from(placed.position + *start as u64);
            let position = position.expect("a segment is shorter than 4 GiB");
            let length = u32::try_from(*length).expect("a frame is at most 16 MiB");
            batches.push(Spot::Disk { segment: home, position, length });
            if let Some(payload) = bytes(*start).and_then(entry::payload_of) {
                let own = match &shared {
                    Some(shared) if payload.len() >= most => shared.slice_ref(payload),
                    Some(_) | None => Bytes::copy_from_slice(payload),
                };
                fresh.push((image.log, image.base, own));
            }
        }
        // Readers find a batch in the cache from the moment at which they find it in the index.
        self.view.remember(fresh);
        let mut state = self.view.state_mut();
        state.begin(placed.lsn);
        let mut spots = batches.into_iter();
        for Framed { step, .. } in framed {
            match step {
                Step::Image(image) => state.apply(image),
                Step::Batch { image, .. } => {
                    if let Some(spot) = spots.next() {
                        state.apply_batch(image, spot);
                    }
                }
            }
        }
    }

    /// What a failed write means for those who wait for it.
    fn refused(&mut self, error: &WriteError) -> SubmitError {
        let wall_ms = self.clocks().wall_ms;
        match error {
            WriteError::TooLong(_) => SubmitError::Bound("a group is too long"),
            WriteError::Refused(error) => {
                self.signals.pressure.fill(error, wall_ms);
                self.retry_at = Some(Instant::now() + self.options.full_retry_interval);
                SubmitError::Full
            }
            WriteError::Poisoned => {
                self.poison();
                SubmitError::Poisoned
            }
        }
    }

    /// The same where not even writes that free were done.
    fn refused_all(&mut self, error: &WriteError) -> SubmitError {
        let refused = self.refused(error);
        if let WriteError::Refused(error) = error {
            self.signals.pressure.exhaust(error);
        }
        refused
    }

    fn poison(&mut self) {
        self.wal.poison();
        self.signals.pressure.poison(self.clocks().wall_ms);
        self.view.counters.poisoned.store(true, Ordering::Relaxed);
    }

    /// Tries whether there is space again: for what frees first, then for data.
    fn regain(&mut self) -> bool {
        self.retry_at = Some(Instant::now() + self.options.full_retry_interval);
        self.land();
        // What maintenance needs to free space is not for data.
        if self.wal.poisoned() || self.wal.pool.reserve.is_given_up() {
            return false;
        }
        let found = self.wal.pool.restore_reserve().map_err(WriteError::Refused);
        let found = found.and_then(|()| {
            if self.wal.wants_roll(REGAIN_BYTES.min(self.wal.half_segment())) {
                self.roll(Claim::Data)?;
            }
            self.wal.grow(REGAIN_BYTES.min(self.wal.half_segment()), Claim::Data)
        });
        match found {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "still no space");
                if self.wal.poisoned() {
                    self.poison();
                }
                false
            }
        }
    }

    /// Lets segments go that nobody needs any more.
    pub(crate) fn release(&mut self) {
        let needed_from = self.view.needed_from.load(Ordering::Acquire);
        if self.wal.release(needed_from) {
            self.retry_at = None;
            self.note_disk_bytes();
        }
    }

    /// Whether a sync is under way.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.flight.is_some()
    }

    /// How long it pays to wait for writes that are expected.
    pub(crate) fn patience_for_company(&self) -> Option<Duration> {
        self.pace.patience().filter(|_| self.flight.is_none())
    }

    /// What has ended since the last call.
    pub(crate) fn take_ended(&mut self) -> Ended {
        std::mem::take(&mut self.ended)
    }

    /// How long the lane may sleep if nothing comes.
    pub(crate) fn patience(&self, now: Instant) -> Option<Duration> {
        let full = self.signals.pressure.health() == Health::Full;
        let retry = full.then(|| self.retry_at.unwrap_or(now));
        let next = [self.sync_at, self.witness_at, retry].into_iter().flatten().min();
        next.filter(|_| !self.wal.poisoned()).map(|at| at.saturating_duration_since(now))
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.release();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.sync_at) {
            self.flush();
        }
        if due(self.witness_at) {
            self.witness();
        }
        if self.signals.pressure.health() == Health::Full
            && self.retry_at.is_none_or(|at| at <= now)
            && self.regain()
        {
            self.signals.pressure.relieve(self.clocks().wall_ms);
        }
    }

    /// Does what would be due after a while.
    pub(crate) fn tick_all(&mut self) {
        self.land();
        self.flush();
        self.witness();
    }

    /// Syncs what was written without a sync.
    pub(crate) fn flush(&mut self) {
        self.land();
        self.sync_at = None;
        if !self.wal.poisoned() && self.wal.is_unsynced() {
            let job = self.wal.sync_job();
            let synced = syncer::sync(job.file.as_ref());
            let _ = self.synced(&job, synced);
        }
    }

    /// Writes an empty group: it proves that the one before it was durable (storage rule 1).
    ///
    /// Without space there is no witness.
    fn witness(&mut self) {
        let wanted = self.witness_at.take().is_some() && !self.closed;
        self.flush();
        let mut group = self.spare.pop().unwrap_or_default();
        let good = !self.wal.poisoned() && self.signals.pressure.health() == Health::Good;
        if wanted && good && !self.wal.wants_roll(group.length()) {
            let clocks = self.clocks();
            let written = self.wal.append(&mut group, clocks);
            match written {
                Ok(_) => self.note_disk_bytes(),
                Err(WriteError::Poisoned) => self.poison(),
                Err(error) => tracing::debug!(%error, "the last group has no witness"),
            }
        }
        self.spare.push(group);
    }

    /// Ends all leases and makes everything durable; nothing is taken after that.
    pub(crate) fn close(&mut self) {
        self.land();
        if self.closed {
            return;
        }
        let images = self.view.state().end_leases();
        let steps: Vec<_> = images.into_iter().map(Step::Image).collect();
        if !self.wal.poisoned() {
            let mut flight = Flight { sync: true, ..Flight::default() };
            match self.put(&mut flight, vec![steps]) {
                Ok(()) => self.launch(flight, false),
                Err(error) => {
                    tracing::warn!(%error, "the journal was not closed cleanly");
                }
            }
            self.witness();
        }
        self.closed = true;
    }
}

fn is_append(op: &Op) -> bool {
    matches!(op, Op::Append(_))
}
