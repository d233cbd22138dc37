//! What readers share with the lane: the index, the segments and the newest batches in memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use hashbrown::HashMap;
use storage::memory::state::{Found, Place, State};
use storage::memory::{present, seek};
use storage::{EngineStats, LogId, Offset, ReadError, ReadLimits, StoredBatch};

use crate::entry;
use crate::wal::Segments;

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

impl Spot {
    /// Whether it is the frame at this position of that segment.
    pub(crate) fn is_at(&self, at: (u32, u32)) -> bool {
        match self {
            Self::Memory(_) => false,
            Self::Disk { segment, position, .. } => (*segment, *position) == at,
        }
    }
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
            poisoned: self.poisoned.load(Ordering::Relaxed),
        }
    }
}

/// How often a reader looks again after the batch that it looked up was moved away.
const ATTEMPTS: usize = 10;

/// Why bytes could not be had.
enum Missing {
    /// The segment was reclaimed after the look-up: look again.
    Moved,
    Unreadable(ReadError),
}

impl View {
    pub(crate) fn new(state: State<Spot>, segments: Segments, cache_bytes: usize) -> Self {
        let cache = Mutex::new(Cache::new(cache_bytes));
        Self { state: RwLock::new(state), segments, cache, counters: Counters::default() }
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

    pub(crate) fn read(
        &self,
        log: LogId,
        from: Offset,
        limits: ReadLimits,
    ) -> Result<Vec<StoredBatch>, ReadError> {
        self.again(|| {
            let found = self.state().read(log, from, limits)?;
            let mut batches = Vec::with_capacity(found.len());
            for found in found {
                let bytes = self.fetch(log, &found)?;
                batches.extend(present(found, bytes)?);
            }
            Ok(batches)
        })
    }

    pub(crate) fn seek(
        &self,
        log: LogId,
        timestamp_ms: i64,
    ) -> Result<Option<(Offset, i64)>, ReadError> {
        self.again(|| {
            let moved = std::cell::Cell::new(false);
            let result = seek(
                timestamp_ms,
                |from| self.state().at_or_after(log, from, timestamp_ms),
                |base| self.state().bounds(log).map_or(base, |bounds| bounds.first),
                |found| {
                    self.fetch(log, found).map_err(|missing| match missing {
                        Missing::Unreadable(error) => error,
                        Missing::Moved => {
                            moved.set(true);
                            ReadError::NoLog
                        }
                    })
                },
            );
            if moved.get() { Err(Missing::Moved) } else { Ok(result?) }
        })
    }

    fn again<T>(&self, read: impl Fn() -> Result<T, Missing>) -> Result<T, ReadError> {
        for _ in 0..ATTEMPTS {
            match read() {
                Ok(found) => return Ok(found),
                Err(Missing::Unreadable(error)) => return Err(error),
                Err(Missing::Moved) => {}
            }
        }
        Err(ReadError::Unreadable("the records are being moved".into()))
    }

    fn fetch(&self, log: LogId, found: &Found<Spot>) -> Result<Bytes, Missing> {
        let (segment, position, length) = match &found.place {
            Spot::Memory(bytes) => return Ok(Bytes::clone(bytes)),
            Spot::Disk { segment, position, length } => (*segment, *position, *length),
        };
        let cached = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = cached.get((log, found.base)) {
            return Ok(bytes);
        }
        drop(cached);
        let segment = self.segments.get(segment.into()).ok_or(Missing::Moved)?;
        let unreadable = |error: String| Missing::Unreadable(ReadError::Unreadable(error));
        let frame = segment.read_frame(position.into(), length as usize);
        let frame = frame.map_err(|error| unreadable(error.to_string()))?;
        entry::payload(&frame).map_err(|error| unreadable(error.to_string()))
    }
}

impl From<ReadError> for Missing {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
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
