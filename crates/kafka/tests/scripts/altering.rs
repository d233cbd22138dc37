//! Configs that are changed, and records that are removed.

use kafka_codec::messages::alter_configs_request as whole;
use kafka_codec::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_codec::messages::incremental_alter_configs_request as part;
use kafka_codec::messages::{
    AlterConfigsRequest, DeleteRecordsRequest, IncrementalAlterConfigsRequest,
};
use kafka_codec::{AnyResponse, ErrorCode};
use protocol::{
    Alter, Cleanup, Compaction, Declared, PurgeStream, Refusal, Reply, Request, Retention,
    StreamPurged, StreamStatus, Which,
};

use crate::client::{Client, name, stream};

const SET: i8 = 0;
const RESET: i8 = 1;
const ADD: i8 = 2;
const REMOVE: i8 = 3;
const TOPIC: i8 = 2;

fn amend(resource: &str, changes: &[(&str, i8, Option<&str>)]) -> IncrementalAlterConfigsRequest {
    let configs = changes
        .iter()
        .map(|(name, config_operation, value)| part::AlterableConfig {
            name: (*name).into(),
            config_operation: *config_operation,
            value: value.map(Into::into),
        })
        .collect();
    let resource = part::AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: resource.into(),
        configs,
    };
    IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false }
}

/// What the broker is asked to keep, or the code and text of the answer.
fn amended(
    before: Retention,
    changes: &[(&str, i8, Option<&str>)],
) -> Result<Retention, (i16, String)> {
    let mut client = Client::new();
    client.send(amend("t", changes), 1).unwrap();
    let (token, _) = client.ask();
    let status = StreamStatus { retention: before, ..stream("t", 1) };
    client.reply(token, Reply::Streams(vec![status.clone()])).unwrap();
    if client.asked.is_empty() {
        let AnyResponse::IncrementalAlterConfigs(mut response) = client.response() else {
            panic!()
        };
        let answer = response.responses.remove(0);
        return Err((answer.error_code, answer.error_message.unwrap().to_string()));
    }
    let (token, request) = client.ask();
    let Request::Alter(Alter { stream, retention, dry_run }) = request else { panic!() };
    assert_eq!((stream, dry_run), (name("t"), false));
    client.reply(token, Reply::Declared(Declared::Stream(status))).unwrap();
    let AnyResponse::IncrementalAlterConfigs(response) = client.response() else { panic!() };
    assert_eq!(response.responses[0].error_code, 0);
    Ok(retention)
}

#[test]
fn single_settings_are_set_taken_away_and_amended_and_the_others_stay() {
    let before = Retention { max_bytes: Some(5), max_records: Some(7), ..Retention::default() };
    let after = amended(
        before.clone(),
        &[
            ("retention.ms", SET, Some("1000")),
            ("cleanup.policy", SET, Some("compact")),
            ("delete.retention.ms", SET, Some("60000")),
            ("min.compaction.lag.ms", SET, Some("5")),
            ("min.cleanable.dirty.ratio", SET, Some("0.01")),
            ("max.message.bytes", SET, Some("1000")),
            ("segment.ms", SET, Some("100")),
        ],
    )
    .unwrap();
    let compaction = Compaction {
        delete_retention_ms: Some(60_000),
        min_lag_ms: Some(5),
        min_dirty_percent: Some(1),
    };
    let expected = Retention {
        max_age_ms: Some(1000),
        cleanup: Cleanup::Compact,
        compaction,
        max_message_bytes: Some(1000),
        ..before
    };
    assert_eq!(after, expected);
    let both = amended(after, &[("cleanup.policy", ADD, Some("delete"))]).unwrap();
    assert_eq!(both.cleanup, Cleanup::Both);
    let changes = [("cleanup.policy", REMOVE, Some("compact")), ("retention.ms", RESET, None)];
    let plain = amended(both, &changes).unwrap();
    assert_eq!(
        (plain.cleanup, plain.max_age_ms, plain.max_bytes),
        (Cleanup::Delete, None, Some(5))
    );
}

#[test]
fn what_cannot_be_honoured_is_refused_with_its_name() {
    for (setting, operation, value) in [
        ("retention.ms", SET, Some("soon")),
        ("retention.ms", SET, None),
        ("retention.ms", ADD, Some("1")),
        ("cleanup.policy", SET, Some("squeeze")),
        ("cleanup.policy", SET, Some("")),
        ("cleanup.policy", REMOVE, Some("delete")),
        ("min.cleanable.dirty.ratio", SET, Some("2")),
        ("max.message.bytes", SET, Some("99999999999")),
        ("min.insync.replicas", SET, Some("2")),
        ("no.such.setting", SET, Some("1")),
        ("no.such.setting", RESET, None),
    ] {
        let (code, text) =
            amended(Retention::default(), &[(setting, operation, value)]).unwrap_err();
        assert_eq!(code, ErrorCode::InvalidConfig.number(), "{setting} {value:?}");
        assert!(text.contains(setting), "{text}");
    }
    let (code, _) = amended(Retention::default(), &[("retention.ms", 9, Some("1"))]).unwrap_err();
    assert_eq!(code, ErrorCode::InvalidRequest.number());
}

#[test]
fn a_whole_set_of_configs_takes_the_others_away() {
    let config = whole::AlterableConfig { name: "retention.ms".into(), value: Some("9".into()) };
    let resource = whole::AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "t".into(),
        configs: vec![config],
    };
    let request = AlterConfigsRequest { resources: vec![resource], validate_only: true };
    let mut client = Client::new();
    client.send(request, 2).unwrap();
    let (token, _) = client.ask();
    let retention = Retention { max_bytes: Some(5), max_records: Some(7), ..Retention::default() };
    let status = StreamStatus { retention, ..stream("t", 1) };
    client.reply(token, Reply::Streams(vec![status])).unwrap();
    let (token, request) = client.ask();
    let Request::Alter(alter) = request else { panic!() };
    assert!(alter.dry_run);
    let expected = Retention { max_age_ms: Some(9), max_records: Some(7), ..Retention::default() };
    assert_eq!(alter.retention, expected, "what has no name here stays");
    client.reply(token, Reply::Refused(Refusal::Reserved)).unwrap();
    let AnyResponse::AlterConfigs(response) = client.response() else { panic!() };
    assert_eq!(response.responses[0].error_code, ErrorCode::PolicyViolation.number());
}

#[test]
fn brokers_unknown_topics_and_repeats_are_told_apart() {
    let mut request = amend("t", &[]);
    request.resources.push(request.resources[0].clone());
    request.resources.push(part::AlterConfigsResource {
        resource_type: 4,
        resource_name: "1".into(),
        ..Default::default()
    });
    request.resources.push(part::AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "a/b".into(),
        ..Default::default()
    });
    let mut client = Client::new();
    client.send(request, 1).unwrap();
    let (token, _) = client.ask();
    let gone = StreamStatus { refused: Some(Refusal::NotFound), ..stream("t", 0) };
    client.reply(token, Reply::Streams(vec![gone])).unwrap();
    let AnyResponse::IncrementalAlterConfigs(response) = client.response() else { panic!() };
    let codes: Vec<i16> = response.responses.iter().map(|one| one.error_code).collect();
    let invalid = ErrorCode::InvalidRequest.number();
    let unknown = ErrorCode::UnknownTopicOrPartition.number();
    assert_eq!(codes, [unknown, invalid, invalid, ErrorCode::InvalidTopicException.number()]);
}

#[test]
fn records_are_removed_below_an_offset_of_each_partition() {
    let partition = |partition_index, offset| DeleteRecordsPartition { partition_index, offset };
    let topic = DeleteRecordsTopic {
        name: "t".into(),
        partitions: vec![partition(0, 5), partition(1, -1), partition(2, -2), partition(-1, 0)],
    };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 1000 };
    let mut client = Client::new();
    client.send(request, 2).unwrap();
    let asked = std::mem::take(&mut client.asked);
    assert_eq!(asked.len(), 2);
    for ((number, below), (token, request)) in [(0, Some(5)), (1, None)].into_iter().zip(asked) {
        let token = token.unwrap();
        let Request::PurgeStream(PurgeStream { stream, partition, which }) = request else {
            panic!()
        };
        assert_eq!((stream, partition, which), (name("t"), number, Which::Below(below)));
        let reply = if number == 0 {
            Reply::StreamPurged(StreamPurged { records: 5, first: 5 })
        } else {
            Reply::Refused(Refusal::NotFound)
        };
        client.reply(token, reply).unwrap();
    }
    let AnyResponse::DeleteRecords(response) = client.response() else { panic!() };
    let answers: Vec<(i64, i16)> = response.topics[0]
        .partitions
        .iter()
        .map(|partition| (partition.low_watermark, partition.error_code))
        .collect();
    assert_eq!(answers, [(5, 0), (-1, 3), (-1, 1), (-1, 3)]);
}
