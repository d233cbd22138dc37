//! A group: its state, its members, and the invariants between them.
//!
//! ```text
//!          first join                  all joined                 leader's sync
//!  Empty -------------> Preparing ------------------> Completing ---------------> Stable
//!    ^                    |  ^ ^                           |                        |
//!    '---- nobody left ---'  | '---- join, leave, expiry --'                        |
//!                            '------------------ join, leave, expiry ---------------'
//! ```
//!
//! Kafka's fifth state, Dead, is a group that is not there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_codec::messages::{JoinGroupResponse, SyncGroupResponse};
use kafka_codec::{ErrorCode, Text};
use protocol::ConnId;

use super::bounds::{SWEEP_EVERY, VACANT_KEPT};
use super::member::{Member, Parked};
use super::offsets::Offsets;
use super::timers::{Due, Timer};
use super::turn::Turn;

/// Bytes of a group beside its members and offsets, about.
const OVERHEAD_BYTES: usize = 512;
/// Bytes of an id that was given out, about.
pub(super) const PENDING_BYTES: usize = 512;

/// Where a group is in its rebalance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No members; perhaps offsets.
    Empty,
    /// The members are waited for.
    Preparing,
    /// They have joined; the leader's assignment is waited for.
    Completing,
    /// Everybody can have an assignment.
    Stable,
}

impl State {
    pub(super) const fn name(self) -> Text {
        Text::from_static(match self {
            Self::Empty => "Empty",
            Self::Preparing => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        })
    }
}

/// An id that was given out and not used yet.
#[derive(Debug)]
pub(super) struct Pending {
    conn: ConnId,
    timer: Timer,
}

/// One group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: Text,
    pub(super) state: State,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<Text>,
    /// The chosen protocol of this generation.
    pub(super) protocol: Option<Text>,
    pub(super) leader: Option<Text>,
    pub(super) members: BTreeMap<Text, Member>,
    /// Member ids of the static members, by instance id.
    pub(super) statics: BTreeMap<Text, Text>,
    /// Ids that were given out and not used yet (KIP-394).
    pub(super) pending: BTreeMap<Text, Pending>,
    /// How many members speak each protocol.
    supported: BTreeMap<Text, usize>,
    /// Members that are parked in a join.
    pub(super) joining: usize,
    /// Members that are not synced.
    pub(super) unsynced: usize,
    member_bytes: usize,
    pub(super) offsets: Offsets,
    /// When the last member left; of a restored group, when this run first looked.
    pub(super) empty_since_ms: i64,
    vacant_since: Option<Instant>,
    pub(super) join_timer: Timer,
    pub(super) sync_timer: Timer,
    sweep_timer: Timer,
    /// The weight that the node's sum holds for this group.
    pub(super) counted: usize,
}

impl Group {
    /// An empty group.
    pub(super) fn new(id: &Text, unix_ms: i64) -> Self {
        Self {
            id: id.detached(),
            state: State::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            pending: BTreeMap::new(),
            supported: BTreeMap::new(),
            joining: 0,
            unsynced: 0,
            member_bytes: 0,
            offsets: Offsets::default(),
            empty_since_ms: unix_ms,
            vacant_since: None,
            join_timer: Timer::default(),
            sync_timer: Timer::default(),
            sweep_timer: Timer::default(),
            counted: 0,
        }
    }

    /// Bytes that it holds, about.
    pub(super) fn weight(&self) -> usize {
        OVERHEAD_BYTES
            + self.member_bytes
            + self.pending.len() * PENDING_BYTES
            + self.offsets.bytes()
    }

    pub(super) fn member_bytes(&self) -> usize {
        self.member_bytes
    }

    /// The end of a turn: arms the sweep. False when the group need not exist any longer.
    pub(super) fn settle(&mut self, turn: &mut Turn<'_>) -> bool {
        let vacant = self.state == State::Empty
            && self.members.is_empty()
            && self.pending.is_empty()
            && self.offsets.is_empty();
        let now = turn.now.instant;
        let wait = if vacant {
            let since = *self.vacant_since.get_or_insert(now);
            // A group that never had a generation was never seen by anybody.
            if self.generation == 0 || now.saturating_duration_since(since) >= VACANT_KEPT {
                return false;
            }
            VACANT_KEPT
        } else {
            self.vacant_since = None;
            SWEEP_EVERY
        };
        turn.timers.set_by(&mut self.sweep_timer, now + wait, &self.id, &Due::Sweep);
        true
    }

    /// Takes back all deadlines and answers whoever waits: the group is about to be dropped.
    pub(super) fn close(&mut self, turn: &mut Turn<'_>) {
        while let Some((id, _)) = self.members.first_key_value() {
            let id = id.clone();
            self.remove(&id, turn);
        }
        while let Some((id, _)) = self.pending.first_key_value() {
            let id = id.clone();
            self.drop_pending(&id, turn);
        }
        turn.timers.clear(&mut self.join_timer, &self.id, &Due::Join);
        turn.timers.clear(&mut self.sync_timer, &self.id, &Due::Sync);
        turn.timers.clear(&mut self.sweep_timer, &self.id, &Due::Sweep);
    }

    /// A deadline was taken out of the set.
    pub(super) fn ring(&mut self, due: &Due, turn: &mut Turn<'_>) {
        let now = turn.now.instant;
        match due {
            Due::Session(id) => {
                let Some(member) = self.members.get_mut(id) else { return };
                if turn.timers.ring(&mut member.session, now, &self.id, due) {
                    self.session_expired(id, turn);
                }
            }
            Due::Pending(id) => {
                let Some(pending) = self.pending.get_mut(id) else { return };
                if turn.timers.ring(&mut pending.timer, now, &self.id, due) {
                    self.drop_pending(id, turn);
                    self.try_complete(turn);
                }
            }
            Due::Join => {
                if turn.timers.ring(&mut self.join_timer, now, &self.id, due) {
                    self.complete(turn);
                }
            }
            Due::Sync => {
                if turn.timers.ring(&mut self.sync_timer, now, &self.id, due) {
                    self.sync_expired(turn);
                }
            }
            Due::Sweep => {
                if turn.timers.ring(&mut self.sweep_timer, now, &self.id, due) {
                    self.sweep(turn);
                }
            }
        }
    }

    /// Whether the request comes from who it says.
    pub(super) fn check_member(&self, id: &Text, instance: Option<&Text>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            match self.statics.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if current != id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Expects a member under an id that was just given out.
    pub(super) fn expect(&mut self, id: &Text, conn: ConnId, wait: Duration, turn: &mut Turn<'_>) {
        let mut timer = Timer::default();
        let due = Due::Pending(id.clone());
        turn.timers.set(&mut timer, turn.now.instant + wait, &self.id, &due);
        turn.parked.insert((conn, self.id.clone(), id.clone()));
        self.pending.insert(id.clone(), Pending { conn, timer });
    }

    /// Expects it no longer; false if it was not expected.
    pub(super) fn drop_pending(&mut self, id: &Text, turn: &mut Turn<'_>) -> bool {
        let Some(mut pending) = self.pending.remove(id) else { return false };
        turn.timers.clear(&mut pending.timer, &self.id, &Due::Pending(id.clone()));
        turn.parked.remove(&(pending.conn, self.id.clone(), id.clone()));
        true
    }

    /// Puts a member in. It is not in the group.
    pub(super) fn insert(&mut self, id: &Text, member: Member) {
        if self.members.is_empty() {
            self.leader = None;
        }
        if let Some(instance) = &member.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.count(&member);
        let before = self.members.insert(id.clone(), member);
        debug_assert!(before.is_none(), "a member is put in once");
    }

    /// Takes a member out; what it waits for ends with UNKNOWN_MEMBER_ID, so that it joins anew.
    pub(super) fn remove(&mut self, id: &Text, turn: &mut Turn<'_>) {
        if let Some(member) = self.take(id, ErrorCode::UnknownMemberId, turn) {
            if let Some(instance) = &member.instance
                && self.statics.get(instance) == Some(id)
            {
                self.statics.remove(instance);
            }
            if self.leader.as_ref() == Some(id) {
                self.leader = self.members.keys().next().cloned();
            }
        }
    }

    /// Takes a member out; its place as a leader and as an instance is left to the caller.
    pub(super) fn take(
        &mut self,
        id: &Text,
        code: ErrorCode,
        turn: &mut Turn<'_>,
    ) -> Option<Member> {
        self.dismiss(id, code, turn);
        let mut member = self.members.remove(id)?;
        turn.timers.clear(&mut member.session, &self.id, &Due::Session(id.clone()));
        self.uncount(&member);
        Some(member)
    }

    fn count(&mut self, member: &Member) {
        self.member_bytes += member.weight();
        self.unsynced += usize::from(!member.synced);
        for (protocol, _) in &member.protocols {
            *self.supported.entry(protocol.clone()).or_default() += 1;
        }
    }

    fn uncount(&mut self, member: &Member) {
        self.member_bytes -= member.weight();
        self.unsynced -= usize::from(!member.synced);
        for (protocol, _) in &member.protocols {
            if let Some(count) = self.supported.get_mut(protocol) {
                *count -= 1;
                if *count == 0 {
                    self.supported.remove(protocol);
                }
            }
        }
    }

    /// Changes a member, keeping the sums right.
    pub(super) fn change(&mut self, id: &Text, change: impl FnOnce(&mut Member)) {
        let Some((id, mut member)) = self.members.remove_entry(id) else { return };
        self.uncount(&member);
        change(&mut member);
        self.count(&member);
        self.members.insert(id, member);
    }

    /// Notes that a member has synced, or has to again.
    pub(super) fn set_synced(&mut self, id: &Text, synced: bool) {
        if let Some(member) = self.members.get_mut(id)
            && member.synced != synced
        {
            member.synced = synced;
            if synced { self.unsynced -= 1 } else { self.unsynced += 1 }
        }
    }

    /// Changes a member's assignment, keeping the sum right.
    pub(super) fn assign(&mut self, mut assignment: impl FnMut(&Text) -> Bytes) {
        for (id, member) in &mut self.members {
            self.member_bytes -= member.assignment.len();
            member.assignment = assignment(id);
            self.member_bytes += member.assignment.len();
        }
    }

    /// Moves a member's session timeout: it was heard of.
    pub(super) fn touch(&mut self, id: &Text, wait: Option<Duration>, turn: &mut Turn<'_>) {
        if let Some(member) = self.members.get_mut(id) {
            let at = turn.now.instant + wait.unwrap_or(member.session_timeout);
            turn.timers.set(&mut member.session, at, &self.id, &Due::Session(id.clone()));
        }
    }

    /// Lets a member wait. What it waited for before ends with REBALANCE_IN_PROGRESS: it has asked
    /// again since.
    pub(super) fn park(&mut self, id: &Text, parked: Parked, turn: &mut Turn<'_>) {
        self.dismiss(id, ErrorCode::RebalanceInProgress, turn);
        let Some(member) = self.members.get_mut(id) else { return };
        let waiter = match parked {
            Parked::Join(waiter) => {
                self.joining += 1;
                waiter
            }
            Parked::Sync(waiter) => waiter,
        };
        turn.parked.insert((waiter.from.conn, self.id.clone(), id.clone()));
        member.parked = Some(parked);
    }

    /// What a member waits for, to be answered by the caller.
    pub(super) fn unpark(&mut self, id: &Text, turn: &mut Turn<'_>) -> Option<Parked> {
        let parked = self.members.get_mut(id)?.parked.take()?;
        let waiter = match parked {
            Parked::Join(waiter) => {
                self.joining -= 1;
                waiter
            }
            Parked::Sync(waiter) => waiter,
        };
        turn.parked.remove(&(waiter.from.conn, self.id.clone(), id.clone()));
        Some(parked)
    }

    /// Ends what a member waits for with an error.
    pub(super) fn dismiss(&mut self, id: &Text, code: ErrorCode, turn: &mut Turn<'_>) {
        match self.unpark(id, turn) {
            None => {}
            Some(Parked::Join(waiter)) => {
                let error_code = code.number();
                let member_id = id.clone();
                turn.answer(
                    waiter,
                    &JoinGroupResponse { error_code, member_id, ..Default::default() },
                );
            }
            Some(Parked::Sync(waiter)) => {
                let error_code = code.number();
                turn.answer(waiter, &SyncGroupResponse { error_code, ..Default::default() });
            }
        }
    }

    /// The connection of a waiting member is gone.
    ///
    /// The member stays until its session times out, but it is waited for again. One that was
    /// never told its id cannot come back, so it goes at once; an id that was not used yet goes
    /// too, or the others would wait for it. The caller then tries to complete the rebalance.
    pub(super) fn disconnect(&mut self, id: &Text, conn: ConnId, turn: &mut Turn<'_>) {
        if self.pending.get(id).is_some_and(|pending| pending.conn == conn) {
            self.drop_pending(id, turn);
            return;
        }
        let Some(member) = self.members.get(id) else { return };
        let lost = !member.told && member.instance.is_none();
        let waits = member.parked.is_some_and(|parked| match parked {
            Parked::Join(waiter) | Parked::Sync(waiter) => waiter.from.conn == conn,
        });
        if !waits {
            return;
        }
        match self.unpark(id, turn) {
            None => {}
            Some(Parked::Join(_)) if lost => self.remove(id, turn),
            Some(Parked::Join(_)) => self.touch(id, None, turn),
            Some(Parked::Sync(_)) => {
                self.set_synced(id, false);
                self.touch(id, None, turn);
            }
        }
    }

    /// How many members speak a protocol.
    pub(super) fn speakers(&self, protocol: &Text) -> usize {
        self.supported.get(protocol).copied().unwrap_or(0)
    }
}
