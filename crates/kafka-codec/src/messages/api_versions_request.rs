//! ApiVersionsRequest (API key 18, versions 0 to 4).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// ApiVersionsRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiVersionsRequest {
    /// The name of the client. Versions 3 and later.
    pub client_software_name: Text,
    /// The version of the client. Versions 3 and later.
    pub client_software_version: Text,
}

impl Field for ApiVersionsRequest {
    const MIN_BYTES: usize = 1;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 3 {
            it.client_software_name = reader.read()?;
            it.client_software_version = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 3 {
            writer.put(&self.client_software_name);
            writer.put(&self.client_software_version);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for ApiVersionsRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 3 {
            it.client_software_name = sampler.draw();
            it.client_software_version = sampler.draw();
        }
        it
    }
}

impl Message for ApiVersionsRequest {
    const KEY: ApiKey = ApiKey::ApiVersions;
    const IS_RESPONSE: bool = false;
}
