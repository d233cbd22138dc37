//! One input's worth of output, and the ways in which a connection ends.

use bytes::Bytes;
use mqtt_codec::{
    Disconnect, Malformed, Packet, Properties, PublishParts, ReasonCode, Text, Version,
};
use protocol::{Close, Now, Outbox, Remember, Request, Settle, Settlement, Tag, Token};

/// What the answer to a request is for; with a number it makes the token, so that nothing has to be
/// kept for a request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Asked {
    /// The claim of the session.
    Claim = 1,
    /// An inbound PUBLISH: its number among the acknowledgements owed.
    Publish = 2,
    /// An item of a SUBSCRIBE or UNSUBSCRIBE: the answer's number and the item's.
    Item = 3,
    /// The rows of a SUBSCRIBE or UNSUBSCRIBE: the answer's number.
    Rows = 4,
    /// The receipt of a released inbound QoS 2 message is gone: its packet identifier.
    Released = 5,
    /// An outbound QoS 2 message is about to be sent: its packet identifier.
    Sending = 6,
    /// An outbound QoS 2 message was received: its packet identifier.
    Received = 7,
}

impl Asked {
    pub(crate) const fn token(self, number: u64) -> Token {
        Token((self as u64) << 56 | number & 0x00FF_FFFF_FFFF_FFFF)
    }

    pub(crate) const fn of(token: Token) -> Option<(Self, u64)> {
        let asked = match token.0 >> 56 {
            1 => Self::Claim,
            2 => Self::Publish,
            3 => Self::Item,
            4 => Self::Rows,
            5 => Self::Released,
            6 => Self::Sending,
            7 => Self::Received,
            _ => return None,
        };
        Some((asked, token.0 & 0x00FF_FFFF_FFFF_FFFF))
    }
}

/// The connection must end.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Everything has been said.
    Close(Close),
    /// The client did wrong: MQTT 5 clients are told by this code.
    Fault(ReasonCode, String),
    /// The client did nothing wrong, and is sent away.
    Refused(ReasonCode, &'static str),
}

impl Ending {
    pub(crate) fn fault(code: ReasonCode, why: &str) -> Self {
        Self::Fault(code, why.to_owned())
    }
}

impl From<Malformed> for Ending {
    fn from(malformed: Malformed) -> Self {
        Self::Fault(malformed.reason(), malformed.to_string())
    }
}

/// How a client is written to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) version: Version,
    /// The client's Maximum Packet Size, `u32::MAX` when it named none.
    pub(crate) packet_bytes_max: u32,
}

/// Below this Maximum Packet Size no reason strings are sent [MQTT-3.14.2-3] [MQTT-3.2.2-19].
const REASON_STRING_FROM: u32 = 512;

/// The longest reason string that is sent.
const REASON_STRING_MAX: usize = 256;

impl Link {
    /// A reason string, where the client has room for one.
    pub(crate) fn reason(self, why: &str) -> Option<Text> {
        if !self.version.is_v5() || self.packet_bytes_max < REASON_STRING_FROM {
            return None;
        }
        let end = (0..=REASON_STRING_MAX.min(why.len())).rev().find(|&at| why.is_char_boundary(at));
        Text::try_from(why.get(..end?)?).ok()
    }

    /// Sends a packet.
    pub(crate) fn send(self, packet: &Packet, turn: &mut Turn<'_>) {
        let encoded = packet.encode(self.version, turn.out.buffer());
        debug_assert!(encoded.is_ok(), "what a server says is short: {encoded:?}");
    }

    /// Sends the DISCONNECT that MQTT 5 has for a server; nothing before it.
    pub(crate) fn goodbye(self, code: ReasonCode, why: &str, turn: &mut Turn<'_>) {
        if !self.version.is_v5() {
            return;
        }
        let properties = self.reason(why).map(|reason| {
            Box::new(Properties { reason_string: Some(reason), ..Properties::default() })
        });
        self.send(&Packet::Disconnect(Disconnect { code, properties }), turn);
    }

    /// Sends a PUBLISH with its payload behind it; `false` if the client takes no such packet
    /// [MQTT-3.1.2-24].
    pub(crate) fn publish(
        self,
        parts: &PublishParts<'_>,
        payload: Option<&Bytes>,
        turn: &mut Turn<'_>,
    ) -> bool {
        if parts.size(self.version) as u64 > u64::from(self.packet_bytes_max)
            || parts.encode_without_payload(self.version, turn.out.buffer()).is_err()
        {
            return false;
        }
        if let Some(payload) = payload {
            turn.out.frame(payload);
        }
        true
    }
}

/// One input: the time, and what is to be sent and asked because of it.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) out: &'a mut Outbox,
    settled: Vec<Tag>,
    forgotten: Vec<(Bytes, Option<Bytes>)>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(now: Now, out: &'a mut Outbox) -> Self {
        Self { now, out, settled: Vec::new(), forgotten: Vec::new() }
    }

    /// The delivery is done with.
    pub(crate) fn settle(&mut self, tag: Tag) {
        self.settled.push(tag);
    }

    /// A row of the session's memory is done with, after what was settled.
    pub(crate) fn forget(&mut self, key: Bytes) {
        self.forgotten.push((key, None));
    }

    /// Asks what was collected. A row that vouches for a delivery goes only after the delivery is
    /// settled: the other way round, a crash between the two would send the message again.
    pub(crate) fn finish(self) {
        if !self.settled.is_empty() {
            let settle = Settle { tags: self.settled, how: Settlement::Ack };
            self.out.tell(Request::Settle(settle));
        }
        if !self.forgotten.is_empty() {
            self.out.tell(Request::Remember(Remember { rows: self.forgotten }));
        }
    }
}
