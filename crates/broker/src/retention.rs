//! What goes out of sight, and the tick that sees to it.
//!
//! Bytes, counts and limits per subject are kept by the engine as records are appended (its policy
//! of each log); age is applied here, some logs at a time, on the engine's own clock: never early.

use std::time::Duration;

use meta::Stream;
use protocol::{Alter, ConnId, Declared, Refusal, Reply, Retention, StreamRef, Token};
use storage::{LogId, Mode, Op, Policy, WhenFull};

use crate::completion::Step;
use crate::open::SPOOL;
use crate::state::{Core, rows};
use crate::streams::{Found, home_of};
use crate::timers::Due;
use crate::turn::Turn;

/// How often something is swept.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Ticks between two sweeps of what need not be looked at more often.
const SELDOM: u64 = 10;
/// Logs whose age is looked at in one tick.
const LOGS_PER_TICK: usize = 2_000;

/// The policy of a stream's logs.
pub(crate) fn policy_of(stream: &Stream) -> Policy {
    if stream.name == SPOOL {
        // It holds what queues refer to, and shows nothing.
        return Policy { max_records: Some(0), ..Policy::default() };
    }
    let retention = &stream.retention;
    let expires = retention.cleanup.expires();
    Policy {
        max_records: retention.max_records.filter(|_| expires),
        max_bytes: retention.max_bytes.filter(|_| expires),
        max_per_subject: retention.max_per_subject,
        when_full: match retention.refuse_when_full {
            true => WhenFull::Refuse,
            false => WhenFull::DropOldest,
        },
        until_consumed: retention.until_consumed,
        once_ms: 0,
    }
}

/// The age at which records of a stream go out of sight.
pub(crate) fn age_of(retention: &Retention) -> Option<u64> {
    retention.max_age_ms.filter(|_| retention.cleanup.expires())
}

impl Core {
    /// One tick.
    pub(crate) fn sweep(&mut self, turn: &mut Turn<'_>) {
        self.timer(turn, turn.now.instant + SWEEP_EVERY, Due::Sweep);
        self.watch(turn);
        self.expire(turn);
        self.compact(turn);
        if turn.shared.pressure.refuses_storing().is_none() {
            self.sessions.retry_wills();
        }
        self.ticks += 1;
        if !self.ticks.is_multiple_of(SELDOM) {
            return;
        }
        let router = &turn.shared.router;
        let ended =
            router.read().expect("no panic under this lock").has_ended_leases(turn.now.unix_ms);
        if ended {
            turn.shared.reroute(|router| router.sweep_leases(turn.now.unix_ms));
        }
        turn.shared.last_values.sweep();
        self.hold_to_quotas(turn);
        self.add_up();
        self.trim_cursors(turn);
        self.sessions.mark_followers();
        self.flush(turn);
    }

    /// Puts out of sight what is too old, in the next logs.
    fn expire(&mut self, turn: &Turn<'_>) {
        let engine = &turn.shared.engine;
        let now = engine.clock_ms();
        let mut ops = Vec::new();
        let mut looked_at = 0;
        let from = self.expired_upto.take();
        for stream in self.catalogue.streams_after(from.as_deref()) {
            if looked_at >= LOGS_PER_TICK {
                break;
            }
            let age = age_of(&stream.retention);
            self.expired_upto = Some(stream.name.clone());
            looked_at += 1;
            let Some(age) = age else { continue };
            for log in stream.logs.iter().map(|log| LogId(*log)) {
                looked_at += 1;
                let oldest = now.saturating_sub_unsigned(age);
                let Some(bounds) = engine.bounds(log).filter(|b| b.first < b.end) else { continue };
                // A log that cannot be read is left as it is; its readers are told.
                let Ok(first) = engine.appended_since(log, oldest) else { continue };
                if first > bounds.first {
                    ops.push(Op::Trim { log, first });
                }
            }
        }
        if looked_at < LOGS_PER_TICK {
            self.expired_upto = None;
        }
        if !ops.is_empty() {
            turn.shared.submit(ops, Mode::Async, turn.worker, |_| Step::Flushed);
        }
    }

    /// Changes what a stream keeps in sight.
    pub(crate) fn alter_stream(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        alter: Alter,
    ) {
        let mut stream = match self.find(&alter.stream) {
            None => return turn.refuse(conn, token, Refusal::NotFound),
            Some(Found::View(_)) => return turn.refuse(conn, token, Refusal::Reserved),
            Some(Found::Stream(s)) if s.internal => {
                return turn.refuse(conn, token, Refusal::Reserved);
            }
            Some(Found::Stream(stream)) => stream,
        };
        if !alter.retention.is_possible() {
            return turn.refuse(conn, token, Refusal::InvalidNumber);
        }
        // Nothing must be said to hold that the engine did not take.
        let refusal = turn.shared.pressure.refuses_storing();
        if let Some(refusal) = refusal.filter(|_| !alter.dry_run) {
            return turn.refuse(conn, token, refusal);
        }
        stream.retention = alter.retention;
        let mut ops = Vec::new();
        if !alter.dry_run {
            self.keep_stream(turn, &stream, &mut ops);
        }
        let asked = StreamRef::Name(stream.name.clone());
        let reply = Reply::Declared(Declared::Stream(Found::Stream(stream).status(asked)));
        if ops.is_empty() {
            turn.reply(conn, token, reply);
        } else {
            turn.reply_after(ops, conn, token, reply);
        }
    }

    /// Puts the changed row of a stream and the policies that follow from it.
    pub(crate) fn keep_stream(&mut self, turn: &Turn<'_>, stream: &Stream, ops: &mut Vec<Op>) {
        let mut changes = Vec::new();
        self.catalogue.add_stream(stream.clone(), &mut changes);
        ops.extend(rows(changes));
        let policy = policy_of(stream);
        ops.extend(
            stream.logs.iter().map(|log| Op::Policy { log: LogId(*log), policy: policy.clone() }),
        );
        if !stream.internal
            && let Some(first) = stream.logs.first()
        {
            let home = std::sync::Arc::new(home_of(stream));
            turn.shared.reroute(|router| {
                router.clear_home(*first);
                router.set_home(*first, home);
            });
        }
    }
}
