//! Streams of AMQP 0-9-1 frames, with or without the header that a client sends first.
//!
//! Nothing panics, a stream that comes in two parts decodes to the same frames, and what was
//! decoded is decoded again from its own encoding.

#![no_main]

use amqp_codec::{Frame, Limits, TableRef, TableWriter, Value, decode, decode_hello};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut buffer = BytesMut::from(data);
    let _ = decode_hello(&mut buffer);
    let limits = Limits { frame_max: 8192 };
    let whole = stream(&buffer, buffer.len(), &limits);
    assert_eq!(whole, stream(&buffer, buffer.len() / 2, &limits), "parts decode like the whole");
    for frame in &whole.0 {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        let roomy = Limits { frame_max: 1 << 20 };
        assert_eq!(decode(&mut out, &roomy), Ok(Some(frame.clone())));
        assert!(out.is_empty(), "nothing is left over");
        if let Frame::Header { header, .. } = frame {
            let view = header.properties.view();
            assert_eq!(view.encode().view(), view, "a view says all that the block says");
            walk(view.headers.unwrap_or_default());
        }
    }
});

/// A table that was taken in can be walked to its end: an entry is never lost on the way.
fn walk(table: TableRef<'_>) {
    let mut again = TableWriter::new();
    for (key, value) in table {
        again.push(key, value);
        inside(value);
    }
    assert_eq!(again.view().as_bytes().len(), table.as_bytes().len());
}

fn inside(value: Value<'_>) {
    if let Value::Table(table) = value {
        walk(table);
    } else if let Value::Array(array) = value {
        array.iter().for_each(inside);
    }
}

fn stream(data: &[u8], cut: usize, limits: &Limits) -> (Vec<Frame>, bool) {
    let (first, second) = data.split_at(cut);
    let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
    for part in [first, second] {
        buffer.extend_from_slice(part);
        loop {
            match decode(&mut buffer, limits) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}
