//! AMQP 0-9-1 routing keys: words separated by dots, which may be empty.
//!
//! `*` and `#` are plain words in a routing key; only a binding key gives them a meaning.

use bytes::{Bytes, BytesMut};

use super::{Unrenderable, extend_replaced, finish, read_dotted, write_dotted};
use crate::escape::Escape;
use crate::subject::{CANONICAL, Invalid, Subject, check_utf8};

/// The most bytes of a routing key, a short string (AMQP 0-9-1 §4.2.5.3).
pub const ROUTING_KEY_BYTES_MAX: usize = 255;

const INSIDE: Escape = Escape::new(b"%", b"25", |byte| byte == b'.');

/// Reads a routing key; the empty one is the subject of no tokens.
///
/// # Errors
///
/// [`Invalid`] if it is not UTF-8, contains NUL or exceeds the limits.
pub fn parse(key: &[u8]) -> Result<Subject, Invalid> {
    check_utf8(key)?;
    if key.iter().any(|byte| matches!(byte, b'%' | b'/' | b'+' | b'#')) {
        return read_dotted(key, read_token);
    }
    let mut canonical = BytesMut::with_capacity(key.len());
    extend_replaced(&mut canonical, key, b'.', b'/');
    finish(canonical)
}

/// Appends the routing key; nothing is written on an error.
///
/// # Errors
///
/// [`Unrenderable::TooLong`] beyond [`ROUTING_KEY_BYTES_MAX`].
pub fn write(subject: &Subject, out: &mut BytesMut) -> Result<(), Unrenderable> {
    let canonical = subject.as_bytes();
    let start = out.len();
    if canonical.iter().any(|byte| matches!(byte, b'%' | b'.')) {
        write_dotted(subject, out, write_token);
    } else {
        extend_replaced(out, canonical, b'/', b'.');
    }
    if out.len() - start > ROUTING_KEY_BYTES_MAX {
        out.truncate(start);
        return Err(Unrenderable::TooLong(ROUTING_KEY_BYTES_MAX));
    }
    Ok(())
}

/// The routing key.
///
/// # Errors
///
/// As [`write()`].
pub fn to_bytes(subject: &Subject) -> Result<Bytes, Unrenderable> {
    let mut out = BytesMut::with_capacity(subject.as_bytes().len());
    write(subject, &mut out)?;
    Ok(out.freeze())
}

/// Reads one word of a key that is UTF-8 without NUL, and appends its canonical form.
pub(crate) fn read_token(text: &[u8], canonical: &mut BytesMut) -> Result<(), Invalid> {
    CANONICAL.encode(&INSIDE.decode(text), canonical);
    Ok(())
}

/// Appends one word, given in canonical form.
pub(crate) fn write_token(token: &[u8], out: &mut BytesMut) {
    INSIDE.encode(&CANONICAL.decode(token), out);
}
