//! All connections of a worker: what the broker gives goes to their inboxes from here, and what is
//! for connections of other workers is gathered for their mailboxes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use broker::Port;
use model::budget::{Class, Level};
use protocol::{ConnId, Delivery, Notice, Reply, SlowReceiver, Token};

use super::Shared;
use super::connection::{Connection, Event, Inbox};
use super::counters::add;
use super::deadlines::Deadlines;
use super::mailbox::{Mailboxes, PARCEL_BYTES, Parcel};
use super::slab::Slab;

/// What a delivery counts in an inbox besides its record.
const DELIVERY_BYTES: usize = 64;

/// Last values come all at once after a subscription: so many times the limit may wait.
const LAST_VALUES_FACTOR: usize = 8;

/// Deliveries in inboxes above which they are fed before more is read.
const PENDING: usize = 32 * 1024;

/// Bytes in one inbox above which it is fed before more is read.
const INBOX_BYTES: usize = 256 * 1024;

/// Bytes for other workers above which they are handed over before the end of the turn.
const AWAY_BYTES: usize = 1024 * 1024;

/// When memory is scarce, a receiver has this part of its usual limit.
const CROWDED_SHARE: usize = 8;

/// Empty inboxes kept.
const POOL: usize = 256;

/// A pooled inbox keeps the memory of so many deliveries.
const POOLED_DELIVERIES: usize = 1024;

/// Empty inboxes.
type Pool = Vec<Box<Inbox>>;

/// The connections of one worker and their inboxes.
#[derive(Debug)]
pub(super) struct Floor<C> {
    pub(super) worker: u16,
    pub(super) slab: Slab,
    pub(super) deadlines: Deadlines,
    /// Connections whose socket or deadline wants something.
    pub(super) ready: VecDeque<u32>,
    /// Connections with an inbox.
    pub(super) touched: Vec<u32>,
    pub(super) shared: Arc<Shared>,
    mailboxes: Arc<Mailboxes<C>>,
    policies: Vec<SlowReceiver>,
    pool: Pool,
    /// Deliveries in all inboxes.
    pending: usize,
    /// An inbox is over [`INBOX_BYTES`].
    full: bool,
    away: Vec<(Vec<Parcel<C>>, usize)>,
    away_bytes: usize,
    level: Level,
}

impl<C> Floor<C> {
    pub(super) fn new(worker: u16, shared: Arc<Shared>, mailboxes: Arc<Mailboxes<C>>) -> Self {
        let policies = shared.settings.protocols.iter().map(|p| p.slow_receiver()).collect();
        let away = (0..mailboxes.len()).map(|_| (Vec::new(), 0)).collect();
        Self {
            worker,
            slab: Slab::default(),
            deadlines: Deadlines::new(Instant::now()),
            ready: VecDeque::new(),
            touched: Vec::new(),
            shared,
            mailboxes,
            policies,
            pool: Vec::new(),
            pending: 0,
            full: false,
            away,
            away_bytes: 0,
            level: Level::Calm,
        }
    }

    /// Puts a connection on the list of those with something to do.
    pub(super) fn queue(&mut self, slot: u32) {
        if let Some(connection) = self.slab.get(slot)
            && !connection.queued
        {
            connection.queued = true;
            self.ready.push_back(slot);
        }
    }

    /// Whether inboxes should be fed before more is read.
    pub(super) fn is_pressed(&self) -> bool {
        self.full || self.pending > PENDING || self.away_bytes > AWAY_BYTES
    }

    /// The connections with an inbox; the pressure is off when they are through.
    pub(super) fn take_touched(&mut self) -> Vec<u32> {
        self.full = false;
        std::mem::take(&mut self.touched)
    }

    /// Brings what a connection counts for in the budget up to date.
    pub(super) fn account(&mut self, slot: u32) {
        let Some(connection) = self.slab.get(slot) else { return };
        let (before, now) = (connection.counted, connection.memory());
        if before == now {
            return;
        }
        connection.counted = now;
        let budget = &self.shared.settings.budget;
        match now.checked_sub(before) {
            Some(more) => budget.add(Class::Connections, more as usize),
            None => budget.take(Class::Connections, (before - now) as usize),
        }
    }

    /// How full the budget is, at the start of a turn; what is kept for later shrinks with it.
    pub(super) fn look_at_budget(&mut self) -> Level {
        self.level = self.shared.settings.budget.level();
        if self.level >= Level::Shrink {
            self.pool = Vec::new();
        }
        self.level
    }

    /// Takes what the broker has for a connection.
    pub(super) fn take_inbox(&mut self, slot: u32) -> Option<Box<Inbox>> {
        let inbox = self.slab.get(slot)?.inbox.take()?;
        self.pending -= inbox.deliveries.len();
        Some(inbox)
    }

    /// Keeps an inbox for the next connection that needs one.
    pub(super) fn give_back(&mut self, mut inbox: Box<Inbox>) {
        inbox.clear();
        if self.pool.len() < POOL && inbox.deliveries.capacity() <= POOLED_DELIVERIES {
            self.pool.push(inbox);
        }
    }

    /// Takes an ended connection's inbox and deadline away.
    pub(super) fn forget(&mut self, slot: u32) {
        if let Some(inbox) = self.take_inbox(slot) {
            self.give_back(inbox);
        }
        if let Some(connection) = self.slab.get(slot) {
            let armed = connection.armed.take();
            self.deadlines.set(slot, armed, None);
        }
    }

    /// Arms a connection's deadline if it is nearer than the one that is armed.
    pub(super) fn arm(&mut self, slot: u32, deadline: Option<Instant>) {
        let Some(connection) = self.slab.get(slot) else { return };
        let (Some(deadline), armed) = (deadline, connection.armed) else { return };
        if armed.is_none_or(|armed| deadline < armed) {
            connection.armed = Some(deadline);
            self.deadlines.set(slot, armed, Some(deadline));
        }
    }

    /// Hands other workers what was gathered for them.
    pub(super) fn send_away(&mut self) {
        if self.away_bytes == 0 {
            return;
        }
        for (worker, (parcels, bytes)) in self.away.iter_mut().enumerate() {
            if !parcels.is_empty() {
                self.mailboxes.send(worker, parcels, std::mem::take(bytes));
            }
        }
        self.away_bytes = 0;
    }

    /// Gathers something for another worker.
    pub(super) fn post(&mut self, worker: usize, parcel: Parcel<C>, bytes: usize) {
        if let Some((parcels, gathered)) = self.away.get_mut(worker) {
            parcels.push(parcel);
            *gathered += bytes;
            self.away_bytes += bytes;
        }
    }

    fn mark(&mut self, conn: ConnId, event: Event) {
        let Some(connection) = self.slab.find(conn) else { return };
        if connection.session.is_some() {
            inbox(connection, &mut self.pool, &mut self.touched, conn.slot).mark(event);
        }
    }

    /// Puts a delivery for a connection of this worker into its inbox, unless that is too much.
    fn put(&mut self, conn: ConnId, delivery: Delivery) {
        let Some(connection) = self.slab.find(conn) else { return };
        if connection.session.is_none() {
            return;
        }
        let bytes = DELIVERY_BYTES + delivery.message.record.size();
        if delivery.tag.is_none() {
            let limit = match self.level {
                Level::Calm | Level::Shrink | Level::Hold => self.shared.settings.outbound_bytes,
                Level::Refuse | Level::Shed => self.shared.settings.outbound_bytes / CROWDED_SHARE,
            };
            let limit = if delivery.last_value { limit * LAST_VALUES_FACTOR } else { limit };
            let waiting =
                connection.unsent_bytes() + connection.inbox.as_ref().map_or(0, |i| i.bytes);
            if connection.slow || waiting + bytes > limit {
                let protocol = usize::from(connection.protocol);
                if let Some(totals) = self.shared.counters.protocols.get(protocol) {
                    add(&totals.dropped_deliveries, 1);
                }
                let closes = self.policies.get(protocol) == Some(&SlowReceiver::Close);
                if closes && !connection.slow {
                    connection.slow = true;
                    self.mark(conn, Event::Notice(Notice::SlowReceiver));
                }
                return;
            }
        }
        let inbox = inbox(connection, &mut self.pool, &mut self.touched, conn.slot);
        inbox.deliveries.push(delivery);
        inbox.bytes += bytes;
        self.pending += 1;
        self.full |= inbox.bytes > INBOX_BYTES;
    }
}

/// The connection's inbox; a connection that gets one is on the list of the touched.
fn inbox<'a>(
    connection: &'a mut Connection,
    pool: &mut Pool,
    touched: &mut Vec<u32>,
    slot: u32,
) -> &'a mut Inbox {
    connection.inbox.get_or_insert_with(|| {
        touched.push(slot);
        pool.pop().unwrap_or_default()
    })
}

impl<C> Port for Floor<C> {
    fn deliver(&mut self, conn: ConnId, delivery: Delivery) {
        if conn.worker == self.worker {
            self.put(conn, delivery);
        } else {
            let bytes = PARCEL_BYTES + delivery.message.record.size();
            self.post(usize::from(conn.worker), Parcel::Deliver(conn, delivery), bytes);
        }
    }

    fn reply(&mut self, conn: ConnId, token: Token, reply: Reply) {
        if conn.worker == self.worker {
            self.mark(conn, Event::Reply(token, reply));
        } else {
            let parcel = Parcel::Reply(conn, token, Box::new(reply));
            self.post(usize::from(conn.worker), parcel, PARCEL_BYTES);
        }
    }

    fn notice(&mut self, conn: ConnId, notice: Notice) {
        if conn.worker == self.worker {
            self.mark(conn, Event::Notice(notice));
        } else {
            self.post(usize::from(conn.worker), Parcel::Notice(conn, notice), PARCEL_BYTES);
        }
    }
}

impl<C> Floor<C> {
    /// Whether this worker should leave sockets unread because another one is behind.
    pub(super) fn is_congested(&self) -> bool {
        let behind = self.mailboxes.others_behind(usize::from(self.worker));
        if behind {
            self.shared.counters.congested.fetch_add(1, Ordering::Relaxed);
        }
        behind
    }

    /// Takes everything out of this worker's own mailbox.
    pub(super) fn receive(&self, into: &mut Vec<Parcel<C>>) {
        self.mailboxes.receive(usize::from(self.worker), into);
    }
}
