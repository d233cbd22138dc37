//! Queues: references to records, handed to consumers one by one, settled one by one.
//!
//! ```text
//! push -> ready ------> consumer's window -> unsettled --ack----> gone
//!           ^                                    |
//!           +-- returned, at its own place <-----+ requeue, connection gone
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use protocol::{
    ConnId, Consume, Delivery, Matched, Message, Notice, Pull, Pulled, QueueDeclaration,
    QueueStatus, Refusal, Reply, Settle, Settlement, Tag, Token,
};
use storage::{LogId, Op, ReadLimits};

use crate::completion::{Completion, Step};
use crate::conns::Unsettled;
use crate::state::Core;
use crate::stats::add;
use crate::turn::Turn;

/// Queues that live in memory alone have this bit in their number; no log does.
const TRANSIENT: u64 = 1 << 63;
/// Messages that a queue keeps in memory besides their place in the log, in bytes of payload.
const RESIDENT_BYTES: usize = 1 << 20;
/// Most messages in all queues of a node.
const HELD_MAX: usize = 100_000_000;
/// Most consumers of one connection.
const CONSUMERS_MAX: usize = 65_536;
/// Deliveries of one queue in one turn.
const DISPATCH_MAX: usize = 256;
/// Memory of messages that live in queues alone, over all queues; beyond it they are refused.
pub(crate) const TRANSIENT_BYTES_MAX: usize = 1 << 30;
/// What a message costs in memory besides its bytes.
const MESSAGE_OVERHEAD: usize = 512;

/// Whether a queue of this number survives a restart.
pub(crate) fn is_durable(queue: u64) -> bool {
    queue & TRANSIENT == 0
}

/// One message in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// The order in the queue; kept when it is returned.
    order: u64,
    /// The reference's place, if it is durable.
    place: Option<u64>,
    /// Where the record is.
    stored: Option<(LogId, u64)>,
    /// The message, unless it is only in the log.
    message: Option<Arc<Message>>,
    redelivered: bool,
}

impl Item {
    /// A message that the queue holds a durable reference to.
    pub(crate) fn stored(
        message: &Arc<Message>,
        stored: Option<(LogId, u64)>,
        place: Option<u64>,
    ) -> Self {
        Self { order: 0, place, stored, message: Some(message.clone()), redelivered: false }
    }

    /// A message that dies with the run.
    pub(crate) fn transient(message: &Arc<Message>) -> Self {
        let message = Some(crate::message::detached(message));
        Self { order: 0, place: None, stored: None, message, redelivered: false }
    }

    /// A reference found at the start.
    pub(crate) fn restored(place: u64, log: LogId, offset: u64) -> Self {
        Self {
            order: 0,
            place: Some(place),
            stored: Some((log, offset)),
            message: None,
            redelivered: true,
        }
    }

    /// What it takes of [`TRANSIENT_BYTES_MAX`].
    fn cost(&self) -> usize {
        self.resident() + MESSAGE_OVERHEAD
    }

    fn resident(&self) -> usize {
        self.message.as_ref().map_or(0, |m| m.record.size())
    }
}

#[derive(Debug)]
struct Consumer {
    conn: ConnId,
    number: u32,
    no_ack: bool,
    priority: i32,
    windows: Vec<u32>,
}

/// One queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) declaration: QueueDeclaration,
    pub(crate) owner: Option<ConnId>,
    next_order: u64,
    ready: VecDeque<Item>,
    returned: BTreeMap<u64, Item>,
    resident: usize,
    consumers: Vec<Consumer>,
    /// Whose turn it is, among the consumers of the highest priority that have room.
    turn: usize,
    exclusive_consumer: bool,
    had_consumer: bool,
}

impl Queue {
    pub(crate) fn new(declaration: QueueDeclaration, owner: Option<ConnId>) -> Self {
        Self {
            declaration,
            owner,
            next_order: 0,
            ready: VecDeque::new(),
            returned: BTreeMap::new(),
            resident: 0,
            consumers: Vec::new(),
            turn: 0,
            exclusive_consumer: false,
            had_consumer: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ready.len() + self.returned.len()
    }

    pub(crate) fn consumers(&self) -> usize {
        self.consumers.len()
    }

    pub(crate) fn add(&mut self, mut item: Item) {
        item.order = self.next_order;
        self.next_order += 1;
        if item.stored.is_some() && self.resident + item.resident() > RESIDENT_BYTES {
            item.message = None;
        }
        self.resident += item.resident();
        self.ready.push_back(item);
    }

    fn give_back(&mut self, mut item: Item) {
        item.redelivered = true;
        self.resident += item.resident();
        self.returned.insert(item.order, item);
    }

    fn take(&mut self) -> Option<Item> {
        let item = match self.returned.pop_first() {
            Some((_, item)) => item,
            None => self.ready.pop_front()?,
        };
        self.resident = self.resident.saturating_sub(item.resident());
        Some(item)
    }

    pub(crate) fn status(&self) -> QueueStatus {
        QueueStatus {
            declaration: self.declaration.clone(),
            ready: self.len() as u64,
            consumers: u32::try_from(self.consumers.len()).unwrap_or(u32::MAX),
        }
    }
}

/// All queues.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    by_name: HashMap<Bytes, u64>,
    map: HashMap<u64, Queue>,
    /// References that were settled and not yet written so.
    settled: HashMap<u64, Vec<u64>>,
    next_transient: u64,
    transient_bytes: usize,
    /// Messages in all queues, delivered ones included.
    held: usize,
}

impl Queues {
    /// Whether queues take more messages.
    pub(crate) fn have_room(&self) -> bool {
        self.held < HELD_MAX && self.transient_bytes < TRANSIENT_BYTES_MAX
    }

    /// Bytes that messages in queues take in memory, about.
    pub(crate) fn memory(&self) -> usize {
        self.transient_bytes + self.held * size_of::<Item>()
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

    pub(crate) fn insert(&mut self, id: u64, queue: Queue) {
        self.by_name.insert(queue.declaration.name.clone(), id);
        self.map.insert(id, queue);
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Queue> {
        let queue = self.map.remove(&id)?;
        self.by_name.remove(&queue.declaration.name);
        self.settled.remove(&id);
        Some(queue)
    }

    /// A number for a queue that lives in memory.
    pub(crate) fn take_transient(&mut self) -> u64 {
        self.next_transient += 1;
        TRANSIENT | self.next_transient
    }

    /// What was settled since the last time, as operations.
    pub(crate) fn take_settled(&mut self) -> Vec<Op> {
        self.settled
            .drain()
            .map(|(queue, places)| Op::Settle { queue: LogId(queue), places })
            .collect()
    }

    fn done(&mut self, queue: u64, item: &Item) {
        self.held = self.held.saturating_sub(1);
        match item.place {
            Some(place) => self.settled.entry(queue).or_default().push(place),
            None => self.transient_bytes = self.transient_bytes.saturating_sub(item.cost()),
        }
    }
}

impl Core {
    /// A message for a queue, at its end.
    pub(crate) fn push(&mut self, turn: &mut Turn<'_>, id: u64, item: Item) {
        if item.place.is_none() {
            if self.queues.transient_bytes + item.cost() > TRANSIENT_BYTES_MAX {
                add(&turn.shared.counters.dropped, 1);
                return;
            }
            self.queues.transient_bytes += item.cost();
        }
        let Some(queue) = self.queues.map.get_mut(&id) else { return };
        queue.add(item);
        self.queues.held += 1;
        self.dispatch(turn, id);
    }

    /// Hands ready messages to consumers that have room.
    pub(crate) fn dispatch(&mut self, turn: &mut Turn<'_>, id: u64) {
        for _ in 0..DISPATCH_MAX {
            let Some(queue) = self.queues.map.get_mut(&id) else { return };
            if queue.consumers.is_empty() || queue.len() == 0 {
                return;
            }
            let whose = queue.turn;
            let Some(at) = next_consumer(queue, &self.conns) else { return };
            let worker = queue.consumers[at].conn.worker;
            if worker != turn.worker {
                // Two ways to one connection would overtake each other.
                queue.turn = whose;
                return turn.shared.mail.post(worker, Completion(Step::Dispatch(id)));
            }
            let Some(item) = queue.take() else { return };
            let consumer = &queue.consumers[at];
            let (conn, number, no_ack) = (consumer.conn, consumer.number, consumer.no_ack);
            let windows = consumer.windows.clone();
            let Some(message) = load(turn, &item) else {
                self.queues.done(id, &item);
                self.flush_soon(turn);
                add(&turn.shared.counters.undecodable, 1);
                continue;
            };
            if message.record.is_expired(turn.now.unix_ms) {
                self.queues.done(id, &item);
                self.flush_soon(turn);
                continue;
            }
            let tag = Tag { source: id, place: item.order };
            turn.port.deliver(
                conn,
                Delivery {
                    message,
                    matched: Matched::One(number),
                    tag: (!no_ack).then_some(tag),
                    redelivered: item.redelivered,
                    last_value: false,
                },
            );
            add(&turn.shared.counters.deliveries, 1);
            if no_ack {
                self.queues.done(id, &item);
                self.flush_soon(turn);
            } else {
                let rare = self.conns.rare(conn);
                for window in &windows {
                    rare.windows.entry(*window).or_default().used += 1;
                }
                rare.unsettled.insert(tag, Unsettled { queue: id, item, windows });
            }
        }
        // The rest in the next turn, when the connections have told whether they keep up.
        turn.shared.mail.post(turn.worker, Completion(Step::Dispatch(id)));
    }

    pub(crate) fn consume(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        consume: Consume,
    ) {
        let Some(id) = self.queues.id(&consume.queue) else {
            return turn.refuse(conn, token, Refusal::NotFound);
        };
        let queue = self.queues.get_mut(id).expect("an id of the index");
        if queue.owner.is_some_and(|owner| owner != conn) {
            return turn.refuse(conn, token, Refusal::Locked);
        }
        if queue.exclusive_consumer || (consume.exclusive && !queue.consumers.is_empty()) {
            return turn.refuse(conn, token, Refusal::InUse);
        }
        if self.conns.rare(conn).consumers.len() >= CONSUMERS_MAX {
            return turn.refuse(conn, token, Refusal::Limit("consumers of a connection"));
        }
        let queue = self.queues.get_mut(id).expect("an id of the index");
        queue.exclusive_consumer = consume.exclusive;
        queue.had_consumer = true;
        queue.consumers.push(Consumer {
            conn,
            number: consume.number,
            no_ack: consume.no_ack,
            priority: consume.priority,
            windows: consume.windows,
        });
        queue.consumers.sort_by_key(|c| std::cmp::Reverse(c.priority));
        self.conns.rare(conn).consumers.insert(consume.number, id);
        turn.reply(conn, token, Reply::Subscribed);
        self.dispatch(turn, id);
    }

    /// Ends a consumer; an auto-delete queue goes with its last one.
    pub(crate) fn cancel(&mut self, turn: &mut Turn<'_>, conn: ConnId, number: u32) {
        let Some(id) = self.conns.rare_of(conn).and_then(|rare| rare.consumers.remove(&number))
        else {
            return;
        };
        self.drop_consumers(turn, id, |c| c.conn == conn && c.number == number);
    }

    fn drop_consumers(&mut self, turn: &mut Turn<'_>, id: u64, gone: impl Fn(&Consumer) -> bool) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        queue.consumers.retain(|consumer| !gone(consumer));
        if queue.consumers.is_empty() {
            queue.exclusive_consumer = false;
            if queue.declaration.auto_delete && queue.had_consumer {
                let name = queue.declaration.name.clone();
                self.remove_queue(turn, &name);
            }
        }
    }

    pub(crate) fn pull(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        pull: &Pull,
    ) {
        let Some(id) = self.queues.id(&pull.queue) else {
            return turn.refuse(conn, token, Refusal::NotFound);
        };
        loop {
            let queue = self.queues.get_mut(id).expect("an id of the index");
            if queue.owner.is_some_and(|owner| owner != conn) {
                return turn.refuse(conn, token, Refusal::Locked);
            }
            let Some(item) = queue.take() else {
                return turn.reply(conn, token, Reply::Pulled(None));
            };
            let remaining = queue.len() as u64;
            let message = load(turn, &item).filter(|m| !m.record.is_expired(turn.now.unix_ms));
            let Some(message) = message else {
                self.queues.done(id, &item);
                self.flush_soon(turn);
                continue;
            };
            let tag = Tag { source: id, place: item.order };
            let delivery = Delivery {
                message,
                matched: Matched::Many(Box::default()),
                tag: (!pull.no_ack).then_some(tag),
                redelivered: item.redelivered,
                last_value: false,
            };
            if pull.no_ack {
                self.queues.done(id, &item);
                self.flush_soon(turn);
            } else {
                let unsettled = Unsettled { queue: id, item, windows: Vec::new() };
                self.conns.rare(conn).unsettled.insert(tag, unsettled);
            }
            let pulled = Pulled { delivery, remaining };
            return turn.reply(conn, token, Reply::Pulled(Some(Box::new(pulled))));
        }
    }

    /// Settles deliveries of queues and of the claimed session.
    pub(crate) fn settle(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        settle: Settle,
    ) {
        let mut touched = Vec::new();
        let mut unknown = false;
        let mut session_tags = Vec::new();
        for tag in settle.tags {
            let found = self.conns.rare_of(conn).and_then(|rare| {
                let unsettled = rare.unsettled.remove(&tag)?;
                for window in &unsettled.windows {
                    if let Some(window) = rare.windows.get_mut(window) {
                        window.used = window.used.saturating_sub(1);
                    }
                }
                Some(unsettled)
            });
            match found {
                Some(unsettled) => {
                    touched.push(unsettled.queue);
                    self.settle_one(turn, unsettled, settle.how);
                }
                None => session_tags.push(tag),
            }
        }
        if !session_tags.is_empty() {
            unknown = !self.settle_session(turn, conn, &session_tags, settle.how);
        }
        // A window that opened may belong to any queue that this connection consumes.
        if let Some(rare) = self.conns.rare_of(conn) {
            touched.extend(rare.consumers.values());
        }
        touched.sort_unstable();
        touched.dedup();
        for queue in touched {
            self.dispatch(turn, queue);
        }
        if unknown {
            turn.refuse(conn, token, Refusal::NotFound);
        } else {
            turn.reply(conn, token, Reply::Done);
        }
    }

    fn settle_one(&mut self, turn: &Turn<'_>, unsettled: Unsettled, how: Settlement) {
        let Unsettled { queue: id, item, .. } = unsettled;
        match how {
            Settlement::Ack | Settlement::Reject => {
                self.queues.done(id, &item);
                self.flush_soon(turn);
            }
            Settlement::Requeue => match self.queues.get_mut(id) {
                Some(queue) => queue.give_back(item),
                None => self.queues.done(id, &item),
            },
        }
    }

    /// Requeues what a connection had, and forgets its consumers.
    pub(crate) fn forget_consumers(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        let Some(rare) = self.conns.rare_of(conn) else { return };
        let unsettled: Vec<Unsettled> = rare.unsettled.drain().map(|(_, u)| u).collect();
        let mut queues: Vec<u64> = rare.consumers.drain().map(|(_, queue)| queue).collect();
        let exclusive = std::mem::take(&mut rare.exclusive);
        for one in unsettled {
            queues.push(one.queue);
            self.settle_one(turn, one, Settlement::Requeue);
        }
        queues.sort_unstable();
        queues.dedup();
        for queue in &queues {
            self.drop_consumers(turn, *queue, |consumer| consumer.conn == conn);
        }
        for name in exclusive {
            self.remove_queue(turn, &name);
        }
        for queue in queues {
            self.dispatch(turn, queue);
        }
    }

    /// Removes the ready messages; how many.
    pub(crate) fn purge(&mut self, turn: &Turn<'_>, id: u64) -> u64 {
        let mut count = 0;
        while let Some(item) = self.queues.get_mut(id).and_then(Queue::take) {
            self.queues.done(id, &item);
            count += 1;
        }
        if count > 0 {
            self.flush_soon(turn);
        }
        count
    }

    /// Tells the consumers of a queue that it is gone.
    pub(crate) fn dismiss(&mut self, turn: &mut Turn<'_>, queue: &Queue) {
        for consumer in &queue.consumers {
            if let Some(rare) = self.conns.rare_of(consumer.conn) {
                rare.consumers.remove(&consumer.number);
            }
            turn.port.notice(consumer.conn, Notice::ConsumerGone(consumer.number));
        }
    }

    pub(crate) fn flow(&mut self, turn: &mut Turn<'_>, conn: ConnId, stopped: bool) {
        let Some(state) = self.conns.get_mut(conn) else { return };
        state.stopped = stopped;
        if stopped {
            return;
        }
        let session = state.session;
        let replays = state.rare.as_mut().map(|r| std::mem::take(&mut r.replays));
        let queues: Vec<u64> =
            state.rare.iter().flat_map(|rare| rare.consumers.values().copied()).collect();
        for queue in queues {
            self.dispatch(turn, queue);
        }
        for replay in replays.into_iter().flatten() {
            self.replay(turn, Box::new(replay));
        }
        if let Some(session) = session {
            self.scan(turn, session);
        }
    }
}

/// The next consumer with room, among those of the highest priority that have some.
fn next_consumer(queue: &mut Queue, conns: &crate::conns::Conns) -> Option<usize> {
    let has_room = |consumer: &Consumer| {
        conns.is_open(consumer.conn)
            && conns.get(consumer.conn).and_then(|c| c.rare.as_ref()).is_none_or(|rare| {
                consumer
                    .windows
                    .iter()
                    .all(|window| rare.windows.get(window).is_none_or(|w| w.is_open()))
            })
    };
    let best = queue.consumers.iter().find(|c| has_room(c))?.priority;
    let count = queue.consumers.len();
    let at = (0..count)
        .map(|i| (queue.turn + i) % count)
        .find(|&at| queue.consumers[at].priority == best && has_room(&queue.consumers[at]))?;
    queue.turn = (at + 1) % count;
    Some(at)
}

/// The message of an item, read from its log if it is not in memory.
fn load(turn: &Turn<'_>, item: &Item) -> Option<Arc<Message>> {
    if let Some(message) = &item.message {
        return Some(message.clone());
    }
    let (log, offset) = item.stored?;
    let limits = ReadLimits { max_bytes: 1, held: true };
    let batches = turn.shared.engine.read(log, offset, limits).ok()?;
    let batch = batches.iter().find(|batch| batch.base <= offset && offset <= batch.last)?;
    crate::message::of_batch(batch, offset)
        .into_iter()
        .find(|(at, _)| *at == offset)
        .map(|(_, message)| message)
}
