//! SUBSCRIBE and UNSUBSCRIBE.

use mqtt_codec::{
    Packet, Properties, Qos, RetainHandling, Subscribe, Subscription, SubscriptionId,
    SubscriptionOptions, Version,
};
use protocol::{Refusal, Reply};

use crate::script::{Script, id, options, present, quiet, subscribe, text, unsubscribe};
use Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Version::{V5, V311};

fn many(filters: &[(&str, Qos)]) -> Packet {
    let subscriptions = filters
        .iter()
        .map(|(filter, qos)| Subscription { filter: text(filter), options: quiet(*qos) })
        .collect();
    Packet::Subscribe(Subscribe { packet_id: id(5), subscriptions, properties: None })
}

// covers: [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7]
#[test]
fn one_answer_comes_when_all_filters_are_in() {
    let mut script = Script::open(V5);
    let said = script.say(many(&[("a", AtMostOnce), ("b/+", AtLeastOnce), ("#", ExactlyOnce)]));
    assert_eq!(said, "subscribe 0 a Now; subscribe 1 b/+ Now; subscribe 2 # Now");
    assert_eq!(script.answer_nth(1, Reply::Refused(Refusal::NotAllowed)), "");
    assert_eq!(script.answer_nth(1, Reply::Subscribed), "");
    assert_eq!(script.answer(Reply::Subscribed), "SUBACK #5 00,87,02");
    assert_eq!(script.say(unsubscribe(6, &["b/+"])), "UNSUBACK #6 11", "it was refused");
}

// covers: [MQTT-3.8.4-3] [MQTT-3.8.4-4] [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
#[test]
fn the_same_filter_keeps_its_number_and_says_what_it_wants_of_last_values() {
    let mut script = Script::open(V5);
    let wants = |retain_handling| {
        subscribe(1, "a", SubscriptionOptions { retain_handling, ..options(AtLeastOnce) })
    };
    assert_eq!(script.say(wants(RetainHandling::Send)), "subscribe 0 a LastValues");
    assert_eq!(script.answer(Reply::Subscribed), "SUBACK #1 01");
    assert_eq!(script.say(wants(RetainHandling::SendIfNew)), "subscribe 0 a LastValuesIfNew");
    assert_eq!(script.say(wants(RetainHandling::DoNotSend)), "subscribe 0 a Now");
}

// covers: [MQTT-4.8.2-1] [MQTT-4.8.2-3] [MQTT-3.8.3-3] [MQTT-3.8.3-4]
#[test]
fn a_shared_subscription_is_a_group_and_gets_no_last_values() {
    let mut script = Script::open(V5);
    let said = script.say(subscribe(1, "$share/g/a/#", options(AtLeastOnce)));
    assert_eq!(said, "subscribe 0 a/# group=g/\0a/# Now");
    let no_local = SubscriptionOptions { no_local: true, ..quiet(AtMostOnce) };
    assert_eq!(script.say(subscribe(2, "a/#", no_local)), "subscribe 1 a/# skip-own Now");
    let said = script.say(subscribe(3, "$share/g/b", no_local));
    assert_eq!(said, "DISCONNECT 82; close violation");
}

// covers: [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1]
#[test]
fn a_filter_that_is_not_well_formed_is_answered_for_itself() {
    let mut script = Script::open(V5);
    let said =
        script.say(many(&[("a#", AtMostOnce), ("$SYS/#", AtMostOnce), ("$share/g", AtMostOnce)]));
    assert_eq!(said, "subscribe 0 mqtt:$SYS/# Now");
    assert_eq!(script.answer(Reply::Subscribed), "SUBACK #5 8f,00,8f");
    let mut script = Script::open(V311);
    assert_eq!(script.say(subscribe(1, "#/a", options(AtMostOnce))), "SUBACK #1 80");
}

// covers: [MQTT-3.10.4-1] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.11.3-1]
#[test]
fn unsubscribe_is_answered_for_each_filter() {
    let mut script = Script::open(V5);
    script.subscribed("a", AtMostOnce);
    assert_eq!(script.say(unsubscribe(9, &["b", "a"])), "unsubscribe 0");
    assert_eq!(script.answer(Reply::Done), "UNSUBACK #9 11,00");
    assert_eq!(script.say(unsubscribe(10, &["a"])), "UNSUBACK #10 11");
    let mut script = Script::open(V311);
    assert_eq!(script.say(unsubscribe(9, &["a"])), "UNSUBACK #9 ");
}

#[test]
fn subscriptions_are_counted() {
    let mut script = Script::open(V5);
    for filter in ["a", "b", "c", "d"] {
        script.subscribed(filter, AtMostOnce);
    }
    assert_eq!(script.say(subscribe(1, "e", options(AtMostOnce))), "SUBACK #1 97");
    let said = script.say(subscribe(1, "d", options(AtLeastOnce)));
    assert_eq!(said, "subscribe 3 d LastValues", "one that is there may change");
}

#[test]
fn a_durable_session_keeps_stored_messages_for_qos_1_and_remembers_qos_0() {
    let (mut script, _) = Script::durable(V5, present());
    let said = script.say(many(&[("a", AtMostOnce), ("b", AtLeastOnce)]));
    assert_eq!(said, "subscribe 0 a Now; subscribe 1 b durable Now; remember +s0");
    script.answer(Reply::Subscribed);
    script.answer(Reply::Subscribed);
    assert_eq!(script.answer(Reply::Done), "SUBACK #5 00,01", "when all of it is durable");
    let said = script.say(many(&[("a", ExactlyOnce), ("b", AtMostOnce)]));
    assert_eq!(said, "subscribe 0 a durable Now; subscribe 1 b Now; remember -s0 +s1");
    for _ in 0..3 {
        script.answer(Reply::Subscribed);
    }
    assert_eq!(
        script.say(unsubscribe(6, &["a", "b"])),
        "unsubscribe 0; unsubscribe 1; remember -s1"
    );
    script.answer(Reply::Done);
    script.answer(Reply::Done);
    assert_eq!(script.answer(Reply::Done), "UNSUBACK #6 00,00");
}

#[test]
fn a_subscription_identifier_goes_with_its_deliveries() {
    let mut script = Script::open(V5);
    let subscriptions = vec![Subscription { filter: text("a"), options: quiet(AtMostOnce) }];
    let own = Properties { subscription_id: SubscriptionId::new(77), ..Properties::default() };
    let properties = Some(Box::new(own));
    script.say(Packet::Subscribe(Subscribe { packet_id: id(1), subscriptions, properties }));
    script.answer(Reply::Subscribed);
    let said = script.deliver(&[crate::script::live("a", AtMostOnce)]);
    assert_eq!(said, "PUBLISH a q0 id=77");
}
