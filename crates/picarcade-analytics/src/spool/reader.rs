//! Reads rows from a spool and deletes what was delivered.

use super::frame::{self, Frame};
use super::position::Position;
use super::segment;
use super::spool::Spool;
use crate::Error;
use crate::record::Record;

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
}
