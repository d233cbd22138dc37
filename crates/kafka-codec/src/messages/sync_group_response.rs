//! SyncGroupResponse (API key 14, versions 0 to 5).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

use bytes::Bytes;

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// SyncGroupResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncGroupResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota. Versions 1 and later.
    pub throttle_time_ms: i32,
    /// The error code, or 0 if there was no error.
    pub error_code: i16,
    /// The group protocol type. Versions 5 and later.
    pub protocol_type: Option<Text>,
    /// The group protocol name. Versions 5 and later.
    pub protocol_name: Option<Text>,
    /// The member assignment.
    pub assignment: Bytes,
}

impl Field for SyncGroupResponse {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 1 {
            it.throttle_time_ms = reader.read()?;
        }
        it.error_code = reader.read()?;
        if reader.version() >= 5 {
            it.protocol_type = reader.read_nullable()?;
            it.protocol_name = reader.read_nullable()?;
        }
        it.assignment = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 1 {
            writer.put(&self.throttle_time_ms);
        }
        writer.put(&self.error_code);
        if writer.version() >= 5 {
            writer.put_nullable(self.protocol_type.as_ref());
            writer.put_nullable(self.protocol_name.as_ref());
        }
        writer.put(&self.assignment);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for SyncGroupResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 1 {
            it.throttle_time_ms = sampler.draw();
        }
        it.error_code = sampler.draw();
        if sampler.version() >= 5 {
            it.protocol_type = sampler.draw_nullable();
            it.protocol_name = sampler.draw_nullable();
        }
        it.assignment = sampler.draw();
        it
    }
}

impl Message for SyncGroupResponse {
    const KEY: ApiKey = ApiKey::SyncGroup;
    const IS_RESPONSE: bool = true;
}
