//! The coordinator of consumer groups, rule by rule and at random.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a script that cannot be read, or another answer than expected, fails the test"
)]

mod admin;
mod joining;
mod leaving;
mod offsets;
mod random;
mod robust;
mod script;
mod static_members;
mod syncing;
