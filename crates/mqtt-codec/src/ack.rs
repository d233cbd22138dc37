//! PUBACK, PUBREC, PUBREL and PUBCOMP: one shape, four types.
//!
//! ```text
//! [type and flags][remaining length][packet identifier: u16 BE]
//! [reason code: u8, MQTT 5, left out when 0x00 and no properties][properties, left out when none]
//! ```

use bytes::BytesMut;

use crate::property;
use crate::reader::Reader;
use crate::sink::{self, Body, Sink};
use crate::{
    EncodeError, Limits, Malformed, PacketId, PacketType, Properties, ReasonCode, Version,
};

/// A step of the exchange that follows a PUBLISH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The identifier of the PUBLISH.
    pub packet_id: PacketId,
    /// Outcome; always success before MQTT 5.
    pub code: ReasonCode,
    /// Properties, MQTT 5.
    pub properties: Option<Box<Properties>>,
}

impl Ack {
    /// A step without properties.
    pub const fn new(packet_id: PacketId, code: ReasonCode) -> Self {
        Self { packet_id, code, properties: None }
    }

    pub(crate) fn decode(
        packet: PacketType,
        body: &mut Reader,
        version: Version,
        limits: &Limits,
    ) -> Result<Self, Malformed> {
        let packet_id = body.packet_id()?;
        let mut ack = Self::new(packet_id, ReasonCode::Success);
        if version.is_v5() {
            (ack.code, ack.properties) = decode_outcome(packet, body, limits)?;
        }
        body.finish()?;
        Ok(ack)
    }

    /// Appends the packet's bytes to `out`, as the one of the four types that `packet` says.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`]; nothing is written then.
    pub fn encode(
        &self,
        packet: PacketType,
        version: Version,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        let body = AckBody { ack: self, version };
        sink::write_packet(packet.first_byte(), &body, out)
    }
}

struct AckBody<'a> {
    ack: &'a Ack,
    version: Version,
}

impl Body for AckBody<'_> {
    fn write<S: Sink>(&self, sink: &mut S) {
        sink.packet_id(self.ack.packet_id);
        if self.version.is_v5() {
            write_outcome(self.ack.code, self.ack.properties.as_deref(), sink);
        }
    }
}

/// Reads a reason code that may be left out, and properties that may be left out after it.
pub(crate) fn decode_outcome(
    packet: PacketType,
    body: &mut Reader,
    limits: &Limits,
) -> Result<(ReasonCode, Option<Box<Properties>>), Malformed> {
    if body.is_empty() {
        return Ok((ReasonCode::Success, None));
    }
    let code = decode_code(packet, body)?;
    if body.is_empty() {
        return Ok((code, None));
    }
    Ok((code, Properties::decode(packet, body, limits)?))
}

/// Reads a reason code that the packet may carry.
pub(crate) fn decode_code(packet: PacketType, body: &mut Reader) -> Result<ReasonCode, Malformed> {
    ReasonCode::from_u8(body.u8()?)
        .filter(|code| code.is_valid_in(packet))
        .ok_or(Malformed::Packet("a reason code is not one of this packet's"))
}

/// Writes reason code and properties in their shortest form.
pub(crate) fn write_outcome<S: Sink>(
    code: ReasonCode,
    properties: Option<&Properties>,
    sink: &mut S,
) {
    if code == ReasonCode::Success && properties.is_none() {
        return;
    }
    sink.u8(code.as_u8());
    if properties.is_some() {
        property::write_section(properties, sink);
    }
}
