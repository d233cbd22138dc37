//! DeleteTopicsResponse (API key 20, versions 1 to 6).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Uuid, Writer};
use crate::{ApiKey, Message};

/// DeleteTopicsResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteTopicsResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota.
    pub throttle_time_ms: i32,
    /// The results for each topic we tried to delete.
    pub responses: Vec<DeletableTopicResult>,
}

impl Field for DeleteTopicsResponse {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.throttle_time_ms = reader.read()?;
        it.responses = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.throttle_time_ms);
        writer.put(&self.responses);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DeleteTopicsResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.throttle_time_ms = sampler.draw();
        it.responses = sampler.draw();
        it
    }
}

/// The results for each topic we tried to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletableTopicResult {
    /// The topic name.
    pub name: Option<Text>,
    /// The unique topic ID. Versions 6 and later.
    pub topic_id: Uuid,
    /// The deletion error, or 0 if the deletion succeeded.
    pub error_code: i16,
    /// The error message, or null if there was no error. Versions 5 and later.
    pub error_message: Option<Text>,
}

impl Field for DeletableTopicResult {
    const MIN_BYTES: usize = 4;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.name =
            if reader.version() >= 6 { reader.read_nullable()? } else { Some(reader.read()?) };
        if reader.version() >= 6 {
            it.topic_id = reader.read()?;
        }
        it.error_code = reader.read()?;
        if reader.version() >= 5 {
            it.error_message = reader.read_nullable()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 6 {
            writer.put_nullable(self.name.as_ref());
        } else {
            writer.put_or_default(self.name.as_ref());
        }
        if writer.version() >= 6 {
            writer.put(&self.topic_id);
        }
        writer.put(&self.error_code);
        if writer.version() >= 5 {
            writer.put_nullable(self.error_message.as_ref());
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DeletableTopicResult {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name =
            if sampler.version() >= 6 { sampler.draw_nullable() } else { Some(sampler.draw()) };
        if sampler.version() >= 6 {
            it.topic_id = sampler.draw();
        }
        it.error_code = sampler.draw();
        if sampler.version() >= 5 {
            it.error_message = sampler.draw_nullable();
        }
        it
    }
}

impl Message for DeleteTopicsResponse {
    const KEY: ApiKey = ApiKey::DeleteTopics;
    const IS_RESPONSE: bool = true;
}
