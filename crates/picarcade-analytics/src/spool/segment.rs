//! The files of a spool, which contain frames.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::frame;
use crate::private_file;

/// The first bytes of a segment: the format and its version.
const MAGIC: &[u8; 8] = b"PICSPL01";
/// The offset of the first frame.
pub(super) const HEADER: u64 = MAGIC.len() as u64;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Segment {
    pub(super) bytes: u64,
    /// Unread rows.
    pub(super) rows: u64,
}

pub(super) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("segment-{number:016}.spool"))
}

/// Returns the number of a segment file; `None` for any other file.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".spool")?;
    (digits.len() == 16).then(|| digits.parse().ok()).flatten()
}

/// Returns the numbers and sizes of the segments in a directory, in order. Other files are ignored.
pub(super) fn list(directory: &Path) -> io::Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(number) = entry.file_name().to_str().and_then(number)
            && let Ok(metadata) = entry.metadata()
            && metadata.is_file()
        {
            found.push((number, metadata.len()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Creates a segment, which must not exist yet. Returns the file and its size.
pub(super) fn create(directory: &Path, number: u64) -> io::Result<(File, u64)> {
    let path = path(directory, number);
    let mut file = private_file::options().write(true).create_new(true).open(&path)?;
    if let Err(error) = file.write_all(MAGIC) {
        // The disk has no room even for the header: the useless file is removed.
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    Ok((file, HEADER))
}

pub(super) fn seek_to(file: &mut File, offset: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset)).map(drop)
}

/// Returns the frames of a segment from `offset` on; none if the file is missing.
pub(super) fn frames(directory: &Path, number: u64, offset: u64) -> Box<dyn Read> {
    let opened = File::open(path(directory, number)).and_then(|mut file| {
        seek_to(&mut file, offset)?;
        Ok(file)
    });
    match opened {
        Ok(file) => Box::new(BufReader::with_capacity(1 << 16, file)),
        Err(error) => {
            tracing::warn!(number, %error, "a spool segment cannot be opened");
            Box::new(io::empty())
        }
    }
}

/// Counts the complete rows from `from` on and cuts off the bytes after the last one.
pub(super) fn survey(directory: &Path, number: u64, from: u64) -> io::Result<Segment> {
    let path = path(directory, number);
    let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
    let length = file.metadata()?.len();
    if from >= length {
        return Ok(Segment { bytes: length, rows: 0 });
    }
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a spool segment"));
    }
    seek_to(&mut file, from)?;
    let mut reader = BufReader::with_capacity(1 << 16, &file);
    let (mut rows, mut at, mut sound) = (0, from, from);
    while let Some((is_sound, bytes)) = frame::skip(&mut reader) {
        at += bytes;
        if is_sound {
            rows += 1;
            sound = at;
        }
    }
    if sound < length {
        tracing::warn!(number, bytes = length - sound, "the torn end of a spool segment was cut off");
        file.set_len(sound)?;
    }
    Ok(Segment { bytes: sound, rows })
}

/// Deletes a segment, if it exists.
pub(super) fn remove(directory: &Path, number: u64) -> io::Result<()> {
    match fs::remove_file(path(directory, number)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
