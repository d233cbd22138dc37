//! Frames: `[length: i32][bytes]` both ways.

use bytes::{Buf, Bytes, BytesMut};

use crate::wire::{DecodeError, Limits};

/// Bytes of the length prefix.
pub const PREFIX_BYTES: usize = 4;

/// Takes the next frame off the front; none while it is not complete.
///
/// # Errors
/// [`DecodeError::FrameLength`] when the length is negative or over the limit. Said as soon as the
/// four bytes are there, so nobody waits for, or allocates, what will not be taken.
pub fn decode(buffer: &mut BytesMut, limits: &Limits) -> Result<Option<Bytes>, DecodeError> {
    let Some(prefix) = buffer.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
    let claimed = i32::from_be_bytes(*prefix);
    let length = usize::try_from(claimed)
        .ok()
        .filter(|length| *length <= limits.frame_bytes)
        .ok_or(DecodeError::FrameLength(claimed))?;
    if buffer.len() - PREFIX_BYTES < length {
        return Ok(None);
    }
    buffer.advance(PREFIX_BYTES);
    Ok(Some(buffer.split_to(length).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_waits_until_it_is_complete() {
        let whole = [0, 0, 0, 2, 8, 9, 0];
        let mut buffer = BytesMut::new();
        for (at, byte) in whole.iter().enumerate() {
            buffer.extend_from_slice(&[*byte]);
            let frame = decode(&mut buffer, &Limits::default()).unwrap();
            assert_eq!(frame.as_deref(), (at == 5).then_some(&[8, 9][..]));
        }
        assert_eq!(&buffer[..], [0]);
    }

    #[test]
    fn a_length_over_the_limit_or_below_zero_is_refused_at_once() {
        let limits = Limits { frame_bytes: 10, ..Limits::default() };
        let mut long = BytesMut::from(&[0, 0, 0, 11][..]);
        assert_eq!(decode(&mut long, &limits), Err(DecodeError::FrameLength(11)));
        let mut negative = BytesMut::from(&[0xff; 4][..]);
        assert_eq!(decode(&mut negative, &limits), Err(DecodeError::FrameLength(-1)));
        let mut http = BytesMut::from(&b"GET "[..]);
        assert!(decode(&mut http, &Limits::default()).is_err());
    }
}
