//! Responses in the order of the requests, versions, greetings, patience.

use std::time::Duration;

use kafka_codec::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_codec::messages::{
    ApiVersionsRequest, FetchRequest, HeartbeatRequest, InitProducerIdRequest, MetadataRequest,
};
use kafka_codec::{AnyResponse, ApiKey};
use protocol::{Close, Notice, Reply, Session};

use crate::client::{Client, stream};

fn fetch() -> FetchRequest {
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
    FetchRequest { max_wait_ms: 500, topics: vec![topic], ..Default::default() }
}

#[test]
fn a_response_waits_for_the_requests_before_it() {
    let mut client = Client::new();
    client.send(fetch(), 11).unwrap();
    client.send(ApiVersionsRequest::default(), 3).unwrap();
    client.send(InitProducerIdRequest::default(), 1).unwrap();
    assert_eq!(client.asked.len(), 2, "all requests are worked on");
    let (fetching, _) = client.asked.remove(0);
    let (producing, _) = client.asked.remove(0);
    client.reply(producing.unwrap(), Reply::ProducerId(4)).unwrap();
    assert!(client.received.is_empty(), "the fetch still waits");
    client.reply(fetching.unwrap(), Reply::Read(Vec::new())).unwrap();
    let keys: Vec<_> =
        std::iter::from_fn(|| client.receive()).map(|(id, it)| (id, it.key())).collect();
    let expected = [(0, ApiKey::Fetch), (1, ApiKey::ApiVersions), (2, ApiKey::InitProducerId)];
    assert_eq!(keys, expected);
}

#[test]
fn a_version_of_api_versions_from_the_future_is_told_the_range_in_version_zero() {
    let mut client = Client::new();
    // Length 14: key 18, version 77, correlation 5, client id "ab", then what nobody knows.
    client.bytes(b"\0\0\0\x0e\0\x12\0\x4d\0\0\0\x05\0\x02ab\x99\x99").unwrap();
    let expected = b"\0\0\0\x10\0\0\0\x05\0\x23\0\0\0\x01\0\x12\0\0\0\x04";
    assert_eq!(&client.received[..], expected);
}

#[test]
fn an_api_or_version_that_is_not_advertised_ends_the_connection() {
    for (key, version) in [(999, 0), (17, 0), (1, 19), (1, 3), (3, -1)] {
        let mut client = Client::new();
        let mut frame = vec![0, 0, 0, 10];
        frame.extend(i16::to_be_bytes(key));
        frame.extend(i16::to_be_bytes(version));
        frame.extend([0, 0, 0, 0, 0xff, 0xff]);
        assert!(matches!(client.bytes(&frame), Err(Close::Violation(_))), "{key} v{version}");
    }
}

#[test]
fn what_was_answered_before_a_violation_is_still_sent() {
    let mut client = Client::new();
    let mut bytes = client.frame(&ApiVersionsRequest::default().into(), 0).to_vec();
    bytes.extend([0, 0, 0, 4, 0x7f, 0xff, 0, 0]);
    assert!(client.bytes(&bytes).is_err());
    assert!(matches!(client.receive(), Some((0, AnyResponse::ApiVersions(_)))));
}

#[test]
fn too_many_unanswered_requests_pause_reading() {
    let mut client = Client::new();
    let frames: Vec<_> = (0..300).map(|_| client.frame(&fetch().into(), 11)).collect();
    client.bytes(&frames.concat()).unwrap();
    assert!(client.paused);
    assert_eq!(client.asked.len(), 256);
    let (first, _) = client.asked.remove(0);
    client.reply(first.unwrap(), Reply::Read(Vec::new())).unwrap();
    assert!(!client.paused, "there is room again");
    client.feed_again().unwrap();
    assert_eq!(client.asked.len(), 256, "one more was taken out of the buffer");
}

#[test]
fn silence_ends_a_connection_but_not_a_wait() {
    let mut client = Client::new();
    let mut silent = Client::new();
    assert_eq!(silent.timeout(Duration::from_secs(31)), Err(Close::Timeout));
    client.send(ApiVersionsRequest::default(), 0).unwrap();
    client.timeout(Duration::from_secs(31)).unwrap();
    client.send(fetch(), 11).unwrap();
    assert_eq!(client.session.deadline(), None, "the broker owes an answer");
    let (token, _) = client.asked.remove(0);
    client.reply(token.unwrap(), Reply::Read(Vec::new())).unwrap();
    assert!(client.session.deadline().is_some());
    assert_eq!(client.timeout(Duration::from_secs(601)), Err(Close::Timeout));
}

#[test]
fn a_server_that_goes_down_answers_what_it_took_and_takes_no_more() {
    let mut client = Client::new();
    client.send(fetch(), 11).unwrap();
    client.notice(Notice::Draining).unwrap();
    assert!(client.paused);
    client.send(ApiVersionsRequest::default(), 0).unwrap();
    let (token, _) = client.ask();
    let closed = client.reply(token, Reply::Read(Vec::new()));
    assert_eq!(closed, Err(Close::Draining));
    assert!(matches!(client.response(), AnyResponse::Fetch(_)));
}

#[test]
fn a_late_reply_finds_nobody() {
    let mut client = Client::new();
    client.send(MetadataRequest::default(), 5).unwrap();
    let (token, _) = client.ask();
    client.reply(token, Reply::Streams(vec![stream("a", 1)])).unwrap();
    assert!(matches!(client.response(), AnyResponse::Metadata(_)));
    client.reply(token, Reply::Streams(Vec::new())).unwrap();
    assert!(client.received.is_empty());
    client.send(HeartbeatRequest::default(), 0).unwrap();
    let (second, _) = client.ask();
    assert_ne!(second, token);
}
