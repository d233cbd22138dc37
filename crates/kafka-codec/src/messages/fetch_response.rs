//! FetchResponse (API key 1, versions 4 to 18).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, Records, TaggedFields, Text, Uuid, Writer};
use crate::{ApiKey, Message};

/// FetchResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation,
    /// or zero if the request did not violate any quota.
    pub throttle_time_ms: i32,
    /// The top level response error code. Versions 7 and later.
    pub error_code: i16,
    /// The fetch session ID, or 0 if this is not part of a fetch session. Versions 7 and later.
    pub session_id: i32,
    /// The response topics.
    pub responses: Vec<FetchableTopicResponse>,
    /// Endpoints for all current-leaders enumerated in PartitionData, with errors
    /// NOT_LEADER_OR_FOLLOWER & FENCED_LEADER_EPOCH. Versions 16 and later.
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl Field for FetchResponse {
    const MIN_BYTES: usize = 8;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.throttle_time_ms = reader.read()?;
        if reader.version() >= 7 {
            it.error_code = reader.read()?;
            it.session_id = reader.read()?;
        }
        it.responses = reader.read()?;
        reader.read_tagged(|tag, field| {
            match tag {
                0 if field.version() >= 16 => it.node_endpoints = field.read()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.throttle_time_ms);
        if writer.version() >= 7 {
            writer.put(&self.error_code);
            writer.put(&self.session_id);
        }
        writer.put(&self.responses);
        let mut tagged = TaggedFields::of(writer);
        if writer.version() >= 16 && !self.node_endpoints.is_empty() {
            tagged.put(0, &self.node_endpoints);
        }
        writer.put_tagged(tagged);
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for FetchResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.throttle_time_ms = sampler.draw();
        if sampler.version() >= 7 {
            it.error_code = sampler.draw();
            it.session_id = sampler.draw();
        }
        it.responses = sampler.draw();
        if sampler.version() >= 16 {
            it.node_endpoints = sampler.draw();
        }
        it
    }
}

/// The response topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchableTopicResponse {
    /// The topic name. Versions 0 to 12.
    pub topic: Text,
    /// The unique topic ID. Versions 13 and later.
    pub topic_id: Uuid,
    /// The topic partitions.
    pub partitions: Vec<PartitionData>,
}

impl Field for FetchableTopicResponse {
    const MIN_BYTES: usize = 3;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() <= 12 {
            it.topic = reader.read()?;
        }
        if reader.version() >= 13 {
            it.topic_id = reader.read()?;
        }
        it.partitions = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() <= 12 {
            writer.put(&self.topic);
        }
        if writer.version() >= 13 {
            writer.put(&self.topic_id);
        }
        writer.put(&self.partitions);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for FetchableTopicResponse {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() <= 12 {
            it.topic = sampler.draw();
        }
        if sampler.version() >= 13 {
            it.topic_id = sampler.draw();
        }
        it.partitions = sampler.draw();
        it
    }
}

/// The topic partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionData {
    /// The partition index.
    pub partition_index: i32,
    /// The error code, or 0 if there was no fetch error.
    pub error_code: i16,
    /// The current high water mark.
    pub high_watermark: i64,
    /// The last stable offset (or LSO) of the partition. This is the last offset such that the
    /// state of all transactional records prior to this offset have been decided (ABORTED or
    /// COMMITTED).
    pub last_stable_offset: i64,
    /// The current log start offset. Versions 5 and later.
    pub log_start_offset: i64,
    /// In case divergence is detected based on the `LastFetchedEpoch` and `FetchOffset` in the
    /// request, this field indicates the largest epoch and its end offset such that subsequent
    /// records are known to diverge. Versions 12 and later.
    pub diverging_epoch: EpochEndOffset,
    /// The current leader of the partition. Versions 12 and later.
    pub current_leader: LeaderIdAndEpoch,
    /// In the case of fetching an offset less than the LogStartOffset, this is the end offset and
    /// epoch that should be used in the FetchSnapshot request. Versions 12 and later.
    pub snapshot_id: SnapshotId,
    /// The aborted transactions.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// The preferred read replica for the consumer to use on its next fetch request. Versions 11
    /// and later.
    pub preferred_read_replica: i32,
    /// The record data.
    pub records: Option<Records>,
}

impl Default for PartitionData {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: 0,
            high_watermark: 0,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: EpochEndOffset::default(),
            current_leader: LeaderIdAndEpoch::default(),
            snapshot_id: SnapshotId::default(),
            aborted_transactions: None,
            preferred_read_replica: -1,
            records: None,
        }
    }
}

impl Field for PartitionData {
    const MIN_BYTES: usize = 30;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.partition_index = reader.read()?;
        it.error_code = reader.read()?;
        it.high_watermark = reader.read()?;
        it.last_stable_offset = reader.read()?;
        if reader.version() >= 5 {
            it.log_start_offset = reader.read()?;
        }
        it.aborted_transactions = reader.read_nullable()?;
        if reader.version() >= 11 {
            it.preferred_read_replica = reader.read()?;
        }
        it.records = reader.read_nullable()?;
        reader.read_tagged(|tag, field| {
            match tag {
                0 if field.version() >= 12 => it.diverging_epoch = field.read()?,
                1 if field.version() >= 12 => it.current_leader = field.read()?,
                2 if field.version() >= 12 => it.snapshot_id = field.read()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.partition_index);
        writer.put(&self.error_code);
        writer.put(&self.high_watermark);
        writer.put(&self.last_stable_offset);
        if writer.version() >= 5 {
            writer.put(&self.log_start_offset);
        }
        writer.put_nullable(self.aborted_transactions.as_ref());
        if writer.version() >= 11 {
            writer.put(&self.preferred_read_replica);
        }
        writer.put_nullable(self.records.as_ref());
        let mut tagged = TaggedFields::of(writer);
        if writer.version() >= 12 && self.diverging_epoch != EpochEndOffset::default() {
            tagged.put(0, &self.diverging_epoch);
        }
        if writer.version() >= 12 && self.current_leader != LeaderIdAndEpoch::default() {
            tagged.put(1, &self.current_leader);
        }
        if writer.version() >= 12 && self.snapshot_id != SnapshotId::default() {
            tagged.put(2, &self.snapshot_id);
        }
        writer.put_tagged(tagged);
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for PartitionData {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.partition_index = sampler.draw();
        it.error_code = sampler.draw();
        it.high_watermark = sampler.draw();
        it.last_stable_offset = sampler.draw();
        if sampler.version() >= 5 {
            it.log_start_offset = sampler.draw();
        }
        if sampler.version() >= 12 {
            it.diverging_epoch = sampler.draw();
            it.current_leader = sampler.draw();
            it.snapshot_id = sampler.draw();
        }
        it.aborted_transactions = sampler.draw_nullable();
        if sampler.version() >= 11 {
            it.preferred_read_replica = sampler.draw();
        }
        it.records = sampler.draw_nullable();
        it
    }
}

/// In case divergence is detected based on the `LastFetchedEpoch` and `FetchOffset` in the
/// request, this field indicates the largest epoch and its end offset such that subsequent
/// records are known to diverge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// The largest epoch.
    pub epoch: i32,
    /// The end offset of the epoch.
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self { epoch: -1, end_offset: -1 }
    }
}

impl Field for EpochEndOffset {
    const MIN_BYTES: usize = 13;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.epoch = reader.read()?;
        it.end_offset = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.epoch);
        writer.put(&self.end_offset);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for EpochEndOffset {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.epoch = sampler.draw();
        it.end_offset = sampler.draw();
        it
    }
}

/// The current leader of the partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderIdAndEpoch {
    /// The ID of the current leader or -1 if the leader is unknown.
    pub leader_id: i32,
    /// The latest known leader epoch.
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self { leader_id: -1, leader_epoch: -1 }
    }
}

impl Field for LeaderIdAndEpoch {
    const MIN_BYTES: usize = 9;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.leader_id = reader.read()?;
        it.leader_epoch = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.leader_id);
        writer.put(&self.leader_epoch);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for LeaderIdAndEpoch {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.leader_id = sampler.draw();
        it.leader_epoch = sampler.draw();
        it
    }
}

/// In the case of fetching an offset less than the LogStartOffset, this is the end offset and
/// epoch that should be used in the FetchSnapshot request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotId {
    /// The end offset of the epoch.
    pub end_offset: i64,
    /// The largest epoch.
    pub epoch: i32,
}

impl Default for SnapshotId {
    fn default() -> Self {
        Self { end_offset: -1, epoch: -1 }
    }
}

impl Field for SnapshotId {
    const MIN_BYTES: usize = 13;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.end_offset = reader.read()?;
        it.epoch = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.end_offset);
        writer.put(&self.epoch);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for SnapshotId {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.end_offset = sampler.draw();
        it.epoch = sampler.draw();
        it
    }
}

/// The aborted transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// The producer id associated with the aborted transaction.
    pub producer_id: i64,
    /// The first offset in the aborted transaction.
    pub first_offset: i64,
}

impl Field for AbortedTransaction {
    const MIN_BYTES: usize = 16;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.producer_id = reader.read()?;
        it.first_offset = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.producer_id);
        writer.put(&self.first_offset);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for AbortedTransaction {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.producer_id = sampler.draw();
        it.first_offset = sampler.draw();
        it
    }
}

/// Endpoints for all current-leaders enumerated in PartitionData, with errors
/// NOT_LEADER_OR_FOLLOWER & FENCED_LEADER_EPOCH.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeEndpoint {
    /// The ID of the associated node.
    pub node_id: i32,
    /// The node's hostname.
    pub host: Text,
    /// The node's port.
    pub port: i32,
    /// The rack of the node, or null if it has not been assigned to a rack.
    pub rack: Option<Text>,
}

impl Field for NodeEndpoint {
    const MIN_BYTES: usize = 11;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.node_id = reader.read()?;
        it.host = reader.read()?;
        it.port = reader.read()?;
        it.rack = reader.read_nullable()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.node_id);
        writer.put(&self.host);
        writer.put(&self.port);
        writer.put_nullable(self.rack.as_ref());
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for NodeEndpoint {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.node_id = sampler.draw();
        it.host = sampler.draw();
        it.port = sampler.draw();
        it.rack = sampler.draw_nullable();
        it
    }
}

impl Message for FetchResponse {
    const KEY: ApiKey = ApiKey::Fetch;
    const IS_RESPONSE: bool = true;
}
