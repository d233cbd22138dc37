//! From the protocol header to connection.open, and how connections end.

mod rig;

use std::time::Duration;

use amqp_codec::{Frame, LongStr, Method, TableWriter, Value, channel, connection, queue};
use bytes::Bytes;
use protocol::{Close, Credentials, Destroy, Notice, Refusal, Reply, Request};
use rig::{Rig, capable, declared, start_ok, text};

#[test]
fn start_names_the_server_and_what_it_can() {
    let mut rig = Rig::fresh();
    rig.bytes(b"AMQP\x00\x00");
    rig.nothing_sent();
    rig.bytes(b"\x09\x01");
    let Method::Connection(connection::Method::Start(start)) = rig.next() else { panic!("start") };
    assert_eq!((start.version_major, start.version_minor), (0, 9));
    assert_eq!(start.mechanisms, LongStr::from_static("PLAIN AMQPLAIN"));
    let properties = start.server_properties.view();
    assert_eq!(properties.get("product"), Some(Value::LongStr(b"RobustMQ")));
    let Some(Value::Table(capabilities)) = properties.get("capabilities") else { panic!("some") };
    assert_eq!(capabilities.get("publisher_confirms"), Some(Value::Bool(true)));
    let keys: Vec<_> = capabilities.iter().map(|(key, _)| key).collect();
    assert!(keys.is_sorted(), "RabbitMQ sorts keys");
}

#[test]
fn strangers_are_told_which_protocol_is_spoken() {
    for hello in [&b"AMQP\x00\x00\x08\x00"[..], b"GET / HTTP/1.1", b"\x16\x03\x01\x00", b"\x10"] {
        let mut rig = Rig::fresh();
        rig.bytes(hello);
        assert_eq!(rig.raw(), b"AMQP\x00\x00\x09\x01");
        assert!(matches!(rig.closed, Some(Close::Violation(_))));
    }
}

#[test]
fn a_client_that_says_nothing_is_dropped_after_ten_seconds() {
    let mut rig = Rig::fresh();
    rig.bytes(b"AMQP");
    rig.pass(Duration::from_secs(9));
    assert_eq!(rig.closed, None);
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.closed, Some(Close::Timeout));
}

#[test]
fn amqplain_logs_in_as_well() {
    let mut rig = Rig::fresh();
    rig.bytes(b"AMQP\x00\x00\x09\x01");
    rig.next();
    let login = TableWriter::new()
        .with("LOGIN", Value::LongStr(b"guest"))
        .with("PASSWORD", Value::LongStr(b"guest"))
        .finish();
    let ok = connection::StartOk {
        mechanism: text("AMQPLAIN"),
        response: LongStr(login.as_bytes().clone()),
        ..start_ok(capable(&[]))
    };
    rig.send(0, ok);
    rig.let_in();
    assert!(matches!(rig.next(), Method::Connection(connection::Method::Tune(_))));
}

#[test]
fn a_login_that_fails_is_told_to_those_who_can_hear_it() {
    let bad = LongStr::from_static("no separators");
    let refusal = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For \
                   details see the broker logfile.";
    let mut rig = Rig::fresh();
    rig.bytes(b"AMQP\x00\x00\x09\x01");
    rig.next();
    let properties = capable(&["authentication_failure_close"]);
    rig.send(0, connection::StartOk { response: bad.clone(), ..start_ok(properties) });
    rig.connection_error(403, refusal);
    let mut rig = Rig::fresh();
    rig.bytes(b"AMQP\x00\x00\x09\x01");
    rig.next();
    rig.send(0, connection::StartOk { response: bad, ..start_ok(capable(&[])) });
    rig.nothing_sent();
    assert!(matches!(rig.closed, Some(Close::Refused(_))));
}

#[test]
fn whoever_is_not_let_in_is_told_and_nothing_after_start_ok_is_read_before() {
    let mut rig = Rig::fresh();
    rig.bytes(b"AMQP\x00\x00\x09\x01");
    rig.next();
    rig.send(0, start_ok(capable(&["authentication_failure_close"])));
    rig.nothing_sent();
    assert!(rig.paused);
    let (token, asked) = rig.login();
    let Credentials::Password { user, .. } = &asked.credentials else { panic!("PLAIN") };
    assert_eq!(&user[..], b"guest");
    assert!(!format!("{asked:?}").contains("103, 117"), "passwords are never printed");
    rig.reply_to(token, Reply::Refused(Refusal::NotAllowed));
    rig.connection_error(
        403,
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see \
         the broker logfile.",
    );
}

#[test]
fn a_mechanism_that_was_not_offered_is_503() {
    let mut rig = Rig::fresh();
    rig.bytes(b"AMQP\x00\x00\x09\x01");
    rig.next();
    let ok = connection::StartOk { mechanism: text("EXTERNAL"), ..start_ok(capable(&[])) };
    rig.send(0, ok);
    rig.connection_error(503, "COMMAND_INVALID - unknown authentication mechanism 'EXTERNAL'");
}

#[test]
fn limits_outside_of_the_servers_are_530() {
    let mut rig = Rig::fresh();
    rig.bytes(b"AMQP\x00\x00\x09\x01");
    rig.next();
    rig.send(0, start_ok(capable(&[])));
    rig.let_in();
    rig.next();
    rig.send(0, connection::TuneOk { channel_max: 2047, frame_max: 0, heartbeat: 0 });
    let close = rig.connection_error(
        530,
        "NOT_ALLOWED - negotiated frame_max = 0 (no limit) is higher than the maximum allowed value \
         (131072)",
    );
    assert_eq!((close.class_id, close.method_id), (10, 30), "connection.tune");
}

#[test]
fn a_virtual_host_that_is_not_there_is_530() {
    let mut rig = Rig::fresh();
    rig.bytes(b"AMQP\x00\x00\x09\x01");
    rig.next();
    rig.send(0, start_ok(capable(&[])));
    rig.let_in();
    rig.next();
    rig.send(0, connection::TuneOk { channel_max: 10, frame_max: 4096, heartbeat: 0 });
    rig.send(0, connection::Open { virtual_host: text("nov"), ..connection::Open::default() });
    rig.connection_error(530, "NOT_ALLOWED - vhost nov not found");
}

#[test]
fn methods_out_of_turn_end_the_handshake() {
    let mut rig = Rig::fresh();
    rig.bytes(b"AMQP\x00\x00\x09\x01");
    rig.next();
    rig.send(1, channel::Open::default());
    rig.connection_error(504, "CHANNEL_ERROR - unexpected frame before the connection is open");
}

#[test]
fn everything_but_close_ok_is_dropped_after_the_server_closed() {
    let mut rig = Rig::channel();
    rig.send(1, channel::Open::default());
    assert!(matches!(rig.next(), Method::Connection(connection::Method::Close(_))));
    rig.send(1, queue::Declare { queue: text("q"), ..queue::Declare::default() });
    rig.frame(&Frame::Body { channel: 7, payload: Bytes::from("x") });
    rig.nothing_sent();
    rig.no_requests();
    assert_eq!(rig.closed, None);
    rig.pass(Duration::from_secs(31));
    assert!(matches!(rig.closed, Some(Close::Violation(_))), "and not for ever");
}

#[test]
fn exclusive_queues_are_gone_before_close_ok() {
    let mut rig = Rig::channel();
    for name in ["one", "two"] {
        let declare =
            queue::Declare { queue: text(name), exclusive: true, ..queue::Declare::default() };
        rig.send(1, declare);
        let (token, request) = rig.asked();
        let Request::Declare(protocol::Declare::Queue(declaration)) = request else { panic!() };
        rig.reply_to(token, declared(declaration, 0, 0));
        rig.next();
    }
    rig.send(0, connection::Close::default());
    assert!(matches!(rig.told(), Request::Destroy(Destroy::Queue { name, .. }) if name == "one"));
    rig.nothing_sent();
    rig.answer(
        |request| matches!(request, Request::Destroy(Destroy::Queue { name, .. }) if name == "two"),
        Reply::Destroyed(0),
    );
    rig.expect(0, connection::CloseOk {});
    assert_eq!(rig.closed, Some(Close::Done));
}

#[test]
fn heartbeats_are_sent_when_idle_and_silence_ends_the_connection() {
    let mut rig = Rig::open_with(10, capable(&[]));
    rig.pass(Duration::from_secs(6));
    assert_eq!(rig.sent.pop_front(), Some(Frame::Heartbeat));
    rig.frame(&Frame::Heartbeat);
    rig.pass(Duration::from_secs(19));
    assert_eq!(rig.closed, None);
    assert!(rig.sent.drain(..).all(|frame| frame == Frame::Heartbeat));
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.closed, Some(Close::Timeout));
}

#[test]
fn silence_says_nothing_while_the_session_does_not_read() {
    let mut rig = Rig::open_with(10, capable(&[]));
    rig.open_channel(1);
    rig.send(1, queue::Purge { queue: text("q"), ..queue::Purge::default() });
    assert!(rig.paused);
    rig.pass(Duration::from_secs(100));
    assert_eq!(rig.closed, None);
    assert!(rig.paused, "still");
}

#[test]
fn no_heartbeat_means_no_deadline() {
    let mut rig = Rig::open();
    rig.pass(Duration::from_secs(1_000_000));
    assert_eq!(rig.closed, None);
    rig.nothing_sent();
}

#[test]
fn a_server_going_down_says_so() {
    let mut rig = Rig::channel();
    rig.notice(Notice::Draining);
    assert_eq!(rig.closed, Some(Close::Draining));
    rig.connection_error(
        320,
        "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
    );
}

#[test]
fn frame_errors_end_the_connection_at_once_and_others_wait_for_close_ok() {
    let mut rig = Rig::channel();
    rig.bytes(b"\x01\x00\x01\x00\x00\x00\x00\x00");
    rig.connection_error(501, "FRAME_ERROR - invalid_frame_end_marker");
    let mut rig = Rig::channel();
    rig.bytes(b"\x08\x00\x01\x00\x00\x00\x00\xce");
    assert_eq!(rig.closed, None);
    rig.connection_error(505, "UNEXPECTED_FRAME - heartbeat on a channel");
    let mut rig = Rig::channel();
    rig.bytes(b"\x01\x00\x01\x00\x00\x00\x04\x03\xe7\x03\xe7\xce");
    rig.connection_error(503, "COMMAND_INVALID - unknown method");
}

#[test]
fn a_new_secret_is_taken() {
    let mut rig = Rig::open();
    rig.send(0, connection::UpdateSecret::default());
    rig.expect(0, connection::UpdateSecretOk {});
}
