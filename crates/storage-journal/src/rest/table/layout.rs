//! The bytes of a state table: header, blocks, index, footer; no I/O.

use std::io;

use bytes::Bytes;

use crate::frame::{put, u32_at, u64_at};
use crate::rest::FileId;
use crate::rest::table::Entry;

/// The longest key that is written or believed.
pub const KEY_BYTES_MAX: usize = 70 << 10;
/// The longest value that is written or believed.
pub const VALUE_BYTES_MAX: usize = 9 << 20;

pub(super) const HEADER_BYTES: usize = 64;
pub(super) const FOOTER_BYTES: usize = 64;
/// Where a block of more than one entry ends.
pub(super) const BLOCK_BYTES: usize = 64 << 10;
pub(super) const BLOCK_HEADER_BYTES: usize = 16;
pub(super) const ENTRY_HEADER_BYTES: usize = 8;
/// The longest block: one entry with the longest key and value.
const BLOCK_BYTES_MAX: usize =
    BLOCK_HEADER_BYTES + ENTRY_HEADER_BYTES + KEY_BYTES_MAX + VALUE_BYTES_MAX;
pub(super) const FENCE_BYTES_MAX: usize = 128;
const INDEX_ENTRY_BYTES: usize = 18;

const MAGIC: &[u8; 8] = b"RMQSTATE";
const MAGIC_END: &[u8; 8] = b"RMQSTEND";
const FORMAT: u16 = 1;
/// Features that a reader must know; none exist yet. Tables have one writer only, so features
/// that only a writer must know need no check.
const INCOMPAT_KNOWN: u32 = 0;

/// Why bytes are not the state table that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTable {
    /// Shorter than any table.
    #[error("too short for a state table")]
    Short,
    /// No header of this file.
    #[error("not the header of this file")]
    Header,
    /// No footer of this file.
    #[error("not the footer of this file")]
    Footer,
    /// The index does not describe the file.
    #[error("the index does not fit the file")]
    Index,
    /// The checksum of a block does not match.
    #[error("block checksum mismatch")]
    Checksum,
    /// The entries do not fill their block, or are too long.
    #[error("entry length out of bounds")]
    Length,
    /// Keys do not ascend, or do not fit the index.
    #[error("keys out of order")]
    Order,
    /// The footer counts other entries than the blocks hold.
    #[error("the number of entries is another")]
    Count,
}

/// Why a state table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk failed.
    #[error("state table {id} cannot be read")]
    Io {
        /// Which table.
        id: FileId,
        /// What the disk said.
        source: io::Error,
    },
    /// The bytes are not what was written.
    #[error("state table {id} is damaged at {position}: {reason}")]
    Damaged {
        /// Which table.
        id: FileId,
        /// Where in it.
        position: u64,
        /// What is wrong.
        reason: BadTable,
    },
    /// Written by a newer version, with features that this one does not know.
    #[error("state table {id} needs a newer version (format {format}, features {features:#x})")]
    TooNew {
        /// Which table.
        id: FileId,
        /// Format number found.
        format: u16,
        /// Unknown feature bits.
        features: u32,
    },
}

impl From<ReadError> for io::Error {
    /// What the disk said, or `InvalidData` with the error as its source.
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io { source, .. } => source,
            ReadError::Damaged { .. } | ReadError::TooNew { .. } => {
                Self::new(io::ErrorKind::InvalidData, error)
            }
        }
    }
}

/// The name of a state table in the data folder.
pub fn name(id: FileId) -> String {
    format!("{id}.state")
}

/// The header of a file and the seed of its other checksums.
pub(super) fn header(id: FileId) -> ([u8; HEADER_BYTES], u32) {
    let mut bytes = [0; HEADER_BYTES];
    put(&mut bytes, 0, MAGIC);
    put(&mut bytes, 8, &FORMAT.to_le_bytes());
    put(&mut bytes, 24, &id.0.to_le_bytes());
    let seed = crc32c::crc32c(bytes.get(..60).unwrap_or_default());
    put(&mut bytes, 60, &seed.to_le_bytes());
    (bytes, seed)
}

/// The seed of a file, when this is its header.
pub(super) fn read_header(bytes: &[u8], id: FileId) -> Result<u32, ReadError> {
    let damaged = ReadError::Damaged { id, position: 0, reason: BadTable::Header };
    let crc = crc32c::crc32c(bytes.get(..60).unwrap_or_default());
    if bytes.get(..8) != Some(MAGIC) || u32_at(bytes, 60) != Some(crc) {
        return Err(damaged);
    }
    let format = u32_at(bytes, 8).unwrap_or_default() as u16;
    let features = u32_at(bytes, 20).unwrap_or_default() & !INCOMPAT_KNOWN;
    if format != FORMAT || features != 0 {
        return Err(ReadError::TooNew { id, format, features });
    }
    if u64_at(bytes, 24) == Some(id.0) { Ok(crc) } else { Err(damaged) }
}

/// What stands at the end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) index_position: u64,
    pub(super) index_length: u64,
    pub(super) index_crc: u32,
    pub(super) blocks: u32,
    pub(super) entries: u64,
}

impl Footer {
    pub(super) fn encode(&self, id: FileId, seed: u32) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        put(&mut bytes, 0, MAGIC_END);
        put(&mut bytes, 8, &self.index_position.to_le_bytes());
        put(&mut bytes, 16, &self.index_length.to_le_bytes());
        put(&mut bytes, 24, &self.index_crc.to_le_bytes());
        put(&mut bytes, 28, &self.blocks.to_le_bytes());
        put(&mut bytes, 32, &self.entries.to_le_bytes());
        put(&mut bytes, 40, &id.0.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, bytes.get(..60).unwrap_or_default());
        put(&mut bytes, 60, &crc.to_le_bytes());
        bytes
    }

    /// Reads the footer of a file of `length` bytes; its index is known to lie within the file,
    /// and to be no longer than that many blocks can need.
    pub(super) fn decode(bytes: &[u8], (id, seed): (FileId, u32), length: u64) -> Option<Self> {
        let crc = crc32c::crc32c_append(seed, bytes.get(..60)?);
        if bytes.get(..8)? != MAGIC_END || u32_at(bytes, 60)? != crc || u64_at(bytes, 40)? != id.0 {
            return None;
        }
        let footer = Self {
            index_position: u64_at(bytes, 8)?,
            index_length: u64_at(bytes, 16)?,
            index_crc: u32_at(bytes, 24)?,
            blocks: u32_at(bytes, 28)?,
            entries: u64_at(bytes, 32)?,
        };
        let end = footer.index_position.checked_add(footer.index_length)?;
        // Any two neighbours among the blocks are longer than one full block together.
        let blocks_max = 2 * (length / BLOCK_BYTES as u64) + 2;
        let index_max = blocks_max * (INDEX_ENTRY_BYTES + FENCE_BYTES_MAX) as u64;
        let fits = end == length.checked_sub(FOOTER_BYTES as u64)?
            && footer.index_position >= HEADER_BYTES as u64
            && u64::from(footer.blocks) <= blocks_max
            && footer.index_length <= index_max;
        fits.then_some(footer)
    }
}

/// One block as the index knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlockRef {
    pub(super) position: u64,
    pub(super) length: u32,
    pub(super) crc: u32,
    pub(super) fence: Bytes,
}

impl BlockRef {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
        out.extend_from_slice(&(self.fence.len() as u16).to_le_bytes());
        out.extend_from_slice(&self.fence);
    }
}

/// The blocks of a file, known to fill it and to be in order.
pub(super) fn read_index(bytes: &Bytes, footer: &Footer) -> Option<Vec<BlockRef>> {
    let mut blocks: Vec<BlockRef> = Vec::with_capacity(bytes.len() / INDEX_ENTRY_BYTES);
    let (mut at, mut position) = (0_usize, HEADER_BYTES as u64);
    while at < bytes.len() {
        let length = u32_at(bytes, at + 8)?;
        let fence_length = usize::from(u16_at(bytes, at + 16)?);
        let start = at + INDEX_ENTRY_BYTES;
        bytes.get(start..start + fence_length)?;
        let fence = bytes.slice(start..start + fence_length);
        let sorted = blocks.last().is_none_or(|before| before.fence <= fence);
        let sound = u64_at(bytes, at)? == position
            && (BLOCK_HEADER_BYTES..=BLOCK_BYTES_MAX).contains(&(length as usize))
            && fence_length <= FENCE_BYTES_MAX;
        if !sound || !sorted {
            return None;
        }
        blocks.push(BlockRef { position, length, crc: u32_at(bytes, at + 12)?, fence });
        position += u64::from(length);
        at = start + fence_length;
    }
    blocks.shrink_to_fit();
    let whole = position == footer.index_position && blocks.len() == footer.blocks as usize;
    whole.then_some(blocks)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// The fence between two blocks; nothing comes before the first.
pub(super) fn fence<'a>(last: Option<&[u8]>, first: &'a [u8]) -> &'a [u8] {
    let Some(last) = last else { return &[] };
    let same = last.iter().zip(first).take_while(|(one, other)| one == other).count();
    first.get(..(same + 1).min(FENCE_BYTES_MAX)).unwrap_or(first)
}

/// The checksum of a block.
pub(super) fn block_crc(seed: u32, block: &[u8]) -> u32 {
    crc32c::crc32c_append(seed, block.get(8..).unwrap_or_default())
}

/// A checked block that is read entry by entry.
#[derive(Clone, Debug)]
pub(super) struct Block {
    bytes: Bytes,
    at: usize,
    left: u32,
}

impl Block {
    /// Takes the bytes of a block when they are those that the index tells of.
    pub(super) fn new(bytes: Bytes, told: &BlockRef, seed: u32) -> Result<Self, BadTable> {
        let same = u32_at(&bytes, 0) == Some(told.length) && u32_at(&bytes, 4) == Some(told.crc);
        if !same || bytes.len() != told.length as usize || block_crc(seed, &bytes) != told.crc {
            return Err(BadTable::Checksum);
        }
        let left = u32_at(&bytes, 8).ok_or(BadTable::Length)?;
        if left == 0 { Err(BadTable::Length) } else { Ok(Self { bytes, at: 16, left }) }
    }

    /// The next entry, a view into the block; nothing after the last.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, BadTable> {
        if self.left == 0 {
            let filled = self.at == self.bytes.len();
            return if filled { Ok(None) } else { Err(BadTable::Length) };
        }
        let length = |at| u32_at(&self.bytes, at).map(|length| length as usize);
        let key_length = length(self.at).ok_or(BadTable::Length)?;
        let value_length = length(self.at + 4).ok_or(BadTable::Length)?;
        let key = self.at + ENTRY_HEADER_BYTES;
        let sound = key_length <= KEY_BYTES_MAX && value_length <= VALUE_BYTES_MAX + 1;
        let (value, end) = (key + key_length, key + key_length + value_length.saturating_sub(1));
        if !sound || end > self.bytes.len() {
            return Err(BadTable::Length);
        }
        self.at = end;
        self.left -= 1;
        let bytes = &self.bytes;
        Ok(Some((bytes.slice(key..value), (value_length > 0).then(|| bytes.slice(value..end)))))
    }
}
