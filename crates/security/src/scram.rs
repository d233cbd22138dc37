//! The server's half of SCRAM (RFC 5802, RFC 7677), without channel binding.
//!
//! ```text
//! client-first  n,,n=user,r=nonce            -> server-first r=nonce+ours,s=salt,i=rounds
//! client-final  c=biws,r=nonce+ours,p=proof  -> server-final v=signature
//! ```
//!
//! A user who is not there is asked as one who is, with a salt that stays the same, so that nobody
//! learns names by asking.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use crate::credential::{Credential, Mechanism, SALT_BYTES, SCRAM_ITERATIONS};

/// Longest message of a client.
const MESSAGE_MAX: usize = 4096;

/// The client is not let in, or its message is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// An exchange after the client's first message.
#[derive(Debug)]
pub struct Exchange {
    mechanism: Mechanism,
    /// The user that the client names.
    pub user: String,
    client_first_bare: String,
    nonce: String,
    sent: Option<Sent>,
}

#[derive(Debug)]
struct Sent {
    server_first: String,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
    /// The user is there.
    real: bool,
}

impl Exchange {
    /// Takes in the client's first message. `random` is ours, 18 bytes that nobody can guess.
    ///
    /// # Errors
    ///
    /// [`Refused`] for a message of another form, one that wants channel binding, or one that acts
    /// for another user.
    pub fn begin(mechanism: Mechanism, message: &[u8], random: &[u8; 18]) -> Result<Self, Refused> {
        let text = text_of(message)?;
        let mut parts = text.splitn(3, ',');
        let (Some(flag), Some(acts_for), Some(bare)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(Refused);
        };
        // `y`: the client could bind channels and thinks that we cannot, which is so.
        if !matches!(flag, "n" | "y") || bare.starts_with("m=") {
            return Err(Refused);
        }
        let mut fields = bare.split(',');
        let user = fields.next().and_then(|field| field.strip_prefix("n=")).ok_or(Refused)?;
        let nonce = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or(Refused)?;
        if nonce.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refused);
        }
        let user = unescaped(user)?;
        let user = stringprep::saslprep(&user).map_err(|_| Refused)?.into_owned();
        let acts_for = acts_for.strip_prefix("a=").map(unescaped).transpose()?;
        if user.is_empty() || acts_for.is_some_and(|other| !other.is_empty() && other != user) {
            return Err(Refused);
        }
        Ok(Self {
            mechanism,
            user,
            client_first_bare: bare.to_owned(),
            nonce: format!("{nonce}{}", STANDARD.encode(random)),
            sent: None,
        })
    }

    /// The server's first message, for the credentials of the user; `secret` is the server's own,
    /// for users who are not there.
    pub fn challenge(&mut self, credentials: &[Credential], secret: &[u8]) -> String {
        let own = credentials.iter().find_map(|credential| match credential {
            Credential::Scram { mechanism, salt, iterations, stored_key, server_key }
                if *mechanism == self.mechanism =>
            {
                Some((salt.clone(), *iterations, stored_key.clone(), server_key.clone()))
            }
            Credential::Scram { .. } | Credential::Password { .. } | Credential::Token { .. } => {
                None
            }
        });
        let real = own.is_some();
        let (salt, iterations, stored_key, server_key) = own.unwrap_or_else(|| {
            let salt = self.mechanism.hmac(secret, self.user.as_bytes());
            let key = self.mechanism.hmac(secret, &salt);
            (salt[..SALT_BYTES].to_vec(), SCRAM_ITERATIONS, key.clone(), key)
        });
        let server_first = format!("r={},s={},i={iterations}", self.nonce, STANDARD.encode(salt));
        self.sent = Some(Sent { server_first: server_first.clone(), stored_key, server_key, real });
        server_first
    }

    /// Takes in the client's last message, and gives the server's.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the proof is not that of the user's password, or the nonce another one.
    pub fn finish(self, message: &[u8]) -> Result<String, Refused> {
        let Some(sent) = self.sent else { return Err(Refused) };
        let text = text_of(message)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Refused)?;
        let mut fields = without_proof.split(',');
        let binding = fields.next().and_then(|field| field.strip_prefix("c=")).ok_or(Refused)?;
        let nonce = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or(Refused)?;
        let header = STANDARD.decode(binding).map_err(|_| Refused)?;
        if !(header.starts_with(b"n,") || header.starts_with(b"y,")) || nonce != self.nonce {
            return Err(Refused);
        }
        let mut proof = STANDARD.decode(proof).map_err(|_| Refused)?;
        let auth = format!("{},{},{without_proof}", self.client_first_bare, sent.server_first);
        let signature = self.mechanism.hmac(&sent.stored_key, auth.as_bytes());
        if proof.len() != signature.len() {
            return Err(Refused);
        }
        for (byte, other) in proof.iter_mut().zip(signature) {
            *byte ^= other;
        }
        let right: bool = self.mechanism.hash(&proof).ct_eq(&sent.stored_key).into();
        if !right || !sent.real {
            return Err(Refused);
        }
        let signature = self.mechanism.hmac(&sent.server_key, auth.as_bytes());
        Ok(format!("v={}", STANDARD.encode(signature)))
    }
}

fn text_of(message: &[u8]) -> Result<&str, Refused> {
    if message.len() > MESSAGE_MAX {
        return Err(Refused);
    }
    std::str::from_utf8(message).map_err(|_| Refused)
}

/// A name in which `,` and `=` stand as `=2C` and `=3D`.
fn unescaped(name: &str) -> Result<String, Refused> {
    let mut parts = name.split('=');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (letter, rest) = match part.get(..2) {
            Some("2C") => (',', &part[2..]),
            Some("3D") => ('=', &part[2..]),
            _ => return Err(Refused),
        };
        whole.push(letter);
        whole.push_str(rest);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";

    /// The exchange of RFC 7677, section 3, whose server part of the nonce is no base64.
    fn rfc7677() -> Exchange {
        let mut exchange =
            Exchange::begin(Mechanism::Sha256, FIRST, &[0; 18]).expect("well-formed");
        exchange.nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned();
        exchange
    }

    fn pencil() -> Credential {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        Credential::scram(Mechanism::Sha256, "pencil", &salt, 4096).expect("a password")
    }

    const FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    #[test]
    fn the_exchange_of_the_rfc_comes_out_as_there() {
        let mut exchange = rfc7677();
        assert_eq!(
            exchange.challenge(&[pencil()], b"server"),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let last = exchange.finish(FINAL.as_bytes());
        assert_eq!(last.as_deref(), Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    }

    #[test]
    fn another_nonce_or_proof_is_refused() {
        for wrong in [
            FINAL.replace("$k0", "$k1"),
            FINAL.replace(
                "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
                "r=rOprNGfwEbeRWgbNEkqO",
            ),
            FINAL.replace("p=dHzb", "p=eHzb"),
            FINAL.replace("c=biws", "c=cD10bHM="),
            "c=biws".to_owned(),
        ] {
            let mut exchange = rfc7677();
            exchange.challenge(&[pencil()], b"server");
            assert_eq!(exchange.finish(wrong.as_bytes()), Err(Refused), "{wrong}");
        }
    }

    #[test]
    fn users_who_are_not_there_are_asked_the_same_each_time_and_never_let_in() {
        let ask = || {
            let mut exchange = rfc7677();
            let challenge = exchange.challenge(&[], b"server");
            (challenge, exchange.finish(FINAL.as_bytes()))
        };
        assert_eq!(ask(), ask());
        assert_eq!(ask().1, Err(Refused));
    }

    #[test]
    fn first_messages_of_another_form_are_refused() {
        for wrong in [
            &b"p=tls-unique,,n=user,r=abc"[..],
            b"n,,n=user",
            b"n,,n=,r=abc",
            b"n,a=root,n=user,r=abc",
            b"n,,m=x,n=user,r=abc",
            b"n,,n=us=er,r=abc",
            b"n,,n=user,r=",
            b"\xff",
        ] {
            let begun = Exchange::begin(Mechanism::Sha512, wrong, &[0; 18]);
            assert_eq!(begun.err(), Some(Refused), "{}", String::from_utf8_lossy(wrong));
        }
        let escaped = Exchange::begin(Mechanism::Sha512, b"n,,n=a=2Cb=3D,r=x", &[0; 18]);
        assert_eq!(escaped.expect("well-formed").user, "a,b=");
    }
}
