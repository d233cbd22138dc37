//! Messages on their way to receivers.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use model::record::{Address, Record};
use model::subject::Subject;

use crate::ConnId;

/// One message, shared by all its receivers.
#[derive(Debug)]
pub struct Message {
    /// Where it was published.
    pub address: Address,
    /// The message itself.
    pub record: Record,
    /// The connection that published it, unless it comes from the log.
    pub publisher: Option<ConnId>,
    /// A subject that stands for the reply address and correlation, for receivers whose protocol
    /// cannot carry both: publishing to it answers the requester.
    pub reply_alias: OnceLock<Subject>,
    /// Encoded frames, shared by receivers with the same encoding.
    pub frames: FrameCache,
}

impl Message {
    /// A message as published by `publisher`.
    pub fn new(address: Address, record: Record, publisher: Option<ConnId>) -> Self {
        Self {
            address,
            record,
            publisher,
            reply_alias: OnceLock::new(),
            frames: FrameCache::default(),
        }
    }

    /// The subject, `None` when the message was published to a queue by its name.
    pub fn subject(&self) -> Option<&Subject> {
        match &self.address {
            Address::Subject(_, subject) => Some(subject),
            Address::Queue(_) => None,
        }
    }
}

/// A few encoded forms of one message. A form is a number that the encoding session makes up:
/// protocol, version and flags, unique across protocols (the [`model::fields::Origin`] in the
/// upper byte).
#[derive(Debug, Default)]
pub struct FrameCache {
    slots: [OnceLock<(u32, Bytes)>; 2],
}

impl FrameCache {
    /// The frame of this form, encoded by `make` if nobody has done so yet.
    pub fn get(&self, form: u32, make: impl FnOnce() -> Bytes) -> Bytes {
        for slot in &self.slots {
            match slot.get() {
                Some((of, frame)) if *of == form => return frame.clone(),
                Some(_) => {}
                None => {
                    let frame = make();
                    return match slot.set((form, frame.clone())) {
                        Ok(()) => frame,
                        Err((_, frame)) => frame,
                    };
                }
            }
        }
        make()
    }
}

/// A delivery's name when it is settled; opaque to sessions, stable across restarts for durable
/// sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag {
    /// The log or queue.
    pub source: u64,
    /// The place in it.
    pub place: u64,
}

/// Which of the receiver's subscriptions or consumers a delivery is for: the numbers it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// One.
    One(u32),
    /// Several subscriptions of one connection match: one delivery names them all.
    Many(Box<[u32]>),
}

impl Matched {
    /// The numbers.
    pub fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// One message for one connection.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Message>,
    /// For which of the receiver's subscriptions or consumers.
    pub matched: Matched,
    /// `Some` if it must be settled: it comes from a durable session's log or from a queue.
    pub tag: Option<Tag>,
    /// It was delivered before and not settled.
    pub redelivered: bool,
    /// How often it was handed out before, if its queue tells.
    pub deliveries: Option<u32>,
    /// It is a last value sent because of a new subscription, not a message published just now.
    pub last_value: bool,
}
