//! SaslAuthenticateResponse (API key 36, versions 0 to 2).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

use bytes::Bytes;

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// SaslAuthenticateResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaslAuthenticateResponse {
    /// The error code, or 0 if there was no error.
    pub error_code: i16,
    /// The error message, or null if there was no error.
    pub error_message: Option<Text>,
    /// The SASL authentication bytes from the server, as defined by the SASL mechanism.
    pub auth_bytes: Bytes,
    /// Number of milliseconds after which only re-authentication over the existing connection to
    /// create a new session can occur. Versions 1 and later.
    pub session_lifetime_ms: i64,
}

impl Field for SaslAuthenticateResponse {
    const MIN_BYTES: usize = 8;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.error_code = reader.read()?;
        it.error_message = reader.read_nullable()?;
        it.auth_bytes = reader.read()?;
        if reader.version() >= 1 {
            it.session_lifetime_ms = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.error_code);
        writer.put_nullable(self.error_message.as_ref());
        writer.put(&self.auth_bytes);
        if writer.version() >= 1 {
            writer.put(&self.session_lifetime_ms);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for SaslAuthenticateResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.error_code = sampler.draw();
        it.error_message = sampler.draw_nullable();
        it.auth_bytes = sampler.draw();
        if sampler.version() >= 1 {
            it.session_lifetime_ms = sampler.draw();
        }
        it
    }
}

impl Message for SaslAuthenticateResponse {
    const KEY: ApiKey = ApiKey::SaslAuthenticate;
    const IS_RESPONSE: bool = true;
}
