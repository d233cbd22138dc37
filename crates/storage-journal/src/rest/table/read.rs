//! Reading a state table: whole, from a key on, one key, or only to check it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::rest::FileId;
use crate::rest::table::Entry;
use crate::rest::table::layout::{
    BadTable, Block, BlockRef, FENCE_BYTES_MAX, FOOTER_BYTES, Footer, HEADER_BYTES, ReadError,
    fence, name, read_header, read_index,
};
use crate::vfs::{self, Vfs, VfsFile};

/// The most that is read ahead of who reads in order.
const READ_AHEAD_BYTES: usize = 1 << 20;

/// An open state table: its index stands in memory, its entries on disk.
#[derive(Clone, Debug)]
pub struct Table {
    file: Arc<dyn VfsFile>,
    id: FileId,
    seed: u32,
    bytes: u64,
    entries: u64,
    index: Arc<[BlockRef]>,
}

impl Table {
    /// Opens a table and checks its header, footer and index, but not its entries.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the file is missing, damaged, or of a newer version.
    pub fn open(vfs: &dyn Vfs, id: FileId) -> Result<Self, ReadError> {
        let file = vfs.open(&name(id)).map_err(|source| ReadError::Io { id, source })?;
        Self::load(file, id)
    }

    fn load(file: Arc<dyn VfsFile>, id: FileId) -> Result<Self, ReadError> {
        let damaged = |position, reason| ReadError::Damaged { id, position, reason };
        let bytes = file.length().map_err(|source| ReadError::Io { id, source })?;
        let footer_at = bytes
            .checked_sub(FOOTER_BYTES as u64)
            .filter(|at| *at >= HEADER_BYTES as u64)
            .ok_or(damaged(0, BadTable::Short))?;
        let read = |position, length| read_exactly(file.as_ref(), id, position, length);
        let seed = read_header(&read(0, HEADER_BYTES)?, id)?;
        let footer = Footer::decode(&read(footer_at, FOOTER_BYTES)?, (id, seed), bytes)
            .ok_or(damaged(footer_at, BadTable::Footer))?;
        let bad_index = || damaged(footer.index_position, BadTable::Index);
        let index_length = usize::try_from(footer.index_length).map_err(|_| bad_index())?;
        let index = Bytes::from(read(footer.index_position, index_length)?);
        if crc32c::crc32c_append(seed, &index) != footer.index_crc {
            return Err(bad_index());
        }
        let index = read_index(&index, &footer).ok_or_else(bad_index)?.into();
        Ok(Self { file, id, seed, bytes, entries: footer.entries, index })
    }

    /// The id in its name.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// Length of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many entries it holds, tombstones included.
    pub fn len(&self) -> u64 {
        self.entries
    }

    /// True when it holds no entries.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// All entries in order, read in large pieces; keys and values are views into their block.
    pub fn entries(&self) -> Entries<'_> {
        Entries::new(self, 0, READ_AHEAD_BYTES)
    }

    /// The entries from the first key at or after `from` on.
    ///
    /// Reads one block at first and more with each further read, so that a short range is cheap.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the blocks that decide where to start cannot be read.
    pub fn range(&self, from: &[u8]) -> Result<Entries<'_>, ReadError> {
        let start = self.block_of(from)?.unwrap_or_default();
        let mut entries = Entries::new(self, start, 0);
        entries.from = Some(Bytes::copy_from_slice(from));
        Ok(entries)
    }

    /// What the table says of a key: nothing, that it was deleted (`Some(None)`), or its value.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the block of the key cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Option<Bytes>>, ReadError> {
        let Some(told) = self.block_of(key)?.and_then(|index| self.index.get(index)) else {
            return Ok(None);
        };
        let mut block = self.read_block(told)?;
        while let Some((found, value)) = block.next().map_err(|reason| self.bad(told, reason))? {
            if found >= key {
                return Ok((found == key).then_some(value));
            }
        }
        Ok(None)
    }

    /// Reads the whole file and tells everything that is wrong with it.
    ///
    /// Every flipped bit, missing byte and added byte is found.
    pub fn verify(&self) -> Vec<ReadError> {
        match Self::load(self.file.clone(), self.id) {
            Err(error) => return vec![error],
            Ok(now) if now.seed != self.seed || now.index != self.index => {
                let reason = BadTable::Index;
                return vec![ReadError::Damaged { id: self.id, position: 0, reason }];
            }
            Ok(_) => {}
        }
        let mut found = Vec::new();
        let mut entries = 0;
        let mut last: Option<Bytes> = None;
        for told in self.index.iter() {
            match self.verify_block(told, &mut last) {
                Ok(count) => entries += count,
                Err(error) => {
                    found.push(error);
                    last = None;
                }
            }
        }
        if found.is_empty() && entries != self.entries {
            let position = self.bytes - FOOTER_BYTES as u64;
            found.push(ReadError::Damaged { id: self.id, position, reason: BadTable::Count });
        }
        found
    }

    fn verify_block(&self, told: &BlockRef, last: &mut Option<Bytes>) -> Result<u64, ReadError> {
        let mut block = self.read_block(told)?;
        let mut entries = 0;
        while let Some((key, _)) = block.next().map_err(|reason| self.bad(told, reason))? {
            // The key before a damaged block is not known, so neither is the fence after it.
            let known = last.is_some() || told.position == HEADER_BYTES as u64;
            let fits = entries > 0 || !known || fence(last.as_deref(), &key) == told.fence;
            if last.as_ref().is_some_and(|last| *last >= key) || !fits {
                return Err(self.bad(told, BadTable::Order));
            }
            *last = Some(key);
            entries += 1;
        }
        Ok(entries)
    }

    fn bad(&self, told: &BlockRef, reason: BadTable) -> ReadError {
        ReadError::Damaged { id: self.id, position: told.position, reason }
    }

    fn read_block(&self, told: &BlockRef) -> Result<Block, ReadError> {
        let file = self.file.as_ref();
        let bytes = read_exactly(file, self.id, told.position, told.length as usize)?;
        Block::new(bytes.into(), told, self.seed).map_err(|reason| self.bad(told, reason))
    }

    fn first_key(&self, index: usize) -> Result<Option<Bytes>, ReadError> {
        let Some(told) = self.index.get(index) else { return Ok(None) };
        let first = self.read_block(told)?.next().map_err(|reason| self.bad(told, reason))?;
        Ok(first.map(|(key, _)| key))
    }

    /// The only block that can hold `key`: the last one that starts at or before it.
    fn block_of(&self, key: &[u8]) -> Result<Option<usize>, ReadError> {
        let mut end = self.index.partition_point(|block| block.fence <= key);
        let Some(last) = end.checked_sub(1).and_then(|last| self.index.get(last)) else {
            return Ok(None);
        };
        if last.fence.len() < FENCE_BYTES_MAX || !key.starts_with(&last.fence) {
            return Ok(Some(end - 1));
        }
        // These blocks may start after the key: their fences were cut, perhaps to the same bytes.
        let mut start = self.index.partition_point(|block| block.fence < last.fence);
        while start < end {
            let middle = start + (end - start) / 2;
            if self.first_key(middle)?.is_some_and(|first| first <= key) {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        Ok(start.checked_sub(1))
    }
}

/// Checks a table without opening it first; see [`Table::verify`].
pub fn verify(vfs: &dyn Vfs, id: FileId) -> Vec<ReadError> {
    Table::open(vfs, id).map_or_else(|error| vec![error], |table| table.verify())
}

/// Reads bytes that the file is known to have.
fn read_exactly(
    file: &dyn VfsFile,
    id: FileId,
    position: u64,
    length: usize,
) -> Result<Vec<u8>, ReadError> {
    let mut bytes = vec![0; length];
    read_into(file, id, position, &mut bytes)?;
    Ok(bytes)
}

fn read_into(
    file: &dyn VfsFile,
    id: FileId,
    position: u64,
    bytes: &mut [u8],
) -> Result<(), ReadError> {
    match vfs::read_full(file, bytes, position) {
        Ok(read) if read == bytes.len() => Ok(()),
        Ok(_) => {
            let source = io::ErrorKind::UnexpectedEof.into();
            Err(ReadError::Io { id, source })
        }
        Err(source) => Err(ReadError::Io { id, source }),
    }
}

/// Entries of a table in order; ends after the first error.
#[derive(Debug)]
pub struct Entries<'a> {
    table: &'a Table,
    /// The block that comes after the current one.
    next_block: usize,
    block: Option<Block>,
    /// What was read ahead, and where it starts in the file.
    buffer: Vec<u8>,
    buffer_at: u64,
    /// How much to read next time; grows to [`READ_AHEAD_BYTES`].
    ahead: usize,
    /// Keys below are passed over.
    from: Option<Bytes>,
}

impl<'a> Entries<'a> {
    fn new(table: &'a Table, next_block: usize, ahead: usize) -> Self {
        let (block, from) = (None, None);
        Self { table, next_block, block, buffer: Vec::new(), buffer_at: 0, ahead, from }
    }

    fn step(&mut self) -> Result<Option<Entry>, ReadError> {
        loop {
            let Some(block) = &mut self.block else {
                let Some(told) = self.table.index.get(self.next_block) else { return Ok(None) };
                self.block = Some(self.load(told)?);
                self.next_block += 1;
                continue;
            };
            match block.next() {
                Ok(Some((key, _))) if self.from.as_ref().is_some_and(|from| key < *from) => {}
                Ok(Some(entry)) => {
                    self.from = None;
                    return Ok(Some(entry));
                }
                Ok(None) => self.block = None,
                Err(reason) => {
                    let told = self.table.index.get(self.next_block.saturating_sub(1));
                    let position = told.map_or(0, |told| told.position);
                    return Err(ReadError::Damaged { id: self.table.id, position, reason });
                }
            }
        }
    }

    /// The block, from what was read ahead or from a new read that starts with it.
    fn load(&mut self, told: &BlockRef) -> Result<Block, ReadError> {
        if told.length as usize > READ_AHEAD_BYTES {
            return self.table.read_block(told);
        }
        if self.ahead_of(told).is_none() {
            let mut length = told.length as usize;
            for next in self.table.index.iter().skip(self.next_block + 1) {
                if length + next.length as usize > self.ahead {
                    break;
                }
                length += next.length as usize;
            }
            self.ahead = (self.ahead.max(16 << 10) * 4).min(READ_AHEAD_BYTES);
            self.buffer.resize(length, 0);
            self.buffer_at = told.position;
            let table = self.table;
            read_into(table.file.as_ref(), table.id, told.position, &mut self.buffer)?;
        }
        let bytes = Bytes::copy_from_slice(self.ahead_of(told).unwrap_or_default());
        let table = self.table;
        Block::new(bytes, told, table.seed).map_err(|reason| table.bad(told, reason))
    }

    fn ahead_of(&self, told: &BlockRef) -> Option<&[u8]> {
        let start = usize::try_from(told.position.checked_sub(self.buffer_at)?).ok()?;
        self.buffer.get(start..start.checked_add(told.length as usize)?)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.block = None;
            self.next_block = self.table.index.len();
        }
        step.transpose()
    }
}
