//! Publishing, consuming, settling.

mod rig;

use std::sync::Arc;

use amqp_codec::{
    ContentHeader, Frame, Method, Properties, PropertyView, TableWriter, Value, basic, channel,
    confirm, queue,
};
use bytes::Bytes;
use model::fields::Origin;
use model::record::{Address, Assurance, Record, Space};
use protocol::{
    Delivery, Message, Notice, Publish, Pulled, QueueStatus, Refusal, Reply, Request, Settle,
    Settlement, Wait,
};
use rig::{
    Rig, capable, delivery, described, exchange, message, refused, routed, subject, tag, text,
};

const PLAIN: PropertyView<'_> = PropertyView {
    content_type: None,
    content_encoding: None,
    headers: None,
    delivery_mode: None,
    priority: None,
    correlation_id: None,
    reply_to: None,
    expiration: None,
    message_id: None,
    timestamp: None,
    kind: None,
    user_id: None,
    app_id: None,
    cluster_id: None,
};
const PERSISTENT: PropertyView<'_> = PropertyView { delivery_mode: Some(2), ..PLAIN };

fn to(exchange: &str, key: &str) -> basic::Publish {
    basic::Publish { exchange: text(exchange), routing_key: text(key), ..basic::Publish::default() }
}

fn publish(request: Request) -> Publish {
    let Request::Publish(publish) = request else { panic!("a publish, not {request:?}") };
    publish
}

fn settle(request: Request) -> Settle {
    let Request::Settle(settle) = request else { panic!("a settle, not {request:?}") };
    settle
}

#[test]
fn a_transient_message_is_told_and_a_persistent_one_waits_for_the_disk() {
    let mut rig = Rig::channel();
    rig.publish(to("", "q"), &PLAIN, b"x");
    let (token, request) = rig.request();
    assert_eq!(token, None);
    let transient = publish(request);
    assert_eq!(transient.to, Address::Queue(Bytes::from("q")));
    assert_eq!(transient.record.assurance, Assurance::AtMostOnce);
    assert_eq!(transient.wait, Wait::Routed);
    rig.publish(to("amq.topic", "factory.line1"), &PERSISTENT, b"y");
    let (_, request) = rig.asked();
    let persistent = publish(request);
    assert_eq!(persistent.to, subject(Space::SHARED, "factory.line1"));
    assert_eq!(persistent.record.assurance, Assurance::AtLeastOnce);
    assert_eq!(persistent.wait, Wait::Stored);
    assert_eq!(persistent.record.value.as_deref(), Some(&b"y"[..]));
    let native = persistent.record.properties.expect("some").native.expect("the block");
    assert_eq!((native.protocol, &native.block), (Origin::Amqp, PERSISTENT.encode().as_bytes()));
    rig.nothing_sent();
}

#[test]
fn a_body_in_many_frames_is_one_message() {
    let mut rig = Rig::channel();
    let body: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    rig.publish(to("", "q"), &PLAIN, &body);
    let request = publish(rig.told());
    assert_eq!(request.record.value.as_deref(), Some(&body[..]));
}

#[test]
fn confirms_are_numbered_from_one_and_may_come_in_any_order() {
    let mut rig = Rig::channel();
    rig.send(1, confirm::Select { nowait: false });
    rig.expect(1, confirm::SelectOk {});
    let tokens: Vec<_> = (0..3)
        .map(|_| {
            rig.publish(to("", "q"), &PERSISTENT, b"x");
            rig.asked().0
        })
        .collect();
    rig.reply_to(tokens[1], routed(1, 1));
    rig.expect(1, basic::Ack { delivery_tag: 2, multiple: false });
    rig.reply_to(tokens[0], refused(Refusal::StorageUnavailable));
    rig.expect(1, basic::Nack { delivery_tag: 1, multiple: false, requeue: false });
    rig.reply_to(tokens[2], routed(0, 0));
    rig.expect(1, basic::Ack { delivery_tag: 3, multiple: false });
}

#[test]
fn an_unroutable_mandatory_message_comes_back_before_its_confirm() {
    let mut rig = Rig::channel();
    rig.send(1, confirm::Select { nowait: true });
    rig.nothing_sent();
    let properties = PropertyView { message_id: Some(b"m"), ..PLAIN };
    rig.publish(basic::Publish { mandatory: true, ..to("amq.direct", "k") }, &properties, b"lost");
    rig.answer(|_| true, routed(0, 0));
    rig.expect(
        1,
        basic::Return {
            reply_code: 312,
            reply_text: text("NO_ROUTE"),
            exchange: text("amq.direct"),
            routing_key: text("k"),
        },
    );
    assert_eq!(rig.content(), (properties.encode(), b"lost".to_vec()));
    rig.expect(1, basic::Ack { delivery_tag: 1, multiple: false });
    rig.publish(basic::Publish { mandatory: true, ..to("amq.direct", "k") }, &properties, b"taken");
    rig.answer(|_| true, routed(1, 1));
    rig.expect(1, basic::Ack { delivery_tag: 2, multiple: false });
    rig.publish(basic::Publish { mandatory: true, ..to("", "nobody") }, &PLAIN, b"lost");
    rig.answer(|_| true, refused(Refusal::NotFound));
    assert!(matches!(rig.next(), Method::Basic(basic::Method::Return(_))));
}

#[test]
fn an_exchange_is_looked_up_once_in_a_while() {
    let mut rig = Rig::channel();
    rig.publish(to("logs", "a"), &PLAIN, b"1");
    assert!(rig.paused);
    rig.answer(
        |request| matches!(request, Request::DescribeSpace(name) if name == "logs"),
        described(exchange("logs", "fanout")),
    );
    assert_eq!(publish(rig.told()).to, subject(Space::named("exchange/logs"), "a"));
    rig.publish(to("logs", "b"), &PLAIN, b"2");
    assert_eq!(publish(rig.told()).to, subject(Space::named("exchange/logs"), "b"));
    rig.pass(std::time::Duration::from_secs(2));
    rig.publish(to("logs", "b"), &PLAIN, b"3");
    rig.answer(|request| matches!(request, Request::DescribeSpace(_)), refused(Refusal::NotFound));
    rig.channel_error(1, 404, "NOT_FOUND - no exchange 'logs' in vhost '/'");
    rig.no_requests();
}

#[test]
fn content_out_of_turn_ends_the_connection() {
    let header = ContentHeader { body_size: 1, properties: Properties::default() };
    let unexpected = |act: &dyn Fn(&mut Rig), why: &str| {
        let mut rig = Rig::channel();
        act(&mut rig);
        let expected = format!("UNEXPECTED_FRAME - {why}");
        rig.connection_error(505, &expected);
    };
    let header = Frame::Header { channel: 1, header };
    let body = Frame::Body { channel: 1, payload: Bytes::from("xy") };
    unexpected(&|rig| rig.frame(&body), "expected method frame, got non method frame instead");
    unexpected(&|rig| rig.frame(&header), "expected method frame, got non method frame instead");
    let no_header = "expected content header for class 60, got non content header frame instead";
    unexpected(
        &|rig| {
            rig.send(1, to("", "q"));
            rig.frame(&body);
        },
        no_header,
    );
    unexpected(
        &|rig| {
            rig.send(1, to("", "q"));
            rig.send(1, to("", "q"));
        },
        no_header,
    );
    let no_body = "expected content body, got non content body frame instead";
    for again in [header.clone(), Frame::Method { channel: 1, method: to("", "q").into() }] {
        unexpected(
            &|rig| {
                rig.send(1, to("", "q"));
                rig.frame(&header);
                rig.frame(&again);
            },
            no_body,
        );
    }
    unexpected(
        &|rig| {
            rig.send(1, to("", "q"));
            rig.frame(&header);
            rig.frame(&body);
        },
        "content body is larger than announced",
    );
}

#[test]
fn what_cannot_be_published_is_refused_before_its_body() {
    let too_large = ContentHeader { body_size: 1 << 40, properties: Properties::default() };
    let mut rig = Rig::channel();
    rig.send(1, to("", "q"));
    rig.frame(&Frame::Header { channel: 1, header: too_large });
    rig.channel_error(
        1,
        406,
        "PRECONDITION_FAILED - message size 1099511627776 is larger than configured max size 1048576",
    );
    rig.open_channel(1);
    let user = PropertyView { user_id: Some(b"other"), ..PLAIN };
    rig.publish(to("", "q"), &user, b"x");
    rig.channel_error(
        1,
        406,
        "PRECONDITION_FAILED - user_id property set to 'other' but authenticated user was 'guest'",
    );
    rig.open_channel(1);
    rig.send(1, to("amq.rabbitmq.trace", "q"));
    rig.channel_error(
        1,
        403,
        "ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'",
    );
    rig.open_channel(1);
    rig.send(1, basic::Publish { immediate: true, ..to("", "q") });
    rig.connection_error(540, "NOT_IMPLEMENTED - immediate=true");
}

#[test]
fn header_values_go_along_for_header_bindings() {
    let mut rig = Rig::channel();
    let headers = TableWriter::new().with("run", Value::I8(1)).finish();
    let view = PropertyView { headers: Some(headers.view()), ..PLAIN };
    rig.publish(to("amq.headers", ""), &view, b"x");
    assert_eq!(publish(rig.told()).attributes.len(), 1);
    rig.publish(to("", "q"), &view, b"x");
    assert!(publish(rig.told()).attributes.is_empty(), "the default exchange compares nothing");
}

#[test]
fn methods_that_look_at_queues_wait_for_the_publishes_before_them() {
    let mut rig = Rig::channel();
    rig.publish(to("", "q"), &PERSISTENT, b"x");
    let (token, _) = rig.asked();
    rig.send(1, basic::Get { queue: text("q"), no_ack: true, ..basic::Get::default() });
    rig.no_requests();
    assert!(rig.paused);
    rig.reply_to(token, routed(1, 1));
    rig.answer(|request| matches!(request, Request::Pull(_)), Reply::Pulled(None));
    rig.expect(1, basic::GetEmpty::default());
    assert!(!rig.paused);
}

#[test]
fn deliveries_are_numbered_and_acknowledged() {
    let mut rig = Rig::channel();
    let number = rig.consume("q", "c", false);
    let first = message("q", "one");
    let second = message("q", "two");
    let mut again = delivery(number, 12, &second);
    again.redelivered = true;
    rig.deliver(&[delivery(number, 11, &first), again]);
    rig.expect(
        1,
        basic::Deliver {
            consumer_tag: text("c"),
            delivery_tag: 1,
            redelivered: false,
            exchange: text(""),
            routing_key: text("q"),
        },
    );
    assert_eq!(rig.content().1, b"one");
    let Method::Basic(basic::Method::Deliver(deliver)) = rig.next() else { panic!("a delivery") };
    assert_eq!((deliver.delivery_tag, deliver.redelivered), (2, true));
    rig.content();
    rig.send(1, basic::Ack { delivery_tag: 2, multiple: true });
    let settled = settle(rig.told());
    assert_eq!((settled.tags, settled.how), (vec![tag(11), tag(12)], Settlement::Ack));
    rig.send(1, basic::Ack { delivery_tag: 2, multiple: false });
    rig.channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 2");
}

#[test]
fn nack_reject_and_recover_settle_as_they_say() {
    let mut rig = Rig::channel();
    let number = rig.consume("q", "c", false);
    let message = message("q", "x");
    let deliveries: Vec<Delivery> =
        (1..=8).map(|place| delivery(number, place, &message)).collect();
    rig.deliver(&deliveries);
    rig.sent.clear();
    rig.send(1, basic::Reject { delivery_tag: 2, requeue: true });
    let settled = settle(rig.told());
    assert_eq!((settled.tags, settled.how), (vec![tag(2)], Settlement::Requeue));
    rig.send(1, basic::Reject { delivery_tag: 1, requeue: false });
    assert_eq!(settle(rig.told()).how, Settlement::Reject);
    rig.send(1, basic::Nack { delivery_tag: 4, multiple: true, requeue: true });
    assert_eq!(settle(rig.told()).tags, [tag(3), tag(4)]);
    rig.send(1, basic::Recover { requeue: true });
    let settled = settle(rig.told());
    assert_eq!(settled.tags, [tag(5), tag(6), tag(7), tag(8)]);
    assert_eq!(settled.how, Settlement::Requeue);
    rig.expect(1, basic::RecoverOk {});
    rig.send(1, basic::Nack { delivery_tag: 0, multiple: true, requeue: true });
    rig.no_requests();
    rig.send(1, basic::Recover { requeue: false });
    rig.connection_error(540, "NOT_IMPLEMENTED - requeue=false");
}

#[test]
fn acknowledgements_in_one_read_are_one_request() {
    let mut rig = Rig::channel();
    let number = rig.consume("q", "c", false);
    let message = message("q", "x");
    let deliveries: Vec<Delivery> =
        (1..=3).map(|place| delivery(number, place, &message)).collect();
    rig.deliver(&deliveries);
    rig.sent.clear();
    let mut bytes = bytes::BytesMut::new();
    for delivery_tag in [3, 1, 2] {
        let method = basic::Ack { delivery_tag, multiple: false }.into();
        Frame::Method { channel: 1, method }.encode(&mut bytes);
    }
    rig.bytes(&bytes);
    assert_eq!(settle(rig.told()).tags, [tag(3), tag(1), tag(2)]);
    rig.no_requests();
}

#[test]
fn a_closed_channel_ends_its_consumers_and_then_gives_back() {
    let mut rig = Rig::channel();
    let number = rig.consume("q", "c", false);
    let message = message("q", "x");
    rig.deliver(&[delivery(number, 1, &message), delivery(number, 2, &message)]);
    rig.sent.clear();
    rig.send(1, channel::Close::default());
    assert!(matches!(rig.told(), Request::Cancel(cancelled) if cancelled == number));
    let settled = settle(rig.told());
    assert_eq!((settled.tags, settled.how), (vec![tag(1), tag(2)], Settlement::Requeue));
    rig.expect(1, channel::CloseOk {});
    rig.deliver(&[delivery(number, 3, &message)]);
    assert_eq!(settle(rig.told()).tags, [tag(3)], "on its way while the channel closed");
    rig.nothing_sent();
}

#[test]
fn a_cancelled_consumer_keeps_what_it_has() {
    let mut rig = Rig::channel();
    let number = rig.consume("q", "c", false);
    rig.deliver(&[delivery(number, 1, &message("q", "x"))]);
    rig.sent.clear();
    rig.send(1, basic::Cancel { consumer_tag: text("c"), nowait: false });
    rig.answer(|request| matches!(request, Request::Cancel(_)), Reply::Done);
    rig.expect(1, basic::CancelOk { consumer_tag: text("c") });
    rig.send(1, basic::Ack { delivery_tag: 1, multiple: false });
    assert_eq!(settle(rig.told()).tags, [tag(1)]);
    rig.send(1, basic::Cancel { consumer_tag: text("nobody"), nowait: false });
    rig.expect(1, basic::CancelOk { consumer_tag: text("nobody") });
}

#[test]
fn prefetch_is_a_window_of_the_consumer_or_of_the_channel() {
    let mut rig = Rig::channel();
    rig.send(1, basic::Qos { prefetch_size: 0, prefetch_count: 3, global: false });
    rig.expect(1, basic::QosOk {});
    rig.no_requests();
    rig.send(1, basic::Consume { queue: text("q"), consumer_tag: text("c"), ..Default::default() });
    let Request::Window { window: own, size: 3 } = rig.told() else { panic!("its own") };
    let Request::Window { window: shared, size: 100_000 } = rig.told() else { panic!("shared") };
    let (token, Request::Consume(consume)) = rig.asked() else { panic!("consume") };
    assert_eq!(consume.windows, [shared, own]);
    rig.reply_to(token, Reply::Subscribed);
    rig.next();
    rig.send(1, basic::Qos { prefetch_size: 0, prefetch_count: 7, global: true });
    rig.expect(1, basic::QosOk {});
    assert!(matches!(rig.told(), Request::Window { window, size: 7 } if window == shared));
    let no_ack = basic::Consume {
        queue: text("q"),
        consumer_tag: text("d"),
        no_ack: true,
        ..Default::default()
    };
    rig.send(1, no_ack);
    let (token, Request::Consume(consume)) = rig.asked() else { panic!("consume") };
    assert!(consume.windows.is_empty());
    rig.reply_to(token, Reply::Subscribed);
    rig.next();
    rig.send(1, basic::Qos { prefetch_size: 9, ..basic::Qos::default() });
    rig.connection_error(540, "NOT_IMPLEMENTED - prefetch_size!=0 (9)");
}

#[test]
fn consumer_tags_are_unique_and_made_up_when_empty() {
    let mut rig = Rig::channel();
    rig.send(1, basic::Consume { queue: text("q"), no_ack: true, ..basic::Consume::default() });
    rig.answer(|request| matches!(request, Request::Consume(_)), Reply::Subscribed);
    let Method::Basic(basic::Method::ConsumeOk(ok)) = rig.next() else { panic!("consume-ok") };
    assert!(ok.consumer_tag.to_text().starts_with("amq.ctag-"));
    let again = basic::Consume {
        queue: text("q"),
        consumer_tag: ok.consumer_tag.clone(),
        ..basic::Consume::default()
    };
    rig.send(1, again);
    let expected = format!("NOT_ALLOWED - attempt to reuse consumer tag '{}'", ok.consumer_tag);
    rig.connection_error(530, &expected);
}

#[test]
fn get_takes_a_message_and_tells_how_many_are_left() {
    let mut rig = Rig::channel();
    rig.send(1, basic::Get { queue: text("q"), ..basic::Get::default() });
    let pulled = Pulled { delivery: delivery(0, 5, &message("q", "x")), remaining: 4 };
    rig.answer(
        |request| matches!(request, Request::Pull(pull) if pull.queue == "q" && !pull.no_ack),
        Reply::Pulled(Some(Box::new(pulled))),
    );
    let expected = basic::GetOk {
        delivery_tag: 1,
        redelivered: false,
        exchange: text(""),
        routing_key: text("q"),
        message_count: 4,
    };
    rig.expect(1, expected);
    assert_eq!(rig.content().1, b"x");
    rig.send(1, basic::Nack { delivery_tag: 1, multiple: false, requeue: true });
    assert_eq!(settle(rig.told()).tags, [tag(5)]);
}

#[test]
fn a_large_body_is_delivered_in_frames_without_a_copy() {
    let mut rig = Rig::channel();
    let number = rig.consume("q", "c", true);
    let body: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let record = Record { value: Some(Bytes::from(body.clone())), ..Record::default() };
    let message = Arc::new(Message::new(Address::Queue(Bytes::from("q")), record, None));
    rig.deliver(&[Delivery { tag: None, ..delivery(number, 1, &message) }]);
    assert!(matches!(rig.next(), Method::Basic(basic::Method::Deliver(_))));
    assert_eq!(rig.sent.len(), 1 + 3, "a header and three bodies");
    assert_eq!(rig.content().1, body);
}

#[test]
fn a_message_of_another_protocol_arrives_with_the_fields_of_the_map() {
    let mut rig = Rig::channel();
    let number = rig.consume("q", "c", true);
    let record = Record {
        value: None,
        key: Some(Bytes::from("k")),
        assurance: Assurance::AtLeastOnce,
        ..Record::default()
    };
    let address = subject(Space::SHARED, "factory.line1");
    let message = Arc::new(Message::new(address, record, None));
    rig.deliver(&[Delivery { tag: None, ..delivery(number, 1, &message) }]);
    let Method::Basic(basic::Method::Deliver(deliver)) = rig.next() else { panic!("a delivery") };
    assert_eq!((deliver.exchange, deliver.routing_key), (text("amq.topic"), text("factory.line1")));
    let (properties, body) = rig.content();
    assert!(body.is_empty(), "null reads as empty");
    let view = properties.view();
    assert_eq!(view.delivery_mode, Some(2));
    assert_eq!(view.headers.expect("some").get("x-kafka-key"), Some(Value::LongStr(b"k")));
}

#[test]
fn direct_reply_to_is_an_address_of_the_channels_own() {
    let mut rig = Rig::channel();
    let view = PropertyView {
        reply_to: Some(b"amq.rabbitmq.reply-to"),
        correlation_id: Some(b"7"),
        ..PLAIN
    };
    rig.publish(to("", "rpc"), &view, b"too early");
    rig.channel_error(1, 406, "PRECONDITION_FAILED - fast reply consumer does not exist");
    rig.open_channel(1);
    let consume = basic::Consume {
        queue: text("amq.rabbitmq.reply-to"),
        consumer_tag: text("r"),
        no_ack: true,
        ..basic::Consume::default()
    };
    rig.send(1, consume.clone());
    let (token, request) = rig.asked();
    let Request::Subscribe(subscribe) = request else { panic!("{request:?}") };
    let address = subscribe.filter.as_literal().expect("one subject");
    assert!(address.is_inbox() && subscribe.space.is_shared() && !subscribe.durable);
    rig.reply_to(token, Reply::Subscribed);
    rig.expect(1, basic::ConsumeOk { consumer_tag: text("r") });
    rig.publish(to("", "rpc"), &view, b"question");
    let question = publish(rig.told());
    let properties = question.record.properties.expect("some");
    assert_eq!(properties.reply_to, Some(Address::shared(address.clone())));
    let block = Properties::from_stored(properties.native.expect("the block").block);
    let reply_to = block.view().reply_to.expect("rewritten").to_vec();
    assert_ne!(reply_to, b"amq.rabbitmq.reply-to");
    // Whoever answers publishes to the default exchange.
    let answer = to("", std::str::from_utf8(&reply_to).expect("text"));
    rig.publish(answer, &PropertyView { correlation_id: Some(b"7"), ..PLAIN }, b"answer");
    let answer = publish(rig.told());
    assert_eq!(answer.to, Address::shared(address));
    let message = Arc::new(Message::new(answer.to, answer.record, None));
    rig.deliver(&[Delivery { tag: None, ..delivery(subscribe.number, 1, &message) }]);
    let Method::Basic(basic::Method::Deliver(deliver)) = rig.next() else { panic!("a delivery") };
    assert_eq!((deliver.consumer_tag, deliver.exchange), (text("r"), text("")));
    assert_eq!(deliver.routing_key.as_bytes(), &reply_to[..]);
    rig.content();
    rig.send(1, basic::Consume { consumer_tag: text("s"), ..consume });
    rig.channel_error(1, 406, "PRECONDITION_FAILED - reply consumer already set");
    assert!(matches!(rig.told(), Request::Unsubscribe(number) if number == subscribe.number));
}

#[test]
fn publishers_that_want_to_know_are_told_of_pressure() {
    let mut rig = Rig::open_with(0, capable(&["connection.blocked"]));
    rig.open_channel(1);
    rig.notice(Notice::Pressure(true));
    rig.nothing_sent();
    rig.publish(to("", "q"), &PLAIN, b"x");
    assert!(matches!(rig.next(), Method::Connection(amqp_codec::connection::Method::Blocked(_))));
    rig.publish(to("", "q"), &PLAIN, b"x");
    rig.nothing_sent();
    rig.notice(Notice::Pressure(false));
    assert!(matches!(rig.next(), Method::Connection(amqp_codec::connection::Method::Unblocked(_))));
    let mut rig = Rig::channel();
    rig.publish(to("", "q"), &PLAIN, b"x");
    rig.notice(Notice::Pressure(true));
    rig.nothing_sent();
}

#[test]
fn answers_to_publishes_of_an_earlier_channel_are_not_taken_for_this_ones() {
    let mut rig = Rig::channel();
    rig.send(1, confirm::Select { nowait: true });
    rig.publish(to("", "q"), &PERSISTENT, b"x");
    let (token, _) = rig.asked();
    // It fails, so that the publish is still in flight when the number is used again.
    rig.send(1, basic::Ack { delivery_tag: 9, multiple: false });
    rig.channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 9");
    rig.open_channel(1);
    rig.send(1, confirm::Select { nowait: true });
    rig.reply_to(token, routed(1, 1));
    rig.nothing_sent();
}

#[test]
fn a_consumer_granted_to_a_channel_that_failed_meanwhile_is_cancelled() {
    let mut rig = Rig::channel();
    rig.publish(basic::Publish { mandatory: true, ..to("amq.fanout", "") }, &PLAIN, b"x");
    let (publish_token, _) = rig.asked();
    rig.send(1, basic::Consume { queue: text("q"), no_ack: true, ..basic::Consume::default() });
    let (consume_token, Request::Consume(consume)) = rig.asked() else { panic!("consume") };
    rig.reply_to(publish_token, refused(Refusal::NotFound));
    rig.channel_error(1, 404, "NOT_FOUND - no exchange 'amq.fanout' in vhost '/'");
    rig.reply_to(consume_token, Reply::Subscribed);
    assert!(matches!(rig.told(), Request::Cancel(number) if number == consume.number));
    rig.nothing_sent();
}

#[test]
fn passive_declares_see_what_was_published_before() {
    let mut rig = Rig::channel();
    rig.publish(to("", "q"), &PERSISTENT, b"x");
    let (token, _) = rig.asked();
    let passive = queue::Declare { queue: text("q"), passive: true, ..queue::Declare::default() };
    rig.send(1, passive);
    rig.no_requests();
    rig.reply_to(token, routed(1, 1));
    let declaration = protocol::QueueDeclaration {
        name: Bytes::from("q"),
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments: Bytes::new(),
        options: None,
    };
    rig.answer(
        |request| matches!(request, Request::DescribeQueue(_)),
        Reply::Queue(QueueStatus { declaration, ready: 1, consumers: 0 }),
    );
    rig.expect(1, queue::DeclareOk { queue: text("q"), message_count: 1, consumer_count: 0 });
}
