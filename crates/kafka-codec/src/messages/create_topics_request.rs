//! CreateTopicsRequest (API key 19, versions 2 to 7).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// CreateTopicsRequest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopicsRequest {
    /// The topics to create.
    pub topics: Vec<CreatableTopic>,
    /// How long to wait in milliseconds before timing out the request.
    pub timeout_ms: i32,
    /// If true, check that the topics can be created as specified, but don't create anything.
    pub validate_only: bool,
}

impl Default for CreateTopicsRequest {
    fn default() -> Self {
        Self { topics: Vec::new(), timeout_ms: 60000, validate_only: false }
    }
}

impl Field for CreateTopicsRequest {
    const MIN_BYTES: usize = 7;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.topics = reader.read()?;
        it.timeout_ms = reader.read()?;
        it.validate_only = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.topics);
        writer.put(&self.timeout_ms);
        writer.put(&self.validate_only);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for CreateTopicsRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.topics = sampler.draw();
        it.timeout_ms = sampler.draw();
        it.validate_only = sampler.draw();
        it
    }
}

/// The topics to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatableTopic {
    /// The topic name.
    pub name: Text,
    /// The number of partitions to create in the topic, or -1 if we are either specifying a manual
    /// partition assignment or using the default partitions.
    pub num_partitions: i32,
    /// The number of replicas to create for each partition in the topic, or -1 if we are either
    /// specifying a manual partition assignment or using the default replication factor.
    pub replication_factor: i16,
    /// The manual partition assignment, or the empty array if we are using automatic assignment.
    pub assignments: Vec<CreatableReplicaAssignment>,
    /// The custom topic configurations to set.
    pub configs: Vec<CreatableTopicConfig>,
}

impl Field for CreatableTopic {
    const MIN_BYTES: usize = 10;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.name = reader.read()?;
        it.num_partitions = reader.read()?;
        it.replication_factor = reader.read()?;
        it.assignments = reader.read()?;
        it.configs = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.name);
        writer.put(&self.num_partitions);
        writer.put(&self.replication_factor);
        writer.put(&self.assignments);
        writer.put(&self.configs);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for CreatableTopic {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it.num_partitions = sampler.draw();
        it.replication_factor = sampler.draw();
        it.assignments = sampler.draw();
        it.configs = sampler.draw();
        it
    }
}

/// The manual partition assignment, or the empty array if we are using automatic assignment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatableReplicaAssignment {
    /// The partition index.
    pub partition_index: i32,
    /// The brokers to place the partition on.
    pub broker_ids: Vec<i32>,
}

impl Field for CreatableReplicaAssignment {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.partition_index = reader.read()?;
        it.broker_ids = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.partition_index);
        writer.put(&self.broker_ids);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for CreatableReplicaAssignment {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.partition_index = sampler.draw();
        it.broker_ids = sampler.draw();
        it
    }
}

/// The custom topic configurations to set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatableTopicConfig {
    /// The configuration name.
    pub name: Text,
    /// The configuration value.
    pub value: Option<Text>,
}

impl Field for CreatableTopicConfig {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.name = reader.read()?;
        it.value = reader.read_nullable()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.name);
        writer.put_nullable(self.value.as_ref());
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for CreatableTopicConfig {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it.value = sampler.draw_nullable();
        it
    }
}

impl Message for CreateTopicsRequest {
    const KEY: ApiKey = ApiKey::CreateTopics;
    const IS_RESPONSE: bool = false;
}
