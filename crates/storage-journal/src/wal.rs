//! The write-ahead log: one chain of segments, appended by one thread, read by many.
//!
//! A group is first written ([`Wal::append`]) and then made durable ([`Wal::sync`]). A write that
//! fails for want of space leaves the log as it was; a failed sync poisons it: nothing is written
//! any more, what was written stays readable, and only a new start decides what survived.
//!
//! A segment from the [pool](crate::pool) has its space and was written before. One that had to be
//! made on the spot grows ahead of its groups, so that most syncs move no metadata, and so that
//! want of space shows before a group is half written.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use crate::group::{ALIGN, GROUP_BYTES_MAX, GroupBuilder};
pub use crate::pool::Claim;
use crate::pool::{Free, Pool};
use crate::random::Random;
use crate::segment::{self, FIRST_GROUP, Segment, SegmentHeader};
use crate::vfs::{self, Vfs, VfsFile};

/// Groups up to this length grow their segment by writing zeros ahead: they are rewritten at once,
/// but the syncs of the groups that follow move no metadata. Longer groups would pay too much.
const SMALL_BYTES: u64 = 64 << 10;
/// How far zeros are written ahead.
const ZEROS_BYTES: u64 = 1 << 20;
/// How far space is reserved ahead of long groups.
const ROOM_BYTES: u64 = 4 << 20;
/// Space at the end of a growing segment that is left to groups without data, at most.
const HEADROOM_BYTES: u64 = 256 << 10;

/// Engine clock and wall clock, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// Engine clock (storage rule 16).
    pub engine_ms: i64,
    /// Wall clock since 1970.
    pub wall_ms: i64,
}

/// Sizes of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalOptions {
    /// A segment that has reached this length is followed by a new one.
    pub segment_bytes: u64,
    /// Free segments that are kept ready, beside two that are for groups without data.
    pub spare_segments: usize,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, spare_segments: 3 }
    }
}

/// The share of a disk that free segments may take: one in this many bytes.
const POOL_SHARE: u64 = 50;
/// The shortest segments that a small disk leads to.
const SEGMENT_BYTES_MIN: u64 = 1 << 20;

impl WalOptions {
    /// The sizes on a disk of that many bytes: shorter segments and fewer free ones on small disks.
    #[must_use]
    pub fn on_disk_of(self, total: u64) -> Self {
        let reserve = crate::pool::RESERVE as u64;
        let share = total / POOL_SHARE;
        let fitting = (share / (reserve + self.spare_segments as u64)).max(SEGMENT_BYTES_MIN);
        let segment_bytes = self.segment_bytes.min(fitting) & !(ALIGN - 1);
        let segment_bytes = segment_bytes.max(self.segment_bytes.min(SEGMENT_BYTES_MIN));
        let most = (share / segment_bytes.max(1)).saturating_sub(reserve);
        let spare_segments = self.spare_segments.min(usize::try_from(most).unwrap_or(usize::MAX));
        Self { segment_bytes, spare_segments }
    }
}

/// Where a group went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Sequence of the segment.
    pub segment: u64,
    /// Where the group starts in it.
    pub position: u64,
    /// Number of the group.
    pub lsn: u64,
}

/// Why a group was not written or not made durable.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk did not take it; the log is as before and later groups may fit.
    #[error("the journal could not be written")]
    Refused(#[source] io::Error),
    /// The group is longer than any group may be.
    #[error("a group of {0} bytes is too long")]
    TooLong(usize),
    /// A sync failed, now or before: nothing is written until the next start.
    #[error("the journal is poisoned: a sync has failed")]
    Poisoned,
}

/// The segments that exist, shared between the writer and the readers.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    map: Arc<RwLock<BTreeMap<u64, Arc<Segment>>>>,
}

impl Segments {
    /// The segment of that sequence, unless it was removed.
    pub fn get(&self, sequence: u64) -> Option<Arc<Segment>> {
        self.map.read().unwrap_or_else(PoisonError::into_inner).get(&sequence).cloned()
    }

    /// Lowest and highest sequence.
    pub fn range(&self) -> Option<(u64, u64)> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        Some((*map.first_key_value()?.0, *map.last_key_value()?.0))
    }

    pub(crate) fn insert(&self, segment: Arc<Segment>) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        map.insert(segment.header.sequence, segment);
    }

    /// Bytes of their files.
    fn bytes(&self) -> u64 {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        map.values().map(|segment| segment.length()).sum()
    }

    /// Removes the segments below `oldest` and returns them.
    fn remove_below(&self, oldest: u64) -> Vec<Arc<Segment>> {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let kept = map.split_off(&oldest);
        std::mem::replace(&mut *map, kept).into_values().collect()
    }
}

/// The writer's end of the log.
#[derive(Debug)]
pub struct Wal {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) options: WalOptions,
    pub(crate) uuids: Random,
    pub(crate) segments: Segments,
    pub(crate) pool: Arc<Pool>,
    pub(crate) current: Arc<Segment>,
    /// Segments below this were let go.
    pub(crate) oldest: u64,
    /// Where the next group goes.
    pub(crate) position: u64,
    /// Number of the last group written.
    pub(crate) written_lsn: u64,
    /// Number of the last group whose sync has returned.
    pub(crate) durable_lsn: u64,
    pub(crate) poisoned: bool,
}

/// A group that was not written as a whole.
#[derive(Debug)]
pub(crate) struct Torn {
    error: io::Error,
    /// Certainly no byte of it was written.
    untouched: bool,
}

/// A sync that is to be done, by whoever has the time.
#[derive(Clone, Debug)]
pub(crate) struct SyncJob {
    pub(crate) file: Arc<dyn VfsFile>,
    /// Groups up to this one are durable once it has returned.
    pub(crate) lsn: u64,
}

impl Wal {
    /// The segments, for readers.
    pub fn segments(&self) -> Segments {
        self.segments.clone()
    }

    /// Number of the last group written.
    pub fn written_lsn(&self) -> u64 {
        self.written_lsn
    }

    /// Number of the last group known to be durable.
    pub fn durable_lsn(&self) -> u64 {
        self.durable_lsn
    }

    /// Sequence of the segment that is written now.
    pub fn segment(&self) -> u64 {
        self.current.header.sequence
    }

    /// Where the next group of the current segment goes.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The sizes that it was opened with.
    pub fn options(&self) -> WalOptions {
        self.options
    }

    /// Bytes of all files: segments and pool.
    pub fn disk_bytes(&self) -> u64 {
        self.segments.bytes() + self.pool.bytes()
    }

    /// Takes no more writes, as after a failed sync.
    pub fn poison(&mut self) {
        self.poisoned = true;
    }

    /// True after a failed sync.
    pub fn poisoned(&self) -> bool {
        self.poisoned
    }

    /// True when a group of that length goes to the next segment; see [`Self::roll`].
    pub fn wants_roll(&self, length: usize) -> bool {
        let end = self.position + length as u64;
        self.position > FIRST_GROUP && end > self.options.segment_bytes
    }

    /// Recycles released segments and makes free ones until there is nothing left to do: what a
    /// thread beside the log does otherwise.
    pub fn keep(&self) {
        while !matches!(self.pool.step(), crate::pool::Step::Nothing(_)) {}
    }

    /// Whether a group can be written at all.
    pub(crate) fn fits(&self, group: &GroupBuilder) -> Result<(), WriteError> {
        if self.poisoned {
            return Err(WriteError::Poisoned);
        }
        if group.length() > GROUP_BYTES_MAX {
            return Err(WriteError::TooLong(group.length()));
        }
        Ok(())
    }

    /// Length of the current segment's file.
    pub(crate) fn file_length(&self) -> u64 {
        self.current.length()
    }

    /// Half of what a segment holds.
    pub(crate) fn half_segment(&self) -> usize {
        usize::try_from(self.options.segment_bytes / 2).unwrap_or(usize::MAX)
    }

    /// Whether groups were written after the last sync.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.durable_lsn < self.written_lsn
    }

    /// Makes room for a group of that length in the current segment, before any of it is written.
    ///
    /// # Errors
    ///
    /// [`WriteError::Refused`]; the log is then as before.
    pub fn grow(&mut self, length: usize, claim: Claim) -> Result<(), WriteError> {
        let length = (length as u64).next_multiple_of(ALIGN);
        let end = self.position + length;
        let limit = self.options.segment_bytes.max(end);
        let headroom = HEADROOM_BYTES.min(self.options.segment_bytes / 16) & !(ALIGN - 1);
        let needed = match claim {
            Claim::Data => (end + headroom).min(limit),
            Claim::Control => end,
        };
        let (room, filled) = (self.current.length(), self.current.filled());
        let small = length <= SMALL_BYTES && self.pool.rewrites();
        if small && (end > filled || needed > room) {
            let to = needed.max((end + ZEROS_BYTES).min(limit));
            return self.fill(self.position.max(filled), to, needed);
        }
        if needed > room {
            let to = needed.max((end + ROOM_BYTES).min(limit));
            let file = self.current.file();
            let enough = file.allocate(to).map(|()| to);
            let enough = enough.or_else(|_| file.allocate(needed).map(|()| needed));
            self.current.grown(enough.map_err(WriteError::Refused)?, filled);
        }
        Ok(())
    }

    /// Writes zeros; it is enough when they reach `needed`.
    fn fill(&self, from: u64, to: u64, needed: u64) -> Result<(), WriteError> {
        let zeros = vec![0; usize::try_from(to - from).unwrap_or_default()];
        match vfs::write_counted(self.current.file(), &zeros, from) {
            Ok(()) => self.current.grown(to, to),
            Err((taken, error)) => {
                // On a disk that is nearly full this has taken what was left.
                let filled = from + taken as u64;
                self.current.grown(filled, filled);
                if filled < needed {
                    return Err(WriteError::Refused(error));
                }
            }
        }
        Ok(())
    }

    /// Writes a group behind the last one.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; the log is then as before.
    ///
    /// # Durability
    ///
    /// Survives the end of the process; a loss of power only after [`Self::sync`].
    pub fn append(
        &mut self,
        group: &mut GroupBuilder,
        clocks: Clocks,
    ) -> Result<Placed, WriteError> {
        self.fits(group)?;
        self.grow(group.length(), Claim::Data)?;
        self.write(group, clocks).map_err(|torn| self.withdraw(torn))
    }

    /// Writes a group for which there is room. After a failure the next step is
    /// [`Self::withdraw`], once no sync is under way.
    pub(crate) fn write(
        &mut self,
        group: &mut GroupBuilder,
        clocks: Clocks,
    ) -> Result<Placed, Torn> {
        let lsn = self.written_lsn + 1;
        let uuid = self.current.header.uuid;
        let length = group.length();
        let bytes = group.seal(&uuid, lsn, self.durable_lsn, clocks.engine_ms);
        let position = self.position;
        let end = position + bytes.len() as u64;
        let written = vfs::write_counted(self.current.file(), bytes, position);
        group.unseal(length);
        if let Err((taken, error)) = written {
            let untouched = taken == 0 && vfs::is_forbidden(&error);
            return Err(Torn { error, untouched });
        }
        self.current.grown(end, end);
        self.position = end;
        self.written_lsn = lsn;
        self.pool.groups.fetch_add(1, Ordering::Relaxed);
        if end > self.options.segment_bytes / 2 {
            self.pool.want();
        }
        Ok(Placed { segment: self.current.header.sequence, position, lsn })
    }

    /// Makes sure that a group of which only a part was written can never pass for a whole one,
    /// whatever stood there before and whatever is written there next: its header goes, durably,
    /// since a loss of power may bring an older version of a sector back.
    pub(crate) fn withdraw(&mut self, torn: Torn) -> WriteError {
        let Torn { error, untouched } = torn;
        let (file, position) = (self.current.file(), self.position);
        if untouched || file.length().is_ok_and(|length| length <= position) {
            return WriteError::Refused(error);
        }
        let zeros = [0; crate::group::HEADER_BYTES];
        match vfs::write_all(file, &zeros, position).and_then(|()| file.fdatasync()) {
            Ok(()) => {
                self.durable_lsn = self.written_lsn;
                WriteError::Refused(error)
            }
            Err(error) => {
                self.poisoned = true;
                tracing::error!(%error, "a part of a group could not be withdrawn");
                WriteError::Poisoned
            }
        }
    }

    /// Makes every group written so far durable.
    ///
    /// # Errors
    ///
    /// [`WriteError::Poisoned`], for good.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        if self.poisoned {
            return Err(WriteError::Poisoned);
        }
        if self.durable_lsn == self.written_lsn {
            return Ok(());
        }
        let job = self.sync_job();
        self.synced(job.lsn, job.file.fdatasync())
    }

    /// The sync that makes every group written so far durable; its result goes to [`Self::synced`].
    pub(crate) fn sync_job(&self) -> SyncJob {
        SyncJob { file: self.current.share_file(), lsn: self.written_lsn }
    }

    /// Takes note of what a sync has returned.
    pub(crate) fn synced(&mut self, lsn: u64, result: io::Result<()>) -> Result<(), WriteError> {
        if let Err(error) = result {
            self.poisoned = true;
            tracing::error!(%error, "a sync of the journal has failed");
        }
        if self.poisoned {
            return Err(WriteError::Poisoned);
        }
        self.durable_lsn = self.durable_lsn.max(lsn);
        Ok(())
    }

    /// Starts the next segment, after which the segments below `oldest` are released.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; unless poisoned, the current segment goes on.
    pub fn roll(&mut self, oldest: u64, clocks: Clocks, claim: Claim) -> Result<(), WriteError> {
        self.sync()?;
        let previous = self.current.header;
        let oldest = oldest.clamp(previous.oldest, previous.sequence + 1);
        let header = SegmentHeader {
            uuid: self.uuids.uuid(),
            sequence: previous.sequence + 1,
            previous_uuid: previous.uuid,
            previous_end: self.position,
            first_lsn: self.written_lsn + 1,
            durable_lsn: self.durable_lsn,
            clock_ms: clocks.engine_ms,
            wall_ms: clocks.wall_ms,
            oldest,
        };
        match next_segment(self.vfs.as_ref(), &self.pool, (header, &[]), claim) {
            Ok(segment) => self.switch_to(segment),
            Err(error) => return Err(self.failed_roll(&header, error)),
        }
        self.release(oldest);
        Ok(())
    }

    /// A segment may exist under its final name although its creation failed: then the old one
    /// must not go on, because the new one says where it ends.
    fn failed_roll(&mut self, header: &SegmentHeader, error: io::Error) -> WriteError {
        let absent = self.vfs.open(&segment::name(header.sequence));
        let absent = absent.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        // Without its folder the log can only lose what it is given.
        let gone = error.kind() == io::ErrorKind::NotFound;
        if absent && !gone {
            return WriteError::Refused(error);
        }
        self.poisoned = true;
        tracing::error!(%error, gone, "a segment could not be finished");
        WriteError::Poisoned
    }

    fn switch_to(&mut self, segment: Arc<Segment>) {
        self.segments.insert(segment.clone());
        self.current = segment;
        self.position = FIRST_GROUP;
    }

    /// Lets the segments below `oldest` go: readers find them no more, their files return to the
    /// pool or to the disk.
    ///
    /// The caller has made sure that no start asks for them: the current segment's header names
    /// `oldest`, or whatever passes [`Start::oldest`](crate::recovery::Start::oldest) does so
    /// durably. Returns whether there were any.
    pub fn release(&mut self, oldest: u64) -> bool {
        let oldest = oldest.min(self.segment());
        if oldest <= self.oldest {
            return false;
        }
        self.oldest = oldest;
        let released = self.segments.remove_below(oldest);
        let any = !released.is_empty();
        self.pool.release(released);
        any
    }
}

/// The next segment, with `groups` in it: a free file if one is ready, else one made here.
///
/// Want of space opens the last of the pool: all of it to groups without data, and files that are
/// not filled yet to the others.
pub(crate) fn next_segment(
    vfs: &dyn Vfs,
    pool: &Pool,
    (header, groups): (SegmentHeader, &[u8]),
    claim: Claim,
) -> io::Result<Arc<Segment>> {
    if let Some(free) = pool.take(Claim::Data, false) {
        match adopt(vfs, pool, free, (header, groups)) {
            // Somebody has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
    }
    let error = match segment::create(vfs, header, groups) {
        Ok(segment) => return Ok(segment),
        Err(error) => error,
    };
    let named = vfs.open(&segment::name(header.sequence));
    if named.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        && let Some(free) = pool.take(claim, true)
    {
        return adopt(vfs, pool, free, (header, groups));
    }
    Err(error)
}

fn adopt(
    vfs: &dyn Vfs,
    pool: &Pool,
    free: Free,
    (header, groups): (SegmentHeader, &[u8]),
) -> io::Result<Arc<Segment>> {
    let end = FIRST_GROUP + groups.len() as u64;
    if let Err(error) = segment::begin(free.file.as_ref(), &header, groups) {
        if vfs::is_forbidden(&error) {
            pool.give_back(free);
        } else {
            // Its pages may count as clean although they are not on the disk.
            pool.discard(free);
        }
        return Err(error);
    }
    match segment::adopt(vfs, &free.name, header.sequence) {
        Ok(()) => {
            let (length, filled) = (free.length.max(end), free.filled.max(end));
            Ok(Arc::new(Segment::new(header, free.file, (length, filled))))
        }
        Err(error) => Err(error),
    }
}
