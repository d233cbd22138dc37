//! Scripts of group members, in a small notation, run against the coordinator.
//!
//! ```text
//! a join v5 range=m     a client sends a request; what it knows (member id, generation) is filled in
//! < a joined 1 range    an answer, after the line that caused it; several in order of clients
//! +10s                  time passes
//! gone a                the connection of a client is lost
//! ```
//!
//! Words that change a request: `v5` version, `id=` and `gen=` instead of what the client knows,
//! `instance=`, `type=`, `session=`, `rebalance=` (seconds), `group=`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka::group::Groups;
use kafka_codec::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_codec::messages::leave_group_request::MemberIdentity;
use kafka_codec::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_codec::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_codec::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_codec::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest,
    LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetFetchRequest,
    SyncGroupRequest,
};
use kafka_codec::wire::Writer;
use kafka_codec::{AnyRequest, AnyResponse, ApiKey, ErrorCode, Limits, Text};
use protocol::{ConnId, Effects, Module, Now, Proposer, Token};

/// The wall clock at the start.
pub(crate) const START_MS: i64 = 1_700_000_000_000;

/// The coordinator with a clock, and what it was asked.
pub(crate) struct Bench {
    pub(crate) groups: Groups,
    pub(crate) now: Now,
    start: Instant,
    next_token: u64,
    /// The proposer of the last request.
    pub(crate) last: Option<Proposer>,
    /// What is not answered yet.
    pub(crate) asked: BTreeMap<Proposer, (ApiKey, i16)>,
    /// What is durable.
    pub(crate) rows: BTreeMap<Bytes, Bytes>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let start = Instant::now();
        Self {
            groups: Groups::new(7),
            now: Now { instant: start, unix_ms: START_MS },
            start,
            next_token: 0,
            last: None,
            asked: BTreeMap::new(),
            rows: BTreeMap::new(),
        }
    }

    /// A new run of the server over the same rows.
    pub(crate) fn restart(&mut self) {
        self.groups = Groups::new(8);
        self.asked.clear();
        for (key, value) in &self.rows {
            self.groups.restore(key, value);
        }
    }

    pub(crate) fn conn(number: u32) -> ConnId {
        ConnId { worker: 0, slot: number, generation: 0 }
    }

    /// Proposes a request; the answers of all that are answered by it.
    pub(crate) fn ask(
        &mut self,
        conn: ConnId,
        version: i16,
        request: impl Into<AnyRequest>,
    ) -> Vec<(Proposer, AnyResponse)> {
        let request = request.into();
        let command = command(&request, version, "client");
        self.next_token += 1;
        let from = Proposer { conn, token: Token(self.next_token) };
        self.last = Some(from);
        self.asked.insert(from, (request.key(), version));
        let mut out = Effects::default();
        self.groups.propose(self.now, from, Bytes::new(), command, &mut out);
        self.take(out)
    }

    /// Proposes a request that is answered at once.
    pub(crate) fn call(
        &mut self,
        conn: ConnId,
        version: i16,
        request: impl Into<AnyRequest>,
    ) -> AnyResponse {
        let mut answers = self.ask(conn, version, request);
        assert_eq!(answers.len(), 1, "one answer");
        answers.remove(0).1
    }

    pub(crate) fn gone(&mut self, conn: ConnId) -> Vec<(Proposer, AnyResponse)> {
        self.asked.retain(|from, _| from.conn != conn);
        let mut out = Effects::default();
        self.groups.gone(self.now, conn, &mut out);
        self.take(out)
    }

    /// Lets time pass, with every deadline on the way.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<(Proposer, AnyResponse)> {
        let end = self.now.instant + time;
        let mut answers = Vec::new();
        while let Some(at) = self.groups.deadline().filter(|at| *at <= end) {
            self.set_clock(at.max(self.now.instant));
            let mut out = Effects::default();
            self.groups.timeout(self.now, &mut out);
            answers.extend(self.take(out));
        }
        self.set_clock(end);
        answers
    }

    fn set_clock(&mut self, instant: Instant) {
        let passed = instant.duration_since(self.start).as_millis();
        self.now = Now { instant, unix_ms: START_MS + i64::try_from(passed).unwrap() };
    }

    fn take(&mut self, out: Effects) -> Vec<(Proposer, AnyResponse)> {
        for (key, value) in out.rows {
            match value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
        let answers = out.answers.into_iter().map(|(from, body)| {
            let (api, version) = self.asked.remove(&from).expect("an answer to what was asked");
            let response = AnyResponse::decode(api, version, body, &Limits::default());
            (from, response.expect("well formed"))
        });
        answers.collect()
    }
}

/// A command as the session sends it.
pub(crate) fn command(request: &AnyRequest, version: i16, client: &str) -> Bytes {
    let mut command = Writer::new(version, false);
    command.put(&request.key().number());
    command.put(&version);
    command.put(&Text::from("/127.0.0.1"));
    command.put_nullable(Some(&Text::from(client)));
    let mut body = Writer::new(version, request.key().is_flexible(version));
    request.write(&mut body);
    command.put_slice(&body.into_bytes());
    command.into_bytes()
}

/// The name of an error code.
pub(crate) fn name(code: i16) -> String {
    use ErrorCode::*;
    let known = [
        None,
        UnknownTopicOrPartition,
        OffsetMetadataTooLarge,
        IllegalGeneration,
        InconsistentGroupProtocol,
        InvalidGroupId,
        UnknownMemberId,
        InvalidSessionTimeout,
        RebalanceInProgress,
        InvalidCommitOffsetSize,
        InvalidRequest,
        NonEmptyGroup,
        GroupIdNotFound,
        MemberIdRequired,
        GroupMaxSizeReached,
        FencedInstanceId,
        UnknownTopicId,
    ];
    let found = known.iter().find(|known| known.number() == code);
    found.map_or(format!("code {code}"), |known| format!("{known:?}"))
}

#[derive(Default)]
struct Client {
    id: Text,
    generation: i32,
}

struct Run {
    bench: Bench,
    /// By connection; the first client has connection 0.
    clients: Vec<(String, Client)>,
    /// Which client a member id was given to.
    names: BTreeMap<Text, String>,
}

/// Runs a script and compares its answers with those that stand in it.
pub(crate) fn check(script: &str) {
    let mut run = Run { bench: Bench::new(), clients: Vec::new(), names: BTreeMap::new() };
    let (mut expected, mut seen) = (String::new(), String::new());
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        writeln!(expected, "{line}").unwrap();
        if line.starts_with('<') {
            continue;
        }
        writeln!(seen, "{line}").unwrap();
        for answer in run.line(line) {
            writeln!(seen, "< {answer}").unwrap();
        }
    }
    assert!(expected == seen, "expected:\n{expected}\nseen:\n{seen}");
}

/// The value of `key=value` among the words.
fn value<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn seconds(words: &[&str], key: &str, default: i32) -> i32 {
    value(words, key).map_or(default, |value| value.parse().unwrap()) * 1000
}

/// The version that a word like `v5` says.
fn version(word: &str) -> Option<i16> {
    word.strip_prefix('v')?.parse().ok()
}

/// `topic-partition` taken apart.
fn place(word: &str) -> (Text, i32) {
    let (topic, partition) = word.rsplit_once('-').expect("topic-partition");
    (Text::from(topic), partition.parse().unwrap())
}

impl Run {
    fn line(&mut self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answers = match words.as_slice() {
            [time] if time.starts_with('+') => {
                let time: u64 = time.trim_matches(['+', 's']).parse().expect("+seconds");
                self.bench.pass(Duration::from_secs(time))
            }
            ["gone", name] => {
                let conn = self.client(name);
                self.bench.gone(Bench::conn(conn))
            }
            ["restart"] => {
                self.bench.restart();
                Vec::new()
            }
            [name, verb, rest @ ..] => self.request(name, verb, rest),
            _ => panic!("not understood: {line}"),
        };
        for (from, response) in &answers {
            self.learn(*from, response);
        }
        let told = answers.into_iter().map(|(from, response)| self.tell(from, response));
        let mut told: Vec<String> = told.collect();
        // Members are answered in the order of their ids, which are random.
        told.sort();
        told
    }

    fn client(&mut self, name: &str) -> u32 {
        let found = self.clients.iter().position(|(known, _)| known == name);
        let at = found.unwrap_or_else(|| {
            self.clients.push((name.to_owned(), Client::default()));
            self.clients.len() - 1
        });
        u32::try_from(at).unwrap()
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each verb")]
    fn request(&mut self, name: &str, verb: &str, words: &[&str]) -> Vec<(Proposer, AnyResponse)> {
        let conn = self.client(name);
        let client = &self.clients[conn as usize].1;
        let numbered = words.iter().find_map(|word| version(word));
        let group_id = Text::from(value(words, "group").unwrap_or("g"));
        let member_id = value(words, "id").map_or(client.id.clone(), |id| match id {
            "none" => Text::default(),
            id => self.id_of(id),
        });
        let generation_id =
            value(words, "gen").map_or(client.generation, |number| number.parse().unwrap());
        let group_instance_id = value(words, "instance").map(Text::from);
        let options =
            ["group", "id", "gen", "instance", "type", "session", "rebalance", "protocol"];
        let pairs: Vec<(&str, &str)> = words
            .iter()
            .filter_map(|word| word.split_once('='))
            .filter(|(key, _)| !options.contains(key))
            .collect();
        let plain = words.iter().filter(|word| !word.contains('='));
        let plain: Vec<&str> = plain.copied().filter(|word| version(word).is_none()).collect();
        let (version, request): (i16, AnyRequest) = match verb {
            "join" => {
                let protocols = pairs.iter().map(|(name, metadata)| JoinGroupRequestProtocol {
                    name: Text::from(*name),
                    metadata: Bytes::copy_from_slice(metadata.as_bytes()),
                });
                let request = JoinGroupRequest {
                    group_id,
                    member_id,
                    group_instance_id,
                    session_timeout_ms: seconds(words, "session", 10),
                    rebalance_timeout_ms: seconds(words, "rebalance", 60),
                    protocol_type: Text::from(value(words, "type").unwrap_or("consumer")),
                    protocols: protocols.collect(),
                    ..Default::default()
                };
                (numbered.unwrap_or(3), request.into())
            }
            "sync" => {
                let assignments = pairs.iter().map(|(name, bytes)| SyncGroupRequestAssignment {
                    member_id: self.id_of(name),
                    assignment: Bytes::copy_from_slice(bytes.as_bytes()),
                });
                let request = SyncGroupRequest {
                    group_id,
                    generation_id,
                    member_id,
                    group_instance_id,
                    protocol_type: value(words, "type").map(Text::from),
                    protocol_name: value(words, "protocol").map(Text::from),
                    assignments: assignments.collect(),
                };
                (numbered.unwrap_or(3), request.into())
            }
            "beat" => {
                let request =
                    HeartbeatRequest { group_id, generation_id, member_id, group_instance_id };
                (numbered.unwrap_or(3), request.into())
            }
            "leave" => {
                let identity = MemberIdentity {
                    member_id: member_id.clone(),
                    group_instance_id,
                    ..Default::default()
                };
                let request = LeaveGroupRequest { group_id, member_id, members: vec![identity] };
                (numbered.unwrap_or(1), request.into())
            }
            "commit" => {
                let topics = pairs.iter().map(|(at, offset)| {
                    let (name, partition_index) = place(at);
                    let (offset, metadata) = offset.split_once(':').unwrap_or((offset, ""));
                    let partition = OffsetCommitRequestPartition {
                        partition_index,
                        committed_offset: offset.parse().unwrap(),
                        committed_metadata: Some(Text::from(metadata)),
                        ..Default::default()
                    };
                    OffsetCommitRequestTopic {
                        name,
                        partitions: vec![partition],
                        ..Default::default()
                    }
                });
                let request = OffsetCommitRequest {
                    group_id,
                    member_id,
                    group_instance_id,
                    generation_id_or_member_epoch: generation_id,
                    topics: topics.collect(),
                    ..Default::default()
                };
                (numbered.unwrap_or(8), request.into())
            }
            "fetch" => {
                let version = numbered.unwrap_or(9);
                (version, fetch_request(version, group_id, &plain).into())
            }
            "list" => {
                let request = ListGroupsRequest {
                    states_filter: plain.iter().map(|state| Text::from(*state)).collect(),
                    types_filter: value(words, "type").map(Text::from).into_iter().collect(),
                };
                (numbered.unwrap_or(5), request.into())
            }
            "describe" => {
                let request =
                    DescribeGroupsRequest { groups: vec![group_id], ..Default::default() };
                (numbered.unwrap_or(5), request.into())
            }
            "delete" => {
                let groups_names = plain.iter().map(|name| Text::from(*name)).collect();
                (numbered.unwrap_or(2), DeleteGroupsRequest { groups_names }.into())
            }
            _ => panic!("not a request: {verb}"),
        };
        self.bench.ask(Bench::conn(conn), version, request)
    }

    fn id_of(&self, name: &str) -> Text {
        let known = self.clients.iter().find(|(known, _)| known == name);
        known.map_or_else(|| Text::from(name), |(_, client)| client.id.clone())
    }

    fn name_of(&self, id: &Text) -> String {
        self.names.get(id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// What a client knows from now on.
    fn learn(&mut self, from: Proposer, response: &AnyResponse) {
        let AnyResponse::JoinGroup(it) = response else { return };
        let (name, client) = &mut self.clients[from.conn.slot as usize];
        if matches!(it.error_code, 0 | 79) {
            self.names.insert(it.member_id.clone(), name.clone());
            client.id = it.member_id.clone();
        }
        if it.error_code == 0 {
            client.generation = it.generation_id;
        }
    }

    fn tell(&self, from: Proposer, response: AnyResponse) -> String {
        let name_of_client = &self.clients[from.conn.slot as usize].0;
        let told = match response {
            AnyResponse::JoinGroup(it) => {
                if it.error_code == 0 {
                    let protocol = it.protocol_name.unwrap_or_default();
                    let mut told = format!("joined {} {protocol}", it.generation_id);
                    if it.leader == it.member_id {
                        let mut members: Vec<String> = it
                            .members
                            .iter()
                            .map(|member| {
                                let metadata = String::from_utf8_lossy(&member.metadata);
                                format!("{}:{metadata}", self.name_of(&member.member_id))
                            })
                            .collect();
                        members.sort();
                        write!(told, " leads {}", members.join(" ")).unwrap();
                    } else {
                        assert!(it.members.is_empty(), "a follower is told nothing");
                    }
                    if it.skip_assignment { told + " skip" } else { told }
                } else {
                    assert_eq!(it.generation_id, -1);
                    name(it.error_code)
                }
            }
            AnyResponse::SyncGroup(it) if it.error_code == 0 => {
                format!("assigned {:?}", String::from_utf8_lossy(&it.assignment))
            }
            AnyResponse::SyncGroup(it) => name(it.error_code),
            AnyResponse::Heartbeat(it) => name(it.error_code),
            AnyResponse::LeaveGroup(it) => {
                let codes = it.members.iter().map(|member| member.error_code);
                let codes = std::iter::once(it.error_code).chain(codes).filter(|code| *code != 0);
                codes.map(name).next().unwrap_or_else(|| "left".to_owned())
            }
            AnyResponse::OffsetCommit(it) => {
                let all = it.topics.iter().flat_map(|topic| {
                    topic.partitions.iter().map(|partition| {
                        let at = format!("{}-{}", topic.name, partition.partition_index);
                        format!("{at}:{}", name(partition.error_code))
                    })
                });
                all.collect::<Vec<_>>().join(" ")
            }
            AnyResponse::OffsetFetch(it) => {
                assert_eq!(it.error_code, 0);
                let old = it.topics.iter().flat_map(|topic| {
                    topic.partitions.iter().map(|it| {
                        (&topic.name, it.partition_index, it.committed_offset, it.metadata.clone())
                    })
                });
                let topics = it.groups.iter().flat_map(|group| &group.topics);
                let new = topics.flat_map(|topic| {
                    topic.partitions.iter().map(|it| {
                        (&topic.name, it.partition_index, it.committed_offset, it.metadata.clone())
                    })
                });
                let all = old.chain(new).map(|(topic, partition, offset, metadata)| {
                    format!("{topic}-{partition}={offset}:{}", metadata.unwrap_or_default())
                });
                all.collect::<Vec<_>>().join(" ")
            }
            AnyResponse::ListGroups(it) => {
                let all = it.groups.iter().map(|group| {
                    format!("{}({}) {}", group.group_id, group.protocol_type, group.group_state)
                });
                all.collect::<Vec<_>>().join(", ")
            }
            AnyResponse::DescribeGroups(it) => {
                let group = &it.groups[0];
                let mut members: Vec<String> = group
                    .members
                    .iter()
                    .map(|member| {
                        let metadata = String::from_utf8_lossy(&member.member_metadata);
                        let assignment = String::from_utf8_lossy(&member.member_assignment);
                        let id = self.name_of(&member.member_id);
                        format!("{id}:{metadata}:{assignment}")
                    })
                    .collect();
                members.sort();
                let code = if group.error_code == 0 {
                    String::new()
                } else {
                    format!(" {}", name(group.error_code))
                };
                let protocol = &group.protocol_data;
                format!("{} [{protocol}] {}{code}", group.group_state, members.join(" "))
            }
            AnyResponse::DeleteGroups(it) => {
                let all = it
                    .results
                    .iter()
                    .map(|result| format!("{}:{}", result.group_id, name(result.error_code)));
                all.collect::<Vec<_>>().join(" ")
            }
            other => panic!("unexpected {other:?}"),
        };
        format!("{name_of_client} {}", told.trim_end()).trim_end().to_owned()
    }
}

fn fetch_request(version: i16, group_id: Text, places: &[&str]) -> OffsetFetchRequest {
    let places: Vec<(Text, i32)> = places.iter().map(|word| place(word)).collect();
    if version < 8 {
        let topics = places.into_iter().map(|(name, partition)| OffsetFetchRequestTopic {
            name,
            partition_indexes: vec![partition],
        });
        let topics: Vec<_> = topics.collect();
        let topics = (!topics.is_empty()).then_some(topics);
        return OffsetFetchRequest { group_id, topics, ..Default::default() };
    }
    let topics = places.into_iter().map(|(name, partition)| OffsetFetchRequestTopics {
        name,
        partition_indexes: vec![partition],
        ..Default::default()
    });
    let topics: Vec<_> = topics.collect();
    let topics = (!topics.is_empty()).then_some(topics);
    let group = OffsetFetchRequestGroup { group_id, topics, ..Default::default() };
    OffsetFetchRequest { groups: vec![group], ..Default::default() }
}
