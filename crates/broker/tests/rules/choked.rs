//! An engine that can be told to have no room, when to finish writes, and what happens while it
//! reads.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use storage::memory::Memory;
use storage::{
    Done, Engine, EngineStats, Health, LogId, Offset, Op, ReadError, ReadLimits, StoredBatch,
    SubmitError, Write,
};

use crate::world::memory;

/// Memory, as long as it is not full.
#[derive(Debug, Default)]
pub struct Choked {
    inner: Memory,
    full: AtomicBool,
    poisoned: AtomicBool,
    /// Whether writes wait until they are let go.
    slow: AtomicBool,
    waiting: Mutex<VecDeque<Waiting>>,
    meanwhile: Mutex<Option<Meanwhile>>,
}

/// What happens between what a read sees and its return.
struct Meanwhile(LogId, Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

struct Waiting(Write, Done);

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Choked {
    pub fn new() -> Self {
        Self { inner: memory(), ..Self::default() }
    }

    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    pub fn poison(&self) {
        self.poisoned.store(true, Ordering::Relaxed);
    }

    pub fn set_slow(&self, slow: bool) {
        self.slow.store(slow, Ordering::Relaxed);
    }

    /// The next read of this log takes as long as that does.
    pub fn while_reading(&self, log: LogId, meanwhile: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some(Meanwhile(log, Box::new(meanwhile)));
    }

    /// Finishes the writes that wait.
    pub fn let_go(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        for Waiting(write, done) in waiting {
            self.finish(write, done);
        }
    }

    /// Settles, cursors and the like are taken out of a reserve.
    fn frees(op: &Op) -> bool {
        matches!(
            op,
            Op::Trim { .. }
                | Op::Delete { .. }
                | Op::Cursor { .. }
                | Op::Remove { .. }
                | Op::Settle { .. }
                | Op::Release { .. }
                | Op::DropLog(_)
                | Op::Policy { .. }
        )
    }

    fn finish(&self, write: Write, done: Done) {
        if self.poisoned.load(Ordering::Relaxed) {
            done(Err(SubmitError::Poisoned));
        } else if self.full.load(Ordering::Relaxed) && !write.ops.iter().all(Self::frees) {
            done(Err(SubmitError::Full));
        } else {
            self.inner.submit(write, done);
        }
    }
}

impl Engine for Choked {
    fn submit(&self, write: Write, done: Done) {
        if self.slow.load(Ordering::Relaxed) {
            self.waiting.lock().unwrap().push_back(Waiting(write, done));
        } else {
            self.finish(write, done);
        }
    }

    fn read(
        &self,
        log: LogId,
        from: Offset,
        limits: ReadLimits,
    ) -> Result<Vec<StoredBatch>, ReadError> {
        let read = self.inner.read(log, from, limits);
        let is_it = |meanwhile: &mut Meanwhile| meanwhile.0 == log;
        let meanwhile = self.meanwhile.lock().unwrap().take_if(is_it);
        if let Some(Meanwhile(_, meanwhile)) = meanwhile {
            meanwhile();
        }
        read
    }

    lookups_of_the_inner_engine!();

    fn stats(&self) -> EngineStats {
        let health =
            match (self.poisoned.load(Ordering::Relaxed), self.full.load(Ordering::Relaxed)) {
                (true, _) => Health::Poisoned,
                (false, true) => Health::Full,
                (false, false) => Health::Good,
            };
        EngineStats { health, ..self.inner.stats() }
    }

    fn close(&self) {
        self.inner.close();
    }
}
