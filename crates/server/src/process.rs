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

/// Memory that this process may use: the machine's, or the limit of its control group if that is
/// less. `None` where neither can be read.
pub fn memory_bytes() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    let machine = number.and_then(|number| number.parse::<u64>().ok()).map(|kib| kib * 1024);
    [machine, group_bytes()].into_iter().flatten().min()
}

/// The lowest limit of the control groups that the process is in.
fn group_bytes() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limit = |path: String| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let mut lowest: Option<u64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            named if named.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // Each group on the way up has a limit; within a container the path may not be there.
        for group in std::path::Path::new(path).ancestors() {
            let group = group.to_string_lossy();
            let found = limit(format!("{root}{}/{file}", group.trim_end_matches('/')));
            lowest = [lowest, found].into_iter().flatten().min();
        }
    }
    lowest
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
        assert!(memory_bytes().is_some_and(|bytes| bytes > resident_bytes()));
    }
}
