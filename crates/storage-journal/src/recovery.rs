//! Recovery: what of the chain exists after a crash (storage rules 1 to 3).
//!
//! ```text
//!  oldest .. newest   linked by their headers; a missing or foreign link is corruption
//!  before the newest  every group must be valid up to the end that the next header names
//!  in the newest      the first invalid group decides: its lsn <= D is corruption, else it is the
//!                     torn tail, dropped with everything after it
//!  lsn <= D           proven: shown to the visitor where it stands
//!  lsn >  D           unproven: copied to a fresh segment and synced, then shown
//! ```
//!
//! Free files of the pool are no part of the chain, whatever stands in them.
//!
//! D is the highest durable lsn that any valid header or the checkpoint names. No existing segment
//! is ever appended to: the fresh one takes over, and its header says where its predecessor ends. A
//! crash at any point of this leaves the old chain in place, so recovery may run any number of
//! times.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::frame::Frame;
use crate::group::{self, ALIGN, BadGroup, GROUP_BYTES_MAX, GroupHeader};
use crate::pool::{Claim, Pool, Sizes};
use crate::random::Random;
use crate::segment::{self, BadHeader, FIRST_GROUP, Segment, SegmentHeader};
use crate::vfs::{self, Vfs};
use crate::wal::{self, Clocks, Segments, Wal, WalOptions};

/// A group of the recovered log.
#[derive(Debug)]
pub struct RecoveredGroup {
    /// Its number.
    pub lsn: u64,
    /// Engine clock when it was written.
    pub clock_ms: i64,
    /// Sequence of the segment that holds it now.
    pub segment: u64,
    /// Where it starts in that segment.
    pub position: u64,
    /// What it carries; [`Frame::at`] counts from `position`.
    pub frames: Vec<Frame>,
}

/// Why the log was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error("{what} failed")]
    Io {
        /// What was tried.
        what: String,
        /// What the disk said.
        source: io::Error,
    },
    /// What was durable is not there or not as written. Nothing was changed.
    #[error("the journal is damaged: segment {segment} at {position}: {reason}")]
    Corrupt {
        /// Sequence of the segment.
        segment: u64,
        /// Where in it.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// A header is not believed.
    #[error("the journal is damaged: {file}: {reason}")]
    Header {
        /// Name of the file.
        file: String,
        /// What is wrong.
        reason: BadHeader,
    },
    /// The contents make no sense to the visitor.
    #[error("the journal cannot be replayed: group {lsn}: {reason}")]
    Replay {
        /// Number of the group.
        lsn: u64,
        /// What is wrong.
        reason: String,
    },
}

/// What is asked for every group, in order; a text refuses the log.
pub type Visit<'a> = &'a mut dyn FnMut(RecoveredGroup) -> Result<(), String>;

/// The parts that a start needs beside the disk.
#[derive(Clone, Debug)]
pub struct Start {
    /// Sizes; a small disk makes them smaller.
    pub options: WalOptions,
    /// Source of segment identities; never the same one in two starts.
    pub uuids: Random,
    /// Wall clock now.
    pub wall_ms: i64,
    /// Segments below this sequence are not needed, whatever the headers say; 0 when only they
    /// know.
    pub oldest: u64,
    /// The last group that a checkpoint holds, and so proves durable; 0 without one.
    pub proven: u64,
}

/// How much of a segment is looked at in one go.
const CHUNK_BYTES: usize = 1 << 20;
/// Downtime that the engine clock believes (storage rule 16).
const DOWNTIME_MS_MAX: i64 = 30 * 24 * 3600 * 1000;

/// Opens the log: decides what exists, shows it to `visit`, and starts a fresh segment.
///
/// Returns the log and the clocks as of now.
///
/// # Errors
///
/// [`OpenError`]; the existing segments are unchanged then.
pub fn open(vfs: Arc<dyn Vfs>, start: Start, visit: Visit<'_>) -> Result<(Wal, Clocks), OpenError> {
    let Start { options, mut uuids, wall_ms, oldest, proven } = start;
    let space = vfs.space();
    let options = space.map_or(options, |space| options.on_disk_of(space.total));
    let mut chain = Chain::find(vfs.as_ref(), (oldest, proven))?;
    let sizes = Sizes {
        file_bytes: options.segment_bytes,
        spare: options.spare_segments,
        rewrites: space.is_none_or(|space| space.rewrites),
    };
    let (pool, useless) = Pool::open(vfs.clone(), sizes, std::mem::take(&mut chain.free));
    let pool = Arc::new(pool);
    chain.leftovers.extend(useless);
    let Some(newest) = chain.segments.last().cloned() else {
        let clocks = Clocks { engine_ms: wall_ms, wall_ms };
        let header = first_header(uuids.uuid(), clocks);
        let current = create((vfs.as_ref(), &pool), header, &[])?;
        let parts = (vfs, pool, options, uuids);
        return Ok((wal(parts, &[], current, (FIRST_GROUP, 0)), clocks));
    };

    let mut clock_ms = newest.header.clock_ms;
    for (segment, next) in chain.segments.iter().zip(chain.segments.iter().skip(1)) {
        replay_closed(segment, &next.header, visit)?;
    }
    let tail = Tail::scan(&newest, chain.durable_lsn)?;
    replay_proven(&newest, tail.proven_end, &mut clock_ms, visit)?;

    let last_lsn = tail.proven_lsn + tail.unproven.len() as u64;
    clock_ms = tail.unproven.iter().fold(clock_ms, |clock, group| clock.max(group.0.clock_ms));
    let downtime = wall_ms.saturating_sub(newest.header.wall_ms);
    let since_header = clock_ms.saturating_sub(newest.header.clock_ms);
    let downtime = downtime.saturating_sub(since_header).clamp(0, DOWNTIME_MS_MAX);
    let clocks = Clocks { engine_ms: clock_ms.saturating_add(downtime), wall_ms };

    let header = SegmentHeader {
        uuid: uuids.uuid(),
        sequence: newest.header.sequence + 1,
        previous_uuid: newest.header.uuid,
        previous_end: tail.proven_end,
        first_lsn: tail.proven_lsn + 1,
        durable_lsn: last_lsn,
        clock_ms: clocks.engine_ms,
        wall_ms,
        oldest: newest.header.oldest.max(oldest),
    };
    let copied = Copied::build(&tail, &header)?;
    // The process that has ended may have created the newest segment without living to sync the
    // folder: its name must last before the name of its successor can.
    vfs.fsync_dir("")
        .map_err(|source| OpenError::Io { what: "syncing the data folder".into(), source })?;
    let current = create((vfs.as_ref(), &pool), header, &copied.bytes)?;
    for group in copied.groups {
        let lsn = group.lsn;
        visit(group).map_err(|reason| OpenError::Replay { lsn, reason })?;
    }
    for name in chain.leftovers {
        if let Err(error) = vfs.remove(&name)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, name, "an unneeded file could not be removed");
        }
    }
    cut(&chain.segments, &current);
    let end = FIRST_GROUP + copied.bytes.len() as u64;
    let parts = (vfs, pool, options, uuids);
    Ok((wal(parts, &chain.segments, current, (end, last_lsn)), clocks))
}

/// Gives the space behind the ends of closed segments back: what stands there does not exist.
fn cut(closed: &[Arc<Segment>], current: &Arc<Segment>) {
    let next = closed.iter().skip(1).chain([current]);
    for (segment, next) in closed.iter().zip(next) {
        let end = next.header.previous_end;
        if segment.length() > end
            && let Err(error) = segment.cut(end)
        {
            tracing::debug!(%error, "the space behind a segment's end could not be freed");
        }
    }
}

fn first_header(uuid: [u8; 16], clocks: Clocks) -> SegmentHeader {
    SegmentHeader {
        uuid,
        sequence: 1,
        previous_uuid: [0; 16],
        previous_end: 0,
        first_lsn: 1,
        durable_lsn: 0,
        clock_ms: clocks.engine_ms,
        wall_ms: clocks.wall_ms,
        oldest: 1,
    }
}

fn create(
    (vfs, pool): (&dyn Vfs, &Pool),
    header: SegmentHeader,
    groups: &[u8],
) -> Result<Arc<Segment>, OpenError> {
    // A start on a full disk takes the reserve: without a start nothing is ever freed.
    wal::next_segment(vfs, pool, (header, groups), Claim::Control)
        .map_err(|source| OpenError::Io { what: "creating a segment".into(), source })
}

fn wal(
    (vfs, pool, options, uuids): (Arc<dyn Vfs>, Arc<Pool>, WalOptions, Random),
    older: &[Arc<Segment>],
    current: Arc<Segment>,
    (position, lsn): (u64, u64),
) -> Wal {
    let segments = Segments::default();
    for segment in older {
        segments.insert(segment.clone());
    }
    segments.insert(current.clone());
    Wal {
        vfs,
        options,
        uuids,
        segments,
        pool,
        current,
        oldest: 0,
        position,
        written_lsn: lsn,
        durable_lsn: lsn,
        poisoned: false,
    }
}

/// The segments that the newest header calls needed, in order, with their links checked.
struct Chain {
    segments: Vec<Arc<Segment>>,
    durable_lsn: u64,
    leftovers: Vec<String>,
    /// Files of the pool.
    free: Vec<String>,
}

impl Chain {
    fn find(vfs: &dyn Vfs, (needed, proven): (u64, u64)) -> Result<Self, OpenError> {
        let names = vfs
            .list("")
            .map_err(|source| OpenError::Io { what: "listing the data folder".into(), source })?;
        let mut leftovers: Vec<_> =
            names.iter().filter(|name| name.ends_with(".new")).cloned().collect();
        let mut found = Vec::new();
        for name in names.iter().filter(|name| name.ends_with(".seg")) {
            match read_header(vfs, name) {
                Ok(segment) => found.push((segment, name)),
                // Let go of durably, and perhaps on its way back to the pool: what stands in it
                // means nothing.
                Err(OpenError::Header { .. })
                    if segment::named(name).is_some_and(|sequence| sequence < needed) =>
                {
                    leftovers.push(name.clone());
                }
                Err(error) => return Err(error),
            }
        }
        found.sort_by_key(|(segment, _)| segment.header.sequence);
        let newest = found.last().map(|(segment, _)| segment.header);
        if needed > newest.map_or(0, |header| header.sequence) || newest.is_none() && proven > 0 {
            let reason = "the newest segments are missing".into();
            return Err(OpenError::Corrupt { segment: needed, position: 0, reason });
        }
        let oldest = newest.map_or(0, |header| header.oldest).max(needed);
        let mut segments: Vec<Arc<Segment>> = Vec::new();
        for (segment, name) in found {
            if segment.header.sequence < oldest {
                leftovers.push(name.clone());
                continue;
            }
            let header = &segment.header;
            let linked = match segments.last().map(|previous| &previous.header) {
                None => header.sequence == oldest,
                Some(previous) => {
                    header.sequence == previous.sequence + 1
                        && header.previous_uuid == previous.uuid
                }
            };
            if !linked {
                return Err(OpenError::Corrupt {
                    segment: header.sequence,
                    position: 0,
                    reason: format!("the segment before {name} is missing"),
                });
            }
            segments.push(segment);
        }
        let durable_lsn = segments.iter().map(|segment| segment.header.durable_lsn).max();
        let durable_lsn = durable_lsn.unwrap_or_default().max(proven);
        let free = names.into_iter().filter(|name| name.ends_with(".free")).collect();
        Ok(Self { segments, durable_lsn, leftovers, free })
    }
}

fn read_header(vfs: &dyn Vfs, name: &str) -> Result<Arc<Segment>, OpenError> {
    let io = |source| OpenError::Io { what: format!("reading {name}"), source };
    let file = vfs.open(name).map_err(io)?;
    let mut bytes = vec![0; FIRST_GROUP as usize];
    let read = vfs::read_full(file.as_ref(), &mut bytes, 0).map_err(io)?;
    bytes.truncate(read);
    let header = SegmentHeader::decode(&bytes)
        .map_err(|reason| OpenError::Header { file: name.into(), reason })?;
    let length = file.length().map_err(io)?;
    Ok(Arc::new(Segment::new(header, file, (length, length))))
}

/// What stands at a position of a segment.
pub(crate) enum At {
    Group(GroupHeader, Vec<Frame>, Bytes),
    Invalid(String),
}

/// The group that should stand at a position.
pub(crate) fn read_group(segment: &Segment, position: u64, lsn: u64) -> Result<At, OpenError> {
    let Some(header) = probe(segment, position)? else {
        return Ok(At::Invalid("no valid group header".into()));
    };
    if header.lsn != lsn {
        return Ok(At::Invalid(format!("group {} stands where {lsn} belongs", header.lsn)));
    }
    let length = usize::try_from(header.padded()).unwrap_or(GROUP_BYTES_MAX);
    let mut bytes = vec![0; length];
    let read = vfs::read_full(segment.file(), &mut bytes, position).map_err(|e| io(segment, e))?;
    bytes.truncate(read);
    let bytes = Bytes::from(bytes);
    match group::decode_frames(&bytes, &header, &segment.header.uuid) {
        Ok(frames) => Ok(At::Group(header, frames, bytes)),
        Err(reason) => Ok(At::Invalid(reason.to_string())),
    }
}

/// The header of the group at a position, if there is one.
pub(crate) fn probe(segment: &Segment, position: u64) -> Result<Option<GroupHeader>, OpenError> {
    let mut head = [0; group::HEADER_BYTES];
    let read = vfs::read_full(segment.file(), &mut head, position).map_err(|e| io(segment, e))?;
    Ok(head.get(..read).and_then(|head| GroupHeader::decode(head, &segment.header.uuid)))
}

fn io(segment: &Segment, source: io::Error) -> OpenError {
    OpenError::Io { what: format!("reading {}", segment::name(segment.header.sequence)), source }
}

fn corrupt(segment: &Segment, position: u64, reason: impl Into<String>) -> OpenError {
    OpenError::Corrupt { segment: segment.header.sequence, position, reason: reason.into() }
}

/// Shows a segment that another one follows: all of it must be valid.
fn replay_closed(
    segment: &Segment,
    next: &SegmentHeader,
    visit: Visit<'_>,
) -> Result<(), OpenError> {
    let mut position = FIRST_GROUP;
    let mut lsn = segment.header.first_lsn;
    let mut clock_ms = i64::MIN;
    while position < next.previous_end {
        position = show(segment, position, lsn, &mut clock_ms, visit)?;
        lsn += 1;
    }
    if position != next.previous_end.max(FIRST_GROUP) || lsn != next.first_lsn {
        return Err(corrupt(segment, position, "it does not end where its successor begins"));
    }
    Ok(())
}

fn replay_proven(
    segment: &Segment,
    end: u64,
    clock_ms: &mut i64,
    visit: Visit<'_>,
) -> Result<(), OpenError> {
    let mut position = FIRST_GROUP;
    let mut lsn = segment.header.first_lsn;
    while position < end {
        position = show(segment, position, lsn, clock_ms, visit)?;
        lsn += 1;
    }
    Ok(())
}

/// Shows the one group at a position and returns where the next one starts.
fn show(
    segment: &Segment,
    position: u64,
    lsn: u64,
    clock_ms: &mut i64,
    visit: Visit<'_>,
) -> Result<u64, OpenError> {
    match read_group(segment, position, lsn)? {
        At::Invalid(reason) => Err(corrupt(segment, position, reason)),
        At::Group(header, frames, _) => {
            *clock_ms = header.clock_ms.max(*clock_ms);
            visit(RecoveredGroup {
                lsn,
                clock_ms: header.clock_ms,
                segment: segment.header.sequence,
                position,
                frames,
            })
            .map_err(|reason| OpenError::Replay { lsn, reason })?;
            Ok(position + header.padded())
        }
    }
}

/// The newest segment, divided into what is proven, what is not, and what does not exist.
struct Tail {
    proven_end: u64,
    proven_lsn: u64,
    unproven: Vec<(GroupHeader, Bytes)>,
    durable_lsn: u64,
}

impl Tail {
    fn scan(segment: &Segment, mut durable_lsn: u64) -> Result<Self, OpenError> {
        let first = segment.header.first_lsn;
        let mut position = FIRST_GROUP;
        let mut lsn = first;
        // Positions of the valid groups; the unproven ones are read again once D is known.
        let mut starts = Vec::new();
        let reason = loop {
            match read_group(segment, position, lsn)? {
                At::Invalid(reason) => break reason,
                At::Group(header, ..) => {
                    durable_lsn = durable_lsn.max(header.durable_lsn);
                    starts.push(position);
                    position += header.padded();
                    lsn += 1;
                }
            }
        };
        durable_lsn = durable_lsn.max(durable_beyond(segment, position)?);
        if lsn <= durable_lsn {
            let reason = format!("group {lsn} was durable up to {durable_lsn}: {reason}");
            return Err(corrupt(segment, position, reason));
        }
        let proven = usize::try_from(durable_lsn.saturating_sub(first - 1)).unwrap_or(usize::MAX);
        let proven = proven.min(starts.len());
        let proven_end = starts.get(proven).copied().unwrap_or(position);
        let mut unproven = Vec::new();
        for (start, lsn) in starts.iter().skip(proven).zip(first + proven as u64..) {
            match read_group(segment, *start, lsn)? {
                At::Group(header, _, bytes) => unproven.push((header, bytes)),
                At::Invalid(reason) => return Err(corrupt(segment, *start, reason)),
            }
        }
        Ok(Self { proven_end, proven_lsn: first - 1 + proven as u64, unproven, durable_lsn })
    }
}

/// The highest durable lsn that a header at or behind a position names.
fn durable_beyond(segment: &Segment, mut position: u64) -> Result<u64, OpenError> {
    let mut durable_lsn = 0;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = vfs::read_full(segment.file(), &mut chunk, position);
        let read = read.map_err(|error| io(segment, error))?;
        for at in chunk.get(..read).unwrap_or_default().chunks(ALIGN as usize) {
            if let Some(header) = GroupHeader::decode(at, &segment.header.uuid) {
                durable_lsn = durable_lsn.max(header.durable_lsn);
            }
        }
        if read < CHUNK_BYTES {
            return Ok(durable_lsn);
        }
        position += CHUNK_BYTES as u64;
    }
}

/// The unproven groups, as the fresh segment holds them.
struct Copied {
    bytes: Vec<u8>,
    groups: Vec<RecoveredGroup>,
}

impl Copied {
    fn build(tail: &Tail, fresh: &SegmentHeader) -> Result<Self, OpenError> {
        let mut copied = Self { bytes: Vec::new(), groups: Vec::new() };
        for (header, bytes) in &tail.unproven {
            let mut moved = bytes.to_vec();
            let sealed = group::reseal(&mut moved, header, &fresh.uuid, tail.durable_lsn);
            let sealed = sealed.map(|()| Bytes::from(moved));
            let replay = |reason: BadGroup| OpenError::Replay {
                lsn: header.lsn,
                reason: reason.to_string(),
            };
            let sealed = sealed.ok_or(BadGroup::Short).map_err(replay)?;
            let again = GroupHeader::decode(&sealed, &fresh.uuid).ok_or(BadGroup::Frames);
            let frames =
                again.and_then(|header| group::decode_frames(&sealed, &header, &fresh.uuid));
            copied.groups.push(RecoveredGroup {
                lsn: header.lsn,
                clock_ms: header.clock_ms,
                segment: fresh.sequence,
                position: FIRST_GROUP + copied.bytes.len() as u64,
                frames: frames.map_err(replay)?,
            });
            copied.bytes.extend_from_slice(&sealed);
        }
        Ok(copied)
    }
}
