//! ApiVersionsResponse (API key 18, versions 0 to 4).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, TaggedFields, Text, Writer};
use crate::{ApiKey, Message};

/// ApiVersionsResponse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVersionsResponse {
    /// The top-level error code.
    pub error_code: i16,
    /// The APIs supported by the broker.
    pub api_keys: Vec<ApiVersion>,
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota. Versions 1 and later.
    pub throttle_time_ms: i32,
    /// Features supported by the broker. Note: in v0-v3, features with MinSupportedVersion = 0 are
    /// omitted. Versions 3 and later.
    pub supported_features: Vec<SupportedFeatureKey>,
    /// The monotonically increasing epoch for the finalized features information. Valid values are
    /// >= 0. A value of -1 is special and represents unknown epoch. Versions 3 and later.
    pub finalized_features_epoch: i64,
    /// List of cluster-wide finalized features. The information is valid only if
    /// FinalizedFeaturesEpoch >= 0. Versions 3 and later.
    pub finalized_features: Vec<FinalizedFeatureKey>,
    /// Set by a KRaft controller if the required configurations for ZK migration are present.
    /// Versions 3 and later.
    pub zk_migration_ready: bool,
}

impl Default for ApiVersionsResponse {
    fn default() -> Self {
        Self {
            error_code: 0,
            api_keys: Vec::new(),
            throttle_time_ms: 0,
            supported_features: Vec::new(),
            finalized_features_epoch: -1,
            finalized_features: Vec::new(),
            zk_migration_ready: false,
        }
    }
}

impl Field for ApiVersionsResponse {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.error_code = reader.read()?;
        it.api_keys = reader.read()?;
        if reader.version() >= 1 {
            it.throttle_time_ms = reader.read()?;
        }
        reader.read_tagged(|tag, field| {
            match tag {
                0 if field.version() >= 3 => it.supported_features = field.read()?,
                1 if field.version() >= 3 => it.finalized_features_epoch = field.read()?,
                2 if field.version() >= 3 => it.finalized_features = field.read()?,
                3 if field.version() >= 3 => it.zk_migration_ready = field.read()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.error_code);
        writer.put(&self.api_keys);
        if writer.version() >= 1 {
            writer.put(&self.throttle_time_ms);
        }
        let mut tagged = TaggedFields::of(writer);
        if writer.version() >= 3 && !self.supported_features.is_empty() {
            tagged.put(0, &self.supported_features);
        }
        if writer.version() >= 3 && self.finalized_features_epoch != -1 {
            tagged.put(1, &self.finalized_features_epoch);
        }
        if writer.version() >= 3 && !self.finalized_features.is_empty() {
            tagged.put(2, &self.finalized_features);
        }
        if writer.version() >= 3 && self.zk_migration_ready {
            tagged.put(3, &self.zk_migration_ready);
        }
        writer.put_tagged(tagged);
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for ApiVersionsResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.error_code = sampler.draw();
        it.api_keys = sampler.draw();
        if sampler.version() >= 1 {
            it.throttle_time_ms = sampler.draw();
        }
        if sampler.version() >= 3 {
            it.supported_features = sampler.draw();
            it.finalized_features_epoch = sampler.draw();
            it.finalized_features = sampler.draw();
            it.zk_migration_ready = sampler.draw();
        }
        it
    }
}

/// The APIs supported by the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiVersion {
    /// The API index.
    pub api_key: i16,
    /// The minimum supported version, inclusive.
    pub min_version: i16,
    /// The maximum supported version, inclusive.
    pub max_version: i16,
}

impl Field for ApiVersion {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.api_key = reader.read()?;
        it.min_version = reader.read()?;
        it.max_version = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.api_key);
        writer.put(&self.min_version);
        writer.put(&self.max_version);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for ApiVersion {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.api_key = sampler.draw();
        it.min_version = sampler.draw();
        it.max_version = sampler.draw();
        it
    }
}

/// Features supported by the broker. Note: in v0-v3, features with MinSupportedVersion = 0 are
/// omitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SupportedFeatureKey {
    /// The name of the feature.
    pub name: Text,
    /// The minimum supported version for the feature.
    pub min_version: i16,
    /// The maximum supported version for the feature.
    pub max_version: i16,
}

impl Field for SupportedFeatureKey {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.name = reader.read()?;
        it.min_version = reader.read()?;
        it.max_version = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.name);
        writer.put(&self.min_version);
        writer.put(&self.max_version);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for SupportedFeatureKey {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it.min_version = sampler.draw();
        it.max_version = sampler.draw();
        it
    }
}

/// List of cluster-wide finalized features. The information is valid only if
/// FinalizedFeaturesEpoch >= 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalizedFeatureKey {
    /// The name of the feature.
    pub name: Text,
    /// The cluster-wide finalized max version level for the feature.
    pub max_version_level: i16,
    /// The cluster-wide finalized min version level for the feature.
    pub min_version_level: i16,
}

impl Field for FinalizedFeatureKey {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.name = reader.read()?;
        it.max_version_level = reader.read()?;
        it.min_version_level = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.name);
        writer.put(&self.max_version_level);
        writer.put(&self.min_version_level);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for FinalizedFeatureKey {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.name = sampler.draw();
        it.max_version_level = sampler.draw();
        it.min_version_level = sampler.draw();
        it
    }
}

impl Message for ApiVersionsResponse {
    const KEY: ApiKey = ApiKey::ApiVersions;
    const IS_RESPONSE: bool = true;
}
