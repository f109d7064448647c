//! Smooth windows: the generic cell rate algorithm (ITU-T I.371) in its leaky-bucket form.
//!
//! The level is measured in units times microseconds. Every step is then a whole number, and a
//! script that computes in doubles gets exactly the same result.

use super::reading::{Reading, Refusal};
use crate::limit::Leaky;

/// The amount that has not leaked yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Level {
    at: u64,
    level: u64,
}

impl Level {
    #[inline]
    pub(super) fn advance(&mut self, leaky: Leaky, now: u64) {
        if now > self.at {
            self.level = self.level.saturating_sub((now - self.at).saturating_mul(leaky.rate));
            self.at = now;
        }
    }

    #[inline]
    pub(super) fn refusal(&self, leaky: Leaky, amount: u64) -> Option<Refusal> {
        if amount == 0 {
            return None;
        }
        if amount > leaky.burst {
            return Some(Refusal::Never);
        }
        let room = leaky.capacity() - self.level.min(leaky.capacity());
        let missing = (amount * leaky.unit).saturating_sub(room);
        (missing > 0).then(|| Refusal::For(missing.div_ceil(leaky.rate)))
    }

    #[inline]
    pub(super) fn charge(&mut self, leaky: Leaky, amount: u64) {
        self.level = self.level.saturating_add(amount.saturating_mul(leaky.unit));
    }

    #[inline]
    pub(super) fn reading(&self, leaky: Leaky) -> Reading {
        let used = self.level.div_ceil(leaky.unit);
        Reading {
            used,
            reserved: 0,
            remaining: leaky.burst.saturating_sub(used),
            reset: self.level.div_ceil(leaky.rate),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.level == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_period_admits_more_than_the_limit(
            steps in prop::collection::vec((0_u64..50, 1_u64..4), 1..300),
            burst in 1_u64..10,
            rest in 1_u64..10,
        ) {
            let leaky = Leaky { unit: 100, rate: rest, burst };
            let limit = burst + rest;
            let mut level = Level::default();
            let mut log: Vec<(u64, u64)> = Vec::new();
            let mut now = 5_000;
            for (pause, amount) in steps {
                now += pause;
                level.advance(leaky, now);
                match level.refusal(leaky, amount) {
                    None => {
                        level.charge(leaky, amount);
                        log.push((now, amount));
                        let period: u64 = log.iter().filter(|(at, _)| at + 100 > now).map(|(_, amount)| amount).sum();
                        prop_assert!(period <= limit, "{period} in one period of a limit of {limit}");
                    }
                    Some(Refusal::Never) => prop_assert!(amount > burst),
                    Some(Refusal::For(wait)) => {
                        let mut later = level.clone();
                        later.advance(leaky, now + wait - 1);
                        prop_assert!(later.refusal(leaky, amount).is_some());
                        later.advance(leaky, now + wait);
                        prop_assert_eq!(later.refusal(leaky, amount), None);
                    }
                }
            }
        }
    }
}
