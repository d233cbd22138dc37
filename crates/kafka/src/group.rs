//! The coordinator of consumer groups: Kafka's classic group protocol as one state machine.
//!
//! ```text
//! command        commands taken apart
//! state          a group, its members, and the invariants between them
//! join           JoinGroup: who comes in, and whether that rebalances
//! rebalance      waiting for members, the next generation
//! presence       SyncGroup, Heartbeat, LeaveGroup
//! offsets        committed offsets and their rows
//! positions      OffsetCommit, OffsetFetch, expiry of offsets
//! describe       ListGroups, DescribeGroups
//! member, turn, timers, bounds
//! ```
//!
//! Committed offsets are durable before a commit is answered. The groups themselves are not kept:
//! after a restart the members are unknown and join again, and whoever has offsets is an empty
//! group. What a member says about itself and what it is assigned are bytes that nobody here reads.
//!
//! Absent: the consumer protocol of KIP-848, share groups, transactions. Offsets stay when a topic
//! is deleted: nobody tells.

pub mod bounds;

mod command;
mod describe;
mod join;
mod member;
mod offsets;
mod positions;
mod presence;
mod rebalance;
mod state;
mod timers;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bytes::Bytes;
use kafka_codec::messages::delete_groups_response::DeletableGroupResult;
use kafka_codec::messages::describe_groups_response::DescribedGroup;
use kafka_codec::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_codec::messages::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_codec::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    LeaveGroupRequest, ListGroupsRequest, ListGroupsResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use kafka_codec::{AnyRequest, ErrorCode, Message, Text};
use protocol::{ConnId, Effects, Module, Now, Proposer};

use crate::GROUP_MODULE;
use bounds::{GROUP_ID_BYTES_MAX, GROUPS_MAX, NODE_BYTES_MAX, RINGS_PER_CALL};
use command::{Client, Command};
use member::Join;
use offsets::Committed;
use state::{Group, State};
use timers::Timers;
use turn::{ByConnection, Random, Turn, Waiter};

/// The first OffsetFetch about several groups.
const FIRST_FETCH_OF_GROUPS: i16 = 8;
/// The first OffsetCommit that is told of a missing group by name (KIP-848).
const FIRST_COMMIT_WITH_NOT_FOUND: i16 = 9;

/// All consumer groups of a node.
#[derive(Debug)]
pub struct Groups {
    groups: BTreeMap<Text, Group>,
    timers: Timers,
    /// Who waits for an answer, by connection.
    parked: ByConnection,
    random: Random,
    /// Bytes that the groups hold, about.
    held_bytes: usize,
    /// Groups of an earlier run that no clock was set for yet.
    restored: bool,
}

impl Groups {
    /// No groups; member ids are made from `seed`, which must be unpredictable.
    pub const fn new(seed: u64) -> Self {
        Self {
            groups: BTreeMap::new(),
            timers: Timers::new(),
            parked: ByConnection::new(),
            random: Random::new(seed),
            held_bytes: 0,
            restored: false,
        }
    }

    /// Restored groups count as empty from the first call on: when their members left is unknown.
    fn wake(&mut self, now: Now, out: &mut Effects) {
        if !std::mem::take(&mut self.restored) {
            return;
        }
        for id in self.groups.keys().cloned().collect::<Vec<_>>() {
            self.with(&id, now, out, |group, _| group.empty_since_ms = now.unix_ms);
        }
    }

    /// Lets a group work, then sets its sweep, its weight, and drops it if nothing is left of it.
    fn with<R>(
        &mut self,
        id: &Text,
        now: Now,
        out: &mut Effects,
        work: impl FnOnce(&mut Group, &mut Turn<'_>) -> R,
    ) -> Option<R> {
        let group = self.groups.get_mut(id)?;
        let room = NODE_BYTES_MAX.saturating_sub(self.held_bytes);
        let (timers, parked, random) = (&mut self.timers, &mut self.parked, &mut self.random);
        let mut turn = Turn { now, timers, parked, random, out, room };
        let result = work(group, &mut turn);
        let kept = group.settle(&mut turn);
        if !kept {
            group.close(&mut turn);
        }
        let weight = if kept { group.weight() } else { 0 };
        self.held_bytes = (self.held_bytes + weight).saturating_sub(group.counted);
        group.counted = weight;
        if !kept {
            self.groups.remove(id);
        }
        Some(result)
    }

    /// Makes sure that a group exists; false when there are too many.
    fn create(&mut self, id: &Text, now: Now) -> bool {
        if self.groups.contains_key(id) {
            return true;
        }
        if self.groups.len() >= GROUPS_MAX {
            return false;
        }
        let group = Group::new(id, now.unix_ms);
        self.groups.insert(group.id.clone(), group);
        true
    }

    fn join(&mut self, join: &Join, now: Now, out: &mut Effects) {
        let request = &join.request;
        let id = &request.group_id;
        let refused = if let Err(code) = check_group(id) {
            Some(code)
        } else if let Err(code) = join::check(request) {
            Some(code)
        } else if request.member_id.is_empty() && !self.create(id, now) {
            Some(ErrorCode::GroupMaxSizeReached)
        } else if !self.groups.contains_key(id) {
            Some(ErrorCode::UnknownMemberId)
        } else {
            None
        };
        if let Some(code) = refused {
            let response = join::refusal(code, request.member_id.clone());
            out.answers.push((join.waiter.from, response.encode(join.waiter.version)));
            return;
        }
        self.with(id, now, out, |group, turn| group.join(join, turn));
    }

    fn leave(
        &mut self,
        waiter: Waiter,
        request: &LeaveGroupRequest,
        now: Now,
        out: &mut Effects,
    ) -> Bytes {
        let version = waiter.version;
        let refused = |code| presence::left(version, request, |_, _| Err(code));
        let response = match check_group(&request.group_id) {
            Err(code) => refused(code),
            Ok(()) => self
                .with(&request.group_id, now, out, |group, turn| {
                    group.leave(version, request, turn)
                })
                .unwrap_or_else(|| refused(ErrorCode::UnknownMemberId)),
        };
        response.encode(version)
    }

    fn commit(
        &mut self,
        version: i16,
        request: &OffsetCommitRequest,
        now: Now,
        out: &mut Effects,
    ) -> OffsetCommitResponse {
        let id = &request.group_id;
        let refused = |code| positions::committed(request, |_, _| code);
        if version >= positions::FIRST_BY_ID {
            return refused(ErrorCode::UnknownTopicId);
        }
        if id.len() > GROUP_ID_BYTES_MAX {
            return refused(ErrorCode::InvalidGroupId);
        }
        if !self.groups.contains_key(id) {
            if request.generation_id_or_member_epoch >= 0 {
                return refused(if version >= FIRST_COMMIT_WITH_NOT_FOUND {
                    ErrorCode::GroupIdNotFound
                } else {
                    ErrorCode::IllegalGeneration
                });
            }
            if !self.create(id, now) {
                return refused(ErrorCode::InvalidCommitOffsetSize);
            }
        }
        self.with(id, now, out, |group, turn| group.commit(request, turn))
            .unwrap_or_else(|| refused(ErrorCode::CoordinatorNotAvailable))
    }

    fn fetch(&self, version: i16, request: OffsetFetchRequest) -> OffsetFetchResponse {
        if version < FIRST_FETCH_OF_GROUPS {
            let topics = request.topics.map(|topics| {
                let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
                    name: topic.name,
                    partition_indexes: topic.partition_indexes,
                    ..Default::default()
                });
                topics.collect()
            });
            let group_id = request.group_id;
            let one = OffsetFetchRequestGroup { group_id, topics, ..Default::default() };
            let fetched = positions::fetched(self.groups.get(&one.group_id), &one);
            return OffsetFetchResponse { topics: positions::plain(fetched), ..Default::default() };
        }
        let mut seen = BTreeSet::new();
        let groups = request.groups.into_iter().map(|one| {
            let code = if !seen.insert(one.group_id.clone()) {
                // The same answer again and again would be more than the request pays for.
                ErrorCode::InvalidRequest
            } else if version >= positions::FIRST_BY_ID {
                ErrorCode::UnknownTopicId
            } else {
                return positions::fetched(self.groups.get(&one.group_id), &one);
            };
            let (group_id, error_code) = (one.group_id, code.number());
            OffsetFetchResponseGroup { group_id, error_code, ..Default::default() }
        });
        OffsetFetchResponse { groups: groups.collect(), ..Default::default() }
    }

    fn list(&self, request: &ListGroupsRequest) -> ListGroupsResponse {
        let groups = self.groups.values().filter(|group| group.passes(request));
        ListGroupsResponse { groups: groups.map(Group::listed).collect(), ..Default::default() }
    }

    fn describe(&self, version: i16, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
        let mut seen = BTreeSet::new();
        let groups = request.groups.into_iter().map(|id| {
            if !seen.insert(id.clone()) {
                let error_code = ErrorCode::InvalidRequest.number();
                return DescribedGroup { group_id: id, error_code, ..Default::default() };
            }
            match self.groups.get(&id) {
                Some(group) => group.described(),
                None => describe::unknown(id, version),
            }
        });
        DescribeGroupsResponse { groups: groups.collect(), ..Default::default() }
    }

    fn delete(
        &mut self,
        request: DeleteGroupsRequest,
        now: Now,
        out: &mut Effects,
    ) -> DeleteGroupsResponse {
        let mut results = Vec::with_capacity(request.groups_names.len());
        for id in request.groups_names {
            let code = match self.groups.get(&id).map(|group| group.state) {
                None => ErrorCode::GroupIdNotFound,
                Some(State::Preparing | State::Completing | State::Stable) => {
                    ErrorCode::NonEmptyGroup
                }
                Some(State::Empty) => {
                    self.with(&id, now, out, |group, turn| {
                        group.forget_all(turn);
                        group.close(turn);
                        // Nothing is left of it, and nobody saw its generations.
                        group.generation = 0;
                    });
                    ErrorCode::None
                }
            };
            results.push(DeletableGroupResult { group_id: id, error_code: code.number() });
        }
        DeleteGroupsResponse { results, ..Default::default() }
    }

    fn carry_out(
        &mut self,
        waiter: Waiter,
        client: Client,
        request: AnyRequest,
        now: Now,
        out: &mut Effects,
    ) {
        let version = waiter.version;
        let answer = match request {
            AnyRequest::JoinGroup(request) => {
                return self.join(&Join { waiter, client, request }, now, out);
            }
            AnyRequest::SyncGroup(request) => {
                let id = &request.group_id;
                let checked = check_group(id);
                let sync = |group: &mut Group, turn: &mut Turn<'_>| {
                    group.sync(waiter, &request, turn);
                };
                if checked.is_ok() && self.with(id, now, out, sync).is_some() {
                    return;
                }
                presence::unsynced(checked.err().unwrap_or(ErrorCode::UnknownMemberId))
                    .encode(version)
            }
            AnyRequest::Heartbeat(request) => {
                let id = &request.group_id;
                let result = check_group(id).and_then(|()| {
                    self.with(id, now, out, |group, turn| group.heartbeat(&request, turn))
                        .unwrap_or(Err(ErrorCode::UnknownMemberId))
                });
                presence::heard(result).encode(version)
            }
            AnyRequest::LeaveGroup(request) => self.leave(waiter, &request, now, out),
            AnyRequest::OffsetCommit(request) => {
                self.commit(version, &request, now, out).encode(version)
            }
            AnyRequest::OffsetFetch(request) => self.fetch(version, request).encode(version),
            AnyRequest::ListGroups(request) => self.list(&request).encode(version),
            AnyRequest::DescribeGroups(request) => self.describe(version, request).encode(version),
            AnyRequest::DeleteGroups(request) => self.delete(request, now, out).encode(version),
            AnyRequest::Produce(_)
            | AnyRequest::Fetch(_)
            | AnyRequest::ListOffsets(_)
            | AnyRequest::Metadata(_)
            | AnyRequest::FindCoordinator(_)
            | AnyRequest::ApiVersions(_)
            | AnyRequest::CreateTopics(_)
            | AnyRequest::DeleteTopics(_)
            | AnyRequest::InitProducerId(_)
            | AnyRequest::DescribeConfigs(_)
            | AnyRequest::AlterConfigs(_)
            | AnyRequest::IncrementalAlterConfigs(_)
            | AnyRequest::DeleteRecords(_)
            | AnyRequest::DescribeCluster(_)
            | AnyRequest::DescribeTopicPartitions(_)
            | AnyRequest::SaslHandshake(_)
            | AnyRequest::SaslAuthenticate(_) => return,
        };
        out.answers.push((waiter.from, answer));
    }
}

/// A group with members has a name.
fn check_group(id: &Text) -> Result<(), ErrorCode> {
    if id.is_empty() || id.len() > GROUP_ID_BYTES_MAX {
        return Err(ErrorCode::InvalidGroupId);
    }
    Ok(())
}

impl Module for Groups {
    fn name(&self) -> &'static str {
        GROUP_MODULE
    }

    /// A row of a format that is not known is left alone.
    fn restore(&mut self, key: &[u8], value: &[u8]) {
        let Some((group, topic, partition)) = offsets::parse_row_key(key) else { return };
        let Some(committed) = Committed::from_row(value) else { return };
        let group = self.groups.entry(group).or_insert_with_key(|id| Group::new(id, 0));
        group.offsets.put(&topic, partition, committed);
        let weight = group.weight();
        self.held_bytes = (self.held_bytes + weight).saturating_sub(group.counted);
        group.counted = weight;
        self.restored = true;
    }

    /// The key is not looked at: commands name their groups.
    fn propose(
        &mut self,
        now: Now,
        from: Proposer,
        _key: Bytes,
        command: Bytes,
        out: &mut Effects,
    ) {
        self.wake(now, out);
        match Command::parse(command) {
            Command::Whole { version, client, request } => {
                self.carry_out(Waiter { from, version }, client, *request, now, out);
            }
            Command::Broken { api, version } => {
                out.answers.extend(command::broken(api, version).map(|answer| (from, answer)));
            }
            Command::Unknown => {}
        }
    }

    fn gone(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        self.wake(now, out);
        let first = (conn, Text::default(), Text::default());
        let waiting: Vec<_> =
            self.parked.range(first..).take_while(|(of, _, _)| *of == conn).cloned().collect();
        for (_, group, member) in &waiting {
            self.with(group, now, out, |group, turn| group.disconnect(member, conn, turn));
        }
        // Only now, or members of the lost connection would still count as joined.
        for (_, group, _) in &waiting {
            self.with(group, now, out, Group::try_complete);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn timeout(&mut self, now: Now, out: &mut Effects) {
        self.wake(now, out);
        for _ in 0..RINGS_PER_CALL {
            let Some((group, due)) = self.timers.pop(now.instant) else { break };
            self.with(&group, now, out, |group, turn| group.ring(&due, turn));
        }
    }
}
