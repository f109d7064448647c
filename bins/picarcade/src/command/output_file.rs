//! Output files. They contain users' words, so only their owner may read them.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Result, Seek, SeekFrom};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Creates a file. Fails if it exists.
pub(super) fn create(path: &Path) -> Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Creates a file, or empties the one that is there. A regular file becomes readable for its owner
/// alone. A pipe, a device and a file of another owner keep their mode.
pub(super) fn replace(path: &Path) -> Result<File> {
    shorten(path, 0)
}

/// Opens a file after its first bytes, and drops what is there behind them. Otherwise it is like
/// [`replace`].
pub(super) fn shorten(path: &Path, length: u64) -> Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(length == 0).mode(0o600).open(path)?;
    if length > 0 {
        file.set_len(length)?;
        file.seek(SeekFrom::End(0))?;
    }
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        match file.set_permissions(Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    Ok(file)
}
