//! Whether publishing is taken: the health of the engine and the memory of the node.
//!
//! ```text
//! the engine is full, or has stopped    what is to be stored is refused, or parked
//! memory from 90 %                      what is to be kept at all is refused, or parked
//! memory from 80 %                      what was promised to nobody is not kept
//! ```
//!
//! Sessions are told when it begins and when it is over. Reading, acknowledging and everything else
//! that frees room go on meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use model::budget::{Budget, Class, Level};
use protocol::Refusal;
use storage::{EngineStats, Health, SubmitError};

use crate::completion::{Completion, Step};
use crate::state::Core;
use crate::stats::set;
use crate::turn::Turn;

/// Looks in a row at which an engine that refused a write, and never said that it is full, must say
/// that all is well.
const QUIET: u8 = 5;

/// What is known of the node's room.
#[derive(Debug)]
pub(crate) struct Pressure {
    pub(crate) budget: Arc<Budget>,
    /// [`Health`] as last known.
    health: AtomicU8,
    /// Looks since the last write that was refused for want of room.
    quiet: AtomicU8,
    /// The engine itself said that it is full.
    said_full: AtomicBool,
    /// Memory went over the mark and has not come down far enough yet.
    crowded: AtomicBool,
    /// What sessions are to know.
    told: AtomicBool,
    /// Places given to publishes that may wait.
    places: AtomicU64,
}

/// Why publishing is refused, in words for the operator.
pub(crate) const FULL: &str = "no space is left on the disk of the data folder";
pub(crate) const STOPPED: &str = "a write or sync to the data folder has failed";
pub(crate) const CROWDED: &str = "memory is over 90 % of the budget";

impl Pressure {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            health: AtomicU8::new(GOOD),
            quiet: AtomicU8::new(0),
            said_full: AtomicBool::new(false),
            crowded: AtomicBool::new(false),
            told: AtomicBool::new(false),
            places: AtomicU64::new(0),
        }
    }

    /// Why nothing may be stored now.
    pub(crate) fn refuses_storing(&self) -> Option<Refusal> {
        match self.health.load(Ordering::Relaxed) {
            GOOD => self.refuses_keeping(),
            STOPPED_FOR_GOOD => Some(Refusal::StorageUnavailable),
            _ => Some(Refusal::NoRoom),
        }
    }

    /// Why nothing may be kept, in memory either.
    pub(crate) fn refuses_keeping(&self) -> Option<Refusal> {
        let crowded = self.crowded.load(Ordering::Relaxed) || self.budget.level() >= Level::Refuse;
        crowded.then_some(Refusal::NoRoom)
    }

    /// Whether what was promised to nobody is let go.
    pub(crate) fn is_tight(&self) -> bool {
        self.crowded.load(Ordering::Relaxed) || self.budget.level() >= Level::Hold
    }

    /// Whether sessions are to know that publishing is refused.
    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    /// The place of a publish among those that may wait.
    pub(crate) fn take_place(&self) -> u64 {
        self.places.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Why publishing is refused, in words.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        match self.health.load(Ordering::Relaxed) {
            GOOD => self.crowded.load(Ordering::Relaxed).then_some(CROWDED),
            STOPPED_FOR_GOOD => Some(STOPPED),
            _ => Some(FULL),
        }
    }

    /// The engine refused a write; whether that is news.
    pub(crate) fn note(&self, error: &SubmitError) -> bool {
        let health = match error {
            SubmitError::Full => FULL_FOR_NOW,
            SubmitError::Poisoned => STOPPED_FOR_GOOD,
            SubmitError::NoLog(_)
            | SubmitError::OutOfOrder
            | SubmitError::Fenced
            | SubmitError::Limit(_)
            | SubmitError::Bound(_)
            | SubmitError::Busy => return false,
        };
        self.quiet.store(0, Ordering::Relaxed);
        self.health.fetch_max(health, Ordering::Relaxed) < health
    }

    /// Takes in what the engine says of itself.
    fn watch(&self, said: Health) {
        let said = match said {
            Health::Good => GOOD,
            Health::Full => FULL_FOR_NOW,
            Health::Poisoned => STOPPED_FOR_GOOD,
        };
        if said > GOOD {
            self.said_full.store(true, Ordering::Relaxed);
            self.health.fetch_max(said, Ordering::Relaxed);
        } else if self.health.load(Ordering::Relaxed) == FULL_FOR_NOW {
            let quiet = self.quiet.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            if quiet >= QUIET || self.said_full.swap(false, Ordering::Relaxed) {
                self.health.store(GOOD, Ordering::Relaxed);
            }
        }
        let level = self.budget.level();
        if level >= Level::Refuse {
            self.crowded.store(true, Ordering::Relaxed);
        } else if level < Level::Hold {
            self.crowded.store(false, Ordering::Relaxed);
        }
    }
}

// In the order in which one goes over the other.
const GOOD: u8 = 0;
const FULL_FOR_NOW: u8 = 1;
const STOPPED_FOR_GOOD: u8 = 2;

impl Core {
    /// Looks at the engine and at memory, and tells of what has changed.
    pub(crate) fn watch(&mut self, turn: &Turn<'_>) {
        let stats = turn.shared.engine.stats();
        self.measure(turn, &stats);
        let pressure = &turn.shared.pressure;
        pressure.watch(stats.health);
        let reason = pressure.reason();
        if reason != self.reason {
            tell(self.reason, reason, &pressure.budget);
            self.reason = reason;
            pressure.told.store(reason.is_some(), Ordering::Release);
            // Each worker tells its own connections.
            self.post_all(turn, || Step::Tick);
        }
        if reason.is_none() && !self.parked.is_empty() {
            // Each takes those of its own connections, so that nothing overtakes them.
            self.post_all(turn, || Step::Unpark);
        }
    }

    fn post_all(&self, turn: &Turn<'_>, step: impl Fn() -> Step) {
        for worker in 0..turn.shared.workers.load(Ordering::Relaxed) {
            turn.shared.mail.post(worker, Completion(step()));
        }
    }

    /// What the broker and the engine hold in memory, about.
    fn measure(&self, turn: &Turn<'_>, stats: &EngineStats) {
        /// What a timer, a waiting read, a stream and a route take, with their names.
        const TIMER: usize = 64;
        const READ: usize = 1_000;
        const STREAM: usize = 1_000;
        const ROUTE: u64 = 500;
        let figure = |name: &str| {
            let found = stats.figures.iter().find(|figure| figure.name == name);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes")]
            found.map_or(0, |figure| figure.value as u64)
        };
        let counters = &turn.shared.counters;
        let budget = &turn.shared.pressure.budget;
        let (timers, reads) = (self.timers.len() * TIMER, self.waiters.len() * READ);
        let cursors = self.resident.sessions + timers + reads;
        let names = (self.catalogue.stream_count() + self.catalogue.view_count()) * STREAM;
        let routes = turn.shared.routes.load(Ordering::Relaxed) * ROUTE;
        budget.set(Class::Lane, stats.pending_bytes);
        budget.set(Class::TailCache, figure("tail_cache_bytes"));
        budget.set(Class::IndexCache, figure("index_cache_bytes"));
        budget.set(Class::State, figure("state_memory_bytes"));
        budget.set(Class::Names, (names + self.resident.subscriptions) as u64 + routes);
        budget.set(Class::Cursors, cursors as u64);
        budget.set(Class::Inbound, self.parked.bytes() as u64);
        set(&counters.parked, self.parked.len());
    }
}

/// What takes a walk to add up: as it was when that was last done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Resident {
    /// Sessions and group cursors.
    sessions: usize,
    /// Live subscriptions, consumers and unsettled deliveries of connections.
    subscriptions: usize,
}

impl Core {
    /// Adds up what sessions, cursors and connections hold.
    pub(crate) fn add_up(&mut self) {
        self.queues.add_up();
        let sessions: usize = self.sessions.iter().map(|(_, session)| session.memory()).sum();
        self.resident = Resident {
            sessions: sessions + self.cursors.memory(),
            subscriptions: self.conns.memory(),
        };
    }
}

/// One line for each change, with what to do about it.
fn tell(before: Option<&str>, now: Option<&str>, budget: &Budget) {
    match now {
        Some(FULL) => tracing::error!(
            "publishing is refused: {FULL}; free space there, or let streams keep less (max_bytes, \
             max_age); reading and acknowledging go on, and publishing will by itself"
        ),
        Some(STOPPED) => tracing::error!(
            "publishing is refused: {STOPPED}; look at the disk, then start the server again; \
             what is stored can be read"
        ),
        Some(why) => tracing::warn!(
            used = budget.used(),
            limit = budget.limit(),
            "publishing is refused: {why}; raise memory.budget, or look at the metrics for who \
             holds it; it goes on by itself below 80 %"
        ),
        None => {
            let before = before.unwrap_or_default();
            tracing::info!("publishing goes on; it was refused because {before}");
        }
    }
}
