//! NATS sessions as pure state machines.
