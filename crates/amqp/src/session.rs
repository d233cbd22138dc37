//! One AMQP connection: from the protocol header to the last close-ok.
//!
//! ```text
//! Hello --header--> Starting --start-ok, login--> Tuning --tune-ok--> Opening --open--> Running
//!                       \_______________________\______________\__________\_____________/
//!                                               failure: Closing, until close-ok or 30 s
//! ```
//!
//! Heartbeats: one is sent after half the interval without a frame; a peer that is silent for two
//! intervals is dropped (AMQP 0-9-1 §4.2.7). Any byte counts as a sign of life.

use std::time::{Duration, Instant};

use amqp_codec::frame::put_method;
use amqp_codec::{
    Frame, Limits, Method, ReplyCode, Stranger, connection, decode, decode_hello, hello,
};
use bytes::{BufMut, Bytes, BytesMut};
use protocol::{
    Authenticate, Close, Input, Notice, Now, Outbox, Peer, Reply, Request, Session, Token,
};

use crate::failure::Failure;
use crate::handshake::{self, Client, Tuned};
use crate::names::Names;
use crate::running::Running;

/// How long a client may take to open its connection.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long close-ok is waited for.
const CLOSING: Duration = Duration::from_secs(30);
/// Largest frame before the tuning.
const FRAME_MAX_UNTUNED: u32 = 8192;

/// Why a connection stops being served.
#[derive(Debug)]
pub(crate) enum End {
    /// The client is to be told so with connection.close.
    Failure(Failure),
    /// All is said.
    Close(Close),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// What handlers work with besides their own state.
#[derive(Debug)]
pub(crate) struct Cx<'a> {
    pub(crate) now: Now,
    pub(crate) out: &'a mut Outbox,
}

impl Cx<'_> {
    pub(crate) fn send(&mut self, channel: u16, method: impl Into<Method>) {
        put_method(self.out.buffer(), channel, &method.into());
    }
}

#[derive(Debug)]
enum Stage {
    /// Nothing but the protocol header is understood.
    Hello,
    /// connection.start was sent.
    Starting,
    /// The client said who it is.
    LoggingIn(Box<Client>),
    /// connection.tune was sent.
    Tuning(Box<Client>),
    /// connection.open is awaited.
    Opening(Box<Client>, Tuned),
    Running(Box<Running>),
    /// connection.close was sent, and close-ok is awaited; everything else is dropped.
    Closing(Close),
}

/// A client connection.
#[derive(Debug)]
pub(crate) struct AmqpSession {
    peer: Peer,
    stage: Stage,
    /// When the connection came, then when its closing began.
    since: Instant,
    heard: Instant,
    spoke: Instant,
}

impl AmqpSession {
    pub(crate) fn new(now: Now, peer: Peer) -> Self {
        let instant = now.instant;
        Self { peer, stage: Stage::Hello, since: instant, heard: instant, spoke: instant }
    }

    fn bytes(&mut self, cx: &mut Cx<'_>, buffer: &mut BytesMut) -> Result<(), Close> {
        if matches!(self.stage, Stage::Hello) {
            match decode_hello(buffer) {
                Ok(None) => return Ok(()),
                Ok(Some(_)) => {
                    cx.send(0, handshake::start(&self.peer));
                    self.stage = Stage::Starting;
                }
                Err(stranger) => return Err(turn_away(cx, stranger)),
            }
        }
        while !self.is_waiting() {
            match decode(buffer, &self.limits()) {
                Ok(None) => break,
                Ok(Some(frame)) => self.frame(cx, frame)?,
                Err(malformed) => {
                    let lost = malformed.code == ReplyCode::FrameError;
                    let close = self.fail(cx, Failure::from(malformed));
                    if lost {
                        // Where the next frame begins is not known any more.
                        return Err(close);
                    }
                }
            }
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        let frame_max = match &self.stage {
            Stage::Hello | Stage::Starting | Stage::LoggingIn(_) | Stage::Tuning(_) => {
                FRAME_MAX_UNTUNED
            }
            Stage::Opening(_, tuned) => tuned.frame_max,
            Stage::Running(running) => running.tuned.frame_max,
            Stage::Closing(_) => Tuned::default().frame_max,
        };
        Limits { frame_max }
    }

    fn is_waiting(&self) -> bool {
        match &self.stage {
            Stage::Running(running) => running.waiting.is_some(),
            Stage::LoggingIn(_) => true,
            Stage::Hello
            | Stage::Starting
            | Stage::Tuning(_)
            | Stage::Opening(..)
            | Stage::Closing(_) => false,
        }
    }

    fn frame(&mut self, cx: &mut Cx<'_>, frame: Frame) -> Result<(), Close> {
        let result = match &mut self.stage {
            Stage::Running(running) => running.frame(cx, frame),
            Stage::Closing(why) => {
                let Frame::Method { channel: 0, method: Method::Connection(method) } = frame else {
                    return Ok(());
                };
                if let connection::Method::Close(_) = method {
                    cx.send(0, connection::CloseOk {});
                    return Err(why.clone());
                }
                let ok = matches!(method, connection::Method::CloseOk(_));
                return if ok { Err(why.clone()) } else { Ok(()) };
            }
            Stage::Hello
            | Stage::Starting
            | Stage::LoggingIn(_)
            | Stage::Tuning(_)
            | Stage::Opening(..) => self.shake(cx, frame),
        };
        self.ended(cx, result)
    }

    /// One frame of the handshake.
    fn shake(&mut self, cx: &mut Cx<'_>, frame: Frame) -> Result<(), End> {
        let heartbeat = frame == Frame::Heartbeat;
        let Frame::Method { channel: 0, method: Method::Connection(method) } = frame else {
            return if heartbeat { Ok(()) } else { Err(handshake::unexpected().into()) };
        };
        if let connection::Method::Close(_) = method {
            cx.send(0, connection::CloseOk {});
            return Err(End::Close(Close::Done));
        }
        let id = (connection::CLASS_ID, method.id());
        let stage = std::mem::replace(&mut self.stage, Stage::Starting);
        self.stage = match (stage, method) {
            (Stage::Starting, connection::Method::StartOk(ok)) => {
                let (client, credentials) = handshake::start_ok(ok)?;
                let request = Authenticate { credentials, client: Bytes::new() };
                cx.out.ask(Token(0), Request::Authenticate(request));
                Stage::LoggingIn(Box::new(client))
            }
            (Stage::Tuning(client), connection::Method::TuneOk(ok)) => {
                Stage::Opening(client, handshake::tune_ok(&ok)?)
            }
            (Stage::Opening(client, tuned), connection::Method::Open(open)) => {
                handshake::open(&open).map_err(|failure| failure.of(id))?;
                cx.send(0, connection::OpenOk::default());
                let names = Names::new(self.peer.seed);
                let node = self.peer.node.clone();
                Stage::Running(Box::new(Running::new(node, names, *client, tuned)))
            }
            _ => return Err(handshake::unexpected().of(id).into()),
        };
        Ok(())
    }

    /// The client is who it said.
    fn let_in(&mut self, cx: &mut Cx<'_>) {
        if let Stage::LoggingIn(client) = std::mem::replace(&mut self.stage, Stage::Starting) {
            cx.send(0, handshake::tune());
            self.stage = Stage::Tuning(client);
        }
    }

    fn ended(&mut self, cx: &mut Cx<'_>, result: Result<(), End>) -> Result<(), Close> {
        match result {
            Ok(()) => Ok(()),
            Err(End::Failure(failure)) => {
                self.fail(cx, failure);
                Ok(())
            }
            Err(End::Close(close)) => Err(close),
        }
    }

    /// Tells the client why its connection ends; what comes now is dropped.
    fn fail(&mut self, cx: &mut Cx<'_>, failure: Failure) -> Close {
        let why = if failure.code == ReplyCode::AccessRefused {
            Close::Refused(failure.text.clone())
        } else {
            Close::Violation(failure.reply_text().to_string())
        };
        if let Stage::Closing(why) = &self.stage {
            return why.clone();
        }
        if let Stage::Running(running) = &mut self.stage {
            running.release(cx);
        }
        cx.send(0, close_method(&failure));
        self.since = cx.now.instant;
        self.stage = Stage::Closing(why.clone());
        why
    }

    fn notice(&mut self, cx: &mut Cx<'_>, notice: Notice) -> Result<(), Close> {
        match notice {
            Notice::Draining => {
                if let Stage::Running(running) = &mut self.stage {
                    running.release(cx);
                }
                if !matches!(self.stage, Stage::Hello | Stage::Closing(_)) {
                    let text = "broker forced connection closure with reason 'shutdown'";
                    let failure = Failure::new(ReplyCode::ConnectionForced, text);
                    cx.send(0, close_method(&failure));
                }
                Err(Close::Draining)
            }
            Notice::Displaced => Err(Close::Displaced),
            Notice::Expelled => {
                let text = "Connection closed by an administrator";
                Err(self.fail(cx, Failure::new(ReplyCode::ConnectionForced, text)))
            }
            Notice::SlowReceiver => {
                let text = "the client does not read what it subscribed to";
                Err(self.fail(cx, Failure::new(ReplyCode::ResourceError, text)))
            }
            Notice::ConsumerGone(number) => {
                if let Stage::Running(running) = &mut self.stage {
                    running.consumer_gone(cx, number);
                }
                Ok(())
            }
            Notice::Pressure(on) => {
                if let Stage::Running(running) = &mut self.stage {
                    running.pressure(cx, on);
                }
                Ok(())
            }
        }
    }

    fn timeout(&mut self, cx: &mut Cx<'_>) -> Result<(), Close> {
        let now = cx.now.instant;
        match &self.stage {
            Stage::Hello
            | Stage::Starting
            | Stage::LoggingIn(_)
            | Stage::Tuning(_)
            | Stage::Opening(..) => {
                if now >= self.since + HANDSHAKE {
                    Err(Close::Timeout)
                } else {
                    Ok(())
                }
            }
            Stage::Closing(why) => {
                if now >= self.since + CLOSING {
                    Err(why.clone())
                } else {
                    Ok(())
                }
            }
            Stage::Running(running) => {
                let Some(interval) = running.tuned.interval() else { return Ok(()) };
                if running.waiting.is_some() {
                    // Nothing is read meanwhile, so that its silence says nothing.
                    self.heard = now;
                }
                if now >= self.heard + interval * 2 {
                    return Err(Close::Timeout);
                }
                if now >= self.spoke + interval / 2 {
                    Frame::Heartbeat.encode(cx.out.buffer());
                }
                Ok(())
            }
        }
    }
}

fn close_method(failure: &Failure) -> connection::Close {
    connection::Close {
        reply_code: failure.code.number(),
        reply_text: failure.reply_text(),
        class_id: failure.method.0,
        method_id: failure.method.1,
    }
}

/// The answer to any other protocol is the header of this one (AMQP 0-9-1 §4.2.2).
fn turn_away(cx: &mut Cx<'_>, stranger: Stranger) -> Close {
    cx.out.buffer().put_slice(&hello::HEADER);
    Close::Violation(stranger.to_string())
}

impl Session for AmqpSession {
    fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Outbox) -> Result<(), Close> {
        let mut cx = Cx { now, out };
        let result = match input {
            Input::Opened | Input::End => Ok(()),
            Input::Bytes(buffer) => {
                self.heard = now.instant;
                self.bytes(&mut cx, buffer)
            }
            Input::Reply(token, reply) => {
                let result = match &mut self.stage {
                    Stage::Running(running) => running.reply(&mut cx, token, reply),
                    Stage::LoggingIn(client) if !matches!(reply, Reply::Authenticated(_)) => {
                        Err(handshake::refused(client))
                    }
                    Stage::LoggingIn(_) => {
                        self.let_in(&mut cx);
                        Ok(())
                    }
                    Stage::Hello
                    | Stage::Starting
                    | Stage::Tuning(_)
                    | Stage::Opening(..)
                    | Stage::Closing(_) => Ok(()),
                };
                self.ended(&mut cx, result)
            }
            Input::Deliveries(deliveries) => {
                if let Stage::Running(running) = &mut self.stage {
                    running.deliveries(&mut cx, deliveries);
                } else {
                    crate::settle::requeue_all(&mut cx, deliveries);
                }
                Ok(())
            }
            Input::Notice(notice) => self.notice(&mut cx, notice),
            Input::Timeout => self.timeout(&mut cx),
        };
        if !out.has_no_frames() {
            self.spoke = now.instant;
        }
        if self.is_waiting() {
            out.pause();
        }
        result
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Hello
            | Stage::Starting
            | Stage::LoggingIn(_)
            | Stage::Tuning(_)
            | Stage::Opening(..) => Some(self.since + HANDSHAKE),
            Stage::Closing(_) => Some(self.since + CLOSING),
            Stage::Running(running) => {
                let interval = running.tuned.interval()?;
                Some((self.spoke + interval / 2).min(self.heard + interval * 2))
            }
        }
    }
}
