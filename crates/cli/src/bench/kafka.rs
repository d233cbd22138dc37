//! A Kafka producer: one topic, one partition, acks=all, batches of a fixed number of records.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_codec::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_codec::messages::metadata_response::MetadataResponse;
use kafka_codec::messages::produce_request::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use kafka_codec::messages::produce_response::ProduceResponse;
use kafka_codec::wire::{Records, Writer};
use kafka_codec::{ApiKey, Limits, Message, RequestHeader, Text, frame};

use super::Failure;
use super::dialect::{Dialect, Event, Role};

/// Before flexible encoding, after record batches: spoken by every broker of today.
const METADATA_VERSION: i16 = 4;
const PRODUCE_VERSION: i16 = 7;
const TIMEOUT_MS: i32 = 30_000;

#[derive(Debug)]
pub(super) struct Client {
    topic: Text,
    batch: Batch,
    batch_max: usize,
    correlation: i32,
    /// Records of the produce requests in flight; `None` stands for a metadata request.
    in_flight: VecDeque<Option<u64>>,
    ready: bool,
    limits: Limits,
}

impl Client {
    pub(super) fn new(role: &Role, batch_max: usize) -> Self {
        let topic = match role {
            Role::Publisher { topic, .. } | Role::Subscriber { topic, .. } => topic,
        };
        Self {
            topic: Text::from(topic.replace('/', ".")),
            batch: Batch::default(),
            batch_max,
            correlation: 0,
            in_flight: VecDeque::new(),
            ready: false,
            limits: Limits::default(),
        }
    }

    fn request(&mut self, api: ApiKey, version: i16, body: &[u8], out: &mut BytesMut) {
        self.correlation = self.correlation.wrapping_add(1);
        let mut writer = Writer::new(version, false);
        let header = RequestHeader {
            key: api.number(),
            version,
            correlation_id: self.correlation,
            client_id: Some(Text::from_static("robust-bench")),
        };
        header.write(api, &mut writer);
        let header = writer.into_bytes();
        let length = i32::try_from(header.len() + body.len()).unwrap_or(i32::MAX);
        out.put_i32(length);
        out.put_slice(&header);
        out.put_slice(body);
    }

    fn metadata(&mut self, out: &mut BytesMut) {
        let topic = MetadataRequestTopic { name: Some(self.topic.clone()), ..Default::default() };
        let request = MetadataRequest {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: true,
            ..Default::default()
        };
        self.in_flight.push_back(None);
        self.request(ApiKey::Metadata, METADATA_VERSION, &request.encode(METADATA_VERSION), out);
    }

    /// The topic may be on its way: a topic without a leader is asked for again.
    fn described(
        &mut self,
        body: Bytes,
        out: &mut BytesMut,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Failure> {
        let response = MetadataResponse::decode(body, METADATA_VERSION, &self.limits)
            .map_err(|error| Failure::peer(format!("bad metadata: {error}")))?;
        let leader = response
            .topics
            .first()
            .filter(|topic| topic.error_code == 0)
            .and_then(|topic| topic.partitions.iter().find(|part| part.partition_index == 0))
            .filter(|part| part.error_code == 0 && part.leader_id >= 0);
        if leader.is_some() {
            if !self.ready {
                self.ready = true;
                sink(Event::Ready);
            }
        } else {
            self.metadata(out);
        }
        Ok(())
    }

    fn produced(&self, body: Bytes) -> Result<(), Failure> {
        let response = ProduceResponse::decode(body, PRODUCE_VERSION, &self.limits)
            .map_err(|error| Failure::peer(format!("bad produce response: {error}")))?;
        let parts = response.responses.iter().flat_map(|topic| &topic.partition_responses);
        match parts.map(|part| part.error_code).find(|code| *code != 0) {
            None => Ok(()),
            Some(code) => Err(Failure::peer(format!("the server refused a batch: error {code}"))),
        }
    }
}

impl Dialect for Client {
    fn open(&mut self, out: &mut BytesMut) {
        self.metadata(out);
    }

    fn receive(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Failure> {
        loop {
            let frame = frame::decode(input, &self.limits);
            let Some(frame) =
                frame.map_err(|error| Failure::peer(format!("not Kafka: {error}")))?
            else {
                return Ok(());
            };
            // The correlation id: answers come in order.
            let body = frame.slice(4.min(frame.len())..);
            match self.in_flight.pop_front() {
                None => return Err(Failure::peer("an answer to no request")),
                Some(None) => self.described(body, out, sink)?,
                Some(Some(records)) => {
                    self.produced(body)?;
                    sink(Event::Acked(records));
                }
            }
        }
    }

    fn publish(&mut self, payload: &[u8], out: &mut BytesMut) {
        self.batch.push(payload);
        if self.batch.count() >= self.batch_max {
            self.flush(out);
        }
    }

    fn flush(&mut self, out: &mut BytesMut) {
        let records = self.batch.count();
        if records == 0 {
            return;
        }
        let data =
            PartitionProduceData { index: 0, records: Some(Records::new(vec![self.batch.take()])) };
        let topic = TopicProduceData {
            name: self.topic.clone(),
            partition_data: vec![data],
            ..Default::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: TIMEOUT_MS,
            topic_data: vec![topic],
            ..Default::default()
        };
        self.in_flight.push_back(Some(records as u64));
        self.request(ApiKey::Produce, PRODUCE_VERSION, &request.encode(PRODUCE_VERSION), out);
    }
}

/// A record batch (version 2) that is being filled.
///
/// ```text
/// [base offset: i64][length: i32][leader epoch: i32][magic: u8 = 2][crc32c: u32 of the rest]
/// [attributes: i16][last offset delta: i32][first and max timestamp: i64 each]
/// [producer id: i64][epoch: i16][base sequence: i32][records: i32]([length: varint][record])*
/// ```
#[derive(Debug, Default)]
struct Batch {
    records: BytesMut,
    record: BytesMut,
    count: i32,
}

impl Batch {
    fn count(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    fn push(&mut self, value: &[u8]) {
        self.record.clear();
        self.record.put_u8(0);
        put_varint(&mut self.record, 0);
        put_varint(&mut self.record, i64::from(self.count));
        put_varint(&mut self.record, -1);
        put_varint(&mut self.record, value.len() as i64);
        self.record.put_slice(value);
        put_varint(&mut self.record, 0);
        put_varint(&mut self.records, self.record.len() as i64);
        self.records.put_slice(&self.record);
        self.count += 1;
    }

    fn take(&mut self) -> Bytes {
        let mut tail = BytesMut::with_capacity(49 + self.records.len());
        tail.put_i16(0);
        tail.put_i32(self.count - 1);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now_ms = now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(0));
        tail.put_i64(now_ms);
        tail.put_i64(now_ms);
        tail.put_i64(-1);
        tail.put_i16(-1);
        tail.put_i32(-1);
        tail.put_i32(self.count);
        tail.put_slice(&self.records);
        let mut batch = BytesMut::with_capacity(21 + tail.len());
        batch.put_i64(0);
        batch.put_i32(i32::try_from(tail.len() + 9).unwrap_or(i32::MAX));
        batch.put_i32(-1);
        batch.put_u8(2);
        batch.put_u32(crc32c::crc32c(&tail));
        batch.put_slice(&tail);
        self.records.clear();
        self.count = 0;
        batch.freeze()
    }
}

/// A signed number in zigzag encoding, seven bits at a time.
fn put_varint(out: &mut BytesMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.put_u8((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::{Batch, BytesMut, put_varint};

    #[test]
    fn numbers_are_written_in_zigzag() {
        let cases: [(i64, &[u8]); 6] =
            [(0, &[0]), (-1, &[1]), (1, &[2]), (63, &[126]), (64, &[128, 1]), (-65, &[129, 1])];
        for (value, want) in cases {
            let mut out = BytesMut::new();
            put_varint(&mut out, value);
            assert_eq!(&out[..], want, "{value}");
        }
    }

    #[test]
    fn a_batch_says_its_own_length_and_count() {
        let mut batch = Batch::default();
        batch.push(b"one");
        batch.push(b"three");
        let bytes = batch.take();
        assert_eq!(bytes[8..12], u32::try_from(bytes.len() - 12).expect("small").to_be_bytes());
        assert_eq!(bytes[23..27], 1_u32.to_be_bytes(), "last offset delta");
        assert_eq!(bytes[57..61], 2_u32.to_be_bytes(), "records");
        assert_eq!(bytes[17..21], crc32c::crc32c(&bytes[21..]).to_be_bytes());
        assert_eq!(batch.count(), 0);
    }
}
