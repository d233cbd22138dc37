//! The index of one run: its blocks and the dictionary of its subjects.

use std::ops::Range;

use bytes::{BufMut, Bytes};
use model::subject::Subject;
use storage::batch::HEADER_BYTES as BATCH_HEADER_BYTES;
use storage::{LogId, Offset};

use super::layout::seed;
use super::{BATCH_BYTES_MAX, FileId, Holding};
use crate::frame::{put, u32_at, u64_at};

pub(super) const SECTION_HEADER_BYTES: usize = 40;
pub(super) const BLOCK_ENTRY_BYTES: usize = 64;
/// Column parts of a run that are no longer than this together stand in the section itself, so
/// that a short run is found with one read.
pub(super) const INLINE_COLUMNS_MAX: u64 = 4096;

/// Some consecutive batches of a run that are read and checked together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) base: Offset,
    pub(super) last: Offset,
    /// The sum of the spans of its batches.
    pub(super) records: u64,
    pub(super) max_timestamp_ms: i64,
    /// The newest append in it.
    pub(super) appended_ms: i64,
    pub(super) length: u32,
    pub(super) crc: u32,
    pub(super) batches: u32,
    pub(super) column_length: u32,
    pub(super) column_crc: u32,
    /// Where it is in the file with the data; follows from the blocks before it.
    pub(super) position: u64,
    /// Where its column part is among those of the run; follows from the blocks before it.
    pub(super) column: u64,
    /// The highest timestamp in this block and all before it.
    pub(super) timestamp_so_far_ms: i64,
    /// The newest append in this block and all before it.
    pub(super) appended_so_far_ms: i64,
}

impl Block {
    /// Whether every offset from its first to its last is a record.
    pub(super) fn is_dense(&self) -> bool {
        (self.last - self.base).checked_add(1) == Some(self.records)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.base);
        out.put_u64_le(self.last);
        out.put_u64_le(self.records);
        out.put_i64_le(self.max_timestamp_ms);
        out.put_i64_le(self.appended_ms);
        for number in [self.length, self.crc, self.batches, self.column_length, self.column_crc] {
            out.put_u32_le(number);
        }
        out.put_u32_le(0);
    }

    /// Reads an entry behind the block `before`; `None` when it cannot follow that one.
    fn decode(entry: &[u8], before: Option<&Self>, data: u64) -> Option<Self> {
        let number = |at| u64_at(entry, at);
        let short = |at| u32_at(entry, at);
        let mut block = Self {
            base: number(0)?,
            last: number(8)?,
            records: number(16)?,
            max_timestamp_ms: number(24)?.cast_signed(),
            appended_ms: number(32)?.cast_signed(),
            length: short(40)?,
            crc: short(44)?,
            batches: short(48)?,
            column_length: short(52)?,
            column_crc: short(56)?,
            position: data,
            ..Self::default()
        };
        (block.timestamp_so_far_ms, block.appended_so_far_ms) =
            (block.max_timestamp_ms, block.appended_ms);
        if let Some(before) = before {
            block.position = before.position.checked_add(before.length.into())?;
            block.column = before.column.checked_add(before.column_length.into())?;
            block.timestamp_so_far_ms = block.max_timestamp_ms.max(before.timestamp_so_far_ms);
            block.appended_so_far_ms = block.appended_ms.max(before.appended_so_far_ms);
        }
        let span = block.last.checked_sub(block.base)?;
        let length = usize::try_from(block.length).ok()?;
        let possible = before.is_none_or(|before| before.last < block.base)
            && (1..=span.saturating_add(1)).contains(&block.records)
            && (BATCH_HEADER_BYTES..=BATCH_BYTES_MAX).contains(&length)
            && (1..=length / BATCH_HEADER_BYTES).contains(&usize::try_from(block.batches).ok()?)
            && block.column_length > 0
            && block.position.checked_add(block.length.into()).is_some()
            && short(60)? == 0;
        possible.then_some(block)
    }
}

/// What is written as a section.
#[derive(Debug)]
pub(super) struct SectionDraft<'a> {
    pub(super) log: LogId,
    /// Where the run begins in the file with the data.
    pub(super) position: u64,
    pub(super) blocks: &'a [Block],
    /// Ascending.
    pub(super) subjects: &'a [Subject],
    /// The column parts of the blocks, back to back.
    pub(super) columns: &'a [u8],
}

impl SectionDraft<'_> {
    /// Appends column parts and section, and says how long the section is. `None` when it has
    /// outgrown the format.
    pub(super) fn put(&self, out: &mut Vec<u8>, id: FileId) -> Option<u32> {
        let inline = self.columns.len() as u64 <= INLINE_COLUMNS_MAX;
        if !inline {
            out.put_slice(self.columns);
        }
        let start = out.len();
        let names: usize = self.subjects.iter().map(|subject| subject.as_bytes().len()).sum();
        out.put_u32_le(0);
        out.put_u32_le(u32::try_from(self.blocks.len()).ok()?);
        out.put_u32_le(u32::try_from(self.subjects.len()).ok()?);
        out.put_u32_le(u32::try_from(names).ok()?);
        out.put_u64_le(self.log.0);
        out.put_u64_le(self.position);
        out.put_u64_le(self.columns.len() as u64);
        for block in self.blocks {
            block.put(out);
        }
        let mut end = 0;
        for subject in self.subjects {
            end += u32::try_from(subject.as_bytes().len()).ok()?;
            out.put_u32_le(end);
        }
        for subject in self.subjects {
            out.put_slice(subject.as_bytes());
        }
        if inline {
            out.put_slice(self.columns);
        }
        let crc = crc32c::crc32c_append(seed(id), out.get(start + 4..)?);
        put(out, start, &crc.to_le_bytes());
        u32::try_from(out.len() - start).ok()
    }
}

/// Where the column parts of a run are.
#[derive(Debug)]
pub(super) enum ColumnsPlace {
    /// In the section.
    Inline(Bytes),
    /// At this position of the file with the index.
    At(u64),
}

/// The index of one run, in memory: worth keeping, but rebuilt with one read.
#[derive(Debug)]
pub struct RunIndex {
    pub(super) id: FileId,
    pub(super) log: LogId,
    /// Where its section is, for what goes wrong.
    pub(super) section: (u64, u32),
    /// Never empty.
    pub(super) blocks: Vec<Block>,
    pub(super) columns: ColumnsPlace,
    subjects: u32,
    /// The end of each name in `names`.
    ends: Bytes,
    names: Bytes,
}

impl RunIndex {
    /// Reads a section that stands at `section.0`; all that it says is within bounds then, but for
    /// where the run is: the caller knows the extent of the data part and of the index part.
    pub(super) fn decode(
        bytes: &Bytes,
        id: FileId,
        section: (u64, u32),
    ) -> Result<Self, &'static str> {
        let checked = bytes.get(4..).unwrap_or_default();
        if u32_at(bytes, 0) != Some(crc32c::crc32c_append(seed(id), checked)) {
            return Err("section checksum mismatch");
        }
        Self::parse(bytes, id, section).ok_or("a section contradicts itself")
    }

    fn parse(bytes: &Bytes, id: FileId, section: (u64, u32)) -> Option<Self> {
        let count = |at| usize::try_from(u32_at(bytes, at)?).ok();
        let (blocks, subjects, names) = (count(4)?, count(8)?, count(12)?);
        let (position, column_bytes) = (u64_at(bytes, 24)?, u64_at(bytes, 32)?);
        let ends_at = SECTION_HEADER_BYTES.checked_add(blocks.checked_mul(BLOCK_ENTRY_BYTES)?)?;
        let names_at = ends_at.checked_add(subjects.checked_mul(4)?)?;
        let end = names_at.checked_add(names)?;
        let rest = bytes.len().checked_sub(end)?;
        if blocks == 0 || subjects == 0 {
            return None;
        }
        let columns = if column_bytes <= INLINE_COLUMNS_MAX {
            (rest as u64 == column_bytes)
                .then(|| ColumnsPlace::Inline(owned(bytes, end..end + rest)))
        } else {
            let before = section.0.checked_sub(column_bytes);
            before.filter(|_| rest == 0).map(ColumnsPlace::At)
        };
        let index = Self {
            id,
            log: LogId(u64_at(bytes, 16)?),
            section,
            blocks: decode_blocks(bytes.get(SECTION_HEADER_BYTES..ends_at)?, position)?,
            columns: columns?,
            subjects: u32::try_from(subjects).ok()?,
            ends: owned(bytes, ends_at..names_at),
            names: owned(bytes, names_at..end),
        };
        let last = index.blocks.last()?;
        let sum = last.column.checked_add(last.column_length.into())?;
        (sum == column_bytes && index.names_ascend()).then_some(index)
    }

    fn names_ascend(&self) -> bool {
        let mut before: Option<&[u8]> = None;
        for id in 0..self.subjects {
            let Some(name) = self.name(id).and_then(|range| self.names.get(range)) else {
                return false;
            };
            if before.is_some_and(|before| before >= name) {
                return false;
            }
            before = Some(name);
        }
        self.name(self.subjects - 1).is_some_and(|range| range.end == self.names.len())
    }

    /// Where the name of this number stands in `names`, which may be too short for it.
    fn name(&self, id: u32) -> Option<Range<usize>> {
        let at = usize::try_from(id).ok()?.checked_mul(4)?;
        let end = |at| usize::try_from(u32_at(&self.ends, at)?).ok();
        let start = if at == 0 { 0 } else { end(at - 4)? };
        Some(start..end(at)?)
    }

    /// The name with this number.
    pub(super) fn bytes_of(&self, id: u32) -> Option<&[u8]> {
        if id < self.subjects { self.names.get(self.name(id)?) } else { None }
    }

    /// The log of the run.
    pub fn log(&self) -> LogId {
        self.log
    }

    /// What it costs to keep.
    pub fn memory_bytes(&self) -> usize {
        let columns = match &self.columns {
            ColumnsPlace::Inline(bytes) => bytes.len(),
            ColumnsPlace::At(_) => 0,
        };
        size_of::<Self>()
            + self.blocks.capacity() * size_of::<Block>()
            + self.ends.len()
            + self.names.len()
            + columns
    }

    /// How many subjects its records have.
    pub fn subject_count(&self) -> u32 {
        self.subjects
    }

    /// The subject with this number; `None` when its name is none, which the checksum should have
    /// told.
    pub(super) fn subject(&self, id: u32) -> Option<Subject> {
        let range = self.name(id).filter(|range| range.end <= self.names.len())?;
        if range.start > range.end {
            return None;
        }
        Subject::from_canonical(self.names.slice(range)).ok()
    }

    /// The first block that ends at or after `offset`.
    pub(super) fn block_at(&self, offset: Offset) -> usize {
        self.blocks.partition_point(|block| block.last < offset)
    }

    /// Where the data of the run is.
    pub(super) fn data(&self) -> Range<u64> {
        let first = self.blocks.first().map_or(0, |block| block.position);
        first..self.blocks.last().map_or(first, |block| block.position + u64::from(block.length))
    }

    /// What the directory must say of the run, but for the oldest append and the subject.
    pub(super) fn agrees_with(&self, info: &Holding) -> bool {
        let (Some(first), Some(last)) = (self.blocks.first(), self.blocks.last()) else {
            return false;
        };
        let data = self.data();
        let records = self.blocks.iter().try_fold(0_u64, |sum, one| sum.checked_add(one.records));
        let one_subject = if self.subjects == 1 { self.subject(0) } else { None };
        (info.log, info.base, info.last) == (self.log, first.base, last.last)
            && Some(info.records) == records
            && info.bytes == data.end - data.start
            && info.max_timestamp_ms == last.timestamp_so_far_ms
            && info.appended_ms == last.appended_so_far_ms
            && info.one_subject == one_subject
    }
}

fn decode_blocks(mut entries: &[u8], position: u64) -> Option<Vec<Block>> {
    let mut blocks: Vec<Block> = Vec::with_capacity(entries.len() / BLOCK_ENTRY_BYTES);
    while !entries.is_empty() {
        let (entry, rest) = entries.split_at_checked(BLOCK_ENTRY_BYTES)?;
        blocks.push(Block::decode(entry, blocks.last(), position)?);
        entries = rest;
    }
    Some(blocks)
}

/// A copy, so that what is kept does not hold on to the rest of the section.
fn owned(bytes: &Bytes, range: Range<usize>) -> Bytes {
    Bytes::copy_from_slice(bytes.get(range).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use model::filter::Filter;
    use proptest::prelude::*;

    use super::*;

    fn subject(text: &'static str) -> Subject {
        Subject::from_canonical(Bytes::from_static(text.as_bytes())).expect("canonical")
    }

    fn block(base: u64, last: u64) -> Block {
        Block {
            base,
            last,
            records: last - base + 1,
            length: 100,
            batches: 1,
            column_length: 3,
            ..Block::default()
        }
    }

    fn section(subjects: &[Subject]) -> Vec<u8> {
        let blocks = [block(5, 6), block(9, 9)];
        let (log, position) = (LogId(3), 64);
        let draft = SectionDraft { log, position, blocks: &blocks, subjects, columns: b"abcdef" };
        let mut bytes = Vec::new();
        assert!(draft.put(&mut bytes, FileId(1)).is_some());
        bytes
    }

    fn read(bytes: Vec<u8>) -> Result<RunIndex, &'static str> {
        let length = bytes.len() as u32;
        RunIndex::decode(&bytes.into(), FileId(1), (500, length))
    }

    #[test]
    fn a_section_of_another_file_is_refused() {
        let bytes = Bytes::from(section(&[subject("a")]));
        let length = bytes.len() as u32;
        assert!(RunIndex::decode(&bytes, FileId(1), (500, length)).is_ok());
        let refused = RunIndex::decode(&bytes, FileId(2), (500, length));
        assert_eq!(refused.err(), Some("section checksum mismatch"));
    }

    #[test]
    fn positions_and_running_maxima_follow_from_the_blocks_before() {
        let mut blocks = [block(5, 6), block(9, 9), block(10, 10)];
        blocks[0].max_timestamp_ms = 7;
        blocks[1].max_timestamp_ms = -1;
        blocks[1].appended_ms = 4;
        let subjects = [subject("a")];
        let (log, position) = (LogId(3), 64);
        let draft = SectionDraft {
            log,
            position,
            blocks: &blocks,
            subjects: &subjects,
            columns: b"abcdefghi",
        };
        let mut bytes = Vec::new();
        draft.put(&mut bytes, FileId(1));
        let read = read(bytes).expect("as written").blocks;
        let shown: Vec<_> = read.iter().map(|block| (block.position, block.column)).collect();
        assert_eq!(shown, [(64, 0), (164, 3), (264, 6)]);
        let maxima: Vec<_> = read
            .iter()
            .map(|block| (block.timestamp_so_far_ms, block.appended_so_far_ms))
            .collect();
        assert_eq!(maxima, [(7, 0), (7, 4), (7, 4)]);
    }

    proptest! {
        #[test]
        fn changed_sections_with_a_right_checksum_never_panic(
            at in 4_usize..300,
            bytes in proptest::collection::vec(any::<u8>(), 1..9),
        ) {
            let mut changed = section(&[subject("a"), subject("a/b"), subject("c")]);
            let at = at % changed.len();
            for (offset, byte) in bytes.iter().enumerate() {
                if let Some(place) = changed.get_mut((at + offset).max(4)) {
                    *place = *byte;
                }
            }
            let crc = crc32c::crc32c_append(seed(FileId(1)), &changed[4..]);
            changed[..4].copy_from_slice(&crc.to_le_bytes());
            if let Ok(index) = read(changed) {
                let filter = Filter::mqtt(&Bytes::from_static(b"a/#")).expect("valid");
                let _ = (index.pick(&filter), index.data(), index.memory_bytes());
                for id in 0..=index.subject_count() {
                    let _ = index.subject(id);
                }
            }
        }
    }
}
