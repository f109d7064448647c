//! The bounded buffer between the request path and the writer: pure, no clock, no lock.
//!
//! Rows and bytes are bounded together, and rows that were taken but not yet settled still count: memory stays bounded
//! while a slow database holds a batch. Rows are in the order of their sequence numbers; a batch that could not be
//! delivered is put back to its place, so that the front is always the oldest row and "everything accepted before now has
//! left" is one comparison.
//!
//! Rows are boxed: what is done under the lock moves pointers. [`Slots`] are opened to a [`Batch`] outside of it.

use std::collections::VecDeque;

use crate::record::Record;
use crate::worth::Worth;

#[derive(Debug)]
pub(crate) struct Queue {
    rows: VecDeque<Slot>,
    bytes: usize,
    taken: Vec<Taken>,
    next: u64,
    max_rows: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Slot {
    sequence: u64,
    bytes: usize,
    record: Box<Record>,
}

/// The account of a batch that is on its way.
#[derive(Debug, Clone, Copy)]
struct Taken {
    first: u64,
    rows: usize,
    bytes: usize,
}

/// Rows taken from the queue. [`open`](Self::open) them, and give the batch back to [`Queue::settle`] or [`Queue::put_back`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    first: u64,
}

/// Rows on their way.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Record>,
    /// As many as records: where each belongs.
    sequences: Vec<u64>,
    first: u64,
}

impl Slots {
    pub(crate) fn open(self) -> Batch {
        let Self { slots, first } = self;
        let (sequences, records) = slots.into_iter().map(|slot| (slot.sequence, *slot.record)).unzip();
        Batch { records, sequences, first }
    }
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

    /// Takes the row of so many bytes in, or gives it back when there is no room for a row of its worth.
    pub(crate) fn offer(&mut self, record: Box<Record>, bytes: usize) -> Result<(), Box<Record>> {
        let worth = Worth::of(&record.event);
        let room = (self.held_rows() as u64) < worth.share(self.max_rows as u64)
            && (self.held_bytes() + bytes) as u64 <= worth.share(self.max_bytes as u64);
        if !room {
            return Err(record);
        }
        self.rows.push_back(Slot { sequence: self.next, bytes, record });
        self.next += 1;
        self.bytes += bytes;
        Ok(())
    }

    /// The oldest rows, at most `max_rows` of them and, but for a single larger row, `max_bytes`.
    pub(crate) fn take(&mut self, max_rows: usize, max_bytes: usize) -> Option<Slots> {
        let (mut count, mut bytes) = (0, 0);
        for slot in self.rows.iter().take(max_rows) {
            if count > 0 && bytes + slot.bytes > max_bytes {
                break;
            }
            count += 1;
            bytes += slot.bytes;
        }
        let first = self.rows.front()?.sequence;
        let slots = self.rows.drain(..count).collect();
        self.bytes -= bytes;
        self.taken.push(Taken { first, rows: count, bytes });
        // A burst should not be paid for in memory for ever.
        if self.rows.is_empty() && self.rows.capacity() > 4_096 {
            self.rows.shrink_to(1_024);
        }
        Some(Slots { slots, first })
    }

    /// The batch has found its place elsewhere.
    pub(crate) fn settle(&mut self, batch: &Batch) {
        self.taken.retain(|taken| taken.first != batch.first);
    }

    /// What is left of a batch returns to where it was.
    pub(crate) fn put_back(&mut self, batch: Batch) {
        self.settle(&batch);
        let Some(&first) = batch.sequences.first() else { return };
        let at = self.rows.partition_point(|slot| slot.sequence < first);
        let after = self.rows.split_off(at);
        for (sequence, record) in batch.sequences.into_iter().zip(batch.records) {
            let bytes = record.bytes();
            self.bytes += bytes;
            self.rows.push_back(Slot { sequence, bytes, record: Box::new(record) });
        }
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
        self.rows.front().is_none_or(|slot| slot.sequence >= watermark)
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

    fn offer(queue: &mut Queue, record: Record) -> bool {
        let bytes = record.bytes();
        queue.offer(Box::new(record), bytes).is_ok()
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
                    Step::Offer(size) => if offer(&mut queue, record(size)) {
                        waiting.push(next);
                        next += 1;
                    },
                    Step::Take(rows, bytes) => if let Some(batch) = queue.take(rows, bytes).map(Slots::open) {
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
