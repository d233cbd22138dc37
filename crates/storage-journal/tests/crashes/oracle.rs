//! What must be true after what was answered: the one judge of all crash tests.
//!
//! After a crash the engine must show what some prefix of the submitted writes leaves, and this
//! prefix must contain every write that was promised. What was ever shown at an offset stays the
//! only thing that is ever shown there.

use std::collections::BTreeMap;

use bytes::Bytes;
use storage::suite::Model;
use storage::{Committed, Engine, LogId, Mode, Offset, SubmitError, Write};

/// An empty answer, or what is wrong.
pub(crate) type Told = Result<(), String>;

/// What became of one write.
pub(crate) type Outcome = Result<Committed, SubmitError>;

/// What one history has promised and shown.
#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    /// What may be true: the last state that was durable, then the state after each group since.
    /// States that show the same are one candidate: they may still differ in what a producer's
    /// next batch will be answered.
    candidates: Vec<Vec<Model>>,
    /// The last candidate that was promised; a kill may not go back behind it.
    promised: usize,
    /// The states with the groups whose write or sync has failed, one after the other: nobody knows
    /// what became of them, and until the next start they are not shown.
    limbo: Vec<Vec<Model>>,
    /// Unsynced bytes were lost since the engine was open for the last time.
    lossy: bool,
    /// Everything that was ever visible.
    shown: BTreeMap<(LogId, Offset), Option<Bytes>>,
    /// The highest end that was ever told of each log.
    ends: BTreeMap<LogId, Offset>,
}

/// What the disk has said meanwhile, which excuses some answers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Excuse {
    /// There was no space.
    pub(crate) full: bool,
    /// Something failed, or the process has ended.
    pub(crate) failed: bool,
}

/// What became of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was done, except for writes that were refused one by one.
    Done,
    /// No space: nothing of it was done.
    Full,
    /// The engine takes nothing more.
    Poisoned,
}

impl Oracle {
    /// The judge of an empty folder.
    pub(crate) fn new() -> Self {
        Self {
            candidates: vec![vec![Model::default()]],
            promised: 0,
            limbo: Vec::new(),
            lossy: false,
            shown: BTreeMap::new(),
            ends: BTreeMap::new(),
        }
    }

    /// The states of which the engine shows one.
    pub(crate) fn now(&self) -> &[Model] {
        self.candidates.last().expect("there is always a state")
    }

    /// One of them, to make further writes for.
    pub(crate) fn model(&self) -> Model {
        self.now().first().expect("a candidate has a state").clone()
    }

    /// All that was answered is on the disk.
    pub(crate) fn durable(&mut self) {
        self.candidates = vec![self.now().to_vec()];
        self.promised = 0;
    }

    /// Unsynced bytes were lost.
    pub(crate) fn lose(&mut self) {
        self.lossy = true;
    }

    /// The engine was opened: it must be in one of the states that are allowed, and goes on there.
    pub(crate) fn recognise(&mut self, engine: &dyn Engine, clean: bool) -> Told {
        self.candidates.append(&mut self.limbo);
        let first = if self.lossy { 0 } else { self.promised };
        let mut told = None;
        let mut found = Vec::new();
        for mut model in self.candidates.iter().skip(first).flatten().rev().cloned() {
            model.stop(engine, clean);
            match model.difference(engine) {
                None => found.push(model),
                Some(difference) => told = told.or(Some(difference)),
            }
        }
        let count = self.candidates.len() - first;
        let told = told.unwrap_or_default();
        let model = found.first().cloned();
        let model = model.ok_or(format!("none of {count} states fits, the last not: {told}"))?;
        for log in model.logs() {
            let end = engine.bounds(log).map_or(0, |bounds| bounds.end);
            let given = self.ends.get(&log).copied().unwrap_or_default();
            if end < given {
                return Err(format!("{log:?} goes on at {end}, although {given} was given"));
            }
        }
        self.note(&model)?;
        self.candidates = vec![found];
        self.promised = 0;
        self.lossy = false;
        Ok(())
    }

    /// A group of writes was answered; the answers must be what one of the states would give.
    ///
    /// `before` is the verdict about a group that was handed in together with it.
    pub(crate) fn judge_next(
        &mut self,
        writes: &[Write],
        results: &[Outcome],
        (before, excuse): (Verdict, Excuse),
    ) -> Result<Verdict, String> {
        let base = self.limbo.last().filter(|_| before == Verdict::Poisoned);
        let base = base.map_or(self.now(), Vec::as_slice);
        let states: Vec<_> =
            base.iter().map(|model| Fold::of(model.clone(), writes, results)).collect();
        let told = |answer: SubmitError| {
            states.iter().any(|state: &Fold| state.refused(&answer) == results)
        };
        let full = results.contains(&Err(SubmitError::Full));
        let poisoned = results.contains(&Err(SubmitError::Poisoned));
        // What fails before anything is written is refused as on a full disk.
        let excused = excuse.full || excuse.failed;
        if full && !excused || poisoned && !excuse.failed {
            return Err(format!("told {results:?} by a good disk"));
        }
        // Of a group that is lost nothing is told but what found no space before: a refusal tells
        // what it has seen, and that may be lost as well (storage rule 3).
        let lost = |told: &Outcome| *told == FULL || *told == Err(SubmitError::Poisoned);
        if poisoned && results.iter().all(lost) {
            if self.limbo.is_empty() || before == Verdict::Poisoned {
                self.limbo.push(states.into_iter().map(|state| state.done).collect());
            }
            return Ok(Verdict::Poisoned);
        }
        if full && told(SubmitError::Full) {
            return Ok(Verdict::Full);
        }
        let (good, bad): (Vec<_>, Vec<_>) = states.into_iter().partition(|state| state.fits);
        if good.is_empty() {
            let wanted = bad.first().map(|state| &state.expected);
            return Err(format!("told {results:?}, wanted {wanted:?}"));
        }
        if before == Verdict::Poisoned {
            // Refusals only, in the light of a group that is lost.
            return Ok(before);
        }
        let waits = good.iter().any(|state| state.waits);
        self.candidates.push(good.into_iter().map(|state| state.done).collect());
        self.promised = self.candidates.len() - 1;
        for model in self.now().to_vec() {
            self.note(&model)?;
        }
        if waits {
            self.durable();
        }
        Ok(Verdict::Done)
    }

    /// The engine must show one of the present states, and nothing that may still get lost.
    pub(crate) fn check(&mut self, engine: &dyn Engine) -> Told {
        let told: Vec<_> = self.now().iter().map(|model| model.difference(engine)).collect();
        let fits: Vec<_> = told.iter().map(Option::is_none).collect();
        if !fits.contains(&true) {
            return Err(format!("before the crash: {told:?}"));
        }
        let mut fits = fits.into_iter();
        let now = self.candidates.last_mut().expect("there is always a state");
        now.retain(|_| fits.next().expect("one for each"));
        Ok(())
    }

    /// Takes note of what is visible, which must not contradict what was visible before.
    fn note(&mut self, model: &Model) -> Told {
        for (log, offset, value) in model.records() {
            let before = self.shown.entry((log, offset)).or_insert_with(|| value.clone());
            if *before != value {
                return Err(format!("{log:?} {offset} was {before:?} and is {value:?}"));
            }
        }
        for (log, end) in model.ends() {
            let told = self.ends.entry(log).or_default();
            *told = (*told).max(end);
        }
        Ok(())
    }
}

const FULL: Outcome = Err(SubmitError::Full);

/// The same write once more: writes are not cloned by accident.
pub(crate) fn copy(write: &Write) -> Write {
    Write { ops: write.ops.clone(), mode: write.mode }
}

/// What a group of writes does to a state, in the light of what each was told.
struct Fold {
    /// What each write should be told.
    expected: Vec<Outcome>,
    /// The state after the writes that were not refused for want of space.
    done: Model,
    /// They were told that.
    fits: bool,
    /// One of them is answered only when it is synced.
    waits: bool,
}

impl Fold {
    fn of(model: Model, writes: &[Write], results: &[Outcome]) -> Self {
        let mut planned = model.clone();
        let expected = planned.apply_together(writes);
        let mut done = model;
        let taken = writes.iter().zip(results).filter(|(_, told)| **told != FULL);
        let (taken, told): (Vec<_>, Vec<_>) =
            taken.map(|(write, told)| (copy(write), told.clone())).unzip();
        let answers = done.apply_together(&taken);
        let fits = writes.len() == results.len() && answers == told;
        let waits = taken.iter().zip(&answers).any(|(write, answer)| match answer {
            Ok(_) => done.waits(write),
            // What a refusal has seen is durable before it is told (storage rule 3).
            Err(_) => write.mode == Mode::Durable,
        });
        Self { expected, done, fits, waits }
    }

    /// What they are told when the group fails for that reason.
    fn refused(&self, answer: &SubmitError) -> Vec<Outcome> {
        let each = self.expected.iter().cloned();
        each.map(|result| result.and(Err(answer.clone()))).collect()
    }
}
