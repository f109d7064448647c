//! Directories: one per run of a test process, and one below it per server.
//!
//! The watchdog removes the directory of the run. Dropping a server removes the directory of that
//! server. The directory of the run has mode 711, because PostgreSQL runs as another user than root
//! and must traverse it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tempfile::TempDir;

use super::account::Account;
use super::watchdog::Watchdog;
use crate::error::{Error, Result};

/// What belongs to this test process as a whole.
#[derive(Debug)]
pub(crate) struct Run {
    root: PathBuf,
    watchdog: Watchdog,
}

static RUN: LazyLock<io::Result<Run>> = LazyLock::new(|| {
    let root = tempfile::Builder::new().prefix("picarcade-testkit-").tempdir()?.keep();
    std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o711))?;
    let watchdog = Watchdog::start(&root);
    Ok(Run { root, watchdog })
});

impl Run {
    /// Returns the run of this process.
    pub(crate) fn current() -> Result<&'static Self> {
        RUN.as_ref().map_err(|error| Error::Io {
            what: "cannot make a temporary directory".to_owned(),
            source: error.kind().into(),
        })
    }

    /// Kills the servers that this process leaves behind.
    pub(crate) fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    /// Creates a directory for one server, removed on drop and owned by `account` if there is one.
    pub(crate) fn directory(&self, name: &str, account: Option<&Account>) -> Result<TempDir> {
        let directory = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(&self.root)
            .map_err(Error::io("cannot make a temporary directory"))?;
        give(directory.path(), account)?;
        Ok(directory)
    }
}

/// Makes `account` the owner of `path`.
pub(crate) fn give(path: &Path, account: Option<&Account>) -> Result<()> {
    if let Some(account) = account {
        std::os::unix::fs::chown(path, Some(account.uid()), Some(account.gid()))
            .map_err(Error::io(format!("cannot give {} away", path.display())))?;
    }
    Ok(())
}
