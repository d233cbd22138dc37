//! From an API and a body to the code that answers it.

use bytes::Bytes;
use kafka_codec::{AnyRequest, ApiKey, DecodeError, Limits};

use crate::call::{Begun, Desk};
use crate::{
    alter_configs, cluster, configs, coordinator, delete_records, describe_topics, fetch, forward,
    list_offsets, metadata, produce, sasl, topics, versions,
};

/// Most things that one request may name where the answer to each is much longer than its name.
const NAMED_MAX: usize = 10_000;

/// Reads a request and begins its work.
///
/// # Errors
/// [`DecodeError`] when the body is damaged or names too much: the connection ends.
pub(crate) fn begin(
    api: ApiKey,
    body: Bytes,
    limits: &Limits,
    desk: &mut Desk<'_>,
) -> Result<Begun, DecodeError> {
    let version = desk.version();
    let request = AnyRequest::decode(api, version, body.clone(), limits)?;
    if named(&request) > NAMED_MAX {
        return Err(DecodeError::TooManyElements);
    }
    Ok(match request {
        AnyRequest::Produce(request) => produce::begin(&request, desk),
        AnyRequest::Fetch(request) => fetch::begin(request, desk),
        AnyRequest::ListOffsets(request) => list_offsets::begin(request, desk),
        AnyRequest::Metadata(request) => metadata::begin(request, desk),
        AnyRequest::FindCoordinator(request) => coordinator::find(request, desk),
        AnyRequest::ApiVersions(_) => Begun::answer(versions::answer()),
        AnyRequest::CreateTopics(request) => topics::create(request, desk),
        AnyRequest::DeleteTopics(request) => topics::delete(request, desk),
        AnyRequest::InitProducerId(request) => coordinator::init_producer(&request, desk),
        AnyRequest::DescribeConfigs(request) => configs::describe(request, desk),
        AnyRequest::AlterConfigs(request) => alter_configs::whole(request, desk),
        AnyRequest::IncrementalAlterConfigs(request) => alter_configs::incremental(request, desk),
        AnyRequest::DeleteRecords(request) => delete_records::begin(request, desk),
        AnyRequest::DescribeCluster(request) => cluster::describe(&request, desk),
        AnyRequest::DescribeTopicPartitions(request) => describe_topics::begin(request, desk),
        AnyRequest::SaslHandshake(request) => sasl::handshake(&request, desk),
        AnyRequest::SaslAuthenticate(request) => sasl::authenticate(&request, desk),
        group_request @ (AnyRequest::OffsetCommit(_)
        | AnyRequest::OffsetFetch(_)
        | AnyRequest::JoinGroup(_)
        | AnyRequest::Heartbeat(_)
        | AnyRequest::LeaveGroup(_)
        | AnyRequest::SyncGroup(_)
        | AnyRequest::DescribeGroups(_)
        | AnyRequest::ListGroups(_)
        | AnyRequest::DeleteGroups(_)) => forward::begin(group_request, &body, desk),
    })
}

/// How many things a request names of which a few bytes lead to a long answer.
fn named(request: &AnyRequest) -> usize {
    match request {
        AnyRequest::FindCoordinator(request) => request.coordinator_keys.len(),
        AnyRequest::CreateTopics(request) => request.topics.len(),
        AnyRequest::DeleteTopics(request) => request.topics.len() + request.topic_names.len(),
        AnyRequest::DescribeConfigs(request) => request.resources.len(),
        AnyRequest::AlterConfigs(request) => request.resources.len(),
        AnyRequest::IncrementalAlterConfigs(request) => request.resources.len(),
        AnyRequest::OffsetFetch(request) => request.groups.len(),
        AnyRequest::DescribeGroups(request) => request.groups.len(),
        AnyRequest::DeleteGroups(request) => request.groups_names.len(),
        AnyRequest::Produce(_)
        | AnyRequest::Fetch(_)
        | AnyRequest::ListOffsets(_)
        | AnyRequest::DeleteRecords(_)
        | AnyRequest::Metadata(_)
        | AnyRequest::OffsetCommit(_)
        | AnyRequest::JoinGroup(_)
        | AnyRequest::Heartbeat(_)
        | AnyRequest::LeaveGroup(_)
        | AnyRequest::SyncGroup(_)
        | AnyRequest::ListGroups(_)
        | AnyRequest::ApiVersions(_)
        | AnyRequest::InitProducerId(_)
        | AnyRequest::DescribeCluster(_)
        | AnyRequest::DescribeTopicPartitions(_)
        | AnyRequest::SaslHandshake(_)
        | AnyRequest::SaslAuthenticate(_) => 0,
    }
}
