//! DescribeTopicPartitions (KIP-966): Metadata in pages, sorted by name.

use bytes::Bytes;
use kafka_codec::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_codec::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use kafka_codec::{ErrorCode, Uuid};
use protocol::{Reply, Request, StreamRef, StreamStatus};

use crate::call::{Begun, Call, Desk, Step};
use crate::metadata::{LEADER_EPOCH, is_topic_name, text, topic_operations};
use crate::refusal;

/// Most partitions of one page, whatever the client asks for.
const PAGE_MAX: u32 = 2000;

#[derive(Debug)]
struct Waiting {
    /// Names that no topic can have.
    invalid: Vec<Bytes>,
    /// The first name and partition of this page.
    from: (Bytes, u32),
    page: u32,
}

pub(crate) fn begin(request: DescribeTopicPartitionsRequest, desk: &mut Desk<'_>) -> Begun {
    let from = request.cursor.map_or((Bytes::new(), 0), |cursor| {
        let partition = u32::try_from(cursor.partition_index).unwrap_or_default();
        (cursor.topic_name.into_bytes(), partition)
    });
    let page = u32::try_from(request.response_partition_limit).unwrap_or_default();
    let mut waiting = Waiting { invalid: Vec::new(), from, page: page.clamp(1, PAGE_MAX) };
    let mut streams = None;
    if !request.topics.is_empty() {
        let mut names: Vec<Bytes> =
            request.topics.into_iter().map(|topic| topic.name.into_bytes()).collect();
        names.sort();
        names.dedup();
        names.retain(|name| *name >= waiting.from.0);
        let (valid, invalid) = names.into_iter().partition(|name| is_topic_name(name));
        waiting.invalid = invalid;
        streams = Some(Vec::from_iter(Vec::into_iter(valid).map(StreamRef::Name)));
    }
    if streams.as_ref().is_some_and(Vec::is_empty) {
        return Begun::answer(waiting.answer(Vec::new(), desk.node().id));
    }
    desk.ask(0, Request::DescribeStreams { streams, create: false });
    Begun::waiting(waiting)
}

impl Call for Waiting {
    fn reply(&mut self, _index: u32, reply: Reply, desk: &mut Desk<'_>) -> Step {
        let streams = if let Reply::Streams(streams) = reply { streams } else { Vec::new() };
        Step::answer(self.answer(streams, desk.node().id))
    }
}

impl Waiting {
    fn answer(
        &mut self,
        mut streams: Vec<StreamStatus>,
        node: i32,
    ) -> DescribeTopicPartitionsResponse {
        streams.sort_by(|a, b| a.name.cmp(&b.name));
        let mut response = DescribeTopicPartitionsResponse::default();
        for name in self.invalid.drain(..) {
            response.topics.push(DescribeTopicPartitionsResponseTopic {
                error_code: ErrorCode::InvalidTopicException.into(),
                name: Some(text(&name)),
                ..Default::default()
            });
        }
        let mut left = self.page;
        for stream in streams.iter().filter(|stream| named(stream) >= &self.from.0) {
            let name = named(stream);
            let first = if *name == self.from.0 { self.from.1 } else { 0 };
            if left == 0 {
                response.next_cursor =
                    Some(Cursor { topic_name: text(name), partition_index: index(first) });
                break;
            }
            let last = stream.partitions.min(first.saturating_add(left));
            left -= last.saturating_sub(first);
            response.topics.push(topic(stream, first..last, node));
            if last < stream.partitions {
                response.next_cursor =
                    Some(Cursor { topic_name: text(name), partition_index: index(last) });
                break;
            }
        }
        response
    }
}

/// The name of a stream, known or not.
fn named(stream: &StreamStatus) -> &Bytes {
    match &stream.asked {
        StreamRef::Name(name) => name,
        StreamRef::Id(_) => &stream.name,
    }
}

fn topic(
    stream: &StreamStatus,
    partitions: std::ops::Range<u32>,
    node: i32,
) -> DescribeTopicPartitionsResponseTopic {
    let mut topic = DescribeTopicPartitionsResponseTopic {
        name: Some(text(named(stream))),
        topic_authorized_operations: topic_operations(true),
        ..Default::default()
    };
    if let Some(refused) = &stream.refused {
        topic.error_code = refusal::code(refused, &stream.asked).into();
        return topic;
    }
    topic.topic_id = Uuid(stream.id);
    topic.is_internal = stream.internal;
    topic.partitions = partitions
        .map(|partition| DescribeTopicPartitionsResponsePartition {
            partition_index: index(partition),
            leader_id: node,
            leader_epoch: LEADER_EPOCH,
            replica_nodes: vec![node],
            isr_nodes: vec![node],
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            ..Default::default()
        })
        .collect();
    topic
}

fn index(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
