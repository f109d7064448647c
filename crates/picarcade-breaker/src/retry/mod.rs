//! Retries that bridge a short failure and do not amplify an outage.
//!
//! Three limits end the retries of a call:
//!
//! - a number of attempts;
//! - the [deadline](crate::Deadline) of the whole call: a pause that would exceed it is not
//!   started;
//! - a [budget](RetryBudget) that all calls share. If all calls fail, the first two limits still
//!   multiply the load by the number of attempts, when the service can tolerate it least.

mod backoff;
mod budget;
mod error;

use std::time::Duration;

pub use self::{
    backoff::RetryBackoff,
    budget::RetryBudget,
    error::{RetryError, RetryHint},
};
use crate::{ConfigError, Deadline, validate::not_zero};

/// A policy of retries. Clones share the budget.
///
/// Create one `Retry` for each service when the program starts, and share it or its clones between
/// all callers. A `Retry` per call has a whole reserve of its own, so an outage is amplified up to
/// `max_attempts` times.
#[derive(Clone, Debug)]
pub struct Retry {
    max_attempts: u32,
    backoff: RetryBackoff,
    budget: RetryBudget,
}

impl Default for Retry {
    /// Three attempts, pauses from 100 ms, and the [default budget](RetryBudget::default): a fifth
    /// of the calls and a reserve of ten.
    fn default() -> Self {
        Self { max_attempts: 3, backoff: RetryBackoff::default(), budget: RetryBudget::default() }
    }
}

impl Retry {
    /// Creates a policy with at most `max_attempts` attempts, including the first.
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError`] for zero attempts.
    pub fn new(max_attempts: u32) -> Result<Self, ConfigError> {
        not_zero("max_attempts", max_attempts == 0)?;
        Ok(Self { max_attempts, ..Self::default() })
    }

    /// Sets the pauses.
    #[must_use]
    pub const fn backoff(mut self, backoff: RetryBackoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets the budget. All callers of one service should share it.
    #[must_use]
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Makes the call, and repeats it after a pause if `hint` allows it and all three limits do.
    /// `call` gets the number of the attempt, from zero.
    ///
    /// Every attempt ends at the deadline. If the deadline ends an attempt, the error is that of
    /// the previous attempt, and a breaker inside the attempt records a time-out (see
    /// [`Deadline::run`]).
    ///
    /// # Errors
    ///
    /// Returns [`RetryError::Failed`] with the last error, or [`RetryError::DeadlineExceeded`] if
    /// no attempt ended in time.
    pub async fn run<T, E, F>(
        &self,
        deadline: Deadline,
        hint: impl Fn(&E) -> RetryHint,
        mut call: impl FnMut(u32) -> F,
    ) -> Result<T, RetryError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.budget.deposit();
        let mut last = None;
        for attempt in 0..self.max_attempts {
            let error = match deadline.run(call(attempt)).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => error,
                Err(_) => break,
            };
            let pause = self.pause(attempt, hint(&error), deadline);
            last = Some(error);
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => break,
            }
        }
        Err(last.map_or(RetryError::DeadlineExceeded, RetryError::Failed))
    }

    /// Returns the pause before the next attempt, if there is one. The budget is checked last, so
    /// that an attempt that another limit forbids takes nothing from it.
    fn pause(&self, attempt: u32, hint: RetryHint, deadline: Deadline) -> Option<Duration> {
        let least = match hint {
            RetryHint::Never => return None,
            RetryHint::Backoff => Duration::ZERO,
            RetryHint::After(time) => time,
        };
        if attempt + 1 >= self.max_attempts {
            return None;
        }
        let pause = self.backoff.pause(attempt, fastrand::f64()).max(least);
        (pause < deadline.remaining() && self.budget.withdraw()).then_some(pause)
    }
}
