//! Frames (AMQP 0-9-1 §4.2.3), and the one place where bytes become them.
//!
//! ```text
//! [type: u8][channel: u16][size: u32][payload][0xCE]
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::code::ReplyCode;
use crate::content::{ContentHeader, HeaderFault};
use crate::malformed::Malformed;
use crate::method::{Method, MethodFault};
use crate::wire::wire_len;

/// Ends every frame.
pub const FRAME_END: u8 = 0xCE;
/// What a frame adds to its payload.
pub const FRAME_OVERHEAD: usize = 8;
/// By how much RabbitMQ lets a frame exceed `frame_max`, for clients that forget the overhead.
const FRAME_MAX_FUDGE: usize = 8;
const FRAME_HEAD: usize = 7;

pub(crate) const METHOD: u8 = 1;
pub(crate) const HEADER: u8 = 2;
pub(crate) const BODY: u8 = 3;
pub(crate) const HEARTBEAT: u8 = 8;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A method, on channel 0 for the connection.
    Method {
        /// The channel.
        channel: u16,
        /// The method.
        method: Method,
    },
    /// The header of the content that the last method announced.
    Header {
        /// The channel.
        channel: u16,
        /// Size and properties.
        header: ContentHeader,
    },
    /// A part of the body.
    Body {
        /// The channel.
        channel: u16,
        /// Sliced out of the buffer that it was read from.
        payload: Bytes,
    },
    /// A sign of life, on channel 0 only.
    Heartbeat,
}

/// What a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest frame in bytes, overhead included, as tuned.
    pub frame_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame_max: 131_072 }
    }
}

/// Takes one frame off `buffer`; `None` when it is not complete.
///
/// # Errors
///
/// [`Malformed`] with the reply code that ends the connection: 501 for a frame that is too large,
/// of an unknown type or without its end, 502 for a field that cannot be read, 503 for a method
/// that does not exist, 505 for a heartbeat on a channel.
pub fn decode(buffer: &mut BytesMut, limits: &Limits) -> Result<Option<Frame>, Malformed> {
    let Some(&[kind, c0, c1, s0, s1, s2, s3]) = buffer.first_chunk::<FRAME_HEAD>() else {
        return Ok(None);
    };
    let channel = u16::from_be_bytes([c0, c1]);
    let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
    if !matches!(kind, METHOD | HEADER | BODY | HEARTBEAT) {
        return Err(Malformed::frame(channel, "unknown type of frame"));
    }
    if size.saturating_add(FRAME_OVERHEAD) > limits.frame_max as usize + FRAME_MAX_FUDGE {
        return Err(Malformed::frame(channel, "frame_too_large"));
    }
    let Some(&end) = buffer.get(FRAME_HEAD + size) else { return Ok(None) };
    if end != FRAME_END {
        return Err(Malformed::frame(channel, "invalid_frame_end_marker"));
    }
    let mut payload = buffer.split_to(FRAME_HEAD + size + 1).freeze();
    payload.advance(FRAME_HEAD);
    payload.truncate(size);
    let frame = match kind {
        METHOD => Frame::Method { channel, method: take_method(channel, &payload)? },
        HEADER => Frame::Header { channel, header: take_header(channel, &payload)? },
        BODY => Frame::Body { channel, payload },
        _ if channel != 0 => {
            let fault = Malformed::frame(channel, "heartbeat on a channel");
            return Err(Malformed { code: ReplyCode::UnexpectedFrame, ..fault });
        }
        _ if size != 0 => return Err(Malformed::frame(channel, "heartbeat with a payload")),
        _ => Frame::Heartbeat,
    };
    Ok(Some(frame))
}

fn take_method(channel: u16, payload: &Bytes) -> Result<Method, Malformed> {
    Method::take(payload).map_err(|fault| match fault {
        MethodFault::Short => Malformed::frame(channel, "method frame without a method"),
        MethodFault::Unknown(class_id, method_id) => {
            let fault = Malformed::frame(channel, "unknown method").of(class_id, method_id);
            Malformed { code: ReplyCode::CommandInvalid, ..fault }
        }
        MethodFault::Argument(class_id, method_id, fault) => {
            Malformed::syntax(channel, fault).of(class_id, method_id)
        }
    })
}

fn take_header(channel: u16, payload: &Bytes) -> Result<ContentHeader, Malformed> {
    ContentHeader::take(payload).map_err(|fault| match fault {
        HeaderFault::Short => Malformed::frame(channel, "content header too short"),
        HeaderFault::Class(class_id) => {
            let fault = Malformed::frame(channel, "content of a class that has none");
            Malformed { code: ReplyCode::UnexpectedFrame, ..fault }.of(class_id, 0)
        }
        HeaderFault::Property(fault) => {
            Malformed::syntax(channel, fault).of(crate::basic::CLASS_ID, 0)
        }
    })
}

impl Frame {
    /// Writes the frame. A body is written as it is: [`crate::send`] splits.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Method { channel, method } => put_method(out, *channel, method),
            Self::Header { channel, header } => {
                put_head(out, HEADER, *channel, header.wire_len());
                header.put(out);
                out.put_u8(FRAME_END);
            }
            Self::Body { channel, payload } => {
                put_head(out, BODY, *channel, wire_len(payload.len()));
                out.put_slice(payload);
                out.put_u8(FRAME_END);
            }
            Self::Heartbeat => {
                put_head(out, HEARTBEAT, 0, 0);
                out.put_u8(FRAME_END);
            }
        }
    }
}

pub(crate) fn put_head(out: &mut BytesMut, kind: u8, channel: u16, size: u32) {
    out.put_u8(kind);
    out.put_u16(channel);
    out.put_u32(size);
}

/// Writes a method frame.
pub fn put_method(out: &mut BytesMut, channel: u16, method: &Method) {
    let start = out.len();
    put_head(out, METHOD, channel, 0);
    method.put(out);
    let size = wire_len(out.len() - start - FRAME_HEAD);
    if let Some(field) = out.get_mut(start + 3..start + FRAME_HEAD) {
        field.copy_from_slice(&size.to_be_bytes());
    }
    out.put_u8(FRAME_END);
}
