//! Reads primitive values off the front of a frame, slices instead of copies.

use bytes::Bytes;
use thiserror::Error;

use super::{Field, NotUtf8, Nullable};

/// What a peer may make us hold for one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest frame without its length prefix (Kafka's `socket.request.max.bytes`).
    pub frame_bytes: usize,
    /// Memory that the elements of all arrays of one message may take. One byte on the wire can be
    /// an element of a hundred bytes here, so the length of the frame alone does not bound it.
    pub element_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame_bytes: 100 * 1024 * 1024, element_bytes: 32 * 1024 * 1024 }
    }
}

/// The bytes are not what the protocol says; the connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A value or a length runs over the end.
    #[error("a value runs over the end of its frame")]
    Truncated,
    /// A length below -1.
    #[error("negative length {0}")]
    NegativeLength(i32),
    /// A null where the version allows none.
    #[error("null where none is allowed")]
    UnexpectedNull,
    /// A variable-length number of more than 32 bits.
    #[error("a variable-length number of more than 32 bits")]
    LongVarint,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// More array elements than [`Limits::element_bytes`] allows.
    #[error("more array elements than one message may have")]
    TooManyElements,
    /// A frame longer than [`Limits::frame_bytes`] or of negative length.
    #[error("a frame of {0} bytes")]
    FrameLength(i32),
    /// A request of an API that is not spoken.
    #[error("unknown API key {0}")]
    UnknownApi(i16),
    /// A version that is not spoken.
    #[error("API key {key} has no version {version}")]
    UnsupportedVersion {
        /// The API.
        key: i16,
        /// What was asked for.
        version: i16,
    },
}

impl From<NotUtf8> for DecodeError {
    fn from(_: NotUtf8) -> Self {
        Self::NotUtf8
    }
}

/// The rest of a frame, and how to read it.
#[derive(Debug)]
pub struct Reader {
    bytes: Bytes,
    version: i16,
    flexible: bool,
    element_bytes_left: usize,
}

impl Reader {
    /// A reader of `bytes` in one version and encoding.
    pub fn new(bytes: Bytes, version: i16, flexible: bool, limits: &Limits) -> Self {
        Self { bytes, version, flexible, element_bytes_left: limits.element_bytes }
    }

    /// The version that is read.
    pub const fn version(&self) -> i16 {
        self.version
    }

    /// Whether lengths are compact and structs end with tagged fields.
    pub const fn flexible(&self) -> bool {
        self.flexible
    }

    /// Bytes left.
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// What is left, as it stands.
    pub fn into_rest(self) -> Bytes {
        self.bytes
    }

    /// Takes a value off the front.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no such value.
    pub fn read<T: Field>(&mut self) -> Result<T, DecodeError> {
        T::read(self)
    }

    /// Takes a value or null off the front.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are neither.
    pub fn read_nullable<T: Nullable>(&mut self) -> Result<Option<T>, DecodeError> {
        T::read_nullable(self)
    }

    /// Takes the next `count` bytes, shared and not copied.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when fewer are left.
    pub fn take(&mut self, count: usize) -> Result<Bytes, DecodeError> {
        if count > self.bytes.len() {
            return Err(DecodeError::Truncated);
        }
        Ok(self.bytes.split_to(count))
    }

    pub(super) fn take_array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let array = *self.bytes.first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.bytes = self.bytes.slice(N..);
        Ok(array)
    }

    /// An unsigned variable-length number of at most 32 bits.
    ///
    /// # Errors
    /// [`DecodeError::LongVarint`] or [`DecodeError::Truncated`].
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.take_array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| DecodeError::LongVarint);
            }
        }
        Err(DecodeError::LongVarint)
    }

    pub(super) fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        let length = self.unsigned_varint()?;
        Ok(length.checked_sub(1).map(|length| length as usize))
    }

    pub(super) fn short_length(&mut self) -> Result<Option<usize>, DecodeError> {
        plain_length(i32::from(self.read::<i16>()?))
    }

    /// The length of bytes or the count of an array; none is null.
    pub(super) fn length(&mut self) -> Result<Option<usize>, DecodeError> {
        if self.flexible { self.compact_length() } else { plain_length(self.read::<i32>()?) }
    }

    /// Checks a count against the bytes left and the memory allowed, before anything is allocated.
    pub(super) fn admit<T: Field>(&mut self, count: usize) -> Result<(), DecodeError> {
        if count > self.bytes.len() / T::MIN_BYTES.max(1) {
            return Err(DecodeError::Truncated);
        }
        let bytes = count.saturating_mul(size_of::<T>());
        self.element_bytes_left =
            self.element_bytes_left.checked_sub(bytes).ok_or(DecodeError::TooManyElements)?;
        Ok(())
    }

    /// Reads the tagged fields of a struct; `each` gets a tag and this reader cut to its value.
    ///
    /// What `each` leaves is skipped, so a tag that nobody knows costs nothing.
    ///
    /// # Errors
    /// [`DecodeError`] of the fields' lengths or of `each`.
    pub fn read_tagged(
        &mut self,
        mut each: impl FnMut(u32, &mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            if size > self.bytes.len() {
                return Err(DecodeError::Truncated);
            }
            let rest = self.bytes.split_off(size);
            each(tag, self)?;
            self.bytes = rest;
        }
        Ok(())
    }

    /// Skips the tagged fields of a struct that has none of its own.
    ///
    /// # Errors
    /// [`DecodeError`] of their lengths.
    pub fn skip_tagged(&mut self) -> Result<(), DecodeError> {
        self.read_tagged(|_, _| Ok(()))
    }
}

fn plain_length(length: i32) -> Result<Option<usize>, DecodeError> {
    match length {
        -1 => Ok(None),
        length => {
            usize::try_from(length).map(Some).map_err(|_| DecodeError::NegativeLength(length))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Text;

    fn reader(bytes: &'static [u8], flexible: bool) -> Reader {
        Reader::new(Bytes::from_static(bytes), 0, flexible, &Limits::default())
    }

    #[test]
    fn an_array_longer_than_the_frame_is_refused_before_it_is_allocated() {
        let mut plain = reader(&[0x7f, 0xff, 0xff, 0xff, 0, 0], false);
        assert_eq!(plain.read::<Vec<i32>>(), Err(DecodeError::Truncated));
        let mut compact = reader(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], true);
        assert_eq!(compact.read::<Vec<Text>>(), Err(DecodeError::Truncated));
    }

    #[test]
    fn elements_are_bounded_by_the_memory_they_take() {
        let limits = Limits { element_bytes: 10 * size_of::<Text>(), ..Limits::default() };
        let mut bytes = vec![12];
        bytes.extend([1; 11]);
        let mut eleven = Reader::new(bytes.into(), 0, true, &limits);
        assert_eq!(eleven.read::<Vec<Text>>(), Err(DecodeError::TooManyElements));
        let mut bytes = vec![11];
        bytes.extend([1; 10]);
        let mut ten = Reader::new(bytes.into(), 0, true, &limits);
        assert_eq!(ten.read::<Vec<Text>>().map(|texts| texts.len()), Ok(10));
    }

    #[test]
    fn lengths_below_minus_one_and_beyond_the_end_are_refused() {
        assert_eq!(
            reader(&[0xff, 0xfe], false).read::<Text>(),
            Err(DecodeError::NegativeLength(-2))
        );
        assert_eq!(reader(&[0xff, 0xff], false).read::<Text>(), Err(DecodeError::UnexpectedNull));
        assert_eq!(reader(&[0, 3, b'a', b'b'], false).read::<Text>(), Err(DecodeError::Truncated));
        assert_eq!(reader(&[4, b'a', b'b'], true).read::<Text>(), Err(DecodeError::Truncated));
        assert_eq!(reader(&[0, 1, 0xff], false).read::<Text>(), Err(DecodeError::NotUtf8));
    }

    #[test]
    fn a_varint_has_at_most_thirty_two_bits() {
        assert_eq!(reader(&[0xff, 0xff, 0xff, 0xff, 0x0f], true).unsigned_varint(), Ok(u32::MAX));
        let long = reader(&[0xff, 0xff, 0xff, 0xff, 0x1f], true).unsigned_varint();
        assert_eq!(long, Err(DecodeError::LongVarint));
        let endless = reader(&[0x80, 0x80, 0x80, 0x80, 0x80, 0], true).unsigned_varint();
        assert_eq!(endless, Err(DecodeError::LongVarint));
        assert_eq!(reader(&[0x80], true).unsigned_varint(), Err(DecodeError::Truncated));
    }

    #[test]
    fn unknown_tagged_fields_are_skipped_and_known_ones_are_cut_to_their_size() {
        let mut it = reader(&[2, 7, 2, 9, 9, 0, 3, 0, 5, 9, 42], true);
        let mut seen = None;
        it.read_tagged(|tag, field| {
            if tag == 0 {
                seen = Some(field.read::<i16>()?);
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, Some(5));
        assert_eq!(it.read::<i8>(), Ok(42));
    }

    #[test]
    fn a_tagged_field_does_not_run_over_its_size_or_the_frame() {
        let short = reader(&[1, 0, 1, 0, 5], true).read_tagged(|_, f| f.read::<i16>().map(drop));
        assert_eq!(short, Err(DecodeError::Truncated));
        assert_eq!(reader(&[1, 0, 9, 0], true).skip_tagged(), Err(DecodeError::Truncated));
        let endless = reader(&[0xff, 0xff, 0xff, 0xff, 0x0f], true).skip_tagged();
        assert_eq!(endless, Err(DecodeError::Truncated));
    }
}
