//! The storage contract: logs and tables, and nothing else.
//!
//! ```text
//! contract      what every engine does: submit, read, bounds, seek, last, next, get, scan, ...
//! batch         record batch v2, the one stored format: parse, check, build, walk
//! compression   the four codecs of a batch, decoded with caps
//! record        a model record <-> the key, value and headers of a stored record
//! memory        the engine that keeps everything in memory
//! suite         what every engine must pass
//! ```
//!
//! Absent: files, protocols, subscriptions.

pub mod batch;
pub mod compression;
pub mod contract;
pub mod memory;
pub mod record;
pub mod suite;

pub use contract::*;
