//! Topic and broker configuration under Kafka's names: what holds, and nothing else.
//!
//! A value that cannot be honoured is refused when a topic is created with it. Settings that only
//! tune Kafka's own files have nothing to act on here; they are taken, and are not shown back.

use kafka_codec::messages::create_topics_response::CreatableTopicConfigs;
use kafka_codec::messages::describe_configs_request::DescribeConfigsResource;
use kafka_codec::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_codec::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_codec::{ErrorCode, Limits, Text};
use protocol::{Node, Reply, Request, StreamDeclaration, StreamRef, StreamStatus};

use crate::call::{Begun, Call, Desk, Step};
use crate::metadata::is_topic_name;
use crate::refusal;

/// Settings of Kafka's own files and cleaner, without an effect that a client could see.
const WITHOUT_EFFECT: &[&str] = &[
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "index.interval.bytes",
    "max.compaction.lag.ms",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
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
const LIST: i8 = 7;

const OF_TOPIC: i8 = 1;
const OF_NODE: i8 = 4;
const DEFAULT: i8 = 5;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// One setting as it holds.
struct Setting {
    name: &'static str,
    value: String,
    kind: i8,
    source: i8,
    /// The broker's setting that a topic inherits.
    inherits: Option<&'static str>,
    about: &'static str,
}

/// What holds for a topic.
fn of_topic(stream: &StreamStatus, node: &Node) -> Vec<Setting> {
    let retention = |name, inherits, limit: Option<u64>, about| Setting {
        name,
        value: limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string()),
        kind: LONG,
        source: if limit.is_some() { OF_TOPIC } else { DEFAULT },
        inherits: Some(inherits),
        about,
    };
    let fixed = |name, value: &str, kind, inherits, about| Setting {
        name,
        value: value.to_owned(),
        kind,
        source: DEFAULT,
        inherits: Some(inherits),
        about,
    };
    let message_bytes = node.limits.message_bytes.to_string();
    vec![
        fixed(
            "cleanup.policy",
            "delete",
            LIST,
            "log.cleanup.policy",
            "Records go by age and size, not by key.",
        ),
        fixed(
            "compression.type",
            "producer",
            STRING,
            "compression.type",
            "Batches keep the codec that their producer chose.",
        ),
        fixed(
            "max.message.bytes",
            &message_bytes,
            INT,
            "message.max.bytes",
            "The largest message that is taken, in bytes.",
        ),
        fixed(
            "message.timestamp.type",
            "CreateTime",
            STRING,
            "log.message.timestamp.type",
            "A record keeps the timestamp that its producer gave.",
        ),
        fixed(
            "min.insync.replicas",
            "1",
            INT,
            "min.insync.replicas",
            "Copies that must be in step when acks is all.",
        ),
        retention(
            "retention.bytes",
            "log.retention.bytes",
            stream.retention.max_bytes,
            "Bytes of a partition above which the oldest records go; -1 keeps them.",
        ),
        retention(
            "retention.ms",
            "log.retention.ms",
            stream.retention.max_age_ms,
            "Age at which records go, in milliseconds; -1 keeps them.",
        ),
    ]
}

/// What holds for the node.
fn of_node(node: &Node) -> Vec<Setting> {
    let set = |name, value: String, kind, about| Setting {
        name,
        value,
        kind,
        source: OF_NODE,
        inherits: None,
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

/// Takes a setting into a topic that is to be made.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn apply(
    name: &str,
    value: &str,
    node: &Node,
    topic: &mut StreamDeclaration,
) -> Result<(), String> {
    let limit = || match value.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(limit @ 0..) => Ok(u64::try_from(limit).ok()),
        Ok(_) | Err(_) => Err(format!("{name} is a number from 0, or -1, not {value:?}")),
    };
    match name {
        "retention.ms" => topic.retention.max_age_ms = limit()?,
        "retention.bytes" => topic.retention.max_bytes = limit()?,
        name if WITHOUT_EFFECT.contains(&name) => {}
        name => {
            let asked = status(topic);
            let Some(holds) = of_topic(&asked, node).into_iter().find(|one| one.name == name)
            else {
                return Err(format!("unknown topic config {name}"));
            };
            if holds.value != value {
                let holds = holds.value;
                return Err(format!("{name} is {holds} here and cannot be {value:?}"));
            }
        }
    }
    Ok(())
}

/// A stream of this declaration as if it were there.
fn status(topic: &StreamDeclaration) -> StreamStatus {
    StreamStatus {
        asked: StreamRef::Name(topic.name.clone()),
        name: topic.name.clone(),
        id: [0; 16],
        partitions: topic.partitions,
        internal: false,
        retention: topic.retention.clone(),
        refused: None,
    }
}

/// The settings of a topic that was just made.
pub(crate) fn of_created(stream: &StreamStatus, node: &Node) -> Vec<CreatableTopicConfigs> {
    of_topic(stream, node)
        .into_iter()
        .map(|setting| CreatableTopicConfigs {
            name: Text::from_static(setting.name),
            value: Some(setting.value.into()),
            read_only: true,
            config_source: setting.source,
            is_sensitive: false,
        })
        .collect()
}

#[derive(Debug)]
struct Waiting {
    request: DescribeConfigsRequest,
}

pub(crate) fn describe(request: DescribeConfigsRequest, desk: &mut Desk<'_>) -> Begun {
    let streams: Vec<StreamRef> = request
        .resources
        .iter()
        .filter(|resource| is_topic(resource))
        .map(|resource| StreamRef::Name(resource.resource_name.bytes().clone()))
        .collect();
    if streams.is_empty() {
        return Begun::answer(answer(&request, Vec::new(), desk.node()));
    }
    desk.ask(0, Request::DescribeStreams { streams: Some(streams), create: false });
    Begun::waiting(Waiting { request })
}

impl Call for Waiting {
    fn reply(&mut self, _index: u32, reply: Reply, desk: &mut Desk<'_>) -> Step {
        let streams = if let Reply::Streams(streams) = reply { streams } else { Vec::new() };
        Step::answer(answer(&self.request, streams, desk.node()))
    }
}

/// Whether the resource is a topic that there may be.
fn is_topic(resource: &DescribeConfigsResource) -> bool {
    resource.resource_type == TOPIC && is_topic_name(resource.resource_name.as_bytes())
}

/// Answers each resource; `streams` are those of the topics among them, in order.
fn answer(
    request: &DescribeConfigsRequest,
    streams: Vec<StreamStatus>,
    node: &Node,
) -> DescribeConfigsResponse {
    let mut streams = streams.into_iter();
    let mut results = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let settings = if is_topic(resource) {
            let stream = StreamRef::Name(resource.resource_name.bytes().clone());
            match streams.next() {
                Some(StreamStatus { refused: Some(refused), .. }) => {
                    Err((refusal::code(&refused, &stream), "no such topic"))
                }
                Some(status) => Ok(of_topic(&status, node)),
                None => Err((ErrorCode::KafkaStorageError, "the topic cannot be read")),
            }
        } else {
            match resource.resource_type {
                TOPIC => Err((ErrorCode::InvalidTopicException, "no topic has this name")),
                BROKER => broker(&resource.resource_name, node),
                _ => Err((ErrorCode::InvalidRequest, "only topics and the broker have configs")),
            }
        };
        results.push(result(request, resource, settings));
    }
    DescribeConfigsResponse { results, ..Default::default() }
}

/// The settings of a broker by its number; the empty name means what all brokers default to, of
/// which nothing is set.
fn broker(name: &str, node: &Node) -> Result<Vec<Setting>, (ErrorCode, &'static str)> {
    if name.is_empty() {
        Ok(Vec::new())
    } else if name.parse() == Ok(node.id) {
        Ok(of_node(node))
    } else {
        Err((ErrorCode::InvalidRequest, "there is no broker of this number"))
    }
}

fn result(
    request: &DescribeConfigsRequest,
    resource: &DescribeConfigsResource,
    settings: Result<Vec<Setting>, (ErrorCode, &'static str)>,
) -> DescribeConfigsResult {
    let mut result = DescribeConfigsResult {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        ..Default::default()
    };
    match settings {
        Err((code, text)) => {
            result.error_code = code.into();
            result.error_message = Some(Text::from_static(text));
        }
        Ok(settings) => {
            let wanted = |setting: &Setting| match &resource.configuration_keys {
                Some(keys) => keys.iter().any(|key| *key == setting.name),
                None => true,
            };
            result.configs = settings
                .into_iter()
                .filter(wanted)
                .map(|setting| described(setting, request))
                .collect();
        }
    }
    result
}

fn described(setting: Setting, request: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let value = Some(Text::from(setting.value));
    let mut synonyms = Vec::new();
    if request.include_synonyms {
        // The first synonym is where the value comes from.
        let name = match (setting.source, setting.inherits) {
            (DEFAULT, Some(inherited)) => inherited,
            _ => setting.name,
        };
        synonyms.push(DescribeConfigsSynonym {
            name: Text::from_static(name),
            value: value.clone(),
            source: setting.source,
        });
    }
    DescribeConfigsResourceResult {
        name: Text::from_static(setting.name),
        value,
        read_only: true,
        config_source: setting.source,
        is_sensitive: false,
        synonyms,
        config_type: setting.kind,
        documentation: request.include_documentation.then(|| Text::from_static(setting.about)),
    }
}
