//! The Meta Service: the catalogue of streams, views, spaces, queues and bindings.
//!
//! ```text
//! row         one object as bytes: what a table of the engine keeps
//! queue       rows of queues with their options
//! catalogue   all objects, and the commands that change them
//! ```
//!
//! The catalogue is a pure state machine: a command is applied by a function of its arguments (ids
//! and times ride in the command), and tells which rows changed. The same code serves one node and
//! many. Absent: clocks, randomness, I/O, routing.

pub mod catalogue;
mod queue;
pub mod row;

pub use catalogue::{Catalogue, Change, Stream, View};
pub use queue::{Queue, read_destination, write_destination};
