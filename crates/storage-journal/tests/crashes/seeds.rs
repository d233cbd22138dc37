//! Many seeds on all cores, and how one of them is repeated.
//!
//! ```text
//! CRASH_SEEDS=10000 cargo test -p storage-journal --test crashes     a long run
//! CRASH_SEED=17 cargo test -p storage-journal --test crashes         only this one
//! CRASH_TELL=1 CRASH_SEED=17 cargo ..                                with all that happens in it
//! ```

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::oracle::Told;

/// Seeds that have failed once: they are run always.
pub(crate) const SEEDS: &[u64] = &[118, 620, 1079, 1325, 2338, 2598, 2695, 2715, 5190];

/// How many seeds are run when nobody asks for more.
const DEFAULT: u64 = 120;
/// After so many failures the rest tells nothing new.
const ENOUGH: usize = 5;

/// Tells what happens, where that is asked for.
#[expect(clippy::print_stderr, reason = "whoever repeats a history wants to see it")]
pub(crate) fn tell(what: impl FnOnce() -> String) {
    if std::env::var_os("CRASH_TELL").is_some() {
        eprintln!("{}", what());
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// How many seeds are asked for.
pub(crate) fn count() -> u64 {
    number("CRASH_SEEDS").unwrap_or(DEFAULT)
}

/// Runs a history for every seed that is asked for.
///
/// # Panics
///
/// When one of them fails: with the seed and the command that repeats it.
pub(crate) fn each(test: &str, live: impl Fn(u64) -> Told + Sync) {
    let seeds: Vec<u64> = match number("CRASH_SEED") {
        Some(seed) => vec![seed],
        None => {
            let first = number("CRASH_FIRST").unwrap_or_default();
            SEEDS.iter().copied().chain(first..first + count()).collect()
        }
    };
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || {
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| live(*seed)));
            let told = caught.unwrap_or_else(|_| Err("panicked, see above".into()));
            let mut failures = failures.lock().expect("nobody panics with it");
            if let Err(told) = told {
                failures.push((*seed, told));
            }
            if failures.len() >= ENOUGH {
                break;
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(seeds.len()) {
            scope.spawn(work);
        }
    });
    let mut failures = failures.into_inner().expect("nobody panicked with it");
    failures.sort();
    let each = failures.iter().map(|(seed, told)| {
        let again =
            format!("CRASH_SEED={seed} cargo test -p storage-journal --test crashes {test}");
        format!("FAILED {told}\n  repeat: {again}\n")
    });
    let told: String = each.collect();
    assert!(told.is_empty(), "{} of {} histories:\n{told}", failures.len(), seeds.len());
}
