//! Batches read back as built, and nothing that a client may send is believed unchecked.

use proptest::prelude::*;

use super::*;
use crate::compression;

fn tail(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&[u8], Option<&[u8]>)]) -> Bytes {
    let mut out = BytesMut::new();
    let mut put = |bytes: Option<&[u8]>| match bytes {
        None => put_varint(&mut out, -1),
        Some(bytes) => {
            put_varint(&mut out, bytes.len() as i32);
            out.extend_from_slice(bytes);
        }
    };
    put(key);
    put(value);
    put_varint(&mut out, headers.len() as i32);
    for (name, value) in headers {
        for bytes in [Some(*name), *value] {
            match bytes {
                None => put_varint(&mut out, -1),
                Some(bytes) => {
                    put_varint(&mut out, bytes.len() as i32);
                    out.extend_from_slice(bytes);
                }
            }
        }
    }
    out.freeze()
}

/// A batch as a producer builds it, with some fields changed.
fn client(codec: Codec, values: &[&[u8]], change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let records = values.iter().enumerate();
    let plain = build(
        records.map(|(n, value)| (n as u64, 100 + n as i64, tail(None, Some(value), &[]))),
        false,
    );
    let body = compression::encode(codec, &plain[HEADER_BYTES..]).expect("memory");
    let mut bytes = [&plain[..HEADER_BYTES], &body].concat();
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[21..23].copy_from_slice(&(codec as i16).to_be_bytes());
    change(&mut bytes);
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

fn checked(bytes: &Bytes) -> Result<Checked, BatchError> {
    check(bytes, &CheckLimits::default())
}

#[test]
fn null_is_not_empty_and_headers_keep_order_and_repeats() {
    let headers: [(&[u8], Option<&[u8]>); 3] =
        [(b"a", Some(b"")), (b"a", None), (b"", Some(b"\xff\x00"))];
    let batch = build(
        [
            (7, 50, tail(None, Some(b""), &headers)),
            (9, 40, tail(Some(b""), None, &[])),
            (12, i64::MAX, tail(Some(b"k"), Some(b"v"), &[])),
        ],
        true,
    );
    assert!(is_gathered(&batch));
    let header = BatchHeader::decode(&batch).expect("valid");
    assert_eq!((header.base, header.last(), header.count), (7, 12, 3));
    assert_eq!((header.base_timestamp_ms, header.max_timestamp_ms), (50, i64::MAX));
    let read = records(&batch).expect("valid");
    assert_eq!(
        read.iter().map(|r| (r.offset, r.timestamp_ms)).collect::<Vec<_>>(),
        [(7, 50), (9, 40), (12, i64::MAX)]
    );
    assert_eq!((&read[0].key, &read[0].value), (&None, &Some(Bytes::new())));
    assert_eq!((&read[1].key, &read[1].value), (&Some(Bytes::new()), &None));
    let names: Vec<_> = read[0].headers.iter().map(|(n, v)| (&n[..], v.as_deref())).collect();
    assert_eq!(names, headers);
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let batch = build([(1, 1_000, tail(Some(b"k"), Some(b"v"), &[(b"h", None)]))], false);
    let expected: &[u8] = &[
        0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 61, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 3, 232, 0, 0, 0, 0, 0, 0, 3, 232, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        255, 255, 255, 255, 255, 0, 0, 0, 1, 22, 0, 0, 0, 2, b'k', 2, b'v', 2, 2, b'h', 1,
    ];
    let mut without_crc = batch.to_vec();
    without_crc[17..21].fill(0);
    assert_eq!(without_crc, expected);
    assert_eq!(length(&batch), Some(batch.len()));
}

#[test]
fn a_clients_batch_passes_in_every_codec_and_tells_its_times() {
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let bytes = client(codec, &[b"one", b"two", b"three"], |_| {});
        let checked = checked(&bytes).expect("valid");
        assert_eq!((checked.count, checked.codec, checked.producer), (3, codec, None));
        assert_eq!((checked.min_timestamp_ms, checked.max_timestamp_ms), (100, 102));
        let moved = patched(&bytes, 1_000, 5);
        let offsets: Vec<_> = records(&moved).expect("valid").iter().map(|r| r.offset).collect();
        assert_eq!(offsets, [1_000, 1_001, 1_002]);
        assert_eq!(BatchHeader::decode(&moved).expect("valid").leader_epoch, 5);
        assert_eq!(moved[16..], bytes[16..], "the rest stays opaque");
    }
}

#[test]
fn what_a_client_may_not_send_is_refused_by_name() {
    let refused = |change: fn(&mut Vec<u8>)| {
        checked(&client(Codec::None, &[b"one", b"two"], change)).expect_err("refused")
    };
    assert_eq!(refused(|bytes| bytes[16] = 1), BatchError::Magic(1));
    assert_eq!(refused(|bytes| bytes[22] = 5), BatchError::Codec);
    for bit in 3..16 {
        let bytes = client(Codec::None, &[b"one"], |bytes| {
            bytes[21..23].copy_from_slice(&(1_u16 << bit).to_be_bytes());
        });
        assert!(matches!(checked(&bytes), Err(BatchError::Attributes(_))), "bit {bit}");
    }
    assert_eq!(refused(|bytes| bytes[26] = 2), BatchError::Count);
    assert_eq!(refused(|bytes| bytes[57..61].fill(0xff)), BatchError::Count);
    assert_eq!(refused(|bytes| bytes[57..61].fill(0)), BatchError::Count);
    let more = |bytes: &mut Vec<u8>| {
        bytes[26] = 2;
        bytes[60] = 3;
    };
    assert_eq!(refused(more), BatchError::Record, "fewer records than counted");
    let fewer = |bytes: &mut Vec<u8>| {
        bytes[26] = 0;
        bytes[60] = 1;
    };
    assert_eq!(refused(fewer), BatchError::Count, "more records than counted");
    assert_eq!(refused(|bytes| bytes[50] = 7), BatchError::Producer);
    assert_eq!(refused(|bytes| bytes[11] -= 1), BatchError::Length);
    assert_eq!(refused(|bytes| bytes[8..12].fill(0xff)), BatchError::Length);
    assert_eq!(refused(|bytes| bytes.push(0)), BatchError::Length);
    let mut bytes = client(Codec::None, &[b"one"], |_| {}).to_vec();
    bytes[17] ^= 1;
    assert_eq!(checked(&bytes.into()), Err(BatchError::Checksum));
}

#[test]
fn limits_hold_for_the_batch_the_record_and_its_expansion() {
    let limits = CheckLimits {
        batch_bytes: 1_000,
        message_bytes: 100,
        caps: Caps { bytes: 2 << 20, ratio: 100_000 },
        ..CheckLimits::default()
    };
    let long = [7; 101];
    let result = |codec, values: &[&[u8]]| check(&client(codec, values, |_| {}), &limits);
    assert_eq!(result(Codec::None, &[&long]), Err(BatchError::TooLarge(100)));
    assert_eq!(result(Codec::Zstd, &[&long]), Err(BatchError::TooLarge(100)));
    assert_eq!(result(Codec::None, &[&long[..100]; 10]), Err(BatchError::TooLarge(1_000)));
    let bomb = vec![0; 3 << 20];
    let expands = BatchError::Compression(DecodeError::Expands(2 << 20));
    assert_eq!(result(Codec::Zstd, &[&bomb]), Err(expands));
}

#[test]
fn a_batch_without_some_records_keeps_its_place_and_its_producer() {
    let bytes = client(Codec::Gzip, &[b"one", b"two", b"three"], |bytes| {
        bytes[43..51].copy_from_slice(&77_i64.to_be_bytes());
        bytes[51..53].fill(0);
        bytes[53..57].fill(0);
    });
    let stored = patched(&bytes, 10, 0);
    let left = without(&stored, |offset| offset != 11).expect("valid").expect("one is left");
    let (before, after) = (BatchHeader::decode(&stored), BatchHeader::decode(&left));
    let (before, after) = (before.expect("valid"), after.expect("valid"));
    assert_eq!((after.base, after.last(), after.count), (10, 12, 1));
    assert_eq!((before.producer_id, after.producer_id), (77, 77));
    assert_eq!(crc(&left), Some(after.crc));
    let read = records(&left).expect("valid");
    assert_eq!((read.len(), read[0].offset, read[0].timestamp_ms), (1, 11, 101));
    assert_eq!(read[0].value.as_deref(), Some(&b"two"[..]));
    assert_eq!(without(&stored, |_| true), Ok(None));
}

#[test]
fn the_filler_of_a_view_is_a_control_batch_that_ends_at_the_last_scanned_offset() {
    let filler = control_filler(5..=99);
    let header = BatchHeader::decode(&filler).expect("valid");
    assert!(header.is_control());
    assert_eq!((header.base, header.last(), header.producer_id), (5, 99, -1));
    assert_eq!(crc(&filler), Some(header.crc));
    let records = records(&filler).expect("valid");
    assert_eq!((records.len(), records[0].offset), (1, 99));
    assert_eq!(records[0].key.as_deref(), Some(&[0, 0, 0, 0][..]));
}

proptest! {
    #[test]
    fn any_records_read_back(
        base in 0..u64::MAX / 2,
        records in prop::collection::vec(
            (0..1000_u64, any::<i64>(), prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
             prop::option::of(prop::collection::vec(any::<u8>(), 0..300))), 1..40),
    ) {
        let mut offset = base;
        let input: Vec<_> = records.iter().map(|(gap, time, key, value)| {
            let at = offset;
            offset += gap + 1;
            (at, *time, tail(key.as_deref(), value.as_deref(), &[(b"h", key.as_deref())]))
        }).collect();
        let batch = build(input.iter().cloned(), true);
        let read = super::records(&batch).expect("valid");
        prop_assert_eq!(read.len(), records.len());
        for ((read, (at, ..)), (_, time, key, value)) in read.iter().zip(&input).zip(&records) {
            prop_assert_eq!(read.offset, *at);
            prop_assert_eq!(read.key.as_deref(), key.as_deref());
            prop_assert_eq!(read.value.as_deref(), value.as_deref());
            prop_assert_eq!(read.headers[0].1.as_deref(), key.as_deref());
            prop_assert_eq!(read.timestamp_ms, *time);
        }
    }

    #[test]
    fn hostile_bytes_are_refused_without_a_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..300),
        fix in any::<bool>(),
    ) {
        if fix && bytes.len() > HEADER_BYTES {
            let length = (bytes.len() - 12) as i32;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = 2;
            bytes[21] = 0;
            bytes[22] &= 7;
            let crc = crc32c::crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        let bytes = Bytes::from(bytes);
        let passed = checked(&bytes).is_ok();
        let read = records(&bytes);
        prop_assert!(!passed || read.is_ok());
        let _ = without(&bytes, |offset| offset % 2 == 0);
    }

    #[test]
    fn a_batch_that_passes_is_read_whole_whatever_was_done_to_it(
        codec in 0..5_usize,
        changes in prop::collection::vec((0..120_usize, any::<u8>()), 1..3),
        cut in prop::option::of(0..60_usize),
    ) {
        let codec = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd][codec];
        let bytes = client(codec, &[b"first", &[7; 40], b"", b"last"], |bytes| {
            for (at, byte) in changes {
                // The checksum covers what comes behind it.
                let at = 21 + at % (bytes.len() - 21);
                bytes[at] = byte;
            }
            bytes.truncate(bytes.len() - cut.unwrap_or(0).min(bytes.len() - HEADER_BYTES));
            let length = (bytes.len() - 12) as i32;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
        });
        let Ok(passed) = checked(&bytes) else { return Ok(()) };
        let read = records(&patched(&bytes, 77, 3)).expect("it has passed");
        let offsets: Vec<_> = read.iter().map(|record| record.offset).collect();
        prop_assert_eq!(offsets, (77..77 + u64::from(passed.count)).collect::<Vec<_>>());
    }

    #[test]
    fn a_flipped_bit_behind_the_epoch_is_noticed(byte in 16..300_usize, bit in 0..8_u8) {
        let good = client(Codec::None, &[&[7; 100], &[8; 100]], |_| {});
        let mut bad = good.to_vec();
        let byte = byte.min(bad.len() - 1);
        bad[byte] ^= 1 << bit;
        prop_assert!(checked(&bad.into()).is_err());
    }
}
