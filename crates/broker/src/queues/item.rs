//! One message in a queue.

use std::sync::Arc;

use protocol::Message;
use storage::{LogId, Reference};

/// No place in a queue's log, no log.
const NONE: u64 = u64::MAX;
/// When it expires is not known: its record was not read since the start.
const UNKNOWN: i64 = i64::MIN;
/// It does not expire.
const NEVER: i64 = i64::MAX;
/// What a message costs in memory besides its bytes.
const MESSAGE_OVERHEAD: usize = 512;

/// One message in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// The order in the queue; kept when it is returned.
    pub(super) order: u64,
    /// The reference's place, if it is durable.
    place: u64,
    /// Where the record is.
    log: u64,
    offset: u64,
    /// On the engine's clock.
    expires_ms: i64,
    /// The message, unless it is only in the log.
    message: Option<Arc<Message>>,
    /// Of the payload.
    bytes: u32,
    /// How often it was handed out.
    pub(super) deliveries: u32,
    pub(super) priority: u8,
    pub(super) redelivered: bool,
}

impl Item {
    fn new(message: Arc<Message>, priority: u8) -> Self {
        let bytes = message.record.value.as_ref().map_or(0, bytes::Bytes::len);
        Self {
            order: 0,
            place: NONE,
            log: NONE,
            offset: 0,
            expires_ms: NEVER,
            message: Some(message),
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            deliveries: 0,
            priority,
            redelivered: false,
        }
    }

    /// A message that the queue holds a durable reference to.
    pub(crate) fn stored(
        message: &Arc<Message>,
        stored: Option<(LogId, u64)>,
        place: Option<u64>,
        priority: u8,
    ) -> Self {
        let (log, offset) = stored.map_or((NONE, 0), |(log, offset)| (log.0, offset));
        let place = place.unwrap_or(NONE);
        Self { place, log, offset, ..Self::new(message.clone(), priority) }
    }

    /// A message that dies with the run; it must hold no part of a read buffer.
    pub(crate) fn transient(message: Arc<Message>, priority: u8) -> Self {
        Self::new(message, priority)
    }

    /// A reference found at the start. It may have been handed out since it was last written down.
    pub(crate) fn restored(reference: &Reference) -> Self {
        Self {
            order: 0,
            place: reference.place,
            log: reference.log.0,
            offset: reference.offset,
            expires_ms: UNKNOWN,
            message: None,
            bytes: 0,
            deliveries: reference.deliveries,
            priority: reference.priority,
            redelivered: true,
        }
    }

    pub(crate) fn place(&self) -> Option<u64> {
        (self.place != NONE).then_some(self.place)
    }

    pub(crate) fn stored_at(&self) -> Option<(LogId, u64)> {
        (self.log != NONE).then_some((LogId(self.log), self.offset))
    }

    pub(crate) fn message(&self) -> Option<&Arc<Message>> {
        self.message.as_ref()
    }

    /// Payload bytes; 0 when they are not known.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.bytes)
    }

    pub(super) fn set_bytes(&mut self, bytes: usize) {
        self.bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    }

    /// Memory of the message itself.
    pub(super) fn resident(&self) -> usize {
        self.message.as_ref().map_or(0, |m| m.record.size())
    }

    /// What it takes of the memory of messages that live in queues alone.
    pub(super) fn cost(&self) -> usize {
        self.resident() + MESSAGE_OVERHEAD
    }

    pub(super) fn keep(&mut self, message: Arc<Message>) {
        self.message = Some(message);
    }

    /// Drops the message where the log has it.
    pub(super) fn forget(&mut self) {
        if self.log != NONE {
            self.message = None;
        }
    }

    pub(super) fn is_known(&self) -> bool {
        self.expires_ms != UNKNOWN
    }

    /// When it expires, if it does and that is known.
    pub(super) fn expires_ms(&self) -> Option<i64> {
        (self.expires_ms != NEVER && self.is_known()).then_some(self.expires_ms)
    }

    /// Reads from its message when it expires in a queue with this limit; the time of one that does
    /// not say when it was taken in begins at `clock_ms`.
    pub(super) fn set_expiry(&mut self, message: &Message, ttl_ms: Option<u64>, clock_ms: i64) {
        let lifetime = message.record.properties.as_ref().and_then(|p| p.lifetime);
        let since = lifetime.map_or(clock_ms, |lifetime| lifetime.since_ms);
        let own = lifetime.and_then(|lifetime| lifetime.ttl_ms);
        let ttl = own.into_iter().chain(ttl_ms).min();
        let ttl = ttl.map(|ttl| i64::try_from(ttl).unwrap_or(i64::MAX));
        self.expires_ms = ttl.map_or(NEVER, |ttl| since.saturating_add(ttl));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_small_as_queues_are_long() {
        assert_eq!(size_of::<Item>(), 64);
    }
}
