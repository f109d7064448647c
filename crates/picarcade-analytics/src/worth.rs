//! Which rows are dropped first if there is no room for all.
//!
//! A nearly full buffer reserves its last part for more valuable rows. Admission by threshold takes
//! one comparison, needs no search for a victim, and drops the least valuable rows first. Rows
//! about money are refused only if there is no space at all.

use crate::{ClassificationEvent, Event};

/// The value of a row, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Worth {
    /// A classification from a cache, the least informative and most frequent row.
    CacheHit,
    /// Any other observation.
    Observation,
    /// Money, and what completes it.
    Money,
}

impl Worth {
    pub(crate) const fn of(event: &Event) -> Self {
        match event {
            Event::Classification(ClassificationEvent { cache_hit: true, .. }) => Self::CacheHit,
            Event::Classification(_) | Event::SystemPerformance(_) | Event::Feedback(_) => Self::Observation,
            Event::Cost(_) | Event::ModelSelection(_) | Event::Outcome(_) => Self::Money,
        }
    }

    /// Returns the part of a capacity that rows of this value may fill.
    pub(crate) const fn share(self, capacity: u64) -> u64 {
        match self {
            Self::CacheHit => capacity / 10 * 8 + capacity % 10 * 8 / 10,
            Self::Observation => capacity / 10 * 9 + capacity % 10 * 9 / 10,
            Self::Money => capacity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_grow_with_worth_and_end_at_the_capacity() {
        for capacity in [0, 1, 9, 10, 1_000, u64::MAX] {
            assert!(Worth::CacheHit.share(capacity) <= Worth::Observation.share(capacity));
            assert!(Worth::Observation.share(capacity) <= Worth::Money.share(capacity));
            assert_eq!(Worth::Money.share(capacity), capacity);
        }
        assert_eq!(Worth::CacheHit.share(1_000), 800);
        assert_eq!(Worth::Observation.share(1_000), 900);
    }
}
