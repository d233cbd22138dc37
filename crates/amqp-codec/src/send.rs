//! Content written straight into an output buffer: method, header and body frames in one go.
//!
//! This is what every delivered message passes through, so it builds no frame structs: lengths are
//! known beforehand, the buffer is reserved once.

use bytes::{BufMut, Bytes, BytesMut};

use crate::content::{self, Properties};
use crate::frame::{BODY, FRAME_END, FRAME_OVERHEAD, HEADER, METHOD, put_head, put_method};
use crate::method::{Method, basic};
use crate::wire::wire_len;

/// The smallest `frame_max` that can be tuned (AMQP 0-9-1 §4.2.3: frame-min-size).
pub const FRAME_MIN: u32 = 4096;

/// Where a message was published to, and how it is addressed now.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The consumer's tag.
    pub consumer_tag: &'a [u8],
    /// The number of the delivery on its channel.
    pub delivery_tag: u64,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// The exchange that it was published to.
    pub exchange: &'a [u8],
    /// The key that it was published with.
    pub routing_key: &'a [u8],
}

/// Writes basic.deliver with its content. Texts have 255 bytes at most; a longer one is cut.
pub fn put_deliver(
    out: &mut BytesMut,
    channel: u16,
    delivery: &Delivery<'_>,
    properties: &Properties,
    body: &[u8],
    frame_max: u32,
) {
    out.reserve(128 + properties.as_bytes().len() + body.len());
    put_deliver_method(out, channel, delivery);
    put_content(out, channel, properties, body, frame_max);
}

/// Writes basic.deliver alone; content must follow.
pub fn put_deliver_method(out: &mut BytesMut, channel: u16, delivery: &Delivery<'_>) {
    let short = |text: &[u8]| -> u8 { u8::try_from(text.len()).unwrap_or(u8::MAX) };
    let tag_len = short(delivery.consumer_tag);
    let exchange_len = short(delivery.exchange);
    let key_len = short(delivery.routing_key);
    let texts = u32::from(tag_len) + u32::from(exchange_len) + u32::from(key_len);
    // Class, method, three length octets, the tag and the octet of bits.
    let size = 4 + 3 + 8 + 1 + texts;
    let put_short = |out: &mut BytesMut, len: u8, text: &[u8]| {
        out.put_u8(len);
        out.put_slice(text.get(..usize::from(len)).unwrap_or(text));
    };
    put_head(out, METHOD, channel, size);
    out.put_u16(basic::CLASS_ID);
    out.put_u16(basic::Deliver::METHOD_ID);
    put_short(out, tag_len, delivery.consumer_tag);
    out.put_u64(delivery.delivery_tag);
    out.put_u8(u8::from(delivery.redelivered));
    put_short(out, exchange_len, delivery.exchange);
    put_short(out, key_len, delivery.routing_key);
    out.put_u8(FRAME_END);
}

/// Writes any method that has content (publish, return, get-ok) with its content.
pub fn put_message(
    out: &mut BytesMut,
    channel: u16,
    method: &Method,
    properties: &Properties,
    body: &[u8],
    frame_max: u32,
) {
    put_method(out, channel, method);
    put_content(out, channel, properties, body, frame_max);
}

/// Writes header and body frames; an empty body has none of the latter.
pub fn put_content(
    out: &mut BytesMut,
    channel: u16,
    properties: &Properties,
    body: &[u8],
    frame_max: u32,
) {
    put_content_header(out, channel, properties, body.len() as u64);
    for part in body.chunks(body_part_max(frame_max)) {
        put_head(out, BODY, channel, wire_len(part.len()));
        out.put_slice(part);
        out.put_u8(FRAME_END);
    }
}

/// Writes the header frame alone, for a sender that hands large bodies on uncopied.
pub fn put_content_header(
    out: &mut BytesMut,
    channel: u16,
    properties: &Properties,
    body_size: u64,
) {
    put_head(out, HEADER, channel, content::header_len(properties));
    content::put_header(out, body_size, properties);
    out.put_u8(FRAME_END);
}

/// Splits a body into the parts of its frames, uncopied.
pub fn body_parts(body: &Bytes, frame_max: u32) -> impl Iterator<Item = Bytes> + '_ {
    let part_max = body_part_max(frame_max);
    (0..body.len()).step_by(part_max).map(move |start| {
        let end = start.saturating_add(part_max).min(body.len());
        body.slice(start..end)
    })
}

/// Writes what stands before one part of a body; [`FRAME_END`] follows it.
pub fn put_body_head(out: &mut BytesMut, channel: u16, part_len: usize) {
    put_head(out, BODY, channel, wire_len(part_len));
}

/// Bytes of body in a full frame. 0 means that the peer named no limit.
fn body_part_max(frame_max: u32) -> usize {
    let frame_max = if frame_max == 0 { u32::MAX } else { frame_max.max(FRAME_MIN) };
    frame_max as usize - FRAME_OVERHEAD
}
