//! What of a session outlives a connection.
//!
//! Durable subscriptions and unsettled deliveries are the broker's to keep. The rest is rows of the
//! session's memory:
//!
//! ```text
//! i [packet identifier: u16 BE] -> anything      inbound QoS 2, owned and not released
//! o [packet identifier: u16 BE] -> [tag: u64 BE, u64 BE][released: u8]     outbound QoS 2
//! s [number: u32 BE]            -> [grant][topic filter]      a QoS 0 subscription
//! ```
//!
//! Within one run of the server a [`Parting`] goes from one connection to the next besides, with
//! what has no row: packet identifiers of QoS 1, and live messages that were never stored.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use mqtt_codec::PacketId;
use protocol::Tag;

use crate::outbound::{InFlight, Outgoing};
use crate::subscriptions::Grant;

/// What one connection leaves to the next owner of its session.
#[derive(Debug, Default)]
pub(crate) struct Parting {
    pub(crate) in_flight: Vec<InFlight>,
    /// Live messages that found no room.
    pub(crate) pending: VecDeque<Outgoing>,
    pub(crate) last_id: u16,
}

/// One row, read back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// An inbound QoS 2 message that the client has not released.
    Inbound(PacketId),
    /// An outbound QoS 2 message that the client may have got; `released`: has got.
    Outbound { id: PacketId, tag: Tag, released: bool },
    /// A QoS 0 subscription.
    Subscription { number: u32, grant: Grant, text: Box<[u8]> },
}

fn id_key(kind: u8, id: PacketId) -> Bytes {
    let [high, low] = id.get().to_be_bytes();
    Bytes::copy_from_slice(&[kind, high, low])
}

/// The key of an inbound QoS 2 message.
pub(crate) fn inbound_key(id: PacketId) -> Bytes {
    id_key(b'i', id)
}

/// The key of an outbound QoS 2 message.
pub(crate) fn outbound_key(id: PacketId) -> Bytes {
    id_key(b'o', id)
}

/// The row of an outbound QoS 2 message.
pub(crate) fn outbound_row(id: PacketId, tag: Tag, released: bool) -> (Bytes, Option<Bytes>) {
    let mut value = BytesMut::with_capacity(17);
    value.put_u64(tag.source);
    value.put_u64(tag.place);
    value.put_u8(u8::from(released));
    (outbound_key(id), Some(value.freeze()))
}

/// The key of a QoS 0 subscription.
pub(crate) fn subscription_key(number: u32) -> Bytes {
    let mut key = BytesMut::with_capacity(5);
    key.put_u8(b's');
    key.put_u32(number);
    key.freeze()
}

/// The row of a QoS 0 subscription.
pub(crate) fn subscription_row(number: u32, grant: Grant, text: &[u8]) -> (Bytes, Option<Bytes>) {
    let mut value = BytesMut::with_capacity(5 + text.len());
    grant.write(&mut value);
    value.put_slice(text);
    (subscription_key(number), Some(value.freeze()))
}

impl Row {
    /// Reads a row back; `None` for one that no version of this crate wrote.
    pub(crate) fn read(key: &[u8], value: &[u8]) -> Option<Self> {
        let (kind, key) = key.split_first()?;
        let id = || PacketId::new(u16::from_be_bytes(key.try_into().ok()?));
        match kind {
            b'i' => Some(Self::Inbound(id()?)),
            b'o' => {
                let (source, rest) = value.split_first_chunk::<8>()?;
                let (place, rest) = rest.split_first_chunk::<8>()?;
                let (source, place) = (u64::from_be_bytes(*source), u64::from_be_bytes(*place));
                let released = *rest.first()? != 0;
                Some(Self::Outbound { id: id()?, tag: Tag { source, place }, released })
            }
            b's' => {
                let number = u32::from_be_bytes(key.try_into().ok()?);
                let (grant, text) = Grant::read(value)?;
                Some(Self::Subscription { number, grant, text: text.into() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use mqtt_codec::Qos;

    use super::*;

    #[test]
    fn rows_come_back_from_their_bytes() {
        let id = PacketId::new(0x1234).unwrap();
        let tag = Tag { source: 1, place: u64::MAX };
        assert_eq!(Row::read(&inbound_key(id), b""), Some(Row::Inbound(id)));
        for released in [false, true] {
            let (key, value) = outbound_row(id, tag, released);
            let row = Row::read(&key, &value.unwrap());
            assert_eq!(row, Some(Row::Outbound { id, tag, released }));
        }
        let grant =
            Grant { qos: Qos::AtMostOnce, retain_as_published: true, no_local: true, id: None };
        let (key, value) = subscription_row(9, grant, b"a/#");
        let row = Row::Subscription { number: 9, grant, text: b"a/#".as_slice().into() };
        assert_eq!(Row::read(&key, &value.unwrap()), Some(row));
        for (key, value) in
            [(&b""[..], &b""[..]), (b"i\0\0", b""), (b"o\0\x01", b"short"), (b"x", b"")]
        {
            assert_eq!(Row::read(key, value), None);
        }
    }
}
