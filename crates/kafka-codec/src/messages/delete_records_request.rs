//! DeleteRecordsRequest (API key 21, versions 0 to 2).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// DeleteRecordsRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRecordsRequest {
    /// Each topic that we want to delete records from.
    pub topics: Vec<DeleteRecordsTopic>,
    /// How long to wait for the deletion to complete, in milliseconds.
    pub timeout_ms: i32,
}

impl Field for DeleteRecordsRequest {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.topics = reader.read()?;
        it.timeout_ms = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.topics);
        writer.put(&self.timeout_ms);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DeleteRecordsRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.topics = sampler.draw();
        it.timeout_ms = sampler.draw();
        it
    }
}

/// Each topic that we want to delete records from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRecordsTopic {
    /// The topic name.
    pub name: Text,
    /// Each partition that we want to delete records from.
    pub partitions: Vec<DeleteRecordsPartition>,
}

impl Field for DeleteRecordsTopic {
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
impl Sample for DeleteRecordsTopic {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it.partitions = sampler.draw();
        it
    }
}

/// Each partition that we want to delete records from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRecordsPartition {
    /// The partition index.
    pub partition_index: i32,
    /// The deletion offset. -1 means that records should be truncated to the high watermark.
    pub offset: i64,
}

impl Field for DeleteRecordsPartition {
    const MIN_BYTES: usize = 12;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.partition_index = reader.read()?;
        it.offset = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.partition_index);
        writer.put(&self.offset);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DeleteRecordsPartition {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.partition_index = sampler.draw();
        it.offset = sampler.draw();
        it
    }
}

impl Message for DeleteRecordsRequest {
    const KEY: ApiKey = ApiKey::DeleteRecords;
    const IS_RESPONSE: bool = false;
}
