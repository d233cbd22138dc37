//! Settings of topics and of the node under Kafka's names: what holds, and nothing else.
//!
//! A value that cannot be honoured is refused. Settings that only tune Kafka's own files have
//! nothing to act on here; they are taken, and are not shown back.

use kafka_codec::messages::create_topics_response::CreatableTopicConfigs;
use kafka_codec::{Limits, Text};
use protocol::{
    Cleanup, Compaction, DELETE_RETENTION_MS, MIN_DIRTY_PERCENT, Node, Retention, StreamRef,
    StreamStatus,
};

/// Settings of Kafka's own files and cleaner, without an effect that a client could see.
const WITHOUT_EFFECT: &[&str] = &[
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "index.interval.bytes",
    "max.compaction.lag.ms",
    "preallocate",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
];

const BOOLEAN: i8 = 1;
const STRING: i8 = 2;
const INT: i8 = 3;
const LONG: i8 = 5;
const DOUBLE: i8 = 6;
const LIST: i8 = 7;

const OF_TOPIC: i8 = 1;
const OF_NODE: i8 = 4;
pub(crate) const DEFAULT: i8 = 5;

pub(crate) const TOPIC: i8 = 2;
pub(crate) const BROKER: i8 = 4;

/// One setting as it holds.
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) kind: i8,
    pub(crate) source: i8,
    /// The broker's setting that a topic inherits.
    pub(crate) inherits: Option<&'static str>,
    pub(crate) read_only: bool,
    pub(crate) about: &'static str,
}

/// What holds for a topic.
pub(crate) fn of_topic(stream: &StreamStatus, node: &Node) -> Vec<Setting> {
    let keep = &stream.retention;
    let own = |name, kind, (value, is_set): (String, bool), inherits, about| Setting {
        name,
        value,
        kind,
        source: if is_set { OF_TOPIC } else { DEFAULT },
        inherits: Some(inherits),
        read_only: false,
        about,
    };
    let fixed = |name, value: &str, inherits, about| Setting {
        name,
        value: value.to_owned(),
        kind: if value.parse::<i32>().is_ok() { INT } else { STRING },
        source: DEFAULT,
        inherits: Some(inherits),
        read_only: true,
        about,
    };
    let limit = |limit: Option<u64>| {
        (limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string()), limit.is_some())
    };
    let or = |given: Option<u64>, usual: u64| (given.unwrap_or(usual).to_string(), given.is_some());
    let cleanup = match keep.cleanup {
        Cleanup::Delete => "delete",
        Cleanup::Compact => "compact",
        Cleanup::Both => "compact,delete",
    };
    let compaction = keep.compaction;
    let dirty = compaction.min_dirty_percent;
    let ratio = f64::from(dirty.unwrap_or(MIN_DIRTY_PERCENT)) / 100.0;
    vec![
        own(
            "cleanup.policy",
            LIST,
            (cleanup.to_owned(), keep.cleanup != Cleanup::Delete),
            "log.cleanup.policy",
            "Whether records go by age and size (delete), by key (compact), or by either.",
        ),
        fixed(
            "compression.type",
            "producer",
            "compression.type",
            "Batches keep the codec that their producer chose.",
        ),
        own(
            "delete.retention.ms",
            LONG,
            or(compaction.delete_retention_ms, DELETE_RETENTION_MS),
            "log.cleaner.delete.retention.ms",
            "How long a record without a value stays after its log was compacted past it.",
        ),
        own(
            "max.message.bytes",
            INT,
            or(keep.max_message_bytes.map(u64::from), node.limits.message_bytes as u64),
            "message.max.bytes",
            "The largest message that is taken, in bytes; if it is set, also the largest batch.",
        ),
        fixed(
            "message.timestamp.type",
            "CreateTime",
            "log.message.timestamp.type",
            "A record keeps the timestamp that its producer gave.",
        ),
        own(
            "min.cleanable.dirty.ratio",
            DOUBLE,
            (ratio.to_string(), dirty.is_some()),
            "log.cleaner.min.cleanable.ratio",
            "The part of a partition that must be new before it is compacted again.",
        ),
        own(
            "min.compaction.lag.ms",
            LONG,
            or(compaction.min_lag_ms, 0),
            "log.cleaner.min.compaction.lag.ms",
            "Records younger than this are not compacted.",
        ),
        fixed(
            "min.insync.replicas",
            "1",
            "min.insync.replicas",
            "Copies that must be in step when acks is all.",
        ),
        own(
            "retention.bytes",
            LONG,
            limit(keep.max_bytes),
            "log.retention.bytes",
            "Bytes of a partition above which the oldest records go; -1 keeps them.",
        ),
        own(
            "retention.ms",
            LONG,
            limit(keep.max_age_ms),
            "log.retention.ms",
            "Age at which records go, in milliseconds; -1 keeps them.",
        ),
    ]
}

/// What holds for the node.
pub(crate) fn of_node(node: &Node) -> Vec<Setting> {
    let set = |name, value: String, kind, about| Setting {
        name,
        value,
        kind,
        source: OF_NODE,
        inherits: None,
        read_only: true,
        about,
    };
    let frame_bytes = Limits::default().frame_bytes.to_string();
    vec![
        set(
            "auto.create.topics.enable",
            node.auto_create_streams.to_string(),
            BOOLEAN,
            "Whether naming an unknown topic makes it.",
        ),
        set("broker.id", node.id.to_string(), INT, "The number of the node."),
        set("default.replication.factor", "1".to_owned(), INT, "Copies of a partition."),
        set("delete.topic.enable", "true".to_owned(), BOOLEAN, "Whether topics can be deleted."),
        set("log.cleanup.policy", "delete".to_owned(), LIST, "Records go by age and size."),
        set("log.retention.bytes", "-1".to_owned(), LONG, "Bytes of a topic that names none."),
        set("log.retention.ms", "-1".to_owned(), LONG, "Age in a topic that names none."),
        set(
            "message.max.bytes",
            node.limits.message_bytes.to_string(),
            INT,
            "The largest message that is taken, in bytes.",
        ),
        set("min.insync.replicas", "1".to_owned(), INT, "Copies that must be in step."),
        set("node.id", node.id.to_string(), INT, "The number of the node."),
        set(
            "num.partitions",
            node.default_partitions.to_string(),
            INT,
            "Partitions of a topic that is made without a number.",
        ),
        set("socket.request.max.bytes", frame_bytes, INT, "The longest request, in bytes."),
    ]
}

/// Gives a setting of a topic a value.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn set(
    name: &str,
    value: &str,
    node: &Node,
    keep: &mut Retention,
) -> Result<(), String> {
    let limit = || match value.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(limit @ 0..) => Ok(u64::try_from(limit).ok()),
        Ok(_) | Err(_) => Err(format!("{name} is a number from 0, or -1, not {value:?}")),
    };
    let number = || match value.parse::<i64>() {
        Ok(number @ 0..) => Ok(u64::try_from(number).ok()),
        Ok(_) | Err(_) => Err(format!("{name} is a number from 0, not {value:?}")),
    };
    match name {
        "retention.ms" => keep.max_age_ms = limit()?,
        "retention.bytes" => keep.max_bytes = limit()?,
        "cleanup.policy" => keep.cleanup = cleanup(value)?,
        "delete.retention.ms" => keep.compaction.delete_retention_ms = number()?,
        "min.compaction.lag.ms" => keep.compaction.min_lag_ms = number()?,
        "min.cleanable.dirty.ratio" => {
            let ratio = value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
            let ratio: f64 =
                ratio.ok_or_else(|| format!("{name} is a number from 0 to 1, not {value:?}"))?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and 100"
            )]
            let percent = (ratio * 100.0).round() as u8;
            keep.compaction.min_dirty_percent = Some(percent);
        }
        "max.message.bytes" => {
            let bytes = value.parse::<u32>().ok();
            let most = node.limits.message_bytes;
            let bytes = bytes.filter(|bytes| *bytes as usize <= most);
            let bytes =
                bytes.ok_or_else(|| format!("{name} is a number up to {most}, not {value:?}"))?;
            keep.max_message_bytes = Some(bytes).filter(|bytes| *bytes as usize != most);
        }
        name if WITHOUT_EFFECT.contains(&name) => {}
        name => {
            let Some(holds) = holding(name, keep, node) else {
                return Err(format!("unknown topic config {name}"));
            };
            if holds != value {
                return Err(format!("{name} is {holds} here and cannot be {value:?}"));
            }
        }
    }
    Ok(())
}

/// Takes the value of a setting of a topic away, so that the default holds.
///
/// # Errors
/// That there is no such setting, in words.
pub(crate) fn reset(name: &str, node: &Node, keep: &mut Retention) -> Result<(), String> {
    match name {
        "retention.ms" => keep.max_age_ms = None,
        "retention.bytes" => keep.max_bytes = None,
        "cleanup.policy" => keep.cleanup = Cleanup::default(),
        "delete.retention.ms" => keep.compaction.delete_retention_ms = None,
        "min.compaction.lag.ms" => keep.compaction.min_lag_ms = None,
        "min.cleanable.dirty.ratio" => keep.compaction.min_dirty_percent = None,
        "max.message.bytes" => keep.max_message_bytes = None,
        name if WITHOUT_EFFECT.contains(&name) => {}
        name if holding(name, keep, node).is_some() => {}
        name => return Err(format!("unknown topic config {name}")),
    }
    Ok(())
}

/// Takes the values of all settings that have a name here away.
pub(crate) fn reset_all(keep: &mut Retention) {
    let Retention { max_age_ms, max_bytes, cleanup, compaction, max_message_bytes, .. } = keep;
    (*max_age_ms, *max_bytes, *max_message_bytes) = (None, None, None);
    (*cleanup, *compaction) = (Cleanup::default(), Compaction::default());
}

/// Adds items to a setting that is a list, or takes them out.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn amend(
    name: &str,
    value: &str,
    adds: bool,
    keep: &mut Retention,
) -> Result<(), String> {
    if name != "cleanup.policy" {
        return Err(format!("{name} is no list"));
    }
    let mut deletes = keep.cleanup.expires();
    let mut compacts = keep.cleanup.compacts();
    for item in items(value) {
        match item {
            "delete" => deletes = adds,
            "compact" => compacts = adds,
            _ => return Err(format!("{name} holds delete and compact, not {item:?}")),
        }
    }
    keep.cleanup = cleanup_of(deletes, compacts)?;
    Ok(())
}

fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn cleanup(value: &str) -> Result<Cleanup, String> {
    let (mut deletes, mut compacts) = (false, false);
    for item in items(value) {
        match item {
            "delete" => deletes = true,
            "compact" => compacts = true,
            _ => return Err(format!("cleanup.policy holds delete and compact, not {item:?}")),
        }
    }
    cleanup_of(deletes, compacts)
}

fn cleanup_of(deletes: bool, compacts: bool) -> Result<Cleanup, String> {
    match (deletes, compacts) {
        (true, false) => Ok(Cleanup::Delete),
        (false, true) => Ok(Cleanup::Compact),
        (true, true) => Ok(Cleanup::Both),
        (false, false) => Err("cleanup.policy is delete, compact, or both".to_owned()),
    }
}

/// The value of a setting as it holds for a topic that keeps this.
fn holding(name: &str, keep: &Retention, node: &Node) -> Option<String> {
    let status = StreamStatus {
        asked: StreamRef::Id([0; 16]),
        name: bytes::Bytes::new(),
        id: [0; 16],
        partitions: 1,
        internal: false,
        retention: keep.clone(),
        refused: None,
    };
    let found = of_topic(&status, node).into_iter().find(|setting| setting.name == name);
    found.map(|setting| setting.value)
}

/// The settings of a topic that was just made.
pub(crate) fn of_created(stream: &StreamStatus, node: &Node) -> Vec<CreatableTopicConfigs> {
    of_topic(stream, node)
        .into_iter()
        .map(|setting| CreatableTopicConfigs {
            name: Text::from_static(setting.name),
            value: Some(setting.value.into()),
            read_only: setting.read_only,
            config_source: setting.source,
            is_sensitive: false,
        })
        .collect()
}
