//! Units: batches that were drained from the shared log, written once, synced, never changed.
//!
//! A *unit* is one resting file; a *run* is what one log has in one unit: record batches v2 back to
//! back, ascending in offsets, with gaps between batches where records are gone. There are two
//! kinds of unit on one code path:
//!
//! - a *pack* holds runs of many logs, sorted by log, and its index in the same file;
//! - a *hot* unit holds one run. Its `.log` is nothing but the batches, so that every reader of
//!   record batches v2 can take it for a segment file; the index stands in the `.idx` beside it.
//!
//! ```text
//!  <file id>.pack         [header][data part][index part][directory][footer]
//!  <base>.<file id>.log   [data part]
//!  <base>.<file id>.idx   [header][index part][directory][footer]
//!
//!  header      0 [magic: 8 bytes][format: u16][kind: u8][zero: u8]
//!             12 [compat: u32][ro_compat: u32][incompat: u32]       storage rule 28
//!             24 [file id: u64][key id: u64 = 0][base: u64][zero: 12 bytes]
//!             60 [crc: u32]                                         not seeded, over 0..60
//!  data part   (batches of one run)*                                in the order of the directory
//!  index part  ([columns][section])*                                in the order of the directory
//!  section     0 [crc: u32][blocks: u32][subjects: u32][name bytes: u32]
//!             16 [log: u64][data position: u64][column bytes: u64]
//!             40 (block)*([name end: u32])*[names]                  names ascend byte by byte
//!                [columns]                                          when at most 4096 bytes, which
//!                                                                   then do not stand before it
//!  block       0 [base: u64][last: u64][records: u64]
//!             24 [max timestamp: i64][newest append: i64]
//!             40 [length: u32][crc: u32][batches: u32]
//!             52 [column length: u32][column crc: u32][zero: u32]
//!  column      ([gap: varint][records - 1: varint][max timestamp: zigzag][append: zigzag])*
//!              ([records: varint][subject: varint])*                none in a run of one subject
//!  directory   ([log: u64][base: u64][last: u64][records: u64][bytes: u64]
//!               [max timestamp: i64][newest append: i64][oldest append: i64]
//!               [section position: u64][section length: u32]
//!               [subject length: u32][subject])*                    ffff_ffff = several subjects
//!  footer      0 [file id: u64][end of the data part: u64]
//!             16 [directory position: u64][directory length: u64][runs: u64]
//!             40 [directory crc: u32][zero: u64]
//!             52 [crc: u32][magic: 8 bytes]
//! ```
//!
//! All integers are little endian, but for those inside of a batch. All checksums but the header's
//! are crc32c seeded with the checksum of the file id, so that nothing of another file validates.
//!
//! A *block* is some 64 KiB of consecutive whole batches; a larger batch is a block alone. Blocks
//! and column parts of a run lie back to back, so their positions follow from the lengths. `gap` is
//! the distance to the batch before it (0 for the first of a block), `records` the span from a
//! batch's first offset to its last. Times are written as the difference to the batch before, and
//! of the first batch to the highest of the block. There is no padding: every byte belongs to the
//! header, the footer or exactly one checksummed part, and [`Unit::verify`] checks that nothing
//! lies between.
//!
//! Nothing here knows which units exist, or which records count: a manifest says the one, the
//! caller's [`Wanted`] the other.

use std::borrow::Cow;
use std::io;

use bytes::Bytes;
use model::filter::Filter;
use model::subject::Subject;
use storage::{LogId, Offset, Subjects};

use crate::rest::FileId;

mod column;
mod directory;
mod layout;
mod opened;
mod pick;
mod reader;
mod search;
mod section;
mod verify;
mod writer;

pub use opened::Unit;
pub use reader::Run;
pub use section::RunIndex;
pub use verify::verify;
pub use writer::UnitWriter;

/// A block is closed before it grows beyond this, unless it is one batch.
pub const BLOCK_BYTES: usize = 64 << 10;
/// The longest batch that is taken or believed (storage rule 10).
pub const BATCH_BYTES_MAX: usize = crate::frame::FRAME_BYTES_MAX;

/// The two kinds of unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Runs of many logs in one file.
    Pack,
    /// One run in a file of its own, with its index beside it.
    Hot {
        /// The first offset of the run.
        base: Offset,
    },
}

/// The names of a unit's files: the one with the data first. A pack has one, a hot unit two.
pub fn names(id: FileId, kind: Kind) -> impl Iterator<Item = String> {
    std::iter::once(data_name(id, kind)).chain(beside_name(id, kind))
}

fn data_name(id: FileId, kind: Kind) -> String {
    match kind {
        Kind::Pack => format!("{id}.pack"),
        Kind::Hot { base } => format!("{base:020}.{id}.log"),
    }
}

/// The file with the index, if it is another one.
fn beside_name(id: FileId, kind: Kind) -> Option<String> {
    match kind {
        Kind::Pack => None,
        Kind::Hot { base } => Some(format!("{base:020}.{id}.idx")),
    }
}

/// The unit that a file of this name belongs to; `None` for a name that [`names`] never gives.
pub fn parse_name(name: &str) -> Option<(FileId, Kind)> {
    // An offset is written with as many digits as an id.
    let offset = |digits| FileId::parse(digits).map(|FileId(number)| number);
    let (stem, extension) = name.rsplit_once('.')?;
    match extension {
        "pack" => Some((FileId::parse(stem)?, Kind::Pack)),
        "log" | "idx" => {
            let (base, id) = stem.split_once('.')?;
            Some((FileId::parse(id)?, Kind::Hot { base: offset(base)? }))
        }
        _ => None,
    }
}

/// A batch on its way into a unit.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The log.
    pub log: LogId,
    /// Offset of the first record, as in the batch's header.
    pub base: Offset,
    /// Offset of the last record, as in the batch's header.
    pub last: Offset,
    /// The highest timestamp in it.
    pub max_timestamp_ms: i64,
    /// The engine clock when it was appended.
    pub appended_ms: i64,
    /// The subjects of its records; with [`Subjects::Each`] one for every offset from base to last.
    pub subjects: &'a Subjects,
    /// Record batch v2.
    pub bytes: &'a [u8],
}

/// What a log has in a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The log.
    pub log: LogId,
    /// Offset of the first record.
    pub base: Offset,
    /// Offset of the last record.
    pub last: Offset,
    /// Records: the sum of the spans of its batches.
    pub records: u64,
    /// Bytes of its batches.
    pub bytes: u64,
    /// The highest timestamp.
    pub max_timestamp_ms: i64,
    /// The engine clock when the newest of its batches was appended.
    pub appended_ms: i64,
    /// The engine clock when the oldest of its batches was appended.
    pub oldest_appended_ms: i64,
    /// Where its section of the index is; see [`Unit::index`].
    pub section: (u64, u32),
    /// The subject of all its records, if there is one.
    pub one_subject: Option<Subject>,
}

/// A batch at rest.
#[derive(Clone, Debug)]
pub struct Rested {
    /// Offset of the first record.
    pub base: Offset,
    /// Offset of the last record.
    pub last: Offset,
    /// The highest timestamp in it.
    pub max_timestamp_ms: i64,
    /// The engine clock when it was appended.
    pub appended_ms: i64,
    /// Record batch v2; a slice of what was read at once.
    pub bytes: Bytes,
    /// The subjects of its records; they share the memory of the [`RunIndex`].
    pub subjects: Subjects,
}

/// Which records count.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Those with a subject that matches.
    pub filter: &'a Filter,
    /// Without those for which this is true. `None` hides nothing and is faster.
    pub hidden: Option<&'a dyn Fn(Offset) -> bool>,
}

impl<'a> Wanted<'a> {
    /// All records that match.
    pub fn matching(filter: &'a Filter) -> Self {
        Self { filter, hidden: None }
    }
}

impl std::fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wanted")
            .field("filter", &self.filter)
            .field("hides", &self.hidden.is_some())
            .finish()
    }
}

/// A place in a file that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} is damaged at {position}: {reason}")]
pub struct Damage {
    /// The file's name.
    pub file: String,
    /// Where the part begins that is wrong.
    pub position: u64,
    /// What is wrong with it.
    pub reason: Cow<'static, str>,
}

/// Why a unit could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The disk failed.
    #[error("{file} could not be read")]
    Io {
        /// The file's name.
        file: String,
        /// What the disk says.
        #[source]
        source: io::Error,
    },
    /// The bytes are not those that were written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// It was written by a version with features that this one does not know.
    #[error("{file} needs a newer version (format {format}, features {features:#x})")]
    TooNew {
        /// The file's name.
        file: String,
        /// Its format.
        format: u16,
        /// The features that a reader must know.
        features: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_are_not_ours() {
        let id = FileId::new(3, 4);
        for (kind, count) in [(Kind::Pack, 1), (Kind::Hot { base: u64::MAX }, 2)] {
            assert_eq!(names(id, kind).count(), count);
            for name in names(id, kind) {
                assert_eq!(parse_name(&name), Some((id, kind)), "{name}");
            }
        }
        let first: Vec<_> = names(id, Kind::Hot { base: 7 }).collect();
        assert_eq!(first[0], "00000000000000000007.00000000012884901892.log");
        for foreign in [
            "",
            "00000000000000000001.seg",
            "1.pack",
            "+0000000000000000001.pack",
            "99999999999999999999.pack",
            "00000000000000000007.log",
            "00000000000000000007.00000000000000000001.log.idx",
            "00000000000000000007.00000000000000000001.pack",
        ] {
            assert_eq!(parse_name(foreign), None, "{foreign}");
        }
    }
}
