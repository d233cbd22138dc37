//! What a stream keeps in sight, and what those who await its records may hold beyond that.

/// The most records of one subject that a limit of [`Retention::max_per_subject`] keeps.
pub const PER_SUBJECT_MAX: u32 = 64;
/// How long a tombstone stays after its log was cleaned past it, unless the stream says otherwise.
pub const DELETE_RETENTION_MS: u64 = 86_400_000;
/// The part of a log that must be new before its keys are compacted again, in percent.
pub const MIN_DIRTY_PERCENT: u8 = 50;

/// What a stream keeps in sight. The default keeps everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Age at which records go out of sight, in milliseconds of the node's own clock.
    pub max_age_ms: Option<u64>,
    /// Bytes per partition above which the oldest go out of sight.
    pub max_bytes: Option<u64>,
    /// Records per partition above which the oldest go out of sight.
    pub max_records: Option<u64>,
    /// Records of one subject above which its oldest go out of sight; 1 to [`PER_SUBJECT_MAX`].
    pub max_per_subject: Option<u32>,
    /// What is beyond `max_bytes` or `max_records` is refused, instead of the oldest being dropped.
    pub refuse_when_full: bool,
    /// Records go out of sight once every cursor is done with them.
    pub until_consumed: bool,
    /// Whether records go by age and size, by their key, or by both.
    pub cleanup: Cleanup,
    /// How keys are compacted.
    pub compaction: Compaction,
    /// The largest message, and the largest batch of a client; `None` = what the node takes.
    pub max_message_bytes: Option<u32>,
    /// Bytes out of sight that one holder may hold; `None` = by the node's rule.
    pub held_bytes: Option<u64>,
    /// How long one holder may hold what went out of sight; `None` = by the node's rule.
    pub held_age_ms: Option<u64>,
}

/// When what a stream takes is acknowledged, and what of it a crash may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// At once. Records are gone after a restart, also for sessions and queues that await them.
    Memory,
    /// Once written. Survives the end of the process; a loss of power may take the last moments.
    Async,
    /// Once synced.
    #[default]
    Durable,
}

impl Durability {
    /// Its name in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Async => "async",
            Self::Durable => "durable",
        }
    }
}

/// What makes records go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cleanup {
    /// Age, bytes and count.
    #[default]
    Delete,
    /// A newer record of the same key; age, bytes and count do not count.
    Compact,
    /// Either.
    Both,
}

impl Cleanup {
    /// Whether keys are compacted.
    pub fn compacts(self) -> bool {
        self != Self::Delete
    }

    /// Whether age, bytes and count apply.
    pub fn expires(self) -> bool {
        self != Self::Compact
    }
}

/// How keys are compacted; `None` = as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compaction {
    /// How long a tombstone stays after its log was cleaned past it, in milliseconds.
    pub delete_retention_ms: Option<u64>,
    /// Records younger than this are left alone, in milliseconds.
    pub min_lag_ms: Option<u64>,
    /// The part of the log that must be new, in percent; 0 to 100.
    pub min_dirty_percent: Option<u8>,
}

impl Retention {
    /// Whether all numbers are in their ranges.
    pub fn is_possible(&self) -> bool {
        let per_subject =
            self.max_per_subject.is_none_or(|max| (1..=PER_SUBJECT_MAX).contains(&max));
        let dirty = self.compaction.min_dirty_percent.is_none_or(|percent| percent <= 100);
        let bounded = self.max_bytes.is_some() || self.max_records.is_some();
        per_subject && dirty && (bounded || !self.refuse_when_full)
    }
}
