//! Looking at a folder that no server uses: every flipped bit that counts is found, nothing else
//! is called damage, and nothing is changed by it.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use storage::{Engine, LogId, Mode};
use storage_journal::audit::{Contents, Damage, Folder, Inventory, Part, Refused, Verdict};
use storage_journal::random::Random;
use storage_journal::segment::{FIRST_GROUP, SegmentHeader};
use storage_journal::sim::{CrashModel, SimFs};
use storage_journal::vfs::Vfs;
use storage_journal::{Journal, Options, manifest};

use crate::chain::Chain;
use crate::damage::{Shown, rested, show, small_log};
use crate::history::History;
use crate::writes::{create, durable, put, record};

fn folder(sim: &SimFs) -> Folder {
    Folder::open(Arc::new(sim.clone())).expect("nobody uses it")
}

fn verify(sim: &SimFs) -> Verdict {
    folder(sim).verify().expect("it can be listed")
}

/// What is wrong, but for a witness that a process has not lived to write as a whole: that cannot be
/// told from a flipped bit, and the other witness is good.
fn wrong(sim: &SimFs) -> Vec<Damage> {
    let mut damages = verify(sim).damages;
    damages.retain(|damage| damage.part != Part::Witness || sim.counts().deaths == 0);
    damages
}

/// The bytes of each file that a start believes: everything else is told in the docs of `audit`.
fn believed(sim: &SimFs) -> Vec<(String, Range<usize>)> {
    let chain = Chain::read(sim);
    let mut believed: Vec<_> =
        chain.proven().map(|group| (group.name.clone(), group.range.clone())).collect();
    let content = manifest::read(sim).expect("good").expect("something rests");
    let oldest = content.wal_oldest.max(chain.newest.map_or(0, |newest| newest.oldest));
    for name in sim.list("").expect("alive") {
        let bytes = sim.contents(&name).expect("exists");
        let whole = match name.rsplit_once('.').map(|(_, end)| end) {
            Some("seg") => {
                let header = SegmentHeader::decode(&bytes).expect("good");
                if header.sequence < oldest { continue } else { FIRST_GROUP as usize }
            }
            Some("free" | "reserve") => continue,
            Some("manifest") => {
                // The last edit ends with its mark; what is behind it is reserved space.
                bytes.iter().rposition(|byte| *byte != 0).expect("edits") + 1
            }
            Some(_) | None if name == "lock" => continue,
            Some(_) | None => bytes.len(),
        };
        believed.push((name, 0..whole));
    }
    believed
}

#[test]
fn every_flipped_bit_that_a_start_would_believe_is_found_with_its_file() {
    let mut kinds = BTreeSet::new();
    for seed in 0..4 {
        let (history, _) = rested(seed);
        let sim = &history.sim;
        assert_eq!(verify(sim).damages, [], "seed {seed}: nothing is damaged yet");
        let mut random = Random::new(seed.into());
        for (name, range) in believed(sim) {
            kinds.insert(name.rsplit_once('.').map_or(name.clone(), |(_, end)| end.to_owned()));
            let edges = [range.start, range.end - 1];
            let within = (0..10).map(|_| random.below(range.len() as u64) as usize + range.start);
            for byte in edges.into_iter().chain(within.collect::<Vec<_>>()) {
                let bit = random.below(8) as u8;
                assert!(sim.flip_bit(&name, byte, bit));
                let damages = verify(sim).damages;
                let told = damages.iter().any(|damage| damage.file == name);
                assert!(told, "seed {seed}: bit {bit} of byte {byte} of {name}: {damages:?}");
                assert!(sim.flip_bit(&name, byte, bit));
            }
        }
        assert_eq!(verify(sim).damages, [], "seed {seed}: all is as it was");
    }
    let all = ["CURRENT", "idx", "log", "manifest", "pack", "seg", "state"];
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn every_byte_of_a_small_log_is_looked_at() {
    let sim = small_log();
    let chain = Chain::read(&sim);
    let name = chain.groups[0].name.clone();
    let end = chain.proven().last().expect("proven").range.end;
    for byte in 0..end {
        assert!(sim.flip_bit(&name, byte, byte as u8 % 8));
        let damages = verify(&sim).damages;
        let place = damages.first().map(|damage| damage.position as usize);
        assert!(place.is_some_and(|place| place <= byte), "byte {byte}: {damages:?}");
        assert!(sim.flip_bit(&name, byte, byte as u8 % 8));
    }
    assert_eq!(verify(&sim).damages, []);
}

#[test]
fn what_a_crash_leaves_is_no_damage() {
    for seed in 0..60 {
        let mut history = History::new(seed);
        history.run(40).expect("a good history");
        for model in [CrashModel::Kill, CrashModel::Power] {
            history.end(model);
            assert_eq!(wrong(&history.sim), [], "seed {seed} after {model:?}");
            history.sim.die_after(seed % 40);
            history.start().expect("it may end, but says nothing wrong");
        }
        history.end(CrashModel::Power);
        assert_eq!(wrong(&history.sim), [], "seed {seed} after a start that has ended");
    }
}

#[test]
fn a_file_that_is_gone_is_told_by_name() {
    let (history, _) = rested(1);
    let content = manifest::read(&history.sim).expect("good").expect("something rests");
    let newest = Chain::read(&history.sim).newest.expect("segments").sequence;
    let mut told = 0;
    for (name, _) in believed(&history.sim) {
        // Nothing names the newest segment, and a segment stands there once for each group.
        if name.ends_with(".seg") && name.contains(&newest.to_string()) {
            continue;
        }
        let sim = history.sim.fork(1);
        if sim.remove(&name).is_ok() {
            let damages = verify(&sim).damages;
            let found = damages.iter().any(|damage| damage.file == name);
            assert!(found || name == "CURRENT", "{name}: {damages:?}");
            assert!(!damages.is_empty(), "{name}");
            told += 1;
        }
    }
    assert!(told > content.units.len(), "{told} files were removed");
}

#[test]
fn looking_changes_nothing_and_waits_for_the_server() {
    let (history, _) = rested(2);
    let sim = &history.sim;
    let before: Vec<_> = files(sim);
    let writes = sim.counts().writes;
    let look = folder(sim);
    look.verify().expect("listed");
    look.inspect().expect("listed");
    look.contents().expect("good");
    assert_eq!(files(sim), before);
    assert_eq!(sim.counts().writes, writes);
    let open = || Journal::open_inline(Arc::new(sim.clone()), Options::default());
    assert!(open().is_err(), "a server must wait as well");
    drop(look);
    let journal = open().expect("good");
    let refused = Folder::open(Arc::new(sim.clone()));
    assert!(matches!(refused, Err(Refused::InUse)), "{refused:?}");
    drop(journal);
    let empty = Folder::open(Arc::new(SimFs::new(1)));
    assert!(matches!(empty, Err(Refused::Foreign)), "{empty:?}");
}

fn files(sim: &SimFs) -> Vec<(String, Vec<u8>)> {
    let names = sim.list("").expect("alive").into_iter();
    names.map(|name| (name.clone(), sim.contents(&name).expect("exists"))).collect()
}

fn batches(contents: &Contents) -> Shown {
    let mut shown = Shown::new();
    for log in contents.logs() {
        let mut take = |batch: &storage::StoredBatch| {
            shown.insert((log.log, batch.base), batch.bytes.to_vec());
            ControlFlow::Continue(())
        };
        contents.read(log.log, 0, &mut take).expect("readable");
    }
    shown
}

#[test]
fn what_is_shown_is_what_a_server_would_show() {
    for seed in 0..4 {
        let (history, _) = rested(seed);
        let contents = folder(&history.sim).contents().expect("good");
        let shown = batches(&contents);
        let rows: Vec<_> = contents.tables();
        let mut served = history.fork(1);
        served.start().expect("a good disk");
        let (expected, failed) = show(&served);
        assert_eq!(failed, 0);
        // Logs of memory are empty after a start; they keep nothing on the disk either.
        assert_eq!(shown, expected, "seed {seed}");
        let journal = served.journal().expect("runs");
        for (table, count) in rows {
            let ours = contents.rows(&table, b"", usize::MAX);
            assert_eq!(ours.len(), count);
            let table: &'static str = table.leak();
            assert_eq!(ours, journal.scan(table, b"", usize::MAX), "seed {seed}");
        }
    }
}

#[test]
fn records_before_the_damage_are_shown_and_the_damage_is_told() {
    let sim = SimFs::new(1);
    let log = LogId(1);
    let journal = Journal::open_inline(Arc::new(sim.clone()), Options::default()).expect("empty");
    storage::suite::commit(&journal, durable([create(log, Mode::Durable)])).expect("space");
    for value in 0..3 {
        storage::suite::commit(&journal, durable([record(log, (value, 60), &[])])).expect("space");
    }
    storage::suite::commit(&journal, durable([put("k", 20)])).expect("space");
    drop(journal);
    let sim = sim.crash(CrashModel::Kill);
    let third = Chain::read(&sim).groups.remove(2);
    assert!(sim.flip_bit(&third.name, third.range.start + 100, 3));
    let contents = folder(&sim).contents().expect("it can be read up to there");
    assert_eq!(contents.damages().len(), 1, "{:?}", contents.damages());
    assert_eq!(batches(&contents).len(), 1);
}

#[test]
fn the_inventory_adds_up() {
    let (history, shown) = rested(3);
    let inventory: Inventory = folder(&history.sim).inspect().expect("listed");
    assert_eq!(inventory.damages, []);
    assert!(!inventory.segments.is_empty() && !inventory.tables.is_empty());
    assert!(inventory.durable_lsn <= inventory.last_lsn);
    let groups: u64 = inventory.segments.iter().map(|segment| segment.groups).sum();
    let first = inventory.segments[0].first_lsn;
    assert_eq!(first + groups - 1, inventory.last_lsn, "groups are dense");
    assert!(inventory.units.iter().any(|unit| unit.records > 0 && unit.dead <= unit.records));
    let logs: BTreeSet<_> = shown.keys().map(|(log, _)| *log).collect();
    let visible = inventory.logs.iter().filter(|log| log.bounds.records > 0);
    assert_eq!(visible.map(|log| log.log).collect::<BTreeSet<_>>(), logs);
}
