//! Bytes of nobody in particular: the session answers, asks little, and never panics.
#![expect(clippy::wildcard_enum_match_arm, reason = "the other requests are answered alike")]

mod rig;

use amqp_codec::{Frame, basic};
use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use protocol::{Refusal, Reply, Request};
use rig::{Rig, routed, text};

/// Any method frame: mostly of known classes and methods, with random arguments.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let class_ids = prop::sample::select(vec![10_u16, 20, 30, 40, 50, 60, 60, 60, 85, 90]);
    let method_ids =
        prop::sample::select(vec![10_u16, 20, 30, 31, 40, 50, 60, 70, 80, 90, 110, 120]);
    let arguments = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        (0_usize..40).prop_map(|len| vec![0; len]),
    ];
    (0_u16..3, class_ids, method_ids, arguments, 0_u8..8).prop_map(
        |(channel, class_id, method_id, arguments, kind)| {
            let mut out = Vec::new();
            out.put_u8(match kind {
                0 => 2,
                1 => 3,
                _ => 1,
            });
            out.put_u16(channel);
            out.put_u32(u32::try_from(arguments.len() + 4).expect("small"));
            out.put_u16(class_id);
            out.put_u16(method_id);
            out.extend_from_slice(&arguments);
            out.put_u8(0xce);
            out
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_frames_and_any_answers_leave_the_session_standing(
        frames in proptest::collection::vec(frame(), 1..30),
        refuse in any::<bool>(),
    ) {
        let mut rig = Rig::open();
        rig.open_channel(1);
        rig.open_channel(2);
        for frame in frames {
            if rig.closed.is_some() {
                break;
            }
            rig.bytes(&frame);
            while let Some((token, request)) = rig.take_request() {
                let Some(token) = token else { continue };
                if rig.closed.is_some() {
                    break;
                }
                let reply = match request {
                    _ if refuse => Reply::Refused(Refusal::NotFound),
                    Request::Publish(_) => routed(0, 0),
                    Request::Consume(_) | Request::Subscribe(_) => Reply::Subscribed,
                    Request::Pull(_) => Reply::Pulled(None),
                    Request::Destroy(_) => Reply::Destroyed(0),
                    _ => Reply::Done,
                };
                rig.reply_to(token, reply);
            }
        }
    }

    #[test]
    fn random_bytes_leave_it_standing(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut rig = Rig::fresh();
        rig.bytes(&bytes);
        let mut rig = Rig::open();
        rig.bytes(&bytes);
    }
}

#[test]
fn a_frame_larger_than_agreed_is_refused_from_its_head() {
    let mut rig = Rig::channel();
    rig.bytes(b"\x01\x00\x01\x00\x10\x00\x00");
    rig.connection_error(501, "FRAME_ERROR - frame_too_large");
}

#[test]
fn before_the_login_frames_are_small() {
    let mut rig = Rig::fresh();
    rig.bytes(b"AMQP\x00\x00\x09\x01");
    rig.next();
    rig.bytes(b"\x01\x00\x00\x00\x01\x00\x00");
    rig.connection_error(501, "FRAME_ERROR - frame_too_large");
}

#[test]
fn bytes_may_come_one_by_one() {
    let mut rig = Rig::channel();
    let mut bytes = BytesMut::new();
    let method = basic::Qos { prefetch_count: 1, ..basic::Qos::default() }.into();
    Frame::Method { channel: 1, method }.encode(&mut bytes);
    for byte in bytes {
        rig.nothing_sent();
        rig.bytes(&[byte]);
    }
    rig.expect(1, basic::QosOk {});
}

#[test]
fn announced_bodies_take_no_memory_until_they_come() {
    let mut rig = Rig::open();
    for number in 1..=2000 {
        rig.open_channel(number);
        let publish = basic::Publish { routing_key: text("q"), ..basic::Publish::default() };
        rig.send(number, publish);
        let header = amqp_codec::ContentHeader {
            body_size: 1_048_576,
            properties: amqp_codec::Properties::default(),
        };
        rig.frame(&Frame::Header { channel: number, header });
    }
    rig.nothing_sent();
    rig.no_requests();
}

#[test]
fn unfinished_bodies_of_a_connection_have_a_limit() {
    let mut rig = Rig::open();
    let half = bytes::Bytes::from(vec![0; 130_000]);
    let header = amqp_codec::ContentHeader {
        body_size: 1_048_576,
        properties: amqp_codec::Properties::default(),
    };
    for number in 1..=100 {
        rig.open_channel(number);
        rig.send(number, basic::Publish { routing_key: text("q"), ..basic::Publish::default() });
        rig.frame(&Frame::Header { channel: number, header: header.clone() });
        for _ in 0..8 {
            rig.frame(&Frame::Body { channel: number, payload: half.clone() });
            if !rig.sent.is_empty() {
                assert!(number > 60, "64 MiB and not less");
                rig.connection_error(
                    506,
                    "RESOURCE_ERROR - more than 67108864 bytes of unfinished messages",
                );
                return;
            }
        }
    }
    panic!("no limit");
}
