//! The session contract: bytes, replies and deliveries in; frames and requests out.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use model::limits::Limits;

use crate::{Declare, Delivery, Message, Module, Outbox, Reply};

/// One client connection as a state machine: no sockets, no clock, no tasks.
pub trait Session: Send {
    /// Takes one input; frames and requests go to `out`, which the driver drains before the next.
    ///
    /// # Errors
    ///
    /// [`Close`] when the connection must end. Frames already in `out` are still flushed and
    /// requests still handed on; [`Input::End`] follows as the last input.
    fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Outbox) -> Result<(), Close>;

    /// The instant at which [`Input::Timeout`] is due, if any. Asked after every input.
    fn deadline(&self) -> Option<Instant>;
}

/// What a session is fed with.
#[derive(Debug)]
pub enum Input<'a> {
    /// The connection stands: the first input. A protocol in which the server speaks first answers.
    Opened,
    /// Bytes from the peer. The session takes whole packets from the front and leaves the rest; it
    /// is fed the same buffer again when more has come, or after [`Outbox::pause`] was lifted.
    Bytes(&'a mut BytesMut),
    /// The answer to the request that carried this token.
    Reply(Token, Reply),
    /// Messages for this connection, in order.
    Deliveries(&'a [Delivery]),
    /// What nobody asked for.
    Notice(Notice),
    /// The deadline has passed.
    Timeout,
    /// The connection is gone, whoever ended it: the last input. Requests (a will, a release) are
    /// still carried out, without replies; frames are not sent.
    End,
}

/// What the broker tells a session unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Another connection claimed this session's name: hand over with a release, then close.
    Displaced,
    /// A consumer's queue or a member's cursor is gone: the number given at `Consume` or
    /// `OpenCursor`.
    ConsumerGone(u32),
    /// The server is going down: say goodbye as the protocol has it.
    Draining,
    /// Publishing is refused for want of room on the disk or in memory (`true`), or possible again
    /// (`false`). Reading and acknowledging go on meanwhile.
    Pressure(bool),
    /// The client is not let in any more, or an administrator sends it away: say so as the protocol
    /// has it. The connection ends after this input, whatever the session answers.
    Expelled,
    /// More live messages wait for the peer than it may have waiting, and its protocol closes such
    /// a receiver ([`SlowReceiver::Close`]): say so as the protocol has it. The connection ends
    /// after this input, whatever the session answers.
    SlowReceiver,
}

/// What becomes of live deliveries to a peer that does not read them in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowReceiver {
    /// They are dropped and counted; the connection stays.
    #[default]
    Drop,
    /// The session gets [`Notice::SlowReceiver`] and the connection is closed.
    Close,
}

/// A request's number, chosen by the session, unique among its requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// One connection of this run of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    /// The I/O worker that owns the connection.
    pub worker: u16,
    /// Its place in the worker's slab.
    pub slot: u32,
    /// Raised each time the place is used again, so that a late message finds nobody.
    pub generation: u32,
}

/// A monotonic instant and the wall clock, read once per turn by the driver.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For deadlines.
    pub instant: Instant,
    /// For timestamps: milliseconds since 1970 (UTC).
    pub unix_ms: i64,
}

/// Why a connection ends; for the log and the counters. What the peer is told is already in the
/// outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Close {
    /// The peer said goodbye, or was answered with a goodbye.
    Done,
    /// The peer broke the protocol: what it did.
    Violation(String),
    /// The peer was silent for too long.
    Timeout,
    /// Another connection took the session over.
    Displaced,
    /// The peer was refused: why.
    Refused(String),
    /// The server is going down.
    Draining,
}

/// State that one connection leaves to the next owner of the same session; opaque to the broker.
pub struct Handover(pub Box<dyn Any + Send>);

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handover")
    }
}

/// What all sessions of a server know about it.
#[derive(Clone, Debug)]
pub struct Node {
    /// The node's number in the cluster (Kafka's broker id), 1 on a single node.
    pub id: i32,
    /// The cluster's id: 22 characters, random, persistent.
    pub cluster_id: String,
    /// The product's version.
    pub version: &'static str,
    /// What the node accepts.
    pub limits: Limits,
    /// Partitions of a stream that is made without a number.
    pub default_partitions: u32,
    /// Whether naming an unknown stream may create it.
    pub auto_create_streams: bool,
    /// `host:port` that clients are told to connect to, where the protocol tells; `None` = the
    /// address that the client used.
    pub advertise: Option<(String, u16)>,
}

/// Who is at the other end, and the randomness of this session.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The peer's address.
    pub remote: SocketAddr,
    /// Our address that the peer connected to.
    pub local: SocketAddr,
    /// Unique and unpredictable: the seed for ids that the session makes up.
    pub seed: u64,
    /// The connection's id.
    pub conn: ConnId,
    /// Nobody is served here without having been let in.
    pub login: bool,
    /// The server.
    pub node: Arc<Node>,
}

/// A protocol as the server's registry knows it.
pub trait Protocol: Send + Sync {
    /// Lower-case name: section of the configuration and label of metrics.
    fn name(&self) -> &'static str;

    /// The usual port.
    fn port(&self) -> u16;

    /// A session for a new connection.
    fn open(&self, now: Now, peer: Peer) -> Box<dyn Session>;

    /// What becomes of live deliveries over `limits.outbound_bytes`.
    fn slow_receiver(&self) -> SlowReceiver {
        SlowReceiver::Drop
    }

    /// Objects that exist from the start.
    fn builtins(&self) -> Vec<Declare> {
        Vec::new()
    }

    /// [`crate::Publish::attributes`] of a message that was published through this protocol, for a
    /// queue that gives it up; `None` for messages of others.
    fn attributes(&self, _message: &Message) -> Option<Vec<(Bytes, Bytes)>> {
        None
    }

    /// Replicated state machines of this protocol; what they make up comes from the seed.
    fn modules(&self, _seed: u64) -> Vec<Box<dyn Module>> {
        Vec::new()
    }
}
