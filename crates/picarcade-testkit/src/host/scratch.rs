//! Directories: one for the run of a test process, one below it for each server.
//!
//! The run's directory is removed by the watchdog, a server's when the server is dropped. The run's directory can be
//! passed through by everybody (mode 711), because PostgreSQL runs as another user than root.

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
    /// The one run of this process.
    pub(crate) fn current() -> Result<&'static Self> {
        RUN.as_ref().map_err(|error| Error::Io {
            what: "cannot make a temporary directory".to_owned(),
            source: error.kind().into(),
        })
    }

    /// Who kills what we leave behind.
    pub(crate) fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    /// A directory for one server, removed on drop, owned by `account` when there is one.
    pub(crate) fn directory(&self, name: &str, account: Option<&Account>) -> Result<TempDir> {
        let directory = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(&self.root)
            .map_err(Error::io("cannot make a temporary directory"))?;
        give(directory.path(), account)?;
        Ok(directory)
    }
}

/// Makes `path` the property of `account`.
pub(crate) fn give(path: &Path, account: Option<&Account>) -> Result<()> {
    if let Some(account) = account {
        std::os::unix::fs::chown(path, Some(account.uid()), Some(account.gid()))
            .map_err(Error::io(format!("cannot give {} away", path.display())))?;
    }
    Ok(())
}
