//! Records removed by request: below an offset, by filter, or one by one.
//!
//! A prefix of a log is trimmed at once. Records in between are deleted a page at a time, each page
//! a write of its own, so that a purge of millions holds nobody up; it is answered when the last
//! page is durable, and what was done of it stays done if it fails in between.

use std::collections::VecDeque;
use std::ops::Range;

use model::filter::{Filter, Reach};
use protocol::{ConnId, OFFSETS_MAX, PurgeStream, Refusal, Reply, StreamPurged, Token, Which};
use storage::{Engine, LogId, Mode, Op, SubmitError};

use crate::completion::Step;
use crate::desk::Desk;
use crate::read::{Source, refusal_of_read};
use crate::stats::add;
use crate::turn::{Turn, refusal_of};

/// Records that one page deletes.
const PAGE: usize = 4_096;

/// A purge on its way.
#[derive(Debug)]
pub(crate) struct Purging {
    conn: ConnId,
    token: Option<Token>,
    source: Source,
    parts: VecDeque<Part>,
    removed: u64,
    failed: Option<SubmitError>,
}

/// What is left to do.
#[derive(Debug)]
enum Part {
    /// Matching records of a range of a log, so many of the first of them.
    Matching { log: LogId, filter: Filter, range: Range<u64>, left: u64 },
    /// Named records of a log.
    Offsets { log: LogId, offsets: Vec<u64> },
    /// All below an offset of a log.
    Below { log: LogId, first: u64 },
}

impl Desk {
    pub(crate) fn purge_stream(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        purge: PurgeStream,
    ) {
        let source = self.broker.lock().source_to_purge(&purge);
        let planned = source.and_then(|source| {
            let parts = plan(&*turn.shared.engine, &source, purge.which)?;
            Ok((source, parts))
        });
        match planned {
            Ok((source, parts)) => {
                let job = Purging { conn, token, source, parts, removed: 0, failed: None };
                self.go_on_purging(turn, job);
            }
            Err(refusal) => turn.refuse(conn, token, refusal),
        }
    }

    /// The next page, or the answer.
    pub(crate) fn go_on_purging(&mut self, turn: &mut Turn<'_>, mut job: Purging) {
        let (conn, token) = (job.conn, job.token);
        if let Some(error) = &job.failed {
            return turn.refuse(conn, token, refusal_of(error));
        }
        let engine = &*turn.shared.engine;
        let op = match job.next(engine) {
            Err(refusal) => return turn.refuse(conn, token, refusal),
            Ok(None) => {
                let first = job.source.bounds(engine).map_or(0, |(first, _)| first);
                let purged = StreamPurged { records: job.removed, first };
                return turn.reply(conn, token, Reply::StreamPurged(purged));
            }
            Ok(Some((op, records))) => {
                job.removed += records;
                add(&turn.shared.counters.purged, usize::try_from(records).unwrap_or(usize::MAX));
                op
            }
        };
        turn.shared.submit(vec![op], Mode::Durable, turn.worker, move |result| {
            job.failed = result.err();
            Step::Purge(Box::new(job))
        });
    }
}

impl crate::state::Core {
    /// Where records are removed; the system's own streams are left alone.
    fn source_to_purge(&self, purge: &PurgeStream) -> Result<Source, Refusal> {
        let internal = |found| match found {
            crate::streams::Found::Stream(stream) => stream.internal,
            crate::streams::Found::View(_) => false,
        };
        if self.find(&purge.stream).is_some_and(internal) {
            return Err(Refusal::Reserved);
        }
        self.source(&purge.stream, purge.partition).ok_or(Refusal::NotFound)
    }
}

impl Purging {
    /// The next operation and how many records it removes.
    fn next(&mut self, engine: &dyn Engine) -> Result<Option<(Op, u64)>, Refusal> {
        let failed = |error| refusal_of_read(&error);
        while let Some(part) = self.parts.pop_front() {
            match part {
                Part::Below { log, first } => {
                    let bounds = engine.bounds(log).ok_or(Refusal::NotFound)?;
                    if first <= bounds.first {
                        continue;
                    }
                    let kept =
                        engine.count(log, &Filter::everything(Reach::All), first..bounds.end);
                    let removed = bounds.records.saturating_sub(kept.map_err(failed)?);
                    return Ok(Some((Op::Trim { log, first }, removed)));
                }
                Part::Offsets { log, offsets } => {
                    let mut removed = 0;
                    for range in ranges(&offsets) {
                        let count = engine.count(log, &Filter::everything(Reach::All), range);
                        removed += count.map_err(failed)?;
                    }
                    if removed > 0 {
                        return Ok(Some((Op::Delete { log, ranges: ranges(&offsets) }, removed)));
                    }
                }
                Part::Matching { log, filter, range, left } => {
                    let page = usize::try_from(left).unwrap_or(usize::MAX).min(PAGE);
                    let found =
                        engine.offsets(log, &filter, range.clone(), page).map_err(failed)?;
                    let Some(last) = found.last() else { continue };
                    let removed = found.len() as u64;
                    let (range, left) = (last + 1..range.end, left.saturating_sub(removed));
                    if left > 0 && !range.is_empty() {
                        self.parts.push_front(Part::Matching { log, filter, range, left });
                    }
                    return Ok(Some((Op::Delete { log, ranges: ranges(&found) }, removed)));
                }
            }
        }
        Ok(None)
    }
}

/// What a purge of a partition does to its logs.
fn plan(engine: &dyn Engine, source: &Source, which: Which) -> Result<VecDeque<Part>, Refusal> {
    let (first, end) = source.bounds(engine).ok_or(Refusal::NotFound)?;
    let below = |below: Option<u64>| match below {
        None => Ok(end),
        Some(below) if below > end => Err(Refusal::OutOfRange),
        Some(below) => Ok(below),
    };
    match which {
        Which::Below(offset) => {
            let upto = below(offset)?;
            let all = Filter::everything(Reach::All);
            Ok(match source {
                Source::Log(log) => [Part::Below { log: *log, first: upto }].into(),
                Source::View { .. } => matching(engine, source, &all, first..upto, 0)?,
                Source::Promoted { log, until, .. } => {
                    let mut parts = matching(engine, source, &all, first..upto.min(*until), 0)?;
                    parts.push_back(Part::Below { log: *log, first: upto });
                    parts
                }
            })
        }
        Which::Matching { filter, below: offset, keep } => {
            let upto = below(offset)?;
            matching(engine, source, &filter, first..upto, keep)
        }
        Which::Offsets(offsets) if offsets.len() > OFFSETS_MAX => {
            Err(Refusal::Limit("records in one purge"))
        }
        Which::Offsets(mut offsets) => {
            offsets.sort_unstable();
            offsets.dedup();
            Ok(match source {
                Source::Log(log) => [Part::Offsets { log: *log, offsets }].into(),
                Source::View { log, subject } => {
                    let filter = Filter::literal(subject);
                    let is_his = |offset: &u64| {
                        engine.count(*log, &filter, *offset..offset.saturating_add(1)) == Ok(1)
                    };
                    offsets.retain(is_his);
                    [Part::Offsets { log: *log, offsets }].into()
                }
                Source::Promoted { log, old, until, subject } => {
                    let at = offsets.partition_point(|offset| offset < until);
                    let newer = offsets.split_off(at);
                    let filter = Filter::literal(subject);
                    offsets.retain(|offset| {
                        engine.count(*old, &filter, *offset..offset.saturating_add(1)) == Ok(1)
                    });
                    let old = Part::Offsets { log: *old, offsets };
                    [old, Part::Offsets { log: *log, offsets: newer }].into()
                }
            })
        }
    }
}

/// Matching records of a range of a partition, but for the newest `keep` of them.
fn matching(
    engine: &dyn Engine,
    source: &Source,
    filter: &Filter,
    range: Range<u64>,
    keep: u64,
) -> Result<VecDeque<Part>, Refusal> {
    if range.is_empty() {
        return Ok(VecDeque::new());
    }
    let stretches: Vec<(LogId, Filter, Range<u64>)> = match source {
        Source::Log(log) => vec![(*log, filter.clone(), range)],
        // What matches of one subject is all of it or nothing.
        Source::View { subject, .. } | Source::Promoted { subject, .. }
            if !filter.matches(subject) =>
        {
            Vec::new()
        }
        Source::View { log, subject } => vec![(*log, Filter::literal(subject), range)],
        Source::Promoted { log, old, until, subject } => vec![
            (*old, Filter::literal(subject), range.start..range.end.min(*until)),
            (*log, filter.clone(), range.start.max(*until)..range.end),
        ],
    };
    let mut counted = Vec::new();
    let mut total: u64 = 0;
    for (log, filter, range) in stretches {
        if range.is_empty() {
            continue;
        }
        let count = engine.count(log, &filter, range.clone()).map_err(|e| refusal_of_read(&e))?;
        total += count;
        counted.push((log, filter, range, count));
    }
    let mut left = total.saturating_sub(keep);
    let mut parts = VecDeque::new();
    for (log, filter, range, count) in counted {
        let here = left.min(count);
        left -= here;
        if here > 0 {
            parts.push_back(Part::Matching { log, filter, range, left: here });
        }
    }
    Ok(parts)
}

/// Ascending offsets as ranges.
pub(crate) fn ranges(offsets: &[u64]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for offset in offsets {
        match ranges.last_mut() {
            Some(range) if range.end == *offset => range.end = offset.saturating_add(1),
            Some(_) | None => ranges.push(*offset..offset.saturating_add(1)),
        }
    }
    ranges
}
