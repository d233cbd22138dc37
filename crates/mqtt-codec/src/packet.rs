//! The packets, and the way in and out of bytes for all of them.

use std::num::NonZeroU16;

use bytes::BytesMut;

use crate::frame::{self, Frame};
use crate::reader::Reader;
use crate::sink;
use crate::{
    Ack, Auth, ConnAck, Connect, Disconnect, EncodeError, Limits, Malformed, PacketType, Publish,
    SubAck, Subscribe, UnsubAck, Unsubscribe, Version,
};

/// Packet identifier; zero is not a valid one on the wire [MQTT-2.2.1-3].
pub type PacketId = NonZeroU16;

/// Quality of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Qos {
    /// Delivered once or not at all.
    #[default]
    AtMostOnce = 0,
    /// Acknowledged with PUBACK.
    AtLeastOnce = 1,
    /// Acknowledged with PUBREC, PUBREL and PUBCOMP.
    ExactlyOnce = 2,
}

impl Qos {
    /// The level with this number, if there is one.
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn as_u8(self) -> u8 {
        self as u8
    }
}

/// One control packet of any version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// The client wants a connection.
    Connect(Box<Connect>),
    /// The server's answer to it.
    ConnAck(ConnAck),
    /// A message.
    Publish(Publish),
    /// Answers a QoS 1 PUBLISH.
    PubAck(Ack),
    /// Answers a QoS 2 PUBLISH: received.
    PubRec(Ack),
    /// Answers a PUBREC: release it.
    PubRel(Ack),
    /// Answers a PUBREL: complete.
    PubComp(Ack),
    /// The client subscribes.
    Subscribe(Subscribe),
    /// The server's answer to it.
    SubAck(SubAck),
    /// The client unsubscribes.
    Unsubscribe(Unsubscribe),
    /// The server's answer to it.
    UnsubAck(UnsubAck),
    /// The client is alive.
    PingReq,
    /// So is the server.
    PingResp,
    /// Goodbye, from the client or (MQTT 5) the server.
    Disconnect(Disconnect),
    /// A step of enhanced authentication (MQTT 5).
    Auth(Auth),
}

/// Takes the next packet off the buffer; `None` when it is not all there yet.
///
/// Strings and payloads are slices of the buffer, nothing is copied. The size is checked against
/// `limits` as soon as the fixed header is there, before the body is.
///
/// # Errors
///
/// [`Malformed`]: the connection must end.
#[inline]
pub fn decode(
    buffer: &mut BytesMut,
    version: Version,
    limits: &Limits,
) -> Result<Option<Packet>, Malformed> {
    let Some(frame) = frame::take(buffer, limits.packet_bytes_max)? else { return Ok(None) };
    let Frame { packet, flags, body, .. } = frame.checked(version)?;
    let body = &mut Reader::new(body);
    let ack = |body: &mut Reader| Ack::decode(packet, body, version, limits);
    Ok(Some(match packet {
        PacketType::Connect => Packet::Connect(Box::new(Connect::decode(body, limits)?)),
        PacketType::ConnAck => Packet::ConnAck(ConnAck::decode(body, version, limits)?),
        PacketType::Publish => Packet::Publish(Publish::decode(flags, body, version, limits)?),
        PacketType::PubAck => Packet::PubAck(ack(body)?),
        PacketType::PubRec => Packet::PubRec(ack(body)?),
        PacketType::PubRel => Packet::PubRel(ack(body)?),
        PacketType::PubComp => Packet::PubComp(ack(body)?),
        PacketType::Subscribe => Packet::Subscribe(Subscribe::decode(body, version, limits)?),
        PacketType::SubAck => Packet::SubAck(SubAck::decode(body, version, limits)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(body, version, limits)?),
        PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::decode(body, version, limits)?),
        PacketType::PingReq => body.finish().map(|()| Packet::PingReq)?,
        PacketType::PingResp => body.finish().map(|()| Packet::PingResp)?,
        PacketType::Disconnect => Packet::Disconnect(Disconnect::decode(body, version, limits)?),
        PacketType::Auth => Packet::Auth(Auth::decode(body, version, limits)?),
    }))
}

/// Takes the first packet off a new connection's buffer, which must be a CONNECT
/// [MQTT-3.1.0-1]; `None` when it is not all there yet.
///
/// The version of everything after it is [`Connect::version`].
///
/// # Errors
///
/// [`Malformed`]: another packet (told by the first byte alone), one above
/// [`Limits::connect_bytes_max`], or a CONNECT that is wrong in itself.
pub fn decode_connect(
    buffer: &mut BytesMut,
    limits: &Limits,
) -> Result<Option<Connect>, Malformed> {
    match buffer.first() {
        None => return Ok(None),
        Some(first) if first >> 4 == PacketType::Connect as u8 => {}
        Some(_) => return Err(Malformed::Protocol("the first packet is not a CONNECT")),
    }
    let max = limits.connect_bytes_max.min(limits.packet_bytes_max);
    let Some(frame) = frame::take(buffer, max)? else { return Ok(None) };
    let (flags, shortest) = (frame.flags, frame.shortest);
    let connect = Connect::decode(&mut Reader::new(frame.body), limits)?;
    if flags != 0 && connect.version != Version::V31 {
        return Err(Malformed::Packet("reserved flags are not as set"));
    }
    if connect.version.is_v5() && !shortest {
        return Err(Malformed::Packet("an integer is longer than it needs to be"));
    }
    Ok(Some(connect))
}

impl Packet {
    /// Appends the packet's bytes to `out`.
    ///
    /// What the version has no field for is left out: properties, reason codes.
    ///
    /// # Errors
    ///
    /// [`EncodeError`]; nothing is written then.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        match self {
            Self::Connect(connect) => connect.encode(out),
            Self::ConnAck(connack) => connack.encode(version, out),
            Self::Publish(publish) => publish.encode(version, out),
            Self::PubAck(ack) => ack.encode(PacketType::PubAck, version, out),
            Self::PubRec(ack) => ack.encode(PacketType::PubRec, version, out),
            Self::PubRel(ack) => ack.encode(PacketType::PubRel, version, out),
            Self::PubComp(ack) => ack.encode(PacketType::PubComp, version, out),
            Self::Subscribe(subscribe) => subscribe.encode(version, out),
            Self::SubAck(suback) => suback.encode(version, out),
            Self::Unsubscribe(unsubscribe) => unsubscribe.encode(version, out),
            Self::UnsubAck(unsuback) => unsuback.encode(version, out),
            Self::PingReq => sink::write_header(PacketType::PingReq.first_byte(), 0, 0, out),
            Self::PingResp => sink::write_header(PacketType::PingResp.first_byte(), 0, 0, out),
            Self::Disconnect(disconnect) => disconnect.encode(version, out),
            Self::Auth(auth) => auth.encode(version, out),
        }
    }
}
