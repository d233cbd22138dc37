//! Sessions after a start: taken back, and swept of what is left of lives that have ended.

use bytes::Bytes;
use protocol::Expiry;
use storage::{Engine, LogId, Op};

use super::{Cursor, cursor_name, share_name};
use crate::objects::read_subscription;
use crate::open::{OpenError, PAGE, each_row};
use crate::router::{Router, Target};
use crate::state::{Core, table};

impl Core {
    /// Takes back all sessions; `left` gets the removal of what belongs to none.
    pub(crate) fn restore_sessions(
        &mut self,
        engine: &dyn Engine,
        router: &mut Router,
        left: &mut Vec<Op>,
    ) -> Result<(), OpenError> {
        let sessions = &mut self.sessions;
        each_row(engine, table::SESSIONS, |key, value| {
            let id = key[..].try_into().map(u64::from_be_bytes);
            let (Ok(id), Some(kept)) = (id, KeptSession::read(value)) else { return false };
            if let Some(before) = sessions.restore(id, kept) {
                left.push(Op::Remove { table: table::SESSIONS, key: cursor_name(before) });
            }
            true
        })?;
        self.sessions.restore_wills(engine)?;
        self.restore_subscriptions(engine, router, left)?;
        self.restore_cursors(engine, left)?;
        let sessions = &mut self.sessions;
        each_row(engine, table::MEMORY, |key, _| {
            let Some(id) = key.first_chunk().copied().map(u64::from_be_bytes) else { return false };
            sessions.see(id);
            if !sessions.map.contains_key(&id) {
                left.push(Op::Remove { table: table::MEMORY, key });
            }
            true
        })?;
        Ok(())
    }

    fn restore_subscriptions(
        &mut self,
        engine: &dyn Engine,
        router: &mut Router,
        left: &mut Vec<Op>,
    ) -> Result<(), OpenError> {
        let sessions = &mut self.sessions;
        let mut shares = Vec::new();
        each_row(engine, table::SUBSCRIPTIONS, |key, value| {
            let Ok((id, number, durable)) = read_subscription(&key, value) else { return false };
            sessions.see(id);
            let Some(session) = sessions.map.get_mut(&id) else {
                left.push(Op::Remove { table: table::SUBSCRIPTIONS, key });
                return true;
            };
            if let Some(group) = &durable.group {
                shares.push(share_name(group, &durable.filter));
            } else {
                let target = Target::Durable { session: id, number };
                router.insert(&durable.space, &durable.filter, target);
            }
            session.subscriptions.insert(number, durable);
            true
        })?;
        for share in &shares {
            sessions.join_share(share);
        }
        Ok(())
    }

    fn restore_cursors(
        &mut self,
        engine: &dyn Engine,
        left: &mut Vec<Op>,
    ) -> Result<(), OpenError> {
        let cursors = &mut self.cursors;
        each_row(engine, table::CURSORS, |name, row| cursors.restore(name, row))?;
        let mut from: Vec<u8> = Vec::new();
        let mut orphans: Vec<(Bytes, LogId)> = Vec::new();
        loop {
            let page = engine.cursors(&from, PAGE);
            let Some((last, ..)) = page.last() else { break };
            let next = last.to_vec();
            for (name, log, state) in &page {
                self.cursors.restore_state(name, state);
                let Some(id) = name[..].try_into().map(u64::from_be_bytes).ok() else { continue };
                self.sessions.see(id);
                match self.sessions.map.get_mut(&id) {
                    Some(session) => {
                        session.cursors.entry(*log).or_insert_with(|| Cursor::restored(state));
                    }
                    None => orphans.push((name.clone(), *log)),
                }
            }
            // A page may end within the logs of one name: that name is read again.
            let only_one_name = page.iter().all(|(name, ..)| name[..] == next[..]);
            from = next;
            if only_one_name {
                from.push(0);
            }
            if page.len() < PAGE {
                break;
            }
        }
        orphans.dedup();
        let gone = orphans.into_iter();
        left.extend(gone.map(|(name, log)| Op::Cursor { name, log, state: None }));
        Ok(())
    }
}

/// What the row of a session says.
pub(super) struct KeptSession {
    pub(super) name: Bytes,
    pub(super) expiry: Expiry,
    pub(super) ends_ms: Option<i64>,
}

impl KeptSession {
    fn read(row: Bytes) -> Option<Self> {
        let mut row = meta::row::Reader::new(row).ok()?;
        Some(Self {
            name: row.bytes().ok()?,
            expiry: row.maybe().ok()?.map_or(Expiry::Never, Expiry::After),
            ends_ms: row.maybe().ok()?.map(u64::cast_signed),
        })
    }
}
