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

use storage::memory::image::Payload;
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
    /// Rows still to be written again; `None` once they are.
    rows: Option<Vec<RowKey>>,
    position: u64,
    lsn: u64,
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
        let allowed = 2 * state.live_total() + SLACK_SEGMENTS * wal.options().segment_bytes;
        let many = self.ends.range(segment..).count() > SEGMENTS_MAX;
        let wanted = state.live(home) == 0
            || kept + wal.position() > allowed
            || (many && kept < SEGMENTS_MAX as u64 * wal.options().segment_bytes / 2);
        if !wanted {
            return;
        }
        let Some(found) = wal.segments().get(segment) else { return };
        self.work = Some(Work {
            segment,
            rows: Some(state.rows_up_to(home)),
            position: FIRST_GROUP,
            lsn: found.header.first_lsn,
        });
    }

    /// The next entries to be written again, before anything else in the group.
    ///
    /// The work counts as done when the commit that takes them is; a commit that is refused is
    /// made up for by starting over.
    pub(crate) fn step(&mut self, wal: &Wal, view: &View) -> Vec<Step> {
        let Some(mut work) = self.work.take() else { return Vec::new() };
        let steps = match work.rows.take() {
            Some(mut rows) if !rows.is_empty() => {
                let steps = rows_step(&mut rows, work.segment, view);
                work.rows = Some(rows);
                steps
            }
            Some(_) | None => match self.data_step(&mut work, wal, view) {
                Ok(Some(steps)) => steps,
                Ok(None) => {
                    self.oldest = work.segment + 1;
                    return Vec::new();
                }
                Err(reason) => {
                    tracing::error!(reason, segment = work.segment, "a segment cannot be cleaned");
                    self.failed = true;
                    return Vec::new();
                }
            },
        };
        self.work = Some(work);
        steps
    }

    /// The commit that took the last step was refused.
    pub(crate) fn start_over(&mut self) {
        self.work = None;
    }

    /// `None` at the end of the segment.
    fn data_step(
        &self,
        work: &mut Work,
        wal: &Wal,
        view: &View,
    ) -> Result<Option<Vec<Step>>, String> {
        let end = self.ends.get(&work.segment).copied().unwrap_or_default();
        let home = u32::try_from(work.segment).unwrap_or(u32::MAX);
        if work.position >= end || view.state().live(home) == 0 {
            return Ok(None);
        }
        let segment = wal.segments().get(work.segment).ok_or("it is gone")?;
        let mut steps = Vec::new();
        let mut bytes = 0;
        while work.position < end && bytes < STEP_BYTES {
            let (frames, next) = recovery::frames_at(&segment, work.position, work.lsn)?;
            for frame in frames.iter().filter(|frame| frame.kind == FrameKind::Data) {
                let at = u32::try_from(work.position + frame.at as u64).unwrap_or(u32::MAX);
                if let Some(step) = moved(frame, (home, at), view)? {
                    bytes += frame.length;
                    steps.push(step);
                }
            }
            work.position = next;
            work.lsn += 1;
        }
        Ok(Some(steps))
    }

    /// Whether a roll would free something worth it.
    pub(crate) fn wants_roll(&self, wal: &Wal) -> bool {
        let freed: u64 = self.ends.range(..self.oldest).map(|(_, end)| end).sum();
        freed > 0 && wal.position() > wal.options().segment_bytes / 8
            || freed > SLACK_SEGMENTS * wal.options().segment_bytes
            || self.ends.range(..self.oldest).count() > SEGMENTS_MAX / 2
    }
}

fn rows_step(rows: &mut Vec<RowKey>, segment: u64, view: &View) -> Vec<Step> {
    let home = u32::try_from(segment).unwrap_or(u32::MAX);
    let state = view.state();
    // Logs stand first and must be written first.
    let count = rows.len().min(STEP_ROWS);
    let taken = rows.drain(..count);
    taken.filter_map(|key| state.image(&key, home)).map(Step::Image).collect()
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
