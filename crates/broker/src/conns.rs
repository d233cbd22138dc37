//! What connections hold: subscriptions, consumers, windows, deliveries not yet settled.

use bytes::Bytes;
use hashbrown::HashMap;
use model::filter::Filter;
use model::record::Space;
use protocol::{ConnId, Tag};

use crate::objects::Replay;
use crate::queues::Item;
use crate::router::Target;

/// One connection that holds something.
#[derive(Debug, Default)]
pub(crate) struct Conn {
    /// Sorted by number: most connections have one.
    pub(crate) subscriptions: Vec<Held>,
    /// The session that it claimed.
    pub(crate) session: Option<u64>,
    /// The session that it waits for.
    pub(crate) claiming: Option<u64>,
    /// Its outbound bytes are over the high mark: queues and cursors push no more.
    pub(crate) stopped: bool,
    pub(crate) rare: Option<Box<Rare>>,
}

/// What only consumers of queues and cursors have.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// Consumer number -> queue.
    pub(crate) consumers: HashMap<u32, u64>,
    /// Number -> group cursor.
    pub(crate) cursors: HashMap<u32, u64>,
    pub(crate) windows: HashMap<u32, Window>,
    /// Names of queues that go with the connection.
    pub(crate) exclusive: Vec<Bytes>,
    pub(crate) unsettled: HashMap<Tag, Unsettled>,
    /// Last values that wait until the connection keeps up.
    pub(crate) replays: Vec<Replay>,
}

/// A live subscription, as it stands in the router.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) number: u32,
    pub(crate) space: Space,
    pub(crate) filter: Filter,
    pub(crate) target: Target,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    /// 0 = no limit.
    pub(crate) size: u32,
    pub(crate) used: u32,
}

impl Window {
    pub(crate) fn is_open(self) -> bool {
        self.size == 0 || self.used < self.size
    }
}

/// A delivery from a queue.
#[derive(Debug)]
pub(crate) struct Unsettled {
    pub(crate) queue: u64,
    pub(crate) item: Item,
    pub(crate) windows: Vec<u32>,
}

/// All connections that hold something.
#[derive(Debug, Default)]
pub(crate) struct Conns(HashMap<ConnId, Conn>);

impl Conns {
    pub(crate) fn get(&self, conn: ConnId) -> Option<&Conn> {
        self.0.get(&conn)
    }

    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Conn> {
        self.0.get_mut(&conn)
    }

    pub(crate) fn entry(&mut self, conn: ConnId) -> &mut Conn {
        self.0.entry(conn).or_default()
    }

    pub(crate) fn rare(&mut self, conn: ConnId) -> &mut Rare {
        self.entry(conn).rare.get_or_insert_default()
    }

    pub(crate) fn rare_of(&mut self, conn: ConnId) -> Option<&mut Rare> {
        self.0.get_mut(&conn)?.rare.as_deref_mut()
    }

    pub(crate) fn remove(&mut self, conn: ConnId) -> Option<Conn> {
        self.0.remove(&conn)
    }

    /// All consumers: connection, number, queue.
    pub(crate) fn consuming(&self) -> impl Iterator<Item = (ConnId, u32, u64)> {
        let rare = self.0.iter().filter_map(|(id, conn)| Some((*id, conn.rare.as_deref()?)));
        rare.flat_map(|(id, rare)| rare.consumers.iter().map(move |(n, queue)| (id, *n, *queue)))
    }

    /// What subscriptions, consumers and unsettled deliveries take, about.
    pub(crate) fn memory(&self) -> usize {
        /// A subscription in the router and here; an unsettled delivery with its place in a map.
        const SUBSCRIPTION: usize = 400;
        const UNSETTLED: usize = 2 * size_of::<(Tag, Unsettled)>();
        let of = |conn: &Conn| {
            let rare = conn.rare.as_deref().map_or(0, |rare| {
                size_of::<Rare>()
                    + rare.unsettled.len() * UNSETTLED
                    + (rare.consumers.len() + rare.windows.len() + rare.cursors.len()) * 32
            });
            2 * size_of::<(ConnId, Conn)>() + conn.subscriptions.len() * SUBSCRIPTION + rare
        };
        self.0.values().map(of).sum()
    }

    /// Whether queues and cursors may push to it.
    pub(crate) fn is_open(&self, conn: ConnId) -> bool {
        self.0.get(&conn).is_none_or(|c| !c.stopped)
    }
}

impl Conn {
    /// Adds a subscription; the one that it replaces.
    pub(crate) fn hold(&mut self, held: Held) -> Option<Held> {
        match self.subscriptions.binary_search_by_key(&held.number, |h| h.number) {
            Ok(at) => Some(std::mem::replace(&mut self.subscriptions[at], held)),
            Err(at) => {
                if self.subscriptions.is_empty() {
                    self.subscriptions.reserve_exact(1);
                }
                self.subscriptions.insert(at, held);
                None
            }
        }
    }

    /// Whether it has a consumer of this number.
    pub(crate) fn consumes(&self, number: u32) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.consumers.contains_key(&number))
    }

    /// Takes a subscription out.
    pub(crate) fn let_go(&mut self, number: u32) -> Option<Held> {
        let at = self.subscriptions.binary_search_by_key(&number, |h| h.number).ok()?;
        Some(self.subscriptions.remove(at))
    }
}
