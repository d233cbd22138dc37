//! What happens to a session that is behind, and to others, while it waits for a slow disk.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use model::record::Assurance::AtLeastOnce;
use protocol::{Claim, Expiry, Notice, Release, Reply, Request, Retention, Settle, Settlement};
use storage::{Engine, LogId};

use crate::choked::Choked;
use crate::retention::declare;
use crate::world::{Beside, World, conn, message, payload};

/// A disk that never answers in time would make a test hang: then it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A world in which the session `s` of worker 1 was away while so many messages came, after one
/// that it is done with.
fn behind(subject: &str, messages: usize) -> (Arc<Choked>, World) {
    let engine = Arc::new(Choked::default());
    let mut world = World::on(engine.clone());
    world.claim(conn(1), "s", true, 100);
    world.subscribe(conn(1), 1, "a/#", true);
    world.publish(conn(2), subject, "done with", AtLeastOnce);
    assert_eq!(ack_all(&mut world, 1), ["done with"]);
    world.gone(conn(1));
    for n in 0..messages {
        world.publish(conn(2), subject, &n.to_string(), AtLeastOnce);
    }
    (engine, world)
}

/// The next read of the only log with records lasts until the first worker, on a thread of its own,
/// has done this; `None` when it could not.
fn while_reading(
    (engine, world): (&Choked, &World),
    act: impl FnOnce(&mut Beside) + Send + 'static,
) -> mpsc::Receiver<Option<Beside>> {
    let mut beside = world.beside();
    let (told, done) = mpsc::channel();
    let filled = |log: &LogId| engine.bounds(*log).is_some_and(|bounds| bounds.end > 0);
    let log = (1..100).map(LogId).find(filled).unwrap();
    engine.while_reading(log, move || {
        let (finished, waits) = mpsc::channel();
        thread::spawn(move || {
            act(&mut beside);
            // Nobody waits any more when it took too long.
            drop(finished.send(beside));
        });
        drop(told.send(waits.recv_timeout(PATIENCE).ok()));
    });
    done
}

fn came(done: &mpsc::Receiver<Option<Beside>>) -> Beside {
    let beside = done.try_recv().expect("the session has read its log");
    beside.expect("another worker goes on while a session reads")
}

fn ack_all(world: &mut World, number: u32) -> Vec<String> {
    let deliveries = world.take_deliveries(conn(number));
    let tags = deliveries.iter().filter_map(|delivery| delivery.tag).collect();
    world.ask(conn(number), Request::Settle(Settle { tags, how: Settlement::Ack }));
    deliveries.iter().map(payload).collect()
}

#[test]
fn others_publish_and_receive_while_a_session_waits_for_a_disk() {
    let (engine, mut world) = behind("a/1", 3);
    world.claim(conn(4), "t", true, 100);
    world.subscribe(conn(4), 1, "b", true);
    let done = while_reading((&engine, &world), |beside| {
        let publish = message("b", "not held up", AtLeastOnce);
        beside.start(conn(6), 1000, Request::Publish(publish));
        beside.settle_down();
    });
    world.claim(conn(3), "s", false, 100);
    let beside = came(&done);
    let values: Vec<_> = beside.got.deliveries.iter().map(|(_, d)| payload(d)).collect();
    assert_eq!(values, ["not held up"]);
    assert!(matches!(beside.got.replies.get(&1000), Some(Reply::Published(_))));
    assert_eq!(ack_all(&mut world, 3), ["0", "1", "2"]);
}

#[test]
fn what_is_committed_while_a_session_reads_comes_once_and_in_order() {
    // Their logs are handled by either worker: by the one that is busy, or meanwhile by the other.
    for (before, number) in (0..16).map(|n| (n / 8 * 3, n % 8)) {
        let subject = format!("a/{number}");
        let (engine, mut world) = behind(&subject, before);
        let meanwhile = subject.clone();
        let done = while_reading((&engine, &world), move |beside| {
            for n in 0..5_u64 {
                let publish = message(&meanwhile, &format!("meanwhile {n}"), AtLeastOnce);
                beside.start(conn(6), 1000 + n, Request::Publish(publish));
                beside.settle_down();
            }
        });
        world.claim(conn(3), "s", false, 100);
        let beside = came(&done);
        assert!(beside.got.deliveries.is_empty(), "the session is still behind");
        let mut expected: Vec<String> = (0..before).map(|n| n.to_string()).collect();
        expected.extend((0..5).map(|n| format!("meanwhile {n}")));
        assert_eq!(ack_all(&mut world, 3), expected);
        world.publish(conn(2), &subject, "live", AtLeastOnce);
        assert_eq!(ack_all(&mut world, 3), ["live"]);
    }
}

#[test]
fn a_session_that_is_claimed_while_it_reads_loses_nothing() {
    let (engine, mut world) = behind("a/1", 3);
    let done = while_reading((&engine, &world), |beside| {
        let claim =
            Claim { name: Bytes::from("s"), clean: false, expiry: Expiry::Never, window: 100 };
        beside.start(conn(4), 1000, Request::Claim(claim));
    });
    world.claim(conn(3), "s", false, 100);
    let beside = came(&done);
    assert!(beside.got.replies.is_empty(), "first the owner lets go");
    assert_eq!(beside.got.notices, [(conn(3), Notice::Displaced)]);
    let first = world.take(conn(3));
    let release = Release { expiry: None, will: None, handover: None };
    world.ask(conn(3), Request::Release(release));
    let again = world.take_deliveries(conn(4));
    assert_eq!(again.iter().map(payload).collect::<Vec<_>>(), ["0", "1", "2"]);
    assert!(again.iter().all(|delivery| delivery.redelivered != first.is_empty()));
}

#[test]
fn what_is_lost_while_a_session_reads_is_not_handed_over_any_more() {
    let engine = Arc::new(Choked::default());
    let mut world = World::on(engine.clone());
    let quota = Retention { held_bytes: Some(1_000), ..Retention::default() };
    declare(&mut world, "t", "t/#", Retention { max_records: Some(2), ..quota });
    world.claim(conn(1), "s", true, 1_000);
    world.subscribe(conn(1), 1, "t/#", true);
    world.gone(conn(1));
    for n in 0..100 {
        world.publish(conn(2), "t/1", &n.to_string(), AtLeastOnce);
    }
    let done = while_reading((&engine, &world), |beside| {
        (0..11).for_each(|_| beside.pass(Duration::from_secs(1)));
    });
    world.claim(conn(3), "s", false, 1_000);
    came(&done);
    let values = ack_all(&mut world, 3);
    let lost = usize::try_from(world.broker.stats().lost).unwrap();
    assert!((1..99).contains(&lost), "{lost}");
    assert_eq!(values, (lost..100).map(|n| n.to_string()).collect::<Vec<_>>());
}
