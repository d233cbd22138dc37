//! What one call may use beside the group it is about, and who waits for an answer.

use std::collections::BTreeSet;

use kafka_codec::{Message, Text};
use protocol::{ConnId, Effects, Now, Proposer};

use super::timers::Timers;

/// Who waits for an answer, and in which version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) from: Proposer,
    pub(super) version: i16,
}

/// Which members have an answer outstanding, by connection.
pub(super) type ByConnection = BTreeSet<(ConnId, Text, Text)>;

/// Random numbers from a seed (SplitMix64).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A random id in the form of a UUID, version 4.
    pub(super) fn uuid(&mut self) -> String {
        let (high, low) = (self.bits(), self.bits());
        let high = high & !0xf000 | 0x4000;
        let low = low & !(0b11 << 62) | 0b10 << 62;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff,
        )
    }
}

/// What one call may use beside the group it is about.
pub(super) struct Turn<'a> {
    pub(super) now: Now,
    pub(super) timers: &'a mut Timers,
    pub(super) parked: &'a mut ByConnection,
    pub(super) random: &'a mut Random,
    pub(super) out: &'a mut Effects,
    /// Bytes that the node may still hold.
    pub(super) room: usize,
}

impl Turn<'_> {
    pub(super) fn answer(&mut self, to: Waiter, response: &impl Message) {
        self.out.answers.push((to.from, response.encode(to.version)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_are_uuids_and_follow_from_the_seed() {
        let mut random = Random::new(7);
        let first = random.uuid();
        assert_eq!(first.len(), 36);
        assert_eq!(first.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&first.as_bytes()[19]));
        assert_ne!(first, random.uuid());
        assert_eq!(first, Random::new(7).uuid());
    }
}
