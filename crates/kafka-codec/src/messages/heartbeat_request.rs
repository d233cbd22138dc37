//! HeartbeatRequest (API key 12, versions 0 to 4).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// HeartbeatRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeartbeatRequest {
    /// The group id.
    pub group_id: Text,
    /// The generation of the group.
    pub generation_id: i32,
    /// The member ID.
    pub member_id: Text,
    /// The unique identifier of the consumer instance provided by end user. Versions 3 and later.
    pub group_instance_id: Option<Text>,
}

impl Field for HeartbeatRequest {
    const MIN_BYTES: usize = 8;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.group_id = reader.read()?;
        it.generation_id = reader.read()?;
        it.member_id = reader.read()?;
        if reader.version() >= 3 {
            it.group_instance_id = reader.read_nullable()?;
        }
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
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for HeartbeatRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.group_id = sampler.draw();
        it.generation_id = sampler.draw();
        it.member_id = sampler.draw();
        if sampler.version() >= 3 {
            it.group_instance_id = sampler.draw_nullable();
        }
        it
    }
}

impl Message for HeartbeatRequest {
    const KEY: ApiKey = ApiKey::Heartbeat;
    const IS_RESPONSE: bool = false;
}
