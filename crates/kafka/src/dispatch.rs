//! From an API and a body to the code that answers it.

use bytes::Bytes;
use kafka_codec::{AnyRequest, ApiKey, DecodeError, Limits};

use crate::call::{Begun, Desk};
use crate::{
    cluster, configs, coordinator, describe_topics, fetch, forward, list_offsets, metadata,
    produce, topics, versions,
};

/// Reads a request and begins its work.
///
/// # Errors
/// [`DecodeError`] when the body is damaged: the connection ends.
pub(crate) fn begin(
    api: ApiKey,
    body: Bytes,
    limits: &Limits,
    desk: &mut Desk<'_>,
) -> Result<Begun, DecodeError> {
    let version = desk.version();
    let request = AnyRequest::decode(api, version, body.clone(), limits)?;
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
        AnyRequest::DescribeCluster(request) => cluster::describe(&request, desk),
        AnyRequest::DescribeTopicPartitions(request) => describe_topics::begin(request, desk),
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
