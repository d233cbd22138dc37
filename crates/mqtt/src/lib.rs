//! MQTT sessions as pure state machines.
