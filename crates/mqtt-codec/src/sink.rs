//! Where a packet is written to: once to count, once to write.
//!
//! The remaining length stands before the body, so every body is run through a [`Count`] first.
//! Counting and writing are the same code and cannot disagree.

use bytes::{BufMut, BytesMut};

use crate::{Binary, EncodeError, PacketId, Text};

/// The largest value of a Variable Byte Integer.
pub(crate) const VAR_INT_MAX: usize = 268_435_455;

pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);

    fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    fn packet_id(&mut self, id: PacketId) {
        self.u16(id.get());
    }

    fn text(&mut self, text: &Text) {
        self.field(text.as_bytes());
    }

    fn binary(&mut self, binary: &Binary) {
        self.field(binary.as_bytes());
    }

    /// A two-byte length, and the bytes; callers hold the invariant of `Text` and `Binary`.
    fn field(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= crate::text::FIELD_BYTES_MAX, "Text and Binary are short");
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.u16(len);
        self.put(bytes.get(..usize::from(len)).unwrap_or(bytes));
    }

    /// A Variable Byte Integer of at most [`VAR_INT_MAX`].
    fn var_int(&mut self, mut value: usize) {
        debug_assert!(value <= VAR_INT_MAX, "checked before");
        loop {
            let low = (value & 0x7F) as u8;
            value >>= 7;
            if value == 0 {
                return self.u8(low);
            }
            self.u8(low | 0x80);
        }
    }
}

/// Counts what would be written.
#[derive(Debug, Default)]
pub(crate) struct Count(pub(crate) usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

impl Sink for BytesMut {
    fn put(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }
}

/// Something that is written after its own length.
pub(crate) trait Body {
    fn write<S: Sink>(&self, sink: &mut S);

    fn size(&self) -> usize {
        let mut count = Count::default();
        self.write(&mut count);
        count.0
    }
}

/// Writes `[first byte][remaining length][body]`, or nothing.
pub(crate) fn write_packet(
    first: u8,
    body: &impl Body,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let size = body.size();
    write_header(first, size, size, out)?;
    body.write(out);
    Ok(())
}

/// Writes `[first byte][remaining length]` and makes room for `room` bytes more.
pub(crate) fn write_header(
    first: u8,
    remaining: usize,
    room: usize,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    if remaining > VAR_INT_MAX {
        return Err(EncodeError::TooLarge(remaining));
    }
    out.reserve(room.saturating_add(5));
    out.put_u8(first);
    out.var_int(remaining);
    Ok(())
}
