//! Files and directories that only their owner can read, because rows contain users' words.
//!
//! Modes are set at each creation instead of by the umask. A library must not change the umask of
//! its program, and a program may run with umask 0.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::path::Path;

/// Returns options that create a file with mode 0600.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates a directory and its missing parents with mode 0700. An existing directory keeps its
/// mode.
pub(crate) fn create_dir_all(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// Removes the permissions of others from a file or directory that an earlier version may have
/// created.
///
/// The function uses the path and never an open file: closing a file would release the locks that
/// SQLite holds on it in this process.
pub(crate) fn restrict(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let Ok(metadata) = fs::metadata(path) else { return };
        let mode = metadata.permissions().mode();
        let is_ours = metadata.is_file() || metadata.is_dir();
        if is_ours
            && mode & 0o077 != 0
            && let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700))
        {
            tracing::warn!(path = %path.display(), %error, "others can read a file with users' words");
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// Restricts a directory and the files in it.
pub(crate) fn restrict_directory(directory: &Path) {
    restrict(directory);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        // Links are skipped, because they may lead to foreign files.
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            restrict(&entry.path());
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn new_files_and_directories_are_the_owners_alone() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b");
        create_dir_all(&directory).unwrap();
        let file = directory.join("file");
        options().write(true).create(true).truncate(false).open(&file).unwrap();
        assert_eq!((mode(&directory), mode(directory.parent().unwrap()), mode(&file)), (0o700, 0o700, 0o600));
    }

    #[test]
    fn files_of_an_earlier_version_are_restricted_and_targets_of_links_are_not() {
        let root = tempfile::tempdir().unwrap();
        let (directory, foreign) = (root.path().join("slot"), root.path().join("foreign"));
        fs::create_dir(&directory).unwrap();
        fs::write(&foreign, "").unwrap();
        let file = directory.join("segment");
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&foreign, directory.join("link")).unwrap();
        for (path, bits) in [(&directory, 0o755), (&file, 0o644), (&foreign, 0o644)] {
            fs::set_permissions(path, fs::Permissions::from_mode(bits)).unwrap();
        }
        restrict_directory(&directory);
        assert_eq!((mode(&directory), mode(&file), mode(&foreign)), (0o700, 0o600, 0o644));
        restrict(&root.path().join("missing"));
    }
}
