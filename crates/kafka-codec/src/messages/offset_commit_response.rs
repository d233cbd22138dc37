//! OffsetCommitResponse (API key 8, versions 2 to 10).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Uuid, Writer};
use crate::{ApiKey, Message};

/// OffsetCommitResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetCommitResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota. Versions 3 and later.
    pub throttle_time_ms: i32,
    /// The responses for each topic.
    pub topics: Vec<OffsetCommitResponseTopic>,
}

impl Field for OffsetCommitResponse {
    const MIN_BYTES: usize = 4;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 3 {
            it.throttle_time_ms = reader.read()?;
        }
        it.topics = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 3 {
            writer.put(&self.throttle_time_ms);
        }
        writer.put(&self.topics);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for OffsetCommitResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 3 {
            it.throttle_time_ms = sampler.draw();
        }
        it.topics = sampler.draw();
        it
    }
}

/// The responses for each topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetCommitResponseTopic {
    /// The topic name. Versions 0 to 9.
    pub name: Text,
    /// The topic ID. Versions 10 and later.
    pub topic_id: Uuid,
    /// The responses for each partition in the topic.
    pub partitions: Vec<OffsetCommitResponsePartition>,
}

impl Field for OffsetCommitResponseTopic {
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
impl Sample for OffsetCommitResponseTopic {
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

/// The responses for each partition in the topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetCommitResponsePartition {
    /// The partition index.
    pub partition_index: i32,
    /// The error code, or 0 if there was no error.
    pub error_code: i16,
}

impl Field for OffsetCommitResponsePartition {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.partition_index = reader.read()?;
        it.error_code = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.partition_index);
        writer.put(&self.error_code);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for OffsetCommitResponsePartition {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.partition_index = sampler.draw();
        it.error_code = sampler.draw();
        it
    }
}

impl Message for OffsetCommitResponse {
    const KEY: ApiKey = ApiKey::OffsetCommit;
    const IS_RESPONSE: bool = true;
}
