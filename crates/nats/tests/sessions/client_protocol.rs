//! The core client protocol: what each operation is answered with, and in which order.

use crate::world::{World, check};
use model::limits::Limits;
use protocol::{Close, Notice, Refusal};

#[test]
fn a_client_that_never_connects_gets_the_defaults_of_the_protocol() {
    check(
        "
        a> SUB foo 1
        a> PUB foo 2
        a> hi
        a> UNSUB 1
        a> PING
        a< +OK
        a< +OK
        a< +OK
        a< MSG foo 1 2
        a< hi
        a< PONG
        ",
    );
}

#[test]
fn a_pong_comes_after_everything_that_was_sent_before_it() {
    check(
        r#"
        a> CONNECT {"verbose":false}
        a> SUB foo 1
        a> PUB foo 1
        a> 1
        a> PING
        a> PUB foo 1
        a> 2
        a> PING
        a> PING
        a< MSG foo 1 1
        a< 1
        a< PONG
        a< MSG foo 1 1
        a< 2
        a< PONG
        a< PONG
        "#,
    );
}

#[test]
fn a_ping_alone_is_answered_at_once() {
    check("a> PING\na< PONG\na> ping\na> PiNg\na< PONG\na< PONG");
}

#[test]
fn the_first_pong_is_followed_by_an_info_for_clients_that_take_it() {
    let mut world = World::new();
    world.run(
        r#"
        a> CONNECT {"verbose":false,"protocol":1}
        a> PING
        a< PONG
        a< INFO
        a> PING
        a< PONG
        b> CONNECT {"verbose":false,"protocol":0}
        b> PING
        b< PONG
        "#,
    );
    world.send("c", b"PING\r\nCONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
    let output = world.take_output("c");
    let (before, info) = output.split_once("INFO ").expect("an INFO");
    assert_eq!(before, "PONG\r\nPONG\r\n");
    assert!(info.contains(r#""connect_info":true,"remote_account":"$G""#), "{info}");
    assert!(info.contains(r#""max_payload":1048576"#) && info.contains(r#""headers":true"#));
}

#[test]
fn verbose_clients_are_told_ok_for_each_operation() {
    check(
        r#"
        a> CONNECT {"verbose":true}
        a> SUB foo 1
        a> UNSUB 1
        a> PUB foo 0
        a>
        a> PING
        a< +OK
        a< +OK
        a< +OK
        a< +OK
        a< PONG
        "#,
    );
}

#[test]
fn wildcards_match_as_in_nats_and_each_subscription_gets_its_copy() {
    check(
        r#"
        a> CONNECT {"verbose":false}
        a> SUB foo.* one
        a> SUB foo.> tail
        a> SUB > all
        a> SUB * single
        a> PUB foo.bar 1
        a> x
        a> PUB foo 1
        a> y
        a> PUB foo.bar.baz 1
        a> z
        a> PING
        a< MSG foo.bar one 1
        a< x
        a< MSG foo.bar tail 1
        a< x
        a< MSG foo.bar all 1
        a< x
        a< MSG foo all 1
        a< y
        a< MSG foo single 1
        a< y
        a< MSG foo.bar.baz tail 1
        a< z
        a< MSG foo.bar.baz all 1
        a< z
        a< PONG
        "#,
    );
}

#[test]
fn private_subjects_are_seen_by_literal_and_by_leading_wildcards_of_nats_only() {
    let mut world = World::new();
    world.run(
        r#"
        a> CONNECT {"verbose":false}
        a> SUB $SRV.PING s
        a> SUB > all
        a> SUB *.PING star
        a> PUB $SRV.PING 1
        a> x
        a> UNSUB all
        a> UNSUB star
        a> PUB $SRV.PING 1
        a> y
        a> PING
        a< MSG $SRV.PING s 1
        a< x
        a< MSG $SRV.PING all 1
        a< x
        a< MSG $SRV.PING star 1
        a< x
        a< MSG $SRV.PING s 1
        a< y
        a< PONG
        "#,
    );
    assert!(world.published.iter().all(|(to, _)| matches!(
        to,
        model::record::Address::Subject(space, _) if space.name() == Some("nats")
    )));
}

#[test]
fn one_member_of_a_queue_group_gets_a_message() {
    check(
        r#"
        a> CONNECT {"verbose":false}
        a> SUB jobs workers 1
        a> SUB jobs workers 2
        a> SUB jobs 3
        a> PUB jobs 1
        a> x
        a> PING
        a< MSG jobs 1 1
        a< x
        a< MSG jobs 3 1
        a< x
        a< PONG
        "#,
    );
}

#[test]
fn unsubscribe_after_n_counts_from_the_start_of_the_subscription() {
    check(
        r#"
        a> CONNECT {"verbose":false}
        a> SUB foo 1
        a> PUB foo 1
        a> 1
        a> PING
        a< MSG foo 1 1
        a< 1
        a< PONG
        a> UNSUB 1 3
        a> PUB foo 1
        a> 2
        a> PUB foo 1
        a> 3
        a> PUB foo 1
        a> 4
        a> PING
        a< MSG foo 1 1
        a< 2
        a< MSG foo 1 1
        a< 3
        a< PONG
        "#,
    );
}

#[test]
fn unsubscribe_after_what_was_already_delivered_ends_it_now() {
    check(
        r#"
        a> CONNECT {"verbose":false}
        a> SUB foo 1
        a> PUB foo 1
        a> 1
        a> PING
        a> UNSUB 1 1
        a> PUB foo 1
        a> 2
        a> SUB foo 1
        a> PUB foo 1
        a> 3
        a> UNSUB 7
        a> PING
        a< MSG foo 1 1
        a< 1
        a< PONG
        a< MSG foo 1 1
        a< 3
        a< PONG
        "#,
    );
}

#[test]
fn a_sid_that_is_in_use_keeps_its_first_subscription() {
    check(
        r#"
        a> CONNECT {"verbose":false}
        a> SUB foo 1
        a> SUB bar 1
        a> PUB bar 1
        a> x
        a> PUB foo 1
        a> y
        a> PING
        a< MSG foo 1 1
        a< y
        a< PONG
        "#,
    );
}

#[test]
fn echo_off_keeps_a_clients_own_messages_from_it() {
    check(
        r#"
        a> CONNECT {"verbose":false,"echo":false}
        a> SUB foo 1
        b> CONNECT {"verbose":false}
        b> SUB foo 9
        a> PUB foo 1
        a> x
        a> PING
        a< PONG
        b< MSG foo 9 1
        b< x
        b> PUB foo 1
        b> y
        b< MSG foo 9 1
        b< y
        a< MSG foo 1 1
        a< y
        "#,
    );
}

#[test]
fn a_request_is_answered_through_the_reply_subject() {
    check(
        r#"
        s> CONNECT {"verbose":false}
        s> SUB help q 1
        c> CONNECT {"verbose":false,"headers":true,"no_responders":true}
        c> SUB _INBOX.abc.* 1
        c> PUB help _INBOX.abc.1 3
        c> how
        s< MSG help 1 _INBOX.abc.1 3
        s< how
        s> PUB _INBOX.abc.1 4
        s> thus
        c< MSG _INBOX.abc.1 1 4
        c< thus
        "#,
    );
}

#[test]
fn a_request_that_nobody_serves_is_answered_503_before_the_pong() {
    check(
        r#"
        a> CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}
        a> SUB r.* q 1
        a> SUB r.* 2
        a> PUB foo r.1 2
        a> hi
        a> PUB foo.* r.2 0
        a>
        a> PUB foo elsewhere 0
        a>
        a> PUB foo 0
        a>
        a> PING
        a< HMSG r.2 2 37 37
        a< NATS/1.0 503
        a< Nats-Subject: foo.*
        a<
        a<
        a< HMSG r.1 2 35 35
        a< NATS/1.0 503
        a< Nats-Subject: foo
        a<
        a<
        a< PONG
        "#,
    );
}

#[test]
fn clients_without_no_responders_hear_nothing_of_unserved_requests() {
    check(
        r#"
        a> CONNECT {"verbose":false,"headers":true}
        a> SUB r 1
        a> PUB foo r 2
        a> hi
        a> PING
        a< PONG
        "#,
    );
}

#[test]
fn no_responders_needs_headers() {
    let mut world = World::new();
    world.run(
        r#"
        a> CONNECT {"no_responders":true}
        a< -ERR 'no responders requires headers support'
        "#,
    );
    assert!(matches!(world.closed("a"), Some(Close::Violation(_))));
}

#[test]
fn a_protocol_of_the_future_is_refused() {
    let mut world = World::new();
    world.run("a> CONNECT {\"protocol\":2}\na< -ERR 'invalid client protocol'");
    assert!(world.closed("a").is_some());
}

#[test]
fn a_second_connect_drops_subscriptions_and_sets_options_anew() {
    check(
        r#"
        a> CONNECT {"verbose":false}
        a> SUB foo 1
        a> CONNECT {"verbose":true}
        a> PUB foo 1
        a> x
        a> PING
        a< +OK
        a< +OK
        a< PONG
        "#,
    );
}

#[test]
fn pedantic_clients_hear_of_illegal_subjects_and_stay() {
    check(
        r#"
        a> CONNECT {"verbose":false,"pedantic":true}
        a> PUB foo.* 2
        a> hi
        a> PUB foo..bar 0
        a>
        a> SUB foo. 1
        a> SUB >.foo 1
        a> PING
        a< -ERR 'Invalid Publish Subject'
        a< -ERR 'Invalid Publish Subject'
        a< -ERR 'Invalid Subject'
        a< -ERR 'Invalid Subject'
        a< PONG
        "#,
    );
}

#[test]
fn what_breaks_the_protocol_is_named_and_ends_the_connection() {
    let cases = [
        ("FOO", "Unknown Protocol Operation"),
        ("PUB foo", "Unknown Protocol Operation"),
        ("PUB foo 1048577", "Maximum Payload Violation"),
        ("CONNECT {", "Unknown Protocol Operation"),
        ("HPUB foo 12 12", "message headers not supported"),
    ];
    for (line, text) in cases {
        let mut world = World::new();
        world.send("a", format!("PING\r\n{line}\r\nNATS/1.0\r\n\r\n\r\n").as_bytes());
        assert_eq!(world.take_output("a"), format!("PONG\r\n-ERR '{text}'\r\n"), "{line}");
        assert!(matches!(world.closed("a"), Some(Close::Violation(_))), "{line}");
    }
    let mut world = World::new();
    world.send("a", format!("SUB {}", "x".repeat(5000)).as_bytes());
    assert_eq!(world.take_output("a"), "-ERR 'maximum control line exceeded'\r\n");
}

#[test]
fn the_payload_limit_is_the_one_that_info_told() {
    let limits = Limits { message_bytes: 4, ..Limits::default() };
    let mut world = World::with_limits(limits);
    world.run("a> CONNECT {\"verbose\":false}\na> PUB foo 4\na> 1234\na> PING\na< PONG");
    world.run("a> PUB foo 5\na< -ERR 'Maximum Payload Violation'");
    assert!(world.closed("a").is_some());
}

#[test]
fn subscriptions_are_limited() {
    let limits = Limits { subscriptions: 2, ..Limits::default() };
    World::with_limits(limits).run(
        r#"
        a> CONNECT {"verbose":false}
        a> SUB a 1
        a> SUB b 2
        a> SUB c 3
        a> UNSUB 1
        a> SUB c 3
        a> PUB c 0
        a>
        a< -ERR 'maximum subscriptions exceeded'
        a< MSG c 3 0
        a<
        "#,
    );
}

#[test]
fn refusals_of_the_broker_have_the_texts_that_clients_match() {
    let mut world = World::new();
    world.refuse = Some(Refusal::NotAllowed);
    world.run(
        r#"
        a> CONNECT {"verbose":false,"headers":true,"no_responders":true}
        a> SUB a 1
        a> SUB b q 2
        a> PUB c r 0
        a>
        a> PING
        a< -ERR 'Permissions Violation for Subscription to "a"'
        a< -ERR 'Permissions Violation for Subscription to "b" using queue "q"'
        a< -ERR 'Permissions Violation for Publish to "c"'
        a< PONG
        "#,
    );
    world.refuse = Some(Refusal::Limit("subscriptions"));
    world.run("a> SUB a 1\na> PING\na< -ERR 'maximum subscriptions exceeded'\na< PONG");
}

#[test]
fn a_peer_that_never_speaks_is_let_go() {
    let mut world = World::new();
    world.open("a");
    world.send("a", b"CONN");
    world.run("wait 9");
    world.run("wait 1\na< -ERR 'Authentication Timeout'");
    assert_eq!(world.closed("a"), Some(&Close::Timeout));
}

#[test]
fn a_silent_connection_is_asked_twice_and_then_stale() {
    let mut world = World::new();
    world.run(
        r#"
        a> CONNECT {"verbose":false}
        wait 119
        wait 1
        wait 120
        a< PING
        a> PONG
        wait 120
        wait 120
        a< PING
        wait 120
        a< PING
        wait 119
        wait 1
        a< -ERR 'Stale Connection'
        "#,
    );
    assert_eq!(world.closed("a"), Some(&Close::Timeout));
}

#[test]
fn a_busy_connection_is_not_asked() {
    check("a> PING\na< PONG\nwait 119\na> PING\na< PONG\nwait 119\na> PING\na< PONG\nwait 119");
}

#[test]
fn a_draining_server_says_so_to_clients_that_take_info() {
    let mut world = World::new();
    world.run("a> CONNECT {\"verbose\":false,\"protocol\":1}\nb> CONNECT {\"verbose\":false}");
    world.notice("a", Notice::Draining);
    assert!(world.take_output("a").contains("\"ldm\":true"));
    assert_eq!(world.closed("a"), Some(&Close::Draining));
    world.notice("b", Notice::Draining);
    assert_eq!(world.take_output("b"), "");
}

#[test]
fn large_payloads_pass_unchanged() {
    let mut world = World::new();
    let payload = "x".repeat(100_000);
    world.send("a", b"CONNECT {\"verbose\":false}\r\nSUB foo 1\r\n");
    world.send("a", format!("PUB foo 100000\r\n{payload}\r\nPING\r\n").as_bytes());
    assert_eq!(world.take_output("a"), format!("MSG foo 1 100000\r\n{payload}\r\nPONG\r\n"));
}

#[test]
fn a_slow_consumer_is_cut_off_without_a_word() {
    let mut world = World::new();
    world.run("a> CONNECT {\"verbose\":false}");
    world.notice("a", Notice::SlowReceiver);
    assert_eq!(world.take_output("a"), "");
    assert!(matches!(world.closed("a"), Some(Close::Refused(_))));
}
