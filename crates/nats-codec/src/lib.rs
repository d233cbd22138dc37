//! The NATS client protocol: bytes to operations and back, without I/O.
//!
//! ```text
//!  decode    bytes -> ClientOp (what a server reads) and ServerOp (what a client reads)
//!  encode    operations -> bytes, straight into a `BytesMut`
//!  headers   the `NATS/1.0` block of HPUB and HMSG
//!  handshake the JSON of INFO and CONNECT
//!  subject   which subjects and wildcards the protocol allows
//! ```
//!
//! Both directions can be decoded, so that load generators and tests act as clients. Deliberately
//! absent: sockets, sessions, routes, gateways, leaf nodes, and every opinion about what a subject
//! means.
//!
//! ```
//! use bytes::BytesMut;
//! use nats_codec::{ClientDecoder, ClientOp, Limits};
//!
//! let mut bytes = BytesMut::from("PUB greet.joe 5\r\nhello\r\nPI");
//! let mut decoder = ClientDecoder::default();
//! let op = decoder.decode(&mut bytes, &Limits::default()).expect("well formed");
//! let Some(ClientOp::Publish(publish)) = op else { panic!("a complete PUB") };
//! assert_eq!(&publish.subject[..], b"greet.joe");
//! assert_eq!(&publish.payload[..], b"hello");
//! assert!(matches!(decoder.decode(&mut bytes, &Limits::default()), Ok(None)), "PI is half a verb");
//! ```

pub mod encode;
pub mod headers;
pub mod subject;

mod decode;
mod frame;
mod handshake;
mod malformed;
mod op;

pub use decode::{ClientDecoder, ServerDecoder};
pub use handshake::{Connect, ConnectText, Info};
pub use malformed::Malformed;
pub use op::{ClientOp, Message, Publish, ServerOp, Subscribe, Unsubscribe};

/// Bounds that a decoder holds its peer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of arguments on one control line.
    pub control_line_max: usize,
    /// Most bytes of headers and payload together; INFO announces it as `max_payload`.
    pub payload_max: usize,
}

impl Limits {
    /// The default of nats-server for control lines.
    pub const CONTROL_LINE: usize = 4096;
    /// The default of nats-server for payloads.
    pub const PAYLOAD: usize = 1024 * 1024;

    /// What a client should allow its server: INFO may carry long lists of addresses.
    #[must_use]
    pub fn for_client() -> Self {
        Self { control_line_max: 256 * 1024, payload_max: 64 * 1024 * 1024 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { control_line_max: Self::CONTROL_LINE, payload_max: Self::PAYLOAD }
    }
}
