//! A client and a broker at the two ends of a session, without sockets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka::KafkaSession;
use kafka_codec::wire::{Reader, Writer};
use kafka_codec::{
    AnyRequest, AnyResponse, ApiKey, Limits, RequestHeader, Text, response_header_is_flexible,
};
use protocol::{
    Close, ConnId, Input, Node, Notice, Now, Outbox, Peer, Reply, Request, Retention, Session,
    StreamRef, StreamStatus, Token,
};

/// One connection, seen from both sides.
pub(crate) struct Client {
    pub(crate) session: KafkaSession,
    pub(crate) now: Now,
    /// What the client sent and the session left in the buffer.
    pub(crate) buffer: BytesMut,
    /// What the session sent and the client did not take.
    pub(crate) received: BytesMut,
    /// What the session asked.
    pub(crate) asked: Vec<(Option<Token>, Request)>,
    pub(crate) paused: bool,
    next_correlation: i32,
    /// API and version by correlation id.
    sent: Vec<(ApiKey, i16)>,
}

pub(crate) fn node() -> Node {
    Node {
        id: 1,
        cluster_id: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        version: "0.1.0",
        limits: model::limits::Limits::default(),
        default_partitions: 1,
        auto_create_streams: true,
        advertise: None,
    }
}

impl Client {
    pub(crate) fn new() -> Self {
        Self::of(node())
    }

    pub(crate) fn of(node: Node) -> Self {
        let now = Now { instant: Instant::now(), unix_ms: 1_700_000_000_000 };
        let peer = Peer {
            remote: "127.0.0.1:50000".parse().unwrap(),
            local: "127.0.0.1:9092".parse().unwrap(),
            seed: 7,
            conn: ConnId { worker: 0, slot: 0, generation: 0 },
            login: false,
            node: Arc::new(node),
        };
        Self {
            session: KafkaSession::new(now, peer),
            now,
            buffer: BytesMut::new(),
            received: BytesMut::new(),
            asked: Vec::new(),
            paused: false,
            next_correlation: 0,
            sent: Vec::new(),
        }
    }

    fn input(
        &mut self,
        input: impl FnOnce(&mut BytesMut) -> Option<Input<'_>>,
    ) -> Result<(), Close> {
        let mut out = Outbox::new();
        let mut buffer = std::mem::take(&mut self.buffer);
        let taken = match input(&mut buffer) {
            Some(input) => self.session.handle(self.now, input, &mut out),
            None => self.session.handle(self.now, Input::Bytes(&mut buffer), &mut out),
        };
        self.buffer = buffer;
        self.paused = out.take_pause();
        self.asked.append(&mut out.requests);
        self.received.extend_from_slice(&out.take_bytes());
        taken
    }

    /// Sends bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Close> {
        self.buffer.extend_from_slice(bytes);
        self.input(|_| None)
    }

    /// Feeds the session what it left in the buffer.
    pub(crate) fn feed_again(&mut self) -> Result<(), Close> {
        self.input(|_| None)
    }

    pub(crate) fn reply(&mut self, token: Token, reply: Reply) -> Result<(), Close> {
        self.input(|_| Some(Input::Reply(token, reply)))
    }

    pub(crate) fn notice(&mut self, notice: Notice) -> Result<(), Close> {
        self.input(|_| Some(Input::Notice(notice)))
    }

    pub(crate) fn timeout(&mut self, after: Duration) -> Result<(), Close> {
        self.now.instant += after;
        self.input(|_| Some(Input::Timeout))
    }

    /// A frame of a request, with the next correlation id.
    pub(crate) fn frame(&mut self, request: &AnyRequest, version: i16) -> Bytes {
        let header = RequestHeader {
            key: request.key().number(),
            version,
            correlation_id: self.next_correlation,
            client_id: Some(Text::from("test")),
        };
        self.next_correlation += 1;
        self.sent.push((request.key(), version));
        let mut writer = Writer::new(version, false);
        header.write(request.key(), &mut writer);
        request.write(&mut writer);
        let body = writer.into_bytes();
        let mut frame = BytesMut::new();
        frame.put_i32(i32::try_from(body.len()).unwrap());
        frame.put_slice(&body);
        frame.freeze()
    }

    pub(crate) fn send(
        &mut self,
        request: impl Into<AnyRequest>,
        version: i16,
    ) -> Result<(), Close> {
        let frame = self.frame(&request.into(), version);
        self.bytes(&frame)
    }

    /// The next response, with its correlation id; fails unless it is well formed to the last byte.
    pub(crate) fn receive(&mut self) -> Option<(i32, AnyResponse)> {
        if self.received.is_empty() {
            return None;
        }
        let length = usize::try_from(self.received.get_i32()).unwrap();
        let frame = self.received.split_to(length).freeze();
        let correlation = i32::from_be_bytes(*frame.first_chunk().unwrap());
        let (api, version) = self.sent[usize::try_from(correlation).unwrap()];
        let flexible = response_header_is_flexible(api, version);
        let mut header = Reader::new(frame.slice(4..), version, flexible, &Limits::default());
        header.skip_tagged().unwrap();
        let flexible = api.is_flexible(version);
        let mut body = Reader::new(header.into_rest(), version, flexible, &Limits::default());
        let response = AnyResponse::read(api, &mut body).unwrap();
        assert_eq!(body.remaining(), 0, "{api:?} v{version}: bytes behind the response");
        Some((correlation, response))
    }

    /// The only response.
    pub(crate) fn response(&mut self) -> AnyResponse {
        let response = self.receive().expect("a response is there").1;
        assert!(self.received.is_empty(), "one response");
        response
    }

    /// Takes the only request that the session asked.
    pub(crate) fn ask(&mut self) -> (Token, Request) {
        assert_eq!(self.asked.len(), 1, "{:?}", self.asked);
        let (token, request) = self.asked.remove(0);
        (token.expect("it wants an answer"), request)
    }

    /// Sends a request, answers the one question that it leads to, and takes the response.
    pub(crate) fn exchange(
        &mut self,
        request: impl Into<AnyRequest>,
        version: i16,
        reply: Reply,
    ) -> (Request, AnyResponse) {
        self.send(request, version).unwrap();
        let (token, asked) = self.ask();
        self.reply(token, reply).unwrap();
        (asked, self.response())
    }
}

/// A stream of this name; the id is made of its first letter.
pub(crate) fn stream(name: &str, partitions: u32) -> StreamStatus {
    StreamStatus {
        asked: StreamRef::Name(Bytes::copy_from_slice(name.as_bytes())),
        name: Bytes::copy_from_slice(name.as_bytes()),
        id: id(name),
        partitions,
        internal: false,
        retention: Retention::default(),
        refused: None,
    }
}

pub(crate) fn id(name: &str) -> [u8; 16] {
    [name.as_bytes()[0]; 16]
}

pub(crate) fn name(name: &str) -> StreamRef {
    StreamRef::Name(Bytes::copy_from_slice(name.as_bytes()))
}

/// A framed batch of format 2: true as far as a session looks.
pub(crate) fn batch(codec: u8, body: usize) -> Bytes {
    let mut batch = BytesMut::zeroed(61 + body);
    let length = i32::try_from(61 + body - 12).unwrap();
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    batch[22] = codec;
    batch.freeze()
}
