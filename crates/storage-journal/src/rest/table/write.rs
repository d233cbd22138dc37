//! Writing a state table: one pass, one sync.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::frame::put;
use crate::rest::FileId;
use crate::rest::table::layout::{
    BLOCK_BYTES, BLOCK_HEADER_BYTES, BlockRef, ENTRY_HEADER_BYTES, Footer, KEY_BYTES_MAX,
    VALUE_BYTES_MAX, block_crc, fence, header, name,
};
use crate::vfs::{self, Vfs, VfsFile};

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// What a table came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Length of the file.
    pub bytes: u64,
    /// Entries in it, tombstones included.
    pub entries: u64,
}

/// Writes a new state table of entries whose keys ascend strictly.
///
/// Memory: 1 MiB, one block, and the index, which is below a hundredth of the file.
///
/// # Durability
///
/// The file is synced when this returns; its name is not until the caller syncs the folder.
///
/// # Errors
///
/// What the disk says, and `InvalidInput` when keys do not ascend or an entry is too long. The
/// unfinished file is then removed, if the disk lets it.
pub fn write<K: AsRef<[u8]>>(
    vfs: &dyn Vfs,
    id: FileId,
    entries: impl Iterator<Item = (K, Option<Bytes>)>,
) -> io::Result<Written> {
    write_results(vfs, id, entries.map(Ok))
}

/// [`write`], from a source that may fail.
pub(super) fn write_results<K: AsRef<[u8]>>(
    vfs: &dyn Vfs,
    id: FileId,
    entries: impl Iterator<Item = io::Result<(K, Option<Bytes>)>>,
) -> io::Result<Written> {
    let name = name(id);
    let file = vfs.create(&name)?;
    let written = Writer::new(file, id).and_then(|writer| writer.take_all(entries));
    if written.is_err()
        && let Err(error) = vfs.remove(&name)
    {
        tracing::warn!(%name, %error, "an unfinished state table stays until the next start");
    }
    written
}

struct Writer {
    file: Arc<dyn VfsFile>,
    id: FileId,
    seed: u32,
    /// Bytes that are not written yet, at most [`BUFFER_BYTES`].
    buffer: Vec<u8>,
    /// Where the buffer belongs.
    flushed: u64,
    /// The block that grows, empty before its first entry.
    block: Vec<u8>,
    block_entries: u32,
    /// The fence of that block.
    fence: Bytes,
    index: Vec<u8>,
    blocks: u32,
    entries: u64,
    last_key: Vec<u8>,
}

impl Writer {
    fn new(file: Arc<dyn VfsFile>, id: FileId) -> io::Result<Self> {
        let (header, seed) = header(id);
        let mut writer = Self {
            file,
            id,
            seed,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            flushed: 0,
            block: Vec::with_capacity(BLOCK_BYTES),
            block_entries: 0,
            fence: Bytes::new(),
            index: Vec::new(),
            blocks: 0,
            entries: 0,
            last_key: Vec::new(),
        };
        writer.emit(&header)?;
        Ok(writer)
    }

    fn take_all<K: AsRef<[u8]>>(
        mut self,
        entries: impl Iterator<Item = io::Result<(K, Option<Bytes>)>>,
    ) -> io::Result<Written> {
        for entry in entries {
            let (key, value) = entry?;
            self.push(key.as_ref(), value.as_ref())?;
        }
        self.finish()
    }

    fn push(&mut self, key: &[u8], value: Option<&Bytes>) -> io::Result<()> {
        let ascends = self.entries == 0 || self.last_key.as_slice() < key;
        let value_length = value.map_or(0, Bytes::len);
        if !ascends || key.len() > KEY_BYTES_MAX || value_length > VALUE_BYTES_MAX {
            let told = if ascends { "entry too long" } else { "keys do not ascend" };
            return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
        }
        let length = ENTRY_HEADER_BYTES + key.len() + value_length;
        if self.block_entries > 0 && self.block.len() + length > BLOCK_BYTES {
            self.close_block(&[])?;
        }
        if self.block_entries == 0 {
            let last = (self.entries > 0).then_some(self.last_key.as_slice());
            self.fence = Bytes::copy_from_slice(fence(last, key));
            self.block.resize(BLOCK_HEADER_BYTES, 0);
        }
        let value_wire = value.map_or(0, |value| value.len() as u32 + 1);
        self.block.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.block.extend_from_slice(&value_wire.to_le_bytes());
        self.block.extend_from_slice(key);
        self.block_entries += 1;
        self.entries += 1;
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        let value = value.map_or(&[][..], |value| value);
        if BLOCK_HEADER_BYTES + length > BLOCK_BYTES {
            // Alone in its block: the value goes out from where it stands.
            return self.close_block(value);
        }
        self.block.extend_from_slice(value);
        Ok(())
    }

    /// Ends the block with `rest` after what it holds.
    fn close_block(&mut self, rest: &[u8]) -> io::Result<()> {
        let length = (self.block.len() + rest.len()) as u32;
        put(&mut self.block, 0, &length.to_le_bytes());
        put(&mut self.block, 8, &self.block_entries.to_le_bytes());
        let crc = crc32c::crc32c_append(block_crc(self.seed, &self.block), rest);
        put(&mut self.block, 4, &crc.to_le_bytes());
        let position = self.flushed + self.buffer.len() as u64;
        let fence = std::mem::take(&mut self.fence);
        BlockRef { position, length, crc, fence }.encode(&mut self.index);
        let mut block = std::mem::take(&mut self.block);
        self.emit(&block)?;
        self.emit(rest)?;
        block.clear();
        self.block = block;
        self.block_entries = 0;
        self.blocks += 1;
        Ok(())
    }

    fn finish(mut self) -> io::Result<Written> {
        if self.block_entries > 0 {
            self.close_block(&[])?;
        }
        let index = std::mem::take(&mut self.index);
        let footer = Footer {
            index_position: self.flushed + self.buffer.len() as u64,
            index_length: index.len() as u64,
            index_crc: crc32c::crc32c_append(self.seed, &index),
            blocks: self.blocks,
            entries: self.entries,
        };
        self.emit(&index)?;
        self.emit(&footer.encode(self.id, self.seed))?;
        self.flush()?;
        self.file.fdatasync()?;
        Ok(Written { bytes: self.flushed, entries: self.entries })
    }

    fn emit(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() > BUFFER_BYTES {
            vfs::write_all(self.file.as_ref(), bytes, self.flushed)?;
            self.flushed += bytes.len() as u64;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        vfs::write_all(self.file.as_ref(), &self.buffer, self.flushed)?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
