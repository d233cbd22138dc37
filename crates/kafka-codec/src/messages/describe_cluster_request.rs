//! DescribeClusterRequest (API key 60, versions 0 to 2).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Writer};
use crate::{ApiKey, Message};

/// DescribeClusterRequest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeClusterRequest {
    /// Whether to include cluster authorized operations.
    pub include_cluster_authorized_operations: bool,
    /// The endpoint type to describe. 1=brokers, 2=controllers. Versions 1 and later.
    pub endpoint_type: i8,
    /// Whether to include fenced brokers when listing brokers. Versions 2 and later.
    pub include_fenced_brokers: bool,
}

impl Default for DescribeClusterRequest {
    fn default() -> Self {
        Self {
            include_cluster_authorized_operations: false,
            endpoint_type: 1,
            include_fenced_brokers: false,
        }
    }
}

impl Field for DescribeClusterRequest {
    const MIN_BYTES: usize = 2;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.include_cluster_authorized_operations = reader.read()?;
        if reader.version() >= 1 {
            it.endpoint_type = reader.read()?;
        }
        if reader.version() >= 2 {
            it.include_fenced_brokers = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.include_cluster_authorized_operations);
        if writer.version() >= 1 {
            writer.put(&self.endpoint_type);
        }
        if writer.version() >= 2 {
            writer.put(&self.include_fenced_brokers);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribeClusterRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.include_cluster_authorized_operations = sampler.draw();
        if sampler.version() >= 1 {
            it.endpoint_type = sampler.draw();
        }
        if sampler.version() >= 2 {
            it.include_fenced_brokers = sampler.draw();
        }
        it
    }
}

impl Message for DescribeClusterRequest {
    const KEY: ApiKey = ApiKey::DescribeCluster;
    const IS_RESPONSE: bool = false;
}
