//! One connection: frames in, responses out strictly in the order of the requests.
//!
//! ```text
//! frame -> header -> body -> call --asks--> broker
//!                             |               |
//!       pending: [ call ][ ready ][ call ] <--' replies, in any order
//!                   `-- a response leaves when everything before it has left
//! ```
//!
//! Requests are begun in order as they arrive, so produces of one connection reach the broker in
//! order; a response that must wait behind a long poll is held encoded.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_codec::messages::ApiVersionsResponse;
use kafka_codec::{
    ApiKey, Limits, RequestHeader, frame, header, response_frame, response_frame_of,
};
use protocol::{Close, Input, Notice, Now, Outbox, Peer, Reply, Session, Token};

use crate::call::{self, Begun, Call, Desk, Step};
use crate::sasl::Login;
use crate::{dispatch, versions};

/// Most requests of one connection that are not answered yet; reading waits beyond.
const PENDING_MAX: usize = 256;
/// Most bytes of responses that wait behind an earlier request; reading waits beyond.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most bytes of requests that are not answered yet; reading waits beyond.
const PENDING_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most memory that the array elements of one request may take.
const ELEMENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A new connection must have sent a whole request by then.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(30);
/// A connection without requests is closed after this time (Kafka's `connections.max.idle.ms`).
const IDLE_MAX: Duration = Duration::from_secs(600);
/// Bodies up to this length are copied out of the read buffer, so that a request that waits long
/// does not keep the whole buffer alive.
const DETACHED_MAX: usize = 64 * 1024;

/// A client's connection.
#[derive(Debug)]
pub struct KafkaSession {
    peer: Peer,
    limits: Limits,
    pending: VecDeque<Pending>,
    /// The number of the first of `pending`; it only grows.
    first_number: u64,
    held_bytes: usize,
    pending_bytes: usize,
    /// When the last whole request came or the last response left.
    active_at: Instant,
    greeted: bool,
    draining: bool,
    login: Login,
}

#[derive(Debug)]
struct Pending {
    header: RequestHeader,
    api: ApiKey,
    /// Length of the request.
    bytes: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(Box<dyn Call>),
    /// Encoded; no chunks if no answer is owed.
    Ready(Vec<Bytes>),
}

impl KafkaSession {
    /// A session for a connection that was just accepted.
    pub fn new(now: Now, peer: Peer) -> Self {
        Self {
            peer,
            limits: Limits { element_bytes: ELEMENT_BYTES_MAX, ..Limits::default() },
            pending: VecDeque::new(),
            first_number: 0,
            held_bytes: 0,
            pending_bytes: 0,
            active_at: now.instant,
            greeted: false,
            draining: false,
            login: Login::default(),
        }
    }

    fn is_full(&self) -> bool {
        matches!(self.login, Login::Asked(_) | Login::Refused)
            || self.pending.len() >= PENDING_MAX
            || self.held_bytes >= HELD_BYTES_MAX
            || self.pending_bytes >= PENDING_BYTES_MAX
    }

    fn request(&mut self, frame: Bytes, out: &mut Outbox) -> Result<(), Close> {
        let violation = |error: kafka_codec::DecodeError| Close::Violation(error.to_string());
        let bytes = frame.len();
        let header::Split { header, body } = RequestHeader::split(frame).map_err(violation)?;
        let Some((api, body)) = body else {
            if header.key == ApiKey::ApiVersions.number() {
                self.answer_in_version_zero(header, &versions::unsupported());
                return Ok(());
            }
            // Nobody knows the form of an answer; Kafka closes here, too.
            let (key, version) = (header.key, header.version);
            let unknown = format!("API key {key} version {version} is not advertised");
            return Err(Close::Violation(unknown));
        };
        if self.peer.login && !self.login.admits(api) {
            let why = format!("{api:?} before the login that is required here");
            return Err(Close::Refused(why));
        }
        let body = if api != ApiKey::Produce && body.len() <= DETACHED_MAX {
            Bytes::copy_from_slice(&body)
        } else {
            body
        };
        let number = self.first_number + self.pending.len() as u64;
        let login = &mut self.login;
        let mut desk = Desk { peer: &self.peer, header: &header, login, number, out };
        let begun = dispatch::begin(api, body, &self.limits, &mut desk).map_err(violation)?;
        let state = match begun {
            Begun::Waiting(call) => State::Waiting(call),
            Begun::Ended(step) => encoded(&header, api, step)?,
        };
        self.push(Pending { header, api, bytes, state });
        Ok(())
    }

    fn answer_in_version_zero(&mut self, header: RequestHeader, response: &ApiVersionsResponse) {
        let chunks = response_frame(header.correlation_id, 0, &response.clone().into());
        let state = State::Ready(chunks);
        self.push(Pending { header, api: ApiKey::ApiVersions, bytes: 0, state });
    }

    fn push(&mut self, pending: Pending) {
        self.held_bytes += pending.state.bytes();
        self.pending_bytes += pending.bytes;
        self.pending.push_back(pending);
    }

    fn reply(&mut self, token: Token, reply: Reply, out: &mut Outbox) -> Result<(), Close> {
        let (number, index) = call::of_token(token);
        let place = number.checked_sub(self.first_number).and_then(|at| usize::try_from(at).ok());
        let Some(pending) = place.and_then(|at| self.pending.get_mut(at)) else { return Ok(()) };
        let State::Waiting(call) = &mut pending.state else { return Ok(()) };
        let login = &mut self.login;
        let mut desk = Desk { peer: &self.peer, header: &pending.header, login, number, out };
        let step = call.reply(index, reply, &mut desk);
        if !matches!(step, Step::Wait) {
            pending.state = encoded(&pending.header, pending.api, step)?;
            self.held_bytes += pending.state.bytes();
        }
        Ok(())
    }

    /// Sends what is ready at the front.
    fn flush(&mut self, out: &mut Outbox) {
        while let Some(Pending { state: State::Ready(chunks), bytes, .. }) = self.pending.front() {
            self.pending_bytes -= bytes;
            for chunk in chunks {
                self.held_bytes -= chunk.len();
                out.frame(chunk);
            }
            self.pending.pop_front();
            self.first_number += 1;
        }
        if self.pending.is_empty() && self.pending.capacity() > 16 {
            self.pending = VecDeque::new();
        }
    }

    fn read(
        &mut self,
        now: Now,
        buffer: &mut bytes::BytesMut,
        out: &mut Outbox,
    ) -> Result<(), Close> {
        while !self.is_full() && !self.draining {
            let next = frame::decode(buffer, &self.limits);
            let Some(frame) = next.map_err(|error| Close::Violation(error.to_string()))? else {
                return Ok(());
            };
            self.active_at = now.instant;
            self.greeted = true;
            let taken = self.request(frame, out);
            self.flush(out);
            taken?;
        }
        Ok(())
    }
}

impl State {
    fn bytes(&self) -> usize {
        match self {
            Self::Waiting(_) => 0,
            Self::Ready(chunks) => chunks.iter().map(Bytes::len).sum(),
        }
    }
}

/// The outcome of a call as bytes.
fn encoded(header: &RequestHeader, api: ApiKey, step: Step) -> Result<State, Close> {
    let RequestHeader { version, correlation_id, .. } = *header;
    Ok(State::Ready(match step {
        Step::Answer(response) => response_frame(correlation_id, version, &response),
        Step::Body(body) => response_frame_of(correlation_id, api, version, body),
        Step::Silent => Vec::new(),
        Step::Close(close) => return Err(close),
        Step::Wait => {
            debug_assert!(false, "a call that has begun waits as itself");
            Vec::new()
        }
    }))
}

impl Session for KafkaSession {
    fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Outbox) -> Result<(), Close> {
        match input {
            Input::Bytes(buffer) => self.read(now, buffer, out)?,
            Input::Reply(token, reply) => {
                self.active_at = now.instant;
                let taken = self.reply(token, reply, out);
                self.flush(out);
                taken?;
            }
            Input::Notice(Notice::Draining) => self.draining = true,
            Input::Timeout => {
                if self.deadline().is_some_and(|deadline| deadline <= now.instant) {
                    return Err(Close::Timeout);
                }
            }
            Input::Notice(Notice::Expelled) => {
                return Err(Close::Refused("sent away".to_owned()));
            }
            Input::Notice(
                Notice::Displaced
                | Notice::ConsumerGone(_)
                | Notice::Pressure(_)
                | Notice::SlowReceiver,
            )
            | Input::Opened
            | Input::Deliveries(_)
            | Input::End => {}
        }
        if self.login == Login::Refused && self.pending.is_empty() {
            return Err(Close::Refused("nobody was let in".to_owned()));
        }
        if self.draining && self.pending.is_empty() {
            return Err(Close::Draining);
        }
        if self.is_full() || self.draining {
            out.pause();
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        let patience = if self.greeted { IDLE_MAX } else { FIRST_REQUEST_WITHIN };
        self.pending.is_empty().then(|| self.active_at + patience)
    }
}
