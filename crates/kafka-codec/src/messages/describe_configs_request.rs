//! DescribeConfigsRequest (API key 32, versions 1 to 4).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// DescribeConfigsRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeConfigsRequest {
    /// The resources whose configurations we want to describe.
    pub resources: Vec<DescribeConfigsResource>,
    /// True if we should include all synonyms.
    pub include_synonyms: bool,
    /// True if we should include configuration documentation. Versions 3 and later.
    pub include_documentation: bool,
}

impl Field for DescribeConfigsRequest {
    const MIN_BYTES: usize = 4;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.resources = reader.read()?;
        it.include_synonyms = reader.read()?;
        if reader.version() >= 3 {
            it.include_documentation = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.resources);
        writer.put(&self.include_synonyms);
        if writer.version() >= 3 {
            writer.put(&self.include_documentation);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribeConfigsRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.resources = sampler.draw();
        it.include_synonyms = sampler.draw();
        if sampler.version() >= 3 {
            it.include_documentation = sampler.draw();
        }
        it
    }
}

/// The resources whose configurations we want to describe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeConfigsResource {
    /// The resource type.
    pub resource_type: i8,
    /// The resource name.
    pub resource_name: Text,
    /// The configuration keys to list, or null to list all configuration keys.
    pub configuration_keys: Option<Vec<Text>>,
}

impl Field for DescribeConfigsResource {
    const MIN_BYTES: usize = 4;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.resource_type = reader.read()?;
        it.resource_name = reader.read()?;
        it.configuration_keys = reader.read_nullable()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.resource_type);
        writer.put(&self.resource_name);
        writer.put_nullable(self.configuration_keys.as_ref());
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribeConfigsResource {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.resource_type = sampler.draw();
        it.resource_name = sampler.draw();
        it.configuration_keys = sampler.draw_nullable();
        it
    }
}

impl Message for DescribeConfigsRequest {
    const KEY: ApiKey = ApiKey::DescribeConfigs;
    const IS_RESPONSE: bool = false;
}
