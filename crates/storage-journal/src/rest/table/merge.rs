//! Several tables as one: the newest entry of each key.

use std::borrow::Borrow;
use std::io;

use crate::rest::FileId;
use crate::rest::table::write::write_results;
use crate::rest::table::{Entries, Entry, ReadError, Table, Written};
use crate::vfs::Vfs;

/// Writes one table that says what the given ones say together; of a key, the newest wins.
///
/// `drop_tombstones` only when the oldest table of all takes part (storage rule 14): a tombstone
/// that goes earlier uncovers what it hides.
///
/// # Durability
///
/// As with [`write`](crate::rest::table::write).
///
/// # Errors
///
/// What the disk says, and `InvalidData` with a [`ReadError`] inside when an input is damaged.
pub fn merge<T: Borrow<Table>>(
    vfs: &dyn Vfs,
    newest_first: &[T],
    drop_tombstones: bool,
    id: FileId,
) -> io::Result<Written> {
    let entries = merged(newest_first, drop_tombstones);
    write_results(vfs, id, entries.map(|entry| entry.map_err(io::Error::from)))
}

/// The entries that [`merge`] writes, without writing them.
pub fn merged<T: Borrow<Table>>(newest_first: &[T], drop_tombstones: bool) -> Merged<'_> {
    let sources =
        newest_first.iter().map(|table| Source { entries: table.borrow().entries(), head: None });
    Merged { sources: sources.collect(), drop_tombstones, state: State::Fresh }
}

/// Entries of several tables in order, the newest of each key; ends after the first error.
#[derive(Debug)]
pub struct Merged<'a> {
    /// Newest first.
    sources: Vec<Source<'a>>,
    drop_tombstones: bool,
    state: State,
}

#[derive(Debug)]
struct Source<'a> {
    entries: Entries<'a>,
    /// Its first entry that has not gone out.
    head: Option<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No source has been asked yet.
    Fresh,
    /// All heads are loaded.
    Running,
    Failed,
}

impl Merged<'_> {
    fn step(&mut self) -> Result<Option<Entry>, ReadError> {
        if self.state == State::Fresh {
            for source in &mut self.sources {
                source.advance()?;
            }
            self.state = State::Running;
        }
        loop {
            // The first of equal minima is the newest. There are few tables, so no heap.
            let heads = self.sources.iter().filter_map(|source| source.head.as_ref());
            let Some((key, value)) = heads.min_by(|one, other| one.0.cmp(&other.0)).cloned() else {
                return Ok(None);
            };
            for source in &mut self.sources {
                if source.head.as_ref().is_some_and(|head| head.0 == key) {
                    source.advance()?;
                }
            }
            if value.is_some() || !self.drop_tombstones {
                return Ok(Some((key, value)));
            }
        }
    }
}

impl Source<'_> {
    fn advance(&mut self) -> Result<(), ReadError> {
        self.head = self.entries.next().transpose()?;
        Ok(())
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Failed {
            return None;
        }
        let step = self.step();
        if step.is_err() {
            self.state = State::Failed;
        }
        step.transpose()
    }
}
