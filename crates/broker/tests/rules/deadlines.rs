//! Sessions that end and wills: their deadlines are rows, and one timer.

use std::time::Duration;

use crate::world::{World, conn, message};
use bytes::Bytes;
use model::record::Assurance;
use protocol::{Claim, Expiry, Release, Reply, Request, Will};
use storage::{Mode, Op, Write};

const YEAR_MS: u64 = 365 * 86_400_000;

fn claim(world: &mut World, number: u32, name: &str, expiry_ms: u64) -> bool {
    let claim = Claim {
        name: Bytes::copy_from_slice(name.as_bytes()),
        clean: false,
        expiry: Expiry::After(expiry_ms),
        window: 10,
    };
    match world.ask(conn(number), Request::Claim(claim)) {
        Some(Reply::Claimed(claimed)) => claimed.present,
        other => panic!("{other:?}"),
    }
}

fn release(world: &mut World, number: u32, will_ms: Option<u64>) {
    let will = will_ms.map(|delay_ms| {
        let publish = message("will", "farewell", Assurance::AtMostOnce);
        Box::new(Will { delay_ms, publish })
    });
    world.ask(conn(number), Request::Release(Release { expiry: None, will, handover: None }));
}

fn rows(world: &World) -> Vec<Bytes> {
    world.engine.scan("deadlines", &[], 100_000).into_iter().map(|(key, _)| key).collect()
}

fn put_back(world: &World, keys: &[Bytes]) {
    let put = |key: &Bytes| Op::Put { table: "deadlines", key: key.clone(), value: Bytes::new() };
    let ops = keys.iter().map(put).collect();
    world.engine.submit(Write { ops, mode: Mode::Durable }, Box::new(|done| drop(done.unwrap())));
}

#[test]
fn thousands_of_sessions_that_end_in_a_year_take_one_timer() {
    let mut world = World::new();
    let soon = Duration::from_millis(50);
    world.pass(soon);
    let before = world.stats().timers;
    for n in 0..3000 {
        claim(&mut world, 1, &format!("s{n}"), YEAR_MS);
        release(&mut world, 1, Some(YEAR_MS / 2));
    }
    world.pass(soon);
    assert_eq!((rows(&world).len(), world.stats().timers), (6000, before + 1));
    let mut world = world.restarted();
    world.pass(soon);
    assert_eq!(world.stats().timers, before + 1, "after a restart too");
}

#[test]
fn sessions_that_end_together_all_end_and_leave_no_rows() {
    let mut world = World::new();
    for n in 0..2500 {
        claim(&mut world, 1, &format!("s{n}"), 5_000);
        release(&mut world, 1, None);
    }
    world.pass(Duration::from_millis(4_999));
    assert_eq!(world.stats().sessions, 2500);
    world.pass(Duration::from_millis(1));
    assert_eq!((world.stats().sessions, rows(&world).len()), (0, 0));
}

#[test]
fn a_claim_takes_the_deadlines_with_it_and_each_leave_sets_them_anew() {
    let mut world = World::new();
    world.subscribe(conn(9), 1, "will", false);
    for _ in 0..50 {
        claim(&mut world, 1, "s", 5_000);
        assert!(rows(&world).is_empty(), "nothing is due while it has an owner");
        world.pass(Duration::from_secs(1));
        release(&mut world, 1, Some(4_000));
        assert_eq!(rows(&world).len(), 2);
        world.pass(Duration::from_millis(3_999));
    }
    assert!(world.take(conn(9)).is_empty());
    world.pass(Duration::from_millis(1));
    assert_eq!(world.take(conn(9)), ["farewell"]);
    world.pass(Duration::from_millis(999));
    assert_eq!(world.stats().sessions, 1);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.stats().sessions, 0);
}

#[test]
fn a_deadline_outlives_restarts_and_counts_from_when_the_owner_left() {
    let mut world = World::new();
    claim(&mut world, 1, "left", 5_000);
    release(&mut world, 1, None);
    claim(&mut world, 1, "owned", 5_000);
    world.pass(Duration::from_secs(3));
    let mut world = world.restarted();
    world.pass(Duration::from_millis(1_999));
    assert_eq!(world.stats().sessions, 2);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.stats().sessions, 1, "the one that was left before the restart");
    // A second restart does not begin anew.
    let mut world = world.restarted();
    world.pass(Duration::from_millis(2_999));
    assert_eq!(world.stats().sessions, 1);
    world.pass(Duration::from_millis(1));
    assert_eq!((world.stats().sessions, rows(&world).len()), (0, 0));
}

#[test]
fn a_row_that_is_met_again_does_nothing() {
    let mut world = World::new();
    world.subscribe(conn(9), 1, "will", false);
    claim(&mut world, 1, "s", 5_000);
    release(&mut world, 1, Some(1_000));
    let due = rows(&world);
    world.pass(Duration::from_millis(1_000));
    assert_eq!(world.take(conn(9)), ["farewell"]);
    // As if the server had died between what was due and the removal of the row.
    put_back(&world, &due);
    claim(&mut world, 2, "s", 5_000);
    let mut world = world.restarted();
    world.subscribe(conn(9), 1, "will", false);
    assert!(claim(&mut world, 2, "s", 5_000), "it was claimed since");
    world.pass(Duration::from_secs(60));
    assert!(world.take(conn(9)).is_empty());
    assert_eq!((world.stats().sessions, rows(&world).len()), (1, 0), "and the row is gone");
}

#[test]
fn the_wall_clock_ends_no_session() {
    let mut world = World::new();
    claim(&mut world, 1, "s", 5_000);
    release(&mut world, 1, None);
    world.now.unix_ms += 10 * YEAR_MS.cast_signed();
    let mut world = world.restarted();
    world.pass(Duration::from_millis(4_999));
    assert_eq!(world.stats().sessions, 1);
    world.now.unix_ms -= 20 * YEAR_MS.cast_signed();
    world.pass(Duration::from_millis(1));
    assert_eq!(world.stats().sessions, 0);
}

fn wills(world: &World) -> usize {
    world.engine.scan("wills", &[], 100).len()
}

/// A restart, and somebody who listens for wills.
fn restarted(world: World) -> World {
    let mut world = world.restarted();
    world.subscribe(conn(9), 1, "will", false);
    world
}

#[test]
fn a_will_outlives_restarts_and_is_published_once_when_it_is_due() {
    for assurance in [Assurance::AtMostOnce, Assurance::AtLeastOnce] {
        let mut world = World::new();
        claim(&mut world, 1, "s", 60_000);
        let mut publish = message("will", "farewell", assurance);
        publish.record.retain = true;
        let will = Some(Box::new(Will { delay_ms: 5_000, publish }));
        world.ask(conn(1), Request::Release(Release { expiry: None, will, handover: None }));
        assert_eq!(wills(&world), 1);
        world.pass(Duration::from_secs(2));
        let mut world = restarted(restarted(world));
        world.pass(Duration::from_millis(2_999));
        assert!(world.take(conn(9)).is_empty());
        world.pass(Duration::from_millis(1));
        assert_eq!(world.take(conn(9)), ["farewell"]);
        assert_eq!((wills(&world), world.engine.scan("last", &[], 9).len()), (0, 1));
        let mut world = restarted(world);
        world.pass(Duration::from_secs(10));
        let again = world.take_deliveries(conn(9));
        assert!(again.iter().all(|delivery| delivery.last_value), "{assurance:?}: {again:?}");
    }
}

#[test]
fn a_will_that_was_due_while_the_server_was_down_is_published_by_the_next_one() {
    let mut world = World::new();
    claim(&mut world, 1, "s", 60_000);
    release(&mut world, 1, Some(60_000));
    claim(&mut world, 2, "brief", 1_000);
    release(&mut world, 2, Some(60_000));
    world.pass(Duration::from_millis(1_000));
    // Its session has ended, and the server with it before the will was out.
    let row = world.engine.get("wills", &1_u64.to_be_bytes()).unwrap();
    let key = Bytes::copy_from_slice(&77_u64.to_be_bytes());
    let ops = vec![Op::Put { table: "wills", key, value: row }];
    world.engine.submit(Write { ops, mode: Mode::Durable }, Box::new(|done| drop(done.unwrap())));
    let mut world = restarted(world);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.take(conn(9)), ["farewell"], "of the session that is not there");
    world.pass(Duration::from_secs(59));
    assert_eq!(world.take(conn(9)), ["farewell"], "of the one that is");
    assert_eq!(wills(&world), 0);
}

#[test]
fn who_comes_back_after_a_restart_takes_the_will_back() {
    let mut world = World::new();
    claim(&mut world, 1, "s", 60_000);
    release(&mut world, 1, Some(5_000));
    let mut world = restarted(world);
    assert!(claim(&mut world, 2, "s", 60_000));
    assert_eq!((wills(&world), rows(&world).len()), (0, 0));
    let mut world = restarted(world);
    world.pass(Duration::from_secs(60));
    assert!(world.take(conn(9)).is_empty());
}
