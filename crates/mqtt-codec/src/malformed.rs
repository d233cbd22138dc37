//! What can be wrong with a packet, and the reason code that says so to the peer.

use crate::ReasonCode;

/// The peer sent what the specification forbids; the connection must end (MQTT 5.0 §4.13).
///
/// What has been read of the buffer by then is unspecified: nothing after the fault is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes do not form a packet.
    #[error("malformed packet: {0}")]
    Packet(&'static str),
    /// The packet is well formed and not allowed.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// The fixed header announces more than the limit; the body was not waited for.
    #[error("packet of {size} bytes is above the limit of {max}")]
    TooLarge {
        /// Size of the whole packet, fixed header included.
        size: u64,
        /// The limit it is above.
        max: u32,
    },
    /// CONNECT names a protocol version that this crate does not speak.
    #[error("unsupported protocol level {level}")]
    UnsupportedVersion {
        /// The protocol level byte.
        level: u8,
    },
    /// The topic name of a PUBLISH or will has a wildcard in it.
    #[error("topic name contains a wildcard")]
    TopicName,
    /// Topic alias zero [MQTT-3.3.2-8].
    #[error("topic alias is zero")]
    TopicAlias,
    /// More user properties, filters or the like than [`crate::Limits`] takes.
    #[error("too many {0}")]
    TooMany(&'static str),
}

impl Malformed {
    /// The reason code for the DISCONNECT (after CONNECT: or CONNACK) that answers it in MQTT 5.
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::Packet(_) => ReasonCode::MalformedPacket,
            Self::Protocol(_) => ReasonCode::ProtocolError,
            Self::TooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::UnsupportedVersion { .. } => ReasonCode::UnsupportedProtocolVersion,
            Self::TopicName => ReasonCode::TopicNameInvalid,
            Self::TopicAlias => ReasonCode::TopicAliasInvalid,
            Self::TooMany(_) => ReasonCode::QuotaExceeded,
        }
    }
}

/// The packet has no form on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Longer than a remaining length can say (268,435,455 bytes).
    #[error("packet of {0} bytes does not fit a remaining length")]
    TooLarge(usize),
    /// The version has no such packet (AUTH before MQTT 5).
    #[error("the packet does not exist in this version of the protocol")]
    NotInVersion,
}
