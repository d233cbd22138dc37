//! What readers share with the lane: the index, the segments and the newest batches in memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hashbrown::HashMap;
use model::filter::Filter;
use storage::memory::query::{Miss, Query, Search, Source};
use storage::memory::state::{Found, Hidden, Place, Run, State};
use storage::memory::state_memory;
use storage::{EngineStats, Figure, Health, LogId, Offset, ReadError, StoredBatch};

use crate::debt::Allowance;
use crate::entry;
use crate::units::{Hits, Units};
use crate::wal::{Clocks, Segments};

/// Where the bytes of a batch are.
#[derive(Clone, Debug)]
pub(crate) enum Spot {
    /// Nowhere else: the log is one of memory.
    Memory(Arc<Bytes>),
    /// In a frame.
    Disk {
        /// Sequence of the segment.
        segment: u32,
        /// Where the frame starts.
        position: u32,
        /// Length of the frame.
        length: u32,
    },
}

impl Place for Spot {
    fn home(&self) -> u32 {
        match self {
            Self::Memory(_) => 0,
            Self::Disk { segment, .. } => *segment,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk { length, .. } => u64::from(*length),
        }
    }
}

#[derive(Debug)]
pub(crate) struct View {
    state: RwLock<State<Spot>>,
    segments: Segments,
    cache: Mutex<Cache>,
    pub(crate) units: Units,
    pub(crate) counters: Counters,
    /// Segments below this sequence are not needed.
    pub(crate) needed_from: AtomicU64,
    /// How many segments may wait for a drain.
    allowance: Allowance,
    /// Wakes the thread of maintenance.
    pub(crate) wake: Wake,
    started: (Instant, Clocks),
}

/// Wakes a thread, and ends it.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    called: Mutex<(bool, bool)>,
    bell: Condvar,
}

impl Wake {
    fn called(&self) -> MutexGuard<'_, (bool, bool)> {
        self.called.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is something to do.
    pub(crate) fn call(&self) {
        self.called().0 = true;
        self.bell.notify_one();
    }

    /// There is nothing to do any more.
    pub(crate) fn end(&self) {
        self.called().1 = true;
        self.bell.notify_one();
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.called().1
    }

    /// Waits for a call or that long; false at the end.
    pub(crate) fn wait(&self, patience: Duration) -> bool {
        let called = self.called();
        let idle = |called: &mut (bool, bool)| !called.0 && !called.1;
        let waited = self.bell.wait_timeout_while(called, patience, idle);
        let (mut called, _) = waited.unwrap_or_else(PoisonError::into_inner);
        called.0 = false;
        !called.1
    }
}

/// Counters that the lane writes and anybody reads.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) padding_bytes: AtomicU64,
    /// Of the write-ahead log.
    pub(crate) disk_bytes: AtomicU64,
    /// Of its free segments.
    pub(crate) pool_bytes: AtomicU64,
    /// Of the units in the manifest.
    pub(crate) unit_bytes: AtomicU64,
    /// Of them, those of hot units.
    pub(crate) hot_unit_bytes: AtomicU64,
    /// Of the state tables.
    pub(crate) state_bytes: AtomicU64,
    /// Written to units and state tables.
    pub(crate) rested_bytes: AtomicU64,
    /// Kept for maintenance.
    pub(crate) reserve_bytes: AtomicU64,
    pub(crate) drains: AtomicU64,
    pub(crate) merges: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) pending_bytes: AtomicU64,
    pub(crate) poisoned: AtomicBool,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> EngineStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        EngineStats {
            commits: read(&self.commits),
            syncs: read(&self.syncs),
            written_bytes: read(&self.written_bytes),
            padding_bytes: read(&self.padding_bytes),
            rested_bytes: read(&self.rested_bytes),
            disk_bytes: [
                &self.disk_bytes,
                &self.pool_bytes,
                &self.unit_bytes,
                &self.state_bytes,
                &self.reserve_bytes,
            ]
            .into_iter()
            .map(read)
            .sum(),
            pending_bytes: read(&self.pending_bytes),
            health: match self.poisoned.load(Ordering::Relaxed) {
                true => Health::Poisoned,
                false => Health::Good,
            },
            ..EngineStats::default()
        }
    }
}

impl View {
    pub(crate) fn new(
        state: State<Spot>,
        (segments, units): (Segments, Units),
        (cache_bytes, allowance): (usize, Allowance),
        clocks: Clocks,
    ) -> Self {
        Self {
            state: RwLock::new(state),
            segments,
            units,
            cache: Mutex::new(Cache::new(cache_bytes)),
            counters: Counters::default(),
            needed_from: AtomicU64::new(0),
            allowance,
            wake: Wake::default(),
            started: (Instant::now(), clocks),
        }
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State<Spot>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state_mut(&self) -> RwLockWriteGuard<'_, State<Spot>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Full segments that wait for a drain.
    pub(crate) fn waiting_segments(&self) -> u64 {
        let Some((oldest, current)) = self.segments.range() else { return 0 };
        current.saturating_sub(oldest.max(self.needed_from.load(Ordering::Relaxed)))
    }

    /// Length of a segment.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.allowance.segment_bytes
    }

    /// Segments that wait beyond those that may.
    pub(crate) fn drain_debt(&self) -> u64 {
        self.allowance.debt(self.waiting_segments())
    }

    /// How long data waits after a group with so many bytes of it.
    pub(crate) fn pause(&self, bytes: usize) -> Duration {
        self.allowance.pause(self.waiting_segments(), bytes)
    }

    /// Keeps the bytes of a new batch for the readers at the end of its log.
    pub(crate) fn remember(&self, batches: impl IntoIterator<Item = (LogId, Offset, Bytes)>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        for (log, base, bytes) in batches {
            cache.insert((log, base), bytes);
        }
    }

    pub(crate) fn query(&self) -> Query<'_, Spot, Self> {
        Query { state: &self.state, source: self }
    }

    /// Figures of the engine's own.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let hits = self.units.hits();
        let tail = self.cache.lock().unwrap_or_else(PoisonError::into_inner).hits;
        let counter = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let (rows, files, memory) = {
            let state = self.state();
            (state.changed_rows(), state.file_count(), state.memory_bytes())
        };
        let cached = self.cache.lock().unwrap_or_else(PoisonError::into_inner).bytes;
        let debt = self.drain_debt();
        let debt_bytes = debt * self.allowance.segment_bytes;
        let figure = |name, about, value| Figure { name, about, value };
        vec![
            figure("wal_bytes", "Bytes of the log's segments.", counter(&self.counters.disk_bytes)),
            figure(
                "drain_debt_bytes",
                "Bytes of segments beyond those that may wait for a drain: data is slowed down.",
                debt_bytes as f64,
            ),
            figure("drain_debt_segments", "The same in segments.", debt as f64),
            figure(
                "reserve_bytes",
                "Bytes kept for draining, merging and checkpoints on a full disk.",
                counter(&self.counters.reserve_bytes),
            ),
            figure("unit_bytes", "Bytes of resting files.", counter(&self.counters.unit_bytes)),
            figure("state_bytes", "Bytes of state tables.", counter(&self.counters.state_bytes)),
            state_memory(memory),
            figure("tail_cache_bytes", "The newest records in memory.", cached as f64),
            figure("units", "Resting files in use.", files as f64),
            figure("drains_total", "Drains of segments.", counter(&self.counters.drains)),
            figure("merges_total", "Merges of resting files.", counter(&self.counters.merges)),
            figure("checkpoints_total", "Checkpoints.", counter(&self.counters.checkpoints)),
            figure("changed_rows", "Rows that the next checkpoint writes.", rows as f64),
            figure("tail_cache_hits_total", "Batches found in memory.", tail.found as f64),
            figure("tail_cache_misses_total", "Batches read from segments.", tail.missed as f64),
            figure(
                "hot_unit_bytes",
                "Bytes of segment files of busy logs, among those of resting files.",
                counter(&self.counters.hot_unit_bytes),
            ),
            figure("pool_bytes", "Bytes of free segments.", counter(&self.counters.pool_bytes)),
            figure("index_cache_bytes", "Indexes of runs in memory.", hits.bytes as f64),
            figure("index_cache_hits_total", "Indexes found in memory.", hits.found as f64),
            figure("index_cache_misses_total", "Indexes read from disk.", hits.missed as f64),
        ]
    }

    /// The clocks now.
    pub(crate) fn clocks(&self) -> Clocks {
        let (instant, clocks) = self.started;
        let passed = i64::try_from(instant.elapsed().as_millis()).unwrap_or(i64::MAX);
        Clocks {
            engine_ms: clocks.engine_ms.saturating_add(passed),
            wall_ms: clocks.wall_ms.saturating_add(passed),
        }
    }
}

impl View {
    /// The bytes of a batch in the write-ahead log or in memory.
    pub(crate) fn fetch_spot(&self, spot: &Spot) -> Result<Bytes, Miss> {
        let (segment, position, length) = match spot {
            Spot::Memory(bytes) => return Ok(Bytes::clone(bytes)),
            Spot::Disk { segment, position, length } => (*segment, *position, *length),
        };
        let segment = self.segments.get(segment.into()).ok_or(Miss::Moved)?;
        let unreadable = |error: String| Miss::Failed(ReadError::Unreadable(error));
        let frame = segment.read_frame(position.into(), length as usize);
        let frame = frame.map_err(|error| unreadable(error.to_string()))?;
        entry::payload(&frame).map_err(|error| unreadable(error.to_string()))
    }
}

impl Source<Spot> for View {
    fn fetch(&self, log: LogId, found: &Found<Spot>) -> Result<Bytes, Miss> {
        let mut cached = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = cached.get((log, found.base)) {
            return Ok(bytes);
        }
        drop(cached);
        self.fetch_spot(&found.place)
    }

    fn read(&self, run: &Run, from: Offset, max_bytes: usize) -> Result<Vec<StoredBatch>, Miss> {
        self.units.read(run, from, max_bytes)
    }

    fn next(
        &self,
        run: &Run,
        filter: &Filter,
        from: Offset,
        hidden: &Hidden,
    ) -> Result<Option<Offset>, Miss> {
        self.units.next(run, filter, from, hidden)
    }

    fn last(
        &self,
        run: &Run,
        filter: &Filter,
        before: Offset,
        hidden: &Hidden,
    ) -> Result<Option<Offset>, Miss> {
        self.units.last(run, filter, before, hidden)
    }

    fn offsets(
        &self,
        run: &Run,
        search: &Search<'_>,
        hidden: &Hidden,
    ) -> Result<Vec<Offset>, Miss> {
        self.units.offsets(run, search, hidden)
    }

    fn count(&self, run: &Run, search: &Search<'_>, hidden: &Hidden) -> Result<u64, Miss> {
        self.units.count(run, search, hidden)
    }

    fn at_or_after(
        &self,
        run: &Run,
        from: Offset,
        timestamp_ms: i64,
    ) -> Result<Option<StoredBatch>, Miss> {
        self.units.at_or_after(run, from, timestamp_ms)
    }

    fn appended_since(&self, run: &Run, clock_ms: i64) -> Result<Offset, Miss> {
        self.units.appended_since(run, clock_ms)
    }
}

/// The newest batches, first in first out.
#[derive(Debug)]
struct Cache {
    limit: usize,
    bytes: usize,
    batches: HashMap<(LogId, Offset), Bytes>,
    order: VecDeque<(LogId, Offset)>,
    hits: Hits,
}

/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 128;

impl Cache {
    fn new(limit: usize) -> Self {
        let (batches, order, hits) = (HashMap::new(), VecDeque::new(), Hits::default());
        Self { limit, bytes: 0, batches, order, hits }
    }

    fn get(&mut self, key: (LogId, Offset)) -> Option<Bytes> {
        let found = self.batches.get(&key).cloned();
        match found {
            Some(_) => self.hits.found += 1,
            None => self.hits.missed += 1,
        }
        found
    }

    fn insert(&mut self, key: (LogId, Offset), bytes: Bytes) {
        let cost = bytes.len() + ENTRY_BYTES;
        if cost > self.limit / 4 {
            return;
        }
        while self.bytes + cost > self.limit {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(gone) = self.batches.remove(&oldest) {
                self.bytes -= gone.len() + ENTRY_BYTES;
            }
        }
        if self.batches.insert(key, bytes).is_none() {
            self.bytes += cost;
            self.order.push_back(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_keeps_to_its_budget_and_forgets_the_oldest_first() {
        let mut cache = Cache::new(10 * (100 + ENTRY_BYTES));
        for base in 0..50 {
            cache.insert((LogId(1), base), Bytes::from(vec![0; 100]));
            assert!(cache.bytes <= cache.limit);
        }
        assert_eq!(cache.batches.len(), 10);
        assert!(cache.get((LogId(1), 40)).is_some() && cache.get((LogId(1), 39)).is_none());
        cache.insert((LogId(2), 0), Bytes::from(vec![0; 10_000]));
        assert!(cache.get((LogId(2), 0)).is_none(), "too large to push all others out");
    }
}
