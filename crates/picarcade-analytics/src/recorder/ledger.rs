//! The place of every row: `accepted = committed + queued + spooled + dead_lettered + dropped`, at
//! every moment.
//!
//! The lock of the queue also guards the counts, so they change together, and no reader sees a row
//! in two places or in none. If the sum is wrong for a reader, that is a bug and no race.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Cause, Table};

/// Why rows were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// The queue had no room for a row of its priority.
    QueueFull,
    /// The spool had no room for a row of its priority.
    SpoolFull,
    /// The recorder shut down before the row was recorded or stored, and there was no spool.
    Closed,
    /// The database rejected the row and there was no dead-letter file.
    Rejected,
    /// A spooled row could not be read, because its bytes on disk had changed.
    Corrupt,
}

impl DropReason {
    /// Returns the name in metrics and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::SpoolFull => "spool_full",
            Self::Closed => "closed",
            Self::Rejected => "rejected",
            Self::Corrupt => "corrupt",
        }
    }
}

/// Dropped rows by table and reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// The target table; `None` if the row could not be read.
    pub table: Option<Table>,
    /// The reason.
    pub reason: DropReason,
    /// The number of rows.
    pub rows: u64,
}

/// The places of all rows at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Rows offered to this recorder, and rows that it found in its spool at start.
    pub accepted: u64,
    /// The part of `accepted` that was found in the spool.
    pub recovered: u64,
    /// Rows that the store acknowledged.
    pub committed: u64,
    /// Rows in memory, waiting or in flight.
    pub queued: u64,
    /// Rows on disk, waiting for the store.
    pub spooled: u64,
    /// Rows that the store rejected, in the dead-letter file.
    pub dead_lettered: u64,
    /// Dropped rows.
    pub dropped: u64,
    /// `dropped` by table and reason.
    pub dropped_by: Vec<Dropped>,
    /// Bytes of `queued`.
    pub queued_bytes: u64,
    /// Bytes of the spool on disk.
    pub spooled_bytes: u64,
    /// Failed writes to the store that will be repeated.
    pub retries: u64,
    /// The kind of the last failure, while the store does not accept rows.
    pub last_error: Option<&'static str>,
    /// The cause of the last failure, while the store does not accept rows.
    pub cause: Option<Cause>,
}

impl Counters {
    /// Returns whether every accepted row is in exactly one place. Always true.
    pub const fn is_balanced(&self) -> bool {
        self.accepted == self.committed + self.queued + self.spooled + self.dead_lettered + self.dropped
    }
}

/// The places of rows that are not stored yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Queue,
    Spool,
}

/// The counts, and the transitions between them.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Without the dropped rows, which are counted by table and reason.
    pub(crate) counts: Counters,
    dropped: BTreeMap<(Option<Table>, DropReason), u64>,
}

impl Ledger {
    pub(crate) fn accept(&mut self) {
        self.counts.accepted += 1;
        self.counts.queued += 1;
    }

    /// Counts a row that was never queued.
    pub(crate) fn refuse(&mut self, table: Table, reason: DropReason) {
        self.counts.accepted += 1;
        *self.dropped.entry((Some(table), reason)).or_default() += 1;
    }

    /// Counts rows that were found on disk.
    pub(crate) fn recover(&mut self, rows: u64) {
        self.counts.accepted += rows;
        self.counts.recovered += rows;
        self.counts.spooled += rows;
    }

    pub(crate) fn commit(&mut self, from: Place, rows: u64) {
        self.leave(from, rows);
        self.counts.committed += rows;
    }

    pub(crate) fn spool(&mut self, rows: u64) {
        self.leave(Place::Queue, rows);
        self.counts.spooled += rows;
    }

    pub(crate) fn dead_letter(&mut self, from: Place, rows: u64) {
        self.leave(from, rows);
        self.counts.dead_lettered += rows;
    }

    pub(crate) fn drop_rows(&mut self, from: Place, table: Option<Table>, reason: DropReason, rows: u64) {
        if rows > 0 {
            self.leave(from, rows);
            *self.dropped.entry((table, reason)).or_default() += rows;
        }
    }

    const fn leave(&mut self, from: Place, rows: u64) {
        match from {
            Place::Queue => self.counts.queued -= rows,
            Place::Spool => self.counts.spooled -= rows,
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        let dropped_by = self.dropped.iter().map(|(&(table, reason), &rows)| Dropped { table, reason, rows });
        Counters {
            dropped: self.dropped.values().sum(),
            dropped_by: dropped_by.collect(),
            ..self.counts.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_move_keeps_the_balance() {
        let mut ledger = Ledger::default();
        let check = |ledger: &Ledger| assert!(ledger.counters().is_balanced(), "{:?}", ledger.counters());
        for _ in 0..10 {
            ledger.accept();
            check(&ledger);
        }
        ledger.refuse(Table::Cost, DropReason::QueueFull);
        check(&ledger);
        ledger.recover(5);
        check(&ledger);
        ledger.commit(Place::Queue, 4);
        check(&ledger);
        ledger.spool(5);
        check(&ledger);
        ledger.dead_letter(Place::Queue, 1);
        check(&ledger);
        ledger.commit(Place::Spool, 8);
        ledger.drop_rows(Place::Spool, None, DropReason::Corrupt, 1);
        ledger.dead_letter(Place::Spool, 1);
        check(&ledger);
        let counters = ledger.counters();
        assert_eq!(
            (counters.accepted, counters.committed, counters.queued, counters.spooled),
            (16, 12, 0, 0),
            "{counters:?}"
        );
        assert_eq!((counters.dead_lettered, counters.dropped, counters.recovered), (2, 2, 5));
        assert_eq!(
            counters.dropped_by,
            [
                Dropped { table: None, reason: DropReason::Corrupt, rows: 1 },
                Dropped { table: Some(Table::Cost), reason: DropReason::QueueFull, rows: 1 },
            ]
        );
    }
}
