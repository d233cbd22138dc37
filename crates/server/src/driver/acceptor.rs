//! Takes connections on the listening sockets, on the first worker, and spreads them.

use std::io;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{SockRef, TcpKeepalive};

use super::Listener;

/// Listeners have the tokens from here on; connections those below.
const FIRST_TOKEN: usize = usize::MAX / 2;

/// Connections taken before other work is done.
const BURST: usize = 256;

/// How long to wait when the process has no file descriptor left.
const REST: Duration = Duration::from_millis(100);

/// A dead peer is noticed by the system after this long, whatever its protocol says.
const KEEPALIVE: Duration = Duration::from_secs(300);

/// The listening sockets.
#[derive(Debug)]
pub(super) struct Acceptor {
    listeners: Vec<(TcpListener, u16)>,
    /// Listeners that may have connections waiting.
    ready: Vec<usize>,
    /// No file descriptor was left: not before then.
    resting: Option<Instant>,
    workers: usize,
    next: usize,
}

impl Acceptor {
    pub(super) fn new(listeners: Vec<Listener>, workers: usize) -> io::Result<Self> {
        let mut ours = Vec::new();
        for Listener { socket, protocol } in listeners {
            socket.set_nonblocking(true)?;
            let protocol = u16::try_from(protocol).map_err(io::Error::other)?;
            ours.push((TcpListener::from_std(socket), protocol));
        }
        Ok(Self { listeners: ours, ready: Vec::new(), resting: None, workers, next: 0 })
    }

    pub(super) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        for (index, (listener, _)) in self.listeners.iter_mut().enumerate() {
            registry.register(listener, Token(FIRST_TOKEN + index), Interest::READABLE)?;
        }
        Ok(())
    }

    /// Notes an event; `false` if the token is no listener's.
    pub(super) fn note(&mut self, token: Token) -> bool {
        let Some(index) = token.0.checked_sub(FIRST_TOKEN) else { return false };
        if index < self.listeners.len() && !self.ready.contains(&index) {
            self.ready.push(index);
        }
        index < self.listeners.len()
    }

    /// When [`Acceptor::accept`] has something to do, if not at once.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        if self.ready.is_empty() { None } else { self.resting }
    }

    /// Whether [`Acceptor::accept`] has something to do at once.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty() && self.resting.is_none()
    }

    /// Takes waiting connections: each with its protocol and the worker that is to own it.
    pub(super) fn accept(&mut self, now: Instant, mut take: impl FnMut(TcpStream, u16, usize)) {
        if self.resting.is_some_and(|until| until > now) {
            return;
        }
        self.resting = None;
        let mut left = BURST;
        while let Some(&index) = self.ready.last() {
            let Some((listener, protocol)) = self.listeners.get(index) else { return };
            if left == 0 {
                // The other listeners have their turn next.
                self.ready.rotate_right(1);
                return;
            }
            left -= 1;
            match listener.accept() {
                Ok((stream, _)) => {
                    prepare(&stream);
                    take(stream, *protocol, self.next);
                    self.next = (self.next + 1) % self.workers;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready.pop();
                }
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot take connections for now");
                    self.resting = Some(now + REST);
                    return;
                }
            }
        }
    }
}

/// The connection was gone before it was taken: the next one may be fine.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

fn prepare(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    if let Err(error) = stream.set_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&keepalive))
    {
        // The peer may be gone already; reading will tell.
        tracing::debug!(%error, "socket options");
    }
}
