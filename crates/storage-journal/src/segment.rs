//! Segments: files of groups, linked by their headers (storage rule 2).
//!
//! ```text
//!   0 [magic: 8 bytes][format: u16][reserved: u16]
//!  12 [compat: u32][ro_compat: u32][incompat: u32]    storage rule 28
//!  24 [uuid: 16 bytes][sequence: u64]
//!  48 [previous uuid: 16 bytes][previous end: u64]    bytes past that end do not exist
//!  72 [first lsn: u64][durable lsn: u64]
//!  88 [clock_ms: i64][wall_ms: i64]                   engine clock and wall clock at creation
//! 104 [oldest: u64]                                   segments below this sequence are not needed
//! 112 zeros
//! 4092 [crc: u32]                                     crc32c over 0..4092
//! ```
//!
//! The header stands twice, at 0 and at 4096; groups start at 8192. A segment is written under the
//! name `<sequence>.new`, or into a free file of the pool, synced, and renamed to
//! `<sequence>.seg`: the name tells finished from unfinished, everything else is believed from the
//! header only. What a free file held before is never valid again: all checksums are seeded by the
//! uuid, and each use of a file has a new one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::frame::{self, BadFrame, Frame, put, u32_at, u64_at};
use crate::random::Uuid;
use crate::vfs::{self, Vfs, VfsFile};

/// Where the first group stands.
pub const FIRST_GROUP: u64 = 8192;

const COPY_BYTES: usize = 4096;
const MAGIC: &[u8; 8] = b"RMQSEGMT";
const FORMAT: u16 = 1;
/// Features that a writer must know; none exist yet.
const INCOMPAT_KNOWN: u32 = 0;
/// Features that a writer, but not a reader, must know; none exist yet.
const RO_COMPAT_KNOWN: u32 = 0;

/// Identity of a segment and its link to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Name for ever; seeds all checksums.
    pub uuid: Uuid,
    /// Dense number of the segment, from 1.
    pub sequence: u64,
    /// Name of the segment before it; zero for the first.
    pub previous_uuid: Uuid,
    /// Where the segment before it ends.
    pub previous_end: u64,
    /// Number of the first group.
    pub first_lsn: u64,
    /// Every group up to this one was durable when the header was written.
    pub durable_lsn: u64,
    /// Engine clock in milliseconds at creation.
    pub clock_ms: i64,
    /// Wall clock in milliseconds since 1970 at creation.
    pub wall_ms: i64,
    /// Segments below this sequence are not needed any more.
    pub oldest: u64,
}

/// Why bytes are not a segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// Neither copy is valid.
    #[error("no valid segment header")]
    Invalid,
    /// Both copies are valid and differ.
    #[error("the two copies of the segment header differ")]
    Ambiguous,
    /// Written by a newer version, with features that this one does not know.
    #[error("the segment needs a newer version (format {format}, features {features:#x})")]
    TooNew {
        /// Format number found.
        format: u16,
        /// Unknown feature bits.
        features: u32,
    },
}

impl SegmentHeader {
    /// The bytes of both copies.
    pub fn encode(&self) -> Vec<u8> {
        let mut copy = vec![0; COPY_BYTES];
        put(&mut copy, 0, MAGIC);
        put(&mut copy, 8, &FORMAT.to_le_bytes());
        put(&mut copy, 24, &self.uuid);
        put(&mut copy, 40, &self.sequence.to_le_bytes());
        put(&mut copy, 48, &self.previous_uuid);
        put(&mut copy, 64, &self.previous_end.to_le_bytes());
        put(&mut copy, 72, &self.first_lsn.to_le_bytes());
        put(&mut copy, 80, &self.durable_lsn.to_le_bytes());
        put(&mut copy, 88, &self.clock_ms.to_le_bytes());
        put(&mut copy, 96, &self.wall_ms.to_le_bytes());
        put(&mut copy, 104, &self.oldest.to_le_bytes());
        let crc = crc32c::crc32c(copy.get(..COPY_BYTES - 4).unwrap_or_default());
        put(&mut copy, COPY_BYTES - 4, &crc.to_le_bytes());
        copy.repeat(2)
    }

    /// Reads the header from the first bytes of a file; one valid copy is enough.
    ///
    /// # Errors
    ///
    /// [`BadHeader`] when there is no header to believe, or one that is too new.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        let first = Self::decode_copy(bytes.get(..COPY_BYTES));
        let second = Self::decode_copy(bytes.get(COPY_BYTES..2 * COPY_BYTES));
        match (first, second) {
            (Err(BadHeader::Invalid), other) | (other, Err(BadHeader::Invalid)) => other,
            (first, second) if first == second => first,
            (_, _) => Err(BadHeader::Ambiguous),
        }
    }

    /// Where a copy stands that is not valid.
    pub(crate) fn bad_copies(bytes: &[u8]) -> impl Iterator<Item = u64> {
        let copies = [0, COPY_BYTES];
        let bad = move |at: &usize| {
            Self::decode_copy(bytes.get(*at..at + COPY_BYTES)) == Err(BadHeader::Invalid)
        };
        copies.into_iter().filter(bad).map(|at| at as u64)
    }

    fn decode_copy(bytes: Option<&[u8]>) -> Result<Self, BadHeader> {
        let copy = bytes.ok_or(BadHeader::Invalid)?;
        let crc = crc32c::crc32c(copy.get(..COPY_BYTES - 4).unwrap_or_default());
        if copy.get(..8) != Some(MAGIC) || u32_at(copy, COPY_BYTES - 4) != Some(crc) {
            return Err(BadHeader::Invalid);
        }
        let features = u32_at(copy, 20).unwrap_or_default() & !INCOMPAT_KNOWN
            | u32_at(copy, 16).unwrap_or_default() & !RO_COMPAT_KNOWN;
        let format = u32_at(copy, 8).unwrap_or_default() as u16;
        if format != FORMAT || features != 0 {
            return Err(BadHeader::TooNew { format, features });
        }
        let number = |at| u64_at(copy, at).unwrap_or_default();
        let uuid = |at: usize| -> Uuid {
            copy.get(at..at + 16).and_then(|uuid| uuid.try_into().ok()).unwrap_or_default()
        };
        Ok(Self {
            uuid: uuid(24),
            sequence: number(40),
            previous_uuid: uuid(48),
            previous_end: number(64),
            first_lsn: number(72),
            durable_lsn: number(80),
            clock_ms: number(88).cast_signed(),
            wall_ms: number(96).cast_signed(),
            oldest: number(104),
        })
    }
}

/// An open segment.
#[derive(Debug)]
pub struct Segment {
    /// What its header says.
    pub header: SegmentHeader,
    file: Arc<dyn VfsFile>,
    /// Length of the file.
    length: AtomicU64,
    /// Up to here the file was written, with groups or zeros; behind it may be space without data.
    filled: AtomicU64,
}

/// Why a frame could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk failed.
    #[error("segment {sequence} cannot be read")]
    Io {
        /// Which segment.
        sequence: u64,
        /// What the disk said.
        source: io::Error,
    },
    /// The bytes are not the frame that was written there.
    #[error("segment {sequence} is damaged at {position}: {reason}")]
    Damaged {
        /// Which segment.
        sequence: u64,
        /// Where in it.
        position: u64,
        /// What is wrong.
        reason: BadFrame,
    },
}

impl Segment {
    pub(crate) fn new(
        header: SegmentHeader,
        file: Arc<dyn VfsFile>,
        (length, filled): (u64, u64),
    ) -> Self {
        Self { header, file, length: AtomicU64::new(length), filled: AtomicU64::new(filled) }
    }

    pub(crate) fn file(&self) -> &dyn VfsFile {
        self.file.as_ref()
    }

    pub(crate) fn share_file(&self) -> Arc<dyn VfsFile> {
        self.file.clone()
    }

    /// Bytes of its file.
    pub(crate) fn length(&self) -> u64 {
        self.length.load(Ordering::Relaxed)
    }

    /// How much of the file was ever written.
    pub(crate) fn filled(&self) -> u64 {
        self.filled.load(Ordering::Relaxed)
    }

    /// The file has space up to `length`, and was written up to `filled`.
    pub(crate) fn grown(&self, length: u64, filled: u64) {
        self.filled.fetch_max(filled, Ordering::Relaxed);
        self.length.fetch_max(length.max(filled), Ordering::Relaxed);
    }

    /// Gives the space behind the end of a closed segment back.
    pub(crate) fn cut(&self, end: u64) -> io::Result<()> {
        self.file.truncate(end)?;
        let length = self.file.length()?;
        self.length.store(length, Ordering::Relaxed);
        self.filled.store(length, Ordering::Relaxed);
        Ok(())
    }

    /// Reads the frame at a position and checks it.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the disk fails or the bytes are not what was written.
    pub fn read_frame(&self, position: u64, length: usize) -> Result<Frame, ReadError> {
        let sequence = self.header.sequence;
        let mut bytes = vec![0; length.min(frame::FRAME_BYTES_MAX)];
        let read = vfs::read_full(self.file(), &mut bytes, position)
            .map_err(|source| ReadError::Io { sequence, source })?;
        bytes.truncate(read);
        frame::decode(&Bytes::from(bytes), 0, frame::seed(&self.header.uuid))
            .map_err(|reason| ReadError::Damaged { sequence, position, reason })
    }
}

/// The name of a finished segment.
pub(crate) fn name(sequence: u64) -> String {
    format!("{sequence:020}.seg")
}

/// The sequence that the name of a finished segment tells.
pub(crate) fn named(name: &str) -> Option<u64> {
    name.strip_suffix(".seg")?.parse().ok()
}

/// The name under which a segment is written.
pub(crate) fn name_unfinished(sequence: u64) -> String {
    format!("{sequence:020}.new")
}

/// Creates a segment with `groups` in it: written and synced before it gets its name.
pub(crate) fn create(
    vfs: &dyn Vfs,
    header: SegmentHeader,
    groups: &[u8],
) -> io::Result<Arc<Segment>> {
    let unfinished = name_unfinished(header.sequence);
    match vfs.remove(&unfinished) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = vfs.create(&unfinished)?;
    if let Err(error) = begin(file.as_ref(), &header, groups) {
        // On a full disk the little that it took may be what is missing elsewhere.
        let _ = vfs.remove(&unfinished);
        return Err(error);
    }
    vfs.rename(&unfinished, &name(header.sequence))?;
    vfs.fsync_dir("")?;
    let length = FIRST_GROUP + groups.len() as u64;
    Ok(Arc::new(Segment::new(header, file, (length, length))))
}

/// Writes the beginning of a segment into a free file and syncs it; [`adopt`] makes it one.
pub(crate) fn begin(file: &dyn VfsFile, header: &SegmentHeader, groups: &[u8]) -> io::Result<()> {
    vfs::write_all(file, &header.encode(), 0)?;
    vfs::write_all(file, groups, FIRST_GROUP)?;
    file.fdatasync()
}

/// Gives a file that [`begin`] has prepared its name as a segment.
pub(crate) fn adopt(vfs: &dyn Vfs, from: &str, sequence: u64) -> io::Result<()> {
    vfs.rename(from, &name(sequence))?;
    vfs.fsync_dir("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            uuid: [1; 16],
            sequence: 2,
            previous_uuid: [3; 16],
            previous_end: 8192,
            first_lsn: 5,
            durable_lsn: 4,
            clock_ms: -6,
            wall_ms: 7,
            oldest: 1,
        }
    }

    #[test]
    fn one_valid_copy_of_the_header_is_enough() {
        let good = header().encode();
        assert_eq!(SegmentHeader::decode(&good), Ok(header()));
        for broken in [0, COPY_BYTES] {
            let mut bytes = good.clone();
            bytes[broken + 50] ^= 1;
            assert_eq!(SegmentHeader::decode(&bytes), Ok(header()));
            bytes[(broken + COPY_BYTES) % (2 * COPY_BYTES)] ^= 1;
            assert_eq!(SegmentHeader::decode(&bytes), Err(BadHeader::Invalid));
        }
    }

    #[test]
    fn a_header_with_features_of_a_newer_version_is_refused() {
        let mut copy = header().encode();
        copy.truncate(COPY_BYTES);
        put(&mut copy, 20, &1_u32.to_le_bytes());
        let crc = crc32c::crc32c(&copy[..COPY_BYTES - 4]);
        put(&mut copy, COPY_BYTES - 4, &crc.to_le_bytes());
        let refused = Err(BadHeader::TooNew { format: 1, features: 1 });
        assert_eq!(SegmentHeader::decode(&copy.repeat(2)), refused);
    }
}
