//! DISCONNECT and AUTH: a reason code and properties, either of which may be left out.

use bytes::BytesMut;

use crate::ack::{decode_outcome, write_outcome};
use crate::reader::Reader;
use crate::sink::{self, Body, Sink};
use crate::{EncodeError, Limits, Malformed, PacketType, Properties, ReasonCode, Version};

/// The last packet of a connection; before MQTT 5 only a client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Why; always normal before MQTT 5.
    pub code: ReasonCode,
    /// Properties, MQTT 5.
    pub properties: Option<Box<Properties>>,
}

/// A step of enhanced authentication, MQTT 5 (§4.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Success, continue, or re-authenticate.
    pub code: ReasonCode,
    /// Method and data.
    pub properties: Option<Box<Properties>>,
}

impl Disconnect {
    /// A goodbye without properties.
    pub const fn new(code: ReasonCode) -> Self {
        Self { code, properties: None }
    }

    pub(crate) fn decode(
        body: &mut Reader,
        version: Version,
        limits: &Limits,
    ) -> Result<Self, Malformed> {
        let mut disconnect = Self::new(ReasonCode::Success);
        if version.is_v5() {
            (disconnect.code, disconnect.properties) =
                decode_outcome(PacketType::Disconnect, body, limits)?;
        }
        body.finish()?;
        Ok(disconnect)
    }

    /// Appends the packet's bytes to `out`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`]; nothing is written then.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        let outcome = version.is_v5().then_some((self.code, self.properties.as_deref()));
        sink::write_packet(PacketType::Disconnect.first_byte(), &Outcome(outcome), out)
    }
}

impl Auth {
    pub(crate) fn decode(
        body: &mut Reader,
        version: Version,
        limits: &Limits,
    ) -> Result<Self, Malformed> {
        if !version.is_v5() {
            return Err(Malformed::Packet("packet type 15 before MQTT 5"));
        }
        let (code, properties) = decode_outcome(PacketType::Auth, body, limits)?;
        body.finish()?;
        Ok(Self { code, properties })
    }

    /// Appends the packet's bytes to `out`.
    ///
    /// # Errors
    ///
    /// [`EncodeError`]; nothing is written then.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        if !version.is_v5() {
            return Err(EncodeError::NotInVersion);
        }
        let outcome = Outcome(Some((self.code, self.properties.as_deref())));
        sink::write_packet(PacketType::Auth.first_byte(), &outcome, out)
    }
}

struct Outcome<'a>(Option<(ReasonCode, Option<&'a Properties>)>);

impl Body for Outcome<'_> {
    fn write<S: Sink>(&self, sink: &mut S) {
        if let Some((code, properties)) = self.0 {
            write_outcome(code, properties, sink);
        }
    }
}
