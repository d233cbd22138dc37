//! What ListGroups and DescribeGroups tell about a group.

use kafka_codec::messages::ListGroupsRequest;
use kafka_codec::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_codec::messages::list_groups_response::ListedGroup;
use kafka_codec::{ErrorCode, Text};

use super::state::{Group, State};

/// The first DescribeGroups in which a group that is not there is an error (KIP-1043).
const FIRST_WITH_NOT_FOUND: i16 = 6;

const DEAD: Text = Text::from_static("Dead");
/// The only type of group that is spoken (KIP-848 has others).
const CLASSIC: Text = Text::from_static("classic");

/// What is told about a group that is not there.
pub(super) fn unknown(group_id: Text, version: i16) -> DescribedGroup {
    let dead = DescribedGroup { group_id, group_state: DEAD, ..Default::default() };
    if version < FIRST_WITH_NOT_FOUND {
        return dead;
    }
    DescribedGroup {
        error_code: ErrorCode::GroupIdNotFound.number(),
        error_message: Some(Text::from(format!("Group {} not found.", dead.group_id))),
        ..dead
    }
}

impl Group {
    /// Whether the filters let it through; an empty filter lets all through.
    pub(super) fn passes(&self, request: &ListGroupsRequest) -> bool {
        let passes = |filter: &[Text], value: &Text| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
        };
        passes(&request.states_filter, &self.state.name())
            && passes(&request.types_filter, &CLASSIC)
    }

    pub(super) fn listed(&self) -> ListedGroup {
        ListedGroup {
            group_id: self.id.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            group_state: self.state.name(),
            group_type: CLASSIC,
        }
    }

    /// Metadata and assignments are told of a stable group only: before, they do not fit together.
    pub(super) fn described(&self) -> DescribedGroup {
        let stable = self.state == State::Stable;
        let protocol = self.protocol.as_ref().filter(|_| stable);
        let members = self.members.iter().map(|(id, member)| DescribedGroupMember {
            member_id: id.clone(),
            group_instance_id: member.instance.clone(),
            client_id: member.client.id.clone(),
            client_host: member.client.host.clone(),
            member_metadata: member.metadata(protocol),
            member_assignment: if stable { member.assignment.clone() } else { Default::default() },
        });
        DescribedGroup {
            group_id: self.id.clone(),
            group_state: self.state.name(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol_data: protocol.cloned().unwrap_or_default(),
            members: members.collect(),
            ..Default::default()
        }
    }
}
