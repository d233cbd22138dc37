//! SaslHandshakeResponse (API key 17, versions 0 to 1).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// SaslHandshakeResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaslHandshakeResponse {
    /// The error code, or 0 if there was no error.
    pub error_code: i16,
    /// The mechanisms enabled in the server.
    pub mechanisms: Vec<Text>,
}

impl Field for SaslHandshakeResponse {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.error_code = reader.read()?;
        it.mechanisms = reader.read()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.error_code);
        writer.put(&self.mechanisms);
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for SaslHandshakeResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.error_code = sampler.draw();
        it.mechanisms = sampler.draw();
        it
    }
}

impl Message for SaslHandshakeResponse {
    const KEY: ApiKey = ApiKey::SaslHandshake;
    const IS_RESPONSE: bool = true;
}
