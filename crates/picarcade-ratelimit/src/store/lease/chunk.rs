//! One chunk, and the size of the next one: pure, with the time as an argument.

use tokio::time::Instant;

use crate::{LimitStatus, ReservationId};

/// Requests that were debited in advance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub(super) id: ReservationId,
    pub(super) granted: u64,
    /// At most `granted`. The first belong to the caller of the debit, even if its answer came
    /// late.
    pub(super) used: u64,
    pub(super) debited: Instant,
    pub(super) until: Instant,
    /// The state of the limit when the chunk was debited.
    pub(super) status: LimitStatus,
}

impl Chunk {
    /// Takes `amount`, if the chunk has as much and its time is not over.
    pub(super) fn take(&mut self, amount: u64, now: Instant) -> bool {
        let fits = now < self.until && amount <= self.granted - self.used;
        if fits {
            self.used += amount;
        }
        fits
    }

    /// Gives back what was taken, because another limit denied the request or its caller has left.
    pub(super) fn put_back(&mut self, amount: u64) {
        self.used = self.used.saturating_sub(amount);
    }

    /// Returns the state of the limit as far as this instance knows. The unspent part of the chunk
    /// counts as remaining.
    pub(super) fn status(&self, now: Instant) -> LimitStatus {
        let unspent = self.granted - self.used;
        let mut status = self.status;
        status.used = status.used.saturating_sub(unspent);
        status.reserved = status.reserved.saturating_sub(unspent);
        status.remaining = status.remaining.saturating_add(unspent);
        status.reset_after = status.reset_after.saturating_sub(now.saturating_duration_since(self.debited));
        status
    }
}

/// Returns the size of the next chunk: twice what was used of the last one, at most `largest` and
/// the share of this instance in half of what remains, and at least `asked`.
pub(super) fn next_size(
    asked: u64,
    last_used: u64,
    remaining: Option<u64>,
    largest: u64,
    instances: u64,
) -> u64 {
    let fair = remaining.map_or(asked, |remaining| remaining / (2 * instances.max(1)));
    last_used.saturating_mul(2).min(largest).min(fair).max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_grow_with_use_and_shrink_with_what_remains() {
        assert_eq!(next_size(1, 0, None, 100, 4), 1, "nothing is known yet");
        assert_eq!(next_size(1, 8, Some(1000), 100, 4), 16);
        assert_eq!(next_size(1, 80, Some(1000), 100, 4), 100, "the largest");
        assert_eq!(next_size(1, 80, Some(80), 100, 4), 10, "its share of half of the rest");
        assert_eq!(next_size(1, 80, Some(7), 100, 4), 1, "single requests at the end");
        assert_eq!(next_size(20, 1, Some(7), 10, 4), 20, "never less than asked");
    }
}
