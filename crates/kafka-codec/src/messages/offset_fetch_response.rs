//! OffsetFetchResponse (API key 9, versions 1 to 10).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Uuid, Writer};
use crate::{ApiKey, Message};

/// OffsetFetchResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetchResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota. Versions 3 and later.
    pub throttle_time_ms: i32,
    /// The responses per topic. Versions 0 to 7.
    pub topics: Vec<OffsetFetchResponseTopic>,
    /// The top-level error code, or 0 if there was no error. Versions 2 to 7.
    pub error_code: i16,
    /// The responses per group id. Versions 8 and later.
    pub groups: Vec<OffsetFetchResponseGroup>,
}

impl Field for OffsetFetchResponse {
    const MIN_BYTES: usize = 4;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 3 {
            it.throttle_time_ms = reader.read()?;
        }
        if reader.version() <= 7 {
            it.topics = reader.read()?;
        }
        if (2..=7).contains(&reader.version()) {
            it.error_code = reader.read()?;
        }
        if reader.version() >= 8 {
            it.groups = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 3 {
            writer.put(&self.throttle_time_ms);
        }
        if writer.version() <= 7 {
            writer.put(&self.topics);
        }
        if (2..=7).contains(&writer.version()) {
            writer.put(&self.error_code);
        }
        if writer.version() >= 8 {
            writer.put(&self.groups);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for OffsetFetchResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 3 {
            it.throttle_time_ms = sampler.draw();
        }
        if sampler.version() <= 7 {
            it.topics = sampler.draw();
        }
        if (2..=7).contains(&sampler.version()) {
            it.error_code = sampler.draw();
        }
        if sampler.version() >= 8 {
            it.groups = sampler.draw();
        }
        it
    }
}

/// The responses per topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetchResponseTopic {
    /// The topic name.
    pub name: Text,
    /// The responses per partition.
    pub partitions: Vec<OffsetFetchResponsePartition>,
}

impl Field for OffsetFetchResponseTopic {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.name = reader.read()?;
        it.partitions = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.name);
        writer.put(&self.partitions);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for OffsetFetchResponseTopic {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it.partitions = sampler.draw();
        it
    }
}

/// The responses per partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchResponsePartition {
    /// The partition index.
    pub partition_index: i32,
    /// The committed message offset.
    pub committed_offset: i64,
    /// The leader epoch. Versions 5 to 7.
    pub committed_leader_epoch: i32,
    /// The partition metadata.
    pub metadata: Option<Text>,
    /// The error code, or 0 if there was no error.
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: None,
            error_code: 0,
        }
    }
}

impl Field for OffsetFetchResponsePartition {
    const MIN_BYTES: usize = 16;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.partition_index = reader.read()?;
        it.committed_offset = reader.read()?;
        if reader.version() >= 5 {
            it.committed_leader_epoch = reader.read()?;
        }
        it.metadata = reader.read_nullable()?;
        it.error_code = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.partition_index);
        writer.put(&self.committed_offset);
        if writer.version() >= 5 {
            writer.put(&self.committed_leader_epoch);
        }
        writer.put_nullable(self.metadata.as_ref());
        writer.put(&self.error_code);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for OffsetFetchResponsePartition {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.partition_index = sampler.draw();
        it.committed_offset = sampler.draw();
        if sampler.version() >= 5 {
            it.committed_leader_epoch = sampler.draw();
        }
        it.metadata = sampler.draw_nullable();
        it.error_code = sampler.draw();
        it
    }
}

/// The responses per group id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetchResponseGroup {
    /// The group ID.
    pub group_id: Text,
    /// The responses per topic.
    pub topics: Vec<OffsetFetchResponseTopics>,
    /// The group-level error code, or 0 if there was no error.
    pub error_code: i16,
}

impl Field for OffsetFetchResponseGroup {
    const MIN_BYTES: usize = 5;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.group_id = reader.read()?;
        it.topics = reader.read()?;
        it.error_code = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.group_id);
        writer.put(&self.topics);
        writer.put(&self.error_code);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for OffsetFetchResponseGroup {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.group_id = sampler.draw();
        it.topics = sampler.draw();
        it.error_code = sampler.draw();
        it
    }
}

/// The responses per topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetchResponseTopics {
    /// The topic name. Versions 8 to 9.
    pub name: Text,
    /// The topic ID. Versions 10 and later.
    pub topic_id: Uuid,
    /// The responses per partition.
    pub partitions: Vec<OffsetFetchResponsePartitions>,
}

impl Field for OffsetFetchResponseTopics {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() <= 9 {
            it.name = reader.read()?;
        }
        if reader.version() >= 10 {
            it.topic_id = reader.read()?;
        }
        it.partitions = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() <= 9 {
            writer.put(&self.name);
        }
        if writer.version() >= 10 {
            writer.put(&self.topic_id);
        }
        writer.put(&self.partitions);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for OffsetFetchResponseTopics {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() <= 9 {
            it.name = sampler.draw();
        }
        if sampler.version() >= 10 {
            it.topic_id = sampler.draw();
        }
        it.partitions = sampler.draw();
        it
    }
}

/// The responses per partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchResponsePartitions {
    /// The partition index.
    pub partition_index: i32,
    /// The committed message offset.
    pub committed_offset: i64,
    /// The leader epoch.
    pub committed_leader_epoch: i32,
    /// The partition metadata.
    pub metadata: Option<Text>,
    /// The partition-level error code, or 0 if there was no error.
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartitions {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: None,
            error_code: 0,
        }
    }
}

impl Field for OffsetFetchResponsePartitions {
    const MIN_BYTES: usize = 20;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.partition_index = reader.read()?;
        it.committed_offset = reader.read()?;
        it.committed_leader_epoch = reader.read()?;
        it.metadata = reader.read_nullable()?;
        it.error_code = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.partition_index);
        writer.put(&self.committed_offset);
        writer.put(&self.committed_leader_epoch);
        writer.put_nullable(self.metadata.as_ref());
        writer.put(&self.error_code);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for OffsetFetchResponsePartitions {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.partition_index = sampler.draw();
        it.committed_offset = sampler.draw();
        it.committed_leader_epoch = sampler.draw();
        it.metadata = sampler.draw_nullable();
        it.error_code = sampler.draw();
        it
    }
}

impl Message for OffsetFetchResponse {
    const KEY: ApiKey = ApiKey::OffsetFetch;
    const IS_RESPONSE: bool = true;
}
