//! CONNECT, keep alive, takeover, DISCONNECT.

use std::num::{NonZeroU16, NonZeroU32};

use mqtt_codec::{Disconnect, Packet, Properties, Qos, ReasonCode, Text, Version};
use protocol::{Claimed, Notice, Refusal, Reply};

use crate::script::{
    Script, claimed, connect, options, plain_connect, present, publish, published, subscribe,
};
use Version::{V5, V31, V311};

// covers: [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT-3.1.4-5]
#[test]
fn a_connection_claims_its_session_and_waits_for_it() {
    for version in Version::ALL {
        let mut script = Script::new(version);
        assert_eq!(script.say(connect(version)), "claim c clean 0s window=256");
        assert!(script.paused, "nothing is read before the session is ours");
        assert_eq!(script.say(Packet::PingReq), "", "the packet waits");
        assert_eq!(script.answer(claimed()), "CONNACK");
        assert!(!script.paused);
        assert_eq!(script.send(b""), "PINGRESP", "and is answered when the driver feeds it again");
    }
}

// covers: [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.2.2-2] [MQTT-3.2.2-3]
#[test]
fn session_present_says_whether_state_goes_on() {
    for (version, expiry) in [(V311, "never"), (V5, "3600s")] {
        let (mut script, said) = Script::durable(version, present());
        assert_eq!(said, "CONNACK present");
        assert_eq!(script.end(), format!("release {expiry}"));
        assert_eq!(Script::durable(version, Claimed::default()).1, "CONNACK");
        let mut clean = Script::new(version);
        clean.say(connect(version));
        assert_eq!(clean.answer(Reply::Claimed(Box::new(present()))), "CONNACK");
    }
}

#[test]
fn mqtt_5_names_expiry_and_window() {
    let mut packet = plain_connect(V5);
    packet.clean_start = false;
    packet.properties = Some(Box::new(Properties {
        session_expiry_secs: Some(u32::MAX),
        receive_maximum: NonZeroU16::new(7),
        ..Properties::default()
    }));
    let mut script = Script::new(V5);
    let said = script.say(Packet::Connect(Box::new(packet)));
    assert_eq!(said, "claim c never window=7");
}

// covers: [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] [MQTT311-3.1.3-8] [MQTT311-3.1.3-9]
#[test]
fn a_client_without_a_name_gets_one_where_the_version_lets_it() {
    let unnamed = |version: Version, clean: bool| {
        let mut packet = plain_connect(version);
        packet.client_id = Text::default();
        packet.clean_start = clean;
        let mut script = Script::new(version);
        let said = script.say(Packet::Connect(Box::new(packet)));
        (script, said)
    };
    let (mut script, said) = unnamed(V5, false);
    assert_eq!(said, "claim auto-000000000000abcd 0s window=256");
    assert_eq!(script.answer(claimed()), "CONNACK id=auto-000000000000abcd");
    let (mut script, said) = unnamed(V311, true);
    assert_eq!(said, "claim auto-000000000000abcd clean 0s window=256");
    assert_eq!(script.answer(claimed()), "CONNACK");
    assert_eq!(unnamed(V311, false).1, "CONNACK 85; close refused");
    assert_eq!(unnamed(V31, true).1, "CONNACK 85; close refused");
}

// covers: [MQTT-3.1.2-2] [MQTT311-3.1.2-2] [MQTT-3.1.4-1]
#[test]
fn a_connect_that_cannot_be_taken_is_answered_in_its_own_version() {
    let mut script = Script::new(V5);
    let said = script.send(b"\x10\x0D\0\x04MQTT\x06\x02\0\0\0\0\0");
    assert_eq!(said, "CONNACK 84; close violation");
    for (version, hello) in [
        (V311, &b"\x10\x0C\0\x04MQTT\x03\x02\0\0\0\0"[..]),
        (V311, b"\x10\x0C\0\x04MQTT\x84\x02\0\0\0\0"),
    ] {
        assert_eq!(Script::new(version).send(hello), "CONNACK 84; close violation");
    }
    let bad_flags = b"\x10\x0D\0\x04MQTT\x05\x03\0\0\0\0\0";
    assert_eq!(Script::new(V5).send(bad_flags), "CONNACK 81; close violation");
    let bad_flags = b"\x10\x0C\0\x04MQTT\x04\x03\0\0\0\0";
    assert_eq!(Script::new(V311).send(bad_flags), "close violation", "3.1.1 has no word for it");
}

// covers: [MQTT-4.12.0-1]
#[test]
fn enhanced_authentication_is_refused() {
    let mut packet = plain_connect(V5);
    packet.properties = Some(Box::new(Properties {
        authentication_method: Some(Text::from_static("SCRAM-SHA-1")),
        ..Properties::default()
    }));
    let mut script = Script::new(V5);
    assert_eq!(script.say(Packet::Connect(Box::new(packet))), "CONNACK 8c; close refused");
    assert_eq!(script.end(), "", "nothing was claimed");
}

#[test]
fn a_session_that_is_not_to_be_had_is_said_so() {
    let refused = |version, refusal| {
        let mut script = Script::new(version);
        script.say(connect(version));
        script.answer(Reply::Refused(refusal))
    };
    assert_eq!(refused(V5, Refusal::Limit("sessions")), "CONNACK 97; close refused");
    assert_eq!(refused(V5, Refusal::StorageUnavailable), "CONNACK 88; close refused");
    assert_eq!(refused(V311, Refusal::NotAllowed), "CONNACK 87; close refused");
    assert_eq!(refused(V311, Refusal::Limit("sessions")), "CONNACK 88; close refused");
}

#[test]
fn a_client_that_does_not_connect_in_time_is_closed() {
    let mut silent = Script::new(V5);
    assert_eq!(silent.wait(14), "");
    assert_eq!(silent.send(b"\x10\x20\0"), "", "a drop now and then does not help");
    assert_eq!(silent.wait(1), "close timeout");
    let mut claiming = Script::new(V5);
    claiming.say(connect(V5));
    assert_eq!(claiming.wait(15), "CONNACK 88; close refused");
}

// covers: [MQTT-3.1.2-22] [MQTT-3.12.4-1]
#[test]
fn silence_of_one_and_a_half_keep_alives_ends_the_connection() {
    for (version, goodbye) in [(V311, "close timeout"), (V5, "DISCONNECT 8d; close timeout")] {
        let mut script = Script::open(version);
        assert_eq!(script.wait(14), "");
        assert_eq!(script.say(Packet::PingReq), "PINGRESP");
        assert_eq!(script.wait(14), "");
        assert_eq!(script.send(b"\x30"), "", "a part of a packet is none");
        assert_eq!(script.wait(1), goodbye);
    }
}

#[test]
fn a_client_that_waits_for_us_is_not_silent() {
    let mut script = Script::open(V311);
    script.say(publish("a", Qos::AtLeastOnce, 1));
    assert_eq!(script.wait(15), "");
    assert_eq!(script.answer(published(1)), "PUBACK #1");
    assert_eq!(script.wait(15), "close timeout");
}

#[test]
fn keep_alive_zero_is_forever() {
    let mut script = Script::new(V311);
    let mut packet = plain_connect(V311);
    packet.keep_alive_secs = 0;
    script.say(Packet::Connect(Box::new(packet)));
    script.answer(claimed());
    assert_eq!(script.wait(1_000_000), "");
}

// covers: [MQTT-3.1.4-3]
#[test]
fn a_displaced_connection_says_why_and_lets_go_at_once() {
    let mut script = Script::open(V5);
    assert_eq!(script.notice(Notice::Displaced), "DISCONNECT 8e; release 0s; close displaced");
    assert_eq!(script.end(), "", "once");
    let mut script = Script::open(V311);
    assert_eq!(script.notice(Notice::Displaced), "release 0s; close displaced");
}

#[test]
fn a_server_that_goes_down_says_so() {
    let mut script = Script::open(V5);
    assert_eq!(script.notice(Notice::Draining), "DISCONNECT 8b; release 0s; close draining");
}

// covers: [MQTT-3.14.4-3]
#[test]
fn disconnect_ends_the_connection_and_may_change_the_expiry() {
    let goodbye = |secs: Option<u32>| {
        let properties = secs.map(|secs| {
            Box::new(Properties { session_expiry_secs: Some(secs), ..Properties::default() })
        });
        Packet::Disconnect(Disconnect { code: ReasonCode::Success, properties })
    };
    let mut script = Script::open(V311);
    assert_eq!(script.say(goodbye(None)), "close done");
    assert_eq!(script.end(), "release 0s");
    let (mut script, _) = Script::durable(V5, present());
    assert_eq!(script.say(goodbye(Some(0))), "close done");
    assert_eq!(script.end(), "release 0s");
    let mut script = Script::open(V5);
    let said = script.say(goodbye(Some(9)));
    assert_eq!(said, "DISCONNECT 82; close violation", "there was no session to keep");
}

// covers: [MQTT-3.1.2-24] [MQTT-3.1.2-25]
#[test]
fn a_reason_string_is_left_out_for_a_client_with_little_room() {
    let mut packet = plain_connect(V5);
    packet.properties = Some(Box::new(Properties {
        maximum_packet_size: NonZeroU32::new(20),
        ..Properties::default()
    }));
    let mut script = Script::new(V5);
    script.say(Packet::Connect(Box::new(packet)));
    script.answer(claimed());
    script.say(subscribe(1, "#", options(Qos::AtMostOnce)));
    script.answer(Reply::Subscribed);
    let short = crate::script::live("a", Qos::AtMostOnce);
    let long = crate::script::live("a/very/long/topic/name", Qos::AtMostOnce);
    assert_eq!(script.deliver(&[long, short]), "PUBLISH a q0", "and what is too large is not sent");
}

#[test]
fn a_session_is_small() {
    assert!(size_of::<mqtt::Session>() <= 64, "the box of a connection");
}
