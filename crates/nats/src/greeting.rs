//! What INFO tells a client about this server.

use nats_codec::Info;
use protocol::Peer;

use crate::login;

/// The level of the NATS protocol that is spoken: clients compare it to learn what a server can
/// do. It is that of the nats-server whose behaviour the tests hold us to, and not our version.
const LEVEL: &str = "2.12.0";

/// The name of the only account there is, as nats-server calls it.
const ACCOUNT: &str = "$G";

/// The first INFO of a connection.
pub(crate) fn info(peer: &Peer) -> Info {
    let node = &peer.node;
    Info {
        server_id: node.cluster_id.clone(),
        server_name: format!("robustmq-{}", node.id),
        version: LEVEL.to_owned(),
        proto: 1,
        host: peer.local.ip().to_string(),
        port: peer.local.port(),
        headers: true,
        auth_required: peer.login,
        nonce: Some(login::nonce(peer)),
        max_payload: node.limits.message_bytes as u64,
        // Within the integers that JavaScript clients keep exactly.
        client_id: Some(peer.seed >> 11),
        client_ip: Some(peer.remote.ip().to_string()),
        ..Info::default()
    }
}

/// The INFO that follows the first PONG, for clients that take it at any time.
pub(crate) fn connect_info(peer: &Peer) -> Info {
    Info { connect_info: true, remote_account: Some(ACCOUNT.to_owned()), ..info(peer) }
}

/// The INFO of a server that is about to go down.
pub(crate) fn lame_duck(peer: &Peer) -> Info {
    Info { ldm: true, ..info(peer) }
}
