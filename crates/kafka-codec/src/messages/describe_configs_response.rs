//! DescribeConfigsResponse (API key 32, versions 1 to 4).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// DescribeConfigsResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeConfigsResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota.
    pub throttle_time_ms: i32,
    /// The results for each resource.
    pub results: Vec<DescribeConfigsResult>,
}

impl Field for DescribeConfigsResponse {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.throttle_time_ms = reader.read()?;
        it.results = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.throttle_time_ms);
        writer.put(&self.results);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribeConfigsResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.throttle_time_ms = sampler.draw();
        it.results = sampler.draw();
        it
    }
}

/// The results for each resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeConfigsResult {
    /// The error code, or 0 if we were able to successfully describe the configurations.
    pub error_code: i16,
    /// The error message, or null if we were able to successfully describe the configurations.
    pub error_message: Option<Text>,
    /// The resource type.
    pub resource_type: i8,
    /// The resource name.
    pub resource_name: Text,
    /// Each listed configuration.
    pub configs: Vec<DescribeConfigsResourceResult>,
}

impl Field for DescribeConfigsResult {
    const MIN_BYTES: usize = 7;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.error_code = reader.read()?;
        it.error_message = reader.read_nullable()?;
        it.resource_type = reader.read()?;
        it.resource_name = reader.read()?;
        it.configs = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.error_code);
        writer.put_nullable(self.error_message.as_ref());
        writer.put(&self.resource_type);
        writer.put(&self.resource_name);
        writer.put(&self.configs);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribeConfigsResult {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.error_code = sampler.draw();
        it.error_message = sampler.draw_nullable();
        it.resource_type = sampler.draw();
        it.resource_name = sampler.draw();
        it.configs = sampler.draw();
        it
    }
}

/// Each listed configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeConfigsResourceResult {
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
    /// The synonyms for this configuration key.
    pub synonyms: Vec<DescribeConfigsSynonym>,
    /// The configuration data type. Type can be one of the following values - BOOLEAN, STRING, INT,
    /// SHORT, LONG, DOUBLE, LIST, CLASS, PASSWORD. Versions 3 and later.
    pub config_type: i8,
    /// The configuration documentation. Versions 3 and later.
    pub documentation: Option<Text>,
}

impl Default for DescribeConfigsResourceResult {
    fn default() -> Self {
        Self {
            name: Text::default(),
            value: None,
            read_only: false,
            config_source: -1,
            is_sensitive: false,
            synonyms: Vec::new(),
            config_type: 0,
            documentation: None,
        }
    }
}

impl Field for DescribeConfigsResourceResult {
    const MIN_BYTES: usize = 9;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.name = reader.read()?;
        it.value = reader.read_nullable()?;
        it.read_only = reader.read()?;
        it.config_source = reader.read()?;
        it.is_sensitive = reader.read()?;
        it.synonyms = reader.read()?;
        if reader.version() >= 3 {
            it.config_type = reader.read()?;
            it.documentation = reader.read_nullable()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.name);
        writer.put_nullable(self.value.as_ref());
        writer.put(&self.read_only);
        writer.put(&self.config_source);
        writer.put(&self.is_sensitive);
        writer.put(&self.synonyms);
        if writer.version() >= 3 {
            writer.put(&self.config_type);
            writer.put_nullable(self.documentation.as_ref());
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribeConfigsResourceResult {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it.value = sampler.draw_nullable();
        it.read_only = sampler.draw();
        it.config_source = sampler.draw();
        it.is_sensitive = sampler.draw();
        it.synonyms = sampler.draw();
        if sampler.version() >= 3 {
            it.config_type = sampler.draw();
            it.documentation = sampler.draw_nullable();
        }
        it
    }
}

/// The synonyms for this configuration key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeConfigsSynonym {
    /// The synonym name.
    pub name: Text,
    /// The synonym value.
    pub value: Option<Text>,
    /// The synonym source.
    pub source: i8,
}

impl Field for DescribeConfigsSynonym {
    const MIN_BYTES: usize = 4;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.name = reader.read()?;
        it.value = reader.read_nullable()?;
        it.source = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.name);
        writer.put_nullable(self.value.as_ref());
        writer.put(&self.source);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribeConfigsSynonym {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it.value = sampler.draw_nullable();
        it.source = sampler.draw();
        it
    }
}

impl Message for DescribeConfigsResponse {
    const KEY: ApiKey = ApiKey::DescribeConfigs;
    const IS_RESPONSE: bool = true;
}
