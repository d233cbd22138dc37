//! Records removed by request.

use bytes::Bytes;
use model::filter::Filter;
use model::record::Assurance;
use protocol::{PurgeStream, Refusal, Reply, Request, Retention, StreamPurged, Which};

use storage::batch::BatchHeader;

use crate::publish::{name, read_from};
use crate::retention::{declare, shown, world};
use crate::world::{World, conn};

fn purge(world: &mut World, stream: &str, which: Which) -> Result<StreamPurged, Refusal> {
    let purge = PurgeStream { stream: name(stream), partition: 0, which };
    match world.ask(conn(9), Request::PurgeStream(purge)) {
        Some(Reply::StreamPurged(purged)) => Ok(purged),
        Some(Reply::Refused(refusal)) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

fn filter(text: &str) -> Filter {
    Filter::mqtt(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// A stream with a0 b0 a1 b1 ...
fn filled(records: usize) -> World {
    let mut world = world();
    declare(&mut world, "t", "t/#", Retention::default());
    for n in 0..records {
        for subject in ["a", "b"] {
            let value = format!("{subject}{n}");
            world.publish(conn(1), &format!("t/{subject}"), &value, Assurance::AtLeastOnce);
        }
    }
    world
}

#[test]
fn a_prefix_goes_up_to_an_offset_or_all_of_it() {
    let mut world = filled(3);
    let purged = purge(&mut world, "t", Which::Below(Some(2))).unwrap();
    assert_eq!(purged, StreamPurged { records: 2, first: 2 });
    assert_eq!(shown(&mut world, "t"), ["a1", "b1", "a2", "b2"]);
    assert_eq!(purge(&mut world, "t", Which::Below(Some(7))), Err(Refusal::OutOfRange));
    assert_eq!(purge(&mut world, "t", Which::Below(Some(1))).unwrap().first, 2, "never back");
    let purged = purge(&mut world, "t", Which::Below(None)).unwrap();
    assert_eq!(purged, StreamPurged { records: 4, first: 6 });
    assert!(shown(&mut world, "t").is_empty());
}

#[test]
fn what_matches_goes_but_for_the_newest_that_are_kept() {
    let mut world = filled(4);
    let which = Which::Matching { filter: filter("t/a"), below: Some(6), keep: 1 };
    let purged = purge(&mut world, "t", which).unwrap();
    assert_eq!(purged.records, 2);
    assert_eq!(shown(&mut world, "t"), ["b0", "b1", "a2", "b2", "a3", "b3"]);
    let which = Which::Matching { filter: filter("#"), below: None, keep: 2 };
    assert_eq!(purge(&mut world, "t", which).unwrap().records, 4);
    assert_eq!(shown(&mut world, "t"), ["a3", "b3"]);
}

#[test]
fn many_thousands_that_match_go_page_by_page_and_the_answer_counts_them_all() {
    let mut world = filled(5_000);
    let which = Which::Matching { filter: filter("t/b"), below: None, keep: 0 };
    assert_eq!(purge(&mut world, "t", which).unwrap().records, 5_000);
    assert_eq!(shown(&mut world, "t").len(), 5_000);
}

#[test]
fn single_records_go_and_a_reader_behind_the_last_one_gets_on() {
    let mut world = filled(2);
    let purged = purge(&mut world, "t", Which::Offsets(vec![3, 1, 1, 99])).unwrap();
    assert_eq!(purged.records, 2);
    assert_eq!(shown(&mut world, "t"), ["a0", "a1"]);
    assert_eq!(purge(&mut world, "t", Which::Offsets(vec![3])).unwrap().records, 0);
    let Some(Reply::Read(outcomes)) = world.ask(conn(9), read_from(name("t"), 3, 0)) else {
        panic!("a read is answered")
    };
    let header = BatchHeader::decode(&outcomes[0].batches[0]).unwrap();
    assert!(header.is_control(), "nothing to see, and where to go on");
    assert_eq!((header.last(), outcomes[0].end), (3, 4));
}

#[test]
fn a_view_loses_its_own_subject_alone_and_the_systems_streams_nothing() {
    let mut world = world();
    for subject in ["x", "y"] {
        world.publish(conn(1), subject, subject, Assurance::AtLeastOnce);
        let describe =
            Request::DescribeStreams { streams: Some(vec![name(subject)]), create: false };
        world.ask(conn(1), describe);
    }
    assert_eq!(purge(&mut world, "x", Which::Below(None)).unwrap().records, 1);
    assert_eq!(shown(&mut world, "y"), ["y"]);
    assert_eq!(purge(&mut world, "_default", Which::Below(None)), Err(Refusal::Reserved));
    assert_eq!(purge(&mut world, "gone", Which::Below(None)), Err(Refusal::NotFound));
}
