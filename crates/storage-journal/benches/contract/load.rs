//! Records, and the closed loop that keeps writes in flight.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use hdrhistogram::Histogram;
use model::subject::Subject;
use storage::{Append, Body, Committed, Engine, LogId, Mode, Op, StoredRecord, SubmitError, Write};
use storage_journal::random::Random;

use crate::Outcome;

/// After this time without a completion the engine counts as hung.
const PATIENCE: Duration = Duration::from_secs(60);
/// Records that differ from each other.
const VARIETY: usize = 256;
/// 2026-01-01, so that timestamps look like timestamps.
const EPOCH_MS: i64 = 1_767_225_600_000;

/// A source of records of one size, incompressible, a little different from each other.
#[derive(Debug)]
pub(crate) struct Records {
    tails: Vec<Bytes>,
    subject: Subject,
    made: usize,
}

impl Records {
    /// Records whose stored form (key, value and headers) has `bytes` bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let mut random = Random::new(bytes as u128);
        let tails = (0..VARIETY).map(|_| tail(bytes, &mut random)).collect();
        Self { tails, subject: subject("bench/appends"), made: 0 }
    }

    /// The next record.
    pub(crate) fn record(&mut self) -> StoredRecord {
        let subject = self.subject.clone();
        self.record_of(subject)
    }

    /// The next record, of this subject.
    pub(crate) fn record_of(&mut self, subject: Subject) -> StoredRecord {
        let tail = self.tails.get(self.made % VARIETY).cloned().unwrap_or_default();
        self.made += 1;
        StoredRecord { subject, timestamp_ms: EPOCH_MS + self.made as i64 / 100, tail }
    }

    /// A durable write that appends the next record to a log.
    pub(crate) fn write(&mut self, log: LogId) -> Write {
        append(log, Body::Record(self.record()))
    }

    /// A client's batch of `count` records.
    pub(crate) fn batch(&mut self, count: u64) -> Bytes {
        let records = (0..count).map(|at| {
            let record = self.record();
            (at, record.timestamp_ms, record.tail)
        });
        storage::batch::build(records.collect::<Vec<_>>(), false)
    }
}

/// A durable write of one append.
pub(crate) fn append(log: LogId, body: Body) -> Write {
    Write { ops: vec![append_op(log, body)], mode: Mode::Durable }
}

/// An append to a log, for no queue.
pub(crate) fn append_op(log: LogId, body: Body) -> Op {
    Op::Append(Append { log, body, targets: Vec::new(), once: None })
}

pub(crate) fn subject(text: &str) -> Subject {
    Subject::from_canonical(Bytes::copy_from_slice(text.as_bytes()))
        .expect("the bench writes plain subjects")
}

fn tail(bytes: usize, random: &mut Random) -> Bytes {
    // A null key, the length of the value, no headers.
    let value = bytes.saturating_sub(if bytes > 67 { 4 } else { 3 });
    let mut out = BytesMut::with_capacity(bytes + 8);
    storage::batch::put_varint(&mut out, -1);
    storage::batch::put_varint(&mut out, i32::try_from(value).unwrap_or(i32::MAX));
    let end = out.len() + value;
    while out.len() < end {
        let word = random.next_u64().to_le_bytes();
        let room = (end - out.len()).min(word.len());
        out.extend_from_slice(word.get(..room).unwrap_or_default());
    }
    storage::batch::put_varint(&mut out, 0);
    out.freeze()
}

/// What was measured of a closed loop.
#[derive(Debug)]
pub(crate) struct Driven {
    /// Writes completed while it counted.
    pub(crate) writes: u64,
    /// How long it counted.
    pub(crate) elapsed: Duration,
    /// From handing in to completion, nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Driven {
    pub(crate) fn per_second(&self) -> f64 {
        self.writes as f64 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn p50_us(&self) -> f64 {
        quantile_us(&self.latency, 0.5)
    }

    pub(crate) fn p99_us(&self) -> f64 {
        quantile_us(&self.latency, 0.99)
    }

    /// Takes in another part of the same measurement.
    pub(crate) fn join(&mut self, other: &Self) -> Outcome<()> {
        self.writes += other.writes;
        self.elapsed += other.elapsed;
        Ok(self.latency.add(&other.latency)?)
    }
}

/// A histogram of nanoseconds.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 120_000_000_000, 3).expect("the bounds are valid")
}

pub(crate) fn quantile_us(latency: &Histogram<u64>, quantile: f64) -> f64 {
    latency.value_at_quantile(quantile) as f64 / 1000.0
}

/// A closed loop: how many writes are in flight, how long before it counts, how long it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loop {
    pub(crate) in_flight: u64,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
}

/// Keeps writes in flight from this thread; each one that completes is followed by another.
pub(crate) fn drive(
    engine: &dyn Engine,
    plan: Loop,
    mut next: impl FnMut() -> Write,
) -> Outcome<Driven> {
    let landing = Landing::new();
    let start = Instant::now();
    let counts_from = start + plan.warm_up;
    let end = counts_from + plan.duration;
    let (mut sent, mut landed) = (0, 0);
    let mut first = None;
    let (writes, elapsed) = loop {
        let now = Instant::now();
        if first.is_none() && now >= counts_from {
            first = Some((landing.begin(now), now));
        }
        if now >= end
            && let Some((before, since)) = first
        {
            break (landing.landed() - before, now.duration_since(since));
        }
        if sent - landed >= plan.in_flight {
            landed = landing.wait(sent + 1 - plan.in_flight)?;
        }
        let handed_in = Instant::now();
        let theirs = landing.clone();
        engine.submit(next(), Box::new(move |result| theirs.land(&result, handed_in)));
        sent += 1;
    };
    landing.wait(sent)?;
    Ok(Driven { writes, elapsed, latency: landing.latency() })
}

/// Hands in all writes, some in flight at a time, and waits for them. Returns how many.
pub(crate) fn submit_all(
    engine: &dyn Engine,
    in_flight: u64,
    writes: impl IntoIterator<Item = Write>,
) -> Outcome<u64> {
    let landing = Landing::new();
    let (mut sent, mut landed) = (0, 0);
    for write in writes {
        if sent - landed >= in_flight {
            landed = landing.wait(sent + 1 - in_flight)?;
        }
        let theirs = landing.clone();
        let handed_in = Instant::now();
        engine.submit(write, Box::new(move |result| theirs.land(&result, handed_in)));
        sent += 1;
    }
    landing.wait(sent)?;
    Ok(sent)
}

/// Where completions arrive.
#[derive(Clone, Debug)]
pub(crate) struct Landing(Arc<(Mutex<Landed>, Condvar)>);

#[derive(Debug)]
struct Landed {
    count: u64,
    refused: Option<SubmitError>,
    /// The submitter sleeps until the count reaches this.
    wanted: Option<u64>,
    /// What was handed in before this does not count.
    counts_from: Option<Instant>,
    latency: Histogram<u64>,
}

impl Landing {
    pub(crate) fn new() -> Self {
        let latency = histogram();
        let state = Landed { count: 0, refused: None, wanted: None, counts_from: None, latency };
        Self(Arc::new((Mutex::new(state), Condvar::new())))
    }

    fn state(&self) -> MutexGuard<'_, Landed> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a completion.
    pub(crate) fn land(&self, result: &Result<Committed, SubmitError>, handed_in: Instant) {
        let now = Instant::now();
        let mut state = self.state();
        state.count += 1;
        if state.counts_from.is_some_and(|from| handed_in >= from) {
            let nanos = now.duration_since(handed_in).as_nanos();
            state.latency.saturating_record(u64::try_from(nanos).unwrap_or(u64::MAX));
        }
        if let Err(error) = result
            && state.refused.is_none()
        {
            state.refused = Some(error.clone());
        }
        if state.wanted.is_some_and(|wanted| state.count >= wanted) {
            state.wanted = None;
            drop(state);
            self.0.1.notify_one();
        }
    }

    /// From now on it counts; says how many have landed.
    fn begin(&self, now: Instant) -> u64 {
        let mut state = self.state();
        state.counts_from = Some(now);
        state.count
    }

    pub(crate) fn landed(&self) -> u64 {
        self.state().count
    }

    /// Waits until `wanted` have landed; says how many have.
    pub(crate) fn wait(&self, wanted: u64) -> Outcome<u64> {
        let mut state = self.state();
        while state.count < wanted {
            state.wanted = Some(wanted);
            let waited = self.0.1.wait_timeout(state, PATIENCE);
            let (now, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = now;
            if timeout.timed_out() && state.count < wanted {
                return Err(
                    format!("{} of {wanted} writes completed, then none", state.count).into()
                );
            }
        }
        match &state.refused {
            Some(error) => Err(format!("a write was refused: {error}").into()),
            None => Ok(state.count),
        }
    }

    fn latency(&self) -> Histogram<u64> {
        std::mem::replace(&mut self.state().latency, histogram())
    }
}
