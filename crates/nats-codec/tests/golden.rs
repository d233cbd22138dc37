//! Bytes of real peers, and the bytes that ours must equal.

use bytes::{Bytes, BytesMut};
use nats_codec::headers::{HeaderBuilder, Headers, Inexpressible, no_responders};
use nats_codec::{
    ClientDecoder, ClientOp, Connect, Limits, ServerDecoder, ServerOp, Subscribe, Unsubscribe,
    encode,
};

fn client_ops(bytes: &[u8]) -> Vec<ClientOp> {
    let (mut decoder, mut buffer) = (ClientDecoder::default(), BytesMut::from(bytes));
    let mut ops = Vec::new();
    while let Some(op) = decoder.decode(&mut buffer, &Limits::default()).expect("well formed") {
        ops.push(op);
    }
    assert!(buffer.is_empty(), "left over: {buffer:?}");
    ops
}

fn server_ops(bytes: &[u8]) -> Vec<ServerOp> {
    let (mut decoder, mut buffer) = (ServerDecoder::default(), BytesMut::from(bytes));
    let mut ops = Vec::new();
    while let Some(op) = decoder.decode(&mut buffer, &Limits::for_client()).expect("well formed") {
        ops.push(op);
    }
    assert!(buffer.is_empty(), "left over: {buffer:?}");
    ops
}

#[test]
fn the_info_of_a_real_server_is_read_and_written_byte_for_byte() {
    let line = include_str!("../testdata/info.txt").trim_end();
    let wire = format!("{line} \r\n");
    let ops = server_ops(wire.as_bytes());
    let [ServerOp::Info(info)] = &ops[..] else { panic!("{ops:?}") };
    assert_eq!((info.port, info.max_payload, info.proto), (14222, 1_048_576, 1));
    assert!(info.connect_info && info.headers && !info.jetstream);
    let mut out = BytesMut::new();
    encode::info(&mut out, info);
    assert_eq!(out, wire);
}

#[test]
fn the_answer_without_responders_equals_that_of_a_real_server() {
    let golden = include_bytes!("../testdata/no_responders.bin");
    let block = no_responders(b"foo");
    assert_eq!(block.len(), 32 + 3);
    let mut out = BytesMut::new();
    encode::message(&mut out, b"r", b"1", None, &block, b"");
    assert_eq!(&out[..], golden);

    let ops = server_ops(golden);
    let [ServerOp::Message(message)] = &ops[..] else { panic!("{ops:?}") };
    let headers =
        Headers::parse(message.headers.as_ref().expect("well formed")).expect("well formed");
    assert_eq!(headers.status, Some(503));
    assert_eq!(headers.get("Nats-Subject").expect("well formed"), "foo");
}

#[test]
fn an_empty_connect_means_what_the_server_assumes() {
    let ops = client_ops(b"CONNECT {}\r\nconnect {\"verbose\":false,\"user\":null,\"x\":[1]}\n");
    let [ClientOp::Connect(first), ClientOp::Connect(second)] = &ops[..] else { panic!("{ops:?}") };
    assert!(first.verbose && first.pedantic && first.echo);
    assert!(!first.headers && !first.no_responders);
    assert_eq!(**first, Connect::default());
    assert!(!second.verbose && second.pedantic && second.text.user.is_none());
}

#[test]
fn verbs_ignore_case_and_blanks_may_be_tabs() {
    let ops =
        client_ops(b"pub\ta.b \t 2\nhi\r\nSub x\tq 9\r\nunSUB 9  4 \r\nping\r\nPong\n+ok\r\n");
    let [ClientOp::Publish(publish), rest @ ..] = &ops[..] else { panic!("{ops:?}") };
    assert_eq!((&publish.subject[..], &publish.payload[..]), (&b"a.b"[..], &b"hi"[..]));
    let text = Bytes::from_static;
    assert_eq!(
        rest,
        [
            ClientOp::Subscribe(Subscribe {
                subject: text(b"x"),
                queue: Some(text(b"q")),
                sid: text(b"9")
            }),
            ClientOp::Unsubscribe(Unsubscribe { sid: text(b"9"), max: Some(4) }),
            ClientOp::Ping,
            ClientOp::Pong,
            ClientOp::Ok,
        ]
    );
}

#[test]
fn a_payload_may_hold_anything_that_looks_like_protocol() {
    let ops = client_ops(b"PUB a 6\r\nPING\r\n\r\nPING\r\n");
    let [ClientOp::Publish(publish), ClientOp::Ping] = &ops[..] else { panic!("{ops:?}") };
    assert_eq!(&publish.payload[..], b"PING\r\n");
}

#[test]
fn a_slice_of_the_read_buffer_is_not_copied() {
    let mut buffer = BytesMut::from(&b"PUB subject reply 7\r\npayload\r\n"[..]);
    let range = buffer.as_ptr_range();
    let op = ClientDecoder::default().decode(&mut buffer, &Limits::default()).expect("well formed");
    let Some(ClientOp::Publish(publish)) = op else { panic!("{op:?}") };
    for part in [&publish.subject, publish.reply.as_ref().expect("well formed"), &publish.payload] {
        assert!(range.contains(&part.as_ptr()));
    }
}

#[test]
fn errors_are_read_without_their_quotes() {
    let ops = server_ops(b"-ERR 'Stale Connection'\r\n-err plain\n");
    let text = Bytes::from_static;
    assert_eq!(ops, [ServerOp::Err(text(b"Stale Connection")), ServerOp::Err(text(b"plain"))]);
    let mut out = BytesMut::new();
    encode::err(&mut out, "two\r\nlines");
    assert_eq!(&out[..], b"-ERR 'twolines'\r\n");
}

#[test]
fn header_keys_keep_case_and_repeats_and_values_lose_only_outer_blanks() {
    let block = Bytes::from_static(
        b"NATS/1.0 100 Idle Heartbeat\r\nkey:a:b\r\nKEY:   c d \r\nkey: \r\n\r\n",
    );
    let headers = Headers::parse(&block).expect("well formed");
    assert_eq!(headers.status, Some(100));
    assert_eq!(&headers.description[..], b"Idle Heartbeat");
    let fields: Vec<(&[u8], &[u8])> =
        headers.fields.iter().map(|(key, value)| (&key[..], &value[..])).collect();
    assert_eq!(fields, [(&b"key"[..], &b"a:b"[..]), (b"KEY", b"c d"), (b"key", b"")]);
    assert_eq!(headers.get("KEY").expect("well formed"), "c d");
    assert!(headers.get("Key").is_none());
}

#[test]
fn a_field_that_would_break_the_block_is_refused() {
    let mut builder = HeaderBuilder::new();
    assert!(builder.is_empty());
    for (key, value) in [("", "v"), ("a b", "v"), ("a:b", "v"), ("a", "x\r\ny: z"), ("a\n", "v")] {
        assert_eq!(builder.field(key.as_bytes(), value.as_bytes()), Err(Inexpressible));
    }
    builder.field(b"a", b"1").expect("well formed");
    assert_eq!(&builder.finish()[..], b"NATS/1.0\r\na: 1\r\n\r\n");
    let block = HeaderBuilder::with_status(408, "Request\r\nTimeout").finish();
    assert_eq!(&block[..], b"NATS/1.0 408 RequestTimeout\r\n\r\n");
}
