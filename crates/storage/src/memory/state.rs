//! What an engine knows: logs, rows, cursors and references, as the committed images made it.
//!
//! The bytes of batches are elsewhere; the state keeps a [`Place`] for each. It also counts the
//! live bytes of each place's home (a segment), so that an engine on disk knows what it can
//! reclaim.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use model::filter::Filter;
use model::subject::Subject;

use super::image::{BatchImage, Image, LogRow, Target};
pub use super::log::Found;
use super::log::Log;
use crate::{
    Bounds, CursorState, LogId, Mode, Offset, ReadError, ReadLimits, Reference, SubjectSpan,
};

/// Where the bytes of a batch are.
pub trait Place: Clone + Debug + Send + Sync {
    /// Which unit of reclaiming they are in; 0 where there is none.
    fn home(&self) -> u32;
    /// How many they are.
    fn bytes(&self) -> u64;
}

impl Place for Bytes {
    fn home(&self) -> u32 {
        0
    }

    fn bytes(&self) -> u64 {
        self.len() as u64
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct State<P> {
    pub(super) logs: HashMap<LogId, Log<P>>,
    tables: BTreeMap<Box<str>, BTreeMap<Bytes, Row>>,
    cursors: BTreeMap<(Bytes, LogId), Cursor>,
    /// Live bytes by home.
    live: BTreeMap<u32, u64>,
    /// Nothing is freed while images are still to come.
    replaying: bool,
}

#[derive(Debug)]
struct Row {
    value: Bytes,
    home: u32,
}

#[derive(Debug)]
struct Cursor {
    state: CursorState,
    home: u32,
}

/// Names one row: anything of the state but a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowKey {
    /// A log without its records.
    Log(LogId),
    /// A cursor.
    Cursor(Bytes, LogId),
    /// A producer's window on a log.
    Producer(LogId, i64),
    /// A row of a table.
    Row(Arc<str>, Bytes),
}

/// What an image of a log or a small row counts for.
const ROW_BYTES: u64 = 64;

impl Row {
    fn bytes(&self, key: &Bytes) -> u64 {
        ROW_BYTES + (key.len() + self.value.len()) as u64
    }
}

impl Cursor {
    fn bytes(&self, name: &Bytes) -> u64 {
        ROW_BYTES + (name.len() + 16 * self.state.done.len()) as u64
    }
}

impl<P: Place> Default for State<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Place> State<P> {
    /// An empty state.
    pub fn new() -> Self {
        Self {
            logs: HashMap::new(),
            tables: BTreeMap::new(),
            cursors: BTreeMap::new(),
            live: BTreeMap::new(),
            replaying: false,
        }
    }

    /// An empty state that images of a whole journal are applied to, until
    /// [`Self::finish_replay`].
    pub fn replaying() -> Self {
        Self { replaying: true, ..Self::new() }
    }

    /// Takes in an image other than a batch; `home` is where it is stored.
    pub fn apply(&mut self, image: &Image, home: u32) {
        match image {
            Image::Log(row) => self.apply_log(row, home),
            Image::Batch(_) => debug_assert!(false, "a batch comes with its place"),
            Image::Delete { log, offsets } => self.apply_delete(*log, offsets),
            Image::Cursor { name, log, state } => {
                self.apply_cursor(name, *log, state.as_ref(), home);
            }
            Image::Settle { queue, places } => self.apply_settle(*queue, places),
            Image::Row { table, key, value } => {
                self.apply_row(table, key, value.as_ref(), home);
            }
            Image::Producer { log, id, window } => {
                self.log_mut(*log).producer(*id).set(window, home);
            }
        }
    }

    /// Takes in a batch whose bytes are at `place`; its image is stored in the same home.
    pub fn apply_batch(&mut self, image: &BatchImage, place: P) {
        let home = place.home();
        self.add_live(home, place.bytes());
        let log = self.log_mut(image.log);
        if let Some(producer) = image.producer.as_ref().filter(|_| !image.moved) {
            log.producer(producer.id).push(producer, (image.base, image.last), home);
        }
        let before = log.insert(image, place);
        self.freed(before);
        for target in &image.targets {
            self.apply_target(image, target);
        }
        // A moved batch may have lost its last holder in the group that moves it.
        self.free(image.log, image.base);
    }

    fn apply_target(&mut self, image: &BatchImage, target: &Target) {
        let offset = image.base + u64::from(target.index);
        let queue = self.log_mut(target.queue);
        queue.row.next = queue.row.next.max(target.place + 1);
        if queue.row.dropped || queue.refs.insert(target.place, (image.log, offset)).is_some() {
            return;
        }
        if let Some(log) = self.logs.get_mut(&image.log)
            && let Some((_, batch)) = log.batch_mut(offset)
        {
            batch.refs += 1;
        }
    }

    /// The row tells the next offset too: entries that have moved it on since are in the same home
    /// or a newer one, so a row whose home goes is written again before theirs can go.
    fn apply_log(&mut self, row: &LogRow, home: u32) {
        let log = self.log_mut(row.log);
        let before = log.known.then_some(log.row_home);
        let trimmed = log.trim(row.first);
        let next = log.row.next;
        let was_dropped = log.row.dropped;
        log.row = LogRow { first: log.row.first, next: next.max(row.next), ..*row };
        log.known = true;
        log.row_home = home;
        self.add_live(home, ROW_BYTES);
        if let Some(before) = before {
            self.take_live(before, ROW_BYTES);
        }
        if row.dropped && !was_dropped {
            self.drop_log(row.log);
        } else if let Some(range) = trimmed {
            self.free_range(row.log, range);
        }
    }

    /// The log that was marked as dropped lets go of all that nobody holds.
    fn drop_log(&mut self, id: LogId) {
        let names: Vec<_> = self
            .cursors
            .keys()
            .filter(|(_, log)| *log == id)
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.apply_cursor(&name, id, None, 0);
        }
        let Some(log) = self.logs.get_mut(&id) else { return };
        log.forget_floors();
        log.producers.clear();
        let places: Vec<_> = log.refs.keys().copied().collect();
        self.apply_settle(id, &places);
        self.free_range(id, (0, Offset::MAX));
        self.forget_dropped(id);
    }

    /// Removes a dropped log of which nothing is held any more.
    fn forget_dropped(&mut self, id: LogId) {
        if self.replaying {
            return;
        }
        if let Some(log) = self.logs.get(&id)
            && log.row.dropped
            && log.batches.is_empty()
        {
            let home = log.row_home;
            self.logs.remove(&id);
            self.take_live(home, ROW_BYTES);
        }
    }

    fn apply_delete(&mut self, id: LogId, offsets: &[Offset]) {
        let Some(log) = self.logs.get_mut(&id) else { return };
        let mut touched: Vec<_> = offsets.iter().filter_map(|at| log.delete(*at)).collect();
        touched.dedup();
        for base in touched {
            self.free(id, base);
        }
    }

    fn apply_cursor(&mut self, name: &Bytes, id: LogId, state: Option<&CursorState>, home: u32) {
        let key = (name.clone(), id);
        let before = self.cursors.remove(&key);
        if let Some(before) = &before {
            self.take_live(before.home, before.bytes(name));
        }
        if let Some(state) = state {
            let cursor = Cursor { state: state.clone(), home };
            self.add_live(home, cursor.bytes(name));
            self.cursors.insert((Bytes::copy_from_slice(name), id), cursor);
        } else if before.is_none() {
            return;
        }
        let log = self.log_mut(id);
        let floor = before.map(|before| before.state.floor);
        if let Some(range) = log.move_floor(floor, state.map(|state| state.floor)) {
            self.free_range(id, range);
        }
    }

    fn apply_settle(&mut self, queue: LogId, places: &[u64]) {
        for place in places {
            let Some(queue) = self.logs.get_mut(&queue) else { return };
            let Some((id, offset)) = queue.refs.remove(place) else { continue };
            let Some(log) = self.logs.get_mut(&id) else { continue };
            let Some((base, batch)) = log.batch_mut(offset) else { continue };
            batch.refs = batch.refs.saturating_sub(1);
            if batch.refs == 0 {
                self.free(id, base);
                self.forget_dropped(id);
            }
        }
    }

    fn apply_row(&mut self, table: &str, key: &Bytes, value: Option<&Bytes>, home: u32) {
        if !self.tables.contains_key(table) {
            self.tables.insert(table.into(), BTreeMap::new());
        }
        let Some(rows) = self.tables.get_mut(table) else { return };
        let before = match value {
            Some(value) => {
                let row = Row { value: Bytes::copy_from_slice(value), home };
                let bytes = row.bytes(key);
                let before = match rows.get_mut(key) {
                    Some(place) => Some(std::mem::replace(place, row)),
                    None => rows.insert(Bytes::copy_from_slice(key), row),
                };
                self.add_live(home, bytes);
                before
            }
            None => rows.remove(key),
        };
        if let Some(before) = before {
            self.take_live(before.home, before.bytes(key));
        }
    }

    /// The log, made up when only parts of it have been seen in a replay.
    ///
    /// Outside of a replay a log is made by its row, and everything else comes after it.
    fn log_mut(&mut self, id: LogId) -> &mut Log<P> {
        self.logs.entry(id).or_insert_with(|| {
            Log::new(LogRow {
                log: id,
                mode: Mode::Durable,
                first: 0,
                next: 0,
                lease: 0,
                epoch: 0,
                dropped: false,
            })
        })
    }

    fn free(&mut self, id: LogId, base: Offset) {
        if self.replaying {
            return;
        }
        let place = self.logs.get_mut(&id).and_then(|log| log.free(base));
        self.freed(place);
    }

    fn free_range(&mut self, id: LogId, range: (Offset, Offset)) {
        if self.replaying {
            return;
        }
        let bases = self.logs.get(&id).map(|log| log.bases(range)).unwrap_or_default();
        for base in bases {
            self.free(id, base);
        }
    }

    fn freed(&mut self, place: Option<P>) {
        if let Some(place) = place {
            self.take_live(place.home(), place.bytes());
        }
    }

    fn add_live(&mut self, home: u32, bytes: u64) {
        if home > 0 {
            *self.live.entry(home).or_default() += bytes;
        }
    }

    fn take_live(&mut self, home: u32, bytes: u64) {
        if let Some(live) = self.live.get_mut(&home) {
            *live = live.saturating_sub(bytes);
            if *live == 0 {
                self.live.remove(&home);
            }
        }
    }

    /// All images were applied: what nobody holds goes, what was not stored is gone, and logs that
    /// hold a lease go on at its end.
    pub fn finish_replay(&mut self) {
        self.replaying = false;
        let ids: Vec<_> = self.logs.keys().copied().collect();
        for id in &ids {
            let Some(log) = self.logs.get_mut(id) else { continue };
            if !log.known {
                log.row.dropped = true;
            }
            let volatile = log.row.mode == Mode::Memory && !log.row.dropped;
            if log.row.lease > log.row.next {
                log.row.next = log.row.lease;
                log.row.epoch = log.row.epoch.saturating_add(1);
            }
            let next = log.row.next;
            if volatile {
                // Its references and records were of the run that has ended.
                let places: Vec<_> = log.refs.keys().copied().collect();
                log.trim(next);
                self.apply_settle(*id, &places);
            }
        }
        for id in &ids {
            if self.logs.get(id).is_some_and(|log| log.row.dropped) {
                self.drop_log(*id);
            }
            self.free_range(*id, (0, Offset::MAX));
            self.forget_dropped(*id);
        }
    }

    /// Images that end all leases: the logs go on without a gap after a clean stop.
    pub fn end_leases(&self) -> Vec<Image> {
        let leased = self.logs.values().filter(|log| log.exists() && log.row.lease > log.row.next);
        let mut rows: Vec<_> =
            leased.map(|log| LogRow { lease: log.row.next, ..log.row }).collect();
        rows.sort_unstable_by_key(|row| row.log);
        rows.into_iter().map(Image::Log).collect()
    }

    /// The row of a log that exists.
    pub fn row(&self, log: LogId) -> Option<LogRow> {
        self.logs.get(&log).filter(|log| log.exists()).map(|log| log.row)
    }

    /// Live bytes of a home.
    pub fn live(&self, home: u32) -> u64 {
        self.live.get(&home).copied().unwrap_or_default()
    }

    /// Live bytes in all.
    pub fn live_total(&self) -> u64 {
        self.live.values().sum()
    }

    /// Everything but batches whose newest image is at or below `home`: logs first, since all
    /// else is about them.
    pub fn rows_up_to(&self, home: u32) -> Vec<RowKey> {
        let old = |log: &&Log<P>| log.known && log.row_home <= home;
        let mut keys: Vec<_> =
            self.logs.values().filter(old).map(|log| RowKey::Log(log.row.log)).collect();
        let cursors = self.cursors.iter().filter(|(_, cursor)| cursor.home <= home);
        keys.extend(cursors.map(|((name, log), _)| RowKey::Cursor(name.clone(), *log)));
        for log in self.logs.values().filter(|log| log.row.mode != Mode::Memory) {
            let producers = log.producers.iter().filter(|(_, known)| known.home() <= home);
            keys.extend(producers.map(|(id, _)| RowKey::Producer(log.row.log, *id)));
        }
        for (table, rows) in &self.tables {
            let table: Arc<str> = Arc::from(table.as_ref());
            let rows = rows.iter().filter(|(_, row)| row.home <= home);
            keys.extend(rows.map(|(key, _)| RowKey::Row(table.clone(), key.clone())));
        }
        keys
    }

    /// The image of a row as it is now, unless it is gone or has a newer home than `home`.
    pub fn image(&self, key: &RowKey, home: u32) -> Option<Image> {
        match key {
            RowKey::Log(id) => {
                let log = self.logs.get(id)?;
                (log.known && log.row_home <= home).then_some(Image::Log(log.row))
            }
            RowKey::Cursor(name, log) => {
                let cursor = self.cursors.get(&(name.clone(), *log))?;
                let state = Some(cursor.state.clone());
                let image = Image::Cursor { name: name.clone(), log: *log, state };
                (cursor.home <= home).then_some(image)
            }
            RowKey::Producer(log, id) => {
                let known = self.logs.get(log)?.producers.get(id)?;
                let window = known.window.clone();
                (known.home() <= home).then_some(Image::Producer { log: *log, id: *id, window })
            }
            RowKey::Row(table, key) => {
                let row = self.tables.get(table.as_ref())?.get(key)?;
                let (key, value) = (key.clone(), Some(row.value.clone()));
                let table = Cow::Owned(table.to_string());
                (row.home <= home).then_some(Image::Row { table, key, value })
            }
        }
    }

    /// The image of a batch that is to be moved, if it is still at the place where it was found.
    pub fn batch_at(
        &self,
        log: LogId,
        base: Offset,
        is_there: impl FnOnce(&P) -> bool,
    ) -> Option<BatchImage> {
        let found = self.logs.get(&log)?;
        let batch = found.batches.get(&base).filter(|batch| is_there(&batch.place))?;
        Some(BatchImage {
            log,
            base,
            last: batch.last,
            max_timestamp_ms: batch.max_timestamp_ms,
            subjects: found.subjects.subjects(&batch.column),
            targets: Vec::new(),
            deleted: batch.deleted.clone(),
            producer: None,
            moved: true,
        })
    }

    /// Whether a reference is unsettled.
    pub fn awaits(&self, queue: LogId, place: u64) -> bool {
        self.logs.get(&queue).is_some_and(|queue| queue.refs.contains_key(&place))
    }

    fn existing(&self, log: LogId) -> Option<&Log<P>> {
        self.logs.get(&log).filter(|log| log.exists())
    }

    /// See [`Engine::read`](crate::Engine::read); the bytes are still to be fetched.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn read(
        &self,
        log: LogId,
        from: Offset,
        limits: ReadLimits,
    ) -> Result<Vec<Found<P>>, ReadError> {
        let log = self.logs.get(&log).filter(|log| log.exists() || limits.held);
        let log = log.ok_or(ReadError::NoLog)?;
        let (first, end) = (log.row.first, log.row.next);
        if from > end || (from < first && !limits.held) {
            return Err(ReadError::OutOfRange { first, end });
        }
        Ok(log.read(from, limits.max_bytes, limits.held))
    }

    /// See [`Engine::bounds`](crate::Engine::bounds).
    pub fn bounds(&self, log: LogId) -> Option<Bounds> {
        self.existing(log).map(Log::bounds)
    }

    /// The first visible batch from `from` on with a record at or after a time.
    ///
    /// # Errors
    ///
    /// [`ReadError::NoLog`].
    pub fn at_or_after(
        &self,
        log: LogId,
        from: Offset,
        timestamp_ms: i64,
    ) -> Result<Option<Found<P>>, ReadError> {
        Ok(self.existing(log).ok_or(ReadError::NoLog)?.at_or_after(from, timestamp_ms))
    }

    /// See [`Engine::last`](crate::Engine::last).
    pub fn last(&self, log: LogId, filter: &Filter) -> Option<Offset> {
        self.existing(log)?.last(filter)
    }

    /// See [`Engine::next`](crate::Engine::next).
    pub fn next(&self, log: LogId, filter: &Filter, from: Offset) -> Option<Offset> {
        self.existing(log)?.next(filter, from)
    }

    /// See [`Engine::subject`](crate::Engine::subject).
    pub fn subject(&self, log: LogId, subject: &Subject) -> Option<SubjectSpan> {
        let log = self.existing(log)?;
        log.subjects.span(subject, log.row.first)
    }

    /// See [`Engine::get`](crate::Engine::get).
    pub fn get(&self, table: &str, key: &[u8]) -> Option<Bytes> {
        self.tables.get(table)?.get(key).map(|row| row.value.clone())
    }

    /// See [`Engine::scan`](crate::Engine::scan).
    pub fn scan(&self, table: &str, from: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        let Some(rows) = self.tables.get(table) else { return Vec::new() };
        let rows = rows.range::<[u8], _>((Bound::Included(from), Bound::Unbounded)).take(limit);
        rows.map(|(key, row)| (key.clone(), row.value.clone())).collect()
    }

    /// See [`Engine::cursors`](crate::Engine::cursors).
    pub fn cursors(&self, from: &[u8], limit: usize) -> Vec<(Bytes, LogId, CursorState)> {
        let from = (Bytes::copy_from_slice(from), LogId(0));
        let cursors = self.cursors.range(from..).take(limit);
        cursors.map(|((name, log), cursor)| (name.clone(), *log, cursor.state.clone())).collect()
    }

    /// See [`Engine::refs`](crate::Engine::refs).
    pub fn refs(&self, queue: LogId, from: u64, limit: usize) -> Vec<Reference> {
        let Some(queue) = self.existing(queue) else { return Vec::new() };
        let refs = queue.refs.range(from..).take(limit);
        refs.map(|(place, (log, offset))| Reference { place: *place, log: *log, offset: *offset })
            .collect()
    }
}
