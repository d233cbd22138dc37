//! CONNECT and CONNACK.
//!
//! ```text
//! CONNECT [0x10][remaining length][protocol name][level: u8][flags: u8][keep alive: u16 BE]
//!         [properties, MQTT 5][client identifier]
//!         [will properties, MQTT 5][will topic][will payload][user name][password]   (by flags)
//! CONNACK [0x20][remaining length][session present: u8][code: u8][properties, MQTT 5]
//! ```

use bytes::BytesMut;

use crate::property::{self, MessageSection, WillSection};
use crate::reader::Reader;
use crate::sink::{self, Body, Sink};
use crate::{
    Binary, EncodeError, Limits, Malformed, MessageProperties, PacketType, Properties, Qos,
    ReasonCode, Text, Version,
};

const USER_NAME: u8 = 0b1000_0000;
const PASSWORD: u8 = 0b0100_0000;
const WILL_RETAIN: u8 = 0b0010_0000;
const WILL: u8 = 0b0000_0100;
const CLEAN_START: u8 = 0b0000_0010;
const RESERVED: u8 = 0b0000_0001;

/// The first packet of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The version that client and server will speak.
    pub version: Version,
    /// Begin with an empty session (Clean Session before MQTT 5).
    pub clean_start: bool,
    /// Seconds; zero switches keep alive off.
    pub keep_alive_secs: u16,
    /// May be empty: the server then assigns one, where the version lets it.
    pub client_id: Text,
    /// To be published when the client goes without saying goodbye.
    pub will: Option<Box<Will>>,
    /// User name.
    pub user_name: Option<Text>,
    /// Password.
    pub password: Option<Binary>,
    /// Properties, MQTT 5.
    pub properties: Option<Box<Properties>>,
}

/// The protocol level that a CONNECT at the front of the buffer names, before it is decoded.
///
/// For the answer to one that turns out to be malformed: its form depends on the version.
pub fn level_of(buffer: &[u8]) -> Option<u8> {
    let body = buffer.get(1..)?;
    let length = body.iter().take(4).position(|byte| byte & 0x80 == 0)? + 1;
    let (name_length, name) = body.get(length..)?.split_first_chunk::<2>()?;
    name.get(usize::from(u16::from_be_bytes(*name_length))).copied()
}

/// The message that a client leaves with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Topic name, without wildcards and not empty.
    pub topic: Text,
    /// Payload; its length field makes it 65,535 bytes at most.
    pub payload: Binary,
    /// QoS to publish it with.
    pub qos: Qos,
    /// Publish it as a retained message.
    pub retain: bool,
    /// Seconds between the end of the connection and its publication, MQTT 5.
    pub delay_secs: u32,
    /// The message's own properties, MQTT 5.
    pub properties: Option<Box<MessageProperties>>,
}

impl Connect {
    /// A CONNECT with a clean start and nothing else.
    pub const fn new(version: Version, client_id: Text, keep_alive_secs: u16) -> Self {
        Self {
            version,
            clean_start: true,
            keep_alive_secs,
            client_id,
            will: None,
            user_name: None,
            password: None,
            properties: None,
        }
    }

    pub(crate) fn decode(body: &mut Reader, limits: &Limits) -> Result<Self, Malformed> {
        let version = Self::decode_version(body)?;
        let flags = body.u8()?;
        // The bit was unused in MQTT 3.1; it is checked since [MQTT-3.1.2-3].
        if flags & RESERVED != 0 && version != Version::V31 {
            return Err(Malformed::Packet("a reserved CONNECT flag is set"));
        }
        let keep_alive_secs = body.u16()?;
        let properties = if version.is_v5() {
            Properties::decode(PacketType::Connect, body, limits)?
        } else {
            None
        };
        let client_id = body.text()?;
        let will = Will::decode(flags, body, version, limits)?;
        if flags & PASSWORD != 0 && flags & USER_NAME == 0 && !version.is_v5() {
            return Err(Malformed::Packet("a password without a user name")); // [MQTT311-3.1.2-22]
        }
        // In MQTT 3.1 the flags may promise what the packet has not (§3.1).
        let present = |flag, body: &Reader| {
            flags & flag != 0 && !(version == Version::V31 && body.is_empty())
        };
        let user_name = if present(USER_NAME, body) { Some(body.text()?) } else { None };
        let password = if present(PASSWORD, body) { Some(body.binary()?) } else { None };
        body.finish()?;
        Ok(Self {
            version,
            clean_start: flags & CLEAN_START != 0,
            keep_alive_secs,
            client_id,
            will,
            user_name,
            password,
            properties,
        })
    }

    /// Reads name and level before anything whose form depends on them.
    fn decode_version(body: &mut Reader) -> Result<Version, Malformed> {
        let name = body.text()?;
        let level = body.u8()?;
        match (name.as_bytes(), level) {
            (b"MQTT", 5) => Ok(Version::V5),
            (b"MQTT", 4) => Ok(Version::V311),
            (b"MQIsdp", 3) => Ok(Version::V31),
            (b"MQTT" | b"MQIsdp", level) => Err(Malformed::UnsupportedVersion { level }),
            _ => Err(Malformed::Packet("unknown protocol name")),
        }
    }

    fn flags(&self) -> u8 {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let will = self
            .will
            .as_ref()
            .map_or(0, |will| WILL | will.qos.as_u8() << 3 | bit(will.retain, WILL_RETAIN));
        bit(self.user_name.is_some(), USER_NAME)
            | bit(self.password.is_some(), PASSWORD)
            | bit(self.clean_start, CLEAN_START)
            | will
    }

    /// Appends the packet's bytes to `out`, in the version it names.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`]; nothing is written then.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        sink::write_packet(PacketType::Connect.first_byte(), self, out)
    }
}

impl Body for Connect {
    fn write<S: Sink>(&self, sink: &mut S) {
        sink.field(self.version.protocol_name().as_bytes());
        sink.u8(self.version.level());
        sink.u8(self.flags());
        sink.u16(self.keep_alive_secs);
        if self.version.is_v5() {
            property::write_section(self.properties.as_deref(), sink);
        }
        sink.text(&self.client_id);
        if let Some(will) = &self.will {
            if self.version.is_v5() {
                let message = will.properties.as_deref();
                let section = WillSection { delay_secs: will.delay_secs, message };
                sink.var_int(section.size());
                section.write(sink);
            }
            sink.text(&will.topic);
            sink.binary(&will.payload);
        }
        if let Some(user_name) = &self.user_name {
            sink.text(user_name);
        }
        if let Some(password) = &self.password {
            sink.binary(password);
        }
    }
}

impl Will {
    fn decode(
        flags: u8,
        body: &mut Reader,
        version: Version,
        limits: &Limits,
    ) -> Result<Option<Box<Self>>, Malformed> {
        let qos = Qos::from_u8(flags >> 3 & 0b11).ok_or(Malformed::Packet("will QoS 3"))?;
        let retain = flags & WILL_RETAIN != 0;
        if flags & WILL == 0 {
            // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
            if version != Version::V31 && (qos != Qos::AtMostOnce || retain) {
                return Err(Malformed::Packet("will QoS or retain without a will"));
            }
            return Ok(None);
        }
        let section = if version.is_v5() {
            MessageSection::decode(body, true, limits)?
        } else {
            MessageSection::default()
        };
        let topic = body.text()?;
        if topic.is_empty() {
            return Err(Malformed::Protocol("an empty will topic"));
        }
        if topic.has_wildcard() {
            return Err(Malformed::TopicName);
        }
        Ok(Some(Box::new(Self {
            topic,
            payload: body.binary()?,
            qos,
            retain,
            delay_secs: section.will_delay_secs.unwrap_or(0),
            properties: section.message,
        })))
    }
}

/// The server's answer to CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck {
    /// The server goes on with a session it had; not said in MQTT 3.1.
    pub session_present: bool,
    /// Success, or why not; return codes of older versions are translated.
    pub code: ReasonCode,
    /// Properties, MQTT 5.
    pub properties: Option<Box<Properties>>,
}

impl ConnAck {
    /// An answer without properties.
    pub const fn new(session_present: bool, code: ReasonCode) -> Self {
        Self { session_present, code, properties: None }
    }

    pub(crate) fn decode(
        body: &mut Reader,
        version: Version,
        limits: &Limits,
    ) -> Result<Self, Malformed> {
        let flags = body.u8()?;
        let code = body.u8()?;
        let (session_present, code, properties) = match version {
            Version::V31 => (false, ReasonCode::from_connect_return_code(code), None),
            Version::V311 => {
                (Self::decode_flags(flags)?, ReasonCode::from_connect_return_code(code), None)
            }
            Version::V5 => {
                let code =
                    ReasonCode::from_u8(code).filter(|code| code.is_valid_in(PacketType::ConnAck));
                let properties = Properties::decode(PacketType::ConnAck, body, limits)?;
                (Self::decode_flags(flags)?, code, properties)
            }
        };
        let code = code.ok_or(Malformed::Packet("unknown CONNACK code"))?;
        if session_present && code.is_failure() {
            return Err(Malformed::Protocol("session present in a refusal")); // [MQTT-3.2.2-6]
        }
        body.finish()?;
        Ok(Self { session_present, code, properties })
    }

    fn decode_flags(flags: u8) -> Result<bool, Malformed> {
        match flags {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::Packet("a reserved CONNACK flag is set")), // [MQTT-3.2.2-1]
        }
    }

    /// Appends the packet's bytes to `out`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`]; nothing is written then.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        let body = ConnAckBody { connack: self, version };
        sink::write_packet(PacketType::ConnAck.first_byte(), &body, out)
    }
}

struct ConnAckBody<'a> {
    connack: &'a ConnAck,
    version: Version,
}

impl Body for ConnAckBody<'_> {
    fn write<S: Sink>(&self, sink: &mut S) {
        let ConnAck { session_present, code, properties } = self.connack;
        match self.version {
            Version::V31 => sink.put(&[0, code.as_connect_return_code()]),
            Version::V311 => {
                sink.put(&[u8::from(*session_present), code.as_connect_return_code()]);
            }
            Version::V5 => {
                sink.put(&[u8::from(*session_present), code.as_u8()]);
                property::write_section(properties.as_deref(), sink);
            }
        }
    }
}
