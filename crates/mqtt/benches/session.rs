//! Time per QoS 0 message through a session, in and out: `cargo bench -p mqtt`.
#![expect(clippy::print_stdout, reason = "the result of a bench is what it prints")]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use model::limits::Limits;
use model::record::{Address, Record};
use mqtt_codec::{
    Connect, Packet, PacketId, PublishParts, Subscribe, Subscription, SubscriptionOptions, Text,
    Version,
};
use protocol::{
    Claimed, ConnId, Delivery, Input, Matched, Message, Node, Now, Outbox, Peer, Protocol, Reply,
    Session,
};

const MESSAGES: usize = 1_000;
const ROUNDS: usize = 500;

fn now() -> Now {
    Now { instant: Instant::now(), unix_ms: 1 }
}

fn feed(session: &mut dyn Session, packet: &Packet, version: Version, out: &mut Outbox) {
    let mut bytes = BytesMut::new();
    packet.encode(version, &mut bytes).expect("short");
    session.handle(now(), Input::Bytes(&mut bytes), out).expect("accepted");
}

fn open(version: Version, out: &mut Outbox) -> Box<dyn Session> {
    let node = Node {
        id: 1,
        cluster_id: String::new(),
        version: "bench",
        limits: Limits::default(),
        default_partitions: 1,
        auto_create_streams: true,
        advertise: None,
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let conn = ConnId { worker: 0, slot: 0, generation: 0 };
    let peer =
        Peer { remote: address, local: address, seed: 1, conn, login: false, node: Arc::new(node) };
    let mut session = mqtt::Mqtt.open(now(), peer);
    let connect = Connect::new(version, Text::from_static("bench"), 0);
    feed(&mut *session, &Packet::Connect(Box::new(connect)), version, out);
    let claimed = Reply::Claimed(Box::<Claimed>::default());
    let token = out.requests.pop().and_then(|(token, _)| token).expect("the claim");
    session.handle(now(), Input::Reply(token, claimed), out).expect("accepted");
    let filter = Text::from_static("factory/+/temp");
    let options = SubscriptionOptions::default();
    let subscriptions = vec![Subscription { filter, options }];
    let subscribe = Subscribe { packet_id: PacketId::MIN, subscriptions, properties: None };
    feed(&mut *session, &Packet::Subscribe(subscribe), version, out);
    out.requests.clear();
    session
}

fn bench(name: &str, mut round: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        round();
        best = best.min(start.elapsed().as_nanos() as f64 / MESSAGES as f64);
    }
    println!("{name}: {best:.1} ns");
}

fn main() {
    for version in [Version::V311, Version::V5] {
        let mut out = Outbox::new();
        let mut session = open(version, &mut out);
        let mut stream = BytesMut::new();
        for _ in 0..MESSAGES {
            let parts = PublishParts::new(b"factory/line1/temp", 0);
            parts.encode(version, &[b'x'; 64], &mut stream).expect("short");
        }
        bench(&format!("{version:?} in"), || {
            let mut bytes = BytesMut::from(&stream[..]);
            session.handle(now(), Input::Bytes(&mut bytes), &mut out).expect("accepted");
            black_box(&out.requests);
            out.requests.clear();
        });
        let topic = Bytes::from_static(b"factory/line1/temp");
        let subject = model::render::mqtt::parse(&topic).expect("a topic");
        let record = Record { value: Some(vec![b'x'; 64].into()), ..Record::default() };
        let message = Arc::new(Message::new(Address::shared(subject), record, None));
        let matched = Matched::One(0);
        let delivery = Delivery {
            message,
            matched,
            tag: None,
            redelivered: false,
            deliveries: None,
            last_value: false,
        };
        let deliveries = vec![delivery; MESSAGES];
        bench(&format!("{version:?} out"), || {
            session.handle(now(), Input::Deliveries(&deliveries), &mut out).expect("accepted");
            black_box(out.buffer()).clear();
        });
    }
}
