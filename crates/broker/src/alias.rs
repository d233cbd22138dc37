//! Reply aliases: short-lived subjects that stand for a reply address and a correlation.
//!
//! A receiver whose protocol cannot carry both answers to the alias; whoever sent the request gets
//! the answer where it wants it, with its correlation. Bounded: the oldest are forgotten.

use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::{Bytes, BytesMut};
use hashbrown::HashMap;
use model::record::Address;
use model::subject::Subject;

/// Most aliases at a time.
const ALIASES_MAX: usize = 65_536;
/// How long an answer may take.
const LIFE_MS: i64 = 300_000;
const PREFIX: &[u8] = b"_INBOX/reply/";

/// Where an answer to an alias goes.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) address: Address,
    pub(crate) correlation: Option<Bytes>,
}

#[derive(Debug)]
pub(crate) struct Aliases(Mutex<Table>);

#[derive(Debug)]
struct Table {
    random: u64,
    by_name: HashMap<Bytes, Origin>,
    by_age: VecDeque<(i64, Bytes)>,
}

impl Aliases {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(Table { random: seed, by_name: HashMap::new(), by_age: VecDeque::new() }))
    }

    /// A new alias.
    pub(crate) fn make(&self, unix_ms: i64, origin: Origin) -> Subject {
        let mut table = self.0.lock().expect("no panic under this lock");
        let mut name = BytesMut::from(PREFIX);
        for _ in 0..2 {
            let word = crate::state::next_random(&mut table.random);
            name.extend_from_slice(format!("{word:016x}").as_bytes());
        }
        let name = name.freeze();
        table.by_name.insert(name.clone(), origin);
        table.by_age.push_back((unix_ms, name.clone()));
        while table.by_age.len() > ALIASES_MAX
            || table.by_age.front().is_some_and(|(made, _)| *made + LIFE_MS < unix_ms)
        {
            if let Some((_, old)) = table.by_age.pop_front() {
                table.by_name.remove(&old);
            }
        }
        Subject::from_canonical(name).expect("hexadecimal digits under a fixed prefix")
    }

    /// Where an alias leads; `None` if the subject is none.
    pub(crate) fn resolve(&self, subject: &Subject) -> Option<Origin> {
        if !subject.as_bytes().starts_with(PREFIX) {
            return None;
        }
        self.0.lock().expect("no panic under this lock").by_name.get(subject.as_bytes()).cloned()
    }
}
