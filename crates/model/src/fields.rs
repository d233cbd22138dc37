//! The field map: what each protocol calls the parts of a record, as a table.
//!
//! The documentation page, `robust-server field-map --json` and the interop tests of all twelve
//! directions are made from [`FIELD_MAP`]; the sessions follow it. What a protocol cannot express is
//! dropped by the rule in its cell, never mangled.

/// The protocol (and encoding) that a native property block came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Origin {
    /// MQTT 5.0 PUBLISH properties.
    Mqtt = 1,
    /// A Kafka record.
    Kafka = 2,
    /// A NATS header block.
    Nats = 3,
    /// AMQP 0-9-1 basic properties: flags and values as on the wire.
    Amqp = 4,
}

impl Origin {
    /// The origin written as `byte`, if it is one.
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Mqtt, Self::Kafka, Self::Nats, Self::Amqp].into_iter().find(|o| *o as u8 == byte)
    }
}

/// A part of a record that the field map carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// Payload bytes.
    Payload,
    /// Where it was published.
    Subject,
    /// The publisher's key.
    Key,
    /// Free headers: names and values.
    Headers,
    /// MIME type.
    ContentType,
    /// Where an answer goes.
    ReplyTo,
    /// What the requester matches the answer by.
    Correlation,
    /// When the message stops to be of use.
    Expiry,
    /// When it was published.
    Timestamp,
    /// The publisher's id of the message.
    MessageId,
    /// Priority.
    Priority,
}

/// How one protocol carries one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// The protocol's own name for it, or the name of the header that carries it; empty when it has
    /// none and the field is dropped towards this protocol.
    pub name: &'static str,
    /// Whether `name` is a header name among the free headers (else it is a part of the packet).
    pub header: bool,
    /// Whether a message from this protocol can set the field.
    pub reads: bool,
    /// Unit, encoding and what is dropped.
    pub rule: &'static str,
}

/// One row of the field map.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The field.
    pub field: Field,
    /// Carrier in MQTT 5 (3.1 and 3.1.1 carry payload and subject alone).
    pub mqtt: Carrier,
    /// Carrier in Kafka. Messages of other protocols show their properties as `robust.` headers.
    pub kafka: Carrier,
    /// Carrier in core NATS.
    pub nats: Carrier,
    /// Carrier in AMQP 0-9-1.
    pub amqp: Carrier,
}

const fn part(name: &'static str, rule: &'static str) -> Carrier {
    Carrier { name, header: false, reads: true, rule }
}

const fn header(name: &'static str, rule: &'static str) -> Carrier {
    Carrier { name, header: true, reads: true, rule }
}

const fn shown(name: &'static str, rule: &'static str) -> Carrier {
    Carrier { name, header: true, reads: false, rule }
}

/// The field map (sources: MQTT 5.0 §3.3.2.3, Kafka record v2, NATS ADR-4, AMQP 0-9-1 §4.2.6.1).
pub const FIELD_MAP: &[Row] = &[
    Row {
        field: Field::Payload,
        mqtt: part("payload", "bytes; null reads as empty"),
        kafka: part("value", "bytes; null is kept"),
        nats: part("payload", "bytes; null reads as empty"),
        amqp: part("body", "bytes; null reads as empty"),
    },
    Row {
        field: Field::Subject,
        mqtt: part("topic name", "tokens joined by /"),
        kafka: part("topic", "tokens joined by ."),
        nats: part("subject", "tokens joined by ."),
        amqp: part("routing key", "words joined by . on amq.topic"),
    },
    Row {
        field: Field::Key,
        mqtt: header("kafka-key", "user property; a key that is not UTF-8 is dropped"),
        kafka: part("key", "bytes; messages of other protocols without a key show their subject"),
        nats: header("Kafka-Key", "header; a key with CR or LF is dropped"),
        amqp: header("x-kafka-key", "long string in headers"),
    },
    Row {
        field: Field::Headers,
        mqtt: part("user property", "UTF-8 text, repeats kept; other values are dropped"),
        kafka: part("header", "bytes, null and repeats kept"),
        nats: part("header", "text without CR and LF, repeats kept; other values are dropped"),
        amqp: part("headers", "long strings; of a repeated name the last one is kept"),
    },
    Row {
        field: Field::ContentType,
        mqtt: part("content type", "UTF-8 text"),
        kafka: header("content-type", "others' messages show it as robust.content-type"),
        nats: header("Content-Type", ""),
        amqp: part("content-type", "short string"),
    },
    Row {
        field: Field::ReplyTo,
        mqtt: part("response topic", "the subject as a topic name"),
        kafka: shown("robust.reply-to", "the subject in dotted form"),
        nats: part("reply", "the subject; an alias when a correlation must be restored"),
        amqp: part("reply-to", "a queue name, or an address that the default exchange resolves"),
    },
    Row {
        field: Field::Correlation,
        mqtt: part("correlation data", "bytes"),
        kafka: header("correlation-id", "others' messages show it as robust.correlation"),
        nats: header(
            "Correlation-Id",
            "text without CR and LF; the reply alias restores any bytes",
        ),
        amqp: part("correlation-id", "short string of at most 255 bytes"),
    },
    Row {
        field: Field::Expiry,
        mqtt: part("message expiry interval", "seconds left, rounded up"),
        kafka: shown("robust.expires-at-ms", "milliseconds since 1970; not enforced by clients"),
        nats: header("Nats-TTL", "seconds left, rounded up"),
        amqp: part("expiration", "milliseconds left, as text"),
    },
    Row {
        field: Field::Timestamp,
        mqtt: Carrier { name: "", header: false, reads: false, rule: "arrival time is stored" },
        kafka: part("timestamp", "milliseconds since 1970"),
        nats: Carrier { name: "", header: false, reads: false, rule: "arrival time is stored" },
        amqp: part("timestamp", "seconds since 1970; shown only when the publisher set it"),
    },
    Row {
        field: Field::MessageId,
        mqtt: header("message-id", "user property"),
        kafka: shown("robust.message-id", ""),
        nats: header("Nats-Msg-Id", ""),
        amqp: part("message-id", "short string"),
    },
    Row {
        field: Field::Priority,
        mqtt: header("priority", "user property, decimal"),
        kafka: shown("robust.priority", "decimal"),
        nats: header("Priority", "decimal"),
        amqp: part("priority", "octet"),
    },
];

/// The row of `field`.
///
/// # Panics
///
/// Never: a test holds that each field has its row.
pub fn row(field: Field) -> &'static Row {
    FIELD_MAP.iter().find(|row| row.field == field).expect("each field has a row")
}

/// The table as a page of the reference.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Field map\n\nHow the parts of a message are called in each protocol. Payload bytes are never \
         touched. A message read through\nthe protocol that it came through keeps its original \
         properties. Generated from `crates/model/src/fields.rs`.\n\n\
         | field | MQTT 5 | Kafka | NATS | AMQP 0-9-1 |\n|---|---|---|---|---|\n",
    );
    for row in FIELD_MAP {
        let cells = [row.mqtt, row.kafka, row.nats, row.amqp].map(cell);
        page.push_str(&format!("| {:?} | {} |\n", row.field, cells.join(" | ")));
    }
    page.push_str(
        "\nMQTT 3.1 and 3.1.1 carry topic name and payload alone. *Shown only*: a publisher of that \
         protocol cannot set the field.\n",
    );
    page
}

fn cell(carrier: Carrier) -> String {
    let Carrier { name, header, reads, rule } = carrier;
    let name = match (name, header) {
        ("", _) => "not carried".to_owned(),
        (name, true) => format!("header `{name}`"),
        (name, false) => name.to_owned(),
    };
    let only = if reads || name == "not carried" { "" } else { " (shown only)" };
    let rule = if rule.is_empty() { String::new() } else { format!(": {rule}") };
    format!("{name}{only}{rule}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_page_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/field-map.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, markdown()).expect("the folder exists");
        }
        let page = std::fs::read_to_string(path).expect("the page is checked in");
        assert_eq!(page, markdown(), "run the test with UPDATE_DOCS=1");
    }

    #[test]
    fn each_field_has_one_row() {
        for field in [
            Field::Payload,
            Field::Subject,
            Field::Key,
            Field::Headers,
            Field::ContentType,
            Field::ReplyTo,
            Field::Correlation,
            Field::Expiry,
            Field::Timestamp,
            Field::MessageId,
            Field::Priority,
        ] {
            assert_eq!(FIELD_MAP.iter().filter(|row| row.field == field).count(), 1, "{field:?}");
        }
    }
}
