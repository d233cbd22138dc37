//! Wills of sessions whose owner is gone, as rows: a crash of the server takes no delay away.
//!
//! ```text
//! key = [session: u64 BE]
//! row = [time: number, ms of the engine's clock][retain: flag][space][subject]
//!       [timestamp: number, ms since 1970][record as it is stored]
//! ```
//!
//! A row is written with the session's own, and goes in the write that stores the message, so that
//! a crash neither loses nor repeats it. A message that nobody stores goes out before its row does.

use bytes::Bytes;
use model::record::{Address, Space};
use model::subject::Subject;
use protocol::Publish;
use storage::{Engine, Op};

use super::{Session, Sessions, cursor_name};
use crate::message::record_of;
use crate::open::{OpenError, each_row};
use crate::state::table;

/// A will that is due, and the session whose row of it goes with it.
pub(crate) type DueWill = (Publish, Option<u64>);

impl Session {
    /// What keeps the will, if there is one.
    pub(super) fn will_row(&self, id: u64) -> Option<Op> {
        let (will, at_ms) = self.will.as_ref()?;
        // Only subjects outlive the server's run as addresses.
        let Address::Subject(space, subject) = &will.to else { return None };
        let value = meta::row::Writer::default()
            .number(at_ms.cast_unsigned())
            .flags(&[will.record.retain])
            .bytes(space.name().unwrap_or_default().as_bytes())
            .bytes(subject.as_bytes())
            .number(will.record.timestamp_ms.cast_unsigned())
            .bytes(&storage::record::encode(&will.to, &will.record))
            .finish();
        Some(Op::Put { table: table::WILLS, key: cursor_name(id), value })
    }

    /// The will is not published after all.
    pub(super) fn drop_will(&mut self, id: u64, ops: &mut Vec<Op>) {
        if self.will.take().is_some() && self.kept {
            ops.push(remove(id));
        }
    }

    /// The will is due now.
    pub(super) fn take_will(&mut self, id: u64) -> Option<DueWill> {
        let (will, _) = self.will.take()?;
        Some((will, self.kept.then_some(id)))
    }
}

impl Sessions {
    /// Wills that are due, to be published outside of the lock.
    pub(crate) fn take_wills(&mut self) -> Vec<DueWill> {
        std::mem::take(&mut self.wills)
    }

    /// There was no room for a will that is due.
    pub(crate) fn put_back_will(&mut self, will: Publish, session: u64) {
        self.refused_wills.push((will, session));
    }

    /// Lets wills be tried again that were refused.
    pub(crate) fn retry_wills(&mut self) {
        for (will, session) in std::mem::take(&mut self.refused_wills) {
            // Where the session has left another will since, the row is that one's.
            let is_own = self.map.get(&session).is_none_or(|session| session.will.is_none());
            self.wills.push((will, is_own.then_some(session)));
        }
    }

    /// Takes back all wills; those of sessions that have ended are due.
    pub(super) fn restore_wills(&mut self, engine: &dyn Engine) -> Result<(), OpenError> {
        each_row(engine, table::WILLS, |key, value| {
            let id = key[..].try_into().map(u64::from_be_bytes);
            let (Ok(id), Some(will)) = (id, read(value)) else { return false };
            self.see(id);
            match self.map.get_mut(&id) {
                Some(session) => session.will = Some(will),
                None => self.wills.push((will.0, Some(id))),
            }
            true
        })
    }
}

/// What lets go of a will's row.
pub(crate) fn remove(session: u64) -> Op {
    Op::Remove { table: table::WILLS, key: cursor_name(session) }
}

fn read(value: Bytes) -> Option<(Publish, i64)> {
    let mut row = meta::row::Reader::new(value).ok()?;
    let at_ms = row.number().ok()?.cast_signed();
    let [retain] = row.flags().ok()?;
    let space = row.bytes().ok()?;
    let space = match std::str::from_utf8(&space).ok()? {
        "" => Space::SHARED,
        name => Space::named(name),
    };
    let subject = Subject::from_canonical(row.bytes().ok()?).ok()?;
    let timestamp_ms = row.number().ok()?.cast_signed();
    let mut record = record_of(&subject, timestamp_ms, &row.bytes().ok()?)?;
    record.retain = retain;
    Some((Publish::new(Address::Subject(space, subject), record), at_ms))
}
