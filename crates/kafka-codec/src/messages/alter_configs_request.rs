//! AlterConfigsRequest (API key 33, versions 0 to 2).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// AlterConfigsRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterConfigsRequest {
    /// The updates for each resource.
    pub resources: Vec<AlterConfigsResource>,
    /// True if we should validate the request, but not change the configurations.
    pub validate_only: bool,
}

impl Field for AlterConfigsRequest {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.resources = reader.read()?;
        it.validate_only = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.resources);
        writer.put(&self.validate_only);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for AlterConfigsRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.resources = sampler.draw();
        it.validate_only = sampler.draw();
        it
    }
}

/// The updates for each resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterConfigsResource {
    /// The resource type.
    pub resource_type: i8,
    /// The resource name.
    pub resource_name: Text,
    /// The configurations.
    pub configs: Vec<AlterableConfig>,
}

impl Field for AlterConfigsResource {
    const MIN_BYTES: usize = 4;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.resource_type = reader.read()?;
        it.resource_name = reader.read()?;
        it.configs = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.resource_type);
        writer.put(&self.resource_name);
        writer.put(&self.configs);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for AlterConfigsResource {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.resource_type = sampler.draw();
        it.resource_name = sampler.draw();
        it.configs = sampler.draw();
        it
    }
}

/// The configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlterableConfig {
    /// The configuration key name.
    pub name: Text,
    /// The value to set for the configuration key.
    pub value: Option<Text>,
}

impl Field for AlterableConfig {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.name = reader.read()?;
        it.value = reader.read_nullable()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.name);
        writer.put_nullable(self.value.as_ref());
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for AlterableConfig {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it.value = sampler.draw_nullable();
        it
    }
}

impl Message for AlterConfigsRequest {
    const KEY: ApiKey = ApiKey::AlterConfigs;
    const IS_RESPONSE: bool = false;
}
