//! Random members against the invariants of the protocol.
//!
//! - Every proposal is answered once, or its connection is gone.
//! - Generations of a group only grow while it exists.
//! - One generation has one leader, and its roll lists whoever joined.
//! - Who syncs gets what the leader of that generation assigned to it.
//! - The same inputs give the same outputs.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_codec::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_codec::messages::leave_group_request::MemberIdentity;
use kafka_codec::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_codec::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_codec::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest, SyncGroupRequest,
};
use kafka_codec::{AnyRequest, AnyResponse, Text};
use proptest::prelude::*;
use protocol::{Module, Proposer};

use crate::script::Bench;

/// The members play in one group; the last two are static, and share an instance id.
const MEMBERS: usize = 6;
const STATIC_FROM: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Step {
    Join { member: usize, version: i16, protocols: u8, metadata: u8 },
    JoinAnew { member: usize, version: i16 },
    Sync { member: usize },
    Beat { member: usize },
    Leave { member: usize },
    Commit { member: usize },
    Describe,
    Delete,
    Gone { member: usize },
    Pass { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let member = 0..MEMBERS;
    prop_oneof![
        8 => (member.clone(), 0..=9_i16, 1..4_u8, 0..2_u8).prop_map(
            |(member, version, protocols, metadata)| Step::Join {
                member, version, protocols, metadata
            }
        ),
        1 => (member.clone(), 0..=9_i16).prop_map(|(member, version)| Step::JoinAnew {
            member, version
        }),
        8 => member.clone().prop_map(|member| Step::Sync { member }),
        3 => member.clone().prop_map(|member| Step::Beat { member }),
        1 => member.clone().prop_map(|member| Step::Leave { member }),
        2 => member.clone().prop_map(|member| Step::Commit { member }),
        1 => Just(Step::Describe),
        1 => Just(Step::Delete),
        1 => member.prop_map(|member| Step::Gone { member }),
        2 => (1..30_u64).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

#[derive(Default)]
struct Player {
    conn: u32,
    id: Text,
    generation: i32,
    /// Whom it leads.
    roll: Vec<Text>,
    /// Whether its assignment may be that of an earlier self.
    replaced: bool,
}

struct Model {
    bench: Bench,
    players: Vec<Player>,
    next_conn: u32,
    last_generation: i32,
    /// The leader of each generation, as the answers said.
    leaders: BTreeMap<i32, Text>,
    /// What syncs are to be answered with; none for a static member in the place of an earlier self.
    syncs: BTreeMap<Proposer, Option<Bytes>>,
    transcript: Vec<String>,
}

fn instance(member: usize) -> Option<Text> {
    (member >= STATIC_FROM).then(|| Text::from_static("instance"))
}

impl Model {
    fn new() -> Self {
        let players = (0..MEMBERS)
            .map(|member| Player { conn: u32::try_from(member).unwrap(), ..Player::default() });
        Self {
            bench: Bench::new(),
            players: players.collect(),
            next_conn: 100,
            last_generation: 0,
            leaders: BTreeMap::new(),
            syncs: BTreeMap::new(),
            transcript: Vec::new(),
        }
    }

    fn run(mut self, steps: &[Step]) -> Vec<String> {
        for step in steps {
            self.step(*step);
            self.check_description();
        }
        // Whoever still waits is answered once all sessions are over.
        for _ in 0..4 {
            let answers = self.bench.pass(Duration::from_secs(1200));
            self.take(answers);
        }
        assert!(self.bench.asked.is_empty(), "unanswered: {:?}", self.bench.asked);
        self.transcript
    }

    fn step(&mut self, step: Step) {
        let answers = match step {
            Step::Join { member, version, protocols, metadata } => {
                let all = ["range", "sticky"];
                let spoken = (0..2).filter(|bit| protocols & (1 << bit) != 0);
                let protocols = spoken.map(|at| JoinGroupRequestProtocol {
                    name: Text::from(all[at]),
                    metadata: Bytes::from(vec![metadata]),
                });
                let request = JoinGroupRequest {
                    protocols: protocols.collect(),
                    ..self.join_request(member, version)
                };
                self.ask(member, version, request)
            }
            Step::JoinAnew { member, version } => {
                self.players[member].id = Text::default();
                let request = self.join_request(member, version);
                self.ask(member, version, request)
            }
            Step::Sync { member } => {
                let player = &self.players[member];
                let generation = player.generation;
                let assignments = player.roll.iter().map(|id| SyncGroupRequestAssignment {
                    member_id: id.clone(),
                    assignment: assignment(generation, id),
                });
                let request = SyncGroupRequest {
                    group_id: "g".into(),
                    generation_id: generation,
                    member_id: player.id.clone(),
                    group_instance_id: instance(member),
                    assignments: assignments.collect(),
                    ..Default::default()
                };
                let expected = assignment(generation, &player.id);
                let expected = (!player.replaced).then_some(expected);
                let answers = self.ask(member, 3, request);
                let from = self.bench.last.expect("just asked");
                self.syncs.insert(from, expected);
                answers
            }
            Step::Beat { member } => {
                let request = HeartbeatRequest {
                    group_id: "g".into(),
                    generation_id: self.players[member].generation,
                    member_id: self.players[member].id.clone(),
                    group_instance_id: instance(member),
                };
                self.ask(member, 3, request)
            }
            Step::Leave { member } => {
                let identity = MemberIdentity {
                    member_id: self.players[member].id.clone(),
                    group_instance_id: instance(member),
                    ..Default::default()
                };
                let request = LeaveGroupRequest {
                    group_id: "g".into(),
                    members: vec![identity],
                    ..Default::default()
                };
                self.ask(member, 3, request)
            }
            Step::Commit { member } => {
                let topic = OffsetCommitRequestTopic {
                    name: "t".into(),
                    partitions: vec![OffsetCommitRequestPartition::default()],
                    ..Default::default()
                };
                let request = OffsetCommitRequest {
                    group_id: "g".into(),
                    generation_id_or_member_epoch: self.players[member].generation,
                    member_id: self.players[member].id.clone(),
                    group_instance_id: instance(member),
                    topics: vec![topic],
                    ..Default::default()
                };
                self.ask(member, 8, request)
            }
            Step::Describe => {
                let request =
                    DescribeGroupsRequest { groups: vec!["g".into()], ..Default::default() };
                self.bench.ask(Bench::conn(90), 5, request)
            }
            Step::Delete => {
                let request = DeleteGroupsRequest { groups_names: vec!["g".into()] };
                self.bench.ask(Bench::conn(90), 2, request)
            }
            Step::Gone { member } => {
                let conn = Bench::conn(self.players[member].conn);
                self.players[member].conn = self.next_conn;
                self.next_conn += 1;
                self.bench.gone(conn)
            }
            Step::Pass { seconds } => self.bench.pass(Duration::from_secs(seconds)),
        };
        self.take(answers);
    }

    fn join_request(&self, member: usize, version: i16) -> JoinGroupRequest {
        // A static member below version 5 is a dynamic one.
        let group_instance_id = instance(member).filter(|_| version >= 5);
        let protocol = JoinGroupRequestProtocol { name: "range".into(), ..Default::default() };
        JoinGroupRequest {
            group_id: "g".into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 20_000,
            member_id: self.players[member].id.clone(),
            group_instance_id,
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            ..Default::default()
        }
    }

    fn ask(
        &mut self,
        member: usize,
        version: i16,
        request: impl Into<AnyRequest>,
    ) -> Vec<(Proposer, AnyResponse)> {
        self.bench.ask(Bench::conn(self.players[member].conn), version, request)
    }

    fn take(&mut self, answers: Vec<(Proposer, AnyResponse)>) {
        for (from, answer) in answers {
            self.transcript.push(format!("{from:?} {answer:?}"));
            let conn = from.conn.slot;
            let Some(member) = self.players.iter().position(|player| player.conn == conn) else {
                continue;
            };
            if let AnyResponse::JoinGroup(answer) = answer {
                self.joined(member, answer);
            } else if let AnyResponse::SyncGroup(answer) = answer {
                let expected = self.syncs.remove(&from).expect("a sync was asked for");
                if answer.error_code == 0
                    && let Some(expected) = expected
                {
                    assert_eq!(answer.assignment, expected);
                }
            } else if let AnyResponse::DeleteGroups(answer) = answer
                && answer.results[0].error_code == 0
            {
                self.forget();
            }
        }
    }

    fn forget(&mut self) {
        self.last_generation = 0;
        self.leaders.clear();
    }

    fn joined(&mut self, member: usize, answer: JoinGroupResponse) {
        let player = &mut self.players[member];
        if answer.error_code == 79 {
            player.id = answer.member_id;
            return;
        }
        if answer.error_code != 0 {
            if answer.error_code == 25 {
                player.id = Text::default();
            }
            return;
        }
        let generation = answer.generation_id;
        let again = generation == player.generation;
        // A static member that came back in the same generation has the place of its earlier self.
        player.replaced = answer.member_id != player.id && generation == self.last_generation
            || again && player.replaced;
        let came_back = player.replaced;
        player.id = answer.member_id.clone();
        player.generation = generation;
        let leads = answer.leader == answer.member_id;
        let roll: Vec<Text> = answer.members.iter().map(|it| it.member_id.clone()).collect();
        if leads {
            assert!(roll.contains(&answer.member_id), "the leader is on its roll");
        } else {
            assert!(roll.is_empty(), "a follower is told nothing");
        }
        player.roll = roll;
        assert!(generation >= self.last_generation, "generations only grow");
        self.last_generation = generation;
        if came_back {
            self.leaders.insert(generation, answer.leader);
        } else {
            let leader = self.leaders.entry(generation).or_insert_with(|| answer.leader.clone());
            assert_eq!(*leader, answer.leader, "one leader in generation {generation}");
        }
    }

    /// What the group says about itself is consistent.
    fn check_description(&mut self) {
        let request = DescribeGroupsRequest { groups: vec!["g".into()], ..Default::default() };
        let mut answers = self.bench.ask(Bench::conn(91), 5, request);
        let Some((_, AnyResponse::DescribeGroups(mut answer))) = answers.pop() else {
            panic!("one answer at once")
        };
        let group = answer.groups.remove(0);
        match group.group_state.as_str() {
            "Dead" => {
                assert!(group.members.is_empty());
                self.forget();
            }
            "Empty" => assert!(group.members.is_empty(), "empty means without members"),
            "Stable" => {
                assert!(!group.protocol_data.is_empty(), "a stable group has a protocol");
                assert!(!group.members.is_empty());
                for member in &group.members {
                    assert!(!member.member_assignment.is_empty(), "everybody has an assignment");
                }
            }
            "PreparingRebalance" | "CompletingRebalance" => assert!(!group.members.is_empty()),
            state => panic!("unknown state {state}"),
        }
        if group.group_state != "Dead" {
            assert!(self.bench.groups.deadline().is_some(), "a group has a deadline");
        }
    }
}

fn assignment(generation: i32, id: &Text) -> Bytes {
    Bytes::from(format!("{generation} {id}"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_is_lost_and_every_generation_is_consistent(
        steps in proptest::collection::vec(step(), 1..120)
    ) {
        let first = Model::new().run(&steps);
        let second = Model::new().run(&steps);
        prop_assert_eq!(first, second, "the same inputs give the same outputs");
    }
}
