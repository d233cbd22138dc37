//! The journal: groups and frames on segment files behind a virtual file system.
//!
//! ```text
//!  frame    one entry or one list of after-images, CRC seeded by its segment
//!  group    frames that commit together: one aligned write, all or nothing
//!  segment  a file of groups behind a header that links it to its predecessor
//!  wal      the chain of segments: append, sync, roll, read
//!  recovery what of the chain exists after a crash
//!  vfs      the file operations that all of this is built on; sim is a disk that crashes
//! ```
//!
//! Everything that touches a disk goes through [`vfs::Vfs`], so that the whole engine runs on the
//! simulated disk of [`sim`].

pub mod frame;
pub mod group;
pub mod random;
pub mod recovery;
pub mod segment;
pub mod sim;
pub mod vfs;
pub mod wal;
