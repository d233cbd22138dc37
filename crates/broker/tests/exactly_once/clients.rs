//! Clients as the specification wants them: they keep their state over connections.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use mqtt_codec::publish::Assurance;
use mqtt_codec::{
    Ack, Connect, Packet, PacketId, Properties, Publish, Qos, ReasonCode, Subscribe, Subscription,
    SubscriptionOptions, Text, Version,
};

use crate::world::World;

/// Messages that the publisher has on the way at a time; their identifiers are used again at once.
const WINDOW: u16 = 2;

/// One client with its session.
#[derive(Default)]
pub struct Client {
    name: &'static str,
    slot: u32,
    connected: bool,
    /// The next connection begins a new life of the session.
    pub clean: bool,
    /// It is to subscribe, and has.
    subscribes: bool,
    pub subscribed: bool,
    /// To be published.
    pub todo: VecDeque<String>,
    /// On the way; whether PUBREC has come.
    sent: BTreeMap<u16, (String, bool)>,
    /// Identifiers of messages that came and are not released.
    held: BTreeSet<u16>,
    pub got: Vec<String>,
    pub completed: Vec<String>,
}

fn text(text: &str) -> Text {
    Text::new(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn ack(id: u16) -> Ack {
    Ack::new(PacketId::new(id).unwrap(), ReasonCode::Success)
}

impl Client {
    pub fn new(name: &'static str, subscribes: bool) -> Self {
        Self { name, subscribes, clean: true, ..Self::default() }
    }

    /// A connection, where there is none.
    pub fn connect(&mut self, world: &mut World) {
        if self.slot != 0 && world.is_connected(self.slot) {
            return;
        }
        self.slot = world.connect();
        self.connected = false;
        let forever = Properties { session_expiry_secs: Some(u32::MAX), ..Properties::default() };
        let connect = Connect {
            version: Version::V5,
            clean_start: self.clean,
            keep_alive_secs: 0,
            client_id: text(self.name),
            will: None,
            user_name: None,
            password: None,
            properties: Some(Box::new(forever)),
        };
        world.say(self.slot, &Packet::Connect(Box::new(connect)));
    }

    /// The connection breaks, and the session is not wanted any more.
    pub fn begin_again(&mut self, world: &mut World) {
        world.cut(self.slot);
        self.clean = true;
        self.subscribed = false;
        self.sent.clear();
        self.held.clear();
        self.todo.clear();
    }

    fn publish(&self, world: &mut World, id: u16, body: &str, dup: bool) {
        let publish = Publish {
            dup,
            assurance: Assurance::ExactlyOnce(PacketId::new(id).unwrap()),
            retain: false,
            topic: text("t"),
            topic_alias: None,
            subscription_ids: Vec::new(),
            properties: None,
            payload: Bytes::copy_from_slice(body.as_bytes()),
        };
        world.say(self.slot, &Packet::Publish(publish));
    }

    /// Sends what there is room for.
    pub fn go_on(&mut self, world: &mut World) {
        while self.connected
            && let Some(id) = (1..=WINDOW).find(|id| !self.sent.contains_key(id))
            && let Some(body) = self.todo.pop_front()
        {
            self.publish(world, id, &body, false);
            self.sent.insert(id, (body, false));
        }
    }

    fn resume(&mut self, world: &mut World, present: bool) {
        assert!(present || self.clean, "{}: a session that was promised is lost", self.name);
        assert!(!present || !self.clean, "{}: a clean start has a session", self.name);
        self.clean = false;
        self.connected = true;
        if self.subscribes && !self.subscribed {
            let options =
                SubscriptionOptions { qos: Qos::ExactlyOnce, ..SubscriptionOptions::default() };
            let subscriptions = vec![Subscription { filter: text("t"), options }];
            let packet_id = PacketId::new(9).unwrap();
            let subscribe = Subscribe { packet_id, subscriptions, properties: None };
            world.say(self.slot, &Packet::Subscribe(subscribe));
        }
        let mut sent: Vec<_> = self.sent.clone().into_iter().collect();
        sent.sort_by(|(_, one), (_, other)| one.0.cmp(&other.0)); // [MQTT-4.6.0-1]
        for (id, (body, received)) in sent {
            if received {
                world.say(self.slot, &Packet::PubRel(ack(id)));
            } else {
                self.publish(world, id, &body, true);
            }
        }
        self.go_on(world);
    }

    /// Reads one packet and answers it; `false` if there is none.
    pub fn read(&mut self, world: &mut World) -> bool {
        let Some(packet) = world.hear(self.slot) else { return false };
        match packet {
            Packet::ConnAck(connack) => {
                assert_eq!(connack.code, ReasonCode::Success);
                self.resume(world, connack.session_present);
            }
            Packet::SubAck(_) => self.subscribed = true,
            Packet::Publish(publish) => {
                let id = publish.assurance.packet_id().unwrap().get();
                if self.held.insert(id) {
                    self.got.push(String::from_utf8(publish.payload.to_vec()).unwrap());
                }
                world.say(self.slot, &Packet::PubRec(ack(id)));
            }
            Packet::PubRel(own) => {
                self.held.remove(&own.packet_id.get());
                world.say(self.slot, &Packet::PubComp(ack(own.packet_id.get())));
            }
            Packet::PubRec(own) => {
                let id = own.packet_id.get();
                if let Some((_, received)) = self.sent.get_mut(&id) {
                    *received = true;
                    world.say(self.slot, &Packet::PubRel(ack(id)));
                }
            }
            Packet::PubComp(own) => {
                if let Some((body, _)) = self.sent.remove(&own.packet_id.get()) {
                    self.completed.push(body);
                    self.go_on(world);
                }
            }
            other => panic!("{}: {other:?}", self.name),
        }
        true
    }
}
