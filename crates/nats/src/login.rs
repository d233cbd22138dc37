//! What CONNECT says of who the client is.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use nats_codec::ConnectText;
use protocol::{Credentials, Peer, Secret};

/// What is to be signed: nobody can guess it before the connection is there.
pub(crate) fn nonce(peer: &Peer) -> String {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&peer.seed.to_be_bytes());
    bytes[8..].copy_from_slice(&peer.conn.slot.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The credentials, in the order in which nats-server looks at them; `None` if the signature is
/// none.
pub(crate) fn credentials(text: &ConnectText, peer: &Peer) -> Option<Credentials> {
    let given = |text: &Option<String>| text.as_ref().filter(|text| !text.is_empty()).cloned();
    let secret = |text: String| Secret(Bytes::from(text));
    Some(if let Some(sig) = given(&text.sig) {
        let signature = URL_SAFE_NO_PAD.decode(&sig).or_else(|_| URL_SAFE.decode(&sig)).ok()?;
        Credentials::Nkey {
            key: given(&text.nkey).unwrap_or_default().into(),
            nonce: nonce(peer).into(),
            signature: signature.into(),
        }
    } else if let Some(token) = given(&text.jwt).or_else(|| given(&text.auth_token)) {
        Credentials::Token(secret(token))
    } else if let Some(user) = given(&text.user) {
        let password = secret(text.pass.clone().unwrap_or_default());
        Credentials::Password { user: user.into(), password }
    } else {
        Credentials::None
    })
}
