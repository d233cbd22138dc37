//! PUB and HPUB to a publish of the vocabulary.

use bytes::Bytes;
use model::limits::Limits;
use model::record::{Address, Record, Space};
use model::render;
use model::subject::Subject;
use protocol::Now;

use crate::field_map;

/// Reads subjects, and remembers the last one: most publishers stay with theirs.
#[derive(Debug, Default)]
pub(crate) struct SubjectReader {
    /// A subject whose canonical form differs from its name in the separators only.
    last: Subject,
}

impl SubjectReader {
    /// The subject of this name; `None` if it cannot be published to.
    pub(crate) fn read(&mut self, name: &[u8]) -> Option<Subject> {
        if is_name_of(name, self.last.as_bytes()) {
            return Some(self.last.clone());
        }
        let subject = render::nats::parse(name).ok()?;
        if is_name_of(name, subject.as_bytes()) {
            self.last = subject.clone();
        }
        Some(subject)
    }
}

/// Whether `canonical` is `name` with its dots as slashes, nothing being escaped in either.
fn is_name_of(name: &[u8], canonical: &[u8]) -> bool {
    let same = |(name, canonical): (&u8, &u8)| match name {
        b'.' => *canonical == b'/',
        b'/' | b'%' => false,
        other => other == canonical,
    };
    name.len() == canonical.len() && !name.is_empty() && name.iter().zip(canonical).all(same)
}

/// Which space a subject of a NATS client means.
pub(crate) fn space_of(subject: &Subject, private: &Space) -> Space {
    if subject.is_private() { private.clone() } else { Space::SHARED }
}

/// The address that a reply subject stands for.
pub(crate) fn reply_address(name: &[u8], private: &Space) -> Option<Address> {
    let subject = render::nats::parse(name).ok()?;
    Some(Address::Subject(space_of(&subject, private), subject))
}

/// The record of a published message.
pub(crate) fn record(
    headers: Option<&Bytes>,
    payload: Bytes,
    reply: Option<Address>,
    limits: &Limits,
    now: Now,
) -> Record {
    let mut record =
        Record { value: Some(payload), timestamp_ms: now.unix_ms, ..Record::default() };
    if let Some(block) = headers.filter(|block| !block.is_empty()) {
        field_map::read(&mut record, block, limits.headers, now.unix_ms);
    }
    if let Some(reply) = reply {
        record.properties_mut().reply_to = Some(reply);
    }
    record
}

#[cfg(test)]
mod tests {
    use super::{SubjectReader, render};

    #[test]
    fn a_remembered_subject_is_the_one_that_reading_would_give() {
        let names =
            ["a.b", "a.b", "a/b", "a.b", "a%2Fb", "a%2Fb", "%00", "*", "a..b", "a.b.", "", "x"];
        let mut reader = SubjectReader::default();
        for name in names {
            let fresh = render::nats::parse(name.as_bytes()).ok();
            assert_eq!(reader.read(name.as_bytes()), fresh, "{name:?}");
        }
    }
}
