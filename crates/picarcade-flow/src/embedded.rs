//! The set that needs no other server: cache and limits in this process, SQLite in a directory, the local classifier.

use std::path::Path;
use std::sync::Arc;

use picarcade_analytics::{Config, Recorder, SqliteStore};
use thiserror::Error;

use crate::builder::FlowBuilder;
use crate::error::BuildError;
use crate::service::FlowService;

/// Why the embedded set could not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// The directory cannot hold the database.
    #[error("the database in {} cannot be opened", .directory.display())]
    Database {
        /// The directory that was given.
        directory: std::path::PathBuf,
        /// What the database says.
        #[source]
        source: picarcade_analytics::Error,
    },
    /// The parts do not fit together.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl FlowService {
    /// A service that keeps its events in `directory` and everything else in this process.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::Database`] when the directory cannot be written.
    pub async fn embedded(directory: impl AsRef<Path>) -> Result<Self, EmbeddedError> {
        Ok(Self::embedded_builder(directory).await?.build()?)
    }

    /// The same set before it is built, to add an AI provider or to change the policy.
    ///
    /// # Errors
    ///
    /// As [`FlowService::embedded`].
    pub async fn embedded_builder(directory: impl AsRef<Path>) -> Result<FlowBuilder, EmbeddedError> {
        let directory = directory.as_ref();
        let store = SqliteStore::open(directory)
            .await
            .map_err(|source| EmbeddedError::Database { directory: directory.to_owned(), source })?;
        let store = Arc::new(store);
        let config = Config { spool_dir: Some(directory.join("spool")), ..Config::default() };
        let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn picarcade_analytics::Store>, config);
        Ok(Self::builder(recorder, Arc::clone(&store) as _).generation_log(store))
    }
}
