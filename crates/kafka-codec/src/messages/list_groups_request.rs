//! ListGroupsRequest (API key 16, versions 0 to 5).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// ListGroupsRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListGroupsRequest {
    /// The states of the groups we want to list. If empty, all groups are returned with their
    /// state. Versions 4 and later.
    pub states_filter: Vec<Text>,
    /// The types of the groups we want to list. If empty, all groups are returned with their type.
    /// Versions 5 and later.
    pub types_filter: Vec<Text>,
}

impl Field for ListGroupsRequest {
    const MIN_BYTES: usize = 1;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 4 {
            it.states_filter = reader.read()?;
        }
        if reader.version() >= 5 {
            it.types_filter = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 4 {
            writer.put(&self.states_filter);
        }
        if writer.version() >= 5 {
            writer.put(&self.types_filter);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for ListGroupsRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 4 {
            it.states_filter = sampler.draw();
        }
        if sampler.version() >= 5 {
            it.types_filter = sampler.draw();
        }
        it
    }
}

impl Message for ListGroupsRequest {
    const KEY: ApiKey = ApiKey::ListGroups;
    const IS_RESPONSE: bool = false;
}
