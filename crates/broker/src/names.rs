//! Whose a log is, for tools that look at a data folder without a broker.

use std::collections::BTreeMap;

use bytes::Bytes;
use meta::Catalogue;
use storage::{LogId, Table};

use crate::state::table;

/// The table of the engine that [`log_owners`] reads.
pub const CATALOGUE: Table = table::CATALOGUE;

/// Whose a log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOwner {
    /// A partition of a stream.
    Stream(Bytes, usize),
    /// A queue.
    Queue(Bytes),
}

/// The logs of the streams and queues in a catalogue, from the rows of its table; a row that this
/// version does not know names nothing.
pub fn log_owners(rows: impl IntoIterator<Item = (Bytes, Bytes)>) -> BTreeMap<LogId, LogOwner> {
    let mut catalogue = Catalogue::new();
    for (key, value) in rows {
        let _ = catalogue.restore(&key, value);
    }
    let streams = catalogue.streams().flat_map(|stream| {
        let logs = stream.logs.iter().enumerate();
        logs.map(|(index, log)| (LogId(*log), LogOwner::Stream(stream.name.clone(), index)))
    });
    let queues = catalogue.queues().map(|queue| {
        let name = queue.declaration.name.clone();
        (LogId(queue.log), LogOwner::Queue(name))
    });
    streams.chain(queues).collect()
}
