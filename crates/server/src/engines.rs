//! The storage engines: one line for each.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use storage::memory::Memory;
use storage_journal::vfs::RealFs;
use storage_journal::{Journal, Options};

use crate::config::{Config, Engine, Span, StorageKeys};

/// Why the engine does not open: one line that names the data folder.
#[derive(Debug, thiserror::Error)]
#[error("data folder {folder}: {why}")]
pub struct Unusable {
    folder: String,
    why: String,
}

/// Opens the engine that the configuration names.
///
/// # Errors
///
/// [`Unusable`].
pub fn open(config: &Config) -> Result<Arc<dyn storage::Engine>, Unusable> {
    match config.storage.engine {
        Engine::Journal => Ok(Arc::new(journal(&config.data, &config.storage)?)),
        Engine::Memory => Ok(Arc::new(Memory::with_clock(clock_ms))),
    }
}

/// Wall time of the first asking, and monotonic time from there on.
fn clock_ms() -> i64 {
    static START: OnceLock<(i64, Instant)> = OnceLock::new();
    let (wall_ms, since) = START.get_or_init(|| (wall_ms(), Instant::now()));
    let passed = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
    wall_ms.saturating_add(passed)
}

fn wall_ms() -> i64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(unix.as_millis()).unwrap_or(i64::MAX)
}

fn journal(folder: &Path, keys: &StorageKeys) -> Result<Journal, Unusable> {
    let unusable = |why: String| Unusable { folder: folder.display().to_string(), why };
    let files = RealFs::open(folder).map_err(|error| {
        unusable(format!("it cannot be made: {error}; set data to a folder that can be written"))
    })?;
    let mut seed = [0; 16];
    getrandom::fill(&mut seed).map_err(|error| unusable(format!("no randomness: {error}")))?;
    let options = Options { seed: u128::from_be_bytes(seed), wall_ms: wall_ms(), ..options(keys) };
    Journal::open(Arc::new(files), options).map_err(|error| unusable(error.to_string()))
}

/// The journal's options, as far as they are configured.
fn options(keys: &StorageKeys) -> Options {
    let small = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let time = |span: Span| Duration::from_millis(span.0);
    Options {
        segment_bytes: keys.segment_bytes.0,
        spare_segments: small(keys.spare_segments.into()),
        pending_bytes: small(keys.pending_bytes.0),
        cache_bytes: small(keys.cache_bytes.0),
        index_bytes: small(keys.index_cache_bytes.0),
        drain_segments: small(keys.drain_segments.into()),
        drain_bytes_per_second: keys.drain_rate.0.map_or(0, |size| size.0),
        hot_bytes: keys.hot_bytes.0,
        checkpoint_rows: small(keys.checkpoint_rows.into()),
        sync_interval: time(keys.sync_interval),
        lazy_interval: time(keys.lazy_interval),
        lazy_sync_interval: time(keys.lazy_sync_interval),
        ..Options::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_configured_is_as_the_journal_has_it() {
        let (configured, own) = (options(&StorageKeys::default()), Options::default());
        assert_eq!(format!("{configured:?}"), format!("{own:?}"));
    }
}
