//! What one client may do. Asked for every request, so the usual questions are answered first.

use std::sync::Arc;

use crate::pattern::Glob;
use crate::{Action, Effect, Grant, Kind, Symbol};

/// What the grants say of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One allows it and none denies it.
    Allowed,
    /// One denies it.
    Denied,
    /// None speaks of it.
    Silent,
}

/// What the grants say of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// It is refused.
    None,
    /// Everything that it stands for is allowed.
    Whole,
    /// It is allowed, but some names that it stands for may be denied: each is to be asked for.
    Partly,
}

/// Why a question is answered so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The answer.
    pub verdict: Verdict,
    /// The grant that decided and where it comes from, or that there is none.
    pub because: String,
}

/// What one client may do.
#[derive(Debug, Default)]
pub struct Access {
    kinds: [Kinds; Kind::ALL.len()],
}

#[derive(Debug, Default)]
struct Kinds {
    /// Actions that are allowed for every name and denied for none.
    free: u8,
    allow: Vec<Rule>,
    deny: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    grant: Grant,
    glob: Glob,
    source: Arc<str>,
}

/// Grants on their way to an [`Access`].
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    user: &'a [u8],
    client: &'a [u8],
    access: Access,
}

impl<'a> Rules<'a> {
    pub(crate) fn new(user: &'a [u8], client: &'a [u8]) -> Self {
        Self { user, client, access: Access::default() }
    }

    pub(crate) fn add(&mut self, source: &str, grants: &[Grant]) {
        let source: Arc<str> = source.into();
        for grant in grants {
            let separator = grant.kind.separator();
            let glob = match (grant.pattern.bind(self.user, self.client, separator), grant.effect) {
                (Some(glob), _) => glob,
                (None, Effect::Allow) => continue,
                (None, Effect::Deny) => Glob::everything(separator),
            };
            let kind = &mut self.access.kinds[grant.kind as usize];
            let rules = match grant.effect {
                Effect::Allow => &mut kind.allow,
                Effect::Deny => &mut kind.deny,
            };
            rules.push(Rule { grant: grant.clone(), glob, source: source.clone() });
        }
    }

    pub(crate) fn finish(mut self) -> Access {
        for kind in &mut self.access.kinds {
            for bit in 0..u8::BITS {
                let on = |rule: &Rule| rule.grant.actions.has_bit(bit);
                let all = kind.allow.iter().any(|rule| on(rule) && rule.glob.is_everything());
                if all && !kind.deny.iter().any(on) {
                    kind.free |= 1 << bit;
                }
            }
        }
        self.access
    }
}

impl Access {
    /// Whether it may be done to every name.
    pub fn may_all(&self, action: Action, kind: Kind) -> bool {
        self.kinds[kind as usize].free & (1 << action as u8) != 0
    }

    /// Whether it may be done to this name.
    pub fn may(&self, action: Action, kind: Kind, name: &[u8]) -> bool {
        self.verdict(action, kind, name) == Verdict::Allowed
    }

    /// What the grants say of this name.
    pub fn verdict(&self, action: Action, kind: Kind, name: &[u8]) -> Verdict {
        if self.may_all(action, kind) {
            return Verdict::Allowed;
        }
        self.deciding(action, kind, name).0
    }

    /// What the grants say of a filter.
    pub fn cover(&self, action: Action, kind: Kind, filter: &[Symbol]) -> Cover {
        if self.may_all(action, kind) {
            return Cover::Whole;
        }
        let Kinds { allow, deny, .. } = &self.kinds[kind as usize];
        let of = |rule: &&Rule| rule.grant.actions.has(action);
        if !allow.iter().filter(of).any(|rule| rule.glob.covers(filter))
            || deny.iter().filter(of).any(|rule| rule.glob.covers(filter))
        {
            Cover::None
        } else if deny.iter().filter(of).any(|rule| rule.glob.overlaps(filter)) {
            Cover::Partly
        } else {
            Cover::Whole
        }
    }

    /// Which grant decides, for "may this user do that, and why".
    pub fn explain(&self, action: Action, kind: Kind, name: &[u8]) -> Explanation {
        let (verdict, rule) = self.deciding(action, kind, name);
        let because = match rule {
            Some(rule) => format!("{} ({})", rule.grant, rule.source),
            None => {
                let name = String::from_utf8_lossy(name);
                format!("no grant allows {} {} {name}", action.as_str(), kind.as_str())
            }
        };
        Explanation { verdict, because }
    }

    fn deciding(&self, action: Action, kind: Kind, name: &[u8]) -> (Verdict, Option<&Rule>) {
        let Kinds { allow, deny, .. } = &self.kinds[kind as usize];
        let hit = |rule: &&Rule| rule.grant.actions.has(action) && rule.glob.matches(name);
        if let Some(rule) = deny.iter().find(hit) {
            return (Verdict::Denied, Some(rule));
        }
        match allow.iter().find(hit) {
            Some(rule) => (Verdict::Allowed, Some(rule)),
            None => (Verdict::Silent, None),
        }
    }
}
