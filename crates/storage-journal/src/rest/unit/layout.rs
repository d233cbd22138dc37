//! Header and footer of a unit's file, and reading parts of it with bounds and checksums.

use std::sync::Arc;

use bytes::{BufMut, Bytes};

use super::{Damage, FileId, Kind, RestError};
use crate::frame::{put, u32_at, u64_at};
use crate::vfs::{self, Vfs, VfsFile};

pub(super) const HEADER_BYTES: usize = 64;
pub(super) const FOOTER_BYTES: usize = 64;

const MAGIC: &[u8; 8] = b"RMQUNIT\0";
const FOOTER_MAGIC: &[u8; 8] = b"RMQUNEND";
const FORMAT: u16 = 1;
/// Features that a reader must know; none exist yet.
const INCOMPAT_KNOWN: u32 = 0;

/// An open file of a unit, with its name for what goes wrong.
#[derive(Debug)]
pub(super) struct Part {
    name: String,
    file: Arc<dyn VfsFile>,
}

impl Part {
    pub(super) fn open(vfs: &dyn Vfs, name: String) -> Result<Self, RestError> {
        match vfs.open(&name) {
            Ok(file) => Ok(Self { name, file }),
            Err(source) => Err(RestError::Io { file: name, source }),
        }
    }

    pub(super) fn length(&self) -> Result<u64, RestError> {
        self.file.length().map_err(|source| self.failed(source))
    }

    /// The bytes that the file has in this range: fewer at its end.
    ///
    /// The caller has bounded `length`.
    pub(super) fn read_some(&self, position: u64, length: usize) -> Result<Bytes, RestError> {
        let mut buffer = vec![0; length];
        let read = vfs::read_full(self.file.as_ref(), &mut buffer, position);
        buffer.truncate(read.map_err(|source| self.failed(source))?);
        Ok(buffer.into())
    }

    /// All bytes of a range that the caller has bounded.
    pub(super) fn read(&self, position: u64, length: usize) -> Result<Bytes, RestError> {
        let bytes = self.read_some(position, length)?;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(self.damage(position, "the file ends too early").into())
        }
    }

    pub(super) fn damage(&self, position: u64, reason: &'static str) -> Damage {
        Damage { file: self.name.clone(), position, reason: reason.into() }
    }

    fn failed(&self, source: std::io::Error) -> RestError {
        RestError::Io { file: self.name.clone(), source }
    }
}

/// The start value of the checksums in a unit.
pub(super) fn seed(id: FileId) -> u32 {
    crc32c::crc32c(&id.0.to_le_bytes())
}

fn kind_byte(kind: Kind) -> (u8, u64) {
    match kind {
        Kind::Pack => (1, 0),
        Kind::Hot { base } => (2, base),
    }
}

/// The header of a pack, or of the file beside a hot unit's data.
pub(super) fn header(id: FileId, kind: Kind) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let (kind, base) = kind_byte(kind);
    let mut out = header.as_mut_slice();
    out.put_slice(MAGIC);
    out.put_u16_le(FORMAT);
    out.put_u8(kind);
    out.put_bytes(0, 1 + 12);
    out.put_u64_le(id.0);
    out.put_u64_le(0);
    out.put_u64_le(base);
    let crc = crc32c::crc32c(&header[..HEADER_BYTES - 4]);
    put(&mut header, HEADER_BYTES - 4, &crc.to_le_bytes());
    header
}

/// Checks that the file begins with the header of this unit.
pub(super) fn check_header(part: &Part, id: FileId, kind: Kind) -> Result<(), RestError> {
    let damaged = |reason| RestError::from(part.damage(0, reason));
    let bytes = part.read(0, HEADER_BYTES)?;
    if !bytes.starts_with(MAGIC) {
        return Err(damaged("it does not begin as a unit"));
    }
    let checked = bytes.get(..HEADER_BYTES - 4).unwrap_or_default();
    if u32_at(&bytes, HEADER_BYTES - 4) != Some(crc32c::crc32c(checked)) {
        return Err(damaged("header checksum mismatch"));
    }
    let format = u32_at(&bytes, 8).and_then(|both| u16::try_from(both & 0xffff).ok());
    let (format, features) = (format.unwrap_or_default(), u32_at(&bytes, 20).unwrap_or_default());
    if format != FORMAT || features & !INCOMPAT_KNOWN != 0 {
        return Err(RestError::TooNew { file: part.name.clone(), format, features });
    }
    let (kind, base) = kind_byte(kind);
    let same = u64_at(&bytes, 24) == Some(id.0) && u64_at(&bytes, 40) == Some(base);
    if !same || bytes.get(10) != Some(&kind) {
        return Err(damaged("the header is that of another unit"));
    }
    Ok(())
}

/// What stands at the end of a pack, or of the file beside a hot unit's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    /// Where the data part ends, in the file that holds it.
    pub(super) data_end: u64,
    /// Where the directory is; the footer follows it.
    pub(super) directory: u64,
    pub(super) directory_length: u64,
    pub(super) directory_crc: u32,
    pub(super) runs: u64,
}

impl Footer {
    pub(super) fn put(&self, out: &mut Vec<u8>, id: FileId) {
        let start = out.len();
        out.put_u64_le(id.0);
        out.put_u64_le(self.data_end);
        out.put_u64_le(self.directory);
        out.put_u64_le(self.directory_length);
        out.put_u64_le(self.runs);
        out.put_u32_le(self.directory_crc);
        out.put_u64_le(0);
        let crc = crc32c::crc32c_append(seed(id), out.get(start..).unwrap_or_default());
        out.put_u32_le(crc);
        out.put_slice(FOOTER_MAGIC);
    }

    /// Reads and checks the footer of this unit; all that it says lies within the file.
    pub(super) fn read(part: &Part, id: FileId, kind: Kind) -> Result<Self, RestError> {
        let length = part.length()?;
        let at = length.checked_sub(FOOTER_BYTES as u64).filter(|at| *at >= HEADER_BYTES as u64);
        let Some(at) = at else {
            return Err(part.damage(0, "the file is too short for a unit").into());
        };
        let damaged = |reason| RestError::from(part.damage(at, reason));
        let bytes = part.read(at, FOOTER_BYTES)?;
        if !bytes.ends_with(FOOTER_MAGIC) {
            return Err(damaged("it does not end as a unit"));
        }
        let crc = crc32c::crc32c_append(seed(id), bytes.get(..52).unwrap_or_default());
        if u32_at(&bytes, 52) != Some(crc) {
            return Err(damaged("footer checksum mismatch"));
        }
        let number = |at| u64_at(&bytes, at).unwrap_or_default();
        let footer = Self {
            data_end: number(8),
            directory: number(16),
            directory_length: number(24),
            runs: number(32),
            directory_crc: u32_at(&bytes, 40).unwrap_or_default(),
        };
        let index = footer.index_start(kind);
        let tiled = footer.directory.checked_add(footer.directory_length) == Some(at);
        let data_start = data_start(kind);
        if !tiled || footer.directory < index || footer.data_end < data_start || number(0) != id.0 {
            return Err(damaged("the footer contradicts the file"));
        }
        Ok(footer)
    }

    /// Where the index part begins, in the file that holds it.
    pub(super) fn index_start(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Pack => self.data_end,
            Kind::Hot { .. } => HEADER_BYTES as u64,
        }
    }
}

/// Where the data part begins, in the file that holds it.
pub(super) fn data_start(kind: Kind) -> u64 {
    match kind {
        Kind::Pack => HEADER_BYTES as u64,
        Kind::Hot { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimFs;

    #[test]
    fn a_header_with_features_of_a_newer_version_is_refused() {
        let sim = SimFs::new(1);
        let mut bytes = header(FileId(7), Kind::Pack);
        put(&mut bytes, 20, &4_u32.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
        put(&mut bytes, HEADER_BYTES - 4, &crc.to_le_bytes());
        sim.create("a").expect("new").pwrite(&bytes, 0).expect("writes");
        let part = Part::open(&sim, "a".into()).expect("exists");
        let refused = check_header(&part, FileId(7), Kind::Pack);
        assert!(matches!(refused, Err(RestError::TooNew { format: 1, features: 4, .. })));
    }

    #[test]
    fn a_footer_that_points_outside_of_the_file_is_refused() {
        let good =
            Footer { data_end: 64, directory: 70, directory_length: 8, directory_crc: 0, runs: 0 };
        let read = |footer: Footer, kind| {
            let sim = SimFs::new(1);
            let mut bytes = vec![0; 78];
            footer.put(&mut bytes, FileId(7));
            sim.create("a").expect("new").pwrite(&bytes, 0).expect("writes");
            let part = Part::open(&sim, "a".into()).expect("exists");
            Footer::read(&part, FileId(7), kind)
        };
        assert_eq!(read(good, Kind::Pack).expect("good"), good);
        for bad in [
            Footer { data_end: 63, ..good },
            Footer { data_end: 71, ..good },
            Footer { directory: u64::MAX, ..good },
            Footer { directory_length: 9, ..good },
            Footer { directory: 63, directory_length: 15, data_end: 64, ..good },
        ] {
            assert!(matches!(read(bad, Kind::Pack), Err(RestError::Damaged(_))), "{bad:?}");
        }
        let beside = Footer { data_end: u64::MAX, ..good };
        assert!(read(beside, Kind::Hot { base: 0 }).is_ok(), "the data is in another file");
    }
}
