//! PUBLISH: the packet that carries a message, and the hottest path of the protocol.
//!
//! ```text
//! [0011 dup qos qos retain][remaining length]
//! [topic: u16 BE + bytes][packet identifier: u16 BE, QoS 1 and 2][properties, MQTT 5][payload]
//! ```

use std::num::NonZeroU16;

use bytes::{BufMut, Bytes, BytesMut};

use crate::property::{MessageSection, PublishSection};
use crate::reader::Reader;
use crate::sink::{self, Body, Sink};
use crate::{
    EncodeError, Limits, Malformed, MessageProperties, PacketId, Qos, SubscriptionId, Text, Version,
};

/// QoS of a PUBLISH, with the packet identifier that the higher two have [MQTT-2.2.1-2].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assurance {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1: answered with PUBACK.
    AtLeastOnce(PacketId),
    /// QoS 2: answered with PUBREC.
    ExactlyOnce(PacketId),
}

impl Assurance {
    /// The QoS alone.
    pub const fn qos(self) -> Qos {
        match self {
            Self::AtMostOnce => Qos::AtMostOnce,
            Self::AtLeastOnce(_) => Qos::AtLeastOnce,
            Self::ExactlyOnce(_) => Qos::ExactlyOnce,
        }
    }

    /// The packet identifier, if the QoS has one.
    pub const fn packet_id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce(id) | Self::ExactlyOnce(id) => Some(id),
        }
    }
}

/// A message on its way to or from a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Sent before, perhaps.
    pub dup: bool,
    /// QoS and packet identifier.
    pub assurance: Assurance,
    /// To the server: store it as the topic's last value. From the server: it is one.
    pub retain: bool,
    /// Topic name without wildcards; empty only beside a topic alias.
    pub topic: Text,
    /// Stands for the topic name from now on, or is used in its place.
    pub topic_alias: Option<NonZeroU16>,
    /// Which subscriptions it is for; only a server may send them [MQTT-3.3.4-6].
    pub subscription_ids: Vec<SubscriptionId>,
    /// The message's own properties.
    pub properties: Option<Box<MessageProperties>>,
    /// The payload, a slice of the buffer that it was received in.
    pub payload: Bytes,
}

impl Publish {
    #[inline]
    pub(crate) fn decode(
        flags: u8,
        body: &mut Reader,
        version: Version,
        limits: &Limits,
    ) -> Result<Self, Malformed> {
        let dup = flags & 0b1000 != 0;
        let qos = Qos::from_u8(flags >> 1 & 0b11).ok_or(Malformed::Packet("QoS 3"))?;
        if dup && qos == Qos::AtMostOnce && version != Version::V31 {
            return Err(Malformed::Packet("DUP at QoS 0")); // [MQTT-3.3.1-2]
        }
        let topic = body.text()?;
        if topic.has_wildcard() {
            return Err(Malformed::TopicName); // [MQTT-3.3.2-2]
        }
        let assurance = match qos {
            Qos::AtMostOnce => Assurance::AtMostOnce,
            Qos::AtLeastOnce => Assurance::AtLeastOnce(body.packet_id()?),
            Qos::ExactlyOnce => Assurance::ExactlyOnce(body.packet_id()?),
        };
        let section = if version.is_v5() {
            MessageSection::decode(body, false, limits)?
        } else {
            MessageSection::default()
        };
        if topic.is_empty() && section.topic_alias.is_none() {
            return Err(Malformed::Protocol("neither topic name nor topic alias"));
        }
        Ok(Self {
            dup,
            assurance,
            retain: flags & 1 != 0,
            topic,
            topic_alias: section.topic_alias,
            subscription_ids: section.subscription_ids,
            properties: section.message,
            payload: body.take_rest(),
        })
    }

    /// The packet without its payload, to be encoded apart from it.
    pub fn parts(&self) -> PublishParts<'_> {
        PublishParts {
            dup: self.dup,
            assurance: self.assurance,
            retain: self.retain,
            topic: self.topic.as_bytes(),
            topic_alias: self.topic_alias,
            subscription_ids: &self.subscription_ids,
            properties: self.properties.as_deref(),
            encoded_properties: &[],
            payload_len: self.payload.len(),
        }
    }

    /// Appends the packet's bytes to `out`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`]; nothing is written then.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        self.parts().encode(version, &self.payload, out)
    }

    /// Whether the payload is what its payload format indicator says (MQTT 5.0 §3.3.2.3.2).
    pub fn payload_is_as_indicated(&self) -> bool {
        let indicated = self.properties.as_ref().and_then(|own| own.payload_is_utf8);
        indicated != Some(true) || std::str::from_utf8(&self.payload).is_ok()
    }
}

/// A PUBLISH in borrowed pieces, without its payload: what a server encodes deliveries from.
#[derive(Clone, Copy, Debug)]
pub struct PublishParts<'a> {
    /// Sent before, perhaps.
    pub dup: bool,
    /// QoS and packet identifier.
    pub assurance: Assurance,
    /// It is the topic's last value.
    pub retain: bool,
    /// Topic name: valid UTF-8 of at most 65,535 bytes.
    pub topic: &'a [u8],
    /// Topic alias, MQTT 5.
    pub topic_alias: Option<NonZeroU16>,
    /// Subscription identifiers, MQTT 5.
    pub subscription_ids: &'a [SubscriptionId],
    /// The message's properties, MQTT 5.
    pub properties: Option<&'a MessageProperties>,
    /// More properties in their wire form, as [`MessageProperties::encode`] writes them, MQTT 5.
    pub encoded_properties: &'a [u8],
    /// Length of the payload that follows.
    pub payload_len: usize,
}

impl<'a> PublishParts<'a> {
    /// A QoS 0 packet with nothing but a topic.
    pub const fn new(topic: &'a [u8], payload_len: usize) -> Self {
        Self {
            dup: false,
            assurance: Assurance::AtMostOnce,
            retain: false,
            topic,
            topic_alias: None,
            subscription_ids: &[],
            properties: None,
            encoded_properties: &[],
            payload_len,
        }
    }

    const fn first_byte(&self) -> u8 {
        0x30 | (self.dup as u8) << 3 | self.assurance.qos().as_u8() << 1 | self.retain as u8
    }

    fn section(&self) -> PublishSection<'a> {
        PublishSection {
            topic_alias: self.topic_alias,
            subscription_ids: self.subscription_ids,
            message: self.properties,
            encoded: self.encoded_properties,
        }
    }

    /// Size of the property section without its length.
    fn section_size(&self) -> usize {
        let nothing = self.topic_alias.is_none()
            && self.subscription_ids.is_empty()
            && self.properties.is_none();
        if nothing { self.encoded_properties.len() } else { self.section().size() }
    }

    /// Remaining length, payload included, given the size of the property section.
    fn remaining(&self, version: Version, section: usize) -> usize {
        let id = if self.assurance.packet_id().is_some() { 2 } else { 0 };
        let properties = if version.is_v5() { var_int_size(section) + section } else { 0 };
        2 + self.topic.len() + id + properties + self.payload_len
    }

    /// Size of the whole packet, to be held against the receiver's Maximum Packet Size.
    pub fn size(&self, version: Version) -> usize {
        let section = if version.is_v5() { self.section_size() } else { 0 };
        let remaining = self.remaining(version, section);
        1 + var_int_size(remaining) + remaining
    }

    /// Appends everything up to the payload, with room reserved for `room` bytes more.
    ///
    /// Returns where the packet identifier is in `out`, if there is one.
    fn encode_head(
        &self,
        version: Version,
        room: usize,
        out: &mut BytesMut,
    ) -> Result<Option<usize>, EncodeError> {
        let section = if version.is_v5() { self.section_size() } else { 0 };
        let remaining = self.remaining(version, section);
        let head = remaining - self.payload_len;
        sink::write_header(self.first_byte(), remaining, head + room, out)?;
        out.field(self.topic);
        let at = self.assurance.packet_id().map(|id| {
            out.put_u16(id.get());
            out.len() - 2
        });
        if version.is_v5() {
            out.var_int(section);
            if section > 0 {
                self.section().write(out);
            }
        }
        Ok(at)
    }

    /// Appends the packet up to its payload, which the caller sends next.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`]; nothing is written then.
    pub fn encode_without_payload(
        &self,
        version: Version,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        self.encode_head(version, 0, out).map(drop)
    }

    /// Appends the whole packet; `payload` counts, not `payload_len`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`]; nothing is written then.
    pub fn encode(
        &self,
        version: Version,
        payload: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        let whole = Self { payload_len: payload.len(), ..*self };
        whole.encode_head(version, payload.len(), out)?;
        out.put_slice(payload);
        Ok(())
    }

    /// Encodes the whole packet once for many receivers.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`].
    pub fn encode_shared(
        &self,
        version: Version,
        payload: &[u8],
    ) -> Result<SharedPublish, EncodeError> {
        let whole = Self { payload_len: payload.len(), ..*self };
        let mut out = BytesMut::new();
        let id_at = whole.encode_head(version, payload.len(), &mut out)?;
        out.put_slice(payload);
        Ok(SharedPublish { frame: out.freeze(), id_at })
    }
}

/// A PUBLISH encoded once for all receivers with the same version, QoS, flags and properties.
#[derive(Clone, Debug)]
pub struct SharedPublish {
    frame: Bytes,
    /// Where the packet identifier is; `None` at QoS 0.
    id_at: Option<usize>,
}

impl SharedPublish {
    /// The packet as it was encoded; at QoS 0 good for every receiver, by reference.
    pub const fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// Appends a copy of the packet with this identifier in place of the one it was encoded with.
    ///
    /// At QoS 0 there is none to replace.
    pub fn write_with_id(&self, id: PacketId, out: &mut BytesMut) {
        let start = out.len();
        out.put_slice(&self.frame);
        let place = self.id_at.and_then(|at| out.get_mut(start + at..start + at + 2));
        if let Some(place) = place {
            place.copy_from_slice(&id.get().to_be_bytes());
        }
    }
}

/// How many bytes the Variable Byte Integer of a value takes.
const fn var_int_size(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}
