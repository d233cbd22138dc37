//! What sessions and queues may hold of what went out of sight.

use bytes::Bytes;
use model::filter::Filter;
use model::record::{Assurance, Space};
use protocol::{
    BindTarget, Binding, Declare, Pull, QueueDeclaration, Reply, Request, Retention, Settle,
    Settlement,
};

use crate::retention::{declare, pass, shown, world};
use crate::world::{World, conn};

/// A stream that shows two records.
fn short() -> Retention {
    Retention { max_records: Some(2), ..Retention::default() }
}

fn publish(world: &mut World, from: usize, count: usize) {
    for n in from..from + count {
        let reply = world.publish(conn(1), "t/a", &format!("m{n}"), Assurance::AtLeastOnce);
        assert!(matches!(reply, Reply::Published(_)), "{reply:?}");
    }
}

fn away(world: &mut World) {
    world.claim(conn(2), "s", false, 1_000);
    world.subscribe(conn(2), 1, "t/#", true);
    world.gone(conn(2));
}

fn back(world: &mut World) -> Vec<String> {
    world.claim(conn(2), "s", false, 1_000);
    world.take(conn(2))
}

fn held_bytes(world: &World) -> u64 {
    let logs = (1..60).map(storage::LogId);
    logs.filter_map(|log| world.engine.bounds(log)).map(|bounds| bounds.held_bytes).sum()
}

#[test]
fn within_its_quota_a_session_gets_what_nobody_else_sees_any_more() {
    let mut world = world();
    declare(&mut world, "t", "t/#", short());
    away(&mut world);
    publish(&mut world, 0, 50);
    pass(&mut world, 60);
    assert_eq!(shown(&mut world, "t"), ["m48", "m49"]);
    assert_eq!(back(&mut world).len(), 50);
    assert_eq!(world.broker.stats().lost, 0);
}

#[test]
fn beyond_its_bytes_it_keeps_what_is_in_sight_and_the_loss_is_counted() {
    let mut world = world();
    declare(&mut world, "t", "t/#", Retention { held_bytes: Some(1_000), ..short() });
    away(&mut world);
    publish(&mut world, 0, 100);
    assert!(held_bytes(&world) > 1_000);
    for _ in 0..11 {
        pass(&mut world, 1);
    }
    assert_eq!(held_bytes(&world), 0, "its room is free");
    let losses = world.broker.losses(10);
    assert_eq!(losses.len(), 1);
    assert_eq!((losses[0].holder.as_str(), losses[0].records), ("session s", 98));
    assert_eq!(world.broker.stats().lost, 98);
    assert_eq!(back(&mut world), ["m98", "m99"]);
}

#[test]
fn a_session_whose_owner_settles_nothing_is_held_to_it_too() {
    let mut world = world();
    declare(&mut world, "t", "t/#", Retention { held_bytes: Some(1_000), ..short() });
    world.claim(conn(2), "s", false, 10);
    world.subscribe(conn(2), 1, "t/#", true);
    publish(&mut world, 0, 100);
    let got = world.take_deliveries(conn(2));
    assert_eq!(got.len(), 10, "its window is full");
    for _ in 0..11 {
        pass(&mut world, 1);
    }
    assert_eq!(held_bytes(&world), 0);
    assert!(world.broker.stats().lost > 80);
    let tags = got.iter().filter_map(|delivery| delivery.tag).collect();
    world.ask(conn(2), Request::Settle(Settle { tags, how: Settlement::Ack }));
    publish(&mut world, 100, 1);
    let next = world.take(conn(2));
    assert_eq!(next.last().map(String::as_str), Some("m100"), "{next:?}: it goes on");
}

#[test]
fn what_was_out_of_sight_for_too_long_goes_and_nothing_younger() {
    let mut world = world();
    declare(&mut world, "t", "t/#", Retention { held_age_ms: Some(600_000), ..short() });
    away(&mut world);
    publish(&mut world, 0, 10);
    for _ in 0..30 {
        pass(&mut world, 10);
    }
    publish(&mut world, 10, 10);
    for _ in 0..20 {
        pass(&mut world, 10);
    }
    assert_eq!(world.broker.stats().lost, 0, "500 s");
    for _ in 0..20 {
        pass(&mut world, 10);
    }
    assert_eq!(world.broker.stats().lost, 8, "those that were out of sight at the start");
    let got = back(&mut world);
    assert_eq!(got.first().map(String::as_str), Some("m8"));
    assert_eq!(got.len(), 12);
}

#[test]
fn a_queue_lets_go_of_references_beyond_its_quota() {
    let mut world = world();
    declare(&mut world, "t", "t/#", Retention { held_bytes: Some(1_000), ..short() });
    let queue = Bytes::from_static(b"q");
    let declaration = QueueDeclaration {
        name: queue.clone(),
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments: Bytes::new(),
        options: None,
    };
    world.ask(conn(2), Request::Declare(Declare::Queue(declaration)));
    let binding = Binding {
        source: Space::SHARED,
        target: BindTarget::Queue(queue.clone()),
        filter: Filter::mqtt(&Bytes::from_static(b"t/#")).unwrap(),
        headers: None,
        identity: Bytes::new(),
        durable: true,
    };
    world.ask(conn(2), Request::Bind(binding));
    publish(&mut world, 0, 100);
    assert!(held_bytes(&world) > 1_000);
    for _ in 0..11 {
        pass(&mut world, 1);
    }
    assert_eq!(held_bytes(&world), 0);
    assert_eq!(world.broker.losses(10)[0].holder, "queue q");
    let mut got = Vec::new();
    while let Some(Reply::Pulled(Some(pulled))) =
        world.ask(conn(2), Request::Pull(Pull { queue: queue.clone(), no_ack: true }))
    {
        got.push(String::from_utf8(pulled.delivery.message.record.payload().to_vec()).unwrap());
    }
    assert_eq!(got, ["m98", "m99"]);
}
