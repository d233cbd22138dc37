//! Streams of both directions of the NATS protocol.
//!
//! Nothing panics, a stream that comes in two parts decodes to the same operations, and what was
//! decoded is decoded again from its own encoding.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use nats_codec::{
    ClientDecoder, ClientOp, Limits, Malformed, ServerDecoder, ServerOp, encode, headers, subject,
};

const LIMITS: Limits = Limits { control_line_max: 2048, payload_max: 4096 };

fuzz_target!(|data: &[u8]| {
    let whole = client(data, data.len());
    assert_eq!(whole, client(data, data.len() / 2), "parts decode like the whole");
    for op in &whole.0 {
        again(op);
    }
    let whole = server(data, data.len());
    assert_eq!(whole, server(data, data.len() / 2), "parts decode like the whole");
    for op in &whole.0 {
        if let ServerOp::Message(message) = op {
            let block = message.headers.as_deref().unwrap_or_default();
            let mut out = BytesMut::new();
            encode::message(
                &mut out,
                &message.subject,
                &message.sid,
                message.reply.as_deref(),
                block,
                &message.payload,
            );
            if message.headers.as_ref().is_none_or(|block| !block.is_empty()) {
                let decoded = ServerDecoder::default().decode(&mut out, &Limits::for_client());
                assert_eq!(decoded, Ok(Some(op.clone())));
            }
        }
    }
});

fn client(data: &[u8], cut: usize) -> (Vec<ClientOp>, bool) {
    let mut decoder = ClientDecoder::default();
    drain(data, cut, |buffer| decoder.decode(buffer, &LIMITS))
}

fn server(data: &[u8], cut: usize) -> (Vec<ServerOp>, bool) {
    let mut decoder = ServerDecoder::default();
    drain(data, cut, |buffer| decoder.decode(buffer, &LIMITS))
}

fn drain<Op>(
    data: &[u8],
    cut: usize,
    mut decode: impl FnMut(&mut BytesMut) -> Result<Option<Op>, Malformed>,
) -> (Vec<Op>, bool) {
    let (first, second) = data.split_at(cut);
    let (mut buffer, mut ops) = (BytesMut::new(), Vec::new());
    for part in [first, second] {
        buffer.extend_from_slice(part);
        loop {
            match decode(&mut buffer) {
                Ok(Some(op)) => ops.push(op),
                Ok(None) => break,
                Err(_) => return (ops, true),
            }
        }
    }
    (ops, false)
}

fn again(op: &ClientOp) {
    let mut out = BytesMut::new();
    match op {
        ClientOp::Publish(publish) => {
            let _ = subject::is_literal(&publish.subject);
            if let Some(block) = &publish.headers {
                let _ = headers::Headers::parse(block);
                if block.is_empty() {
                    return;
                }
            }
            let block = publish.headers.as_deref().unwrap_or_default();
            encode::publish(
                &mut out,
                &publish.subject,
                publish.reply.as_deref(),
                block,
                &publish.payload,
            );
        }
        ClientOp::Subscribe(subscribe) => {
            encode::subscribe(
                &mut out,
                &subscribe.subject,
                subscribe.queue.as_deref(),
                &subscribe.sid,
            );
        }
        ClientOp::Unsubscribe(unsubscribe) => {
            encode::unsubscribe(&mut out, &unsubscribe.sid, unsubscribe.max);
        }
        ClientOp::Connect(connect) => encode::connect(&mut out, connect),
        ClientOp::Ping | ClientOp::Pong | ClientOp::Ok | ClientOp::Err(_) => return,
    }
    let roomy = Limits { control_line_max: 1 << 16, payload_max: 1 << 16 };
    assert_eq!(ClientDecoder::default().decode(&mut out, &roomy), Ok(Some(op.clone())));
}
