//! All logs of a state, found by their ids.
//!
//! A log costs its place and about ten bytes to be found: logs stand side by side in chunks, so
//! that none has an allocation of its own and growing moves none, and a table of places finds them.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::image::LogRow;
use super::log::Log;
use super::state::Place;
use crate::LogId;

/// Logs of a chunk: so many that it is longer than the 64 KiB blocks in which a start reads them.
/// Into the place of such a block would go a few shorter chunks, and the rest of it would be lost.
const CHUNK: usize = 512;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Logs<P> {
    places: HashTable<u32>,
    chunks: Chunks<P>,
    /// Places without a log.
    free: Vec<u32>,
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct Chunks<P>(Vec<Vec<Option<Log<P>>>>);

impl<P> Chunks<P> {
    fn get(&self, place: u32) -> Option<&Log<P>> {
        let place = place as usize;
        self.0.get(place / CHUNK)?.get(place % CHUNK)?.as_ref()
    }

    fn get_mut(&mut self, place: u32) -> Option<&mut Option<Log<P>>> {
        let place = place as usize;
        self.0.get_mut(place / CHUNK)?.get_mut(place % CHUNK)
    }

    fn push(&mut self, log: Log<P>) -> u32 {
        if self.0.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.0.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.0.len() - 1) * CHUNK;
        let chunk = self.0.last_mut().expect("a chunk with room was made");
        chunk.push(Some(log));
        u32::try_from(before + chunk.len() - 1).expect("fewer logs than 2^32")
    }
}

impl<P: Place> Logs<P> {
    pub(super) fn new() -> Self {
        let (places, chunks) = (HashTable::new(), Chunks(Vec::new()));
        Self { places, chunks, free: Vec::new(), hasher: DefaultHashBuilder::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    fn place(&self, id: LogId) -> Option<u32> {
        let is_it = |place: &u32| self.chunks.get(*place).is_some_and(|log| log.row.log == id);
        self.places.find(self.hasher.hash_one(id), is_it).copied()
    }

    pub(super) fn contains(&self, id: LogId) -> bool {
        self.place(id).is_some()
    }

    pub(super) fn get(&self, id: LogId) -> Option<&Log<P>> {
        self.chunks.get(self.place(id)?)
    }

    pub(super) fn get_mut(&mut self, id: LogId) -> Option<&mut Log<P>> {
        let place = self.place(id)?;
        self.chunks.get_mut(place)?.as_mut()
    }

    /// The log, made if it is not there.
    pub(super) fn get_or_insert(&mut self, id: LogId) -> &mut Log<P> {
        let place = self.place(id).unwrap_or_else(|| self.insert(Log::new(LogRow::none(id))));
        let log = self.chunks.get_mut(place).and_then(Option::as_mut);
        log.expect("a place in the table has a log")
    }

    fn insert(&mut self, log: Log<P>) -> u32 {
        let hash = self.hasher.hash_one(log.row.log);
        let place = match self.free.pop() {
            Some(place) => {
                let free = self.chunks.get_mut(place);
                *free.expect("a free place is one of a chunk") = Some(log);
                place
            }
            None => self.chunks.push(log),
        };
        let (chunks, hasher) = (&self.chunks, &self.hasher);
        self.places.insert_unique(hash, place, |place| {
            chunks.get(*place).map_or(0, |log| hasher.hash_one(log.row.log))
        });
        place
    }

    pub(super) fn remove(&mut self, id: LogId) -> Option<Log<P>> {
        let chunks = &self.chunks;
        let is_it = |place: &u32| chunks.get(*place).is_some_and(|log| log.row.log == id);
        let found = self.places.find_entry(self.hasher.hash_one(id), is_it).ok()?;
        let (place, _) = found.remove();
        self.free.push(place);
        self.chunks.get_mut(place)?.take()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Log<P>> {
        self.chunks.0.iter().flatten().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Log<P>> {
        self.chunks.0.iter_mut().flatten().flatten()
    }

    /// The ids of all logs.
    pub(super) fn ids(&self) -> impl Iterator<Item = LogId> {
        self.iter().map(|log| log.row.log)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn logs_are_found_until_they_are_removed_and_their_places_are_used_again() {
        let mut logs = Logs::<Bytes>::new();
        let ids = || (0..1000_u64).map(|n| LogId(n * n));
        for _ in 0..2 {
            for id in ids() {
                logs.get_or_insert(id).row.next = id.0 + 1;
            }
            assert!(ids().all(|id| logs.get(id).is_some_and(|log| log.row.next == id.0 + 1)));
            assert!(!logs.contains(LogId(2)) && logs.remove(LogId(2)).is_none());
            assert_eq!((logs.len(), logs.iter().count()), (1000, 1000));
            for id in ids().filter(|id| id.0 % 2 == 0) {
                assert_eq!(logs.remove(id).map(|log| log.row.log), Some(id));
            }
            assert!(ids().all(|id| logs.contains(id) == (id.0 % 2 == 1)));
            assert_eq!((logs.len(), logs.ids().count()), (500, 500));
            assert!(logs.chunks.0.len() <= 1000_usize.div_ceil(CHUNK));
        }
    }
}
