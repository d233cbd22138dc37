//! The index finds what the filters one by one would find.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod matching;

use std::collections::BTreeSet;

use bytes::Bytes;
use matching::{filter, plainly_matches, subject};
use model::filter::{Filter, Reach};
use model::index::Index;
use model::render::{amqp, mqtt};
use model::subject::Subject;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, u8),
    Remove(usize, u8),
    Ask(Subject),
}

fn steps(filters: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..filters, 0_u8..3).prop_map(|(filter, item)| Step::Insert(filter, item)),
        2 => (0..filters, 0_u8..3).prop_map(|(filter, item)| Step::Remove(filter, item)),
        4 => subject().prop_map(Step::Ask),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_index_agrees_with_the_filters_one_by_one(
        filters in prop::collection::vec(filter(), 30),
        steps in steps(30),
    ) {
        let mut index = Index::seeded(3);
        let mut model: BTreeSet<(Filter, u8)> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Insert(at, item) => {
                    let added = model.insert((filters[at].clone(), item));
                    prop_assert_eq!(index.insert(&filters[at], (filters[at].clone(), item)), added);
                }
                Step::Remove(at, item) => {
                    let pair = (filters[at].clone(), item);
                    prop_assert_eq!(index.remove(&filters[at], &pair), model.remove(&pair));
                }
                Step::Ask(subject) => {
                    let mut found = Vec::new();
                    index.matches(&subject, |pair| found.push(pair.clone()));
                    found.sort();
                    let expected: Vec<_> = model
                        .iter()
                        .filter(|(filter, _)| plainly_matches(filter, &subject))
                        .cloned()
                        .collect();
                    prop_assert_eq!(found, expected);
                }
            }
            prop_assert_eq!(index.len(), model.len());
        }
        for (filter, item) in model {
            prop_assert!(index.remove(&filter, &(filter.clone(), item)));
        }
        prop_assert!(index.is_empty());
        prop_assert_eq!(format!("{index:?}"), format!("{:?}", emptied()), "nothing is left behind");
    }
}

/// An index that had an entry of every sort.
fn emptied() -> Index<(Filter, u8)> {
    let mut index = Index::seeded(3);
    for text in ["a", "a/+", "a/#"] {
        let filter = Filter::mqtt(&Bytes::from_static(text.as_bytes())).unwrap();
        index.insert(&filter, (filter.clone(), 0));
        index.remove(&filter, &(filter.clone(), 0));
    }
    index
}

fn found(index: &Index<u32>, subject: &Subject) -> Vec<u32> {
    let mut found = Vec::new();
    index.matches(subject, |item| found.push(*item));
    found.sort_unstable();
    found
}

#[test]
fn a_filter_that_matches_in_many_ways_reports_once() {
    let mut index = Index::default();
    index.insert(&Filter::amqp(b"#.a.#.a.#").unwrap(), 1);
    index.insert(&Filter::amqp(b"#.#.#").unwrap(), 2);
    index.insert(&Filter::amqp(b"#.a").unwrap(), 3);
    let key = amqp::parse("a.".repeat(127).trim_end_matches('.').as_bytes()).unwrap();
    assert_eq!(found(&index, &key), [1, 2, 3]);
}

#[test]
fn hashes_in_every_place_do_not_blow_up() {
    let mut index = Index::default();
    for length in 1..63 {
        let key = format!("{}b", "#.a.*.".repeat(length.min(42)));
        index.insert(&Filter::amqp(key.as_bytes()).unwrap(), length as u32);
        index.insert(&Filter::amqp("#.a.".repeat(length).as_bytes()).unwrap(), length as u32);
    }
    let subject = Subject::from_tokens(std::iter::repeat_n("a", 128)).unwrap();
    assert_eq!(found(&index, &subject), Vec::<u32>::new());
}

#[test]
fn many_children_and_many_items_are_all_found_and_all_removed() {
    let mut index = Index::default();
    let filter = |n: u32| Filter::mqtt(&Bytes::from(format!("device/{n}/+"))).unwrap();
    for n in 0..5_000 {
        assert!(index.insert(&filter(n), n));
        assert!(index.insert(&filter(7), 100_000 + n));
    }
    let subject = |n: u32| mqtt::parse(&Bytes::from(format!("device/{n}/temp"))).unwrap();
    assert_eq!(found(&index, &subject(4_321)), [4_321]);
    assert_eq!(found(&index, &subject(7)).len(), 5_001);
    assert_eq!(found(&index, &subject(5_000)), Vec::<u32>::new());
    for n in 0..5_000 {
        assert!(index.remove(&filter(7), &(100_000 + n)));
        assert!(index.remove(&filter(n), &n));
        assert!(!index.remove(&filter(n), &n));
    }
    assert!(index.is_empty());
}

#[test]
fn the_deepest_filters_and_subjects_fit() {
    let mut index = Index::default();
    let filters = [
        Filter::mqtt(&Bytes::from("+/".repeat(127) + "#")).unwrap(),
        Filter::everything(Reach::All),
    ];
    for (filter, item) in filters.iter().zip(1..) {
        index.insert(filter, item);
    }
    let subject = Subject::from_tokens(std::iter::repeat_n("a", 128)).unwrap();
    assert_eq!(found(&index, &subject), [1, 2]);
    for (filter, item) in filters.iter().zip(1..) {
        assert!(index.remove(filter, &item));
    }
}
