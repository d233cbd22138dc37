//! Many filters at once: which items stand under a filter that matches this subject?
//!
//! Filters without wildcards are found by hash of the subject. The others are paths in a trie of
//! levels, in one of three tries by their [`Reach`], so that private subjects and reply addresses
//! never walk through the wildcards that must not see them.
//!
//! ```text
//! subject --hash--> literal filters
//!         \-walk--> tries: All, Inboxes (no $...), Public (no $..., no _INBOX)
//!                   node: literal children | one (+) | any (#) | items that end here
//! ```
//!
//! A walk visits each node at most once outside of `#`. Under a `#` before the end it goes on
//! token by token with the set of live nodes, so a filter that can match in many ways costs and
//! reports once. Depth is bounded by
//! [`SUBJECT_LEVELS_MAX`](crate::subject::SUBJECT_LEVELS_MAX).

use std::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::filter::{Filter, Level, Levels, Reach};
use crate::members::Members;
use crate::subject::{Subject, Tokens};

/// Up to this many literal children a node keeps in a row.
const ROW: usize = 8;

/// A set of pairs of a filter and an item, asked by subject.
///
/// The order of items in an answer is not defined, but a function of the seed and of what was
/// inserted and removed before.
#[derive(Debug)]
pub struct Index<T> {
    literals: HashMap<Box<[u8]>, Members<T>, FixedState>,
    /// Filters that begin with a literal token and have a wildcard later, and those of
    /// [`Reach::All`].
    all: Node<T>,
    inboxes: Node<T>,
    public: Node<T>,
    len: usize,
    hasher: FixedState,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self::seeded(0)
    }
}

impl<T> Index<T> {
    /// An empty index whose hashing starts from `seed`, which strangers should not know.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self {
            literals: HashMap::with_hasher(hasher.clone()),
            all: Node::default(),
            inboxes: Node::default(),
            public: Node::default(),
            len: 0,
            hasher,
        }
    }

    /// The number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reports the items under all filters that match the subject, each pair once.
    ///
    /// An item under two matching filters is reported twice.
    pub fn matches<'a>(&'a self, subject: &Subject, mut report: impl FnMut(&'a T)) {
        if let Some(members) = self.literals.get(subject.as_bytes()) {
            members.as_slice().iter().for_each(&mut report);
        }
        walk(&self.all, subject.tokens(), &self.hasher, &mut report);
        if !subject.is_private() {
            walk(&self.inboxes, subject.tokens(), &self.hasher, &mut report);
            if !subject.is_inbox() {
                walk(&self.public, subject.tokens(), &self.hasher, &mut report);
            }
        }
    }

    fn root_mut(&mut self, reach: Reach) -> &mut Node<T> {
        match reach {
            Reach::All => &mut self.all,
            Reach::Inboxes => &mut self.inboxes,
            Reach::Public => &mut self.public,
        }
    }
}

impl<T: Eq + Hash> Index<T> {
    /// Adds a pair; `false` if it is there already.
    pub fn insert(&mut self, filter: &Filter, item: T) -> bool {
        let hasher = self.hasher.clone();
        let members = if filter.is_literal() {
            self.literals.entry(filter.text().into()).or_insert(Members::None)
        } else {
            let mut node = self.root_mut(filter.reach());
            for level in filter.levels() {
                node = match level {
                    Level::Literal(token) => node.children.get_or_insert(token, &hasher),
                    Level::One => node.one.get_or_insert_default(),
                    Level::Any => node.any.get_or_insert_default(),
                };
            }
            &mut node.here
        };
        let added = members.insert(item, &hasher);
        self.len += usize::from(added);
        added
    }

    /// Takes a pair out; `false` if it is not there.
    pub fn remove(&mut self, filter: &Filter, item: &T) -> bool {
        let hasher = self.hasher.clone();
        let removed = if filter.is_literal() {
            self.remove_literal(filter.text(), item)
        } else {
            remove(self.root_mut(filter.reach()), filter.levels(), item, &hasher)
        };
        self.len -= usize::from(removed);
        removed
    }

    fn remove_literal(&mut self, text: &[u8], item: &T) -> bool {
        let Some(members) = self.literals.get_mut(text) else { return false };
        let removed = members.remove(item, &self.hasher);
        if removed && members.is_empty() {
            self.literals.remove(text);
            shrink(&mut self.literals);
        }
        removed
    }
}

/// One level of a trie. Invariant: no node but a root is empty.
#[derive(Debug)]
struct Node<T> {
    children: Children<T>,
    one: Option<Box<Self>>,
    any: Option<Box<Self>>,
    /// The items under the filter that ends here.
    here: Members<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { children: Children::Row(Vec::new()), one: None, any: None, here: Members::None }
    }
}

impl<T> Node<T> {
    fn is_empty(&self) -> bool {
        self.here.is_empty() && self.is_leaf()
    }

    fn is_leaf(&self) -> bool {
        self.one.is_none() && self.any.is_none() && self.children.is_empty()
    }
}

/// The children of a node by literal token.
#[derive(Debug)]
enum Children<T> {
    Row(Vec<(Box<[u8]>, Node<T>)>),
    Table(Box<HashMap<Box<[u8]>, Node<T>, FixedState>>),
}

impl<T> Children<T> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Row(row) => row.is_empty(),
            Self::Table(table) => table.is_empty(),
        }
    }

    fn get(&self, token: &[u8]) -> Option<&Node<T>> {
        match self {
            Self::Row(row) => row.iter().find(|(key, _)| **key == *token).map(|(_, node)| node),
            Self::Table(table) => table.get(token),
        }
    }

    fn get_mut(&mut self, token: &[u8]) -> Option<&mut Node<T>> {
        match self {
            Self::Row(row) => row.iter_mut().find(|(key, _)| **key == *token).map(|(_, node)| node),
            Self::Table(table) => table.get_mut(token),
        }
    }

    fn get_or_insert(&mut self, token: &[u8], hasher: &FixedState) -> &mut Node<T> {
        if let Self::Row(row) = self
            && row.len() >= ROW
            && !row.iter().any(|(key, _)| **key == *token)
        {
            let mut table = HashMap::with_hasher(hasher.clone());
            table.extend(std::mem::take(row));
            *self = Self::Table(Box::new(table));
        }
        match self {
            Self::Row(row) => {
                let at = match row.iter().position(|(key, _)| **key == *token) {
                    Some(at) => at,
                    None => {
                        row.push((token.into(), Node::default()));
                        row.len() - 1
                    }
                };
                &mut row[at].1
            }
            Self::Table(table) => table.entry(token.into()).or_insert_with(Node::default),
        }
    }

    fn remove(&mut self, token: &[u8]) {
        match self {
            Self::Row(row) => {
                row.retain(|(key, _)| **key != *token);
                if row.is_empty() {
                    *row = Vec::new();
                }
            }
            Self::Table(table) => {
                table.remove(token);
                if table.is_empty() {
                    *self = Self::Row(Vec::new());
                } else {
                    shrink(table);
                }
            }
        }
    }
}

/// Gives memory back once a table is mostly empty; constant time per removal on average.
fn shrink<V>(table: &mut HashMap<Box<[u8]>, V, FixedState>) {
    if table.capacity() > 64 && table.len() < table.capacity() / 4 {
        table.shrink_to(table.len() * 2);
    }
}

/// Takes an item out below `node`, and with it the nodes that become empty.
fn remove<T: Eq + Hash>(
    node: &mut Node<T>,
    mut levels: Levels<'_>,
    item: &T,
    hasher: &FixedState,
) -> bool {
    match levels.next() {
        None => node.here.remove(item, hasher),
        Some(Level::Literal(token)) => {
            let Some(child) = node.children.get_mut(token) else { return false };
            let removed = remove(child, levels, item, hasher);
            if removed && child.is_empty() {
                node.children.remove(token);
            }
            removed
        }
        Some(Level::One) => remove_branch(&mut node.one, levels, item, hasher),
        Some(Level::Any) => remove_branch(&mut node.any, levels, item, hasher),
    }
}

fn remove_branch<T: Eq + Hash>(
    branch: &mut Option<Box<Node<T>>>,
    levels: Levels<'_>,
    item: &T,
    hasher: &FixedState,
) -> bool {
    let Some(child) = branch else { return false };
    let removed = remove(child, levels, item, hasher);
    if removed && child.is_empty() {
        *branch = None;
    }
    removed
}

/// Reports what matches the tokens that are left at `node`, which no `#` leads to.
fn walk<'a, T, F: FnMut(&'a T)>(
    node: &'a Node<T>,
    mut tokens: Tokens<'_>,
    hasher: &FixedState,
    report: &mut F,
) {
    if let Some(any) = &node.any {
        if any.is_leaf() {
            any.here.as_slice().iter().for_each(&mut *report);
        } else {
            roam(any, tokens.clone(), hasher, report);
        }
    }
    let Some(token) = tokens.next() else {
        return node.here.as_slice().iter().for_each(report);
    };
    if let Some(child) = node.children.get(token) {
        walk(child, tokens.clone(), hasher, report);
    }
    if let Some(child) = &node.one {
        walk(child, tokens, hasher, report);
    }
}

/// Reports what matches the tokens that are left at `start`, the node of a `#`.
///
/// All live nodes take each token together. A node of a `#`, once live, stays so to the end, so
/// it needs to be entered only once; any other is entered by its one parent at most once a token.
fn roam<'a, T, F: FnMut(&'a T)>(
    start: &'a Node<T>,
    tokens: Tokens<'_>,
    hasher: &FixedState,
    report: &mut F,
) {
    let mut loops = Loops { nodes: Vec::new(), seen: HashSet::with_hasher(hasher.clone()) };
    loops.enter(start);
    let mut live: Vec<&Node<T>> = Vec::new();
    let mut next: Vec<&Node<T>> = Vec::new();
    for token in tokens {
        next.clear();
        for node in live.iter().chain(&loops.nodes) {
            next.extend(node.children.get(token));
            next.extend(node.one.as_deref());
        }
        for node in &next {
            if let Some(any) = &node.any {
                loops.enter(any);
            }
        }
        std::mem::swap(&mut live, &mut next);
    }
    for node in live.iter().chain(&loops.nodes) {
        node.here.as_slice().iter().for_each(&mut *report);
    }
}

/// The nodes of `#` that are live.
struct Loops<'a, T> {
    nodes: Vec<&'a Node<T>>,
    /// Their addresses.
    seen: HashSet<usize, FixedState>,
}

impl<'a, T> Loops<'a, T> {
    /// Adds a node, and the nodes of further `#` directly behind it.
    fn enter(&mut self, node: &'a Node<T>) {
        let mut at = Some(node);
        while let Some(node) = at {
            if !self.seen.insert(std::ptr::from_ref(node).addr()) {
                return;
            }
            self.nodes.push(node);
            at = node.any.as_deref();
        }
    }
}
