//! Produce, Fetch, ListOffsets, InitProducerId.

use bytes::{Bytes, BytesMut};
use kafka_codec::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_codec::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_codec::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_codec::messages::produce_response::PartitionProduceResponse;
use kafka_codec::messages::{
    FetchRequest, FetchResponse, FindCoordinatorRequest, InitProducerIdRequest, ListOffsetsRequest,
    ProduceRequest,
};
use kafka_codec::{AnyResponse, ErrorCode, Records, Uuid};
use protocol::{
    Appended, Close, Located, Position, Read, ReadOutcome, Refusal, Reply, Request, StreamRef, Wait,
};

use crate::client::{Client, batch, id, name};

fn produce(acks: i16, batches: &[Bytes]) -> ProduceRequest {
    let partition_data = (0..)
        .zip(batches)
        .map(|(index, batch)| PartitionProduceData {
            index,
            records: Some(Records::from(batch.clone())),
        })
        .collect();
    let topic = TopicProduceData { name: "t".into(), topic_id: Uuid(id("t")), partition_data };
    ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() }
}

fn produced(response: AnyResponse) -> Vec<PartitionProduceResponse> {
    let AnyResponse::Produce(mut response) = response else { panic!("{response:?}") };
    response.responses.remove(0).partition_responses
}

fn error(response: AnyResponse) -> i16 {
    produced(response)[0].error_code
}

#[test]
fn a_batch_is_appended_as_it_came_and_answered_with_its_offset() {
    let sent = batch(1, 5000);
    let reply = Appended { base_offset: 42, log_start: 7, duplicate: false };
    let (asked, response) =
        Client::new().exchange(produce(-1, std::slice::from_ref(&sent)), 9, Reply::Appended(reply));
    let Request::Append(append) = asked else { panic!("{asked:?}") };
    assert_eq!((append.stream, append.partition), (name("t"), 0));
    assert_eq!((append.batch, append.wait), (sent, Wait::Stored));
    let answer = &produced(response)[0];
    assert_eq!((answer.error_code, answer.base_offset), (0, 42));
    assert_eq!((answer.log_start_offset, answer.log_append_time_ms), (7, -1));
}

#[test]
fn one_acknowledgement_waits_for_the_streams_mode_too() {
    let mut client = Client::new();
    client.send(produce(1, &[batch(0, 10)]), 8).unwrap();
    let (_, Request::Append(append)) = client.ask() else { panic!() };
    assert_eq!(append.wait, Wait::Stored);
}

#[test]
fn a_produce_names_its_topic_by_id_from_version_thirteen() {
    let mut client = Client::new();
    client.send(produce(-1, &[batch(0, 10)]), 13).unwrap();
    let (token, Request::Append(append)) = client.ask() else { panic!() };
    assert_eq!(append.stream, StreamRef::Id(id("t")));
    client.reply(token, Reply::Refused(Refusal::NotFound)).unwrap();
    assert_eq!(error(client.response()), ErrorCode::UnknownTopicId.number());
}

#[test]
fn partitions_are_answered_together_in_the_order_of_the_request() {
    let mut client = Client::new();
    client.send(produce(-1, &[batch(0, 10), batch(7, 10), batch(0, 10)]), 8).unwrap();
    assert_eq!(client.asked.len(), 2, "the codec 7 is refused here");
    let (first, _) = client.asked.remove(0);
    let (last, _) = client.asked.remove(0);
    let appended =
        |base_offset| Reply::Appended(Appended { base_offset, log_start: 0, duplicate: false });
    client.reply(last.unwrap(), appended(2)).unwrap();
    assert!(client.received.is_empty());
    client.reply(first.unwrap(), appended(1)).unwrap();
    let offsets: Vec<_> =
        produced(client.response()).iter().map(|it| (it.index, it.base_offset)).collect();
    assert_eq!(offsets, [(0, 1), (1, -1), (2, 2)]);
}

#[test]
fn no_acknowledgement_means_no_answer() {
    let mut client = Client::new();
    client.send(produce(0, &[batch(0, 10)]), 9).unwrap();
    let (token, Request::Append(append)) = client.ask() else { panic!() };
    assert_eq!(append.wait, Wait::Routed);
    let appended = Appended { base_offset: 0, log_start: 0, duplicate: false };
    client.reply(token, Reply::Appended(appended)).unwrap();
    assert!(client.received.is_empty());
}

#[test]
fn a_refusal_that_cannot_be_answered_closes() {
    let mut client = Client::new();
    client.send(produce(0, &[batch(0, 10)]), 9).unwrap();
    let (token, _) = client.ask();
    let closed = client.reply(token, Reply::Refused(Refusal::NotFound));
    assert!(matches!(closed, Err(Close::Refused(_))));
    let closed = Client::new().send(produce(0, &[Bytes::from_static(b"no batch")]), 9);
    assert!(matches!(closed, Err(Close::Refused(_))));
}

#[test]
fn what_is_no_single_batch_is_refused_without_asking() {
    let two = [batch(0, 10), batch(0, 10)].concat();
    let mut cut = batch(0, 10).to_vec();
    cut.pop();
    let mut old = BytesMut::from(&batch(0, 10)[..]);
    old[16] = 1;
    let mut negative = BytesMut::from(&batch(0, 10)[..]);
    negative[8] = 0xff;
    let cases: [(Bytes, i16, ErrorCode); 8] = [
        (Bytes::new(), 9, ErrorCode::InvalidRecord),
        (two.into(), 9, ErrorCode::InvalidRecord),
        (old.freeze(), 9, ErrorCode::InvalidRecord),
        (cut.into(), 9, ErrorCode::CorruptMessage),
        (negative.freeze(), 9, ErrorCode::CorruptMessage),
        (batch(7, 10), 9, ErrorCode::UnsupportedCompressionType),
        (batch(4, 10), 6, ErrorCode::UnsupportedCompressionType),
        (batch(0x10, 10), 9, ErrorCode::TransactionalIdAuthorizationFailed),
    ];
    for (bytes, version, code) in cases {
        let mut client = Client::new();
        client.send(produce(-1, &[bytes]), version).unwrap();
        assert!(client.asked.is_empty());
        assert_eq!(error(client.response()), code.number(), "{code:?}");
    }
}

#[test]
fn message_sets_are_refused_in_their_own_form() {
    for version in 0..3 {
        let mut client = Client::new();
        client.send(produce(1, &[batch(0, 10)]), version).unwrap();
        assert_eq!(error(client.response()), ErrorCode::UnsupportedVersion.number());
    }
}

#[test]
fn acknowledgements_of_two_are_refused() {
    let mut client = Client::new();
    client.send(produce(2, &[batch(0, 10)]), 9).unwrap();
    assert_eq!(error(client.response()), ErrorCode::InvalidRequiredAcks.number());
}

#[test]
fn a_transactional_id_is_refused_with_a_fatal_code() {
    let fatal = ErrorCode::TransactionalIdAuthorizationFailed.number();
    let transactional_id = Some("tx".into());
    let mut client = Client::new();
    let init =
        InitProducerIdRequest { transactional_id: transactional_id.clone(), ..Default::default() };
    client.send(init, 4).unwrap();
    let AnyResponse::InitProducerId(response) = client.response() else { panic!() };
    assert_eq!((response.error_code, response.producer_id), (fatal, -1));

    let request = ProduceRequest { transactional_id, ..produce(-1, &[batch(0x10, 10)]) };
    client.send(request, 9).unwrap();
    assert_eq!(error(client.response()), fatal);

    let find = FindCoordinatorRequest { key: "tx".into(), key_type: 1, ..Default::default() };
    client.send(find, 2).unwrap();
    let AnyResponse::FindCoordinator(response) = client.response() else { panic!() };
    assert_eq!(response.error_code, fatal);
}

#[test]
fn an_idempotent_producer_gets_an_id_and_its_sequence_errors() {
    let mut client = Client::new();
    let (asked, response) =
        client.exchange(InitProducerIdRequest::default(), 4, Reply::ProducerId(77));
    assert!(matches!(asked, Request::NewProducer));
    let AnyResponse::InitProducerId(response) = response else { panic!() };
    assert_eq!((response.producer_id, response.producer_epoch), (77, 0));
    for (refusal, code) in [
        (Refusal::OutOfOrder, ErrorCode::OutOfOrderSequenceNumber),
        (Refusal::Fenced, ErrorCode::InvalidProducerEpoch),
        (Refusal::TooLarge(1 << 20), ErrorCode::MessageTooLarge),
        (Refusal::StorageUnavailable, ErrorCode::KafkaStorageError),
    ] {
        let (_, response) =
            client.exchange(produce(-1, &[batch(0, 10)]), 9, Reply::Refused(refusal));
        assert_eq!(error(response), code.number());
    }
}

fn fetch(partitions: i32) -> FetchRequest {
    let partitions = (0..partitions)
        .map(|partition| FetchPartition {
            partition,
            fetch_offset: 10,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        })
        .collect();
    let topic = FetchTopic { topic: "t".into(), topic_id: Uuid(id("t")), partitions };
    FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 50 << 20,
        topics: vec![topic],
        ..Default::default()
    }
}

fn outcome(batches: Vec<Bytes>) -> ReadOutcome {
    ReadOutcome { stream: name("t"), partition: 0, refused: None, end: 12, start: 3, batches }
}

fn fetched(response: AnyResponse) -> FetchResponse {
    let AnyResponse::Fetch(response) = response else { panic!("{response:?}") };
    response
}

#[test]
fn a_fetch_waits_in_the_broker_for_any_of_its_partitions() {
    let mut client = Client::new();
    client.send(fetch(2), 11).unwrap();
    let (token, Request::Read(read)) = client.ask() else { panic!() };
    let Read { items, min_bytes, max_bytes, wait_ms } = read;
    assert_eq!((min_bytes, max_bytes, wait_ms), (1, 50 << 20, 500));
    let partitions: Vec<_> = items.iter().map(|it| (it.partition, it.offset)).collect();
    assert_eq!(partitions, [(0, 10), (1, 10)]);
    let pieces = vec![batch(4, 5000), batch(0, 10)];
    client.reply(token, Reply::Read(vec![outcome(Vec::new()), outcome(pieces.clone())])).unwrap();
    let response = fetched(client.response());
    assert_eq!(response.session_id, 0, "every fetch is whole");
    let partitions = &response.responses[0].partitions;
    assert!(partitions[0].records.as_ref().unwrap().is_empty());
    let second = &partitions[1];
    assert_eq!(second.records.clone().unwrap().into_bytes(), pieces.concat());
    assert_eq!((second.high_watermark, second.last_stable_offset), (12, 12));
    assert_eq!((second.log_start_offset, &second.aborted_transactions), (3, &None));
}

#[test]
fn only_a_fetch_of_what_is_committed_is_told_of_aborted_transactions() {
    let mut client = Client::new();
    let request = FetchRequest { isolation_level: 1, ..fetch(1) };
    let (_, response) = client.exchange(request, 11, Reply::Read(vec![outcome(Vec::new())]));
    let partition = &fetched(response).responses[0].partitions[0];
    assert_eq!(partition.aborted_transactions, Some(Vec::new()));
}

#[test]
fn topics_are_fetched_by_id_from_version_thirteen() {
    let mut client = Client::new();
    client.send(fetch(1), 13).unwrap();
    let (token, Request::Read(read)) = client.ask() else { panic!() };
    assert_eq!(read.items[0].stream, StreamRef::Id(id("t")));
    let gone = ReadOutcome {
        stream: StreamRef::Id(id("t")),
        refused: Some(Refusal::NotFound),
        ..outcome(Vec::new())
    };
    client.reply(token, Reply::Read(vec![gone])).unwrap();
    let response = fetched(client.response());
    assert_eq!(response.responses[0].topic_id, Uuid(id("t")));
    let code = response.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UnknownTopicId.number());
}

#[test]
fn an_offset_outside_of_the_log_is_an_error_and_not_corrected() {
    let outside = ReadOutcome { refused: Some(Refusal::OutOfRange), ..outcome(Vec::new()) };
    let (_, response) = Client::new().exchange(fetch(1), 11, Reply::Read(vec![outside]));
    let partition = &fetched(response).responses[0].partitions[0];
    assert_eq!(partition.error_code, ErrorCode::OffsetOutOfRange.number());

    let mut negative = fetch(1);
    negative.topics[0].partitions[0].fetch_offset = -5;
    let mut client = Client::new();
    client.send(negative, 11).unwrap();
    assert!(client.asked.is_empty());
    let partition = &fetched(client.response()).responses[0].partitions[0];
    assert_eq!(partition.error_code, ErrorCode::OffsetOutOfRange.number());
}

#[test]
fn a_fetch_of_a_session_that_was_never_granted_is_told_so() {
    let mut client = Client::new();
    client.send(FetchRequest { session_id: 9, session_epoch: 1, ..fetch(1) }, 12).unwrap();
    let code = fetched(client.response()).error_code;
    assert_eq!(code, ErrorCode::FetchSessionIdNotFound.number());
    // Closing one is answered, whatever it was: an unanswered request wedges the connection.
    let closing = FetchRequest { session_id: 9, session_epoch: -1, topics: Vec::new(), ..fetch(0) };
    client.send(closing, 12).unwrap();
    assert_eq!(fetched(client.response()).error_code, 0);
}

#[test]
fn zstd_is_not_handed_to_a_client_that_is_too_old_for_it() {
    let reply = || Reply::Read(vec![outcome(vec![batch(0, 10), batch(4, 10)])]);
    let (_, response) = Client::new().exchange(fetch(1), 9, reply());
    let partition = &fetched(response).responses[0].partitions[0];
    assert_eq!(partition.error_code, ErrorCode::UnsupportedCompressionType.number());
    let (_, response) = Client::new().exchange(fetch(1), 10, reply());
    assert_eq!(fetched(response).responses[0].partitions[0].error_code, 0);
}

#[test]
fn a_client_from_a_later_epoch_is_told_that_it_is_unknown() {
    let mut request = fetch(1);
    request.topics[0].partitions[0].current_leader_epoch = 3;
    let mut client = Client::new();
    client.send(request, 11).unwrap();
    let code = fetched(client.response()).responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UnknownLeaderEpoch.number());
}

fn list(timestamp: i64) -> ListOffsetsRequest {
    let partition =
        ListOffsetsPartition { timestamp, current_leader_epoch: -1, ..Default::default() };
    let topic = ListOffsetsTopic { name: "t".into(), partitions: vec![partition] };
    ListOffsetsRequest { topics: vec![topic], ..Default::default() }
}

#[test]
fn offsets_are_found_by_position_and_time() {
    for (timestamp, position) in [
        (-1, Position::Latest),
        (-2, Position::Earliest),
        (-3, Position::MaxTimestamp),
        (-4, Position::Earliest),
        (1234, Position::Time(1234)),
    ] {
        let located = Located { offset: 9, timestamp_ms: 1500 };
        let (asked, response) =
            Client::new().exchange(list(timestamp), 8, Reply::Located(Some(located)));
        let Request::Locate(stream, 0, asked) = asked else { panic!("{asked:?}") };
        assert_eq!((stream, asked), (name("t"), position));
        let AnyResponse::ListOffsets(response) = response else { panic!() };
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.offset, partition.timestamp, partition.leader_epoch), (9, 1500, 0));
    }
}

#[test]
fn a_time_after_the_last_record_has_no_offset_and_no_error() {
    let (_, response) = Client::new().exchange(list(1234), 8, Reply::Located(None));
    let AnyResponse::ListOffsets(response) = response else { panic!() };
    let partition = &response.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.offset, partition.timestamp), (0, -1, -1));
}

#[test]
fn what_only_tiered_storage_has_is_nowhere() {
    let mut client = Client::new();
    client.send(list(-5), 9).unwrap();
    let AnyResponse::ListOffsets(response) = client.response() else { panic!() };
    let partition = &response.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.offset), (0, -1));
    client.send(list(-99), 9).unwrap();
    let AnyResponse::ListOffsets(response) = client.response() else { panic!() };
    let code = response.topics[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UnsupportedVersion.number());
}
