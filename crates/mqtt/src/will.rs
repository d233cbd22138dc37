//! The will: a message that a client leaves with the server (MQTT 5.0 §3.1.2.5).

use bytes::Bytes;
use model::record::Address;
use model::subject::Invalid;
use mqtt_codec::{MessageProperties, Qos};
use protocol::Publish;

use crate::fields;

/// A will with bytes of its own: it is kept for as long as the connection.
#[derive(Debug)]
pub(crate) struct Will {
    to: Address,
    payload: Bytes,
    qos: Qos,
    retain: bool,
    delay_secs: u32,
    properties: Option<Box<MessageProperties>>,
}

impl Will {
    /// Takes the will out of a CONNECT.
    ///
    /// # Errors
    ///
    /// [`Invalid`] when its topic is no subject here.
    pub(crate) fn new(will: &mqtt_codec::Will) -> Result<Self, Invalid> {
        Ok(Self {
            to: fields::address(&will.topic.detached().into_bytes())?,
            payload: will.payload.detached().into_bytes(),
            qos: will.qos,
            retain: will.retain,
            delay_secs: will.delay_secs,
            properties: will.properties.as_ref().map(|own| Box::new(own.detached())),
        })
    }

    /// The topic is not for clients to publish to.
    pub(crate) fn is_reserved(&self) -> bool {
        is_reserved(&self.to)
    }

    /// How long to wait before it is published, in milliseconds.
    pub(crate) fn delay_ms(&self) -> u64 {
        u64::from(self.delay_secs) * 1000
    }

    /// The message, published `delay_ms` after `unix_ms`: its lifetime starts then.
    pub(crate) fn publish(self, delay_ms: u64, unix_ms: i64) -> Publish {
        let at = unix_ms.saturating_add(i64::try_from(delay_ms).unwrap_or(i64::MAX));
        let properties = self.properties.as_deref();
        let record = fields::record(self.payload, self.qos, self.retain, properties, at);
        Publish::new(self.to, record)
    }
}

/// Whether only the server itself publishes there.
pub(crate) fn is_reserved(address: &Address) -> bool {
    match address {
        Address::Subject(_, subject) => {
            subject.is_private() && subject.tokens().next() == Some(b"$SYS")
        }
        Address::Queue(_) => false,
    }
}
