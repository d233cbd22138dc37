//! What a subject is called in each protocol: one reversible pair of functions per protocol.
//!
//! `parse` reads a name, `write` and `to_bytes` render it. Both ways are exact: a subject that
//! can be rendered is read back as itself, and a name that is read is rendered as itself. So a
//! subject has one name per protocol, and MQTT's `a.b` (one token) is not NATS's `a.b` (two).
//!
//! | | separator | escaped inside a token | as |
//! |---|---|---|---|
//! | [`mqtt`] | `/` | `/` `+` `#` | `%HH` |
//! | [`nats`] | `.` | `.` space tab CR LF; a token that is `*`, `>` or empty (`%00`) | `%HH` |
//! | [`amqp`] | `.` | `.` | `%HH` |
//! | [`kafka`] | `.` | all but `A-Z a-z 0-9 _ -` | `_xHH` |
//!
//! Text that already looks escaped is stuffed (`%2F` as `%252F`); all other text stays as it is.
//!
//! Every valid MQTT topic name, legal NATS subject and AMQP routing key is read, if it is UTF-8
//! without NUL and within the limits of subjects. The subject of no tokens is the empty routing
//! key, `%00` in NATS and `_x00` in Kafka, and has no name in MQTT.

use bytes::{BufMut, BytesMut};
use thiserror::Error;

use crate::subject::{Invalid, Subject, check_length, check_levels};

pub mod amqp;
pub mod kafka;
pub mod mqtt;
pub mod nats;

/// Subjects as names of queues.
pub use self::amqp as queue_name;
/// Subjects as names of streams and views.
pub use self::kafka as stream_name;
/// Subjects as keys and headers of stored records show them.
pub use self::nats as dotted;

/// Why a protocol has no name for a subject, or no text for a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unrenderable {
    /// The name would be longer than the protocol allows.
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// The subject has no tokens, which MQTT cannot say [MQTT-4.7.3-1].
    #[error("has no tokens")]
    NoTokens,
    /// The filter has a wildcard that the protocol does not know.
    #[error("has a wildcard that the protocol lacks")]
    Wildcard,
    /// A literal token of the filter would be read as a wildcard.
    #[error("has a token that would be read as a wildcard")]
    LooksWild,
}

/// Appends `text` with each `from` replaced by `to`.
fn extend_replaced(out: &mut BytesMut, text: &[u8], from: u8, to: u8) {
    let start = out.len();
    out.extend_from_slice(text);
    for byte in out.iter_mut().skip(start) {
        if *byte == from {
            *byte = to;
        }
    }
}

/// The subject of a canonical text that is UTF-8 without NUL, `+` and `#` by construction.
fn finish(canonical: BytesMut) -> Result<Subject, Invalid> {
    check_length(&canonical)?;
    check_levels(&canonical)?;
    Ok(Subject::from_checked(canonical.freeze()))
}

/// Reads a dotted name token by token into the canonical form.
fn read_dotted(
    name: &[u8],
    read_token: fn(&[u8], &mut BytesMut) -> Result<(), Invalid>,
) -> Result<Subject, Invalid> {
    let mut canonical = BytesMut::with_capacity(name.len() + 8);
    for (at, token) in name.split(|&byte| byte == b'.').enumerate() {
        if at > 0 {
            canonical.put_u8(b'/');
        }
        read_token(token, &mut canonical)?;
        check_length(&canonical)?;
    }
    finish(canonical)
}

/// Writes a dotted name token by token.
fn write_dotted(subject: &Subject, out: &mut BytesMut, write_token: fn(&[u8], &mut BytesMut)) {
    for (at, token) in subject.tokens().enumerate() {
        if at > 0 {
            out.put_u8(b'.');
        }
        write_token(token, out);
    }
}
