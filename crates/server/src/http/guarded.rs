//! A listener whose connections are few, and whose requests are small and quick.
//!
//! Since its last answer a peer may send so many bytes and take so long; then the connection ends.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Most connections to one address.
const CONNECTIONS: usize = 64;

/// Most bytes of one request: line, headers and body.
const REQUEST_BYTES: usize = 64 * 1024;

/// The longest time between two answers.
const REQUEST_TIME: Duration = Duration::from_secs(30);

/// How long to wait after the system refused to give a connection.
const REST: Duration = Duration::from_millis(100);

/// A listener with limits.
#[derive(Debug)]
pub(super) struct Guarded {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Guarded {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(CONNECTIONS)) }
    }
}

impl Listener for Guarded {
    type Io = Limited;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Limited, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // Without a place the stream is dropped: the peer sees a closed connection.
                    if let Ok(place) = self.places.clone().try_acquire_owned() {
                        return (Limited::new(stream, place), peer);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "HTTP cannot take a connection");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with limits.
#[derive(Debug)]
pub(super) struct Limited {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    taken: usize,
    _place: OwnedSemaphorePermit,
}

impl Limited {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        let deadline = Box::pin(tokio::time::sleep(REQUEST_TIME));
        Self { stream, deadline, taken: 0, _place: place }
    }
}

impl AsyncRead for Limited {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.taken > REQUEST_BYTES {
            return Poll::Ready(Err(io::Error::other("the request is too long")));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.taken += buffer.filled().len() - before;
        if outcome.is_pending() && self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        outcome
    }
}

impl AsyncWrite for Limited {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        if outcome.is_ready() {
            self.taken = 0;
            self.deadline.as_mut().reset(Instant::now() + REQUEST_TIME);
        } else if self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        outcome
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
