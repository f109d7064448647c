//! Rows on disk, waiting for the store: an append-only log in segments, with one reader.
//!
//! ```text
//! <spool_dir>/<slot>/lock                    held by the process that owns the slot
//!                    segment-<number>.spool  header, then frames: length, CRC-32, JSON
//!                    position                where reading continues
//!                    dead-letter.jsonl       rows that the store rejected
//! ```
//!
//! - **Crash**: a frame is complete or it is not. Bytes after the last complete frame of an old
//!   segment are cut off at start. Appending always begins a new segment. Bytes are passed to the
//!   operating system at once, which keeps them when the process is killed. They are synced to the
//!   disk when a segment is full and at shutdown.
//! - **Position**: saved before a segment is deleted. A crash in between repeats rows, which their
//!   ids make harmless, and loses none. If the position cannot be saved, deletion waits and reading
//!   continues. A missing or damaged position, a missing segment and foreign files are tolerated.
//! - **Two processes**: each locks its own slot. The next process to start adopts a slot without an
//!   owner.
//! - **Full**: the limit counts all segments. Its last part is reserved for rows about money.

mod frame;
mod position;
mod segment;
mod slot;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use self::frame::Frame;
use self::position::{Bookmark, Position};
use crate::Error;
use crate::record::Record;
use crate::worth::Worth;

/// A spool that this process owns.
#[derive(Debug)]
pub(crate) struct Spool {
    root: PathBuf,
    directory: PathBuf,
    max_bytes: u64,
    segment_bytes: u64,
    log: Mutex<Log>,
    _lock: File,
}

#[derive(Debug)]
struct Log {
    segments: BTreeMap<u64, Segment>,
    tail: Option<Tail>,
    next: u64,
    position: Position,
    bookmark: Bookmark,
    /// Whether the position is newer than the saved one.
    unsaved: bool,
    /// Segments of earlier processes that are not counted yet.
    inherited: Vec<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Segment {
    bytes: u64,
    /// Unread rows.
    rows: u64,
}

#[derive(Debug)]
struct Tail {
    number: u64,
    file: File,
}

/// The result of [`Spool::append`].
#[derive(Debug)]
pub(crate) struct Appended {
    /// The positions in the batch of the rows that were not stored.
    pub(crate) refused: Vec<usize>,
    /// The reason, if it was not the limit alone.
    pub(crate) error: Option<Error>,
    /// The bytes in the spool after the call.
    pub(crate) used: u64,
}

/// Rows that were read, and where reading continues after each.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) records: Vec<Record>,
    after: Vec<Position>,
    /// Rows that exist and cannot be read.
    pub(crate) lost: u64,
    /// Where reading continues if no records remain before it.
    end: Position,
}

impl Spool {
    /// Takes a slot under `root`. Fast: [`recover`](Self::recover) reads what earlier processes
    /// left.
    pub(crate) fn open(root: &Path, max_bytes: u64, segment_bytes: u64) -> Result<Self, Error> {
        let (directory, lock) = slot::take(root)?;
        let found = segment::list(&directory).map_err(|source| Error::directory(&directory, source))?;
        let next = found.last().map_or(0, |(number, _)| number + 1);
        let (bookmark, position) =
            Bookmark::open(&directory).map_err(|source| Error::directory(&directory, source))?;
        let inherited = found.iter().map(|(number, _)| *number).collect();
        let segments =
            found.into_iter().map(|(number, bytes)| (number, Segment { bytes, rows: 0 })).collect();
        let log = Mutex::new(Log {
            segments,
            tail: None,
            next: next.max(position.segment + 1),
            position,
            bookmark,
            unsaved: false,
            inherited,
        });
        Ok(Self { root: root.to_owned(), directory, max_bytes, segment_bytes, log, _lock: lock })
    }

    /// Returns the directory of this process.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Counts the rows of earlier processes, cuts off torn ends and adopts abandoned slots. Returns
    /// the rows and the used bytes.
    pub(crate) fn recover(&self) -> (u64, u64) {
        let mut log = self.log.lock();
        // Reading stops at the segment that is appended to, which must therefore be the last.
        log.tail = None;
        let mut numbers = std::mem::take(&mut log.inherited);
        let adopted = slot::adopt(&self.root, &self.directory, log.next).unwrap_or_else(|error| {
            // The next process finds what stays in place.
            tracing::warn!(%error, "an abandoned spool could not be adopted");
            Vec::new()
        });
        for (number, bytes) in adopted {
            log.segments.insert(number, Segment { bytes, rows: 0 });
            log.next = log.next.max(number + 1);
            numbers.push(number);
        }
        let position = log.position;
        let mut rows = 0;
        for number in numbers {
            let from = if number < position.segment { u64::MAX } else { position.offset_in(number) };
            match segment::survey(&self.directory, number, from) {
                Ok(found) => {
                    rows += found.rows;
                    log.segments.insert(number, found);
                }
                Err(error) => {
                    tracing::warn!(number, %error, "a spool segment cannot be read and is left alone");
                    log.segments.remove(&number);
                }
            }
        }
        (rows, log.used())
    }

    /// Appends the records for which there is room.
    pub(crate) fn append(&self, records: &[Record]) -> Appended {
        let mut log = self.log.lock();
        let mut refused = Vec::new();
        let mut error = None;
        let mut at = 0;
        // One segment at a time, so that no file grows far beyond its size.
        while at < records.len() && error.is_none() {
            let mut buffer = Vec::with_capacity(records.len().min(1_024) * 512);
            let mut places = Vec::new();
            let used = log.used();
            let room = self.segment_bytes.saturating_sub(log.tail_bytes()).max(1);
            while let Some(record) = records.get(at)
                && (buffer.len() as u64) < room
            {
                let before = buffer.len();
                let cap = Worth::of(&record.event).share(self.max_bytes);
                if frame::write(&mut buffer, record).is_err() || used + buffer.len() as u64 > cap {
                    buffer.truncate(before);
                    refused.push(at);
                } else {
                    places.push(at);
                }
                at += 1;
            }
            if !places.is_empty()
                && let Err(failed) = self.append_frames(&mut log, &buffer, places.len() as u64)
            {
                refused.extend(places);
                refused.extend(at..records.len());
                error = Some(failed);
            }
        }
        Appended { refused, error, used: log.used() }
    }

    fn append_frames(&self, log: &mut Log, frames: &[u8], rows: u64) -> Result<(), Error> {
        let number = self.tail(log)?;
        let (Some(tail), Some(segment)) = (&mut log.tail, log.segments.get_mut(&number)) else {
            return Err(Error::Corrupt { what: "spool" });
        };
        if let Err(source) = tail.file.write_all(frames) {
            // Part of a frame may have been written: truncate to the last complete one. If that
            // fails too, a new segment begins, and the torn end is handled like that of a crash.
            if tail.file.set_len(segment.bytes).is_err()
                || segment::seek_to(&mut tail.file, segment.bytes).is_err()
            {
                log.tail = None;
            }
            return Err(self.failure(source));
        }
        segment.bytes += frames.len() as u64;
        segment.rows += rows;
        if segment.bytes >= self.segment_bytes
            && let Some(full) = log.tail.take()
        {
            full.file.sync_data().map_err(|source| Error::directory(&self.directory, source)).or_else(
                |error| {
                    tracing::warn!(%error, "a full spool segment could not be synchronised");
                    Ok(())
                },
            )?;
        }
        Ok(())
    }

    /// Returns the segment to append to and begins one if necessary.
    fn tail(&self, log: &mut Log) -> Result<u64, Error> {
        if let Some(tail) = &log.tail {
            return Ok(tail.number);
        }
        let number = log.next;
        let (file, bytes) =
            segment::create(&self.directory, number).map_err(|source| self.failure(source))?;
        log.next += 1;
        log.segments.insert(number, Segment { bytes, rows: 0 });
        log.tail = Some(Tail { number, file });
        Ok(number)
    }

    fn failure(&self, source: std::io::Error) -> Error {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Error::SpoolFull,
            _ => Error::directory(&self.directory, source),
        }
    }

    /// Reads at most `rows` rows and about `bytes` bytes without moving the position; see
    /// [`advance`](Self::advance).
    pub(crate) fn read(&self, rows: usize, bytes: usize) -> Read {
        let mut log = self.log.lock();
        let mut read = Read { records: Vec::new(), after: Vec::new(), lost: 0, end: log.position };
        let mut taken = 0;
        while read.records.len() < rows && taken < bytes {
            let Some((&number, &segment)) = log.segments.range(read.end.segment..).next() else { break };
            let mut position = Position { segment: number, offset: read.end.offset_in(number) };
            let already = read.after.iter().filter(|after| after.segment == number).count() as u64;
            let mut unread = segment.rows.saturating_sub(already);
            let mut ended = unread == 0;
            let mut frames = segment::frames(&self.directory, number, position.offset);
            while !ended && read.records.len() < rows && taken < bytes {
                match frame::next(&mut frames) {
                    Frame::Record(record, length) => {
                        position.offset += length;
                        taken += length as usize;
                        unread -= 1;
                        ended = unread == 0;
                        read.records.push(*record);
                        read.after.push(position);
                    }
                    Frame::Damaged(length) => position.offset += length,
                    Frame::End => ended = true,
                }
            }
            read.end = position;
            if !ended {
                break;
            }
            if unread > 0 {
                // Counted rows are missing: the file is gone or was changed.
                read.lost += unread;
                if let Some(segment) = log.segments.get_mut(&number) {
                    segment.rows -= unread;
                }
            }
            if log.tail.as_ref().is_some_and(|tail| tail.number == number) {
                break;
            }
            read.end = Position { segment: number + 1, offset: 0 };
        }
        read
    }

    /// Moves the position after the first `delivered` rows, deletes finished segments, and returns
    /// the used bytes.
    pub(crate) fn advance(&self, read: &Read, delivered: usize) -> Result<u64, Error> {
        let mut log = self.log.lock();
        for after in read.after.iter().take(delivered) {
            if let Some(segment) = log.segments.get_mut(&after.segment) {
                segment.rows = segment.rows.saturating_sub(1);
            }
        }
        let position = if delivered >= read.records.len() {
            read.end
        } else {
            delivered.checked_sub(1).and_then(|last| read.after.get(last)).copied().unwrap_or(log.position)
        };
        let mut position = position;
        if log.segments.values().all(|segment| segment.rows == 0) {
            // An empty spool deletes even the segment that is appended to, so that a full disk gets
            // its space back.
            log.tail = None;
            position = Position { segment: log.next, offset: 0 };
        }
        // Delivered rows are not read again, whether or not the position can be saved.
        log.unsaved |= position != log.position;
        log.position = position;
        let done: Vec<u64> = log.segments.range(..position.segment).map(|(number, _)| *number).collect();
        if log.unsaved {
            log.bookmark.save(position, !done.is_empty()).map_err(|source| self.failure(source))?;
            log.unsaved = false;
        }
        for number in done {
            segment::remove(&self.directory, number)
                .map_err(|source| Error::directory(&self.directory, source))?;
            log.segments.remove(&number);
        }
        Ok(log.used())
    }

    /// Syncs the appended bytes to the disk.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        match &self.log.lock().tail {
            Some(tail) => tail.file.sync_data().map_err(|source| Error::directory(&self.directory, source)),
            None => Ok(()),
        }
    }
}

impl Log {
    fn used(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    fn tail_bytes(&self) -> u64 {
        self.tail.as_ref().and_then(|tail| self.segments.get(&tail.number)).map_or(0, |segment| segment.bytes)
    }
}
