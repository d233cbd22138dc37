//! What the workers count, for the metrics page.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! totals {
    ($($(#[$doc:meta])* $name:ident: $help:literal,)*) => {
        /// Counters of one protocol.
        #[derive(Debug, Default)]
        pub struct ProtocolTotals {
            $($(#[$doc])* pub $name: AtomicU64,)*
            endings: [AtomicU64; Ending::ALL.len()],
        }

        /// Name, help and reader of each counter of a protocol.
        pub const PROTOCOL_COUNTERS: &[(&str, &str, fn(&ProtocolTotals) -> u64)] =
            &[$((stringify!($name), $help, |totals| totals.$name.load(Ordering::Relaxed)),)*];
    };
}

totals! {
    /// Connections taken in.
    connections_accepted: "Connections taken in.",
    /// Bytes read from sockets.
    received_bytes: "Bytes read from sockets.",
    /// Bytes written to sockets.
    sent_bytes: "Bytes written to sockets.",
    /// Requests handed to the broker.
    requests: "Requests handed to the broker.",
    /// Deliveries handed to sessions.
    deliveries: "Deliveries handed to sessions.",
    /// Live deliveries not handed to a session because its peer reads too slowly.
    dropped_deliveries: "Live deliveries dropped because their receiver reads too slowly.",
}

/// Why a connection ended, as the metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The session was done.
    Done,
    /// The peer broke the protocol.
    Violation,
    /// The peer was silent.
    Timeout,
    /// Another connection took the session.
    Displaced,
    /// The peer was refused.
    Refused,
    /// The server goes down.
    Draining,
    /// The peer closed the connection.
    PeerClosed,
    /// The connection broke.
    Reset,
    /// The peer read too slowly.
    Slow,
    /// The session panicked.
    Panicked,
}

impl Ending {
    /// All endings with their labels.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Done, "done"),
        (Self::Violation, "violation"),
        (Self::Timeout, "timeout"),
        (Self::Displaced, "displaced"),
        (Self::Refused, "refused"),
        (Self::Draining, "draining"),
        (Self::PeerClosed, "peer_closed"),
        (Self::Reset, "reset"),
        (Self::Slow, "slow"),
        (Self::Panicked, "panicked"),
    ];
}

impl ProtocolTotals {
    /// Connections that ended this way.
    pub fn ended(&self, ending: Ending) -> u64 {
        self.endings[ending as usize].load(Ordering::Relaxed)
    }

    /// Connections that are open.
    pub fn open(&self) -> u64 {
        let ended: u64 = self.endings.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        self.connections_accepted.load(Ordering::Relaxed).saturating_sub(ended)
    }

    pub(super) fn end(&self, ending: Ending) {
        add(&self.endings[ending as usize], 1);
    }
}

/// Counters of the driver.
#[derive(Debug)]
pub struct Counters {
    /// By the protocol's place in the settings.
    pub protocols: Vec<ProtocolTotals>,
    /// Connections closed at once because there were too many.
    pub refused: AtomicU64,
    /// Turns in which a worker read nothing because another one was behind.
    pub congested: AtomicU64,
}

impl Counters {
    pub(super) fn new(protocols: usize) -> Self {
        Self {
            protocols: (0..protocols).map(|_| ProtocolTotals::default()).collect(),
            refused: AtomicU64::new(0),
            congested: AtomicU64::new(0),
        }
    }
}

pub(super) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ending_has_the_place_of_its_label() {
        for (place, (ending, label)) in Ending::ALL.into_iter().enumerate() {
            assert_eq!(ending as usize, place, "{label}");
        }
    }
}
