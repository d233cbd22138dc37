//! OffsetFetchRequest (API key 9, versions 1 to 10).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Uuid, Writer};
use crate::{ApiKey, Message};

/// OffsetFetchRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetchRequest {
    /// The group to fetch offsets for. Versions 0 to 7.
    pub group_id: Text,
    /// Each topic we would like to fetch offsets for, or null to fetch offsets for all topics.
    /// Versions 0 to 7.
    pub topics: Option<Vec<OffsetFetchRequestTopic>>,
    /// Each group we would like to fetch offsets for. Versions 8 and later.
    pub groups: Vec<OffsetFetchRequestGroup>,
    /// Whether broker should hold on returning unstable offsets but set a retriable error code for
    /// the partitions. Versions 7 and later.
    pub require_stable: bool,
}

impl Field for OffsetFetchRequest {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() <= 7 {
            it.group_id = reader.read()?;
            it.topics =
                if reader.version() >= 2 { reader.read_nullable()? } else { Some(reader.read()?) };
        }
        if reader.version() >= 8 {
            it.groups = reader.read()?;
        }
        if reader.version() >= 7 {
            it.require_stable = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() <= 7 {
            writer.put(&self.group_id);
            if writer.version() >= 2 {
                writer.put_nullable(self.topics.as_ref());
            } else {
                writer.put_or_default(self.topics.as_ref());
            }
        }
        if writer.version() >= 8 {
            writer.put(&self.groups);
        }
        if writer.version() >= 7 {
            writer.put(&self.require_stable);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for OffsetFetchRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() <= 7 {
            it.group_id = sampler.draw();
            it.topics =
                if sampler.version() >= 2 { sampler.draw_nullable() } else { Some(sampler.draw()) };
        }
        if sampler.version() >= 8 {
            it.groups = sampler.draw();
        }
        if sampler.version() >= 7 {
            it.require_stable = sampler.draw();
        }
        it
    }
}

/// Each topic we would like to fetch offsets for, or null to fetch offsets for all topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetchRequestTopic {
    /// The topic name.
    pub name: Text,
    /// The partition indexes we would like to fetch offsets for.
    pub partition_indexes: Vec<i32>,
}

impl Field for OffsetFetchRequestTopic {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.name = reader.read()?;
        it.partition_indexes = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.name);
        writer.put(&self.partition_indexes);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for OffsetFetchRequestTopic {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it.partition_indexes = sampler.draw();
        it
    }
}

/// Each group we would like to fetch offsets for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchRequestGroup {
    /// The group ID.
    pub group_id: Text,
    /// The member id. Versions 9 and later.
    pub member_id: Option<Text>,
    /// The member epoch if using the new consumer protocol (KIP-848). Versions 9 and later.
    pub member_epoch: i32,
    /// Each topic we would like to fetch offsets for, or null to fetch offsets for all topics.
    pub topics: Option<Vec<OffsetFetchRequestTopics>>,
}

impl Default for OffsetFetchRequestGroup {
    fn default() -> Self {
        Self { group_id: Text::default(), member_id: None, member_epoch: -1, topics: None }
    }
}

impl Field for OffsetFetchRequestGroup {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.group_id = reader.read()?;
        if reader.version() >= 9 {
            it.member_id = reader.read_nullable()?;
            it.member_epoch = reader.read()?;
        }
        it.topics = reader.read_nullable()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.group_id);
        if writer.version() >= 9 {
            writer.put_nullable(self.member_id.as_ref());
            writer.put(&self.member_epoch);
        }
        writer.put_nullable(self.topics.as_ref());
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for OffsetFetchRequestGroup {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.group_id = sampler.draw();
        if sampler.version() >= 9 {
            it.member_id = sampler.draw_nullable();
            it.member_epoch = sampler.draw();
        }
        it.topics = sampler.draw_nullable();
        it
    }
}

/// Each topic we would like to fetch offsets for, or null to fetch offsets for all topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetchRequestTopics {
    /// The topic name. Versions 8 to 9.
    pub name: Text,
    /// The topic ID. Versions 10 and later.
    pub topic_id: Uuid,
    /// The partition indexes we would like to fetch offsets for.
    pub partition_indexes: Vec<i32>,
}

impl Field for OffsetFetchRequestTopics {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() <= 9 {
            it.name = reader.read()?;
        }
        if reader.version() >= 10 {
            it.topic_id = reader.read()?;
        }
        it.partition_indexes = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() <= 9 {
            writer.put(&self.name);
        }
        if writer.version() >= 10 {
            writer.put(&self.topic_id);
        }
        writer.put(&self.partition_indexes);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for OffsetFetchRequestTopics {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() <= 9 {
            it.name = sampler.draw();
        }
        if sampler.version() >= 10 {
            it.topic_id = sampler.draw();
        }
        it.partition_indexes = sampler.draw();
        it
    }
}

impl Message for OffsetFetchRequest {
    const KEY: ApiKey = ApiKey::OffsetFetch;
    const IS_RESPONSE: bool = false;
}
