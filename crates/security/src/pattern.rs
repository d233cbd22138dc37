//! The one glob grammar, over subjects and names alike.
//!
//! ```text
//! *          any run of characters without the separator
//! **         any run of characters
//! SEP** end  the parent itself, and everything below it
//! ${user}    the user's name        ${client}  what the client calls itself
//! \X         X itself
//! ```
//!
//! The separator is `/` for subjects and `.` for names. Filters are matched as sets: their wildcards
//! are [`Symbol`]s that only wildcards of a pattern absorb. All states are followed at once, so that
//! the time is the product of both lengths at most.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest text of a pattern, in bytes.
const TEXT_MAX: usize = 1024;

/// A glob, as it was written; which separator it has is said when it is matched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Piece {
    Byte(u8),
    /// `*`
    Run,
    /// `**`
    All,
    User,
    Client,
}

/// What is wrong with the text of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// Nothing, which matches nothing.
    #[error("a pattern is not empty; ** matches everything")]
    Empty,
    /// Over 1,024 bytes.
    #[error("a pattern has at most {TEXT_MAX} bytes")]
    TooLong,
    /// A wildcard of a protocol.
    #[error("{0:?} is written as * (one level) or ** (all levels); as itself it is \\{0}")]
    Foreign(char),
    /// `${..}` that is not known.
    #[error("a variable is ${{user}} or ${{client}}; a $ before {{ as itself is \\$")]
    Variable,
    /// A `\` with nothing behind it.
    #[error("a \\ stands before the character that is meant as it is")]
    Escape,
    /// More than two stars, which mean no more than two.
    #[error("*** means no more than **")]
    Stars,
}

/// One character of a filter, or one of its wildcards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// A character as it is.
    Byte(u8),
    /// Any one token.
    One,
    /// Zero or more further tokens, each with a separator before it.
    Rest,
    /// Zero or more tokens where none came before.
    Any,
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > TEXT_MAX {
            return Err(PatternError::TooLong);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (piece, taken) = if rest.starts_with("***") {
                return Err(PatternError::Stars);
            } else if rest.starts_with("**") {
                (Some(Piece::All), 2)
            } else if first == '*' {
                (Some(Piece::Run), 1)
            } else if let Some(named) = rest.strip_prefix("${") {
                let (name, _) = named.split_once('}').ok_or(PatternError::Variable)?;
                let piece = match name {
                    "user" => Piece::User,
                    "client" => Piece::Client,
                    _ => return Err(PatternError::Variable),
                };
                (Some(piece), name.len() + 3)
            } else if first == '\\' {
                let meant = rest.chars().nth(1).ok_or(PatternError::Escape)?;
                pieces.extend(rest[1..=meant.len_utf8()].bytes().map(Piece::Byte));
                (None, 1 + meant.len_utf8())
            } else if matches!(first, '+' | '#' | '>') {
                return Err(PatternError::Foreign(first));
            } else {
                pieces.extend(rest[..first.len_utf8()].bytes().map(Piece::Byte));
                (None, first.len_utf8())
            };
            pieces.extend(piece);
            rest = &rest[taken..];
        }
        Ok(Self { text: text.to_owned(), pieces })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

impl Pattern {
    /// The pattern that matches this text and no other.
    ///
    /// # Errors
    ///
    /// [`PatternError::Empty`], [`PatternError::TooLong`].
    pub fn literal(text: &str) -> Result<Self, PatternError> {
        let mut escaped = String::new();
        for letter in text.chars() {
            if matches!(letter, '*' | '+' | '#' | '>' | '\\' | '$') {
                escaped.push('\\');
            }
            escaped.push(letter);
        }
        escaped.parse()
    }

    /// With the variables put in. `None`: a variable stands for an id that it must not stand for,
    /// and the pattern matches nothing.
    pub(crate) fn bind(&self, user: &[u8], client: &[u8], separator: u8) -> Option<Glob> {
        let mut atoms = Vec::new();
        for (at, piece) in self.pieces.iter().enumerate() {
            let id = match piece {
                Piece::User => user,
                Piece::Client => client,
                Piece::Byte(byte) => {
                    let parent = *byte == separator
                        && self.pieces.get(at + 1) == Some(&Piece::All)
                        && self.pieces.len() == at + 2;
                    atoms.push(if parent { Atom::Below } else { Atom::Byte(*byte) });
                    continue;
                }
                Piece::Run => {
                    atoms.push(Atom::Run);
                    continue;
                }
                Piece::All => {
                    atoms.push(Atom::All);
                    continue;
                }
            };
            if !may_stand(id) {
                return None;
            }
            atoms.extend(id.iter().map(|byte| Atom::Byte(*byte)));
        }
        Some(Glob::new(atoms, separator))
    }
}

/// Whether an id may take the place of a variable: one token, in every protocol.
fn may_stand(id: &[u8]) -> bool {
    let foreign = |byte: &u8| byte.is_ascii_control() || b"/.+#*>".contains(byte);
    !id.is_empty() && !id.iter().any(foreign)
}

/// A pattern of one identity, ready to match.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    /// What every match begins with.
    prefix: Box<[u8]>,
    /// What follows it.
    atoms: Box<[Atom]>,
    separator: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Atom {
    Byte(u8),
    Run,
    All,
    /// The separator before a last `**`: the end is allowed as well.
    Below,
}

impl Glob {
    fn new(atoms: Vec<Atom>, separator: u8) -> Self {
        let literal = |atom: &Atom| match atom {
            Atom::Byte(byte) => Some(*byte),
            Atom::Run | Atom::All | Atom::Below => None,
        };
        let prefix: Box<[u8]> = atoms.iter().map_while(literal).collect();
        let atoms = atoms[prefix.len()..].into();
        Self { prefix, atoms, separator }
    }

    /// The glob that matches everything.
    pub(crate) fn everything(separator: u8) -> Self {
        Self::new(vec![Atom::All], separator)
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.prefix.is_empty() && *self.atoms == [Atom::All]
    }

    /// Whether a name is matched.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let Some(rest) = name.strip_prefix(&*self.prefix) else { return false };
        match *self.atoms {
            [] => rest.is_empty(),
            [Atom::All] => true,
            [Atom::Below, Atom::All] => rest.first().is_none_or(|byte| *byte == self.separator),
            _ => self.run(rest.iter().map(|byte| Symbol::Byte(*byte))),
        }
    }

    /// Whether every name that a filter stands for is matched.
    pub(crate) fn covers(&self, filter: &[Symbol]) -> bool {
        let Some((head, rest)) = filter.split_at_checked(self.prefix.len()) else { return false };
        let same = head.iter().zip(&*self.prefix).all(|(s, byte)| *s == Symbol::Byte(*byte));
        same && self.run(rest.iter().copied())
    }

    fn run(&self, symbols: impl Iterator<Item = Symbol>) -> bool {
        let mut states = States::at_start(self.atoms.len());
        self.skip_empty(&mut states);
        for symbol in symbols {
            let mut next = States::none(self.atoms.len());
            for at in states.iter() {
                let Some(atom) = self.atoms.get(at) else { continue };
                match (atom, symbol) {
                    (Atom::Byte(wanted), Symbol::Byte(byte)) if *wanted == byte => next.add(at + 1),
                    (Atom::Run, Symbol::Byte(byte)) if byte != self.separator => next.add(at),
                    (Atom::Run, Symbol::One) | (Atom::All, _) | (Atom::Below, Symbol::Rest) => {
                        next.add(at);
                    }
                    (Atom::Below, Symbol::Byte(byte)) if byte == self.separator => next.add(at + 1),
                    _ => {}
                }
            }
            self.skip_empty(&mut next);
            states = next;
        }
        states.has(self.atoms.len())
    }

    /// Whether a name may be matched that a filter stands for: never wrongly no.
    pub(crate) fn overlaps(&self, filter: &[Symbol]) -> bool {
        let prefix = self.prefix.iter().map(|byte| Atom::Byte(*byte));
        let atoms: Box<[Atom]> = prefix.chain(self.atoms.iter().copied()).collect();
        let whole = Self { prefix: Box::default(), atoms, separator: self.separator };
        whole.meets(filter)
    }

    fn meets(&self, filter: &[Symbol]) -> bool {
        let end = self.atoms.len();
        let mut states = States::at_start(end);
        self.skip_empty(&mut states);
        for symbol in filter {
            let mut next = States::none(end);
            for at in states.iter() {
                match symbol {
                    Symbol::Byte(byte) => match self.atoms.get(at) {
                        Some(Atom::Byte(wanted)) if wanted == byte => next.add(at + 1),
                        Some(Atom::Below) if *byte == self.separator => next.add(at + 1),
                        Some(Atom::Run) if *byte != self.separator => next.add(at),
                        Some(Atom::All) => next.add(at),
                        Some(Atom::Byte(_) | Atom::Below | Atom::Run) | None => {}
                    },
                    Symbol::One => {
                        // As far as a token can lead.
                        for to in at..=end {
                            next.add(to);
                            let stops = match self.atoms.get(to) {
                                Some(Atom::Byte(byte)) => *byte == self.separator,
                                Some(Atom::Below) => true,
                                Some(Atom::Run | Atom::All) | None => false,
                            };
                            if stops {
                                break;
                            }
                        }
                    }
                    Symbol::Rest | Symbol::Any => (at..=end).for_each(|to| next.add(to)),
                }
            }
            self.skip_empty(&mut next);
            states = next;
        }
        states.has(end)
    }

    /// What matches nothing as well may be passed.
    fn skip_empty(&self, states: &mut States) {
        for (at, atom) in self.atoms.iter().enumerate() {
            if states.has(at) {
                match atom {
                    Atom::Run | Atom::All => states.add(at + 1),
                    Atom::Below => states.add(self.atoms.len()),
                    Atom::Byte(_) => {}
                }
            }
        }
    }
}

/// Places in a glob, 0 to its length.
struct States(Vec<bool>);

impl States {
    fn none(length: usize) -> Self {
        Self(vec![false; length + 1])
    }

    fn at_start(length: usize) -> Self {
        let mut states = Self::none(length);
        states.add(0);
        states
    }

    fn add(&mut self, at: usize) {
        self.0[at] = true;
    }

    fn has(&self, at: usize) -> bool {
        self.0[at]
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter(|(_, on)| **on).map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn glob(text: &str) -> Glob {
        let pattern: Pattern = text.parse().expect(text);
        pattern.bind(b"ada", b"pump-7", b'/').expect("ids of one token")
    }

    fn matches(text: &str, name: &str) -> bool {
        glob(text).matches(name.as_bytes())
    }

    /// An MQTT filter as symbols.
    fn symbols(filter: &str) -> Vec<Symbol> {
        let mut out = Vec::new();
        for (at, token) in filter.split('/').enumerate() {
            match token {
                "#" if at == 0 => out.push(Symbol::Any),
                "#" => out.push(Symbol::Rest),
                token => {
                    if at > 0 {
                        out.push(Symbol::Byte(b'/'));
                    }
                    match token {
                        "+" => out.push(Symbol::One),
                        token => out.extend(token.bytes().map(Symbol::Byte)),
                    }
                }
            }
        }
        out
    }

    #[test]
    fn stars_stop_at_separators_and_double_stars_do_not() {
        assert!(matches("a/*/c", "a/b/c"));
        assert!(matches("a/*/c", "a//c"));
        assert!(!matches("a/*/c", "a/b/b/c"));
        assert!(matches("a/**", "a/b/c"));
        assert!(matches("a/**", "a"), "the parent as well");
        assert!(!matches("a/**", "ab"));
        assert!(matches("a**", "ab/c"));
        assert!(matches("**/c", "a/b/c"));
        assert!(matches("dev-*", "dev-7") && !matches("dev-*", "dev-7/x"));
    }

    #[test]
    fn variables_are_literal_text_of_one_token() {
        assert!(matches("u/${user}/**", "u/ada/x") && !matches("u/${user}/**", "u/bob/x"));
        assert!(matches("c/${client}", "c/pump-7"));
        let pattern: Pattern = "c/${client}/**".parse().expect("valid");
        for id in ["#", "+", "a/b", "*", ">", "a.b", "", "a\u{1}", "a#"] {
            assert!(pattern.bind(b"ada", id.as_bytes(), b'/').is_none(), "{id:?} widens nothing");
        }
    }

    #[test]
    fn errors_say_what_to_write() {
        let error = |text: &str| text.parse::<Pattern>().expect_err(text).to_string();
        assert!(error("a/+/b").contains("* (one level)"));
        assert!(error("a/#").contains("**"));
        assert!(error("").contains("not empty"));
        assert!(error("${tenant}").contains("${user} or ${client}"));
        assert!(error("a\\").contains("before the character"));
        assert!(error("a***").contains("no more than **"));
        assert!("a\\*b".parse::<Pattern>().is_ok());
        assert!(glob("a\\*b").matches(b"a*b") && !glob("a\\*b").matches(b"axb"));
    }

    #[test]
    fn filters_are_covered_as_sets() {
        let covers = |text: &str, filter: &str| glob(text).covers(&symbols(filter));
        assert!(covers("a/**", "a/#") && covers("a/**", "a/+/c") && covers("**", "#"));
        assert!(covers("a/*/c", "a/+/c") && !covers("a/*/c", "a/#"));
        assert!(!covers("a/dev*", "a/+"), "a wildcard is more than any text");
        assert!(!covers("a/b", "a/+") && !covers("a/**", "#") && !covers("a/**", "+/b"));
        assert!(covers("a/*", "a/+") && !covers("a/*", "a/+/+"));
    }

    #[test]
    fn overlaps_are_found() {
        let overlaps = |text: &str, filter: &str| glob(text).overlaps(&symbols(filter));
        assert!(overlaps("a/secret", "a/#") && overlaps("a/secret", "+/+") && overlaps("**", "x"));
        assert!(!overlaps("a/secret", "b/#") && !overlaps("a/secret", "a/+/x"));
    }

    /// The plain reading of a pattern, by trying everything.
    fn oracle(pattern: &[char], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['/', '*', '*'] => name.is_empty() || name[0] == b'/',
            ['*', '*', rest @ ..] => (0..=name.len()).any(|n| oracle(rest, &name[n..])),
            ['*', rest @ ..] => (0..=name.len())
                .take_while(|n| !name[..*n].contains(&b'/'))
                .any(|n| oracle(rest, &name[n..])),
            [letter, rest @ ..] => {
                name.first() == Some(&(*letter as u8)) && oracle(rest, &name[1..])
            }
        }
    }

    proptest! {
        #[test]
        fn the_matcher_agrees_with_the_plain_reading(
            pattern in "[ab/*]{1,8}", names in proptest::collection::vec("[ab/]{0,8}", 20)
        ) {
            prop_assume!(!pattern.contains("***"));
            let letters: Vec<char> = pattern.chars().collect();
            for name in names {
                let expected = oracle(&letters, name.as_bytes());
                prop_assert_eq!(matches(&pattern, &name), expected, "{} {}", pattern, name);
            }
        }

        #[test]
        fn what_covers_a_filter_matches_all_of_it_and_what_meets_none_nothing(
            pattern in "[ab/*]{1,8}",
            filter in "([ab]{1,2}|\\+)(/([ab]{1,2}|\\+)){0,2}(/#)?",
            tokens in proptest::collection::vec("[ab]{0,2}", 6),
            more in 0_usize..3,
        ) {
            prop_assume!(!pattern.contains("***"));
            let mut spare = tokens.iter();
            let mut name: Vec<String> = Vec::new();
            for token in filter.split('/') {
                match token {
                    "+" => name.extend(spare.next().cloned()),
                    "#" => name.extend(spare.by_ref().take(more).cloned()),
                    token => name.push(token.to_owned()),
                }
            }
            let name = name.join("/");
            let glob = glob(&pattern);
            let filter = symbols(&filter);
            if glob.covers(&filter) {
                prop_assert!(glob.matches(name.as_bytes()), "{name}");
            }
            if glob.matches(name.as_bytes()) {
                prop_assert!(glob.overlaps(&filter), "{name}");
            }
        }
    }
}
