//! Walking the records of a batch: slices of it when it is uncompressed, of one decoded block
//! otherwise.
//!
//! ```text
//! [length: varint][attributes: i8][timestamp delta: varlong][offset delta: varint]
//! [key length: varint][key][value length: varint][value][headers: varint]
//! ([name length: varint][name][value length: varint][value])*        -1 = null, names are never
//! ```

use bytes::{Buf, BufMut, Bytes};

use super::{BatchError, BatchHeader, HEADER_BYTES, length};
use crate::compression::{self, Caps, Codec};

/// One record of a batch; its fields are slices of the batch's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordView {
    /// Its offset.
    pub offset: u64,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The key, `None` for null.
    pub key: Option<Bytes>,
    /// The value, `None` for null.
    pub value: Option<Bytes>,
    /// Headers in order; `None` for a null value.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// All records of a stored batch, decompressed within the default caps.
///
/// # Errors
///
/// [`BatchError`] when the batch is not one that [`check`](super::check) would have passed.
pub fn records(batch: &Bytes) -> Result<Vec<RecordView>, BatchError> {
    records_within(batch, Caps::default())
}

/// All records of a batch, decompressed within `caps`.
///
/// # Errors
///
/// As [`records`].
pub fn records_within(batch: &Bytes, caps: Caps) -> Result<Vec<RecordView>, BatchError> {
    Walk::open(batch, caps)?.collect()
}

/// An iterator over the records; it ends after the first error.
#[derive(Debug)]
pub(super) struct Walk {
    header: BatchHeader,
    rest: Bytes,
    left: u32,
}

impl Walk {
    pub(super) fn open(batch: &Bytes, caps: Caps) -> Result<Self, BatchError> {
        let header = BatchHeader::decode(batch)?;
        let end = length(batch).ok_or(BatchError::Length)?;
        if !(HEADER_BYTES..=batch.len()).contains(&end) {
            return Err(BatchError::Length);
        }
        let body = batch.slice(HEADER_BYTES..end);
        let codec = header.codec()?;
        let rest = if codec == Codec::None {
            body
        } else {
            compression::decode(codec, &body, caps)?.into()
        };
        Ok(Self { header, rest, left: header.count })
    }

    fn record(&mut self) -> Result<RecordView, BatchError> {
        let length = varint(&mut self.rest)?;
        let mut body = take(&mut self.rest, length)?;
        // The record's own attributes: unused, and whatever a client wrote there stays unread.
        take(&mut body, 1)?;
        let timestamp_delta = varlong(&mut body)?;
        let offset_delta = u64::try_from(varint(&mut body)?).map_err(|_| BatchError::Record)?;
        let key = nullable(&mut body)?;
        let value = nullable(&mut body)?;
        let headers = headers(&mut body)?;
        if !body.is_empty() {
            return Err(BatchError::Record);
        }
        let timestamp_ms = if self.header.log_append_time() {
            self.header.max_timestamp_ms
        } else {
            self.header.base_timestamp_ms.wrapping_add(timestamp_delta)
        };
        let offset = self.header.base.wrapping_add(offset_delta);
        Ok(RecordView { offset, timestamp_ms, key, value, headers })
    }
}

impl Iterator for Walk {
    type Item = Result<RecordView, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            if self.rest.is_empty() {
                return None;
            }
            self.rest.clear();
            return Some(Err(BatchError::Count));
        }
        self.left -= 1;
        let record = self.record();
        if record.is_err() {
            self.left = 0;
            self.rest.clear();
        }
        Some(record)
    }
}

fn headers(body: &mut Bytes) -> Result<Vec<(Bytes, Option<Bytes>)>, BatchError> {
    let count = usize::try_from(varint(body)?).map_err(|_| BatchError::Record)?;
    // A header takes two bytes at least: a higher count is a lie that must not be allocated for.
    if count > body.len() / 2 {
        return Err(BatchError::Record);
    }
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let name = nullable(body)?.ok_or(BatchError::Record)?;
        headers.push((name, nullable(body)?));
    }
    Ok(headers)
}

fn nullable(body: &mut Bytes) -> Result<Option<Bytes>, BatchError> {
    match varint(body)? {
        -1 => Ok(None),
        length => take(body, length).map(Some),
    }
}

fn take(rest: &mut Bytes, length: i32) -> Result<Bytes, BatchError> {
    let length = usize::try_from(length).map_err(|_| BatchError::Record)?;
    if length > rest.len() { Err(BatchError::Record) } else { Ok(rest.split_to(length)) }
}

/// Reads a zigzag number of at most 5 bytes.
fn varint(rest: &mut Bytes) -> Result<i32, BatchError> {
    let number = unsigned(rest, 5)?;
    let number = u32::try_from(number).map_err(|_| BatchError::Record)?;
    Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

/// Reads a zigzag number of at most 10 bytes.
fn varlong(rest: &mut Bytes) -> Result<i64, BatchError> {
    let number = unsigned(rest, 10)?;
    Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

fn unsigned(rest: &mut Bytes, bytes_max: u32) -> Result<u64, BatchError> {
    let mut number = 0_u64;
    for index in 0..bytes_max {
        if rest.is_empty() {
            return Err(BatchError::Record);
        }
        let byte = rest.get_u8();
        let bits = u64::from(byte & 0x7f);
        let shifted = bits << (7 * index);
        if shifted >> (7 * index) != bits {
            return Err(BatchError::Record);
        }
        number |= shifted;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(BatchError::Record)
}

/// Appends a zigzag number of at most 5 bytes.
pub fn put_varint(out: &mut impl BufMut, number: i32) {
    put_unsigned(out, u64::from(((number << 1) ^ (number >> 31)).cast_unsigned()));
}

/// Appends a zigzag number of at most 10 bytes.
pub fn put_varlong(out: &mut impl BufMut, number: i64) {
    put_unsigned(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

fn put_unsigned(out: &mut impl BufMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// Bytes that [`put_varint`] appends.
pub(crate) fn varint_length(number: i32) -> usize {
    varlong_bytes(number.into())
}

/// Bytes that [`put_varlong`] appends.
pub(super) fn varlong_bytes(number: i64) -> usize {
    let unsigned = ((number << 1) ^ (number >> 63)).cast_unsigned();
    (64 - (unsigned | 1).leading_zeros() as usize).div_ceil(7)
}
