//! Writing a unit: batches go out as they come, the index is built beside and written at the end.
//!
//! Kept in memory: up to [`BUFFER_BYTES`] of batches, the columns of the present run, and the
//! finished index, which is a few bytes a record and every distinct subject of a run once.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use model::subject::Subject;
use storage::batch::{self, BatchHeader};
use storage::{Offset, Subjects};

use super::column::{self, Mark};
use super::layout::{self, Footer, seed};
use super::section::{Block, SectionDraft};
use super::{
    BATCH_BYTES_MAX, BLOCK_BYTES, Entry, FileId, Holding, Kind, beside_name, data_name, directory,
};
use crate::vfs::{self, Vfs, VfsFile};

/// Batches are handed to the disk when this much has come together.
const BUFFER_BYTES: usize = 1 << 20;
/// A batch of this length is handed to the disk as it is.
const LARGE_BYTES: usize = 128 << 10;

/// What was written is synced when this much has come together, so that no commit waits for more.
const SYNC_BYTES: u64 = 16 << 20;

/// A unit that is being written.
///
/// After an error it takes nothing more. Dropped unfinished it leaves files behind, which whoever
/// made it removes by their [`names`](crate::rest::unit::names).
#[derive(Debug)]
pub struct UnitWriter {
    id: FileId,
    kind: Kind,
    data: Arc<dyn VfsFile>,
    /// The file with the index, if it is another one.
    beside: Option<Arc<dyn VfsFile>>,
    buffer: Vec<u8>,
    /// How much of the data's file is written: where the buffer goes.
    written: u64,
    /// How much of that is synced.
    synced: u64,
    run: Option<OpenRun>,
    /// Columns and sections of the finished runs.
    index: Vec<u8>,
    /// The finished runs; their sections count from the start of the index part.
    runs: Vec<Holding>,
    failed: bool,
}

impl UnitWriter {
    /// Creates the files of a unit, which must not exist.
    ///
    /// # Errors
    ///
    /// What the disk says; one of two files may exist then.
    pub fn create(vfs: &Arc<dyn Vfs>, id: FileId, kind: Kind) -> io::Result<Self> {
        let data = vfs.create(&data_name(id, kind))?;
        let beside = beside_name(id, kind).map(|name| vfs.create(&name)).transpose()?;
        let buffer = match kind {
            Kind::Pack => layout::header(id, kind).to_vec(),
            Kind::Hot { .. } => Vec::new(),
        };
        Ok(Self {
            id,
            kind,
            data,
            beside,
            buffer,
            written: 0,
            synced: 0,
            run: None,
            index: Vec::new(),
            runs: Vec::new(),
            failed: false,
        })
    }

    /// Takes in the next batch: logs ascend, and offsets within a log.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a batch that is out of order, is not what its entry says, or does not
    /// belong into a unit of this kind; else what the disk says.
    pub fn push(&mut self, entry: Entry<'_>) -> io::Result<()> {
        self.guarded(|writer| writer.take(&entry))
    }

    /// Bytes of the data part so far.
    pub fn bytes(&self) -> u64 {
        self.end() - layout::data_start(self.kind)
    }

    /// Writes the index and makes the files durable, and tells what runs there are. The caller
    /// still has to sync the folder.
    ///
    /// # Errors
    ///
    /// What the disk says.
    ///
    /// # Durability
    ///
    /// The contents of the files last when this returns, their names only when the folder is synced.
    pub fn finish(mut self) -> io::Result<Vec<Holding>> {
        self.guarded(Self::write_rest)?;
        Ok(self.runs)
    }

    fn guarded<T>(&mut self, step: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        if self.failed {
            return Err(io::Error::other("an earlier step of writing this file has failed"));
        }
        let result = step(self);
        self.failed = result.is_err();
        result
    }

    /// Where the next batch goes in the data's file.
    fn end(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn take(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        check(entry)?;
        if self.run.as_ref().is_some_and(|run| run.info.log != entry.log) {
            self.end_run()?;
        }
        if self.run.is_none() {
            self.check_first(entry)?;
        }
        let position = self.end();
        let run = self.run.get_or_insert_with(|| OpenRun::new(entry, position));
        run.take(entry, self.id)?;
        let large = entry.bytes.len() >= LARGE_BYTES;
        if large || self.buffer.len() + entry.bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if large {
            vfs::write_all(self.data.as_ref(), entry.bytes, self.written)?;
            self.written += entry.bytes.len() as u64;
        } else {
            self.buffer.extend_from_slice(entry.bytes);
        }
        if self.written - self.synced >= SYNC_BYTES {
            self.data.fdatasync()?;
            self.synced = self.written;
        }
        Ok(())
    }

    /// Whether a run may begin with this batch.
    fn check_first(&self, entry: &Entry<'_>) -> io::Result<()> {
        if self.runs.last().is_some_and(|before| before.log >= entry.log) {
            return Err(invalid("logs must ascend"));
        }
        match self.kind {
            Kind::Pack => Ok(()),
            Kind::Hot { .. } if !self.runs.is_empty() => Err(invalid("a hot unit has one log")),
            Kind::Hot { base } if base != entry.base => Err(invalid("not the base of the unit")),
            Kind::Hot { .. } => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        vfs::write_all(self.data.as_ref(), &self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn end_run(&mut self) -> io::Result<()> {
        if let Some(run) = self.run.take() {
            self.runs.push(run.finish(&mut self.index, self.id)?);
        }
        Ok(())
    }

    fn write_rest(&mut self) -> io::Result<()> {
        self.end_run()?;
        self.flush()?;
        let data_end = self.written;
        let (file, position) = match &self.beside {
            None => (&self.data, data_end),
            Some(file) => {
                self.data.fdatasync()?;
                let header = layout::header(self.id, self.kind);
                vfs::write_all(file.as_ref(), &header, 0)?;
                (file, header.len() as u64)
            }
        };
        let directory = position + self.index.len() as u64;
        let mut bytes = Vec::new();
        for run in &mut self.runs {
            run.section.0 += position;
            directory::put_run(&mut bytes, run);
        }
        let footer = Footer {
            data_end,
            directory,
            directory_length: bytes.len() as u64,
            directory_crc: crc32c::crc32c_append(seed(self.id), &bytes),
            runs: self.runs.len() as u64,
        };
        footer.put(&mut bytes, self.id);
        vfs::write_all(file.as_ref(), &self.index, position)?;
        vfs::write_all(file.as_ref(), &bytes, directory)?;
        file.fdatasync()
    }
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

/// Whether the batch is what its entry says.
fn check(entry: &Entry<'_>) -> io::Result<()> {
    let header = BatchHeader::decode(entry.bytes);
    let header = header.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    if batch::length(entry.bytes) != Some(entry.bytes.len()) {
        return Err(invalid("not one whole batch"));
    }
    if entry.bytes.len() > BATCH_BYTES_MAX {
        return Err(invalid("the batch is too long"));
    }
    let last = header.base.checked_add(header.last_delta.into());
    if header.base != entry.base || last != Some(entry.last) {
        return Err(invalid("the batch has other offsets"));
    }
    match entry.subjects {
        Subjects::One(_) => Ok(()),
        Subjects::Each(each) if each.len() as u64 == u64::from(header.last_delta) + 1 => Ok(()),
        Subjects::Each(_) => Err(invalid("not one subject for every offset")),
    }
}

/// The run that is being written.
#[derive(Debug)]
struct OpenRun {
    info: Holding,
    /// Where it begins in the data's file.
    position: u64,
    blocks: Vec<BlockDraft>,
    /// The batches of the open block, the last of `blocks`.
    marks: Vec<Mark>,
    /// What the columns of the closed blocks say of batches.
    columns: Vec<u8>,
    /// What all columns say of subjects: so many records of that one.
    subjects: Vec<(u32, u32)>,
    dictionary: Dictionary,
}

/// A block and the parts of its column.
#[derive(Debug)]
struct BlockDraft {
    block: Block,
    marks: Range<usize>,
    subjects: Range<usize>,
}

impl OpenRun {
    fn new(entry: &Entry<'_>, position: u64) -> Self {
        let info = Holding {
            log: entry.log,
            base: entry.base,
            last: entry.base,
            records: 0,
            bytes: 0,
            max_timestamp_ms: i64::MIN,
            appended_ms: i64::MIN,
            oldest_appended_ms: i64::MAX,
            section: (0, 0),
            one_subject: None,
        };
        Self {
            info,
            position,
            blocks: Vec::new(),
            marks: Vec::new(),
            columns: Vec::new(),
            subjects: Vec::new(),
            dictionary: Dictionary::default(),
        }
    }

    fn take(&mut self, entry: &Entry<'_>, id: FileId) -> io::Result<()> {
        if self.info.records > 0 && entry.base <= self.info.last {
            return Err(invalid("offsets must ascend"));
        }
        let fits = self.blocks.last().is_some_and(|draft| {
            let length = usize::try_from(draft.block.length).unwrap_or(usize::MAX);
            length.saturating_add(entry.bytes.len()) <= BLOCK_BYTES
        });
        if !fits {
            self.close_block();
            self.open_block(entry.base, id);
        }
        let records = entry.last - entry.base + 1;
        self.add_subjects(entry.subjects, records)?;
        let end = self.subjects.len();
        let draft = self.blocks.last_mut().expect("one is open");
        draft.subjects.end = end;
        let block = &mut draft.block;
        block.last = entry.last;
        block.records += records;
        block.max_timestamp_ms = block.max_timestamp_ms.max(entry.max_timestamp_ms);
        block.appended_ms = block.appended_ms.max(entry.appended_ms);
        block.length += u32::try_from(entry.bytes.len()).expect("checked to be at most 16 MiB");
        block.crc = crc32c::crc32c_append(block.crc, entry.bytes);
        block.batches += 1;
        self.marks.push(Mark {
            base: entry.base,
            last: entry.last,
            max_timestamp_ms: entry.max_timestamp_ms,
            appended_ms: entry.appended_ms,
        });
        let info = &mut self.info;
        info.last = entry.last;
        info.records += records;
        info.bytes += entry.bytes.len() as u64;
        info.max_timestamp_ms = info.max_timestamp_ms.max(entry.max_timestamp_ms);
        info.appended_ms = info.appended_ms.max(entry.appended_ms);
        info.oldest_appended_ms = info.oldest_appended_ms.min(entry.appended_ms);
        Ok(())
    }

    fn open_block(&mut self, base: Offset, id: FileId) {
        let block = Block {
            base,
            max_timestamp_ms: i64::MIN,
            appended_ms: i64::MIN,
            crc: seed(id),
            ..Block::default()
        };
        let (marks, subjects) = (self.columns.len(), self.subjects.len());
        self.blocks.push(BlockDraft { block, marks: marks..marks, subjects: subjects..subjects });
    }

    fn close_block(&mut self) {
        if let Some(draft) = self.blocks.last_mut() {
            column::put_marks(&mut self.columns, &draft.block, &self.marks);
            draft.marks.end = self.columns.len();
        }
        self.marks.clear();
    }

    fn add_subjects(&mut self, subjects: &Subjects, records: u64) -> io::Result<()> {
        match subjects {
            Subjects::One(subject) => {
                let id = self.dictionary.number(subject)?;
                let records = u32::try_from(records).map_err(|_| invalid("too long a span"))?;
                self.add_run(records, id);
            }
            Subjects::Each(each) => {
                for run in each.chunk_by(|one, other| one == other) {
                    let Some(subject) = run.first() else { continue };
                    let id = self.dictionary.number(subject)?;
                    let records = u32::try_from(run.len());
                    self.add_run(records.map_err(|_| invalid("too many subjects"))?, id);
                }
            }
        }
        Ok(())
    }

    fn add_run(&mut self, records: u32, id: u32) {
        let start = self.blocks.last().map_or(0, |draft| draft.subjects.start);
        if let Some((sum, before)) = self.subjects.get_mut(start..).and_then(<[_]>::last_mut)
            && *before == id
            && let Some(longer) = sum.checked_add(records)
        {
            *sum = longer;
        } else {
            self.subjects.push((records, id));
        }
    }

    /// Appends columns and section to `index`.
    fn finish(mut self, index: &mut Vec<u8>, id: FileId) -> io::Result<Holding> {
        self.close_block();
        let (subjects, numbers) = self.dictionary.sorted();
        let mut columns = Vec::new();
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for draft in &self.blocks {
            let start = columns.len();
            columns.extend_from_slice(self.columns.get(draft.marks.clone()).unwrap_or_default());
            if subjects.len() > 1 {
                for (records, id) in self.subjects.get(draft.subjects.clone()).unwrap_or_default() {
                    let number = numbers.get(*id as usize).copied().expect("one for each");
                    column::put_subject(&mut columns, *records, number);
                }
            }
            let column = columns.get(start..).unwrap_or_default();
            let length = u32::try_from(column.len()).map_err(|_| invalid("too many subjects"))?;
            let column_crc = crc32c::crc32c_append(seed(id), column);
            blocks.push(Block { column_length: length, column_crc, ..draft.block });
        }
        let draft = SectionDraft {
            log: self.info.log,
            position: self.position,
            blocks: &blocks,
            subjects: &subjects,
            columns: &columns,
        };
        let length = draft.put(index, id).ok_or_else(|| invalid("the index is too long"))?;
        self.info.section = (index.len() as u64 - u64::from(length), length);
        self.info.one_subject = match subjects.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        };
        Ok(self.info)
    }
}

/// The distinct subjects of a run, numbered in the order of their first records.
#[derive(Debug, Default)]
struct Dictionary {
    numbers: HashMap<Subject, u32>,
    last: Option<(Subject, u32)>,
}

impl Dictionary {
    fn number(&mut self, subject: &Subject) -> io::Result<u32> {
        if let Some((last, number)) = &self.last
            && last == subject
        {
            return Ok(*number);
        }
        let number = match self.numbers.get(subject) {
            Some(number) => *number,
            None => {
                let next = u32::try_from(self.numbers.len());
                let next = next.map_err(|_| invalid("too many subjects"))?;
                // A copy, or it would keep alive the buffer that the batch came in.
                self.numbers.insert(subject.detached(), next);
                next
            }
        };
        self.last = Some((subject.clone(), number));
        Ok(number)
    }

    /// The subjects in order, and for each number its place among them.
    fn sorted(&mut self) -> (Vec<Subject>, Vec<u32>) {
        self.last = None;
        let mut all: Vec<_> = std::mem::take(&mut self.numbers).into_iter().collect();
        all.sort_unstable();
        let mut places = vec![0; all.len()];
        for ((_, number), place) in all.iter().zip(0..) {
            if let Some(slot) = places.get_mut(*number as usize) {
                *slot = place;
            }
        }
        (all.into_iter().map(|(subject, _)| subject).collect(), places)
    }
}
