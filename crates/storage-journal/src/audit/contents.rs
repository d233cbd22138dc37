//! What a folder says: the state as the next start would find it.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use storage::memory::state::State;
use storage::{
    Bounds, CursorState, LogId, Mode, Offset, Policy, ReadError, ReadLimits, Reference, StoredBatch,
};

use super::walk::{self, Known, Walked};
use super::{Damage, Folder, Part, Refused, manifest_damage};
use crate::checkpoint::{Checkpoint, LoadError};
use crate::debt::Allowance;
use crate::drain;
use crate::manifest::{self, Content};
use crate::replay::replay;
use crate::rest::table;
use crate::units::Units;
use crate::view::View;
use crate::wal::Clocks;

/// Bytes of indexes of resting files that are kept while reading.
const INDEX_BYTES: usize = 16 << 20;
/// Bytes of a page of records.
const PAGE_BYTES: usize = 1 << 20;

/// The state of a folder, with the files open that hold the records.
#[derive(Debug)]
pub struct Contents {
    pub(super) view: View,
    pub(super) content: Option<Content>,
    pub(super) walked: Walked,
}

/// A log and what it holds.
#[derive(Clone, Debug)]
pub struct LogSummary {
    /// Which.
    pub log: LogId,
    /// When its appends are acknowledged.
    pub mode: Mode,
    /// The visible part.
    pub bounds: Bounds,
    /// What it keeps in sight.
    pub policy: Policy,
    /// Leader epoch.
    pub epoch: i32,
    /// Parts of it in resting files.
    pub runs: usize,
}

impl Folder {
    /// Reads the state. Where the shared log is damaged, it is the state before the damage:
    /// [`Contents::damages`] says so.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn contents(&self) -> Result<Contents, Refused> {
        let read = manifest::read(self.vfs.as_ref());
        let known = Known::of(&read);
        let content = read.map_err(|error| Refused::Damaged(manifest_damage(&error)))?;
        let mut state = State::new();
        let units = Units::new(self.vfs.clone(), INDEX_BYTES);
        if let Some(content) = &content {
            Checkpoint::load(self.vfs.as_ref(), &content.state, &mut state)
                .map_err(|error| Refused::Damaged(state_damage(&error)))?;
            state.loaded(content.lsn);
            for (id, unit) in &content.units {
                units.add(*id, drain::kind_of(unit));
            }
        }
        let names = self.names()?;
        let walked =
            walk::walk(self.vfs.as_ref(), &names, known, &mut |group| replay(&mut state, group));
        let clocks = Clocks { engine_ms: walked.clock_ms, wall_ms: walked.clock_ms };
        let view = View::new(state, (walked.open.clone(), units), (0, Allowance::ANY), clocks);
        Ok(Contents { view, content, walked })
    }
}

/// What is wrong with the state tables, as a damaged place.
fn state_damage(error: &LoadError) -> Damage {
    match error {
        LoadError::Table(error) => table_damage(error),
        LoadError::Row(reason) => {
            let reason = format!("a row makes no sense: {reason}");
            Damage { file: "a state table".to_owned(), position: 0, reason, part: Part::State }
        }
    }
}

/// What is wrong with a state table, as a damaged place.
pub(super) fn table_damage(error: &table::ReadError) -> Damage {
    let (id, position, reason) = match error {
        table::ReadError::Io { id, source } if source.kind() == std::io::ErrorKind::NotFound => {
            (id, 0, "the file is missing; the manifest names it".to_owned())
        }
        table::ReadError::Io { id, source } => (id, 0, format!("cannot be read: {source}")),
        table::ReadError::Damaged { id, position, reason } => (id, *position, reason.to_string()),
        table::ReadError::TooNew { id, .. } => (id, 0, error.to_string()),
    };
    Damage { file: table::name(*id), position, reason, part: Part::State }
}

impl Contents {
    /// What of the shared log is damaged: this is the state before it.
    pub fn damages(&self) -> &[Damage] {
        &self.walked.damages
    }

    /// The logs, in order.
    pub fn logs(&self) -> Vec<LogSummary> {
        let state = self.view.state();
        let summary = |log: LogId| {
            let row = state.row(log)?;
            Some(LogSummary {
                log,
                mode: row.mode,
                bounds: state.bounds(log)?,
                policy: state.policy(log)?,
                epoch: row.epoch,
                runs: state.runs(log).len(),
            })
        };
        state.logs().into_iter().filter_map(summary).collect()
    }

    /// Shows the visible batches of a log from an offset on, until it has had enough.
    ///
    /// # Errors
    ///
    /// [`ReadError`] where the records cannot be read.
    pub fn read(
        &self,
        log: LogId,
        from: Offset,
        take: &mut dyn FnMut(&StoredBatch) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let bounds = self.view.state().bounds(log).ok_or(ReadError::NoLog)?;
        let mut from = from.max(bounds.first);
        let limits = ReadLimits { max_bytes: PAGE_BYTES, held: false };
        while from < bounds.end {
            let batches = self.view.query().read(log, from, limits)?;
            let Some(newest) = batches.last() else { return Ok(()) };
            from = newest.last + 1;
            if batches.iter().try_for_each(&mut *take).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The tables with the number of their rows.
    pub fn tables(&self) -> Vec<(String, usize)> {
        self.view.state().tables()
    }

    /// Rows of a table, from a key on.
    pub fn rows(&self, table: &str, from: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        self.view.state().scan(table, from, limit)
    }

    /// Cursors, from a name on.
    pub fn cursors(&self, from: &[u8], limit: usize) -> Vec<(Bytes, LogId, CursorState)> {
        self.view.state().cursors(from, limit)
    }

    /// References of a queue, from a place on.
    pub fn references(&self, queue: LogId, from: u64, limit: usize) -> Vec<Reference> {
        self.view.state().refs(queue, from, limit)
    }

    /// Opens a resting file.
    pub(super) fn unit(&self, id: crate::rest::FileId) -> Option<Arc<crate::rest::unit::Unit>> {
        self.view.units.unit(id).ok()
    }
}
