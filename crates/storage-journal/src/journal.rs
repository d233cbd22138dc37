//! The engine: a lane behind a bounded queue, and readers beside it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use model::filter::Filter;
use model::subject::Subject;
use storage::memory::query::Search;
use storage::{
    Bounds, CursorState, Done, Engine, EngineStats, Health, LogId, Offset, Policy, ReadError,
    ReadLimits, Reference, StoredBatch, SubjectSpan, Table, Write,
};

use crate::assay::Assay;
use crate::feed::Feed;
use crate::figures;
use crate::flight::{Batch, Outcome};
use crate::keeper::Keeper;
use crate::lane::{Lane, Options, Signals};
use crate::maintenance::Maintenance;
use crate::meters::{Queued, Readings};
pub use crate::open::{LOCK_FILE, OpenError};
use crate::open::{Opened, open};
use crate::pool::Pool;
use crate::syncer::Syncer;
use crate::vfs::{Lock, Vfs};
use crate::view::View;

/// Maintenance looks around at least so often.
const MAINTENANCE_EVERY: Duration = Duration::from_secs(1);

/// The storage engine on segment files.
#[derive(Debug)]
pub struct Journal {
    view: Arc<View>,
    signals: Arc<Signals>,
    pool: Arc<Pool>,
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
    keeper: Keeper,
}

impl Journal {
    /// Opens the journal in a folder, exclusively, and starts its threads.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; its text is one line for the operator.
    pub fn open(vfs: Arc<dyn Vfs>, options: Options) -> Result<Self, OpenError> {
        let Opened { mut lane, view, mut maintenance, lock } = open(vfs, &options)?;
        let (signals, pool) = (lane.signals(), lane.pool());
        let feed = Arc::new(Feed::new(options, signals.clone(), view.clone()));
        let landing = Arc::downgrade(&feed);
        lane.set_syncer(Syncer::threaded(Arc::new(move || {
            if let Some(feed) = landing.upgrade() {
                feed.landed();
            }
        })));
        let keeper = Keeper::start(pool.clone()).map_err(OpenError::Thread)?;
        let theirs = feed.clone();
        let thread = thread::Builder::new().name("lane".into());
        let lane = thread.spawn(move || theirs.run(lane)).map_err(OpenError::Thread)?;
        let (theirs, their_view) = (feed.clone(), view.clone());
        let thread = thread::Builder::new().name("maintenance".into());
        let maintain = move || maintain(&mut maintenance, &theirs, &their_view);
        let maintenance = thread.spawn(maintain).map_err(OpenError::Thread)?;
        let threads = Mutex::new(Some(Threads { lane, maintenance, keeper }));
        let writer = Writer::Thread { feed, threads };
        Ok(Self { view, signals, pool, writer, _lock: lock })
    }

    /// As [`Self::open`], without threads: every write is committed by the call that submits it.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open_inline(vfs: Arc<dyn Vfs>, options: Options) -> Result<Self, OpenError> {
        let options = Options { full_retry_interval: Duration::ZERO, ..options };
        let Opened { lane, view, maintenance, lock } = open(vfs, &options)?;
        let (signals, pool) = (lane.signals(), lane.pool());
        let writer = Writer::Inline(Mutex::new(lane), Mutex::new(maintenance));
        Ok(Self { view, signals, pool, writer, _lock: lock })
    }

    /// Commits several writes as one group; only without threads.
    ///
    /// Returns what became of each, or nothing when the journal has threads.
    pub fn commit_together(&self, writes: Vec<Write>) -> Vec<Outcome> {
        self.commit_overlapped(vec![writes]).into_iter().flatten().collect()
    }

    /// Commits groups as a busy lane does: each is planned and written before the sync of the one
    /// before it has returned; only without threads.
    ///
    /// Returns what became of each write of each group, or nothing when the journal has threads.
    pub fn commit_overlapped(&self, groups: Vec<Vec<Write>>) -> Vec<Vec<Outcome>> {
        let Writer::Inline(lane, _) = &self.writer else { return Vec::new() };
        let results = Arc::new(Mutex::new(BTreeMap::new()));
        let mut lane = guard(lane);
        let lengths: Vec<_> = groups.iter().map(Vec::len).collect();
        for (group, writes) in groups.into_iter().enumerate() {
            let mut batch = Batch { more: group + 1 < lengths.len(), ..Batch::default() };
            for (index, write) in writes.into_iter().enumerate() {
                let (assay, results) = (Assay::of(&write), results.clone());
                let told: Done = Box::new(move |result| {
                    guard(&results).insert((group, index), result);
                });
                batch.push((write, told), assay);
            }
            lane.commit(batch);
        }
        lane.land();
        lane.keep();
        drop(lane);
        let mut results = std::mem::take(&mut *guard(&results)).into_values();
        lengths.into_iter().map(|length| results.by_ref().take(length).collect()).collect()
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
        let worked = guard(maintenance).step(&settle);
        let mut lane = guard(lane);
        lane.release();
        lane.keep();
        worked
    }

    /// Does what the threads would do after a while without writes; only without threads.
    pub fn idle(&self) {
        if let Writer::Inline(lane, _) = &self.writer {
            let mut lane = guard(lane);
            lane.tick_all();
            lane.keep();
        }
    }

    /// Whether writes are taken, and the wall clock (milliseconds since 1970) at the last change
    /// of that; 0 when it never changed.
    pub fn health(&self) -> (Health, i64) {
        (self.signals.pressure.health(), self.signals.pressure.since_ms())
    }

    /// What was measured since the start.
    pub fn readings(&self) -> Readings {
        let queued = match &self.writer {
            Writer::Thread { feed, .. } => feed.queued(),
            Writer::Inline(..) => Queued::default(),
        };
        Readings {
            padding_bytes: self.view.counters.padding_bytes.load(Ordering::Relaxed),
            pool_segments: self.pool.len(),
            pool_bytes: self.pool.bytes(),
            queued,
            ..self.signals.meters.read()
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
        feed.settle(Box::new(move |result| {
            let _ = sender.send(result.is_ok());
        }));
        receiver.recv().unwrap_or(false)
    };
    while view.wake.wait(MAINTENANCE_EVERY) {
        while maintenance.step(&settle) && !view.wake.is_ended() {}
    }
}

impl Engine for Journal {
    fn submit(&self, write: Write, done: Done) {
        match &self.writer {
            Writer::Thread { feed, .. } => feed.submit(write, done),
            Writer::Inline(lane, _) => {
                let mut batch = Batch::default();
                let assay = Assay::of(&write);
                batch.push((write, done), assay);
                let mut lane = guard(lane);
                lane.commit(batch);
                lane.land();
                lane.keep();
            }
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

    fn pending_bytes(&self) -> u64 {
        self.view.counters.pending_bytes.load(Ordering::Relaxed)
    }

    fn stats(&self) -> EngineStats {
        let queued = match &self.writer {
            Writer::Thread { feed, .. } => feed.queued(),
            Writer::Inline(..) => Queued::default(),
        };
        let meters = &self.signals.meters;
        let mut all = self.view.figures();
        all.extend(figures::of_lane(meters, &queued, self.pool.len()));
        EngineStats {
            pending_bytes: (queued.data_bytes + queued.control_bytes) as u64,
            health: self.signals.pressure.health(),
            figures: all,
            distributions: figures::distributions(meters),
            ..self.view.counters.stats()
        }
    }

    fn close(&self) {
        match &self.writer {
            Writer::Thread { feed, threads } => {
                self.view.wake.end();
                if let Some(mut threads) = guard(threads).take() {
                    if threads.maintenance.join().is_err() {
                        tracing::error!("the maintenance thread has panicked");
                    }
                    feed.close();
                    if threads.lane.join().is_err() {
                        tracing::error!("the lane's thread has panicked");
                    }
                    threads.keeper.stop();
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
