//! MetadataRequest (API key 3, versions 0 to 13).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Uuid, Writer};
use crate::{ApiKey, Message};

/// MetadataRequest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataRequest {
    /// The topics to fetch metadata for.
    pub topics: Option<Vec<MetadataRequestTopic>>,
    /// If this is true, the broker may auto-create topics that we requested which do not already
    /// exist, if it is configured to do so. Versions 4 and later.
    pub allow_auto_topic_creation: bool,
    /// Whether to include cluster authorized operations. Versions 8 to 10.
    pub include_cluster_authorized_operations: bool,
    /// Whether to include topic authorized operations. Versions 8 and later.
    pub include_topic_authorized_operations: bool,
}

impl Default for MetadataRequest {
    fn default() -> Self {
        Self {
            topics: None,
            allow_auto_topic_creation: true,
            include_cluster_authorized_operations: false,
            include_topic_authorized_operations: false,
        }
    }
}

impl Field for MetadataRequest {
    const MIN_BYTES: usize = 4;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.topics =
            if reader.version() >= 1 { reader.read_nullable()? } else { Some(reader.read()?) };
        if reader.version() >= 4 {
            it.allow_auto_topic_creation = reader.read()?;
        }
        if (8..=10).contains(&reader.version()) {
            it.include_cluster_authorized_operations = reader.read()?;
        }
        if reader.version() >= 8 {
            it.include_topic_authorized_operations = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 1 {
            writer.put_nullable(self.topics.as_ref());
        } else {
            writer.put_or_default(self.topics.as_ref());
        }
        if writer.version() >= 4 {
            writer.put(&self.allow_auto_topic_creation);
        }
        if (8..=10).contains(&writer.version()) {
            writer.put(&self.include_cluster_authorized_operations);
        }
        if writer.version() >= 8 {
            writer.put(&self.include_topic_authorized_operations);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for MetadataRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.topics =
            if sampler.version() >= 1 { sampler.draw_nullable() } else { Some(sampler.draw()) };
        if sampler.version() >= 4 {
            it.allow_auto_topic_creation = sampler.draw();
        }
        if (8..=10).contains(&sampler.version()) {
            it.include_cluster_authorized_operations = sampler.draw();
        }
        if sampler.version() >= 8 {
            it.include_topic_authorized_operations = sampler.draw();
        }
        it
    }
}

/// The topics to fetch metadata for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataRequestTopic {
    /// The topic id. Versions 10 and later.
    pub topic_id: Uuid,
    /// The topic name.
    pub name: Option<Text>,
}

impl Field for MetadataRequestTopic {
    const MIN_BYTES: usize = 2;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() >= 10 {
            it.topic_id = reader.read()?;
        }
        it.name =
            if reader.version() >= 10 { reader.read_nullable()? } else { Some(reader.read()?) };
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() >= 10 {
            writer.put(&self.topic_id);
        }
        if writer.version() >= 10 {
            writer.put_nullable(self.name.as_ref());
        } else {
            writer.put_or_default(self.name.as_ref());
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for MetadataRequestTopic {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 10 {
            it.topic_id = sampler.draw();
        }
        it.name =
            if sampler.version() >= 10 { sampler.draw_nullable() } else { Some(sampler.draw()) };
        it
    }
}

impl Message for MetadataRequest {
    const KEY: ApiKey = ApiKey::Metadata;
    const IS_RESPONSE: bool = false;
}
