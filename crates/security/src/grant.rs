//! A grant: what may or may not be done to what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Pattern, PatternError};

/// Gives a right or takes it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Gives it.
    Allow,
    /// Takes it away, whatever gives it.
    Deny,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Action {
    /// Messages are sent there.
    Publish,
    /// Messages are received from there; a group or session is taken part in.
    Consume,
    /// It is made.
    Create,
    /// It is removed.
    Delete,
    /// It is changed.
    Alter,
    /// It is looked at.
    Describe,
    /// What it holds is removed.
    Purge,
}

impl Action {
    const ALL: [Self; 7] = [
        Self::Publish,
        Self::Consume,
        Self::Create,
        Self::Delete,
        Self::Alter,
        Self::Describe,
        Self::Purge,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Consume => "consume",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Alter => "alter",
            Self::Describe => "describe",
            Self::Purge => "purge",
        }
    }
}

impl FromStr for Action {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let found = Self::ALL.into_iter().find(|action| action.as_str() == text);
        found.ok_or_else(|| GrantError::Action(text.to_owned()))
    }
}

/// A set of actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Actions(u8);

impl Actions {
    /// Of these.
    pub fn of(actions: impl IntoIterator<Item = Action>) -> Self {
        Self(actions.into_iter().fold(0, |set, action| set | 1 << action as u8))
    }

    /// Whether it holds this one.
    pub fn has(self, action: Action) -> bool {
        self.0 & (1 << action as u8) != 0
    }

    pub(crate) fn has_bit(self, bit: u32) -> bool {
        self.0 >> bit & 1 != 0
    }

    fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.has(*action))
    }
}

/// What it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A subject, in MQTT's form.
    Subject,
    /// A stream (a Kafka topic).
    Stream,
    /// A queue.
    Queue,
    /// A private space (an AMQP exchange).
    Space,
    /// A consumer group, a share or a group cursor.
    Group,
    /// A session (an MQTT client id). Not denied is allowed.
    Session,
    /// An area of the admin API.
    Admin,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Subject,
        Self::Stream,
        Self::Queue,
        Self::Space,
        Self::Group,
        Self::Session,
        Self::Admin,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Stream => "stream",
            Self::Queue => "queue",
            Self::Space => "space",
            Self::Group => "group",
            Self::Session => "session",
            Self::Admin => "admin",
        }
    }

    /// What separates the tokens of its names.
    pub const fn separator(self) -> u8 {
        match self {
            Self::Subject | Self::Session => b'/',
            Self::Stream | Self::Queue | Self::Space | Self::Group | Self::Admin => b'.',
        }
    }

    /// What can be done to it.
    pub fn actions(self) -> Actions {
        use Action::{Alter, Consume, Create, Delete, Describe, Publish};
        match self {
            Self::Subject => Actions::of([Publish, Consume]),
            Self::Stream | Self::Queue => Actions::of(Action::ALL),
            Self::Space => Actions::of([Publish, Consume, Create, Delete, Alter, Describe]),
            Self::Group => Actions::of([Consume, Delete, Describe]),
            Self::Session => Actions::of([Consume]),
            Self::Admin => Actions::of([Describe, Alter]),
        }
    }
}

impl FromStr for Kind {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| GrantError::Kind(text.to_owned()))
    }
}

/// `allow|deny ACTIONS KIND PATTERN`, as in `allow publish,consume subject factory/${user}/**`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Grant {
    /// Gives or takes away.
    pub effect: Effect,
    /// What is done.
    pub actions: Actions,
    /// What it is done to.
    pub kind: Kind,
    /// Which of them.
    pub pattern: Pattern,
}

/// What is wrong with the text of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GrantError {
    /// It has not four words.
    #[error("a grant is `allow|deny ACTIONS KIND PATTERN`, as in `allow publish subject a/**`")]
    Form,
    /// No such action.
    #[error(
        "{0:?} is no action; they are publish, consume, create, delete, alter, describe, purge, all"
    )]
    Action(String),
    /// No such kind.
    #[error("{0:?} is no kind; they are subject, stream, queue, space, group, session, admin")]
    Kind(String),
    /// The kind has no such action.
    #[error("a {} cannot be told to {}", .0.as_str(), .1.as_str())]
    Impossible(Kind, Action),
    /// The pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let mut words = text.trim().splitn(4, ' ');
        let (Some(effect), Some(actions), Some(kind), Some(pattern)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(GrantError::Form);
        };
        let effect = match effect {
            "allow" => Effect::Allow,
            "deny" => Effect::Deny,
            _ => return Err(GrantError::Form),
        };
        let kind: Kind = kind.parse()?;
        let possible = kind.actions();
        let actions = if actions == "all" {
            possible
        } else {
            let named: Result<Vec<Action>, _> = actions.split(',').map(str::parse).collect();
            Actions::of(named?)
        };
        if let Some(action) = actions.iter().find(|action| !possible.has(*action)) {
            return Err(GrantError::Impossible(kind, action));
        }
        Ok(Self { effect, actions, kind, pattern: pattern.parse()? })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.effect {
            Effect::Allow => "allow ",
            Effect::Deny => "deny ",
        })?;
        if self.actions == self.kind.actions() {
            f.write_str("all")?;
        } else {
            let words: Vec<&str> = self.actions.iter().map(Action::as_str).collect();
            f.write_str(&words.join(","))?;
        }
        write!(f, " {} {}", self.kind.as_str(), self.pattern)
    }
}

impl TryFrom<String> for Grant {
    type Error = GrantError;

    fn try_from(text: String) -> Result<Self, GrantError> {
        text.parse()
    }
}

impl From<Grant> for String {
    fn from(grant: Grant) -> Self {
        grant.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_reads_as_it_is_written() {
        for text in [
            "allow publish,consume stream orders.**",
            "deny publish subject a b/c",
            "allow all queue **",
            "allow describe admin users",
        ] {
            let grant: Grant = text.parse().expect(text);
            assert_eq!(grant.to_string(), text);
        }
    }

    #[test]
    fn errors_teach() {
        let error = |text: &str| text.parse::<Grant>().expect_err(text).to_string();
        assert!(error("allow publish subject").contains("allow|deny ACTIONS KIND PATTERN"));
        assert!(error("allow write subject a").contains("\"write\" is no action; they are"));
        assert!(error("allow publish topic a").contains("\"topic\" is no kind"));
        assert_eq!(error("allow create subject a"), "a subject cannot be told to create");
        assert!(error("allow publish subject a/#").contains("**"));
    }
}
