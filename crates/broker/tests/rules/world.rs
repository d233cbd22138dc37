//! A broker over the in-memory engine, with connections that write down what they get.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use broker::{
    Authenticator, Broker, BrokerStats, Completion, DefaultStream, Desk, Mail, Options, Port,
    Protocols,
};
use bytes::Bytes;
use model::budget::Budget;
use model::filter::Filter;
use model::limits::Limits;
use model::record::{Address, Assurance, Record, Space};
use model::render;
use protocol::{
    Claim, Claimed, ConnId, Delivery, Expiry, Message, Node, Notice, Now, Peer, Protocol, Publish,
    Reply, Request, Session, Start, StreamDeclaration, Subscribe, Token, Wait,
};
use storage::Engine;
use storage::memory::Memory;

thread_local! {
    /// The engine's clock: it passes with [`World::pass`]. A test has its own thread.
    static CLOCK: Cell<i64> = const { Cell::new(5_000_000) };
}

#[derive(Default)]
struct Post(Mutex<VecDeque<(u16, Completion)>>);

impl Mail for Post {
    fn post(&self, worker: u16, completion: Completion) {
        self.0.lock().unwrap().push_back((worker, completion));
    }
}

/// What connections got, in order.
#[derive(Default)]
pub struct Got {
    pub deliveries: Vec<(ConnId, Delivery)>,
    pub replies: BTreeMap<u64, Reply>,
    pub notices: Vec<(ConnId, Notice)>,
}

impl Port for Got {
    fn deliver(&mut self, conn: ConnId, delivery: Delivery) {
        self.deliveries.push((conn, delivery));
    }
    fn reply(&mut self, _: ConnId, token: Token, reply: Reply) {
        let before = self.replies.insert(token.0, reply);
        assert!(before.is_none(), "one answer for each token");
    }
    fn notice(&mut self, conn: ConnId, notice: Notice) {
        self.notices.push((conn, notice));
    }
}

/// A protocol whose header bindings see the headers of a message as they are.
struct Headers;

impl Protocol for Headers {
    fn name(&self) -> &'static str {
        "headers"
    }
    fn port(&self) -> u16 {
        0
    }
    fn open(&self, _: Now, _: Peer) -> Box<dyn Session> {
        unreachable!("nobody connects")
    }
    fn attributes(&self, message: &Message) -> Option<Vec<(Bytes, Bytes)>> {
        let headers = message.record.headers.iter();
        Some(headers.filter_map(|h| Some((h.name.clone(), h.value.clone()?))).collect())
    }
}

pub struct World {
    pub engine: Arc<dyn Engine>,
    post: Arc<Post>,
    pub broker: Arc<Broker>,
    desks: Vec<Desk>,
    pub got: Got,
    pub now: Now,
    tokens: u64,
}

/// What a world is started with.
pub struct Setting {
    pub default_stream: DefaultStream,
    pub streams: Vec<StreamDeclaration>,
    pub budget: Arc<Budget>,
    pub authenticator: Option<Arc<dyn Authenticator>>,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            default_stream: DefaultStream {
                partitions: 8,
                max_age_ms: None,
                max_bytes: None,
                durability: protocol::Durability::Durable,
            },
            streams: Vec::new(),
            authenticator: None,
            budget: Arc::default(),
        }
    }
}

pub fn conn(number: u32) -> ConnId {
    ConnId { worker: u16::try_from(number % 2).unwrap(), slot: number, generation: 1 }
}

pub fn node() -> Arc<Node> {
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

/// An engine whose clock goes on as time passes in a world.
pub fn memory() -> Memory {
    Memory::with_clock(|| CLOCK.get())
}

impl World {
    pub fn new() -> Self {
        Self::on(Arc::new(memory()))
    }

    /// A world over this engine.
    pub fn on(engine: Arc<dyn Engine>) -> Self {
        let now = Now { instant: Instant::now(), unix_ms: 1_000_000 };
        Self::over(engine, now, Setting::default())
    }

    /// A world over this engine, with settings of its own.
    pub fn with(engine: Arc<dyn Engine>, setting: Setting) -> Self {
        let now = Now { instant: Instant::now(), unix_ms: 1_000_000 };
        Self::over(engine, now, setting)
    }

    /// A new run of the server over what an earlier one kept.
    pub fn restarted(self) -> Self {
        Self::over(self.engine, self.now, Setting::default())
    }

    fn over(engine: Arc<dyn Engine>, now: Now, setting: Setting) -> Self {
        let post = Arc::new(Post::default());
        let options = Options {
            node: node(),
            seed: 7,
            default_stream: setting.default_stream,
            streams: setting.streams,
            protocols: Protocols(Arc::new([Box::new(Headers) as Box<dyn Protocol>])),
            builtins: Vec::new(),
            modules: Vec::new(),
            authenticator: setting.authenticator,
            budget: setting.budget,
            now,
        };
        let broker = Broker::open(engine.clone(), post.clone(), options).unwrap();
        let desks = vec![broker.desk(0), broker.desk(1)];
        Self { engine, post, broker, desks, got: Got::default(), now, tokens: 0 }
    }

    /// The first worker, for another thread.
    pub fn beside(&self) -> Beside {
        let (desk, post) = (self.broker.desk(0), self.post.clone());
        Beside { desk, post, now: self.now, got: Got::default() }
    }

    /// A request, and everything that follows from it; its answer, if it has come.
    pub fn ask(&mut self, conn: ConnId, request: Request) -> Option<Reply> {
        let token = self.start(conn, request);
        self.settle_down();
        self.got.replies.remove(&token)
    }

    /// A request whose write has not been finished yet.
    pub fn start(&mut self, conn: ConnId, request: Request) -> u64 {
        self.tokens += 1;
        let desk = &mut self.desks[usize::from(conn.worker)];
        desk.request(self.now, conn, Some(Token(self.tokens)), request, &mut self.got);
        self.tokens
    }

    pub fn settle_down(&mut self) {
        loop {
            let next = self.post.0.lock().unwrap().pop_front();
            let Some((worker, completion)) = next else { break };
            self.desks[usize::from(worker)].complete(self.now, completion, &mut self.got);
        }
    }

    /// The connection came to where nobody is served without having been let in.
    pub fn awaits_login(&mut self, conn: ConnId) {
        self.desks[usize::from(conn.worker)].awaits_login(conn);
    }

    pub fn gone(&mut self, conn: ConnId) {
        self.desks[usize::from(conn.worker)].gone(self.now, conn, &mut self.got);
        self.settle_down();
    }

    /// Whether the sessions of a worker are to know that publishing is refused.
    pub fn is_pressed(&self, worker: usize) -> bool {
        self.desks[worker].is_pressed()
    }

    pub fn flow(&mut self, conn: ConnId, stopped: bool) {
        self.desks[usize::from(conn.worker)].flow(self.now, conn, stopped, &mut self.got);
        self.settle_down();
    }

    pub fn pass(&mut self, time: Duration) {
        let ms = i64::try_from(time.as_millis()).unwrap();
        self.now.instant += time;
        self.now.unix_ms += ms;
        CLOCK.set(CLOCK.get() + ms);
        self.desks[0].timeout(self.now, &mut self.got);
        self.settle_down();
    }

    pub fn stats(&self) -> BrokerStats {
        self.broker.stats()
    }

    /// Payloads that a connection got since the last time.
    pub fn take(&mut self, conn: ConnId) -> Vec<String> {
        self.take_deliveries(conn).iter().map(payload).collect()
    }

    pub fn take_deliveries(&mut self, conn: ConnId) -> Vec<Delivery> {
        let (his, others) =
            std::mem::take(&mut self.got.deliveries).into_iter().partition(|(to, _)| *to == conn);
        self.got.deliveries = others;
        let his: Vec<(ConnId, Delivery)> = his;
        his.into_iter().map(|(_, delivery)| delivery).collect()
    }

    pub fn publish(
        &mut self,
        from: ConnId,
        subject: &str,
        body: &str,
        assurance: Assurance,
    ) -> Reply {
        let publish = message(subject, body, assurance);
        self.ask(from, Request::Publish(publish)).expect("a publish is answered")
    }

    pub fn subscribe(&mut self, conn: ConnId, number: u32, filter: &str, durable: bool) {
        let request = Request::Subscribe(subscription(number, filter, durable));
        let reply = self.ask(conn, request);
        assert!(matches!(reply, Some(Reply::Subscribed)), "{reply:?}");
    }

    pub fn claim(
        &mut self,
        conn: ConnId,
        name: &'static str,
        clean: bool,
        window: u32,
    ) -> Box<Claimed> {
        let claim = Claim { name: Bytes::from(name), clean, expiry: Expiry::Never, window };
        match self.ask(conn, Request::Claim(claim)) {
            Some(Reply::Claimed(claimed)) => claimed,
            other => panic!("{other:?}"),
        }
    }
}

/// The first worker on a thread of its own, while the world's is busy with something else.
pub struct Beside {
    desk: Desk,
    post: Arc<Post>,
    now: Now,
    pub got: Got,
}

impl Beside {
    pub fn start(&mut self, conn: ConnId, token: u64, request: Request) {
        assert_eq!(conn.worker, 0);
        self.desk.request(self.now, conn, Some(Token(token)), request, &mut self.got);
    }

    pub fn pass(&mut self, time: Duration) {
        self.now.instant += time;
        self.now.unix_ms += i64::try_from(time.as_millis()).unwrap();
        self.desk.timeout(self.now, &mut self.got);
        self.settle_down();
    }

    /// Goes on with what is for this worker.
    pub fn settle_down(&mut self) {
        loop {
            let mut waiting = self.post.0.lock().unwrap();
            let next = waiting.iter().position(|(worker, _)| *worker == 0);
            let Some((_, completion)) = next.and_then(|at| waiting.remove(at)) else { break };
            drop(waiting);
            self.desk.complete(self.now, completion, &mut self.got);
        }
    }
}

pub fn subscription(number: u32, filter: &str, durable: bool) -> Subscribe {
    Subscribe {
        number,
        space: Space::SHARED,
        filter: Filter::mqtt(&Bytes::copy_from_slice(filter.as_bytes())).unwrap(),
        group: None,
        durable,
        skip_own: false,
        start: Start::LastValues,
        memo: Bytes::from_static(b"memo"),
    }
}

pub fn message(subject: &str, body: &str, assurance: Assurance) -> Publish {
    let subject = render::mqtt::parse(&Bytes::copy_from_slice(subject.as_bytes())).unwrap();
    let record = Record {
        value: Some(Bytes::copy_from_slice(body.as_bytes())),
        assurance,
        ..Record::default()
    };
    Publish { wait: Wait::Stored, ..Publish::new(Address::shared(subject), record) }
}

pub fn payload(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message.record.payload().to_vec()).unwrap()
}
