//! FetchRequest (API key 1, versions 4 to 18).
//!
//! Generated from Kafka's message definition by `cargo xtask kafka-messages`; do not edit.

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Field, Reader, TaggedFields, Text, Uuid, Writer};
use crate::{ApiKey, Message};

/// FetchRequest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// The clusterId if known. This is used to validate metadata fetches prior to broker
    /// registration. Versions 12 and later.
    pub cluster_id: Option<Text>,
    /// The broker ID of the follower, of -1 if this request is from a consumer. Versions 0 to 14.
    pub replica_id: i32,
    /// The state of the replica in the follower. Versions 15 and later.
    pub replica_state: ReplicaState,
    /// The maximum time in milliseconds to wait for the response.
    pub max_wait_ms: i32,
    /// The minimum bytes to accumulate in the response.
    pub min_bytes: i32,
    /// The maximum bytes to fetch. See KIP-74 for cases where this limit may not be honored.
    pub max_bytes: i32,
    /// This setting controls the visibility of transactional records. Using READ_UNCOMMITTED
    /// (isolation_level = 0) makes all records visible. With READ_COMMITTED (isolation_level = 1),
    /// non-transactional and COMMITTED transactional records are visible. To be more concrete,
    /// READ_COMMITTED returns all data from offsets smaller than the current LSO (last stable
    /// offset), and enables the inclusion of the list of aborted transactions in the result, which
    /// allows consumers to discard ABORTED transactional records.
    pub isolation_level: i8,
    /// The fetch session ID. Versions 7 and later.
    pub session_id: i32,
    /// The fetch session epoch, which is used for ordering requests in a session. Versions 7 and
    /// later.
    pub session_epoch: i32,
    /// The topics to fetch.
    pub topics: Vec<FetchTopic>,
    /// In an incremental fetch request, the partitions to remove. Versions 7 and later.
    pub forgotten_topics_data: Vec<ForgottenTopic>,
    /// Rack ID of the consumer making this request. Versions 11 and later.
    pub rack_id: Text,
}

impl Default for FetchRequest {
    fn default() -> Self {
        Self {
            cluster_id: None,
            replica_id: -1,
            replica_state: ReplicaState::default(),
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: i32::MAX,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: Vec::new(),
            forgotten_topics_data: Vec::new(),
            rack_id: Text::default(),
        }
    }
}

impl Field for FetchRequest {
    const MIN_BYTES: usize = 21;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        if reader.version() <= 14 {
            it.replica_id = reader.read()?;
        }
        it.max_wait_ms = reader.read()?;
        it.min_bytes = reader.read()?;
        it.max_bytes = reader.read()?;
        it.isolation_level = reader.read()?;
        if reader.version() >= 7 {
            it.session_id = reader.read()?;
            it.session_epoch = reader.read()?;
        }
        it.topics = reader.read()?;
        if reader.version() >= 7 {
            it.forgotten_topics_data = reader.read()?;
        }
        if reader.version() >= 11 {
            it.rack_id = reader.read()?;
        }
        reader.read_tagged(|tag, field| {
            match tag {
                0 if field.version() >= 12 => it.cluster_id = field.read_nullable()?,
                1 if field.version() >= 15 => it.replica_state = field.read()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        if writer.version() <= 14 {
            writer.put(&self.replica_id);
        }
        writer.put(&self.max_wait_ms);
        writer.put(&self.min_bytes);
        writer.put(&self.max_bytes);
        writer.put(&self.isolation_level);
        if writer.version() >= 7 {
            writer.put(&self.session_id);
            writer.put(&self.session_epoch);
        }
        writer.put(&self.topics);
        if writer.version() >= 7 {
            writer.put(&self.forgotten_topics_data);
        }
        if writer.version() >= 11 {
            writer.put(&self.rack_id);
        }
        let mut tagged = TaggedFields::of(writer);
        if writer.version() >= 12 && self.cluster_id.is_some() {
            tagged.put_nullable(0, self.cluster_id.as_ref());
        }
        if writer.version() >= 15 && self.replica_state != ReplicaState::default() {
            tagged.put(1, &self.replica_state);
        }
        writer.put_tagged(tagged);
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for FetchRequest {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        if sampler.version() >= 12 {
            it.cluster_id = sampler.draw_nullable();
        }
        if sampler.version() <= 14 {
            it.replica_id = sampler.draw();
        }
        if sampler.version() >= 15 {
            it.replica_state = sampler.draw();
        }
        it.max_wait_ms = sampler.draw();
        it.min_bytes = sampler.draw();
        it.max_bytes = sampler.draw();
        it.isolation_level = sampler.draw();
        if sampler.version() >= 7 {
            it.session_id = sampler.draw();
            it.session_epoch = sampler.draw();
        }
        it.topics = sampler.draw();
        if sampler.version() >= 7 {
            it.forgotten_topics_data = sampler.draw();
        }
        if sampler.version() >= 11 {
            it.rack_id = sampler.draw();
        }
        it
    }
}

/// The state of the replica in the follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaState {
    /// The replica ID of the follower, or -1 if this request is from a consumer.
    pub replica_id: i32,
    /// The epoch of this follower, or -1 if not available.
    pub replica_epoch: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self { replica_id: -1, replica_epoch: -1 }
    }
}

impl Field for ReplicaState {
    const MIN_BYTES: usize = 13;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.replica_id = reader.read()?;
        it.replica_epoch = reader.read()?;
        reader.skip_tagged()?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.replica_id);
        writer.put(&self.replica_epoch);
        writer.put_no_tagged();
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for ReplicaState {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.replica_id = sampler.draw();
        it.replica_epoch = sampler.draw();
        it
    }
}

/// The topics to fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchTopic {
    /// The name of the topic to fetch. Versions 0 to 12.
    pub topic: Text,
    /// The unique topic ID. Versions 13 and later.
    pub topic_id: Uuid,
    /// The partitions to fetch.
    pub partitions: Vec<FetchPartition>,
}

impl Field for FetchTopic {
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
impl Sample for FetchTopic {
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

/// The partitions to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchPartition {
    /// The partition index.
    pub partition: i32,
    /// The current leader epoch of the partition. Versions 9 and later.
    pub current_leader_epoch: i32,
    /// The message offset.
    pub fetch_offset: i64,
    /// The epoch of the last fetched record or -1 if there is none. Versions 12 and later.
    pub last_fetched_epoch: i32,
    /// The earliest available offset of the follower replica. The field is only used when the
    /// request is sent by the follower. Versions 5 and later.
    pub log_start_offset: i64,
    /// The maximum bytes to fetch from this partition. See KIP-74 for cases where this limit may
    /// not be honored.
    pub partition_max_bytes: i32,
    /// The directory id of the follower fetching. Versions 17 and later.
    pub replica_directory_id: Uuid,
    /// The high-watermark known by the replica. -1 if the high-watermark is not known and
    /// 9223372036854775807 if the feature is not supported. Versions 18 and later.
    pub high_watermark: i64,
}

impl Default for FetchPartition {
    fn default() -> Self {
        Self {
            partition: 0,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 0,
            replica_directory_id: Uuid::ZERO,
            high_watermark: i64::MAX,
        }
    }
}

impl Field for FetchPartition {
    const MIN_BYTES: usize = 16;

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut it = Self::default();
        it.partition = reader.read()?;
        if reader.version() >= 9 {
            it.current_leader_epoch = reader.read()?;
        }
        it.fetch_offset = reader.read()?;
        if reader.version() >= 12 {
            it.last_fetched_epoch = reader.read()?;
        }
        if reader.version() >= 5 {
            it.log_start_offset = reader.read()?;
        }
        it.partition_max_bytes = reader.read()?;
        reader.read_tagged(|tag, field| {
            match tag {
                0 if field.version() >= 17 => it.replica_directory_id = field.read()?,
                1 if field.version() >= 18 => it.high_watermark = field.read()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(it)
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.partition);
        if writer.version() >= 9 {
            writer.put(&self.current_leader_epoch);
        }
        writer.put(&self.fetch_offset);
        if writer.version() >= 12 {
            writer.put(&self.last_fetched_epoch);
        }
        if writer.version() >= 5 {
            writer.put(&self.log_start_offset);
        }
        writer.put(&self.partition_max_bytes);
        let mut tagged = TaggedFields::of(writer);
        if writer.version() >= 17 && self.replica_directory_id != Uuid::ZERO {
            tagged.put(0, &self.replica_directory_id);
        }
        if writer.version() >= 18 && self.high_watermark != i64::MAX {
            tagged.put(1, &self.high_watermark);
        }
        writer.put_tagged(tagged);
    }
}

#[cfg(any(test, feature = "sample"))]
impl Sample for FetchPartition {
    fn sample(sampler: &mut Sampler) -> Self {
        let mut it = Self::default();
        it.partition = sampler.draw();
        if sampler.version() >= 9 {
            it.current_leader_epoch = sampler.draw();
        }
        it.fetch_offset = sampler.draw();
        if sampler.version() >= 12 {
            it.last_fetched_epoch = sampler.draw();
        }
        if sampler.version() >= 5 {
            it.log_start_offset = sampler.draw();
        }
        it.partition_max_bytes = sampler.draw();
        if sampler.version() >= 17 {
            it.replica_directory_id = sampler.draw();
        }
        if sampler.version() >= 18 {
            it.high_watermark = sampler.draw();
        }
        it
    }
}

/// In an incremental fetch request, the partitions to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForgottenTopic {
    /// The topic name. Versions 7 to 12.
    pub topic: Text,
    /// The unique topic ID. Versions 13 and later.
    pub topic_id: Uuid,
    /// The partitions indexes to forget.
    pub partitions: Vec<i32>,
}

impl Field for ForgottenTopic {
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
impl Sample for ForgottenTopic {
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

impl Message for FetchRequest {
    const KEY: ApiKey = ApiKey::Fetch;
    const IS_RESPONSE: bool = false;
}
