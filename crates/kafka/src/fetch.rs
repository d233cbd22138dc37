//! Fetch: batches from several partitions, waiting for them in the broker.
//!
//! Every fetch is whole: the session id in the answer is 0, which declines a session (KIP-227), so
//! a client keeps naming all its partitions. Batches go out as they are stored, shared.

use bytes::Bytes;
use kafka_codec::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_codec::messages::{FetchRequest, FetchResponse};
use kafka_codec::{ErrorCode, Records, Text, Uuid};
use protocol::{Read, ReadItem, ReadOutcome, Reply, Request, StreamRef};

use crate::call::{Begun, Call, Desk, Step};
use crate::metadata::LEADER_EPOCH;
use crate::produce::signed;
use crate::refusal;

/// Most bytes of one answer, whatever the client asks for (Kafka's `fetch.max.bytes`).
const ANSWER_BYTES_MAX: usize = 57_671_680;
/// The first version in which topics are named by id.
const FIRST_BY_ID: i16 = 13;
/// The first version that may carry zstd.
const FIRST_WITH_ZSTD: i16 = 10;
const READ_COMMITTED: i8 = 1;
/// The epoch of a fetch outside of sessions, or one that ends its session.
const FINAL_EPOCH: i32 = -1;

#[derive(Debug)]
struct Waiting {
    topics: Vec<FetchableTopicResponse>,
    /// Topic and partition in `topics` for each item read.
    places: Vec<(usize, usize)>,
    committed: bool,
}

pub(crate) fn begin(request: FetchRequest, desk: &mut Desk<'_>) -> Begun {
    let version = desk.version();
    if request.session_id != 0 && request.session_epoch != FINAL_EPOCH {
        // No session was ever granted.
        let error_code = ErrorCode::FetchSessionIdNotFound.into();
        return Begun::answer(FetchResponse { error_code, ..Default::default() });
    }
    let committed = request.isolation_level == READ_COMMITTED;
    let mut waiting = Waiting { topics: Vec::new(), places: Vec::new(), committed };
    let mut items = Vec::new();
    for topic in request.topics {
        let stream = stream_of(&topic.topic, topic.topic_id, version >= FIRST_BY_ID);
        let mut answers = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let mut answer = unread(partition.partition);
            let number = u32::try_from(partition.partition).map_err(|_| refusal::unknown(&stream));
            let offset =
                u64::try_from(partition.fetch_offset).map_err(|_| ErrorCode::OffsetOutOfRange);
            let epoch = check_epoch(partition.current_leader_epoch);
            match epoch.and(number).and_then(|number| offset.map(|offset| (number, offset))) {
                Ok((number, offset)) => {
                    waiting.places.push((waiting.topics.len(), answers.len()));
                    items.push(ReadItem {
                        stream: stream.clone(),
                        partition: number,
                        offset,
                        max_bytes: size(partition.partition_max_bytes),
                    });
                }
                Err(code) => answer.error_code = code.into(),
            }
            answers.push(answer);
        }
        waiting.topics.push(FetchableTopicResponse {
            topic: topic.topic,
            topic_id: topic.topic_id,
            partitions: answers,
        });
    }
    // Nothing to read, or news already: nothing to wait for.
    let refused = waiting
        .topics
        .iter()
        .any(|topic| topic.partitions.iter().any(|partition| partition.error_code != 0));
    if items.is_empty() {
        return Begun::answer(waiting.answer(Vec::new(), version));
    }
    let max_bytes = size(request.max_bytes).min(ANSWER_BYTES_MAX);
    let read = Read {
        items,
        min_bytes: size(request.min_bytes).min(max_bytes),
        max_bytes,
        wait_ms: if refused { 0 } else { u64::try_from(request.max_wait_ms).unwrap_or_default() },
    };
    desk.ask(0, Request::Read(read));
    Begun::waiting(waiting)
}

/// What a client believes of the leader's epoch, if it says so.
pub(crate) fn check_epoch(claimed: i32) -> Result<(), ErrorCode> {
    if claimed > LEADER_EPOCH { Err(ErrorCode::UnknownLeaderEpoch) } else { Ok(()) }
}

fn size(bytes: i32) -> usize {
    usize::try_from(bytes).unwrap_or_default()
}

fn unread(partition: i32) -> PartitionData {
    PartitionData {
        partition_index: partition,
        high_watermark: -1,
        records: Some(Records::default()),
        ..Default::default()
    }
}

impl Call for Waiting {
    fn reply(&mut self, _index: u32, reply: Reply, desk: &mut Desk<'_>) -> Step {
        let outcomes = if let Reply::Read(outcomes) = reply { outcomes } else { Vec::new() };
        Step::answer(self.answer(outcomes, desk.version()))
    }
}

impl Waiting {
    fn answer(&mut self, outcomes: Vec<ReadOutcome>, version: i16) -> FetchResponse {
        let mut outcomes = outcomes.into_iter();
        for (topic, partition) in &self.places {
            let topic = self.topics.get_mut(*topic);
            let answer = topic.and_then(|topic| topic.partitions.get_mut(*partition));
            let Some(answer) = answer else { continue };
            match outcomes.next() {
                Some(outcome) => fill(answer, outcome, version, self.committed),
                None => answer.error_code = ErrorCode::KafkaStorageError.into(),
            }
        }
        FetchResponse { responses: std::mem::take(&mut self.topics), ..Default::default() }
    }
}

fn fill(answer: &mut PartitionData, outcome: ReadOutcome, version: i16, committed: bool) {
    if let Some(refused) = outcome.refused {
        answer.error_code = refusal::code(&refused, &outcome.stream).into();
        return;
    }
    if version < FIRST_WITH_ZSTD && outcome.batches.iter().any(holds_zstd) {
        answer.error_code = ErrorCode::UnsupportedCompressionType.into();
        return;
    }
    answer.high_watermark = signed(outcome.end);
    answer.last_stable_offset = signed(outcome.end);
    answer.log_start_offset = signed(outcome.start);
    // Null unless asked for: franz-go complains otherwise.
    answer.aborted_transactions = committed.then(Vec::new);
    answer.records = Some(Records::new(outcome.batches));
}

/// Whether one of the batches in this piece is compressed with zstd.
fn holds_zstd(piece: &Bytes) -> bool {
    let mut rest = &piece[..];
    while let (Some(length), Some(attributes)) =
        (rest.get(8..).and_then(|from| from.first_chunk().copied()), rest.get(22))
    {
        if attributes & 0x07 == 4 {
            return true;
        }
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        rest = rest.get(length.saturating_add(12)..).unwrap_or_default();
    }
    false
}

/// The stream that a topic of a request names.
pub(crate) fn stream_of(name: &Text, id: Uuid, by_id: bool) -> StreamRef {
    if by_id { StreamRef::Id(id.0) } else { StreamRef::Name(name.bytes().clone()) }
}
