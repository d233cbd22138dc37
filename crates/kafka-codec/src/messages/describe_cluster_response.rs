//! DescribeClusterResponse (API key 60, versions 0 to 2).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// DescribeClusterResponse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeClusterResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota.
    pub throttle_time_ms: i32,
    /// The top-level error code, or 0 if there was no error.
    pub error_code: i16,
    /// The top-level error message, or null if there was no error.
    pub error_message: Option<Text>,
    /// The endpoint type that was described. 1=brokers, 2=controllers. Versions 1 and later.
    pub endpoint_type: i8,
    /// The cluster ID that responding broker belongs to.
    pub cluster_id: Text,
    /// The ID of the controller. When handled by a controller, returns the current voter leader ID.
    /// When handled by a broker, returns a random alive broker ID as a fallback.
    pub controller_id: i32,
    /// Each broker in the response.
    pub brokers: Vec<DescribeClusterBroker>,
    /// 32-bit bitfield to represent authorized operations for this cluster.
    pub cluster_authorized_operations: i32,
}

impl Default for DescribeClusterResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            error_message: None,
            endpoint_type: 1,
            cluster_id: Text::default(),
            controller_id: -1,
            brokers: Vec::new(),
            cluster_authorized_operations: i32::MIN,
        }
    }
}

impl Field for DescribeClusterResponse {
    const MIN_BYTES: usize = 18;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.throttle_time_ms = reader.read()?;
        it.error_code = reader.read()?;
        it.error_message = reader.read_nullable()?;
        if reader.version() >= 1 {
            it.endpoint_type = reader.read()?;
        }
        it.cluster_id = reader.read()?;
        it.controller_id = reader.read()?;
        it.brokers = reader.read()?;
        it.cluster_authorized_operations = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.throttle_time_ms);
        writer.put(&self.error_code);
        writer.put_nullable(self.error_message.as_ref());
        if writer.version() >= 1 {
            writer.put(&self.endpoint_type);
        }
        writer.put(&self.cluster_id);
        writer.put(&self.controller_id);
        writer.put(&self.brokers);
        writer.put(&self.cluster_authorized_operations);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribeClusterResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.throttle_time_ms = sampler.draw();
        it.error_code = sampler.draw();
        it.error_message = sampler.draw_nullable();
        if sampler.version() >= 1 {
            it.endpoint_type = sampler.draw();
        }
        it.cluster_id = sampler.draw();
        it.controller_id = sampler.draw();
        it.brokers = sampler.draw();
        it.cluster_authorized_operations = sampler.draw();
        it
    }
}

/// Each broker in the response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeClusterBroker {
    /// The broker ID.
    pub broker_id: i32,
    /// The broker hostname.
    pub host: Text,
    /// The broker port.
    pub port: i32,
    /// The rack of the broker, or null if it has not been assigned to a rack.
    pub rack: Option<Text>,
    /// Whether the broker is fenced. Versions 2 and later.
    pub is_fenced: bool,
}

impl Field for DescribeClusterBroker {
    const MIN_BYTES: usize = 11;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.broker_id = reader.read()?;
        it.host = reader.read()?;
        it.port = reader.read()?;
        it.rack = reader.read_nullable()?;
        if reader.version() >= 2 {
            it.is_fenced = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.broker_id);
        writer.put(&self.host);
        writer.put(&self.port);
        writer.put_nullable(self.rack.as_ref());
        if writer.version() >= 2 {
            writer.put(&self.is_fenced);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for DescribeClusterBroker {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.broker_id = sampler.draw();
        it.host = sampler.draw();
        it.port = sampler.draw();
        it.rack = sampler.draw_nullable();
        if sampler.version() >= 2 {
            it.is_fenced = sampler.draw();
        }
        it
    }
}

impl Message for DescribeClusterResponse {
    const KEY: ApiKey = ApiKey::DescribeCluster;
    const IS_RESPONSE: bool = true;
}
