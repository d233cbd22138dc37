//! What is encoded is decoded, however the bytes are cut; what is random never panics.

use bytes::{Bytes, BytesMut};
use nats_codec::headers::{HeaderBuilder, Headers};
use nats_codec::{
    ClientDecoder, ClientOp, Limits, Malformed, Message, Publish, ServerDecoder, ServerOp,
    Subscribe, Unsubscribe, encode,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn token() -> impl Strategy<Value = Bytes> {
    vec(prop_oneof![0x21_u8..=0x7e, 0x80_u8..=0xff], 1..20).prop_map(Bytes::from)
}

fn body() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn header_block() -> impl Strategy<Value = Bytes> {
    vec(("[!-9;-~]{1,10}", "[ -~]{0,20}"), 0..4).prop_map(|fields| {
        let mut builder = HeaderBuilder::new();
        for (key, value) in fields {
            builder.field(key.as_bytes(), value.as_bytes()).expect("well formed");
        }
        builder.finish()
    })
}

fn client_op() -> impl Strategy<Value = ClientOp> {
    prop_oneof![
        (token(), option::of(token()), option::of(header_block()), body()).prop_map(
            |(subject, reply, headers, payload)| {
                ClientOp::Publish(Publish { subject, reply, headers, payload })
            }
        ),
        (token(), option::of(token()), token()).prop_map(|(subject, queue, sid)| {
            ClientOp::Subscribe(Subscribe { subject, queue, sid })
        }),
        (token(), option::of(0_u64..1_000_000))
            .prop_map(|(sid, max)| ClientOp::Unsubscribe(Unsubscribe { sid, max })),
        Just(ClientOp::Ping),
        Just(ClientOp::Pong),
    ]
}

fn server_op() -> impl Strategy<Value = ServerOp> {
    prop_oneof![
        (token(), token(), option::of(token()), option::of(header_block()), body()).prop_map(
            |(subject, sid, reply, headers, payload)| {
                ServerOp::Message(Message { subject, sid, reply, headers, payload })
            }
        ),
        Just(ServerOp::Ping),
        Just(ServerOp::Pong),
        Just(ServerOp::Ok),
    ]
}

fn write_client(out: &mut BytesMut, op: &ClientOp) {
    match op {
        ClientOp::Publish(op) => {
            let headers = op.headers.as_deref().unwrap_or_default();
            encode::publish(out, &op.subject, op.reply.as_deref(), headers, &op.payload);
        }
        ClientOp::Subscribe(op) => {
            encode::subscribe(out, &op.subject, op.queue.as_deref(), &op.sid);
        }
        ClientOp::Unsubscribe(op) => encode::unsubscribe(out, &op.sid, op.max),
        ClientOp::Ping => encode::ping(out),
        ClientOp::Pong => encode::pong(out),
        ClientOp::Connect(op) => encode::connect(out, op),
        ClientOp::Ok => encode::ok(out),
        ClientOp::Err(text) => encode::err(out, &String::from_utf8_lossy(text)),
    }
}

fn write_server(out: &mut BytesMut, op: &ServerOp) {
    match op {
        ServerOp::Message(op) => {
            let headers = op.headers.as_deref().unwrap_or_default();
            let before = out.len();
            encode::message(out, &op.subject, &op.sid, op.reply.as_deref(), headers, &op.payload);
            let body = headers.len() + op.payload.len();
            let most = encode::message_len_max(&op.subject, &op.sid, op.reply.as_deref(), body);
            assert!(out.len() - before <= most);
        }
        ServerOp::Info(op) => encode::info(out, op),
        ServerOp::Ping => encode::ping(out),
        ServerOp::Pong => encode::pong(out),
        ServerOp::Ok => encode::ok(out),
        ServerOp::Err(text) => encode::err(out, &String::from_utf8_lossy(text)),
    }
}

/// Feeds `wire` in pieces that end at `cuts` and returns what comes out.
fn feed<T>(
    wire: &[u8],
    cuts: &[usize],
    mut decode: impl FnMut(&mut BytesMut) -> Result<Option<T>, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (wire.len() + 1)).collect();
    cuts.push(wire.len());
    cuts.sort_unstable();
    let (mut buffer, mut ops, mut from) = (BytesMut::new(), Vec::new(), 0);
    for cut in cuts {
        buffer.extend_from_slice(&wire[from..cut]);
        from = cut;
        while let Some(op) = decode(&mut buffer)? {
            ops.push(op);
        }
    }
    Ok(ops)
}

proptest! {
    #[test]
    fn client_operations_survive_any_cut(
        ops in vec(client_op(), 0..8),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let mut wire = BytesMut::new();
        for op in &ops {
            write_client(&mut wire, op);
        }
        let mut decoder = ClientDecoder::default();
        let got = feed(&wire, &cuts, |buffer| decoder.decode(buffer, &Limits::default()));
        prop_assert_eq!(got.expect("well formed"), ops);
    }

    #[test]
    fn server_operations_survive_any_cut(
        ops in vec(server_op(), 0..8),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let mut wire = BytesMut::new();
        for op in &ops {
            write_server(&mut wire, op);
        }
        let mut decoder = ServerDecoder::default();
        let got = feed(&wire, &cuts, |buffer| decoder.decode(buffer, &Limits::default()));
        prop_assert_eq!(got.expect("well formed"), ops);
    }

    #[test]
    fn random_bytes_never_panic_and_cuts_change_nothing(
        start in prop_oneof![
            Just("PUB "), Just("HPUB a 3 5\r\n"), Just("SUB "), Just("CONNECT {"), Just("UNSUB "), Just("")
        ],
        noise in vec(prop_oneof![any::<u8>(), Just(b' '), Just(b'\r'), Just(b'\n'), Just(b'1')], 0..60),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let mut wire = start.as_bytes().to_vec();
        wire.extend_from_slice(&noise);
        let mut whole = ClientDecoder::default();
        let mut pieces = ClientDecoder::default();
        let at_once = feed(&wire, &[], |buffer| whole.decode(buffer, &Limits::default()));
        let cut = feed(&wire, &cuts, |buffer| pieces.decode(buffer, &Limits::default()));
        // A cut may make an error visible earlier; it never turns one into success or back.
        prop_assert_eq!(at_once.is_ok(), cut.is_ok());
        if let (Ok(at_once), Ok(cut)) = (at_once, cut) {
            prop_assert_eq!(at_once, cut);
        }
        let _ = Headers::parse(&Bytes::from(noise));
    }

    #[test]
    fn header_fields_come_back_as_they_were_built(
        fields in vec(("[!-9;-~]{1,10}", "[!-~]{0,20}"), 0..6),
    ) {
        let mut builder = HeaderBuilder::new();
        for (key, value) in &fields {
            builder.field(key.as_bytes(), value.as_bytes()).expect("well formed");
        }
        let headers = Headers::parse(&builder.finish()).expect("well formed");
        let got: Vec<(String, String)> = headers
            .fields
            .iter()
            .map(|(key, value)| {
                (String::from_utf8_lossy(key).into_owned(), String::from_utf8_lossy(value).into_owned())
            })
            .collect();
        prop_assert_eq!(got, fields);
    }
}
