//! Appends rows to a spool.

use std::io::Write;

use super::frame;
use super::segment::{self, Segment};
use super::spool::{Log, Spool, Tail};
use crate::Error;
use crate::record::Record;
use crate::worth::Worth;

#[derive(Debug)]
pub(crate) struct Appended {
    /// The positions in the batch of the rows that were not stored.
    pub(crate) refused: Vec<usize>,
    /// The reason, if it was not the limit alone.
    pub(crate) error: Option<Error>,
    /// The bytes in the spool after the call.
    pub(crate) used: u64,
}

impl Spool {
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
            // The rows are with the operating system: only a loss of power can still lose them.
            if let Err(source) = full.file.sync_data() {
                let error = Error::directory(&self.directory, source);
                tracing::warn!(%error, "a full spool segment could not be synchronized");
            }
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

    /// Syncs the appended bytes to the disk.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        match &self.log.lock().tail {
            Some(tail) => tail.file.sync_data().map_err(|source| Error::directory(&self.directory, source)),
            None => Ok(()),
        }
    }
}
