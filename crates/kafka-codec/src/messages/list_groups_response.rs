//! ListGroupsResponse (API key 16, versions 0 to 5).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// ListGroupsResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListGroupsResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota. Versions 1 and later.
    pub throttle_time_ms: i32,
    /// The error code, or 0 if there was no error.
    pub error_code: i16,
    /// Each group in the response.
    pub groups: Vec<ListedGroup>,
}

impl Field for ListGroupsResponse {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 1 {
            it.throttle_time_ms = reader.read()?;
        }
        it.error_code = reader.read()?;
        it.groups = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 1 {
            writer.put(&self.throttle_time_ms);
        }
        writer.put(&self.error_code);
        writer.put(&self.groups);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for ListGroupsResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 1 {
            it.throttle_time_ms = sampler.draw();
        }
        it.error_code = sampler.draw();
        it.groups = sampler.draw();
        it
    }
}

/// Each group in the response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedGroup {
    /// The group ID.
    pub group_id: Text,
    /// The group protocol type.
    pub protocol_type: Text,
    /// The group state name. Versions 4 and later.
    pub group_state: Text,
    /// The group type name. Versions 5 and later.
    pub group_type: Text,
}

impl Field for ListedGroup {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.group_id = reader.read()?;
        it.protocol_type = reader.read()?;
        if reader.version() >= 4 {
            it.group_state = reader.read()?;
        }
        if reader.version() >= 5 {
            it.group_type = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.group_id);
        writer.put(&self.protocol_type);
        if writer.version() >= 4 {
            writer.put(&self.group_state);
        }
        if writer.version() >= 5 {
            writer.put(&self.group_type);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for ListedGroup {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.group_id = sampler.draw();
        it.protocol_type = sampler.draw();
        if sampler.version() >= 4 {
            it.group_state = sampler.draw();
        }
        if sampler.version() >= 5 {
            it.group_type = sampler.draw();
        }
        it
    }
}

impl Message for ListGroupsResponse {
    const KEY: ApiKey = ApiKey::ListGroups;
    const IS_RESPONSE: bool = true;
}
