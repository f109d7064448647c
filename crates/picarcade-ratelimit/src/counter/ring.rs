//! A sliding window (or a calendar day) as a ring of sub-buckets.
//!
//! Only buckets with an amount are kept, and the newest one inline. So a subject seen once costs no
//! allocation, and one seen in every sub-bucket costs 61 pairs. The sum is kept in addition: within
//! one sub-bucket a decision is a comparison and an addition, and buckets are visited only when
//! time enters a new one.

use std::collections::VecDeque;

use super::reading::{Reading, Refusal};
use crate::limit::Buckets;

/// The charges of one sub-bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    /// Microseconds since the epoch.
    start: u64,
    amount: u64,
}

/// The counts of one window. `total` is the sum of all slots.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ring {
    head: Slot,
    past: VecDeque<Slot>,
    total: u64,
    reserved: u64,
}

impl Ring {
    /// Enters the bucket of `now` and forgets what no longer counts. A time before the newest
    /// bucket stays in it.
    #[inline]
    pub(super) fn advance(&mut self, buckets: Buckets, now: u64) {
        if now >= self.head.start.saturating_add(buckets.width) {
            self.turn(buckets, now);
        }
    }

    /// A separate function, because it is rare and long.
    #[cold]
    fn turn(&mut self, buckets: Buckets, now: u64) {
        let start = buckets.start(now);
        if buckets.end(self.head.start) <= start {
            // Everything older than the newest bucket is outdated too.
            self.past = VecDeque::new();
            self.total = 0;
        } else if self.head.amount > 0 {
            self.past.push_back(self.head);
        }
        self.head = Slot { start, amount: 0 };
        while let Some(oldest) = self.past.front().filter(|slot| buckets.end(slot.start) <= start) {
            self.total = self.total.saturating_sub(oldest.amount);
            self.past.pop_front();
        }
    }

    #[inline]
    pub(super) fn refusal(&self, buckets: Buckets, limit: u64, now: u64, amount: u64) -> Option<Refusal> {
        // In this form neither side leaves the range in which doubles are exact.
        if amount == 0 || amount <= limit.saturating_sub(self.total) {
            return None;
        }
        if amount > limit {
            return Some(Refusal::Never);
        }
        let mut excess = self.total.saturating_add(amount) - limit;
        for slot in self.past.iter().chain([&self.head]) {
            excess = excess.saturating_sub(slot.amount);
            if excess == 0 {
                return Some(Refusal::For(buckets.end(slot.start).saturating_sub(now)));
            }
        }
        // Unreachable, because the slots add up to the total. A wait of the whole window is safe.
        Some(Refusal::For(buckets.end(self.head.start).saturating_sub(now)))
    }

    #[inline]
    pub(super) fn charge(&mut self, amount: u64, reserved: u64) -> u64 {
        self.head.amount = self.head.amount.saturating_add(amount);
        self.total = self.total.saturating_add(amount);
        self.reserved = self.reserved.saturating_add(reserved);
        self.head.start
    }

    pub(super) fn refund(&mut self, start: u64, amount: u64) {
        let slot = if self.head.start == start {
            Some(&mut self.head)
        } else {
            let found = self.past.binary_search_by_key(&start, |slot| slot.start).ok();
            found.and_then(|index| self.past.get_mut(index))
        };
        if let Some(slot) = slot {
            let back = amount.min(slot.amount);
            slot.amount -= back;
            self.total = self.total.saturating_sub(back);
        }
    }

    pub(super) fn conclude(&mut self, amount: u64) {
        self.reserved = self.reserved.saturating_sub(amount);
    }

    #[inline]
    pub(super) fn reading(&self, buckets: Buckets, limit: u64, now: u64) -> Reading {
        let newest = if self.head.amount > 0 {
            Some(&self.head)
        } else {
            self.past.iter().rev().find(|slot| slot.amount > 0)
        };
        Reading {
            used: self.total,
            reserved: self.reserved.min(self.total),
            remaining: limit.saturating_sub(self.total),
            reset: newest.map_or(0, |slot| buckets.end(slot.start).saturating_sub(now)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.total == 0 && self.reserved == 0
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.past.capacity() * size_of::<Slot>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BUCKETS: Buckets = Buckets { width: 10, span: 7 };
    /// The true window that seven buckets of ten always cover.
    const WINDOW: u64 = 60;

    proptest! {
        #[test]
        fn no_true_window_admits_more_and_a_refusal_says_when(
            steps in prop::collection::vec((0_u64..40, 1_u64..6), 1..200),
            limit in 1_u64..20,
        ) {
            let mut ring = Ring::default();
            let mut log: Vec<(u64, u64)> = Vec::new();
            let mut now = 1_000;
            for (pause, amount) in steps {
                now += pause;
                ring.advance(BUCKETS, now);
                let refusal = ring.refusal(BUCKETS, limit, now, amount);
                let lenient: u64 = log.iter().filter(|(at, _)| at + WINDOW > now).map(|(_, amount)| amount).sum();
                let strict: u64 = log.iter().filter(|(at, _)| at + WINDOW + BUCKETS.width > now).map(|(_, a)| a).sum();
                match refusal {
                    None => {
                        prop_assert!(lenient + amount <= limit);
                        ring.charge(amount, 0);
                        log.push((now, amount));
                    }
                    Some(Refusal::Never) => prop_assert!(amount > limit),
                    Some(Refusal::For(wait)) => {
                        prop_assert!(strict + amount > limit, "refused although a window and a bucket had room");
                        let mut early = ring.clone();
                        early.advance(BUCKETS, now + wait - 1);
                        prop_assert!(early.refusal(BUCKETS, limit, now + wait - 1, amount).is_some());
                        early.advance(BUCKETS, now + wait);
                        prop_assert_eq!(early.refusal(BUCKETS, limit, now + wait, amount), None);
                    }
                }
                let reading = ring.reading(BUCKETS, limit, now);
                prop_assert!(reading.used >= log.iter().filter(|(at, _)| at + WINDOW > now).map(|(_, a)| a).sum());
                prop_assert_eq!(reading.remaining, limit - reading.used);
                let mut later = ring.clone();
                later.advance(BUCKETS, now + reading.reset);
                prop_assert_eq!(later.total, 0);
            }
            prop_assert!(ring.past.len() < BUCKETS.span as usize);
        }
    }

    #[test]
    fn a_refund_goes_where_it_came_from_or_nowhere() {
        let mut ring = Ring::default();
        ring.advance(BUCKETS, 100);
        let start = ring.charge(5, 5);
        ring.advance(BUCKETS, 135);
        ring.charge(3, 0);
        ring.refund(start, 2);
        assert_eq!(ring.reading(BUCKETS, 10, 135), Reading { used: 6, reserved: 5, remaining: 4, reset: 65 });
        ring.advance(BUCKETS, 170);
        assert_eq!(ring.total, 3);
        ring.refund(start, 3);
        assert_eq!(ring.total, 3, "the bucket is gone, and a newer one is not made smaller");
        ring.conclude(5);
        ring.advance(BUCKETS, 1000);
        assert!(ring.is_empty());
    }

    #[test]
    fn time_stepping_back_stands_still() {
        let mut ring = Ring::default();
        ring.advance(BUCKETS, 500);
        ring.charge(4, 0);
        ring.advance(BUCKETS, 100);
        ring.charge(4, 0);
        assert_eq!(ring.total, 8);
        assert_eq!(ring.refusal(BUCKETS, 8, 100, 1), Some(Refusal::For(470)));
    }
}
