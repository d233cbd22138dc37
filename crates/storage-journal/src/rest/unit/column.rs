//! The column part of a block: its batches, and the subjects of their records.

use storage::Offset;

use super::section::Block;

/// A batch as a column part tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) base: Offset,
    pub(super) last: Offset,
    pub(super) max_timestamp_ms: i64,
    pub(super) appended_ms: i64,
}

/// Consecutive records of one batch with one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: Offset,
    pub(super) last: Offset,
    /// Its number in the dictionary of the run.
    pub(super) subject: u32,
}

/// Appends the batches of a block.
pub(super) fn put_marks(out: &mut Vec<u8>, block: &Block, marks: &[Mark]) {
    let mut next = block.base;
    let (mut timestamp_ms, mut appended_ms) = (block.max_timestamp_ms, block.appended_ms);
    for mark in marks {
        put_varint(out, mark.base.wrapping_sub(next));
        put_varint(out, mark.last.wrapping_sub(mark.base));
        put_varint(out, zigzag(mark.max_timestamp_ms.wrapping_sub(timestamp_ms)));
        put_varint(out, zigzag(mark.appended_ms.wrapping_sub(appended_ms)));
        next = mark.last.wrapping_add(1);
        (timestamp_ms, appended_ms) = (mark.max_timestamp_ms, mark.appended_ms);
    }
}

/// Appends that the next `records` have this subject.
pub(super) fn put_subject(out: &mut Vec<u8>, records: u32, subject: u32) {
    put_varint(out, records.into());
    put_varint(out, subject.into());
}

/// The parts of a column part, decoded.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) marks: Vec<Mark>,
    /// Ascending; at least one for each batch.
    pub(super) spans: Vec<Span>,
}

/// Reads the column part of `block`, of a run with so many subjects.
///
/// Everything must agree with the block; nothing is allocated beyond a multiple of `bytes`.
pub(super) fn decode(bytes: &[u8], block: &Block, subjects: u32) -> Result<Columns, &'static str> {
    let mut fields = Varints { rest: bytes };
    let marks = marks(&mut fields, block).ok_or("the batches of a column are not its block's")?;
    let bad = "the subjects of a column are not its block's";
    let spans = if subjects == 1 {
        marks.iter().map(|mark| Span { first: mark.base, last: mark.last, subject: 0 }).collect()
    } else {
        spans(&mut fields, &marks, subjects).ok_or(bad)?
    };
    if fields.rest.is_empty() { Ok(Columns { marks, spans }) } else { Err(bad) }
}

fn marks(fields: &mut Varints<'_>, block: &Block) -> Option<Vec<Mark>> {
    // A batch takes four bytes at least: a higher count is a lie that must not be allocated for.
    let count = usize::try_from(block.batches).ok().filter(|n| *n <= fields.rest.len() / 4)?;
    let mut marks: Vec<Mark> = Vec::with_capacity(count);
    let (mut timestamp_ms, mut appended_ms) = (block.max_timestamp_ms, block.appended_ms);
    let mut records = 0_u64;
    for _ in 0..count {
        let next = marks.last().map_or(Some(block.base), |mark| mark.last.checked_add(1))?;
        let base = next.checked_add(fields.next()?)?;
        let last = base.checked_add(fields.next()?)?;
        timestamp_ms = timestamp_ms.wrapping_add(unzigzag(fields.next()?));
        appended_ms = appended_ms.wrapping_add(unzigzag(fields.next()?));
        records = records.checked_add((last - base).checked_add(1)?)?;
        marks.push(Mark { base, last, max_timestamp_ms: timestamp_ms, appended_ms });
    }
    let same = marks.first()?.base == block.base
        && marks.last()?.last == block.last
        && records == block.records
        && marks.iter().map(|mark| mark.max_timestamp_ms).max()? == block.max_timestamp_ms
        && marks.iter().map(|mark| mark.appended_ms).max()? == block.appended_ms;
    same.then_some(marks)
}

/// Cuts the runs of equal subjects where a batch ends.
fn spans(fields: &mut Varints<'_>, marks: &[Mark], subjects: u32) -> Option<Vec<Span>> {
    let mut spans = Vec::new();
    let (mut left, mut subject) = (0_u64, 0);
    for mark in marks {
        let mut first = mark.base;
        loop {
            if left == 0 {
                left = fields.next().filter(|records| *records > 0)?;
                subject = u32::try_from(fields.next()?).ok().filter(|id| *id < subjects)?;
            }
            let last = mark.last.min(first.saturating_add(left - 1));
            spans.push(Span { first, last, subject });
            left -= last - first + 1;
            if last == mark.last {
                break;
            }
            first = last + 1;
        }
    }
    (left == 0).then_some(spans)
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads varints of at most 64 bits off the front.
struct Varints<'a> {
    rest: &'a [u8],
}

impl Varints<'_> {
    fn next(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(marks: &[Mark]) -> Block {
        Block {
            base: marks[0].base,
            last: marks[marks.len() - 1].last,
            records: marks.iter().map(|mark| mark.last - mark.base + 1).sum(),
            max_timestamp_ms: marks.iter().map(|mark| mark.max_timestamp_ms).max().unwrap(),
            appended_ms: marks.iter().map(|mark| mark.appended_ms).max().unwrap(),
            batches: marks.len() as u32,
            ..Block::default()
        }
    }

    fn mark(base: u64, last: u64, max_timestamp_ms: i64, appended_ms: i64) -> Mark {
        Mark { base, last, max_timestamp_ms, appended_ms }
    }

    #[test]
    fn extreme_offsets_and_times_read_back() {
        let marks = [
            mark(0, 0, i64::MIN, i64::MAX),
            mark(5, 9, i64::MAX, i64::MIN),
            mark(10, u64::MAX - 7, -1, 0),
            mark(u64::MAX, u64::MAX, 0, 1),
        ];
        let block = block(&marks);
        let mut bytes = Vec::new();
        put_marks(&mut bytes, &block, &marks);
        let read = decode(&bytes, &block, 1).expect("as written");
        assert_eq!(read.marks, marks);
        assert_eq!(read.spans.len(), 4);
    }

    #[test]
    fn runs_of_subjects_are_cut_where_a_batch_ends() {
        let marks = [mark(0, 2, 0, 0), mark(7, 8, 0, 0)];
        let block = block(&marks);
        let mut bytes = Vec::new();
        put_marks(&mut bytes, &block, &marks);
        put_subject(&mut bytes, 1, 4);
        put_subject(&mut bytes, 3, 0);
        put_subject(&mut bytes, 1, 4);
        let span = |first, last, subject| Span { first, last, subject };
        let read = decode(&bytes, &block, 5).expect("as written");
        assert_eq!(read.spans, [span(0, 0, 4), span(1, 2, 0), span(7, 7, 0), span(8, 8, 4)]);
        assert!(decode(&bytes, &block, 4).is_err(), "a subject that does not exist");
        assert!(decode(&bytes, &block, 1).is_err(), "bytes are left over");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            base in any::<u64>(),
            batches in 0_u32..20,
            subjects in 0_u32..4,
        ) {
            let block = Block { base, batches, ..Block::default() };
            let _ = decode(&bytes, &block, subjects);
        }

        #[test]
        fn changed_bytes_never_panic_and_never_break_the_promises(
            at in 0_usize..40,
            to in any::<u8>(),
        ) {
            let marks = [mark(3, 5, 10, 20), mark(9, 9, 12, 20), mark(10, 200, 1, 30)];
            let block = block(&marks);
            let mut bytes = Vec::new();
            put_marks(&mut bytes, &block, &marks);
            for (records, subject) in [(2, 0), (1, 1), (100, 1), (92, 2)] {
                put_subject(&mut bytes, records, subject);
            }
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(read) = decode(&bytes, &block, 3) {
                prop_assert_eq!(read.marks.len(), 3);
                let records: u64 = read.spans.iter().map(|span| span.last - span.first + 1).sum();
                prop_assert_eq!(records, block.records);
            }
        }
    }
}
