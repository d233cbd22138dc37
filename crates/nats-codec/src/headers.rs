//! The header block of HPUB and HMSG.
//!
//! ```text
//! NATS/1.0[ status[ description]]\r\n
//! Key: Value\r\n            any number of times; keys keep their case and may repeat
//! \r\n
//! ```
//!
//! A block is carried as opaque bytes; it is parsed only where its fields are needed.

use bytes::{BufMut, Bytes, BytesMut};

/// The first line of a block without a status.
pub const VERSION: &[u8] = b"NATS/1.0";

/// The block is not of the form above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed header block")]
pub struct MalformedHeaders;

/// A field that cannot stand in a block: its key is empty or holds a colon, a blank or a line
/// end, or its value holds a line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field cannot be expressed in a header block")]
pub struct Inexpressible;

/// A parsed header block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// The status of the first line, such as 503 for "no responders".
    pub status: Option<u16>,
    /// The text after the status; empty when there is none.
    pub description: Bytes,
    /// The fields in their order, keys as sent, values without surrounding blanks.
    pub fields: Vec<(Bytes, Bytes)>,
}

impl Headers {
    /// Parses a whole block; keys and values are slices of it.
    ///
    /// # Errors
    ///
    /// [`MalformedHeaders`] without the version line, the blank line at the end or a colon in a
    /// field.
    pub fn parse(block: &Bytes) -> Result<Self, MalformedHeaders> {
        let mut lines = Lines::new(block);
        let first = lines.next().ok_or(MalformedHeaders)?;
        let rest = first.strip_prefix(VERSION).ok_or(MalformedHeaders)?;
        let mut headers = Self::default();
        let rest = match rest.first() {
            None => rest,
            Some(b' ' | b'\t') => rest.trim_ascii(),
            Some(_) => return Err(MalformedHeaders),
        };
        if !rest.is_empty() {
            let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
            let (status, description) = rest.split_at(end);
            headers.status = Some(parse_status(status).ok_or(MalformedHeaders)?);
            headers.description = block.slice_ref(description.trim_ascii());
        }
        loop {
            let line = lines.next().ok_or(MalformedHeaders)?;
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|byte| *byte == b':').ok_or(MalformedHeaders)?;
            let (key, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default();
            if key.is_empty() || key.iter().any(u8::is_ascii_whitespace) {
                return Err(MalformedHeaders);
            }
            headers.fields.push((block.slice_ref(key), block.slice_ref(value.trim_ascii())));
        }
        if lines.rest.is_empty() { Ok(headers) } else { Err(MalformedHeaders) }
    }

    /// The first value of `key`, looked up with its case, as nats-server does.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Bytes> {
        self.fields.iter().find(|(name, _)| &name[..] == key.as_bytes()).map(|(_, value)| value)
    }
}

fn parse_status(digits: &[u8]) -> Option<u16> {
    if digits.len() != 3 {
        return None;
    }
    crate::frame::number(digits).and_then(|status| u16::try_from(status).ok())
}

/// Lines that end with LF or CRLF; what is not ended is no line.
#[derive(Debug)]
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    fn new(block: &'a [u8]) -> Self {
        Self { rest: block }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let newline = self.rest.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = self.rest.split_at_checked(newline + 1)?;
        self.rest = rest;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// Builds one header block.
#[derive(Debug)]
pub struct HeaderBuilder {
    block: BytesMut,
    fields: usize,
}

impl Default for HeaderBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl HeaderBuilder {
    /// A block without a status.
    #[must_use]
    pub fn new() -> Self {
        let mut block = BytesMut::with_capacity(128);
        block.put_slice(b"NATS/1.0\r\n");
        Self { block, fields: 0 }
    }

    /// A block with a status from 100 to 999 and, if not empty, its description.
    #[must_use]
    pub fn with_status(status: u16, description: &str) -> Self {
        let mut block = BytesMut::with_capacity(128);
        block.put_slice(VERSION);
        block.put_slice(format!(" {:03}", status.clamp(100, 999)).as_bytes());
        if !description.is_empty() {
            block.put_u8(b' ');
            block.extend(description.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')));
        }
        block.put_slice(b"\r\n");
        Self { block, fields: 1 }
    }

    /// Adds a field; a repeated key stays repeated. Blanks around the value are lost on parsing.
    ///
    /// # Errors
    ///
    /// [`Inexpressible`], and the block is as before.
    pub fn field(&mut self, key: &[u8], value: &[u8]) -> Result<(), Inexpressible> {
        let bad_key = |byte: &u8| *byte == b':' || byte.is_ascii_whitespace() || *byte == 0;
        if key.is_empty() || key.iter().any(bad_key) {
            return Err(Inexpressible);
        }
        if value.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(Inexpressible);
        }
        self.block.reserve(key.len() + value.len() + 4);
        self.block.put_slice(key);
        self.block.put_slice(b": ");
        self.block.put_slice(value);
        self.block.put_slice(b"\r\n");
        self.fields += 1;
        Ok(())
    }

    /// Whether the block says nothing: no status and no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields == 0
    }

    /// Ends the block with its blank line.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        self.block.put_slice(b"\r\n");
        self.block.freeze()
    }
}

/// The block that answers a request which nobody serves (Nats-Subject since nats-server 2.12).
///
/// Its length is 32 bytes plus that of the subject.
#[must_use]
pub fn no_responders(subject: &[u8]) -> Bytes {
    let mut block = BytesMut::with_capacity(32 + subject.len());
    block.put_slice(b"NATS/1.0 503\r\nNats-Subject: ");
    block.put_slice(subject);
    block.put_slice(b"\r\n\r\n");
    block.freeze()
}
