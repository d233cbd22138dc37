//! What of a manifest exists after a crash; the rules stand in the module above.

use std::io;
use std::sync::Arc;

use crate::manifest::content::{Content, Edit};
use crate::manifest::layout::{
    self, BLOCK_BYTES, BadHeader, CURRENT, CURRENT_BYTES, CURRENT_NEW, Current, EDITS_AT,
    FILE_BYTES_MAX, Header, Kind,
};
use crate::vfs::{self, Vfs, VfsFile};

/// Why a folder's manifest cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error("{name} cannot be read or written")]
    Io {
        /// Which file; empty for the folder.
        name: String,
        /// What the disk said.
        source: io::Error,
    },
    /// There are manifests, but `CURRENT` is gone.
    #[error("CURRENT is missing, but there is a manifest {newest}")]
    CurrentMissing {
        /// The highest number of a manifest.
        newest: u64,
    },
    /// The manifest that `CURRENT` names is gone.
    #[error("manifest {number}, which CURRENT names, is missing")]
    ManifestMissing {
        /// Which one.
        number: u64,
    },
    /// `CURRENT` names a manifest that another has replaced.
    #[error("CURRENT names manifest {current}, but {newer} has replaced it")]
    CurrentOld {
        /// The one it names.
        current: u64,
        /// The one that was valid.
        newer: u64,
    },
    /// The bytes are not what was written.
    #[error("{name} is damaged at {position}: {reason}")]
    Damaged {
        /// Which file.
        name: String,
        /// Where in it.
        position: u64,
        /// What is wrong.
        reason: BadManifest,
    },
    /// Written by a newer version, with features that this one does not know.
    #[error("{name} needs a newer version (format {format}, features {features:#x})")]
    TooNew {
        /// Which file.
        name: String,
        /// Format number found.
        format: u16,
        /// Unknown feature bits.
        features: u32,
    },
}

/// What is wrong with a manifest or with `CURRENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    /// Longer than any manifest.
    #[error("too long")]
    Length,
    /// No valid header.
    #[error("no valid header")]
    Header,
    /// It is not the file that belongs under this name in this folder.
    #[error("not the file that belongs here")]
    Identity,
    /// Neither witness is valid.
    #[error("no valid witness")]
    Witness,
    /// An edit is damaged that is not the torn end of the log.
    #[error("an acknowledged edit is damaged or missing")]
    Edit,
    /// An edit does not follow the one before it.
    #[error("an edit does not follow the one before it")]
    Chain,
    /// The body of an edit cannot be understood, or does not fit what was before.
    #[error("an edit makes no sense")]
    Body,
}

/// What a folder has.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    /// The first manifest, whose creation a crash has cut short before `CURRENT` was there.
    Unnamed(Log),
    /// The manifest that `CURRENT` names.
    Named(Log),
}

/// A manifest as read back.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) file: Arc<dyn VfsFile>,
    pub(super) header: Header,
    pub(super) content: Content,
    /// Number of the next edit.
    pub(super) next: u64,
    /// Checksum of the last edit.
    pub(super) previous: u32,
    pub(super) log_start: usize,
    /// Where the next edit belongs.
    pub(super) end: usize,
    /// The witness that is written next.
    pub(super) slot: usize,
    /// Edits up to this number were acknowledged.
    pub(super) witness: u64,
    /// Where the edits start that no witness tells of.
    proven_end: usize,
    bytes: Vec<u8>,
}

/// Reads what the manifest of a folder says and changes nothing; `None` in a folder without one.
///
/// Edits that a crash has left behind are read as [`Manifest::open`](super::Manifest::open) would.
///
/// # Errors
///
/// [`OpenError`], as when opening.
pub fn read(vfs: &dyn Vfs) -> Result<Option<Content>, OpenError> {
    match find(vfs)? {
        Found::Nothing => Ok(None),
        Found::Unnamed(log) | Found::Named(log) => Ok(Some(log.content)),
    }
}

/// Places of a valid manifest that are not as they were written, although nothing hangs on them:
/// file, place, and what is wrong.
pub(crate) fn loose_ends(vfs: &dyn Vfs) -> Result<Vec<(String, u64, &'static str)>, OpenError> {
    let log = match find(vfs)? {
        Found::Nothing => return Ok(Vec::new()),
        Found::Unnamed(log) | Found::Named(log) => log,
    };
    let mut found = Vec::new();
    for slot in [0, 1] {
        let at = layout::witness_at(slot);
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let behind = start + layout::WITNESS_BYTES..start + BLOCK_BYTES;
        if layout::read_witness(&log.bytes, log.header.seed(), slot).is_none() {
            found.push((layout::name(log.header.number), at, "this witness is damaged"));
        } else if !log.bytes.get(behind).is_some_and(layout::is_zero) {
            found.push((layout::name(log.header.number), at, "no zeros behind this witness"));
        }
    }
    Ok(found)
}

/// True when the folder has `CURRENT` or a manifest.
pub(super) fn exists(vfs: &dyn Vfs) -> io::Result<bool> {
    let names = vfs.list("")?;
    Ok(names.iter().any(|name| name == CURRENT || layout::number(name).is_some()))
}

/// Removes manifests that are not valid, and returns a number above all of them.
pub(super) fn remove_others(vfs: &dyn Vfs, valid: Option<u64>) -> io::Result<u64> {
    let mut highest = valid.unwrap_or_default();
    for name in vfs.list("")? {
        let number = layout::number(&name);
        highest = highest.max(number.unwrap_or_default());
        let unfinished = name == CURRENT_NEW || name.ends_with(".manifest.new");
        if unfinished || number.is_some_and(|number| Some(number) != valid) {
            vfs.remove(&name)?;
        }
    }
    Ok(highest + 1)
}

/// Finds the valid manifest.
pub(super) fn find(vfs: &dyn Vfs) -> Result<Found, OpenError> {
    let names = vfs.list("").map_err(|source| OpenError::Io { name: String::new(), source })?;
    let numbers: Vec<u64> = names.iter().filter_map(|name| layout::number(name)).collect();
    let newest = numbers.iter().max().copied();
    if !names.iter().any(|name| name == CURRENT) {
        let Some(newest) = newest else { return Ok(Found::Nothing) };
        let log = Log::read(vfs, newest)?;
        let unfinished = numbers == [1] && log.holds_only_its_snapshot();
        return if unfinished {
            Ok(Found::Unnamed(log))
        } else {
            Err(OpenError::CurrentMissing { newest })
        };
    }
    let current = read_current(vfs)?;
    if !numbers.contains(&current.number) {
        return Err(OpenError::ManifestMissing { number: current.number });
    }
    let log = Log::read(vfs, current.number)?;
    if log.header.seed() != current.seed || log.header.folder != current.folder {
        return Err(damaged(&layout::name(current.number), 0, BadManifest::Identity));
    }
    for newer in numbers.into_iter().filter(|number| *number > current.number) {
        // Written, but CURRENT was not switched before the crash: then nothing followed in it.
        if !Log::read(vfs, newer)?.holds_only_its_snapshot() {
            return Err(OpenError::CurrentOld { current: current.number, newer });
        }
    }
    Ok(Found::Named(log))
}

fn read_current(vfs: &dyn Vfs) -> Result<Current, OpenError> {
    let (_, bytes) = read_file(vfs, CURRENT, CURRENT_BYTES as u64)?;
    Current::decode(&bytes).map_err(|bad| bad_header(CURRENT, bad))
}

fn read_file(
    vfs: &dyn Vfs,
    name: &str,
    length_max: u64,
) -> Result<(Arc<dyn VfsFile>, Vec<u8>), OpenError> {
    let failed = |source| OpenError::Io { name: name.to_owned(), source };
    let file = vfs.open(name).map_err(failed)?;
    let length = file.length().map_err(failed)?;
    let length = usize::try_from(length).ok().filter(|_| length <= length_max);
    let mut bytes = vec![0; length.ok_or(damaged(name, length_max, BadManifest::Length))?];
    let read = vfs::read_full(file.as_ref(), &mut bytes, 0).map_err(failed)?;
    bytes.truncate(read);
    Ok((file, bytes))
}

fn damaged(name: &str, position: u64, reason: BadManifest) -> OpenError {
    OpenError::Damaged { name: name.to_owned(), position, reason }
}

fn bad_header(name: &str, bad: BadHeader) -> OpenError {
    match bad {
        BadHeader::Invalid => damaged(name, 0, BadManifest::Header),
        BadHeader::TooNew { format, features } => {
            OpenError::TooNew { name: name.to_owned(), format, features }
        }
    }
}

impl Log {
    fn read(vfs: &dyn Vfs, number: u64) -> Result<Self, OpenError> {
        let name = layout::name(number);
        let (file, bytes) = read_file(vfs, &name, FILE_BYTES_MAX)?;
        let header = Header::decode(&bytes).map_err(|bad| bad_header(&name, bad))?;
        let damaged = |at: usize, reason| damaged(&name, at as u64, reason);
        if header.number != number {
            return Err(damaged(0, BadManifest::Identity));
        }
        let seed = header.seed();
        let witnesses = [0, 1].map(|slot| layout::read_witness(&bytes, seed, slot));
        let [one, other] = witnesses;
        let witness = one.max(other).ok_or_else(|| damaged(BLOCK_BYTES, BadManifest::Witness))?;
        let mut log = Self {
            file,
            header,
            content: Content::new(header.folder),
            next: header.first,
            previous: seed,
            log_start: EDITS_AT,
            end: EDITS_AT,
            slot: usize::from(one > other),
            witness,
            proven_end: EDITS_AT,
            bytes,
        };
        log.read_edits(seed).map_err(|(at, reason)| damaged(at, reason))?;
        Ok(log)
    }

    /// Reads the edits up to the first that is not valid.
    fn read_edits(&mut self, seed: u32) -> Result<(), (usize, BadManifest)> {
        while let Some(record) = layout::read_record(&self.bytes, self.end, seed) {
            let at = self.end;
            let kind = if self.next == self.header.first { Kind::Snapshot } else { Kind::Edit };
            let follows = record.number == self.next
                && record.previous == self.previous
                && record.kind == kind
                && record.number < u64::MAX;
            if !follows {
                return Err((at, BadManifest::Chain));
            }
            let edit = self.bytes.get(record.body).and_then(Edit::decode);
            let applied = edit.and_then(|edit| self.content.apply(&edit).ok());
            applied.ok_or((at, BadManifest::Body))?;
            self.next += 1;
            self.previous = record.crc;
            self.end = record.end;
            if kind == Kind::Snapshot {
                self.log_start = record.end;
            }
            if record.number <= self.witness {
                self.proven_end = record.end;
            }
        }
        // The snapshot was synced before the file got its name.
        let lost = self.next == self.header.first || self.witness >= self.next;
        let followed = || {
            let later = (self.end..self.bytes.len()).step_by(BLOCK_BYTES).skip(1);
            later.into_iter().any(|at| layout::read_record(&self.bytes, at, seed).is_some())
        };
        if lost || followed() { Err((self.end, BadManifest::Edit)) } else { Ok(()) }
    }

    /// True when nothing was ever acknowledged in this file.
    fn holds_only_its_snapshot(&self) -> bool {
        self.witness < self.header.first && self.next == self.header.first + 1
    }

    /// Makes durable what was read, and nothing else: edits that no witness tells of are written
    /// again, because a sync that has failed leaves them readable and clean, and what a torn edit
    /// has left behind them is cleared. True when it was durable before; else the folder is to be
    /// synced as well.
    pub(super) fn prove(&self) -> io::Result<bool> {
        let tail = self.bytes.get(self.end..).unwrap_or_default();
        let dirty = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if self.proven_end == self.end && dirty == 0 {
            return Ok(true);
        }
        let mut bytes = self.bytes.get(self.proven_end..self.end).unwrap_or_default().to_vec();
        bytes.resize(bytes.len() + dirty, 0);
        vfs::write_all(self.file.as_ref(), &bytes, self.proven_end as u64)?;
        self.file.fdatasync()?;
        Ok(false)
    }
}
