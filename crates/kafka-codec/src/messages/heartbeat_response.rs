//! HeartbeatResponse (API key 12, versions 0 to 4).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Writer};
use crate::{ApiKey, Message};

/// HeartbeatResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeartbeatResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota. Versions 1 and later.
    pub throttle_time_ms: i32,
    /// The error code, or 0 if there was no error.
    pub error_code: i16,
}

impl Field for HeartbeatResponse {
    const MIN_BYTES: usize = 2;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 1 {
            it.throttle_time_ms = reader.read()?;
        }
        it.error_code = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 1 {
            writer.put(&self.throttle_time_ms);
        }
        writer.put(&self.error_code);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for HeartbeatResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 1 {
            it.throttle_time_ms = sampler.draw();
        }
        it.error_code = sampler.draw();
        it
    }
}

impl Message for HeartbeatResponse {
    const KEY: ApiKey = ApiKey::Heartbeat;
    const IS_RESPONSE: bool = true;
}
