//! One thread of the load generator: one poll, many connections.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol as SocketProtocol, Socket, Type};

use super::dialect::{self, Dialect, Event};
use super::pacing::{Flow, Pace, Permit, Window};
use super::plan::Spec;
use super::stamp::{BYTES, Stamp, Tracker};
use super::{Failure, Options};

/// Bytes read from one connection before another has its turn.
const READ_BYTES: usize = 128 * 1024;
/// Unsent bytes of a connection above which nothing is published on it.
const OUTPUT_MAX: usize = 256 * 1024;
/// Connections that are being made at a time.
const CONNECTING_MAX: usize = 128;
/// Connections from one source address; the loopback network has many addresses.
const PER_SOURCE: usize = 20_000;
/// Latency in the histogram is at most this long.
const LATENCY_MAX_NS: u64 = 3_600_000_000_000;

/// Where a run stands. Only forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    /// Connections are being made.
    Connect = 0,
    /// Load, not measured.
    WarmUp = 1,
    /// Load, measured.
    Measure = 2,
    /// Nothing more is published.
    Drain = 3,
    /// The end.
    Stop = 4,
}

/// What the threads of a run share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) address: SocketAddr,
    pub(super) run: u32,
    /// Times are nanoseconds since then.
    pub(super) epoch: Instant,
    pub(super) phase: AtomicU8,
    /// Each worker makes its share of this many connections.
    pub(super) target: AtomicUsize,
    /// Connections that are ready.
    pub(super) ready: AtomicUsize,
    /// Some worker failed.
    pub(super) failed: AtomicBool,
    pub(super) flows: Vec<Flow>,
    pub(super) copies: u64,
}

impl Shared {
    pub(super) fn now_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Connect,
            1 => Phase::WarmUp,
            2 => Phase::Measure,
            3 => Phase::Drain,
            _ => Phase::Stop,
        }
    }
}

/// What one worker counted.
#[derive(Debug)]
pub(super) struct Counts {
    /// Sent while it was measured.
    pub(super) published: u64,
    /// Arrived while it was measured.
    pub(super) arrived: u64,
    pub(super) lost: u64,
    pub(super) duplicates: u64,
    pub(super) reordered: u64,
    pub(super) foreign: u64,
    pub(super) latency: Histogram<u64>,
}

struct Connection {
    stream: TcpStream,
    dialect: Box<dyn Dialect>,
    input: BytesMut,
    output: BytesMut,
    connected: bool,
    ready: bool,
    writable: bool,
    readable: bool,
    first_heard: u32,
    trackers: Vec<Tracker>,
    /// Number of the publisher, and the times of what is not acknowledged yet.
    publisher: Option<(u32, VecDeque<u64>)>,
}

/// One publisher of this worker.
struct Publisher {
    connection: usize,
    number: u32,
    pace: Option<Pace>,
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    specs: Vec<(usize, Spec)>,
    poll: Poll,
    connections: Vec<Connection>,
    connecting: usize,
    publishers: Vec<Publisher>,
    /// Connections with something to read.
    readable: VecDeque<usize>,
    counts: Counts,
    payload: Vec<u8>,
    scratch: Vec<u8>,
    buffer: BytesMut,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, specs: Vec<(usize, Spec)>) -> Result<Self, Failure> {
        let poll = Poll::new().map_err(Failure::io("cannot poll"))?;
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3)
            .map_err(|error| Failure::Options(error.to_string()))?;
        let payload = vec![b'x'; shared.options.size.max(BYTES)];
        Ok(Self {
            shared,
            specs,
            poll,
            connections: Vec::new(),
            connecting: 0,
            publishers: Vec::new(),
            readable: VecDeque::new(),
            counts: Counts {
                published: 0,
                arrived: 0,
                lost: 0,
                duplicates: 0,
                reordered: 0,
                foreign: 0,
                latency,
            },
            payload,
            scratch: vec![0; READ_BYTES],
            buffer: BytesMut::with_capacity(2 * READ_BYTES),
        })
    }

    /// Runs until the end of the run, and gives what was counted.
    pub(super) fn run(mut self) -> Result<Counts, Failure> {
        let result = self.run_until_stop();
        if result.is_err() {
            self.shared.failed.store(true, Ordering::Release);
        }
        result?;
        for connection in &self.connections {
            for (at, tracker) in connection.trackers.iter().enumerate() {
                let flow = self.shared.flows.get(connection.first_heard as usize + at);
                let sent = flow.map_or(0, |flow| flow.sent.load(Ordering::Relaxed));
                self.counts.lost += tracker.lost(sent);
                self.counts.duplicates += tracker.duplicates;
                self.counts.reordered += tracker.reordered;
            }
        }
        Ok(self.counts)
    }

    fn run_until_stop(&mut self) -> Result<(), Failure> {
        let mut events = Events::with_capacity(1024);
        loop {
            let phase = self.shared.phase();
            if phase == Phase::Stop || self.shared.failed.load(Ordering::Acquire) {
                return Ok(());
            }
            if phase == Phase::Connect {
                self.connect_more()?;
            }
            let wake = self.publish(phase)?;
            let timeout = if self.readable.is_empty() { wake } else { Duration::ZERO };
            match self.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(source) => return Err(Failure::io("cannot poll")(source)),
            }
            for event in &events {
                let Token(at) = event.token();
                let Some(connection) = self.connections.get_mut(at) else { continue };
                if (event.is_readable() || event.is_read_closed()) && !connection.readable {
                    connection.readable = true;
                    self.readable.push_back(at);
                }
                if event.is_writable() {
                    connection.writable = true;
                    if !connection.connected {
                        Self::connected(connection, self.shared.address)?;
                        self.connecting -= 1;
                    }
                    write(connection)?;
                }
            }
            for _ in 0..self.readable.len() {
                if let Some(at) = self.readable.pop_front() {
                    self.read(at, phase)?;
                }
            }
        }
    }

    fn connected(connection: &mut Connection, address: SocketAddr) -> Result<(), Failure> {
        let cannot = || format!("cannot connect to {address}");
        match connection.stream.take_error().map_err(Failure::io(cannot()))? {
            None => {}
            Some(error) => return Err(Failure::io(cannot())(error)),
        }
        connection.connected = true;
        // Small writes go out at once; without it a rate below saturation measures the timer.
        connection.stream.set_nodelay(true).map_err(Failure::io("cannot set TCP_NODELAY"))?;
        connection.dialect.open(&mut connection.output);
        Ok(())
    }

    fn connect_more(&mut self) -> Result<(), Failure> {
        let target = self.shared.target.load(Ordering::Acquire);
        while self.connecting < CONNECTING_MAX
            && let Some((number, spec)) = self.specs.get(self.connections.len())
            && *number < target
        {
            let mut stream = connect(self.shared.address, *number)?;
            let at = self.connections.len();
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut stream, Token(at), interest)
                .map_err(Failure::io("cannot poll"))?;
            let dialect = dialect::make(&self.shared.options, &spec.role, self.shared.run, *number);
            let (first_heard, heard) = spec.hears;
            if let Some(number) = spec.publisher {
                self.publishers.push(Publisher { connection: at, number, pace: None });
            }
            self.connections.push(Connection {
                stream,
                dialect,
                input: BytesMut::new(),
                output: BytesMut::new(),
                connected: false,
                ready: false,
                writable: false,
                readable: false,
                first_heard,
                trackers: vec![Tracker::default(); heard as usize],
                publisher: spec.publisher.map(|number| (number, VecDeque::new())),
            });
            self.connecting += 1;
        }
        Ok(())
    }

    /// Publishes what is due, and tells how long nothing else will be.
    fn publish(&mut self, phase: Phase) -> Result<Duration, Failure> {
        let mut wake = Duration::from_millis(if phase == Phase::Connect { 5 } else { 50 });
        if phase < Phase::WarmUp {
            return Ok(wake);
        }
        for publisher in &mut self.publishers {
            let Some(connection) = self.connections.get_mut(publisher.connection) else { continue };
            let Some(flow) = self.shared.flows.get(publisher.number as usize) else { continue };
            if phase <= Phase::Measure {
                let now_ns = self.shared.now_ns();
                let shared = &self.shared;
                let pace =
                    publisher.pace.get_or_insert_with(|| pace(shared, publisher.number, now_ns));
                match pace.permit(flow, now_ns) {
                    Permit::Send(count) => {
                        let sent = fill(shared, connection, flow, pace, count, &mut self.payload);
                        if phase == Phase::Measure {
                            self.counts.published += sent;
                        }
                        if sent == count {
                            // More may be due by the time this one is on its way.
                            wake = Duration::ZERO;
                        }
                    }
                    Permit::At(due_ns) => {
                        wake = wake.min(until(due_ns.saturating_sub(now_ns)));
                    }
                    Permit::Blocked => {}
                }
            }
            if phase <= Phase::Drain {
                connection.dialect.flush(&mut connection.output);
            }
            if !connection.output.is_empty() {
                write(connection)?;
            }
        }
        Ok(wake)
    }

    fn read(&mut self, at: usize, phase: Phase) -> Result<(), Failure> {
        let Some(connection) = self.connections.get_mut(at) else { return Ok(()) };
        let length = match connection.stream.read(&mut self.scratch) {
            Ok(0) => return Err(Failure::peer("the server closed a connection")),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                connection.readable = false;
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                self.readable.push_back(at);
                return Ok(());
            }
            Err(error) => return Err(Failure::io("reading failed")(error)),
        };
        if length < self.scratch.len() {
            // A short read has emptied the socket; the next edge tells of more.
            connection.readable = false;
        } else {
            self.readable.push_back(at);
        }
        let fresh = self.scratch.get(..length).unwrap_or_default();
        let now_ns = self.shared.now_ns();
        let Connection { dialect, input, output, ready, trackers, publisher, first_heard, .. } =
            connection;
        // An idle connection keeps no buffer: whole packets are taken from the common one.
        self.buffer.clear();
        self.buffer.extend_from_slice(input);
        self.buffer.extend_from_slice(fresh);
        input.clear();
        let mut arrivals =
            Arrivals { shared: &self.shared, counts: &mut self.counts, phase, now_ns };
        dialect.receive(&mut self.buffer, output, &mut |event| match event {
            Event::Ready => {
                *ready = true;
                arrivals.shared.ready.fetch_add(1, Ordering::AcqRel);
            }
            Event::Message(payload) => arrivals.message(payload, *first_heard, trackers),
            Event::Acked(count) => {
                if let Some((number, times)) = publisher {
                    arrivals.acked(count, *number, times);
                }
            }
        })?;
        if self.buffer.is_empty() {
            *input = BytesMut::new();
        } else {
            input.extend_from_slice(&self.buffer);
        }
        if output.is_empty() { Ok(()) } else { write(connection) }
    }
}

/// Takes in what came.
struct Arrivals<'a> {
    shared: &'a Shared,
    counts: &'a mut Counts,
    phase: Phase,
    now_ns: u64,
}

impl Arrivals<'_> {
    fn message(&mut self, payload: &[u8], first_heard: u32, trackers: &mut [Tracker]) {
        let stamp = Stamp::read(payload).filter(|stamp| stamp.run == self.shared.run);
        let heard = stamp.and_then(|stamp| {
            let at = stamp.publisher.checked_sub(first_heard)? as usize;
            let flow = self.shared.flows.get(stamp.publisher as usize)?;
            Some((stamp, trackers.get_mut(at)?, flow))
        });
        if self.phase == Phase::Measure {
            self.counts.arrived += 1;
        }
        let Some((stamp, tracker, flow)) = heard else {
            self.counts.foreign += 1;
            return;
        };
        tracker.saw(stamp.number);
        flow.arrived.fetch_add(1, Ordering::Relaxed);
        self.latency(stamp.time_ns);
    }

    fn acked(&mut self, count: u64, number: u32, times: &mut VecDeque<u64>) {
        if times.is_empty() {
            // Acknowledged, but somebody receives: that is what counts.
            return;
        }
        if let Some(flow) = self.shared.flows.get(number as usize) {
            flow.arrived.fetch_add(count, Ordering::Relaxed);
        }
        if self.phase == Phase::Measure {
            self.counts.arrived += count;
        }
        for _ in 0..count {
            if let Some(time_ns) = times.pop_front() {
                self.latency(time_ns);
            }
        }
    }

    fn latency(&mut self, since_ns: u64) {
        if self.phase == Phase::Measure {
            self.counts.latency.saturating_record(self.now_ns.saturating_sub(since_ns).max(1));
        }
    }
}

/// The pace of a publisher whose load begins at `now_ns`.
fn pace(shared: &Shared, number: u32, now_ns: u64) -> Pace {
    let Some(rate) = shared.options.rate else {
        return Pace::Closed(Window::new(shared.options.window, shared.copies));
    };
    // The publishers take turns instead of all sending at once.
    let interval_ns = 1e9 * shared.flows.len() as f64 / rate;
    let turn = f64::from(number) / shared.flows.len() as f64;
    Pace::Open { start_ns: now_ns as f64 + turn * interval_ns, interval_ns }
}

/// Writes up to `count` messages; fewer if the connection has enough to send already.
fn fill(
    shared: &Shared,
    connection: &mut Connection,
    flow: &Flow,
    pace: &Pace,
    count: u64,
    payload: &mut [u8],
) -> u64 {
    let Some((publisher, times)) = &mut connection.publisher else { return 0 };
    let acknowledged = shared.options.scenario == super::Scenario::Publish;
    let mut number = flow.sent.load(Ordering::Relaxed);
    let first = number;
    while number - first < count && connection.output.len() < OUTPUT_MAX {
        let time_ns = pace.intended_ns(number, shared.now_ns());
        let stamp = Stamp { run: shared.run, publisher: *publisher, number, time_ns };
        stamp.write(payload);
        connection.dialect.publish(payload, &mut connection.output);
        if acknowledged {
            times.push_back(time_ns);
        }
        number += 1;
    }
    flow.sent.store(number, Ordering::Relaxed);
    number - first
}

/// How long to sleep: the poll rounds up to milliseconds, so the last one is spent awake.
fn until(left_ns: u64) -> Duration {
    Duration::from_millis((left_ns / 1_000_000).saturating_sub(1))
}

fn write(connection: &mut Connection) -> Result<(), Failure> {
    while connection.writable && connection.connected && !connection.output.is_empty() {
        match connection.stream.write(&connection.output) {
            Ok(length) => connection.output.advance(length),
            Err(error) if error.kind() == ErrorKind::WouldBlock => connection.writable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::io("writing failed")(error)),
        }
    }
    if connection.output.is_empty() && connection.publisher.is_none() {
        connection.output = BytesMut::new();
    }
    Ok(())
}

/// Starts a connection. Beyond what one source address has ports for, another one of the loopback
/// network is used.
fn connect(address: SocketAddr, number: usize) -> Result<TcpStream, Failure> {
    let cannot = || format!("cannot connect to {address}");
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(SocketProtocol::TCP))
        .map_err(Failure::io("cannot make a socket"))?;
    socket.set_nonblocking(true).map_err(Failure::io("cannot make a socket"))?;
    let source = number / PER_SOURCE;
    if source > 0
        && let IpAddr::V4(ip) = address.ip()
        && ip.is_loopback()
    {
        let last = u8::try_from(source + 1).unwrap_or(u8::MAX);
        let source = SocketAddr::from((Ipv4Addr::new(127, 0, 1, last), 0));
        socket.bind(&source.into()).map_err(Failure::io("cannot bind a source address"))?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => {}
        // EINPROGRESS has no name in the standard library.
        Err(error)
            if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(Failure::io(cannot())(error)),
    }
    Ok(TcpStream::from_std(socket.into()))
}
