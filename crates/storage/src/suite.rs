//! What every engine must pass: one line in the engine's own tests.
//!
//! ```text
//! #[test] fn passes() { storage::suite::run(|| Arc::new(Memory::new())) }
//! ```
//!
//! [`cases`](run) tell the promises of the contract one by one; [`Model`] is the contract once more,
//! as plain as possible, that random writes are checked against. An engine on disk also runs
//! [`restart`], and its crash tests use the same model as their oracle.

use std::sync::Arc;
use std::sync::mpsc;

use crate::{Committed, Engine, SubmitError, Write};

mod cases;
mod generate;
mod model;
mod queues;

pub use generate::Generator;
pub use model::Model;

/// Runs everything that needs no restart; `open` gives a fresh, empty engine each time.
///
/// # Panics
///
/// When the engine breaks a promise.
pub fn run(open: impl Fn() -> Arc<dyn Engine>) {
    for case in cases::ALL.iter().chain(queues::ALL) {
        let engine = open();
        case(engine.as_ref());
        engine.close();
    }
    for seed in 0..20 {
        let engine = open();
        random_writes(engine.as_ref(), &mut Model::default(), seed, 120);
        engine.close();
    }
    cases::completions_come_in_order_from_many_threads(&open());
    cases::a_closed_engine_reads_and_takes_nothing(&open());
}

/// Runs what a restart must not change; `open(n)` opens the storage number `n`, again and again.
///
/// # Panics
///
/// When the engine breaks a promise.
pub fn restart(open: impl Fn(u64) -> Arc<dyn Engine>) {
    for seed in 0..10 {
        let mut model = Model::default();
        for round in 0..4 {
            let engine = open(seed);
            model.stop(engine.as_ref(), true);
            assert_eq!(model.difference(engine.as_ref()), None, "seed {seed} round {round}");
            random_writes(engine.as_ref(), &mut model, seed * 10 + round, 60);
            engine.close();
        }
    }
}

/// Submits a write and waits for what becomes of it.
///
/// # Errors
///
/// What the engine says.
///
/// # Panics
///
/// When the engine drops the completion without calling it.
pub fn commit(engine: &dyn Engine, write: Write) -> Result<Committed, SubmitError> {
    let (sender, receiver) = mpsc::channel();
    engine.submit(write, Box::new(move |result| drop(sender.send(result))));
    receiver.recv().expect("a completion is called exactly once")
}

fn random_writes(engine: &dyn Engine, model: &mut Model, seed: u64, count: u32) {
    let mut generator = Generator::new(seed);
    for step in 0..count {
        let write = generator.write(model);
        let told = format!("seed {seed} step {step}: {write:?}");
        let expected = model.apply(&write);
        assert_eq!(commit(engine, write), expected, "{told}");
        if step % 7 == 0 || step + 1 == count {
            assert_eq!(model.difference(engine), None, "{told}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    #[test]
    fn the_memory_engine_passes() {
        run(|| Arc::new(Memory::new()));
    }
}
