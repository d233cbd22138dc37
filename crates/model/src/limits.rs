//! Limits that all protocols share.

/// What one node accepts; each protocol tells its clients by its own means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest payload of one message, in bytes (`limits.message_bytes`).
    pub message_bytes: usize,
    /// Most headers of one message.
    pub headers: usize,
    /// Most bytes that one connection may have waiting to be sent before it counts as slow.
    pub outbound_bytes: usize,
    /// Most messages that a session without durable state holds for a receiver with no window left.
    pub session_messages: usize,
    /// Most subscriptions of one connection.
    pub subscriptions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 1024 * 1024,
            headers: 1024,
            outbound_bytes: 64 * 1024 * 1024,
            session_messages: 1000,
            subscriptions: 100_000,
        }
    }
}
