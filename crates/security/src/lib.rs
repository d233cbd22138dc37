//! Who may do what, as one model for all protocols (ADR 19).
//!
//! ```text
//! pattern     the one glob grammar, over subjects and names alike
//! grant       allow|deny ACTIONS KIND PATTERN
//! user        users and roles: who has which grants and which credentials
//! policy      all users and roles; from an identity to what it may do
//! access      what one client may do: asked for every request
//! credential  what proves a user, at rest
//! scram       the server's half of SCRAM
//! ```
//!
//! Absent: I/O, clocks, randomness, protocols.

mod access;
mod credential;
mod grant;
mod pattern;
mod policy;
mod scram;
mod user;

pub use access::{Access, Cover, Explanation, Verdict};
pub use credential::{Credential, CredentialError, Mechanism, SALT_BYTES, SCRAM_ITERATIONS};
pub use grant::{Action, Actions, Effect, Grant, GrantError, Kind};
pub use pattern::{Pattern, PatternError, Symbol};
pub use policy::{ADMIN, ANONYMOUS, Identity, Policy, PolicyError};
pub use scram::{Exchange, Refused};
pub use user::{Role, User, UserError, check_name};
