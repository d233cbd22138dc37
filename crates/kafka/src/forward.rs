//! Group requests on their way to the module that coordinates groups, and back.
//!
//! A command is `[api key: i16][version: i16][client host: string][client id: nullable string]`
//! `[request body]`, strings with a length of 16 bits, the body as on the wire. The answer is a
//! response body in that version. A request about several groups becomes a command for each:
//! groups may live apart from each other.

use bytes::Bytes;
use kafka_codec::messages::delete_groups_response::DeletableGroupResult;
use kafka_codec::messages::describe_groups_response::DescribedGroup;
use kafka_codec::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_codec::messages::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_codec::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse, ListGroupsResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
    SyncGroupResponse,
};
use kafka_codec::wire::Writer;
use kafka_codec::{AnyRequest, AnyResponse, ApiKey, ErrorCode, Limits, Message, Text};
use protocol::{Intent, Propose, Reply, Request};

use crate::call::{Begun, Call, Desk, Step};
use crate::{GROUP_MODULE, offsets_by_id};

/// What a client is told when the module does not answer: it looks for the coordinator again.
pub(crate) const UNAVAILABLE: ErrorCode = ErrorCode::CoordinatorNotAvailable;

/// The first OffsetFetch about several groups.
const FIRST_FETCH_OF_GROUPS: i16 = 8;
/// The first OffsetCommit and OffsetFetch that name topics by id.
const FIRST_BY_ID: i16 = 10;

pub(crate) fn begin(request: AnyRequest, body: &Bytes, desk: &mut Desk<'_>) -> Begun {
    let error_code = UNAVAILABLE.number();
    let api = request.key();
    let (group, unanswered): (Text, AnyResponse) = match request {
        AnyRequest::JoinGroup(request) => {
            let member_id = request.member_id;
            let generation_id = -1;
            let response =
                JoinGroupResponse { error_code, member_id, generation_id, ..Default::default() };
            (request.group_id, response.into())
        }
        AnyRequest::SyncGroup(request) => {
            let response = SyncGroupResponse { error_code, ..Default::default() };
            (request.group_id, response.into())
        }
        AnyRequest::Heartbeat(request) => {
            let response = HeartbeatResponse { error_code, ..Default::default() };
            (request.group_id, response.into())
        }
        AnyRequest::LeaveGroup(request) => {
            let response = LeaveGroupResponse { error_code, ..Default::default() };
            (request.group_id, response.into())
        }
        AnyRequest::ListGroups(_) => {
            let response = ListGroupsResponse { error_code, ..Default::default() };
            (Text::default(), response.into())
        }
        AnyRequest::OffsetCommit(request) if desk.version() >= FIRST_BY_ID => {
            return offsets_by_id::commit(request, desk);
        }
        AnyRequest::OffsetCommit(request) => uncommitted(request),
        AnyRequest::OffsetFetch(request) if desk.version() >= FIRST_BY_ID => {
            return offsets_by_id::fetch(request, desk);
        }
        AnyRequest::OffsetFetch(request) if desk.version() >= FIRST_FETCH_OF_GROUPS => {
            return fetch_of_each(request, desk);
        }
        AnyRequest::OffsetFetch(request) => {
            let response = OffsetFetchResponse { error_code, ..Default::default() };
            (request.group_id, response.into())
        }
        AnyRequest::DescribeGroups(request) => return describe_each(request, desk),
        AnyRequest::DeleteGroups(request) => return delete_each(request, desk),
        AnyRequest::Produce(_)
        | AnyRequest::Fetch(_)
        | AnyRequest::ListOffsets(_)
        | AnyRequest::Metadata(_)
        | AnyRequest::FindCoordinator(_)
        | AnyRequest::ApiVersions(_)
        | AnyRequest::CreateTopics(_)
        | AnyRequest::DeleteTopics(_)
        | AnyRequest::InitProducerId(_)
        | AnyRequest::DescribeConfigs(_)
        | AnyRequest::AlterConfigs(_)
        | AnyRequest::IncrementalAlterConfigs(_)
        | AnyRequest::DeleteRecords(_)
        | AnyRequest::DescribeCluster(_)
        | AnyRequest::DescribeTopicPartitions(_)
        | AnyRequest::SaslHandshake(_)
        | AnyRequest::SaslAuthenticate(_) => {
            debug_assert!(false, "{api:?} is about no group");
            return Begun::Ended(Step::Silent);
        }
    };
    propose(0, &group, api, desk.version(), body, desk);
    Begun::waiting(One { unanswered: Box::new(unanswered) })
}

/// Hands a request body of some version to the module.
pub(crate) fn propose(
    index: u32,
    group: &Text,
    api: ApiKey,
    version: i16,
    body: &Bytes,
    desk: &mut Desk<'_>,
) {
    let host = Text::from(format!("/{}", desk.peer.remote.ip().to_canonical()));
    let mut command = Writer::new(version, false);
    command.put(&api.number());
    command.put(&version);
    command.put(&host);
    command.put_nullable(desk.header.client_id.as_ref());
    command.put_slice(body);
    let propose = Propose {
        module: GROUP_MODULE,
        key: group.bytes().clone(),
        intent: intent(api),
        command: command.into_bytes(),
    };
    desk.ask(index, Request::Propose(propose));
}

/// What a request does to its group (Kafka's READ, DESCRIBE and DELETE of a group).
fn intent(api: ApiKey) -> Intent {
    if matches!(api, ApiKey::DescribeGroups | ApiKey::ListGroups | ApiKey::OffsetFetch) {
        Intent::Look
    } else if api == ApiKey::DeleteGroups {
        Intent::Remove
    } else {
        Intent::Use
    }
}

/// A request about one group: the module's answer is the response.
#[derive(Debug)]
struct One {
    unanswered: Box<AnyResponse>,
}

impl Call for One {
    fn reply(&mut self, _index: u32, reply: Reply, _desk: &mut Desk<'_>) -> Step {
        if let Reply::Proposed(body) = reply {
            Step::Body(body)
        } else {
            Step::answer((*self.unanswered).clone())
        }
    }
}

fn uncommitted(request: OffsetCommitRequest) -> (Text, AnyResponse) {
    let topics = request
        .topics
        .into_iter()
        .map(|topic| OffsetCommitResponseTopic {
            name: topic.name,
            topic_id: topic.topic_id,
            partitions: topic
                .partitions
                .into_iter()
                .map(|partition| OffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: UNAVAILABLE.into(),
                })
                .collect(),
        })
        .collect();
    (request.group_id, OffsetCommitResponse { topics, ..Default::default() }.into())
}

/// A request about several groups: one command each, one answer in the end.
#[derive(Debug)]
struct Each {
    /// The response so far of each group.
    parts: Vec<AnyResponse>,
    left: usize,
}

impl Each {
    fn begin(groups: Vec<(Text, AnyRequest, AnyResponse)>, desk: &mut Desk<'_>) -> Begun {
        let version = desk.version();
        let mut parts = Vec::with_capacity(groups.len());
        for (at, (group, request, unanswered)) in groups.into_iter().enumerate() {
            let mut body = Writer::new(version, request.key().is_flexible(version));
            request.write(&mut body);
            let index = u32::try_from(at).unwrap_or(u32::MAX);
            propose(index, &group, request.key(), version, &body.into_bytes(), desk);
            parts.push(unanswered);
        }
        Begun::waiting(Self { left: parts.len(), parts })
    }
}

impl Call for Each {
    fn reply(&mut self, index: u32, reply: Reply, desk: &mut Desk<'_>) -> Step {
        let Some(part) = self.parts.get_mut(index as usize) else { return Step::Wait };
        if let Reply::Proposed(body) = reply {
            let decoded = AnyResponse::decode(part.key(), desk.version(), body, &Limits::default());
            debug_assert!(decoded.is_ok(), "the module answers in the version of the command");
            if let Ok(decoded) = decoded {
                *part = decoded;
            }
        }
        self.left -= 1;
        if self.left > 0 {
            return Step::Wait;
        }
        let mut parts = std::mem::take(&mut self.parts).into_iter();
        let Some(mut whole) = parts.next() else { return Step::Silent };
        for part in parts {
            add(&mut whole, part);
        }
        Step::Answer(Box::new(whole))
    }
}

fn add(whole: &mut AnyResponse, part: AnyResponse) {
    if let AnyResponse::DescribeGroups(whole) = whole {
        if let AnyResponse::DescribeGroups(mut part) = part {
            whole.groups.append(&mut part.groups);
        }
    } else if let AnyResponse::DeleteGroups(whole) = whole {
        if let AnyResponse::DeleteGroups(mut part) = part {
            whole.results.append(&mut part.results);
        }
    } else if let AnyResponse::OffsetFetch(whole) = whole
        && let AnyResponse::OffsetFetch(mut part) = part
    {
        whole.groups.append(&mut part.groups);
    }
}

fn describe_each(request: DescribeGroupsRequest, desk: &mut Desk<'_>) -> Begun {
    if request.groups.is_empty() {
        return Begun::answer(DescribeGroupsResponse::default());
    }
    let include_authorized_operations = request.include_authorized_operations;
    let groups = request.groups.into_iter().map(|group_id| {
        let one =
            DescribeGroupsRequest { groups: vec![group_id.clone()], include_authorized_operations };
        let group = DescribedGroup {
            error_code: UNAVAILABLE.into(),
            group_id: group_id.clone(),
            ..Default::default()
        };
        let response = DescribeGroupsResponse { groups: vec![group], ..Default::default() };
        (group_id, one.into(), response.into())
    });
    Each::begin(groups.collect(), desk)
}

fn delete_each(request: DeleteGroupsRequest, desk: &mut Desk<'_>) -> Begun {
    if request.groups_names.is_empty() {
        return Begun::answer(DeleteGroupsResponse::default());
    }
    let groups = request.groups_names.into_iter().map(|group_id| {
        let one = DeleteGroupsRequest { groups_names: vec![group_id.clone()] };
        let result =
            DeletableGroupResult { group_id: group_id.clone(), error_code: UNAVAILABLE.into() };
        let response = DeleteGroupsResponse { results: vec![result], ..Default::default() };
        (group_id, one.into(), response.into())
    });
    Each::begin(groups.collect(), desk)
}

fn fetch_of_each(request: OffsetFetchRequest, desk: &mut Desk<'_>) -> Begun {
    if request.groups.is_empty() {
        return Begun::answer(OffsetFetchResponse::default());
    }
    let require_stable = request.require_stable;
    let groups = request.groups.into_iter().map(|group| {
        let group_id = group.group_id.clone();
        let one = OffsetFetchRequest { groups: vec![group], require_stable, ..Default::default() };
        let response =
            OffsetFetchResponse { groups: vec![unfetched(group_id.clone())], ..Default::default() };
        (group_id, one.into(), response.into())
    });
    Each::begin(groups.collect(), desk)
}

/// A group of which the module said nothing.
pub(crate) fn unfetched(group_id: Text) -> OffsetFetchResponseGroup {
    OffsetFetchResponseGroup { group_id, error_code: UNAVAILABLE.into(), ..Default::default() }
}

/// A body in another version than the client's.
pub(crate) fn body_of(request: &impl Message, version: i16) -> Bytes {
    request.encode(version)
}
