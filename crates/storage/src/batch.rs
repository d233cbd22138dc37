//! Record batch v2, the one stored format: read, check, patch, build, walk.
//!
//! ```text
//!  0 [base offset: i64][length: i32][leader epoch: i32]    patched by the log, outside the CRC
//! 16 [magic: i8 = 2][crc: u32]                             crc32c over 21..
//! 21 [attributes: i16][last offset delta: i32]
//! 27 [base timestamp: i64][max timestamp: i64]
//! 43 [producer id: i64][producer epoch: i16][base sequence: i32]
//! 57 [records: i32]
//! 61 records, compressed as one block
//! ```
//!
//! All integers are big endian, `length` counts from 12 on. Attributes: bits 0 to 2 codec, 3 log
//! append time, 4 transactional, 5 control, 6 delete horizon; bit 7 is ours and says that the
//! batch was gathered here, so that its `robust.` headers are to be believed. Clients may set
//! none of 3 to 15.

use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};

use crate::Producer;
use crate::compression::{Caps, Codec, DecodeError};

mod build;
mod walk;

pub use build::{build, build_into, without};
pub(crate) use walk::varint_length;
pub use walk::{RecordView, put_varint, put_varlong, records, records_within};

/// Bytes before the records.
pub const HEADER_BYTES: usize = 61;
/// The attribute bit of batches that were gathered here.
pub const GATHERED: i16 = 0x80;

const CODEC_BITS: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const CONTROL: i16 = 0x20;
/// Where the CRC's range begins.
const CRC_FROM: usize = 21;
/// Where `length` begins to count.
const LENGTH_FROM: usize = 12;

/// What stands in front of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base: u64,
    /// Leader epoch.
    pub leader_epoch: i32,
    /// Checksum as written.
    pub crc: u32,
    /// See the module's text.
    pub attributes: i16,
    /// Offset of the last record minus `base`.
    pub last_delta: u32,
    /// Timestamp that the records' deltas count from.
    pub base_timestamp_ms: i64,
    /// The highest timestamp, as the builder claims.
    pub max_timestamp_ms: i64,
    /// Producer id, -1 for none.
    pub producer_id: i64,
    /// Producer epoch, -1 for none.
    pub producer_epoch: i16,
    /// Sequence number of the first record, -1 for none.
    pub base_sequence: i32,
    /// Number of records.
    pub count: u32,
}

/// Why bytes are not a batch that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The length field does not match the bytes, or there are too few.
    #[error("batch length does not match")]
    Length,
    /// An older or newer format.
    #[error("message format {0} is not supported")]
    Magic(i8),
    /// The checksum does not match.
    #[error("batch checksum does not match")]
    Checksum,
    /// A codec that does not exist.
    #[error("unknown compression")]
    Codec,
    /// An attribute that a client may not set.
    #[error("attributes {0:#06x} may not be set by a client")]
    Attributes(i16),
    /// Counts contradict each other, or there are no records.
    #[error("record counts do not match")]
    Count,
    /// The records are not as the format wants them.
    #[error("malformed record")]
    Record,
    /// The producer fields contradict each other.
    #[error("malformed producer fields")]
    Producer,
    /// The records cannot be decompressed.
    #[error("{0}")]
    Compression(#[from] DecodeError),
    /// The batch or one of its records is larger than the limit.
    #[error("batch or record larger than {0} bytes")]
    TooLarge(usize),
}

/// What a client's batch may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckLimits {
    /// The batch, as sent.
    pub batch_bytes: usize,
    /// The value of one record.
    pub message_bytes: usize,
    /// Headers of one record.
    pub headers: usize,
    /// Decompression.
    pub caps: Caps,
}

impl Default for CheckLimits {
    fn default() -> Self {
        let message_bytes = 1 << 20;
        // Key, headers and framing come on top of the payload that the limit is about.
        Self { batch_bytes: 8 << 20, message_bytes, headers: 1024, caps: Caps::default() }
    }
}

/// What a check has found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Number of records.
    pub count: u32,
    /// The lowest timestamp of its records.
    pub min_timestamp_ms: i64,
    /// The highest timestamp of its records.
    pub max_timestamp_ms: i64,
    /// The producer's mark, if it is idempotent.
    pub producer: Option<Producer>,
    /// How the records are compressed.
    pub codec: Codec,
}

impl BatchHeader {
    /// Reads the header and checks length and magic; `bytes` may go on behind the batch.
    ///
    /// # Errors
    ///
    /// [`BatchError::Length`] or [`BatchError::Magic`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BatchError> {
        // The magic decides what the rest means, so it comes first.
        let magic = bytes.get(16).ok_or(BatchError::Length)?.cast_signed();
        if magic != 2 {
            return Err(BatchError::Magic(magic));
        }
        let mut fields = Fields { rest: bytes };
        let base = fields.i64()?.cast_unsigned();
        let length = usize::try_from(fields.i32()?).map_err(|_| BatchError::Length)?;
        if length < HEADER_BYTES - LENGTH_FROM || length > bytes.len() - LENGTH_FROM {
            return Err(BatchError::Length);
        }
        let leader_epoch = fields.i32()?;
        fields.take::<1>()?;
        Ok(Self {
            base,
            leader_epoch,
            crc: fields.i32()?.cast_unsigned(),
            attributes: i16::from_be_bytes(fields.take()?),
            last_delta: u32::try_from(fields.i32()?).map_err(|_| BatchError::Count)?,
            base_timestamp_ms: fields.i64()?,
            max_timestamp_ms: fields.i64()?,
            producer_id: fields.i64()?,
            producer_epoch: i16::from_be_bytes(fields.take()?),
            base_sequence: fields.i32()?,
            count: u32::try_from(fields.i32()?).map_err(|_| BatchError::Count)?,
        })
    }

    /// Offset of the last record.
    pub fn last(&self) -> u64 {
        self.base.saturating_add(u64::from(self.last_delta))
    }

    /// How the records are compressed.
    ///
    /// # Errors
    ///
    /// [`BatchError::Codec`] for a number without a codec.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        Codec::from_attributes(self.attributes).ok_or(BatchError::Codec)
    }

    /// Whether it carries markers instead of records.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Whether all records have the batch's highest timestamp.
    pub(crate) fn log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    fn producer(&self) -> Result<Option<Producer>, BatchError> {
        if self.producer_id == -1 {
            return Ok(None);
        }
        let count = i32::try_from(self.count).map_err(|_| BatchError::Count)?;
        if self.producer_id < 0 || self.producer_epoch < 0 || self.base_sequence < 0 {
            return Err(BatchError::Producer);
        }
        Ok(Some(Producer {
            id: self.producer_id,
            epoch: self.producer_epoch,
            first_sequence: self.base_sequence,
            count,
        }))
    }
}

/// The length of the whole batch that begins `bytes`, as its length field says.
pub fn length(bytes: &[u8]) -> Option<usize> {
    let field = bytes.get(8..12)?.try_into().ok()?;
    usize::try_from(i32::from_be_bytes(field)).ok()?.checked_add(LENGTH_FROM)
}

/// Checks a batch that a client has built: everything that a reader will rely on.
///
/// The records are decompressed and walked, so that what is stored can be decoded.
///
/// # Errors
///
/// [`BatchError`] says what is wrong.
pub fn check(bytes: &Bytes, limits: &CheckLimits) -> Result<Checked, BatchError> {
    if bytes.len() > limits.batch_bytes {
        return Err(BatchError::TooLarge(limits.batch_bytes));
    }
    let header = BatchHeader::decode(bytes)?;
    if length(bytes) != Some(bytes.len()) {
        return Err(BatchError::Length);
    }
    if crc(bytes) != Some(header.crc) {
        return Err(BatchError::Checksum);
    }
    if header.attributes & !CODEC_BITS != 0 {
        return Err(BatchError::Attributes(header.attributes));
    }
    let codec = header.codec()?;
    if header.count == 0 || header.count - 1 != header.last_delta {
        return Err(BatchError::Count);
    }
    let producer = header.producer()?;
    let mut walk = walk::Walk::open(bytes, limits.caps)?;
    let (mut min_timestamp_ms, mut max_timestamp_ms) = (i64::MAX, i64::MIN);
    let mut expected = header.base;
    for record in &mut walk {
        let record = record?;
        if record.offset != expected {
            return Err(BatchError::Record);
        }
        let too_many = record.headers.len() > limits.headers;
        if too_many || record.value.as_ref().is_some_and(|v| v.len() > limits.message_bytes) {
            return Err(BatchError::TooLarge(limits.message_bytes));
        }
        min_timestamp_ms = min_timestamp_ms.min(record.timestamp_ms);
        max_timestamp_ms = max_timestamp_ms.max(record.timestamp_ms);
        expected = expected.wrapping_add(1);
    }
    Ok(Checked { count: header.count, min_timestamp_ms, max_timestamp_ms, producer, codec })
}

/// Whether the batch was gathered here, so that its `robust.` headers are to be believed.
pub fn is_gathered(bytes: &[u8]) -> bool {
    BatchHeader::decode(bytes).is_ok_and(|header| header.attributes & GATHERED != 0)
}

/// Sets base offset and leader epoch, which lie outside of the checksum.
///
/// Bytes that are too short to be a batch are left as they are.
pub fn patch(bytes: &mut [u8], base: u64, leader_epoch: i32) {
    if let Some(place) = bytes.get_mut(..8) {
        place.copy_from_slice(&base.to_be_bytes());
    }
    if let Some(place) = bytes.get_mut(12..16) {
        place.copy_from_slice(&leader_epoch.to_be_bytes());
    }
}

/// A copy with another base offset and leader epoch; see [`patch`].
pub fn patched(bytes: &[u8], base: u64, leader_epoch: i32) -> Bytes {
    let mut copy = BytesMut::from(bytes);
    patch(&mut copy, base, leader_epoch);
    copy.freeze()
}

/// A batch that tells a Kafka reader of a sparse view that nothing up to `last` is for it.
///
/// It is a control batch with one abort marker of no producer: clients skip it and go on behind
/// it, where an empty batch would let some of them jump to the end (storage rule 20).
pub fn control_filler(range: RangeInclusive<u64>) -> Bytes {
    // [version: i16][type: i16 = abort] and [version: i16][coordinator epoch: i32], no headers.
    let mut tail = BytesMut::new();
    put_varint(&mut tail, 4);
    tail.extend_from_slice(&[0; 4]);
    put_varint(&mut tail, 6);
    tail.extend_from_slice(&[0; 6]);
    put_varint(&mut tail, 0);
    build::build_control(*range.start(), *range.end(), &tail)
}

/// The checksum of a whole batch.
fn crc(bytes: &[u8]) -> Option<u32> {
    Some(crc32c::crc32c(bytes.get(CRC_FROM..)?))
}

/// Reads big-endian fields off the front.
struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], BatchError> {
        let (field, rest) = self.rest.split_first_chunk().ok_or(BatchError::Length)?;
        self.rest = rest;
        Ok(*field)
    }

    fn i32(&mut self) -> Result<i32, BatchError> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, BatchError> {
        self.take().map(i64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests;
