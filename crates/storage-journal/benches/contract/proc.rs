//! What `/proc` says of this process; the page cache; children.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{Advice, fadvise};
use rustix::process::{Signal, getpid, kill_process};

use crate::Outcome;
use crate::options::{Options, Part};

/// In which Linux tells times, on all machines.
const TICKS_PER_SECOND: f64 = 100.0;

/// Bytes of memory that this process has.
pub(crate) fn rss_bytes() -> Outcome<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.ok_or("/proc/self/status has no VmRSS")?.parse::<u64>()? * 1024)
}

/// Seconds of processor that this process has used, in user and kernel mode.
pub(crate) fn cpu_seconds() -> Outcome<f64> {
    let text = fs::read_to_string("/proc/self/stat")?;
    let fields = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
    let ticks: Vec<f64> =
        fields.into_iter().flatten().skip(11).take(2).flat_map(str::parse).collect();
    let [user, kernel] = *ticks else { return Err("/proc/self/stat has no times".into()) };
    Ok((user + kernel) / TICKS_PER_SECOND)
}

/// Bytes that this process made the disk write.
pub(crate) fn disk_written() -> Outcome<u64> {
    let text = fs::read_to_string("/proc/self/io")?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.ok_or("/proc/self/io has no write_bytes")?.trim().parse()?)
}

/// Takes a file out of the page cache, as far as it is on disk.
pub(crate) fn evict_file(path: &Path) -> Outcome<()> {
    Ok(fadvise(fs::File::open(path)?, 0, None, Advice::DontNeed)?)
}

/// Takes the files of a data folder out of the page cache, but not the ones written to last.
pub(crate) fn evict(folder: &Path) -> Outcome<()> {
    let mut files = Vec::new();
    gather(folder, &mut files)?;
    files.sort_unstable();
    files.reverse();
    for (_, path) in files.into_iter().skip(2) {
        // A drain may have removed it meanwhile.
        if path.exists() {
            evict_file(&path)?;
        }
    }
    Ok(())
}

fn gather(
    folder: &Path,
    found: &mut Vec<(std::time::SystemTime, std::path::PathBuf)>,
) -> Outcome<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() {
            gather(&entry.path(), found)?;
        } else if let Ok(modified) = meta.modified() {
            found.push((modified, entry.path()));
        }
    }
    Ok(())
}

/// Empties the page cache of the machine where that is allowed, else the folder's part of it.
pub(crate) fn drop_page_cache(folder: &Path) -> Outcome<()> {
    rustix::fs::sync();
    if fs::write("/proc/sys/vm/drop_caches", "1").is_err() {
        let mut files = Vec::new();
        gather(folder, &mut files)?;
        for (_, path) in files {
            evict_file(&path)?;
        }
    }
    Ok(())
}

/// Free bytes of the file system.
pub(crate) fn free_bytes(folder: &Path) -> Outcome<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail * found.f_frsize)
}

/// Ends this process as a power button would: nothing is flushed, nobody is told.
pub(crate) fn die() -> Outcome<()> {
    kill_process(getpid(), Signal::KILL)?;
    Err("this process outlived its own end".into())
}

/// Does a part in a process of its own; the lines that it printed.
pub(crate) fn child(options: &Options, part: &Part, dir: &Path) -> Outcome<Vec<String>> {
    let done = Command::new(std::env::current_exe()?)
        .args(options.arguments(part, dir))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    // Those that kill themselves have said all that they had to say.
    let killed = std::os::unix::process::ExitStatusExt::signal(&done.status) == Some(9)
        && matches!(part, Part::Fill | Part::Open);
    if !done.status.success() && !killed {
        return Err(format!("{part:?} ended with {}", done.status).into());
    }
    let text = String::from_utf8(done.stdout)?;
    Ok(text.lines().map(str::to_owned).collect())
}
