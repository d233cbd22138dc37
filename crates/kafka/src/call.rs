//! One request being worked on: what it asks the broker and what it waits for.

use std::fmt;

use bytes::Bytes;
use kafka_codec::{AnyResponse, RequestHeader};
use protocol::{Close, Node, Outbox, Peer, Reply, Request, Token};

use crate::sasl::Login;

/// A request in flight is a state, and this is it: it takes replies until it has its answer.
pub(crate) trait Call: Send + fmt::Debug {
    /// Takes the reply to the ask of this index.
    fn reply(&mut self, index: u32, reply: Reply, desk: &mut Desk<'_>) -> Step;
}

/// What became of a request after an input.
#[derive(Debug)]
pub(crate) enum Step {
    /// It waits for replies.
    Wait,
    /// It is answered.
    Answer(Box<AnyResponse>),
    /// It is answered by a body that is encoded already.
    Body(Bytes),
    /// It is done and owes no answer.
    Silent,
    /// The connection ends.
    Close(Close),
}

impl Step {
    /// The request is answered by this.
    pub(crate) fn answer(response: impl Into<AnyResponse>) -> Self {
        Self::Answer(Box::new(response.into()))
    }
}

/// How a request begins.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It has an outcome at once.
    Ended(Step),
    /// It waits for replies.
    Waiting(Box<dyn Call>),
}

impl Begun {
    /// A call that waits.
    pub(crate) fn waiting(call: impl Call + 'static) -> Self {
        Self::Waiting(Box::new(call))
    }

    /// It is answered at once.
    pub(crate) fn answer(response: impl Into<AnyResponse>) -> Self {
        Self::Ended(Step::answer(response))
    }
}

/// Bits of a token that tell which ask of a request it is. One request asks far less often: its
/// elements are bounded by the codec's limits.
const INDEX_BITS: u32 = 24;

/// The request's view of its session: who asks, and a way to ask the broker.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) header: &'a RequestHeader,
    /// How far the connection's login has come.
    pub(crate) login: &'a mut Login,
    /// The request's number among those of its connection.
    pub(crate) number: u64,
    pub(crate) out: &'a mut Outbox,
}

impl Desk<'_> {
    /// Asks the broker; the reply comes with `index`.
    pub(crate) fn ask(&mut self, index: u32, request: Request) {
        debug_assert!(index < 1 << INDEX_BITS, "bounded by the codec");
        self.out.ask(Token(self.number << INDEX_BITS | u64::from(index)), request);
    }

    /// The version of the request.
    pub(crate) fn version(&self) -> i16 {
        self.header.version
    }

    /// The server.
    pub(crate) fn node(&self) -> &Node {
        &self.peer.node
    }

    /// Host and port that this client is told to connect to.
    pub(crate) fn advertised(&self) -> (String, i32) {
        match &self.peer.node.advertise {
            Some((host, port)) => (host.clone(), i32::from(*port)),
            None => {
                let local = self.peer.local;
                (local.ip().to_canonical().to_string(), i32::from(local.port()))
            }
        }
    }
}

/// The number of a request and the index of its ask, out of a token.
pub(crate) fn of_token(token: Token) -> (u64, u32) {
    let index = token.0 & ((1 << INDEX_BITS) - 1);
    (token.0 >> INDEX_BITS, u32::try_from(index).unwrap_or(u32::MAX))
}
