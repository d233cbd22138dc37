//! Holders' quotas: what durable sessions and queues await stays held when it goes out of sight, but
//! not without end.
//!
//! Each stream says how many bytes, and for how long, one holder may hold of what nobody else sees
//! any more. Beyond that the session's floor moves up to the first record in sight, or the queue
//! lets the references go; what that loses is counted for the holder, logged once an hour, and
//! shown in the metrics. So a stuck reader pins a bounded part of the disk, and nothing goes
//! silently. What only queues hold (the spool) has no such quota: queues have limits of their own.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::Retention;
use storage::{Bounds, Engine, LogId, Mode, Op};

use crate::completion::Step;
use crate::open::SPOOL;
use crate::queues::is_durable;
use crate::retention::age_of;
use crate::state::Core;
use crate::stats::add;
use crate::turn::Turn;

/// How long a holder may hold what is out of sight, unless the stream says otherwise.
const AGE_MS: u64 = 7 * 86_400_000;
/// Bytes of it in a stream without a limit of bytes.
const BYTES: u64 = 1 << 30;
/// Logs that are looked at in one tick.
const LOGS_PER_TICK: usize = 10_000;
/// References of a queue that are looked at in one tick.
const REFS_PER_TICK: usize = 10_000;
/// Holders with losses that are remembered by name; those beyond count together.
const NAMED_MAX: usize = 10_000;
/// A holder's losses are logged at most so often.
const TELL_EVERY: Duration = Duration::from_secs(3600);
/// Sightings of a log within the time that a holder may hold.
const SIGHTINGS: u64 = 16;

/// What a holder has lost since the start of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// `session NAME` or `queue NAME`.
    pub holder: String,
    /// Records that it awaited or might have: those of a session are not matched to its filters.
    pub records: u64,
}

/// The losses so far, and what is known of logs with something out of sight.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    seen: BTreeMap<LogId, Sightings>,
    losses: BTreeMap<String, Lost>,
    /// The stream up to which logs were looked at in this round.
    upto: Option<Bytes>,
}

#[derive(Debug, Default)]
struct Lost {
    records: u64,
    /// Those since it was last logged.
    untold: u64,
    told: Option<Instant>,
}

/// When the first record in sight was which: what is below was out of sight since then.
#[derive(Debug, Default)]
struct Sightings(VecDeque<(i64, u64)>);

impl Sightings {
    /// Notes the first record in sight; below which one all is out of sight for `age_ms` at least.
    fn note(&mut self, now_ms: i64, first: u64, age_ms: u64) -> u64 {
        let apart = i64::try_from(age_ms / SIGHTINGS).unwrap_or(i64::MAX);
        if self.0.back().is_none_or(|(at, _)| now_ms.saturating_sub(*at) >= apart) {
            self.0.push_back((now_ms, first));
        }
        let due = now_ms.saturating_sub_unsigned(age_ms);
        // The newest that is old enough says most.
        while self.0.len() > 1 && self.0.get(1).is_some_and(|(at, _)| *at <= due) {
            self.0.pop_front();
        }
        self.0.front().filter(|(at, _)| *at <= due).map_or(0, |(_, first)| *first)
    }
}

/// What holders of a log are held to.
#[derive(Clone, Copy, Debug)]
struct Quota {
    /// The first record in sight.
    first: u64,
    /// Below, everything was out of sight for too long.
    aged: u64,
    /// How many bytes one holder may hold.
    bytes: u64,
    /// What all hold, about.
    held_bytes: u64,
}

impl Quota {
    fn of(
        engine: &dyn Engine,
        log: LogId,
        keep: &Retention,
        sights: &mut Sightings,
    ) -> Option<Self> {
        let Bounds { first, held_bytes, .. } = engine.bounds(log).filter(|b| b.held_bytes > 0)?;
        let now_ms = engine.clock_ms();
        let age_ms = keep.held_age_ms.unwrap_or(AGE_MS);
        let mut aged = sights.note(now_ms, first, age_ms);
        // What was appended so long ago was out of sight that long, also before this start.
        if let Some(max_age) = age_of(keep) {
            let oldest = now_ms.saturating_sub_unsigned(max_age.saturating_add(age_ms));
            aged = aged.max(engine.appended_since(log, oldest).unwrap_or(0).min(first));
        }
        let tenth = keep.max_bytes.map(|bytes| bytes / 10);
        let bytes = keep.held_bytes.or(tenth).unwrap_or(BYTES);
        Some(Self { first, aged, bytes, held_bytes })
    }

    /// Whether anything may have to go.
    fn is_due(self) -> bool {
        self.aged > 0 || self.held_bytes > self.bytes
    }

    /// Up to where a holder from this floor on must let go; `lowest` is the lowest floor of all.
    fn floor(self, floor: u64, lowest: u64) -> Option<u64> {
        if floor >= self.first {
            return None;
        }
        // Records are about equally large.
        let span = u128::from(self.first.saturating_sub(lowest).max(1));
        let his = u128::from(self.held_bytes) * u128::from(self.first - floor) / span;
        if his > u128::from(self.bytes) {
            return Some(self.first);
        }
        (floor < self.aged).then_some(self.aged)
    }
}

impl Core {
    /// Looks at what is held out of sight in the next logs, and makes holders let go of what is
    /// beyond their quotas.
    pub(crate) fn hold_to_quotas(&mut self, turn: &Turn<'_>) {
        let quotas = self.due_quotas(turn);
        if quotas.is_empty() {
            return;
        }
        self.sessions_let_go(turn, &quotas);
        self.queues_let_go(turn, &quotas);
    }

    fn due_quotas(&mut self, turn: &Turn<'_>) -> BTreeMap<LogId, Quota> {
        let engine = &*turn.shared.engine;
        let from = self.holders.upto.take();
        let mut upto = None;
        let mut quotas = BTreeMap::new();
        let mut looked_at = 0;
        for stream in self.catalogue.streams_after(from.as_deref()) {
            if looked_at >= LOGS_PER_TICK {
                break;
            }
            looked_at += 1;
            upto = Some(stream.name.clone());
            if stream.name == SPOOL {
                continue;
            }
            for log in stream.logs.iter().map(|log| LogId(*log)) {
                looked_at += 1;
                let sights = self.holders.seen.entry(log).or_default();
                match Quota::of(engine, log, &stream.retention, sights) {
                    Some(quota) if quota.is_due() => {
                        quotas.insert(log, quota);
                    }
                    Some(_) => {}
                    None => {
                        self.holders.seen.remove(&log);
                    }
                }
            }
        }
        if looked_at >= LOGS_PER_TICK {
            self.holders.upto = upto;
        }
        quotas
    }

    fn sessions_let_go(&mut self, turn: &Turn<'_>, quotas: &BTreeMap<LogId, Quota>) {
        let processed = |core: &Self, log: &LogId| core.processed.get(log).copied().unwrap_or(0);
        let mut behind: Vec<(u64, LogId, u64)> = Vec::new();
        let mut lowest: BTreeMap<LogId, u64> = BTreeMap::new();
        for (id, session) in self.sessions.iter() {
            for (log, cursor) in &session.cursors {
                let Some(quota) = quotas.get(log) else { continue };
                let floor = cursor.floor(processed(self, log));
                if floor < quota.first {
                    behind.push((id, *log, floor));
                    let lowest = lowest.entry(*log).or_insert(floor);
                    *lowest = floor.min(*lowest);
                }
            }
        }
        for (id, log, floor) in behind {
            let (Some(quota), Some(lowest)) = (quotas.get(&log), lowest.get(&log)) else {
                continue;
            };
            let Some(to) = quota.floor(floor, *lowest) else { continue };
            let done = processed(self, &log);
            let Some(session) = self.sessions.get_mut(id) else { continue };
            let lost = session.lose(log, to, done);
            let name = format!("session {}", session.name.escape_ascii());
            self.sessions.mark_dirty(id);
            self.lost(turn, name, lost);
        }
    }

    fn queues_let_go(&mut self, turn: &Turn<'_>, quotas: &BTreeMap<LogId, Quota>) {
        let engine = &*turn.shared.engine;
        let queues: Vec<(u64, Bytes)> = self
            .catalogue
            .queues()
            .filter(|queue| is_durable(queue.log))
            .map(|queue| (queue.log, queue.declaration.name.clone()))
            .collect();
        let mut left = REFS_PER_TICK;
        for (id, name) in queues {
            let refs = engine.refs(LogId(id), 0, left);
            left -= refs.len();
            let mut behind: BTreeMap<LogId, (u64, u64)> = BTreeMap::new();
            for reference in &refs {
                let Some(quota) = quotas.get(&reference.log) else { continue };
                if reference.offset < quota.first {
                    let (lowest, count) =
                        behind.entry(reference.log).or_insert((reference.offset, 0));
                    *lowest = reference.offset.min(*lowest);
                    *count += 1;
                }
            }
            let mut upto: BTreeMap<LogId, u64> = BTreeMap::new();
            for (log, (lowest, _)) in behind {
                // A queue holds the batches of its records, whatever else is in them.
                let Some(quota) = quotas.get(&log) else { continue };
                if let Some(to) = quota.floor(lowest, lowest) {
                    upto.insert(log, to);
                }
            }
            let is_lost =
                |log: LogId, offset: u64| upto.get(&log).is_some_and(|upto| offset < *upto);
            let places: Vec<u64> = refs
                .iter()
                .filter(|reference| is_lost(reference.log, reference.offset))
                .map(|reference| reference.place)
                .collect();
            if places.is_empty() {
                continue;
            }
            self.queues.lose(id, &is_lost, &refs);
            self.lost(turn, format!("queue {}", name.escape_ascii()), places.len() as u64);
            let ops = vec![Op::Settle { queue: LogId(id), places }];
            turn.shared.submit(ops, Mode::Async, turn.worker, |_| Step::Flushed);
            if left == 0 {
                break;
            }
        }
    }

    /// Counts what a holder lost, and says so now and then.
    fn lost(&mut self, turn: &Turn<'_>, holder: String, records: u64) {
        if records == 0 {
            return;
        }
        add(&turn.shared.counters.lost, usize::try_from(records).unwrap_or(usize::MAX));
        let losses = &mut self.holders.losses;
        let holder = if losses.len() < NAMED_MAX || losses.contains_key(&holder) {
            holder
        } else {
            "others".to_owned()
        };
        let lost = losses.entry(holder.clone()).or_default();
        lost.records += records;
        lost.untold += records;
        let quiet = lost.told.is_some_and(|told| turn.now.instant < told + TELL_EVERY);
        if !quiet {
            lost.told = Some(turn.now.instant);
            let records = std::mem::take(&mut lost.untold);
            tracing::warn!(
                "{holder} lost {records} records that had gone out of sight: it held more of them, \
                 or for longer, than its stream's held_bytes and held_age let it"
            );
        }
    }

    /// Who lost most, at most so many.
    pub(crate) fn losses(&self, most: usize) -> Vec<Loss> {
        let mut all: Vec<Loss> = self
            .holders
            .losses
            .iter()
            .map(|(holder, lost)| Loss { holder: holder.clone(), records: lost.records })
            .collect();
        all.sort_by_key(|loss| std::cmp::Reverse(loss.records));
        all.truncate(most);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_out_of_sight_is_aged_only_after_its_time() {
        const AGE: u64 = 1_600;
        let mut sights = Sightings::default();
        for now_ms in (0..20_000_i64).step_by(37) {
            // At each moment the record of that number goes out of sight.
            let aged = sights.note(now_ms, now_ms.unsigned_abs(), AGE);
            let newest = now_ms.unsigned_abs().saturating_sub(AGE);
            assert!(aged <= newest, "{aged} at {now_ms} is early");
            assert!(aged + 2 * AGE / SIGHTINGS + 2 * 37 >= newest, "{aged} at {now_ms} is late");
            assert!(sights.0.len() as u64 <= SIGHTINGS + 2);
        }
    }

    #[test]
    fn a_holder_lets_go_of_all_when_it_holds_too_many_bytes_and_of_the_aged_else() {
        let quota = Quota { first: 100, aged: 20, bytes: 1_000, held_bytes: 4_000 };
        assert!(quota.is_due());
        assert_eq!(quota.floor(0, 0), Some(100), "4,000 bytes");
        assert_eq!(quota.floor(50, 0), Some(100), "2,000 bytes");
        assert_eq!(quota.floor(80, 0), None, "800 bytes");
        assert_eq!(quota.floor(100, 0), None, "nothing");
        let quota = Quota { held_bytes: 900, ..quota };
        assert_eq!((quota.floor(0, 0), quota.floor(30, 0)), (Some(20), None));
    }
}
