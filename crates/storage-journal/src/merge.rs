//! Merging: units that hold much that is dead, many small packs, and many small files of one log
//! become new units.
//!
//! Only what somebody needs goes on: batches without a needed record are left out, and a batch of
//! which most is dead is written without its dead records, with its offsets as they were. Nothing
//! is decided here: records go out of sight by trims and deletions alone, and a deletion stays in
//! the log's set for as long as the record's offset is in sight.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use storage::memory::query::Miss;
use storage::memory::state::Run;
use storage::{LogId, Offset, batch};

use crate::drain::{self, Written};
use crate::rest::FileId;
use crate::rest::unit::{Entry, Kind, Rested};
use crate::vfs::Vfs;
use crate::view::View;

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;
/// How many packs of about the same size become one.
const TIER: usize = 8;
/// Packs whose sizes differ by less than this factor are about the same.
const RATIO: u64 = 8;
/// A pack beyond this is not merged for its size.
const PACK_BYTES_MAX: u64 = 2 << 30;

/// A file of one log beyond this is not merged for its size: of eight one run must come.
const HOT_BYTES_MAX: u64 = (1 << 30) / TIER as u64 - (1 << 20);

/// A unit that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Present {
    pub(crate) id: FileId,
    pub(crate) kind: Kind,
    pub(crate) bytes: u64,
}

/// Packs that should become one.
pub(crate) fn tier(units: &[Present]) -> Option<Vec<Present>> {
    let mut packs: Vec<_> = units
        .iter()
        .filter(|unit| unit.kind == Kind::Pack && unit.bytes < PACK_BYTES_MAX)
        .copied()
        .collect();
    packs.sort_unstable_by_key(|unit| (unit.bytes, unit.id));
    let alike = packs.windows(TIER).find(|window| {
        let (Some(least), Some(most)) = (window.first(), window.last()) else { return false };
        most.bytes / RATIO <= least.bytes
    })?;
    Some(alike.to_vec())
}

/// Whether a file of one log may become part of a longer one.
pub(crate) fn grows(unit: &Present) -> bool {
    matches!(unit.kind, Kind::Hot { .. }) && unit.bytes < HOT_BYTES_MAX
}

/// Files of one log, one behind the other, that should become one: as with packs, so that their
/// number grows with the logarithm of what a log holds.
pub(crate) fn hot_tier(mut files: Vec<(LogId, Offset, Present)>) -> Option<Vec<Present>> {
    files.sort_unstable_by_key(|(log, base, unit)| (*log, *base, unit.id));
    let alike = files.windows(TIER).find(|window| {
        let sizes = window.iter().map(|(.., unit)| unit.bytes);
        let (least, most) = (sizes.clone().min(), sizes.max());
        let (Some((first, ..)), Some((last, ..))) = (window.first(), window.last()) else {
            return false;
        };
        first == last && most.unwrap_or_default() / RATIO < least.unwrap_or_default()
    })?;
    Some(alike.iter().map(|(.., unit)| *unit).collect())
}

/// The log of a file that holds one; none if that cannot be read now.
pub(crate) fn log_of(view: &View, unit: &Present) -> Option<LogId> {
    let open = view.units.unit(unit.id).ok()?;
    open.directory().ok()?.first().map(|holding| holding.log)
}

/// How many records of a unit somebody needs, and how many it may hold.
pub(crate) fn needed_records(view: &View, unit: &Present) -> Result<(u64, u64), Miss> {
    let open = view.units.unit(unit.id)?;
    let directory = open.directory().map_err(|error| Miss::Failed(unreadable(error)))?;
    let (mut needed, mut all) = (0, 0);
    for holding in directory {
        all += holding.records;
        let state = view.state();
        if state.run_in(holding.log, unit.id.0, holding.base).is_some() {
            let records = state.needed_in(holding.log, holding.base, holding.last);
            needed += records.min(holding.records);
        }
    }
    Ok((needed, all))
}

fn unreadable(error: impl std::fmt::Display) -> storage::ReadError {
    storage::ReadError::Unreadable(error.to_string())
}

/// A run that goes into a new unit, perhaps together with those behind it.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) log: LogId,
    /// In order, nothing visible between them.
    pub(crate) runs: Vec<Run>,
    bytes: u64,
}

/// What a source is, for [`drain::divide`].
pub(crate) fn measure(source: &Source) -> (LogId, Offset, u64) {
    (source.log, source.runs.first().map_or(0, |run| run.base), source.bytes)
}

/// The runs of some units that are still in the index, joined where nothing lies between them.
pub(crate) fn sources(view: &View, units: &[Present]) -> Result<Vec<Source>, Miss> {
    let mut all: Vec<(LogId, Run)> = Vec::new();
    for unit in units {
        let open = view.units.unit(unit.id)?;
        let directory = open.directory().map_err(|error| Miss::Failed(unreadable(error)))?;
        let state = view.state();
        let runs = directory.iter().filter_map(|holding| {
            let run = state.run_in(holding.log, unit.id.0, holding.base)?;
            Some((holding.log, run))
        });
        all.extend(runs);
    }
    all.sort_unstable_by_key(|(log, run)| (*log, run.base));
    let mut sources: Vec<Source> = Vec::new();
    for (log, run) in all {
        let state = view.state();
        let joins = sources.last().is_some_and(|source| {
            let last = source.runs.last().map_or(0, |run| run.last);
            let gap = last + 1..run.base;
            let others = state.runs(log);
            source.log == log
                && source.bytes + u64::from(run.bytes) < 1 << 30
                && (gap.is_empty()
                    || (state.is_gap_hidden(log, gap.clone())
                        && !others.iter().any(|other| gap.contains(&other.base))))
        });
        match sources.last_mut().filter(|_| joins) {
            Some(source) => {
                source.bytes += u64::from(run.bytes);
                source.runs.push(run);
            }
            None => sources.push(Source { log, runs: vec![run], bytes: run.bytes.into() }),
        }
    }
    Ok(sources)
}

/// Writes what is needed of some sources into a unit.
pub(crate) fn write(
    (vfs, view): (&Arc<dyn Vfs>, &View),
    (id, kind): (FileId, Kind),
    sources: &[Source],
    pace: &mut dyn FnMut(usize),
) -> io::Result<Option<Written>> {
    let mut writer = drain::create(vfs, (id, kind))?;
    let mut pushed = false;
    let result = sources.iter().try_for_each(|source| {
        source.runs.iter().try_for_each(|run| {
            copy(view, (source.log, run), &mut |batch, bytes| {
                pace(bytes.len());
                pushed = true;
                writer.push(Entry {
                    log: source.log,
                    base: batch.base,
                    last: batch.last,
                    max_timestamp_ms: batch.max_timestamp_ms,
                    appended_ms: batch.appended_ms,
                    subjects: &batch.subjects,
                    bytes,
                })
            })
        })
    });
    if result.is_ok() && !pushed {
        drop(writer);
        drain::remove(vfs.as_ref(), id, kind);
        return Ok(None);
    }
    drain::finish(vfs.as_ref(), (id, kind), result.map(|()| writer)).map(Some)
}

/// Hands the batches of a run on that somebody needs, as they are to be kept.
fn copy(
    view: &View,
    (log, run): (LogId, &Run),
    take: &mut dyn FnMut(&Rested, &Bytes) -> io::Result<()>,
) -> io::Result<()> {
    let mut from = run.base;
    loop {
        let batches = match view.units.rested(run, from, READ_BYTES) {
            Ok(batches) => batches,
            Err(Miss::Failed(error)) => return Err(io::Error::other(error)),
            Err(Miss::Moved) => return Err(io::Error::other("the unit has gone")),
        };
        let Some(last) = batches.last() else { return Ok(()) };
        from = last.last + 1;
        for batch in &batches {
            let needed = needed(view, log, batch);
            let count = needed.iter().filter(|needed| **needed).count();
            if count == 0 {
                continue;
            }
            let keeps_all = 2 * count >= needed.len();
            let is_gone = |offset: Offset| {
                let at = usize::try_from(offset.wrapping_sub(batch.base)).unwrap_or(usize::MAX);
                !needed.get(at).copied().unwrap_or(false)
            };
            // A batch that nobody can decode stays whole.
            let thinned = match keeps_all {
                true => None,
                false => batch::without(&batch.bytes, is_gone).ok().flatten(),
            };
            take(batch, thinned.as_ref().unwrap_or(&batch.bytes))?;
        }
        if from > run.last {
            return Ok(());
        }
    }
}

/// For each offset of a batch, whether somebody needs its record.
fn needed(view: &View, log: LogId, batch: &Rested) -> Vec<bool> {
    let state = view.state();
    (batch.base..=batch.last).map(|offset| state.is_needed(log, offset)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hot(log: u64, base: Offset, bytes: u64) -> (LogId, Offset, Present) {
        let id = FileId::new(1, u32::try_from(log * 1_000 + base).expect("few"));
        (LogId(log), base, Present { id, kind: Kind::Hot { base }, bytes })
    }

    #[test]
    fn eight_neighbours_of_about_one_size_become_one_file() {
        let mut files: Vec<_> = (0..7).map(|n| hot(1, n, 100 + n)).collect();
        files.extend((0..7).map(|n| hot(2, n, 100)));
        assert!(hot_tier(files.clone()).is_none(), "seven of each log");
        files.push(hot(1, 7, 100 * RATIO));
        assert!(hot_tier(files.clone()).is_none(), "one of them is of the next tier");
        files.insert(0, hot(2, 7, 110));
        let found = hot_tier(files).expect("eight are alike");
        let bases = found.iter().map(|unit| unit.kind);
        assert_eq!(
            bases.collect::<Vec<_>>(),
            (0..8).map(|n| hot(2, n, 0).2.kind).collect::<Vec<_>>()
        );
        assert!(grows(&hot(1, 0, 1 << 20).2) && !grows(&hot(1, 0, 128 << 20).2));
        assert!(!grows(&pack(1, 100)));
    }

    fn pack(sequence: u32, bytes: u64) -> Present {
        Present { id: FileId::new(1, sequence), kind: Kind::Pack, bytes }
    }

    #[test]
    fn packs_of_about_one_size_are_merged_when_there_are_eight() {
        let mut packs: Vec<_> = (0..7).map(|n| pack(n, 1_000 + u64::from(n))).collect();
        assert!(tier(&packs).is_none());
        packs.push(pack(8, 100_000));
        assert!(tier(&packs).is_none(), "one of them is much larger");
        packs.push(pack(9, 4_000));
        let found = tier(&packs).expect("eight are alike");
        assert_eq!(found.len(), TIER);
        assert!(found.iter().all(|unit| unit.bytes < 100_000));
    }
}
