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
    last: Option<(Bytes, Subject)>,
}

impl SubjectReader {
    /// The subject of this name; `None` if it cannot be published to.
    pub(crate) fn read(&mut self, name: &[u8]) -> Option<Subject> {
        if let Some((last, subject)) = &self.last
            && last == name
        {
            return Some(subject.clone());
        }
        let subject = render::nats::parse(name).ok()?;
        // Requests and answers go to a subject once: only a long-lived one is worth its copy.
        self.last = if subject.is_inbox() {
            None
        } else {
            Some((Bytes::copy_from_slice(name), subject.clone()))
        };
        Some(subject)
    }
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
