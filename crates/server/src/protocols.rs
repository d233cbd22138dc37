//! The registry: one line for each protocol, and the few things that only one of them has.
//!
//! Nowhere else does the server name a protocol.

use bytes::Bytes;
use model::fields::{Carrier, Row};
use model::filter::Filter;
use protocol::{Durability, Protocol};

use crate::config::{Bounded, ByteSize, Config, Key, Section, Span, Stream, key};

/// The protocols, in the order of the configuration and the metrics.
pub fn all() -> Vec<Box<dyn Protocol>> {
    vec![
        Box::new(mqtt::Mqtt),
        Box::new(kafka::Kafka),
        Box::new(nats::Nats::default()),
        Box::new(amqp::Amqp),
    ]
}

/// Section and usual port of each protocol.
pub fn sections(protocols: &[Box<dyn Protocol>]) -> Vec<Section> {
    protocols.iter().map(|protocol| (protocol.name(), protocol.port())).collect()
}

/// The key of the address that clients are told.
pub const ADVERTISE: &str = "kafka.advertise";

/// The key of the partitions of a stream made without a number.
pub const DEFAULT_PARTITIONS: &str = "kafka.default_partitions";

/// Keys in the sections of protocols, besides `listen`.
pub const KEYS: &[Key<Config>] = &[
    key!(
        Config,
        String,
        "kafka",
        "advertise",
        catalogue.advertise,
        "`host:port` that clients are told to connect to; empty = the address that they used."
    ),
    key!(
        Config,
        u32,
        "kafka",
        "default_partitions",
        catalogue.default_partitions,
        "Partitions of a stream that is made without a number."
    ),
    key!(
        Config,
        bool,
        "kafka",
        "auto_create",
        catalogue.auto_create,
        "Whether naming an unknown topic may make it."
    ),
];

/// The keys of one `[[stream]]`.
pub const STREAM_KEYS: &[Key<Stream>] = &[
    key!(Stream, String, "stream", "name", name, "The name, as a Kafka topic name. Needed."),
    key!(
        Stream,
        Vec<String>,
        "stream",
        "filters",
        filters,
        "The subjects that it captures, as MQTT topic filters. Empty = the one subject of its name."
    ),
    key!(
        Stream,
        u32,
        "stream",
        "partitions",
        partitions,
        "Partitions; 0 = `kafka.default_partitions`."
    ),
    key!(
        Stream,
        Bounded<Span>,
        "stream",
        "max_age",
        max_age,
        "Age at which records go out of sight."
    ),
    key!(
        Stream,
        Bounded<ByteSize>,
        "stream",
        "max_bytes",
        max_bytes,
        "Bytes per partition above which the oldest records go out of sight."
    ),
    key!(
        Stream,
        Bounded<u32>,
        "stream",
        "max_records",
        max_records,
        "Records per partition above which the oldest go out of sight."
    ),
    key!(
        Stream,
        Bounded<u32>,
        "stream",
        "max_per_subject",
        max_per_subject,
        "Records of one subject above which its oldest go out of sight, at most 64."
    ),
    key!(
        Stream,
        bool,
        "stream",
        "refuse_when_full",
        refuse_when_full,
        "What is beyond `max_bytes` or `max_records` is refused instead, and the oldest stay."
    ),
    key!(
        Stream,
        bool,
        "stream",
        "until_consumed",
        until_consumed,
        "Records go out of sight once every durable session that reads the stream is done with \
         them. While there is none they stay."
    ),
    key!(
        Stream,
        bool,
        "stream",
        "compact",
        compact,
        "Of each key only the newest record stays in sight; the key of a message without one is \
         its subject. `max_age`, `max_bytes` and `max_records` apply besides."
    ),
    key!(
        Stream,
        Bounded<Span>,
        "stream",
        "tombstones_for",
        tombstones_for,
        "How long a record without a value stays after older ones of its key were removed, so \
         that readers hear of the removal."
    ),
    key!(
        Stream,
        Bounded<ByteSize>,
        "stream",
        "max_message_bytes",
        max_message_bytes,
        "The largest message that the stream takes; `none` = `limits.message_bytes`."
    ),
    key!(
        Stream,
        Bounded<ByteSize>,
        "stream",
        "held_bytes",
        held_bytes,
        "Bytes out of sight that one durable session or queue may go on holding; what is beyond \
         is lost to it and counted. `none` = a tenth of `max_bytes`, or 1GiB."
    ),
    key!(
        Stream,
        Bounded<Span>,
        "stream",
        "held_age",
        held_age,
        "How long it may hold what went out of sight. `none` = 7d."
    ),
    key!(
        Stream,
        Durability,
        "stream",
        "durability",
        durability,
        "When the stream acknowledges what it takes: `durable` = once it is synced to the disk; \
         `async` = once it is written, which survives the end of the process but not a loss of \
         power; `memory` = at once, and a restart empties the stream. What a lasting queue is to \
         keep is synced all the same, but for `memory`. Cannot be changed."
    ),
];

/// A part of a configuration, for the reference page.
pub const EXAMPLE: &str = "\
data = \"./data\"

[mqtt]
listen = [\"127.0.0.1:1883\", \"[::1]:1883\"]

[[stream]]
name = \"orders\"
filters = [\"orders/#\"]
partitions = 4
max_age = \"30d\"
";

/// Whether a stream can have this name.
pub fn is_stream_name(name: &str) -> bool {
    model::render::kafka::parse(name.as_bytes()).is_ok()
}

/// A filter as the configuration writes it.
///
/// # Errors
///
/// What is wrong with it, as one sentence.
pub fn filter(text: &str) -> Result<Filter, String> {
    Filter::mqtt(&Bytes::copy_from_slice(text.as_bytes()))
        .map_err(|error| format!("{text:?} is no MQTT topic filter: {error}"))
}

/// The columns of the field map with their names.
pub fn carriers(row: &Row) -> [(&'static str, &Carrier); 4] {
    [("mqtt", &row.mqtt), ("kafka", &row.kafka), ("nats", &row.nats), ("amqp", &row.amqp)]
}
