//! Bytes that a socket did not take yet.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use bytes::{Buf, Bytes, BytesMut};

/// Small pieces are gathered up to this size.
const GATHER_MAX: usize = 64 * 1024;

/// Pieces given to one write.
const PIECES: usize = 32;

/// A queue of bytes in order. Large frames stay shared with other receivers.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    bytes: usize,
}

impl Unsent {
    /// Bytes in the queue.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Appends a copy.
    pub(super) fn push_copy(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        if self.tail.len() + bytes.len() > GATHER_MAX {
            self.close_tail();
        }
        self.tail.extend_from_slice(bytes);
    }

    /// Appends a frame without copying it.
    pub(super) fn push(&mut self, frame: Bytes) {
        if frame.is_empty() {
            return;
        }
        self.close_tail();
        self.bytes += frame.len();
        self.pieces.push_back(frame);
    }

    /// Writes until the queue is empty (`true`) or the socket takes no more (`false`).
    ///
    /// # Errors
    ///
    /// What the socket says; it is of no use any more.
    pub(super) fn write_to(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        self.close_tail();
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            match socket.write_vectored(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(std::mem::take(&mut self.tail).freeze());
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written.min(self.bytes);
        while let Some(piece) = self.pieces.front_mut() {
            if written < piece.len() {
                piece.advance(written);
                return;
            }
            written -= piece.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes, then would block.
    struct Narrow {
        room: usize,
        got: Vec<u8>,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(self.room).min(7);
            self.room -= count;
            self.got.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bytes_leave_in_order_however_little_the_socket_takes() {
        let mut unsent = Unsent::default();
        let mut expected = Vec::new();
        for round in 0..50_u8 {
            let small = vec![round; 5];
            unsent.push_copy(&small);
            expected.extend_from_slice(&small);
            let large = Bytes::from(vec![round ^ 0xff; 3000]);
            unsent.push(large.clone());
            expected.extend_from_slice(&large);
        }
        assert_eq!(unsent.len(), expected.len());
        let mut socket = Narrow { room: 0, got: Vec::new() };
        for _ in 0..1000 {
            socket.room = 301;
            if unsent.write_to(&mut socket).unwrap() {
                break;
            }
            assert_eq!(unsent.len(), expected.len() - socket.got.len());
        }
        assert_eq!(unsent.len(), 0);
        assert_eq!(socket.got, expected);
    }
}
