//! Filters of every protocol, and what they match.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod matching;

use bytes::Bytes;
use matching::{filter, plainly_matches, subject};
use model::filter::{Filter, FilterToken, Reach};
use model::render::{Unrenderable, mqtt, nats};
use model::subject::{Invalid, Subject};
use proptest::prelude::*;

fn mqtt_filter(text: &'static str) -> Result<Filter, Invalid> {
    Filter::mqtt(&Bytes::from_static(text.as_bytes()))
}

fn topic(text: &'static str) -> Subject {
    mqtt::parse(&Bytes::from_static(text.as_bytes())).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_filter_matches_what_the_plain_matcher_says(filter in filter(), subject in subject()) {
        prop_assert_eq!(filter.matches(&subject), plainly_matches(&filter, &subject));
    }

    #[test]
    fn a_filter_survives_its_stored_form(filter in filter()) {
        prop_assert_eq!(Filter::from_bytes(&filter.to_bytes()), Ok(filter.clone()));
        prop_assert_eq!(filter.detached(), filter);
    }

    #[test]
    fn any_bytes_are_a_stored_filter_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
        let bytes = Bytes::from(bytes);
        if let Ok(filter) = Filter::from_bytes(&bytes) {
            prop_assert_eq!(filter.to_bytes(), bytes);
        }
    }

    #[test]
    fn a_rendered_filter_means_the_same_when_read_again(filter in filter()) {
        let public = filter.clone().with_reach(Reach::Public);
        if let Ok(text) = filter.to_mqtt() {
            prop_assert_eq!(Filter::mqtt(&text), Ok(public.clone()));
        }
        if let Ok(key) = filter.to_amqp() {
            prop_assert_eq!(Filter::amqp(&key), Ok(public.clone()));
        }
        if let Ok(text) = filter.to_nats() {
            prop_assert_eq!(Filter::nats(&text), Ok(filter.with_reach(Reach::Inboxes)));
        }
    }

    #[test]
    fn a_filter_that_is_read_is_rendered_as_itself(
        text in prop::collection::vec(prop::sample::select(vec![
            "a", "*", ">", "+", "#", ".", "/", "%", "2E", "2A", "00", "25", "",
        ]), 0..9),
    ) {
        let text = Bytes::from(text.concat());
        if let Ok(filter) = Filter::mqtt(&text) {
            prop_assert_eq!(filter.to_mqtt(), Ok(text.clone()));
        }
        if let Ok(filter) = Filter::nats(&text) {
            prop_assert_eq!(filter.to_nats(), Ok(text.clone()));
        }
        prop_assert_eq!(Filter::amqp(&text).unwrap().to_amqp(), Ok(text));
    }

    #[test]
    fn a_literal_filter_matches_its_subject_only(one in subject(), other in subject()) {
        let filter = Filter::literal(&one);
        prop_assert_eq!(filter.as_literal(), Some(one.clone()));
        prop_assert_eq!(filter.matches(&other), one == other);
        prop_assert!(filter.matches(&one));
    }
}

fn certain_tokens(filter: &Filter) -> usize {
    let hash = |token: &_| matches!(token, FilterToken::AnyZero | FilterToken::TailZero);
    filter.tokens().filter(|token| !hash(token)).count()
}

/// Filters that ask for at most two tokens.
fn short() -> impl Strategy<Value = Filter> {
    filter().prop_filter("too long for trying every subject", |f| certain_tokens(f) <= 2)
}

proptest! {
    #[test]
    fn filters_overlap_if_a_subject_is_matched_by_both(one in short(), other in short()) {
        // A shared subject, if there is one, can be made of the filters' own tokens and of one
        // that no filter names. It needs at most one token more than both filters together,
        // since one empty token is no subject.
        let length = certain_tokens(&one) + certain_tokens(&other);
        let mut alphabet: Vec<_> = ["zz"].map(str::to_owned).to_vec();
        for filter in [&one, &other] {
            for token in filter.tokens() {
                if let FilterToken::Literal(literal) = token {
                    alphabet.push(String::from_utf8(literal.to_vec()).unwrap());
                }
            }
        }
        let mut lists = vec![Vec::new()];
        let mut found = false;
        for _ in 0..=length + 1 {
            found |= lists.iter().any(|list: &Vec<&str>| {
                Subject::from_tokens(list.iter().copied())
                    .is_ok_and(|subject| one.matches(&subject) && other.matches(&subject))
            });
            lists = lists.iter().flat_map(|list| alphabet.iter().map(|token| {
                let mut longer = list.clone();
                longer.push(token);
                longer
            })).collect();
        }
        prop_assert_eq!(one.overlaps(&other), found);
        prop_assert_eq!(other.overlaps(&one), found);
    }
}

// covers: [MQTT-4.7.1-1] [MQTT-4.7.1-2]
#[test]
fn mqtt_wildcards_stand_alone_and_the_hash_last() {
    for good in ["#", "+", "a/#", "+/+/#", "/", "/+", "a//b", "sport/+/player1"] {
        assert!(mqtt_filter(good).is_ok(), "{good}");
    }
    for bad in ["a#", "a/b#", "#/a", "a+", "+a/b", "##", "a/#/b", "a/+b"] {
        assert_eq!(mqtt_filter(bad), Err(Invalid::Wildcard), "{bad}");
    }
    assert_eq!(mqtt_filter(""), Err(Invalid::Empty));
}

// covers: [MQTT-4.7.2-1]
#[test]
fn the_examples_of_mqtt_match_as_it_says() {
    let matches = |filter, name| mqtt_filter(filter).unwrap().matches(&topic(name));
    assert!(matches("sport/tennis/player1/#", "sport/tennis/player1"));
    assert!(matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
    assert!(matches("sport/#", "sport"));
    assert!(matches("sport/tennis/+", "sport/tennis/player1"));
    assert!(!matches("sport/tennis/+", "sport/tennis/player1/ranking"));
    assert!(!matches("sport/+", "sport"));
    assert!(matches("sport/+", "sport/"));
    assert!(matches("+/+", "/finance"));
    assert!(matches("/+", "/finance"));
    assert!(!matches("+", "/finance"));
    assert!(!matches("#", "$SYS/monitor/Clients"));
    assert!(!matches("+/monitor/Clients", "$SYS/monitor/Clients"));
    assert!(matches("$SYS/#", "$SYS/monitor/Clients"));
    assert!(matches("$SYS/monitor/+", "$SYS/monitor/Clients"));
    assert!(!matches("#", "_INBOX/x"));
}

#[test]
fn nats_wildcards_are_whole_tokens_and_reach_inboxes() {
    let matches = |filter: &str, name: &str| {
        Filter::nats(filter.as_bytes()).unwrap().matches(&nats::parse(name.as_bytes()).unwrap())
    };
    assert!(matches("foo.>", "foo.bar.baz"));
    assert!(!matches("foo.>", "foo"));
    assert!(matches("foo.*", "foo.bar"));
    assert!(matches("foo*.bar", "foo*.bar"));
    assert!(!matches("foo*.bar", "food.bar"));
    assert!(matches(">", "_INBOX.x.y"));
    assert!(!matches(">", "$JS.API.INFO"));
    assert!(matches("$JS.>", "$JS.API.INFO"));
    assert_eq!(Filter::nats(b"a.>.b"), Err(Invalid::Wildcard));
    assert_eq!(Filter::nats(b"a..b"), Err(Invalid::EmptyToken));
    assert_eq!(Filter::nats(b""), Err(Invalid::Empty));
}

#[test]
fn amqp_hash_is_zero_or_more_words_anywhere() {
    let matches = |filter: &str, key: &str| {
        Filter::amqp(filter.as_bytes())
            .unwrap()
            .matches(&model::render::amqp::parse(key.as_bytes()).unwrap())
    };
    assert!(matches("#", ""));
    assert!(matches("", ""));
    assert!(!matches("*", ""));
    assert!(matches("a.#.b", "a.b"));
    assert!(matches("a.#.b", "a.x.y.b"));
    assert!(!matches("a.#.b", "a.x.y"));
    assert!(matches("#.a.#.a.#", "a.b.a"));
    assert!(!matches("#.a.#.a.#", "a.b"));
    assert!(matches("*.*.", "a.b."));
}

#[test]
fn a_filter_is_told_in_each_protocol_that_can_say_it() {
    let shown = |filter: &Filter| {
        [filter.to_mqtt(), filter.to_nats(), filter.to_amqp(), filter.to_kafka()]
            .map(|text| text.map(|text| String::from_utf8(text.to_vec()).unwrap()))
    };
    let ok = |text: &str| Ok(text.to_owned());
    let lacks = || Err(Unrenderable::Wildcard);
    assert_eq!(
        shown(&Filter::nats(b"a.>").unwrap()),
        [ok("a/+/#"), ok("a.>"), ok("a.*.#"), lacks()]
    );
    assert_eq!(shown(&mqtt_filter("a/#").unwrap()), [ok("a/#"), lacks(), ok("a.#"), lacks()]);
    assert_eq!(shown(&Filter::amqp(b"a.#.b").unwrap()), [lacks(), lacks(), ok("a.#.b"), lacks()]);
    assert_eq!(
        shown(&Filter::literal(&topic("a.b/c"))),
        [ok("a.b/c"), ok("a%2Eb.c"), ok("a%2Eb.c"), ok("a_x2Eb.c")]
    );
    assert_eq!(
        shown(&mqtt_filter("*/%23").unwrap()),
        [ok("*/%23"), ok("%2A.#"), Err(Unrenderable::LooksWild), ok("_x2A._x23")]
    );
}

#[test]
fn filters_that_say_the_same_are_equal_across_protocols() {
    assert_eq!(Filter::amqp(b"a.*.#").unwrap(), mqtt_filter("a/+/#").unwrap());
    assert_eq!(Filter::nats(b"a.>").unwrap(), mqtt_filter("a/+/#").unwrap());
    assert_ne!(Filter::nats(b"*.a").unwrap(), mqtt_filter("+/a").unwrap(), "the reach differs");
    assert_eq!(Filter::nats(b"a.b").unwrap(), Filter::literal(&topic("a/b")));
}

#[test]
fn a_filter_with_many_hashes_is_matched_without_a_blow_up() {
    let filter = Filter::amqp("#.a.".repeat(63).as_bytes()).unwrap();
    let subject = Subject::from_tokens(std::iter::repeat_n("a", 127).chain(["b"])).unwrap();
    assert!(!filter.matches(&subject));
    assert!(!filter.overlaps(&Filter::literal(&subject)));
}

#[test]
fn filters_whose_only_shared_list_is_one_empty_token_do_not_overlap() {
    let filter = |key: &str| Filter::amqp(key.as_bytes()).unwrap();
    assert!(!filter("#.").overlaps(&filter("*")));
    assert!(filter("#.").overlaps(&filter("#")), "two empty tokens are a subject");
    assert!(filter("#.a").overlaps(&filter("*")));
    assert!(!filter("#").overlaps(&mqtt_filter("$SYS/#").unwrap()), "it is private");
    assert!(Filter::everything(Reach::All).overlaps(&mqtt_filter("$SYS/#").unwrap()));
}
