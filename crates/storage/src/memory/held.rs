//! What a log has in the index: runs in resting files, and behind them the batches of the
//! write-ahead log.
//!
//! A million logs may have one thing or nothing, and each pays for every byte: so one thing stands
//! in the log itself, without an allocation.
//!
//! ```text
//!  nothing   one batch of one subject   one run   many: [runs][fresh batches]
//! ```

use std::borrow::Cow;

use super::fresh::{Batch, Fresh};
use super::log::Run;
use super::subjects::Column;
use crate::Offset;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Held<P>(Form<P>);

#[derive(Debug)]
enum Form<P> {
    Nothing,
    /// See [`Batch`].
    Batch {
        hidden: bool,
        slot: u32,
        base: Offset,
        last: Offset,
        max_timestamp_ms: i64,
        appended_ms: i64,
        place: P,
    },
    /// See [`Run`].
    Run {
        bytes: u32,
        section_length: u32,
        /// Offset of the last record, above that of the first.
        above: u32,
        base: Offset,
        file: u64,
        section: u64,
        max_timestamp_ms: i64,
        appended_ms: i64,
    },
    Many(Box<Many<P>>),
}

#[derive(Debug)]
struct Many<P> {
    /// In order; as long as it must be.
    runs: Box<[Run]>,
    fresh: Fresh<P>,
}

/// A batch, and where it is, as somebody sees it.
#[derive(Debug)]
pub(super) struct Seen<'a, P> {
    pub(super) base: Offset,
    pub(super) last: Offset,
    pub(super) max_timestamp_ms: i64,
    /// Engine clock when it was appended.
    pub(super) appended_ms: i64,
    pub(super) column: Cow<'a, Column>,
    pub(super) place: &'a P,
    /// All its records are deleted: its bytes do not count as visible any more.
    pub(super) hidden: bool,
}

impl<'a, P> Seen<'a, P> {
    fn of(batch: &'a Batch<P>) -> Self {
        Self {
            base: batch.base,
            last: batch.last,
            max_timestamp_ms: batch.max_timestamp_ms,
            appended_ms: batch.appended_ms,
            column: Cow::Borrowed(&batch.column),
            place: batch.place(),
            hidden: batch.hidden,
        }
    }

    /// The index of a record in it.
    pub(super) fn index(&self, offset: Offset) -> usize {
        usize::try_from(offset.saturating_sub(self.base)).unwrap_or(usize::MAX)
    }
}

impl<P> Default for Held<P> {
    fn default() -> Self {
        Self(Form::Nothing)
    }
}

impl<P> Form<P> {
    fn of_run(run: &Run) -> Option<Self> {
        Some(Self::Run {
            bytes: run.bytes,
            section_length: run.section.1,
            above: u32::try_from(run.last - run.base).ok()?,
            base: run.base,
            file: run.file,
            section: run.section.0,
            max_timestamp_ms: run.max_timestamp_ms,
            appended_ms: run.appended_ms,
        })
    }

    /// The batch back if it cannot stand alone.
    fn of_batch(batch: Batch<P>) -> Result<Self, Batch<P>> {
        let Column::One(slot) = batch.column else { return Err(batch) };
        Ok(Self::Batch {
            hidden: batch.hidden,
            slot,
            base: batch.base,
            last: batch.last,
            max_timestamp_ms: batch.max_timestamp_ms,
            appended_ms: batch.appended_ms,
            place: batch.into_place(),
        })
    }

    fn of_large_batch(batch: Batch<P>) -> Self {
        let mut many = Many { runs: Box::default(), fresh: Fresh::default() };
        many.fresh.push(batch);
        Self::Many(Box::new(many))
    }

    fn into_many(self) -> Box<Many<P>> {
        let runs = self.run().into_iter().collect();
        let mut many = Many { runs, fresh: Fresh::default() };
        match self {
            Self::Many(many) => return many,
            Self::Batch { hidden, slot, base, last, max_timestamp_ms, appended_ms, place } => {
                let times = (max_timestamp_ms, appended_ms);
                let mut batch = Batch::new((base, last), times, Column::One(slot), place);
                batch.hidden = hidden;
                many.fresh.push(batch);
            }
            Self::Nothing | Self::Run { .. } => {}
        }
        Box::new(many)
    }

    fn batch(&self) -> Option<Seen<'_, P>> {
        let Self::Batch { hidden, slot, base, last, max_timestamp_ms, appended_ms, place } = self
        else {
            return None;
        };
        Some(Seen {
            base: *base,
            last: *last,
            max_timestamp_ms: *max_timestamp_ms,
            appended_ms: *appended_ms,
            column: Cow::Owned(Column::One(*slot)),
            place,
            hidden: *hidden,
        })
    }

    fn run(&self) -> Option<Run> {
        let Self::Run {
            bytes,
            section_length,
            above,
            base,
            file,
            section,
            max_timestamp_ms,
            appended_ms,
        } = self
        else {
            return None;
        };
        Some(Run {
            base: *base,
            last: base + u64::from(*above),
            file: *file,
            section: (*section, *section_length),
            bytes: *bytes,
            max_timestamp_ms: *max_timestamp_ms,
            appended_ms: *appended_ms,
        })
    }

    fn many(&self) -> Option<&Many<P>> {
        match self {
            Self::Many(many) => Some(many),
            Self::Nothing | Self::Batch { .. } | Self::Run { .. } => None,
        }
    }
}

impl<P> Many<P> {
    fn change_runs(&mut self, change: impl FnOnce(&mut Vec<Run>)) {
        let mut runs = std::mem::take(&mut self.runs).into_vec();
        runs.reserve_exact(1);
        change(&mut runs);
        self.runs = runs.into();
    }

    fn into_form(mut self: Box<Self>) -> Form<P> {
        let alone = match &*self.runs {
            [] => match self.fresh.take_alone() {
                Some(batch) => Some(Form::of_batch(batch).unwrap_or_else(Form::of_large_batch)),
                None => self.fresh.is_empty().then_some(Form::Nothing),
            },
            [run] if self.fresh.is_empty() => Form::of_run(run),
            _ => None,
        };
        alone.unwrap_or(Form::Many(self))
    }
}

impl<P> Held<P> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.0, Form::Nothing)
    }

    /// Changes it as many things. What is left alone by that stands in the log itself again.
    fn change<T>(&mut self, change: impl FnOnce(&mut Many<P>) -> T) -> T {
        let mut many = std::mem::replace(&mut self.0, Form::Nothing).into_many();
        let changed = change(&mut many);
        self.0 = many.into_form();
        changed
    }
}

/// Batches of the write-ahead log.
impl<P> Held<P> {
    /// The batch that holds `offset`.
    pub(super) fn at(&self, offset: Offset) -> Option<Seen<'_, P>> {
        match self.0.many() {
            Some(many) => many.fresh.at(offset).map(Seen::of),
            None => self.0.batch().filter(|batch| (batch.base..=batch.last).contains(&offset)),
        }
    }

    /// Batches that hold `offset` or something behind it, in order.
    pub(super) fn from(&self, offset: Offset) -> impl DoubleEndedIterator<Item = Seen<'_, P>> {
        let alone = self.0.batch().filter(|batch| batch.last >= offset);
        let many = self.0.many().into_iter();
        alone.into_iter().chain(many.flat_map(move |many| many.fresh.from(offset)).map(Seen::of))
    }

    /// Batches that hold something below `offset`, in order.
    pub(super) fn below(&self, offset: Offset) -> impl DoubleEndedIterator<Item = Seen<'_, P>> {
        let alone = self.0.batch().filter(|batch| batch.base < offset);
        let many = self.0.many().into_iter();
        alone.into_iter().chain(many.flat_map(move |many| many.fresh.below(offset)).map(Seen::of))
    }

    /// Takes in a batch behind all others; false when it does not stand there.
    pub(super) fn push(&mut self, batch: Batch<P>) -> bool {
        match &mut self.0 {
            Form::Many(many) => many.fresh.push(batch),
            Form::Nothing => {
                self.0 = Form::of_batch(batch).unwrap_or_else(Form::of_large_batch);
                true
            }
            Form::Batch { .. } | Form::Run { .. } => self.change(|many| many.fresh.push(batch)),
        }
    }

    /// Takes out the batch that begins at `base`.
    pub(super) fn remove(&mut self, base: Offset) -> Option<(P, Column)> {
        if let Form::Many(many) = &mut self.0 {
            let gone = many.fresh.remove(base)?;
            self.change(|_| {});
            return Some(gone);
        }
        self.0.batch().filter(|batch| batch.base == base)?;
        match std::mem::replace(&mut self.0, Form::Nothing) {
            Form::Batch { slot, place, .. } => Some((place, Column::One(slot))),
            Form::Nothing | Form::Run { .. } | Form::Many(_) => None,
        }
    }

    /// The bytes of the batch that holds `offset` count as visible no more; returns where they are
    /// if they did.
    pub(super) fn hide(&mut self, offset: Offset) -> Option<&P> {
        self.at(offset).filter(|batch| !batch.hidden)?;
        match &mut self.0 {
            Form::Many(many) => many.fresh.hide(offset),
            Form::Batch { hidden, place, .. } => {
                *hidden = true;
                Some(place)
            }
            Form::Nothing | Form::Run { .. } => None,
        }
    }
}

/// Runs in resting files.
impl<P> Held<P> {
    /// Those that hold `offset` or something behind it, in order.
    pub(super) fn runs_from(&self, offset: Offset) -> impl Iterator<Item = Run> {
        let alone = self.0.run().filter(|run| run.last >= offset);
        let many = self.0.many().into_iter();
        let many = many.flat_map(move |many| {
            many.runs.iter().skip(many.runs.partition_point(|run| run.last < offset)).copied()
        });
        alone.into_iter().chain(many)
    }

    /// The last one that holds something below `offset`.
    pub(super) fn run_below(&self, offset: Offset) -> Option<Run> {
        match self.0.many() {
            Some(many) => {
                let end = many.runs.partition_point(|run| run.base < offset);
                many.runs.get(end.checked_sub(1)?).copied()
            }
            None => self.0.run().filter(|run| run.base < offset),
        }
    }

    /// The last one.
    pub(super) fn last_run(&self) -> Option<Run> {
        self.run_below(Offset::MAX)
    }

    /// Puts a run in its place among the others.
    pub(super) fn add_run(&mut self, run: Run) {
        if let Form::Nothing = self.0
            && let Some(alone) = Form::of_run(&run)
        {
            self.0 = alone;
            return;
        }
        self.change(|many| {
            let at = many.runs.partition_point(|old| old.base < run.base);
            many.change_runs(|runs| runs.insert(at, run));
        });
    }

    /// Takes runs out; says whether there were any.
    pub(super) fn remove_runs(&mut self, mut gone: impl FnMut(&Run) -> bool) -> bool {
        self.change(|many| {
            let before = many.runs.len();
            many.change_runs(|runs| runs.retain(|run| !gone(run)));
            many.runs.len() < before
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(base: Offset, column: Column) -> Batch<u64> {
        Batch::new((base, base + 4), (7, 8), column, base)
    }

    fn run(base: Offset, last: Offset) -> Run {
        let section = (4096, 77);
        Run { base, last, file: 9, section, bytes: 500, max_timestamp_ms: 7, appended_ms: 8 }
    }

    fn bases(held: &Held<u64>) -> (Vec<Offset>, Vec<Offset>) {
        let runs = held.runs_from(0).map(|run| run.base).collect();
        (runs, held.from(0).map(|batch| batch.base).collect())
    }

    #[test]
    fn one_thing_stands_in_the_log_itself_again_and_again() {
        let mut held = Held::default();
        for _ in 0..3 {
            assert!(held.push(batch(0, Column::One(0))));
            assert!(matches!(held.0, Form::Batch { .. }));
            assert!(held.push(batch(10, Column::One(0))));
            assert!(!held.push(batch(10, Column::One(0))), "it does not stand behind the others");
            assert!(matches!(held.0, Form::Many(_)));
            held.remove(0);
            held.add_run(run(0, 4));
            assert_eq!(bases(&held), (vec![0], vec![10]));
            assert_eq!(held.remove(10), Some((10, Column::One(0))));
            assert!(matches!(held.0, Form::Run { .. }));
            assert_eq!(held.last_run(), Some(run(0, 4)));
            assert!(held.remove_runs(|run| run.file == 9));
            assert!(held.is_empty());
        }
    }

    #[test]
    fn what_cannot_stand_alone_is_one_of_many() {
        let mut held = Held::default();
        assert!(held.push(batch(0, Column::Each([0, 1, 0, 1, 0].into()))));
        assert_eq!(held.at(2).map(|batch| batch.column.of(3)), Some(1));
        held.remove(0);
        held.add_run(run(0, 1 << 40));
        assert_eq!(held.last_run(), Some(run(0, 1 << 40)));
    }

    #[test]
    fn alone_or_among_others_a_batch_is_found_by_what_it_holds() {
        let mut held = Held::default();
        held.push(batch(10, Column::One(3)));
        for _ in 0..2 {
            assert_eq!(held.at(14).map(|batch| batch.column.of(4)), Some(3));
            assert!(held.at(9).is_none() && held.at(15).is_none());
            assert_eq!(held.from(14).next().map(|batch| batch.base), Some(10));
            assert!(held.below(10).next().is_none());
            assert_eq!(held.below(11).next().map(|batch| batch.last), Some(14));
            held.push(batch(20, Column::One(4)));
        }
        assert_eq!(held.hide(12), Some(&10));
        assert_eq!(held.hide(12), None, "it is hidden already");
        held.remove(20);
        assert!(held.at(10).is_some_and(|batch| batch.hidden));
    }
}
