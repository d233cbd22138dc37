//! ListOffsets: offsets by position or time, exact to the record.

use kafka_codec::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_codec::messages::{ListOffsetsRequest, ListOffsetsResponse};
use kafka_codec::{ErrorCode, Text};
use protocol::{Position, Reply, Request, StreamRef};

use crate::call::{Begun, Call, Desk, Step};
use crate::fetch::check_epoch;
use crate::metadata::LEADER_EPOCH;
use crate::produce::signed;
use crate::refusal;

#[derive(Debug)]
struct Waiting {
    topics: Vec<ListOffsetsTopicResponse>,
    /// Topic and partition in `topics` for each place asked for.
    places: Vec<(usize, usize)>,
    left: usize,
}

/// What a timestamp of the request means.
enum Wanted {
    Position(Position),
    /// Something that only tiered storage has.
    Nothing,
    Unknown,
}

fn wanted(timestamp: i64) -> Wanted {
    match timestamp {
        -1 => Wanted::Position(Position::Latest),
        // The earliest local one is the earliest: everything is local.
        -2 | -4 => Wanted::Position(Position::Earliest),
        -3 => Wanted::Position(Position::MaxTimestamp),
        // The last tiered one, and the first that awaits it.
        -5 | -6 => Wanted::Nothing,
        0.. => Wanted::Position(Position::Time(timestamp)),
        _ => Wanted::Unknown,
    }
}

pub(crate) fn begin(request: ListOffsetsRequest, desk: &mut Desk<'_>) -> Begun {
    let mut waiting = Waiting { topics: Vec::new(), places: Vec::new(), left: 0 };
    for topic in request.topics {
        let stream = StreamRef::Name(topic.name.bytes().clone());
        let mut answers = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let mut answer = ListOffsetsPartitionResponse {
                partition_index: partition.partition_index,
                timestamp: -1,
                offset: -1,
                leader_epoch: -1,
                ..Default::default()
            };
            let number =
                u32::try_from(partition.partition_index).map_err(|_| refusal::unknown(&stream));
            match check_epoch(partition.current_leader_epoch).and(number) {
                Err(code) => answer.error_code = code.into(),
                Ok(number) => match wanted(partition.timestamp) {
                    Wanted::Nothing => {}
                    Wanted::Unknown => {
                        answer.error_code = ErrorCode::UnsupportedVersion.into();
                    }
                    Wanted::Position(position) => {
                        let index = u32::try_from(waiting.places.len()).unwrap_or(u32::MAX);
                        waiting.places.push((waiting.topics.len(), answers.len()));
                        desk.ask(index, Request::Locate(stream.clone(), number, position));
                    }
                },
            }
            answers.push(answer);
        }
        waiting.topics.push(ListOffsetsTopicResponse { name: topic.name, partitions: answers });
    }
    waiting.left = waiting.places.len();
    if waiting.left == 0 {
        return Begun::answer(waiting.answer());
    }
    Begun::waiting(waiting)
}

impl Call for Waiting {
    fn reply(&mut self, index: u32, reply: Reply, _desk: &mut Desk<'_>) -> Step {
        let place = self.places.get(index as usize).copied();
        let topic = place.and_then(|(topic, _)| self.topics.get_mut(topic));
        let (Some((_, partition)), Some(topic)) = (place, topic) else { return Step::Wait };
        let stream = |name: &Text| StreamRef::Name(name.bytes().clone());
        let name = topic.name.clone();
        let Some(answer) = topic.partitions.get_mut(partition) else { return Step::Wait };
        if let Reply::Located(located) = reply {
            if let Some(located) = located {
                answer.offset = signed(located.offset);
                answer.timestamp = located.timestamp_ms;
                answer.leader_epoch = LEADER_EPOCH;
            }
        } else {
            answer.error_code = refusal::code(&refusal::of(reply), &stream(&name)).into();
        }
        self.left -= 1;
        if self.left == 0 { Step::answer(self.answer()) } else { Step::Wait }
    }
}

impl Waiting {
    fn answer(&mut self) -> ListOffsetsResponse {
        ListOffsetsResponse { topics: std::mem::take(&mut self.topics), ..Default::default() }
    }
}
