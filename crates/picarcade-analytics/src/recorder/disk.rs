//! The files of a recorder, and a place for blocking work.

use std::sync::Arc;

use super::config::Config;
use super::dead_letter::DeadLetters;
use crate::Error;
use crate::spool::Spool;

#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(super) spool: Option<Arc<Spool>>,
    pub(super) dead_letters: Option<Arc<DeadLetters>>,
}

impl Disk {
    pub(crate) const fn has_spool(&self) -> bool {
        self.spool.is_some()
    }

    pub(crate) fn open(config: &Config) -> Result<Self, Error> {
        let Some(root) = &config.spool_dir else { return Ok(Self::default()) };
        let spool = Spool::open(root, config.spool_max_bytes, config.spool_segment_bytes)?;
        let dead_letters = DeadLetters::new(spool.directory(), config.dead_letter_max_bytes);
        Ok(Self { spool: Some(Arc::new(spool)), dead_letters: Some(Arc::new(dead_letters)) })
    }
}

/// Runs file work on a thread that may block. Returns `None` if the runtime is ending.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
