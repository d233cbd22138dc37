//! Kafka sessions and group coordinator as pure state machines.
//!
//! ```text
//! session        frames in, responses out in the order of the requests
//! call           one request being worked on: what it asks the broker, what it waits for
//! versions       what is advertised
//! metadata, cluster, topics, describe_topics              streams as topics
//! settings, configs, alter_configs                        what they keep, under Kafka's names
//! produce, fetch, list_offsets, delete_records            batches, opaque
//! coordinator    where groups live; producer ids
//! forward, offsets_by_id                                  group requests on their way to the module
//! group          the module: consumer groups and their offsets
//! refusal        what a refusal is called in Kafka
//! ```
//!
//! Absent: record batches beyond their header, transactions, other brokers.

mod alter_configs;
mod call;
mod cluster;
mod configs;
mod coordinator;
mod delete_records;
mod describe_topics;
mod dispatch;
mod fetch;
mod forward;
pub mod group;
mod list_offsets;
mod metadata;
mod offsets_by_id;
mod produce;
mod refusal;
mod sasl;
mod session;
mod settings;
mod topics;
mod versions;

pub use session::KafkaSession;
pub use versions::advertised;

use protocol::{Module, Now, Peer, Protocol, Session};

/// The name of the module that coordinates groups.
pub const GROUP_MODULE: &str = "kafka-groups";

/// The protocol for the server's registry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kafka;

impl Protocol for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn port(&self) -> u16 {
        9092
    }

    fn open(&self, now: Now, peer: Peer) -> Box<dyn Session> {
        Box::new(KafkaSession::new(now, peer))
    }

    fn modules(&self, seed: u64) -> Vec<Box<dyn Module>> {
        vec![Box::new(group::Groups::new(seed))]
    }
}
