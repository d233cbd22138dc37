//! JoinGroupRequest (API key 11, versions 0 to 9).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

use bytes::Bytes;

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// JoinGroupRequest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinGroupRequest {
    /// The group identifier.
    pub group_id: Text,
    /// The coordinator considers the consumer dead if it receives no heartbeat after this timeout
    /// in milliseconds.
    pub session_timeout_ms: i32,
    /// The maximum time in milliseconds that the coordinator will wait for each member to rejoin
    /// when rebalancing the group. Versions 1 and later.
    pub rebalance_timeout_ms: i32,
    /// The member id assigned by the group coordinator.
    pub member_id: Text,
    /// The unique identifier of the consumer instance provided by end user. Versions 5 and later.
    pub group_instance_id: Option<Text>,
    /// The unique name the for class of protocols implemented by the group we want to join.
    pub protocol_type: Text,
    /// The list of protocols that the member supports.
    pub protocols: Vec<JoinGroupRequestProtocol>,
    /// The reason why the member (re-)joins the group. Versions 8 and later.
    pub reason: Option<Text>,
}

impl Default for JoinGroupRequest {
    fn default() -> Self {
        Self {
            group_id: Text::default(),
            session_timeout_ms: 0,
            rebalance_timeout_ms: -1,
            member_id: Text::default(),
            group_instance_id: None,
            protocol_type: Text::default(),
            protocols: Vec::new(),
            reason: None,
        }
    }
}

impl Field for JoinGroupRequest {
    const MIN_BYTES: usize = 14;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.group_id = reader.read()?;
        it.session_timeout_ms = reader.read()?;
        if reader.version() >= 1 {
            it.rebalance_timeout_ms = reader.read()?;
        }
        it.member_id = reader.read()?;
        if reader.version() >= 5 {
            it.group_instance_id = reader.read_nullable()?;
        }
        it.protocol_type = reader.read()?;
        it.protocols = reader.read()?;
        if reader.version() >= 8 {
            it.reason = reader.read_nullable()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.group_id);
        writer.put(&self.session_timeout_ms);
        if writer.version() >= 1 {
            writer.put(&self.rebalance_timeout_ms);
        }
        writer.put(&self.member_id);
        if writer.version() >= 5 {
            writer.put_nullable(self.group_instance_id.as_ref());
        }
        writer.put(&self.protocol_type);
        writer.put(&self.protocols);
        if writer.version() >= 8 {
            writer.put_nullable(self.reason.as_ref());
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for JoinGroupRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.group_id = sampler.draw();
        it.session_timeout_ms = sampler.draw();
        if sampler.version() >= 1 {
            it.rebalance_timeout_ms = sampler.draw();
        }
        it.member_id = sampler.draw();
        if sampler.version() >= 5 {
            it.group_instance_id = sampler.draw_nullable();
        }
        it.protocol_type = sampler.draw();
        it.protocols = sampler.draw();
        if sampler.version() >= 8 {
            it.reason = sampler.draw_nullable();
        }
        it
    }
}

/// The list of protocols that the member supports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinGroupRequestProtocol {
    /// The protocol name.
    pub name: Text,
    /// The protocol metadata.
    pub metadata: Bytes,
}

impl Field for JoinGroupRequestProtocol {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.name = reader.read()?;
        it.metadata = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.name);
        writer.put(&self.metadata);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for JoinGroupRequestProtocol {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it.metadata = sampler.draw();
        it
    }
}

impl Message for JoinGroupRequest {
    const KEY: ApiKey = ApiKey::JoinGroup;
    const IS_RESPONSE: bool = false;
}
