//! Streams of Kafka requests, and each body as a response too; and the bytes as a bare body, of
//! which the first two say the API and the version.
//!
//! Nothing panics, no length allocates before it is checked (the memory limit of the fuzzer), and
//! what was decoded is decoded again from its own encoding.

#![no_main]

use bytes::{Bytes, BytesMut};
use kafka_codec::wire::{Reader, Writer};
use kafka_codec::{AnyRequest, AnyResponse, ApiKey, Limits, RequestHeader, frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(bytes)) = frame::decode(&mut buffer, &limits) {
        let Ok(split) = RequestHeader::split(bytes) else { continue };
        let Some((api, body)) = split.body else { continue };
        let version = split.header.version;
        request(api, version, body.clone(), &limits);
        response(api, version, body, &limits);
    }
    if let [api, version, body @ ..] = data {
        let api = ApiKey::ALL[usize::from(*api) % ApiKey::ALL.len()];
        let (first, last) = api.versions();
        let version = first + i16::from(*version) % (last - first + 1);
        let body = Bytes::copy_from_slice(body);
        request(api, version, body.clone(), &limits);
        response(api, version, body, &limits);
    }
});

fn request(api: ApiKey, version: i16, body: Bytes, limits: &Limits) {
    let flexible = api.is_flexible(version);
    let Ok(request) = AnyRequest::read(api, &mut Reader::new(body, version, flexible, limits))
    else {
        return;
    };
    let mut writer = Writer::new(version, flexible);
    request.write(&mut writer);
    let bytes = writer.into_bytes();
    let again = AnyRequest::read(api, &mut Reader::new(bytes, version, flexible, limits));
    // By their text: a NaN is not equal to itself.
    assert_eq!(format!("{again:?}"), format!("{:?}", Ok::<_, ()>(request)));
}

fn response(api: ApiKey, version: i16, body: Bytes, limits: &Limits) {
    let flexible = api.is_flexible(version);
    let Ok(response) = AnyResponse::read(api, &mut Reader::new(body, version, flexible, limits))
    else {
        return;
    };
    let mut writer = Writer::new(version, flexible);
    response.write(&mut writer);
    let bytes = writer.into_bytes();
    let again = AnyResponse::read(api, &mut Reader::new(bytes, version, flexible, limits));
    assert_eq!(format!("{again:?}"), format!("{:?}", Ok::<_, ()>(response)));
}
