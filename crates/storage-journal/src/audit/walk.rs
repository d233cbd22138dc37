//! The chain of segments, group by group, past what is damaged.
//!
//! The rules are those of [`recovery`](crate::recovery); where a start stops at the first damaged
//! place, this goes on behind it, so that one look tells everything.

use std::sync::Arc;

use super::{Damage, Part};
use crate::frame::Frame;
use crate::group::{ALIGN, GroupHeader};
use crate::manifest::Content;
use crate::recovery::{self, At, OpenError, RecoveredGroup};
use crate::segment::{self, FIRST_GROUP, Segment, SegmentHeader};
use crate::vfs::{self, Vfs};
use crate::wal::Segments;

/// A segment of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Its file.
    pub file: String,
    /// Its number.
    pub sequence: u64,
    /// Number of its first group.
    pub first_lsn: u64,
    /// Valid groups.
    pub groups: u64,
    /// Where they end.
    pub end: u64,
    /// Length of the file.
    pub file_bytes: u64,
    /// Engine clock when it was begun.
    pub clock_ms: i64,
    /// Wall clock when it was begun.
    pub wall_ms: i64,
}

/// What was found on the way through the chain.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) segments: Vec<SegmentSummary>,
    /// The files of the chain, for readers.
    pub(super) open: Segments,
    /// Every group up to this one was durable: D.
    pub(super) durable_lsn: u64,
    /// The last group that a start would keep.
    pub(super) last_lsn: u64,
    /// Engine clock of the last group.
    pub(super) clock_ms: i64,
    pub(super) damages: Vec<Damage>,
    /// Segments that no start needs.
    pub(super) leftovers: Vec<String>,
}

/// What the manifest knows of the chain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// Segments below this are not needed.
    pub(super) oldest: u64,
    /// Groups up to this one were durable.
    pub(super) lsn: u64,
    /// The manifest cannot be read: nobody knows which segment is the oldest.
    pub(super) lost: bool,
}

impl Known {
    /// What a manifest tells; `Ok(None)` where there is none yet.
    pub(super) fn of<E>(manifest: &Result<Option<Content>, E>) -> Self {
        match manifest {
            Ok(None) => Self::default(),
            Ok(Some(content)) => Self { oldest: content.wal_oldest, lsn: content.lsn, lost: false },
            Err(_) => Self { lost: true, ..Self::default() },
        }
    }
}

/// What is asked for the groups that a start would replay, in order, up to the first damage; a text
/// says what makes no sense in one of them.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&RecoveredGroup) -> Result<(), String>;

/// A place at which no valid group stands.
struct Gap {
    position: u64,
    lsn: u64,
    reason: String,
}

/// Walks the chain of a folder that has these files.
pub(super) fn walk(vfs: &dyn Vfs, names: &[String], known: Known, visit: Visit<'_>) -> Walked {
    let mut walked = Walked { durable_lsn: known.lsn, ..Walked::default() };
    let chain = find(vfs, names, known, &mut walked);
    for segment in &chain {
        walked.open.insert(segment.clone());
        walked.durable_lsn = walked.durable_lsn.max(segment.header.durable_lsn);
        walked.clock_ms = walked.clock_ms.max(segment.header.clock_ms);
    }
    let mut sound = walked.damages.iter().all(|damage| damage.part == Part::HeaderCopy);
    let nexts = chain.iter().skip(1).map(|next| Some(next.header)).chain([None]);
    for (segment, next) in chain.iter().zip(nexts) {
        let gaps = walk_segment(segment, next.as_ref(), (&mut walked, &mut sound), visit);
        note_gaps(segment, next.is_none(), gaps, &mut walked);
    }
    if chain.is_empty() && known.oldest > 0 {
        let reason = "the segment is missing; the manifest names it";
        walked.damages.push(missing(known.oldest, reason));
    }
    walked
}

/// The segments of the chain that can be told, with their links checked.
fn find(vfs: &dyn Vfs, names: &[String], known: Known, walked: &mut Walked) -> Vec<Arc<Segment>> {
    let mut found: Vec<(Arc<Segment>, &String)> = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".seg")) {
        let mut damages = Vec::new();
        match open(vfs, name, &mut damages) {
            Some(segment) => found.push((segment, name)),
            // Let go of durably: a start does not look at what stands in it either.
            None if segment::named(name).is_some_and(|sequence| sequence < known.oldest) => {
                walked.leftovers.push(name.clone());
                continue;
            }
            None => {}
        }
        walked.damages.append(&mut damages);
    }
    found.sort_by_key(|(segment, _)| segment.header.sequence);
    let newest = found.last().map(|(segment, _)| segment.header);
    let mut oldest = newest.map_or(0, |header| header.oldest).max(known.oldest);
    if known.lost {
        oldest = oldest.max(found.first().map_or(0, |(segment, _)| segment.header.sequence));
    }
    let mut chain: Vec<Arc<Segment>> = Vec::new();
    for (segment, name) in found {
        let header = segment.header;
        if header.sequence < oldest {
            walked.leftovers.push(name.clone());
            continue;
        }
        let expected = chain.last().map_or(oldest, |previous| previous.header.sequence + 1);
        let link = chain.last().map(|previous| previous.header.uuid);
        if header.sequence != expected {
            walked.damages.push(missing(expected, "the segment is missing"));
        } else if link.is_some_and(|uuid| uuid != header.previous_uuid) {
            let reason = "it does not follow the segment before it".to_owned();
            walked.damages.push(Damage {
                file: name.clone(),
                position: 0,
                reason,
                part: Part::Log,
            });
        }
        chain.push(segment);
    }
    chain
}

fn missing(sequence: u64, reason: &str) -> Damage {
    let (file, reason) = (segment::name(sequence), reason.to_owned());
    Damage { file, position: 0, reason, part: Part::Log }
}

/// Opens a segment if one copy of its header is good.
fn open(vfs: &dyn Vfs, name: &str, damages: &mut Vec<Damage>) -> Option<Arc<Segment>> {
    let damage = |position, reason, part| Damage { file: name.to_owned(), position, reason, part };
    let mut bytes = vec![0; FIRST_GROUP as usize];
    let read = vfs.open(name).and_then(|file| {
        let read = vfs::read_full(file.as_ref(), &mut bytes, 0)?;
        Ok((file.length()?, read, file))
    });
    let (length, read, file) = match read {
        Ok(read) => read,
        Err(error) => {
            damages.push(damage(0, format!("cannot be read: {error}"), Part::Log));
            return None;
        }
    };
    bytes.truncate(read);
    match SegmentHeader::decode(&bytes) {
        Ok(header) => {
            for at in SegmentHeader::bad_copies(&bytes) {
                let reason = "this copy of the segment's header is damaged".to_owned();
                damages.push(damage(at, reason, Part::HeaderCopy));
            }
            Some(Arc::new(Segment::new(header, file, (length, length))))
        }
        Err(bad) => {
            damages.push(damage(0, bad.to_string(), Part::Log));
            None
        }
    }
}

/// Walks the groups of one segment; returns the places without one.
fn walk_segment(
    segment: &Segment,
    next: Option<&SegmentHeader>,
    (walked, sound): (&mut Walked, &mut bool),
    visit: Visit<'_>,
) -> Vec<Gap> {
    let end = next.map_or(u64::MAX, |next| next.previous_end.max(FIRST_GROUP));
    let mut gaps = Vec::new();
    let (mut position, mut lsn, mut groups) = (FIRST_GROUP, segment.header.first_lsn, 0);
    let mut valid_end = position;
    while position < end {
        match group_at(segment, position, lsn) {
            Ok((header, frames)) => {
                walked.durable_lsn = walked.durable_lsn.max(header.durable_lsn);
                // Behind a gap there is nothing that a start would take.
                if gaps.is_empty() {
                    walked.last_lsn = lsn;
                    walked.clock_ms = walked.clock_ms.max(header.clock_ms);
                    if *sound {
                        *sound = show(segment, (position, lsn), (header, frames), walked, visit);
                    }
                }
                position += header.padded();
                lsn += 1;
                groups += 1;
                valid_end = position;
            }
            Err(reason) => {
                gaps.push(Gap { position, lsn, reason });
                match next_group(segment, position + ALIGN, (lsn, end)) {
                    Some(found) => (position, lsn) = found,
                    None => break,
                }
            }
        }
    }
    if let Some(next) = next
        && gaps.is_empty()
        && (position != end || lsn != next.first_lsn)
    {
        let reason = "the segment does not end where its successor begins".to_owned();
        gaps.push(Gap { position, lsn, reason });
    }
    // In a segment that another one follows every gap is damage.
    *sound = *sound && (next.is_none() || gaps.is_empty());
    walked.segments.push(SegmentSummary {
        file: segment::name(segment.header.sequence),
        sequence: segment.header.sequence,
        first_lsn: segment.header.first_lsn,
        groups,
        end: valid_end,
        file_bytes: segment.length(),
        clock_ms: segment.header.clock_ms,
        wall_ms: segment.header.wall_ms,
    });
    gaps
}

fn group_at(
    segment: &Segment,
    position: u64,
    lsn: u64,
) -> Result<(GroupHeader, Vec<Frame>), String> {
    match recovery::read_group(segment, position, lsn) {
        Ok(At::Group(header, frames, _)) => Ok((header, frames)),
        Ok(At::Invalid(reason)) => Err(reason),
        Err(OpenError::Io { source, .. }) => Err(format!("cannot be read: {source}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Shows a group to the visitor; false when it makes no sense.
fn show(
    segment: &Segment,
    (position, lsn): (u64, u64),
    (header, frames): (GroupHeader, Vec<Frame>),
    walked: &mut Walked,
    visit: Visit<'_>,
) -> bool {
    let sequence = segment.header.sequence;
    let clock_ms = header.clock_ms;
    let group = RecoveredGroup { lsn, clock_ms, segment: sequence, position, frames };
    let Err(reason) = visit(&group) else { return true };
    let reason = format!("group {lsn} makes no sense: {reason}");
    let file = segment::name(sequence);
    walked.damages.push(Damage { file, position, reason, part: Part::Log });
    false
}

/// The next valid group header of the segment with a higher number.
fn next_group(segment: &Segment, mut position: u64, (lsn, end): (u64, u64)) -> Option<(u64, u64)> {
    let end = end.min(segment.length());
    while position < end {
        if let Ok(Some(header)) = recovery::probe(segment, position)
            && header.lsn > lsn
        {
            return Some((position, header.lsn));
        }
        position += ALIGN;
    }
    None
}

/// Tells damage from a torn tail: in the newest segment only what was proven can be damaged.
fn note_gaps(segment: &Segment, newest: bool, gaps: Vec<Gap>, walked: &mut Walked) {
    let durable = walked.durable_lsn;
    for Gap { position, lsn, reason } in gaps {
        if !newest || lsn <= durable {
            let reason = format!("group {lsn}, durable up to {durable}: {reason}");
            let file = segment::name(segment.header.sequence);
            walked.damages.push(Damage { file, position, reason, part: Part::Log });
        }
    }
}
