//! DeleteGroupsResponse (API key 42, versions 0 to 2).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// DeleteGroupsResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteGroupsResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota.
    pub throttle_time_ms: i32,
    /// The deletion results.
    pub results: Vec<DeletableGroupResult>,
}

impl Field for DeleteGroupsResponse {
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
impl Sample for DeleteGroupsResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.throttle_time_ms = sampler.draw();
        it.results = sampler.draw();
        it
    }
}

/// The deletion results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletableGroupResult {
    /// The group id.
    pub group_id: Text,
    /// The deletion error, or 0 if the deletion succeeded.
    pub error_code: i16,
}

impl Field for DeletableGroupResult {
    const MIN_BYTES: usize = 4;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.group_id = reader.read()?;
        it.error_code = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.group_id);
        writer.put(&self.error_code);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DeletableGroupResult {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.group_id = sampler.draw();
        it.error_code = sampler.draw();
        it
    }
}

impl Message for DeleteGroupsResponse {
    const KEY: ApiKey = ApiKey::DeleteGroups;
    const IS_RESPONSE: bool = true;
}
