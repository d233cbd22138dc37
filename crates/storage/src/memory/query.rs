//! Reading: what stands in the index at once, what rests file by file.
//!
//! The state is locked for moments only. A query looks a stretch up, lets go of the lock, reads
//! the file, and goes on behind the stretch. A file that has been merged away in between is looked
//! up again.

use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use model::filter::{Filter, Reach};
use model::subject::Subject;

use super::log::{Found, Hidden, Log, Run};
use super::state::{Place, State};
use super::subjects::Column;
use crate::{LogId, Offset, ReadError, ReadLimits, StoredBatch, SubjectSpan, batch};

/// Records that a search looks at one by one before it asks the subject table.
const NEAR_RECORDS: usize = 64;
/// How often a query looks again after what it had found was moved.
const ATTEMPTS: usize = 20;

/// Why something could not be had.
#[derive(Debug)]
pub enum Miss {
    /// It is somewhere else now: look again.
    Moved,
    /// It cannot be read.
    Failed(ReadError),
}

impl From<ReadError> for Miss {
    fn from(error: ReadError) -> Self {
        Self::Failed(error)
    }
}

/// Where batches are read from.
pub trait Source<P> {
    /// The bytes of a batch in the index.
    ///
    /// # Errors
    ///
    /// [`Miss`].
    fn fetch(&self, log: LogId, found: &Found<P>) -> Result<Bytes, Miss>;

    /// Batches of a run from the one that holds `from` or follows it, as they were stored, about
    /// `max_bytes` of them and at least one; none behind the last.
    ///
    /// # Errors
    ///
    /// [`Miss`].
    fn read(&self, run: &Run, from: Offset, max_bytes: usize) -> Result<Vec<StoredBatch>, Miss>;

    /// The first shown record of a run at or behind `from` that matches.
    ///
    /// # Errors
    ///
    /// [`Miss`].
    fn next(
        &self,
        run: &Run,
        filter: &Filter,
        from: Offset,
        hidden: &Hidden,
    ) -> Result<Option<Offset>, Miss>;

    /// The last shown record of a run below `before` that matches.
    ///
    /// # Errors
    ///
    /// [`Miss`].
    fn last(
        &self,
        run: &Run,
        filter: &Filter,
        before: Offset,
        hidden: &Hidden,
    ) -> Result<Option<Offset>, Miss>;

    /// The shown records of a run in a range that match, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`Miss`].
    fn offsets(&self, run: &Run, search: &Search<'_>, hidden: &Hidden)
    -> Result<Vec<Offset>, Miss>;

    /// How many they are.
    ///
    /// # Errors
    ///
    /// [`Miss`].
    fn count(&self, run: &Run, search: &Search<'_>, hidden: &Hidden) -> Result<u64, Miss>;

    /// The first batch of a run from `from` on that has a record at or after a time.
    ///
    /// # Errors
    ///
    /// [`Miss`].
    fn at_or_after(
        &self,
        run: &Run,
        from: Offset,
        timestamp_ms: i64,
    ) -> Result<Option<StoredBatch>, Miss>;

    /// A lower bound of the first record of a run that was appended at or after this time.
    ///
    /// # Errors
    ///
    /// [`Miss`].
    fn appended_since(&self, run: &Run, clock_ms: i64) -> Result<Offset, Miss>;
}

/// Which records are asked for.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// Those that match.
    pub filter: &'a Filter,
    /// Those in this range.
    pub range: Range<Offset>,
    /// At most so many.
    pub limit: usize,
}

/// A query on a state and its files.
#[derive(Debug)]
pub struct Query<'a, P, S> {
    /// The state.
    pub state: &'a RwLock<State<P>>,
    /// Where the bytes are.
    pub source: &'a S,
}

/// What comes next on the way through a log.
enum Stretch<T> {
    /// A run, to be looked at without the lock.
    Run(Run, Hidden),
    /// The rest of it, from the index.
    Rest(T),
}

impl<P: Place, S: Source<P>> Query<'_, P, S> {
    fn state(&self) -> RwLockReadGuard<'_, State<P>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next run from `from` on, or what `rest` says about the index.
    fn stretch<T>(
        &self,
        log: LogId,
        from: Offset,
        rest: impl FnOnce(&Log<P>, &Hidden) -> T,
    ) -> Result<Stretch<T>, ReadError> {
        let state = self.state();
        let log = state.existing(log).ok_or(ReadError::NoLog)?;
        let hidden = log.hidden(false);
        let from = from.max(log.row.first);
        Ok(match log.run_from(from) {
            Some(run) => Stretch::Run(run, hidden),
            None => Stretch::Rest(rest(log, &hidden)),
        })
    }

    /// See [`Engine::read`](crate::Engine::read).
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn read(
        &self,
        log: LogId,
        from: Offset,
        limits: ReadLimits,
    ) -> Result<Vec<StoredBatch>, ReadError> {
        let mut page = Page { batches: Vec::new(), bytes: 0, limits };
        let mut at = from;
        let mut attempts = 0;
        loop {
            let stretch = self.state().readable(log, at, from, &page)?;
            let told = match &stretch {
                Stretch::Run(run, hidden) => self
                    .source
                    .read(run, at, page.room())
                    .and_then(|batches| page.take_run(batches, hidden, &mut at, run.last)),
                Stretch::Rest(found) => page.take_found(self.source, log, found, &mut at),
            };
            match told {
                Err(Miss::Moved) if attempts < ATTEMPTS => attempts += 1,
                Err(miss) => return Err(failed(miss)),
                Ok(()) if page.is_full() => return Ok(page.batches),
                Ok(()) => {
                    if let Stretch::Rest(_) = stretch {
                        return Ok(page.batches);
                    }
                }
            }
        }
    }

    /// See [`Engine::next`](crate::Engine::next).
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn next(
        &self,
        log: LogId,
        filter: &Filter,
        from: Offset,
    ) -> Result<Option<Offset>, ReadError> {
        let mut from = {
            let state = self.state();
            let Some(found) = state.existing(log) else { return Ok(None) };
            if found.runs().next().is_none() {
                return Ok(found.next_fresh(filter, from));
            }
            let candidates = found.subjects.candidates(filter, from.max(found.row.first));
            if candidates.is_empty() {
                return Ok(None);
            }
            from.max(candidates.nearest)
        };
        let mut attempts = 0;
        loop {
            let stretch = self.stretch(log, from, |log, _| log.next_fresh(filter, from));
            match stretch {
                Err(_) => return Ok(None),
                Ok(Stretch::Rest(found)) => return Ok(found),
                Ok(Stretch::Run(run, hidden)) => {
                    match self.source.next(&run, filter, from, &hidden) {
                        Ok(Some(found)) => return Ok(Some(found)),
                        Ok(None) => from = run.last + 1,
                        Err(Miss::Moved) if attempts < ATTEMPTS => attempts += 1,
                        Err(miss) => return Err(failed(miss)),
                    }
                }
            }
        }
    }

    /// See [`Engine::last`](crate::Engine::last).
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn last(&self, log: LogId, filter: &Filter) -> Result<Option<Offset>, ReadError> {
        let known = {
            let state = self.state();
            let Some(found) = state.existing(log) else { return Ok(None) };
            found.last_known(filter)
        };
        match known {
            LastKnown::Is(last) => Ok(last),
            LastKnown::Below(before) => self.last_below(log, filter, before),
        }
    }

    /// The last shown record below `before` that matches, found by looking.
    fn last_below(
        &self,
        log: LogId,
        filter: &Filter,
        before: Offset,
    ) -> Result<Option<Offset>, ReadError> {
        let mut before = before;
        let mut attempts = 0;
        loop {
            let (run, hidden) = {
                let state = self.state();
                let Some(found) = state.existing(log) else { return Ok(None) };
                let hidden = found.hidden(false);
                if let Some(last) = found.last_fresh(filter, before, &hidden) {
                    return Ok(Some(last));
                }
                match found.held.run_below(before).filter(|run| run.last >= hidden.first) {
                    Some(run) => (run, hidden),
                    None => return Ok(None),
                }
            };
            match self.source.last(&run, filter, before, &hidden) {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => before = run.base,
                Err(Miss::Moved) if attempts < ATTEMPTS => attempts += 1,
                Err(miss) => return Err(failed(miss)),
            }
        }
    }

    /// See [`Engine::subject`](crate::Engine::subject).
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn subject(&self, log: LogId, subject: &Subject) -> Result<Option<SubjectSpan>, ReadError> {
        let (first, last, hidden) = {
            let state = self.state();
            let Some(found) = state.existing(log) else { return Ok(None) };
            let slot = found.subjects.find(subject).and_then(|slot| found.subjects.get(slot));
            let Some((first, last)) = slot.and_then(|slot| Some((slot.first, slot.last?))) else {
                return Ok(None);
            };
            (first, last, found.hidden(false))
        };
        if last < hidden.first {
            return Ok(None);
        }
        let first = first.max(hidden.first);
        if !hidden.is_deleted(last) {
            return Ok(Some(SubjectSpan { first, last }));
        }
        let found = self.last_below(log, &Filter::literal(subject), last)?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.correct_last(log, subject, last, found);
        Ok(found.map(|last| SubjectSpan { first, last }))
    }

    /// See [`Engine::subjects`](crate::Engine::subjects).
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn subjects(
        &self,
        log: LogId,
        filter: &Filter,
        after: Option<&Subject>,
        limit: usize,
    ) -> Result<Vec<(Subject, SubjectSpan)>, ReadError> {
        let mut spans = Vec::new();
        let mut after = after.cloned();
        while spans.len() < limit {
            let page: Vec<Subject> = {
                let state = self.state();
                let Some(found) = state.existing(log) else { return Ok(spans) };
                let first = found.row.first;
                let matching = found.subjects.matching(filter, after.as_ref());
                let visible = matching.filter(|(_, slot)| slot.last.is_some_and(|l| l >= first));
                let subjects = visible.map(|(_, slot)| slot.subject.into_owned());
                subjects.take(limit - spans.len()).collect()
            };
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            for subject in page {
                if let Some(span) = self.subject(log, &subject)? {
                    spans.push((subject, span));
                }
            }
        }
        Ok(spans)
    }

    /// See [`Engine::offsets`](crate::Engine::offsets).
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn offsets(&self, log: LogId, search: &Search<'_>) -> Result<Vec<Offset>, ReadError> {
        let mut all = Vec::new();
        let mut left = search.clone();
        self.walk(log, search.range.start, |stretch| {
            left.limit = search.limit.saturating_sub(all.len());
            let found = match stretch {
                Stretch::Run(run, hidden) => self.source.offsets(&run, &left, &hidden)?,
                Stretch::Rest(log) => {
                    let found = log.shown_fresh(&left.range, &log.hidden(false));
                    let matching = found.filter(|(_, slot)| log.matches(left.filter, *slot));
                    matching.map(|(at, _)| at).take(left.limit).collect()
                }
            };
            all.extend(found);
            Ok(all.len() < search.limit)
        })?;
        Ok(all)
    }

    /// See [`Engine::count`](crate::Engine::count).
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn count(&self, log: LogId, search: &Search<'_>) -> Result<u64, ReadError> {
        if *search.filter == Filter::everything(Reach::All) {
            let state = self.state();
            let log = state.existing(log).ok_or(ReadError::NoLog)?;
            let range = search.range.start.max(log.row.first)..search.range.end;
            return Ok(if range.is_empty() { 0 } else { log.live_in(&range) });
        }
        let mut count = 0;
        self.walk(log, search.range.start, |stretch| {
            count += match stretch {
                Stretch::Run(run, hidden) => self.source.count(&run, search, &hidden)?,
                Stretch::Rest(log) => {
                    let found = log.shown_fresh(&search.range, &log.hidden(false));
                    found.filter(|(_, slot)| log.matches(search.filter, *slot)).count() as u64
                }
            };
            Ok(true)
        })?;
        Ok(count)
    }

    /// Goes through a log from `from` on, run by run and at last the index, while `look` says so.
    fn walk(
        &self,
        log: LogId,
        from: Offset,
        mut look: impl FnMut(Stretch<&Log<P>>) -> Result<bool, Miss>,
    ) -> Result<(), ReadError> {
        let mut from = from;
        let mut attempts = 0;
        loop {
            let (run, hidden) = {
                let state = self.state();
                let found = state.existing(log).ok_or(ReadError::NoLog)?;
                match found.run_from(from.max(found.row.first)) {
                    Some(run) => (run, found.hidden(false)),
                    None => return look(Stretch::Rest(found)).map(|_| ()).map_err(failed),
                }
            };
            // A run is looked at from its base or from where the one before it ended.
            let part = Run { base: run.base.max(from), ..run };
            match look(Stretch::Run(part, hidden)) {
                Ok(true) => from = run.last + 1,
                Ok(false) => return Ok(()),
                Err(Miss::Moved) if attempts < ATTEMPTS => attempts += 1,
                Err(miss) => return Err(failed(miss)),
            }
        }
    }

    /// See [`Engine::seek`](crate::Engine::seek). A batch that cannot be decoded answers with its
    /// base, which may be early but never late.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn seek(&self, log: LogId, timestamp_ms: i64) -> Result<Option<(Offset, i64)>, ReadError> {
        let mut from = 0;
        let mut attempts = 0;
        loop {
            let stretch =
                self.stretch(log, from, |log, hidden| log.at_or_after(from, timestamp_ms, hidden))?;
            let (found, hidden, behind) = match stretch {
                Stretch::Rest(None) => return Ok(None),
                Stretch::Rest(Some(found)) => {
                    let bytes = self.source.fetch(log, &found);
                    let told = (found.base, found.last, found.max_timestamp_ms);
                    (bytes.map(|bytes| Some((told, bytes))), found.hidden, found.last)
                }
                Stretch::Run(run, hidden) => {
                    let at = from.max(hidden.first);
                    let found = self.source.at_or_after(&run, at, timestamp_ms);
                    let found = found.map(|found| {
                        found.map(|b| ((b.base, b.last, b.max_timestamp_ms), b.bytes))
                    });
                    (found, hidden, run.last)
                }
            };
            match found {
                Ok(None) => from = behind + 1,
                Ok(Some(((base, last, max_timestamp_ms), bytes))) => {
                    let Ok(records) = batch::records(&bytes) else {
                        return Ok(Some((base.max(hidden.first), max_timestamp_ms)));
                    };
                    let mut shown = records.iter().filter(|record| !hidden.hides(record.offset));
                    if let Some(hit) = shown.find(|record| record.timestamp_ms >= timestamp_ms) {
                        return Ok(Some((hit.offset, hit.timestamp_ms)));
                    }
                    from = last + 1;
                }
                Err(Miss::Moved) if attempts < ATTEMPTS => attempts += 1,
                Err(miss) => return Err(failed(miss)),
            }
        }
    }

    /// See [`Engine::appended_since`](crate::Engine::appended_since).
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn appended_since(&self, log: LogId, clock_ms: i64) -> Result<Offset, ReadError> {
        for _ in 0..ATTEMPTS {
            let run = {
                let state = self.state();
                let log = state.existing(log).ok_or(ReadError::NoLog)?;
                match log.runs().find(|run| run.appended_ms >= clock_ms) {
                    Some(run) => run,
                    None => {
                        let mut fresh = log.held.from(0);
                        let found = fresh.find(|batch| batch.appended_ms >= clock_ms);
                        return Ok(found.map_or(log.row.next, |batch| batch.base));
                    }
                }
            };
            match self.source.appended_since(&run, clock_ms) {
                Ok(found) => return Ok(found),
                Err(Miss::Moved) => {}
                Err(miss) => return Err(failed(miss)),
            }
        }
        Err(failed(Miss::Moved))
    }
}

fn failed(miss: Miss) -> ReadError {
    match miss {
        Miss::Failed(error) => error,
        Miss::Moved => ReadError::Unreadable("the records are being moved".into()),
    }
}

/// What a read has found so far.
struct Page {
    batches: Vec<StoredBatch>,
    bytes: usize,
    limits: ReadLimits,
}

impl Page {
    fn room(&self) -> usize {
        self.limits.max_bytes.saturating_sub(self.bytes)
    }

    fn is_full(&self) -> bool {
        !self.batches.is_empty() && self.bytes >= self.limits.max_bytes
    }

    fn take_run(
        &mut self,
        batches: Vec<StoredBatch>,
        hidden: &Hidden,
        at: &mut Offset,
        last: Offset,
    ) -> Result<(), Miss> {
        if batches.is_empty() {
            *at = last + 1;
        }
        let deleted = if self.limits.held { &Hidden::default() } else { hidden };
        for batch in batches {
            let bytes = batch.bytes.len();
            if !self.batches.is_empty() && self.bytes + bytes > self.limits.max_bytes {
                self.bytes = self.limits.max_bytes;
                return Ok(());
            }
            *at = batch.last + 1;
            if let Some(batch) = present(batch, deleted)? {
                self.bytes += bytes;
                self.batches.push(batch);
            }
        }
        Ok(())
    }

    fn take_found<P: Place>(
        &mut self,
        source: &impl Source<P>,
        log: LogId,
        found: &[Found<P>],
        at: &mut Offset,
    ) -> Result<(), Miss> {
        let from = *at;
        for found in found.iter().filter(|found| found.last >= from) {
            let bytes = source.fetch(log, found)?;
            self.bytes += bytes.len();
            *at = found.last + 1;
            let batch = StoredBatch {
                base: found.base,
                last: found.last,
                max_timestamp_ms: found.max_timestamp_ms,
                bytes,
                subjects: found.subjects.clone(),
            };
            self.batches.extend(present(batch, &found.hidden)?);
        }
        Ok(())
    }
}

/// A batch without the records that must not be shown; `None` when no record is left.
fn present(batch: StoredBatch, hidden: &Hidden) -> Result<Option<StoredBatch>, ReadError> {
    if !hidden.any_deleted(batch.base, batch.last) {
        return Ok(Some(batch));
    }
    let left = batch::without(&batch.bytes, |offset| hidden.is_deleted(offset));
    let left = left.map_err(|error| ReadError::Unreadable(error.to_string()))?;
    Ok(left.map(|bytes| StoredBatch { bytes, ..batch }))
}

impl<P: Place> State<P> {
    /// The next stretch of a read that began at `start` and has come to `at`.
    fn readable(
        &self,
        log: LogId,
        at: Offset,
        start: Offset,
        page: &Page,
    ) -> Result<Stretch<Vec<Found<P>>>, ReadError> {
        let held = page.limits.held;
        let log = self.logs.get(log).filter(|log| log.exists() || held);
        let log = log.ok_or(ReadError::NoLog)?;
        let (first, end) = (log.row.first, log.row.next);
        if start > end || (start < first && !held) {
            return Err(ReadError::OutOfRange { first, end });
        }
        let hidden = log.hidden(held);
        if let Some(run) = log.run_from(at) {
            return Ok(Stretch::Run(run, hidden));
        }
        let mut found = Vec::new();
        let mut bytes = 0;
        for batch in log.held.from(at) {
            if !held && batch.hidden {
                continue;
            }
            bytes += usize::try_from(batch.place.bytes()).unwrap_or(usize::MAX);
            let any = !found.is_empty() || !page.batches.is_empty();
            if any && bytes > page.room() {
                break;
            }
            found.push(log.found(&batch, &hidden));
        }
        Ok(Stretch::Rest(found))
    }
}

/// What the subject table knows of the last record that matches.
enum LastKnown {
    Is(Option<Offset>),
    /// It is below this one; where, is to be looked for.
    Below(Offset),
}

impl<P: Place> Log<P> {
    fn matches(&self, filter: &Filter, slot: u32) -> bool {
        self.subjects.get(slot).is_some_and(|slot| filter.matches(&slot.subject))
    }

    /// Shown records in the index with their slots.
    fn shown_fresh<'a>(
        &'a self,
        range: &Range<Offset>,
        hidden: &Hidden,
    ) -> impl Iterator<Item = (Offset, u32)> + use<'a, P> {
        let from = range.start.max(self.row.first);
        let end = range.end;
        let hidden = hidden.clone();
        let batches = self.held.from(from).take_while(move |batch| batch.base < end);
        batches.flat_map(move |batch| {
            let last = batch.last.min(end - 1);
            let hidden = hidden.clone();
            (from.max(batch.base)..=last)
                .filter(move |offset| !hidden.is_deleted(*offset))
                .map(move |offset| (offset, batch.column.of(batch.index(offset))))
        })
    }

    /// The first shown record in the index that matches.
    fn next_fresh(&self, filter: &Filter, from: Offset) -> Option<Offset> {
        let hidden = self.hidden(false);
        let mut from = from.max(self.row.first);
        if !filter.is_literal() {
            let near = self.shown_fresh(&(from..Offset::MAX), &hidden);
            let near: Vec<_> = near.take(NEAR_RECORDS).collect();
            // Neighbours often have the same subject.
            let mut matched = None;
            let mut matches = |slot: u32| match matched {
                Some((known, hit)) if known == slot => hit,
                Some(_) | None => matched.insert((slot, self.matches(filter, slot))).1,
            };
            if let Some((hit, _)) = near.iter().find(|(_, slot)| matches(*slot)) {
                return Some(*hit);
            }
            match near.last() {
                Some((offset, _)) if near.len() == NEAR_RECORDS => from = offset + 1,
                Some(_) | None => return None,
            }
        }
        let candidates = self.subjects.candidates(filter, from);
        if candidates.is_empty() {
            return None;
        }
        let mut shown = self.shown_fresh(&(from.max(candidates.nearest)..Offset::MAX), &hidden);
        shown.find(|(_, slot)| candidates.contains(*slot)).map(|(offset, _)| offset)
    }

    /// The last shown record in the index below `before` that matches.
    fn last_fresh(&self, filter: &Filter, before: Offset, hidden: &Hidden) -> Option<Offset> {
        for batch in self.held.below(before).rev() {
            if batch.last < hidden.first {
                break;
            }
            let offsets = (batch.base..=batch.last.min(before - 1)).rev();
            let mut shown = offsets.filter(|offset| !hidden.hides(*offset));
            let hit = match &*batch.column {
                Column::One(slot) if self.matches(filter, *slot) => shown.next(),
                Column::One(_) => None,
                Column::Each(_) => {
                    shown.find(|offset| self.matches(filter, batch.column.of(batch.index(*offset))))
                }
            };
            if hit.is_some() {
                return hit;
            }
        }
        None
    }

    fn last_known(&self, filter: &Filter) -> LastKnown {
        let hidden = self.hidden(false);
        // The highest that is shown, and the highest that only might be.
        let (mut shown, mut unsure) = (None, None);
        let mut look = |last: Option<Offset>| {
            let Some(last) = last.filter(|last| *last >= hidden.first) else { return };
            if hidden.is_deleted(last) {
                unsure = unsure.max(Some(last));
            } else {
                shown = shown.max(Some(last));
            }
        };
        match filter.as_literal() {
            Some(subject) => {
                let slot = self.subjects.find(&subject).and_then(|slot| self.subjects.get(slot));
                look(slot.and_then(|slot| slot.last));
            }
            None => {
                self.subjects.matching(filter, None).for_each(|(_, slot)| look(slot.last));
            }
        }
        match unsure {
            Some(unsure) if Some(unsure) > shown => LastKnown::Below(unsure),
            Some(_) | None => LastKnown::Is(shown),
        }
    }

    fn at_or_after(&self, from: Offset, timestamp_ms: i64, hidden: &Hidden) -> Option<Found<P>> {
        let mut batches = self.held.from(from.max(self.row.first));
        let batch =
            batches.find(|batch| batch.max_timestamp_ms >= timestamp_ms && !batch.hidden)?;
        Some(self.found(&batch, hidden))
    }
}
