//! A part of a spool directory that this process owns.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::position::{Bookmark, Position};
use super::segment::Segment;
use super::{segment, slot};
use crate::Error;

/// A spool that this process owns.
#[derive(Debug)]
pub(crate) struct Spool {
    pub(super) root: PathBuf,
    pub(super) directory: PathBuf,
    pub(super) max_bytes: u64,
    pub(super) segment_bytes: u64,
    pub(super) log: Mutex<Log>,
    _lock: File,
}

/// The segments, and where reading continues in them.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) segments: BTreeMap<u64, Segment>,
    pub(super) tail: Option<Tail>,
    pub(super) next: u64,
    pub(super) position: Position,
    pub(super) bookmark: Bookmark,
    /// Whether the position is newer than the saved one.
    pub(super) unsaved: bool,
    /// Segments of earlier processes that are not counted yet.
    pub(super) inherited: Vec<u64>,
}

#[derive(Debug)]
pub(super) struct Tail {
    pub(super) number: u64,
    pub(super) file: File,
}

impl Log {
    pub(super) fn used(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    pub(super) fn tail_bytes(&self) -> u64 {
        self.tail.as_ref().and_then(|tail| self.segments.get(&tail.number)).map_or(0, |segment| segment.bytes)
    }
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

    pub(super) fn failure(&self, source: std::io::Error) -> Error {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Error::SpoolFull,
            _ => Error::directory(&self.directory, source),
        }
    }
}
