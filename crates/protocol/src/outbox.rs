//! What a session wants sent and asked, collected by the driver after each input.

use bytes::{Bytes, BytesMut};

use crate::{Request, Token};

/// Frames up to this size are copied behind each other; larger ones are shared.
const COPY_MAX: usize = 2048;

/// Outgoing frames and requests of one input. One outbox serves all connections of a worker.
#[derive(Debug, Default)]
pub struct Outbox {
    ready: Vec<Bytes>,
    buffer: BytesMut,
    paused: bool,
    /// Requests in order; those with a token are answered.
    pub requests: Vec<(Option<Token>, Request)>,
}

impl Outbox {
    /// An empty outbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// The buffer to encode the next frame into.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Appends an encoded frame; a large one is shared, not copied.
    pub fn frame(&mut self, frame: &Bytes) {
        if frame.len() <= COPY_MAX {
            self.buffer.extend_from_slice(frame);
        } else {
            if !self.buffer.is_empty() {
                self.ready.push(self.buffer.split().freeze());
            }
            self.ready.push(frame.clone());
        }
    }

    /// A request whose answer comes as [`crate::Input::Reply`] with this token.
    pub fn ask(&mut self, token: Token, request: Request) {
        self.requests.push((Some(token), request));
    }

    /// A request without an answer.
    pub fn tell(&mut self, request: Request) {
        self.requests.push((None, request));
    }

    /// Asks the driver not to feed [`crate::Input::Bytes`] again until the session has seen another
    /// input and did not pause again. For packets that must wait for a reply.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Whether the last input paused; cleared by reading it. For the driver.
    pub fn take_pause(&mut self) -> bool {
        std::mem::take(&mut self.paused)
    }

    /// Bytes waiting to be sent.
    pub fn outbound_bytes(&self) -> usize {
        self.buffer.len() + self.ready.iter().map(Bytes::len).sum::<usize>()
    }

    /// Whether there is nothing to send.
    pub fn has_no_frames(&self) -> bool {
        self.buffer.is_empty() && self.ready.is_empty()
    }

    /// The large frames in order, each preceded by what was to go before it; what was encoded last
    /// is still in [`Outbox::buffer`]. For the driver.
    pub fn ready(&mut self) -> &mut Vec<Bytes> {
        &mut self.ready
    }

    /// Everything to be sent, as one piece. For tests.
    pub fn take_bytes(&mut self) -> Bytes {
        let mut all = BytesMut::new();
        for chunk in self.ready.drain(..) {
            all.extend_from_slice(&chunk);
        }
        all.extend_from_slice(&self.buffer.split());
        all.freeze()
    }
}
