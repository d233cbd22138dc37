//! The engine that keeps everything in memory, and the state that every engine keeps there.
//!
//! ```text
//! plan      writes -> images: offsets assigned, producers judged, records gathered
//! image     what a commit did, in a form that can be stored and applied again
//! state     the fold of all images: logs, rows, cursors, references
//! log       one log in it, with its subjects
//! ```
//!
//! An engine on disk stores the images of a plan before it applies them; this one applies them at
//! once.

use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use model::filter::Filter;
use model::subject::Subject;

use crate::{
    Bounds, CursorState, Done, Engine, EngineStats, LogId, Offset, ReadError, ReadLimits,
    Reference, StoredBatch, SubjectSpan, SubmitError, Table, Write, batch,
};

pub mod image;
mod log;
pub mod plan;
pub mod state;
mod subjects;

use plan::{Planner, Step};
use state::{Found, Place, State};

/// An engine without a disk: gone with the process.
#[derive(Debug)]
pub struct Memory {
    state: RwLock<State<Bytes>>,
    /// Held over a whole commit, so that completions come in the order of offsets.
    committer: Mutex<Committer>,
}

#[derive(Debug, Default)]
struct Committer {
    closed: bool,
    commits: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// An empty engine.
    pub fn new() -> Self {
        Self { state: RwLock::new(State::new()), committer: Mutex::default() }
    }

    fn state(&self) -> RwLockReadGuard<'_, State<Bytes>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for Memory {
    fn submit(&self, write: Write, done: Done) {
        let mut committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner);
        if committer.closed {
            return done(Err(SubmitError::Poisoned));
        }
        let (committed, plan) = {
            let state = self.state();
            let mut planner = Planner::new(&state, 0);
            let committed = planner.submit(write);
            (committed, planner.finish())
        };
        if committed.is_ok() {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            for step in &plan.steps {
                match step {
                    Step::Image(image) => state.apply(image, 0),
                    Step::Batch { image, payload, epoch, .. } => {
                        state.apply_batch(image, payload.to_bytes(image.base, *epoch));
                    }
                }
            }
            committer.commits += 1;
        }
        done(committed);
    }

    fn read(
        &self,
        log: LogId,
        from: Offset,
        limits: ReadLimits,
    ) -> Result<Vec<StoredBatch>, ReadError> {
        let found = self.state().read(log, from, limits)?;
        let batches = found.into_iter().map(|found| {
            let bytes = found.place.clone();
            present(found, bytes)
        });
        batches.filter_map(Result::transpose).collect()
    }

    fn bounds(&self, log: LogId) -> Option<Bounds> {
        self.state().bounds(log)
    }

    fn seek(&self, log: LogId, timestamp_ms: i64) -> Result<Option<(Offset, i64)>, ReadError> {
        seek(
            timestamp_ms,
            |from| self.state().at_or_after(log, from, timestamp_ms),
            |first| self.state().bounds(log).map_or(first, |bounds| bounds.first),
            |found| Ok(found.place.clone()),
        )
    }

    fn last(&self, log: LogId, filter: &Filter) -> Option<Offset> {
        self.state().last(log, filter)
    }

    fn next(&self, log: LogId, filter: &Filter, from: Offset) -> Option<Offset> {
        self.state().next(log, filter, from)
    }

    fn subject(&self, log: LogId, subject: &Subject) -> Option<SubjectSpan> {
        self.state().subject(log, subject)
    }

    fn get(&self, table: Table, key: &[u8]) -> Option<Bytes> {
        self.state().get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        self.state().scan(table, from, limit)
    }

    fn cursors(&self, from: &[u8], limit: usize) -> Vec<(Bytes, LogId, CursorState)> {
        self.state().cursors(from, limit)
    }

    fn refs(&self, queue: LogId, from: u64, limit: usize) -> Vec<Reference> {
        self.state().refs(queue, from, limit)
    }

    fn stats(&self) -> EngineStats {
        let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner);
        EngineStats { commits: committer.commits, ..EngineStats::default() }
    }

    fn close(&self) {
        self.committer.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }
}

/// A found batch with its bytes, without the records that must not be shown; `None` when no record
/// is left.
///
/// # Errors
///
/// [`ReadError::Unreadable`] when records have to be taken out of a batch that cannot be decoded.
pub fn present<P: Place>(found: Found<P>, bytes: Bytes) -> Result<Option<StoredBatch>, ReadError> {
    let bytes = if found.deleted.is_empty() {
        bytes
    } else {
        let left = batch::without(&bytes, |offset| found.is_deleted(offset));
        match left.map_err(|error| ReadError::Unreadable(error.to_string()))? {
            Some(bytes) => bytes,
            None => return Ok(None),
        }
    };
    Ok(Some(StoredBatch {
        base: found.base,
        last: found.last,
        max_timestamp_ms: found.max_timestamp_ms,
        bytes,
        subjects: found.subjects,
    }))
}

/// The first visible record at or after a time: `at_or_after` finds candidates from an offset on,
/// `visible_from` tells the first visible offset, `fetch` gets a candidate's bytes.
///
/// A batch that cannot be decoded answers with its base, which may be early but never late.
///
/// # Errors
///
/// [`ReadError`], as the closures say.
pub fn seek<P: Place>(
    timestamp_ms: i64,
    at_or_after: impl Fn(Offset) -> Result<Option<Found<P>>, ReadError>,
    visible_from: impl Fn(Offset) -> Offset,
    fetch: impl Fn(&Found<P>) -> Result<Bytes, ReadError>,
) -> Result<Option<(Offset, i64)>, ReadError> {
    let mut from = 0;
    while let Some(found) = at_or_after(from)? {
        let first = visible_from(found.base);
        let bytes = fetch(&found)?;
        let Ok(records) = batch::records(&bytes) else {
            return Ok(Some((found.base.max(first), found.max_timestamp_ms)));
        };
        for record in records {
            let shown = record.offset >= first && !found.is_deleted(record.offset);
            if shown && record.timestamp_ms >= timestamp_ms {
                return Ok(Some((record.offset, record.timestamp_ms)));
            }
        }
        from = found.last + 1;
    }
    Ok(None)
}
