//! For every advertised API and version, a generated request gets a well-formed answer.

use bytes::Bytes;
use kafka::advertised;
use kafka_codec::messages::ApiVersionsRequest;
use kafka_codec::sample::Sampler;
use kafka_codec::wire::{Reader, Writer};
use kafka_codec::{AnyRequest, AnyResponse, ApiKey, Limits, Records};
use protocol::{
    Appended, Authenticated, Close, Declare, Declared, Located, ReadOutcome, Refusal, Reply,
    Request, Retention, StreamPurged, StreamRef, StreamStatus,
};

use crate::client::{Client, batch};

fn refusal(bits: u64) -> Refusal {
    match bits % 8 {
        0 => Refusal::NotFound,
        1 => Refusal::OutOfRange,
        2 => Refusal::StorageUnavailable,
        3 => Refusal::InvalidRecord("bad"),
        4 => Refusal::Overlap(Bytes::from_static(b"other")),
        5 => Refusal::TooLarge(7),
        6 => Refusal::InvalidNumber,
        _ => Refusal::Limit("streams"),
    }
}

fn status(stream: &StreamRef, bits: u64) -> StreamStatus {
    StreamStatus {
        asked: stream.clone(),
        name: match stream {
            StreamRef::Name(name) => name.clone(),
            StreamRef::Id(id) => Bytes::from(format!("of-{}", id[0])),
        },
        id: match stream {
            StreamRef::Name(_) => [9; 16],
            StreamRef::Id(id) => *id,
        },
        partitions: 3,
        internal: false,
        retention: Retention { max_age_ms: Some(bits), ..Retention::default() },
        refused: bits.is_multiple_of(3).then(|| refusal(bits / 3)),
    }
}

/// What a group module would say: a random response in the command's version.
fn module_answer(command: &Bytes, seed: u64) -> Bytes {
    let mut reader = Reader::new(command.clone(), 0, false, &Limits::default());
    let api = ApiKey::from_number(reader.read().unwrap()).unwrap();
    let version: i16 = reader.read().unwrap();
    let mut writer = Writer::new(version, api.is_flexible(version));
    AnyResponse::sample(api, &mut Sampler::new(seed, version)).write(&mut writer);
    writer.into_bytes()
}

/// A broker that refuses now and then.
fn broker(request: &Request, seed: u64) -> Reply {
    let mut sampler = Sampler::new(seed, 0);
    let bits = sampler.bits();
    if bits.is_multiple_of(5) && !matches!(request, Request::Read(_)) {
        return Reply::Refused(refusal(bits / 5));
    }
    match request {
        Request::Append(_) => {
            Reply::Appended(Appended { base_offset: bits, log_start: 3, duplicate: false })
        }
        Request::Read(read) => Reply::Read(
            read.items
                .iter()
                .map(|item| ReadOutcome {
                    stream: item.stream.clone(),
                    partition: item.partition,
                    refused: sampler.bits().is_multiple_of(4).then(|| refusal(sampler.bits())),
                    end: sampler.bits(),
                    start: 0,
                    batches: vec![batch(4, 10), batch(0, 5000)],
                })
                .collect(),
        ),
        Request::Locate(..) => Reply::Located(
            bits.is_multiple_of(2).then_some(Located { offset: bits, timestamp_ms: 5 }),
        ),
        Request::DescribeStreams { streams, .. } => {
            let all = vec![StreamRef::Name(Bytes::from_static(b"a")); 4];
            let streams = streams.as_ref().unwrap_or(&all);
            Reply::Streams(streams.iter().map(|one| status(one, sampler.bits())).collect())
        }
        Request::Declare(Declare::Stream(declaration)) => {
            Reply::Declared(Declared::Stream(StreamStatus {
                refused: None,
                ..status(&StreamRef::Name(declaration.name.clone()), 1)
            }))
        }
        Request::Alter(alter) => Reply::Declared(Declared::Stream(StreamStatus {
            refused: None,
            ..status(&alter.stream, 1)
        })),
        Request::PurgeStream(_) => Reply::StreamPurged(StreamPurged { records: 1, first: bits }),
        Request::Destroy(_) => Reply::Destroyed(0),
        Request::NewProducer => Reply::ProducerId(7),
        Request::Propose(propose) => Reply::Proposed(module_answer(&propose.command, bits)),
        Request::Authenticate(_) => Reply::Authenticated(Authenticated::default()),
        Request::Publish(_)
        | Request::Subscribe(_)
        | Request::Unsubscribe(_)
        | Request::Claim(_)
        | Request::Release(_)
        | Request::Remember(_)
        | Request::Settle(_)
        | Request::Declare(Declare::Space(_) | Declare::Queue(_))
        | Request::Bind(_)
        | Request::Unbind(_)
        | Request::DescribeQueue(_)
        | Request::DescribeSpace(_)
        | Request::Purge(_)
        | Request::Consume(_)
        | Request::Cancel(_)
        | Request::Window { .. }
        | Request::Pull(_)
        | Request::OpenCursor(_)
        | Request::PullCursor(_)
        | Request::CloseCursor(_) => panic!("a session of Kafka does not ask {request:?}"),
    }
}

/// Random, but with batches that pass the session's own look at them half of the time.
fn request(api: ApiKey, version: i16, seed: u64) -> AnyRequest {
    let mut request = AnyRequest::sample(api, &mut Sampler::new(seed, version));
    if let AnyRequest::Produce(produce) = &mut request
        && seed.is_multiple_of(2)
    {
        produce.transactional_id = None;
        produce.acks = -1;
        for topic in &mut produce.topic_data {
            for partition in &mut topic.partition_data {
                partition.records = Some(Records::from(batch(1, 100)));
            }
        }
    }
    if let AnyRequest::Fetch(fetch) = &mut request {
        fetch.session_id = 0;
    }
    request
}

#[test]
fn every_advertised_version_gets_a_well_formed_answer() {
    for (api, first, last) in advertised() {
        for version in first..=last {
            for seed in 0..60 {
                let mut client = Client::new();
                let request = request(api, version, seed);
                let silent = matches!(&request, AnyRequest::Produce(produce) if produce.acks == 0);
                let mut outcome = client.send(request, version);
                let mut turn = seed << 8;
                while outcome.is_ok() && !client.asked.is_empty() {
                    let (token, asked) = client.asked.remove(0);
                    turn += 1;
                    outcome = client.reply(token.unwrap(), broker(&asked, turn));
                }
                if silent {
                    assert!(client.received.is_empty());
                    assert!(matches!(outcome, Ok(()) | Err(Close::Refused(_))));
                    continue;
                }
                outcome.unwrap_or_else(|close| panic!("{api:?} v{version}: {close:?}"));
                let (correlation, response) = client
                    .receive()
                    .unwrap_or_else(|| panic!("{api:?} v{version} seed {seed}: no answer"));
                assert_eq!(correlation, 0);
                assert_eq!(response.key(), api);
                assert_eq!(client.receive(), None, "one answer");
            }
        }
    }
}

#[test]
fn what_is_advertised_is_what_api_versions_tells() {
    let mut client = Client::new();
    client.send(ApiVersionsRequest::default(), 4).unwrap();
    let AnyResponse::ApiVersions(response) = client.response() else { panic!() };
    let told: Vec<_> = response
        .api_keys
        .iter()
        .map(|one| (one.api_key, one.min_version, one.max_version))
        .collect();
    let expected: Vec<_> = advertised().map(|(api, min, max)| (api.number(), min, max)).collect();
    assert_eq!(told, expected);
    // Ranges that clients look for by their old ends.
    assert!(told.contains(&(0, 0, 13)), "librdkafka compresses only if Produce begins at 0");
    assert!(told.contains(&(11, 0, 9)), "librdkafka joins groups only if JoinGroup begins at 0");
    assert!(told.contains(&(1, 4, 18)));
    assert!(response.supported_features.is_empty(), "no transactions");
}
