//! What a decoder does with peers that break the protocol or try to exhaust it.

use bytes::{Bytes, BytesMut};
use nats_codec::headers::Headers;
use nats_codec::{ClientDecoder, ClientOp, Limits, Malformed, ServerDecoder};

fn decode(bytes: &[u8]) -> Result<Option<ClientOp>, Malformed> {
    ClientDecoder::default().decode(&mut BytesMut::from(bytes), &Limits::default())
}

#[test]
fn the_greeting_of_another_protocol_is_refused_at_once() {
    let greetings: [&[u8]; 6] = [
        b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd",
        b"AMQP\x00\x00\x09\x01",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"\x00\x00\x00\x23\x00\x12",
        b"\r\n",
    ];
    for greeting in greetings {
        assert_eq!(decode(greeting), Err(Malformed::UnknownOperation), "{greeting:?}");
    }
}

#[test]
fn an_unfinished_verb_is_waited_for_and_a_wrong_one_is_not() {
    for start in ["", "P", "PU", "PUB", "PUB ", "hpu", "CONNECT {", "pub\ta", "PING\r", "-ERR '"] {
        assert_eq!(decode(start.as_bytes()), Ok(None), "{start:?}");
    }
    for start in ["X", "PX", "PUBX", "PUBLISH", "SUBS", "INFO {", "MSG a", "HM"] {
        assert_eq!(decode(start.as_bytes()), Err(Malformed::UnknownOperation), "{start:?}");
    }
}

#[test]
fn operations_of_the_other_side_are_unknown() {
    for line in ["INFO {}\r\n", "MSG a 1 0\r\n\r\n", "HMSG a 1 0 0\r\n\r\n"] {
        assert_eq!(decode(line.as_bytes()), Err(Malformed::UnknownOperation), "{line:?}");
    }
    for line in ["CONNECT {}\r\n", "PUB a 0\r\n\r\n", "SUB a 1\r\n", "UNSUB 1\r\n"] {
        let got = ServerDecoder::default()
            .decode(&mut BytesMut::from(line.as_bytes()), &Limits::default());
        assert_eq!(got, Err(Malformed::UnknownOperation), "{line:?}");
    }
}

#[test]
fn arguments_are_counted_and_numbers_are_numbers() {
    let lines = [
        "PUB\r\n",
        "PUB a\r\n",
        "PUB a b c 1\r\n",
        "PUB a b c d e f g\r\n",
        "PUB a -1\r\n",
        "PUB a x\r\n",
        "PUB a 99999999999999999999\r\n",
        "HPUB a 1\r\n",
        "HPUB a 5 4\r\n",
        "HPUB a x 4\r\n",
        "HPUB a b c 1 1\r\n",
        "SUB a\r\n",
        "SUB a b c d\r\n",
        "UNSUB\r\n",
        "UNSUB 1 2 3\r\n",
        "PING x\r\n",
        "PONG x\r\n",
        "SUB\r\n",
    ];
    for line in lines {
        assert_eq!(decode(line.as_bytes()), Err(Malformed::BadArguments), "{line:?}");
    }
    for line in ["CONNECT\r\n", "CONNECT x\r\n", "CONNECT []\r\n", "CONNECT {\"verbose\":1}\r\n"] {
        assert_eq!(decode(line.as_bytes()), Err(Malformed::BadJson), "{line:?}");
    }
}

#[test]
fn json_nested_without_end_is_refused_and_does_not_exhaust_the_stack() {
    let line = format!("CONNECT {{\"a\":{}\r\n", "[".repeat(4000));
    assert_eq!(decode(line.as_bytes()), Err(Malformed::BadJson));
}

#[test]
fn a_payload_above_the_limit_is_refused_before_a_byte_of_it_arrives() {
    let limits = Limits { payload_max: 10, ..Limits::default() };
    for line in ["PUB a 11\r\n", "HPUB a 5 11\r\n", "PUB a 999999999999999999\r\n"] {
        let got = ClientDecoder::default().decode(&mut BytesMut::from(line.as_bytes()), &limits);
        assert_eq!(got, Err(Malformed::PayloadTooLarge), "{line:?}");
    }
    let mut exact = BytesMut::from("PUB a 10\r\n0123456789\r\n");
    assert!(matches!(ClientDecoder::default().decode(&mut exact, &limits), Ok(Some(_))));
}

#[test]
fn a_control_line_is_bounded_with_and_without_its_end() {
    let exact = format!("SUB {} 1\r\n", "a".repeat(4094));
    assert!(matches!(decode(exact.as_bytes()), Ok(Some(ClientOp::Subscribe(_)))));
    let long = format!("SUB {} 1\r\n", "a".repeat(4095));
    assert_eq!(decode(long.as_bytes()), Err(Malformed::ControlLineTooLong));
    let endless = format!("SUB {}", "a".repeat(4200));
    assert_eq!(decode(endless.as_bytes()), Err(Malformed::ControlLineTooLong));
    let blanks = format!("PUB {}", " ".repeat(4200));
    assert_eq!(decode(blanks.as_bytes()), Err(Malformed::ControlLineTooLong));
}

#[test]
fn a_payload_must_end_where_it_said() {
    for bytes in ["PUB a 2\r\nhello\r\n", "PUB a 2\r\nhi\n", "PUB a 2\r\nhi\rX", "PUB a 0\r\nP"] {
        assert_eq!(decode(bytes.as_bytes()), Err(Malformed::UnterminatedPayload), "{bytes:?}");
    }
    assert_eq!(decode(b"PUB a 2\r\nhi\r"), Ok(None));
}

#[test]
fn a_message_that_comes_byte_by_byte_is_scanned_once() {
    // A megabyte in single bytes: quadratic work over it would not end within the test.
    let payload = vec![b'\n'; 1 << 20];
    let mut wire = b"PUB a 1048576\r\n".to_vec();
    wire.extend_from_slice(&payload);
    wire.extend_from_slice(b"\r\n");
    let (mut decoder, mut buffer) = (ClientDecoder::default(), BytesMut::new());
    let mut got = None;
    for byte in wire {
        assert_eq!(got, None);
        buffer.extend_from_slice(&[byte]);
        got = decoder.decode(&mut buffer, &Limits::default()).unwrap();
    }
    let Some(ClientOp::Publish(publish)) = got else { panic!("no message") };
    assert_eq!(publish.payload, payload);
}

#[test]
fn header_blocks_of_any_other_form_are_refused() {
    let blocks = [
        "",
        "NATS/1.0",
        "NATS/1.0\r\n",
        "NATS/1.1\r\n\r\n",
        "NATS/1.00\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "NATS/1.0\r\nkey\r\n\r\n",
        "NATS/1.0\r\n: v\r\n\r\n",
        "NATS/1.0\r\na b: v\r\n\r\n",
        "NATS/1.0 50\r\n\r\n",
        "NATS/1.0 x03\r\n\r\n",
        "NATS/1.0\r\na: b\r\n",
        "NATS/1.0\r\n\r\nmore",
        "NATS/1.0\r\n folded: v\r\n\r\n",
    ];
    for block in blocks {
        assert!(Headers::parse(&Bytes::from(block)).is_err(), "{block:?}");
    }
}
