//! ListOffsetsRequest (API key 2, versions 1 to 11).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// ListOffsetsRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOffsetsRequest {
    /// The broker ID of the requester, or -1 if this request is being made by a normal consumer.
    pub replica_id: i32,
    /// This setting controls the visibility of transactional records. Using READ_UNCOMMITTED
    /// (isolation_level = 0) makes all records visible. With READ_COMMITTED (isolation_level = 1),
    /// non-transactional and COMMITTED transactional records are visible. To be more concrete,
    /// READ_COMMITTED returns all data from offsets smaller than the current LSO (last stable
    /// offset), and enables the inclusion of the list of aborted transactions in the result, which
    /// allows consumers to discard ABORTED transactional records. Versions 2 and later.
    pub isolation_level: i8,
    /// Each topic in the request.
    pub topics: Vec<ListOffsetsTopic>,
    /// The timeout to await a response in milliseconds for requests that require reading from
    /// remote storage for topics enabled with tiered storage. Versions 10 and later.
    pub timeout_ms: i32,
}

impl Field for ListOffsetsRequest {
    const MIN_BYTES: usize = 7;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.replica_id = reader.read()?;
        if reader.version() >= 2 {
            it.isolation_level = reader.read()?;
        }
        it.topics = reader.read()?;
        if reader.version() >= 10 {
            it.timeout_ms = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.replica_id);
        if writer.version() >= 2 {
            writer.put(&self.isolation_level);
        }
        writer.put(&self.topics);
        if writer.version() >= 10 {
            writer.put(&self.timeout_ms);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for ListOffsetsRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.replica_id = sampler.draw();
        if sampler.version() >= 2 {
            it.isolation_level = sampler.draw();
        }
        it.topics = sampler.draw();
        if sampler.version() >= 10 {
            it.timeout_ms = sampler.draw();
        }
        it
    }
}

/// Each topic in the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOffsetsTopic {
    /// The topic name.
    pub name: Text,
    /// Each partition in the request.
    pub partitions: Vec<ListOffsetsPartition>,
}

impl Field for ListOffsetsTopic {
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
impl Sample for ListOffsetsTopic {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it.partitions = sampler.draw();
        it
    }
}

/// Each partition in the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOffsetsPartition {
    /// The partition index.
    pub partition_index: i32,
    /// The current leader epoch. Versions 4 and later.
    pub current_leader_epoch: i32,
    /// The current timestamp.
    pub timestamp: i64,
}

impl Default for ListOffsetsPartition {
    fn default() -> Self {
        Self { partition_index: 0, current_leader_epoch: -1, timestamp: 0 }
    }
}

impl Field for ListOffsetsPartition {
    const MIN_BYTES: usize = 12;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.partition_index = reader.read()?;
        if reader.version() >= 4 {
            it.current_leader_epoch = reader.read()?;
        }
        it.timestamp = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.partition_index);
        if writer.version() >= 4 {
            writer.put(&self.current_leader_epoch);
        }
        writer.put(&self.timestamp);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for ListOffsetsPartition {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.partition_index = sampler.draw();
        if sampler.version() >= 4 {
            it.current_leader_epoch = sampler.draw();
        }
        it.timestamp = sampler.draw();
        it
    }
}

impl Message for ListOffsetsRequest {
    const KEY: ApiKey = ApiKey::ListOffsets;
    const IS_RESPONSE: bool = false;
}
