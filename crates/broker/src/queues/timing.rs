//! Time in queues: messages expire, delayed ones come back, queues that nobody uses go.
//!
//! All of it is by the engine's clock, with one timer for each queue: the first of what is due.
//! A message expires once it is the next of its priority, so that only those are looked at.

use std::time::Duration;

use model::record::Cause;

use super::handing::{Loaded, load};
use crate::completion::{Completion, Step};
use crate::state::Core;
use crate::timers::Due;
use crate::turn::Turn;

/// Messages of one queue that expire in one turn.
const EXPIRE_MAX: usize = 256;
/// When a queue goes on that waits for burials.
const GRAVES_FULL: Duration = Duration::from_millis(5);
/// The longest wait of one timer.
const WAIT_MAX_MS: i64 = 3_600_000;

/// How far the looking for expired messages went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expired {
    All,
    /// There may be more.
    Some,
    /// There may be more, once burials were done.
    Blocked,
}

impl Core {
    /// Drops what is over a limit, gives up what has expired, and sets the timer.
    pub(super) fn tend(&mut self, turn: &mut Turn<'_>, id: u64) {
        let expired = self.expire_in_queue(turn, id);
        while let Some(queue) = self.queues.get_mut(id)
            && queue.drops()
            && let Some(item) = queue.backlog.take()
        {
            self.give_up(turn, id, item, Cause::MaxLength);
        }
        if expired == Expired::Some {
            turn.shared.mail.post(turn.worker, Completion(Step::Queue(id)));
        } else {
            self.schedule(turn, id);
        }
    }

    /// Something of a queue is due.
    pub(crate) fn queue_due(&mut self, turn: &mut Turn<'_>, id: u64) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        if queue.timer.is_some_and(|(at, _)| at <= turn.now.instant) {
            queue.timer = None;
        }
        let clock = turn.shared.engine.clock_ms();
        queue.aside.advance(clock);
        let woken = queue.backlog.wake(clock, queue.aside.near_ms());
        let unused = queue.declaration.options().unused_ms.filter(|_| queue.consumers.len() == 0);
        if unused.is_some_and(|after| deadline(queue.used_ms, after) <= clock) {
            let name = queue.declaration.name.clone();
            self.remove_queue(turn, &name);
            return;
        }
        if !woken.is_empty() {
            let states = woken.into_iter().map(|state| (state.place, state));
            self.queues.released.entry(id).or_default().extend(states);
            self.flush_soon(turn);
        }
        self.dispatch(turn, id);
        self.tend(turn, id);
    }

    /// Gives up messages that have expired.
    fn expire_in_queue(&mut self, turn: &mut Turn<'_>, id: u64) -> Expired {
        for _ in 0..EXPIRE_MAX {
            if self.queues.graves.is_full() {
                return Expired::Blocked;
            }
            let Some(queue) = self.queues.map.get_mut(&id).filter(|q| q.timed) else {
                return Expired::All;
            };
            let clock = turn.shared.engine.clock_ms();
            if queue.backlog.has_unknown() {
                let ttl = queue.declaration.options().message_ttl_ms;
                queue.backlog.each_unknown(|item| match load(turn, item) {
                    Loaded::Here(message, _) => {
                        item.set_expiry(&message, ttl, clock);
                        item.keep(crate::message::detached(&message));
                    }
                    // Whoever takes it out sees to that.
                    Loaded::Lost | Loaded::Unreadable => {}
                });
            }
            match queue.backlog.take_expired(clock) {
                Some(item) => self.give_up(turn, id, item, Cause::Expired),
                None => return Expired::All,
            }
        }
        Expired::Some
    }

    /// A queue was declared, pulled from, or lost its last consumer.
    pub(crate) fn used(&mut self, turn: &Turn<'_>, id: u64) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        if queue.declaration.options().unused_ms.is_some() {
            queue.used_ms = turn.shared.engine.clock_ms();
            self.schedule(turn, id);
        }
    }

    /// Sets the queue's timer to the first of what will be due, unless it goes off before that: then
    /// it is set again when it does.
    pub(super) fn schedule(&mut self, turn: &Turn<'_>, id: u64) {
        let full = self.queues.graves.is_full();
        let Some(queue) = self.queues.map.get_mut(&id) else { return };
        let expiry = if queue.timed { queue.backlog.next_expiry() } else { None };
        let unused = queue.declaration.options().unused_ms.filter(|_| queue.consumers.len() == 0);
        let unused = unused.map(|after| deadline(queue.used_ms, after));
        let Some(due) = [expiry, queue.backlog.next_wake(), unused].into_iter().flatten().min()
        else {
            return;
        };
        let wait = due.saturating_sub(turn.shared.engine.clock_ms()).clamp(0, WAIT_MAX_MS);
        let mut wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
        if full {
            wait = wait.max(GRAVES_FULL);
        }
        let at = turn.now.instant + wait;
        let armed = queue.timer;
        if armed.is_some_and(|(armed, _)| armed <= at) {
            return;
        }
        if let Some(armed) = armed {
            self.timers.cancel(armed);
        }
        let timer = self.timer(turn, at, Due::Queue(id));
        if let Some(queue) = self.queues.get_mut(id) {
            queue.timer = Some(timer);
        }
    }
}

fn deadline(since_ms: i64, after_ms: u64) -> i64 {
    since_ms.saturating_add(i64::try_from(after_ms).unwrap_or(i64::MAX))
}
