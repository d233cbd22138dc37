//! Why the broker said no, in the few words that MQTT has for it.

use protocol::Refusal;

/// The kinds of refusal that MQTT tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The right is missing.
    Right,
    /// A limit is reached.
    Limit,
    /// Storage takes no writes.
    Storage,
    /// The name cannot be used.
    Name,
    /// Nobody was matched.
    Nobody,
    /// Something that no MQTT request should meet.
    Other,
}

impl Cause {
    pub(crate) const fn of(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::NotAllowed => Self::Right,
            Refusal::TooLarge(_) | Refusal::Limit(_) | Refusal::NoRoom => Self::Limit,
            Refusal::StorageUnavailable => Self::Storage,
            Refusal::InvalidName => Self::Name,
            Refusal::Unmatched => Self::Nobody,
            Refusal::NotFound
            | Refusal::Exists
            | Refusal::DifferentQueue(_)
            | Refusal::DifferentSpace(_)
            | Refusal::Overlap(_)
            | Refusal::Locked
            | Refusal::InUse
            | Refusal::NotEmpty
            | Refusal::Reserved
            | Refusal::OutOfRange
            | Refusal::Corrupt
            | Refusal::InvalidRecord(_)
            | Refusal::UnsupportedFormat
            | Refusal::OutOfOrder
            | Refusal::Fenced
            | Refusal::InvalidNumber => Self::Other,
        }
    }
}
