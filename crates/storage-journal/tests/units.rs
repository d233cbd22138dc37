//! Resting files against a list of batches in memory, on a disk that fails and on files that have
//! changed.

use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use model::filter::{Filter, Reach};
use model::subject::Subject;
use proptest::prelude::*;
use storage::{LogId, Offset, Subjects, batch};
use storage_journal::random::Random;
use storage_journal::rest::FileId;
use storage_journal::rest::unit::{
    self, Entry, Holding, Kind, RestError, Rested, Run, Unit, UnitWriter, Wanted,
};
use storage_journal::sim::{CrashModel, Fault, SimFs};
use storage_journal::vfs::Vfs;

const ID: FileId = FileId(1 << 32 | 7);

/// A batch of the model: a list of them is what a run must behave like.
#[derive(Clone, Debug)]
struct Batch {
    base: Offset,
    last: Offset,
    max_timestamp_ms: i64,
    appended_ms: i64,
    subjects: Subjects,
    bytes: Bytes,
}

type Logs = Vec<(LogId, Vec<Batch>)>;

impl Batch {
    fn subject(&self, offset: Offset) -> &Subject {
        self.subjects.of((offset - self.base) as usize).expect("one for each")
    }

    fn entry(&self, log: LogId) -> Entry<'_> {
        Entry {
            log,
            base: self.base,
            last: self.last,
            max_timestamp_ms: self.max_timestamp_ms,
            appended_ms: self.appended_ms,
            subjects: &self.subjects,
            bytes: &self.bytes,
        }
    }
}

fn subject(text: &str) -> Subject {
    Subject::from_canonical(Bytes::copy_from_slice(text.as_bytes())).expect("canonical")
}

/// A batch with records at these offsets, each with a value of that length.
fn batch_bytes(offsets: impl IntoIterator<Item = Offset>, value_bytes: usize) -> Bytes {
    let mut tail = Vec::new();
    batch::put_varint(&mut tail, -1);
    batch::put_varint(&mut tail, value_bytes as i32);
    tail.put_bytes(b'v', value_bytes);
    batch::put_varint(&mut tail, 0);
    batch::build(offsets.into_iter().map(|offset| (offset, 1000, tail.clone())), true)
}

/// A batch of `names.len()` records, or of one subject for as many when `one` is set.
fn make(base: Offset, names: &[&str], value_bytes: usize) -> Batch {
    let last = base + names.len() as u64 - 1;
    let subjects = match names.iter().all(|name| *name == names[0]) {
        true => Subjects::One(subject(names[0])),
        false => Subjects::Each(names.iter().map(|name| subject(name)).collect()),
    };
    let bytes = batch_bytes(base..=last, value_bytes);
    Batch { base, last, max_timestamp_ms: 5, appended_ms: 6, subjects, bytes }
}

/// Writes a unit and makes its names durable.
fn write(sim: &SimFs, id: FileId, kind: Kind, logs: &Logs) -> Vec<Holding> {
    let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
    let mut writer = UnitWriter::create(&vfs, id, kind).expect("new");
    let mut bytes = 0;
    for (log, batches) in logs {
        for batch in batches {
            writer.push(batch.entry(*log)).expect("in order");
            bytes += batch.bytes.len() as u64;
            assert_eq!(writer.bytes(), bytes);
        }
    }
    let runs = writer.finish().expect("the disk is sound");
    vfs.fsync_dir("").expect("the disk is sound");
    runs
}

fn open(sim: &SimFs, id: FileId, kind: Kind) -> Result<Unit, RestError> {
    let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
    Unit::open(&vfs, id, kind)
}

fn verify(sim: &SimFs, id: FileId, kind: Kind) -> Vec<unit::Damage> {
    let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
    unit::verify(&vfs, id, kind)
}

/// How the batches of a random log are.
#[derive(Clone, Debug)]
struct Shape {
    gap: u64,
    records: u64,
    /// Offsets between the first and the last are gone from the bytes.
    hollow: bool,
    value_bytes: usize,
    times: (i64, i64),
    names: Vec<usize>,
    repeats: usize,
}

const NAMES: [&str; 7] = ["a", "", "a/b", "a/b/c", "$x/y", "b", "a-b"];

fn shape() -> impl Strategy<Value = Shape> {
    let value_bytes = prop_oneof![
        8 => 0..60_usize,
        3 => 3000..20_000_usize,
        1 => 66_000..140_000_usize,
    ];
    let repeats = prop_oneof![9 => Just(1_usize), 1 => 100..600_usize];
    let names = proptest::collection::vec(0..NAMES.len(), 1..4);
    let gap = prop_oneof![3 => Just(0_u64), 1 => 1..4_u64, 1 => 1000..1_u64 << 40];
    (gap, 1..6_u64, any::<bool>(), value_bytes, (-50..50_i64, 0..50_i64), names, repeats).prop_map(
        |(gap, records, hollow, value_bytes, times, names, repeats)| {
            // Large values and many batches both would only take long.
            let repeats = if value_bytes < 60 { repeats } else { 1 };
            Shape { gap, records, hollow, value_bytes, times, names, repeats }
        },
    )
}

fn log(first: Offset, shapes: &[Shape], one_subject: bool) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut next = first;
    for shape in shapes {
        for repeat in 0..shape.repeats {
            let base = next + if repeat == 0 { shape.gap } else { repeat as u64 % 2 };
            let last = base + shape.records - 1;
            let mut offsets: Vec<_> = (base..=last).collect();
            if shape.hollow {
                offsets.retain(|offset| *offset == base || *offset == last);
            }
            let name = |at: usize| match one_subject {
                true => subject(NAMES[0]),
                false => subject(NAMES[shape.names[(at + repeat) % shape.names.len()]]),
            };
            let subjects = if one_subject || shape.names.len() == 1 {
                Subjects::One(name(0))
            } else {
                Subjects::Each((0..shape.records as usize).map(name).collect())
            };
            batches.push(Batch {
                base,
                last,
                max_timestamp_ms: shape.times.0 + repeat as i64 % 7,
                appended_ms: shape.times.1 + repeat as i64 / 50,
                subjects,
                bytes: batch_bytes(offsets, shape.value_bytes),
            });
            next = last + 1;
        }
    }
    batches
}

fn logs(count: Range<usize>) -> impl Strategy<Value = Logs> {
    let one = (0..1000_u64, proptest::collection::vec(shape(), 1..8), prop::bool::weighted(0.3));
    proptest::collection::vec(one, count).prop_map(|all| {
        let made = (1..).step_by(3).zip(all);
        made.map(|(id, (first, shapes, one))| (LogId(id), log(first, &shapes, one))).collect()
    })
}

fn filters() -> Vec<Filter> {
    let mut filters = vec![Filter::everything(Reach::All)];
    for text in ["#", "a", "a/#", "+", "a/+", "+/b/#", "zzz", "$x/#"] {
        filters.push(Filter::mqtt(&Bytes::from_static(text.as_bytes())).expect("valid"));
    }
    filters
}

/// Offsets at which something begins or ends, some of them.
fn corners(batches: &[Batch], random: &mut Random) -> Vec<Offset> {
    let mut all = vec![0, Offset::MAX, batches[batches.len() - 1].last + 1];
    for _ in 0..6 {
        let batch = &batches[random.below(batches.len() as u64) as usize];
        all.extend([batch.base.saturating_sub(1), batch.base, batch.last, batch.last + 1]);
    }
    all
}

fn assert_same(rested: &Rested, batch: &Batch) {
    assert_eq!((rested.base, rested.last), (batch.base, batch.last));
    assert_eq!(rested.bytes, batch.bytes);
    assert_eq!(rested.max_timestamp_ms, batch.max_timestamp_ms);
    assert_eq!(rested.appended_ms, batch.appended_ms);
    for offset in batch.base..=batch.last {
        let shown = rested.subjects.of((offset - batch.base) as usize);
        assert_eq!(shown, Some(batch.subject(offset)));
    }
}

fn check_batches(run: &Run<'_>, batches: &[Batch], random: &mut Random) {
    for from in corners(batches, random) {
        let at = batches.partition_point(|batch| batch.last < from);
        let max_bytes = [0, 100, 70_000, 400_000][random.below(4) as usize];
        let read = run.read(from, max_bytes).expect("sound");
        assert_eq!(read.is_empty(), at == batches.len());
        for (rested, batch) in read.iter().zip(&batches[at..]) {
            assert_same(rested, batch);
        }
        let bytes: usize = read.iter().map(|rested| rested.bytes.len()).sum();
        assert!(read.len() <= 1 || bytes <= max_bytes);

        let timestamp_ms = random.below(120) as i64 - 60;
        let found = run.at_or_after(from, timestamp_ms).expect("sound");
        let wanted = batches[at..].iter().find(|batch| batch.max_timestamp_ms >= timestamp_ms);
        match (found, wanted) {
            (None, None) => {}
            (Some(found), Some(wanted)) => assert_same(&found, wanted),
            (found, wanted) => panic!("{found:?} for {wanted:?}"),
        }
    }
    let mut from = 0;
    let mut all = Vec::new();
    while let Some(last) = all.last().map_or(Some(0), |_: &Rested| Some(from)) {
        let read = run.read(last, 100_000).expect("sound");
        let Some(end) = read.last() else { break };
        from = end.last + 1;
        all.extend(read);
    }
    assert_eq!(all.len(), batches.len());
    all.iter().zip(batches).for_each(|(rested, batch)| assert_same(rested, batch));
    for clock_ms in [-1, 10, 25, 40, 1000] {
        let young = batches.iter().find(|batch| batch.appended_ms >= clock_ms);
        let start = run.younger_than(clock_ms);
        assert_eq!(start.is_some(), young.is_some());
        assert!(start.zip(young).is_none_or(|(start, young)| start <= young.base));
    }
}

fn check_search(run: &Run<'_>, batches: &[Batch], random: &mut Random) {
    let records: Vec<(Offset, &Subject)> = batches
        .iter()
        .flat_map(|batch| (batch.base..=batch.last).map(|at| (at, batch.subject(at))))
        .collect();
    let modulus = random.below(4);
    let is_hidden = move |offset: Offset| !offset.is_multiple_of(modulus + 1);
    let hidden: Option<&dyn Fn(Offset) -> bool> =
        if random.chance(50) { None } else { Some(&is_hidden) };
    let shown = |at: &Offset| hidden.is_none_or(|hidden| !hidden(*at));
    for filter in filters() {
        let wanted = Wanted { filter: &filter, hidden };
        let hits: Vec<Offset> = records
            .iter()
            .filter(|(at, name)| shown(at) && filter.matches(name))
            .map(|(at, _)| *at)
            .collect();
        for from in corners(batches, random) {
            let next = run.next(from, &wanted).expect("sound");
            assert_eq!(next, hits.iter().copied().find(|at| *at >= from), "{filter:?} {from}");
            let last = run.last_before(from, &wanted).expect("sound");
            assert_eq!(last, hits.iter().copied().rfind(|at| *at < from), "{filter:?} {from}");
            let end = from.saturating_add(random.below(3000));
            let within: Vec<_> =
                hits.iter().copied().filter(|at| (from..end).contains(at)).collect();
            assert_eq!(run.count(from..end, &wanted).expect("sound"), within.len() as u64);
            let limit = random.below(20) as usize;
            let mut found = vec![77];
            run.offsets(from..end, &wanted, limit, &mut found).expect("sound");
            assert_eq!(found[1..], within[..limit.min(within.len())]);
        }
        assert_eq!(run.count(0..Offset::MAX, &wanted).expect("sound"), hits.len() as u64);
    }
    let mut names: Vec<_> =
        records.iter().filter(|(at, _)| shown(at)).map(|(_, name)| *name).collect();
    names.sort();
    names.dedup();
    let lasts = run.last_per_subject(hidden).expect("sound");
    assert_eq!(lasts.iter().map(|(name, _)| name).collect::<Vec<_>>(), names);
    for (name, last) in &lasts {
        let own: Vec<_> =
            records.iter().filter(|(at, one)| *one == name && shown(at)).map(|one| one.0).collect();
        assert_eq!(Some(last), own.last());
    }
}

fn check_unit(sim: &SimFs, kind: Kind, logs: &Logs, seed: u64) {
    let runs = write(sim, ID, kind, logs);
    assert_eq!(verify(sim, ID, kind), []);
    let unit = open(sim, ID, kind).expect("sound");
    assert_eq!(unit.disk_bytes(), sim.bytes() as u64);
    assert_eq!(unit.directory().expect("sound"), runs);
    assert_eq!(runs.len(), logs.len());
    let mut random = Random::new(seed.into());
    for (info, (log, batches)) in runs.iter().zip(logs) {
        let records: u64 = batches.iter().map(|batch| batch.last - batch.base + 1).sum();
        let bytes: u64 = batches.iter().map(|batch| batch.bytes.len() as u64).sum();
        let (first, last) = (&batches[0], &batches[batches.len() - 1]);
        assert_eq!((info.log, info.base, info.last), (*log, first.base, last.last));
        assert_eq!((info.records, info.bytes), (records, bytes));
        let appended = || batches.iter().map(|batch| batch.appended_ms);
        assert_eq!(Some(info.appended_ms), appended().max());
        assert_eq!(Some(info.oldest_appended_ms), appended().min());
        let newest = batches.iter().map(|batch| batch.max_timestamp_ms).max();
        assert_eq!(Some(info.max_timestamp_ms), newest);
        let same = batches
            .iter()
            .flat_map(|batch| (batch.base..=batch.last).map(|at| batch.subject(at)))
            .all(|name| name == first.subject(first.base));
        assert_eq!(info.one_subject.as_ref(), same.then(|| first.subject(first.base)));
        let index = unit.index(info.section).expect("sound");
        assert_eq!(index.log(), *log);
        let run = unit.run(&index);
        check_batches(&run, batches, &mut random);
        check_search(&run, batches, &mut random);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_pack_behaves_like_lists_of_batches(logs in logs(0..5), seed in any::<u64>()) {
        check_unit(&SimFs::new(seed), Kind::Pack, &logs, seed);
    }

    #[test]
    fn a_hot_unit_behaves_like_a_list_of_batches_and_holds_nothing_else(
        logs in logs(1..2),
        seed in any::<u64>(),
    ) {
        let sim = SimFs::new(seed);
        let kind = Kind::Hot { base: logs[0].1[0].base };
        check_unit(&sim, kind, &logs, seed);
        let data = unit::names(ID, kind).next().expect("has one");
        let all = logs[0].1.iter().map(|batch| &batch.bytes[..]).collect::<Vec<_>>().concat();
        prop_assert_eq!(sim.contents(&data), Some(all));
    }
}

/// A run whose columns are many times as long as what a scan reads at once.
fn long_log() -> Vec<Batch> {
    let mut random = Random::new(3);
    let mut base = 0;
    let mut batches = Vec::new();
    for at in 0..6000 {
        let names: Vec<String> = (0..=random.below(3))
            .map(|_| match random.below(2000) {
                0 => "rare/one".to_owned(),
                other => format!("s/{}", other % 300),
            })
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        base += random.below(2);
        let mut batch = make(base, &names, 40);
        batch.max_timestamp_ms = at + random.below(40) as i64;
        batch.appended_ms = at;
        base = batch.last + 1;
        batches.push(batch);
    }
    batches
}

#[test]
fn scans_of_long_columns_find_what_is_rare_in_both_directions() {
    let (sim, batches) = (SimFs::new(1), long_log());
    let kind = Kind::Hot { base: batches[0].base };
    let runs = write(&sim, ID, kind, &vec![(LogId(1), batches.clone())]);
    assert_eq!(verify(&sim, ID, kind), []);
    let unit = open(&sim, ID, kind).expect("sound");
    let index = unit.index(runs[0].section).expect("sound");
    assert!(index.subject_count() > 290 && index.memory_bytes() < 10_000);
    let run = unit.run(&index);
    let filter = Filter::literal(&subject("rare/one"));
    let wanted = Wanted::matching(&filter);
    let mut rare: Vec<Offset> = Vec::new();
    for batch in &batches {
        rare.extend(
            (batch.base..=batch.last).filter(|at| batch.subject(*at).as_bytes() == b"rare/one"),
        );
    }
    assert!(rare.len() > 2, "{rare:?}");
    let (mut ahead, mut back) = (Vec::new(), Vec::new());
    let mut from = 0;
    while let Some(found) = run.next(from, &wanted).expect("sound") {
        ahead.push(found);
        from = found + 1;
    }
    let mut before = Offset::MAX;
    while let Some(found) = run.last_before(before, &wanted).expect("sound") {
        back.insert(0, found);
        before = found;
    }
    assert_eq!(ahead, rare);
    assert_eq!(back, rare);
    let mut random = Random::new(1);
    check_search(&run, &batches, &mut random);
    check_batches(&run, &batches, &mut random);
}

#[test]
fn a_writer_refuses_what_is_out_of_order_or_not_as_it_says() {
    let vfs: Arc<dyn Vfs> = Arc::new(SimFs::new(1));
    let good = make(10, &["a", "b"], 3);
    let each = Subjects::Each([subject("a")].into());
    let twice = [&good.bytes[..], &good.bytes[..]].concat();
    let entry = good.entry(LogId(2));
    let after = make(11, &["a"], 3);
    type Case<'a> = (&'static str, Kind, Entry<'a>);
    let hot = Kind::Hot { base: 10 };
    let cases: [Case<'_>; 8] = [
        ("an earlier log", Kind::Pack, Entry { log: LogId(1), ..entry }),
        ("the same offsets", Kind::Pack, entry),
        ("an overlap", Kind::Pack, after.entry(LogId(2))),
        ("another base", Kind::Pack, Entry { base: 9, log: LogId(3), ..entry }),
        ("another last", Kind::Pack, Entry { last: 12, log: LogId(3), ..entry }),
        ("too few subjects", Kind::Pack, Entry { subjects: &each, log: LogId(3), ..entry }),
        ("two batches", Kind::Pack, Entry { bytes: &twice, log: LogId(3), ..entry }),
        ("another log", hot, Entry { log: LogId(3), ..entry }),
    ];
    for (sequence, (case, kind, bad)) in (0..).zip(cases) {
        let id = FileId::new(1, sequence);
        let mut writer = UnitWriter::create(&vfs, id, kind).expect("new");
        writer.push(entry).expect("good");
        let refused = writer.push(bad).expect_err(case);
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput, "{case}");
        assert!(writer.push(make(90, &["a"], 3).entry(LogId(9))).is_err(), "after an error");
        assert!(writer.finish().is_err(), "after an error");
    }
    let id = FileId::new(2, 1);
    let mut writer = UnitWriter::create(&vfs, id, Kind::Hot { base: 9 }).expect("new");
    assert!(writer.push(entry).is_err(), "not the base that the name says");
    assert!(UnitWriter::create(&vfs, id, Kind::Hot { base: 9 }).is_err(), "exists");
}

/// A pack with runs of one subject and of several, and a gap.
fn small() -> Logs {
    let mut late = make(9, &["a/b", "c", "a/b"], 5);
    late.max_timestamp_ms = -2;
    late.appended_ms = 70;
    vec![
        (LogId(1), vec![make(5, &["a", "a"], 4)]),
        (LogId(2), vec![make(0, &["c", "a/b"], 0), late]),
        (LogId(700), vec![make(1 << 40, &["x"], 1)]),
    ]
}

#[test]
fn verify_finds_every_flipped_bit_of_a_pack() {
    let sim = SimFs::new(1);
    write(&sim, ID, Kind::Pack, &small());
    every_flip_is_found(&sim, Kind::Pack, |_, _| true);
}

#[test]
fn verify_finds_every_flipped_bit_of_a_hot_unit() {
    let sim = SimFs::new(1);
    let kind = Kind::Hot { base: 0 };
    write(&sim, ID, kind, &vec![small().remove(1)]);
    every_flip_is_found(&sim, kind, |_, _| true);
}

#[test]
fn verify_finds_flips_in_long_columns_and_in_all_blocks() {
    let sim = SimFs::new(1);
    let mut batches = long_log();
    batches.truncate(1200);
    write(&sim, ID, Kind::Pack, &vec![(LogId(1), batches)]);
    let mut random = Random::new(9);
    every_flip_is_found(&sim, Kind::Pack, |_, bit| bit == 3 && random.below(120) == 0);
}

fn every_flip_is_found(sim: &SimFs, kind: Kind, mut picked: impl FnMut(usize, u8) -> bool) {
    assert_eq!(verify(sim, ID, kind), []);
    for name in unit::names(ID, kind) {
        let length = sim.contents(&name).expect("exists").len();
        let mut flips = 0;
        for (byte, bit) in (0..length).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
            if !picked(byte, bit) {
                continue;
            }
            flips += 1;
            assert!(sim.flip_bit(&name, byte, bit));
            let found = verify(sim, ID, kind);
            assert!(
                found.iter().any(|damage| damage.file == name),
                "{name} {byte} {bit}: {found:?}"
            );
            assert!(sim.flip_bit(&name, byte, bit));
        }
        assert!(flips > 100);
    }
    assert_eq!(verify(sim, ID, kind), []);
}

#[test]
fn files_that_were_cut_or_have_grown_are_found_out() {
    for kind in [Kind::Pack, Kind::Hot { base: 0 }] {
        let sim = SimFs::new(1);
        let logs = if kind == Kind::Pack { small() } else { vec![small().remove(1)] };
        write(&sim, ID, kind, &logs);
        for changed in unit::names(ID, kind) {
            let length = sim.contents(&changed).expect("exists").len();
            for wanted in (0..length).chain([length + 1, length + 4096]) {
                let other = SimFs::new(2);
                for name in unit::names(ID, kind) {
                    let mut bytes = sim.contents(&name).expect("exists");
                    if name == changed {
                        bytes.resize(wanted, 0);
                    }
                    other.create(&name).expect("new").pwrite(&bytes, 0).expect("writes");
                }
                let found = verify(&other, ID, kind);
                assert!(!found.is_empty(), "{changed} of {wanted} bytes");
            }
        }
    }
}

#[test]
fn a_unit_under_the_name_of_another_is_refused() {
    let sim = SimFs::new(1);
    let (kind, other) = (Kind::Hot { base: 0 }, FileId(8));
    write(&sim, ID, kind, &vec![small().remove(1)]);
    write(&sim, other, kind, &vec![small().remove(1)]);
    for (to, from) in unit::names(ID, kind).zip(unit::names(other, kind)) {
        sim.rename(&from, &to).expect("exists");
    }
    assert!(matches!(open(&sim, ID, kind), Err(RestError::Damaged(_))));
    write(&sim, other, Kind::Pack, &small());
    let moved = unit::names(ID, Kind::Pack).next().expect("has one");
    sim.rename(&unit::names(other, Kind::Pack).next().expect("has one"), &moved).expect("exists");
    assert!(matches!(open(&sim, ID, Kind::Pack), Err(RestError::Damaged(_))));
}

#[test]
fn a_damaged_block_fails_alone() {
    let sim = SimFs::new(1);
    let batches: Vec<_> = (0..4).map(|at| make(at, &["a"], 70_000)).collect();
    let kind = Kind::Hot { base: 0 };
    let runs = write(&sim, ID, kind, &vec![(LogId(1), batches.clone())]);
    let data = unit::names(ID, kind).next().expect("has one");
    let position = 2 * batches[0].bytes.len();
    assert!(sim.flip_bit(&data, position + 100, 0));
    let unit = open(&sim, ID, kind).expect("header and footer are sound");
    let index = unit.index(runs[0].section).expect("sound");
    let run = unit.run(&index);
    let bases = |from| -> Result<Vec<_>, _> {
        run.read(from, usize::MAX).map(|all| all.iter().map(|one| one.base).collect())
    };
    assert_eq!(bases(0).expect("as far as it is sound"), [0, 1]);
    assert_eq!(bases(3).expect("behind it"), [3]);
    match bases(2) {
        Err(RestError::Damaged(damage)) => {
            assert_eq!((damage.file, damage.position), (data, position as u64));
        }
        other => panic!("{other:?}"),
    }
    let filter = Filter::everything(Reach::All);
    let next = run.next(2, &Wanted::matching(&filter)).expect("the columns are sound");
    assert_eq!(next, Some(2));
}

#[test]
fn sections_that_cannot_be_are_refused() {
    let sim = SimFs::new(1);
    let runs = write(&sim, ID, Kind::Pack, &small());
    let unit = open(&sim, ID, Kind::Pack).expect("sound");
    let (position, length) = runs[0].section;
    for section in [
        (0, length),
        (position, 0),
        (position, 39),
        (position, length - 1),
        (position, u32::MAX),
        (u64::MAX, length),
        (u64::MAX - 10, u32::MAX),
        (runs[2].section.0, length + 500),
    ] {
        assert!(matches!(unit.index(section), Err(RestError::Damaged(_))), "{section:?}");
    }
}

#[test]
fn a_finished_unit_survives_a_loss_of_power_and_an_unfinished_one_harms_nobody() {
    let mut finished = 0;
    for seed in 0..120 {
        let sim = SimFs::new(seed);
        let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
        let kind = if seed % 2 == 0 { Kind::Pack } else { Kind::Hot { base: 0 } };
        sim.die_after(seed / 2 % 12);
        let done = (|| {
            let mut writer = UnitWriter::create(&vfs, ID, kind)?;
            for base in 0..3 {
                writer.push(make(base, &["a"], 900_000).entry(LogId(1)))?;
            }
            writer.finish()?;
            vfs.fsync_dir("")
        })();
        let sim = sim.crash(CrashModel::Kill).crash(CrashModel::Power);
        let found = verify(&sim, ID, kind);
        if done.is_ok() {
            finished += 1;
            assert_eq!(found, [], "seed {seed}");
        }
        for name in unit::names(ID, kind) {
            if let Err(error) = sim.remove(&name) {
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
            }
        }
        assert!(sim.list("").expect("alive").is_empty());
    }
    assert!((10..110).contains(&finished), "{finished}");
}

#[test]
fn a_full_disk_or_a_failed_sync_fails_the_unit_and_short_writes_do_not() {
    let logs = [(LogId(1), (0..4).map(|at| make(at, &["a"], 600_000)).collect::<Vec<_>>())];
    let write = |fault, after| {
        let sim = SimFs::new(after);
        let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
        let mut writer = UnitWriter::create(&vfs, ID, Kind::Pack).expect("new");
        sim.inject(fault, after);
        let pushed = logs[0].1.iter().try_for_each(|batch| writer.push(batch.entry(LogId(1))));
        pushed.and_then(|()| writer.finish()).map(|_| verify(&sim, ID, Kind::Pack))
    };
    assert!(write(Fault::NoSpace, 0).is_err() && write(Fault::NoSpace, 3).is_err());
    assert!(write(Fault::SyncFails, 0).is_err());
    for after in 0..5 {
        assert_eq!(write(Fault::ShortWrite, after).expect("written on"), []);
    }
}

/// [`small`] as a pack, as the first version wrote it.
const GOLDEN: [&str; 33] = [
    "524d51554e495400010001000000000000000000000000000700000001000000",
    "0000000000000000000000000000000000000000000000000000000012186da7",
    "0000000000000005000000470000000002090012170080000000010000000000",
    "0003e800000000000003e8ffffffffffffffffffffffffffff00000002140000",
    "0001087676767600140000020108767676760000000000000000000000003f00",
    "000000021440a8cf00800000000100000000000003e800000000000003e8ffff",
    "ffffffffffffffffffffffff000000020c0000000100000c0000020100000000",
    "0000000000090000005500000000028b81a69100800000000200000000000003",
    "e800000000000003e8ffffffffffffffffffffffffffff000000031600000001",
    "0a76767676760016000002010a76767676760016000004010a76767676760000",
    "000100000000000000003900000000028e518078008000000000000000000000",
    "03e800000000000003e8ffffffffffffffffffffffffffff000000010e000000",
    "01027600ece386f7010000000100000001000000010000000000000040000000",
    "0000000004000000000000000500000000000000060000000000000002000000",
    "000000000500000000000000060000000000000053000000a388468e01000000",
    "0400000094764851000000000100000061000100008c0f9f2401000000020000",
    "0004000000020000000000000093000000000000001100000000000000000000",
    "00000000000b0000000000000005000000000000000500000000000000460000",
    "0000000000ac0000000560286c0200000011000000aaf3ac1300000000030000",
    "0004000000612f62630001007f07020d80010101020001010100a5b279920100",
    "00000100000001000000bc020000000000003f01000000000000040000000000",
    "0000000000000001000000000000000100000100000000000000050000000000",
    "0000060000000000000045000000517b8ee00100000004000000eae409f40000",
    "0000010000007800000000010000000000000005000000000000000600000000",
    "0000000200000000000000530000000000000005000000000000000600000000",
    "0000000600000000000000840100000000000071000000010000006102000000",
    "0000000000000000000000000b000000000000000500000000000000ac000000",
    "00000000050000000000000046000000000000000600000000000000f5010000",
    "0000000085000000ffffffffbc02000000000000000000000001000000000000",
    "0001000001000000000000004500000000000000050000000000000006000000",
    "0000000006000000000000007a02000000000000710000000100000078070000",
    "00010000008401000000000000eb02000000000000f200000000000000030000",
    "0000000000a49e26f500000000000000007149979c524d51554e454e44",
];

#[test]
fn the_format_is_as_it_was() {
    let sim = SimFs::new(1);
    let runs = write(&sim, ID, Kind::Pack, &small());
    let name = unit::names(ID, Kind::Pack).next().expect("has one");
    let written = sim.contents(&name).expect("exists");
    let hex = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(written.chunks(32).map(hex).collect::<Vec<_>>(), GOLDEN);

    let old = SimFs::new(2);
    let digits = GOLDEN.concat();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("digits");
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    old.create(&name).expect("new").pwrite(&bytes, 0).expect("writes");
    assert_eq!(verify(&old, ID, Kind::Pack), []);
    let unit = open(&old, ID, Kind::Pack).expect("sound");
    assert_eq!(unit.directory().expect("sound"), runs);
    for (info, (_, batches)) in runs.iter().zip(small()) {
        let index = unit.index(info.section).expect("sound");
        check_batches(&unit.run(&index), &batches, &mut Random::new(1));
    }
}
