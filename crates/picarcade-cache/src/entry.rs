//! A value with its stamps, and their meaning at a given time. This core of the cache has no clock
//! and no lock.
//!
//! ```text
//!  stored          fresh_until                 stale_until
//!    |---- fresh -------|---------- stale ----------|---- dead
//!            ^ refresh ahead, more likely near the end (XFetch)
//!                           ^ held: a load failed, no load until hold_until
//! ```
//!
//! Refresh ahead is XFetch (Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache
//! Stampede Prevention", VLDB 2015): a value that took `d` to load is refreshed early with the
//! probability `exp(-left / (d * beta))`.

use std::sync::Arc;

use crate::{clock::Nanos, tag::Tag};

/// An entry of the first level. A clone shares the value.
#[derive(Debug)]
pub(crate) struct Entry<V> {
    pub(crate) value: Arc<V>,
    pub(crate) stamps: Stamps,
    /// The count of invalidations when the load of this value began. Later invalidations apply to
    /// it.
    pub(crate) born: u64,
    pub(crate) tags: Option<Arc<Vec<Tag>>>,
    /// The weight in bytes, overhead included.
    pub(crate) weight: u32,
    /// The duration of the load in microseconds, at most 71 minutes.
    pub(crate) load_micros: u32,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), tags: self.tags.clone(), ..*self }
    }
}

/// The times of a value on the clock of the process. Except for the first they are milliseconds,
/// which saves memory in every entry and is enough for 49 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamps {
    pub(crate) stored: Nanos,
    /// From `stored`.
    fresh_ms: u32,
    /// From the end of `fresh_ms`.
    stale_ms: u32,
    /// From `stored`: no load before this, because one has failed. 0 if none has.
    hold_ms: u32,
}

/// What a caller may do with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Answer with it.
    Fresh,
    /// Answer with it, and load a newer value in the background.
    RefreshAhead,
    /// Answer with it as stale, and do not load, because a load has just failed.
    Held,
    /// Load, and answer with it if the load fails or takes long.
    Stale,
    /// Do not use it.
    Dead,
}

impl Stamps {
    /// Returns the stamps of a value that is fresh and then stale for these times.
    pub(crate) fn new(stored: Nanos, fresh_for: Nanos, stale_for: Nanos) -> Self {
        Self { stored, fresh_ms: millis(fresh_for), stale_ms: millis(stale_for), hold_ms: 0 }
    }

    pub(crate) fn fresh_until(&self) -> Nanos {
        self.stored + u64::from(self.fresh_ms) * MILLISECOND
    }

    pub(crate) fn stale_until(&self) -> Nanos {
        self.fresh_until() + u64::from(self.stale_ms) * MILLISECOND
    }

    /// Returns whether a load failed so recently that no load may start.
    pub(crate) fn is_held(&self, now: Nanos) -> bool {
        now < self.stored + u64::from(self.hold_ms) * MILLISECOND
    }

    pub(crate) fn assess(&self, now: Nanos) -> Freshness {
        if now < self.fresh_until() {
            Freshness::Fresh
        } else if now >= self.stale_until() {
            Freshness::Dead
        } else if self.is_held(now) {
            Freshness::Held
        } else {
            Freshness::Stale
        }
    }

    /// Like [`Stamps::assess`], and decides about an early refresh. `draw` returns a uniform number
    /// in 0..1; it is called only if a refresh is possible.
    pub(crate) fn assess_ahead(
        &self,
        now: Nanos,
        load_micros: u32,
        beta: f64,
        draw: impl FnOnce() -> f64,
    ) -> Freshness {
        let freshness = self.assess(now);
        if beta <= 0.0 || freshness != Freshness::Fresh || self.is_held(now) {
            return freshness;
        }
        let left = (self.fresh_until() - now) as f64;
        let spread = f64::from(load_micros) * 1000.0 * beta;
        // Beyond 20 spreads the probability is below 2e-9, which is not worth a random number.
        if left > spread * 20.0 {
            return freshness;
        }
        // -ln(u) is exponentially distributed; u in (0, 1] keeps it finite.
        if -(1.0 - draw()).ln() * spread >= left { Freshness::RefreshAhead } else { freshness }
    }

    /// Returns the stamps after a load failed at `now`: no load starts for `hold_off` from now.
    pub(crate) fn held(self, now: Nanos, hold_off: Nanos) -> Self {
        let until = now.saturating_sub(self.stored).saturating_add(hold_off);
        Self { hold_ms: millis(until), ..self }
    }
}

const MILLISECOND: Nanos = 1_000_000;

fn millis(nanos: Nanos) -> u32 {
    u32::try_from(nanos / MILLISECOND).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Freshness, MILLISECOND, Stamps};
    use proptest::prelude::*;

    proptest! {
        /// A value is fresh, then stale, then dead, and never returns to an earlier state.
        #[test]
        fn a_value_only_ages(stored in 0_u64..1000, fresh in 1_u64..1000, stale in 0_u64..1000, step in 1_u64..50) {
            let stamps = Stamps::new(stored * MILLISECOND, fresh * MILLISECOND, stale * MILLISECOND);
            let rank = |f| match f {
                Freshness::Fresh => 0,
                Freshness::Stale => 1,
                Freshness::Dead => 2,
                Freshness::RefreshAhead | Freshness::Held => 9,
            };
            let mut last = 0;
            let mut now = stored;
            while now < stored + 3000 {
                let at = rank(stamps.assess(now * MILLISECOND));
                prop_assert!(at >= last && at < 9);
                prop_assert_eq!(at == 0, now < stored + fresh);
                prop_assert_eq!(at == 2, now >= stored + fresh + stale);
                last = at;
                now += step;
            }
        }

        /// The hold-off starts when the load failed, not when the value expired, and never revives
        /// a dead value.
        #[test]
        fn the_hold_off_counts_from_the_failure(failed in 0_u64..4000, hold in 1_u64..500, later in 0_u64..600) {
            let stamps = Stamps::new(0, 1000 * MILLISECOND, 2000 * MILLISECOND);
            let stamps = stamps.held(failed * MILLISECOND, hold * MILLISECOND);
            let verdict = stamps.assess((failed + later) * MILLISECOND);
            if failed + later >= 3000 {
                prop_assert_eq!(verdict, Freshness::Dead);
            } else if failed + later >= 1000 {
                prop_assert_eq!(verdict == Freshness::Held, later < hold);
            }
        }
    }

    #[test]
    fn early_refreshes_are_as_frequent_as_xfetch_defines() {
        // 1 ms to load, beta 1, 2 ms left: exp(-2) = 13.5 % of the draws.
        let stamps = Stamps::new(0, 10_000_000, 0);
        let ahead = (0..10_000)
            .filter(|i| {
                let draw = f64::from(*i) / 10_000.0;
                stamps.assess_ahead(8_000_000, 1000, 1.0, || draw) == Freshness::RefreshAhead
            })
            .count();
        assert!((1340..=1370).contains(&ahead), "{ahead}");
        // Far from the end, no random number is drawn.
        assert_eq!(stamps.assess_ahead(0, 1, 1.0, || unreachable!()), Freshness::Fresh);
    }
}
