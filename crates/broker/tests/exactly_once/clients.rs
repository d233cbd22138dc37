//! Clients as the specification wants them: they keep their state over connections.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::wire::{self, Heard};
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
        world.say(self.slot, &wire::connect(self.name, self.clean));
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
        world.say(self.slot, &wire::publish(id, "t", body, dup));
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
            world.say(self.slot, &wire::subscribe(9, "t"));
        }
        let mut sent: Vec<_> = self.sent.clone().into_iter().collect();
        sent.sort_by(|(_, one), (_, other)| one.0.cmp(&other.0)); // [MQTT-4.6.0-1]
        for (id, (body, received)) in sent {
            if received {
                world.say(self.slot, &wire::pubrel(id));
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
            Heard::ConnAck { present, code } => {
                assert_eq!(code, 0, "{}: refused", self.name);
                self.resume(world, present);
            }
            Heard::SubAck => self.subscribed = true,
            Heard::Publish { id, body } => {
                if self.held.insert(id) {
                    self.got.push(body);
                }
                world.say(self.slot, &wire::pubrec(id));
            }
            Heard::PubRel(id) => {
                self.held.remove(&id);
                world.say(self.slot, &wire::pubcomp(id));
            }
            Heard::PubRec(id) => {
                if let Some((_, received)) = self.sent.get_mut(&id) {
                    *received = true;
                    world.say(self.slot, &wire::pubrel(id));
                }
            }
            Heard::PubComp(id) => {
                if let Some((body, _)) = self.sent.remove(&id) {
                    self.completed.push(body);
                    self.go_on(world);
                }
            }
        }
        true
    }
}
