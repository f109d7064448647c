//! The errors of the crate, divided by what the caller does next.
//!
//! [`Recorder::record`](crate::Recorder::record) never returns an error. Errors come from opening a
//! store or a spool, from writing a batch, and from reading statistics or sessions. A writer needs
//! to know whether the same batch can succeed later ([`Error::is_transient`]) or never will
//! ([`Error::is_rejection`]).

use std::path::PathBuf;
use std::sync::Arc;

use crate::{Cause, SchemaState};

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings cannot work, for example an unusable URL or a batch size of zero. Correct them.
    #[error("unusable analytics setting: {0}")]
    Config(String),

    /// A directory or file cannot be created or written. Correct the path or its permissions.
    #[error("cannot write to {path}: {kind}", path = path.display(), kind = source.kind())]
    Directory {
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },

    /// Every spool slot under the directory is in use by another process.
    #[error("the spool at {path} is in use by other processes", path = path.display())]
    SpoolLocked {
        /// The spool directory.
        path: PathBuf,
    },

    /// The spool has reached its limit or the disk is full, and these bytes were not stored.
    #[error("the spool is full")]
    SpoolFull,

    /// The database refused the credentials, or the database or role does not exist. Correct the
    /// settings.
    #[error("the database refused the connection ({code})")]
    Refused {
        /// The SQLSTATE.
        code: String,
        /// The error of the driver.
        #[source]
        source: Source,
    },

    /// The database cannot be used now: it is gone, starting, shutting down, read-only, out of
    /// resources or deadlocked. The same call may succeed later.
    #[error("the database is unavailable")]
    Unavailable {
        /// The error of the driver.
        #[source]
        source: Source,
    },

    /// The database did not answer in time. The work may or may not have been done.
    #[error("the database did not answer in time")]
    Timeout,

    /// The database rejected a row because of its content. Repeating the batch is useless: remove
    /// the row.
    #[error("the database rejected a row ({code})")]
    Rejected {
        /// The SQLSTATE, the extended result code of SQLite, or `encode` if a value does not fit
        /// its column.
        code: String,
        /// The answer of the database, which may name the constraint and the column.
        #[source]
        source: Source,
    },

    /// Another session or process holds a lock that a migration needs and did not release it in
    /// time. Nothing was changed.
    #[error("gave up after {waited:?} because a lock is held by {held_by}")]
    Locked {
        /// The holder, as far as the database reports it.
        held_by: String,
        /// How long the migration waited.
        waited: std::time::Duration,
    },

    /// Rows wait in memory, because the last write failed and no spool takes them. The recorder
    /// keeps trying.
    #[error("rows wait in memory because the last write failed")]
    NotWritten {
        /// Why the write failed.
        #[source]
        source: Arc<Error>,
    },

    /// The schema is not the one of this build.
    #[error("the database schema does not fit: {0}")]
    Schema(SchemaState),

    /// A migration failed or was modified after it had been applied.
    #[error("the migration of the database failed")]
    Migration {
        /// The error of the migrator.
        #[source]
        source: Source,
    },

    /// Stored bytes cannot be decoded: a roll-up, the metadata of a session, a spool frame.
    #[error("stored {what} cannot be read")]
    Corrupt {
        /// The kind of the stored bytes.
        what: &'static str,
    },

    /// The database answered with a permanent error: a bug in this crate or a foreign schema.
    #[error("the database failed to run a statement")]
    Statement {
        /// The error of the driver.
        #[source]
        source: Source,
    },
}

impl Error {
    /// Returns whether the same call may succeed later without an intervention.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Timeout | Self::Locked { .. } => true,
            Self::NotWritten { source } => source.is_transient(),
            _ => false,
        }
    }

    /// Returns whether the content of a row of the batch is the cause.
    pub fn is_rejection(&self) -> bool {
        matches!(self, Self::Rejected { .. })
    }

    /// Returns a word for logs, metrics and health pages: from a bounded set, and free of user
    /// data.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Directory { .. } => "directory",
            Self::SpoolLocked { .. } => "spool_locked",
            Self::SpoolFull => "spool_full",
            Self::Refused { .. } => "refused",
            Self::Unavailable { .. } => "unavailable",
            Self::Timeout => "timeout",
            Self::Rejected { .. } => "rejected",
            Self::Schema(_) => "schema",
            Self::Migration { .. } => "migration",
            Self::Corrupt { .. } => "corrupt",
            Self::NotWritten { source } => source.kind(),
            Self::Locked { .. } => "locked",
            Self::Statement { .. } => "statement",
        }
    }

    /// Returns the cause, as far as the error has it. [`Store::explain`](crate::Store::explain)
    /// finds the cause of a failed connection.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Refused { code, .. } if code.starts_with("3D") => Cause::NoDatabase,
            Self::Refused { .. } => Cause::Auth,
            Self::Unavailable { source } | Self::Statement { source } | Self::Migration { source } => {
                of_source(source)
            }
            Self::Timeout => Cause::Timeout,
            Self::Locked { .. } => Cause::Locked,
            Self::Directory { .. } | Self::SpoolLocked { .. } => Cause::File,
            Self::SpoolFull => Cause::Disk,
            Self::Rejected { .. } => Cause::Rejected,
            Self::Schema(_) => Cause::Schema,
            Self::NotWritten { source } => source.cause(),
            Self::Config(_) | Self::Corrupt { .. } => Cause::Other,
        }
    }

    pub(crate) fn directory(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Directory { path: path.into(), source }
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn of_source(source: &Source) -> Cause {
    source.downcast_ref::<sqlx::Error>().map_or(Cause::Other, Cause::of_driver)
}

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
fn of_source(_source: &Source) -> Cause {
    Cause::Other
}
