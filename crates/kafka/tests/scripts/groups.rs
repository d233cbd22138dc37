//! Group requests on their way to the module and back.

use bytes::Bytes;
use kafka_codec::messages::delete_groups_response::DeletableGroupResult;
use kafka_codec::messages::describe_groups_response::DescribedGroup;
use kafka_codec::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_codec::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_codec::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_codec::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_codec::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    FindCoordinatorRequest, HeartbeatRequest, HeartbeatResponse, ListGroupsRequest,
    ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse,
};
use kafka_codec::{AnyResponse, ErrorCode, Limits, Message, Text, Uuid};
use protocol::{Propose, Refusal, Reply, Request, StreamRef, StreamStatus, Token};

use crate::client::{Client, id, name, stream};

const UNAVAILABLE: i16 = ErrorCode::CoordinatorNotAvailable as i16;

fn proposed(client: &mut Client) -> (Token, Propose) {
    let (token, request) = client.ask();
    let Request::Propose(propose) = request else { panic!("{request:?}") };
    (token, propose)
}

/// The request in a command, which must say that version.
fn in_command<T: Message>(propose: &Propose, version: i16) -> T {
    // key, version, "/127.0.0.1", "test"
    let head = 2 + 2 + 2 + 10 + 2 + 4;
    assert_eq!(
        propose.command[..4],
        [&T::KEY.number().to_be_bytes()[..], &version.to_be_bytes()].concat()
    );
    T::decode(propose.command.slice(head..), version, &Limits::default()).unwrap()
}

#[test]
fn a_command_carries_version_client_and_the_body_as_it_came() {
    let mut client = Client::new();
    let request = HeartbeatRequest {
        group_id: "g".into(),
        generation_id: 3,
        member_id: "m".into(),
        ..Default::default()
    };
    client.send(request.clone(), 2).unwrap();
    let (token, propose) = proposed(&mut client);
    assert_eq!((propose.module, &propose.key[..]), ("kafka-groups", &b"g"[..]));
    let expected = b"\0\x0c\0\x02\0\x0a/127.0.0.1\0\x04test\0\x01g\0\0\0\x03\0\x01m";
    assert_eq!(&propose.command[..], expected);
    let answer = HeartbeatResponse { error_code: 27, ..Default::default() };
    client.reply(token, Reply::Proposed(answer.encode(2))).unwrap();
    let AnyResponse::Heartbeat(response) = client.response() else { panic!() };
    assert_eq!(response.error_code, 27);
}

#[test]
fn a_module_that_does_not_answer_makes_the_client_look_for_the_coordinator() {
    let refused = || Reply::Refused(Refusal::NotFound);
    let (_, response) = Client::new().exchange(HeartbeatRequest::default(), 4, refused());
    let AnyResponse::Heartbeat(response) = response else { panic!() };
    assert_eq!(response.error_code, UNAVAILABLE);
    let (_, response) = Client::new().exchange(commit(&["t"]), 8, refused());
    let AnyResponse::OffsetCommit(response) = response else { panic!() };
    assert_eq!(response.topics[0].partitions[0].error_code, UNAVAILABLE);
}

#[test]
fn groups_are_coordinated_by_the_node_that_is_asked() {
    let mut client = Client::new();
    let find = FindCoordinatorRequest { key: "g".into(), ..Default::default() };
    client.send(find, 2).unwrap();
    let AnyResponse::FindCoordinator(response) = client.response() else { panic!() };
    assert_eq!((response.error_code, response.node_id, response.port), (0, 1, 9092));
    let coordinator_keys = vec!["g".into(), "h".into()];
    client.send(FindCoordinatorRequest { coordinator_keys, ..Default::default() }, 4).unwrap();
    let AnyResponse::FindCoordinator(response) = client.response() else { panic!() };
    let keys: Vec<_> = response.coordinators.iter().map(|it| it.key.to_string()).collect();
    assert_eq!(keys, ["g", "h"]);
    assert!(response.coordinators.iter().all(|it| it.node_id == 1 && it.error_code == 0));
}

#[test]
fn all_groups_are_listed_by_one_command_without_a_key() {
    let mut client = Client::new();
    client.send(ListGroupsRequest::default(), 4).unwrap();
    let (token, propose) = proposed(&mut client);
    assert!(propose.key.is_empty());
    client.reply(token, Reply::Proposed(ListGroupsResponse::default().encode(4))).unwrap();
    assert!(matches!(client.response(), AnyResponse::ListGroups(_)));
}

#[test]
fn several_groups_are_several_commands_and_one_answer() {
    let mut client = Client::new();
    let groups: Vec<Text> = vec!["g".into(), "h".into()];
    client.send(DescribeGroupsRequest { groups: groups.clone(), ..Default::default() }, 5).unwrap();
    assert_eq!(client.asked.len(), 2);
    let tokens: Vec<_> = client.asked.drain(..).map(|(token, _)| token.unwrap()).collect();
    let group = DescribedGroup { group_id: "h".into(), ..Default::default() };
    let answer = DescribeGroupsResponse { groups: vec![group], ..Default::default() };
    client.reply(tokens[1], Reply::Proposed(answer.encode(5))).unwrap();
    client.reply(tokens[0], Reply::Refused(Refusal::NotFound)).unwrap();
    let AnyResponse::DescribeGroups(response) = client.response() else { panic!() };
    let codes: Vec<_> =
        response.groups.iter().map(|it| (it.group_id.to_string(), it.error_code)).collect();
    assert_eq!(codes, [("g".to_owned(), UNAVAILABLE), ("h".to_owned(), 0)]);

    client.send(DeleteGroupsRequest { groups_names: groups }, 2).unwrap();
    for (token, request) in std::mem::take(&mut client.asked) {
        let Request::Propose(propose) = request else { panic!() };
        let request: DeleteGroupsRequest = in_command(&propose, 2);
        let group_id = request.groups_names[0].clone();
        let result = DeletableGroupResult { group_id, error_code: 0 };
        let answer = DeleteGroupsResponse { results: vec![result], ..Default::default() };
        client.reply(token.unwrap(), Reply::Proposed(answer.encode(2))).unwrap();
    }
    let AnyResponse::DeleteGroups(response) = client.response() else { panic!() };
    assert_eq!(response.results.len(), 2);
}

fn commit(topics: &[&str]) -> OffsetCommitRequest {
    let topic = |name: &&str| OffsetCommitRequestTopic {
        name: (*name).into(),
        topic_id: Uuid(id(name)),
        partitions: vec![OffsetCommitRequestPartition {
            committed_offset: 5,
            ..Default::default()
        }],
    };
    OffsetCommitRequest {
        group_id: "g".into(),
        topics: topics.iter().map(topic).collect(),
        ..Default::default()
    }
}

fn by_id(name: &str) -> StreamStatus {
    StreamStatus { asked: StreamRef::Id(id(name)), ..stream(name, 1) }
}

fn gone(name: &str) -> StreamStatus {
    StreamStatus { refused: Some(Refusal::NotFound), id: [0; 16], ..by_id(name) }
}

#[test]
fn a_commit_by_id_reaches_the_module_by_name() {
    let mut client = Client::new();
    client.send(commit(&["a", "gone"]), 10).unwrap();
    let (token, asked) = client.ask();
    let Request::DescribeStreams { streams, create: false } = asked else { panic!("{asked:?}") };
    assert_eq!(streams, Some(vec![StreamRef::Id(id("a")), StreamRef::Id(id("gone"))]));
    client.reply(token, Reply::Streams(vec![by_id("a"), gone("gone")])).unwrap();
    let (token, propose) = proposed(&mut client);
    let request: OffsetCommitRequest = in_command(&propose, 9);
    assert_eq!((request.topics.len(), &request.topics[0].name[..]), (1, "a"));
    let partitions = vec![OffsetCommitResponsePartition::default()];
    let topic = OffsetCommitResponseTopic { name: "a".into(), partitions, ..Default::default() };
    let answer = OffsetCommitResponse { topics: vec![topic], ..Default::default() };
    client.reply(token, Reply::Proposed(answer.encode(9))).unwrap();
    let AnyResponse::OffsetCommit(response) = client.response() else { panic!() };
    let codes: Vec<_> = response
        .topics
        .iter()
        .map(|topic| (topic.topic_id, topic.partitions[0].error_code))
        .collect();
    let unknown = ErrorCode::UnknownTopicId.number();
    assert_eq!(codes, [(Uuid(id("a")), 0), (Uuid(id("gone")), unknown)]);
}

#[test]
fn a_commit_of_unknown_ids_only_is_answered_without_the_module() {
    let (_, response) =
        Client::new().exchange(commit(&["gone"]), 10, Reply::Streams(vec![gone("gone")]));
    let AnyResponse::OffsetCommit(response) = response else { panic!() };
    let code = response.topics[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UnknownTopicId.number());
}

fn asking(topics: Option<&[&str]>) -> OffsetFetchRequest {
    let topic = |name: &&str| OffsetFetchRequestTopics {
        name: (*name).into(),
        topic_id: Uuid(id(name)),
        partition_indexes: vec![0],
    };
    let group = OffsetFetchRequestGroup {
        group_id: "g".into(),
        topics: topics.map(|topics| topics.iter().map(topic).collect()),
        ..Default::default()
    };
    OffsetFetchRequest { groups: vec![group], ..Default::default() }
}

/// What the module says: offset 5 with metadata in partition 0 of each topic.
fn positions(topics: &[&str]) -> Bytes {
    let topic = |name: &&str| OffsetFetchResponseTopics {
        name: (*name).into(),
        partitions: vec![OffsetFetchResponsePartitions {
            committed_offset: 5,
            metadata: Some("kept".into()),
            ..Default::default()
        }],
        ..Default::default()
    };
    let group = OffsetFetchResponseGroup {
        group_id: "g".into(),
        topics: topics.iter().map(topic).collect(),
        ..Default::default()
    };
    OffsetFetchResponse { groups: vec![group], ..Default::default() }.encode(9)
}

#[test]
fn positions_are_fetched_by_id_under_the_names_of_the_module() {
    let mut client = Client::new();
    client.send(asking(Some(&["a", "gone"])), 10).unwrap();
    let (token, _) = client.ask();
    client.reply(token, Reply::Streams(vec![by_id("a"), gone("gone")])).unwrap();
    let (token, propose) = proposed(&mut client);
    let request: OffsetFetchRequest = in_command(&propose, 9);
    let topics = request.groups[0].topics.as_ref().unwrap();
    assert_eq!((topics.len(), &topics[0].name[..]), (1, "a"));
    client.reply(token, Reply::Proposed(positions(&["a"]))).unwrap();
    let AnyResponse::OffsetFetch(response) = client.response() else { panic!() };
    let topics = &response.groups[0].topics;
    let first = &topics[0].partitions[0];
    assert_eq!(topics[0].topic_id, Uuid(id("a")));
    assert_eq!((first.committed_offset, first.metadata.as_deref()), (5, Some("kept")));
    let second = &topics[1].partitions[0];
    assert_eq!(second.committed_offset, -1);
    assert_eq!(second.error_code, ErrorCode::UnknownTopicId.number());
}

#[test]
fn all_positions_of_a_group_come_with_the_ids_of_their_topics() {
    let mut client = Client::new();
    client.send(asking(None), 10).unwrap();
    let (token, propose) = proposed(&mut client);
    let request: OffsetFetchRequest = in_command(&propose, 9);
    assert_eq!(request.groups[0].topics, None);
    client.reply(token, Reply::Proposed(positions(&["a"]))).unwrap();
    let (token, asked) = client.ask();
    let Request::DescribeStreams { streams, create: false } = asked else { panic!("{asked:?}") };
    assert_eq!(streams, Some(vec![name("a")]));
    client.reply(token, Reply::Streams(vec![stream("a", 1)])).unwrap();
    let AnyResponse::OffsetFetch(response) = client.response() else { panic!() };
    assert_eq!(response.groups[0].topics[0].topic_id, Uuid(id("a")));
}
