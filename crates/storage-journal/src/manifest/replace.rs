//! Writing a manifest in full, and switching `CURRENT` to it.

use std::io;
use std::sync::Arc;

use crate::manifest::content::Content;
use crate::manifest::layout::{
    self, BLOCK_BYTES, CURRENT, CURRENT_NEW, Current, EDITS_AT, Header, Kind,
};
use crate::vfs::{self, Vfs, VfsFile};

/// How far a failure reaches.
#[derive(Debug)]
pub(super) enum Failed {
    /// What was valid before is valid still, on disk too.
    Write(io::Error),
    /// Nobody knows what will be valid after a start.
    Sync(io::Error),
}

impl From<Failed> for io::Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Write(error) | Failed::Sync(error) => error,
        }
    }
}

/// A manifest with nothing but its snapshot.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) file: Arc<dyn VfsFile>,
    pub(super) header: Header,
    /// Checksum of its snapshot.
    pub(super) previous: u32,
    /// Where the next edit belongs.
    pub(super) end: u64,
    /// Length of the file.
    pub(super) length: u64,
}

/// Writes a new manifest and makes it the valid one. After [`Failed::Write`] nothing of it is left.
pub(super) fn replace(vfs: &dyn Vfs, header: Header, content: &Content) -> Result<Fresh, Failed> {
    let done = write(vfs, header, content).and_then(|fresh| point_to(vfs, &header).map(|()| fresh));
    if let Err(Failed::Write(_)) = done {
        for name in [layout::name_new(header.number), layout::name(header.number)] {
            if let Err(error) = vfs::remove_if_there(vfs, &name) {
                tracing::warn!(%name, %error, "an unfinished manifest stays until the next start");
            }
        }
    }
    done
}

/// Writes a manifest, synced before it gets its name, and its name synced.
fn write(vfs: &dyn Vfs, header: Header, content: &Content) -> Result<Fresh, Failed> {
    let seed = header.seed();
    let mut bytes = header.encode();
    for _ in 0..2 {
        bytes.extend_from_slice(&layout::witness(seed, header.first - 1));
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
    }
    debug_assert_eq!(bytes.len(), EDITS_AT);
    let body = content.snapshot().encode();
    let (snapshot, previous) = layout::record(seed, (header.first, seed, Kind::Snapshot), &body);
    bytes.extend_from_slice(&snapshot);
    let end = bytes.len() as u64;
    let length = end + u64::from(header.log_bytes);

    let unfinished = layout::name_new(header.number);
    let file = write_unfinished(vfs, &unfinished, &bytes, length)?;
    vfs.rename(&unfinished, &layout::name(header.number)).map_err(Failed::Write)?;
    vfs.fsync_dir("").map_err(Failed::Sync)?;
    Ok(Fresh { file, header, previous, end, length })
}

/// Makes a manifest the valid one.
pub(super) fn point_to(vfs: &dyn Vfs, header: &Header) -> Result<(), Failed> {
    let current =
        Current { folder: header.folder, number: header.number, seed: header.seed() }.encode();
    write_unfinished(vfs, CURRENT_NEW, &current, current.len() as u64)?;
    vfs.rename(CURRENT_NEW, CURRENT).map_err(Failed::Sync)?;
    vfs.fsync_dir("").map_err(Failed::Sync)
}

/// Writes and syncs a file that nothing refers to yet.
fn write_unfinished(
    vfs: &dyn Vfs,
    name: &str,
    bytes: &[u8],
    length: u64,
) -> Result<Arc<dyn VfsFile>, Failed> {
    vfs::remove_if_there(vfs, name).map_err(Failed::Write)?;
    let file = vfs.create(name).map_err(Failed::Write)?;
    let written = file
        .allocate(length)
        .and_then(|()| vfs::write_all(file.as_ref(), bytes, 0))
        .map_err(Failed::Write)
        .and_then(|()| file.fdatasync().map_err(of_unfinished));
    if let Err(Failed::Write(_)) = written
        && let Err(error) = vfs.remove(name)
    {
        tracing::warn!(%name, %error, "an unfinished file stays until the next start");
    }
    written.map(|()| file)
}

/// A sync may be the first to find the disk full. The file is given up then, so nothing is lost.
fn of_unfinished(error: io::Error) -> Failed {
    if vfs::is_full(&error) { Failed::Write(error) } else { Failed::Sync(error) }
}
