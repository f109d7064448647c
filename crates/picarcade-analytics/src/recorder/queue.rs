//! The bounded buffer between the request path and the writer. Pure: no clock, no lock.
//!
//! Rows and bytes are bounded together, and rows in flight still count, so memory stays bounded
//! while a slow database holds a batch. Rows are ordered by sequence number. An undelivered batch
//! returns to its place, so the front is always the oldest row, and one comparison answers
//! "everything accepted before now has left".
//!
//! Rows are stored in runs, blocks of memory for a few dozen rows. An offer copies its row to the
//! end of the last run. One allocation per row would cost as much as the rest of the offer, and
//! more when another thread frees it; one list of all rows would be copied as it grows. The lock is
//! held only to take runs; [`Slots`] are converted to a [`Batch`] outside of it.

use std::collections::VecDeque;

use uuid::Uuid;

use crate::Event;
use crate::record::Record;
use crate::worth::Worth;

/// The capacity of a run in rows.
const RUN: usize = 64;

#[derive(Debug)]
pub(crate) struct Queue {
    runs: VecDeque<Run>,
    /// Waiting.
    rows: usize,
    bytes: usize,
    taken: Vec<Taken>,
    /// Waiting, or in flight.
    held_rows: usize,
    held_bytes: usize,
    next: u64,
    max_rows: usize,
    max_bytes: usize,
}

/// Consecutive rows. Runs do not overlap and are ordered.
#[derive(Debug)]
struct Run {
    /// The sequence number of the first row, or a smaller one if rows were removed from a batch.
    first: u64,
    /// Above the sequence number of the last row.
    end: u64,
    bytes: usize,
    records: Vec<Record>,
}

/// The account of a batch in flight.
#[derive(Debug, Clone, Copy)]
struct Taken {
    first: u64,
    rows: usize,
    bytes: usize,
}

/// Rows taken from the queue. [`open`](Self::open) them, and return the batch with
/// [`Queue::settle`] or [`Queue::put_back`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Slots {
    runs: Vec<Run>,
    rows: usize,
}

/// Rows in flight.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Record>,
    /// The sequence number that identifies the batch in the queue.
    taken: u64,
    /// The sequence number of the first remaining row.
    first: u64,
    end: u64,
}

impl Slots {
    pub(crate) fn open(self) -> Batch {
        let first = self.runs.first().map_or(0, |run| run.first);
        let end = self.runs.last().map_or(0, |run| run.end);
        let mut runs = self.runs.into_iter();
        let mut records = runs.next().map(|run| run.records).unwrap_or_default();
        records.reserve_exact(self.rows.saturating_sub(records.len()));
        for mut run in runs {
            records.append(&mut run.records);
        }
        Batch { records, taken: first, first, end }
    }
}

impl Batch {
    /// Keeps the rows from `start` on, because the previous ones were delivered.
    pub(crate) fn forget_before(&mut self, start: usize) {
        let forgotten = start.min(self.records.len());
        self.records.drain(..forgotten);
        self.first += forgotten as u64;
    }

    /// Keeps the rows for which `keep` returns true. Its argument is the position of the row in the
    /// batch.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut at = 0;
        self.records.retain(|_| (keep(at), at += 1).0);
    }
}

impl Run {
    /// Removes the first rows, at most `rows` of them and `bytes`. Returns `None` if not even one
    /// fits.
    fn split(&mut self, rows: usize, bytes: usize) -> Option<Self> {
        let (mut count, mut size) = (0, 0);
        for row in self.records.iter().take(rows) {
            let row = row.bytes();
            if row > bytes.saturating_sub(size) {
                break;
            }
            size += row;
            count += 1;
        }
        if count == 0 {
            return None;
        }
        let records: Vec<Record> = self.records.drain(..count).collect();
        let first = self.first;
        self.first += count as u64;
        self.bytes -= size;
        Some(Self { first, end: self.first, bytes: size, records })
    }
}

impl Queue {
    pub(crate) const fn new(max_rows: usize, max_bytes: usize) -> Self {
        Self {
            runs: VecDeque::new(),
            rows: 0,
            bytes: 0,
            taken: Vec::new(),
            held_rows: 0,
            held_bytes: 0,
            next: 0,
            max_rows,
            max_bytes,
        }
    }

    /// Accepts a row of `bytes` bytes, or returns it if there is no room for a row of its priority.
    /// The row is written directly to its place.
    #[allow(clippy::result_large_err, reason = "the event is handed back as it came, and rarely")]
    pub(crate) fn offer(&mut self, id: Uuid, event: Event, bytes: usize) -> Result<(), Event> {
        let worth = Worth::of(&event);
        let room = (self.held_rows as u64) < worth.share(self.max_rows as u64)
            && (self.held_bytes + bytes) as u64 <= worth.share(self.max_bytes as u64);
        if !room {
            return Err(event);
        }
        let sequence = self.next;
        self.next += 1;
        self.rows += 1;
        self.bytes += bytes;
        self.held_rows += 1;
        self.held_bytes += bytes;
        match self.runs.back_mut() {
            Some(run) if run.end == sequence && run.records.len() < run.records.capacity() => {
                run.records.push(Record { id, event });
                run.bytes += bytes;
                run.end = self.next;
            }
            _ => {
                let mut records = Vec::with_capacity(RUN);
                records.push(Record { id, event });
                self.runs.push_back(Run { first: sequence, end: self.next, bytes, records });
            }
        }
        Ok(())
    }

    /// Returns the oldest rows: at most `max_rows` and, except for a single larger row,
    /// `max_bytes`. Rows that are separated by rows in flight are not taken together.
    pub(crate) fn take(&mut self, max_rows: usize, max_bytes: usize) -> Option<Slots> {
        let first = self.runs.front()?.first;
        let (mut rows, mut bytes) = (0, 0);
        let mut runs: Vec<Run> = Vec::new();
        while let Some(run) = self.runs.front_mut()
            && runs.last().is_none_or(|last| last.end == run.first)
        {
            let (rows_left, bytes_left) = (max_rows.saturating_sub(rows), max_bytes.saturating_sub(bytes));
            let fits = run.records.len() <= rows_left && run.bytes <= bytes_left;
            // A single row is taken whatever its size.
            let taken = if fits || (rows == 0 && run.records.len() == 1) {
                self.runs.pop_front()
            } else if rows == 0 {
                run.split(rows_left, bytes_left).or_else(|| run.split(1, usize::MAX))
            } else {
                run.split(rows_left, bytes_left)
            };
            let Some(taken) = taken else { break };
            rows += taken.records.len();
            bytes += taken.bytes;
            runs.push(taken);
        }
        self.rows -= rows;
        self.bytes -= bytes;
        self.taken.push(Taken { first, rows, bytes });
        Some(Slots { runs, rows })
    }

    /// Releases a batch that was stored elsewhere.
    pub(crate) fn settle(&mut self, batch: &Batch) {
        let Some(at) = self.taken.iter().position(|taken| taken.first == batch.taken) else { return };
        let taken = self.taken.swap_remove(at);
        self.held_rows -= taken.rows;
        self.held_bytes -= taken.bytes;
    }

    /// Returns the remaining rows of a batch to their place.
    pub(crate) fn put_back(&mut self, batch: Batch) {
        self.settle(&batch);
        let Batch { records, first, end, .. } = batch;
        if records.is_empty() {
            return;
        }
        let bytes = records.iter().map(Record::bytes).sum();
        self.rows += records.len();
        self.bytes += bytes;
        self.held_rows += records.len();
        self.held_bytes += bytes;
        let at = self.runs.partition_point(|run| run.first < first);
        self.runs.insert(at, Run { first, end, bytes, records });
    }

    pub(crate) const fn len(&self) -> usize {
        self.rows
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the bytes of rows that wait or are in flight.
    pub(crate) const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Returns whether waiting rows fill at least half of either bound.
    pub(crate) const fn is_pressed(&self) -> bool {
        self.rows >= self.max_rows.div_ceil(2) || self.bytes >= self.max_bytes.div_ceil(2)
    }

    /// Returns the next sequence number: every accepted row is below it.
    pub(crate) const fn watermark(&self) -> u64 {
        self.next
    }

    /// Returns whether no row below `watermark` is waiting.
    pub(crate) fn is_empty_below(&self, watermark: u64) -> bool {
        self.runs.front().is_none_or(|run| run.first >= watermark)
    }

    /// Returns whether every row below `watermark` has left for good. The answer is never too
    /// early. It may be late if rows were removed from a batch that returned.
    pub(crate) fn is_settled_below(&self, watermark: u64) -> bool {
        self.is_empty_below(watermark) && self.taken.iter().all(|taken| taken.first >= watermark)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::OutcomeEvent;

    fn record(size: usize) -> Record {
        numbered(0, size)
    }

    fn numbered(number: i64, size: usize) -> Record {
        Record::new(
            number,
            Event::Outcome(OutcomeEvent {
                generation_id: "x".repeat(size).into(),
                user_id: "".into(),
                success: true,
                actual_cost_micros: None,
                actual_time: None,
                error_message: None,
            }),
        )
    }

    fn offer(queue: &mut Queue, record: Record) -> bool {
        let bytes = record.bytes();
        queue.offer(record.id, record.event, bytes).is_ok()
    }

    fn hit() -> Record {
        Record::new(
            0,
            Event::Classification(crate::ClassificationEvent {
                user_id: "u".into(),
                prompt: "p".into(),
                prompt_is_whole: true,
                media_facts: None,
                classified_workflow: "NEW_IMAGE".into(),
                confidence: 1.0,
                processing_time_ms: 0.2,
                used_fallback: false,
                cache_hit: true,
                circuit_breaker_state: "closed".into(),
                rate_limited: false,
                source: "llm".into(),
                model: "m".into(),
                cost_micros: 0,
                saved_micros: 0,
                reason: "ai".into(),
                request_id: None,
            }),
        )
    }

    #[test]
    fn the_last_part_is_kept_for_money() {
        let mut queue = Queue::new(10, usize::MAX);
        let hits = (0..20).filter(|_| offer(&mut queue, hit())).count();
        let money = (0..20).filter(|_| offer(&mut queue, record(1))).count();
        assert_eq!((hits, money), (8, 2));
    }

    #[test]
    fn taken_rows_still_fill_the_queue() {
        let mut queue = Queue::new(2, usize::MAX);
        assert!(offer(&mut queue, record(1)));
        assert!(offer(&mut queue, record(1)));
        let batch = queue.take(2, usize::MAX).unwrap().open();
        assert!(!offer(&mut queue, record(1)));
        assert!(!queue.is_settled_below(2));
        queue.settle(&batch);
        assert!(queue.is_settled_below(2));
        assert!(offer(&mut queue, record(1)));
    }

    #[test]
    fn a_row_larger_than_a_batch_still_leaves() {
        let mut queue = Queue::new(10, 1 << 20);
        assert!(offer(&mut queue, record(5_000)));
        assert_eq!(queue.take(10, 100).unwrap().open().records.len(), 1);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Offer(usize),
        Take(usize, usize),
        Settle(usize),
        PutBack(usize, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..400_usize).prop_map(Step::Offer),
            2 => (1..8_usize, 1..4_000_usize).prop_map(|(rows, bytes)| Step::Take(rows, bytes)),
            1 => (0..4_usize).prop_map(Step::Settle),
            1 => (0..4_usize, 0..8_usize).prop_map(|(batch, kept)| Step::PutBack(batch, kept)),
        ]
    }

    fn numbers(batch: &Batch) -> Vec<i64> {
        batch.records.iter().map(Record::created_at).collect()
    }

    proptest! {
        /// Compares with a plain list of numbers; the number of a row is its time.
        #[test]
        fn bounded_ordered_and_accounted(steps in proptest::collection::vec(step(), 1..160)) {
            let (max_rows, max_bytes) = (12, 6_000);
            let mut queue = Queue::new(max_rows, max_bytes);
            let mut waiting: Vec<i64> = Vec::new();
            let mut batches: Vec<Batch> = Vec::new();
            let mut next = 0;
            for step in steps {
                match step {
                    Step::Offer(size) => if offer(&mut queue, numbered(next, size)) {
                        waiting.push(next);
                        next += 1;
                    },
                    Step::Take(rows, bytes) => if let Some(batch) = queue.take(rows, bytes).map(Slots::open) {
                        let taken = numbers(&batch);
                        let size: usize = batch.records.iter().map(Record::bytes).sum();
                        prop_assert!(!taken.is_empty() && taken.len() <= rows);
                        prop_assert!(taken.len() == 1 || size <= bytes);
                        prop_assert_eq!(&taken[..], &waiting[..taken.len()]);
                        waiting.drain(..taken.len());
                        batches.push(batch);
                    },
                    Step::Settle(which) => if which < batches.len() {
                        queue.settle(&batches.swap_remove(which));
                    },
                    Step::PutBack(which, kept) => if which < batches.len() {
                        let mut batch = batches.swap_remove(which);
                        batch.retain(|at| at % 2 == 0);
                        batch.forget_before(kept);
                        waiting.extend(numbers(&batch));
                        waiting.sort_unstable();
                        queue.put_back(batch);
                    },
                }
                let held = waiting.len() + batches.iter().map(|batch| batch.records.len()).sum::<usize>();
                prop_assert_eq!(queue.len(), waiting.len());
                prop_assert_eq!(queue.held_rows, held);
                prop_assert!(held <= max_rows);
                prop_assert!(queue.held_bytes() <= max_bytes);
                prop_assert!(queue.runs.iter().all(|run| !run.records.is_empty()));
                prop_assert_eq!(queue.watermark(), next as u64);
                // Never too early, and finally true.
                let oldest = waiting.iter().copied().chain(batches.iter().flat_map(numbers)).min();
                match oldest {
                    Some(oldest) => prop_assert!(!queue.is_settled_below(oldest as u64 + 1)),
                    None => prop_assert!(queue.is_settled_below(next as u64)),
                }
            }
        }
    }

    #[test]
    fn rows_that_return_are_next_whatever_came_since() {
        let mut queue = Queue::new(1_000, usize::MAX);
        for number in 0..150 {
            assert!(offer(&mut queue, numbered(number, 1)));
        }
        let first = queue.take(100, usize::MAX).unwrap().open();
        let second = queue.take(30, usize::MAX).unwrap().open();
        assert_eq!(numbers(&second), (100..130).collect::<Vec<_>>());
        queue.put_back(first);
        assert!(offer(&mut queue, numbered(150, 1)));
        // Rows in between are in flight, so the others are not taken as if they were adjacent.
        assert_eq!(numbers(&queue.take(500, usize::MAX).unwrap().open()), (0..100).collect::<Vec<_>>());
        queue.put_back(second);
        assert_eq!(numbers(&queue.take(500, usize::MAX).unwrap().open()), (100..151).collect::<Vec<_>>());
    }
}
