//! CreateTopicsResponse (API key 19, versions 2 to 7).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, TaggedFields, Text, Uuid, Writer};
use crate::{ApiKey, Message};

/// CreateTopicsResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateTopicsResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota.
    pub throttle_time_ms: i32,
    /// Results for each topic we tried to create.
    pub topics: Vec<CreatableTopicResult>,
}

impl Field for CreateTopicsResponse {
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
impl Sample for CreateTopicsResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.throttle_time_ms = sampler.draw();
        it.topics = sampler.draw();
        it
    }
}

/// Results for each topic we tried to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatableTopicResult {
    /// The topic name.
    pub name: Text,
    /// The unique topic ID. Versions 7 and later.
    pub topic_id: Uuid,
    /// The error code, or 0 if there was no error.
    pub error_code: i16,
    /// The error message, or null if there was no error.
    pub error_message: Option<Text>,
    /// Optional topic config error returned if configs are not returned in the response. Versions 5
    /// and later.
    pub topic_config_error_code: i16,
    /// Number of partitions of the topic. Versions 5 and later.
    pub num_partitions: i32,
    /// Replication factor of the topic. Versions 5 and later.
    pub replication_factor: i16,
    /// Configuration of the topic. Versions 5 and later.
    pub configs: Option<Vec<CreatableTopicConfigs>>,
}

impl Default for CreatableTopicResult {
    fn default() -> Self {
        Self {
            name: Text::default(),
            topic_id: Uuid::ZERO,
            error_code: 0,
            error_message: None,
            topic_config_error_code: 0,
            num_partitions: -1,
            replication_factor: -1,
            configs: None,
        }
    }
}

impl Field for CreatableTopicResult {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.name = reader.read()?;
        if reader.version() >= 7 {
            it.topic_id = reader.read()?;
        }
        it.error_code = reader.read()?;
        it.error_message = reader.read_nullable()?;
        if reader.version() >= 5 {
            it.num_partitions = reader.read()?;
            it.replication_factor = reader.read()?;
            it.configs = reader.read_nullable()?;
        }
        reader.read_tagged(|tag, field| {
            match tag {
                0 if field.version() >= 5 => it.topic_config_error_code = field.read()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.name);
        if writer.version() >= 7 {
            writer.put(&self.topic_id);
        }
        writer.put(&self.error_code);
        writer.put_nullable(self.error_message.as_ref());
        if writer.version() >= 5 {
            writer.put(&self.num_partitions);
            writer.put(&self.replication_factor);
            writer.put_nullable(self.configs.as_ref());
        }
        let mut tagged = TaggedFields::of(writer);
        if writer.version() >= 5 && self.topic_config_error_code != 0 {
            tagged.put(0, &self.topic_config_error_code);
        }
        writer.put_tagged(tagged);
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for CreatableTopicResult {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        if sampler.version() >= 7 {
            it.topic_id = sampler.draw();
        }
        it.error_code = sampler.draw();
        it.error_message = sampler.draw_nullable();
        if sampler.version() >= 5 {
            it.topic_config_error_code = sampler.draw();
            it.num_partitions = sampler.draw();
            it.replication_factor = sampler.draw();
            it.configs = sampler.draw_nullable();
        }
        it
    }
}

/// Configuration of the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatableTopicConfigs {
    /// The configuration name.
    pub name: Text,
    /// The configuration value.
    pub value: Option<Text>,
    /// True if the configuration is read-only.
    pub read_only: bool,
    /// The configuration source.
    pub config_source: i8,
    /// True if this configuration is sensitive.
    pub is_sensitive: bool,
}

impl Default for CreatableTopicConfigs {
    fn default() -> Self {
        Self {
            name: Text::default(),
            value: None,
            read_only: false,
            config_source: -1,
            is_sensitive: false,
        }
    }
}

impl Field for CreatableTopicConfigs {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.name = reader.read()?;
        it.value = reader.read_nullable()?;
        it.read_only = reader.read()?;
        it.config_source = reader.read()?;
        it.is_sensitive = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.name);
        writer.put_nullable(self.value.as_ref());
        writer.put(&self.read_only);
        writer.put(&self.config_source);
        writer.put(&self.is_sensitive);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for CreatableTopicConfigs {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it.value = sampler.draw_nullable();
        it.read_only = sampler.draw();
        it.config_source = sampler.draw();
        it.is_sensitive = sampler.draw();
        it
    }
}

impl Message for CreateTopicsResponse {
    const KEY: ApiKey = ApiKey::CreateTopics;
    const IS_RESPONSE: bool = true;
}
