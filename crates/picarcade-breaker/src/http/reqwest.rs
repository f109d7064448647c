//! The errors of reqwest.

use reqwest::Error;

use super::exchange::Exchange;
use crate::Outcome;

/// Returns the outcome of an error of reqwest. A request that could not be built says nothing about
/// the service.
pub(super) fn outcome_of(error: &Error) -> Outcome {
    if error.is_builder() {
        return Outcome::Neutral;
    }
    let exchange = match error.status() {
        _ if error.is_timeout() => Exchange::TimedOut,
        Some(status) => Exchange::from(status),
        None if error.is_decode() || error.is_redirect() => Exchange::Unusable,
        None => Exchange::Disconnected,
    };
    exchange.outcome()
}
