//! The properties of MQTT 5 (§2.2.2.2): those of a message, and those of the conversation.
//!
//! [`MessageProperties`] travel with a message, in a PUBLISH or a will, from publisher to
//! subscriber. [`Properties`] hold everything else; which of them a packet may carry is a table
//! here. Both stand in packets as `Option<Box<..>>`: a packet without properties pays nothing.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::{Bytes, BytesMut};

use crate::reader::Reader;
use crate::sink::{Body, Sink};
use crate::{Binary, Limits, Malformed, PacketType, Qos, Text};

/// Property identifiers (MQTT 5.0 §2.2.2.2, table 2-4).
mod id {
    pub(super) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(super) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(super) const CONTENT_TYPE: u8 = 0x03;
    pub(super) const RESPONSE_TOPIC: u8 = 0x08;
    pub(super) const CORRELATION_DATA: u8 = 0x09;
    pub(super) const SUBSCRIPTION_ID: u8 = 0x0B;
    pub(super) const SESSION_EXPIRY: u8 = 0x11;
    pub(super) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(super) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(super) const AUTHENTICATION_METHOD: u8 = 0x15;
    pub(super) const AUTHENTICATION_DATA: u8 = 0x16;
    pub(super) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub(super) const WILL_DELAY: u8 = 0x18;
    pub(super) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub(super) const RESPONSE_INFORMATION: u8 = 0x1A;
    pub(super) const SERVER_REFERENCE: u8 = 0x1C;
    pub(super) const REASON_STRING: u8 = 0x1F;
    pub(super) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(super) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub(super) const TOPIC_ALIAS: u8 = 0x23;
    pub(super) const MAXIMUM_QOS: u8 = 0x24;
    pub(super) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(super) const USER_PROPERTY: u8 = 0x26;
    pub(super) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub(super) const WILDCARD_AVAILABLE: u8 = 0x28;
    pub(super) const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
    pub(super) const SHARED_AVAILABLE: u8 = 0x2A;
}

/// A subscription identifier: 1 to 268,435,455 (MQTT 5.0 §3.8.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(NonZeroU32);

impl SubscriptionId {
    /// The identifier with this number, `None` outside its range.
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(value) if value.get() <= 268_435_455 => Some(Self(value)),
            Some(_) | None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// Name and value pairs in the order of the wire; names may repeat [MQTT-3.3.2-18].
pub type UserProperties = Vec<(Text, Text)>;

/// The properties that belong to a message and are forwarded with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageProperties {
    /// `Some(true)`: the payload claims to be UTF-8.
    pub payload_is_utf8: Option<bool>,
    /// Lifetime of the message in seconds, as received: what has passed is not taken off.
    pub message_expiry_secs: Option<u32>,
    /// What the payload is; not interpreted.
    pub content_type: Option<Text>,
    /// Topic name for the answer; has no wildcard in it [MQTT-3.3.2-14].
    pub response_topic: Option<Text>,
    /// What the requester knows the answer by.
    pub correlation_data: Option<Binary>,
    /// The publisher's own pairs, in order.
    pub user_properties: UserProperties,
}

/// The property section of a PUBLISH or will, by what each part is for.
#[derive(Debug, Default)]
pub(crate) struct MessageSection {
    pub(crate) message: Option<Box<MessageProperties>>,
    pub(crate) topic_alias: Option<NonZeroU16>,
    pub(crate) subscription_ids: Vec<SubscriptionId>,
    pub(crate) will_delay_secs: Option<u32>,
}

/// Everything that is said in properties outside messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the specification's own names, MQTT 5.0 §2.2.2.2")]
pub struct Properties {
    pub session_expiry_secs: Option<u32>,
    pub assigned_client_id: Option<Text>,
    pub server_keep_alive_secs: Option<u16>,
    pub authentication_method: Option<Text>,
    pub authentication_data: Option<Binary>,
    pub request_problem_information: Option<bool>,
    pub request_response_information: Option<bool>,
    pub response_information: Option<Text>,
    pub server_reference: Option<Text>,
    pub reason_string: Option<Text>,
    pub receive_maximum: Option<NonZeroU16>,
    pub topic_alias_maximum: Option<u16>,
    /// At most once or at least once: a maximum of 2 is said by leaving it out.
    pub maximum_qos: Option<Qos>,
    pub retain_available: Option<bool>,
    pub maximum_packet_size: Option<NonZeroU32>,
    pub wildcard_subscriptions_available: Option<bool>,
    pub subscription_ids_available: Option<bool>,
    pub shared_subscriptions_available: Option<bool>,
    /// In SUBSCRIBE only; a PUBLISH has its own list.
    pub subscription_id: Option<SubscriptionId>,
    pub user_properties: UserProperties,
}

/// Which identifiers a packet may carry, one bit each: all of them are below 64.
const fn allowed(packet: PacketType) -> u64 {
    const fn bits(ids: &[u8]) -> u64 {
        let mut bits = 1 << id::USER_PROPERTY;
        let mut at = 0;
        while at < ids.len() {
            bits |= 1 << ids[at];
            at += 1;
        }
        bits
    }
    match packet {
        PacketType::Connect => {
            const BITS: u64 = bits(&[
                id::SESSION_EXPIRY,
                id::AUTHENTICATION_METHOD,
                id::AUTHENTICATION_DATA,
                id::REQUEST_PROBLEM_INFORMATION,
                id::REQUEST_RESPONSE_INFORMATION,
                id::RECEIVE_MAXIMUM,
                id::TOPIC_ALIAS_MAXIMUM,
                id::MAXIMUM_PACKET_SIZE,
            ]);
            BITS
        }
        PacketType::ConnAck => {
            const BITS: u64 = bits(&[
                id::SESSION_EXPIRY,
                id::ASSIGNED_CLIENT_ID,
                id::SERVER_KEEP_ALIVE,
                id::AUTHENTICATION_METHOD,
                id::AUTHENTICATION_DATA,
                id::RESPONSE_INFORMATION,
                id::SERVER_REFERENCE,
                id::REASON_STRING,
                id::RECEIVE_MAXIMUM,
                id::TOPIC_ALIAS_MAXIMUM,
                id::MAXIMUM_QOS,
                id::RETAIN_AVAILABLE,
                id::MAXIMUM_PACKET_SIZE,
                id::WILDCARD_AVAILABLE,
                id::SUBSCRIPTION_IDS_AVAILABLE,
                id::SHARED_AVAILABLE,
            ]);
            BITS
        }
        PacketType::PubAck
        | PacketType::PubRec
        | PacketType::PubRel
        | PacketType::PubComp
        | PacketType::SubAck
        | PacketType::UnsubAck => {
            const BITS: u64 = bits(&[id::REASON_STRING]);
            BITS
        }
        PacketType::Subscribe => {
            const BITS: u64 = bits(&[id::SUBSCRIPTION_ID]);
            BITS
        }
        PacketType::Disconnect => {
            const BITS: u64 = bits(&[id::SESSION_EXPIRY, id::SERVER_REFERENCE, id::REASON_STRING]);
            BITS
        }
        PacketType::Auth => {
            const BITS: u64 =
                bits(&[id::AUTHENTICATION_METHOD, id::AUTHENTICATION_DATA, id::REASON_STRING]);
            BITS
        }
        // PUBLISH has its own decoder; what is left has user properties at most.
        PacketType::Unsubscribe
        | PacketType::Publish
        | PacketType::PingReq
        | PacketType::PingResp => bits(&[]),
    }
}

const NOT_ALLOWED: Malformed = Malformed::Packet("a property is not allowed in this packet");

/// Takes a value that may stand only once in a packet.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Malformed> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Malformed::Protocol("a property is given twice")),
    }
}

fn pair(reader: &mut Reader, pairs: &mut UserProperties, limits: &Limits) -> Result<(), Malformed> {
    if pairs.len() >= usize::from(limits.user_properties_max) {
        return Err(Malformed::TooMany("user properties"));
    }
    pairs.push((reader.text()?, reader.text()?));
    Ok(())
}

fn subscription_id(reader: &mut Reader) -> Result<SubscriptionId, Malformed> {
    SubscriptionId::new(reader.var_int()?)
        .ok_or(Malformed::Protocol("subscription identifier zero"))
}

impl MessageSection {
    /// Reads the section of a PUBLISH, or of a will.
    pub(crate) fn decode(
        reader: &mut Reader,
        will: bool,
        limits: &Limits,
    ) -> Result<Self, Malformed> {
        let mut section = Self::default();
        let mut rest = reader.properties()?;
        while !rest.is_empty() {
            match rest.u8()? {
                id::TOPIC_ALIAS if !will => {
                    let alias = NonZeroU16::new(rest.u16()?).ok_or(Malformed::TopicAlias)?;
                    once(&mut section.topic_alias, alias)?;
                }
                id::SUBSCRIPTION_ID if !will => {
                    if section.subscription_ids.len() >= usize::from(limits.filters_max) {
                        return Err(Malformed::TooMany("subscription identifiers"));
                    }
                    section.subscription_ids.push(subscription_id(&mut rest)?);
                }
                id::WILL_DELAY if will => once(&mut section.will_delay_secs, rest.u32()?)?,
                other => section.message.get_or_insert_default().take(other, &mut rest, limits)?,
            }
        }
        Ok(section)
    }
}

impl MessageProperties {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A copy with bytes of its own, for keeping.
    #[must_use]
    pub fn detached(&self) -> Self {
        let text = |text: &Option<Text>| text.as_ref().map(Text::detached);
        Self {
            payload_is_utf8: self.payload_is_utf8,
            message_expiry_secs: self.message_expiry_secs,
            content_type: text(&self.content_type),
            response_topic: text(&self.response_topic),
            correlation_data: self.correlation_data.as_ref().map(Binary::detached),
            user_properties: self
                .user_properties
                .iter()
                .map(|(name, value)| (name.detached(), value.detached()))
                .collect(),
        }
    }

    /// Appends the properties in their wire form, without a length before them.
    pub fn encode(&self, out: &mut BytesMut) {
        self.write(out);
    }

    /// Reads back what [`Self::encode`] wrote: the whole of `bytes`.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when that is not a run of message properties.
    pub fn decode(bytes: Bytes, limits: &Limits) -> Result<Self, Malformed> {
        let mut properties = Self::default();
        let mut rest = Reader::new(bytes);
        while !rest.is_empty() {
            let id = rest.u8()?;
            properties.take(id, &mut rest, limits)?;
        }
        Ok(properties)
    }

    fn take(&mut self, id: u8, rest: &mut Reader, limits: &Limits) -> Result<(), Malformed> {
        match id {
            id::PAYLOAD_FORMAT => once(&mut self.payload_is_utf8, rest.flag()?),
            id::MESSAGE_EXPIRY => once(&mut self.message_expiry_secs, rest.u32()?),
            id::CONTENT_TYPE => once(&mut self.content_type, rest.text()?),
            id::RESPONSE_TOPIC => {
                let topic = rest.text()?;
                if topic.is_empty() || topic.has_wildcard() {
                    return Err(Malformed::Protocol("the response topic is not a topic name"));
                }
                once(&mut self.response_topic, topic)
            }
            id::CORRELATION_DATA => once(&mut self.correlation_data, rest.binary()?),
            id::USER_PROPERTY => pair(rest, &mut self.user_properties, limits),
            _ => Err(NOT_ALLOWED),
        }
    }
}

impl Properties {
    /// Reads a packet's property section; `None` when nothing is in it.
    pub(crate) fn decode(
        packet: PacketType,
        reader: &mut Reader,
        limits: &Limits,
    ) -> Result<Option<Box<Self>>, Malformed> {
        let allowed = allowed(packet);
        let mut rest = reader.properties()?;
        if rest.is_empty() {
            return Ok(None);
        }
        let mut properties = Box::<Self>::default();
        while !rest.is_empty() {
            let id = rest.u8()?;
            if id >= 64 || allowed & (1 << id) == 0 {
                return Err(NOT_ALLOWED);
            }
            properties.take(id, &mut rest, limits)?;
        }
        // MQTT 5.0 §3.1.2.11.10.
        if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
            return Err(Malformed::Protocol("authentication data without a method"));
        }
        Ok(Some(properties))
    }

    fn take(&mut self, id: u8, rest: &mut Reader, limits: &Limits) -> Result<(), Malformed> {
        match id {
            id::SESSION_EXPIRY => once(&mut self.session_expiry_secs, rest.u32()?),
            id::ASSIGNED_CLIENT_ID => once(&mut self.assigned_client_id, rest.text()?),
            id::SERVER_KEEP_ALIVE => once(&mut self.server_keep_alive_secs, rest.u16()?),
            id::AUTHENTICATION_METHOD => once(&mut self.authentication_method, rest.text()?),
            id::AUTHENTICATION_DATA => once(&mut self.authentication_data, rest.binary()?),
            id::REQUEST_PROBLEM_INFORMATION => {
                once(&mut self.request_problem_information, rest.flag()?)
            }
            id::REQUEST_RESPONSE_INFORMATION => {
                once(&mut self.request_response_information, rest.flag()?)
            }
            id::RESPONSE_INFORMATION => once(&mut self.response_information, rest.text()?),
            id::SERVER_REFERENCE => once(&mut self.server_reference, rest.text()?),
            id::REASON_STRING => once(&mut self.reason_string, rest.text()?),
            id::RECEIVE_MAXIMUM => {
                let value = NonZeroU16::new(rest.u16()?)
                    .ok_or(Malformed::Protocol("receive maximum zero"))?;
                once(&mut self.receive_maximum, value)
            }
            id::TOPIC_ALIAS_MAXIMUM => once(&mut self.topic_alias_maximum, rest.u16()?),
            id::MAXIMUM_QOS => {
                let qos = if rest.flag()? { Qos::AtLeastOnce } else { Qos::AtMostOnce };
                once(&mut self.maximum_qos, qos)
            }
            id::RETAIN_AVAILABLE => once(&mut self.retain_available, rest.flag()?),
            id::MAXIMUM_PACKET_SIZE => {
                let value = NonZeroU32::new(rest.u32()?)
                    .ok_or(Malformed::Protocol("maximum packet size zero"))?;
                once(&mut self.maximum_packet_size, value)
            }
            id::WILDCARD_AVAILABLE => {
                once(&mut self.wildcard_subscriptions_available, rest.flag()?)
            }
            id::SUBSCRIPTION_IDS_AVAILABLE => {
                once(&mut self.subscription_ids_available, rest.flag()?)
            }
            id::SHARED_AVAILABLE => once(&mut self.shared_subscriptions_available, rest.flag()?),
            id::SUBSCRIPTION_ID => once(&mut self.subscription_id, subscription_id(rest)?),
            id::USER_PROPERTY => pair(rest, &mut self.user_properties, limits),
            _ => Err(NOT_ALLOWED),
        }
    }
}

/// Writes optional properties: `[identifier][value]`, or nothing.
trait PropertySink: Sink {
    fn flag_property(&mut self, id: u8, value: Option<bool>) {
        if let Some(value) = value {
            self.put(&[id, u8::from(value)]);
        }
    }

    fn u16_property(&mut self, id: u8, value: Option<u16>) {
        if let Some(value) = value {
            self.u8(id);
            self.u16(value);
        }
    }

    fn u32_property(&mut self, id: u8, value: Option<u32>) {
        if let Some(value) = value {
            self.u8(id);
            self.u32(value);
        }
    }

    fn text_property(&mut self, id: u8, value: Option<&Text>) {
        if let Some(value) = value {
            self.u8(id);
            self.text(value);
        }
    }

    fn binary_property(&mut self, id: u8, value: Option<&Binary>) {
        if let Some(value) = value {
            self.u8(id);
            self.binary(value);
        }
    }

    fn subscription_id_property(&mut self, value: SubscriptionId) {
        self.u8(id::SUBSCRIPTION_ID);
        self.var_int(value.get() as usize);
    }

    fn user_properties(&mut self, pairs: &UserProperties) {
        for (name, value) in pairs {
            self.u8(id::USER_PROPERTY);
            self.text(name);
            self.text(value);
        }
    }
}

impl<S: Sink> PropertySink for S {}

impl Body for MessageProperties {
    fn write<S: Sink>(&self, sink: &mut S) {
        sink.flag_property(id::PAYLOAD_FORMAT, self.payload_is_utf8);
        sink.u32_property(id::MESSAGE_EXPIRY, self.message_expiry_secs);
        sink.text_property(id::CONTENT_TYPE, self.content_type.as_ref());
        sink.text_property(id::RESPONSE_TOPIC, self.response_topic.as_ref());
        sink.binary_property(id::CORRELATION_DATA, self.correlation_data.as_ref());
        sink.user_properties(&self.user_properties);
    }
}

impl Body for Properties {
    fn write<S: Sink>(&self, sink: &mut S) {
        sink.u32_property(id::SESSION_EXPIRY, self.session_expiry_secs);
        sink.text_property(id::ASSIGNED_CLIENT_ID, self.assigned_client_id.as_ref());
        sink.u16_property(id::SERVER_KEEP_ALIVE, self.server_keep_alive_secs);
        sink.text_property(id::AUTHENTICATION_METHOD, self.authentication_method.as_ref());
        sink.binary_property(id::AUTHENTICATION_DATA, self.authentication_data.as_ref());
        sink.flag_property(id::REQUEST_PROBLEM_INFORMATION, self.request_problem_information);
        sink.flag_property(id::REQUEST_RESPONSE_INFORMATION, self.request_response_information);
        sink.text_property(id::RESPONSE_INFORMATION, self.response_information.as_ref());
        sink.text_property(id::SERVER_REFERENCE, self.server_reference.as_ref());
        sink.text_property(id::REASON_STRING, self.reason_string.as_ref());
        sink.u16_property(id::RECEIVE_MAXIMUM, self.receive_maximum.map(NonZeroU16::get));
        sink.u16_property(id::TOPIC_ALIAS_MAXIMUM, self.topic_alias_maximum);
        let one = self.maximum_qos.filter(|&qos| qos != Qos::ExactlyOnce);
        sink.flag_property(id::MAXIMUM_QOS, one.map(|qos| qos == Qos::AtLeastOnce));
        sink.flag_property(id::RETAIN_AVAILABLE, self.retain_available);
        sink.u32_property(id::MAXIMUM_PACKET_SIZE, self.maximum_packet_size.map(NonZeroU32::get));
        sink.flag_property(id::WILDCARD_AVAILABLE, self.wildcard_subscriptions_available);
        sink.flag_property(id::SUBSCRIPTION_IDS_AVAILABLE, self.subscription_ids_available);
        sink.flag_property(id::SHARED_AVAILABLE, self.shared_subscriptions_available);
        if let Some(id) = self.subscription_id {
            sink.subscription_id_property(id);
        }
        sink.user_properties(&self.user_properties);
    }
}

/// Writes a length and the properties; only the length when there are none.
pub(crate) fn write_section<S: Sink>(properties: Option<&Properties>, sink: &mut S) {
    match properties {
        None => sink.var_int(0),
        Some(properties) => {
            sink.var_int(properties.size());
            properties.write(sink);
        }
    }
}

/// The properties of one PUBLISH on its way out.
#[derive(Debug)]
pub(crate) struct PublishSection<'a> {
    pub(crate) topic_alias: Option<NonZeroU16>,
    pub(crate) subscription_ids: &'a [SubscriptionId],
    pub(crate) message: Option<&'a MessageProperties>,
    pub(crate) encoded: &'a [u8],
}

impl Body for PublishSection<'_> {
    fn write<S: Sink>(&self, sink: &mut S) {
        sink.u16_property(id::TOPIC_ALIAS, self.topic_alias.map(NonZeroU16::get));
        for &id in self.subscription_ids {
            sink.subscription_id_property(id);
        }
        if let Some(message) = self.message {
            message.write(sink);
        }
        sink.put(self.encoded);
    }
}

/// The properties of a will on their way out.
#[derive(Debug)]
pub(crate) struct WillSection<'a> {
    pub(crate) delay_secs: u32,
    pub(crate) message: Option<&'a MessageProperties>,
}

impl Body for WillSection<'_> {
    fn write<S: Sink>(&self, sink: &mut S) {
        sink.u32_property(id::WILL_DELAY, Some(self.delay_secs).filter(|&delay| delay != 0));
        if let Some(message) = self.message {
            message.write(sink);
        }
    }
}
