//! The meaning of an HTTP exchange, pure and independent of any HTTP library.

use std::time::{Duration, SystemTime};

use crate::{FailureKind, Outcome};

/// How an HTTP exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exchange<'a> {
    /// An answer with this status.
    Answered {
        /// The status code.
        status: u16,
        /// The `Retry-After`, parsed by [`parse_retry_after`].
        retry_after: Option<Duration>,
        /// The text of an error body, if it was read: the error type, the message, or the whole
        /// body. It distinguishes a spend limit from a rate limit. May be empty.
        error: &'a str,
    },
    /// No connection, or a connection that broke before the answer was complete.
    Disconnected,
    /// No complete answer in time.
    TimedOut,
    /// An unusable answer: a wrong format or shape.
    Unusable,
    /// The caller canceled.
    Cancelled,
}

impl Exchange<'_> {
    /// Creates a response with this status and no other data.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self::Answered { status, retry_after: None, error: "" }
    }

    /// Returns what the exchange says about the service.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let (kind, retry_after) = match *self {
            Self::Answered { status, retry_after, error } => match status {
                ..400 => return Outcome::Success,
                402 => (FailureKind::SpendLimit, retry_after),
                408 | 504 => (FailureKind::Timeout, retry_after),
                429 if speaks_of_money(error) => (FailureKind::SpendLimit, retry_after),
                429 => (FailureKind::RateLimited, retry_after),
                400..500 => return Outcome::Neutral,
                503 | 529 => (FailureKind::Overloaded, retry_after),
                500.. => (FailureKind::Server, retry_after),
            },
            Self::Disconnected => (FailureKind::Connect, None),
            Self::TimedOut => (FailureKind::Timeout, None),
            Self::Unusable => (FailureKind::Unusable, None),
            Self::Cancelled => return Outcome::Neutral,
        };
        Outcome::Failure { kind, retry_after }
    }
}

/// Returns whether a 429 is about the money of the account instead of its rate. The phrases come
/// from providers: OpenAI's `insufficient_quota` and "exceeded your current quota", Anthropic's
/// "usage limits" and "credit balance", and others. "billing" is not one of them, because a
/// rate-limit message may end with a link to billing. Only the first four kilobytes are read.
fn speaks_of_money(error: &str) -> bool {
    const WORDS: [&str; 9] = [
        "insufficient_quota",
        "current quota",
        "usage limit",
        "spend limit",
        "spending limit",
        "spend_limit",
        "credit balance",
        "insufficient credit",
        "insufficient_credit",
    ];
    let head = error.as_bytes().get(..4096).unwrap_or(error.as_bytes());
    WORDS
        .iter()
        .any(|word| head.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes())))
}

/// Parses a `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date. `now` is the time of day,
/// needed only for dates. Fractions of a second are accepted, because some providers send them.
///
/// A header is untrusted input. An unreadable value counts as absent, and a date in the past means
/// now. The breaker bounds how long the value may keep it open.
#[must_use]
pub fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    if value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return value.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn kind(exchange: Exchange<'_>) -> Option<FailureKind> {
        match exchange.outcome() {
            Outcome::Failure { kind, .. } => Some(kind),
            Outcome::Success | Outcome::Neutral => None,
        }
    }

    #[test]
    fn every_status_has_its_outcome() {
        for status in 100..400 {
            assert_eq!(Exchange::status(status).outcome(), Outcome::Success);
        }
        for status in 400..1000 {
            let expected = match status {
                402 => Some(FailureKind::SpendLimit),
                408 | 504 => Some(FailureKind::Timeout),
                429 => Some(FailureKind::RateLimited),
                503 | 529 => Some(FailureKind::Overloaded),
                400..500 => None,
                _ => Some(FailureKind::Server),
            };
            assert_eq!(kind(Exchange::status(status)), expected, "{status}");
            if expected.is_none() {
                assert_eq!(Exchange::status(status).outcome(), Outcome::Neutral, "{status}");
            }
        }
    }

    #[test]
    fn retry_after_is_passed_on() {
        for status in [429, 503, 529, 500] {
            let after = Some(Duration::from_secs(17));
            let outcome = Exchange::Answered { status, retry_after: after, error: "" }.outcome();
            assert!(matches!(outcome, Outcome::Failure { retry_after, .. } if retry_after == after));
        }
    }

    #[test]
    fn a_spend_limit_is_distinguished_from_a_rate_limit() {
        let of = |error| kind(Exchange::Answered { status: 429, retry_after: None, error });
        assert_eq!(of(r#"{"error":{"code":"insufficient_quota"}}"#), Some(FailureKind::SpendLimit));
        assert_eq!(of("You have reached your specified API Usage Limits."), Some(FailureKind::SpendLimit));
        assert_eq!(of("Your credit balance is too low"), Some(FailureKind::SpendLimit));
        assert_eq!(of(r#"{"error":{"type":"rate_limit_error"}}"#), Some(FailureKind::RateLimited));
        let pace = "Rate limit reached. You can increase it by adding a payment method at /account/billing.";
        assert_eq!(of(pace), Some(FailureKind::RateLimited));
        assert_eq!(of(&"é".repeat(5000)), Some(FailureKind::RateLimited));
    }

    #[test]
    fn exchanges_without_an_answer_have_outcomes() {
        assert_eq!(kind(Exchange::Disconnected), Some(FailureKind::Connect));
        assert_eq!(kind(Exchange::TimedOut), Some(FailureKind::Timeout));
        assert_eq!(kind(Exchange::Unusable), Some(FailureKind::Unusable));
        assert_eq!(Exchange::Cancelled.outcome(), Outcome::Neutral);
    }

    #[test]
    fn values_that_servers_send_are_parsed() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let parse = |value| parse_retry_after(value, now);
        assert_eq!(parse("0"), Some(Duration::ZERO));
        assert_eq!(parse(" 30 "), Some(Duration::from_secs(30)));
        assert_eq!(parse("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(parse("Sun, 09 Sep 2001 01:47:10 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(parse("Sun, 09 Sep 2001 01:46:00 GMT"), Some(Duration::ZERO), "a date in the past");
        for nonsense in ["", ".", "1.2.3", "-5", "1e9", "inf", "NaN", "99999999999999999999999", "tomorrow"] {
            let value = parse(nonsense);
            assert!(value.is_none() || nonsense.starts_with('9'), "{nonsense}: {value:?}");
        }
    }
}
