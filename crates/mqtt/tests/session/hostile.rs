//! What no client should send.

use mqtt_codec::{Auth, ConnAck, Packet, PacketId, ReasonCode, SubAck, UnsubAck, Version};
use proptest::prelude::*;

use crate::script::{Script, connect};
use Version::{V5, V311};

// covers: [MQTT-3.1.0-1] [MQTT-3.1.0-2]
#[test]
fn packets_out_of_place_end_the_connection() {
    let id = PacketId::MIN;
    let codes = vec![ReasonCode::Success];
    for packet in [
        connect(V5),
        Packet::ConnAck(ConnAck::new(false, ReasonCode::Success)),
        Packet::SubAck(SubAck { packet_id: id, codes: codes.clone(), properties: None }),
        Packet::UnsubAck(UnsubAck { packet_id: id, codes, properties: None }),
        Packet::PingResp,
        Packet::Auth(Auth { code: ReasonCode::ReAuthenticate, properties: None }),
    ] {
        assert_eq!(Script::open(V5).say(packet), "DISCONNECT 82; close violation");
    }
    assert_eq!(Script::open(V311).say(connect(V311)), "close violation");
    assert_eq!(Script::new(V5).say(Packet::PingReq), "close violation");
    for hello in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"CONNECT {}\r\n", b"AMQP\0\0\x09\x01", b"\0\0\0\x14"]
    {
        assert_eq!(Script::new(V5).send(hello), "close violation");
    }
}

// covers: [MQTT-4.13.1-1] [MQTT-4.13.2-1]
#[test]
fn malformed_packets_are_named_to_mqtt_5_clients() {
    for (bytes, code) in [
        (&b"\x36\x00"[..], "81"),
        (b"\x30\x80\x80\x80\x80\x01", "81"),
        (b"\x30\xFF\xFF\xFF\x7F", "95"),
        (b"\x82\x03\0\x01\0", "82"),
        (b"\x30\x04\0\x01#\0", "90"),
    ] {
        let said = Script::open(V5).send(bytes);
        assert_eq!(said, format!("DISCONNECT {code}; close violation"));
        assert_eq!(Script::open(V311).send(bytes), "close violation");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_session_panic(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..6),
        v5 in any::<bool>(),
    ) {
        let version = if v5 { V5 } else { V311 };
        let mut fresh = Script::new(version);
        let mut open = Script::open(version);
        for piece in &pieces {
            for script in [&mut fresh, &mut open] {
                if script.send(piece).contains("close") {
                    break;
                }
            }
        }
        fresh.end();
        open.end();
    }
}
