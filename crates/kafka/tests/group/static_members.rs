//! Static members (KIP-345, KIP-814).

use crate::script::check;

/// A stable group of the static members `a` (leads) and `b`.
const PAIR: &str = "a join v5 range=m instance=A
    < a joined 1 range leads a:m
    b join v5 range=n instance=B
    a join v5 range=m instance=A
    < a joined 2 range leads a:m b:n
    < b joined 2 range
    a sync a=one b=two
    < a assigned \"one\"
    b sync
    < b assigned \"two\"\n";

fn check_pair(script: &str) {
    check(&(PAIR.to_owned() + script));
}

#[test]
fn a_follower_that_comes_back_keeps_its_assignment_without_a_rebalance() {
    check_pair(
        "c join v5 range=n instance=B
         < c joined 2 range
         c sync instance=B
         < c assigned \"two\"
         a beat instance=A
         < a None
         x describe
         < x Stable [range] a:m:one c:n:two",
    );
}

#[test]
fn the_old_self_is_fenced_off() {
    check_pair(
        "c join v5 range=n instance=B
         < c joined 2 range
         b beat instance=B
         < b FencedInstanceId
         b sync instance=B
         < b FencedInstanceId
         b join v5 range=n instance=B
         < b FencedInstanceId
         b commit t-0=5 instance=B
         < b t-0:FencedInstanceId
         b leave v3 instance=B
         < b FencedInstanceId
         b beat
         < b UnknownMemberId
         c beat instance=B
         < c None",
    );
}

#[test]
fn a_leader_that_comes_back_must_not_assign_anew() {
    check_pair(
        "c join v8 range=m instance=A
         < c joined 2 range
         c sync instance=A
         < c assigned \"one\"
         d join v9 range=m instance=A
         < d joined 2 range leads b:n d:m skip
         d sync instance=A v5
         < d assigned \"one\"
         e join v9 range=n instance=B
         < e joined 2 range",
    );
}

#[test]
fn a_static_member_whose_return_changes_the_protocol_rebalances() {
    check(
        "a join v5 range=m sticky=m instance=A
         < a joined 1 range leads a:m
         a sync
         < a assigned \"\"
         b join v5 sticky=m range=m instance=A
         < b joined 2 sticky leads b:m",
    );
}

#[test]
fn a_static_member_replaced_in_the_middle_of_a_rebalance_takes_its_place_there() {
    check_pair(
        "a join v5 range=m instance=A
         c join v5 range=z instance=A
         < a FencedInstanceId
         b join v5 range=n instance=B
         < b joined 3 range
         < c joined 3 range leads b:n c:z
         b sync
         d join v5 range=q instance=B
         < b FencedInstanceId
         c join v5 range=z instance=A
         < c joined 4 range leads c:z d:q
         < d joined 4 range",
    );
}

#[test]
fn a_static_member_may_be_away_during_a_rebalance() {
    check(
        "a join v5 range=m instance=A session=100 rebalance=10
         < a joined 1 range leads a:m
         a sync
         < a assigned \"\"
         b join v5 range=n instance=B session=100 rebalance=10
         +10s
         < b joined 2 range leads a:m b:n
         b sync a=one b=two
         < b assigned \"two\"
         +20s
         a beat instance=A
         < a IllegalGeneration
         a join v5 range=m instance=A
         < a joined 2 range
         a sync instance=A
         < a assigned \"one\"",
    );
}

#[test]
fn a_static_member_that_stays_away_is_out_after_its_session() {
    check(
        "a join v5 range=m instance=A session=30
         < a joined 1 range leads a:m
         a sync
         < a assigned \"\"
         gone a
         +29s
         x describe
         < x Stable [range] a:m:
         +1s
         x describe
         < x Empty []",
    );
}

#[test]
fn a_static_member_can_be_removed_by_its_instance_id() {
    check_pair(
        "x leave v3 id= instance=A
         < x left
         b join v5 range=n instance=B
         < b joined 3 range leads b:n
         x leave v5 id= instance=A
         < x UnknownMemberId
         a beat instance=A
         < a UnknownMemberId",
    );
}

#[test]
fn an_instance_that_nobody_knows_is_unknown() {
    check_pair(
        "a beat instance=Z
         < a UnknownMemberId
         a join v5 range=m instance=Z
         < a UnknownMemberId
         a beat instance=B
         < a FencedInstanceId",
    );
}

#[test]
fn when_only_static_members_are_left_and_all_are_away_the_rebalance_goes_on() {
    check(
        "a join v5 range=m instance=A session=300 rebalance=10
         < a joined 1 range leads a:m
         a sync
         < a assigned \"\"
         b join range=n session=300 rebalance=10
         gone b
         x describe
         < x PreparingRebalance [] a::
         +100s
         x describe
         < x PreparingRebalance [] a::
         a join v5 range=m instance=A session=300 rebalance=10
         < a joined 2 range leads a:m",
    );
}
