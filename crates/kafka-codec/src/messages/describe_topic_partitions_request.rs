//! DescribeTopicPartitionsRequest (API key 75, versions 0).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Nullable, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// DescribeTopicPartitionsRequest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTopicPartitionsRequest {
    /// The topics to fetch details for.
    pub topics: Vec<TopicRequest>,
    /// The maximum number of partitions included in the response.
    pub response_partition_limit: i32,
    /// The first topic and partition index to fetch details for.
    pub cursor: Option<Cursor>,
}

impl Default for DescribeTopicPartitionsRequest {
    fn default() -> Self {
        Self { topics: Vec::new(), response_partition_limit: 2000, cursor: None }
    }
}

impl Field for DescribeTopicPartitionsRequest {
    const MIN_BYTES: usize = 7;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.topics = reader.read()?;
        it.response_partition_limit = reader.read()?;
        it.cursor = reader.read_nullable()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.topics);
        writer.put(&self.response_partition_limit);
        writer.put_nullable(self.cursor.as_ref());
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribeTopicPartitionsRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.topics = sampler.draw();
        it.response_partition_limit = sampler.draw();
        it.cursor = sampler.draw_nullable();
        it
    }
}

/// The topics to fetch details for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicRequest {
    /// The topic name.
    pub name: Text,
}

impl Field for TopicRequest {
    const MIN_BYTES: usize = 2;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.name = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.name);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for TopicRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it
    }
}

/// The first topic and partition index to fetch details for.
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

impl Message for DescribeTopicPartitionsRequest {
    const KEY: ApiKey = ApiKey::DescribeTopicPartitions;
    const IS_RESPONSE: bool = false;
}
