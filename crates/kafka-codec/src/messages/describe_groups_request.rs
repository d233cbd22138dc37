//! DescribeGroupsRequest (API key 15, versions 0 to 6).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// DescribeGroupsRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeGroupsRequest {
    /// The names of the groups to describe.
    pub groups: Vec<Text>,
    /// Whether to include authorized operations. Versions 3 and later.
    pub include_authorized_operations: bool,
}

impl Field for DescribeGroupsRequest {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.groups = reader.read()?;
        if reader.version() >= 3 {
            it.include_authorized_operations = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.groups);
        if writer.version() >= 3 {
            writer.put(&self.include_authorized_operations);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribeGroupsRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.groups = sampler.draw();
        if sampler.version() >= 3 {
            it.include_authorized_operations = sampler.draw();
        }
        it
    }
}

impl Message for DescribeGroupsRequest {
    const KEY: ApiKey = ApiKey::DescribeGroups;
    const IS_RESPONSE: bool = false;
}
