//! The record: one message as every protocol understands it.
//!
//! A record is neutral. What a protocol knows beyond it travels in [`Native`], the original bytes of
//! that protocol's properties, so that a reader of the same protocol sees them unchanged. What the
//! other protocols see is decided by the table in [`crate::fields`].

use std::sync::Arc;

use bytes::Bytes;

use crate::subject::Subject;

/// A set of subjects with its own bindings: the shared space of all protocols, or a named one.
///
/// A named space is private: it is reached by its name alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Space(Option<Arc<str>>);

impl Space {
    /// The space that all protocols share.
    pub const SHARED: Self = Self(None);

    /// The space of this name.
    pub fn named(name: &str) -> Self {
        Self(Some(Arc::from(name)))
    }

    /// Whether this is the space that all protocols share.
    pub fn is_shared(&self) -> bool {
        self.0.is_none()
    }

    /// The name of a private space, `None` for the shared one.
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// Where a message is published to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A subject in a space: whoever listens there gets it.
    Subject(Space, Subject),
    /// One queue, named directly.
    Queue(Bytes),
}

impl Address {
    /// A subject of the shared space.
    pub fn shared(subject: Subject) -> Self {
        Self::Subject(Space::SHARED, subject)
    }
}

/// How hard the publisher asked the system to try; a delivery never promises more than this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Assurance {
    /// Live only, lost when nobody listens (MQTT QoS 0, core NATS, AMQP transient).
    #[default]
    AtMostOnce,
    /// Stored until it was handed on (MQTT QoS 1, Kafka, AMQP persistent).
    AtLeastOnce,
    /// Stored, and each hop removes repeats (MQTT QoS 2).
    ExactlyOnce,
}

/// One header: a name and a value; names may repeat, null is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name, in the case it was sent with.
    pub name: Bytes,
    /// The value, `None` for null.
    pub value: Option<Bytes>,
}

/// One message: what is stored and what is delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The key given by the publisher, if its protocol has one.
    pub key: Option<Bytes>,
    /// The payload, byte for byte; `None` is null (a tombstone), which is not empty.
    pub value: Option<Bytes>,
    /// Headers in order, repeats kept.
    pub headers: Vec<Header>,
    /// When it was published, in milliseconds since 1970 (UTC).
    pub timestamp_ms: i64,
    /// How hard the publisher asked to try.
    pub assurance: Assurance,
    /// Published as the last value of its subject (MQTT RETAIN).
    pub retain: bool,
    /// What most messages do not carry.
    pub properties: Option<Box<Properties>>,
}

impl Record {
    /// The properties, made when there are none yet.
    pub fn properties_mut(&mut self) -> &mut Properties {
        self.properties.get_or_insert_with(Box::default)
    }

    /// The payload, null read as empty.
    pub fn payload(&self) -> Bytes {
        self.value.clone().unwrap_or_default()
    }

    /// Whether its time has passed at `unix_ms`.
    pub fn is_expired(&self, unix_ms: i64) -> bool {
        self.properties
            .as_ref()
            .and_then(|p| p.expires_at_ms)
            .is_some_and(|expires| expires <= unix_ms)
    }

    /// The bytes that limits and budgets count: key, payload and headers.
    pub fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|h| h.name.len() + h.value.as_ref().map_or(0, Bytes::len))
            .sum();
        self.key.as_ref().map_or(0, Bytes::len)
            + self.value.as_ref().map_or(0, Bytes::len)
            + headers
    }
}

/// The properties that the field map carries between protocols; all are optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// MIME type of the payload.
    pub content_type: Option<Bytes>,
    /// Where an answer is expected.
    pub reply_to: Option<Address>,
    /// What the requester needs to know its answer by.
    pub correlation: Option<Bytes>,
    /// When the message stops to be of use, in milliseconds since 1970.
    pub expires_at_ms: Option<i64>,
    /// The publisher's own id of the message.
    pub message_id: Option<Bytes>,
    /// 0 (lowest) to 255.
    pub priority: Option<u8>,
    /// The publisher promised that the payload is UTF-8 text.
    pub text: bool,
    /// The original properties in their protocol's own encoding.
    pub native: Option<Native>,
    /// Its time in queues, for messages whose time is limited.
    pub lifetime: Option<Lifetime>,
    /// The queues that gave it up before, the latest first; at most [`DEATHS_MAX`].
    pub deaths: Vec<Death>,
}

/// The longest history of a message that queues gave up.
pub const DEATHS_MAX: usize = 256;

/// How long queues keep a message, on the engine's clock: unlike
/// [`Properties::expires_at_ms`] it does not jump with the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// When it was taken in, in milliseconds.
    pub since_ms: i64,
    /// The publisher's own limit.
    pub ttl_ms: Option<u64>,
}

/// Why a queue gave a message up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cause {
    /// A receiver did not want it.
    Rejected = 1,
    /// Its time was over.
    Expired = 2,
    /// The queue was full.
    MaxLength = 3,
    /// It had been handed out too often.
    DeliveryLimit = 4,
}

impl Cause {
    /// The cause written as `byte`, if it is one.
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Rejected, Self::Expired, Self::MaxLength, Self::DeliveryLimit]
            .into_iter()
            .find(|cause| *cause as u8 == byte)
    }
}

/// One queue gave a message up, once or several times of the same cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The queue.
    pub queue: Bytes,
    /// Why.
    pub cause: Cause,
    /// How often.
    pub count: u64,
    /// The first time, in milliseconds since 1970.
    pub time_ms: i64,
    /// Where it had been published to the first time.
    pub address: Address,
    /// The publisher's own limit on its time, which ends with the first death.
    pub ttl_ms: Option<u64>,
    /// No death came before this one.
    pub first: bool,
}

/// Properties in the bytes of the protocol that the message came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    /// Which protocol and version wrote the block: the column of [`crate::fields`].
    pub protocol: crate::fields::Origin,
    /// The block, opaque to all others.
    pub block: Bytes,
}
