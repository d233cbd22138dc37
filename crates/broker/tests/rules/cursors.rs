//! Group cursors: each record to one member, in order, and back when it is not settled.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::queueing::{declare, drain, queue};
use crate::world::{World, conn, message, payload};
use bytes::Bytes;
use model::record::{Address, Assurance};
use protocol::{
    CloseCursor, CursorPolicy, DeadLetter, Declare, Delivery, Destroy, Notice, OpenCursor,
    Position, PullCursor, Refusal, Reply, Request, Retention, Settle, Settlement,
    StreamDeclaration, StreamRef, Tag,
};

const WAIT_MS: u64 = 1_000;

fn policy() -> CursorPolicy {
    CursorPolicy {
        ack_wait_ms: Some(WAIT_MS),
        max_deliveries: None,
        max_pending: 100,
        filter: None,
        dead_letter: None,
    }
}

fn jobs() -> StreamRef {
    StreamRef::Name(Bytes::from_static(b"jobs"))
}

fn world() -> World {
    let mut world = World::new();
    let stream = StreamDeclaration {
        name: Bytes::from_static(b"jobs"),
        filters: vec![model::filter::Filter::mqtt(&Bytes::from_static(b"jobs/#")).unwrap()],
        partitions: 1,
        retention: Retention::default(),
        durability: protocol::Durability::Durable,
        dry_run: false,
    };
    let reply = world.ask(conn(9), Request::Declare(Declare::Stream(stream)));
    assert!(matches!(reply, Some(Reply::Declared(_))), "{reply:?}");
    world
}

fn put(world: &mut World, range: std::ops::Range<u64>) {
    for n in range {
        world.publish(conn(9), "jobs/a", &n.to_string(), Assurance::AtLeastOnce);
    }
}

fn open_with(world: &mut World, member: u32, policy: CursorPolicy) -> Option<Reply> {
    let open = OpenCursor {
        number: 5,
        name: Bytes::from_static(b"workers"),
        stream: jobs(),
        partition: 0,
        start: Position::Earliest,
        policy,
    };
    world.ask(conn(member), Request::OpenCursor(open))
}

fn open(world: &mut World, member: u32) {
    let reply = open_with(world, member, policy());
    assert!(matches!(reply, Some(Reply::Subscribed)), "{reply:?}");
}

fn pull(world: &mut World, member: u32, records: u32) {
    let reply = world.ask(conn(member), Request::PullCursor(PullCursor { number: 5, records }));
    assert!(matches!(reply, Some(Reply::Done)), "{reply:?}");
}

fn settle(world: &mut World, member: u32, deliveries: &[Delivery], how: Settlement) -> Reply {
    let tags = deliveries.iter().filter_map(|delivery| delivery.tag).collect();
    world.ask(conn(member), Request::Settle(Settle { tags, how })).unwrap()
}

fn close(world: &mut World, member: u32, forget: bool) {
    let reply = world.ask(conn(member), Request::CloseCursor(CloseCursor { number: 5, forget }));
    assert!(matches!(reply, Some(Reply::Done)), "{reply:?}");
}

fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(payload).collect()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn members_get_records_in_order_as_far_as_their_credit_goes_each_record_one_member() {
    let mut world = world();
    put(&mut world, 0..4);
    open(&mut world, 1);
    open(&mut world, 2);
    assert!(world.take(conn(1)).is_empty(), "nothing without credit");
    pull(&mut world, 1, 3);
    assert_eq!(world.take(conn(1)), ["0", "1", "2"]);
    pull(&mut world, 2, 2);
    assert_eq!(world.take(conn(2)), ["3"]);
    put(&mut world, 4..6);
    assert_eq!((world.take(conn(1)).len(), world.take(conn(2))), (0, vec!["4".to_owned()]));
    pull(&mut world, 1, 5);
    assert_eq!(world.take(conn(1)), ["5"]);
    pull(&mut world, 1, 0);
    put(&mut world, 6..7);
    assert!(world.take(conn(1)).is_empty(), "its credit was taken back");
}

#[test]
fn what_is_not_settled_comes_back_at_its_deadline_and_at_once_when_its_member_goes() {
    let mut world = world();
    put(&mut world, 0..3);
    open(&mut world, 1);
    pull(&mut world, 1, 3);
    let first = world.take_deliveries(conn(1));
    open(&mut world, 2);
    pull(&mut world, 2, 10);
    settle(&mut world, 1, &first[1..2], Settlement::Ack);
    settle(&mut world, 1, &first[2..3], Settlement::Extend(5_000));
    world.pass(ms(WAIT_MS - 1));
    assert!(world.take(conn(2)).is_empty());
    world.pass(ms(1));
    let again = world.take_deliveries(conn(2));
    assert_eq!(bodies(&again), ["0"]);
    assert_eq!((again[0].redelivered, again[0].deliveries), (true, Some(1)));
    let reply = settle(&mut world, 1, &first[..1], Settlement::Ack);
    assert!(matches!(reply, Reply::Refused(Refusal::NotFound)), "another member has it");
    world.gone(conn(1));
    assert_eq!(world.take(conn(2)), ["2"], "at once");
}

#[test]
fn a_record_goes_back_to_its_place_at_once_or_later() {
    let mut world = world();
    put(&mut world, 0..4);
    open(&mut world, 1);
    pull(&mut world, 1, 2);
    let got = world.take_deliveries(conn(1));
    settle(&mut world, 1, &got[1..], Settlement::Requeue);
    settle(&mut world, 1, &got[..1], Settlement::RequeueAfter(300));
    pull(&mut world, 1, 2);
    assert_eq!(world.take(conn(1)), ["1", "2"]);
    world.pass(ms(300));
    pull(&mut world, 1, 2);
    let got = world.take_deliveries(conn(1));
    assert_eq!(bodies(&got), ["0", "3"], "before what comes after it");
    settle(&mut world, 1, &got[..1], Settlement::Unseen);
    pull(&mut world, 1, 1);
    assert_eq!(world.take_deliveries(conn(1))[0].deliveries, Some(1), "not counted");
}

#[test]
fn the_state_outlives_a_crash_what_was_in_flight_comes_back_with_its_count() {
    let mut world = world();
    put(&mut world, 0..5);
    open(&mut world, 1);
    pull(&mut world, 1, 4);
    let got = world.take_deliveries(conn(1));
    settle(&mut world, 1, &got[1..2], Settlement::Ack);
    settle(&mut world, 1, &got[3..4], Settlement::RequeueAfter(10_000));
    world.pass(ms(50));
    let mut world = world.restarted();
    open(&mut world, 1);
    pull(&mut world, 1, 10);
    assert_eq!(world.take(conn(1)), ["4"], "what nobody had");
    let reply = settle(&mut world, 1, &got[2..3], Settlement::Ack);
    assert!(matches!(reply, Reply::Done), "nobody has it: who had it may say that it is done");
    world.pass(ms(WAIT_MS - 50));
    let again = world.take_deliveries(conn(1));
    assert_eq!((bodies(&again), again[0].deliveries), (vec!["0".to_owned()], Some(1)));
    settle(&mut world, 1, &again, Settlement::Ack);
    world.pass(ms(20_000));
    assert_eq!(world.take(conn(1)), ["3", "4"]);
}

#[test]
fn what_is_handed_out_too_often_or_rejected_is_a_dead_letter_in_one_write() {
    let mut world = world();
    declare(&mut world, 9, queue("graves", true));
    put(&mut world, 0..3);
    let dead_letter = Some(DeadLetter::To(Address::Queue(Bytes::from_static(b"graves"))));
    let limited = CursorPolicy { max_deliveries: Some(2), dead_letter, ..policy() };
    open_with(&mut world, 1, limited);
    pull(&mut world, 1, 100);
    let got = world.take_deliveries(conn(1));
    settle(&mut world, 1, &got[1..2], Settlement::Reject);
    settle(&mut world, 1, &got[2..3], Settlement::Ack);
    world.pass(ms(WAIT_MS));
    assert_eq!(world.take(conn(1)), ["0"], "the second time");
    world.pass(ms(WAIT_MS));
    assert!(world.take(conn(1)).is_empty());
    assert_eq!(world.stats().dead_lettered, 2);
    // The write of the burial said so: nothing was flushed since.
    let mut world = world.restarted();
    world.pass(ms(2 * WAIT_MS));
    open(&mut world, 1);
    pull(&mut world, 1, 100);
    assert!(world.take(conn(1)).is_empty());
    assert_eq!(drain(&mut world, "graves"), ["1", "0"]);
}

#[test]
fn without_a_place_for_dead_letters_they_are_done_with() {
    let mut world = world();
    put(&mut world, 0..2);
    open_with(&mut world, 1, CursorPolicy { max_deliveries: Some(1), ..policy() });
    pull(&mut world, 1, 1);
    world.pass(ms(WAIT_MS));
    pull(&mut world, 1, 5);
    let got = world.take_deliveries(conn(1));
    assert_eq!(bodies(&got), ["0", "1"]);
    settle(&mut world, 1, &got[1..], Settlement::Reject);
    world.pass(ms(10 * WAIT_MS));
    assert!(world.take(conn(1)).is_empty());
}

#[test]
fn so_many_are_handed_out_at_most_and_what_comes_back_is_handed_out_all_the_same() {
    let mut world = world();
    put(&mut world, 0..20);
    open_with(&mut world, 1, CursorPolicy { max_pending: 5, ..policy() });
    pull(&mut world, 1, 100);
    let got = world.take_deliveries(conn(1));
    assert_eq!(got.len(), 5);
    settle(&mut world, 1, &got[4..5], Settlement::Ack);
    settle(&mut world, 1, &got[..2], Settlement::Requeue);
    assert_eq!(world.take(conn(1)), ["5", "0", "1"]);
}

#[test]
fn only_records_of_its_filter_and_the_place_moves_past_the_others() {
    let mut world = world();
    let filter = model::filter::Filter::mqtt(&Bytes::from_static(b"jobs/b")).unwrap();
    open_with(&mut world, 1, CursorPolicy { filter: Some(filter), ..policy() });
    pull(&mut world, 1, 100);
    put(&mut world, 0..50);
    world.ask(conn(9), Request::Publish(message("jobs/b", "mine", Assurance::AtLeastOnce)));
    put(&mut world, 50..60);
    let got = world.take_deliveries(conn(1));
    assert_eq!(bodies(&got), ["mine"]);
    settle(&mut world, 1, &got, Settlement::Ack);
    world.pass(ms(20_000));
    let cursors = world.engine.cursors(&[], 10);
    assert_eq!(cursors.len(), 1);
    assert_eq!(cursors[0].2.floor, 61, "kept though nothing was settled there");
}

#[test]
fn what_goes_out_of_sight_is_not_held() {
    let mut world = world();
    put(&mut world, 0..10);
    open(&mut world, 1);
    pull(&mut world, 1, 4);
    assert_eq!(world.take(conn(1)).len(), 4);
    let which = protocol::Which::Below(Some(6));
    let purge = protocol::PurgeStream { stream: jobs(), partition: 0, which };
    world.ask(conn(9), Request::PurgeStream(purge));
    for _ in 0..12 {
        world.pass(ms(1_000));
    }
    let log = world.engine.cursors(&[], 10)[0].1;
    assert_eq!(world.engine.bounds(log).unwrap().held_bytes, 0);
    pull(&mut world, 1, 100);
    assert_eq!(world.take(conn(1)), ["6", "7", "8", "9"]);
}

#[test]
fn a_cursor_goes_when_it_is_told_to_and_with_its_stream() {
    let mut world = world();
    put(&mut world, 0..2);
    open(&mut world, 1);
    open(&mut world, 2);
    close(&mut world, 1, true);
    assert_eq!(world.got.notices.pop(), Some((conn(2), Notice::ConsumerGone(5))));
    assert!(world.engine.cursors(&[], 10).is_empty());
    open(&mut world, 1);
    pull(&mut world, 1, 1);
    assert_eq!(world.take(conn(1)), ["0"], "a new one begins anew");
    close(&mut world, 1, false);
    open(&mut world, 2);
    pull(&mut world, 2, 9);
    assert_eq!(world.take(conn(2)), ["0", "1"], "one that was left goes on");
    world.ask(conn(9), Request::Destroy(Destroy::Stream(jobs())));
    assert_eq!(world.got.notices.pop(), Some((conn(2), Notice::ConsumerGone(5))));
    let mut world = world.restarted();
    let reply = open_with(&mut world, 1, policy());
    assert!(matches!(reply, Some(Reply::Refused(Refusal::NotFound))), "{reply:?}");
    assert!(world.engine.scan("cursors", &[], 10).is_empty());
}

/// What a naive cursor knows of one record.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Naive {
    Fresh,
    Held { by: u32, deliveries: u32, until: u64 },
    Back { deliveries: u32, at: u64 },
    Done,
}

struct Model {
    records: Vec<Naive>,
    clock: u64,
    credit: BTreeMap<u32, u32>,
    max_pending: usize,
}

impl Model {
    fn available(&self) -> Option<(usize, u32)> {
        let back = self.records.iter().enumerate().find_map(|(at, record)| match record {
            Naive::Back { deliveries, at: time } if *time <= self.clock => Some((at, *deliveries)),
            _ => None,
        });
        let pending =
            self.records.iter().filter(|r| matches!(r, Naive::Held { .. } | Naive::Back { .. }));
        let fresh = || {
            let at = self.records.iter().position(|record| *record == Naive::Fresh)?;
            (pending.count() < self.max_pending).then_some((at, 0))
        };
        back.or_else(fresh)
    }

    fn pass(&mut self, ms: u64) {
        self.clock += ms;
        for record in &mut self.records {
            if let Naive::Held { deliveries, until, .. } = *record
                && until <= self.clock
            {
                *record = Naive::Back { deliveries, at: until };
            }
        }
    }

    fn gone(&mut self, member: u32) {
        for record in &mut self.records {
            if let Naive::Held { by, deliveries, .. } = *record
                && by == member
            {
                *record = Naive::Back { deliveries, at: self.clock };
            }
        }
        self.credit.remove(&member);
    }

    /// Deliveries are those that had to come, in this order.
    fn check(&mut self, seed: u64, deliveries: &[(u32, Delivery)]) {
        for (member, delivery) in deliveries {
            let at: usize = payload(delivery).parse().unwrap();
            let due = self.available().map(|(at, deliveries)| (at, Some(deliveries)));
            assert_eq!(Some((at, delivery.deliveries)), due, "seed {seed}");
            let (_, deliveries) = self.available().unwrap();
            let credit = self.credit.get_mut(member).unwrap();
            assert!(*credit > 0, "seed {seed}: member {member} has no credit");
            *credit -= 1;
            let until = self.clock + WAIT_MS;
            self.records[at] = Naive::Held { by: *member, deliveries: deliveries + 1, until };
        }
        let wants = self.credit.values().any(|credit| *credit > 0);
        assert!(!wants || self.available().is_none(), "seed {seed}: {:?}", self.available());
    }
}

fn next(random: &mut u64, below: u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random % below
}

fn run(seed: u64) {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut world = world();
    let max_pending = 1 + next(&mut random, 12);
    let open = |world: &mut World, member: u32| {
        let max_pending = u32::try_from(max_pending).unwrap();
        open_with(world, member, CursorPolicy { max_pending, ..policy() });
    };
    let mut model = Model {
        records: Vec::new(),
        clock: 0,
        credit: BTreeMap::new(),
        max_pending: usize::try_from(max_pending).unwrap(),
    };
    for _ in 0..200 {
        let member = u32::try_from(1 + next(&mut random, 3)).unwrap();
        let joined = model.credit.contains_key(&member);
        match next(&mut random, 12) {
            0 | 1 => {
                let from = model.records.len() as u64;
                let more = next(&mut random, 6);
                for n in from..from + more {
                    model.records.push(Naive::Fresh);
                    put(&mut world, n..n + 1);
                    take(&mut world, &mut model, seed);
                }
            }
            2 | 3 if joined => {
                let records = u32::try_from(1 + next(&mut random, 5)).unwrap();
                *model.credit.get_mut(&member).unwrap() += records;
                pull(&mut world, member, records);
            }
            4 if joined && next(&mut random, 3) == 0 => {
                model.gone(member);
                world.gone(conn(member));
            }
            4 if !joined => {
                open(&mut world, member);
                model.credit.insert(member, 0);
            }
            5 => {
                let time = next(&mut random, 700);
                model.pass(time);
                world.pass(ms(time));
            }
            6 if next(&mut random, 4) == 0 => {
                write_down(&mut world, &mut model, seed);
                world = world.restarted();
                model.credit.clear();
                for record in &mut model.records {
                    if let Naive::Held { deliveries, until, .. } = *record {
                        *record = Naive::Back { deliveries, at: until };
                    }
                }
                world.pass(Duration::ZERO);
            }
            _ => settle_one(&mut world, &mut model, &mut random, seed),
        }
        take(&mut world, &mut model, seed);
    }
}

fn take(world: &mut World, model: &mut Model, seed: u64) {
    let got: Vec<(u32, Delivery)> =
        world.got.deliveries.drain(..).map(|(conn, d)| (conn.slot, d)).collect();
    model.check(seed, &got);
}

/// Waits until what was done has been written: nothing is handed out meanwhile.
fn write_down(world: &mut World, model: &mut Model, seed: u64) {
    loop {
        model.pass(25);
        world.pass(ms(25));
        let quiet = world.got.deliveries.is_empty();
        take(world, model, seed);
        if quiet {
            return;
        }
    }
}

/// Settles a record that a member has.
fn settle_one(world: &mut World, model: &mut Model, random: &mut u64, seed: u64) {
    let held: Vec<(usize, u32, u32)> = model
        .records
        .iter()
        .enumerate()
        .filter_map(|(at, record)| match record {
            Naive::Held { by, deliveries, .. } => Some((at, *by, *deliveries)),
            _ => None,
        })
        .collect();
    if held.is_empty() {
        return;
    }
    let choice = usize::try_from(next(random, held.len() as u64)).unwrap();
    let (at, by, deliveries) = held[choice];
    let after = next(random, 500);
    let clock = model.clock;
    let (how, then) = match next(random, 8) {
        0..=2 => (Settlement::Ack, Naive::Done),
        3 => (Settlement::Reject, Naive::Done),
        4 => (Settlement::Requeue, Naive::Back { deliveries, at: clock }),
        5 => (Settlement::RequeueAfter(after), Naive::Back { deliveries, at: clock + after }),
        6 => (Settlement::Unseen, Naive::Back { deliveries: deliveries - 1, at: clock }),
        _ => {
            let until = clock + after + 1;
            (Settlement::Extend(after + 1), Naive::Held { by, deliveries, until })
        }
    };
    model.records[at] = then;
    let number = world.engine.scan("cursors", &[], 1)[0].1.clone();
    let number = u64::from_le_bytes(number[5..13].try_into().unwrap());
    let tags = vec![Tag { source: number, place: at as u64 }];
    let reply = world.ask(conn(by), Request::Settle(Settle { tags, how })).unwrap();
    assert!(matches!(reply, Reply::Done), "seed {seed}: {how:?} {reply:?}");
}

#[test]
fn a_random_life_is_that_of_a_naive_cursor() {
    for seed in 0..150 {
        run(seed);
    }
}
