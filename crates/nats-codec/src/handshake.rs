//! The JSON of INFO and CONNECT.
//!
//! Unknown keys are ignored and `null` means absent, as in nats-server; only what a client
//! connection uses is kept. Fields that belong to routes, gateways and leaf nodes are not here.

use serde::{Deserialize, Serialize};

use crate::Malformed;

/// What a client says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Wants `+OK` for every operation; the server's default is on.
    pub verbose: bool,
    /// Wants subjects checked on publish; the server's default is on.
    pub pedantic: bool,
    /// Wants its own messages back; the server's default is on.
    pub echo: bool,
    /// Understands HMSG.
    pub headers: bool,
    /// Wants a 503 for a request that nobody serves; needs `headers`.
    pub no_responders: bool,
    /// 1 if it takes INFO at any time, else 0; anything else is refused by servers.
    pub protocol: i64,
    /// Asks for TLS.
    pub tls_required: bool,
    /// The remaining, textual fields.
    pub text: ConnectText,
}

/// The textual fields of CONNECT, absent as empty options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectText {
    /// Name of the connection, for operators.
    pub name: Option<String>,
    /// Language of the client library.
    pub lang: Option<String>,
    /// Version of the client library.
    pub version: Option<String>,
    /// User for password login.
    pub user: Option<String>,
    /// Password.
    pub pass: Option<String>,
    /// Token login.
    pub auth_token: Option<String>,
    /// Public key for signed login.
    pub nkey: Option<String>,
    /// User JWT.
    pub jwt: Option<String>,
    /// Signature of the nonce, base64url.
    pub sig: Option<String>,
}

/// CONNECT as it stands on the wire: every key optional.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct ConnectJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    verbose: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pedantic: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_required: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nkey: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lang: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    echo: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_responders: Option<bool>,
}

impl Default for Connect {
    /// What a server assumes of `CONNECT {}`, and of a client that never sent one.
    fn default() -> Self {
        ConnectJson::default().into()
    }
}

impl From<ConnectJson> for Connect {
    fn from(json: ConnectJson) -> Self {
        Self {
            verbose: json.verbose.unwrap_or(true),
            pedantic: json.pedantic.unwrap_or(true),
            echo: json.echo.unwrap_or(true),
            headers: json.headers.unwrap_or(false),
            no_responders: json.no_responders.unwrap_or(false),
            protocol: json.protocol.unwrap_or(0),
            tls_required: json.tls_required.unwrap_or(false),
            text: ConnectText {
                name: json.name,
                lang: json.lang,
                version: json.version,
                user: json.user,
                pass: json.pass,
                auth_token: json.auth_token,
                nkey: json.nkey,
                jwt: json.jwt,
                sig: json.sig,
            },
        }
    }
}

impl Connect {
    /// A quiet client of today: no `+OK`, headers and no-responders on, INFO at any time.
    #[must_use]
    pub fn modern() -> Self {
        Self {
            verbose: false,
            pedantic: false,
            headers: true,
            no_responders: true,
            protocol: 1,
            ..Self::default()
        }
    }

    pub(crate) fn parse(json: &[u8]) -> Result<Self, Malformed> {
        object(json)?;
        let json: ConnectJson = serde_json::from_slice(json).map_err(|_| Malformed::BadJson)?;
        Ok(json.into())
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        let text = self.text.clone();
        let json = ConnectJson {
            verbose: Some(self.verbose),
            pedantic: Some(self.pedantic),
            tls_required: Some(self.tls_required),
            auth_token: text.auth_token,
            user: text.user,
            pass: text.pass,
            nkey: text.nkey,
            jwt: text.jwt,
            sig: text.sig,
            name: text.name,
            lang: text.lang,
            version: text.version,
            protocol: Some(self.protocol),
            echo: Some(self.echo),
            headers: Some(self.headers),
            no_responders: Some(self.no_responders),
        };
        serde_json::to_vec(&json).expect("a struct of booleans and strings always serialises")
    }
}

/// What a server says about itself, in the order in which nats-server writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Info {
    /// Unique id of the running server.
    pub server_id: String,
    /// Its name.
    pub server_name: String,
    /// Its version; clients compare it to learn what it can do.
    pub version: String,
    /// 1: understands that clients take INFO at any time.
    pub proto: i64,
    /// Commit that it was built from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_commit: Option<String>,
    /// Go version, for servers written in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub go: Option<String>,
    /// Address of the listener.
    pub host: String,
    /// Port of the listener.
    pub port: u16,
    /// Whether HPUB and HMSG are understood.
    pub headers: bool,
    /// CONNECT must carry credentials.
    #[serde(skip_serializing_if = "is_false")]
    pub auth_required: bool,
    /// TLS is demanded.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_required: bool,
    /// TLS is offered.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_available: bool,
    /// Most bytes of headers and payload together.
    pub max_payload: u64,
    /// Whether JetStream is served.
    #[serde(skip_serializing_if = "is_false")]
    pub jetstream: bool,
    /// Number of this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<u64>,
    /// Address of the client as the server sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// Challenge for signed login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Name of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Addresses of further servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    /// The server is about to stop: go elsewhere.
    #[serde(skip_serializing_if = "is_false")]
    pub ldm: bool,
    /// This INFO answers the first PING after CONNECT.
    #[serde(skip_serializing_if = "is_false")]
    pub connect_info: bool,
    /// Account that the client was bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_account: Option<String>,
    /// Level of the JetStream API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_lvl: Option<i64>,
    /// Public encryption key of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xkey: Option<String>,
}

impl Info {
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Malformed> {
        object(json)?;
        serde_json::from_slice(json).map_err(|_| Malformed::BadJson)
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a struct of numbers and strings always serialises")
    }
}

/// Refuses an array, which serde would take for a struct by position.
fn object(json: &[u8]) -> Result<(), Malformed> {
    if json.trim_ascii_start().first() == Some(&b'{') { Ok(()) } else { Err(Malformed::BadJson) }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_false(value: &bool) -> bool {
    !value
}
