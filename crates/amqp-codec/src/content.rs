//! The content header and its properties.
//!
//! ```text
//! header frame payload: [class: u16 = 60][weight: u16 = 0][body size: u64][flags: u16][properties]
//! ```
//!
//! Properties stay the bytes that came, flags first, so that a message is stored and forwarded with
//! exactly the block that its publisher sent. [`Properties::view`] reads them on demand.

use bytes::{BufMut, Bytes, BytesMut};

use crate::malformed::Fault;
use crate::table::{self, TableRef};
use crate::wire::wire_len;

/// What stands before the body of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentHeader {
    /// Bytes of body that follow in body frames.
    pub body_size: u64,
    /// The message's properties.
    pub properties: Properties,
}

/// A raw property block, known to be well-formed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Properties(Bytes);

impl std::fmt::Debug for Properties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.view().fmt(f)
    }
}

impl Default for Properties {
    fn default() -> Self {
        Self(Bytes::from_static(&[0, 0]))
    }
}

const CONTENT_TYPE: u16 = 1 << 15;
const CONTENT_ENCODING: u16 = 1 << 14;
const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
const PRIORITY: u16 = 1 << 11;
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
const EXPIRATION: u16 = 1 << 8;
const MESSAGE_ID: u16 = 1 << 7;
const TIMESTAMP: u16 = 1 << 6;
const KIND: u16 = 1 << 5;
const USER_ID: u16 = 1 << 4;
const APP_ID: u16 = 1 << 3;
const CLUSTER_ID: u16 = 1 << 2;
/// The flags that this class does not have: 0-9-1 has no second flag word here.
const UNKNOWN: u16 = 0b11;

/// The fourteen properties, read from a block or about to become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PropertyView<'a> {
    /// MIME type.
    pub content_type: Option<&'a [u8]>,
    /// MIME encoding.
    pub content_encoding: Option<&'a [u8]>,
    /// The publisher's own headers.
    pub headers: Option<TableRef<'a>>,
    /// 1 transient, 2 persistent.
    pub delivery_mode: Option<u8>,
    /// 0 to 255.
    pub priority: Option<u8>,
    /// Ties a reply to its request.
    pub correlation_id: Option<&'a [u8]>,
    /// Where a reply goes.
    pub reply_to: Option<&'a [u8]>,
    /// Milliseconds, in decimal digits.
    pub expiration: Option<&'a [u8]>,
    /// The publisher's identifier of the message.
    pub message_id: Option<&'a [u8]>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
    /// `type` of the specification.
    pub kind: Option<&'a [u8]>,
    /// The user that published it.
    pub user_id: Option<&'a [u8]>,
    /// The application that published it.
    pub app_id: Option<&'a [u8]>,
    /// Reserved by the specification, passed on.
    pub cluster_id: Option<&'a [u8]>,
}

impl Properties {
    /// Checks a block, flags first, as [`Self::as_bytes`] gave it.
    ///
    /// # Errors
    ///
    /// The [`Fault`] that makes it no property block.
    pub fn checked(bytes: Bytes) -> Result<Self, Fault> {
        let (view, rest) = take_view(&bytes)?;
        if !rest.is_empty() {
            return Err(Fault::Trailing);
        }
        if let Some(headers) = view.headers {
            table::check_table(headers.as_bytes(), 0)?;
        }
        Ok(Self(bytes))
    }

    /// Takes a block that was checked before it was stored. One that was not reads as empty.
    pub const fn from_stored(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The block, flags first.
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The properties, read from the block.
    pub fn view(&self) -> PropertyView<'_> {
        // A block is checked before it becomes one, so that this cannot fail.
        take_view(&self.0).map(|(view, _)| view).unwrap_or_default()
    }
}

impl PropertyView<'_> {
    /// The properties as a block. Text has 255 bytes at most, and what is longer is left out.
    pub fn encode(&self) -> Properties {
        let mut out = BytesMut::with_capacity(64);
        out.put_u16(0);
        let mut flags = 0;
        let short = |out: &mut BytesMut, text: Option<&[u8]>, flag: u16| match text {
            Some(text) => u8::try_from(text.len()).map_or(0, |len| {
                out.put_u8(len);
                out.put_slice(text);
                flag
            }),
            None => 0,
        };
        flags |= short(&mut out, self.content_type, CONTENT_TYPE);
        flags |= short(&mut out, self.content_encoding, CONTENT_ENCODING);
        if let Some(headers) = self.headers {
            flags |= HEADERS;
            table::put(&mut out, headers);
        }
        if let Some(mode) = self.delivery_mode {
            flags |= DELIVERY_MODE;
            out.put_u8(mode);
        }
        if let Some(priority) = self.priority {
            flags |= PRIORITY;
            out.put_u8(priority);
        }
        flags |= short(&mut out, self.correlation_id, CORRELATION_ID);
        flags |= short(&mut out, self.reply_to, REPLY_TO);
        flags |= short(&mut out, self.expiration, EXPIRATION);
        flags |= short(&mut out, self.message_id, MESSAGE_ID);
        if let Some(seconds) = self.timestamp {
            flags |= TIMESTAMP;
            out.put_u64(seconds);
        }
        flags |= short(&mut out, self.kind, KIND);
        flags |= short(&mut out, self.user_id, USER_ID);
        flags |= short(&mut out, self.app_id, APP_ID);
        flags |= short(&mut out, self.cluster_id, CLUSTER_ID);
        if let Some(head) = out.first_chunk_mut() {
            *head = flags.to_be_bytes();
        }
        Properties(out.freeze())
    }
}

/// What the header frame holds before its properties.
pub(crate) const HEADER_FIXED: usize = 12;

/// Why the payload of a header frame is no content header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Short,
    /// Content of a class that has none.
    Class(u16),
    Property(Fault),
}

impl ContentHeader {
    pub(crate) fn take(payload: &Bytes) -> Result<Self, HeaderFault> {
        let Some(&[c0, c1, _, _, size @ ..]) = payload.first_chunk::<HEADER_FIXED>() else {
            return Err(HeaderFault::Short);
        };
        let class_id = u16::from_be_bytes([c0, c1]);
        if class_id != crate::basic::CLASS_ID {
            return Err(HeaderFault::Class(class_id));
        }
        let properties =
            Properties::checked(payload.slice(HEADER_FIXED..)).map_err(HeaderFault::Property)?;
        Ok(Self { body_size: u64::from_be_bytes(size), properties })
    }

    pub(crate) fn put(&self, out: &mut BytesMut) {
        put_header(out, self.body_size, &self.properties);
    }

    /// Bytes of the header frame's payload.
    pub(crate) fn wire_len(&self) -> u32 {
        header_len(&self.properties)
    }
}

pub(crate) fn header_len(properties: &Properties) -> u32 {
    wire_len(HEADER_FIXED + properties.0.len())
}

pub(crate) fn put_header(out: &mut BytesMut, body_size: u64, properties: &Properties) {
    out.put_u16(crate::basic::CLASS_ID);
    out.put_u16(0);
    out.put_u64(body_size);
    out.put_slice(&properties.0);
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], Fault> {
    let (taken, left) = rest.split_at_checked(len).ok_or(Fault::Truncated)?;
    *rest = left;
    Ok(taken)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (taken, left) = rest.split_first_chunk::<N>().ok_or(Fault::Truncated)?;
    *rest = left;
    Ok(*taken)
}

/// Reads a block and gives what is left after it; the inside of the headers is not looked at.
fn take_view(mut rest: &[u8]) -> Result<(PropertyView<'_>, &[u8]), Fault> {
    let flags = u16::from_be_bytes(take_array(&mut rest)?);
    if flags == 0 {
        return Ok((PropertyView::default(), rest));
    }
    if flags & UNKNOWN != 0 {
        return Err(Fault::PropertyFlag);
    }
    fn short<'a>(rest: &mut &'a [u8], present: u16) -> Result<Option<&'a [u8]>, Fault> {
        if present == 0 {
            return Ok(None);
        }
        let [len] = take_array(rest)?;
        take(rest, usize::from(len)).map(Some)
    }
    fn octet(rest: &mut &[u8], present: u16) -> Result<Option<u8>, Fault> {
        if present == 0 {
            return Ok(None);
        }
        take_array(rest).map(|[octet]| Some(octet))
    }
    let view = PropertyView {
        content_type: short(&mut rest, flags & CONTENT_TYPE)?,
        content_encoding: short(&mut rest, flags & CONTENT_ENCODING)?,
        headers: if flags & HEADERS == 0 {
            None
        } else {
            let len = u32::from_be_bytes(take_array(&mut rest)?);
            Some(TableRef::trusted(take(&mut rest, len as usize)?))
        },
        delivery_mode: octet(&mut rest, flags & DELIVERY_MODE)?,
        priority: octet(&mut rest, flags & PRIORITY)?,
        correlation_id: short(&mut rest, flags & CORRELATION_ID)?,
        reply_to: short(&mut rest, flags & REPLY_TO)?,
        expiration: short(&mut rest, flags & EXPIRATION)?,
        message_id: short(&mut rest, flags & MESSAGE_ID)?,
        timestamp: if flags & TIMESTAMP == 0 {
            None
        } else {
            Some(u64::from_be_bytes(take_array(&mut rest)?))
        },
        kind: short(&mut rest, flags & KIND)?,
        user_id: short(&mut rest, flags & USER_ID)?,
        app_id: short(&mut rest, flags & APP_ID)?,
        cluster_id: short(&mut rest, flags & CLUSTER_ID)?,
    };
    Ok((view, rest))
}
