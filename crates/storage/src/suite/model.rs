//! The contract as plainly as possible: maps of records, applied one operation at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use bytes::Bytes;
use model::filter::{Filter, Reach};
use model::subject::Subject;

use crate::batch::{self, BatchHeader};
use crate::memory::image::{Verdict, Window};
use crate::{
    Append, Appended, Body, Bounds, Committed, CursorState, Engine, LogId, Mode, Offset, Op,
    Policy, ReadError, ReadLimits, Reference, StoredBatch, SubjectSpan, SubmitError, Table,
    WhenFull, Write,
};

/// What an engine should know after the writes that were applied.
#[derive(Clone, Debug, Default)]
pub struct Model {
    logs: BTreeMap<LogId, Log>,
    rows: BTreeMap<(Table, Bytes), Bytes>,
    cursors: BTreeMap<(Bytes, LogId), CursorState>,
}

#[derive(Clone, Debug)]
struct Log {
    mode: Mode,
    /// The first offset that it could ever give.
    start: Offset,
    first: Offset,
    next: Offset,
    records: BTreeMap<Offset, Record>,
    refs: BTreeMap<u64, Reference>,
    windows: BTreeMap<i64, Window>,
    policy: Policy,
    once: BTreeMap<u128, Offset>,
    /// Counted for the limit of its subject: subjects in the order of their last appends.
    counted: BTreeMap<Bytes, Vec<Offset>>,
    /// The group has done something to it.
    touched: bool,
    dropped: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    subject: Subject,
    timestamp_ms: i64,
    value: Option<Bytes>,
    deleted: bool,
    /// It was out of sight and held by nobody but queues in memory: it ends with them.
    fleeting: bool,
}

const ALL: ReadLimits = ReadLimits { max_bytes: 10_000, held: false };
const TABLES: [Table; 2] = ["one", "two"];

impl Log {
    fn visible(&self) -> impl DoubleEndedIterator<Item = (Offset, &Record)> {
        let records = self.records.range(self.first..);
        records.filter(|(_, record)| !record.deleted).map(|(at, record)| (*at, record))
    }

    /// Counts new records for the limit of their subject, beside the last one of before.
    fn count(&mut self, subject: &Subject, base: Offset, last: Offset) {
        let limit = self.policy.max_per_subject;
        if limit.is_none() {
            self.counted.remove(subject.bytes());
            return;
        }
        let visible: BTreeSet<_> = self.visible().map(|(at, _)| at).collect();
        let counted = self.counted.entry(subject.bytes().clone()).or_default();
        counted.retain(|at| visible.contains(at));
        counted.extend(base..=last);
    }
}

impl Model {
    /// Applies a write that is a group of its own, and says what an engine must answer.
    ///
    /// # Errors
    ///
    /// What an engine must refuse it with; nothing was applied then.
    pub fn apply(&mut self, write: &Write) -> Result<Committed, SubmitError> {
        let mut told = self.apply_together(std::slice::from_ref(write));
        told.pop().unwrap_or(Err(SubmitError::Poisoned))
    }

    /// Applies writes that are committed as one group, and says what each must be told.
    pub fn apply_together(&mut self, writes: &[Write]) -> Vec<Result<Committed, SubmitError>> {
        let told = writes.iter().map(|write| self.apply_one(write)).collect();
        self.enforce();
        self.release();
        told
    }

    fn apply_one(&mut self, write: &Write) -> Result<Committed, SubmitError> {
        let mut after = self.clone();
        let mut appended = Vec::new();
        let mut added = BTreeMap::new();
        for op in &write.ops {
            after.op(op, &mut appended)?;
            if let Op::Append(append) = op {
                self.check_room(append, &mut added)?;
            }
            after.release();
        }
        *self = after;
        Ok(Committed { appended })
    }

    /// A log that refuses what is too much is asked before the write.
    fn check_room(
        &self,
        append: &Append,
        added: &mut BTreeMap<LogId, u64>,
    ) -> Result<(), SubmitError> {
        let count = match &append.body {
            Body::Record(_) => 1,
            Body::Batch { bytes, .. } => BatchHeader::decode(bytes).map_or(0, |h| h.count.into()),
        };
        let added = added.entry(append.log).or_default();
        *added += count;
        let Some(log) = self.logs.get(&append.log) else { return Ok(()) };
        let max = log.policy.max_records.unwrap_or(u64::MAX);
        let refuses = log.policy.when_full == WhenFull::Refuse;
        if refuses && log.visible().count() as u64 + *added > max {
            return Err(SubmitError::Limit(append.log));
        }
        Ok(())
    }

    /// What is beyond the limits at the end of a group goes out of sight.
    fn enforce(&mut self) {
        for log in self.logs.values_mut().filter(|log| !log.dropped && log.touched) {
            log.touched = false;
            if let Some(max) = log.policy.max_per_subject {
                for counted in log.counted.values_mut() {
                    while counted.len() > max as usize {
                        let gone = counted.remove(0);
                        if let Some(record) =
                            log.records.get_mut(&gone).filter(|_| gone >= log.first)
                        {
                            record.deleted = true;
                        }
                    }
                }
            }
            if let Some(max) = log.policy.max_records {
                let visible: Vec<_> = log.visible().map(|(at, _)| at).collect();
                let excess = visible.len().saturating_sub(usize::try_from(max).unwrap_or(0));
                if let Some(last) = excess.checked_sub(1).and_then(|n| visible.get(n)) {
                    log.first = last + 1;
                }
            }
        }
    }

    /// In a log that keeps records until they are consumed: what all cursors are done with.
    fn consume(&mut self, id: LogId, new: &[std::ops::Range<Offset>]) {
        let cursors = self.cursors.iter().filter(|((_, of), _)| *of == id);
        let states: Vec<_> = cursors.map(|(_, state)| state.clone()).collect();
        let Some(log) = self.logs.get_mut(&id).filter(|log| log.policy.until_consumed) else {
            return;
        };
        let Some(floor) = states.iter().map(|state| state.floor).min() else { return };
        let done = |at: &Offset| {
            states.iter().all(|s| s.floor > *at || s.done.iter().any(|range| range.contains(at)))
        };
        for at in new.iter().flat_map(Clone::clone).filter(done).filter(|at| *at >= log.first) {
            if let Some(record) = log.records.get_mut(&at) {
                record.deleted = true;
            }
        }
        log.first = log.first.max(floor.min(log.next));
    }

    fn op(&mut self, op: &Op, appended: &mut Vec<Appended>) -> Result<(), SubmitError> {
        match op {
            Op::CreateLog { log, mode, first } => self.create(*log, *mode, *first)?,
            Op::DropLog(log) => {
                let dropped = self.log(*log)?;
                dropped.dropped = true;
                dropped.refs.clear();
                self.cursors.retain(|(_, of), _| of != log);
            }
            Op::Append(append) => appended.push(self.append(append)?),
            Op::Trim { log, first } => {
                let log = self.log(*log)?;
                log.first = log.first.max((*first).min(log.next));
            }
            Op::Delete { log, ranges } => {
                let log = self.log(*log)?;
                for offset in ranges.iter().flat_map(Clone::clone) {
                    if let Some(record) = log.records.get_mut(&offset) {
                        record.deleted = true;
                    }
                }
            }
            Op::Policy { log: id, policy } => {
                let log = self.log(*id)?;
                if log.policy.max_per_subject != policy.max_per_subject {
                    log.counted.clear();
                }
                log.policy = policy.clone();
                log.touched = true;
                self.consume(*id, &[]);
            }
            Op::Cursor { name, log, state } => {
                let key = (name.clone(), *log);
                match state {
                    Some(state) => {
                        self.log(*log)?;
                        let before = self.cursors.insert(key, state.clone());
                        let known = before.map(|before| before.done).unwrap_or_default();
                        let new = state.done.iter().filter(|range| !known.contains(range));
                        let new: Vec<_> = new.cloned().collect();
                        self.consume(*log, &new);
                    }
                    None => drop(self.cursors.remove(&key)),
                }
            }
            Op::Settle { queue, places } => {
                let queue = self.log(*queue)?;
                queue.refs.retain(|place, _| !places.contains(place));
            }
            Op::Release { queue, states } => {
                let queue = self.log(*queue)?;
                for state in states {
                    if let Some(held) = queue.refs.get_mut(&state.place) {
                        held.deliveries = state.deliveries;
                        held.not_before_ms = state.not_before_ms;
                    }
                }
            }
            Op::Put { table, key, value } => {
                self.rows.insert((table, key.clone()), value.clone());
            }
            Op::Remove { table, key } => {
                self.rows.remove(&(*table, key.clone()));
            }
        }
        Ok(())
    }

    /// Forgets the records that are out of sight and held by nobody: from now on they need not be
    /// there, whoever comes to hold their place.
    fn release(&mut self) {
        let referred = |lasting: bool| -> BTreeSet<_> {
            let queues = self.logs.values();
            let queues = queues.filter(|queue| !lasting || queue.mode != Mode::Memory);
            queues.flat_map(|queue| queue.refs.values().map(|r| (r.log, r.offset))).collect()
        };
        let (lasting, referred) = (referred(true), referred(false));
        for (id, log) in &mut self.logs {
            let cursors = self.cursors.iter().filter(|((_, of), _)| of == id);
            let floor = cursors.map(|(_, state)| state.floor).min().unwrap_or(Offset::MAX);
            let (first, dropped) = (log.first, log.dropped);
            log.records.retain(|offset, record| {
                let visible = !dropped && *offset >= first && !record.deleted;
                let held = *offset >= floor || lasting.contains(&(*id, *offset));
                record.fleeting |= !visible && !held;
                visible || held || referred.contains(&(*id, *offset))
            });
        }
    }

    fn create(&mut self, id: LogId, mode: Mode, first: Offset) -> Result<(), SubmitError> {
        match self.logs.get(&id) {
            Some(log) if log.dropped && self.is_held(id) => {
                Err(SubmitError::Bound("the id of a dropped log is never used again"))
            }
            Some(log) if !log.dropped => Ok(()),
            Some(_) | None => {
                let log = Log {
                    mode,
                    start: first,
                    first,
                    next: first,
                    records: BTreeMap::new(),
                    refs: BTreeMap::new(),
                    windows: BTreeMap::new(),
                    policy: Policy::default(),
                    once: BTreeMap::new(),
                    counted: BTreeMap::new(),
                    touched: false,
                    dropped: false,
                };
                self.logs.insert(id, log);
                Ok(())
            }
        }
    }

    fn is_held(&self, id: LogId) -> bool {
        self.logs.values().any(|queue| queue.refs.values().any(|held| held.log == id))
    }

    fn log(&mut self, id: LogId) -> Result<&mut Log, SubmitError> {
        self.logs.get_mut(&id).filter(|log| !log.dropped).ok_or(SubmitError::NoLog(id))
    }

    fn append(&mut self, append: &Append) -> Result<Appended, SubmitError> {
        let log = self.log(append.log)?;
        let base = log.next;
        let mut window = None;
        let (bytes, subject) = match &append.body {
            Body::Record(record) => {
                let once = append.once.filter(|_| log.policy.once_ms > 0);
                if let Some(base) = once.and_then(|id| log.once.get(&id)).copied() {
                    let places = Vec::new();
                    return Ok(Appended { base, last: base, duplicate: true, places });
                }
                log.once.extend(once.map(|id| (id, base)));
                let one = [(base, record.timestamp_ms, &record.tail)];
                (batch::build(one, true), &record.subject)
            }
            Body::Batch { bytes, subject, producer } => {
                if let Some(producer) = producer {
                    match Window::judge(log.windows.get(&producer.id), producer) {
                        Verdict::Append => {
                            let last = base + u64::from(producer.count.cast_unsigned()) - 1;
                            let entry = log.windows.get(&producer.id).cloned();
                            let mut pushed = entry.unwrap_or_default();
                            pushed.push(producer, base, last);
                            window = Some((producer.id, pushed));
                        }
                        Verdict::Duplicate(base, last) => {
                            let places = Vec::new();
                            return Ok(Appended { base, last, duplicate: true, places });
                        }
                        Verdict::Fenced => return Err(SubmitError::Fenced),
                        Verdict::OutOfOrder => return Err(SubmitError::OutOfOrder),
                    }
                }
                (batch::patched(bytes, base, 0), subject)
            }
        };
        let records = batch::records(&bytes).map_err(|_| SubmitError::Bound("unreadable"))?;
        for record in records {
            log.next = record.offset + 1;
            let stored = Record {
                subject: subject.clone(),
                timestamp_ms: record.timestamp_ms,
                value: record.value,
                deleted: false,
                fleeting: false,
            };
            log.records.insert(record.offset, stored);
        }
        log.windows.extend(window);
        let last = log.next - 1;
        log.touched = true;
        log.count(subject, base, last);
        let mut places = Vec::new();
        for target in &append.targets {
            let queue = self.log(target.queue)?;
            let place = queue.next;
            queue.next += 1;
            let reference = Reference {
                place,
                log: append.log,
                offset: base + u64::from(target.record),
                priority: target.priority,
                deliveries: 0,
                not_before_ms: 0,
            };
            queue.refs.insert(place, reference);
            places.push(place);
        }
        Ok(Appended { base, last, duplicate: false, places })
    }

    /// Logs that exist.
    pub fn logs(&self) -> Vec<LogId> {
        self.logs.iter().filter(|(_, log)| !log.dropped).map(|(id, _)| *id).collect()
    }

    /// Whether a write that fits is answered only once it is synced.
    pub fn waits(&self, write: &Write) -> bool {
        let durable = |op: &Op| match op {
            Op::Append(append) => {
                self.logs.get(&append.log).is_some_and(|log| log.mode == Mode::Durable)
            }
            Op::CreateLog { .. }
            | Op::DropLog(_)
            | Op::Trim { .. }
            | Op::Delete { .. }
            | Op::Policy { .. }
            | Op::Release { .. }
            | Op::Cursor { .. }
            | Op::Settle { .. }
            | Op::Put { .. }
            | Op::Remove { .. } => false,
        };
        write.mode == Mode::Durable || write.ops.iter().any(durable)
    }

    /// An id that was never used.
    pub fn fresh_id(&self) -> u64 {
        self.logs.last_key_value().map_or(1, |(id, _)| id.0 + 1)
    }

    /// First visible and next offset.
    pub(super) fn range(&self, id: LogId) -> (Offset, Offset) {
        self.logs.get(&id).map_or((0, 0), |log| (log.first, log.next))
    }

    /// Unsettled places of a queue.
    pub(super) fn places(&self, id: LogId) -> Vec<u64> {
        self.logs.get(&id).map(|log| log.refs.keys().copied().collect()).unwrap_or_default()
    }

    /// Every record that exists or is held: log, offset, and what it is.
    pub fn records(&self) -> impl Iterator<Item = (LogId, Offset, Option<Bytes>)> {
        self.logs.iter().flat_map(|(id, log)| {
            log.records.iter().map(|(offset, record)| (*id, *offset, record.value.clone()))
        })
    }

    /// For each log that has given offsets, the first that it has not.
    pub fn ends(&self) -> impl Iterator<Item = (LogId, Offset)> {
        let given = self.logs.iter().filter(|(_, log)| log.next > log.start);
        given.map(|(id, log)| (*id, log.next))
    }

    /// The engine was stopped and opened again: memory logs are empty, and without a clean stop
    /// logs whose offsets are not synced may go on behind a gap, which is taken from `engine`.
    pub fn stop(&mut self, engine: &dyn Engine, clean: bool) {
        let volatile: Vec<_> = self
            .logs
            .iter()
            .filter(|(_, log)| log.mode == Mode::Memory)
            .map(|(id, _)| *id)
            .collect();
        for (id, log) in &mut self.logs {
            if let Some(bounds) = engine.bounds(*id).filter(|_| !clean) {
                log.next = log.next.max(bounds.end);
            }
            if volatile.contains(id) {
                log.first = log.next;
                log.records.clear();
                log.refs.clear();
            }
            log.refs.retain(|_, held| !volatile.contains(&held.log));
            log.records.retain(|_, record| !record.fleeting);
            if volatile.contains(id) {
                log.windows.clear();
                log.once.clear();
                log.counted.clear();
            }
        }
        self.release();
    }

    /// The first difference between what the engine shows and what it should.
    pub fn difference(&self, engine: &dyn Engine) -> Option<String> {
        let mut told = self.rows_difference(engine);
        for id in (1..self.fresh_id() + 32).map(LogId).filter(|id| !self.logs.contains_key(id)) {
            let bounds = engine.bounds(id);
            told = told.or_else(|| differ("bounds of a log that was never made", &bounds, &None));
        }
        for (id, log) in &self.logs {
            told = told.or_else(|| {
                let told = if log.dropped {
                    differ("bounds of a dropped log", &engine.bounds(*id), &None)
                } else {
                    self.log_difference(engine, *id, log)
                };
                told.map(|told| format!("{id:?}: {told}"))
            });
        }
        told
    }

    fn rows_difference(&self, engine: &dyn Engine) -> Option<String> {
        for table in TABLES {
            let mut found = Vec::new();
            let mut from = Vec::new();
            loop {
                let page = engine.scan(table, &from, 3);
                let Some((last, _)) = page.last() else { break };
                from = [&last[..], &[0]].concat();
                found.extend(page);
            }
            let rows = self.rows.iter().filter(|((of, _), _)| *of == table);
            let rows: Vec<_> = rows.map(|((_, key), value)| (key.clone(), value.clone())).collect();
            let one =
                rows.first().map(|(key, value)| (engine.get(table, key), Some(value.clone())));
            let told = differ("rows", &found, &rows);
            let told = told.or_else(|| one.and_then(|(got, wanted)| differ("row", &got, &wanted)));
            if told.is_some() {
                return told;
            }
        }
        let cursors: Vec<_> = self
            .cursors
            .iter()
            .map(|((name, log), state)| (name.clone(), *log, state.clone()))
            .collect();
        differ("cursors", &engine.cursors(b"", usize::MAX), &cursors)
    }

    fn log_difference(&self, engine: &dyn Engine, id: LogId, log: &Log) -> Option<String> {
        let first = log.visible().next().map_or(log.next, |(at, _)| at);
        let bounds = engine.bounds(id);
        let bounds = bounds.map(|bounds| Bounds { bytes: 0, held_bytes: 0, ..bounds });
        let records = log.visible().count() as u64;
        let wanted = Bounds { first, end: log.next, records, bytes: 0, held_bytes: 0 };
        differ("policy", &engine.policy(id), &Some(log.policy.clone()))
            .or_else(|| differ("bounds", &bounds, &Some(wanted)))
            .or_else(|| {
                let wanted: Vec<_> = log.visible().map(|(at, r)| (at, r.clone())).collect();
                differ("records", &read_all(engine, id, log.first), &Ok(wanted))
            })
            .or_else(|| subjects_difference(engine, id, log))
            .or_else(|| times_difference(engine, id, log))
            .or_else(|| self.refs_difference(engine, id, log))
            .or_else(|| self.held_difference(engine, id, log))
            .or_else(|| {
                let wanted = ReadError::OutOfRange { first: log.first, end: log.next };
                let beyond = engine.read(id, log.next + 1, ALL).map(|batches| batches.len());
                differ("a read beyond the end", &beyond, &Err(wanted))
            })
    }

    fn refs_difference(&self, engine: &dyn Engine, id: LogId, log: &Log) -> Option<String> {
        let wanted: Vec<_> = log.refs.values().copied().collect();
        differ("references", &engine.refs(id, 0, usize::MAX), &wanted).or_else(|| {
            wanted.iter().find_map(|reference| {
                let found = held(engine, reference.log, reference.offset);
                let of = self.logs.get(&reference.log)?;
                let wanted = of.records.get(&reference.offset).map(|record| record.value.clone());
                differ("a referred record", &found, &wanted)
                    .map(|told| format!("{reference:?} {told}"))
            })
        })
    }

    /// What somebody has held ever since it went out of sight is still there, as it was.
    fn held_difference(&self, engine: &dyn Engine, id: LogId, log: &Log) -> Option<String> {
        log.records.iter().find_map(|(at, record)| {
            let got = held(engine, id, *at);
            differ(&format!("held record {at}"), &got, &Some(record.value.clone()))
        })
    }
}

fn differ<T: PartialEq + Debug>(what: &str, got: &T, wanted: &T) -> Option<String> {
    (got != wanted).then(|| format!("{what}: got {got:?}, wanted {wanted:?}"))
}

/// All records that a reader sees, page by page.
fn read_all(
    engine: &dyn Engine,
    id: LogId,
    from: Offset,
) -> Result<Vec<(Offset, Record)>, ReadError> {
    let mut found = Vec::new();
    let mut at = from;
    loop {
        let batches = engine.read(id, at, ALL)?;
        let Some(last) = batches.last() else { return Ok(found) };
        at = last.last + 1;
        for batch in &batches {
            let records = batch::records(&batch.bytes);
            let records = records.map_err(|error| ReadError::Unreadable(error.to_string()))?;
            let claims = (batch.base, batch.last);
            let header = BatchHeader::decode(&batch.bytes);
            let header = header.map_err(|error| ReadError::Unreadable(error.to_string()))?;
            if claims != (header.base, header.last()) {
                let told = format!("batch {claims:?} has the header {header:?}");
                return Err(ReadError::Unreadable(told));
            }
            found.extend(records.into_iter().filter(|record| record.offset >= from).map(
                |record| {
                    let subject = subject_of(batch, record.offset);
                    let (timestamp_ms, value) = (record.timestamp_ms, record.value);
                    (
                        record.offset,
                        Record { subject, timestamp_ms, value, deleted: false, fleeting: false },
                    )
                },
            ));
        }
    }
}

fn subject_of(batch: &StoredBatch, offset: Offset) -> Subject {
    let index = usize::try_from(offset - batch.base).unwrap_or(usize::MAX);
    batch.subjects.of(index).cloned().unwrap_or_default()
}

/// The value of a record that is out of sight or not.
fn held(engine: &dyn Engine, id: LogId, offset: Offset) -> Option<Option<Bytes>> {
    let limits = ReadLimits { max_bytes: 1, held: true };
    let batch = engine.read(id, offset, limits).ok()?.into_iter().next()?;
    let records = batch::records(&batch.bytes).ok()?;
    records.into_iter().find(|record| record.offset == offset).map(|record| record.value)
}

fn filters() -> Vec<Filter> {
    // In stored form: the reach, then the text.
    let read = |text: &'static [u8]| Filter::from_bytes(&Bytes::from_static(text)).ok();
    let texts: [&[u8]; 6] = [b"\0a", b"\0a/b", b"\x01+/b", b"\0a/#", b"\x01#", b"\0x"];
    let mut filters: Vec<_> = texts.into_iter().filter_map(read).collect();
    assert_eq!(filters.len(), texts.len(), "each of them is a filter");
    filters.push(Filter::everything(Reach::All));
    filters
}

fn subjects_difference(engine: &dyn Engine, id: LogId, log: &Log) -> Option<String> {
    for filter in filters() {
        let matching: Vec<_> = log
            .visible()
            .filter(|(_, record)| filter.matches(&record.subject))
            .map(|(at, _)| at)
            .collect();
        let middle = log.first + (log.next - log.first) / 2;
        for from in [0, log.first, middle, log.next] {
            let told = count_difference(engine, id, (&filter, from), &matching);
            if told.is_some() {
                return told.map(|told| format!("{filter:?} from {from}: {told}"));
            }
        }
        let told = differ("last", &engine.last(id, &filter), &Ok(matching.last().copied()));
        if told.is_some() {
            return told.map(|told| format!("{filter:?} {told}"));
        }
        let told = values_difference(engine, id, &filter, log);
        if told.is_some() {
            return told;
        }
        if let Some(subject) = filter.as_literal() {
            let got = match engine.subject(id, &subject) {
                Ok(got) => got,
                Err(error) => return Some(format!("span of {subject}: {error}")),
            };
            let first = matching.first().copied();
            let bound = got.is_none_or(|span| Some(span.first) <= first);
            let wanted = matching
                .last()
                .map(|last| SubjectSpan { first: got.map_or(0, |span| span.first), last: *last });
            if got != wanted || !bound {
                return Some(format!("span of {subject}: got {got:?}, wanted {wanted:?}"));
            }
        }
    }
    None
}

fn count_difference(
    engine: &dyn Engine,
    id: LogId,
    (filter, from): (&Filter, Offset),
    matching: &[Offset],
) -> Option<String> {
    let behind: Vec<_> = matching.iter().copied().filter(|at| *at >= from).collect();
    let range = from..Offset::MAX;
    differ("next", &engine.next(id, filter, from), &Ok(behind.first().copied()))
        .or_else(|| {
            let count = engine.count(id, filter, range.clone());
            differ("count", &count, &Ok(behind.len() as u64))
        })
        .or_else(|| {
            let offsets = engine.offsets(id, filter, range.clone(), 5);
            differ("offsets", &offsets, &Ok(behind.iter().copied().take(5).collect()))
        })
}

/// The last record of each subject that matches, in the order of subjects.
fn values_difference(engine: &dyn Engine, id: LogId, filter: &Filter, log: &Log) -> Option<String> {
    let mut wanted = BTreeMap::new();
    for (at, record) in log.visible().filter(|(_, record)| filter.matches(&record.subject)) {
        wanted.insert(record.subject.bytes().clone(), at);
    }
    let mut got = BTreeMap::new();
    let mut after: Option<Subject> = None;
    loop {
        let page = match engine.subjects(id, filter, after.as_ref(), 2) {
            Ok(page) => page,
            Err(error) => return Some(format!("subjects of {filter:?}: {error}")),
        };
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        for (subject, span) in page {
            if got.insert(subject.bytes().clone(), span.last).is_some() {
                return Some(format!("{subject} twice among the subjects of {filter:?}"));
            }
        }
    }
    differ(&format!("values of {filter:?}"), &got, &wanted)
}

fn times_difference(engine: &dyn Engine, id: LogId, log: &Log) -> Option<String> {
    let middle = ((log.first + log.next) * 5).cast_signed();
    for time in [i64::MIN, 3, middle, middle + 5, i64::MAX] {
        let mut visible = log.visible();
        let found = visible.find(|(_, record)| record.timestamp_ms >= time);
        let wanted = Ok(found.map(|(at, record)| (at, record.timestamp_ms)));
        if let Some(told) = differ("seek", &engine.seek(id, time), &wanted) {
            return Some(format!("to {time}: {told}"));
        }
    }
    None
}
