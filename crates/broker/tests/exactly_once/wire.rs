//! As much of MQTT 5 as the clients speak: only the session's own crate may know the codec.

use bytes::{Buf, Bytes, BytesMut};

/// What the server says.
#[derive(Debug)]
pub enum Heard {
    ConnAck { present: bool, code: u8 },
    SubAck,
    Publish { id: u16, body: String },
    PubRec(u16),
    PubRel(u16),
    PubComp(u16),
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap();
    assert!(length < 0x80, "a short packet");
    [&[first, length], body].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// A session that never expires.
pub fn connect(name: &str, clean: bool) -> Vec<u8> {
    let flags = if clean { 2 } else { 0 };
    let forever = [5, 0x11, 0xFF, 0xFF, 0xFF, 0xFF];
    packet(0x10, &[&text("MQTT")[..], &[5, flags, 0, 0], &forever, &text(name)].concat())
}

/// To one topic, with QoS 2.
pub fn subscribe(id: u16, filter: &str) -> Vec<u8> {
    packet(0x82, &[&id.to_be_bytes()[..], &[0], &text(filter), &[2]].concat())
}

/// With QoS 2.
pub fn publish(id: u16, topic: &str, body: &str, dup: bool) -> Vec<u8> {
    let first = 0x34 | u8::from(dup) << 3;
    packet(first, &[&text(topic)[..], &id.to_be_bytes(), &[0], body.as_bytes()].concat())
}

pub fn pubrec(id: u16) -> Vec<u8> {
    packet(0x50, &id.to_be_bytes())
}

pub fn pubrel(id: u16) -> Vec<u8> {
    packet(0x62, &id.to_be_bytes())
}

pub fn pubcomp(id: u16) -> Vec<u8> {
    packet(0x70, &id.to_be_bytes())
}

/// Takes the next packet off the front.
pub fn take(bytes: &mut BytesMut) -> Option<Heard> {
    let length = usize::from(*bytes.get(1)?);
    assert!(length < 0x80, "a short packet");
    if bytes.len() < 2 + length {
        return None;
    }
    let first = bytes.get_u8();
    bytes.advance(1);
    let mut body: Bytes = bytes.split_to(length).freeze();
    Some(match first >> 4 {
        2 => Heard::ConnAck { present: body.get_u8() & 1 != 0, code: body.get_u8() },
        3 => {
            let topic = usize::from(body.get_u16());
            body.advance(topic);
            let id = body.get_u16();
            assert_eq!(body.get_u8(), 0, "no properties");
            Heard::Publish { id, body: String::from_utf8(body.to_vec()).unwrap() }
        }
        5 => Heard::PubRec(body.get_u16()),
        6 => Heard::PubRel(body.get_u16()),
        7 => Heard::PubComp(body.get_u16()),
        9 => Heard::SubAck,
        other => panic!("packet of type {other}"),
    })
}
