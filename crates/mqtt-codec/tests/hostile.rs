//! What is not MQTT, answered with the reason code that says so.

use bytes::BytesMut;
use mqtt_codec::{Limits, Malformed, ReasonCode, Version, decode, decode_connect};

fn reason(version: Version, bytes: &[u8]) -> ReasonCode {
    match decode(&mut BytesMut::from(bytes), version, &Limits::default()) {
        Err(malformed) => malformed.reason(),
        Ok(packet) => panic!("{bytes:x?} was taken as {packet:?}"),
    }
}

fn connect_error(bytes: &[u8]) -> Malformed {
    match decode_connect(&mut BytesMut::from(bytes), &Limits::default()) {
        Err(malformed) => malformed,
        Ok(packet) => panic!("{bytes:x?} was taken as {packet:?}"),
    }
}

use ReasonCode::{MalformedPacket, PacketTooLarge, ProtocolError};
use Version::{V5, V31, V311};

// covers: [MQTT-3.1.0-1]
#[test]
fn anything_but_a_connect_is_refused_at_its_first_byte() {
    for first in (0u8..=255).filter(|first| first >> 4 != 1) {
        assert_eq!(connect_error(&[first]).reason(), ProtocolError);
    }
    assert_eq!(connect_error(b"GET / HTTP/1.1\r\n").reason(), ProtocolError);
    assert_eq!(connect_error(b"AMQP\0\0\x09\x01").reason(), ProtocolError);
}

#[test]
fn a_connect_above_its_limit_is_refused_before_its_body_is_there() {
    assert_eq!(
        connect_error(b"\x10\xFF\xFF\xFF\x7F"),
        Malformed::TooLarge { size: 268_435_460, max: 65_536 }
    );
    let just_fits = b"\x10\xFC\xFF\x03";
    assert_eq!(decode_connect(&mut BytesMut::from(&just_fits[..]), &Limits::default()), Ok(None));
}

#[test]
fn a_packet_above_the_limit_is_refused_before_its_body_is_there() {
    let limits = Limits { packet_bytes_max: 100, ..Limits::default() };
    let mut buffer = BytesMut::from(&b"\x30\x63"[..]);
    let error = decode(&mut buffer, V5, &limits).unwrap_err();
    assert_eq!(error, Malformed::TooLarge { size: 101, max: 100 });
    assert_eq!(error.reason(), PacketTooLarge);
    let mut buffer = BytesMut::from(&b"\x30\x62"[..]);
    assert_eq!(decode(&mut buffer, V5, &limits), Ok(None));
}

// covers: [MQTT-1.5.5-1]
#[test]
fn a_remaining_length_of_five_bytes_is_malformed() {
    for version in Version::ALL {
        assert_eq!(reason(version, b"\x30\x80\x80\x80\x80\x01"), MalformedPacket);
    }
    assert_eq!(reason(V5, b"\xC0\x80\0"), MalformedPacket, "longer than it needs to be");
    let padded = decode(&mut BytesMut::from(&b"\xC0\x80\0"[..]), V311, &Limits::default());
    assert!(padded.unwrap().is_some(), "3.1.1 does not forbid it");
}

// covers: [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1]
#[test]
fn reserved_flags_are_checked_but_for_mqtt_31() {
    for version in [V311, V5] {
        for (first, rest) in [
            (0x41u8, &b"\x02\0\x01"[..]),
            (0x60, b"\x02\0\x01"),
            (0x80, b"\x06\0\x01\0\x01a\0"),
            (0xA0, b"\x05\0\x01\0\x01a"),
            (0xC1, b"\0"),
            (0xE8, b"\0"),
        ] {
            let bytes = [&[first], rest].concat();
            assert_eq!(reason(version, &bytes), MalformedPacket, "{bytes:x?}");
        }
    }
    let dup = decode(&mut BytesMut::from(&b"\x6A\x02\0\x01"[..]), V31, &Limits::default());
    assert!(dup.unwrap().is_some(), "3.1 resends PUBREL with DUP");
    for version in Version::ALL {
        assert_eq!(reason(version, b"\x00\0"), MalformedPacket);
    }
    assert_eq!(reason(V311, b"\xF0\0"), MalformedPacket, "AUTH before MQTT 5");
}

// covers: [MQTT-3.3.1-2] [MQTT-3.3.1-4] [MQTT-3.3.2-2] [MQTT-2.2.1-3] [MQTT-4.7.3-1]
#[test]
fn a_bad_publish_is_refused() {
    assert_eq!(reason(V311, b"\x36\x05\0\x01a\0\x01"), MalformedPacket, "QoS 3");
    assert_eq!(reason(V311, b"\x38\x03\0\x01a"), MalformedPacket, "DUP at QoS 0");
    assert_eq!(reason(V311, b"\x32\x05\0\x01a\0\0"), ProtocolError, "identifier zero");
    assert_eq!(reason(V311, b"\x32\x04\0\x01a\0"), MalformedPacket, "half an identifier");
    assert_eq!(reason(V311, b"\x30\x03\0\x01+"), ReasonCode::TopicNameInvalid);
    assert_eq!(reason(V5, b"\x30\x06\0\x03a/#\0"), ReasonCode::TopicNameInvalid);
    assert_eq!(reason(V311, b"\x30\x02\0\0"), ProtocolError, "empty topic");
    assert_eq!(reason(V5, b"\x30\x03\0\0\0"), ProtocolError, "and no alias");
    assert_eq!(reason(V5, b"\x30\x06\0\0\x03\x23\0\0"), ReasonCode::TopicAliasInvalid);
    assert_eq!(reason(V311, b"\x30\x03\0\x09a"), MalformedPacket, "topic longer than packet");
}

// covers: [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.7-1]
#[test]
fn strings_are_utf_8_without_nul() {
    for bad in [&b"\0"[..], b"\xC0\x80", b"\xED\xA0\x80", b"\xF5\x80\x80\x80", b"\xFF", b"\xC3"] {
        let mut bytes = vec![0x30, (2 + bad.len()) as u8, 0, bad.len() as u8];
        bytes.extend_from_slice(bad);
        for version in Version::ALL {
            assert_eq!(reason(version, &bytes), MalformedPacket, "{bad:x?}");
        }
    }
    assert_eq!(reason(V5, b"\x30\x0C\0\x01a\x08\x26\0\x01k\0\x02\xC0\x80"), MalformedPacket);
}

// covers: [MQTT-1.5.4-3]
#[test]
fn a_byte_order_mark_is_kept() {
    let mut buffer = BytesMut::from(&b"\x30\x06\0\x04\xEF\xBB\xBFa"[..]);
    let packet = decode(&mut buffer, V311, &Limits::default()).unwrap().unwrap();
    let mqtt_codec::Packet::Publish(publish) = packet else { panic!("a PUBLISH") };
    assert_eq!(publish.topic, "\u{FEFF}a");
}

#[test]
fn properties_out_of_place_twice_or_out_of_range_are_refused() {
    let publish = |properties: &[u8]| {
        let mut bytes = vec![0x30, 4 + properties.len() as u8, 0, 1, b'a', properties.len() as u8];
        bytes.extend_from_slice(properties);
        reason(V5, &bytes)
    };
    assert_eq!(publish(b"\x11\0\0\0\0"), MalformedPacket, "session expiry in PUBLISH");
    assert_eq!(publish(b"\x18\0\0\0\0"), MalformedPacket, "will delay in PUBLISH");
    assert_eq!(publish(b"\x7F"), MalformedPacket, "unknown");
    assert_eq!(publish(b"\xA6\x00"), MalformedPacket, "identifiers are one byte");
    assert_eq!(publish(b"\x01\x01\x01\x01"), ProtocolError, "twice");
    assert_eq!(publish(b"\x01\x02"), ProtocolError, "neither 0 nor 1");
    assert_eq!(publish(b"\x23\0\x01\x23\0\x02"), ProtocolError, "alias twice");
    assert_eq!(publish(b"\x0B\0"), ProtocolError, "subscription identifier 0");
    assert_eq!(publish(b"\x08\0\x01#"), ProtocolError, "wildcard in response topic");
    assert_eq!(publish(b"\x02\0\0"), MalformedPacket, "value cut off");
    assert_eq!(
        reason(V5, b"\x30\x05\0\x01a\x7F\x01"),
        MalformedPacket,
        "section longer than packet"
    );
    assert_eq!(reason(V5, b"\x30\x06\0\x01a\x81\0\0"), MalformedPacket, "length not shortest");

    let connect = |properties: &[u8]| {
        let size = 13 + properties.len() as u8;
        let mut bytes = vec![0x10, size, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0];
        bytes.push(properties.len() as u8);
        bytes.extend_from_slice(properties);
        bytes.extend_from_slice(b"\0\0");
        connect_error(&bytes).reason()
    };
    assert_eq!(connect(b"\x21\0\0"), ProtocolError, "receive maximum 0");
    assert_eq!(connect(b"\x27\0\0\0\0"), ProtocolError, "maximum packet size 0");
    assert_eq!(connect(b"\x16\0\x01d"), ProtocolError, "data without method");
    assert_eq!(connect(b"\x02\0\0\0\x01"), MalformedPacket, "message expiry in CONNECT");
    assert_eq!(connect(b"\x26\0\x01k"), MalformedPacket, "half a pair");
}

#[test]
fn user_properties_are_counted() {
    let limits = Limits { user_properties_max: 2, ..Limits::default() };
    let two = b"\x30\x0E\0\x01a\x0A\x26\0\0\0\0\x26\0\0\0\0";
    assert!(decode(&mut BytesMut::from(&two[..]), V5, &limits).is_ok());
    let three = b"\x30\x13\0\x01a\x0F\x26\0\0\0\0\x26\0\0\0\0\x26\0\0\0\0";
    let error = decode(&mut BytesMut::from(&three[..]), V5, &limits).unwrap_err();
    assert_eq!(error.reason(), ReasonCode::QuotaExceeded);
}

#[test]
fn filters_are_counted() {
    let limits = Limits { filters_max: 1, ..Limits::default() };
    let two = b"\x82\x0A\0\x01\0\x01a\0\0\x01b\0";
    let error = decode(&mut BytesMut::from(&two[..]), V311, &limits).unwrap_err();
    assert_eq!(error.reason(), ReasonCode::QuotaExceeded);
}

// covers: [MQTT-3.1.2-3] [MQTT-3.1.2-12] [MQTT-3.1.2-11] [MQTT311-3.1.2-22] [MQTT-3.1.2-1]
#[test]
fn a_bad_connect_is_refused() {
    let connect = |level: u8, flags: u8, rest: &[u8]| {
        let mut bytes = vec![0x10, 10 + rest.len() as u8, 0, 4, b'M', b'Q', b'T', b'T'];
        bytes.extend_from_slice(&[level, flags, 0, 0]);
        bytes.extend_from_slice(rest);
        connect_error(&bytes)
    };
    assert_eq!(connect(6, 2, b"\0\0"), Malformed::UnsupportedVersion { level: 6 });
    assert_eq!(connect(0x84, 2, b"\0\0"), Malformed::UnsupportedVersion { level: 0x84 });
    assert_eq!(connect(4, 3, b"\0\0").reason(), MalformedPacket, "reserved flag");
    assert_eq!(connect(4, 0x1E, b"\0\0\0\x01w\0\0").reason(), MalformedPacket, "will QoS 3");
    assert_eq!(connect(4, 0x0A, b"\0\0").reason(), MalformedPacket, "will QoS without will");
    assert_eq!(connect(4, 0x22, b"\0\0").reason(), MalformedPacket, "will retain without will");
    assert_eq!(connect(4, 0x42, b"\0\0\0\x01p").reason(), MalformedPacket, "password alone");
    assert_eq!(connect(4, 0x06, b"\0\0\0\0\0\0").reason(), ProtocolError, "empty will topic");
    assert_eq!(connect(4, 0x06, b"\0\0\0\x01#\0\0").reason(), ReasonCode::TopicNameInvalid);
    assert_eq!(connect(4, 0x82, b"\0\0").reason(), MalformedPacket, "user name missing");
    assert_eq!(connect(4, 0x02, b"\0\0x").reason(), MalformedPacket, "bytes after the end");
    assert_eq!(connect_error(b"\x11\x0C\0\x04MQTT\x04\x02\0\0\0\0").reason(), MalformedPacket);
    assert_eq!(connect_error(b"\x10\x0C\0\x04MQTX\x04\x02\0\0\0\0").reason(), MalformedPacket);
}

// covers: [MQTT-3.8.3-2] [MQTT-3.8.3-5] [MQTT-3.10.3-2]
#[test]
fn a_bad_subscribe_or_unsubscribe_is_refused() {
    assert_eq!(reason(V311, b"\x82\x02\0\x01"), ProtocolError, "no filter");
    assert_eq!(reason(V5, b"\x82\x03\0\x01\0"), ProtocolError, "no filter");
    assert_eq!(reason(V311, b"\xA2\x02\0\x01"), ProtocolError, "no filter");
    assert_eq!(reason(V311, b"\x82\x05\0\x01\0\0\0"), ProtocolError, "empty filter");
    assert_eq!(reason(V311, b"\x82\x06\0\0\0\x01a\0"), ProtocolError, "identifier zero");
    assert_eq!(reason(V311, b"\x82\x06\0\x01\0\x01a\x03"), ProtocolError, "QoS 3");
    assert_eq!(reason(V311, b"\x82\x06\0\x01\0\x01a\x04"), MalformedPacket, "reserved option");
    assert_eq!(reason(V5, b"\x82\x07\0\x01\0\0\x01a\x40"), MalformedPacket, "reserved option");
    assert_eq!(reason(V5, b"\x82\x07\0\x01\0\0\x01a\x30"), ProtocolError, "retain handling 3");
    assert_eq!(reason(V311, b"\x82\x05\0\x01\0\x01a"), MalformedPacket, "no options");
}

#[test]
fn reason_codes_of_other_packets_are_refused() {
    assert_eq!(reason(V5, b"\x40\x03\0\x01\x92"), MalformedPacket, "PUBREL's");
    assert_eq!(reason(V5, b"\xE0\x01\x10"), MalformedPacket, "PUBACK's");
    assert_eq!(reason(V5, b"\xE0\x01\x7F"), MalformedPacket, "nobody's");
    assert_eq!(reason(V311, b"\x40\x03\0\x01\0"), MalformedPacket, "before MQTT 5");
    assert_eq!(reason(V311, b"\xE0\x01\0"), MalformedPacket, "before MQTT 5");
    assert_eq!(reason(V311, b"\xC0\x01\0"), MalformedPacket, "PINGREQ has no body");
}

#[test]
fn nothing_is_decoded_and_nothing_lost_before_the_last_byte() {
    let whole = b"\x32\x0B\0\x03a/b\0\x01\0\x68\x69!";
    let mut buffer = BytesMut::new();
    for (at, &byte) in whole.iter().enumerate() {
        assert_eq!(buffer.len(), at);
        assert_eq!(decode(&mut buffer, V5, &Limits::default()), Ok(None));
        buffer.extend_from_slice(&[byte]);
    }
    assert!(decode(&mut buffer, V5, &Limits::default()).unwrap().is_some());
}

#[test]
fn the_level_is_known_before_the_packet_is() {
    use mqtt_codec::connect::level_of;
    let connect = b"\x10\x80\x01\0\x04MQTT\x05\xFF";
    assert_eq!(level_of(connect), Some(5));
    for cut in 0..connect.len() - 1 {
        assert_eq!(level_of(&connect[..cut]), None);
    }
    assert_eq!(level_of(b"\x10\xFF\xFF\xFF\xFF\x7F\0\0\x05"), None);
    assert_eq!(level_of(b"\x10\x02\xFF\xFFMQTT\x05"), None);
}
