//! The manifest: which resting files exist, and up to where they hold the shared log.
//!
//! An edit log that is replaced by a fresh one when it gets long, and `CURRENT`, a small file that
//! names the valid log and is itself replaced by a rename (storage rule 4). A file that the
//! manifest does not name does not exist, whatever its own name says.
//!
//! ```text
//! <20-digit number>.manifest
//!     0 header
//!       0 [magic: 8 bytes "RMQMANIF"][format: u16][reserved: u16]
//!      12 [compat: u32][ro_compat: u32][incompat: u32]             storage rule 28
//!      24 [folder: 16 bytes][number: u64][first edit: u64]
//!      56 [log bytes: u32][key id: u32]                            key id: encryption, later; 0
//!      64 zeros
//!    4092 [crc: u32]                                               the seed of the file
//!  4096 witness, twice
//!       0 [magic: 8 bytes "RMQWITNS"][last acknowledged edit: u64]
//!      16 zeros
//!      60 [crc: u32]                                               over 0..60, seeded
//!      64 zeros
//! 12288 edits, each at a multiple of 4096; the first is a snapshot of everything
//!       0 [magic: 4 bytes "EDIT"][body length: u32][number: u64]   numbers are dense
//!      16 [crc of the edit before: u32][kind: u32]                 1 snapshot, 2 edit
//!      24 [crc: u32]                                               over 0..24 and body, seeded
//!      28 zeros
//!      32 body: fields, each [tag: u8] and
//!         1 [boot: u32]   2 [lsn: u64]   3 [wal oldest: u64]
//!         4 state files:  [count: u32]([id: u64][bytes: u64])..    the whole new list
//!         5 added units:  [count: u32]([id: u64][kind: u8][base: u64][bytes: u64])..
//!         6 removed units: [count: u32]([id: u64])..
//!         zeros, and as the last byte of the last 4096 a mark, 0xed
//!       zeros to the end: space for `log bytes` of edits is reserved when the file is made
//! CURRENT
//!       0 [magic: 8 bytes "RMQCURRT"][format: u16][reserved: u16]
//!      12 [compat: u32][ro_compat: u32][incompat: u32]
//!      24 [folder: 16 bytes][number: u64][seed of that manifest: u32]
//!      52 zeros
//!      60 [crc: u32]                                               over 0..60
//! ```
//!
//! All integers are little endian. An edit is written with one write and synced before it is
//! acknowledged, and no block of an acknowledged edit is written again. The mark makes an edit
//! that was written in part invalid even where its missing rest would be zeros.
//!
//! # What recovery believes
//!
//! The edits up to the first invalid one. If a valid edit stands anywhere behind that, or if a
//! witness tells that it was acknowledged, then it is damage, and the folder is refused; otherwise
//! it is the torn tail of a crash, and dropped. After each acknowledged edit its number is written
//! to the older of the two witnesses, without a sync of its own: it lasts with the next edit, with
//! [`Manifest::witness`], or when the operating system writes it back, and a killed process loses
//! nothing of it. So there is one case that cannot be told from a torn tail: damage in the very
//! last edit, after a power cut that came before its witness was on disk.

mod content;
mod layout;
mod reading;
mod replace;

pub use content::{BadEdit, Content, Edit, StateFile, UnitFile, UnitKind};
pub(crate) use layout::name as file_name;
pub(crate) use reading::loose_ends;
pub use reading::{BadManifest, OpenError, read};

use std::io;
use std::sync::Arc;

use layout::{EDITS_AT, Header, Kind};
use reading::{Found, Log};
use replace::{Failed, Fresh};

use crate::vfs::{self, Vfs, VfsFile};

/// Bytes of edits for which space is reserved, unless told otherwise: 256 edits of usual size.
pub const LOG_BYTES: u32 = 1 << 20;

/// The open manifest of a data folder; one process has it, under the folder's lock.
#[derive(Debug)]
pub struct Manifest {
    vfs: Arc<dyn Vfs>,
    file: Arc<dyn VfsFile>,
    header: Header,
    content: Content,
    /// Number of the next edit.
    next: u64,
    /// Checksum of the last edit.
    previous: u32,
    /// Where the edits behind the snapshot start.
    log_start: u64,
    /// Where the next edit belongs.
    end: u64,
    /// Length of the file: what is reserved.
    length: u64,
    /// The witness that is written next.
    slot: usize,
    /// A witness was written that is not synced.
    unsynced_witness: bool,
    /// Number of the next manifest file.
    next_file: u64,
    poisoned: bool,
}

/// A manifest that was read. What it says holds, and nothing may be built on it before the folder
/// is synced: until then a loss of power may bring an older one back.
#[derive(Debug)]
pub(crate) struct Opening {
    manifest: Manifest,
    /// A witness tells of its last edit.
    witnessed: bool,
    /// The process that wrote it had synced the folder.
    proven: bool,
}

impl Opening {
    /// What it says.
    pub(crate) fn content(&self) -> &Content {
        &self.manifest.content
    }

    /// The folder is synced: removes manifests that are not valid any more.
    pub(crate) fn finish(self) -> Result<Manifest, OpenError> {
        let Self { mut manifest, witnessed, .. } = self;
        let number = manifest.header.number;
        let next = reading::remove_others(manifest.vfs.as_ref(), Some(number));
        manifest.next_file = next.map_err(failed(""))?;
        if !witnessed {
            manifest.note_acknowledged();
        }
        Ok(manifest)
    }
}

fn failed(name: &str) -> impl FnOnce(io::Error) -> OpenError {
    let name = name.to_owned();
    move |source| OpenError::Io { name, source }
}

/// Why an edit was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It does not fit the content: a mistake of the caller. Nothing was written.
    #[error("the edit does not fit the manifest: {0}")]
    Refused(BadEdit),
    /// The disk did not take it, mostly because it is full. Nothing has changed and no later start
    /// will find the edit; it may be tried again.
    #[error("the manifest cannot be written")]
    NotWritten(#[source] io::Error),
    /// A sync failed: after a start the edit may be there or not, and until then the manifest
    /// takes no more. Files that the edit names must stay.
    #[error("the manifest cannot be synced")]
    SyncFailed(#[source] io::Error),
    /// A sync has failed before.
    #[error("the manifest takes no more edits: a sync has failed")]
    Poisoned,
}

impl Manifest {
    /// Opens the manifest of a folder and proves its tail; `None` only in a folder that has
    /// neither `CURRENT` nor a manifest, or whose first manifest was cut short by a crash before
    /// it named anything.
    ///
    /// Manifests that are not valid any more are removed.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when something is missing, damaged or too new: never a fresh start.
    pub fn open(vfs: Arc<dyn Vfs>) -> Result<Option<(Self, Content)>, OpenError> {
        let Some(opening) = Self::begin(vfs.clone())? else { return Ok(None) };
        if !opening.proven {
            vfs.fsync_dir("").map_err(failed(""))?;
        }
        let manifest = opening.finish()?;
        let content = manifest.content.clone();
        Ok(Some((manifest, content)))
    }

    /// The first half of [`Self::open`], for a start that syncs the folder anyway: at most one
    /// sync.
    pub(crate) fn begin(vfs: Arc<dyn Vfs>) -> Result<Option<Opening>, OpenError> {
        let log = match reading::find(vfs.as_ref())? {
            Found::Nothing => return Ok(None),
            Found::Unnamed(log) if log.content == Content::new(log.header.folder) => {
                reading::remove_others(vfs.as_ref(), None).map_err(failed(""))?;
                return Ok(None);
            }
            Found::Unnamed(log) => {
                let name = layout::name(log.header.number);
                log.prove().and_then(|_| vfs.fsync_dir("")).map_err(failed(&name))?;
                replace::point_to(vfs.as_ref(), &log.header)
                    .map_err(|error| failed(layout::CURRENT)(error.into()))?;
                log
            }
            Found::Named(log) => log,
        };
        let name = layout::name(log.header.number);
        let proven = log.prove().map_err(failed(&name))?;
        let length = log.file.length().map_err(failed(&name))?;
        let witnessed = log.witness + 1 == log.next;
        Ok(Some(Opening { manifest: Self::of_log(vfs, log, length), witnessed, proven }))
    }

    /// Makes the first manifest of a folder.
    ///
    /// # Durability
    ///
    /// All of it is synced when this returns, in four syncs, one after the other.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` in a folder that has one; else what the disk says.
    pub fn create(vfs: Arc<dyn Vfs>, content: Content) -> io::Result<(Self, Content)> {
        Self::create_sized(vfs, content, LOG_BYTES)
    }

    /// [`Self::create`] with space for so many bytes of edits, 8 KiB to 64 MiB.
    ///
    /// # Errors
    ///
    /// As [`Self::create`].
    pub fn create_sized(
        vfs: Arc<dyn Vfs>,
        content: Content,
        log_bytes: u32,
    ) -> io::Result<(Self, Content)> {
        if reading::exists(vfs.as_ref())? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let log_bytes = layout::log_bytes_sound(log_bytes);
        let header = Header { folder: content.folder, number: 1, first: 1, log_bytes };
        let fresh = replace::replace(vfs.as_ref(), header, &content)?;
        let mut manifest = Self::of_fresh(vfs, fresh, content.clone());
        manifest.note_acknowledged();
        Ok((manifest, content))
    }

    fn of_log(vfs: Arc<dyn Vfs>, log: Log, length: u64) -> Self {
        Self {
            vfs,
            file: log.file,
            next_file: log.header.number + 1,
            header: log.header,
            content: log.content,
            next: log.next,
            previous: log.previous,
            log_start: log.log_start as u64,
            end: log.end as u64,
            length,
            slot: log.slot,
            unsynced_witness: false,
            poisoned: false,
        }
    }

    fn of_fresh(vfs: Arc<dyn Vfs>, fresh: Fresh, content: Content) -> Self {
        Self {
            vfs,
            file: fresh.file,
            next_file: fresh.header.number + 1,
            next: fresh.header.first + 1,
            header: fresh.header,
            content,
            previous: fresh.previous,
            log_start: fresh.end,
            end: fresh.end,
            length: fresh.length,
            slot: 0,
            unsynced_witness: false,
            poisoned: false,
        }
    }

    /// What is true now: all acknowledged edits.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Applies an edit, all of it or nothing.
    ///
    /// # Durability
    ///
    /// The edit is synced when this returns; an error other than [`ApplyError::SyncFailed`] means
    /// that it never happened. A full disk refuses edits only when the reserved space is used up
    /// too.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]; the content is then as before.
    pub fn apply(&mut self, edit: &Edit) -> Result<(), ApplyError> {
        if self.poisoned {
            return Err(ApplyError::Poisoned);
        }
        let content = self.content.after(edit).map_err(ApplyError::Refused)?;
        let seed = self.header.seed();
        let (record, crc) =
            layout::record(seed, (self.next, self.previous, Kind::Edit), &edit.encode());
        let end = self.end + record.len() as u64;
        let fits = end <= self.length;
        if !fits || self.end - self.log_start >= u64::from(self.header.log_bytes) / 2 {
            match self.replace(&content) {
                Ok(()) => return Ok(()),
                Err(Failed::Sync(source)) => return Err(self.poison(source)),
                Err(Failed::Write(source)) if !fits => return Err(ApplyError::NotWritten(source)),
                Err(Failed::Write(error)) => {
                    tracing::warn!(%error, "no new manifest yet; the old one has space left");
                }
            }
        }
        if let Err(error) = vfs::write_all(self.file.as_ref(), &record, self.end) {
            return Err(self.withdraw(error));
        }
        self.file.fdatasync().map_err(|source| self.poison(source))?;
        self.content = content;
        self.previous = crc;
        self.next += 1;
        self.end = end;
        self.note_acknowledged();
        Ok(())
    }

    /// An edit of which a part was written, perhaps all that matters, must never be found.
    fn withdraw(&mut self, error: io::Error) -> ApplyError {
        let file = self.file.as_ref();
        let zeros = [0; 64];
        match vfs::write_all(file, &zeros, self.end).and_then(|()| file.fdatasync()) {
            Ok(()) => ApplyError::NotWritten(error),
            Err(error) => self.poison(error),
        }
    }

    /// Makes it last that the last edit was acknowledged, so that damage in it is told from a torn
    /// tail; for idle times, as the next edit does the same.
    ///
    /// # Errors
    ///
    /// [`ApplyError::SyncFailed`] and [`ApplyError::Poisoned`].
    pub fn witness(&mut self) -> Result<(), ApplyError> {
        if self.poisoned {
            return Err(ApplyError::Poisoned);
        }
        if self.unsynced_witness {
            self.file.fdatasync().map_err(|source| self.poison(source))?;
            self.unsynced_witness = false;
        }
        Ok(())
    }

    /// True when a sync has failed: no more edits until the next start.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    fn poison(&mut self, source: io::Error) -> ApplyError {
        self.poisoned = true;
        ApplyError::SyncFailed(source)
    }

    /// Goes on in a fresh file that starts with `content`.
    fn replace(&mut self, content: &Content) -> Result<(), Failed> {
        let old = self.header.number;
        let header = Header { number: self.next_file, first: self.next, ..self.header };
        self.next_file += 1;
        let fresh = replace::replace(self.vfs.as_ref(), header, content)?;
        let next_file = self.next_file;
        *self = Self::of_fresh(self.vfs.clone(), fresh, content.clone());
        self.next_file = next_file;
        self.note_acknowledged();
        if let Err(error) = self.vfs.remove(&layout::name(old)) {
            tracing::warn!(number = old, %error, "an old manifest stays until the next start");
        }
        Ok(())
    }

    /// Writes the witness of the last edit. When the disk does not take it, an older one stays:
    /// that costs the proof, not the edit.
    fn note_acknowledged(&mut self) {
        let witness = layout::witness(self.header.seed(), self.next - 1);
        match vfs::write_all(self.file.as_ref(), &witness, layout::witness_at(self.slot)) {
            Ok(()) => {
                self.slot = 1 - self.slot;
                self.unsynced_witness = true;
            }
            Err(error) => tracing::warn!(%error, "the manifest's witness was not written"),
        }
    }
}

const _: () = assert!(EDITS_AT == 12_288, "as the table above says");
