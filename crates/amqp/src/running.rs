//! An open connection: what all its channels share.

use std::collections::VecDeque;
use std::sync::Arc;

use amqp_codec::{Method, Properties, ShortStr, basic, channel, connection};
use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use protocol::{Consume, Node, QueueDeclaration, Request, Settlement, SpaceDeclaration, Token};

use crate::channel::{Channel, Slot};
use crate::exchange::Known;
use crate::failure::Failure;
use crate::handshake::{Client, Tuned};
use crate::names::Names;
use crate::session::{Cx, End};
use crate::settle::settle;

/// The token of the one request that the connection waits for.
const AWAITED: Token = Token(0);

/// Most windows of ended consumers that a channel keeps apart before it uses them again.
const RETIRED_MAX: usize = 1024;

/// Most exclusive queues that a connection remembers.
pub(crate) const EXCLUSIVE_MAX: usize = 1024;

#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) node: Arc<Node>,
    pub(crate) names: Names,
    pub(crate) client: Client,
    pub(crate) tuned: Tuned,
    pub(crate) channels: HashMap<u16, Slot, RandomState>,
    pub(crate) consumers: HashMap<u32, Consumer, RandomState>,
    pub(crate) flights: Flights,
    /// While this is set, nothing is read.
    pub(crate) waiting: Option<Waiting>,
    pub(crate) known: Known,
    /// Exclusive queues that were declared here: they are gone before close-ok is sent. Beyond
    /// [`EXCLUSIVE_MAX`] they are gone soon after it.
    pub(crate) exclusive: Vec<ShortStr>,
    /// Bytes of bodies that are not whole.
    pub(crate) assembling: usize,
    generations: u64,
    /// The last number given to a consumer, a subscription or a window.
    numbers: u32,
    windows_free: Vec<u32>,
    blocking: Blocking,
}

/// Whether publishing is held up, and who knows.
#[derive(Debug, Default)]
struct Blocking {
    on: bool,
    told: bool,
    /// The connection has published.
    publishes: bool,
}

/// A consumer, by the number that the broker knows it by.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) channel: u16,
    pub(crate) tag: ShortStr,
    pub(crate) no_ack: bool,
    /// The window of its own.
    pub(crate) window: Option<u32>,
    /// It takes answers, not a queue's messages.
    pub(crate) replies: bool,
}

/// A method that waits for the broker.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) channel: u16,
    /// What the client asked, for the text of a failure.
    pub(crate) method: (u16, u16),
    pub(crate) step: Step,
}

/// What it waits for.
#[derive(Debug)]
pub(crate) enum Step {
    /// All publishes before this method were answered.
    Publishes(Method),
    /// The exchange that a publish names: is it there?
    PublishTo(basic::Publish),
    DeclareExchange {
        declaration: SpaceDeclaration,
        nowait: bool,
    },
    CheckExchange {
        name: ShortStr,
        nowait: bool,
    },
    DeleteExchange {
        name: ShortStr,
        nowait: bool,
    },
    /// The source of a binding: what kind is it?
    BindFrom(Bind),
    Bind(Bind),
    DeclareQueue {
        declaration: QueueDeclaration,
        nowait: bool,
    },
    /// A queue with a reserved name may be declared again, but not made.
    DeclareReserved {
        declaration: QueueDeclaration,
        nowait: bool,
    },
    CheckQueue {
        name: ShortStr,
        nowait: bool,
    },
    Purge {
        name: ShortStr,
        nowait: bool,
    },
    DeleteQueue {
        name: ShortStr,
        nowait: bool,
    },
    Consume {
        number: u32,
        consumer: Consumer,
        queue: ShortStr,
        nowait: bool,
    },
    Cancel {
        number: u32,
        nowait: bool,
    },
    Get {
        queue: ShortStr,
        no_ack: bool,
    },
    /// The last exclusive queue is gone: then close-ok.
    Close,
}

/// A binding to be made or undone.
#[derive(Debug)]
pub(crate) struct Bind {
    pub(crate) source: ShortStr,
    pub(crate) target: Target,
    pub(crate) key: Bytes,
    pub(crate) arguments: amqp_codec::Table,
    pub(crate) undo: bool,
    pub(crate) nowait: bool,
}

/// The other end of a binding.
#[derive(Debug)]
pub(crate) enum Target {
    Queue(ShortStr),
    Exchange(ShortStr),
}

/// A publish that waits for its answer.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) channel: u16,
    pub(crate) generation: u64,
    /// Its number, if it is to be confirmed.
    pub(crate) confirm: Option<u64>,
    pub(crate) exchange: ShortStr,
    /// What goes back if nobody takes it.
    pub(crate) returned: Option<Box<Returned>>,
}

/// A message that may come back.
#[derive(Debug)]
pub(crate) struct Returned {
    pub(crate) routing_key: ShortStr,
    pub(crate) properties: Properties,
    pub(crate) body: Bytes,
}

/// Publishes in flight, by token.
#[derive(Debug)]
pub(crate) struct Flights {
    /// The token of the first of `row`.
    first: u64,
    row: VecDeque<Option<Flight>>,
}

impl Flights {
    const fn new() -> Self {
        Self { first: AWAITED.0 + 1, row: VecDeque::new() }
    }

    pub(crate) fn push(&mut self, flight: Flight) -> Token {
        let token = Token(self.first + self.row.len() as u64);
        self.row.push_back(Some(flight));
        token
    }

    pub(crate) fn take(&mut self, token: Token) -> Option<Flight> {
        let at = usize::try_from(token.0.checked_sub(self.first)?).ok()?;
        let flight = self.row.get_mut(at)?.take();
        while let Some(None) = self.row.front() {
            self.row.pop_front();
            self.first += 1;
        }
        flight
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.row.is_empty()
    }
}

impl Running {
    pub(crate) fn new(node: Arc<Node>, names: Names, client: Client, tuned: Tuned) -> Self {
        Self {
            node,
            names,
            client,
            tuned,
            channels: HashMap::default(),
            consumers: HashMap::default(),
            flights: Flights::new(),
            waiting: None,
            known: Known::default(),
            exclusive: Vec::new(),
            assembling: 0,
            generations: 0,
            numbers: 0,
            windows_free: Vec::new(),
            blocking: Blocking::default(),
        }
    }

    /// The channel, if it is open.
    pub(crate) fn channel(&mut self, number: u16) -> Option<&mut Channel> {
        match self.channels.get_mut(&number)? {
            Slot::Open(channel) => Some(channel),
            Slot::Closing => None,
        }
    }

    /// Asks the broker and reads nothing until it has answered.
    pub(crate) fn ask(
        &mut self,
        cx: &mut Cx<'_>,
        channel: u16,
        method: (u16, u16),
        step: Step,
        request: Request,
    ) {
        self.waiting = Some(Waiting { channel, method, step });
        cx.out.ask(AWAITED, request);
    }

    /// Whether this is the answer that is waited for.
    pub(crate) fn is_awaited(token: Token) -> bool {
        token == AWAITED
    }

    pub(crate) fn next_generation(&mut self) -> u64 {
        self.generations += 1;
        self.generations
    }

    /// A number that no consumer, subscription or window of this connection has.
    pub(crate) fn next_number(&mut self) -> u32 {
        loop {
            self.numbers = self.numbers.wrapping_add(1);
            if self.numbers != 0 && !self.consumers.contains_key(&self.numbers) {
                return self.numbers;
            }
        }
    }

    /// A window of this size, 0 = no limit.
    pub(crate) fn window(&mut self, cx: &mut Cx<'_>, size: u32) -> u32 {
        let window = match self.windows_free.pop() {
            Some(window) => window,
            None => self.next_number(),
        };
        cx.out.tell(Request::Window { window, size });
        window
    }

    /// A consumer ended: its window is free once nothing of its channel is unsettled.
    pub(crate) fn retire_window(&mut self, channel: u16, window: u32) {
        let Some(open) = self.channel(channel) else { return self.windows_free.push(window) };
        open.retired.push(window);
        let freed = if open.unsettled.is_empty() {
            std::mem::take(&mut open.retired)
        } else if open.retired.len() > RETIRED_MAX {
            vec![open.retired.remove(0)]
        } else {
            Vec::new()
        };
        self.windows_free.extend(freed);
    }

    /// What becomes of a method that failed.
    pub(crate) fn failed(
        &mut self,
        cx: &mut Cx<'_>,
        channel: u16,
        method: (u16, u16),
        failure: Failure,
    ) -> Result<(), End> {
        let failure = failure.of(method);
        if channel == 0 || failure.code.is_hard() {
            return Err(End::Failure(failure));
        }
        if !matches!(self.channels.get(&channel), Some(Slot::Open(_))) {
            return Ok(());
        }
        self.release_channel(cx, channel);
        self.channels.insert(channel, Slot::Closing);
        let (class_id, method_id) = failure.method;
        let reply_code = failure.code.number();
        let reply_text = failure.reply_text();
        cx.send(channel, channel::Close { reply_code, reply_text, class_id, method_id });
        Ok(())
    }

    /// Ends the consumers of a channel, then gives back what is unsettled, and forgets the channel.
    pub(crate) fn release_channel(&mut self, cx: &mut Cx<'_>, number: u16) {
        let Some(Slot::Open(mut channel)) = self.channels.remove(&number) else { return };
        for consumer in channel.consumers.values() {
            let Some(known) = self.consumers.remove(consumer) else { continue };
            cx.out.tell(if known.replies {
                Request::Unsubscribe(*consumer)
            } else {
                Request::Cancel(*consumer)
            });
            self.windows_free.extend(known.window);
        }
        self.assembling = self.assembling.saturating_sub(channel.assembly.held());
        settle(cx, channel.unsettled.take_all(), Settlement::Requeue);
        self.windows_free.extend(channel.window);
        self.windows_free.append(&mut channel.retired);
    }

    /// Lets everything go: the connection ends.
    pub(crate) fn release(&mut self, cx: &mut Cx<'_>) {
        let mut numbers: Vec<u16> = self.channels.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            self.release_channel(cx, number);
        }
        self.waiting = None;
    }

    /// The consumer's queue is gone.
    pub(crate) fn consumer_gone(&mut self, cx: &mut Cx<'_>, number: u32) {
        let Some(consumer) = self.consumers.remove(&number) else { return };
        if let Some(channel) = self.channel(consumer.channel) {
            channel.consumers.remove(&consumer.tag);
        }
        if let Some(window) = consumer.window {
            self.retire_window(consumer.channel, window);
        }
        if self.client.cancel_notify {
            let cancel = basic::Cancel { consumer_tag: consumer.tag, nowait: true };
            cx.send(consumer.channel, cancel);
        }
    }

    /// Publishing is held up, or goes on. Only clients that publish and want to know are told.
    pub(crate) fn pressure(&mut self, cx: &mut Cx<'_>, on: bool) {
        self.blocking.on = on;
        if !on && std::mem::take(&mut self.blocking.told) {
            cx.send(0, connection::Unblocked {});
        }
        self.tell_blocked(cx);
    }

    /// The connection publishes.
    pub(crate) fn publishes(&mut self, cx: &mut Cx<'_>) {
        self.blocking.publishes = true;
        if self.blocking.on {
            self.tell_blocked(cx);
        }
    }

    fn tell_blocked(&mut self, cx: &mut Cx<'_>) {
        let due = self.blocking.on && self.blocking.publishes && self.client.blocked;
        if due && !self.blocking.told {
            self.blocking.told = true;
            cx.send(
                0,
                connection::Blocked { reason: ShortStr::from_static("low on disk or memory") },
            );
        }
    }

    /// The request that starts a consumer.
    pub(crate) fn consume_request(
        &mut self,
        cx: &mut Cx<'_>,
        channel: u16,
        consume: Consume,
    ) -> Consume {
        if consume.no_ack {
            return consume;
        }
        let shared = match self.channel(channel) {
            Some(open) => (open.window, u32::from(open.prefetch_shared)),
            None => return consume,
        };
        let window = match shared {
            (Some(window), _) => window,
            (None, size) => {
                let window = self.window(cx, crate::consume::channel_window(size));
                if let Some(open) = self.channel(channel) {
                    open.window = Some(window);
                }
                window
            }
        };
        let mut windows = consume.windows;
        windows.insert(0, window);
        Consume { windows, ..consume }
    }
}
