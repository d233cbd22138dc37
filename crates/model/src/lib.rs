//! The words of RobustMQ: types that every layer shares, and their invariants.
//!
//! ```text
//! subject   the address of a message: tokens, one form in each protocol (render)
//! filter    a pattern over subjects; index and tree match many at once
//! record    one message: key, value, headers, properties
//! fields    what each protocol calls the parts of a record
//! limits    what one node accepts
//! budget    how much memory it may use, and what for
//! ```
//!
//! Absent: packets of any protocol, I/O, clocks, locks.

pub mod budget;
mod escape;
pub mod fields;
pub mod filter;
pub mod index;
pub mod limits;
mod members;
pub mod record;
pub mod render;
pub mod subject;
pub mod tree;
