//! Time per PUBLISH, in and out: `cargo bench -p mqtt-codec`.
#![expect(clippy::print_stdout, reason = "the result of a bench is what it prints")]

use std::hint::black_box;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use mqtt_codec::{Limits, Packet, PublishParts, Version, decode};

const PACKETS: usize = 1_000;
const ROUNDS: usize = 500;

fn stream(version: Version, properties: &[u8]) -> Bytes {
    let mut stream = BytesMut::new();
    let mut parts = PublishParts::new(b"factory/line1/temp", 0);
    parts.encoded_properties = properties;
    for _ in 0..PACKETS {
        parts.encode(version, &[b'x'; 64], &mut stream).expect("it fits");
    }
    stream.freeze()
}

fn decode_ns(name: &str, version: Version, properties: &[u8]) {
    let limits = Limits::default();
    let stream = stream(version, properties);
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let mut buffer = BytesMut::from(&stream[..]);
        let start = Instant::now();
        while let Some(packet) = decode(&mut buffer, version, &limits).expect("valid") {
            let Packet::Publish(publish) = packet else { continue };
            black_box(publish);
        }
        best = best.min(start.elapsed().as_nanos() as f64 / PACKETS as f64);
    }
    println!("decode {name}: {best:.1} ns");
}

fn encode_ns(name: &str, version: Version) {
    let payload = [b'x'; 64];
    let mut best = f64::MAX;
    let mut out = BytesMut::with_capacity(256 * PACKETS);
    for _ in 0..ROUNDS {
        out.clear();
        let start = Instant::now();
        for _ in 0..PACKETS {
            let parts = PublishParts::new(black_box(b"factory/line1/temp"), 0);
            parts.encode(version, black_box(&payload), &mut out).expect("it fits");
        }
        best = best.min(start.elapsed().as_nanos() as f64 / PACKETS as f64);
    }
    println!("encode {name}: {best:.1} ns");
}

fn main() {
    decode_ns("3.1.1, QoS 0, 64 B", Version::V311, &[]);
    decode_ns("5.0, QoS 0, 64 B", Version::V5, &[]);
    decode_ns(
        "5.0, QoS 0, 64 B, expiry and one pair",
        Version::V5,
        b"\x02\0\0\0\x09\x26\0\x01k\0\x01v",
    );
    encode_ns("3.1.1, QoS 0, 64 B", Version::V311);
    encode_ns("5.0, QoS 0, 64 B", Version::V5);
}
