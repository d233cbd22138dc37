//! What a manifest says, what changes it, and the bytes of both; no I/O.

use std::collections::BTreeMap;

use crate::frame::{u32_at, u64_at};
use crate::manifest::layout::BODY_BYTES_MAX;
use crate::rest::FileId;

/// Everything that the manifest says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// How often the folder was started.
    pub boot: u32,
    /// The files that hold batches.
    pub units: BTreeMap<FileId, UnitFile>,
    /// The state tables: the base first, then the deltas, oldest first.
    pub state: Vec<StateFile>,
    /// The state tables hold all effects of the groups up to this one.
    pub lsn: u64,
    /// Segments of the shared log below this sequence are not needed.
    pub wal_oldest: u64,
    /// Identity of the data folder.
    pub folder: [u8; 16],
}

/// A file that holds batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitFile {
    /// How it holds them.
    pub kind: UnitKind,
    /// Length of the file.
    pub bytes: u64,
}

/// How a file holds batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKind {
    /// Batches of many logs, sorted.
    Pack,
    /// Batches of one log, back to back.
    Hot {
        /// Offset of the first one; part of the file's name.
        base: u64,
    },
}

/// A state table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateFile {
    /// Its id.
    pub id: FileId,
    /// Length of the file.
    pub bytes: u64,
}

/// A change of the content that happens as a whole; what is empty stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Units that exist from now on.
    pub add_units: BTreeMap<FileId, UnitFile>,
    /// Units that do not exist any more.
    pub remove_units: Vec<FileId>,
    /// The whole new list of state tables.
    pub state: Option<Vec<StateFile>>,
    /// See [`Content::lsn`].
    pub lsn: Option<u64>,
    /// See [`Content::wal_oldest`].
    pub wal_oldest: Option<u64>,
    /// See [`Content::boot`].
    pub boot: Option<u32>,
}

/// Why an edit does not fit a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEdit {
    /// It adds a unit that exists; ids are never used again.
    #[error("unit {0} exists already")]
    Exists(FileId),
    /// It removes a unit that does not exist.
    #[error("unit {0} does not exist")]
    Unknown(FileId),
    /// It names a state table twice.
    #[error("state table {0} is named twice")]
    Twice(FileId),
    /// A number that only grows would shrink.
    #[error("{0} goes back")]
    GoesBack(&'static str),
    /// The content would be longer than any that is read back.
    #[error("the content is too long")]
    TooLong,
}

const BOOT: u8 = 1;
const LSN: u8 = 2;
const WAL_OLDEST: u8 = 3;
const STATE: u8 = 4;
const ADDED: u8 = 5;
const REMOVED: u8 = 6;

const PACK: u8 = 0;
const HOT: u8 = 1;

impl Content {
    /// The content of a folder in which nothing rests yet.
    pub fn new(folder: [u8; 16]) -> Self {
        Self { folder, ..Self::default() }
    }

    /// What is true after an edit.
    pub(super) fn after(&self, edit: &Edit) -> Result<Self, BadEdit> {
        let mut next = self.clone();
        next.apply(edit)?;
        Ok(next)
    }

    /// Applies an edit; after an error the content is of no use.
    pub(super) fn apply(&mut self, edit: &Edit) -> Result<(), BadEdit> {
        for (id, unit) in &edit.add_units {
            if self.units.insert(*id, *unit).is_some() {
                return Err(BadEdit::Exists(*id));
            }
        }
        for id in &edit.remove_units {
            if edit.add_units.contains_key(id) || self.units.remove(id).is_none() {
                return Err(BadEdit::Unknown(*id));
            }
        }
        if let Some(state) = &edit.state {
            let mut ids: Vec<_> = state.iter().map(|file| file.id).collect();
            ids.sort_unstable();
            if let Some([twice, _]) = ids.array_windows().find(|[one, other]| one == other) {
                return Err(BadEdit::Twice(*twice));
            }
            self.state.clone_from(state);
        }
        grow(&mut self.boot, edit.boot, "the boot counter")?;
        grow(&mut self.lsn, edit.lsn, "the lsn of the state")?;
        grow(&mut self.wal_oldest, edit.wal_oldest, "the oldest segment")?;
        let units = self.units.len() + edit.remove_units.len();
        let longest = 64 + 25 * units + 16 * self.state.len();
        if longest > BODY_BYTES_MAX { Err(BadEdit::TooLong) } else { Ok(()) }
    }

    /// The edit that makes this of an empty content.
    pub(super) fn snapshot(&self) -> Edit {
        Edit {
            add_units: self.units.clone(),
            remove_units: Vec::new(),
            state: Some(self.state.clone()),
            lsn: Some(self.lsn),
            wal_oldest: Some(self.wal_oldest),
            boot: Some(self.boot),
        }
    }
}

fn grow<T: Copy + PartialOrd>(
    number: &mut T,
    told: Option<T>,
    what: &'static str,
) -> Result<(), BadEdit> {
    match told {
        Some(told) if told < *number => Err(BadEdit::GoesBack(what)),
        Some(told) => {
            *number = told;
            Ok(())
        }
        None => Ok(()),
    }
}

impl Edit {
    /// The body of the edit.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(boot) = self.boot {
            out.push(BOOT);
            out.extend_from_slice(&boot.to_le_bytes());
        }
        for (tag, number) in [(LSN, self.lsn), (WAL_OLDEST, self.wal_oldest)] {
            if let Some(number) = number {
                out.push(tag);
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        if let Some(state) = &self.state {
            list(&mut out, STATE, state.len());
            for file in state {
                out.extend_from_slice(&file.id.0.to_le_bytes());
                out.extend_from_slice(&file.bytes.to_le_bytes());
            }
        }
        if !self.add_units.is_empty() {
            list(&mut out, ADDED, self.add_units.len());
            for (id, unit) in &self.add_units {
                let (kind, base) = match unit.kind {
                    UnitKind::Pack => (PACK, 0),
                    UnitKind::Hot { base } => (HOT, base),
                };
                out.extend_from_slice(&id.0.to_le_bytes());
                out.push(kind);
                out.extend_from_slice(&base.to_le_bytes());
                out.extend_from_slice(&unit.bytes.to_le_bytes());
            }
        }
        if !self.remove_units.is_empty() {
            list(&mut out, REMOVED, self.remove_units.len());
            for id in &self.remove_units {
                out.extend_from_slice(&id.0.to_le_bytes());
            }
        }
        out
    }

    /// Reads a body; `None` when it is not one that this version writes.
    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let mut edit = Self::default();
        let mut body = Body { bytes: body, at: 0 };
        while body.at < body.bytes.len() {
            match body.u8()? {
                BOOT => edit.boot = Some(body.u32()?),
                LSN => edit.lsn = Some(body.u64()?),
                WAL_OLDEST => edit.wal_oldest = Some(body.u64()?),
                STATE => {
                    let mut state = Vec::new();
                    for _ in 0..body.u32()? {
                        state.push(StateFile { id: FileId(body.u64()?), bytes: body.u64()? });
                    }
                    edit.state = Some(state);
                }
                ADDED => {
                    for _ in 0..body.u32()? {
                        let (id, unit) = body.unit()?;
                        edit.add_units.insert(id, unit);
                    }
                }
                REMOVED => {
                    for _ in 0..body.u32()? {
                        edit.remove_units.push(FileId(body.u64()?));
                    }
                }
                _ => return None,
            }
        }
        Some(edit)
    }
}

fn list(out: &mut Vec<u8>, tag: u8, count: usize) {
    out.push(tag);
    let count = u32::try_from(count).expect("bounded by the length of a body");
    out.extend_from_slice(&count.to_le_bytes());
}

/// Reads a body from front to back.
struct Body<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Body<'_> {
    fn u8(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn u32(&mut self) -> Option<u32> {
        let number = u32_at(self.bytes, self.at)?;
        self.at += 4;
        Some(number)
    }

    fn u64(&mut self) -> Option<u64> {
        let number = u64_at(self.bytes, self.at)?;
        self.at += 8;
        Some(number)
    }

    fn unit(&mut self) -> Option<(FileId, UnitFile)> {
        let id = FileId(self.u64()?);
        let (kind, base) = (self.u8()?, self.u64()?);
        let kind = match (kind, base) {
            (PACK, 0) => UnitKind::Pack,
            (HOT, base) => UnitKind::Hot { base },
            (_, _) => return None,
        };
        Some((id, UnitFile { kind, bytes: self.u64()? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(bytes: u64) -> UnitFile {
        UnitFile { kind: UnitKind::Hot { base: bytes * 2 }, bytes }
    }

    fn full() -> Edit {
        Edit {
            add_units: (0..3).map(|id| (FileId(id), unit(id))).collect(),
            remove_units: vec![FileId(9)],
            state: Some(vec![StateFile { id: FileId(5), bytes: 6 }]),
            lsn: Some(7),
            wal_oldest: Some(8),
            boot: Some(9),
        }
    }

    #[test]
    fn an_edit_reads_back_and_no_beginning_of_it_is_taken_for_the_whole() {
        for edit in [full(), Edit::default(), Edit { boot: Some(1), ..Edit::default() }] {
            let body = edit.encode();
            assert_eq!(Edit::decode(&body), Some(edit.clone()));
            for length in 0..body.len() {
                assert_ne!(Edit::decode(&body[..length]), Some(edit.clone()));
            }
        }
        assert_eq!(Edit::decode(&[77, 0, 0, 0, 0]), None, "an unknown field must be understood");
        assert_eq!(
            Edit::decode(&[STATE, 255, 255, 255, 255]),
            None,
            "no memory for what is not there"
        );
    }

    #[test]
    fn an_edit_that_does_not_fit_is_refused_by_name() {
        let content = Content::new([1; 16])
            .after(&Edit { remove_units: Vec::new(), ..full() })
            .expect("fits");
        let refused = |edit: Edit| content.after(&edit).expect_err("does not fit");
        let add = |id| Edit { add_units: [(FileId(id), unit(1))].into(), ..Edit::default() };
        let remove = |id| Edit { remove_units: vec![FileId(id)], ..Edit::default() };
        assert_eq!(refused(add(2)), BadEdit::Exists(FileId(2)));
        assert_eq!(refused(remove(4)), BadEdit::Unknown(FileId(4)));
        assert_eq!(
            refused(Edit { remove_units: vec![FileId(7)], ..add(7) }),
            BadEdit::Unknown(FileId(7)),
            "what is added cannot go in the same edit"
        );
        let file = StateFile { id: FileId(3), bytes: 1 };
        let twice = Edit { state: Some(vec![file, file]), ..Edit::default() };
        assert_eq!(refused(twice), BadEdit::Twice(FileId(3)));
        let back = Edit { lsn: Some(6), ..Edit::default() };
        assert_eq!(refused(back), BadEdit::GoesBack("the lsn of the state"));
        assert!(content.after(&remove(2)).is_ok());
    }
}
