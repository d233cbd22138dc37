//! DeleteGroupsRequest (API key 42, versions 0 to 2).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// DeleteGroupsRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteGroupsRequest {
    /// The group names to delete.
    pub groups_names: Vec<Text>,
}

impl Field for DeleteGroupsRequest {
    const MIN_BYTES: usize = 2;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.groups_names = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.groups_names);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DeleteGroupsRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.groups_names = sampler.draw();
        it
    }
}

impl Message for DeleteGroupsRequest {
    const KEY: ApiKey = ApiKey::DeleteGroups;
    const IS_RESPONSE: bool = false;
}
