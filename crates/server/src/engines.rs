//! The storage engines: one line for each.

use std::sync::Arc;

use storage::memory::Memory;

use crate::config::{Config, Engine};

/// Why the engine does not open: one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub(crate) String);

/// Opens the engine that the configuration names.
///
/// # Errors
///
/// [`Unusable`].
pub fn open(config: &Config) -> Result<Arc<dyn storage::Engine>, Unusable> {
    match config.storage.engine {
        Engine::Memory => Ok(Arc::new(Memory::new())),
        Engine::Journal => {
            Err(Unusable("this build has no journal; set storage.engine = \"memory\"".to_owned()))
        }
    }
}
