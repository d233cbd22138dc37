//! The broker: answers every request of the vocabulary. It knows spaces, streams, queues and
//! sessions, and no protocol.
//!
//! ```text
//! desk         one per I/O worker: requests in, replies and deliveries out
//! router       who gets what: one index per space, routes cached by desk
//! publish      one message in: stored where it has a home, delivered once to each receiver
//! append, read batches in and out of partitions, by stream or view
//! sessions     durable sessions: cursors, claims, takeover, wills
//! queues       references handed to consumers one by one
//! cursors      group cursors: one place in a log, shared by members
//! retention    what goes out of sight, and the tick that sees to it; compaction: by key;
//!              purge: by request; holders: what may be held beyond it
//! pressure     no room on the disk or in memory: who is refused, who waits (parked)
//! burial       what queues give up, sent to where their dead letters go
//! deadlines    what is due at a time that may be far: rows of a table
//! objects      streams, spaces, queues and bindings made and removed
//! state        the state behind one lock; open restores it
//! guard        who may do what; authorise: what a request needs; login: who clients are
//! names        whose a log is, for tools
//! ```
//!
//! Locks, in the order in which they are taken: `core`, then `router`, then `last_values`, then the
//! guard's. Publishes
//! that store nothing take the router's lock for reading, and only when their route is not cached.
//! Absent: sockets, files, clocks, threads, packets.

mod alias;
mod append;
mod authorise;
mod burial;
mod compaction;
mod completion;
mod conns;
mod cursors;
mod deadlines;
mod desk;
mod guard;
mod holders;
mod home;
mod last_values;
mod login;
mod message;
mod modules;
mod names;
mod objects;
mod open;
mod parked;
mod port;
mod pressure;
mod publish;
mod purge;
mod queues;
mod read;
mod retention;
mod router;
mod sessions;
mod state;
mod stats;
mod streams;
mod timers;
mod turn;
mod views;

pub use completion::Completion;
pub use desk::Desk;
pub use guard::AuditEvent;
pub use holders::Loss;
pub use login::{Change, ChangeError};
pub use names::{CATALOGUE, LogOwner, log_owners};
pub use open::{Broker, DefaultStream, OpenError, Options, Protocols, cluster_id};
pub use port::{Attempt, Authenticator, Mail, Outcome, Port};
pub use stats::{BrokerStats, Entry};
