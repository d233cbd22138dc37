//! How long syncs take: what to wait for before one, and what is unusual.

use std::time::{Duration, Instant};

use crate::meters::Meters;

/// Syncs that are remembered.
const WINDOW: usize = 32;
/// Waiting for more writes before a sync takes at least so long, or it costs more than it brings.
const PATIENCE_MIN: Duration = Duration::from_micros(25);
/// And never longer than this.
const PATIENCE_MAX: Duration = Duration::from_millis(2);
/// A sync is never unusual below this.
const UNUSUAL: Duration = Duration::from_millis(20);
/// Nor below so many times the median.
const UNUSUAL_TIMES: u32 = 20;
/// Unusual syncs are logged at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    recent: Vec<Duration>,
    next: usize,
    median: Duration,
    last_unusual: Option<Instant>,
    logged: Option<Instant>,
}

impl Pace {
    /// Takes note of a sync.
    pub(crate) fn note(&mut self, time: Duration, meters: &Meters, zeroing: bool) {
        meters.syncs.record_time(time);
        self.judge(time, meters, zeroing);
        if let Some(place) = self.recent.get_mut(self.next) {
            *place = time;
        } else {
            self.recent.push(time);
        }
        self.next = (self.next + 1) % WINDOW;
        if self.next.is_multiple_of(8) || self.recent.len() < 8 {
            let mut sorted = self.recent.clone();
            sorted.sort_unstable();
            self.median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        }
    }

    /// How long it pays to wait for writes that are expected before the next sync: they would have
    /// to wait for it to end, and then for one of their own.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let half = self.median / 2;
        (self.recent.len() >= 8 && half >= PATIENCE_MIN).then(|| half.min(PATIENCE_MAX))
    }

    fn judge(&mut self, time: Duration, meters: &Meters, zeroing: bool) {
        if time < UNUSUAL.max(self.median * UNUSUAL_TIMES) || self.recent.len() < 8 {
            return;
        }
        Meters::count(&meters.slow_syncs);
        let now = Instant::now();
        let since_last = self.last_unusual.replace(now).map(|last| now - last);
        if self.logged.is_some_and(|logged| now - logged < LOG_INTERVAL) {
            return;
        }
        self.logged = Some(now);
        let draining = meters.draining.load(std::sync::atomic::Ordering::Relaxed);
        let group_bytes = meters.last_group_bytes();
        tracing::warn!(
            took_ms = time.as_millis(),
            usual_us = self.median.as_micros(),
            group_bytes,
            zeroing,
            draining,
            seconds_since_last = since_last.map(|since| since.as_secs()),
            "a sync of the journal took unusually long"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_follows_the_median_and_a_sync_is_unusual_beside_it() {
        let meters = Meters::default();
        let mut pace = Pace::default();
        let slow = |meters: &Meters| meters.read().slow_syncs;
        for _ in 0..100 {
            pace.note(Duration::from_millis(1), &meters, false);
        }
        assert_eq!(pace.patience(), Some(Duration::from_micros(500)));
        pace.note(Duration::from_millis(19), &meters, false);
        assert_eq!(slow(&meters), 0);
        pace.note(Duration::from_millis(21), &meters, false);
        assert_eq!(slow(&meters), 1);
        for _ in 0..100 {
            pace.note(Duration::from_millis(5), &meters, false);
        }
        assert_eq!(pace.patience(), Some(PATIENCE_MAX));
        pace.note(Duration::from_millis(99), &meters, false);
        assert_eq!(slow(&meters), 1, "twenty times what is usual");
        pace.note(Duration::from_millis(101), &meters, false);
        assert_eq!(slow(&meters), 2);
        assert_eq!(meters.read().sync_ns.count, 204);
    }
}
