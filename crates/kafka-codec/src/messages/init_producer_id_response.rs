//! InitProducerIdResponse (API key 22, versions 0 to 6).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Writer};
use crate::{ApiKey, Message};

/// InitProducerIdResponse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitProducerIdResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota.
    pub throttle_time_ms: i32,
    /// The error code, or 0 if there was no error.
    pub error_code: i16,
    /// The current producer id.
    pub producer_id: i64,
    /// The current epoch associated with the producer id.
    pub producer_epoch: i16,
    /// The producer id for ongoing transaction when KeepPreparedTxn is used, -1 if there is no
    /// transaction ongoing. Versions 6 and later.
    pub ongoing_txn_producer_id: i64,
    /// The epoch associated with the producer id for ongoing transaction when KeepPreparedTxn is
    /// used, -1 if there is no transaction ongoing. Versions 6 and later.
    pub ongoing_txn_producer_epoch: i16,
}

impl Default for InitProducerIdResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            producer_id: -1,
            producer_epoch: 0,
            ongoing_txn_producer_id: -1,
            ongoing_txn_producer_epoch: -1,
        }
    }
}

impl Field for InitProducerIdResponse {
    const MIN_BYTES: usize = 16;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.throttle_time_ms = reader.read()?;
        it.error_code = reader.read()?;
        it.producer_id = reader.read()?;
        it.producer_epoch = reader.read()?;
        if reader.version() >= 6 {
            it.ongoing_txn_producer_id = reader.read()?;
            it.ongoing_txn_producer_epoch = reader.read()?;
        }
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.throttle_time_ms);
        writer.put(&self.error_code);
        writer.put(&self.producer_id);
        writer.put(&self.producer_epoch);
        if writer.version() >= 6 {
            writer.put(&self.ongoing_txn_producer_id);
            writer.put(&self.ongoing_txn_producer_epoch);
        }
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for InitProducerIdResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.throttle_time_ms = sampler.draw();
        it.error_code = sampler.draw();
        it.producer_id = sampler.draw();
        it.producer_epoch = sampler.draw();
        if sampler.version() >= 6 {
            it.ongoing_txn_producer_id = sampler.draw();
            it.ongoing_txn_producer_epoch = sampler.draw();
        }
        it
    }
}

impl Message for InitProducerIdResponse {
    const KEY: ApiKey = ApiKey::InitProducerId;
    const IS_RESPONSE: bool = true;
}
