//! What can go wrong, named for what the caller does next.
//!
//! [`Recorder::record`](crate::Recorder::record) never returns an error: these come from opening a store or a spool, from
//! writing a batch, and from reading statistics or sessions. The decisive question for a writer is whether the same
//! batch can succeed later ([`Error::is_transient`]) or never will ([`Error::is_rejection`]).

use std::path::PathBuf;
use std::sync::Arc;

use crate::SchemaState;

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings cannot work, whatever happens later: an unusable URL, a zero batch size. Correct them.
    #[error("unusable analytics setting: {0}")]
    Config(String),

    /// A directory or file cannot be created or written. Correct the path or its permissions.
    #[error("cannot write to {path}: {kind}", path = path.display(), kind = source.kind())]
    Directory {
        /// The path that was tried.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },

    /// Every spool slot under the directory is in use by another process.
    #[error("the spool at {path} is in use by other processes", path = path.display())]
    SpoolLocked {
        /// The spool directory.
        path: PathBuf,
    },

    /// The spool has reached its cap, or the disk is full: these bytes were not taken.
    #[error("the spool is full")]
    SpoolFull,

    /// The database refused the credentials, or the database or role does not exist. Correct the settings.
    #[error("the database refused the connection ({code})")]
    Refused {
        /// The SQLSTATE.
        code: String,
        /// What the driver said.
        #[source]
        source: Source,
    },

    /// The database cannot be used just now: gone, starting, shutting down, read-only, out of resources, deadlocked.
    /// The same call may succeed later.
    #[error("the database is unavailable")]
    Unavailable {
        /// What the driver said.
        #[source]
        source: Source,
    },

    /// The database did not answer in time. The work may or may not have been done.
    #[error("the database did not answer in time")]
    Timeout,

    /// The database rejected a row for what it contains. Repeating the batch is useless: the row must be taken out.
    #[error("the database rejected a row ({code})")]
    Rejected {
        /// SQLSTATE, SQLite's extended result code, or `encode` when a value does not fit its column.
        code: String,
        /// What the database said; it may name the constraint and the column.
        #[source]
        source: Source,
    },

    /// Another session or process holds a lock that a migration needs, and did not release it in
    /// time. Nothing was changed.
    #[error("gave up after {waited:?} because a lock is held by {held_by}")]
    Locked {
        /// The holder, as far as the database says.
        held_by: String,
        /// How long the lock was waited for.
        waited: std::time::Duration,
    },

    /// Rows wait in memory: there is no spool that takes them, and the last write failed. The
    /// recorder goes on trying.
    #[error("rows wait in memory because the last write failed")]
    NotWritten {
        /// Why the write failed.
        #[source]
        source: Arc<Error>,
    },

    /// The schema is not the one this build works with.
    #[error("the database schema does not fit: {0}")]
    Schema(SchemaState),

    /// A migration failed or was modified after it had been applied.
    #[error("the migration of the database failed")]
    Migration {
        /// What the migrator said.
        #[source]
        source: Source,
    },

    /// Stored bytes could not be understood: a roll-up, a session's metadata, a spool frame.
    #[error("stored {what} cannot be read")]
    Corrupt {
        /// What was being read.
        what: &'static str,
    },

    /// The database answered with an error that repeating will not mend: a bug here or a foreign schema there.
    #[error("the database failed to run a statement")]
    Statement {
        /// What the driver said.
        #[source]
        source: Source,
    },
}

impl Error {
    /// Whether the same call may succeed later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Timeout | Self::Locked { .. } => true,
            Self::NotWritten { source } => source.is_transient(),
            _ => false,
        }
    }

    /// Whether a row of the batch is to blame for what it contains.
    pub fn is_rejection(&self) -> bool {
        matches!(self, Self::Rejected { .. })
    }

    /// A word for logs, metrics and health pages: a bounded set, free of user data.
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

    pub(crate) fn directory(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Directory { path: path.into(), source }
    }
}
