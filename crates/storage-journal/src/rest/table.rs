//! State tables: immutable sorted files of keys and values (storage rule 5).
//!
//! A table is written once, front to back, and synced; from then on it is only read. A value may
//! be missing: that is a tombstone, which hides the key in older tables. The state of the engine
//! is a base and a few deltas, newest first; [`merge`] makes one table of them.
//!
//! ```text
//! header, 64 bytes
//!   0 [magic: 8 bytes "RMQSTATE"][format: u16][reserved: u16]
//!  12 [compat: u32][ro_compat: u32][incompat: u32]     storage rule 28
//!  24 [file id: u64][key id: u32]                      key id: encryption, later; 0
//!  36 zeros
//!  60 [crc: u32]                                       crc32c over 0..60: the file's seed
//! blocks, back to back: 64 KiB at most, or one entry that is longer
//!   0 [length: u32][crc: u32]                          over 8..length, seeded
//!   8 [entries: u32][reserved: u32]
//!  16 entries: [key length: u32][value length + 1: u32, 0 is a tombstone][key][value]
//! index: one entry per block, crc in the footer
//!   0 [position: u64][length: u32][crc: u32]           the crc is the block's own
//!  16 [fence length: u16][fence]
//! footer, the last 64 bytes
//!   0 [magic: 8 bytes "RMQSTEND"][index position: u64][index length: u64][index crc: u32]
//!  28 [blocks: u32][entries: u64][file id: u64]
//!  48 zeros
//!  60 [crc: u32]                                       over 0..60, seeded
//! ```
//!
//! All integers are little endian. Keys ascend strictly. Every byte stands under a checksum, and
//! all checksums but the header's are seeded by the header's, so that no part of one file passes
//! for a part of another. A *fence* is the shortest beginning of a block's first key that is
//! greater than the last key before it, cut to 128 bytes: so the index stays below a hundredth of
//! the file however long the keys are, and a search may have to look into blocks whose fences were
//! cut to the same bytes.

mod layout;
mod merge;
mod read;
mod write;

pub use layout::{BadTable, KEY_BYTES_MAX, ReadError, VALUE_BYTES_MAX, name};
pub use merge::{Merged, merge, merged};
pub use read::{Entries, Table, verify};
pub use write::{Written, write};

use bytes::Bytes;

/// A key with its value, or with nothing when it was deleted.
pub type Entry = (Bytes, Option<Bytes>);
