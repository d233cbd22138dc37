//! Metadata, DescribeCluster, CreateTopics, DeleteTopics, DescribeConfigs, DescribeTopicPartitions.

use bytes::Bytes;
use kafka_codec::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_codec::messages::create_topics_response::CreatableTopicResult;
use kafka_codec::messages::delete_topics_request::DeleteTopicState;
use kafka_codec::messages::describe_configs_request::DescribeConfigsResource;
use kafka_codec::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_codec::messages::metadata_request::MetadataRequestTopic;
use kafka_codec::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeConfigsResponse, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    MetadataRequest, MetadataResponse,
};
use kafka_codec::{AnyResponse, ErrorCode, Uuid};
use protocol::{
    Cleanup, Declare, Declared, Destroy, Node, Refusal, Reply, Request, Retention,
    StreamDeclaration, StreamRef, StreamStatus,
};

use crate::client::{Client, id, name, node, stream};

fn of(names: &[&str]) -> MetadataRequest {
    let topic =
        |name: &&str| MetadataRequestTopic { name: Some((*name).into()), ..Default::default() };
    MetadataRequest { topics: Some(names.iter().map(topic).collect()), ..Default::default() }
}

fn metadata(response: AnyResponse) -> MetadataResponse {
    let AnyResponse::Metadata(response) = response else { panic!("{response:?}") };
    response
}

fn described(request: Request) -> (Option<Vec<StreamRef>>, bool) {
    let Request::DescribeStreams { streams, create } = request else { panic!("{request:?}") };
    (streams, create)
}

#[test]
fn null_means_all_topics_and_empty_means_none() {
    let all = MetadataRequest { topics: None, ..Default::default() };
    let (asked, response) =
        Client::new().exchange(all, 9, Reply::Streams(vec![stream("a", 2), stream("b", 1)]));
    assert_eq!(described(asked), (None, false), "listing makes nothing");
    assert_eq!(metadata(response).topics.len(), 2);

    let mut client = Client::new();
    client.send(of(&[]), 1).unwrap();
    assert!(client.asked.is_empty());
    assert!(metadata(client.response()).topics.is_empty());

    client.send(of(&[]), 0).unwrap();
    let (_, request) = client.ask();
    assert_eq!(described(request).0, None, "version 0 has no null: empty means all");
}

#[test]
fn one_node_leads_every_partition_in_epoch_zero() {
    let (_, response) =
        Client::new().exchange(of(&["a"]), 12, Reply::Streams(vec![stream("a", 3)]));
    let response = metadata(response);
    assert_eq!((response.controller_id, response.brokers.len()), (1, 1));
    assert_eq!(response.cluster_id.as_deref(), Some("AAAAAAAAAAAAAAAAAAAAAA"));
    let topic = &response.topics[0];
    assert_eq!((topic.name.as_deref(), topic.topic_id), (Some("a"), Uuid(id("a"))));
    assert_eq!(topic.topic_authorized_operations, i32::MIN, "nobody asked");
    let indexes: Vec<_> = topic.partitions.iter().map(|it| it.partition_index).collect();
    assert_eq!(indexes, [0, 1, 2]);
    for partition in &topic.partitions {
        assert_eq!((partition.leader_id, partition.leader_epoch), (1, 0));
        assert_eq!((&partition.replica_nodes[..], &partition.isr_nodes[..]), (&[1][..], &[1][..]));
    }
}

#[test]
fn clients_are_told_the_address_that_they_used_unless_one_is_configured() {
    let address = |node: Node| {
        let (_, response) = Client::of(node).exchange(of(&["a"]), 9, Reply::Streams(Vec::new()));
        let broker = metadata(response).brokers.remove(0);
        (broker.host.to_string(), broker.port)
    };
    assert_eq!(address(node()), ("127.0.0.1".to_owned(), 9092));
    let advertise = Some(("kafka.example".to_owned(), 19092));
    let configured = Node { advertise, ..node() };
    assert_eq!(address(configured), ("kafka.example".to_owned(), 19092));
}

#[test]
fn an_unknown_topic_is_made_only_if_client_and_node_both_allow() {
    let create = |request: MetadataRequest, version, auto_create_streams| {
        let mut client = Client::of(Node { auto_create_streams, ..node() });
        client.send(request, version).unwrap();
        described(client.ask().1).1
    };
    let denied = || MetadataRequest { allow_auto_topic_creation: false, ..of(&["a"]) };
    let allowed = || MetadataRequest { allow_auto_topic_creation: true, ..of(&["a"]) };
    assert!(create(allowed(), 9, true));
    assert!(!create(denied(), 9, true));
    assert!(!create(allowed(), 9, false));
    assert!(create(denied(), 3, true), "the field is not there before version 4");
}

#[test]
fn what_cannot_be_a_topic_is_told_apart_from_what_is_none() {
    let unknown = StreamStatus { refused: Some(Refusal::NotFound), ..stream("gone", 0) };
    let (asked, response) =
        Client::new().exchange(of(&["gone", "a b", "gone"]), 9, Reply::Streams(vec![unknown]));
    assert_eq!(described(asked).0, Some(vec![name("gone")]), "each topic once");
    let codes: Vec<_> = metadata(response)
        .topics
        .iter()
        .map(|topic| (topic.name.as_deref().unwrap().to_owned(), topic.error_code))
        .collect();
    assert_eq!(codes, [("gone".to_owned(), 3), ("a b".to_owned(), 17)]);
}

#[test]
fn a_topic_is_found_by_its_id() {
    let topic = MetadataRequestTopic { name: None, topic_id: Uuid(id("a")) };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    let by_id = StreamStatus { asked: StreamRef::Id(id("a")), ..stream("a", 1) };
    let (asked, response) =
        Client::new().exchange(request.clone(), 12, Reply::Streams(vec![by_id.clone()]));
    assert_eq!(described(asked).0, Some(vec![StreamRef::Id(id("a"))]));
    assert_eq!(metadata(response).topics[0].name.as_deref(), Some("a"));
    let gone = StreamStatus { refused: Some(Refusal::NotFound), ..by_id };
    let (_, response) = Client::new().exchange(request, 12, Reply::Streams(vec![gone]));
    let topic = &metadata(response).topics[0];
    assert_eq!((topic.error_code, &topic.name), (ErrorCode::UnknownTopicId.number(), &None));
}

#[test]
fn the_cluster_is_one_broker() {
    let mut client = Client::new();
    client.send(DescribeClusterRequest { endpoint_type: 1, ..Default::default() }, 1).unwrap();
    let AnyResponse::DescribeCluster(response) = client.response() else { panic!() };
    assert_eq!((response.controller_id, response.brokers[0].broker_id), (1, 1));
    assert_eq!((&response.brokers[0].host[..], response.brokers[0].port), ("127.0.0.1", 9092));
    client.send(DescribeClusterRequest { endpoint_type: 2, ..Default::default() }, 1).unwrap();
    let AnyResponse::DescribeCluster(response) = client.response() else { panic!() };
    assert_eq!(response.error_code, ErrorCode::MismatchedEndpointType.number());
}

fn topic(name: &str) -> CreatableTopic {
    CreatableTopic {
        name: name.into(),
        num_partitions: -1,
        replication_factor: -1,
        ..Default::default()
    }
}

fn with(configs: &[(&str, &str)]) -> CreatableTopic {
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).into(),
        value: Some((*value).into()),
    };
    CreatableTopic { configs: configs.iter().map(config).collect(), ..topic("t") }
}

/// What is declared for a topic, or the code that it is refused with.
fn declared(topic: CreatableTopic) -> Result<StreamDeclaration, (i16, String)> {
    let mut client = Client::new();
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    client.send(request, 7).unwrap();
    if client.asked.is_empty() {
        let AnyResponse::CreateTopics(mut response) = client.response() else { panic!() };
        let CreatableTopicResult { error_code, error_message, .. } = response.topics.remove(0);
        return Err((error_code, error_message.unwrap().to_string()));
    }
    let (_, request) = client.ask();
    let Request::Declare(Declare::Stream(declaration)) = request else { panic!("{request:?}") };
    Ok(declaration)
}

#[test]
fn a_topic_is_made_with_what_was_asked_and_one_replica() {
    let request = CreatableTopic { num_partitions: 3, replication_factor: 3, ..topic("t") };
    let request = CreateTopicsRequest { topics: vec![request], ..Default::default() };
    let status = StreamStatus {
        retention: Retention { max_age_ms: Some(1000), ..Retention::default() },
        ..stream("t", 3)
    };
    let (asked, response) =
        Client::new().exchange(request, 7, Reply::Declared(Declared::Stream(status)));
    let Request::Declare(Declare::Stream(declaration)) = asked else { panic!("{asked:?}") };
    assert_eq!((&declaration.name[..], declaration.partitions), (&b"t"[..], 3));
    assert!(!declaration.dry_run);
    let AnyResponse::CreateTopics(response) = response else { panic!() };
    let topic = &response.topics[0];
    assert_eq!((topic.error_code, topic.num_partitions, topic.replication_factor), (0, 3, 1));
    assert_eq!(topic.topic_id, Uuid(id("t")));
    let configs = topic.configs.as_ref().unwrap();
    let retention = configs.iter().find(|config| config.name == "retention.ms").unwrap();
    assert_eq!(retention.value.as_deref(), Some("1000"));
}

#[test]
fn configs_are_honoured_or_refused() {
    let topic = declared(with(&[("retention.ms", "86400000"), ("retention.bytes", "-1")])).unwrap();
    assert_eq!((topic.retention.max_age_ms, topic.retention.max_bytes), (Some(86_400_000), None));
    assert!(declared(with(&[("cleanup.policy", "delete"), ("segment.bytes", "1")])).is_ok());
    let topic = declared(with(&[("cleanup.policy", "compact, delete")])).unwrap();
    assert_eq!(topic.retention.cleanup, Cleanup::Both);
    let invalid = ErrorCode::InvalidConfig.number();
    for config in [
        ("cleanup.policy", "shrink"),
        ("min.insync.replicas", "2"),
        ("retention.ms", "soon"),
        ("retention.ms", "-2"),
        ("retention.hours", "1"),
    ] {
        let (code, text) = declared(with(&[config])).unwrap_err();
        assert_eq!(code, invalid);
        assert!(text.contains(config.0), "{text}");
    }
}

#[test]
fn numbers_and_names_that_cannot_be_are_refused() {
    assert_eq!(declared(topic("t")).unwrap().partitions, 0, "the node's default");
    let code = |topic| declared(topic).unwrap_err().0;
    assert_eq!(code(topic("a/b")), ErrorCode::InvalidTopicException.number());
    for num_partitions in [0, -2, i32::MAX] {
        let topic = CreatableTopic { num_partitions, ..topic("t") };
        assert_eq!(code(topic), ErrorCode::InvalidPartitions.number());
    }
    let none = CreatableTopic { replication_factor: 0, ..topic("t") };
    assert_eq!(code(none), ErrorCode::InvalidReplicationFactor.number());
}

#[test]
fn a_manual_assignment_is_to_this_node_and_without_gaps() {
    let assigned = |assignments: &[(i32, i32)]| CreatableTopic {
        assignments: assignments
            .iter()
            .map(|(partition_index, broker)| CreatableReplicaAssignment {
                partition_index: *partition_index,
                broker_ids: vec![*broker],
            })
            .collect(),
        ..topic("t")
    };
    assert_eq!(declared(assigned(&[(1, 1), (0, 1)])).unwrap().partitions, 2);
    let refused = ErrorCode::InvalidReplicaAssignment.number();
    for assignments in [&[(0, 2)][..], &[(1, 1)], &[(0, 1), (0, 1)]] {
        assert_eq!(declared(assigned(assignments)).unwrap_err().0, refused);
    }
}

#[test]
fn a_topic_that_is_there_or_named_twice_is_refused() {
    let request = CreateTopicsRequest { topics: vec![topic("t")], ..Default::default() };
    for refusal in [Refusal::Exists, Refusal::Overlap(Bytes::from_static(b"other"))] {
        let (_, response) = Client::new().exchange(request.clone(), 5, Reply::Refused(refusal));
        let AnyResponse::CreateTopics(response) = response else { panic!() };
        let code = response.topics[0].error_code;
        assert_eq!(code, ErrorCode::TopicAlreadyExists.number());
    }
    let mut client = Client::new();
    let twice = CreateTopicsRequest { topics: vec![topic("t"), topic("t")], ..Default::default() };
    client.send(twice, 5).unwrap();
    let AnyResponse::CreateTopics(response) = client.response() else { panic!() };
    let codes: Vec<_> = response.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [ErrorCode::InvalidRequest.number(); 2]);
}

#[test]
fn a_topic_is_deleted_by_name_or_id_and_answered_with_both() {
    let by_id = DeleteTopicState { name: None, topic_id: Uuid(id("a")) };
    let by_name = DeleteTopicState { name: Some("gone".into()), topic_id: Uuid::ZERO };
    let request = DeleteTopicsRequest { topics: vec![by_id, by_name], ..Default::default() };
    let mut client = Client::new();
    client.send(request, 6).unwrap();
    let (token, asked) = client.ask();
    assert_eq!(described(asked), (Some(vec![StreamRef::Id(id("a")), name("gone")]), false));
    let found = StreamStatus { asked: StreamRef::Id(id("a")), ..stream("a", 1) };
    let unknown = StreamStatus { refused: Some(Refusal::NotFound), ..stream("gone", 0) };
    client.reply(token, Reply::Streams(vec![found, unknown])).unwrap();
    let (token, asked) = client.ask();
    let Request::Destroy(Destroy::Stream(destroyed)) = asked else { panic!("{asked:?}") };
    assert_eq!(destroyed, StreamRef::Id(id("a")));
    client.reply(token, Reply::Destroyed(0)).unwrap();
    let AnyResponse::DeleteTopics(response) = client.response() else { panic!() };
    let first = &response.responses[0];
    assert_eq!((first.error_code, first.name.as_deref()), (0, Some("a")));
    assert_eq!(response.responses[1].error_code, 3);
}

fn configs(resource_type: i8, name: &str) -> DescribeConfigsRequest {
    let resource = DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: None,
    };
    DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: true,
        ..Default::default()
    }
}

fn value(response: &DescribeConfigsResponse, name: &str) -> (String, i8) {
    let configs = &response.results[0].configs;
    let config = configs.iter().find(|config| config.name == name).unwrap();
    (config.value.as_deref().unwrap().to_owned(), config.config_source)
}

#[test]
fn configs_tell_what_holds_and_where_it_comes_from() {
    let status = StreamStatus {
        retention: Retention { max_bytes: Some(1000), ..Retention::default() },
        ..stream("t", 1)
    };
    let (_, response) = Client::new().exchange(configs(2, "t"), 4, Reply::Streams(vec![status]));
    let AnyResponse::DescribeConfigs(response) = response else { panic!() };
    assert_eq!(value(&response, "cleanup.policy"), ("delete".to_owned(), 5));
    assert_eq!(value(&response, "retention.bytes"), ("1000".to_owned(), 1));
    assert_eq!(value(&response, "retention.ms"), ("-1".to_owned(), 5));
    assert_eq!(value(&response, "max.message.bytes"), ("1048576".to_owned(), 5));
    let synonyms = &response.results[0].configs[0].synonyms;
    assert_eq!(synonyms[0].name, "log.cleanup.policy");

    let mut client = Client::new();
    client.send(configs(4, "1"), 4).unwrap();
    let AnyResponse::DescribeConfigs(response) = client.response() else { panic!() };
    assert_eq!(value(&response, "auto.create.topics.enable"), ("true".to_owned(), 4));
    client.send(configs(4, "2"), 4).unwrap();
    let AnyResponse::DescribeConfigs(response) = client.response() else { panic!() };
    assert_eq!(response.results[0].error_code, ErrorCode::InvalidRequest.number());
}

#[test]
fn only_the_configs_that_were_asked_for_are_told() {
    let mut request = configs(2, "t");
    request.resources[0].configuration_keys = Some(vec!["retention.ms".into(), "x".into()]);
    let (_, response) = Client::new().exchange(request, 1, Reply::Streams(vec![stream("t", 1)]));
    let AnyResponse::DescribeConfigs(response) = response else { panic!() };
    assert_eq!(response.results[0].configs.len(), 1);
}

fn page(request: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let streams = vec![stream("b", 3), stream("a", 2), stream("c", 1)];
    let (_, response) = Client::new().exchange(request.clone(), 0, Reply::Streams(streams));
    let AnyResponse::DescribeTopicPartitions(response) = response else { panic!() };
    response
}

#[test]
fn topics_are_described_in_pages_that_add_up() {
    let mut request =
        DescribeTopicPartitionsRequest { response_partition_limit: 2, ..Default::default() };
    let mut seen = Vec::new();
    for _ in 0..4 {
        let response = page(&request);
        for topic in &response.topics {
            for partition in &topic.partitions {
                let name = topic.name.as_deref().unwrap().to_owned();
                seen.push((name, partition.partition_index));
            }
        }
        let Some(next) = response.next_cursor else { break };
        request.cursor =
            Some(Cursor { topic_name: next.topic_name, partition_index: next.partition_index });
    }
    let expected = [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2), ("c", 0)];
    assert_eq!(seen, expected.map(|(name, index)| (name.to_owned(), index)));
}

#[test]
fn an_unknown_topic_has_no_partitions_but_an_answer() {
    let topics = vec![TopicRequest { name: "gone".into() }];
    let request = DescribeTopicPartitionsRequest { topics, ..Default::default() };
    let unknown = StreamStatus { refused: Some(Refusal::NotFound), ..stream("gone", 0) };
    let (_, response) = Client::new().exchange(request, 0, Reply::Streams(vec![unknown]));
    let AnyResponse::DescribeTopicPartitions(response) = response else { panic!() };
    assert_eq!((response.topics.len(), response.topics[0].error_code), (1, 3));
}
