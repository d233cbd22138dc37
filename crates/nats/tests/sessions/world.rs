//! Scripts for NATS sessions: several clients around a naive broker, without sockets.
//!
//! ```text
//! a> SUB foo 1        client a sends this line (lines in a row are one read)
//! a< MSG foo 1 2      and must have been sent exactly this, in this order
//! wait 120            the clock goes on by so many seconds
//! mqtt foo hi         another protocol publishes, see `World::publish`
//! ```
//!
//! A client opens with its first line. Its INFO is checked by name only: `a< INFO`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use model::limits::Limits;
use model::record::{Address, Record};
use nats::Nats;
use protocol::{
    Close, ConnId, Delivery, Input, Matched, Message, Node, Now, Outbox, Peer, Protocol, Published,
    Refusal, Reply, Request, Session, Subscribe, Token,
};

/// One client of a script.
pub(crate) struct Client {
    session: Box<dyn Session>,
    conn: ConnId,
    buffer: BytesMut,
    /// What it was sent and no line has checked yet.
    pub(crate) output: String,
    /// How its connection ended.
    pub(crate) closed: Option<Close>,
    paused: bool,
}

/// Clients, and the broker that routes between them in the simplest way.
pub(crate) struct World {
    start: Instant,
    now: Now,
    clients: BTreeMap<String, Client>,
    subscriptions: Vec<(ConnId, Subscribe)>,
    limits: Limits,
    /// Every subscription and every publish is refused with this.
    pub(crate) refuse: Option<Refusal>,
    /// What was published, in order.
    pub(crate) published: Vec<(Address, Record)>,
    /// The alias that messages from elsewhere carry.
    pub(crate) alias: Option<&'static str>,
}

type Feed<'a> =
    Box<dyn FnOnce(&mut dyn Session, Now, &mut BytesMut, &mut Outbox) -> Result<(), Close> + 'a>;

enum Event {
    Reply(Token, Reply),
    Delivery(Delivery),
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        let start = Instant::now();
        Self {
            start,
            now: Now { instant: start, unix_ms: 1_000_000 },
            clients: BTreeMap::new(),
            subscriptions: Vec::new(),
            limits,
            refuse: None,
            published: Vec::new(),
            alias: None,
        }
    }

    /// Runs a script; see the module.
    pub(crate) fn run(&mut self, script: &str) {
        let mut lines = script.lines().map(str::trim_start).filter(|l| !l.is_empty()).peekable();
        while let Some(line) = lines.next() {
            if let Some(seconds) = line.strip_prefix("wait ") {
                self.wait(Duration::from_secs(seconds.trim().parse().expect("seconds")));
            } else if let Some(rest) = line.strip_prefix("mqtt ") {
                let (subject, payload) = rest.split_once(' ').expect("subject and payload");
                let value = Some(Bytes::copy_from_slice(payload.as_bytes()));
                self.publish(subject, Record { value, ..Record::default() });
            } else if let Some((name, text)) = line.split_once("> ") {
                let mut bytes = format!("{text}\r\n");
                while let Some(more) = lines.next_if(|l| l.starts_with(&format!("{name}>"))) {
                    bytes.push_str(more[name.len() + 1..].strip_prefix(' ').unwrap_or_default());
                    bytes.push_str("\r\n");
                }
                self.send(name, bytes.as_bytes());
            } else {
                let (name, want) = line.split_once('<').expect("a line of the notation");
                let want = want.strip_prefix(' ').unwrap_or(want);
                self.expect(name, want, script);
            }
        }
        for (name, client) in &self.clients {
            assert!(client.output.is_empty(), "{name} also got {:?} in\n{script}", client.output);
        }
    }

    fn expect(&mut self, name: &str, want: &str, script: &str) {
        let client = self.clients.get_mut(name).expect("a client that was named before");
        let end = client.output.find("\r\n").map_or(client.output.len(), |end| end + 2);
        let rest = client.output.split_off(end);
        let got = std::mem::replace(&mut client.output, rest);
        let got = got.trim_end_matches("\r\n");
        let got = if want == "INFO" { got.split(' ').next().unwrap_or(got) } else { got };
        assert_eq!(got, want, "to {name}; then {:?} in\n{script}", client.output);
    }

    /// Opens a client and forgets its INFO.
    pub(crate) fn open(&mut self, name: &str) {
        let slot = u32::try_from(self.clients.len()).expect("few clients");
        let conn = ConnId { worker: 0, slot, generation: 0 };
        let node = Node {
            id: 1,
            cluster_id: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            version: "0.0.0",
            limits: self.limits,
            default_partitions: 1,
            auto_create_streams: true,
            advertise: None,
        };
        let peer = Peer {
            remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)),
            local: SocketAddr::from((Ipv4Addr::LOCALHOST, 4222)),
            seed: 1 << 20,
            conn,
            login: false,
            node: Arc::new(node),
        };
        let client = Client {
            session: Nats::default().open(self.now, peer),
            conn,
            buffer: BytesMut::new(),
            output: String::new(),
            closed: None,
            paused: false,
        };
        self.clients.insert(name.to_owned(), client);
        self.input(name, Box::new(|session, now, _, out| session.handle(now, Input::Opened, out)));
        let output = self.take_output(name);
        assert!(output.starts_with("INFO {") && output.ends_with("} \r\n"), "{output:?}");
    }

    /// What a client was sent and no line has checked yet.
    pub(crate) fn take_output(&mut self, name: &str) -> String {
        std::mem::take(&mut self.clients.get_mut(name).expect("an open client").output)
    }

    /// How a client's connection ended.
    pub(crate) fn closed(&self, name: &str) -> Option<&Close> {
        self.clients.get(name).expect("an open client").closed.as_ref()
    }

    /// Bytes from a client, which is opened by its first.
    pub(crate) fn send(&mut self, name: &str, bytes: &[u8]) {
        if !self.clients.contains_key(name) {
            self.open(name);
        }
        let client = self.clients.get_mut(name).expect("just opened");
        client.buffer.extend_from_slice(bytes);
        self.feed(name);
    }

    fn feed(&mut self, name: &str) {
        self.input(
            name,
            Box::new(|session, now, buffer, out| session.handle(now, Input::Bytes(buffer), out)),
        );
    }

    /// A notice of the broker.
    pub(crate) fn notice(&mut self, name: &str, notice: protocol::Notice) {
        self.input(
            name,
            Box::new(|session, now, _, out| session.handle(now, Input::Notice(notice), out)),
        );
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now.instant + time;
        loop {
            let due = self
                .clients
                .iter()
                .filter(|(_, client)| client.closed.is_none())
                .filter_map(|(name, client)| Some((client.session.deadline()?, name.clone())))
                .min();
            match due {
                Some((deadline, name)) if deadline <= end => {
                    self.now.instant = deadline;
                    self.input(
                        &name,
                        Box::new(|session, now, _, out| session.handle(now, Input::Timeout, out)),
                    );
                }
                Some(_) | None => break,
            }
        }
        self.now.instant = end;
        self.now.unix_ms =
            1_000_000 + i64::try_from((end - self.start).as_millis()).expect("a short script");
    }

    /// One input as the driver gives it: frames out, requests to the broker, then its answers.
    fn input(&mut self, name: &str, feed: Feed<'_>) {
        let mut out = Outbox::new();
        let client = self.clients.get_mut(name).expect("an open client");
        assert!(client.closed.is_none(), "{name} is closed: {:?}", client.closed);
        let was_paused = client.paused;
        let ended = feed(&mut *client.session, self.now, &mut client.buffer, &mut out);
        client.output.push_str(&String::from_utf8_lossy(&out.take_bytes()));
        client.paused = out.take_pause();
        client.closed = ended.err();
        let (conn, resume) = (client.conn, was_paused && !client.paused);
        let mut events = Vec::new();
        for (token, request) in out.requests.drain(..) {
            self.request(conn, token, request, &mut events);
        }
        for (conn, event) in events {
            let found = self.clients.iter().find(|(_, client)| client.conn == conn);
            let name = found.expect("events go to clients").0.clone();
            self.input(
                &name,
                Box::new(|session, now, _, out| match event {
                    Event::Reply(token, reply) => {
                        session.handle(now, Input::Reply(token, reply), out)
                    }
                    Event::Delivery(one) => session.handle(now, Input::Deliveries(&[one]), out),
                }),
            );
        }
        if resume {
            self.feed(name);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "a core session asks nothing else")]
    fn request(
        &mut self,
        conn: ConnId,
        token: Option<Token>,
        request: Request,
        events: &mut Vec<(ConnId, Event)>,
    ) {
        let refusal = self.refuse.clone();
        let reply = match request {
            Request::Subscribe(_) | Request::Publish(_) if refusal.is_some() => {
                Reply::Refused(refusal.expect("just seen"))
            }
            Request::Subscribe(subscribe) => {
                self.subscriptions
                    .retain(|(of, old)| (*of, old.number) != (conn, subscribe.number));
                self.subscriptions.push((conn, subscribe));
                Reply::Subscribed
            }
            Request::Unsubscribe(number) => {
                self.subscriptions.retain(|(of, old)| (*of, old.number) != (conn, number));
                Reply::Done
            }
            Request::Publish(publish) => {
                self.published.push((publish.to.clone(), publish.record.clone()));
                let message = Arc::new(Message::new(publish.to, publish.record, Some(conn)));
                Reply::Published(Published { matched: self.route(&message, events), queues: 0 })
            }
            other => panic!("no NATS session asks {other:?}"),
        };
        if let Some(token) = token {
            events.push((conn, Event::Reply(token, reply)));
        }
    }

    /// Gives a message to each connection once, with all its subscriptions that match; of a group
    /// the first member has it.
    fn route(&self, message: &Arc<Message>, events: &mut Vec<(ConnId, Event)>) -> u32 {
        let Address::Subject(space, subject) = &message.address else { return 0 };
        let (mut groups, mut receivers) = (Vec::new(), BTreeMap::<ConnId, Vec<u32>>::new());
        for (conn, subscription) in &self.subscriptions {
            let own = subscription.skip_own && message.publisher == Some(*conn);
            if own || subscription.space != *space || !subscription.filter.matches(subject) {
                continue;
            }
            if let Some(group) = &subscription.group {
                let group = (group, &subscription.filter);
                if groups.contains(&group) {
                    continue;
                }
                groups.push(group);
            }
            receivers.entry(*conn).or_default().push(subscription.number);
        }
        let mut matched = 0;
        for (conn, numbers) in receivers {
            matched += u32::try_from(numbers.len()).expect("few");
            let matched = match numbers[..] {
                [one] => Matched::One(one),
                _ => Matched::Many(numbers.into()),
            };
            let message = Arc::clone(message);
            let delivery = Delivery {
                message,
                matched,
                tag: None,
                redelivered: false,
                deliveries: None,
                last_value: false,
            };
            events.push((conn, Event::Delivery(delivery)));
        }
        matched
    }

    /// Publishes as another protocol would, to a subject of the shared space in NATS form.
    pub(crate) fn publish(&mut self, subject: &str, record: Record) {
        let subject = model::render::nats::parse(subject.as_bytes()).expect("a literal subject");
        let message = Arc::new(Message::new(Address::shared(subject), record, None));
        if let Some(alias) = self.alias {
            let alias = model::render::nats::parse(alias.as_bytes()).expect("a literal subject");
            message.reply_alias.set(alias).expect("set once");
        }
        let mut events = Vec::new();
        self.route(&message, &mut events);
        for (conn, event) in events {
            let found = self.clients.iter().find(|(_, client)| client.conn == conn);
            let name = found.expect("events go to clients").0.clone();
            let Event::Delivery(one) = event else { panic!("a route gives deliveries only") };
            self.input(
                &name,
                Box::new(|session, now, _, out| {
                    session.handle(now, Input::Deliveries(&[one]), out)
                }),
            );
        }
    }
}

/// Runs one script in a fresh world.
pub(crate) fn check(script: &str) {
    World::new().run(script);
}
