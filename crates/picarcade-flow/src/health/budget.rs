//! The dollar limits that all users share: how far each is used up, and which line is due.
//!
//! A budget refuses before it is used up, because the next call does not fit. A refused call of the
//! AI therefore counts as *reached*, until dollars are given back. A refused generation, which may
//! cost much, counts only if the budget is nearly used up.
//!
//! The new window of a budget is seen by its use, which falls below the half. Reservations that are
//! settled cheaper lower the use too, and must not repeat the lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use picarcade_ratelimit::{Denial, LimitStatus, Scope, Unit};

/// The part of a budget, in percent, from which it is nearly used up.
const NEAR_PERCENT: u64 = 80;

/// The part of a budget, in percent, below which an earlier line does not count any more.
const NEW_PERCENT: u64 = 50;

/// How far a budget is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    #[default]
    Free,
    Near,
    Reached,
}

/// One budget as the last check found it.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    pub(crate) status: LimitStatus,
    pub(crate) level: Level,
    /// The level that the log states.
    logged: Level,
    /// What was used at the last refusal.
    refused_at: Option<u64>,
}

impl Budget {
    /// Returns the budget after a check, and the level that must be logged. If a budget refused
    /// since the check before, `refused` is the percentage from which the refusal counts.
    fn next(before: Option<&Self>, status: LimitStatus, refused: Option<u64>) -> (Self, Option<Level>) {
        let is_over =
            |percent: u64| u128::from(status.used) * 100 >= u128::from(status.limit) * u128::from(percent);
        let earlier = before.and_then(|before| before.refused_at).filter(|at| status.used >= *at);
        let refused_at = if refused.is_some_and(is_over) { Some(status.used) } else { earlier };
        let level = if is_over(100) || refused_at.is_some() {
            Level::Reached
        } else if is_over(NEAR_PERCENT) {
            Level::Near
        } else {
            Level::Free
        };
        let logged = before.map_or(Level::Free, |before| before.logged);
        let is_new = logged > Level::Free && level == Level::Free && !is_over(NEW_PERCENT);
        let due = (level > logged || is_new).then_some(level);
        (Self { status, level, logged: due.unwrap_or(logged), refused_at }, due)
    }

    /// Returns the dollars that are spent, without those that are reserved.
    pub(crate) const fn spent(&self) -> u64 {
        self.status.used.saturating_sub(self.status.reserved)
    }

    /// Returns the state of the budget in words, if it is not free.
    pub(crate) fn reason(&self) -> Option<String> {
        let state = match self.level {
            Level::Free => return None,
            Level::Near => "nearly used up",
            Level::Reached => "reached: paid calls are refused",
        };
        let [limit, spent, reserved] =
            [self.status.limit, self.spent(), self.status.reserved].map(|micros| micros as f64 / 1e6);
        let window = self.status.window;
        Some(format!(
            "the budget of ${limit:.2} of all users ({window}) is {state}; \
             ${spent:.4} is spent and ${reserved:.4} is reserved"
        ))
    }
}

/// Returns the budgets after a check, and writes the lines that are due.
pub(crate) fn after_check(
    before: &[Budget],
    statuses: Vec<LimitStatus>,
    refused: Option<u64>,
) -> Arc<[Budget]> {
    let budgets = statuses.into_iter().filter(|status| status.unit == Unit::Cost).map(|status| {
        let before = before.iter().find(|before| before.status.name == status.name);
        let (budget, due) = Budget::next(before, status, refused);
        if let Some(level) = due {
            log(&budget, level);
        }
        budget
    });
    budgets.collect()
}

fn log(budget: &Budget, level: Level) {
    let dollars = |micros: u64| micros as f64 / 1e6;
    let (spent, reserved) = (dollars(budget.spent()), dollars(budget.status.reserved));
    let (limit, window) = (dollars(budget.status.limit), budget.status.window);
    match level {
        Level::Free => {
            tracing::info!(%window, spent, reserved, limit, "the budget of all users is free again");
        }
        Level::Near => {
            tracing::warn!(%window, spent, reserved, limit, "the budget of all users is nearly used up");
        }
        Level::Reached => {
            tracing::warn!(
                %window, spent, reserved, limit,
                "the budget of all users is reached: paid calls are refused"
            );
        }
    }
}

/// The percentage of a budget from which a refusal since the last check counts, or [`NONE`].
#[derive(Clone, Debug)]
pub(crate) struct BudgetRefusals(Arc<AtomicU64>);

/// No refusal.
const NONE: u64 = u64::MAX;

impl Default for BudgetRefusals {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(NONE)))
    }
}

impl BudgetRefusals {
    /// Records the denial of a call of the AI, if a budget of all users is a reason for it.
    pub(crate) fn record_call(&self, denial: &Denial) {
        self.record_from(0, denial);
    }

    /// Records the denial of a generation, if a budget of all users is a reason for it.
    pub(crate) fn record_generation(&self, denial: &Denial) {
        self.record_from(NEAR_PERCENT, denial);
    }

    fn record_from(&self, percent: u64, denial: &Denial) {
        let is_shared = |status: &LimitStatus| status.unit == Unit::Cost && status.scope == Scope::Global;
        if denial.violated.iter().any(is_shared) {
            self.0.fetch_min(percent, Ordering::Relaxed);
        }
    }

    /// Returns the percentage from which a refusal since the last call of this function counts.
    pub(crate) fn take(&self) -> Option<u64> {
        Some(self.0.swap(NONE, Ordering::Relaxed)).filter(|percent| *percent != NONE)
    }
}

#[cfg(test)]
mod tests {
    use picarcade_ratelimit::{Limit, Limiter, Subjects, Window};

    use super::*;

    async fn status(used: u64) -> LimitStatus {
        let limiter = Limiter::builder().limits([Limit::cost(Scope::Global, 100, Window::UtcDay)]).build();
        let mut status = limiter.unwrap().usage(&Subjects::default()).await.unwrap().statuses[0];
        status.used = used;
        status
    }

    /// Checks a budget with these uses, one after the other, and returns what was due and the
    /// level.
    async fn checks<const N: usize>(uses: [(u64, bool); N]) -> [(Option<Level>, Level); N] {
        let mut found = [(None, Level::Free); N];
        let mut before = None;
        for ((used, refused), found) in uses.into_iter().zip(&mut found) {
            let (budget, due) =
                Budget::next(before.as_ref(), status(used).await, refused.then_some(NEAR_PERCENT));
            *found = (due, budget.level);
            before = Some(budget);
        }
        found
    }

    #[tokio::test]
    async fn each_crossing_is_due_once_in_a_window() {
        use Level::{Free, Near, Reached};
        let uses = [79, 80, 90, 79, 85, 100, 99, 101, 3, 4, 100].map(|used| (used, false));
        let expected = [
            (None, Free),
            (Some(Near), Near),
            (None, Near),
            (None, Free),
            (None, Near),
            (Some(Reached), Reached),
            (None, Near),
            (None, Reached),
            (Some(Free), Free),
            (None, Free),
            (Some(Reached), Reached),
        ];
        assert_eq!(checks(uses).await, expected);
    }

    #[tokio::test]
    async fn a_refusal_counts_until_dollars_are_given_back() {
        use Level::{Free, Near, Reached};
        let uses = [(70, true), (95, false), (95, true), (95, false), (94, false), (10, true)];
        let expected = [
            (None, Free),
            (Some(Near), Near),
            (Some(Reached), Reached),
            (None, Reached),
            (None, Near),
            (Some(Free), Free),
        ];
        assert_eq!(checks(uses).await, expected);
    }

    #[tokio::test]
    async fn a_refused_call_of_the_ai_counts_however_little_is_used() {
        let (budget, due) = Budget::next(None, status(25).await, Some(0));
        assert_eq!((budget.level, due), (Level::Reached, Some(Level::Reached)));
        let (budget, due) = Budget::next(Some(&budget), status(25).await, Some(0));
        assert_eq!((budget.level, due), (Level::Reached, None));
        let (budget, due) = Budget::next(Some(&budget), status(0).await, None);
        assert_eq!((budget.level, due), (Level::Free, Some(Level::Free)));
    }
}
