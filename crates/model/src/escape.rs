//! The reversible escaping that every rendering of a subject uses.
//!
//! A byte that a protocol cannot carry inside a token is written as a mark: an introducer and two
//! uppercase hexadecimal digits. Text that already looks like a mark would then be ambiguous, so
//! it is *stuffed*: the code of the introducer's first character is inserted once more.
//!
//! ```text
//! mark  = intro *stuffing HH        HH = code of an escaped byte; never the stuffing itself
//!
//! raw   a/b     a%2Fb     a%252Fb     a%20b
//! text  a%2Fb   a%252Fb   a%25252Fb   a%20b      (a mark of an unescaped byte is plain text)
//! ```
//!
//! Encoding is total and injective. Decoding is its exact inverse on every text without a byte
//! that ought to have been escaped, so such a text decodes and encodes to itself.

use std::borrow::Cow;

use bytes::BytesMut;

/// One protocol's set of escaped bytes and the way to write them.
#[derive(Debug)]
pub(crate) struct Escape {
    /// What a mark begins with. Its characters are no hexadecimal digits.
    intro: &'static [u8],
    /// Two hexadecimal digits: the code of an unescaped character of the introducer.
    stuffing: &'static [u8; 2],
    /// The bytes that are written as marks.
    escapes: fn(u8) -> bool,
}

/// A mark found at the start of a text.
struct Mark {
    /// How often the stuffing occurs in it.
    stuffed: usize,
    /// The byte that its last two digits name.
    byte: u8,
    /// Its length in the text.
    len: usize,
}

impl Escape {
    /// The escaping with `intro`, stuffed with `stuffing`, of the bytes chosen by `escapes`.
    pub(crate) const fn new(
        intro: &'static [u8],
        stuffing: &'static [u8; 2],
        escapes: fn(u8) -> bool,
    ) -> Self {
        Self { intro, stuffing, escapes }
    }

    /// Appends the escaped form of `raw`.
    pub(crate) fn encode(&self, raw: &[u8], out: &mut BytesMut) {
        let mut rest = raw;
        while let Some((&byte, after)) = rest.split_first() {
            if (self.escapes)(byte) {
                self.push_mark(byte, out);
                rest = after;
            } else if let Some(mark) = self.mark(rest) {
                let (text, after) = rest.split_at(mark.len);
                self.push_stuffed(text, out);
                rest = after;
            } else {
                out.extend_from_slice(&[byte]);
                rest = after;
            }
        }
    }

    /// The raw form of `text`; borrowed when nothing in it is a mark.
    pub(crate) fn decode<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let first = self.intro.first().copied();
        if !text.iter().any(|&byte| Some(byte) == first) {
            return Cow::Borrowed(text);
        }
        let mut raw = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((&byte, after)) = rest.split_first() {
            if let Some(mark) = self.mark(rest) {
                let (text, after) = rest.split_at(mark.len);
                if mark.stuffed == 0 {
                    raw.push(mark.byte);
                } else {
                    self.push_unstuffed(text, &mut raw);
                }
                rest = after;
            } else {
                raw.push(byte);
                rest = after;
            }
        }
        Cow::Owned(raw)
    }

    /// Appends the escaped form of a token that is escaped only as a whole, if `raw` is one or
    /// looks like one: `plain` names the byte that stands for it.
    ///
    /// Returns whether it did; the caller encodes any other token itself.
    pub(crate) fn encode_whole(&self, raw: &[u8], plain: Option<u8>, out: &mut BytesMut) -> bool {
        if let Some(byte) = plain {
            self.push_mark(byte, out);
            true
        } else if self.whole(raw).is_some() {
            self.push_stuffed(raw, out);
            true
        } else {
            false
        }
    }

    /// Reads a token that is a mark as a whole: the byte it stands for, or the literal text with
    /// the stuffing removed. `None` if it is not a mark.
    pub(crate) fn decode_whole(&self, text: &[u8]) -> Option<Whole> {
        let mark = self.whole(text)?;
        Some(if mark.stuffed == 0 {
            Whole::Byte(mark.byte)
        } else {
            let mut raw = Vec::with_capacity(text.len());
            self.push_unstuffed(text, &mut raw);
            Whole::Text(raw)
        })
    }

    fn whole(&self, text: &[u8]) -> Option<Mark> {
        self.mark(text).filter(|mark| mark.len == text.len())
    }

    fn mark(&self, text: &[u8]) -> Option<Mark> {
        let mut digits = text.strip_prefix(self.intro)?;
        let mut stuffed = 0;
        while let Some(after) = digits.strip_prefix(self.stuffing.as_slice()) {
            digits = after;
            stuffed += 1;
        }
        let (&[high, low], after) = digits.split_first_chunk::<2>()?;
        let byte = nibble(high)? << 4 | nibble(low)?;
        (self.escapes)(byte).then(|| Mark { stuffed, byte, len: text.len() - after.len() })
    }

    fn push_mark(&self, byte: u8, out: &mut BytesMut) {
        out.extend_from_slice(self.intro);
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 0x0F)]);
    }

    /// Appends `mark` with the stuffing once more.
    fn push_stuffed(&self, mark: &[u8], out: &mut BytesMut) {
        let (intro, digits) = mark.split_at(self.intro.len());
        out.extend_from_slice(intro);
        out.extend_from_slice(self.stuffing);
        out.extend_from_slice(digits);
    }

    /// Appends `mark`, which is stuffed, with the stuffing once less.
    fn push_unstuffed(&self, mark: &[u8], raw: &mut Vec<u8>) {
        let (intro, digits) = mark.split_at(self.intro.len());
        raw.extend_from_slice(intro);
        raw.extend_from_slice(digits.strip_prefix(self.stuffing.as_slice()).unwrap_or(digits));
    }
}

/// What a token that is a mark as a whole stands for.
#[derive(Debug)]
pub(crate) enum Whole {
    /// The byte that the mark names.
    Byte(u8),
    /// A literal text that looks like a mark.
    Text(Vec<u8>),
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'A' + (nibble - 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLASH: Escape = Escape::new(b"%", b"25", |byte| byte == b'/');

    #[track_caller]
    fn check(raw: &str, text: &str) {
        let mut out = BytesMut::new();
        SLASH.encode(raw.as_bytes(), &mut out);
        assert_eq!(out, text.as_bytes());
        assert_eq!(SLASH.decode(text.as_bytes()), raw.as_bytes());
    }

    #[test]
    fn a_text_that_looks_escaped_is_stuffed_once_more() {
        check("a/b", "a%2Fb");
        check("a%2Fb", "a%252Fb");
        check("a%252Fb", "a%25252Fb");
    }

    #[test]
    fn a_text_that_only_resembles_a_mark_stays_as_it_is() {
        for text in ["%", "%%", "%2", "%2f", "%20", "%25", "%2525", "100%", "%252", "%25%20"] {
            check(text, text);
        }
    }

    #[test]
    fn marks_next_to_each_other_do_not_run_together() {
        check("%/", "%%2F");
        check("%25/", "%25%2F");
        check("/2F", "%2F2F");
        check("//", "%2F%2F");
    }
}
