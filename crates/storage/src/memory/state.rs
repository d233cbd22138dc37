//! What an engine knows: logs, rows, cursors and references, as the committed images made it.
//!
//! The bytes of batches are elsewhere; the state keeps a [`Place`] for each that stands in the
//! write-ahead log, and a [`Run`] for what rests. It changes by images alone, group by group, and
//! it is the same whether they are applied once as they are committed, or again in a replay on
//! top of the rows that were taken at some group: what those rows know already is passed over.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::{Bound, Range};
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use model::subject::Subject;

use super::image::{BatchImage, Image, LogRow, Target, Window};
pub use super::log::{Found, Hidden, Ref, Run};
use super::log::{Known, Log};
use super::logs::Logs;
use super::rows::refs_block;
pub use super::rows::{LogValue, RowKey, RowValue};
use super::weight::{Weight, adjust};
use crate::{Bounds, CursorState, LogId, Mode, Offset, Policy, Reference, Released, WhenFull};

/// Windows of producers over all logs, beyond which each log keeps only few more.
const PRODUCERS_MAX: u64 = 250_000;
/// The same for ids of messages.
const ONCE_MAX: u64 = 4 << 20;

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
    pub(super) logs: Logs<P>,
    pub(super) tables: BTreeMap<Box<str>, BTreeMap<Bytes, Row>>,
    pub(super) cursors: BTreeMap<(Bytes, LogId), CursorState>,
    /// Batches by home: what was put there, gone or not.
    homes: BTreeMap<u32, Vec<(LogId, Offset)>>,
    /// Runs in each resting file.
    files: HashMap<u64, u32>,
    /// Resting files without a run.
    dead_files: Vec<u64>,
    /// Resting files of which something may have died.
    touched_files: HashSet<u64>,
    pub(super) dirty: Dirty,
    pub(super) weight: Weight,
    /// The group that was applied last.
    applied: u64,
    /// The rows that were loaded know all up to this group.
    known: u64,
}

/// A row of a table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) value: Bytes,
    pub(super) dirty: bool,
}

/// Rows that have changed: those that carry a mark of their own, and the others.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// Those of logs, of which there may be a million.
    logs: Vec<LogId>,
    marked: Vec<RowKey>,
    others: HashSet<RowKey>,
}

impl Dirty {
    pub(super) fn len(&self) -> usize {
        self.logs.len() + self.marked.len() + self.others.len()
    }

    pub(super) fn take(&mut self) -> Vec<RowKey> {
        let logs = std::mem::take(&mut self.logs).into_iter().map(RowKey::Log);
        let marked = std::mem::take(&mut self.marked);
        logs.chain(marked).chain(std::mem::take(&mut self.others)).collect()
    }

    pub(super) fn extend(&mut self, keys: impl IntoIterator<Item = RowKey>) {
        self.others.extend(keys);
    }

    fn mark_log(&mut self, id: LogId) {
        self.logs.push(id);
    }

    fn mark(&mut self, key: RowKey) {
        self.marked.push(key);
    }

    fn add(&mut self, key: RowKey) {
        self.others.insert(key);
    }
}

/// A batch that is to rest.
#[derive(Clone, Debug)]
pub struct Resting<P> {
    /// Offset of the first record.
    pub base: Offset,
    /// Offset of the last record.
    pub last: Offset,
    /// The highest timestamp.
    pub max_timestamp_ms: i64,
    /// Engine clock when it was appended.
    pub appended_ms: i64,
    /// Where it is.
    pub place: P,
    /// The subjects of its records.
    pub subjects: crate::Subjects,
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
            logs: Logs::new(),
            tables: BTreeMap::new(),
            cursors: BTreeMap::new(),
            homes: BTreeMap::new(),
            files: HashMap::new(),
            dead_files: Vec::new(),
            touched_files: HashSet::new(),
            dirty: Dirty::default(),
            weight: Weight::default(),
            applied: 0,
            known: 0,
        }
    }

    /// The rows are loaded; they know all effects up to the group `known`.
    pub fn loaded(&mut self, known: u64) {
        self.known = known;
        self.applied = known;
        for log in self.logs.iter_mut() {
            log.loaded();
        }
    }

    /// The images that come now are those of this group.
    pub fn begin(&mut self, lsn: u64) {
        self.applied = self.applied.max(lsn);
    }

    /// The group that was applied last.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Whether the effects of this group are known from rows.
    pub fn knows(&self, lsn: u64) -> bool {
        lsn <= self.known
    }

    /// Takes in an image other than a batch.
    pub fn apply(&mut self, image: &Image) {
        match image {
            Image::Log(row) => self.apply_log(row),
            Image::Policy { log, policy } => self.apply_policy(*log, policy),
            Image::Batch(_) => debug_assert!(false, "a batch comes with its place"),
            Image::Delete { log, ranges } => self.apply_delete(*log, ranges),
            Image::Cursor { name, log, state } => self.apply_cursor(name, *log, state.as_ref()),
            Image::Settle { queue, places } => self.apply_settle(*queue, places),
            Image::Release { queue, states } => self.apply_release(*queue, states),
            Image::Row { table, key, value } => self.apply_row(table, key, value.as_ref()),
            Image::Producer { log, id, window } => {
                self.with_producer(*log, *id, |known| known.clone_from(window));
            }
        }
    }

    /// Changes the window of a producer; others may be forgotten for it.
    fn with_producer(&mut self, id: LogId, producer: i64, change: impl FnOnce(&mut Window)) {
        let crowded = self.weight.producers >= PRODUCERS_MAX;
        let log = self.log_mut(id);
        let before = log.extra().producers.len();
        let (window, gone) = log.producer(producer, crowded);
        change(window);
        let after = log.extra().producers.len();
        adjust(&mut self.weight.producers, before, after);
        self.dirty.add(RowKey::Producer(id, producer));
        self.dirty.extend(gone.into_iter().map(|gone| RowKey::Producer(id, gone)));
    }

    /// Takes in a batch whose bytes are at `place`.
    pub fn apply_batch(&mut self, image: &BatchImage, place: P) {
        let home = place.home();
        let log = self.log_mut(image.log);
        let before = log.subjects.weight();
        let inserted = log.insert(image, place, false);
        let slots = if inserted { log.show(image) } else { Vec::new() };
        let after = log.subjects.weight();
        adjust(&mut self.weight.subjects, before, after);
        if !inserted {
            return;
        }
        let log = self.log_mut(image.log);
        let clean = !std::mem::replace(&mut log.row.dirty, true);
        let mut keys = Vec::new();
        for slot in slots {
            if let Some(slot) = log.subjects.get(slot) {
                // A clone would leave its count of users behind for as long as the slot is there.
                keys.push(RowKey::Subject(image.log, slot.subject.detached()));
            }
        }
        if let Some(producer) = &image.producer {
            self.with_producer(image.log, producer.id, |window| {
                window.push(producer, image.base, image.last);
            });
        }
        if clean {
            self.dirty.mark_log(image.log);
        }
        keys.into_iter().for_each(|key| self.dirty.mark(key));
        for (index, id) in &image.once {
            let crowded = self.weight.once >= ONCE_MAX;
            let extra = self.log_mut(image.log).extra_mut();
            let before = extra.once.seen.len();
            let offset = image.base + u64::from(*index);
            let window = extra.policy.once_ms;
            let gone = extra.once.push((*id, offset), image.appended_ms, window, crowded);
            let after = extra.once.seen.len();
            adjust(&mut self.weight.once, before, after);
            self.dirty.add(RowKey::Once(image.log, *id));
            self.dirty.extend(gone.into_iter().map(|id| RowKey::Once(image.log, id)));
        }
        for targets in image.targets.chunk_by(|one, next| one.queue == next.queue) {
            self.apply_targets(image, targets);
        }
        self.note_home(home, image);
        let log = self.log_mut(image.log);
        if log.row.dropped || image.last < log.row.first {
            self.free(image.log, (image.base, image.last + 1));
        }
    }

    /// Takes in the place of a batch of a group whose effects are known from rows.
    pub fn place_known(&mut self, image: &BatchImage, place: P) {
        let home = place.home();
        let Some(log) = self.logs.get_mut(image.log) else { return };
        let before = log.subjects.weight();
        let inserted = log.insert(image, place, true);
        adjust(&mut self.weight.subjects, before, log.subjects.weight());
        if inserted {
            self.note_home(home, image);
            // It may have been let go of already; then its bytes are not counted any more.
            let Some(log) = self.logs.get_mut(image.log) else { return };
            let (bytes, before) = (log.bytes, log.subjects.weight());
            let _ = log.free((image.base, image.last + 1));
            log.bytes = bytes;
            adjust(&mut self.weight.subjects, before, log.subjects.weight());
        }
    }

    fn note_home(&mut self, home: u32, image: &BatchImage) {
        if home > 0 {
            self.homes.entry(home).or_default().push((image.log, image.base));
        }
    }

    /// References of one queue.
    fn apply_targets(&mut self, image: &BatchImage, targets: &[Target]) {
        let Some(id) = targets.first().map(|target| target.queue) else { return };
        let ends = targets.iter().map(|target| target.place + 1);
        let queue = self.log_mut(id);
        queue.row.next = ends.fold(queue.row.next, u64::max);
        let clean = !std::mem::replace(&mut queue.row.dirty, true);
        let dropped = queue.row.dropped;
        if clean {
            self.dirty.mark_log(id);
        }
        if dropped {
            return;
        }
        let mut refs = std::mem::take(&mut self.log_mut(id).extra_mut().refs);
        let before = refs.len();
        let mut block = None;
        let log = self.logs.get_or_insert(image.log);
        for Target { index, place, priority, .. } in targets.iter().copied() {
            let (log_id, offset) = (image.log, image.base + u64::from(index));
            let held = Ref { log: log_id, offset, priority, deliveries: 0, not_before_ms: 0 };
            if refs.insert(place, held).is_some() {
                continue;
            }
            log.refer(offset);
            let touched = refs_block(place);
            if block.replace(touched) != Some(touched) {
                self.dirty.add(RowKey::Refs(id, touched));
            }
        }
        adjust(&mut self.weight.refs, before, refs.len());
        self.log_mut(id).extra_mut().refs = refs;
    }

    pub(super) fn load_ref(&mut self, queue: LogId, place: u64, held: Ref) {
        if !self.logs.contains(queue) {
            return;
        }
        let new = self.log_mut(queue).extra_mut().refs.insert(place, held).is_none();
        self.weight.refs += u64::from(new);
        if let Some(log) = self.logs.get_mut(held.log) {
            log.refer(held.offset);
        }
    }

    fn changed(&mut self, id: LogId) {
        if let Some(log) = self.logs.get_mut(id)
            && !std::mem::replace(&mut log.row.dirty, true)
        {
            self.dirty.mark_log(id);
        }
    }

    fn apply_log(&mut self, row: &LogRow) {
        let log = self.log_mut(row.log);
        let before = log.row();
        let trimmed = log.trim(row.first);
        let log_row = LogRow { first: log.row.first, next: before.next.max(row.next), ..*row };
        log.set_row(&log_row);
        self.changed(row.log);
        if let Some((from, to)) = trimmed {
            self.forget_deleted(row.log, from, to);
        }
        if row.dropped && !before.dropped {
            self.drop_log(row.log);
        } else if let Some(range) = trimmed {
            self.free(row.log, range);
            self.sweep_subjects(row.log);
        }
    }

    /// Blocks of the deleted set that lie below the first offset are rows no more.
    fn forget_deleted(&mut self, id: LogId, from: Offset, to: Offset) {
        let few = (to >> 16) - (from >> 16) <= 64;
        let any = self.logs.get(id).is_some_and(|log| log.hidden(false).any_deleted(0, u64::MAX));
        if few || any {
            let blocks = from >> 16..=(to >> 16).min((from >> 16) + 100_000);
            let dirty = &mut self.dirty;
            blocks.for_each(|block| dirty.add(RowKey::Deleted(id, block)));
        }
    }

    fn sweep_subjects(&mut self, id: LogId) {
        let Some(log) = self.logs.get_mut(id) else { return };
        let before = log.subjects.weight();
        let swept = log.subjects.sweep(log.row.first);
        adjust(&mut self.weight.subjects, before, log.subjects.weight());
        for gone in swept {
            self.dirty.add(RowKey::Subject(id, gone));
        }
    }

    fn apply_policy(&mut self, id: LogId, policy: &Policy) {
        let readers: Vec<_> = match policy.until_consumed {
            true => self.cursors.keys().filter(|(_, log)| *log == id).cloned().collect(),
            false => Vec::new(),
        };
        let log = self.log_mut(id);
        let next = log.row.next;
        let extra = log.extra_mut();
        if extra.policy.max_per_subject != policy.max_per_subject {
            extra.counted_from = next;
            let counted = log.subjects.forget_newest();
            self.dirty.extend(counted.into_iter().map(|subject| RowKey::Subject(id, subject)));
        }
        let extra = self.log_mut(id).extra_mut();
        extra.policy = policy.clone();
        extra.readers = readers.into_iter().map(|(name, _)| name).collect();
        self.changed(id);
        self.consume(id, &[]);
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
            self.apply_cursor(&name, id, None);
        }
        let Some(log) = self.logs.get_mut(id) else { return };
        log.forget_floors();
        let mut gone: Vec<_> =
            log.subjects.all().map(|slot| RowKey::Subject(id, slot.subject.into_owned())).collect();
        let places: Vec<_> = log.extra().refs.keys().copied().collect();
        let producers =
            log.extra().producers.keys().map(|producer| RowKey::Producer(id, *producer));
        gone.extend(producers);
        gone.extend(log.extra().once.seen.keys().map(|once| RowKey::Once(id, *once)));
        if !log.extra().producers.is_empty() {
            adjust(&mut self.weight.producers, log.extra().producers.len(), 0);
            log.extra_mut().producers.clear();
        }
        self.dirty.extend(gone);
        self.apply_settle(id, &places);
        self.free(id, (0, Offset::MAX));
        self.forget_dropped(id);
    }

    /// Removes a dropped log of which nothing is held any more.
    fn forget_dropped(&mut self, id: LogId) {
        if let Some(log) = self.logs.get(id)
            && log.row.dropped
            && log.is_empty()
        {
            self.changed(id);
            if let Some(log) = self.logs.remove(id) {
                let extra = log.extra();
                adjust(&mut self.weight.subjects, log.subjects.weight(), 0);
                adjust(&mut self.weight.producers, extra.producers.len(), 0);
                adjust(&mut self.weight.once, extra.once.seen.len(), 0);
                adjust(&mut self.weight.refs, extra.refs.len(), 0);
            }
        }
    }

    fn apply_delete(&mut self, id: LogId, ranges: &[Range<Offset>]) {
        let mut touched = Vec::new();
        for range in ranges {
            let Some(log) = self.logs.get_mut(id) else { return };
            touched.extend(log.delete(range));
            let last = range.end.saturating_sub(1).max(range.start).min(log.row.next);
            for block in range.start >> 16..=last >> 16 {
                self.dirty.add(RowKey::Deleted(id, block));
            }
        }
        self.changed(id);
        touched.dedup();
        for (base, last) in touched {
            self.free(id, (base, last + 1));
        }
    }

    fn apply_cursor(&mut self, name: &Bytes, id: LogId, state: Option<&CursorState>) {
        let key = (name.clone(), id);
        let before = match state {
            Some(state) => match self.cursors.get_mut(&key) {
                Some(place) => Some(std::mem::replace(place, state.clone())),
                None => {
                    let key = (Bytes::copy_from_slice(name), id);
                    self.cursors.insert(key, state.clone())
                }
            },
            None => self.cursors.remove(&key),
        };
        self.dirty.add(RowKey::Cursor(name.clone(), id));
        if state.is_none() && before.is_none() {
            return;
        }
        let log = self.log_mut(id);
        if log.extra().policy.until_consumed {
            let readers = &mut log.extra_mut().readers;
            match state {
                Some(_) => drop(readers.insert(Bytes::copy_from_slice(name))),
                None => drop(readers.remove(name)),
            }
        }
        let floor = before.as_ref().map(|before| before.floor);
        let freed = log.move_floor(floor, state.map(|state| state.floor));
        if let Some(state) = state {
            let known = before.map(|before| before.done).unwrap_or_default();
            let new: Vec<_> =
                state.done.iter().filter(|range| !known.contains(range)).cloned().collect();
            self.consume(id, &new);
        }
        if let Some(range) = freed {
            self.free(id, range);
        }
    }

    pub(super) fn load_cursor(&mut self, name: Bytes, id: LogId, state: CursorState) {
        if !self.logs.contains(id) {
            return;
        }
        let log = self.log_mut(id);
        log.move_floor(None, Some(state.floor));
        if log.extra().policy.until_consumed {
            log.extra_mut().readers.insert(name.clone());
        }
        self.cursors.insert((name, id), state);
    }

    /// In a log that keeps records until they are consumed: what all cursors are done with goes
    /// out of sight. `new` is what one of them has just settled above its floor.
    fn consume(&mut self, id: LogId, new: &[Range<Offset>]) {
        let Some(log) = self.logs.get(id) else { return };
        if !log.extra().policy.until_consumed {
            return;
        }
        let readers: Vec<_> = log.extra().readers.iter().cloned().collect();
        let states = readers.into_iter().filter_map(|name| self.cursors.get(&(name, id)));
        let states: Vec<_> = states.cloned().collect();
        let Some(floor) = states.iter().map(|state| state.floor).min() else { return };
        let done = |at: &Offset| {
            states
                .iter()
                .all(|state| state.floor > *at || state.done.iter().any(|range| range.contains(at)))
        };
        let gone: Vec<_> =
            new.iter().flat_map(Clone::clone).filter(done).map(|at| at..at + 1).collect();
        if !gone.is_empty() {
            self.apply_delete(id, &gone);
        }
        let Some(log) = self.logs.get_mut(id) else { return };
        let row = LogRow { first: floor.min(log.row.next), ..log.row() };
        if row.first > log.row.first {
            self.apply_log(&row);
        }
    }

    fn apply_settle(&mut self, queue: LogId, places: &[u64]) {
        for place in places {
            let Some(log) = self.logs.get_mut(queue) else { return };
            if log.extra().refs.is_empty() {
                return;
            }
            let Some(held) = log.extra_mut().refs.remove(place) else { continue };
            self.weight.refs -= 1;
            self.dirty.add(RowKey::Refs(queue, refs_block(*place)));
            let Some(log) = self.logs.get_mut(held.log) else { continue };
            if log.unrefer(held.offset) {
                self.free(held.log, (held.offset, held.offset + 1));
                self.forget_dropped(held.log);
            }
        }
    }

    fn apply_release(&mut self, queue: LogId, states: &[Released]) {
        let Some(log) = self.logs.get_mut(queue) else { return };
        for state in states {
            if let Some(held) = log.extra_mut().refs.get_mut(&state.place) {
                held.deliveries = state.deliveries;
                held.not_before_ms = state.not_before_ms;
                self.dirty.add(RowKey::Refs(queue, refs_block(state.place)));
            }
        }
    }

    fn apply_row(&mut self, table: &str, key: &Bytes, value: Option<&Bytes>) {
        if !self.tables.contains_key(table) {
            self.tables.insert(table.into(), BTreeMap::new());
        }
        let Some(rows) = self.tables.get_mut(table) else { return };
        let clean = match value {
            Some(value) => {
                let row = Row { value: Bytes::copy_from_slice(value), dirty: true };
                self.weight.row(key.len(), value.len());
                match rows.get_mut(key) {
                    Some(place) => {
                        self.weight.no_row(key.len(), place.value.len());
                        !std::mem::replace(place, row).dirty
                    }
                    None => rows.insert(Bytes::copy_from_slice(key), row).is_none(),
                }
            }
            None => rows.remove(key).is_some_and(|row| {
                self.weight.no_row(key.len(), row.value.len());
                !row.dirty
            }),
        };
        if clean {
            self.dirty.mark(RowKey::Row(Arc::from(table), Bytes::copy_from_slice(key)));
        }
    }

    pub(super) fn load_table_row(&mut self, table: &str, key: Bytes, value: Bytes) {
        if !self.tables.contains_key(table) {
            self.tables.insert(table.into(), BTreeMap::new());
        }
        if let Some(rows) = self.tables.get_mut(table) {
            self.weight.row(key.len(), value.len());
            let length = key.len();
            if let Some(old) = rows.insert(key, Row { value, dirty: false }) {
                self.weight.no_row(length, old.value.len());
            }
        }
    }

    /// The log; outside of its creation it is there.
    pub(super) fn log_mut(&mut self, id: LogId) -> &mut Log<P> {
        self.logs.get_or_insert(id)
    }

    /// Lets go of what nobody needs in a range of a log.
    fn free(&mut self, id: LogId, range: (Offset, Offset)) {
        let Some(log) = self.logs.get_mut(id) else { return };
        let touched = log.run_from(range.0).filter(|run| run.base < range.1);
        let before = log.subjects.weight();
        let gone = log.free(range);
        adjust(&mut self.weight.subjects, before, log.subjects.weight());
        if gone.is_empty() {
            self.touched_files.extend(touched.map(|run| run.file));
            return;
        }
        self.changed(id);
        for run in gone {
            self.uncount_run(&run);
        }
    }

    pub(super) fn count_run(&mut self, run: &Run) {
        self.weight.runs += 1;
        *self.files.entry(run.file).or_default() += 1;
    }

    fn uncount_run(&mut self, run: &Run) {
        self.weight.runs -= 1;
        self.touched_files.insert(run.file);
        if let Some(count) = self.files.get_mut(&run.file) {
            *count -= 1;
            if *count == 0 {
                self.files.remove(&run.file);
                self.touched_files.remove(&run.file);
                self.dead_files.push(run.file);
            }
        }
    }

    /// All images were applied: what was not stored is gone, and logs that hold a lease go on at
    /// its end.
    pub fn finish_replay(&mut self) {
        let ids: Vec<_> = self.logs.ids().collect();
        for id in &ids {
            let Some(log) = self.logs.get_mut(*id) else { continue };
            if log.row.lease > log.row.next {
                log.row.next = log.row.lease;
                log.row.epoch = log.row.epoch.saturating_add(1);
                log.row.known = Known::Leapt;
                self.changed(*id);
            }
        }
        // References and records of memory were of the run that has ended.
        let lost =
            |logs: &Logs<P>, id: LogId| logs.get(id).is_none_or(|log| log.row.mode == Mode::Memory);
        for id in ids {
            let Some(log) = self.logs.get(id) else { continue };
            let refs = log.extra().refs.iter();
            let gone = refs.filter(|(_, held)| lost(&self.logs, id) || lost(&self.logs, held.log));
            let places: Vec<_> = gone.map(|(place, _)| *place).collect();
            self.apply_settle(id, &places);
            if let Some(log) = self.logs.get(id).filter(|log| log.row.mode == Mode::Memory) {
                let row = LogRow { first: log.row.next, ..log.row() };
                self.apply_log(&row);
                self.forget_dropped(id);
            }
        }
    }

    /// Images that end all leases: the logs go on without a gap after a clean stop.
    pub fn end_leases(&self) -> Vec<Image> {
        let leased = self.logs.iter().filter(|log| log.exists() && log.row.lease > log.row.next);
        let mut rows: Vec<_> =
            leased.map(|log| LogRow { lease: log.row.next, ..log.row() }).collect();
        rows.sort_unstable_by_key(|row| row.log);
        rows.into_iter().map(Image::Log).collect()
    }

    /// The logs that exist, in order.
    pub fn logs(&self) -> Vec<LogId> {
        let existing = self.logs.iter().filter(|log| log.exists());
        let mut ids: Vec<_> = existing.map(|log| log.row.log).collect();
        ids.sort_unstable();
        ids
    }

    /// The tables with the number of their rows.
    pub fn tables(&self) -> Vec<(String, usize)> {
        self.tables.iter().map(|(name, rows)| (name.to_string(), rows.len())).collect()
    }

    /// The row of a log that exists.
    pub fn row(&self, log: LogId) -> Option<LogRow> {
        self.existing(log).map(Log::row)
    }

    pub(super) fn existing(&self, log: LogId) -> Option<&Log<P>> {
        self.logs.get(log).filter(|log| log.exists())
    }

    /// Whether a log went on at the end of a lease without an image of it.
    pub(super) fn has_leapt(&self, log: LogId) -> bool {
        self.logs.get(log).is_some_and(|log| log.row.known == Known::Leapt)
    }

    /// The window of a producer.
    pub(super) fn window(&self, log: LogId, id: i64) -> Option<&Window> {
        self.logs.get(log)?.extra().producers.get(&id)
    }

    /// Batches that were put into homes up to this one, gone or not: in order, each once.
    pub fn homes_up_to(&self, home: u32) -> Vec<(LogId, Offset)> {
        let mut all: Vec<_> =
            self.homes.range(..=home).flat_map(|(_, batches)| batches.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Nothing of these homes is asked for any more.
    pub fn forget_homes(&mut self, home: u32) {
        self.homes = self.homes.split_off(&(home + 1));
    }

    /// Batches among `range` that are still needed and in one of the homes up to `home`, at most
    /// `limit`.
    pub fn resting_in(
        &self,
        id: LogId,
        range: Range<Offset>,
        home: u32,
        limit: usize,
    ) -> Vec<Resting<P>> {
        let batches = self.logs.get(id).into_iter().flat_map(|log| log.held.from(range.start));
        let bases = batches.map(|batch| batch.base).take_while(|base| *base < range.end);
        bases.filter_map(|base| self.resting(id, base, home)).take(limit).collect()
    }

    /// A batch that is still needed, if it is in one of the homes up to `home`.
    pub fn resting(&self, id: LogId, base: Offset, home: u32) -> Option<Resting<P>> {
        let log = self.logs.get(id)?;
        let batch = log.held.at(base).filter(|batch| batch.base == base)?;
        let place = batch.place;
        ((1..=home).contains(&place.home())).then(|| Resting {
            base,
            last: batch.last,
            max_timestamp_ms: batch.max_timestamp_ms,
            appended_ms: batch.appended_ms,
            place: place.clone(),
            subjects: log.subjects.subjects(&batch.column),
        })
    }

    /// Whether records between two neighbouring batches of a run may be missing: what is there is
    /// out of sight.
    pub fn is_gap_hidden(&self, id: LogId, gap: Range<Offset>) -> bool {
        let Some(log) = self.logs.get(id) else { return true };
        if log.row.dropped || gap.end <= log.row.first {
            return true;
        }
        let hidden = log.hidden(false);
        gap.end - gap.start <= 1 << 16 && gap.into_iter().all(|at| hidden.hides(at))
    }

    /// A run takes the place of the batches that it holds, unless nobody needs any of them.
    pub fn rest(&mut self, id: LogId, run: Run) {
        let Some(log) = self.logs.get_mut(id) else { return };
        log.rest(run);
        self.count_run(&run);
        self.changed(id);
        self.free(id, (run.base, run.last + 1));
        self.forget_dropped(id);
    }

    /// A run is not read any more: others take its place at once.
    pub fn unrest(&mut self, id: LogId, run: &Run) {
        let Some(log) = self.logs.get_mut(id) else { return };
        if log.unrest(run) {
            self.uncount_run(run);
            self.changed(id);
        }
    }

    /// The runs of a log, in order.
    pub fn runs(&self, id: LogId) -> Vec<Run> {
        self.logs.get(id).map(|log| log.runs().collect()).unwrap_or_default()
    }

    /// The run of a log in a file that begins at this offset.
    pub fn run_in(&self, id: LogId, file: u64, base: Offset) -> Option<Run> {
        self.logs.get(id)?.run_from(base).filter(|run| run.base == base && run.file == file)
    }

    /// Which of these records anybody needs.
    pub fn is_needed(&self, id: LogId, offset: Offset) -> bool {
        self.logs.get(id).is_some_and(|log| log.is_record_needed(offset))
    }

    /// How many records of `base..=last` anybody needs, about.
    pub fn needed_in(&self, id: LogId, base: Offset, last: Offset) -> u64 {
        let Some(log) = self.logs.get(id) else { return 0 };
        let visible = if log.row.dropped {
            0
        } else {
            log.live_in(&(base.max(log.row.first)..last.saturating_add(1)))
        };
        let lowest = log.floor();
        let awaited = lowest.map_or(0, |floor| (last + 1).saturating_sub(floor.max(base)));
        let referred = log.referred(base, last).take(100_000).count() as u64;
        visible.max(awaited) + referred
    }

    /// Resting files that hold no run any more, once.
    pub fn take_dead_files(&mut self) -> Vec<u64> {
        let mut dead = std::mem::take(&mut self.dead_files);
        // The first run of a file may have died before the second was taken in.
        dead.retain(|file| !self.files.contains_key(file));
        dead
    }

    /// Resting files of which something may have died since the last time.
    pub fn take_touched_files(&mut self) -> Vec<u64> {
        self.touched_files.drain().collect()
    }

    /// How many resting files hold something.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// Whether a resting file holds something.
    pub fn uses_file(&self, file: u64) -> bool {
        self.files.contains_key(&file)
    }

    /// Bytes of the batches in the index.
    pub fn live_bytes(&self) -> u64 {
        self.logs.iter().map(|log| log.bytes).sum()
    }

    /// See [`Engine::bounds`](crate::Engine::bounds).
    pub fn bounds(&self, log: LogId) -> Option<Bounds> {
        self.existing(log).map(Log::bounds)
    }

    /// See [`Engine::policy`](crate::Engine::policy).
    pub fn policy(&self, log: LogId) -> Option<Policy> {
        self.existing(log).map(|log| log.extra().policy.clone())
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
        cursors.map(|((name, log), state)| (name.clone(), *log, state.clone())).collect()
    }

    /// See [`Engine::refs`](crate::Engine::refs).
    pub fn refs(&self, queue: LogId, from: u64, limit: usize) -> Vec<Reference> {
        let Some(queue) = self.existing(queue) else { return Vec::new() };
        let refs = queue.extra().refs.range(from..).take(limit);
        refs.map(|(place, held)| Reference {
            place: *place,
            log: held.log,
            offset: held.offset,
            priority: held.priority,
            deliveries: held.deliveries,
            not_before_ms: held.not_before_ms,
        })
        .collect()
    }

    /// What a query has found about a subject whose last record was deleted.
    pub fn correct_last(&mut self, id: LogId, subject: &Subject, from: Offset, to: Option<Offset>) {
        let Some(log) = self.logs.get_mut(id) else { return };
        let first = log.row.first;
        let Some(slot) = log.subjects.find(subject) else { return };
        if log.subjects.get(slot).is_none_or(|slot| slot.last != Some(from)) {
            return;
        }
        log.subjects.correct_last(slot, to);
        self.dirty.add(RowKey::Subject(id, subject.clone()));
        if to.is_none()
            && let Some(log) = self.logs.get_mut(id)
        {
            let before = log.subjects.weight();
            log.subjects.forget(slot, first);
            adjust(&mut self.weight.subjects, before, log.subjects.weight());
        }
    }
}

/// Whether a policy refuses instead of dropping.
pub(super) fn refuses(policy: &Policy) -> bool {
    policy.when_full == WhenFull::Refuse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_use_when_its_second_run_comes_after_the_first_has_died() {
        let mut state: State<Bytes> = State::new();
        for log in [LogId(1), LogId(2)] {
            state.apply(&Image::Log(LogRow { next: 10, ..LogRow::none(log) }));
        }
        let (file, section) = (7, (4096, 77));
        let run =
            Run { base: 0, last: 4, file, section, bytes: 9, max_timestamp_ms: 1, appended_ms: 1 };
        state.rest(LogId(1), run);
        state.unrest(LogId(1), &run);
        state.rest(LogId(2), run);
        assert!(state.take_dead_files().is_empty());
        state.unrest(LogId(2), &run);
        assert_eq!(state.take_dead_files(), [file]);
    }
}
