//! CreateTopics and DeleteTopics.
//!
//! A topic has one replica, on this node. A higher replication factor is taken and clamped, and the
//! answer says 1: Connect and others ask for 3 and give up otherwise.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_codec::messages::create_topics_request::CreatableTopic;
use kafka_codec::messages::create_topics_response::CreatableTopicResult;
use kafka_codec::messages::delete_topics_response::DeletableTopicResult;
use kafka_codec::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
};
use kafka_codec::{ErrorCode, Text, Uuid};
use protocol::{
    Declare, Declared, Destroy, Durability, Reply, Request, Retention, StreamDeclaration,
    StreamRef, StreamStatus,
};

use crate::call::{Begun, Call, Desk, Step};
use crate::metadata::{is_topic_name, text};
use crate::{refusal, settings};

/// Most partitions of one topic.
const PARTITIONS_MAX: i32 = 10_000;

type Refused = (ErrorCode, String);

#[derive(Debug)]
struct Creating {
    results: Vec<CreatableTopicResult>,
    /// The result that each ask is for.
    places: Vec<usize>,
    left: usize,
}

pub(crate) fn create(request: CreateTopicsRequest, desk: &mut Desk<'_>) -> Begun {
    let mut named: BTreeMap<Text, u32> = BTreeMap::new();
    for topic in &request.topics {
        *named.entry(topic.name.clone()).or_default() += 1;
    }
    let mut creating = Creating { results: Vec::new(), places: Vec::new(), left: 0 };
    for topic in request.topics {
        let mut result = CreatableTopicResult { name: topic.name.clone(), ..Default::default() };
        let checked = if named.get(&topic.name).is_some_and(|times| *times > 1) {
            Err((ErrorCode::InvalidRequest, "the request names this topic twice".to_owned()))
        } else {
            declaration(&topic, request.validate_only, desk)
        };
        match checked {
            Ok(declaration) => {
                let index = u32::try_from(creating.places.len()).unwrap_or(u32::MAX);
                creating.places.push(creating.results.len());
                desk.ask(index, Request::Declare(Declare::Stream(declaration)));
            }
            Err((code, text)) => {
                result.error_code = code.into();
                result.error_message = Some(text.into());
            }
        }
        creating.results.push(result);
    }
    creating.left = creating.places.len();
    if creating.left == 0 {
        return Begun::answer(creating.answer());
    }
    Begun::waiting(creating)
}

fn declaration(
    topic: &CreatableTopic,
    dry_run: bool,
    desk: &Desk<'_>,
) -> Result<StreamDeclaration, Refused> {
    let refuse = |code, text: &str| Err((code, text.to_owned()));
    if !is_topic_name(topic.name.as_bytes()) {
        return refuse(
            ErrorCode::InvalidTopicException,
            "a name has 1 to 249 characters of a-z, A-Z, 0-9, '.', '_' and '-'",
        );
    }
    let partitions = partitions(topic, desk.node().id)?;
    if topic.replication_factor < -1 || topic.replication_factor == 0 {
        return refuse(ErrorCode::InvalidReplicationFactor, "the replication factor is too low");
    }
    let mut declaration = StreamDeclaration {
        name: topic.name.bytes().clone(),
        filters: Vec::new(),
        partitions,
        retention: Retention::default(),
        durability: Durability::default(),
        dry_run,
    };
    for config in &topic.configs {
        let Some(value) = &config.value else { continue };
        settings::set(&config.name, value, desk.node(), &mut declaration.retention)
            .map_err(|text| (ErrorCode::InvalidConfig, text))?;
    }
    Ok(declaration)
}

/// The number of partitions asked for, 0 for the node's default.
fn partitions(topic: &CreatableTopic, node: i32) -> Result<u32, Refused> {
    let refuse = |code, text: &str| Err((code, text.to_owned()));
    if topic.assignments.is_empty() {
        return match topic.num_partitions {
            -1 => Ok(0),
            1..=PARTITIONS_MAX => Ok(u32::try_from(topic.num_partitions).unwrap_or_default()),
            _ => refuse(ErrorCode::InvalidPartitions, "a topic has 1 to 10000 partitions"),
        };
    }
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        let text = "a manual assignment leaves both numbers at -1";
        return refuse(ErrorCode::InvalidRequest, text);
    }
    let mut indexes: Vec<i32> =
        topic.assignments.iter().map(|assignment| assignment.partition_index).collect();
    indexes.sort_unstable();
    let dense = indexes.iter().zip(0..PARTITIONS_MAX).filter(|(found, at)| *found == at).count();
    if dense != indexes.len() {
        let text = "a manual assignment numbers partitions from 0 without gaps";
        return refuse(ErrorCode::InvalidReplicaAssignment, text);
    }
    if topic.assignments.iter().any(|assignment| assignment.broker_ids != [node]) {
        let text = "every partition is on this one node";
        return refuse(ErrorCode::InvalidReplicaAssignment, text);
    }
    Ok(u32::try_from(dense).unwrap_or_default())
}

impl Call for Creating {
    fn reply(&mut self, index: u32, reply: Reply, desk: &mut Desk<'_>) -> Step {
        let place = self.places.get(index as usize).copied();
        let Some(result) = place.and_then(|place| self.results.get_mut(place)) else {
            return Step::Wait;
        };
        if let Reply::Declared(Declared::Stream(status)) = reply {
            result.topic_id = Uuid(status.id);
            result.num_partitions = i32::try_from(status.partitions).unwrap_or(i32::MAX);
            result.replication_factor = 1;
            result.configs = Some(settings::of_created(&status, desk.node()));
        } else {
            let refused = refusal::of(reply);
            let stream = StreamRef::Name(result.name.bytes().clone());
            result.error_code = refusal::declare_code(&refused, &stream).into();
            result.error_message = refusal::message(&refused).map(Text::from);
        }
        self.left -= 1;
        if self.left == 0 { Step::answer(self.answer()) } else { Step::Wait }
    }
}

impl Creating {
    fn answer(&mut self) -> CreateTopicsResponse {
        CreateTopicsResponse { topics: std::mem::take(&mut self.results), ..Default::default() }
    }
}

/// First all topics are looked up, because an answer tells name and id; then they are destroyed.
#[derive(Debug)]
struct Deleting {
    responses: Vec<DeletableTopicResult>,
    asked: Vec<StreamRef>,
    left: usize,
}

/// The index of the look-up; the ones before are of the topics.
const LOOK_UP: u32 = (1 << 24) - 1;

pub(crate) fn delete(request: DeleteTopicsRequest, desk: &mut Desk<'_>) -> Begun {
    let mut asked: Vec<StreamRef> =
        request.topic_names.into_iter().map(|name| StreamRef::Name(name.into_bytes())).collect();
    asked.extend(request.topics.into_iter().map(|topic| match topic.name {
        Some(name) => StreamRef::Name(name.into_bytes()),
        None => StreamRef::Id(topic.topic_id.0),
    }));
    if asked.is_empty() {
        return Begun::answer(DeleteTopicsResponse::default());
    }
    desk.ask(LOOK_UP, Request::DescribeStreams { streams: Some(asked.clone()), create: false });
    Begun::waiting(Deleting { responses: Vec::new(), asked, left: 0 })
}

impl Call for Deleting {
    fn reply(&mut self, index: u32, reply: Reply, desk: &mut Desk<'_>) -> Step {
        if index == LOOK_UP {
            let streams = if let Reply::Streams(streams) = reply { streams } else { Vec::new() };
            return self.found(&streams, desk);
        }
        let asked = self.asked.get(index as usize);
        let (Some(response), Some(asked)) = (self.responses.get_mut(index as usize), asked) else {
            return Step::Wait;
        };
        if !matches!(reply, Reply::Destroyed(_) | Reply::Done) {
            response.error_code = refusal::code(&refusal::of(reply), asked).into();
        }
        self.left -= 1;
        self.step()
    }
}

impl Deleting {
    fn found(&mut self, streams: &[StreamStatus], desk: &mut Desk<'_>) -> Step {
        for (at, asked) in self.asked.iter().enumerate() {
            let mut response = match asked {
                StreamRef::Name(name) => named(name),
                StreamRef::Id(id) => {
                    DeletableTopicResult { name: None, topic_id: Uuid(*id), ..Default::default() }
                }
            };
            match streams.get(at) {
                None => response.error_code = refusal::unknown(asked).into(),
                Some(StreamStatus { refused: Some(refused), .. }) => {
                    response.error_code = refusal::code(refused, asked).into();
                }
                Some(status) => {
                    response.name = Some(text(&status.name));
                    response.topic_id = Uuid(status.id);
                    let index = u32::try_from(at).unwrap_or(u32::MAX);
                    let stream = StreamRef::Id(status.id);
                    desk.ask(index, Request::Destroy(Destroy::Stream(stream)));
                    self.left += 1;
                }
            }
            self.responses.push(response);
        }
        self.step()
    }

    fn step(&mut self) -> Step {
        if self.left > 0 {
            return Step::Wait;
        }
        let responses = std::mem::take(&mut self.responses);
        Step::answer(DeleteTopicsResponse { responses, ..Default::default() })
    }
}

fn named(name: &Bytes) -> DeletableTopicResult {
    DeletableTopicResult { name: Some(text(name)), ..Default::default() }
}
