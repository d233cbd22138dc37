//! The set of items under one filter: one word for one item, constant time for a million.
//!
//! Most filters have a single subscriber, some have very many, and a storm of disconnects must
//! not cost the square of them. The order of items is not kept.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// From this many items on they are found by hash.
const CROWD: usize = 16;

/// A set of items.
#[derive(Debug)]
pub(crate) enum Members<T> {
    None,
    One(T),
    Few(Vec<T>),
    Many(Box<Crowd<T>>),
}

/// Items side by side, and where each of them stands.
#[derive(Debug)]
pub(crate) struct Crowd<T> {
    items: Vec<T>,
    places: HashTable<u32>,
}

impl<T: Eq + Hash> Members<T> {
    /// Adds an item; `false` if it is there already.
    pub(crate) fn insert(&mut self, item: T, hasher: &FixedState) -> bool {
        if let Self::Many(crowd) = self {
            return crowd.insert(item, hasher);
        }
        if self.as_slice().contains(&item) {
            return false;
        }
        *self = match std::mem::replace(self, Self::None) {
            Self::None => Self::One(item),
            Self::One(one) => Self::Few(vec![one, item]),
            Self::Few(mut items) if items.len() < CROWD => {
                items.push(item);
                Self::Few(items)
            }
            Self::Few(items) => {
                let mut crowd = Crowd { items: Vec::new(), places: HashTable::new() };
                for item in items.into_iter().chain([item]) {
                    crowd.insert(item, hasher);
                }
                Self::Many(Box::new(crowd))
            }
            Self::Many(crowd) => Self::Many(crowd),
        };
        true
    }

    /// Takes an item out; `false` if it is not there.
    pub(crate) fn remove(&mut self, item: &T, hasher: &FixedState) -> bool {
        match self {
            Self::None => false,
            Self::One(one) => {
                let found = one == item;
                if found {
                    *self = Self::None;
                }
                found
            }
            Self::Few(items) => {
                let Some(at) = items.iter().position(|other| other == item) else { return false };
                items.swap_remove(at);
                if items.len() == 1
                    && let Some(last) = items.pop()
                {
                    *self = Self::One(last);
                }
                true
            }
            Self::Many(crowd) => {
                let found = crowd.remove(item, hasher);
                if found && crowd.items.len() <= CROWD / 2 {
                    *self = Self::Few(std::mem::take(&mut crowd.items));
                }
                found
            }
        }
    }
}

impl<T> Members<T> {
    /// Whether there is no item.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The items side by side.
    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Few(items) => items,
            Self::Many(crowd) => &crowd.items,
        }
    }
}

impl<T: Eq + Hash> Crowd<T> {
    fn insert(&mut self, item: T, hasher: &FixedState) -> bool {
        let Self { items, places } = self;
        let hash = hasher.hash_one(&item);
        if places.find(hash, |&at| items.get(at as usize) == Some(&item)).is_some() {
            return false;
        }
        let place = u32::try_from(items.len()).expect("four billion items do not fit in memory");
        items.push(item);
        places.insert_unique(hash, place, |&at| hasher.hash_one(&items[at as usize]));
        true
    }

    fn remove(&mut self, item: &T, hasher: &FixedState) -> bool {
        let Self { items, places } = self;
        let hash = hasher.hash_one(item);
        let Ok(entry) = places.find_entry(hash, |&at| items.get(at as usize) == Some(item)) else {
            return false;
        };
        let (place, _) = entry.remove();
        items.swap_remove(place as usize);
        // The last item has moved into the gap.
        if let Some(moved) = items.get(place as usize) {
            let old = items.len();
            let hash = hasher.hash_one(moved);
            if let Some(at) = places.find_mut(hash, |&at| at as usize == old) {
                *at = place;
            }
        }
        if items.len() < items.capacity() / 4 {
            items.shrink_to(items.len() * 2);
            places.shrink_to(items.len() * 2, |&at| hasher.hash_one(&items[at as usize]));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn members_are_a_set_at_every_size(
            steps in prop::collection::vec((any::<bool>(), 0_u8..40), 0..400),
        ) {
            let hasher = FixedState::with_seed(7);
            let (mut members, mut model) = (Members::None, BTreeSet::new());
            for (add, item) in steps {
                if add {
                    prop_assert_eq!(members.insert(item, &hasher), model.insert(item));
                } else {
                    prop_assert_eq!(members.remove(&item, &hasher), model.remove(&item));
                }
                prop_assert_eq!(members.is_empty(), model.is_empty());
                let items: BTreeSet<_> = members.as_slice().iter().copied().collect();
                prop_assert_eq!(items.len(), members.as_slice().len());
                prop_assert_eq!(&items, &model);
            }
        }
    }

    #[test]
    fn a_crowd_grows_and_shrinks_in_constant_time_per_item() {
        let hasher = FixedState::with_seed(7);
        let mut members = Members::None;
        for item in 0..100_000_u32 {
            assert!(members.insert(item, &hasher));
        }
        for item in 0..100_000_u32 {
            assert!(members.remove(&item, &hasher));
        }
        assert!(members.is_empty());
    }
}
