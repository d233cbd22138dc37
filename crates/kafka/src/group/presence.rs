//! SyncGroup, Heartbeat and LeaveGroup.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_codec::messages::leave_group_response::MemberResponse;
use kafka_codec::messages::{
    HeartbeatRequest, HeartbeatResponse, LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest,
    SyncGroupResponse,
};
use kafka_codec::{ErrorCode, Text};

use super::bounds::MEMBER_BYTES_PER_GROUP_MAX;
use super::member::Parked;
use super::state::{Group, State};
use super::timers::Due;
use super::turn::{Turn, Waiter};

/// The first LeaveGroup of several members.
const FIRST_LEAVE_OF_SEVERAL: i16 = 3;

/// The answer to a sync that fails.
pub(super) fn unsynced(code: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code: code.number(), ..Default::default() }
}

/// The answer to a heartbeat.
pub(super) fn heard(result: Result<(), ErrorCode>) -> HeartbeatResponse {
    let error_code = result.err().unwrap_or_default().number();
    HeartbeatResponse { error_code, ..Default::default() }
}

/// The answer to a LeaveGroup.
pub(super) fn left(
    version: i16,
    request: &LeaveGroupRequest,
    mut leave: impl FnMut(&Text, Option<&Text>) -> Result<(), ErrorCode>,
) -> LeaveGroupResponse {
    let mut code =
        |id: &Text, instance: Option<&Text>| leave(id, instance).err().unwrap_or_default().number();
    if version < FIRST_LEAVE_OF_SEVERAL {
        let error_code = code(&request.member_id, None);
        return LeaveGroupResponse { error_code, ..Default::default() };
    }
    let members = request.members.iter().map(|member| MemberResponse {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        error_code: code(&member.member_id, member.group_instance_id.as_ref()),
    });
    LeaveGroupResponse { members: members.collect(), ..Default::default() }
}

impl Group {
    /// Decides a sync: the leader's ends the rebalance, the others' wait for it.
    pub(super) fn sync(&mut self, waiter: Waiter, request: &SyncGroupRequest, turn: &mut Turn<'_>) {
        if let Err(code) = self.try_sync(waiter, request, turn) {
            turn.answer(waiter, &unsynced(code));
        }
    }

    fn try_sync(
        &mut self,
        waiter: Waiter,
        request: &SyncGroupRequest,
        turn: &mut Turn<'_>,
    ) -> Result<(), ErrorCode> {
        let id = &request.member_id;
        self.check_member(id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |theirs: &Option<Text>, ours: &Option<Text>| {
            theirs.is_some() && ours.is_some() && theirs != ours
        };
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty => Err(ErrorCode::UnknownMemberId),
            State::Preparing => Err(ErrorCode::RebalanceInProgress),
            State::Completing => {
                if self.leader.as_ref() == Some(id) {
                    self.take_assignments(request, turn)?;
                    self.synced(id, turn);
                    turn.answer(waiter, &self.assignment(id));
                    self.answer_syncs(turn);
                } else {
                    self.synced(id, turn);
                    self.park(id, Parked::Sync(waiter), turn);
                }
                Ok(())
            }
            State::Stable => {
                self.synced(id, turn);
                turn.answer(waiter, &self.assignment(id));
                Ok(())
            }
        }
    }

    fn synced(&mut self, id: &Text, turn: &mut Turn<'_>) {
        self.set_synced(id, true);
        self.touch(id, None, turn);
        if self.unsynced == 0 {
            turn.timers.clear(&mut self.sync_timer, &self.id, &Due::Sync);
        }
    }

    /// The leader's assignment: members that it left out get an empty one.
    fn take_assignments(
        &mut self,
        request: &SyncGroupRequest,
        turn: &Turn<'_>,
    ) -> Result<(), ErrorCode> {
        let assignments: BTreeMap<&Text, &Bytes> =
            request.assignments.iter().map(|it| (&it.member_id, &it.assignment)).collect();
        let known = assignments.iter().filter(|(id, _)| self.members.contains_key(**id));
        let new: usize = known.map(|(_, assignment)| assignment.len()).sum();
        let old: usize = self.members.values().map(|member| member.assignment.len()).sum();
        let grown = new.saturating_sub(old);
        if grown > turn.room || self.member_bytes() + grown > MEMBER_BYTES_PER_GROUP_MAX {
            return Err(ErrorCode::InvalidRequest);
        }
        self.assign(|id| {
            assignments.get(id).map(|bytes| Bytes::copy_from_slice(bytes)).unwrap_or_default()
        });
        self.state = State::Stable;
        Ok(())
    }

    fn answer_syncs(&mut self, turn: &mut Turn<'_>) {
        for id in self.ids() {
            if let Some(Parked::Sync(waiter)) = self.unpark(&id, turn) {
                turn.answer(waiter, &self.assignment(&id));
                self.touch(&id, None, turn);
            }
        }
    }

    fn assignment(&self, id: &Text) -> SyncGroupResponse {
        SyncGroupResponse {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            assignment: self
                .members
                .get(id)
                .map(|member| member.assignment.clone())
                .unwrap_or_default(),
            ..Default::default()
        }
    }

    /// Decides a heartbeat.
    pub(super) fn heartbeat(
        &mut self,
        request: &HeartbeatRequest,
        turn: &mut Turn<'_>,
    ) -> Result<(), ErrorCode> {
        let id = &request.member_id;
        self.check_member(id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        match self.state {
            State::Empty => Err(ErrorCode::UnknownMemberId),
            State::Preparing => {
                self.keep(id, turn);
                Err(ErrorCode::RebalanceInProgress)
            }
            State::Completing | State::Stable => {
                self.keep(id, turn);
                Ok(())
            }
        }
    }

    /// A member has shown that it lives. One that waits for its first join keeps the longer wait.
    pub(super) fn keep(&mut self, id: &Text, turn: &mut Turn<'_>) {
        if self.members.get(id).is_some_and(|member| !member.is_new) {
            self.touch(id, None, turn);
        }
    }

    /// Members leave; the rest rebalances once for all of them.
    pub(super) fn leave(
        &mut self,
        version: i16,
        request: &LeaveGroupRequest,
        turn: &mut Turn<'_>,
    ) -> LeaveGroupResponse {
        let mut gone = false;
        let response = left(version, request, |id, instance| {
            gone |= self.leave_one(id, instance, turn)?;
            Ok(())
        });
        if gone {
            self.rebalance(turn);
        } else {
            // An id that nobody waits for any longer may have been the last one missing.
            self.try_complete(turn);
        }
        response
    }

    /// Whether a member left; an id that was not used yet is no member.
    fn leave_one(
        &mut self,
        id: &Text,
        instance: Option<&Text>,
        turn: &mut Turn<'_>,
    ) -> Result<bool, ErrorCode> {
        if let Some(instance) = instance
            && id.is_empty()
        {
            let id = self.statics.get(instance).cloned().ok_or(ErrorCode::UnknownMemberId)?;
            self.remove(&id, turn);
            return Ok(true);
        }
        if instance.is_none() && self.drop_pending(id, turn) {
            return Ok(false);
        }
        self.check_member(id, instance)?;
        self.remove(id, turn);
        Ok(true)
    }
}
