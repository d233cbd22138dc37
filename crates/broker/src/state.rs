//! The state behind the broker's one lock.

use hashbrown::HashMap;
use meta::{Catalogue, Change};
use protocol::ConnId;
use storage::{LogId, Mode, Op};

use crate::compaction::Compactions;
use crate::completion::{Completion, Step};
use crate::conns::Conns;
use crate::cursors::Cursors;
use crate::deadlines::Deadlines;
use crate::holders::Holders;
use crate::modules::Modules;
use crate::parked::Parked;
use crate::pressure::Resident;
use crate::queues::Queues;
use crate::read::Waiters;
use crate::sessions::Sessions;
use crate::streams::Producers;
use crate::timers::{Due, TimerId, Timers};
use crate::turn::Turn;

/// Bytes of one background write.
const FLUSH_BYTES: usize = 1 << 20;

/// Tables of the engine.
pub(crate) mod table {
    use storage::Table;

    /// Objects of the catalogue.
    pub(crate) const CATALOGUE: Table = "catalogue";
    /// Last values: key = space, 0, subject.
    pub(crate) const LAST: Table = "last";
    /// Durable sessions: key = id.
    pub(crate) const SESSIONS: Table = "sessions";
    /// Their subscriptions: key = session id, number.
    pub(crate) const SUBSCRIPTIONS: Table = "subscriptions";
    /// Their memory: key = session id, the session's own key.
    pub(crate) const MEMORY: Table = "memory";
    /// What is due, by its time: key = time, kind, object.
    pub(crate) const DEADLINES: Table = "deadlines";
    /// Wills that wait: key = session id.
    pub(crate) const WILLS: Table = "wills";
    /// Group cursors: key = name.
    pub(crate) const CURSORS: Table = "cursors";
    /// How far logs were compacted: key = log.
    pub(crate) const COMPACTION: Table = "compaction";
    /// Users and roles: key = kind, name.
    pub(crate) const SECURITY: Table = "security";
    /// Single numbers of the node.
    pub(crate) const NODE: Table = "node";
}

/// Everything that changes under one lock.
pub(crate) struct Core {
    pub(crate) catalogue: Catalogue,
    pub(crate) conns: Conns,
    pub(crate) sessions: Sessions,
    pub(crate) queues: Queues,
    pub(crate) cursors: Cursors,
    pub(crate) waiters: Waiters,
    pub(crate) timers: Timers,
    pub(crate) deadlines: Deadlines,
    pub(crate) modules: Modules,
    pub(crate) producers: Producers,
    /// Commits of a log were handled up to here.
    pub(crate) processed: HashMap<LogId, u64>,
    pub(crate) random: u64,
    /// Numbers of bindings, for this run.
    pub(crate) next_binding: u64,
    /// Binding numbers by what makes a binding the same one.
    pub(crate) binding_numbers:
        HashMap<(model::record::Space, protocol::BindTarget, bytes::Bytes), u64>,
    pub(crate) flush_due: bool,
    /// Ticks of the sweep.
    pub(crate) ticks: u64,
    /// The stream up to which age was applied in this round.
    pub(crate) expired_upto: Option<bytes::Bytes>,
    pub(crate) compactions: Compactions,
    pub(crate) holders: Holders,
    /// Publishes that wait for room.
    pub(crate) parked: Parked,
    /// What sessions and connections hold.
    pub(crate) resident: Resident,
    /// Why publishing was refused when that was last looked at.
    pub(crate) reason: Option<&'static str>,
}

impl Core {
    /// Adds a timer and wakes the worker that keeps them if it comes first.
    pub(crate) fn timer(&mut self, turn: &Turn<'_>, at: std::time::Instant, due: Due) -> TimerId {
        let first = self.timers.deadline().is_none_or(|deadline| at < deadline);
        let timer = self.timers.add(at, due);
        if first && turn.worker != 0 {
            turn.shared.mail.post(0, Completion(Step::Tick));
        }
        timer
    }

    /// Has cursors and settles written soon.
    pub(crate) fn flush_soon(&mut self, turn: &Turn<'_>) {
        if !self.flush_due {
            self.flush_due = true;
            self.timer(turn, turn.now.instant + std::time::Duration::from_millis(20), Due::Flush);
        }
    }

    /// A random number; the seed came from the rim.
    pub(crate) fn random(&mut self) -> u64 {
        next_random(&mut self.random)
    }

    /// A random id.
    pub(crate) fn random_id(&mut self) -> [u8; 16] {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.random().to_be_bytes());
        id[8..].copy_from_slice(&self.random().to_be_bytes());
        id
    }

    /// A number for a new log, with the row that keeps it from being given again.
    pub(crate) fn take_log(&mut self, ops: &mut Vec<Op>) -> LogId {
        let (log, change) = self.catalogue.take_log();
        ops.extend(rows([change]));
        LogId(log)
    }

    /// Writes what piled up: cursors and settles. Lost on a crash, it is only delivered again.
    pub(crate) fn flush(&mut self, turn: &Turn<'_>) {
        self.flush_due = false;
        let mut ops = self.queues.take_changes();
        self.sessions.take_cursors(&self.processed, &mut ops);
        self.cursors.take_changes(&mut ops);
        self.write_put_off(turn);
        // None of them needs another, so that many are several writes.
        let mut weight = 0;
        let mut write = Vec::new();
        for op in ops {
            weight += weight_of(&op);
            write.push(op);
            if weight > FLUSH_BYTES {
                weight = 0;
                self.write_flush(turn, std::mem::take(&mut write));
            }
        }
        if !write.is_empty() {
            self.write_flush(turn, write);
        }
    }

    fn write_flush(&self, turn: &Turn<'_>, ops: Vec<Op>) {
        let flushed = self.flushing(&ops);
        turn.shared.submit(ops, Mode::Async, turn.worker, move |result| {
            Step::Kept(flushed, result.is_ok())
        });
    }

    /// Whether a connection claimed this session.
    pub(crate) fn session_of(&self, conn: ConnId) -> Option<u64> {
        self.conns.get(conn)?.session
    }
}

/// About how many bytes a background operation takes.
fn weight_of(op: &Op) -> usize {
    match op {
        Op::Settle { places, .. } => 64 + 8 * places.len(),
        Op::Release { states, .. } => 64 + 24 * states.len(),
        Op::Cursor { state: Some(state), .. } => {
            128 + 16 * state.done.len() + 24 * state.pending.len()
        }
        Op::Cursor { state: None, .. }
        | Op::CreateLog { .. }
        | Op::Policy { .. }
        | Op::DropLog(_)
        | Op::Append(_)
        | Op::Trim { .. }
        | Op::Delete { .. }
        | Op::Put { .. }
        | Op::Remove { .. } => 128,
    }
}

/// Catalogue changes as operations.
pub(crate) fn rows(changes: impl IntoIterator<Item = Change>) -> Vec<Op> {
    changes
        .into_iter()
        .map(|(key, value)| match value {
            Some(value) => Op::Put { table: table::CATALOGUE, key, value },
            None => Op::Remove { table: table::CATALOGUE, key },
        })
        .collect()
}

/// SplitMix64.
pub(crate) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
