//! What the server's processes used, from `/proc`.

use std::fs;

use super::Failure;

/// Clock ticks per second in `/proc/<pid>/stat`: USER_HZ, 100 on every Linux.
const TICKS: f64 = 100.0;

/// What some processes have used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) cpu_seconds: f64,
    pub(super) rss_bytes: u64,
    pub(super) rss_peak_bytes: u64,
}

/// Reads the usage of all `pids` together.
pub(super) fn usage(pids: &[u32]) -> Result<Usage, Failure> {
    let mut all = Usage::default();
    for pid in pids {
        let what = || format!("no server with process id {pid}");
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(Failure::io(what()))?;
        let status =
            fs::read_to_string(format!("/proc/{pid}/status")).map_err(Failure::io(what()))?;
        all.cpu_seconds += cpu_seconds(&stat)
            .ok_or_else(|| Failure::Options(format!("/proc/{pid}/stat cannot be understood")))?;
        all.rss_bytes += kilobytes(&status, "VmRSS:") * 1024;
        all.rss_peak_bytes += kilobytes(&status, "VmHWM:") * 1024;
    }
    Ok(all)
}

/// User and system time of a process (proc(5): fields 14 and 15; the name may hold blanks).
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

fn kilobytes(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{cpu_seconds, kilobytes, usage};

    #[test]
    fn the_process_name_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(kilobytes("VmPeak:\t 9 kB\nVmRSS:\t  12 kB\n", "VmRSS:"), 12);
    }

    #[test]
    fn this_process_uses_memory_and_a_missing_one_is_named() {
        assert!(usage(&[std::process::id()]).expect("it runs").rss_bytes > 100_000);
        let failure = usage(&[u32::MAX]).expect_err("there is no such process");
        assert!(failure.to_string().contains("4294967295"), "{failure}");
    }
}
