//! Reply codes (AMQP 0-9-1 §1.2 "constants"), with the names that RabbitMQ puts before a text.

/// Why a message came back, or why a channel or a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum ReplyCode {
    /// Nothing wrong.
    Success = 200,
    /// The content is larger than the server accepts.
    ContentTooLarge = 311,
    /// A mandatory message that no queue takes.
    NoRoute = 312,
    /// An immediate message with no consumer waiting.
    NoConsumers = 313,
    /// An operator closed the connection.
    ConnectionForced = 320,
    /// The virtual host is not known.
    InvalidPath = 402,
    /// The client has no access to what it named.
    AccessRefused = 403,
    /// What the client named does not exist.
    NotFound = 404,
    /// Another connection holds it exclusively.
    ResourceLocked = 405,
    /// A precondition of the method does not hold.
    PreconditionFailed = 406,
    /// The frame could not be decoded.
    FrameError = 501,
    /// A field holds an illegal value.
    SyntaxError = 502,
    /// An invalid sequence of methods.
    CommandInvalid = 503,
    /// A channel that is not open, or is open already.
    ChannelError = 504,
    /// A frame that was not expected at this point.
    UnexpectedFrame = 505,
    /// The server is out of something.
    ResourceError = 506,
    /// Not allowed whatever the state.
    NotAllowed = 530,
    /// Not implemented here.
    NotImplemented = 540,
    /// The server failed.
    InternalError = 541,
}

impl ReplyCode {
    /// The number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The name as it stands before the dash of a reply text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "OK",
            Self::ContentTooLarge => "CONTENT_TOO_LARGE",
            Self::NoRoute => "NO_ROUTE",
            Self::NoConsumers => "NO_CONSUMERS",
            Self::ConnectionForced => "CONNECTION_FORCED",
            Self::InvalidPath => "INVALID_PATH",
            Self::AccessRefused => "ACCESS_REFUSED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceLocked => "RESOURCE_LOCKED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::FrameError => "FRAME_ERROR",
            Self::SyntaxError => "SYNTAX_ERROR",
            Self::CommandInvalid => "COMMAND_INVALID",
            Self::ChannelError => "CHANNEL_ERROR",
            Self::UnexpectedFrame => "UNEXPECTED_FRAME",
            Self::ResourceError => "RESOURCE_ERROR",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// Whether it closes the connection rather than the channel alone.
    pub const fn is_hard(self) -> bool {
        match self {
            Self::Success
            | Self::ContentTooLarge
            | Self::NoRoute
            | Self::NoConsumers
            | Self::AccessRefused
            | Self::NotFound
            | Self::ResourceLocked
            | Self::PreconditionFailed => false,
            Self::ConnectionForced
            | Self::InvalidPath
            | Self::FrameError
            | Self::SyntaxError
            | Self::CommandInvalid
            | Self::ChannelError
            | Self::UnexpectedFrame
            | Self::ResourceError
            | Self::NotAllowed
            | Self::NotImplemented
            | Self::InternalError => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_errors_close_the_channel_and_all_others_the_connection() {
        assert!(!ReplyCode::NotFound.is_hard());
        assert!(!ReplyCode::PreconditionFailed.is_hard());
        assert!(ReplyCode::InvalidPath.is_hard());
        assert!(ReplyCode::NotImplemented.is_hard());
        assert_eq!(ReplyCode::NotImplemented.number(), 540);
        assert_eq!(ReplyCode::AccessRefused.name(), "ACCESS_REFUSED");
    }
}
