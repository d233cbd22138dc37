//! MetadataResponse (API key 3, versions 0 to 13).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Uuid, Writer};
use crate::{ApiKey, Message};

/// MetadataResponse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota. Versions 3 and later.
    pub throttle_time_ms: i32,
    /// A list of brokers present in the cluster.
    pub brokers: Vec<MetadataResponseBroker>,
    /// The cluster ID that responding broker belongs to. Versions 2 and later.
    pub cluster_id: Option<Text>,
    /// The ID of the controller broker. Versions 1 and later.
    pub controller_id: i32,
    /// Each topic in the response.
    pub topics: Vec<MetadataResponseTopic>,
    /// 32-bit bitfield to represent authorized operations for this cluster. Versions 8 to 10.
    pub cluster_authorized_operations: i32,
    /// The top-level error code, or 0 if there was no error. Versions 13 and later.
    pub error_code: i16,
}

impl Default for MetadataResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            brokers: Vec::new(),
            cluster_id: None,
            controller_id: -1,
            topics: Vec::new(),
            cluster_authorized_operations: i32::MIN,
            error_code: 0,
        }
    }
}

impl Field for MetadataResponse {
    const MIN_BYTES: usize = 8;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 3 {
            it.throttle_time_ms = reader.read()?;
        }
        it.brokers = reader.read()?;
        if reader.version() >= 2 {
            it.cluster_id = reader.read_nullable()?;
        }
        if reader.version() >= 1 {
            it.controller_id = reader.read()?;
        }
        it.topics = reader.read()?;
        if (8..=10).contains(&reader.version()) {
            it.cluster_authorized_operations = reader.read()?;
        }
        if reader.version() >= 13 {
            it.error_code = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 3 {
            writer.put(&self.throttle_time_ms);
        }
        writer.put(&self.brokers);
        if writer.version() >= 2 {
            writer.put_nullable(self.cluster_id.as_ref());
        }
        if writer.version() >= 1 {
            writer.put(&self.controller_id);
        }
        writer.put(&self.topics);
        if (8..=10).contains(&writer.version()) {
            writer.put(&self.cluster_authorized_operations);
        }
        if writer.version() >= 13 {
            writer.put(&self.error_code);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for MetadataResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 3 {
            it.throttle_time_ms = sampler.draw();
        }
        it.brokers = sampler.draw();
        if sampler.version() >= 2 {
            it.cluster_id = sampler.draw_nullable();
        }
        if sampler.version() >= 1 {
            it.controller_id = sampler.draw();
        }
        it.topics = sampler.draw();
        if (8..=10).contains(&sampler.version()) {
            it.cluster_authorized_operations = sampler.draw();
        }
        if sampler.version() >= 13 {
            it.error_code = sampler.draw();
        }
        it
    }
}

/// A list of brokers present in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataResponseBroker {
    /// The broker ID.
    pub node_id: i32,
    /// The broker hostname.
    pub host: Text,
    /// The broker port.
    pub port: i32,
    /// The rack of the broker, or null if it has not been assigned to a rack. Versions 1 and later.
    pub rack: Option<Text>,
}

impl Field for MetadataResponseBroker {
    const MIN_BYTES: usize = 10;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.node_id = reader.read()?;
        it.host = reader.read()?;
        it.port = reader.read()?;
        if reader.version() >= 1 {
            it.rack = reader.read_nullable()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.node_id);
        writer.put(&self.host);
        writer.put(&self.port);
        if writer.version() >= 1 {
            writer.put_nullable(self.rack.as_ref());
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for MetadataResponseBroker {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.node_id = sampler.draw();
        it.host = sampler.draw();
        it.port = sampler.draw();
        if sampler.version() >= 1 {
            it.rack = sampler.draw_nullable();
        }
        it
    }
}

/// Each topic in the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataResponseTopic {
    /// The topic error, or 0 if there was no error.
    pub error_code: i16,
    /// The topic name. Null for non-existing topics queried by ID. This is never null when
    /// ErrorCode is zero. One of Name and TopicId is always populated.
    pub name: Option<Text>,
    /// The topic id. Zero for non-existing topics queried by name. This is never zero when
    /// ErrorCode is zero. One of Name and TopicId is always populated. Versions 10 and later.
    pub topic_id: Uuid,
    /// True if the topic is internal. Versions 1 and later.
    pub is_internal: bool,
    /// Each partition in the topic.
    pub partitions: Vec<MetadataResponsePartition>,
    /// 32-bit bitfield to represent authorized operations for this topic. Versions 8 and later.
    pub topic_authorized_operations: i32,
}

impl Default for MetadataResponseTopic {
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

impl Field for MetadataResponseTopic {
    const MIN_BYTES: usize = 8;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.error_code = reader.read()?;
        it.name =
            if reader.version() >= 12 { reader.read_nullable()? } else { Some(reader.read()?) };
        if reader.version() >= 10 {
            it.topic_id = reader.read()?;
        }
        if reader.version() >= 1 {
            it.is_internal = reader.read()?;
        }
        it.partitions = reader.read()?;
        if reader.version() >= 8 {
            it.topic_authorized_operations = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.error_code);
        if writer.version() >= 12 {
            writer.put_nullable(self.name.as_ref());
        } else {
            writer.put_or_default(self.name.as_ref());
        }
        if writer.version() >= 10 {
            writer.put(&self.topic_id);
        }
        if writer.version() >= 1 {
            writer.put(&self.is_internal);
        }
        writer.put(&self.partitions);
        if writer.version() >= 8 {
            writer.put(&self.topic_authorized_operations);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for MetadataResponseTopic {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.error_code = sampler.draw();
        it.name =
            if sampler.version() >= 12 { sampler.draw_nullable() } else { Some(sampler.draw()) };
        if sampler.version() >= 10 {
            it.topic_id = sampler.draw();
        }
        if sampler.version() >= 1 {
            it.is_internal = sampler.draw();
        }
        it.partitions = sampler.draw();
        if sampler.version() >= 8 {
            it.topic_authorized_operations = sampler.draw();
        }
        it
    }
}

/// Each partition in the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataResponsePartition {
    /// The partition error, or 0 if there was no error.
    pub error_code: i16,
    /// The partition index.
    pub partition_index: i32,
    /// The ID of the leader broker.
    pub leader_id: i32,
    /// The leader epoch of this partition. Versions 7 and later.
    pub leader_epoch: i32,
    /// The set of all nodes that host this partition.
    pub replica_nodes: Vec<i32>,
    /// The set of nodes that are in sync with the leader for this partition.
    pub isr_nodes: Vec<i32>,
    /// The set of offline replicas of this partition. Versions 5 and later.
    pub offline_replicas: Vec<i32>,
}

impl Default for MetadataResponsePartition {
    fn default() -> Self {
        Self {
            error_code: 0,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            offline_replicas: Vec::new(),
        }
    }
}

impl Field for MetadataResponsePartition {
    const MIN_BYTES: usize = 18;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.error_code = reader.read()?;
        it.partition_index = reader.read()?;
        it.leader_id = reader.read()?;
        if reader.version() >= 7 {
            it.leader_epoch = reader.read()?;
        }
        it.replica_nodes = reader.read()?;
        it.isr_nodes = reader.read()?;
        if reader.version() >= 5 {
            it.offline_replicas = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.error_code);
        writer.put(&self.partition_index);
        writer.put(&self.leader_id);
        if writer.version() >= 7 {
            writer.put(&self.leader_epoch);
        }
        writer.put(&self.replica_nodes);
        writer.put(&self.isr_nodes);
        if writer.version() >= 5 {
            writer.put(&self.offline_replicas);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for MetadataResponsePartition {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.error_code = sampler.draw();
        it.partition_index = sampler.draw();
        it.leader_id = sampler.draw();
        if sampler.version() >= 7 {
            it.leader_epoch = sampler.draw();
        }
        it.replica_nodes = sampler.draw();
        it.isr_nodes = sampler.draw();
        if sampler.version() >= 5 {
            it.offline_replicas = sampler.draw();
        }
        it
    }
}

impl Message for MetadataResponse {
    const KEY: ApiKey = ApiKey::Metadata;
    const IS_RESPONSE: bool = true;
}
