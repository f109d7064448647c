//! The budget of retries: a part of the calls, over all callers.
//!
//! Every call deposits a fraction of a token, and every retry withdraws a whole one (the idea comes
//! from Finagle). The number of retries is therefore at most that fraction of the number of calls,
//! plus the reserve. A limit of attempts per call cannot promise this: with three attempts, an
//! outage triples the load. The reserve permits retries of the first calls of a program.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{ConfigError, validate::within};

/// Tokens are counted in thousandths, so that sums are exact.
const TOKEN: u64 = 1000;

/// A budget of retries. Clones share it.
///
/// Keep one budget for each service and share it between all callers. A budget per call bounds
/// nothing, because each budget starts with its whole reserve.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    /// One lock, because retries are not a hot path and two counters would have to agree.
    tokens: Arc<Mutex<u64>>,
    per_call: u64,
}

impl Default for RetryBudget {
    /// Retries of a fifth of the calls, and a reserve of ten retries at the start.
    fn default() -> Self {
        // The reserve is enough for a program with few calls, and small compared with an outage.
        Self::of(200, 10 * TOKEN)
    }
}

impl RetryBudget {
    /// The maximum number of saved retries, so that a quiet hour does not permit one large burst.
    const SAVED: u64 = 100 * TOKEN;

    /// Creates a budget: retries may be `ratio` of the calls (0 to 1), plus `reserve` (0 to 100) at
    /// the start.
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError`] with the wrong argument.
    pub fn new(ratio: f64, reserve: f64) -> Result<Self, ConfigError> {
        within("ratio", (0.0..=1.0).contains(&ratio), "between 0 and 1")?;
        within("reserve", (0.0..=100.0).contains(&reserve), "between 0 and 100")?;
        Ok(Self::of((ratio * TOKEN as f64) as u64, (reserve * TOKEN as f64) as u64))
    }

    fn of(per_call: u64, reserve: u64) -> Self {
        Self { tokens: Arc::new(Mutex::new(reserve)), per_call }
    }

    /// Deposits the share of one call.
    pub fn deposit(&self) {
        let mut tokens = self.tokens.lock();
        *tokens = (*tokens + self.per_call).min(Self::SAVED);
    }

    /// Withdraws the token of one retry. Returns whether there was one.
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

    /// Returns the number of retries that are allowed now.
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
        /// In every mixture of deposits and withdrawals, retries stay within their share.
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
    fn savings_are_bounded() {
        let budget = RetryBudget::default();
        (0..10_000).for_each(|_| budget.deposit());
        assert_eq!(budget.available(), 100);
    }

    #[test]
    fn an_invalid_argument_is_named() {
        assert_eq!(RetryBudget::new(1.1, 0.0).expect_err("bad").field(), Some("ratio"));
        assert_eq!(RetryBudget::new(f64::NAN, 0.0).expect_err("bad").field(), Some("ratio"));
        assert_eq!(RetryBudget::new(0.1, -1.0).expect_err("bad").field(), Some("reserve"));
    }
}
