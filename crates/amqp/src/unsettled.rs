//! The deliveries of one channel that wait for an acknowledgement.
//!
//! Delivery tags only grow, so the ledger is sorted as it is filled. What is settled out of order
//! leaves a hole until the holes are half of it: settling is cheap wherever it hits.

use std::collections::VecDeque;

use protocol::Tag;

#[derive(Clone, Copy, Debug)]
struct Entry {
    delivery_tag: u64,
    /// `None` once it is settled.
    tag: Option<Tag>,
}

/// A ledger of deliveries by delivery tag.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    entries: VecDeque<Entry>,
    holes: usize,
}

impl Unsettled {
    /// A delivery went out; `delivery_tag` is higher than all before it.
    pub(crate) fn push(&mut self, delivery_tag: u64, tag: Tag) {
        self.entries.push_back(Entry { delivery_tag, tag: Some(tag) });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.len() == self.holes
    }

    fn position(&self, delivery_tag: u64) -> Option<usize> {
        let found = self.entries.binary_search_by_key(&delivery_tag, |entry| entry.delivery_tag);
        let at = found.ok()?;
        self.entries.get(at)?.tag.map(|_| at)
    }

    /// Takes one; `None` if it is not unsettled.
    pub(crate) fn take(&mut self, delivery_tag: u64) -> Option<Tag> {
        let at = self.position(delivery_tag)?;
        let tag = self.entries.get_mut(at)?.tag.take()?;
        self.holes += 1;
        while self.entries.front().is_some_and(|entry| entry.tag.is_none()) {
            self.entries.pop_front();
            self.holes -= 1;
        }
        if self.holes > 64 && self.holes * 2 > self.entries.len() {
            self.entries.retain(|entry| entry.tag.is_some());
            self.holes = 0;
        }
        Some(tag)
    }

    /// Takes all up to and with this one into `out`; `false` if it is not unsettled.
    pub(crate) fn take_through(&mut self, delivery_tag: u64, out: &mut Vec<Tag>) -> bool {
        let Some(at) = self.position(delivery_tag) else { return false };
        for entry in self.entries.drain(..=at) {
            match entry.tag {
                Some(tag) => out.push(tag),
                None => self.holes -= 1,
            }
        }
        while self.entries.front().is_some_and(|entry| entry.tag.is_none()) {
            self.entries.pop_front();
            self.holes -= 1;
        }
        true
    }

    /// Takes everything, in the order of delivery.
    pub(crate) fn take_all(&mut self) -> Vec<Tag> {
        self.holes = 0;
        std::mem::take(&mut self.entries).into_iter().filter_map(|entry| entry.tag).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn tag(place: u64) -> Tag {
        Tag { source: 1, place }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push,
        Skip,
        Take(u64),
        Through(u64),
        All,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Push),
            1 => Just(Step::Skip),
            4 => (0_u64..300).prop_map(Step::Take),
            1 => (0_u64..300).prop_map(Step::Through),
            1 => Just(Step::All),
        ]
    }

    proptest! {
        #[test]
        fn it_does_what_a_sorted_map_does(steps in proptest::collection::vec(step(), 0..400)) {
            let mut ledger = Unsettled::default();
            let mut model = BTreeMap::new();
            let mut next = 1;
            for step in steps {
                match step {
                    Step::Push => {
                        ledger.push(next, tag(next));
                        model.insert(next, tag(next));
                        next += 1;
                    }
                    Step::Skip => next += 1,
                    Step::Take(at) => prop_assert_eq!(ledger.take(at), model.remove(&at)),
                    Step::Through(at) => {
                        let mut out = Vec::new();
                        let known = model.contains_key(&at);
                        prop_assert_eq!(ledger.take_through(at, &mut out), known);
                        if known {
                            let rest = model.split_off(&(at + 1));
                            let gone: Vec<_> = std::mem::replace(&mut model, rest).into_values().collect();
                            prop_assert_eq!(out, gone);
                        }
                    }
                    Step::All => {
                        let all: Vec<_> = std::mem::take(&mut model).into_values().collect();
                        prop_assert_eq!(ledger.take_all(), all);
                    }
                }
                prop_assert_eq!(ledger.is_empty(), model.is_empty());
            }
        }
    }
}
