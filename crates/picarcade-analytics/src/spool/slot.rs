//! Which process owns which part of a spool directory.
//!
//! A slot is a numbered directory with a lock file; the operating system drops the lock when the process ends, however it
//! ends. Each process takes the first free slot, so that a restarted one finds its own rows and a second one gets a
//! place of its own.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::segment;
use crate::{Error, private_file};

/// Processes that can share a spool directory.
const SLOTS: u32 = 16;

/// The lock file of a slot.
const LOCK: &str = "lock";

/// Takes the first free slot, creating the directories.
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

/// Moves the segments of slots that nobody owns into `directory`, numbered from `next` on; their numbers and sizes.
///
/// Where the former owner had read to is not taken over: rows delivered twice are recognised by their ids.
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
