//! Writes primitive values; large byte strings are shared into the output and not copied.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Field, Nullable};

/// Byte strings from here on become chunks of their own: a copy of fewer costs less than a chunk.
const SHARED_FROM: usize = 4096;

/// A message being written, as chunks that follow each other on the wire.
#[derive(Debug)]
pub struct Writer {
    chunks: Vec<Bytes>,
    open: BytesMut,
    closed_bytes: usize,
    version: i16,
    flexible: bool,
}

impl Writer {
    /// A writer in one version and encoding.
    pub fn new(version: i16, flexible: bool) -> Self {
        Self { chunks: Vec::new(), open: BytesMut::new(), closed_bytes: 0, version, flexible }
    }

    /// The version that is written.
    pub const fn version(&self) -> i16 {
        self.version
    }

    /// Whether lengths are compact and structs end with tagged fields.
    pub const fn flexible(&self) -> bool {
        self.flexible
    }

    /// Changes the encoding from here on: a header may have another than its body.
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.closed_bytes + self.open.len()
    }

    /// Whether nothing is written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes a value.
    pub fn put<T: Field>(&mut self, value: &T) {
        value.write(self);
    }

    /// Writes a value or null.
    pub fn put_nullable<T: Nullable>(&mut self, value: Option<&T>) {
        T::write_nullable(value, self);
    }

    /// Writes a value, or the default of its type where the version has no null.
    pub fn put_or_default<T: Nullable + Default>(&mut self, value: Option<&T>) {
        match value {
            Some(value) => value.write(self),
            None => T::default().write(self),
        }
    }

    /// Copies bytes in, without a length.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.open.put_slice(bytes);
    }

    /// Takes bytes in, without a length; many are shared and not copied.
    pub fn put_bytes(&mut self, bytes: Bytes) {
        if bytes.len() < SHARED_FROM {
            self.open.put_slice(&bytes);
            return;
        }
        self.close();
        self.closed_bytes += bytes.len();
        self.chunks.push(bytes);
    }

    /// Writes an unsigned variable-length number.
    pub fn put_unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.open.put_u8(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.open.put_u8(value.to_le_bytes()[0]);
    }

    /// The end of a struct without tagged fields.
    pub fn put_no_tagged(&mut self) {
        if self.flexible {
            self.open.put_u8(0);
        }
    }

    /// The end of a struct with these tagged fields.
    pub fn put_tagged(&mut self, tagged: TaggedFields) {
        if self.flexible {
            self.put_unsigned_varint(tagged.count);
            for chunk in tagged.body.into_chunks() {
                self.put_bytes(chunk);
            }
        }
    }

    pub(super) fn put_compact_length(&mut self, length: Option<usize>) {
        let length = length.map_or(0, |length| length.saturating_add(1));
        self.put_unsigned_varint(u32::try_from(length).unwrap_or(u32::MAX));
    }

    pub(super) fn put_short_length(&mut self, length: Option<usize>) {
        let length = length.map_or(-1, |length| i16::try_from(length).unwrap_or(i16::MAX));
        self.put(&length);
    }

    pub(super) fn put_length(&mut self, length: Option<usize>) {
        if self.flexible {
            self.put_compact_length(length);
        } else {
            let length = length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX));
            self.put(&length);
        }
    }

    /// Everything written, in order.
    pub fn into_chunks(mut self) -> Vec<Bytes> {
        self.close();
        self.chunks
    }

    /// Everything written in one piece.
    pub fn into_bytes(self) -> Bytes {
        let mut chunks = self.into_chunks();
        if chunks.len() == 1
            && let Some(only) = chunks.pop()
        {
            return only;
        }
        let mut whole = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
        for chunk in chunks {
            whole.put_slice(&chunk);
        }
        whole.freeze()
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.closed_bytes += self.open.len();
            self.chunks.push(self.open.split().freeze());
        }
    }
}

/// The tagged fields of one struct, to be put in ascending order of tags.
#[derive(Debug)]
pub struct TaggedFields {
    count: u32,
    body: Writer,
}

impl TaggedFields {
    /// No fields yet, in the version and encoding of `writer`.
    pub fn of(writer: &Writer) -> Self {
        Self { count: 0, body: Writer::new(writer.version, writer.flexible) }
    }

    /// Adds a field.
    pub fn put<T: Field>(&mut self, tag: u32, value: &T) {
        let mut field = Writer::new(self.body.version, self.body.flexible);
        field.put(value);
        self.add(tag, field);
    }

    /// Adds a field that may be null.
    pub fn put_nullable<T: Nullable>(&mut self, tag: u32, value: Option<&T>) {
        let mut field = Writer::new(self.body.version, self.body.flexible);
        field.put_nullable(value);
        self.add(tag, field);
    }

    fn add(&mut self, tag: u32, field: Writer) {
        self.count += 1;
        self.body.put_unsigned_varint(tag);
        self.body.put_unsigned_varint(u32::try_from(field.len()).unwrap_or(u32::MAX));
        for chunk in field.into_chunks() {
            self.body.put_bytes(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Limits, Reader, Text};

    #[test]
    fn a_large_byte_string_is_shared_and_not_copied() {
        let large = Bytes::from(vec![7; SHARED_FROM]);
        let mut writer = Writer::new(0, true);
        writer.put(&1_i16);
        writer.put(&large);
        writer.put(&2_i16);
        let length = writer.len();
        let chunks = writer.into_chunks();
        assert_eq!(chunks.len(), 3);
        assert_eq!(chunks[1].as_ptr(), large.as_ptr());
        assert_eq!(chunks.iter().map(Bytes::len).sum::<usize>(), length);
    }

    #[test]
    fn both_encodings_of_null_and_empty_differ() {
        for flexible in [false, true] {
            for text in [None, Some(Text::default()), Some(Text::from("a"))] {
                let mut writer = Writer::new(0, flexible);
                writer.put_nullable(text.as_ref());
                let mut reader = Reader::new(writer.into_bytes(), 0, flexible, &Limits::default());
                assert_eq!(reader.read_nullable::<Text>(), Ok(text));
                assert_eq!(reader.remaining(), 0);
            }
        }
    }

    #[test]
    fn varints_are_as_long_as_they_must_be() {
        for (value, bytes) in [(0, &[0][..]), (127, &[127]), (128, &[0x80, 1]), (300, &[0xac, 2])] {
            let mut writer = Writer::new(0, true);
            writer.put_unsigned_varint(value);
            assert_eq!(writer.into_bytes(), bytes);
        }
    }
}
