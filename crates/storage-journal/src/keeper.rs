//! The keeper: a slow thread that fills and recycles free segments beside the lane.
//!
//! It writes at most [`RATE`] bytes a second, and a fraction of that while groups are committed.

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
        let proceed = match pool.step() {
            Step::Done => pool.wait(Some(Instant::now())),
            Step::Nothing(until) => pool.wait(until),
            Step::Zeroed(bytes) => {
                let now = pool.groups.load(Ordering::Relaxed);
                let rate = if now == groups { RATE } else { RATE_BESIDE_COMMITS };
                groups = now;
                let pause = Duration::from_secs_f64(bytes as f64 / rate as f64);
                pool.wait(Some(Instant::now() + pause))
            }
        };
        if !proceed {
            return;
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}
