//! OffsetCommit, OffsetFetch and the end of offsets that nobody needs any longer.

use bytes::Bytes;
use kafka_codec::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_codec::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_codec::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_codec::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_codec::messages::{OffsetCommitRequest, OffsetCommitResponse};
use kafka_codec::{ErrorCode, Text};

use super::bounds::{OFFSET_METADATA_BYTES_MAX, TOPIC_BYTES_MAX};
use super::offsets::{Committed, row_key};
use super::state::{Group, State};
use super::turn::Turn;

/// The first OffsetCommit that names topics by id: the session knows the names.
pub(super) const FIRST_BY_ID: i16 = 10;

/// The answer to a commit, partition by partition.
pub(super) fn committed(
    request: &OffsetCommitRequest,
    mut code: impl FnMut(&Text, &OffsetCommitRequestPartition) -> ErrorCode,
) -> OffsetCommitResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let partitions = topic.partitions.iter().map(|partition| OffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code: code(&topic.name, partition).number(),
        });
        topics.push(OffsetCommitResponseTopic {
            partitions: partitions.collect(),
            name: topic.name.clone(),
            topic_id: topic.topic_id,
        });
    }
    OffsetCommitResponse { topics, ..Default::default() }
}

/// The answer about topics by name, up to version 7.
pub(super) fn plain(groups: OffsetFetchResponseGroup) -> Vec<OffsetFetchResponseTopic> {
    let topics = groups.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| OffsetFetchResponsePartition {
                partition_index: partition.partition_index,
                committed_offset: partition.committed_offset,
                committed_leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata,
                error_code: partition.error_code,
            })
            .collect(),
    });
    topics.collect()
}

/// What a group has committed; a partition without an offset has -1, which is no error.
pub(super) fn fetched(
    group: Option<&Group>,
    request: &OffsetFetchRequestGroup,
) -> OffsetFetchResponseGroup {
    let topics = match &request.topics {
        Some(topics) => topics
            .iter()
            .map(|topic| {
                let one = |partition: &i32| {
                    let found = group.and_then(|it| it.offsets.get(&topic.name, *partition));
                    position(*partition, found)
                };
                OffsetFetchResponseTopics {
                    name: topic.name.clone(),
                    topic_id: topic.topic_id,
                    partitions: topic.partition_indexes.iter().map(one).collect(),
                }
            })
            .collect(),
        None => group
            .into_iter()
            .flat_map(|group| group.offsets.topics())
            .map(|(name, partitions)| OffsetFetchResponseTopics {
                name: name.clone(),
                partitions: partitions.iter().map(|(at, it)| position(*at, Some(it))).collect(),
                ..Default::default()
            })
            .collect(),
    };
    OffsetFetchResponseGroup { group_id: request.group_id.clone(), topics, error_code: 0 }
}

fn position(partition: i32, committed: Option<&Committed>) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: partition,
        committed_offset: committed.map_or(-1, |it| it.offset),
        committed_leader_epoch: committed.map_or(-1, |it| it.leader_epoch),
        metadata: Some(committed.map(|it| it.metadata.clone()).unwrap_or_default()),
        error_code: 0,
    }
}

impl Group {
    /// Whether the sender of a commit may commit now.
    pub(super) fn check_commit(&self, request: &OffsetCommitRequest) -> Result<(), ErrorCode> {
        let generation = request.generation_id_or_member_epoch;
        let instance = request.group_instance_id.as_ref();
        if generation < 0 && self.state == State::Empty {
            // From outside of group management, or a tool that moves a group without members.
            return Ok(());
        }
        if generation < 0 && request.member_id.is_empty() && instance.is_none() {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.check_member(&request.member_id, instance)?;
        if generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        if self.state == State::Completing {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// Commits; the rows go with the answer.
    pub(super) fn commit(
        &mut self,
        request: &OffsetCommitRequest,
        turn: &mut Turn<'_>,
    ) -> OffsetCommitResponse {
        if let Err(code) = self.check_commit(request) {
            return committed(request, |_, _| code);
        }
        let by_member = self.members.contains_key(&request.member_id);
        if by_member {
            self.keep(&request.member_id, turn);
        }
        let now_ms = turn.now.unix_ms;
        let kept_until_ms = (request.retention_time_ms >= 0)
            .then(|| now_ms.saturating_add(request.retention_time_ms));
        committed(request, |topic, partition| {
            let entry = Committed {
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                committed_ms: now_ms,
                kept_until_ms,
                by_member,
                metadata: Text::default(),
            };
            match self.commit_one(topic, partition, entry, turn) {
                Ok(()) => ErrorCode::None,
                Err(code) => code,
            }
        })
    }

    fn commit_one(
        &mut self,
        topic: &Text,
        partition: &OffsetCommitRequestPartition,
        entry: Committed,
        turn: &mut Turn<'_>,
    ) -> Result<(), ErrorCode> {
        let metadata = partition.committed_metadata.as_ref();
        let metadata_bytes = metadata.map_or(0, Text::len);
        if metadata_bytes > OFFSET_METADATA_BYTES_MAX {
            return Err(ErrorCode::OffsetMetadataTooLarge);
        }
        let at = partition.partition_index;
        if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX || at < 0 {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        if !self.offsets.admits(topic, at, metadata_bytes, turn.room) {
            return Err(ErrorCode::InvalidCommitOffsetSize);
        }
        let entry =
            Committed { metadata: metadata.map(Text::detached).unwrap_or_default(), ..entry };
        let before = self.offsets.bytes();
        turn.out.rows.push((row_key(&self.id, topic, at), Some(entry.to_row())));
        self.offsets.put(topic, at, entry);
        turn.room = (turn.room + before).saturating_sub(self.offsets.bytes());
        Ok(())
    }

    /// Removes the offsets whose time is over.
    pub(super) fn sweep(&mut self, turn: &mut Turn<'_>) {
        let empty_since_ms = (self.state == State::Empty).then_some(self.empty_since_ms);
        let now_ms = turn.now.unix_ms;
        let removed = self.offsets.remove(|it| it.expired(now_ms, empty_since_ms));
        self.forget(removed, turn);
    }

    /// Removes all offsets.
    pub(super) fn forget_all(&mut self, turn: &mut Turn<'_>) {
        let removed = self.offsets.remove(|_| true);
        self.forget(removed, turn);
    }

    fn forget(&self, removed: Vec<(Text, i32)>, turn: &mut Turn<'_>) {
        let rows = removed.into_iter();
        let rows = rows.map(|(topic, partition)| row_key(&self.id, &topic, partition));
        turn.out.rows.extend(rows.map(|key: Bytes| (key, None)));
    }
}
