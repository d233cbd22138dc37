//! Produce: one opaque batch per partition, acknowledged when the stream's mode is met.
//!
//! The batch is looked at only as far as its framing goes; checksum, counts, sizes and sequences
//! are the broker's to check. What `acks` asks for never lowers the mode of the stream: 1 and -1
//! both wait for it. 0 owes no answer, and Kafka's way to tell of a refusal is to close.

use bytes::Bytes;
use kafka_codec::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_codec::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_codec::messages::{ProduceRequest, ProduceResponse};
use kafka_codec::{ErrorCode, Records, Text};
use protocol::{Append, Close, Reply, Request, Wait};

use crate::call::{Begun, Call, Desk, Step};
use crate::coordinator::{TRANSACTION_CODE, TRANSACTION_TEXT};
use crate::fetch::stream_of;
use crate::refusal;

/// Below, a request is of message sets, which Kafka 4 does not take either.
const FIRST_OF_BATCHES: i16 = 3;
/// The first version that may carry zstd.
const FIRST_WITH_ZSTD: i16 = 7;
/// The first version in which topics are named by id.
const FIRST_BY_ID: i16 = 13;

#[derive(Debug)]
struct Waiting {
    /// The response, filled in as appends end.
    topics: Vec<TopicProduceResponse>,
    /// Topic and partition in `topics` for each append.
    places: Vec<(u32, u32)>,
    left: usize,
    silent: bool,
}

pub(crate) fn begin(request: &ProduceRequest, desk: &mut Desk<'_>) -> Begun {
    let silent = request.acks == 0;
    let whole = whole_refusal(request, desk.version());
    let mut waiting = Waiting { topics: Vec::new(), places: Vec::new(), left: 0, silent };
    let mut refused = false;
    for topic in &request.topic_data {
        let mut answers = Vec::with_capacity(topic.partition_data.len());
        for partition in &topic.partition_data {
            let mut answer = PartitionProduceResponse {
                index: partition.index,
                base_offset: -1,
                ..Default::default()
            };
            let checked = match &whole {
                Some(refusal) => Err(refusal.clone()),
                None => append(topic, partition, silent, desk.version()),
            };
            match checked {
                Ok(append) => {
                    let place = (waiting.topics.len(), answers.len());
                    let place = (u32::try_from(place.0), u32::try_from(place.1));
                    let (Ok(topic), Ok(partition)) = place else { continue };
                    let index = u32::try_from(waiting.places.len()).unwrap_or(u32::MAX);
                    waiting.places.push((topic, partition));
                    desk.ask(index, Request::Append(append));
                }
                Err((code, text)) => {
                    refused = true;
                    answer.error_code = code.into();
                    answer.error_message = Some(text);
                }
            }
            answers.push(answer);
        }
        waiting.topics.push(TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partition_responses: answers,
        });
    }
    if silent && refused {
        return Begun::Ended(unheard());
    }
    waiting.left = waiting.places.len();
    if waiting.left == 0 {
        return Begun::Ended(waiting.end());
    }
    Begun::waiting(waiting)
}

/// What is wrong with the request whatever its batches are.
fn whole_refusal(request: &ProduceRequest, version: i16) -> Option<(ErrorCode, Text)> {
    if version < FIRST_OF_BATCHES {
        Some((ErrorCode::UnsupportedVersion, Text::from_static("needs record batches")))
    } else if !matches!(request.acks, -1..=1) {
        Some((ErrorCode::InvalidRequiredAcks, Text::from_static("acks is -1, 0 or 1")))
    } else if request.transactional_id.is_some() {
        Some((TRANSACTION_CODE, TRANSACTION_TEXT))
    } else {
        None
    }
}

fn append(
    topic: &TopicProduceData,
    partition: &PartitionProduceData,
    silent: bool,
    version: i16,
) -> Result<Append, (ErrorCode, Text)> {
    let stream = stream_of(&topic.name, topic.topic_id, version >= FIRST_BY_ID);
    let Ok(number) = u32::try_from(partition.index) else {
        return Err((refusal::unknown(&stream), Text::from_static("no such partition")));
    };
    let batch = partition.records.clone().map(Records::into_bytes).unwrap_or_default();
    check_framing(&batch, version)?;
    let wait = if silent { Wait::Routed } else { Wait::Stored };
    Ok(Append { stream, partition: number, batch, wait })
}

/// Offsets in a record batch v2: `[base offset: i64][length: i32][leader epoch: i32][magic: i8]`
/// `[crc: u32][attributes: i16]...`; the length counts from behind itself.
const LENGTH_AT: usize = 8;
const LENGTH_FROM: usize = 12;
const MAGIC_AT: usize = 16;
const ATTRIBUTES_AT: usize = 21;
const HEADER_BYTES: usize = 61;
const ZSTD: u8 = 4;
const TRANSACTIONAL: u8 = 0x10;

fn check_framing(batch: &Bytes, version: i16) -> Result<(), (ErrorCode, Text)> {
    let refuse = |code, text| Err((code, Text::from_static(text)));
    let magic = batch.get(MAGIC_AT).copied();
    if batch.is_empty() || magic.is_some_and(|magic| magic != 2) {
        return refuse(ErrorCode::InvalidRecord, "a partition takes one batch of format 2");
    }
    let length = batch.get(LENGTH_AT..).and_then(|from| from.first_chunk().copied());
    let length = length.map(i32::from_be_bytes).and_then(|length| usize::try_from(length).ok());
    let (Some(length), true) = (length, batch.len() >= HEADER_BYTES) else {
        return refuse(ErrorCode::CorruptMessage, "the batch is cut");
    };
    match batch.len().cmp(&LENGTH_FROM.saturating_add(length)) {
        std::cmp::Ordering::Less => {
            return refuse(ErrorCode::CorruptMessage, "the batch is longer than its bytes");
        }
        std::cmp::Ordering::Greater => {
            return refuse(ErrorCode::InvalidRecord, "a partition takes one batch");
        }
        std::cmp::Ordering::Equal => {}
    }
    let attributes = batch.get(ATTRIBUTES_AT + 1).copied().unwrap_or_default();
    let codec = attributes & 0x07;
    if codec > ZSTD || (codec == ZSTD && version < FIRST_WITH_ZSTD) {
        return refuse(ErrorCode::UnsupportedCompressionType, "this codec is not for this version");
    }
    if attributes & TRANSACTIONAL != 0 {
        return Err((TRANSACTION_CODE, TRANSACTION_TEXT));
    }
    Ok(())
}

impl Call for Waiting {
    fn reply(&mut self, index: u32, reply: Reply, desk: &mut Desk<'_>) -> Step {
        let Some((topic, partition)) = self.places.get(index as usize).copied() else {
            return Step::Wait;
        };
        let Some(topic) = self.topics.get_mut(topic as usize) else { return Step::Wait };
        let stream = stream_of(&topic.name, topic.topic_id, desk.version() >= FIRST_BY_ID);
        let Some(answer) = topic.partition_responses.get_mut(partition as usize) else {
            return Step::Wait;
        };
        if let Reply::Appended(appended) = reply {
            answer.base_offset = signed(appended.base_offset);
            answer.log_start_offset = signed(appended.log_start);
        } else {
            let refused = refusal::of(reply);
            if self.silent {
                return unheard();
            }
            let code = refusal::code(&refused, &stream);
            answer.error_code = code.into();
            answer.error_message = refusal::message(&refused).map(Text::from);
            if code == ErrorCode::InvalidRecord {
                answer.record_errors = vec![BatchIndexAndErrorMessage {
                    batch_index: 0,
                    batch_index_error_message: answer.error_message.clone(),
                }];
            }
        }
        self.left -= 1;
        if self.left == 0 { self.end() } else { Step::Wait }
    }
}

impl Waiting {
    fn end(&mut self) -> Step {
        if self.silent {
            return Step::Silent;
        }
        let responses = std::mem::take(&mut self.topics);
        Step::answer(ProduceResponse { responses, ..Default::default() })
    }
}

/// A refused produce with acks=0: closing makes the client look for what is wrong.
fn unheard() -> Step {
    Step::Close(Close::Refused("a produce that asked for no answer was refused".to_owned()))
}

/// Offsets on the wire are signed.
pub(crate) fn signed(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}
