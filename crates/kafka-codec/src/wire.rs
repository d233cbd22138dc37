//! Primitive types on the wire, in both encodings.
//!
//! | type | plain versions | flexible versions |
//! |---|---|---|
//! | string | `[length: i16][bytes]`, null is -1 | `[length + 1: uvarint][bytes]`, null is 0 |
//! | bytes, records | `[length: i32][bytes]`, null is -1 | `[length + 1: uvarint][bytes]`, null is 0 |
//! | array | `[count: i32][..]`, null is -1 | `[count + 1: uvarint][..]`, null is 0 |
//! | struct | fields | fields, then `[count: uvarint]([tag: uvarint][size: uvarint][value])*` |
//! | struct that may be null | | `[-1: i8]` or `[1: i8]`, then the struct |
//!
//! Everything else is big endian and the same in both. [`Reader`] and [`Writer`] know the version
//! and the encoding, so one implementation of [`Field`] per type serves all.

mod reader;
mod records;
mod text;
mod writer;

pub use reader::{DecodeError, Limits, Reader};
pub use records::Records;
pub use text::{NotUtf8, Text, Uuid};
pub use writer::{TaggedFields, Writer};

use bytes::Bytes;

/// A value that stands on the wire.
pub trait Field: Sized {
    /// The fewest bytes of an instance in any version; what an array's count is checked against.
    const MIN_BYTES: usize;

    /// Takes an instance off the front.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no such value.
    fn read(reader: &mut Reader) -> Result<Self, DecodeError>;

    /// Puts the instance at the end.
    fn write(&self, writer: &mut Writer);
}

/// A value that may be null; the default is the form of a struct.
pub trait Nullable: Field {
    /// Takes an instance or null off the front.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are neither.
    fn read_nullable(reader: &mut Reader) -> Result<Option<Self>, DecodeError> {
        if reader.read::<i8>()? < 0 { Ok(None) } else { Self::read(reader).map(Some) }
    }

    /// Puts the instance or null at the end.
    fn write_nullable(value: Option<&Self>, writer: &mut Writer) {
        match value {
            None => writer.put(&-1_i8),
            Some(value) => {
                writer.put(&1_i8);
                value.write(writer);
            }
        }
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Field for $number {
            const MIN_BYTES: usize = size_of::<$number>();

            fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
                reader.take_array().map(<$number>::from_be_bytes)
            }

            fn write(&self, writer: &mut Writer) {
                writer.put_slice(&self.to_be_bytes());
            }
        }
    )*};
}

numbers!(i8, i16, i32, i64);

impl Field for bool {
    const MIN_BYTES: usize = 1;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        reader.read::<i8>().map(|byte| byte != 0)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&i8::from(*self));
    }
}

impl Field for Uuid {
    const MIN_BYTES: usize = 16;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        reader.take_array().map(Self)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put_slice(&self.0);
    }
}

impl Field for Text {
    const MIN_BYTES: usize = 1;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Self::read_nullable(reader)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn write(&self, writer: &mut Writer) {
        Self::write_nullable(Some(self), writer);
    }
}

impl Nullable for Text {
    fn read_nullable(reader: &mut Reader) -> Result<Option<Self>, DecodeError> {
        let length =
            if reader.flexible() { reader.compact_length()? } else { reader.short_length()? };
        let Some(length) = length else { return Ok(None) };
        Ok(Some(Self::try_from(reader.take(length)?)?))
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer) {
        if writer.flexible() {
            writer.put_compact_length(value.map(|text| text.len()));
        } else {
            writer.put_short_length(value.map(|text| text.len()));
        }
        if let Some(text) = value {
            writer.put_slice(text.as_bytes());
        }
    }
}

impl Field for Bytes {
    const MIN_BYTES: usize = 1;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Self::read_nullable(reader)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn write(&self, writer: &mut Writer) {
        Self::write_nullable(Some(self), writer);
    }
}

impl Nullable for Bytes {
    fn read_nullable(reader: &mut Reader) -> Result<Option<Self>, DecodeError> {
        match reader.length()? {
            None => Ok(None),
            Some(length) => reader.take(length).map(Some),
        }
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer) {
        writer.put_length(value.map(Self::len));
        if let Some(bytes) = value {
            writer.put_bytes(bytes.clone());
        }
    }
}

impl<T: Field> Field for Vec<T> {
    const MIN_BYTES: usize = 1;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Self::read_nullable(reader)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn write(&self, writer: &mut Writer) {
        Self::write_nullable(Some(self), writer);
    }
}

impl<T: Field> Nullable for Vec<T> {
    fn read_nullable(reader: &mut Reader) -> Result<Option<Self>, DecodeError> {
        let Some(count) = reader.length()? else { return Ok(None) };
        reader.admit::<T>(count)?;
        let mut elements = Self::with_capacity(count);
        for _ in 0..count {
            elements.push(T::read(reader)?);
        }
        Ok(Some(elements))
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer) {
        writer.put_length(value.map(Self::len));
        for element in value.into_iter().flatten() {
            element.write(writer);
        }
    }
}
