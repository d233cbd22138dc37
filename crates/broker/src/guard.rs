//! Who may do what: the one place that is asked, before a request is carried out and before a
//! message is delivered (ADR 19).
//!
//! ```text
//! gate      the policy, and who each connection is; behind a lock of its own, taken last
//! seats     per desk: what each of its connections may do, kept until the policy changes
//! screened  a route without the receivers that may not have its messages, when it is computed
//! ```

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use bytes::Bytes;
use hashbrown::HashMap;
use model::filter::{Filter, FilterToken};
use model::record::{Address, Space};
use model::subject::Subject;
use protocol::{Authenticated, ConnId};
use security::{Access, Action, Cover, Identity, Kind, Policy, Symbol, Verdict};

use crate::router::{Onward, Route};

/// The names of AMQP's exchanges among the private spaces.
pub(crate) const EXCHANGE: &str = "exchange/";
/// Events that are kept for whoever asks.
const EVENTS_MAX: usize = 1024;
/// What is kept of a client's words in an event, in bytes.
const EVENT_TEXT_MAX: usize = 256;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
struct Guest {
    /// `None`: nobody yet, and nobody is served without having been let in.
    identity: Option<Identity>,
    /// What the client calls itself.
    client: Bytes,
    access: Arc<Access>,
    /// The session that it owns.
    session: Option<u64>,
}

impl Guest {
    fn is_restricted(&self) -> bool {
        is_restricted(&self.access)
    }
}

/// Whether messages must be asked for one by one.
fn is_restricted(access: &Access) -> bool {
    !access.may_all(Action::Consume, Kind::Subject)
}

#[derive(Debug, Default)]
struct Gate {
    policy: Policy,
    anonymous: Arc<Access>,
    guests: HashMap<ConnId, Guest>,
    /// Sessions whose owners are guests.
    owners: HashMap<u64, ConnId>,
    /// How many of all these are restricted.
    restricted: usize,
}

impl Gate {
    fn access(&self, conn: ConnId) -> &Arc<Access> {
        self.guests.get(&conn).map_or(&self.anonymous, |guest| &guest.access)
    }

    fn seat(&mut self, conn: ConnId, guest: Guest) {
        self.restricted += usize::from(guest.is_restricted());
        if let Some(before) = self.guests.insert(conn, guest) {
            self.restricted -= usize::from(before.is_restricted());
        }
    }

    fn unseat(&mut self, conn: ConnId) {
        let Some(guest) = self.guests.remove(&conn) else { return };
        self.restricted -= usize::from(guest.is_restricted());
        if let Some(session) = guest.session
            && self.owners.get(&session) == Some(&conn)
        {
            self.owners.remove(&session);
        }
    }

    /// Everyone may do what this policy says. The connections of users that are gone.
    fn set_policy(&mut self, policy: Policy) -> Vec<ConnId> {
        let mut gone = Vec::new();
        for (conn, guest) in &mut self.guests {
            let Some(identity) = &guest.identity else { continue };
            if !policy.admits(identity) {
                gone.push(*conn);
            }
            guest.access = Arc::new(policy.access(identity, &guest.client));
        }
        self.anonymous = Arc::new(policy.access(&Identity::anonymous(), b""));
        self.policy = policy;
        self.restricted = self.guests.values().filter(|guest| guest.is_restricted()).count()
            + usize::from(is_restricted(&self.anonymous));
        gone
    }
}

/// Something that was refused, or changed by an administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// Its number; it only grows.
    pub number: u64,
    /// When, in milliseconds since 1970 (UTC).
    pub unix_ms: i64,
    /// The user, empty for a client that did not log in.
    pub user: String,
    /// What the client calls itself.
    pub client: String,
    /// What was done or tried, as in `publish subject a/b`.
    pub what: String,
    /// What came of it, as in `denied`.
    pub result: &'static str,
}

#[derive(Debug)]
pub(crate) struct Guard {
    gate: RwLock<Gate>,
    /// Raised with each change of the policy.
    epoch: AtomicU64,
    /// The gate's number of those who are restricted, for a look without the lock.
    restricted: AtomicUsize,
    events: Mutex<Events>,
}

#[derive(Debug, Default)]
struct Events {
    next: u64,
    last: VecDeque<AuditEvent>,
}

impl Guard {
    pub(crate) fn new(policy: Policy) -> Self {
        let guard = Self {
            gate: RwLock::default(),
            epoch: AtomicU64::new(0),
            restricted: AtomicUsize::new(0),
            events: Mutex::default(),
        };
        guard.set_policy(policy);
        guard
    }

    fn read<R>(&self, ask: impl FnOnce(&Gate) -> R) -> R {
        ask(&self.gate.read().expect("no panic under this lock"))
    }

    fn write<R>(&self, change: impl FnOnce(&mut Gate) -> R) -> R {
        let mut gate = self.gate.write().expect("no panic under this lock");
        let result = change(&mut gate);
        self.restricted.store(gate.restricted, Ordering::Release);
        result
    }

    pub(crate) fn policy(&self) -> Policy {
        self.read(|gate| gate.policy.clone())
    }

    /// Another policy holds from now on. The connections of users that are gone.
    pub(crate) fn set_policy(&self, policy: Policy) -> Vec<ConnId> {
        let gone = self.write(|gate| gate.set_policy(policy));
        self.epoch.fetch_add(1, Ordering::Release);
        gone
    }

    /// A connection came to a listener where nobody is served without having been let in.
    pub(crate) fn awaits_login(&self, conn: ConnId) {
        let access = Arc::new(Access::default());
        let guest = Guest { identity: None, client: Bytes::new(), access, session: None };
        self.write(|gate| gate.seat(conn, guest));
    }

    /// Whether a connection is served: it was let in, or need not be.
    pub(crate) fn has_let_in(&self, conn: ConnId) -> bool {
        self.read(|gate| gate.guests.get(&conn).is_none_or(|guest| guest.identity.is_some()))
    }

    /// A connection was let in. `false`: the identity may not be, any more.
    pub(crate) fn let_in(&self, conn: ConnId, identity: Identity, client: Bytes) -> bool {
        let client = Bytes::copy_from_slice(&client);
        self.write(|gate| {
            if !gate.policy.admits(&identity) {
                return false;
            }
            let access = Arc::new(gate.policy.access(&identity, &client));
            let session = gate.guests.get(&conn).and_then(|guest| guest.session);
            gate.seat(conn, Guest { identity: Some(identity), client, access, session });
            true
        })
    }

    /// A connection is gone.
    pub(crate) fn gone(&self, conn: ConnId) {
        let known = self.read(|gate| gate.guests.contains_key(&conn));
        if known {
            self.write(|gate| gate.unseat(conn));
        }
    }

    /// A session has this owner. Whether routes are other ones because of that.
    pub(crate) fn owns(&self, session: u64, conn: ConnId) -> bool {
        let concerned =
            |gate: &Gate| gate.guests.contains_key(&conn) || gate.owners.contains_key(&session);
        if !self.read(concerned) {
            return false;
        }
        self.write(|gate| match gate.guests.get_mut(&conn) {
            Some(guest) => {
                guest.session = Some(session);
                gate.owners.insert(session, conn)
            }
            None => gate.owners.remove(&session),
        });
        true
    }

    /// Whether a message of this subject may be delivered to a connection.
    pub(crate) fn may_receive(&self, conn: ConnId, subject: &Subject) -> bool {
        if self.restricted.load(Ordering::Acquire) == 0 {
            return true;
        }
        let access = self.read(|gate| gate.access(conn).clone());
        access.may(Action::Consume, Kind::Subject, subject.as_bytes())
    }

    /// Takes out of a route who may not have its messages.
    pub(crate) fn screen(&self, subject: &Subject, route: &mut Route) {
        if self.restricted.load(Ordering::Acquire) == 0 {
            return;
        }
        self.read(|gate| screen(gate, subject, route));
    }

    /// Writes down that something was refused.
    pub(crate) fn deny(&self, conn: ConnId, unix_ms: i64, what: String) {
        let (user, client) = self.read(|gate| {
            let guest = gate.guests.get(&conn);
            let user = guest.and_then(|guest| Some(guest.identity.as_ref()?.user.to_string()));
            let client = guest.map(|g| String::from_utf8_lossy(&g.client).into_owned());
            (user.unwrap_or_default(), client.unwrap_or_default())
        });
        self.note(AuditEvent { number: 0, unix_ms, user, client, what, result: "denied" });
    }

    /// Writes an event down, shortened; one that repeats a recent one is left out.
    pub(crate) fn note(&self, mut event: AuditEvent) {
        for text in [&mut event.client, &mut event.what] {
            text.truncate(text.floor_char_boundary(EVENT_TEXT_MAX));
        }
        let mut events = self.events.lock().expect("no panic under this lock");
        let same = |last: &&AuditEvent| {
            last.user == event.user && last.client == event.client && last.what == event.what
        };
        let recent = |last: &&AuditEvent| event.unix_ms - last.unix_ms < 1000;
        if events.last.iter().rev().take(16).filter(same).any(|last| recent(&last)) {
            return;
        }
        let AuditEvent { user, client, what, result, .. } = &event;
        tracing::info!(target: "audit", user, client, what, result);
        events.next += 1;
        let number = events.next;
        if events.last.len() >= EVENTS_MAX {
            events.last.pop_front();
        }
        events.last.push_back(AuditEvent { number, ..event });
    }

    /// Events behind this number, the oldest first.
    pub(crate) fn events(&self, after: u64, most: usize) -> Vec<AuditEvent> {
        let events = self.events.lock().expect("no panic under this lock");
        events.last.iter().filter(|event| event.number > after).take(most).cloned().collect()
    }
}

fn screen(gate: &Gate, subject: &Subject, route: &mut Route) {
    let may = |conn| gate.access(conn).may(Action::Consume, Kind::Subject, subject.as_bytes());
    route.live.retain(|target| may(target.conn));
    for group in &mut route.groups {
        group.members.retain(|(conn, ..)| may(*conn));
    }
    route.groups.retain(|group| !group.members.is_empty());
    route.sessions.retain(|(id, _)| gate.owners.get(id).is_none_or(|conn| may(*conn)));
    for (_, onward) in &mut route.conditional {
        if let Onward::Route(onward) = onward
            && let Some(onward) = Arc::get_mut(onward)
        {
            screen(gate, subject, onward);
        }
    }
}

/// What a desk knows of its connections.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    epoch: u64,
    seats: Vec<Option<(u32, Arc<Access>)>>,
}

impl Seats {
    /// What a connection of this worker may do.
    pub(crate) fn access(&mut self, guard: &Guard, conn: ConnId) -> Arc<Access> {
        let epoch = guard.epoch.load(Ordering::Acquire);
        if epoch != self.epoch {
            self.seats.clear();
            self.epoch = epoch;
        }
        let slot = conn.slot as usize;
        if let Some(Some((generation, access))) = self.seats.get(slot)
            && *generation == conn.generation
        {
            return access.clone();
        }
        let access = guard.read(|gate| gate.access(conn).clone());
        if slot >= self.seats.len() {
            self.seats.resize(slot + 1, None);
        }
        self.seats[slot] = Some((conn.generation, access.clone()));
        access
    }

    /// The connection is another one now, or gone.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        if let Some(seat) = self.seats.get_mut(conn.slot as usize) {
            *seat = None;
        }
    }
}

/// The kind and the name of an address in grants; `None`: nobody can guess it who may not have it.
pub(crate) fn named(address: &Address) -> Option<(Kind, &[u8])> {
    match address {
        Address::Queue(name) => Some((Kind::Queue, name)),
        Address::Subject(space, subject) => match space.name() {
            None => Some((Kind::Subject, subject.as_bytes())),
            Some(name) => match name.strip_prefix(EXCHANGE) {
                Some(exchange) => Some((Kind::Space, exchange.as_bytes())),
                None if subject.is_private() => Some((Kind::Subject, subject.as_bytes())),
                None => None,
            },
        },
    }
}

/// What may be done to what the vocabulary names.
pub(crate) trait Rights {
    /// Whether all that a filter of a space stands for may be received.
    fn may_subscribe(&self, space: &Space, filter: &Filter) -> bool;
    /// Whether this may be done to a stream or view of this name: what is said of it as a stream
    /// comes first, then what is said of the subject of its name.
    fn may_stream(&self, action: Action, name: &[u8]) -> bool;
}

impl Rights for Access {
    fn may_subscribe(&self, space: &Space, filter: &Filter) -> bool {
        match space.name().and_then(|name| name.strip_prefix(EXCHANGE)) {
            Some(exchange) => self.may(Action::Consume, Kind::Space, exchange.as_bytes()),
            None if self.may_all(Action::Consume, Kind::Subject) => true,
            None => {
                let cover = self.cover(Action::Consume, Kind::Subject, &symbols(filter));
                cover != Cover::None
            }
        }
    }

    fn may_stream(&self, action: Action, name: &[u8]) -> bool {
        match self.verdict(action, Kind::Stream, name) {
            Verdict::Allowed => true,
            Verdict::Denied => false,
            Verdict::Silent => match (action, model::render::stream_name::parse(name)) {
                (Action::Publish | Action::Consume, Ok(subject)) => {
                    self.may(action, Kind::Subject, subject.as_bytes())
                }
                (Action::Describe, _) => {
                    self.may_stream(Action::Consume, name) || self.may_stream(Action::Publish, name)
                }
                _ => false,
            },
        }
    }
}

/// A filter as the grants' matcher reads it.
pub(crate) fn symbols(filter: &Filter) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    let mut first = true;
    for token in filter.tokens() {
        let separate = !first;
        match token {
            FilterToken::TailZero | FilterToken::AnyZero if first => {
                // What follows has no separator before it if this stands for nothing.
                symbols.push(Symbol::Any);
                continue;
            }
            FilterToken::TailZero | FilterToken::AnyZero => symbols.push(Symbol::Rest),
            FilterToken::TailOne => {
                symbols.extend(separate.then_some(Symbol::Byte(b'/')));
                symbols.extend([Symbol::One, Symbol::Rest]);
            }
            FilterToken::Literal(bytes) => {
                symbols.extend(separate.then_some(Symbol::Byte(b'/')));
                symbols.extend(bytes.iter().map(|byte| Symbol::Byte(*byte)));
            }
            FilterToken::One => {
                symbols.extend(separate.then_some(Symbol::Byte(b'/')));
                symbols.push(Symbol::One);
            }
        }
        first = false;
    }
    symbols
}

/// Who was let in, as its session is told.
pub(crate) fn authenticated(identity: &Identity, last: Bytes) -> Authenticated {
    Authenticated { user: Bytes::copy_from_slice(identity.user.as_bytes()), last }
}
