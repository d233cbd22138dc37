//! A protocol's own shared state machine (Kafka's group coordinator), hosted by the broker.

use std::time::Instant;

use bytes::Bytes;

use crate::{ConnId, Now, Token};

/// Who proposed, and waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Proposer {
    /// The connection.
    pub conn: ConnId,
    /// The token of its request.
    pub token: Token,
}

/// A shared state machine with one owner; pure: time is an argument, effects are returned.
pub trait Module: Send {
    /// The name that proposals carry; also the name of its table.
    fn name(&self) -> &'static str;

    /// Takes back one row that an earlier run made durable. Called before the first proposal.
    fn restore(&mut self, key: &[u8], value: &[u8]);

    /// Takes a command for the object `key`. The answer may come now or with a later call.
    fn propose(&mut self, now: Now, from: Proposer, key: Bytes, command: Bytes, out: &mut Effects);

    /// The connection is gone: nothing that it waits for needs an answer.
    fn gone(&mut self, now: Now, conn: ConnId, out: &mut Effects);

    /// When [`Module::timeout`] is due.
    fn deadline(&self) -> Option<Instant>;

    /// The deadline has passed.
    fn timeout(&mut self, now: Now, out: &mut Effects);
}

/// What a module wants done: rows become durable together, then the answers go out.
#[derive(Debug, Default)]
pub struct Effects {
    /// Answers, in order.
    pub answers: Vec<(Proposer, Bytes)>,
    /// Rows to put (`Some`) or to remove (`None`).
    pub rows: Vec<(Bytes, Option<Bytes>)>,
}
