//! Bytes to operations, for both ends of a connection.
//!
//! A decoder owns what must survive between two reads: how far an unfinished line was scanned, and
//! the control line of a message whose payload is still on its way. It buffers nothing itself.
//! A bare LF ends a control line as CRLF does; a payload must be followed by CRLF. After an error
//! the connection has lost its place and must close.

use bytes::{Buf, Bytes, BytesMut};

use crate::frame::{Line, Lines, Sizes, Tokens, may_start, number, split_verb};
use crate::handshake::{Connect, Info};
use crate::op::{ClientOp, Message, Publish, ServerOp, Subscribe, Unsubscribe};
use crate::{Limits, Malformed};

const CLIENT_VERBS: &[&str] =
    &["CONNECT ", "PUB ", "HPUB ", "SUB ", "UNSUB ", "PING", "PONG", "+OK", "-ERR "];
const SERVER_VERBS: &[&str] = &["INFO ", "MSG ", "HMSG ", "PING", "PONG", "+OK", "-ERR "];

/// Decodes what clients send: the server's end.
#[derive(Debug, Default)]
pub struct ClientDecoder {
    lines: Lines,
    pending: Option<(PublishHead, Sizes)>,
}

#[derive(Debug)]
struct PublishHead {
    subject: Bytes,
    reply: Option<Bytes>,
}

impl ClientDecoder {
    /// Takes the next operation from the front of `buffer`; `None` when it needs more bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when the client broke the protocol; nothing sensible can follow.
    pub fn decode(
        &mut self,
        buffer: &mut BytesMut,
        limits: &Limits,
    ) -> Result<Option<ClientOp>, Malformed> {
        if let Some((head, sizes)) = self.pending.take() {
            return self.body(head, sizes, buffer);
        }
        let Some(line) = self.lines.find(buffer, limits)? else {
            return unfinished(buffer, CLIENT_VERBS).map(|()| None);
        };
        let text = buffer.get(..line.end).unwrap_or_default();
        let (verb, start) = split_verb(text);
        check_length(line, start, limits)?;
        match verb_of(verb)? {
            Verb::Pub => {
                let tokens = Tokens::split(text, start)?;
                let reply = match tokens.count() {
                    2 => false,
                    3 => true,
                    _ => return Err(Malformed::BadArguments),
                };
                let total = tokens.get(text, tokens.count() - 1);
                let sizes = Sizes::parse(None, total, limits)?;
                self.publish(&tokens, line, reply, sizes, buffer)
            }
            Verb::Hpub => {
                let tokens = Tokens::split(text, start)?;
                let reply = match tokens.count() {
                    3 => false,
                    4 => true,
                    _ => return Err(Malformed::BadArguments),
                };
                let headers = tokens.get(text, tokens.count() - 2);
                let total = tokens.get(text, tokens.count() - 1);
                let sizes = Sizes::parse(Some(headers), total, limits)?;
                self.publish(&tokens, line, reply, sizes, buffer)
            }
            Verb::Sub => {
                let tokens = Tokens::split(text, start)?;
                let queue = match tokens.count() {
                    2 => false,
                    3 => true,
                    _ => return Err(Malformed::BadArguments),
                };
                let mut taker = tokens.take(buffer);
                let subject = taker.token();
                let queue = queue.then(|| taker.token());
                let sid = taker.token();
                taker.finish(line);
                Ok(Some(ClientOp::Subscribe(Subscribe { subject, queue, sid })))
            }
            Verb::Unsub => {
                let tokens = Tokens::split(text, start)?;
                // As nats-server does: what is no number means now.
                let max = match tokens.count() {
                    1 => None,
                    2 => number(tokens.get(text, 1)),
                    _ => return Err(Malformed::BadArguments),
                };
                let mut taker = tokens.take(buffer);
                let sid = taker.token();
                taker.finish(line);
                Ok(Some(ClientOp::Unsubscribe(Unsubscribe { sid, max })))
            }
            Verb::Connect => {
                let connect = Connect::parse(text.get(start..).unwrap_or_default())?;
                buffer.advance(line.next);
                Ok(Some(ClientOp::Connect(Box::new(connect))))
            }
            Verb::Ping => bare(buffer, line, start, ClientOp::Ping).map(Some),
            Verb::Pong => bare(buffer, line, start, ClientOp::Pong).map(Some),
            Verb::Ok => bare(buffer, line, start, ClientOp::Ok).map(Some),
            Verb::Err => Ok(Some(ClientOp::Err(error_text(buffer, line, start)))),
            Verb::Info | Verb::Msg | Verb::Hmsg => Err(Malformed::UnknownOperation),
        }
    }

    /// Bytes of payload that the message at the front still needs, for a driver that sizes reads.
    #[must_use]
    pub fn missing(&self, buffered: usize) -> usize {
        self.pending.as_ref().map_or(0, |(_, sizes)| (sizes.total + 2).saturating_sub(buffered))
    }

    fn publish(
        &mut self,
        tokens: &Tokens,
        line: Line,
        reply: bool,
        sizes: Sizes,
        buffer: &mut BytesMut,
    ) -> Result<Option<ClientOp>, Malformed> {
        if let Some(whole) = sizes.take_whole(line, buffer)? {
            let subject = whole.token(tokens, 0);
            let reply = reply.then(|| whole.token(tokens, 1));
            let (headers, payload) = whole.into_body();
            return Ok(Some(ClientOp::Publish(Publish { subject, reply, headers, payload })));
        }
        let mut taker = tokens.take(buffer);
        let subject = taker.token();
        let reply = reply.then(|| taker.token());
        taker.finish(line);
        self.body(PublishHead { subject, reply }, sizes, buffer)
    }

    fn body(
        &mut self,
        head: PublishHead,
        sizes: Sizes,
        buffer: &mut BytesMut,
    ) -> Result<Option<ClientOp>, Malformed> {
        let Some((headers, payload)) = sizes.take(buffer)? else {
            self.pending = Some((head, sizes));
            return Ok(None);
        };
        let PublishHead { subject, reply } = head;
        Ok(Some(ClientOp::Publish(Publish { subject, reply, headers, payload })))
    }
}

/// Decodes what a server sends: the client's end.
#[derive(Debug, Default)]
pub struct ServerDecoder {
    lines: Lines,
    pending: Option<(MessageHead, Sizes)>,
}

#[derive(Debug)]
struct MessageHead {
    subject: Bytes,
    sid: Bytes,
    reply: Option<Bytes>,
}

impl ServerDecoder {
    /// Takes the next operation from the front of `buffer`; `None` when it needs more bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when the server broke the protocol; nothing sensible can follow.
    pub fn decode(
        &mut self,
        buffer: &mut BytesMut,
        limits: &Limits,
    ) -> Result<Option<ServerOp>, Malformed> {
        if let Some((head, sizes)) = self.pending.take() {
            return self.body(head, sizes, buffer);
        }
        let Some(line) = self.lines.find(buffer, limits)? else {
            return unfinished(buffer, SERVER_VERBS).map(|()| None);
        };
        let text = buffer.get(..line.end).unwrap_or_default();
        let (verb, start) = split_verb(text);
        check_length(line, start, limits)?;
        match verb_of(verb)? {
            Verb::Msg => {
                let tokens = Tokens::split(text, start)?;
                let reply = match tokens.count() {
                    3 => false,
                    4 => true,
                    _ => return Err(Malformed::BadArguments),
                };
                let total = tokens.get(text, tokens.count() - 1);
                let sizes = Sizes::parse(None, total, limits)?;
                self.message(&tokens, line, reply, sizes, buffer)
            }
            Verb::Hmsg => {
                let tokens = Tokens::split(text, start)?;
                let reply = match tokens.count() {
                    4 => false,
                    5 => true,
                    _ => return Err(Malformed::BadArguments),
                };
                let headers = tokens.get(text, tokens.count() - 2);
                let total = tokens.get(text, tokens.count() - 1);
                let sizes = Sizes::parse(Some(headers), total, limits)?;
                self.message(&tokens, line, reply, sizes, buffer)
            }
            Verb::Info => {
                let info = Info::parse(text.get(start..).unwrap_or_default())?;
                buffer.advance(line.next);
                Ok(Some(ServerOp::Info(Box::new(info))))
            }
            Verb::Ping => bare(buffer, line, start, ServerOp::Ping).map(Some),
            Verb::Pong => bare(buffer, line, start, ServerOp::Pong).map(Some),
            Verb::Ok => bare(buffer, line, start, ServerOp::Ok).map(Some),
            Verb::Err => Ok(Some(ServerOp::Err(error_text(buffer, line, start)))),
            Verb::Connect | Verb::Pub | Verb::Hpub | Verb::Sub | Verb::Unsub => {
                Err(Malformed::UnknownOperation)
            }
        }
    }

    fn message(
        &mut self,
        tokens: &Tokens,
        line: Line,
        reply: bool,
        sizes: Sizes,
        buffer: &mut BytesMut,
    ) -> Result<Option<ServerOp>, Malformed> {
        if let Some(whole) = sizes.take_whole(line, buffer)? {
            let (subject, sid) = (whole.token(tokens, 0), whole.token(tokens, 1));
            let reply = reply.then(|| whole.token(tokens, 2));
            let (headers, payload) = whole.into_body();
            let message = Message { subject, sid, reply, headers, payload };
            return Ok(Some(ServerOp::Message(message)));
        }
        let mut taker = tokens.take(buffer);
        let subject = taker.token();
        let sid = taker.token();
        let reply = reply.then(|| taker.token());
        taker.finish(line);
        self.body(MessageHead { subject, sid, reply }, sizes, buffer)
    }

    fn body(
        &mut self,
        head: MessageHead,
        sizes: Sizes,
        buffer: &mut BytesMut,
    ) -> Result<Option<ServerOp>, Malformed> {
        let Some((headers, payload)) = sizes.take(buffer)? else {
            self.pending = Some((head, sizes));
            return Ok(None);
        };
        let MessageHead { subject, sid, reply } = head;
        Ok(Some(ServerOp::Message(Message { subject, sid, reply, headers, payload })))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Connect,
    Pub,
    Hpub,
    Sub,
    Unsub,
    Ping,
    Pong,
    Ok,
    Err,
    Info,
    Msg,
    Hmsg,
}

fn verb_of(verb: &[u8]) -> Result<Verb, Malformed> {
    // The case-sensitive arms first: they are what every client sends.
    let known = match verb {
        b"PUB" => Some(Verb::Pub),
        b"MSG" => Some(Verb::Msg),
        b"HPUB" => Some(Verb::Hpub),
        b"HMSG" => Some(Verb::Hmsg),
        _ => VERBS.iter().find(|(name, _)| name.eq_ignore_ascii_case(verb)).map(|(_, verb)| *verb),
    };
    known.ok_or(Malformed::UnknownOperation)
}

const VERBS: &[(&[u8], Verb)] = &[
    (b"SUB", Verb::Sub),
    (b"UNSUB", Verb::Unsub),
    (b"PING", Verb::Ping),
    (b"PONG", Verb::Pong),
    (b"PUB", Verb::Pub),
    (b"HPUB", Verb::Hpub),
    (b"MSG", Verb::Msg),
    (b"HMSG", Verb::Hmsg),
    (b"CONNECT", Verb::Connect),
    (b"INFO", Verb::Info),
    (b"+OK", Verb::Ok),
    (b"-ERR", Verb::Err),
];

/// An unfinished line is fine as long as it may still become a known verb.
fn unfinished(buffer: &[u8], verbs: &[&str]) -> Result<(), Malformed> {
    // A tab separates as a space does; only the verb itself is compared then.
    let tab = buffer.iter().take(8).position(|byte| *byte == b'\t');
    let start = buffer.get(..tab.unwrap_or(buffer.len()).min(8)).unwrap_or_default();
    if may_start(start, verbs) { Ok(()) } else { Err(Malformed::UnknownOperation) }
}

fn check_length(line: Line, start: usize, limits: &Limits) -> Result<(), Malformed> {
    if line.end.saturating_sub(start) > limits.control_line_max {
        return Err(Malformed::ControlLineTooLong);
    }
    Ok(())
}

/// An operation without arguments.
fn bare<T>(buffer: &mut BytesMut, line: Line, start: usize, op: T) -> Result<T, Malformed> {
    if start != line.end {
        return Err(Malformed::BadArguments);
    }
    buffer.advance(line.next);
    Ok(op)
}

/// The text of `-ERR 'text'`, without its quotes if it has them.
fn error_text(buffer: &mut BytesMut, line: Line, start: usize) -> Bytes {
    let mut whole = buffer.split_to(line.next).freeze();
    whole.truncate(line.end);
    whole.advance(start);
    if whole.len() >= 2 && whole.first() == Some(&b'\'') && whole.last() == Some(&b'\'') {
        whole.truncate(whole.len() - 1);
        whole.advance(1);
    }
    whole
}
