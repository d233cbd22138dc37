//! Receiver half of the QoS 2 exchange (MQTT 5.0 §4.3.3).
//!
//! Pure: it decides, the session acts. What it owns outlives the connection as rows of the session's
//! memory, written with the message itself.

use std::collections::BTreeMap;

use mqtt_codec::PacketId;

/// The QoS 2 messages taken from one client and not yet released by it.
#[derive(Debug)]
pub(crate) struct InboundQos2 {
    /// Invariant: at most `receive_maximum` entries, but for those restored.
    held: BTreeMap<PacketId, Held>,
    receive_maximum: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Appending,
    Owned,
}

/// What the session owes a QoS 2 PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// First sight: append it, and answer once the log has.
    Append,
    /// Its append is still in flight: say nothing yet.
    Wait,
    /// Already owned: PUBREC again, deliver nothing [MQTT-4.3.3-10].
    Repeat,
}

/// More messages in flight than CONNACK allowed: DISCONNECT with reason 0x93.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReceiveMaximumExceeded;

impl InboundQos2 {
    /// An empty window of `receive_maximum` messages, as announced in CONNACK.
    pub(crate) const fn new(receive_maximum: u16) -> Self {
        Self { held: BTreeMap::new(), receive_maximum }
    }

    /// Puts back a message that an earlier connection of the session owned.
    pub(crate) fn restore(&mut self, id: PacketId) {
        self.held.insert(id, Held::Owned);
    }

    /// Takes in a PUBLISH while `others` of QoS 1 take a part of the window. DUP is no proof of a
    /// repeat, so it is not asked for.
    ///
    /// # Errors
    ///
    /// [`ReceiveMaximumExceeded`] when a new identifier does not fit [MQTT-3.3.4-7].
    pub(crate) fn publish(
        &mut self,
        id: PacketId,
        others: usize,
    ) -> Result<Receipt, ReceiveMaximumExceeded> {
        match self.held.get(&id) {
            Some(Held::Appending) => Ok(Receipt::Wait),
            Some(Held::Owned) => Ok(Receipt::Repeat),
            None if self.has_room(others) => {
                self.held.insert(id, Held::Appending);
                Ok(Receipt::Append)
            }
            None => Err(ReceiveMaximumExceeded),
        }
    }

    /// Whether one more message fits beside `others`.
    pub(crate) fn has_room(&self, others: usize) -> bool {
        self.held.len() + others < usize::from(self.receive_maximum)
    }

    /// The log holds the message: PUBREC is owed [MQTT-4.3.3-8].
    pub(crate) fn confirm(&mut self, id: PacketId) {
        let before = self.held.insert(id, Held::Owned);
        debug_assert_eq!(before, Some(Held::Appending), "confirm follows one Append");
    }

    /// The log refused it: PUBREC carries an error and the identifier is free [MQTT-4.3.3-9].
    pub(crate) fn refuse(&mut self, id: PacketId) {
        let before = self.remove(id);
        debug_assert_eq!(before, Some(Held::Appending), "refuse follows one Append");
    }

    /// Takes in a PUBREL; PUBCOMP is owed either way [MQTT-4.3.3-11], with 0x92 on `false`.
    pub(crate) fn release(&mut self, id: PacketId) -> bool {
        let owned = self.held.get(&id) == Some(&Held::Owned);
        if owned {
            self.remove(id);
        }
        owned
    }

    fn remove(&mut self, id: PacketId) -> Option<Held> {
        let before = self.held.remove(&id);
        if self.held.is_empty() {
            self.held = BTreeMap::new(); // An empty map would keep a node.
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u16) -> PacketId {
        PacketId::new(id).unwrap()
    }

    // covers: [MQTT-4.3.3-10] [MQTT-4.3.3-12]
    #[test]
    fn a_repeat_is_delivered_only_after_its_release() {
        let mut inbound = InboundQos2::new(1);
        assert_eq!(inbound.publish(id(7), 0), Ok(Receipt::Append));
        assert_eq!(inbound.publish(id(7), 0), Ok(Receipt::Wait), "no PUBREC before durability");
        inbound.confirm(id(7));
        assert_eq!(inbound.publish(id(7), 0), Ok(Receipt::Repeat));
        assert!(inbound.release(id(7)));
        assert!(!inbound.release(id(7)), "nothing left to release: 0x92");
        assert_eq!(inbound.publish(id(7), 0), Ok(Receipt::Append));
    }

    // covers: [MQTT-3.3.4-7] [MQTT-4.3.3-9]
    #[test]
    fn the_window_is_shared_with_qos_1_and_a_refused_message_leaves_it() {
        let mut inbound = InboundQos2::new(2);
        assert_eq!(inbound.publish(id(1), 1), Ok(Receipt::Append));
        assert_eq!(inbound.publish(id(2), 1), Err(ReceiveMaximumExceeded));
        inbound.refuse(id(1));
        assert_eq!(inbound.publish(id(2), 1), Ok(Receipt::Append));
        assert!(!inbound.release(id(2)), "not owned yet");
    }
}
