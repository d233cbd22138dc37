//! What tests of queues have in common: declaring, sending, consuming, pulling.

use bytes::Bytes;
use model::filter::Filter;
use model::record::{Address, Assurance, Space};
use protocol::{
    BindTarget, Binding, Consume, Declare, Delivery, Published, Pull, QueueDeclaration,
    QueueOptions, Reply, Request, Settle, Settlement, SpaceDeclaration,
};

use crate::world::{World, conn, message, payload};

pub fn queue(name: &'static str, durable: bool) -> QueueDeclaration {
    QueueDeclaration {
        name: Bytes::from_static(name.as_bytes()),
        durable,
        exclusive: false,
        auto_delete: false,
        arguments: Bytes::new(),
        options: None,
    }
}

/// A durable queue with options.
pub fn with(name: &'static str, options: QueueOptions) -> QueueDeclaration {
    QueueDeclaration { options: Some(Box::new(options)), ..queue(name, true) }
}

/// Makes a durable queue with options.
pub fn make(world: &mut World, name: &'static str, options: QueueOptions) {
    let reply = declare(world, 1, with(name, options));
    assert!(matches!(reply, Reply::Declared(_)), "{reply:?}");
}

pub fn declare(world: &mut World, number: u32, declaration: QueueDeclaration) -> Reply {
    world.ask(conn(number), Request::Declare(Declare::Queue(declaration))).expect("answered")
}

pub fn send(world: &mut World, queue: &'static str, body: &str, assurance: Assurance) -> Published {
    let mut publish = message("unused", body, assurance);
    publish.to = Address::Queue(Bytes::from_static(queue.as_bytes()));
    match world.ask(conn(9), Request::Publish(publish)) {
        Some(Reply::Published(published)) => published,
        other => panic!("{other:?}"),
    }
}

pub fn consume(world: &mut World, number: u32, queue: &'static str, window: u32) -> Reply {
    world.ask(conn(number), Request::Window { window: 1, size: window });
    let consume = Consume {
        number: 1,
        queue: Bytes::from_static(queue.as_bytes()),
        no_ack: false,
        exclusive: false,
        priority: 0,
        windows: vec![1],
    };
    world.ask(conn(number), Request::Consume(consume)).expect("answered")
}

pub fn pull(world: &mut World, number: u32, queue: &'static str) -> Option<(String, bool, u64)> {
    let pull = Pull { queue: Bytes::from_static(queue.as_bytes()), no_ack: true };
    match world.ask(conn(number), Request::Pull(pull)) {
        Some(Reply::Pulled(pulled)) => {
            pulled.map(|p| (payload(&p.delivery), p.delivery.redelivered, p.remaining))
        }
        other => panic!("{other:?}"),
    }
}

pub fn binding(source: Space, name: &'static str, filter: Filter) -> Binding {
    Binding {
        source,
        target: BindTarget::Queue(Bytes::from_static(name.as_bytes())),
        identity: filter.to_bytes(),
        filter,
        headers: None,
        durable: true,
    }
}

pub fn space(name: &'static str) -> SpaceDeclaration {
    SpaceDeclaration {
        name: Bytes::from_static(name.as_bytes()),
        kind: Bytes::from_static(b"kind"),
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: Bytes::new(),
        builtin: false,
    }
}

/// Publishes to a queue; whether it was taken.
pub fn offer(world: &mut World, queue: &'static str, body: &str, assurance: Assurance) -> bool {
    let mut publish = message("unused", body, assurance);
    publish.to = Address::Queue(Bytes::from_static(queue.as_bytes()));
    match world.ask(conn(9), Request::Publish(publish)) {
        Some(Reply::Published(_)) => true,
        Some(Reply::Refused(protocol::Refusal::Limit(_))) => false,
        other => panic!("{other:?}"),
    }
}

/// Pulls one message that is to be settled.
pub fn take(world: &mut World, number: u32, queue: &'static str) -> Option<Delivery> {
    let pull = Pull { queue: Bytes::from_static(queue.as_bytes()), no_ack: false };
    match world.ask(conn(number), Request::Pull(pull)) {
        Some(Reply::Pulled(pulled)) => pulled.map(|pulled| pulled.delivery),
        other => panic!("{other:?}"),
    }
}

pub fn settle(world: &mut World, number: u32, deliveries: &[Delivery], how: Settlement) {
    let tags = deliveries.iter().filter_map(|delivery| delivery.tag).collect();
    let reply = world.ask(conn(number), Request::Settle(Settle { tags, how }));
    assert!(matches!(reply, Some(Reply::Done)), "{reply:?}");
}

/// Ready messages of a queue.
pub fn ready(world: &mut World, queue: &'static str) -> Option<u64> {
    let request = Request::DescribeQueue(Bytes::from_static(queue.as_bytes()));
    match world.ask(conn(1), request) {
        Some(Reply::Queue(status)) => Some(status.ready),
        Some(Reply::Refused(protocol::Refusal::NotFound)) => None,
        other => panic!("{other:?}"),
    }
}

/// Payloads of all ready messages, which are gone then.
pub fn drain(world: &mut World, queue: &'static str) -> Vec<String> {
    std::iter::from_fn(|| pull(world, 1, queue)).map(|(body, ..)| body).collect()
}
