//! Records of a run by subject: the columns are scanned, the batches are not touched.
//!
//! A filter is matched against the dictionary once. Where every record of a block counts, not even
//! its column is read.

use std::ops::{ControlFlow, Range};

use storage::Offset;

use model::subject::Subject;

use super::column::Span;
use super::pick::Pick;
use super::reader::Chunk;
use super::section::Block;
use super::{RestError, Run, Wanted};

/// A scan reads this much of the columns at first, and twice as much each time, up to
/// [`SCAN_BYTES_MAX`]: most scans end where they begin.
const SCAN_BYTES_MIN: usize = 8 << 10;
const SCAN_BYTES_MAX: usize = 256 << 10;

type Hidden<'a> = Option<&'a dyn Fn(Offset) -> bool>;

impl Run<'_> {
    /// The first wanted record at or after `from`.
    ///
    /// # Errors
    ///
    /// [`RestError`].
    pub fn next(&self, from: Offset, wanted: &Wanted<'_>) -> Result<Option<Offset>, RestError> {
        let mut found = None;
        self.scan(from, Offset::MAX, wanted)?.forward(|span| {
            found = (span.first..=span.last).find(|offset| !is_hidden(wanted.hidden, *offset));
            if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(found)
    }

    /// The last wanted record below `before`.
    ///
    /// # Errors
    ///
    /// [`RestError`].
    pub fn last_before(
        &self,
        before: Offset,
        wanted: &Wanted<'_>,
    ) -> Result<Option<Offset>, RestError> {
        let Some(last) = before.checked_sub(1) else { return Ok(None) };
        let mut found = None;
        self.scan(0, last, wanted)?.backward(|span| {
            found = last_shown(span, wanted.hidden);
            if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(found)
    }

    /// How many wanted records there are in `range`.
    ///
    /// # Errors
    ///
    /// [`RestError`].
    pub fn count(&self, range: Range<Offset>, wanted: &Wanted<'_>) -> Result<u64, RestError> {
        let mut count = 0;
        let Some(last) = last_of(&range) else { return Ok(0) };
        let mut scan = self.scan(range.start, last, wanted)?;
        scan.whole_blocks = wanted.hidden.is_none();
        scan.forward(|span| {
            count += shown(span, wanted.hidden);
            ControlFlow::Continue(())
        })?;
        Ok(scan.skipped.saturating_add(count))
    }

    /// Appends the wanted records in `range` to `out`, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`RestError`].
    pub fn offsets(
        &self,
        range: Range<Offset>,
        wanted: &Wanted<'_>,
        limit: usize,
        out: &mut Vec<Offset>,
    ) -> Result<(), RestError> {
        let Some(last) = last_of(&range).filter(|_| limit > 0) else { return Ok(()) };
        let end = out.len().saturating_add(limit);
        self.scan(range.start, last, wanted)?.forward(|span| {
            let offsets = (span.first..=span.last).filter(|at| !is_hidden(wanted.hidden, *at));
            out.extend(offsets.take(end - out.len()));
            if out.len() < end { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    }

    /// The subjects that have a record that is not hidden, each with the last one; in order.
    ///
    /// # Errors
    ///
    /// [`RestError`].
    pub fn last_per_subject(
        &self,
        hidden: Hidden<'_>,
    ) -> Result<Vec<(Subject, Offset)>, RestError> {
        let mut found = vec![None; self.index.subject_count() as usize];
        let mut left = found.len();
        self.scan_each().backward(|span| {
            if let Some(place @ None) = found.get_mut(span.subject as usize) {
                *place = last_shown(span, hidden);
                left -= usize::from(place.is_some());
            }
            if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        self.named(found)
    }

    fn named<T>(&self, found: Vec<Option<T>>) -> Result<Vec<(Subject, T)>, RestError> {
        let named = (0..).zip(found).filter_map(|(id, one)| Some((id, one?)));
        named
            .map(|(id, one)| {
                let subject = self.index.subject(id);
                let damage = || self.unit.section_damage(self.index, "a name is no subject");
                Ok((subject.ok_or_else(damage)?, one))
            })
            .collect()
    }

    fn scan(
        &self,
        first: Offset,
        last: Offset,
        wanted: &Wanted<'_>,
    ) -> Result<Scan<'_>, RestError> {
        let pick = self.index.pick(wanted.filter);
        let damage = || self.unit.section_damage(self.index, "a name is no subject");
        let pick = pick.ok_or_else(damage)?;
        Ok(Scan { first, last, nameless: matches!(pick, Pick::All), pick, ..self.scan_each() })
    }

    /// A scan of all records that tells the subjects apart.
    fn scan_each(&self) -> Scan<'_> {
        Scan {
            run: *self,
            first: 0,
            last: Offset::MAX,
            pick: Pick::All,
            nameless: self.index.subject_count() == 1,
            whole_blocks: false,
            skipped: 0,
            chunk: None,
            budget: SCAN_BYTES_MIN,
        }
    }
}

fn is_hidden(hidden: Hidden<'_>, offset: Offset) -> bool {
    hidden.is_some_and(|hidden| hidden(offset))
}

fn last_shown(span: Span, hidden: Hidden<'_>) -> Option<Offset> {
    (span.first..=span.last).rev().find(|offset| !is_hidden(hidden, *offset))
}

fn shown(span: Span, hidden: Hidden<'_>) -> u64 {
    match hidden {
        None => span.last - span.first + 1,
        Some(hidden) => (span.first..=span.last).map(|offset| u64::from(!hidden(offset))).sum(),
    }
}

fn last_of(range: &Range<Offset>) -> Option<Offset> {
    range.end.checked_sub(1).filter(|last| *last >= range.start)
}

/// A walk over the spans of picked subjects between two offsets.
struct Scan<'a> {
    run: Run<'a>,
    first: Offset,
    last: Offset,
    pick: Pick,
    /// All subjects are picked and nobody asks which is which.
    nameless: bool,
    /// Blocks that lie within the offsets as a whole may be counted instead of walked.
    whole_blocks: bool,
    /// Records in blocks that were counted.
    skipped: u64,
    chunk: Option<Chunk>,
    /// How much of the columns the next access reads.
    budget: usize,
}

impl Scan<'_> {
    fn forward(&mut self, mut visit: impl FnMut(Span) -> ControlFlow<()>) -> Result<(), RestError> {
        if matches!(self.pick, Pick::None) {
            return Ok(());
        }
        let blocks = &self.run.index.blocks;
        let first = self.run.index.block_at(self.first);
        for (at, block) in blocks.iter().enumerate().skip(first) {
            if block.base > self.last {
                break;
            }
            if self.counted(block) {
                continue;
            }
            for span in self.spans(at, block, true)? {
                if let Some(span) = self.clipped(span)
                    && visit(span).is_break()
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn backward(
        &mut self,
        mut visit: impl FnMut(Span) -> ControlFlow<()>,
    ) -> Result<(), RestError> {
        if matches!(self.pick, Pick::None) {
            return Ok(());
        }
        let blocks = &self.run.index.blocks;
        let end = blocks.partition_point(|block| block.base <= self.last);
        for (at, block) in blocks.iter().enumerate().take(end).rev() {
            if block.last < self.first {
                break;
            }
            for span in self.spans(at, block, false)?.into_iter().rev() {
                if let Some(span) = self.clipped(span)
                    && visit(span).is_break()
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn counted(&mut self, block: &Block) -> bool {
        let within = block.base >= self.first && block.last <= self.last;
        let counted = self.whole_blocks && self.nameless && within;
        if counted {
            self.skipped = self.skipped.saturating_add(block.records);
        }
        counted
    }

    /// The part of a span that is asked for.
    fn clipped(&self, span: Span) -> Option<Span> {
        let clipped =
            Span { first: span.first.max(self.first), last: span.last.min(self.last), ..span };
        (clipped.first <= clipped.last && self.pick.contains(span.subject)).then_some(clipped)
    }

    fn spans(&mut self, at: usize, block: &Block, ahead: bool) -> Result<Vec<Span>, RestError> {
        if self.nameless && block.is_dense() {
            return Ok(vec![Span { first: block.base, last: block.last, subject: 0 }]);
        }
        let chunk = match self.chunk.take().filter(|chunk| chunk.blocks.contains(&at)) {
            Some(chunk) => chunk,
            None => {
                let blocks = self.blocks_near(at, ahead);
                self.run.columns(blocks)?
            }
        };
        let columns = self.run.decoded(at, &chunk);
        self.chunk = Some(chunk);
        Ok(columns?.spans)
    }

    /// The block and some more in the direction of the scan.
    fn blocks_near(&mut self, at: usize, ahead: bool) -> Range<usize> {
        let mut bytes = 0_usize;
        let budget = self.budget;
        let mut fits = |block: &&Block| {
            let first = bytes == 0;
            bytes =
                bytes.saturating_add(usize::try_from(block.column_length).unwrap_or(usize::MAX));
            first || bytes <= budget
        };
        let blocks = &self.run.index.blocks;
        let range = if ahead {
            let rest = blocks.get(at..).unwrap_or_default();
            at..at + rest.iter().take_while(&mut fits).count()
        } else {
            let rest = blocks.get(..=at).unwrap_or_default();
            at + 1 - rest.iter().rev().take_while(&mut fits).count()..at + 1
        };
        self.budget = (budget * 2).min(SCAN_BYTES_MAX);
        range
    }
}
