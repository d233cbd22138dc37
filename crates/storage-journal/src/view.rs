//! What readers share with the lane: the index, the segments and the newest batches in memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use bytes::Bytes;
use hashbrown::HashMap;
use model::filter::Filter;
use storage::memory::query::{Miss, Query, Search, Source};
use storage::memory::state::{Found, Hidden, Place, Run, State};
use storage::{EngineStats, Health, LogId, Offset, ReadError, StoredBatch};

use crate::entry;
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
    pub(crate) counters: Counters,
    /// Segments below this sequence are not needed.
    pub(crate) needed_from: AtomicU64,
    started: (Instant, Clocks),
}

/// Counters that the lane writes and anybody reads.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) padding_bytes: AtomicU64,
    pub(crate) disk_bytes: AtomicU64,
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
            disk_bytes: read(&self.disk_bytes),
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
        segments: Segments,
        cache_bytes: usize,
        clocks: Clocks,
    ) -> Self {
        Self {
            state: RwLock::new(state),
            segments,
            cache: Mutex::new(Cache::new(cache_bytes)),
            counters: Counters::default(),
            needed_from: AtomicU64::new(0),
            started: (Instant::now(), clocks),
        }
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State<Spot>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state_mut(&self) -> RwLockWriteGuard<'_, State<Spot>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
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

/// Reading from resting files is not there yet.
fn no_run<T>() -> Result<T, Miss> {
    Err(Miss::Failed(ReadError::Unreadable("nothing rests".into())))
}

impl Source<Spot> for View {
    fn fetch(&self, log: LogId, found: &Found<Spot>) -> Result<Bytes, Miss> {
        let (segment, position, length) = match &found.place {
            Spot::Memory(bytes) => return Ok(Bytes::clone(bytes)),
            Spot::Disk { segment, position, length } => (*segment, *position, *length),
        };
        let cached = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = cached.get((log, found.base)) {
            return Ok(bytes);
        }
        drop(cached);
        let segment = self.segments.get(segment.into()).ok_or(Miss::Moved)?;
        let unreadable = |error: String| Miss::Failed(ReadError::Unreadable(error));
        let frame = segment.read_frame(position.into(), length as usize);
        let frame = frame.map_err(|error| unreadable(error.to_string()))?;
        entry::payload(&frame).map_err(|error| unreadable(error.to_string()))
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

/// The newest batches, first in first out.
#[derive(Debug)]
struct Cache {
    limit: usize,
    bytes: usize,
    batches: HashMap<(LogId, Offset), Bytes>,
    order: VecDeque<(LogId, Offset)>,
}

/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 128;

impl Cache {
    fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, batches: HashMap::new(), order: VecDeque::new() }
    }

    fn get(&self, key: (LogId, Offset)) -> Option<Bytes> {
        self.batches.get(&key).cloned()
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
