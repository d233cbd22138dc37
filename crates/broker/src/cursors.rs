//! Group cursors: one durable cursor on a log, shared by members. Each record goes to one of them.
//!
//! ```text
//! log -> next -> member with credit --ack----> done
//!         ^             |   |  |
//!         |   deadline, |   |  +--reject, too often--> dead letter, one write with its being done
//!         +-- requeue, <+   +-- extend: a new deadline
//!             member gone
//! ```
//!
//! What is handed out and not settled is bounded, and with it what is done above the floor: while
//! so many are open, nothing new is handed out. Records that go out of sight are not waited for.
//! State is written with the other cursors' (`Core::flush`); a crash brings back what was acknowledged
//! since then, and what was in the hands of members comes back at its deadline.
//!
//! | part | what it does |
//! |---|---|
//! | `window` | what of the log is done, pending, and next |
//! | `sharing` | opened, handed out, settled, left |
//! | `burying` | dead letters |

mod burying;
mod sharing;
mod window;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use hashbrown::HashMap;
use meta::row::{Reader, Writer};
use model::filter::Filter;
use model::record::Cause;
use protocol::{ConnId, CursorPolicy, Message};
use storage::{LogId, Op};

use crate::conns::Conns;
use crate::state::table;
use crate::timers::TimerId;
pub(crate) use burying::{Burial, Corpse};
use window::Window;

/// Most group cursors of a node.
const CURSORS_MAX: usize = 1_000_000;
/// Most members of one.
const MEMBERS_MAX: usize = 10_000;
/// Most records that are handed out and not settled, in one cursor. What is done between them are
/// at most as many ranges and one more, which is what the engine keeps (4,096).
pub(crate) const PENDING_MAX: usize = 4_095;
/// Messages that were read ahead are kept up to this size.
const AHEAD_BYTES: usize = 256 * 1024;

/// One of those who share a cursor.
#[derive(Debug)]
struct Member {
    conn: ConnId,
    number: u32,
    /// Records that it still takes.
    credit: u32,
}

/// One cursor.
#[derive(Debug)]
struct Group {
    name: Bytes,
    log: LogId,
    policy: CursorPolicy,
    window: Window,
    members: Vec<Member>,
    /// Whose turn it is.
    turn: usize,
    /// Read and not handed out yet.
    ahead: VecDeque<(u64, Arc<Message>)>,
    ahead_bytes: usize,
    /// Everything below was looked at.
    read_to: u64,
    /// What came next when the state was last handed to storage.
    kept: u64,
    timer: Option<TimerId>,
    /// Given up, and to be buried.
    dead: VecDeque<(u64, Cause)>,
    /// One is being buried: until storage has answered, no other image of the cursor is written.
    burying: bool,
}

impl Group {
    fn new(name: Bytes, log: LogId, policy: CursorPolicy, window: Window) -> Self {
        Self {
            read_to: window.next(),
            kept: window.next(),
            name,
            log,
            policy,
            window,
            members: Vec::new(),
            turn: 0,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            timer: None,
            dead: VecDeque::new(),
            burying: false,
        }
    }

    /// The next member that takes a record.
    fn next_member(&self, conns: &Conns) -> Option<usize> {
        let count = self.members.len();
        (0..count).map(|i| (self.turn + i) % count).find(|&at| {
            let member = &self.members[at];
            member.credit > 0 && conns.is_open(member.conn)
        })
    }

    /// The deadline of a record that is handed out now.
    fn deadline(&self, clock_ms: i64) -> i64 {
        self.policy.ack_wait_ms.map_or(0, |ms| after(clock_ms, ms))
    }

    fn forget_ahead(&mut self) {
        self.ahead.clear();
        self.ahead_bytes = 0;
        self.read_to = self.window.next();
    }

    fn image(&self, number: u64, without: Option<u64>) -> Op {
        let state = Some(self.window.state(without));
        Op::Cursor { name: cursor_name(number), log: self.log, state }
    }

    fn row(&self, number: u64) -> Op {
        let policy = &self.policy;
        let filter = policy.filter.as_ref().map(Filter::to_bytes).unwrap_or_default();
        let row = Writer::default()
            .number(number)
            .number(self.log.0)
            .maybe(policy.ack_wait_ms)
            .maybe(policy.max_deliveries.map(u64::from))
            .number(u64::from(policy.max_pending))
            .bytes(&filter);
        let value = meta::write_destination(row, policy.dead_letter.as_ref()).finish();
        Op::Put { table: table::CURSORS, key: self.name.clone(), value }
    }

    fn read(name: Bytes, value: Bytes) -> Option<(u64, Self)> {
        let mut row = Reader::new(value).ok()?;
        let number = row.number().ok()?;
        let log = LogId(row.number().ok()?);
        let ack_wait_ms = row.maybe().ok()?;
        let max_deliveries = row.maybe().ok()?.map(u32::try_from).transpose().ok()?;
        let max_pending = row.number().ok()?.try_into().ok()?;
        let filter = row.bytes().ok()?;
        let filter = match filter.is_empty() {
            true => None,
            false => Some(Filter::from_bytes(&filter).ok()?),
        };
        let dead_letter = meta::read_destination(&mut row).ok()?;
        let policy = CursorPolicy { ack_wait_ms, max_deliveries, max_pending, filter, dead_letter };
        Some((number, Self::new(name, log, policy, Window::default())))
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    by_name: HashMap<Bytes, u64>,
    map: HashMap<u64, Group>,
    by_log: HashMap<LogId, Vec<u64>>,
    dirty: BTreeSet<u64>,
}

impl Cursors {
    /// Whether deliveries with this source are of a group cursor.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.map.contains_key(&number)
    }

    /// What they take in memory, about.
    pub(crate) fn memory(&self) -> usize {
        /// What a pending record, a member and a cursor take.
        const PENDING: usize = 120;
        let of = |group: &Group| {
            size_of::<Group>()
                + group.name.len()
                + group.members.len() * size_of::<Member>()
                + group.window.pending() * PENDING
                + group.ahead_bytes
        };
        self.map.values().map(of).sum()
    }

    fn insert(&mut self, number: u64, group: Group) {
        self.by_name.insert(group.name.clone(), number);
        self.by_log.entry(group.log).or_default().push(number);
        self.map.insert(number, group);
    }

    fn remove(&mut self, number: u64) -> Option<Group> {
        let group = self.map.remove(&number)?;
        self.by_name.remove(&group.name);
        self.dirty.remove(&number);
        if let Some(numbers) = self.by_log.get_mut(&group.log) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.by_log.remove(&group.log);
            }
        }
        Some(group)
    }

    /// Takes back one that was kept; `false` when its row cannot be read.
    pub(crate) fn restore(&mut self, name: Bytes, value: Bytes) -> bool {
        let read = Group::read(name, value);
        read.map(|(number, group)| self.insert(number, group)).is_some()
    }

    /// The same for its place, if the engine's cursor is of a group.
    pub(crate) fn restore_state(&mut self, name: &[u8], state: &storage::CursorState) {
        let Some(number) = number_of(name) else { return };
        if let Some(group) = self.map.get_mut(&number) {
            group.window = Window::restored(state);
            (group.read_to, group.kept) = (group.window.next(), group.window.next());
        }
    }

    /// Cursors that changed, as operations.
    pub(crate) fn take_changes(&mut self, ops: &mut Vec<Op>) {
        for number in std::mem::take(&mut self.dirty) {
            let Some(group) = self.map.get_mut(&number) else { continue };
            if group.burying {
                self.dirty.insert(number);
            } else {
                group.kept = group.window.next();
                ops.push(group.image(number, None));
            }
        }
    }
}

/// How the engine names the cursor of a group: unlike those of sessions, which have eight bytes.
fn cursor_name(number: u64) -> Bytes {
    let mut name = BytesMut::with_capacity(9);
    name.put_u8(b'g');
    name.put_u64(number);
    name.freeze()
}

fn number_of(name: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(name.strip_prefix(b"g")?.try_into().ok()?))
}

fn after(clock_ms: i64, ms: u64) -> i64 {
    clock_ms.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX))
}
