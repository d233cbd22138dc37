//! The queue before the lane: two rings, and what the lane's thread does next.
//!
//! ```text
//!  control  writes that only free: drained first, with bounds of their own
//!  data     everything else, and control writes that must not overtake it
//! ```
//!
//! A group is filled to about a megabyte. Writes that nobody waits for gather for a moment. While
//! a sync is under way the lane is only woken for enough to be worth a group. While segments wait
//! too long for a drain, groups with data are followed by a pause in which only control is taken.
//!
//! Whoever was just told is likely to write again at once. A group that left without them would
//! make them wait for two syncs, so it waits for most of them, for less time than a sync takes. When
//! they do not come, that is tried less and less often.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use storage::{Done, Health, Mode, SubmitError, Write};

use crate::assay::{Assay, Touched};
use crate::flight::{Batch, Ended};
use crate::lane::{Lane, Signals};
use crate::meters::{Meters, Queued};
use crate::options::Options;
use crate::view::View;

/// A group is not filled beyond this, so that the first in it does not wait for the last.
const GROUP_BYTES: usize = 1 << 20;
/// Room for so many writes is made at once; more of them are small and find theirs as they come.
const GROUP_WRITES: usize = 1_024;
/// While a sync is under way, less than this is not worth a group: more will have come when it has
/// returned.
pub(crate) const OVERLAP_BYTES: usize = 256 << 10;
/// After waiting in vain so many groups go without, at most.
const VAIN_MAX: u32 = 63;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Feed {
    options: Options,
    signals: Arc<Signals>,
    view: Arc<View>,
    rings: Mutex<Rings>,
    wake: Condvar,
}

struct Waiting {
    write: Write,
    done: Done,
    assay: Assay,
}

#[derive(Default)]
struct Rings {
    control: VecDeque<Waiting>,
    data: VecDeque<Waiting>,
    /// What the writes in `data` touch.
    touched: Touched,
    /// Control writes among `data`.
    held_back: usize,
    /// Bytes of both rings.
    waiting_bytes: usize,
    /// Bytes of writes that wait or are being committed, by kind.
    data_bytes: usize,
    control_bytes: usize,
    /// Writes in both rings that somebody waits for.
    urgent: usize,
    /// When the first write of those that wait came.
    since: Option<Instant>,
    company: Company,
    /// No data is taken before this.
    paused_until: Option<Instant>,
    /// The sync that was handed over has returned.
    landed: bool,
    closed: bool,
    asleep: Option<Sleep>,
}

/// Writes that are worth waiting for.
#[derive(Debug, Default)]
struct Company {
    /// Writers that were told after the last group was taken.
    told: usize,
    /// Writes that waited already when the first of them was told.
    others: usize,
    /// Writes that will wait when most of them are back.
    expected: usize,
    /// Groups that go without waiting, after they were waited for in vain.
    vain: u32,
    /// So many are left of those.
    skip: u32,
}

impl Company {
    /// Writers were told; before that so many writes waited.
    fn told(&mut self, writers: usize, waiting: usize) {
        if writers > 0 {
            if self.told == 0 {
                self.others = waiting;
            }
            self.told += writers;
            self.expected = self.others + self.told - self.told / 8;
        }
    }

    /// Whether to wait for them now.
    fn is_awaited(&mut self) -> bool {
        self.skip = self.skip.saturating_sub(1);
        self.skip == 0
    }

    /// They were waited for, and so many came.
    fn came(&mut self, writes: usize) {
        let in_vain = writes * 2 < self.told;
        self.vain = if in_vain { (self.vain * 2 + 1).min(VAIN_MAX) } else { 0 };
        self.skip = self.vain;
    }
}

/// What the sleeping lane is woken for.
#[derive(Clone, Copy, Debug)]
enum Sleep {
    /// Enough for a group beside the sync that is under way.
    Much,
    /// Those who were told are back.
    Company,
    /// Whatever comes.
    Any,
    /// What somebody waits for, or half a group: it will look at the rest in time by itself.
    Urgent,
    /// What only frees, in a pause of the data.
    Control,
}

impl std::fmt::Debug for Rings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Rings");
        debug.field("control", &self.control.len()).field("data", &self.data.len());
        debug.field("waiting_bytes", &self.waiting_bytes);
        debug.field("closed", &self.closed).finish_non_exhaustive()
    }
}

/// What the lane's thread does next.
enum Turn {
    Commit(Batch),
    /// The sync that was handed over has returned.
    Land,
    /// Nothing came for that long.
    Idle,
    Close,
}

/// What the lane waits for.
#[derive(Clone, Copy, Debug)]
struct Wait {
    /// At most so long; `None` waits for ever.
    patience: Option<Duration>,
    /// A sync is under way.
    in_flight: bool,
    /// How long those who were told are worth waiting for.
    linger: Option<Duration>,
}

impl Feed {
    pub(crate) fn new(options: Options, signals: Arc<Signals>, view: Arc<View>) -> Self {
        Self { options, signals, view, rings: Mutex::default(), wake: Condvar::new() }
    }

    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands in a write; refused at once when nothing can come of it.
    pub(crate) fn submit(&self, write: Write, done: Done) {
        let assay = Assay::of(&write);
        match self.signals.pressure.health() {
            Health::Good => {}
            Health::Full if assay.control => {}
            Health::Full => {
                Meters::count(&self.signals.meters.refused_full);
                return done(Err(SubmitError::Full));
            }
            Health::Poisoned => return done(Err(SubmitError::Poisoned)),
        }
        self.enqueue(Waiting { write, done, assay }, false);
    }

    /// Tells when all that is applied is durable, whatever waits to be written.
    pub(crate) fn settle(&self, done: Done) {
        let write = Write { ops: Vec::new(), mode: Mode::Durable };
        let assay = Assay::of(&write);
        self.enqueue(Waiting { write, done, assay }, true);
    }

    fn enqueue(&self, waiting: Waiting, overtakes: bool) {
        let assay = waiting.assay;
        let mut rings = self.rings();
        if rings.closed {
            drop(rings);
            return (waiting.done)(Err(SubmitError::Poisoned));
        }
        // One write is taken whatever its size, or it could never be.
        let (bytes, limit) = match assay.control {
            true => (&mut rings.control_bytes, self.options.pending_bytes / 4),
            false => (&mut rings.data_bytes, self.options.pending_bytes),
        };
        if *bytes > 0 && *bytes + assay.bytes > limit {
            drop(rings);
            Meters::count(&self.signals.meters.refused_busy);
            return (waiting.done)(Err(SubmitError::Busy));
        }
        *bytes += assay.bytes;
        rings.push(waiting, overtakes);
        self.tell_pending(&rings);
        if rings.wakes() {
            rings.asleep = None;
            drop(rings);
            self.wake.notify_one();
        }
    }

    /// Nothing is taken from now on.
    pub(crate) fn close(&self) {
        self.rings().closed = true;
        self.wake.notify_one();
    }

    /// The sync that was handed over has returned.
    pub(crate) fn landed(&self) {
        let mut rings = self.rings();
        rings.landed = true;
        if rings.asleep.take().is_some() {
            drop(rings);
            self.wake.notify_one();
        }
    }

    /// What waits.
    pub(crate) fn queued(&self) -> Queued {
        let rings = self.rings();
        Queued {
            data_writes: rings.data.len(),
            data_bytes: rings.data_bytes,
            control_writes: rings.control.len(),
            control_bytes: rings.control_bytes,
        }
    }

    fn tell_pending(&self, rings: &Rings) {
        let bytes = (rings.data_bytes + rings.control_bytes) as u64;
        self.view.counters.pending_bytes.store(bytes, Ordering::Relaxed);
        self.signals.waiting.store(rings.waiting(), Ordering::Relaxed);
    }

    /// The lane's thread.
    pub(crate) fn run(&self, mut lane: Lane) {
        loop {
            let wait = Wait {
                patience: lane.patience(Instant::now()),
                in_flight: lane.is_in_flight(),
                linger: lane.patience_for_company(),
            };
            match self.next(wait, lane.take_ended()) {
                Turn::Commit(batch) => lane.commit(batch),
                Turn::Land => lane.land(),
                Turn::Idle => lane.tick(Instant::now()),
                Turn::Close => return lane.close(),
            }
        }
    }

    fn next(&self, wait: Wait, ended: Ended) -> Turn {
        let deadline = wait.patience.map(|patience| Instant::now() + patience);
        let mut rings = self.rings();
        rings.finish(ended);
        self.tell_pending(&rings);
        if !wait.in_flight {
            rings.landed = false;
        }
        loop {
            if wait.in_flight && rings.landed {
                rings.landed = false;
                return Turn::Land;
            }
            let now = Instant::now();
            let pause = rings.pause(now);
            let ready_at = match pause {
                Some(until) => rings.ready_beside(until, wait.in_flight),
                None => rings.ready_at(wait.in_flight, self.options.lazy_interval),
            };
            if rings.closed && rings.is_empty() {
                return Turn::Close;
            }
            if rings.closed && !wait.in_flight || ready_at.is_some_and(|ready| ready <= now) {
                if let Some(patience) = wait.linger
                    && pause.is_none()
                    && rings.lacks_company()
                    && rings.company.is_awaited()
                {
                    rings = self.linger(rings, patience);
                }
                return Turn::Commit(self.take(&mut rings, pause.is_some()));
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                rings.shrink();
                return Turn::Idle;
            }
            let until = [deadline, ready_at].into_iter().flatten().min();
            rings.asleep = Some(match (wait.in_flight, ready_at) {
                _ if pause.is_some() => Sleep::Control,
                (true, _) => Sleep::Much,
                (false, None) => Sleep::Any,
                (false, Some(_)) => Sleep::Urgent,
            });
            rings = match until {
                None => self.wake.wait(rings).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(now);
                    let waited = self.wake.wait_timeout(rings, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            rings.asleep = None;
        }
    }

    /// The next group, without data in a pause of it.
    fn take(&self, rings: &mut Rings, paused: bool) -> Batch {
        let batch = rings.take(paused);
        self.tell_pending(rings);
        if batch.has_data() {
            let pause = self.view.pause(batch.data_bytes);
            if !pause.is_zero() {
                Meters::count(&self.signals.meters.paused);
                rings.paused_until = Some(Instant::now() + pause);
            }
        }
        batch
    }

    /// Lets a group grow until those who were told are back.
    fn linger<'a>(
        &'a self,
        mut rings: MutexGuard<'a, Rings>,
        patience: Duration,
    ) -> MutexGuard<'a, Rings> {
        let before = rings.waiting();
        rings.asleep = Some(Sleep::Company);
        let lacks = |rings: &mut Rings| rings.lacks_company();
        let waited = self.wake.wait_timeout_while(rings, patience, lacks);
        rings = waited.unwrap_or_else(PoisonError::into_inner).0;
        rings.asleep = None;
        let came = rings.waiting() - before;
        rings.company.came(came);
        Meters::count(&self.signals.meters.lingered);
        rings
    }
}

impl Rings {
    fn is_empty(&self) -> bool {
        self.control.is_empty() && self.data.is_empty()
    }

    /// Writes in both rings.
    fn waiting(&self) -> usize {
        self.control.len() + self.data.len()
    }

    /// Whether some of those who were told are not back yet, and there is room for them.
    fn lacks_company(&self) -> bool {
        let room = self.waiting_bytes < GROUP_BYTES && !self.closed;
        room && self.waiting() < self.company.expected
    }

    /// Whether it pays to make a group while a sync is under way.
    fn is_worth_a_group(&self) -> bool {
        self.waiting_bytes >= OVERLAP_BYTES && !self.lacks_company()
    }

    fn wakes(&self) -> bool {
        match self.asleep {
            None => false,
            Some(Sleep::Any) => true,
            Some(Sleep::Much) => self.is_worth_a_group(),
            Some(Sleep::Company) => !self.lacks_company(),
            Some(Sleep::Urgent) => self.urgent > 0 || self.waiting_bytes >= GROUP_BYTES / 2,
            Some(Sleep::Control) => self.frees_next(),
        }
    }

    /// Gives the memory of a burst back.
    fn shrink(&mut self) {
        for ring in [&mut self.control, &mut self.data] {
            if ring.capacity() > 1024 {
                ring.shrink_to(64);
            }
        }
    }

    fn push(&mut self, waiting: Waiting, overtakes: bool) {
        let Assay { bytes, control, lazy } = waiting.assay;
        self.waiting_bytes += bytes;
        self.urgent += usize::from(!lazy);
        if self.since.is_none() {
            self.since = Some(Instant::now());
        }
        let free = |write| self.data.is_empty() || !self.touched.holds_back(write);
        if control && (overtakes || free(&waiting.write)) {
            self.control.push_back(waiting);
        } else {
            self.held_back += usize::from(control);
            self.touched.add(&waiting.write);
            self.data.push_back(waiting);
        }
    }

    /// From when on what waits makes a group; `None` while there is nothing, or not enough.
    fn ready_at(&self, in_flight: bool, lazy: Duration) -> Option<Instant> {
        let since = self.since?;
        if in_flight {
            return self.is_worth_a_group().then_some(since);
        }
        let much = self.urgent > 0 || self.waiting_bytes >= GROUP_BYTES / 2;
        Some(if much { since } else { since + lazy })
    }

    /// Until when data is paused, if it is.
    fn pause(&mut self, now: Instant) -> Option<Instant> {
        self.paused_until = self.paused_until.filter(|until| *until > now && !self.closed);
        self.paused_until
    }

    /// Whether something that only frees is next.
    fn frees_next(&self) -> bool {
        !self.control.is_empty() || self.data.front().is_some_and(|front| front.assay.control)
    }

    /// From when on there is a group in a pause of the data, or after it.
    fn ready_beside(&self, pause: Instant, in_flight: bool) -> Option<Instant> {
        let since = self.since.filter(|_| !in_flight)?;
        Some(if self.frees_next() { since } else { pause })
    }

    /// The next group's writes: first those that only free, and with `paused` no others.
    fn take(&mut self, paused: bool) -> Batch {
        let writes = Vec::with_capacity(self.waiting().min(GROUP_WRITES));
        let mut batch = Batch { since: self.since, writes, ..Batch::default() };
        while batch.fits(self.control.front())
            && let Some(waiting) = self.control.pop_front()
        {
            self.hand_out(waiting, &mut batch);
        }
        if self.waiting_bytes <= GROUP_BYTES && self.held_back == 0 && !paused {
            self.touched.clear();
            while let Some(waiting) = self.data.pop_front() {
                self.hand_out(waiting, &mut batch);
            }
        }
        while batch.fits(self.data.front())
            && let Some(next) = self.data.front()
            // Only the first writes of a group count as freeing ones.
            && !(next.assay.control && batch.has_data())
            && (next.assay.control || !paused)
            && let Some(waiting) = self.data.pop_front()
        {
            self.touched.take(&waiting.write);
            self.held_back -= usize::from(waiting.assay.control);
            self.hand_out(waiting, &mut batch);
        }
        self.since = (!self.is_empty()).then(Instant::now);
        (self.company.told, self.company.expected) = (0, 0);
        batch.more = self.waiting_bytes >= OVERLAP_BYTES;
        batch
    }

    fn hand_out(&mut self, waiting: Waiting, batch: &mut Batch) {
        self.waiting_bytes -= waiting.assay.bytes;
        self.urgent -= usize::from(!waiting.assay.lazy);
        batch.push((waiting.write, waiting.done), waiting.assay);
    }

    /// Bytes of writes that were answered are free again.
    fn finish(&mut self, ended: Ended) {
        self.data_bytes = self.data_bytes.saturating_sub(ended.data_bytes);
        self.control_bytes = self.control_bytes.saturating_sub(ended.control_bytes);
        self.company.told(ended.synced, ended.waiting);
    }
}

impl Batch {
    fn fits(&self, next: Option<&Waiting>) -> bool {
        let bytes = self.data_bytes + self.control_bytes;
        next.is_some_and(|next| bytes == 0 || bytes + next.assay.bytes <= GROUP_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_of_those_who_were_told_are_expected_beside_what_waits() {
        let mut company = Company::default();
        company.told(0, 5);
        assert_eq!(company.expected, 0, "nobody was told");
        company.told(1, 0);
        assert_eq!(company.expected, 1, "one writer alone never waits");
        company.told(63, 4);
        assert_eq!(company.expected, 56, "those four came since");
        let mut company = Company::default();
        company.told(64, 4);
        assert_eq!(company.expected, 4 + 56);
    }

    #[test]
    fn company_that_does_not_come_is_waited_for_less_and_less_often() {
        let waits = |company: &mut Company, came: usize| {
            let awaited = (0..1_000).filter(|_| {
                let awaited = company.is_awaited();
                if awaited {
                    company.came(came);
                }
                awaited
            });
            awaited.count()
        };
        let mut company = Company { told: 64, ..Company::default() };
        assert_eq!(waits(&mut company, 60), 1_000);
        assert!(waits(&mut company, 3) < 30);
        assert!(waits(&mut company, 60) > 900, "it comes again");
    }
}
