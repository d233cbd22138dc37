//! SyncGroupRequest (API key 14, versions 0 to 5).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

use bytes::Bytes;

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// SyncGroupRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncGroupRequest {
    /// The unique group identifier.
    pub group_id: Text,
    /// The generation of the group.
    pub generation_id: i32,
    /// The member ID assigned by the group.
    pub member_id: Text,
    /// The unique identifier of the consumer instance provided by end user. Versions 3 and later.
    pub group_instance_id: Option<Text>,
    /// The group protocol type. Versions 5 and later.
    pub protocol_type: Option<Text>,
    /// The group protocol name. Versions 5 and later.
    pub protocol_name: Option<Text>,
    /// Each assignment.
    pub assignments: Vec<SyncGroupRequestAssignment>,
}

impl Field for SyncGroupRequest {
    const MIN_BYTES: usize = 9;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.group_id = reader.read()?;
        it.generation_id = reader.read()?;
        it.member_id = reader.read()?;
        if reader.version() >= 3 {
            it.group_instance_id = reader.read_nullable()?;
        }
        if reader.version() >= 5 {
            it.protocol_type = reader.read_nullable()?;
            it.protocol_name = reader.read_nullable()?;
        }
        it.assignments = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.group_id);
        writer.put(&self.generation_id);
        writer.put(&self.member_id);
        if writer.version() >= 3 {
            writer.put_nullable(self.group_instance_id.as_ref());
        }
        if writer.version() >= 5 {
            writer.put_nullable(self.protocol_type.as_ref());
            writer.put_nullable(self.protocol_name.as_ref());
        }
        writer.put(&self.assignments);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for SyncGroupRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.group_id = sampler.draw();
        it.generation_id = sampler.draw();
        it.member_id = sampler.draw();
        if sampler.version() >= 3 {
            it.group_instance_id = sampler.draw_nullable();
        }
        if sampler.version() >= 5 {
            it.protocol_type = sampler.draw_nullable();
            it.protocol_name = sampler.draw_nullable();
        }
        it.assignments = sampler.draw();
        it
    }
}

/// Each assignment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncGroupRequestAssignment {
    /// The ID of the member to assign.
    pub member_id: Text,
    /// The member assignment.
    pub assignment: Bytes,
}

impl Field for SyncGroupRequestAssignment {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.member_id = reader.read()?;
        it.assignment = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.member_id);
        writer.put(&self.assignment);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for SyncGroupRequestAssignment {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.member_id = sampler.draw();
        it.assignment = sampler.draw();
        it
    }
}

impl Message for SyncGroupRequest {
    const KEY: ApiKey = ApiKey::SyncGroup;
    const IS_RESPONSE: bool = false;
}
