//! SaslAuthenticateRequest (API key 36, versions 0 to 2).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

use bytes::Bytes;

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Writer};
use crate::{ApiKey, Message};

/// SaslAuthenticateRequest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaslAuthenticateRequest {
    /// The SASL authentication bytes from the client, as defined by the SASL mechanism.
    pub auth_bytes: Bytes,
}

impl Field for SaslAuthenticateRequest {
    const MIN_BYTES: usize = 2;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.auth_bytes = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.auth_bytes);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for SaslAuthenticateRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.auth_bytes = sampler.draw();
        it
    }
}

impl Message for SaslAuthenticateRequest {
    const KEY: ApiKey = ApiKey::SaslAuthenticate;
    const IS_RESPONSE: bool = false;
}
