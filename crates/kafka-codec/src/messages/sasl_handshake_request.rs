//! SaslHandshakeRequest (API key 17, versions 0 to 1).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// SaslHandshakeRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaslHandshakeRequest {
    /// The SASL mechanism chosen by the client.
    pub mechanism: Text,
}

impl Field for SaslHandshakeRequest {
    const MIN_BYTES: usize = 2;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.mechanism = reader.read()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.mechanism);
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for SaslHandshakeRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.mechanism = sampler.draw();
        it
    }
}

impl Message for SaslHandshakeRequest {
    const KEY: ApiKey = ApiKey::SaslHandshake;
    const IS_RESPONSE: bool = false;
}
