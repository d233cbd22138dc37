//! What one channel remembers.

use amqp_codec::{ContentHeader, Properties, ShortStr};
use bytes::{Bytes, BytesMut};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use model::record::Address;
use model::subject::Subject;

use crate::failure::{Failure, unexpected_frame};
use crate::unsettled::Unsettled;

/// A channel number in use.
#[derive(Debug)]
pub(crate) enum Slot {
    Open(Box<Channel>),
    /// channel.close was sent: everything but its answer is dropped.
    Closing,
}

/// An open channel.
#[derive(Debug)]
pub(crate) struct Channel {
    /// Tells this channel from earlier ones of the same number.
    pub(crate) generation: u64,
    pub(crate) assembly: Assembly,
    /// The last delivery tag given out.
    pub(crate) last_delivery: u64,
    pub(crate) unsettled: Unsettled,
    /// Consumers by tag.
    pub(crate) consumers: HashMap<ShortStr, u32, RandomState>,
    /// Windows of consumers that ended while messages were unsettled.
    pub(crate) retired: Vec<u32>,
    /// Publishes are confirmed, and this was the last one's number.
    pub(crate) confirms: Option<u64>,
    /// Prefetch of consumers to come, 0 = no limit.
    pub(crate) prefetch: u16,
    /// Prefetch of all consumers together, 0 = no limit but the channel's own.
    pub(crate) prefetch_shared: u16,
    /// The window that all consumers share, once there was one.
    pub(crate) window: Option<u32>,
    /// What an empty queue name stands for.
    pub(crate) last_queue: Option<ShortStr>,
    pub(crate) last_route: Option<Route>,
    /// Where answers to this channel come without a queue.
    pub(crate) reply_address: Option<Subject>,
}

/// Where the last publish went; publishers repeat themselves.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) exchange: ShortStr,
    pub(crate) routing_key: ShortStr,
    pub(crate) address: Address,
}

impl Channel {
    pub(crate) fn new(generation: u64) -> Self {
        Self {
            generation,
            assembly: Assembly::Idle,
            last_delivery: 0,
            unsettled: Unsettled::default(),
            consumers: HashMap::default(),
            retired: Vec::new(),
            confirms: None,
            prefetch: 0,
            prefetch_shared: 0,
            window: None,
            last_queue: None,
            last_route: None,
            reply_address: None,
        }
    }

    /// The tag of the next delivery; get-ok takes from the same row.
    pub(crate) fn next_delivery(&mut self) -> u64 {
        self.last_delivery += 1;
        self.last_delivery
    }
}

/// A publish whose content is still coming.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) exchange: ShortStr,
    pub(crate) routing_key: ShortStr,
    pub(crate) address: Address,
    pub(crate) mandatory: bool,
}

/// Content between its method and the last byte of its body.
#[derive(Debug, Default)]
pub(crate) enum Assembly {
    #[default]
    Idle,
    Header(Outgoing),
    Body(Box<Body>),
}

/// A body that is not whole.
#[derive(Debug)]
pub(crate) struct Body {
    outgoing: Outgoing,
    properties: Properties,
    left: u64,
    /// Grows as the bytes come, whatever size was announced.
    parts: BytesMut,
}

/// Content that is whole.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) outgoing: Outgoing,
    pub(crate) properties: Properties,
    pub(crate) body: Bytes,
}

impl Assembly {
    /// Bytes of a body that is not whole.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Body(body) => body.parts.len(),
            Self::Idle | Self::Header(_) => 0,
        }
    }

    /// Why a method cannot come now, if it cannot.
    pub(crate) fn refuse_method(&self) -> Result<(), Failure> {
        match self {
            Self::Idle => Ok(()),
            Self::Header(_) => Err(unexpected_frame(
                "expected content header for class 60, got non content header frame instead",
            )),
            Self::Body(_) => {
                Err(unexpected_frame("expected content body, got non content body frame instead"))
            }
        }
    }

    /// Takes the header; gives the content back if that was all of it.
    pub(crate) fn header(&mut self, header: ContentHeader) -> Result<Option<Content>, Failure> {
        match std::mem::take(self) {
            Self::Header(outgoing) => {
                let ContentHeader { body_size, properties } = header;
                if body_size == 0 {
                    return Ok(Some(Content { outgoing, properties, body: Bytes::new() }));
                }
                let parts = BytesMut::new();
                *self = Self::Body(Box::new(Body { outgoing, properties, left: body_size, parts }));
                Ok(None)
            }
            Self::Idle => {
                Err(unexpected_frame("expected method frame, got non method frame instead"))
            }
            Self::Body(_) => {
                Err(unexpected_frame("expected content body, got non content body frame instead"))
            }
        }
    }

    /// Takes a part of the body; a body in one frame is not copied.
    pub(crate) fn body(&mut self, part: Bytes) -> Result<Option<Content>, Failure> {
        match std::mem::take(self) {
            Self::Body(mut body) => {
                let Some(left) = body.left.checked_sub(part.len() as u64) else {
                    return Err(unexpected_frame("content body is larger than announced"));
                };
                body.left = left;
                if left > 0 {
                    body.parts.extend_from_slice(&part);
                    *self = Self::Body(body);
                    return Ok(None);
                }
                let Body { outgoing, properties, mut parts, .. } = *body;
                let body = if parts.is_empty() {
                    part
                } else {
                    parts.extend_from_slice(&part);
                    parts.freeze()
                };
                Ok(Some(Content { outgoing, properties, body }))
            }
            Self::Idle => {
                Err(unexpected_frame("expected method frame, got non method frame instead"))
            }
            Self::Header(_) => Err(unexpected_frame(
                "expected content header for class 60, got non content header frame instead",
            )),
        }
    }
}
