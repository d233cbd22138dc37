//! LeaveGroup.

use crate::script::check;

#[test]
fn who_leaves_is_not_waited_for() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         b join range=n
         a join range=m
         < a joined 2 range leads a:m b:n
         < b joined 2 range
         a sync
         < a assigned \"\"
         b leave
         < b left
         a beat
         < a RebalanceInProgress
         a join range=m
         < a joined 3 range leads a:m
         a sync
         < a assigned \"\"
         a leave v5
         < a left
         x describe
         < x Empty []",
    );
}

#[test]
fn a_leave_completes_a_rebalance_that_waits_for_it_only() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         b join range=n
         a leave v3
         < a left
         < b joined 2 range leads b:n",
    );
}

#[test]
fn an_id_that_was_given_out_can_be_given_back() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         b join v5 range=n
         < b MemberIdRequired
         a join range=x
         b leave v3
         < a joined 2 range leads a:x
         < b left",
    );
}

#[test]
fn a_waiting_member_that_leaves_is_answered() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         b join v5 range=n
         < b MemberIdRequired
         b join v5 range=n
         b leave
         < b UnknownMemberId
         < b left
         a join range=m
         < a joined 2 range leads a:m",
    );
}

#[test]
fn a_leave_of_nobody_is_refused() {
    check(
        "a leave v1 id=ghost
         < a UnknownMemberId
         a leave v5 id=ghost
         < a UnknownMemberId
         a leave v1 group=
         < a InvalidGroupId
         a join range=m
         < a joined 1 range leads a:m
         a leave v1 id=ghost
         < a UnknownMemberId
         a leave v3 id= instance=i
         < a UnknownMemberId
         a beat
         < a None",
    );
}

#[test]
fn a_new_leader_is_found_when_the_old_one_is_gone() {
    check(
        "a join range=m
         < a joined 1 range leads a:m
         b join range=n
         a join range=m
         < a joined 2 range leads a:m b:n
         < b joined 2 range
         b sync
         a leave
         < a left
         < b RebalanceInProgress
         b join range=n
         < b joined 3 range leads b:n
         b sync b=all
         < b assigned \"all\"",
    );
}
