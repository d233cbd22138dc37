//! MQTT 3.1, 3.1.1 and 5.0: bytes to packets and back, without I/O.
//!
//! One packet model for the three versions, with the version as a parameter. Usable by a server
//! and by a client alike: nothing here knows who is at the other end, so whether a packet may come
//! from that side is for the caller to say.
//!
//! # Layout
//!
//! - [`frame`]: the fixed header, and the size checks that come before a body is waited for
//! - [`publish`], [`connect`], [`ack`], [`subscribe`], [`disconnect`]: one file per kind of packet
//! - [`property`]: the properties of MQTT 5, absent ones cost nothing
//! - [`reason`], [`malformed`]: what is answered, and what was wrong
//! - [`text`]: strings and binary data whose invariants hold from construction on
//!
//! # Example
//!
//! ```
//! use bytes::BytesMut;
//! use mqtt_codec::{Limits, Packet, Version, decode};
//!
//! let mut buffer = BytesMut::from(&[0x30, 5, 0, 1, b'a', b'h', b'i'][..]);
//! let packet = decode(&mut buffer, Version::V311, &Limits::default())?;
//! let Some(Packet::Publish(publish)) = packet else { panic!("a whole PUBLISH") };
//! assert_eq!(publish.topic, "a");
//! assert_eq!(&publish.payload[..], b"hi");
//! assert!(decode(&mut buffer, Version::V311, &Limits::default())?.is_none(), "wants more bytes");
//! # Ok::<(), mqtt_codec::Malformed>(())
//! ```

pub mod ack;
pub mod connect;
pub mod disconnect;
pub mod frame;
pub mod malformed;
pub mod packet;
pub mod property;
pub mod publish;
mod reader;
pub mod reason;
mod sink;
pub mod subscribe;
pub mod text;
pub mod version;

pub use ack::Ack;
pub use connect::{ConnAck, Connect, Will};
pub use disconnect::{Auth, Disconnect};
pub use frame::{Limits, PacketType};
pub use malformed::{EncodeError, Malformed};
pub use packet::{Packet, PacketId, Qos, decode, decode_connect};
pub use property::{MessageProperties, Properties, SubscriptionId};
pub use publish::{Publish, PublishParts, SharedPublish};
pub use reason::ReasonCode;
pub use subscribe::{
    RetainHandling, SubAck, Subscribe, Subscription, SubscriptionOptions, UnsubAck, Unsubscribe,
};
pub use text::{Binary, Text};
pub use version::Version;
