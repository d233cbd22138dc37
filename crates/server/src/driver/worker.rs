//! A worker: a thread that takes turns over its sockets, its mailbox and its deadlines.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use broker::Port;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use model::budget::Level;
use protocol::{Close, Notice, Now, Outbox, Peer};

use super::Shared;
use super::acceptor::Acceptor;
use super::connection::Connection;
use super::counters::{ProtocolTotals, add};
use super::feed::Ended;
use super::floor::Floor;
use super::mailbox::{Mailboxes, PARCEL_BYTES, Parcel, WAKE};
use super::requests::Requests;
use super::scratch::Scratch;

/// Events taken from the system at a time.
const EVENTS: usize = 256;

/// How often inboxes filled by the feeding of inboxes are fed before sockets have their turn.
const ROUNDS: usize = 8;

/// How often the slowest readers are closed when memory is at its end.
const SHED_EVERY: Duration = Duration::from_millis(100);

/// A connection with fewer unsent bytes is not closed for them.
const LAGGARD_BYTES: usize = 64 * 1024;

/// How long a worker that must not read waits before it looks again.
const BREATH: Duration = Duration::from_millis(1);

/// How long clients have to take their last messages when the server goes down.
const GRACE: Duration = Duration::from_secs(2);

/// How long they have to close their side of the connection then.
const FAREWELL: Duration = Duration::from_millis(300);

/// One I/O thread.
#[derive(Debug)]
pub(super) struct Worker<R: Requests> {
    poll: Poll,
    pub(super) desk: R,
    pub(super) floor: Floor<R::Completion>,
    pub(super) now: Now,
    pub(super) scratch: Scratch,
    /// One for each level of feeding; see [`Worker::relieve`].
    pub(super) outboxes: Vec<Outbox>,
    pub(super) depth: u8,
    acceptor: Option<Acceptor>,
    incoming: Vec<Parcel<R::Completion>>,
    /// When the server began to go down.
    draining: Option<Instant>,
    /// Its sessions were told that publishing is refused for want of room.
    pressed: bool,
    /// When the slowest readers were last looked for.
    shed: Option<Instant>,
}

impl<R: Requests> Worker<R> {
    pub(super) fn new(
        number: u16,
        poll: Poll,
        desk: R,
        mailboxes: Arc<Mailboxes<R::Completion>>,
        shared: Arc<Shared>,
        mut acceptor: Option<Acceptor>,
    ) -> io::Result<Self> {
        if let Some(acceptor) = &mut acceptor {
            acceptor.register(poll.registry())?;
        }
        Ok(Self {
            poll,
            desk,
            floor: Floor::new(number, shared, mailboxes),
            now: read_clocks(),
            scratch: Scratch::default(),
            outboxes: Vec::new(),
            depth: 0,
            acceptor,
            incoming: Vec::new(),
            draining: None,
            pressed: false,
            shed: None,
        })
    }

    /// Takes turns until the server goes down.
    pub(super) fn live(mut self) {
        // What is broken inside of the broker must not go on; data is safe in the log.
        if catch_unwind(AssertUnwindSafe(|| self.turns())).is_err() {
            tracing::error!("an I/O worker panicked; the server stops");
            std::process::abort();
        }
    }

    fn turns(&mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let timeout = self.timeout();
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "waiting for sockets failed");
                    std::thread::sleep(BREATH);
                }
            }
            self.now = read_clocks();
            if self.floor.look_at_budget() == Level::Shed {
                self.shed();
            }
            for event in &events {
                self.note(event);
            }
            self.accept();
            self.receive();
            self.expire();
            self.tell_pressure();
            self.work();
            self.floor.send_away();
            if self.floor.shared.draining.load(Ordering::Acquire) && self.is_drained() {
                self.farewell();
                return;
            }
        }
    }

    /// Closes the connections that the most is unsent of, until memory is below the mark or none is
    /// far behind.
    fn shed(&mut self) {
        if self.shed.is_some_and(|last| self.now.instant < last + SHED_EVERY) {
            return;
        }
        self.shed = Some(self.now.instant);
        let mut laggards: Vec<(usize, u32)> = self
            .floor
            .slab
            .slots()
            .into_iter()
            .filter_map(|slot| Some((self.floor.slab.get(slot)?.unsent_bytes(), slot)))
            .filter(|(unsent, _)| *unsent >= LAGGARD_BYTES)
            .collect();
        laggards.sort_unstable();
        let mut out = self.outboxes.pop().unwrap_or_default();
        while self.floor.shared.settings.budget.level() == Level::Shed
            && let Some((_, slot)) = laggards.pop()
        {
            self.end(slot, Ended::Slow, &mut out);
            // What it has not read would stay until it does.
            self.remove(slot);
        }
        self.outboxes.push(out);
    }

    /// Tells all sessions when publishing begins to be refused for want of room, or is possible
    /// again.
    fn tell_pressure(&mut self) {
        let pressed = self.desk.is_pressed();
        if pressed == self.pressed {
            return;
        }
        self.pressed = pressed;
        for slot in self.floor.slab.slots() {
            let conn = self.id(slot);
            self.floor.notice(conn, Notice::Pressure(pressed));
        }
    }

    /// How long there is nothing to do unless something happens.
    fn timeout(&self) -> Option<Duration> {
        let accepts = self.acceptor.as_ref().is_some_and(Acceptor::is_ready);
        if !self.floor.touched.is_empty() || accepts {
            return Some(Duration::ZERO);
        }
        if !self.floor.ready.is_empty() {
            return Some(if self.is_congested() { BREATH } else { Duration::ZERO });
        }
        if self.draining.is_some() {
            return Some(BREATH);
        }
        let accept = self.acceptor.as_ref().and_then(Acceptor::waits_until);
        let next = [self.floor.deadlines.next(), self.desk.deadline(), accept];
        let next = next.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Writes down what an event says.
    fn note(&mut self, event: &Event) {
        let Token(token) = event.token();
        if event.token() == WAKE
            || self.acceptor.as_mut().is_some_and(|acceptor| acceptor.note(event.token()))
        {
            return;
        }
        let Ok(slot) = u32::try_from(token) else { return };
        let Some(connection) = self.floor.slab.get(slot) else { return };
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            connection.readable = true;
        }
        if event.is_read_closed() {
            connection.hangup = true;
        }
        if event.is_writable() || event.is_write_closed() {
            connection.blocked = false;
        }
        if event.is_error() || (event.is_read_closed() && event.is_write_closed()) {
            connection.broken = true;
        }
        self.floor.queue(slot);
    }

    fn accept(&mut self) {
        let Some(acceptor) = &mut self.acceptor else { return };
        let mut own = Vec::new();
        let (floor, instant) = (&mut self.floor, self.now.instant);
        acceptor.accept(instant, |stream, protocol, worker| {
            let shared = &floor.shared;
            let full = shared.open.load(Ordering::Relaxed) >= shared.settings.connections;
            if full || shared.settings.budget.level() >= Level::Refuse {
                shared.counters.refused.fetch_add(1, Ordering::Relaxed);
                return;
            }
            shared.open.fetch_add(1, Ordering::Relaxed);
            if worker == usize::from(floor.worker) {
                own.push((stream, protocol));
            } else {
                floor.post(worker, Parcel::Adopt(stream, protocol), PARCEL_BYTES);
            }
        });
        for (stream, protocol) in own {
            self.adopt(stream, protocol);
        }
    }

    /// Takes a connection over; a peer that is gone already is dropped.
    fn adopt(&mut self, mut stream: TcpStream, protocol: u16) {
        let (slot, generation) = self.floor.slab.vacant();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let addresses = stream.peer_addr().and_then(|remote| Ok((remote, stream.local_addr()?)));
        let registered = self.poll.registry().register(&mut stream, Token(slot as usize), interest);
        let seed = getrandom::u64().map_err(io::Error::other);
        let settings = &self.floor.shared.settings;
        let spoken = settings.protocols.get(usize::from(protocol));
        let (Ok((remote, local)), Ok(()), Ok(seed), Some(spoken), None) =
            (addresses, registered, seed, spoken, self.draining)
        else {
            return self.left();
        };
        let conn = protocol::ConnId { worker: self.floor.worker, slot, generation };
        let peer = Peer { remote, local, seed, conn, login: false, node: settings.node.clone() };
        let session = spoken.open(self.now, peer);
        self.floor.slab.insert(Connection::new(stream, protocol, session));
        if let Some(totals) = self.totals(slot) {
            add(&totals.connections_accepted, 1);
        }
        self.floor.queue(slot);
        if self.pressed {
            self.floor.notice(conn, Notice::Pressure(true));
        }
    }

    /// A connection was closed or never taken: there is room for another one.
    pub(super) fn left(&self) {
        self.floor.shared.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes what other workers and the engine sent.
    fn receive(&mut self) {
        let mut incoming = std::mem::take(&mut self.incoming);
        self.floor.receive(&mut incoming);
        for parcel in incoming.drain(..) {
            match parcel {
                Parcel::Deliver(conn, delivery) => self.floor.deliver(conn, delivery),
                Parcel::Reply(conn, token, reply) => self.floor.reply(conn, token, *reply),
                Parcel::Notice(conn, notice) => self.floor.notice(conn, notice),
                Parcel::Completion(completion) => {
                    self.desk.complete(self.now, completion, &mut self.floor);
                }
                Parcel::Adopt(stream, protocol) => self.adopt(stream, protocol),
            }
            if self.floor.is_pressed() {
                self.relieve(None);
            }
        }
        self.incoming = incoming;
    }

    fn expire(&mut self) {
        while let Some(slot) = self.floor.deadlines.take(self.now.instant) {
            let Some(connection) = self.floor.slab.get(slot) else { continue };
            connection.armed = None;
            let deadline = match &connection.session {
                Some(session) => session.deadline(),
                None => Some(self.now.instant),
            };
            match deadline {
                Some(deadline) if deadline <= self.now.instant => {
                    connection.due = true;
                    self.floor.queue(slot);
                }
                later => self.floor.arm(slot, later),
            }
        }
        while self.desk.deadline().is_some_and(|deadline| deadline <= self.now.instant) {
            self.desk.timeout(self.now, &mut self.floor);
            if self.floor.is_pressed() {
                self.relieve(None);
            }
        }
    }

    /// Feeds the sessions.
    fn work(&mut self) {
        if !self.floor.ready.is_empty() && !self.floor.is_congested() {
            for _ in 0..self.floor.ready.len() {
                // Looked at before each socket: many of them fill the engine's queue in one turn.
                if self.desk.is_congested() {
                    break;
                }
                let Some(slot) = self.floor.ready.pop_front() else { break };
                if let Some(connection) = self.floor.slab.get(slot) {
                    connection.queued = false;
                }
                self.process(slot, true);
                if self.floor.is_pressed() {
                    self.relieve(None);
                }
            }
        }
        for _ in 0..ROUNDS {
            if self.floor.touched.is_empty() {
                break;
            }
            for slot in self.floor.take_touched() {
                self.process(slot, false);
            }
        }
    }

    fn is_congested(&self) -> bool {
        self.floor.is_congested() || self.desk.is_congested()
    }

    /// Says goodbye once, then tells whether everything is said.
    fn is_drained(&mut self) -> bool {
        let now = self.now.instant;
        let Some(since) = self.draining else {
            self.draining = Some(now);
            self.acceptor = None;
            for slot in self.floor.slab.slots() {
                let conn = self.id(slot);
                self.floor.notice(conn, Notice::Draining);
            }
            return false;
        };
        let waiting = self.floor.slab.iter().any(|connection| {
            let busy = connection.unsent.is_some() || connection.inbox.is_some();
            let lingers = connection.session.is_none() && now < since + FAREWELL;
            busy || lingers || (connection.in_flight > 0 && now < since + FAREWELL)
        });
        !waiting || now >= since + GRACE
    }

    /// Ends the sessions that are left.
    fn farewell(&mut self) {
        let mut out = Outbox::new();
        for slot in self.floor.slab.slots() {
            let alive = self.floor.slab.get(slot).is_some_and(|c| c.session.is_some());
            if alive {
                self.end(slot, Ended::Closed(Close::Draining), &mut out);
            }
            self.remove(slot);
        }
        self.floor.send_away();
    }

    /// The counters of a connection's protocol.
    pub(super) fn totals(&mut self, slot: u32) -> Option<&ProtocolTotals> {
        let protocol = usize::from(self.floor.slab.get(slot)?.protocol);
        self.floor.shared.counters.protocols.get(protocol)
    }
}

fn read_clocks() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { instant: Instant::now(), unix_ms: i64::try_from(unix.as_millis()).unwrap_or(i64::MAX) }
}
