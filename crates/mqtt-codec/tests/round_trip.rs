//! Every packet that can be built comes back from its own bytes, in every version; and no bytes
//! at all make the decoder do anything but answer.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::{NonZeroU16, NonZeroU32};

use bytes::{Bytes, BytesMut};
use mqtt_codec::publish::Assurance;
use mqtt_codec::{
    Ack, Auth, Binary, ConnAck, Connect, Disconnect, Limits, MessageProperties, Packet, PacketId,
    PacketType, Properties, Publish, Qos, ReasonCode, RetainHandling, SubAck, Subscribe,
    Subscription, SubscriptionId, SubscriptionOptions, Text, UnsubAck, Unsubscribe, Version, Will,
    decode, decode_connect,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = Text> {
    "[a-z/$é日 ]{0,12}".prop_map(|text| Text::try_from(text.as_str()).unwrap())
}

fn topic() -> impl Strategy<Value = Text> {
    "[a-z/$é ]{1,12}".prop_map(|text| Text::try_from(text.as_str()).unwrap())
}

fn binary() -> impl Strategy<Value = Binary> {
    vec(any::<u8>(), 0..20).prop_map(|bytes| Binary::new(bytes).unwrap())
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId::new(id).unwrap())
}

fn qos() -> impl Strategy<Value = Qos> {
    prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)]
}

fn pairs() -> impl Strategy<Value = Vec<(Text, Text)>> {
    vec((text(), text()), 0..4)
}

fn code(packet: PacketType) -> impl Strategy<Value = ReasonCode> {
    let codes: Vec<_> =
        ReasonCode::ALL.iter().copied().filter(|code| code.is_valid_in(packet)).collect();
    proptest::sample::select(codes)
}

fn subscription_id() -> impl Strategy<Value = SubscriptionId> {
    (1u32..=268_435_455).prop_map(|id| SubscriptionId::new(id).unwrap())
}

fn message_properties() -> impl Strategy<Value = Option<Box<MessageProperties>>> {
    (of(any::<bool>()), of(any::<u32>()), of(text()), of(topic()), of(binary()), pairs()).prop_map(
        |(payload_is_utf8, message_expiry_secs, content_type, response_topic, data, pairs)| {
            let properties = MessageProperties {
                payload_is_utf8,
                message_expiry_secs,
                content_type,
                response_topic,
                correlation_data: data,
                user_properties: pairs,
            };
            (!properties.is_empty()).then(|| Box::new(properties))
        },
    )
}

/// Properties that the packet may carry, all of them in their turn.
fn properties(packet: PacketType) -> impl Strategy<Value = Option<Box<Properties>>> {
    let numbers = (
        of(any::<u32>()),
        of(any::<u16>()),
        of(any::<bool>()),
        of((1..=u16::MAX).prop_map(|v| NonZeroU16::new(v).unwrap())),
        of((1..=u32::MAX).prop_map(|v| NonZeroU32::new(v).unwrap())),
        of(subscription_id()),
    );
    let texts = (of(text()), of(text()), of(text()), of(binary()), pairs());
    (numbers, texts).prop_map(move |(numbers, (one, two, three, data, user_properties))| {
        let (long, short, flag, nonzero, size, id) = numbers;
        let mut own = Properties { user_properties, ..Properties::default() };
        match packet {
            PacketType::Connect => {
                own.session_expiry_secs = long;
                own.authentication_data = one.as_ref().and(data);
                own.authentication_method = one;
                own.request_problem_information = flag;
                own.request_response_information = flag;
                own.receive_maximum = nonzero;
                own.topic_alias_maximum = short;
                own.maximum_packet_size = size;
            }
            PacketType::ConnAck => {
                own.session_expiry_secs = long;
                own.assigned_client_id = one;
                own.server_keep_alive_secs = short;
                own.response_information = two.clone();
                own.server_reference = three;
                own.reason_string = two;
                own.receive_maximum = nonzero;
                own.maximum_qos = flag.map(|f| if f { Qos::AtLeastOnce } else { Qos::AtMostOnce });
                own.retain_available = flag;
                own.maximum_packet_size = size;
                own.wildcard_subscriptions_available = flag;
                own.subscription_ids_available = flag;
                own.shared_subscriptions_available = flag;
            }
            PacketType::Subscribe => own.subscription_id = id,
            PacketType::Disconnect => {
                own.session_expiry_secs = long;
                own.server_reference = one;
                own.reason_string = two;
            }
            PacketType::Auth => {
                own.authentication_data = one.as_ref().and(data);
                own.authentication_method = one;
                own.reason_string = two;
            }
            PacketType::PubAck
            | PacketType::PubRec
            | PacketType::PubRel
            | PacketType::PubComp
            | PacketType::SubAck
            | PacketType::UnsubAck => own.reason_string = one,
            PacketType::Unsubscribe
            | PacketType::Publish
            | PacketType::PingReq
            | PacketType::PingResp => {}
        }
        (own != Properties::default()).then(|| Box::new(own))
    })
}

fn connect() -> impl Strategy<Value = Connect> {
    let will = (topic(), binary(), qos(), any::<bool>(), any::<u32>(), message_properties())
        .prop_map(|(topic, payload, qos, retain, delay_secs, properties)| {
            Box::new(Will { topic, payload, qos, retain, delay_secs, properties })
        });
    (
        proptest::sample::select(Version::ALL.to_vec()),
        any::<bool>(),
        any::<u16>(),
        text(),
        of(will),
        of(text()),
        of(binary()),
        properties(PacketType::Connect),
    )
        .prop_map(
            |(version, clean_start, keep_alive_secs, client_id, will, user, pass, own)| {
                let v5 = version.is_v5();
                let password = if v5 || user.is_some() { pass } else { None };
                let will = will.map(|mut will| {
                    if !v5 {
                        (will.delay_secs, will.properties) = (0, None);
                    }
                    will
                });
                let properties = if v5 { own } else { None };
                Connect {
                    version,
                    clean_start,
                    keep_alive_secs,
                    client_id,
                    will,
                    user_name: user,
                    password,
                    properties,
                }
            },
        )
}

fn publish() -> impl Strategy<Value = Packet> {
    let payload = vec(any::<u8>(), 0..300).prop_map(Bytes::from);
    let flags = (any::<bool>(), any::<bool>());
    let own = (vec(subscription_id(), 0..3), message_properties());
    let alias = of((1..=u16::MAX).prop_map(|v| NonZeroU16::new(v).unwrap()));
    (flags, qos(), packet_id(), topic(), alias, own, payload).prop_map(
        |((dup, retain), qos, id, topic, topic_alias, own, payload)| {
            let (assurance, dup) = match qos {
                Qos::AtMostOnce => (Assurance::AtMostOnce, false),
                Qos::AtLeastOnce => (Assurance::AtLeastOnce(id), dup),
                Qos::ExactlyOnce => (Assurance::ExactlyOnce(id), dup),
            };
            let (subscription_ids, properties) = own;
            let publish = Publish {
                dup,
                assurance,
                retain,
                topic,
                topic_alias,
                subscription_ids,
                properties,
                payload,
            };
            Packet::Publish(publish)
        },
    )
}

fn ack(packet: PacketType, wrap: fn(Ack) -> Packet) -> BoxedStrategy<Packet> {
    (packet_id(), code(packet), properties(packet))
        .prop_map(move |(packet_id, code, properties)| wrap(Ack { packet_id, code, properties }))
        .boxed()
}

fn subscription() -> impl Strategy<Value = Subscription> {
    let handling = prop_oneof![
        Just(RetainHandling::Send),
        Just(RetainHandling::SendIfNew),
        Just(RetainHandling::DoNotSend)
    ];
    (topic(), qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        |(filter, qos, no_local, retain_as_published, retain_handling)| {
            let options =
                SubscriptionOptions { qos, no_local, retain_as_published, retain_handling };
            Subscription { filter, options }
        },
    )
}

/// Any packet that MQTT 5 can say.
fn packet() -> impl Strategy<Value = Packet> {
    use PacketType as P;
    prop_oneof![
        (any::<bool>(), code(P::ConnAck), properties(P::ConnAck)).prop_map(
            |(present, code, own)| {
                let session_present = present && !code.is_failure();
                Packet::ConnAck(ConnAck { session_present, code, properties: own })
            }
        ),
        publish(),
        publish(),
        ack(P::PubAck, Packet::PubAck),
        ack(P::PubRec, Packet::PubRec),
        ack(P::PubRel, Packet::PubRel),
        ack(P::PubComp, Packet::PubComp),
        (packet_id(), vec(subscription(), 1..4), properties(P::Subscribe)).prop_map(
            |(packet_id, subscriptions, properties)| {
                Packet::Subscribe(Subscribe { packet_id, subscriptions, properties })
            }
        ),
        (packet_id(), vec(code(P::SubAck), 0..4), properties(P::SubAck)).prop_map(
            |(packet_id, codes, properties)| {
                Packet::SubAck(SubAck { packet_id, codes, properties })
            }
        ),
        (packet_id(), vec(topic(), 1..4), properties(P::Unsubscribe)).prop_map(
            |(packet_id, filters, properties)| {
                Packet::Unsubscribe(Unsubscribe { packet_id, filters, properties })
            }
        ),
        (packet_id(), vec(code(P::UnsubAck), 0..4), properties(P::UnsubAck)).prop_map(
            |(packet_id, codes, properties)| {
                Packet::UnsubAck(UnsubAck { packet_id, codes, properties })
            }
        ),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        (code(P::Disconnect), properties(P::Disconnect))
            .prop_map(|(code, properties)| Packet::Disconnect(Disconnect { code, properties })),
        (code(P::Auth), properties(P::Auth))
            .prop_map(|(code, properties)| Packet::Auth(Auth { code, properties })),
    ]
}

/// What is left of a packet when an older version has said it.
fn before_v5(mut packet: Packet, version: Version) -> Option<Packet> {
    match &mut packet {
        Packet::ConnAck(connack) => {
            connack.properties = None;
            connack.session_present &= version == Version::V311;
            let code = connack.code.as_connect_return_code();
            connack.code = ReasonCode::from_connect_return_code(code).unwrap();
        }
        Packet::Publish(publish) => {
            publish.properties = None;
            publish.topic_alias = None;
            publish.subscription_ids.clear();
        }
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            *ack = Ack::new(ack.packet_id, ReasonCode::Success);
        }
        Packet::Subscribe(subscribe) => {
            subscribe.properties = None;
            for subscription in &mut subscribe.subscriptions {
                let qos = subscription.options.qos;
                subscription.options = SubscriptionOptions { qos, ..Default::default() };
            }
        }
        Packet::SubAck(suback) => {
            suback.properties = None;
            for code in suback.codes.iter_mut().filter(|code| code.is_failure()) {
                *code = ReasonCode::UnspecifiedError;
            }
        }
        Packet::Unsubscribe(unsubscribe) => unsubscribe.properties = None,
        Packet::UnsubAck(unsuback) => {
            unsuback.properties = None;
            unsuback.codes.clear();
        }
        Packet::Disconnect(disconnect) => *disconnect = Disconnect::new(ReasonCode::Success),
        Packet::Auth(_) => return None,
        Packet::Connect(_) | Packet::PingReq | Packet::PingResp => {}
    }
    Some(packet)
}

proptest! {
    #[test]
    fn every_packet_comes_back(packets in vec(packet(), 1..5)) {
        for version in Version::ALL {
            let packets: Vec<_> = if version.is_v5() {
                packets.clone()
            } else {
                packets.iter().cloned().filter_map(|p| before_v5(p, version)).collect()
            };
            let mut buffer = BytesMut::new();
            for packet in &packets {
                packet.encode(version, &mut buffer).unwrap();
            }
            for packet in packets {
                let decoded = decode(&mut buffer, version, &Limits::default());
                prop_assert_eq!(decoded, Ok(Some(packet)));
            }
            prop_assert!(buffer.is_empty());
        }
    }

    #[test]
    fn every_connect_comes_back_and_names_its_version(connect in connect()) {
        let mut buffer = BytesMut::new();
        connect.encode(&mut buffer).unwrap();
        prop_assert_eq!(decode_connect(&mut buffer, &Limits::default()), Ok(Some(connect)));
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn a_publish_knows_its_size(packet in publish()) {
        let Packet::Publish(publish) = packet else { unreachable!() };
        for version in Version::ALL {
            let mut buffer = BytesMut::new();
            publish.encode(version, &mut buffer).unwrap();
            prop_assert_eq!(publish.parts().size(version), buffer.len());
        }
    }

    #[test]
    fn a_changed_byte_or_a_cut_never_panics(
        packet in packet(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut bytes = BytesMut::new();
        packet.encode(Version::V5, &mut bytes).unwrap();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        for version in Version::ALL {
            let _ = decode(&mut bytes.clone(), version, &Limits::default());
        }
        let _ = decode_connect(&mut bytes, &Limits::default());
    }

    #[test]
    fn what_decodes_encodes_to_something_that_decodes_to_the_same(
        first in any::<u8>(), body in vec(any::<u8>(), 0..40),
    ) {
        let bytes = [&[first, body.len() as u8][..], &body].concat();
        for version in Version::ALL {
            let decoded = decode(&mut BytesMut::from(&bytes[..]), version, &Limits::default());
            let Ok(Some(packet)) = decoded else { continue };
            // A CONNECT says its own version.
            let mut again = BytesMut::new();
            packet.encode(version, &mut again).unwrap();
            prop_assert_eq!(decode(&mut again, version, &Limits::default()), Ok(Some(packet)));
        }
    }
}
