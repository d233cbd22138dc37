//! What a payload says about itself, and what a receiver concludes.
//!
//! ```text
//! [run: u32 BE][publisher: u32 BE][number: u64 BE][time: u64 BE, ns since the run began][filler]
//! ```

use std::collections::BTreeSet;

/// Length of a stamp, and so of the shortest payload.
pub(super) const BYTES: usize = 24;

/// Numbers that one tracker remembers as missing; beyond, they count as lost at once.
const MISSING_MAX: usize = 1 << 20;

/// The stamp of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Random for each run: what an earlier run left behind is told apart.
    pub(super) run: u32,
    /// Which publisher.
    pub(super) publisher: u32,
    /// Counts from 0 for each publisher.
    pub(super) number: u64,
    /// When it was to be sent.
    pub(super) time_ns: u64,
}

impl Stamp {
    /// Writes the stamp to the front of a payload.
    pub(super) fn write(self, payload: &mut [u8]) {
        let mut bytes = [0; BYTES];
        let fields = self.run.to_be_bytes().into_iter().chain(self.publisher.to_be_bytes());
        let fields = fields.chain(self.number.to_be_bytes()).chain(self.time_ns.to_be_bytes());
        for (slot, byte) in bytes.iter_mut().zip(fields) {
            *slot = byte;
        }
        if let Some(front) = payload.first_chunk_mut::<BYTES>() {
            *front = bytes;
        }
    }

    /// Reads the stamp of a payload; `None` if it is too short for one.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let (run, rest) = payload.split_first_chunk()?;
        let (publisher, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (time_ns, _) = rest.split_first_chunk()?;
        Some(Self {
            run: u32::from_be_bytes(*run),
            publisher: u32::from_be_bytes(*publisher),
            number: u64::from_be_bytes(*number),
            time_ns: u64::from_be_bytes(*time_ns),
        })
    }
}

/// What one receiver got of one publisher.
#[derive(Clone, Debug, Default)]
pub(super) struct Tracker {
    next: u64,
    missing: BTreeSet<u64>,
    given_up: u64,
    /// Received again.
    pub(super) duplicates: u64,
    /// Received after a later one.
    pub(super) reordered: u64,
}

impl Tracker {
    /// Takes in a number.
    pub(super) fn saw(&mut self, number: u64) {
        if number == self.next {
            self.next += 1;
        } else if number > self.next {
            for missing in self.next..number {
                if self.missing.len() < MISSING_MAX {
                    self.missing.insert(missing);
                } else {
                    self.given_up += 1;
                }
            }
            self.next = number + 1;
        } else if self.missing.remove(&number) {
            self.reordered += 1;
        } else {
            self.duplicates += 1;
        }
    }

    /// How many of the first `sent` never came.
    pub(super) fn lost(&self, sent: u64) -> u64 {
        self.missing.len() as u64 + self.given_up + sent.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES, Stamp, Tracker};

    #[test]
    fn a_stamp_is_read_back_and_short_payloads_have_none() {
        let stamp = Stamp { run: 1, publisher: 2, number: u64::MAX, time_ns: 4 };
        let mut payload = [0xff; BYTES + 3];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(payload[BYTES..], [0xff; 3]);
        assert_eq!(Stamp::read(&payload[..BYTES - 1]), None);
    }

    #[test]
    fn loss_repeats_and_disorder_are_told_apart() {
        let mut tracker = Tracker::default();
        for number in [0, 1, 4, 2, 4, 0, 6] {
            tracker.saw(number);
        }
        assert_eq!((tracker.duplicates, tracker.reordered), (2, 1));
        assert_eq!(tracker.lost(7), 2, "3 and 5");
        assert_eq!(tracker.lost(10), 5, "and 7, 8, 9");
    }
}
