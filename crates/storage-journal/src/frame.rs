//! Frames: what a group carries.
//!
//! ```text
//!  0 [length: u32][crc: u32]                crc32c over 8..length, seeded by the segment's uuid
//!  8 [kind: u8][flags: u8][ext_length: u16]
//! 12 [pg: u32][pg_index: u64][term: u32]    placement group, its index and term; 0 on one node
//! 28 [entries: u32]
//! 32 [ext][body]                            zero padded to 8 bytes
//! ```
//!
//! All integers are little endian. `length` counts header, extension and body, not the padding.
//! The seed makes a stale frame of a recycled file invalid.

use bytes::Bytes;

use crate::random::Uuid;

/// Bytes before the extension.
pub const HEADER_BYTES: usize = 32;
/// The longest frame that is written or believed (storage rule 10).
pub const FRAME_BYTES_MAX: usize = 16 << 20;
/// Frames start at multiples of this within their group.
pub(crate) const ALIGN: usize = 8;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// One record batch of one log.
    Data = 1,
    /// After-images: tables, cursors, settles, trims, deletes, logs and leases.
    Meta = 2,
    /// Reserved: votes and truncations of a replicated group.
    Raft = 3,
    /// Reserved: position of a state checkpoint.
    Checkpoint = 4,
    /// Reserved: footer of a sealed segment.
    Seal = 5,
}

impl FrameKind {
    fn from_wire(kind: u8) -> Option<Self> {
        [Self::Data, Self::Meta, Self::Raft, Self::Checkpoint, Self::Seal]
            .into_iter()
            .find(|known| *known as u8 == kind)
    }
}

/// A frame as read back: a view into the bytes of its group.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What it says.
    pub kind: FrameKind,
    /// Bits that belong to the kind.
    pub flags: u8,
    /// How many entries the body holds.
    pub entries: u32,
    /// Columns that stand beside the entries.
    pub ext: Bytes,
    /// The entries.
    pub body: Bytes,
    /// Where the frame starts, counted from the start of what was parsed.
    pub at: usize,
    /// Length with header, without padding.
    pub length: usize,
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// Fewer bytes than the header claims, or a length that no frame has.
    #[error("frame length out of bounds")]
    Length,
    /// The checksum does not match.
    #[error("frame checksum mismatch")]
    Checksum,
    /// A kind that this version does not know.
    #[error("unknown frame kind {0}")]
    Kind(u8),
    /// The padding is not zero.
    #[error("frame padding is not zero")]
    Padding,
}

/// The start value of all checksums in the segment of that name.
pub fn seed(uuid: &Uuid) -> u32 {
    crc32c::crc32c(uuid)
}

/// Rounds up to the frame alignment.
pub(crate) fn padded(length: usize) -> usize {
    length.next_multiple_of(ALIGN)
}

/// Appends a frame to `out` with a checksum of zero, to be set by [`seal`].
///
/// The closures append extension and body.
///
/// # Errors
///
/// [`BadFrame::Length`] when extension or body are too long; `out` is then as before.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    (kind, flags, entries): (FrameKind, u8, u32),
    ext: impl FnOnce(&mut Vec<u8>),
    body: impl FnOnce(&mut Vec<u8>),
) -> Result<usize, BadFrame> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    ext(out);
    let ext_length = u16::try_from(out.len() - start - HEADER_BYTES);
    body(out);
    let length = out.len() - start;
    let (Ok(ext_length), true) = (ext_length, length <= FRAME_BYTES_MAX) else {
        out.truncate(start);
        return Err(BadFrame::Length);
    };
    let length_wire = u32::try_from(length).expect("checked against FRAME_BYTES_MAX");
    put(out, start, &length_wire.to_le_bytes());
    put(out, start + 8, &[kind as u8, flags]);
    put(out, start + 10, &ext_length.to_le_bytes());
    put(out, start + 28, &entries.to_le_bytes());
    out.resize(start + padded(length), 0);
    Ok(start)
}

/// Sets the checksum of the frame at `start` and returns its header for the group's checksum.
pub(crate) fn seal(group: &mut [u8], start: usize, seed: u32) -> Option<&[u8]> {
    let length = usize::try_from(u32_at(group, start)?).ok()?;
    let crc = crc32c::crc32c_append(seed, group.get(start + 8..start + length)?);
    group.get_mut(start + 4..start + 8)?.copy_from_slice(&crc.to_le_bytes());
    group.get(start..start + HEADER_BYTES)
}

/// Reads the frame that starts at `at` and checks everything about it.
///
/// # Errors
///
/// [`BadFrame`] says what is wrong; nothing is believed before its bounds are checked.
pub fn decode(bytes: &Bytes, at: usize, seed: u32) -> Result<Frame, BadFrame> {
    let length = u32_at(bytes, at).and_then(|length| usize::try_from(length).ok());
    let length = length.ok_or(BadFrame::Length)?;
    if !(HEADER_BYTES..=FRAME_BYTES_MAX).contains(&length) {
        return Err(BadFrame::Length);
    }
    let all = bytes.get(at..at + length).ok_or(BadFrame::Length)?;
    let (head, _) = all.split_at(HEADER_BYTES);
    let &[_, _, _, _, c0, c1, c2, c3, kind, flags, e0, e1, ..] = head else {
        return Err(BadFrame::Length);
    };
    let checked = all.get(8..).ok_or(BadFrame::Length)?;
    if crc32c::crc32c_append(seed, checked) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(BadFrame::Checksum);
    }
    let kind = FrameKind::from_wire(kind).ok_or(BadFrame::Kind(kind))?;
    let ext_end = HEADER_BYTES + usize::from(u16::from_le_bytes([e0, e1]));
    if ext_end > length {
        return Err(BadFrame::Length);
    }
    let padding = bytes.get(at + length..at + padded(length)).unwrap_or_default();
    if padding.iter().any(|byte| *byte != 0) {
        return Err(BadFrame::Padding);
    }
    Ok(Frame {
        kind,
        flags,
        entries: u32_at(head, 28).ok_or(BadFrame::Length)?,
        ext: bytes.slice(at + HEADER_BYTES..at + ext_end),
        body: bytes.slice(at + ext_end..at + length),
        at,
        length,
    })
}

pub(crate) fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = out.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
