//! OffsetCommit and OffsetFetch 10, which name topics by id (KIP-848).
//!
//! The module knows names only, so that old and new clients see the same positions. Ids become
//! names on the way in, names ids on the way out, and the module is spoken to in version 9.

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use kafka_codec::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_codec::messages::offset_fetch_request::OffsetFetchRequestTopics;
use kafka_codec::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_codec::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use kafka_codec::{ApiKey, ErrorCode, Limits, Message, Text, Uuid};
use protocol::{Reply, Request, StreamRef};

use crate::call::{Begun, Call, Desk, Step};
use crate::forward::{UNAVAILABLE, body_of, propose, unfetched};
use crate::metadata::text;

/// The last version that names topics by name.
const BY_NAME: i16 = 9;
/// The index of the question for names; the answers of groups come behind it.
const NAMES: u32 = 0;
/// The index of the question for the ids of names that nobody asked for.
const IDS: u32 = (1 << 24) - 1;

type Names = HashMap<Uuid, Text>;

fn ask_names(ids: impl Iterator<Item = Uuid>, desk: &mut Desk<'_>) {
    let mut seen = HashSet::new();
    let streams = ids.filter(|id| seen.insert(*id)).map(|id| StreamRef::Id(id.0)).collect();
    desk.ask(NAMES, Request::DescribeStreams { streams: Some(streams), create: false });
}

/// The names in a reply, by id.
fn names(reply: Reply) -> Names {
    let streams = if let Reply::Streams(streams) = reply { streams } else { Vec::new() };
    let known = streams.into_iter().filter(|stream| stream.refused.is_none());
    known.map(|stream| (Uuid(stream.id), text(&stream.name))).collect()
}

#[derive(Debug)]
struct Commit {
    request: OffsetCommitRequest,
    names: Names,
}

pub(crate) fn commit(request: OffsetCommitRequest, desk: &mut Desk<'_>) -> Begun {
    let commit = Commit { request, names: Names::new() };
    if commit.request.topics.is_empty() {
        let body = body_of(&commit.request, BY_NAME);
        let group = &commit.request.group_id;
        propose(NAMES + 1, group, ApiKey::OffsetCommit, BY_NAME, &body, desk);
    } else {
        ask_names(commit.request.topics.iter().map(|topic| topic.topic_id), desk);
    }
    Begun::waiting(commit)
}

impl Call for Commit {
    fn reply(&mut self, index: u32, reply: Reply, desk: &mut Desk<'_>) -> Step {
        if index > NAMES {
            let body = if let Reply::Proposed(body) = reply { Some(body) } else { None };
            return self.answer(body);
        }
        self.names = names(reply);
        let mut known = self.request.clone();
        known.topics.retain_mut(|topic| match self.names.get(&topic.topic_id) {
            Some(name) => {
                topic.name = name.clone();
                true
            }
            None => false,
        });
        if known.topics.is_empty() {
            return self.answer(None);
        }
        let body = body_of(&known, BY_NAME);
        propose(NAMES + 1, &known.group_id, ApiKey::OffsetCommit, BY_NAME, &body, desk);
        Step::Wait
    }
}

impl Commit {
    fn answer(&self, body: Option<Bytes>) -> Step {
        let response = body
            .and_then(|body| OffsetCommitResponse::decode(body, BY_NAME, &Limits::default()).ok());
        let mut codes: HashMap<(Text, i32), i16> = HashMap::new();
        for topic in response.into_iter().flat_map(|response| response.topics) {
            for partition in topic.partitions {
                codes.insert((topic.name.clone(), partition.partition_index), partition.error_code);
            }
        }
        let code = |id: Uuid, partition: i32| match self.names.get(&id) {
            None => ErrorCode::UnknownTopicId.number(),
            Some(name) => {
                codes.get(&(name.clone(), partition)).copied().unwrap_or(UNAVAILABLE.number())
            }
        };
        let topics = self.request.topics.iter().map(|topic| OffsetCommitResponseTopic {
            name: Text::default(),
            topic_id: topic.topic_id,
            partitions: topic
                .partitions
                .iter()
                .map(|partition| OffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: code(topic.topic_id, partition.partition_index),
                })
                .collect(),
        });
        Step::answer(OffsetCommitResponse { topics: topics.collect(), ..Default::default() })
    }
}

#[derive(Debug)]
struct Fetch {
    request: OffsetFetchRequest,
    names: Names,
    /// What the module said, by names, in the order of the request.
    groups: Vec<OffsetFetchResponseGroup>,
    left: usize,
}

pub(crate) fn fetch(request: OffsetFetchRequest, desk: &mut Desk<'_>) -> Begun {
    if request.groups.is_empty() {
        return Begun::answer(OffsetFetchResponse::default());
    }
    let groups: Vec<_> =
        request.groups.iter().map(|group| unfetched(group.group_id.clone())).collect();
    let mut fetch = Fetch { left: groups.len(), request, names: Names::new(), groups };
    let topics = fetch.request.groups.iter().filter_map(|group| group.topics.as_ref()).flatten();
    let ids: Vec<Uuid> = topics.map(|topic| topic.topic_id).collect();
    if ids.is_empty() {
        fetch.propose(desk);
    } else {
        ask_names(ids.into_iter(), desk);
    }
    Begun::waiting(fetch)
}

impl Call for Fetch {
    fn reply(&mut self, index: u32, reply: Reply, desk: &mut Desk<'_>) -> Step {
        match index {
            NAMES => {
                self.names = names(reply);
                self.propose(desk);
                Step::Wait
            }
            IDS => {
                self.names.extend(names(reply));
                self.answer()
            }
            _ => {
                self.take(index as usize - 1, reply);
                if self.left > 0 {
                    return Step::Wait;
                }
                self.ask_ids(desk)
            }
        }
    }
}

impl Fetch {
    /// Asks the module about each group.
    fn propose(&mut self, desk: &mut Desk<'_>) {
        for (at, group) in self.request.groups.iter().enumerate() {
            let mut one = group.clone();
            for topic in one.topics.iter_mut().flatten() {
                topic.name = self.names.get(&topic.topic_id).cloned().unwrap_or_default();
            }
            if let Some(topics) = &mut one.topics {
                topics.retain(|topic| self.names.contains_key(&topic.topic_id));
            }
            let request = OffsetFetchRequest {
                groups: vec![one],
                require_stable: self.request.require_stable,
                ..Default::default()
            };
            let body = body_of(&request, BY_NAME);
            let index = u32::try_from(at + 1).unwrap_or(u32::MAX);
            propose(index, &group.group_id, ApiKey::OffsetFetch, BY_NAME, &body, desk);
        }
    }

    fn take(&mut self, at: usize, reply: Reply) {
        if let Reply::Proposed(body) = reply
            && let Ok(mut response) = OffsetFetchResponse::decode(body, BY_NAME, &Limits::default())
            && let (Some(place), Some(group)) = (self.groups.get_mut(at), response.groups.pop())
        {
            *place = group;
        }
        self.left -= 1;
    }

    /// Names in answers about all topics have no id yet.
    fn ask_ids(&mut self, desk: &mut Desk<'_>) -> Step {
        let all = self.request.groups.iter().zip(&self.groups);
        let all = all.filter(|(asked, _)| asked.topics.is_none());
        let named = all.flat_map(|(_, group)| &group.topics);
        let unknown: HashSet<Bytes> = named.map(|topic| topic.name.bytes().clone()).collect();
        if unknown.is_empty() {
            return self.answer();
        }
        let streams = unknown.into_iter().map(StreamRef::Name).collect();
        desk.ask(IDS, Request::DescribeStreams { streams: Some(streams), create: false });
        Step::Wait
    }

    fn answer(&mut self) -> Step {
        let ids: HashMap<&Text, Uuid> = self.names.iter().map(|(id, name)| (name, *id)).collect();
        let mut groups = std::mem::take(&mut self.groups);
        for (asked, group) in self.request.groups.iter().zip(&mut groups) {
            let answered = std::mem::take(&mut group.topics);
            group.topics = match &asked.topics {
                _ if group.error_code != 0 => Vec::new(),
                None => answered.into_iter().filter_map(|topic| with_id(topic, &ids)).collect(),
                Some(topics) => topics.iter().map(|topic| self.one(topic, &answered)).collect(),
            };
        }
        Step::answer(OffsetFetchResponse { groups, ..Default::default() })
    }

    fn one(
        &self,
        asked: &OffsetFetchRequestTopics,
        answered: &[OffsetFetchResponseTopics],
    ) -> OffsetFetchResponseTopics {
        let name = self.names.get(&asked.topic_id);
        let found = name.and_then(|name| answered.iter().find(|topic| topic.name == **name));
        let partitions = match found {
            Some(found) => found.partitions.clone(),
            None => {
                let code = if name.is_some() { UNAVAILABLE } else { ErrorCode::UnknownTopicId };
                let unknown = |index: &i32| OffsetFetchResponsePartitions {
                    partition_index: *index,
                    committed_offset: -1,
                    metadata: Some(Text::default()),
                    error_code: code.into(),
                    ..Default::default()
                };
                asked.partition_indexes.iter().map(unknown).collect()
            }
        };
        OffsetFetchResponseTopics { name: Text::default(), topic_id: asked.topic_id, partitions }
    }
}

/// The topic under its id; none if the topic is gone.
fn with_id(
    mut topic: OffsetFetchResponseTopics,
    ids: &HashMap<&Text, Uuid>,
) -> Option<OffsetFetchResponseTopics> {
    topic.topic_id = *ids.get(&topic.name)?;
    Some(topic)
}
