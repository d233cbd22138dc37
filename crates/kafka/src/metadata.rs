//! Metadata: where topics are. One node leads every partition, in epoch 0 for ever.

use bytes::Bytes;
use hashbrown::HashSet;
use kafka_codec::messages::metadata_request::MetadataRequestTopic;
use kafka_codec::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_codec::messages::{MetadataRequest, MetadataResponse};
use kafka_codec::{ErrorCode, Text, Uuid};
use protocol::{Reply, Request, StreamRef, StreamStatus};

use crate::call::{Begun, Call, Desk, Step};
use crate::{cluster, refusal};

/// What anyone may do to a topic, as a set of bits by operation number: there are no users yet.
const TOPIC_OPERATIONS: i32 = 1 << 3 // read
    | 1 << 4 // write
    | 1 << 5 // create
    | 1 << 6 // delete
    | 1 << 8 // describe
    | 1 << 10 // describe configs
    | 1 << 11; // alter configs

/// The epoch of every leader. Never -1: Java clients then drop what they know of the partition.
pub(crate) const LEADER_EPOCH: i32 = 0;

/// The longest name of a topic.
const NAME_BYTES_MAX: usize = 249;

#[derive(Debug)]
struct Waiting {
    /// Names that no topic can have, with their answers.
    invalid: Vec<MetadataResponseTopic>,
    cluster_operations: bool,
    topic_operations: bool,
}

pub(crate) fn begin(request: MetadataRequest, desk: &mut Desk<'_>) -> Begun {
    let mut waiting = Waiting {
        invalid: Vec::new(),
        cluster_operations: request.include_cluster_authorized_operations,
        topic_operations: request.include_topic_authorized_operations,
    };
    // Up to version 3 the field is absent, and topics are made as the node is configured.
    let allowed = desk.version() < 4 || request.allow_auto_topic_creation;
    let create = allowed && desk.node().auto_create_streams;
    let asked = match request.topics {
        None => None,
        // In version 0 there is no null: an empty list means all.
        Some(topics) if topics.is_empty() && desk.version() == 0 => None,
        Some(topics) => Some(wanted(topics, &mut waiting.invalid)),
    };
    if asked.as_ref().is_some_and(Vec::is_empty) {
        return Begun::answer(waiting.answer(Vec::new(), desk));
    }
    let create = create && asked.is_some();
    desk.ask(0, Request::DescribeStreams { streams: asked, create });
    Begun::waiting(waiting)
}

/// Each topic once; names that no topic can have are answered here.
fn wanted(
    topics: Vec<MetadataRequestTopic>,
    invalid: &mut Vec<MetadataResponseTopic>,
) -> Vec<StreamRef> {
    let mut seen = HashSet::new();
    let mut refs = Vec::with_capacity(topics.len());
    for topic in topics {
        let stream = match topic.name {
            Some(name) if !is_topic_name(name.as_bytes()) => {
                if seen.insert(StreamRef::Name(name.bytes().clone())) {
                    invalid.push(MetadataResponseTopic {
                        error_code: ErrorCode::InvalidTopicException.into(),
                        name: Some(name),
                        ..Default::default()
                    });
                }
                continue;
            }
            Some(name) => StreamRef::Name(name.into_bytes()),
            None => StreamRef::Id(topic.topic_id.0),
        };
        if seen.insert(stream.clone()) {
            refs.push(stream);
        }
    }
    refs
}

impl Call for Waiting {
    fn reply(&mut self, _index: u32, reply: Reply, desk: &mut Desk<'_>) -> Step {
        let streams = if let Reply::Streams(streams) = reply { streams } else { Vec::new() };
        Step::answer(self.answer(streams, desk))
    }
}

impl Waiting {
    fn answer(&mut self, streams: Vec<StreamStatus>, desk: &Desk<'_>) -> MetadataResponse {
        let (host, port) = desk.advertised();
        let node = desk.node();
        let mut topics: Vec<_> =
            streams.iter().map(|stream| topic(stream, node.id, self.topic_operations)).collect();
        topics.append(&mut self.invalid);
        MetadataResponse {
            brokers: vec![MetadataResponseBroker {
                node_id: node.id,
                host: host.into(),
                port,
                rack: None,
            }],
            cluster_id: Some(Text::from(node.cluster_id.as_str())),
            controller_id: node.id,
            topics,
            cluster_authorized_operations: cluster::operations(self.cluster_operations),
            ..Default::default()
        }
    }
}

fn topic(stream: &StreamStatus, node: i32, operations: bool) -> MetadataResponseTopic {
    let asked_name = match &stream.asked {
        StreamRef::Name(name) => Some(text(name)),
        StreamRef::Id(_) => None,
    };
    let asked_id = match stream.asked {
        StreamRef::Name(_) => Uuid::ZERO,
        StreamRef::Id(id) => Uuid(id),
    };
    let mut topic = MetadataResponseTopic {
        name: asked_name,
        topic_id: asked_id,
        topic_authorized_operations: topic_operations(operations),
        ..Default::default()
    };
    match &stream.refused {
        Some(refused) => topic.error_code = refusal::code(refused, &stream.asked).into(),
        None => {
            topic.name = Some(text(&stream.name));
            topic.topic_id = Uuid(stream.id);
            topic.is_internal = stream.internal;
            topic.partitions = (0..stream.partitions)
                .map(|index| MetadataResponsePartition {
                    partition_index: i32::try_from(index).unwrap_or(i32::MAX),
                    leader_id: node,
                    leader_epoch: LEADER_EPOCH,
                    replica_nodes: vec![node],
                    isr_nodes: vec![node],
                    ..Default::default()
                })
                .collect();
        }
    }
    topic
}

/// The bits of what may be done to a topic, or the value for "not asked".
pub(crate) fn topic_operations(asked: bool) -> i32 {
    if asked { TOPIC_OPERATIONS } else { i32::MIN }
}

/// Whether a topic can have this name: `[a-zA-Z0-9._-]{1,249}`, neither `.` nor `..`.
pub(crate) fn is_topic_name(name: &[u8]) -> bool {
    let alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.iter().all(alphabet)
        && !matches!(name, b"." | b"..")
}

/// The name of a stream as a client reads it.
pub(crate) fn text(name: &Bytes) -> Text {
    Text::try_from(name.clone())
        .unwrap_or_else(|_| Text::from(String::from_utf8_lossy(name).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names_are_those_of_kafka() {
        for good in ["a", "A.b_c-9", "__consumer_offsets", "...", &"x".repeat(249)] {
            assert!(is_topic_name(good.as_bytes()), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(250)] {
            assert!(!is_topic_name(bad.as_bytes()), "{bad}");
        }
    }
}
