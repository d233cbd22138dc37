//! Broken commands and bounds.

use bytes::Bytes;
use kafka::group::Groups;
use kafka::group::bounds::{MEMBER_ID_PREFIX_BYTES_MAX, MEMBERS_MAX};
use kafka_codec::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_codec::messages::{JoinGroupRequest, ListGroupsRequest};
use kafka_codec::sample::Sampler;
use kafka_codec::{AnyRequest, AnyResponse, ApiKey, Limits, Text};
use protocol::{Effects, Module, Proposer, Token};

use crate::script::{Bench, command, name};

const APIS: [ApiKey; 9] = [
    ApiKey::JoinGroup,
    ApiKey::SyncGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::ListGroups,
    ApiKey::DescribeGroups,
    ApiKey::DeleteGroups,
];

fn propose(bench: &mut Bench, command: Bytes) -> Vec<(Proposer, Bytes)> {
    let from = Proposer { conn: Bench::conn(0), token: Token(1) };
    let mut out = Effects::default();
    bench.groups.propose(bench.now, from, Bytes::new(), command, &mut out);
    out.answers
}

#[test]
fn a_command_that_is_cut_off_is_answered_in_its_version() {
    for api in APIS {
        let (first, last) = api.versions();
        for version in first..=last {
            let request = AnyRequest::sample(api, &mut Sampler::new(11, version));
            let whole = command(&request, version, "c");
            for end in 0..whole.len() {
                let mut bench = Bench::new();
                let answers = propose(&mut bench, whole.slice(..end));
                if end < 4 {
                    assert!(answers.is_empty());
                    continue;
                }
                assert_eq!(answers.len(), 1, "{api:?} {version} {end}");
                let body = answers[0].1.clone();
                AnyResponse::decode(api, version, body, &Limits::default()).expect("well formed");
            }
        }
    }
}

#[test]
fn every_request_of_every_version_gets_a_well_formed_answer() {
    for api in APIS {
        let (first, last) = api.versions();
        for version in first..=last {
            for seed in 0..200 {
                let mut bench = Bench::new();
                let request = AnyRequest::sample(api, &mut Sampler::new(seed, version));
                bench.ask(Bench::conn(0), version, request);
                bench.pass(std::time::Duration::from_secs(3600));
                assert!(bench.asked.is_empty(), "{api:?} {version} {seed}");
            }
        }
    }
}

#[test]
fn what_is_about_no_group_is_not_answered() {
    let mut bench = Bench::new();
    for api in ApiKey::ALL.iter().filter(|api| !APIS.contains(api)) {
        let version = api.versions().1;
        let request = AnyRequest::sample(*api, &mut Sampler::new(3, version));
        assert!(propose(&mut bench, command(&request, version, "c")).is_empty());
    }
    for start in [&b"\x00\x0b\x00\x63"[..], b"\x7f\xff\x00\x00", b"\xff\xff\xff\xff"] {
        assert!(propose(&mut bench, Bytes::copy_from_slice(start)).is_empty());
    }
}

#[test]
fn rows_that_cannot_be_read_are_left_alone() {
    let mut groups = Groups::new(1);
    for (key, value) in
        [(&b""[..], &b""[..]), (b"\0\x01g\0\x01t\0\0\0\0", b"\x02"), (b"\xff\xff", b"")]
    {
        groups.restore(key, value);
    }
    assert_eq!(groups.deadline(), None);
}

fn join(group: &str, metadata: usize) -> JoinGroupRequest {
    let protocol =
        JoinGroupRequestProtocol { name: "range".into(), metadata: Bytes::from(vec![0; metadata]) };
    JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    }
}

fn join_code(bench: &mut Bench, conn: u32, version: i16, request: JoinGroupRequest) -> String {
    let AnyResponse::JoinGroup(response) = bench.call(Bench::conn(conn), version, request) else {
        panic!("another answer")
    };
    name(response.error_code)
}

#[test]
fn a_group_has_a_greatest_number_of_members() {
    let mut bench = Bench::new();
    for _ in 0..MEMBERS_MAX {
        assert_eq!(join_code(&mut bench, 0, 4, join("g", 0)), "MemberIdRequired");
    }
    assert_eq!(join_code(&mut bench, 0, 4, join("g", 0)), "GroupMaxSizeReached");
    assert_eq!(join_code(&mut bench, 0, 3, join("g", 0)), "GroupMaxSizeReached");
    bench.gone(Bench::conn(0));
    assert_eq!(join_code(&mut bench, 1, 3, join("g", 0)), "None");
}

#[test]
fn the_members_of_a_group_bring_a_limited_number_of_bytes() {
    let mut bench = Bench::new();
    let mega = 1 << 20;
    assert_eq!(join_code(&mut bench, 0, 3, join("g", 20 * mega)), "None");
    assert_eq!(join_code(&mut bench, 1, 3, join("g", 20 * mega)), "GroupMaxSizeReached");
    assert_eq!(join_code(&mut bench, 1, 3, join("h", 33 * mega)), "GroupMaxSizeReached");
    assert_eq!(join_code(&mut bench, 1, 3, join("h", 31 * mega)), "None");
}

#[test]
fn all_groups_of_a_node_hold_a_limited_number_of_bytes() {
    let mut bench = Bench::new();
    let mega = 1 << 20;
    let mut joined = 0;
    while join_code(&mut bench, joined, 3, join(&format!("g{joined}"), 30 * mega)) == "None" {
        joined += 1;
    }
    assert_eq!(joined, 512 / 30);
    bench.pass(std::time::Duration::from_secs(10));
    assert_eq!(join_code(&mut bench, 0, 3, join("again", 30 * mega)), "None");
}

#[test]
fn a_group_that_nobody_joined_leaves_nothing_behind() {
    let mut bench = Bench::new();
    let request = JoinGroupRequest { protocols: Vec::new(), ..join("g", 0) };
    assert_eq!(join_code(&mut bench, 0, 3, request), "InconsistentGroupProtocol");
    assert_eq!(join_code(&mut bench, 0, 4, join("h", 0)), "MemberIdRequired");
    bench.gone(Bench::conn(0));
    let AnyResponse::ListGroups(response) =
        bench.call(Bench::conn(0), 0, ListGroupsRequest::default())
    else {
        panic!("another answer")
    };
    assert!(response.groups.is_empty());
    assert_eq!(bench.groups.deadline(), None);
}

#[test]
fn a_long_client_id_makes_a_member_id_that_every_version_can_hold() {
    let mut bench = Bench::new();
    let long = "ä".repeat(16_000);
    let answers = propose(&mut bench, command(&join("g", 0).into(), 0, &long));
    let body = answers[0].1.clone();
    let response = AnyResponse::decode(ApiKey::JoinGroup, 0, body, &Limits::default());
    let Ok(AnyResponse::JoinGroup(response)) = response else { panic!("{response:?}") };
    assert!(response.member_id.starts_with("ää"));
    assert!(response.member_id.len() <= MEMBER_ID_PREFIX_BYTES_MAX + 37);
}

#[test]
fn names_of_any_length_are_refused_before_they_are_kept() {
    let mut bench = Bench::new();
    let long = Text::from("x".repeat(2000));
    let mut named = join("g", 0);
    named.protocols[0].name = long.clone();
    let typed = JoinGroupRequest { protocol_type: long.clone(), ..join("g", 0) };
    let instance = JoinGroupRequest { group_instance_id: Some(long.clone()), ..join("g", 0) };
    let many = JoinGroupRequest {
        protocols: (0..101)
            .map(|at| JoinGroupRequestProtocol {
                name: format!("p{at}").into(),
                ..Default::default()
            })
            .collect(),
        ..join("g", 0)
    };
    for request in [named, typed, instance, many] {
        assert_eq!(join_code(&mut bench, 0, 6, request), "InvalidRequest");
    }
    let request = JoinGroupRequest { group_id: long, ..join("g", 0) };
    assert_eq!(join_code(&mut bench, 0, 6, request), "InvalidGroupId");
}
