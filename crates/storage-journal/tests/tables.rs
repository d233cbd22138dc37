//! State tables: what was written is what is read, and nothing else ever is.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use proptest::prelude::*;
use storage_journal::random::Random;
use storage_journal::rest::FileId;
use storage_journal::rest::table::{
    self, Entry, KEY_BYTES_MAX, ReadError, Table, VALUE_BYTES_MAX, merge, merged, name,
};
use storage_journal::sim::{CrashModel, Fault, SimFs};
use storage_journal::vfs::{Vfs, write_all};

type Model = BTreeMap<Vec<u8>, Option<Bytes>>;

const ID: FileId = FileId(1 << 32 | 7);

fn write(sim: &SimFs, id: FileId, model: &Model) -> Table {
    let entries = model.iter().map(|(key, value)| (key, value.clone()));
    let written = table::write(sim, id, entries).expect("writes");
    let table = Table::open(sim, id).expect("opens");
    assert_eq!((written.bytes, written.entries), (table.bytes(), table.len()));
    assert_eq!(written.entries, model.len() as u64);
    table
}

fn read(entries: impl Iterator<Item = Result<Entry, ReadError>>) -> Vec<(Vec<u8>, Option<Bytes>)> {
    entries.map(|entry| entry.expect("sound")).map(|(key, value)| (key.to_vec(), value)).collect()
}

fn flat(model: &Model) -> Vec<(Vec<u8>, Option<Bytes>)> {
    model.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// A file with these bytes.
fn plant(sim: &SimFs, id: FileId, bytes: &[u8]) {
    let file = sim.create(&name(id)).expect("new");
    write_all(file.as_ref(), bytes, 0).expect("writes");
}

/// Sets all checksums right; `blocks` are the positions of the blocks and of the index.
fn reseal(bytes: &mut [u8], blocks: &[usize]) {
    let seed = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&seed.to_le_bytes());
    let (index, footer) = (blocks[blocks.len() - 1], bytes.len() - 64);
    let mut at = index;
    for block in blocks.windows(2) {
        let crc = crc32c::crc32c_append(seed, &bytes[block[0] + 8..block[1]]).to_le_bytes();
        bytes[block[0] + 4..block[0] + 8].copy_from_slice(&crc);
        bytes[at + 12..at + 16].copy_from_slice(&crc);
        at += 18 + usize::from(block[0] > 64);
    }
    assert!(at == footer, "the index ends where the footer starts");
    let crc = crc32c::crc32c_append(seed, &bytes[index..footer]);
    bytes[footer + 24..footer + 28].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c_append(seed, &bytes[footer..footer + 60]);
    bytes[footer + 60..].copy_from_slice(&crc.to_le_bytes());
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let short = prop::collection::vec(0_u8..4, 0..6);
    // Long beginnings that are alike, so that fences are cut to the same bytes.
    let long = (prop::sample::select(vec![120_usize, 128, 129, 300, 40_000]), short.clone())
        .prop_map(|(length, end)| [vec![1; length], end].concat());
    prop_oneof![3 => short, 2 => long]
}

fn value() -> impl Strategy<Value = Option<Bytes>> {
    let length = prop_oneof![
        6 => 0_usize..100,
        2 => 10_000_usize..70_000,
        1 => prop::sample::select(vec![65_496_usize, 65_512, 65_536, 1_100_000]),
    ];
    let some = (length, any::<u8>()).prop_map(|(length, byte)| Some(vec![byte; length].into()));
    prop_oneof![1 => Just(None), 4 => some]
}

fn model(entries: usize) -> impl Strategy<Value = Model> {
    prop::collection::btree_map(key(), value(), 0..entries)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_written_is_read_back_whole_by_key_and_from_any_key(
        model in model(40),
        probes in prop::collection::vec(key(), 20),
    ) {
        let sim = SimFs::new(1);
        let table = write(&sim, ID, &model);
        prop_assert_eq!(read(table.entries()), flat(&model));
        prop_assert!(table.verify().is_empty());
        for probe in probes.iter().chain(model.keys()) {
            prop_assert_eq!(table.get(probe).expect("sound"), model.get(probe).cloned());
            let wanted = model.range(probe.clone()..);
            let wanted: Vec<_> = wanted.map(|(key, value)| (key.clone(), value.clone())).collect();
            prop_assert_eq!(read(table.range(probe).expect("sound")), wanted);
        }
    }

    #[test]
    fn a_merge_says_of_each_key_what_the_newest_table_says(
        models in prop::collection::vec(model(25), 0..5),
        drop_tombstones in any::<bool>(),
    ) {
        let sim = SimFs::new(1);
        let mut wanted = Model::new();
        for model in models.iter().rev() {
            wanted.extend(model.clone());
        }
        wanted.retain(|_, value| value.is_some() || !drop_tombstones);
        let tables: Vec<_> = models.iter().enumerate()
            .map(|(at, model)| write(&sim, FileId(at as u64), model))
            .collect();
        prop_assert_eq!(read(merged(&tables, drop_tombstones)), flat(&wanted));
        let written = merge(&sim, &tables, drop_tombstones, ID).expect("merges");
        let merged = Table::open(&sim, ID).expect("opens");
        prop_assert_eq!((written.bytes, written.entries), (merged.bytes(), wanted.len() as u64));
        prop_assert_eq!(read(merged.entries()), flat(&wanted));
        prop_assert!(merged.verify().is_empty());
    }

    #[test]
    fn a_table_with_wrong_numbers_under_right_checksums_does_no_harm(
        changes in prop::collection::vec((0_usize..10_000, any::<u8>()), 1..4),
        extreme in any::<bool>(),
    ) {
        let sim = SimFs::new(1);
        let mut model = Model::new();
        for key in 0..4_u8 {
            model.insert(vec![key; 3], Some(Bytes::from(vec![key; 40_000])));
        }
        write(&sim, ID, &model);
        let mut bytes = sim.contents(&name(ID)).expect("there");
        let length = bytes.len();
        // Headers and footers of blocks, index and file hold the numbers.
        let numbers: Vec<usize> = (64..90).chain(40_090..40_120).chain(length - 180..length).collect();
        for (at, byte) in changes {
            bytes[numbers[at % numbers.len()]] = if extreme { 0xff } else { byte };
        }
        reseal(&mut bytes, &[64, 40_091, 80_118, 120_145, 160_172]);
        let other = SimFs::new(1);
        plant(&other, ID, &bytes);
        if let Ok(table) = Table::open(&other, ID) {
            let _ = (table.verify(), table.entries().count(), table.get(&[2; 3]));
            let _ = table.range(&[1; 3]).map(Iterator::count);
        }
    }

    #[test]
    fn bytes_that_nobody_wrote_are_refused_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let sim = SimFs::new(1);
        plant(&sim, ID, &bytes);
        prop_assert!(!table::verify(&sim, ID).is_empty());
    }
}

/// A table of a few blocks.
fn some(sim: &SimFs) -> (Table, Model) {
    let mut model = Model::new();
    for key in 0..6_u8 {
        model.insert(vec![b'k', key], Some(Bytes::from(vec![key; 20])));
    }
    model.insert(b"gone".to_vec(), None);
    model.insert(b"long".to_vec(), Some(Bytes::from(vec![9; 66_000])));
    (write(sim, ID, &model), model)
}

#[test]
fn every_flipped_bit_is_found_and_no_wrong_entry_is_read() {
    let sim = SimFs::new(1);
    let (table, model) = some(&sim);
    let long = 500..66_000;
    for byte in (0..table.bytes() as usize).filter(|byte| !long.contains(byte) || byte % 97 == 0) {
        for bit in 0..8 {
            assert!(sim.flip_bit(&name(ID), byte, bit));
            assert_eq!(table.verify().len(), 1, "byte {byte} bit {bit}, table open");
            assert!(!table::verify(&sim, ID).is_empty(), "byte {byte} bit {bit}");
            for (key, value) in table.entries().map_while(Result::ok) {
                assert_eq!(model.get(key.as_ref()), Some(&value), "byte {byte} bit {bit}");
            }
            assert!(sim.flip_bit(&name(ID), byte, bit));
        }
    }
    assert!(table.verify().is_empty(), "as it was");
}

#[test]
fn two_damaged_blocks_are_both_told_and_the_rest_is_still_read() {
    let sim = SimFs::new(1);
    let mut model = Model::new();
    for key in 0..5_u8 {
        model.insert(vec![key], Some(Bytes::from(vec![key; 60_000])));
    }
    let table = write(&sim, ID, &model);
    sim.flip_bit(&name(ID), 64 + 60_025 + 100, 0);
    sim.flip_bit(&name(ID), 64 + 3 * 60_025 + 100, 0);
    let positions = |found: Vec<ReadError>| -> Vec<u64> {
        let position = |error| match error {
            ReadError::Damaged { position, .. } => position,
            ReadError::Io { .. } | ReadError::TooNew { .. } => panic!("{error}"),
        };
        found.into_iter().map(position).collect()
    };
    assert_eq!(positions(table.verify()), [64 + 60_025, 64 + 3 * 60_025]);
    for (key, sound) in [(0, true), (1, false), (2, true), (3, false), (4, true)] {
        assert_eq!(table.get(&[key]).is_ok(), sound);
    }
    assert_eq!(table.entries().count(), 2, "one entry, one error, then the end");
}

#[test]
fn a_table_cut_short_or_made_longer_is_refused() {
    let sim = SimFs::new(1);
    let (_, _) = some(&sim);
    let whole = sim.contents(&name(ID)).expect("there");
    let mut lengths: Vec<_> = (0..300).chain(whole.len() - 300..whole.len()).collect();
    lengths.extend((300..whole.len() - 300).step_by(997));
    for (id, length) in (100..).map(FileId).zip(lengths) {
        // Under its own id, on a disk of its own: only the length differs.
        let other = SimFs::new(id.0);
        plant(&other, ID, &whole[..length]);
        assert!(Table::open(&other, ID).is_err(), "{length} bytes");
    }
    let other = SimFs::new(1);
    plant(&other, ID, &[&whole[..], &[0]].concat());
    assert!(Table::open(&other, ID).is_err(), "one byte more");
    plant(&other, FileId(2), &whole);
    assert!(Table::open(&other, FileId(2)).is_err(), "the file of another id");
}

#[test]
fn the_longest_keys_and_values_fit_and_longer_ones_are_refused() {
    let sim = SimFs::new(1);
    let mut model = Model::new();
    for last in 0..4 {
        let key = [vec![7; KEY_BYTES_MAX - 1], vec![last]].concat();
        let length = if last % 2 == 0 { VALUE_BYTES_MAX } else { 3 };
        model.insert(key, Some(Bytes::from(vec![last; length])));
    }
    let table = write(&sim, ID, &model);
    assert_eq!(read(table.entries()), flat(&model));
    for (key, value) in &model {
        assert_eq!(table.get(key).expect("sound"), Some(value.clone()));
    }
    assert!(table.verify().is_empty());
    for (key, value) in [(KEY_BYTES_MAX + 1, 0), (0, VALUE_BYTES_MAX + 1)] {
        let entry = (vec![0; key], Some(Bytes::from(vec![0; value])));
        let refused = table::write(&sim, FileId(1), std::iter::once(entry));
        assert_eq!(refused.expect_err("too long").kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn keys_that_do_not_ascend_are_refused_and_leave_no_file() {
    let sim = SimFs::new(1);
    for keys in [["b", "a"], ["a", "a"]] {
        let entries = keys.into_iter().map(|key| (key, Some(Bytes::new())));
        let refused = table::write(&sim, ID, entries).expect_err("out of order");
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        assert!(sim.list("").expect("alive").is_empty());
    }
}

#[test]
fn a_full_disk_or_a_failed_sync_leaves_no_file_and_short_writes_no_trace() {
    let mut model = Model::new();
    for key in 0..60_u8 {
        model.insert(vec![key], Some(Bytes::from(vec![key; 50_000])));
    }
    let attempt =
        |sim: &SimFs| table::write(sim, ID, model.iter().map(|(key, value)| (key, value.clone())));
    for (fault, times) in [(Fault::NoSpace, 4), (Fault::SyncFails, 1)] {
        for after in 0..times {
            let sim = SimFs::new(after);
            sim.inject(fault, after);
            attempt(&sim).expect_err("told to fail");
            assert!(sim.list("").expect("alive").is_empty());
            attempt(&sim).expect("the fault is spent");
        }
    }
    for after in 0..4 {
        let sim = SimFs::new(after);
        sim.inject(Fault::ShortWrite, after);
        attempt(&sim).expect("goes on where the disk stopped");
        assert_eq!(read(Table::open(&sim, ID).expect("opens").entries()), flat(&model));
    }
}

#[test]
fn a_merge_of_a_damaged_table_fails_and_leaves_no_file() {
    let sim = SimFs::new(1);
    let (table, _) = some(&sim);
    sim.flip_bit(&name(ID), 64 + 30, 3);
    let error = merge(&sim, &[&table], true, FileId(1)).expect_err("damaged");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(sim.list("").expect("alive"), [name(ID)]);
}

#[test]
fn a_table_whose_name_was_synced_survives_every_crash() {
    for seed in 0..30 {
        let sim = SimFs::new(seed);
        let (_, model) = some(&sim);
        sim.fsync_dir("").expect("syncs");
        let sim = sim.crash(CrashModel::Kill).crash(CrashModel::Power);
        assert_eq!(read(Table::open(&sim, ID).expect("opens").entries()), flat(&model));
    }
}

#[test]
fn a_crash_while_a_table_is_written_leaves_nothing_that_reads_wrongly() {
    let (mut whole, mut refused) = (0, 0);
    for seed in 0..200 {
        let sim = SimFs::new(seed);
        sim.die_after(Random::new(seed.into()).below(5));
        let mut model = Model::new();
        for key in 0..40_u8 {
            model.insert(vec![key], Some(Bytes::from(vec![key; 40_000])));
        }
        let entries = model.iter().map(|(key, value)| (key, value.clone()));
        let written = table::write(&sim, ID, entries);
        let sim = sim.crash(if seed % 2 == 0 { CrashModel::Power } else { CrashModel::Kill });
        let named = sim.contents(&name(ID)).is_some();
        match Table::open(&sim, ID) {
            Ok(table) if table.verify().is_empty() => {
                assert_eq!(read(table.entries()), flat(&model));
                whole += 1;
            }
            // The file was synced, so it is whole, or its name was lost.
            Ok(_) | Err(_) => {
                assert!(written.is_err() || !named, "seed {seed}");
                refused += 1;
            }
        }
    }
    assert!(whole > 10 && refused > 10, "{whole} whole, {refused} refused");
}

#[test]
fn features_of_a_newer_version_are_refused_and_compatible_ones_are_not() {
    let sim = SimFs::new(1);
    let table = write(&sim, ID, &Model::new());
    assert!(table.is_empty() && table.get(b"x").expect("sound").is_none());
    let whole = sim.contents(&name(ID)).expect("there");
    for (at, refused) in [(8, true), (12, false), (20, true)] {
        let mut bytes = whole.clone();
        bytes[at] ^= 2;
        let seed = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&seed.to_le_bytes());
        let index_crc = seed;
        bytes[64 + 24..64 + 28].copy_from_slice(&index_crc.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, &bytes[64..124]);
        bytes[124..].copy_from_slice(&crc.to_le_bytes());
        let other = SimFs::new(1);
        plant(&other, ID, &bytes);
        let opened = Table::open(&other, ID);
        assert_eq!(matches!(opened, Err(ReadError::TooNew { .. })), refused, "{opened:?}");
        assert_eq!(opened.is_ok(), !refused);
    }
}

#[test]
fn the_bytes_of_a_table_are_those_of_format_1() {
    let sim = SimFs::new(1);
    let entries = [
        (b"alpha".to_vec(), Some(Bytes::from_static(b"one"))),
        (b"beta".to_vec(), None),
        (b"gamma".to_vec(), Some(Bytes::new())),
    ];
    write(&sim, ID, &entries.into_iter().collect());
    let bytes = sim.contents(&name(ID)).expect("there");
    let lines: Vec<String> = bytes
        .chunks(32)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    assert_eq!(name(ID), "00000000004294967303.state");
    assert_eq!(lines, GOLDEN, "{lines:#?}");
}

const GOLDEN: &[&str] = &[
    "524d515354415445010000000000000000000000000000000700000001000000",
    "00000000000000000000000000000000000000000000000000000000417b20c4",
    "39000000a833983403000000000000000500000004000000616c7068616f6e65",
    "040000000000000062657461050000000100000067616d6d6140000000000000",
    "0039000000a83398340000524d515354454e4479000000000000001200000000",
    "00000066bc1c2e01000000030000000000000007000000010000000000000000",
    "000000000000008c877fc6",
];
