//! Commands as the session sends them, and what is said to a broken one.
//!
//! ```text
//! [api key: i16][version: i16][client host: string][client id: nullable string][request body]
//! ```
//!
//! Strings have a length of 16 bits. The session has decoded the body before, so a broken one is
//! nobody's request; it is answered all the same where the version says how.

use bytes::Bytes;
use kafka_codec::messages::{
    DeleteGroupsResponse, DescribeGroupsResponse, HeartbeatResponse, JoinGroupResponse,
    LeaveGroupResponse, ListGroupsResponse, OffsetCommitResponse, OffsetFetchResponse,
    SyncGroupResponse,
};
use kafka_codec::wire::Reader;
use kafka_codec::{AnyRequest, ApiKey, DecodeError, ErrorCode, Limits, Message, Text};

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) host: Text,
    pub(super) id: Text,
}

/// A command, taken apart.
#[derive(Debug)]
pub(super) enum Command {
    Whole { version: i16, client: Client, request: Box<AnyRequest> },
    Broken { api: ApiKey, version: i16 },
    Unknown,
}

impl Command {
    pub(super) fn parse(command: Bytes) -> Self {
        let mut reader = Reader::new(command, 0, false, &Limits::default());
        let (Ok(number), Ok(version)) = (reader.read::<i16>(), reader.read::<i16>()) else {
            return Self::Unknown;
        };
        let Some(api) = ApiKey::from_number(number).filter(|api| api.speaks(version)) else {
            return Self::Unknown;
        };
        match Self::rest(api, version, reader) {
            Ok((client, request)) => Self::Whole { version, client, request: Box::new(request) },
            Err(_) => Self::Broken { api, version },
        }
    }

    fn rest(
        api: ApiKey,
        version: i16,
        mut reader: Reader,
    ) -> Result<(Client, AnyRequest), DecodeError> {
        let host = reader.read()?;
        let id = reader.read_nullable::<Text>()?.unwrap_or_default();
        let request = AnyRequest::decode(api, version, reader.into_rest(), &Limits::default())?;
        Ok((Client { host, id }, request))
    }
}

/// The answer to a request that cannot be read; none if it is about no group.
pub(super) fn broken(api: ApiKey, version: i16) -> Option<Bytes> {
    let error_code = ErrorCode::InvalidRequest.number();
    Some(match api {
        ApiKey::JoinGroup => JoinGroupResponse { error_code, ..Default::default() }.encode(version),
        ApiKey::SyncGroup => SyncGroupResponse { error_code, ..Default::default() }.encode(version),
        ApiKey::Heartbeat => HeartbeatResponse { error_code, ..Default::default() }.encode(version),
        ApiKey::LeaveGroup => {
            LeaveGroupResponse { error_code, ..Default::default() }.encode(version)
        }
        ApiKey::OffsetFetch => {
            OffsetFetchResponse { error_code, ..Default::default() }.encode(version)
        }
        ApiKey::ListGroups => {
            ListGroupsResponse { error_code, ..Default::default() }.encode(version)
        }
        // Their errors stand beside names, and there is none.
        ApiKey::OffsetCommit => OffsetCommitResponse::default().encode(version),
        ApiKey::DescribeGroups => DescribeGroupsResponse::default().encode(version),
        ApiKey::DeleteGroups => DeleteGroupsResponse::default().encode(version),
        ApiKey::Produce
        | ApiKey::Fetch
        | ApiKey::ListOffsets
        | ApiKey::Metadata
        | ApiKey::FindCoordinator
        | ApiKey::ApiVersions
        | ApiKey::CreateTopics
        | ApiKey::DeleteTopics
        | ApiKey::InitProducerId
        | ApiKey::DescribeConfigs
        | ApiKey::AlterConfigs
        | ApiKey::IncrementalAlterConfigs
        | ApiKey::DeleteRecords
        | ApiKey::DescribeCluster
        | ApiKey::DescribeTopicPartitions
        | ApiKey::SaslHandshake
        | ApiKey::SaslAuthenticate => return None,
    })
}
