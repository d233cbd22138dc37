//! ListGroups, DescribeGroups, DeleteGroups.

use kafka_codec::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_codec::messages::{DescribeGroupsRequest, OffsetFetchRequest};
use kafka_codec::{AnyResponse, Text};

use crate::script::{Bench, check, name};

#[test]
fn groups_are_listed_by_state_and_type() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         a sync
         < a assigned \"\"
         b join range=m group=h type=connect
         < b joined 1 range leads b:m
         c commit t-0=1 gen=-1 group=i
         < c t-0:None
         x list v0
         < x g(consumer) , h(connect) , i()
         x list
         < x g(consumer) Stable, h(connect) CompletingRebalance, i() Empty
         x list Stable
         < x g(consumer) Stable
         x list stable EMPTY
         < x g(consumer) Stable, i() Empty
         x list Strange
         < x
         x list type=Classic
         < x g(consumer) Stable, h(connect) CompletingRebalance, i() Empty
         x list type=consumer
         < x",
    );
}

#[test]
fn a_group_that_is_not_there_is_dead_and_an_error_from_version_6_on() {
    check(
        "x describe v0
         < x Dead []
         x describe v5
         < x Dead []
         x describe v6
         < x Dead []  GroupIdNotFound",
    );
}

#[test]
fn members_are_described_with_who_they_are() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         a sync a=all
         < a assigned \"all\"
         x describe v0
         < x Stable [range] a:m:all",
    );
}

#[test]
fn only_a_group_without_members_can_be_deleted() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         a sync
         < a assigned \"\"
         a commit t-0=1
         < a t-0:None
         x delete g h
         < x g:NonEmptyGroup h:GroupIdNotFound
         a leave
         < a left
         x delete v0 g g
         < x g:None g:GroupIdNotFound
         x fetch
         < x
         x list
         < x
         restart
         x list
         < x",
    );
}

#[test]
fn a_vacant_group_is_shown_for_ten_minutes() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         a leave
         < a left
         +599s
         x list
         < x g(consumer) Empty
         +1s
         x list
         < x",
    );
}

#[test]
fn a_group_named_again_in_one_request_is_not_told_again() {
    let mut bench = Bench::new();
    let groups = vec![Text::from("g"), Text::from("h"), Text::from("g")];
    let request = DescribeGroupsRequest { groups, ..Default::default() };
    let AnyResponse::DescribeGroups(response) = bench.call(Bench::conn(0), 5, request) else {
        panic!("another answer")
    };
    let codes: Vec<String> = response.groups.iter().map(|it| name(it.error_code)).collect();
    assert_eq!(codes, ["None", "None", "InvalidRequest"]);
    let one = OffsetFetchRequestGroup { group_id: "g".into(), ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![one.clone(), one], ..Default::default() };
    let AnyResponse::OffsetFetch(response) = bench.call(Bench::conn(0), 8, request) else {
        panic!("another answer")
    };
    let codes: Vec<String> = response.groups.iter().map(|it| name(it.error_code)).collect();
    assert_eq!(codes, ["None", "InvalidRequest"]);
}
