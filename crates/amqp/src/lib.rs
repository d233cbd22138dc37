//! AMQP 0-9-1 sessions as pure state machines, as RabbitMQ's clients expect them.
//!
//! ```text
//! session     one connection: hello, login, tuning, then frames; heartbeats; how it ends
//! handshake   connection.start to connection.open, what is advertised
//! running     an open connection: its channels, consumers and publishes in flight
//! dispatch    frames and methods to the part that answers them
//! channel     what one channel remembers: content coming in, settings, consumers
//! topology    exchange.* and queue.* to requests, bind the same for bindings
//! consume     basic.qos, consume, cancel, get
//! publish     basic.publish to a request, confirms and returns
//! settle      ack, nack, reject, recover against the ledger of what is unsettled
//! deliver     deliveries and pulled messages to frames
//! reply       answers of the broker to replies on the wire
//! exchange    kinds, predeclared exchanges, routing keys and binding keys to subjects
//! arguments   x-arguments: accepted, refused, compared
//! field_map   properties and headers to and from the parts of a record
//! dead_letter headers of messages that queues gave up or handed out before
//! failure     RabbitMQ's codes and texts
//! ```
//!
//! A method that needs an answer from the broker is a state ([`running::Waiting`]); until the answer
//! comes, nothing further is read from the connection. So replies are in order by construction.
//! Publishes alone are in flight side by side; methods that look at queues wait for them.
//!
//! Absent: sockets, clocks, routing, queues (the broker), and of the protocol: transactions, AMQP
//! 1.0, streams as queues. What is absent is refused, never ignored.

mod arguments;
mod bind;
mod channel;
mod consume;
mod dead_letter;
mod deliver;
mod dispatch;
mod exchange;
mod failure;
mod field_map;
mod handshake;
mod login;
mod names;
mod publish;
mod reply;
mod running;
mod session;
mod settle;
mod topology;
mod unsettled;

use bytes::Bytes;
use protocol::{Declare, Message, Now, Peer, Protocol, Session};

use crate::session::AmqpSession;

/// AMQP 0-9-1, for the server's registry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amqp;

impl Protocol for Amqp {
    fn name(&self) -> &'static str {
        "amqp"
    }

    fn port(&self) -> u16 {
        5672
    }

    fn open(&self, now: Now, peer: Peer) -> Box<dyn Session> {
        Box::new(AmqpSession::new(now, peer))
    }

    fn builtins(&self) -> Vec<Declare> {
        exchange::builtins()
    }

    fn attributes(&self, message: &Message) -> Option<Vec<(Bytes, Bytes)>> {
        dead_letter::attributes(message)
    }
}
