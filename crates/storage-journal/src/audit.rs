//! Looking at a data folder that no server uses: what is there, whether it is as it was written,
//! and what it says.
//!
//! ```text
//!  walk       the chain of segments, group by group, past what is damaged
//!  verify     every byte that was proven to be durable, and how the files agree
//!  contents   the state as the next start would find it, and reading from it
//!  inventory  the files: what they are for and what they hold
//! ```
//!
//! Nothing here writes, and nothing is repaired. The folder's lock is taken, so no server starts
//! meanwhile and none is running.
//!
//! # What cannot be found
//!
//! A bit is known to be wrong only where a checksum or a rule says what it was. These places have
//! none, and a start does not believe them either:
//!
//! - the groups behind the proven point of the newest segment: a torn tail looks the same. So does
//!   the very last group until another group, a witness or a checkpoint has followed it;
//! - what stands behind the end of a segment, free files of the pool, and the reserve;
//! - the reserved space behind the last edit of the manifest, and that edit itself after a power
//!   cut that came before its witness was on the disk;
//! - files that no start needs any more: leftovers of a crash or of a merge.

mod contents;
mod inventory;
mod verify;
mod walk;

use std::io;
use std::sync::Arc;

pub use contents::{Contents, LogSummary};
pub use inventory::{Inventory, ManifestSummary, TableSummary, UnitSummary};
pub use verify::Verdict;
pub use walk::SegmentSummary;

use crate::journal::LOCK_FILE;
use crate::manifest;
use crate::vfs::{Lock, Vfs};

/// A data folder that is looked at. No server can start in it as long as this lives.
#[derive(Debug)]
pub struct Folder {
    vfs: Arc<dyn Vfs>,
    /// None in a copy of a folder that was made without its lock file.
    _lock: Option<Box<dyn Lock>>,
}

/// Why a folder cannot be looked at: one line.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A server has it open.
    #[error("a server uses it: stop the server first")]
    InUse,
    /// There is nothing of ours in it.
    #[error("there is no journal in it, neither segments (.seg) nor CURRENT: is it the right one?")]
    Foreign,
    /// The disk failed.
    #[error("{what} cannot be read: {source}")]
    Io {
        /// What was looked at.
        what: String,
        /// What the disk said.
        source: io::Error,
    },
    /// What is damaged hides what was asked for.
    #[error("{0}; storage verify tells all that is wrong")]
    Damaged(Damage),
}

/// A place that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} at {position}: {reason}")]
pub struct Damage {
    /// The file's name in the folder.
    pub file: String,
    /// Where in it the part begins that is wrong.
    pub position: u64,
    /// What is wrong with it.
    pub reason: String,
    /// What the file is for.
    pub part: Part,
}

/// What a damaged place was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// One of the two copies of a segment's header; the other one is good.
    HeaderCopy,
    /// The shared log.
    Log,
    /// The manifest or `CURRENT`.
    Manifest,
    /// One of the manifest's two witnesses; the other one is good. A process that has ended while
    /// it wrote this one leaves the same.
    Witness,
    /// A state table.
    State,
    /// A pack, or the segment file of a hot log with its index.
    Unit,
}

impl Part {
    /// What to do about it: sentences.
    pub fn advice(self) -> &'static str {
        match self {
            Self::HeaderCopy | Self::Witness => {
                "Its second copy is good and the server starts. Save the folder to another disk \
                 and check this one."
            }
            Self::Log => {
                "The server does not start on it. Put the folder back from a backup on a good \
                 disk; storage dump prints the records before the damage."
            }
            Self::Manifest | Self::State => {
                "The server does not start on it. Put the folder back from a backup on a good disk."
            }
            Self::Unit => {
                "The server starts and answers everything but the records in it. To have them \
                 back, put the folder back from a backup on a good disk."
            }
        }
    }
}

impl Folder {
    /// Takes the lock of a folder.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn open(vfs: Arc<dyn Vfs>) -> Result<Self, Refused> {
        let what = || "the folder".to_owned();
        let names = vfs.list("").map_err(|source| Refused::Io { what: what(), source })?;
        if !names.iter().any(|name| is_ours(name)) {
            return Err(Refused::Foreign);
        }
        let lock = match vfs.lock(LOCK_FILE) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Refused::InUse),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(Refused::Io { what: LOCK_FILE.to_owned(), source }),
        };
        Ok(Self { vfs, _lock: lock })
    }

    fn names(&self) -> Result<Vec<String>, Refused> {
        let failed = |source| Refused::Io { what: "the folder".to_owned(), source };
        self.vfs.list("").map_err(failed)
    }
}

fn is_ours(name: &str) -> bool {
    name == "CURRENT" || [".seg", ".manifest"].iter().any(|end| name.ends_with(end))
}

/// What is wrong with the manifest, as a damaged place.
fn manifest_damage(error: &manifest::OpenError) -> Damage {
    let (file, position, reason) = match error {
        manifest::OpenError::Io { name, source } => {
            (name.clone(), 0, format!("cannot be read: {source}"))
        }
        manifest::OpenError::Damaged { name, position, reason } => {
            (name.clone(), *position, reason.to_string())
        }
        manifest::OpenError::CurrentMissing { .. } | manifest::OpenError::CurrentOld { .. } => {
            ("CURRENT".to_owned(), 0, error.to_string())
        }
        manifest::OpenError::ManifestMissing { number } => {
            (manifest::file_name(*number), 0, "the file is missing; CURRENT names it".to_owned())
        }
        manifest::OpenError::TooNew { name, .. } => (name.clone(), 0, error.to_string()),
    };
    Damage { file, position, reason, part: Part::Manifest }
}
