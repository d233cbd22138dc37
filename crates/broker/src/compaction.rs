//! Compaction: of each key only the newest record stays in sight.
//!
//! ```text
//!  first ------------ cleaned ------------ upper --- newest batch
//!    |  one record a key  |  new since then  |  left alone
//!    sift <---------------+-- gather --------'
//! ```
//!
//! A pass gathers the keys of what is new, with the newest offset of each, in bounded memory; then
//! it sifts the log from its first record: what an offset of the same key follows is deleted, with
//! its offset written out. Offsets stay, so that readers see gaps and nothing else. If the keys do
//! not fit, `upper` is where they ended, and another pass goes on there.
//!
//! A record without a value (a tombstone) stays until the log was cleaned past it for the stream's
//! time, which is kept in a row, so that whoever reads the log from its start in that time hears of
//! the removal. The newest batch is never touched: offsets never end in a gap.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use meta::Stream;
use protocol::{Compaction, DELETE_RETENTION_MS, MIN_DIRTY_PERCENT};
use storage::{Engine, LogId, Mode, Op, ReadLimits, batch};

use crate::completion::Step;
use crate::desk::Desk;
use crate::purge::ranges;
use crate::state::{Core, table};
use crate::stats::add;
use crate::timers::Due;
use crate::turn::Turn;

/// Bytes of a log that one step reads.
const STEP_BYTES: usize = 256 << 10;
/// What lies between two steps.
const REST: Duration = Duration::from_millis(5);
/// Bytes of keys in one pass, and their part of the budget in percent.
const KEYS_BYTES_MAX: usize = 64 << 20;
const KEYS_SHARE: u64 = 2;
/// What a key takes of them: its hash and offset, and what the map leaves empty.
const KEY_BYTES: usize = 48;
/// Logs that are looked at in one tick.
const LOGS_PER_TICK: usize = 256;
/// Marks of a log; those of one stretch of time are one.
const MARKS_MAX: u64 = 16;

/// How far a log was cleaned, kept in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// Below, each key is there once.
    cleaned: u64,
    /// Tombstones below the offset were cleaned past at this time of the engine's clock.
    marks: Vec<(u64, i64)>,
}

impl Progress {
    fn read(row: Bytes) -> Option<Self> {
        let mut row = meta::row::Reader::new(row).ok()?;
        let cleaned = row.number().ok()?;
        let mut marks = Vec::new();
        while !row.is_done() {
            marks.push((row.number().ok()?, row.number().ok()?.cast_signed()));
        }
        Some(Self { cleaned, marks })
    }

    fn op(&self, log: LogId) -> Op {
        let row = meta::row::Writer::default().number(self.cleaned);
        let row = self.marks.iter().fold(row, |row, (offset, clock_ms)| {
            row.number(*offset).number(clock_ms.cast_unsigned())
        });
        Op::Put { table: table::COMPACTION, key: row_key(log), value: row.finish() }
    }

    /// The log was cleaned up to here, and a tombstone stayed. Marks that lie close together in
    /// time become the later one: never early.
    fn mark(&mut self, upper: u64, now_ms: i64, retention_ms: u64) {
        let close = retention_ms / MARKS_MAX;
        if let [.., (_, before), (_, last)] = self.marks[..]
            && last.abs_diff(before) < close
        {
            self.marks.pop();
        }
        self.marks.push((upper, now_ms));
    }

    /// Below this offset tombstones have stayed long enough.
    fn tombstones_upto(&self, now_ms: i64, retention_ms: u64) -> u64 {
        let due = |(_, at_ms): &&(u64, i64)| {
            u64::try_from(now_ms.saturating_sub(*at_ms)).is_ok_and(|age| age >= retention_ms)
        };
        self.marks.iter().filter(due).map(|(offset, _)| *offset).max().unwrap_or(0)
    }
}

fn row_key(log: LogId) -> Bytes {
    Bytes::copy_from_slice(&log.0.to_be_bytes())
}

/// What is forgotten with a log.
pub(crate) fn forget(log: LogId) -> Op {
    Op::Remove { table: table::COMPACTION, key: row_key(log) }
}

/// The passes of all logs, one at a time.
#[derive(Debug, Default)]
pub(crate) struct Compactions {
    /// With the end of the log when there was nothing to do.
    progress: BTreeMap<LogId, (Progress, u64)>,
    /// The stream up to which logs were looked at in this round.
    upto: Option<Bytes>,
    /// A pass is under way; its state, unless a step has it.
    running: bool,
    pass: Option<Box<Pass>>,
}

/// A pass over one log.
#[derive(Debug)]
pub(crate) struct Pass {
    log: LogId,
    compaction: Compaction,
    progress: Progress,
    keys: Keys,
    /// Where the pass ends.
    upper: u64,
    /// Tombstones below it go.
    tombstones_upto: u64,
    stage: Stage,
    /// The next record to look at.
    at: u64,
    /// A tombstone stays.
    has_tombstones: bool,
    done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Gather,
    Sift,
}

/// The newest offset of each key of a pass.
#[derive(Debug)]
struct Keys {
    newest: HashMap<(u64, u64), u64>,
    most: usize,
    secret: (u64, u64),
}

impl Keys {
    /// Two hashes of a key with secrets of this pass: nobody can make keys that meet.
    fn hash(&self, key: &[u8]) -> (u64, u64) {
        let one = |secret: u64| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u64(secret);
            hasher.write(key);
            hasher.finish()
        };
        (one(self.secret.0), one(self.secret.1))
    }

    /// Takes a key in; `false` if there is no room for it.
    fn put(&mut self, key: &[u8], offset: u64) -> bool {
        let key = self.hash(key);
        if self.newest.len() >= self.most && !self.newest.contains_key(&key) {
            return false;
        }
        self.newest.insert(key, offset);
        true
    }

    /// Whether a newer record has this key.
    fn supersede(&self, key: &[u8], offset: u64) -> bool {
        !self.newest.is_empty()
            && self.newest.get(&self.hash(key)).is_some_and(|newest| *newest > offset)
    }
}

impl Core {
    /// Looks for a log that needs a pass, unless one is under way.
    pub(crate) fn compact(&mut self, turn: &Turn<'_>) {
        if self.compactions.running {
            return;
        }
        let from = self.compactions.upto.take();
        let mut looked_at = 0;
        let mut upto = from.clone();
        let mut found = None;
        for stream in self.catalogue.streams_after(from.as_deref()) {
            looked_at += 1;
            if looked_at > LOGS_PER_TICK {
                break;
            }
            if stream.retention.cleanup.compacts() {
                looked_at += stream.logs.len();
                found = self.compactions.due(&*turn.shared.engine, stream);
                if found.is_some() {
                    // The same stream comes again in the next round: it may have other logs.
                    break;
                }
            }
            upto = Some(stream.name.clone());
        }
        let all = looked_at <= LOGS_PER_TICK && found.is_none();
        self.compactions.upto = upto.filter(|_| !all);
        let Some(due) = found else { return };
        let secret = (self.random(), self.random());
        let most = turn.shared.pressure.budget.share(KEYS_SHARE, KEYS_BYTES_MAX) / KEY_BYTES;
        let keys = Keys { newest: HashMap::new(), most: most.max(1), secret };
        self.compactions.running = true;
        self.compactions.pass = Some(Box::new(Pass {
            log: due.log,
            compaction: due.compaction,
            at: if due.dirty { due.progress.cleaned } else { 0 },
            stage: if due.dirty { Stage::Gather } else { Stage::Sift },
            progress: due.progress,
            keys,
            upper: due.upper,
            tombstones_upto: due.tombstones_upto,
            has_tombstones: false,
            done: false,
        }));
        self.timer(turn, turn.now.instant, Due::Compact);
    }
}

/// A log that needs a pass.
struct DueLog {
    log: LogId,
    compaction: Compaction,
    progress: Progress,
    upper: u64,
    tombstones_upto: u64,
    /// There is enough that is new; else only tombstones are due.
    dirty: bool,
}

impl Compactions {
    /// The first log of a stream that needs a pass.
    fn due(&mut self, engine: &dyn Engine, stream: &Stream) -> Option<DueLog> {
        let compaction = stream.retention.compaction;
        let now_ms = engine.clock_ms();
        for log in stream.logs.iter().map(|log| LogId(*log)) {
            let Some(bounds) = engine.bounds(log) else { continue };
            let (progress, idle_at) = self.progress.entry(log).or_insert_with(|| {
                let row = engine.get(table::COMPACTION, &log.0.to_be_bytes());
                (row.and_then(Progress::read).unwrap_or_default(), 0)
            });
            let cleaned = progress.cleaned.max(bounds.first);
            let tombstones_upto =
                progress.tombstones_upto(now_ms, retention_ms(compaction)).min(cleaned);
            let tombstones = DueLog {
                log,
                compaction,
                progress: progress.clone(),
                upper: progress.cleaned,
                tombstones_upto,
                dirty: false,
            };
            let percent = compaction.min_dirty_percent.unwrap_or(MIN_DIRTY_PERCENT);
            let enough = |upper: u64| {
                let new = upper.saturating_sub(cleaned);
                // Records in sight below the new ones, about.
                let old = bounds.records.saturating_sub(bounds.end.saturating_sub(cleaned));
                new > 0 && u128::from(new) * 100 >= u128::from(percent) * u128::from(new + old)
            };
            let same = *idle_at == bounds.end && compaction.min_lag_ms.is_none();
            if !same
                && enough(bounds.end)
                && let Some(upper) = upper(engine, log, bounds.end, compaction)
                && enough(upper)
            {
                let progress = Progress { cleaned, ..progress.clone() };
                return Some(DueLog { progress, upper, dirty: true, ..tombstones });
            }
            *idle_at = bounds.end;
            if tombstones_upto > bounds.first {
                return Some(tombstones);
            }
        }
        None
    }
}

fn retention_ms(compaction: Compaction) -> u64 {
    compaction.delete_retention_ms.unwrap_or(DELETE_RETENTION_MS)
}

/// Where a pass over a log would end: before the newest batch, and before what is too young.
fn upper(engine: &dyn Engine, log: LogId, end: u64, compaction: Compaction) -> Option<u64> {
    let limits = ReadLimits { max_bytes: 1, held: false };
    let newest = engine.read(log, end.checked_sub(1)?, limits).ok()?;
    let newest = newest.first()?.base;
    match compaction.min_lag_ms.filter(|lag| *lag > 0) {
        Some(lag) => {
            let oldest = engine.clock_ms().saturating_sub_unsigned(lag);
            engine.appended_since(log, oldest).ok().map(|offset| offset.min(newest))
        }
        None => Some(newest),
    }
}

impl Desk {
    /// One step of the pass that is under way.
    pub(crate) fn compact_step(&mut self, turn: &Turn<'_>) {
        let Some(mut pass) = self.broker.lock().compactions.pass.take() else { return };
        let log = pass.log;
        let outcome = pass.step(turn);
        let mut core = self.broker.lock();
        let Some(Stepped { deleted, done }) = outcome else {
            // The log is gone, or cannot be read: the next tick looks again.
            core.compactions.end(log, None);
            return;
        };
        let mut ops = Vec::new();
        if !deleted.is_empty() {
            add(&turn.shared.counters.compacted, deleted.len());
            ops.push(Op::Delete { log, ranges: ranges(&deleted) });
        }
        pass.done = done;
        core.compactions.pass = Some(pass);
        if ops.is_empty() {
            return core.compact_on(turn);
        }
        drop(core);
        turn.shared.submit(ops, Mode::Async, turn.worker, move |result| Step::Compacted {
            log,
            taken: result.is_ok(),
        });
    }

    /// What a step has found was written, or not.
    pub(crate) fn compacted(&self, turn: &Turn<'_>, log: LogId, taken: bool) {
        let mut core = self.broker.lock();
        if taken {
            core.compact_on(turn);
        } else {
            core.compactions.end(log, None);
        }
    }
}

impl Core {
    /// The pass that is under way goes on after a rest, or is over.
    fn compact_on(&mut self, turn: &Turn<'_>) {
        match &self.compactions.pass {
            Some(pass) if pass.done => {
                let (log, progress) = (pass.log, pass.finished(turn.shared.engine.clock_ms()));
                // Without the row the next run of the server looks at the log once more.
                let ops = vec![progress.op(log)];
                turn.shared.submit(ops, Mode::Async, turn.worker, |_| Step::Flushed);
                self.compactions.end(log, Some(progress));
            }
            Some(_) => {
                self.timer(turn, turn.now.instant + REST, Due::Compact);
            }
            None => {}
        }
    }
}

impl Compactions {
    /// The pass over a log is over; what it has reached, if that was kept.
    fn end(&mut self, log: LogId, progress: Option<Progress>) {
        self.running = false;
        self.pass = None;
        match progress {
            Some(progress) => {
                self.progress.insert(log, (progress, 0));
            }
            // As the row has it.
            None => {
                self.progress.remove(&log);
            }
        }
    }

    /// A log is gone.
    pub(crate) fn forget(&mut self, log: LogId) {
        self.progress.remove(&log);
    }
}

/// What a step has found.
struct Stepped {
    deleted: Vec<u64>,
    done: bool,
}

impl Pass {
    /// Reads on; `None` when the log cannot be read.
    fn step(&mut self, turn: &Turn<'_>) -> Option<Stepped> {
        let engine = &*turn.shared.engine;
        let bounds = engine.bounds(self.log)?;
        self.at = self.at.max(bounds.first);
        let mut deleted = Vec::new();
        if self.at < self.upper {
            let limits = ReadLimits { max_bytes: STEP_BYTES, held: false };
            let batches = engine.read(self.log, self.at, limits).ok()?;
            let mut full = false;
            for stored in &batches {
                if stored.base >= self.upper || full {
                    break;
                }
                match batch::records(&stored.bytes) {
                    Ok(records) => full = self.look_at(&records, &mut deleted),
                    Err(_) => add(&turn.shared.counters.undecodable, 1),
                }
                if !full {
                    self.at = self.at.max(stored.last.saturating_add(1));
                }
            }
            if full {
                // The rest is for another pass.
                self.upper = self.at;
            }
            if batches.is_empty() {
                self.at = self.upper;
            }
        }
        if self.at < self.upper {
            return Some(Stepped { deleted, done: false });
        }
        match self.stage {
            Stage::Gather => {
                (self.stage, self.at) = (Stage::Sift, 0);
                Some(Stepped { deleted, done: false })
            }
            Stage::Sift => Some(Stepped { deleted, done: true }),
        }
    }

    /// Looks at the records of a batch; whether the keys have no room for the one at `at`.
    fn look_at(&mut self, records: &[batch::RecordView], deleted: &mut Vec<u64>) -> bool {
        for record in records {
            if record.offset < self.at || record.offset >= self.upper {
                continue;
            }
            let Some(key) = &record.key else { continue };
            match self.stage {
                Stage::Gather => {
                    if !self.keys.put(key, record.offset) {
                        self.at = record.offset;
                        return true;
                    }
                }
                Stage::Sift => {
                    let tombstone = record.value.is_none();
                    if self.keys.supersede(key, record.offset)
                        || (tombstone && record.offset < self.tombstones_upto)
                    {
                        deleted.push(record.offset);
                    } else {
                        self.has_tombstones |= tombstone;
                    }
                }
            }
        }
        false
    }

    /// What the pass has reached.
    fn finished(&self, now_ms: i64) -> Progress {
        let mut progress = self.progress.clone();
        progress.cleaned = progress.cleaned.max(self.upper);
        progress.marks.retain(|(offset, _)| *offset > self.tombstones_upto);
        if !self.has_tombstones {
            progress.marks.clear();
        } else if progress.marks.last().is_none_or(|(offset, _)| *offset < self.upper) {
            progress.mark(self.upper, now_ms, retention_ms(self.compaction));
        }
        progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_is_never_due_early_however_often_the_log_is_cleaned() {
        const RETENTION: u64 = 1_600;
        let mut progress = Progress::default();
        for now_ms in 0..10_000_i64 {
            progress.mark(now_ms.unsigned_abs() + 1, now_ms, RETENTION);
            assert!(progress.marks.len() < 3_000, "bounded");
            let upto = progress.tombstones_upto(now_ms, RETENTION);
            // The offset before `n + 1` was cleaned past at `n`.
            assert!(upto <= (now_ms.unsigned_abs() + 1).saturating_sub(RETENTION), "at {now_ms}");
            progress.marks.retain(|(offset, _)| *offset > upto);
            assert!(progress.marks.len() as u64 <= MARKS_MAX + 3, "{}", progress.marks.len());
            if now_ms > 5_000 {
                let late = now_ms.unsigned_abs() + 1 - upto;
                assert!(upto == 0 || late <= 2 * RETENTION + 300, "{late} at {now_ms}");
            }
        }
    }

    #[test]
    fn a_row_is_read_back() {
        let progress = Progress { cleaned: 7, marks: vec![(3, -1), (7, 5)] };
        let Op::Put { value, .. } = progress.op(LogId(1)) else { panic!("a row") };
        assert_eq!(Progress::read(value), Some(progress));
        assert_eq!(Progress::read(Bytes::from_static(&[1, 8, 0])), None);
    }

    #[test]
    fn keys_beyond_their_room_end_the_gathering() {
        let mut keys = Keys { newest: HashMap::new(), most: 2, secret: (1, 2) };
        assert!(keys.put(b"a", 1) && keys.put(b"b", 2) && keys.put(b"a", 3));
        assert!(!keys.put(b"c", 4), "there is room for two");
        assert!(keys.supersede(b"a", 1) && !keys.supersede(b"a", 3) && !keys.supersede(b"c", 0));
    }
}
