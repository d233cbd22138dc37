//! What queues gave up and is to be buried: sent to where the queue's dead letters go.
//!
//! The dead of one queue are buried by one worker, in order. A message is settled by its burial, in
//! one write with its copy; until then its reference stands, so that a crash brings it back into
//! its queue.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::record::{Address, Cause};
use protocol::DeadLetter;
use storage::{LogId, SubmitError};

use super::Item;
use crate::completion::{Completion, Step};
use crate::state::Core;
use crate::stats::add;
use crate::timers::Due;
use crate::turn::Turn;

/// The dead that wait, beyond which no queue looks for more that have expired.
const WAITING_MAX: usize = 4096;
/// Burials that wait for storage, and bytes of them.
const UNDER_WAY_MAX: usize = 1024;
const UNDER_WAY_BYTES: usize = 4 << 20;
/// When storage is asked again that was busy, and that took nothing.
const BUSY: Duration = Duration::from_millis(20);
const SHUT: Duration = Duration::from_secs(1);

/// A message that its queue gave up.
#[derive(Debug)]
pub(crate) struct Dead {
    pub(crate) queue: u64,
    pub(crate) item: Item,
    pub(crate) cause: Cause,
    /// The order in which they are buried.
    number: u64,
}

/// One of them, on its way.
#[derive(Debug)]
pub(crate) struct Grave {
    pub(crate) dead: Dead,
    /// The queue's name.
    pub(crate) name: Bytes,
    pub(crate) to: DeadLetter,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Graveyard {
    /// By the worker that buries them.
    waiting: Vec<BTreeMap<u64, Dead>>,
    count: usize,
    /// The number of the last one.
    last: u64,
    under_way: usize,
    under_way_bytes: usize,
    /// Storage took nothing: not before.
    shut_until: Option<Instant>,
}

impl Graveyard {
    fn row(&mut self, worker: u16) -> &mut BTreeMap<u64, Dead> {
        let worker = usize::from(worker);
        if self.waiting.len() <= worker {
            self.waiting.resize_with(worker + 1, BTreeMap::new);
        }
        &mut self.waiting[worker]
    }

    /// Whether so many wait that no more are to be looked for.
    pub(super) fn is_full(&self) -> bool {
        self.count >= WAITING_MAX
    }

    fn take(&mut self, worker: u16, now: Instant) -> Option<Dead> {
        let shut = self.shut_until.is_some_and(|until| now < until);
        if shut || self.under_way >= UNDER_WAY_MAX || self.under_way_bytes >= UNDER_WAY_BYTES {
            return None;
        }
        let (_, dead) = self.row(worker).pop_first()?;
        self.count -= 1;
        Some(dead)
    }

    /// One more, or one that could not be buried; how many wait for the worker with it.
    fn put(&mut self, worker: u16, dead: Dead) -> usize {
        self.count += 1;
        let row = self.row(worker);
        row.insert(dead.number, dead);
        row.len()
    }

    fn workers(&self) -> impl Iterator<Item = u16> {
        let waiting = self.waiting.iter().enumerate().filter(|(_, row)| !row.is_empty());
        waiting.filter_map(|(worker, _)| u16::try_from(worker).ok())
    }
}

impl Core {
    /// A message leaves its queue and nobody got it.
    pub(crate) fn give_up(&mut self, turn: &mut Turn<'_>, id: u64, item: Item, cause: Cause) {
        let counters = &turn.shared.counters;
        match cause {
            Cause::Rejected => {}
            Cause::Expired => add(&counters.queue_expired, 1),
            Cause::MaxLength => add(&counters.queue_length_dropped, 1),
            Cause::DeliveryLimit => add(&counters.queue_delivery_limited, 1),
        }
        let queue = self.queues.get(id);
        if queue.is_none_or(|queue| queue.declaration.options().dead_letter.is_none()) {
            self.queues.done(id, &item);
            return self.flush_soon(turn);
        }
        let worker = turn.shared.worker_of(LogId(id));
        let graves = &mut self.queues.graves;
        graves.last += 1;
        let waiting = graves.put(worker, Dead { queue: id, item, cause, number: graves.last });
        if worker == turn.worker {
            turn.burials = true;
        } else if waiting == 1 {
            turn.shared.mail.post(worker, Completion(Step::Bury));
        }
    }

    /// A message that its queue refused at once, and gives up.
    pub(crate) fn give_up_refused(&mut self, turn: &mut Turn<'_>, id: u64, item: Item) {
        if self.queues.hold(&item) {
            self.give_up(turn, id, item, Cause::MaxLength);
        } else {
            add(&turn.shared.counters.dropped, 1);
        }
    }

    /// The next one that this worker is to bury.
    pub(crate) fn next_grave(&mut self, turn: &mut Turn<'_>) -> Option<Grave> {
        loop {
            let dead = self.queues.graves.take(turn.worker, turn.now.instant)?;
            let declaration = self.queues.get(dead.queue).map(|queue| &queue.declaration);
            let to =
                declaration.and_then(|d| Some((d.name.clone(), d.options().dead_letter.clone()?)));
            let Some((name, to)) = to.filter(|(_, to)| self.leads_somewhere(to)) else {
                self.buried_nowhere(turn, &dead);
                continue;
            };
            return Some(Grave { dead, name, to });
        }
    }

    /// Whether the space exists that dead letters go to.
    pub(crate) fn leads_somewhere(&self, to: &DeadLetter) -> bool {
        let space = match to {
            DeadLetter::To(Address::Subject(space, _)) | DeadLetter::Within { space, .. } => space,
            DeadLetter::To(Address::Queue(_)) | DeadLetter::ByName => return true,
        };
        // Others than those that were declared are always there.
        let declared = space.name().and_then(|name| name.strip_prefix("exchange/"));
        declared.is_none_or(|name| self.catalogue.space(name.as_bytes()).is_some())
    }

    /// Nobody gets it: it only leaves its queue.
    pub(crate) fn buried_nowhere(&mut self, turn: &Turn<'_>, dead: &Dead) {
        add(&turn.shared.counters.dead_letters_lost, 1);
        self.queues.done(dead.queue, &dead.item);
        self.flush_soon(turn);
    }

    /// Its copy is on its way to storage.
    pub(crate) fn burial_begins(&mut self, bytes: usize) {
        self.queues.graves.under_way += 1;
        self.queues.graves.under_way_bytes += bytes;
    }

    /// Storage has answered.
    pub(crate) fn burial_ends(&mut self, turn: &mut Turn<'_>, bytes: usize) {
        self.queues.graves.under_way -= 1;
        self.queues.graves.under_way_bytes -= bytes;
        self.wake_buriers(turn);
    }

    /// It was handed on without a copy in storage.
    pub(crate) fn buried_unstored(&mut self, turn: &Turn<'_>, dead: &Dead) {
        add(&turn.shared.counters.dead_lettered, 1);
        self.queues.done(dead.queue, &dead.item);
        self.flush_soon(turn);
    }

    /// Its record cannot be read now.
    pub(crate) fn unreadable_dead(&mut self, turn: &mut Turn<'_>, dead: Dead) {
        self.bury_later(turn, dead, SHUT);
    }

    /// Storage took neither its copy nor that it is settled.
    pub(crate) fn not_buried(&mut self, turn: &mut Turn<'_>, dead: Dead, error: &SubmitError) {
        match error {
            SubmitError::Busy => self.bury_later(turn, dead, BUSY),
            SubmitError::Full | SubmitError::Poisoned => self.bury_later(turn, dead, SHUT),
            // A queue that was to get it has gone meanwhile: it is routed anew.
            SubmitError::NoLog(_) if self.queues.get(dead.queue).is_some() => {
                self.bury_later(turn, dead, BUSY);
            }
            SubmitError::NoLog(_)
            | SubmitError::OutOfOrder
            | SubmitError::Fenced
            | SubmitError::Limit(_)
            | SubmitError::Bound(_) => self.buried_nowhere(turn, &dead),
        }
    }

    /// The dead wait for storage, this one before those that died after it.
    fn bury_later(&mut self, turn: &mut Turn<'_>, dead: Dead, wait: Duration) {
        let worker = turn.shared.worker_of(LogId(dead.queue));
        self.queues.graves.put(worker, dead);
        let until = turn.now.instant + wait;
        if self.queues.graves.shut_until.is_none_or(|shut| shut < until) {
            self.queues.graves.shut_until = Some(until);
            self.timer(turn, until, Due::Burials);
        }
    }

    /// There may be room again for burials.
    pub(crate) fn wake_buriers(&mut self, turn: &mut Turn<'_>) {
        for worker in self.queues.graves.workers() {
            if worker == turn.worker {
                turn.burials = true;
            } else {
                turn.shared.mail.post(worker, Completion(Step::Bury));
            }
        }
    }
}
