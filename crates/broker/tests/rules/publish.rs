//! Live deliveries, what is stored, and what a name means.

use crate::world::{World, conn, message, subscription};
use bytes::Bytes;
use model::record::{Address, Assurance};
use model::render;
use protocol::{
    Append, Position, Published, Read, ReadItem, Refusal, Reply, Request, StreamRef, StreamStatus,
    Wait,
};
use storage::batch;

use Assurance::{AtLeastOnce, AtMostOnce};

fn matched(reply: &Reply) -> u32 {
    match reply {
        Reply::Published(Published { matched, .. }) => *matched,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn name(name: &str) -> StreamRef {
    StreamRef::Name(Bytes::copy_from_slice(name.as_bytes()))
}

fn describe(world: &mut World, stream: StreamRef, create: bool) -> StreamStatus {
    let request = Request::DescribeStreams { streams: Some(vec![stream]), create };
    match world.ask(conn(9), request) {
        Some(Reply::Streams(mut statuses)) => statuses.remove(0),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn read_from(stream: StreamRef, offset: u64, wait_ms: u64) -> Request {
    let item = ReadItem { stream, partition: 0, offset, max_bytes: 1 << 20 };
    Request::Read(Read { items: vec![item], min_bytes: 1, max_bytes: 1 << 20, wait_ms })
}

/// The visible records of an answer: offset and value.
pub(crate) fn records(reply: Option<Reply>) -> Vec<(u64, String)> {
    let Some(Reply::Read(outcomes)) = reply else { panic!("{reply:?}") };
    assert_eq!(outcomes[0].refused, None);
    outcomes[0]
        .batches
        .iter()
        .filter(|bytes| !batch::BatchHeader::decode(bytes).unwrap().is_control())
        .flat_map(|bytes| batch::records(bytes).unwrap())
        .map(|r| (r.offset, String::from_utf8(r.value.unwrap_or_default().to_vec()).unwrap()))
        .collect()
}

#[test]
fn a_live_message_reaches_each_connection_once_with_all_its_subscriptions() {
    let mut world = World::new();
    world.subscribe(conn(1), 1, "a/#", false);
    world.subscribe(conn(1), 2, "a/+", false);
    world.subscribe(conn(2), 1, "b", false);
    let reply = world.publish(conn(3), "a/x", "hi", AtMostOnce);
    assert_eq!(matched(&reply), 1);
    let got = world.take_deliveries(conn(1));
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].matched.as_slice(), [1, 2]);
    assert!(got[0].tag.is_none());
    assert!(world.take(conn(2)).is_empty());
}

#[test]
fn a_member_of_a_group_gets_each_message_alone_and_own_messages_can_be_skipped() {
    let mut world = World::new();
    for n in 1..=2 {
        let mut subscribe = subscription(1, "jobs", false);
        subscribe.group = Some(Bytes::from_static(b"g"));
        world.ask(conn(n), Request::Subscribe(subscribe));
    }
    let mut own = subscription(1, "jobs", false);
    own.skip_own = true;
    world.ask(conn(3), Request::Subscribe(own));
    for _ in 0..4 {
        assert_eq!(matched(&world.publish(conn(3), "jobs", "j", AtMostOnce)), 1, "one member");
    }
    assert_eq!((world.take(conn(1)).len(), world.take(conn(2)).len()), (2, 2));
    assert!(world.take(conn(3)).is_empty());
}

#[test]
fn a_connection_that_is_gone_gets_nothing_and_counts_for_nothing() {
    let mut world = World::new();
    world.subscribe(conn(1), 1, "a", false);
    world.gone(conn(1));
    assert_eq!(matched(&world.publish(conn(2), "a", "x", AtMostOnce)), 0);
}

#[test]
fn what_must_last_is_read_back_by_name_as_a_view_with_a_lasting_id() {
    let mut world = World::new();
    assert_eq!(describe(&mut world, name("f.t"), false).refused, Some(Refusal::NotFound));
    world.publish(conn(1), "f/t", "one", AtLeastOnce);
    world.publish(conn(1), "f/other", "no", AtLeastOnce);
    world.publish(conn(1), "f/t", "two", AtLeastOnce);
    let view = describe(&mut world, name("f.t"), true);
    assert_eq!((view.refused.clone(), view.partitions), (None, 1));
    let mut world = world.restarted();
    assert_eq!(describe(&mut world, name("f.t"), false).id, view.id);
    let values: Vec<String> = records(world.ask(conn(9), read_from(StreamRef::Id(view.id), 0, 0)))
        .into_iter()
        .map(|(_, value)| value)
        .collect();
    assert_eq!(values, ["one", "two"]);
}

#[test]
fn an_unstored_message_is_stored_while_a_view_of_its_subject_is_read() {
    let mut world = World::new();
    world.publish(conn(1), "v/x", "kept", AtLeastOnce);
    world.publish(conn(1), "v/x", "lost", AtMostOnce);
    let view = describe(&mut world, name("v.x"), false);
    world.publish(conn(1), "v/x", "leased", AtMostOnce);
    let values = records(world.ask(conn(9), read_from(StreamRef::Id(view.id), 0, 0)));
    assert_eq!(values.iter().map(|v| v.1.as_str()).collect::<Vec<_>>(), ["kept", "leased"]);
    world.pass(std::time::Duration::from_secs(31));
    world.publish(conn(1), "v/x", "late", AtMostOnce);
    let values = records(world.ask(conn(9), read_from(StreamRef::Id(view.id), 0, 0)));
    assert_eq!(values.len(), 2, "the lease ended 30 s after the last reading");
}

#[test]
fn whoever_asks_for_a_name_that_is_unknown_finds_what_came_meanwhile() {
    let mut world = World::new();
    assert_eq!(describe(&mut world, name("u.x"), false).refused, Some(Refusal::NotFound));
    world.publish(conn(1), "u/x", "meanwhile", AtMostOnce);
    assert_eq!(describe(&mut world, name("u.x"), false).refused, None);
    let values = records(world.ask(conn(9), read_from(name("u.x"), 0, 0)));
    assert_eq!(values.iter().map(|v| v.1.as_str()).collect::<Vec<_>>(), ["meanwhile"]);
}

#[test]
fn a_made_stream_captures_its_subject_whatever_the_assurance() {
    let mut world = World::new();
    let made = describe(&mut world, name("k.t"), true);
    assert_eq!(made.refused, None);
    world.subscribe(conn(1), 1, "k/t", false);
    let token = world.start(conn(2), Request::Publish(message("k/t", "x", AtMostOnce)));
    assert!(world.take(conn(1)).is_empty(), "nobody sees an offset before its commit");
    world.settle_down();
    assert!(world.got.replies.contains_key(&token));
    assert_eq!(world.take(conn(1)), ["x"]);
    assert_eq!(records(world.ask(conn(9), read_from(name("k.t"), 0, 0))), [(0, "x".to_owned())]);
}

fn producer_batch(values: &[&str]) -> Bytes {
    let records = values.iter().enumerate().map(|(n, value)| {
        let mut tail = bytes::BytesMut::new();
        batch::put_varint(&mut tail, -1);
        batch::put_varint(&mut tail, i32::try_from(value.len()).unwrap());
        tail.extend_from_slice(value.as_bytes());
        batch::put_varint(&mut tail, 0);
        (n as u64, 5, tail)
    });
    batch::build(records, false)
}

fn append(stream: StreamRef, values: &[&str]) -> Request {
    let batch = producer_batch(values);
    Request::Append(Append { stream, partition: 0, batch, wait: Wait::Stored })
}

#[test]
fn a_batch_is_appended_and_told_to_live_subscribers_record_by_record() {
    let mut world = World::new();
    describe(&mut world, name("k.b"), true);
    world.subscribe(conn(1), 1, "k/+", false);
    let reply = world.ask(conn(2), append(name("k.b"), &["1", "2"]));
    assert!(matches!(reply, Some(Reply::Appended(a)) if a.base_offset == 0), "{reply:?}");
    assert_eq!(world.take(conn(1)), ["1", "2"]);
    let damaged = Request::Append(Append {
        stream: name("k.b"),
        partition: 0,
        batch: Bytes::from_static(&[0; 70]),
        wait: Wait::Stored,
    });
    assert!(matches!(world.ask(conn(2), damaged), Some(Reply::Refused(_))));
}

#[test]
fn producing_to_a_view_makes_it_a_stream_that_goes_on_where_the_view_ended() {
    let mut world = World::new();
    for n in 0..3 {
        world.publish(conn(1), "p/x", &n.to_string(), AtLeastOnce);
    }
    let view = describe(&mut world, name("p.x"), false);
    let reply = world.ask(conn(2), append(name("p.x"), &["3", "4"]));
    let Some(Reply::Appended(appended)) = reply else { panic!("{reply:?}") };
    assert_eq!(describe(&mut world, name("p.x"), false).id, view.id, "the id stays");
    world.publish(conn(1), "p/x", "5", AtLeastOnce);
    let mut offset = 0;
    let mut values = Vec::new();
    while values.len() < 6 {
        let read = records(world.ask(conn(9), read_from(name("p.x"), offset, 0)));
        assert!(!read.is_empty(), "stopped at {offset} after {values:?}");
        offset = read.last().unwrap().0 + 1;
        values.extend(read.into_iter().filter(|(at, _)| *at < offset).map(|(_, value)| value));
    }
    assert_eq!(values, ["0", "1", "2", "3", "4", "5"]);
    assert!(appended.base_offset >= 3);
}

#[test]
fn a_waiting_read_wakes_with_data_on_any_partition_and_answers_in_time_without() {
    let mut world = World::new();
    describe(&mut world, name("w.1"), true);
    describe(&mut world, name("w.2"), true);
    let items = ["w.1", "w.2"].map(|n| ReadItem {
        stream: name(n),
        partition: 0,
        offset: 0,
        max_bytes: 1000,
    });
    let read = || {
        Request::Read(Read { items: items.to_vec(), min_bytes: 1, max_bytes: 1000, wait_ms: 500 })
    };
    let token = world.start(conn(9), read());
    world.settle_down();
    assert!(!world.got.replies.contains_key(&token), "it waits");
    world.publish(conn(1), "w/2", "x", AtMostOnce);
    let Some(Reply::Read(outcomes)) = world.got.replies.remove(&token) else { panic!() };
    assert_eq!((outcomes[0].batches.len(), outcomes[1].batches.len()), (0, 1));
    let items = vec![ReadItem { offset: 1, ..items[1].clone() }];
    let read = Read { items, min_bytes: 1, max_bytes: 1000, wait_ms: 500 };
    let token = world.start(conn(9), Request::Read(read));
    world.pass(std::time::Duration::from_millis(501));
    assert!(world.got.replies.contains_key(&token), "the wait is over");
}

#[test]
fn offsets_are_found_by_position_and_time_in_streams_and_views() {
    let mut world = World::new();
    describe(&mut world, name("l.s"), true);
    for n in 0..3 {
        for subject in ["l/s", "l/v"] {
            world.publish(conn(1), subject, &n.to_string(), AtLeastOnce);
        }
        world.pass(std::time::Duration::from_millis(100));
    }
    describe(&mut world, name("l.v"), false);
    for stream in ["l.s", "l.v"] {
        let mut locate =
            |position| match world.ask(conn(9), Request::Locate(name(stream), 0, position)) {
                Some(Reply::Located(located)) => located,
                other => panic!("{other:?}"),
            };
        let first = locate(Position::Earliest).unwrap().offset;
        let middle = locate(Position::Time(1_000_001)).unwrap();
        assert_eq!(middle.timestamp_ms, 1_000_100, "{stream}");
        assert!(middle.offset > first);
        assert_eq!(locate(Position::MaxTimestamp).unwrap().timestamp_ms, 1_000_200);
        assert_eq!(locate(Position::Time(2_000_000)), None);
        assert!(locate(Position::Latest).unwrap().offset > middle.offset);
    }
}

#[test]
fn last_values_come_with_a_new_subscription_and_survive_a_restart() {
    let mut world = World::new();
    for (subject, body) in
        [("r/1", "old"), ("r/1", "new"), ("r/2", "x"), ("r/3", "gone"), ("r/3", "")]
    {
        let mut publish = message(subject, body, AtMostOnce);
        publish.record.retain = true;
        world.ask(conn(1), Request::Publish(publish));
    }
    let mut world = world.restarted();
    world.subscribe(conn(2), 1, "r/#", false);
    let got = world.take_deliveries(conn(2));
    assert_eq!(got.iter().map(crate::world::payload).collect::<Vec<_>>(), ["new", "x"]);
    assert!(got.iter().all(|d| d.last_value && d.message.record.retain));
}

#[test]
fn a_last_value_that_waits_for_the_disk_does_not_undo_a_later_one() {
    let mut world = World::new();
    for (subject, later) in [("o/1", "later"), ("o/2", "")] {
        for (body, assurance) in [("earlier", AtLeastOnce), (later, AtMostOnce)] {
            let mut publish = message(subject, body, assurance);
            publish.record.retain = true;
            world.start(conn(1), Request::Publish(publish));
        }
    }
    world.settle_down();
    world.subscribe(conn(2), 1, "o/#", false);
    assert_eq!(world.take(conn(2)), ["later"]);
    world.pass(std::time::Duration::from_secs(11));
    world.pass(std::time::Duration::from_secs(11));
    let mut publish = message("o/2", "again", AtMostOnce);
    publish.record.retain = true;
    world.ask(conn(1), Request::Publish(publish));
    world.subscribe(conn(3), 1, "o/2", false);
    assert_eq!(world.take(conn(3)), ["again"]);
}

#[test]
fn an_answer_to_an_alias_reaches_the_requester_with_its_correlation() {
    let mut world = World::new();
    world.subscribe(conn(1), 1, "answers", false);
    world.subscribe(conn(2), 1, "service", false);
    let mut request = message("service", "?", AtMostOnce);
    let answers = render::mqtt::parse(&Bytes::from_static(b"answers")).unwrap();
    let properties = request.record.properties_mut();
    properties.reply_to = Some(Address::shared(answers));
    properties.correlation = Some(Bytes::from_static(b"\x00\xff"));
    world.ask(conn(1), Request::Publish(request));
    let asked = world.take_deliveries(conn(2)).remove(0);
    let alias = asked.message.reply_alias.get().expect("an alias").clone();
    let mut answer = message("unused", "!", AtMostOnce);
    answer.to = Address::shared(alias);
    world.ask(conn(2), Request::Publish(answer));
    let got = world.take_deliveries(conn(1)).remove(0);
    let properties = got.message.record.properties.as_ref().unwrap();
    assert_eq!(properties.correlation.as_deref(), Some(&b"\x00\xff"[..]));
    assert_eq!(got.message.subject().unwrap().as_bytes(), b"answers");
}

#[test]
fn a_message_above_the_limit_is_refused() {
    let mut world = World::new();
    let mut publish = message("big", "", AtLeastOnce);
    publish.record.value = Some(Bytes::from(vec![0; (1 << 20) + 1]));
    let reply = world.ask(conn(1), Request::Publish(publish));
    assert!(matches!(reply, Some(Reply::Refused(Refusal::TooLarge(_)))), "{reply:?}");
}
