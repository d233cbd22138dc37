//! SyncGroup and Heartbeat.

use crate::script::check;

/// Two members that have joined generation 2; `a` leads.
const PAIR: &str = "a join range=m
    < a joined 1 range leads a:m
    b join range=n
    a join range=m
    < a joined 2 range leads a:m b:n
    < b joined 2 range\n";

fn check_pair(script: &str) {
    check(&(PAIR.to_owned() + script));
}

#[test]
fn followers_wait_for_the_assignment_of_the_leader() {
    check_pair(
        "b sync
         x describe
         < x CompletingRebalance [] a:: b::
         a sync a=one b=two
         < a assigned \"one\"
         < b assigned \"two\"
         x describe
         < x Stable [range] a:m:one b:n:two",
    );
}

#[test]
fn a_sync_in_a_stable_group_is_answered_at_once() {
    check_pair(
        "a sync a=one b=two
         < a assigned \"one\"
         b sync v5
         < b assigned \"two\"
         b sync
         < b assigned \"two\"
         a sync a=other b=other
         < a assigned \"one\"",
    );
}

#[test]
fn who_is_left_out_of_the_assignment_gets_an_empty_one() {
    check_pair(
        "a sync v0 ghost=x
         < a assigned \"\"
         b sync v5
         < b assigned \"\"",
    );
}

#[test]
fn what_is_wrong_with_a_sync_is_said() {
    check_pair(
        "b sync gen=1
         < b IllegalGeneration
         b sync gen=3
         < b IllegalGeneration
         b sync id=ghost
         < b UnknownMemberId
         b sync group=
         < b InvalidGroupId
         b sync group=other
         < b UnknownMemberId
         b sync v5 type=connect
         < b InconsistentGroupProtocol
         b sync v5 protocol=sticky
         < b InconsistentGroupProtocol
         b sync instance=i
         < b UnknownMemberId
         b sync v5 type=consumer protocol=range
         c join range=m
         < b RebalanceInProgress
         b sync
         < b RebalanceInProgress",
    );
}

#[test]
fn a_second_sync_ends_the_first_that_still_waits() {
    check_pair(
        "b sync
         b sync
         < b RebalanceInProgress
         a sync a=1 b=2
         < a assigned \"1\"
         < b assigned \"2\"",
    );
}

#[test]
fn members_that_do_not_sync_in_time_are_out() {
    check(
        "a join range=m session=100 rebalance=20
         < a joined 1 range leads a:m
         b join range=n session=100 rebalance=20
         a join range=m session=100 rebalance=20
         < a joined 2 range leads a:m b:n
         < b joined 2 range
         b sync
         +20s
         < b RebalanceInProgress
         a beat
         < a UnknownMemberId
         b join range=n
         < b joined 3 range leads b:n",
    );
}

#[test]
fn a_stable_group_drops_followers_that_do_not_sync_in_time() {
    check(
        "a join range=m session=100 rebalance=20
         < a joined 1 range leads a:m
         b join range=n session=100 rebalance=20
         a join range=m session=100 rebalance=20
         < a joined 2 range leads a:m b:n
         < b joined 2 range
         a sync
         < a assigned \"\"
         +19s
         a beat
         < a None
         +1s
         b beat
         < b UnknownMemberId
         a beat
         < a RebalanceInProgress",
    );
}

#[test]
fn nobody_is_dropped_when_all_have_synced() {
    check(
        "a join range=m session=100 rebalance=20
         < a joined 1 range leads a:m
         a sync
         < a assigned \"\"
         +99s
         a beat
         < a None",
    );
}

#[test]
fn a_heartbeat_keeps_the_session_and_tells_of_a_rebalance() {
    check_pair(
        "a beat
         < a None
         a sync
         < a assigned \"\"
         b sync
         < b assigned \"\"
         +9s
         a beat
         < a None
         b beat v4
         < b None
         +9s
         a beat
         < a None
         b beat gen=1
         < b IllegalGeneration
         b beat id=ghost
         < b UnknownMemberId
         b beat id=
         < b UnknownMemberId
         b beat group=
         < b InvalidGroupId
         b beat group=other
         < b UnknownMemberId
         +1s
         b beat
         < b UnknownMemberId
         a beat
         < a RebalanceInProgress
         a join range=m
         < a joined 3 range leads a:m",
    );
}

#[test]
fn a_member_that_waits_for_an_answer_does_not_expire() {
    check(
        "a join range=m session=100 rebalance=200
         < a joined 1 range leads a:m
         b join range=n session=10
         a join range=m session=100 rebalance=200
         < a joined 2 range leads a:m b:n
         < b joined 2 range
         b sync
         +90s
         a beat
         < a None
         a sync a=1 b=2
         < a assigned \"1\"
         < b assigned \"2\"
         +9s
         b beat
         < b None",
    );
}

#[test]
fn a_member_whose_connection_is_lost_stays_until_its_session_times_out() {
    check_pair(
        "b sync
         gone b
         a sync a=1 b=2
         < a assigned \"1\"
         +5s
         b sync
         < b assigned \"2\"
         b beat
         < b None
         a beat
         < a None
         gone b
         +9s
         a beat
         < a None
         x describe
         < x Stable [range] a:m:1 b:n:2
         +1s
         a join range=m
         < a joined 3 range leads a:m",
    );
}

#[test]
fn a_member_whose_connection_is_lost_in_a_join_is_waited_for_again() {
    check_pair(
        "b join range=x
         gone b
         a join range=m
         +9s
         c join range=c
         b join range=x
         < a joined 3 range leads a:m b:x c:c
         < b joined 3 range
         < c joined 3 range",
    );
}

#[test]
fn a_member_that_was_never_told_its_id_goes_with_its_connection() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         b join v3 range=n
         a beat
         < a RebalanceInProgress
         gone b
         x describe
         < x PreparingRebalance [] a::
         a join range=m
         < a joined 2 range leads a:m",
    );
}
