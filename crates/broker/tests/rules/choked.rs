//! An engine that can be told to have no room, and when to finish writes.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use model::filter::Filter;
use model::subject::Subject;
use storage::memory::Memory;
use storage::{
    Bounds, CursorState, Done, Engine, EngineStats, Health, LogId, Offset, Op, Policy, ReadError,
    ReadLimits, Reference, StoredBatch, SubjectSpan, SubmitError, Table, Write,
};

/// Memory, as long as it is not full.
#[derive(Debug, Default)]
pub struct Choked {
    inner: Memory,
    full: AtomicBool,
    poisoned: AtomicBool,
    /// Whether writes wait until they are let go.
    slow: AtomicBool,
    waiting: Mutex<VecDeque<Waiting>>,
}

struct Waiting(Write, Done);

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Choked {
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    pub fn poison(&self) {
        self.poisoned.store(true, Ordering::Relaxed);
    }

    pub fn set_slow(&self, slow: bool) {
        self.slow.store(slow, Ordering::Relaxed);
    }

    /// Finishes the writes that wait.
    pub fn let_go(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        for Waiting(write, done) in waiting {
            self.finish(write, done);
        }
    }

    /// Settles, cursors and the like are taken out of a reserve.
    fn frees(op: &Op) -> bool {
        matches!(
            op,
            Op::Trim { .. }
                | Op::Delete { .. }
                | Op::Cursor { .. }
                | Op::Settle { .. }
                | Op::Release { .. }
                | Op::DropLog(_)
                | Op::Policy { .. }
        )
    }

    fn finish(&self, write: Write, done: Done) {
        if self.poisoned.load(Ordering::Relaxed) {
            done(Err(SubmitError::Poisoned));
        } else if self.full.load(Ordering::Relaxed) && !write.ops.iter().all(Self::frees) {
            done(Err(SubmitError::Full));
        } else {
            self.inner.submit(write, done);
        }
    }
}

impl Engine for Choked {
    fn submit(&self, write: Write, done: Done) {
        if self.slow.load(Ordering::Relaxed) {
            self.waiting.lock().unwrap().push_back(Waiting(write, done));
        } else {
            self.finish(write, done);
        }
    }

    fn read(
        &self,
        log: LogId,
        from: Offset,
        limits: ReadLimits,
    ) -> Result<Vec<StoredBatch>, ReadError> {
        self.inner.read(log, from, limits)
    }

    fn bounds(&self, log: LogId) -> Option<Bounds> {
        self.inner.bounds(log)
    }

    fn seek(&self, log: LogId, timestamp_ms: i64) -> Result<Option<(Offset, i64)>, ReadError> {
        self.inner.seek(log, timestamp_ms)
    }

    fn last(&self, log: LogId, filter: &Filter) -> Result<Option<Offset>, ReadError> {
        self.inner.last(log, filter)
    }

    fn next(&self, log: LogId, filter: &Filter, from: Offset) -> Result<Option<Offset>, ReadError> {
        self.inner.next(log, filter, from)
    }

    fn count(&self, log: LogId, filter: &Filter, range: Range<Offset>) -> Result<u64, ReadError> {
        self.inner.count(log, filter, range)
    }

    fn offsets(
        &self,
        log: LogId,
        filter: &Filter,
        range: Range<Offset>,
        limit: usize,
    ) -> Result<Vec<Offset>, ReadError> {
        self.inner.offsets(log, filter, range, limit)
    }

    fn subject(&self, log: LogId, subject: &Subject) -> Result<Option<SubjectSpan>, ReadError> {
        self.inner.subject(log, subject)
    }

    fn subjects(
        &self,
        log: LogId,
        filter: &Filter,
        after: Option<&Subject>,
        limit: usize,
    ) -> Result<Vec<(Subject, SubjectSpan)>, ReadError> {
        self.inner.subjects(log, filter, after, limit)
    }

    fn appended_since(&self, log: LogId, clock_ms: i64) -> Result<Offset, ReadError> {
        self.inner.appended_since(log, clock_ms)
    }

    fn clock_ms(&self) -> i64 {
        self.inner.clock_ms()
    }

    fn policy(&self, log: LogId) -> Option<Policy> {
        self.inner.policy(log)
    }

    fn get(&self, table: Table, key: &[u8]) -> Option<Bytes> {
        self.inner.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        self.inner.scan(table, from, limit)
    }

    fn cursors(&self, from: &[u8], limit: usize) -> Vec<(Bytes, LogId, CursorState)> {
        self.inner.cursors(from, limit)
    }

    fn refs(&self, queue: LogId, from: u64, limit: usize) -> Vec<Reference> {
        self.inner.refs(queue, from, limit)
    }

    fn stats(&self) -> EngineStats {
        let health =
            match (self.poisoned.load(Ordering::Relaxed), self.full.load(Ordering::Relaxed)) {
                (true, _) => Health::Poisoned,
                (false, true) => Health::Full,
                (false, false) => Health::Good,
            };
        EngineStats { health, ..self.inner.stats() }
    }

    fn close(&self) {
        self.inner.close();
    }
}
