//! The configuration: one TOML file, every key optional; environment and flags go over it.
//!
//! ```text
//!  keys     every key once: name, meaning, kind of value
//!  setting  the kinds of values and their text forms
//!  file     the walk over the file: values, and errors with their line
//!  load     file, then environment, then flags; where each value came from
//!  check    what values must be together; gives what the server starts with
//!  show     the effective configuration, and the reference page
//! ```

mod check;
mod file;
mod keys;
mod load;
mod setting;
mod show;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use protocol::Durability;

pub use check::Checked;
pub(crate) use keys::key;
pub use keys::{KEYS, Key};
pub use load::{Loaded, Origin, Sources, load};
pub use setting::{Addresses, Bounded, ByteSize, Engine, Setting, Span};
pub use show::{reference, show};

/// A protocol of the registry, as far as the configuration knows it: section name and usual port.
pub type Section = (&'static str, u16);

/// All values.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data folder.
    pub data: PathBuf,
    /// `[node]`.
    pub node: NodeKeys,
    /// `[limits]`.
    pub limits: LimitKeys,
    /// `[storage]`.
    pub storage: StorageKeys,
    /// `http.listen`.
    pub http: Addresses,
    /// `listen` of each protocol, in the order of the registry.
    pub listen: Vec<Addresses>,
    /// What clients are told about streams and where to find them.
    pub catalogue: CatalogueKeys,
    /// `[default_stream]`.
    pub default_stream: DefaultStreamKeys,
    /// `[memory]`.
    pub memory: MemoryKeys,
    /// `[security]`.
    pub security: SecurityKeys,
    /// `[[stream]]`.
    pub streams: Vec<Stream>,
}

/// `[node]`.
#[derive(Clone, Debug)]
pub struct NodeKeys {
    /// I/O threads, 0 = by cores.
    pub workers: u32,
    /// Log filter.
    pub log: String,
}

/// `[limits]`.
#[derive(Clone, Debug)]
pub struct LimitKeys {
    /// Largest payload.
    pub message_bytes: ByteSize,
    /// Most headers.
    pub headers: u32,
    /// Most connections.
    pub connections: u32,
    /// Requests in flight.
    pub requests: u32,
    /// Live bytes waiting.
    pub outbound_bytes: ByteSize,
    /// Messages waiting in a session.
    pub session_messages: u32,
    /// Subscriptions of one connection.
    pub subscriptions: u32,
}

/// `[storage]`.
#[derive(Clone, Debug)]
pub struct StorageKeys {
    /// Which engine.
    pub engine: Engine,
    /// Size of a segment file.
    pub segment_bytes: ByteSize,
    /// Free segments kept ready.
    pub spare_segments: u32,
    /// Bytes waiting to be written.
    pub pending_bytes: ByteSize,
    /// Newest batches in memory.
    pub cache_bytes: ByteSize,
    /// Indexes in memory.
    pub index_cache_bytes: ByteSize,
    /// Full segments that may wait.
    pub drain_segments: u32,
    /// Bytes copied in a second.
    pub drain_rate: Bounded<ByteSize>,
    /// What is worth a file of its own.
    pub hot_bytes: ByteSize,
    /// Rows that are worth a checkpoint.
    pub checkpoint_rows: u32,
    /// When asynchronous appends are synced.
    pub sync_interval: Span,
    /// When lazy writes are written.
    pub lazy_interval: Span,
    /// When they are synced.
    pub lazy_sync_interval: Span,
}

impl Default for StorageKeys {
    fn default() -> Self {
        Self {
            engine: Engine::Journal,
            segment_bytes: ByteSize(64 << 20),
            spare_segments: 3,
            pending_bytes: ByteSize(64 << 20),
            cache_bytes: ByteSize(16 << 20),
            index_cache_bytes: ByteSize(16 << 20),
            drain_segments: 4,
            drain_rate: Bounded(Some(ByteSize(256 << 20))),
            hot_bytes: ByteSize(4 << 20),
            checkpoint_rows: 100_000,
            sync_interval: Span(50),
            lazy_interval: Span(50),
            lazy_sync_interval: Span(1_000),
        }
    }
}

/// What clients are told about streams and where to find them.
#[derive(Clone, Debug)]
pub struct CatalogueKeys {
    /// `host:port`, or empty.
    pub advertise: String,
    /// Partitions by default.
    pub default_partitions: u32,
    /// Whether naming makes.
    pub auto_create: bool,
}

/// `[default_stream]`.
#[derive(Clone, Debug)]
pub struct DefaultStreamKeys {
    /// Partitions.
    pub partitions: u32,
    /// Age bound.
    pub max_age: Bounded<Span>,
    /// Size bound.
    pub max_bytes: Bounded<ByteSize>,
    /// When it acknowledges.
    pub durability: Durability,
}

/// `[memory]`.
#[derive(Clone, Debug)]
pub struct MemoryKeys {
    /// Bytes that the server may use, none = half of what there is.
    pub budget: Bounded<ByteSize>,
}

/// `[security]`.
#[derive(Clone, Debug)]
pub struct SecurityKeys {
    /// Whether other machines may reach a listener.
    pub allow_remote: bool,
}

/// One `[[stream]]`.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// What it captures, as MQTT topic filters.
    pub filters: Vec<String>,
    /// Partitions, 0 = by default.
    pub partitions: u32,
    /// Age bound.
    pub max_age: Bounded<Span>,
    /// Size bound of a partition.
    pub max_bytes: Bounded<ByteSize>,
    /// Bound of records of a partition.
    pub max_records: Bounded<u32>,
    /// Bound of records of one subject.
    pub max_per_subject: Bounded<u32>,
    /// Whether what is beyond the bounds is refused.
    pub refuse_when_full: bool,
    /// Whether records go once all cursors are done with them.
    pub until_consumed: bool,
    /// Whether keys are compacted.
    pub compact: bool,
    /// How long tombstones stay.
    pub tombstones_for: Bounded<Span>,
    /// The largest message.
    pub max_message_bytes: Bounded<ByteSize>,
    /// Bytes that a holder may hold.
    pub held_bytes: Bounded<ByteSize>,
    /// How long it may.
    pub held_age: Bounded<Span>,
    /// When it acknowledges.
    pub durability: Durability,
    /// Where it is declared.
    pub place: Place,
    /// Where each of its keys stands.
    pub places: Vec<(&'static str, Place)>,
}

impl Config {
    /// What holds when nothing is configured.
    pub fn defaults(sections: &[Section]) -> Self {
        Self {
            data: PathBuf::from("./data"),
            node: NodeKeys { workers: 0, log: "info".to_owned() },
            limits: LimitKeys {
                message_bytes: ByteSize(1 << 20),
                headers: 1024,
                connections: 65_536,
                requests: 1_000,
                outbound_bytes: ByteSize(8 << 20),
                session_messages: 1_000,
                subscriptions: 100_000,
            },
            storage: StorageKeys::default(),
            http: on_this_machine(8088),
            listen: sections.iter().map(|(_, port)| on_this_machine(*port)).collect(),
            catalogue: CatalogueKeys {
                advertise: String::new(),
                default_partitions: 1,
                auto_create: true,
            },
            default_stream: DefaultStreamKeys {
                partitions: 8,
                max_age: Bounded(Some(Span(7 * 86_400_000))),
                max_bytes: Bounded(Some(ByteSize(10 << 30))),
                durability: Durability::Durable,
            },
            memory: MemoryKeys { budget: Bounded(None) },
            security: SecurityKeys { allow_remote: false },
            streams: Vec::new(),
        }
    }
}

impl Stream {
    fn new(place: Place) -> Self {
        Self {
            name: String::new(),
            filters: Vec::new(),
            partitions: 0,
            max_age: Bounded(None),
            max_bytes: Bounded(None),
            max_records: Bounded(None),
            max_per_subject: Bounded(None),
            refuse_when_full: false,
            until_consumed: false,
            compact: false,
            tombstones_for: Bounded(Some(Span(protocol::DELETE_RETENTION_MS))),
            max_message_bytes: Bounded(None),
            held_bytes: Bounded(None),
            held_age: Bounded(None),
            durability: Durability::Durable,
            place,
            places: Vec::new(),
        }
    }
}

fn on_this_machine(port: u16) -> Addresses {
    let hosts = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    Addresses(hosts.into_iter().map(|host| SocketAddr::new(host, port)).collect())
}

/// Where a value or an error stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file, at a line.
    File(String, usize),
    /// In an environment variable.
    Environment(String),
    /// In a flag, as written.
    Flag(String),
    /// Nowhere: it is the default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name, line) => write!(f, "{name}:{line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => f.write_str(flag),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What is wrong with the configuration: one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Invalid {
    /// Where.
    pub place: Place,
    /// What, with the key and what to write instead.
    pub what: String,
}
