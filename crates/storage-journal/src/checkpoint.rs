//! Checkpoints: the rows of the state in tables, a base and a few deltas (storage rule 5).
//!
//! A delta holds the rows that have changed since the last one, all as they were after one group.
//! So one number says what the tables know: a replay passes over the effects of the groups up to
//! it, and takes only the places of their batches.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use storage::memory::state::{RowKey, RowValue, State};

use crate::manifest::StateFile;
use crate::rest::FileId;
use crate::rest::table::{self, Table};
use crate::rows;
use crate::vfs::Vfs;
use crate::view::Spot;

/// Deltas beside a base, at most.
const DELTAS_MAX: usize = 4;

/// The tables that are valid, the base first.
#[derive(Debug, Default)]
pub(crate) struct Checkpoint {
    tables: Vec<Arc<Table>>,
}

/// Why the state was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A table cannot be read.
    #[error("{0}")]
    Table(#[from] table::ReadError),
    /// A row is of a newer version.
    #[error("{0}")]
    Row(String),
}

/// Rows as they were after one group.
pub(crate) type Rows = Vec<(RowKey, Option<RowValue>)>;

impl Checkpoint {
    /// Opens the tables of a manifest and loads the state from them.
    pub(crate) fn load(
        vfs: &dyn Vfs,
        files: &[StateFile],
        state: &mut State<Spot>,
    ) -> Result<Self, LoadError> {
        let tables = files.iter().map(|file| Table::open(vfs, file.id).map(Arc::new));
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        let newest_first: Vec<_> = tables.iter().rev().map(Arc::as_ref).collect();
        for entry in table::merged(&newest_first, true) {
            let (key, value) = entry?;
            if let Some(value) = value {
                let (key, value) =
                    rows::row(&key, value).map_err(|error| LoadError::Row(error.to_string()))?;
                state.load(key, value);
            }
        }
        Ok(Self { tables })
    }

    /// The tables, the base first.
    pub(crate) fn files(&self) -> Vec<StateFile> {
        let file = |table: &Arc<Table>| StateFile { id: table.id(), bytes: table.bytes() };
        self.tables.iter().map(file).collect()
    }

    /// Writes rows as the next delta, or everything as a new base when there are many deltas.
    /// Returns the checkpoint with it; the files of this one stay valid. Tables of it that are not
    /// in the new one, and those written on the way, can go once the new one counts.
    pub(crate) fn with(
        &self,
        vfs: &dyn Vfs,
        rows: &Rows,
        mut next_id: impl FnMut() -> FileId,
    ) -> io::Result<(Self, Vec<FileId>)> {
        // Nothing lies below a base that a tombstone could hide.
        let first = self.tables.is_empty();
        let mut rows: Vec<_> = rows.iter().filter(|(_, value)| !first || value.is_some()).collect();
        rows.sort_unstable_by(|(one, _), (other, _)| rows::order(one, other));
        // There may be millions: each is encoded when its turn comes.
        let entries = rows.into_iter().map(|(key, value)| {
            let value = value.as_ref().map(|value| Bytes::from(rows::put_value(value)));
            (rows::put_key(key), value)
        });
        let delta = next_id();
        table::write(vfs, delta, entries)?;
        let mut tables = self.tables.clone();
        let opened = Table::open(vfs, delta).map_err(io::Error::other)?;
        tables.push(Arc::new(opened));
        if !is_crowded(&tables) {
            return Ok((Self { tables }, Vec::new()));
        }
        let base = next_id();
        let newest_first: Vec<_> = tables.iter().rev().map(Arc::as_ref).collect();
        if let Err(error) = table::merge(vfs, &newest_first, true, base) {
            // The delta alone does as well; the next one tries again.
            tracing::warn!(%error, "the state tables could not be merged");
            return Ok((Self { tables }, Vec::new()));
        }
        let opened = Table::open(vfs, base).map_err(io::Error::other)?;
        let merged = Self { tables: vec![Arc::new(opened)] };
        Ok((merged, tables.iter().map(|table| table.id()).collect()))
    }
}

/// Whether a base should take its deltas in.
fn is_crowded(tables: &[Arc<Table>]) -> bool {
    let Some((base, deltas)) = tables.split_first() else { return false };
    let bytes: u64 = deltas.iter().map(|table| table.bytes()).sum();
    deltas.len() > DELTAS_MAX || (bytes > base.bytes() && deltas.len() > 1)
}
