//! What the engine's thread hands back to a worker.

use bytes::Bytes;
use protocol::{Claimed, ConnId, Proposer, Reply, Token};
use storage::LogId;

use crate::append::AppendDone;
use crate::deadlines::Deadline;
use crate::login::Login;
use crate::objects::Replay;
use crate::publish::PublishDone;
use crate::purge::Purging;
use crate::queues::PutOff;
use crate::sessions::Flushed;

/// One thing that a worker goes on with: a write is done, or something is due. Opaque to the driver.
#[derive(Debug)]
pub struct Completion(pub(crate) Step);

#[derive(Debug)]
pub(crate) enum Step {
    Published(Box<PublishDone>),
    Appended(Box<AppendDone>),
    /// Who a client is was found out, or not.
    Login(Box<Login>),
    /// The policy changed: consumers of this worker are asked again.
    Recheck,
    /// A connection's user is gone.
    Expel(ConnId),
    /// Rows are durable: the answer may go.
    Reply {
        conn: ConnId,
        token: Option<Token>,
        reply: Reply,
    },
    /// A session is owned durably: the answer may go, then what waits for it.
    Claimed {
        conn: ConnId,
        token: Option<Token>,
        claimed: Box<Claimed>,
        session: u64,
    },
    /// A life of a session has ended, and nothing more is written for it.
    Ended(u64),
    /// A durable subscription stands: the answer may go, then last values.
    Subscribed {
        conn: ConnId,
        token: Option<Token>,
        replay: Option<Box<Replay>>,
    },
    /// Last values go on, a page at a time.
    Replay(Box<Replay>),
    /// A queue goes on handing out.
    Dispatch(u64),
    /// A message came to an empty queue, for a consumer of this worker.
    Fresh(u64),
    /// A queue goes on looking for what has expired.
    Queue(u64),
    /// This worker goes on burying what queues gave up.
    Bury,
    /// A group cursor goes on handing out.
    Records(u64),
    /// This worker buries a record of a group cursor.
    BuryRecord(u64),
    /// Rows of a module are durable: its answers may go.
    Answers(Vec<(Proposer, Bytes)>),
    /// They could not be made durable: whoever waits is refused.
    Unkept(Vec<Proposer>),
    /// Another block of producer ids is durable, or not.
    Producers {
        upto: i64,
        refused: bool,
    },
    /// Deadlines have their rows, or storage did not take them.
    Deadlines {
        kept: Vec<Deadline>,
        lost: Vec<Deadline>,
    },
    /// References of messages that are put off for long were written, or not.
    PutOff(Box<PutOff>),
    /// A queue goes on looking for messages whose time comes: which look this is.
    Recall(u64, u64),
    /// The rows of deadlines that were met are gone, or storage did not take that.
    DeadlinesMet {
        removed: bool,
    },
    /// Background rows were written, or not.
    Flushed,
    /// Cursors and settles were written, or not.
    Kept(Flushed, bool),
    /// A session goes on reading its logs.
    Scan(u64),
    /// The deadline moved, or what sessions are to know: the worker looks again.
    Tick,
    /// The engine refused a write for want of room: the first worker looks at what is the matter.
    Watch,
    /// What a step of a compaction has found was written, or not.
    Compacted {
        log: LogId,
        taken: bool,
    },
    /// A page of a purge is done.
    Purge(Box<Purging>),
    /// There is room again for publishes that wait.
    Unpark,
}
