//! The bounded buffer between the request path and the writer: pure, no clock, no lock.
//!
//! Rows and bytes are bounded together, and rows that were taken but not yet settled still count: memory stays bounded
//! while a slow database holds a batch. Rows are in the order of their sequence numbers; a batch that could not be
//! delivered is put back to its place, so that the front is always the oldest row and "everything accepted before now has
//! left" is one comparison.

use std::collections::VecDeque;

use crate::record::Record;
use crate::worth::Worth;

#[derive(Debug)]
pub(crate) struct Queue {
    rows: VecDeque<(u64, Record)>,
    bytes: usize,
    taken: Vec<Taken>,
    next: u64,
    max_rows: usize,
    max_bytes: usize,
}

/// The account of a batch that is on its way.
#[derive(Debug, Clone, Copy)]
struct Taken {
    first: u64,
    rows: usize,
    bytes: usize,
}

/// Rows taken from the queue. Give it back to [`Queue::settle`] or [`Queue::put_back`].
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Record>,
    /// As many as records: where each belongs.
    sequences: Vec<u64>,
    first: u64,
}

impl Batch {
    /// Keeps the rows from `start` on: the ones before have been delivered.
    pub(crate) fn forget_before(&mut self, start: usize) {
        self.records.drain(..start.min(self.records.len()));
        self.sequences.drain(..start.min(self.sequences.len()));
    }

    /// Keeps the rows for which `keep`, called with each row's place in the batch, says so.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let (mut at, mut also) = (0, 0);
        self.records.retain(|_| (keep(at), at += 1).0);
        self.sequences.retain(|_| (keep(also), also += 1).0);
    }
}

impl Queue {
    pub(crate) const fn new(max_rows: usize, max_bytes: usize) -> Self {
        Self { rows: VecDeque::new(), bytes: 0, taken: Vec::new(), next: 0, max_rows, max_bytes }
    }

    /// Takes the row in, or gives it back when there is no room for a row of its worth.
    #[allow(clippy::result_large_err, reason = "the caller frees the row outside the lock")]
    pub(crate) fn offer(&mut self, record: Record) -> Result<(), Record> {
        let worth = Worth::of(&record.event);
        let bytes = record.bytes();
        let room = (self.held_rows() as u64) < worth.share(self.max_rows as u64)
            && (self.held_bytes() + bytes) as u64 <= worth.share(self.max_bytes as u64);
        if !room {
            return Err(record);
        }
        self.rows.push_back((self.next, record));
        self.next += 1;
        self.bytes += bytes;
        Ok(())
    }

    /// The oldest rows, at most `max_rows` of them and, but for a single larger row, `max_bytes`.
    pub(crate) fn take(&mut self, max_rows: usize, max_bytes: usize) -> Option<Batch> {
        let (mut count, mut bytes) = (0, 0);
        for (_, record) in self.rows.iter().take(max_rows) {
            let more = record.bytes();
            if count > 0 && bytes + more > max_bytes {
                break;
            }
            count += 1;
            bytes += more;
        }
        let first = self.rows.front().map(|(sequence, _)| *sequence)?;
        let (sequences, records) = self.rows.drain(..count).unzip();
        self.bytes -= bytes;
        self.taken.push(Taken { first, rows: count, bytes });
        // A burst should not be paid for in memory for ever.
        if self.rows.is_empty() && self.rows.capacity() > 4_096 {
            self.rows.shrink_to(1_024);
        }
        Some(Batch { records, sequences, first })
    }

    /// The batch has found its place elsewhere.
    pub(crate) fn settle(&mut self, batch: &Batch) {
        self.taken.retain(|taken| taken.first != batch.first);
    }

    /// What is left of a batch returns to where it was.
    pub(crate) fn put_back(&mut self, batch: Batch) {
        self.settle(&batch);
        let Some(first) = batch.sequences.first() else { return };
        let at = self.rows.partition_point(|(sequence, _)| sequence < first);
        self.bytes += batch.records.iter().map(Record::bytes).sum::<usize>();
        let after = self.rows.split_off(at);
        self.rows.extend(batch.sequences.into_iter().zip(batch.records));
        self.rows.extend(after);
    }

    /// Rows waiting to be taken.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes waiting to be taken.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn held_rows(&self) -> usize {
        self.rows.len() + self.taken.iter().map(|taken| taken.rows).sum::<usize>()
    }

    /// Bytes waiting, and bytes taken and not settled.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes + self.taken.iter().map(|taken| taken.bytes).sum::<usize>()
    }

    /// Whether waiting rows fill at least half of either bound.
    pub(crate) fn is_pressed(&self) -> bool {
        self.rows.len() >= self.max_rows.div_ceil(2) || self.bytes >= self.max_bytes.div_ceil(2)
    }

    /// The sequence number that the next row will have: every row accepted so far is below it.
    pub(crate) const fn watermark(&self) -> u64 {
        self.next
    }

    /// Whether no row below `watermark` is waiting.
    pub(crate) fn is_empty_below(&self, watermark: u64) -> bool {
        self.rows.front().is_none_or(|(sequence, _)| *sequence >= watermark)
    }

    /// Whether every row below `watermark` has left for good.
    pub(crate) fn is_settled_below(&self, watermark: u64) -> bool {
        self.is_empty_below(watermark) && self.taken.iter().all(|taken| taken.first >= watermark)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Event, OutcomeEvent};

    fn record(size: usize) -> Record {
        Record::new(
            0,
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

    fn hit() -> Record {
        Record::new(
            0,
            Event::Classification(crate::ClassificationEvent {
                user_id: "u".into(),
                prompt: "p".into(),
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
            }),
        )
    }

    #[test]
    fn the_last_part_is_kept_for_money() {
        let mut queue = Queue::new(10, usize::MAX);
        let hits = (0..20).filter(|_| queue.offer(hit()).is_ok()).count();
        let money = (0..20).filter(|_| queue.offer(record(1)).is_ok()).count();
        assert_eq!((hits, money), (8, 2));
    }

    #[test]
    fn taken_rows_still_fill_the_queue() {
        let mut queue = Queue::new(2, usize::MAX);
        queue.offer(record(1)).unwrap();
        queue.offer(record(1)).unwrap();
        let batch = queue.take(2, usize::MAX).unwrap();
        assert!(queue.offer(record(1)).is_err());
        assert!(!queue.is_settled_below(2));
        queue.settle(&batch);
        assert!(queue.is_settled_below(2));
        queue.offer(record(1)).unwrap();
    }

    #[test]
    fn a_row_larger_than_a_batch_still_leaves() {
        let mut queue = Queue::new(10, 1 << 20);
        queue.offer(record(5_000)).unwrap();
        assert_eq!(queue.take(10, 100).unwrap().records.len(), 1);
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

    proptest! {
        /// Against a plain list of sequence numbers.
        #[test]
        fn bounded_ordered_and_accounted(steps in proptest::collection::vec(step(), 1..120)) {
            let (max_rows, max_bytes) = (12, 6_000);
            let mut queue = Queue::new(max_rows, max_bytes);
            let mut waiting: Vec<u64> = Vec::new();
            let mut batches: Vec<Batch> = Vec::new();
            let mut next = 0;
            for step in steps {
                match step {
                    Step::Offer(size) => if queue.offer(record(size)).is_ok() {
                        waiting.push(next);
                        next += 1;
                    },
                    Step::Take(rows, bytes) => if let Some(batch) = queue.take(rows, bytes) {
                        let taken = batch.sequences.clone();
                        prop_assert_eq!(taken.len(), batch.records.len());
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
                        waiting.extend(&batch.sequences);
                        waiting.sort_unstable();
                        queue.put_back(batch);
                    },
                }
                prop_assert_eq!(queue.len(), waiting.len());
                prop_assert!(queue.held_rows() <= max_rows);
                prop_assert!(queue.held_bytes() <= max_bytes);
                let oldest = waiting.iter().copied()
                    .chain(batches.iter().map(|batch| batch.first)).min().unwrap_or(next);
                prop_assert!(queue.is_settled_below(oldest));
                prop_assert!(oldest == next || !queue.is_settled_below(oldest + 1));
                prop_assert_eq!(queue.watermark(), next);
            }
        }
    }
}
