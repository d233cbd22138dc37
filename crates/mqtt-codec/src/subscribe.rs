//! SUBSCRIBE, UNSUBSCRIBE and their answers.
//!
//! ```text
//! SUBSCRIBE   [0x82][remaining length][packet identifier][properties, MQTT 5]
//!             ([filter][options: u8])*        at least one [MQTT-3.8.3-2]
//! SUBACK      [0x90][remaining length][packet identifier][properties, MQTT 5][code: u8]*
//! UNSUBSCRIBE [0xA2][remaining length][packet identifier][properties, MQTT 5][filter]*
//! UNSUBACK    [0xB0][remaining length][packet identifier]([properties][code: u8]*, MQTT 5)
//! ```
//!
//! Whether a filter is well formed is not looked at here: a server may answer it per filter.

use bytes::BytesMut;

use crate::ack::decode_code;
use crate::property;
use crate::reader::Reader;
use crate::sink::{self, Body, Sink};
use crate::{
    EncodeError, Limits, Malformed, PacketId, PacketType, Properties, Qos, ReasonCode, Text,
    Version,
};

/// What is sent of the retained messages when a subscription is made (MQTT 5.0 §3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainHandling {
    /// All that match.
    #[default]
    Send,
    /// All that match, if the subscription is new.
    SendIfNew,
    /// None.
    DoNotSend,
}

/// How a subscription is to be served; before MQTT 5 only the QoS can be said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// Maximum QoS.
    pub qos: Qos,
    /// Not what the subscriber published itself.
    pub no_local: bool,
    /// Forward the RETAIN flag as it was published.
    pub retain_as_published: bool,
    /// What to do with retained messages.
    pub retain_handling: RetainHandling,
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Topic filter, not empty, otherwise unchecked.
    pub filter: Text,
    /// Its options.
    pub options: SubscriptionOptions,
}

/// The client subscribes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Repeated in SUBACK.
    pub packet_id: PacketId,
    /// One or more filters.
    pub subscriptions: Vec<Subscription>,
    /// Subscription identifier and user properties, MQTT 5.
    pub properties: Option<Box<Properties>>,
}

/// Answers a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck {
    /// The identifier of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// One for each filter, in order [MQTT-3.8.4-6].
    pub codes: Vec<ReasonCode>,
    /// Properties, MQTT 5.
    pub properties: Option<Box<Properties>>,
}

/// The client unsubscribes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Repeated in UNSUBACK.
    pub packet_id: PacketId,
    /// One or more filters, not empty, otherwise unchecked.
    pub filters: Vec<Text>,
    /// User properties, MQTT 5.
    pub properties: Option<Box<Properties>>,
}

/// Answers an UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsubAck {
    /// The identifier of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// One for each filter, in order; none before MQTT 5 [MQTT-3.11.3-1].
    pub codes: Vec<ReasonCode>,
    /// Properties, MQTT 5.
    pub properties: Option<Box<Properties>>,
}

impl SubscriptionOptions {
    fn decode(byte: u8, version: Version) -> Result<Self, Malformed> {
        let reserved = match version {
            Version::V31 => 0,
            Version::V311 => 0b1111_1100, // [MQTT311-3.8.3-4]
            Version::V5 => 0b1100_0000,   // [MQTT-3.8.3-5]
        };
        if byte & reserved != 0 {
            return Err(Malformed::Packet("a reserved subscription option is set"));
        }
        let qos = Qos::from_u8(byte & 0b11).ok_or(Malformed::Protocol("maximum QoS 3"))?;
        if !version.is_v5() {
            return Ok(Self { qos, ..Self::default() });
        }
        let retain_handling = match byte >> 4 & 0b11 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(Malformed::Protocol("retain handling 3")),
        };
        Ok(Self {
            qos,
            no_local: byte & 0b0100 != 0,
            retain_as_published: byte & 0b1000 != 0,
            retain_handling,
        })
    }

    const fn byte(self, version: Version) -> u8 {
        if !version.is_v5() {
            return self.qos.as_u8();
        }
        let retain_handling = match self.retain_handling {
            RetainHandling::Send => 0,
            RetainHandling::SendIfNew => 1,
            RetainHandling::DoNotSend => 2,
        };
        self.qos.as_u8()
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | retain_handling << 4
    }
}

/// Reads the part that all four packets begin with.
fn decode_head(
    packet: PacketType,
    body: &mut Reader,
    version: Version,
    limits: &Limits,
) -> Result<(PacketId, Option<Box<Properties>>), Malformed> {
    let packet_id = body.packet_id()?;
    let properties = if version.is_v5() { Properties::decode(packet, body, limits)? } else { None };
    Ok((packet_id, properties))
}

/// Reads filters or codes up to the end of the packet.
fn decode_list<T>(
    body: &mut Reader,
    limits: &Limits,
    mut item: impl FnMut(&mut Reader) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut list = Vec::new();
    while !body.is_empty() {
        if list.len() >= usize::from(limits.filters_max) {
            return Err(Malformed::TooMany("filters"));
        }
        list.push(item(body)?);
    }
    Ok(list)
}

/// Reads one filter, which has at least one character [MQTT-4.7.3-1].
fn decode_filter(body: &mut Reader) -> Result<Text, Malformed> {
    let filter = body.text()?;
    if filter.is_empty() { Err(Malformed::Protocol("an empty filter")) } else { Ok(filter) }
}

fn write_head<S: Sink>(
    packet_id: PacketId,
    properties: Option<&Properties>,
    version: Version,
    sink: &mut S,
) {
    sink.packet_id(packet_id);
    if version.is_v5() {
        property::write_section(properties, sink);
    }
}

impl Subscribe {
    pub(crate) fn decode(
        body: &mut Reader,
        version: Version,
        limits: &Limits,
    ) -> Result<Self, Malformed> {
        let (packet_id, properties) = decode_head(PacketType::Subscribe, body, version, limits)?;
        let subscriptions = decode_list(body, limits, |body| {
            let filter = decode_filter(body)?;
            let options = SubscriptionOptions::decode(body.u8()?, version)?;
            Ok(Subscription { filter, options })
        })?;
        if subscriptions.is_empty() {
            return Err(Malformed::Protocol("SUBSCRIBE without a filter")); // [MQTT-3.8.3-2]
        }
        Ok(Self { packet_id, subscriptions, properties })
    }

    /// Appends the packet's bytes to `out`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`]; nothing is written then.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        sink::write_packet(PacketType::Subscribe.first_byte(), &In(self, version), out)
    }
}

impl SubAck {
    pub(crate) fn decode(
        body: &mut Reader,
        version: Version,
        limits: &Limits,
    ) -> Result<Self, Malformed> {
        let (packet_id, properties) = decode_head(PacketType::SubAck, body, version, limits)?;
        let codes = decode_list(body, limits, |body| {
            if version.is_v5() {
                return decode_code(PacketType::SubAck, body);
            }
            match body.u8()? {
                0 => Ok(ReasonCode::Success),
                1 => Ok(ReasonCode::GrantedQos1),
                2 => Ok(ReasonCode::GrantedQos2),
                0x80 => Ok(ReasonCode::UnspecifiedError),
                _ => Err(Malformed::Packet("unknown SUBACK code")), // [MQTT311-3.9.3-2]
            }
        })?;
        Ok(Self { packet_id, codes, properties })
    }

    /// Appends the packet's bytes to `out`; before MQTT 5 every failure is 0x80.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`]; nothing is written then.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        sink::write_packet(PacketType::SubAck.first_byte(), &In(self, version), out)
    }
}

impl Unsubscribe {
    pub(crate) fn decode(
        body: &mut Reader,
        version: Version,
        limits: &Limits,
    ) -> Result<Self, Malformed> {
        let (packet_id, properties) = decode_head(PacketType::Unsubscribe, body, version, limits)?;
        let filters = decode_list(body, limits, decode_filter)?;
        if filters.is_empty() {
            return Err(Malformed::Protocol("UNSUBSCRIBE without a filter")); // [MQTT-3.10.3-2]
        }
        Ok(Self { packet_id, filters, properties })
    }

    /// Appends the packet's bytes to `out`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`]; nothing is written then.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        sink::write_packet(PacketType::Unsubscribe.first_byte(), &In(self, version), out)
    }
}

impl UnsubAck {
    pub(crate) fn decode(
        body: &mut Reader,
        version: Version,
        limits: &Limits,
    ) -> Result<Self, Malformed> {
        let (packet_id, properties) = decode_head(PacketType::UnsubAck, body, version, limits)?;
        if !version.is_v5() {
            body.finish()?;
        }
        let codes = decode_list(body, limits, |body| decode_code(PacketType::UnsubAck, body))?;
        Ok(Self { packet_id, codes, properties })
    }

    /// Appends the packet's bytes to `out`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`]; nothing is written then.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        sink::write_packet(PacketType::UnsubAck.first_byte(), &In(self, version), out)
    }
}

/// A packet in the version it is written in.
struct In<'a, T>(&'a T, Version);

impl Body for In<'_, Subscribe> {
    fn write<S: Sink>(&self, sink: &mut S) {
        let Self(subscribe, version) = *self;
        write_head(subscribe.packet_id, subscribe.properties.as_deref(), version, sink);
        for Subscription { filter, options } in &subscribe.subscriptions {
            sink.text(filter);
            sink.u8(options.byte(version));
        }
    }
}

impl Body for In<'_, SubAck> {
    fn write<S: Sink>(&self, sink: &mut S) {
        let Self(suback, version) = *self;
        write_head(suback.packet_id, suback.properties.as_deref(), version, sink);
        for code in &suback.codes {
            let byte = code.as_u8();
            sink.u8(if version.is_v5() { byte } else { byte.min(0x80) });
        }
    }
}

impl Body for In<'_, Unsubscribe> {
    fn write<S: Sink>(&self, sink: &mut S) {
        let Self(unsubscribe, version) = *self;
        write_head(unsubscribe.packet_id, unsubscribe.properties.as_deref(), version, sink);
        for filter in &unsubscribe.filters {
            sink.text(filter);
        }
    }
}

impl Body for In<'_, UnsubAck> {
    fn write<S: Sink>(&self, sink: &mut S) {
        let Self(unsuback, version) = *self;
        write_head(unsuback.packet_id, unsuback.properties.as_deref(), version, sink);
        if version.is_v5() {
            for code in &unsuback.codes {
                sink.u8(code.as_u8());
            }
        }
    }
}
