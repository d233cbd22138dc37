//! AMQP 0-9-1 sessions as pure state machines.
