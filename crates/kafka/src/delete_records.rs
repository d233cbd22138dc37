//! DeleteRecords: the first offset of a partition moves up; -1 removes all that there is.

use kafka_codec::ErrorCode;
use kafka_codec::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_codec::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use protocol::{PurgeStream, Reply, Request, StreamRef, Which};

use crate::call::{Begun, Call, Desk, Step};
use crate::produce::signed;
use crate::refusal;

#[derive(Debug)]
struct Waiting {
    topics: Vec<DeleteRecordsTopicResult>,
    /// Topic and partition in `topics` for each purge.
    places: Vec<(usize, usize)>,
    left: usize,
}

pub(crate) fn begin(request: DeleteRecordsRequest, desk: &mut Desk<'_>) -> Begun {
    let mut waiting = Waiting { topics: Vec::new(), places: Vec::new(), left: 0 };
    for topic in request.topics {
        let stream = StreamRef::Name(topic.name.bytes().clone());
        let mut answers = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let mut answer = DeleteRecordsPartitionResult {
                partition_index: partition.partition_index,
                low_watermark: -1,
                ..Default::default()
            };
            let below = match partition.offset {
                -1 => Ok(None),
                offset => u64::try_from(offset).map(Some).map_err(|_| ErrorCode::OffsetOutOfRange),
            };
            let number =
                u32::try_from(partition.partition_index).map_err(|_| refusal::unknown(&stream));
            match number.and_then(|number| Ok((number, below?))) {
                Ok((number, below)) => {
                    let index = u32::try_from(waiting.places.len()).unwrap_or(u32::MAX);
                    waiting.places.push((waiting.topics.len(), answers.len()));
                    let which = Which::Below(below);
                    let purge = PurgeStream { stream: stream.clone(), partition: number, which };
                    desk.ask(index, Request::PurgeStream(purge));
                }
                Err(code) => answer.error_code = code.into(),
            }
            answers.push(answer);
        }
        waiting.topics.push(DeleteRecordsTopicResult { name: topic.name, partitions: answers });
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
        let stream = StreamRef::Name(topic.name.bytes().clone());
        let Some(answer) = topic.partitions.get_mut(partition) else { return Step::Wait };
        if let Reply::StreamPurged(purged) = reply {
            answer.low_watermark = signed(purged.first);
        } else {
            answer.error_code = refusal::code(&refusal::of(reply), &stream).into();
        }
        self.left -= 1;
        if self.left == 0 { Step::answer(self.answer()) } else { Step::Wait }
    }
}

impl Waiting {
    fn answer(&mut self) -> DeleteRecordsResponse {
        DeleteRecordsResponse { topics: std::mem::take(&mut self.topics), ..Default::default() }
    }
}
