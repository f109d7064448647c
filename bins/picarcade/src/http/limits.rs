//! The limits in header fields: `RateLimit-Policy`, `RateLimit`, `Retry-After`.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};
use picarcade_ratelimit::{Denial, Report, Status, headers};
use serde_json::{Value, json};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Whole seconds, rounded up: a caller that waits so long is not early.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
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

/// Adds the limits and when to come back to a denial.
pub(crate) fn write_denial(headers: &mut HeaderMap, denial: &Denial) {
    write(headers, &denial.report);
    headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(denial.retry_after).max(1)));
}

/// One limit as it stands in `/usage` and in a denial: dollars for money, plain counts for requests, seconds until all of it
/// is free again.
pub(crate) fn status_json(status: &Status) -> Value {
    let dollars = matches!(status.unit, picarcade_ratelimit::Unit::Cost);
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
