//! How a peer broke the protocol, and the words in which a server says so.

/// The bytes are no operation of the NATS protocol, or exceed a limit; the connection must close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The line begins with no verb that this side may receive.
    #[error("unknown verb")]
    UnknownOperation,
    /// The verb is known, its arguments are too few, too many or no numbers.
    #[error("bad arguments")]
    BadArguments,
    /// The arguments of one line exceed [`Limits::control_line_max`](crate::Limits).
    #[error("control line too long")]
    ControlLineTooLong,
    /// A message announces more than [`Limits::payload_max`](crate::Limits).
    #[error("payload too large")]
    PayloadTooLarge,
    /// No CRLF stands where the announced size says that the payload ends.
    #[error("payload not ended by CRLF")]
    UnterminatedPayload,
    /// CONNECT or INFO carries no JSON object of the expected shape.
    #[error("bad JSON")]
    BadJson,
}

impl Malformed {
    /// The text between the quotes of `-ERR '..'`, as clients match on it.
    ///
    /// DEVIATES: nats-server closes without a word on bad arguments and bad JSON; the peer learns
    /// here that it was its operation.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::UnknownOperation
            | Self::BadArguments
            | Self::UnterminatedPayload
            | Self::BadJson => "Unknown Protocol Operation",
            Self::ControlLineTooLong => "maximum control line exceeded",
            Self::PayloadTooLarge => "Maximum Payload Violation",
        }
    }
}
