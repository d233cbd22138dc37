//! What a refusal is called in Kafka: the code decides whether a client retries or gives up.

use kafka_codec::ErrorCode;
use protocol::{Refusal, Reply, StreamRef};

/// The code of a refusal to read, write or describe a stream.
///
/// Never `UNKNOWN_SERVER_ERROR`, which is fatal to many clients.
pub(crate) fn code(refusal: &Refusal, stream: &StreamRef) -> ErrorCode {
    match refusal {
        Refusal::NotFound | Refusal::InvalidNumber => unknown(stream),
        Refusal::Exists | Refusal::Overlap(_) => ErrorCode::TopicAlreadyExists,
        Refusal::InvalidName => ErrorCode::InvalidTopicException,
        Refusal::TooLarge(_) => ErrorCode::MessageTooLarge,
        Refusal::OutOfRange => ErrorCode::OffsetOutOfRange,
        Refusal::Corrupt => ErrorCode::CorruptMessage,
        Refusal::InvalidRecord(_) => ErrorCode::InvalidRecord,
        Refusal::UnsupportedFormat => ErrorCode::UnsupportedForMessageFormat,
        Refusal::OutOfOrder => ErrorCode::OutOfOrderSequenceNumber,
        Refusal::Fenced => ErrorCode::InvalidProducerEpoch,
        Refusal::NoRoom | Refusal::StorageUnavailable => ErrorCode::KafkaStorageError,
        Refusal::NotAllowed => ErrorCode::TopicAuthorizationFailed,
        Refusal::DifferentQueue(_)
        | Refusal::DifferentSpace(_)
        | Refusal::Locked
        | Refusal::InUse
        | Refusal::NotEmpty
        | Refusal::Reserved
        | Refusal::Limit(_)
        | Refusal::Unmatched => ErrorCode::PolicyViolation,
    }
}

/// The code of a refusal to make a stream.
pub(crate) fn declare_code(refusal: &Refusal, stream: &StreamRef) -> ErrorCode {
    if *refusal == Refusal::InvalidNumber {
        ErrorCode::InvalidPartitions
    } else {
        code(refusal, stream)
    }
}

/// The code of a refusal to change what a stream keeps.
pub(crate) fn config_code(refusal: &Refusal, stream: &StreamRef) -> ErrorCode {
    if *refusal == Refusal::InvalidNumber {
        ErrorCode::InvalidConfig
    } else {
        code(refusal, stream)
    }
}

/// More than the code says, where there is more.
pub(crate) fn message(refusal: &Refusal) -> Option<String> {
    match refusal {
        Refusal::InvalidRecord(what) => Some((*what).to_owned()),
        Refusal::Limit(what) => Some(format!("the limit {what} is reached")),
        Refusal::Overlap(other) => {
            Some(format!("the topic {} holds this subject", String::from_utf8_lossy(other)))
        }
        Refusal::TooLarge(bytes) => Some(format!("larger than {bytes} bytes")),
        Refusal::NoRoom => Some("no room is left for now".to_owned()),
        Refusal::NotFound
        | Refusal::Exists
        | Refusal::DifferentQueue(_)
        | Refusal::DifferentSpace(_)
        | Refusal::InvalidName
        | Refusal::Locked
        | Refusal::InUse
        | Refusal::NotEmpty
        | Refusal::Reserved
        | Refusal::OutOfRange
        | Refusal::Corrupt
        | Refusal::UnsupportedFormat
        | Refusal::OutOfOrder
        | Refusal::Fenced
        | Refusal::InvalidNumber
        | Refusal::StorageUnavailable
        | Refusal::NotAllowed
        | Refusal::Unmatched => None,
    }
}

/// There is no such stream, by name or by id.
pub(crate) fn unknown(stream: &StreamRef) -> ErrorCode {
    match stream {
        StreamRef::Name(_) => ErrorCode::UnknownTopicOrPartition,
        StreamRef::Id(_) => ErrorCode::UnknownTopicId,
    }
}

/// The refusal in a reply that is not what was asked for. Any other reply is a mistake of the
/// broker; the client is told something that it retries.
pub(crate) fn of(reply: Reply) -> Refusal {
    if let Reply::Refused(refusal) = reply {
        refusal
    } else {
        debug_assert!(false, "the wrong reply: {reply:?}");
        Refusal::StorageUnavailable
    }
}
