//! A client and a broker of a test: methods in and out on one side, requests and replies on the
//! other, and nothing between them but the session.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp::Amqp;
use amqp_codec::send::put_message;
use amqp_codec::{
    Frame, Limits, LongStr, Method, Properties, PropertyView, ShortStr, Table, TableWriter, Value,
    basic, channel, connection, decode, queue,
};
use bytes::{Bytes, BytesMut};
use model::limits::Limits as NodeLimits;
use model::record::{Address, Record, Space};
use model::render;
use protocol::{
    Authenticate, Authenticated, Close, ConnId, Declared, Delivery, Input, Matched, Message, Node,
    Notice, Now, Outbox, Peer, Protocol, Published, QueueDeclaration, QueueStatus, Refusal, Reply,
    Request, Session, SpaceDeclaration, SpaceStatus, Tag, Token,
};

pub(crate) fn text(text: &str) -> ShortStr {
    ShortStr::new(Bytes::copy_from_slice(text.as_bytes())).expect("short")
}

/// A client at one end, a broker at the other.
pub(crate) struct Rig {
    session: Box<dyn Session>,
    out: Outbox,
    pub(crate) now: Now,
    /// Bytes from the client that the session has left.
    input: BytesMut,
    /// Frames that the session sent and the test has not looked at.
    pub(crate) sent: VecDeque<Frame>,
    raw: BytesMut,
    requests: VecDeque<(Option<Token>, Request)>,
    pub(crate) paused: bool,
    pub(crate) closed: Option<Close>,
}

impl Rig {
    pub(crate) fn fresh() -> Self {
        let now = Now { instant: Instant::now(), unix_ms: 1_700_000_000_000 };
        let node = Node {
            id: 1,
            cluster_id: "test-cluster-id-000000".to_owned(),
            version: "0.1.0",
            limits: NodeLimits::default(),
            default_partitions: 1,
            auto_create_streams: true,
            advertise: None,
        };
        let peer = Peer {
            remote: ([127, 0, 0, 1], 50_000).into(),
            local: ([127, 0, 0, 1], 5672).into(),
            seed: 42,
            conn: ConnId { worker: 0, slot: 0, generation: 0 },
            login: false,
            node: Arc::new(node),
        };
        let mut rig = Self {
            session: Amqp.open(now, peer),
            out: Outbox::new(),
            now,
            input: BytesMut::new(),
            sent: VecDeque::new(),
            raw: BytesMut::new(),
            requests: VecDeque::new(),
            paused: false,
            closed: None,
        };
        rig.feed(|session, now, out| session.handle(now, Input::Opened, out));
        rig
    }

    /// After connection.open.
    pub(crate) fn open() -> Self {
        Self::open_with(0, TableWriter::new().finish())
    }

    pub(crate) fn open_with(heartbeat: u16, client_properties: Table) -> Self {
        let mut rig = Self::fresh();
        rig.bytes(b"AMQP\x00\x00\x09\x01");
        assert!(matches!(rig.next(), Method::Connection(connection::Method::Start(_))));
        rig.send(0, start_ok(client_properties));
        rig.let_in();
        let Method::Connection(connection::Method::Tune(tune)) = rig.next() else {
            panic!("connection.tune")
        };
        let connection::Tune { channel_max, frame_max, .. } = tune;
        rig.send(0, connection::TuneOk { channel_max, frame_max, heartbeat });
        rig.send(0, connection::Open { virtual_host: text("/"), ..connection::Open::default() });
        rig.expect(0, connection::OpenOk::default());
        rig
    }

    /// Who the client says it is.
    pub(crate) fn login(&mut self) -> (Token, Authenticate) {
        let Some((Some(token), Request::Authenticate(asked))) = self.requests.pop_front() else {
            panic!("start-ok asks for the client to be let in");
        };
        (token, asked)
    }

    /// The client is who it said.
    pub(crate) fn let_in(&mut self) {
        let (token, _) = self.login();
        self.reply_to(token, Reply::Authenticated(Authenticated::default()));
    }

    /// With channel 1 open.
    pub(crate) fn channel() -> Self {
        let mut rig = Self::open();
        rig.open_channel(1);
        rig
    }

    pub(crate) fn open_channel(&mut self, number: u16) {
        self.send(number, channel::Open::default());
        self.expect(number, channel::OpenOk::default());
    }

    fn feed(
        &mut self,
        input: impl FnOnce(&mut dyn Session, Now, &mut Outbox) -> Result<(), Close>,
    ) {
        assert!(self.closed.is_none(), "nothing is fed after the end");
        let result = input(&mut *self.session, self.now, &mut self.out);
        self.raw.extend_from_slice(&self.out.take_bytes());
        self.requests.extend(self.out.requests.drain(..));
        self.paused = self.out.take_pause();
        self.closed = result.err();
        if let Some(at) = self.raw.windows(8).position(|eight| eight == b"AMQP\x00\x00\x09\x01") {
            assert_eq!(at, 0);
            return;
        }
        while let Some(frame) =
            decode(&mut self.raw, &Limits { frame_max: 131_072 }).expect("well-formed")
        {
            self.sent.push_back(frame);
        }
        assert!(self.raw.is_empty(), "whole frames");
    }

    /// Bytes of the client.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.pump();
    }

    /// Feeds what is unread for as long as the session reads.
    fn pump(&mut self) {
        while !self.paused && self.closed.is_none() && !self.input.is_empty() {
            let left = self.input.len();
            let mut buffer = std::mem::take(&mut self.input);
            self.feed(|session, now, out| session.handle(now, Input::Bytes(&mut buffer), out));
            self.input = buffer;
            if self.input.len() == left {
                break;
            }
        }
    }

    /// Bytes that the session left unread.
    pub(crate) fn unread(&self) -> usize {
        self.input.len()
    }

    /// Raw bytes that are no frames: the header for strangers.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub(crate) fn frame(&mut self, frame: &Frame) {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        self.bytes(&bytes);
    }

    pub(crate) fn send(&mut self, channel: u16, method: impl Into<Method>) {
        self.frame(&Frame::Method { channel, method: method.into() });
    }

    /// A publish with its content, on channel 1.
    pub(crate) fn publish(
        &mut self,
        publish: basic::Publish,
        view: &PropertyView<'_>,
        body: &[u8],
    ) {
        let mut bytes = BytesMut::new();
        put_message(&mut bytes, 1, &publish.into(), &view.encode(), body, 131_072);
        self.bytes(&bytes);
    }

    pub(crate) fn reply_to(&mut self, token: Token, reply: Reply) {
        self.feed(|session, now, out| session.handle(now, Input::Reply(token, reply), out));
        self.pump();
    }

    pub(crate) fn deliver(&mut self, deliveries: &[Delivery]) {
        self.feed(|session, now, out| session.handle(now, Input::Deliveries(deliveries), out));
        self.pump();
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        self.feed(|session, now, out| session.handle(now, Input::Notice(notice), out));
        self.pump();
    }

    /// Time passes; the deadline is fed when it is due.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.instant + time;
        while let Some(deadline) = self.session.deadline().filter(|deadline| *deadline <= end) {
            self.now.instant = deadline.max(self.now.instant);
            self.feed(|session, now, out| session.handle(now, Input::Timeout, out));
            if self.closed.is_some() {
                return;
            }
        }
        self.now.instant = end;
    }

    /// The next method that the session sent.
    pub(crate) fn next(&mut self) -> Method {
        match self.sent.pop_front() {
            Some(Frame::Method { method, .. }) => method,
            other => panic!("a method, not {other:?}"),
        }
    }

    pub(crate) fn expect(&mut self, channel: u16, method: impl Into<Method>) {
        let method = method.into();
        assert_eq!(self.sent.pop_front(), Some(Frame::Method { channel, method }));
    }

    /// Header and body of the content that follows.
    pub(crate) fn content(&mut self) -> (Properties, Vec<u8>) {
        let Some(Frame::Header { header, .. }) = self.sent.pop_front() else { panic!("a header") };
        let mut body = Vec::new();
        while (body.len() as u64) < header.body_size {
            let Some(Frame::Body { payload, .. }) = self.sent.pop_front() else { panic!("a body") };
            body.extend_from_slice(&payload);
        }
        (header.properties, body)
    }

    pub(crate) fn nothing_sent(&self) {
        assert!(self.sent.is_empty(), "{:?}", self.sent);
    }

    /// The next request and its token, if an answer is wanted.
    pub(crate) fn request(&mut self) -> (Option<Token>, Request) {
        self.requests.pop_front().expect("a request")
    }

    pub(crate) fn take_request(&mut self) -> Option<(Option<Token>, Request)> {
        self.requests.pop_front()
    }

    /// The next request, told without an answer.
    pub(crate) fn told(&mut self) -> Request {
        let (token, request) = self.request();
        assert_eq!(token, None, "{request:?}");
        request
    }

    /// The next request, asked.
    pub(crate) fn asked(&mut self) -> (Token, Request) {
        let (token, request) = self.request();
        (token.unwrap_or_else(|| panic!("{request:?} is asked")), request)
    }

    pub(crate) fn no_requests(&self) {
        assert!(self.requests.is_empty(), "{:?}", self.requests);
    }

    /// The next request is asked, looks like this, and is answered.
    pub(crate) fn answer(&mut self, looks: impl FnOnce(&Request) -> bool, reply: Reply) {
        let (token, request) = self.asked();
        assert!(looks(&request), "{request:?}");
        self.reply_to(token, reply);
    }

    /// channel.close with this code and text, answered as a client does.
    pub(crate) fn channel_error(&mut self, number: u16, code: u16, reply_text: &str) {
        match self.sent.pop_front() {
            Some(Frame::Method {
                channel,
                method: Method::Channel(channel::Method::Close(close)),
            }) => {
                assert_eq!((channel, close.reply_code), (number, code), "{}", close.reply_text);
                assert_eq!(close.reply_text.to_text(), reply_text);
            }
            other => panic!("channel.close, not {other:?}"),
        }
        self.send(number, channel::CloseOk {});
    }

    /// connection.close with this code and text; close-ok ends it.
    pub(crate) fn connection_error(&mut self, code: u16, reply_text: &str) -> connection::Close {
        let Method::Connection(connection::Method::Close(close)) = self.next() else {
            panic!("connection.close")
        };
        assert_eq!(close.reply_code, code, "{}", close.reply_text);
        assert_eq!(close.reply_text.to_text(), reply_text);
        if self.closed.is_none() {
            self.send(0, connection::CloseOk {});
        }
        assert!(self.closed.is_some());
        close
    }

    /// Declares a queue on channel 1 and answers that it stands.
    pub(crate) fn declare(&mut self, name: &str) {
        self.send(1, queue::Declare { queue: text(name), ..queue::Declare::default() });
        let (token, request) = self.asked();
        let Request::Declare(protocol::Declare::Queue(declaration)) = request else {
            panic!("a queue: {request:?}")
        };
        self.reply_to(token, declared(declaration, 0, 0));
        let Method::Queue(queue::Method::DeclareOk(_)) = self.next() else { panic!("declare-ok") };
    }

    /// Starts a consumer on channel 1; the number that it has.
    pub(crate) fn consume(&mut self, queue: &str, tag: &str, no_ack: bool) -> u32 {
        let consume = basic::Consume {
            queue: text(queue),
            consumer_tag: text(tag),
            no_ack,
            ..basic::Consume::default()
        };
        self.send(1, consume);
        let number = loop {
            match self.request() {
                (None, Request::Window { .. }) => {}
                (Some(token), Request::Consume(consume)) => {
                    self.reply_to(token, Reply::Subscribed);
                    break consume.number;
                }
                (_, other) => panic!("{other:?}"),
            }
        };
        self.expect(1, basic::ConsumeOk { consumer_tag: text(tag) });
        number
    }
}

pub(crate) fn start_ok(client_properties: Table) -> connection::StartOk {
    connection::StartOk {
        client_properties,
        mechanism: text("PLAIN"),
        response: LongStr::from_static("\0guest\0guest"),
        locale: text("en_US"),
    }
}

/// Client properties with these capabilities.
pub(crate) fn capable(names: &[&str]) -> Table {
    let mut capabilities = TableWriter::new();
    for name in names {
        capabilities.push(name.as_bytes(), Value::Bool(true));
    }
    TableWriter::new().with("capabilities", Value::Table(capabilities.view())).finish()
}

pub(crate) fn declared(declaration: QueueDeclaration, ready: u64, consumers: u32) -> Reply {
    Reply::Declared(Declared::Queue(QueueStatus { declaration, ready, consumers }))
}

pub(crate) fn exchange(name: &str, kind: &'static str) -> SpaceDeclaration {
    SpaceDeclaration {
        name: Bytes::copy_from_slice(name.as_bytes()),
        kind: Bytes::from_static(kind.as_bytes()),
        durable: false,
        auto_delete: false,
        internal: false,
        arguments: Bytes::new(),
        builtin: false,
    }
}

pub(crate) fn described(declaration: SpaceDeclaration) -> Reply {
    Reply::Space(SpaceStatus { declaration })
}

pub(crate) fn routed(matched: u32, queues: u32) -> Reply {
    Reply::Published(Published { matched, queues })
}

pub(crate) fn refused(refusal: Refusal) -> Reply {
    Reply::Refused(refusal)
}

/// An AMQP message to a queue by its name.
pub(crate) fn message(queue: &str, body: &'static str) -> Arc<Message> {
    let address = Address::Queue(Bytes::copy_from_slice(queue.as_bytes()));
    let record = Record { value: Some(Bytes::from_static(body.as_bytes())), ..Record::default() };
    Arc::new(Message::new(address, record, None))
}

pub(crate) fn delivery(number: u32, place: u64, message: &Arc<Message>) -> Delivery {
    Delivery {
        message: message.clone(),
        matched: Matched::One(number),
        tag: Some(tag(place)),
        redelivered: false,
        deliveries: None,
        last_value: false,
    }
}

pub(crate) fn tag(place: u64) -> Tag {
    Tag { source: 9, place }
}

/// A subject of the exchange's space.
pub(crate) fn subject(space: Space, key: &str) -> Address {
    Address::Subject(space, render::amqp::parse(key.as_bytes()).expect("a key"))
}
