//! The contract between three parties: sessions (pure protocol state machines), the driver that
//! owns sockets and clocks, and the broker that answers the vocabulary.
//!
//! ```text
//!  socket --bytes--> Session::handle(now, Input::Bytes) --> Outbox frames --------> socket
//!                         ^   pure, owns its state      \-> Outbox requests ------> broker
//!                         '-- Input::Reply / Deliveries / Notice <------------------'
//! ```
//!
//! Absent: sockets, files, threads, clocks, packets of any protocol.

mod authentication;
mod delivery;
mod module;
mod outbox;
mod reply;
mod request;
mod retention;
mod session;

pub use authentication::{Authenticate, Authenticated, Credentials, Secret};
pub use delivery::{Delivery, FrameCache, Matched, Message, Tag};
pub use module::{Effects, Module, Proposer};
pub use outbox::Outbox;
pub use reply::{
    Appended, Claimed, Declared, DurableSubscription, Located, Published, Pulled, QueueStatus,
    ReadOutcome, Refusal, Reply, SpaceStatus, StreamPurged, StreamStatus,
};
pub use request::{
    Alter, Append, BindTarget, Binding, Claim, CloseCursor, Consume, CursorPolicy, DeadLetter,
    Declare, Destroy, Expiry, HeaderMatch, HeaderMatchMode, Intent, OFFSETS_MAX, OpenCursor,
    Overflow, Position, Propose, Publish, Pull, PullCursor, PurgeStream, QueueDeclaration,
    QueueOptions, Read, ReadItem, Release, Remember, Request, Settle, Settlement, SpaceDeclaration,
    Start, StreamDeclaration, StreamRef, Subscribe, Wait, Which, Will,
};
pub use retention::{
    Cleanup, Compaction, DELETE_RETENTION_MS, Durability, MIN_DIRTY_PERCENT, PER_SUBJECT_MAX,
    Retention,
};
pub use session::{
    Close, ConnId, Handover, Input, Node, Notice, Now, Peer, Protocol, Session, SlowReceiver, Token,
};
