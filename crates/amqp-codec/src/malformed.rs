//! What was wrong with the bytes of a peer, in the form that the closing method needs.

use crate::code::ReplyCode;

/// Bytes that are no valid frame; the connection ends with `code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} - {text} (channel {channel}, method {class_id}.{method_id})", .code.name())]
pub struct Malformed {
    /// The reply code of connection.close.
    pub code: ReplyCode,
    /// What was wrong, without the name of the code.
    pub text: &'static str,
    /// The channel of the frame.
    pub channel: u16,
    /// The class of the failing method, 0 if there was none.
    pub class_id: u16,
    /// The failing method, 0 if there was none.
    pub method_id: u16,
}

impl Malformed {
    /// A fault of the frame itself: 501.
    pub(crate) const fn frame(channel: u16, text: &'static str) -> Self {
        Self { code: ReplyCode::FrameError, text, channel, class_id: 0, method_id: 0 }
    }

    /// A fault of a field inside the frame: 502.
    pub(crate) const fn syntax(channel: u16, fault: Fault) -> Self {
        let text = fault.text();
        Self { code: ReplyCode::SyntaxError, text, channel, class_id: 0, method_id: 0 }
    }

    /// The same with the method that was being read.
    pub(crate) const fn of(self, class_id: u16, method_id: u16) -> Self {
        Self { class_id, method_id, ..self }
    }
}

/// What can be wrong with a field, whatever it is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A length points past the end of what holds it.
    Truncated,
    /// Bytes are left after the last field.
    Trailing,
    /// A type letter that RabbitMQ does not know.
    ValueType,
    /// Tables and arrays nested deeper than [`crate::table::DEPTH_MAX`].
    Depth,
    /// A property flag that this class does not have.
    PropertyFlag,
}

impl Fault {
    /// The fault in words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Truncated => "a field reaches past the end of its frame",
            Self::Trailing => "bytes are left after the last field",
            Self::ValueType => "unknown type of a field value",
            Self::Depth => "tables are nested too deep",
            Self::PropertyFlag => "unknown property flag",
        }
    }
}
