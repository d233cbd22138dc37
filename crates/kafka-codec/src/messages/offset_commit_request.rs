//! OffsetCommitRequest (API key 8, versions 2 to 10).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Uuid, Writer};
use crate::{ApiKey, Message};

/// OffsetCommitRequest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitRequest {
    /// The unique group identifier.
    pub group_id: Text,
    /// The generation of the group if using the classic group protocol or the member epoch if using
    /// the consumer protocol.
    pub generation_id_or_member_epoch: i32,
    /// The member ID assigned by the group coordinator.
    pub member_id: Text,
    /// The unique identifier of the consumer instance provided by end user. Versions 7 and later.
    pub group_instance_id: Option<Text>,
    /// The time period in ms to retain the offset. Versions 2 to 4.
    pub retention_time_ms: i64,
    /// The topics to commit offsets for.
    pub topics: Vec<OffsetCommitRequestTopic>,
}

impl Default for OffsetCommitRequest {
    fn default() -> Self {
        Self {
            group_id: Text::default(),
            generation_id_or_member_epoch: -1,
            member_id: Text::default(),
            group_instance_id: None,
            retention_time_ms: -1,
            topics: Vec::new(),
        }
    }
}

impl Field for OffsetCommitRequest {
    const MIN_BYTES: usize = 9;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.group_id = reader.read()?;
        it.generation_id_or_member_epoch = reader.read()?;
        it.member_id = reader.read()?;
        if reader.version() >= 7 {
            it.group_instance_id = reader.read_nullable()?;
        }
        if reader.version() <= 4 {
            it.retention_time_ms = reader.read()?;
        }
        it.topics = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.group_id);
        writer.put(&self.generation_id_or_member_epoch);
        writer.put(&self.member_id);
        if writer.version() >= 7 {
            writer.put_nullable(self.group_instance_id.as_ref());
        }
        if writer.version() <= 4 {
            writer.put(&self.retention_time_ms);
        }
        writer.put(&self.topics);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for OffsetCommitRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.group_id = sampler.draw();
        it.generation_id_or_member_epoch = sampler.draw();
        it.member_id = sampler.draw();
        if sampler.version() >= 7 {
            it.group_instance_id = sampler.draw_nullable();
        }
        if sampler.version() <= 4 {
            it.retention_time_ms = sampler.draw();
        }
        it.topics = sampler.draw();
        it
    }
}

/// The topics to commit offsets for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetCommitRequestTopic {
    /// The topic name. Versions 0 to 9.
    pub name: Text,
    /// The topic ID. Versions 10 and later.
    pub topic_id: Uuid,
    /// Each partition to commit offsets for.
    pub partitions: Vec<OffsetCommitRequestPartition>,
}

impl Field for OffsetCommitRequestTopic {
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
impl Sample for OffsetCommitRequestTopic {
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

/// Each partition to commit offsets for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitRequestPartition {
    /// The partition index.
    pub partition_index: i32,
    /// The message offset to be committed.
    pub committed_offset: i64,
    /// The leader epoch of this partition. Versions 6 and later.
    pub committed_leader_epoch: i32,
    /// Any associated metadata the client wants to keep.
    pub committed_metadata: Option<Text>,
}

impl Default for OffsetCommitRequestPartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            committed_metadata: None,
        }
    }
}

impl Field for OffsetCommitRequestPartition {
    const MIN_BYTES: usize = 14;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.partition_index = reader.read()?;
        it.committed_offset = reader.read()?;
        if reader.version() >= 6 {
            it.committed_leader_epoch = reader.read()?;
        }
        it.committed_metadata = reader.read_nullable()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.partition_index);
        writer.put(&self.committed_offset);
        if writer.version() >= 6 {
            writer.put(&self.committed_leader_epoch);
        }
        writer.put_nullable(self.committed_metadata.as_ref());
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for OffsetCommitRequestPartition {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.partition_index = sampler.draw();
        it.committed_offset = sampler.draw();
        if sampler.version() >= 6 {
            it.committed_leader_epoch = sampler.draw();
        }
        it.committed_metadata = sampler.draw_nullable();
        it
    }
}

impl Message for OffsetCommitRequest {
    const KEY: ApiKey = ApiKey::OffsetCommit;
    const IS_RESPONSE: bool = false;
}
