//! A server that lives from crash to crash: what it does next is a choice among its steps.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use broker::{Broker, Completion, DefaultStream, Desk, Mail, Options, Port, Protocols};
use bytes::BytesMut;
use model::limits::Limits;
use protocol::{ConnId, Delivery, Input, Node, Notice, Now, Outbox, Peer, Reply, Session, Token};
use storage::{Engine, LogId, ReadLimits};
use storage_journal::random::Random;
use storage_journal::sim::{CrashModel, SimFs};
use storage_journal::{Journal, Options as JournalOptions};

use crate::slow::Slow;
use crate::wire::{self, Heard};

#[derive(Default)]
struct Post(Mutex<VecDeque<(u16, Completion)>>);

impl Mail for Post {
    fn post(&self, worker: u16, completion: Completion) {
        self.0.lock().unwrap().push_back((worker, completion));
    }
}

enum Event {
    Delivery(Delivery),
    Reply(Token, Reply),
    Notice(Notice),
}

/// What is on its way to the sessions.
#[derive(Default)]
struct Events(VecDeque<(ConnId, Event)>);

impl Port for Events {
    fn deliver(&mut self, conn: ConnId, delivery: Delivery) {
        self.0.push_back((conn, Event::Delivery(delivery)));
    }
    fn reply(&mut self, conn: ConnId, token: Token, reply: Reply) {
        self.0.push_back((conn, Event::Reply(token, reply)));
    }
    fn notice(&mut self, conn: ConnId, notice: Notice) {
        self.0.push_back((conn, Event::Notice(notice)));
    }
}

struct Connection {
    id: ConnId,
    session: mqtt::Session,
    buffer: BytesMut,
    /// From the server, not yet read by the client.
    sent: BytesMut,
}

/// See the module's text.
pub struct World {
    pub sim: SimFs,
    pub engine: Arc<Slow>,
    random: Random,
    post: Arc<Post>,
    desk: Desk,
    events: Events,
    connections: BTreeMap<u32, Connection>,
    next: u32,
    now: Now,
    /// Steps so far, over all runs of the server.
    pub steps: u64,
}

fn node() -> Arc<Node> {
    Arc::new(Node {
        id: 1,
        cluster_id: "test".to_owned(),
        version: "0",
        limits: Limits::default(),
        default_partitions: 1,
        auto_create_streams: true,
        advertise: None,
    })
}

fn open(sim: &SimFs, now: Now) -> (Arc<Slow>, Arc<Post>, Desk) {
    let options = JournalOptions {
        segment_bytes: 1 << 20,
        wall_ms: now.unix_ms,
        seed: 1,
        ..JournalOptions::default()
    };
    let journal = Journal::open_inline(Arc::new(sim.clone()), options).unwrap();
    let engine = Arc::new(Slow::new(journal));
    let post = Arc::new(Post::default());
    let options = Options {
        node: node(),
        seed: 7,
        default_stream: DefaultStream {
            partitions: 1,
            max_age_ms: None,
            max_bytes: None,
            durability: protocol::Durability::Durable,
        },
        streams: Vec::new(),
        protocols: Protocols::default(),
        builtins: Vec::new(),
        modules: Vec::new(),
        authenticator: None,
        budget: Arc::default(),
        now,
    };
    let broker = Broker::open(engine.clone(), post.clone(), options).unwrap();
    engine.wait();
    (engine, post, broker.desk(0))
}

impl World {
    pub fn new(seed: u64) -> Self {
        let now = Now { instant: Instant::now(), unix_ms: 1_000_000_000 };
        let sim = SimFs::new(seed);
        let (engine, post, desk) = open(&sim, now);
        Self {
            sim,
            engine,
            random: Random::new(seed.into()),
            post,
            desk,
            events: Events::default(),
            connections: BTreeMap::new(),
            next: 0,
            now,
            steps: 0,
        }
    }

    /// The server ends here, and the next one starts on what is left.
    pub fn crash(&mut self, model: CrashModel) {
        self.connections.clear();
        self.events.0.clear();
        self.sim = self.sim.crash(model);
        (self.engine, self.post, self.desk) = open(&self.sim, self.now);
    }

    pub fn connect(&mut self) -> u32 {
        self.next += 1;
        let id = ConnId { worker: 0, slot: self.next, generation: 1 };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let peer =
            Peer { remote: address, local: address, seed: 5, conn: id, login: false, node: node() };
        let session = mqtt::Session::new(self.now, &peer);
        let buffer = BytesMut::new();
        let connection = Connection { id, session, buffer, sent: BytesMut::new() };
        self.connections.insert(self.next, connection);
        self.next
    }

    /// The client sends a packet.
    pub fn say(&mut self, slot: u32, packet: &[u8]) {
        let Some(connection) = self.connections.get_mut(&slot) else { return };
        connection.buffer.extend_from_slice(packet);
        let mut buffer = std::mem::take(&mut connection.buffer);
        self.feed(slot, Input::Bytes(&mut buffer));
        if let Some(connection) = self.connections.get_mut(&slot) {
            connection.buffer = buffer;
        }
    }

    /// The connection breaks.
    pub fn cut(&mut self, slot: u32) {
        if self.connections.contains_key(&slot) {
            self.end(slot);
        }
    }

    /// What the client reads next.
    pub fn hear(&mut self, slot: u32) -> Option<Heard> {
        wire::take(&mut self.connections.get_mut(&slot)?.sent)
    }

    pub fn is_connected(&self, slot: u32) -> bool {
        self.connections.contains_key(&slot)
    }

    fn feed(&mut self, slot: u32, input: Input<'_>) {
        let Some(connection) = self.connections.get_mut(&slot) else { return };
        let mut out = Outbox::new();
        let closed = connection.session.handle(self.now, input, &mut out).is_err();
        connection.sent.extend_from_slice(&out.take_bytes());
        self.hand_on(slot, &mut out);
        if closed {
            self.end(slot);
        }
    }

    fn hand_on(&mut self, slot: u32, out: &mut Outbox) {
        let id = self.connections[&slot].id;
        for (token, request) in out.requests.drain(..) {
            self.desk.request(self.now, id, token, request, &mut self.events);
        }
    }

    fn end(&mut self, slot: u32) {
        let mut out = Outbox::new();
        let connection = self.connections.get_mut(&slot).unwrap();
        let _ = connection.session.handle(self.now, Input::End, &mut out);
        let id = connection.id;
        self.hand_on(slot, &mut out);
        self.connections.remove(&slot);
        self.desk.gone(self.now, id, &mut self.events);
    }

    /// A number below `end`.
    pub fn choose(&mut self, end: u64) -> u64 {
        self.random.below(end)
    }

    /// One step of the server; `false` if there is nothing to do.
    pub fn step(&mut self) -> bool {
        let mail = !self.post.0.lock().unwrap().is_empty();
        let able = [!self.events.0.is_empty(), mail, self.engine.waiting() > 0];
        let count = able.iter().filter(|able| **able).count() as u64;
        if count == 0 {
            return false;
        }
        let chosen = usize::try_from(self.choose(count)).unwrap();
        let which = (0..3).filter(|at| able[*at]).nth(chosen).unwrap();
        match which {
            0 => {
                let (conn, event) = self.events.0.pop_front().unwrap();
                match event {
                    Event::Delivery(delivery) => {
                        self.feed(conn.slot, Input::Deliveries(&[delivery]));
                    }
                    Event::Reply(token, reply) => self.feed(conn.slot, Input::Reply(token, reply)),
                    Event::Notice(notice) => self.feed(conn.slot, Input::Notice(notice)),
                }
            }
            1 => {
                let (_, completion) = self.post.0.lock().unwrap().pop_front().unwrap();
                self.desk.complete(self.now, completion, &mut self.events);
            }
            _ => {
                let overtaking = self.choose(2) == 0;
                self.engine.commit(overtaking);
            }
        }
        true
    }

    /// Time passes: what piled up is written.
    pub fn pass(&mut self, time: Duration) {
        self.now.instant += time;
        self.now.unix_ms += i64::try_from(time.as_millis()).unwrap();
        self.desk.timeout(self.now, &mut self.events);
    }

    /// Everything that is stored, in order.
    pub fn stored(&self) -> Vec<String> {
        let mut all = Vec::new();
        for log in 1..20 {
            let limits = ReadLimits { max_bytes: 1 << 20, held: true };
            for batch in self.engine.read(LogId(log), 0, limits).unwrap_or_default() {
                let records = storage::batch::records(&batch.bytes).unwrap();
                let value = |value: &bytes::Bytes| String::from_utf8(value.to_vec()).unwrap();
                all.extend(records.iter().filter_map(|record| record.value.as_ref().map(value)));
            }
        }
        all
    }
}
