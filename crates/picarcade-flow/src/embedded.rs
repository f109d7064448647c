//! A service that needs no other server: cache and limits in this process, SQLite in a directory,
//! and the local classifier.

use std::path::Path;
use std::sync::Arc;

use picarcade_analytics::{Config, Recorder, SqliteStore};
use thiserror::Error;

use crate::builder::FlowBuilder;
use crate::error::BuildError;
use crate::service::FlowService;

/// Why the embedded service could not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// The database in the directory cannot be opened.
    #[error("the database in {} cannot be opened", .directory.display())]
    Database {
        /// The directory.
        directory: std::path::PathBuf,
        /// The error of the database.
        #[source]
        source: picarcade_analytics::Error,
    },
    /// The service cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl FlowService {
    /// Starts a service that keeps its events in `directory` and all other state in this process.
    ///
    /// # Errors
    ///
    /// Returns [`EmbeddedError::Database`] if the directory cannot be written.
    pub async fn embedded(directory: impl AsRef<Path>) -> Result<Self, EmbeddedError> {
        Ok(Self::embedded_builder(directory).await?.build()?)
    }

    /// Returns the builder of an embedded service, to add an AI provider or to change the policy.
    ///
    /// # Errors
    ///
    /// Returns [`EmbeddedError::Database`] if the directory cannot be written.
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
