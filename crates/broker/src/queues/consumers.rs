//! Consumers of queues: they come, take turns, and go.

use bytes::Bytes;
use protocol::{ConnId, Consume, Notice, Refusal, Reply, Token};

use super::Queue;
use crate::completion::{Completion, Step};
use crate::conns::Conns;
use crate::state::Core;
use crate::turn::Turn;

/// Most consumers of one connection.
const CONSUMERS_MAX: usize = 65_536;

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) conn: ConnId,
    pub(super) number: u32,
    pub(super) no_ack: bool,
    priority: i32,
    pub(super) windows: Vec<u32>,
}

/// The consumers of one queue.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    /// Higher priorities first, then in the order in which they came.
    all: Vec<Consumer>,
    /// Whose turn it is, among the consumers of the highest priority that have room.
    turn: usize,
    /// The only one that gets messages, in a queue with a single active consumer.
    active: Option<(ConnId, u32)>,
    exclusive: bool,
    had_one: bool,
}

impl Consumers {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, at: usize) -> &Consumer {
        &self.all[at]
    }

    fn add(&mut self, consumer: Consumer, exclusive: bool) {
        self.exclusive = exclusive;
        self.had_one = true;
        self.all.push(consumer);
        self.all.sort_by_key(|c| std::cmp::Reverse(c.priority));
    }

    /// The next consumer with room, among those of the highest priority that have some. It stays the
    /// next one until [`Consumers::advance`].
    pub(super) fn next(&mut self, single_active: bool, conns: &Conns) -> Option<usize> {
        if single_active {
            return self.next_active(conns);
        }
        let best = self.all.iter().find(|c| has_room(c, conns))?.priority;
        let count = self.all.len();
        (0..count)
            .map(|i| (self.turn + i) % count)
            .find(|&at| self.all[at].priority == best && has_room(&self.all[at], conns))
    }

    /// This one had its turn.
    pub(super) fn advance(&mut self, at: usize) {
        self.turn = (at + 1) % self.all.len().max(1);
    }

    /// The one that is active, if it has room; when it has gone, the next one becomes it.
    fn next_active(&mut self, conns: &Conns) -> Option<usize> {
        let known = self
            .active
            .and_then(|active| self.all.iter().position(|c| (c.conn, c.number) == active));
        let at = known.unwrap_or(0);
        let consumer = self.all.get(at)?;
        self.active = Some((consumer.conn, consumer.number));
        has_room(consumer, conns).then_some(at)
    }
}

fn has_room(consumer: &Consumer, conns: &Conns) -> bool {
    conns.is_open(consumer.conn)
        && conns.get(consumer.conn).and_then(|c| c.rare.as_ref()).is_none_or(|rare| {
            let open = |window| rare.windows.get(window).is_none_or(|w| w.is_open());
            consumer.windows.iter().all(open)
        })
}

impl Core {
    /// Consumers of a worker's connections: connection, number, name of the queue.
    pub(crate) fn consumers_of(&self, worker: u16) -> Vec<(ConnId, u32, Bytes)> {
        let consuming = self.conns.consuming().filter(|(conn, ..)| conn.worker == worker);
        let named = |(conn, number, queue)| {
            let queue = self.queues.get(queue)?;
            Some((conn, number, queue.declaration.name.clone()))
        };
        consuming.filter_map(named).collect()
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
        let shuts_out = queue.consumers.len() > 0 || queue.declaration.options().single_active;
        if queue.consumers.exclusive || (consume.exclusive && shuts_out) {
            return turn.refuse(conn, token, Refusal::InUse);
        }
        if self.conns.rare(conn).consumers.len() >= CONSUMERS_MAX {
            return turn.refuse(conn, token, Refusal::Limit("consumers of a connection"));
        }
        let queue = self.queues.get_mut(id).expect("an id of the index");
        let consumer = Consumer {
            conn,
            number: consume.number,
            no_ack: consume.no_ack,
            priority: consume.priority,
            windows: consume.windows,
        };
        queue.consumers.add(consumer, consume.exclusive);
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
        if self.queues.get(id).is_some_and(|q| q.declaration.options().single_active) {
            // The next one begins, after what this one may give back in the same turn.
            turn.shared.mail.post(turn.worker, Completion(Step::Dispatch(id)));
        }
    }

    pub(super) fn drop_consumers(
        &mut self,
        turn: &mut Turn<'_>,
        id: u64,
        gone: impl Fn(&Consumer) -> bool,
    ) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        queue.consumers.all.retain(|consumer| !gone(consumer));
        if queue.consumers.len() > 0 {
            return;
        }
        queue.consumers.exclusive = false;
        if queue.declaration.auto_delete && queue.consumers.had_one {
            let name = queue.declaration.name.clone();
            self.remove_queue(turn, &name);
        } else {
            self.used(turn, id);
        }
    }

    /// Tells the consumers of a queue that it is gone.
    pub(super) fn dismiss(&mut self, turn: &mut Turn<'_>, queue: &Queue) {
        for consumer in &queue.consumers.all {
            if let Some(rare) = self.conns.rare_of(consumer.conn) {
                rare.consumers.remove(&consumer.number);
            }
            turn.port.notice(consumer.conn, Notice::ConsumerGone(consumer.number));
        }
    }

    /// Forgets the consumers of a connection, and requeues what it had.
    pub(crate) fn forget_consumers(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        let Some(rare) = self.conns.rare_of(conn) else { return };
        let mut unsettled: Vec<_> = rare.unsettled.drain().collect();
        let mut queues: Vec<u64> = rare.consumers.drain().map(|(_, queue)| queue).collect();
        let exclusive = std::mem::take(&mut rare.exclusive);
        queues.extend(unsettled.iter().map(|(_, one)| one.queue));
        queues.sort_unstable();
        queues.dedup();
        // What dies on its way back does so in the order in which it was handed out.
        unsettled.sort_unstable_by_key(|(tag, _)| *tag);
        for (_, one) in unsettled {
            self.settle_one(turn, one, protocol::Settlement::Requeue);
        }
        for queue in &queues {
            self.drop_consumers(turn, *queue, |consumer| consumer.conn == conn);
        }
        for name in exclusive {
            self.remove_queue(turn, &name);
        }
        for queue in queues {
            self.settled_back(turn, queue);
        }
    }
}
