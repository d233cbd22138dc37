//! The message that a client leaves behind.

use mqtt_codec::{
    Binary, Disconnect, MessageProperties, Packet, Properties, Qos, ReasonCode, Version, Will,
};
use protocol::Notice;

use crate::script::{Script, claimed, plain_connect, text};
use Version::{V5, V311};

fn will(topic: &str) -> Will {
    Will {
        topic: text(topic),
        payload: Binary::new(&b"gone"[..]).expect("short"),
        qos: Qos::AtLeastOnce,
        retain: true,
        delay_secs: 0,
        properties: None,
    }
}

fn open(version: Version, will: Will, expiry: Option<u32>) -> Script {
    let mut packet = plain_connect(version);
    packet.will = Some(Box::new(will));
    packet.properties = expiry.map(|secs| {
        Box::new(Properties { session_expiry_secs: Some(secs), ..Properties::default() })
    });
    let mut script = Script::new(version);
    script.say(Packet::Connect(Box::new(packet)));
    assert_eq!(script.answer(claimed()), "CONNACK");
    script
}

// covers: [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-14] [MQTT-3.1.2-15]
#[test]
fn it_is_published_when_the_client_goes_without_a_word() {
    for version in Version::ALL {
        let mut script = open(version, will("w/t"), None);
        assert_eq!(script.end(), "publish w/t AtLeastOnce retain; release 0s");
        assert_eq!(script.end(), "", "once");
    }
}

// covers: [MQTT-3.1.2-8] [MQTT-3.14.4-3] [MQTT311-3.1.2-10]
#[test]
fn only_a_normal_goodbye_deletes_it() {
    let goodbye = |code| Packet::Disconnect(Disconnect::new(code));
    for version in Version::ALL {
        let mut script = open(version, will("w"), None);
        assert_eq!(script.say(goodbye(ReasonCode::Success)), "close done");
        assert_eq!(script.end(), "release 0s");
    }
    for code in [ReasonCode::DisconnectWithWill, ReasonCode::UnspecifiedError] {
        let mut script = open(V5, will("w"), None);
        assert_eq!(script.say(goodbye(code)), "close done");
        assert_eq!(script.end(), "publish w AtLeastOnce retain; release 0s");
    }
}

#[test]
fn violations_silence_and_takeover_publish_it() {
    let published = "publish w AtLeastOnce retain; release 0s";
    let mut script = open(V5, will("w"), None);
    assert_eq!(script.send(b"\x00\0"), "DISCONNECT 81; close violation");
    assert_eq!(script.end(), published);
    let mut script = open(V5, will("w"), None);
    assert_eq!(script.wait(15), "DISCONNECT 8d; close timeout");
    assert_eq!(script.end(), published);
    let mut script = open(V5, will("w"), None);
    let said = script.notice(Notice::Displaced);
    assert_eq!(said, format!("DISCONNECT 8e; {published}; close displaced"));
    assert_eq!(script.end(), "");
}

// covers: [MQTT-3.1.3-9]
#[test]
fn a_delayed_one_waits_for_the_client_but_not_longer_than_its_session() {
    let delayed = Will {
        delay_secs: 30,
        properties: Some(Box::new(MessageProperties {
            message_expiry_secs: Some(5),
            ..MessageProperties::default()
        })),
        ..will("w")
    };
    let mut script = open(V5, delayed.clone(), Some(60));
    assert_eq!(
        script.end(),
        "release 60s will=w AtLeastOnce retain until=1035000 after 30s",
        "its own life begins when it is published"
    );
    let mut script = open(V5, delayed.clone(), Some(20));
    let said = script.end();
    assert_eq!(said, "release 20s will=w AtLeastOnce retain until=1025000 after 20s");
    let mut script = open(V5, delayed, None);
    assert_eq!(script.end(), "publish w AtLeastOnce retain until=1005000; release 0s");
}

#[test]
fn a_topic_that_nobody_may_publish_to_is_refused_at_connect() {
    let refused = |version, topic: &str| {
        let mut packet = plain_connect(version);
        packet.will = Some(Box::new(will(topic)));
        Script::new(version).say(Packet::Connect(Box::new(packet)))
    };
    assert_eq!(refused(V5, "$SYS/x"), "CONNACK 87; close refused");
    assert_eq!(refused(V311, "$SYS/x"), "CONNACK 87; close refused");
    assert_eq!(refused(V5, &"a/".repeat(200)), "CONNACK 90; close refused");
}
