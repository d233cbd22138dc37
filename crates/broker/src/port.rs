//! What the broker needs from the driver: a way to each connection, and a way back from the engine.

use protocol::{ConnId, Delivery, Notice, Reply, Token};

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
