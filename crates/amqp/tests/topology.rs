//! Channels, exchanges, queues and bindings: requests asked, replies and errors in RabbitMQ's words.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test that meets another variant fails")]

mod rig;

use amqp_codec::{
    Frame, Method, ReplyCode, TableWriter, Value, access, basic, channel, exchange, queue,
    transaction,
};
use bytes::Bytes;
use model::filter::Filter;
use model::record::Space;
use protocol::{
    BindTarget, Binding, Declare, Declared, Destroy, HeaderMatchMode, Notice, Protocol,
    QueueDeclaration, QueueStatus, Refusal, Reply, Request,
};
use rig::{Rig, declared, described, exchange as space, refused, text};

fn queue_declaration(name: &str) -> QueueDeclaration {
    QueueDeclaration {
        name: Bytes::copy_from_slice(name.as_bytes()),
        durable: false,
        exclusive: false,
        auto_delete: false,
        arguments: Bytes::new(),
        options: None,
    }
}

fn declare(name: &str) -> queue::Declare {
    queue::Declare { queue: text(name), ..queue::Declare::default() }
}

fn bind(queue: &str, exchange: &str, key: &str) -> queue::Bind {
    queue::Bind {
        queue: text(queue),
        exchange: text(exchange),
        routing_key: text(key),
        ..queue::Bind::default()
    }
}

fn bound(request: Request) -> Binding {
    match request {
        Request::Bind(binding) | Request::Unbind(binding) => binding,
        other => panic!("a binding, not {other:?}"),
    }
}

#[test]
fn the_predeclared_exchanges_are_there_from_the_start() {
    let names: Vec<Bytes> = amqp::Amqp
        .builtins()
        .into_iter()
        .map(|declare| match declare {
            Declare::Space(space) => {
                assert!(space.builtin && space.durable);
                space.name
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let wanted =
        ["amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.rabbitmq.trace", "amq.topic"];
    assert_eq!(names, wanted);
    let mut rig = Rig::channel();
    for name in wanted {
        let passive = exchange::Declare {
            exchange: text(name),
            passive: true,
            ..exchange::Declare::default()
        };
        rig.send(1, passive);
        rig.expect(1, exchange::DeclareOk {});
    }
    rig.no_requests();
}

#[test]
fn channel_numbers_have_rules() {
    let mut rig = Rig::channel();
    rig.send(1, channel::Open::default());
    rig.connection_error(504, "CHANNEL_ERROR - second 'channel.open' seen");
    let mut rig = Rig::open();
    rig.send(7, declare("q"));
    let close = rig.connection_error(504, "CHANNEL_ERROR - expected 'channel.open'");
    assert_eq!((close.class_id, close.method_id), (50, 10));
    let mut rig = Rig::open();
    rig.send(2048, channel::Open::default());
    rig.connection_error(
        530,
        "NOT_ALLOWED - number of channels opened (0) has reached the negotiated channel_max (2047)",
    );
    let mut rig = Rig::open();
    rig.send(0, declare("q"));
    rig.connection_error(504, "CHANNEL_ERROR - unexpected method in connection state running");
    let mut rig = Rig::open();
    rig.frame(&Frame::Body { channel: 0, payload: Bytes::from("x") });
    rig.connection_error(505, "UNEXPECTED_FRAME - content on channel 0");
}

#[test]
fn a_closed_channel_number_is_free_again() {
    let mut rig = Rig::channel();
    rig.send(1, channel::Close::default());
    rig.expect(1, channel::CloseOk {});
    rig.open_channel(1);
    rig.send(1, channel::Flow { active: true });
    rig.expect(1, channel::FlowOk { active: true });
    rig.send(1, channel::Flow { active: false });
    rig.connection_error(540, "NOT_IMPLEMENTED - active=false");
}

#[test]
fn a_failed_channel_drops_everything_until_close_ok() {
    let mut rig = Rig::channel();
    rig.send(1, basic::Ack { delivery_tag: 1, multiple: false });
    assert!(matches!(rig.next(), Method::Channel(channel::Method::Close(_))));
    rig.send(1, declare("q"));
    rig.send(1, channel::Open::default());
    rig.nothing_sent();
    rig.no_requests();
    rig.send(1, channel::Close::default());
    rig.expect(1, channel::CloseOk {});
    rig.send(1, channel::CloseOk {});
    rig.open_channel(1);
}

#[test]
fn what_is_not_there_is_refused_not_ignored() {
    for method in [
        Method::from(transaction::Select {}),
        Method::from(transaction::Commit {}),
        Method::from(transaction::Rollback {}),
    ] {
        let mut rig = Rig::channel();
        rig.send(1, method);
        rig.connection_error(540, "NOT_IMPLEMENTED - transactions");
    }
    let mut rig = Rig::channel();
    rig.send(1, queue::DeclareOk::default());
    rig.connection_error(503, "COMMAND_INVALID - unimplemented method");
    let mut rig = Rig::channel();
    let arguments = TableWriter::new().with("x-consumer-timeout", Value::I32(1000)).finish();
    rig.send(1, queue::Declare { arguments, ..declare("q") });
    rig.connection_error(
        540,
        "NOT_IMPLEMENTED - arg 'x-consumer-timeout' for queue 'q' in vhost '/' is not supported",
    );
    let mut rig = Rig::channel();
    let arguments = TableWriter::new().with("alternate-exchange", Value::LongStr(b"ae")).finish();
    let declare = exchange::Declare {
        exchange: text("x"),
        kind: text("fanout"),
        arguments,
        ..exchange::Declare::default()
    };
    rig.send(1, declare);
    rig.connection_error(
        540,
        "NOT_IMPLEMENTED - arg 'alternate-exchange' for exchange 'x' in vhost '/' is not supported",
    );
}

#[test]
fn old_clients_get_their_ticket() {
    let mut rig = Rig::channel();
    rig.send(1, access::Request::default());
    rig.expect(1, access::RequestOk { ticket: 1 });
}

#[test]
fn a_queue_is_declared_and_its_counts_told() {
    let mut rig = Rig::channel();
    rig.send(1, queue::Declare { durable: true, ..declare("q\r\n") });
    assert!(rig.paused, "nothing is read until the broker has answered");
    rig.send(1, channel::Flow { active: true });
    rig.nothing_sent();
    let (token, request) = rig.asked();
    let Request::Declare(Declare::Queue(declaration)) = request else { panic!("{request:?}") };
    assert_eq!(declaration, QueueDeclaration { durable: true, ..queue_declaration("q") });
    rig.reply_to(token, declared(declaration, 5, 2));
    rig.expect(1, queue::DeclareOk { queue: text("q"), message_count: 5, consumer_count: 2 });
    rig.expect(1, channel::FlowOk { active: true });
    assert_eq!(rig.unread(), 0);
}

#[test]
fn an_exclusive_queue_is_not_durable_and_a_nameless_one_gets_a_name() {
    let mut rig = Rig::channel();
    rig.send(1, queue::Declare { exclusive: true, durable: true, ..declare("") });
    let (token, request) = rig.asked();
    let Request::Declare(Declare::Queue(declaration)) = request else { panic!("{request:?}") };
    assert!(declaration.exclusive && !declaration.durable);
    assert!(declaration.name.starts_with(b"amq.gen-"));
    let name = declaration.name.clone();
    rig.reply_to(token, declared(declaration, 0, 0));
    let Method::Queue(queue::Method::DeclareOk(ok)) = rig.next() else { panic!("declare-ok") };
    assert_eq!(ok.queue.as_bytes(), &name[..]);
    // The empty name stands for it now, as queue and as key.
    rig.send(1, bind("", "amq.direct", ""));
    let (token, request) = rig.asked();
    let binding = bound(request);
    assert_eq!(binding.target, BindTarget::Queue(name.clone()));
    let key = model::render::amqp::parse(&name).expect("a key");
    assert_eq!(binding.filter, Filter::literal(&key));
    rig.reply_to(token, Reply::Done);
    rig.expect(1, queue::BindOk {});
}

#[test]
fn without_a_queue_declared_the_empty_name_is_404() {
    let mut rig = Rig::channel();
    rig.send(1, queue::Purge::default());
    rig.channel_error(1, 404, "NOT_FOUND - no previously declared queue");
}

#[test]
fn refusals_become_rabbitmqs_errors() {
    let locked = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. \
                  It could be originally declared on another connection or the exclusive property \
                  value does not match that of the original declaration.";
    let mut rig = Rig::channel();
    let cases: Vec<(Method, Refusal, u16, &str)> = vec![
        (declare("q").into(), Refusal::Locked, 405, locked),
        (
            queue::Declare { passive: true, ..declare("nope") }.into(),
            Refusal::NotFound,
            404,
            "NOT_FOUND - no queue 'nope' in vhost '/'",
        ),
        (
            queue::Delete { queue: text("q"), if_unused: true, ..queue::Delete::default() }.into(),
            Refusal::InUse,
            406,
            "PRECONDITION_FAILED - queue 'q' in vhost '/' in use",
        ),
        (
            queue::Delete { queue: text("q"), if_empty: true, ..queue::Delete::default() }.into(),
            Refusal::NotEmpty,
            406,
            "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty",
        ),
        (
            queue::Purge { queue: text("q"), ..queue::Purge::default() }.into(),
            Refusal::NotFound,
            404,
            "NOT_FOUND - no queue 'q' in vhost '/'",
        ),
        (
            basic::Consume { queue: text("pq"), no_ack: true, ..basic::Consume::default() }.into(),
            Refusal::InUse,
            403,
            "ACCESS_REFUSED - queue 'pq' in vhost '/' in exclusive use",
        ),
        (
            basic::Get { queue: text("q"), ..basic::Get::default() }.into(),
            Refusal::NotFound,
            404,
            "NOT_FOUND - no queue 'q' in vhost '/'",
        ),
        (
            exchange::Delete {
                exchange: text("x"),
                if_unused: true,
                ..exchange::Delete::default()
            }
            .into(),
            Refusal::InUse,
            406,
            "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use",
        ),
        (
            bind("q", "amq.topic", "k").into(),
            Refusal::NotFound,
            404,
            "NOT_FOUND - no queue 'q' in vhost '/'",
        ),
    ];
    for (method, refusal, code, expected) in cases {
        let id = method.id();
        rig.send(1, method);
        rig.answer(|_| true, refused(refusal));
        let Some(Frame::Method { method: Method::Channel(channel::Method::Close(close)), .. }) =
            rig.sent.front()
        else {
            panic!("channel.close: {:?}", rig.sent)
        };
        assert_eq!((close.class_id, close.method_id), id, "{expected}");
        rig.channel_error(1, code, expected);
        rig.open_channel(1);
    }
}

#[test]
fn deleting_what_is_not_there_is_done() {
    let mut rig = Rig::channel();
    rig.send(1, queue::Delete { queue: text("q"), ..queue::Delete::default() });
    rig.answer(|_| true, refused(Refusal::NotFound));
    rig.expect(1, queue::DeleteOk { message_count: 0 });
    rig.send(1, exchange::Delete { exchange: text("x"), ..exchange::Delete::default() });
    rig.answer(
        |request| matches!(request, Request::Destroy(Destroy::Space { name, .. }) if name == "x"),
        refused(Refusal::NotFound),
    );
    rig.expect(1, exchange::DeleteOk {});
    let unbind =
        queue::Unbind { queue: text("q"), exchange: text("gone"), ..queue::Unbind::default() };
    rig.send(1, unbind);
    rig.answer(|request| matches!(request, Request::DescribeSpace(_)), refused(Refusal::NotFound));
    rig.expect(1, queue::UnbindOk {});
}

#[test]
fn a_different_declaration_is_told_what_differs() {
    let mut rig = Rig::channel();
    rig.send(1, declare("pq"));
    let stands = QueueDeclaration { durable: true, ..queue_declaration("pq") };
    rig.answer(|_| true, refused(Refusal::DifferentQueue(Box::new(stands))));
    rig.channel_error(
        1,
        406,
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'pq' in vhost '/': received \
         'false' but current is 'true'",
    );
    rig.open_channel(1);
    let declare = exchange::Declare {
        exchange: text("x"),
        kind: text("topic"),
        ..exchange::Declare::default()
    };
    rig.send(1, declare);
    rig.answer(|_| true, refused(Refusal::DifferentSpace(Box::new(space("x", "direct")))));
    rig.channel_error(
        1,
        406,
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received \
         'topic' but current is 'direct'",
    );
}

#[test]
fn arguments_of_a_queue_become_its_options_and_are_compared() {
    let mut rig = Rig::channel();
    let with = |value| {
        let arguments = TableWriter::new().with("x-message-ttl", value).finish();
        queue::Declare { arguments, ..declare("q") }
    };
    rig.send(1, with(Value::I32(1000)));
    let (token, Request::Declare(Declare::Queue(first))) = rig.asked() else { panic!("a queue") };
    assert_eq!(first.options().message_ttl_ms, Some(1000));
    rig.reply_to(token, declared(first.clone(), 0, 0));
    rig.expect(1, queue::DeclareOk { queue: text("q"), message_count: 0, consumer_count: 0 });
    // The same number in another width is the same argument.
    rig.send(1, with(Value::I64(1000)));
    let different = || Refusal::DifferentQueue(Box::new(first.clone()));
    rig.answer(|request| matches!(request, Request::Declare(_)), refused(different()));
    let status = QueueStatus { declaration: first.clone(), ready: 3, consumers: 1 };
    rig.answer(|request| matches!(request, Request::DescribeQueue(_)), Reply::Queue(status));
    rig.expect(1, queue::DeclareOk { queue: text("q"), message_count: 3, consumer_count: 1 });
    rig.send(1, with(Value::I32(999)));
    rig.answer(|_| true, refused(different()));
    rig.channel_error(
        1,
        406,
        "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': \
         received '999' but current is '1000'",
    );
}

#[test]
fn reserved_names_are_kept() {
    let mut rig = Rig::channel();
    rig.send(1, declare("amq.foo"));
    rig.answer(|request| matches!(request, Request::DescribeQueue(_)), refused(Refusal::NotFound));
    rig.channel_error(
        1,
        403,
        "ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'",
    );
    rig.open_channel(1);
    // One that is there may be declared again.
    rig.send(1, declare("amq.gen-x"));
    let declaration = queue_declaration("amq.gen-x");
    let status = QueueStatus { declaration: declaration.clone(), ready: 1, consumers: 0 };
    rig.answer(|request| matches!(request, Request::DescribeQueue(_)), Reply::Queue(status));
    rig.answer(|request| matches!(request, Request::Declare(_)), declared(declaration, 1, 0));
    rig.expect(
        1,
        queue::DeclareOk { queue: text("amq.gen-x"), message_count: 1, consumer_count: 0 },
    );
    let named = |name: &str, kind: &str| exchange::Declare {
        exchange: text(name),
        kind: text(kind),
        durable: true,
        ..exchange::Declare::default()
    };
    rig.send(1, named("amq.direct", "direct"));
    rig.expect(1, exchange::DeclareOk {});
    for (method, code, expected) in [
        (
            Method::from(named("amq.foo", "direct")),
            403,
            "ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'",
        ),
        (
            Method::from(named("", "direct")),
            403,
            "ACCESS_REFUSED - operation not permitted on the default exchange",
        ),
        (Method::from(named("x", "zz")), 406, "PRECONDITION_FAILED - unknown exchange type 'zz'"),
        (
            Method::from(exchange::Delete {
                exchange: text("amq.topic"),
                ..exchange::Delete::default()
            }),
            403,
            "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed",
        ),
        (
            Method::from(bind("q", "", "k")),
            403,
            "ACCESS_REFUSED - operation not permitted on the default exchange",
        ),
    ] {
        rig.send(1, method);
        rig.channel_error(1, code, expected);
        rig.open_channel(1);
    }
    rig.no_requests();
}

#[test]
fn nowait_is_answered_by_silence_or_an_error() {
    let mut rig = Rig::channel();
    rig.send(1, queue::Declare { nowait: true, ..declare("q") });
    let (token, request) = rig.asked();
    let Request::Declare(Declare::Queue(declaration)) = request else { panic!("{request:?}") };
    rig.reply_to(token, declared(declaration, 0, 0));
    rig.nothing_sent();
    rig.send(1, queue::Purge { nowait: true, ..queue::Purge::default() });
    rig.answer(|_| true, refused(Refusal::NotFound));
    rig.channel_error(1, 404, "NOT_FOUND - no queue 'q' in vhost '/'");
}

#[test]
fn binding_keys_mean_what_the_exchange_makes_of_them() {
    let mut rig = Rig::channel();
    for (kind, key, filter) in [
        ("direct", "a.*", Filter::literal(&model::render::amqp::parse(b"a.*").expect("a key"))),
        ("fanout", "ignored", Filter::everything(model::filter::Reach::All)),
        ("topic", "a.*.#", Filter::amqp(b"a.*.#").expect("a filter")),
    ] {
        rig.send(1, bind("q", kind, key));
        rig.answer(
            |request| matches!(request, Request::DescribeSpace(name) if name == kind),
            described(space(kind, kind)),
        );
        let (token, request) = rig.asked();
        let binding = bound(request);
        assert_eq!(binding.source.name(), Some(&*format!("exchange/{kind}")));
        assert_eq!(binding.filter, filter, "{kind}");
        assert_eq!(binding.headers, None);
        rig.reply_to(token, Reply::Done);
        rig.expect(1, queue::BindOk {});
    }
    // Known a moment ago: not asked again.
    rig.send(1, bind("q", "topic", "x"));
    rig.answer(|request| matches!(request, Request::Bind(_)), Reply::Done);
    rig.expect(1, queue::BindOk {});
}

#[test]
fn the_shared_space_is_amq_topic() {
    let mut rig = Rig::channel();
    rig.send(1, bind("q", "amq.topic", "factory.#"));
    let (token, request) = rig.asked();
    assert_eq!(bound(request).source, Space::SHARED);
    rig.reply_to(token, Reply::Done);
    rig.expect(1, queue::BindOk {});
    let bind = exchange::Bind {
        destination: text("amq.topic"),
        source: text("amq.fanout"),
        ..exchange::Bind::default()
    };
    rig.send(1, bind);
    let (token, request) = rig.asked();
    assert_eq!(bound(request).target, BindTarget::Space(Bytes::new()));
    rig.reply_to(token, Reply::Done);
    rig.expect(1, exchange::BindOk {});
}

#[test]
fn exchanges_are_bound_and_unbound() {
    let mut rig = Rig::channel();
    let bind = exchange::Bind {
        destination: text("to"),
        source: text("amq.direct"),
        routing_key: text("k"),
        ..exchange::Bind::default()
    };
    rig.send(1, bind);
    let (token, request) = rig.asked();
    let binding = bound(request);
    assert_eq!(binding.target, BindTarget::Space(Bytes::from("to")));
    rig.reply_to(token, Reply::Done);
    rig.expect(1, exchange::BindOk {});
    let unbind = exchange::Unbind {
        destination: text("to"),
        source: text("amq.direct"),
        routing_key: text("k"),
        ..exchange::Unbind::default()
    };
    rig.send(1, unbind);
    let (token, request) = rig.asked();
    assert!(matches!(&request, Request::Unbind(_)));
    assert_eq!(bound(request), binding, "the same one");
    rig.reply_to(token, Reply::Done);
    rig.expect(1, exchange::UnbindOk {});
    rig.send(
        1,
        exchange::Bind {
            destination: text("gone"),
            source: text("amq.direct"),
            ..exchange::Bind::default()
        },
    );
    rig.answer(|_| true, refused(Refusal::NotFound));
    rig.channel_error(1, 404, "NOT_FOUND - no exchange 'gone' in vhost '/'");
}

#[test]
fn header_bindings_carry_their_condition() {
    let mut rig = Rig::channel();
    let arguments = TableWriter::new()
        .with("x-match", Value::LongStr(b"any"))
        .with("run", Value::I8(1))
        .finish();
    rig.send(1, queue::Bind { arguments, ..bind("q", "amq.headers", "") });
    let (token, request) = rig.asked();
    let headers = bound(request).headers.expect("a condition");
    assert_eq!(headers.mode, HeaderMatchMode::Any);
    assert_eq!(headers.wanted.len(), 1);
    rig.reply_to(token, Reply::Done);
    rig.expect(1, queue::BindOk {});
    let arguments = TableWriter::new().with("x-match", Value::LongStr(b"zz")).finish();
    rig.send(1, queue::Bind { arguments, ..bind("q", "amq.headers", "") });
    rig.channel_error(
        1,
        406,
        "PRECONDITION_FAILED - Invalid x-match field value \"zz\"; expected all, any, all-with-x, or \
         any-with-x",
    );
}

#[test]
fn an_exchange_is_declared_with_its_kind() {
    let mut rig = Rig::channel();
    let declare = exchange::Declare {
        exchange: text("logs"),
        kind: text("topic"),
        internal: true,
        ..exchange::Declare::default()
    };
    rig.send(1, declare);
    let (token, request) = rig.asked();
    let Request::Declare(Declare::Space(declaration)) = request else { panic!("{request:?}") };
    assert_eq!((&declaration.name[..], &declaration.kind[..]), (&b"logs"[..], &b"topic"[..]));
    assert!(declaration.internal && !declaration.builtin);
    rig.reply_to(token, Reply::Declared(Declared::Space));
    rig.expect(1, exchange::DeclareOk {});
    let publish = basic::Publish { exchange: text("logs"), ..basic::Publish::default() };
    rig.send(1, publish);
    rig.channel_error(
        1,
        403,
        "ACCESS_REFUSED - cannot publish to internal exchange 'logs' in vhost '/'",
    );
}

#[test]
fn a_reply_for_a_channel_that_failed_meanwhile_goes_nowhere() {
    let mut rig = Rig::channel();
    rig.open_channel(2);
    // Channel 1 waits while a publish of its own is refused.
    let publish = basic::Publish {
        exchange: text("amq.fanout"),
        mandatory: true,
        ..basic::Publish::default()
    };
    rig.publish(publish, &amqp_codec::PropertyView::default(), b"x");
    let (publish_token, _) = rig.asked();
    rig.send(1, bind("q", "amq.topic", "k"));
    let (bind_token, _) = rig.asked();
    rig.reply_to(publish_token, refused(Refusal::NotFound));
    rig.channel_error(1, 404, "NOT_FOUND - no exchange 'amq.fanout' in vhost '/'");
    rig.reply_to(bind_token, Reply::Done);
    rig.nothing_sent();
    rig.send(2, channel::Flow { active: true });
    rig.expect(2, channel::FlowOk { active: true });
}

#[test]
fn a_consumer_whose_queue_is_gone_is_told_to_those_who_want_to_know() {
    for able in [true, false] {
        let names: &[&str] = if able { &["consumer_cancel_notify"] } else { &[] };
        let mut rig = Rig::open_with(0, rig::capable(names));
        rig.open_channel(1);
        let number = rig.consume("q", "c1", true);
        rig.notice(Notice::ConsumerGone(number));
        if able {
            rig.expect(1, basic::Cancel { consumer_tag: text("c1"), nowait: true });
            rig.send(1, basic::CancelOk { consumer_tag: text("c1") });
        }
        rig.nothing_sent();
        // The tag is free again.
        rig.consume("q", "c1", true);
    }
}

#[test]
fn codes_that_clients_compare_are_the_specifications() {
    assert_eq!(ReplyCode::NoRoute.number(), 312);
    assert_eq!(ReplyCode::ResourceLocked.number(), 405);
}
