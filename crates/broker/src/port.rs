//! What the broker needs from the rim: a way to each connection, a way back from the engine, and
//! someone who knows who clients are.

use bytes::Bytes;
use protocol::{Authenticate, ConnId, Delivery, Notice, Reply, Token};
use security::{Identity, Policy};

use crate::completion::Completion;

/// The driver's side of one I/O worker. What is given here reaches the connection in the order
/// given, on whatever worker it lives; a connection that is gone swallows it.
pub trait Port {
    /// A message for a connection.
    fn deliver(&mut self, conn: ConnId, delivery: Delivery);
    /// An answer for a connection.
    fn reply(&mut self, conn: ConnId, token: Token, reply: Reply);
    /// Something unasked for a connection.
    fn notice(&mut self, conn: ConnId, notice: Notice);
}

/// Carries completions from the engine's thread to a worker, which calls
/// [`crate::Desk::complete`] with them in the order posted.
pub trait Mail: Send + Sync {
    /// Posts a completion to a worker and wakes it. Must not block.
    fn post(&self, worker: u16, completion: Completion);
}

/// Knows who clients are: it has threads, files and sockets, and answers in bounded time.
pub trait Authenticator: Send + Sync {
    /// Finds out who a client is and calls `done`, on any thread. Must not block.
    fn authenticate(&self, attempt: Attempt, done: Box<dyn FnOnce(Outcome) + Send>);

    /// The connection is gone: what was begun for it is forgotten.
    fn gone(&self, conn: ConnId);
}

/// A client that says who it is.
#[derive(Debug)]
pub struct Attempt {
    /// Its connection.
    pub conn: ConnId,
    /// What it presents.
    pub asked: Authenticate,
    /// The users at this moment.
    pub policy: Policy,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is this one; the bytes are the mechanism's last word.
    In(Identity, Bytes),
    /// The mechanism goes on with this.
    Challenge(Bytes),
    /// It is not let in.
    Refused,
    /// Nobody could find out in time.
    Unavailable,
}
