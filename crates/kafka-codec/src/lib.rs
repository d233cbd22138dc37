//! The Kafka wire protocol: bytes to requests and responses and back, without I/O.
//!
//! ```text
//! stream --frame--> [length: i32][request header][request body]     (header, messages)
//!                   [length: i32][response header][response body]
//! ```
//!
//! - [`frame`]: the length prefix, with a limit.
//! - [`header`]: request and response headers in all their versions.
//! - [`messages`]: one struct per message with the fields of all versions, generated from Kafka's
//!   own definitions in `schema/`, and [`ApiKey`] with the table of versions.
//! - [`wire`]: the primitive types, reading and writing, and what bounds a hostile length.
//! - [`error_code`]: the numbers that steer clients.
//!
//! Requests and responses go both ways, so a test or a tool can be the client. What a record batch
//! holds is not looked at: batches pass as bytes.

pub mod error_code;
pub mod frame;
pub mod header;
pub mod messages;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
pub mod wire;

mod message;
#[cfg(test)]
mod round_trip;

pub use error_code::ErrorCode;
pub use header::{RequestHeader, response_header_is_flexible};
pub use message::{Message, Request, response_frame, response_frame_of};
pub use messages::{AnyRequest, AnyResponse, ApiKey};
pub use wire::{DecodeError, Limits, Records, Text, Uuid};
