//! A client, a broker played by hand, and a short notation for what the session says to both.
//!
//! Each step returns what came out of it, one item after the other: packets in capitals, requests in
//! small letters, the close last.

use std::collections::VecDeque;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use model::limits::Limits;
use model::record::{Address, Record};
use model::render;
use mqtt::Session;
use mqtt_codec::publish::Assurance;
use mqtt_codec::{
    Ack, Connect, Packet, PacketId, Properties, Publish, Qos, ReasonCode, RetainHandling,
    Subscribe, Subscription, SubscriptionOptions, Text, Unsubscribe, Version, decode,
};
use protocol::{
    Claimed, Close, ConnId, Delivery, Expiry, Handover, Input, Matched, Message, Node, Notice, Now,
    Outbox, Peer, Published, Reply, Request, Session as _, Tag, Token,
};

/// One connection.
pub(crate) struct Script {
    session: Session,
    version: Version,
    pub(crate) now: Now,
    buffer: BytesMut,
    out: Outbox,
    /// Requests that wait for an answer.
    asked: VecDeque<Token>,
    /// What the last release left.
    pub(crate) handover: Option<Handover>,
    pub(crate) paused: bool,
}

pub(crate) fn node() -> Node {
    Node {
        id: 1,
        cluster_id: String::new(),
        version: "test",
        limits: Limits { session_messages: 3, subscriptions: 4, ..Limits::default() },
        default_partitions: 1,
        auto_create_streams: true,
        advertise: None,
    }
}

impl Script {
    /// A fresh connection that will speak this version.
    pub(crate) fn new(version: Version) -> Self {
        let now = Now { instant: Instant::now(), unix_ms: 1_000_000 };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let conn = ConnId { worker: 0, slot: 0, generation: 0 };
        let node = Arc::new(node());
        let peer = Peer { remote: address, local: address, seed: 0xABCD, conn, login: false, node };
        Self {
            session: Session::new(now, &peer),
            version,
            now,
            buffer: BytesMut::new(),
            out: Outbox::new(),
            asked: VecDeque::new(),
            handover: None,
            paused: false,
        }
    }

    /// A connection with a new session: clean, gone when the connection is.
    pub(crate) fn open(version: Version) -> Self {
        let mut script = Self::new(version);
        script.say(connect(version));
        script.answer(claimed());
        script
    }

    /// A connection with a session that stays; MQTT 5 or older.
    pub(crate) fn durable(version: Version, claimed: Claimed) -> (Self, String) {
        let mut script = Self::new(version);
        let mut packet = plain_connect(version);
        packet.clean_start = false;
        if version.is_v5() {
            let forever = Properties { session_expiry_secs: Some(3600), ..Properties::default() };
            packet.properties = Some(Box::new(forever));
        }
        script.say(Packet::Connect(Box::new(packet)));
        let said = script.answer(Reply::Claimed(Box::new(claimed)));
        (script, said)
    }

    /// Subscribes, and lets the broker agree; the subscription's number is the place it got.
    pub(crate) fn subscribed(&mut self, filter: &'static str, qos: Qos) {
        self.say(subscribe(1, filter, options(qos)));
        while !self.asked.is_empty() {
            self.answer(Reply::Subscribed);
        }
    }

    fn input(&mut self, input: Input<'_>) -> String {
        let result = self.session.handle(self.now, input, &mut self.out);
        self.paused = self.out.take_pause();
        let mut said = Vec::new();
        let mut frames = BytesMut::from(&self.out.take_bytes()[..]);
        let limits = mqtt_codec::Limits::default();
        while let Some(packet) = decode(&mut frames, self.version, &limits).expect("valid MQTT") {
            said.push(show_packet(&packet));
        }
        assert!(frames.is_empty(), "whole packets only");
        for (token, request) in self.out.requests.drain(..) {
            if let Request::Release(release) = request {
                said.push(format!("release {}", show_release(&release)));
                self.handover = release.handover;
                continue;
            }
            said.push(show_request(&request));
            self.asked.extend(token);
        }
        match result {
            Ok(()) => {}
            Err(Close::Violation(_)) => said.push("close violation".to_owned()),
            Err(Close::Refused(_)) => said.push("close refused".to_owned()),
            Err(close) => said.push(format!("close {close:?}").to_lowercase()),
        }
        said.join("; ")
    }

    /// The client sends a packet.
    pub(crate) fn say(&mut self, packet: Packet) -> String {
        let mut bytes = BytesMut::new();
        packet.encode(self.version, &mut bytes).expect("a short packet");
        self.send(&bytes)
    }

    /// The client sends bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> String {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.extend_from_slice(bytes);
        let said = self.input(Input::Bytes(&mut buffer));
        self.buffer = buffer;
        said
    }

    /// The broker answers the oldest request.
    pub(crate) fn answer(&mut self, reply: Reply) -> String {
        self.answer_nth(0, reply)
    }

    /// The broker answers the nth of the requests that wait.
    pub(crate) fn answer_nth(&mut self, nth: usize, reply: Reply) -> String {
        let token = self.asked.remove(nth).expect("a request waits");
        self.input(Input::Reply(token, reply))
    }

    /// The broker delivers.
    pub(crate) fn deliver(&mut self, deliveries: &[Delivery]) -> String {
        self.input(Input::Deliveries(deliveries))
    }

    pub(crate) fn notice(&mut self, notice: Notice) -> String {
        self.input(Input::Notice(notice))
    }

    /// Time passes, to the deadline if it is near enough.
    pub(crate) fn wait(&mut self, secs: u64) -> String {
        self.now.instant += Duration::from_secs(secs);
        self.now.unix_ms += 1000 * i64::try_from(secs).expect("a short time");
        if self.session.deadline().is_some_and(|deadline| deadline <= self.now.instant) {
            return self.input(Input::Timeout);
        }
        String::new()
    }

    /// The connection is gone.
    pub(crate) fn end(&mut self) -> String {
        self.input(Input::End)
    }
}

pub(crate) fn text(text: &str) -> Text {
    Text::try_from(text).expect("valid")
}

pub(crate) fn id(id: u16) -> PacketId {
    PacketId::new(id).expect("not zero")
}

pub(crate) fn plain_connect(version: Version) -> Connect {
    Connect::new(version, text("c"), 10)
}

pub(crate) fn connect(version: Version) -> Packet {
    Packet::Connect(Box::new(plain_connect(version)))
}

pub(crate) fn claimed() -> Reply {
    Reply::Claimed(Box::default())
}

pub(crate) fn present() -> Claimed {
    Claimed { present: true, ..Claimed::default() }
}

pub(crate) fn published(matched: u32) -> Reply {
    Reply::Published(Published { matched, queues: 0 })
}

pub(crate) fn plain_publish(topic: &str, qos: Qos, packet_id: u16) -> Publish {
    Publish {
        dup: false,
        assurance: match qos {
            Qos::AtMostOnce => Assurance::AtMostOnce,
            Qos::AtLeastOnce => Assurance::AtLeastOnce(id(packet_id)),
            Qos::ExactlyOnce => Assurance::ExactlyOnce(id(packet_id)),
        },
        retain: false,
        topic: text(topic),
        topic_alias: None,
        subscription_ids: Vec::new(),
        properties: None,
        payload: Bytes::from_static(b"hi"),
    }
}

pub(crate) fn publish(topic: &str, qos: Qos, packet_id: u16) -> Packet {
    Packet::Publish(plain_publish(topic, qos, packet_id))
}

pub(crate) fn ack(packet_id: u16) -> Ack {
    Ack::new(id(packet_id), ReasonCode::Success)
}

pub(crate) fn options(qos: Qos) -> SubscriptionOptions {
    SubscriptionOptions { qos, ..SubscriptionOptions::default() }
}

pub(crate) fn subscribe(packet_id: u16, filter: &str, options: SubscriptionOptions) -> Packet {
    let subscriptions = vec![Subscription { filter: text(filter), options }];
    Packet::Subscribe(Subscribe { packet_id: id(packet_id), subscriptions, properties: None })
}

pub(crate) fn unsubscribe(packet_id: u16, filters: &[&str]) -> Packet {
    let filters = filters.iter().map(|filter| text(filter)).collect();
    Packet::Unsubscribe(Unsubscribe { packet_id: id(packet_id), filters, properties: None })
}

pub(crate) fn quiet(qos: Qos) -> SubscriptionOptions {
    SubscriptionOptions { retain_handling: RetainHandling::DoNotSend, ..options(qos) }
}

pub(crate) fn message(topic: &'static str, record: Record) -> Arc<Message> {
    let subject = render::mqtt::parse(&Bytes::from_static(topic.as_bytes())).expect("a topic");
    Arc::new(Message::new(Address::shared(subject), record, None))
}

pub(crate) fn record(qos: Qos) -> Record {
    let assurance = match qos {
        Qos::AtMostOnce => model::record::Assurance::AtMostOnce,
        Qos::AtLeastOnce => model::record::Assurance::AtLeastOnce,
        Qos::ExactlyOnce => model::record::Assurance::ExactlyOnce,
    };
    Record { value: Some(Bytes::from_static(b"hi")), assurance, ..Record::default() }
}

/// A live message for subscription 0.
pub(crate) fn live(topic: &'static str, qos: Qos) -> Delivery {
    Delivery {
        message: message(topic, record(qos)),
        matched: Matched::One(0),
        tag: None,
        redelivered: false,
        deliveries: None,
        last_value: false,
    }
}

pub(crate) fn tag(place: u64) -> Tag {
    Tag { source: 1, place }
}

/// A stored message for subscription 0.
pub(crate) fn stored(topic: &'static str, qos: Qos, place: u64) -> Delivery {
    Delivery { tag: Some(tag(place)), ..live(topic, qos) }
}

pub(crate) fn again(delivery: Delivery) -> Delivery {
    Delivery { redelivered: true, ..delivery }
}

fn show_packet(packet: &Packet) -> String {
    let ack = |name: &str, ack: &Ack| format!("{name} #{}{}", ack.packet_id, show_code(ack.code));
    match packet {
        Packet::ConnAck(connack) => {
            let mut said = "CONNACK".to_owned();
            if connack.session_present {
                said += " present";
            }
            said += &show_code(connack.code);
            if let Some(assigned) =
                connack.properties.as_ref().and_then(|own| own.assigned_client_id.as_ref())
            {
                let _ = write!(said, " id={assigned}");
            }
            said
        }
        Packet::Publish(publish) => show_publish(publish),
        Packet::PubAck(own) => ack("PUBACK", own),
        Packet::PubRec(own) => ack("PUBREC", own),
        Packet::PubRel(own) => ack("PUBREL", own),
        Packet::PubComp(own) => ack("PUBCOMP", own),
        Packet::SubAck(suback) => format!("SUBACK #{} {}", suback.packet_id, codes(&suback.codes)),
        Packet::UnsubAck(own) => format!("UNSUBACK #{} {}", own.packet_id, codes(&own.codes)),
        Packet::PingResp => "PINGRESP".to_owned(),
        Packet::Disconnect(own) => format!("DISCONNECT{}", show_code(own.code)),
        Packet::Connect(_)
        | Packet::Subscribe(_)
        | Packet::Unsubscribe(_)
        | Packet::PingReq
        | Packet::Auth(_) => panic!("a server does not say {packet:?}"),
    }
}

fn show_code(code: ReasonCode) -> String {
    if code == ReasonCode::Success { String::new() } else { format!(" {:02x}", code.as_u8()) }
}

fn codes(codes: &[ReasonCode]) -> String {
    let codes: Vec<_> = codes.iter().map(|code| format!("{:02x}", code.as_u8())).collect();
    codes.join(",")
}

fn show_publish(publish: &Publish) -> String {
    let mut said = format!("PUBLISH {} q{}", publish.topic, publish.assurance.qos().as_u8());
    if let Some(id) = publish.assurance.packet_id() {
        let _ = write!(said, " #{id}");
    }
    for (set, word) in [(publish.dup, " dup"), (publish.retain, " retain")] {
        said += if set { word } else { "" };
    }
    for id in &publish.subscription_ids {
        let _ = write!(said, " id={}", id.get());
    }
    if let Some(secs) = publish.properties.as_ref().and_then(|own| own.message_expiry_secs) {
        let _ = write!(said, " expires={secs}");
    }
    said
}

fn show_expiry(expiry: Expiry) -> String {
    match expiry {
        Expiry::After(ms) => format!("{}s", ms / 1000),
        Expiry::Never => "never".to_owned(),
    }
}

fn show_address(address: &Address) -> String {
    match address {
        Address::Subject(space, subject) => match space.name() {
            Some(space) => format!("{space}:{subject}"),
            None => subject.to_string(),
        },
        Address::Queue(_) => "a queue".to_owned(),
    }
}

fn show_published(publish: &protocol::Publish) -> String {
    let record = &publish.record;
    let mut said = format!("{} {:?}", show_address(&publish.to), record.assurance);
    said += if record.retain { " retain" } else { "" };
    if let Some(at) = record.properties.as_ref().and_then(|own| own.expires_at_ms) {
        let _ = write!(said, " until={at}");
    }
    if publish.wait == protocol::Wait::Stored {
        said += " stored";
    }
    if let Some(key) = &publish.remember {
        let _ = write!(said, " +{}", show_key(key));
    }
    said
}

fn show_key(key: &Bytes) -> String {
    let number = key.iter().skip(1).fold(0u32, |number, &byte| number << 8 | u32::from(byte));
    format!("{}{number}", char::from(key[0]))
}

fn show_release(release: &protocol::Release) -> String {
    let mut said = release.expiry.map_or_else(String::new, show_expiry);
    if let Some(will) = &release.will {
        let _ =
            write!(said, " will={} after {}s", show_published(&will.publish), will.delay_ms / 1000);
    }
    said
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what MQTT has no use for fails the test")]
fn show_request(request: &Request) -> String {
    match request {
        Request::Claim(claim) => {
            let name = String::from_utf8_lossy(&claim.name);
            let clean = if claim.clean { " clean" } else { "" };
            format!("claim {name}{clean} {} window={}", show_expiry(claim.expiry), claim.window)
        }
        Request::Publish(publish) => format!("publish {}", show_published(publish)),
        Request::Subscribe(own) => {
            let filter = own.filter.to_mqtt().expect("an MQTT filter");
            let mut said = format!("subscribe {} ", own.number);
            if let Some(space) = own.space.name() {
                let _ = write!(said, "{space}:");
            }
            said += &String::from_utf8_lossy(&filter);
            if let Some(group) = &own.group {
                let _ = write!(said, " group={}", String::from_utf8_lossy(group));
            }
            for (set, word) in [(own.durable, " durable"), (own.skip_own, " skip-own")] {
                said += if set { word } else { "" };
            }
            let _ = write!(said, " {:?}", own.start);
            said
        }
        Request::Unsubscribe(number) => format!("unsubscribe {number}"),
        Request::Remember(remember) => {
            let row = |(key, value): &(Bytes, Option<Bytes>)| {
                let sign = if value.is_some() { '+' } else { '-' };
                let end = value.as_ref().filter(|_| key[0] == b'o').map_or("", |value| {
                    if value.last() == Some(&1) { ":released" } else { ":sent" }
                });
                format!("{sign}{}{end}", show_key(key))
            };
            let rows: Vec<_> = remember.rows.iter().map(row).collect();
            format!("remember {}", rows.join(" "))
        }
        Request::Settle(settle) => {
            let places: Vec<_> = settle.tags.iter().map(|tag| tag.place.to_string()).collect();
            format!("settle {}", places.join(" "))
        }
        other => panic!("MQTT does not ask {other:?}"),
    }
}
