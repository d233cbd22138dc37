//! The engine that keeps everything in memory, and the state that every engine keeps there.
//!
//! ```text
//! plan      writes -> images: offsets assigned, producers judged, records gathered
//! limits    what of a log goes out of sight with that
//! image     what a commit did, in a form that can be stored and applied again
//! state     the fold of all images: logs, rows, cursors, references
//! log       one log in it: its newest batches (fresh), what of it rests, its subjects
//! rows      the state as rows, for checkpoints
//! weight    what it takes in memory
//! query     reading from the state and from what rests
//! ```
//!
//! An engine on disk stores the images of a plan before it applies them; this one applies them at
//! once.

use std::ops::Range;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use model::filter::Filter;
use model::subject::Subject;

use crate::{
    Bounds, CursorState, Done, Engine, EngineStats, Figure, LogId, Offset, Policy, ReadError,
    ReadLimits, Reference, StoredBatch, SubjectSpan, SubmitError, Table, Write,
};

mod fresh;
mod held;
pub mod image;
mod limits;
mod log;
mod logs;
pub mod plan;
pub mod query;
pub mod rows;
mod several;
mod sole;
pub mod state;
mod subjects;
mod weight;

use plan::{Planner, Step};
use query::{Miss, Query, Search, Source};
use state::{Found, Hidden, Run, State};

/// An engine without a disk: gone with the process.
#[derive(Debug)]
pub struct Memory {
    state: RwLock<State<Bytes>>,
    /// Held over a whole commit, so that completions come in the order of offsets.
    committer: Mutex<Committer>,
    clock: fn() -> i64,
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
    /// An empty engine whose clock stands still.
    pub fn new() -> Self {
        Self::with_clock(|| 0)
    }

    /// An empty engine with a clock that never goes back, in milliseconds.
    pub fn with_clock(clock: fn() -> i64) -> Self {
        Self { state: RwLock::new(State::new()), committer: Mutex::default(), clock }
    }

    fn state(&self) -> RwLockReadGuard<'_, State<Bytes>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn query(&self) -> Query<'_, Bytes, NothingRests> {
        Query { state: &self.state, source: &NothingRests }
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
            let mut planner = Planner::new(&state, 0, (self.clock)());
            let committed = planner.submit(write);
            (committed, planner.finish())
        };
        if committed.is_ok() {
            committer.commits += 1;
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            state.begin(committer.commits);
            for step in &plan.steps {
                match step {
                    Step::Image(image) => state.apply(image),
                    Step::Batch { image, payload, epoch, .. } => {
                        state.apply_batch(image, payload.to_bytes(image.base, *epoch));
                    }
                }
            }
            // Nothing is kept, so nobody asks what has changed.
            state.forget_changes();
        }
        done(committed);
    }

    fn read(
        &self,
        log: LogId,
        from: Offset,
        limits: ReadLimits,
    ) -> Result<Vec<StoredBatch>, ReadError> {
        self.query().read(log, from, limits)
    }

    fn bounds(&self, log: LogId) -> Option<Bounds> {
        self.state().bounds(log)
    }

    fn seek(&self, log: LogId, timestamp_ms: i64) -> Result<Option<(Offset, i64)>, ReadError> {
        self.query().seek(log, timestamp_ms)
    }

    fn last(&self, log: LogId, filter: &Filter) -> Result<Option<Offset>, ReadError> {
        self.query().last(log, filter)
    }

    fn next(&self, log: LogId, filter: &Filter, from: Offset) -> Result<Option<Offset>, ReadError> {
        self.query().next(log, filter, from)
    }

    fn count(&self, log: LogId, filter: &Filter, range: Range<Offset>) -> Result<u64, ReadError> {
        self.query().count(log, &Search { filter, range, limit: usize::MAX })
    }

    fn offsets(
        &self,
        log: LogId,
        filter: &Filter,
        range: Range<Offset>,
        limit: usize,
    ) -> Result<Vec<Offset>, ReadError> {
        self.query().offsets(log, &Search { filter, range, limit })
    }

    fn subject(&self, log: LogId, subject: &Subject) -> Result<Option<SubjectSpan>, ReadError> {
        self.query().subject(log, subject)
    }

    fn subjects(
        &self,
        log: LogId,
        filter: &Filter,
        after: Option<&Subject>,
        limit: usize,
    ) -> Result<Vec<(Subject, SubjectSpan)>, ReadError> {
        self.query().subjects(log, filter, after, limit)
    }

    fn appended_since(&self, log: LogId, clock_ms: i64) -> Result<Offset, ReadError> {
        self.query().appended_since(log, clock_ms)
    }

    fn clock_ms(&self) -> i64 {
        (self.clock)()
    }

    fn policy(&self, log: LogId) -> Option<Policy> {
        self.state().policy(log)
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

    fn pending_bytes(&self) -> u64 {
        0
    }

    fn stats(&self) -> EngineStats {
        let commits = self.committer.lock().unwrap_or_else(PoisonError::into_inner).commits;
        let bytes = self.state().memory_bytes();
        EngineStats { commits, figures: vec![state_memory(bytes)], ..EngineStats::default() }
    }

    fn close(&self) {
        self.committer.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }
}

/// The figure of what a state takes in memory.
pub fn state_memory(bytes: u64) -> Figure {
    #[expect(clippy::cast_precision_loss, reason = "a figure")]
    let value = bytes as f64;
    Figure {
        name: "state_memory_bytes",
        about: "Memory of logs, rows, cursors and references.",
        value,
    }
}

/// All batches are in the index.
struct NothingRests;

/// What somebody gets who asks for a run of memory.
fn no_run<T>() -> Result<T, Miss> {
    Err(Miss::Failed(ReadError::Unreadable("nothing of memory rests in files".into())))
}

impl Source<Bytes> for NothingRests {
    fn fetch(&self, _: LogId, found: &Found<Bytes>) -> Result<Bytes, Miss> {
        Ok(found.place.clone())
    }

    fn read(&self, _: &Run, _: Offset, _: usize) -> Result<Vec<StoredBatch>, Miss> {
        no_run()
    }

    fn next(&self, _: &Run, _: &Filter, _: Offset, _: &Hidden) -> Result<Option<Offset>, Miss> {
        no_run()
    }

    fn last(&self, _: &Run, _: &Filter, _: Offset, _: &Hidden) -> Result<Option<Offset>, Miss> {
        no_run()
    }

    fn offsets(&self, _: &Run, _: &Search<'_>, _: &Hidden) -> Result<Vec<Offset>, Miss> {
        no_run()
    }

    fn count(&self, _: &Run, _: &Search<'_>, _: &Hidden) -> Result<u64, Miss> {
        no_run()
    }

    fn at_or_after(&self, _: &Run, _: Offset, _: i64) -> Result<Option<StoredBatch>, Miss> {
        no_run()
    }

    fn appended_since(&self, _: &Run, _: i64) -> Result<Offset, Miss> {
        no_run()
    }
}
