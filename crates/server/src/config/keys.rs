//! Every key of the configuration, once: its name, what it is for, and where its value lives.
//!
//! The file, the environment, `--set`, `config show` and the reference page all follow these tables.
//! What belongs to one protocol stands in the registry instead.

use std::path::PathBuf;

use protocol::Durability;
use toml::de::DeValue;

use super::Config;
use super::setting::{Addresses, Bounded, ByteSize, Engine, Span};

/// One key.
pub struct Key<T> {
    /// The table that it stands in; empty = the top of the file.
    pub section: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What it is for: sentences.
    pub about: &'static str,
    /// What a value looks like.
    pub expected: &'static str,
    /// Takes a value of the file; `false` if it is none.
    pub read: fn(&mut T, &DeValue<'_>) -> bool,
    /// Takes a value written as text; `false` if it is none.
    pub parse: fn(&mut T, &str) -> bool,
    /// The present value as TOML.
    pub show: fn(&T) -> String,
}

impl<T> std::fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path())
    }
}

impl<T> Key<T> {
    /// `section.name`.
    pub fn path(&self) -> String {
        path(self.section, self.name)
    }
}

/// `section.name`, or the name alone at the top of the file.
pub(super) fn path(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

macro_rules! key {
    ($of:ty, $kind:ty, $section:literal, $name:literal, $($field:ident).+, $about:literal) => {
        $crate::config::Key::<$of> {
            section: $section,
            name: $name,
            about: $about,
            expected: <$kind as $crate::config::Setting>::EXPECTED,
            read: |to, value| match <$kind as $crate::config::Setting>::from_toml(value) {
                Some(value) => {
                    to.$($field).+ = value;
                    true
                }
                None => false,
            },
            parse: |to, text| match <$kind as $crate::config::Setting>::from_text(text) {
                Some(value) => {
                    to.$($field).+ = value;
                    true
                }
                None => false,
            },
            show: |of| <$kind as $crate::config::Setting>::to_toml(&of.$($field).+),
        }
    };
}

pub(crate) use key;

/// The keys of the file, but for streams and what belongs to one protocol.
pub const KEYS: &[Key<Config>] = &[
    key!(
        Config,
        PathBuf,
        "",
        "data",
        data,
        "The data folder, made if it is not there. One server at a time uses it."
    ),
    key!(
        Config,
        u32,
        "node",
        "workers",
        node.workers,
        "I/O threads; 0 = one per two cores, at least one. Connections are spread over them."
    ),
    key!(
        Config,
        String,
        "node",
        "log",
        node.log,
        "What is logged to standard error: `error`, `warn`, `info`, `debug` or `trace`, also by \
         part of the server, as in `info,server::driver=debug`."
    ),
    key!(
        Config,
        ByteSize,
        "limits",
        "message_bytes",
        limits.message_bytes,
        "Largest payload of one message, for all protocols; each tells its clients by its own \
         means. At most 8MiB."
    ),
    key!(Config, u32, "limits", "headers", limits.headers, "Most headers of one message."),
    key!(
        Config,
        u32,
        "limits",
        "connections",
        limits.connections,
        "Most connections at a time. The limit of open files of the process counts too: it is \
         raised at start as far as the system allows."
    ),
    key!(
        Config,
        u32,
        "limits",
        "requests",
        limits.requests,
        "Requests of one connection that may wait for their answer; more are not read meanwhile."
    ),
    key!(
        Config,
        ByteSize,
        "limits",
        "outbound_bytes",
        limits.outbound_bytes,
        "Most bytes of live messages that wait for one connection. A receiver that is slower loses \
         further live messages, or its connection, as its protocol has it. Stored messages wait in \
         the log instead."
    ),
    key!(
        Config,
        u32,
        "limits",
        "session_messages",
        limits.session_messages,
        "Most messages that wait for a receiver without durable state whose window is used up."
    ),
    key!(
        Config,
        u32,
        "limits",
        "subscriptions",
        limits.subscriptions,
        "Most subscriptions of one connection."
    ),
    key!(
        Config,
        Engine,
        "storage",
        "engine",
        storage.engine,
        "`journal` keeps data in segment files; `memory` forgets everything with the process."
    ),
    key!(
        Config,
        ByteSize,
        "storage",
        "segment_bytes",
        storage.segment_bytes,
        "Size at which a new segment file is begun, at most 1GiB; less on a small disk. 8MiB suits \
         devices with little flash."
    ),
    key!(
        Config,
        u32,
        "storage",
        "spare_segments",
        storage.spare_segments,
        "Free segments that are kept ready, beside two that only what frees space may use. They \
         take at most 2 % of the disk."
    ),
    key!(
        Config,
        ByteSize,
        "storage",
        "pending_bytes",
        storage.pending_bytes,
        "Bytes that may wait to be written; what is beyond is refused as busy."
    ),
    key!(
        Config,
        ByteSize,
        "storage",
        "cache_bytes",
        storage.cache_bytes,
        "Memory for the newest batches, from which readers at the end of their log are served. 0 = \
         none."
    ),
    key!(
        Config,
        ByteSize,
        "storage",
        "index_cache_bytes",
        storage.index_cache_bytes,
        "Memory for indexes of resting files that were read."
    ),
    key!(
        Config,
        u32,
        "storage",
        "drain_segments",
        storage.drain_segments,
        "Full segments beyond which the oldest are copied to resting files, down to half of that. \
         A start reads about so many."
    ),
    key!(
        Config,
        Bounded<ByteSize>,
        "storage",
        "drain_bytes_per_second",
        storage.drain_rate,
        "Bytes that copying to resting files and merging them move in a second, at most; half of \
         it while clients write. Doubled with each segment that waits too long, which slows \
         clients down as well. `none` = as fast as it goes."
    ),
    key!(
        Config,
        ByteSize,
        "storage",
        "hot_bytes",
        storage.hot_bytes,
        "A partition of which so much is copied at once gets a segment file of its own; smaller ones \
         share a file."
    ),
    key!(
        Config,
        u32,
        "storage",
        "checkpoint_rows",
        storage.checkpoint_rows,
        "Changed rows of the state that are worth a checkpoint of their own."
    ),
    key!(
        Config,
        Span,
        "storage",
        "sync_interval",
        storage.sync_interval,
        "After this time what was appended to asynchronous logs is synced: a loss of power takes \
         no more than that."
    ),
    key!(
        Config,
        Span,
        "storage",
        "lazy_interval",
        storage.lazy_interval,
        "After this time settlements and positions that nobody waits for are written: killing the \
         process takes no more than that, and redelivers it."
    ),
    key!(
        Config,
        Span,
        "storage",
        "lazy_sync_interval",
        storage.lazy_sync_interval,
        "They are synced with the next write that is, or after this time. 5s spares flash."
    ),
    key!(
        Config,
        Addresses,
        "http",
        "listen",
        http,
        "Where health, metrics and the HTTP API are served. Empty = nowhere."
    ),
    key!(
        Config,
        u32,
        "default_stream",
        "partitions",
        default_stream.partitions,
        "Partitions of the stream that keeps what must last and has no stream of its own. Chosen \
         by subject; cannot be changed once there is data."
    ),
    key!(
        Config,
        Bounded<Span>,
        "default_stream",
        "max_age",
        default_stream.max_age,
        "Age at which its records go out of sight."
    ),
    key!(
        Config,
        Bounded<ByteSize>,
        "default_stream",
        "max_bytes",
        default_stream.max_bytes,
        "Bytes, over all its partitions, above which the oldest records go out of sight."
    ),
    key!(
        Config,
        Durability,
        "default_stream",
        "durability",
        default_stream.durability,
        "When it acknowledges what it takes, as for `[[stream]]`; cannot be changed once there is \
         data."
    ),
    key!(
        Config,
        Bounded<ByteSize>,
        "memory",
        "budget",
        memory.budget,
        "Memory that connections, caches, queues and tables may use together; `none` = half of \
         the machine's, or of the limit of the control group. Near it caches shrink, then \
         publishing and new connections are refused, then the slowest readers are closed."
    ),
    key!(
        Config,
        bool,
        "security",
        "allow_remote_without_authentication",
        security.allow_remote,
        "Allows listen addresses that other machines reach. There is no encryption and there are \
         no users yet, so whoever reaches such an address may do everything."
    ),
];
