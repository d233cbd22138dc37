//! robust-server: sockets, workers, configuration, HTTP and main.
//!
//! ```text
//!  cli        what is asked on the command line
//!  config     one file, environment, flags; every error one line
//!  start      everything up in its order, and down again
//!  protocols  the registry of protocols: one line each
//!  engines    the storage engines: one line each
//!  driver     I/O threads that feed sessions
//!  http       health, metrics, version
//!  listen     listening sockets;  process  what the system knows of us
//! ```
//!
//! Absent: what any protocol means, and what the broker decides.

pub mod cli;
pub mod config;
pub mod driver;
pub mod engines;
pub mod http;
pub mod listen;
pub mod process;
pub mod protocols;
pub mod start;
