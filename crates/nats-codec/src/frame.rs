//! Cuts control lines and payloads out of the read buffer.
//!
//! A line is scanned once: how far the search for its end came is remembered between calls. Tokens
//! leave the buffer as slices of it, without a copy.

use bytes::{Buf, Bytes, BytesMut};

use crate::{Limits, Malformed};

/// Verbs are at most this long; no limit is told to the peer for them.
const VERB_MAX: usize = 8;

/// Most arguments that any operation takes: HMSG with a reply.
const TOKENS_MAX: usize = 5;

/// Where the search for the end of the current line came to.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    scanned: usize,
}

/// A complete line at the front of the buffer: `[0, end)` is its text, `[end, next)` its ending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// End of the text, without CR and LF.
    pub(crate) end: usize,
    /// Start of what follows the line.
    pub(crate) next: usize,
}

impl Lines {
    /// Finds the end of the line at the front of `buffer`; `None` when it is not there yet.
    pub(crate) fn find(
        &mut self,
        buffer: &[u8],
        limits: &Limits,
    ) -> Result<Option<Line>, Malformed> {
        let fresh = buffer.get(self.scanned..).unwrap_or_default();
        let Some(offset) = find_newline(fresh) else {
            self.scanned = buffer.len();
            if buffer.len() > limits.control_line_max.saturating_add(VERB_MAX) {
                return Err(Malformed::ControlLineTooLong);
            }
            return Ok(None);
        };
        let newline = self.scanned + offset;
        self.scanned = 0;
        let end = match newline.checked_sub(1).and_then(|last| buffer.get(last)) {
            Some(b'\r') => newline - 1,
            Some(_) | None => newline,
        };
        Ok(Some(Line { end, next: newline + 1 }))
    }
}

/// Splits `line` into its verb and where its arguments start.
pub(crate) fn split_verb(line: &[u8]) -> (&[u8], usize) {
    let verb_end = line.iter().position(|byte| is_blank(*byte)).unwrap_or(line.len());
    let (verb, rest) = line.split_at(verb_end);
    let blanks = rest.iter().position(|byte| !is_blank(*byte)).unwrap_or(rest.len());
    (verb, verb_end + blanks)
}

/// Whether an unfinished line may still become one that starts with one of `verbs`.
///
/// Lets a server refuse another protocol's greeting at its first byte.
pub(crate) fn may_start(line: &[u8], verbs: &[&str]) -> bool {
    verbs.iter().any(|verb| {
        let verb = verb.as_bytes();
        let length = verb.len().min(line.len());
        match (line.get(..length), verb.get(..length)) {
            (Some(have), Some(want)) => have.eq_ignore_ascii_case(want),
            (_, _) => false,
        }
    })
}

/// The arguments of one line, as positions in it.
#[derive(Debug)]
pub(crate) struct Tokens {
    spans: [(usize, usize); TOKENS_MAX],
    count: usize,
}

impl Tokens {
    /// Splits `line` from `start` on at blanks; `Err` when there are more than any verb takes.
    pub(crate) fn split(line: &[u8], start: usize) -> Result<Self, Malformed> {
        let mut tokens = Self { spans: [(0, 0); TOKENS_MAX], count: 0 };
        let mut at = start;
        while let Some(rest) = line.get(at..).filter(|rest| !rest.is_empty()) {
            let length = find_blank(rest).unwrap_or(rest.len());
            if length > 0 {
                tokens.push(at, at + length)?;
            }
            at += length + 1;
        }
        Ok(tokens)
    }

    fn push(&mut self, from: usize, to: usize) -> Result<(), Malformed> {
        let slot = self.spans.get_mut(self.count).ok_or(Malformed::BadArguments)?;
        *slot = (from, to);
        self.count += 1;
        Ok(())
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The bytes of argument `index` in `line`; empty when there is none.
    pub(crate) fn get<'a>(&self, line: &'a [u8], index: usize) -> &'a [u8] {
        match self.spans.get(index) {
            Some(&(from, to)) => line.get(from..to).unwrap_or_default(),
            None => &[],
        }
    }

    /// Starts to take arguments out of the buffer that holds the line.
    pub(crate) fn take<'a>(&'a self, buffer: &'a mut BytesMut) -> Taker<'a> {
        Taker { tokens: self, buffer, consumed: 0, index: 0 }
    }
}

/// Takes the arguments of a line out of the buffer, in order and without a copy.
#[derive(Debug)]
pub(crate) struct Taker<'a> {
    tokens: &'a Tokens,
    buffer: &'a mut BytesMut,
    consumed: usize,
    index: usize,
}

impl Taker<'_> {
    /// The next argument; empty when all are taken.
    pub(crate) fn token(&mut self) -> Bytes {
        let Some(&(from, to)) = self.tokens.spans.get(self.index) else { return Bytes::new() };
        self.index += 1;
        self.buffer.advance(from.saturating_sub(self.consumed));
        self.consumed = to;
        self.buffer.split_to(to - from).freeze()
    }

    /// Drops what is left of the line.
    pub(crate) fn finish(self, line: Line) {
        self.buffer.advance(line.next.saturating_sub(self.consumed));
    }
}

/// Reads a decimal number; `None` for anything else, and for more than 18 digits.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0'))
    })
}

/// Sizes of a message that its control line announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Length of the header block; `None` without one.
    pub(crate) headers: Option<usize>,
    /// Length of header block and payload.
    pub(crate) total: usize,
}

impl Sizes {
    /// Reads `n` or `hdrlen total` and holds them to the limit, before anything is buffered.
    pub(crate) fn parse(
        headers: Option<&[u8]>,
        total: &[u8],
        limits: &Limits,
    ) -> Result<Self, Malformed> {
        let size = |digits| {
            number(digits).and_then(|n| usize::try_from(n).ok()).ok_or(Malformed::BadArguments)
        };
        let headers = headers.map(size).transpose()?;
        let total = size(total)?;
        if headers.is_some_and(|headers| headers > total) {
            return Err(Malformed::BadArguments);
        }
        if total > limits.payload_max {
            return Err(Malformed::PayloadTooLarge);
        }
        Ok(Self { headers, total })
    }

    /// Takes a whole message, control line included, in one piece; `None` if it is not all there.
    ///
    /// The common case: one cut of the buffer instead of one for each part.
    pub(crate) fn take_whole(
        self,
        line: Line,
        buffer: &mut BytesMut,
    ) -> Result<Option<Whole>, Malformed> {
        let end = line.next + self.total;
        match buffer.get(end..end + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Err(Malformed::UnterminatedPayload),
            None => return Ok(None),
        }
        let frame = buffer.split_to(end + 2).freeze();
        Ok(Some(Whole { frame, body: line.next, sizes: self }))
    }

    /// Takes header block and payload from the buffer; `None` until all of it is there.
    pub(crate) fn take(
        self,
        buffer: &mut BytesMut,
    ) -> Result<Option<(Option<Bytes>, Bytes)>, Malformed> {
        match buffer.get(self.total..self.total + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Err(Malformed::UnterminatedPayload),
            None => {
                let wrong = buffer.get(self.total).is_some_and(|byte| *byte != b'\r');
                return if wrong { Err(Malformed::UnterminatedPayload) } else { Ok(None) };
            }
        }
        let headers = self.headers.map(|length| take(buffer, length));
        let payload = take(buffer, self.total - self.headers.unwrap_or(0));
        buffer.advance(2);
        Ok(Some((headers, payload)))
    }
}

/// A whole message: its control line, header block, payload and the CRLF behind it.
#[derive(Debug)]
pub(crate) struct Whole {
    frame: Bytes,
    body: usize,
    sizes: Sizes,
}

impl Whole {
    /// Argument `index` of the control line; empty when there is none.
    pub(crate) fn token(&self, tokens: &Tokens, index: usize) -> Bytes {
        match tokens.spans.get(index) {
            Some(&(from, to)) if to <= self.frame.len() => self.frame.slice(from..to),
            Some(_) | None => Bytes::new(),
        }
    }

    /// Header block and payload.
    pub(crate) fn into_body(mut self) -> (Option<Bytes>, Bytes) {
        let payload = self.body + self.sizes.headers.unwrap_or(0);
        let headers = self.sizes.headers.map(|_| self.frame.slice(self.body..payload));
        self.frame.truncate(self.body + self.sizes.total);
        self.frame.advance(payload);
        (headers, self.frame)
    }
}

fn take(buffer: &mut BytesMut, length: usize) -> Bytes {
    if length == 0 { Bytes::new() } else { buffer.split_to(length).freeze() }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The highest bit of each byte of `word` that equals `byte`; above the first such byte there may
/// be wrong ones, because a borrow runs on.
fn equal_bytes(word: u64, byte: u8) -> u64 {
    let difference = word ^ (LOW * u64::from(byte));
    difference.wrapping_sub(LOW) & !difference & HIGH
}

/// Position of the first byte for which `marks` sets the highest bit, eight bytes at a time.
fn find(bytes: &[u8], marks: impl Fn(u64) -> u64, is: impl Fn(u8) -> bool) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let marked = marks(u64::from_le_bytes(*word));
        if marked != 0 {
            return Some(index * 8 + marked.trailing_zeros() as usize / 8);
        }
    }
    let start = words.len() * 8;
    tail.iter().position(|byte| is(*byte)).map(|offset| start + offset)
}

/// Position of the first LF.
fn find_newline(bytes: &[u8]) -> Option<usize> {
    find(bytes, |word| equal_bytes(word, b'\n'), |byte| byte == b'\n')
}

/// Position of the first blank.
fn find_blank(bytes: &[u8]) -> Option<usize> {
    // Each mark is right up to the first one of its own byte, so the lowest of both is right.
    find(bytes, |word| equal_bytes(word, b' ') | equal_bytes(word, b'\t'), is_blank)
}

#[cfg(test)]
mod tests {
    use super::{find_blank, find_newline, number};

    #[test]
    fn a_newline_is_found_wherever_it_stands() {
        for length in 0..40 {
            for at in 0..length {
                for filler in [b'a', b'\r', 0x0b, 0x8a, 0xff, 0] {
                    let mut bytes = vec![filler; length];
                    bytes[at] = b'\n';
                    bytes[length - 1] = b'\n';
                    assert_eq!(find_newline(&bytes), Some(at), "{bytes:?}");
                }
            }
            assert_eq!(find_newline(&vec![0x0b; length]), None);
        }
    }

    #[test]
    fn a_blank_is_found_wherever_it_stands() {
        for length in 0..40 {
            for at in 0..length {
                for filler in [b'a', 0x08, 0x0a, 0x21, 0x1f, 0xa0, 0xff, 0] {
                    for blank in [b' ', b'\t'] {
                        let mut bytes = vec![filler; length];
                        bytes[at] = blank;
                        bytes[length - 1] = b' ';
                        assert_eq!(find_blank(&bytes), Some(at), "{bytes:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_are_digits_only_and_bounded() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"0042"), Some(42));
        for wrong in [&b""[..], b"-1", b"+1", b"1a", b"0x10", b"9999999999999999999", b" 1"] {
            assert_eq!(number(wrong), None);
        }
    }
}
