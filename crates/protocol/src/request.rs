//! The vocabulary, first half: what sessions ask of the broker. No word is named after a protocol.

use bytes::Bytes;
use model::filter::Filter;
use model::record::{Address, Record, Space};

use crate::{Authenticate, Durability, Handover, Retention, Tag};

/// One request. Each is answered by one [`crate::Reply`] if it carries a token.
#[derive(Debug)]
pub enum Request {
    /// Asks to be let in. Answer: `Authenticated`, `Challenge` (another one follows) or `Refused`.
    Authenticate(Authenticate),
    /// One message. Answer: `Published` or `Refused`.
    Publish(Publish),
    /// A batch of records into one partition. Answer: `Appended` or `Refused`.
    Append(Append),
    /// Batches from partitions, waiting for them if asked. Answer: `Read`.
    Read(Read),
    /// An offset by position or time. Answer: `Located` or `Refused`.
    Locate(StreamRef, u32, Position),
    /// Live deliveries, and for a claimed durable session what was stored for it. Answer:
    /// `Subscribed` or `Refused`; last values follow the answer, as deliveries.
    Subscribe(Subscribe),
    /// Ends the subscription of this number. Answer: `Done`, or `Refused(NotFound)`.
    Unsubscribe(u32),
    /// Takes the ownership of a named session. Answer: `Claimed`, once its former owner let go.
    Claim(Claim),
    /// Lets the claimed session go. Answer: `Done`.
    Release(Release),
    /// Rows of the claimed session's own memory, durable before the answer. Answer: `Done`.
    Remember(Remember),
    /// Settles deliveries. Answer: `Done`, or `Refused(NotFound)` if a tag is not outstanding.
    Settle(Settle),
    /// Makes a stream, a space or a queue. Answer: `Declared` or `Refused`.
    Declare(Declare),
    /// Changes what a stream keeps in sight. Answer: `Declared` or `Refused`.
    Alter(Alter),
    /// Removes one. Answer: `Destroyed` or `Refused`.
    Destroy(Destroy),
    /// Ties a queue or a space to a space. Answer: `Done` (also if it was there) or `Refused`.
    Bind(Binding),
    /// Unties it. Answer: `Done` (also if it was not there).
    Unbind(Binding),
    /// The streams of these names or ids, made if unknown and `create` is set; `None` lists all
    /// streams and named views. Answer: `Streams`.
    DescribeStreams {
        /// Which; `None` = all.
        streams: Option<Vec<StreamRef>>,
        /// Whether unknown names are made.
        create: bool,
    },
    /// One queue as it stands. Answer: `Queue` or `Refused`.
    DescribeQueue(Bytes),
    /// One space as it stands. Answer: `Space` or `Refused`.
    DescribeSpace(Bytes),
    /// Removes the ready messages of a queue. Answer: `Purged` or `Refused`.
    Purge(Bytes),
    /// Removes records of a partition for good. Answer: `StreamPurged` or `Refused`.
    PurgeStream(PurgeStream),
    /// Consumes a queue. Answer: `Subscribed` or `Refused`; deliveries follow.
    Consume(Consume),
    /// Ends a consumer; what it has unsettled stays with the connection. Answer: `Done`.
    Cancel(u32),
    /// Sets the size of a window of unsettled deliveries (0 = no limit), making it if unknown.
    Window {
        /// The number that [`Consume::windows`] names.
        window: u32,
        /// Most unsettled deliveries.
        size: u32,
    },
    /// One message of a queue, now. Answer: `Pulled` or `Refused`.
    Pull(Pull),
    /// Joins a cursor that its members share, made if there is none. Answer: `Subscribed` or
    /// `Refused`.
    OpenCursor(OpenCursor),
    /// Takes more records of such a cursor. Answer: `Done` or `Refused`; deliveries follow as there
    /// are records.
    PullCursor(PullCursor),
    /// Leaves such a cursor; what the member has unsettled comes back at once. Answer: `Done` or
    /// `Refused`.
    CloseCursor(CloseCursor),
    /// A command for a protocol's shared state machine. Answer: `Proposed`.
    Propose(Propose),
    /// A fresh producer id. Answer: `ProducerId`.
    NewProducer,
}

/// What an answer to a publish waits for; it never lowers the mode of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// For nothing: the answer tells who was matched.
    #[default]
    Routed,
    /// For the stream's mode: durable where that is durable.
    Stored,
}

/// One message into a space or a queue.
#[derive(Debug)]
pub struct Publish {
    /// Where to.
    pub to: Address,
    /// The message. `timestamp_ms` 0 is replaced by the time of arrival.
    pub record: Record,
    /// What header bindings are matched against: names and values in a normal form of the
    /// publishing protocol.
    pub attributes: Vec<(Bytes, Bytes)>,
    /// What the answer waits for.
    pub wait: Wait,
    /// A row of the claimed session's memory that becomes durable with the message (a receipt).
    pub remember: Option<Bytes>,
    /// Store nothing and publish nothing unless someone is matched.
    pub only_if_matched: bool,
    /// The publisher cannot be told of a refusal: while there is no room it waits, as far as the
    /// connection's part of parked messages goes, and its answer with it.
    pub parks: bool,
}

impl Publish {
    /// A message with nothing special about it.
    pub fn new(to: Address, record: Record) -> Self {
        Self {
            to,
            record,
            attributes: Vec::new(),
            wait: Wait::Routed,
            remember: None,
            only_if_matched: false,
            parks: false,
        }
    }
}

/// A stream or view, by name or by id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StreamRef {
    /// The name as the dotted protocols write it.
    Name(Bytes),
    /// The random id, given when it was made.
    Id([u8; 16]),
}

/// A batch of records in stored form (record batch v2, as its producer built it).
#[derive(Debug)]
pub struct Append {
    /// The stream.
    pub stream: StreamRef,
    /// Its partition.
    pub partition: u32,
    /// The batch, opaque.
    pub batch: Bytes,
    /// What the answer waits for.
    pub wait: Wait,
}

/// A read over several partitions.
#[derive(Debug)]
pub struct Read {
    /// From where; the order is the order of fairness.
    pub items: Vec<ReadItem>,
    /// The answer waits until this many bytes can be had.
    pub min_bytes: usize,
    /// The answer is at most about this long; the first batch is always given whole.
    pub max_bytes: usize,
    /// The longest wait, in milliseconds.
    pub wait_ms: u64,
}

/// One partition to read.
#[derive(Clone, Debug)]
pub struct ReadItem {
    /// The stream or view.
    pub stream: StreamRef,
    /// Its partition.
    pub partition: u32,
    /// The first offset wanted.
    pub offset: u64,
    /// At most about this many bytes.
    pub max_bytes: usize,
}

/// A place in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The first offset.
    Earliest,
    /// The offset after the last.
    Latest,
    /// The first record at or after this time (milliseconds since 1970).
    Time(i64),
    /// The record with the highest timestamp.
    MaxTimestamp,
}

/// A subscription.
#[derive(Debug)]
pub struct Subscribe {
    /// The receiver's number for it; an old one of the same number is replaced.
    pub number: u32,
    /// The space.
    pub space: Space,
    /// What it matches.
    pub filter: Filter,
    /// Members of a group share: each message goes to one of them.
    pub group: Option<Bytes>,
    /// Part of the claimed session: stored messages are kept for it while its owner is away.
    pub durable: bool,
    /// Messages published by this connection are not for it.
    pub skip_own: bool,
    /// What to begin with.
    pub start: Start,
    /// Kept with a durable subscription and given back at the next claim; opaque.
    pub memo: Bytes,
}

/// What a subscription begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// What is published from now on.
    Now,
    /// The last values that match, then what is published from now on.
    LastValues,
    /// As `LastValues`, but only if the connection had no subscription of this number.
    LastValuesIfNew,
}

/// When an unowned session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// After this many milliseconds without an owner; 0 = with the connection (not durable).
    After(u64),
    /// Never.
    Never,
}

impl Expiry {
    /// Whether the session outlives its connection.
    pub fn is_durable(self) -> bool {
        self != Self::After(0)
    }
}

/// Takes the ownership of a session; the former owner gets `Notice::Displaced`.
#[derive(Debug)]
pub struct Claim {
    /// The session's name (a client id), with a prefix of the protocol if it has several kinds.
    pub name: Bytes,
    /// Forget what an earlier owner left.
    pub clean: bool,
    /// How long it lives without an owner.
    pub expiry: Expiry,
    /// Most unsettled deliveries that the owner takes at a time.
    pub window: u32,
}

/// Lets the session go.
#[derive(Debug)]
pub struct Release {
    /// A new expiry, if it changed.
    pub expiry: Option<Expiry>,
    /// To be published if nobody claims the session in time.
    pub will: Option<Box<Will>>,
    /// For the next owner within this run of the server.
    pub handover: Option<Handover>,
}

/// A message to be published later unless the session is claimed again.
#[derive(Debug)]
pub struct Will {
    /// How long to wait, in milliseconds; the session's own end comes first if it is sooner.
    pub delay_ms: u64,
    /// The message.
    pub publish: Publish,
}

/// Rows of a session's memory: `None` removes.
#[derive(Debug)]
pub struct Remember {
    /// Keys and values.
    pub rows: Vec<(Bytes, Option<Bytes>)>,
}

/// What becomes of deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Done with.
    Ack,
    /// Back to where it was, to be delivered again.
    Requeue,
    /// The same after so many milliseconds; a session's come back at once.
    RequeueAfter(u64),
    /// The receiver never saw it: back to where it was, and not counted as a delivery.
    Unseen,
    /// Not wanted: given up ([`QueueOptions::dead_letter`], [`CursorPolicy::dead_letter`]).
    Reject,
    /// Still being worked on: of a group cursor's record the deadline is so many milliseconds from
    /// now. Nothing else has one.
    Extend(u64),
}

/// Settles deliveries of this connection.
#[derive(Debug)]
pub struct Settle {
    /// Which.
    pub tags: Vec<Tag>,
    /// How.
    pub how: Settlement,
}

/// An object to make.
#[derive(Clone, Debug)]
pub enum Declare {
    /// A stream.
    Stream(StreamDeclaration),
    /// A space.
    Space(SpaceDeclaration),
    /// A queue.
    Queue(QueueDeclaration),
}

/// A durable log of partitions that captures subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDeclaration {
    /// The name, as the dotted protocols write it.
    pub name: Bytes,
    /// What it captures; empty = the one subject whose dotted form is the name.
    pub filters: Vec<Filter>,
    /// Partitions, 0 = the node's default.
    pub partitions: u32,
    /// What it keeps in sight.
    pub retention: Retention,
    /// When its records are acknowledged; fixed once it is made.
    pub durability: Durability,
    /// Only say whether it could be made.
    pub dry_run: bool,
}

/// A stream to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alter {
    /// Which.
    pub stream: StreamRef,
    /// What it keeps in sight from now on, all of it.
    pub retention: Retention,
    /// Only say whether it could be changed.
    pub dry_run: bool,
}

/// A set of subjects with bindings of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceDeclaration {
    /// The name.
    pub name: Bytes,
    /// The kind, as its protocol calls it; only compared.
    pub kind: Bytes,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last binding.
    pub auto_delete: bool,
    /// Only other spaces publish into it.
    pub internal: bool,
    /// Arguments in the protocol's own encoding; only compared.
    pub arguments: Bytes,
    /// Exists from the start and cannot be removed.
    pub builtin: bool,
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDeclaration {
    /// The name.
    pub name: Bytes,
    /// Survives a restart.
    pub durable: bool,
    /// Belongs to this connection alone and goes with it.
    pub exclusive: bool,
    /// Goes with its last consumer.
    pub auto_delete: bool,
    /// Arguments in the protocol's own encoding; only compared.
    pub arguments: Bytes,
    /// What it does besides; `None` for [`QueueOptions::default`].
    pub options: Option<Box<QueueOptions>>,
}

impl QueueDeclaration {
    /// What it does besides handing out.
    pub fn options(&self) -> &QueueOptions {
        static PLAIN: QueueOptions = QueueOptions {
            message_ttl_ms: None,
            unused_ms: None,
            dead_letter: None,
            max_messages: None,
            max_bytes: None,
            overflow: Overflow::DropHead,
            max_priority: None,
            single_active: false,
            no_pull: false,
            delivery_limit: None,
            tells_deliveries: false,
        };
        self.options.as_deref().unwrap_or(&PLAIN)
    }
}

/// Limits of a queue, and what becomes of what it gives up. Times are on the engine's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueOptions {
    /// Messages that were in it so long leave it, once they are the next of their priority.
    pub message_ttl_ms: Option<u64>,
    /// It goes after so long without a consumer, a pull and a declaration.
    pub unused_ms: Option<u64>,
    /// Where messages go that are rejected, expired, over a limit or handed out too often; nowhere
    /// otherwise.
    pub dead_letter: Option<DeadLetter>,
    /// Ready messages, at most.
    pub max_messages: Option<u64>,
    /// Bytes of payload of ready messages, at most.
    pub max_bytes: Option<u64>,
    /// What happens beyond one of these two.
    pub overflow: Overflow,
    /// Messages of a higher priority come first; priorities above this one count as this one.
    pub max_priority: Option<u8>,
    /// One consumer at a time gets messages, the others wait for it to go.
    pub single_active: bool,
    /// Messages cannot be pulled.
    pub no_pull: bool,
    /// A message that was handed out more often than that and comes back is given up.
    pub delivery_limit: Option<u32>,
    /// Deliveries tell how often their message was handed out before.
    pub tells_deliveries: bool,
}

/// What happens at a queue's limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The next message to be handed out is given up.
    #[default]
    DropHead,
    /// The publish is refused with [`crate::Refusal::Limit`]; other queues get it.
    Refuse,
    /// The same, and the message is given up.
    RefuseAndGiveUp,
}

/// Where a queue sends what it gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetter {
    /// All to one address.
    To(Address),
    /// To the subject that each was published to, in this space.
    Within {
        /// The space.
        space: Space,
        /// The space of private subjects.
        private: Space,
    },
    /// To the queue that is called as the subject it was published to.
    ByName,
}

/// Records of a partition to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeStream {
    /// The stream or view.
    pub stream: StreamRef,
    /// Its partition.
    pub partition: u32,
    /// Which.
    pub which: Which,
}

/// Which records of a partition are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// All below this offset; `None` = all that there are now.
    Below(Option<u64>),
    /// Those that match.
    Matching {
        /// What.
        filter: Filter,
        /// Only those below this offset; `None` = all that there are now.
        below: Option<u64>,
        /// How many of the newest of them stay.
        keep: u64,
    },
    /// These, at most [`OFFSETS_MAX`].
    Offsets(Vec<u64>),
}

/// Most single records that one purge may name.
pub const OFFSETS_MAX: usize = 10_000;

/// An object to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destroy {
    /// A stream and its records.
    Stream(StreamRef),
    /// A space and its bindings.
    Space {
        /// The name.
        name: Bytes,
        /// Refuse with `InUse` if something is bound to it.
        if_unused: bool,
    },
    /// A queue and what waits in it.
    Queue {
        /// The name.
        name: Bytes,
        /// Refuse with `InUse` if it has consumers.
        if_unused: bool,
        /// Refuse with `NotEmpty` if messages wait in it.
        if_empty: bool,
    },
}

/// What a binding leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BindTarget {
    /// A queue.
    Queue(Bytes),
    /// Another space.
    Space(Bytes),
}

/// A tie from a space to a queue or to another space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Where messages come from.
    pub source: Space,
    /// Where they go.
    pub target: BindTarget,
    /// Which subjects.
    pub filter: Filter,
    /// Which headers, besides.
    pub headers: Option<HeaderMatch>,
    /// Key and arguments as given: what makes two bindings the same one.
    pub identity: Bytes,
    /// Survives a restart (only if both ends do).
    pub durable: bool,
}

/// A condition on [`Publish::attributes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    /// All or any.
    pub mode: HeaderMatchMode,
    /// Names, with the value wanted (`None`: any).
    pub wanted: Vec<(Bytes, Option<Bytes>)>,
}

/// How many of the wanted headers must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderMatchMode {
    /// All of them.
    All,
    /// One at least.
    Any,
}

/// A consumer of a queue.
#[derive(Debug)]
pub struct Consume {
    /// The receiver's number for it.
    pub number: u32,
    /// The queue.
    pub queue: Bytes,
    /// Deliveries are settled as they are sent.
    pub no_ack: bool,
    /// No other consumer may be there.
    pub exclusive: bool,
    /// Higher first.
    pub priority: i32,
    /// Windows of this connection that each delivery takes a place in.
    pub windows: Vec<u32>,
}

/// One message of a queue.
#[derive(Debug)]
pub struct Pull {
    /// The queue.
    pub queue: Bytes,
    /// It is settled as it is sent.
    pub no_ack: bool,
}

/// A member of a cursor on one partition. Each record goes to one member at a time.
#[derive(Debug)]
pub struct OpenCursor {
    /// The member's number for it, among those of its consumers.
    pub number: u32,
    /// The cursor's name.
    pub name: Bytes,
    /// The stream or view. This and what follows count when the cursor is made.
    pub stream: StreamRef,
    /// Its partition.
    pub partition: u32,
    /// Where it begins.
    pub start: Position,
    /// How it hands out.
    pub policy: CursorPolicy,
}

/// How a group cursor hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorPolicy {
    /// A record that is not settled so long after it was handed out comes back; `None`: it stays
    /// with its member. On the engine's clock.
    pub ack_wait_ms: Option<u64>,
    /// A record that was handed out so often and comes back is given up.
    pub max_deliveries: Option<u32>,
    /// Records that are handed out and not settled, at most; 1 to 4,095. Those that wait to be
    /// handed out again are among them.
    pub max_pending: u32,
    /// Only these records; others count as done.
    pub filter: Option<Filter>,
    /// Where records go that are rejected or handed out too often; nowhere otherwise.
    pub dead_letter: Option<DeadLetter>,
}

/// More records of a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullCursor {
    /// The member's number.
    pub number: u32,
    /// How many more it takes. 0 takes back what it asked for and has not got: after the answer
    /// nothing comes any more.
    pub records: u32,
}

/// Leaves a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCursor {
    /// The member's number.
    pub number: u32,
    /// The cursor goes, for all its members.
    pub forget: bool,
}

/// A command for a protocol's shared state machine.
#[derive(Debug)]
pub struct Propose {
    /// The module's name.
    pub module: &'static str,
    /// The object.
    pub key: Bytes,
    /// What the command does to it, for whoever decides whether it may.
    pub intent: Intent,
    /// The command, opaque.
    pub command: Bytes,
}

/// What a command does to its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Takes part.
    Use,
    /// Looks at it; with an empty key at all of them.
    Look,
    /// Removes it.
    Remove,
}
