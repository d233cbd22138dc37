//! JoinGroup: who comes in, under which id, and whether that rebalances the group.
//!
//! A member without an id gets one: at once in old versions and if it is static, else by an error
//! that makes it join again with the id (KIP-394), so that a lost answer leaves no ghost behind.

use kafka_codec::messages::join_group_response::JoinGroupResponseMember;
use kafka_codec::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_codec::{ErrorCode, Text};

use super::bounds::{
    INSTANCE_ID_BYTES_MAX, MEMBER_BYTES_PER_GROUP_MAX, MEMBER_ID_PREFIX_BYTES_MAX, MEMBERS_MAX,
    NEW_MEMBER_JOIN_MAX, PROTOCOL_BYTES_MAX, PROTOCOLS_MAX, SESSION_TIMEOUT_MAX,
    SESSION_TIMEOUT_MIN,
};
use super::member::{Join, Member, Parked};
use super::state::{Group, PENDING_BYTES, State};
use super::turn::{Turn, Waiter};

/// The first version in which a new member is told its id before it is one (KIP-394).
const FIRST_WITH_REQUIRED_ID: i16 = 4;
/// The first version in which a leader can be told to leave the assignment alone (KIP-814).
const FIRST_WITH_SKIPPED_ASSIGNMENT: i16 = 9;

/// Checks what needs no group.
pub(super) fn check(request: &JoinGroupRequest) -> Result<(), ErrorCode> {
    let session_ms = i64::from(request.session_timeout_ms);
    let allowed = SESSION_TIMEOUT_MIN.as_millis()..=SESSION_TIMEOUT_MAX.as_millis();
    if !u128::try_from(session_ms).is_ok_and(|session_ms| allowed.contains(&session_ms)) {
        return Err(ErrorCode::InvalidSessionTimeout);
    }
    let instance_bytes = request.group_instance_id.as_ref().map_or(1, Text::len);
    let names = request.protocols.iter().map(|protocol| &protocol.name);
    let longest = names.chain([&request.protocol_type]).map(Text::len).max().unwrap_or(0);
    if !(1..=INSTANCE_ID_BYTES_MAX).contains(&instance_bytes)
        || longest > PROTOCOL_BYTES_MAX
        || request.protocols.len() > PROTOCOLS_MAX
    {
        return Err(ErrorCode::InvalidRequest);
    }
    Ok(())
}

/// The answer to a join that fails.
pub(super) fn refusal(code: ErrorCode, member_id: Text) -> JoinGroupResponse {
    JoinGroupResponse { error_code: code.number(), member_id, ..Default::default() }
}

impl Group {
    /// Decides a join that passed [`check`].
    pub(super) fn join(&mut self, join: &Join, turn: &mut Turn<'_>) {
        if let Err(code) = self.try_join(join, turn) {
            turn.answer(join.waiter, &refusal(code, join.request.member_id.clone()));
        }
    }

    fn try_join(&mut self, join: &Join, turn: &mut Turn<'_>) -> Result<(), ErrorCode> {
        let request = &join.request;
        if !self.supports(request) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let instance = request.group_instance_id.as_ref();
        if !request.member_id.is_empty() {
            if instance.is_none() && self.pending.contains_key(&request.member_id) {
                return self.join_as(&request.member_id.detached(), true, join, turn);
            }
            self.check_member(&request.member_id, instance)?;
            return self.rejoin(join, turn);
        }
        let current = instance.and_then(|instance| self.statics.get(instance)).cloned();
        if let Some(current) = current {
            return self.replace(&current, join, turn);
        }
        if self.members.len() + self.pending.len() >= MEMBERS_MAX {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        let id = fresh_id(join, turn);
        if instance.is_none() && join.waiter.version >= FIRST_WITH_REQUIRED_ID {
            return self.give_id(id, join, turn);
        }
        self.join_as(&id, false, join, turn)
    }

    /// Whether the protocols fit: any for the first member, else the group's type and at least one
    /// protocol that all members speak.
    fn supports(&self, request: &JoinGroupRequest) -> bool {
        if self.state == State::Empty {
            return !request.protocol_type.is_empty() && !request.protocols.is_empty();
        }
        let members = self.members.len();
        self.protocol_type.as_ref().is_none_or(|ours| *ours == request.protocol_type)
            && request.protocols.iter().any(|protocol| self.speakers(&protocol.name) == members)
    }

    fn give_id(&mut self, id: Text, join: &Join, turn: &mut Turn<'_>) -> Result<(), ErrorCode> {
        if turn.room < PENDING_BYTES {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        let wait = Member::new(join).session_timeout;
        self.expect(&id, join.waiter.from.conn, wait, turn);
        turn.answer(join.waiter, &refusal(ErrorCode::MemberIdRequired, id));
        Ok(())
    }

    /// A new member under this id.
    fn join_as(
        &mut self,
        id: &Text,
        told: bool,
        join: &Join,
        turn: &mut Turn<'_>,
    ) -> Result<(), ErrorCode> {
        let mut member = Member::new(join);
        member.told = told;
        self.check_room(member.weight(), 0, turn)?;
        self.drop_pending(id, turn);
        if self.members.is_empty() {
            self.protocol_type = Some(join.request.protocol_type.detached());
        }
        self.insert(id, member);
        self.park(id, Parked::Join(join.waiter), turn);
        self.touch(id, Some(NEW_MEMBER_JOIN_MAX), turn);
        self.rebalance(turn);
        Ok(())
    }

    fn check_room(&self, new: usize, old: usize, turn: &Turn<'_>) -> Result<(), ErrorCode> {
        let grown = new.saturating_sub(old);
        if grown > 0
            && (grown > turn.room || self.member_bytes() + grown > MEMBER_BYTES_PER_GROUP_MAX)
        {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        Ok(())
    }

    /// A member of the group joins again.
    fn rejoin(&mut self, join: &Join, turn: &mut Turn<'_>) -> Result<(), ErrorCode> {
        let id = join.request.member_id.clone();
        let Some(member) = self.members.get(&id) else { return Err(ErrorCode::UnknownMemberId) };
        let matches = member.matches(&join.request.protocols);
        let rebalances = match self.state {
            State::Empty => return Err(ErrorCode::UnknownMemberId),
            State::Preparing => true,
            // It may have missed the answer to its join.
            State::Completing => !matches,
            // A leader that joins again wants a new assignment, a follower only its place.
            State::Stable => !matches || self.leader.as_ref() == Some(&id),
        };
        if !rebalances {
            self.touch(&id, None, turn);
            turn.answer(join.waiter, &self.joined(&id, self.roll(&id)));
            return Ok(());
        }
        let mut updated = Member::new(join);
        updated.assignment = member.assignment.clone();
        self.check_room(updated.weight(), member.weight(), turn)?;
        self.change(&id, |member| {
            member.update(join);
            // It has used its id, so it knows it.
            (member.is_new, member.told) = (false, true);
        });
        self.park(&id, Parked::Join(join.waiter), turn);
        self.touch(&id, None, turn);
        self.rebalance(turn);
        Ok(())
    }

    /// A static member comes back without its member id: it gets a new one in the same place, and
    /// whoever still uses the old one is fenced off (KIP-345).
    fn replace(&mut self, old: &Text, join: &Join, turn: &mut Turn<'_>) -> Result<(), ErrorCode> {
        let Some(before) = self.members.get(old) else { return Err(ErrorCode::UnknownMemberId) };
        let mut member = Member::new(join);
        member.assignment = before.assignment.clone();
        member.is_new = before.is_new;
        member.synced = before.synced;
        self.check_room(member.weight(), before.weight(), turn)?;
        let id = fresh_id(join, turn);
        self.take(old, ErrorCode::FencedInstanceId, turn);
        let leader_before = self.leader.clone();
        if self.leader.as_ref() == Some(old) {
            self.leader = Some(id.clone());
        }
        self.insert(&id, member);
        if self.state == State::Stable && self.select() == self.protocol {
            self.touch(&id, None, turn);
            if let Some(member) = self.members.get_mut(&id) {
                (member.told, member.is_new) = (true, false);
            }
            turn.answer(join.waiter, &self.replaced(&id, leader_before, join.waiter));
            return Ok(());
        }
        self.park(&id, Parked::Join(join.waiter), turn);
        let wait = self.members.get(&id).filter(|member| member.is_new);
        let wait = wait.map(|_| NEW_MEMBER_JOIN_MAX);
        self.touch(&id, wait, turn);
        self.rebalance(turn);
        Ok(())
    }

    /// The answer to a static member whose assignment stays. If it leads the group it must not
    /// assign anew: where it cannot be told so, it is told that its old self leads.
    fn replaced(&self, id: &Text, before: Option<Text>, waiter: Waiter) -> JoinGroupResponse {
        if waiter.version >= FIRST_WITH_SKIPPED_ASSIGNMENT {
            let leads = self.leader.as_ref() == Some(id);
            return JoinGroupResponse { skip_assignment: leads, ..self.joined(id, self.roll(id)) };
        }
        JoinGroupResponse { leader: before.unwrap_or_default(), ..self.joined(id, Vec::new()) }
    }

    /// What the member is told about the others: everything if it leads, else nothing.
    pub(super) fn roll(&self, id: &Text) -> Vec<JoinGroupResponseMember> {
        if self.leader.as_ref() != Some(id) {
            return Vec::new();
        }
        let protocol = self.protocol.as_ref();
        let members = self.members.iter().map(|(id, member)| JoinGroupResponseMember {
            member_id: id.clone(),
            group_instance_id: member.instance.clone(),
            metadata: member.metadata(protocol),
        });
        members.collect()
    }

    /// The answer to a member of this generation.
    pub(super) fn joined(
        &self,
        id: &Text,
        members: Vec<JoinGroupResponseMember>,
    ) -> JoinGroupResponse {
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: id.clone(),
            members,
            ..Default::default()
        }
    }
}

/// A new member id: what the client calls itself, and something that nobody guesses.
fn fresh_id(join: &Join, turn: &mut Turn<'_>) -> Text {
    let called = join.request.group_instance_id.as_ref().unwrap_or(&join.client.id).as_str();
    let called = called.get(..called.floor_char_boundary(MEMBER_ID_PREFIX_BYTES_MAX));
    Text::from(format!("{}-{}", called.unwrap_or_default(), turn.random.uuid()))
}
