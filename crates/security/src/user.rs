//! Users and roles: who has which grants and which credentials.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Credential, Grant};

/// Longest name of a user or role, in bytes.
const NAME_MAX: usize = 128;
/// Most grants of a user or role.
const GRANTS_MAX: usize = 1024;
/// Most roles of a user.
const ROLES_MAX: usize = 64;
/// Most credentials of a user.
const CREDENTIALS_MAX: usize = 16;

/// A named list of grants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// What it gives and takes away.
    #[serde(default)]
    pub grants: Vec<Grant>,
}

/// Someone who may log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The name.
    pub name: String,
    /// The names of the roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Grants of this user alone.
    #[serde(default)]
    pub grants: Vec<Grant>,
    /// What proves the user, at rest.
    #[serde(default)]
    pub credentials: Vec<Credential>,
    /// Whether the user may log in.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

/// What is wrong with a user or role.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UserError {
    /// The name.
    #[error("a name has 1 to {NAME_MAX} bytes, and no control characters")]
    Name,
    /// Too many of them.
    #[error("at most {1} {0}")]
    TooMany(&'static str, usize),
    /// The row is none.
    #[error("damaged: {0}")]
    Row(String),
}

fn row(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("it has nothing that JSON has not")
}

/// Whether this can be the name of a user or role.
///
/// # Errors
///
/// [`UserError::Name`].
pub fn check_name(name: &str) -> Result<(), UserError> {
    let possible = (1..=NAME_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
    if possible { Ok(()) } else { Err(UserError::Name) }
}

fn bounded(what: &'static str, count: usize, most: usize) -> Result<(), UserError> {
    if count <= most { Ok(()) } else { Err(UserError::TooMany(what, most)) }
}

impl Role {
    /// Whether it is within the limits.
    ///
    /// # Errors
    ///
    /// [`UserError`].
    pub fn check(&self) -> Result<(), UserError> {
        check_name(&self.name)?;
        bounded("grants", self.grants.len(), GRANTS_MAX)
    }

    /// As a durable row.
    pub fn encode(&self) -> Vec<u8> {
        row(self)
    }

    /// From a row.
    ///
    /// # Errors
    ///
    /// [`UserError::Row`].
    pub fn decode(row: &[u8]) -> Result<Self, UserError> {
        serde_json::from_slice(row).map_err(|error| UserError::Row(error.to_string()))
    }
}

impl User {
    /// A user who may log in, and nothing else.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            roles: Vec::new(),
            grants: Vec::new(),
            credentials: Vec::new(),
            enabled: true,
        }
    }

    /// Whether it is within the limits.
    ///
    /// # Errors
    ///
    /// [`UserError`].
    pub fn check(&self) -> Result<(), UserError> {
        check_name(&self.name)?;
        bounded("grants", self.grants.len(), GRANTS_MAX)?;
        bounded("roles", self.roles.len(), ROLES_MAX)?;
        bounded("credentials", self.credentials.len(), CREDENTIALS_MAX)
    }

    /// As a durable row.
    pub fn encode(&self) -> Vec<u8> {
        row(self)
    }

    /// From a row.
    ///
    /// # Errors
    ///
    /// [`UserError::Row`].
    pub fn decode(row: &[u8]) -> Result<Self, UserError> {
        serde_json::from_slice(row).map_err(|error| UserError::Row(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_went() {
        let mut user = User::new("ada");
        user.grants.push("allow publish subject a/**".parse().expect("valid"));
        user.credentials.push(Credential::password(b"secret", &[7; 16]).expect("hashed"));
        assert_eq!(User::decode(&user.encode()), Ok(user.clone()));
        assert!(!format!("{user:?}").contains("argon2"), "not even hashes are printed");
        assert!(User::decode(b"{\"name\":\"a\",\"colour\":1}").is_err());
    }

    #[test]
    fn limits_hold() {
        assert!(User::new("").check().is_err() && User::new("a\nb").check().is_err());
        let grants = vec!["allow all queue **".parse().expect("valid"); GRANTS_MAX + 1];
        let role = Role { name: "r".to_owned(), grants };
        assert_eq!(role.check(), Err(UserError::TooMany("grants", GRANTS_MAX)));
    }
}
