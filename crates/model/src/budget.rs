//! One budget of memory for the node: what each class of it holds, counted in bytes.
//!
//! ```text
//! node -- classes (one counter each) -- parts that account into them: connections, queues, caches
//! ```
//!
//! Whoever holds memory adds and takes, or sets a class that it has measured. Nothing is refused
//! here: the level says how full the budget is, and what is due then is the business of those who
//! ask. What is counted are the bytes that grow with use, not those of the allocator or of code.

use std::sync::atomic::{AtomicU64, Ordering};

/// What memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Connections: their sessions, what was read of them and what they have not been sent yet.
    Connections,
    /// Publishes that wait for room.
    Inbound,
    /// Writes on their way to the disk.
    Lane,
    /// The newest records, as the storage engine keeps them.
    TailCache,
    /// Blocks and indexes of files.
    IndexCache,
    /// Streams, subjects, subscriptions and routes.
    Names,
    /// Sessions with what waits for them, group cursors, timers and waiting reads.
    Cursors,
    /// Messages that queues keep in memory.
    Queues,
    /// What the storage engine knows of logs, subjects, rows, cursors, references and producers.
    State,
    /// Last values.
    LastValues,
}

impl Class {
    /// All classes with their names.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Connections, "connections"),
        (Self::Inbound, "inbound"),
        (Self::Lane, "lane"),
        (Self::TailCache, "tail_cache"),
        (Self::IndexCache, "index_cache"),
        (Self::Names, "names"),
        (Self::Cursors, "cursors"),
        (Self::Queues, "queues"),
        (Self::State, "state"),
        (Self::LastValues, "last_values"),
    ];
}

/// How full the budget is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// There is room.
    #[default]
    Calm,
    /// From 70 %: caches shrink.
    Shrink,
    /// From 80 %: what nobody was promised is not kept.
    Hold,
    /// From 90 %: publishing is refused, and so are new connections.
    Refuse,
    /// From 95 %: the connections that read slowest are closed.
    Shed,
}

impl Level {
    /// Name, for the log and the metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Shrink => "shrink",
            Self::Hold => "hold",
            Self::Refuse => "refuse",
            Self::Shed => "shed",
        }
    }
}

/// The counters and their limit.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: [AtomicU64; Class::ALL.len()],
}

impl Default for Budget {
    /// A budget without a limit.
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

impl Budget {
    /// A budget of so many bytes, with nothing used.
    pub fn new(limit: u64) -> Self {
        Self { limit: limit.max(1), used: [const { AtomicU64::new(0) }; Class::ALL.len()] }
    }

    /// Bytes that may be used.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// A share of the limit, in percent, but never more than `most`: for a limit of its own.
    pub fn share(&self, percent: u64, most: usize) -> usize {
        let share = u128::from(self.limit) * u128::from(percent) / 100;
        usize::try_from(share).unwrap_or(usize::MAX).min(most)
    }

    /// More bytes are held.
    pub fn add(&self, class: Class, bytes: usize) {
        self.of(class).fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Fewer bytes are held.
    pub fn take(&self, class: Class, bytes: usize) {
        let counter = self.of(class);
        let less = |used: u64| Some(used.saturating_sub(bytes as u64));
        // The closure always gives a value.
        let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// What a class that is measured as a whole holds now.
    pub fn set(&self, class: Class, bytes: u64) {
        self.of(class).store(bytes, Ordering::Relaxed);
    }

    /// Bytes of one class.
    pub fn used_by(&self, class: Class) -> u64 {
        self.of(class).load(Ordering::Relaxed)
    }

    /// Bytes of all classes.
    pub fn used(&self) -> u64 {
        self.used.iter().map(|used| used.load(Ordering::Relaxed)).fold(0, u64::saturating_add)
    }

    /// How full it is.
    pub fn level(&self) -> Level {
        let percent = u128::from(self.used()) * 100 / u128::from(self.limit);
        match percent {
            0..70 => Level::Calm,
            70..80 => Level::Shrink,
            80..90 => Level::Hold,
            90..95 => Level::Refuse,
            95.. => Level::Shed,
        }
    }

    fn of(&self, class: Class) -> &AtomicU64 {
        // The array has a place for each class.
        &self.used[class as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_the_place_of_its_name() {
        for (place, (class, name)) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, place, "{name}");
        }
    }

    #[test]
    fn the_level_follows_what_all_classes_hold() {
        let budget = Budget::new(1000);
        budget.set(Class::State, 600);
        assert_eq!(budget.level(), Level::Calm);
        budget.add(Class::Queues, 100);
        assert_eq!(budget.level(), Level::Shrink);
        budget.add(Class::Connections, 150);
        assert_eq!(budget.level(), Level::Hold);
        budget.add(Class::Connections, 60);
        assert_eq!(budget.level(), Level::Refuse);
        budget.add(Class::Lane, 5000);
        assert_eq!(budget.level(), Level::Shed);
        budget.take(Class::Lane, 6000);
        budget.take(Class::Connections, 210);
        assert_eq!((budget.used(), budget.level()), (700, Level::Shrink), "never below zero");
        assert_eq!(Budget::default().level(), Level::Calm);
    }

    #[test]
    fn a_share_has_a_ceiling() {
        assert_eq!(Budget::new(1 << 20).share(25, usize::MAX), 1 << 18);
        assert_eq!(Budget::default().share(25, 77), 77);
    }
}
