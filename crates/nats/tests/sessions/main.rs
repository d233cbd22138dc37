//! Scripts for NATS sessions, without sockets.

mod across;
mod client_protocol;
mod world;
