//! Where the messages of a subject are stored.

use bytes::Bytes;
use model::filter::Filter;
use model::subject::Subject;
use protocol::ConnId;
use storage::LogId;

/// A stream as the publish path sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) name: Bytes,
    pub(crate) filters: Vec<Filter>,
    pub(crate) logs: Vec<LogId>,
    /// It holds one subject only, so that its partitions are told apart by key or publisher;
    /// otherwise by subject, so that a view of a subject is one log.
    pub(crate) single: bool,
    /// The largest message that it takes, if it says so.
    pub(crate) message_bytes: Option<usize>,
}

impl Home {
    /// The log for a message: each publisher's messages of one subject keep their order.
    pub(crate) fn log(
        &self,
        subject: &Subject,
        key: Option<&Bytes>,
        publisher: Option<ConnId>,
    ) -> LogId {
        let count = self.logs.len();
        if count == 1 {
            return self.logs[0];
        }
        let hash = match (self.single, key, publisher) {
            (false, ..) => hash(subject.as_bytes()),
            (true, Some(key), _) => hash(key),
            (true, None, Some(conn)) => {
                u64::from(conn.slot)
                    ^ (u64::from(conn.worker) << 20)
                    ^ (u64::from(conn.generation) << 32)
            }
            (true, None, None) => 0,
        };
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is below the count")]
        self.logs[(hash % count as u64) as usize]
    }
}

/// FNV-1a: places are kept on disk, so the hash must never change.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
