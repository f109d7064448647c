//! Limits in responses: the header fields `RateLimit-Policy`, `RateLimit` and `Retry-After`, and
//! their JSON.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};
use picarcade_ratelimit::{Denial, LimitStatus, Report, Unit, headers};
use serde_json::{Value, json};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Returns the duration in whole seconds, rounded up, so that a client that waits is not early.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Returns whether a response has the caller's limits.
pub(crate) fn is_written(headers: &HeaderMap) -> bool {
    headers.contains_key(&LIMIT)
}

/// Adds the caller's limits to a response.
pub(crate) fn write(headers: &mut HeaderMap, report: &Report) {
    for (name, value) in [(POLICY, headers::policy(report)), (LIMIT, headers::limit(report))] {
        if let Ok(value) = HeaderValue::try_from(value)
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    }
}

/// Adds the limits and `Retry-After` to a denial.
pub(crate) fn write_denial(headers: &mut HeaderMap, denial: &Denial) {
    write(headers, &denial.report);
    headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(denial.retry_after).max(1)));
}

/// Returns one limit as JSON, for `/usage` and for denials: money in dollars, requests as counts,
/// and the seconds until the whole limit is available again.
pub(crate) fn status_json(status: &LimitStatus) -> Value {
    let dollars = matches!(status.unit, Unit::Cost);
    let amount = |value: u64| if dollars { json!(value as f64 / 1e6) } else { json!(value) };
    json!({
        "name": status.name,
        "scope": status.scope.as_str(),
        "unit": if dollars { "usd" } else { "requests" },
        "window": status.window.to_string(),
        "limit": amount(status.limit),
        "used": amount(status.used),
        "remaining": amount(status.remaining),
        "reset": whole_seconds(status.reset_after),
    })
}
