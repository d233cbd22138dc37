//! Bodies written by Kafka's own Java client are read and written back to the byte.

use bytes::Bytes;
use kafka_codec::wire::Writer;
use kafka_codec::{AnyRequest, AnyResponse, ApiKey, Limits, RequestHeader, response_frame};

fn unhex(hex: &str) -> Bytes {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("the file holds hex") as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

#[test]
fn what_the_java_client_writes_is_read_and_written_back() {
    let lines = include_str!("../testdata/kafka-clients-4.2.0.txt");
    let mut count = 0;
    for line in lines.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap();
        let key = ApiKey::from_number(word().parse().unwrap()).unwrap();
        let version: i16 = word().parse().unwrap();
        let is_request = word() == "request";
        let bytes = unhex(word());
        let mut writer = Writer::new(version, key.is_flexible(version));
        if is_request {
            let read = AnyRequest::decode(key, version, bytes.clone(), &Limits::default());
            read.unwrap().write(&mut writer);
        } else {
            let read = AnyResponse::decode(key, version, bytes.clone(), &Limits::default());
            read.unwrap().write(&mut writer);
        }
        assert_eq!(writer.into_bytes(), bytes, "{line}");
        count += 1;
    }
    assert!(count > 250, "only {count} lines");
}

/// The first request of librdkafka 2: ApiVersions v3 with its header v2.
#[test]
fn the_first_request_of_librdkafka_is_read() {
    let frame = b"\0\x12\0\x03\0\0\0\x01\0\x07rdkafka\0\x0blibrdkafka\x062.6.0\0";
    let split = RequestHeader::split(Bytes::from_static(frame)).unwrap();
    assert_eq!(split.header.client_id.as_deref(), Some("rdkafka"));
    let (api, body) = split.body.unwrap();
    let request = AnyRequest::decode(api, split.header.version, body, &Limits::default()).unwrap();
    let AnyRequest::ApiVersions(request) = request else { panic!("{request:?}") };
    assert_eq!(request.client_software_name, "librdkafka");
    assert_eq!(request.client_software_version, "2.6.0");
}

/// An extra byte after the correlation id made librdkafka ask for 34 GB.
#[test]
fn a_response_to_api_versions_has_the_oldest_header() {
    let response = kafka_codec::messages::ApiVersionsResponse::default();
    let frame: Vec<u8> = response_frame(5, 3, &response.into()).concat();
    assert_eq!(frame, b"\0\0\0\x0c\0\0\0\x05\0\0\x01\0\0\0\0\0");
}
