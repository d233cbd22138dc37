//! A small seeded generator: segment identities and the choices of the simulated disk.
//!
//! Deterministic by design; whoever needs identities that nobody can guess passes a seed from the
//! operating system's randomness.

/// 128 bits that name a segment for ever.
pub type Uuid = [u8; 16];

/// A seeded generator of uniform numbers (two SplitMix64 sequences).
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 2],
}

impl Random {
    /// A generator whose whole future follows from `seed`.
    pub fn new(seed: u128) -> Self {
        let bytes = seed.to_le_bytes();
        let (low, high) = bytes.split_at(8);
        Self { state: [read(low), read(high) ^ 0x6a09_e667_f3bc_c909] }
    }

    /// The next 64 uniform bits.
    pub fn next_u64(&mut self) -> u64 {
        let [first, second] = &mut self.state;
        step(first) ^ step(second).rotate_left(32)
    }

    /// A number in `0..bound`, or 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A fresh identity, never all zero.
    pub fn uuid(&mut self) -> Uuid {
        let mut uuid = [0; 16];
        let (low, high) = uuid.split_at_mut(8);
        low.copy_from_slice(&self.next_u64().to_le_bytes());
        high.copy_from_slice(&(self.next_u64() | 1).to_le_bytes());
        uuid
    }
}

fn read(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

fn step(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_and_another_seed_another() {
        let run = |seed| {
            let mut random = Random::new(seed);
            (random.uuid(), random.next_u64())
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        assert_ne!(run(7), run(7 << 64));
    }
}
