//! Exchanges as spaces: their kinds, the predeclared ones, and what keys mean in them.
//!
//! ```text
//! ""           no space: the routing key names a queue
//! amq.topic    the space that all protocols share; words that begin with $ stay in AMQP's own
//! X            the space exchange/X
//! ```

use std::time::{Duration, Instant};

use amqp_codec::{ReplyCode, ShortStr};
use bytes::Bytes;
use hashbrown::HashMap;
use model::filter::{Filter, FilterToken, Reach};
use model::record::{Address, Space};
use model::render;
use model::subject::Subject;
use protocol::{BindTarget, DeadLetter, Declare, SpaceDeclaration};

use crate::failure::Failure;

/// The exchange that is the space of all protocols.
const SHARED: &[u8] = b"amq.topic";
/// Where the shared exchange's subjects live whose first word begins with `$`.
const PRIVATE: &str = "amqp";
const PREFIX: &str = "exchange/";
/// First word of reply addresses, before the dot.
const INBOX: &[u8] = b"_INBOX.";

/// How an exchange routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Direct,
    Fanout,
    Topic,
    Headers,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }

    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Direct, Self::Fanout, Self::Topic, Self::Headers]
            .into_iter()
            .find(|kind| kind.name().as_bytes() == name)
    }
}

/// What is to be known of an exchange.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) space: Space,
    pub(crate) kind: Kind,
    pub(crate) internal: bool,
}

/// The predeclared exchanges besides the default one; all durable.
const PREDECLARED: &[(&str, Kind, bool)] = &[
    ("amq.direct", Kind::Direct, false),
    ("amq.fanout", Kind::Fanout, false),
    ("amq.headers", Kind::Headers, false),
    ("amq.match", Kind::Headers, false),
    ("amq.rabbitmq.trace", Kind::Topic, true),
    ("amq.topic", Kind::Topic, false),
];

/// The predeclared exchange of this name.
pub(crate) fn predeclared(name: &[u8]) -> Option<Exchange> {
    let (name, kind, internal) =
        PREDECLARED.iter().find(|(known, ..)| known.as_bytes() == name).copied()?;
    Some(Exchange { space: space_of(name), kind, internal })
}

pub(crate) fn builtins() -> Vec<Declare> {
    PREDECLARED
        .iter()
        .map(|(name, kind, internal)| {
            Declare::Space(SpaceDeclaration {
                name: Bytes::from_static(name.as_bytes()),
                kind: Bytes::from_static(kind.name().as_bytes()),
                durable: true,
                auto_delete: false,
                internal: *internal,
                arguments: Bytes::new(),
                builtin: true,
            })
        })
        .collect()
}

pub(crate) fn space_of(name: &str) -> Space {
    if name.as_bytes() == SHARED { Space::SHARED } else { Space::named(&format!("{PREFIX}{name}")) }
}

/// The exchange as the other end of a binding; the shared space is the one without a name.
pub(crate) fn bind_target(name: &ShortStr) -> BindTarget {
    if name.as_bytes() == SHARED {
        return BindTarget::Space(Bytes::new());
    }
    BindTarget::Space(name.clone().into_bytes())
}

/// Exchanges seen a moment ago, so that not every publish asks for its exchange.
///
/// An exchange that another connection deletes is missed within [`Known::FRESH`].
#[derive(Debug, Default)]
pub(crate) struct Known(HashMap<ShortStr, (Exchange, Instant)>);

impl Known {
    const FRESH: Duration = Duration::from_secs(1);
    /// Most exchanges remembered for one connection.
    const MAX: usize = 256;

    /// The exchange, if it is predeclared or was seen lately.
    pub(crate) fn get(&self, name: &ShortStr, now: Instant) -> Option<Exchange> {
        if let Some((exchange, seen)) = self.0.get(name) {
            return (now.saturating_duration_since(*seen) < Self::FRESH).then(|| exchange.clone());
        }
        predeclared(name.as_bytes())
    }

    /// The broker described it.
    pub(crate) fn seen(
        &mut self,
        name: &[u8],
        declaration: &SpaceDeclaration,
        now: Instant,
    ) -> Option<Exchange> {
        let exchange = Exchange {
            space: space_of(std::str::from_utf8(name).ok()?),
            kind: Kind::from_name(&declaration.kind)?,
            internal: declaration.internal,
        };
        if self.0.len() >= Self::MAX {
            self.0.clear();
        }
        let name = ShortStr::new(Bytes::copy_from_slice(name))?;
        self.0.insert(name, (exchange.clone(), now));
        Some(exchange)
    }

    /// It was deleted, or may have been.
    pub(crate) fn forget(&mut self, name: &ShortStr) {
        self.0.remove(name);
    }
}

fn unreadable(what: &str) -> Failure {
    let text = format!("{what} must be UTF-8 without NUL, of at most 128 words");
    Failure::new(ReplyCode::PreconditionFailed, text)
}

/// The exchange's subject for a routing key.
///
/// # Errors
///
/// 406 for a key that is no subject.
pub(crate) fn address(exchange: &Exchange, routing_key: &[u8]) -> Result<Address, Failure> {
    let subject = render::amqp::parse(routing_key).map_err(|_| unreadable("a routing key"))?;
    let space = if exchange.space.is_shared() && subject.is_private() {
        Space::named(PRIVATE)
    } else {
        exchange.space.clone()
    };
    Ok(Address::Subject(space, subject))
}

/// What a key of the default exchange names: a queue, or a reply address.
pub(crate) fn default_address(routing_key: &[u8]) -> Address {
    if let Some(subject) = reply_subject(routing_key) {
        return Address::shared(subject);
    }
    Address::Queue(Bytes::copy_from_slice(routing_key))
}

/// Where a queue's dead letters go: to an exchange, with this key or their own.
///
/// # Errors
///
/// 406 for a name or a key that no exchange can have.
pub(crate) fn dead_letter(name: &[u8], key: Option<&[u8]>) -> Result<DeadLetter, Failure> {
    if name.is_empty() {
        return Ok(key.map_or(DeadLetter::ByName, |key| DeadLetter::To(default_address(key))));
    }
    let name = std::str::from_utf8(name).map_err(|_| unreadable("the name of an exchange"))?;
    // What a key means depends on the space alone.
    let exchange = Exchange { space: space_of(name), kind: Kind::Topic, internal: false };
    Ok(match key {
        Some(key) => DeadLetter::To(address(&exchange, key)?),
        None => DeadLetter::Within { space: exchange.space, private: Space::named(PRIVATE) },
    })
}

fn reply_subject(routing_key: &[u8]) -> Option<Subject> {
    if !routing_key.starts_with(INBOX) {
        return None;
    }
    render::amqp::parse(routing_key).ok()
}

/// Space and filter of a binding key.
///
/// # Errors
///
/// 406 for a key that is no filter.
pub(crate) fn filter(exchange: &Exchange, key: &[u8]) -> Result<(Space, Filter), Failure> {
    let space = exchange.space.clone();
    match exchange.kind {
        Kind::Fanout | Kind::Headers => Ok((space, Filter::everything(Reach::All))),
        Kind::Direct => {
            let subject = render::amqp::parse(key).map_err(|_| unreadable("a binding key"))?;
            Ok((space, Filter::literal(&subject)))
        }
        Kind::Topic => {
            let filter = Filter::amqp(key).map_err(|_| unreadable("a binding key"))?;
            if !space.is_shared() {
                return Ok((space, filter.with_reach(Reach::All)));
            }
            let private = matches!(filter.tokens().next(),
                Some(FilterToken::Literal(word)) if word.starts_with(b"$"));
            Ok((if private { Space::named(PRIVATE) } else { space }, filter))
        }
    }
}

/// Exchange and routing key as a delivery names them.
///
/// A subject whose routing key would be longer than 255 bytes has none: it shows as empty.
pub(crate) fn origin(address: &Address) -> (&[u8], Bytes) {
    let (space, subject) = match address {
        Address::Queue(name) => return (b"", name.clone()),
        Address::Subject(space, subject) => (space, subject),
    };
    let key = render::amqp::to_bytes(subject).unwrap_or_default();
    let exchange = match space.name() {
        None if subject.is_inbox() => b"",
        None | Some(PRIVATE) => SHARED,
        Some(name) => name.strip_prefix(PREFIX).unwrap_or_default().as_bytes(),
    };
    (exchange, key)
}

/// A reply address as a text that the default exchange understands.
pub(crate) fn reply_text(subject: &Subject) -> Option<Bytes> {
    render::amqp::to_bytes(subject).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Exchange {
        Exchange { space: space_of(name), kind: Kind::Topic, internal: false }
    }

    #[test]
    fn the_shared_exchange_keeps_dollar_words_to_itself() {
        let shared = named("amq.topic");
        let public = address(&shared, b"factory.line1").expect("a subject");
        assert!(matches!(&public, Address::Subject(space, _) if space.is_shared()));
        let private = address(&shared, b"$SYS.broker").expect("a subject");
        assert!(matches!(&private, Address::Subject(space, _) if space.name() == Some("amqp")));
        assert_eq!(origin(&private).0, b"amq.topic");
        let (space, _) = filter(&shared, b"$SYS.#").expect("a filter");
        assert_eq!(space.name(), Some("amqp"));
        let (space, _) = filter(&shared, b"#").expect("a filter");
        assert!(space.is_shared());
    }

    #[test]
    fn addresses_are_delivered_under_the_names_they_were_published_to() {
        for (exchange, key) in [("amq.topic", "a.b"), ("orders", "x..y"), ("amq.fanout", "")] {
            let address = address(&named(exchange), key.as_bytes()).expect("a subject");
            assert_eq!(origin(&address), (exchange.as_bytes(), Bytes::from(key)));
        }
        assert_eq!(origin(&default_address(b"q")), (&b""[..], Bytes::from("q")));
    }

    #[test]
    fn reply_addresses_go_to_the_shared_space_through_the_default_exchange() {
        let address = default_address(b"_INBOX.amqp.x");
        assert!(matches!(&address, Address::Subject(space, subject)
            if space.is_shared() && subject.is_inbox()));
        assert_eq!(origin(&address), (&b""[..], Bytes::from("_INBOX.amqp.x")));
        assert!(matches!(default_address(b"_INBOXES"), Address::Queue(_)));
    }

    #[test]
    fn what_was_seen_is_known_for_a_moment() {
        let mut known = Known::default();
        let now = Instant::now();
        let name = ShortStr::from_static("logs");
        let Declare::Space(mut declaration) = builtins().remove(0) else { panic!("a space") };
        declaration.name = Bytes::from("logs");
        assert!(known.get(&name, now).is_none());
        known.seen(b"logs", &declaration, now);
        assert!(known.get(&name, now).is_some());
        assert!(known.get(&name, now + Duration::from_secs(2)).is_none());
    }
}
