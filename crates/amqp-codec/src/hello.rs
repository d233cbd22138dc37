//! The protocol header: eight bytes that a client sends before any frame (AMQP 0-9-1 §4.2.2).
//!
//! ```text
//! ["AMQP"][protocol id: u8][major: u8][minor: u8][revision: u8]
//! ```

use bytes::{Buf, BytesMut};

/// The header of AMQP 0-9-1: what a client sends, and what a server answers to any other.
pub const HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

/// The header of 0-9, which RabbitMQ takes for 0-9-1.
const HEADER_0_9: [u8; 8] = *b"AMQP\x01\x01\x00\x09";

/// A client that speaks AMQP 0-9-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello;

/// A client that speaks something else: answer [`HEADER`] and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    /// Another version of AMQP, 1.0 mostly.
    #[error("the client speaks another version of AMQP")]
    Version([u8; 8]),
    /// A TLS hello on a port without TLS.
    #[error("the client began a TLS handshake on a port without TLS")]
    Tls,
    /// An HTTP request.
    #[error("the client sent an HTTP request")]
    Http,
    /// Anything else.
    #[error("the first bytes are no AMQP header")]
    Garbage,
}

/// Takes the header off `buffer`; `None` when it may still become one.
///
/// # Errors
///
/// [`Stranger`], as early as the bytes show it.
pub fn decode_hello(buffer: &mut BytesMut) -> Result<Option<Hello>, Stranger> {
    let shown = buffer.len().min(4);
    if buffer.get(..shown) != HEADER.get(..shown) {
        return Err(match buffer.first() {
            Some(0x16) => Stranger::Tls,
            Some(b'G' | b'P' | b'H' | b'O') => Stranger::Http,
            Some(_) | None => Stranger::Garbage,
        });
    }
    let Some(header) = buffer.first_chunk::<8>().copied() else { return Ok(None) };
    if header != HEADER && header != HEADER_0_9 {
        return Err(Stranger::Version(header));
    }
    buffer.advance(header.len());
    Ok(Some(Hello))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(bytes: &[u8]) -> Result<Option<Hello>, Stranger> {
        decode_hello(&mut BytesMut::from(bytes))
    }

    #[test]
    fn both_headers_of_the_protocol_are_taken_and_nothing_after_them() {
        let mut buffer = BytesMut::from(&b"AMQP\x00\x00\x09\x01rest"[..]);
        assert_eq!(decode_hello(&mut buffer), Ok(Some(Hello)));
        assert_eq!(&buffer[..], b"rest");
        assert_eq!(hello(b"AMQP\x01\x01\x00\x09"), Ok(Some(Hello)));
    }

    #[test]
    fn a_header_may_come_byte_by_byte() {
        for len in 0..8 {
            assert_eq!(hello(&HEADER[..len]), Ok(None));
        }
    }

    #[test]
    fn strangers_are_told_from_their_first_bytes() {
        assert_eq!(hello(b"\x16\x03\x01"), Err(Stranger::Tls));
        assert_eq!(hello(b"GET / HT"), Err(Stranger::Http));
        assert_eq!(hello(b"\x10"), Err(Stranger::Garbage));
        let one_point_oh = *b"AMQP\x03\x01\x00\x00";
        assert_eq!(hello(&one_point_oh), Err(Stranger::Version(one_point_oh)));
    }
}
