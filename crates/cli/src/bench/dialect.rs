//! One protocol as a client of the load generator sees it: bytes in, bytes out, no sockets.

use bytes::BytesMut;

use super::{Failure, MqttVersion, Options, Protocol, amqp, kafka, mqtt, nats};

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Publishes to one topic, given as tokens joined by `/`.
    Publisher {
        /// The topic.
        topic: String,
        /// Nobody receives: the server's own word is the only sign of progress.
        acknowledged: bool,
    },
    /// Receives what is published to one topic, or below it.
    Subscriber {
        /// The topic.
        topic: String,
        /// And everything below it.
        below: bool,
    },
}

/// What happened on a connection.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// It may publish, or its subscription stands.
    Ready,
    /// A message came.
    Message(&'a [u8]),
    /// The server took over this many messages, in the order sent.
    Acked(u64),
}

/// A client connection of one protocol.
pub(super) trait Dialect: Send {
    /// The connection stands: writes what the client says first.
    fn open(&mut self, out: &mut BytesMut);

    /// Takes whole packets from the front of `input`, answers to `out`.
    fn receive(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Failure>;

    /// Writes one message.
    fn publish(&mut self, payload: &[u8], out: &mut BytesMut);

    /// No further message follows for now: a batch ends, a receipt is asked for.
    fn flush(&mut self, out: &mut BytesMut);
}

/// A client of the protocol that the options name. `number` tells connections apart.
pub(super) fn make(options: &Options, role: &Role, run: u32, number: usize) -> Box<dyn Dialect> {
    match options.protocol {
        Protocol::Mqtt => {
            let version = match options.mqtt_version {
                MqttVersion::V311 => mqtt_codec::Version::V311,
                MqttVersion::V5 => mqtt_codec::Version::V5,
            };
            let id = format!("bench-{run:08x}-{number}");
            Box::new(mqtt::Client::new(version, options.qos, id, role))
        }
        Protocol::Nats => Box::new(nats::Client::new(role)),
        Protocol::Kafka => Box::new(kafka::Client::new(role, options.batch)),
        Protocol::Amqp => Box::new(amqp::Client::new(role, options.persistent)),
    }
}
