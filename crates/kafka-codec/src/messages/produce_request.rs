//! ProduceRequest (API key 0, versions 0 to 13).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Records, Text, Uuid, Writer};
use crate::{ApiKey, Message};

/// ProduceRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProduceRequest {
    /// The transactional ID, or null if the producer is not transactional. Versions 3 and later.
    pub transactional_id: Option<Text>,
    /// The number of acknowledgments the producer requires the leader to have received before
    /// considering a request complete. Allowed values: 0 for no acknowledgments, 1 for only the
    /// leader and -1 for the full ISR.
    pub acks: i16,
    /// The timeout to await a response in milliseconds.
    pub timeout_ms: i32,
    /// Each topic to produce to.
    pub topic_data: Vec<TopicProduceData>,
}

impl Field for ProduceRequest {
    const MIN_BYTES: usize = 9;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 3 {
            it.transactional_id = reader.read_nullable()?;
        }
        it.acks = reader.read()?;
        it.timeout_ms = reader.read()?;
        it.topic_data = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 3 {
            writer.put_nullable(self.transactional_id.as_ref());
        }
        writer.put(&self.acks);
        writer.put(&self.timeout_ms);
        writer.put(&self.topic_data);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for ProduceRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 3 {
            it.transactional_id = sampler.draw_nullable();
        }
        it.acks = sampler.draw();
        it.timeout_ms = sampler.draw();
        it.topic_data = sampler.draw();
        it
    }
}

/// Each topic to produce to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicProduceData {
    /// The topic name. Versions 0 to 12.
    pub name: Text,
    /// The unique topic ID. Versions 13 and later.
    pub topic_id: Uuid,
    /// Each partition to produce to.
    pub partition_data: Vec<PartitionProduceData>,
}

impl Field for TopicProduceData {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() <= 12 {
            it.name = reader.read()?;
        }
        if reader.version() >= 13 {
            it.topic_id = reader.read()?;
        }
        it.partition_data = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() <= 12 {
            writer.put(&self.name);
        }
        if writer.version() >= 13 {
            writer.put(&self.topic_id);
        }
        writer.put(&self.partition_data);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for TopicProduceData {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() <= 12 {
            it.name = sampler.draw();
        }
        if sampler.version() >= 13 {
            it.topic_id = sampler.draw();
        }
        it.partition_data = sampler.draw();
        it
    }
}

/// Each partition to produce to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionProduceData {
    /// The partition index.
    pub index: i32,
    /// The record data to be produced.
    pub records: Option<Records>,
}

impl Field for PartitionProduceData {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.index = reader.read()?;
        it.records = reader.read_nullable()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.index);
        writer.put_nullable(self.records.as_ref());
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for PartitionProduceData {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.index = sampler.draw();
        it.records = sampler.draw_nullable();
        it
    }
}

impl Message for ProduceRequest {
    const KEY: ApiKey = ApiKey::Produce;
    const IS_RESPONSE: bool = false;
}
