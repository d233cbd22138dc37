//! What proves a user, as it is kept: never the secret itself.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;
/// Rounds of SCRAM's key derivation where nobody says otherwise (Kafka's default).
pub const SCRAM_ITERATIONS: u32 = 4096;
/// Rounds that are taken: below, guessing is cheap; above, a login is an attack.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=1_000_000;
/// Longest password, in bytes.
const PASSWORD_MAX: usize = 1024;
/// Memory of argon2id in KiB, passes, lanes: the smallest memory that OWASP advises (7 MiB and 5
/// passes), so that a gateway can afford it.
const ARGON2: (u32, u32, u32) = (7168, 5, 1);

/// A hash function of SCRAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mechanism {
    /// SCRAM-SHA-256 (RFC 7677).
    #[serde(rename = "SCRAM-SHA-256")]
    Sha256,
    /// SCRAM-SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    Sha512,
}

impl Mechanism {
    /// The mechanism's registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// The mechanism of this name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|mechanism| mechanism.as_str() == name)
    }

    pub(crate) fn hash(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    pub(crate) fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        const ANY_LENGTH: &str = "a key of any length is a key";
        match self {
            Self::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY_LENGTH);
                mac.update(data);
                mac.finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                let mut mac = Hmac::<Sha512>::new_from_slice(key).expect(ANY_LENGTH);
                mac.update(data);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    fn derive(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut key = vec![0; self.hash(b"").len()];
        match self {
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut key),
            Self::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut key),
        }
        key
    }
}

/// Bytes that stand in rows as base64.
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(de::Error::custom)
    }
}

/// What proves a user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Credential {
    /// A password, by its argon2id hash in PHC form.
    Password {
        /// `$argon2id$v=19$...`
        hash: String,
    },
    /// A password, by what SCRAM keeps of it.
    Scram {
        /// The hash function.
        mechanism: Mechanism,
        /// The salt.
        #[serde(with = "base64_bytes")]
        salt: Vec<u8>,
        /// Rounds.
        iterations: u32,
        /// `H(ClientKey)`.
        #[serde(with = "base64_bytes")]
        stored_key: Vec<u8>,
        /// `ServerKey`.
        #[serde(with = "base64_bytes")]
        server_key: Vec<u8>,
    },
    /// A random token, by its SHA-256.
    Token {
        /// The digest.
        #[serde(with = "base64_bytes")]
        sha256: Vec<u8>,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why there is no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CredentialError {
    /// Empty or too long, or with characters that SCRAM does not take (RFC 4013).
    #[error("a password has 1 to {PASSWORD_MAX} bytes and no unassigned or control characters")]
    Password,
    /// Too few or too many rounds.
    #[error("SCRAM takes {} to {} iterations", ITERATIONS.start(), ITERATIONS.end())]
    Iterations,
    /// A salt or a key of another length.
    #[error("a salt has 8 to 64 bytes, and a key as many as the hash")]
    Salt,
}

impl Credential {
    /// A password, hashed. Takes some milliseconds by intent.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Password`].
    pub fn password(password: &[u8], salt: &[u8; SALT_BYTES]) -> Result<Self, CredentialError> {
        if password.is_empty() || password.len() > PASSWORD_MAX {
            return Err(CredentialError::Password);
        }
        let hash: PasswordHash = argon2()
            .hash_password_with_salt(password, salt)
            .map_err(|_| CredentialError::Password)?;
        Ok(Self::Password { hash: hash.to_string() })
    }

    /// What SCRAM keeps of a password.
    ///
    /// # Errors
    ///
    /// [`CredentialError`].
    pub fn scram(
        mechanism: Mechanism,
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Result<Self, CredentialError> {
        let prepared = stringprep::saslprep(password).map_err(|_| CredentialError::Password)?;
        if prepared.is_empty() || prepared.len() > PASSWORD_MAX {
            return Err(CredentialError::Password);
        }
        check_rounds(salt, iterations)?;
        let salted = mechanism.derive(prepared.as_bytes(), salt, iterations);
        Self::scram_salted(mechanism, &salted, salt, iterations)
    }

    /// The same from the salted password, as Kafka's AlterUserScramCredentials brings it.
    ///
    /// # Errors
    ///
    /// [`CredentialError`].
    pub fn scram_salted(
        mechanism: Mechanism,
        salted: &[u8],
        salt: &[u8],
        iterations: u32,
    ) -> Result<Self, CredentialError> {
        check_rounds(salt, iterations)?;
        if salted.len() != mechanism.hash(b"").len() {
            return Err(CredentialError::Salt);
        }
        let client_key = mechanism.hmac(salted, b"Client Key");
        Ok(Self::Scram {
            mechanism,
            salt: salt.to_vec(),
            iterations,
            stored_key: mechanism.hash(&client_key),
            server_key: mechanism.hmac(salted, b"Server Key"),
        })
    }

    /// A token, which is random and long: a plain digest keeps it.
    pub fn token(token: &[u8]) -> Self {
        Self::Token { sha256: Sha256::digest(token).to_vec() }
    }

    /// Whether this password is the one. Takes some milliseconds by intent.
    pub fn is_password(&self, password: &[u8]) -> bool {
        if password.len() > PASSWORD_MAX {
            return false;
        }
        match self {
            Self::Password { hash } => PasswordHash::new(hash)
                .is_ok_and(|hash| argon2().verify_password(password, &hash).is_ok()),
            Self::Scram { mechanism, salt, iterations, stored_key, .. } => {
                let Ok(text) = std::str::from_utf8(password) else { return false };
                let Ok(prepared) = stringprep::saslprep(text) else { return false };
                let salted = mechanism.derive(prepared.as_bytes(), salt, *iterations);
                let client_key = mechanism.hmac(&salted, b"Client Key");
                mechanism.hash(&client_key).ct_eq(stored_key).into()
            }
            Self::Token { .. } => false,
        }
    }

    /// Whether this token is the one.
    pub fn is_token(&self, token: &[u8]) -> bool {
        match self {
            Self::Token { sha256 } => Sha256::digest(token).as_slice().ct_eq(sha256).into(),
            Self::Password { .. } | Self::Scram { .. } => false,
        }
    }

    /// What it is, without what is in it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Password { .. } => "password",
            Self::Scram { mechanism, .. } => mechanism.as_str(),
            Self::Token { .. } => "token",
        }
    }
}

fn check_rounds(salt: &[u8], iterations: u32) -> Result<(), CredentialError> {
    if !ITERATIONS.contains(&iterations) {
        return Err(CredentialError::Iterations);
    }
    if (8..=64).contains(&salt.len()) { Ok(()) } else { Err(CredentialError::Salt) }
}

fn argon2() -> Argon2<'static> {
    let (memory, passes, lanes) = ARGON2;
    let params = Params::new(memory, passes, lanes, None).expect("within argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_proves_itself_and_no_other() {
        let argon = Credential::password(b"secret", &[1; SALT_BYTES]).expect("hashed");
        let scram = Credential::scram(Mechanism::Sha512, "secret", &[2; 16], 4096).expect("hashed");
        for credential in [argon, scram] {
            assert!(credential.is_password(b"secret"));
            assert!(!credential.is_password(b"Secret") && !credential.is_password(b""));
            assert!(!credential.is_token(b"secret"));
        }
        assert!(Credential::token(b"t").is_token(b"t") && !Credential::token(b"t").is_token(b"u"));
    }

    #[test]
    fn what_makes_no_credential_is_refused() {
        assert_eq!(Credential::password(b"", &[1; 16]), Err(CredentialError::Password));
        let long = vec![b'a'; PASSWORD_MAX + 1];
        assert_eq!(Credential::password(&long, &[1; 16]), Err(CredentialError::Password));
        let scram = |password, salt: &[u8], rounds| {
            Credential::scram(Mechanism::Sha256, password, salt, rounds)
        };
        assert_eq!(scram("a", &[1; 16], 1000), Err(CredentialError::Iterations));
        assert_eq!(scram("a", &[1; 4], 4096), Err(CredentialError::Salt));
        assert_eq!(scram("a\u{7}", &[1; 16], 4096), Err(CredentialError::Password));
    }
}
