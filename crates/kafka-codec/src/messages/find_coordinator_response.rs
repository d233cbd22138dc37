//! FindCoordinatorResponse (API key 10, versions 0 to 6).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// FindCoordinatorResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindCoordinatorResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota. Versions 1 and later.
    pub throttle_time_ms: i32,
    /// The error code, or 0 if there was no error. Versions 0 to 3.
    pub error_code: i16,
    /// The error message, or null if there was no error. Versions 1 to 3.
    pub error_message: Option<Text>,
    /// The node id. Versions 0 to 3.
    pub node_id: i32,
    /// The host name. Versions 0 to 3.
    pub host: Text,
    /// The port. Versions 0 to 3.
    pub port: i32,
    /// Each coordinator result in the response. Versions 4 and later.
    pub coordinators: Vec<Coordinator>,
}

impl Field for FindCoordinatorResponse {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 1 {
            it.throttle_time_ms = reader.read()?;
        }
        if reader.version() <= 3 {
            it.error_code = reader.read()?;
        }
        if (1..=3).contains(&reader.version()) {
            it.error_message = reader.read_nullable()?;
        }
        if reader.version() <= 3 {
            it.node_id = reader.read()?;
            it.host = reader.read()?;
            it.port = reader.read()?;
        }
        if reader.version() >= 4 {
            it.coordinators = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 1 {
            writer.put(&self.throttle_time_ms);
        }
        if writer.version() <= 3 {
            writer.put(&self.error_code);
        }
        if (1..=3).contains(&writer.version()) {
            writer.put_nullable(self.error_message.as_ref());
        }
        if writer.version() <= 3 {
            writer.put(&self.node_id);
            writer.put(&self.host);
            writer.put(&self.port);
        }
        if writer.version() >= 4 {
            writer.put(&self.coordinators);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for FindCoordinatorResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 1 {
            it.throttle_time_ms = sampler.draw();
        }
        if sampler.version() <= 3 {
            it.error_code = sampler.draw();
        }
        if (1..=3).contains(&sampler.version()) {
            it.error_message = sampler.draw_nullable();
        }
        if sampler.version() <= 3 {
            it.node_id = sampler.draw();
            it.host = sampler.draw();
            it.port = sampler.draw();
        }
        if sampler.version() >= 4 {
            it.coordinators = sampler.draw();
        }
        it
    }
}

/// Each coordinator result in the response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coordinator {
    /// The coordinator key.
    pub key: Text,
    /// The node id.
    pub node_id: i32,
    /// The host name.
    pub host: Text,
    /// The port.
    pub port: i32,
    /// The error code, or 0 if there was no error.
    pub error_code: i16,
    /// The error message, or null if there was no error.
    pub error_message: Option<Text>,
}

impl Field for Coordinator {
    const MIN_BYTES: usize = 14;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.key = reader.read()?;
        it.node_id = reader.read()?;
        it.host = reader.read()?;
        it.port = reader.read()?;
        it.error_code = reader.read()?;
        it.error_message = reader.read_nullable()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.key);
        writer.put(&self.node_id);
        writer.put(&self.host);
        writer.put(&self.port);
        writer.put(&self.error_code);
        writer.put_nullable(self.error_message.as_ref());
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for Coordinator {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.key = sampler.draw();
        it.node_id = sampler.draw();
        it.host = sampler.draw();
        it.port = sampler.draw();
        it.error_code = sampler.draw();
        it.error_message = sampler.draw_nullable();
        it
    }
}

impl Message for FindCoordinatorResponse {
    const KEY: ApiKey = ApiKey::FindCoordinator;
    const IS_RESPONSE: bool = true;
}
