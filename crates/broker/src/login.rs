//! Clients let in, and the users and roles that decide about it: kept in a table, changed by
//! administrators, in effect at once.

use bytes::Bytes;
use protocol::{Authenticate, Authenticated, ConnId, Credentials, Notice, Refusal, Reply, Token};
use security::{Action, Kind, Policy, PolicyError, Role, User, UserError};
use storage::{Engine, Op};
use thiserror::Error;

use crate::completion::{Completion, Step};
use crate::desk::Desk;
use crate::guard::{AuditEvent, authenticated};
use crate::open::{Broker, OpenError, each_row, write};
use crate::port::{Attempt, Outcome};
use crate::state::table;
use crate::turn::Turn;

/// A client that said who it is, and what came of it.
#[derive(Debug)]
pub(crate) struct Login {
    conn: ConnId,
    token: Option<Token>,
    client: Bytes,
    outcome: Outcome,
}

/// A change of users and roles.
#[derive(Clone, Debug)]
pub enum Change {
    /// Adds or replaces a user.
    PutUser(User),
    /// Removes a user; its connections end.
    RemoveUser(String),
    /// Adds or replaces a role.
    PutRole(Role),
    /// Removes a role; a changed built-in one is as it was.
    RemoveRole(String),
}

/// Why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// There is no such user or role.
    #[error("there is no {0} {1:?}")]
    NotFound(&'static str, String),
    /// It is not within the limits.
    #[error(transparent)]
    Invalid(#[from] UserError),
    /// The policy does not take it.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// It cannot be kept.
    #[error("it cannot be stored: {0}")]
    Storage(String),
}

/// The row of a user or role: key and, if it is to be there, value.
fn row(kind: u8, name: &str, value: Option<Vec<u8>>) -> Op {
    let mut key = vec![kind];
    key.extend_from_slice(name.as_bytes());
    let (table, key) = (table::SECURITY, key.into());
    match value {
        Some(value) => Op::Put { table, key, value: value.into() },
        None => Op::Remove { table, key },
    }
}

const USER: u8 = b'u';
const ROLE: u8 = b'r';

/// The users and roles that an earlier run kept.
pub(crate) fn restore(engine: &dyn Engine) -> Result<Policy, OpenError> {
    let mut policy = Policy::default();
    each_row(engine, table::SECURITY, |key, value| match key.first() {
        Some(&USER) => User::decode(&value).is_ok_and(|user| policy.put_user(user).is_ok()),
        Some(&ROLE) => Role::decode(&value).is_ok_and(|role| policy.put_role(role).is_ok()),
        _ => false,
    })?;
    Ok(policy)
}

impl Broker {
    /// The users and roles at this moment.
    pub fn policy(&self) -> Policy {
        self.shared.guard.policy()
    }

    /// Changes users and roles: durable, then in effect for everyone who is connected. Blocks for
    /// a write. `by` and `unix_ms` are for the audit log.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; nothing was changed.
    ///
    /// # Panics
    ///
    /// When another change has panicked.
    pub fn change_policy(&self, change: Change, by: &str, unix_ms: i64) -> Result<(), ChangeError> {
        let _one_at_a_time = self.changing.lock().expect("no panic under this lock");
        let mut policy = self.policy();
        let (op, what) = match change {
            Change::PutUser(user) => {
                user.check()?;
                let op = row(USER, &user.name, Some(user.encode()));
                let what = format!("put user {}", user.name);
                policy.put_user(user)?;
                (op, what)
            }
            Change::RemoveUser(name) => {
                if !policy.remove_user(&name) {
                    return Err(ChangeError::NotFound("user", name));
                }
                (row(USER, &name, None), format!("remove user {name}"))
            }
            Change::PutRole(role) => {
                role.check()?;
                let op = row(ROLE, &role.name, Some(role.encode()));
                let what = format!("put role {}", role.name);
                policy.put_role(role)?;
                (op, what)
            }
            Change::RemoveRole(name) => {
                if !policy.remove_role(&name) {
                    return Err(ChangeError::NotFound("role", name));
                }
                (row(ROLE, &name, None), format!("remove role {name}"))
            }
        };
        write(&*self.shared.engine, vec![op])
            .map_err(|error| ChangeError::Storage(error.to_string()))?;
        let shared = &self.shared;
        let gone = shared.guard.set_policy(policy);
        shared.outdate_routes();
        for conn in gone {
            shared.mail.post(conn.worker, Completion(Step::Expel(conn)));
        }
        for worker in 0..shared.workers.load(std::sync::atomic::Ordering::Relaxed) {
            shared.mail.post(worker, Completion(Step::Recheck));
        }
        shared.guard.note(AuditEvent {
            number: 0,
            unix_ms,
            user: by.to_owned(),
            client: String::new(),
            what,
            result: "done",
        });
        Ok(())
    }

    /// What was refused and what administrators changed, behind this number, the oldest first; the
    /// last 1,024 are kept.
    pub fn audit(&self, after: u64, most: usize) -> Vec<AuditEvent> {
        self.shared.guard.events(after, most)
    }
}

impl Desk {
    /// A connection came to a listener where nobody is served without having been let in.
    pub fn awaits_login(&mut self, conn: ConnId) {
        self.seats.forget(conn);
        self.broker.shared.guard.awaits_login(conn);
    }

    /// Has found out who a client is; a connection asks once at a time.
    pub(crate) fn authenticate(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        asked: Authenticate,
    ) {
        let Some(authenticator) = &turn.shared.authenticator else {
            // Nobody knows users: whoever comes is who it says. Only SASL's client wants a proof of
            // the server, too.
            let user = match asked.credentials {
                Credentials::Password { user, .. } => user,
                Credentials::None | Credentials::Token(_) | Credentials::Nkey { .. } => {
                    Bytes::new()
                }
                Credentials::Sasl { .. } => {
                    return turn.refuse(conn, token, Refusal::NotAllowed);
                }
            };
            let is = Authenticated { user, last: Bytes::new() };
            return turn.reply(conn, token, Reply::Authenticated(is));
        };
        self.logins.insert(conn);
        let (mail, worker) = (turn.shared.mail.clone(), turn.worker);
        let client = Bytes::copy_from_slice(&asked.client);
        let attempt = Attempt { conn, asked, policy: turn.shared.guard.policy() };
        authenticator.authenticate(
            attempt,
            Box::new(move |outcome| {
                let login = Login { conn, token, client, outcome };
                mail.post(worker, Completion(Step::Login(Box::new(login))));
            }),
        );
    }

    /// Who a client is was found out, or not.
    pub(crate) fn logged_in(&mut self, turn: &mut Turn<'_>, login: Login) {
        let Login { conn, token, client, outcome } = login;
        if !self.logins.remove(&conn) {
            return; // It has gone meanwhile, and nobody would forget it again.
        }
        match outcome {
            Outcome::In(identity, last) => {
                let is = authenticated(&identity, last);
                self.seats.forget(conn);
                let guard = &turn.shared.guard;
                if guard.let_in(conn, identity, client) {
                    turn.reply(conn, token, Reply::Authenticated(is));
                } else {
                    turn.refuse(conn, token, Refusal::NotAllowed);
                }
            }
            Outcome::Challenge(bytes) => turn.reply(conn, token, Reply::Challenge(bytes)),
            Outcome::Refused => {
                turn.shared.guard.deny(conn, turn.now.unix_ms, "log in".to_owned());
                turn.refuse(conn, token, Refusal::NotAllowed);
            }
            Outcome::Unavailable => turn.refuse(conn, token, Refusal::StorageUnavailable),
        }
    }

    /// A connection is gone.
    pub(crate) fn leaves(&mut self, conn: ConnId) {
        self.seats.forget(conn);
        self.logins.remove(&conn);
        let shared = &self.broker.shared;
        shared.guard.gone(conn);
        if let Some(authenticator) = &shared.authenticator {
            authenticator.gone(conn);
        }
    }

    /// The policy changed: consumers of this worker's connections that lost their right end.
    pub(crate) fn recheck(&mut self, turn: &mut Turn<'_>) {
        let broker = self.broker.clone();
        let consuming = broker.lock().consumers_of(turn.worker);
        for (conn, number, queue) in consuming {
            let access = self.seats.access(&turn.shared.guard, conn);
            if !access.may(Action::Consume, Kind::Queue, &queue) {
                broker.lock().cancel(turn, conn, number);
                turn.port.notice(conn, Notice::ConsumerGone(number));
            }
        }
    }
}
