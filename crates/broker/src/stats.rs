//! Counters for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident),* $(,)?) => {
        /// Counters since the start, and sizes as they are.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct BrokerStats {
            $($(#[doc = $help])+ pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> BrokerStats {
                BrokerStats { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl BrokerStats {
            /// Names, what they are, and values, for the metrics page.
            pub fn entries(&self) -> Vec<Entry> {
                vec![$(Entry::new(stringify!($name), concat!($($help),+), self.$name),)*]
            }
        }
    };
}

/// One number for the metrics page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// A sentence about it.
    pub about: String,
    /// It goes up and down.
    pub is_gauge: bool,
    /// The number.
    pub value: u64,
}

impl Entry {
    fn new(name: &'static str, help: &str, value: u64) -> Self {
        let help = help.trim().trim_end_matches('.');
        let (about, is_gauge) = match help.strip_suffix(", gauge") {
            Some(about) => (about, true),
            None => (help, false),
        };
        Self { name, about: format!("{about}."), is_gauge, value }
    }
}

counters! {
    /// Messages and batches' records taken in.
    messages_in,
    /// Payload bytes taken in.
    bytes_in,
    /// Deliveries handed to connections.
    deliveries,
    /// Messages stored.
    stored,
    /// Publishes refused.
    refused,
    /// Deliveries dropped because their receiver had no room.
    dropped,
    /// Records removed by request.
    purged,
    /// Records removed because a newer one has their key.
    compacted,
    /// Records that sessions and queues lost because they held too much for too long.
    lost,
    /// Batches that no other protocol can read.
    undecodable,
    /// Messages that expired in queues.
    queue_expired,
    /// Messages that queues dropped or refused for their length.
    queue_length_dropped,
    /// Messages that queues had handed out too often.
    queue_delivery_limited,
    /// Messages that queues gave up and that were sent on.
    dead_lettered,
    /// Messages that queues gave up and that nobody got.
    dead_letters_lost,
    /// Streams, gauge.
    streams,
    /// Queues, gauge.
    queues,
    /// Sessions, gauge.
    sessions,
    /// Last values, gauge.
    last_values,
    /// Timers, gauge.
    timers,
    /// Reads that wait, gauge.
    waiting_reads,
    /// Publishes that wait for room, gauge.
    parked,
}

pub(crate) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}

pub(crate) fn set(counter: &AtomicU64, n: usize) {
    counter.store(n as u64, Ordering::Relaxed);
}
