//! Rows: objects as bytes, each field length-prefixed, in a fixed order.
//!
//! ```text
//! row   = [version: u8 = 1] field*
//! field = [length: u32 LE][bytes]     numbers are 8 bytes LE, flags one byte
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

const VERSION: u8 = 1;

/// A row that this version cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("unreadable catalogue row")]
pub struct Unreadable;

/// Writes one row.
#[derive(Debug)]
pub struct Writer(BytesMut);

impl Default for Writer {
    fn default() -> Self {
        let mut out = BytesMut::with_capacity(64);
        out.put_u8(VERSION);
        Self(out)
    }
}

impl Writer {
    /// Appends bytes.
    ///
    /// # Panics
    ///
    /// For a field of 4 GiB: names and arguments are bounded far below.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.put_u32_le(u32::try_from(bytes.len()).expect("names and arguments are short"));
        self.0.put_slice(bytes);
        self
    }

    /// Appends a number.
    #[must_use]
    pub fn number(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    /// Appends a number that may be missing.
    #[must_use]
    pub fn maybe(self, number: Option<u64>) -> Self {
        match number {
            Some(number) => self.number(number),
            None => self.bytes(&[]),
        }
    }

    /// Appends flags.
    #[must_use]
    pub fn flags(self, flags: &[bool]) -> Self {
        let byte =
            flags.iter().enumerate().fold(0u8, |acc, (bit, &on)| acc | (u8::from(on) << bit));
        self.bytes(&[byte])
    }

    /// The row.
    pub fn finish(self) -> Bytes {
        self.0.freeze()
    }
}

/// Reads one row.
#[derive(Debug)]
pub struct Reader(Bytes);

impl Reader {
    /// A reader of `row`.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] for another version.
    pub fn new(mut row: Bytes) -> Result<Self, Unreadable> {
        if row.is_empty() || row.get_u8() != VERSION {
            return Err(Unreadable);
        }
        Ok(Self(row))
    }

    /// Whether all fields were read.
    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// The next field.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] when the row ends before it does.
    pub fn bytes(&mut self) -> Result<Bytes, Unreadable> {
        if self.0.len() < 4 {
            return Err(Unreadable);
        }
        let length = self.0.get_u32_le() as usize;
        if self.0.len() < length {
            return Err(Unreadable);
        }
        Ok(self.0.split_to(length))
    }

    /// The next number.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub fn number(&mut self) -> Result<u64, Unreadable> {
        self.maybe()?.ok_or(Unreadable)
    }

    /// The next number, which may be missing.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub fn maybe(&mut self) -> Result<Option<u64>, Unreadable> {
        let field = self.bytes()?;
        if field.is_empty() {
            return Ok(None);
        }
        let bytes: [u8; 8] = field[..].try_into().map_err(|_| Unreadable)?;
        Ok(Some(u64::from_le_bytes(bytes)))
    }

    /// The next flags.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub fn flags<const N: usize>(&mut self) -> Result<[bool; N], Unreadable> {
        let field = self.bytes()?;
        let byte = *field.first().ok_or(Unreadable)?;
        Ok(std::array::from_fn(|bit| byte & (1 << bit) != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back_in_order() {
        let row = Writer::default()
            .bytes(b"name")
            .number(7)
            .maybe(None)
            .flags(&[true, false, true])
            .finish();
        let mut reader = Reader::new(row).expect("same version");
        assert_eq!(reader.bytes().expect("there"), "name");
        assert_eq!(reader.number(), Ok(7));
        assert_eq!(reader.maybe(), Ok(None));
        assert_eq!(reader.flags::<3>(), Ok([true, false, true]));
        assert!(reader.is_done());
        assert_eq!(reader.bytes(), Err(Unreadable));
    }

    #[test]
    fn a_length_beyond_the_row_is_unreadable() {
        let mut reader =
            Reader::new(Bytes::from_static(&[1, 255, 255, 255, 255, 0])).expect("version");
        assert_eq!(reader.bytes(), Err(Unreadable));
        assert!(Reader::new(Bytes::from_static(&[9])).is_err());
    }
}
