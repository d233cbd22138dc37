//! PUBLISH to the client.

use std::num::NonZeroU16;
use std::sync::Arc;

use bytes::Bytes;
use model::record::{self, Record};
use mqtt_codec::{
    Ack, Packet, Properties, Qos, ReasonCode, Subscribe, Subscription, SubscriptionId,
    SubscriptionOptions, Version,
};
use protocol::{Delivery, Matched, Reply};

use crate::script::{
    Script, ack, claimed, id, live, message, options, plain_connect, present, quiet, record,
    stored, subscribe, text,
};
use Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V5, V311};

// covers: [MQTT-3.8.4-8] [MQTT-3.3.4-1] [MQTT-4.3.2-1]
#[test]
fn the_qos_is_the_lower_of_what_was_published_and_what_was_granted() {
    let mut script = Script::open(V311);
    script.subscribed("a", AtLeastOnce);
    let of = |qos| live("a", qos);
    let said = script.deliver(&[of(AtMostOnce), of(AtLeastOnce), of(ExactlyOnce)]);
    assert_eq!(said, "PUBLISH a q0; PUBLISH a q1 #1; PUBLISH a q1 #2");
}

// covers: [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]
#[test]
fn one_packet_goes_out_for_all_subscriptions_that_match() {
    let mut script = Script::open(V5);
    for (filter, qos, number) in
        [("a", AtMostOnce, Some(7)), ("+", ExactlyOnce, None), ("#", AtLeastOnce, Some(8))]
    {
        let subscriptions = vec![Subscription { filter: text(filter), options: quiet(qos) }];
        let properties = number.map(|number| {
            let subscription_id = SubscriptionId::new(number);
            Box::new(Properties { subscription_id, ..Properties::default() })
        });
        script.say(Packet::Subscribe(Subscribe { packet_id: id(1), subscriptions, properties }));
        script.answer(Reply::Subscribed);
    }
    let matched = Matched::Many(Box::new([0, 1, 2]));
    let said = script.deliver(&[Delivery { matched, ..live("a", ExactlyOnce) }]);
    assert_eq!(said, "PUBLISH a q2 #1 id=7 id=8");
}

// covers: [MQTT-3.3.1-8] [MQTT-3.3.1-12] [MQTT-3.3.1-13]
#[test]
fn retain_is_set_for_last_values_and_where_it_is_wanted_as_published() {
    let retained = || Record { retain: true, ..record(AtMostOnce) };
    let live = || Delivery { message: message("a", retained()), ..live("a", AtMostOnce) };
    let mut script = Script::open(V5);
    script.subscribed("a", AtMostOnce);
    assert_eq!(script.deliver(&[live()]), "PUBLISH a q0");
    let last = Delivery { last_value: true, ..live() };
    assert_eq!(script.deliver(&[last]), "PUBLISH a q0 retain");
    let as_published = SubscriptionOptions { retain_as_published: true, ..quiet(AtMostOnce) };
    script.say(subscribe(2, "a", as_published));
    assert_eq!(script.deliver(&[live()]), "PUBLISH a q0 retain");
}

// covers: [MQTT-3.3.2-5] [MQTT-3.3.2-6]
#[test]
fn an_expired_message_is_not_sent_and_a_living_one_says_how_long() {
    let (mut script, _) = Script::durable(V5, present());
    script.subscribed("a", AtLeastOnce);
    let until = |at: i64, place| {
        let mut record = record(AtLeastOnce);
        record.properties_mut().expires_at_ms = Some(at);
        Delivery { message: message("a", record), ..stored("a", AtLeastOnce, place) }
    };
    let said = script.deliver(&[until(1_000_000, 1), until(1_009_001, 2)]);
    assert_eq!(said, "PUBLISH a q1 #1 expires=10; settle 1");
}

// covers: [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
#[test]
fn the_window_of_the_client_is_kept() {
    let mut packet = plain_connect(V5);
    packet.properties =
        Some(Box::new(Properties { receive_maximum: NonZeroU16::new(2), ..Properties::default() }));
    let mut script = Script::new(V5);
    script.say(Packet::Connect(Box::new(packet)));
    script.answer(claimed());
    script.subscribed("#", ExactlyOnce);
    let said = script.deliver(&[
        live("a", AtLeastOnce),
        live("b", ExactlyOnce),
        live("c", AtLeastOnce),
        live("d", AtMostOnce),
        live("e", AtLeastOnce),
    ]);
    assert_eq!(said, "PUBLISH a q1 #1; PUBLISH b q2 #2; PUBLISH d q0", "QoS 0 has no window");
    assert_eq!(script.say(Packet::PubAck(ack(1))), "PUBLISH c q1 #3");
    assert_eq!(script.say(Packet::PubAck(ack(1))), "", "an unknown one changes nothing");
    assert_eq!(script.say(Packet::PubRec(ack(2))), "PUBREL #2", "PUBREC makes no room");
    assert_eq!(script.say(Packet::PubComp(ack(2))), "PUBLISH e q1 #4");
    let refused = Ack::new(id(4), ReasonCode::UnspecifiedError);
    assert_eq!(script.say(Packet::PubAck(refused)), "");
}

#[test]
fn live_messages_beyond_the_limit_are_dropped_and_stored_ones_are_not() {
    let mut packet = plain_connect(V5);
    packet.properties =
        Some(Box::new(Properties { receive_maximum: NonZeroU16::new(1), ..Properties::default() }));
    let mut script = Script::new(V5);
    script.say(Packet::Connect(Box::new(packet)));
    script.answer(claimed());
    script.subscribed("#", AtLeastOnce);
    let topics = ["a", "b", "c", "d", "dropped", "dropped"];
    let deliveries: Vec<_> = topics.iter().map(|topic| live(topic, AtLeastOnce)).collect();
    assert_eq!(script.deliver(&deliveries), "PUBLISH a q1 #1");
    assert_eq!(script.deliver(&[stored("s", AtLeastOnce, 1)]), "");
    for (id, next) in [(1, "b"), (2, "c"), (3, "d"), (4, "s")] {
        let said = script.say(Packet::PubAck(ack(id)));
        assert_eq!(said, format!("PUBLISH {next} q1 #{}", id + 1));
    }
    assert_eq!(script.say(Packet::PubAck(ack(5))), "settle 1");
}

// covers: [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-7]
#[test]
fn a_stored_qos_2_message_is_remembered_before_each_step() {
    let (mut script, _) = Script::durable(V311, present());
    script.subscribed("a", ExactlyOnce);
    assert_eq!(script.deliver(&[stored("a", ExactlyOnce, 9)]), "remember +o1:sent");
    assert_eq!(script.answer(Reply::Done), "PUBLISH a q2 #1");
    assert_eq!(script.say(Packet::PubRec(ack(1))), "remember +o1:released");
    assert_eq!(script.say(Packet::PubRec(ack(1))), "", "PUBREL follows");
    assert_eq!(script.answer(Reply::Done), "PUBREL #1");
    assert_eq!(script.say(Packet::PubRec(ack(1))), "PUBREL #1");
    assert_eq!(script.say(Packet::PubComp(ack(1))), "settle 9; remember -o1", "in this order");
    assert_eq!(script.say(Packet::PubComp(ack(1))), "");
}

// covers: [MQTT-4.6.0-4]
#[test]
fn releases_go_out_in_the_order_of_the_receipts() {
    let (mut script, _) = Script::durable(V311, present());
    script.subscribed("a", ExactlyOnce);
    script.deliver(&[stored("a", ExactlyOnce, 1), live("a", ExactlyOnce)]);
    script.answer(Reply::Done);
    assert_eq!(script.say(Packet::PubRec(ack(1))), "remember +o1:released");
    assert_eq!(script.say(Packet::PubRec(ack(2))), "", "it has no row, and waits for its turn");
    assert_eq!(script.answer(Reply::Done), "PUBREL #1; PUBREL #2");
}

// covers: [MQTT-4.3.3-4]
#[test]
fn a_qos_2_message_that_the_client_refuses_is_done_with() {
    let (mut script, _) = Script::durable(V5, present());
    script.subscribed("a", ExactlyOnce);
    script.deliver(&[stored("a", ExactlyOnce, 9)]);
    script.answer(Reply::Done);
    let refused = Ack::new(id(1), ReasonCode::QuotaExceeded);
    assert_eq!(script.say(Packet::PubRec(refused)), "settle 9; remember -o1");
    assert_eq!(script.say(Packet::PubRec(ack(1))), "PUBREL #1 92");
}

#[test]
fn a_stored_qos_1_message_is_settled_by_its_acknowledgement() {
    let (mut script, _) = Script::durable(V311, present());
    script.subscribed("a", AtLeastOnce);
    let said = script.deliver(&[stored("a", AtLeastOnce, 5), stored("a", AtLeastOnce, 6)]);
    assert_eq!(said, "PUBLISH a q1 #1; PUBLISH a q1 #2");
    assert_eq!(script.say(Packet::PubAck(ack(2))), "settle 6");
    assert_eq!(script.say(Packet::PubAck(ack(1))), "settle 5");
}

#[test]
fn a_delivery_for_a_subscription_that_is_gone_is_settled_and_not_sent() {
    let (mut script, _) = Script::durable(V311, present());
    assert_eq!(script.deliver(&[stored("a", AtLeastOnce, 5), live("a", AtMostOnce)]), "settle 5");
}

#[test]
fn what_mqtt_cannot_name_is_not_sent() {
    let mut script = Script::open(V311);
    script.subscribed("#", AtLeastOnce);
    let nameless = |address| Delivery {
        message: Arc::new(protocol::Message::new(address, record(AtLeastOnce), None)),
        ..stored("a", AtLeastOnce, 3)
    };
    let queue = record::Address::Queue(Bytes::from_static(b"q"));
    assert_eq!(script.deliver(&[nameless(queue)]), "settle 3");
    let none = record::Address::shared(model::subject::Subject::NONE);
    assert_eq!(script.deliver(&[nameless(none)]), "settle 3");
}

#[test]
fn a_large_payload_is_shared_and_not_copied() {
    let mut script = Script::open(V311);
    script.say(subscribe(1, "a", options(AtMostOnce)));
    script.answer(Reply::Subscribed);
    let record = Record { value: Some(vec![b'x'; 100_000].into()), ..record(AtMostOnce) };
    let large = Delivery { message: message("a", record), ..live("a", AtMostOnce) };
    assert_eq!(script.deliver(&[large.clone(), large]), "PUBLISH a q0; PUBLISH a q0");
}

#[test]
fn receivers_of_the_same_properties_share_their_bytes_but_for_what_is_their_own() {
    let mut record = record(AtMostOnce);
    record.properties_mut().content_type = Some(Bytes::from_static(b"text/plain"));
    let shared = Delivery { message: message("a", record), ..live("a", AtMostOnce) };
    let retained = Delivery { last_value: true, ..shared.clone() };
    for _ in 0..2 {
        let mut script = Script::open(V5);
        script.subscribed("a", AtMostOnce);
        let said = script.deliver(&[shared.clone(), retained.clone()]);
        assert_eq!(said, "PUBLISH a q0; PUBLISH a q0 retain");
        let mut old = Script::open(V311);
        old.subscribed("a", AtMostOnce);
        assert_eq!(old.deliver(std::slice::from_ref(&shared)), "PUBLISH a q0");
    }
    let made = |_| panic!("encoded by the first receiver");
    let form = 1 << 24 | 5 << 8;
    shared.message.frames.get(form, || made(()));
    shared.message.frames.get(form | 1, || made(()));
}
