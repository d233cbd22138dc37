//! The journal: groups and frames on segment files behind a virtual file system.
//!
//! ```text
//!  journal  the engine: a queue, a lane that commits groups, readers beside it
//!  lane     writes -> plan -> frames -> one write, one sync -> index -> completions
//!  view     what readers share with the lane: index, segments, newest batches
//!  entry    batches and after-images as bodies of frames
//!
//!  frame    one entry or one list of after-images, CRC seeded by its segment
//!  group    frames that commit together: one aligned write, all or nothing
//!  segment  a file of groups behind a header that links it to its predecessor
//!  wal      the chain of segments: append, sync, roll, read
//!  recovery what of the chain exists after a crash
//!  manifest which of the files that rest exist
//!  rest     files that hold what has left the chain
//!  vfs      the file operations that all of this is built on; sim is a disk that crashes
//! ```
//!
//! Everything that touches a disk goes through [`vfs::Vfs`], so that the whole engine runs on the
//! simulated disk of [`sim`].

mod checkpoint;
mod drain;
mod entry;
mod fields;
pub mod frame;
pub mod group;
pub mod journal;
mod lane;
mod maintenance;
pub mod manifest;
mod merge;
mod open;
pub mod random;
pub mod recovery;
pub mod rest;
mod rows;
pub mod segment;
pub mod sim;
mod units;
pub mod vfs;
mod view;
pub mod wal;

pub use journal::Journal;
pub use lane::Options;
pub use open::{LoadError, OpenError};
