//! The files of a folder: what they are for and what they hold.

use super::walk::{self, Known, SegmentSummary};
use super::{Contents, Damage, Folder, LogSummary, Refused};
use crate::drain;
use crate::journal::LOCK_FILE;
use crate::manifest::{self, Content};
use crate::reserve;
use crate::rest::FileId;
use crate::rest::table::{self, Table};
use crate::rest::unit::{self, Kind};

/// What a folder has.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// The segments of the chain, the oldest first.
    pub segments: Vec<SegmentSummary>,
    /// Every group up to this one was durable: the proven point D.
    pub durable_lsn: u64,
    /// The last group that a start would keep.
    pub last_lsn: u64,
    /// Free segment files with their lengths.
    pub pool: Vec<(String, u64)>,
    /// What the manifest says, once something rests.
    pub manifest: Option<ManifestSummary>,
    /// State tables, the base first.
    pub tables: Vec<TableSummary>,
    /// Resting files.
    pub units: Vec<UnitSummary>,
    /// The logs.
    pub logs: Vec<LogSummary>,
    /// The state's tables with the number of their rows.
    pub rows: Vec<(String, usize)>,
    /// Files that no start needs.
    pub leftovers: Vec<String>,
    /// What stood in the way.
    pub damages: Vec<Damage>,
}

/// What the manifest says.
#[derive(Clone, Debug)]
pub struct ManifestSummary {
    /// Identity of the folder.
    pub folder: [u8; 16],
    /// How often something was written to rest since the folder was made, by process.
    pub boot: u32,
    /// The state tables hold the effects of the groups up to this one.
    pub lsn: u64,
    /// Segments below this are not needed.
    pub wal_oldest: u64,
}

/// A state table.
#[derive(Clone, Debug)]
pub struct TableSummary {
    /// Its file.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Rows in it, deleted ones included; none when it cannot be read.
    pub entries: Option<u64>,
}

/// A resting file.
#[derive(Clone, Debug)]
pub struct UnitSummary {
    /// Its files, the one with the data first.
    pub files: Vec<String>,
    /// Whether it is the segment file of one hot log.
    pub hot: bool,
    /// Bytes of its files.
    pub bytes: u64,
    /// Logs of which it holds something.
    pub logs: u64,
    /// Records in it.
    pub records: u64,
    /// Records that nobody needs any more.
    pub dead: u64,
}

impl Folder {
    /// Says what is there. What is damaged is left out and told in [`Inventory::damages`].
    ///
    /// # Errors
    ///
    /// [`Refused`] when the folder cannot be listed.
    pub fn inspect(&self) -> Result<Inventory, Refused> {
        match self.contents() {
            Ok(contents) => self.of_contents(&contents),
            Err(Refused::Damaged(damage)) => self.of_files(damage),
            Err(error) => Err(error),
        }
    }

    fn of_contents(&self, contents: &Contents) -> Result<Inventory, Refused> {
        let names = self.names()?;
        let content = contents.content.as_ref();
        let mut inventory = Inventory {
            segments: contents.walked.segments.clone(),
            durable_lsn: contents.walked.durable_lsn,
            last_lsn: contents.walked.last_lsn,
            pool: self.pool(&names),
            manifest: content.map(ManifestSummary::of),
            logs: contents.logs(),
            rows: contents.tables(),
            leftovers: leftovers(&names, content),
            damages: contents.walked.damages.clone(),
            ..Inventory::default()
        };
        inventory.leftovers.extend(contents.walked.leftovers.iter().cloned());
        let Some(content) = content else { return Ok(inventory) };
        inventory.tables = self.tables(content);
        for (id, file) in &content.units {
            let kind = drain::kind_of(file);
            let mut unit = UnitSummary {
                files: unit::names(*id, kind).collect(),
                hot: matches!(kind, Kind::Hot { .. }),
                bytes: file.bytes,
                logs: 0,
                records: 0,
                dead: 0,
            };
            contents.count(*id, &mut unit);
            inventory.units.push(unit);
        }
        Ok(inventory)
    }

    /// What can be told without the state.
    fn of_files(&self, damage: Damage) -> Result<Inventory, Refused> {
        let names = self.names()?;
        let read = manifest::read(self.vfs.as_ref());
        let known = Known::of(&read);
        let content = read.ok().flatten();
        let walked = walk::walk(self.vfs.as_ref(), &names, known, &mut |_| Ok(()));
        let mut damages = vec![damage];
        damages.extend(walked.damages);
        Ok(Inventory {
            segments: walked.segments,
            durable_lsn: walked.durable_lsn,
            last_lsn: walked.last_lsn,
            pool: self.pool(&names),
            manifest: content.as_ref().map(ManifestSummary::of),
            tables: content.as_ref().map(|content| self.tables(content)).unwrap_or_default(),
            leftovers: walked.leftovers,
            damages,
            ..Inventory::default()
        })
    }

    fn pool(&self, names: &[String]) -> Vec<(String, u64)> {
        let free = names.iter().filter(|name| name.ends_with(".free"));
        let length = |name: &String| self.vfs.open(name).and_then(|file| file.length());
        free.map(|name| (name.clone(), length(name).unwrap_or_default())).collect()
    }

    fn tables(&self, content: &Content) -> Vec<TableSummary> {
        let summary = |file: &manifest::StateFile| TableSummary {
            file: table::name(file.id),
            bytes: file.bytes,
            entries: Table::open(self.vfs.as_ref(), file.id).ok().map(|table| table.len()),
        };
        content.state.iter().map(summary).collect()
    }
}

impl ManifestSummary {
    fn of(content: &Content) -> Self {
        Self {
            folder: content.folder,
            boot: content.boot,
            lsn: content.lsn,
            wal_oldest: content.wal_oldest,
        }
    }
}

impl Contents {
    /// Counts what a resting file holds.
    fn count(&self, id: FileId, summary: &mut UnitSummary) {
        let Some(directory) = self.unit(id).and_then(|unit| unit.directory().ok()) else { return };
        let state = self.view.state();
        for holding in directory {
            let needed = match state.run_in(holding.log, id.0, holding.base) {
                Some(_) => state.needed_in(holding.log, holding.base, holding.last),
                None => 0,
            };
            summary.logs += 1;
            summary.records += holding.records;
            summary.dead += holding.records.saturating_sub(needed);
        }
    }
}

/// Files that no start needs, but for segments.
pub(super) fn leftovers(names: &[String], content: Option<&Content>) -> Vec<String> {
    let mut needed: Vec<String> = [LOCK_FILE, "CURRENT", reserve::NAME].map(str::to_owned).into();
    if let Some(content) = content {
        let units = content.units.iter();
        needed.extend(units.flat_map(|(id, file)| unit::names(*id, drain::kind_of(file))));
        needed.extend(content.state.iter().map(|file| table::name(file.id)));
    }
    let kept = |name: &&String| {
        needed.contains(name)
            || [".seg", ".free", ".manifest"].iter().any(|end| name.ends_with(end))
    };
    names.iter().filter(|name| !kept(name)).cloned().collect()
}
