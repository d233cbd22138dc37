//! The broker's rules, tried over the in-memory engine.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    reason = "tests end where an expectation does"
)]

#[macro_use]
#[path = "../support/reads.rs"]
mod reads;

mod catching_up;
mod choked;
mod compaction;
mod cursors;
mod dead_letters;
mod deadlines;
mod holders;
mod pressure;
mod publish;
mod purge;
mod queue_limits;
mod queue_time;
mod queueing;
mod queues;
mod retention;
mod rights;
mod sessions;
mod world;
