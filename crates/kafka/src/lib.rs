//! Kafka sessions and group coordinator as pure state machines.
