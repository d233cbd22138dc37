//! Batches out: by stream or view, at once or as soon as there are enough, on any partition.

use std::time::Duration;

use hashbrown::HashMap;
use model::subject::Subject;
use protocol::{
    ConnId, Located, Position, Read, ReadItem, ReadOutcome, Refusal, Reply, StreamRef, Token,
};
use security::Action;
use storage::batch::{self, BatchHeader};
use storage::{Engine, LogId, ReadError, ReadLimits, StoredBatch};

use crate::desk::Desk;
use crate::state::Core;
use crate::streams::{Found, lease};
use crate::timers::{Due, TimerId, Timers};
use crate::turn::Turn;
use crate::views;

/// Most partitions in one read.
const ITEMS_MAX: usize = 100_000;
/// Most bytes of one answer, whatever was asked.
const READ_BYTES_MAX: usize = 16 << 20;

/// Where a partition's records are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Log(LogId),
    View {
        log: LogId,
        subject: Subject,
    },
    /// A stream that was a view: below `until` it is read there.
    Promoted {
        log: LogId,
        old: LogId,
        until: u64,
        subject: Subject,
    },
}

impl Source {
    fn logs(&self) -> Vec<LogId> {
        match self {
            Self::Log(log) | Self::View { log, .. } | Self::Promoted { log, .. } => vec![*log],
        }
    }

    pub(crate) fn bounds(&self, engine: &dyn Engine) -> Option<(u64, u64)> {
        match self {
            Self::Log(log) => engine.bounds(*log).map(|b| (b.first, b.end)),
            Self::View { log, subject } => Some(views::bounds(engine, *log, subject)),
            Self::Promoted { log, old, until, subject } => {
                let own = engine.bounds(*log)?;
                let (first, _) = views::bounds(engine, *old, subject);
                Some((if own.first > *until { own.first } else { first.min(*until) }, own.end))
            }
        }
    }

    /// The furthest offset to which batches can lead a reader: a view's last batch may end with
    /// records of other subjects.
    fn led_to(&self, engine: &dyn Engine) -> u64 {
        match self {
            Self::Log(log) | Self::View { log, .. } | Self::Promoted { log, .. } => {
                engine.bounds(*log).map_or(0, |bounds| bounds.end)
            }
        }
    }

    fn read(
        &self,
        engine: &dyn Engine,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<bytes::Bytes>, ReadError> {
        let limits = ReadLimits { max_bytes, held: false };
        let plain = |batches: Vec<StoredBatch>| batches.into_iter().map(|b| b.bytes).collect();
        match self {
            Self::Log(log) => engine.read(*log, from, limits).map(plain),
            Self::View { log, subject } => {
                views::read(engine, *log, subject, from..u64::MAX, max_bytes)
            }
            Self::Promoted { log, old, until, subject } => {
                if from < *until {
                    let part = views::read(engine, *old, subject, from..*until, max_bytes)?;
                    if !part.is_empty() {
                        return Ok(part);
                    }
                }
                engine.read(*log, from.max(*until), limits).map(plain)
            }
        }
    }
}

/// A read that waits.
#[derive(Debug)]
struct Waiter {
    conn: ConnId,
    token: Token,
    items: Vec<(ReadItem, Result<Source, Refusal>)>,
    min_bytes: usize,
    max_bytes: usize,
    timer: TimerId,
}

/// Reads that wait, by the logs that may wake them.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    next: u64,
    map: HashMap<u64, Waiter>,
    by_log: HashMap<LogId, Vec<u64>>,
}

impl Waiters {
    fn take(&mut self, id: u64, timers: &mut Timers) -> Option<Waiter> {
        let waiter = self.map.remove(&id)?;
        timers.cancel(waiter.timer);
        for source in waiter.items.iter().filter_map(|(_, source)| source.as_ref().ok()) {
            for log in source.logs() {
                if let Some(ids) = self.by_log.get_mut(&log) {
                    ids.retain(|other| *other != id);
                    if ids.is_empty() {
                        self.by_log.remove(&log);
                    }
                }
            }
        }
        Some(waiter)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// A connection is gone: nobody waits any more.
    pub(crate) fn forget(&mut self, conn: ConnId, timers: &mut Timers) {
        let ids: Vec<u64> =
            self.map.iter().filter(|(_, w)| w.conn == conn).map(|(id, _)| *id).collect();
        for id in ids {
            self.take(id, timers);
        }
    }
}

impl Desk {
    pub(crate) fn read(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        read: Read,
    ) {
        let Some(token) = token else { return };
        if read.items.len() > ITEMS_MAX {
            return turn.refuse(conn, Some(token), Refusal::Limit("partitions in one read"));
        }
        let items: Vec<(ReadItem, Result<Source, Refusal>)> = {
            let core = self.broker.lock();
            read.items
                .into_iter()
                .map(|item| {
                    let source = core.source_for(turn, &item);
                    (item, source)
                })
                .collect()
        };
        for (_, source) in &items {
            if let Ok(Source::View { subject, .. }) = source {
                lease(turn, subject);
            }
        }
        let max_bytes = read.max_bytes.min(READ_BYTES_MAX);
        let first = gather(turn, &items, max_bytes);
        if read.wait_ms == 0 || first.is_enough(read.min_bytes) {
            return turn.port.reply(conn, token, Reply::Read(first.outcomes));
        }
        let id = {
            let mut core = self.broker.lock();
            let at = turn.now.instant + Duration::from_millis(read.wait_ms.min(3_600_000));
            let id = core.waiters.next;
            core.waiters.next += 1;
            let timer = core.timer(turn, at, Due::Read(id));
            for log in items.iter().filter_map(|(_, s)| s.as_ref().ok()).flat_map(Source::logs) {
                core.waiters.by_log.entry(log).or_default().push(id);
            }
            let min_bytes = read.min_bytes;
            let waiter = Waiter { conn, token, items, min_bytes, max_bytes, timer };
            core.waiters.map.insert(id, waiter);
            id
        };
        // What was committed between the reading and the waiting has woken nobody.
        self.try_waiter(turn, id);
    }

    /// A commit of a log was handled: reads that wait for it are looked at again.
    pub(crate) fn wake_reads(&mut self, turn: &mut Turn<'_>, log: LogId) {
        let ids = {
            let mut core = self.broker.lock();
            core.wake_cursors(turn, log);
            match core.waiters.by_log.get(&log) {
                Some(ids) => ids.clone(),
                None => return,
            }
        };
        for id in ids {
            self.try_waiter(turn, id);
        }
    }

    fn try_waiter(&mut self, turn: &mut Turn<'_>, id: u64) {
        let Some((items, min_bytes, max_bytes)) = self
            .broker
            .lock()
            .waiters
            .map
            .get(&id)
            .map(|w| (w.items.clone(), w.min_bytes, w.max_bytes))
        else {
            return;
        };
        let gathered = gather(turn, &items, max_bytes);
        if gathered.is_enough(min_bytes) {
            self.finish(turn, id, gathered);
        }
    }

    /// The longest wait is over.
    pub(crate) fn read_timeout(&mut self, turn: &mut Turn<'_>, id: u64) {
        let Some((items, max_bytes)) =
            self.broker.lock().waiters.map.get(&id).map(|w| (w.items.clone(), w.max_bytes))
        else {
            return;
        };
        let gathered = gather(turn, &items, max_bytes);
        self.finish(turn, id, gathered);
    }

    fn finish(&mut self, turn: &mut Turn<'_>, id: u64, gathered: Gathered) {
        let waiter = {
            let mut core = self.broker.lock();
            let Core { waiters, timers, .. } = &mut *core;
            waiters.take(id, timers)
        };
        if let Some(waiter) = waiter {
            turn.port.reply(waiter.conn, waiter.token, Reply::Read(gathered.outcomes));
        }
    }

    pub(crate) fn locate(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        stream: &StreamRef,
        partition: u32,
        position: Position,
    ) {
        let source = self.broker.lock().source(stream, partition);
        let engine = &*turn.shared.engine;
        let located = source
            .ok_or(Refusal::NotFound)
            .and_then(|s| find_position(engine, &s, position).map_err(|e| refusal_of_read(&e)));
        match located {
            Ok(located) => turn.reply(conn, token, Reply::Located(located)),
            Err(refusal) => turn.refuse(conn, token, refusal),
        }
    }
}

impl Core {
    /// What an item is read from, by whoever may.
    fn source_for(&self, turn: &Turn<'_>, item: &ReadItem) -> Result<Source, Refusal> {
        let name = self.name_of(&item.stream);
        if !name.is_none_or(|name| turn.may_stream(Action::Consume, name)) {
            return Err(Refusal::NotAllowed);
        }
        self.source(&item.stream, item.partition).ok_or(Refusal::NotFound)
    }

    pub(crate) fn source(&self, stream: &StreamRef, partition: u32) -> Option<Source> {
        Some(match self.find(stream)? {
            Found::View(view) if partition == 0 => {
                Source::View { log: LogId(view.log), subject: view.subject }
            }
            Found::View(_) => return None,
            Found::Stream(stream) => {
                let log = LogId(*stream.logs.get(partition as usize)?);
                match (stream.promoted, stream.single_subject()) {
                    (Some(promoted), Some(subject)) if partition == 0 => Source::Promoted {
                        log,
                        old: LogId(promoted.log),
                        until: promoted.until,
                        subject,
                    },
                    (Some(_) | None, _) => Source::Log(log),
                }
            }
        })
    }
}

struct Gathered {
    outcomes: Vec<ReadOutcome>,
    bytes: usize,
    refused: bool,
}

impl Gathered {
    fn is_enough(&self, min_bytes: usize) -> bool {
        self.refused || self.bytes >= min_bytes.max(1)
    }
}

fn gather(
    turn: &Turn<'_>,
    items: &[(ReadItem, Result<Source, Refusal>)],
    max_bytes: usize,
) -> Gathered {
    let mut gathered = Gathered { outcomes: Vec::new(), bytes: 0, refused: false };
    for (item, source) in items {
        let room = if gathered.bytes == 0 {
            max_bytes.min(item.max_bytes).max(1)
        } else {
            max_bytes.saturating_sub(gathered.bytes).min(item.max_bytes)
        };
        let outcome = read_item(turn, item, source, room, gathered.bytes == 0);
        gathered.refused |= outcome.refused.is_some();
        gathered.bytes += outcome.batches.iter().map(bytes::Bytes::len).sum::<usize>();
        gathered.outcomes.push(outcome);
    }
    gathered
}

fn read_item(
    turn: &Turn<'_>,
    item: &ReadItem,
    source: &Result<Source, Refusal>,
    room: usize,
    first: bool,
) -> ReadOutcome {
    let engine = &*turn.shared.engine;
    let mut outcome = ReadOutcome {
        stream: item.stream.clone(),
        partition: item.partition,
        refused: None,
        end: 0,
        start: 0,
        batches: Vec::new(),
    };
    let source = match source {
        Ok(source) => source,
        Err(refusal) => {
            outcome.refused = Some(refusal.clone());
            return outcome;
        }
    };
    let Some((start, end)) = source.bounds(engine) else {
        outcome.refused = Some(Refusal::NotFound);
        return outcome;
    };
    // A reader that was led past the end of a view stands at its end.
    let end = end.max(item.offset.min(source.led_to(engine)));
    outcome.start = start;
    outcome.end = end;
    if item.offset < start || item.offset > end {
        outcome.refused = Some(Refusal::OutOfRange);
        return outcome;
    }
    if item.offset == end || room == 0 {
        return outcome;
    }
    match source.read(engine, item.offset, room) {
        // All from here to the end was deleted: the reader is told where to go on.
        Ok(batches) if batches.is_empty() => {
            outcome.batches.push(batch::control_filler(item.offset..=end - 1));
        }
        Ok(batches) => {
            let mut bytes = 0;
            for batch in batches {
                if (bytes > 0 || !first) && bytes + batch.len() > room {
                    break;
                }
                bytes += batch.len();
                outcome.batches.push(batch);
            }
        }
        Err(error) => outcome.refused = Some(refusal_of_read(&error)),
    }
    outcome
}

pub(crate) fn refusal_of_read(error: &ReadError) -> Refusal {
    match error {
        ReadError::NoLog => Refusal::NotFound,
        ReadError::OutOfRange { .. } => Refusal::OutOfRange,
        ReadError::Unreadable(_) => Refusal::StorageUnavailable,
    }
}

pub(crate) fn find_position(
    engine: &dyn Engine,
    source: &Source,
    position: Position,
) -> Result<Option<Located>, ReadError> {
    let (start, end) = source.bounds(engine).ok_or(ReadError::NoLog)?;
    let at = |offset| Some(Located { offset, timestamp_ms: -1 });
    match position {
        Position::Earliest => Ok(at(start)),
        Position::Latest => Ok(at(end)),
        Position::Time(time) => match source {
            Source::Log(log) => Ok(engine
                .seek(*log, time)?
                .map(|(offset, timestamp_ms)| Located { offset, timestamp_ms })),
            Source::View { .. } | Source::Promoted { .. } => {
                walk(engine, source, start, |best: &Option<Located>, record| {
                    best.is_none() && record.timestamp_ms >= time
                })
            }
        },
        Position::MaxTimestamp => walk(engine, source, start, |best, record| {
            best.is_none_or(|best| record.timestamp_ms > best.timestamp_ms)
        }),
    }
}

/// The last record that `better` prefers to the best so far, in order of offsets.
fn walk(
    engine: &dyn Engine,
    source: &Source,
    start: u64,
    mut better: impl FnMut(&Option<Located>, &Located) -> bool,
) -> Result<Option<Located>, ReadError> {
    let mut best = None;
    let mut from = start;
    loop {
        let batches = source.read(engine, from, 1 << 20)?;
        let Some(last) = batches.last() else { return Ok(best) };
        from = BatchHeader::decode(last).map_or(u64::MAX, |header| header.last() + 1);
        for batch in &batches {
            for view in batch::records(batch).unwrap_or_default() {
                let found = Located { offset: view.offset, timestamp_ms: view.timestamp_ms };
                if found.offset >= start && better(&best, &found) {
                    best = Some(found);
                }
            }
        }
    }
}
