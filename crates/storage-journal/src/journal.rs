//! The engine: a lane behind a bounded queue, and readers beside it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::filter::Filter;
use model::subject::Subject;
use storage::memory::query::Search;
use storage::{
    Bounds, CursorState, Done, Engine, EngineStats, LogId, Mode, Offset, Policy, ReadError,
    ReadLimits, Reference, StoredBatch, SubjectSpan, SubmitError, Table, Write,
};

use crate::lane::{Lane, Options, Outcome, weight};
use crate::maintenance::Maintenance;
pub use crate::open::{LOCK_FILE, OpenError};
use crate::open::{Opened, open};
use crate::vfs::{Lock, Vfs};
use crate::view::View;

/// Maintenance looks around at least so often.
const MAINTENANCE_EVERY: Duration = Duration::from_secs(1);
/// A group is not filled beyond this, so that the first in it does not wait for the last.
const GROUP_BYTES: usize = 1 << 20;

/// The storage engine on segment files.
#[derive(Debug)]
pub struct Journal {
    view: Arc<View>,
    writer: Writer,
    _lock: Box<dyn Lock>,
}

#[derive(Debug)]
enum Writer {
    /// Threads of its own commit what comes in, and maintain what is there.
    Thread { feed: Arc<Feed>, threads: Mutex<Option<Threads>> },
    /// Each call commits on the caller's thread: what a deterministic test needs.
    Inline(Mutex<Lane>, Mutex<Maintenance>),
}

#[derive(Debug)]
struct Threads {
    lane: thread::JoinHandle<()>,
    maintenance: thread::JoinHandle<()>,
}

impl Journal {
    /// Opens the journal in a folder, exclusively, and starts its thread.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; its text is one line for the operator.
    pub fn open(vfs: Arc<dyn Vfs>, options: Options) -> Result<Self, OpenError> {
        let Opened { lane, view, mut maintenance, lock } = open(vfs, &options)?;
        let feed = Arc::new(Feed::new(options));
        let (theirs, their_view) = (feed.clone(), view.clone());
        let thread = thread::Builder::new().name("lane".into());
        let lane =
            thread.spawn(move || theirs.run(lane, &their_view)).map_err(OpenError::Thread)?;
        let (theirs, their_view) = (feed.clone(), view.clone());
        let thread = thread::Builder::new().name("maintenance".into());
        let maintain = move || maintain(&mut maintenance, &theirs, &their_view);
        let maintenance = thread.spawn(maintain).map_err(OpenError::Thread)?;
        let threads = Mutex::new(Some(Threads { lane, maintenance }));
        Ok(Self { view, writer: Writer::Thread { feed, threads }, _lock: lock })
    }

    /// As [`Self::open`], without a thread: every write is committed by the call that submits it.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open_inline(vfs: Arc<dyn Vfs>, options: Options) -> Result<Self, OpenError> {
        let Opened { lane, view, maintenance, lock } = open(vfs, &options)?;
        let writer = Writer::Inline(Mutex::new(lane), Mutex::new(maintenance));
        Ok(Self { view, writer, _lock: lock })
    }

    /// Commits several writes as one group; only without a thread.
    ///
    /// Returns what became of each, or nothing when the journal has a thread.
    pub fn commit_together(&self, writes: Vec<Write>) -> Vec<Outcome> {
        let Writer::Inline(lane, _) = &self.writer else { return Vec::new() };
        let results = Arc::new(Mutex::new(Vec::new()));
        let told = |write| {
            let results = results.clone();
            let done: Done = Box::new(move |result| guard(&results).push(result));
            (write, done)
        };
        guard(lane).commit(writes.into_iter().map(told).collect());
        std::mem::take(&mut *guard(&results))
    }

    /// Does one step of maintenance, and says whether there was something to do; only without
    /// threads.
    pub fn maintain(&self) -> bool {
        let Writer::Inline(lane, maintenance) = &self.writer else { return false };
        let settle = || {
            let mut lane = guard(lane);
            lane.flush();
            !lane.is_poisoned()
        };
        guard(maintenance).step(&settle)
    }

    /// Does what the thread would do after a while without writes; only without a thread.
    pub fn idle(&self) {
        if let Writer::Inline(lane, _) = &self.writer {
            let mut lane = guard(lane);
            if lane.is_unsynced() {
                lane.flush();
            }
            if lane.wants_witness() {
                lane.witness();
            }
        }
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread of maintenance.
fn maintain(maintenance: &mut Maintenance, feed: &Feed, view: &View) {
    let settle = || {
        let (sender, receiver) = mpsc::channel();
        let write = Write { ops: Vec::new(), mode: Mode::Durable };
        feed.submit(
            view,
            write,
            Box::new(move |result| {
                let _ = sender.send(result.is_ok());
            }),
        );
        receiver.recv().unwrap_or(false)
    };
    while view.wake.wait(MAINTENANCE_EVERY) {
        while maintenance.step(&settle) && !view.wake.is_ended() {}
    }
}

/// The queue before the lane's thread.
#[derive(Debug)]
struct Feed {
    options: Options,
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    writes: VecDeque<(Write, Done, usize)>,
    /// Bytes of the writes that wait or are being committed.
    bytes: usize,
    closed: bool,
    /// The lane sleeps.
    asleep: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Queue");
        debug.field("writes", &self.writes.len()).field("bytes", &self.bytes);
        debug.field("closed", &self.closed).finish_non_exhaustive()
    }
}

/// What the lane's thread does next.
enum Turn {
    Commit(Vec<(Write, Done)>, usize),
    /// Nothing came for that long.
    Idle,
    Close,
}

impl Feed {
    fn new(options: Options) -> Self {
        Self { options, queue: Mutex::default(), wake: Condvar::new() }
    }

    fn submit(&self, view: &View, write: Write, done: Done) {
        let bytes = weight(&write);
        let mut queue = guard(&self.queue);
        let refusal = if queue.closed {
            Some(SubmitError::Poisoned)
        } else if queue.bytes > 0 && queue.bytes + bytes > self.options.pending_bytes {
            Some(SubmitError::Busy)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            drop(queue);
            return done(Err(refusal));
        }
        queue.bytes += bytes;
        view.counters.pending_bytes.store(queue.bytes as u64, Ordering::Relaxed);
        queue.writes.push_back((write, done, bytes));
        if queue.asleep {
            queue.asleep = false;
            self.wake.notify_one();
        }
    }

    fn close(&self) {
        let mut queue = guard(&self.queue);
        queue.closed = true;
        queue.asleep = false;
        self.wake.notify_one();
    }

    /// Waits for writes, at most `patience`; `None` waits for ever.
    fn next(&self, patience: Option<Duration>) -> Turn {
        let deadline = patience.map(|patience| Instant::now() + patience);
        let mut queue = guard(&self.queue);
        loop {
            if !queue.writes.is_empty() {
                let mut writes = Vec::new();
                let mut bytes = 0;
                while let Some((_, _, next)) = queue.writes.front()
                    && (bytes == 0 || bytes + next <= GROUP_BYTES)
                    && let Some((write, done, next)) = queue.writes.pop_front()
                {
                    bytes += next;
                    writes.push((write, done));
                }
                return Turn::Commit(writes, bytes);
            }
            if queue.closed {
                return Turn::Close;
            }
            if queue.writes.capacity() > 1024 {
                queue.writes.shrink_to(64);
            }
            queue.asleep = true;
            queue = match deadline {
                None => self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        queue.asleep = false;
                        return Turn::Idle;
                    }
                    let waited = self.wake.wait_timeout(queue, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            queue.asleep = false;
        }
    }

    /// The lane's thread.
    fn run(&self, mut lane: Lane, view: &View) {
        // When what is unsynced was written first, and when anything was written last.
        let mut unsynced_since: Option<Instant> = None;
        loop {
            let patience = if let Some(since) = unsynced_since {
                Some(self.options.sync_interval.saturating_sub(since.elapsed()))
            } else {
                lane.wants_witness().then_some(self.options.witness_interval)
            };
            match self.next(patience) {
                Turn::Commit(writes, bytes) => {
                    lane.commit(writes);
                    let mut queue = guard(&self.queue);
                    queue.bytes = queue.bytes.saturating_sub(bytes);
                    view.counters.pending_bytes.store(queue.bytes as u64, Ordering::Relaxed);
                }
                Turn::Idle if unsynced_since.is_some() => lane.flush(),
                Turn::Idle => lane.witness(),
                Turn::Close => return lane.close(),
            }
            let overdue = |since: &Instant| since.elapsed() >= self.options.sync_interval;
            if unsynced_since.as_ref().is_some_and(overdue) && lane.is_unsynced() {
                lane.flush();
            }
            unsynced_since = match unsynced_since {
                Some(since) if lane.is_unsynced() => Some(since),
                Some(_) | None => lane.is_unsynced().then(Instant::now),
            };
        }
    }
}

impl Engine for Journal {
    fn submit(&self, write: Write, done: Done) {
        match &self.writer {
            Writer::Thread { feed, .. } => feed.submit(&self.view, write, done),
            Writer::Inline(lane, _) => guard(lane).commit(vec![(write, done)]),
        }
    }

    fn read(
        &self,
        log: LogId,
        from: Offset,
        limits: ReadLimits,
    ) -> Result<Vec<StoredBatch>, ReadError> {
        self.view.query().read(log, from, limits)
    }

    fn bounds(&self, log: LogId) -> Option<Bounds> {
        self.view.state().bounds(log)
    }

    fn seek(&self, log: LogId, timestamp_ms: i64) -> Result<Option<(Offset, i64)>, ReadError> {
        self.view.query().seek(log, timestamp_ms)
    }

    fn last(&self, log: LogId, filter: &Filter) -> Result<Option<Offset>, ReadError> {
        self.view.query().last(log, filter)
    }

    fn next(&self, log: LogId, filter: &Filter, from: Offset) -> Result<Option<Offset>, ReadError> {
        self.view.query().next(log, filter, from)
    }

    fn count(&self, log: LogId, filter: &Filter, range: Range<Offset>) -> Result<u64, ReadError> {
        self.view.query().count(log, &Search { filter, range, limit: usize::MAX })
    }

    fn offsets(
        &self,
        log: LogId,
        filter: &Filter,
        range: Range<Offset>,
        limit: usize,
    ) -> Result<Vec<Offset>, ReadError> {
        self.view.query().offsets(log, &Search { filter, range, limit })
    }

    fn subject(&self, log: LogId, subject: &Subject) -> Result<Option<SubjectSpan>, ReadError> {
        self.view.query().subject(log, subject)
    }

    fn subjects(
        &self,
        log: LogId,
        filter: &Filter,
        after: Option<&Subject>,
        limit: usize,
    ) -> Result<Vec<(Subject, SubjectSpan)>, ReadError> {
        self.view.query().subjects(log, filter, after, limit)
    }

    fn appended_since(&self, log: LogId, clock_ms: i64) -> Result<Offset, ReadError> {
        self.view.query().appended_since(log, clock_ms)
    }

    fn clock_ms(&self) -> i64 {
        self.view.clocks().engine_ms
    }

    fn policy(&self, log: LogId) -> Option<Policy> {
        self.view.state().policy(log)
    }

    fn get(&self, table: Table, key: &[u8]) -> Option<Bytes> {
        self.view.state().get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        self.view.state().scan(table, from, limit)
    }

    fn cursors(&self, from: &[u8], limit: usize) -> Vec<(Bytes, LogId, CursorState)> {
        self.view.state().cursors(from, limit)
    }

    fn refs(&self, queue: LogId, from: u64, limit: usize) -> Vec<Reference> {
        self.view.state().refs(queue, from, limit)
    }

    fn stats(&self) -> EngineStats {
        let mut stats = self.view.counters.stats();
        stats.figures = self.view.figures();
        stats
    }

    fn close(&self) {
        match &self.writer {
            Writer::Thread { feed, threads } => {
                self.view.wake.end();
                if let Some(threads) = guard(threads).take() {
                    if threads.maintenance.join().is_err() {
                        tracing::error!("the maintenance thread has panicked");
                    }
                    feed.close();
                    if threads.lane.join().is_err() {
                        tracing::error!("the lane's thread has panicked");
                    }
                }
            }
            Writer::Inline(lane, _) => guard(lane).close(),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Writer::Thread { .. } = &self.writer {
            self.close();
        }
    }
}
