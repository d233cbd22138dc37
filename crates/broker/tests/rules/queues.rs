//! Queues: in order, one consumer each, back to their place when they are returned.

use crate::queueing::{binding, consume, declare, pull, queue, send, space};
use crate::world::{World, conn, message, payload};
use bytes::Bytes;
use model::filter::{Filter, Reach};
use model::record::{Address, Assurance, Space};
use model::subject::Subject;
use protocol::{
    BindTarget, Binding, Consume, Declare, Declared, Destroy, HeaderMatch, HeaderMatchMode, Notice,
    Published, QueueDeclaration, Refusal, Reply, Request, Settle, Settlement,
};

use Assurance::{AtLeastOnce, AtMostOnce};

#[test]
fn messages_wait_in_order_and_lasting_ones_survive_a_restart() {
    let mut world = World::new();
    declare(&mut world, 1, queue("q", true));
    assert_eq!(send(&mut world, "q", "1", AtLeastOnce), Published { matched: 1, queues: 1 });
    send(&mut world, "q", "2", AtMostOnce);
    send(&mut world, "q", "3", AtLeastOnce);
    assert_eq!(pull(&mut world, 1, "q"), Some(("1".to_owned(), false, 2)));
    world.pass(std::time::Duration::from_millis(50));
    let mut world = world.restarted();
    assert_eq!(pull(&mut world, 1, "q"), Some(("3".to_owned(), true, 0)));
    assert_eq!(pull(&mut world, 1, "q"), None);
}

#[test]
fn what_is_published_by_name_goes_to_the_queue_that_has_it_now() {
    let mut world = World::new();
    for (body, durable) in [("1", false), ("2", true), ("3", true)] {
        assert_eq!(send(&mut world, "q", "early", AtLeastOnce).queues, 0);
        declare(&mut world, 1, queue("q", durable));
        assert_eq!(send(&mut world, "q", body, AtLeastOnce).queues, 1);
        assert_eq!(pull(&mut world, 1, "q"), Some((body.to_owned(), false, 0)));
        let name = Bytes::from_static(b"q");
        let destroy = Destroy::Queue { name, if_unused: false, if_empty: false };
        world.ask(conn(1), Request::Destroy(destroy));
        assert_eq!(send(&mut world, "q", "late", AtLeastOnce).queues, 0);
    }
}

#[test]
fn returned_messages_go_back_to_their_place() {
    let mut world = World::new();
    declare(&mut world, 1, queue("q", true));
    for n in 0..5 {
        send(&mut world, "q", &n.to_string(), AtLeastOnce);
    }
    consume(&mut world, 2, "q", 3);
    let got = world.take_deliveries(conn(2));
    assert_eq!(got.iter().map(payload).collect::<Vec<_>>(), ["0", "1", "2"]);
    world.ask(conn(2), Request::Cancel(1));
    let tags = vec![got[2].tag.unwrap(), got[0].tag.unwrap()];
    world.ask(conn(2), Request::Settle(Settle { tags, how: Settlement::Requeue }));
    assert_eq!(pull(&mut world, 1, "q"), Some(("0".to_owned(), true, 3)));
    world.gone(conn(2));
    let rest: Vec<_> = std::iter::from_fn(|| pull(&mut world, 1, "q")).collect();
    let rest: Vec<_> = rest.iter().map(|(body, again, _)| (body.as_str(), *again)).collect();
    assert_eq!(rest, [("1", true), ("2", true), ("3", false), ("4", false)]);
}

#[test]
fn consumers_take_turns_within_their_windows_and_stopped_ones_are_skipped() {
    let mut world = World::new();
    declare(&mut world, 1, queue("q", false));
    consume(&mut world, 2, "q", 2);
    consume(&mut world, 3, "q", 2);
    world.flow(conn(3), true);
    for n in 0..5 {
        send(&mut world, "q", &n.to_string(), AtMostOnce);
    }
    assert_eq!(world.take(conn(2)), ["0", "1"]);
    assert!(world.take(conn(3)).is_empty());
    world.flow(conn(3), false);
    assert_eq!(world.take(conn(3)), ["2", "3"]);
}

#[test]
fn one_copy_goes_to_each_queue_however_many_bindings_match() {
    let mut world = World::new();
    for name in ["q1", "q2"] {
        declare(&mut world, 1, queue(name, true));
        for key in ["a.#", "a.*"] {
            let filter = Filter::amqp(key.as_bytes()).unwrap();
            world.ask(conn(1), Request::Bind(binding(Space::SHARED, name, filter)));
        }
    }
    let reply = world.publish(conn(9), "a/b", "x", AtLeastOnce);
    assert!(matches!(reply, Reply::Published(Published { matched: 2, queues: 2 })), "{reply:?}");
    let mut world = world.restarted();
    for name in ["q1", "q2"] {
        assert_eq!(pull(&mut world, 1, name), Some(("x".to_owned(), true, 0)));
    }
}

#[test]
fn spaces_lead_to_spaces_by_headers_and_in_circles_and_hit_each_queue_once() {
    let mut world = World::new();
    for name in ["one", "two"] {
        world.ask(conn(1), Request::Declare(Declare::Space(space(name))));
    }
    declare(&mut world, 1, queue("q", true));
    let all = || Filter::everything(Reach::All);
    let onward = |from: &str, to: &'static str| Binding {
        target: BindTarget::Space(Bytes::from_static(to.as_bytes())),
        ..binding(Space::named(&format!("exchange/{from}")), "unused", all())
    };
    world.ask(conn(1), Request::Bind(onward("one", "two")));
    world.ask(conn(1), Request::Bind(onward("two", "one")));
    let mut conditional = binding(Space::named("exchange/two"), "q", all());
    conditional.headers = Some(HeaderMatch {
        mode: HeaderMatchMode::All,
        wanted: vec![(Bytes::from_static(b"k"), Some(Bytes::from_static(b"v")))],
    });
    world.ask(conn(1), Request::Bind(conditional));
    let mut publish = |attributes: Vec<(Bytes, Bytes)>| {
        let mut publish = message("x", "hit", AtLeastOnce);
        publish.to = Address::Subject(Space::named("exchange/one"), Subject::NONE);
        publish.attributes = attributes;
        match world.ask(conn(9), Request::Publish(publish)) {
            Some(Reply::Published(published)) => published.queues,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(publish(Vec::new()), 0);
    assert_eq!(publish(vec![(Bytes::from_static(b"k"), Bytes::from_static(b"v"))]), 1);
    assert_eq!(pull(&mut world, 1, "q"), Some(("hit".to_owned(), false, 0)));
}

#[test]
fn a_space_that_leads_to_the_shared_one_is_heard_and_stored_there() {
    let mut world = World::new();
    world.ask(conn(1), Request::Declare(Declare::Space(space("private"))));
    world.subscribe(conn(2), 1, "a/#", false);
    let opened = Binding {
        target: BindTarget::Space(Bytes::new()),
        ..binding(Space::named("exchange/private"), "unused", Filter::amqp(b"a.#").unwrap())
    };
    let reply = world.ask(conn(1), Request::Bind(opened));
    assert!(matches!(reply, Some(Reply::Done)), "{reply:?}");
    let mut publish = message("a/b", "x", AtLeastOnce);
    let Address::Subject(_, subject) = publish.to else { panic!("a subject") };
    publish.to = Address::Subject(Space::named("exchange/private"), subject);
    world.ask(conn(9), Request::Publish(publish));
    assert_eq!(world.take(conn(2)), ["x"]);
    let stream = protocol::StreamRef::Name(Bytes::from_static(b"a.b"));
    let request = Request::DescribeStreams { streams: Some(vec![stream]), create: false };
    match world.ask(conn(1), request) {
        Some(Reply::Streams(statuses)) => assert_eq!(statuses[0].refused, None),
        other => panic!("{other:?}"),
    }
}

#[test]
fn declarations_are_compared_and_exclusive_queues_are_closed_to_others() {
    let mut world = World::new();
    declare(&mut world, 1, queue("q", true));
    assert!(matches!(
        declare(&mut world, 1, queue("q", true)),
        Reply::Declared(Declared::Queue(_))
    ));
    let different = declare(&mut world, 1, queue("q", false));
    assert!(matches!(different, Reply::Refused(Refusal::DifferentQueue(_))));
    let mine = QueueDeclaration { exclusive: true, ..queue("mine", false) };
    declare(&mut world, 1, mine.clone());
    assert!(matches!(declare(&mut world, 2, mine), Reply::Refused(Refusal::Locked)));
    assert!(matches!(consume(&mut world, 2, "mine", 1), Reply::Refused(Refusal::Locked)));
    world.gone(conn(1));
    assert!(matches!(consume(&mut world, 2, "mine", 1), Reply::Refused(Refusal::NotFound)));
}

#[test]
fn a_removed_queue_tells_its_consumers_and_keeps_nothing() {
    let mut world = World::new();
    declare(&mut world, 1, queue("q", true));
    consume(&mut world, 2, "q", 1);
    world.got.notices.clear();
    for _ in 0..3 {
        send(&mut world, "q", "x", AtLeastOnce);
    }
    let destroy = |if_unused, if_empty| {
        Request::Destroy(Destroy::Queue { name: Bytes::from_static(b"q"), if_unused, if_empty })
    };
    let refused = world.ask(conn(1), destroy(true, false));
    assert!(matches!(refused, Some(Reply::Refused(Refusal::InUse))), "{refused:?}");
    let refused = world.ask(conn(1), destroy(false, true));
    assert!(matches!(refused, Some(Reply::Refused(Refusal::NotEmpty))), "{refused:?}");
    let destroyed = world.ask(conn(1), destroy(false, false));
    assert!(matches!(destroyed, Some(Reply::Destroyed(2))), "{destroyed:?}");
    assert_eq!(world.got.notices, [(conn(2), Notice::ConsumerGone(1))]);
    let mut world = world.restarted();
    assert_eq!(send(&mut world, "q", "x", AtLeastOnce).queues, 0);
}

#[test]
fn a_queue_of_many_thousands_is_handed_out_completely_without_acknowledgements() {
    let mut world = World::new();
    declare(&mut world, 1, queue("q", true));
    for n in 0..2_000 {
        send(&mut world, "q", &n.to_string(), AtLeastOnce);
    }
    let consume = Consume {
        number: 1,
        queue: Bytes::from_static(b"q"),
        no_ack: true,
        exclusive: false,
        priority: 0,
        windows: Vec::new(),
    };
    world.ask(conn(2), Request::Consume(consume));
    let got = world.take(conn(2));
    assert_eq!(got, (0..2_000).map(|n| n.to_string()).collect::<Vec<_>>());
}
