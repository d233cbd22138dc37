//! The four codecs of a record batch, decoded with caps on size and ratio.
//!
//! A client chooses the bytes, so nothing is allocated for a length that they claim: output grows
//! as it is produced, and stops at the cap.

use std::io::{self, Read, Write};

/// How the records of a batch are compressed (attribute bits 0 to 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// As they are.
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Raw, or in the block framing of Xerial's Java library.
    Snappy = 2,
    /// LZ4 frame format.
    Lz4 = 3,
    /// RFC 8878.
    Zstd = 4,
}

impl Codec {
    /// The codec of a batch's attributes.
    pub fn from_attributes(attributes: i16) -> Option<Self> {
        [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd]
            .into_iter()
            .find(|codec| *codec as i16 == attributes & 7)
    }
}

/// How far compressed bytes may expand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Never more than this many bytes.
    pub bytes: usize,
    /// Never more than this many times the input; the first mebibyte is free.
    pub ratio: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self { bytes: 64 << 20, ratio: 1024 }
    }
}

impl Caps {
    fn for_input(&self, input: usize) -> usize {
        self.bytes.min(input.saturating_mul(self.ratio).max(1 << 20))
    }
}

/// Why bytes could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They are not what the codec writes.
    #[error("compressed records cannot be decoded")]
    Invalid,
    /// They expand beyond the caps.
    #[error("compressed records expand beyond {0} bytes")]
    Expands(usize),
}

const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_BYTES: usize = 16;

/// Decodes `input`.
///
/// # Errors
///
/// [`DecodeError`]; memory stays within the caps, whatever the input.
pub fn decode(codec: Codec, input: &[u8], caps: Caps) -> Result<Vec<u8>, DecodeError> {
    let cap = caps.for_input(input.len());
    match codec {
        Codec::None if input.len() <= cap => Ok(input.to_vec()),
        Codec::None => Err(DecodeError::Expands(cap)),
        Codec::Gzip => read_capped(flate2::read::MultiGzDecoder::new(input), cap),
        Codec::Snappy => decode_snappy(input, cap),
        Codec::Lz4 => read_capped(lz4_flex::frame::FrameDecoder::new(input), cap),
        Codec::Zstd => {
            // The window is bounded by the library (2^27, what level 22 writes), and its pages are
            // only touched as output fills them, which the cap ends.
            let decoder = zstd::stream::read::Decoder::with_buffer(input);
            read_capped(decoder.map_err(|_| DecodeError::Invalid)?, cap)
        }
    }
}

fn read_capped(reader: impl Read, cap: usize) -> Result<Vec<u8>, DecodeError> {
    let mut output = Vec::new();
    let mut limited = reader.take(cap as u64 + 1);
    limited.read_to_end(&mut output).map_err(|_| DecodeError::Invalid)?;
    if output.len() > cap { Err(DecodeError::Expands(cap)) } else { Ok(output) }
}

fn decode_snappy(input: &[u8], cap: usize) -> Result<Vec<u8>, DecodeError> {
    let mut output = Vec::new();
    if !input.starts_with(XERIAL_MAGIC) {
        decode_snappy_block(input, cap, &mut output)?;
        return Ok(output);
    }
    let mut rest = input.get(XERIAL_HEADER_BYTES..).ok_or(DecodeError::Invalid)?;
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk::<4>().ok_or(DecodeError::Invalid)?;
        let length = usize::try_from(i32::from_be_bytes(*length));
        let length = length.map_err(|_| DecodeError::Invalid)?;
        let block = behind.get(..length).ok_or(DecodeError::Invalid)?;
        decode_snappy_block(block, cap, &mut output)?;
        rest = behind.get(length..).unwrap_or_default();
    }
    Ok(output)
}

fn decode_snappy_block(block: &[u8], cap: usize, output: &mut Vec<u8>) -> Result<(), DecodeError> {
    let length = snap::raw::decompress_len(block).map_err(|_| DecodeError::Invalid)?;
    // One byte of a block makes at most 64 bytes, in a copy of two: a claim beyond that is a lie.
    if length > block.len().saturating_mul(64) {
        return Err(DecodeError::Invalid);
    }
    if output.len() + length > cap {
        return Err(DecodeError::Expands(cap));
    }
    let start = output.len();
    output.resize(start + length, 0);
    let place = output.get_mut(start..).unwrap_or_default();
    snap::raw::Decoder::new().decompress(block, place).map_err(|_| DecodeError::Invalid)?;
    Ok(())
}

/// Encodes `input`, as clients do; the server itself stores what it gathers uncompressed.
///
/// # Errors
///
/// What the codec says, which for bytes in memory is nothing but a lack of memory.
pub fn encode(codec: Codec, input: &[u8]) -> io::Result<Vec<u8>> {
    match codec {
        Codec::None => Ok(input.to_vec()),
        Codec::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(input)?;
            encoder.finish()
        }
        Codec::Snappy => {
            let block = snap::raw::Encoder::new().compress_vec(input).map_err(io::Error::other)?;
            let length = i32::try_from(block.len()).map_err(io::Error::other)?;
            let mut output = XERIAL_MAGIC.to_vec();
            output.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
            output.extend_from_slice(&length.to_be_bytes());
            output.extend_from_slice(&block);
            Ok(output)
        }
        Codec::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(input)?;
            encoder.finish().map_err(io::Error::other)
        }
        Codec::Zstd => zstd::stream::encode_all(input, 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    #[test]
    fn every_codec_gives_back_what_it_was_given() {
        let input: Vec<u8> = (0..100_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        for codec in CODECS {
            let encoded = encode(codec, &input).expect("memory");
            assert_eq!(decode(codec, &encoded, Caps::default()).as_ref(), Ok(&input), "{codec:?}");
            assert_eq!(Codec::from_attributes(codec as i16 | 0x70), Some(codec));
        }
        assert_eq!(Codec::from_attributes(5), None);
    }

    #[test]
    fn raw_snappy_is_read_as_well_as_framed() {
        let raw = snap::raw::Encoder::new().compress_vec(b"hello hello hello").expect("memory");
        let decoded = decode(Codec::Snappy, &raw, Caps::default());
        assert_eq!(decoded, Ok(b"hello hello hello".to_vec()));
    }

    #[test]
    fn bombs_stop_at_the_cap() {
        let zeros = vec![0; 8 << 20];
        for codec in CODECS {
            let bomb = encode(codec, &zeros).expect("memory");
            let caps = Caps { bytes: 2 << 20, ratio: 10_000 };
            assert_eq!(decode(codec, &bomb, caps), Err(DecodeError::Expands(2 << 20)), "{codec:?}");
        }
        let bomb = encode(Codec::Zstd, &zeros).expect("memory");
        let caps = Caps { bytes: 64 << 20, ratio: 100 };
        assert_eq!(decode(Codec::Zstd, &bomb, caps), Err(DecodeError::Expands(1 << 20)));
    }

    #[test]
    fn garbage_and_truncated_input_are_refused() {
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            assert!(decode(codec, b"no such thing at all", Caps::default()).is_err(), "{codec:?}");
            let whole = encode(codec, &[7; 1000]).expect("memory");
            let cut = whole.get(..whole.len() / 2).expect("longer");
            assert!(decode(codec, cut, Caps::default()).is_err(), "{codec:?}");
        }
        let huge_claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        assert_eq!(decode(Codec::Snappy, &huge_claim, Caps::default()), Err(DecodeError::Invalid));
    }
}
