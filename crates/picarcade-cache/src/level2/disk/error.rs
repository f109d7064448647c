//! Errors of opening the disk level, and the faults that it recovers from by itself.

use std::{
    io::{self, ErrorKind},
    path::PathBuf,
};

/// Why a [`DiskRemote`](crate::DiskRemote) cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// Another process, or another `DiskRemote` of this process, uses the directory.
    #[error("the cache directory {} is in use by another process", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory or a file in it cannot be created, read or written.
    #[error("the cache directory {} cannot be used: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// A fault of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The disk is full.
    Full,
    /// The operating system reported another error.
    Io(ErrorKind),
    /// The file does not contain what this store has written.
    Damaged,
}

impl Fault {
    /// Returns the fault as a bounded word.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Full => "disk_full",
            Self::Io(_) => "disk_error",
            Self::Damaged => "damaged",
        }
    }
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Io(error) => match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full,
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Self::Damaged,
                kind => Self::Io(kind),
            },
            redb::Error::PreviousIo | redb::Error::DatabaseAlreadyOpen => Self::Io(ErrorKind::Other),
            _ => Self::Damaged,
        }
    }
}
