//! Garbage, hostile lengths, other protocols' greetings, bytes one at a time.

use kafka_codec::messages::describe_configs_request::DescribeConfigsResource;
use kafka_codec::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_codec::messages::{
    ApiVersionsRequest, DescribeConfigsRequest, MetadataRequest, ProduceRequest,
};
use kafka_codec::{AnyResponse, ApiKey, Records};
use proptest::prelude::*;
use protocol::Close;

use crate::client::{Client, batch};

#[test]
fn the_greeting_of_another_protocol_ends_the_connection() {
    let greetings: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n",
        b"CONNECT {}\r\n",
        b"AMQP\0\0\x09\x01",
        b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04abcd",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"\xff\xff\xff\xff",
    ];
    for greeting in greetings {
        let mut client = Client::new();
        assert!(matches!(client.bytes(greeting), Err(Close::Violation(_))), "{greeting:?}");
        assert!(client.received.is_empty());
    }
}

#[test]
fn a_request_may_come_one_byte_at_a_time() {
    let mut client = Client::new();
    let frame = client.frame(&ApiVersionsRequest::default().into(), 3);
    for byte in &frame {
        assert!(client.received.is_empty());
        client.bytes(&[*byte]).unwrap();
    }
    assert!(matches!(client.response(), AnyResponse::ApiVersions(_)));
}

#[test]
fn a_count_beyond_the_frame_ends_the_connection() {
    let mut client = Client::new();
    // Metadata v1 with 2^31 - 1 topics in 4 bytes.
    let frame = b"\0\0\0\x0e\0\x03\0\x01\0\0\0\0\xff\xff\x7f\xff\xff\xff";
    assert!(matches!(client.bytes(frame), Err(Close::Violation(_))));
}

#[test]
fn many_short_names_do_not_become_a_long_answer() {
    let resource = DescribeConfigsResource {
        resource_type: 4,
        resource_name: "1".into(),
        configuration_keys: None,
    };
    let ask = |count: usize| {
        let resources = vec![resource.clone(); count];
        Client::new().send(DescribeConfigsRequest { resources, ..Default::default() }, 4)
    };
    assert_eq!(ask(100), Ok(()));
    assert!(matches!(ask(10_001), Err(Close::Violation(_))));
}

#[test]
fn unanswered_requests_are_bounded_in_bytes() {
    let mut client = Client::new();
    let records = Some(Records::from(batch(0, 1 << 20)));
    let partition_data = vec![PartitionProduceData { index: 0, records }];
    let topic = TopicProduceData { partition_data, ..Default::default() };
    let produce = ProduceRequest { acks: -1, topic_data: vec![topic], ..Default::default() };
    let mut taken = 0;
    while !client.paused {
        client.send(produce.clone(), 9).unwrap();
        taken += 1;
    }
    assert_eq!(taken, 32, "one MiB each");
}

proptest! {
    #[test]
    fn bytes_from_nowhere_do_no_harm(
        key in prop::sample::select(ApiKey::ALL.to_vec()),
        version in -1..20_i16,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut client = Client::new();
        let mut frame = Vec::new();
        frame.extend(i32::try_from(bytes.len() + 8).unwrap().to_be_bytes());
        frame.extend(key.number().to_be_bytes());
        frame.extend(version.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(bytes);
        let _ = client.bytes(&frame);
    }

    #[test]
    fn a_damaged_request_leaves_the_session_sound(at: prop::sample::Index, byte: u8) {
        let mut client = Client::new();
        let mut frame = client.frame(&MetadataRequest::default().into(), 12).to_vec();
        let at = at.index(frame.len() - 4) + 4;
        frame[at] = byte;
        if client.bytes(&frame).is_ok() {
            let _ = client.send(ApiVersionsRequest::default(), 0);
        }
    }
}
