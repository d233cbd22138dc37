//! Dead letters of group cursors: the copy is appended in the write that says that the record is
//! done with. One at a time for each cursor, as its state is written as a whole.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::record::Cause;
use protocol::{DeadLetter, Message};
use storage::Op;

use crate::completion::{Completion, Step};
use crate::queues::{Loaded, load_at};
use crate::state::Core;
use crate::stats::add;
use crate::timers::Due;
use crate::turn::Turn;

/// When storage is asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// A record on its way to where dead letters go.
#[derive(Debug)]
pub(crate) struct Burial {
    /// The cursor.
    pub(crate) number: u64,
    pub(crate) offset: u64,
    pub(crate) cause: Cause,
    /// The cursor without the record.
    image: Op,
}

impl Burial {
    /// What settles the record with its burial.
    pub(crate) fn settle(&self) -> Op {
        self.image.clone()
    }
}

/// What is to be buried, and where.
pub(crate) struct Corpse {
    pub(crate) burial: Burial,
    pub(crate) message: Arc<Message>,
    pub(crate) name: Bytes,
    pub(crate) to: DeadLetter,
}

impl Core {
    /// Has the dead of a cursor buried, after this turn.
    pub(super) fn bury_soon(&mut self, turn: &Turn<'_>, number: u64) {
        let waits = |group: &super::Group| !group.dead.is_empty() && !group.burying;
        if self.cursors.map.get(&number).is_some_and(waits) {
            turn.shared.mail.post(turn.worker, Completion(Step::BuryRecord(number)));
        }
    }

    /// The next dead record of a cursor.
    pub(crate) fn next_corpse(&mut self, turn: &Turn<'_>, number: u64) -> Option<Corpse> {
        loop {
            let group = self.cursors.map.get_mut(&number).filter(|group| !group.burying)?;
            let (offset, cause) = group.dead.pop_front()?;
            let to = group.policy.dead_letter.clone()?;
            let message = match load_at(turn, group.log, offset, false) {
                Loaded::Here(message, _) => message,
                Loaded::Unreadable => {
                    group.dead.push_front((offset, cause));
                    self.timer(turn, turn.now.instant + AGAIN, Due::Records(number));
                    return None;
                }
                Loaded::Lost => {
                    group.window.done(offset);
                    self.changed(turn, number);
                    continue;
                }
            };
            let name = group.name.clone();
            if self.leads_somewhere(&to) {
                let group = self.cursors.map.get_mut(&number)?;
                group.burying = true;
                let image = group.image(number, Some(offset));
                let burial = Burial { number, offset, cause, image };
                return Some(Corpse { burial, message, name, to });
            }
            add(&turn.shared.counters.dead_letters_lost, 1);
            if let Some(group) = self.cursors.map.get_mut(&number) {
                group.window.done(offset);
            }
            self.changed(turn, number);
        }
    }

    /// A record is buried, with its copy or without.
    pub(crate) fn record_buried(&mut self, turn: &Turn<'_>, burial: &Burial, copied: bool) {
        let counters = &turn.shared.counters;
        add(if copied { &counters.dead_lettered } else { &counters.dead_letters_lost }, 1);
        if let Some(group) = self.cursors.map.get_mut(&burial.number) {
            group.burying = false;
            group.window.done(burial.offset);
        }
        self.changed(turn, burial.number);
        self.bury_soon(turn, burial.number);
        // There is a place for another record.
        turn.shared.mail.post(turn.worker, Completion(Step::Records(burial.number)));
    }

    /// Storage took neither its copy nor that it is done with: once more, later.
    pub(crate) fn record_not_buried(&mut self, turn: &Turn<'_>, burial: &Burial) {
        if let Some(group) = self.cursors.map.get_mut(&burial.number) {
            group.burying = false;
            group.dead.push_front((burial.offset, burial.cause));
        }
        self.timer(turn, turn.now.instant + AGAIN, Due::Records(burial.number));
    }
}
