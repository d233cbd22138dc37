//! Logging in: SaslHandshake chooses a mechanism, SaslAuthenticate carries its messages (KIP-43,
//! KIP-152). Whether the client is who it says is decided by the broker.

use bytes::Bytes;
use kafka_codec::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_codec::{ApiKey, ErrorCode, Text};
use protocol::{Authenticate, Credentials, Refusal, Reply, Request, Secret};

use crate::call::{Begun, Call, Desk, Step};

const PLAIN: &str = "PLAIN";
const OAUTHBEARER: &str = "OAUTHBEARER";

/// How far the client of a connection has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Login {
    /// It has not said who it is.
    #[default]
    Fresh,
    /// It will say so by this mechanism.
    Chosen(&'static str),
    /// Its message is being looked at; nothing else is done meanwhile.
    Asked(&'static str),
    /// It was let in.
    In,
    /// It was refused: the connection ends when it has been told.
    Refused,
}

impl Login {
    /// Whether this may be done already, where nobody is served without having been let in.
    pub(crate) fn admits(self, api: ApiKey) -> bool {
        let before = [ApiKey::ApiVersions, ApiKey::SaslHandshake, ApiKey::SaslAuthenticate];
        self == Self::In || before.contains(&api)
    }
}

/// What is offered: SCRAM and OAUTHBEARER join PLAIN once there are users to prove.
const MECHANISMS: [&str; 1] = [PLAIN];

pub(crate) fn handshake(request: &SaslHandshakeRequest, desk: &mut Desk<'_>) -> Begun {
    let chosen =
        MECHANISMS.into_iter().find(|name| name.as_bytes() == request.mechanism.as_bytes());
    let error = match chosen {
        // In version 0 the mechanism's messages follow without Kafka's headers.
        _ if desk.version() == 0 => ErrorCode::UnsupportedVersion,
        Some(name) => {
            *desk.login = Login::Chosen(name);
            ErrorCode::None
        }
        None => ErrorCode::UnsupportedSaslMechanism,
    };
    let mechanisms = MECHANISMS.into_iter().map(Text::from).collect();
    Begun::answer(SaslHandshakeResponse { error_code: error.into(), mechanisms })
}

pub(crate) fn authenticate(request: &SaslAuthenticateRequest, desk: &mut Desk<'_>) -> Begun {
    let Login::Chosen(mechanism) = *desk.login else {
        let text = "SaslHandshake comes first";
        return Begun::answer(refused(ErrorCode::IllegalSaslState, text));
    };
    let Some(credentials) = credentials(mechanism, &request.auth_bytes) else {
        *desk.login = Login::Refused;
        let text = format!("not a message of {mechanism}");
        return Begun::answer(refused(ErrorCode::SaslAuthenticationFailed, &text));
    };
    *desk.login = Login::Asked(mechanism);
    let client = desk.header.client_id.as_ref().map(|id| Bytes::copy_from_slice(id.as_bytes()));
    let client = client.unwrap_or_default();
    desk.ask(0, Request::Authenticate(Authenticate { credentials, client }));
    Begun::waiting(Waiting)
}

/// What the client says; `None` if it is not what the mechanism has.
fn credentials(mechanism: &'static str, message: &Bytes) -> Option<Credentials> {
    match mechanism {
        PLAIN => {
            // RFC 4616: `[authorization] NUL name NUL password`.
            let mut parts = message.split(|byte| *byte == 0);
            let (of, user, password) = (parts.next()?, parts.next()?, parts.next()?);
            if parts.next().is_some() || !(of.is_empty() || of == user) {
                return None;
            }
            Some(Credentials::Password {
                user: Bytes::copy_from_slice(user),
                password: Secret(Bytes::copy_from_slice(password)),
            })
        }
        OAUTHBEARER => {
            // RFC 7628: `n,,` SOH `auth=Bearer TOKEN` SOH [more pairs] SOH.
            let mut fields = message.split(|byte| *byte == 1);
            fields.next().filter(|gs2| gs2.starts_with(b"n,"))?;
            let token = fields.find_map(|field| field.strip_prefix(b"auth=Bearer "))?;
            Some(Credentials::Token(Secret(Bytes::copy_from_slice(token))))
        }
        mechanism => Some(Credentials::Sasl { mechanism, message: Secret(message.clone()) }),
    }
}

fn refused(code: ErrorCode, text: &str) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse {
        error_code: code.into(),
        error_message: Some(text.into()),
        ..Default::default()
    }
}

/// A message of the mechanism is being looked at.
#[derive(Debug)]
struct Waiting;

impl Call for Waiting {
    fn reply(&mut self, _index: u32, reply: Reply, desk: &mut Desk<'_>) -> Step {
        let Login::Asked(mechanism) = *desk.login else { return Step::Silent };
        let said = |auth_bytes| SaslAuthenticateResponse { auth_bytes, ..Default::default() };
        let (login, response) = if let Reply::Authenticated(is) = reply {
            (Login::In, said(is.last))
        } else if let Reply::Challenge(challenge) = reply {
            (Login::Chosen(mechanism), said(challenge))
        } else {
            let text = if let Reply::Refused(Refusal::NotAllowed) = reply {
                "the name or what proves it is wrong"
            } else {
                "nobody can be let in at present"
            };
            (Login::Refused, refused(ErrorCode::SaslAuthenticationFailed, text))
        };
        *desk.login = login;
        Step::answer(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_one_user_who_acts_for_nobody_else() {
        let read = |message: &'static [u8]| credentials(PLAIN, &Bytes::from_static(message));
        let Some(Credentials::Password { user, password }) = read(b"\0ada\0secret") else {
            panic!("a name and a password");
        };
        assert_eq!((&user[..], &password.0[..]), (&b"ada"[..], &b"secret"[..]));
        assert!(read(b"ada\0ada\0secret").is_some());
        assert!(read(b"root\0ada\0secret").is_none());
        assert!(read(b"\0ada").is_none());
        assert!(read(b"\0ada\0secret\0more").is_none());
    }

    #[test]
    fn a_bearer_token_is_found_among_the_pairs() {
        let message = Bytes::from_static(b"n,,\x01host=h\x01auth=Bearer abc.def\x01\x01");
        let Some(Credentials::Token(token)) = credentials(OAUTHBEARER, &message) else {
            panic!("a token");
        };
        assert_eq!(&token.0[..], b"abc.def");
        assert!(credentials(OAUTHBEARER, &Bytes::from_static(b"auth=Bearer abc")).is_none());
    }
}
