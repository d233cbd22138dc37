//! One connection as its worker keeps it: small while idle.

use std::fmt;
use std::time::Instant;

use bytes::BytesMut;
use mio::net::TcpStream;
use protocol::{Delivery, Notice, Reply, Session, Token};

use super::unsent::Unsent;

/// A socket and its session.
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    /// `None` once the session ended: what is unsent is still flushed, what comes is thrown away.
    pub(super) session: Option<Box<dyn Session>>,
    /// The protocol's place in the settings.
    pub(super) protocol: u16,
    /// The session has not seen its first input.
    pub(super) fresh: bool,
    /// The socket may hold bytes.
    pub(super) readable: bool,
    /// The peer closed its side: read until the end, however short a read is.
    pub(super) hangup: bool,
    /// Nothing can be sent any more: it ends as soon as its bytes are read, or cannot be taken.
    pub(super) broken: bool,
    /// The socket took no more bytes at the last write.
    pub(super) blocked: bool,
    /// The session wants no bytes until another input.
    pub(super) paused: bool,
    /// The session has not said of the bytes in `held` that they are too few.
    pub(super) stale: bool,
    /// More is unsent than the high mark allows.
    pub(super) stopped: bool,
    /// It is on the worker's list of connections with something to do.
    pub(super) queued: bool,
    /// It gets no live messages any more: it is about to be closed for being slow.
    pub(super) slow: bool,
    /// The session's deadline has passed.
    pub(super) due: bool,
    /// Our side of the socket is shut down.
    pub(super) shut: bool,
    /// What it counts for in the budget.
    pub(super) counted: u32,
    /// Requests that wait for their answer.
    pub(super) in_flight: u32,
    /// Bytes read that are no whole packet yet, or wait behind a pause.
    pub(super) held: BytesMut,
    pub(super) inbox: Option<Box<Inbox>>,
    pub(super) unsent: Option<Box<Unsent>>,
    /// The entry in the worker's deadlines.
    pub(super) armed: Option<Instant>,
}

impl Connection {
    /// A connection whose session has seen nothing yet.
    pub(super) fn new(socket: TcpStream, protocol: u16, session: Box<dyn Session>) -> Self {
        Self {
            socket,
            session: Some(session),
            protocol,
            fresh: true,
            readable: false,
            hangup: false,
            broken: false,
            blocked: false,
            paused: false,
            stale: false,
            stopped: false,
            queued: false,
            slow: false,
            due: false,
            shut: false,
            counted: 0,
            in_flight: 0,
            held: BytesMut::new(),
            inbox: None,
            unsent: None,
            armed: None,
        }
    }

    /// Whether the session may be given bytes.
    pub(super) fn takes_bytes(&self, requests: u32) -> bool {
        !self.paused && !self.stopped && self.in_flight < requests
    }

    /// What it takes in memory, about.
    pub(super) fn memory(&self) -> u32 {
        /// A session, its place in the slab, and what the broker keeps of it.
        const BASE: usize = 1024;
        let bytes = BASE + self.held.capacity() + self.unsent_bytes();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// Bytes that the socket has not taken.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.unsent.as_ref().map_or(0, |unsent| unsent.len())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// What the broker has for a connection, in order: deliveries in one piece, and between them marks.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) marks: Vec<Mark>,
    /// What the deliveries count against the connection's limit.
    pub(super) bytes: usize,
}

/// Something between deliveries: it comes after this many of them.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) after: usize,
    pub(super) event: Event,
}

/// What is not a delivery.
#[derive(Debug)]
pub(super) enum Event {
    Reply(Token, Reply),
    Notice(Notice),
}

impl Inbox {
    /// Appends what is not a delivery.
    pub(super) fn mark(&mut self, event: Event) {
        self.marks.push(Mark { after: self.deliveries.len(), event });
    }

    /// Forgets what is in it and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.deliveries.clear();
        self.marks.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection>() <= 120, "{} bytes", size_of::<Connection>());
    }
}
