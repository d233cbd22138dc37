//! The bytes of a simulated file: blocks that copies share until one of them is written.
//!
//! What was synced and what was only written differ in few blocks, and a copy of a whole disk
//! costs a pointer for each block, so histories can be taken up again from any point.

use std::sync::Arc;

/// Bytes of a block; space is given out in these.
pub(super) const BLOCK: usize = 4096;

pub(super) type Block = Arc<[u8; BLOCK]>;

#[derive(Clone, Debug)]
enum Place {
    /// Reads as zeros and takes no space.
    Hole,
    /// Reads as zeros and takes space.
    Reserved,
    Bytes(Block),
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunks {
    places: Vec<Place>,
    length: usize,
    /// Blocks that take space.
    taken: usize,
}

impl Chunks {
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Bytes that they take on the disk.
    pub(super) fn taken_bytes(&self) -> usize {
        self.taken * BLOCK
    }

    /// How much of `length` bytes at `position` fits when `free` more bytes may be taken.
    pub(super) fn fitting(&self, position: usize, length: usize, free: usize) -> usize {
        let mut free = free / BLOCK;
        let end = position + length;
        for index in position / BLOCK..end.div_ceil(BLOCK) {
            if matches!(self.places.get(index), None | Some(Place::Hole)) {
                if free == 0 {
                    return (index * BLOCK).saturating_sub(position);
                }
                free -= 1;
            }
        }
        length
    }

    pub(super) fn write(&mut self, position: usize, bytes: &[u8]) {
        let end = position + bytes.len();
        self.grow(end);
        let mut at = position;
        while at < end {
            let (index, start) = (at / BLOCK, at % BLOCK);
            let count = (BLOCK - start).min(end - at);
            let from = &bytes[at - position..at - position + count];
            if count == BLOCK
                && let Ok(whole) = <[u8; BLOCK]>::try_from(from)
            {
                self.set(index, Place::Bytes(Arc::new(whole)));
            } else {
                let block = self.block_mut(index);
                block[start..start + count].copy_from_slice(from);
            }
            at += count;
        }
    }

    /// Takes space for a range that is not written yet; it reads as zeros.
    pub(super) fn reserve(&mut self, position: usize, end: usize) {
        self.grow(end);
        for index in position / BLOCK..end.div_ceil(BLOCK) {
            if matches!(self.places[index], Place::Hole) {
                self.set(index, Place::Reserved);
            }
        }
    }

    pub(super) fn read(&self, position: usize, buffer: &mut [u8]) -> usize {
        let end = self.length.min(position.saturating_add(buffer.len()));
        let mut at = position;
        while at < end {
            let (index, start) = (at / BLOCK, at % BLOCK);
            let count = (BLOCK - start).min(end - at);
            let into = &mut buffer[at - position..at - position + count];
            match &self.places[index] {
                Place::Hole | Place::Reserved => into.fill(0),
                Place::Bytes(block) => into.copy_from_slice(&block[start..start + count]),
            }
            at += count;
        }
        end.saturating_sub(position)
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        self.read(0, &mut bytes);
        bytes
    }

    /// Becomes equal to `other` in the blocks of a range, and no shorter than the range's end.
    pub(super) fn take_over(&mut self, other: &Self, position: usize, end: usize) {
        self.grow(end.min(other.length));
        for index in position / BLOCK..end.div_ceil(BLOCK) {
            if let Some(place) = other.places.get(index) {
                self.set(index, place.clone());
            }
        }
    }

    /// Cuts or extends to a length; what is new reads as zeros.
    pub(super) fn resize(&mut self, length: usize) {
        if length < self.length {
            for index in length.div_ceil(BLOCK)..self.places.len() {
                self.set(index, Place::Hole);
            }
            self.places.truncate(length.div_ceil(BLOCK));
            let rest = length % BLOCK;
            if rest > 0 && matches!(self.places.last(), Some(Place::Bytes(_))) {
                self.block_mut(length / BLOCK)[rest..].fill(0);
            }
            self.length = length;
        }
        self.grow(length);
    }

    /// Flips one bit; false when there is no such byte.
    pub(super) fn flip(&mut self, byte: usize, bit: u8) -> bool {
        if byte >= self.length {
            return false;
        }
        self.block_mut(byte / BLOCK)[byte % BLOCK] ^= 1 << (bit % 8);
        true
    }

    /// The blocks of a range that were written.
    pub(super) fn blocks(&self, position: usize, end: usize) -> impl Iterator<Item = &Block> {
        let last = end.div_ceil(BLOCK).min(self.places.len());
        let range = self.places.get(position / BLOCK..last).unwrap_or_default();
        range.iter().filter_map(|place| match place {
            Place::Bytes(block) => Some(block),
            Place::Hole | Place::Reserved => None,
        })
    }

    fn grow(&mut self, length: usize) {
        if length > self.length {
            self.length = length;
            self.places.resize(length.div_ceil(BLOCK), Place::Hole);
        }
    }

    fn set(&mut self, index: usize, place: Place) {
        let taken = |place: &Place| usize::from(!matches!(place, Place::Hole));
        self.taken += taken(&place);
        let before = std::mem::replace(&mut self.places[index], place);
        self.taken -= taken(&before);
    }

    fn block_mut(&mut self, index: usize) -> &mut [u8; BLOCK] {
        if !matches!(self.places[index], Place::Bytes(_)) {
            self.set(index, Place::Bytes(Arc::new([0; BLOCK])));
        }
        match &mut self.places[index] {
            Place::Bytes(block) => Arc::make_mut(block),
            Place::Hole | Place::Reserved => unreachable!("it was filled just now"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn they_are_what_a_plain_vector_of_bytes_would_be() {
        for seed in 0..50 {
            let mut random = Random::new(seed);
            let (mut chunks, mut plain) = (Chunks::default(), Vec::new());
            for _ in 0..40 {
                let position = random.below(20_000) as usize;
                let end = position + random.below(9_000) as usize;
                match random.below(5) {
                    0 => {
                        chunks.resize(position);
                        plain.resize(position, 0);
                    }
                    1 if position < plain.len() => {
                        assert!(chunks.flip(position, 3));
                        plain[position] ^= 8;
                    }
                    2 => {
                        chunks.reserve(position, end);
                        plain.resize(plain.len().max(end), 0);
                    }
                    _ => {
                        let byte = random.next_u64() as u8;
                        plain.resize(plain.len().max(end), 0);
                        plain[position..end].fill(byte);
                        chunks.write(position, &vec![byte; end - position]);
                    }
                }
                assert_eq!(chunks.to_vec(), plain, "seed {seed}");
            }
            let taken = chunks.places.iter().filter(|place| !matches!(place, Place::Hole));
            assert_eq!(chunks.taken_bytes(), taken.count() * BLOCK);
        }
    }

    #[test]
    fn a_copy_shares_its_blocks_until_it_is_written() {
        let mut first = Chunks::default();
        first.write(0, &[1; 3 * BLOCK]);
        let mut second = first.clone();
        second.write(BLOCK, &[2; 10]);
        let same = |index| match (&first.places[index], &second.places[index]) {
            (Place::Bytes(a), Place::Bytes(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        assert!(same(0) && !same(1) && same(2));
        assert_eq!(first.to_vec(), vec![1; 3 * BLOCK]);
    }

    #[test]
    fn a_write_fits_as_far_as_there_is_space() {
        let mut chunks = Chunks::default();
        assert_eq!(chunks.fitting(100, 3 * BLOCK, 2 * BLOCK), 2 * BLOCK - 100);
        assert_eq!(chunks.fitting(0, 10, 0), 0);
        chunks.reserve(0, 2 * BLOCK);
        assert_eq!(chunks.fitting(100, 3 * BLOCK, 0), 2 * BLOCK - 100);
        assert_eq!(chunks.taken_bytes(), 2 * BLOCK);
    }
}
