//! Looking at every byte of a unit.

use std::sync::Arc;

use super::layout::{self, FOOTER_BYTES, Footer};
use super::reader::Names;
use super::section::ColumnsPlace;
use super::{Damage, FileId, Holding, Kind, RestError, Run, Unit};
use crate::vfs::Vfs;

/// Opens a unit and verifies it: [`Unit::verify`], also for one that cannot be opened.
pub fn verify(vfs: &Arc<dyn Vfs>, id: FileId, kind: Kind) -> Vec<Damage> {
    match Unit::open(vfs, id, kind) {
        Ok(unit) => unit.verify(),
        Err(error) => {
            let mut damages = Damages::default();
            damages.add(error);
            damages.found
        }
    }
}

impl Unit {
    /// Reads all that there is and tells what is not as it was written. A unit of which any bit has
    /// changed is never found sound; behind a damaged directory nothing more is looked at.
    pub fn verify(&self) -> Vec<Damage> {
        let mut damages = Damages::default();
        let part = self.index_part();
        if let Err(error) = layout::check_header(part, self.id(), self.kind()) {
            damages.add(error);
        }
        match Footer::read(part, self.id(), self.kind()) {
            Ok(footer) if footer == self.footer => {}
            Ok(_) => damages.push(part.damage(0, "the footer has changed")),
            Err(error) => damages.add(error),
        }
        match self.directory() {
            Ok(runs) => self.verify_runs(&runs, &mut damages),
            Err(error) => damages.add(error),
        }
        self.verify_lengths(&mut damages);
        damages.found
    }

    /// Every byte must belong to the run or section that is expected next.
    fn verify_runs(&self, runs: &[Holding], damages: &mut Damages) {
        let mut data = layout::data_start(self.kind());
        let mut section = self.footer.index_start(self.kind());
        for info in runs {
            match self.index(info.section) {
                Ok(index) => {
                    let before = match index.columns {
                        ColumnsPlace::Inline(_) => index.section.0,
                        ColumnsPlace::At(position) => position,
                    };
                    if before != section {
                        damages.push(self.index_part().damage(before, "not where it should be"));
                    }
                    if index.data().start != data {
                        damages.push(self.data.damage(index.data().start, "a run is misplaced"));
                    }
                    if !index.agrees_with(info) {
                        let reason = "the directory says otherwise";
                        damages.push(self.section_damage(&index, reason));
                    }
                    self.run(&index).verify(info, damages);
                }
                Err(error) => damages.add(error),
            }
            data = data.saturating_add(info.bytes);
            section = info.section.0.saturating_add(info.section.1.into());
        }
        if data != self.footer.data_end {
            damages.push(self.data.damage(data, "bytes of no run"));
        }
        if section != self.footer.directory {
            damages.push(self.index_part().damage(section, "bytes of no section"));
        }
    }

    fn verify_lengths(&self, damages: &mut Damages) {
        let end = self.footer.directory + self.footer.directory_length + FOOTER_BYTES as u64;
        match self.index_part().length() {
            Ok(length) if length == end => {}
            Ok(length) => damages.push(self.index_part().damage(length.min(end), "length")),
            Err(error) => damages.add(error),
        }
        let Kind::Hot { .. } = self.kind() else { return };
        let end = self.footer.data_end;
        match self.data.length() {
            Ok(length) if length == end => {}
            Ok(length) => damages.push(self.data.damage(length.min(end), "length")),
            Err(error) => damages.add(error),
        }
    }
}

impl Run<'_> {
    fn verify(&self, info: &Holding, damages: &mut Damages) {
        let mut oldest = i64::MAX;
        let mut sound = true;
        for at in 0..self.index.blocks.len() {
            let read = self.columns(at..at + 1).and_then(|columns| {
                let data = self.data(at..at + 1)?;
                self.batches(at, (&columns, &data), &mut Names::new())
            });
            match read {
                Ok(batches) => {
                    oldest = batches.iter().map(|one| one.appended_ms).fold(oldest, i64::min);
                }
                Err(error) => {
                    sound = false;
                    damages.add(error);
                }
            }
        }
        let named = (0..self.index.subject_count()).all(|id| self.index.subject(id).is_some());
        if !named || (sound && oldest != info.oldest_appended_ms) {
            let reason = "names or times are not as they should be";
            damages.push(self.unit.section_damage(self.index, reason));
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
struct Damages {
    found: Vec<Damage>,
}

impl Damages {
    fn push(&mut self, damage: Damage) {
        self.found.push(damage);
    }

    /// What the disk cannot read is damaged too.
    fn add(&mut self, error: RestError) {
        let reason = error.to_string();
        self.found.push(match error {
            RestError::Damaged(damage) => damage,
            RestError::Io { file, source } => {
                Damage { file, position: 0, reason: source.to_string().into() }
            }
            RestError::TooNew { file, .. } => Damage { file, position: 0, reason: reason.into() },
        });
    }
}
