//! Counters for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters since the start, and sizes as they are.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct BrokerStats {
            $($(#[$doc])* pub $name: u64,)*
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
            /// Names and values, for the metrics page.
            pub fn entries(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
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
