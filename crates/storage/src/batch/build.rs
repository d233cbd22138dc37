//! Building batches: from records in stored form, and from a batch of which some records are gone.

use bytes::{BufMut, Bytes, BytesMut};

use super::walk::{RecordView, put_varint, put_varlong, records, varlong_bytes};
use super::{BatchError, BatchHeader, CONTROL, GATHERED, HEADER_BYTES, LENGTH_FROM, crc};

/// Builds an uncompressed batch from `(offset, timestamp, tail)`, in ascending order of offsets.
///
/// Offsets may leave gaps. `trusted` marks the batch as gathered here. Without records the answer
/// is empty.
pub fn build<T: AsRef<[u8]>>(
    records: impl IntoIterator<Item = (u64, i64, T)>,
    trusted: bool,
) -> Bytes {
    let mut out = BytesMut::new();
    build_into(&mut out, records, trusted);
    out.freeze()
}

/// As [`build`], behind what `out` holds already.
pub fn build_into<T: AsRef<[u8]>>(
    out: &mut (impl BufMut + AsMut<[u8]>),
    records: impl IntoIterator<Item = (u64, i64, T)>,
    trusted: bool,
) {
    let attributes = if trusted { GATHERED } else { 0 };
    put_batch(out, records, |header| header.attributes = attributes);
}

/// A control batch whose one record stands at `last`.
pub(super) fn build_control(base: u64, last: u64, tail: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    let delta = last.saturating_sub(base);
    out.put_bytes(0, HEADER_BYTES);
    put_record(&mut out, 0, i32::try_from(delta).unwrap_or(i32::MAX), tail);
    let header = BatchHeader {
        attributes: CONTROL,
        last_delta: u32::try_from(delta).unwrap_or(u32::MAX >> 1),
        ..empty(base)
    };
    seal(&mut out, &BatchHeader { count: 1, ..header });
    out.freeze()
}

/// The batch without the records for which `gone` is true, uncompressed.
///
/// Base offset, last offset and the producer's fields stay (storage rule 14). `None` when nothing
/// would be left.
///
/// # Errors
///
/// [`BatchError`] when the batch cannot be read.
pub fn without(
    batch: &Bytes,
    mut gone: impl FnMut(u64) -> bool,
) -> Result<Option<Bytes>, BatchError> {
    let original = BatchHeader::decode(batch)?;
    let kept: Vec<RecordView> =
        records(batch)?.into_iter().filter(|record| !gone(record.offset)).collect();
    if kept.is_empty() {
        return Ok(None);
    }
    let mut out = BytesMut::with_capacity(batch.len());
    out.put_bytes(0, HEADER_BYTES);
    let mut tail = BytesMut::new();
    for record in &kept {
        tail.clear();
        put_tail(&mut tail, record);
        let delta = record.offset.wrapping_sub(original.base);
        let time = record.timestamp_ms.wrapping_sub(original.base_timestamp_ms);
        put_record(&mut out, time, i32::try_from(delta).map_err(|_| BatchError::Count)?, &tail);
    }
    let count = u32::try_from(kept.len()).map_err(|_| BatchError::Count)?;
    let attributes = original.attributes & !super::CODEC_BITS;
    seal(&mut out, &BatchHeader { attributes, count, ..original });
    Ok(Some(out.freeze()))
}

fn empty(base: u64) -> BatchHeader {
    BatchHeader {
        base,
        leader_epoch: 0,
        crc: 0,
        attributes: 0,
        last_delta: 0,
        base_timestamp_ms: 0,
        max_timestamp_ms: 0,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        count: 0,
    }
}

fn put_batch<T: AsRef<[u8]>>(
    out: &mut (impl BufMut + AsMut<[u8]>),
    records: impl IntoIterator<Item = (u64, i64, T)>,
    finish: impl FnOnce(&mut BatchHeader),
) {
    let start = out.as_mut().len();
    let mut header: Option<BatchHeader> = None;
    for (offset, timestamp_ms, tail) in records {
        let header = header.get_or_insert_with(|| {
            out.put_bytes(0, HEADER_BYTES);
            let mut header = empty(offset);
            header.base_timestamp_ms = timestamp_ms;
            header.max_timestamp_ms = timestamp_ms;
            header
        });
        header.last_delta = u32::try_from(offset.wrapping_sub(header.base))
            .expect("a batch spans fewer than 2^31 offsets");
        header.count += 1;
        header.max_timestamp_ms = header.max_timestamp_ms.max(timestamp_ms);
        let delta = i32::try_from(header.last_delta).expect("fewer than 2^31 offsets");
        let time = timestamp_ms.wrapping_sub(header.base_timestamp_ms);
        put_record(out, time, delta, tail.as_ref());
    }
    if let Some(mut header) = header {
        finish(&mut header);
        seal(out.as_mut().get_mut(start..).unwrap_or_default(), &header);
    }
}

fn put_record(out: &mut impl BufMut, timestamp_delta: i64, offset_delta: i32, tail: &[u8]) {
    let length =
        1 + varlong_bytes(timestamp_delta) + varlong_bytes(offset_delta.into()) + tail.len();
    put_varint(out, i32::try_from(length).expect("a record is bounded far below 2 GiB"));
    out.put_u8(0);
    put_varlong(out, timestamp_delta);
    put_varint(out, offset_delta);
    out.put_slice(tail);
}

fn put_tail(out: &mut BytesMut, record: &RecordView) {
    put_nullable(out, record.key.as_ref());
    put_nullable(out, record.value.as_ref());
    put_varint(out, i32::try_from(record.headers.len()).expect("were read from a batch"));
    for (name, value) in &record.headers {
        put_nullable(out, Some(name));
        put_nullable(out, value.as_ref());
    }
}

fn put_nullable(out: &mut BytesMut, bytes: Option<&Bytes>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_varint(out, i32::try_from(bytes.len()).expect("was read from a batch"));
            out.put_slice(bytes);
        }
    }
}

/// Writes the header in front of the records that follow it to the end of `batch`.
fn seal(batch: &mut [u8], header: &BatchHeader) {
    let length = i32::try_from(batch.len().saturating_sub(LENGTH_FROM));
    let length = length.expect("a batch is bounded far below 2 GiB");
    let mut out = batch.get_mut(..HEADER_BYTES).unwrap_or_default();
    if out.len() < HEADER_BYTES {
        return;
    }
    out.put_u64(header.base);
    out.put_i32(length);
    out.put_i32(header.leader_epoch);
    out.put_i8(2);
    out.put_u32(0);
    out.put_i16(header.attributes);
    out.put_u32(header.last_delta);
    out.put_i64(header.base_timestamp_ms);
    out.put_i64(header.max_timestamp_ms);
    out.put_i64(header.producer_id);
    out.put_i16(header.producer_epoch);
    out.put_i32(header.base_sequence);
    out.put_u32(header.count);
    let crc = crc(batch).unwrap_or_default();
    if let Some(place) = batch.get_mut(17..21) {
        place.copy_from_slice(&crc.to_be_bytes());
    }
}
