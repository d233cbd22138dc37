//! One member of a group.

use std::time::Duration;

use bytes::Bytes;
use kafka_codec::Text;
use kafka_codec::messages::JoinGroupRequest;
use kafka_codec::messages::join_group_request::JoinGroupRequestProtocol;

use super::command::Client;
use super::timers::Timer;
use super::turn::Waiter;

/// Bytes that a member takes beside what it brought, about.
const OVERHEAD_BYTES: usize = 512;
/// The first JoinGroup with a rebalance timeout; before, the session timeout is meant.
const FIRST_WITH_REBALANCE_TIMEOUT: i16 = 1;

/// A JoinGroup to be decided.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) waiter: Waiter,
    pub(super) client: Client,
    pub(super) request: JoinGroupRequest,
}

/// The answer that a member waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parked {
    Join(Waiter),
    Sync(Waiter),
}

/// One member of a group.
#[derive(Debug)]
pub(super) struct Member {
    /// `group.instance.id` of a static member (KIP-345).
    pub(super) instance: Option<Text>,
    pub(super) client: Client,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    /// What it speaks, the preferred one first, each name once.
    pub(super) protocols: Vec<(Text, Bytes)>,
    pub(super) assignment: Bytes,
    pub(super) parked: Option<Parked>,
    /// It has not had the answer to a join yet.
    pub(super) is_new: bool,
    /// It knows its id, so it can come back under it.
    pub(super) told: bool,
    /// It need not sync any more in this generation.
    pub(super) synced: bool,
    pub(super) session: Timer,
}

impl Member {
    pub(super) fn new(join: &Join) -> Self {
        let request = &join.request;
        let client = Client { host: join.client.host.detached(), id: join.client.id.detached() };
        let mut member = Self {
            instance: request.group_instance_id.as_ref().map(Text::detached),
            client,
            session_timeout: Duration::ZERO,
            rebalance_timeout: Duration::ZERO,
            protocols: Vec::new(),
            assignment: Bytes::new(),
            parked: None,
            is_new: true,
            told: false,
            synced: true,
            session: Timer::default(),
        };
        member.update(join);
        member
    }

    /// Takes over what a later join of the same member says.
    pub(super) fn update(&mut self, join: &Join) {
        let request = &join.request;
        self.session_timeout = milliseconds(request.session_timeout_ms).unwrap_or_default();
        self.rebalance_timeout = milliseconds(request.rebalance_timeout_ms)
            .filter(|_| join.waiter.version >= FIRST_WITH_REBALANCE_TIMEOUT)
            .unwrap_or(self.session_timeout);
        self.protocols = unique(&request.protocols)
            .into_iter()
            .map(|protocol| (protocol.name.detached(), Bytes::copy_from_slice(&protocol.metadata)))
            .collect();
    }

    /// Whether a join says nothing new.
    pub(super) fn matches(&self, protocols: &[JoinGroupRequestProtocol]) -> bool {
        let theirs = unique(protocols);
        let ours = &self.protocols;
        theirs.len() == ours.len()
            && theirs
                .iter()
                .zip(ours)
                .all(|(their, (name, metadata))| their.name == *name && their.metadata == *metadata)
    }

    /// What it says for a protocol.
    pub(super) fn metadata(&self, protocol: Option<&Text>) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| Some(name) == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// Bytes that it takes, about.
    pub(super) fn weight(&self) -> usize {
        let protocols: usize =
            self.protocols.iter().map(|(name, metadata)| 64 + name.len() + metadata.len()).sum();
        OVERHEAD_BYTES
            + self.instance.as_ref().map_or(0, Text::len)
            + self.client.host.len()
            + self.client.id.len()
            + protocols
            + self.assignment.len()
    }
}

fn milliseconds(number: i32) -> Option<Duration> {
    u64::try_from(number).ok().map(Duration::from_millis)
}

/// The protocols without repeated names; the first of a name counts.
fn unique(protocols: &[JoinGroupRequestProtocol]) -> Vec<&JoinGroupRequestProtocol> {
    let mut kept: Vec<&JoinGroupRequestProtocol> = Vec::with_capacity(protocols.len());
    for protocol in protocols {
        if !kept.iter().any(|earlier| earlier.name == protocol.name) {
            kept.push(protocol);
        }
    }
    kept
}
