//! Garbage for space whose content means nothing: random bytes, and blocks that were valid once.
//!
//! The blocks are the dangerous half: they carry right checksums, for another file, another place
//! or another life of the disk.

use std::collections::VecDeque;

use super::chunks::{BLOCK, Block, Chunks};
use crate::random::Random;

/// How many blocks are remembered.
const KEPT: usize = 256;

#[derive(Clone, Debug)]
pub(super) struct Poison {
    random: Random,
    old: VecDeque<Block>,
}

impl Poison {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::new(u128::from(seed) << 64 | 7), old: VecDeque::new() }
    }

    /// Takes note of content that is about to become meaningless.
    pub(super) fn keep<'a>(&mut self, blocks: impl IntoIterator<Item = &'a Block>) {
        for block in blocks {
            self.old.push_back(block.clone());
            if self.old.len() > KEPT {
                self.old.pop_front();
            }
        }
    }

    /// Garbage for a sector; of an old block it is the part that stood there.
    pub(super) fn sector(&mut self, position: usize, length: usize) -> Vec<u8> {
        let start = position % BLOCK;
        self.block()[start..(start + length).min(BLOCK)].to_vec()
    }

    /// A file full of garbage.
    pub(super) fn file(&mut self, length: usize) -> Chunks {
        let mut file = Chunks::default();
        self.fill(&mut file, 0, length);
        file
    }

    /// Fills a range with garbage.
    pub(super) fn fill(&mut self, file: &mut Chunks, position: usize, end: usize) {
        let mut at = position;
        while at < end {
            let count = (BLOCK - at % BLOCK).min(end - at);
            file.write(at, &self.sector(at, count));
            at += count;
        }
    }

    fn block(&mut self) -> Vec<u8> {
        if self.random.chance(60) && !self.old.is_empty() {
            let index = self.random.below(self.old.len() as u64) as usize;
            return self.old[index].to_vec();
        }
        let words = (0..BLOCK / 8).flat_map(|_| self.random.next_u64().to_le_bytes());
        words.collect()
    }
}
