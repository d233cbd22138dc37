//! Groups: the unit of commit and of recovery (storage rule 1).
//!
//! ```text
//!  0 [magic: u32][format: u16][flags: u16]
//!  8 [segment uuid: 16 bytes]
//! 24 [lsn: u64][durable_lsn: u64]    durable: the last group whose sync had returned
//! 40 [length: u32][frames: u32]      length with this header, without the padding; never 0
//! 48 [clock_ms: i64]                 engine clock when the group was written
//! 56 [frames_crc: u32]               over the frame headers, seeded by the uuid
//! 60 [crc: u32]                      over 0..60, seeded by the uuid
//! 64 frames, zero padded to 4 KiB
//! ```
//!
//! A group is written with one call at a 4 KiB position and never spans segments. One without
//! frames is a witness: it only proves how far its predecessors are durable.

use bytes::Bytes;

use crate::frame::{self, BadFrame, Frame, FrameKind, put, u32_at, u64_at};
use crate::random::Uuid;

/// Bytes before the first frame.
pub const HEADER_BYTES: usize = 64;
/// Groups start at multiples of this in their file.
pub const ALIGN: u64 = 4096;
/// The longest group that is written or believed.
pub const GROUP_BYTES_MAX: usize = 64 << 20;

const MAGIC: u32 = u32::from_le_bytes(*b"RQGP");
const FORMAT: u16 = 1;

/// What stands in front of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHeader {
    /// Dense number of the group, from 1, across all segments.
    pub lsn: u64,
    /// The last group whose sync had returned when this one was written.
    pub durable_lsn: u64,
    /// Length with header, without padding.
    pub length: usize,
    /// Number of frames.
    pub frames: u32,
    /// Engine clock in milliseconds.
    pub clock_ms: i64,
    frames_crc: u32,
}

impl GroupHeader {
    /// Reads a header; `None` when these bytes are not one of that segment.
    pub fn decode(bytes: &[u8], uuid: &Uuid) -> Option<Self> {
        let head = bytes.get(..HEADER_BYTES)?;
        let seed = frame::seed(uuid);
        let magic_matches = u32_at(head, 0)? == MAGIC && head.get(8..24)? == uuid;
        if !magic_matches || crc32c::crc32c_append(seed, head.get(..60)?) != u32_at(head, 60)? {
            return None;
        }
        let format = u32_at(head, 4)?;
        let length = usize::try_from(u32_at(head, 40)?).ok()?;
        let known = format == u32::from(FORMAT);
        (known && (HEADER_BYTES..=GROUP_BYTES_MAX).contains(&length)).then_some(())?;
        Some(Self {
            lsn: u64_at(head, 24)?,
            durable_lsn: u64_at(head, 32)?,
            length,
            frames: u32_at(head, 44)?,
            clock_ms: i64::from_le_bytes(head.get(48..56)?.try_into().ok()?),
            frames_crc: u32_at(head, 56)?,
        })
    }

    /// Length with padding: how far the next group is.
    pub fn padded(&self) -> u64 {
        (self.length as u64).next_multiple_of(ALIGN)
    }
}

/// Why the bytes behind a valid header are not its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadGroup {
    /// The file ends inside the group.
    #[error("group is cut short")]
    Short,
    /// A frame in it is bad.
    #[error("{0}")]
    Frame(#[from] BadFrame),
    /// The frame headers do not match the group's checksum, or their number is wrong.
    #[error("frame headers do not match the group")]
    Frames,
    /// The padding is not zero.
    #[error("group padding is not zero")]
    Padding,
}

/// Reads all frames of a group that begins `bytes`, which holds its padding too.
///
/// # Errors
///
/// [`BadGroup`] when any byte of the group is not as written.
pub fn decode_frames(
    bytes: &Bytes,
    header: &GroupHeader,
    uuid: &Uuid,
) -> Result<Vec<Frame>, BadGroup> {
    let seed = frame::seed(uuid);
    let body = bytes.get(..header.length).map(|_| bytes.slice(..header.length));
    let body = body.ok_or(BadGroup::Short)?;
    let mut frames = Vec::new();
    let mut crc = seed;
    let mut at = HEADER_BYTES;
    while at < body.len() {
        let frame = frame::decode(&body, at, seed)?;
        let head = body.get(at..at + frame::HEADER_BYTES).ok_or(BadGroup::Short)?;
        crc = crc32c::crc32c_append(crc, head);
        at += frame::padded(frame.length);
        frames.push(frame);
    }
    if at != header.length || frames.len() as u64 != u64::from(header.frames) {
        return Err(BadGroup::Frames);
    }
    if crc != header.frames_crc {
        return Err(BadGroup::Frames);
    }
    let end = usize::try_from(header.padded()).map_err(|_| BadGroup::Short)?;
    let padding = bytes.get(header.length..end).ok_or(BadGroup::Short)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(BadGroup::Padding);
    }
    Ok(frames)
}

/// Collects the frames of the next group.
#[derive(Debug)]
pub struct GroupBuilder {
    bytes: Vec<u8>,
    frames: Vec<usize>,
}

impl Default for GroupBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl GroupBuilder {
    /// A group without frames.
    pub fn new() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], frames: Vec::new() }
    }

    /// Appends a frame and returns where it starts in the group.
    ///
    /// # Errors
    ///
    /// [`BadFrame::Length`] when the frame is too long; the group is then as before.
    pub fn push(
        &mut self,
        head: (FrameKind, u8, u32),
        ext: impl FnOnce(&mut Vec<u8>),
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<usize, BadFrame> {
        let start = frame::encode(&mut self.bytes, head, ext, body)?;
        self.frames.push(start);
        Ok(start)
    }

    /// Bytes so far, without the padding.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Number of frames so far.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// The bytes from the start of a frame on, as [`Self::push`] returned it.
    pub(crate) fn frame(&self, start: usize) -> Option<&[u8]> {
        self.bytes.get(start..)
    }

    /// Makes room for so many bytes of frames and the padding.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes + ALIGN as usize);
    }

    /// The bytes so far, for whoever needs them longer; the group is then empty.
    pub(crate) fn take_bytes(&mut self) -> Bytes {
        self.frames.clear();
        Bytes::from(std::mem::replace(&mut self.bytes, vec![0; HEADER_BYTES]))
    }

    /// A mark to return to with [`Self::rewind`].
    pub fn mark(&self) -> (usize, usize) {
        (self.bytes.len(), self.frames.len())
    }

    /// Forgets all frames after the mark.
    pub fn rewind(&mut self, (bytes, frames): (usize, usize)) {
        self.bytes.truncate(bytes.max(HEADER_BYTES));
        self.frames.truncate(frames);
    }

    /// Forgets all frames and gives memory beyond `keep` bytes back.
    pub fn clear(&mut self, keep: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep);
        self.bytes.resize(HEADER_BYTES, 0);
        self.frames.clear();
    }

    /// Writes header and checksums and returns the padded bytes, ready for one write.
    pub(crate) fn seal(&mut self, uuid: &Uuid, lsn: u64, durable_lsn: u64, clock_ms: i64) -> &[u8] {
        let length = self.bytes.len();
        let header = GroupHeader {
            lsn,
            durable_lsn,
            length,
            frames: u32::try_from(self.frames.len()).expect("fewer frames than bytes"),
            clock_ms,
            frames_crc: 0,
        };
        seal(&mut self.bytes, &self.frames, &header, uuid).expect("frames are in bounds");
        self.bytes.resize(length.next_multiple_of(ALIGN as usize), 0);
        &self.bytes
    }

    /// Takes the padding off again, so that more frames can follow after a failed write.
    pub(crate) fn unseal(&mut self, length: usize) {
        self.bytes.truncate(length);
    }
}

/// Moves the padded bytes of a valid group to another segment; `None` if it was not valid.
pub(crate) fn reseal(
    bytes: &mut [u8],
    header: &GroupHeader,
    uuid: &Uuid,
    durable_lsn: u64,
) -> Option<()> {
    let mut frames = Vec::new();
    let mut at = HEADER_BYTES;
    while at < header.length {
        frames.push(at);
        let length = usize::try_from(u32_at(bytes, at)?).ok()?;
        at += frame::padded(length.max(frame::HEADER_BYTES));
    }
    seal(bytes, &frames, &GroupHeader { durable_lsn, ..*header }, uuid)
}

fn seal(bytes: &mut [u8], frames: &[usize], header: &GroupHeader, uuid: &Uuid) -> Option<()> {
    let seed = frame::seed(uuid);
    let mut crc = seed;
    for start in frames {
        crc = crc32c::crc32c_append(crc, frame::seal(bytes, *start, seed)?);
    }
    put(bytes, 0, &MAGIC.to_le_bytes());
    put(bytes, 4, &u32::from(FORMAT).to_le_bytes());
    put(bytes, 8, uuid);
    put(bytes, 24, &header.lsn.to_le_bytes());
    put(bytes, 32, &header.durable_lsn.to_le_bytes());
    put(bytes, 40, &u32::try_from(header.length).ok()?.to_le_bytes());
    put(bytes, 44, &header.frames.to_le_bytes());
    put(bytes, 48, &header.clock_ms.to_le_bytes());
    put(bytes, 56, &crc.to_le_bytes());
    let crc = crc32c::crc32c_append(seed, bytes.get(..60)?);
    put(bytes, 60, &crc.to_le_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: Uuid = [9; 16];

    fn sealed() -> Bytes {
        let mut group = GroupBuilder::new();
        for body in [b"first".as_slice(), b"", b"the third one"] {
            group
                .push((FrameKind::Data, 3, 1), |ext| ext.push(7), |out| out.extend_from_slice(body))
                .expect("short");
        }
        Bytes::copy_from_slice(group.seal(&UUID, 5, 4, -1))
    }

    #[test]
    fn a_group_reads_back_as_it_was_written() {
        let bytes = sealed();
        assert_eq!(bytes.len() as u64, ALIGN);
        let header = GroupHeader::decode(&bytes, &UUID).expect("valid");
        assert_eq!((header.lsn, header.durable_lsn, header.clock_ms), (5, 4, -1));
        let frames = decode_frames(&bytes, &header, &UUID).expect("valid");
        let bodies: Vec<_> = frames.iter().map(|frame| frame.body.as_ref()).collect();
        assert_eq!(bodies, [b"first".as_slice(), b"", b"the third one"]);
        assert!(frames.iter().all(|frame| frame.ext.as_ref() == [7] && frame.flags == 3));
    }

    #[test]
    fn any_flipped_bit_of_a_group_is_noticed() {
        let good = sealed();
        for bit in 0..good.len() * 8 {
            let mut bad = good.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            let bad = Bytes::from(bad);
            let read = GroupHeader::decode(&bad, &UUID)
                .map(|header| decode_frames(&bad, &header, &UUID).is_ok());
            assert_ne!(read, Some(true), "bit {bit} was not noticed");
        }
    }

    #[test]
    fn a_group_of_another_segment_is_not_believed() {
        assert_eq!(GroupHeader::decode(&sealed(), &[8; 16]), None);
    }

    #[test]
    fn a_rewound_group_holds_only_what_stood_before_the_mark() {
        let mut group = GroupBuilder::new();
        group.push((FrameKind::Meta, 0, 1), |_| {}, |out| out.push(1)).expect("short");
        let mark = group.mark();
        group.push((FrameKind::Meta, 0, 1), |_| {}, |out| out.push(2)).expect("short");
        group.rewind(mark);
        let bytes = Bytes::copy_from_slice(group.seal(&UUID, 1, 0, 0));
        let header = GroupHeader::decode(&bytes, &UUID).expect("valid");
        assert_eq!(decode_frames(&bytes, &header, &UUID).expect("valid").len(), 1);
    }

    #[test]
    fn a_frame_beyond_the_limit_is_refused_and_leaves_no_trace() {
        let mut group = GroupBuilder::new();
        let long = vec![0; frame::FRAME_BYTES_MAX];
        let pushed =
            group.push((FrameKind::Data, 0, 1), |_| {}, |out| out.extend_from_slice(&long));
        assert_eq!(pushed, Err(BadFrame::Length));
        assert_eq!(group.mark(), (HEADER_BYTES, 0));
    }
}
