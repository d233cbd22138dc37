//! What goes through the lane: writes that become one group, and the group on its way.

use std::time::Instant;

use storage::memory::plan::Drafts;
use storage::{Committed, Done, SubmitError, Write};

use crate::assay::Assay;
use crate::framing::Framed;
use crate::group::GroupBuilder;
use crate::wal::Placed;

/// Writes that become one group.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) writes: Vec<(Write, Done)>,
    /// So many of the first only free.
    pub(crate) controls: usize,
    /// Their bytes in the queue's terms.
    pub(crate) control_bytes: usize,
    /// Bytes of the others.
    pub(crate) data_bytes: usize,
    /// Something in it is an append, or waits for the disk.
    pub(crate) urgent: bool,
    /// When the first of them came.
    pub(crate) since: Option<Instant>,
    /// Enough waits behind them for another group.
    pub(crate) more: bool,
}

impl Batch {
    pub(crate) fn push(&mut self, write: (Write, Done), assay: Assay) {
        if assay.control && self.controls == self.writes.len() {
            self.controls += 1;
        }
        match assay.control {
            true => self.control_bytes += assay.bytes,
            false => self.data_bytes += assay.bytes,
        }
        self.urgent |= !assay.lazy;
        self.writes.push(write);
    }

    pub(crate) fn has_data(&self) -> bool {
        self.controls < self.writes.len()
    }

    pub(crate) fn refuse(self, error: &SubmitError) {
        for (_, done) in self.writes {
            done(Err(error.clone()));
        }
    }
}

/// What has ended since somebody asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ended {
    /// Bytes of writes with data, in the queue's terms.
    pub(crate) data_bytes: usize,
    /// Bytes of those that only free.
    pub(crate) control_bytes: usize,
    /// Writes that waited for a sync: whoever waits for one is likely to come back with the next.
    pub(crate) synced: usize,
    /// Writes that waited already when the first of those was told.
    pub(crate) waiting: usize,
}

/// What a write has done.
pub(crate) type Outcome = Result<Committed, SubmitError>;

/// A group on its way: planned, and soon written.
#[derive(Default)]
pub(crate) struct Flight {
    pub(crate) results: Vec<(Outcome, Done)>,
    /// So many of the first only free.
    pub(crate) controls: usize,
    pub(crate) group: GroupBuilder,
    pub(crate) framed: Vec<Framed>,
    pub(crate) placed: Option<Placed>,
    /// What the next group must know; `None` when that can only be told once this one is applied.
    pub(crate) drafts: Option<Drafts>,
    /// Somebody waits for the disk.
    pub(crate) sync: bool,
    /// Lets a sync that nobody waits for follow soon.
    pub(crate) urgent: bool,
    pub(crate) since: Option<Instant>,
    pub(crate) bytes: (usize, usize),
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Flight");
        debug.field("writes", &self.results.len()).field("placed", &self.placed);
        debug.finish_non_exhaustive()
    }
}
