//! All users and roles, and from an identity to what it may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use crate::access::{Access, Rules};
use crate::{Grant, Kind, Role, User};

/// The role that may do everything; it cannot be changed.
pub const ADMIN: &str = "admin";
/// The role of clients that did not log in, where they need not: everything but `admin`, until it
/// is changed.
pub const ANONYMOUS: &str = "anonymous";

/// Most users, and most roles.
const OBJECTS_MAX: usize = 1_000_000;

/// Who a client turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's name; empty for a client that did not log in.
    pub user: Arc<str>,
    /// Roles that the authenticator knows of, besides those of a built-in user of this name.
    pub roles: Arc<[String]>,
    /// Grants that the credentials themselves carry.
    pub grants: Arc<[Grant]>,
    /// A user of the policy; one that is gone or disabled may do nothing.
    pub builtin: bool,
}

impl Identity {
    /// A client that did not log in.
    pub fn anonymous() -> Self {
        let roles = vec![ANONYMOUS.to_owned()].into();
        Self { user: "".into(), roles, grants: Arc::default(), builtin: false }
    }

    /// A user of the policy.
    pub fn builtin(user: &str) -> Self {
        Self { user: user.into(), roles: Arc::default(), grants: Arc::default(), builtin: true }
    }

    /// Whether it did not log in.
    pub fn is_anonymous(&self) -> bool {
        self.user.is_empty()
    }
}

/// Why a change is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// The role of that name is fixed.
    #[error("the role admin is fixed")]
    Fixed,
    /// There are too many.
    #[error("at most {OBJECTS_MAX} users and as many roles")]
    TooMany,
}

/// All users and roles. A clone is cheap: what is large is shared.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    users: Arc<BTreeMap<String, Arc<User>>>,
    roles: Arc<BTreeMap<String, Arc<Role>>>,
}

impl Policy {
    /// The user of this name.
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// The role of this name, the built-in ones too.
    pub fn role(&self, name: &str) -> Option<Arc<Role>> {
        match self.roles.get(name) {
            Some(role) => Some(role.clone()),
            None if name == ADMIN || name == ANONYMOUS => Some(Arc::new(builtin(name))),
            None => None,
        }
    }

    /// All users in the order of their names, after this one.
    pub fn users_after(&self, name: &str) -> impl Iterator<Item = &Arc<User>> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.users.range::<str, _>((Excluded(name), Unbounded)).map(|(_, user)| user)
    }

    /// All roles in the order of their names, the built-in ones too.
    pub fn roles(&self) -> Vec<Arc<Role>> {
        let mut all: BTreeMap<&str, Arc<Role>> =
            self.roles.iter().map(|(name, role)| (name.as_str(), role.clone())).collect();
        for name in [ADMIN, ANONYMOUS] {
            all.entry(name).or_insert_with(|| Arc::new(builtin(name)));
        }
        all.into_values().collect()
    }

    /// Whether there is a user.
    pub fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    /// Adds or replaces a user.
    ///
    /// # Errors
    ///
    /// [`PolicyError::TooMany`].
    pub fn put_user(&mut self, user: User) -> Result<(), PolicyError> {
        if self.users.len() >= OBJECTS_MAX && !self.users.contains_key(&user.name) {
            return Err(PolicyError::TooMany);
        }
        Arc::make_mut(&mut self.users).insert(user.name.clone(), Arc::new(user));
        Ok(())
    }

    /// Removes a user; whether there was one.
    pub fn remove_user(&mut self, name: &str) -> bool {
        self.users.contains_key(name) && Arc::make_mut(&mut self.users).remove(name).is_some()
    }

    /// Adds or replaces a role.
    ///
    /// # Errors
    ///
    /// [`PolicyError`].
    pub fn put_role(&mut self, role: Role) -> Result<(), PolicyError> {
        if role.name == ADMIN {
            return Err(PolicyError::Fixed);
        }
        if self.roles.len() >= OBJECTS_MAX && !self.roles.contains_key(&role.name) {
            return Err(PolicyError::TooMany);
        }
        Arc::make_mut(&mut self.roles).insert(role.name.clone(), Arc::new(role));
        Ok(())
    }

    /// Removes a role (a changed built-in one is as it was); whether there was one.
    pub fn remove_role(&mut self, name: &str) -> bool {
        self.roles.contains_key(name) && Arc::make_mut(&mut self.roles).remove(name).is_some()
    }

    /// Whether this identity is let in at all.
    pub fn admits(&self, identity: &Identity) -> bool {
        !identity.builtin || self.users.get(&*identity.user).is_some_and(|user| user.enabled)
    }

    /// What this identity may do as a client that calls itself so.
    pub fn access(&self, identity: &Identity, client: &[u8]) -> Access {
        let mut rules = Rules::new(identity.user.as_bytes(), client);
        if !self.admits(identity) {
            return rules.finish();
        }
        let builtin = self.users.get(&*identity.user).filter(|_| identity.builtin);
        let own = builtin.map_or(&[][..], |user| &user.roles);
        for name in identity.roles.iter().chain(own) {
            if let Some(role) = self.role(name) {
                rules.add(&format!("role {name}"), &role.grants);
            }
        }
        rules.add("the credentials", &identity.grants);
        if let Some(user) = builtin {
            rules.add(&format!("user {}", user.name), &user.grants);
        }
        rules.finish()
    }
}

/// A role as it is before it is changed.
fn builtin(name: &str) -> Role {
    let grants = Kind::ALL
        .into_iter()
        .filter(|kind| name == ADMIN || *kind != Kind::Admin)
        .map(|kind| format!("allow all {} **", kind.as_str()).parse().expect("a valid grant"))
        .collect();
    Role { name: name.to_owned(), grants }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Action, Verdict};

    fn user(name: &str, grants: &[&str]) -> User {
        let grants = grants.iter().map(|text| text.parse().expect(text)).collect();
        User { grants, ..User::new(name) }
    }

    #[test]
    fn nothing_is_allowed_that_no_grant_allows() {
        let mut policy = Policy::default();
        policy.put_user(user("ada", &[])).expect("room");
        let access = policy.access(&Identity::builtin("ada"), b"");
        for kind in Kind::ALL {
            for action in [Action::Publish, Action::Consume, Action::Describe] {
                assert_eq!(access.verdict(action, kind, b"x"), Verdict::Silent);
            }
        }
    }

    #[test]
    fn users_that_are_gone_or_disabled_may_do_nothing() {
        let mut policy = Policy::default();
        let ada = User { enabled: false, ..user("ada", &["allow all subject **"]) };
        policy.put_user(ada).expect("room");
        for name in ["ada", "bob"] {
            assert!(!policy.admits(&Identity::builtin(name)));
            let access = policy.access(&Identity::builtin(name), b"");
            assert!(!access.may(Action::Publish, Kind::Subject, b"x"));
        }
    }

    #[test]
    fn the_built_in_roles_are_there() {
        let mut policy = Policy::default();
        let anonymous = policy.access(&Identity::anonymous(), b"");
        assert!(anonymous.may(Action::Publish, Kind::Subject, b"x"));
        assert!(!anonymous.may(Action::Alter, Kind::Admin, b"users"));
        let mut root = user("root", &[]);
        root.roles.push(ADMIN.to_owned());
        policy.put_user(root).expect("room");
        let root = policy.access(&Identity::builtin("root"), b"");
        assert!(root.may(Action::Alter, Kind::Admin, b"users"));
        let none = Role { name: ADMIN.to_owned(), grants: Vec::new() };
        assert_eq!(policy.put_role(none), Err(PolicyError::Fixed));
        policy.put_role(Role { name: ANONYMOUS.to_owned(), grants: Vec::new() }).expect("changed");
        let anonymous = policy.access(&Identity::anonymous(), b"");
        assert!(!anonymous.may(Action::Publish, Kind::Subject, b"x"));
    }

    #[test]
    fn what_decided_is_told() {
        let mut policy = Policy::default();
        let grants = ["allow publish subject a/**", "deny publish subject a/secret"];
        policy.put_user(user("ada", &grants)).expect("room");
        let access = policy.access(&Identity::builtin("ada"), b"");
        let why = access.explain(Action::Publish, Kind::Subject, b"a/secret");
        assert_eq!(why.verdict, Verdict::Denied);
        assert_eq!(why.because, "deny publish subject a/secret (user ada)");
        let why = access.explain(Action::Publish, Kind::Subject, b"b");
        assert_eq!(why.because, "no grant allows publish subject b");
    }

    #[test]
    fn a_variable_that_stands_for_nothing_allows_nothing_and_denies_everything() {
        let mut policy = Policy::default();
        let grants = ["allow publish subject **", "deny publish subject c/${client}/**"];
        policy.put_user(user("ada", &grants)).expect("room");
        let access = policy.access(&Identity::builtin("ada"), b"#");
        assert!(!access.may(Action::Publish, Kind::Subject, b"c/x"));
        let access = policy.access(&Identity::builtin("ada"), b"x");
        assert!(access.may(Action::Publish, Kind::Subject, b"c/y"));
        assert!(!access.may(Action::Publish, Kind::Subject, b"c/x/1"));
    }

    proptest! {
        #[test]
        fn deny_beats_allow_in_every_order(
            patterns in proptest::collection::vec(("[ab/*]{1,5}", proptest::bool::ANY), 1..6),
            name in "[ab/]{0,5}",
            turned in 0_usize..6,
        ) {
            prop_assume!(patterns.iter().all(|(pattern, _)| !pattern.contains("***")));
            let one = |pattern: &str, deny: &bool| {
                let effect = if *deny { "deny" } else { "allow" };
                format!("{effect} publish subject {pattern}")
            };
            let mut grants: Vec<String> = patterns.iter().map(|(p, d)| one(p, d)).collect();
            let verdict = |grants: &[String]| {
                let mut policy = Policy::default();
                let texts: Vec<&str> = grants.iter().map(String::as_str).collect();
                policy.put_user(user("ada", &texts)).expect("room");
                let access = policy.access(&Identity::builtin("ada"), b"");
                access.verdict(Action::Publish, Kind::Subject, name.as_bytes())
            };
            let first = verdict(&grants);
            let alone: Vec<Verdict> = grants.iter().map(|g| verdict(std::slice::from_ref(g))).collect();
            let expected = if alone.contains(&Verdict::Denied) {
                Verdict::Denied
            } else if alone.contains(&Verdict::Allowed) {
                Verdict::Allowed
            } else {
                Verdict::Silent
            };
            prop_assert_eq!(first, expected);
            let by = turned % grants.len();
            grants.rotate_left(by);
            prop_assert_eq!(verdict(&grants), expected);
        }
    }
}
