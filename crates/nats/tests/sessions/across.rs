//! The field map: what NATS receivers see of others' messages, and others of theirs.

use crate::world::World;
use bytes::Bytes;
use model::fields::Origin;
use model::record::{Address, Header, Properties, Record};

const CONNECT: &str = r#"CONNECT {"verbose":false,"headers":true,"no_responders":true}"#;

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn shared(name: &str) -> Address {
    Address::shared(model::render::nats::parse(name.as_bytes()).expect("a literal subject"))
}

fn header(name: &'static str, value: Option<&'static str>) -> Header {
    Header { name: bytes(name), value: value.map(bytes) }
}

#[test]
fn a_message_without_properties_is_a_plain_msg() {
    let mut world = World::new();
    world.run(&format!(
        "a> {CONNECT}\na> SUB factory.> 1\nmqtt factory.line1 hi\na< MSG factory.line1 1 2\na< hi"
    ));
}

#[test]
fn a_null_payload_reads_as_empty_and_slashes_inside_tokens_are_escaped() {
    let mut world = World::new();
    world.run(&format!("a> {CONNECT}\na> SUB > 1"));
    world.publish("a%2Eb.c/d", Record::default());
    world.run("a< MSG a%2Eb.c/d 1 0\na<");
}

#[test]
fn every_field_of_another_protocol_has_its_header() {
    let mut world = World::new();
    world.run(&format!("a> {CONNECT}\na> SUB t 1"));
    let record = Record {
        key: Some(bytes("k1")),
        value: Some(bytes("v")),
        headers: vec![
            header("a", Some("1")),
            header("A", Some("")),
            header("a", Some("2")),
            header("null", None),
            header("with blank", Some("x")),
            header("lines", Some("x\r\nInjected: y")),
        ],
        properties: Some(Box::new(Properties {
            content_type: Some(bytes("text/plain")),
            correlation: Some(bytes("c-7")),
            expires_at_ms: Some(1_000_000 + 1500),
            message_id: Some(bytes("m-1")),
            priority: Some(5),
            ..Properties::default()
        })),
        ..Record::default()
    };
    world.publish("t", record);
    world.run(
        "
        a< HMSG t 1 135 136
        a< NATS/1.0
        a< Kafka-Key: k1
        a< Content-Type: text/plain
        a< Correlation-Id: c-7
        a< Nats-Msg-Id: m-1
        a< Nats-TTL: 2
        a< Priority: 5
        a< a: 1
        a< A:\x20
        a< a: 2
        a<
        a< v
        ",
    );
}

#[test]
fn what_no_header_can_carry_is_dropped() {
    let mut world = World::new();
    world.run(&format!("a> {CONNECT}\na> SUB t 1"));
    let record = Record {
        key: Some(bytes("two\nlines")),
        headers: vec![Header { name: bytes("h"), value: Some(Bytes::from_static(b"\xff")) }],
        properties: Some(Box::new(Properties {
            correlation: Some(Bytes::from_static(b"\x00\xff")),
            ..Properties::default()
        })),
        ..Record::default()
    };
    world.publish("t", record);
    world.run("a< MSG t 1 0\na<");
}

#[test]
fn an_expired_message_is_not_delivered() {
    let mut world = World::new();
    world.run(&format!("a> {CONNECT}\na> SUB t 1"));
    let mut record = Record::default();
    record.properties_mut().expires_at_ms = Some(999_999);
    world.publish("t", record);
    world.run("a> PING\na< PONG");
}

#[test]
fn headers_are_stripped_for_clients_that_do_not_know_them() {
    let mut world = World::new();
    world.run(&format!(
        "
        old> CONNECT {{\"verbose\":false}}
        old> SUB t 1
        new> {CONNECT}
        new> SUB t 1
        new> HPUB t r 18 20
        new> NATS/1.0
        new> a: b
        new>
        new> hi
        old< MSG t 1 r 2
        old< hi
        new< HMSG t 1 r 18 20
        new< NATS/1.0
        new< a: b
        new<
        new< hi
        "
    ));
}

#[test]
fn a_header_block_reaches_nats_receivers_byte_for_byte_and_others_as_fields() {
    let mut world = World::new();
    world.run(&format!("a> {CONNECT}\na> SUB t 1"));
    let block = "NATS/1.0\r\nkafka-key:k\r\nContent-Type:  text/plain\r\nCorrelation-Id: c\r\n\
                 Nats-TTL: 1m\r\nPriority: 300\r\nX: 1\r\nX: 2\r\nKafka-Key: second\r\n\r\n";
    let wire = format!("HPUB t {} {}\r\n{block}hi\r\n", block.len(), block.len() + 2);
    world.send("a", wire.as_bytes());
    let want = format!("HMSG t 1 {} {}\r\n{block}hi\r\n", block.len(), block.len() + 2);
    assert_eq!(world.take_output("a"), want);

    let (to, record) = world.published.pop().expect("it was published");
    assert_eq!(to, shared("t"));
    assert_eq!(record.key, Some(bytes("k")));
    assert_eq!(record.value, Some(bytes("hi")));
    let kept = [("Priority", "300"), ("X", "1"), ("X", "2"), ("Kafka-Key", "second")];
    let kept: Vec<Header> = kept.into_iter().map(|(k, v)| header(k, Some(v))).collect();
    assert_eq!(record.headers, kept, "what is no field of the map, or a repeat, stays a header");
    let properties = record.properties.expect("properties");
    assert_eq!(properties.content_type, Some(bytes("text/plain")));
    assert_eq!(properties.correlation, Some(bytes("c")));
    assert_eq!(properties.expires_at_ms, Some(1_060_000));
    assert_eq!(properties.priority, None);
    let native = properties.native.expect("the block itself");
    assert_eq!((native.protocol, &native.block[..]), (Origin::Nats, block.as_bytes()));
}

#[test]
fn a_block_of_no_known_form_is_carried_to_nats_receivers_only() {
    let mut world = World::new();
    world.run(&format!("a> {CONNECT}\na> SUB t 1"));
    world.send("a", b"HPUB t 7 9\r\ngarbagehi\r\n");
    assert_eq!(world.take_output("a"), "HMSG t 1 7 9\r\ngarbagehi\r\n");
    let (_, record) = world.published.pop().expect("it was published");
    assert!(record.headers.is_empty());
}

#[test]
fn a_reply_between_nats_clients_is_never_replaced() {
    let mut world = World::new();
    world.run(&format!(
        "
        a> {CONNECT}
        a> SUB t 1
        a> HPUB t my.reply 31 31
        a> NATS/1.0
        a> Correlation-Id: 7
        a>
        a>
        a< HMSG t 1 my.reply 31 31
        a< NATS/1.0
        a< Correlation-Id: 7
        a<
        a<
        a> PUB t $private.reply 0
        a>
        a< MSG t 1 $private.reply 0
        a<
        "
    ));
}

#[test]
fn a_requester_elsewhere_is_answered_through_its_alias_where_one_is_needed() {
    let mut world = World::new();
    world.alias = Some("_INBOX.alias.1");
    world.run(&format!("a> {CONNECT}\na> SUB t 1"));
    let request = |reply_to: Address, correlation: Option<Bytes>| {
        let properties =
            Properties { reply_to: Some(reply_to), correlation, ..Properties::default() };
        Record { properties: Some(Box::new(properties)), ..Record::default() }
    };
    world.publish("t", request(shared("plain.topic"), None));
    world.run("a< MSG t 1 plain.topic 0\na<");
    world.publish("t", request(Address::Queue(bytes("amq.gen-1")), None));
    world.run("a< MSG t 1 _INBOX.alias.1 0\na<");
    world.publish("t", request(shared("plain.topic"), Some(Bytes::from_static(b"\xff"))));
    world.run("a< MSG t 1 _INBOX.alias.1 0\na<");

    world.alias = None;
    world.publish("t", request(Address::Queue(bytes("amq.gen-1")), None));
    world.run("a< MSG t 1 0\na<");
}
