//! The table of a client's subscriptions: filter to number, number to how to deliver.
//!
//! The broker names subscriptions by numbers that the session chose. A number is a place in the
//! table and a generation, so that a late delivery for a subscription that is gone is not taken for
//! one of its successor in the same place.

use bytes::{BufMut, Bytes, BytesMut};
use hashbrown::HashTable;
use model::filter::Filter;
use model::record::{Record, Space};
use mqtt_codec::{Qos, SubscriptionId};
use protocol::Delivery;

use crate::fields;

const PLACE_BITS: u32 = 20;
const PLACE_MASK: u32 = (1 << PLACE_BITS) - 1;

/// Up to this many places a filter is looked for one by one.
const SCAN_MAX: usize = 16;

/// How one subscription is delivered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) qos: Qos,
    /// Forward RETAIN as it was published.
    pub(crate) retain_as_published: bool,
    /// Not what the client published itself.
    pub(crate) no_local: bool,
    pub(crate) id: Option<SubscriptionId>,
}

const RETAIN_AS_PUBLISHED: u8 = 0b0100;
const NO_LOCAL: u8 = 0b1000;

impl Grant {
    /// `[qos and flags: u8][subscription identifier: u32 BE, 0 = none]`
    pub(crate) fn write(self, out: &mut BytesMut) {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags =
            bit(self.retain_as_published, RETAIN_AS_PUBLISHED) | bit(self.no_local, NO_LOCAL);
        out.put_u8(self.qos.as_u8() | flags);
        out.put_u32(self.id.map_or(0, SubscriptionId::get));
    }

    /// Reads back what [`Self::write`] wrote, and returns what follows it.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&flags, rest) = bytes.split_first()?;
        let (id, rest) = rest.split_first_chunk::<4>()?;
        let grant = Self {
            qos: Qos::from_u8(flags & 0b11)?,
            retain_as_published: flags & RETAIN_AS_PUBLISHED != 0,
            no_local: flags & NO_LOCAL != 0,
            id: SubscriptionId::new(u32::from_be_bytes(*id)),
        };
        Some((grant, rest))
    }
}

/// A topic filter, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) space: Space,
    pub(crate) filter: Filter,
    /// The share name of `$share/name/filter`.
    pub(crate) group: Option<Bytes>,
}

const SHARE: &[u8] = b"$share/";

/// Whether the text asks for a shared subscription, well formed or not.
pub(crate) fn is_shared(text: &[u8]) -> bool {
    text.starts_with(SHARE) || text == b"$share"
}

impl Wanted {
    /// Reads a topic filter with bytes of its own; `None` when it is not well formed
    /// [MQTT-4.7.1-1] [MQTT-4.8.2-1] [MQTT-4.8.2-2].
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let (group, filter) = if is_shared(text) {
            let rest = text.strip_prefix(SHARE)?;
            let slash = rest.iter().position(|&byte| byte == b'/')?;
            let (name, filter) = rest.split_at(slash);
            if name.is_empty() || name.iter().any(|byte| matches!(byte, b'+' | b'#')) {
                return None;
            }
            (Some(Bytes::copy_from_slice(name)), filter.get(1..)?)
        } else {
            (None, text)
        };
        let private = filter.first() == Some(&b'$');
        let space = if private { fields::PRIVATE.clone() } else { Space::SHARED };
        let filter = Filter::mqtt(&Bytes::copy_from_slice(filter)).ok()?;
        Some(Self { space, filter, group })
    }

    /// The text that [`Self::read`] takes apart like this.
    pub(crate) fn text(filter: &Filter, group: Option<&Bytes>) -> Option<Box<[u8]>> {
        let filter = filter.to_mqtt().ok()?;
        Some(match group {
            None => filter.as_ref().into(),
            Some(group) => [SHARE, group, b"/", &filter].concat().into(),
        })
    }
}

#[derive(Debug)]
struct Subscription {
    number: u32,
    grant: Grant,
    text: Box<[u8]>,
}

#[derive(Debug)]
enum Place {
    Taken(Subscription),
    Free { generation: u32 },
}

/// All subscriptions of one client.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    places: Vec<Place>,
    /// Free places; may be stale after a restore, so each is checked.
    free: Vec<u32>,
    taken: usize,
    /// Places by filter, once there are too many to look through.
    index: Option<Box<HashTable<u32>>>,
}

/// How a delivery is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) ids: Vec<SubscriptionId>,
}

fn hash(text: &[u8]) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // Filters of one client only: its own collisions are its own loss, and bounded by its limit.
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    hasher.write(text);
    hasher.finish()
}

impl Subscriptions {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    fn at(&self, place: u32) -> Option<&Subscription> {
        match self.places.get(place as usize)? {
            Place::Taken(subscription) => Some(subscription),
            Place::Free { .. } => None,
        }
    }

    fn get(&self, number: u32) -> Option<&Subscription> {
        self.at(number & PLACE_MASK).filter(|subscription| subscription.number == number)
    }

    /// Whether there is one with this filter.
    pub(crate) fn contains(&self, text: &[u8]) -> bool {
        self.find(text).is_some()
    }

    fn find(&self, text: &[u8]) -> Option<u32> {
        let is = |place: u32| self.at(place).is_some_and(|found| *found.text == *text);
        match &self.index {
            Some(index) => index.find(hash(text), |&place| is(place)).copied(),
            None => (0..self.places.len() as u32).find(|&place| is(place)),
        }
    }

    /// Makes a subscription, or changes the one with this filter; its number, and whether it is new.
    pub(crate) fn insert(&mut self, text: &[u8], grant: Grant) -> (u32, bool) {
        if let Some(place) = self.find(text)
            && let Some(Place::Taken(found)) = self.places.get_mut(place as usize)
        {
            found.grant = grant;
            return (found.number, false);
        }
        let (place, generation) = self.free_place();
        let number = generation << PLACE_BITS | place;
        self.put(place, Subscription { number, grant, text: text.into() });
        (number, true)
    }

    /// Puts back a subscription under the number that it had; `false` when there is no such place.
    pub(crate) fn restore(&mut self, number: u32, text: Box<[u8]>, grant: Grant) -> bool {
        let place = number & PLACE_MASK;
        if self.at(place).is_some() || self.find(&text).is_some() {
            return false;
        }
        while self.places.len() <= place as usize {
            self.free.push(self.places.len() as u32);
            self.places.push(Place::Free { generation: 0 });
        }
        self.put(place, Subscription { number, grant, text });
        true
    }

    fn free_place(&mut self) -> (u32, u32) {
        while let Some(place) = self.free.pop() {
            if let Some(Place::Free { generation }) = self.places.get(place as usize) {
                return (place, *generation);
            }
        }
        if self.places.is_empty() {
            self.places.reserve_exact(1); // Most clients have one.
        }
        self.places.push(Place::Free { generation: 0 });
        (self.places.len() as u32 - 1, 0)
    }

    fn put(&mut self, place: u32, subscription: Subscription) {
        let hashed = hash(&subscription.text);
        if let Some(slot) = self.places.get_mut(place as usize) {
            *slot = Place::Taken(subscription);
            self.taken += 1;
        }
        let places = &self.places;
        let rehash = |&place: &u32| match places.get(place as usize) {
            Some(Place::Taken(found)) => hash(&found.text),
            Some(Place::Free { .. }) | None => 0,
        };
        match &mut self.index {
            Some(index) => {
                index.insert_unique(hashed, place, rehash);
            }
            None if places.len() > SCAN_MAX => {
                let mut index = HashTable::with_capacity(places.len());
                for place in 0..places.len() as u32 {
                    if let Some(Place::Taken(_)) = places.get(place as usize) {
                        index.insert_unique(rehash(&place), place, rehash);
                    }
                }
                self.index = Some(Box::new(index));
            }
            None => {}
        }
    }

    /// Removes the subscription with this filter; its number, and how it was delivered to.
    pub(crate) fn remove(&mut self, text: &[u8]) -> Option<(u32, Grant)> {
        let place = self.find(text)?;
        self.take(place)
    }

    /// Removes the subscription of this number.
    pub(crate) fn remove_number(&mut self, number: u32) {
        if self.get(number).is_some() {
            self.take(number & PLACE_MASK);
        }
    }

    fn take(&mut self, place: u32) -> Option<(u32, Grant)> {
        let found = self.at(place)?;
        let (number, grant, hashed) = (found.number, found.grant, hash(&found.text));
        if let Some(index) = &mut self.index
            && let Ok(entry) = index.find_entry(hashed, |&other| other == place)
        {
            entry.remove();
        }
        let generation = (number >> PLACE_BITS).wrapping_add(1) & (u32::MAX >> PLACE_BITS);
        if let Some(slot) = self.places.get_mut(place as usize) {
            *slot = Place::Free { generation };
        }
        self.free.push(place);
        self.taken -= 1;
        if self.taken == 0 {
            self.index = None;
        }
        Some((number, grant))
    }

    /// How the client is granted what this number stands for.
    pub(crate) fn grant(&self, number: u32) -> Option<Grant> {
        self.get(number).map(|found| found.grant)
    }

    /// How a delivery is to be sent; `None` when all the subscriptions that it is for are gone.
    ///
    /// One packet goes out for all of them [MQTT-3.3.4-2] [MQTT-3.3.4-4].
    pub(crate) fn shape(&self, delivery: &Delivery) -> Option<Shape> {
        let record: &Record = &delivery.message.record;
        let mut granted = None;
        let mut retain = delivery.last_value;
        let mut ids = Vec::new();
        for &number in delivery.matched.as_slice() {
            let Some(grant) = self.grant(number) else { continue };
            granted = granted.max(Some(grant.qos));
            retain |= grant.retain_as_published && record.retain;
            ids.extend(grant.id);
        }
        Some(Shape { qos: granted?.min(fields::qos(record.assurance)), retain, ids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANT: Grant =
        Grant { qos: Qos::AtLeastOnce, retain_as_published: true, no_local: false, id: None };

    #[test]
    fn a_place_is_used_again_under_another_number() {
        let mut table = Subscriptions::default();
        let (first, new) = table.insert(b"a", GRANT);
        assert!(new);
        assert_eq!(table.insert(b"a", GRANT), (first, false));
        assert_eq!(table.remove(b"a"), Some((first, GRANT)));
        assert_eq!(table.remove(b"a"), None);
        let (second, _) = table.insert(b"b", GRANT);
        assert_ne!(first, second);
        assert_eq!(first & PLACE_MASK, second & PLACE_MASK);
        assert!(table.grant(first).is_none());
        table.remove_number(first);
        assert_eq!(table.len(), 1, "a stale number removes nobody");
    }

    #[test]
    fn many_filters_are_found_by_an_index_and_old_numbers_are_kept() {
        let mut table = Subscriptions::default();
        assert!(table.restore(7 << PLACE_BITS | 3, b"old".as_slice().into(), GRANT));
        assert!(!table.restore(3, b"other".as_slice().into(), GRANT), "the place is taken");
        let numbers: Vec<_> =
            (0..100u32).map(|i| table.insert(&i.to_be_bytes(), GRANT).0).collect();
        assert_eq!(table.len(), 101);
        for (i, number) in (0..100u32).zip(&numbers) {
            assert_eq!(table.insert(&i.to_be_bytes(), GRANT), (*number, false));
        }
        for (i, number) in (0..100u32).zip(&numbers) {
            assert_eq!(table.remove(&i.to_be_bytes()), Some((*number, GRANT)));
        }
        assert_eq!(table.remove(b"old"), Some((7 << PLACE_BITS | 3, GRANT)));
        assert_eq!(table.len(), 0);
    }

    // covers: [MQTT-4.8.2-1] [MQTT-4.8.2-2] [MQTT-4.7.1-1] [MQTT-4.7.1-2]
    #[test]
    fn filters_are_taken_apart_and_put_together() {
        for text in ["a/+/#", "#", "$share/g/a/#", "$share/g//", "$SYS/#", "+", "/"] {
            let wanted = Wanted::read(text.as_bytes()).unwrap();
            let again = Wanted::text(&wanted.filter, wanted.group.as_ref()).unwrap();
            assert_eq!(&*again, text.as_bytes());
            assert_eq!(wanted.space.is_shared(), text != "$SYS/#", "{text}");
            assert_eq!(wanted.group.is_some(), text.starts_with("$share/"), "{text}");
        }
        for text in [
            "a#",
            "#/a",
            "a+",
            "$share",
            "$share/",
            "$share/g",
            "$share/g/",
            "$share//a",
            "$share/+/a",
            "$share/#",
        ] {
            assert_eq!(Wanted::read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_grant_comes_back_from_its_bytes() {
        let id = SubscriptionId::new(268_435_455);
        for grant in [GRANT, Grant { qos: Qos::ExactlyOnce, no_local: true, id, ..GRANT }] {
            let mut bytes = BytesMut::new();
            grant.write(&mut bytes);
            bytes.put_u8(9);
            assert_eq!(Grant::read(&bytes), Some((grant, &[9u8][..])));
        }
        assert_eq!(Grant::read(&[0, 0, 0, 0]), None);
    }
}
