//! The resting files that are open, and reading the runs in them.
//!
//! Files and indexes of runs are opened when they are first asked for and kept within limits; the
//! newest in use stay. A file that was merged away is not known any more: whoever still has it
//! reads on, everybody else looks the run up again.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use hashbrown::HashMap;
use model::filter::Filter;
use storage::memory::query::{Miss, Search};
use storage::memory::state::{Hidden, Run};
use storage::{Offset, ReadError, StoredBatch};

use crate::rest::FileId;
use crate::rest::unit::{Kind, RestError, Rested, RunIndex, Unit, Wanted};
use crate::vfs::Vfs;

/// Files that are kept open.
const OPEN_MAX: usize = 256;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Units {
    vfs: Arc<dyn Vfs>,
    kinds: RwLock<HashMap<FileId, Kind>>,
    open: Mutex<Kept<FileId, Arc<Unit>>>,
    indexes: Mutex<Kept<(FileId, u64), Arc<RunIndex>>>,
}

/// How often something was found open.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hits {
    pub(crate) found: u64,
    pub(crate) missed: u64,
    pub(crate) bytes: u64,
}

impl Units {
    /// No file is known yet; indexes may take `index_bytes`.
    pub(crate) fn new(vfs: Arc<dyn Vfs>, index_bytes: usize) -> Self {
        Self {
            vfs,
            kinds: RwLock::default(),
            open: Mutex::new(Kept::new(OPEN_MAX)),
            indexes: Mutex::new(Kept::new(index_bytes)),
        }
    }

    /// A file may be read from now on.
    pub(crate) fn add(&self, id: FileId, kind: Kind) {
        self.kinds.write().unwrap_or_else(PoisonError::into_inner).insert(id, kind);
    }

    /// A file is to be opened by nobody any more.
    pub(crate) fn remove(&self, id: FileId) {
        self.kinds.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        lock(&self.open).remove(&id);
    }

    /// The open file.
    pub(crate) fn unit(&self, id: FileId) -> Result<Arc<Unit>, Miss> {
        if let Some(unit) = lock(&self.open).get(&id) {
            return Ok(unit);
        }
        let kind = self.kinds.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied();
        let kind = kind.ok_or(Miss::Moved)?;
        let unit = match Unit::open(&self.vfs, id, kind) {
            Ok(unit) => Arc::new(unit),
            // It may have gone between the two looks.
            Err(_) if !self.knows(id) => return Err(Miss::Moved),
            Err(error) => return Err(unreadable(&error)),
        };
        lock(&self.open).insert(id, unit.clone(), 1);
        Ok(unit)
    }

    fn knows(&self, id: FileId) -> bool {
        self.kinds.read().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    fn index(&self, unit: &Unit, run: &Run) -> Result<Arc<RunIndex>, Miss> {
        let key = (unit.id(), run.section.0);
        if let Some(index) = lock(&self.indexes).get(&key) {
            return Ok(index);
        }
        let index = unit.index(run.section).map_err(|error| unreadable(&error))?;
        let index = Arc::new(index);
        lock(&self.indexes).insert(key, index.clone(), index.memory_bytes());
        Ok(index)
    }

    /// Does something with an open run.
    fn with<T>(
        &self,
        run: &Run,
        look: impl FnOnce(&crate::rest::unit::Run<'_>) -> Result<T, RestError>,
    ) -> Result<T, Miss> {
        let unit = self.unit(FileId(run.file))?;
        let index = self.index(&unit, run)?;
        look(&unit.run(&index)).map_err(|error| unreadable(&error))
    }

    pub(crate) fn read(
        &self,
        run: &Run,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<StoredBatch>, Miss> {
        let batches = self.rested(run, from, max_bytes)?;
        Ok(batches.into_iter().map(stored).collect())
    }

    /// Batches with all that is known of them.
    pub(crate) fn rested(
        &self,
        run: &Run,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Rested>, Miss> {
        self.with(run, |open| open.read(from, max_bytes))
    }

    pub(crate) fn next(
        &self,
        run: &Run,
        filter: &Filter,
        from: Offset,
        hidden: &Hidden,
    ) -> Result<Option<Offset>, Miss> {
        let hides = |offset| hidden.hides(offset);
        let wanted = wanted(filter, run, hidden, &hides);
        self.with(run, |open| open.next(from.max(hidden.first), &wanted))
    }

    pub(crate) fn last(
        &self,
        run: &Run,
        filter: &Filter,
        before: Offset,
        hidden: &Hidden,
    ) -> Result<Option<Offset>, Miss> {
        let hides = |offset| hidden.hides(offset);
        let wanted = wanted(filter, run, hidden, &hides);
        self.with(run, |open| open.last_before(before, &wanted))
    }

    pub(crate) fn offsets(
        &self,
        run: &Run,
        search: &Search<'_>,
        hidden: &Hidden,
    ) -> Result<Vec<Offset>, Miss> {
        let hides = |offset| hidden.hides(offset);
        let wanted = wanted(search.filter, run, hidden, &hides);
        let mut found = Vec::new();
        self.with(run, |open| {
            open.offsets(part(run, &search.range), &wanted, search.limit, &mut found)
        })?;
        Ok(found)
    }

    pub(crate) fn count(
        &self,
        run: &Run,
        search: &Search<'_>,
        hidden: &Hidden,
    ) -> Result<u64, Miss> {
        let hides = |offset| hidden.hides(offset);
        let wanted = wanted(search.filter, run, hidden, &hides);
        self.with(run, |open| open.count(part(run, &search.range), &wanted))
    }

    pub(crate) fn at_or_after(
        &self,
        run: &Run,
        from: Offset,
        timestamp_ms: i64,
    ) -> Result<Option<StoredBatch>, Miss> {
        Ok(self.with(run, |open| open.at_or_after(from, timestamp_ms))?.map(stored))
    }

    pub(crate) fn appended_since(&self, run: &Run, clock_ms: i64) -> Result<Offset, Miss> {
        self.with(run, |open| Ok(open.younger_than(clock_ms).unwrap_or(run.last + 1)))
    }

    /// How often indexes were found, and what they take.
    pub(crate) fn hits(&self) -> Hits {
        lock(&self.indexes).hits
    }
}

/// What of a range a query looks for in this run, which may be only a part of it.
fn part(run: &Run, range: &std::ops::Range<Offset>) -> std::ops::Range<Offset> {
    range.start.max(run.base)..range.end
}

fn wanted<'a>(
    filter: &'a Filter,
    run: &Run,
    hidden: &Hidden,
    hides: &'a dyn Fn(Offset) -> bool,
) -> Wanted<'a> {
    let any = hidden.first > run.base || hidden.any_deleted(run.base, run.last);
    Wanted { filter, hidden: any.then_some(hides) }
}

fn stored(batch: Rested) -> StoredBatch {
    StoredBatch {
        base: batch.base,
        last: batch.last,
        max_timestamp_ms: batch.max_timestamp_ms,
        bytes: batch.bytes,
        subjects: batch.subjects,
    }
}

fn unreadable(error: &RestError) -> Miss {
    let told = match error {
        RestError::Io { source, .. } => format!("{error}: {source}"),
        RestError::Damaged(_) | RestError::TooNew { .. } => error.to_string(),
    };
    Miss::Failed(ReadError::Unreadable(told))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Things that are kept up to a limit; those that nobody asked for go first.
#[derive(Debug)]
struct Kept<K, V> {
    limit: usize,
    weight: usize,
    map: HashMap<K, Entry<V>>,
    /// In the order of the last look at them.
    order: VecDeque<K>,
    hits: Hits,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: usize,
    used: bool,
}

impl<K: Copy + Eq + Hash, V: Clone> Kept<K, V> {
    fn new(limit: usize) -> Self {
        let (map, order) = (HashMap::new(), VecDeque::new());
        Self { limit, weight: 0, map, order, hits: Hits::default() }
    }

    fn get(&mut self, key: &K) -> Option<V> {
        match self.map.get_mut(key) {
            Some(entry) => {
                entry.used = true;
                self.hits.found += 1;
                Some(entry.value.clone())
            }
            None => {
                self.hits.missed += 1;
                None
            }
        }
    }

    fn insert(&mut self, key: K, value: V, weight: usize) {
        while self.weight + weight > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            match self.map.get_mut(&oldest) {
                Some(entry) if entry.used => {
                    entry.used = false;
                    self.order.push_back(oldest);
                }
                Some(_) => self.remove(&oldest),
                None => {}
            }
        }
        if let Some(before) = self.map.insert(key, Entry { value, weight, used: false }) {
            self.weight -= before.weight;
        } else {
            self.order.push_back(key);
        }
        self.weight += weight;
        self.hits.bytes = self.weight as u64;
    }

    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.map.remove(key) {
            self.weight -= entry.weight;
            self.hits.bytes = self.weight as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays_and_the_rest_goes_in_order() {
        let mut kept = Kept::new(3);
        for key in 0..3 {
            kept.insert(key, key, 1);
        }
        assert_eq!(kept.get(&0), Some(0));
        kept.insert(3, 3, 1);
        assert_eq!((kept.get(&0), kept.get(&1)), (Some(0), None));
        assert_eq!(kept.weight, 3);
        kept.remove(&0);
        kept.insert(2, 7, 2);
        assert_eq!((kept.get(&2), kept.weight), (Some(7), 3));
    }
}
