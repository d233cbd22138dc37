//! Who gets a message: one index for each space, over live subscriptions, durable sessions,
//! bindings and captures alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use model::filter::Filter;
use model::index::Index;
use model::record::Space;
use model::subject::Subject;
use protocol::{ConnId, HeaderMatch, HeaderMatchMode, Matched};

use crate::home::Home;

/// Most subjects that are kept for readers who named them; readers of others see what lasts.
const LEASES_MAX: usize = 100_000;

/// What stands under a filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// A live subscription.
    Live { conn: ConnId, number: u32, skip_own: bool },
    /// A member of a live group: one of them gets it.
    Member { group: Bytes, conn: ConnId, number: u32, skip_own: bool },
    /// A durable session's subscription.
    Durable { session: u64, number: u32 },
    /// A queue, through the binding of this number.
    Queue { queue: u64, binding: u64 },
    /// Another space, through the binding of this number.
    Space { space: Space, binding: u64 },
    /// A stream that captures the subject.
    Capture(u64),
}

/// Where messages of one subject go. Computed once, then shared until the router changes.
#[derive(Debug, Default)]
pub(crate) struct Route {
    pub(crate) live: Vec<LiveTarget>,
    pub(crate) groups: Vec<GroupTarget>,
    pub(crate) sessions: Vec<(u64, Matched)>,
    pub(crate) queues: Vec<u64>,
    /// What depends on the message's headers as well.
    pub(crate) conditional: Vec<(Arc<HeaderMatch>, Onward)>,
    /// It passes through the shared space, where streams capture.
    pub(crate) shared: bool,
    pub(crate) home: Option<Arc<Home>>,
    /// Until when (ms since 1970) a view of the subject is being read.
    pub(crate) lease: Option<Arc<AtomicI64>>,
}

/// One connection and its subscriptions that match.
#[derive(Clone, Debug)]
pub(crate) struct LiveTarget {
    pub(crate) conn: ConnId,
    pub(crate) matched: Matched,
    /// What remains of `matched` when the connection itself published.
    pub(crate) own: Option<Matched>,
}

/// A group: each message goes to one member.
#[derive(Debug)]
pub(crate) struct GroupTarget {
    pub(crate) members: Vec<(ConnId, u32, bool)>,
    pub(crate) turn: AtomicUsize,
}

/// Where a conditional binding leads.
#[derive(Debug)]
pub(crate) enum Onward {
    Queue(u64),
    Route(Arc<Route>),
}

/// All spaces. Lives behind one lock; `epoch` is raised with each change.
#[derive(Debug, Default)]
pub(crate) struct Router {
    spaces: HashMap<Space, Index<Target>>,
    conditions: HashMap<u64, Arc<HeaderMatch>>,
    homes: HashMap<u64, Arc<Home>>,
    leases: HashMap<Subject, Arc<AtomicI64>>,
}

impl Router {
    pub(crate) fn insert(&mut self, space: &Space, filter: &Filter, target: Target) -> bool {
        self.spaces.entry_ref(space).or_default().insert(filter, target)
    }

    pub(crate) fn remove(&mut self, space: &Space, filter: &Filter, target: &Target) -> bool {
        let Some(index) = self.spaces.get_mut(space) else { return false };
        let removed = index.remove(filter, target);
        if index.is_empty() {
            self.spaces.remove(space);
        }
        removed
    }

    pub(crate) fn set_condition(&mut self, binding: u64, condition: HeaderMatch) {
        self.conditions.insert(binding, Arc::new(condition));
    }

    pub(crate) fn clear_condition(&mut self, binding: u64) {
        self.conditions.remove(&binding);
    }

    pub(crate) fn set_home(&mut self, id: u64, home: Arc<Home>) {
        for filter in &home.filters {
            self.insert(&Space::SHARED, filter, Target::Capture(id));
        }
        self.homes.insert(id, home);
    }

    pub(crate) fn clear_home(&mut self, id: u64) {
        if let Some(home) = self.homes.remove(&id) {
            for filter in &home.filters {
                self.remove(&Space::SHARED, filter, &Target::Capture(id));
            }
        }
    }

    /// The lease of a subject, made if it is not there; `None` when there are too many.
    pub(crate) fn lease(&mut self, subject: &Subject) -> Option<Arc<AtomicI64>> {
        if let Some(lease) = self.leases.get(subject) {
            return Some(lease.clone());
        }
        if self.leases.len() >= LEASES_MAX {
            return None;
        }
        let lease = Arc::new(AtomicI64::new(0));
        self.leases.insert(subject.detached(), lease.clone());
        Some(lease)
    }

    pub(crate) fn lease_of(&self, subject: &Subject) -> Option<Arc<AtomicI64>> {
        self.leases.get(subject).cloned()
    }

    pub(crate) fn has_ended_leases(&self, unix_ms: i64) -> bool {
        self.leases.values().any(|until| until.load(Ordering::Relaxed) <= unix_ms)
    }

    /// Forgets leases that ended before `unix_ms`.
    pub(crate) fn sweep_leases(&mut self, unix_ms: i64) -> bool {
        let before = self.leases.len();
        self.leases.retain(|_, until| until.load(Ordering::Relaxed) > unix_ms);
        before != self.leases.len()
    }

    pub(crate) fn route(&self, space: &Space, subject: &Subject) -> Route {
        let mut walk = Walk { router: self, visited: HashSet::new(), found: Found::default() };
        walk.space(space, subject);
        let Walk { mut visited, found, .. } = walk;
        let mut route = found.into_route();
        if visited.contains(&Space::SHARED) {
            route.shared = true;
            route.home = self.home(&Space::SHARED, subject);
            route.lease = self.leases.get(subject).cloned();
        }
        // Conditional bindings: what lies behind them is routed apart, each space once.
        let mut conditional = Vec::new();
        self.conditional(space, subject, &mut visited, &mut conditional);
        route.conditional = conditional;
        route
    }

    fn home(&self, space: &Space, subject: &Subject) -> Option<Arc<Home>> {
        let mut home = None;
        self.spaces.get(space)?.matches(subject, |target| {
            if let Target::Capture(id) = target {
                home = self.homes.get(id).cloned();
            }
        });
        home
    }

    fn conditional(
        &self,
        space: &Space,
        subject: &Subject,
        visited: &mut HashSet<Space>,
        out: &mut Vec<(Arc<HeaderMatch>, Onward)>,
    ) {
        if self.conditions.is_empty() {
            return;
        }
        let mut next = Vec::new();
        for from in visited.iter().chain(std::iter::once(space)) {
            let Some(index) = self.spaces.get(from) else { continue };
            index.matches(subject, |target| match target {
                Target::Queue { queue, binding } => {
                    if let Some(condition) = self.conditions.get(binding) {
                        out.push((condition.clone(), Onward::Queue(*queue)));
                    }
                }
                Target::Space { space, binding } => {
                    if let Some(condition) = self.conditions.get(binding) {
                        next.push((condition.clone(), space.clone()));
                    }
                }
                Target::Live { .. }
                | Target::Member { .. }
                | Target::Durable { .. }
                | Target::Capture(_) => {}
            });
        }
        for (condition, space) in next {
            if visited.insert(space.clone()) {
                let mut walk =
                    Walk { router: self, visited: visited.clone(), found: Found::default() };
                walk.visited.remove(&space);
                walk.space(&space, subject);
                let mut route = walk.found.into_route();
                self.conditional(&space, subject, visited, &mut route.conditional);
                out.push((condition, Onward::Route(Arc::new(route))));
            }
        }
    }
}

/// Whether the attributes of a message meet a condition.
pub(crate) fn meets(condition: &HeaderMatch, attributes: &[(Bytes, Bytes)]) -> bool {
    let has = |(name, value): &(Bytes, Option<Bytes>)| {
        attributes.iter().any(|(n, v)| n == name && value.as_ref().is_none_or(|want| want == v))
    };
    match condition.mode {
        HeaderMatchMode::All => condition.wanted.iter().all(has),
        HeaderMatchMode::Any => condition.wanted.iter().any(has),
    }
}

struct Walk<'a> {
    router: &'a Router,
    visited: HashSet<Space>,
    found: Found,
}

#[derive(Default)]
struct Found {
    live: Vec<(ConnId, u32, bool)>,
    members: HashMap<Bytes, Vec<(ConnId, u32, bool)>>,
    sessions: Vec<(u64, u32)>,
    queues: Vec<u64>,
}

impl Walk<'_> {
    fn space(&mut self, space: &Space, subject: &Subject) {
        if !self.visited.insert(space.clone()) {
            return;
        }
        let Some(index) = self.router.spaces.get(space) else { return };
        let mut onward = Vec::new();
        let found = &mut self.found;
        index.matches(subject, |target| match target {
            Target::Live { conn, number, skip_own } => found.live.push((*conn, *number, *skip_own)),
            Target::Member { group, conn, number, skip_own } => {
                found.members.entry_ref(group).or_default().push((*conn, *number, *skip_own));
            }
            Target::Durable { session, number } => found.sessions.push((*session, *number)),
            Target::Queue { queue, binding } => {
                if !self.router.conditions.contains_key(binding) {
                    found.queues.push(*queue);
                }
            }
            Target::Space { space, binding } => {
                if !self.router.conditions.contains_key(binding) {
                    onward.push(space.clone());
                }
            }
            Target::Capture(_) => {}
        });
        for space in onward {
            self.space(&space, subject);
        }
    }
}

impl Found {
    fn into_route(mut self) -> Route {
        self.live.sort_unstable();
        self.sessions.sort_unstable();
        self.queues.sort_unstable();
        self.queues.dedup();
        let live = self
            .live
            .chunk_by(|a, b| a.0 == b.0)
            .map(|subscriptions| {
                let numbers: Vec<u32> = subscriptions.iter().map(|s| s.1).collect();
                let own: Vec<u32> = subscriptions.iter().filter(|s| !s.2).map(|s| s.1).collect();
                LiveTarget {
                    conn: subscriptions[0].0,
                    own: matched(own),
                    matched: matched(numbers).expect("a chunk is not empty"),
                }
            })
            .collect();
        let sessions = self
            .sessions
            .chunk_by(|a, b| a.0 == b.0)
            .filter_map(|s| Some((s[0].0, matched(s.iter().map(|s| s.1).collect())?)))
            .collect();
        let groups = self
            .members
            .into_values()
            .map(|mut members| {
                members.sort_unstable();
                GroupTarget { members, turn: AtomicUsize::new(0) }
            })
            .collect();
        Route { live, groups, sessions, queues: self.queues, ..Route::default() }
    }
}

/// The numbers as a delivery names them; `None` for none.
pub(crate) fn matched(numbers: Vec<u32>) -> Option<Matched> {
    match numbers[..] {
        [] => None,
        [one] => Some(Matched::One(one)),
        [..] => Some(Matched::Many(numbers.into_boxed_slice())),
    }
}
