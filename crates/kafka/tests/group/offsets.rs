//! OffsetCommit, OffsetFetch and the life of offsets.

use kafka_codec::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_codec::messages::{OffsetCommitRequest, OffsetFetchRequest};
use kafka_codec::{AnyResponse, Text};

use crate::script::{Bench, START_MS, check, command, name};

#[test]
fn a_consumer_without_a_group_commits_and_fetches() {
    check(
        "a commit t-0=5:meta t-1=6 gen=-1
         < a t-0:None t-1:None
         a fetch v9 t-0 t-1 t-2
         < a t-0=5:meta t-1=6: t-2=-1:
         a fetch v1 t-0 u-0
         < a t-0=5:meta u-0=-1:
         a fetch v7
         < a t-0=5:meta t-1=6:
         a fetch v8
         < a t-0=5:meta t-1=6:
         a commit t-0=3 gen=-1 v2
         < a t-0:None
         a fetch t-0
         < a t-0=3:
         x list
         < x g() Empty",
    );
}

#[test]
fn a_group_that_is_not_there_has_no_offsets_and_no_error() {
    check(
        "a fetch v1 t-0
         < a t-0=-1:
         a fetch v9 t-0
         < a t-0=-1:
         a fetch v9
         < a
         x list
         < x",
    );
}

#[test]
fn members_commit_in_their_generation_only() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         a commit t-0=1
         < a t-0:RebalanceInProgress
         a sync
         < a assigned \"\"
         a commit t-0=1
         < a t-0:None
         a commit t-0=2 gen=0
         < a t-0:IllegalGeneration
         a commit t-0=2 id=ghost
         < a t-0:UnknownMemberId
         a commit t-0=2 gen=-1 id=none
         < a t-0:UnknownMemberId
         a commit t-0=2 gen=-1
         < a t-0:IllegalGeneration
         a commit t-0=2 instance=i
         < a t-0:UnknownMemberId
         b join range=m
         a commit t-0=3
         < a t-0:None
         a fetch t-0
         < a t-0=3:",
    );
}

#[test]
fn a_generation_of_a_group_that_is_not_there_is_illegal() {
    check(
        "a commit t-0=1 gen=4 v8
         < a t-0:IllegalGeneration
         a commit t-0=1 gen=4 v9
         < a t-0:GroupIdNotFound
         x list
         < x",
    );
}

#[test]
fn a_group_without_members_can_be_moved_from_outside() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         a sync
         < a assigned \"\"
         a commit t-0=1
         < a t-0:None
         a leave
         < a left
         x commit t-0=0 gen=-1
         < x t-0:None
         x fetch t-0
         < x t-0=0:
         x commit t-0=9 gen=1
         < x t-0:UnknownMemberId",
    );
}

#[test]
fn a_commit_keeps_the_session() {
    check(
        "a join range=m session=10
         < a joined 1 range leads a:m
         a sync
         < a assigned \"\"
         +9s
         a commit t-0=1
         < a t-0:None
         +9s
         a beat
         < a None",
    );
}

#[test]
fn offsets_survive_a_restart_and_make_the_group_visible() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         a sync
         < a assigned \"\"
         a commit t-0=1:x
         < a t-0:None
         x commit s-7=9 gen=-1 group=simple
         < x s-7:None
         restart
         x list
         < x g() Empty, simple() Empty
         a fetch t-0
         < a t-0=1:x
         a fetch s-7 group=simple
         < a s-7=9:
         a beat
         < a UnknownMemberId
         a join range=m id=none
         < a joined 1 range leads a:m",
    );
}

/// Seconds of the seven days that offsets are kept.
const KEPT: u32 = 7 * 24 * 3600;

#[test]
fn offsets_are_kept_for_seven_days_after_the_group_became_empty() {
    let (nearly, hour) = (KEPT - 3700, 3600);
    check(&format!(
        "a join range=m session=1800
         < a joined 1 range leads a:m
         a sync
         < a assigned \"\"
         a commit t-0=1
         < a t-0:None
         +1000s
         a leave
         < a left
         +{nearly}s
         a fetch t-0
         < a t-0=1:
         +{hour}s
         a fetch t-0
         < a t-0=1:
         +{hour}s
         a fetch t-0
         < a t-0=-1:
         +{hour}s
         x list
         < x"
    ));
}

#[test]
fn offsets_from_outside_of_groups_are_kept_for_seven_days_after_the_commit() {
    let nearly = KEPT - 10;
    check(&format!(
        "a commit t-0=1 gen=-1
         < a t-0:None
         +3600s
         a commit t-1=1 gen=-1
         < a t-1:None
         +{nearly}s
         restart
         +3600s
         a fetch
         < a t-1=1:
         +3600s
         a fetch
         < a"
    ));
}

#[test]
fn offsets_of_a_group_that_was_in_use_are_kept_for_seven_days_after_a_restart() {
    let nearly = KEPT - 10;
    check(&format!(
        "a join range=m session=1800
         < a joined 1 range leads a:m
         a sync
         < a assigned \"\"
         a commit t-0=1
         < a t-0:None
         +{nearly}s
         restart
         +7200s
         a fetch
         < a t-0=1:
         +{nearly}s
         +3600s
         a fetch
         < a"
    ));
}

#[test]
fn expired_offsets_are_removed_from_disk_too() {
    let mut bench = Bench::new();
    let conn = Bench::conn(0);
    bench.call(conn, 8, commit("g", "t", 0, None));
    assert_eq!(bench.rows.len(), 1);
    bench.pass(std::time::Duration::from_secs(u64::from(KEPT) + 3600));
    assert!(bench.rows.is_empty());
    bench.restart();
    assert!(protocol::Module::deadline(&bench.groups).is_none(), "nothing is left");
}

#[test]
fn a_client_may_choose_how_long_an_old_commit_is_kept() {
    let mut bench = Bench::new();
    let conn = Bench::conn(0);
    let request = OffsetCommitRequest { retention_time_ms: 10_000, ..commit("g", "t", 0, None) };
    bench.call(conn, 4, request);
    bench.call(conn, 8, commit("g", "t", 1, None));
    bench.pass(std::time::Duration::from_secs(3600));
    assert_eq!(bench.rows.len(), 1);
}

fn commit(group: &str, topic: &str, partition: i32, metadata: Option<Text>) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: 3,
        committed_leader_epoch: 4,
        committed_metadata: metadata,
    };
    let topic = OffsetCommitRequestTopic {
        name: Text::from(topic),
        partitions: vec![partition],
        ..Default::default()
    };
    OffsetCommitRequest { group_id: Text::from(group), topics: vec![topic], ..Default::default() }
}

fn commit_code(bench: &mut Bench, version: i16, request: OffsetCommitRequest) -> String {
    let AnyResponse::OffsetCommit(response) = bench.call(Bench::conn(0), version, request) else {
        panic!("another answer")
    };
    name(response.topics[0].partitions[0].error_code)
}

#[test]
fn metadata_of_4096_bytes_fits_and_more_does_not() {
    let mut bench = Bench::new();
    let fits = Some(Text::from("x".repeat(4096)));
    let too_long = Some(Text::from("x".repeat(4097)));
    assert_eq!(commit_code(&mut bench, 8, commit("g", "t", 0, fits.clone())), "None");
    assert_eq!(commit_code(&mut bench, 8, commit("g", "t", 0, too_long)), "OffsetMetadataTooLarge");
    let all = OffsetFetchRequest { group_id: "g".into(), ..Default::default() };
    let AnyResponse::OffsetFetch(response) = bench.call(Bench::conn(0), 7, all) else {
        panic!("another answer")
    };
    let found = &response.topics[0].partitions[0];
    assert_eq!((&found.metadata, found.committed_leader_epoch), (&fits, 4));
}

#[test]
fn null_metadata_becomes_empty() {
    let mut bench = Bench::new();
    for version in [2, 8] {
        assert_eq!(commit_code(&mut bench, version, commit("g", "t", 0, None)), "None");
    }
    let all = OffsetFetchRequest { group_id: "g".into(), ..Default::default() };
    let AnyResponse::OffsetFetch(response) = bench.call(Bench::conn(0), 5, all) else {
        panic!("another answer")
    };
    assert_eq!(response.topics[0].partitions[0].metadata, Some(Text::default()));
}

#[test]
fn places_that_cannot_be_are_refused() {
    let mut bench = Bench::new();
    let long = "t".repeat(1025);
    for (topic, partition) in [("", 0), ("t", -1), (&*long, 0)] {
        let request = commit("g", topic, partition, None);
        assert_eq!(commit_code(&mut bench, 8, request), "UnknownTopicOrPartition");
    }
    let request = commit(&"g".repeat(1025), "t", 0, None);
    assert_eq!(commit_code(&mut bench, 8, request), "InvalidGroupId");
    assert!(bench.rows.is_empty());
}

#[test]
fn ids_of_topics_are_for_the_session_to_translate() {
    let mut bench = Bench::new();
    assert_eq!(commit_code(&mut bench, 10, commit("g", "t", 0, None)), "UnknownTopicId");
}

#[test]
fn an_answer_comes_with_the_rows_that_it_waits_for() {
    let mut bench = Bench::new();
    let request = commit("g", "t", 0, Some("m".into())).into();
    let from = protocol::Proposer { conn: Bench::conn(0), token: protocol::Token(1) };
    let mut out = protocol::Effects::default();
    let command = command(&request, 8, "c");
    protocol::Module::propose(&mut bench.groups, bench.now, from, "g".into(), command, &mut out);
    assert_eq!((out.answers.len(), out.rows.len()), (1, 1));
    let (key, value) = &out.rows[0];
    assert_eq!(&key[..], b"\0\x01g\0\x01t\0\0\0\0");
    let value = value.as_ref().unwrap();
    assert_eq!(&value[..14], b"\x01\0\0\0\0\0\0\0\0\x03\0\0\0\x04");
    assert_eq!(value[14..22], START_MS.to_be_bytes());
    assert!(value.ends_with(b"m"));
}
