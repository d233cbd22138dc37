//! JoinGroupResponse (API key 11, versions 0 to 9).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

use bytes::Bytes;

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// JoinGroupResponse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinGroupResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota. Versions 2 and later.
    pub throttle_time_ms: i32,
    /// The error code, or 0 if there was no error.
    pub error_code: i16,
    /// The generation ID of the group.
    pub generation_id: i32,
    /// The group protocol name. Versions 7 and later.
    pub protocol_type: Option<Text>,
    /// The group protocol selected by the coordinator.
    pub protocol_name: Option<Text>,
    /// The leader of the group.
    pub leader: Text,
    /// True if the leader must skip running the assignment. Versions 9 and later.
    pub skip_assignment: bool,
    /// The member ID assigned by the group coordinator.
    pub member_id: Text,
    /// The group members.
    pub members: Vec<JoinGroupResponseMember>,
}

impl Default for JoinGroupResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            generation_id: -1,
            protocol_type: None,
            protocol_name: None,
            leader: Text::default(),
            skip_assignment: false,
            member_id: Text::default(),
            members: Vec::new(),
        }
    }
}

impl Field for JoinGroupResponse {
    const MIN_BYTES: usize = 15;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 2 {
            it.throttle_time_ms = reader.read()?;
        }
        it.error_code = reader.read()?;
        it.generation_id = reader.read()?;
        if reader.version() >= 7 {
            it.protocol_type = reader.read_nullable()?;
        }
        it.protocol_name =
            if reader.version() >= 7 { reader.read_nullable()? } else { Some(reader.read()?) };
        it.leader = reader.read()?;
        if reader.version() >= 9 {
            it.skip_assignment = reader.read()?;
        }
        it.member_id = reader.read()?;
        it.members = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 2 {
            writer.put(&self.throttle_time_ms);
        }
        writer.put(&self.error_code);
        writer.put(&self.generation_id);
        if writer.version() >= 7 {
            writer.put_nullable(self.protocol_type.as_ref());
        }
        if writer.version() >= 7 {
            writer.put_nullable(self.protocol_name.as_ref());
        } else {
            writer.put_or_default(self.protocol_name.as_ref());
        }
        writer.put(&self.leader);
        if writer.version() >= 9 {
            writer.put(&self.skip_assignment);
        }
        writer.put(&self.member_id);
        writer.put(&self.members);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for JoinGroupResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 2 {
            it.throttle_time_ms = sampler.draw();
        }
        it.error_code = sampler.draw();
        it.generation_id = sampler.draw();
        if sampler.version() >= 7 {
            it.protocol_type = sampler.draw_nullable();
        }
        it.protocol_name =
            if sampler.version() >= 7 { sampler.draw_nullable() } else { Some(sampler.draw()) };
        it.leader = sampler.draw();
        if sampler.version() >= 9 {
            it.skip_assignment = sampler.draw();
        }
        it.member_id = sampler.draw();
        it.members = sampler.draw();
        it
    }
}

/// The group members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinGroupResponseMember {
    /// The group member ID.
    pub member_id: Text,
    /// The unique identifier of the consumer instance provided by end user. Versions 5 and later.
    pub group_instance_id: Option<Text>,
    /// The group member metadata.
    pub metadata: Bytes,
}

impl Field for JoinGroupResponseMember {
    const MIN_BYTES: usize = 4;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.member_id = reader.read()?;
        if reader.version() >= 5 {
            it.group_instance_id = reader.read_nullable()?;
        }
        it.metadata = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.member_id);
        if writer.version() >= 5 {
            writer.put_nullable(self.group_instance_id.as_ref());
        }
        writer.put(&self.metadata);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for JoinGroupResponseMember {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.member_id = sampler.draw();
        if sampler.version() >= 5 {
            it.group_instance_id = sampler.draw_nullable();
        }
        it.metadata = sampler.draw();
        it
    }
}

impl Message for JoinGroupResponse {
    const KEY: ApiKey = ApiKey::JoinGroup;
    const IS_RESPONSE: bool = true;
}
