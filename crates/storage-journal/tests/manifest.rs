//! The manifest: what was acknowledged is there after any crash, and damage is not taken for one.

use std::io;
use std::sync::Arc;

use storage_journal::manifest::{
    self, ApplyError, BadEdit, Content, Edit, Manifest, OpenError, StateFile, UnitFile, UnitKind,
};
use storage_journal::random::Random;
use storage_journal::rest::FileId;
use storage_journal::sim::{CrashModel, Fault, SimFs};
use storage_journal::vfs::{Lock, Vfs, VfsFile, write_all};

const FOLDER: [u8; 16] = *b"folder identity!";
const LOG_BYTES: u32 = 16 << 10;

/// A disk that leaves something out.
#[derive(Debug, Default)]
struct Lax {
    inner: Option<Arc<dyn Vfs>>,
    no_file_sync: bool,
    no_folder_sync: bool,
}

impl Lax {
    fn inner(&self) -> &Arc<dyn Vfs> {
        self.inner.as_ref().expect("set by all")
    }

    fn file(&self, file: Arc<dyn VfsFile>) -> Arc<dyn VfsFile> {
        Arc::new(LaxFile { file, no_sync: self.no_file_sync })
    }
}

impl Vfs for Lax {
    fn create(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        Ok(self.file(self.inner().create(name)?))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn VfsFile>> {
        Ok(self.file(self.inner().open(name)?))
    }
    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.inner().create_dir(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner().rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner().remove(name)
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.inner().list(dir)
    }
    fn fsync_dir(&self, dir: &str) -> io::Result<()> {
        if self.no_folder_sync { Ok(()) } else { self.inner().fsync_dir(dir) }
    }
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        self.inner().lock(name)
    }
}

#[derive(Debug)]
struct LaxFile {
    file: Arc<dyn VfsFile>,
    no_sync: bool,
}

impl VfsFile for LaxFile {
    fn pread(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.pread(buffer, position)
    }
    fn pwrite(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        self.file.pwrite(bytes, position)
    }
    fn fdatasync(&self) -> io::Result<()> {
        if self.no_sync { Ok(()) } else { self.file.fdatasync() }
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.file.allocate(length)
    }
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}

fn shared(sim: &SimFs) -> Arc<dyn Vfs> {
    Arc::new(sim.clone())
}

fn create(sim: &SimFs) -> Manifest {
    let (manifest, _) =
        Manifest::create_sized(shared(sim), Content::new(FOLDER), LOG_BYTES).expect("creates");
    manifest
}

fn open(sim: &SimFs) -> Result<(Manifest, Content), OpenError> {
    Manifest::open(shared(sim)).map(|found| found.expect("there is a manifest"))
}

/// What a content is after an edit, told by the test itself.
fn after(content: &Content, edit: &Edit) -> Content {
    let mut next = content.clone();
    next.units.extend(edit.add_units.clone());
    next.units.retain(|id, _| !edit.remove_units.contains(id));
    next.state = edit.state.clone().unwrap_or(next.state);
    next.lsn = edit.lsn.unwrap_or(next.lsn);
    next.wal_oldest = edit.wal_oldest.unwrap_or(next.wal_oldest);
    next.boot = edit.boot.unwrap_or(next.boot);
    next
}

/// Some edit that fits.
fn edit(random: &mut Random, content: &Content, ids: &mut u32) -> Edit {
    let mut edit = Edit::default();
    let mut fresh = || {
        *ids += 1;
        FileId::new(content.boot, *ids)
    };
    let added = if random.chance(5) { 500 } else { random.below(4) };
    for _ in 0..added {
        let base = random.below(1000);
        let kind = if random.chance(50) { UnitKind::Pack } else { UnitKind::Hot { base } };
        edit.add_units.insert(fresh(), UnitFile { kind, bytes: random.below(1 << 40) });
    }
    let some = random.below(90);
    edit.remove_units = content.units.keys().filter(|_| random.chance(some)).copied().collect();
    if random.chance(40) {
        let mut state = content.state.clone();
        if random.chance(30) {
            state.clear();
        }
        state.push(StateFile { id: fresh(), bytes: random.below(1 << 30) });
        edit.state = Some(state);
        edit.lsn = Some(content.lsn + random.below(100));
    }
    edit.wal_oldest = random.chance(40).then(|| content.wal_oldest + random.below(3));
    edit.boot = random.chance(10).then(|| content.boot + 1);
    edit
}

/// An empty answer, or what is wrong.
type Told = Result<(), String>;

/// A folder over many crashes.
struct History {
    sim: SimFs,
    random: Random,
    lax: fn(Arc<dyn Vfs>) -> Arc<dyn Vfs>,
    ids: u32,
    /// What may be true after a start.
    allowed: Vec<Option<Content>>,
}

impl History {
    fn new(seed: u64, lax: fn(Arc<dyn Vfs>) -> Arc<dyn Vfs>) -> Self {
        let random = Random::new(u128::from(seed) << 64);
        Self { sim: SimFs::new(seed), random, lax, ids: 0, allowed: vec![None] }
    }

    fn start(&mut self) -> Result<Option<Manifest>, String> {
        let vfs = (self.lax)(shared(&self.sim));
        match Manifest::open(vfs.clone()) {
            Ok(Some((manifest, content))) => {
                if !self.allowed.contains(&Some(content.clone())) {
                    return Err(format!("found {content:?}\nwanted one of {:?}", self.allowed));
                }
                self.allowed = vec![Some(content)];
                Ok(Some(manifest))
            }
            Ok(None) if !self.allowed.contains(&None) => Err("the manifest is gone".into()),
            Ok(None) => {
                let initial = Content::new(FOLDER);
                let created = Manifest::create_sized(vfs, initial.clone(), 8 << 10);
                self.allowed = vec![Some(initial)];
                if created.is_err() {
                    self.allowed.push(None);
                }
                Ok(created.ok().map(|(manifest, _)| manifest))
            }
            Err(OpenError::Io { .. }) => Ok(None),
            Err(error) => Err(format!("refused: {error}")),
        }
    }

    fn round(&mut self) -> Told {
        if self.random.chance(50) {
            self.sim.die_after(self.random.below(60));
        }
        for (fault, percent) in
            [(Fault::NoSpace, 20), (Fault::ShortWrite, 20), (Fault::SyncFails, 15)]
        {
            if self.random.chance(percent) {
                self.sim.inject(fault, self.random.below(20));
            }
        }
        if let Some(mut manifest) = self.start()? {
            self.work(&mut manifest)?;
        }
        let model = if self.random.chance(60) { CrashModel::Power } else { CrashModel::Kill };
        if self.random.chance(20) {
            self.sim.evict();
        }
        self.sim = self.sim.crash(model);
        if self.random.chance(20) {
            self.sim.evict();
        }
        Ok(())
    }

    fn work(&mut self, manifest: &mut Manifest) -> Told {
        for _ in 0..self.random.below(15) {
            let before = manifest.content().clone();
            let edit = edit(&mut self.random, &before, &mut self.ids);
            let wanted = after(&before, &edit);
            let applied = manifest.apply(&edit);
            let now = if applied.is_ok() { &wanted } else { &before };
            if manifest.content() != now {
                return Err(format!("shows another content after {applied:?}"));
            }
            match applied {
                Ok(()) => self.allowed = vec![Some(wanted)],
                Err(ApplyError::NotWritten(_)) if !self.sim.is_dead() => {}
                Err(ApplyError::NotWritten(_) | ApplyError::SyncFailed(_)) => {
                    self.allowed.push(Some(wanted));
                    let dead = self.sim.is_dead();
                    let again = manifest.apply(&edit);
                    let poisoned = matches!(again, Err(ApplyError::Poisoned));
                    return if poisoned || dead { Ok(()) } else { Err("not poisoned".into()) };
                }
                Err(error) => return Err(format!("refused: {error}")),
            }
            if self.random.chance(10) {
                let witnessed = manifest.witness();
                if manifest.is_poisoned() {
                    return if witnessed.is_err() { Ok(()) } else { Err("poisoned".into()) };
                }
            }
        }
        Ok(())
    }
}

fn live_through(seed: u64, lax: fn(Arc<dyn Vfs>) -> Arc<dyn Vfs>) -> Told {
    let mut history = History::new(seed, lax);
    for round in 0..10 {
        history.round().map_err(|told| format!("seed {seed} round {round}: {told}"))?;
    }
    history.start().map_err(|told| format!("seed {seed} at the end: {told}"))?;
    Ok(())
}

#[test]
fn what_was_acknowledged_survives_every_crash_and_what_was_refused_never_appears() {
    let seeds = std::env::var("CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(300) {
        live_through(seed, |vfs| vfs).unwrap_or_else(|told| panic!("{told}"));
    }
}

#[test]
fn a_manifest_that_forgets_a_sync_is_found_out() {
    let no_file_sync: fn(Arc<dyn Vfs>) -> Arc<dyn Vfs> =
        |vfs| Arc::new(Lax { inner: Some(vfs), no_file_sync: true, ..Lax::default() });
    let no_folder_sync: fn(Arc<dyn Vfs>) -> Arc<dyn Vfs> =
        |vfs| Arc::new(Lax { inner: Some(vfs), no_folder_sync: true, ..Lax::default() });
    for lax in [no_file_sync, no_folder_sync] {
        let caught = (0..20).filter(|seed| live_through(*seed, lax).is_err()).count();
        assert!(caught > 15, "{caught} of 20 histories without a sync were found out");
    }
}

/// Ten edits, with two fresh files on the way.
fn script() -> Vec<(Edit, Content)> {
    let (mut random, mut ids) = (Random::new(5), 0);
    let mut content = Content::new(FOLDER);
    let mut script = Vec::new();
    for _ in 0..10 {
        let edit = edit(&mut random, &content, &mut ids);
        content = after(&content, &edit);
        script.push((edit, content.clone()));
    }
    script
}

#[test]
fn a_crash_in_any_operation_leaves_the_content_before_or_after() {
    let script = script();
    for model in [CrashModel::Power, CrashModel::Kill] {
        let mut finished = false;
        for operation in 0.. {
            for seed in 0..4 {
                let sim = SimFs::new(seed * 1000 + operation);
                sim.die_after(operation);
                let initial = Content::new(FOLDER);
                let created = Manifest::create_sized(shared(&sim), initial.clone(), LOG_BYTES);
                let mut allowed = vec![Some(initial)];
                finished = created.is_ok();
                match created {
                    Err(_) => allowed.push(None),
                    Ok((mut manifest, _)) => {
                        for (edit, content) in &script {
                            let applied = manifest.apply(edit);
                            if applied.is_ok() {
                                allowed.clear();
                            }
                            allowed.push(Some(content.clone()));
                            finished = applied.is_ok();
                            if applied.is_err() {
                                break;
                            }
                        }
                    }
                }
                let sim = sim.crash(model);
                let found = Manifest::open(shared(&sim)).expect("opens after any crash");
                let found = found.map(|(_, content)| content);
                assert!(allowed.contains(&found), "{model:?} {operation} seed {seed}: {found:?}");
                let sim = sim.crash(CrashModel::Power);
                let again = Manifest::open(shared(&sim)).expect("opens").map(|(_, one)| one);
                assert_eq!(again, found, "{model:?} {operation}: what was shown stays");
            }
            if finished {
                break;
            }
        }
        assert!(finished);
    }
}

#[test]
fn any_failure_of_any_operation_refuses_an_edit_for_good_or_poisons() {
    let script = script();
    for (fault, refuses, poisons) in [
        (Fault::NoSpace, true, false),
        (Fault::ShortWrite, false, false),
        (Fault::SyncFails, false, true),
    ] {
        let (mut refused, mut poisoned) = (0, 0);
        for after in 0..60 {
            let sim = SimFs::new(after);
            let mut manifest = create(&sim);
            sim.inject(fault, after);
            let mut before = Content::new(FOLDER);
            for (edit, content) in &script {
                match manifest.apply(edit) {
                    Ok(()) => {}
                    Err(ApplyError::NotWritten(_)) => {
                        refused += 1;
                        assert_eq!(manifest.content(), &before);
                        // Killed now, it finds what was before.
                        assert_eq!(manifest::read(&sim).expect("sound"), Some(before.clone()));
                        manifest.apply(edit).expect("the fault is spent");
                    }
                    Err(ApplyError::SyncFailed(_)) => {
                        poisoned += 1;
                        assert!(manifest.is_poisoned() && manifest.content() == &before);
                        assert!(matches!(manifest.apply(edit), Err(ApplyError::Poisoned)));
                        assert!(matches!(manifest.witness(), Err(ApplyError::Poisoned)));
                        let sim = sim.crash(CrashModel::Kill);
                        if after % 2 == 0 {
                            sim.evict();
                        }
                        let (_, found) = open(&sim).expect("opens");
                        assert!(found == before || found == *content);
                        sim.evict();
                        let (_, again) = open(&sim.crash(CrashModel::Power)).expect("opens");
                        assert_eq!(again, found, "what was shown was made durable first");
                        break;
                    }
                    Err(error) => panic!("{error}"),
                }
                before = content.clone();
            }
        }
        assert_eq!((refused > 5, poisoned > 15), (refuses, poisons), "{refused} {poisoned}");
        assert!((refused == 0) != refuses && (poisoned == 0) != poisons);
    }
}

/// The only manifest of a folder.
fn file(sim: &SimFs) -> String {
    let names = sim.list("").expect("alive");
    let mut names = names.into_iter().filter(|name| name.ends_with(".manifest"));
    let name = names.next().expect("there is one");
    assert_eq!(names.next(), None, "one manifest only");
    name
}

/// A folder with a snapshot and two edits, all acknowledged, its content, and that before the last.
fn two_edits() -> (SimFs, Manifest, Content, Content) {
    let sim = SimFs::new(1);
    let mut manifest = create(&sim);
    let mut before = manifest.content().clone();
    for lsn in [10, 20] {
        before = manifest.content().clone();
        let ids = [FileId::new(1, lsn), FileId::new(1, lsn + 1)];
        let unit = UnitFile { kind: UnitKind::Hot { base: 7 }, bytes: 8 };
        let edit = Edit {
            add_units: ids.into_iter().map(|id| (id, unit)).collect(),
            lsn: Some(lsn.into()),
            ..Edit::default()
        };
        manifest.apply(&edit).expect("applies");
    }
    let content = manifest.content().clone();
    (sim, manifest, content, before)
}

const EDITS_AT: usize = 12_288;
/// Where the log of [`two_edits`] ends.
const END: usize = EDITS_AT + 3 * 4096;

#[test]
fn every_flipped_bit_of_what_was_acknowledged_is_found() {
    let (sim, mut manifest, content, _) = two_edits();
    manifest.witness().expect("syncs");
    let name = file(&sim);
    let length = sim.contents(&name).expect("there").len();
    assert_eq!(length, EDITS_AT + 4096 + LOG_BYTES as usize);
    for byte in 0..length {
        let block = byte % 4096;
        let one = byte as u8 % 8;
        let bits = if (160..4080).contains(&block) { one..one + 1 } else { 0..8 };
        for bit in bits {
            sim.flip_bit(&name, byte, bit);
            let found = manifest::read(&sim);
            let acknowledged = byte < 4096 || (EDITS_AT..END).contains(&byte);
            match found {
                Err(OpenError::Damaged { .. }) => assert!(acknowledged, "byte {byte} bit {bit}"),
                Ok(Some(found)) => {
                    // A witness stands twice, and behind the log there is nothing to find.
                    assert!(!acknowledged, "byte {byte} bit {bit} goes unseen");
                    assert_eq!(found, content);
                }
                other => panic!("byte {byte} bit {bit}: {other:?}"),
            }
            sim.flip_bit(&name, byte, bit);
        }
    }
    for byte in 0..64 {
        for bit in 0..8 {
            sim.flip_bit("CURRENT", byte, bit);
            let found = open(&sim);
            assert!(matches!(found, Err(OpenError::Damaged { .. })), "byte {byte} bit {bit}");
            sim.flip_bit("CURRENT", byte, bit);
        }
    }
    assert_eq!(open(&sim).expect("as it was").1, content);
}

#[test]
fn damage_in_the_last_edit_is_found_after_a_kill_and_after_a_power_cut_once_it_is_witnessed() {
    let (sim, _, _, _) = two_edits();
    let name = file(&sim);
    let killed = sim.crash(CrashModel::Kill);
    killed.flip_bit(&name, END - 4096 + 40, 1);
    assert!(matches!(open(&killed), Err(OpenError::Damaged { .. })), "the witness was written");

    for seed in 0..20 {
        let sim = SimFs::new(seed);
        let mut manifest = create(&sim);
        manifest.apply(&Edit { boot: Some(1), ..Edit::default() }).expect("applies");
        manifest.witness().expect("syncs");
        let cut = sim.crash(CrashModel::Power);
        cut.flip_bit(&file(&cut), EDITS_AT + 4096 + 40, 1);
        assert!(matches!(open(&cut), Err(OpenError::Damaged { .. })), "the witness was synced");
    }
}

#[test]
fn damage_in_the_very_last_edit_before_its_witness_is_on_disk_looks_like_a_torn_tail() {
    let (mut found_out, mut dropped) = (0, 0);
    for seed in 0..40 {
        let sim = SimFs::new(seed);
        let mut manifest = create(&sim);
        manifest.apply(&Edit { boot: Some(1), ..Edit::default() }).expect("applies");
        let cut = sim.crash(CrashModel::Power);
        cut.flip_bit(&file(&cut), EDITS_AT + 4096 + 40, 1);
        match open(&cut) {
            Err(OpenError::Damaged { .. }) => found_out += 1,
            Ok((_, content)) => {
                assert_eq!(content, Content::new(FOLDER));
                dropped += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(found_out > 0 && dropped > 0, "{found_out} {dropped}");
}

#[test]
fn a_full_disk_takes_edits_until_the_reserved_space_is_used_up_and_goes_on_later() {
    let sim = SimFs::new(1);
    let (mut manifest, _) =
        Manifest::create_sized(shared(&sim), Content::new(FOLDER), 64 << 10).expect("creates");
    sim.set_capacity(Some(sim.taken_bytes()));
    let edit = |lsn| Edit { lsn: Some(lsn), ..Edit::default() };
    for lsn in 1..=16 {
        manifest.apply(&edit(lsn)).expect("there is space for 16");
    }
    for _ in 0..3 {
        let refused = manifest.apply(&edit(17));
        assert!(matches!(refused, Err(ApplyError::NotWritten(_))), "{refused:?}");
        assert_eq!(manifest.content().lsn, 16);
    }
    assert_eq!(sim.list("").expect("alive").len(), 2, "nothing is left of the attempts");
    sim.set_capacity(None);
    for lsn in 17..=100 {
        manifest.apply(&edit(lsn)).expect("there is space");
    }
    assert_eq!(sim.list("").expect("alive").len(), 2, "CURRENT and one manifest");
    let sim = sim.crash(CrashModel::Power);
    assert_eq!(open(&sim).expect("opens").1.lsn, 100);
}

#[test]
fn a_start_on_a_full_disk_proves_the_tail_in_its_place() {
    for seed in 0..40 {
        let sim = SimFs::new(seed);
        let mut manifest = create(&sim);
        sim.inject(Fault::SyncFails, 0);
        let edit = Edit { boot: Some(1), ..Edit::default() };
        assert!(matches!(manifest.apply(&edit), Err(ApplyError::SyncFailed(_))));
        let sim = sim.crash(if seed % 2 == 0 { CrashModel::Kill } else { CrashModel::Power });
        sim.set_capacity(Some(sim.taken_bytes()));
        let opened = open(&sim).expect("opens");
        let sim = sim.crash(CrashModel::Power);
        assert_eq!(open(&sim).expect("opens").1, opened.1);
    }
}

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> SimFs {
    let sim = SimFs::new(1);
    for (name, bytes) in files {
        write_all(sim.create(name).expect("new").as_ref(), bytes, 0).expect("writes");
    }
    sim
}

#[test]
fn a_dropped_tail_never_returns() {
    let mut dropped = 0;
    for seed in 0..40 {
        let sim = SimFs::new(seed);
        let mut manifest = create(&sim);
        manifest.apply(&Edit { boot: Some(1), ..Edit::default() }).expect("applies");
        let sim = sim.crash(CrashModel::Power);
        let name = file(&sim);
        sim.flip_bit(&name, EDITS_AT + 4096 + 40, 1);
        if let Ok((_, content)) = open(&sim) {
            assert_eq!(content, Content::new(FOLDER));
            let sim = sim.crash(CrashModel::Power);
            sim.flip_bit(&name, EDITS_AT + 4096 + 40, 1);
            assert_eq!(open(&sim).expect("opens").1, content, "seed {seed}");
            dropped += 1;
        }
    }
    assert!(dropped > 5, "{dropped}");
}

#[test]
fn without_its_witnesses_an_edit_is_still_proven_by_the_edit_that_follows() {
    let (sim, _, _, before) = two_edits();
    let (name, current) = (file(&sim), sim.contents("CURRENT").expect("there"));
    let mut bytes = sim.contents(&name).expect("there");
    let fresh = SimFs::new(1);
    drop(create(&fresh));
    let fresh = fresh.contents(&name).expect("the same identity");
    bytes[4096..EDITS_AT].copy_from_slice(&fresh[4096..EDITS_AT]);
    for (edit, followed) in [(0, true), (1, true), (2, false)] {
        let mut bytes = bytes.clone();
        bytes[EDITS_AT + edit * 4096 + 40] ^= 1;
        match open(&folder(&[(&name, &bytes), ("CURRENT", &current)])) {
            Ok((_, content)) => assert!(!followed && content == before),
            Err(OpenError::Damaged { .. }) => assert!(followed),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_witness_that_was_written_in_part_leaves_the_one_before_it() {
    for seed in 0..10 {
        let sim = SimFs::new(seed);
        let mut manifest = create(&sim);
        for boot in 1..=2 {
            if boot == 2 {
                // The edit is the first write, its witness the second.
                sim.inject(Fault::NoSpace, 1);
            }
            manifest.apply(&Edit { boot: Some(boot), ..Edit::default() }).expect("applies");
        }
        let (name, current) = (file(&sim), sim.contents("CURRENT").expect("there"));
        let found = manifest::read(&sim).expect("sound").expect("there");
        assert_eq!(found.boot, 2);
        let mut bytes = sim.contents(&name).expect("there");
        bytes[EDITS_AT + 4096..].fill(0);
        let lost = open(&folder(&[(&name, &bytes), ("CURRENT", &current)]));
        assert!(matches!(lost, Err(OpenError::Damaged { .. })), "the first edit was witnessed");
    }
}

#[test]
fn a_missing_or_exchanged_file_is_refused_and_never_a_fresh_start() {
    let (sim, _, content, _) = two_edits();
    let name = file(&sim);
    let bytes = sim.contents(&name).expect("there");
    let current = sim.contents("CURRENT").expect("there");
    let refused = |files: &[(&str, &[u8])]| open(&folder(files)).map(|_| ()).expect_err("refused");

    let both = [(name.as_str(), bytes.as_slice()), ("CURRENT", &current)];
    assert_eq!(open(&folder(&both)).expect("opens").1, content);
    assert!(matches!(refused(&both[..1]), OpenError::CurrentMissing { newest: 1 }));
    assert!(matches!(refused(&both[1..]), OpenError::ManifestMissing { number: 1 }));
    for length in [0, 10, 63] {
        assert!(matches!(
            refused(&[both[0], ("CURRENT", &current[..length])]),
            OpenError::Damaged { .. }
        ));
    }
    for length in [0, 100, 4096, 12_288, 12_290, 16_384, 20_480] {
        let error = refused(&[(&name, &bytes[..length]), both[1]]);
        assert!(matches!(error, OpenError::Damaged { .. }), "{length}: {error}");
    }

    // The same file of another folder.
    let other = SimFs::new(1);
    drop(Manifest::create_sized(shared(&other), Content::new([1; 16]), LOG_BYTES).expect("new"));
    let foreign = other.contents(&name).expect("there");
    assert!(matches!(refused(&[(&name, &foreign), both[1]]), OpenError::Damaged { .. }));

    // CURRENT from before a newer manifest took over.
    let mut manifest = open(&sim).expect("opens").0;
    while file(&sim) == name {
        let boot = manifest.content().boot + 1;
        manifest.apply(&Edit { boot: Some(boot), ..Edit::default() }).expect("applies");
    }
    let (newer, newer_bytes) = (file(&sim), sim.contents(&file(&sim)).expect("there"));
    let error = refused(&[both[0], both[1], (&newer, &newer_bytes)]);
    assert!(matches!(error, OpenError::CurrentOld { current: 1, newer: 2 }), "{error}");
}

#[test]
fn a_read_that_fails_is_an_error_and_never_a_fresh_start() {
    let (sim, _, content, _) = two_edits();
    for after in 0..2 {
        sim.inject(Fault::ReadFails, after);
        assert!(matches!(open(&sim), Err(OpenError::Io { .. })));
        assert_eq!(open(&sim).expect("the fault is spent").1, content);
    }
}

#[test]
fn only_a_folder_without_any_of_it_has_no_manifest_and_one_with_it_is_not_made_again() {
    let sim = SimFs::new(1);
    sim.create("00000000000000000001.seg").expect("another file");
    assert!(Manifest::open(shared(&sim)).expect("nothing there").is_none());
    assert_eq!(manifest::read(&sim).expect("nothing there"), None);
    drop(create(&sim));
    let again = Manifest::create(shared(&sim), Content::new(FOLDER));
    assert_eq!(again.expect_err("there is one").kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn edits_that_do_not_fit_are_refused_and_write_nothing() {
    let (sim, mut manifest, content, _) = two_edits();
    let operations = sim.operations();
    let unknown = Edit { remove_units: vec![FileId(99)], ..Edit::default() };
    let refused = manifest.apply(&unknown);
    assert!(matches!(refused, Err(ApplyError::Refused(BadEdit::Unknown(FileId(99))))));
    assert_eq!((manifest.content(), sim.operations()), (&content, operations));
}

#[test]
fn opening_again_after_a_clean_stop_or_a_kill_changes_nothing_on_disk() {
    let (sim, manifest, content, _) = two_edits();
    drop(manifest);
    let sim = sim.crash(CrashModel::Kill);
    let operations = sim.operations();
    assert_eq!(open(&sim).expect("opens").1, content);
    assert_eq!(sim.operations(), operations, "the witness proves the tail");
}

#[test]
fn the_bytes_of_a_manifest_are_those_of_format_1() {
    let (sim, _, _, _) = two_edits();
    let name = file(&sim);
    assert_eq!(name, "00000000000000000001.manifest");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut lines = Vec::new();
    for file in ["CURRENT", name.as_str()] {
        for (line, bytes) in sim.contents(file).expect("there").chunks(32).enumerate() {
            if bytes.iter().any(|byte| *byte != 0) {
                lines.push(format!("{:05x} {}", line * 32, hex(bytes)));
            }
        }
    }
    assert_eq!(lines, GOLDEN, "{lines:#?}");
}

const GOLDEN: &[&str] = &[
    "00000 524d51435552525401000000000000000000000000000000666f6c6465722069",
    "00020 64656e74697479210100000000000000c0d761bb00000000000000001ad3188d",
    "00000 524d514d414e494601000000000000000000000000000000666f6c6465722069",
    "00020 64656e7469747921010000000000000001000000000000000040000000000000",
    "00fe0 00000000000000000000000000000000000000000000000000000000c0d761bb",
    "01000 524d515749544e53030000000000000000000000000000000000000000000000",
    "01020 00000000000000000000000000000000000000000000000000000000dd4f1c65",
    "02000 524d515749544e53020000000000000000000000000000000000000000000000",
    "02020 0000000000000000000000000000000000000000000000000000000077bb72c1",
    "03000 454449541c0000000100000000000000c0d761bb010000008a0530fc00000000",
    "03020 0100000000020000000000000000030000000000000000040000000000000000",
    "03fe0 00000000000000000000000000000000000000000000000000000000000000ed",
    "04000 454449544000000002000000000000008a0530fc02000000c4dfe2bf00000000",
    "04020 020a0000000000000005020000000a0000000100000001070000000000000008",
    "04040 000000000000000b000000010000000107000000000000000800000000000000",
    "04fe0 00000000000000000000000000000000000000000000000000000000000000ed",
    "05000 45444954400000000300000000000000c4dfe2bf020000002378d71600000000",
    "05020 0214000000000000000502000000140000000100000001070000000000000008",
    "05040 0000000000000015000000010000000107000000000000000800000000000000",
    "05fe0 00000000000000000000000000000000000000000000000000000000000000ed",
];
