//! QoS 2 exactly once, both ways, over the simulated disk, with a crash at every step.
//!
//! Real sessions and a real broker over the journal. Packets, answers, completions and commits are
//! steps that a seed puts into an order; a history is run again for each step of it, and ends there
//! in a kill or a power cut. Then the clients come back and go on, and everything must have come once.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    reason = "tests end where an expectation does"
)]

#[macro_use]
#[path = "../support/reads.rs"]
mod reads;

mod clients;
mod lives;
mod slow;
mod wire;
mod world;
