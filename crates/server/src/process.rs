//! What the operating system knows of this process, and the one limit that is raised.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Ticks of `/proc/self/stat` in a second, on every Linux that we run on.
const TICKS: f64 = 100.0;

/// Resident memory, 0 where it cannot be read.
pub fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// Processor time used by all threads, 0 where it cannot be read.
pub fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold spaces; user and system time are fields 14 and 15.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// Raises the limit of open files as far as the system allows; the limit then.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_uses_memory_and_time() {
        let mut number = 0_u64;
        while cpu_seconds() <= 0.0 {
            number = std::hint::black_box(number.wrapping_add(1));
        }
        assert!(resident_bytes() > 100_000);
        assert!(raise_open_files() > 0);
    }
}
