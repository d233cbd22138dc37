//! Every byte that was proven to be durable.

use std::io;

use super::contents::table_damage;
use super::walk::{self, Known};
use super::{Contents, Damage, Folder, Part, Refused, manifest_damage};
use crate::drain;
use crate::manifest::{self, Content};
use crate::rest::FileId;
use crate::rest::table;
use crate::rest::unit::{self, Kind};

/// What a look at everything has told.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What is not as it was written; nothing when all is good.
    pub damages: Vec<Damage>,
    /// Segments of the chain.
    pub segments: u64,
    /// Valid groups in them.
    pub groups: u64,
    /// Every group up to this one was durable.
    pub durable_lsn: u64,
    /// The last group that a start would keep.
    pub last_lsn: u64,
    /// State tables.
    pub tables: u64,
    /// Resting files.
    pub units: u64,
    /// Bytes that were looked at.
    pub bytes: u64,
    /// Files that no start needs, which were not looked at.
    pub leftovers: Vec<String>,
}

impl Folder {
    /// Reads everything that a start would believe and tells what is not as it was written.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the folder cannot be listed; damage is no error.
    pub fn verify(&self) -> Result<Verdict, Refused> {
        let mut verdict = Verdict::default();
        let names = self.names()?;
        let read = manifest::read(self.vfs.as_ref());
        let known = Known::of(&read);
        let content = self.verify_manifest(read, &mut verdict);
        let walked = walk::walk(self.vfs.as_ref(), &names, known, &mut |_| Ok(()));
        verdict.segments = walked.segments.len() as u64;
        verdict.groups = walked.segments.iter().map(|segment| segment.groups).sum();
        verdict.bytes += walked.segments.iter().map(|segment| segment.end).sum::<u64>();
        verdict.durable_lsn = walked.durable_lsn;
        verdict.last_lsn = walked.last_lsn;
        verdict.damages.extend(walked.damages);
        if let Some(content) = &content {
            self.verify_tables(content, &mut verdict);
            self.verify_units(content, &mut verdict);
        }
        if verdict.damages.iter().all(|damage| damage.part != Part::Log) {
            self.verify_meaning(&mut verdict);
        }
        verdict.leftovers = super::inventory::leftovers(&names, content.as_ref());
        verdict.leftovers.extend(walked.leftovers);
        Ok(verdict)
    }

    fn verify_manifest(
        &self,
        read: Result<Option<Content>, manifest::OpenError>,
        verdict: &mut Verdict,
    ) -> Option<Content> {
        match read {
            Ok(content) => {
                match manifest::loose_ends(self.vfs.as_ref()) {
                    Ok(found) => {
                        verdict.damages.extend(found.into_iter().map(|(file, position, reason)| {
                            let reason = reason.to_owned();
                            Damage { file, position, reason, part: Part::Witness }
                        }))
                    }
                    Err(error) => verdict.damages.push(manifest_damage(&error)),
                }
                content
            }
            Err(error) => {
                verdict.damages.push(manifest_damage(&error));
                None
            }
        }
    }

    fn verify_tables(&self, content: &Content, verdict: &mut Verdict) {
        for file in &content.state {
            verdict.tables += 1;
            verdict.bytes += file.bytes;
            let found = table::verify(self.vfs.as_ref(), file.id);
            let good = found.is_empty();
            verdict.damages.extend(found.iter().map(table_damage));
            if good {
                self.verify_length(&[table::name(file.id)], (file.bytes, Part::State), verdict);
            }
        }
    }

    fn verify_units(&self, content: &Content, verdict: &mut Verdict) {
        for (id, file) in &content.units {
            verdict.units += 1;
            verdict.bytes += file.bytes;
            let kind = drain::kind_of(file);
            let found = self.verify_unit(*id, kind);
            let good = found.is_empty();
            verdict.damages.extend(found);
            if good {
                let names: Vec<_> = unit::names(*id, kind).collect();
                self.verify_length(&names, (file.bytes, Part::Unit), verdict);
            }
        }
    }

    fn verify_unit(&self, id: FileId, kind: Kind) -> Vec<Damage> {
        let missing = unit::names(id, kind).find(|name| {
            self.vfs.open(name).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        });
        if let Some(file) = missing {
            let reason = "the file is missing; the manifest names it".to_owned();
            return vec![Damage { file, position: 0, reason, part: Part::Unit }];
        }
        let found = unit::verify(&self.vfs, id, kind).into_iter();
        found
            .map(|unit::Damage { file, position, reason }| Damage {
                file,
                position,
                reason: reason.into_owned(),
                part: Part::Unit,
            })
            .collect()
    }

    /// The manifest knows how long a file is.
    fn verify_length(&self, names: &[String], (bytes, part): (u64, Part), verdict: &mut Verdict) {
        let lengths = names.iter().map(|name| self.vfs.open(name)?.length());
        let found = lengths.sum::<io::Result<u64>>().unwrap_or_default();
        if found != bytes {
            let file = names.first().cloned().unwrap_or_default();
            let reason = format!("{found} bytes, but the manifest says {bytes}");
            verdict.damages.push(Damage { file, position: found.min(bytes), reason, part });
        }
    }

    /// Whether what is as it was written also makes sense, and the files agree with each other.
    fn verify_meaning(&self, verdict: &mut Verdict) {
        if verdict.damages.iter().any(|damage| matches!(damage.part, Part::Manifest | Part::State))
        {
            return;
        }
        match self.contents() {
            Ok(contents) => {
                let told = contents.damages().iter();
                let new = told.filter(|damage| !verdict.damages.contains(damage));
                let new: Vec<_> = new.cloned().collect();
                verdict.damages.extend(new);
                if verdict.damages.iter().all(|damage| damage.part != Part::Unit) {
                    contents.verify_runs(&mut verdict.damages);
                }
            }
            Err(Refused::Damaged(damage)) => verdict.damages.push(damage),
            // Everything could be read a moment ago.
            Err(error @ (Refused::InUse | Refused::Foreign | Refused::Io { .. })) => {
                let (file, reason) = ("the folder".to_owned(), error.to_string());
                verdict.damages.push(Damage { file, position: 0, reason, part: Part::Log });
            }
        }
    }
}

impl Contents {
    /// What the state says of resting files must be what they say of themselves.
    fn verify_runs(&self, damages: &mut Vec<Damage>) {
        let state = self.view.state();
        for log in state.logs() {
            for run in state.runs(log) {
                let id = FileId(run.file);
                let unit = self.unit(id);
                let directory = unit.and_then(|unit| unit.directory().ok()).unwrap_or_default();
                let holding = directory.iter().find(|holding| holding.log == log);
                if holding.map(|holding| drain::run_of(id, holding)) != Some(run) {
                    let file = format!("file {id}");
                    let reason = format!(
                        "the state says that it holds {}..={} of log {}, and it does not",
                        run.base, run.last, log.0
                    );
                    damages.push(Damage { file, position: 0, reason, part: Part::State });
                }
            }
        }
    }
}
