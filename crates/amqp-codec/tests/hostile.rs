//! Bytes that nobody should send: answered by the right code, never by a panic or an allocation.

use amqp_codec::{Frame, Limits, decode, decode_hello};
use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

fn code(bytes: &[u8]) -> u16 {
    let outcome = decode(&mut BytesMut::from(bytes), &Limits { frame_max: 4096 });
    outcome.expect_err("refused").code.number()
}

#[test]
fn a_size_beyond_the_limit_is_refused_from_the_head_alone() {
    let mut buffer = BytesMut::from(&b"\x03\x00\x01\xff\xff\xff\xff"[..]);
    let capacity = buffer.capacity();
    let fault = decode(&mut buffer, &Limits { frame_max: 131_072 }).expect_err("too large");
    assert_eq!(fault.code.number(), 501);
    assert_eq!(buffer.capacity(), capacity, "nothing is reserved for a length");
}

#[test]
fn eight_bytes_too_many_are_forgiven_and_the_ninth_is_not() {
    let body = |len: usize| {
        let mut out = BytesMut::new();
        Frame::Body { channel: 1, payload: vec![0; len].into() }.encode(&mut out);
        decode(&mut out, &Limits { frame_max: 4096 })
    };
    assert!(body(4096).expect("as RabbitMQ does").is_some());
    assert_eq!(body(4097).expect_err("too large").code.number(), 501);
}

#[test]
fn a_wrong_end_octet_is_a_frame_error() {
    assert_eq!(code(b"\x08\x00\x00\x00\x00\x00\x00\x00"), 501);
    assert_eq!(code(b"\x03\x00\x01\x00\x00\x00\x01a\xcd"), 501);
}

#[test]
fn an_unknown_type_is_refused_at_once() {
    for kind in (0..=255).filter(|kind| ![1, 2, 3, 8].contains(kind)) {
        assert_eq!(code(&[kind, 0, 0, 0, 0, 0, 0]), 501);
    }
}

#[test]
fn a_heartbeat_belongs_on_channel_zero_and_is_empty() {
    assert_eq!(code(b"\x08\x00\x01\x00\x00\x00\x00\xce"), 505);
    assert_eq!(code(b"\x08\x00\x00\x00\x00\x00\x01a\xce"), 501);
}

#[test]
fn content_of_another_class_is_unexpected() {
    let header = b"\x02\x00\x01\x00\x00\x00\x0e\x00\x32\x00\x00\0\0\0\0\0\0\0\0\0\0\xce";
    assert_eq!(code(header), 505);
}

#[test]
fn property_flags_that_do_not_exist_are_a_syntax_error() {
    for flag in 1..=3 {
        let mut header = *b"\x02\x00\x01\x00\x00\x00\x0e\x00\x3c\x00\x00\0\0\0\0\0\0\0\0\0\0\xce";
        header[20] = flag;
        assert_eq!(code(&header), 502);
    }
}

#[test]
fn a_header_table_that_overruns_its_block_is_a_syntax_error() {
    let mut header = BytesMut::new();
    header.put_slice(b"\x02\x00\x01\x00\x00\x00\x12\x00\x3c\x00\x00\0\0\0\0\0\0\0\0\x20\x00");
    header.put_u32(u32::MAX);
    header.put_u8(0xce);
    assert_eq!(code(&header), 502);
}

#[test]
fn truncated_frames_wait_whatever_their_length() {
    let mut whole = BytesMut::new();
    Frame::Body { channel: 7, payload: vec![9; 40].into() }.encode(&mut whole);
    for len in 0..whole.len() {
        let mut part = BytesMut::from(&whole[..len]);
        assert_eq!(decode(&mut part, &Limits::default()), Ok(None));
        assert_eq!(part.len(), len, "nothing is taken before the frame is whole");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        let _ = decode_hello(&mut buffer.clone());
        while let Ok(Some(frame)) = decode(&mut buffer, &Limits { frame_max: 4096 }) {
            let mut again = BytesMut::new();
            frame.encode(&mut again);
        }
    }

    #[test]
    fn frames_with_random_insides_never_panic_and_read_back_alike(
        kind in prop::sample::select(vec![1_u8, 2, 3, 8]),
        class_id in prop::sample::select(vec![10_u16, 20, 30, 40, 50, 60, 85, 90]),
        method_id in 0_u16..125,
        inside in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut buffer = BytesMut::new();
        buffer.put_u8(kind);
        buffer.put_u16(1);
        buffer.put_u32(u32::try_from(inside.len() + 4).expect("small"));
        buffer.put_u16(class_id);
        buffer.put_u16(method_id);
        buffer.put_slice(&inside);
        buffer.put_u8(0xce);
        if let Ok(Some(frame)) = decode(&mut buffer, &Limits { frame_max: 4096 }) {
            let mut again = BytesMut::new();
            frame.encode(&mut again);
            prop_assert_eq!(decode(&mut again, &Limits::default()), Ok(Some(frame)));
        }
    }
}
