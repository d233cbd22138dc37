//! Publishes that wait for room, because their publisher could not be told of a refusal.
//!
//! Acknowledgements of the same connection are taken meanwhile, so that it can free what it waits
//! for. Each connection has a small part; what goes beyond it is refused.

use std::collections::BTreeMap;

use protocol::{ConnId, Publish, Token};

use crate::completion::{Completion, Step};
use crate::desk::Desk;
use crate::state::Core;
use crate::stats::{add, set};
use crate::turn::Turn;

/// Bytes that may wait of one connection.
const CONN_BYTES_MAX: usize = 64 << 10;
/// Bytes that may wait of all connections, and their part of the budget in percent.
const BYTES_MAX: usize = 64 << 20;
const SHARE: u64 = 5;
/// What a publish takes besides its record.
const OVERHEAD: usize = 128;
/// Publishes that are tried again in one turn.
const BURST: usize = 256;

/// A publish that waits.
#[derive(Debug)]
struct Waiting {
    token: Option<Token>,
    publish: Publish,
    bytes: usize,
}

/// All that wait.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    /// By connection, in the order in which they came.
    map: BTreeMap<ConnId, BTreeMap<u64, Waiting>>,
    bytes: usize,
    count: usize,
}

impl Parked {
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether publishes of this connection wait, so that later ones wait behind them.
    pub(crate) fn has(&self, conn: ConnId) -> bool {
        self.map.contains_key(&conn)
    }

    /// Parks a publish that holds no part of a read buffer, at its place among all; `false` if
    /// there is no room for it.
    fn park(
        &mut self,
        conn: ConnId,
        (place, token): (u64, Option<Token>),
        publish: Publish,
        most: usize,
    ) -> bool {
        let bytes = publish.record.size() + OVERHEAD;
        let his = self.map.get(&conn).map_or(0, |all| all.values().map(|w| w.bytes).sum());
        if his + bytes > CONN_BYTES_MAX || self.bytes + bytes > most {
            return false;
        }
        self.bytes += bytes;
        self.count += 1;
        self.map.entry(conn).or_default().insert(place, Waiting { token, publish, bytes });
        true
    }

    /// Takes out the one that came first of a connection of this worker.
    fn take(&mut self, worker: u16) -> Option<(ConnId, u64, Waiting)> {
        let first = ConnId { worker, slot: 0, generation: 0 };
        let conn = *self.map.range(first..).next()?.0;
        if conn.worker != worker {
            return None;
        }
        let all = self.map.get_mut(&conn)?;
        let (place, waiting) = all.pop_first()?;
        if all.is_empty() {
            self.map.remove(&conn);
        }
        self.bytes -= waiting.bytes;
        self.count -= 1;
        Some((conn, place, waiting))
    }

    /// A connection is gone, and what it was not told of was not taken; how many.
    pub(crate) fn forget(&mut self, conn: ConnId) -> usize {
        let Some(all) = self.map.remove(&conn) else { return 0 };
        self.bytes -= all.values().map(|waiting| waiting.bytes).sum::<usize>();
        self.count -= all.len();
        all.len()
    }
}

impl Core {
    /// A connection is gone: its publisher sends again what it was not told of, or was promised
    /// nothing.
    pub(crate) fn forget_parked(&mut self, turn: &Turn<'_>, conn: ConnId) {
        let gone = self.parked.forget(conn);
        if gone > 0 {
            add(&turn.shared.counters.refused, gone);
            set(&turn.shared.counters.parked, self.parked.len());
        }
    }
}

impl Desk {
    /// Parks a publish; `false` if it cannot wait.
    pub(crate) fn park(
        &self,
        turn: &Turn<'_>,
        conn: Option<ConnId>,
        (place, token): (u64, Option<Token>),
        publish: Publish,
    ) -> bool {
        let Some(conn) = conn.filter(|_| publish.parks) else { return false };
        let most = turn.shared.pressure.budget.share(SHARE, BYTES_MAX);
        let parked = &mut self.broker.lock().parked;
        let waits = parked.park(conn, (place, token), publish, most);
        set(&turn.shared.counters.parked, parked.len());
        waits
    }

    /// Tries what waits again, as long as there is room.
    pub(crate) fn unpark(&mut self, turn: &mut Turn<'_>) {
        for _ in 0..BURST {
            if turn.shared.pressure.refuses_storing().is_some() {
                return;
            }
            let taken = {
                let parked = &mut self.broker.lock().parked;
                let taken = parked.take(self.worker);
                set(&turn.shared.counters.parked, parked.len());
                taken
            };
            let Some((conn, place, waiting)) = taken else { return };
            self.publish_parked(turn, conn, (place, waiting.token), waiting.publish);
        }
        turn.shared.mail.post(turn.worker, Completion(Step::Unpark));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use model::record::{Address, Record};

    fn conn(slot: u32) -> ConnId {
        ConnId { worker: 0, slot, generation: 0 }
    }

    fn publish(bytes: usize) -> Publish {
        let record = Record { value: Some(Bytes::from(vec![0; bytes])), ..Record::default() };
        Publish::new(Address::Queue(Bytes::from_static(b"q")), record)
    }

    #[test]
    fn each_connection_has_its_part_and_keeps_its_order() {
        let mut parked = Parked::default();
        for place in 1..=3 {
            let waits = parked.park(conn(1), (place, None), publish(20_000), usize::MAX);
            assert!(waits);
        }
        assert!(!parked.park(conn(1), (4, None), publish(20_000), usize::MAX));
        assert!(parked.park(conn(2), (5, None), publish(20_000), usize::MAX));
        assert!(!parked.park(conn(3), (6, None), publish(1), parked.bytes()));
        assert_eq!(parked.forget(conn(2)), 1);
        let (_, first, waiting) = parked.take(0).expect("three wait");
        let (_, second, other) = parked.take(0).expect("two wait");
        // Refused again, in the other order.
        for (place, publish) in [(second, other.publish), (first, waiting.publish)] {
            assert!(parked.park(conn(1), (place, None), publish, usize::MAX));
        }
        let places: Vec<u64> =
            std::iter::from_fn(|| parked.take(0)).map(|(_, place, _)| place).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!((parked.bytes(), parked.len()), (0, 0));
    }
}
