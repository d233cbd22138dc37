//! One NATS client connection.
//!
//! ```text
//! Opened -> INFO     CONNECT, PUB, SUB, UNSUB -> requests     Deliveries -> MSG, HMSG
//! PING   -> PONG once every request sent before it was answered
//! ```
//!
//! A PONG is a barrier: what its client sent before it was routed, and what came back because of
//! that was written before the PONG. So a PING behind unanswered requests stops the reading of
//! further operations until the answers are there.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use model::filter::{Filter, Reach};
use model::record::{Address, Space};
use model::render;
use nats_codec::{ClientDecoder, ClientOp, Connect, Limits, Malformed, encode, headers};
use protocol::{
    Authenticate, Close, Input, Notice, Now, Outbox, Peer, Publish, Refusal, Reply, Request,
    Session, Start, Subscribe, Token,
};

use crate::deliver::{Receiver, unsubscribe};
use crate::greeting;
use crate::login;
use crate::publish::{self, SubjectReader};
use crate::subscriptions::{Numbers, Subscriptions};

/// How long a connection may take to its first operation. nats-server waits only where login is
/// demanded; a peer that never speaks must not stay either way.
const GREETING: Duration = Duration::from_secs(10);

/// How long a silent connection stays unasked.
const PING_INTERVAL: Duration = Duration::from_secs(120);

/// PINGs without an answer before the connection counts as stale.
const PINGS_OUT_MAX: u8 = 2;

/// A client connection.
#[derive(Debug)]
pub(crate) struct NatsSession {
    peer: Peer,
    /// The space of `$...` subjects.
    private: Space,
    decoder: ClientDecoder,
    options: Options,
    stage: Stage,
    subjects: SubjectReader,
    subscriptions: Subscriptions,
    /// Requests in flight whose answers matter, in the order in which they were asked.
    pending: VecDeque<(Token, Pending)>,
    next_token: u64,
    /// A PING waits for `pending` to empty.
    pong_due: bool,
    /// CONNECT named somebody, and nothing is done before the answer.
    logging_in: bool,
    deadline: Instant,
    /// An operation came since the last PING interval began.
    active: bool,
    pings_out: u8,
}

/// What CONNECT asked for, or the defaults.
#[derive(Debug)]
struct Options {
    verbose: bool,
    pedantic: bool,
    echo: bool,
    headers: bool,
    no_responders: bool,
    /// Takes INFO at any time.
    async_info: bool,
}

impl From<&Connect> for Options {
    fn from(connect: &Connect) -> Self {
        Self {
            verbose: connect.verbose,
            pedantic: connect.pedantic,
            echo: connect.echo,
            headers: connect.headers,
            no_responders: connect.no_responders,
            async_info: connect.protocol >= 1,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was heard yet.
    Greeting,
    /// Operations came, but no CONNECT.
    Anonymous,
    /// CONNECT came.
    Connected,
    /// The second INFO was sent.
    Told,
}

#[derive(Debug)]
enum Pending {
    /// Only a PONG waits for it.
    Barrier,
    /// CONNECT named somebody.
    Login,
    /// A request of the client: it wants to know if nobody serves it.
    Request { subject: Bytes, reply: Bytes },
    /// A subscription: it may be refused.
    Subscribe { number: u32, subject: Bytes, queue: Option<Bytes> },
    /// The end of a subscription.
    Unsubscribe { number: u32 },
}

impl NatsSession {
    pub(crate) fn new(now: Now, peer: Peer, private: Space) -> Self {
        Self {
            peer,
            private,
            decoder: ClientDecoder::default(),
            options: Options::from(&Connect::default()),
            stage: Stage::Greeting,
            subjects: SubjectReader::default(),
            subscriptions: Subscriptions::default(),
            pending: VecDeque::new(),
            next_token: 0,
            pong_due: false,
            logging_in: false,
            deadline: now.instant + GREETING,
            active: false,
            pings_out: 0,
        }
    }

    fn bytes(&mut self, now: Now, buffer: &mut BytesMut, out: &mut Outbox) -> Result<(), Close> {
        let limits =
            Limits { payload_max: self.peer.node.limits.message_bytes, ..Limits::default() };
        while !self.is_held_up() {
            match self.decoder.decode(buffer, &limits) {
                Ok(Some(op)) => self.operation(now, op, out)?,
                Ok(None) => break,
                Err(malformed) => return Err(malformed_close(malformed, out)),
            }
        }
        Ok(())
    }

    fn operation(&mut self, now: Now, op: ClientOp, out: &mut Outbox) -> Result<(), Close> {
        self.active = true;
        if self.peer.login
            && !matches!(self.stage, Stage::Connected | Stage::Told)
            && !matches!(op, ClientOp::Connect(_))
        {
            return Err(refuse("Authorization Violation", out));
        }
        // Where a login is demanded, the time for it goes on.
        if self.stage == Stage::Greeting && !self.peer.login {
            self.stage = Stage::Anonymous;
            self.deadline = now.instant + PING_INTERVAL;
        }
        match op {
            ClientOp::Publish(op) => self.publish(now, op, out),
            ClientOp::Subscribe(op) => self.subscribe(&op, out),
            ClientOp::Unsubscribe(op) => {
                if let Some(numbers) = self.subscriptions.end(&op.sid, op.max.unwrap_or(0)) {
                    self.unsubscribe(numbers, out);
                }
                self.ok(out);
                Ok(())
            }
            ClientOp::Connect(connect) => self.connect(&connect, out),
            ClientOp::Ping => {
                self.ping(out);
                Ok(())
            }
            ClientOp::Pong => {
                self.pings_out = 0;
                Ok(())
            }
            ClientOp::Ok => Ok(()),
            // As nats-server does: the client says why it goes.
            ClientOp::Err(text) => Err(Close::Violation(format!(
                "the client reported an error: {}",
                String::from_utf8_lossy(&text)
            ))),
        }
    }

    fn connect(&mut self, connect: &Connect, out: &mut Outbox) -> Result<(), Close> {
        if !(0..=1).contains(&connect.protocol) {
            return Err(refuse("invalid client protocol", out));
        }
        if connect.no_responders && !connect.headers {
            return Err(refuse("no responders requires headers support", out));
        }
        // A second CONNECT starts anew.
        for numbers in self.subscriptions.clear() {
            unsubscribe(numbers, out);
        }
        self.options = Options::from(connect);
        let credentials = login::credentials(&connect.text, &self.peer)
            .ok_or_else(|| refuse("Authorization Violation", out))?;
        if !credentials.is_none() || self.peer.login {
            let client = connect.text.name.clone().unwrap_or_default().into();
            self.logging_in = true;
            let request = Request::Authenticate(Authenticate { credentials, client });
            self.ask(Pending::Login, request, out);
            return Ok(());
        }
        self.connected(out);
        Ok(())
    }

    fn connected(&mut self, out: &mut Outbox) {
        if self.stage != Stage::Told {
            self.stage = Stage::Connected;
        }
        self.ok(out);
    }

    /// Whether what comes waits for answers.
    fn is_held_up(&self) -> bool {
        self.pong_due || self.logging_in
    }

    fn publish(
        &mut self,
        now: Now,
        op: nats_codec::Publish,
        out: &mut Outbox,
    ) -> Result<(), Close> {
        if op.headers.is_some() && !self.options.headers {
            return Err(refuse("message headers not supported", out));
        }
        let Some(subject) = self.subjects.read(&op.subject) else {
            // DEVIATES: nats-server goes on to deliver what a lenient client publishes to a
            // wildcard; such a subject has no address here.
            if self.options.pedantic {
                encode::err(out.buffer(), "Invalid Publish Subject");
            } else {
                self.ok(out);
                self.no_responders(&op.subject, op.reply.as_ref(), out);
            }
            return Ok(());
        };
        self.ok(out);
        let reply = op.reply.as_ref().and_then(|name| publish::reply_address(name, &self.private));
        let limits = &self.peer.node.limits;
        let record = publish::record(op.headers.as_ref(), op.payload, reply, limits, now);
        let space = publish::space_of(&subject, &self.private);
        let request = Request::Publish(Publish::new(Address::Subject(space, subject), record));
        match op.reply {
            Some(reply) if self.options.no_responders => {
                self.ask(Pending::Request { subject: op.subject, reply }, request, out);
            }
            Some(_) | None => out.tell(request),
        }
        Ok(())
    }

    fn subscribe(&mut self, op: &nats_codec::Subscribe, out: &mut Outbox) -> Result<(), Close> {
        let Ok(filter) = Filter::nats(&op.subject) else {
            encode::err(out.buffer(), "Invalid Subject");
            return Ok(());
        };
        if self.subscriptions.len() >= self.peer.node.limits.subscriptions {
            encode::err(out.buffer(), "maximum subscriptions exceeded");
            return Ok(());
        }
        let is_private = op.subject.first() == Some(&b'$');
        // A leading wildcard reaches the private subjects too, which live in a space of their own.
        let both = filter.reach() != Reach::All;
        let Some(numbers) =
            self.subscriptions.add(&op.sid, filter.clone(), op.queue.is_some(), both)
        else {
            self.ok(out);
            return Ok(());
        };
        let group = op.queue.as_ref().map(|name| Bytes::copy_from_slice(name));
        let space = if is_private { self.private.clone() } else { Space::SHARED };
        let make = |number, space, filter| {
            Request::Subscribe(Subscribe {
                number,
                space,
                filter,
                group: group.clone(),
                durable: false,
                skip_own: !self.options.echo,
                start: Start::Now,
                memo: Bytes::new(),
            })
        };
        let first = make(numbers.first(), space, filter.clone());
        let second = numbers
            .second()
            .map(|number| make(number, self.private.clone(), filter.with_reach(Reach::All)));
        let (number, subject) = (numbers.first(), op.subject.clone());
        self.ask(Pending::Subscribe { number, subject, queue: op.queue.clone() }, first, out);
        if let Some(second) = second {
            out.tell(second);
        }
        self.ok(out);
        Ok(())
    }

    /// Ends a subscription once the broker has; what it had matched before is still delivered.
    fn unsubscribe(&mut self, numbers: Numbers, out: &mut Outbox) {
        if let Some(second) = numbers.second() {
            out.tell(Request::Unsubscribe(second));
        }
        let number = numbers.first();
        self.ask(Pending::Unsubscribe { number }, Request::Unsubscribe(number), out);
    }

    /// Owes a PONG, now or when everything before it was answered.
    fn ping(&mut self, out: &mut Outbox) {
        if let Some((token @ None, _)) = out.requests.last_mut() {
            let barrier = Token(self.next_token);
            self.next_token += 1;
            *token = Some(barrier);
            self.pending.push_back((barrier, Pending::Barrier));
        }
        if self.pending.is_empty() {
            self.pong(out);
        } else {
            self.pong_due = true;
        }
    }

    fn pong(&mut self, out: &mut Outbox) {
        self.pong_due = false;
        encode::pong(out.buffer());
        if self.stage == Stage::Connected {
            self.stage = Stage::Told;
            if self.options.async_info {
                encode::info(out.buffer(), &greeting::connect_info(&self.peer));
            }
        }
    }

    fn ask(&mut self, pending: Pending, request: Request, out: &mut Outbox) {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.pending.push_back((token, pending));
        out.ask(token, request);
    }

    fn reply(
        &mut self,
        now: Now,
        token: Token,
        reply: &Reply,
        out: &mut Outbox,
    ) -> Result<(), Close> {
        // Nearly always the first one.
        let at = self.pending.iter().position(|(of, _)| *of == token);
        let Some((_, pending)) = at.and_then(|at| self.pending.remove(at)) else {
            debug_assert!(false, "an answer to {token:?}, which was not asked");
            return Ok(());
        };
        match pending {
            Pending::Barrier => {}
            Pending::Login => {
                if !matches!(reply, Reply::Authenticated(_)) {
                    encode::err(out.buffer(), "Authorization Violation");
                    return Err(Close::Refused("nobody was let in".to_owned()));
                }
                self.logging_in = false;
                self.deadline = now.instant + PING_INTERVAL;
                self.connected(out);
            }
            Pending::Request { subject, reply: to } => {
                self.requested(&subject, &to, reply, out);
            }
            Pending::Unsubscribe { number } => {
                self.subscriptions.remove(number);
            }
            Pending::Subscribe { number, subject, queue } => {
                if let Reply::Refused(refusal) = reply {
                    self.subscribe_refused(number, &subject, queue.as_ref(), refusal, out);
                }
            }
        }
        if self.pong_due && self.pending.is_empty() {
            self.pong(out);
        }
        if self.pending.is_empty() {
            // An idle connection keeps no buffers.
            self.pending = VecDeque::new();
        }
        Ok(())
    }

    /// A request of the client was routed or refused.
    fn requested(&self, subject: &Bytes, to: &Bytes, reply: &Reply, out: &mut Outbox) {
        if let Reply::Refused(Refusal::NotAllowed) = reply {
            let subject = String::from_utf8_lossy(subject);
            let text = format!("Permissions Violation for Publish to \"{subject}\"");
            encode::err(out.buffer(), &text);
            return;
        }
        let served = matches!(reply, Reply::Published(published) if published.matched > 0);
        if !served {
            self.no_responders(subject, Some(to), out);
        }
    }

    fn subscribe_refused(
        &mut self,
        number: u32,
        subject: &Bytes,
        queue: Option<&Bytes>,
        refusal: &Refusal,
        out: &mut Outbox,
    ) {
        if let Some(second) = self.subscriptions.remove(number).and_then(Numbers::second) {
            out.tell(Request::Unsubscribe(second));
        }
        if let Refusal::NotAllowed = refusal {
            let queue = queue.map_or(String::new(), |queue| {
                format!(" using queue \"{}\"", String::from_utf8_lossy(queue))
            });
            let subject = String::from_utf8_lossy(subject);
            let text = format!("Permissions Violation for Subscription to \"{subject}\"{queue}");
            encode::err(out.buffer(), &text);
        } else {
            // Nothing but a limit is left to refuse a well-formed subscription.
            encode::err(out.buffer(), "maximum subscriptions exceeded");
        }
    }

    /// Tells a requester that nobody serves its request, if it wants to know.
    fn no_responders(&self, subject: &Bytes, reply: Option<&Bytes>, out: &mut Outbox) {
        let Some(reply) = reply.filter(|_| self.options.no_responders) else { return };
        let Ok(inbox) = render::nats::parse(reply) else { return };
        let Some(sid) = self.subscriptions.for_reply(&inbox) else { return };
        let block = headers::no_responders(subject);
        encode::message(out.buffer(), reply, &sid, None, &block, b"");
    }

    fn ok(&self, out: &mut Outbox) {
        if self.options.verbose {
            encode::ok(out.buffer());
        }
    }

    fn timeout(&mut self, now: Now, out: &mut Outbox) -> Result<(), Close> {
        if now.instant < self.deadline {
            return Ok(());
        }
        let waits = self.peer.login && !matches!(self.stage, Stage::Connected | Stage::Told);
        if waits || self.stage == Stage::Greeting {
            encode::err(out.buffer(), "Authentication Timeout");
            return Err(Close::Timeout);
        }
        self.deadline = now.instant + PING_INTERVAL;
        if std::mem::take(&mut self.active) {
            self.pings_out = 0;
        } else if self.pings_out >= PINGS_OUT_MAX {
            encode::err(out.buffer(), "Stale Connection");
            return Err(Close::Timeout);
        } else {
            self.pings_out += 1;
            encode::ping(out.buffer());
        }
        Ok(())
    }

    fn notice(&self, notice: &Notice, out: &mut Outbox) -> Result<(), Close> {
        match notice {
            Notice::Draining => {
                if self.options.async_info && matches!(self.stage, Stage::Connected | Stage::Told) {
                    encode::info(out.buffer(), &greeting::lame_duck(&self.peer));
                }
                Err(Close::Draining)
            }
            Notice::Expelled => {
                encode::err(out.buffer(), "User Authentication Revoked");
                Err(Close::Refused("sent away".to_owned()))
            }
            // As nats-server does: without a word, behind which clients would not reconnect.
            Notice::SlowReceiver => Err(Close::Refused("slow consumer".to_owned())),
            // It claims no session, consumes no queue, and its messages are live only.
            Notice::Displaced | Notice::ConsumerGone(_) | Notice::Pressure(_) => Ok(()),
        }
    }
}

impl Session for NatsSession {
    fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Outbox) -> Result<(), Close> {
        match input {
            Input::Opened => encode::info(out.buffer(), &greeting::info(&self.peer)),
            Input::Bytes(buffer) => self.bytes(now, buffer, out)?,
            Input::Reply(token, reply) => self.reply(now, token, &reply, out)?,
            Input::Deliveries(deliveries) => {
                let receiver = Receiver { private: &self.private, headers: self.options.headers };
                receiver.deliver(now, deliveries, &mut self.subscriptions, out);
            }
            Input::Notice(notice) => self.notice(&notice, out)?,
            Input::Timeout => self.timeout(now, out)?,
            Input::End => {}
        }
        if self.is_held_up() {
            out.pause();
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

fn refuse(text: &str, out: &mut Outbox) -> Close {
    encode::err(out.buffer(), text);
    Close::Violation(text.to_owned())
}

fn malformed_close(malformed: Malformed, out: &mut Outbox) -> Close {
    encode::err(out.buffer(), malformed.text());
    Close::Violation(malformed.to_string())
}
