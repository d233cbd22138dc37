//! The journal: groups and frames on segment files behind a virtual file system.
//!
//! ```text
//!  journal  the engine: a queue, a lane that commits groups, readers beside it
//!  feed     the rings before the lane, and its thread; assay judges what goes into which
//!  lane     writes -> plan -> frames -> one write, one sync -> index -> completions
//!  framing  steps of a plan as frames of a group
//!  syncer   the sync of one group while the next is made; pace knows how long syncs take
//!  pressure good, full or poisoned; meters count and measure
//!  debt     segments that wait for a drain longer than they should slow data down
//!  view     what readers share with the lane: index, segments, newest batches
//!  entry    batches and after-images as bodies of frames
//!  figures  what is measured, in the terms of the contract
//!
//!  frame    one entry or one list of after-images, CRC seeded by its segment
//!  group    frames that commit together: one aligned write, all or nothing
//!  segment  a file of groups behind a header that links it to its predecessor
//!  wal      the chain of segments: append, sync, roll, read
//!  pool     free segment files, zero-filled or used before; keeper fills them beside the lane
//!  reserve  space for what frees space
//!  recovery what of the chain exists after a crash
//!  manifest which of the files that rest exist
//!  rest     files that hold what has left the chain; warm tells which of them stay cached
//!  audit    looking at a folder that no server uses
//!  heap     what the allocator keeps of freed memory
//!  vfs      the file operations that all of this is built on; sim is a disk that crashes
//! ```
//!
//! Everything that touches a disk goes through [`vfs::Vfs`], so that the whole engine runs on the
//! simulated disk of [`sim`].

mod assay;
pub mod audit;
mod checkpoint;
mod debt;
mod drain;
mod entry;
mod feed;
mod fields;
mod figures;
mod flight;
pub mod frame;
mod framing;
pub mod group;
pub mod heap;
pub mod journal;
mod keeper;
mod lane;
mod maintenance;
pub mod manifest;
mod merge;
mod meters;
mod open;
mod options;
mod pace;
mod pool;
mod pressure;
pub mod random;
pub mod recovery;
mod replay;
mod reserve;
pub mod rest;
mod rows;
pub mod segment;
pub mod sim;
mod syncer;
mod throttle;
mod units;
pub mod vfs;
mod view;
pub mod wal;
mod warm;

pub use journal::Journal;
pub use meters::{Queued, Readings, Spread};
pub use open::{LoadError, OpenError};
pub use options::Options;
