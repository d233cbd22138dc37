//! The fixed header, and the checks that come before a body is waited for.
//!
//! ```text
//! [type: 4 bits][flags: 4 bits][remaining length: 1..4 bytes, 7 bits each, low first][body]
//! ```

use bytes::{Bytes, BytesMut};

use crate::{Malformed, Version};

/// The kind of a packet: the upper half of its first byte (MQTT 5.0 §2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the specification's own names")]
pub enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    const fn from_first_byte(byte: u8) -> Option<Self> {
        match byte >> 4 {
            1 => Some(Self::Connect),
            2 => Some(Self::ConnAck),
            3 => Some(Self::Publish),
            4 => Some(Self::PubAck),
            5 => Some(Self::PubRec),
            6 => Some(Self::PubRel),
            7 => Some(Self::PubComp),
            8 => Some(Self::Subscribe),
            9 => Some(Self::SubAck),
            10 => Some(Self::Unsubscribe),
            11 => Some(Self::UnsubAck),
            12 => Some(Self::PingReq),
            13 => Some(Self::PingResp),
            14 => Some(Self::Disconnect),
            15 => Some(Self::Auth),
            _ => None,
        }
    }

    /// The first byte of a packet of this type with its reserved flags (not for PUBLISH).
    pub(crate) const fn first_byte(self) -> u8 {
        let flags = match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            Self::Connect
            | Self::ConnAck
            | Self::Publish
            | Self::PubAck
            | Self::PubRec
            | Self::PubComp
            | Self::SubAck
            | Self::UnsubAck
            | Self::PingReq
            | Self::PingResp
            | Self::Disconnect
            | Self::Auth => 0,
        };
        (self as u8) << 4 | flags
    }
}

/// What is accepted from the peer. Every count here bounds memory that the peer could grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest packet, fixed header included: the Maximum Packet Size of MQTT 5.
    pub packet_bytes_max: u32,
    /// The largest CONNECT; nobody has been authenticated by then.
    pub connect_bytes_max: u32,
    /// User properties in one packet (and in its will).
    pub user_properties_max: u16,
    /// Filters in one SUBSCRIBE or UNSUBSCRIBE, reason codes in its answer.
    pub filters_max: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes_max: 1024 * 1024 + 64 * 1024,
            connect_bytes_max: 64 * 1024,
            user_properties_max: 1024,
            filters_max: 8192,
        }
    }
}

/// A whole packet cut from the buffer.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) packet: PacketType,
    /// The lower half of the first byte.
    pub(crate) flags: u8,
    /// Whether the remaining length is in its shortest form, as MQTT 5 wants it.
    pub(crate) shortest: bool,
    pub(crate) body: Bytes,
}

struct Header {
    bytes: usize,
    remaining: usize,
    shortest: bool,
}

/// Reads the remaining length; `None` when more bytes are needed.
#[inline]
fn header(buffer: &[u8]) -> Result<Option<Header>, Malformed> {
    let mut remaining = 0usize;
    for position in 0..4usize {
        let Some(&byte) = buffer.get(1 + position) else { return Ok(None) };
        remaining |= usize::from(byte & 0x7F) << (7 * position);
        if byte & 0x80 == 0 {
            let shortest = byte != 0 || position == 0;
            return Ok(Some(Header { bytes: 2 + position, remaining, shortest }));
        }
    }
    Err(Malformed::Packet("the remaining length is longer than four bytes"))
}

/// Takes one packet off the buffer, `None` when it is not all there yet.
///
/// Size and type are checked as soon as the header is there.
#[inline]
pub(crate) fn take(
    buffer: &mut BytesMut,
    packet_bytes_max: u32,
) -> Result<Option<Frame>, Malformed> {
    let Some(&first) = buffer.first() else { return Ok(None) };
    let packet = PacketType::from_first_byte(first).ok_or(Malformed::Packet("packet type 0"))?;
    let Some(header) = header(buffer)? else { return Ok(None) };
    let size = header.bytes + header.remaining;
    if size as u64 > u64::from(packet_bytes_max) {
        return Err(Malformed::TooLarge { size: size as u64, max: packet_bytes_max });
    }
    if buffer.len() < size {
        return Ok(None);
    }
    let mut body = buffer.split_to(size).freeze();
    bytes::Buf::advance(&mut body, header.bytes);
    Ok(Some(Frame { packet, flags: first & 0x0F, shortest: header.shortest, body }))
}

impl Frame {
    /// Passes the frame on if its fixed header is right beyond type and size.
    #[inline]
    pub(crate) fn checked(self, version: Version) -> Result<Self, Malformed> {
        if version.is_v5() && !self.shortest {
            return Err(Malformed::Packet("an integer is longer than it needs to be"));
        }
        // MQTT 3.1 leaves unused flags unspecified, and has DUP in some of these (§2.1).
        let fixed = self.packet != PacketType::Publish && version != Version::V31;
        // [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1]
        if fixed && self.flags != self.packet.first_byte() & 0x0F {
            return Err(Malformed::Packet("reserved flags are not as set"));
        }
        Ok(self)
    }
}
