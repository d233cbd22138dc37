//! The Kafka wire protocol: bytes to requests and responses and back, without I/O.
