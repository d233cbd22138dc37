//! The bytes of a manifest and of `CURRENT`, but for the bodies of edits; no I/O.

use std::ops::Range;

use crate::frame::{put, u32_at, u64_at};

/// The file that names the valid manifest.
pub(super) const CURRENT: &str = "CURRENT";
/// The name under which it is written.
pub(super) const CURRENT_NEW: &str = "CURRENT.new";

/// Unit of writing: no block of an acknowledged edit is written again.
pub(super) const BLOCK_BYTES: usize = 4096;
/// Where the edits start.
pub(super) const EDITS_AT: usize = 3 * BLOCK_BYTES;
/// The longest body that is written or believed.
pub(super) const BODY_BYTES_MAX: usize = 64 << 20;
const LOG_BYTES_MIN: u32 = 2 * BLOCK_BYTES as u32;
const LOG_BYTES_MAX: u32 = 64 << 20;
/// The longest manifest that is read.
pub(super) const FILE_BYTES_MAX: u64 =
    (EDITS_AT + BODY_BYTES_MAX + 2 * BLOCK_BYTES) as u64 + LOG_BYTES_MAX as u64;
pub(super) const CURRENT_BYTES: usize = 64;

const MAGIC: &[u8; 8] = b"RMQMANIF";
const MAGIC_WITNESS: &[u8; 8] = b"RMQWITNS";
const MAGIC_EDIT: &[u8; 4] = b"EDIT";
const MAGIC_CURRENT: &[u8; 8] = b"RMQCURRT";
const FORMAT: u16 = 1;
/// Features that a reader must know; none exist yet.
const INCOMPAT_KNOWN: u32 = 0;
/// Features that a writer, but not a reader, must know; none exist yet. Opening writes.
const RO_COMPAT_KNOWN: u32 = 0;
const EDIT_HEADER_BYTES: usize = 32;
/// Last byte of an edit.
const MARK: u8 = 0xed;
pub(super) const WITNESS_BYTES: usize = 64;

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    Invalid,
    TooNew { format: u16, features: u32 },
}

/// The name of a manifest.
pub(crate) fn name(number: u64) -> String {
    format!("{number:020}.manifest")
}

/// The name under which a manifest is written.
pub(super) fn name_new(number: u64) -> String {
    format!("{number:020}.manifest.new")
}

/// The number of the manifest with that name.
pub(super) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".manifest")?;
    let sound = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if sound { digits.parse().ok() } else { None }
}

/// Identity of a manifest file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) folder: [u8; 16],
    /// The number in its name.
    pub(super) number: u64,
    /// Number of the edit that is its snapshot.
    pub(super) first: u64,
    /// Bytes reserved for edits behind the snapshot.
    pub(super) log_bytes: u32,
}

/// The nearest amount of reserved space that a manifest can have.
pub(super) fn log_bytes_sound(log_bytes: u32) -> u32 {
    log_bytes.clamp(LOG_BYTES_MIN, LOG_BYTES_MAX).next_multiple_of(BLOCK_BYTES as u32)
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; BLOCK_BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 8, &FORMAT.to_le_bytes());
        put(&mut bytes, 24, &self.folder);
        put(&mut bytes, 40, &self.number.to_le_bytes());
        put(&mut bytes, 48, &self.first.to_le_bytes());
        put(&mut bytes, 56, &self.log_bytes.to_le_bytes());
        let crc = crc32c::crc32c(bytes.get(..BLOCK_BYTES - 4).unwrap_or_default());
        put(&mut bytes, BLOCK_BYTES - 4, &crc.to_le_bytes());
        bytes
    }

    /// The start value of all other checksums of the file.
    pub(super) fn seed(&self) -> u32 {
        u32_at(&self.encode(), BLOCK_BYTES - 4).unwrap_or_default()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        let crc = bytes.get(..BLOCK_BYTES - 4).map(crc32c::crc32c).ok_or(BadHeader::Invalid)?;
        if bytes.get(..8) != Some(MAGIC) || u32_at(bytes, BLOCK_BYTES - 4) != Some(crc) {
            return Err(BadHeader::Invalid);
        }
        check_features(bytes)?;
        let number = |at| u64_at(bytes, at).unwrap_or_default();
        let header = Self {
            folder: folder(bytes).ok_or(BadHeader::Invalid)?,
            number: number(40),
            first: number(48),
            log_bytes: u32_at(bytes, 56).unwrap_or_default(),
        };
        let sound = header.first > 0
            && header.first < u64::MAX
            && header.log_bytes == log_bytes_sound(header.log_bytes);
        if sound { Ok(header) } else { Err(BadHeader::Invalid) }
    }
}

fn check_features(bytes: &[u8]) -> Result<(), BadHeader> {
    let features = u32_at(bytes, 20).unwrap_or_default() & !INCOMPAT_KNOWN
        | u32_at(bytes, 16).unwrap_or_default() & !RO_COMPAT_KNOWN;
    let format = u32_at(bytes, 8).unwrap_or_default() as u16;
    let known = format == FORMAT && features == 0;
    if known { Ok(()) } else { Err(BadHeader::TooNew { format, features }) }
}

fn folder(bytes: &[u8]) -> Option<[u8; 16]> {
    bytes.get(24..40)?.try_into().ok()
}

/// What `CURRENT` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Current {
    pub(super) folder: [u8; 16],
    pub(super) number: u64,
    /// Seed of the manifest with that number: no other file under its name will do.
    pub(super) seed: u32,
}

impl Current {
    pub(super) fn encode(&self) -> [u8; CURRENT_BYTES] {
        let mut bytes = [0; CURRENT_BYTES];
        put(&mut bytes, 0, MAGIC_CURRENT);
        put(&mut bytes, 8, &FORMAT.to_le_bytes());
        put(&mut bytes, 24, &self.folder);
        put(&mut bytes, 40, &self.number.to_le_bytes());
        put(&mut bytes, 48, &self.seed.to_le_bytes());
        let crc = crc32c::crc32c(bytes.get(..60).unwrap_or_default());
        put(&mut bytes, 60, &crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        let crc = bytes.get(..60).map(crc32c::crc32c).ok_or(BadHeader::Invalid)?;
        let same = bytes.get(..8) == Some(MAGIC_CURRENT) && u32_at(bytes, 60) == Some(crc);
        if !same || bytes.len() != CURRENT_BYTES {
            return Err(BadHeader::Invalid);
        }
        check_features(bytes)?;
        Ok(Self {
            folder: folder(bytes).ok_or(BadHeader::Invalid)?,
            number: u64_at(bytes, 40).unwrap_or_default(),
            seed: u32_at(bytes, 48).unwrap_or_default(),
        })
    }
}

/// Where a witness stands.
pub(super) fn witness_at(slot: usize) -> u64 {
    ((1 + slot) * BLOCK_BYTES) as u64
}

/// The bytes of a witness: within one sector, so that it is not torn.
pub(super) fn witness(seed: u32, acknowledged: u64) -> [u8; WITNESS_BYTES] {
    let mut bytes = [0; WITNESS_BYTES];
    put(&mut bytes, 0, MAGIC_WITNESS);
    put(&mut bytes, 8, &acknowledged.to_le_bytes());
    let crc = crc32c::crc32c_append(seed, bytes.get(..60).unwrap_or_default());
    put(&mut bytes, 60, &crc.to_le_bytes());
    bytes
}

/// The number in a witness of this file.
pub(super) fn read_witness(file: &[u8], seed: u32, slot: usize) -> Option<u64> {
    let at = usize::try_from(witness_at(slot)).ok()?;
    let bytes = file.get(at..at + WITNESS_BYTES)?;
    let acknowledged = u64_at(bytes, 8)?;
    (bytes == witness(seed, acknowledged)).then_some(acknowledged)
}

/// What an edit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It says everything.
    Snapshot = 1,
    /// It changes what is.
    Edit = 2,
}

/// The bytes of an edit with this number, predecessor and kind, and its checksum.
pub(super) fn record(seed: u32, told: (u64, u32, Kind), body: &[u8]) -> (Vec<u8>, u32) {
    let (number, previous, kind) = told;
    let length = u32::try_from(body.len()).expect("edits are refused above BODY_BYTES_MAX");
    let mut bytes = Vec::with_capacity(padded(body.len()));
    bytes.extend_from_slice(MAGIC_EDIT);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&previous.to_le_bytes());
    bytes.extend_from_slice(&(kind as u32).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(seed, &bytes), body);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(body);
    bytes.resize(padded(body.len()) - 1, 0);
    bytes.push(MARK);
    (bytes, crc)
}

/// Length of an edit with header, padding and mark.
fn padded(body: usize) -> usize {
    (EDIT_HEADER_BYTES + body + 1).next_multiple_of(BLOCK_BYTES)
}

/// An edit as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) number: u64,
    pub(super) previous: u32,
    pub(super) kind: Kind,
    pub(super) crc: u32,
    /// Where its body stands in the file.
    pub(super) body: Range<usize>,
    /// Where the next edit belongs.
    pub(super) end: usize,
}

/// The edit at a position, when there is a whole one of this file.
pub(super) fn read_record(file: &[u8], at: usize, seed: u32) -> Option<Record> {
    let header = file.get(at..at.checked_add(EDIT_HEADER_BYTES)?)?;
    let length = u32_at(header, 4)? as usize;
    if header.get(..4)? != MAGIC_EDIT || length > BODY_BYTES_MAX || u32_at(header, 28)? != 0 {
        return None;
    }
    let kind = [Kind::Snapshot, Kind::Edit]
        .into_iter()
        .find(|known| Some(*known as u32) == u32_at(header, 20))?;
    let body = at + EDIT_HEADER_BYTES..at + EDIT_HEADER_BYTES + length;
    let end = at + padded(length);
    let crc = crc32c::crc32c_append(seed, header.get(..24)?);
    let crc = crc32c::crc32c_append(crc, file.get(body.clone())?);
    let (mark, padding) = file.get(body.end..end)?.split_last()?;
    let sound = u32_at(header, 24)? == crc && *mark == MARK && is_zero(padding);
    let (number, previous) = (u64_at(header, 8)?, u32_at(header, 16)?);
    sound.then_some(Record { number, previous, kind, crc, body, end })
}

/// True when all bytes are zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
