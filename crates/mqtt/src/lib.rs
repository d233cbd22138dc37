//! MQTT 3.1, 3.1.1 and 5.0 as a pure state machine on the session contract.
//!
//! ```text
//! session        the life of a connection: CONNECT, claim, open, end
//! open           a connection that stands: which packet goes where
//!   inbound      PUBLISH from the client: PUBACK and PUBREC in order, topic aliases
//!     qos2       the receiver's half of QoS 2
//!   outbound     PUBLISH to the client: window, packet identifiers, the sender's half of QoS 1 and 2
//!   subscribing  SUBSCRIBE and UNSUBSCRIBE: requests out, one answer back
//!     subscriptions  the table of them
//! resume         what outlives a connection: rows of memory, and what is handed over
//! will           the message that a client leaves behind
//! refusal        why the broker said no
//! fields         the field map: packets to records and back
//! ```
//!
//! Absent: sockets, clocks, storage, routing. Who matches a topic, what is kept for whom and when a
//! session expires is the broker's to know; this crate says it in MQTT.

mod fields;
mod inbound;
mod open;
mod outbound;
mod qos2;
mod refusal;
mod resume;
mod session;
mod subscribing;
mod subscriptions;
mod turn;
mod will;

use protocol::{Now, Peer, Protocol};

pub use session::Session;

/// MQTT as the server's registry knows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mqtt;

impl Protocol for Mqtt {
    fn name(&self) -> &'static str {
        "mqtt"
    }

    fn port(&self) -> u16 {
        1883
    }

    fn open(&self, now: Now, peer: Peer) -> Box<dyn protocol::Session> {
        Box::new(Session::new(now, &peer))
    }
}
