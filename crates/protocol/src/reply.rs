//! The vocabulary, second half: what the broker answers.

use std::fmt;

use bytes::Bytes;
use model::filter::Filter;

use crate::{
    Authenticated, Delivery, Handover, QueueDeclaration, Retention, SpaceDeclaration, StreamRef,
};

/// The answer to a request.
#[derive(Debug)]
pub enum Reply {
    /// It was done.
    Done,
    /// It was not, and why.
    Refused(Refusal),
    /// To `Authenticate`.
    Authenticated(Authenticated),
    /// To `Authenticate`: the mechanism's next message to the client.
    Challenge(Bytes),
    /// To `Publish`.
    Published(Published),
    /// To `Append`.
    Appended(Appended),
    /// To `Read`: one outcome for each item, in order.
    Read(Vec<ReadOutcome>),
    /// To `Locate`; `None`: there is no such record.
    Located(Option<Located>),
    /// To `Subscribe` and `Consume`.
    Subscribed,
    /// To `Claim`.
    Claimed(Box<Claimed>),
    /// To `Declare`.
    Declared(Declared),
    /// To `Destroy`: messages that went with a queue.
    Destroyed(u64),
    /// To `DescribeStreams`, in the order asked.
    Streams(Vec<StreamStatus>),
    /// To `DescribeQueue`.
    Queue(QueueStatus),
    /// To `DescribeSpace`.
    Space(SpaceStatus),
    /// To `Purge`: how many messages.
    Purged(u64),
    /// To `PurgeStream`.
    StreamPurged(StreamPurged),
    /// To `Pull`; `None`: the queue is empty.
    Pulled(Option<Box<Pulled>>),
    /// To `Propose`: the module's answer.
    Proposed(Bytes),
    /// To `NewProducer`.
    ProducerId(i64),
}

/// Why a request was refused. A normal answer, never an error of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such object.
    NotFound,
    /// It exists already.
    Exists,
    /// It exists and is different: the one that stands.
    DifferentQueue(Box<QueueDeclaration>),
    /// It exists and is different: the one that stands.
    DifferentSpace(Box<SpaceDeclaration>),
    /// The name cannot be used.
    InvalidName,
    /// Another stream captures these subjects: its name.
    Overlap(Bytes),
    /// It belongs to another connection.
    Locked,
    /// Something uses it: a consumer that is exclusive, or that keeps others out.
    InUse,
    /// Messages wait in it.
    NotEmpty,
    /// It cannot be changed or removed by anyone.
    Reserved,
    /// The message is larger than the limit, in bytes.
    TooLarge(usize),
    /// A named limit is reached.
    Limit(&'static str),
    /// The offset is outside of the log.
    OutOfRange,
    /// The batch's checksum or framing is wrong.
    Corrupt,
    /// The batch holds what a client may not send, or what nobody could read: what.
    InvalidRecord(&'static str),
    /// The batch's format or codec is not supported.
    UnsupportedFormat,
    /// The producer's sequence has a gap.
    OutOfOrder,
    /// A newer epoch of this producer exists.
    Fenced,
    /// The number of partitions, or another number, cannot be had.
    InvalidNumber,
    /// No room is left on the disk or in memory for now: later it may be taken.
    NoRoom,
    /// Storage takes no writes until the server is started again: a sync has failed.
    StorageUnavailable,
    /// The right is missing.
    NotAllowed,
    /// Nothing matched, and the publish was conditional on that.
    Unmatched,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NotFound => "there is no such object",
            Self::Exists => "it exists already",
            Self::DifferentQueue(_) | Self::DifferentSpace(_) => "it exists and is different",
            Self::InvalidName => {
                "the name may hold letters, digits, '.', '_' and '-', at most 249 of them"
            }
            Self::Overlap(other) => {
                let other = String::from_utf8_lossy(other);
                return write!(f, "its filters overlap those of stream {other:?}");
            }
            Self::Locked => "it belongs to another connection",
            Self::InUse => "it is in use",
            Self::NotEmpty => "messages wait in it",
            Self::Reserved => "it is kept by the system",
            Self::TooLarge(limit) => return write!(f, "larger than {limit} bytes"),
            Self::Limit(what) => return write!(f, "limit reached: {what}"),
            Self::OutOfRange => "the offset is outside of the log",
            Self::Corrupt => "the batch is damaged",
            Self::InvalidRecord(why) => why,
            Self::UnsupportedFormat => "the batch's format is not supported",
            Self::OutOfOrder => "the producer's sequence has a gap",
            Self::Fenced => "a newer epoch of the producer exists",
            Self::InvalidNumber => "the number cannot be had",
            Self::NoRoom => "no room is left for now",
            Self::StorageUnavailable => "storage takes no writes now",
            Self::NotAllowed => "the right is missing",
            Self::Unmatched => "nobody was matched",
        };
        f.write_str(text)
    }
}

/// A message was taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Receivers: live subscriptions, durable sessions and queues. The default stream is none.
    pub matched: u32,
    /// Queues among them.
    pub queues: u32,
}

/// A batch was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base_offset: u64,
    /// The first offset of the log.
    pub log_start: u64,
    /// It had been appended before: `base_offset` is the original one.
    pub duplicate: bool,
}

/// What could be read of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOutcome {
    /// The stream.
    pub stream: StreamRef,
    /// The partition.
    pub partition: u32,
    /// Why it could not.
    pub refused: Option<Refusal>,
    /// The offset after the last one that is visible.
    pub end: u64,
    /// The first offset.
    pub start: u64,
    /// Batches in order; the first may begin before the offset asked for.
    pub batches: Vec<Bytes>,
}

/// A record found by position or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// Its offset.
    pub offset: u64,
    /// Its time, -1 where the position is not a record.
    pub timestamp_ms: i64,
}

/// A session is owned.
#[derive(Debug, Default)]
pub struct Claimed {
    /// It was there before.
    pub present: bool,
    /// Its durable subscriptions, already in effect again.
    pub subscriptions: Vec<DurableSubscription>,
    /// Its memory.
    pub memory: Vec<(Bytes, Bytes)>,
    /// What the former owner left, within this run of the server.
    pub handover: Option<Handover>,
}

/// A subscription that an earlier owner made.
#[derive(Clone, Debug)]
pub struct DurableSubscription {
    /// Its number.
    pub number: u32,
    /// What it matches.
    pub filter: Filter,
    /// The group that it shares with.
    pub group: Option<Bytes>,
    /// What the owner asked to keep with it.
    pub memo: Bytes,
}

/// An object exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declared {
    /// A stream, just made or changed.
    Stream(StreamStatus),
    /// A space.
    Space,
    /// A queue as it stands.
    Queue(QueueStatus),
}

/// A stream or view as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamStatus {
    /// As it was asked for, or its name in a list of all.
    pub asked: StreamRef,
    /// The name.
    pub name: Bytes,
    /// The random id; zero when refused.
    pub id: [u8; 16],
    /// Partitions.
    pub partitions: u32,
    /// Kept by the system itself.
    pub internal: bool,
    /// What it keeps in sight.
    pub retention: Retention,
    /// Why it cannot be had.
    pub refused: Option<Refusal>,
}

/// Records of a partition were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamPurged {
    /// How many.
    pub records: u64,
    /// The first offset now.
    pub first: u64,
}

/// A queue as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStatus {
    /// The declaration.
    pub declaration: QueueDeclaration,
    /// Messages ready to be delivered.
    pub ready: u64,
    /// Consumers.
    pub consumers: u32,
}

/// A space as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceStatus {
    /// The declaration.
    pub declaration: SpaceDeclaration,
}

/// One message, pulled from a queue.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The delivery; its `matched` is empty.
    pub delivery: Delivery,
    /// Messages that stay ready.
    pub remaining: u64,
}
