//! What waits in a queue: by priority, in the order in which it came, returned ones at their place.
//!
//! ```text
//! raised:  priority 9   returned | ready          taken from the top
//!          priority 4   returned | ready
//! base:    priority 0   returned | ready
//! delayed: not before a time, then returned
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use protocol::Message;
use storage::{LogId, Released};

use super::item::Item;

/// Messages that a queue keeps in memory besides their place in the log, in bytes.
const RESIDENT_BYTES: usize = 1 << 20;
/// Items that one batch read from a log is spread over.
const FILL_MAX: usize = 1024;

/// The messages of one priority.
#[derive(Debug, Default)]
struct Lane {
    ready: VecDeque<Item>,
    /// Before those that are ready.
    returned: BTreeMap<u64, Item>,
}

impl Lane {
    fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.returned.is_empty()
    }

    fn head(&self) -> Option<&Item> {
        self.returned.first_key_value().map(|(_, item)| item).or_else(|| self.ready.front())
    }

    fn head_mut(&mut self) -> Option<&mut Item> {
        match self.returned.first_entry() {
            Some(entry) => Some(entry.into_mut()),
            None => self.ready.front_mut(),
        }
    }

    fn take(&mut self) -> Option<Item> {
        match self.returned.pop_first() {
            Some((_, item)) => Some(item),
            None => self.ready.pop_front(),
        }
    }

    fn upcoming(&mut self) -> impl Iterator<Item = &mut Item> {
        self.returned.values_mut().chain(self.ready.iter_mut())
    }
}

/// The messages that wait in one queue.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// Priority 0.
    base: Lane,
    /// Higher ones; none of these is empty.
    raised: BTreeMap<u8, Lane>,
    /// By time and order.
    delayed: BTreeMap<(i64, u64), Item>,
    next_order: u64,
    /// Ready and returned ones.
    count: usize,
    /// Their payload.
    bytes: u64,
    resident: usize,
}

impl Backlog {
    /// How many may be handed out.
    pub(crate) fn ready(&self) -> usize {
        self.count
    }

    /// Payload bytes of those.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of messages that are in memory.
    pub(crate) fn resident(&self) -> usize {
        self.resident
    }

    /// Whether nothing is left, delayed ones included.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0 && self.delayed.is_empty()
    }

    /// A new one, at the end of its priority.
    pub(super) fn push(&mut self, mut item: Item) {
        item.order = self.next_order;
        self.next_order += 1;
        self.admit(&mut item);
        self.lane(item.priority).ready.push_back(item);
    }

    /// One that was taken out, at the place that it had.
    pub(super) fn put_back(&mut self, mut item: Item) {
        self.admit(&mut item);
        self.lane(item.priority).returned.insert(item.order, item);
    }

    /// One that was taken out and comes back at its place after `not_before_ms`.
    pub(super) fn delay(&mut self, mut item: Item, not_before_ms: i64) {
        item.forget();
        self.delayed.insert((not_before_ms, item.order), item);
    }

    /// A new one that may be handed out after `not_before_ms`.
    pub(super) fn push_delayed(&mut self, mut item: Item, not_before_ms: i64) {
        item.order = self.next_order;
        self.next_order += 1;
        self.delay(item, not_before_ms);
    }

    fn admit(&mut self, item: &mut Item) {
        if self.resident + item.resident() > RESIDENT_BYTES {
            item.forget();
        }
        self.resident += item.resident();
        self.count += 1;
        self.bytes += item.bytes();
    }

    fn lane(&mut self, priority: u8) -> &mut Lane {
        match priority {
            0 => &mut self.base,
            raised => self.raised.entry(raised).or_default(),
        }
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.raised.values().rev().chain(std::iter::once(&self.base))
    }

    /// The next one of the highest priority.
    pub(super) fn take(&mut self) -> Option<Item> {
        let priority = self.raised.last_key_value().map_or(0, |(priority, _)| *priority);
        self.take_of(priority)
    }

    fn take_of(&mut self, priority: u8) -> Option<Item> {
        let lane = self.lane(priority);
        let item = lane.take()?;
        if lane.is_empty() {
            self.raised.remove(&priority);
        }
        self.count -= 1;
        self.bytes -= item.bytes();
        self.resident = self.resident.saturating_sub(item.resident());
        Some(item)
    }

    /// Everything, delayed ones too.
    pub(super) fn take_all(&mut self) -> Vec<Item> {
        let mut all: Vec<Item> = std::iter::from_fn(|| self.take()).collect();
        all.extend(std::mem::take(&mut self.delayed).into_values());
        all
    }

    /// Those whose record is lost, wherever they stand.
    pub(super) fn take_lost(&mut self, is_lost: &dyn Fn(LogId, u64) -> bool) -> Vec<Item> {
        let lost = |item: &Item| item.stored_at().is_some_and(|(log, at)| is_lost(log, at));
        let mut gone = Vec::new();
        for lane in self.raised.values_mut().chain(std::iter::once(&mut self.base)) {
            let (out, stay) = std::mem::take(&mut lane.ready).into_iter().partition(|i| lost(i));
            lane.ready = stay;
            gone.extend(Vec::from(out));
            let (out, stay) =
                std::mem::take(&mut lane.returned).into_iter().partition(|(_, i)| lost(i));
            lane.returned = stay;
            let out: BTreeMap<u64, Item> = out;
            gone.extend(out.into_values());
        }
        self.raised.retain(|_, lane| !lane.is_empty());
        for item in &gone {
            self.count -= 1;
            self.bytes -= item.bytes();
            self.resident = self.resident.saturating_sub(item.resident());
        }
        let (out, stay) =
            std::mem::take(&mut self.delayed).into_iter().partition(|(_, item)| lost(item));
        self.delayed = stay;
        let out: BTreeMap<(i64, u64), Item> = out;
        gone.extend(out.into_values());
        gone
    }

    /// One that is the next of its priority and whose time is over.
    pub(super) fn take_expired(&mut self, clock_ms: i64) -> Option<Item> {
        let expired = |lane: &Lane| {
            let expires = lane.head().and_then(Item::expires_ms);
            expires.is_some_and(|at| at <= clock_ms)
        };
        let raised = self.raised.iter().rev().find(|(_, lane)| expired(lane));
        let priority = match raised.map(|(priority, _)| *priority) {
            Some(priority) => priority,
            None if expired(&self.base) => 0,
            None => return None,
        };
        self.take_of(priority)
    }

    /// When the first of those that are next of their priority expires, as far as that is known.
    pub(super) fn next_expiry(&self) -> Option<i64> {
        self.lanes().filter_map(|lane| lane.head()?.expires_ms()).min()
    }

    /// Whether one that is next of its priority may expire, and when is not known.
    pub(super) fn has_unknown(&self) -> bool {
        self.lanes().any(|lane| lane.head().is_some_and(|item| !item.is_known()))
    }

    /// Asks `know` about each of those.
    pub(super) fn each_unknown(&mut self, mut know: impl FnMut(&mut Item)) {
        let lanes = self.raised.values_mut().chain(std::iter::once(&mut self.base));
        for item in lanes.filter_map(Lane::head_mut).filter(|item| !item.is_known()) {
            let before = item.resident();
            know(item);
            self.resident = self.resident - before + item.resident();
        }
    }

    /// Those that are delayed, by time and order.
    pub(super) fn delayed(&self) -> &BTreeMap<(i64, u64), Item> {
        &self.delayed
    }

    /// Takes out one of those.
    pub(super) fn take_put_off(&mut self, key: (i64, u64)) -> Option<Item> {
        self.delayed.remove(&key)
    }

    /// When the first delayed one comes back.
    pub(super) fn next_wake(&self) -> Option<i64> {
        self.delayed.first_key_value().map(|((at, _), _)| *at)
    }

    /// Brings delayed ones back whose time has come. The states of those that were put off until
    /// `near_ms` or later: their references are to say so.
    pub(super) fn wake(&mut self, clock_ms: i64, near_ms: i64) -> Vec<Released> {
        let mut woken = Vec::new();
        while let Some(first) = self.delayed.first_entry()
            && first.key().0 <= clock_ms
        {
            let ((not_before_ms, _), item) = first.remove_entry();
            if let Some(place) = item.place().filter(|_| not_before_ms >= near_ms) {
                woken.push(Released { place, deliveries: item.deliveries, not_before_ms: 0 });
            }
            self.put_back(item);
        }
        woken
    }

    /// Keeps messages of a batch that was read for one item for those that come right after it.
    pub(super) fn fill(&mut self, priority: u8, log: LogId, batch: &[(u64, Arc<Message>)]) {
        let (Some((first, _)), Some((last, _))) = (batch.first(), batch.last()) else { return };
        let mut resident = self.resident;
        for item in self.lane(priority).upcoming().take(FILL_MAX) {
            let Some(offset) = item.stored_at().filter(|at| at.0 == log).map(|at| at.1) else {
                break;
            };
            if offset < *first || offset > *last {
                break;
            }
            let Ok(at) = batch.binary_search_by_key(&offset, |(offset, _)| *offset) else {
                continue;
            };
            if item.message().is_some() {
                continue;
            }
            let message = &batch[at].1;
            if resident + message.record.size() > RESIDENT_BYTES {
                break;
            }
            // A slice of the batch would keep all of it.
            item.keep(crate::message::detached(message));
            resident += item.resident();
        }
        self.resident = resident;
        if priority > 0 && self.lane(priority).is_empty() {
            self.raised.remove(&priority);
        }
    }
}
