//! Resting files: what has left the shared log, in files that are written once.
//!
//! ```text
//!  file   names of resting files: boot and sequence (storage rule 26)
//!  table  sorted files of keys and values: the state of the engine up to a group
//!  unit   record batches of one log or of many, read by offset, time and subject
//! ```
//!
//! Which of the files exist is not decided by their names but by the [`manifest`](crate::manifest).
//! All of them stand in the data folder itself, beside the segments of the shared log.

mod file;
pub mod table;
pub mod unit;

pub use file::FileId;
