//! A protocol for tests: `[length: u32 BE][kind: u8][body]`, and a broker that knows subscribers.
//!
//! ```text
//!  E  echo                        S  subscribe (answer: the worker)
//!  P  publish to subscribers      A  a request answered by another thread
//!  W  as A, and nothing before the answer        T  a deadline in so many milliseconds
//!  B  goodbye                     X  panic
//! ```

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use broker::Port;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use model::budget::Budget;
use model::limits::Limits;
use model::record::{Address, Record};
use protocol::{
    Close, ConnId, Delivery, Input, Matched, Message, Node, Notice, Now, Outbox, Peer, Protocol,
    Publish, Reply, Request, Session, SlowReceiver, Token,
};
use server::driver::{Counters, Driver, Listener, Mailboxes, ProtocolTotals, Requests, Settings};

pub(crate) const CONNECTIONS: usize = 30;

/// Far above what the tests use.
pub(crate) const BUDGET: u64 = 1 << 30;

const FRAME_MAX: usize = 1 << 20;

pub(crate) fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 5);
    bytes.put_u32(body.len() as u32);
    bytes.put_u8(kind);
    bytes.extend_from_slice(body);
    bytes
}

#[derive(Clone, Copy, Default)]
pub(crate) enum Slow {
    #[default]
    Drop,
    Close,
}

#[derive(Default)]
pub(crate) struct Toy {
    pub(crate) slow: Slow,
}

impl Protocol for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn port(&self) -> u16 {
        0
    }

    fn open(&self, _: Now, peer: Peer) -> Box<dyn Session> {
        Box::new(ToySession {
            conn: peer.conn,
            deadline: None,
            waiting: None,
            next: 0,
            asked: Vec::new(),
        })
    }

    fn slow_receiver(&self) -> SlowReceiver {
        match self.slow {
            Slow::Drop => SlowReceiver::Drop,
            Slow::Close => SlowReceiver::Close,
        }
    }
}

struct ToySession {
    conn: ConnId,
    deadline: Option<Instant>,
    /// Nothing may be done before the answer to this one.
    waiting: Option<Token>,
    next: u64,
    asked: Vec<(Token, u8, Bytes)>,
}

impl ToySession {
    fn packet(&mut self, now: Now, kind: u8, body: Bytes, out: &mut Outbox) -> Result<(), Close> {
        match kind {
            b'E' => send(out, b'E', &body),
            b'S' => {
                out.tell(Request::Cancel(1));
                send(out, b'S', &[self.conn.worker as u8]);
            }
            b'P' => {
                let record = Record { value: Some(body), ..Record::default() };
                let to = Address::Queue(Bytes::new());
                out.tell(Request::Publish(Publish::new(to, record)));
            }
            b'A' | b'W' => {
                let token = Token(self.next);
                self.next += 1;
                if kind == b'W' {
                    self.waiting = Some(token);
                }
                self.asked.push((token, kind, body));
                out.ask(token, Request::NewProducer);
            }
            b'T' => {
                let ms = u32::from_be_bytes([body[0], body[1], body[2], body[3]]);
                self.deadline = Some(now.instant + Duration::from_millis(ms.into()));
            }
            b'B' => {
                send(out, b'B', &body);
                return Err(Close::Done);
            }
            b'X' => panic!("as asked"),
            _ => {
                send(out, b'!', b"");
                return Err(Close::Violation("no such kind".to_owned()));
            }
        }
        Ok(())
    }

    fn bytes(&mut self, now: Now, bytes: &mut BytesMut, out: &mut Outbox) -> Result<(), Close> {
        while self.waiting.is_none() && bytes.len() >= 5 {
            let length = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
            if length > FRAME_MAX {
                send(out, b'!', b"");
                return Err(Close::Violation("too long".to_owned()));
            }
            if bytes.len() < 5 + length {
                break;
            }
            let mut packet = bytes.split_to(5 + length).freeze();
            let kind = packet[4];
            packet.advance(5);
            self.packet(now, kind, packet, out)?;
        }
        Ok(())
    }
}

fn send(out: &mut Outbox, kind: u8, body: &[u8]) {
    out.frame(&Bytes::from(frame(kind, body)));
}

impl Session for ToySession {
    fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Outbox) -> Result<(), Close> {
        let result = match input {
            Input::Opened | Input::End => Ok(()),
            Input::Bytes(bytes) => self.bytes(now, bytes, out),
            Input::Reply(token, _) => {
                let at = self.asked.iter().position(|(asked, ..)| *asked == token).unwrap();
                let (_, kind, body) = self.asked.remove(at);
                send(out, kind, &body);
                if self.waiting == Some(token) {
                    self.waiting = None;
                }
                Ok(())
            }
            Input::Deliveries(deliveries) => {
                for delivery in deliveries {
                    send(out, b'M', &delivery.message.record.payload());
                }
                Ok(())
            }
            Input::Notice(Notice::Draining) => {
                send(out, b'D', b"");
                Err(Close::Draining)
            }
            Input::Notice(Notice::Pressure(on)) => {
                send(out, b'N', &[u8::from(on)]);
                Ok(())
            }
            Input::Notice(_) => Ok(()),
            Input::Timeout => {
                if self.deadline.take().is_some_and(|deadline| deadline <= now.instant) {
                    send(out, b'T', b"");
                }
                Ok(())
            }
        };
        if self.waiting.is_some() {
            out.pause();
        }
        result
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

#[derive(Default)]
struct Shared {
    subscribers: Mutex<BTreeSet<ConnId>>,
    requests: AtomicUsize,
    stopped: AtomicUsize,
    gone: AtomicUsize,
    held: AtomicBool,
    pressed: AtomicBool,
    waiting: Mutex<Vec<(ConnId, Token)>>,
}

struct ToyDesk {
    shared: Arc<Shared>,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the toy asks three things")]
impl Requests for ToyDesk {
    type Completion = (ConnId, Token);

    fn request(
        &mut self,
        _: Now,
        conn: ConnId,
        token: Option<Token>,
        request: Request,
        port: &mut dyn Port,
    ) {
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        match request {
            Request::Cancel(_) => {
                self.shared.subscribers.lock().unwrap().insert(conn);
            }
            Request::Publish(publish) => {
                let message = Arc::new(Message::new(publish.to, publish.record, Some(conn)));
                for subscriber in self.shared.subscribers.lock().unwrap().iter() {
                    let delivery = Delivery {
                        message: message.clone(),
                        matched: Matched::One(1),
                        tag: None,
                        redelivered: false,
                        deliveries: None,
                        last_value: false,
                    };
                    port.deliver(*subscriber, delivery);
                }
            }
            Request::NewProducer => {
                self.shared.waiting.lock().unwrap().push((conn, token.unwrap()));
            }
            other => panic!("the toy asks nothing else: {other:?}"),
        }
    }

    fn complete(&mut self, _: Now, (conn, token): (ConnId, Token), port: &mut dyn Port) {
        port.reply(conn, token, Reply::Done);
    }

    fn gone(&mut self, _: Now, conn: ConnId, _: &mut dyn Port) {
        self.shared.subscribers.lock().unwrap().remove(&conn);
        self.shared.gone.fetch_add(1, Ordering::Relaxed);
    }

    fn flow(&mut self, _: Now, _: ConnId, stopped: bool, _: &mut dyn Port) {
        if stopped {
            self.shared.stopped.fetch_add(1, Ordering::Relaxed);
        } else {
            self.shared.stopped.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn is_pressed(&self) -> bool {
        self.shared.pressed.load(Ordering::Relaxed)
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn timeout(&mut self, _: Now, _: &mut dyn Port) {}
}

/// A running driver, and the thread that answers.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    driver: Driver<(ConnId, Token)>,
    counters: Arc<Counters>,
    shared: Arc<Shared>,
    pub(crate) budget: Arc<Budget>,
    over: Arc<AtomicBool>,
    answering: std::thread::JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(workers: u16, toy: Toy) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (polls, mailboxes) = server::driver::mailboxes(workers).unwrap();
        let node = Node {
            id: 1,
            cluster_id: String::new(),
            version: "0",
            limits: Limits::default(),
            default_partitions: 1,
            auto_create_streams: true,
            advertise: None,
        };
        let protocols: Vec<Box<dyn Protocol>> = vec![Box::new(toy)];
        let budget = Arc::new(Budget::new(BUDGET));
        let settings = Settings {
            protocols: protocols.into(),
            node: Arc::new(node),
            budget: budget.clone(),
            connections: CONNECTIONS,
            outbound_bytes: 1 << 20,
            requests: 1000,
        };
        let over = Arc::new(AtomicBool::new(false));
        let answering = answer(&shared, &mailboxes, &over);
        let desks = (0..workers).map(|_| ToyDesk { shared: shared.clone() }).collect();
        let listeners = vec![Listener { socket, protocol: 0 }];
        let driver = Driver::start(settings, (polls, mailboxes), desks, listeners).unwrap();
        let counters = driver.counters();
        Self { address, driver, counters, shared, budget, over, answering }
    }

    pub(crate) fn totals(&self) -> &ProtocolTotals {
        &self.counters.protocols[0]
    }

    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn stopped(&self) -> usize {
        self.shared.stopped.load(Ordering::Relaxed)
    }

    pub(crate) fn press(&self, pressed: bool) {
        self.shared.pressed.store(pressed, Ordering::Relaxed);
    }

    pub(crate) fn hold_answers(&self, held: bool) {
        self.shared.held.store(held, Ordering::Relaxed);
    }

    /// Goes down; how many connections the broker was told to forget.
    pub(crate) fn stop(self) -> usize {
        self.driver.drain();
        self.over.store(true, Ordering::Relaxed);
        self.answering.join().unwrap();
        self.shared.gone.load(Ordering::Relaxed)
    }
}

/// Answers requests from a thread of its own, as an engine does.
fn answer(
    shared: &Arc<Shared>,
    mailboxes: &Arc<Mailboxes<(ConnId, Token)>>,
    over: &Arc<AtomicBool>,
) -> std::thread::JoinHandle<()> {
    let (shared, mailboxes, over) = (shared.clone(), mailboxes.clone(), over.clone());
    std::thread::spawn(move || {
        while !over.load(Ordering::Relaxed) {
            if !shared.held.load(Ordering::Relaxed) {
                let waiting = std::mem::take(&mut *shared.waiting.lock().unwrap());
                for (conn, token) in waiting {
                    mailboxes.complete(conn.worker, (conn, token));
                }
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    })
}
