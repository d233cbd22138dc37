//! A journal that commits when it is told to, in any order that the real one may choose.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use model::filter::Filter;
use model::subject::Subject;
use storage::{
    Bounds, CursorState, Done, Engine, EngineStats, LogId, Offset, Op, Policy, ReadError,
    ReadLimits, Reference, StoredBatch, SubjectSpan, Table, Write,
};
use storage_journal::Journal;

/// See the module's text.
#[derive(Debug)]
pub struct Slow {
    inner: Journal,
    /// Writes wait until they are let go.
    waits: AtomicBool,
    waiting: Mutex<Vec<Waiting>>,
}

struct Waiting(Write, Done);

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Slow {
    pub fn new(inner: Journal) -> Self {
        Self { inner, waits: AtomicBool::new(false), waiting: Mutex::default() }
    }

    pub fn wait(&self) {
        self.waits.store(true, Ordering::Relaxed);
    }

    pub fn waiting(&self) -> usize {
        self.waiting.lock().unwrap().len()
    }

    /// Commits the first write that waits, or the last that may overtake all others.
    pub fn commit(&self, overtaking: bool) {
        let mut waiting = self.waiting.lock().unwrap();
        let may_overtake = |at: &usize| {
            let (earlier, rest) = waiting.split_at(*at);
            frees(&rest[0].0) && !earlier.iter().any(|other| touch(&other.0, &rest[0].0))
        };
        let last = (0..waiting.len()).rev().find(may_overtake).filter(|_| overtaking);
        let Waiting(write, done) = waiting.remove(last.unwrap_or(0));
        drop(waiting);
        self.inner.submit(write, done);
    }
}

/// Whether it only frees, and so may overtake others.
fn frees(write: &Write) -> bool {
    !write.ops.is_empty()
        && write.ops.iter().all(|op| matches!(op, Op::Cursor { .. } | Op::Remove { .. }))
}

/// Whether two writes change the same thing.
fn touch(one: &Write, other: &Write) -> bool {
    let thing = |op: &Op| match op {
        Op::Cursor { name, log, .. } => Some(("cursor", name.clone(), log.0)),
        Op::Put { table, key, .. } | Op::Remove { table, key } => Some((*table, key.clone(), 0)),
        _ => None,
    };
    one.ops.iter().filter_map(thing).any(|a| other.ops.iter().filter_map(thing).any(|b| a == b))
}

impl Engine for Slow {
    fn submit(&self, write: Write, done: Done) {
        if self.waits.load(Ordering::Relaxed) {
            self.waiting.lock().unwrap().push(Waiting(write, done));
        } else {
            self.inner.submit(write, done);
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
        self.inner.stats()
    }

    fn close(&self) {
        self.inner.close();
    }
}
