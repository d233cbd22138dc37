//! LeaveGroupRequest (API key 13, versions 0 to 5).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// LeaveGroupRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaveGroupRequest {
    /// The ID of the group to leave.
    pub group_id: Text,
    /// The member ID to remove from the group. Versions 0 to 2.
    pub member_id: Text,
    /// List of leaving member identities. Versions 3 and later.
    pub members: Vec<MemberIdentity>,
}

impl Field for LeaveGroupRequest {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.group_id = reader.read()?;
        if reader.version() <= 2 {
            it.member_id = reader.read()?;
        }
        if reader.version() >= 3 {
            it.members = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.group_id);
        if writer.version() <= 2 {
            writer.put(&self.member_id);
        }
        if writer.version() >= 3 {
            writer.put(&self.members);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for LeaveGroupRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.group_id = sampler.draw();
        if sampler.version() <= 2 {
            it.member_id = sampler.draw();
        }
        if sampler.version() >= 3 {
            it.members = sampler.draw();
        }
        it
    }
}

/// List of leaving member identities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberIdentity {
    /// The member ID to remove from the group.
    pub member_id: Text,
    /// The group instance ID to remove from the group.
    pub group_instance_id: Option<Text>,
    /// The reason why the member left the group. Versions 5 and later.
    pub reason: Option<Text>,
}

impl Field for MemberIdentity {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.member_id = reader.read()?;
        it.group_instance_id = reader.read_nullable()?;
        if reader.version() >= 5 {
            it.reason = reader.read_nullable()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.member_id);
        writer.put_nullable(self.group_instance_id.as_ref());
        if writer.version() >= 5 {
            writer.put_nullable(self.reason.as_ref());
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for MemberIdentity {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.member_id = sampler.draw();
        it.group_instance_id = sampler.draw_nullable();
        if sampler.version() >= 5 {
            it.reason = sampler.draw_nullable();
        }
        it
    }
}

impl Message for LeaveGroupRequest {
    const KEY: ApiKey = ApiKey::LeaveGroup;
    const IS_RESPONSE: bool = false;
}
