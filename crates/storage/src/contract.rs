//! What an engine promises.
//!
//! A [`Write`] is a list of operations that become durable and visible together or not at all.
//! Offsets are assigned inside; the completion fires once the write's mode is met, in the order of
//! offsets of each log. Nothing is shown before that: `read`, `bounds`, `get`, `scan`, `refs` and
//! the rest tell of committed writes only.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use model::filter::Filter;
use model::subject::Subject;

/// A log: the unit of order. Never used again once dropped. Given by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId(pub u64);

/// A place in a log; only grows, never given twice, in any mode.
pub type Offset = u64;

/// A named table of rows, ordered by key. The name is at most 64 bytes.
pub type Table = &'static str;

/// When a log's append is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Mode {
    /// At once; records are gone after a restart.
    Memory = 0,
    /// Once written; synced within the engine's interval. Survives the end of the process.
    Async = 1,
    /// Once synced.
    Durable = 2,
}

/// Operations that become durable and visible together or not at all.
///
/// The write waits for the strictest mode among the logs it appends to; `mode` is the least it
/// waits for (for a write of rows alone it is the mode).
#[derive(Debug)]
pub struct Write {
    /// In order.
    pub ops: Vec<Op>,
    /// The least mode.
    pub mode: Mode,
}

/// One operation of a write.
#[derive(Clone, Debug)]
pub enum Op {
    /// Makes a log whose first record gets offset `first`. A log that exists is left as it is.
    CreateLog {
        /// The log.
        log: LogId,
        /// When its appends are acknowledged.
        mode: Mode,
        /// The first offset.
        first: Offset,
    },
    /// What a log keeps in sight from now on (an after-image).
    Policy {
        /// The log.
        log: LogId,
        /// The limits.
        policy: Policy,
    },
    /// Removes a log, its records, and cursors on it. Records that queues refer to stay held.
    DropLog(LogId),
    /// Appends records.
    Append(Append),
    /// Records below `first` go out of sight (they stay held for queues and cursors).
    Trim {
        /// The log.
        log: LogId,
        /// The new first offset; lower than the present one changes nothing.
        first: Offset,
    },
    /// Single records go out of sight.
    Delete {
        /// The log.
        log: LogId,
        /// Which; offsets without a record are passed over.
        ranges: Vec<Range<Offset>>,
    },
    /// The new state of a cursor (an after-image). A cursor holds records from its floor on.
    Cursor {
        /// The cursor's name.
        name: Bytes,
        /// The log it reads.
        log: LogId,
        /// Where it stands; `None` removes it.
        state: Option<CursorState>,
    },
    /// References of a queue are done with: they hold their records no longer.
    Settle {
        /// The queue's log of references.
        queue: LogId,
        /// Their places in the queue.
        places: Vec<u64>,
    },
    /// References that stay: how often they were handed out, and when they may be again.
    Release {
        /// The queue's log of references.
        queue: LogId,
        /// The new states (after-images); places that are settled are passed over.
        states: Vec<Released>,
    },
    /// Puts a row.
    Put {
        /// The table.
        table: Table,
        /// The key, at most 64 KiB.
        key: Bytes,
        /// The value, at most 8 MiB.
        value: Bytes,
    },
    /// Removes a row.
    Remove {
        /// The table.
        table: Table,
        /// The key.
        key: Bytes,
    },
}

/// Records for one log.
#[derive(Clone, Debug)]
pub struct Append {
    /// The log.
    pub log: LogId,
    /// The records.
    pub body: Body,
    /// Queues that get a reference to a record. A queue's log is made by `CreateLog` as any other;
    /// its places are its offsets.
    pub targets: Vec<Target>,
    /// The hash of the message's id, for a log with a [`Policy::once_ms`]: a repeat appends
    /// nothing and gets the first answer. For one record only.
    pub once: Option<u128>,
}

/// A queue that gets a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The index of the record in its append.
    pub record: u32,
    /// The queue's log.
    pub queue: LogId,
    /// Its lane: higher ones are handed out first. The engine only keeps it.
    pub priority: u8,
}

/// What a log keeps in sight. Records that go out of sight stay held for queues and cursors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Records in sight, at most.
    pub max_records: Option<u64>,
    /// Bytes of the batches in sight, at most; the newest batch stays whatever its size.
    pub max_bytes: Option<u64>,
    /// Records of one subject in sight, at most; 1 to [`PER_SUBJECT_MAX`]. Counts what is
    /// appended after this limit was set.
    pub max_per_subject: Option<u32>,
    /// What a record beyond `max_records` or `max_bytes` meets.
    pub when_full: WhenFull,
    /// Records go out of sight once every cursor on the log is done with them. While there is no
    /// cursor they stay.
    pub until_consumed: bool,
    /// How long ids of messages are remembered ([`Append::once`]), on the engine's clock; 0 = not.
    pub once_ms: u64,
}

/// The highest [`Policy::max_per_subject`].
pub const PER_SUBJECT_MAX: u32 = 64;

/// What happens at a log's limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest records go out of sight.
    #[default]
    DropOldest,
    /// The append is refused with [`SubmitError::Limit`].
    Refuse,
}

/// The state of a reference that was handed out and came back, or is to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// Its place in the queue, which it keeps.
    pub place: u64,
    /// How often it was handed out.
    pub deliveries: u32,
    /// Not to be handed out before, on the engine's clock; 0 = at once.
    pub not_before_ms: i64,
}

/// What is appended.
#[derive(Clone, Debug)]
pub enum Body {
    /// One record; the engine gathers records of one log into one batch per commit.
    Record(StoredRecord),
    /// A client's batch, kept opaque: checked by [`crate::batch`] before it comes here.
    Batch {
        /// Record batch v2. Base offset and leader epoch are patched in.
        bytes: Bytes,
        /// The subject of all its records.
        subject: Subject,
        /// Checked against the log's window of this producer, if it has one.
        producer: Option<Producer>,
    },
}

/// One record in stored form.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// The subject; stands in the side column.
    pub subject: Subject,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Key, value and headers as record batch v2 encodes them behind the offset delta.
    pub tail: Bytes,
}

/// An idempotent producer's mark on a batch: dedupe state of `(log, id)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// The producer's id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The sequence number of the batch's first record.
    pub first_sequence: i32,
    /// Records in the batch.
    pub count: i32,
}

/// A cursor's durable state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CursorState {
    /// Everything below is done with.
    pub floor: Offset,
    /// What is done with above the floor: ascending, not touching each other. At most 4,096.
    pub done: Vec<Range<Offset>>,
    /// What is handed out and not settled: ascending, at or above the floor. At most 4,096.
    pub pending: Vec<Pending>,
}

/// A record in the hands of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The record.
    pub offset: Offset,
    /// How often it was handed out.
    pub deliveries: u32,
    /// When it comes back unless it is settled, on the engine's clock; 0 = never.
    pub deadline_ms: i64,
}

/// What a committed write did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// For each append of the write, in order.
    pub appended: Vec<Appended>,
}

/// Where records went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// The offset of the first record.
    pub base: Offset,
    /// The offset of the last.
    pub last: Offset,
    /// The producer had sent this batch before: nothing was appended, the offsets are the old ones.
    pub duplicate: bool,
    /// For each target, in order: the reference's place in its queue.
    pub places: Vec<u64>,
}

/// Why a write was not done. Nothing of it is visible, now or later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// There is no such log.
    #[error("no log {0:?}")]
    NoLog(LogId),
    /// A batch's sequence does not follow the last one of its producer.
    #[error("producer sequence out of order")]
    OutOfOrder,
    /// A newer epoch of the producer has written.
    #[error("producer fenced by a newer epoch")]
    Fenced,
    /// The log is at its limit and refuses what is new.
    #[error("the log is full")]
    Limit(LogId),
    /// The write is larger than a commit can be (16 MiB), or breaks a bound of an operation.
    #[error("write breaks a bound: {0}")]
    Bound(&'static str),
    /// More bytes wait to be written than the engine takes: try again later.
    #[error("too much waits to be written")]
    Busy,
    /// No space is left: nothing is taken until some is freed.
    #[error("no space left on the data folder's disk")]
    Full,
    /// A write or sync failed before: nothing is taken until the server is started again.
    #[error("the log stopped after a failed write")]
    Poisoned,
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such log.
    #[error("no such log")]
    NoLog,
    /// The offset is below the first or above the end.
    #[error("offset outside of {first}..={end}")]
    OutOfRange {
        /// The first offset.
        first: Offset,
        /// The end.
        end: Offset,
    },
    /// The disk failed, or gave bytes that do not check.
    #[error("unreadable: {0}")]
    Unreadable(String),
}

/// How much to read.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// At most about this many bytes; the first batch is given whole.
    pub max_bytes: usize,
    /// Also records that are out of sight but held (for queues and cursors).
    pub held: bool,
}

/// The visible part of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The first visible offset, or `end` when nothing is visible.
    pub first: Offset,
    /// The offset after the last committed record.
    pub end: Offset,
    /// Records in sight.
    pub records: u64,
    /// Bytes of the visible batches, about.
    pub bytes: u64,
    /// Bytes that are out of sight and held, about.
    pub held_bytes: u64,
}

/// A batch as stored.
#[derive(Clone, Debug)]
pub struct StoredBatch {
    /// The offset of its first record.
    pub base: Offset,
    /// The offset of its last record.
    pub last: Offset,
    /// The highest timestamp in it.
    pub max_timestamp_ms: i64,
    /// Record batch v2 with base offset in place.
    pub bytes: Bytes,
    /// The subjects of its records.
    pub subjects: Subjects,
}

/// The side column of subjects.
#[derive(Clone, Debug)]
pub enum Subjects {
    /// All records of the batch have this one.
    One(Subject),
    /// One for each record, by its index.
    Each(std::sync::Arc<[Subject]>),
}

impl Subjects {
    /// The subject of the record with this index in the batch.
    pub fn of(&self, index: usize) -> Option<&Subject> {
        match self {
            Self::One(subject) => Some(subject),
            Self::Each(subjects) => subjects.get(index),
        }
    }
}

/// What a log knows of one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectSpan {
    /// The first visible record (or a lower bound of it).
    pub first: Offset,
    /// The last visible record.
    pub last: Offset,
}

/// A queue's reference to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its place in the queue.
    pub place: u64,
    /// The log of the record.
    pub log: LogId,
    /// The record's offset.
    pub offset: Offset,
    /// Its lane in the queue.
    pub priority: u8,
    /// How often it was handed out.
    pub deliveries: u32,
    /// Not to be handed out before, on the engine's clock; 0 = at once.
    pub not_before_ms: i64,
}

/// Called once when a write is committed or refused, on a thread of the engine or of the caller.
/// It must not block and must not call the engine.
pub type Done = Box<dyn FnOnce(Result<Committed, SubmitError>) + Send>;

/// Counters for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Groups written.
    pub commits: u64,
    /// Syncs done.
    pub syncs: u64,
    /// Bytes written to the log, padding included.
    pub written_bytes: u64,
    /// Padding among them.
    pub padding_bytes: u64,
    /// Bytes written to resting files and checkpoints.
    pub rested_bytes: u64,
    /// Bytes of the files.
    pub disk_bytes: u64,
    /// Bytes waiting to be written.
    pub pending_bytes: u64,
    /// Whether writes are taken.
    pub health: Health,
    /// Named figures of the engine's own: a name in `snake_case` with its unit last, a sentence
    /// about it, and the figure.
    pub figures: Vec<Figure>,
    /// The same for what is measured often.
    pub distributions: Vec<Distribution>,
}

impl EngineStats {
    /// A sync has failed: nothing is taken until the server is started again.
    pub fn is_poisoned(&self) -> bool {
        self.health == Health::Poisoned
    }
}

/// One figure of an engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// `snake_case`, the unit last; `_total` for what only grows.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// The figure.
    pub value: f64,
}

impl Eq for Figure {}

/// How often something that an engine measures was how large.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// `snake_case`, the unit last.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Ascending bounds, each with the number of values that are at most that, about.
    pub buckets: Vec<(f64, u64)>,
    /// How many values there are.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

impl Eq for Distribution {}

/// Whether an engine takes writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It does.
    #[default]
    Good,
    /// Only those that free space: none is left, or the disk refuses writes.
    Full,
    /// None until the server is started again: a sync has failed.
    Poisoned,
}

/// A storage engine. All methods may be called from any thread.
pub trait Engine: Send + Sync + fmt::Debug {
    /// Hands in a write; `done` tells what became of it.
    fn submit(&self, write: Write, done: Done);

    /// Committed batches of `log` from the one that holds `from` on. At the end: an empty list.
    ///
    /// # Errors
    ///
    /// [`ReadError`]. With `held` the lower bound is not checked: what is left is given.
    fn read(
        &self,
        log: LogId,
        from: Offset,
        limits: ReadLimits,
    ) -> Result<Vec<StoredBatch>, ReadError>;

    /// The visible part of `log`.
    fn bounds(&self, log: LogId) -> Option<Bounds>;

    /// The first visible record at or after this time: its offset and time, exact to the record
    /// where the batch can be read.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn seek(&self, log: LogId, timestamp_ms: i64) -> Result<Option<(Offset, i64)>, ReadError>;

    /// The last visible record that matches.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn last(&self, log: LogId, filter: &Filter) -> Result<Option<Offset>, ReadError>;

    /// The first visible record at or after `from` that matches.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn next(&self, log: LogId, filter: &Filter, from: Offset) -> Result<Option<Offset>, ReadError>;

    /// How many visible records in a range match, exactly.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn count(&self, log: LogId, filter: &Filter, range: Range<Offset>) -> Result<u64, ReadError>;

    /// The visible records in a range that match, ascending, at most `limit`: what a purge needs.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn offsets(
        &self,
        log: LogId,
        filter: &Filter,
        range: Range<Offset>,
        limit: usize,
    ) -> Result<Vec<Offset>, ReadError>;

    /// What the log knows of one subject; `None` when no visible record has it.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn subject(&self, log: LogId, subject: &Subject) -> Result<Option<SubjectSpan>, ReadError>;

    /// Subjects with a visible record that match, behind `after`, in order, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn subjects(
        &self,
        log: LogId,
        filter: &Filter,
        after: Option<&Subject>,
        limit: usize,
    ) -> Result<Vec<(Subject, SubjectSpan)>, ReadError>;

    /// A lower bound of the first record that was appended at or after this time of the engine's
    /// clock, never above it; the end when there is none.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn appended_since(&self, log: LogId, clock_ms: i64) -> Result<Offset, ReadError>;

    /// The engine's clock in milliseconds: it starts at the wall clock of the first start, runs
    /// with monotonic time, and takes at most 30 days of downtime. Ages and deadlines use it.
    fn clock_ms(&self) -> i64;

    /// What a log keeps in sight.
    fn policy(&self, log: LogId) -> Option<Policy>;

    /// One row.
    fn get(&self, table: Table, key: &[u8]) -> Option<Bytes>;

    /// Rows with keys from `from` on, in order, at most `limit`.
    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Vec<(Bytes, Bytes)>;

    /// Cursors with names from `from` on, in order of name and log, at most `limit`.
    fn cursors(&self, from: &[u8], limit: usize) -> Vec<(Bytes, LogId, CursorState)>;

    /// Unsettled references of a queue from `from` on, in order, at most `limit`.
    fn refs(&self, queue: LogId, from: u64, limit: usize) -> Vec<Reference>;

    /// Counters. They are gathered for whoever looks now and then.
    fn stats(&self) -> EngineStats;

    /// Bytes of writes that were handed in and are not done yet; asking costs next to nothing.
    fn pending_bytes(&self) -> u64;

    /// Waits until all that was handed in is done, syncs, and stops taking writes. Reads still work.
    fn close(&self);
}
