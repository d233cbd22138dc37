//! ProduceResponse (API key 0, versions 0 to 13).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, TaggedFields, Text, Uuid, Writer};
use crate::{ApiKey, Message};

/// ProduceResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProduceResponse {
    /// Each produce response.
    pub responses: Vec<TopicProduceResponse>,
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota. Versions 1 and later.
    pub throttle_time_ms: i32,
    /// Endpoints for all current-leaders enumerated in PartitionProduceResponses, with errors
    /// NOT_LEADER_OR_FOLLOWER. Versions 10 and later.
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl Field for ProduceResponse {
    const MIN_BYTES: usize = 4;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.responses = reader.read()?;
        if reader.version() >= 1 {
            it.throttle_time_ms = reader.read()?;
        }
        reader.read_tagged(|tag, field| {
            match tag {
                0 if field.version() >= 10 => it.node_endpoints = field.read()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.responses);
        if writer.version() >= 1 {
            writer.put(&self.throttle_time_ms);
        }
        let mut tagged = TaggedFields::of(writer);
        if writer.version() >= 10 && !self.node_endpoints.is_empty() {
            tagged.put(0, &self.node_endpoints);
        }
        writer.put_tagged(tagged);
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for ProduceResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.responses = sampler.draw();
        if sampler.version() >= 1 {
            it.throttle_time_ms = sampler.draw();
        }
        if sampler.version() >= 10 {
            it.node_endpoints = sampler.draw();
        }
        it
    }
}

/// Each produce response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicProduceResponse {
    /// The topic name. Versions 0 to 12.
    pub name: Text,
    /// The unique topic ID. Versions 13 and later.
    pub topic_id: Uuid,
    /// Each partition that we produced to within the topic.
    pub partition_responses: Vec<PartitionProduceResponse>,
}

impl Field for TopicProduceResponse {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() <= 12 {
            it.name = reader.read()?;
        }
        if reader.version() >= 13 {
            it.topic_id = reader.read()?;
        }
        it.partition_responses = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() <= 12 {
            writer.put(&self.name);
        }
        if writer.version() >= 13 {
            writer.put(&self.topic_id);
        }
        writer.put(&self.partition_responses);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for TopicProduceResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() <= 12 {
            it.name = sampler.draw();
        }
        if sampler.version() >= 13 {
            it.topic_id = sampler.draw();
        }
        it.partition_responses = sampler.draw();
        it
    }
}

/// Each partition that we produced to within the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionProduceResponse {
    /// The partition index.
    pub index: i32,
    /// The error code, or 0 if there was no error.
    pub error_code: i16,
    /// The base offset.
    pub base_offset: i64,
    /// The timestamp returned by broker after appending the messages. If CreateTime is used for the
    /// topic, the timestamp will be -1. If LogAppendTime is used for the topic, the timestamp will
    /// be the broker local time when the messages are appended. Versions 2 and later.
    pub log_append_time_ms: i64,
    /// The log start offset. Versions 5 and later.
    pub log_start_offset: i64,
    /// The batch indices of records that caused the batch to be dropped. Versions 8 and later.
    pub record_errors: Vec<BatchIndexAndErrorMessage>,
    /// The global error message summarizing the common root cause of the records that caused the
    /// batch to be dropped. Versions 8 and later.
    pub error_message: Option<Text>,
    /// The leader broker that the producer should use for future requests. Versions 10 and later.
    pub current_leader: LeaderIdAndEpoch,
}

impl Default for PartitionProduceResponse {
    fn default() -> Self {
        Self {
            index: 0,
            error_code: 0,
            base_offset: 0,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: LeaderIdAndEpoch::default(),
        }
    }
}

impl Field for PartitionProduceResponse {
    const MIN_BYTES: usize = 14;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.index = reader.read()?;
        it.error_code = reader.read()?;
        it.base_offset = reader.read()?;
        if reader.version() >= 2 {
            it.log_append_time_ms = reader.read()?;
        }
        if reader.version() >= 5 {
            it.log_start_offset = reader.read()?;
        }
        if reader.version() >= 8 {
            it.record_errors = reader.read()?;
            it.error_message = reader.read_nullable()?;
        }
        reader.read_tagged(|tag, field| {
            match tag {
                0 if field.version() >= 10 => it.current_leader = field.read()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.index);
        writer.put(&self.error_code);
        writer.put(&self.base_offset);
        if writer.version() >= 2 {
            writer.put(&self.log_append_time_ms);
        }
        if writer.version() >= 5 {
            writer.put(&self.log_start_offset);
        }
        if writer.version() >= 8 {
            writer.put(&self.record_errors);
            writer.put_nullable(self.error_message.as_ref());
        }
        let mut tagged = TaggedFields::of(writer);
        if writer.version() >= 10 && self.current_leader != LeaderIdAndEpoch::default() {
            tagged.put(0, &self.current_leader);
        }
        writer.put_tagged(tagged);
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for PartitionProduceResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.index = sampler.draw();
        it.error_code = sampler.draw();
        it.base_offset = sampler.draw();
        if sampler.version() >= 2 {
            it.log_append_time_ms = sampler.draw();
        }
        if sampler.version() >= 5 {
            it.log_start_offset = sampler.draw();
        }
        if sampler.version() >= 8 {
            it.record_errors = sampler.draw();
            it.error_message = sampler.draw_nullable();
        }
        if sampler.version() >= 10 {
            it.current_leader = sampler.draw();
        }
        it
    }
}

/// The batch indices of records that caused the batch to be dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchIndexAndErrorMessage {
    /// The batch index of the record that caused the batch to be dropped.
    pub batch_index: i32,
    /// The error message of the record that caused the batch to be dropped.
    pub batch_index_error_message: Option<Text>,
}

impl Field for BatchIndexAndErrorMessage {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.batch_index = reader.read()?;
        it.batch_index_error_message = reader.read_nullable()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.batch_index);
        writer.put_nullable(self.batch_index_error_message.as_ref());
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for BatchIndexAndErrorMessage {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.batch_index = sampler.draw();
        it.batch_index_error_message = sampler.draw_nullable();
        it
    }
}

/// The leader broker that the producer should use for future requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderIdAndEpoch {
    /// The ID of the current leader or -1 if the leader is unknown.
    pub leader_id: i32,
    /// The latest known leader epoch.
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self { leader_id: -1, leader_epoch: -1 }
    }
}

impl Field for LeaderIdAndEpoch {
    const MIN_BYTES: usize = 9;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.leader_id = reader.read()?;
        it.leader_epoch = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.leader_id);
        writer.put(&self.leader_epoch);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for LeaderIdAndEpoch {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.leader_id = sampler.draw();
        it.leader_epoch = sampler.draw();
        it
    }
}

/// Endpoints for all current-leaders enumerated in PartitionProduceResponses, with errors
/// NOT_LEADER_OR_FOLLOWER.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeEndpoint {
    /// The ID of the associated node.
    pub node_id: i32,
    /// The node's hostname.
    pub host: Text,
    /// The node's port.
    pub port: i32,
    /// The rack of the node, or null if it has not been assigned to a rack.
    pub rack: Option<Text>,
}

impl Field for NodeEndpoint {
    const MIN_BYTES: usize = 11;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.node_id = reader.read()?;
        it.host = reader.read()?;
        it.port = reader.read()?;
        it.rack = reader.read_nullable()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.node_id);
        writer.put(&self.host);
        writer.put(&self.port);
        writer.put_nullable(self.rack.as_ref());
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for NodeEndpoint {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.node_id = sampler.draw();
        it.host = sampler.draw();
        it.port = sampler.draw();
        it.rack = sampler.draw_nullable();
        it
    }
}

impl Message for ProduceResponse {
    const KEY: ApiKey = ApiKey::Produce;
    const IS_RESPONSE: bool = true;
}
