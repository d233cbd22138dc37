//! DeleteRecordsResponse (API key 21, versions 0 to 2).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// DeleteRecordsResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRecordsResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota.
    pub throttle_time_ms: i32,
    /// Each topic that we wanted to delete records from.
    pub topics: Vec<DeleteRecordsTopicResult>,
}

impl Field for DeleteRecordsResponse {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.throttle_time_ms = reader.read()?;
        it.topics = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.throttle_time_ms);
        writer.put(&self.topics);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DeleteRecordsResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.throttle_time_ms = sampler.draw();
        it.topics = sampler.draw();
        it
    }
}

/// Each topic that we wanted to delete records from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRecordsTopicResult {
    /// The topic name.
    pub name: Text,
    /// Each partition that we wanted to delete records from.
    pub partitions: Vec<DeleteRecordsPartitionResult>,
}

impl Field for DeleteRecordsTopicResult {
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
impl Sample for DeleteRecordsTopicResult {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it.partitions = sampler.draw();
        it
    }
}

/// Each partition that we wanted to delete records from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRecordsPartitionResult {
    /// The partition index.
    pub partition_index: i32,
    /// The partition low water mark.
    pub low_watermark: i64,
    /// The deletion error code, or 0 if the deletion succeeded.
    pub error_code: i16,
}

impl Field for DeleteRecordsPartitionResult {
    const MIN_BYTES: usize = 14;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.partition_index = reader.read()?;
        it.low_watermark = reader.read()?;
        it.error_code = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.partition_index);
        writer.put(&self.low_watermark);
        writer.put(&self.error_code);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DeleteRecordsPartitionResult {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.partition_index = sampler.draw();
        it.low_watermark = sampler.draw();
        it.error_code = sampler.draw();
        it
    }
}

impl Message for DeleteRecordsResponse {
    const KEY: ApiKey = ApiKey::DeleteRecords;
    const IS_RESPONSE: bool = true;
}
