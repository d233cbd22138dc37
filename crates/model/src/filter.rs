//! A pattern over subjects, the same for all protocols.
//!
//! | token | matches | MQTT | NATS | AMQP |
//! |---|---|---|---|---|
//! | literal | itself | yes | yes | yes |
//! | one | exactly one token | `+` | `*` | `*` |
//! | tail zero | zero or more tokens at the end | `#` | | `#` |
//! | tail one | one or more tokens at the end | `+/#` | `>` | `*.#` |
//! | any zero | zero or more tokens anywhere | | | `#` |
//!
//! A filter is kept as one text: levels separated by `/`, with `+` for one token and `#` for zero
//! or more. Literal levels are canonical tokens of subjects, which contain neither, so an MQTT
//! topic filter is read without a copy, and filters of different protocols that say the same
//! thing in the same words are equal.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::render::{self, Unrenderable};
use crate::subject::{INBOX, Invalid, Subject, Tokens, check_length, check_text, check_utf8};

/// How far a wildcard in the first position reaches among first tokens of subjects.
///
/// A filter that begins with a literal token says which space it means, and reaches
/// [`All`](Reach::All) there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reach {
    /// Nothing is skipped: AMQP inside an exchange of its own, a purge, a stream of everything.
    All = 0,
    /// Neither `$...` nor `_INBOX`: MQTT [MQTT-4.7.2-1], and AMQP in the shared space.
    Public = 1,
    /// Not `$...`, but `_INBOX`: NATS.
    Inboxes = 2,
}

/// A pattern over subjects. Clones share the bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filter {
    /// Invariant: passes `check_text`; every level is `+`, `#`, or contains neither character.
    text: Bytes,
    /// Invariant: `All` unless the first level is a wildcard, so that equal means equal.
    reach: Reach,
}

/// One token of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterToken<'a> {
    /// This token, in canonical form.
    Literal(&'a [u8]),
    /// Exactly one token.
    One,
    /// Zero or more tokens, at the end.
    TailZero,
    /// One or more tokens, at the end.
    TailOne,
    /// Zero or more tokens, before the end.
    AnyZero,
}

/// One level of a filter's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level<'a> {
    Literal(&'a [u8]),
    One,
    Any,
}

/// The levels of a filter's text, in order.
#[derive(Clone, Debug)]
pub(crate) struct Levels<'a>(Tokens<'a>);

impl<'a> Iterator for Levels<'a> {
    type Item = Level<'a>;

    fn next(&mut self) -> Option<Level<'a>> {
        self.0.next().map(|token| match token {
            b"+" => Level::One,
            b"#" => Level::Any,
            literal => Level::Literal(literal),
        })
    }
}

/// What the tokens of a subject that two filters may share are, as far as they are chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sofar {
    Nothing,
    OneEmpty,
    More,
}

impl Filter {
    /// Reads an MQTT topic filter (MQTT 5.0 §4.7.1), without a copy. `$share/...` is not taken
    /// apart here.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it is empty, a wildcard is not a level of its own, `#` is not the last
    /// level [MQTT-4.7.1-1] [MQTT-4.7.1-2], or the text is no text of a subject.
    pub fn mqtt(filter: &Bytes) -> Result<Self, Invalid> {
        if filter.is_empty() {
            return Err(Invalid::Empty);
        }
        let inner = filter.strip_suffix(b"#").unwrap_or(filter);
        if inner.contains(&b'#') {
            return Err(Invalid::Wildcard);
        }
        Self::checked(filter.clone(), Reach::Public)
    }

    /// Reads a NATS subscription subject: `*` for one token, `>` for the rest.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if `>` is not the last token or another token is not legal in NATS.
    pub fn nats(subject: &[u8]) -> Result<Self, Invalid> {
        if subject.is_empty() {
            return Err(Invalid::Empty);
        }
        check_utf8(subject)?;
        let mut text = BytesMut::with_capacity(subject.len() + 2);
        let mut tokens = subject.split(|&byte| byte == b'.').enumerate().peekable();
        while let Some((at, token)) = tokens.next() {
            if at > 0 {
                text.put_u8(b'/');
            }
            match token {
                b"*" => text.put_u8(b'+'),
                b">" if tokens.peek().is_some() => return Err(Invalid::Wildcard),
                b">" => text.put_slice(b"+/#"),
                literal => render::nats::read_token(literal, &mut text)?,
            }
            check_length(&text)?;
        }
        Self::checked(text.freeze(), Reach::Inboxes)
    }

    /// Reads an AMQP binding key of a topic exchange: `*` for one word, `#` for zero or more.
    ///
    /// Every other word is literal, so no binding key can ask for the words `*` and `#`.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it is not UTF-8, contains NUL or exceeds the limits.
    pub fn amqp(key: &[u8]) -> Result<Self, Invalid> {
        check_utf8(key)?;
        let mut text = BytesMut::with_capacity(key.len());
        for (at, word) in key.split(|&byte| byte == b'.').enumerate() {
            if at > 0 {
                text.put_u8(b'/');
            }
            match word {
                b"*" => text.put_u8(b'+'),
                b"#" => text.put_u8(b'#'),
                literal => render::amqp::read_token(literal, &mut text)?,
            }
            check_length(&text)?;
        }
        Self::checked(text.freeze(), Reach::Public)
    }

    /// The filter that matches this subject only: a Kafka name, a direct exchange's binding.
    #[must_use]
    pub fn literal(subject: &Subject) -> Self {
        Self { text: subject.bytes().clone(), reach: Reach::All }
    }

    /// The filter that matches every subject that its first wildcard may reach.
    #[must_use]
    pub fn everything(reach: Reach) -> Self {
        Self { text: Bytes::from_static(b"#"), reach }
    }

    /// The same filter with another reach; no change if it begins with a literal token.
    #[must_use]
    pub fn with_reach(self, reach: Reach) -> Self {
        Self::normal(self.text, reach)
    }

    fn checked(text: Bytes, reach: Reach) -> Result<Self, Invalid> {
        check_text(&text)?;
        let wild = |byte: &u8| matches!(byte, b'+' | b'#');
        if Tokens::of(&text).any(|token| token.len() > 1 && token.iter().any(wild)) {
            return Err(Invalid::Wildcard);
        }
        Ok(Self::normal(text, reach))
    }

    fn normal(text: Bytes, reach: Reach) -> Self {
        let filter = Self { text, reach };
        if filter.begins_wild() { filter } else { Self { reach: Reach::All, ..filter } }
    }

    fn begins_wild(&self) -> bool {
        matches!(self.text.first(), Some(b'+' | b'#'))
    }

    /// The tokens, in order.
    pub fn tokens(&self) -> impl Iterator<Item = FilterToken<'_>> {
        let mut rest = Tokens::of(&self.text);
        std::iter::from_fn(move || {
            Some(match rest.next()? {
                b"+" if rest.rest() == Some(b"#") => {
                    rest.next();
                    FilterToken::TailOne
                }
                b"+" => FilterToken::One,
                b"#" if rest.rest().is_none() => FilterToken::TailZero,
                b"#" => FilterToken::AnyZero,
                literal => FilterToken::Literal(literal),
            })
        })
    }

    /// The levels of the text: three kinds that mean the same as the five of [`Filter::tokens`].
    pub(crate) fn levels(&self) -> Levels<'_> {
        Levels(Tokens::of(&self.text))
    }

    /// How far a wildcard in the first position reaches.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Whether it begins with a wildcard that matches neither `$...` nor `_INBOX`.
    #[must_use]
    pub fn skips_private(&self) -> bool {
        self.reach == Reach::Public
    }

    /// Whether no token is a wildcard.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.text.iter().any(|byte| matches!(byte, b'+' | b'#'))
    }

    /// The only subject that it matches, if it has no wildcard.
    #[must_use]
    pub fn as_literal(&self) -> Option<Subject> {
        self.is_literal().then(|| Subject::from_checked(self.text.clone()))
    }

    /// Whether the subject's first token is within reach of a wildcard in the first position.
    fn reaches(&self, subject: &Subject) -> bool {
        match self.reach {
            Reach::All => true,
            Reach::Public => !subject.is_private() && !subject.is_inbox(),
            Reach::Inboxes => !subject.is_private(),
        }
    }

    /// Whether it matches the subject. Time is at most levels times tokens.
    #[must_use]
    pub fn matches(&self, subject: &Subject) -> bool {
        if !self.reaches(subject) {
            return false;
        }
        let mut levels = self.levels();
        let mut tokens = subject.tokens();
        // The state after the last `#`, and the tokens that it has not swallowed yet. Only the
        // last one ever needs another try: what an earlier one swallows, the last one may too.
        let mut retry: Option<(Levels<'_>, Tokens<'_>)> = None;
        loop {
            let fits = match levels.next() {
                Some(Level::Any) if levels.0.rest().is_none() => return true,
                Some(Level::Any) => {
                    retry = Some((levels.clone(), tokens.clone()));
                    true
                }
                Some(Level::One) => tokens.next().is_some(),
                Some(Level::Literal(literal)) => tokens.next() == Some(literal),
                None if tokens.rest().is_none() => return true,
                None => false,
            };
            if !fits {
                let Some((after, unswallowed)) = &mut retry else { return false };
                if unswallowed.next().is_none() {
                    return false;
                }
                levels = after.clone();
                tokens = unswallowed.clone();
            }
        }
    }

    /// Whether some subject is matched by both filters.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let ours: Vec<_> = self.levels().collect();
        let theirs: Vec<_> = other.levels().collect();
        let width = theirs.len() + 1;
        let mut seen = vec![false; (ours.len() + 1) * width * 3];
        // What is left of both filters, and what the tokens so far are.
        let mut open = vec![(0, 0, Sofar::Nothing)];
        while let Some((i, j, sofar)) = open.pop() {
            let slot = (i * width + j) * 3 + sofar as usize;
            if seen.get_mut(slot).is_none_or(|seen| std::mem::replace(seen, true)) {
                continue;
            }
            let (our, their) = match (ours.get(i), theirs.get(j)) {
                // One empty token is no subject.
                (None, None) if sofar == Sofar::OneEmpty => continue,
                (None, None) => return true,
                pair => pair,
            };
            if our == Some(&Level::Any) {
                open.push((i + 1, j, sofar));
            }
            if their == Some(&Level::Any) {
                open.push((i, j + 1, sofar));
            }
            let (Some(our), Some(their)) = (our, their) else { continue };
            let token = match (our, their) {
                (Level::Literal(a), Level::Literal(b)) if a != b => continue,
                (Level::Literal(token), _) | (_, Level::Literal(token)) => Some(*token),
                (Level::One | Level::Any, Level::One | Level::Any) => None,
            };
            let mut then = Sofar::More;
            if let (Sofar::Nothing, Some(token)) = (sofar, token) {
                if !self.both_reach(other, token) {
                    continue;
                }
                if token.is_empty() {
                    then = Sofar::OneEmpty;
                }
            }
            let step = |level: &Level<'_>| usize::from(*level != Level::Any);
            open.push((i + step(our), j + step(their), then));
        }
        false
    }

    fn both_reach(&self, other: &Self, token: &[u8]) -> bool {
        let inbox = token == INBOX;
        let private = token.first() == Some(&b'$');
        let reaches = |filter: &Self| match filter.reach {
            Reach::All => true,
            Reach::Public => !private && !inbox,
            Reach::Inboxes => !private,
        };
        reaches(self) && reaches(other)
    }

    /// The MQTT topic filter, without a copy.
    ///
    /// # Errors
    ///
    /// [`Unrenderable`] for a `#` before the end, and for the filter of no tokens.
    pub fn to_mqtt(&self) -> Result<Bytes, Unrenderable> {
        if self.text.is_empty() {
            return Err(Unrenderable::NoTokens);
        }
        if self.text.strip_suffix(b"#").unwrap_or(&self.text).contains(&b'#') {
            return Err(Unrenderable::Wildcard);
        }
        Ok(self.text.clone())
    }

    /// The NATS subscription subject.
    ///
    /// # Errors
    ///
    /// [`Unrenderable::Wildcard`] for zero or more tokens, which NATS cannot ask for.
    pub fn to_nats(&self) -> Result<Bytes, Unrenderable> {
        if let Some(subject) = self.as_literal() {
            return Ok(render::nats::to_bytes(&subject));
        }
        let mut out = BytesMut::with_capacity(self.text.len());
        for (at, token) in self.tokens().enumerate() {
            if at > 0 {
                out.put_u8(b'.');
            }
            match token {
                FilterToken::Literal(literal) => render::nats::write_token(literal, &mut out),
                FilterToken::One => out.put_u8(b'*'),
                FilterToken::TailOne => out.put_u8(b'>'),
                FilterToken::TailZero | FilterToken::AnyZero => return Err(Unrenderable::Wildcard),
            }
        }
        Ok(out.freeze())
    }

    /// The AMQP binding key.
    ///
    /// # Errors
    ///
    /// [`Unrenderable`] if a literal word is `*` or `#`, or beyond
    /// [`ROUTING_KEY_BYTES_MAX`](render::amqp::ROUTING_KEY_BYTES_MAX).
    pub fn to_amqp(&self) -> Result<Bytes, Unrenderable> {
        let mut out = BytesMut::with_capacity(self.text.len());
        for (at, level) in self.levels().enumerate() {
            if at > 0 {
                out.put_u8(b'.');
            }
            match level {
                // A literal `#` is escaped in the canonical form.
                Level::Literal(b"*" | b"%23") => return Err(Unrenderable::LooksWild),
                Level::Literal(literal) => render::amqp::write_token(literal, &mut out),
                Level::One => out.put_u8(b'*'),
                Level::Any => out.put_u8(b'#'),
            }
        }
        if out.len() > render::amqp::ROUTING_KEY_BYTES_MAX {
            return Err(Unrenderable::TooLong(render::amqp::ROUTING_KEY_BYTES_MAX));
        }
        Ok(out.freeze())
    }

    /// The Kafka topic name of a filter without wildcards.
    ///
    /// # Errors
    ///
    /// [`Unrenderable`] if it has a wildcard or the subject has no Kafka name.
    pub fn to_kafka(&self) -> Result<Bytes, Unrenderable> {
        render::kafka::to_bytes(&self.as_literal().ok_or(Unrenderable::Wildcard)?)
    }

    /// The stored form: `[reach: u8][text]`.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(1 + self.text.len());
        out.put_u8(self.reach as u8);
        out.put_slice(&self.text);
        out.freeze()
    }

    /// Takes the stored form, without a copy.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if [`Filter::to_bytes`] did not write it.
    pub fn from_bytes(bytes: &Bytes) -> Result<Self, Invalid> {
        let reach = match bytes.first() {
            None => return Err(Invalid::Empty),
            Some(0) => Reach::All,
            Some(1) => Reach::Public,
            Some(2) => Reach::Inboxes,
            Some(_) => return Err(Invalid::NotCanonical),
        };
        let filter = Self::checked(bytes.slice(1..), reach)?;
        if filter.reach == reach { Ok(filter) } else { Err(Invalid::NotCanonical) }
    }

    /// A copy with bytes of its own, for keeping: a filter from the wire holds on to the whole
    /// buffer that it was read from.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { text: Bytes::copy_from_slice(&self.text), reach: self.reach }
    }

    /// The text, whose form is told at the top of this module.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }
}

/// Writes the filter in MQTT's signs, with `#` wherever it stands.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({:?}, {:?})", String::from_utf8_lossy(&self.text), self.reach)
    }
}
