//! An MQTT client of all three qualities of service.

use std::num::NonZeroU16;

use bytes::BytesMut;
use mqtt_codec::publish::Assurance;
use mqtt_codec::{
    Ack, Connect, Limits, Packet, PublishParts, Qos, ReasonCode, Subscribe, Subscription,
    SubscriptionOptions, Text, Version, decode,
};

use super::Failure;
use super::dialect::{Dialect, Event, Role};

#[derive(Debug)]
pub(super) struct Client {
    version: Version,
    qos: Qos,
    id: String,
    topic: String,
    subscriber: bool,
    acknowledged: bool,
    limits: Limits,
    next_id: NonZeroU16,
    sent: u64,
    asked: Option<u64>,
    acked: u64,
}

impl Client {
    pub(super) fn new(version: Version, qos: u8, id: String, role: &Role) -> Self {
        let (topic, subscriber, acknowledged) = match role {
            Role::Publisher { topic, acknowledged } => (topic.clone(), false, *acknowledged),
            Role::Subscriber { topic, below: false } => (topic.clone(), true, false),
            Role::Subscriber { topic, below: true } => (format!("{topic}/#"), true, false),
        };
        let limits = Limits { packet_bytes_max: 256 * 1024 * 1024, ..Limits::default() };
        Self {
            version,
            qos: Qos::from_u8(qos).unwrap_or_default(),
            id,
            topic,
            subscriber,
            acknowledged,
            limits,
            next_id: NonZeroU16::MIN,
            sent: 0,
            asked: None,
            acked: 0,
        }
    }

    fn write(&self, packet: &Packet, out: &mut BytesMut) {
        packet.encode(self.version, out).expect("the client's own packets are small");
    }

    fn text(text: &str) -> Text {
        Text::new(text.to_owned()).expect("made of printable ASCII")
    }

    fn connected(&self, code: ReasonCode, out: &mut BytesMut) -> Result<bool, Failure> {
        if code != ReasonCode::Success {
            return Err(Failure::peer(format!("the server refused the connection: {code:?}")));
        }
        if !self.subscriber {
            return Ok(true);
        }
        let options = SubscriptionOptions { qos: self.qos, ..SubscriptionOptions::default() };
        let subscription = Subscription { filter: Self::text(&self.topic), options };
        let subscribe = Subscribe {
            packet_id: NonZeroU16::MIN,
            subscriptions: vec![subscription],
            properties: None,
        };
        self.write(&Packet::Subscribe(subscribe), out);
        Ok(false)
    }

    fn packet(
        &mut self,
        packet: Packet,
        out: &mut BytesMut,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Failure> {
        let ack = |id| Ack::new(id, ReasonCode::Success);
        match packet {
            Packet::Publish(publish) => {
                sink(Event::Message(&publish.payload));
                match publish.assurance {
                    Assurance::AtMostOnce => {}
                    Assurance::AtLeastOnce(id) => self.write(&Packet::PubAck(ack(id)), out),
                    Assurance::ExactlyOnce(id) => self.write(&Packet::PubRec(ack(id)), out),
                }
            }
            Packet::PubRel(release) => self.write(&Packet::PubComp(ack(release.packet_id)), out),
            Packet::PubRec(received) => self.write(&Packet::PubRel(ack(received.packet_id)), out),
            Packet::PubAck(_) | Packet::PubComp(_) => {
                self.acked += 1;
                sink(Event::Acked(1));
            }
            Packet::ConnAck(connack) => {
                if self.connected(connack.code, out)? {
                    sink(Event::Ready);
                }
            }
            Packet::SubAck(suback) => {
                if suback.codes.iter().any(|code| (*code as u8) >= 0x80) {
                    return Err(Failure::peer("the server refused the subscription"));
                }
                sink(Event::Ready);
            }
            Packet::PingResp => {
                if let Some(asked) = self.asked.take() {
                    sink(Event::Acked(asked - self.acked));
                    self.acked = asked;
                }
            }
            Packet::Disconnect(disconnect) => {
                return Err(Failure::peer(format!("the server disconnects: {disconnect:?}")));
            }
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::UnsubAck(_)
            | Packet::PingReq
            | Packet::Auth(_) => {
                return Err(Failure::peer("the server sent a packet that only clients send"));
            }
        }
        Ok(())
    }
}

impl Dialect for Client {
    fn open(&mut self, out: &mut BytesMut) {
        let connect = Connect::new(self.version, Self::text(&self.id), 0);
        self.write(&Packet::Connect(Box::new(Connect { clean_start: true, ..connect })), out);
    }

    fn receive(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Failure> {
        loop {
            let packet = decode(input, self.version, &self.limits);
            match packet.map_err(|error| Failure::peer(format!("not MQTT: {error}")))? {
                None => return Ok(()),
                Some(packet) => self.packet(packet, out, sink)?,
            }
        }
    }

    fn publish(&mut self, payload: &[u8], out: &mut BytesMut) {
        let id = self.next_id;
        let assurance = match self.qos {
            Qos::AtMostOnce => Assurance::AtMostOnce,
            Qos::AtLeastOnce => Assurance::AtLeastOnce(id),
            Qos::ExactlyOnce => Assurance::ExactlyOnce(id),
        };
        let parts = PublishParts::new(self.topic.as_bytes(), payload.len());
        let parts = PublishParts { assurance, ..parts };
        parts.encode(self.version, payload, out).expect("payloads are below the packet limit");
        self.next_id = id.checked_add(1).unwrap_or(NonZeroU16::MIN);
        self.sent += 1;
    }

    fn flush(&mut self, out: &mut BytesMut) {
        // QoS 0 is not acknowledged, but packets are handled in order.
        let silent = self.acknowledged && self.qos == Qos::AtMostOnce;
        if silent && self.asked.is_none() && self.sent > self.acked {
            self.asked = Some(self.sent);
            self.write(&Packet::PingReq, out);
        }
    }
}
