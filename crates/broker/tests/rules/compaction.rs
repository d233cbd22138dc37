//! Of each key the newest record stays.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use model::record::Assurance;
use proptest::prelude::*;
use protocol::{Append, Cleanup, Compaction, Refusal, Reply, Request, Retention, Wait};
use storage::batch;

use crate::publish::{name, read_from};
use crate::retention::{declare, pass, shown, world};
use crate::world::{World, conn};

/// A batch of a client: keys with values, or without.
fn client_batch(records: &[(Option<&str>, Option<&str>)]) -> Bytes {
    let tails: Vec<Bytes> = records
        .iter()
        .map(|(key, value)| {
            let mut tail = BytesMut::new();
            for part in [key, value] {
                match part {
                    Some(part) => {
                        batch::put_varint(&mut tail, i32::try_from(part.len()).unwrap());
                        tail.extend_from_slice(part.as_bytes());
                    }
                    None => batch::put_varint(&mut tail, -1),
                }
            }
            batch::put_varint(&mut tail, 0);
            tail.freeze()
        })
        .collect();
    batch::build((0..).zip(&tails).map(|(offset, tail)| (offset, 1_000, tail)), false)
}

fn append(world: &mut World, stream: &str, records: &[(Option<&str>, Option<&str>)]) -> Reply {
    let append = Append {
        stream: name(stream),
        partition: 0,
        batch: client_batch(records),
        wait: Wait::Stored,
    };
    world.ask(conn(1), Request::Append(append)).unwrap()
}

/// Offset, key and value of all records in sight.
fn all(world: &mut World, stream: &str) -> Vec<(u64, String, Option<String>)> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let reply = world.ask(conn(9), read_from(name(stream), at, 0));
        let Some(Reply::Read(mut outcomes)) = reply else { panic!("{reply:?}") };
        let outcome = outcomes.remove(0);
        if outcome.refused == Some(Refusal::OutOfRange) && at < outcome.start {
            at = outcome.start;
            continue;
        }
        assert_eq!(outcome.refused, None);
        if outcome.batches.is_empty() {
            return found;
        }
        for bytes in &outcome.batches {
            let header = batch::BatchHeader::decode(bytes).unwrap();
            for record in batch::records(bytes).unwrap() {
                if record.offset >= at && !header.is_control() {
                    let key = record.key.map(text).unwrap_or_default();
                    found.push((record.offset, key, record.value.map(text)));
                }
            }
            at = at.max(header.last() + 1);
        }
    }
}

fn keeping(compaction: Compaction) -> Retention {
    Retention { cleanup: Cleanup::Compact, compaction, ..Retention::default() }
}

fn at_once() -> Compaction {
    Compaction { min_dirty_percent: Some(0), ..Compaction::default() }
}

/// Lets passes run until nothing is left to do.
fn clean(world: &mut World) {
    for _ in 0..12 {
        pass(world, 1);
    }
}

#[test]
fn older_records_of_a_key_go_and_offsets_and_the_newest_batch_stay() {
    let mut world = world();
    declare(&mut world, "t", "t", keeping(at_once()));
    append(&mut world, "t", &[(Some("a"), Some("1")), (Some("b"), Some("1"))]);
    append(&mut world, "t", &[(Some("a"), Some("2")), (Some("c"), Some("1"))]);
    append(&mut world, "t", &[(Some("b"), Some("2")), (Some("b"), Some("3"))]);
    clean(&mut world);
    let seen: Vec<_> = all(&mut world, "t")
        .into_iter()
        .map(|(offset, key, value)| format!("{offset}{key}{}", value.unwrap()))
        .collect();
    assert_eq!(seen, ["1b1", "2a2", "3c1", "4b2", "5b3"], "the newest batch is not looked at");
    append(&mut world, "t", &[(Some("d"), Some("1"))]);
    clean(&mut world);
    let offsets: Vec<u64> = all(&mut world, "t").into_iter().map(|(offset, ..)| offset).collect();
    assert_eq!(offsets, [2, 3, 5, 6]);
    let mut world = world.restarted();
    assert_eq!(all(&mut world, "t").len(), 4);
    assert_eq!(world.broker.stats().compacted, 0, "by this run of the server");
}

#[test]
fn the_key_of_a_message_without_one_is_its_subject() {
    let mut world = world();
    declare(&mut world, "t", "t/#", keeping(at_once()));
    for (subject, value) in [("t/a", "1"), ("t/b", "1"), ("t/a", "2"), ("t/b", "2"), ("t/c", "1")] {
        world.publish(conn(1), subject, value, Assurance::AtLeastOnce);
    }
    clean(&mut world);
    assert_eq!(shown(&mut world, "t"), ["2", "2", "1"]);
}

#[test]
fn a_tombstone_stays_for_its_time_and_then_goes_with_its_key() {
    let mut world = world();
    let compaction = Compaction { delete_retention_ms: Some(60_000), ..at_once() };
    declare(&mut world, "t", "t", keeping(compaction));
    append(&mut world, "t", &[(Some("a"), Some("1"))]);
    append(&mut world, "t", &[(Some("a"), None)]);
    append(&mut world, "t", &[(Some("z"), Some("end"))]);
    clean(&mut world);
    let keys = |world: &mut World| -> Vec<String> {
        all(world, "t").into_iter().map(|(_, key, _)| key).collect()
    };
    assert_eq!(keys(&mut world), ["a", "z"], "the tombstone tells of the removal");
    pass(&mut world, 30);
    assert_eq!(keys(&mut world), ["a", "z"]);
    let mut world = world.restarted();
    pass(&mut world, 40);
    clean(&mut world);
    assert_eq!(keys(&mut world), ["z"]);
}

#[test]
fn what_is_younger_than_the_lag_is_left_alone() {
    let mut world = world();
    let compaction = Compaction { min_lag_ms: Some(60_000), ..at_once() };
    declare(&mut world, "t", "t", keeping(compaction));
    append(&mut world, "t", &[(Some("a"), Some("1"))]);
    append(&mut world, "t", &[(Some("a"), Some("2"))]);
    append(&mut world, "t", &[(Some("a"), Some("3"))]);
    clean(&mut world);
    assert_eq!(all(&mut world, "t").len(), 3);
    pass(&mut world, 60);
    clean(&mut world);
    assert_eq!(all(&mut world, "t").len(), 2, "all but the newest batch");
}

#[test]
fn a_log_is_left_alone_until_enough_of_it_is_new() {
    let mut world = world();
    declare(&mut world, "t", "t", keeping(Compaction::default()));
    let keys: Vec<String> = (0..10).map(|n| format!("k{n}")).collect();
    let first: Vec<_> = keys.iter().map(|key| (Some(key.as_str()), Some("1"))).collect();
    append(&mut world, "t", &first);
    append(&mut world, "t", &[(Some("k0"), Some("2"))]);
    clean(&mut world);
    append(&mut world, "t", &[(Some("k1"), Some("2"))]);
    clean(&mut world);
    let before = all(&mut world, "t").len();
    assert_eq!(before, 12, "two of twelve are new");
    for n in 0..10 {
        append(&mut world, "t", &[(Some(&format!("k{n}")), Some("3"))]);
    }
    clean(&mut world);
    assert_eq!(all(&mut world, "t").len(), 11, "of the last key the newest batch has another");
}

#[test]
fn a_record_without_a_key_is_refused_by_a_stream_that_compacts() {
    let mut world = world();
    declare(&mut world, "t", "t", keeping(at_once()));
    let reply = append(&mut world, "t", &[(None, Some("1"))]);
    assert!(matches!(reply, Reply::Refused(Refusal::InvalidRecord(_))), "{reply:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Random batches of few keys, cleaned now and then: of each key the newest record is there,
    /// and nothing was made up, moved, or brought back.
    #[test]
    fn the_newest_record_of_each_key_is_always_in_sight(
        batches in prop::collection::vec(
            (prop::collection::vec((0..6_u8, prop::option::of(0..100_u8)), 1..5), any::<bool>()),
            1..20,
        ),
    ) {
        let mut world = world();
        let compaction = Compaction { delete_retention_ms: Some(5_000), ..at_once() };
        declare(&mut world, "t", "t", keeping(compaction));
        let mut sent: Vec<(String, Option<String>)> = Vec::new();
        let mut before: Option<Vec<(u64, String, Option<String>)>> = None;
        for (records, cleans) in batches {
            let records: Vec<(String, Option<String>)> = records
                .into_iter()
                .map(|(key, value)| (format!("k{key}"), value.map(|value| value.to_string())))
                .collect();
            let borrowed: Vec<_> =
                records.iter().map(|(k, v)| (Some(k.as_str()), v.as_deref())).collect();
            append(&mut world, "t", &borrowed);
            sent.extend(records);
            if cleans {
                clean(&mut world);
            }
            let seen = all(&mut world, "t");
            let mut newest: BTreeMap<String, (u64, Option<String>)> = BTreeMap::new();
            for (offset, (key, value)) in (0_u64..).zip(&sent) {
                newest.insert(key.clone(), (offset, value.clone()));
            }
            for (key, (offset, value)) in newest {
                let there = seen.contains(&(offset, key.clone(), value.clone()));
                prop_assert!(there || value.is_none(), "{key} of {offset} is gone");
            }
            for (offset, key, value) in &seen {
                let original = &sent[usize::try_from(*offset).unwrap()];
                prop_assert_eq!(&(key.clone(), value.clone()), original);
                if let Some(before) = &before {
                    let end = before.last().map_or(0, |(offset, ..)| offset + 1);
                    prop_assert!(*offset >= end || before.iter().any(|(o, ..)| o == offset));
                }
            }
            before = Some(seen);
        }
    }
}
