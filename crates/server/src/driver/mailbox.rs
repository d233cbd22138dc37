//! What other workers and the engine have for a worker: moved in batches, one wake-up each.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker::{Completion, Mail};
use mio::net::TcpStream;
use mio::{Poll, Token, Waker};
use protocol::{ConnId, Delivery, Notice, Reply};

/// The token of wake-ups.
pub(super) const WAKE: Token = Token(usize::MAX);

/// A mailbox with more bytes than this is behind: who fills it reads no sockets meanwhile.
const BEHIND_BYTES: usize = 16 * 1024 * 1024;

/// What a parcel counts besides the record in it.
pub(super) const PARCEL_BYTES: usize = 128;

/// One thing for a worker.
#[derive(Debug)]
pub(super) enum Parcel<C> {
    Deliver(ConnId, Delivery),
    Reply(ConnId, protocol::Token, Box<Reply>),
    Notice(ConnId, Notice),
    Completion(C),
    /// A connection to take over: its socket and protocol.
    Adopt(TcpStream, u16),
}

/// One poll for each worker, to be given to the driver.
#[derive(Debug)]
pub struct Polls(pub(super) Vec<Poll>);

/// The mailboxes of all workers.
#[derive(Debug)]
pub struct Mailboxes<C>(Vec<Mailbox<C>>);

#[derive(Debug)]
struct Mailbox<C> {
    parcels: Mutex<Vec<Parcel<C>>>,
    /// Bytes of the parcels, about.
    bytes: AtomicUsize,
    waker: Waker,
}

/// Makes the polls and mailboxes of `workers` workers.
///
/// # Errors
///
/// What the operating system says.
pub fn mailboxes<C>(workers: u16) -> io::Result<(Polls, Arc<Mailboxes<C>>)> {
    let mut polls = Vec::new();
    let mut boxes = Vec::new();
    for _ in 0..workers {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        boxes.push(Mailbox { parcels: Mutex::new(Vec::new()), bytes: AtomicUsize::new(0), waker });
        polls.push(poll);
    }
    Ok((Polls(polls), Arc::new(Mailboxes(boxes))))
}

impl<C> Mailboxes<C> {
    /// How many workers there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Hands a worker all that is in `parcels`, and takes their memory back empty.
    pub(super) fn send(&self, worker: usize, parcels: &mut Vec<Parcel<C>>, bytes: usize) {
        let Some(mailbox) = self.0.get(worker) else {
            parcels.clear();
            return;
        };
        let mut there = mailbox.lock();
        mailbox.bytes.fetch_add(bytes, Ordering::Relaxed);
        let first = there.is_empty();
        if first {
            std::mem::swap(&mut *there, parcels);
        } else {
            there.append(parcels);
        }
        drop(there);
        if first {
            mailbox.wake();
        }
    }

    /// Takes everything out of a worker's own mailbox; `into` is empty.
    pub(super) fn receive(&self, worker: usize, into: &mut Vec<Parcel<C>>) {
        if let Some(mailbox) = self.0.get(worker) {
            let mut there = mailbox.lock();
            std::mem::swap(&mut *there, into);
            mailbox.bytes.store(0, Ordering::Relaxed);
        }
    }

    /// Whether another worker than this one is behind.
    pub(super) fn others_behind(&self, worker: usize) -> bool {
        self.0.iter().enumerate().any(|(number, mailbox)| {
            number != worker && mailbox.bytes.load(Ordering::Relaxed) > BEHIND_BYTES
        })
    }

    /// Wakes all workers.
    pub(super) fn wake_all(&self) {
        for mailbox in &self.0 {
            mailbox.wake();
        }
    }

    /// Hands a worker what the engine finished, from any thread.
    pub fn complete(&self, worker: u16, completion: C) {
        if let Some(mailbox) = self.0.get(usize::from(worker)) {
            let mut there = mailbox.lock();
            let first = there.is_empty();
            there.push(Parcel::Completion(completion));
            drop(there);
            if first {
                mailbox.wake();
            }
        }
    }
}

impl Mail for Mailboxes<Completion> {
    fn post(&self, worker: u16, completion: Completion) {
        self.complete(worker, completion);
    }
}

impl<C> Mailbox<C> {
    fn lock(&self) -> MutexGuard<'_, Vec<Parcel<C>>> {
        self.parcels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "a worker could not be woken");
        }
    }
}
