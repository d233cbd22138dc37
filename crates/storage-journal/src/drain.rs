//! Draining: what still lives in the oldest segments is copied to resting files.
//!
//! ```text
//!  batches of the segments, those that somebody needs, by log and offset
//!     -> stretches without a visible gap     a long one: a hot unit of its own
//!                                            the others: packs, one stretch of a log in each
//! ```

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use storage::memory::query::Miss;
use storage::memory::state::{Resting, Run};
use storage::{LogId, Offset};

use crate::manifest::{UnitFile, UnitKind};
use crate::rest::FileId;
use crate::rest::unit::{self, Entry, Holding, Kind, UnitWriter};
use crate::vfs::Vfs;
use crate::view::{Spot, View};

/// Batches that are looked up under one lock.
const LOOK_UP: usize = 1_000;
/// The same of those that are about to be written.
const WRITE: usize = 100;
/// Bytes of batches in one run, at most: what its row can tell.
const RUN_BYTES_MAX: u64 = 1 << 30;

/// Batches of one log that make one run. There may be a million of these.
#[derive(Debug)]
pub(crate) struct Stretch {
    log: LogId,
    base: Offset,
    last: Offset,
    bytes: u64,
}

/// A written unit.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) id: FileId,
    pub(crate) kind: Kind,
    pub(crate) bytes: u64,
    pub(crate) runs: Vec<Holding>,
}

impl Written {
    /// What the manifest says of it.
    pub(crate) fn unit_file(&self) -> UnitFile {
        let kind = match self.kind {
            Kind::Pack => UnitKind::Pack,
            Kind::Hot { base } => UnitKind::Hot { base },
        };
        UnitFile { kind, bytes: self.bytes }
    }
}

/// The kind of a unit that the manifest names.
pub(crate) fn kind_of(unit: &UnitFile) -> Kind {
    match unit.kind {
        UnitKind::Pack => Kind::Pack,
        UnitKind::Hot { base } => Kind::Hot { base },
    }
}

/// The run that a holding of a unit is.
pub(crate) fn run_of(file: FileId, holding: &Holding) -> Run {
    Run {
        base: holding.base,
        last: holding.last,
        file: file.0,
        section: holding.section,
        bytes: u32::try_from(holding.bytes).unwrap_or(u32::MAX),
        max_timestamp_ms: holding.max_timestamp_ms,
        appended_ms: holding.appended_ms,
    }
}

/// What of the segments up to `home` is to rest.
pub(crate) fn stretches(view: &View, home: u32) -> Vec<Stretch> {
    let listed = view.state().homes_up_to(home);
    let mut stretches: Vec<Stretch> = Vec::new();
    for part in listed.chunks(LOOK_UP) {
        let state = view.state();
        for (log, base) in part {
            let Some(batch) = state.resting(*log, *base, home) else { continue };
            let bytes = storage::memory::state::Place::bytes(&batch.place);
            let follows = stretches.last().is_some_and(|stretch| {
                let gap = stretch.last + 1..batch.base;
                stretch.log == *log
                    && stretch.bytes + bytes <= RUN_BYTES_MAX
                    && (gap.is_empty() || state.is_gap_hidden(*log, gap))
            });
            match stretches.last_mut().filter(|_| follows) {
                Some(stretch) => {
                    stretch.bytes += bytes;
                    stretch.last = batch.last;
                }
                None => {
                    let (log, base, last) = (*log, batch.base, batch.last);
                    stretches.push(Stretch { log, base, last, bytes });
                }
            }
        }
    }
    stretches
}

/// Divides runs into units: those of `hot_bytes` and more alone, at most `hot_max`, the others into
/// packs in which each log has one.
pub(crate) fn divide<T>(
    runs: Vec<T>,
    (hot_bytes, hot_max): (u64, usize),
    of: impl Fn(&T) -> (LogId, Offset, u64),
) -> Vec<(Kind, Vec<T>)> {
    let mut hot = Vec::new();
    let mut packs: Vec<Vec<T>> = Vec::new();
    let mut seen: BTreeMap<LogId, usize> = BTreeMap::new();
    for run in runs {
        let (log, base, bytes) = of(&run);
        if bytes >= hot_bytes && hot.len() < hot_max {
            hot.push((Kind::Hot { base }, vec![run]));
            continue;
        }
        let number = seen.entry(log).or_default();
        match packs.get_mut(*number) {
            Some(pack) => pack.push(run),
            None => packs.push(vec![run]),
        }
        *number += 1;
    }
    hot.extend(packs.into_iter().map(|pack| (Kind::Pack, pack)));
    hot
}

/// What a stretch is, for [`divide`].
pub(crate) fn measure(stretch: &Stretch) -> (LogId, Offset, u64) {
    (stretch.log, stretch.base, stretch.bytes)
}

/// Writes stretches of the segments up to `home` into a unit; `pace` is told of the bytes as they
/// are written.
pub(crate) fn write(
    (vfs, view): (&Arc<dyn Vfs>, &View),
    (id, kind): (FileId, Kind),
    (stretches, home): (&[Stretch], u32),
    pace: &mut dyn FnMut(usize),
) -> io::Result<Written> {
    let mut writer = create(vfs, (id, kind))?;
    let result = stretches.iter().try_for_each(|stretch| {
        batches(view, stretch, home).try_for_each(|batch| {
            let Some(bytes) = fetch(view, &batch)? else { return Ok(()) };
            pace(bytes.len());
            writer.push(Entry {
                log: stretch.log,
                base: batch.base,
                last: batch.last,
                max_timestamp_ms: batch.max_timestamp_ms,
                appended_ms: batch.appended_ms,
                subjects: &batch.subjects,
                bytes: &bytes,
            })
        })
    });
    finish(vfs.as_ref(), (id, kind), result.map(|()| writer))
}

/// The batches of a stretch that somebody still needs.
fn batches(view: &View, stretch: &Stretch, home: u32) -> impl Iterator<Item = Resting<Spot>> {
    let (log, mut from, end) = (stretch.log, stretch.base, stretch.last + 1);
    let parts = std::iter::from_fn(move || {
        let part = view.state().resting_in(log, from..end, home, WRITE);
        from = part.last()?.last + 1;
        Some(part)
    });
    parts.flatten()
}

/// Begins a unit, or leaves nothing of it.
pub(crate) fn create(vfs: &Arc<dyn Vfs>, (id, kind): (FileId, Kind)) -> io::Result<UnitWriter> {
    UnitWriter::create(vfs, id, kind).inspect_err(|_| remove(vfs.as_ref(), id, kind))
}

/// Finishes a unit, or removes what there is of it.
pub(crate) fn finish(
    vfs: &dyn Vfs,
    (id, kind): (FileId, Kind),
    writer: io::Result<UnitWriter>,
) -> io::Result<Written> {
    let written = writer.and_then(|writer| writer.finish());
    match written {
        Ok(runs) => {
            let lengths = unit::names(id, kind).map(|name| vfs.open(&name)?.length());
            let bytes = lengths.sum::<io::Result<u64>>()?;
            Ok(Written { id, kind, bytes, runs })
        }
        Err(error) => {
            remove(vfs, id, kind);
            Err(error)
        }
    }
}

/// Removes the files of a unit that does not count, or not any more.
pub(crate) fn remove(vfs: &dyn Vfs, id: FileId, kind: Kind) {
    for name in unit::names(id, kind) {
        match vfs.remove(&name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, name, "a resting file could not be removed"),
        }
    }
}

/// The bytes of a batch in a segment; `None` when it has gone in the meantime.
fn fetch(view: &View, batch: &Resting<Spot>) -> io::Result<Option<Bytes>> {
    match view.fetch_spot(&batch.place) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Miss::Moved) => Ok(None),
        Err(Miss::Failed(error)) => Err(io::Error::other(error)),
    }
}
