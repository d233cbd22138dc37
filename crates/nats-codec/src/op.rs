//! The operations of both directions, with every byte string sliced from the read buffer.

use bytes::Bytes;

use crate::handshake::{Connect, Info};

/// An operation that a client sends.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientOp {
    /// `CONNECT {json}`.
    Connect(Box<Connect>),
    /// `PUB` or `HPUB` with its payload.
    Publish(Publish),
    /// `SUB`.
    Subscribe(Subscribe),
    /// `UNSUB`.
    Unsubscribe(Unsubscribe),
    /// `PING`: everything sent before it must be handled before the PONG.
    Ping,
    /// `PONG`, the answer to a PING of the server.
    Pong,
    /// `+OK`, which a server ignores.
    Ok,
    /// `-ERR 'text'`, without the quotes.
    Err(Bytes),
}

/// An operation that a server sends.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerOp {
    /// `INFO {json}`.
    Info(Box<Info>),
    /// `MSG` or `HMSG` with its payload.
    Message(Message),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK`, for verbose clients.
    Ok,
    /// `-ERR 'text'`, without the quotes.
    Err(Bytes),
}

/// `PUB subject [reply] n` or `HPUB subject [reply] hdrlen total`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The subject as sent, not yet checked: see [`crate::subject`].
    pub subject: Bytes,
    /// Where an answer should go.
    pub reply: Option<Bytes>,
    /// The header block with its blank line, not yet parsed: see [`crate::headers`]. `None` for
    /// PUB; an HPUB may carry an empty one.
    pub headers: Option<Bytes>,
    /// The payload without its CRLF.
    pub payload: Bytes,
}

/// `MSG subject sid [reply] n` or `HMSG subject sid [reply] hdrlen total`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The subject that was published to.
    pub subject: Bytes,
    /// The subscription that it is delivered for.
    pub sid: Bytes,
    /// Where an answer should go.
    pub reply: Option<Bytes>,
    /// The header block with its blank line; `None` for MSG.
    pub headers: Option<Bytes>,
    /// The payload without its CRLF.
    pub payload: Bytes,
}

/// `SUB subject [queue] sid`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// A subject or wildcard as sent, not yet checked: see [`crate::subject`].
    pub subject: Bytes,
    /// The queue group whose members share the messages.
    pub queue: Option<Bytes>,
    /// The client's own name for this subscription: any token.
    pub sid: Bytes,
}

/// `UNSUB sid [max]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The subscription to end.
    pub sid: Bytes,
    /// End it after this many messages, counted from its start; `None` or 0 means now.
    pub max: Option<u64>,
}
