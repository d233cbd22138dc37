//! The lane: the one writer of a data folder.
//!
//! ```text
//!  writes of a group -> plan -> frames -> one write -> one sync, if any of them waits for it
//!                    -> images applied to the index -> completions
//! ```
//!
//! Nothing is applied before the group is as durable as its strictest write asks, so no reader
//! sees what a crash could take back. A group that finds no space is refused and leaves no trace;
//! after a failed sync the lane takes nothing more.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use storage::memory::image::{BatchImage, Image};
use storage::memory::plan::{Plan, Planner, Step};
use storage::memory::state::State;
use storage::{Committed, Done, SubmitError, Write};

use crate::entry;
use crate::frame::{BadFrame, FrameKind};
use crate::group::GroupBuilder;
use crate::maintenance::Policy;
use crate::random::Random;
use crate::recovery::{self, OpenError, RecoveredGroup, Start};
use crate::units::Units;
use crate::vfs::Vfs;
use crate::view::{Counters, Spot, View};
use crate::wal::{Clocks, Placed, Segments, Wal, WalOptions, WriteError};

/// How many offsets a lease holds ahead (storage rule 6).
const LEASE: u64 = 1 << 20;
/// A META frame is closed at this size.
const META_BYTES: usize = 1 << 20;
/// Memory that the group buffer keeps between commits.
const BUFFER_BYTES: usize = 1 << 20;

/// How a journal works; the server's configuration in the terms of this crate.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Length at which a segment is followed by the next one, at most 1 GiB.
    pub segment_bytes: u64,
    /// Bytes that may wait to be written.
    pub pending_bytes: usize,
    /// Bytes of the newest batches that are kept for readers.
    pub cache_bytes: usize,
    /// Bytes of indexes of resting files that are kept for readers.
    pub index_bytes: usize,
    /// Full segments beyond which the oldest are drained to resting files, down to half of that.
    pub drain_segments: usize,
    /// A log of which so many bytes are drained at once gets a file of its own.
    pub hot_bytes: u64,
    /// Bytes that draining and merging copy in a second, at most; 0 for as fast as it goes.
    pub drain_bytes_per_second: u64,
    /// Changed rows of the state that are worth a checkpoint of their own.
    pub checkpoint_rows: usize,
    /// After this time what was written asynchronously is synced.
    pub sync_interval: Duration,
    /// After this time without a write an empty group witnesses the last one.
    pub witness_interval: Duration,
    /// From the operating system's randomness, never the same in two starts.
    pub seed: u128,
    /// Milliseconds since 1970.
    pub wall_ms: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            pending_bytes: 64 << 20,
            cache_bytes: 16 << 20,
            index_bytes: 16 << 20,
            drain_segments: 4,
            hot_bytes: 4 << 20,
            drain_bytes_per_second: 256 << 20,
            checkpoint_rows: 100_000,
            sync_interval: Duration::from_millis(50),
            witness_interval: Duration::from_secs(1),
            seed: 0,
            wall_ms: 0,
        }
    }
}

impl Options {
    /// How maintenance works.
    pub(crate) fn maintenance(&self) -> Policy {
        Policy {
            segments: self.drain_segments.max(2),
            hot_bytes: self.hot_bytes,
            bytes_per_second: self.drain_bytes_per_second,
            changed_rows: self.checkpoint_rows,
        }
    }
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Lane {
    wal: Wal,
    view: Arc<View>,
    group: GroupBuilder,
    /// Written after the last sync, by writes that do not wait for one.
    unsynced: bool,
    /// The last group is an empty one.
    witnessed: bool,
    closed: bool,
}

/// A step with its place in the group: where its frame starts, and how long it is.
struct Framed {
    step: Step,
    start: usize,
    length: usize,
}

impl Lane {
    /// Opens the journal in a folder and reads its whole history.
    pub(crate) fn open(
        vfs: Arc<dyn Vfs>,
        options: &Options,
        (mut state, units): (State<Spot>, Units),
        oldest: u64,
    ) -> Result<(Self, Arc<View>), OpenError> {
        let start = Start {
            options: WalOptions { segment_bytes: options.segment_bytes.min(1 << 30) },
            uuids: Random::new(options.seed),
            wall_ms: options.wall_ms,
            oldest,
        };
        let (wal, clocks) = recovery::open(vfs, start, &mut |group| replay(&mut state, &group))?;
        state.finish_replay();
        let view = Arc::new(View::new(state, (wal.segments(), units), options.cache_bytes, clocks));
        view.needed_from.store(oldest, Ordering::Relaxed);
        let lane = Self {
            wal,
            view: view.clone(),
            group: GroupBuilder::new(),
            unsynced: false,
            witnessed: false,
            closed: false,
        };
        Ok((lane, view))
    }

    fn clocks(&self) -> Clocks {
        self.view.clocks()
    }

    /// Commits writes as one group and tells each what became of it, in order.
    pub(crate) fn commit(&mut self, writes: Vec<(Write, Done)>) {
        if self.closed || self.wal.poisoned() {
            for (_, done) in writes {
                done(Err(SubmitError::Poisoned));
            }
            return;
        }
        let view = self.view.clone();
        let mut results = Vec::with_capacity(writes.len());
        let clock_ms = self.clocks().engine_ms;
        let plan = {
            let state = view.state();
            let mut planner = Planner::new(&state, LEASE, clock_ms);
            for (write, done) in writes {
                results.push((planner.submit(write), done));
            }
            planner.finish()
        };
        let written = self.write(plan);
        for (planned, done) in results {
            done(match &written {
                Ok(()) => planned,
                // A refusal of the write itself says more than the failure of its group.
                Err(error) => planned.and_then(|_| Err(error.clone())),
            });
        }
    }

    /// Writes a plan and applies it.
    fn write(&mut self, plan: Plan) -> Result<(), SubmitError> {
        let framed = self.frame(plan.steps).map_err(|_| SubmitError::Bound("a frame is too long"));
        let result = framed.and_then(|framed| {
            let placed = self.append().and_then(|placed| {
                self.sync_if(plan.sync)?;
                Ok(placed)
            });
            match placed {
                Ok(placed) => {
                    self.apply(framed, placed);
                    Ok(())
                }
                Err(error) => Err(self.refused(&error)),
            }
        });
        self.group.clear(BUFFER_BYTES);
        result
    }

    /// Puts the frames of all steps into the group.
    fn frame(&mut self, steps: Vec<Step>) -> Result<Vec<Framed>, BadFrame> {
        let mut framed: Vec<Framed> = Vec::with_capacity(steps.len());
        let mut steps = steps.into_iter().peekable();
        while let Some(step) = steps.next() {
            let mark = self.group.length();
            let mut after = Vec::new();
            let start = match &step {
                Step::Batch { volatile: true, .. } => mark,
                Step::Batch { image, payload, epoch, .. } => self.group.push(
                    (FrameKind::Data, 0, 1),
                    |_| {},
                    |out| {
                        entry::put_batch(out, image, |out| payload.write(out, image.base, *epoch));
                    },
                )?,
                Step::Image(image) => {
                    let mut body = Vec::new();
                    entry::put_image(&mut body, image);
                    while body.len() < META_BYTES
                        && let Some(Step::Image(_)) = steps.peek()
                    {
                        let more = steps.next();
                        if let Some(Step::Image(image)) = &more {
                            let before = body.len();
                            entry::put_image(&mut body, image);
                            debug_assert!(body.len() > before, "every image has a tag");
                        }
                        after.extend(more);
                    }
                    let entries = u32::try_from(after.len() + 1).unwrap_or(u32::MAX);
                    self.group.push(
                        (FrameKind::Meta, 0, entries),
                        |_| {},
                        |out| {
                            out.extend_from_slice(&body);
                        },
                    )?
                }
            };
            let length = self.group.length() - start;
            framed.push(Framed { step, start, length });
            framed.extend(after.into_iter().map(|step| Framed { step, start, length: 0 }));
        }
        Ok(framed)
    }

    /// Writes the group, if there is anything in it.
    fn append(&mut self) -> Result<Placed, WriteError> {
        if self.group.frames() == 0 {
            let segment = self.wal.segment();
            return Ok(Placed { segment, position: 0, lsn: self.wal.written_lsn() });
        }
        if self.wal.wants_roll(self.group.length()) {
            self.roll()?;
        }
        let clocks = self.clocks();
        let placed = self.wal.append(&mut self.group, clocks)?;
        let length = self.group.length() as u64;
        let padded = length.next_multiple_of(crate::group::ALIGN);
        let counters = &self.view.counters;
        Counters::add(&counters.commits, 1);
        Counters::add(&counters.written_bytes, padded);
        Counters::add(&counters.padding_bytes, padded - length);
        Counters::add(&counters.disk_bytes, padded);
        self.unsynced = true;
        self.witnessed = false;
        Ok(placed)
    }

    fn sync_if(&mut self, wanted: bool) -> Result<(), WriteError> {
        if wanted && self.unsynced {
            self.wal.sync()?;
            self.unsynced = false;
            Counters::add(&self.view.counters.syncs, 1);
        }
        Ok(())
    }

    fn roll(&mut self) -> Result<(), WriteError> {
        let clocks = self.clocks();
        let oldest = self.view.needed_from.load(Ordering::Relaxed);
        self.wal.roll(oldest, clocks)?;
        self.view.wake.call();
        self.unsynced = false;
        Counters::add(&self.view.counters.syncs, 2);
        Ok(())
    }

    /// Applies what was committed, batches with the places where they now are.
    fn apply(&mut self, framed: Vec<Framed>, placed: Placed) {
        let home = u32::try_from(placed.segment).expect("fewer segments than 2^32");
        let mut fresh = Vec::new();
        let mut batches = Vec::with_capacity(framed.len());
        for Framed { step, start, length } in &framed {
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
            if let Some(payload) = self.group.frame(*start).and_then(entry::payload_of) {
                fresh.push((image.log, image.base, Bytes::copy_from_slice(payload)));
            }
        }
        // Readers find a batch in the cache from the moment at which they find it in the index.
        self.view.remember(fresh);
        let mut state = self.view.state_mut();
        state.begin(placed.lsn);
        let mut spots = batches.into_iter();
        for Framed { step, .. } in &framed {
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
        match error {
            WriteError::TooLong(_) => SubmitError::Bound("a group is too long"),
            WriteError::Refused(error) if is_full(error) => {
                tracing::warn!(%error, "no space left: the write is refused");
                SubmitError::Full
            }
            WriteError::Refused(_) | WriteError::Poisoned => {
                tracing::error!(%error, "a write failed: nothing more is taken until a restart");
                self.wal.poison();
                self.view.counters.poisoned.store(true, Ordering::Relaxed);
                SubmitError::Poisoned
            }
        }
    }

    /// The segments, for readers.
    pub(crate) fn segments(&self) -> Segments {
        self.wal.segments()
    }

    /// Whether a sync has failed.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.wal.poisoned()
    }

    /// Whether written groups wait for a sync that no write asks for.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.unsynced && !self.wal.poisoned()
    }

    /// Whether the last group still wants its witness.
    pub(crate) fn wants_witness(&self) -> bool {
        !self.witnessed && !self.closed && self.wal.written_lsn() > 0 && !self.wal.poisoned()
    }

    /// Syncs what was written asynchronously.
    pub(crate) fn flush(&mut self) {
        if let Err(error) = self.sync_if(true) {
            let _ = self.refused(&error);
        }
    }

    /// Writes an empty group: it proves that the one before it was durable (storage rule 1).
    pub(crate) fn witness(&mut self) {
        self.witnessed = true;
        self.flush();
        self.group.clear(BUFFER_BYTES);
        if self.wal.poisoned() || self.wal.wants_roll(self.group.length()) {
            return;
        }
        let clocks = self.clocks();
        match self.wal.append(&mut self.group, clocks) {
            Ok(_) => Counters::add(&self.view.counters.disk_bytes, crate::group::ALIGN),
            Err(error) => drop(self.refused(&error)),
        }
    }

    /// Ends all leases and makes everything durable; nothing is taken after that.
    pub(crate) fn close(&mut self) {
        if self.closed {
            return;
        }
        let images = self.view.state().end_leases();
        let steps = images.into_iter().map(Step::Image).collect();
        if !self.wal.poisoned() && self.write(Plan { steps, sync: true }).is_err() {
            tracing::warn!("the journal was not closed cleanly");
        }
        if self.wants_witness() {
            self.witness();
        }
        self.closed = true;
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Applies one recovered group.
fn replay(state: &mut State<Spot>, group: &RecoveredGroup) -> Result<(), String> {
    let segment = u32::try_from(group.segment).map_err(|error| error.to_string())?;
    let known = state.knows(group.lsn);
    state.begin(group.lsn);
    for frame in &group.frames {
        match frame.kind {
            FrameKind::Data => {
                let image: BatchImage =
                    entry::batch(frame, group.clock_ms).map_err(|e| e.to_string())?;
                let position = u32::try_from(group.position + frame.at as u64);
                let position = position.map_err(|error| error.to_string())?;
                let length = u32::try_from(frame.length).map_err(|error| error.to_string())?;
                let spot = Spot::Disk { segment, position, length };
                match known {
                    true => state.place_known(&image, spot),
                    false => state.apply_batch(&image, spot),
                }
            }
            FrameKind::Meta if known => {}
            FrameKind::Meta => {
                let images: Vec<Image> = entry::images(frame).map_err(|error| error.to_string())?;
                images.iter().for_each(|image| state.apply(image));
            }
            FrameKind::Raft | FrameKind::Checkpoint | FrameKind::Seal => {
                return Err(format!("frames of the kind {:?} need a newer version", frame.kind));
            }
        }
    }
    Ok(())
}

/// What a write has done, for tests that commit groups of their own.
pub(crate) type Outcome = Result<Committed, SubmitError>;

/// Bytes that a write takes while it waits, about.
pub(crate) fn weight(write: &Write) -> usize {
    use storage::{Body, Op};
    let mut bytes = 256;
    for op in &write.ops {
        bytes += 128
            + match op {
                Op::Append(append) => match &append.body {
                    Body::Record(record) => record.tail.len(),
                    Body::Batch { bytes, .. } => Bytes::len(bytes),
                },
                Op::Put { key, value, .. } => key.len() + value.len(),
                Op::Remove { key, .. } => key.len(),
                Op::Delete { ranges, .. } => 16 * ranges.len(),
                Op::Settle { places, .. } => 8 * places.len(),
                Op::Release { states, .. } => 24 * states.len(),
                Op::CreateLog { .. }
                | Op::DropLog(_)
                | Op::Trim { .. }
                | Op::Policy { .. }
                | Op::Cursor { .. } => 0,
            };
    }
    bytes
}
