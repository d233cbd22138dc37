//! The address that a message is published to: a list of tokens.
//!
//! A token is any UTF-8 text without NUL. A subject is kept in its canonical form, which is its
//! MQTT rendering: tokens separated by `/`, and `/`, `+` and `#` inside a token escaped (see
//! [`render`](crate::render)). So an MQTT topic name becomes a subject by a validation, without
//! a copy, and two subjects are equal exactly if their bytes are.
//!
//! ```text
//! tokens     factory | line1 | temp      a/b | c      (none)
//! canonical  factory/line1/temp          a%2Fb/c      (no bytes)
//! ```
//!
//! The list of no tokens is a subject: AMQP's empty routing key. The list of one empty token is
//! not; no protocol can tell the two apart.

use std::borrow::Cow;
use std::fmt;

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use crate::escape::Escape;

/// The most bytes of a subject's canonical form, as of an MQTT topic name (MQTT 5.0 §1.5.4).
pub const SUBJECT_BYTES_MAX: usize = 65_535;

/// The most tokens of a subject. It bounds the depth of every index over subjects.
pub const SUBJECT_LEVELS_MAX: usize = 128;

/// The first token of reply addresses, which are live only and seen by no other protocol's
/// wildcards.
pub const INBOX: &[u8] = b"_INBOX";

/// The escaping of the canonical form.
pub(crate) const CANONICAL: Escape =
    Escape::new(b"%", b"25", |byte| matches!(byte, b'/' | b'+' | b'#'));

/// Why a text is no subject or filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    /// It has no bytes where the protocol asks for some.
    #[error("empty")]
    Empty,
    /// It is not UTF-8; subjects are text in every protocol.
    #[error("not UTF-8")]
    NotUtf8,
    /// It contains NUL, which MQTT cannot carry [MQTT-1.5.4-2].
    #[error("contains NUL")]
    Nul,
    /// It is longer than [`SUBJECT_BYTES_MAX`] or than the protocol's own limit.
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// It has more than [`SUBJECT_LEVELS_MAX`] tokens.
    #[error("more than {SUBJECT_LEVELS_MAX} levels")]
    TooManyLevels,
    /// A wildcard stands where none may.
    #[error("misplaced wildcard")]
    Wildcard,
    /// A token is empty where the protocol has no empty tokens.
    #[error("empty token")]
    EmptyToken,
    /// It contains a byte that the protocol does not allow.
    #[error("contains the byte 0x{0:02X}")]
    Byte(u8),
    /// It is not what this server writes for any subject.
    #[error("not a canonical name")]
    NotCanonical,
}

/// An address in a space: a list of tokens in canonical form. Clones share the bytes.
///
/// Equality, order and hash are those of the canonical bytes.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Bytes);

impl Subject {
    /// The subject without tokens: AMQP's empty routing key.
    pub const NONE: Self = Self(Bytes::from_static(b""));

    /// Takes a canonical form as [`Subject::as_bytes`] gave it, without a copy.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it is not UTF-8, contains NUL, a bare `+` or `#`, or exceeds the limits.
    pub fn from_canonical(bytes: Bytes) -> Result<Self, Invalid> {
        check_text(&bytes)?;
        if bytes.iter().any(|byte| matches!(byte, b'+' | b'#')) {
            return Err(Invalid::Wildcard);
        }
        Ok(Self(bytes))
    }

    /// The subject of these tokens, each the plain text with nothing escaped.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if a token contains NUL, if the only token is empty, or beyond the limits.
    pub fn from_tokens<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Result<Self, Invalid> {
        let mut out = BytesMut::new();
        let mut count = 0_usize;
        for token in tokens {
            if count > 0 {
                out.extend_from_slice(b"/");
            }
            CANONICAL.encode(token.as_bytes(), &mut out);
            count += 1;
            check_length(&out)?;
        }
        if count == 1 && out.is_empty() {
            return Err(Invalid::EmptyToken);
        }
        Self::from_canonical(out.freeze())
    }

    /// A subject from bytes that the caller has made canonical: UTF-8 without NUL, `+` and `#`.
    pub(crate) fn from_checked(bytes: Bytes) -> Self {
        debug_assert_eq!(Self::from_canonical(bytes.clone()), Ok(Self(bytes.clone())));
        Self(bytes)
    }

    /// A place in the order of subjects, which need not be a subject itself.
    pub(crate) fn from_place(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The canonical form: what is stored, hashed and compared.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The canonical form as shared bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// A copy with bytes of its own, for keeping: a subject from the wire holds on to the whole
    /// buffer that it was read from.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The tokens in canonical form, still escaped: two tokens are equal if these bytes are.
    #[must_use]
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens::of(&self.0)
    }

    /// The tokens as plain text with nothing escaped.
    pub fn plain_tokens(&self) -> impl Iterator<Item = Cow<'_, [u8]>> {
        self.tokens().map(|token| CANONICAL.decode(token))
    }

    /// Whether it has no tokens.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether its first token begins with `$`: it lives in the private space of its protocol.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.0.first() == Some(&b'$')
    }

    /// Whether its first token is [`INBOX`]: a reply address, live only.
    #[must_use]
    pub fn is_inbox(&self) -> bool {
        match self.0.strip_prefix(INBOX) {
            Some(rest) => matches!(rest.first(), None | Some(b'/')),
            None => false,
        }
    }
}

/// Writes the canonical form.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({:?})", String::from_utf8_lossy(&self.0))
    }
}

/// The tokens of a subject, canonical and in order.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    /// What is still to be split; `None` after the last token.
    rest: Option<&'a [u8]>,
}

impl<'a> Tokens<'a> {
    /// The tokens of a canonical text.
    pub(crate) fn of(text: &'a [u8]) -> Self {
        Self { rest: (!text.is_empty()).then_some(text) }
    }

    /// What has not been split yet; `None` after the last token.
    pub(crate) fn rest(&self) -> Option<&'a [u8]> {
        self.rest
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.rest?;
        match text.iter().position(|&byte| byte == b'/') {
            Some(at) => {
                let (token, rest) = text.split_at(at);
                self.rest = rest.get(1..);
                Some(token)
            }
            None => {
                self.rest = None;
                Some(text)
            }
        }
    }
}

impl std::iter::FusedIterator for Tokens<'_> {}

/// Checks what subjects and filters have in common: length, UTF-8, NUL and levels.
pub(crate) fn check_text(text: &[u8]) -> Result<(), Invalid> {
    check_length(text)?;
    check_utf8(text)?;
    check_levels(text)
}

/// Checks that `text` is UTF-8 without NUL.
pub(crate) fn check_utf8(text: &[u8]) -> Result<(), Invalid> {
    std::str::from_utf8(text).map_err(|_| Invalid::NotUtf8)?;
    if text.contains(&0) { Err(Invalid::Nul) } else { Ok(()) }
}

/// Checks the length of a canonical form.
pub(crate) fn check_length(text: &[u8]) -> Result<(), Invalid> {
    if text.len() > SUBJECT_BYTES_MAX { Err(Invalid::TooLong(SUBJECT_BYTES_MAX)) } else { Ok(()) }
}

/// Checks the number of levels of a canonical form.
pub(crate) fn check_levels(text: &[u8]) -> Result<(), Invalid> {
    let separators = text.iter().filter(|&&byte| byte == b'/').count();
    if separators < SUBJECT_LEVELS_MAX { Ok(()) } else { Err(Invalid::TooManyLevels) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(text: &'static str) -> Subject {
        Subject::from_canonical(Bytes::from_static(text.as_bytes())).unwrap()
    }

    #[test]
    fn tokens_are_what_stands_between_the_slashes() {
        assert_eq!(subject("a/b").tokens().collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(subject("/").tokens().collect::<Vec<_>>(), [b"", b""]);
        assert_eq!(subject("").tokens().count(), 0);
    }

    #[test]
    fn plain_tokens_are_unescaped() {
        let made = Subject::from_tokens(["a/b", "+", "50%2F"]).unwrap();
        assert_eq!(made.as_bytes(), b"a%2Fb/%2B/50%252F");
        let plain: Vec<_> = made.plain_tokens().collect();
        assert_eq!(plain, [&b"a/b"[..], b"+", b"50%2F"]);
    }

    #[test]
    fn private_and_inbox_subjects_are_told_by_their_first_token() {
        assert!(subject("$SYS/x").is_private());
        assert!(!subject("a/$SYS").is_private());
        assert!(subject("_INBOX").is_inbox());
        assert!(subject("_INBOX/a/b").is_inbox());
        assert!(!subject("_INBOXES/a").is_inbox());
        assert!(!Subject::NONE.is_private());
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        let refused = |bytes: &[u8]| Subject::from_canonical(Bytes::copy_from_slice(bytes));
        assert_eq!(refused(b"a/+"), Err(Invalid::Wildcard));
        assert_eq!(refused(b"a\0"), Err(Invalid::Nul));
        assert_eq!(refused(b"\xff"), Err(Invalid::NotUtf8));
        assert_eq!(refused(&[b'a'; SUBJECT_BYTES_MAX + 1]), Err(Invalid::TooLong(65_535)));
        assert_eq!(refused(&[b'/'; SUBJECT_LEVELS_MAX]), Err(Invalid::TooManyLevels));
        assert!(refused(&[b'/'; SUBJECT_LEVELS_MAX - 1]).is_ok());
        assert_eq!(Subject::from_tokens([""]), Err(Invalid::EmptyToken));
    }
}
