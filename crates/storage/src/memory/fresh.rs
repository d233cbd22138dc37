//! The batches of one log that stand in the write-ahead log or in memory, in order.
//!
//! Batches come at the end and go anywhere: one that goes leaves a gap that is closed once gaps are
//! half of all, so that neither costs more than a few moves.

use std::collections::VecDeque;

use super::subjects::Column;
use crate::Offset;

/// A batch and where it is.
#[derive(Debug)]
pub(super) struct Batch<P> {
    pub(super) base: Offset,
    pub(super) last: Offset,
    pub(super) max_timestamp_ms: i64,
    /// Engine clock when it was appended.
    pub(super) appended_ms: i64,
    pub(super) column: Column,
    /// `None` once it is gone.
    place: Option<P>,
    /// All its records are deleted: its bytes do not count as visible any more.
    pub(super) hidden: bool,
}

impl<P> Batch<P> {
    pub(super) fn new(span: (Offset, Offset), times: (i64, i64), column: Column, place: P) -> Self {
        let ((base, last), (max_timestamp_ms, appended_ms)) = (span, times);
        let place = Some(place);
        Self { base, last, max_timestamp_ms, appended_ms, column, place, hidden: false }
    }

    /// Where its bytes are.
    pub(super) fn place(&self) -> &P {
        self.place.as_ref().expect("only batches that are there are given out")
    }

    /// The same, without the batch.
    pub(super) fn into_place(self) -> P {
        self.place.expect("only batches that are there are given out")
    }
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Fresh<P> {
    batches: VecDeque<Batch<P>>,
    gaps: usize,
}

impl<P> Default for Fresh<P> {
    fn default() -> Self {
        Self { batches: VecDeque::new(), gaps: 0 }
    }
}

impl<P> Fresh<P> {
    pub(super) fn is_empty(&self) -> bool {
        self.batches.len() == self.gaps
    }

    /// The first place that may hold `offset` or what follows it.
    fn search(&self, offset: Offset) -> usize {
        self.batches.partition_point(|batch| batch.last < offset)
    }

    /// The batch that holds `offset`.
    pub(super) fn at(&self, offset: Offset) -> Option<&Batch<P>> {
        let batch = self.batches.get(self.search(offset))?;
        (batch.base <= offset && batch.place.is_some()).then_some(batch)
    }

    /// Batches that hold `offset` or something behind it, in order.
    pub(super) fn from(&self, offset: Offset) -> impl DoubleEndedIterator<Item = &Batch<P>> {
        self.batches.range(self.search(offset)..).filter(|batch| batch.place.is_some())
    }

    /// Batches that hold something below `offset`, in order.
    pub(super) fn below(&self, offset: Offset) -> impl DoubleEndedIterator<Item = &Batch<P>> {
        let end = self.batches.partition_point(|batch| batch.base < offset);
        self.batches.range(..end).filter(|batch| batch.place.is_some())
    }

    /// Takes in a batch behind all others; false when it does not stand there.
    pub(super) fn push(&mut self, batch: Batch<P>) -> bool {
        if self.batches.back().is_some_and(|newest| newest.last >= batch.base) {
            return false;
        }
        self.batches.push_back(batch);
        true
    }

    /// Hides the batch that holds `offset`, and says where it is.
    pub(super) fn hide(&mut self, offset: Offset) -> Option<&P> {
        let at = self.search(offset);
        let batch = self.batches.get_mut(at).filter(|batch| batch.base <= offset)?;
        batch.hidden = true;
        batch.place.as_ref()
    }

    /// Takes out the batch that begins at `base`.
    pub(super) fn remove(&mut self, base: Offset) -> Option<(P, Column)> {
        let at = self.search(base);
        let batch = self.batches.get_mut(at).filter(|batch| batch.base == base)?;
        let place = batch.place.take()?;
        let column = std::mem::replace(&mut batch.column, Column::One(u32::MAX));
        self.gaps += 1;
        while self.batches.front().is_some_and(|batch| batch.place.is_none()) {
            self.batches.pop_front();
            self.gaps -= 1;
        }
        if self.gaps * 2 > self.batches.len() {
            self.batches.retain(|batch| batch.place.is_some());
            self.gaps = 0;
        }
        let (length, capacity) = (self.batches.len(), self.batches.capacity());
        if length == 0 {
            self.batches = VecDeque::new();
        } else if capacity > 64 && length < capacity / 4 {
            self.batches.shrink_to(length * 2);
        }
        Some((place, column))
    }

    /// Takes out the only batch if there are no others.
    pub(super) fn take_alone(&mut self) -> Option<Batch<P>> {
        if self.batches.len() - self.gaps != 1 {
            return None;
        }
        self.gaps = 0;
        self.batches.retain(|batch| batch.place.is_some());
        self.batches.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u64) -> Fresh<u64> {
        let mut fresh = Fresh::default();
        for n in 0..count {
            let batch = Batch::new((n * 10, n * 10 + 4), (0, 0), Column::One(0), n);
            assert!(fresh.push(batch));
        }
        fresh
    }

    #[test]
    fn batches_are_found_by_what_they_hold() {
        let fresh = filled(20);
        assert_eq!(fresh.at(34).map(|batch| batch.base), Some(30));
        assert!(fresh.at(35).is_none(), "between two batches");
        assert_eq!(fresh.from(35).next().map(|batch| batch.base), Some(40));
        assert_eq!(fresh.below(31).next_back().map(|batch| batch.base), Some(30));
        assert_eq!(fresh.below(30).next_back().map(|batch| batch.base), Some(20));
    }

    #[test]
    fn what_goes_in_any_order_is_gone_and_the_rest_is_there() {
        for step in [1_u64, 7, 13] {
            let mut fresh = filled(100);
            let mut left: Vec<u64> = (0..100).collect();
            let mut at = 0;
            while !left.is_empty() {
                at = (at + step as usize) % left.len();
                let n = left.remove(at);
                assert_eq!(fresh.remove(n * 10).map(|(place, _)| place), Some(n));
                assert!(fresh.remove(n * 10).is_none());
                let found: Vec<_> = fresh.from(0).map(|batch| *batch.place()).collect();
                assert_eq!(found, left);
            }
            assert!(fresh.is_empty());
        }
    }
}
