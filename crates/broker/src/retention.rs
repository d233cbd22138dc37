//! What goes out of sight: by age and by bytes. And what is swept: leases, followers' cursors.

use std::time::Duration;

use storage::{LogId, Mode, Op};

use crate::completion::Step;
use crate::state::Core;
use crate::timers::Due;
use crate::turn::Turn;

/// How often retention is applied.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(10);

impl Core {
    pub(crate) fn sweep(&mut self, turn: &mut Turn<'_>) {
        self.timer(turn, turn.now.instant + SWEEP_EVERY, Due::Sweep);
        let mut ops = Vec::new();
        for stream in self.catalogue.streams() {
            for log in &stream.logs {
                let first = first_to_keep(turn, LogId(*log), stream.max_age_ms, stream.max_bytes);
                if let Some(first) = first {
                    ops.push(Op::Trim { log: LogId(*log), first });
                }
            }
        }
        if !ops.is_empty() {
            turn.shared.submit(ops, Mode::Async, turn.worker, |_| Step::Flushed);
        }
        let router = &turn.shared.router;
        let ended =
            router.read().expect("no panic under this lock").has_ended_leases(turn.now.unix_ms);
        if ended {
            turn.shared.reroute(|router| router.sweep_leases(turn.now.unix_ms));
        }
        turn.shared.last_values.sweep();
        self.sessions.mark_followers();
        self.flush(turn);
    }
}

/// The first offset that stays visible, if it moves.
fn first_to_keep(
    turn: &Turn<'_>,
    log: LogId,
    max_age_ms: Option<u64>,
    max_bytes: Option<u64>,
) -> Option<u64> {
    let engine = &turn.shared.engine;
    let bounds = engine.bounds(log)?;
    let mut first = bounds.first;
    if let Some(age) = max_age_ms
        && bounds.first < bounds.end
    {
        let time = turn.now.unix_ms.saturating_sub_unsigned(age);
        match engine.seek(log, time) {
            Ok(Some((offset, _))) => first = first.max(offset),
            Ok(None) => first = bounds.end,
            Err(_) => {}
        }
    }
    if let Some(max) = max_bytes.filter(|max| bounds.bytes > *max) {
        // Records are about equally large; the next sweep corrects what this one misses.
        let excess = bounds.bytes - max;
        let records = u128::from(bounds.end - bounds.first);
        let share = records * u128::from(excess) / u128::from(bounds.bytes.max(1));
        first = first.max(bounds.first + u64::try_from(share).unwrap_or_default());
    }
    (first > bounds.first).then_some(first)
}
