//! Guards a future: admission when it is first polled, judgment when it ends.

use crate::{CallError, CircuitBreaker, FailureKind, Outcome};

/// Decides what a result means for the service.
///
/// Every `Fn(&Result<T, E>) -> Outcome` is a classifier. For HTTP see [`http`](crate::http).
pub trait Classify<T, E> {
    /// Returns the outcome of a call that returned `result`.
    fn classify(&self, result: &Result<T, E>) -> Outcome;
}

impl<T, E, F: Fn(&Result<T, E>) -> Outcome> Classify<T, E> for F {
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        self(result)
    }
}

/// The simplest classifier: every error is a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnyError;

impl<T, E> Classify<T, E> for AnyError {
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::failure(FailureKind::Other),
        }
    }
}

impl CircuitBreaker {
    /// Runs `call` if the breaker admits it. Every error is a failure;
    /// [`call_with`](Self::call_with) distinguishes errors.
    ///
    /// Cancel safe: a future that is dropped counts like a [`Permit`](crate::Permit) that is.
    ///
    /// # Errors
    ///
    /// Returns [`CallError::Rejected`] without polling `call`, or [`CallError::Failed`] with its
    /// error.
    pub async fn call<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, CallError<E>> {
        self.call_with(AnyError, call).await
    }

    /// Runs `call` if the breaker admits it. `classifier` judges the result.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use picarcade_breaker::{CircuitBreaker, Config, FailureKind, Outcome};
    ///
    /// let breaker = CircuitBreaker::new("search", Config::default()).expect("valid");
    /// let not_found_is_an_answer = |result: &Result<u32, &str>| match result {
    ///     Ok(_) | Err("not found") => Outcome::Success,
    ///     Err(_) => Outcome::failure(FailureKind::Server),
    /// };
    /// let _ = breaker.call_with(not_found_is_an_answer, async { Err("not found") }).await;
    /// assert_eq!(breaker.statistics().failure, 0);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`CallError::Rejected`] without polling `call`, or [`CallError::Failed`] with its
    /// error.
    pub async fn call_with<T, E>(
        &self,
        classifier: impl Classify<T, E>,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let permit = self.try_acquire()?;
        let result = call.await;
        permit.record(classifier.classify(&result));
        result.map_err(CallError::Failed)
    }
}
