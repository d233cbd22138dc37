//! FindCoordinatorRequest (API key 10, versions 0 to 6).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// FindCoordinatorRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindCoordinatorRequest {
    /// The coordinator key. Versions 0 to 3.
    pub key: Text,
    /// The coordinator key type. (group, transaction, share). Versions 1 and later.
    pub key_type: i8,
    /// The coordinator keys. Versions 4 and later.
    pub coordinator_keys: Vec<Text>,
}

impl Field for FindCoordinatorRequest {
    const MIN_BYTES: usize = 2;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() <= 3 {
            it.key = reader.read()?;
        }
        if reader.version() >= 1 {
            it.key_type = reader.read()?;
        }
        if reader.version() >= 4 {
            it.coordinator_keys = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() <= 3 {
            writer.put(&self.key);
        }
        if writer.version() >= 1 {
            writer.put(&self.key_type);
        }
        if writer.version() >= 4 {
            writer.put(&self.coordinator_keys);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for FindCoordinatorRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() <= 3 {
            it.key = sampler.draw();
        }
        if sampler.version() >= 1 {
            it.key_type = sampler.draw();
        }
        if sampler.version() >= 4 {
            it.coordinator_keys = sampler.draw();
        }
        it
    }
}

impl Message for FindCoordinatorRequest {
    const KEY: ApiKey = ApiKey::FindCoordinator;
    const IS_RESPONSE: bool = false;
}
