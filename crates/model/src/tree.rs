//! A map from subjects that is read by filter, in order and in pages: retained messages.
//!
//! The order is that of the tokens: a subject is followed by everything under it, then by its
//! next sibling. So what a filter can reach lies in ranges, and reading it is a walk along the
//! map that leaps over what cannot match:
//!
//! ```text
//! filter +/temp      a/hum  a/temp  a/wind  a/x  b/hum  b/temp
//!                    |----->|------------------->|------>|
//! ```

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound;

use bytes::{BufMut, BytesMut};

use crate::filter::{Filter, Level, Reach};
use crate::subject::{INBOX, Subject};

/// A map from [`Subject`] to `V`, in the order of tokens.
#[derive(Clone, Debug)]
pub struct SubjectTree<V> {
    map: BTreeMap<InOrder, V>,
}

impl<V> Default for SubjectTree<V> {
    fn default() -> Self {
        Self { map: BTreeMap::new() }
    }
}

impl<V> SubjectTree<V> {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of subjects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is no subject.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Sets the value of a subject and returns the one before. The subject is copied.
    pub fn insert(&mut self, subject: &Subject, value: V) -> Option<V> {
        let key = InOrder(subject.clone());
        if let Some(held) = self.map.get_mut(&key) {
            return Some(std::mem::replace(held, value));
        }
        self.map.insert(InOrder(subject.detached()), value)
    }

    /// Takes a subject out and returns its value.
    pub fn remove(&mut self, subject: &Subject) -> Option<V> {
        self.map.remove(&InOrder(subject.clone()))
    }

    /// The value of a subject.
    #[must_use]
    pub fn get(&self, subject: &Subject) -> Option<&V> {
        self.map.get(&InOrder(subject.clone()))
    }

    /// The value of a subject, to change it.
    pub fn get_mut(&mut self, subject: &Subject) -> Option<&mut V> {
        self.map.get_mut(&InOrder(subject.clone()))
    }

    /// All subjects and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Subject, &V)> {
        self.map.iter().map(|(key, value)| (&key.0, value))
    }

    /// The subjects that the filter matches and their values, in order, after the given subject.
    ///
    /// A page is `.take(n)`; the last subject of a page is where the next one goes on, whatever
    /// was inserted or removed in between. Each leap costs the logarithm of the size, and there
    /// are at most as many as prefixes that the filter reaches. Behind a `#` that is not at the
    /// end every subject is looked at.
    pub fn matching(&self, filter: &Filter, after: Option<&Subject>) -> Matching<'_, V> {
        let start = InOrder(first_reachable(filter));
        let range = match after.map(|after| InOrder(after.clone())) {
            Some(after) if after >= start => {
                self.map.range((Bound::Excluded(after), Bound::Unbounded))
            }
            Some(_) | None => self.map.range(start..),
        };
        Matching { map: &self.map, range, filter: filter.clone(), done: false }
    }
}

/// What [`SubjectTree::matching`] finds.
#[derive(Debug)]
pub struct Matching<'a, V> {
    map: &'a BTreeMap<InOrder, V>,
    range: Range<'a, InOrder, V>,
    filter: Filter,
    done: bool,
}

impl<'a, V> Iterator for Matching<'a, V> {
    type Item = (&'a Subject, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            if let Some(found) = self.look() {
                return Some(found);
            }
        }
        None
    }
}

impl<'a, V> Matching<'a, V> {
    /// Looks at one more subject, and returns it if it matches.
    fn look(&mut self) -> Option<(&'a Subject, &'a V)> {
        let Some((key, value)) = self.range.next() else {
            self.done = true;
            return None;
        };
        match judge(&self.filter, &key.0) {
            Step::Match => return Some((&key.0, value)),
            Step::Next => {}
            Step::Leap(to) => {
                let to = InOrder(to);
                if to > *key {
                    self.range = self.map.range(to..);
                }
            }
            Step::End => self.done = true,
        }
        None
    }
}

impl<V> std::iter::FusedIterator for Matching<'_, V> {}

/// What a subject tells about itself and what follows it.
enum Step {
    /// It matches.
    Match,
    /// It does not; the one after it may.
    Next,
    /// Nothing before this place matches.
    Leap(Subject),
    /// Nothing after it matches.
    End,
}

fn judge(filter: &Filter, subject: &Subject) -> Step {
    let reach = filter.reach();
    if reach != Reach::All && subject.is_private() {
        // Behind everything that begins with `$`.
        return Step::Leap(place(b"%", b""));
    }
    if reach == Reach::Public && subject.is_inbox() {
        return behind(INBOX);
    }
    let text = subject.as_bytes();
    let mut levels = filter.levels();
    let mut tokens = subject.tokens();
    // The prefix that the levels have taken, and the prefix up to the last token that a wildcard
    // took: the next candidate is a sibling of that token.
    let mut taken: Option<&[u8]> = None;
    let mut sibling: Option<&[u8]> = None;
    loop {
        let level = levels.next();
        if level == Some(Level::Any) {
            return match levels.next() {
                None => Step::Match,
                Some(_) if filter.matches(subject) => Step::Match,
                Some(_) => Step::Next,
            };
        }
        let Some(token) = tokens.next() else {
            return match level {
                None => Step::Match,
                Some(Level::Literal(literal)) => Step::Leap(child(taken, literal)),
                Some(Level::One | Level::Any) => Step::Next,
            };
        };
        let prefix = match tokens.rest() {
            Some(rest) => text.get(..text.len() - rest.len() - 1).unwrap_or(text),
            None => text,
        };
        match level {
            None => return sibling.map_or(Step::End, behind),
            Some(Level::Literal(literal)) => match token.cmp(literal) {
                Ordering::Equal => {}
                Ordering::Less => return Step::Leap(child(taken, literal)),
                Ordering::Greater => return sibling.map_or(Step::End, behind),
            },
            Some(Level::One | Level::Any) => sibling = Some(prefix),
        }
        taken = Some(prefix);
    }
}

/// The first place that the filter can reach.
fn first_reachable(filter: &Filter) -> Subject {
    let mut prefix: Option<Subject> = None;
    for level in filter.levels() {
        match level {
            Level::Literal(literal) => {
                prefix = Some(child(prefix.as_ref().map(Subject::as_bytes), literal));
            }
            Level::One | Level::Any => break,
        }
    }
    prefix.unwrap_or_default()
}

/// The place of a token under a prefix.
fn child(prefix: Option<&[u8]>, token: &[u8]) -> Subject {
    match prefix {
        None => place(token, b""),
        Some(prefix) => {
            let mut under = BytesMut::with_capacity(prefix.len() + 1 + token.len());
            under.put_slice(prefix);
            under.put_u8(b'/');
            place_of(under, token)
        }
    }
}

/// The place behind a subject and everything under it. No token contains NUL, so what follows is
/// at least this.
fn behind(prefix: &[u8]) -> Step {
    Step::Leap(place(prefix, b"\x01"))
}

fn place(start: &[u8], end: &[u8]) -> Subject {
    place_of(BytesMut::from(start), end)
}

fn place_of(mut start: BytesMut, end: &[u8]) -> Subject {
    start.put_slice(end);
    Subject::from_place(start.freeze())
}

/// A subject, ordered by its tokens: as its bytes would be if `/` came before all others.
#[derive(Clone, Debug, PartialEq, Eq)]
struct InOrder(Subject);

impl Ord for InOrder {
    fn cmp(&self, other: &Self) -> Ordering {
        let (ours, theirs) = (self.0.as_bytes(), other.0.as_bytes());
        match ours.iter().zip(theirs).find(|(our, their)| our != their) {
            Some((our, their)) => rank(*our).cmp(&rank(*their)),
            None => ours.len().cmp(&theirs.len()),
        }
    }
}

impl PartialOrd for InOrder {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Places `/` before every byte that a token may contain.
fn rank(byte: u8) -> u8 {
    if byte == b'/' { 0 } else { byte }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// How many of `x/0/y .. x/999/y` and their siblings `x/0/z` are looked at.
    fn looks(filter: &'static str) -> usize {
        let mut tree = SubjectTree::new();
        for n in 0..1_000 {
            for leaf in ["y", "z/1", "z/2", "z/3", "z/4", "z/5"] {
                let text = Bytes::from(format!("x/{n}/{leaf}"));
                tree.insert(&Subject::from_canonical(text).unwrap(), n);
            }
        }
        let filter = Filter::mqtt(&Bytes::from_static(filter.as_bytes())).unwrap();
        let mut matching = tree.matching(&filter, None);
        let mut looks = 0;
        while !matching.done {
            matching.look();
            looks += 1;
        }
        looks
    }

    #[test]
    fn what_a_filter_cannot_reach_is_leapt_over() {
        assert_eq!(looks("x/777/y"), 2, "the subject, and the one that ends it");
        assert_eq!(looks("x/777/#"), 7);
        assert_eq!(looks("y/#"), 1);
        assert_eq!(looks("x/+/y"), 2_001, "one and its sibling under each prefix");
        assert_eq!(looks("x/+/z/5"), 3_001, "one leap for each literal token");
        assert_eq!(looks("+"), 2);
    }
}
