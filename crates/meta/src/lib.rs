//! The Meta Service: catalogue of streams, spaces, queues and bindings as a pure state machine.
