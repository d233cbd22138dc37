//! LeaveGroupResponse (API key 13, versions 0 to 5).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// LeaveGroupResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaveGroupResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota. Versions 1 and later.
    pub throttle_time_ms: i32,
    /// The error code, or 0 if there was no error.
    pub error_code: i16,
    /// List of leaving member responses. Versions 3 and later.
    pub members: Vec<MemberResponse>,
}

impl Field for LeaveGroupResponse {
    const MIN_BYTES: usize = 2;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 1 {
            it.throttle_time_ms = reader.read()?;
        }
        it.error_code = reader.read()?;
        if reader.version() >= 3 {
            it.members = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 1 {
            writer.put(&self.throttle_time_ms);
        }
        writer.put(&self.error_code);
        if writer.version() >= 3 {
            writer.put(&self.members);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for LeaveGroupResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 1 {
            it.throttle_time_ms = sampler.draw();
        }
        it.error_code = sampler.draw();
        if sampler.version() >= 3 {
            it.members = sampler.draw();
        }
        it
    }
}

/// List of leaving member responses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberResponse {
    /// The member ID to remove from the group.
    pub member_id: Text,
    /// The group instance ID to remove from the group.
    pub group_instance_id: Option<Text>,
    /// The error code, or 0 if there was no error.
    pub error_code: i16,
}

impl Field for MemberResponse {
    const MIN_BYTES: usize = 5;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.member_id = reader.read()?;
        it.group_instance_id = reader.read_nullable()?;
        it.error_code = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.member_id);
        writer.put_nullable(self.group_instance_id.as_ref());
        writer.put(&self.error_code);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for MemberResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.member_id = sampler.draw();
        it.group_instance_id = sampler.draw_nullable();
        it.error_code = sampler.draw();
        it
    }
}

impl Message for LeaveGroupResponse {
    const KEY: ApiKey = ApiKey::LeaveGroup;
    const IS_RESPONSE: bool = true;
}
