//! Who is at the other end: what a session hands over for its client, in no protocol's words.

use std::fmt;

use bytes::Bytes;

/// Bytes that are never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub Bytes);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Asks to be let in as whoever the credentials say.
#[derive(Debug)]
pub struct Authenticate {
    /// What the client presented.
    pub credentials: Credentials,
    /// What the client calls itself (an MQTT client id), for grants that name it; may be empty.
    pub client: Bytes,
}

/// What a client presents.
#[derive(Debug)]
pub enum Credentials {
    /// Nothing; its certificate may say who it is.
    None,
    /// A name and a password.
    Password {
        /// The name.
        user: Bytes,
        /// The password, or a token in its place.
        password: Secret,
    },
    /// A token that says who it is.
    Token(Secret),
    /// A signature of the nonce that the session sent (NATS nkeys).
    Nkey {
        /// The public key, as text.
        key: Bytes,
        /// What was to be signed.
        nonce: Bytes,
        /// The raw signature.
        signature: Bytes,
    },
    /// A message of a SASL mechanism that takes several.
    Sasl {
        /// Its name, as registered (`SCRAM-SHA-256`).
        mechanism: &'static str,
        /// The client's message.
        message: Secret,
    },
}

impl Credentials {
    /// Whether nothing was presented.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// The client is who it said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authenticated {
    /// The user's name.
    pub user: Bytes,
    /// The mechanism's last word to the client, where it has one.
    pub last: Bytes,
}
