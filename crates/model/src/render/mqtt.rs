//! MQTT topic names (MQTT 5.0 §4.7): the canonical form itself.

use bytes::{Bytes, BytesMut};

use super::Unrenderable;
use crate::subject::{Invalid, Subject};

/// Reads a topic name, without a copy.
///
/// # Errors
///
/// [`Invalid`] if it is empty [MQTT-4.7.3-1], has a wildcard [MQTT-3.3.2-2], NUL, something that
/// is not UTF-8, or exceeds the limits.
pub fn parse(topic: &Bytes) -> Result<Subject, Invalid> {
    if topic.is_empty() {
        return Err(Invalid::Empty);
    }
    Subject::from_canonical(topic.clone())
}

/// Appends the topic name; nothing is written on an error.
///
/// # Errors
///
/// [`Unrenderable::NoTokens`].
pub fn write(subject: &Subject, out: &mut BytesMut) -> Result<(), Unrenderable> {
    if subject.is_none() {
        return Err(Unrenderable::NoTokens);
    }
    out.extend_from_slice(subject.as_bytes());
    Ok(())
}

/// The topic name, without a copy.
///
/// # Errors
///
/// As [`write()`].
pub fn to_bytes(subject: &Subject) -> Result<Bytes, Unrenderable> {
    if subject.is_none() { Err(Unrenderable::NoTokens) } else { Ok(subject.bytes().clone()) }
}
