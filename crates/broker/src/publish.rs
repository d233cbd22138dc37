//! One message in: routed, stored where it has a home, delivered once to each receiver.
//!
//! ```text
//! no home, no queue           live at once (QoS 0, core NATS, transient)
//! home: explicit or default   appended first; receivers see it once it is committed
//! queues, no home             durable ones by reference into a spool; others in memory
//! ```
//!
//! What a queue gave up comes this way too: its copy is stored in the write that settles it.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{BufMut, Bytes, BytesMut};
use model::record::{Address, Assurance, Space};
use model::subject::Subject;
use protocol::{
    ConnId, Delivery, Matched, Message, Publish, Published, Refusal, Reply, Token, Wait,
};
use storage::{Append, Body, Committed, LogId, Mode, Op, StoredRecord, SubmitError, Target};

use crate::alias::Origin;
use crate::burial::Buried;
use crate::completion::Step;
use crate::desk::Desk;
use crate::message::{detach, detached};
use crate::queues::{Aim, Aims, Item, begin_lifetime, is_durable};
use crate::router::{LiveTarget, Onward, Route, meets};
use crate::state::{Core, table};
use crate::stats::add;
use crate::turn::{Turn, refusal_of};

/// An append waits for nothing but what its log's mode asks.
pub(crate) const AS_THE_LOG: Mode = Mode::Memory;

/// A publish whose append is under way.
#[derive(Debug)]
pub(crate) struct PublishDone {
    conn: Option<ConnId>,
    token: Option<Token>,
    pub(crate) message: Arc<Message>,
    route: Arc<Route>,
    behind: Vec<Arc<Route>>,
    /// Queues that got a reference, in the order of the places.
    durable: Vec<Aim>,
    /// Queues that get it in memory.
    transient: Vec<Aim>,
    /// Queues that were full and give it up.
    given_up: Vec<u64>,
    /// A queue was full and refused it.
    refused: bool,
    /// The message that this one is the dead letter of.
    pub(crate) buried: Option<Box<Buried>>,
    log: LogId,
    /// Its place among those that set last values.
    order: u64,
    /// It was delivered before it was stored: nothing but the log's readers is left to tell.
    pub(crate) delivered: bool,
    /// What else was asked, if it may wait when there is no room after all.
    asked: Option<Box<Asked>>,
    result: Result<Committed, SubmitError>,
}

/// What a publish asks besides its message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    attributes: Vec<(Bytes, Bytes)>,
    wait: Wait,
    remember: Option<Bytes>,
    parks: bool,
    /// Its place among those that may wait.
    place: u64,
    /// It has waited.
    waited: bool,
    /// It is the will of this session, whose row of it goes with it.
    will_of: Option<u64>,
}

impl Asked {
    /// Nothing but that it is stored.
    pub(crate) fn stored() -> Self {
        Self { wait: Wait::Stored, ..Self::default() }
    }

    /// The publish as it was, without a part of a read buffer.
    fn again(self, message: &Message) -> Publish {
        let message = detached(message);
        let copied = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        let record = message.record.clone();
        Publish {
            attributes: self.attributes.iter().map(|(n, v)| (copied(n), copied(v))).collect(),
            wait: self.wait,
            remember: self.remember.as_ref().map(copied),
            parks: self.parks,
            ..Publish::new(message.address.clone(), record)
        }
    }
}

impl PublishDone {
    /// Whether nobody gets it, and no stream.
    pub(crate) fn is_for_nobody(&self) -> bool {
        let queues = self.durable.len() + self.transient.len();
        self.log == LogId(0) && count(&self.route, &self.behind, queues) == 0
    }
}

impl Desk {
    /// Takes a message in; `conn` is nobody for a will.
    pub(crate) fn publish(
        &mut self,
        turn: &mut Turn<'_>,
        conn: Option<ConnId>,
        token: Option<Token>,
        mut publish: Publish,
    ) {
        if let Err(refusal) = admit(turn, &mut publish) {
            return refuse(turn, conn, token, refusal);
        }
        let place = if publish.parks { turn.shared.pressure.take_place() } else { 0 };
        let asked = Asked { place, ..Asked::default() };
        self.publish_admitted(turn, (conn, token), asked, publish);
    }

    /// A will, and the session whose row of it goes with it.
    pub(crate) fn publish_will(
        &mut self,
        turn: &mut Turn<'_>,
        mut will: Publish,
        will_of: Option<u64>,
    ) {
        match (admit(turn, &mut will), will_of) {
            (Ok(()), will_of) => {
                let asked = Asked { will_of, ..Asked::default() };
                self.publish_admitted(turn, (None, None), asked, will);
            }
            (Err(refusal), Some(session)) => self.refuse_will(turn, (will, session), &refusal),
            (Err(refusal), None) => refuse(turn, None, None, refusal),
        }
    }

    /// A will was refused, and there is nobody to tell. Where only room is missing it is tried again
    /// later; one that will never be taken is given up with its row.
    fn refuse_will(&self, turn: &mut Turn<'_>, (will, session): (Publish, u64), refusal: &Refusal) {
        add(&turn.shared.counters.refused, 1);
        if *refusal == Refusal::NoRoom {
            self.broker.lock().sessions.put_back_will(will, session);
        } else if *refusal != Refusal::StorageUnavailable {
            tracing::warn!(?refusal, "a will was refused and is given up");
            self.end_will(turn, session);
        }
    }

    /// A will is over that nothing was stored of: its row goes alone.
    fn end_will(&self, turn: &Turn<'_>, session: u64) {
        let row = crate::sessions::wills::remove(session);
        turn.shared.submit(vec![row], Mode::Memory, self.worker, |_| Step::Flushed);
    }

    /// A publish that waited for room, once more.
    pub(crate) fn publish_parked(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        (place, token): (u64, Option<Token>),
        publish: Publish,
    ) {
        let asked = Asked { place, waited: true, ..Asked::default() };
        self.publish_admitted(turn, (Some(conn), token), asked, publish);
    }

    fn publish_admitted(
        &mut self,
        turn: &mut Turn<'_>,
        (conn, token): (Option<ConnId>, Option<Token>),
        asked: Asked,
        publish: Publish,
    ) {
        let mut message = Message::new(publish.to, publish.record, conn);
        alias_reply(turn, &message);
        let route = self.route(turn, &message.address);
        if let Some(most) = route.home.as_ref().and_then(|home| home.message_bytes)
            && message.record.value.as_ref().map_or(0, Bytes::len) > most
        {
            let refusal = Refusal::TooLarge(most);
            return self.wait_or_refuse(turn, (conn, token), (&message, asked), refusal);
        }
        let (queues, behind) = resolve(&route, &publish.attributes);
        let live_only = queues.is_empty()
            && route.home.is_none()
            && !message.record.retain
            && publish.remember.is_none()
            && asked.will_of.is_none()
            && message.record.assurance == Assurance::AtMostOnce
            && route.lease.is_none();
        if live_only {
            let message = Arc::new(message);
            let mut matched = self.deliver(turn, &message, &route, None);
            for route in &behind {
                matched += self.deliver_plain(turn, &message, route);
            }
            if let (Some(conn), Some(token)) = (conn, token) {
                turn.port.reply(conn, token, Reply::Published(Published { matched, queues: 0 }));
            }
            return;
        }
        if publish.only_if_matched && count(&route, &behind, queues.len()) == 0 {
            if let Some(conn) = conn {
                turn.refuse(conn, token, Refusal::Unmatched);
            }
            return;
        }
        let aims = match queues.is_empty() {
            true => Ok(Aims::default()),
            false => self.broker.lock().aim(&queues, &message),
        };
        let aims = match aims {
            Ok(aims) => aims,
            Err(refusal) => {
                return self.wait_or_refuse(turn, (conn, token), (&message, asked), refusal);
            }
        };
        if aims.timed {
            begin_lifetime(turn, &mut message.record);
        }
        let lasting = message.record.assurance > Assurance::AtMostOnce;
        if lasting || route.home.is_some() || !queues.is_empty() {
            // It is held back for the disk, or kept in a queue.
            detach(&mut message);
        }
        let message = Arc::new(message);
        let plan = Plan { conn, token, message, route, aims, behind, buried: None };
        let Publish { attributes, wait, remember, parks, .. } = publish;
        self.store(turn, plan, Asked { attributes, wait, remember, parks, ..asked });
    }

    /// The route of an address.
    pub(crate) fn route(&mut self, turn: &Turn<'_>, address: &Address) -> Arc<Route> {
        match address {
            Address::Subject(space, subject) => self.routes.get(turn, space, subject),
            Address::Queue(name) => {
                self.routes.of_queue(turn, name, || self.broker.lock().queues.id(name))
            }
        }
    }

    /// There is no room for what a message asks to be kept: it waits, or is refused. Who listens
    /// now gets it all the same, unless it was promised to last.
    fn hold_back(&mut self, turn: &mut Turn<'_>, plan: Plan, asked: Asked, refusal: Refusal) {
        let (conn, token) = (plan.conn, plan.token);
        let lasting = plan.message.record.assurance > Assurance::AtMostOnce;
        if !lasting && plan.route.home.is_none() {
            let matched = self.deliver(turn, &plan.message, &plan.route, None);
            add(&turn.shared.counters.refused, 1);
            if let Some(session) = asked.will_of {
                return self.end_will(turn, session);
            }
            if matched == 0 {
                return if let Some(conn) = conn {
                    turn.refuse(conn, token, refusal)
                };
            }
            if let Some(conn) = conn {
                turn.reply(conn, token, Reply::Published(Published { matched, queues: 0 }));
            }
            return;
        }
        self.wait_or_refuse(turn, (conn, token), (&plan.message, asked), refusal);
    }

    /// Refuses a message, unless it may wait for what is missing.
    fn wait_or_refuse(
        &mut self,
        turn: &mut Turn<'_>,
        (conn, token): (Option<ConnId>, Option<Token>),
        (message, asked): (&Message, Asked),
        refusal: Refusal,
    ) {
        if let Some(session) = asked.will_of {
            return self.refuse_will(turn, (asked.again(message), session), &refusal);
        }
        let place = asked.place;
        let waits = asked.parks
            && refusal == Refusal::NoRoom
            && self.park(turn, conn, (place, token), asked.again(message));
        if !waits {
            refuse(turn, conn, token, refusal);
        }
    }

    /// Stores a message where it is to be stored, and hands it out: now, or once it is committed.
    pub(crate) fn store(&mut self, turn: &mut Turn<'_>, plan: Plan, asked: Asked) {
        // Dead letters have their room already.
        if plan.buried.is_none()
            && let Some(refusal) = self.no_room(turn, &plan, &asked)
        {
            return self.hold_back(turn, plan, asked, refusal);
        }
        let again = asked.parks || asked.will_of.is_some();
        let again = again.then(|| Box::new(asked.clone()));
        let Asked { wait, remember, will_of, .. } = asked;
        let Plan { conn, mut token, message, route, aims, behind, buried } = plan;
        let persistent = message.record.assurance > Assurance::AtMostOnce;
        let (log, mut mode) = home_of(turn, &message, &route, conn);
        let captured = route.home.is_some() && log.is_some();
        let lasts = |aim: &Aim| is_durable(aim.queue) && (persistent || captured);
        let mut durable = aims.taken;
        let transient: Vec<Aim> = durable.extract_if(.., |aim| !lasts(aim)).collect();
        let log = log.or_else(|| (!durable.is_empty()).then(|| spool(turn, &message)));
        if persistent && !durable.is_empty() {
            mode = Mode::Durable;
        }
        let mut ops = Vec::with_capacity(1);
        if let Some(log) = log {
            ops.push(append_op(log, &message, &durable));
        }
        let clears = message.record.retain && message.record.payload().is_empty();
        if message.record.retain
            && let Address::Subject(space, subject) = &message.address
        {
            ops.push(last_op(space, subject, &message, clears));
        }
        if let Some(key) = remember {
            // It waited for room longer than its session was claimed: the client sends it again.
            let session = conn.and_then(|conn| self.broker.lock().session_of(conn));
            let Some(session) = session else {
                return refuse(turn, conn, token, Refusal::NotFound);
            };
            ops.push(Op::Put {
                table: table::MEMORY,
                key: memory_key(session, &key),
                value: Bytes::new(),
            });
        }
        if !ops.is_empty() {
            ops.extend(buried.as_deref().and_then(Buried::settle));
        }
        ops.extend(will_of.map(crate::sessions::wills::remove));
        // A message that is not promised to last is not held back for the disk, unless a stream
        // captures it: then nobody sees an offset before its commit.
        let delivered = !persistent && !captured;
        let early = if wait == Wait::Routed { token.take() } else { None };
        let retain = message.record.retain;
        let mut done = Box::new(PublishDone {
            conn,
            token,
            message,
            route,
            behind,
            durable,
            transient,
            given_up: aims.given_up,
            refused: aims.refused,
            buried,
            log: log.unwrap_or(LogId(0)),
            order: if retain { turn.shared.last_values.take_order() } else { 0 },
            delivered,
            asked: again,
            result: Ok(Committed::default()),
        });
        if delivered || ops.is_empty() {
            self.hand_out(turn, &mut done, None);
        }
        answer(turn, &done, early);
        if ops.is_empty() {
            answer(turn, &done, done.token);
            return self.unstored_burial(turn, &mut done);
        }
        add(&turn.shared.counters.stored, usize::from(log.is_some()));
        self.begin_burial(&done);
        let worker = turn.shared.worker_of(done.log);
        turn.shared.submit(ops, mode, worker, move |result| {
            done.result = result;
            Step::Published(done)
        });
    }

    /// Why what a message asks to be kept cannot be. One that may wait does so behind those of its
    /// connection that do.
    fn no_room(&self, turn: &Turn<'_>, plan: &Plan, asked: &Asked) -> Option<Refusal> {
        let pressure = &turn.shared.pressure;
        let lasting = plan.message.record.assurance > Assurance::AtMostOnce;
        let to_disk = lasting
            || plan.message.record.retain
            || asked.remember.is_some()
            || plan.route.home.is_some()
            || plan.route.lease.is_some();
        let refusal = if to_disk { pressure.refuses_storing() } else { pressure.refuses_keeping() };
        if refusal.is_some() {
            return refusal;
        }
        if !lasting && pressure.is_tight() {
            return Some(Refusal::NoRoom);
        }
        let behind = asked.parks
            && !asked.waited
            && turn.shared.counters.parked.load(Ordering::Relaxed) > 0
            && plan.conn.is_some_and(|conn| self.broker.lock().parked.has(conn));
        behind.then_some(Refusal::NoRoom)
    }

    /// The write of a publish is done.
    pub(crate) fn published(&mut self, turn: &mut Turn<'_>, mut done: PublishDone) {
        match std::mem::replace(&mut done.result, Ok(Committed::default())) {
            Err(error) if done.buried.is_some() => self.end_burial(turn, &mut done, Err(&error)),
            Err(error) => {
                let refusal = refusal_of(&error);
                let to = (done.conn, done.token);
                match done.asked.take() {
                    Some(asked) => {
                        self.wait_or_refuse(turn, to, (&done.message, *asked), refusal);
                    }
                    None => refuse(turn, to.0, to.1, refusal),
                }
            }
            Ok(committed) => {
                let appended = committed.appended.first();
                if done.delivered {
                    let mut core = self.broker.lock();
                    if let Some(appended) = appended {
                        core.committed(turn, done.log, appended.last);
                    }
                    drop(core);
                    self.wake_reads(turn, done.log);
                } else {
                    self.hand_out(turn, &mut done, appended);
                }
                answer(turn, &done, done.token);
                self.end_burial(turn, &mut done, Ok(()));
            }
        }
    }

    /// Gives a message to everyone who is to see it, at the moment it becomes visible.
    fn hand_out(
        &mut self,
        turn: &mut Turn<'_>,
        done: &mut PublishDone,
        appended: Option<&storage::Appended>,
    ) {
        let message = &done.message.clone();
        let route = self.visible_route(turn, done);
        self.deliver_plain(turn, message, &route);
        for route in &done.behind {
            self.deliver_plain(turn, message, route);
        }
        let stored = appended.map(|a| (done.log, a.base));
        let mut core = self.broker.lock();
        core.deliver_to_sessions(turn, message, &route, stored);
        for (index, aim) in done.durable.iter().enumerate() {
            let place = appended.and_then(|a| a.places.get(index)).copied();
            let item = Item::stored(message, stored, place, aim.lane);
            done.refused |= !core.push(turn, aim.queue, item);
        }
        for aim in &done.transient {
            let item = Item::transient(message.clone(), aim.lane);
            done.refused |= !core.push(turn, aim.queue, item);
        }
        for queue in &done.given_up {
            core.give_up_refused(turn, *queue, Item::transient(message.clone(), 0));
        }
        if let Some(appended) = appended {
            core.committed(turn, done.log, appended.last);
        }
        drop(core);
        if appended.is_some() {
            self.wake_reads(turn, done.log);
        }
    }

    /// The route at the moment of visibility. For a last value it is computed together with
    /// setting the value, so that a new subscription gets it either live or as a last value.
    fn visible_route(&mut self, turn: &Turn<'_>, done: &PublishDone) -> Arc<Route> {
        let message = &done.message;
        let Address::Subject(space, subject) = &message.address else { return done.route.clone() };
        if !message.record.retain {
            return self.routes.get(turn, space, subject);
        }
        let value = (!message.record.payload().is_empty()).then(|| detached(message));
        let router = turn.shared.router.read().expect("no panic under this lock");
        if !turn.shared.last_values.set(space, subject, done.order, value) {
            add(&turn.shared.counters.dropped, 1);
        }
        Arc::new(router.route(space, subject))
    }

    /// Delivers to all of a route but its queues; the number of receivers.
    pub(crate) fn deliver(
        &mut self,
        turn: &mut Turn<'_>,
        message: &Arc<Message>,
        route: &Route,
        stored: Option<(LogId, u64)>,
    ) -> u32 {
        let mut matched = self.deliver_plain(turn, message, route);
        if !route.sessions.is_empty() {
            matched += self.broker.lock().deliver_to_sessions(turn, message, route, stored);
        }
        matched
    }

    /// Delivers to live subscriptions and groups.
    fn deliver_plain(&mut self, turn: &mut Turn<'_>, message: &Arc<Message>, route: &Route) -> u32 {
        let mut matched = 0;
        for LiveTarget { conn, matched: all, own } in &route.live {
            let numbers = if message.publisher == Some(*conn) {
                match own {
                    Some(own) => own.clone(),
                    None => continue,
                }
            } else {
                all.clone()
            };
            turn.port.deliver(*conn, live(message, numbers));
            matched += 1;
        }
        for group in &route.groups {
            let start = group.turn.fetch_add(1, Ordering::Relaxed);
            let count = group.members.len();
            let member = (0..count)
                .map(|i| &group.members[(start + i) % count])
                .find(|(conn, _, skip_own)| !(*skip_own && message.publisher == Some(*conn)));
            if let Some((conn, number, _)) = member {
                turn.port.deliver(*conn, live(message, Matched::One(*number)));
                matched += 1;
            }
        }
        add(&turn.shared.counters.deliveries, matched as usize);
        matched
    }
}

/// Tells the publisher what became of its message.
fn answer(turn: &mut Turn<'_>, done: &PublishDone, token: Option<Token>) {
    let (Some(conn), Some(token)) = (done.conn, token) else { return };
    if done.refused {
        return refuse(turn, Some(conn), Some(token), Refusal::Limit("messages in a queue"));
    }
    let queues = done.durable.len() + done.transient.len();
    let matched = count(&done.route, &done.behind, queues);
    let queues = u32::try_from(queues).unwrap_or(u32::MAX);
    turn.port.reply(conn, token, Reply::Published(Published { matched, queues }));
}

/// Counts a refusal, and answers if someone asked.
fn refuse(turn: &mut Turn<'_>, conn: Option<ConnId>, token: Option<Token>, refusal: Refusal) {
    add(&turn.shared.counters.refused, 1);
    if let Some(conn) = conn {
        turn.refuse(conn, token, refusal);
    }
}

/// A message that is routed and about to be stored.
pub(crate) struct Plan {
    pub(crate) conn: Option<ConnId>,
    pub(crate) token: Option<Token>,
    /// It holds no part of a read buffer if it is held back for the disk, or kept in a queue.
    pub(crate) message: Arc<Message>,
    pub(crate) route: Arc<Route>,
    pub(crate) aims: Aims,
    pub(crate) behind: Vec<Arc<Route>>,
    pub(crate) buried: Option<Box<Buried>>,
}

fn count(route: &Route, behind: &[Arc<Route>], queues: usize) -> u32 {
    let of = |route: &Route| route.live.len() + route.groups.len() + route.sessions.len();
    let all = of(route) + behind.iter().map(|r| of(r)).sum::<usize>() + queues;
    u32::try_from(all).unwrap_or(u32::MAX)
}

fn live(message: &Arc<Message>, matched: Matched) -> Delivery {
    Delivery {
        message: message.clone(),
        matched,
        tag: None,
        redelivered: false,
        deliveries: None,
        last_value: false,
    }
}

/// Checks limits, sets the time, and leads an answer to an alias to its requester.
fn admit(turn: &Turn<'_>, publish: &mut Publish) -> Result<(), Refusal> {
    let limits = &turn.shared.node.limits;
    let payload = publish.record.value.as_ref().map_or(0, Bytes::len);
    if payload > limits.message_bytes {
        return Err(Refusal::TooLarge(limits.message_bytes));
    }
    if publish.record.headers.len() > limits.headers {
        return Err(Refusal::Limit("headers of a message"));
    }
    add(&turn.shared.counters.messages_in, 1);
    add(&turn.shared.counters.bytes_in, payload);
    if publish.record.timestamp_ms == 0 {
        publish.record.timestamp_ms = turn.now.unix_ms;
    }
    let origin = match &publish.to {
        Address::Subject(space, subject) if space.is_shared() && subject.is_inbox() => {
            turn.shared.aliases.resolve(subject)
        }
        Address::Subject(..) | Address::Queue(_) => None,
    };
    if let Some(Origin { address, correlation }) = origin {
        publish.to = address;
        if correlation.is_some() {
            publish.record.properties_mut().correlation = correlation;
        }
    }
    Ok(())
}

/// Gives a request an alias for receivers that cannot carry its reply address and correlation.
fn alias_reply(turn: &Turn<'_>, message: &Message) {
    let Some(properties) = &message.record.properties else { return };
    let Some(reply_to) = &properties.reply_to else { return };
    let plain = matches!(reply_to, Address::Subject(space, subject)
        if space.is_shared() && subject.is_inbox());
    if plain && properties.correlation.is_none() {
        return;
    }
    let origin = Origin {
        address: crate::message::detached_address(reply_to),
        correlation: properties.correlation.as_ref().map(|c| Bytes::copy_from_slice(c)),
    };
    message.reply_alias.get_or_init(|| turn.shared.aliases.make(turn.now.unix_ms, origin));
}

/// The queues of a route, and the routes behind conditional bindings that hold.
pub(crate) fn resolve<'a>(
    route: &'a Route,
    attributes: &[(Bytes, Bytes)],
) -> (Cow<'a, [u64]>, Vec<Arc<Route>>) {
    if route.conditional.is_empty() {
        return (Cow::Borrowed(&route.queues), Vec::new());
    }
    let mut queues = route.queues.clone();
    let mut behind = Vec::new();
    follow(route, attributes, &mut queues, &mut behind);
    queues.sort_unstable();
    queues.dedup();
    (Cow::Owned(queues), behind)
}

fn follow(
    route: &Route,
    attributes: &[(Bytes, Bytes)],
    queues: &mut Vec<u64>,
    behind: &mut Vec<Arc<Route>>,
) {
    for (condition, onward) in &route.conditional {
        if !meets(condition, attributes) {
            continue;
        }
        match onward {
            Onward::Queue(queue) => queues.push(*queue),
            Onward::Route(next) => {
                queues.extend(&next.queues);
                behind.push(next.clone());
                follow(next, attributes, queues, behind);
            }
        }
    }
}

/// The log that a message lives in, and how its write is acknowledged.
fn home_of(
    turn: &Turn<'_>,
    message: &Message,
    route: &Route,
    conn: Option<ConnId>,
) -> (Option<LogId>, Mode) {
    let Address::Subject(_, subject) = &message.address else { return (None, Mode::Durable) };
    if !route.shared || subject.is_private() || subject.is_inbox() || subject.is_none() {
        return (None, Mode::Durable);
    }
    let key = message.record.key.as_ref();
    if let Some(home) = &route.home {
        return (Some(home.log(subject, key, conn)), AS_THE_LOG);
    }
    let default = turn.shared.default_home.log(subject, key, conn);
    if message.record.assurance > Assurance::AtMostOnce {
        return (Some(default), AS_THE_LOG);
    }
    let leased =
        route.lease.as_ref().is_some_and(|lease| lease.load(Ordering::Relaxed) > turn.now.unix_ms);
    (leased.then_some(default), Mode::Async)
}

fn spool(turn: &Turn<'_>, message: &Message) -> LogId {
    let spools = &turn.shared.spools;
    let seed = match &message.address {
        Address::Subject(_, subject) => crate::home::hash(subject.as_bytes()),
        Address::Queue(name) => crate::home::hash(name),
    };
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below the count")]
    spools[(seed % spools.len() as u64) as usize]
}

fn append_op(log: LogId, message: &Message, queues: &[Aim]) -> Op {
    let subject = match &message.address {
        Address::Subject(_, subject) => subject.detached(),
        Address::Queue(_) => Subject::default(),
    };
    Op::Append(Append {
        log,
        body: Body::Record(StoredRecord {
            subject,
            timestamp_ms: message.record.timestamp_ms,
            tail: storage::record::encode(&message.address, &message.record),
        }),
        targets: queues
            .iter()
            .map(|aim| Target { record: 0, queue: LogId(aim.queue), priority: aim.lane })
            .collect(),
        once: None,
    })
}

fn last_op(space: &Space, subject: &Subject, message: &Message, clears: bool) -> Op {
    let mut key = BytesMut::new();
    key.put_slice(space.name().unwrap_or_default().as_bytes());
    key.put_u8(0);
    key.put_slice(subject.as_bytes());
    let key = key.freeze();
    if clears {
        return Op::Remove { table: table::LAST, key };
    }
    let mut value = BytesMut::new();
    value.put_i64(message.record.timestamp_ms);
    value.put_slice(&storage::record::encode(&message.address, &message.record));
    Op::Put { table: table::LAST, key, value: value.freeze() }
}

/// The key of a row in a session's memory.
pub(crate) fn memory_key(session: u64, key: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(8 + key.len());
    out.put_u64(session);
    out.put_slice(key);
    out.freeze()
}

impl Core {
    /// A commit of a log was handled.
    pub(crate) fn committed(&mut self, turn: &Turn<'_>, log: LogId, last: u64) {
        let processed = self.processed.entry(log).or_default();
        *processed = (*processed).max(last + 1);
        if self.sessions.any_cursor() {
            self.flush_soon(turn);
        }
    }
}
