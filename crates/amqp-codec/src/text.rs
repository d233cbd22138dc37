//! Short and long strings. Both are bytes on the wire, and nobody checks their encoding there.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

/// A string of at most 255 bytes, sliced out of the buffer that it was read from.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortStr(Bytes);

impl ShortStr {
    /// The longest one, in bytes.
    pub const LEN_MAX: usize = 255;

    /// Takes `bytes`, or gives nothing when they are too many.
    pub fn new(bytes: impl Into<Bytes>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() <= Self::LEN_MAX).then_some(Self(bytes))
    }

    /// Takes as much of `text` as fits, cut at a character border.
    pub fn truncated(text: &str) -> Self {
        let mut end = text.len().min(Self::LEN_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self(Bytes::copy_from_slice(text.get(..end).unwrap_or_default().as_bytes()))
    }

    /// A constant.
    ///
    /// # Panics
    ///
    /// When `text` is longer than 255 bytes, which a constant shows at its first use.
    pub const fn from_static(text: &'static str) -> Self {
        assert!(text.len() <= Self::LEN_MAX, "a short string has at most 255 bytes");
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, shared.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, with a replacement character for what is no UTF-8.
    pub fn to_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    pub(crate) const fn trusted(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for ShortStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for ShortStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl PartialEq<str> for ShortStr {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for ShortStr {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

/// A string with a length of 32 bits: credentials, mechanisms, challenges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LongStr(pub Bytes);

impl LongStr {
    /// A constant.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_string_is_never_longer_than_its_length_octet_can_say() {
        assert!(ShortStr::new(vec![b'a'; 255]).is_some());
        assert!(ShortStr::new(vec![b'a'; 256]).is_none());
        let cut = ShortStr::truncated(&"ä".repeat(200));
        assert_eq!(cut.len(), 254, "cut before the half of a character");
    }
}
