//! The values of the response fields of draft-ietf-httpapi-ratelimit-headers.
//!
//! `RateLimit-Policy` and `RateLimit` are Structured Field lists (RFC 9651) of strings with
//! parameters: `"user-requests-60s";q=100;w=60` and `"user-requests-60s";r=99;t=60`. Seconds are
//! whole and rounded up, so a client that obeys them is never early. Limits on dollars have
//! `qu="micro-dollars"`. A Structured Field integer has at most 15 digits; larger values are shown
//! as the largest integer.

use std::fmt::Write;
use std::time::Duration;

#[cfg(feature = "http")]
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use crate::{Denial, LimitStatus, Report, Unit};

/// The largest integer of a Structured Field (RFC 9651, section 3.3.1).
const MAX_INTEGER: u64 = 999_999_999_999_999;

/// Returns the value of `RateLimit-Policy`: every limit that applied, with its quota and window.
/// Empty without limits.
#[must_use]
pub fn policy(report: &Report) -> String {
    list(&report.statuses, |value, status| {
        let _ = write!(value, "q={};w={}", status.limit.min(MAX_INTEGER), seconds(status.window.length()));
        if status.unit == Unit::Cost {
            value.push_str(";qu=\"micro-dollars\"");
        }
    })
}

/// Returns the value of `RateLimit`: what remains of every limit that applied, and when all of it
/// remains again.
#[must_use]
pub fn limit(report: &Report) -> String {
    list(&report.statuses, |value, status| {
        let _ = write!(value, "r={};t={}", status.remaining.min(MAX_INTEGER), seconds(status.reset_after));
    })
}

/// Returns the value of `Retry-After`: whole seconds, rounded up, at least 1.
#[must_use]
pub fn retry_after(denial: &Denial) -> String {
    seconds(denial.retry_after).max(1).to_string()
}

/// The name of the field with the value of [`policy`].
#[cfg(feature = "http")]
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The name of the field with the value of [`limit`].
#[cfg(feature = "http")]
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Adds `RateLimit-Policy` and `RateLimit` to a response. Without limits, adds nothing.
#[cfg(feature = "http")]
pub fn write(fields: &mut HeaderMap, report: &Report) {
    for (name, value) in [(RATELIMIT_POLICY, policy(report)), (RATELIMIT, limit(report))] {
        if let Ok(value) = HeaderValue::try_from(value)
            && !value.is_empty()
        {
            fields.insert(name, value);
        }
    }
}

/// Adds the fields of [`write`](fn@write) and `Retry-After` to the response to a denied request.
#[cfg(feature = "http")]
pub fn write_denial(fields: &mut HeaderMap, denial: &Denial) {
    write(fields, &denial.report);
    fields.insert(RETRY_AFTER, HeaderValue::from(seconds(denial.retry_after).max(1)));
}

fn list(statuses: &[LimitStatus], parameters: impl Fn(&mut String, &LimitStatus)) -> String {
    let mut value = String::with_capacity(statuses.len() * 48);
    for status in statuses {
        if !value.is_empty() {
            value.push_str(", ");
        }
        // A name contains no character that a Structured Field string would have to escape.
        let _ = write!(value, "\"{}\";", status.name);
        parameters(&mut value, status);
    }
    value
}

fn seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).min(MAX_INTEGER)
}
