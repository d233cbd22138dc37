//! What groups may take: names, counts and bytes.

use std::time::Duration;

/// Longest group id, in bytes.
pub const GROUP_ID_BYTES_MAX: usize = 1024;
/// Longest topic name in a commit, in bytes.
pub const TOPIC_BYTES_MAX: usize = 1024;
/// Longest `group.instance.id`, in bytes; Kafka's clients accept no longer one.
pub const INSTANCE_ID_BYTES_MAX: usize = 249;
/// Longest protocol type and protocol name, in bytes.
pub const PROTOCOL_BYTES_MAX: usize = 1024;
/// Most protocols (assignors) of one member.
pub const PROTOCOLS_MAX: usize = 100;
/// How much of a client id goes into the member ids made for it, in bytes.
pub const MEMBER_ID_PREFIX_BYTES_MAX: usize = 255;

/// Most groups of a node.
pub const GROUPS_MAX: usize = 100_000;
/// Most members of a group, counting those that were only given an id.
pub const MEMBERS_MAX: usize = 10_000;
/// Most bytes that the members of a group may bring: metadata, assignments, names.
pub const MEMBER_BYTES_PER_GROUP_MAX: usize = 32 * 1024 * 1024;
/// Most committed offsets of a group.
pub const OFFSETS_PER_GROUP_MAX: usize = 100_000;
/// Longest metadata of a committed offset, in bytes (`offset.metadata.max.bytes`).
pub const OFFSET_METADATA_BYTES_MAX: usize = 4096;
/// Most bytes that all groups of a node hold.
pub const NODE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Shortest session timeout (`group.min.session.timeout.ms`).
pub const SESSION_TIMEOUT_MIN: Duration = Duration::from_secs(6);
/// Longest session timeout (`group.max.session.timeout.ms`).
pub const SESSION_TIMEOUT_MAX: Duration = Duration::from_secs(30 * 60);
/// How long the first join of a new member may wait for the others; it is then told to try again.
pub const NEW_MEMBER_JOIN_MAX: Duration = Duration::from_secs(5 * 60);
/// How long a group without members and offsets is still shown.
pub const VACANT_KEPT: Duration = Duration::from_secs(10 * 60);
/// How often the offsets of a group are looked through for expired ones.
pub const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long offsets are kept after their group became empty (`offsets.retention.minutes`).
pub const OFFSETS_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Most timers that ring in one call; the rest rings in the next one, at once.
pub(super) const RINGS_PER_CALL: usize = 1_000;
