//! Record batches as they pass by: bytes in one or more pieces.

use bytes::{Bytes, BytesMut};

use super::{DecodeError, Field, Nullable, Reader, Writer};

/// Record batches behind each other, not looked at.
///
/// What was read off a frame is one piece. A broker puts together what it has, and no piece is
/// copied on the way out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records(Vec<Bytes>);

impl Records {
    /// Batches from pieces.
    pub fn new(pieces: Vec<Bytes>) -> Self {
        Self(pieces)
    }

    /// The pieces.
    pub fn pieces(&self) -> &[Bytes] {
        &self.0
    }

    /// Length of all pieces.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    /// All pieces as one; copies only if there are several.
    pub fn into_bytes(mut self) -> Bytes {
        if self.0.len() > 1 {
            let mut whole = BytesMut::with_capacity(self.len());
            for piece in &self.0 {
                whole.extend_from_slice(piece);
            }
            return whole.freeze();
        }
        self.0.pop().unwrap_or_default()
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::default() } else { Self(vec![bytes]) }
    }
}

impl Field for Records {
    const MIN_BYTES: usize = 1;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Bytes::read(reader).map(Self::from)
    }

    fn write(&self, writer: &mut Writer) {
        Self::write_nullable(Some(self), writer);
    }
}

impl Nullable for Records {
    fn read_nullable(reader: &mut Reader) -> Result<Option<Self>, DecodeError> {
        Ok(Bytes::read_nullable(reader)?.map(Self::from))
    }

    fn write_nullable(value: Option<&Self>, writer: &mut Writer) {
        writer.put_length(value.map(Self::len));
        for piece in value.into_iter().flat_map(Self::pieces) {
            writer.put_bytes(piece.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Limits;

    #[test]
    fn pieces_are_written_behind_each_other_under_one_length() {
        let records = Records::new(vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")]);
        let mut writer = Writer::new(0, false);
        writer.put(&records);
        let bytes = writer.into_bytes();
        assert_eq!(&bytes[..], b"\0\0\0\x03abc");
        let mut reader = Reader::new(bytes, 0, false, &Limits::default());
        assert_eq!(reader.read::<Records>().map(Records::into_bytes), Ok("abc".into()));
    }
}
