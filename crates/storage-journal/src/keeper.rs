//! The keeper: a slow thread that fills and recycles free segments beside the lane.
//!
//! It writes at most [`RATE`] bytes a second, and a fraction of that while groups are committed;
//! then it also leaves most of the disk's time to them, because a disk syncs for one at a time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::pool::{Pool, Step};

/// Zeros written in a second while nothing is committed.
const RATE: u64 = 128 << 20;
/// Zeros written in a second while groups are committed.
const RATE_BESIDE_COMMITS: u64 = 32 << 20;
/// While groups are committed a pause is at least so many times as long as the write before it.
const PAUSES_BESIDE_COMMITS: u32 = 7;
/// How much less of the processor it gets than the others.
const NICE: i32 = 10;

/// The running thread.
#[derive(Debug)]
pub(crate) struct Keeper {
    pool: Arc<Pool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Keeper {
    pub(crate) fn start(pool: Arc<Pool>) -> io::Result<Self> {
        let theirs = pool.clone();
        let thread = thread::Builder::new().name("keeper".into()).spawn(move || run(&theirs))?;
        Ok(Self { pool, thread: Some(thread) })
    }

    /// Ends the thread and waits for it.
    pub(crate) fn stop(&mut self) {
        self.pool.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the keeper's thread has panicked");
        }
    }
}

fn run(pool: &Pool) {
    // On Linux this is for the calling thread only.
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "the keeper runs with full priority");
    }
    let mut groups = 0;
    loop {
        let started = Instant::now();
        let proceed = match pool.step() {
            Step::Done => pool.wait(Some(Instant::now())),
            Step::Nothing(until) => pool.wait(until),
            Step::Zeroed(bytes) => {
                let now = pool.groups.load(Ordering::Relaxed);
                let busy = now != std::mem::replace(&mut groups, now);
                pool.wait(Some(Instant::now() + pause(bytes, started.elapsed(), busy)))
            }
        };
        if !proceed {
            return;
        }
    }
}

/// How long to rest after writing zeros for some time.
fn pause(bytes: u64, took: Duration, busy: bool) -> Duration {
    let at_rate = |rate: u64| Duration::from_secs_f64(bytes as f64 / rate as f64);
    match busy {
        false => at_rate(RATE),
        true => at_rate(RATE_BESIDE_COMMITS).max(took * PAUSES_BESIDE_COMMITS),
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_keep_most_of_a_slow_disk() {
        let chunk = 512 << 10;
        let quick = Duration::from_millis(1);
        assert!(pause(chunk, quick, false) < pause(chunk, quick, true));
        assert_eq!(pause(chunk, quick, true), Duration::from_micros(15_625));
        assert_eq!(pause(chunk, Duration::from_millis(20), true), Duration::from_millis(140));
    }
}
