//! Strings and binary data as MQTT knows them: at most 65,535 bytes, strings valid UTF-8 without
//! U+0000 [MQTT-1.5.4-1] [MQTT-1.5.4-2].
//!
//! Both are shared slices: decoding and cloning copy no bytes.

use std::fmt;

use bytes::Bytes;

/// The longest string or binary field that a two-byte length can announce.
pub const FIELD_BYTES_MAX: usize = u16::MAX as usize;

/// A UTF-8 Encoded String (MQTT 5.0 §1.5.4).
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Bytes);

/// Binary Data (MQTT 5.0 §1.5.6).
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Binary(Bytes);

/// The bytes do not make a valid field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidField {
    /// Above 65,535 bytes.
    #[error("longer than 65,535 bytes")]
    TooLong,
    /// Not UTF-8, or with U+0000 in it.
    #[error("not UTF-8, or with U+0000 in it")]
    NotUtf8,
}

impl Text {
    /// Takes over bytes that are a valid string.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] when they are not.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, InvalidField> {
        let bytes = bytes.into();
        if bytes.len() > FIELD_BYTES_MAX {
            return Err(InvalidField::TooLong);
        }
        Self::checked(bytes)
    }

    /// As [`Self::new`] for bytes whose length came from a two-byte field.
    pub(crate) fn checked(bytes: Bytes) -> Result<Self, InvalidField> {
        // Nearly every string on the wire is ASCII; this loop is vectorised.
        let mut high = 0u8;
        let mut nul = false;
        for &byte in bytes.iter() {
            high |= byte;
            nul |= byte == 0;
        }
        if nul || (high >= 0x80 && std::str::from_utf8(&bytes).is_err()) {
            return Err(InvalidField::NotUtf8);
        }
        Ok(Self(bytes))
    }

    /// A string known at compile time.
    ///
    /// # Panics
    ///
    /// When it is not a valid field.
    pub fn from_static(text: &'static str) -> Self {
        match Self::new(Bytes::from_static(text.as_bytes())) {
            Ok(text) => text,
            Err(why) => panic!("static text is {why}"),
        }
    }

    /// The string. Checks the bytes again, so prefer [`Self::as_bytes`] where bytes will do.
    #[expect(clippy::missing_panics_doc, reason = "cannot: the bytes never change")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked at construction")
    }

    /// The bytes, which are valid UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as a shared slice.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// A copy with bytes of its own, for keeping: a field from the wire holds on to the whole
    /// buffer that it was read from.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `+` or `#` is in it, which a topic name may not contain [MQTT-3.3.2-2].
    pub fn has_wildcard(&self) -> bool {
        let mut found = false;
        for &byte in self.0.iter() {
            found |= byte == b'+' || byte == b'#';
        }
        found
    }
}

impl Binary {
    /// Takes over at most 65,535 bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidField::TooLong`] when there are more.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, InvalidField> {
        let bytes = bytes.into();
        if bytes.len() > FIELD_BYTES_MAX {
            return Err(InvalidField::TooLong);
        }
        Ok(Self(bytes))
    }

    /// As [`Self::new`] for bytes whose length came from a two-byte field.
    pub(crate) fn checked(bytes: Bytes) -> Self {
        debug_assert!(bytes.len() <= FIELD_BYTES_MAX, "came from a two-byte length");
        Self(bytes)
    }

    /// A copy with bytes of its own, for keeping.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as a shared slice.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl TryFrom<&str> for Text {
    type Error = InvalidField;

    fn try_from(text: &str) -> Result<Self, InvalidField> {
        Self::new(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}
