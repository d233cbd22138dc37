//! Queues: references to records, handed to consumers one by one, settled one by one.
//!
//! ```text
//! push -> ready ------> consumer's window -> unsettled --ack----> gone
//!   |       ^   |                                |  |
//!   |       |   +-- expired, over a limit        |  +-- rejected, too often
//!   |       |            |                       |           |
//!   |       +-- returned, at its own place <-----+ requeue   |
//!   +-- refused          +------> given up <-----------------+
//!                                 (burial: dead letters)
//! ```
//!
//! | part | what it does |
//! |---|---|
//! | `item` | one message |
//! | `backlog` | what waits, by priority and place |
//! | `consumers` | consumers come and go; whose turn it is |
//! | `handing` | messages in, out to consumers, and pulled |
//! | `settling` | acknowledged, rejected, returned, purged |
//! | `aside` | messages that are put off for long are not in memory |
//! | `timing` | expiry, delays, queues that nobody uses; one timer for each queue |
//! | `graves` | what was given up and waits for its burial |
//! | `declaring` | made, restored, removed |

mod aside;
mod backlog;
mod consumers;
mod declaring;
mod graves;
mod handing;
mod item;
mod settling;
mod timing;

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use model::budget::{Budget, Class};
use protocol::{ConnId, Overflow, QueueDeclaration, QueueStatus};
use storage::{LogId, Op, Reference, Released};

use crate::timers::TimerId;
pub(crate) use aside::PutOff;
use aside::{Aside, Leaving};
use backlog::Backlog;
use consumers::Consumers;
use graves::Graveyard;
pub(crate) use graves::{Dead, Grave};
pub(crate) use handing::{Aim, Aims, Loaded, begin_lifetime, load, load_at};
pub(crate) use item::Item;

/// Queues that live in memory alone have this bit in their number; no log does.
const TRANSIENT: u64 = 1 << 63;
/// Most messages in all queues of a node.
const HELD_MAX: usize = 100_000_000;
/// Memory of messages that live in queues alone, over all queues; beyond it they are refused.
const TRANSIENT_BYTES_MAX: usize = 1 << 30;
/// The part of the memory budget that they may take, in percent.
const TRANSIENT_SHARE: u64 = 50;
/// Most places that one operation settles or releases.
const PLACES_MAX: usize = 65_536;

/// Whether a queue of this number survives a restart.
pub(crate) fn is_durable(queue: u64) -> bool {
    queue & TRANSIENT == 0
}

/// One queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) declaration: QueueDeclaration,
    pub(crate) owner: Option<ConnId>,
    backlog: Backlog,
    aside: Aside,
    consumers: Consumers,
    /// A message that expires was in it.
    timed: bool,
    /// When it was last used, on the engine's clock.
    used_ms: i64,
    timer: Option<TimerId>,
}

impl Queue {
    fn new(declaration: QueueDeclaration, owner: Option<ConnId>, clock_ms: i64) -> Self {
        Self {
            timed: declaration.options().message_ttl_ms.is_some(),
            declaration,
            owner,
            backlog: Backlog::default(),
            aside: Aside::default(),
            consumers: Consumers::default(),
            used_ms: clock_ms,
            timer: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.backlog.ready()
    }

    /// Whether no message is in it, delayed ones included.
    pub(crate) fn is_empty(&self) -> bool {
        self.backlog.is_empty() && self.aside.is_empty()
    }

    pub(crate) fn consumers(&self) -> usize {
        self.consumers.len()
    }

    pub(crate) fn status(&self) -> QueueStatus {
        QueueStatus {
            declaration: self.declaration.clone(),
            ready: self.len() as u64,
            consumers: u32::try_from(self.consumers.len()).unwrap_or(u32::MAX),
        }
    }

    /// The lane of a message of this priority.
    pub(crate) fn lane(&self, priority: Option<u8>) -> u8 {
        let max = self.declaration.options().max_priority.unwrap_or(0);
        priority.unwrap_or(0).min(max)
    }

    /// Whether another message of this size is not taken.
    pub(crate) fn refuses(&self, bytes: u64) -> bool {
        self.declaration.options().overflow != Overflow::DropHead
            && self.is_over(self.backlog.ready() as u64 + 1, self.backlog.bytes() + bytes)
    }

    /// Whether it holds more than it may and drops what is next.
    fn drops(&self) -> bool {
        self.declaration.options().overflow == Overflow::DropHead
            && self.is_over(self.backlog.ready() as u64, self.backlog.bytes())
    }

    fn is_over(&self, messages: u64, bytes: u64) -> bool {
        let options = self.declaration.options();
        options.max_messages.is_some_and(|max| messages > max)
            || options.max_bytes.is_some_and(|max| bytes > max)
    }
}

/// All queues.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    by_name: HashMap<Bytes, u64>,
    map: HashMap<u64, Queue>,
    /// References that were settled and not yet written so.
    settled: HashMap<u64, Vec<u64>>,
    /// References that were handed out or delayed, and not yet written so, by their places.
    released: HashMap<u64, HashMap<u64, Released>>,
    /// Messages that are to be put aside.
    leaving: Leaving,
    next_transient: u64,
    transient_bytes: usize,
    /// Messages in all queues, delivered ones included.
    held: usize,
    /// Bytes of messages that durable queues keep besides, when that was last added up.
    resident: usize,
    budget: Arc<Budget>,
    graves: Graveyard,
}

impl Queues {
    /// No queues yet; what their messages take is accounted for here.
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, ..Self::default() }
    }

    /// Memory that messages may take that live in queues alone.
    fn transient_max(&self) -> usize {
        self.budget.share(TRANSIENT_SHARE, TRANSIENT_BYTES_MAX)
    }

    /// Adds up what durable queues keep in memory.
    pub(crate) fn add_up(&mut self) {
        let durable = self.map.iter().filter(|(id, _)| is_durable(**id));
        self.resident = durable.map(|(_, queue)| queue.backlog.resident()).sum();
        self.account();
    }

    /// Tells the budget what messages take at present.
    fn account(&self) {
        self.budget.set(Class::Queues, self.memory() as u64);
    }

    /// Whether queues take more messages.
    pub(crate) fn have_room(&self) -> bool {
        self.held < HELD_MAX && self.transient_bytes < self.transient_max()
    }

    /// Bytes that messages in queues take in memory, about.
    pub(crate) fn memory(&self) -> usize {
        self.transient_bytes + self.held * size_of::<Item>() + self.resident
    }

    pub(crate) fn id(&self, name: &Bytes) -> Option<u64> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Queue> {
        self.map.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Queue> {
        self.map.get_mut(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    fn insert(&mut self, id: u64, queue: Queue) {
        self.by_name.insert(queue.declaration.name.clone(), id);
        self.map.insert(id, queue);
    }

    fn remove(&mut self, id: u64) -> Option<Queue> {
        let mut queue = self.map.remove(&id)?;
        self.by_name.remove(&queue.declaration.name);
        self.settled.remove(&id);
        self.released.remove(&id);
        self.leaving.remove(&id);
        for item in queue.backlog.take_all() {
            self.gone(id, &item);
        }
        Some(queue)
    }

    /// A number for a queue that lives in memory.
    fn take_transient(&mut self) -> u64 {
        self.next_transient += 1;
        TRANSIENT | self.next_transient
    }

    /// What was settled and handed out since the last time, as operations.
    pub(crate) fn take_changes(&mut self) -> Vec<Op> {
        let mut ops = Vec::new();
        for (queue, mut places) in self.settled.drain() {
            while places.len() > PLACES_MAX {
                let rest = places.split_off(PLACES_MAX);
                ops.push(Op::Settle { queue: LogId(queue), places });
                places = rest;
            }
            ops.push(Op::Settle { queue: LogId(queue), places });
        }
        for (queue, states) in self.released.drain() {
            let states: Vec<Released> = states.into_values().collect();
            for states in states.chunks(PLACES_MAX) {
                ops.push(Op::Release { queue: LogId(queue), states: states.to_vec() });
            }
        }
        ops
    }

    /// Drops the messages that wait in a queue and whose record is lost to it; the engine knows.
    pub(crate) fn lose(
        &mut self,
        id: u64,
        is_lost: &dyn Fn(LogId, u64) -> bool,
        refs: &[Reference],
    ) {
        let Some(queue) = self.map.get_mut(&id) else { return };
        let near = (queue.aside.near_ms(), 0);
        let stored = |item: &Item| item.stored_at().is_some_and(|(log, at)| is_lost(log, at));
        let here = queue.backlog.delayed().range(near..).filter(|(_, item)| stored(item)).count();
        let lost = refs.iter().filter(|r| is_lost(r.log, r.offset)).map(|r| r.not_before_ms);
        queue.lose_aside(lost, here as u64);
        for item in queue.backlog.take_lost(is_lost) {
            self.gone(id, &item);
        }
    }

    /// Room for a message that is about to be put into a queue; `false` when there is none.
    fn hold(&mut self, item: &Item) -> bool {
        if item.place().is_none() {
            if self.transient_bytes + item.cost() > self.transient_max() {
                return false;
            }
            self.transient_bytes += item.cost();
        }
        self.held += 1;
        self.account();
        true
    }

    /// A message has left its queue, and the engine knows.
    pub(crate) fn gone(&mut self, queue: u64, item: &Item) {
        self.held = self.held.saturating_sub(1);
        match item.place() {
            None => self.transient_bytes = self.transient_bytes.saturating_sub(item.cost()),
            Some(place) => {
                if let Some(states) = self.released.get_mut(&queue) {
                    states.remove(&place);
                }
            }
        }
        self.account();
    }

    /// A message has left its queue, and the engine is to be told soon.
    pub(crate) fn done(&mut self, queue: u64, item: &Item) {
        self.gone(queue, item);
        // The references of a queue that was removed went with it.
        if let Some(place) = item.place().filter(|_| self.map.contains_key(&queue)) {
            self.settled.entry(queue).or_default().push(place);
        }
    }

    /// A message was handed out, or comes back later: the engine is to be told soon.
    fn note(&mut self, queue: u64, item: &Item, not_before_ms: i64) {
        let Some(place) = item.place().filter(|_| self.map.contains_key(&queue)) else { return };
        let state = Released { place, deliveries: item.deliveries, not_before_ms };
        self.released.entry(queue).or_default().insert(place, state);
    }
}
