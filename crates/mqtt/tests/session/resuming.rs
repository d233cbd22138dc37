//! What goes on when a client comes back.

use bytes::{Bytes, BytesMut};
use model::filter::Filter;
use mqtt_codec::{Packet, Qos, Version};
use protocol::{Claimed, DurableSubscription, Handover, Notice, Reply};

use crate::script::{
    Script, ack, again, live, present, publish, published, stored, tag, unsubscribe,
};
use Qos::{AtLeastOnce, ExactlyOnce};
use Version::{V5, V311};

/// A durable subscription of number 0, granted QoS 2.
fn subscription() -> DurableSubscription {
    DurableSubscription {
        number: 0,
        filter: Filter::mqtt(&Bytes::from_static(b"#")).expect("a filter"),
        group: None,
        memo: Bytes::from_static(&[2, 0, 0, 0, 0]),
    }
}

fn with(handover: Option<Handover>) -> Claimed {
    Claimed { subscriptions: vec![subscription()], handover, ..present() }
}

fn row(key: &'static [u8], value: &'static [u8]) -> (Bytes, Bytes) {
    (Bytes::from_static(key), Bytes::from_static(value))
}

fn sent_row(place: u8, released: u8) -> (Bytes, Bytes) {
    let mut value = BytesMut::from(&[0u8; 17][..]);
    (value[7], value[15], value[16]) = (1, place, released);
    (Bytes::from_static(b"o\0\x05"), value.freeze())
}

// covers: [MQTT-4.1.0-1] [MQTT-3.1.2-5]
#[test]
fn subscriptions_go_on_under_their_numbers() {
    let memory = vec![row(b"s\0\0\0\x03", b"\0\0\0\0\x09old/+")];
    let shared = DurableSubscription {
        number: 1,
        group: Some(Bytes::from_static(b"g")),
        filter: Filter::mqtt(&Bytes::from_static(b"s/#")).expect("a filter"),
        ..subscription()
    };
    let claimed = Claimed { memory, subscriptions: vec![subscription(), shared], ..present() };
    let (mut script, said) = Script::durable(V5, claimed);
    assert_eq!(said, "CONNACK present; subscribe 3 old/+ Now", "live ones are made again");
    assert_eq!(script.deliver(&[live("a", ExactlyOnce)]), "PUBLISH a q2 #1");
    let said = script.say(unsubscribe(1, &["old/+", "$share/g/s/#", "#"]));
    assert_eq!(said, "unsubscribe 3; unsubscribe 1; unsubscribe 0; remember -s3");
}

#[test]
fn a_subscription_that_cannot_be_read_is_ended() {
    let broken = DurableSubscription { memo: Bytes::new(), ..subscription() };
    let memory = vec![row(b"?", b"")];
    let claimed = Claimed { memory, subscriptions: vec![broken], ..present() };
    let said = Script::durable(V311, claimed).1;
    assert_eq!(said, "CONNACK present; unsubscribe 0; remember -?0");
}

// covers: [MQTT-4.4.0-1] [MQTT-3.3.1-1]
#[test]
fn unacknowledged_messages_are_sent_again_under_their_identifiers() {
    let (mut script, _) = Script::durable(V311, with(None));
    script.deliver(&[stored("a", AtLeastOnce, 1), stored("b", AtLeastOnce, 2)]);
    script.deliver(&[live("c", AtLeastOnce), stored("d", ExactlyOnce, 3)]);
    assert_eq!(script.answer(Reply::Done), "PUBLISH d q2 #4");
    assert_eq!(script.end(), "release never");

    let (mut script, said) = Script::durable(V311, with(script.handover));
    assert_eq!(said, "CONNACK present; PUBLISH c q1 #3 dup", "nobody else has it");
    let said = script.deliver(&[
        again(stored("a", AtLeastOnce, 1)),
        again(stored("b", AtLeastOnce, 2)),
        again(stored("d", ExactlyOnce, 3)),
        stored("new", AtLeastOnce, 4),
    ]);
    assert_eq!(
        said,
        "PUBLISH a q1 #1 dup; PUBLISH b q1 #2 dup; PUBLISH d q2 #4 dup; PUBLISH new q1 #5"
    );
    assert_eq!(script.say(Packet::PubAck(ack(1))), "settle 1");
    assert_eq!(script.say(Packet::PubAck(ack(3))), "");
}

#[test]
fn a_released_message_is_released_again_and_not_sent() {
    let (mut script, _) = Script::durable(V311, with(None));
    script.deliver(&[stored("a", ExactlyOnce, 1), live("b", ExactlyOnce)]);
    script.answer(Reply::Done);
    assert_eq!(script.say(Packet::PubRec(ack(2))), "PUBREL #2");
    assert_eq!(script.say(Packet::PubRec(ack(1))), "remember +o1:released");
    let said = script.notice(Notice::Displaced);
    assert_eq!(said, "release never; close displaced");

    let (mut script, said) = Script::durable(V311, with(script.handover));
    assert_eq!(said, "CONNACK present; PUBREL #1; PUBREL #2");
    assert_eq!(script.deliver(&[again(stored("a", ExactlyOnce, 1))]), "");
    assert_eq!(script.say(Packet::PubComp(ack(1))), "settle 1; remember -o1");
}

// covers: [MQTT-4.3.3-2] [MQTT-4.4.0-1]
#[test]
fn after_a_crash_the_rows_say_how_far_qos_2_had_come() {
    let sent = Claimed { memory: vec![sent_row(9, 0)], ..with(None) };
    let (mut script, said) = Script::durable(V5, sent);
    assert_eq!(said, "CONNACK present");
    let said = script.deliver(&[stored("a", ExactlyOnce, 9)]);
    assert_eq!(said, "PUBLISH a q2 #5 dup", "the client may have it under this identifier");
    assert_eq!(script.say(Packet::PubRec(ack(5))), "remember +o5:released");

    let released = Claimed { memory: vec![sent_row(9, 1)], ..with(None) };
    let (mut script, said) = Script::durable(V5, released);
    assert_eq!(said, "CONNACK present; PUBREL #5");
    assert_eq!(script.deliver(&[stored("a", ExactlyOnce, 9)]), "");
    assert_eq!(script.say(Packet::PubComp(ack(5))), "settle 9; remember -o5");
    assert_eq!(tag(9).place, 9);
}

#[test]
fn a_redelivery_without_a_row_was_never_sent_as_qos_2_and_perhaps_as_qos_1() {
    let (mut script, _) = Script::durable(V5, with(None));
    assert_eq!(script.deliver(&[again(stored("a", AtLeastOnce, 1))]), "PUBLISH a q1 #1 dup");
    assert_eq!(script.deliver(&[again(stored("b", ExactlyOnce, 2))]), "remember +o2:sent");
    assert_eq!(script.answer(Reply::Done), "PUBLISH b q2 #2");
}

// covers: [MQTT-4.3.3-10]
#[test]
fn an_owned_qos_2_message_is_not_published_twice() {
    let claimed = Claimed { memory: vec![row(b"i\0\x07", b"")], ..present() };
    let (mut script, said) = Script::durable(V311, claimed);
    assert_eq!(said, "CONNACK present");
    assert_eq!(script.say(publish("a", ExactlyOnce, 7)), "PUBREC #7");
    assert_eq!(script.say(Packet::PubRel(ack(7))), "remember -i7");
    assert_eq!(script.answer(Reply::Done), "PUBCOMP #7");
    assert_eq!(script.say(publish("a", ExactlyOnce, 7)), "publish a ExactlyOnce stored +i7");
    assert_eq!(script.answer(published(1)), "PUBREC #7");
}

#[test]
fn messages_without_room_go_to_the_next_connection() {
    let (mut script, _) = Script::durable(V311, with(None));
    let many: Vec<_> = (0..258).map(|_| live("a", AtLeastOnce)).collect();
    script.deliver(&many);
    script.end();
    let (mut script, said) = Script::durable(V311, with(script.handover));
    assert_eq!(said.matches("dup").count(), 256);
    assert_eq!(script.say(Packet::PubAck(ack(1))), "PUBLISH a q1 #257");
    assert_eq!(script.say(Packet::PubAck(ack(2))), "PUBLISH a q1 #258");
    assert_eq!(script.say(Packet::PubAck(ack(3))), "");
}
