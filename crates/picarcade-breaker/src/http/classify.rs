//! Classifiers for the results of HTTP clients.

use std::{error::Error, io};

use super::exchange::Exchange;
use crate::{AsCause, BulkheadFull, Classify, DeadlineExceeded, Outcome, Rejected};

/// The classifier of results with a response or a status: a response is judged by its status and
/// its `Retry-After`, an error like by [`Errors`].
///
/// Needs the feature `http` for `http::Response` and `http::StatusCode`, and the feature `reqwest`
/// for `reqwest::Response`.
///
#[cfg_attr(feature = "http", doc = "```")]
#[cfg_attr(not(feature = "http"), doc = "```ignore")]
/// use std::io;
/// use http::StatusCode;
/// use picarcade_breaker::{Classify, FailureKind, Outcome, http::Responses};
///
/// let of = |result: Result<StatusCode, io::Error>| Responses.classify(&result);
/// assert_eq!(of(Ok(StatusCode::NOT_FOUND)), Outcome::Neutral);
/// assert_eq!(of(Ok(StatusCode::BAD_GATEWAY)), Outcome::failure(FailureKind::Server));
/// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
/// assert_eq!(of(Err(refused)), Outcome::failure(FailureKind::Connect));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Responses;

/// The classifier of results whose status is already checked, such as the decoded body of
/// `response.error_for_status()?.json()`: every value is a success, and an error is judged by its
/// chain of sources.
///
/// An error of reqwest (feature `reqwest`) is judged by its status, time-out or decoding. A
/// rejection by an inner breaker or a full bulkhead is neutral, a passed deadline or time-out is a
/// failure of kind timeout, and every other error is a lost connection. The time-out of
/// `tower::timeout` cannot be distinguished from a lost connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors;

impl<T, E: AsCause> Classify<T, E> for Errors {
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => outcome_of(error.as_cause()),
        }
    }
}

#[cfg(feature = "http")]
impl<E: AsCause> Classify<::http::StatusCode, E> for Responses {
    fn classify(&self, result: &Result<::http::StatusCode, E>) -> Outcome {
        match result {
            Ok(status) => Exchange::from(*status).outcome(),
            Err(error) => outcome_of(error.as_cause()),
        }
    }
}

#[cfg(feature = "http")]
impl<B, E: AsCause> Classify<::http::Response<B>, E> for Responses {
    fn classify(&self, result: &Result<::http::Response<B>, E>) -> Outcome {
        match result {
            Ok(response) => answered(response.status(), response.headers()),
            Err(error) => outcome_of(error.as_cause()),
        }
    }
}

#[cfg(feature = "reqwest")]
impl<E: AsCause> Classify<::reqwest::Response, E> for Responses {
    fn classify(&self, result: &Result<::reqwest::Response, E>) -> Outcome {
        match result {
            Ok(response) => answered(response.status(), response.headers()),
            Err(error) => outcome_of(error.as_cause()),
        }
    }
}

#[cfg(feature = "http")]
impl From<::http::StatusCode> for Exchange<'_> {
    fn from(status: ::http::StatusCode) -> Self {
        Self::status(status.as_u16())
    }
}

/// Returns the outcome of a response without its body.
#[cfg(feature = "http")]
fn answered(status: ::http::StatusCode, fields: &::http::HeaderMap) -> Outcome {
    let field = fields.get(::http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let now = std::time::SystemTime::now();
    let retry_after = field.and_then(|value| super::exchange::parse_retry_after(value, now));
    Exchange::Answered { status: status.as_u16(), retry_after, error: "" }.outcome()
}

/// Returns the outcome of an error, by the first known error in its chain of sources.
fn outcome_of(error: &(dyn Error + 'static)) -> Outcome {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(outcome) = known(error) {
            return outcome;
        }
        next = error.source();
    }
    Exchange::Disconnected.outcome()
}

fn known(error: &(dyn Error + 'static)) -> Option<Outcome> {
    if error.is::<Rejected>() || error.is::<BulkheadFull>() {
        return Some(Outcome::Neutral);
    }
    #[cfg(feature = "reqwest")]
    if let Some(error) = error.downcast_ref() {
        return Some(super::reqwest::outcome_of(error));
    }
    let timed_out = error.is::<DeadlineExceeded>()
        || error.is::<tokio::time::error::Elapsed>()
        || error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
    timed_out.then(|| Exchange::TimedOut.outcome())
}
