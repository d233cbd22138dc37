//! From writes to images: offsets are assigned, producers judged and bounds checked here, once.
//!
//! A planner takes the writes of one group. It sees the committed state and, on top of it, what
//! the earlier writes of the group will do. Single records of a log are gathered into one batch
//! until something else happens to that log, the batch is full, or the group ends.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use model::subject::Subject;

use super::image::{BatchImage, Image, LogRow, Payload, Target, Verdict, Window};
use super::limits::{Changes, Limits};
use super::state::{Place, State};
use crate::batch::BatchHeader;
use crate::{
    Append, Appended, Body, Committed, CursorState, LogId, Mode, Offset, Op, PER_SUBJECT_MAX,
    Producer, Subjects, SubmitError, Write,
};

/// The most bytes of one write.
pub const WRITE_BYTES_MAX: usize = 16 << 20;
/// The most bytes of one batch: a frame of 16 MiB less its columns.
const BATCH_BYTES_MAX: usize = 15 << 20;
/// A gathered batch is closed at this size.
const GATHER_BYTES: usize = 1 << 20;
/// The most ranges of a cursor.
const CURSOR_RANGES_MAX: usize = 4096;

/// One step of a commit, in order.
#[derive(Clone, Debug)]
pub enum Step {
    /// An image other than a batch.
    Image(Image),
    /// A batch.
    Batch {
        /// Its image.
        image: BatchImage,
        /// Its bytes.
        payload: Payload,
        /// The leader epoch to put into it.
        epoch: i32,
        /// Kept in memory only, with its references.
        volatile: bool,
    },
}

/// What a group of writes will do.
#[derive(Debug, Default)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// A write of the group waits for the disk.
    pub sync: bool,
}

/// See the module's text.
#[derive(Debug)]
pub struct Planner<'a, P> {
    pub(super) state: &'a State<P>,
    /// What the group before this one will do, while it is on its way to the disk.
    pub(super) before: Option<&'a Drafts>,
    /// How many offsets a lease holds ahead, 0 when nothing outlives the process.
    lease: u64,
    clock_ms: i64,
    pub(super) drafts: Drafts,
    gathers: HashMap<LogId, Gather>,
    /// How many single records the group has for each log that none was gathered for yet.
    expected: HashMap<LogId, usize>,
    /// Logs in the order in which their gathers were opened; some are closed again.
    opened: Vec<LogId>,
    /// Queues that records of open gathers are referred to.
    referred: HashSet<LogId>,
    plan: Plan,
}

/// What a planned group will leave behind, for the group that is planned before it is applied.
#[derive(Debug, Default)]
pub struct Drafts {
    pub(super) logs: HashMap<LogId, Draft>,
}

/// A log as the group will leave it.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) row: LogRow,
    windows: HashMap<i64, Window>,
    pub(super) changes: Changes,
    /// Only for a log that has a policy.
    pub(super) limits: Option<Box<Limits>>,
    /// Cursors that were moved, or are gone.
    pub(super) cursors: HashMap<Bytes, Option<CursorState>>,
}

impl Draft {
    fn new(row: LogRow, limits: Option<Box<Limits>>) -> Self {
        let (windows, cursors) = (HashMap::new(), HashMap::new());
        Self { row, windows, changes: Changes::default(), limits, cursors }
    }
}

#[derive(Debug, Default)]
struct Gather {
    records: Vec<(Offset, i64, Bytes)>,
    subjects: Vec<Subject>,
    targets: Vec<Target>,
    once: Vec<(u32, u128)>,
    bytes: usize,
    volatile: bool,
}

impl Gather {
    /// An empty one with room for so many records and targets.
    fn new(records: usize, targets: usize) -> Self {
        Self {
            records: Vec::with_capacity(records),
            subjects: Vec::with_capacity(records),
            targets: Vec::with_capacity(targets),
            ..Self::default()
        }
    }

    fn has_room(&self, next: Offset, bytes: usize) -> bool {
        let follows = self.records.last().is_none_or(|(last, ..)| last + 1 == next);
        follows && self.bytes + bytes <= GATHER_BYTES
    }
}

/// What the checks of one write know of its own earlier operations.
#[derive(Default)]
struct Foresight {
    created: HashMap<LogId, Mode>,
    dropped: HashSet<LogId>,
    windows: HashMap<(LogId, i64), Window>,
    /// Records and bytes that are added.
    added: HashMap<LogId, (u64, u64)>,
}

impl<'a, P: Place> Planner<'a, P> {
    /// A planner for the next group on top of `state`, at this time of the engine's clock; a
    /// lease holds `lease` offsets ahead.
    pub fn new(state: &'a State<P>, lease: u64, clock_ms: i64) -> Self {
        Self {
            state,
            before: None,
            lease,
            clock_ms,
            drafts: Drafts::default(),
            gathers: HashMap::new(),
            expected: HashMap::new(),
            opened: Vec::new(),
            referred: HashSet::new(),
            plan: Plan::default(),
        }
    }

    /// A planner for the group that follows one which is planned but not yet applied to `state`.
    pub fn after(
        state: &'a State<P>,
        lease: u64,
        clock_ms: i64,
        before: Option<&'a Drafts>,
    ) -> Self {
        Self { before, ..Self::new(state, lease, clock_ms) }
    }

    /// Makes room for what these writes gather.
    pub fn expect<'w>(&mut self, writes: impl Iterator<Item = &'w Write>) {
        for op in writes.flat_map(|write| &write.ops) {
            if let Op::Append(Append { log, body: Body::Record(_), .. }) = op {
                *self.expected.entry(*log).or_default() += 1;
            }
        }
    }

    /// Takes in a write; what it will have done is known at once, but not yet true.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] when it cannot be done; nothing of it is planned then.
    pub fn submit(&mut self, write: Write) -> Result<Committed, SubmitError> {
        let mode = self.check(&write)?;
        let durable = mode == Mode::Durable;
        self.plan.sync |= durable;
        let mut appended = Vec::with_capacity(write.ops.len().min(1));
        for op in write.ops {
            match op {
                Op::Append(append) => appended.push(self.append(append, durable)),
                Op::CreateLog { log, mode, first } => self.create(log, mode, first),
                Op::Policy { log, policy } => self.set_policy(log, policy),
                Op::DropLog(log) => {
                    self.flush(log);
                    self.flush_referred(log);
                    self.change(log, |row| row.dropped = true);
                }
                Op::Trim { log, first } => self.trim(log, first),
                Op::Delete { log, ranges } => self.delete(log, ranges),
                Op::Cursor { name, log, state } => {
                    self.note_cursor(log, &name, state.as_ref());
                    self.image(Image::Cursor { name, log, state });
                }
                Op::Settle { queue, places } => {
                    self.flush_referred(queue);
                    self.image(Image::Settle { queue, places });
                }
                Op::Release { queue, states } => {
                    self.flush_referred(queue);
                    self.image(Image::Release { queue, states });
                }
                Op::Put { table, key, value } => {
                    self.image(Image::Row { table: Cow::Borrowed(table), key, value: Some(value) });
                }
                Op::Remove { table, key } => {
                    self.image(Image::Row { table: Cow::Borrowed(table), key, value: None });
                }
            }
        }
        Ok(Committed { appended })
    }

    /// Steps planned so far; records that are still being gathered have none yet.
    pub fn steps(&self) -> usize {
        self.plan.steps.len()
    }

    /// The steps of all writes taken in. What goes beyond the limits of a log by then goes out of
    /// sight in the same group.
    pub fn finish(self) -> Plan {
        self.finish_with_drafts().0
    }

    /// The same, and what the next group must know of it.
    pub fn finish_with_drafts(mut self) -> (Plan, Drafts) {
        self.flush_all();
        self.enforce_limits();
        (self.plan, self.drafts)
    }

    /// Checks a write without changing anything; returns the mode that it waits for.
    fn check(&self, write: &Write) -> Result<Mode, SubmitError> {
        let mut mode = write.mode;
        let mut bytes = 0;
        let mut foresight = Foresight::default();
        for op in &write.ops {
            bytes += check_op(op)?;
            match op {
                Op::CreateLog { log, mode, .. } => {
                    let gone = self.is_dropped(*log) || foresight.dropped.contains(log);
                    if gone {
                        return Err(SubmitError::Bound(
                            "the id of a dropped log is never used again",
                        ));
                    }
                    if self.row(*log).is_none() {
                        foresight.created.insert(*log, *mode);
                    }
                }
                Op::DropLog(log) => {
                    self.mode_of(*log, &foresight)?;
                    foresight.dropped.insert(*log);
                }
                Op::Append(append) => {
                    mode = mode.max(self.mode_of(append.log, &foresight)?);
                    self.check_append(append, &mut foresight)?;
                }
                Op::Trim { log, .. }
                | Op::Delete { log, .. }
                | Op::Policy { log, .. }
                | Op::Release { queue: log, .. }
                | Op::Settle { queue: log, .. } => {
                    self.mode_of(*log, &foresight)?;
                }
                Op::Cursor { log, state, .. } => {
                    if let Some(state) = state {
                        self.mode_of(*log, &foresight)?;
                        check_cursor(state)?;
                    }
                }
                Op::Put { .. } | Op::Remove { .. } => {}
            }
        }
        if bytes > WRITE_BYTES_MAX {
            return Err(SubmitError::Bound("a write is at most 16 MiB"));
        }
        Ok(mode)
    }

    fn check_append(&self, append: &Append, foresight: &mut Foresight) -> Result<(), SubmitError> {
        let (count, bytes) = match &append.body {
            Body::Record(record) => (1, record.tail.len()),
            Body::Batch { bytes, producer, .. } => {
                let header = BatchHeader::decode(bytes)
                    .map_err(|_| SubmitError::Bound("a batch that was not checked"))?;
                if header.count == 0 || header.count - 1 != header.last_delta {
                    return Err(SubmitError::Bound("a batch has one record for each offset"));
                }
                if append.once.is_some() {
                    return Err(SubmitError::Bound("only a single record has an id"));
                }
                if let Some(producer) = producer {
                    self.check_producer(append.log, producer, foresight)?;
                }
                (header.count, bytes.len())
            }
        };
        for target in &append.targets {
            self.mode_of(target.queue, foresight)?;
            if target.record >= count {
                return Err(SubmitError::Bound("a target names a record of the append"));
            }
        }
        if !self.may_refuse(append.log) {
            return Ok(());
        }
        let added = foresight.added.entry(append.log).or_default();
        *added = (added.0 + u64::from(count), added.1 + bytes as u64);
        self.check_room(append.log, *added)
    }

    fn check_producer(
        &self,
        log: LogId,
        producer: &Producer,
        foresight: &mut Foresight,
    ) -> Result<(), SubmitError> {
        let key = (log, producer.id);
        let window = foresight.windows.get(&key).or_else(|| self.window(log, producer.id));
        match Window::judge(window, producer) {
            Verdict::Fenced => Err(SubmitError::Fenced),
            Verdict::OutOfOrder => Err(SubmitError::OutOfOrder),
            Verdict::Duplicate(..) => Ok(()),
            Verdict::Append => {
                let mut window = window.cloned().unwrap_or_default();
                window.push(producer, 0, 0);
                foresight.windows.insert(key, window);
                Ok(())
            }
        }
    }

    fn row(&self, log: LogId) -> Option<LogRow> {
        match self.drafted(log) {
            Some(draft) => (!draft.row.dropped).then_some(draft.row),
            None => self.state.row(log),
        }
    }

    fn is_dropped(&self, log: LogId) -> bool {
        let draft = self.drafted(log).map(|draft| draft.row.dropped);
        draft.unwrap_or_else(|| self.state.logs.get(log).is_some_and(|log| log.row.dropped))
    }

    fn mode_of(&self, log: LogId, foresight: &Foresight) -> Result<Mode, SubmitError> {
        let none = SubmitError::NoLog(log);
        if foresight.dropped.contains(&log) {
            return Err(none);
        }
        let created = foresight.created.get(&log).copied();
        created.or_else(|| self.row(log).map(|row| row.mode)).ok_or(none)
    }

    fn window(&self, log: LogId, id: i64) -> Option<&Window> {
        let own = self.drafts.logs.get(&log).and_then(|draft| draft.windows.get(&id));
        let before = || self.before?.logs.get(&log)?.windows.get(&id);
        own.or_else(before).or_else(|| self.state.window(log, id))
    }

    pub(super) fn clock_ms(&self) -> i64 {
        self.clock_ms
    }

    /// A log as this group or the one before it will leave it.
    pub(super) fn drafted(&self, log: LogId) -> Option<&Draft> {
        self.drafts.logs.get(&log).or_else(|| self.before?.logs.get(&log))
    }

    pub(super) fn draft(&mut self, log: LogId) -> &mut Draft {
        let (state, before) = (self.state, self.before);
        let steps = &mut self.plan.steps;
        self.drafts.logs.entry(log).or_insert_with(|| {
            if let Some(draft) = before.and_then(|before| before.logs.get(&log)) {
                let limits = draft.limits.as_ref().map(|limits| limits.later());
                return Draft::new(draft.row, limits);
            }
            let row = state.row(log).unwrap_or(LogRow::none(log));
            if state.has_leapt(log) {
                // What follows is about the log as it went on at the end of its lease.
                steps.push(Step::Image(Image::Log(row)));
            }
            Draft::new(row, Limits::of(state, log))
        })
    }

    pub(super) fn image(&mut self, image: Image) {
        self.plan.steps.push(Step::Image(image));
    }

    /// Changes the row of a log and plans its image.
    pub(super) fn change(&mut self, log: LogId, change: impl FnOnce(&mut LogRow)) {
        let draft = self.draft(log);
        change(&mut draft.row);
        let row = draft.row;
        self.image(Image::Log(row));
    }

    fn create(&mut self, log: LogId, mode: Mode, first: Offset) {
        if self.row(log).is_none() {
            self.change(log, |row| {
                *row = LogRow { mode, first, next: first, ..*row };
            });
        }
    }

    fn delete(&mut self, log: LogId, ranges: Vec<Range<Offset>>) {
        self.flush(log);
        self.note_delete(log, &ranges);
        self.image(Image::Delete { log, ranges });
    }

    pub(super) fn trim(&mut self, log: LogId, first: Offset) {
        self.flush(log);
        let row = self.draft(log).row;
        let first = first.min(row.next);
        if first > row.first {
            self.change(log, |row| row.first = first);
        }
    }

    /// Gives out offsets; those that are not synced before they are told must be leased.
    fn assign(&mut self, log: LogId, count: u64, durable: bool) -> Offset {
        let lease = self.lease;
        let draft = self.draft(log);
        let base = draft.row.next;
        draft.row.next += count;
        if !durable && lease > 0 && draft.row.next > draft.row.lease {
            self.change(log, |row| row.lease = row.next + lease);
            self.plan.sync = true;
        }
        base
    }

    fn append(&mut self, append: Append, durable: bool) -> Appended {
        let Append { log, body, targets, once } = append;
        let row = self.draft(log).row;
        let volatile = row.mode == Mode::Memory;
        let durable = durable && !volatile;
        match body {
            Body::Record(record) => {
                let once = once.filter(|_| self.remembers(log));
                if let Some(base) = once.and_then(|id| self.seen(log, id)) {
                    let places = Vec::new();
                    return Appended { base, last: base, duplicate: true, places };
                }
                let bytes =
                    32 + record.tail.len() + record.subject.as_bytes().len() + 20 * targets.len();
                let index = self.make_room(log, bytes);
                let base = self.assign(log, 1, durable);
                let places = self.take_places(&targets, durable);
                if index == 0 {
                    self.opened.push(log);
                }
                self.note_append(log, (base, base), bytes as u64, &record.subject);
                if let Some(id) = once {
                    self.note_once(log, id, base);
                }
                let expected = &mut self.expected;
                let gather = self.gathers.entry(log).or_insert_with(|| {
                    // Should it be closed before all have come, the next ones grow as they must.
                    let records = expected.remove(&log).unwrap_or_default();
                    Gather::new(records, if targets.is_empty() { 0 } else { records })
                });
                gather.once.extend(once.map(|id| (index, id)));
                gather.volatile = volatile;
                gather.bytes += bytes;
                gather.records.push((base, record.timestamp_ms, record.tail));
                gather.subjects.push(record.subject);
                self.referred.extend(targets.iter().map(|target| target.queue));
                let at_index = |target| crate::Target { record: index, ..target };
                gather.targets.extend(referred(targets.into_iter().map(at_index), &places));
                Appended { base, last: base, duplicate: false, places }
            }
            Body::Batch { bytes, subject, producer } => {
                if let Some(producer) = &producer
                    && let Verdict::Duplicate(base, last) =
                        Window::judge(self.window(log, producer.id), producer)
                {
                    return Appended { base, last, duplicate: true, places: Vec::new() };
                }
                self.flush(log);
                let header =
                    BatchHeader::decode(&bytes).expect("was checked before it was planned");
                let base = self.assign(log, header.count.into(), durable);
                let last = base + u64::from(header.last_delta);
                if let Some(producer) = &producer {
                    let mut window = self.window(log, producer.id).cloned().unwrap_or_default();
                    window.push(producer, base, last);
                    self.draft(log).windows.insert(producer.id, window);
                }
                let places = self.take_places(&targets, durable);
                let targets = referred(targets.into_iter(), &places).collect();
                self.note_append(log, (base, last), bytes.len() as u64, &subject);
                let image = BatchImage {
                    log,
                    base,
                    last,
                    max_timestamp_ms: header.max_timestamp_ms.max(header.base_timestamp_ms),
                    appended_ms: self.clock_ms,
                    subjects: Subjects::One(subject),
                    targets,
                    producer,
                    once: Vec::new(),
                };
                let payload = Payload::Client(bytes);
                self.plan.steps.push(Step::Batch { image, payload, epoch: row.epoch, volatile });
                Appended { base, last, duplicate: false, places }
            }
        }
    }

    /// The places of the references of one append.
    fn take_places(&mut self, targets: &[crate::Target], durable: bool) -> Vec<Offset> {
        targets.iter().map(|target| self.assign(target.queue, 1, durable)).collect()
    }

    /// Closes the open gather of a log if it is full, or if the log's next offset does not follow
    /// because a place was given; returns the next record's index in the gather.
    fn make_room(&mut self, log: LogId, bytes: usize) -> u32 {
        let next = self.draft(log).row.next;
        match self.gathers.get(&log) {
            Some(gather) if gather.has_room(next, bytes) => {
                u32::try_from(gather.records.len()).expect("bounded by its bytes")
            }
            Some(_) => {
                self.flush(log);
                0
            }
            None => 0,
        }
    }

    /// Closes the open gather of a log.
    pub(super) fn flush(&mut self, log: LogId) {
        if let Some(gather) = self.gathers.remove(&log) {
            self.close(log, gather);
        }
    }

    /// Closes all open gathers if one of them may hold a reference of this queue.
    pub(super) fn flush_referred(&mut self, queue: LogId) {
        if self.referred.contains(&queue) {
            self.flush_all();
        }
    }

    fn flush_all(&mut self) {
        for log in std::mem::take(&mut self.opened) {
            self.flush(log);
        }
        self.referred.clear();
    }

    fn close(&mut self, log: LogId, gather: Gather) {
        let (Some(first), Some(last)) = (gather.records.first(), gather.records.last()) else {
            return;
        };
        let times = gather.records.iter().map(|(_, time, _)| *time);
        let one = gather.subjects.split_first();
        let subjects = match one {
            Some((one, rest)) if rest.iter().all(|subject| subject == one) => {
                Subjects::One(one.clone())
            }
            Some(_) | None => Subjects::Each(gather.subjects.into()),
        };
        let image = BatchImage {
            log,
            base: first.0,
            last: last.0,
            max_timestamp_ms: times.max().unwrap_or_default(),
            appended_ms: self.clock_ms,
            subjects,
            targets: gather.targets,
            producer: None,
            once: gather.once,
        };
        let epoch = self.draft(log).row.epoch;
        let payload = Payload::Gathered(gather.records);
        self.plan.steps.push(Step::Batch { image, payload, epoch, volatile: gather.volatile });
    }
}

/// References with their places.
fn referred(
    targets: impl Iterator<Item = crate::Target>,
    places: &[Offset],
) -> impl Iterator<Item = Target> {
    targets.zip(places).map(|(crate::Target { record: index, queue, priority }, place)| Target {
        index,
        queue,
        place: *place,
        priority,
    })
}

/// Checks the bounds of one operation; returns about how many bytes it takes.
fn check_op(op: &Op) -> Result<usize, SubmitError> {
    let bound = |ok: bool, what| if ok { Ok(()) } else { Err(SubmitError::Bound(what)) };
    match op {
        Op::CreateLog { .. } | Op::DropLog(_) | Op::Trim { .. } => Ok(64),
        Op::Policy { policy, .. } => {
            let limit = policy.max_per_subject.unwrap_or(1);
            let limit = (1..=PER_SUBJECT_MAX).contains(&limit);
            bound(limit, "a subject's records are limited to 1 to 64")?;
            Ok(128)
        }
        Op::Append(append) => {
            let bytes = match &append.body {
                Body::Record(record) => record.tail.len() + record.subject.as_bytes().len(),
                Body::Batch { bytes, subject, .. } => bytes.len() + subject.as_bytes().len(),
            };
            let targets = 20 * append.targets.len();
            bound(bytes + targets <= BATCH_BYTES_MAX, "a batch is at most 15 MiB")?;
            Ok(128 + bytes + targets)
        }
        Op::Delete { ranges, .. } => Ok(64 + 16 * ranges.len()),
        Op::Release { states, .. } => Ok(64 + 24 * states.len()),
        Op::Settle { places, .. } => Ok(64 + 8 * places.len()),
        Op::Cursor { name, state, .. } => {
            bound(name.len() <= 64 << 10, "a cursor's name is at most 64 KiB")?;
            let entries = state.as_ref().map_or(0, |s| 16 * s.done.len() + 24 * s.pending.len());
            Ok(64 + name.len() + entries)
        }
        Op::Put { table, key, value } => {
            bound(table.len() <= 64, "a table's name is at most 64 bytes")?;
            bound(key.len() <= 64 << 10, "a key is at most 64 KiB")?;
            bound(value.len() <= 1 << 20, "a value is at most 1 MiB")?;
            Ok(64 + key.len() + value.len())
        }
        Op::Remove { table, key } => {
            bound(table.len() <= 64, "a table's name is at most 64 bytes")?;
            bound(key.len() <= 64 << 10, "a key is at most 64 KiB")?;
            Ok(64 + key.len())
        }
    }
}

fn check_cursor(state: &CursorState) -> Result<(), SubmitError> {
    if state.done.len() > CURSOR_RANGES_MAX || state.pending.len() > CURSOR_RANGES_MAX {
        return Err(SubmitError::Bound("a cursor has at most 4,096 ranges and pending records"));
    }
    let mut end = None;
    for range in &state.done {
        let apart = end.is_none_or(|end| range.start > end) && range.start >= state.floor;
        if range.is_empty() || !apart {
            return Err(SubmitError::Bound("a cursor's ranges ascend and do not touch"));
        }
        end = Some(range.end);
    }
    let mut from = state.floor;
    for pending in &state.pending {
        if pending.offset < from {
            return Err(SubmitError::Bound("a cursor's pending records ascend"));
        }
        from = pending.offset + 1;
    }
    Ok(())
}
