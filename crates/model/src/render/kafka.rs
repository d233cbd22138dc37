//! Kafka topic names: tokens separated by dots, in the alphabet `A-Z a-z 0-9 . _ -`.
//!
//! Everything else inside a token is escaped byte by byte as `_xHH`. Empty tokens need nothing,
//! except in the names that Kafka forbids: for the empty name, `.` and `..` an ending `_x00` is
//! added. A name whose escapes give something else than non-NUL UTF-8 names no subject.

use bytes::{Bytes, BytesMut};

use super::{Unrenderable, extend_replaced, finish, read_dotted, write_dotted};
use crate::escape::Escape;
use crate::subject::{CANONICAL, Invalid, Subject};

/// The most bytes of a topic name.
pub const TOPIC_BYTES_MAX: usize = 249;

/// What is added to a name that would be empty, `.` or `..`.
const ENDING: &[u8] = b"_x00";

const INSIDE: Escape = Escape::new(b"_x", b"5F", |byte| !is_in_alphabet(byte));

fn is_in_alphabet(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn is_forbidden(name: &[u8]) -> bool {
    matches!(name, b"" | b"." | b"..")
}

/// Reads a topic name.
///
/// # Errors
///
/// [`Invalid`] if Kafka does not allow the name, or if it names no subject.
pub fn parse(name: &[u8]) -> Result<Subject, Invalid> {
    if name.len() > TOPIC_BYTES_MAX {
        return Err(Invalid::TooLong(TOPIC_BYTES_MAX));
    }
    if is_forbidden(name) {
        return Err(Invalid::Empty);
    }
    if let Some(&byte) = name.iter().find(|&&byte| byte != b'.' && !is_in_alphabet(byte)) {
        return Err(Invalid::Byte(byte));
    }
    let escaped = name.windows(2).any(|pair| pair == b"_x");
    if escaped && !name.strip_suffix(ENDING).is_some_and(is_forbidden) {
        return read_dotted(name, read_token);
    }
    let tokens = if escaped { name.strip_suffix(ENDING).unwrap_or(name) } else { name };
    let mut canonical = BytesMut::with_capacity(tokens.len());
    extend_replaced(&mut canonical, tokens, b'.', b'/');
    finish(canonical)
}

/// Appends the topic name; nothing is written on an error.
///
/// # Errors
///
/// [`Unrenderable::TooLong`] beyond [`TOPIC_BYTES_MAX`]: such a subject has no Kafka name.
pub fn write(subject: &Subject, out: &mut BytesMut) -> Result<(), Unrenderable> {
    let canonical = subject.as_bytes();
    let start = out.len();
    let plain = canonical.iter().all(|&byte| byte == b'/' || is_in_alphabet(byte))
        && !canonical.windows(2).any(|pair| pair == b"_x");
    if plain {
        extend_replaced(out, canonical, b'/', b'.');
    } else {
        write_dotted(subject, out, write_token);
    }
    if out.get(start..).is_some_and(is_forbidden) {
        out.extend_from_slice(ENDING);
    }
    if out.len() - start > TOPIC_BYTES_MAX {
        out.truncate(start);
        return Err(Unrenderable::TooLong(TOPIC_BYTES_MAX));
    }
    Ok(())
}

/// The topic name.
///
/// # Errors
///
/// As [`write()`].
pub fn to_bytes(subject: &Subject) -> Result<Bytes, Unrenderable> {
    let mut out = BytesMut::with_capacity(subject.as_bytes().len());
    write(subject, &mut out)?;
    Ok(out.freeze())
}

fn read_token(text: &[u8], canonical: &mut BytesMut) -> Result<(), Invalid> {
    let raw = INSIDE.decode(text);
    let raw = std::str::from_utf8(&raw).map_err(|_| Invalid::NotUtf8)?;
    if raw.contains('\0') {
        return Err(Invalid::NotCanonical);
    }
    CANONICAL.encode(raw.as_bytes(), canonical);
    Ok(())
}

fn write_token(token: &[u8], out: &mut BytesMut) {
    INSIDE.encode(&CANONICAL.decode(token), out);
}
