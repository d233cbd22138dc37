//! NATS sessions as pure state machines.
//!
//! ```text
//! session        one connection: operations in, messages out, PING and PONG, timeouts
//! subscriptions  what the client subscribed to, by its sids
//! publish        PUB and HPUB to a publish of the vocabulary
//! deliver        messages to MSG and HMSG
//! field_map      the header block, to and from the parts of a record
//! greeting       what INFO tells
//! ```
//!
//! The whole core protocol of a client connection, without accounts, JWT and JetStream. Absent:
//! sockets, clocks, routing, who gets a message (the broker), and any storage: core NATS messages
//! are live only, and what a stream captures of them is the broker's affair.

mod deliver;
mod field_map;
mod greeting;
mod login;
mod publish;
mod session;
mod subscriptions;

use model::record::Space;
use protocol::{Now, Peer, Protocol, Session, SlowReceiver};

use crate::session::NatsSession;

/// NATS, for the server's registry.
#[derive(Debug)]
pub struct Nats {
    /// Where `$...` subjects of NATS clients live, unreachable from other protocols.
    private: Space,
}

impl Default for Nats {
    fn default() -> Self {
        Self { private: Space::named("nats") }
    }
}

impl Protocol for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn port(&self) -> u16 {
        4222
    }

    fn slow_receiver(&self) -> SlowReceiver {
        SlowReceiver::Close
    }

    fn open(&self, now: Now, peer: Peer) -> Box<dyn Session> {
        Box::new(NatsSession::new(now, peer, self.private.clone()))
    }
}
