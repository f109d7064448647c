//! The budget of retries: a part of the calls, over all callers.
//!
//! Every call deposits a fraction of a token, every retry withdraws a whole one (the idea is
//! Finagle's). So the number of retries is at most that part of the number of calls, plus the
//! reserve, whatever happens. A count of attempts per call cannot promise that: with three attempts,
//! an outage triples the load. The reserve is what lets the first calls of a program be retried.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::ConfigError;

/// Tokens are kept in thousandths, so that sums are exact.
const TOKEN: u64 = 1000;

/// A budget of retries. Clones share it.
///
/// Keep one budget for each service and share it between all callers. A budget that is made for
/// each call bounds nothing, because each one starts with its whole reserve.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    /// One lock, because a failing call's retry is no hot path and two counters would need to agree.
    tokens: Arc<Mutex<u64>>,
    per_call: u64,
    most: u64,
}

impl Default for RetryBudget {
    /// A fifth of the calls, and a reserve of ten retries at the start: over any number of calls, at
    /// most 20 % extra calls and ten.
    fn default() -> Self {
        Self::of(200, Self::RESERVE)
    }
}

impl RetryBudget {
    /// What a default budget holds at the start. Enough for a program that makes few calls, and
    /// little next to the calls of an outage.
    const RESERVE: u64 = 10 * TOKEN;

    /// How many unused retries are saved up at most. What a quiet hour leaves must not become one burst.
    const SAVED: u64 = 100 * TOKEN;

    /// Retries may be `ratio` of the calls (0 to 1), plus `reserve` (0 to 100) at the start, so that a program that makes
    /// few calls may retry at all.
    ///
    /// # Errors
    /// [`ConfigError`], naming the argument.
    pub fn new(ratio: f64, reserve: f64) -> Result<Self, ConfigError> {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(ConfigError::OutOfRange { field: "ratio", expected: "between 0 and 1" });
        }
        if !(0.0..=100.0).contains(&reserve) {
            return Err(ConfigError::OutOfRange { field: "reserve", expected: "between 0 and 100" });
        }
        Ok(Self::of((ratio * TOKEN as f64) as u64, (reserve * TOKEN as f64) as u64))
    }

    fn of(per_call: u64, reserve: u64) -> Self {
        Self { tokens: Arc::new(Mutex::new(reserve)), per_call, most: Self::SAVED }
    }

    /// A call begins.
    pub fn deposit(&self) {
        let mut tokens = self.tokens.lock();
        *tokens = (*tokens + self.per_call).min(self.most);
    }

    /// Takes the token of one retry, if there is one.
    #[must_use = "without the token there is no retry"]
    pub fn withdraw(&self) -> bool {
        let mut tokens = self.tokens.lock();
        match tokens.checked_sub(TOKEN) {
            Some(rest) => {
                *tokens = rest;
                true
            }
            None => false,
        }
    }

    /// The retries that are allowed now.
    #[must_use]
    pub fn available(&self) -> u64 {
        *self.tokens.lock() / TOKEN
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However deposits and withdrawals are mixed, retries stay within their part.
        #[test]
        fn never_exceeds_its_part(ratio in 0.0..1.0_f64, ops in prop::collection::vec(any::<bool>(), 0..500)) {
            let budget = RetryBudget::new(ratio, 0.0).expect("sound");
            let (mut calls, mut retries) = (0_u32, 0_u32);
            for call in ops {
                if call {
                    budget.deposit();
                    calls += 1;
                } else {
                    retries += u32::from(budget.withdraw());
                }
                prop_assert!(f64::from(retries) <= f64::from(calls) * ratio);
            }
        }
    }

    #[test]
    fn saves_up_to_a_bound() {
        let budget = RetryBudget::default();
        (0..10_000).for_each(|_| budget.deposit());
        assert_eq!(budget.available(), 100);
    }

    #[test]
    fn bad_arguments_are_named() {
        assert_eq!(RetryBudget::new(1.1, 0.0).expect_err("bad").field(), Some("ratio"));
        assert_eq!(RetryBudget::new(f64::NAN, 0.0).expect_err("bad").field(), Some("ratio"));
        assert_eq!(RetryBudget::new(0.1, -1.0).expect_err("bad").field(), Some("reserve"));
    }
}
