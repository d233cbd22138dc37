//! JoinGroup and the rebalance.

use crate::script::check;

#[test]
fn the_first_member_leads_the_first_generation_at_once() {
    check(
        "a join v3 range=m
         < a joined 1 range leads a:m
         a sync a=all
         < a assigned \"all\"
         a beat
         < a None
         x describe
         < x Stable [range] a:m:all",
    );
}

#[test]
fn a_new_member_is_told_its_id_first_from_version_4_on() {
    check(
        "a join v4 range=m
         < a MemberIdRequired
         x list
         < x g() Empty
         a join v4 range=m
         < a joined 1 range leads a:m
         b join v9 range=n
         < b MemberIdRequired
         x describe
         < x CompletingRebalance [] a::",
    );
}

#[test]
fn an_id_that_is_not_used_in_time_is_forgotten() {
    check(
        "a join v5 range=m session=10
         < a MemberIdRequired
         +10s
         x list
         < x
         a join v5 range=m
         < a UnknownMemberId",
    );
}

#[test]
fn an_id_that_was_given_out_holds_up_the_rebalance_until_it_is_used_or_forgotten() {
    check(
        "a join v5 range=m session=60
         < a MemberIdRequired
         b join v5 range=m session=10
         < b MemberIdRequired
         a join v5 range=m session=60
         b join v5 range=m session=60
         < a joined 1 range leads a:m b:m
         < b joined 1 range
         c join v5 range=m session=10
         < c MemberIdRequired
         a join v5 range=n session=60
         b join v5 range=n session=60
         +10s
         < a joined 2 range leads a:n b:n
         < b joined 2 range
         c join v5 range=m id=none
         < c MemberIdRequired
         a join v5 range=o session=60
         b join v5 range=o session=60
         +5s
         gone c
         < a joined 3 range leads a:o b:o
         < b joined 3 range",
    );
}

#[test]
fn members_are_waited_for_until_the_longest_rebalance_timeout() {
    check(
        "a join range=m rebalance=20 session=60
         < a joined 1 range leads a:m
         b join range=m rebalance=40 session=60
         a join range=m rebalance=20 session=60
         < a joined 2 range leads a:m b:m
         < b joined 2 range
         a sync
         < a assigned \"\"
         b sync
         < b assigned \"\"
         c join range=m rebalance=10 session=60
         a beat
         < a RebalanceInProgress
         +39s
         b beat
         < b RebalanceInProgress
         +1s
         < c joined 3 range leads c:m
         a beat
         < a UnknownMemberId",
    );
}

#[test]
fn in_version_0_the_session_timeout_is_the_rebalance_timeout() {
    check(
        "a join v0 range=m session=10 rebalance=60
         < a joined 1 range leads a:m
         a sync
         < a assigned \"\"
         b join v0 range=m session=10 rebalance=60
         +9s
         a beat
         < a RebalanceInProgress
         +1s
         < b joined 2 range leads b:m",
    );
}

#[test]
fn a_silent_member_does_not_hold_up_the_others_beyond_its_session() {
    check(
        "a join range=m session=10 rebalance=300
         < a joined 1 range leads a:m
         a sync
         < a assigned \"\"
         b join range=m session=10 rebalance=300
         +10s
         < b joined 2 range leads b:m",
    );
}

#[test]
fn a_leader_that_joins_again_rebalances_and_a_follower_with_the_same_metadata_does_not() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         b join range=m
         a join range=m
         < a joined 2 range leads a:m b:m
         < b joined 2 range
         a sync a=1 b=2
         < a assigned \"1\"
         b sync
         < b assigned \"2\"
         b join range=m
         < b joined 2 range
         x describe
         < x Stable [range] a:m:1 b:m:2
         a join range=m
         x describe
         < x PreparingRebalance [] a:: b::
         b join range=m
         < a joined 3 range leads a:m b:m
         < b joined 3 range",
    );
}

#[test]
fn a_follower_with_other_metadata_rebalances() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         b join range=m
         a join range=m
         < a joined 2 range leads a:m b:m
         < b joined 2 range
         a sync
         < a assigned \"\"
         b join range=new
         a beat
         < a RebalanceInProgress
         a join range=m
         < a joined 3 range leads a:m b:new
         < b joined 3 range",
    );
}

#[test]
fn a_join_that_is_repeated_while_the_assignment_is_made_gets_the_same_answer() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         a join range=m
         < a joined 1 range leads a:m
         a join range=other
         < a joined 2 range leads a:other",
    );
}

#[test]
fn a_second_join_ends_the_first_that_still_waits() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         b join range=m
         a join range=m
         < a joined 2 range leads a:m b:m
         < b joined 2 range
         a join range=x
         a join range=y
         < a RebalanceInProgress
         b join range=m
         < a joined 3 range leads a:y b:m
         < b joined 3 range",
    );
}

#[test]
fn most_votes_choose_among_the_protocols_that_all_speak() {
    check(
        "a join range=1 sticky=1 own=1
         < a joined 1 range leads a:1
         b join sticky=2 range=2
         c join sticky=3 other=3 range=3
         a join range=1 sticky=1 own=1
         < a joined 2 sticky leads a:1 b:2 c:3
         < b joined 2 sticky
         < c joined 2 sticky",
    );
}

#[test]
fn a_member_without_a_common_protocol_stays_outside() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         b join sticky=m
         < b InconsistentGroupProtocol
         b join range=m type=connect
         < b InconsistentGroupProtocol
         b join group=h
         < b InconsistentGroupProtocol
         x list
         < x g(consumer) CompletingRebalance",
    );
}

#[test]
fn what_is_wrong_with_a_join_is_said() {
    check(
        "a join range=m group=
         < a InvalidGroupId
         a join range=m session=5
         < a InvalidSessionTimeout
         a join range=m session=1801
         < a InvalidSessionTimeout
         a join range=m session=-1
         < a InvalidSessionTimeout
         a join range=m id=ghost
         < a UnknownMemberId
         a join range=m v5 instance=
         < a InvalidRequest
         a join range=m session=6
         < a joined 1 range leads a:m
         b join range=m session=1800 id=ghost
         < b UnknownMemberId",
    );
}

#[test]
fn a_new_member_that_waits_for_five_minutes_is_told_to_try_again() {
    check(
        "a join range=m session=1000 rebalance=1000
         < a joined 1 range leads a:m
         b join range=m session=1000
         +300s
         < b UnknownMemberId
         x describe
         < x PreparingRebalance [] a::
         a join range=m
         < a joined 2 range leads a:m",
    );
}

#[test]
fn many_members_that_start_together_are_one_generation() {
    let mut script = String::from("m0 join range=m\n< m0 joined 1 range leads m0:m\n");
    for member in 1..8 {
        script += &format!("m{member} join range=m\n");
    }
    script += "m0 join range=m\n";
    script += "< m0 joined 2 range leads m0:m m1:m m2:m m3:m m4:m m5:m m6:m m7:m\n";
    for member in 1..8 {
        script += &format!("< m{member} joined 2 range\n");
    }
    check(&script);
}
