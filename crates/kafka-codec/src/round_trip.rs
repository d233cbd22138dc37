//! Every message in every version: what is written is read back, and no prefix of it makes trouble.

use bytes::Bytes;
use proptest::prelude::*;

use crate::messages::{AnyRequest, AnyResponse, ApiKey};
use crate::sample::Sampler;
use crate::wire::{Limits, Reader, Writer};

fn each_version(mut check: impl FnMut(ApiKey, i16)) {
    for api in ApiKey::ALL {
        let (first, last) = api.versions();
        for version in first..=last {
            check(*api, version);
        }
    }
}

fn written(api: ApiKey, version: i16, write: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::new(version, api.is_flexible(version));
    write(&mut writer);
    writer.into_bytes()
}

fn reader(api: ApiKey, version: i16, bytes: &Bytes) -> Reader {
    Reader::new(bytes.clone(), version, api.is_flexible(version), &Limits::default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_message_survives_a_round_trip_in_every_version(seed: u64) {
        each_version(|api, version| {
            let request = AnyRequest::sample(api, &mut Sampler::new(seed, version));
            let bytes = written(api, version, |writer| request.write(writer));
            let mut reader_of_request = reader(api, version, &bytes);
            let read = AnyRequest::read(api, &mut reader_of_request);
            assert_eq!(read.as_ref(), Ok(&request), "{api:?} request v{version}");
            assert_eq!(reader_of_request.remaining(), 0, "{api:?} request v{version}");

            let response = AnyResponse::sample(api, &mut Sampler::new(seed, version));
            let bytes = written(api, version, |writer| response.write(writer));
            let mut reader_of_response = reader(api, version, &bytes);
            let read = AnyResponse::read(api, &mut reader_of_response);
            assert_eq!(read.as_ref(), Ok(&response), "{api:?} response v{version}");
            assert_eq!(reader_of_response.remaining(), 0, "{api:?} response v{version}");
        });
    }

    #[test]
    fn a_cut_message_is_refused(seed: u64, cut: proptest::sample::Index) {
        each_version(|api, version| {
            let request = AnyRequest::sample(api, &mut Sampler::new(seed, version));
            let bytes = written(api, version, |writer| request.write(writer));
            if !bytes.is_empty() {
                let part = bytes.slice(..cut.index(bytes.len()));
                let read = AnyRequest::read(api, &mut reader(api, version, &part));
                assert!(read.is_err(), "{api:?} request v{version}");
            }
        });
    }

    #[test]
    fn bytes_from_nowhere_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let bytes = Bytes::from(bytes);
        each_version(|api, version| {
            let _ = AnyRequest::read(api, &mut reader(api, version, &bytes));
            let _ = AnyResponse::read(api, &mut reader(api, version, &bytes));
        });
    }

    #[test]
    fn one_changed_byte_does_no_harm(seed: u64, at: proptest::sample::Index, byte: u8) {
        each_version(|api, version| {
            let request = AnyRequest::sample(api, &mut Sampler::new(seed, version));
            let bytes = written(api, version, |writer| request.write(writer));
            if !bytes.is_empty() {
                let mut bytes = bytes.to_vec();
                let at = at.index(bytes.len());
                bytes[at] = byte;
                let _ = AnyRequest::read(api, &mut reader(api, version, &bytes.into()));
            }
        });
    }
}
