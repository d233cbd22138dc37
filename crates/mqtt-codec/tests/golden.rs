//! Packets against bytes that were written by hand from the specifications.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::{NonZeroU16, NonZeroU32};

use bytes::{Bytes, BytesMut};
use mqtt_codec::publish::Assurance;
use mqtt_codec::{
    Ack, Auth, Binary, ConnAck, Connect, Disconnect, Limits, MessageProperties, Packet, PacketId,
    Properties, Publish, PublishParts, Qos, ReasonCode, RetainHandling, SubAck, Subscribe,
    Subscription, SubscriptionId, SubscriptionOptions, Text, UnsubAck, Unsubscribe, Version, Will,
    decode, decode_connect,
};

fn text(text: &'static str) -> Text {
    Text::from_static(text)
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

/// The bytes decode to the packet, and the packet encodes to the bytes.
fn check(version: Version, bytes: &[u8], packet: &Packet) {
    let mut buffer = BytesMut::from(bytes);
    let decoded = decode(&mut buffer, version, &Limits::default()).expect("a valid packet");
    assert_eq!(decoded.as_ref(), Some(packet));
    assert!(buffer.is_empty(), "nothing is left");
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).expect("it fits");
    assert_eq!(&out[..], bytes);
}

fn publish(topic: &'static str, payload: &'static [u8]) -> Publish {
    Publish {
        dup: false,
        assurance: Assurance::AtMostOnce,
        retain: false,
        topic: text(topic),
        topic_alias: None,
        subscription_ids: Vec::new(),
        properties: None,
        payload: Bytes::from_static(payload),
    }
}

#[test]
fn connect_of_mqtt_31_names_mqisdp() {
    let mut connect = Connect::new(Version::V31, text("c"), 60);
    connect.user_name = Some(text("u"));
    connect.password = Some(Binary::new(&b"p"[..]).unwrap());
    let bytes = b"\x10\x15\0\x06MQIsdp\x03\xC2\0\x3C\0\x01c\0\x01u\0\x01p";
    check(Version::V31, bytes, &Packet::Connect(Box::new(connect)));
}

#[test]
fn connect_of_mqtt_31_may_promise_a_user_name_and_not_have_one() {
    let bytes = b"\x10\x0F\0\x06MQIsdp\x03\xC2\0\x3C\0\x01c";
    let connect = decode_connect(&mut BytesMut::from(&bytes[..]), &Limits::default());
    let connect = connect.unwrap().unwrap();
    assert_eq!((connect.user_name, connect.password), (None, None));
}

#[test]
fn connect_of_mqtt_311_with_a_will() {
    let mut connect = Connect::new(Version::V311, text("dev"), 10);
    connect.clean_start = false;
    connect.will = Some(Box::new(Will {
        topic: text("w/t"),
        payload: Binary::new(&b"gone"[..]).unwrap(),
        qos: Qos::ExactlyOnce,
        retain: true,
        delay_secs: 0,
        properties: None,
    }));
    let bytes = b"\x10\x1A\0\x04MQTT\x04\x34\0\x0A\0\x03dev\0\x03w/t\0\x04gone";
    check(Version::V311, bytes, &Packet::Connect(Box::new(connect)));
}

#[test]
fn connect_of_mqtt_5_with_properties_and_will_properties() {
    let mut connect = Connect::new(Version::V5, text(""), 0);
    connect.properties = Some(Box::new(Properties {
        session_expiry_secs: Some(u32::MAX),
        receive_maximum: NonZeroU16::new(20),
        maximum_packet_size: NonZeroU32::new(256),
        topic_alias_maximum: Some(10),
        request_problem_information: Some(false),
        user_properties: vec![(text("k"), text("v"))],
        ..Properties::default()
    }));
    connect.will = Some(Box::new(Will {
        topic: text("t"),
        payload: Binary::new(&b""[..]).unwrap(),
        qos: Qos::AtLeastOnce,
        retain: false,
        delay_secs: 5,
        properties: Some(Box::new(MessageProperties {
            payload_is_utf8: Some(true),
            ..MessageProperties::default()
        })),
    }));
    let bytes = b"\x10\x33\0\x04MQTT\x05\x0E\0\0\
        \x19\x11\xFF\xFF\xFF\xFF\x17\0\x21\0\x14\x22\0\x0A\x27\0\0\x01\0\x26\0\x01k\0\x01v\
        \0\0\
        \x07\x18\0\0\0\x05\x01\x01\0\x01t\0\0";
    check(Version::V5, bytes, &Packet::Connect(Box::new(connect)));
}

// covers: [MQTT-3.2.2-6]
#[test]
fn connack_of_each_version() {
    let accepted = |present| Packet::ConnAck(ConnAck::new(present, ReasonCode::Success));
    check(Version::V31, b"\x20\x02\0\0", &accepted(false));
    check(Version::V311, b"\x20\x02\x01\0", &accepted(true));
    check(Version::V5, b"\x20\x03\x01\0\0", &accepted(true));
    let refused = Packet::ConnAck(ConnAck::new(false, ReasonCode::NotAuthorized));
    check(Version::V311, b"\x20\x02\0\x05", &refused);
    check(Version::V5, b"\x20\x03\0\x87\0", &refused);
    let mut buffer = BytesMut::from(&b"\x20\x02\x01\x05"[..]);
    assert!(decode(&mut buffer, Version::V311, &Limits::default()).is_err());
}

#[test]
fn connack_of_mqtt_5_with_what_a_server_announces() {
    let connack = ConnAck {
        session_present: false,
        code: ReasonCode::Success,
        properties: Some(Box::new(Properties {
            assigned_client_id: Some(text("auto-1")),
            server_keep_alive_secs: Some(30),
            maximum_qos: Some(Qos::AtLeastOnce),
            retain_available: Some(false),
            wildcard_subscriptions_available: Some(true),
            subscription_ids_available: Some(true),
            shared_subscriptions_available: Some(false),
            reason_string: Some(text("hi")),
            ..Properties::default()
        })),
    };
    let bytes = b"\x20\x1E\0\0\x1B\x12\0\x06auto-1\x13\0\x1E\x1F\0\x02hi\
        \x24\x01\x25\0\x28\x01\x29\x01\x2A\0";
    check(Version::V5, bytes, &Packet::ConnAck(connack));
}

#[test]
fn publish_of_qos_0_in_each_version() {
    let packet = Packet::Publish(publish("a/b", b"hi"));
    check(Version::V31, b"\x30\x07\0\x03a/bhi", &packet);
    check(Version::V311, b"\x30\x07\0\x03a/bhi", &packet);
    check(Version::V5, b"\x30\x08\0\x03a/b\0hi", &packet);
}

#[test]
fn publish_of_qos_1_and_2_has_a_packet_identifier() {
    let mut one = publish("a", b"");
    one.dup = true;
    one.assurance = Assurance::AtLeastOnce(id(10));
    check(Version::V311, b"\x3A\x05\0\x01a\0\x0A", &Packet::Publish(one));
    let mut two = publish("a", b"x");
    two.retain = true;
    two.assurance = Assurance::ExactlyOnce(id(0x1234));
    check(Version::V5, b"\x35\x07\0\x01a\x12\x34\0x", &Packet::Publish(two));
}

#[test]
fn publish_of_mqtt_5_with_every_property() {
    let mut all = publish("", b"p");
    all.topic_alias = NonZeroU16::new(3);
    all.subscription_ids = vec![SubscriptionId::new(1).unwrap(), SubscriptionId::new(200).unwrap()];
    all.properties = Some(Box::new(MessageProperties {
        payload_is_utf8: Some(true),
        message_expiry_secs: Some(60),
        content_type: Some(text("t")),
        response_topic: Some(text("r/1")),
        correlation_data: Some(Binary::new(&[0u8, 255][..]).unwrap()),
        user_properties: vec![
            (text("b"), text("1")),
            (text("a"), text("")),
            (text("b"), text("2")),
        ],
    }));
    let bytes = b"\x30\x36\0\0\x32\x23\0\x03\x0B\x01\x0B\xC8\x01\x01\x01\x02\0\0\0\x3C\
        \x03\0\x01t\x08\0\x03r/1\x09\0\x02\0\xFF\
        \x26\0\x01b\0\x011\x26\0\x01a\0\0\x26\0\x01b\0\x012p";
    check(Version::V5, bytes, &Packet::Publish(all));
}

#[test]
fn acknowledgements_leave_out_what_says_nothing() {
    let ok = || Ack::new(id(7), ReasonCode::Success);
    for version in Version::ALL {
        check(version, b"\x40\x02\0\x07", &Packet::PubAck(ok()));
        check(version, b"\x50\x02\0\x07", &Packet::PubRec(ok()));
        check(version, b"\x62\x02\0\x07", &Packet::PubRel(ok()));
        check(version, b"\x70\x02\0\x07", &Packet::PubComp(ok()));
    }
    let none = Ack::new(id(7), ReasonCode::NoMatchingSubscribers);
    check(Version::V5, b"\x40\x03\0\x07\x10", &Packet::PubAck(none));
    let unknown = Ack {
        packet_id: id(7),
        code: ReasonCode::PacketIdentifierNotFound,
        properties: Some(Box::new(Properties {
            reason_string: Some(text("?")),
            ..Properties::default()
        })),
    };
    check(Version::V5, b"\x62\x08\0\x07\x92\x04\x1F\0\x01?", &Packet::PubRel(unknown));
}

#[test]
fn subscribe_options_are_of_the_version() {
    let subscription = |filter, options| Subscription { filter: text(filter), options };
    let plain = Packet::Subscribe(Subscribe {
        packet_id: id(1),
        subscriptions: vec![
            subscription(
                "a/+",
                SubscriptionOptions { qos: Qos::AtLeastOnce, ..Default::default() },
            ),
            subscription("#", SubscriptionOptions::default()),
        ],
        properties: None,
    });
    check(Version::V311, b"\x82\x0C\0\x01\0\x03a/+\x01\0\x01#\0", &plain);
    check(Version::V5, b"\x82\x0D\0\x01\0\0\x03a/+\x01\0\x01#\0", &plain);
    let full = Packet::Subscribe(Subscribe {
        packet_id: id(1),
        subscriptions: vec![subscription(
            "a",
            SubscriptionOptions {
                qos: Qos::ExactlyOnce,
                no_local: true,
                retain_as_published: true,
                retain_handling: RetainHandling::DoNotSend,
            },
        )],
        properties: Some(Box::new(Properties {
            subscription_id: SubscriptionId::new(268_435_455),
            ..Properties::default()
        })),
    });
    check(Version::V5, b"\x82\x0C\0\x01\x05\x0B\xFF\xFF\xFF\x7F\0\x01a\x2E", &full);
}

#[test]
fn suback_and_unsuback_of_each_version() {
    let codes = vec![ReasonCode::GrantedQos2, ReasonCode::UnspecifiedError];
    let suback = Packet::SubAck(SubAck { packet_id: id(2), codes, properties: None });
    check(Version::V311, b"\x90\x04\0\x02\x02\x80", &suback);
    check(Version::V5, b"\x90\x05\0\x02\0\x02\x80", &suback);
    let filters = vec![text("a"), text("b/#")];
    let unsubscribe = Unsubscribe { packet_id: id(3), filters, properties: None };
    let unsubscribe = Packet::Unsubscribe(unsubscribe);
    check(Version::V31, b"\xA2\x0A\0\x03\0\x01a\0\x03b/#", &unsubscribe);
    check(Version::V5, b"\xA2\x0B\0\x03\0\0\x01a\0\x03b/#", &unsubscribe);
    let bare = UnsubAck { packet_id: id(3), codes: Vec::new(), properties: None };
    check(Version::V311, b"\xB0\x02\0\x03", &Packet::UnsubAck(bare));
    let codes = vec![ReasonCode::Success, ReasonCode::NoSubscriptionExisted];
    let unsuback = UnsubAck { packet_id: id(3), codes, properties: None };
    check(Version::V5, b"\xB0\x05\0\x03\0\0\x11", &Packet::UnsubAck(unsuback));
}

#[test]
fn a_failure_in_suback_is_0x80_before_mqtt_5() {
    let codes = vec![ReasonCode::NotAuthorized];
    let mut out = BytesMut::new();
    let suback = SubAck { packet_id: id(2), codes, properties: None };
    suback.encode(Version::V311, &mut out).unwrap();
    assert_eq!(&out[..], b"\x90\x03\0\x02\x80");
}

#[test]
fn pings_disconnect_and_auth() {
    for version in Version::ALL {
        check(version, b"\xC0\0", &Packet::PingReq);
        check(version, b"\xD0\0", &Packet::PingResp);
        check(version, b"\xE0\0", &Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
    }
    let taken = Disconnect::new(ReasonCode::SessionTakenOver);
    check(Version::V5, b"\xE0\x01\x8E", &Packet::Disconnect(taken.clone()));
    let mut out = BytesMut::new();
    taken.encode(Version::V311, &mut out).unwrap();
    assert_eq!(&out[..], b"\xE0\0");
    let auth = Packet::Auth(Auth {
        code: ReasonCode::ContinueAuthentication,
        properties: Some(Box::new(Properties {
            authentication_method: Some(text("M")),
            authentication_data: Some(Binary::new(&b"d"[..]).unwrap()),
            ..Properties::default()
        })),
    });
    check(Version::V5, b"\xF0\x0A\x18\x08\x15\0\x01M\x16\0\x01d", &auth);
    assert!(auth.encode(Version::V311, &mut out).is_err());
    assert_eq!(&out[..], b"\xE0\0", "nothing was written");
}

#[test]
fn a_shared_publish_is_the_same_bytes_with_another_identifier() {
    let mut parts = PublishParts::new(b"a/b", 0);
    let shared = parts.encode_shared(Version::V5, b"hi").unwrap();
    assert_eq!(&shared.frame()[..], b"\x30\x08\0\x03a/b\0hi");
    parts.assurance = Assurance::AtLeastOnce(id(1));
    let shared = parts.encode_shared(Version::V5, b"hi").unwrap();
    let mut out = BytesMut::from(&b"before"[..]);
    shared.write_with_id(id(0x0203), &mut out);
    assert_eq!(&out[..], b"before\x32\x0A\0\x03a/b\x02\x03\0hi");
}

#[test]
fn head_and_payload_apart_make_the_same_packet_and_its_size_is_known_before() {
    let properties = MessageProperties { content_type: Some(text("x")), ..Default::default() };
    let mut encoded = BytesMut::new();
    properties.encode(&mut encoded);
    assert_eq!(
        MessageProperties::decode(encoded.clone().freeze(), &Limits::default()),
        Ok(properties.clone())
    );
    let payload = vec![b'z'; 200];
    let mut parts = PublishParts::new(b"t", payload.len());
    parts.properties = Some(&properties);
    let mut whole = BytesMut::new();
    parts.encode(Version::V5, &payload, &mut whole).unwrap();
    assert_eq!(whole.len(), parts.size(Version::V5));
    parts.properties = None;
    parts.encoded_properties = &encoded;
    let mut apart = BytesMut::new();
    parts.encode_without_payload(Version::V5, &mut apart).unwrap();
    apart.extend_from_slice(&payload);
    assert_eq!(apart, whole);
    assert_eq!(whole.len(), parts.size(Version::V5));
}
