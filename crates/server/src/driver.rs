//! The driver: sockets and clocks for sessions of any protocol, and the way to the broker.
//!
//! ```text
//!  acceptor    on the first worker: takes connections and spreads them over all workers
//!  worker      a thread with its own poll: one turn after the other, no task per connection
//!  connection  socket, session, and what little is kept of it while it is idle
//!  floor       all connections of a worker: what the broker gives goes to their inboxes
//!  mailbox     what other workers and the engine have for a worker, in batches, one wake-up each
//!  unsent      bytes that a socket did not take yet
//!  deadlines   one ordered set per worker, moved only when a deadline comes nearer
//! ```
//!
//! A turn: what the sockets and the mailbox hold is fed to sessions, one input at a time; their
//! requests go to the broker at once; what that gives to connections of this worker lies in inboxes
//! until the readers are through, so that a receiver gets it as one slice and one write. Between
//! turns an idle connection holds no buffer.
//!
//! Backpressure: a socket is not read while its session paused, has too many requests in flight, or
//! has more unsent bytes than the high mark. A worker whose neighbour is behind does not read at
//! all. Absent: any knowledge of a protocol.

mod acceptor;
mod connection;
mod counters;
mod deadlines;
mod feed;
mod floor;
mod mailbox;
mod requests;
mod scratch;
mod slab;
mod unsent;
mod worker;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use model::budget::Budget;
use protocol::{Node, Protocol};

pub use counters::{Counters, Ending, PROTOCOL_COUNTERS, ProtocolTotals};
pub use mailbox::{Mailboxes, Polls, mailboxes};
pub use requests::Requests;

/// What the driver is told once.
#[derive(Clone)]
pub struct Settings {
    /// The protocols, in the order in which listeners name them.
    pub protocols: Arc<[Box<dyn Protocol>]>,
    /// What every session knows about the server.
    pub node: Arc<Node>,
    /// What memory is accounted into.
    pub budget: Arc<Budget>,
    /// Most connections at a time.
    pub connections: usize,
    /// Most bytes of live messages that wait for one connection.
    pub outbound_bytes: usize,
    /// Most requests of one connection that wait for their answer.
    pub requests: u32,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// A bound socket and the protocol that is spoken on it.
#[derive(Debug)]
pub struct Listener {
    /// The socket; made non-blocking here.
    pub socket: TcpListener,
    /// The protocol's place in [`Settings::protocols`].
    pub protocol: usize,
}

/// What all workers share.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    open: AtomicUsize,
    draining: AtomicBool,
    counters: Arc<Counters>,
}

/// The running workers.
#[derive(Debug)]
pub struct Driver<C: Send + 'static> {
    threads: Vec<JoinHandle<()>>,
    mailboxes: Arc<Mailboxes<C>>,
    shared: Arc<Shared>,
}

impl<C: Send + 'static> Driver<C> {
    /// Starts one worker for each desk; the first one also accepts.
    ///
    /// # Errors
    ///
    /// What the operating system says to a listener or a thread.
    pub fn start<R: Requests<Completion = C>>(
        settings: Settings,
        (polls, mailboxes): (Polls, Arc<Mailboxes<C>>),
        desks: Vec<R>,
        listeners: Vec<Listener>,
    ) -> io::Result<Self> {
        let counters = Arc::new(Counters::new(settings.protocols.len()));
        let shared = Arc::new(Shared {
            settings,
            open: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            counters,
        });
        let mut acceptor = Some(acceptor::Acceptor::new(listeners, mailboxes.len())?);
        let mut threads = Vec::new();
        for ((number, poll), desk) in (0_u16..).zip(polls.0).zip(desks) {
            let worker = worker::Worker::new(
                number,
                poll,
                desk,
                mailboxes.clone(),
                shared.clone(),
                acceptor.take(),
            )?;
            let thread = std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || worker.live())?;
            threads.push(thread);
        }
        Ok(Self { threads, mailboxes, shared })
    }

    /// Counters of all workers.
    pub fn counters(&self) -> Arc<Counters> {
        self.shared.counters.clone()
    }

    /// Stops accepting, says goodbye to every client and waits until the workers are through: two
    /// seconds at most.
    pub fn drain(self) {
        self.shared.draining.store(true, Ordering::Release);
        self.mailboxes.wake_all();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker ended by a panic");
            }
        }
    }
}
