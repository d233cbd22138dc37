//! One connection's part of a turn: inputs into the session, requests to the broker, frames to the
//! socket, and the end of it all.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mio::net::TcpStream;
use model::budget::Class;
use protocol::{Close, ConnId, Delivery, Input, Notice, Outbox};

use super::connection::{Event, Inbox};
use super::counters::{Ending, add};
use super::requests::Requests;
use super::scratch::{FRONT, READ};
use super::unsent::Unsent;
use super::worker::Worker;

/// Unsent bytes above which a socket is not read and the broker holds back.
const HIGH: usize = 256 * 1024;

/// Unsent bytes below which that ends.
const LOW: usize = 64 * 1024;

/// Bytes read of one connection before the others have their turn.
const SHARE: usize = 128 * 1024;

/// Frames collected before they are written.
const FLUSH: usize = 64 * 1024;

/// Deliveries given to a session at a time.
const SLICE: usize = 256;

/// An outbox keeps at most this much memory for the next connection.
const OUTBOX_BYTES: usize = 256 * 1024;

/// How long a closed connection may take to read the last frames, and then to close its side.
const LINGER: Duration = Duration::from_secs(2);

/// Why a connection's part in the driver is over.
#[derive(Debug)]
pub(super) enum Ended {
    Closed(Close),
    PeerClosed,
    Reset(io::Error),
    Slow,
    Panicked,
    /// There is no such connection any more.
    Gone,
}

impl Ended {
    fn ending(&self) -> Ending {
        match self {
            Self::Closed(Close::Done) => Ending::Done,
            Self::Closed(Close::Violation(_)) => Ending::Violation,
            Self::Closed(Close::Timeout) => Ending::Timeout,
            Self::Closed(Close::Displaced) => Ending::Displaced,
            Self::Closed(Close::Refused(_)) => Ending::Refused,
            Self::Closed(Close::Draining) => Ending::Draining,
            Self::PeerClosed => Ending::PeerClosed,
            Self::Reset(_) | Self::Gone => Ending::Reset,
            Self::Slow => Ending::Slow,
            Self::Panicked => Ending::Panicked,
        }
    }
}

impl<R: Requests> Worker<R> {
    /// Does what there is to do for a connection; `reads` = its socket may be read.
    pub(super) fn process(&mut self, slot: u32, reads: bool) {
        match self.floor.slab.get(slot) {
            None => return,
            Some(connection) if connection.session.is_none() => return self.linger(slot),
            Some(_) => {}
        }
        let mut out = self.outboxes.pop().unwrap_or_default();
        self.depth += 1;
        let outcome = self.inputs(slot, reads, &mut out).and_then(|()| self.flush(slot, &mut out));
        match outcome {
            Ok(()) => self.rest(slot),
            Err(ended) => self.end(slot, ended, &mut out),
        }
        self.depth -= 1;
        trim(&mut out);
        self.outboxes.push(out);
    }

    /// Feeds the session until there is nothing more for it, or its share is used up.
    fn inputs(&mut self, slot: u32, reads: bool, out: &mut Outbox) -> Result<(), Ended> {
        let requests = self.floor.shared.settings.requests;
        let mut share = if reads { SHARE } else { 0 };
        loop {
            let connection = self.floor.slab.get(slot).ok_or(Ended::Gone)?;
            let takes_bytes = connection.takes_bytes(requests);
            if std::mem::take(&mut connection.fresh) {
                self.feed(slot, Input::Opened, out)?;
            } else if std::mem::take(&mut connection.due) {
                self.feed(slot, Input::Timeout, out)?;
            } else if connection.inbox.is_some() {
                if let Some(mut inbox) = self.floor.take_inbox(slot) {
                    let outcome = self.feed_inbox(slot, &mut inbox, out);
                    self.floor.give_back(inbox);
                    outcome?;
                }
            } else if connection.stale && takes_bytes {
                let held = std::mem::take(&mut connection.held);
                self.feed_held(slot, held, out)?;
            } else if connection.readable && takes_bytes && share > 0 {
                share = share.saturating_sub(self.read(slot, out)?);
            } else if connection.broken && !takes_bytes {
                return Err(Ended::PeerClosed);
            } else {
                return Ok(());
            }
            if out.outbound_bytes() >= FLUSH {
                self.flush(slot, out)?;
            }
        }
    }

    /// One input, then its requests.
    fn feed(&mut self, slot: u32, input: Input<'_>, out: &mut Outbox) -> Result<(), Ended> {
        let connection = self.floor.slab.get(slot).ok_or(Ended::Gone)?;
        let session = connection.session.as_mut().ok_or(Ended::Gone)?;
        let now = self.now;
        // A session that panics is never used again, and no other one shares its state.
        let outcome = catch_unwind(AssertUnwindSafe(|| session.handle(now, input, out)));
        connection.paused = out.take_pause();
        match outcome {
            Ok(result) => {
                self.hand_on(slot, out);
                result.map_err(Ended::Closed)
            }
            Err(_) => {
                out.requests.clear();
                Err(Ended::Panicked)
            }
        }
    }

    /// Gives a session's requests to the broker, in order.
    fn hand_on(&mut self, slot: u32, out: &mut Outbox) {
        if out.requests.is_empty() {
            return;
        }
        let conn = self.id(slot);
        let mut requests = std::mem::take(&mut out.requests);
        if let Some(connection) = self.floor.slab.get(slot) {
            let asked = requests.iter().filter(|(token, _)| token.is_some()).count();
            connection.in_flight += u32::try_from(asked).unwrap_or(u32::MAX / 2);
            if let Some(totals) = self.totals(slot) {
                add(&totals.requests, requests.len());
            }
        }
        for (token, request) in requests.drain(..) {
            self.desk.request(self.now, conn, token, request, &mut self.floor);
            if self.depth == 1 && self.floor.is_pressed() {
                self.relieve(Some(slot));
            }
        }
        out.requests = requests;
    }

    /// Feeds inboxes before more is read: of all connections but `except`, which is being fed.
    pub(super) fn relieve(&mut self, except: Option<u32>) {
        self.floor.send_away();
        for slot in self.floor.take_touched() {
            if except == Some(slot) {
                self.floor.touched.push(slot);
            } else {
                self.process(slot, false);
            }
        }
    }

    fn feed_inbox(&mut self, slot: u32, inbox: &mut Inbox, out: &mut Outbox) -> Result<(), Ended> {
        if let Some(totals) = self.totals(slot) {
            add(&totals.deliveries, inbox.deliveries.len());
        }
        let mut rest = inbox.deliveries.as_slice();
        let mut before = 0;
        for mark in inbox.marks.drain(..) {
            let (first, others) = rest.split_at(mark.after - before);
            (rest, before) = (others, mark.after);
            self.feed_deliveries(slot, first, out)?;
            match mark.event {
                Event::Reply(token, reply) => {
                    if let Some(connection) = self.floor.slab.get(slot) {
                        connection.in_flight = connection.in_flight.saturating_sub(1);
                    }
                    self.feed(slot, Input::Reply(token, reply), out)?;
                }
                Event::Notice(notice) => {
                    let ended = match notice {
                        Notice::SlowReceiver => Err(Ended::Slow),
                        Notice::Expelled => {
                            Err(Ended::Closed(Close::Refused("sent away".to_owned())))
                        }
                        Notice::Displaced
                        | Notice::ConsumerGone(_)
                        | Notice::Draining
                        | Notice::Pressure(_) => Ok(()),
                    };
                    self.feed(slot, Input::Notice(notice), out)?;
                    ended?;
                }
            }
        }
        self.feed_deliveries(slot, rest, out)
    }

    fn feed_deliveries(
        &mut self,
        slot: u32,
        deliveries: &[Delivery],
        out: &mut Outbox,
    ) -> Result<(), Ended> {
        for slice in deliveries.chunks(SLICE) {
            self.feed(slot, Input::Deliveries(slice), out)?;
            if out.outbound_bytes() >= FLUSH {
                self.flush(slot, out)?;
            }
        }
        Ok(())
    }

    /// Reads once and feeds what came. Returns how much that was.
    fn read(&mut self, slot: u32, out: &mut Outbox) -> Result<usize, Ended> {
        let connection = self.floor.slab.get(slot).ok_or(Ended::Gone)?;
        let short = connection.held.len() <= FRONT;
        let front = if short { connection.held.len() } else { 0 };
        let place = self.scratch.place(&connection.held[..front]);
        let count = match connection.socket.read(&mut place[front..]) {
            Ok(0) => return Err(Ended::PeerClosed),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.readable = false;
                return Ok(0);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            Err(error) => return Err(Ended::Reset(error)),
        };
        // A short read emptied the socket: its next byte makes a new event.
        if count < READ && !connection.hangup {
            connection.readable = false;
        }
        let mut held = std::mem::take(&mut connection.held);
        if let Some(totals) = self.totals(slot) {
            add(&totals.received_bytes, count);
        }
        if short {
            let mut input = self.scratch.take(front + count);
            drop(held);
            self.feed(slot, Input::Bytes(&mut input), out)?;
            self.hold(slot, BytesMut::from(input.as_ref()));
        } else {
            held.extend_from_slice(self.scratch.peek(count));
            self.feed_held(slot, held, out)?;
        }
        Ok(count)
    }

    /// Feeds bytes that are in a buffer of their own.
    fn feed_held(&mut self, slot: u32, mut held: BytesMut, out: &mut Outbox) -> Result<(), Ended> {
        let before = held.len();
        self.feed(slot, Input::Bytes(&mut held), out)?;
        let paused = self.floor.slab.get(slot).is_some_and(|connection| connection.paused);
        if !paused && held.len() < before {
            // The buffer was made for a packet that is gone from it.
            held = BytesMut::from(held.as_ref());
        }
        self.hold(slot, held);
        Ok(())
    }

    /// Keeps what the session left of its bytes.
    fn hold(&mut self, slot: u32, held: BytesMut) {
        if let Some(connection) = self.floor.slab.get(slot) {
            connection.stale = connection.paused && !held.is_empty();
            connection.held = if held.is_empty() { BytesMut::new() } else { held };
        }
    }

    /// Writes frames; what the socket does not take is kept.
    fn flush(&mut self, slot: u32, out: &mut Outbox) -> Result<(), Ended> {
        let connection = self.floor.slab.get(slot).ok_or(Ended::Gone)?;
        if out.has_no_frames() && (connection.blocked || connection.unsent.is_none()) {
            return Ok(());
        }
        let before = connection.unsent_bytes() + out.outbound_bytes();
        let mut ready = std::mem::take(out.ready());
        let buffer = out.buffer();
        let mut unsent = connection.unsent.take();
        let outcome = if unsent.is_none() && ready.is_empty() {
            write_buffer(&mut connection.socket, buffer, &mut unsent)
        } else if unsent.is_none() {
            write_frames(&mut connection.socket, &mut ready, buffer, &mut unsent)
        } else {
            keep(&mut ready, buffer, 0, &mut unsent);
            Ok(())
        };
        buffer.clear();
        *out.ready() = ready;
        let outcome = outcome.and_then(|()| match &mut unsent {
            Some(unsent) if !connection.blocked => unsent.write_to(&mut connection.socket),
            Some(_) => Ok(false),
            None => Ok(true),
        });
        let empty = outcome.map_err(Ended::Reset)?;
        connection.blocked = !empty;
        connection.unsent = if empty { None } else { unsent };
        let written = before - connection.unsent_bytes();
        if let Some(totals) = self.totals(slot) {
            add(&totals.sent_bytes, written);
        }
        Ok(())
    }

    /// A connection is through for now: water marks, deadline, and whether it goes on next turn.
    fn rest(&mut self, slot: u32) {
        let conn = self.id(slot);
        let requests = self.floor.shared.settings.requests;
        let soonest = self.now.instant + Duration::from_millis(1);
        self.floor.account(slot);
        let Some(connection) = self.floor.slab.get(slot) else { return };
        let unsent = connection.unsent_bytes();
        let turned = if connection.stopped { unsent < LOW } else { unsent > HIGH };
        if turned {
            connection.stopped = !connection.stopped;
            let stopped = connection.stopped;
            self.desk.flow(self.now, conn, stopped, &mut self.floor);
        }
        let Some(connection) = self.floor.slab.get(slot) else { return };
        let deadline = connection.session.as_ref().and_then(|session| session.deadline());
        // One that is past already must not take every turn.
        let deadline = deadline.map(|deadline| deadline.max(soonest));
        let more = (connection.readable || connection.stale) && connection.takes_bytes(requests);
        if more {
            self.floor.queue(slot);
        }
        self.floor.arm(slot, deadline);
    }

    /// Ends the session; the socket lives on until the peer has read the last frames.
    pub(super) fn end(&mut self, slot: u32, ended: Ended, out: &mut Outbox) {
        let usable = match &ended {
            Ended::Gone => return,
            Ended::Closed(_) | Ended::PeerClosed | Ended::Slow | Ended::Panicked => true,
            Ended::Reset(_) => false,
        };
        let usable = usable && self.flush(slot, out).is_ok();
        out.buffer().clear();
        out.ready().clear();
        let conn = self.id(slot);
        let Some(connection) = self.floor.slab.get(slot) else { return };
        let session = connection.session.take();
        connection.held = BytesMut::new();
        if let Some(totals) = self.totals(slot) {
            totals.end(ended.ending());
        }
        self.tell(slot, &ended);
        if let Some(mut session) = session {
            let now = self.now;
            let panicked = matches!(ended, Ended::Panicked)
                || catch_unwind(AssertUnwindSafe(|| session.handle(now, Input::End, out))).is_err();
            if panicked {
                out.requests.clear();
            }
            self.hand_on(slot, out);
            // Whatever its drop does, the worker goes on.
            if catch_unwind(AssertUnwindSafe(|| drop(session))).is_err() {
                tracing::error!("a session panicked while it was dropped");
            }
        }
        out.take_pause();
        out.buffer().clear();
        out.ready().clear();
        self.desk.gone(self.now, conn, &mut self.floor);
        self.floor.forget(slot);
        let Some(connection) = self.floor.slab.get(slot) else { return };
        let nothing_left = matches!(ended, Ended::PeerClosed) && connection.unsent.is_none();
        if !usable || nothing_left {
            self.remove(slot);
        } else {
            self.floor.arm(slot, Some(self.now.instant + LINGER));
            self.linger(slot);
        }
    }

    fn tell(&mut self, slot: u32, ended: &Ended) {
        let Some(connection) = self.floor.slab.get(slot) else { return };
        let name = self
            .floor
            .shared
            .settings
            .protocols
            .get(usize::from(connection.protocol))
            .map_or("", |protocol| protocol.name());
        let peer = connection.socket.peer_addr().map_or_else(|_| "?".into(), |a| a.to_string());
        match ended {
            Ended::Closed(close) => tracing::debug!(%peer, ?close, "{name} connection closed"),
            Ended::PeerClosed => tracing::debug!(%peer, "{name} connection closed by the peer"),
            Ended::Reset(error) => tracing::debug!(%peer, %error, "{name} connection broken"),
            Ended::Slow => tracing::info!(%peer, "{name} connection closed: it reads too slowly"),
            Ended::Panicked => {
                tracing::error!(%peer, "{name} session panicked; its connection is closed");
            }
            Ended::Gone => {}
        }
    }

    /// A connection without a session: the last frames out, then what comes in is thrown away until
    /// the peer closes or its time is over. To close at once would reset the connection, and the
    /// peer might lose the frames.
    fn linger(&mut self, slot: u32) {
        let Some(connection) = self.floor.slab.get(slot) else { return };
        if std::mem::take(&mut connection.due) {
            return self.remove(slot);
        }
        if let Some(unsent) = &mut connection.unsent
            && !connection.blocked
        {
            match unsent.write_to(&mut connection.socket) {
                Ok(true) => connection.unsent = None,
                Ok(false) => connection.blocked = true,
                Err(_) => return self.remove(slot),
            }
        }
        if connection.unsent.is_none() && !connection.shut {
            connection.shut = true;
            if connection.socket.shutdown(Shutdown::Write).is_err() {
                return self.remove(slot);
            }
        }
        let mut share = SHARE;
        while connection.readable && share > 0 {
            match connection.socket.read(self.scratch.place(&[])) {
                Ok(0) if connection.unsent.is_none() => return self.remove(slot),
                Ok(0) => connection.readable = false,
                Ok(count) => share = share.saturating_sub(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    connection.readable = false;
                }
                Err(_) => return self.remove(slot),
            }
        }
        if connection.readable {
            self.floor.queue(slot);
        }
    }

    /// Closes the socket and frees the place.
    pub(super) fn remove(&mut self, slot: u32) {
        self.floor.forget(slot);
        if let Some(connection) = self.floor.slab.remove(slot) {
            self.floor.shared.settings.budget.take(Class::Connections, connection.counted as usize);
            self.left();
        }
    }

    pub(super) fn id(&self, slot: u32) -> ConnId {
        ConnId { worker: self.floor.worker, slot, generation: self.floor.slab.generation(slot) }
    }
}

/// Writes what is in the buffer; the rest goes to `unsent`.
fn write_buffer(
    socket: &mut TcpStream,
    buffer: &BytesMut,
    unsent: &mut Option<Box<Unsent>>,
) -> io::Result<()> {
    match socket.write(buffer) {
        Ok(written) if written == buffer.len() => Ok(()),
        Ok(written) => {
            unsent.get_or_insert_default().push_copy(&buffer[written..]);
            Ok(())
        }
        Err(error) if is_for_later(&error) => {
            unsent.get_or_insert_default().push_copy(buffer);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Writes frames and then the buffer; the rest goes to `unsent`.
fn write_frames(
    socket: &mut TcpStream,
    ready: &mut Vec<Bytes>,
    buffer: &BytesMut,
    unsent: &mut Option<Box<Unsent>>,
) -> io::Result<()> {
    const SLICES: usize = 32;
    let mut slices = [IoSlice::new(&[]); SLICES];
    let frames = ready.iter().map(Bytes::as_ref).chain([buffer.as_ref()]);
    let mut count = 0;
    for (slice, frame) in slices.iter_mut().zip(frames) {
        *slice = IoSlice::new(frame);
        count += 1;
    }
    let written = match socket.write_vectored(&slices[..count]) {
        Ok(written) => written,
        Err(error) if is_for_later(&error) => 0,
        Err(error) => return Err(error),
    };
    keep(ready, buffer, written, unsent);
    Ok(())
}

/// Keeps all frames and the buffer but for the first `written` bytes.
fn keep(
    ready: &mut Vec<Bytes>,
    buffer: &BytesMut,
    mut written: usize,
    unsent: &mut Option<Box<Unsent>>,
) {
    for frame in ready.drain(..) {
        if written >= frame.len() {
            written -= frame.len();
        } else {
            unsent.get_or_insert_default().push(frame.slice(written..));
            written = 0;
        }
    }
    if written < buffer.len() {
        unsent.get_or_insert_default().push_copy(&buffer[written..]);
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Gives the memory of an unusually large turn back.
fn trim(out: &mut Outbox) {
    if out.buffer().capacity() > OUTBOX_BYTES {
        *out.buffer() = BytesMut::new();
    }
    if out.requests.capacity() > 1024 {
        out.requests = Vec::new();
    }
}
