//! Messages in and out of queues: pushed, handed to consumers, pulled.

use std::sync::Arc;
use std::time::Duration;

use model::budget::Level;
use model::record::Cause;
use protocol::{ConnId, Delivery, Matched, Message, Pull, Pulled, Refusal, Reply, Tag, Token};
use storage::{LogId, ReadError, ReadLimits};

use super::backlog::Backlog;
use super::{Item, is_durable};
use crate::completion::{Completion, Step};
use crate::conns::Unsettled;
use crate::state::Core;
use crate::stats::add;
use crate::timers::Due;
use crate::turn::Turn;

/// Deliveries of one queue in one turn.
const DISPATCH_MAX: usize = 256;
/// When a log is read again that could not be read.
const UNREADABLE: Duration = Duration::from_secs(1);

/// The message of an item.
pub(crate) enum Loaded {
    /// It, and what else its batch holds if that was read for it.
    Here(Arc<Message>, Vec<(u64, Arc<Message>)>),
    /// There is none, or none that can be read by anyone.
    Lost,
    /// Storage cannot say now.
    Unreadable,
}

/// The message of an item, read from its log if it is not in memory.
pub(crate) fn load(turn: &Turn<'_>, item: &Item) -> Loaded {
    if let Some(message) = item.message() {
        return Loaded::Here(message.clone(), Vec::new());
    }
    let Some((log, offset)) = item.stored_at() else { return Loaded::Lost };
    load_at(turn, log, offset, true)
}

/// The message of a record; one that is out of sight too if it is `held`.
pub(crate) fn load_at(turn: &Turn<'_>, log: LogId, offset: u64, held: bool) -> Loaded {
    let limits = ReadLimits { max_bytes: 1, held };
    let batches = match turn.shared.engine.read(log, offset, limits) {
        Ok(batches) => batches,
        Err(ReadError::NoLog | ReadError::OutOfRange { .. }) => return Loaded::Lost,
        Err(ReadError::Unreadable(_)) => return Loaded::Unreadable,
    };
    let batch = batches.iter().find(|batch| batch.base <= offset && offset <= batch.last);
    let batch = batch.map(|batch| crate::message::of_batch(batch, offset)).unwrap_or_default();
    match batch.first() {
        Some((at, message)) if *at == offset => Loaded::Here(message.clone(), batch),
        Some(_) | None => Loaded::Lost,
    }
}

impl Backlog {
    /// The message of an item that was taken out. What comes right after it in its batch is kept
    /// for its turn.
    fn load(&mut self, turn: &Turn<'_>, item: &Item) -> Loaded {
        let loaded = load(turn, item);
        if let (Loaded::Here(_, batch), Some((log, _))) = (&loaded, item.stored_at()) {
            self.fill(item.priority, log, batch);
        }
        loaded
    }
}

/// A queue that takes a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    pub(crate) queue: u64,
    /// The message's priority in it.
    pub(crate) lane: u8,
}

/// Where queues stand to a message that is about to be published.
#[derive(Debug, Default)]
pub(crate) struct Aims {
    pub(crate) taken: Vec<Aim>,
    /// Queues that are full and give up what they refuse.
    pub(crate) given_up: Vec<u64>,
    /// A queue is full and refuses it.
    pub(crate) refused: bool,
    /// Its time in queues is limited.
    pub(crate) timed: bool,
}

impl Core {
    /// Which of these queues take a message, with its lane in each.
    pub(crate) fn aim(&self, queues: &[u64], message: &Message) -> Result<Aims, Refusal> {
        if !self.queues.have_room() {
            return Err(Refusal::Limit("messages in queues"));
        }
        let properties = message.record.properties.as_deref();
        let priority = properties.and_then(|p| p.priority);
        let bytes = message.record.value.as_ref().map_or(0, bytes::Bytes::len) as u64;
        let timed = properties.is_some_and(|p| p.expires_at_ms.is_some());
        let mut aims = Aims { timed, ..Aims::default() };
        for id in queues {
            let Some(queue) = self.queues.get(*id) else { continue };
            let options = queue.declaration.options();
            if queue.refuses(bytes) {
                aims.refused = true;
                if options.overflow == protocol::Overflow::RefuseAndGiveUp {
                    aims.given_up.push(*id);
                }
                continue;
            }
            aims.timed |= options.message_ttl_ms.is_some();
            aims.taken.push(Aim { queue: *id, lane: queue.lane(priority) });
        }
        Ok(aims)
    }

    /// The durable queues among these that take a batch: full ones that refuse get no reference.
    pub(crate) fn durable_takers(&self, queues: &[u64]) -> Vec<u64> {
        let takes = |id: &u64| self.queues.get(*id).is_some_and(|queue| !queue.refuses(0));
        queues.iter().copied().filter(|id| is_durable(*id) && takes(id)).collect()
    }

    /// A message for a queue, at its end; whether it was taken.
    pub(crate) fn push(&mut self, turn: &mut Turn<'_>, id: u64, mut item: Item) -> bool {
        let Some(queue) = self.queues.map.get(&id) else { return true };
        let options = queue.declaration.options();
        let refused = queue.refuses(item.bytes());
        let gives_up = refused && options.overflow == protocol::Overflow::RefuseAndGiveUp;
        let ttl = options.message_ttl_ms;
        if !self.queues.hold(&item) {
            add(&turn.shared.counters.dropped, 1);
            return false;
        }
        if refused {
            // It was on its way when the queue became full.
            if gives_up {
                self.give_up(turn, id, item, Cause::MaxLength);
            } else {
                self.queues.done(id, &item);
                self.flush_soon(turn);
            }
            return false;
        }
        let Some(queue) = self.queues.map.get_mut(&id) else { return true };
        if let Some(message) = item.message().cloned() {
            let clocked = ttl.is_some() || has_lifetime(&message);
            let clock = if clocked { turn.shared.engine.clock_ms() } else { 0 };
            item.set_expiry(&message, ttl, clock);
        }
        if turn.shared.pressure.budget.level() >= Level::Shrink {
            item.forget();
        }
        let timed = item.expires_ms().is_some();
        queue.timed |= timed;
        let alone = queue.backlog.ready() == 0;
        queue.backlog.push(item);
        let elsewhere = self.hand_out(turn, id, alone);
        // Another worker may have somebody who waits for it.
        if (timed || self.is_over(id)) && !(alone && elsewhere) {
            self.tend(turn, id);
        }
        true
    }

    fn is_over(&self, id: u64) -> bool {
        self.queues.get(id).is_some_and(super::Queue::drops)
    }

    /// Hands ready messages to consumers that have room.
    pub(crate) fn dispatch(&mut self, turn: &mut Turn<'_>, id: u64) {
        self.hand_out(turn, id, false);
    }

    /// A message has just come: whoever waits for it gets it, else the queue's limits hold.
    pub(crate) fn dispatch_fresh(&mut self, turn: &mut Turn<'_>, id: u64) {
        if !self.hand_out(turn, id, true) {
            self.tend(turn, id);
        }
    }

    /// `fresh`: there is one message and it has just come, so that it is handed out even if its
    /// time is zero. Whether another worker goes on.
    fn hand_out(&mut self, turn: &mut Turn<'_>, id: u64, fresh: bool) -> bool {
        for round in 0..DISPATCH_MAX {
            let Some(queue) = self.queues.map.get_mut(&id) else { return false };
            if queue.consumers.len() == 0 || queue.backlog.ready() == 0 {
                return false;
            }
            let options = queue.declaration.options();
            let (single_active, tells) = (options.single_active, options.tells_deliveries);
            let Some(at) = queue.consumers.next(single_active, &self.conns) else { return false };
            let consumer = queue.consumers.get(at);
            let is_fresh = fresh && round == 0;
            let worker = consumer.conn.worker;
            if worker != turn.worker {
                // Two ways to one connection would overtake each other.
                let step = if is_fresh { Step::Fresh(id) } else { Step::Dispatch(id) };
                turn.shared.mail.post(worker, Completion(step));
                return true;
            }
            let (conn, number, no_ack) = (consumer.conn, consumer.number, consumer.no_ack);
            let windows = consumer.windows.clone();
            queue.consumers.advance(at);
            let Some((item, message)) = self.next(turn, id, is_fresh) else { return false };
            let tag = Tag { source: id, place: item.order };
            turn.port.deliver(
                conn,
                Delivery {
                    message,
                    matched: Matched::One(number),
                    tag: (!no_ack).then_some(tag),
                    redelivered: item.redelivered,
                    deliveries: tells.then_some(item.deliveries),
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
                self.handed_out(turn, conn, tag, item, windows);
            }
        }
        // The rest in the next turn, when the connections have told whether they keep up.
        turn.shared.mail.post(turn.worker, Completion(Step::Dispatch(id)));
        false
    }

    /// A delivery that is to be settled.
    fn handed_out(
        &mut self,
        turn: &Turn<'_>,
        conn: ConnId,
        tag: Tag,
        mut item: Item,
        windows: Vec<u32>,
    ) {
        item.deliveries = item.deliveries.saturating_add(1);
        item.forget();
        if item.place().is_some() {
            self.queues.note(tag.source, &item, 0);
            self.flush_soon(turn);
        }
        let unsettled = Unsettled { queue: tag.source, item, windows };
        self.conns.rare(conn).unsettled.insert(tag, unsettled);
    }

    /// Takes out the next message that may be handed out. Those that expired or were handed out too
    /// often leave on the way.
    fn next(&mut self, turn: &mut Turn<'_>, id: u64, fresh: bool) -> Option<(Item, Arc<Message>)> {
        let mut fresh = fresh;
        loop {
            let queue = self.queues.map.get_mut(&id)?;
            let options = queue.declaration.options();
            let (ttl, limit) = (options.message_ttl_ms, options.delivery_limit);
            let mut item = queue.backlog.take()?;
            let message = match queue.backlog.load(turn, &item) {
                Loaded::Here(message, _) => message,
                Loaded::Lost => {
                    self.queues.done(id, &item);
                    self.flush_soon(turn);
                    add(&turn.shared.counters.undecodable, 1);
                    continue;
                }
                Loaded::Unreadable => {
                    queue.backlog.put_back(item);
                    self.timer(turn, turn.now.instant + UNREADABLE, Due::Queue(id));
                    return None;
                }
            };
            if !item.is_known() {
                item.set_expiry(&message, ttl, turn.shared.engine.clock_ms());
            }
            let is_fresh = std::mem::take(&mut fresh);
            let expired = item.expires_ms().filter(|_| !is_fresh);
            if expired.is_some_and(|at| at <= turn.shared.engine.clock_ms()) {
                self.give_up(turn, id, item, Cause::Expired);
                continue;
            }
            if limit.is_some_and(|limit| item.deliveries > limit) {
                self.give_up(turn, id, item, Cause::DeliveryLimit);
                continue;
            }
            return Some((item, message));
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
        let queue = self.queues.get_mut(id).expect("an id of the index");
        if queue.owner.is_some_and(|owner| owner != conn) {
            return turn.refuse(conn, token, Refusal::Locked);
        }
        let options = queue.declaration.options();
        if options.no_pull {
            return turn.refuse(conn, token, Refusal::InUse);
        }
        let tells = options.tells_deliveries;
        self.used(turn, id);
        let Some((item, message)) = self.next(turn, id, false) else {
            return turn.reply(conn, token, Reply::Pulled(None));
        };
        self.tend(turn, id);
        let remaining = self.queues.get(id).map_or(0, |queue| queue.len() as u64);
        let tag = Tag { source: id, place: item.order };
        let delivery = Delivery {
            message,
            matched: Matched::Many(Box::default()),
            tag: (!pull.no_ack).then_some(tag),
            redelivered: item.redelivered,
            deliveries: tells.then_some(item.deliveries),
            last_value: false,
        };
        if pull.no_ack {
            self.queues.done(id, &item);
            self.flush_soon(turn);
        } else {
            self.handed_out(turn, conn, tag, item, Vec::new());
        }
        let pulled = Pulled { delivery, remaining };
        turn.reply(conn, token, Reply::Pulled(Some(Box::new(pulled))));
    }
}

fn has_lifetime(message: &Message) -> bool {
    message.record.properties.as_ref().is_some_and(|p| p.lifetime.is_some())
}

/// Sets when queues took a message in, so that its time there runs on the engine's clock.
pub(crate) fn begin_lifetime(turn: &Turn<'_>, record: &mut model::record::Record) {
    let properties = record.properties_mut();
    let left = properties.expires_at_ms.map(|at| at.saturating_sub(turn.now.unix_ms));
    properties.lifetime = Some(model::record::Lifetime {
        since_ms: turn.shared.engine.clock_ms(),
        ttl_ms: left.map(|left| u64::try_from(left).unwrap_or(0)),
    });
}
