//! The owners of the parts of a spool directory.
//!
//! A slot is a numbered directory with a lock file. The operating system releases the lock when the
//! process ends for any reason. Each process takes the first free slot. A restarted process
//! therefore finds its own rows, and a second process gets a slot of its own.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::segment;
use crate::{Error, private_file};

/// The number of processes that can share a spool directory.
const SLOTS: u32 = 16;

const LOCK: &str = "lock";

/// Takes the first free slot and creates its directory.
pub(super) fn take(root: &Path) -> Result<(PathBuf, File), Error> {
    for slot in 0..SLOTS {
        let directory = root.join(slot.to_string());
        // An earlier version created its files readable for everyone. Without a lock file the
        // directory is not known to be a slot.
        if directory.join(LOCK).exists() {
            private_file::restrict_directory(&directory);
        }
    }
    for slot in 0..SLOTS {
        let directory = root.join(slot.to_string());
        private_file::create_dir_all(&directory).map_err(|source| Error::directory(&directory, source))?;
        if let Some(lock) = try_lock(&directory)? {
            return Ok((directory, lock));
        }
    }
    Err(Error::SpoolLocked { path: root.to_owned() })
}

fn try_lock(directory: &Path) -> Result<Option<File>, Error> {
    let path = directory.join(LOCK);
    let file = private_file::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|source| Error::directory(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(Error::directory(&path, source)),
    }
}

/// Moves the segments of slots without an owner into `directory`, numbered from `next` on. Returns
/// their numbers and sizes.
///
/// The reading position of the former owner is not adopted: the ids of rows that are delivered
/// twice make them harmless.
pub(super) fn adopt(root: &Path, directory: &Path, mut next: u64) -> Result<Vec<(u64, u64)>, Error> {
    let mut adopted = Vec::new();
    for slot in 0..SLOTS {
        let other = root.join(slot.to_string());
        if other == directory || !other.is_dir() {
            continue;
        }
        let Some(_lock) = try_lock(&other)? else { continue };
        for (number, bytes) in segment::list(&other).map_err(|source| Error::directory(&other, source))? {
            fs::rename(segment::path(&other, number), segment::path(directory, next))
                .map_err(|source| Error::directory(&other, source))?;
            adopted.push((next, bytes));
            next += 1;
        }
        let _ = fs::remove_file(other.join("position"));
    }
    Ok(adopted)
}
