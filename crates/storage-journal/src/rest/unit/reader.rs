//! Batches of a run by offset and by time.

use std::ops::Range;

use bytes::Bytes;
use hashbrown::HashMap;
use model::subject::Subject;
use storage::batch::{self, BatchHeader};
use storage::{Offset, Subjects};

use super::column::{self, Columns, Mark, Span};
use super::layout::seed;
use super::section::{Block, ColumnsPlace};
use super::{RestError, Rested, RunIndex, Unit};

/// A read takes no more blocks than this at once, however much is asked for.
const READ_BYTES_MAX: usize = 8 << 20;

/// Reads on one run of a unit.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    pub(super) unit: &'a Unit,
    pub(super) index: &'a RunIndex,
}

/// What is read with one access to the disk: a part of a file and where it begins.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) blocks: Range<usize>,
    start: u64,
    bytes: Bytes,
}

impl Run<'_> {
    /// Batches from the one that holds `from`, or the next after it, on: at most about `max_bytes`,
    /// at least one if there is one, and never more than some MiB at once.
    ///
    /// A damaged block ends the answer before it; a read that begins with it fails.
    ///
    /// # Errors
    ///
    /// [`RestError`].
    pub fn read(&self, from: Offset, max_bytes: usize) -> Result<Vec<Rested>, RestError> {
        let blocks = self.blocks_from(from, max_bytes.min(READ_BYTES_MAX));
        let mut batches: Vec<Rested> = Vec::new();
        if blocks.is_empty() {
            return Ok(batches);
        }
        let columns = self.columns(blocks.clone())?;
        let data = self.data(blocks.clone())?;
        let mut names = Names::new();
        let mut bytes = 0;
        for block in blocks {
            let read = match self.batches(block, (&columns, &data), &mut names) {
                Ok(read) => read,
                Err(error) if batches.is_empty() => return Err(error),
                Err(_) => break,
            };
            for batch in read.into_iter().filter(|batch| batch.last >= from) {
                bytes += batch.bytes.len();
                if bytes > max_bytes && !batches.is_empty() {
                    return Ok(batches);
                }
                batches.push(batch);
            }
        }
        Ok(batches)
    }

    /// The first batch at or after the one that holds `from` with a record at or after this time,
    /// as far as the batch's highest timestamp tells.
    ///
    /// # Errors
    ///
    /// [`RestError`].
    pub fn at_or_after(
        &self,
        from: Offset,
        timestamp_ms: i64,
    ) -> Result<Option<Rested>, RestError> {
        let blocks = &self.index.blocks;
        // Before this one no block has such a timestamp.
        let first = blocks.partition_point(|block| block.timestamp_so_far_ms < timestamp_ms);
        let first = first.max(self.index.block_at(from));
        for (at, block) in blocks.iter().enumerate().skip(first) {
            if block.max_timestamp_ms < timestamp_ms {
                continue;
            }
            let fits = |last: Offset, time: i64| last >= from && time >= timestamp_ms;
            let columns = self.columns(at..at + 1)?;
            let marks = self.decoded(at, &columns)?.marks;
            if !marks.iter().any(|mark| fits(mark.last, mark.max_timestamp_ms)) {
                continue;
            }
            let data = self.data(at..at + 1)?;
            let batches = self.batches(at, (&columns, &data), &mut Names::new())?;
            let found = batches.into_iter().find(|one| fits(one.last, one.max_timestamp_ms));
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Where a scan for batches appended at this engine clock or later has to begin: the first
    /// offset of the first block with one.
    pub fn younger_than(&self, clock_ms: i64) -> Option<Offset> {
        let blocks = &self.index.blocks;
        let first = blocks.partition_point(|block| block.appended_so_far_ms < clock_ms);
        blocks.get(first).map(|block| block.base)
    }

    /// The block that holds `from` or follows it, and as many more as `max_bytes` allows.
    fn blocks_from(&self, from: Offset, max_bytes: usize) -> Range<usize> {
        let start = self.index.block_at(from);
        let mut bytes = 0_usize;
        let rest = self.index.blocks.get(start..).unwrap_or_default();
        let count = rest.iter().take_while(|block| {
            let first = bytes == 0;
            bytes = bytes.saturating_add(usize::try_from(block.length).unwrap_or(usize::MAX));
            first || bytes <= max_bytes
        });
        start..start + count.count()
    }

    /// The column parts of some blocks, not yet checked. The file may end too early.
    pub(super) fn columns(&self, blocks: Range<usize>) -> Result<Chunk, RestError> {
        let (start, end) = self.extent(&blocks, |block| (block.column, block.column_length));
        let length = usize::try_from(end - start).unwrap_or(usize::MAX);
        let bytes = match &self.index.columns {
            ColumnsPlace::Inline(all) => {
                let at = usize::try_from(start).unwrap_or(usize::MAX);
                all.get(at..).map_or_else(Bytes::new, |_| all.slice(at..))
            }
            ColumnsPlace::At(position) => {
                self.unit.index_part().read_some(position + start, length)?
            }
        };
        Ok(Chunk { blocks, start, bytes })
    }

    /// The bytes of some blocks, not yet checked. The file may end too early.
    pub(super) fn data(&self, blocks: Range<usize>) -> Result<Chunk, RestError> {
        let (start, end) = self.extent(&blocks, |block| (block.position, block.length));
        let length = usize::try_from(end - start).unwrap_or(usize::MAX);
        Ok(Chunk { blocks, start, bytes: self.unit.data.read_some(start, length)? })
    }

    /// Blocks lie back to back, and so do their columns.
    fn extent(&self, blocks: &Range<usize>, part: fn(&Block) -> (u64, u32)) -> (u64, u64) {
        let blocks = self.index.blocks.get(blocks.clone()).unwrap_or_default();
        let start = blocks.first().map_or(0, |block| part(block).0);
        let end = blocks.last().map_or(start, |block| part(block).0 + u64::from(part(block).1));
        (start, end)
    }

    /// What the column part of a block says.
    pub(super) fn decoded(&self, at: usize, columns: &Chunk) -> Result<Columns, RestError> {
        let block = self.index.blocks.get(at).copied().unwrap_or_default();
        let part = self.unit.index_part();
        let position = match self.index.columns {
            ColumnsPlace::Inline(_) => self.index.section.0,
            ColumnsPlace::At(position) => position + block.column,
        };
        let damaged = |reason| RestError::from(part.damage(position, reason));
        let bytes = columns.slice(block.column, block.column_length);
        let bytes = bytes.ok_or_else(|| damaged("the file ends in a column"))?;
        if crc32c::crc32c_append(seed(self.index.id), &bytes) != block.column_crc {
            return Err(damaged("column checksum mismatch"));
        }
        column::decode(&bytes, &block, self.index.subject_count()).map_err(damaged)
    }

    /// The batches of a block, checked against its column.
    pub(super) fn batches(
        &self,
        at: usize,
        (columns, data): (&Chunk, &Chunk),
        names: &mut Names,
    ) -> Result<Vec<Rested>, RestError> {
        let block = self.index.blocks.get(at).copied().unwrap_or_default();
        let damaged = |reason| RestError::from(self.unit.data.damage(block.position, reason));
        let bytes = data.slice(block.position, block.length);
        let mut bytes = bytes.ok_or_else(|| damaged("the file ends in a block"))?;
        if crc32c::crc32c_append(seed(self.index.id), &bytes) != block.crc {
            return Err(damaged("block checksum mismatch"));
        }
        let Columns { marks, spans } = self.decoded(at, columns)?;
        let mut spans = spans.as_slice();
        let mut batches = Vec::with_capacity(marks.len());
        for mark in marks {
            let one = split_batch(&mut bytes, &mark);
            let one = one.ok_or_else(|| damaged("the batches are not those of the column"))?;
            let count = spans.partition_point(|span| span.last <= mark.last);
            let (own, rest) = spans.split_at(count);
            spans = rest;
            let subjects = self.subjects(own, names);
            let subjects = subjects
                .ok_or_else(|| self.unit.section_damage(self.index, "a name is no subject"))?;
            batches.push(Rested {
                base: mark.base,
                last: mark.last,
                max_timestamp_ms: mark.max_timestamp_ms,
                appended_ms: mark.appended_ms,
                bytes: one,
                subjects,
            });
        }
        if bytes.is_empty() { Ok(batches) } else { Err(damaged("more batches than in the column")) }
    }

    /// The subjects of a batch's records.
    fn subjects(&self, spans: &[Span], names: &mut Names) -> Option<Subjects> {
        let mut name = |id: u32| match names.get(&id) {
            Some(subject) => Some(subject.clone()),
            None => {
                let subject = self.index.subject(id)?;
                names.insert(id, subject.clone());
                Some(subject)
            }
        };
        if let [one] = spans {
            return Some(Subjects::One(name(one.subject)?));
        }
        let mut each = Vec::new();
        for span in spans {
            let records = usize::try_from(span.last - span.first + 1).ok()?;
            // No batch of several subjects has more records than bytes: a higher count is a lie
            // that must not be allocated for.
            if each.len().checked_add(records)? > super::BATCH_BYTES_MAX {
                return None;
            }
            each.resize(each.len() + records, name(span.subject)?);
        }
        Some(Subjects::Each(each.into()))
    }
}

/// Subjects that a read has met, so that each name is checked once.
pub(super) type Names = HashMap<u32, Subject>;

impl Chunk {
    fn slice(&self, position: u64, length: u32) -> Option<Bytes> {
        let start = usize::try_from(position.checked_sub(self.start)?).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }
}

/// Takes the batch off the front that the column says is there.
fn split_batch(bytes: &mut Bytes, mark: &Mark) -> Option<Bytes> {
    let header = BatchHeader::decode(bytes).ok()?;
    let length = batch::length(bytes).filter(|length| *length <= bytes.len())?;
    let same = header.base == mark.base
        && header.base.checked_add(header.last_delta.into()) == Some(mark.last);
    same.then(|| bytes.split_to(length))
}
