//! MQTT: whatever the bytes, the decoder answers; what it takes, it can write, and takes again as
//! the same packet.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use mqtt_codec::{Limits, Version, decode, decode_connect};

fuzz_target!(|data: &[u8]| {
    let limits = Limits { packet_bytes_max: 1 << 16, ..Limits::default() };
    for version in Version::ALL {
        let mut buffer = BytesMut::from(data);
        while let Ok(Some(packet)) = decode(&mut buffer, version, &limits) {
            let mut written = BytesMut::new();
            packet.encode(version, &mut written).expect("no longer than it was");
            let again = decode(&mut written, version, &limits);
            assert_eq!(again, Ok(Some(packet)), "{version:?}");
            assert!(written.is_empty());
        }
    }
    let mut buffer = BytesMut::from(data);
    if let Ok(Some(connect)) = decode_connect(&mut buffer, &limits) {
        let mut written = BytesMut::new();
        connect.encode(&mut written).expect("no longer than it was");
        assert_eq!(decode_connect(&mut written, &limits), Ok(Some(connect)));
        let version = connect_version(data);
        while let Ok(Some(_)) = decode(&mut buffer, version, &limits) {}
    }
});

/// The version that the first packet names.
fn connect_version(data: &[u8]) -> Version {
    match mqtt_codec::connect::level_of(data) {
        Some(5) => Version::V5,
        Some(4) => Version::V311,
        Some(_) | None => Version::V31,
    }
}
