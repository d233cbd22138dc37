//! The tree of subjects finds, in order and in pages, what looking at every subject would find.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod matching;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;
use matching::{filter, plainly_matches, subject};
use model::filter::Filter;
use model::render::mqtt;
use model::subject::Subject;
use model::tree::SubjectTree;
use proptest::prelude::*;

fn by_tokens(one: &Subject, other: &Subject) -> Ordering {
    one.tokens().cmp(other.tokens())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_tree_agrees_with_looking_at_every_subject(
        steps in prop::collection::vec((any::<bool>(), subject(), any::<u8>()), 0..120),
        filters in prop::collection::vec(filter(), 8),
        after in subject(),
        page in 1_usize..5,
    ) {
        let mut tree = SubjectTree::new();
        let mut model = BTreeMap::new();
        for (add, subject, value) in steps {
            if add || value < 100 {
                prop_assert_eq!(tree.insert(&subject, value), model.insert(subject, value));
            } else {
                prop_assert_eq!(tree.remove(&subject), model.remove(&subject));
            }
        }
        prop_assert_eq!(tree.len(), model.len());
        prop_assert_eq!(tree.get(&after), model.get(&after));
        for filter in filters {
            let mut expected: Vec<_> =
                model.iter().filter(|(subject, _)| plainly_matches(&filter, subject)).collect();
            expected.sort_by(|(one, _), (other, _)| by_tokens(one, other));

            prop_assert_eq!(&tree.matching(&filter, None).collect::<Vec<_>>(), &expected);

            let mut paged: Vec<(&Subject, &u8)> = Vec::new();
            loop {
                let last = paged.last().map(|(subject, _)| *subject);
                let more: Vec<_> = tree.matching(&filter, last).take(page).collect();
                if more.is_empty() {
                    break;
                }
                paged.extend(more);
            }
            prop_assert_eq!(&paged, &expected);

            expected.retain(|(subject, _)| by_tokens(subject, &after) == Ordering::Greater);
            prop_assert_eq!(tree.matching(&filter, Some(&after)).collect::<Vec<_>>(), expected);
        }
    }
}

#[test]
fn a_page_goes_on_after_a_subject_that_is_gone() {
    let topic = |text: &'static str| mqtt::parse(&Bytes::from_static(text.as_bytes())).unwrap();
    let mut tree = SubjectTree::new();
    for (text, value) in [("a/1", 1), ("a/2", 2), ("a/2/x", 3), ("a/3", 4)] {
        tree.insert(&topic(text), value);
    }
    let filter = Filter::mqtt(&Bytes::from_static(b"a/+")).unwrap();
    let values = |tree: &SubjectTree<i32>, after: Option<&Subject>| {
        tree.matching(&filter, after).map(|(_, value)| *value).collect::<Vec<_>>()
    };
    assert_eq!(values(&tree, None), [1, 2, 4]);
    tree.remove(&topic("a/2"));
    assert_eq!(values(&tree, Some(&topic("a/2"))), [4]);
}
