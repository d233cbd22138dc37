//! Every protocol's names of subjects are exact both ways.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use model::render::{Unrenderable, amqp, kafka, mqtt, nats};
use model::subject::{Invalid, SUBJECT_LEVELS_MAX, Subject};
use proptest::prelude::*;

/// Texts made of what escapes are made of, so that near misses are common.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "%", "25", "2F", "2E", "20", "2A", "3E", "00", "23", "2B", "_x", "_", "x", "5F", "C3",
            "A9", "*", ">", ".", "/", "+", "#", " ", "\t", "a", "b", "é", "$", "-", "\u{1}", "2f",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// The lists of tokens that are subjects.
fn tokens() -> impl Strategy<Value = Vec<String>> {
    let token = text().prop_map(|token| token.replace('\0', ""));
    prop::collection::vec(token, 0..5).prop_filter(
        "one empty token is no subject",
        |tokens| !matches!(&tokens[..], [only] if only.is_empty()),
    )
}

fn subject(tokens: &[String]) -> Subject {
    Subject::from_tokens(tokens.iter().map(String::as_str)).unwrap()
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_subject_keeps_its_tokens(tokens in tokens()) {
        let subject = subject(&tokens);
        let plain: Vec<_> = subject.plain_tokens().map(|t| String::from_utf8(t.into_owned()).unwrap()).collect();
        prop_assert_eq!(plain, tokens);
    }

    #[test]
    fn a_subject_survives_its_stored_form(tokens in tokens()) {
        let subject = subject(&tokens);
        prop_assert_eq!(Subject::from_canonical(subject.bytes().clone()), Ok(subject.detached()));
    }

    #[test]
    fn a_rendered_subject_is_read_back_as_itself(tokens in tokens()) {
        let subject = subject(&tokens);
        match mqtt::to_bytes(&subject) {
            Ok(name) => prop_assert_eq!(mqtt::parse(&name), Ok(subject.clone())),
            Err(error) => prop_assert!(error == Unrenderable::NoTokens && subject.is_none()),
        }
        prop_assert_eq!(nats::parse(&nats::to_bytes(&subject)), Ok(subject.clone()));
        match amqp::to_bytes(&subject) {
            Ok(name) => prop_assert_eq!(amqp::parse(&name), Ok(subject.clone())),
            Err(error) => prop_assert_eq!(error, Unrenderable::TooLong(255)),
        }
        match kafka::to_bytes(&subject) {
            Ok(name) => prop_assert_eq!(kafka::parse(&name), Ok(subject.clone())),
            Err(error) => prop_assert_eq!(error, Unrenderable::TooLong(249)),
        }
    }

    #[test]
    fn a_rendered_subject_is_legal_in_its_protocol(tokens in tokens()) {
        let subject = subject(&tokens);
        let nats = nats::to_bytes(&subject);
        prop_assert!(is_legal_nats(std::str::from_utf8(&nats).unwrap()));
        if let Ok(topic) = mqtt::to_bytes(&subject) {
            prop_assert!(is_legal_mqtt(std::str::from_utf8(&topic).unwrap()));
        }
        if let Ok(name) = kafka::to_bytes(&subject) {
            prop_assert!(is_legal_kafka(std::str::from_utf8(&name).unwrap()));
        }
    }

    #[test]
    fn a_name_that_is_read_is_rendered_as_itself(text in text(), dotted in any::<bool>()) {
        // Half of the time only what Kafka allows, or few Kafka names would be tried.
        let text = if dotted {
            text.replace(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)), "")
        } else {
            text
        };
        let name = bytes(&text);
        if let Ok(subject) = mqtt::parse(&name) {
            prop_assert_eq!(mqtt::to_bytes(&subject), Ok(name.clone()));
        }
        if let Ok(subject) = nats::parse(&name) {
            prop_assert_eq!(nats::to_bytes(&subject), name.clone());
        }
        if let Ok(subject) = amqp::parse(&name) {
            prop_assert_eq!(amqp::to_bytes(&subject), Ok(name.clone()));
        }
        if let Ok(subject) = kafka::parse(&name) {
            prop_assert_eq!(kafka::to_bytes(&subject), Ok(name.clone()));
        }
    }

    #[test]
    fn every_legal_name_of_mqtt_nats_and_amqp_is_read(text in text()) {
        let name = bytes(&text);
        prop_assert_eq!(mqtt::parse(&name).is_ok(), is_legal_mqtt(&text));
        prop_assert_eq!(nats::parse(&name).is_ok(), is_legal_nats(&text));
        prop_assert_eq!(amqp::parse(&name).is_ok(), !text.contains('\0'));
    }

    #[test]
    fn any_bytes_are_read_or_refused(name in prop::collection::vec(any::<u8>(), 0..40)) {
        let name = Bytes::from(name);
        let text = std::str::from_utf8(&name).is_ok();
        prop_assert!(text || mqtt::parse(&name).is_err());
        prop_assert!(text || nats::parse(&name).is_err());
        prop_assert!(text || amqp::parse(&name).is_err());
        prop_assert!(text || kafka::parse(&name).is_err());
    }
}

fn is_legal_mqtt(topic: &str) -> bool {
    !topic.is_empty() && !topic.contains(['+', '#', '\0'])
}

fn is_legal_nats(subject: &str) -> bool {
    !subject.contains([' ', '\t', '\r', '\n', '\0'])
        && subject.split('.').all(|token| !matches!(token, "" | "*" | ">"))
}

fn is_legal_kafka(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= 249
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// One subject and its four names; `-` where it has none.
#[track_caller]
fn check(tokens: &[&str], names: [&str; 4]) {
    let subject = Subject::from_tokens(tokens.iter().copied()).unwrap();
    let shown = |name: Result<Bytes, Unrenderable>| {
        name.map_or("-".to_owned(), |name| String::from_utf8(name.to_vec()).unwrap())
    };
    assert_eq!(
        [
            shown(mqtt::to_bytes(&subject)),
            shown(Ok(nats::to_bytes(&subject))),
            shown(amqp::to_bytes(&subject)),
            shown(kafka::to_bytes(&subject)),
        ],
        names
    );
}

#[test]
fn names_are_the_documented_ones() {
    check(
        &["factory", "line1", "temp"],
        ["factory/line1/temp", "factory.line1.temp", "factory.line1.temp", "factory.line1.temp"],
    );
    check(&["a.b"], ["a.b", "a%2Eb", "a%2Eb", "a_x2Eb"]);
    check(&["a/b", "c"], ["a%2Fb/c", "a/b.c", "a/b.c", "a_x2Fb.c"]);
    check(&["a%2Fb"], ["a%252Fb", "a%2Fb", "a%2Fb", "a_x252Fb"]);
    check(&["a%2Eb"], ["a%2Eb", "a%252Eb", "a%252Eb", "a_x252Eb"]);
    check(&["", "a"], ["/a", "%00.a", ".a", ".a"]);
    check(&["*", ">", "#"], ["*/>/%23", "%2A.%3E.#", "*.>.#", "_x2A._x3E._x23"]);
    check(&["%2A", "a*"], ["%2A/a*", "%252A.a*", "%2A.a*", "_x252A.a_x2A"]);
    check(&["my topic"], ["my topic", "my%20topic", "my topic", "my_x20topic"]);
    check(&["_x2E"], ["_x2E", "_x2E", "_x2E", "_x5F2E"]);
    check(&["é"], ["é", "é", "é", "_xC3_xA9"]);
    check(&["$SYS", "x"], ["$SYS/x", "$SYS.x", "$SYS.x", "_x24SYS.x"]);
    check(&[], ["-", "%00", "", "_x00"]);
    check(&["", ""], ["/", "%00.%00", ".", "._x00"]);
    check(&["", "", ""], ["//", "%00.%00.%00", "..", ".._x00"]);
    check(&["", "", "", ""], ["///", "%00.%00.%00.%00", "...", "..."]);
}

#[test]
fn a_dot_in_an_mqtt_level_is_no_separator_elsewhere() {
    let one = mqtt::parse(&Bytes::from_static(b"a.b")).unwrap();
    let two = nats::parse(b"a.b").unwrap();
    assert_eq!((one.tokens().count(), two.tokens().count()), (1, 2));
    assert_ne!(one, two);
    assert_eq!(mqtt::parse(&Bytes::from_static(b"a/b")).unwrap(), two);
}

#[test]
fn names_that_mean_no_subject_are_refused_with_the_reason() {
    assert_eq!(mqtt::parse(&Bytes::from_static(b"")), Err(Invalid::Empty));
    assert_eq!(mqtt::parse(&Bytes::from_static(b"a/#")), Err(Invalid::Wildcard));
    assert_eq!(nats::parse(b"a.>"), Err(Invalid::Wildcard));
    assert_eq!(nats::parse(b"a..b"), Err(Invalid::EmptyToken));
    assert_eq!(nats::parse(b"a b"), Err(Invalid::Byte(b' ')));
    assert_eq!(amqp::parse(b"\xFF"), Err(Invalid::NotUtf8));
    assert_eq!(kafka::parse(b".."), Err(Invalid::Empty));
    assert_eq!(kafka::parse(b"a b"), Err(Invalid::Byte(b' ')));
    assert_eq!(kafka::parse(b"a._x00"), Err(Invalid::NotCanonical));
    assert_eq!(kafka::parse(b"_xC3"), Err(Invalid::NotUtf8));
    assert_eq!(kafka::parse(&[b'a'; 250]), Err(Invalid::TooLong(249)));
    assert_eq!(nats::parse(&b"a.".repeat(SUBJECT_LEVELS_MAX)[..255]), Ok(nats_of_levels(128)));
    assert_eq!(nats::parse(&[&b"a.".repeat(128)[..], b"a"].concat()), Err(Invalid::TooManyLevels));
}

fn nats_of_levels(levels: usize) -> Subject {
    Subject::from_tokens(std::iter::repeat_n("a", levels)).unwrap()
}

#[test]
fn an_mqtt_topic_becomes_a_subject_and_back_without_a_copy() {
    let topic = Bytes::from_static(b"a/b");
    let subject = mqtt::parse(&topic).unwrap();
    assert_eq!(mqtt::to_bytes(&subject).unwrap().as_ptr(), topic.as_ptr());
}

#[test]
fn a_name_too_long_for_its_protocol_leaves_the_output_alone() {
    let long = nats::parse(&[b'a'; 256]).unwrap();
    let mut out = bytes::BytesMut::from("before");
    assert_eq!(amqp::write(&long, &mut out), Err(Unrenderable::TooLong(255)));
    assert_eq!(kafka::write(&long, &mut out), Err(Unrenderable::TooLong(249)));
    assert_eq!(out, "before");
}
