//! DescribeGroupsResponse (API key 15, versions 0 to 6).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

use bytes::Bytes;

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// DescribeGroupsResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeGroupsResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota. Versions 1 and later.
    pub throttle_time_ms: i32,
    /// Each described group.
    pub groups: Vec<DescribedGroup>,
}

impl Field for DescribeGroupsResponse {
    const MIN_BYTES: usize = 4;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 1 {
            it.throttle_time_ms = reader.read()?;
        }
        it.groups = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 1 {
            writer.put(&self.throttle_time_ms);
        }
        writer.put(&self.groups);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribeGroupsResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 1 {
            it.throttle_time_ms = sampler.draw();
        }
        it.groups = sampler.draw();
        it
    }
}

/// Each described group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// The describe error, or 0 if there was no error.
    pub error_code: i16,
    /// The describe error message, or null if there was no error. Versions 6 and later.
    pub error_message: Option<Text>,
    /// The group ID string.
    pub group_id: Text,
    /// The group state string, or the empty string.
    pub group_state: Text,
    /// The group protocol type, or the empty string.
    pub protocol_type: Text,
    /// The group protocol data, or the empty string.
    pub protocol_data: Text,
    /// The group members.
    pub members: Vec<DescribedGroupMember>,
    /// 32-bit bitfield to represent authorized operations for this group. Versions 3 and later.
    pub authorized_operations: i32,
}

impl Default for DescribedGroup {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: None,
            group_id: Text::default(),
            group_state: Text::default(),
            protocol_type: Text::default(),
            protocol_data: Text::default(),
            members: Vec::new(),
            authorized_operations: i32::MIN,
        }
    }
}

impl Field for DescribedGroup {
    const MIN_BYTES: usize = 12;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.error_code = reader.read()?;
        if reader.version() >= 6 {
            it.error_message = reader.read_nullable()?;
        }
        it.group_id = reader.read()?;
        it.group_state = reader.read()?;
        it.protocol_type = reader.read()?;
        it.protocol_data = reader.read()?;
        it.members = reader.read()?;
        if reader.version() >= 3 {
            it.authorized_operations = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.error_code);
        if writer.version() >= 6 {
            writer.put_nullable(self.error_message.as_ref());
        }
        writer.put(&self.group_id);
        writer.put(&self.group_state);
        writer.put(&self.protocol_type);
        writer.put(&self.protocol_data);
        writer.put(&self.members);
        if writer.version() >= 3 {
            writer.put(&self.authorized_operations);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribedGroup {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.error_code = sampler.draw();
        if sampler.version() >= 6 {
            it.error_message = sampler.draw_nullable();
        }
        it.group_id = sampler.draw();
        it.group_state = sampler.draw();
        it.protocol_type = sampler.draw();
        it.protocol_data = sampler.draw();
        it.members = sampler.draw();
        if sampler.version() >= 3 {
            it.authorized_operations = sampler.draw();
        }
        it
    }
}

/// The group members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedGroupMember {
    /// The member id.
    pub member_id: Text,
    /// The unique identifier of the consumer instance provided by end user. Versions 4 and later.
    pub group_instance_id: Option<Text>,
    /// The client ID used in the member's latest join group request.
    pub client_id: Text,
    /// The client host.
    pub client_host: Text,
    /// The metadata corresponding to the current group protocol in use.
    pub member_metadata: Bytes,
    /// The current assignment provided by the group leader.
    pub member_assignment: Bytes,
}

impl Field for DescribedGroupMember {
    const MIN_BYTES: usize = 7;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.member_id = reader.read()?;
        if reader.version() >= 4 {
            it.group_instance_id = reader.read_nullable()?;
        }
        it.client_id = reader.read()?;
        it.client_host = reader.read()?;
        it.member_metadata = reader.read()?;
        it.member_assignment = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.member_id);
        if writer.version() >= 4 {
            writer.put_nullable(self.group_instance_id.as_ref());
        }
        writer.put(&self.client_id);
        writer.put(&self.client_host);
        writer.put(&self.member_metadata);
        writer.put(&self.member_assignment);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribedGroupMember {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.member_id = sampler.draw();
        if sampler.version() >= 4 {
            it.group_instance_id = sampler.draw_nullable();
        }
        it.client_id = sampler.draw();
        it.client_host = sampler.draw();
        it.member_metadata = sampler.draw();
        it.member_assignment = sampler.draw();
        it
    }
}

impl Message for DescribeGroupsResponse {
    const KEY: ApiKey = ApiKey::DescribeGroups;
    const IS_RESPONSE: bool = true;
}
