//! NATS subjects: tokens separated by dots, without spaces and without empty tokens.
//!
//! `*` and `>` are wildcards only as whole tokens, so only then are they escaped. `%00` is the
//! empty token, and alone it is the subject of no tokens. Rendering never fails; NATS's own limit
//! is that of a control line, which the session knows.

use bytes::{BufMut, Bytes, BytesMut};

use super::{extend_replaced, finish, read_dotted, write_dotted};
use crate::escape::{Escape, Whole};
use crate::subject::{CANONICAL, Invalid, Subject, check_utf8};

/// What is escaped anywhere in a token.
const INSIDE: Escape = Escape::new(b"%", b"25", |byte| byte == b'.' || is_blank(byte));

/// What is escaped as a whole token.
const WHOLE: Escape = Escape::new(b"%", b"25", |byte| matches!(byte, b'*' | b'>' | 0));

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Reads a literal subject.
///
/// # Errors
///
/// [`Invalid`] if a token is empty, a wildcard or contains white space, or if it is not UTF-8,
/// contains NUL or exceeds the limits.
pub fn parse(name: &[u8]) -> Result<Subject, Invalid> {
    if name.is_empty() {
        return Err(Invalid::Empty);
    }
    check_utf8(name)?;
    if is_plain(name) {
        let mut canonical = BytesMut::with_capacity(name.len());
        extend_replaced(&mut canonical, name, b'.', b'/');
        return finish(canonical);
    }
    read_dotted(name, read_token)
}

/// Appends the subject's name.
pub fn write(subject: &Subject, out: &mut BytesMut) {
    let canonical = subject.as_bytes();
    if needs_no_escape(canonical) {
        extend_replaced(out, canonical, b'/', b'.');
    } else if canonical.is_empty() {
        out.put_slice(b"%00");
    } else {
        write_dotted(subject, out, write_token);
    }
}

/// The subject's name.
#[must_use]
pub fn to_bytes(subject: &Subject) -> Bytes {
    let mut out = BytesMut::with_capacity(subject.as_bytes().len());
    write(subject, &mut out);
    out.freeze()
}

/// Whether a name means its own bytes, dots aside, both in NATS and in the canonical form.
fn is_plain(name: &[u8]) -> bool {
    let mut before = b'.';
    for &byte in name {
        match byte {
            b'.' if before == b'.' => return false,
            b'%' | b'*' | b'>' | b'/' | b'+' | b'#' | b' ' | b'\t' | b'\r' | b'\n' => return false,
            _ => before = byte,
        }
    }
    before != b'.'
}

/// Whether a canonical form becomes a name by replacing its slashes.
fn needs_no_escape(canonical: &[u8]) -> bool {
    let mut before = b'/';
    for &byte in canonical {
        match byte {
            b'/' if before == b'/' => return false,
            b'%' | b'*' | b'>' | b'.' | b' ' | b'\t' | b'\r' | b'\n' => return false,
            _ => before = byte,
        }
    }
    before != b'/'
}

/// Reads one literal token of a name that is UTF-8 without NUL, and appends its canonical form.
pub(crate) fn read_token(text: &[u8], canonical: &mut BytesMut) -> Result<(), Invalid> {
    match text {
        b"" => return Err(Invalid::EmptyToken),
        b"*" | b">" => return Err(Invalid::Wildcard),
        _ => {}
    }
    if let Some(&blank) = text.iter().find(|&&byte| is_blank(byte)) {
        return Err(Invalid::Byte(blank));
    }
    match WHOLE.decode_whole(text) {
        Some(Whole::Byte(0)) => {}
        Some(Whole::Byte(byte)) => CANONICAL.encode(&[byte], canonical),
        Some(Whole::Text(raw)) => CANONICAL.encode(&raw, canonical),
        None => CANONICAL.encode(&INSIDE.decode(text), canonical),
    }
    Ok(())
}

/// Appends one token, given in canonical form.
pub(crate) fn write_token(token: &[u8], out: &mut BytesMut) {
    let raw = CANONICAL.decode(token);
    let whole = match &*raw {
        b"" => Some(0),
        b"*" => Some(b'*'),
        b">" => Some(b'>'),
        _ => None,
    };
    if !WHOLE.encode_whole(&raw, whole, out) {
        INSIDE.encode(&raw, out);
    }
}
