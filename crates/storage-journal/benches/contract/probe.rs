//! The disk without an engine: write and sync in a loop, reads of a file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use storage_journal::random::Random;

use crate::Outcome;
use crate::load::{histogram, quantile_us};
use crate::proc;

/// Length of the file that is written: that of a segment.
const FILE_BYTES: u64 = 64 << 20;
/// Length of the file that is read.
const READ_BYTES: u64 = 256 << 20;
/// The most bytes of one write.
const WRITE_BYTES_MAX: usize = 1 << 20;

/// What a probe found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probed {
    /// Operations per second.
    pub(crate) per_second: f64,
    /// Bytes per second.
    pub(crate) bytes_per_second: f64,
    /// Of one operation.
    pub(crate) p50_us: f64,
    /// Of one operation.
    pub(crate) p99_us: f64,
}

/// Files beside the engine's, and what is written to them.
#[derive(Debug)]
pub(crate) struct Probe {
    zeros: File,
    at: u64,
    bytes: Vec<u8>,
    random: Random,
    read: Option<(PathBuf, File)>,
    folder: PathBuf,
}

impl Probe {
    /// Writes a file full of zeros into the folder, and syncs it.
    pub(crate) fn new(folder: &Path) -> Outcome<Self> {
        let mut random = Random::new(7);
        let mut bytes = Vec::with_capacity(WRITE_BYTES_MAX);
        while bytes.len() < WRITE_BYTES_MAX {
            bytes.extend_from_slice(&random.next_u64().to_le_bytes());
        }
        let zeros = made(&folder.join("probe"), FILE_BYTES, &vec![0; WRITE_BYTES_MAX])?;
        Ok(Self { zeros, at: 0, bytes, random, read: None, folder: folder.to_owned() })
    }

    /// One write of `bytes` bytes and one sync, in a loop.
    pub(crate) fn sync(&mut self, bytes: usize, duration: Duration) -> Outcome<Probed> {
        let block = self.bytes.get(..bytes).ok_or("the probe writes at most 1 MiB")?;
        let mut timed = Timed::new();
        while timed.start.elapsed() < duration {
            if self.at + bytes as u64 > FILE_BYTES {
                self.at = 0;
            }
            let begin = Instant::now();
            self.zeros.write_all_at(block, self.at)?;
            self.zeros.sync_data()?;
            timed.add(begin);
            self.at += bytes as u64;
        }
        Ok(timed.finish(bytes))
    }

    /// Reads a file from its beginning to its end, not from the page cache, in pieces of 1 MiB.
    pub(crate) fn read_through(&mut self, duration: Duration) -> Outcome<Probed> {
        let (path, file) = self.read_file()?;
        let mut buffer = vec![0; WRITE_BYTES_MAX];
        let mut timed = Timed::new();
        let mut at = READ_BYTES;
        while timed.start.elapsed() < duration {
            if at + buffer.len() as u64 > READ_BYTES {
                at = 0;
                timed.aside(|| proc::evict_file(&path))?;
            }
            let begin = Instant::now();
            file.read_exact_at(&mut buffer, at)?;
            timed.add(begin);
            at += buffer.len() as u64;
        }
        Ok(timed.finish(WRITE_BYTES_MAX))
    }

    /// Reads `bytes` bytes from random positions of a file.
    pub(crate) fn read_random(
        &mut self,
        bytes: usize,
        cached: bool,
        duration: Duration,
    ) -> Outcome<Probed> {
        let (path, file) = self.read_file()?;
        let bytes = bytes.clamp(1, WRITE_BYTES_MAX);
        let mut buffer = vec![0; bytes];
        if cached {
            let mut all = vec![0; WRITE_BYTES_MAX];
            for at in (0..READ_BYTES).step_by(WRITE_BYTES_MAX) {
                file.read_exact_at(&mut all, at)?;
            }
        }
        let mut timed = Timed::new();
        let mut until_evicted = 0;
        while timed.start.elapsed() < duration {
            if !cached && until_evicted <= 0 {
                until_evicted = READ_BYTES as i64 / 4;
                timed.aside(|| proc::evict_file(&path))?;
            }
            let at = self.random.below(READ_BYTES - bytes as u64);
            let begin = Instant::now();
            file.read_exact_at(&mut buffer, at)?;
            timed.add(begin);
            until_evicted -= bytes as i64;
        }
        Ok(timed.finish(bytes))
    }

    fn read_file(&mut self) -> Outcome<(PathBuf, File)> {
        if self.read.is_none() {
            let path = self.folder.join("probe-reads");
            let file = made(&path, READ_BYTES, &self.bytes)?;
            self.read = Some((path, file));
        }
        let (path, file) = self.read.as_ref().ok_or("it was made just now")?;
        Ok((path.clone(), file.try_clone()?))
    }
}

fn made(path: &Path, length: u64, block: &[u8]) -> Outcome<File> {
    let file = File::options().read(true).write(true).create_new(true).open(path)?;
    for at in (0..length).step_by(block.len()) {
        file.write_all_at(block, at)?;
    }
    file.sync_all()?;
    Ok(file)
}

/// Operations with their times.
pub(crate) struct Timed {
    pub(crate) start: Instant,
    latency: Histogram<u64>,
    /// What was done besides.
    aside: Duration,
}

impl Timed {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), latency: histogram(), aside: Duration::ZERO }
    }

    /// An operation that began then has ended.
    pub(crate) fn add(&mut self, begin: Instant) {
        let nanos = begin.elapsed().as_nanos();
        self.latency.saturating_record(u64::try_from(nanos).unwrap_or(u64::MAX));
    }

    /// Something that does not count.
    pub(crate) fn aside<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let done = work();
        self.aside += begin.elapsed();
        done
    }

    /// The rates so far, of operations on so many bytes each.
    pub(crate) fn finish(&self, bytes: usize) -> Probed {
        let seconds = self.start.elapsed().saturating_sub(self.aside).as_secs_f64();
        let per_second = self.latency.len() as f64 / seconds;
        Probed {
            per_second,
            bytes_per_second: per_second * bytes as f64,
            p50_us: quantile_us(&self.latency, 0.5),
            p99_us: quantile_us(&self.latency, 0.99),
        }
    }
}
