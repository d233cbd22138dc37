//! InitProducerIdRequest (API key 22, versions 0 to 6).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Text, Writer};
use crate::{ApiKey, Message};

/// InitProducerIdRequest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitProducerIdRequest {
    /// The transactional id, or null if the producer is not transactional.
    pub transactional_id: Option<Text>,
    /// The time in ms to wait before aborting idle transactions sent by this producer. This is only
    /// relevant if a TransactionalId has been defined.
    pub transaction_timeout_ms: i32,
    /// The producer id. This is used to disambiguate requests if a transactional id is reused
    /// following its expiration. Versions 3 and later.
    pub producer_id: i64,
    /// The producer's current epoch. This will be checked against the producer epoch on the broker,
    /// and the request will return an error if they do not match. Versions 3 and later.
    pub producer_epoch: i16,
    /// True if the client wants to enable two-phase commit (2PC) protocol for transactions.
    /// Versions 6 and later.
    pub enable2_pc: bool,
    /// True if the client wants to keep the currently ongoing transaction instead of aborting it.
    /// Versions 6 and later.
    pub keep_prepared_txn: bool,
}

impl Default for InitProducerIdRequest {
    fn default() -> Self {
        Self {
            transactional_id: None,
            transaction_timeout_ms: 0,
            producer_id: -1,
            producer_epoch: -1,
            enable2_pc: false,
            keep_prepared_txn: false,
        }
    }
}

impl Field for InitProducerIdRequest {
    const MIN_BYTES: usize = 6;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.transactional_id = reader.read_nullable()?;
        it.transaction_timeout_ms = reader.read()?;
        if reader.version() >= 3 {
            it.producer_id = reader.read()?;
            it.producer_epoch = reader.read()?;
        }
        if reader.version() >= 6 {
            it.enable2_pc = reader.read()?;
            it.keep_prepared_txn = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put_nullable(self.transactional_id.as_ref());
        writer.put(&self.transaction_timeout_ms);
        if writer.version() >= 3 {
            writer.put(&self.producer_id);
            writer.put(&self.producer_epoch);
        }
        if writer.version() >= 6 {
            writer.put(&self.enable2_pc);
            writer.put(&self.keep_prepared_txn);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for InitProducerIdRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.transactional_id = sampler.draw_nullable();
        it.transaction_timeout_ms = sampler.draw();
        if sampler.version() >= 3 {
            it.producer_id = sampler.draw();
            it.producer_epoch = sampler.draw();
        }
        if sampler.version() >= 6 {
            it.enable2_pc = sampler.draw();
            it.keep_prepared_txn = sampler.draw();
        }
        it
    }
}

impl Message for InitProducerIdRequest {
    const KEY: ApiKey = ApiKey::InitProducerId;
    const IS_RESPONSE: bool = false;
}
