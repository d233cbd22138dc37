//! Sessions driven by scripts: a client at one end, a broker at the other, no sockets.

#![allow(clippy::unwrap_used, reason = "a test ends where it is surprised")]

mod altering;
mod client;
mod every_version;
mod groups;
mod hostile;
mod order;
mod records;
mod topics;
