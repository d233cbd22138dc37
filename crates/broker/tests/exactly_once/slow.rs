//! A journal that commits when it is told to, in any order that the real one may choose.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use storage::{Done, Engine, EngineStats, Op, Write};
use storage_journal::Journal;

/// See the module's text.
#[derive(Debug)]
pub struct Slow {
    inner: Journal,
    /// Writes wait until they are let go.
    waits: AtomicBool,
    waiting: Mutex<Vec<Waiting>>,
}

struct Waiting(Write, Done);

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Slow {
    pub fn new(inner: Journal) -> Self {
        Self { inner, waits: AtomicBool::new(false), waiting: Mutex::default() }
    }

    pub fn wait(&self) {
        self.waits.store(true, Ordering::Relaxed);
    }

    pub fn waiting(&self) -> usize {
        self.waiting.lock().unwrap().len()
    }

    /// Commits the first write that waits, or the last that may overtake all others.
    pub fn commit(&self, overtaking: bool) {
        let mut waiting = self.waiting.lock().unwrap();
        let may_overtake = |at: &usize| {
            let (earlier, rest) = waiting.split_at(*at);
            frees(&rest[0].0) && !earlier.iter().any(|other| touch(&other.0, &rest[0].0))
        };
        let last = (0..waiting.len()).rev().find(may_overtake).filter(|_| overtaking);
        let Waiting(write, done) = waiting.remove(last.unwrap_or(0));
        drop(waiting);
        self.inner.submit(write, done);
    }
}

/// Whether it only frees, and so may overtake others.
fn frees(write: &Write) -> bool {
    !write.ops.is_empty()
        && write.ops.iter().all(|op| matches!(op, Op::Cursor { .. } | Op::Remove { .. }))
}

/// Whether two writes change the same thing.
fn touch(one: &Write, other: &Write) -> bool {
    let thing = |op: &Op| match op {
        Op::Cursor { name, log, .. } => Some(("cursor", name.clone(), log.0)),
        Op::Put { table, key, .. } | Op::Remove { table, key } => Some((*table, key.clone(), 0)),
        _ => None,
    };
    one.ops.iter().filter_map(thing).any(|a| other.ops.iter().filter_map(thing).any(|b| a == b))
}

impl Engine for Slow {
    fn submit(&self, write: Write, done: Done) {
        if self.waits.load(Ordering::Relaxed) {
            self.waiting.lock().unwrap().push(Waiting(write, done));
        } else {
            self.inner.submit(write, done);
        }
    }

    reads_of_the_inner_engine!();

    fn stats(&self) -> EngineStats {
        self.inner.stats()
    }

    fn close(&self) {
        self.inner.close();
    }
}
