//! The rebalance: waiting for members to join, choosing the protocol, the next generation.

use std::time::Duration;

use kafka_codec::{ErrorCode, Text};

use super::member::Parked;
use super::state::{Group, State};
use super::timers::Due;
use super::turn::Turn;

impl Group {
    /// The membership has changed: a rebalance begins, or the running one may be complete.
    pub(super) fn rebalance(&mut self, turn: &mut Turn<'_>) {
        match self.state {
            State::Preparing => self.try_complete(turn),
            State::Empty | State::Completing | State::Stable => self.prepare(turn),
        }
    }

    /// A rebalance begins. There is no initial delay (`group.initial.rebalance.delay.ms` = 0).
    fn prepare(&mut self, turn: &mut Turn<'_>) {
        if self.state == State::Completing {
            for id in self.ids() {
                // Only syncs are waited for here, but for the join that began this rebalance.
                if let Some(Parked::Sync(_)) = self.members.get(&id).and_then(|it| it.parked) {
                    self.dismiss(&id, ErrorCode::RebalanceInProgress, turn);
                }
            }
        }
        turn.timers.clear(&mut self.sync_timer, &self.id, &Due::Sync);
        self.state = State::Preparing;
        self.await_joins(turn);
        self.try_complete(turn);
    }

    fn await_joins(&mut self, turn: &mut Turn<'_>) {
        let at = turn.now.instant + self.rebalance_timeout();
        turn.timers.set(&mut self.join_timer, at, &self.id, &Due::Join);
    }

    /// The longest that any member may take to rejoin.
    fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// Ends the wait if nobody is missing.
    pub(super) fn try_complete(&mut self, turn: &mut Turn<'_>) {
        let all = self.joining == self.members.len() && self.pending.is_empty();
        if self.state == State::Preparing && (all || self.members.is_empty()) {
            self.complete(turn);
        }
    }

    /// The wait is over: who has not joined is out, the others are the next generation.
    ///
    /// Static members may be away during a rebalance: they stay until their session times out.
    pub(super) fn complete(&mut self, turn: &mut Turn<'_>) {
        turn.timers.clear(&mut self.join_timer, &self.id, &Due::Join);
        let missing = self.members.iter().filter(|(_, member)| member.parked.is_none());
        let missing = missing.filter(|(_, member)| member.instance.is_none());
        for id in missing.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.remove(&id, turn);
        }
        if self.members.is_empty() {
            self.generation = self.generation.checked_add(1).unwrap_or(1);
            self.state = State::Empty;
            self.protocol = None;
            self.leader = None;
            self.empty_since_ms = turn.now.unix_ms;
            return;
        }
        if !self.elect() {
            // Only static members, all away.
            self.await_joins(turn);
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.select();
        self.state = State::Completing;
        self.answer_joins(turn);
        let at = turn.now.instant + self.rebalance_timeout();
        turn.timers.set(&mut self.sync_timer, at, &self.id, &Due::Sync);
    }

    /// Makes sure that the leader is one who has joined.
    fn elect(&mut self) -> bool {
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader));
        if leader.is_some_and(|leader| leader.parked.is_some()) {
            return true;
        }
        let joined = self.members.iter().find(|(_, member)| member.parked.is_some());
        let joined = joined.map(|(id, _)| id.clone());
        let found = joined.is_some();
        if found {
            self.leader = joined;
        }
        found
    }

    fn answer_joins(&mut self, turn: &mut Turn<'_>) {
        for id in self.ids() {
            let Some(Parked::Join(waiter)) = self.unpark(&id, turn) else {
                // DEVIATES: Kafka also expects a sync of static members that are away, and so loses
                // them after the rebalance timeout, however long their session timeout is.
                self.set_synced(&id, true);
                continue;
            };
            turn.answer(waiter, &self.joined(&id, self.roll(&id)));
            if let Some(member) = self.members.get_mut(&id) {
                (member.is_new, member.told) = (false, true);
            }
            self.set_synced(&id, false);
            self.touch(&id, None, turn);
        }
    }

    pub(super) fn ids(&self) -> Vec<Text> {
        self.members.keys().cloned().collect()
    }

    /// The protocol that most members prefer among those that all speak; with equal votes the
    /// leader's order decides.
    pub(super) fn select(&self) -> Option<Text> {
        let members = self.members.len();
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader));
        let leader = leader.or_else(|| self.members.values().next())?;
        let candidates = leader.protocols.iter().map(|(name, _)| name);
        let mut votes: Vec<(&Text, usize)> = candidates
            .filter(|name| self.speakers(name) == members)
            .map(|name| (name, 0))
            .collect();
        for member in self.members.values() {
            let preferred = member
                .protocols
                .iter()
                .find_map(|(name, _)| votes.iter().position(|(candidate, _)| *candidate == name));
            if let Some((_, count)) = preferred.and_then(|at| votes.get_mut(at)) {
                *count += 1;
            }
        }
        // The first of the highest, not the last.
        let most = votes.iter().map(|(_, count)| *count).max()?;
        votes.iter().find(|(_, count)| *count == most).map(|(name, _)| (*name).clone())
    }

    /// Members that have not synced in time are out.
    pub(super) fn sync_expired(&mut self, turn: &mut Turn<'_>) {
        let late = self.members.iter().filter(|(_, member)| !member.synced);
        let late: Vec<Text> = late.map(|(id, _)| id.clone()).collect();
        if late.is_empty() {
            return;
        }
        for id in late {
            self.remove(&id, turn);
        }
        self.rebalance(turn);
    }

    /// A member was silent for its session timeout.
    pub(super) fn session_expired(&mut self, id: &Text, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get(id) else { return };
        if member.parked.is_some() && !member.is_new {
            // It cannot speak while it waits for us. Its connection is there.
            self.touch(id, None, turn);
            return;
        }
        self.remove(id, turn);
        self.rebalance(turn);
    }
}
