//! Reclaiming the oldest segments.
//!
//! A segment goes once nothing in it is alive. When dead segments are kept by a few live entries
//! in an older one, the cleaner copies those to the end of the log, a step with each commit:
//!
//! ```text
//! Rows   rows whose newest image is in the segment (or in an older one) are written again
//! Data   then its live batches, with the references and deletions that they have by now
//! done   the next segment's header says that everything below is not needed
//! ```
//!
//! Rows come first, so that a replay knows who holds a batch before it meets the copy.

use std::collections::BTreeMap;

use bytes::Bytes;
use storage::memory::image::{Image, Payload};
use storage::memory::plan::Step;
use storage::memory::state::RowKey;

use crate::entry;
use crate::frame::{Frame, FrameKind};
use crate::recovery;
use crate::segment::FIRST_GROUP;
use crate::view::View;
use crate::wal::Wal;

/// What one step may add to a commit, about.
const STEP_BYTES: usize = 512 << 10;
/// Rows that one step looks at.
const STEP_ROWS: usize = 2_000;
/// Segments beyond twice the live bytes that are left alone.
const SLACK_SEGMENTS: u64 = 4;
/// Segments that may be there however small they are.
const SEGMENTS_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Cleaner {
    /// Where each closed segment ends.
    ends: BTreeMap<u64, u64>,
    /// Segments below are not needed, as soon as a header says so.
    oldest: u64,
    work: Option<Work>,
    /// Reading a segment has failed: nothing is reclaimed any more.
    failed: bool,
}

#[derive(Debug)]
struct Work {
    segment: u64,
    /// Rows still to be written again.
    rows: std::vec::IntoIter<RowKey>,
    position: u64,
    lsn: u64,
    /// What one step may add: more when space runs away.
    step_bytes: usize,
    /// Everything was handed out; true once the commit that takes the last of it is.
    finished: bool,
}

impl Cleaner {
    pub(crate) fn new(wal: &Wal) -> Self {
        let mut ends = BTreeMap::new();
        let segments = wal.segments();
        let (first, last) = segments.range().unwrap_or_default();
        for sequence in first..last {
            if let Some(next) = segments.get(sequence + 1) {
                ends.insert(sequence, next.header.previous_end);
            }
        }
        Self { ends, oldest: first, work: None, failed: false }
    }

    /// Segments below this one are not needed.
    pub(crate) fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Bytes of all segments.
    pub(crate) fn disk_bytes(&self, wal: &Wal) -> u64 {
        self.ends.values().sum::<u64>() + wal.position()
    }

    /// The current segment ends here.
    pub(crate) fn close(&mut self, wal: &Wal) {
        self.ends.insert(wal.segment(), wal.position());
        self.ends = self.ends.split_off(&self.oldest);
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.work.is_some()
    }

    /// Picks the oldest segment, if it is dead or holds too many dead ones.
    pub(crate) fn choose(&mut self, wal: &Wal, view: &View) {
        if self.work.is_some() || self.failed {
            return;
        }
        let Some((segment, _)) = self.ends.range(self.oldest..).next() else { return };
        let segment = *segment;
        let kept: u64 = self.ends.range(segment..).map(|(_, end)| end).sum();
        let state = view.state();
        let home = u32::try_from(segment).unwrap_or(u32::MAX);
        let used = kept + wal.position();
        let allowed = 2 * state.live_total() + SLACK_SEGMENTS * wal.options().segment_bytes;
        let count = self.ends.range(segment..).count();
        let many = count > SEGMENTS_MAX && kept / (count as u64) < wal.options().segment_bytes / 2;
        if state.live(home) > 0 && used <= allowed && !many {
            return;
        }
        let Some(found) = wal.segments().get(segment) else { return };
        self.work = Some(Work {
            segment,
            rows: state.rows_up_to(home).into_iter(),
            position: FIRST_GROUP,
            lsn: found.header.first_lsn,
            step_bytes: if used > allowed + allowed / 2 { 8 * STEP_BYTES } else { STEP_BYTES },
            finished: false,
        });
    }

    /// The next entries to be written again, before anything else in the group.
    ///
    /// They count once the commit that takes them is done, see [`Self::committed`].
    pub(crate) fn step(&mut self, wal: &Wal, view: &View) -> Vec<Step> {
        let Some(work) = &mut self.work else { return Vec::new() };
        let mut steps = rows_step(work, view);
        if steps.len() < STEP_ROWS && work.rows.len() == 0 {
            let end = self.ends.get(&work.segment).copied().unwrap_or_default();
            if let Err(reason) = data_step(work, end, (wal, view), &mut steps) {
                tracing::error!(reason, segment = work.segment, "a segment cannot be cleaned");
                self.failed = true;
                self.work = None;
                return Vec::new();
            }
        }
        steps
    }

    /// The commit that took the last step is done.
    pub(crate) fn committed(&mut self) {
        if let Some(work) = self.work.take_if(|work| work.finished) {
            self.oldest = work.segment + 1;
        }
    }

    /// The commit that took the last step was refused.
    pub(crate) fn start_over(&mut self) {
        self.work = None;
    }

    /// Whether a roll would free something worth it.
    pub(crate) fn wants_roll(&self, wal: &Wal) -> bool {
        let freed: u64 = self.ends.range(..self.oldest).map(|(_, end)| end).sum();
        freed > 0 && wal.position() > wal.options().segment_bytes / 8
            || freed > SLACK_SEGMENTS * wal.options().segment_bytes
            || self.ends.range(..self.oldest).count() > SEGMENTS_MAX / 2
    }
}

fn rows_step(work: &mut Work, view: &View) -> Vec<Step> {
    let home = u32::try_from(work.segment).unwrap_or(u32::MAX);
    let state = view.state();
    let mut steps = Vec::new();
    let mut bytes = 0;
    for key in work.rows.by_ref() {
        if let Some(image) = state.image(&key, home) {
            bytes += match &image {
                Image::Row { key, value, .. } => key.len() + value.as_ref().map_or(0, Bytes::len),
                Image::Log(_)
                | Image::Batch(_)
                | Image::Delete { .. }
                | Image::Cursor { .. }
                | Image::Settle { .. }
                | Image::Producer { .. } => 100,
            };
            steps.push(Step::Image(image));
        }
        if bytes >= work.step_bytes || steps.len() >= STEP_ROWS {
            break;
        }
    }
    steps
}

fn data_step(
    work: &mut Work,
    end: u64,
    (wal, view): (&Wal, &View),
    steps: &mut Vec<Step>,
) -> Result<(), String> {
    let home = u32::try_from(work.segment).unwrap_or(u32::MAX);
    let segment = wal.segments().get(work.segment).ok_or("it is gone")?;
    let mut bytes = 0;
    let mut scanned = 0;
    // Rows of the segment count as live until they are written: there may be no batches at all.
    let nothing_left = view.state().live(home) == 0;
    while !nothing_left && work.position < end {
        if bytes >= work.step_bytes || scanned >= 8 * work.step_bytes as u64 {
            return Ok(());
        }
        let (frames, next) = recovery::frames_at(&segment, work.position, work.lsn)?;
        for frame in frames.iter().filter(|frame| frame.kind == FrameKind::Data) {
            let at = u32::try_from(work.position + frame.at as u64).unwrap_or(u32::MAX);
            if let Some(step) = moved(frame, (home, at), view)? {
                bytes += frame.length;
                steps.push(step);
            }
        }
        scanned += next - work.position;
        work.position = next;
        work.lsn += 1;
    }
    work.finished = true;
    Ok(())
}

/// The copy of a batch, if its newest place is this one.
fn moved(frame: &Frame, at: (u32, u32), view: &View) -> Result<Option<Step>, String> {
    let stored = entry::batch(frame).map_err(|error| error.to_string())?;
    let state = view.state();
    let Some(mut image) = state.batch_at(stored.log, stored.base, |spot| spot.is_at(at)) else {
        return Ok(None);
    };
    image.targets = stored.targets;
    image.targets.retain(|target| state.awaits(target.queue, target.place));
    let payload = entry::payload(frame).map_err(|error| error.to_string())?;
    let payload = Payload::Stored(payload);
    Ok(Some(Step::Batch { image, payload, epoch: 0, volatile: false }))
}
