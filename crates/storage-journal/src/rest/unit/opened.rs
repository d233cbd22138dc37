//! A unit that can be read: its files stay open, everything else is read when asked for.

use std::sync::Arc;

use super::layout::{self, Footer, Part, seed};
use super::section::{ColumnsPlace, RunIndex, SECTION_HEADER_BYTES};
use super::{Damage, FileId, Holding, Kind, RestError, Run, beside_name, data_name, directory};
use crate::vfs::Vfs;

/// An open unit, shared between readers.
#[derive(Debug)]
pub struct Unit {
    id: FileId,
    kind: Kind,
    pub(super) data: Part,
    /// The file with the index, if it is another one.
    beside: Option<Part>,
    pub(super) footer: Footer,
}

impl Unit {
    /// Opens a unit; header and footer are read and checked, nothing else.
    ///
    /// # Errors
    ///
    /// [`RestError`].
    pub fn open(vfs: &Arc<dyn Vfs>, id: FileId, kind: Kind) -> Result<Self, RestError> {
        let data = Part::open(vfs.as_ref(), data_name(id, kind))?;
        let beside = beside_name(id, kind).map(|name| Part::open(vfs.as_ref(), name));
        let beside = beside.transpose()?;
        let index = beside.as_ref().unwrap_or(&data);
        layout::check_header(index, id, kind)?;
        let footer = Footer::read(index, id, kind)?;
        Ok(Self { id, kind, data, beside, footer })
    }

    /// Its name.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Bytes of its files.
    pub fn disk_bytes(&self) -> u64 {
        let index = self.footer.directory + self.footer.directory_length;
        let index = index.saturating_add(layout::FOOTER_BYTES as u64);
        match self.kind {
            Kind::Pack => index,
            Kind::Hot { .. } => self.footer.data_end.saturating_add(index),
        }
    }

    /// Its runs, by log.
    ///
    /// # Errors
    ///
    /// [`RestError`].
    pub fn directory(&self) -> Result<Vec<Holding>, RestError> {
        let Footer { directory: at, directory_length, directory_crc, runs, .. } = self.footer;
        let damaged = |reason| RestError::from(self.index_part().damage(at, reason));
        let length = usize::try_from(directory_length);
        let bytes = self.index_part().read(at, length.map_err(|_| damaged("too long"))?)?;
        if crc32c::crc32c_append(seed(self.id), &bytes) != directory_crc {
            return Err(damaged("directory checksum mismatch"));
        }
        directory::decode(bytes, runs).ok_or_else(|| damaged("the directory contradicts itself"))
    }

    /// Reads the index of a run, whose place is [`Holding::section`].
    ///
    /// # Errors
    ///
    /// [`RestError`].
    pub fn index(&self, section: (u64, u32)) -> Result<RunIndex, RestError> {
        let (at, length) = section;
        let part = self.index_part();
        let damaged = |reason| RestError::from(part.damage(at, reason));
        let start = self.footer.index_start(self.kind);
        let end = at.checked_add(length.into());
        let within = at >= start && end.is_some_and(|end| end <= self.footer.directory);
        let length = usize::try_from(length).ok().filter(|n| within && *n >= SECTION_HEADER_BYTES);
        let length = length.ok_or_else(|| damaged("no section can be there"))?;
        let index = RunIndex::decode(&part.read(at, length)?, self.id, section);
        let index = index.map_err(damaged)?;
        let data = index.data();
        let columns_within = match index.columns {
            ColumnsPlace::Inline(_) => true,
            ColumnsPlace::At(position) => position >= start,
        };
        let data_within =
            data.start >= layout::data_start(self.kind) && data.end <= self.footer.data_end;
        if columns_within && data_within {
            Ok(index)
        } else {
            Err(damaged("a section points outside of the file"))
        }
    }

    /// Reads on one run.
    pub fn run<'a>(&'a self, index: &'a RunIndex) -> Run<'a> {
        debug_assert_eq!(self.id, index.id, "the index of a run of this unit");
        Run { unit: self, index }
    }

    /// The file with the index.
    pub(super) fn index_part(&self) -> &Part {
        self.beside.as_ref().unwrap_or(&self.data)
    }

    /// A section is not what it should be.
    pub(super) fn section_damage(&self, index: &RunIndex, reason: &'static str) -> Damage {
        self.index_part().damage(index.section.0, reason)
    }
}
