//! What the client is told when a method fails: RabbitMQ's codes and texts.
//!
//! A soft code closes the channel, any other the connection. Clients compare codes, and some of
//! them texts, so that the texts are RabbitMQ's own wherever it has one.

use amqp_codec::{Malformed, ReplyCode, ShortStr};
use protocol::Refusal;

/// The only virtual host. Tenants come with users.
pub(crate) const VHOST: &str = "/";

/// A method that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: ReplyCode,
    /// Without the name of the code.
    pub(crate) text: String,
    /// Class and method that failed, 0.0 if there was none.
    pub(crate) method: (u16, u16),
}

impl Failure {
    pub(crate) fn new(code: ReplyCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), method: (0, 0) }
    }

    /// The same with the method that failed, unless it is known already.
    pub(crate) fn of(self, method: (u16, u16)) -> Self {
        if self.method == (0, 0) { Self { method, ..self } } else { self }
    }

    /// The text as it stands in channel.close and connection.close.
    pub(crate) fn reply_text(&self) -> ShortStr {
        ShortStr::truncated(&format!("{} - {}", self.code.name(), self.text))
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self {
            code: malformed.code,
            text: malformed.text.to_owned(),
            method: (malformed.class_id, malformed.method_id),
        }
    }
}

/// What a method was about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Object<'a> {
    Queue(&'a [u8]),
    Exchange(&'a [u8]),
}

impl Object<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Queue(_) => "queue",
            Self::Exchange(_) => "exchange",
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Queue(name) | Self::Exchange(name) => String::from_utf8_lossy(name).into_owned(),
        }
    }

    /// `queue 'q' in vhost '/'`
    fn place(&self) -> String {
        format!("{} '{}' in vhost '{VHOST}'", self.kind(), self.name())
    }

    pub(crate) fn missing(&self) -> Failure {
        Failure::new(ReplyCode::NotFound, format!("no {}", self.place()))
    }

    pub(crate) fn reserved(&self) -> Failure {
        let text =
            format!("{} name '{}' contains reserved prefix 'amq.*'", self.kind(), self.name());
        Failure::new(ReplyCode::AccessRefused, text)
    }

    /// The server's own objects stay.
    pub(crate) fn undeletable(&self) -> Failure {
        let text = format!("deletion of system {} not allowed", self.place());
        Failure::new(ReplyCode::AccessRefused, text)
    }

    pub(crate) fn locked(&self) -> Failure {
        let text = format!(
            "cannot obtain exclusive access to locked {}. It could be originally declared on \
             another connection or the exclusive property value does not match that of the \
             original declaration.",
            self.place()
        );
        Failure::new(ReplyCode::ResourceLocked, text)
    }

    /// The queue has a consumer that keeps others out, or one that is to be kept out.
    pub(crate) fn in_exclusive_use(&self) -> Failure {
        Failure::new(ReplyCode::AccessRefused, format!("{} in exclusive use", self.place()))
    }

    pub(crate) fn inequivalent(&self, field: &str, received: &str, current: &str) -> Failure {
        let text = format!(
            "inequivalent arg '{field}' for {}: received {received} but current is {current}",
            self.place()
        );
        Failure::new(ReplyCode::PreconditionFailed, text)
    }

    pub(crate) fn invalid_argument(&self, argument: &str, why: &str) -> Failure {
        let text = format!("invalid arg '{argument}' for {}: {why}", self.place());
        Failure::new(ReplyCode::PreconditionFailed, text)
    }

    pub(crate) fn invalid_type(&self, argument: &str, kind: &str) -> Failure {
        let text = format!("invalid type '{kind}' for arg '{argument}' in {}", self.place());
        Failure::new(ReplyCode::PreconditionFailed, text)
    }

    pub(crate) fn invalid_property(&self, property: &str) -> Failure {
        let text = format!("invalid property '{property}' for {}", self.place());
        Failure::new(ReplyCode::PreconditionFailed, text)
    }

    /// The queue has consumers that take turns as a whole.
    pub(crate) fn not_for_get(&self) -> Failure {
        let text = format!(
            "cannot obtain access to locked {}. basic.get operations are not supported by quorum \
             queues with single active consumer",
            self.place()
        );
        Failure::new(ReplyCode::ResourceLocked, text)
    }

    pub(crate) fn unsupported_argument(&self, argument: &str) -> Failure {
        let text = format!("arg '{argument}' for {} is not supported", self.place());
        Failure::new(ReplyCode::NotImplemented, text)
    }

    /// The answer to what the broker refused.
    pub(crate) fn refused(&self, refusal: &Refusal) -> Failure {
        let precondition = |text: String| Failure::new(ReplyCode::PreconditionFailed, text);
        match refusal {
            Refusal::NotFound => self.missing(),
            Refusal::Locked => self.locked(),
            Refusal::InUse => precondition(format!("{} in use", self.place())),
            Refusal::NotEmpty => precondition(format!("{} not empty", self.place())),
            Refusal::Reserved => self.reserved(),
            Refusal::InvalidName => precondition(format!("invalid name of {}", self.place())),
            Refusal::Limit(limit) => precondition(format!("{}: limit of {limit}", self.place())),
            Refusal::TooLarge(limit) => too_large(None, *limit),
            Refusal::NotAllowed => {
                let text = format!("access to {} refused", self.place());
                Failure::new(ReplyCode::AccessRefused, text)
            }
            Refusal::NoRoom => Failure::new(ReplyCode::ResourceError, "no room is left for now"),
            Refusal::StorageUnavailable => {
                Failure::new(ReplyCode::ResourceError, "storage takes no writes now")
            }
            Refusal::Exists
            | Refusal::DifferentQueue(_)
            | Refusal::DifferentSpace(_)
            | Refusal::Overlap(_)
            | Refusal::OutOfRange
            | Refusal::Corrupt
            | Refusal::InvalidRecord(_)
            | Refusal::UnsupportedFormat
            | Refusal::OutOfOrder
            | Refusal::Fenced
            | Refusal::InvalidNumber
            | Refusal::Unmatched => {
                Failure::new(ReplyCode::InternalError, format!("{}: {refusal:?}", self.place()))
            }
        }
    }
}

/// A message above the limit.
pub(crate) fn too_large(size: Option<u64>, limit: usize) -> Failure {
    let size = size.map_or_else(String::new, |size| format!(" {size}"));
    let text = format!("message size{size} is larger than configured max size {limit}");
    Failure::new(ReplyCode::PreconditionFailed, text)
}

/// `'true'`, as inequivalent arguments are shown.
pub(crate) fn quoted(value: impl std::fmt::Display) -> String {
    format!("'{value}'")
}

pub(crate) fn default_exchange() -> Failure {
    Failure::new(ReplyCode::AccessRefused, "operation not permitted on the default exchange")
}

pub(crate) fn not_implemented(text: impl Into<String>) -> Failure {
    Failure::new(ReplyCode::NotImplemented, text)
}

pub(crate) fn unexpected_frame(text: impl Into<String>) -> Failure {
    Failure::new(ReplyCode::UnexpectedFrame, text)
}

pub(crate) fn unknown_delivery_tag(tag: u64) -> Failure {
    Failure::new(ReplyCode::PreconditionFailed, format!("unknown delivery tag {tag}"))
}

/// The broker answered with what its contract does not allow here.
pub(crate) fn broken_contract() -> Failure {
    Failure::new(ReplyCode::InternalError, "unexpected answer")
}
