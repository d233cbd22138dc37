//! The read buffer of a worker: one block, cut into what is read, renewed when it is used up.

use bytes::BytesMut;

/// The size of the block.
const BLOCK: usize = 64 * 1024;

/// Bytes asked of a socket at a time.
pub(super) const READ: usize = 32 * 1024;

/// A rest of at most this size is put in front of what is read next, instead of growing a buffer.
pub(super) const FRONT: usize = 8 * 1024;

/// The block; payloads that are still in use keep their part of it alive.
#[derive(Debug, Default)]
pub(super) struct Scratch(BytesMut);

impl Scratch {
    /// A place of `front + READ` bytes that begins with `front`.
    pub(super) fn place(&mut self, front: &[u8]) -> &mut [u8] {
        debug_assert!(front.len() <= FRONT, "longer rests have a buffer of their own");
        let wanted = front.len() + READ;
        if self.0.len() < wanted {
            self.0.clear();
            // Takes the whole block again if nobody holds a part of it, else a new one.
            self.0.reserve(BLOCK);
            self.0.resize(BLOCK, 0);
        }
        let place = &mut self.0[..wanted];
        place[..front.len()].copy_from_slice(front);
        place
    }

    /// Cuts off the first `len` bytes of the place.
    pub(super) fn take(&mut self, len: usize) -> BytesMut {
        self.0.split_to(len)
    }

    /// The first bytes of the place.
    pub(super) fn peek(&self, len: usize) -> &[u8] {
        &self.0[..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_used_again_unless_a_part_is_held() {
        let mut scratch = Scratch::default();
        let first = scratch.place(b"").as_ptr().addr();
        for round in 0..100_u8 {
            scratch.place(b"ab")[2] = round;
            assert_eq!(scratch.take(3), [b'a', b'b', round].as_slice());
        }
        for _ in 0..10 {
            scratch.place(b"");
            drop(scratch.take(READ));
        }
        let now = scratch.place(b"").as_ptr().addr();
        assert!((first..first + BLOCK).contains(&now), "the same memory");
        scratch.place(b"")[0] = 7;
        let held = scratch.take(1);
        for _ in 0..10 {
            scratch.place(b"")[0] = 9;
            drop(scratch.take(READ));
        }
        assert_eq!(held, [7].as_slice(), "what is held does not change");
    }
}
