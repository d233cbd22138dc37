//! Files of one busy log: few, whatever it holds, and each a plain run of batches.

use std::sync::Arc;

use bytes::BytesMut;
use model::subject::Subject;
use storage::{
    Append, Body, Engine, LogId, Mode, Op, ReadLimits, StoredRecord, Write, batch, suite,
};
use storage_journal::sim::{CrashModel, SimFs};
use storage_journal::vfs::Vfs;
use storage_journal::{Journal, Options};

const LOG: LogId = LogId(1);
const OTHER: LogId = LogId(2);
const SEGMENT: u64 = 64 << 10;
const RECORDS: u64 = 10_000;

fn record(log: LogId, number: u64) -> Op {
    let mut value = vec![7; 1_000];
    value[..8].copy_from_slice(&number.to_be_bytes());
    let mut tail = BytesMut::new();
    batch::put_varint(&mut tail, -1);
    batch::put_varint(&mut tail, 1_000);
    tail.extend_from_slice(&value);
    batch::put_varint(&mut tail, 0);
    let subject = Subject::from_canonical(bytes::Bytes::from_static(b"a")).expect("valid");
    let body = Body::Record(StoredRecord { subject, timestamp_ms: 1, tail: tail.freeze() });
    Op::Append(Append { log, body, targets: Vec::new(), once: None })
}

fn open(sim: &SimFs, seed: u128) -> Journal {
    let options = Options {
        seed,
        segment_bytes: SEGMENT,
        drain_segments: 2,
        hot_bytes: 16 << 10,
        drain_bytes_per_second: 0,
        ..Options::default()
    };
    Journal::open_inline(Arc::new(sim.clone()), options).expect("a good disk")
}

fn commit(journal: &Journal, ops: Vec<Op>) {
    suite::commit(journal, Write { ops, mode: Mode::Async }).expect("space");
}

/// The first offset and the offsets of a file, which is batches and nothing else.
fn offsets(bytes: &[u8]) -> (u64, u64) {
    let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight"));
    let length = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four"));
    let (mut at, mut end) = (0, number(0));
    while at < bytes.len() {
        assert_eq!(number(at), end, "batch behind batch");
        assert_eq!(bytes[at + 16], 2, "of format 2");
        end += u64::from(length(at + 23)) + 1;
        at += 12 + length(at + 8) as usize;
    }
    assert_eq!(at, bytes.len(), "no bytes behind the last");
    (number(0), end)
}

fn files(sim: &SimFs) -> Vec<String> {
    let names = sim.list("").expect("alive").into_iter();
    names.filter(|name| name.ends_with(".log")).collect()
}

#[test]
fn the_files_of_a_busy_log_grow_in_tiers_and_stay_plain_runs_of_batches() {
    let sim = SimFs::new(1);
    let journal = open(&sim, 1);
    let create = |log| Op::CreateLog { log, mode: Mode::Durable, first: 0 };
    commit(&journal, vec![create(LOG), create(OTHER)]);
    let mut most = 0;
    for number in 0..RECORDS / 10 {
        let mut ops: Vec<_> = (0..10).map(|at| record(LOG, number * 10 + at)).collect();
        // Too little for a file of its own.
        ops.extend((number % 100 == 0).then(|| record(OTHER, number)));
        commit(&journal, ops);
        while journal.maintain() {}
        most = most.max(files(&sim).len());
    }
    let stats = journal.stats();
    let figure = |name| stats.figures.iter().find(|figure| figure.name == name).map(|f| f.value);
    let drains = figure("drains_total").expect("counted") as usize;
    assert!(drains > 64, "{drains} drains, each with a file of it");
    assert!(most <= 24, "{most} files at once after {drains} drains");
    let named = files(&sim);
    let mut runs: Vec<_> = named
        .iter()
        .map(|name| {
            let (base, end) = offsets(&sim.contents(name).expect("there"));
            assert!(name.starts_with(&format!("{base:020}.")), "{name}");
            (base, end)
        })
        .collect();
    runs.sort_unstable();
    assert!(runs.windows(2).all(|pair| pair[0].1 == pair[1].0), "one behind the other: {runs:?}");
    let longest = runs.iter().map(|(base, end)| end - base).max().expect("some");
    assert!(longest > RECORDS / 2, "two tiers: {runs:?}");
    // Each record is written to the log, by a drain, and once in each tier.
    let amplification = (stats.written_bytes + stats.rested_bytes) as f64
        / (stats.written_bytes - stats.padding_bytes) as f64;
    assert!(amplification < 5.0, "{amplification}");

    drop(journal);
    let journal = open(&sim.crash(CrashModel::Kill), 2);
    let mut next = 0;
    while next < RECORDS {
        let limits = ReadLimits { max_bytes: 1 << 20, held: false };
        let batches = journal.read(LOG, next, limits).expect("readable");
        for found in batches {
            assert_eq!(found.base, next);
            for record in batch::records(&found.bytes).expect("decodable") {
                let value = record.value.expect("has one");
                assert_eq!(value[..8], next.to_be_bytes());
                next += 1;
            }
        }
    }
    assert_eq!(journal.bounds(LOG).map(|bounds| bounds.end), Some(RECORDS));
}
