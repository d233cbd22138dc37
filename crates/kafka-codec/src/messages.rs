//! Every message that is spoken, and the table of APIs.
//!
//! Generated from Kafka's message definitions by `cargo xtask kafka-messages`; do not edit.

#![allow(
    clippy::field_reassign_with_default,
    reason = "which fields are set depends on the version"
)]

pub mod alter_configs_request;
pub mod alter_configs_response;
pub mod api_versions_request;
pub mod api_versions_response;
pub mod create_topics_request;
pub mod create_topics_response;
pub mod delete_groups_request;
pub mod delete_groups_response;
pub mod delete_records_request;
pub mod delete_records_response;
pub mod delete_topics_request;
pub mod delete_topics_response;
pub mod describe_cluster_request;
pub mod describe_cluster_response;
pub mod describe_configs_request;
pub mod describe_configs_response;
pub mod describe_groups_request;
pub mod describe_groups_response;
pub mod describe_topic_partitions_request;
pub mod describe_topic_partitions_response;
pub mod fetch_request;
pub mod fetch_response;
pub mod find_coordinator_request;
pub mod find_coordinator_response;
pub mod heartbeat_request;
pub mod heartbeat_response;
pub mod incremental_alter_configs_request;
pub mod incremental_alter_configs_response;
pub mod init_producer_id_request;
pub mod init_producer_id_response;
pub mod join_group_request;
pub mod join_group_response;
pub mod leave_group_request;
pub mod leave_group_response;
pub mod list_groups_request;
pub mod list_groups_response;
pub mod list_offsets_request;
pub mod list_offsets_response;
pub mod metadata_request;
pub mod metadata_response;
pub mod offset_commit_request;
pub mod offset_commit_response;
pub mod offset_fetch_request;
pub mod offset_fetch_response;
pub mod produce_request;
pub mod produce_response;
pub mod sasl_authenticate_request;
pub mod sasl_authenticate_response;
pub mod sasl_handshake_request;
pub mod sasl_handshake_response;
pub mod sync_group_request;
pub mod sync_group_response;

use bytes::Bytes;

#[cfg(any(test, feature = "sample"))]
use crate::sample::{Sample, Sampler};
use crate::wire::{DecodeError, Limits, Reader, Writer};
use crate::{Message, Request};

pub use alter_configs_request::AlterConfigsRequest;
pub use alter_configs_response::AlterConfigsResponse;
pub use api_versions_request::ApiVersionsRequest;
pub use api_versions_response::ApiVersionsResponse;
pub use create_topics_request::CreateTopicsRequest;
pub use create_topics_response::CreateTopicsResponse;
pub use delete_groups_request::DeleteGroupsRequest;
pub use delete_groups_response::DeleteGroupsResponse;
pub use delete_records_request::DeleteRecordsRequest;
pub use delete_records_response::DeleteRecordsResponse;
pub use delete_topics_request::DeleteTopicsRequest;
pub use delete_topics_response::DeleteTopicsResponse;
pub use describe_cluster_request::DescribeClusterRequest;
pub use describe_cluster_response::DescribeClusterResponse;
pub use describe_configs_request::DescribeConfigsRequest;
pub use describe_configs_response::DescribeConfigsResponse;
pub use describe_groups_request::DescribeGroupsRequest;
pub use describe_groups_response::DescribeGroupsResponse;
pub use describe_topic_partitions_request::DescribeTopicPartitionsRequest;
pub use describe_topic_partitions_response::DescribeTopicPartitionsResponse;
pub use fetch_request::FetchRequest;
pub use fetch_response::FetchResponse;
pub use find_coordinator_request::FindCoordinatorRequest;
pub use find_coordinator_response::FindCoordinatorResponse;
pub use heartbeat_request::HeartbeatRequest;
pub use heartbeat_response::HeartbeatResponse;
pub use incremental_alter_configs_request::IncrementalAlterConfigsRequest;
pub use incremental_alter_configs_response::IncrementalAlterConfigsResponse;
pub use init_producer_id_request::InitProducerIdRequest;
pub use init_producer_id_response::InitProducerIdResponse;
pub use join_group_request::JoinGroupRequest;
pub use join_group_response::JoinGroupResponse;
pub use leave_group_request::LeaveGroupRequest;
pub use leave_group_response::LeaveGroupResponse;
pub use list_groups_request::ListGroupsRequest;
pub use list_groups_response::ListGroupsResponse;
pub use list_offsets_request::ListOffsetsRequest;
pub use list_offsets_response::ListOffsetsResponse;
pub use metadata_request::MetadataRequest;
pub use metadata_response::MetadataResponse;
pub use offset_commit_request::OffsetCommitRequest;
pub use offset_commit_response::OffsetCommitResponse;
pub use offset_fetch_request::OffsetFetchRequest;
pub use offset_fetch_response::OffsetFetchResponse;
pub use produce_request::ProduceRequest;
pub use produce_response::ProduceResponse;
pub use sasl_authenticate_request::SaslAuthenticateRequest;
pub use sasl_authenticate_response::SaslAuthenticateResponse;
pub use sasl_handshake_request::SaslHandshakeRequest;
pub use sasl_handshake_response::SaslHandshakeResponse;
pub use sync_group_request::SyncGroupRequest;
pub use sync_group_response::SyncGroupResponse;

/// An API that is spoken; its number on the wire is the discriminant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub enum ApiKey {
    /// Produce, versions 0 to 13.
    Produce = 0,
    /// Fetch, versions 4 to 18.
    Fetch = 1,
    /// ListOffsets, versions 1 to 11.
    ListOffsets = 2,
    /// Metadata, versions 0 to 13.
    Metadata = 3,
    /// OffsetCommit, versions 2 to 10.
    OffsetCommit = 8,
    /// OffsetFetch, versions 1 to 10.
    OffsetFetch = 9,
    /// FindCoordinator, versions 0 to 6.
    FindCoordinator = 10,
    /// JoinGroup, versions 0 to 9.
    JoinGroup = 11,
    /// Heartbeat, versions 0 to 4.
    Heartbeat = 12,
    /// LeaveGroup, versions 0 to 5.
    LeaveGroup = 13,
    /// SyncGroup, versions 0 to 5.
    SyncGroup = 14,
    /// DescribeGroups, versions 0 to 6.
    DescribeGroups = 15,
    /// ListGroups, versions 0 to 5.
    ListGroups = 16,
    /// SaslHandshake, versions 0 to 1.
    SaslHandshake = 17,
    /// ApiVersions, versions 0 to 4.
    ApiVersions = 18,
    /// CreateTopics, versions 2 to 7.
    CreateTopics = 19,
    /// DeleteTopics, versions 1 to 6.
    DeleteTopics = 20,
    /// DeleteRecords, versions 0 to 2.
    DeleteRecords = 21,
    /// InitProducerId, versions 0 to 6.
    InitProducerId = 22,
    /// DescribeConfigs, versions 1 to 4.
    DescribeConfigs = 32,
    /// AlterConfigs, versions 0 to 2.
    AlterConfigs = 33,
    /// SaslAuthenticate, versions 0 to 2.
    SaslAuthenticate = 36,
    /// DeleteGroups, versions 0 to 2.
    DeleteGroups = 42,
    /// IncrementalAlterConfigs, versions 0 to 1.
    IncrementalAlterConfigs = 44,
    /// DescribeCluster, versions 0 to 2.
    DescribeCluster = 60,
    /// DescribeTopicPartitions, versions 0.
    DescribeTopicPartitions = 75,
}

impl ApiKey {
    /// Every API, by number.
    pub const ALL: &'static [Self] = &[
        Self::Produce,
        Self::Fetch,
        Self::ListOffsets,
        Self::Metadata,
        Self::OffsetCommit,
        Self::OffsetFetch,
        Self::FindCoordinator,
        Self::JoinGroup,
        Self::Heartbeat,
        Self::LeaveGroup,
        Self::SyncGroup,
        Self::DescribeGroups,
        Self::ListGroups,
        Self::SaslHandshake,
        Self::ApiVersions,
        Self::CreateTopics,
        Self::DeleteTopics,
        Self::DeleteRecords,
        Self::InitProducerId,
        Self::DescribeConfigs,
        Self::AlterConfigs,
        Self::SaslAuthenticate,
        Self::DeleteGroups,
        Self::IncrementalAlterConfigs,
        Self::DescribeCluster,
        Self::DescribeTopicPartitions,
    ];

    /// The API of a number from the wire.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::Produce),
            1 => Some(Self::Fetch),
            2 => Some(Self::ListOffsets),
            3 => Some(Self::Metadata),
            8 => Some(Self::OffsetCommit),
            9 => Some(Self::OffsetFetch),
            10 => Some(Self::FindCoordinator),
            11 => Some(Self::JoinGroup),
            12 => Some(Self::Heartbeat),
            13 => Some(Self::LeaveGroup),
            14 => Some(Self::SyncGroup),
            15 => Some(Self::DescribeGroups),
            16 => Some(Self::ListGroups),
            17 => Some(Self::SaslHandshake),
            18 => Some(Self::ApiVersions),
            19 => Some(Self::CreateTopics),
            20 => Some(Self::DeleteTopics),
            21 => Some(Self::DeleteRecords),
            22 => Some(Self::InitProducerId),
            32 => Some(Self::DescribeConfigs),
            33 => Some(Self::AlterConfigs),
            36 => Some(Self::SaslAuthenticate),
            42 => Some(Self::DeleteGroups),
            44 => Some(Self::IncrementalAlterConfigs),
            60 => Some(Self::DescribeCluster),
            75 => Some(Self::DescribeTopicPartitions),
            _ => None,
        }
    }

    /// The versions that are understood, both inclusive, without an unfinished last one.
    pub const fn versions(self) -> (i16, i16) {
        match self {
            Self::Produce => (0, 13),
            Self::Fetch => (4, 18),
            Self::ListOffsets => (1, 11),
            Self::Metadata => (0, 13),
            Self::OffsetCommit => (2, 10),
            Self::OffsetFetch => (1, 10),
            Self::FindCoordinator => (0, 6),
            Self::JoinGroup => (0, 9),
            Self::Heartbeat => (0, 4),
            Self::LeaveGroup => (0, 5),
            Self::SyncGroup => (0, 5),
            Self::DescribeGroups => (0, 6),
            Self::ListGroups => (0, 5),
            Self::SaslHandshake => (0, 1),
            Self::ApiVersions => (0, 4),
            Self::CreateTopics => (2, 7),
            Self::DeleteTopics => (1, 6),
            Self::DeleteRecords => (0, 2),
            Self::InitProducerId => (0, 5),
            Self::DescribeConfigs => (1, 4),
            Self::AlterConfigs => (0, 2),
            Self::SaslAuthenticate => (0, 2),
            Self::DeleteGroups => (0, 2),
            Self::IncrementalAlterConfigs => (0, 1),
            Self::DescribeCluster => (0, 2),
            Self::DescribeTopicPartitions => (0, 0),
        }
    }

    /// The first version with compact lengths and tagged fields.
    pub const fn first_flexible(self) -> i16 {
        match self {
            Self::Produce => 9,
            Self::Fetch => 12,
            Self::ListOffsets => 6,
            Self::Metadata => 9,
            Self::OffsetCommit => 8,
            Self::OffsetFetch => 6,
            Self::FindCoordinator => 3,
            Self::JoinGroup => 6,
            Self::Heartbeat => 4,
            Self::LeaveGroup => 4,
            Self::SyncGroup => 4,
            Self::DescribeGroups => 5,
            Self::ListGroups => 3,
            Self::SaslHandshake => 32767,
            Self::ApiVersions => 3,
            Self::CreateTopics => 5,
            Self::DeleteTopics => 4,
            Self::DeleteRecords => 2,
            Self::InitProducerId => 2,
            Self::DescribeConfigs => 4,
            Self::AlterConfigs => 2,
            Self::SaslAuthenticate => 2,
            Self::DeleteGroups => 2,
            Self::IncrementalAlterConfigs => 1,
            Self::DescribeCluster => 0,
            Self::DescribeTopicPartitions => 0,
        }
    }
}

impl Request for ProduceRequest {
    type Response = ProduceResponse;
}

impl Request for FetchRequest {
    type Response = FetchResponse;
}

impl Request for ListOffsetsRequest {
    type Response = ListOffsetsResponse;
}

impl Request for MetadataRequest {
    type Response = MetadataResponse;
}

impl Request for OffsetCommitRequest {
    type Response = OffsetCommitResponse;
}

impl Request for OffsetFetchRequest {
    type Response = OffsetFetchResponse;
}

impl Request for FindCoordinatorRequest {
    type Response = FindCoordinatorResponse;
}

impl Request for JoinGroupRequest {
    type Response = JoinGroupResponse;
}

impl Request for HeartbeatRequest {
    type Response = HeartbeatResponse;
}

impl Request for LeaveGroupRequest {
    type Response = LeaveGroupResponse;
}

impl Request for SyncGroupRequest {
    type Response = SyncGroupResponse;
}

impl Request for DescribeGroupsRequest {
    type Response = DescribeGroupsResponse;
}

impl Request for ListGroupsRequest {
    type Response = ListGroupsResponse;
}

impl Request for SaslHandshakeRequest {
    type Response = SaslHandshakeResponse;
}

impl Request for ApiVersionsRequest {
    type Response = ApiVersionsResponse;
}

impl Request for CreateTopicsRequest {
    type Response = CreateTopicsResponse;
}

impl Request for DeleteTopicsRequest {
    type Response = DeleteTopicsResponse;
}

impl Request for DeleteRecordsRequest {
    type Response = DeleteRecordsResponse;
}

impl Request for InitProducerIdRequest {
    type Response = InitProducerIdResponse;
}

impl Request for DescribeConfigsRequest {
    type Response = DescribeConfigsResponse;
}

impl Request for AlterConfigsRequest {
    type Response = AlterConfigsResponse;
}

impl Request for SaslAuthenticateRequest {
    type Response = SaslAuthenticateResponse;
}

impl Request for DeleteGroupsRequest {
    type Response = DeleteGroupsResponse;
}

impl Request for IncrementalAlterConfigsRequest {
    type Response = IncrementalAlterConfigsResponse;
}

impl Request for DescribeClusterRequest {
    type Response = DescribeClusterResponse;
}

impl Request for DescribeTopicPartitionsRequest {
    type Response = DescribeTopicPartitionsResponse;
}

/// One request, whichever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyRequest {
    /// Produce.
    Produce(ProduceRequest),
    /// Fetch.
    Fetch(FetchRequest),
    /// ListOffsets.
    ListOffsets(ListOffsetsRequest),
    /// Metadata.
    Metadata(MetadataRequest),
    /// OffsetCommit.
    OffsetCommit(OffsetCommitRequest),
    /// OffsetFetch.
    OffsetFetch(OffsetFetchRequest),
    /// FindCoordinator.
    FindCoordinator(FindCoordinatorRequest),
    /// JoinGroup.
    JoinGroup(JoinGroupRequest),
    /// Heartbeat.
    Heartbeat(HeartbeatRequest),
    /// LeaveGroup.
    LeaveGroup(LeaveGroupRequest),
    /// SyncGroup.
    SyncGroup(SyncGroupRequest),
    /// DescribeGroups.
    DescribeGroups(DescribeGroupsRequest),
    /// ListGroups.
    ListGroups(ListGroupsRequest),
    /// SaslHandshake.
    SaslHandshake(SaslHandshakeRequest),
    /// ApiVersions.
    ApiVersions(ApiVersionsRequest),
    /// CreateTopics.
    CreateTopics(CreateTopicsRequest),
    /// DeleteTopics.
    DeleteTopics(DeleteTopicsRequest),
    /// DeleteRecords.
    DeleteRecords(DeleteRecordsRequest),
    /// InitProducerId.
    InitProducerId(InitProducerIdRequest),
    /// DescribeConfigs.
    DescribeConfigs(DescribeConfigsRequest),
    /// AlterConfigs.
    AlterConfigs(AlterConfigsRequest),
    /// SaslAuthenticate.
    SaslAuthenticate(SaslAuthenticateRequest),
    /// DeleteGroups.
    DeleteGroups(DeleteGroupsRequest),
    /// IncrementalAlterConfigs.
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest),
    /// DescribeCluster.
    DescribeCluster(DescribeClusterRequest),
    /// DescribeTopicPartitions.
    DescribeTopicPartitions(DescribeTopicPartitionsRequest),
}

impl AnyRequest {
    /// Reads a request body.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not such a request.
    pub fn decode(
        key: ApiKey,
        version: i16,
        body: Bytes,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        match key {
            ApiKey::Produce => ProduceRequest::decode(body, version, limits).map(Self::Produce),
            ApiKey::Fetch => FetchRequest::decode(body, version, limits).map(Self::Fetch),
            ApiKey::ListOffsets => {
                ListOffsetsRequest::decode(body, version, limits).map(Self::ListOffsets)
            }
            ApiKey::Metadata => MetadataRequest::decode(body, version, limits).map(Self::Metadata),
            ApiKey::OffsetCommit => {
                OffsetCommitRequest::decode(body, version, limits).map(Self::OffsetCommit)
            }
            ApiKey::OffsetFetch => {
                OffsetFetchRequest::decode(body, version, limits).map(Self::OffsetFetch)
            }
            ApiKey::FindCoordinator => {
                FindCoordinatorRequest::decode(body, version, limits).map(Self::FindCoordinator)
            }
            ApiKey::JoinGroup => {
                JoinGroupRequest::decode(body, version, limits).map(Self::JoinGroup)
            }
            ApiKey::Heartbeat => {
                HeartbeatRequest::decode(body, version, limits).map(Self::Heartbeat)
            }
            ApiKey::LeaveGroup => {
                LeaveGroupRequest::decode(body, version, limits).map(Self::LeaveGroup)
            }
            ApiKey::SyncGroup => {
                SyncGroupRequest::decode(body, version, limits).map(Self::SyncGroup)
            }
            ApiKey::DescribeGroups => {
                DescribeGroupsRequest::decode(body, version, limits).map(Self::DescribeGroups)
            }
            ApiKey::ListGroups => {
                ListGroupsRequest::decode(body, version, limits).map(Self::ListGroups)
            }
            ApiKey::SaslHandshake => {
                SaslHandshakeRequest::decode(body, version, limits).map(Self::SaslHandshake)
            }
            ApiKey::ApiVersions => {
                ApiVersionsRequest::decode(body, version, limits).map(Self::ApiVersions)
            }
            ApiKey::CreateTopics => {
                CreateTopicsRequest::decode(body, version, limits).map(Self::CreateTopics)
            }
            ApiKey::DeleteTopics => {
                DeleteTopicsRequest::decode(body, version, limits).map(Self::DeleteTopics)
            }
            ApiKey::DeleteRecords => {
                DeleteRecordsRequest::decode(body, version, limits).map(Self::DeleteRecords)
            }
            ApiKey::InitProducerId => {
                InitProducerIdRequest::decode(body, version, limits).map(Self::InitProducerId)
            }
            ApiKey::DescribeConfigs => {
                DescribeConfigsRequest::decode(body, version, limits).map(Self::DescribeConfigs)
            }
            ApiKey::AlterConfigs => {
                AlterConfigsRequest::decode(body, version, limits).map(Self::AlterConfigs)
            }
            ApiKey::SaslAuthenticate => {
                SaslAuthenticateRequest::decode(body, version, limits).map(Self::SaslAuthenticate)
            }
            ApiKey::DeleteGroups => {
                DeleteGroupsRequest::decode(body, version, limits).map(Self::DeleteGroups)
            }
            ApiKey::IncrementalAlterConfigs => {
                IncrementalAlterConfigsRequest::decode(body, version, limits)
                    .map(Self::IncrementalAlterConfigs)
            }
            ApiKey::DescribeCluster => {
                DescribeClusterRequest::decode(body, version, limits).map(Self::DescribeCluster)
            }
            ApiKey::DescribeTopicPartitions => {
                DescribeTopicPartitionsRequest::decode(body, version, limits)
                    .map(Self::DescribeTopicPartitions)
            }
        }
    }

    /// Reads from where a reader stands, which was made for that version.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn read(key: ApiKey, reader: &mut Reader) -> Result<Self, DecodeError> {
        match key {
            ApiKey::Produce => reader.read().map(Self::Produce),
            ApiKey::Fetch => reader.read().map(Self::Fetch),
            ApiKey::ListOffsets => reader.read().map(Self::ListOffsets),
            ApiKey::Metadata => reader.read().map(Self::Metadata),
            ApiKey::OffsetCommit => reader.read().map(Self::OffsetCommit),
            ApiKey::OffsetFetch => reader.read().map(Self::OffsetFetch),
            ApiKey::FindCoordinator => reader.read().map(Self::FindCoordinator),
            ApiKey::JoinGroup => reader.read().map(Self::JoinGroup),
            ApiKey::Heartbeat => reader.read().map(Self::Heartbeat),
            ApiKey::LeaveGroup => reader.read().map(Self::LeaveGroup),
            ApiKey::SyncGroup => reader.read().map(Self::SyncGroup),
            ApiKey::DescribeGroups => reader.read().map(Self::DescribeGroups),
            ApiKey::ListGroups => reader.read().map(Self::ListGroups),
            ApiKey::SaslHandshake => reader.read().map(Self::SaslHandshake),
            ApiKey::ApiVersions => reader.read().map(Self::ApiVersions),
            ApiKey::CreateTopics => reader.read().map(Self::CreateTopics),
            ApiKey::DeleteTopics => reader.read().map(Self::DeleteTopics),
            ApiKey::DeleteRecords => reader.read().map(Self::DeleteRecords),
            ApiKey::InitProducerId => reader.read().map(Self::InitProducerId),
            ApiKey::DescribeConfigs => reader.read().map(Self::DescribeConfigs),
            ApiKey::AlterConfigs => reader.read().map(Self::AlterConfigs),
            ApiKey::SaslAuthenticate => reader.read().map(Self::SaslAuthenticate),
            ApiKey::DeleteGroups => reader.read().map(Self::DeleteGroups),
            ApiKey::IncrementalAlterConfigs => reader.read().map(Self::IncrementalAlterConfigs),
            ApiKey::DescribeCluster => reader.read().map(Self::DescribeCluster),
            ApiKey::DescribeTopicPartitions => reader.read().map(Self::DescribeTopicPartitions),
        }
    }

    /// Writes the body at the end of `writer`, which was made for that version.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Produce(body) => writer.put(body),
            Self::Fetch(body) => writer.put(body),
            Self::ListOffsets(body) => writer.put(body),
            Self::Metadata(body) => writer.put(body),
            Self::OffsetCommit(body) => writer.put(body),
            Self::OffsetFetch(body) => writer.put(body),
            Self::FindCoordinator(body) => writer.put(body),
            Self::JoinGroup(body) => writer.put(body),
            Self::Heartbeat(body) => writer.put(body),
            Self::LeaveGroup(body) => writer.put(body),
            Self::SyncGroup(body) => writer.put(body),
            Self::DescribeGroups(body) => writer.put(body),
            Self::ListGroups(body) => writer.put(body),
            Self::SaslHandshake(body) => writer.put(body),
            Self::ApiVersions(body) => writer.put(body),
            Self::CreateTopics(body) => writer.put(body),
            Self::DeleteTopics(body) => writer.put(body),
            Self::DeleteRecords(body) => writer.put(body),
            Self::InitProducerId(body) => writer.put(body),
            Self::DescribeConfigs(body) => writer.put(body),
            Self::AlterConfigs(body) => writer.put(body),
            Self::SaslAuthenticate(body) => writer.put(body),
            Self::DeleteGroups(body) => writer.put(body),
            Self::IncrementalAlterConfigs(body) => writer.put(body),
            Self::DescribeCluster(body) => writer.put(body),
            Self::DescribeTopicPartitions(body) => writer.put(body),
        }
    }

    /// The API of this request.
    pub const fn key(&self) -> ApiKey {
        match self {
            Self::Produce(_) => ApiKey::Produce,
            Self::Fetch(_) => ApiKey::Fetch,
            Self::ListOffsets(_) => ApiKey::ListOffsets,
            Self::Metadata(_) => ApiKey::Metadata,
            Self::OffsetCommit(_) => ApiKey::OffsetCommit,
            Self::OffsetFetch(_) => ApiKey::OffsetFetch,
            Self::FindCoordinator(_) => ApiKey::FindCoordinator,
            Self::JoinGroup(_) => ApiKey::JoinGroup,
            Self::Heartbeat(_) => ApiKey::Heartbeat,
            Self::LeaveGroup(_) => ApiKey::LeaveGroup,
            Self::SyncGroup(_) => ApiKey::SyncGroup,
            Self::DescribeGroups(_) => ApiKey::DescribeGroups,
            Self::ListGroups(_) => ApiKey::ListGroups,
            Self::SaslHandshake(_) => ApiKey::SaslHandshake,
            Self::ApiVersions(_) => ApiKey::ApiVersions,
            Self::CreateTopics(_) => ApiKey::CreateTopics,
            Self::DeleteTopics(_) => ApiKey::DeleteTopics,
            Self::DeleteRecords(_) => ApiKey::DeleteRecords,
            Self::InitProducerId(_) => ApiKey::InitProducerId,
            Self::DescribeConfigs(_) => ApiKey::DescribeConfigs,
            Self::AlterConfigs(_) => ApiKey::AlterConfigs,
            Self::SaslAuthenticate(_) => ApiKey::SaslAuthenticate,
            Self::DeleteGroups(_) => ApiKey::DeleteGroups,
            Self::IncrementalAlterConfigs(_) => ApiKey::IncrementalAlterConfigs,
            Self::DescribeCluster(_) => ApiKey::DescribeCluster,
            Self::DescribeTopicPartitions(_) => ApiKey::DescribeTopicPartitions,
        }
    }

    /// A random request that `sampler`'s version can hold.
    #[cfg(any(test, feature = "sample"))]
    pub fn sample(key: ApiKey, sampler: &mut Sampler) -> Self {
        match key {
            ApiKey::Produce => Self::Produce(ProduceRequest::sample(sampler)),
            ApiKey::Fetch => Self::Fetch(FetchRequest::sample(sampler)),
            ApiKey::ListOffsets => Self::ListOffsets(ListOffsetsRequest::sample(sampler)),
            ApiKey::Metadata => Self::Metadata(MetadataRequest::sample(sampler)),
            ApiKey::OffsetCommit => Self::OffsetCommit(OffsetCommitRequest::sample(sampler)),
            ApiKey::OffsetFetch => Self::OffsetFetch(OffsetFetchRequest::sample(sampler)),
            ApiKey::FindCoordinator => {
                Self::FindCoordinator(FindCoordinatorRequest::sample(sampler))
            }
            ApiKey::JoinGroup => Self::JoinGroup(JoinGroupRequest::sample(sampler)),
            ApiKey::Heartbeat => Self::Heartbeat(HeartbeatRequest::sample(sampler)),
            ApiKey::LeaveGroup => Self::LeaveGroup(LeaveGroupRequest::sample(sampler)),
            ApiKey::SyncGroup => Self::SyncGroup(SyncGroupRequest::sample(sampler)),
            ApiKey::DescribeGroups => Self::DescribeGroups(DescribeGroupsRequest::sample(sampler)),
            ApiKey::ListGroups => Self::ListGroups(ListGroupsRequest::sample(sampler)),
            ApiKey::SaslHandshake => Self::SaslHandshake(SaslHandshakeRequest::sample(sampler)),
            ApiKey::ApiVersions => Self::ApiVersions(ApiVersionsRequest::sample(sampler)),
            ApiKey::CreateTopics => Self::CreateTopics(CreateTopicsRequest::sample(sampler)),
            ApiKey::DeleteTopics => Self::DeleteTopics(DeleteTopicsRequest::sample(sampler)),
            ApiKey::DeleteRecords => Self::DeleteRecords(DeleteRecordsRequest::sample(sampler)),
            ApiKey::InitProducerId => Self::InitProducerId(InitProducerIdRequest::sample(sampler)),
            ApiKey::DescribeConfigs => {
                Self::DescribeConfigs(DescribeConfigsRequest::sample(sampler))
            }
            ApiKey::AlterConfigs => Self::AlterConfigs(AlterConfigsRequest::sample(sampler)),
            ApiKey::SaslAuthenticate => {
                Self::SaslAuthenticate(SaslAuthenticateRequest::sample(sampler))
            }
            ApiKey::DeleteGroups => Self::DeleteGroups(DeleteGroupsRequest::sample(sampler)),
            ApiKey::IncrementalAlterConfigs => {
                Self::IncrementalAlterConfigs(IncrementalAlterConfigsRequest::sample(sampler))
            }
            ApiKey::DescribeCluster => {
                Self::DescribeCluster(DescribeClusterRequest::sample(sampler))
            }
            ApiKey::DescribeTopicPartitions => {
                Self::DescribeTopicPartitions(DescribeTopicPartitionsRequest::sample(sampler))
            }
        }
    }
}

impl From<ProduceRequest> for AnyRequest {
    fn from(body: ProduceRequest) -> Self {
        Self::Produce(body)
    }
}

impl From<FetchRequest> for AnyRequest {
    fn from(body: FetchRequest) -> Self {
        Self::Fetch(body)
    }
}

impl From<ListOffsetsRequest> for AnyRequest {
    fn from(body: ListOffsetsRequest) -> Self {
        Self::ListOffsets(body)
    }
}

impl From<MetadataRequest> for AnyRequest {
    fn from(body: MetadataRequest) -> Self {
        Self::Metadata(body)
    }
}

impl From<OffsetCommitRequest> for AnyRequest {
    fn from(body: OffsetCommitRequest) -> Self {
        Self::OffsetCommit(body)
    }
}

impl From<OffsetFetchRequest> for AnyRequest {
    fn from(body: OffsetFetchRequest) -> Self {
        Self::OffsetFetch(body)
    }
}

impl From<FindCoordinatorRequest> for AnyRequest {
    fn from(body: FindCoordinatorRequest) -> Self {
        Self::FindCoordinator(body)
    }
}

impl From<JoinGroupRequest> for AnyRequest {
    fn from(body: JoinGroupRequest) -> Self {
        Self::JoinGroup(body)
    }
}

impl From<HeartbeatRequest> for AnyRequest {
    fn from(body: HeartbeatRequest) -> Self {
        Self::Heartbeat(body)
    }
}

impl From<LeaveGroupRequest> for AnyRequest {
    fn from(body: LeaveGroupRequest) -> Self {
        Self::LeaveGroup(body)
    }
}

impl From<SyncGroupRequest> for AnyRequest {
    fn from(body: SyncGroupRequest) -> Self {
        Self::SyncGroup(body)
    }
}

impl From<DescribeGroupsRequest> for AnyRequest {
    fn from(body: DescribeGroupsRequest) -> Self {
        Self::DescribeGroups(body)
    }
}

impl From<ListGroupsRequest> for AnyRequest {
    fn from(body: ListGroupsRequest) -> Self {
        Self::ListGroups(body)
    }
}

impl From<SaslHandshakeRequest> for AnyRequest {
    fn from(body: SaslHandshakeRequest) -> Self {
        Self::SaslHandshake(body)
    }
}

impl From<ApiVersionsRequest> for AnyRequest {
    fn from(body: ApiVersionsRequest) -> Self {
        Self::ApiVersions(body)
    }
}

impl From<CreateTopicsRequest> for AnyRequest {
    fn from(body: CreateTopicsRequest) -> Self {
        Self::CreateTopics(body)
    }
}

impl From<DeleteTopicsRequest> for AnyRequest {
    fn from(body: DeleteTopicsRequest) -> Self {
        Self::DeleteTopics(body)
    }
}

impl From<DeleteRecordsRequest> for AnyRequest {
    fn from(body: DeleteRecordsRequest) -> Self {
        Self::DeleteRecords(body)
    }
}

impl From<InitProducerIdRequest> for AnyRequest {
    fn from(body: InitProducerIdRequest) -> Self {
        Self::InitProducerId(body)
    }
}

impl From<DescribeConfigsRequest> for AnyRequest {
    fn from(body: DescribeConfigsRequest) -> Self {
        Self::DescribeConfigs(body)
    }
}

impl From<AlterConfigsRequest> for AnyRequest {
    fn from(body: AlterConfigsRequest) -> Self {
        Self::AlterConfigs(body)
    }
}

impl From<SaslAuthenticateRequest> for AnyRequest {
    fn from(body: SaslAuthenticateRequest) -> Self {
        Self::SaslAuthenticate(body)
    }
}

impl From<DeleteGroupsRequest> for AnyRequest {
    fn from(body: DeleteGroupsRequest) -> Self {
        Self::DeleteGroups(body)
    }
}

impl From<IncrementalAlterConfigsRequest> for AnyRequest {
    fn from(body: IncrementalAlterConfigsRequest) -> Self {
        Self::IncrementalAlterConfigs(body)
    }
}

impl From<DescribeClusterRequest> for AnyRequest {
    fn from(body: DescribeClusterRequest) -> Self {
        Self::DescribeCluster(body)
    }
}

impl From<DescribeTopicPartitionsRequest> for AnyRequest {
    fn from(body: DescribeTopicPartitionsRequest) -> Self {
        Self::DescribeTopicPartitions(body)
    }
}

/// One response, whichever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyResponse {
    /// Produce.
    Produce(ProduceResponse),
    /// Fetch.
    Fetch(FetchResponse),
    /// ListOffsets.
    ListOffsets(ListOffsetsResponse),
    /// Metadata.
    Metadata(MetadataResponse),
    /// OffsetCommit.
    OffsetCommit(OffsetCommitResponse),
    /// OffsetFetch.
    OffsetFetch(OffsetFetchResponse),
    /// FindCoordinator.
    FindCoordinator(FindCoordinatorResponse),
    /// JoinGroup.
    JoinGroup(JoinGroupResponse),
    /// Heartbeat.
    Heartbeat(HeartbeatResponse),
    /// LeaveGroup.
    LeaveGroup(LeaveGroupResponse),
    /// SyncGroup.
    SyncGroup(SyncGroupResponse),
    /// DescribeGroups.
    DescribeGroups(DescribeGroupsResponse),
    /// ListGroups.
    ListGroups(ListGroupsResponse),
    /// SaslHandshake.
    SaslHandshake(SaslHandshakeResponse),
    /// ApiVersions.
    ApiVersions(ApiVersionsResponse),
    /// CreateTopics.
    CreateTopics(CreateTopicsResponse),
    /// DeleteTopics.
    DeleteTopics(DeleteTopicsResponse),
    /// DeleteRecords.
    DeleteRecords(DeleteRecordsResponse),
    /// InitProducerId.
    InitProducerId(InitProducerIdResponse),
    /// DescribeConfigs.
    DescribeConfigs(DescribeConfigsResponse),
    /// AlterConfigs.
    AlterConfigs(AlterConfigsResponse),
    /// SaslAuthenticate.
    SaslAuthenticate(SaslAuthenticateResponse),
    /// DeleteGroups.
    DeleteGroups(DeleteGroupsResponse),
    /// IncrementalAlterConfigs.
    IncrementalAlterConfigs(IncrementalAlterConfigsResponse),
    /// DescribeCluster.
    DescribeCluster(DescribeClusterResponse),
    /// DescribeTopicPartitions.
    DescribeTopicPartitions(DescribeTopicPartitionsResponse),
}

impl AnyResponse {
    /// Reads a response body.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not such a response.
    pub fn decode(
        key: ApiKey,
        version: i16,
        body: Bytes,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        match key {
            ApiKey::Produce => ProduceResponse::decode(body, version, limits).map(Self::Produce),
            ApiKey::Fetch => FetchResponse::decode(body, version, limits).map(Self::Fetch),
            ApiKey::ListOffsets => {
                ListOffsetsResponse::decode(body, version, limits).map(Self::ListOffsets)
            }
            ApiKey::Metadata => MetadataResponse::decode(body, version, limits).map(Self::Metadata),
            ApiKey::OffsetCommit => {
                OffsetCommitResponse::decode(body, version, limits).map(Self::OffsetCommit)
            }
            ApiKey::OffsetFetch => {
                OffsetFetchResponse::decode(body, version, limits).map(Self::OffsetFetch)
            }
            ApiKey::FindCoordinator => {
                FindCoordinatorResponse::decode(body, version, limits).map(Self::FindCoordinator)
            }
            ApiKey::JoinGroup => {
                JoinGroupResponse::decode(body, version, limits).map(Self::JoinGroup)
            }
            ApiKey::Heartbeat => {
                HeartbeatResponse::decode(body, version, limits).map(Self::Heartbeat)
            }
            ApiKey::LeaveGroup => {
                LeaveGroupResponse::decode(body, version, limits).map(Self::LeaveGroup)
            }
            ApiKey::SyncGroup => {
                SyncGroupResponse::decode(body, version, limits).map(Self::SyncGroup)
            }
            ApiKey::DescribeGroups => {
                DescribeGroupsResponse::decode(body, version, limits).map(Self::DescribeGroups)
            }
            ApiKey::ListGroups => {
                ListGroupsResponse::decode(body, version, limits).map(Self::ListGroups)
            }
            ApiKey::SaslHandshake => {
                SaslHandshakeResponse::decode(body, version, limits).map(Self::SaslHandshake)
            }
            ApiKey::ApiVersions => {
                ApiVersionsResponse::decode(body, version, limits).map(Self::ApiVersions)
            }
            ApiKey::CreateTopics => {
                CreateTopicsResponse::decode(body, version, limits).map(Self::CreateTopics)
            }
            ApiKey::DeleteTopics => {
                DeleteTopicsResponse::decode(body, version, limits).map(Self::DeleteTopics)
            }
            ApiKey::DeleteRecords => {
                DeleteRecordsResponse::decode(body, version, limits).map(Self::DeleteRecords)
            }
            ApiKey::InitProducerId => {
                InitProducerIdResponse::decode(body, version, limits).map(Self::InitProducerId)
            }
            ApiKey::DescribeConfigs => {
                DescribeConfigsResponse::decode(body, version, limits).map(Self::DescribeConfigs)
            }
            ApiKey::AlterConfigs => {
                AlterConfigsResponse::decode(body, version, limits).map(Self::AlterConfigs)
            }
            ApiKey::SaslAuthenticate => {
                SaslAuthenticateResponse::decode(body, version, limits).map(Self::SaslAuthenticate)
            }
            ApiKey::DeleteGroups => {
                DeleteGroupsResponse::decode(body, version, limits).map(Self::DeleteGroups)
            }
            ApiKey::IncrementalAlterConfigs => {
                IncrementalAlterConfigsResponse::decode(body, version, limits)
                    .map(Self::IncrementalAlterConfigs)
            }
            ApiKey::DescribeCluster => {
                DescribeClusterResponse::decode(body, version, limits).map(Self::DescribeCluster)
            }
            ApiKey::DescribeTopicPartitions => {
                DescribeTopicPartitionsResponse::decode(body, version, limits)
                    .map(Self::DescribeTopicPartitions)
            }
        }
    }

    /// Reads from where a reader stands, which was made for that version.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn read(key: ApiKey, reader: &mut Reader) -> Result<Self, DecodeError> {
        match key {
            ApiKey::Produce => reader.read().map(Self::Produce),
            ApiKey::Fetch => reader.read().map(Self::Fetch),
            ApiKey::ListOffsets => reader.read().map(Self::ListOffsets),
            ApiKey::Metadata => reader.read().map(Self::Metadata),
            ApiKey::OffsetCommit => reader.read().map(Self::OffsetCommit),
            ApiKey::OffsetFetch => reader.read().map(Self::OffsetFetch),
            ApiKey::FindCoordinator => reader.read().map(Self::FindCoordinator),
            ApiKey::JoinGroup => reader.read().map(Self::JoinGroup),
            ApiKey::Heartbeat => reader.read().map(Self::Heartbeat),
            ApiKey::LeaveGroup => reader.read().map(Self::LeaveGroup),
            ApiKey::SyncGroup => reader.read().map(Self::SyncGroup),
            ApiKey::DescribeGroups => reader.read().map(Self::DescribeGroups),
            ApiKey::ListGroups => reader.read().map(Self::ListGroups),
            ApiKey::SaslHandshake => reader.read().map(Self::SaslHandshake),
            ApiKey::ApiVersions => reader.read().map(Self::ApiVersions),
            ApiKey::CreateTopics => reader.read().map(Self::CreateTopics),
            ApiKey::DeleteTopics => reader.read().map(Self::DeleteTopics),
            ApiKey::DeleteRecords => reader.read().map(Self::DeleteRecords),
            ApiKey::InitProducerId => reader.read().map(Self::InitProducerId),
            ApiKey::DescribeConfigs => reader.read().map(Self::DescribeConfigs),
            ApiKey::AlterConfigs => reader.read().map(Self::AlterConfigs),
            ApiKey::SaslAuthenticate => reader.read().map(Self::SaslAuthenticate),
            ApiKey::DeleteGroups => reader.read().map(Self::DeleteGroups),
            ApiKey::IncrementalAlterConfigs => reader.read().map(Self::IncrementalAlterConfigs),
            ApiKey::DescribeCluster => reader.read().map(Self::DescribeCluster),
            ApiKey::DescribeTopicPartitions => reader.read().map(Self::DescribeTopicPartitions),
        }
    }

    /// Writes the body at the end of `writer`, which was made for that version.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Produce(body) => writer.put(body),
            Self::Fetch(body) => writer.put(body),
            Self::ListOffsets(body) => writer.put(body),
            Self::Metadata(body) => writer.put(body),
            Self::OffsetCommit(body) => writer.put(body),
            Self::OffsetFetch(body) => writer.put(body),
            Self::FindCoordinator(body) => writer.put(body),
            Self::JoinGroup(body) => writer.put(body),
            Self::Heartbeat(body) => writer.put(body),
            Self::LeaveGroup(body) => writer.put(body),
            Self::SyncGroup(body) => writer.put(body),
            Self::DescribeGroups(body) => writer.put(body),
            Self::ListGroups(body) => writer.put(body),
            Self::SaslHandshake(body) => writer.put(body),
            Self::ApiVersions(body) => writer.put(body),
            Self::CreateTopics(body) => writer.put(body),
            Self::DeleteTopics(body) => writer.put(body),
            Self::DeleteRecords(body) => writer.put(body),
            Self::InitProducerId(body) => writer.put(body),
            Self::DescribeConfigs(body) => writer.put(body),
            Self::AlterConfigs(body) => writer.put(body),
            Self::SaslAuthenticate(body) => writer.put(body),
            Self::DeleteGroups(body) => writer.put(body),
            Self::IncrementalAlterConfigs(body) => writer.put(body),
            Self::DescribeCluster(body) => writer.put(body),
            Self::DescribeTopicPartitions(body) => writer.put(body),
        }
    }

    /// The API of this response.
    pub const fn key(&self) -> ApiKey {
        match self {
            Self::Produce(_) => ApiKey::Produce,
            Self::Fetch(_) => ApiKey::Fetch,
            Self::ListOffsets(_) => ApiKey::ListOffsets,
            Self::Metadata(_) => ApiKey::Metadata,
            Self::OffsetCommit(_) => ApiKey::OffsetCommit,
            Self::OffsetFetch(_) => ApiKey::OffsetFetch,
            Self::FindCoordinator(_) => ApiKey::FindCoordinator,
            Self::JoinGroup(_) => ApiKey::JoinGroup,
            Self::Heartbeat(_) => ApiKey::Heartbeat,
            Self::LeaveGroup(_) => ApiKey::LeaveGroup,
            Self::SyncGroup(_) => ApiKey::SyncGroup,
            Self::DescribeGroups(_) => ApiKey::DescribeGroups,
            Self::ListGroups(_) => ApiKey::ListGroups,
            Self::SaslHandshake(_) => ApiKey::SaslHandshake,
            Self::ApiVersions(_) => ApiKey::ApiVersions,
            Self::CreateTopics(_) => ApiKey::CreateTopics,
            Self::DeleteTopics(_) => ApiKey::DeleteTopics,
            Self::DeleteRecords(_) => ApiKey::DeleteRecords,
            Self::InitProducerId(_) => ApiKey::InitProducerId,
            Self::DescribeConfigs(_) => ApiKey::DescribeConfigs,
            Self::AlterConfigs(_) => ApiKey::AlterConfigs,
            Self::SaslAuthenticate(_) => ApiKey::SaslAuthenticate,
            Self::DeleteGroups(_) => ApiKey::DeleteGroups,
            Self::IncrementalAlterConfigs(_) => ApiKey::IncrementalAlterConfigs,
            Self::DescribeCluster(_) => ApiKey::DescribeCluster,
            Self::DescribeTopicPartitions(_) => ApiKey::DescribeTopicPartitions,
        }
    }

    /// A random response that `sampler`'s version can hold.
    #[cfg(any(test, feature = "sample"))]
    pub fn sample(key: ApiKey, sampler: &mut Sampler) -> Self {
        match key {
            ApiKey::Produce => Self::Produce(ProduceResponse::sample(sampler)),
            ApiKey::Fetch => Self::Fetch(FetchResponse::sample(sampler)),
            ApiKey::ListOffsets => Self::ListOffsets(ListOffsetsResponse::sample(sampler)),
            ApiKey::Metadata => Self::Metadata(MetadataResponse::sample(sampler)),
            ApiKey::OffsetCommit => Self::OffsetCommit(OffsetCommitResponse::sample(sampler)),
            ApiKey::OffsetFetch => Self::OffsetFetch(OffsetFetchResponse::sample(sampler)),
            ApiKey::FindCoordinator => {
                Self::FindCoordinator(FindCoordinatorResponse::sample(sampler))
            }
            ApiKey::JoinGroup => Self::JoinGroup(JoinGroupResponse::sample(sampler)),
            ApiKey::Heartbeat => Self::Heartbeat(HeartbeatResponse::sample(sampler)),
            ApiKey::LeaveGroup => Self::LeaveGroup(LeaveGroupResponse::sample(sampler)),
            ApiKey::SyncGroup => Self::SyncGroup(SyncGroupResponse::sample(sampler)),
            ApiKey::DescribeGroups => Self::DescribeGroups(DescribeGroupsResponse::sample(sampler)),
            ApiKey::ListGroups => Self::ListGroups(ListGroupsResponse::sample(sampler)),
            ApiKey::SaslHandshake => Self::SaslHandshake(SaslHandshakeResponse::sample(sampler)),
            ApiKey::ApiVersions => Self::ApiVersions(ApiVersionsResponse::sample(sampler)),
            ApiKey::CreateTopics => Self::CreateTopics(CreateTopicsResponse::sample(sampler)),
            ApiKey::DeleteTopics => Self::DeleteTopics(DeleteTopicsResponse::sample(sampler)),
            ApiKey::DeleteRecords => Self::DeleteRecords(DeleteRecordsResponse::sample(sampler)),
            ApiKey::InitProducerId => Self::InitProducerId(InitProducerIdResponse::sample(sampler)),
            ApiKey::DescribeConfigs => {
                Self::DescribeConfigs(DescribeConfigsResponse::sample(sampler))
            }
            ApiKey::AlterConfigs => Self::AlterConfigs(AlterConfigsResponse::sample(sampler)),
            ApiKey::SaslAuthenticate => {
                Self::SaslAuthenticate(SaslAuthenticateResponse::sample(sampler))
            }
            ApiKey::DeleteGroups => Self::DeleteGroups(DeleteGroupsResponse::sample(sampler)),
            ApiKey::IncrementalAlterConfigs => {
                Self::IncrementalAlterConfigs(IncrementalAlterConfigsResponse::sample(sampler))
            }
            ApiKey::DescribeCluster => {
                Self::DescribeCluster(DescribeClusterResponse::sample(sampler))
            }
            ApiKey::DescribeTopicPartitions => {
                Self::DescribeTopicPartitions(DescribeTopicPartitionsResponse::sample(sampler))
            }
        }
    }
}

impl From<ProduceResponse> for AnyResponse {
    fn from(body: ProduceResponse) -> Self {
        Self::Produce(body)
    }
}

impl From<FetchResponse> for AnyResponse {
    fn from(body: FetchResponse) -> Self {
        Self::Fetch(body)
    }
}

impl From<ListOffsetsResponse> for AnyResponse {
    fn from(body: ListOffsetsResponse) -> Self {
        Self::ListOffsets(body)
    }
}

impl From<MetadataResponse> for AnyResponse {
    fn from(body: MetadataResponse) -> Self {
        Self::Metadata(body)
    }
}

impl From<OffsetCommitResponse> for AnyResponse {
    fn from(body: OffsetCommitResponse) -> Self {
        Self::OffsetCommit(body)
    }
}

impl From<OffsetFetchResponse> for AnyResponse {
    fn from(body: OffsetFetchResponse) -> Self {
        Self::OffsetFetch(body)
    }
}

impl From<FindCoordinatorResponse> for AnyResponse {
    fn from(body: FindCoordinatorResponse) -> Self {
        Self::FindCoordinator(body)
    }
}

impl From<JoinGroupResponse> for AnyResponse {
    fn from(body: JoinGroupResponse) -> Self {
        Self::JoinGroup(body)
    }
}

impl From<HeartbeatResponse> for AnyResponse {
    fn from(body: HeartbeatResponse) -> Self {
        Self::Heartbeat(body)
    }
}

impl From<LeaveGroupResponse> for AnyResponse {
    fn from(body: LeaveGroupResponse) -> Self {
        Self::LeaveGroup(body)
    }
}

impl From<SyncGroupResponse> for AnyResponse {
    fn from(body: SyncGroupResponse) -> Self {
        Self::SyncGroup(body)
    }
}

impl From<DescribeGroupsResponse> for AnyResponse {
    fn from(body: DescribeGroupsResponse) -> Self {
        Self::DescribeGroups(body)
    }
}

impl From<ListGroupsResponse> for AnyResponse {
    fn from(body: ListGroupsResponse) -> Self {
        Self::ListGroups(body)
    }
}

impl From<SaslHandshakeResponse> for AnyResponse {
    fn from(body: SaslHandshakeResponse) -> Self {
        Self::SaslHandshake(body)
    }
}

impl From<ApiVersionsResponse> for AnyResponse {
    fn from(body: ApiVersionsResponse) -> Self {
        Self::ApiVersions(body)
    }
}

impl From<CreateTopicsResponse> for AnyResponse {
    fn from(body: CreateTopicsResponse) -> Self {
        Self::CreateTopics(body)
    }
}

impl From<DeleteTopicsResponse> for AnyResponse {
    fn from(body: DeleteTopicsResponse) -> Self {
        Self::DeleteTopics(body)
    }
}

impl From<DeleteRecordsResponse> for AnyResponse {
    fn from(body: DeleteRecordsResponse) -> Self {
        Self::DeleteRecords(body)
    }
}

impl From<InitProducerIdResponse> for AnyResponse {
    fn from(body: InitProducerIdResponse) -> Self {
        Self::InitProducerId(body)
    }
}

impl From<DescribeConfigsResponse> for AnyResponse {
    fn from(body: DescribeConfigsResponse) -> Self {
        Self::DescribeConfigs(body)
    }
}

impl From<AlterConfigsResponse> for AnyResponse {
    fn from(body: AlterConfigsResponse) -> Self {
        Self::AlterConfigs(body)
    }
}

impl From<SaslAuthenticateResponse> for AnyResponse {
    fn from(body: SaslAuthenticateResponse) -> Self {
        Self::SaslAuthenticate(body)
    }
}

impl From<DeleteGroupsResponse> for AnyResponse {
    fn from(body: DeleteGroupsResponse) -> Self {
        Self::DeleteGroups(body)
    }
}

impl From<IncrementalAlterConfigsResponse> for AnyResponse {
    fn from(body: IncrementalAlterConfigsResponse) -> Self {
        Self::IncrementalAlterConfigs(body)
    }
}

impl From<DescribeClusterResponse> for AnyResponse {
    fn from(body: DescribeClusterResponse) -> Self {
        Self::DescribeCluster(body)
    }
}

impl From<DescribeTopicPartitionsResponse> for AnyResponse {
    fn from(body: DescribeTopicPartitionsResponse) -> Self {
        Self::DescribeTopicPartitions(body)
    }
}
