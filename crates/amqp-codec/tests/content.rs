//! Content: properties kept byte for byte, bodies split by `frame_max`, bytes of real clients.

use amqp_codec::send::{self, Delivery};
use amqp_codec::table::ArrayWriter;
use amqp_codec::{
    ContentHeader, Frame, Limits, Method, Properties, PropertyView, ShortStr, Table, TableWriter,
    Value, basic, connection, decode, queue,
};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

fn frames(mut bytes: BytesMut, frame_max: u32) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(frame) = decode(&mut bytes, &Limits { frame_max }).expect("valid") {
        frames.push(frame);
    }
    assert!(bytes.is_empty(), "nothing but whole frames");
    frames
}

fn hex(text: &str) -> BytesMut {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("digits");
            u8::from_str_radix(pair, 16).expect("two digits")
        })
        .collect()
}

#[derive(Clone, Debug)]
struct Owned {
    shorts: [Option<Vec<u8>>; 9],
    headers: Option<Vec<(Vec<u8>, i64)>>,
    mode: Option<u8>,
    priority: Option<u8>,
    timestamp: Option<u64>,
}

fn owned() -> impl Strategy<Value = Owned> {
    let short = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..=255));
    let shorts = (short(), short(), short(), short(), short(), short(), short(), short(), short());
    let header = (proptest::collection::vec(any::<u8>(), 0..=255), any::<i64>());
    let headers = proptest::option::of(proptest::collection::vec(header, 0..5));
    (shorts, headers, any::<Option<u8>>(), any::<Option<u8>>(), any::<Option<u64>>()).prop_map(
        |(shorts, headers, mode, priority, timestamp)| Owned {
            shorts: shorts.into(),
            headers,
            mode,
            priority,
            timestamp,
        },
    )
}

proptest! {
    #[test]
    fn properties_survive_encode_decode_and_view(owned in owned(), body_size in any::<u64>()) {
        let headers = owned.headers.as_ref().map(|entries| {
            let mut table = TableWriter::new();
            for (key, value) in entries {
                table.push(key, Value::I64(*value));
            }
            table.finish()
        });
        let short = |at: usize| owned.shorts[at].as_deref();
        let view = PropertyView {
            content_type: short(0),
            content_encoding: short(1),
            headers: headers.as_ref().map(Table::view),
            delivery_mode: owned.mode,
            priority: owned.priority,
            correlation_id: short(2),
            reply_to: short(3),
            expiration: short(4),
            message_id: short(5),
            timestamp: owned.timestamp,
            kind: short(6),
            user_id: short(7),
            app_id: short(8),
            cluster_id: None,
        };
        let properties = view.encode();
        prop_assert_eq!(properties.view(), view);
        let sent = Frame::Header { channel: 9, header: ContentHeader { body_size, properties } };
        let mut bytes = BytesMut::new();
        sent.encode(&mut bytes);
        prop_assert_eq!(frames(bytes, 131_072), vec![sent]);
    }

    #[test]
    fn a_delivery_is_what_its_frames_say(
        tag in proptest::collection::vec(any::<u8>(), 0..=255),
        key in proptest::collection::vec(any::<u8>(), 0..=255),
        delivery_tag in any::<u64>(),
        redelivered in any::<bool>(),
        body in proptest::collection::vec(any::<u8>(), 0..20_000),
        frame_max in 4096_u32..9000,
    ) {
        let properties = PropertyView { delivery_mode: Some(2), ..PropertyView::default() }.encode();
        let delivery = Delivery {
            consumer_tag: &tag, delivery_tag, redelivered, exchange: b"x", routing_key: &key,
        };
        let mut fast = BytesMut::new();
        send::put_deliver(&mut fast, 3, &delivery, &properties, &body, frame_max);
        let short = |bytes: &[u8]| ShortStr::new(bytes.to_vec()).expect("short");
        let method: Method = basic::Deliver {
            consumer_tag: short(&tag), delivery_tag, redelivered,
            exchange: short(b"x"), routing_key: short(&key),
        }.into();
        let mut slow = BytesMut::new();
        send::put_message(&mut slow, 3, &method, &properties, &body, frame_max);
        prop_assert_eq!(&fast, &slow);
        let mut read = frames(fast, frame_max - 8).into_iter();
        prop_assert_eq!(read.next(), Some(Frame::Method { channel: 3, method }));
        let header = ContentHeader { body_size: body.len() as u64, properties };
        prop_assert_eq!(read.next(), Some(Frame::Header { channel: 3, header }));
        let mut whole = Vec::new();
        for frame in read {
            let Frame::Body { channel: 3, payload } = frame else { panic!("a body") };
            prop_assert!(!payload.is_empty());
            whole.extend_from_slice(&payload);
        }
        prop_assert_eq!(whole, body);
    }
}

#[test]
fn an_empty_body_has_no_body_frame() {
    let mut bytes = BytesMut::new();
    send::put_content(&mut bytes, 1, &Properties::default(), b"", 4096);
    assert_eq!(frames(bytes, 4096).len(), 1);
}

#[test]
fn parts_of_a_body_are_slices_of_it() {
    let body = Bytes::from(vec![7; 10_000]);
    let parts: Vec<Bytes> = send::body_parts(&body, 4096).collect();
    assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [4088, 4088, 1824]);
    assert_eq!(parts[1].as_ptr(), body[4088..].as_ptr());
    assert_eq!(send::body_parts(&body, 0).count(), 1, "no limit");
    assert_eq!(send::body_parts(&Bytes::new(), 4096).count(), 0);
}

#[test]
fn bodies_are_read_without_a_copy() {
    let mut bytes = BytesMut::new();
    Frame::Body { channel: 1, payload: Bytes::from(vec![1; 500]) }.encode(&mut bytes);
    let place = bytes[7..].as_ptr();
    let Ok(Some(Frame::Body { payload, .. })) = decode(&mut bytes, &Limits::default()) else {
        panic!("a body")
    };
    assert_eq!(payload.as_ptr(), place);
}

/// What pika 1.4.4 sends after the protocol header.
#[test]
fn start_ok_of_pika_is_read() {
    let bytes =
        hex("01000000000095000a000b000000710770726f64756374530000001a50696b6120507974686f6e
        20436c69656e74204c6962726172790c6361706162696c697469657346000000260a62617369632e6e61636b7401
        16636f6e73756d65725f63616e63656c5f6e6f7469667974010776657273696f6e5300000005312e332e32
        05504c41494e0000000c00677565737400677565737405656e5f5553ce");
    let read = frames(bytes.clone(), 4096);
    let [
        frame @ Frame::Method {
            channel: 0,
            method: Method::Connection(connection::Method::StartOk(ok)),
        },
    ] = &read[..]
    else {
        panic!("start-ok: {read:?}")
    };
    assert_eq!(ok.mechanism, "PLAIN");
    assert_eq!(&ok.response.0[..], b"\0guest\0guest");
    assert_eq!(ok.locale, "en_US");
    let table = ok.client_properties.view();
    assert_eq!(table.get("product"), Some(Value::LongStr(b"Pika Python Client Library")));
    let Some(Value::Table(capabilities)) = table.get("capabilities") else { panic!("a table") };
    assert_eq!(capabilities.get("basic.nack"), Some(Value::Bool(true)));
    let mut again = BytesMut::new();
    frame.encode(&mut again);
    assert_eq!(again, bytes);
}

/// pika 1.4.4's bytes for the same declaration.
#[test]
fn queue_declare_is_these_bytes() {
    let bytes = hex("0100010000001f0032000a000004746573740a
        0000000f09782d65787069726573490000ea60ce");
    let arguments = TableWriter::new().with("x-expires", Value::I32(60_000)).finish();
    let method: Method = queue::Declare {
        queue: ShortStr::from_static("test"),
        durable: true,
        auto_delete: true,
        arguments,
        ..queue::Declare::default()
    }
    .into();
    let frame = Frame::Method { channel: 1, method };
    let mut written = BytesMut::new();
    frame.encode(&mut written);
    assert_eq!(written, bytes);
    assert_eq!(frames(bytes, 4096), [frame]);
}

/// pika 1.4.4's bytes for a persistent, mandatory message with headers and a timestamp.
#[test]
fn a_persistent_publish_is_these_bytes() {
    let bytes = hex("0100010000000e003c002800000005717565756501ce
        02000100000035003c00000000000000000002b0400a746578742f706c61696e0000000f
        01614900000001016253000000017802000000006553f100ce030001000000026869ce");
    let read = frames(bytes.clone(), 4096);
    let Frame::Method { method: Method::Basic(basic::Method::Publish(publish)), .. } = &read[0]
    else {
        panic!("basic.publish")
    };
    assert!(publish.mandatory && !publish.immediate);
    assert_eq!(publish.routing_key, "queue");
    let Frame::Header { header, .. } = &read[1] else { panic!("a header") };
    assert_eq!(header.body_size, 2);
    let headers = TableWriter::new().with("a", Value::I32(1)).with("b", Value::LongStr(b"x"));
    let view = PropertyView {
        content_type: Some(b"text/plain"),
        headers: Some(headers.view()),
        delivery_mode: Some(2),
        timestamp: Some(1_700_000_000),
        ..PropertyView::default()
    };
    assert_eq!(header.properties, view.encode());
    let method = Method::Basic(basic::Method::Publish(publish.clone()));
    let mut written = BytesMut::new();
    send::put_message(&mut written, 1, &method, &view.encode(), b"hi", 4096);
    assert_eq!(written, bytes);
}

#[test]
fn every_type_of_value_survives() {
    let mut items = ArrayWriter::new();
    items.push(Value::LongStr(b"in an array"));
    let nested = TableWriter::new().with("k", Value::Timestamp(1)).finish();
    let values = [
        Value::Bool(true),
        Value::I8(-1),
        Value::U8(255),
        Value::I16(-300),
        Value::U16(65_000),
        Value::I32(-70_000),
        Value::U32(4_000_000_000),
        Value::I64(i64::MIN),
        Value::F32(1.5),
        Value::F64(-2.5),
        Value::Decimal { scale: 2, value: 314 },
        Value::LongStr(b"text"),
        Value::Blob(&[0, 255]),
        Value::Array(items.view()),
        Value::Timestamp(u64::MAX),
        Value::Table(nested.view()),
        Value::Void,
    ];
    let mut table = TableWriter::new();
    for value in values {
        table.push(value.type_name().as_bytes(), value);
    }
    let table = Table::checked(table.finish().as_bytes().clone()).expect("valid");
    let read: Vec<Value<'_>> = table.view().iter().map(|(_, value)| value).collect();
    assert_eq!(read, values);
}
