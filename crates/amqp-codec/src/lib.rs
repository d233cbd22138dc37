//! AMQP 0-9-1 as RabbitMQ speaks it: bytes to frames and methods and back, without I/O.
//!
//! Usable by a server and by a client alike: every method of the table decodes and encodes, and
//! whether it may come from that side, on that channel and at that moment is for the caller to say.
//!
//! # Layout
//!
//! - [`hello`]: the eight bytes before the first frame
//! - [`frame`]: frames, their size checks, and the three-outcome [`decode`]
//! - [`method`]: the methods, one module per class, as plain structs
//! - [`content`]: the content header, its raw properties and their parsed view
//! - [`send`]: content written straight into an output buffer, body split by `frame_max`
//! - [`table`]: field tables and arrays, kept raw, walked on demand
//! - [`text`]: short and long strings whose lengths hold from construction on
//! - [`code`], [`malformed`]: reply codes, and what was wrong with the bytes
//!
//! # Example
//!
//! ```
//! use amqp_codec::{Frame, Limits, Method, basic, decode};
//! use bytes::BytesMut;
//!
//! let mut buffer = BytesMut::new();
//! let ack = basic::Ack { delivery_tag: 7, multiple: true };
//! Frame::Method { channel: 1, method: ack.into() }.encode(&mut buffer);
//! let frame = decode(&mut buffer, &Limits::default())?;
//! let Some(Frame::Method { channel: 1, method: Method::Basic(basic::Method::Ack(ack)) }) = frame
//! else { panic!("a whole basic.ack") };
//! assert_eq!(ack.delivery_tag, 7);
//! assert!(decode(&mut buffer, &Limits::default())?.is_none(), "wants more bytes");
//! # Ok::<(), amqp_codec::Malformed>(())
//! ```

pub mod code;
pub mod content;
pub mod frame;
pub mod hello;
pub mod malformed;
pub mod method;
pub mod send;
pub mod table;
pub mod text;
mod wire;

pub use code::ReplyCode;
pub use content::{ContentHeader, Properties, PropertyView};
pub use frame::{Frame, Limits, decode};
pub use hello::{Hello, Stranger, decode_hello};
pub use malformed::Malformed;
pub use method::{
    Method, access, basic, channel, confirm, connection, exchange, queue, transaction,
};
pub use table::{ArrayRef, Table, TableRef, TableWriter, Value};
pub use text::{LongStr, ShortStr};
