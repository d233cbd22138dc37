//! ListOffsetsResponse (API key 2, versions 1 to 11).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// ListOffsetsResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOffsetsResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota. Versions 2 and later.
    pub throttle_time_ms: i32,
    /// Each topic in the response.
    pub topics: Vec<ListOffsetsTopicResponse>,
}

impl Field for ListOffsetsResponse {
    const MIN_BYTES: usize = 4;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 2 {
            it.throttle_time_ms = reader.read()?;
        }
        it.topics = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 2 {
            writer.put(&self.throttle_time_ms);
        }
        writer.put(&self.topics);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for ListOffsetsResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 2 {
            it.throttle_time_ms = sampler.draw();
        }
        it.topics = sampler.draw();
        it
    }
}

/// Each topic in the response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOffsetsTopicResponse {
    /// The topic name.
    pub name: Text,
    /// Each partition in the response.
    pub partitions: Vec<ListOffsetsPartitionResponse>,
}

impl Field for ListOffsetsTopicResponse {
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
impl Sample for ListOffsetsTopicResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it.partitions = sampler.draw();
        it
    }
}

/// Each partition in the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOffsetsPartitionResponse {
    /// The partition index.
    pub partition_index: i32,
    /// The partition error code, or 0 if there was no error.
    pub error_code: i16,
    /// The timestamp associated with the returned offset.
    pub timestamp: i64,
    /// The returned offset.
    pub offset: i64,
    /// The leader epoch associated with the returned offset. Versions 4 and later.
    pub leader_epoch: i32,
}

impl Default for ListOffsetsPartitionResponse {
    fn default() -> Self {
        Self { partition_index: 0, error_code: 0, timestamp: -1, offset: -1, leader_epoch: -1 }
    }
}

impl Field for ListOffsetsPartitionResponse {
    const MIN_BYTES: usize = 22;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.partition_index = reader.read()?;
        it.error_code = reader.read()?;
        it.timestamp = reader.read()?;
        it.offset = reader.read()?;
        if reader.version() >= 4 {
            it.leader_epoch = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.partition_index);
        writer.put(&self.error_code);
        writer.put(&self.timestamp);
        writer.put(&self.offset);
        if writer.version() >= 4 {
            writer.put(&self.leader_epoch);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for ListOffsetsPartitionResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.partition_index = sampler.draw();
        it.error_code = sampler.draw();
        it.timestamp = sampler.draw();
        it.offset = sampler.draw();
        if sampler.version() >= 4 {
            it.leader_epoch = sampler.draw();
        }
        it
    }
}

impl Message for ListOffsetsResponse {
    const KEY: ApiKey = ApiKey::ListOffsets;
    const IS_RESPONSE: bool = true;
}
