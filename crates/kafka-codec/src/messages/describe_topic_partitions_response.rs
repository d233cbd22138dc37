//! DescribeTopicPartitionsResponse (API key 75, versions 0).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Nullable, Reader, Text, Uuid, Writer};
use crate::{ApiKey, Message};

/// DescribeTopicPartitionsResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeTopicPartitionsResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota.
    pub throttle_time_ms: i32,
    /// Each topic in the response.
    pub topics: Vec<DescribeTopicPartitionsResponseTopic>,
    /// The next topic and partition index to fetch details for.
    pub next_cursor: Option<Cursor>,
}

impl Field for DescribeTopicPartitionsResponse {
    const MIN_BYTES: usize = 7;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.throttle_time_ms = reader.read()?;
        it.topics = reader.read()?;
        it.next_cursor = reader.read_nullable()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.throttle_time_ms);
        writer.put(&self.topics);
        writer.put_nullable(self.next_cursor.as_ref());
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribeTopicPartitionsResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.throttle_time_ms = sampler.draw();
        it.topics = sampler.draw();
        it.next_cursor = sampler.draw_nullable();
        it
    }
}

/// Each topic in the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTopicPartitionsResponseTopic {
    /// The topic error, or 0 if there was no error.
    pub error_code: i16,
    /// The topic name.
    pub name: Option<Text>,
    /// The topic id.
    pub topic_id: Uuid,
    /// True if the topic is internal.
    pub is_internal: bool,
    /// Each partition in the topic.
    pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
    /// 32-bit bitfield to represent authorized operations for this topic.
    pub topic_authorized_operations: i32,
}

impl Default for DescribeTopicPartitionsResponseTopic {
    fn default() -> Self {
        Self {
            error_code: 0,
            name: None,
            topic_id: Uuid::ZERO,
            is_internal: false,
            partitions: Vec::new(),
            topic_authorized_operations: i32::MIN,
        }
    }
}

impl Field for DescribeTopicPartitionsResponseTopic {
    const MIN_BYTES: usize = 26;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.error_code = reader.read()?;
        it.name = reader.read_nullable()?;
        it.topic_id = reader.read()?;
        it.is_internal = reader.read()?;
        it.partitions = reader.read()?;
        it.topic_authorized_operations = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.error_code);
        writer.put_nullable(self.name.as_ref());
        writer.put(&self.topic_id);
        writer.put(&self.is_internal);
        writer.put(&self.partitions);
        writer.put(&self.topic_authorized_operations);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribeTopicPartitionsResponseTopic {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.error_code = sampler.draw();
        it.name = sampler.draw_nullable();
        it.topic_id = sampler.draw();
        it.is_internal = sampler.draw();
        it.partitions = sampler.draw();
        it.topic_authorized_operations = sampler.draw();
        it
    }
}

/// Each partition in the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTopicPartitionsResponsePartition {
    /// The partition error, or 0 if there was no error.
    pub error_code: i16,
    /// The partition index.
    pub partition_index: i32,
    /// The ID of the leader broker.
    pub leader_id: i32,
    /// The leader epoch of this partition.
    pub leader_epoch: i32,
    /// The set of all nodes that host this partition.
    pub replica_nodes: Vec<i32>,
    /// The set of nodes that are in sync with the leader for this partition.
    pub isr_nodes: Vec<i32>,
    /// The new eligible leader replicas otherwise.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// The last known ELR.
    pub last_known_elr: Option<Vec<i32>>,
    /// The set of offline replicas of this partition.
    pub offline_replicas: Vec<i32>,
}

impl Default for DescribeTopicPartitionsResponsePartition {
    fn default() -> Self {
        Self {
            error_code: 0,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            eligible_leader_replicas: None,
            last_known_elr: None,
            offline_replicas: Vec::new(),
        }
    }
}

impl Field for DescribeTopicPartitionsResponsePartition {
    const MIN_BYTES: usize = 20;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.error_code = reader.read()?;
        it.partition_index = reader.read()?;
        it.leader_id = reader.read()?;
        it.leader_epoch = reader.read()?;
        it.replica_nodes = reader.read()?;
        it.isr_nodes = reader.read()?;
        it.eligible_leader_replicas = reader.read_nullable()?;
        it.last_known_elr = reader.read_nullable()?;
        it.offline_replicas = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.error_code);
        writer.put(&self.partition_index);
        writer.put(&self.leader_id);
        writer.put(&self.leader_epoch);
        writer.put(&self.replica_nodes);
        writer.put(&self.isr_nodes);
        writer.put_nullable(self.eligible_leader_replicas.as_ref());
        writer.put_nullable(self.last_known_elr.as_ref());
        writer.put(&self.offline_replicas);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribeTopicPartitionsResponsePartition {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.error_code = sampler.draw();
        it.partition_index = sampler.draw();
        it.leader_id = sampler.draw();
        it.leader_epoch = sampler.draw();
        it.replica_nodes = sampler.draw();
        it.isr_nodes = sampler.draw();
        it.eligible_leader_replicas = sampler.draw_nullable();
        it.last_known_elr = sampler.draw_nullable();
        it.offline_replicas = sampler.draw();
        it
    }
}

/// The next topic and partition index to fetch details for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The name for the first topic to process.
    pub topic_name: Text,
    /// The partition index to start with.
    pub partition_index: i32,
}

impl Field for Cursor {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.topic_name = reader.read()?;
        it.partition_index = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.topic_name);
        writer.put(&self.partition_index);
        writer.put_no_tagged();
    }
}

impl Nullable for Cursor {}

#[cfg(any(test, feature = "sample"))]
impl Sample for Cursor {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.topic_name = sampler.draw();
        it.partition_index = sampler.draw();
        it
    }
}

impl Message for DescribeTopicPartitionsResponse {
    const KEY: ApiKey = ApiKey::DescribeTopicPartitions;
    const IS_RESPONSE: bool = true;
}
