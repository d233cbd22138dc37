//! Messages that are put off for long: nothing of them is in memory, only their references stay with
//! the engine, which know until when.
//!
//! ```text
//! delayed --its reference is written--> aside --shortly before its minute--> delayed
//! ```
//!
//! A row for each minute to which something of a queue is put off ([`crate::deadlines`]) says when to
//! look for it; it is written with the references. What is put off until before `near_ms` is in memory,
//! whatever else; what is put off for longer and comes back all the same (it was never put aside) has
//! its reference say so. So nothing is taken back twice, and nothing is forgotten.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};
use storage::{LogId, Mode, Op, Released};

use super::backlog::Backlog;
use super::{Item, Queue, is_durable};
use crate::completion::{Completion, Step};
use crate::deadlines::{Deadline, Kind};
use crate::state::Core;
use crate::turn::Turn;

/// What is put off for longer is put aside.
const FAR_MS: i64 = 600_000;
const MINUTE_MS: i64 = 60_000;
/// So long before its minute it is taken back.
const LEAD_MS: i64 = 60_000;
/// References that are looked at or written at a time.
const PAGE: usize = 10_000;

/// What of a queue is put aside.
#[derive(Debug)]
pub(super) struct Aside {
    count: u64,
    /// What is put off until before this time is in memory.
    near_ms: i64,
    /// What is put off until before this time is to be taken back.
    wanted_ms: i64,
    recall: Option<Recall>,
    /// How often references were looked through.
    recalls: u64,
}

/// References are looked through.
#[derive(Debug)]
struct Recall {
    /// Which look this is: steps of an earlier one do nothing.
    number: u64,
    /// The next place to look at.
    from: u64,
    /// What is put off to a time in between is taken back.
    times: std::ops::Range<i64>,
    /// Unless it is in memory.
    here: HashSet<u64>,
}

/// References of one queue that were written, to be put aside.
#[derive(Debug)]
pub(crate) struct PutOff {
    queue: u64,
    /// Time and order.
    keys: Vec<(i64, u64)>,
    minutes: Vec<Deadline>,
    taken: bool,
}

impl Default for Aside {
    fn default() -> Self {
        Self { count: 0, near_ms: i64::MIN, wanted_ms: i64::MIN, recall: None, recalls: 0 }
    }
}

impl Aside {
    /// At the start: everything that is due soon is in memory.
    pub(super) fn started(clock_ms: i64) -> Self {
        Self { near_ms: clock_ms.saturating_add(FAR_MS), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A reference that was found at the start; whether it stays aside.
    pub(super) fn found(&mut self, not_before_ms: i64) -> bool {
        let stays = not_before_ms >= self.near_ms;
        self.count += u64::from(stays);
        stays
    }

    /// Nothing is aside: then what is due soon stays in memory.
    pub(super) fn advance(&mut self, clock_ms: i64) {
        if self.count == 0 && self.recall.is_none() {
            self.near_ms = self.near_ms.max(clock_ms.saturating_add(FAR_MS));
        }
    }

    /// What is put off until before this time is in memory.
    pub(super) fn near_ms(&self) -> i64 {
        self.near_ms
    }

    /// A message is in memory that is put off until then.
    pub(super) fn note(&mut self, item: &Item, not_before_ms: i64) {
        if let (Some(recall), Some(place)) = (&mut self.recall, item.place())
            && recall.times.contains(&not_before_ms)
        {
            recall.here.insert(place);
        }
    }

    /// Some that were aside are lost, or purged.
    fn less(&mut self, count: u64) {
        self.count = self.count.saturating_sub(count);
    }
}

/// When to look for what is put off until then.
pub(super) fn minute(queue: u64, not_before_ms: i64) -> Deadline {
    let start = not_before_ms - not_before_ms.rem_euclid(MINUTE_MS);
    Deadline { at_ms: start - LEAD_MS, kind: Kind::PutOff, object: queue }
}

/// The end of that minute.
fn end_of(due: Deadline) -> i64 {
    due.at_ms.saturating_add(LEAD_MS + MINUTE_MS)
}

/// Messages that are to be put aside once that is written, by queue: time and order.
pub(super) type Leaving = HashMap<u64, Vec<(i64, u64)>>;

impl Queue {
    /// A message comes back after `not_before_ms`. Whether it is to be put aside.
    pub(super) fn put_off(&mut self, item: Item, not_before_ms: i64, clock_ms: i64) -> bool {
        self.aside.advance(clock_ms);
        self.aside.note(&item, not_before_ms);
        let far = item.place().is_some()
            && item.stored_at().is_some()
            && not_before_ms >= self.aside.near_ms.max(clock_ms.saturating_add(FAR_MS));
        self.backlog.delay(item, not_before_ms);
        far
    }

    /// How many of these references are lost to it that nothing in memory stands for.
    pub(super) fn lose_aside(&mut self, lost: impl Iterator<Item = i64>, here: u64) {
        let near = self.aside.near_ms;
        let gone = lost.filter(|not_before| *not_before >= near).count() as u64;
        self.aside.less(gone.saturating_sub(here));
    }
}

impl Core {
    /// Writes references of messages that are put off for long.
    pub(crate) fn write_put_off(&mut self, turn: &Turn<'_>) {
        for (id, mut keys) in std::mem::take(&mut self.queues.leaving) {
            while !keys.is_empty() {
                let rest = keys.split_off(keys.len().min(PAGE));
                let page = std::mem::replace(&mut keys, rest);
                let Some(queue) = self.queues.get(id) else { break };
                let states: Vec<Released> =
                    page.iter().filter_map(|key| queue.backlog.put_off_state(*key)).collect();
                if states.is_empty() {
                    continue;
                }
                let starts: BTreeSet<i64> =
                    states.iter().map(|state| minute(id, state.not_before_ms).at_ms).collect();
                let of = |at_ms| Deadline { at_ms, kind: Kind::PutOff, object: id };
                let minutes: Vec<Deadline> = starts.into_iter().map(of).collect();
                let mut ops = vec![Op::Release { queue: LogId(id), states }];
                ops.extend(minutes.iter().map(|deadline| deadline.put()));
                turn.shared.submit(ops, Mode::Async, turn.worker, move |result| {
                    let taken = result.is_ok();
                    Step::PutOff(Box::new(PutOff { queue: id, keys: page, minutes, taken }))
                });
            }
        }
    }

    /// References are written, or storage did not take that: then it is tried again.
    pub(crate) fn put_aside(&mut self, turn: &Turn<'_>, put_off: PutOff) {
        let PutOff { queue: id, keys, minutes, taken } = put_off;
        if !taken {
            return self.queues.leaving.entry(id).or_default().extend(keys);
        }
        self.deadlines_kept(turn, &minutes, Vec::new());
        for key in keys {
            let Some(queue) = self.queues.get_mut(id) else { return };
            // What is wanted again by now stays.
            if key.0 >= queue.aside.near_ms
                && let Some(item) = queue.backlog.take_put_off(key)
            {
                queue.aside.count += 1;
                self.queues.gone(id, &item);
            }
        }
    }

    /// The time has come to look for what is put off to a minute.
    pub(crate) fn recall(&mut self, turn: &Turn<'_>, due: Deadline) {
        let id = due.object;
        let Some(queue) = self.queues.get_mut(id) else { return };
        let upto = end_of(due);
        if upto <= queue.aside.near_ms {
            return;
        }
        queue.aside.wanted_ms = queue.aside.wanted_ms.max(upto);
        if queue.aside.recall.is_none() {
            self.begin_recall(turn, id);
        }
    }

    /// What was settled before must be known as such before references are looked at.
    fn begin_recall(&mut self, turn: &Turn<'_>, id: u64) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        let Queue { aside, backlog, .. } = queue;
        let times = aside.near_ms..aside.wanted_ms;
        aside.near_ms = aside.wanted_ms;
        aside.recalls += 1;
        let number = aside.recalls;
        let here = backlog.places_put_off(&times);
        aside.recall = Some(Recall { number, from: 0, times, here });
        self.flush(turn);
        let ops = vec![minute(id, turn.shared.engine.clock_ms()).put()];
        turn.shared.submit(ops, Mode::Async, turn.worker, move |_| Step::Recall(id, number));
    }

    /// Looks through references, and takes back those that are wanted.
    pub(crate) fn go_on_recalling(&mut self, turn: &mut Turn<'_>, id: u64, number: u64) {
        // The row that the write before this put is due already.
        self.await_deadline(turn, 0);
        let Some(queue) = self.queues.map.get_mut(&id) else { return };
        let Queue { aside, backlog, .. } = queue;
        let Some(recall) = aside.recall.as_mut().filter(|recall| recall.number == number) else {
            return;
        };
        let page = turn.shared.engine.refs(LogId(id), recall.from, PAGE);
        for reference in &page {
            recall.from = reference.place + 1;
            let wanted = recall.times.contains(&reference.not_before_ms);
            if wanted && !recall.here.contains(&reference.place) {
                backlog.push_delayed(Item::restored(reference), reference.not_before_ms);
                aside.count = aside.count.saturating_sub(1);
                self.queues.held += 1;
            }
        }
        queue.timed = true;
        if page.len() == PAGE {
            turn.shared.mail.post(turn.worker, Completion(Step::Recall(id, number)));
            return;
        }
        queue.aside.recall = None;
        if queue.aside.wanted_ms > queue.aside.near_ms {
            self.begin_recall(turn, id);
        }
        self.schedule(turn, id);
    }

    /// Everything that is aside is done with.
    pub(super) fn purge_aside(&mut self, turn: &Turn<'_>, id: u64) {
        let Some(queue) = self.queues.get_mut(id).filter(|q| is_durable(id) && q.aside.count > 0)
        else {
            return;
        };
        queue.aside.count = 0;
        queue.aside.recall = None;
        // What has come back meanwhile is in memory, or in somebody's hands.
        let near = queue.aside.near_ms.max(turn.shared.engine.clock_ms().saturating_add(1));
        let mut from = 0;
        loop {
            let page = turn.shared.engine.refs(LogId(id), from, PAGE);
            let aside = page.iter().filter(|reference| reference.not_before_ms >= near);
            let places: Vec<u64> = aside.map(|reference| reference.place).collect();
            if !places.is_empty() {
                self.queues.settled.entry(id).or_default().extend(places);
            }
            match page.last() {
                Some(last) if page.len() == PAGE => from = last.place + 1,
                Some(_) | None => return,
            }
        }
    }
}

impl Backlog {
    /// What is written of a message that is put off.
    fn put_off_state(&self, key: (i64, u64)) -> Option<Released> {
        let item = self.delayed().get(&key)?;
        let place = item.place()?;
        Some(Released { place, deliveries: item.deliveries, not_before_ms: key.0 })
    }

    /// Places of messages in memory that are put off to these times.
    fn places_put_off(&self, times: &std::ops::Range<i64>) -> HashSet<u64> {
        if times.is_empty() {
            return HashSet::new();
        }
        let range = self.delayed().range((times.start, 0)..(times.end, 0));
        range.filter_map(|(_, item)| item.place()).collect()
    }
}
