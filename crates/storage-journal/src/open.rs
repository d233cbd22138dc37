//! Opening a data folder: what rests first, then the log on top of it.
//!
//! ```text
//!  manifest -> state tables -> state as of one group -> replay of the segments -> state
//! ```

use std::io;
use std::sync::Arc;

use storage::memory::state::State;

use crate::checkpoint::Checkpoint;
pub use crate::checkpoint::LoadError;
use crate::lane::{Lane, Options};
use crate::maintenance::{self, Maintenance, Rested};
use crate::manifest::{self, Manifest};
use crate::random::Random;
use crate::rest::table;
use crate::units::Units;
use crate::vfs::{self, Lock, Vfs};
use crate::view::View;
use crate::{drain, recovery};

/// The name of the file whose lock says that a server uses the folder.
pub const LOCK_FILE: &str = "lock";

/// Why a journal was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the data folder is in use by another server")]
    InUse,
    /// The folder takes no files.
    #[error("the data folder cannot be written: {0}")]
    NotWritable(#[source] io::Error),
    /// What is in the log cannot be believed, or cannot be read.
    #[error("{}", describe(.0))]
    Recovery(#[source] recovery::OpenError),
    /// What is in the manifest cannot be believed, or cannot be read.
    #[error("{}", describe_manifest(.0))]
    Manifest(#[source] manifest::OpenError),
    /// The state cannot be believed, or cannot be read.
    #[error("{}", describe_state(.0))]
    State(#[source] LoadError),
    /// A file that the manifest names is not there.
    #[error("the data folder is damaged: {0} is missing")]
    Missing(String),
    /// No thread could be started.
    #[error("the journal's thread cannot be started: {0}")]
    Thread(#[source] io::Error),
}

fn describe(error: &recovery::OpenError) -> String {
    match error {
        recovery::OpenError::Io { source, .. } => format!("{error}: {source}"),
        recovery::OpenError::Corrupt { .. }
        | recovery::OpenError::Header { .. }
        | recovery::OpenError::Replay { .. } => error.to_string(),
    }
}

fn describe_manifest(error: &manifest::OpenError) -> String {
    use std::error::Error;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn describe_state(error: &LoadError) -> String {
    match error {
        LoadError::Table(table::ReadError::Io { source, .. }) => format!("{error}: {source}"),
        LoadError::Table(table::ReadError::Damaged { .. } | table::ReadError::TooNew { .. })
        | LoadError::Row(_) => format!("the state is damaged: {error}"),
    }
}

impl OpenError {
    /// What was durable is not as it was written; a later start will not find it better.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Recovery(error) => match error {
                recovery::OpenError::Corrupt { .. }
                | recovery::OpenError::Header { .. }
                | recovery::OpenError::Replay { .. } => true,
                recovery::OpenError::Io { .. } => false,
            },
            Self::Manifest(error) => match error {
                manifest::OpenError::Io { .. } => false,
                manifest::OpenError::CurrentMissing { .. }
                | manifest::OpenError::ManifestMissing { .. }
                | manifest::OpenError::CurrentOld { .. }
                | manifest::OpenError::Damaged { .. }
                | manifest::OpenError::TooNew { .. } => true,
            },
            Self::State(error) => match error {
                LoadError::Table(table::ReadError::Io { .. }) => false,
                LoadError::Table(
                    table::ReadError::Damaged { .. } | table::ReadError::TooNew { .. },
                )
                | LoadError::Row(_) => true,
            },
            Self::Missing(_) => true,
            Self::InUse | Self::NotWritable(_) | Self::Thread(_) => false,
        }
    }
}

/// An open data folder.
pub(crate) struct Opened {
    pub(crate) lane: Lane,
    pub(crate) view: Arc<View>,
    pub(crate) maintenance: Maintenance,
    pub(crate) lock: Box<dyn Lock>,
}

pub(crate) fn open(vfs: Arc<dyn Vfs>, options: &Options) -> Result<Opened, OpenError> {
    let lock = vfs.lock(LOCK_FILE).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            OpenError::InUse
        } else {
            OpenError::NotWritable(error)
        }
    })?;
    let opening = Manifest::begin(vfs.clone()).map_err(OpenError::Manifest)?;
    let content = opening.as_ref().map(|opening| opening.content().clone());
    let mut state = State::new();
    let mut checkpoint = Checkpoint::default();
    let units = Units::new(vfs.clone(), options.index_bytes);
    if let Some(content) = &content {
        let missing = maintenance::missing(vfs.as_ref(), content);
        if let Some(name) = missing.map_err(OpenError::NotWritable)? {
            return Err(OpenError::Missing(name));
        }
        checkpoint =
            Checkpoint::load(vfs.as_ref(), &content.state, &mut state).map_err(OpenError::State)?;
        state.loaded(content.lsn);
        for (id, unit) in &content.units {
            units.add(*id, drain::kind_of(unit));
        }
    }
    let known = content.as_ref().map_or((0, 0), |content| (content.wal_oldest, content.lsn));
    let (lane, view) = Lane::open(vfs.clone(), options, (state, units), known).map_err(refused)?;
    // The folder is synced now: older manifests and what no manifest names can go.
    let manifest = opening.map(manifest::Opening::finish).transpose();
    let manifest = manifest.map_err(OpenError::Manifest)?;
    maintenance::remove_orphans(vfs.as_ref(), content.as_ref());
    let mut uuids = Random::new(options.seed ^ 1 << 77);
    let folder = content.as_ref().map_or_else(|| uuids.uuid(), |content| content.folder);
    let rested = Rested { manifest, checkpoint };
    let lane_side = (lane.segments(), lane.pool(), lane.signals());
    let policy = options.maintenance();
    let maintenance = Maintenance::new(vfs, view.clone(), lane_side, policy, (rested, folder));
    Ok(Opened { lane, view, maintenance, lock })
}

fn refused(error: recovery::OpenError) -> OpenError {
    match error {
        recovery::OpenError::Io { source, .. } if vfs::is_forbidden(&source) => {
            OpenError::NotWritable(source)
        }
        recovery::OpenError::Io { .. }
        | recovery::OpenError::Corrupt { .. }
        | recovery::OpenError::Header { .. }
        | recovery::OpenError::Replay { .. } => OpenError::Recovery(error),
    }
}
