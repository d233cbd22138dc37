//! What one client subscribed to: its sids, our numbers, and the count to an automatic end.

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use model::filter::Filter;
use model::subject::Subject;

/// The subscriptions of one connection.
///
/// Numbers only grow: a delivery that was on its way when its subscription ended finds nobody.
/// Each subscription owns two numbers, an even one for its subjects in the shared space and the
/// odd one behind it for those in the private space, which a leading wildcard matches too.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    by_number: HashMap<u32, Subscription, RandomState>,
    by_sid: HashMap<Bytes, u32, RandomState>,
    next: u32,
}

/// One subscription.
#[derive(Debug)]
pub(crate) struct Subscription {
    sid: Bytes,
    filter: Filter,
    /// Has a queue group.
    grouped: bool,
    /// Has its private half in effect too.
    both: bool,
    /// Messages sent, from the start.
    delivered: u64,
    /// Ends after this many; 0 = never.
    max: u64,
}

/// The numbers of one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    base: u32,
    both: bool,
}

impl Subscription {
    /// The client's name for it.
    pub(crate) fn sid(&self) -> &[u8] {
        &self.sid
    }

    /// Counts one message; tells whether it was the last one.
    pub(crate) fn count(&mut self) -> bool {
        self.delivered += 1;
        self.max != 0 && self.delivered >= self.max
    }
}

impl Numbers {
    /// The numbers in effect.
    pub(crate) fn each(self) -> impl Iterator<Item = u32> {
        std::iter::once(self.base).chain(self.both.then_some(self.base + 1))
    }

    /// The number in the shared space, or the only one.
    pub(crate) fn first(self) -> u32 {
        self.base
    }

    /// The number in the private space, if there are two.
    pub(crate) fn second(self) -> Option<u32> {
        self.both.then_some(self.base + 1)
    }
}

impl Subscriptions {
    pub(crate) fn len(&self) -> usize {
        self.by_sid.len()
    }

    /// Adds a subscription; `None` if the sid is taken, which nats-server ignores, or if a client
    /// made two billion of them on one connection.
    pub(crate) fn add(
        &mut self,
        sid: &Bytes,
        filter: Filter,
        grouped: bool,
        both: bool,
    ) -> Option<Numbers> {
        if self.by_sid.contains_key(sid) {
            return None;
        }
        let base = self.next;
        self.next = base.checked_add(2)?;
        // A copy of its own: the sid from the wire holds on to the whole read buffer.
        let sid = Bytes::copy_from_slice(sid);
        self.by_sid.insert(sid.clone(), base);
        let subscription = Subscription { sid, filter, grouped, both, delivered: 0, max: 0 };
        self.by_number.insert(base, subscription);
        Some(Numbers { base, both })
    }

    /// Ends the subscription of this sid now, or after `max` messages counted from its start.
    ///
    /// Gives the numbers to end if that is now. Its sid is free again, but it takes messages
    /// until [`Subscriptions::remove`]: what was routed before the end is still due.
    pub(crate) fn end(&mut self, sid: &Bytes, max: u64) -> Option<Numbers> {
        let base = *self.by_sid.get(sid)?;
        let subscription = self.by_number.get_mut(&base)?;
        if max > subscription.delivered {
            subscription.max = max;
            return None;
        }
        let both = subscription.both;
        self.by_sid.remove(sid);
        Some(Numbers { base, both })
    }

    /// Forgets the subscription with this number.
    pub(crate) fn remove(&mut self, number: u32) -> Option<Numbers> {
        let base = number & !1;
        let subscription = self.by_number.remove(&base)?;
        if self.by_sid.get(&subscription.sid) == Some(&base) {
            self.by_sid.remove(&subscription.sid);
        }
        Some(Numbers { base, both: subscription.both })
    }

    /// Forgets all, and gives their numbers in the order in which they were made.
    pub(crate) fn clear(&mut self) -> Vec<Numbers> {
        self.by_sid.clear();
        let mut all: Vec<Numbers> =
            self.by_number.drain().map(|(base, old)| Numbers { base, both: old.both }).collect();
        all.sort_unstable_by_key(|numbers| numbers.base);
        all
    }

    /// The subscription with this number; `None` if it has ended.
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Subscription> {
        self.by_number.get_mut(&(number & !1))
    }

    /// The sid of a subscription without a queue group that matches `reply`, the oldest one.
    pub(crate) fn for_reply(&self, reply: &Subject) -> Option<Bytes> {
        self.by_number
            .iter()
            .filter(|(_, subscription)| !subscription.grouped)
            .filter(|(_, subscription)| {
                // `$...` is out of reach for a leading wildcard's shared half only.
                subscription.filter.matches(reply)
                    || (subscription.both
                        && reply.is_private()
                        && subscription
                            .filter
                            .clone()
                            .with_reach(model::filter::Reach::All)
                            .matches(reply))
            })
            .min_by_key(|(number, _)| **number)
            .map(|(_, subscription)| subscription.sid.clone())
    }
}
