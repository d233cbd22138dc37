//! DeleteTopicsRequest (API key 20, versions 1 to 6).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Uuid, Writer};
use crate::{ApiKey, Message};

/// DeleteTopicsRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteTopicsRequest {
    /// The name or topic ID of the topic. Versions 6 and later.
    pub topics: Vec<DeleteTopicState>,
    /// The names of the topics to delete. Versions 0 to 5.
    pub topic_names: Vec<Text>,
    /// The length of time in milliseconds to wait for the deletions to complete.
    pub timeout_ms: i32,
}

impl Field for DeleteTopicsRequest {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 6 {
            it.topics = reader.read()?;
        }
        if reader.version() <= 5 {
            it.topic_names = reader.read()?;
        }
        it.timeout_ms = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 6 {
            writer.put(&self.topics);
        }
        if writer.version() <= 5 {
            writer.put(&self.topic_names);
        }
        writer.put(&self.timeout_ms);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DeleteTopicsRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 6 {
            it.topics = sampler.draw();
        }
        if sampler.version() <= 5 {
            it.topic_names = sampler.draw();
        }
        it.timeout_ms = sampler.draw();
        it
    }
}

/// The name or topic ID of the topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteTopicState {
    /// The topic name.
    pub name: Option<Text>,
    /// The unique topic ID.
    pub topic_id: Uuid,
}

impl Field for DeleteTopicState {
    const MIN_BYTES: usize = 18;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.name = reader.read_nullable()?;
        it.topic_id = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put_nullable(self.name.as_ref());
        writer.put(&self.topic_id);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DeleteTopicState {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw_nullable();
        it.topic_id = sampler.draw();
        it
    }
}

impl Message for DeleteTopicsRequest {
    const KEY: ApiKey = ApiKey::DeleteTopics;
    const IS_RESPONSE: bool = false;
}
