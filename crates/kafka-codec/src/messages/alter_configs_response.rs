//! AlterConfigsResponse (API key 33, versions 0 to 2).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// AlterConfigsResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterConfigsResponse {
    /// Duration in milliseconds for which the request was throttled due to a quota violation, or
    /// zero if the request did not violate any quota.
    pub throttle_time_ms: i32,
    /// The responses for each resource.
    pub responses: Vec<AlterConfigsResourceResponse>,
}

impl Field for AlterConfigsResponse {
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
impl Sample for AlterConfigsResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.throttle_time_ms = sampler.draw();
        it.responses = sampler.draw();
        it
    }
}

/// The responses for each resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterConfigsResourceResponse {
    /// The resource error code.
    pub error_code: i16,
    /// The resource error message, or null if there was no error.
    pub error_message: Option<Text>,
    /// The resource type.
    pub resource_type: i8,
    /// The resource name.
    pub resource_name: Text,
}

impl Field for AlterConfigsResourceResponse {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.error_code = reader.read()?;
        it.error_message = reader.read_nullable()?;
        it.resource_type = reader.read()?;
        it.resource_name = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.error_code);
        writer.put_nullable(self.error_message.as_ref());
        writer.put(&self.resource_type);
        writer.put(&self.resource_name);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for AlterConfigsResourceResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.error_code = sampler.draw();
        it.error_message = sampler.draw_nullable();
        it.resource_type = sampler.draw();
        it.resource_name = sampler.draw();
        it
    }
}

impl Message for AlterConfigsResponse {
    const KEY: ApiKey = ApiKey::AlterConfigs;
    const IS_RESPONSE: bool = true;
}
