//! PUBLISH from the client.

use std::num::NonZeroU16;

use mqtt_codec::{MessageProperties, Packet, Qos, SubscriptionId, Version};
use protocol::{Refusal, Reply};

use crate::script::{Script, ack, plain_publish, present, publish, published, text};
use Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V5, V311};

#[test]
fn qos_0_asks_for_no_answer() {
    let mut script = Script::open(V311);
    assert_eq!(script.say(publish("a/b", AtMostOnce, 0)), "publish a/b AtMostOnce");
}

// covers: [MQTT-4.3.2-4] [MQTT-3.3.4-1]
#[test]
fn qos_1_is_acknowledged_when_it_is_stored() {
    let mut script = Script::open(V311);
    assert_eq!(script.say(publish("a", AtLeastOnce, 9)), "publish a AtLeastOnce stored");
    assert_eq!(script.answer(published(0)), "PUBACK #9");
    let mut script = Script::open(V5);
    script.say(publish("a", AtLeastOnce, 9));
    assert_eq!(script.answer(published(0)), "PUBACK #9 10");
}

// covers: [MQTT-4.6.0-2] [MQTT-4.6.0-3]
#[test]
fn acknowledgements_go_out_in_the_order_of_the_messages() {
    let mut script = Script::open(V5);
    script.say(publish("a", AtLeastOnce, 1));
    script.say(publish("b", ExactlyOnce, 2));
    script.say(publish("c", AtLeastOnce, 3));
    assert_eq!(script.answer_nth(2, published(1)), "");
    assert_eq!(script.answer_nth(1, published(1)), "");
    assert_eq!(script.answer_nth(0, published(1)), "PUBACK #1; PUBREC #2; PUBACK #3");
    script.say(publish("d", AtLeastOnce, 1));
    assert_eq!(script.answer(published(1)), "PUBACK #1");
}

// covers: [MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12]
#[test]
fn qos_2_is_published_once() {
    let mut script = Script::open(V5);
    assert_eq!(script.say(publish("a", ExactlyOnce, 1)), "publish a ExactlyOnce stored");
    assert_eq!(script.say(publish("a", ExactlyOnce, 1)), "", "not durable yet");
    assert_eq!(script.answer(published(1)), "PUBREC #1");
    assert_eq!(script.say(publish("a", ExactlyOnce, 1)), "PUBREC #1");
    assert_eq!(script.say(Packet::PubRel(ack(1))), "PUBCOMP #1");
    assert_eq!(script.say(Packet::PubRel(ack(1))), "PUBCOMP #1 92");
    assert_eq!(script.say(publish("a", ExactlyOnce, 1)), "publish a ExactlyOnce stored");
}

#[test]
fn a_durable_session_remembers_a_qos_2_receipt_until_it_is_released() {
    let (mut script, _) = Script::durable(V311, present());
    assert_eq!(script.say(publish("a", ExactlyOnce, 7)), "publish a ExactlyOnce stored +i7");
    assert_eq!(script.answer(published(1)), "PUBREC #7");
    assert_eq!(script.say(Packet::PubRel(ack(7))), "remember -i7");
    assert_eq!(script.answer(Reply::Done), "PUBCOMP #7", "only then may the identifier be used");
}

// covers: [MQTT311-3.3.5-2] [MQTT-4.3.3-9]
#[test]
fn a_refused_message_is_answered_as_the_version_can() {
    for (qos, name) in [(AtLeastOnce, "PUBACK"), (ExactlyOnce, "PUBREC")] {
        for (refusal, code) in [
            (Refusal::NotAllowed, "87"),
            (Refusal::StorageUnavailable, "80"),
            (Refusal::Limit("bytes"), "97"),
            (Refusal::InvalidName, "90"),
        ] {
            let mut script = Script::open(V5);
            script.say(publish("a", qos, 1));
            assert_eq!(script.answer(Reply::Refused(refusal)), format!("{name} #1 {code}"));
            let retried = script.say(publish("a", qos, 1));
            assert_eq!(retried, format!("publish a {qos:?} stored"), "the identifier is free");
        }
        let mut script = Script::open(V311);
        script.say(publish("a", qos, 1));
        let said = script.answer(Reply::Refused(Refusal::StorageUnavailable));
        assert_eq!(said, "close refused", "no lie, and no way to say no");
        let mut script = Script::open(V311);
        script.say(publish("a", qos, 1));
        assert_eq!(script.answer(Reply::Refused(Refusal::NotAllowed)), format!("{name} #1"));
    }
}

// covers: [MQTT-3.3.1-5] [MQTT-3.3.1-6]
#[test]
fn retain_and_expiry_go_to_the_broker() {
    let mut script = Script::open(V5);
    let mut packet = plain_publish("a", AtLeastOnce, 1);
    packet.retain = true;
    packet.properties = Some(Box::new(MessageProperties {
        message_expiry_secs: Some(5),
        ..MessageProperties::default()
    }));
    let said = script.say(Packet::Publish(packet));
    assert_eq!(said, "publish a AtLeastOnce retain until=1005000 stored");
}

#[test]
fn dollar_topics_are_private_and_sys_is_reserved() {
    let mut script = Script::open(V5);
    assert_eq!(script.say(publish("$x/y", AtMostOnce, 0)), "publish mqtt:$x/y AtMostOnce");
    assert_eq!(script.say(publish("$SYS/x", AtMostOnce, 0)), "");
    assert_eq!(script.say(publish("$SYS/x", AtLeastOnce, 1)), "PUBACK #1 87");
    assert_eq!(script.say(publish("$SYS/x", ExactlyOnce, 2)), "PUBREC #2 87");
    assert_eq!(script.say(publish("$SYSTEM", AtMostOnce, 0)), "publish mqtt:$SYSTEM AtMostOnce");
    let mut script = Script::open(V311);
    assert_eq!(script.say(publish("$SYS/x", ExactlyOnce, 2)), "PUBREC #2");
    assert_eq!(script.say(Packet::PubRel(ack(2))), "PUBCOMP #2");
}

// covers: [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.3.2-10] [MQTT-3.3.2-12]
#[test]
fn a_topic_alias_stands_for_its_topic() {
    let alias = |topic: &str, alias: u16| {
        let mut packet = plain_publish(topic, AtMostOnce, 0);
        packet.topic_alias = NonZeroU16::new(alias);
        Packet::Publish(packet)
    };
    let mut script = Script::open(V5);
    assert_eq!(script.say(alias("a/b", 64)), "publish a/b AtMostOnce");
    assert_eq!(script.say(alias("", 64)), "publish a/b AtMostOnce");
    assert_eq!(script.say(alias("c", 64)), "publish c AtMostOnce");
    assert_eq!(script.say(alias("", 64)), "publish c AtMostOnce");
    assert_eq!(script.say(alias("", 1)), "DISCONNECT 82; close violation");
    assert_eq!(Script::open(V5).say(alias("a", 65)), "DISCONNECT 94; close violation");
}

// covers: [MQTT-3.3.4-6] [MQTT-3.3.4-7] [MQTT-3.3.4-8]
#[test]
fn what_a_client_may_not_publish_ends_its_connection() {
    let mut packet = plain_publish("a", AtMostOnce, 0);
    packet.subscription_ids = SubscriptionId::new(1).into_iter().collect();
    let said = Script::open(V5).say(Packet::Publish(packet));
    assert_eq!(said, "DISCONNECT 82; close violation");

    let mut script = Script::open(V5);
    for id in 1..=1000 {
        let qos = if id % 2 == 0 { AtLeastOnce } else { ExactlyOnce };
        assert_ne!(script.say(publish("a", qos, id)), "");
    }
    assert_eq!(script.say(publish("a", ExactlyOnce, 999)), "", "a repeat takes no room");
    assert_eq!(script.say(publish("a", ExactlyOnce, 2000)), "DISCONNECT 93; close violation");
    let mut script = Script::open(V311);
    for id in 1..=2000 {
        assert_ne!(script.say(publish("a", AtLeastOnce, id)), "", "3.1.1 has no such limit");
    }
}

#[test]
fn a_payload_above_the_limit_ends_the_connection() {
    let mut packet = plain_publish("a", AtMostOnce, 0);
    packet.payload = vec![b'x'; 1024 * 1024].into();
    let said = Script::open(V5).say(Packet::Publish(packet.clone()));
    assert_eq!(said, "publish a AtMostOnce");
    packet.payload = vec![b'x'; 1024 * 1024 + 1].into();
    let said = Script::open(V5).say(Packet::Publish(packet.clone()));
    assert_eq!(said, "DISCONNECT 95; close violation");
    assert_eq!(Script::open(V311).say(Packet::Publish(packet)), "close violation");
}

#[test]
fn a_topic_that_is_too_deep_is_refused() {
    let deep = "a/".repeat(200);
    let mut script = Script::open(V5);
    assert_eq!(script.say(publish(&deep, AtLeastOnce, 1)), "PUBACK #1 90");
    assert_eq!(script.say(publish(&deep, AtMostOnce, 0)), "DISCONNECT 90; close violation");
    assert_eq!(Script::open(V311).say(publish(&deep, AtLeastOnce, 1)), "close violation");
}

#[test]
fn a_payload_that_is_not_what_it_claims_to_be_is_refused() {
    let mut packet = plain_publish("a", AtLeastOnce, 1);
    packet.properties = Some(Box::new(MessageProperties {
        payload_is_utf8: Some(true),
        content_type: Some(text("text/plain")),
        ..MessageProperties::default()
    }));
    packet.payload = bytes::Bytes::from_static(b"\xFF");
    let mut script = Script::open(V5);
    assert_eq!(script.say(Packet::Publish(packet.clone())), "PUBACK #1 99");
    packet.payload = bytes::Bytes::from_static(b"text");
    assert_eq!(script.say(Packet::Publish(packet)), "publish a AtLeastOnce stored");
}
