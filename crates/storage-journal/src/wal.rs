//! The write-ahead log: one chain of segments, appended by one thread, read by many.
//!
//! A group is first written ([`Wal::append`]) and then made durable ([`Wal::sync`]). A write that
//! fails for want of space leaves the log as it was; a failed sync poisons it: nothing is written
//! any more, what was written stays readable, and only a new start decides what survived.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use crate::group::{GROUP_BYTES_MAX, GroupBuilder};
use crate::random::Random;
use crate::segment::{self, FIRST_GROUP, Segment, SegmentHeader};
use crate::vfs::{self, Vfs};

/// Engine clock and wall clock, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// Engine clock (storage rule 16).
    pub engine_ms: i64,
    /// Wall clock since 1970.
    pub wall_ms: i64,
}

/// Sizes of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalOptions {
    /// A segment that has reached this length is followed by a new one.
    pub segment_bytes: u64,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20 }
    }
}

/// Where a group went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Sequence of the segment.
    pub segment: u64,
    /// Where the group starts in it.
    pub position: u64,
    /// Number of the group.
    pub lsn: u64,
}

/// Why a group was not written or not made durable.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk did not take it; the log is as before and later groups may fit.
    #[error("the journal could not be written")]
    Refused(#[source] io::Error),
    /// The group is longer than any group may be.
    #[error("a group of {0} bytes is too long")]
    TooLong(usize),
    /// A sync failed, now or before: nothing is written until the next start.
    #[error("the journal is poisoned: a sync has failed")]
    Poisoned,
}

/// The segments that exist, shared between the writer and the readers.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    map: Arc<RwLock<BTreeMap<u64, Arc<Segment>>>>,
}

impl Segments {
    /// The segment of that sequence, unless it was removed.
    pub fn get(&self, sequence: u64) -> Option<Arc<Segment>> {
        self.map.read().unwrap_or_else(PoisonError::into_inner).get(&sequence).cloned()
    }

    /// Lowest and highest sequence.
    pub fn range(&self) -> Option<(u64, u64)> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        Some((*map.first_key_value()?.0, *map.last_key_value()?.0))
    }

    pub(crate) fn insert(&self, segment: Arc<Segment>) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        map.insert(segment.header.sequence, segment);
    }

    /// Removes the segments below `oldest` and returns their sequences.
    fn remove_below(&self, oldest: u64) -> Vec<u64> {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let kept = map.split_off(&oldest);
        std::mem::replace(&mut *map, kept).into_keys().collect()
    }
}

/// The writer's end of the log.
#[derive(Debug)]
pub struct Wal {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) options: WalOptions,
    pub(crate) uuids: Random,
    pub(crate) segments: Segments,
    pub(crate) current: Arc<Segment>,
    /// Where the next group goes.
    pub(crate) position: u64,
    /// Number of the last group written.
    pub(crate) written_lsn: u64,
    /// Number of the last group whose sync has returned.
    pub(crate) durable_lsn: u64,
    pub(crate) poisoned: bool,
}

impl Wal {
    /// The segments, for readers.
    pub fn segments(&self) -> Segments {
        self.segments.clone()
    }

    /// Number of the last group written.
    pub fn written_lsn(&self) -> u64 {
        self.written_lsn
    }

    /// Number of the last group known to be durable.
    pub fn durable_lsn(&self) -> u64 {
        self.durable_lsn
    }

    /// Sequence of the segment that is written now.
    pub fn segment(&self) -> u64 {
        self.current.header.sequence
    }

    /// Where the next group of the current segment goes.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The sizes that it was opened with.
    pub fn options(&self) -> WalOptions {
        self.options
    }

    /// Takes no more writes, as after a failed sync.
    pub fn poison(&mut self) {
        self.poisoned = true;
    }

    /// True after a failed sync.
    pub fn poisoned(&self) -> bool {
        self.poisoned
    }

    /// True when a group of that length goes to the next segment; see [`Self::roll`].
    pub fn wants_roll(&self, length: usize) -> bool {
        let end = self.position + length as u64;
        self.position > FIRST_GROUP && end > self.options.segment_bytes
    }

    /// Writes a group behind the last one.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; the log is then as before.
    ///
    /// # Durability
    ///
    /// Survives the end of the process; a loss of power only after [`Self::sync`].
    pub fn append(
        &mut self,
        group: &mut GroupBuilder,
        clocks: Clocks,
    ) -> Result<Placed, WriteError> {
        if self.poisoned {
            return Err(WriteError::Poisoned);
        }
        if group.length() > GROUP_BYTES_MAX {
            return Err(WriteError::TooLong(group.length()));
        }
        let lsn = self.written_lsn + 1;
        let uuid = self.current.header.uuid;
        let length = group.length();
        let bytes = group.seal(&uuid, lsn, self.durable_lsn, clocks.engine_ms);
        let position = self.position;
        let end = position + bytes.len() as u64;
        let written = vfs::write_all(self.current.file(), bytes, position);
        group.unseal(length);
        if let Err(error) = written {
            return Err(self.withdraw(position, error));
        }
        self.position = end;
        self.written_lsn = lsn;
        Ok(Placed { segment: self.current.header.sequence, position, lsn })
    }

    /// Makes sure that a group of which only a part was written can never pass for a whole one,
    /// whatever stood there before and whatever is written there next: its header goes, durably,
    /// since a loss of power may bring an older version of a sector back.
    fn withdraw(&mut self, position: u64, error: io::Error) -> WriteError {
        let file = self.current.file();
        if file.length().is_ok_and(|length| length <= position) {
            return WriteError::Refused(error);
        }
        let zeros = [0; crate::group::HEADER_BYTES];
        match vfs::write_all(file, &zeros, position).and_then(|()| file.fdatasync()) {
            Ok(()) => {
                self.durable_lsn = self.written_lsn;
                WriteError::Refused(error)
            }
            Err(error) => {
                self.poisoned = true;
                tracing::error!(%error, "a part of a group could not be withdrawn: no more writes");
                WriteError::Poisoned
            }
        }
    }

    /// Makes every group written so far durable.
    ///
    /// # Errors
    ///
    /// [`WriteError::Poisoned`], for good.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        if self.poisoned {
            return Err(WriteError::Poisoned);
        }
        if self.durable_lsn == self.written_lsn {
            return Ok(());
        }
        if let Err(error) = self.current.file().fdatasync() {
            self.poisoned = true;
            tracing::error!(%error, "sync failed: the journal takes no more writes");
            return Err(WriteError::Poisoned);
        }
        self.durable_lsn = self.written_lsn;
        Ok(())
    }

    /// Starts the next segment, after which the segments below `oldest` are removed.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; unless poisoned, the current segment goes on.
    pub fn roll(&mut self, oldest: u64, clocks: Clocks) -> Result<(), WriteError> {
        self.sync()?;
        let previous = self.current.header;
        let oldest = oldest.clamp(previous.oldest, previous.sequence + 1);
        let header = SegmentHeader {
            uuid: self.uuids.uuid(),
            sequence: previous.sequence + 1,
            previous_uuid: previous.uuid,
            previous_end: self.position,
            first_lsn: self.written_lsn + 1,
            durable_lsn: self.durable_lsn,
            clock_ms: clocks.engine_ms,
            wall_ms: clocks.wall_ms,
            oldest,
        };
        match segment::create(self.vfs.as_ref(), header, &[]) {
            Ok(segment) => self.switch_to(segment),
            Err(error) => return Err(self.failed_roll(&header, error)),
        }
        self.remove_below(oldest);
        Ok(())
    }

    /// A segment may exist under its final name although its creation failed: then the old one
    /// must not go on, because the new one says where it ends.
    fn failed_roll(&mut self, header: &SegmentHeader, error: io::Error) -> WriteError {
        let absent = self.vfs.open(&segment::name(header.sequence));
        let absent = absent.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if absent {
            return WriteError::Refused(error);
        }
        self.poisoned = true;
        tracing::error!(%error, "a segment could not be finished: the journal takes no more writes");
        WriteError::Poisoned
    }

    pub(crate) fn switch_to(&mut self, segment: Arc<Segment>) {
        self.segments.insert(segment.clone());
        self.current = segment;
        self.position = FIRST_GROUP;
    }

    /// Removes files that the current header calls unneeded; one that stays is tried at next start.
    fn remove_below(&mut self, oldest: u64) {
        for sequence in self.segments.remove_below(oldest) {
            if let Err(error) = self.vfs.remove(&segment::name(sequence)) {
                tracing::warn!(%error, sequence, "an unneeded segment could not be removed");
            }
        }
    }
}
